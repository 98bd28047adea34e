"""Signatures as another language makes them: the npm package http-message-signatures."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.oracles import (
    ALGORITHMS,
    ED25519_PRIVATE,
    ED25519_PUBLIC,
    NAMES,
    SHARED_SECRET,
)
from wsgiproxy.errors import BadSignature
from wsgiproxy.sansio.fields.host import authority
from wsgiproxy.sansio.fields.signature import Proof, sign, verify
from wsgiproxy.sansio.fields.signature_members import Fields
from wsgiproxy.sansio.keys import Key, base64url, hmac_key, parse_keys

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="node or npm is not installed"
)

ORACLE = Path(__file__).parent / "support" / "oracle.mjs"
PACKAGE = "http-message-signatures@1"
NONCE = "0123456789abcDE_-"

Jobs = list[dict[str, Any]]
Node = Callable[[Jobs], list[Any]]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which the package is installed, once for all tests."""
    home = tmp_path_factory.mktemp("npm")
    # Where there is no way to the registry, npm would try again and again for minutes.
    command = ["npm", "install", "--prefix", str(home), "--ignore-scripts", "--no-audit"]
    command += ["--fetch-retries=0", "--fetch-timeout=20000"]
    found = subprocess.run(
        [*command, "--no-fund", PACKAGE], capture_output=True, text=True, timeout=300, check=False
    )
    if found.returncode:
        pytest.skip(f"npm cannot install {PACKAGE}: {found.stderr.strip()[-200:]}")
    return home


@pytest.fixture
def node(request: pytest.FixtureRequest) -> Node:
    """What node makes of a list of jobs; the programs have been looked for before this."""
    home = request.getfixturevalue("package")

    def run(jobs: Jobs) -> list[Any]:
        found = subprocess.run(
            ["node", str(ORACLE), str(home)],
            input=json.dumps(jobs),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert found.returncode == 0, found.stderr
        results = json.loads(found.stdout)
        assert len(results) == len(jobs)
        return list(results)

    return run


REQUESTS = [
    ("GET", "http://a.example/a", "a.example"),
    ("POST", "http://a.example/a?x=1&y=%20", "a.example"),
    ("GET", "http://A.Example:80/?q", "A.Example:80"),
    ("PURGE", "http://a.example:8080/?a=?;b", "a.example:8080"),
    ("GET", "https://[::1]:8443/", "[::1]:8443"),
]
FIELDS = {
    "wsgiproxy": "eyJ2IjoxfQ",
    "x-traversal-path": "/app",
    "x-traversal-query-string": "k=1",
    "content-digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
}
COVERED = [*NAMES, *(name for name in FIELDS if name != "wsgiproxy")]


def components(method: str, url: str, host: str) -> dict[str, str]:
    return {
        "@method": method,
        "@authority": authority(host, url.partition(":")[0]),
        "@query": "?" + url.partition("?")[2],
        **FIELDS,
    }


def ours(algorithm: str, der: bytes) -> Key:
    if algorithm == "hmac-sha256":
        return hmac_key("k1", SHARED_SECRET)
    return parse_keys(f"k1:ed25519:{base64url(der)}".encode("ascii")).first


def job(does: str, algorithm: str, method: str, url: str, created: int) -> dict[str, Any]:
    der = ED25519_PRIVATE if does == "sign" else ED25519_PUBLIC
    return {
        "does": does,
        "algorithm": algorithm,
        "key": base64.b64encode(SHARED_SECRET if algorithm != "ed25519" else der).decode("ascii"),
        "covered": COVERED,
        "created": created,
        "nonce": NONCE,
        "message": {"method": method, "url": url, "headers": dict(FIELDS)},
    }


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_node_signs_and_we_verify(node: Node, algorithm: str) -> None:
    now = int(time.time())
    keys = {"k1": ours(algorithm, ED25519_PUBLIC)}
    jobs = [job("sign", algorithm, method, url, now) for method, url, _ in REQUESTS]
    for (method, url, host), fields in zip(REQUESTS, node(jobs), strict=True):
        values = components(method, url, host)
        proof = verify(Fields(*fields), values.get, keys, now=now)
        assert proof == Proof("k1", now, NONCE, tuple(COVERED))
        with pytest.raises(BadSignature, match="wrong signature"):
            verify(Fields(*fields), {**values, "@query": "?evil"}.get, keys, now=now)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_we_sign_and_node_verifies(node: Node, algorithm: str) -> None:
    """And refuses the same, once the envelope is another."""
    now = int(time.time())
    key = ours(algorithm, ED25519_PRIVATE)
    jobs = []
    for method, url, host in REQUESTS:
        values = components(method, url, host)
        fields = sign({name: values[name] for name in COVERED}, key, created=now, nonce=NONCE)
        for envelope in (FIELDS["wsgiproxy"], "eyJ2IjoyfQ"):
            each = job("verify", algorithm, method, url, now)
            each["message"]["headers"] |= {
                "wsgiproxy": envelope,
                "Signature-Input": fields.signature_input,
                "Signature": fields.signature,
            }
            jobs.append(each)
    assert node(jobs) == [True, False] * len(REQUESTS)
