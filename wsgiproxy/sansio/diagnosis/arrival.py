"""What the application sees of an honest question, and who has told it."""

from __future__ import annotations

from wsgiproxy.sansio.diagnosis.belief import came_through_proxy
from wsgiproxy.sansio.diagnosis.examination import Examination
from wsgiproxy.sansio.diagnosis.finding import Asked, Finding, bad, ok, warn
from wsgiproxy.sansio.forwarded import client_address
from wsgiproxy.sansio.headers import is_forwarding_key
from wsgiproxy.sansio.message import DEFAULT_PORTS
from wsgiproxy.sansio.target import decoded, split_host

__all__ = ["facts", "fields", "full_path"]

# Family -> fact -> the field that tells it.
_X = {
    "client": "X-Forwarded-For",
    "scheme": "X-Forwarded-Proto",
    "host": "X-Forwarded-Host",
    "prefix": "X-Forwarded-Prefix",
}
_FAMILIES = {
    "x-forwarded": _X,
    "historical": {
        "client": "X-Forwarded-For",
        "scheme": "X-Forwarded-Scheme",
        "host": "X-Forwarded-Server",
        "prefix": "X-Forwarded-Script-Name",
    },
    "forwarded": {"client": "Forwarded", "scheme": "Forwarded", "host": "Forwarded"},
}
_USED_TOO = {"X-Forwarded-Port", "X-Script-Name", "X-Traversal-Path"}
# What nginx is told, for the fields that everybody writes.
_NGINX = {
    "client": "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
    "scheme": "proxy_set_header X-Forwarded-Proto $scheme;",
    "host": "proxy_set_header X-Forwarded-Host $http_host;",
    "prefix": "proxy_set_header X-Forwarded-Prefix /the/path;",
}
# Settings that give a fact by themselves.
_FIXED = {
    "client": (),
    "scheme": ("scheme",),
    "host": ("host", "domain", "port"),
    "prefix": ("prefix", "pop_prefix"),
}


def _key(field: str) -> str:
    return "HTTP_" + field.upper().replace("-", "_")


def full_path(environ: Examination) -> str:
    """The whole decoded path that the application sees."""
    return environ.seen.get("SCRIPT_NAME", "") + environ.seen.get("PATH_INFO", "")


def facts(asked: Asked, found: Examination) -> list[Finding]:
    """Client, scheme, host and path, compared with what we have asked for."""
    return [
        _client(asked, found),
        _scheme(asked, found),
        _host(asked, found),
        _path(asked, found),
    ]


def _source(fact: str, found: Examination) -> str:
    """Who has told it, for a sentence."""
    given = [name for name in _FIXED[fact] if name in found.fixed]
    if given:
        return f"by the setting {given[0]}"
    if found.verified:
        return "signed"
    field = _field(fact, found)
    if found.peer_trusted and field and _key(field) in found.arrived:
        return f"by {field}"
    return "from the connection itself"


def _field(fact: str, found: Examination) -> str:
    return _FAMILIES.get(found.reads, _X).get(fact, "")


def _cure(fact: str, found: Examination) -> str:
    given = [name for name in _FIXED[fact] if name in found.fixed]
    if given:
        return f"The setting {given[0]} of WSGIProxyMiddleware says so; is it still right?"
    if found.verified and fact == "prefix":
        return (
            "Whatever takes the prefix off in front of WSGIProxyApp must tell it: by SCRIPT_NAME"
            " if that is WSGI, else by X-Forwarded-Prefix, and be named in trusted_proxies."
        )
    if found.verified:
        return (
            "WSGIProxyApp was told so by its own server. If another proxy is in front of it, name"
            " that one in trusted_proxies, and let it send the X-Forwarded-* fields."
        )
    if found.mode in ("nothing", "secret_file"):
        return "WSGIProxyMiddleware with trust_ips or secret_file restores it."
    field = _field(fact, found)
    if not field:
        return "No field of this family tells it; a setting of WSGIProxyMiddleware can."
    if _key(field) in found.arrived:
        told = found.arrived[_key(field)]
        return f"{field} says {told!r}; whoever writes it has to be told better."
    cure = f"Let the proxy send {field}."
    return f"{cure} nginx: {_NGINX[fact]}" if field == _X[fact] else cure


def _client(asked: Asked, found: Examination) -> Finding:
    seen = found.seen.get("REMOTE_ADDR", "")
    how = _source("client", found)
    own, client = client_address[asked.own], client_address[seen]
    if client == own or (_is_loopback(client) and _is_loopback(own)):
        return ok("client", f"The application sees your address, {seen!r} ({how}).")
    lost = f"The application takes {seen!r} for the client; the doctor asks from {asked.own!r}."
    if own and not _is_loopback(own) and (_is_loopback(client) or not client):
        return bad("client", lost, _cure("client", found))
    if came_through_proxy(found) and seen == found.arrived.get("REMOTE_ADDR"):
        return bad("client", lost, _cure("client", found))
    return warn("client", lost, "With a network address translator between, that is right.")


def _is_loopback(address: str) -> bool:
    return address == "::1" or address.startswith("127.")


def _scheme(asked: Asked, found: Examination) -> Finding:
    seen = found.seen.get("wsgi.url_scheme", "")
    if seen == asked.scheme:
        return ok("scheme", f"It sees the scheme {seen!r} ({_source('scheme', found)}).")
    return bad(
        "scheme",
        f"You asked by {asked.scheme!r}, but the application sees {seen!r}: its links and"
        " redirects lead there, and cookies marked Secure may be missing.",
        _cure("scheme", found),
    )


def _canonical(host: str, scheme: str) -> str:
    name, port = split_host(host, 0)
    return f"{name.lower()}:{port or DEFAULT_PORTS.get(scheme, 80)}"


def _host(asked: Asked, found: Examination) -> Finding:
    seen = found.seen.get("HTTP_HOST", "")
    try:
        same = _canonical(seen, asked.scheme) == _canonical(asked.host, asked.scheme)
    except ValueError:  # what stands for a port is no number
        same = False
    if same:
        return ok("host", f"It sees the host {seen!r} ({_source('host', found)}).")
    return bad(
        "host",
        f"You asked for {asked.host!r}, but the application sees {seen!r}: its links and"
        " redirects lead there.",
        _cure("host", found),
    )


def _path(asked: Asked, found: Examination) -> Finding:
    prefix, whole, path = found.seen.get("SCRIPT_NAME", ""), full_path(found), decoded(asked.path)
    if whole == path or (whole or "/") == path:
        where = f"below {prefix!r}" if prefix else "at the root"
        return ok("prefix", f"It lives {where} ({_source('prefix', found)}).")
    sentence = f"You asked for {path!r}, but the application sees {whole!r}"
    tail = whole if path.endswith(whole) else whole.rstrip("/")
    if path.endswith(tail):
        lost = path[: len(path) - len(tail)]
        home = f"below {prefix!r}" if prefix else "at the root"
        where = f"{sentence} and thinks that it lives {home}: its links lack {lost!r}."
        return bad("prefix", where, _cure("prefix", found).replace("/the/path", lost))
    if whole.endswith(path):
        return bad(
            "prefix",
            f"{sentence}: its links have {whole[: len(whole) - len(path)]!r} too much.",
            "The proxy tells a prefix that it does not take off the path. Let it take it off, or"
            " tell none and use pop_prefix.",
        )
    return bad(
        "path", f"{sentence}: something rewrites it.", "Look for rewrite rules between the two."
    )


def fields(found: Examination) -> list[Finding]:
    """Forwarding fields that arrived and lost, and keys that were carried for nobody."""
    used = set(_FAMILIES.get(found.reads, _X).values()) | _USED_TOO if found.peer_trusted else set()
    if found.verified:
        used = {"WSGIProxy", "X-Traversal-Path", "X-Traversal-Query-String"}
    unused = {key for key in found.arrived if is_forwarding_key[key]} - {_key(n) for n in used}
    findings = []
    if unused:
        names = ", ".join(sorted(_name(key) for key in unused))
        findings.append(ok("fields", f"Arrived as well, and count for nothing: {names}."))
    lost = [name for name in found.carried if name not in found.accepted]
    if lost:
        findings.append(
            warn(
                "carried",
                f"The front hands over {', '.join(map(repr, lost))}, which the backend drops.",
                f"WSGIProxyMiddleware(app, ..., accept_keys={lost!r})",
            )
        )
    return findings


def _name(key: str) -> str:
    return "-".join(part.capitalize() for part in key[5:].split("_"))
