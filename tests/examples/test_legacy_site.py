"""A legacy site, replaced piece by piece."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.examples.mounted import Mount, Mounted
from tests.examples.running import needs, running
from tests.support.connection import Script
from tests.support.echo import by_case
from tests.support.upstream import RawUpstream, answer

SITE = Mount("legacy_site.py", "", ("flask",))


@contextlib.contextmanager
def site_with(**env: str) -> Iterator[Mounted]:
    needs("flask")
    scripts: dict[str, Script] = {}
    with (
        RawUpstream(by_case(scripts)) as old,
        running(SITE.name, old.netloc, env) as (port, _),
    ):
        yield Mounted(SITE, port, old, scripts)


@pytest.fixture(scope="module")
def site() -> Iterator[Mounted]:
    with site_with() as running_site:
        yield running_site


def test_a_new_page_is_not_asked_of_the_old_server(site: Mounted) -> None:
    before = len(site.upstream.requests)
    assert site.get("/about").body == b"This page is new."
    assert len(site.upstream.requests) == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/", id="home"),
        pytest.param("GET", "/cgi-bin/order.pl?id=1;2", id="script"),
        pytest.param("GET", "/a%2Fb//c", id="odd-path"),
        pytest.param("GET", "/about/", id="slash-after-a-new-one"),
        pytest.param("POST", "/cgi-bin/order.pl", id="form"),
        pytest.param("POST", "/about", id="other-method-of-a-new-one"),
        pytest.param("PROPFIND", "/files/", id="method-that-flask-does-not-know"),
    ],
)
def test_all_others_are_answered_by_the_old_one(site: Mounted, method: str, path: str) -> None:
    body = b"a=1" if method == "POST" else None
    told = site.get(path, method=method, body=body).told
    assert told["line"] == f"{method} {path} HTTP/1.1"
    assert told["body_length"] == len(body or b"")


def test_the_old_server_knows_the_name_of_the_site(site: Mounted) -> None:
    got = site.get("/", {"Host": "www.shop.example"})
    assert got.received("Host") == ["www.shop.example"]


@pytest.mark.parametrize("status", [301, 302])
def test_a_redirect_to_the_old_address_comes_back_here(site: Mounted, status: int) -> None:
    moved = answer(status, [("Location", f"{site.upstream.url}/news?id=1")])
    got = site.play([("send", moved)])
    assert got.status == status
    assert got.headers["Location"] == f"http://127.0.0.1:{site.port}/news?id=1"


def test_cookies_belong_to_this_host_alone(site: Mounted) -> None:
    cookies_have_domain(site, "")


def test_cookies_belong_to_the_new_domain() -> None:
    with site_with(COOKIE_DOMAIN="shop.example") as site:
        cookies_have_domain(site, "; Domain=shop.example")


def cookies_have_domain(site: Mounted, domain: str) -> None:
    cookies = [("Set-Cookie", f"{name}=1; Domain=old.example; Path=/") for name in "ab"]
    got = site.play([("send", answer(200, cookies, b"x"))])
    assert got.headers.get_all("Set-Cookie") == [f"{name}=1{domain}; Path=/" for name in "ab"]


def test_a_page_that_neither_has_is_the_404_of_the_old_one(site: Mounted) -> None:
    got = site.play([("send", answer(404, [], b"the old page for that"))], "/nowhere")
    assert (got.status, got.body) == (404, b"the old page for that")
