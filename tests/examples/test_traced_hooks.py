"""A trace through the proxy, with the instrumentations of OpenTelemetry for both worlds."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any

import pytest

from tests.examples.running import EXAMPLES, needs, running
from tests.spawn.children import until
from tests.support.upstream import RawUpstream

NAME = "traced_hooks.py"
EDGES = {
    "WSGI": ("waitress", "waitress-serve --listen 127.0.0.1:8080", "traced_hooks:wsgi_app"),
    "ASGI": ("uvicorn", "uvicorn --no-proxy-headers --port 8080", "traced_hooks:asgi_app"),
}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_the_docstring_names_both_commands() -> None:
    text = re.sub(r"\s+", " ", (EXAMPLES / NAME).read_text().split('"""')[1])
    for _, server, application in EDGES.values():
        assert f"{server} {application}" in text


def received(port: int, headers: dict[str, str]) -> dict[str, list[str]]:
    """The fields that have reached the upstream."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/x", headers=headers)
        response = connection.getresponse()
        assert response.status == 200
        lines = json.loads(response.read())["headers"]
    finally:
        connection.close()
    found: dict[str, list[str]] = {}
    for name, value in lines:
        found.setdefault(name.lower(), []).append(value)
    return found


def spans(log: str) -> list[dict[str, Any]]:
    """What the exporter has written: objects with other lines between them."""
    found, decoder = [], json.JSONDecoder()
    for match in re.finditer(r"^\{$", log, re.M):
        try:
            found.append(decoder.raw_decode(log, match.start())[0])
        except ValueError:  # not whole yet
            continue
    return found


@pytest.mark.parametrize("edge", EDGES)
def test_the_trace_goes_on(edge: str, echo: RawUpstream) -> None:
    package, server, application = EDGES[edge]
    needs(package, "opentelemetry.sdk", f"opentelemetry.instrumentation.{edge.lower()}")
    with running(NAME, echo.netloc, {}, server, application) as (port, process):
        fields = received(port, {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "a=1"})
        (sent,) = fields["traceparent"]
        assert fields["tracestate"] == ["a=1"]
        _, trace, ours, _ = sent.split("-")

        def served() -> list[dict[str, Any]]:
            return [each for each in spans(process.log) if each["kind"] == "SpanKind.SERVER"]

        (span,) = until(served, "a span")
        assert (trace, span["parent_id"]) == (TRACE, f"0x{PARENT}")
        assert span["context"]["trace_id"] == f"0x{TRACE}"
        assert span["context"]["span_id"] == f"0x{ours}"


@pytest.mark.parametrize("edge", EDGES)
def test_a_trace_begins(edge: str, echo: RawUpstream) -> None:
    package, server, application = EDGES[edge]
    needs(package, "opentelemetry.sdk", f"opentelemetry.instrumentation.{edge.lower()}")
    with running(NAME, echo.netloc, {}, server, application) as (port, _):
        first, second = (received(port, {})["traceparent"] for _ in range(2))
        assert first != second
        assert all(
            re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", each) for (each,) in (first, second)
        )
