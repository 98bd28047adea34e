"""Programs that tests spawn, and how to command and question them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.spawn.children import Answer

__all__ = ["FOLDER", "fields", "module", "server", "told"]

FOLDER = Path(__file__).parent


def server(**options: object) -> list[str]:
    """The command that runs `echo_server.py`, with its options."""
    words = [f"{key}={value}" for key, value in options.items()]
    return [sys.executable, "-I", "-S", str(FOLDER / "echo_server.py"), *words]


def module(name: str, *words: str) -> list[str]:
    """The command that runs a module, such as a server that is installed."""
    return [sys.executable, "-m", name, *words]


def told(answer: Answer) -> dict[str, Any]:
    """What `echo_server.py` has told of a request and of itself."""
    assert answer.status == 200, answer
    found: dict[str, Any] = json.loads(answer.body)
    return found


def fields(answer: Answer) -> dict[str, str]:
    """The fields that `echo_server.py` has received, by lower-case name; none may come twice."""
    found: dict[str, str] = {}
    for name, value in told(answer)["headers"]:
        assert name.lower() not in found, f"{name} comes twice"
        found[name.lower()] = value
    return found
