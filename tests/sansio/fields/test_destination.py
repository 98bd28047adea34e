"""Rules about addresses in a WebDAV request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgiproxy.errors import BadRequest
from wsgiproxy.sansio.environ.restore import by_envelope, by_family
from wsgiproxy.sansio.fields.destination import Place, map_destination, map_fields, map_tags
from wsgiproxy.sansio.fields.envelope import Envelope
from wsgiproxy.sansio.fields.forwarded import Stated

PUBLIC = Place("https", "shop.example", "/m")
INNER = Place("http", "10.0.0.7:8000", "/app")


@pytest.mark.parametrize(
    ("address", "mapped"),
    [
        pytest.param("https://shop.example/m/a%2Fb?q", "http://10.0.0.7:8000/app/a%2Fb?q", id="it"),
        pytest.param("HTTPS://Shop.example:443/m/x", "http://10.0.0.7:8000/app/x", id="spelling"),
        pytest.param("https://shop.example/m", "http://10.0.0.7:8000/app", id="mount-itself"),
        pytest.param("/m/x", "/app/x", id="path"),
        pytest.param("/m", "/app", id="path-of-the-mount"),
    ],
)
def test_map_destination(address: str, mapped: str) -> None:
    """RFC 4918, 10.3: an absolute URI or an absolute path."""
    assert map_destination(address, PUBLIC, INNER) == mapped


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("http://shop.example/m/x", id="other-scheme"),
        pytest.param("https://shop.example:8443/m/x", id="other-port"),
        pytest.param("https://evil.example/m/x", id="other-host"),
        pytest.param("https://shop.example@evil.example/m/x", id="userinfo"),
        pytest.param("https://shop.example/mine", id="segment-boundary"),
        pytest.param("https://shop.example/", id="above-the-mount"),
        pytest.param("http://10.0.0.7:8000/app/x", id="that-of-the-upstream"),
        pytest.param("//shop.example/m/x", id="without-a-scheme"),
        pytest.param("/x", id="path-elsewhere"),
        pytest.param("m/x", id="relative"),
        pytest.param("", id="empty"),
    ],
)
def test_any_other_destination_is_left_alone(address: str) -> None:
    assert map_destination(address, PUBLIC, INNER) == address
    assert map_tags(f"<{address}> (<urn:x>)", PUBLIC, INNER) == f"<{address}> (<urn:x>)"


@pytest.mark.parametrize(
    ("address", "passes"),
    [
        pytest.param("https://evil.example/m/x", True, id="other-host"),
        pytest.param("http://evil.example:8000/x", True, id="other-host-and-scheme"),
        pytest.param("https://shop.example:8443/m/x", False, id="other-port"),
        pytest.param("http://shop.example/m/../x", False, id="other-scheme"),
        pytest.param("https://u@shop.example/m/../x", False, id="userinfo"),
        pytest.param("https://shop.example@evil.example/x", False, id="userinfo-of-another"),
        pytest.param("https://shop.example/mine", False, id="segment-boundary"),
        pytest.param("http://10.0.0.7:8000/app/x", False, id="that-of-the-upstream"),
        pytest.param("http://10.0.0.7/app/x", False, id="the-upstream-without-its-port"),
        pytest.param("//shop.example/m/../x", False, id="without-a-scheme"),
        pytest.param("/x", False, id="path-elsewhere"),
        pytest.param(" /m/../x", False, id="a-blank-in-front"),
        pytest.param("https:/x", False, id="one-slash"),
        pytest.param("m/../../x", False, id="relative"),
        pytest.param("/m\\..\\..\\x", False, id="backslashes"),
        pytest.param("", False, id="empty"),
    ],
)
def test_a_destination_beside_the_mount_is_refused(address: str, passes: bool) -> None:
    """The path of href, and the mount, are walls: the upstream would take it for its own."""
    headers = [("Destination", address)]
    if passes:
        assert map_fields(headers, PUBLIC, INNER) == headers
    else:
        with pytest.raises(BadRequest):
            map_fields(headers, PUBLIC, INNER)


@pytest.mark.parametrize("address", ["http://10.0.0.7:8000/x", "//a/x", "m/x", ""])
def test_without_a_wall_it_is_left_alone(address: str) -> None:
    headers = [("Destination", address)]
    here, there = PUBLIC._replace(path=""), INNER._replace(path="")
    assert map_fields(headers, here, there) == headers


@pytest.mark.parametrize("dots", ["..", "%2e%2E", "a/../..", "..%2fx", "..;/x"])
def test_a_destination_does_not_lead_out_of_the_mount(dots: str) -> None:
    for address in (f"https://shop.example/m/{dots}", f"/m/{dots}"):
        with pytest.raises(BadRequest, match="segment"):
            map_destination(address, PUBLIC, INNER)


@pytest.mark.parametrize("rest", ["//evil.example/x", "/\\evil.example/x"])
def test_a_path_does_not_become_another_host(rest: str) -> None:
    root = INNER._replace(path="")
    assert map_destination("/m" + rest, PUBLIC, root) == "http://10.0.0.7:8000" + rest


def test_the_root_of_the_upstream_has_its_slash() -> None:
    root = INNER._replace(path="")
    assert map_destination("/m", PUBLIC, root) == "/"
    assert map_destination("https://shop.example/m", PUBLIC, root) == "http://10.0.0.7:8000/"


@pytest.mark.parametrize(
    ("value", "mapped"),
    [
        pytest.param("</m/x> (<urn:a>)", "</app/x> (<urn:a>)", id="tagged"),
        pytest.param(
            '</m/x> (<urn:a> ["e"]) (Not <urn:b>) <https://shop.example/m> ([W/"f"])',
            '</app/x> (<urn:a> ["e"]) (Not <urn:b>) <http://10.0.0.7:8000/app> ([W/"f"])',
            id="several",
        ),
        pytest.param("(</m/x>)", "(</m/x>)", id="token"),
        pytest.param('(["(</m/x>"]) </m/y> ()', '(["(</m/x>"]) </app/y> ()', id="entity-tag"),
        pytest.param("</m/x", "</m/x", id="tag-without-end"),
        pytest.param('(["</m/x>', '(["</m/x>', id="list-without-end"),
        pytest.param("<<", "<<", id="brackets"),
        pytest.param("", "", id="empty"),
    ],
)
def test_map_tags(value: str, mapped: str) -> None:
    """RFC 4918, 10.4."""
    assert map_tags(value, PUBLIC, INNER) == mapped


@given(st.text('<>()"[]/m ax', max_size=20))
def test_malformed_lists_lose_nothing(value: str) -> None:
    """Where nothing is ours to map, each character stays."""
    assert map_tags(value, PUBLIC._replace(path="/other"), INNER) == value


@pytest.mark.parametrize("part", ["<", '"', "(<", '("', "<>"])
def test_map_tags_is_linear(part: str) -> None:
    value = part * 100_000
    assert map_tags(value, PUBLIC, INNER) == value


def test_two_fields_are_mapped_and_no_other() -> None:
    sent = [("Destination", "/m/x"), ("If", "</m/x> (<urn:a>)"), ("X", "/m/x"), ("If-Match", "/m")]
    assert map_fields(sent, PUBLIC, INNER) == [
        ("Destination", "/app/x"),
        ("If", "</app/x> (<urn:a>)"),
        *sent[2:],
    ]


# At the backend


def came(destination: str, **changes: str) -> dict[str, Any]:
    """A request as our proxy sends it on to ``http://10.0.0.7:8000/app``."""
    return {
        "REQUEST_METHOD": "MOVE",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "10.0.0.7:8000",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/app/y",
        "QUERY_STRING": "",
        "HTTP_DESTINATION": destination,
        "HTTP_IF": f"<{destination}> (<urn:a>)",
        **changes,
    }


SAID = Stated(scheme="https", host="shop.example", prefix="/m", traversal_path="/app")


@pytest.mark.parametrize(
    ("destination", "restored"),
    [
        pytest.param("http://10.0.0.7:8000/app/x", "https://shop.example/m/x", id="mapped-by-us"),
        pytest.param("/app/x", "/m/x", id="path"),
        pytest.param("https://shop.example/m/x", "https://shop.example/m/x", id="never-mapped"),
        pytest.param("http://evil.example/app/x", "http://evil.example/app/x", id="foreign"),
    ],
)
def test_a_backend_that_knows_its_mount_gets_what_the_client_wrote(
    destination: str, restored: str
) -> None:
    """An application compares it with the Host and the SCRIPT_NAME that it is given."""
    environ = came(destination)
    after = environ | by_family(SAID, environ)
    assert (after["HTTP_HOST"], after["SCRIPT_NAME"]) == ("shop.example", "/m")
    assert after["HTTP_DESTINATION"] == restored
    assert after["HTTP_IF"] == f"<{restored}> (<urn:a>)"


@pytest.mark.parametrize("address", ["http://shop.example/m/x", "/m/x"])
def test_another_proxy_that_maps_no_destination_is_not_taken_for_ours(address: str) -> None:
    said = Stated(host="shop.example", prefix="/m")
    environ = came(address, HTTP_HOST="shop.example", PATH_INFO="/y")
    assert (environ | by_family(said, environ))["HTTP_DESTINATION"] == address


def test_proven_addresses_are_put_back_whatever_they_look_like() -> None:
    """A folder that is called like the mount is told from it, since the sender is known."""
    envelope = Envelope(
        **{
            **dict.fromkeys(Envelope._fields, ""),
            "scheme": "http",
            "host": "shop.example",
            "port": "80",
            "script_name": "/m",
            "target": "/m/y",
            "path_info": None,
            "query": None,
            "carried": {},
        }
    )
    environ = came("http://shop.example/m/x", HTTP_HOST="shop.example", PATH_INFO="/m/y")
    after = environ | by_envelope(envelope, environ)
    assert (after["SCRIPT_NAME"], after["PATH_INFO"]) == ("/m", "/m/y")
    assert after["HTTP_DESTINATION"] == "http://shop.example/m/m/x"
