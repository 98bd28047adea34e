"""Python's clients behind the proxy: requests, urllib3 and http.client."""

from __future__ import annotations

import hashlib
import http.client
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from tests.forward.proxies import Proxy
from tests.forward.site import BIG, Site, big_blocks, big_digest
from tests.support.serve import THREADS

_CLIENTS = 50


@pytest.fixture
def session(proxy: Proxy, authority: Path) -> Iterator[requests.Session]:
    """A session with the proxy for both schemes, and nothing of the environment."""
    with requests.Session() as made:
        made.trust_env = False
        made.proxies = {"http": proxy.url(), "https": proxy.url()}
        made.verify = str(authority)
        for scheme in ("http://", "https://"):
            made.mount(scheme, HTTPAdapter(pool_maxsize=_CLIENTS))
        yield made


@pytest.fixture(params=["http", "https"])
def site(request: pytest.FixtureRequest, plain: Site, secure: Site) -> Site:
    """The site, by both schemes."""
    return plain if request.param == "http" else secure


def test_an_answer_of_the_site(session, site):
    response = session.get(f"{site.url}/headers", timeout=20)
    assert response.status_code == 200
    assert ("via" in response.json()) is (site.tls is None)
    assert response.json()["host"] == site.authority


def test_a_redirect_and_cookies(session, site):
    assert session.get(f"{site.url}/redirect", timeout=20).text == "landed"
    session.get(f"{site.url}/cookies", timeout=20)
    assert session.cookies.get_dict() == {"one": "1", "two": "a,b"}
    assert session.get(f"{site.url}/headers", timeout=20).json()["cookie"] == "one=1; two=a,b"


def test_a_download_as_a_stream(session, site):
    digest, size = hashlib.sha256(), 0
    with session.get(f"{site.url}/big", stream=True, timeout=20) as response:
        for block in response.iter_content(1 << 16):
            digest.update(block)
            size += len(block)
    assert (size, digest.hexdigest()) == (BIG, big_digest())


def test_an_upload_as_a_stream(session, site):
    size = 4 << 20
    response = session.put(f"{site.url}/upload", data=big_blocks(size), timeout=20)
    assert response.json() == {"size": size, "sha256": big_digest(size), "method": "PUT"}
    assert site.seen[-1].headers["transfer-encoding"] == "chunked"


def test_many_threads_at_once(session, site, proxy):
    # A tunnel that is kept keeps one of gunicorn's threads.
    clients = THREADS if proxy.kind == "gunicorn" else _CLIENTS

    def ask(number: int) -> str:
        body = str(number).encode() * 1000
        found = session.post(f"{site.url}/upload", data=body, timeout=30).json()
        assert found["size"] == len(body)
        return str(found["sha256"])

    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(ask, range(4 * _CLIENTS)))
    wanted = [hashlib.sha256(str(n).encode() * 1000).hexdigest() for n in range(4 * _CLIENTS)]
    assert found == wanted


def test_what_is_refused_is_a_403_and_a_tunnel_an_error(session):
    assert session.get("http://169.254.169.254/latest/", timeout=20).status_code == 403
    with pytest.raises(requests.exceptions.ProxyError, match="403"):
        session.get("https://169.254.169.254/latest/", timeout=20)


def test_urllib3(proxy, site, authority):
    with urllib3.ProxyManager(proxy.url(), ca_certs=str(authority)) as manager:
        for _ in range(3):
            response = manager.request("GET", f"{site.url}/landed", retries=False, timeout=20)
            assert (response.status, response.data) == (200, b"landed")


def test_http_client(proxy, secure, authority):
    context = ssl.create_default_context(cafile=str(authority))
    connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, timeout=20, context=context)
    connection.set_tunnel("127.0.0.1", secure.port)
    try:
        for _ in range(3):
            connection.request("GET", "/landed")
            with connection.getresponse() as response:
                assert (response.status, response.read()) == (200, b"landed")
    finally:
        connection.close()
    assert len({seen.peer for seen in secure.seen}) == 1
