"""What the page of the inspector asks for, and what it changes: JSON of exchanges."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from wsgiproxy.errors import ProxyError
from wsgiproxy.observe.inspector.answers import FOREIGN, Answer, Refusal, download, json_answer
from wsgiproxy.observe.inspector.as_code import KINDS, as_code
from wsgiproxy.observe.inspector.bodies import Body, body_named
from wsgiproxy.observe.inspector.decoded import decoded
from wsgiproxy.observe.inspector.edited import Replayed, editable, edited
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.live import Live, Streams
from wsgiproxy.observe.inspector.preview import image_type
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.observe.inspector.shown import detail, summary
from wsgiproxy.sansio.secrets import Secrets
from wsgiproxy.version import __version__

__all__ = ["Api", "Asked", "FromHar", "Replay", "ToHar"]

Replay = Callable[[Exchange, Replayed], int]
# The text whole, or piece by piece.
ToHar = Callable[[list[Exchange]], Iterable[str]]
FromHar = Callable[[str, str], int]

# Characters of a file's name, and digits of a number.
_NAME, _DIGITS = 200, 15


class Asked(NamedTuple):
    """A request of the page.

    :param path: below ``api/``, in its segments.
    :param query: raw.
    :param body: of a POST.
    """

    path: tuple[str, ...]
    query: str = ""
    body: bytes = b""

    def parameter(self, name: str) -> str:
        """The first value of a parameter; empty if there is none."""
        return parse_qs(self.query, errors="replace").get(name, [""])[0]


class Api:
    """Answers for the page; see :class:`~wsgiproxy.observe.inspector.page.Page`."""

    def __init__(
        self,
        ring: Ring,
        secrets: Secrets,
        title: str,
        replay: Replay | None,
        to_har: ToHar | None,
        from_har: FromHar | None,
    ) -> None:
        self._ring = ring
        self._secrets = secrets
        self._title = title
        self._replay, self._to_har, self._from_har = replay, to_har, from_har
        self.streams = Streams()

    def get(self, asked: Asked) -> Answer:
        """What is shown.

        :raises Refusal: there is none of that name.
        """
        if asked.path == ("state",):
            return json_answer(self._state())
        if asked.path == ("exchanges",):
            return json_answer({"exchanges": [self._summary(e) for e in self._ring.exchanges()]})
        if asked.path == ("events",):
            return self._events()
        if asked.path == ("har",):
            return self._har(asked)
        return self._of_exchange(self._exchange(asked.path), asked.path[2:])

    def post(self, asked: Asked) -> Answer:
        """What is changed.

        :raises Refusal: it cannot be.
        """
        if asked.path == ("har",):
            return self._add_har(asked)
        value = _json(asked.body)
        if asked.path == ("clear",):
            self._ring.clear()
            return json_answer(self._state())
        if asked.path == ("pause",):
            if not isinstance(value, dict) or not isinstance(value.get("paused"), bool):
                raise Refusal(400, "Expected an object with paused, which is true or false.")
            self._ring.pause(value["paused"])
            return json_answer(self._state())
        exchange = self._exchange(asked.path)
        if asked.path[2:] != ("replay",) or self._replay is None:
            raise Refusal(404, "There is no such thing to do.")
        with _Sentences():
            number = self._replay(exchange, edited(exchange, value, self._secrets))
        return json_answer({"number": number})

    def _state(self) -> dict[str, Any]:
        ring = self._ring
        return {
            "version": __version__,
            "title": self._title,
            "paused": ring.is_paused,
            "limits": ring.limits._asdict(),
            "memory": ring.memory,
            "disk": ring.disk,
            "kept": len(ring),
            "can_replay": self._replay is not None,
            "can_har": self._to_har is not None and self._from_har is not None,
        }

    def _summary(self, exchange: Exchange) -> dict[str, Any]:
        return summary(exchange, self._secrets)

    def _summaries(self, numbers: set[int]) -> dict[str, Any]:
        changed = []
        for number in sorted(numbers):
            with contextlib.suppress(KeyError):  # it has gone meanwhile
                changed.append(self._summary(self._ring[number]))
        return {"exchanges": changed, "first": self._ring.first or max(numbers) + 1}

    def _events(self) -> Answer:
        live = Live(self._ring, self.streams, self._state, self._summaries)
        if not self.streams.add(live):
            live.close()
            raise Refusal(503, "The page has ended.")
        return Answer(200, "text/event-stream", live, is_stream=True)

    def _exchange(self, path: tuple[str, ...]) -> Exchange:
        if len(path) > 1 and path[0] == "exchanges" and _is_number(path[1]):
            try:
                return self._ring[int(path[1])]
            except KeyError:
                raise Refusal(404, f"Exchange {path[1]} is not kept, or no longer.") from None
        raise Refusal(404, "There is nothing of that name.")

    def _of_exchange(self, exchange: Exchange, rest: tuple[str, ...]) -> Answer:
        if not rest:
            return json_answer(detail(exchange, self._secrets))
        if rest == ("editable",):
            return json_answer(editable(exchange, self._secrets))
        if len(rest) == 2 and rest[0] == "as" and rest[1] in KINDS:
            code = as_code(exchange, rest[1], self._secrets).encode("utf-8", "backslashreplace")
            return Answer(200, "text/plain; charset=utf-8", [code])
        if rest[0] == "bodies" and len(rest) in (2, 3):
            body = body_named(exchange, rest[1])
            if body is not None:
                return self._of_body(exchange.number, body, "".join(rest[2:]))
        raise Refusal(404, "There is nothing of that name.")

    def _of_body(self, number: int, body: Body, form: str) -> Answer:
        if form == "raw":
            return download(body.masked(self._secrets), f"exchange-{number}-{body.name}.bin")
        if form == "image":
            return _image(body)
        if form:
            raise Refusal(404, "There is nothing of that name.")
        shown = body.preview(self._secrets)
        return json_answer(
            {
                "kind": shown.kind,
                "text": shown.text,
                "fields": [list(field) for field in shown.fields],
                "cut": shown.is_cut,
                "note": shown.note,
            }
        )

    def _har(self, asked: Asked) -> Answer:
        if self._to_har is None:
            raise Refusal(404, "There is nothing that writes HAR files.")
        exchanges, text = self._ring.exchanges(), asked.parameter("numbers")
        if text:
            wanted = text.split(",")
            if not all(map(_is_number, wanted)):
                raise Refusal(400, "Expected numbers, separated by commas.")
            numbers = set(map(int, wanted))
            exchanges = [each for each in exchanges if each.number in numbers]
        made = self._to_har(exchanges)
        # All that is kept may be more than there is room for in memory.
        blocks = (text.encode("utf-8", "replace") for text in _whole(made))
        return download(b"", "wsgiproxy.har")._replace(body=blocks, is_stream=True)

    def _add_har(self, asked: Asked) -> Answer:
        if self._from_har is None:
            raise Refusal(404, "There is nothing that reads HAR files.")
        with _Sentences():
            text = asked.body.decode("utf-8-sig")
            name = asked.parameter("name")[:_NAME] or "a file"
            return json_answer({"added": self._from_har(text, name)})


class _Sentences:
    """What is wrong with what was posted becomes a sentence."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, UnicodeDecodeError):
            raise Refusal(400, "The file is not UTF-8.") from error
        if isinstance(error, RecursionError):
            raise Refusal(400, "The file is too deep.") from error
        if isinstance(error, ValueError):
            raise Refusal(400, str(error)) from error
        if isinstance(error, ProxyError):
            raise Refusal(error.status, f"{error.public} {error}") from error


def _whole(made: Iterable[str]) -> Iterable[str]:
    return [made] if isinstance(made, str) else made


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def _json(body: bytes) -> object:
    try:
        return json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise Refusal(400, "The body is not JSON.") from None


def _image(body: Body) -> Answer:
    """A raster image as one; all else is never served with a type of its own."""
    data = body.kept.read()
    if body.coding:
        data = decoded(data, body.coding).data
    kind = image_type(data)
    if not kind:
        raise Refusal(404, "This is no image, or one of a kind that is not shown.")
    return Answer(200, kind, [data], (("Content-Disposition", "inline"),), FOREIGN)
