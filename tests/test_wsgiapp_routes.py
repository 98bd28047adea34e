"""``egg:wsgiproxy#routes``: several prefixes, several targets; what its lines may say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.in_process import front_environ, run
from tests.support.ini import Loader
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.router import Routes
from wsgiproxy.wsgiapp import make_routes

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

HREF = "http://127.0.0.1:1"


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SCRIPT_NAME"].encode("latin-1")]


def routes(global_conf: Any = None, **options: str) -> Routes:
    loader = Loader({"hello": hello, "broken": KeyError("of its own")})
    return make_routes(loader, global_conf, **options)


def test_a_value_may_begin_in_the_next_line() -> None:
    """As in docs/wsgi.rst; the parser of ini files leaves the line end in front."""
    found = routes(None, **{"/a": f"\n{HREF}/x", "/b": "\nhello"})
    assert run(found, front_environ(PATH_INFO="/b/x", REQUEST_URI="/b/x")).whole == b"/b"
    assert run(found, front_environ(PATH_INFO="/a/x", REQUEST_URI="/a/x")).head.status == 502


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({}, "expected lines such as /prefix = http://host:port/", id="none"),
        pytest.param(
            {"/a": "localhost:80"},
            "/a='localhost:80': expected http://host:port/... or the name of an application of"
            " this file (No section 'localhost:80')",
            id="neither-target-nor-name",
        ),
        pytest.param({"/a": "http://"}, "/a='http://': expected http://host", id="no-host"),
        pytest.param(
            {"/a": "hello", "/a/": HREF}, f"/a/={HREF!r}: expected no /a beside it", id="twice"
        ),
        pytest.param(
            {"/%61": "hello", "/a": "hello"}, "/a='hello': expected no /%61", id="twice-decoded"
        ),
        pytest.param({"/a b": "hello"}, "/a b='hello': expected a path", id="space"),
        pytest.param({"/a/../b": "hello"}, "/a/../b='hello': expected a path", id="dots"),
        pytest.param({"//": "hello", "/": "hello"}, "/='hello': expected no //", id="two-roots"),
        pytest.param(
            {"domain x.example /a": "hello"},
            "domain x.example /a='hello': no such setting",
            id="domains-of-urlmap",
        ),
        pytest.param(
            {"/a": "hello", "via": "front"},
            "via='front': expected a target such as http://",
            id="an-option-without-a-target",
        ),
    ],
)
def test_a_bad_section_is_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        routes({}, **options)
    assert str(caught.value).startswith(f"composite egg:wsgiproxy#routes: {message}")


def test_an_error_of_another_factory_passes() -> None:
    with pytest.raises(KeyError, match="of its own"):
        routes({}, **{"/": "broken"})


def test_an_application_of_the_file_below_a_prefix_with_escapes() -> None:
    app = routes({}, **{"/caf%C3%A9": "hello"})
    answer = run(app, front_environ(PATH_INFO="/caf\xc3\xa9/x"))
    assert answer.whole == b"/caf\xc3\xa9"


@pytest.mark.parametrize(
    ("target", "status"),
    [
        pytest.param(HREF, 302, id="root"),
        pytest.param(f"{HREF}/", 302, id="root-with-slash"),
        pytest.param(f"{HREF}/base/", 302, id="folder"),
        pytest.param(f"{HREF}/base", 502, id="not-a-folder"),
        pytest.param("hello", 200, id="of-this-file"),
    ],
)
def test_where_a_target_is_a_folder_the_bare_prefix_is_sent_there(target: str, status: int) -> None:
    app = routes({}, **{"/a": target})
    assert run(app, front_environ(PATH_INFO="/a")).head.status == status
    app.close()


def test_options_count_for_all_targets() -> None:
    app = routes({}, **{"/a": HREF, "/b": "unix:/no/such.sock", "allowed_hosts": "only.example"})
    for path in ("/a/x", "/b/x"):
        assert run(app, front_environ(PATH_INFO=path)).head.status == 400
    app.close()


def test_targets_sign_with_the_secret_of_default() -> None:
    with pytest.raises(ConfigurationError, match="routes: secret_file='/no/file'"):
        routes({"secret_file": "/no/file"}, **{"/a": HREF})
    assert callable(routes({"secret_file": "/no/file"}, **{"/a": "hello"}))


def test_a_host_may_stand_before_a_prefix_or_in_its_place() -> None:
    app = routes({}, **{"wiki.localhost": "hello", ".example/a": "hello"})
    found = [
        run(app, front_environ(PATH_INFO=path, HTTP_HOST=host))
        for host, path in (("wiki.localhost:80", "/x"), ("b.example", "/a/x"), ("b.example", "/"))
    ]
    assert [(each.head.status, each.whole[:2]) for each in found[:2]] == [(200, b""), (200, b"/a")]
    assert found[2].head.status == 404
