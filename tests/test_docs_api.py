"""The reference has every public name, and no other; its list has what its pages have."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import wsgiproxy
from tests.support.rounds import together
from wsgiproxy import settings

DOCS = Path(__file__).parents[1] / "docs"
LIST = (DOCS / "api.rst").read_text()
ROOMS = sorted((DOCS / "api").glob("*.rst"))


def documented(page: str) -> list[str]:
    """Full names, in order: a directive counts below the module that was named last."""
    module, found = "", []
    directive = re.compile(r"^ *(?:\* - )?\.\. (\w+):: (\S+)", re.M)
    for kind, name in directive.findall(page):
        if kind in ("module", "currentmodule", "automodule"):
            module = name
            if kind == "automodule":
                found += [f"{name}.{each}" for each in import_module(name).__all__]
        elif kind in ("autoclass", "autofunction", "autoexception", "autodata", "data"):
            found.append(name if name.startswith("wsgiproxy.") else f"{module}.{name}")
    return found


def listed(page: str) -> list[tuple[str, str]]:
    """The import paths of the list, those of its tables and those that have no docstring."""
    return re.findall(r"^   (wsgiproxy\.\S+)$|^\* :data:`(wsgiproxy\.\S+)`$", page, re.M)


NAMES = [name for room in ROOMS for name in documented(room.read_text())]
LISTED = [table or data for table, data in listed(LIST)]


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


def test_the_list_has_what_the_pages_have() -> None:
    """Each name once: `automodule` brings all of its module, what stands elsewhere included."""
    whole = {"wsgiproxy.errors.ConfigurationError", "wsgiproxy.errors.ProxyError"}
    assert sorted(LISTED) == sorted(set(NAMES) - whole)


@together
@pytest.mark.parametrize("name", LISTED)
def test_what_is_listed_can_be_imported_by_its_path(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert hasattr(import_module(module), attribute)


def test_the_list_leads_to_every_page() -> None:
    rooms = {room.stem for room in ROOMS}
    assert set(re.findall(r"^   api/(\w+)$", LIST, re.M)) == rooms
    assert set(re.findall(r"^:doc:`[^<`]+ <api/(\w+)>`$", LIST, re.M)) == rooms


def test_no_page_has_everything() -> None:
    """One that had was 26,000 pixels long."""
    assert max(len(documented(room.read_text())) for room in ROOMS) < len(NAMES) / 2


def test_the_names_are_found_in_the_pages() -> None:
    assert len(NAMES) > 60
    assert [name for name in NAMES if not name.startswith("wsgiproxy.")] == []
