"""What a router of either world is made of: its places, and the applications that it makes itself.

It serves no request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.places import Places, Target, read_place, repeatable
from wsgiproxy.sansio.upstreams import are_addresses, read_href
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.settings.setting import resolve, shown
from wsgiproxy.worlds import check_application

__all__ = ["Makers", "Standing", "standing"]

# Parameters that are no rows, of applications for targets and of those for commands.
_OF_HREF = {"hooks", "transport"}
_OF_COMMAND = {"hooks"}


class Makers(NamedTuple):
    """The two classes of applications that a router makes, one for targets and one for commands."""

    proxy: Callable[..., Any]
    spawner: Callable[..., Any]
    names: tuple[str, str]
    is_async: bool


class Standing(NamedTuple):
    """What stands at a place.

    :param application: an application of the router's world.
    :param is_folder: whether a GET of the place alone is sent to the place with a slash: a remote
        root sees ``/`` both times, and the relative links of its page would lead out of the mount.
    :param label: the place, as records name it.
    """

    application: Any
    is_folder: bool = False
    label: str = ""


def standing(
    routes: Mapping[str, object], common: Mapping[str, Any], makers: Makers
) -> Places[Standing]:
    """The places of *routes*, with their applications.

    :param routes: the place, and what stands there: an application, an ``href``, a list of words,
        or a :class:`~wsgiproxy.sansio.places.Target`.
    :param common: options for every application that is made and knows them.
    :raises ConfigurationError: naming the place, and what was expected there.
    """
    if not isinstance(routes, Mapping):
        raise ConfigurationError(
            f"routes={shown(routes)}: expected a mapping of places to what stands there"
        )
    common = repeatable(common)
    _check_common(common, makers)
    # No application is made before all places are known to be good.
    Places((text, what) for text, what in routes.items())
    return Places(
        (text, _made(text, what, common, makers)._replace(label=read_place(text).label))
        for text, what in routes.items()
    )


def _check_common(common: Mapping[str, Any], makers: Makers) -> None:
    known = {row.name: row for name in makers.names for row in PARTS[name]}
    resolve(known.values(), {name: v for name, v in common.items() if name not in _OF_HREF})


def _made(text: str, what: object, common: Mapping[str, Any], makers: Makers) -> Standing:
    if isinstance(what, Standing):
        return what
    try:
        target = what if isinstance(what, Target) else Target(what)
        address = target.address
        if isinstance(address, str) or are_addresses(address):
            return _remote(address, _options(makers.names[0], common, target), makers)
        if isinstance(address, Sequence) and not isinstance(address, (bytes, bytearray)):
            return _spawned(address, _options(makers.names[1], common, target), makers)
        return _given(address, target.options, makers)
    except ConfigurationError as error:
        raise ConfigurationError(f"route {text!r}: {error}") from error


def _options(name: str, common: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """The options of an application of the class *name*: those of its own count more."""
    known = {row.name for row in PARTS[name]}
    known |= _OF_HREF if name.endswith("ProxyApp") else _OF_COMMAND
    options = {name: value for name, value in common.items() if name in known}
    # A login for all routes is one for those with hooks of their own, too.
    outer, inner = options.pop("hooks", []), target.options.get("hooks", [])
    hooks = [*_listed(outer), *_listed(inner)]
    return {**options, **target.options, **({"hooks": hooks} if hooks else {})}


def _listed(hooks: Any) -> Iterable[Any]:
    """The hooks, or one thing that is no list of them, which the application refuses by name."""
    is_list = isinstance(hooks, Iterable) and not isinstance(hooks, (str, bytes))
    return hooks if is_list else [hooks]


def _remote(href: Any, options: Mapping[str, Any], makers: Makers) -> Standing:
    is_folder = read_href(href).is_folder
    return Standing(makers.proxy(href, **options), is_folder)


def _spawned(words: Iterable[object], options: Mapping[str, Any], makers: Makers) -> Standing:
    # A command that gets the whole path may redirect by itself.
    return Standing(makers.spawner(words, **options), bool(options.get("strip_script_name")))


def _given(application: object, options: Mapping[str, Any], makers: Makers) -> Standing:
    check_application("application", application, is_async=makers.is_async)
    for name, value in options.items():
        raise ConfigurationError(
            f"{name}={shown(value)}: expected no options beside an application that is made already"
        )
    return Standing(application)
