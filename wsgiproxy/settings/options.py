"""The options of each class as keyword arguments, for type checkers and editors.

Made from the rows by ``python -m tests.support.options``; edit those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from typing import Literal

    from wsgiproxy.guard import Guard
    from wsgiproxy.replay import Replay

__all__ = [
    "ASGIAppOptions",
    "ASGISpawnOptions",
    "AppOptions",
    "BalanceOptions",
    "BothSpawnOptions",
    "ForwardOptions",
    "InspectOptions",
    "LimitOptions",
    "MiddlewareOptions",
    "ReverseOptions",
    "SpawnOptions",
    "TransportOptions",
    "UrlForwardOptions",
    "WebSocketOptions",
]


class LimitOptions(TypedDict, total=False):
    """Limits of a transport, as keyword arguments."""

    connect_timeout: float | str
    """Seconds to connect, for each address; expects a number of seconds above 0. Default: 10.0."""
    head_timeout: float | str
    """Seconds for the head of the answer; expects a number of seconds above 0. Default: 60.0."""
    idle_timeout: float | str
    """Seconds between two reads or writes; expects a number of seconds above 0. Default: 60.0."""
    keep_alive: float | str
    """Seconds to keep an unused connection; expects a number of seconds above 0. Default: 50.0."""
    max_idle: int | str
    """Unused connections to keep for one upstream; expects a whole number from 0 on. Default:
    64."""
    max_head: int | str
    """Largest head of a message, in bytes; expects a number of bytes, such as 65536 or 64k.
    Default: 65536."""


class TransportOptions(LimitOptions, total=False):
    """Options of :class:`wsgiproxy.transport.PooledTransport`, as keyword arguments."""

    verify: bool | str
    """Verify the certificates of https upstreams; expects true or false. Default: True."""
    ca_file: str | os.PathLike[str] | None
    """PEM file of the authorities to believe; expects the path of a file."""
    client_cert: str | os.PathLike[str] | None
    """PEM file with our own certificate; expects the path of a file."""
    client_key: str | os.PathLike[str] | None
    """PEM file with the key of client_cert; expects the path of a file."""
    parent_proxy: str | None
    """The proxy through which to connect; expects http://[user:password@]host:port or
    socks5h://host:port."""
    guard: Guard | bool | str | None
    """Connect to public addresses alone; expects true, or a Guard."""


class ReverseOptions(TypedDict, total=False):
    """Options of a reverse proxy, whatever is behind it, as keyword arguments."""

    trusted_proxies: str | Iterable[str]
    """Peers whose X-Forwarded-* are kept and appended to; expects addresses, networks such as
    10.0.0.0/8, or 'unix'. Default: ()."""
    require_forwarded: bool | str
    """Refuse what a trusted proxy sends without naming the client; expects true or false. Default:
    False."""
    allowed_hosts: str | Iterable[str]
    """Hosts to answer for; all, if none is given; expects host names. Default: ()."""
    suppress_headers: str | Iterable[str]
    """Request headers not to send on; expects header names. Default: ()."""
    suppress_cookies: str | Iterable[str]
    """Cookies to keep from the target; expects cookie names. Default: ()."""
    pass_accel: bool | str
    """Let the target command the server in front: X-Accel-Redirect, X-Sendfile; expects true or
    false. Default: False."""
    forwarded: bool | str
    """Also announce in Forwarded (RFC 7239); expects true or false. Default: False."""
    request_id: bool | str
    """Name each request in X-Request-Id; expects true or false. Default: False."""
    via: str | None
    """Our name in Via; a random one if not given; expects a token."""
    rewrite_location: bool | str
    """Map Location and Refresh back; expects true or false. Default: True."""
    scope_cookies: bool | str
    """Map the Path of cookies to the mount; expects true or false. Default: False."""
    cookie_domain: str | None
    """Replaces the Domain of cookies; expects a domain, or nothing to remove it."""
    max_body: int | str | None
    """Largest request body in bytes; expects a number of bytes, such as 65536 or 64k."""
    allow_pickle: bool | str
    """Let pickle_keys be carried: any holder of the secret can run code at the backend; expects
    true or false. Default: False."""
    sign_body: bool | str
    """Cover request bodies, which are read first; expects true or false. Default: False."""
    upgrade: str | Iterable[str]
    """Protocols that a request may go over to; expects names of protocols other than those of HTTP
    itself, such as websocket. Default: ('websocket',)."""
    max_websockets: int | str | None
    """WebSockets that may be open; expects a whole number from 1 on."""


class WebSocketOptions(TypedDict, total=False):
    """Options of a relay of WebSocket messages, as keyword arguments."""

    max_websockets_per_client: int | str | None
    """WebSockets that one client address may have open; expects a whole number from 1 on."""
    websocket_lifetime: float | str | None
    """Seconds after which a WebSocket is closed, and its client may come back; expects a number of
    seconds above 0."""
    max_message: int | str
    """Largest message of a WebSocket, in bytes; expects a number of bytes, such as 65536 or 64k.
    Default: 16777216."""
    ping_interval: float | str
    """Seconds between two pings to the target, which has as long to answer; 0 for none; expects a
    number of seconds from 0 on. Default: 20.0."""
    deflate: bool | str
    """Compress messages, where both ends can (RFC 7692); expects true or false. Default: False."""


class BalanceOptions(ReverseOptions, TransportOptions, total=False):
    """Options of a reverse proxy to one upstream or several, as keyword arguments."""

    balance: str
    """How one of several targets is chosen; expects round-robin, least, two-choices, hash:client,
    hash:HEADER, sticky or session:HEADER. Default: 'round-robin'."""
    retries: int | str
    """Other targets that get an idempotent request after one that has failed with it; expects a
    whole number from 0 on. Default: 0."""
    retry_statuses: str | int | Iterable[int | str]
    """Statuses after which another target is asked; expects statuses from 400 to 599, such as 429
    503 529. Default: ()."""
    max_fails: int | str
    """Failures in a row after which a target is left out for a second, and longer each time;
    expects a whole number from 1 on. Default: 3."""
    check_path: str | None
    """Asked of each target between requests, and to be answered with 2xx or 3xx; expects a path
    such as /health."""
    check_interval: float | str
    """Seconds between two checks of a target; expects a number of seconds above 0. Default: 5.0."""
    lookup_interval: float | str
    """Seconds between two look-ups of dns:name; expects a number of seconds above 0. Default:
    30.0."""
    max_in_flight: int | str | None
    """Requests that one target has at once; expects a whole number from 1 on."""
    max_in_flight_per_client: int | str | None
    """Requests that one client address may have at once; expects a whole number from 1 on."""
    queue_size: int | str
    """Requests that wait for room; others get 503, or 429 for a client of its own; expects a whole
    number from 0 on. Default: 0."""
    queue_timeout: float | str
    """Seconds to wait for room; expects a number of seconds above 0. Default: 5.0."""


class AppOptions(BalanceOptions, total=False):
    """Options of :class:`wsgiproxy.app.WSGIProxyApp`, as keyword arguments."""

    preserve_host: bool | str
    """Send the client's Host, not the target's; expects true or false. Default: False."""
    tunnel_idle: float | str
    """Seconds until a silent WebSocket is closed; expects a number of seconds above 0. Default:
    600.0."""


class ASGIAppOptions(BalanceOptions, WebSocketOptions, total=False):
    """Options of :class:`wsgiproxy.asgi.ASGIProxyApp`, as keyword arguments."""

    preserve_host: bool | str
    """Send the client's Host, not the target's; expects true or false. Default: False."""


class BothSpawnOptions(ReverseOptions, LimitOptions, total=False):
    """Options of a spawner, as keyword arguments."""

    idle_ignore: str | Iterable[str]
    """Paths whose requests neither start it nor keep it running; expects paths such as /health or
    /api/*. Default: ()."""
    socket: Literal["inherit", "unix", "port"] | None
    """How it gets its socket; as its placeholders say, if not given; expects inherit, unix or
    port."""
    ready: str | Callable[[str], object] | None
    """What has to answer before requests are sent; expects a path such as /health, or a
    function."""
    start_timeout: float | str
    """Seconds that a start may take; expects a number of seconds above 0. Default: 30.0."""
    stop_timeout: float | str
    """Seconds between SIGTERM and SIGKILL; expects a number of seconds from 0 on. Default: 10.0."""
    inherit_env: bool | str | Iterable[str]
    """Further environment variables to pass on; expects names of variables, or true for all.
    Default: ()."""
    max_waiting: int | str
    """Requests that may wait for a start; expects a whole number from 0 on. Default: 500."""
    max_wait: float | str | None
    """Seconds that one of them may wait; 5 more than start_timeout, if not given; expects a number
    of seconds above 0."""
    waiting_page: float | str
    """Seconds after which a browser gets a page to wait with; expects a number of seconds from 0
    on. Default: 2.0."""
    share: bool | str | os.PathLike[str] | None
    """One process for all workers of a server; expects true, false or the path of a folder."""
    debug: bool | str
    """Show the last lines of output to clients; expects true or false. Default: False."""
    sign: bool | str
    """Sign requests, for WSGIProxyMiddleware.from_env; expects true or false. Default: True."""
    strip_script_name: bool | str
    """Leave the mount out of the path that is sent; expects true or false. Default: False."""
    preserve_host: bool | str
    """Send the client's Host, not the target's; expects true or false. Default: True."""
    secret_file: str | os.PathLike[str] | None
    """Keys to sign with; see wsgiproxy keygen; expects the path of a file."""
    string_keys: str | Iterable[str]
    """Native strings to carry to the backend; expects environ keys other than wsgi.*, wsgiproxy.*,
    HTTP_* and those of CGI. Default: ()."""
    unicode_keys: str | Iterable[str]
    """Text to carry to the backend; expects environ keys other than wsgi.*, wsgiproxy.*, HTTP_* and
    those of CGI. Default: ()."""
    json_keys: str | Iterable[str]
    """Values to carry to the backend as JSON; expects environ keys other than wsgi.*, wsgiproxy.*,
    HTTP_* and those of CGI. Default: ()."""
    pickle_keys: str | Iterable[str]
    """Other values to carry; needs allow_pickle; expects environ keys other than wsgi.*,
    wsgiproxy.*, HTTP_* and those of CGI. Default: ()."""


class SpawnOptions(BothSpawnOptions, total=False):
    """Options of :class:`wsgiproxy.spawn.SpawningApplication`, as keyword arguments."""

    tunnel_idle: float | str
    """Seconds until a silent WebSocket is closed; expects a number of seconds above 0. Default:
    600.0."""


class ASGISpawnOptions(BothSpawnOptions, WebSocketOptions, total=False):
    """Options of :class:`wsgiproxy.asgi.ASGISpawningApplication`, as keyword arguments."""


class ForwardOptions(LimitOptions, total=False):
    """Options of :class:`wsgiproxy.forward.ForwardProxy`, as keyword arguments."""

    allow_clients: str | Iterable[str] | None
    """Clients that may use it; if not given, those of this machine, or all with credentials;
    expects addresses, networks such as 10.0.0.0/8, or 'unix'; or '*'."""
    allow: str | Iterable[str]
    """Destinations that are not public, or other ports; expects hosts, addresses, networks or *,
    each with or without :port. Default: ()."""
    deny: str | Iterable[str]
    """Destinations to refuse, whatever allow says; expects hosts, addresses, networks or *, each
    with or without :port. Default: ()."""
    ports: str | int | Iterable[int | str]
    """Ports (default: 80 443); expects port numbers, or * for all."""
    credentials: str | os.PathLike[str] | Callable[[str, str], bool] | None
    """Who may use it, by name and password; expects the path of a htpasswd file (bcrypt), or a
    function of user and password."""
    connect: bool | str
    """Open tunnels (CONNECT), which https needs; expects true or false. Default: True."""
    max_connections: int | str
    """Exchanges and tunnels at the same time; expects a whole number from 0 on. Default: 500."""
    tunnel_idle: float | str
    """Seconds until a silent tunnel is closed; expects a number of seconds above 0. Default:
    600.0."""
    via: str | None
    """Our name in Via; a random one if not given; expects a token."""
    max_body: int | str | None
    """Largest request body in bytes; expects a number of bytes, such as 65536 or 64k."""


class UrlForwardOptions(LimitOptions, total=False):
    """Options of :class:`wsgiproxy.asgi.ASGIForwardProxy`, as keyword arguments."""

    allow_clients: str | Iterable[str] | None
    """Clients that may use it; if not given, those of this machine, or all with credentials;
    expects addresses, networks such as 10.0.0.0/8, or 'unix'; or '*'."""
    allow: str | Iterable[str]
    """Destinations that are not public, or other ports; expects hosts, addresses, networks or *,
    each with or without :port. Default: ()."""
    deny: str | Iterable[str]
    """Destinations to refuse, whatever allow says; expects hosts, addresses, networks or *, each
    with or without :port. Default: ()."""
    ports: str | int | Iterable[int | str]
    """Ports (default: 80 443); expects port numbers, or * for all."""
    max_connections: int | str
    """Exchanges and tunnels at the same time; expects a whole number from 0 on. Default: 500."""
    via: str | None
    """Our name in Via; a random one if not given; expects a token."""
    max_body: int | str | None
    """Largest request body in bytes; expects a number of bytes, such as 65536 or 64k."""
    verify: bool | str
    """Verify the certificates of https upstreams; expects true or false. Default: True."""
    ca_file: str | os.PathLike[str] | None
    """PEM file of the authorities to believe; expects the path of a file."""
    client_cert: str | os.PathLike[str] | None
    """PEM file with our own certificate; expects the path of a file."""
    client_key: str | os.PathLike[str] | None
    """PEM file with the key of client_cert; expects the path of a file."""


class MiddlewareOptions(TypedDict, total=False):
    """Options of the two middlewares, for WSGI and for ASGI, as keyword arguments."""

    family: Literal["x-forwarded", "historical", "forwarded"]
    """Which fields are believed under trust_ips; expects x-forwarded, historical or forwarded.
    Default: 'x-forwarded'."""
    require_forwarded: bool | str
    """Refuse what a trusted peer sends without naming the client; expects true or false. Default:
    False."""
    authorities: str | Iterable[str]
    """The hosts for which a request must have been signed; expects hosts with their ports, as in
    the href of WSGIProxyApp. Default: ()."""
    accept_keys: str | Iterable[str]
    """Carried keys to take into the environ; expects environ keys other than wsgi.*, wsgiproxy.*,
    HTTP_* and those of CGI. Default: ()."""
    unsigned: Literal["reject", "strip"]
    """What to do with a request that bears no signature; expects reject or strip. Default:
    'reject'."""
    max_age: float | str
    """Seconds for which a signature is good; expects a number of seconds above 0. Default: 60.0."""
    clock_skew: float | str
    """Seconds by which the sender may be ahead; expects a number of seconds from 0 on. Default:
    5.0."""
    replay: Replay | Literal["memory"] | None
    """Remembers nonces, so that each signature is good for one request; expects 'memory', or an
    object with add(key, ttl)."""
    doctor_file: str | os.PathLike[str] | None
    """Keys of the users of wsgiproxy doctor; expects the path of a file."""
    allowed_hosts: str | Iterable[str]
    """Hosts to answer for; all, if none is given; expects host names. Default: ()."""
    allow_pickle: bool | str
    """Unpickle carried values of accept_keys; expects true or false. Default: False."""
    sign_body: bool | str
    """Refuse bodies that are not covered; expects true or false. Default: False."""
    x_for: int | str | None
    """How many proxies append to X-Forwarded-For; expects a whole number from 0 on."""
    x_proto: int | str | None
    """How many proxies append to X-Forwarded-Proto; expects a whole number from 0 on."""
    x_host: int | str | None
    """How many proxies append to X-Forwarded-Host; expects a whole number from 0 on."""
    x_port: int | str | None
    """How many proxies append to X-Forwarded-Port; expects a whole number from 0 on."""
    x_prefix: int | str | None
    """How many proxies append to X-Forwarded-Prefix; expects a whole number from 0 on."""


class InspectOptions(TypedDict, total=False):
    """Options of :class:`wsgiproxy.inspector.Inspector`, as keyword arguments."""

    exchanges: int | str
    """Exchanges that are kept; expects a whole number from 1 on. Default: 1000."""
    memory: int | str
    """Memory for all that is kept, in bytes; expects a number of bytes, such as 65536 or 64k.
    Default: 67108864."""
    body: int | str
    """Bytes of one body that are kept; expects a number of bytes, such as 65536 or 64k. Default:
    16777216."""
    disk: int | str
    """Bytes of all bodies of over 64 KiB, which are in files; expects a number of bytes, such as
    65536 or 64k. Default: 1073741824."""
    hide: str | Iterable[str]
    """Further secrets to mask, beside Authorization, Cookie and the like; expects names of fields
    and parameters. Default: ()."""
    show: str | Iterable[str]
    """What not to mask; expects names of fields and parameters, or *. Default: ()."""
