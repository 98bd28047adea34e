"""What flags do that may be repeated: each time adds to the value."""

from __future__ import annotations

import argparse
from typing import Any

from wsgiproxy.errors import ConfigurationError

__all__ = ["Variables", "Words"]


class Words(argparse.Action):
    """A list; a flag that is repeated adds to it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, values if before is None else f"{before} {values}")


class Variables(argparse.Action):
    """One variable each time; its value may hold anything."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        name, equals, value = values.partition("=")
        if not name or not equals:
            raise ConfigurationError(f"{option_string} {values!r}: expected NAME=VALUE")
        before = getattr(namespace, self.dest) or {}
        setattr(namespace, self.dest, {**before, name: value})
