"""The factories of Paste Deploy: applications from the strings of an ini file.

They decide nothing: every option is a row of :mod:`wsgiproxy.settings`. Of ``[DEFAULT]`` they take
``secret_file`` and ``trust_ips``, where the section does not say otherwise, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from wsgiproxy.errors import ConfigurationError
from wsgiproxy.sansio.places import Place, read_place
from wsgiproxy.settings import MIDDLEWARE
from wsgiproxy.settings.parts import PARTS
from wsgiproxy.settings.paste import (
    HREF,
    LOGGER,
    check,
    fallback,
    host_options,
    naming,
    without_none,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIApplication

    from wsgiproxy.app import WSGIProxyApp
    from wsgiproxy.exactproxy import ExactProxy
    from wsgiproxy.forward import ForwardProxy
    from wsgiproxy.middleware import WSGIProxyMiddleware
    from wsgiproxy.proxies import HostProxy
    from wsgiproxy.router import Router
    from wsgiproxy.spawn import SpawningApplication

    Globals = Mapping[str, str] | None

__all__ = [
    "Loader",
    "make_app",
    "make_exact",
    "make_host",
    "make_middleware",
    "make_paste_proxy",
    "make_real_proxy",
    "make_routes",
    "make_spawn",
]

# All else is the name of an application: egg:, config: and call: are schemes of Paste Deploy.
_TARGET = re.compile("(?:https?|unix):", re.IGNORECASE)
# No option has a dot or a slash in its name.
_PLACE = re.compile(r"/.*|[^\s/]*\.[^\s/]*(?:/.*)?|[^\s/]+/.*")


class Loader(Protocol):
    """The loader that Paste Deploy gives to a composite application."""

    def get_app(
        self, name: str | None = None, global_conf: Mapping[str, str] | None = None
    ) -> WSGIApplication:
        """The application of a section, or of a URI."""


def make_app(
    global_conf: Globals,
    href: str | None = None,
    secret_file: str | None = None,
    **options: str,
) -> WSGIProxyApp:
    """``[app:main] use = egg:wsgiproxy#main``: all of one remote application.

    :param global_conf: ``[DEFAULT]``, of which ``secret_file`` is taken.
    :param href: the upstream.
    :param secret_file: path of a key file, to sign with.
    :param options: the others of :class:`~wsgiproxy.app.WSGIProxyApp`.
    :raises ConfigurationError: naming the factory, the option, its value and what was expected.

    >>> make_app({"debug": "true"}, "http://127.0.0.1:8000/", preserve_host="yes")
    WSGIProxyApp('http://127.0.0.1:8000/')
    >>> make_app({})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    wsgiproxy.errors.ConfigurationError: app egg:wsgiproxy#main: href is missing: expected http...
    """
    from wsgiproxy.app import WSGIProxyApp

    keywords = without_none({"href": href, "secret_file": secret_file, **options})
    keywords = {**fallback(global_conf, keywords, "secret_file"), **keywords}
    with naming("app egg:wsgiproxy#main"):
        check((HREF, *PARTS["WSGIProxyApp"]), keywords, "href")
        return WSGIProxyApp(**cast("Any", keywords))


def make_middleware(
    app: WSGIApplication,
    global_conf: Globals,
    secret_file: str | None = None,
    trust_ips: str | None = None,
    prefix: str | None = None,
    **options: str,
) -> WSGIProxyMiddleware:
    """``[filter:main] use = egg:wsgiproxy#main``: the original request, put back at the backend.

    The options of ``[DEFAULT]`` about trust count where the section has none.

    :param app: the application.
    :param global_conf: ``[DEFAULT]``, of which ``secret_file`` and ``trust_ips`` are taken.
    :param secret_file: path of the key file of the sender.
    :param trust_ips: addresses and networks of peers to believe.
    :param prefix: value for ``SCRIPT_NAME``; 0.2 did not pass it on.
    :param options: the others of :class:`~wsgiproxy.middleware.WSGIProxyMiddleware`.
    :raises ConfigurationError: naming the factory, the option, its value and what was expected.
    """
    from wsgiproxy.middleware import WSGIProxyMiddleware

    section = without_none(
        {"secret_file": secret_file, "trust_ips": trust_ips, "prefix": prefix, **options}
    )
    # A section with one of these means the one kind of trust or the other.
    signed = {row.name for row in MIDDLEWARE if row.needs == ("secret_file",)}
    counts = {row.name for row in MIDDLEWARE if row.name.startswith("x_")}
    defaults = {
        **fallback(
            global_conf,
            section,
            "secret_file",
            unless={"trust_ips", "family", "require_forwarded", *counts},
        ),
        **fallback(global_conf, section, "trust_ips", unless={"secret_file", *signed}),
    }
    with naming("filter egg:wsgiproxy#main"):
        check(MIDDLEWARE, {**defaults, **section})
        return WSGIProxyMiddleware(app, **cast("Any", {**defaults, **section}))


def make_real_proxy(global_conf: Globals = None, **options: str) -> ForwardProxy:
    """``[app:main] use = egg:wsgiproxy#real_proxy``: a proxy for browsers.

    In 0.2 it served all clients and reached all addresses; for
    :class:`~wsgiproxy.forward.ForwardProxy` both are options.

    :param global_conf: ``[DEFAULT]``, of which nothing is taken.
    :param options: those of :class:`~wsgiproxy.forward.ForwardProxy`.
    :raises ConfigurationError: naming the factory, the option, its value and what was expected.

    >>> make_real_proxy({}, ports="80 443 8080").guard
    Guard(allow=[], deny=[], ports='80 443 8080')
    """
    from wsgiproxy.forward import ForwardProxy

    with naming("app egg:wsgiproxy#real_proxy"):
        check(PARTS["ForwardProxy"], options)
        return ForwardProxy(**cast("Any", options))


def make_exact(global_conf: Globals = None, **options: str) -> ExactProxy:
    """``[app:main] use = egg:wsgiproxy#exact``: to where ``SERVER_NAME`` and ``SERVER_PORT`` say.

    Its place is behind a filter that sets them, such as ``egg:wsgiproxy#paste_proxy``.

    :param global_conf: ``[DEFAULT]``, of which nothing is taken.
    :param options: those of :class:`~wsgiproxy.exactproxy.ExactProxy`.
    :raises ConfigurationError: naming the factory, the option, its value and what was expected.
    """
    from wsgiproxy.exactproxy import ExactProxy

    with naming("app egg:wsgiproxy#exact"):
        check(PARTS["ExactProxy"], options)
        return ExactProxy(**cast("Any", options))


def make_host(global_conf: Globals = None, **options: str) -> HostProxy:
    """``[app:main] use = egg:wsgiproxy#host``: the proxy of WSGIProxy2, with its four headers.

    :param global_conf: ``[DEFAULT]``, of which nothing is taken.
    :param options: ``href`` (or ``uri``) and those of :class:`~wsgiproxy.proxies.HostProxy` and
        its client, of which ``client`` gives the name.
    :raises ConfigurationError: naming the factory, the option, its value and what was expected.
    """
    from wsgiproxy.proxies import HostProxy

    with naming("app egg:wsgiproxy#host"):
        return HostProxy(**host_options(options))


def make_spawn(global_conf: Globals = None, **options: str) -> SpawningApplication:
    """``[app:main] use = egg:wsgiproxy#spawn``: a process that starts with the first request.

    :param global_conf: ``[DEFAULT]``, of which ``secret_file`` is taken.
    :param options: those of :class:`~wsgiproxy.spawn.SpawningApplication`; ``start_script``
        has to be among them, and ``logger`` is the name of one.
    :raises ConfigurationError: naming the factory, the option, its value and what was expected.
    """
    from wsgiproxy.spawn import SpawningApplication

    keywords = {**fallback(global_conf, options, "secret_file", unless={"sign"}), **options}
    with naming("app egg:wsgiproxy#spawn"):
        check((LOGGER, *PARTS["SpawningApplication"]), keywords, "start_script")
        return SpawningApplication(**cast("Any", keywords))


def make_paste_proxy(
    global_conf: Globals = None, **options: str
) -> Callable[[WSGIApplication], WSGIApplication]:
    """``[filter:main] use = egg:wsgiproxy#paste_proxy``: the target of a proxy request, restored.

    :param global_conf: ``[DEFAULT]``, of which nothing is taken.
    :param options: there is none.
    :raises ConfigurationError: naming the factory and the option.
    """
    from wsgiproxy.exactproxy import filter_paste_httpserver_proxy

    for name, value in options.items():
        raise ConfigurationError(
            f"filter egg:wsgiproxy#paste_proxy: {name}={value!r}: expected no settings"
        )
    return filter_paste_httpserver_proxy


def make_routes(loader: Loader, global_conf: Globals = None, **options: str) -> Router:
    """``[composite:main] use = egg:wsgiproxy#routes``: several places, several targets.

    ``/prefix = http://host:port/path`` is a remote application, and ``/prefix = name`` one of
    this file, as with ``egg:Paste#urlmap``. A host may stand before the prefix or in its place, as
    in :class:`~wsgiproxy.router.Router`. The longest prefix wins, ``/`` is the rest, and without
    it the rest is 404. Where a target ends in a slash, or has no path at all, a GET of the
    prefix alone is sent to the prefix with a slash.

    :param loader: Paste Deploy's.
    :param global_conf: ``[DEFAULT]``, of which ``secret_file`` is taken.
    :param options: the places, and options of :class:`~wsgiproxy.app.WSGIProxyApp` for all
        targets.
    :raises ConfigurationError: naming the factory, the option, its value and what was expected.
    """
    from wsgiproxy.router import Router, Target

    # A value may begin in the next line.
    options = {name: value.strip() for name, value in options.items()}
    places = {name: value for name, value in options.items() if _PLACE.fullmatch(name)}
    section = {name: value for name, value in options.items() if name not in places}
    common = {**fallback(global_conf, section, "secret_file"), **section}
    with naming("composite egg:wsgiproxy#routes"):
        check(PARTS["WSGIProxyApp"], common)
        _check_places(places)
        targets = {name for name, value in places.items() if _TARGET.match(value)}
        if section and not targets:
            name, value = next(iter(section.items()))
            raise ConfigurationError(f"{name}={value!r}: expected a target such as http://...")
        _check_targets({name: places[name] for name in targets}, common)
        return Router(
            {
                name: Target(value, **common)
                if name in targets
                else _local(loader, global_conf, name, value)
                for name, value in places.items()
            }
        )


def _check_targets(targets: Mapping[str, str], options: Mapping[str, str]) -> None:
    """Check targets, and options that count for all of them.

    :raises ConfigurationError: naming the line.
    """
    from wsgiproxy.app import WSGIProxyApp

    for name, value in targets.items():
        # The name in the message is that of the line.
        replace(HREF, name=name).convert_value(value)
    for value in targets.values():
        WSGIProxyApp(value, **cast("Any", options)).close()
        break


def _check_places(places: Mapping[str, str]) -> None:
    """Check the lines with places.

    :raises ConfigurationError: one that is none, two that are the same, or none at all.
    """
    if not places:
        raise ConfigurationError("expected lines such as /prefix = http://host:port/")
    found: dict[Place, str] = {}
    for name, value in places.items():
        try:
            place = read_place(name)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"{name}={value!r}: expected a path such as /app, a host, or both"
            ) from error
        if place in found:
            raise ConfigurationError(f"{name}={value!r}: expected no {found[place]} beside it")
        found[place] = name


def _local(loader: Loader, global_conf: Globals, option: str, name: str) -> WSGIApplication:
    """An application of the file.

    :raises ConfigurationError: there is none of that name.
    """
    try:
        return loader.get_app(name, global_conf=global_conf)
    except LookupError as error:
        if type(error) is not LookupError:
            raise  # a KeyError of another factory is not for us
        raise ConfigurationError(
            f"{option}={name!r}: expected http://host:port/... or the name of an application of"
            f" this file ({error})"
        ) from error
