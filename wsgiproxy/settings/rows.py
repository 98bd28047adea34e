"""The tables: every option of every part, one row each."""

from __future__ import annotations

from wsgiproxy.settings.convert import (
    authorities,
    boolean,
    count,
    domain,
    environ_keys,
    field_names,
    guard,
    host_port,
    hosts,
    leeway,
    mount,
    name_without_port,
    nonces,
    path,
    port,
    positive_count,
    seconds,
    size,
    text,
    token,
    words,
)
from wsgiproxy.settings.setting import Choice, Setting

__all__ = [
    "APP",
    "BOOLEAN",
    "COUNT",
    "EXACT",
    "LEEWAY",
    "MIDDLEWARE",
    "NETWORKS",
    "SECONDS",
    "SERVER",
    "SIZE",
    "SIGNING",
    "TRANSPORT",
]

SECONDS = "a number of seconds above 0"
LEEWAY = "a number of seconds from 0 on"
COUNT = "a whole number from 0 on"
SIZE = "a number of bytes, such as 65536 or 64k"
BOOLEAN = "true or false"
_FILE = "the path of a file"
_KEYS = "environ keys other than wsgi.*, wsgiproxy.*, HTTP_* and those of CGI"
NETWORKS = "addresses, networks such as 10.0.0.0/8, or 'unix'"
_HOSTS = "host names"
_PATH = "a path such as /app"

TRANSPORT = (
    Setting("connect_timeout", seconds, 10.0, SECONDS, "seconds to connect, for each address"),
    Setting("head_timeout", seconds, 60.0, SECONDS, "seconds for the head of the answer"),
    Setting("idle_timeout", seconds, 60.0, SECONDS, "seconds between two reads or writes"),
    Setting(
        "keep_alive", seconds, 50.0, SECONDS, "seconds to keep an unused connection", ("max_idle",)
    ),
    Setting("max_idle", count, 64, COUNT, "unused connections to keep for one upstream"),
    Setting("max_head", size, 65536, SIZE, "largest head of a message, in bytes"),
    Setting("verify", boolean, True, BOOLEAN, "verify the certificates of https upstreams"),
    Setting("ca_file", path, None, _FILE, "PEM file of the authorities to believe", ("verify",)),
    Setting("client_cert", path, None, _FILE, "PEM file with our own certificate"),
    Setting(
        "client_key", path, None, _FILE, "PEM file with the key of client_cert", ("client_cert",)
    ),
    Setting(
        "parent_proxy",
        text,
        None,
        "http://[user:password@]host:port or socks5h://host:port",
        "the proxy through which to connect",
        metavar="URL",
    ),
    Setting("guard", guard, None, "true, or a Guard", "connect to public addresses alone"),
)

APP = (
    Setting("preserve_host", boolean, False, BOOLEAN, "send the client's Host, not the target's"),
    Setting(
        "trusted_proxies",
        words,
        (),
        NETWORKS,
        "peers whose X-Forwarded-* are kept and appended to",
        metavar="NETWORKS",
    ),
    Setting(
        "require_forwarded",
        boolean,
        False,
        BOOLEAN,
        "refuse what a trusted proxy sends without naming the client",
        ("trusted_proxies",),
    ),
    Setting("allowed_hosts", hosts, (), _HOSTS, "hosts to answer for; all, if none is given"),
    Setting("suppress_headers", field_names, (), "header names", "request headers not to send on"),
    Setting("suppress_cookies", field_names, (), "cookie names", "cookies to keep from the target"),
    Setting(
        "pass_accel",
        boolean,
        False,
        BOOLEAN,
        "let the target command the server in front: X-Accel-Redirect, X-Sendfile",
    ),
    Setting("forwarded", boolean, False, BOOLEAN, "also announce in Forwarded (RFC 7239)"),
    Setting("request_id", boolean, False, BOOLEAN, "name each request in X-Request-Id"),
    Setting("via", token, None, "a token", "our name in Via; a random one if not given"),
    Setting("rewrite_location", boolean, True, BOOLEAN, "map Location and Refresh back"),
    Setting("scope_cookies", boolean, False, BOOLEAN, "map the Path of cookies to the mount"),
    Setting(
        "cookie_domain",
        domain,
        None,
        "a domain, or nothing to remove it",
        "replaces the Domain of cookies",
    ),
    Setting("max_body", size, None, SIZE, "largest request body in bytes"),
)

#: Of the exact proxy.
EXACT = (*(row for row in APP if row.name == "max_body"), *TRANSPORT)

_PICKLE = "let pickle_keys be carried: any holder of the secret can run code at the backend"

_SECRET = ("secret_file",)

SIGNING = (
    Setting("secret_file", path, None, _FILE, "keys to sign with; see wsgiproxy keygen"),
    Setting(
        "string_keys", environ_keys, (), _KEYS, "native strings to carry to the backend", _SECRET
    ),
    Setting("unicode_keys", environ_keys, (), _KEYS, "text to carry to the backend", _SECRET),
    Setting(
        "json_keys", environ_keys, (), _KEYS, "values to carry to the backend as JSON", _SECRET
    ),
    Setting(
        "pickle_keys", environ_keys, (), _KEYS, "other values to carry; needs allow_pickle", _SECRET
    ),
    Setting("allow_pickle", boolean, False, BOOLEAN, _PICKLE),
    Setting(
        "sign_body", boolean, False, BOOLEAN, "cover request bodies, which are read first", _SECRET
    ),
)

_EXAMINED = ("secret_file", "doctor_file")
_COUNT_OF = "how many proxies append to X-Forwarded-"

MIDDLEWARE = (
    Setting("secret_file", path, None, _FILE, "keys to verify with"),
    Setting("trust_ips", words, (), f"{NETWORKS}; or '*'", "peers whose fields are believed"),
    Setting("prefix", mount, None, _PATH, "replaces SCRIPT_NAME"),
    Setting("pop_prefix", mount, None, _PATH, "moves from PATH_INFO to SCRIPT_NAME"),
    Setting("scheme", Choice(("http", "https")), None, "http or https", "the scheme"),
    Setting("host", host_port, None, "host:port", "the host, with its port"),
    Setting("domain", name_without_port, None, "a host without port", "the host alone"),
    Setting("port", port, None, "a port number", "the port alone"),
    Setting(
        "family",
        Choice(("x-forwarded", "historical", "forwarded")),
        "x-forwarded",
        "x-forwarded, historical or forwarded",
        "which fields are believed under trust_ips",
        ("trust_ips",),
    ),
    Setting(
        "require_forwarded",
        boolean,
        False,
        BOOLEAN,
        "refuse what a trusted peer sends without naming the client",
        ("trust_ips", "x_for", "x_proto", "x_host", "x_port", "x_prefix"),
    ),
    Setting(
        "authorities",
        authorities,
        (),
        "hosts with their ports, as in the href of WSGIProxyApp",
        "the hosts for which a request must have been signed",
        _SECRET,
    ),
    Setting(
        "accept_keys", environ_keys, (), _KEYS, "carried keys to take into the environ", _SECRET
    ),
    Setting(
        "unsigned",
        Choice(("reject", "strip")),
        "reject",
        "reject or strip",
        "what to do with a request that bears no signature",
        _SECRET,
    ),
    Setting("max_age", seconds, 60.0, SECONDS, "seconds for which a signature is good", _EXAMINED),
    Setting(
        "clock_skew", leeway, 5.0, LEEWAY, "seconds by which the sender may be ahead", _EXAMINED
    ),
    Setting(
        "replay",
        nonces,
        None,
        "'memory', or an object with add(key, ttl)",
        "remembers nonces, so that each signature is good for one request",
        _EXAMINED,
    ),
    Setting("doctor_file", path, None, _FILE, "keys of the users of wsgiproxy doctor"),
    Setting("allowed_hosts", hosts, (), _HOSTS, "hosts to answer for; all, if none is given"),
    Setting(
        "allow_pickle", boolean, False, BOOLEAN, "unpickle carried values of accept_keys", _SECRET
    ),
    Setting("sign_body", boolean, False, BOOLEAN, "refuse bodies that are not covered", _SECRET),
    *(
        Setting(f"x_{name}", count, None, COUNT, f"{_COUNT_OF}{name.capitalize()}")
        for name in ("for", "proto", "host", "port", "prefix")
    ),
)

#: Of the server for Paste Deploy.
SERVER = (
    Setting("head_timeout", seconds, 30.0, SECONDS, "seconds for the whole head of a request"),
    Setting("idle_timeout", seconds, 60.0, SECONDS, "seconds between two reads or writes"),
    Setting(
        "max_connections",
        positive_count,
        1000,
        "a whole number from 1 on",
        "connections at the same time",
    ),
)
