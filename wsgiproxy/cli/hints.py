"""Help with a command line: completion in the shell, and suggestions for wrong words."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["about_flag", "complete", "did_you_mean"]


# Flags of other programs.
_ALIASES = dict.fromkeys(("--bind", "--host", "--address", "-b"), "--listen")


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a completion request of the shell, if argcomplete is installed, and exit."""
    if "_ARGCOMPLETE" in os.environ:
        with contextlib.suppress(ImportError):
            import argcomplete

            argcomplete.autocomplete(parser)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest of some words, as a part of a sentence; empty if none is near.

    >>> did_you_mean("srve", ["serve", "demo"]), did_you_mean("npm", ["serve"])
    ('did you mean serve? ', '')
    """
    known = list(known)
    if _ALIASES.get(word) in known:
        return f"did you mean {_ALIASES[word]}? "
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.75)
    return f"did you mean {near[0]}? " if near else ""


def about_flag(
    unknown: Sequence[str], command: str, parsers: Mapping[str, argparse.ArgumentParser]
) -> str:
    """A suggestion for the first unknown flag, as a part of a sentence.

    :param unknown: the arguments that the parser of *command* does not know.
    """
    flag = next((word.partition("=")[0] for word in unknown if word.startswith("-")), "")
    if not flag:
        return ""
    known = {name: parser._option_string_actions for name, parser in parsers.items()}
    hint = did_you_mean(flag, known.get(command, ()))
    others = [name for name, flags in known.items() if flag in flags]
    if others:
        hint = f"{flag} is one of {' and '.join(others)}; {hint}"
    return hint
