"""``egg:wsgiproxy#host``: the proxy of WSGIProxy2, from strings."""

from __future__ import annotations

import pytest

from tests.support.in_process import front_environ, run
from tests.support.upstream import RawUpstream, answer
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.wsgiapp import make_host

HREF = "http://127.0.0.1:1"
FACTORY = "app egg:wsgiproxy#host: "


@pytest.mark.parametrize("name", ["href", "uri"])
def test_the_address_may_have_either_name(name: str) -> None:
    assert make_host({}, **{name: f"{HREF}/base"}).uri == f"{HREF}/base"


def test_strings_are_converted() -> None:
    proxy = make_host({}, href=HREF, allowed_methods="GET, PROPFIND", strip_script_name="off")
    assert (proxy.allowed_methods, proxy.strip_script_name) == (("GET", "PROPFIND"), False)


@pytest.mark.parametrize(
    ("client", "options", "attributes"),
    [
        pytest.param(
            None, {"connect_timeout": "3"}, {"options": {"connect_timeout": 3.0}}, id="default"
        ),
        pytest.param("httplib", {"verify": "no"}, {"options": {"verify": False}}, id="httplib"),
        pytest.param("urllib3", {"chunk_size": "1k"}, {"chunk_size": 1024}, id="urllib3"),
        pytest.param(
            "requests",
            {"chunk_size": "7", "timeout": "2.5", "verify": "/srv/ca.pem"},
            {
                "chunk_size": 7,
                "options": {"verify": "/srv/ca.pem", "allow_redirects": False, "timeout": 2.5},
            },
            id="requests",
        ),
        pytest.param(
            "requests",
            {"verify": "true"},
            {"options": {"verify": True, "allow_redirects": False}},
            id="requests-verifies",
        ),
    ],
)
def test_strings_of_the_client_are_converted(
    client: str | None, options: dict[str, str], attributes: dict[str, object]
) -> None:
    named = {} if client is None else {"client": client}
    proxy = make_host({}, href=HREF, **named, **options)
    assert {name: getattr(proxy.http, name) for name in attributes} == attributes
    proxy.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({}, "href is missing: expected http://host", id="none"),
        pytest.param({"href": "localhost:1"}, "href='localhost:1': expected", id="scheme"),
        pytest.param({"uri": "x"}, "uri='x': expected http://host", id="uri"),
        pytest.param({"href": HREF, "uri": HREF}, f"uri={HREF!r}: expected no href", id="both"),
        pytest.param(
            {"href": HREF, "client": "restkit"}, "client='restkit': expected httplib", id="client"
        ),
        pytest.param({"href": HREF, "client": ""}, "client='': expected httplib", id="no-client"),
        pytest.param(
            {"href": HREF, "client": "urllib3", "chunk_size": "x"},
            "chunk_size='x': expected a number of bytes",
            id="option-of-a-client",
        ),
        pytest.param(
            {"href": HREF, "chunk_size": "7"}, "chunk_size='7': no such", id="of-another-client"
        ),
        pytest.param(
            {"href": HREF, "strip_script_name": "maybe"},
            "strip_script_name='maybe': expected true or false",
            id="boolean",
        ),
        pytest.param({"href": HREF, "session": "x"}, "session='x': no such", id="unknown"),
    ],
)
def test_a_bad_section_is_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_host({"secret_file": "/no/file"}, **options)
    assert str(caught.value).startswith(FACTORY + message)


def test_a_request_is_proxied(upstream: RawUpstream) -> None:
    upstream.behaviour = answer(200, body=b"hello")
    proxy = make_host({}, href=upstream.url, allowed_methods="GET")
    assert run(proxy, front_environ(PATH_INFO="/x")).whole == b"hello"
    assert run(proxy, front_environ(b"body", PATH_INFO="/x")).head.status == 405
    assert [request.target for request in upstream.requests] == ["/x"]
    proxy.close()
