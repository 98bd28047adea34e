"""Names of fields that only one side may write: the forwarding namespace, and commands.

To the first belong Forwarded, X-Forwarded-For, X-Real-IP, X-Script-Name, Remote-User and
X-WSGIProxy-Version; to the others X-Accel-Redirect and X-Sendfile. It compares normalized names,
lower case with every other character than a letter or digit as ``-``, and not their values.
"""

from __future__ import annotations

from wsgiproxy.sansio.fields.names import normalized_name
from wsgiproxy.sansio.memo import remembered

__all__ = ["in_namespace", "is_command", "is_forwarding_key"]

# The forwarding namespace is ours, so what clients put there is removed before we speak. Rules
# for beginnings and ends, since every list that others shipped was one name short.
_OUR_PREFIXES = ("x-forwarded-", "forwarded-", "x-wsgiproxy", "x-traversal-", "wsgiproxy")
# The address of the client, as Rails, load balancers and content delivery networks spell it.
_OUR_SUFFIXES = (
    "client-address",
    "client-ip",
    "clientip",
    "cluster-ip",
    "connecting-ip",
    "connecting-ipv6",
    "connection-ip",
    "external-address",
    "forward-for",
    "forwarded-for",
    "forwarded-host",
    "forwarded-port",
    "forwarded-proto",
    "forwarded-ssl",
    "original-path",
    "originating-ip",
    "peer-ip",
    "proxied-for",
    "pseudo-ipv4",
    "real-ip",
    "remote-addr",
    "remote-address",
    "remote-host",
    "remote-ip",
    "remote-user",
    "socketip",
    "source-ip",
    "src-ip",
    "user-ip",
    "viewer-address",
)
# By the last two, Rack would have a server in front send a file (CVE-2025-61780).
_OUR_NAMES = frozenset(
    [
        "cf-visitor",
        "disguised-host",
        "forwarded",
        "front-end-https",
        "path-info",
        "proxy",
        "script-name",
        "x-arr-ssl",
        "x-client-scheme",
        "x-forwarded",
        "x-host",
        "x-http-host-override",
        "x-original-for",
        "x-original-host",
        "x-original-method",
        "x-original-proto",
        "x-original-uri",
        "x-original-url",
        "x-real-host",
        "x-real-port",
        "x-real-proto",
        "x-real-scheme",
        "x-rewrite-uri",
        "x-rewrite-url",
        "x-scheme",
        "x-script-name",
        "x-url-scheme",
        "x-accel-mapping",
        "x-sendfile-type",
    ]
)


def in_namespace(name: str) -> bool:
    """Whether a request field, by its normalised name, is of the forwarding namespace.

    >>> in_namespace("x-forwarded-for"), in_namespace("true-client-ip"), in_namespace("accept")
    (True, True, False)
    """
    return name in _OUR_NAMES or name.startswith(_OUR_PREFIXES) or name.endswith(_OUR_SUFFIXES)


# With these an application commands the server in front of it, which then sends a file of its own,
# asks another server, slows down or empties its cache: nginx, Apache, lighttpd, LiteSpeed, perlbal.
# By X-Archive nginx's mod_zip packs what the body names, internal locations among it.
_COMMAND_PREFIXES = (
    "x-accel-",
    "x-archive-",
    "x-lighttpd-",
    "x-litespeed-",
    "x-reproxy-",
    "x-sendfile",
)
# It says no more than whether to wait for a whole block, and event streams need it.
_NO_COMMAND = "x-accel-buffering"


def is_command(name: str) -> bool:
    """Whether a response field, by its normalised name, commands a server in front.

    >>> is_command("x-accel-redirect"), is_command("x-accel-buffering")
    (True, False)
    """
    return name.startswith(_COMMAND_PREFIXES) and name != _NO_COMMAND


@remembered
def is_forwarding_key(key: str) -> bool:
    """Whether an environ key holds a field of the forwarding namespace.

    >>> is_forwarding_key("HTTP_X_FORWARDED_FOR"), is_forwarding_key("HTTP_ACCEPT")
    (True, False)
    """
    return key.startswith("HTTP_") and in_namespace(normalized_name(key[5:]))
