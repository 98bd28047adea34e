"""A signer from settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.observe.warn import warn_once
from wsgiproxy.secretloader import KeyFile
from wsgiproxy.signature.signer import Signer

__all__ = ["configured_signer", "declared_keys"]


def declared_keys(settled: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The environ keys to carry, by their types.

    :param settled: the rows of :data:`wsgiproxy.settings.SIGNING`.
    :raises ConfigurationError: one of them twice, or pickle without ``allow_pickle``.
    """
    declared = {
        "string": settled["string_keys"],
        "text": settled["unicode_keys"],
        "json": settled["json_keys"],
        "pickle": settled["pickle_keys"],
    }
    names = [name for some in declared.values() for name in some]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"{name!r} is to be carried twice: expected one type for it")
    if settled["pickle_keys"] and not settled["allow_pickle"]:
        raise ConfigurationError(
            f"pickle_keys={settled['pickle_keys']!r}: expected allow_pickle=True beside it, here"
            " and at the backend; json_keys need neither"
        )
    return declared


def configured_signer(settled: Mapping[str, Any], *, watches: bool = True) -> Signer | None:
    """What signs, if there is a secret.

    :param settled: the rows of :data:`wsgiproxy.settings.SIGNING`.
    :param watches: look for changes of the file.
    :returns: None without a ``secret_file``.
    :raises ConfigurationError: as :func:`declared_keys` says.
    """
    declared = declared_keys(settled)
    if settled["secret_file"] is None:
        return None
    file = KeyFile(settled["secret_file"], signs=True)
    if settled["pickle_keys"]:
        warn_once("allow_pickle=True: whoever has the secret can run code at the backend")
    keys = file.keyring()
    return Signer(
        file.keyring if watches else lambda: keys, declared, covers_body=settled["sign_body"]
    )
