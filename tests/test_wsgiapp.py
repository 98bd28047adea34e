"""The factories of Paste Deploy: every option as a string, and what is said of a bad one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.in_process import front_environ, key_file, run
from tests.support.ini import Loader
from wsgiproxy import settings, wsgiapp
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.exactproxy import ExactProxy, filter_paste_httpserver_proxy
from wsgiproxy.middleware import WSGIProxyMiddleware
from wsgiproxy.sansio.keys import base64url
from wsgiproxy.settings import Setting

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HREF = "http://127.0.0.1:1"
#: What Paste Deploy puts into every [DEFAULT], and what others write there.
COMMON = {"here": "/srv", "__file__": "/srv/x.ini", "debug": "true", "smtp_server": "localhost"}


@pytest.fixture
def secret(tmp_path: Path) -> str:
    return key_file(tmp_path / "secret.txt", "k1:" + base64url(b"1" * 32))


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['SCRIPT_NAME']} {environ['REMOTE_ADDR']}".encode()]


def routes(global_conf: Any = None, **options: str) -> Any:
    return wsgiapp.make_routes(Loader({}), global_conf, **options)


def middleware(global_conf: Any = None, **options: str) -> WSGIProxyMiddleware:
    return wsgiapp.make_middleware(hello, global_conf, **options)


# -- every row, as a string ------------------------------------------------------------

#: Where the name alone does not give a good value.
GOOD = {
    "allow": "localhost:3000 .intranet.example:*",
    "allow_clients": "192.168.1.0/24",
    "allowed_hosts": "a.example, .b.example",
    "cwd": "/",
    "cookie_domain": ".example.com",
    "deny": ".ads.example",
    "domain": "a.example",
    "family": "forwarded",
    "host": "a.example:81",
    "idle_ignore": "/health /api/*",
    "inherit_env": "LANG LC_*",
    "logger": "my.log",
    "parent_proxy": "http://127.0.0.1:3128",
    "pop_prefix": "/app",
    "port": "81",
    "ports": "80 443",
    "prefix": "/app",
    "ready": "/health",
    "replay": "memory",
    "scheme": "https",
    "script_env": "A=1 B='2 3'",
    "share": "false",
    "socket": "port",
    "spawned_port": "18765",
    "start_script": "sleep {port}",
    "suppress_headers": "X-Secret, Cookie",
    "trust_ips": "10.0.0.0/8, ::1",
    "trusted_proxies": "10.0.0.0/8 unix",
    "unsigned": "strip",
    "via": "front",
}
# They read their files at once; those files are tested with the transport.
FILES = {"ca_file", "client_cert", "client_key", "credentials"}


def good(row: Setting, secret: str) -> str:
    if row.name in GOOD:
        return GOOD[row.name]
    if row.name.endswith("_keys"):
        return "myapp.user, myapp.roles"
    if row.name in ("secret_file", "doctor_file"):
        return secret
    if isinstance(row.default, bool) or row.name == "guard":
        return "on"
    return "7k" if row.expected.startswith("a number of bytes") else "7"


FACTORIES: dict[str, tuple[Callable[..., Any], tuple[Setting, ...], dict[str, str]]] = {
    "app egg:wsgiproxy#main": (
        wsgiapp.make_app,
        (*settings.APP, *settings.SIGNING, *settings.TRANSPORT),
        {"href": HREF},
    ),
    "filter egg:wsgiproxy#main": (middleware, settings.MIDDLEWARE, {}),
    "app egg:wsgiproxy#exact": (wsgiapp.make_exact, settings.EXACT, {}),
    "app egg:wsgiproxy#real_proxy": (
        wsgiapp.make_real_proxy,
        (*settings.FORWARD, *settings.FORWARD_TRANSPORT),
        {},
    ),
    "app egg:wsgiproxy#spawn": (
        wsgiapp.make_spawn,
        (
            *settings.SPAWN,
            *settings.SPAWNED_APP,
            *settings.SPAWNED_SIGNING,
            *settings.SPAWNED_TRANSPORT,
        ),
        {"start_script": "sleep {port}"},
    ),
    "composite egg:wsgiproxy#routes": (
        routes,
        (*settings.APP, *settings.SIGNING, *settings.TRANSPORT),
        {"/": HREF},
    ),
}
CASES = [
    pytest.param(section, row, id=f"{section.rpartition('#')[2]}-{section[:3]}-{row.name}")
    for section, (_, rows, _) in FACTORIES.items()
    for row in rows
    if row.name not in FILES
]


def needed_beside(row: Setting, rows: dict[str, Setting], secret: str) -> dict[str, str]:
    """What has to be set so that *row* has an effect."""
    names = ["allow_pickle"] if row.name == "pickle_keys" else []
    names += row.needs[:1]
    given: dict[str, str] = {}
    for name in names:
        given |= {**needed_beside(rows[name], rows, secret), name: good(rows[name], secret)}
    return given


@pytest.mark.parametrize(("section", "row"), CASES)
def test_each_option_is_taken_as_a_string(section: str, row: Setting, secret: str) -> None:
    factory, rows, needed = FACTORIES[section]
    given = needed_beside(row, {each.name: each for each in rows}, secret)
    app = factory(COMMON, **{**needed, **given, row.name: good(row, secret)})
    assert callable(app)
    close = getattr(app, "close", None)
    if close is not None:
        close()


def refused_value(row: Setting) -> str | None:
    """What *row* does not take; None if any string will do, as for the name of a file."""
    for value in ("", "\0 ?"):
        try:
            row.convert_value(value)
        except ConfigurationError:
            return value
    return None


@pytest.mark.parametrize(
    ("section", "row"), [case for case in CASES if refused_value(case.values[1]) is not None]
)
def test_a_bad_value_names_factory_and_option(section: str, row: Setting) -> None:
    factory, _, needed = FACTORIES[section]
    bad = refused_value(row)
    with pytest.raises(ConfigurationError) as caught:
        factory(COMMON, **{**needed, row.name: bad})
    assert str(caught.value) == f"{section}: {row.name}={bad!r}: expected {row.expected}"


@pytest.mark.parametrize("section", FACTORIES)
@pytest.mark.parametrize(
    "name", ["hreff", "transport", "application", "connect_timout", "loader_", "self_"]
)
def test_an_unknown_option_names_factory_and_option(section: str, name: str) -> None:
    factory, _, needed = FACTORIES[section]
    with pytest.raises(ConfigurationError) as caught:
        factory(COMMON, **{**needed, name: "1"})
    assert str(caught.value).startswith(f"{section}: {name}='1': no such setting; ")


def test_a_message_has_a_near_name() -> None:
    with pytest.raises(ConfigurationError, match=r"hreff='x': .*did you mean href\?"):
        wsgiapp.make_app({}, hreff="x")
    with pytest.raises(ConfigurationError, match=r"did you mean connect_timeout\?"):
        wsgiapp.make_exact({}, conect_timeout="1")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(
            lambda: wsgiapp.make_app(COMMON),
            "app egg:wsgiproxy#main: href is missing: expected http://host",
            id="main",
        ),
        pytest.param(
            lambda: wsgiapp.make_app(COMMON, "localhost:8000"),
            "app egg:wsgiproxy#main: href='localhost:8000': expected http://host",
            id="main-without-scheme",
        ),
        pytest.param(
            lambda: wsgiapp.make_spawn(COMMON, idle_shutdown="60"),
            "app egg:wsgiproxy#spawn: start_script is missing: expected a command",
            id="spawn",
        ),
        pytest.param(
            lambda: wsgiapp.make_paste_proxy(COMMON, x="1"),
            "filter egg:wsgiproxy#paste_proxy: x='1': expected no settings",
            id="paste_proxy",
        ),
        pytest.param(
            lambda: middleware(prefix="/a", pop_prefix="/b"),
            "filter egg:wsgiproxy#main: pop_prefix='/b': expected no prefix beside it",
            id="contradiction",
        ),
        pytest.param(
            lambda: wsgiapp.make_real_proxy(ports="80, x"),
            "app egg:wsgiproxy#real_proxy: ports='80, x': expected port numbers",
            id="real_proxy",
        ),
    ],
)
def test_a_bad_section_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert str(caught.value).startswith(message)


# -- [DEFAULT] -------------------------------------------------------------------------


def test_a_secret_file_of_default_counts_where_the_section_has_none(secret: str) -> None:
    signs = wsgiapp.make_app({**COMMON, "secret_file": secret}, HREF, string_keys="myapp.user")
    assert isinstance(signs, WSGIProxyApp)
    with pytest.raises(ConfigurationError, match="secret_file='/no/file'"):
        wsgiapp.make_app({"secret_file": secret}, HREF, secret_file="/no/file")


def refused(app: WSGIApplication) -> int:
    return run(app, front_environ()).head.status


def test_the_middleware_has_its_secret_from_default(secret: str) -> None:
    assert refused(middleware({"secret_file": secret})) == 403
    assert refused(middleware({})) == 200


def test_the_middleware_has_its_peers_from_default() -> None:
    app = middleware({**COMMON, "trust_ips": "203.0.113.0/24"})
    answer = run(app, front_environ(HTTP_X_FORWARDED_FOR="192.0.2.7"))
    assert answer.whole == b" 192.0.2.7"


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"trust_ips": "10.0.0.1"}, id="peers"),
        pytest.param({"x_for": "1"}, id="counts"),
    ],
)
def test_trust_of_a_section_replaces_trust_of_default(options: dict[str, str], secret: str) -> None:
    assert refused(middleware({"secret_file": secret}, **options)) == 200


def test_a_secret_of_the_section_wins_over_peers_of_default(secret: str) -> None:
    assert refused(middleware({"trust_ips": "203.0.113.0/24"}, secret_file=secret)) == 403


def test_both_in_default_contradict_each_other(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="trust_ips=.*: expected no secret_file"):
        middleware({"trust_ips": "203.0.113.0/24", "secret_file": secret})


@pytest.mark.parametrize("name", ["secret_file", "trust_ips"])
def test_an_empty_value_removes_a_default(name: str) -> None:
    """``set secret_file =`` in a section is what Paste Deploy has for that."""
    assert refused(middleware({name: ""})) == 200


@pytest.mark.parametrize("global_conf", [None, {}, COMMON], ids=["none", "empty", "others"])
@pytest.mark.parametrize("section", FACTORIES)
def test_nothing_else_of_default_is_taken(section: str, global_conf: Any) -> None:
    factory, _, needed = FACTORIES[section]
    app = factory(global_conf, **needed)
    assert callable(app)


def test_a_spawner_that_does_not_sign_takes_no_secret_of_default(secret: str) -> None:
    app = wsgiapp.make_spawn({"secret_file": secret}, start_script="sleep {port}", sign="false")
    app.close()
    assert app.state == "stopped"


# -- the old signatures ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("factory", "names"),
    [
        (wsgiapp.make_app, ["global_conf", "href", "secret_file"]),
        (
            wsgiapp.make_middleware,
            ["app", "global_conf", "secret_file", "trust_ips", "prefix"],
        ),
        (wsgiapp.make_real_proxy, ["global_conf"]),
    ],
    ids=["make_app", "make_middleware", "make_real_proxy"],
)
def test_the_positions_are_those_of_0_2(factory: Callable[..., Any], names: list[str]) -> None:
    parameters = inspect.signature(factory).parameters.values()
    assert [each.name for each in parameters if each.kind is not each.VAR_KEYWORD] == names


def test_positional_arguments_are_used(secret: str) -> None:
    assert wsgiapp.make_app({}, HREF + "/base", secret).href == HREF + "/base"
    assert refused(wsgiapp.make_middleware(hello, {}, secret)) == 403
    prefixed = wsgiapp.make_middleware(hello, {}, None, "10.0.0.1", "/app")
    assert run(prefixed, front_environ()).whole == b"/app 203.0.113.9"
    assert isinstance(wsgiapp.make_exact({}), ExactProxy)
    assert wsgiapp.make_paste_proxy({}) is filter_paste_httpserver_proxy
