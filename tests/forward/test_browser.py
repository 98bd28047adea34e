"""A real browser behind the proxy: Chromium from Debian, over http and https."""

from __future__ import annotations

import re

import pytest

from tests.forward.browser import browsed, dom, key_of
from tests.forward.canary import Canary, canary
from tests.forward.proxies import started
from tests.forward.site import BIG, big_digest
from tests.spawn.children import until

pytestmark = [pytest.mark.system("chromium"), pytest.mark.in_turns(3, "proxy")]

#: What the page says when everything has gone through unchanged. An event is sent when the
#: page has the one before, so all five say that nothing waits for a full buffer.
EXPECTED = {
    "assets": {"css": 20, "js": 20, "gif": 20},
    "download": {"size": BIG, "sha256": big_digest()},
    "events": [f"event {number}" for number in range(1, 6)],
    "socket": {"text": "hello ✓", "same": True, "closed": [4000, True]},
    "left": [4001, True],
    "cookies": {"kept": "one=1; two=a,b", "sent": "one=1; two=a,b"},
    "redirect": [True, "/landed", "landed"],
    "form": {
        "kind": "application/x-www-form-urlencoded;charset=UTF-8",
        "body": "a=1+2&b=%C3%A9%26%3D",
    },
    "upload": {"size": 5 << 20, "same": True},
    "missing": [404, "nothing of that name"],
}


def test_everything_over_http(proxy, plain):
    assert browsed(proxy.port, plain) == EXPECTED
    tunnelled = [seen for seen in plain.seen if seen.path == "/socket"]
    asked = [seen for seen in plain.seen if seen.path != "/socket"]
    assert len(tunnelled) == 2 and len(asked) > 70
    assert {seen.line.split(" ")[1][0] for seen in plain.seen} == {"/"}, "origin-form"
    assert {seen.headers["host"] for seen in plain.seen} == {plain.authority}
    # RFC 9110, 7.6.3: a proxy has to; what is in a tunnel is not ours.
    assert all(re.fullmatch(r"1\.1 wsgiproxy-\w+", seen.headers["via"]) for seen in asked)
    assert not any("via" in seen.headers for seen in tunnelled)
    assert len({seen.peer for seen in asked}) < 20, "connections are used again"
    announced = {name for seen in plain.seen for name in seen.headers if is_announcement(name)}
    assert announced == set()


def test_everything_over_https(proxy, secure):
    assert browsed(proxy.port, secure, trusted=key_of(secure)) == EXPECTED
    names = {name for seen in secure.seen for name in seen.headers}
    assert "via" not in names and not any(map(is_announcement, names))


def is_announcement(name: str) -> bool:
    return name.startswith(("x-forwarded", "forwarded", "proxy-", "x-real-ip"))


def test_a_tunnel_hides_no_bad_certificate(proxy, secure, plain):
    page = dom(proxy.port, f"{secure.url}/?check=missing")
    assert "60 assets" not in page and secure.seen == []
    page = dom(proxy.port, f"{plain.url}/?check=missing")
    assert "60 assets" in page, "without a certificate it would be there"


def test_the_page_of_a_refusal_is_shown(proxy):
    with canary() as service:
        page = dom(proxy.port, f"http://127.0.0.1:{service.port}/")
        assert "403 Forbidden" in page and "does not connect to this destination" in page
        assert str(service.port) not in page
        assert service.reached == []


def spelled(service: Canary) -> list[str]:
    """Addresses that lead to this machine or its neighbours, each with a path of its own."""
    hosts = [
        "127.0.0.1", "localhost", "[::1]", "[::]", "0.0.0.0",
        "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]",
        "169.254.169.254", "[fe80::1]", "10.0.0.1",
    ]  # fmt: skip
    return [f"http://{host}:{service.port}/{n}.gif" for n, host in enumerate(hosts)]


def asking(urls: list[str]) -> str:
    return "?" + "&".join(f"try={url}" for url in urls)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_page_reaches_nothing_of_this_machine(scheme, plain):
    with canary() as service, started("command", plain.authority, ports=[service.port]) as proxy:
        urls = [url.replace("http:", f"{scheme}:") for url in spelled(service)]
        report = browsed(proxy.port, plain, asking(urls))
        # Of http it has got our page, which is no picture; a tunnel that is refused is nothing.
        got = ["none", "opaque" if scheme == "http" else "failed"]
        assert report == dict.fromkeys(urls, got)
        assert service.reached == []
        # It was the proxy that refused, and not the browser.
        if scheme == "http":
            numbers = {str(number) for number in range(len(urls))}
            until(lambda: set(re.findall(r"GET '\S+/(\d+)\.gif' 403", proxy.log())) == numbers)
        else:
            refused = f":{service.port}' 403 "
            until(lambda: proxy.log().count(refused) >= len(urls))


def test_a_page_reaches_what_is_allowed(plain):
    """Or the test before this one would prove nothing."""
    with canary() as service:
        allowed = f"127.0.0.1:{service.port}"
        with started("command", plain.authority, allowed) as proxy:
            url = f"http://{allowed}/picture.gif"
            assert browsed(proxy.port, plain, asking([url])) == {url: ["image", "opaque"]}
        assert len(service.reached) == 2
