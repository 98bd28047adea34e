"""Variables of the environment that stand beside a configuration file, for containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wsgiproxy.cli.config import ROWS, split
from wsgiproxy.cli.hints import did_you_mean
from wsgiproxy.errors import ConfigurationError

__all__ = ["from_environment"]

#: What variables begin with.
_VARIABLE = "WSGIPROXY_"
# And what follows in those that Kubernetes sets for a service that is called wsgiproxy.
_OF_KUBERNETES = ("service_", "port")


def from_environment(environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What variables such as ``WSGIPROXY_LISTEN`` say: of the process, and for every route.

    :raises ConfigurationError: naming the variable, its value and what was expected.
    """
    found: dict[str, Any] = {}
    given = {name: value for name, value in environ.items() if name.startswith(_VARIABLE) and value}
    for variable, value in sorted(given.items()):
        name = variable.removeprefix(_VARIABLE).lower()
        if name in ROWS:
            try:
                found[name] = ROWS[name].convert_value(value)
            except ConfigurationError as error:
                raise ConfigurationError(f"{variable}: {error}") from error
        elif not name.startswith(_OF_KUBERNETES) and (hint := did_you_mean(name, ROWS)):
            raise ConfigurationError(f"{variable}: {hint.rstrip()}")
    return split(found)
