"""The reference has every public name, and no other."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import wsgiproxy
from wsgiproxy import settings

PAGE = (Path(__file__).parents[1] / "docs" / "api.rst").read_text()


def documented() -> list[str]:
    """Full names, in order: a directive counts below the module that was named last."""
    module, found = "", []
    directive = re.compile(r"^ *(?:\* - )?\.\. (\w+):: (\S+)", re.M)
    for kind, name in directive.findall(PAGE):
        if kind in ("module", "currentmodule", "automodule"):
            module = name
            if kind == "automodule":
                found += [f"{name}.{each}" for each in import_module(name).__all__]
        elif kind in ("autoclass", "autofunction", "autoexception", "autodata", "data"):
            found.append(name if name.startswith("wsgiproxy.") else f"{module}.{name}")
    return found


NAMES = documented()


def test_every_public_name_is_documented() -> None:
    missing = [name for name in wsgiproxy.__all__ if f"wsgiproxy.{name}" not in NAMES]
    assert missing == []


def test_every_table_of_settings_is_documented() -> None:
    tables = [name for name in settings.__all__ if f"wsgiproxy.settings.{name}" not in NAMES]
    assert tables == []


@pytest.mark.parametrize(
    "module", ["wsgiproxy.errors", "wsgiproxy.server", "wsgiproxy.wsgiapp", "wsgiproxy.replay"]
)
def test_whole_modules_are_documented(module: str) -> None:
    assert [each for each in import_module(module).__all__ if f"{module}.{each}" not in NAMES] == []


def test_names_of_0_2_2_are_documented() -> None:
    """Those of compatibility that are not in the package itself."""
    old = {
        "wsgiproxy.exactproxy.filter_paste_httpserver_proxy",
        "wsgiproxy.exactproxy.filter_paste_httpserver_proxy_environ",
        "wsgiproxy.signature.sign_request",
        "wsgiproxy.signature.check_request",
        "wsgiproxy.secretloader.get_secret",
    }
    assert old <= set(NAMES)


def test_the_names_are_found_in_the_page() -> None:
    assert len(NAMES) > 60
    assert [name for name in NAMES if not name.startswith("wsgiproxy.")] == []
