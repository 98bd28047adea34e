"""What trust costs: CPU microseconds to sign one request, to verify it, and to restore it.

Everything runs in this process on one core, in turns. The figures stand for a GET of 14 browser
fields. Werkzeug's ProxyFix, which believes instead of proving, and the package
http-message-signatures, which does not know the envelope, are there to compare with.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.in_process import on_one_core
from tests.benchmarks.program import Session, main
from tests.benchmarks.report import Aim
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.sansio.fields.envelope import Facts, facts
from wsgiproxy.sansio.fields.forwarded import direct
from wsgiproxy.sansio.message import Request
from wsgiproxy.secretloader import KeyFile, new_key
from wsgiproxy.signature import Signer, Verifier

TITLE = "Signing and verifying"
AIM = Aim("<=", 12, of="median", unit=" µs")
FIELDS = 14
CARRIED = {"REMOTE_USER": "bob", "example.roles": ["admin", "staff"]}
DECLARED = {"string": ("REMOTE_USER",), "json": ("example.roles",)}
# Longer than any run: what is measured is a signature that is good.
MAX_AGE = 86400.0

Call = Callable[[], object]


def key_file(directory: Path) -> str:
    """A key file with one key."""
    path = directory / "keys.txt"
    path.write_text(new_key("bench") + "\n")
    path.chmod(0o600)
    return str(path)


def known() -> Facts:
    """What the envelope says."""
    return facts(direct("https", "shop.example", "/m", "203.0.113.9", 443), "", "")


def request() -> Request:
    """What would be sent."""
    fields = [(f"X-Field-{number}", "v" * 20) for number in range(FIELDS)]
    return Request("GET", "/a/b?q=1", [("Host", "127.0.0.1:8001"), *fields])


def arrived(sent: Request) -> dict[str, Any]:
    """The environ that a server makes of it."""
    path, _, query = sent.target.partition("?")
    fields = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in sent.headers}
    return {
        "REQUEST_METHOD": sent.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_URI": sent.target,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8001",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        **fields,
    }


def _application(environ: dict[str, Any], start_response: object) -> list[bytes]:
    return []


def ours(path: str) -> dict[str, Call]:
    """Signing, verifying, and the whole middleware; without carried keys, and with two."""
    calls: dict[str, Call] = {}
    keys = KeyFile(path).keyring
    verifier = Verifier(keys, max_age=MAX_AGE)
    accepting = WSGIProxyMiddleware(_application, path, accept_keys=list(CARRIED), max_age=MAX_AGE)
    original = {"PATH_INFO": "/a/b", "QUERY_STRING": "q=1", **CARRIED}
    for name, declared in (("", None), (", two keys", DECLARED)):
        signer = Signer(keys, declared)
        sealing = (original, known(), "http", request(), None)
        environ = arrived(signer.seal(*sealing)[1])
        calls["ours, sign" + name] = partial(signer.seal, *sealing)
        calls["ours, verify" + name] = partial(verifier.check, environ)
        calls["ours, whole middleware" + name] = partial(accepting, environ, _refused)
    trusting = WSGIProxyMiddleware(_application, trust_ips="127.0.0.1")
    calls["ours, trust_ips"] = lambda: trusting(believed(), _refused)
    return calls


def _refused(*_: object) -> Any:
    raise AssertionError("refused")


def believed() -> dict[str, Any]:
    """A request as a front server sends it."""
    said = [
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.example"),
    ]
    return arrived(request()._replace(headers=[*request().headers, *said]))


def others() -> dict[str, Call]:
    """Those to compare with, as far as they are installed."""
    calls: dict[str, Call] = {}
    if importlib.util.find_spec("werkzeug"):
        from werkzeug.middleware.proxy_fix import ProxyFix

        fix = ProxyFix(_application, x_host=1)
        calls["werkzeug ProxyFix"] = lambda: fix(believed(), _refused)
    if importlib.util.find_spec("http_message_signatures"):
        calls.update(library())
    return calls


def library() -> dict[str, Call]:
    """http-message-signatures, over the same components."""
    import requests
    from http_message_signatures import (
        HTTPMessageSigner,
        HTTPMessageVerifier,
        HTTPSignatureKeyResolver,
        algorithms,
    )

    class Resolver(HTTPSignatureKeyResolver):  # type: ignore[misc]
        """One key for all."""

        def resolve_private_key(self, key_id: str) -> bytes:
            """The secret."""
            return b"x" * 32

        resolve_public_key = resolve_private_key

    components = ("@method", "@authority", "@query", "wsgiproxy")
    arguments = {"signature_algorithm": algorithms.HMAC_SHA256, "key_resolver": Resolver()}
    signer, verifier = HTTPMessageSigner(**arguments), HTTPMessageVerifier(**arguments)
    message = requests.Request(
        "GET", "http://127.0.0.1:8001/a/b?q=1", headers={"WSGIProxy": "e" * 200}
    ).prepare()

    def sign() -> None:
        signer.sign(message, key_id="bench", covered_component_ids=components, label="wsgiproxy")

    sign()
    return {
        "http-message-signatures, sign": sign,
        "http-message-signatures, verify": lambda: verifier.verify(message),
    }


def cost(call: Call, count: int) -> float:
    """CPU microseconds for one call."""
    start = time.process_time_ns()
    for _ in range(count):
        call()
    return (time.process_time_ns() - start) / count / 1000


def measure(session: Session) -> None:
    """Add the figures to the report of `session`."""
    if not importlib.util.find_spec("http_message_signatures"):
        session.report.skip("http-message-signatures", "not installed")
    calls = {**ours(key_file(session.directory)), **others()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    count = session.choose(5000, 500)
    with on_one_core():
        for _ in range(session.rounds_or(15, 4)):
            for name, call in calls.items():
                samples[name].append(cost(call, count))
    # The time to make the environ is theirs, too: what changes it in place needs a new one.
    baseline = [cost(believed, count) for _ in range(3)]
    session.report.notes.append(f"ProxyFix and trust_ips: {min(baseline):.1f} µs are the environ")
    aims = dict.fromkeys(("ours, sign", "ours, verify"), AIM)
    session.report.add("trust, CPU µs/request", samples, aims=aims)


if __name__ == "__main__":
    main(measure, TITLE, __doc__)
