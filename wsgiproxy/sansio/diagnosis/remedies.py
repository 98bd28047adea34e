"""What tells a fact of a request, what brings it back, and how a proxy in front is told."""

from __future__ import annotations

__all__ = ["CURES", "ELSEWHERE", "LINES", "REASONS", "SOURCES"]

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
_SET = "nginx: proxy_set_header"
#: Fact, or what has to be kept -> how nginx is told, as docs/trust.rst has it.
LINES = {
    "client": f"{_SET} X-Forwarded-For $remote_addr;",
    "scheme": f"{_SET} X-Forwarded-Proto $scheme;",
    "host": f"{_SET} X-Forwarded-Host $http_host;",
    "prefix": f"{_SET} X-Forwarded-Prefix /the/path;",
    "keep_host": f"{_SET} Host $http_host;",
    "keep_path": "nginx: give proxy_pass no path at its end, and set merge_slashes off.",
}
#: The same where another server answers: nginx writes its name over that of the backend.
ELSEWHERE = {
    **dict.fromkeys(LINES, "docs/trust.rst shows it for nginx and HAProxy."),
    "keep_host": "Look there for what rewrites Host.",
    "keep_path": "Look between the two for what rewrites paths.",
}
