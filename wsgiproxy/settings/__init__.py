"""Every option of every part, one row each: name, converter, what is expected, help.

Keyword arguments, the command line and the strings of Paste Deploy go through the same
rows, so that a bad value is refused in the same words everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsgiproxy.settings.forward import FORWARD, FORWARD_TRANSPORT
from wsgiproxy.settings.rows import (
    APP,
    EXACT,
    MIDDLEWARE,
    SIGNING,
    SPAWN,
    SPAWNED_TRANSPORT,
    TRANSPORT,
)
from wsgiproxy.settings.setting import Setting, settle

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from typing_extensions import TypedDict

    from wsgiproxy.guard import Guard
    from wsgiproxy.replay import Replay

    class LimitOptions(TypedDict, total=False):
        """Limits of the transport, as keyword arguments."""

        connect_timeout: float | str
        head_timeout: float | str
        idle_timeout: float | str
        keep_alive: float | str
        max_idle: int | str
        max_head: int | str
        max_fields: int | str
        max_line: int | str

    class TransportOptions(LimitOptions, total=False):
        """Options of the transport, as keyword arguments."""

        verify: bool | str
        ca_file: str | None
        client_cert: str | None
        client_key: str | None
        parent_proxy: str | None
        guard: Guard | bool | str | None

    class AppOptions(TransportOptions, total=False):
        """Options of :class:`wsgiproxy.app.WSGIProxyApp`, as keyword arguments."""

        preserve_host: bool | str
        trusted_proxies: str | Iterable[str]
        allowed_hosts: str | Iterable[str]
        suppress_headers: str | Iterable[str]
        suppress_cookies: str | Iterable[str]
        pass_accel: bool | str
        forwarded: bool | str
        via: str | None
        rewrite_location: bool | str
        scope_cookies: bool | str
        cookie_domain: str | None
        max_body: int | str | None
        allow_pickle: bool | str
        sign_body: bool | str
        max_signed_body: int | str
        strict_permissions: bool | str

    class SpawnOptions(AppOptions, total=False):
        """Options of :class:`wsgiproxy.spawn.SpawningApplication`, as keyword arguments."""

        idle_ignore: str | Iterable[str]
        socket: str | None
        ready: str | Callable[[str], object] | None
        ready_statuses: str | int | Iterable[int | str]
        start_timeout: float | str
        stop_timeout: float | str
        inherit_env: bool | str | Iterable[str]
        max_waiting: int | str
        max_wait: float | str | None
        waiting_page: float | str
        share: bool | str
        debug: bool | str
        sign: bool | str
        strip_script_name: bool | str
        secret_file: str | None
        string_keys: str | Iterable[str]
        unicode_keys: str | Iterable[str]
        json_keys: str | Iterable[str]
        pickle_keys: str | Iterable[str]

    class ForwardOptions(LimitOptions, total=False):
        """Options of :class:`wsgiproxy.forward.ForwardProxy`, as keyword arguments."""

        allow_clients: str | Iterable[str] | None
        allow: str | Iterable[str]
        deny: str | Iterable[str]
        ports: str | int | Iterable[int | str]
        credentials: str | os.PathLike[str] | Callable[[str, str], bool] | None
        connect: bool | str
        max_connections: int | str
        tunnel_idle: float | str
        via: str | None
        max_body: int | str | None

    class MiddlewareOptions(TypedDict, total=False):
        """Options of :class:`wsgiproxy.middleware.WSGIProxyMiddleware`, as keyword arguments."""

        family: str
        require_forwarded: bool | str
        authorities: str | Iterable[str]
        accept_keys: str | Iterable[str]
        unsigned: str
        max_age: float | str
        clock_skew: float | str
        replay: str | Replay | None
        doctor_file: str | None
        allowed_hosts: str | Iterable[str]
        allow_pickle: bool | str
        sign_body: bool | str
        max_signed_body: int | str
        strict_permissions: bool | str
        x_for: int | str | None
        x_proto: int | str | None
        x_host: int | str | None
        x_port: int | str | None
        x_prefix: int | str | None


__all__ = [
    "APP",
    "EXACT",
    "FORWARD",
    "FORWARD_TRANSPORT",
    "MIDDLEWARE",
    "SIGNING",
    "SPAWN",
    "SPAWNED_TRANSPORT",
    "TRANSPORT",
    "Setting",
    "settle",
]
