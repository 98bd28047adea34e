"""A request as code that sends it again: curl, Python, a test. What is secret is masked there.

Values of a request stand in the code as literals alone, and never in a comment: none of them can
become a command.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from wsgiproxy.observe.inspector.bodies import Body
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.preview import is_form
from wsgiproxy.observe.inspector.shown import masked_headers, masked_target
from wsgiproxy.sansio.fields.connection import end_to_end
from wsgiproxy.sansio.fields.names import value_of, without
from wsgiproxy.sansio.grammar import is_token
from wsgiproxy.sansio.message import Headers
from wsgiproxy.sansio.secrets import MASK, Secrets

__all__ = ["KINDS", "Sent", "as_code", "sent"]

# Bytes of a body that stand in the code; a longer one is read from a file.
_INLINE = 65536
# Each program makes these itself.
_OWN = ("Host", "Content-Length", "Transfer-Encoding", "Connection")
_SAFE = re.compile(r"[A-Za-z0-9_./:=@%+,-]+")
_BREAKS = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


class Sent(NamedTuple):
    """What code sends.

    :param method: token.
    :param url: absolute.
    :param headers: without those that each program makes itself.
    :param body: empty if there is none.
    :param remarks: sentences for its reader, of our own words.
    :param status: that of the answer; None if there was none.
    :param media_type: that of the answer; empty if there was none.
    """

    method: str
    url: str
    headers: Headers
    body: bytes
    remarks: tuple[str, ...] = ()
    status: int | None = None
    media_type: str = ""


def sent(exchange: Exchange, secrets: Secrets) -> Sent:
    """The request of a client, as code sends it again."""
    request, kept = exchange.request, exchange.body
    headers = masked_headers(request.headers, secrets)
    body, remarks = b"", []
    if kept is not None and kept.size:
        found = Body("request", kept, request.headers)
        body = found.masked(secrets)
        if found.coding and is_form(found.content_type):  # without its coding
            headers = without(headers, ["Content-Encoding"])
        if kept.is_cut:
            remarks.append("The body is cut: no more of it was kept.")
    target = masked_target(request.target, secrets)
    if target.startswith("/") or not target:
        target = f"{exchange.scheme}://{value_of(request.headers, 'Host')}{target}"
    passed = [field for field in without(end_to_end(headers), _OWN) if is_token(field[0])]
    shown = [target, *(value for _, value in passed), body[:_INLINE].decode("latin-1")]
    if any(MASK in text for text in shown):
        remarks.append(f"{MASK} stands for what is secret.")
    if len(body) > _INLINE:
        remarks.append("body.bin is the body of the request, to be downloaded from the page.")
    answer = exchange.answer
    return Sent(
        request.method,
        target,
        passed,
        body,
        tuple(remarks),
        answer and answer.status,
        value_of(answer.headers, "Content-Type").partition(";")[0].strip() if answer else "",
    )


def as_code(exchange: Exchange, kind: str, secrets: Secrets) -> str:
    """The request of a client as code.

    :param kind: one of :data:`KINDS`.
    :raises KeyError: it is none of them.
    """
    made = sent(exchange, secrets)
    code = KINDS[kind](made)
    return "".join(f"# {remark}\n" for remark in made.remarks) + code + "\n"


def _shell(data: bytes) -> str:
    r"""A word for bash that means these bytes, which hold no NUL.

    >>> print(_shell(b"a b"), _shell(b"it's\n"), _shell(b"\xff0"))
    'a b' $'it\x27s\n' $'\xff0'
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        return "$'" + "".join(map(_ansi_c_byte, text)) + "'"
    if _SAFE.fullmatch(text):
        return text
    if text.isprintable() and "'" not in text:
        return f"'{text}'"
    return "$'" + "".join(map(_ansi_c, text)) + "'"


def _ansi_c(character: str) -> str:
    """In ``$'...'``. With a quote in it, bash would look for ``!`` in what it takes for text."""
    if character in "'!" or not character.isprintable():
        known = _BREAKS.get(character)
        return known or "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8"))
    return _BREAKS.get(character, character)


def _ansi_c_byte(character: str) -> str:
    return _ansi_c(character) if character < "\x7f" else f"\\x{ord(character):02x}"


def _octal(data: bytes) -> str:
    """A format for ``printf`` that means these bytes, NUL among them."""
    return "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\{byte:03o}" for byte in data
    )


def _wire(text: str) -> bytes:
    """The bytes of a target or a field line; others than latin-1 come from files alone."""
    return text.encode("latin-1" if all(each < "\u0100" for each in text) else "utf-8", "replace")


def _curl(made: Sent) -> str:
    words = ["curl", "--path-as-is"]
    if re.search(r"[][{}]", made.url):
        words.append("--globoff")
    if made.method == "HEAD":
        words.append("--head")
    elif made.method != ("POST" if made.body else "GET"):
        words += ["--request", _shell(_argument(_wire(made.method)))]
    lines = [" ".join([*words, _shell(_argument(_wire(made.url)))])]
    for name, value in made.headers:
        line = f"{name}: {value}" if value else f"{name};"  # how curl sends an empty field
        lines.append(f"--header {_shell(_argument(_wire(line)))}")
    if value_of(made.headers, "Accept-Encoding"):
        lines.append("--compressed")
    before = ""
    if made.body:
        if not value_of(made.headers, "Content-Type"):
            lines.append("--header 'Content-Type:'")
        before, data = _curl_body(made.body)
        lines.append(data)
    return before + " \\\n  ".join(lines)


def _argument(data: bytes) -> bytes:
    """No argument of a program holds NUL, which no valid field or target does either."""
    return data.replace(b"\0", b"")


def _curl_body(body: bytes) -> tuple[str, str]:
    """What stands before the command, and its option for the body."""
    if len(body) > _INLINE:
        return "", "--data-binary @body.bin"
    if b"\0" in body:
        return f"printf '{_octal(body)}' | ", "--data-binary @-"
    # For --data-binary an @ at the beginning means a file.
    option = "--data-raw" if body.startswith(b"@") else "--data-binary"
    return "", f"{option} {_shell(body)}"


def _joined(headers: Headers) -> dict[str, str]:
    """Repeated fields as one: a dictionary has no two of a name (RFC 9110, 5.3)."""
    found: dict[str, tuple[str, str]] = {}
    for name, value in headers:
        before = found.get(name.lower())
        mark = "; " if name.lower() == "cookie" else ", "
        found[name.lower()] = (before[0], before[1] + mark + value) if before else (name, value)
    return dict(found.values())


def _arguments(made: Sent, body_name: str) -> list[str]:
    """The lines of a call in Python that are the same everywhere."""
    lines = []
    if made.headers:
        lines.append("headers={")
        lines += [f"    {name!r}: {value!r}," for name, value in _joined(made.headers).items()]
        lines.append("},")
    if made.body:
        data = 'open("body.bin", "rb").read()' if len(made.body) > _INLINE else repr(made.body)
        lines.append(f"{body_name}={data},")
    return lines


def _call(start: str, arguments: list[str], indent: str = "") -> str:
    inner = "".join(f"{indent}    {line}\n" for line in arguments)
    return f"{indent}{start}(\n{inner}{indent})"


def _requests_call(made: Sent, asked: str, indent: str = "") -> str:
    arguments = [f"{made.method!r},", f"{made.url!r},", *_arguments(made, "data")]
    more = ["allow_redirects=False,", "timeout=30,"]
    return _call(f"response = {asked}.request", arguments + more, indent)


def _requests(made: Sent) -> str:
    call = _requests_call(made, "requests")
    return f"import requests\n\n{call}\nprint(response.status_code, response.text)"


def _webob(made: Sent) -> str:
    arguments = [f"{made.url!r},", f"method={made.method!r},", *_arguments(made, "body")]
    return (
        "from webob import Request\nfrom wsgiproxy import ExactProxy\n\n"
        + _call("request = Request.blank", arguments)
        + "\nresponse = request.get_response(ExactProxy())\nprint(response.status, response.text)"
    )


def _pytest(made: Sent) -> str:
    words = re.findall("[a-z0-9]+", f"{made.method} {made.url.partition('?')[0]}".lower())
    name = "_".join(words)[:60].rstrip("_") or "request"
    lines = [f"    assert response.status_code == {made.status}"] if made.status else []
    if made.media_type:
        found = 'response.headers["Content-Type"].partition(";")[0]'
        lines.append(f"    assert {found} == {made.media_type!r}")
    # The fixture records what the server says, and replays it from then on.
    code = (
        f"import requests\n\n\ndef test_{name}(wsgiproxy_har):\n"
        "    session = wsgiproxy_har.mount(requests.Session())\n"
        f"{_requests_call(made, 'session', '    ')}\n"
    )
    return code + "\n".join(lines or ["    assert response.ok"])


#: Makes code of a request, by the name of its kind.
KINDS: dict[str, Callable[[Sent], str]] = {
    "curl": _curl,
    "requests": _requests,
    "webob": _webob,
    "pytest": _pytest,
}
