"""Nothing that is masked on the page comes out elsewhere: in archives, errors, other spellings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.observe.inspector.test_feed import call_wsgi
from wsgiproxy.inspector import Inspector
from wsgiproxy.sansio.har.asked import asked_of, differences
from wsgiproxy.sansio.har.read import entries_of
from wsgiproxy.sansio.secrets import SHOWN, Secrets

FORM = "application/x-www-form-urlencoded"
SECRET = "c4n4ry"  # noqa: S105


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Location", f"http://user:{SECRET}@a.example/?token={SECRET}#id_token={SECRET}"),
        ("content_location", f"//user:{SECRET}@a.example/"),
        ("Referer", f"http://{SECRET}@a.example/"),
        ("Link", f"</a?token={SECRET}>; rel=next, </b?code={SECRET}&c=d>; rel=prev"),
        ("X-Original-URI", f"/a?token={SECRET}"),
        ("X-ORIGINAL-URL", f"/a?token={SECRET}"),
        ("X-Forwarded-Uri", f"/a?token={SECRET}"),
        ("Cookie2", f"a={SECRET}"),
        ("Set-Cookie2", f"a={SECRET}"),
        ("DPoP", SECRET),
    ],
)
def test_fields(name: str, value: str) -> None:
    masked = Secrets().value(name, value)
    assert SECRET not in masked
    assert "***" in masked
    assert Secrets.named(shown=["*"]).value(name, value) == value


def test_archive() -> None:
    def app(environ: Any, start: Any) -> Any:
        if environ["PATH_INFO"] == "/fails":
            raise RuntimeError(f"no http://u:{SECRET}@a.example/?token={SECRET}")
        environ["wsgi.input"].read()
        start("200 OK", [("Content-Type", FORM), ("Location", f"http://a:{SECRET}@b.example/")])
        return [f"access_token={SECRET}&a=b".encode()]

    inspector = Inspector(app, listen=None)
    headers = [("Referer", f"https://a:{SECRET}@b.example/"), ("Content-Type", FORM)]
    call_wsgi(inspector, "POST", f"/?code={SECRET}", headers, f"password={SECRET}&q=1".encode())
    with pytest.raises(RuntimeError):
        call_wsgi(inspector, "GET", "/fails", (), b"")
    text = inspector.har()
    assert SECRET not in text
    assert [each["request"]["method"] for each in json.loads(text)["log"]["entries"]] == [
        "POST",
        "GET",
    ]
    (entry, _) = entries_of(text)
    recorded = asked_of(entry.method, entry.url, entry.headers, entry.body)
    for data, is_answered in (("password=x&q=1", True), ("password=x&q=2", False)):
        body = entry.body._replace(data=data.encode())
        asked = asked_of("POST", entry.url, [("Content-Type", FORM)], body)
        assert (differences(recorded, asked, ["body"], SHOWN) == []) is is_answered
