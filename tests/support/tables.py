"""Tables of the documentation, and the names in them."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import wsgiproxy
from wsgiproxy import settings

__all__ = ["known_names", "literals", "resolves", "rows"]

_ROOT = Path(__file__).resolve().parents[2]
_TABLE = re.compile(r"^\.\. list-table::\n(?:   :.*\n)*\n((?:(?:   .*)?\n)+)", re.M)


def rows(page: str) -> list[list[str]]:
    """The cells of all list-tables of a page, without the heads; blanks are one space."""
    text = (_ROOT / "docs" / f"{page}.rst").read_text(encoding="utf-8")
    found = []
    for table in _TABLE.findall(text + "\n"):
        for row in re.split(r"^   \* -", table, flags=re.M)[2:]:
            found.append([" ".join(cell.split()) for cell in re.split(r"^     -", row, flags=re.M)])
    return found


def literals(cell: str) -> list[str]:
    """What is in double backquotes, and what is referred to."""
    return re.findall(r"``(.+?)``", cell) + re.findall(r":(?:class|func):`~?([\w.]+)`", cell)


def resolves(name: str) -> bool:
    """Whether a dotted name of this package leads to something."""
    parts = name.split(".")
    for number in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:number]))
        except ImportError:
            continue
        for part in parts[number:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


#: What is public beside the names of the package itself.
_OTHERS = (
    "wsgiproxy.asgi.ASGIProxyApp",
    "wsgiproxy.asgi.starlette.ProxyResponse",
    "wsgiproxy.asgi.starlette.api_router",
    "wsgiproxy.asgi.starlette.proxied",
    "wsgiproxy.transport.AsyncPooledTransport",
)


def known_names() -> set[str]:
    """Settings, parameters and attributes of what is public."""
    tables = [vars(settings)[name] for name in settings.__all__ if name.isupper()]
    found = {row.name for table in tables for row in table}
    for path in [*(f"wsgiproxy.{name}" for name in wsgiproxy.__all__), *_OTHERS]:
        home, _, name = path.rpartition(".")
        thing = getattr(importlib.import_module(home), name)
        found.add(name)
        if inspect.isclass(thing):
            found |= {each for each in dir(thing) if not each.startswith("_")}
        made = thing.__init__ if inspect.isclass(thing) else thing
        if inspect.isfunction(made):
            found |= set(inspect.signature(made).parameters)
    return found
