"""Code blocks of the documentation, for tests that run what the page shows."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

__all__ = ["code_block", "literal_block"]

_ROOT = Path(__file__).resolve().parents[2]
_INDENTED = r"(?:[ \t]+:.*\n)*\n((?:[ \t]+.*\n|\n)+)"
_CODE = re.compile(rf"^\.\. code-block:: python\n{_INDENTED}", re.M)
_LITERAL = re.compile(rf"^[^.\s].*::\n{_INDENTED}", re.M)


def _the_one(pattern: re.Pattern[str], page: str, containing: str) -> str:
    text = (_ROOT / page).read_text(encoding="utf-8")
    found = [block for block in pattern.findall(text + "\n") if containing in block]
    assert len(found) == 1, f"{page} has {len(found)} blocks with {containing!r}, expected one"
    return textwrap.dedent(found[0])


def code_block(page: str, containing: str) -> str:
    """The one Python block of a page that has *containing* in it."""
    return _the_one(_CODE, page, containing)


def literal_block(page: str, containing: str) -> str:
    """The one block after a double colon that has *containing* in it."""
    return _the_one(_LITERAL, page, containing)
