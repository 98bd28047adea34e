"""What tells a fact of a request, what brings it back, and how a proxy in front is told."""

from __future__ import annotations

__all__ = ["CURES", "LINES", "REASONS", "SOURCES"]

#: How the reason of a refusal begins -> a word for it.
REASONS = {
    "not signed": "not_signed",
    "no such key": "no_key",
    "created": "off_time",
    "wrong signature": "wrong_signature",
    "signed for": "elsewhere",
    "the body": "body",
    "the store": "store",
}
#: What tells a fact: what must hold -> words for it. The first that holds counts.
SOURCES = (
    ("fixed", "by the setting {fixed}"),
    ("verified", "signed"),
    ("peer_trusted told_value", "by {field}"),
    ("", "from the connection itself"),
)
_FRONT = (
    "WSGIProxyApp was told so by its own server. If another proxy is in front of it, name that one"
    " in trusted_proxies, and let it send the X-Forwarded-* fields."
)
#: What brings a fact back: what must hold -> what to do. The first that holds counts.
CURES = (
    ("fixed", "The setting {fixed} of WSGIProxyMiddleware says so; is it still right?"),
    (
        "verified prefix_fact",
        "Whatever takes the prefix off in front of WSGIProxyApp must tell it: by SCRIPT_NAME if"
        " that is WSGI, else by X-Forwarded-Prefix, and be named in trusted_proxies.",
    ),
    ("verified", _FRONT),
    ("-believing", "WSGIProxyMiddleware with trust_ips or secret_file restores it."),
    ("by_front told_value", _FRONT),
    ("-field", "No field of this family tells it; a setting of WSGIProxyMiddleware can."),
    ("told_value", "{field} says {told_value!r}; what writes it has to be told better."),
    ("line", "Let the proxy send {field}. {line}"),
    ("", "Let the proxy send {field}."),
)
_NGINX, _HAPROXY = "proxy_set_header X-Forwarded-", "http-request set-header X-Forwarded-"
_APACHE, _CADDY = "RequestHeader set X-Forwarded-", "header_up X-Forwarded-"
#: The server in front, by its field Server -> fact -> its line, as docs/trust.rst has it.
LINES = {
    "nginx": {
        "client": f"{_NGINX}For $remote_addr;",
        "scheme": f"{_NGINX}Proto $scheme;",
        "host": f"{_NGINX}Host $http_host;",
        "prefix": f"{_NGINX}Prefix /the/path;",
        "keep_host": "proxy_set_header Host $http_host;",
        "keep_path": "give proxy_pass no path at its end, and set merge_slashes off.",
    },
    "HAProxy": {
        "client": f"{_HAPROXY}For %[src]",
        "scheme": f"{_HAPROXY}Proto %[ssl_fc,iif(https,http)]",
        "host": f"{_HAPROXY}Host %[req.hdr(host)]",
        "prefix": f"{_HAPROXY}Prefix /the/path",
        "keep_host": "let no http-request rule change Host.",
        "keep_path": "let no http-request rule change the path.",
    },
    "Apache": {
        "client": f"{_APACHE}For expr=%{{REMOTE_ADDR}}",
        "scheme": f"{_APACHE}Proto expr=%{{REQUEST_SCHEME}}",
        "host": f"{_APACHE}Host expr=%{{HTTP_HOST}}",
        "prefix": f"{_APACHE}Prefix /the/path",
        "keep_host": "ProxyPreserveHost On",
        "keep_path": "AllowEncodedSlashes NoDecode, MergeSlashes Off, and nocanon of ProxyPass.",
    },
    "Caddy": {
        "client": f"{_CADDY}For {{remote_host}}",
        "scheme": f"{_CADDY}Proto {{scheme}}",
        "host": f"{_CADDY}Host {{host}}",
        "prefix": f"{_CADDY}Prefix /the/path",
        "keep_host": "let no header_up change Host.",
        "keep_path": "use handle, not handle_path or rewrite.",
    },
}
