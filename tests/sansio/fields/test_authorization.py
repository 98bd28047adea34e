"""Which credentials and challenges make a connection its client's own."""

from __future__ import annotations

import pytest

from tests.sansio.test_pipeline import reverse
from tests.support.rounds import together
from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.environ.inbound import read
from wsgiproxy.sansio.fields.authorization import has_login, names_login
from wsgiproxy.sansio.h1 import Limits, ResponseReader
from wsgiproxy.sansio.pipeline import outgoing
from wsgiproxy.sansio.policy.exact import ExactPolicy

BOUND = [
    pytest.param("NTLM", id="ntlm-challenge"),
    pytest.param("NTLM TlRMTVNTUAAB", id="ntlm-token"),
    pytest.param("nTlM TlRMTVNTUAAB", id="a-scheme-has-no-case"),
    pytest.param("Negotiate YIIJvwYG", id="negotiate"),
    pytest.param("Nego2 YIIJvwYG", id="nego2"),
    pytest.param("Kerberos YIIJvwYG", id="kerberos"),
    pytest.param('Basic realm="a, b", NTLM', id="a-later-member"),
    pytest.param("Basic YTpi,NTLM TlRMTVNTUAAB", id="fields-that-a-server-has-joined"),
    pytest.param("  \tNTLM TlRM", id="blanks-before-it"),
    pytest.param(",Negotiate", id="an-empty-member-before-it"),
]
FREE = [
    pytest.param("Basic YTpi", id="basic"),
    pytest.param("Bearer abc.def.ghi", id="bearer"),
    pytest.param('Digest username="a", realm="b"', id="digest"),
    pytest.param("Basic realm=xNTLM", id="the-end-of-a-word"),
    pytest.param("", id="nothing"),
]


@pytest.mark.parametrize("value", BOUND)
def test_bound_to_its_connection(value):
    assert names_login(value)


@pytest.mark.parametrize("value", FREE)
def test_free_of_its_connection(value):
    assert not names_login(value)


@pytest.mark.parametrize(
    "name",
    ["Authorization", "authorization", "AUTHORIZATION", "Proxy-Authorization"],
)
def test_credentials_are_found_however_their_field_is_written(name):
    headers = [("Host", "a"), ("X-A", "b"), (name, "NTLM TlRM")]
    assert has_login(headers)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([("X-Note", "NTLM")], id="another-field"),
        pytest.param([("Authorization", "Basic YTpi"), ("X-Note", "NTLM")], id="basic-beside-it"),
        pytest.param([("X-Authorization", "NTLM TlRM")], id="a-longer-name"),
    ],
)
def test_other_fields_say_nothing(headers):
    assert not has_login(headers)


@together
@pytest.mark.parametrize("value", BOUND)
@pytest.mark.parametrize("status", [200, 401, 407])
@pytest.mark.parametrize("name", ["WWW-Authenticate", "proxy-authenticate"])
def test_an_answer_that_challenges_makes_its_connection_the_clients_own(name, status, value):
    reader = ResponseReader("GET", Limits())
    head = f'HTTP/1.1 {status} x\r\n{name}: Basic realm="a"\r\n{name}: {value}\r\n'
    reader.feed(f"{head}Content-Length: 0\r\n\r\n".encode())
    assert (reader.complete, reader.bound) == (True, True)


@pytest.mark.parametrize("value", FREE)
def test_an_answer_with_another_challenge_leaves_its_connection_free(value):
    reader = ResponseReader("GET", Limits())
    reader.feed(
        f"HTTP/1.1 401 x\r\nWWW-Authenticate: {value}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert (reader.reusable, reader.bound) == (True, False)


@pytest.mark.parametrize(
    ("environ", "login"),
    [
        ({}, False),
        ({"HTTP_AUTHORIZATION": "Basic YTpi"}, True),
        ({"HTTP_AUTHORIZATION": "NTLM YTpi"}, True),
        ({"HTTP_PROXY_AUTHORIZATION": "NTLM YTpi"}, False),
    ],
    ids=["none", "basic", "ntlm", "for-this-hop-alone"],
)
@pytest.mark.parametrize("policy", [ExactPolicy("p"), reverse()], ids=["exact", "reverse"])
def test_the_request_says_whether_there_may_be_credentials(environ, login, policy):
    """Where it says that there are none, nobody looks for them."""
    base = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": "a", "SERVER_NAME": "a"}
    request = outgoing(read({**base, **environ}), policy).request
    assert request.login is login
    assert login or not has_login(request.headers)


@pytest.mark.parametrize("key", ["HTTP_Authorization", "HTTP_authorization"])
def test_a_key_by_which_credentials_would_not_be_found_is_refused(key):
    with pytest.raises(BadRequest, match="capitals"):
        read({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": "a", key: "NTLM YTpi"})
