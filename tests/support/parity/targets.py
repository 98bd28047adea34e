"""Targets and methods: byte for byte, or as near to it as the server lets us."""

from __future__ import annotations

from tests.support.parity import REVERSE, Case, Expect, but, on_asgi, refused

__all__ = ["TARGETS"]

_LOST = "it hands over no raw target, so what was encoded is decoded"
_NO_ABSOLUTE = "it refuses absolute-form, or mangles it beyond use"
_UPPER = "it refuses methods in lower case itself"
_NOT_ROUTED = "Starlette finds no route for a path that holds the authority"
_ONE_SLASH = "it makes one slash of several at the start, in PATH_INFO at least"


TARGETS = [
    Case(
        "target: an encoded slash stays encoded",
        Expect(line="GET /a%2Fb HTTP/1.1"),
        target="/a%2Fb",
        except_on={
            "wsgiref": but(_LOST, line="GET /a/b HTTP/1.1"),
            "granian": but(_LOST, line="GET /a/b HTTP/1.1"),
        },
    ),
    Case(
        "target: the case of an encoding stays",
        Expect(line="GET /a%2fb HTTP/1.1"),
        target="/a%2fb",
        except_on={
            "wsgiref": but(_LOST, line="GET /a/b HTTP/1.1"),
            "granian": but(_LOST, line="GET /a/b HTTP/1.1"),
        },
    ),
    Case(
        "target: empty segments stay",
        Expect(line="GET //x//y HTTP/1.1"),
        target="//x//y",
        apps=["reverse", "exact"],
        except_on={
            "wsgiref": but(_ONE_SLASH, line="GET /x//y HTTP/1.1"),
            "waitress": but(_ONE_SLASH, line="GET /x//y HTTP/1.1"),
            "werkzeug": but(_ONE_SLASH, line="GET /x//y HTTP/1.1"),
            "cheroot": but("it takes //x for an authority", status=400, reached=False),
        },
    ),
    Case(
        "target: empty segments stay below a mount",
        Expect(line="GET //x//y HTTP/1.1"),
        target="//x//y",
        apps=["mounted"],
    ),
    Case("target: path parameters stay", Expect(line="GET /a;b=1 HTTP/1.1"), target="/a;b=1"),
    Case(
        "target: an empty query stays",
        Expect(line="GET /x? HTTP/1.1"),
        target="/x?",
        except_on={
            "wsgiref": but("it has no raw target", line="GET /x HTTP/1.1"),
            "granian": but("it has no raw target", line="GET /x HTTP/1.1"),
            **on_asgi("a scope does not tell it from none", line="GET /x HTTP/1.1"),
        },
    ),
    Case(
        "target: encoded UTF-8 stays",
        Expect(line="GET /caf%C3%A9 HTTP/1.1"),
        target="/caf%C3%A9",
    ),
    Case(
        "target: octets that are no UTF-8",
        Expect(line="GET /caf%E9/a%2Fb HTTP/1.1"),
        target="/caf%E9/a%2Fb",
        except_on={
            "wsgiref": but(_LOST, line="GET /caf%E9/a/b HTTP/1.1"),
            "granian": but(_LOST, line="GET /caf%E9/a/b HTTP/1.1"),
        },
    ),
    Case(
        "target: a double encoding is decoded by nobody",
        Expect(line="GET /a%252Fb HTTP/1.1"),
        target="/a%252Fb",
    ),
    Case(
        "target: dot segments stay where no base path is left",
        Expect(line="GET /a/../b/./c HTTP/1.1"),
        target="/a/../b/./c",
        apps=["reverse", "exact"],
    ),
    Case(
        "target: dot segments may not leave a mount", refused(400), target="/../b", apps=["mounted"]
    ),
    Case(
        "target: a query stays byte for byte",
        Expect(line="GET /x?a=1;b=%zz&c[]=x|y^z HTTP/1.1"),
        target="/x?a=1;b=%zz&c[]=x|y^z",
    ),
    Case(
        "target: the root stays",
        Expect(line="GET / HTTP/1.1"),
        target="/",
    ),
    Case(
        "target: absolute-form becomes origin-form, and its authority the Host",
        Expect(line="GET /x?y HTTP/1.1", sent={"host": ["absolute.example:81"]}),
        target="http://absolute.example:81{mount}/x?y",
        apps=["exact"],
        except_on={
            "wsgiref": but(_NO_ABSOLUTE, status=400, reached=False),
            "cheroot": but(_NO_ABSOLUTE, status=400, reached=False),
            "granian": but("it forgets the authority", sent={"host": ["front.example"]}),
        },
    ),
    Case(
        "target: the authority of absolute-form is announced",
        Expect(line="GET /x?y HTTP/1.1", sent={"x-forwarded-host": ["absolute.example:81"]}),
        target="http://absolute.example:81{mount}/x?y",
        apps=REVERSE,
        except_on={
            "wsgiref/reverse": but(_NO_ABSOLUTE, status=400, reached=False),
            "wsgiref/mounted": but("no PATH_INFO is below the mount", status=404, reached=False),
            "cheroot": but(_NO_ABSOLUTE, status=400, reached=False),
            "granian": but("it forgets it", sent={"x-forwarded-host": ["front.example"]}),
            "uvicorn": but("it forgets it", sent={"x-forwarded-host": ["front.example"]}),
            "granian-asgi": but("it forgets it", sent={"x-forwarded-host": ["front.example"]}),
            "uvicorn-h11/mounted": but(_NOT_ROUTED, status=404, reached=False),
            "hypercorn/mounted": but(_NOT_ROUTED, status=404, reached=False),
        },
    ),
    Case(
        "target: OPTIONS * is sent by the exact proxy",
        Expect(line="OPTIONS * HTTP/1.1"),
        method="OPTIONS",
        target="*",
        apps=["exact"],
    ),
    Case(
        "target: OPTIONS * is refused by a reverse proxy",
        refused(400),
        method="OPTIONS",
        target="*",
        apps=["reverse"],
    ),
    Case("method: one of WebDAV passes", Expect(line="PROPFIND /x HTTP/1.1"), method="PROPFIND"),
    Case(
        "method: lower case stays",
        Expect(line="get /x HTTP/1.1"),
        method="get",
        except_on={
            "waitress": but(_UPPER, status=400, reached=False),
            "gunicorn": but(_UPPER, status=400, reached=False),
            "cheroot": but(_UPPER, status=400, reached=False),
            "uvicorn": but(_UPPER, status=400, reached=False),
            "hypercorn": but("it makes it upper case", line="GET /x HTTP/1.1"),
        },
    ),
    Case("method: OPTIONS passes", Expect(line="OPTIONS /x HTTP/1.1"), method="OPTIONS"),
    Case(
        "method: HEAD gets the length and no body",
        Expect(line="HEAD /x HTTP/1.1", body=b"", headers={"content-type": ["application/json"]}),
        method="HEAD",
    ),
]
