"""Request fields: what passes, what is removed, and what we say ourselves."""

from __future__ import annotations

from tests.support.parity import Case, Expect, but, on_asgi

__all__ = ["HEADERS"]

_BELIEVES = "it believes clients on 127.0.0.1 (forwarded_allow_ips)"
_UNDERSCORES = "it lets underscores in names pass, and WSGI cannot tell them from hyphens"


HEADERS = [
    Case(
        "header: hop-by-hop fields and those that Connection names are removed",
        Expect(
            sent={
                "connection": [],
                "x-named": [],
                "x-kept": ["1"],
                "keep-alive": [],
                "te": [],
                "trailer": [],
                "proxy-connection": [],
                "proxy-authorization": [],
                "http2-settings": [],
            }
        ),
        headers=[
            ("Connection", "close, X-Named, Content-Length, Host"),
            ("X-Named", "1"),
            ("X-Kept", "1"),
            ("Keep-Alive", "timeout=5"),
            ("TE", "trailers"),
            ("Trailer", "X-Sum"),
            ("Proxy-Connection", "keep-alive"),
            ("Proxy-Authorization", "Basic eDp5"),
            ("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
        ],
    ),
    Case(
        "header: Proxy is never sent (httpoxy)",
        Expect(sent={"proxy": []}),
        headers=[("Proxy", "http://evil.example")],
    ),
    Case(
        "header: nothing is invented",
        Expect(
            sent={
                "user-agent": [],
                "accept-encoding": [],
                "accept": [],
                "connection": [],
                "content-type": [],
            }
        ),
        except_on={
            "wsgiref": but(
                "it says text/plain where there is no Content-Type",
                sent={"content-type": ["text/plain"]},
            )
        },
    ),
    Case(
        "header: what the client asks for passes untouched",
        Expect(
            sent={
                "accept-encoding": ["br;q=1.0, gzip"],
                "range": ["bytes=0-1"],
                "authorization": ["Basic eDp5"],
                "cookie": ['a="1"; b=2'],
                "referer": ["http://elsewhere.example/"],
            }
        ),
        headers=[
            ("Accept-Encoding", "br;q=1.0, gzip"),
            ("Range", "bytes=0-1"),
            ("Authorization", "Basic eDp5"),
            ("Cookie", 'a="1"; b=2'),
            ("Referer", "http://elsewhere.example/"),
        ],
    ),
    Case(
        "header: a repeated field arrives as one list",
        Expect(sent={"x-twice": ["1,2"]}),
        headers=[("X-Twice", "1"), ("X-Twice", "2")],
        except_on={
            "waitress": but("it joins with a space", sent={"x-twice": ["1, 2"]}),
            "handler": but("it joins with a space", sent={"x-twice": ["1, 2"]}),
            "cheroot": but("it keeps the last alone", sent={"x-twice": ["2"]}),
            **on_asgi("a scope has them apart", sent={"x-twice": ["1", "2"]}),
        },
    ),
    Case(
        "header: two Cookie lines arrive as one",
        Expect(sent={"cookie": ["a=1; b=2"]}),
        headers=[("Cookie", "a=1"), ("Cookie", "b=2")],
        except_on={
            "wsgiref": but("it joins with a comma", sent={"cookie": ["a=1,b=2"]}),
            "waitress": but("it joins with a comma", sent={"cookie": ["a=1, b=2"]}),
            "gunicorn": but("it joins with a comma", sent={"cookie": ["a=1,b=2"]}),
            "werkzeug": but("it joins with a comma", sent={"cookie": ["a=1,b=2"]}),
            "cheroot": but("it keeps the last alone", sent={"cookie": ["b=2"]}),
            "granian": but("it joins without a space", sent={"cookie": ["a=1;b=2"]}),
        },
    ),
    Case(
        "header: bytes of Latin-1 stay",
        Expect(sent={"x-latin": ["caf\xe9"]}),
        headers=[("X-Latin", "caf\xe9")],
        except_on={"granian": but("it empties such a value", sent={"x-latin": [""]})},
    ),
    Case(
        "header: an underscore does not become a hyphen",
        Expect(sent={"x-auth-user": [], "x_auth_user": []}),
        headers=[("X_Auth_User", "evil")],
        except_on={
            "wsgiref": but(_UNDERSCORES, sent={"x-auth-user": ["evil"]}),
            "cheroot": but(_UNDERSCORES, sent={"x-auth-user": ["evil"]}),
            "granian": but(_UNDERSCORES, sent={"x-auth-user": ["evil"]}),
            **on_asgi("a scope has names as they were sent", sent={"x_auth_user": ["evil"]}),
        },
    ),
    Case(
        "header: Host stays in the exact proxy",
        Expect(sent={"host": ["front.example"]}),
        apps=["exact"],
    ),
    Case(
        "header: the exact proxy sends the forwarding fields that it got, and none of its own",
        Expect(
            sent={
                "x-forwarded-for": ["192.0.2.1"],
                "forwarded": ["for=192.0.2.1"],
                "x-forwarded-host": [],
            }
        ),
        headers=[("X-Forwarded-For", "192.0.2.1"), ("Forwarded", "for=192.0.2.1")],
        apps=["exact"],
        except_on={
            "waitress": but(
                "it removes them (clear_untrusted_proxy_headers)",
                sent={"x-forwarded-for": [], "forwarded": []},
            )
        },
    ),
    Case(
        "header: the namespace is ours, whatever the client puts there",
        Expect(
            sent={
                "x-forwarded-for": ["127.0.0.1"],
                "x-forwarded-host": ["front.example"],
                "x-forwarded-proto": ["http"],
                "x-forwarded-port": ["80"],
                "x-forwarded-prefix": [],
                "forwarded": [],
                "x-real-ip": [],
                "x-script-name": [],
                "x-wsgiproxy-str-0": [],
                "wsgiproxy": [],
                "x-original-url": [],
                "x-forwarded.for": [],
                "remote-user": [],
            }
        ),
        headers=[
            ("X-Forwarded-For", "6.6.6.6"),
            ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Proto", "gopher"),
            ("X-Forwarded-Port", "666"),
            ("X-Forwarded-Prefix", "/evil"),
            ("X-Forwarded.For", "6.6.6.6"),
            ("X_Forwarded_For", "6.6.6.6"),
            ("Forwarded", "for=6.6.6.6"),
            ("X-Real-IP", "6.6.6.6"),
            ("X-Script-Name", "/evil"),
            ("X-WSGIProxy-STR-0", "REMOTE_USER=root"),
            ("WSGIProxy", "e30"),
            ("X-Original-URL", "/admin"),
            ("Remote-User", "root"),
        ],
        apps=["reverse"],
        except_on={
            "uvicorn": but(_BELIEVES, sent={"x-forwarded-for": ["6.6.6.6"]}),
            "uvicorn-h11": but(_BELIEVES, sent={"x-forwarded-for": ["6.6.6.6"]}),
        },
    ),
    Case(
        "header: no client sets the scheme",
        Expect(sent={"x-forwarded-proto": ["http"], "x-forwarded-port": ["80"]}),
        headers=[("X-Forwarded-Proto", "https")],
        apps=["reverse"],
        except_on={
            name: but(_BELIEVES, sent={"x-forwarded-proto": ["https"], "x-forwarded-port": ["443"]})
            for name in ("gunicorn", "uvicorn", "uvicorn-h11")
        },
    ),
    Case(
        "header: a mount is announced",
        Expect(
            line="GET /a/b?c HTTP/1.1",
            sent={
                "x-forwarded-prefix": ["/mount"],
                "x-forwarded-script-name": ["/mount"],
                "x-traversal-path": [],
            },
        ),
        target="/a/b?c",
        headers=[("X-Forwarded-Prefix", "/evil"), ("X-Traversal-Path", "/evil")],
        apps=["mounted"],
    ),
    Case(
        "header: no client moves the mount",
        Expect(line="GET /adm/x HTTP/1.1", sent={"x-forwarded-prefix": [], "script-name": []}),
        target="/adm/x",
        headers=[("SCRIPT_NAME", "/adm")],
        apps=["reverse"],
        except_on={
            "gunicorn": but(
                _BELIEVES,
                line="GET /x HTTP/1.1",
                sent={"x-forwarded-prefix": ["/adm"]},
            )
        },
    ),
]
