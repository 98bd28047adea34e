"""curl behind the proxy: what its options ask of one."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forward.canary import canary
from tests.forward.proxies import TUNNELLING, Proxy, started
from tests.forward.site import BIG, Site, big_blocks, big_digest
from tests.support.daemon import nginx, program
from tests.support.ports import free_port

pytestmark = [pytest.mark.system("curl"), pytest.mark.in_turns(3)]

_LIMIT = 30  # seconds
# What curl exits with.
_REFUSED_TUNNEL = 56
_BAD_CERTIFICATE = 60


def curl(proxy: Proxy, *arguments: str, body: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """What curl says on stdout, with what went over the wire on stderr."""
    unset = {name: text for name, text in os.environ.items() if "_proxy" not in name.lower()}
    command = [program("curl"), "-q", "-sS", "-v", "-x", proxy.url(), *arguments]
    return subprocess.run(command, input=body, capture_output=True, timeout=_LIMIT, env=unset)


def sent(found: subprocess.CompletedProcess[bytes]) -> list[str]:
    """The lines that went out: of requests, and nothing else."""
    lines = found.stderr.decode("latin-1").splitlines()
    return [line[2:].strip() for line in lines if line.startswith("> ")]


def answered(found: subprocess.CompletedProcess[bytes]) -> list[str]:
    """The lines of the heads that came back, in lower case."""
    lines = found.stderr.decode("latin-1").splitlines()
    return [line[2:].strip().lower() for line in lines if line.startswith("< ")]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_http_is_asked_for_in_absolute_form(proxy, plain):
    found = curl(proxy, f"{plain.url}/a%2Fb?x=%zz")
    assert sent(found)[0] == f"GET {plain.url}/a%2Fb?x=%zz HTTP/1.1"
    assert (found.returncode, found.stdout) == (0, b"nothing of that name")
    assert "http/1.1 404 not found" in answered(found)
    (seen,) = plain.seen
    assert seen.line == "GET /a%2Fb?x=%zz HTTP/1.1"
    assert seen.headers["host"] == plain.authority
    assert set(seen.headers) == {"host", "user-agent", "accept", "via"}


def test_the_authority_decides_and_not_host(proxy, plain):
    curl(proxy, f"{plain.url}/landed", "-H", "Host: elsewhere.example")
    assert [seen.headers["host"] for seen in plain.seen] == [plain.authority]


def test_https_goes_through_a_tunnel(proxy, secure, authority):
    found = curl(proxy, "--cacert", str(authority), f"{secure.url}/landed")
    assert (found.returncode, found.stdout) == (0, b"landed")
    assert sent(found)[0] == f"CONNECT {secure.authority} HTTP/1.1"
    assert answered(found)[0] == "http/1.1 200 connection established"
    assert set(secure.seen[0].headers) == {"host", "user-agent", "accept"}


def test_a_certificate_of_an_unknown_authority_is_refused(proxy, secure):
    found = curl(proxy, f"{secure.url}/landed")
    assert (found.returncode, found.stdout) == (_BAD_CERTIFICATE, b"")
    assert secure.seen == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_long_download_is_whole(scheme, proxy, plain, secure, authority):
    site = plain if scheme == "http" else secure
    found = curl(proxy, "--cacert", str(authority), f"{site.url}/big")
    assert len(found.stdout) == BIG and digest(found.stdout) == big_digest()


def test_a_range_is_passed_on(proxy, plain):
    found = curl(proxy, "-r", "10-99", f"{plain.url}/big")
    assert found.stdout == next(big_blocks())[10:100]
    assert f"content-range: bytes 10-99/{BIG}" in answered(found)


def test_a_head_has_no_body_and_its_length(proxy, plain):
    found = curl(proxy, "-I", f"{plain.url}/big")
    assert found.returncode == 0
    assert f"content-length: {BIG}" in answered(found)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("options", "method", "framing"),
    [
        pytest.param(["-T", "-"], "PUT", ("transfer-encoding", "chunked"), id="chunked"),
        pytest.param(
            ["--data-binary", "@-"], "POST", ("content-length", str(3 << 20)), id="length"
        ),
    ],
)
def test_an_upload_arrives(options, method, framing, scheme, proxy, plain, secure, authority):
    site = plain if scheme == "http" else secure
    body = os.urandom(3 << 20)
    found = curl(proxy, *options, "--cacert", str(authority), f"{site.url}/upload", body=body)
    arrived = {"size": len(body), "sha256": digest(body), "method": method}
    assert json.loads(found.stdout) == arrived
    name, value = framing
    assert site.seen[-1].headers[name] == value


@pytest.mark.parametrize("tunnel", [[], ["--proxytunnel"]], ids=["absolute", "tunnel"])
def test_http_10_is_served(tunnel, proxy, plain):
    found = curl(
        proxy,
        "--proxy1.0" if tunnel else "-x",
        f"127.0.0.1:{proxy.port}",
        "--http1.0",
        *tunnel,
        f"{plain.url}/landed",
    )
    assert found.stdout == b"landed"
    assert {line[-8:] for line in sent(found) if "HTTP/1" in line} == {"HTTP/1.0"}


def test_http_through_a_tunnel(proxy, plain):
    found = curl(proxy, "--proxytunnel", f"{plain.url}/landed")
    assert found.stdout == b"landed"
    assert [line for line in sent(found) if line.endswith("HTTP/1.1")] == [
        f"CONNECT {plain.authority} HTTP/1.1",
        "GET /landed HTTP/1.1",
    ]
    assert "via" not in plain.seen[0].headers


def test_a_tunnel_is_one_connection_for_many_requests(proxy, secure, authority):
    urls = [f"{secure.url}/landed", f"{secure.url}/missing", f"{secure.url}/headers"]
    found = curl(proxy, "--cacert", str(authority), *urls)
    assert found.stdout.startswith(b"landednothing of that name{")
    assert sum(line.startswith("CONNECT") for line in sent(found)) == 1
    assert len({seen.peer for seen in secure.seen}) == 1


_HTTP_2 = """
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {folder}/site.pem;
    ssl_certificate_key {folder}/site.pem;
    location / {{ return 200 "by $server_protocol"; }}
"""


@pytest.mark.system("nginx")
@pytest.mark.parametrize("kind", TUNNELLING)
def test_http_2_through_a_tunnel(kind, tmp_path):
    import trustme

    ca, port = trustme.CA(), free_port()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "site.pem")
    with (
        nginx(tmp_path, _HTTP_2.format(port=port, folder=tmp_path)),
        started(kind, f"127.0.0.1:{port}") as proxy,
    ):
        url = f"https://127.0.0.1:{port}/"
        found = curl(proxy, "--http2", "--cacert", str(tmp_path / "ca.pem"), url)
    assert found.stdout == b"by HTTP/2.0", found.stderr


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that knows alice."""
    import bcrypt

    path = tmp_path_factory.mktemp("credentials") / "users.htpasswd"
    path.write_bytes(b"alice:" + bcrypt.hashpw("ope n:sésame".encode(), bcrypt.gensalt(4)))
    return path


@pytest.fixture(scope="module", params=TUNNELLING)
def locked(
    request: pytest.FixtureRequest, sites: tuple[Site, Site], credentials: Path
) -> Iterator[Proxy]:
    """A proxy that wants to know who it serves."""
    allowed = [each.authority for each in sites]
    with started(request.param, *allowed, credentials=str(credentials)) as proxy:
        yield proxy


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_right_password_is_accepted(scheme, locked, plain, secure, authority):
    site = plain if scheme == "http" else secure
    user = ["--proxy-user", "alice:ope n:sésame"]
    found = curl(locked, *user, "--cacert", str(authority), f"{site.url}/landed")
    assert (found.returncode, found.stdout) == (0, b"landed"), found.stderr
    assert not [name for seen in site.seen for name in seen.headers if "auth" in name]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="no-password"),
        pytest.param(["--proxy-user", "alice:wrong"], id="wrong-password"),
        pytest.param(["--proxy-user", "bob:ope n:sésame"], id="unknown"),
        pytest.param(["--user", "alice:ope n:sésame"], id="for-the-site"),
    ],
)
def test_a_wrong_password_gets_407(options, scheme, locked, plain, secure, authority):
    site = plain if scheme == "http" else secure
    found = curl(locked, *options, "--cacert", str(authority), f"{site.url}/landed")
    assert any(line.startswith("http/1.1 407 ") for line in answered(found))
    assert found.returncode == (0 if scheme == "http" else _REFUSED_TUNNEL)
    assert site.seen == []


@pytest.mark.parametrize("tunnel", [[], ["--proxytunnel"]], ids=["absolute", "tunnel"])
def test_a_missing_password_gets_407(tunnel, locked, plain):
    user = ["--proxy-anyauth", "--proxy-user", "alice:ope n:sésame"]
    found = curl(locked, *user, *tunnel, f"{plain.url}/landed")
    challenge = 'proxy-authenticate: basic realm="wsgiproxy", charset="utf-8"'
    if locked.kind == "gunicorn":  # which drops the field, as one that is hop-by-hop
        assert challenge not in answered(found) and plain.seen == []
        return
    assert (found.returncode, found.stdout) == (0, b"landed"), found.stderr
    assert answered(found).count(challenge) == 1
    assert len(plain.seen) == 1


@pytest.mark.parametrize("options", [[], ["--proxytunnel"]], ids=["absolute", "tunnel"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.1", "0"])
def test_what_is_not_allowed_is_refused(host, options, proxy):
    with canary() as service:
        found = curl(proxy, *options, "-g", f"http://{host}:{service.port}/")
        assert answered(found)[0] == "http/1.1 403 forbidden"
        assert service.reached == []
