"""From what is known of the original request to changes of the environ.

Every function returns changes and leaves the environ alone; None is for a key to remove.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from wsgiproxy.errors import BadRequest, NotFound
from wsgiproxy.sansio.fields.destination import Place, map_destination, map_tags
from wsgiproxy.sansio.fields.envelope import Envelope, client_path, client_query
from wsgiproxy.sansio.fields.forwarded import Stated
from wsgiproxy.sansio.fields.host import split_host, with_port
from wsgiproxy.sansio.fields.namespace import is_forwarding_key
from wsgiproxy.sansio.fields.signature_members import foreign_members, received_members
from wsgiproxy.sansio.grammar import port_number
from wsgiproxy.sansio.message import bracketed, default_port
from wsgiproxy.sansio.target import decoded, escapes, raw_target, rebuilt_target, under

__all__ = ["Changes", "Fixed", "by_configuration", "by_envelope", "by_family", "namespace"]

Changes = dict[str, Any]
Environ = Mapping[str, Any]


class Fixed(NamedTuple):
    """Facts that the configuration gives, and no request; empty or None where it is silent.

    :param prefix: replaces ``SCRIPT_NAME``; raw, as in a URL.
    :param pop_prefix: is moved from ``PATH_INFO`` to ``SCRIPT_NAME``; raw.
    :param scheme: ``http`` or ``https``.
    :param host: ``host:port``.
    :param domain: host without port.
    :param port: port number.
    """

    prefix: str | None = None
    pop_prefix: str = ""
    scheme: str = ""
    host: str = ""
    domain: str = ""
    port: str = ""


def namespace(environ: Environ) -> Changes:
    """The removal of the forwarding namespace, and of signatures that call themselves ours.

    >>> namespace({"HTTP_X_FORWARDED_FOR": "6.6.6.6", "HTTP_ACCEPT": "*/*"})
    {'HTTP_X_FORWARDED_FOR': None}
    """
    changes: Changes = {key: None for key in environ if is_forwarding_key(key)}
    if "HTTP_SIGNATURE_INPUT" in environ or "HTTP_SIGNATURE" in environ:
        rest = foreign_members(received_members(environ))
        changes["HTTP_SIGNATURE_INPUT"] = rest.signature_input or None
        changes["HTTP_SIGNATURE"] = rest.signature or None
    return changes


def _client(environ: Environ, client: str) -> Changes:
    changes: Changes = {"REMOTE_ADDR": client}
    if client != environ.get("REMOTE_ADDR"):
        # They are those of the peer, and would now contradict the address.
        changes.update({key: None for key in ("REMOTE_HOST", "REMOTE_PORT") if key in environ})
    return changes


def _scheme(environ: Environ, scheme: str) -> Changes:
    changes: Changes = {"wsgi.url_scheme": scheme}
    if "HTTPS" in environ:
        changes["HTTPS"] = "on" if scheme == "https" else None
    if "REQUEST_SCHEME" in environ:
        changes["REQUEST_SCHEME"] = scheme
    return changes


def _raw(environ: Environ, raw: str) -> Changes:
    changes: Changes = {"REQUEST_URI": raw}
    if "RAW_URI" in environ:
        changes["RAW_URI"] = raw
    return changes


def by_envelope(envelope: Envelope, environ: Environ) -> Changes:
    """What the environ of the front application stated, key by key.

    :param envelope: verified.
    :param environ: the request as it came here; its query is that which was signed.
    """
    sent = environ.get("QUERY_STRING", "")
    raw_query = client_query(sent, envelope.traversal_query)
    raw_path = client_path(envelope.target, envelope.traversal_path)
    path_info, query = envelope.path_info, envelope.query
    mark = raw_query or (envelope.target[-1] == "?" and not envelope.traversal_query)
    raw = (envelope.script_name + ("" if path_info == "" else raw_path) or "/") + (
        f"?{raw_query}" if mark else ""
    )
    changes = _client(environ, envelope.client)
    changes.update(_scheme(environ, envelope.scheme))
    changes.update(_raw(environ, raw))
    changes["HTTP_HOST"] = envelope.host
    changes["SERVER_NAME"] = split_host(envelope.host)[0]
    changes["SERVER_PORT"] = envelope.port
    changes["SCRIPT_NAME"] = decoded(envelope.script_name)
    changes["PATH_INFO"] = decoded(raw_path) if path_info is None else path_info
    changes["QUERY_STRING"] = raw_query if query is None else query
    if "HTTP_DESTINATION" in environ or "HTTP_IF" in environ:
        place = Place(envelope.scheme, envelope.host, envelope.script_name)
        changes.update(_addresses(environ, envelope.traversal_path, place))
    changes["wsgiproxy.traversal_path"] = envelope.traversal_path
    changes["wsgiproxy.traversal_query_string"] = envelope.traversal_query
    return changes


def by_family(stated: Stated, environ: Environ) -> Changes:
    """What a trusted peer says; where it is silent, the environ stays as it is.

    :raises BadRequest: the traversal path is not in the path, or Host is none.
    """
    changes: Changes = {}
    scheme = stated.scheme or environ.get("wsgi.url_scheme", "http")
    if stated.client:
        changes.update(_client(environ, stated.client))
    if stated.scheme:
        changes.update(_scheme(environ, stated.scheme))
    if stated.host:
        changes["HTTP_HOST"] = stated.host
        changes["SERVER_NAME"], port = split_host(stated.host)
        if port:
            changes["SERVER_PORT"] = str(port)
    if stated.port:
        changes["SERVER_PORT"] = stated.port
        host = stated.host or environ.get("HTTP_HOST")
        if host:
            changes["HTTP_HOST"] = with_port(host, stated.port, scheme)
    if stated.prefix or stated.traversal_path:
        changes.update(_path(stated, environ))
    if "HTTP_DESTINATION" in environ or "HTTP_IF" in environ:
        host = changes.get("HTTP_HOST") or environ.get("HTTP_HOST", "")
        mount = rebuilt_target(environ.get("SCRIPT_NAME", ""), "", "").script_name
        place = Place(scheme, host, stated.prefix + mount)
        changes.update(_addresses(environ, stated.traversal_path + mount, place, is_proven=False))
    return changes


_ADDRESSES = {"HTTP_DESTINATION": map_destination, "HTTP_IF": map_tags}


def _addresses(environ: Environ, path: str, place: Place, is_proven: bool = True) -> Changes:
    """The addresses in a WebDAV request, which the sender has mapped to what it asks us for.

    :param path: raw path of the application in the request as it came here.
    :param place: where the client believes the application to be.
    :param is_proven: whether the sender maps them. Another proxy than ours does not, and where
        it passes Host on as well, an address below the prefix is taken for the client's.
    """
    came = Place(environ.get("wsgi.url_scheme", "http"), environ.get("HTTP_HOST", ""), path)
    if came == place:
        return {}
    changes: Changes = {}
    for key in _ADDRESSES.keys() & environ.keys():
        value = environ[key]
        unmapped = not is_proven and _ADDRESSES[key](value, place, place._replace(path="")) != value
        if not unmapped:
            changes[key] = _ADDRESSES[key](value, came, place)
    return changes


def _path(stated: Stated, environ: Environ) -> Changes:
    script_name, path_info = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
    traversal = decoded(stated.traversal_path)
    if not under(path_info, traversal):
        raise BadRequest(f"X-Traversal-Path is {traversal!r}, but the path is {path_info!r}")
    changes: Changes = {
        "SCRIPT_NAME": decoded(stated.prefix) + script_name,
        "PATH_INFO": path_info[len(traversal) :],
    }
    raw = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    target = raw_target(raw, script_name, path_info, environ.get("QUERY_STRING", ""))
    if target is not None and target.path.startswith(stated.traversal_path):
        path = target.path[len(stated.traversal_path) :]
        changes.update(
            _raw(environ, (stated.prefix + target.script_name + path or "/") + target.query)
        )
    return changes


def by_configuration(fixed: Fixed, environ: Environ) -> Changes:
    """What the configuration says, over everything else.

    :raises NotFound: the path is not under ``pop_prefix``.
    :raises BadRequest: Host is none, and is to get a port.

    >>> by_configuration(Fixed(pop_prefix="/bar"), {"PATH_INFO": "/bar/foo"})
    {'SCRIPT_NAME': '/bar', 'PATH_INFO': '/foo'}
    """
    changes: Changes = {}
    if fixed.prefix is not None:
        changes["SCRIPT_NAME"] = decoded(fixed.prefix)
    if fixed.pop_prefix:
        path_info, prefix = environ.get("PATH_INFO", ""), decoded(fixed.pop_prefix)
        rest = path_info[len(prefix) :]
        if not under(path_info, prefix) or escapes(rest):
            raise NotFound(f"the path {path_info!r} is not under pop_prefix={fixed.pop_prefix!r}")
        changes["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + prefix
        changes["PATH_INFO"] = rest
    if fixed.scheme:
        changes.update(_scheme(environ, fixed.scheme))
    changes.update(_fixed_host(fixed, environ))
    return changes


def _fixed_host(fixed: Fixed, environ: Environ) -> Changes:
    scheme = fixed.scheme or environ.get("wsgi.url_scheme", "http")
    if fixed.host:
        name, port = split_host(fixed.host)
        host = with_port(bracketed(name), str(port), scheme)
        return {"HTTP_HOST": host, "SERVER_NAME": name, "SERVER_PORT": str(port)}
    changes: Changes = {}
    # On a Unix socket it is empty (gunicorn) or a path (waitress).
    served = port_number(str(environ.get("SERVER_PORT", "")))
    served = served or str(default_port(scheme))
    if fixed.port:
        changes["SERVER_PORT"] = fixed.port
    if fixed.domain:
        changes["SERVER_NAME"] = fixed.domain.strip("[]")
        changes["HTTP_HOST"] = with_port(bracketed(fixed.domain), fixed.port or served, scheme)
    elif fixed.port and environ.get("HTTP_HOST"):
        changes["HTTP_HOST"] = with_port(environ["HTTP_HOST"], fixed.port, scheme)
    return changes
