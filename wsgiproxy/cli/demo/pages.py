"""The demo's pages, from templates; every value in them is escaped here and nowhere else."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from string import Template

from wsgiproxy.cli.demo.facts import Received, Shown

__all__ = ["Html", "events_page", "landed_page", "page", "request_page", "resource", "upload_page"]


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


@functools.cache
def resource(name: str) -> str:
    """A file of ``demo_files``."""
    return files("wsgiproxy.cli").joinpath("demo_files").joinpath(name).read_text("utf-8")


def fill(template: str, **values: object) -> Html:
    """A template with its values, each escaped unless it is :class:`Html`."""
    safe = {
        name: value if isinstance(value, Html) else escape(str(value))
        for name, value in values.items()
    }
    return Html(Template(resource(template)).substitute(safe))


def fill_each(template: str, rows: Iterable[Mapping[str, object]]) -> Html:
    """A template for each row."""
    return Html("".join(fill(template, **row) for row in rows))


def page(title: str, here: str, known: Shown, main: Html) -> Html:
    """A whole page around *main*.

    :param here: the place in the navigation, such as ``events``.
    """
    places = ("request", "path", "redirect", "events", "upload")
    current = {f"at_{name}": Html(' aria-current="page"' * (name == here)) for name in places}
    return fill("page.html", title=title, prefix=known.prefix, main=main, **current)


def request_page(received: Received, known: Shown, *, index: bool) -> Html:
    """What the backend received, and what it knows.

    :param index: the first page; otherwise it is about the path.
    """
    authority, slash, path = known.public.partition("//")[2].partition("/")
    target = slash + path
    rest = target.removeprefix(known.prefix)
    odd = not index and rest == received.target
    main = fill(
        "request.html",
        lead=fill(
            "lead_path.html" if odd else "lead.html", public=known.public, prefix=known.prefix
        ),
        cheat=fill("cheat.html", public=known.public, root=known.own) if index else Html(""),
        public=known.public,
        mount=known.prefix or "/",
        address=known.client,
        key=known.key,
        carried=known.carried,
        own=known.own,
        peer=known.peer,
        method=received.method,
        asked_prefix=target[: len(target) - len(rest)],
        asked_rest=rest,
        target=received.target,
        protocol=received.protocol,
        front=authority,
        back=known.own.split("/")[2],
    )
    title = "A path, byte for byte" if odd else "What happened to your request"
    return page(title, "path" if odd else "request", known, main)


def landed_page(said: str, known: Shown) -> Html:
    """After the redirect."""
    main = fill("landed.html", said=said, **known._asdict())
    return page("You were redirected", "redirect", known, main)


def events_page(known: Shown) -> Html:
    """The page that listens to the event stream."""
    main = fill("events.html", prefix=known.prefix, base=known.base)
    return page("Events, one by one", "events", known, main)


def upload_page(known: Shown, arrived: Iterable[Mapping[str, object]]) -> Html:
    """The form, and the files that have arrived."""
    rows = fill_each("arrived_row.html", arrived)
    result = fill("arrived.html", rows=rows) if rows else Html("")
    main = fill("upload.html", prefix=known.prefix, base=known.base, result=result)
    return page("Send a file", "upload", known, main)
