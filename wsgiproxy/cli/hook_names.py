"""Hooks by their names, as a configuration file has them."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import Any

from wsgiproxy.cli.hints import did_you_mean
from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.href import without_password

__all__ = ["hook_named", "times_of_modules", "without_values"]

# The module below wsgiproxy.hooks of each ready-made hook.
_READY = {
    "basic": "credentials",
    "bearer": "credentials",
    "compress": "compress",
    "fault": "fault",
    "forward_auth": "forward_auth",
    "header": "credentials",
    "heartbeat": "heartbeat",
    "identity_jwt": "identity_jwt",
    "limit_rate": "limit_rate",
    "mirror": "mirror",
    "replace_path": "replace_path",
    "rewrite_links": "rewrite_links",
    "server_timing": "server_timing",
    "swap_credentials": "swap_credentials",
}


def hook_named(each: object) -> Any:
    """The hook of a name: a ready-made one, such as ``mirror``, or ``module:function``.

    :param each: the name, or a table with ``hook`` and the arguments with which it is called. A
        ready-made one is called without arguments if there is no table.
    :raises ConfigurationError: there is none.
    """
    name, arguments = each, None
    if isinstance(each, dict):
        arguments = dict(each)
        name = arguments.pop("hook", None)
    if not isinstance(name, str):
        expected = "expected a name, or a table with hook = name"
        raise ConfigurationError(f"hooks: {without_values(each)}: {expected}")
    module, colon, attribute = name.partition(":")
    if colon and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    if not colon and name in _READY:
        module, attribute = f"wsgiproxy.hooks.{_READY[name]}", name
        arguments = arguments or {}
    home = _tried(name, partial(import_module, module if attribute else "wsgiproxy.hooks"))
    hook: Any = home
    try:
        for part in (attribute or name).split("."):
            hook = getattr(hook, part)
    except AttributeError as error:
        known = (getattr(home, "__all__", None) or vars(home)) if colon else _READY
        hint = did_you_mean(attribute or name, known)
        wanted = f"{hint}expected a ready-made hook or module:function"
        raise ConfigurationError(f"hooks: {name!r}: there is none; {wanted}") from error
    return hook if arguments is None else _tried(name, partial(hook, **arguments))


def without_values(each: object) -> str:
    """What stands for a hook, for a message: arguments may be passwords.

    >>> without_values({"hok": "basic", "password": "secret"})
    'a table with hok, password'
    """
    if isinstance(each, dict):
        return f"a table with {', '.join(each)}"
    return "a list" if isinstance(each, list) else repr(each)


def _tried(name: str, call: Callable[[], Any]) -> Any:
    """What *call* returns.

    :raises ConfigurationError: it raises; a module of others may raise anything, and leave.
    """
    try:
        return call()
    except (Exception, SystemExit) as error:
        reason = without_password(str(error))
        raise ConfigurationError(f"hooks: {name!r}: {type(error).__name__}: {reason}") from error


def times_of_modules(hooks: Iterable[object]) -> dict[str, float]:
    """When the files of modules were changed last, of those that hooks are from.

    :param hooks: as for :func:`hook_named`, imported.
    """
    times = {}
    for each in hooks:
        name = each.get("hook", "") if isinstance(each, dict) else each
        module, colon, _ = str(name).partition(":")
        file = getattr(sys.modules.get(module), "__file__", None)
        with contextlib.suppress(OSError):  # it may be gone
            if colon and file:
                times[module] = os.stat(file).st_mtime
    return times
