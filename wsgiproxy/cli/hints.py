"""Help while a command line is typed: completion, and what a wrong word may have meant."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["about_flag", "complete", "did_you_mean"]


# Flags of other programs.
_OTHERS_CALL_IT = dict.fromkeys(("--bind", "--host", "--address", "-b"), "--listen")


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks how to go on, if argcomplete is installed; this ends the process."""
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
    if word in _OTHERS_CALL_IT and _OTHERS_CALL_IT[word] in known:
        return f"did you mean {_OTHERS_CALL_IT[word]}? "
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.75)
    return f"did you mean {near[0]}? " if near else ""


def about_flag(
    unknown: Sequence[str], command: str, parsers: Mapping[str, argparse.ArgumentParser]
) -> str:
    """What the first unknown flag may have meant, as a part of a sentence.

    :param unknown: the arguments that nothing takes.
    :param command: the name of the command.
    :param parsers: those of all commands.
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
