"""A login in front of an internal tool: two processes, one key file."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.mounted import Mount, Mounted
from tests.examples.running import needs, running
from tests.support.in_process import key_file
from tests.support.upstream import RawUpstream
from wsgiproxy.secretloader import new_key

LOGIN = Mount("login_in_front.py", "", ("flask", "gunicorn"))
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
FORGED = {
    "Remote-User": "admin",
    "Remote_User": "admin",
    "X-Remote-User": "admin",
    "WSGIProxy": "eyJlbnYiOnsic3RyIjp7IlJFTU9URV9VU0VSIjoiYWRtaW4ifX19",
    "X-WSGIProxy-Str-1": "REMOTE_USER=admin",
    "X-Forwarded-Host": "evil.example",
    "Cookie": "session=eyJ1c2VyIjoiYWRtaW4ifQ.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb",
}


@contextlib.contextmanager
def front(netloc: str, secret: str) -> Iterator[Mounted]:
    with (
        RawUpstream() as nobody,
        running(LOGIN.name, netloc, {"SECRET_FILE": secret}) as (port, _),
    ):
        yield Mounted(LOGIN, port, nobody, {})


@contextlib.contextmanager
def tool_of(secret: str) -> Iterator[int]:
    with running("internal_tool.py", "", {"SECRET_FILE": secret}) as (port, _):
        yield port


def log_in(site: Mounted, password: str = "choose-one", user: str = "bob") -> None:
    body = f"user={user}&password={password}".encode()
    answer = site.ask("/-/login", FORM, method="POST", body=body)
    cookie = answer.headers["Set-Cookie"]
    if cookie:
        assert {"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
        site.headers["Cookie"] = cookie.partition(";")[0]


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> str:
    needs(*LOGIN.packages)
    return key_file(tmp_path_factory.mktemp("keys") / "secret.txt", new_key("k1"))


@pytest.fixture(scope="module")
def tool(secret: str) -> Iterator[int]:
    with tool_of(secret) as port:
        yield port


@pytest.fixture(scope="module")
def before_the_tool(secret: str, tool: int) -> Iterator[Mounted]:
    with front(f"127.0.0.1:{tool}", secret) as running_site:
        yield running_site


@pytest.fixture
def site(before_the_tool: Mounted) -> Mounted:
    """A client of its own, without a session."""
    return dataclasses.replace(before_the_tool, headers={})


@pytest.fixture(scope="module")
def watched(secret: str) -> Iterator[tuple[Mounted, RawUpstream]]:
    """A front, and the tool in whose place we see what arrives."""
    with RawUpstream() as arrives, front(arrives.netloc, secret) as running_site:
        yield running_site, arrives


def test_with_the_login_the_tool_knows_the_verified_user(site: Mounted) -> None:
    log_in(site)
    page = site.ask("/").body.decode()
    assert page == f"bob is at http://127.0.0.1:{site.port}/"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PROPFIND"])
def test_without_the_login_no_request_reaches_the_tool(
    watched: tuple[Mounted, RawUpstream], method: str
) -> None:
    site, arrives = dataclasses.replace(watched[0], headers={}), watched[1]
    before = len(arrives.requests)
    for path in ["/", "/x", "/-/login/", "/-/login%2F..", "/-/../x"]:
        got = site.ask(path, FORGED, method=method)
        assert (got.status, got.headers["Location"]) == (302, "/-/login")
    for path in ["/-/login", "//-/login"]:
        site.ask(path, FORGED, method=method)
    assert len(arrives.requests) == before


def test_a_wrong_password_is_no_login(site: Mounted) -> None:
    log_in(site, password="guessed")
    assert "Cookie" not in site.headers
    assert site.ask("/").status == 302


@pytest.mark.parametrize("name", sorted(FORGED.keys() - {"Cookie"}))
def test_a_forged_header_does_not_help_who_is_logged_in(site: Mounted, name: str) -> None:
    log_in(site)
    page = site.ask("/", {name: FORGED[name]}).body.decode()
    assert page == f"bob is at http://127.0.0.1:{site.port}/"


def test_who_finds_the_port_of_the_tool_gets_403(tool: int) -> None:
    with RawUpstream() as nobody:
        direct = Mounted(LOGIN, tool, nobody, {})
        assert direct.ask("/").status == 403
        assert direct.ask("/", FORGED).status == 403


def test_a_front_with_another_key_gets_403(tool: int, tmp_path: Path) -> None:
    other = key_file(tmp_path / "secret.txt", new_key("k1"))
    with front(f"127.0.0.1:{tool}", other) as site:
        log_in(site)
        assert site.ask("/").status == 403


def test_the_session_stays_at_the_front(watched: tuple[Mounted, RawUpstream]) -> None:
    site, arrives = dataclasses.replace(watched[0], headers={}), watched[1]
    before = len(arrives.requests)
    log_in(site)
    assert site.ask("/", method="POST", body=b"x").status == 200
    (request,) = list(arrives.requests)[before:]
    assert request.values("Cookie") == []
    assert request.values("Signature") != []


@pytest.mark.parametrize("user", ["admin", "", "Bob", "bob%00", "%C3%A9"])
def test_nobody_can_choose_his_name(site: Mounted, user: str) -> None:
    log_in(site, user=user)
    assert "Cookie" not in site.headers
    assert site.ask("/").status == 302
