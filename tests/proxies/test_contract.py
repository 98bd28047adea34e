"""The names and signatures of WSGIProxy2 0.5.1."""

from __future__ import annotations

import inspect
import logging
from http.client import HTTPConnection, HTTPSConnection
from typing import Any

import pytest

import wsgiproxy
from wsgiproxy import proxies, requests_client, urllib3_client


@pytest.mark.parametrize("name", ["Proxy", "HostProxy", "TransparentProxy"])
def test_the_package_has_the_proxies(name: str) -> None:
    assert getattr(wsgiproxy, name) is getattr(proxies, name)


@pytest.mark.parametrize(
    ("thing", "signature"),
    [
        pytest.param(
            proxies.Proxy,
            [
                ("client", None),
                ("allowed_methods", proxies.ALLOWED_METHODS),
                ("strip_script_name", True),
            ],
            id="Proxy",
        ),
        pytest.param(
            proxies.HostProxy,
            [
                ("uri", inspect.Parameter.empty),
                ("client", None),
                ("allowed_methods", proxies.ALLOWED_METHODS),
                ("strip_script_name", True),
            ],
            id="HostProxy",
        ),
        pytest.param(
            proxies.rewrite_location,
            [
                ("host_uri", inspect.Parameter.empty),
                ("location", inspect.Parameter.empty),
                ("prefix_path", None),
            ],
            id="rewrite_location",
        ),
        pytest.param(urllib3_client.HttpClient, [("pool", None)], id="urllib3"),
        pytest.param(
            requests_client.HttpClient, [("chunk_size", 24576), ("session", None)], id="requests"
        ),
    ],
)
def test_positional_arguments_keep_their_order(
    thing: Any, signature: list[tuple[str, Any]]
) -> None:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD,)
    parameters = inspect.signature(thing).parameters.values()
    found = [(each.name, each.default) for each in parameters if each.kind in kinds]
    assert found == signature


def test_the_default_argument_is_the_list_itself() -> None:
    default = inspect.signature(proxies.Proxy).parameters["allowed_methods"].default
    assert default is proxies.ALLOWED_METHODS
    assert isinstance(proxies.ALLOWED_METHODS, list)
    assert proxies.Proxy().allowed_methods is proxies.ALLOWED_METHODS


def test_a_proxy_has_its_attributes_and_takes_others() -> None:
    proxy: Any = proxies.HostProxy("https://example.com:8443/base/")
    assert (proxy.uri, proxy.scheme) == ("https://example.com:8443/base", "https")
    assert proxy.net_loc == "example.com:8443"
    assert isinstance(proxy.http, proxies.HttpClient)
    assert isinstance(proxy.logger, logging.Logger)
    assert proxy.strip_script_name is True
    assert set(proxy.header_map) == {
        "HTTP_HOST",
        "SCRIPT_NAME",
        "wsgi.url_scheme",
        "REMOTE_ADDR",
    }
    proxy.login_url = "/login"
    proxy.string_keys = ["REMOTE_USER"]
    assert (proxy.login_url, proxy.string_keys) == ("/login", ["REMOTE_USER"])


def test_the_clients_have_their_attributes() -> None:
    assert proxies.HttpClient.HTTPConnection is HTTPConnection
    assert proxies.HttpClient.HTTPSConnection is HTTPSConnection
    assert urllib3_client.HttpClient.default_options == {"redirect": False}
    assert requests_client.HttpClient.default_options == {
        "verify": True,
        "allow_redirects": False,
    }
    client = requests_client.HttpClient(24 * 1024, timeout=3)
    assert (client.chunk_size, client.session) == (24 * 1024, None)
    assert client.options["timeout"] == 3


def test_the_constants_are_there() -> None:
    assert len(proxies.LOW_CHAR_SAFE) == 128
    assert "Content-Length" in proxies.WEBOB_ERROR
    assert proxies.ABSOLUTE_URL_RE.match("HTTPS://example.com")
    assert not proxies.ABSOLUTE_URL_RE.match("/http://example.com")


@pytest.mark.parametrize(
    ("environ", "uri"),
    [
        pytest.param({"HTTP_HOST": "a:81"}, "http://a:81", id="Host alone"),
        pytest.param({"HTTP_HOST": "a", "SERVER_NAME": "b"}, "http://b:80", id="SERVER_NAME wins"),
        pytest.param({"SERVER_NAME": "b", "SERVER_PORT": 81}, "http://b:81", id="an int for port"),
        pytest.param({"SERVER_NAME": "b:82", "SERVER_PORT": "81"}, "http://b:82", id="both ports"),
        pytest.param({"SERVER_NAME": "::1", "SERVER_PORT": "81"}, "http://[::1]:81", id="IPv6"),
        pytest.param(
            {"SERVER_NAME": "b", "wsgi.url_scheme": "https"}, "https://b:443", id="the scheme"
        ),
    ],
)
def test_the_proxy_goes_where_the_environ_says(environ: dict[str, Any], uri: str) -> None:
    before = dict(environ)
    assert proxies.Proxy().extract_uri(environ) == uri
    assert environ == before


def test_the_transparent_proxy_goes_to_the_host_asked_for() -> None:
    environ = {"HTTP_HOST": "a", "SERVER_NAME": "b", "wsgi.url_scheme": "https"}
    assert proxies.TransparentProxy().extract_uri(environ) == "https://a:443"


def test_the_host_proxy_sets_the_host_of_the_copy_that_it_is_given() -> None:
    environ = {"HTTP_HOST": "public.example"}
    assert proxies.HostProxy("http://a:81/b").extract_uri(environ) == "http://a:81/b"
    assert environ == {"HTTP_HOST": "a:81"}
