"""The arguments of the clients on urllib3 and requests, for type checkers and editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from wsgiproxy.settings.options import TransportOptions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    import requests
    import urllib3

    from wsgiproxy.hooks import Hook

__all__ = ["HookedOptions", "HookedUrllib3Options", "RequestsOptions", "Urllib3Options"]


class Urllib3Options(TypedDict, total=False):
    """Options of :class:`wsgiproxy.urllib3_client.HttpClient`, as keyword arguments."""

    pool: urllib3.PoolManager | None
    """A pool with its own timeouts and certificates; one of ours, if not given."""
    chunk_size: int
    """Largest block of a response body, in bytes."""
    redirect: bool
    """Follow redirects. Default: False."""
    retries: urllib3.Retry | bool | int | None
    """How often to send a request again, and after which failures."""
    timeout: urllib3.Timeout | float | None
    """Limits for connecting and for each read, in seconds."""
    pool_timeout: float | None
    """Seconds to wait for a connection of a pool that blocks."""
    assert_same_host: bool
    """Refuse addresses of other hosts than that of the pool."""


class RequestsOptions(TypedDict, total=False):
    """Options of :class:`wsgiproxy.requests_client.HttpClient`, as keyword arguments."""

    chunk_size: int
    """Largest block of a response body, in bytes."""
    session: requests.Session | None
    """A session with its own cookies, certificates and headers; a new one for each request, if
    not given."""
    params: Any
    """Parameters that are added to the query."""
    cookies: Any
    """Cookies that are sent with each request."""
    files: Any
    """Files that are sent as a form."""
    auth: Any
    """User and password, or an object that signs in."""
    timeout: float | tuple[float | None, float | None] | None
    """Seconds to connect and between two reads. Default: (10, 60)."""
    allow_redirects: bool
    """Follow redirects. Default: False."""
    proxies: Any
    """Addresses of proxies, by scheme."""
    hooks: Any
    """Functions that are called with each response."""
    verify: bool | str
    """Verify certificates, or the path of the authorities to believe. Default: True."""
    cert: Any
    """The path of our own certificate, or the paths of certificate and key."""
    json: Any
    """A value that is sent as JSON."""


class HookedOptions(TransportOptions, total=False):
    """Options of ``HostProxy`` with the client ``httplib``."""

    hooks: Iterable[Hook]


class HookedUrllib3Options(Urllib3Options, total=False):
    """Options of ``HostProxy`` with the client ``urllib3``."""

    hooks: Iterable[Hook]
