"""The page that a browser shows while a process is starting: it reloads itself."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

__all__ = ["is_navigation", "waiting_page"]

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="{pause}">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ font: 1.1em/1.5 system-ui, sans-serif; margin: 20vh auto 0; max-width: 34em;
        padding: 0 1em; text-align: center }}
progress {{ width: 100%; accent-color: #2a7 }}
pre {{ text-align: left; font-size: .75em; overflow-x: auto; border: 1px solid #8888;
       border-radius: .4em; padding: .7em }}
small {{ opacity: .7 }}
</style>
<h1>{title}</h1>
<p><progress aria-label="waiting"></progress>
<p>This page reloads by itself.{since}
{lines}</html>
"""


def is_navigation(environ: Mapping[str, Any]) -> bool:
    """Whether a request is a browser's navigation: a GET of a document (Fetch Metadata, 2.1).

    A reload would not repeat the request of a form, an image or a script.

    >>> is_navigation({"REQUEST_METHOD": "GET", "HTTP_ACCEPT": "text/html,*/*;q=0.8"})
    True
    >>> is_navigation({"REQUEST_METHOD": "GET", "HTTP_ACCEPT": "*/*"})
    False
    """
    return (
        environ.get("REQUEST_METHOD") == "GET"
        and "text/html" in environ.get("HTTP_ACCEPT", "")
        and environ.get("HTTP_SEC_FETCH_DEST", "document") in ("document", "iframe", "frame")
        and "HTTP_X_REQUESTED_WITH" not in environ
        and "HTTP_RANGE" not in environ
    )


def waiting_page(
    pause: int, seconds: float | None, lines: list[str]
) -> tuple[list[tuple[str, str]], bytes]:
    """The headers and the body of the page.

    :param pause: seconds until the page reloads.
    :param seconds: how long the process has been starting; None if it is not starting.
    :param lines: the last lines of its output; empty unless clients may see them.
    """
    title = "The application is starting" if pause == 1 else "The application will start again"
    since = f" <small>{seconds:.0f} s so far.</small>" if seconds is not None else ""
    shown = f"<pre>{escape(chr(10).join(lines))}</pre>\n" if lines else ""
    page = _PAGE.format(pause=pause, title=title, since=since, lines=shown)
    body = page.encode("utf-8", "replace")
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Retry-After", str(pause)),
    ]
    return headers, body
