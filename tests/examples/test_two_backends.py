"""Two backends behind one login: one module, served by waitress and by uvicorn."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from tests.examples.mounted import Answer, Mount, Mounted
from tests.examples.running import EXAMPLES, needs, running

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

NAME = "two_backends.py"
SECRET = "a-secret-of-this-test-with-more-than-32-bytes"
KEYS = {"transactions": "key-of-transactions", "inventory": "key-of-inventory"}
SERVICES = [*KEYS]
LARGE = b"text " * 1000
ELSEWHERE = "http://elsewhere.example"
EDGES = {
    "WSGI": ("waitress", "waitress-serve --listen 127.0.0.1:8080", "two_backends:wsgi_app"),
    "ASGI": ("uvicorn", "uvicorn --no-proxy-headers --port 8080", "two_backends:asgi_app"),
}
#: A client that would be another user, or bring a key of its own, in the spellings that servers
#: take for one name.
INTRUDER = {
    "X-User": "root",
    "X_User": "root",
    "x-user": "root",
    "X-API-Key": "key-of-a-client",
    "X_API_Key": "key-of-a-client",
}


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Silent(WSGIRequestHandler):
    def log_message(self, *what: object) -> None: ...

    def get_environ(self) -> dict[str, Any]:
        return {**super().get_environ(), "TARGET": self.path}


@dataclass
class Backend:
    """``shop_backend.py`` in a server that reads ``X_User`` as ``X-User``: what it was asked."""

    app: Any
    port: int = 0
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.asked.append({name: environ[name] for name in environ if name.isupper()})
        found: Iterable[bytes] = self.app(environ, start_response)
        return found


@pytest.fixture(scope="module")
def backends() -> Iterator[dict[str, Backend]]:
    needs("flask", "jwt")
    found, ended = {}, []
    with pytest.MonkeyPatch.context() as patch:
        for service, key in KEYS.items():
            patch.setenv("KEY", key)
            spec = importlib.util.spec_from_file_location(service, EXAMPLES / "shop_backend.py")
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            found[service] = Backend(module.app)
            module.app.add_url_rule("/shops/<shop>/<service>/large", view_func=large)
            module.app.add_url_rule("/shops/<shop>/<service>/away", view_func=away)
            server = make_server("127.0.0.1", 0, found[service], Threaded, Silent)
            found[service].port = server.server_port
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            ended.append((server, thread))
    yield found
    for server, thread in ended:
        server.shutdown()
        thread.join()
        server.server_close()


def large(shop: str, service: str) -> Any:
    """A text that is worth to be compressed, and two cookies."""
    from flask import Response

    fields = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("ETag", '"x"')]
    return Response(LARGE, headers=fields, content_type="text/plain")


def away(shop: str, service: str) -> Any:
    """A redirect to another site, where no key belongs."""
    from flask import redirect

    return redirect(f"{ELSEWHERE}/transactions/ann/transactions/1")


@dataclass
class Front:
    """The example in a server, and its backends."""

    site: Mounted
    backends: dict[str, Backend]
    token: str = ""

    def get(self, path: str, headers: dict[str, str] | None = None, **more: Any) -> Answer:
        login = {"Authorization": f"Bearer {self.token}"}
        return self.site.ask(path, {**login, **(headers or {})}, **more)

    def log_in(self, **form: Any) -> Answer:
        return self.site.ask("/login", method="POST", body=json.dumps(form).encode())

    @property
    def count(self) -> int:
        """How many requests have reached a backend."""
        return sum(len(each.asked) for each in self.backends.values())


@pytest.fixture(scope="module", params=EDGES)
def front(request: pytest.FixtureRequest, backends: dict[str, Backend]) -> Iterator[Front]:
    package, server, application = EDGES[request.param]
    needs(package)
    env = {"JWT_SECRET": SECRET}
    for service, backend in backends.items():
        env[service.upper()] = f"http://127.0.0.1:{backend.port}"
        env[f"{service.upper()}_KEY"] = KEYS[service]
    with running(NAME, "", env, server, application) as (port, _):
        # `running` has checked the command of the docstring; there is no upstream of its own.
        site = Mounted(Mount(NAME, "", ()), port, None, {})  # type: ignore[arg-type]
        front = Front(site, backends)
        front.token = json.loads(front.log_in(user="ann", password="choose-one").body)["token"]
        yield front


def forged(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    import jwt

    claims = {"sub": "ann", "exp": time.time() + 60, **claims}
    there = {name: value for name, value in claims.items() if value is not None}
    token: str = jwt.encode(there, secret, algorithm)
    return token


def test_the_docstring_names_both_commands() -> None:
    text = re.sub(r"\s+", " ", (EXAMPLES / NAME).read_text().split('"""')[1])
    for _, server, application in EDGES.values():
        assert f"{server} {application}" in text


@pytest.mark.parametrize(
    ("form", "status"),
    [
        pytest.param({"user": "ann", "password": "choose-one"}, 200, id="right"),
        pytest.param({"user": "ann", "password": "guessed"}, 401, id="wrong-password"),
        pytest.param({"user": "root", "password": "choose-one"}, 401, id="unknown-user"),
        pytest.param({"user": "root", "password": ""}, 401, id="unknown-user-no-password"),
        pytest.param({"user": ["ann"], "password": "choose-one"}, 401, id="no-text"),
        pytest.param({"user": "ann", "password": "\ud800"}, 400, id="half-a-character"),
        pytest.param({"user": "ann"}, 400, id="half-a-form"),
    ],
)
def test_the_right_password_gives_a_token(front: Front, form: Any, status: int) -> None:
    answer = front.log_in(**form)
    assert (answer.status, b"token" in answer.body) == (status, status == 200)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 900, b"\xff"])
def test_a_login_that_is_none_gets_400(front: Front, body: bytes) -> None:
    assert front.site.ask("/login", method="POST", body=body).status == 400


def test_a_login_that_is_too_large_gets_413(front: Front) -> None:
    assert front.site.ask("/login", method="POST", body=b" " * 5000).status == 413


def test_the_login_takes_post_alone_and_sends_nothing_on(front: Front) -> None:
    for path, method in [("/login", "GET"), ("/login/x", "POST"), ("/login/", "GET")]:
        answer = front.get(path, method=method)
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("service", SERVICES)
def test_a_backend_gets_its_key_and_the_user_and_no_token(front: Front, service: str) -> None:
    answer = front.get(f"/{service}")
    assert answer.status == 200, answer
    assert json.loads(answer.body)["user"] == "ann"
    asked = front.backends[service].asked[-1]
    assert (asked["HTTP_X_API_KEY"], asked["HTTP_X_USER"]) == (KEYS[service], "ann")
    assert "HTTP_AUTHORIZATION" not in asked
    assert asked["PATH_INFO"] == f"/shops/ann/{service}"


def test_no_backend_gets_the_key_of_the_other_one(front: Front) -> None:
    for service in SERVICES:
        front.get(f"/{service}", {"X-API-Key": KEYS["inventory"]})
    for service, backend in front.backends.items():
        (other,) = KEYS.keys() - {service}
        assert KEYS[other] not in str(backend.asked)


@pytest.mark.parametrize("name", INTRUDER)
@pytest.mark.parametrize("service", SERVICES)
def test_a_client_sets_neither_the_user_nor_the_key(front: Front, service: str, name: str) -> None:
    assert json.loads(front.get(f"/{service}", {name: INTRUDER[name]}).body)["user"] == "ann"
    asked = front.backends[service].asked[-1]
    assert INTRUDER[name] not in asked.values()
    assert asked["HTTP_X_API_KEY"] == KEYS[service]


TOKENS = {
    "none": lambda: "",
    "garbage": lambda: "Bearer not.a.token",
    "not-ascii": lambda: "Bearer \xe9\xff",
    "expired": lambda: "Bearer " + forged(exp=time.time() - 1),
    "forged": lambda: "Bearer " + forged("another-secret-with-more-than-32-bytes"),
    "without-an-end": lambda: "Bearer " + forged(exp=None),
    "without-a-user": lambda: "Bearer " + forged(sub=None),
    "unsigned": lambda: "Bearer " + forged("", "none"),
    "another-algorithm": lambda: "Bearer " + forged(SECRET * 2, "HS512"),
    "another-scheme": lambda: "Basic " + forged(),
}


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("service", SERVICES)
def test_without_a_good_token_no_request_reaches_a_backend(
    front: Front, service: str, name: str
) -> None:
    before, field = front.count, {"Authorization": TOKENS[name]()}
    for path, method in [("", "GET"), ("/1", "DELETE"), ("/..", "GET")]:
        answer = front.site.ask(f"/{service}{path}", field, method=method)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert front.count == before


def test_a_token_of_the_same_secret_is_good(front: Front) -> None:
    """What the tokens above differ in is why they are refused."""
    assert front.site.ask("/inventory", {"Authorization": f"bearer {forged()}"}).status == 200


def test_what_is_added_is_found_where_location_says(front: Front) -> None:
    entry = {"amount": 5, "number": front.count}
    kind = {"Content-Type": "application/json"}
    body = json.dumps(entry).encode()
    added = front.get("/transactions", kind, method="POST", body=body)
    assert (added.status, json.loads(added.body)) == (201, entry)
    place = added.headers["Location"]
    assert re.fullmatch(r"/transactions/\d+", place)
    assert json.loads(front.get(place).body) == entry
    assert front.get("/transactions/0").status == 404


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/a%2Fb", id="slash"),
        pytest.param("/a//b", id="two-slashes"),
        pytest.param("/%C3%A9?q=1&q=2", id="utf-8-and-a-query"),
        pytest.param("//shops/bob/transactions", id="like-a-host"),
        pytest.param("/%252Fx", id="encoded-twice"),
    ],
)
def test_each_path_stays_as_it_is_in_the_shop_of_the_user(front: Front, path: str) -> None:
    assert front.get(f"/transactions{path}").status == 404
    asked = front.backends["transactions"].asked[-1]
    assert asked["TARGET"] == f"/shops/ann/transactions{path}"


@pytest.mark.parametrize(
    "path",
    [
        "/transactions/../../bob/transactions",
        "/transactions/%2e%2e/%2E%2E/bob/transactions",
        "/transactions/..%2f..%2fbob/transactions",
        "/transactions/x/..%5C..%5Cbob",
        "/transactions/%252e%252e/bob",
    ],
)
def test_no_path_leads_to_another_shop(front: Front, path: str) -> None:
    before = front.count
    assert front.get(path).status == 400
    assert front.count == before


@pytest.mark.parametrize(
    "path", ["/", "/other", "/transactionsx", "/Login", "/shops/ann/inventory"]
)
def test_beside_the_prefixes_is_nothing(front: Front, path: str) -> None:
    before = front.count
    assert front.get(path).status == 404
    assert front.count == before


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        pytest.param("gzip, deflate", "gzip", id="gzip"),
        pytest.param("identity", None, id="none"),
        pytest.param("gzip;q=0", None, id="refused"),
    ],
)
def test_clients_that_take_gzip_get_it(front: Front, accepted: str, coding: str | None) -> None:
    answer = front.get("/inventory/large", {"Accept-Encoding": accepted})
    assert answer.headers.get_all("Content-Encoding", []) == ([coding] if coding else [])
    assert (gzip.decompress(answer.body) if coding else answer.body) == LARGE
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["ETag"] == ('W/"x"' if coding else '"x"')
    assert answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]


def test_no_cookie_of_one_response_is_in_the_next_request(front: Front) -> None:
    front.get("/inventory/large")
    front.get("/inventory")
    assert "HTTP_COOKIE" not in front.backends["inventory"].asked[-1]


def test_a_redirect_goes_to_the_client(front: Front) -> None:
    answer = front.get("/transactions/away")
    assert answer.status == 302
    assert answer.headers["Location"] == f"{ELSEWHERE}/transactions/ann/transactions/1"


def test_what_is_short_is_not_compressed(front: Front) -> None:
    answer = front.get("/inventory", {"Accept-Encoding": "gzip"})
    assert (answer.status, answer.headers["Content-Encoding"]) == (200, None)


def test_the_backend_for_readers_runs_by_its_own_command() -> None:
    needs("flask", "waitress")
    with running("shop_backend.py", "", {"KEY": "first"}) as (port, _):
        site = Mounted(Mount("", "", ()), port, None, {})  # type: ignore[arg-type]
        assert site.ask("/shops/ann/inventory").status == 401
        answer = site.ask("/shops/ann/inventory", {"X-API-Key": "first", "X-User": "ann"})
        assert json.loads(answer.body) == {"user": "ann", "entries": []}
