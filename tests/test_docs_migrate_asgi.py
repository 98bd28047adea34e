"""The pages for those who come from another package for ASGI: each of its names has a row.

The packages are not installed here: their public names are written down, as of the versions that
the pages name.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.rounds import together

pytest.importorskip("starlette")

from tests.support.tables import literals, rows
from tests.test_docs_migrate import unknown
from wsgiproxy.settings import APP, TRANSPORT

DOCS = Path(__file__).parents[1] / "docs"

NAMES = {
    "migrate_fastapi_proxy_lib": """
        BaseHttpProxy ForwardHttpProxy ReverseHttpProxy BaseWebSocketProxy ReverseWebSocketProxy
        BaseProxyModel ProxyFilterProto default_proxy_filter forward_http_app reverse_http_app
        reverse_ws_app RouterHelper registered_proxy register_router get_lifespan BaseURLError
        ErrMsg ErrRseponseJson check_base_url check_http_version return_err_msg_response
        warn_for_none_filter lru_get_url reset_lru_get_url client base_url follow_redirects
        proxy_filter max_message_size_bytes queue_size keepalive_ping_interval_seconds
        keepalive_ping_timeout_seconds aclose send_request_to_target proxy
        SUPPORTED_HTTP_VERSIONS SUPPORTED_WS_HTTP_VERSIONS client_to_server_callback
        server_to_client_callback CallbackPipeContextType LoggerProtocol detail err_type msg
        change_necessary_client_header_for_httpx
    """,
    "migrate_aiorp": """
        ProxyContext HTTPProxyHandler WsProxyHandler ProxyRequest ProxyResponse ProxyMiddlewareDef
        MiddlewarePhase Rewrite configure_contexts ResponseType BaseHandler url session_factory
        state session ws_source ws_target set_request set_response start_session close_session
        set_socket_pair terminate_sockets context rewrite request_options middlewares
        error_handler add_middleware proxy client_edge target_edge CLIENT_EDGE PROXY TARGET_EDGE
        proxy_tunnel receive_timeout in_req headers method params content set_x_forwarded_for
        load_content HOP_BY_HOP_HEADERS in_resp web web_response_set rfrom rto execute
        SessionFactory request response BASE STREAM ProxyMiddleware middleware phase ErrorHandler
        MessageHandler ClientMessageHandler WebMessageHandler SocketResponse
    """,
    "migrate_asgiproxy": """
        ProxyConfig get_upstream_url get_upstream_url_with_query process_client_headers
        get_client_protocols process_upstream_headers get_upstream_http_options
        get_upstream_websocket_options BaseURLProxyConfigMixin upstream_base_url
        rewrite_host_header ProxyContext max_concurrency make_simple_proxy_app
        proxy_http_handler proxy_websocket_handler proxy_http proxy_websocket
        WebSocketProxyContext session semaphore close get_proxy_response
        convert_proxy_response_to_user_response determine_incoming_streaming
        determine_outgoing_streaming INCOMING_STREAMING_THRESHOLD OUTGOING_STREAMING_THRESHOLD
        read_stream_in_chunks chunk_size Streamable Headerlike UnknownMessage
        client_to_upstream_loop upstream_to_client_loop loop send_client_to_upstream
        send_upstream_to_client make_app main asgi_proxy backend log timeout host port verbose
    """,
}
PACKAGES = {
    "fastapi_proxy_lib": "migrate_fastapi_proxy_lib",
    "aiorp": "migrate_aiorp",
    "asgiproxy": "migrate_asgiproxy",
    "asgi_proxy": "migrate_asgiproxy",
}
# Of other people, and headers, in the column that says what to take.
OTHERS = {
    *("Accept", "APIRouter", "Request", "request.state", "--limit-concurrency", "send", "headers"),
    *("wsgiproxy.access", "wsgiproxy.error", "path", "Connection"),
}
ROWS = [
    pytest.param(row, id=f"{page}-{number}")
    for page in NAMES
    for number, row in enumerate(rows(page), 1)
]


def defined(body: list[ast.stmt]) -> Iterator[str]:
    """The public names of a module or class, and of the classes in it."""
    for node in body:
        found: list[ast.expr | str] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found = [node.name]
        elif isinstance(node, ast.Assign):
            found = [*node.targets]
        elif isinstance(node, ast.AnnAssign):
            found = [node.target]
        for name in (each.id if isinstance(each, ast.Name) else each for each in found):
            if isinstance(name, str) and not name.startswith("_"):
                yield name
                if isinstance(node, ast.ClassDef):
                    yield from defined(node.body)


@pytest.mark.parametrize("package", PACKAGES)
def test_where_a_package_is_installed_its_names_are_those_written_down(package: str) -> None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    files = Path(spec.submodule_search_locations[0]).rglob("*.py")
    names = {name for file in files for name in defined(ast.parse(file.read_text()).body)}
    assert sorted(names - set(NAMES[PACKAGES[package]].split())) == []


@pytest.mark.parametrize("page", NAMES)
def test_each_name_of_the_other_package_has_a_row(page: str) -> None:
    words = {
        word
        for row in rows(page)
        for literal in literals(row[0])
        for word in re.findall(r"\w+", literal)
    }
    assert sorted(set(NAMES[page].split()) - words) == []


@together
@pytest.mark.parametrize("row", ROWS)
def test_a_row_says_what_to_take(row: list[str]) -> None:
    assert len(row) == 2
    assert row[0] and row[1]


def missing(literal: str) -> str:
    """The first name in a literal of our column that is not there; empty if all are."""
    if literal in OTHERS:
        return ""
    if literal.startswith("wsgiproxy "):  # a command
        flags = re.findall(r"--([a-z-]+)", literal)
        known = {row.name.replace("_", "-") for table in (APP, TRANSPORT) for row in table}
        return next((name for name in flags if name not in known | {"listen", "log-level"}), "")
    return unknown(literal.replace("await ", "").removesuffix("()"))


@together
@pytest.mark.parametrize("row", ROWS)
def test_what_to_take_exists(row: list[str]) -> None:
    found = [missing(literal) for literal in literals(row[1])]
    assert [name for name in found if name] == []


def test_a_name_that_is_not_there_is_found() -> None:
    assert missing("ASGIReverseProxy(href)") == "ASGIReverseProxy"
    assert missing("wsgiproxy URL --head-time-out") == "head-time-out"
    assert missing("await proxied(request, app, path)") == ""


@pytest.mark.parametrize("page", NAMES)
def test_each_page_shows_the_same_before_and_after(page: str) -> None:
    text = (DOCS / f"{page}.rst").read_text()
    assert text.count(".. code-block:: py\n") >= 1
    assert text.count(".. code-block:: python\n") == 1
    assert "What changes for the better" in text
