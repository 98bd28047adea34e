"""The page of the inspector in a real browser: Chromium from Debian, driven by keys and clicks."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.observe.inspector.filling import (
    EVIL,
    Answered,
    ask,
    events,
    failed,
    image,
    many,
    websocket,
)
from tests.programs.installed import npm_package
from tests.support.chromium import chromium
from tests.support.devtools import Tab, tab_of
from tests.support.rounds import IN_FULL
from wsgiproxy.observe.inspector.edited import Replayed
from wsgiproxy.observe.inspector.exchange import Exchange
from wsgiproxy.observe.inspector.kept import Limits
from wsgiproxy.observe.inspector.page import Page
from wsgiproxy.observe.inspector.page_server import PageServer
from wsgiproxy.observe.inspector.ring import Ring
from wsgiproxy.sansio.secrets import Secrets

pytestmark = pytest.mark.system("chromium")

_ROWS = "document.querySelectorAll('[role=option]')"
_FIRST = "document.querySelector('[role=option]')"
_COUNT = "document.getElementById('count').textContent"
_FITS = "document.documentElement.scrollWidth <= innerWidth"
_WIDE, _NARROW = (1400, 860), (360, 740)


class Inspected:
    """A ring with its page.

    :ivar replayed: the requests that were sent again.
    :ivar files: the HAR files that were opened: their names and texts.
    """

    def __init__(self) -> None:
        self.ring = Ring(Limits(exchanges=20_000, memory=512 << 20))
        self.replayed: list[Replayed] = []
        self.files: list[tuple[str, str]] = []
        self.server = PageServer(self._page, "127.0.0.1:0")
        self.url = self.server.url

    def _page(self, token: str) -> Page:
        return Page(
            self.ring, token, Secrets(), title="http://localhost:3000", replay=self._replay,
            to_har=lambda exchanges: json.dumps([each.number for each in exchanges]),
            from_har=self._open,
        )  # fmt: skip

    def _replay(self, exchange: Exchange, request: Replayed) -> int:
        self.replayed.append(request)
        answer = Answered(b'{"again": true}', "application/json")
        again = ask(self.ring, request.target, answer, method=request.method, body=request.body)
        again.replay_of = exchange.number
        return again.number

    def _open(self, text: str, name: str) -> int:
        self.files.append((name, text))
        ask(self.ring, "/of/a/file", Answered()).source = name
        return 1


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    """One tab for all tests."""
    with (
        chromium("--remote-debugging-port=0", "about:blank") as browser,
        tab_of(browser) as tab,
    ):
        yield tab


@pytest.fixture
def inspected(tab: Tab) -> Iterator[Inspected]:
    """A page, and a browser that has not complained of anything when it is over."""
    made = Inspected()
    tab.complaints.clear()
    tab.looks(*_WIDE)
    try:
        yield made
        assert tab.run("window.canary") is None
        assert tab.complaints == []
    finally:
        tab.open("about:blank#end")
        made.server.close()


def opened(tab: Tab, inspected: Inspected, exchange: Exchange | None = None) -> None:
    """Open the page, or that of an exchange, and wait until all of it is there."""
    tab.open(inspected.url + (f"#{exchange.number}" if exchange else ""))
    tab.until("document.getElementById('link').textContent === 'Live'")
    tab.until(f"{_COUNT}.startsWith({json.dumps(f'{len(inspected.ring):,}')})")
    if exchange is not None:
        tab.until(f"document.querySelector('#panel .facts') && {_ROWS}.length")


def turned(tab: Tab, name: str, selector: str) -> str:
    """Turn to a tab of the detail, and its text when it is complete."""
    tab.click(f"#tab-{name}")
    tab.until(f"document.querySelector('#panel {selector}')")
    tab.until("!document.querySelector('#panel [aria-busy]')")
    # What is out of sight is not rendered, and has no innerText, where a style says so.
    kind = "textContent" if name == "passing" else "innerText"
    return str(tab.run(f"document.getElementById('panel').{kind}"))


def targets(tab: Tab) -> list[str]:
    paths = "document.querySelectorAll('[role=option] .path')"
    return list(tab.run(f"[...{paths}].map(each => each.textContent)"))


def test_exchanges_appear_as_they_pass_and_change(tab, inspected):
    opened(tab, inspected)
    assert tab.run("document.getElementById('empty').innerText").startswith("Nothing has passed")
    exchange = ask(inspected.ring, "/first?token=s3cr3t")
    tab.until(f"{_ROWS}.length === 1")
    assert targets(tab) == ["/first?token=***"]
    assert "under way" in tab.run(f"{_FIRST}.innerText")
    exchange.fail(OSError("broken off"))
    exchange.end(is_whole=False)
    tab.until(f"{_FIRST}.innerText.includes('error')")
    ask(inspected.ring, "/second", Answered())
    tab.until(f"{_ROWS}.length === 2")
    assert targets(tab) == ["/second", "/first?token=***"], "the newest is on top"
    numbers = tab.run(f"[...{_ROWS}].map(each => [each.ariaPosInSet, each.ariaSetSize])")
    assert numbers == [["1", "2"], ["2", "2"]]


def test_what_is_chosen_stays_in_its_place(tab, inspected):
    many(inspected.ring, 100)
    opened(tab, inspected)
    tab.click("[role=option]:nth-child(3)")
    tab.until("document.querySelector('#panel .facts')")
    chosen = "document.querySelector('[aria-selected=true]')"
    number = tab.run(f"{chosen}.dataset.number")
    place = tab.run(f"{chosen}.getBoundingClientRect().top")
    many(inspected.ring, 12)
    tab.until("document.getElementById('newer').textContent === '↑ 12 new'")
    assert tab.run(f"[{chosen}.dataset.number, {chosen}.getBoundingClientRect().top]") == [
        number, pytest.approx(place, abs=1),
    ]  # fmt: skip
    tab.until("document.getElementById('said').textContent === '12 new'")
    tab.key("Escape")
    tab.until("document.getElementById('detail').hidden")
    tab.click("#newer")
    tab.until(f"{_FIRST}.dataset.number === '112'")
    many(inspected.ring, 1)
    tab.until(f"{_FIRST}.dataset.number === '113'")


FILTERED = [
    pytest.param({"search": "orders -42"}, ["/orders/17"], id="words"),
    pytest.param({"search": "POST login"}, ["/login"], id="method-and-path"),
    pytest.param({"search": "refused"}, ["/orders/17"], id="text-of-the-error"),
    pytest.param({"method": "POST"}, ["/login"], id="method"),
    pytest.param({"status": "4"}, ["/orders/42"], id="class-of-status"),
    pytest.param({"status": "error"}, ["/orders/17"], id="errors"),
    pytest.param({"status": "open"}, ["/live", "/prices"], id="under-way"),
    pytest.param({"kind": "websocket"}, ["/live"], id="websocket"),
    pytest.param({"kind": "events"}, ["/prices"], id="events"),
    pytest.param({"prefix": "/orders/4"}, ["/orders/42"], id="path"),
    pytest.param({"slower": "3600000"}, [], id="slower"),
    pytest.param({"within": "60", "search": "login"}, ["/login"], id="last-minute"),
]


def test_search_and_filters(tab, inspected):
    ask(inspected.ring, "/orders/42", Answered(status=404, reason="Not Found"))
    failed(inspected.ring, "/orders/17")
    ask(inspected.ring, "/login", Answered(), method="POST", body=b"a=1")
    events(inspected.ring, "/prices")
    websocket(inspected.ring, "/live")
    opened(tab, inspected)
    for case in FILTERED:
        values, expected = case.values
        tab.run(
            f"for (const [name, value] of Object.entries({json.dumps(values)})) "
            "{ document.forms.filters.elements[name].value = value; }"
            "document.forms.filters.dispatchEvent(new Event('input'))"
        )
        tab.until(f"{_ROWS}.length === {len(expected)}")
        assert targets(tab) == expected, case.id
        assert tab.run(_COUNT) == f"{len(expected)} of 5 kept"
        tab.click("#reset")
        tab.until(f"{_ROWS}.length === 5")
    assert tab.run(_COUNT) == "5 kept"


def test_both_legs_and_their_differences(tab, inspected):
    body = b'{"users": [{"id": 12345678901234567890, "name": "Ada"}]}'
    more = [("Set-Cookie", "session=s3cr3t; Path=/")]
    exchange = ask(
        inspected.ring, "/users", Answered(body, "application/json", more=more), method="POST",
        body=b"user=ada&note=two%0Alines", content_type="application/x-www-form-urlencoded",
        headers=[("Authorization", "Bearer s3cr3t")], retries=1,
    )  # fmt: skip
    opened(tab, inspected, exchange)
    overview = tab.run("document.getElementById('panel').innerText")
    assert "2 attempts" in overview and "Connection reset by peer" in overview
    assert tab.run("document.querySelectorAll('.timing tbody tr').length") > 1
    text = turned(tab, "request", ".legs")
    assert "1 changed, 2 added, 1 removed" in text and "s3cr3t" not in text
    legs = tab.run(
        "Object.fromEntries([...document.querySelectorAll('.legs tbody tr')].map(row =>"
        " [row.querySelector('th .data').textContent, [row.querySelector('th').innerText,"
        " ...[...row.querySelectorAll('td .data, td .hidden')].map(each => each.textContent)]]))"
    )
    assert legs["Host"][1:] == ["shop.example", "127.0.0.1:3000"]
    assert "≠" in legs["Host"][0] and "changed" in legs["Host"][0], "not by colour alone"
    assert len(legs["Host"][0]) > 30, "it says why"
    assert legs["Via"][1:] == ["absent", "1.1 wsgiproxy"] and "added" in legs["Via"][0]
    assert legs["Connection"][1:] == ["keep-alive", "absent"]
    assert tab.run("document.querySelector('.legs').innerText").count("masked") == 2
    form = "[...document.querySelectorAll('table.form tbody tr')].map(row => row.innerText)"
    assert tab.run(form) == ["user\tada", "note\ttwo\nlines"]
    tab.click(".over-legs input")
    rows = "[...document.querySelectorAll('.legs tbody tr')].filter(row => row.offsetHeight)"
    assert tab.run(f"{rows}.length") == 4
    text = turned(tab, "response", ".json")
    assert "12345678901234567890" in text, "numbers are as they were"
    assert "http://shop.example/next" in text and "http://127.0.0.1:3000/next" in text
    tab.click(".json details details > summary")
    assert "Ada" not in tab.run("document.getElementById('panel').innerText"), "it folds"


def test_bodies_of_all_kinds(tab, inspected):
    picture = ask(inspected.ring, "/logo.png", Answered(image(), "image/png"))
    opened(tab, inspected, picture)
    assert "96 × 48 pixels" in turned(tab, "response", ".picture img") or tab.until(
        "document.getElementById('panel').innerText.includes('96 × 48 pixels')"
    )
    opened(tab, inspected, ask(inspected.ring, "/a", Answered(bytes(range(64)), "a/b")))
    assert "20 21 22 23" in turned(tab, "response", "pre.hex")
    opened(tab, inspected, ask(inspected.ring, "/b", Answered("a\u202eb\r\n".encode() * 9)))
    assert "U+202E" in turned(tab, "response", "pre")
    opened(tab, inspected, ask(inspected.ring, "/c", Answered(b"", status=204)))
    assert "none" in turned(tab, "response", ".body")


def test_messages_and_events_as_they_pass(tab, inspected):
    exchange = websocket(inspected.ring, "/live", 4)
    opened(tab, inspected, exchange)
    text = turned(tab, "passing", ".passing li")
    assert "4 messages, still open" in text and "binary" in text
    assert "24 25 26" not in text, "what is long opens"
    tab.click(".passing li:nth-child(3) summary")
    tab.until("document.querySelector('.passing').textContent.includes('24 25 26')")
    exchange.message("text", b"<b>late</b>", is_from_client=False)
    tab.until("document.querySelectorAll('.passing li').length === 5")
    last = tab.run("document.querySelector('.passing li:last-child').textContent")
    assert "<b>late</b>" in last and "upstream" in last
    assert tab.run("document.querySelector('.passing li:nth-child(3) details').open")
    exchange.end()
    tab.until("document.querySelector('.tally').textContent.endsWith('closed')")
    stream = events(inspected.ring, "/prices")
    opened(tab, inspected, stream)
    assert "5 events, still open" in turned(tab, "passing", ".passing li")
    stream.add_answer(b"data: one more\n\n")
    tab.until("document.querySelector('.passing').textContent.includes('one more')")


def test_edit_and_replay_sends_what_was_typed(tab, inspected):
    secret = [("Authorization", "Bearer s3cr3t"), ("X-Old", "1")]
    exchange = ask(
        inspected.ring, "/users", Answered(), method="POST", body=b'{"a": 1}\r\n', headers=secret
    )
    opened(tab, inspected, exchange)
    tab.key("e")
    tab.until("document.querySelector('#edit[open]')")
    assert tab.run("document.activeElement.name") == "target"
    fields = "[...document.querySelectorAll('#edit .field')]"
    shown = tab.run(f"{fields}.map(row => row.querySelector('.value').value)")
    assert "Bearer ***" in shown
    tab.run("document.activeElement.select()")
    tab.type("/users?edited=yes")
    tab.run(f"{fields}.find(row => row.firstChild.value === 'X-Old').children[1].select()")
    tab.run(f"{fields}.find(row => row.firstChild.value === 'X-Old').children[1].focus()")
    tab.type("<script>2</script>")
    tab.click("#add-field")
    tab.type("X-New")
    tab.key("Tab")
    tab.type("\u2603")
    tab.key("Enter", "Ctrl")
    tab.until("document.querySelector('#edit .problem').textContent.includes('X-New')")
    (refused,) = [tab.complaints.pop() for _ in list(tab.complaints)]
    assert "400" in refused
    tab.run("document.querySelector('#edit .field:last-child .value').select()")
    tab.type("yes")
    tab.key("Enter", "Ctrl")
    tab.until("document.querySelector('#detail-title').textContent.includes('edited=yes')")
    assert tab.run("document.querySelector('.summary').innerText").count("replay of 1") == 1
    assert not tab.run("document.getElementById('edit').open")
    (sent,) = inspected.replayed
    assert (sent.method, sent.target, sent.body) == ("POST", "/users?edited=yes", b'{"a": 1}\r\n')
    headers = dict(sent.headers)
    assert headers["Authorization"] == "Bearer s3cr3t", "what is masked is what it was"
    assert (headers["X-Old"], headers["X-New"]) == ("<script>2</script>", "yes")
    tab.key("r")
    tab.until("location.hash === '#3'")
    assert [each.target for each in inspected.replayed] == ["/users?edited=yes"] * 2


def test_copy_clear_pause_and_files(tab, inspected):
    exchange = ask(inspected.ring, "/a", Answered())
    opened(tab, inspected, exchange)
    tab.click("#copy-button")
    tab.click("[data-copy=curl]")
    said = "document.getElementById('toast').textContent.includes('Copied')"
    tab.until(f"{said} || document.getElementById('copy').open")
    if tab.run("document.getElementById('copy').open"):
        area = "document.querySelector('#copy textarea')"
        assert tab.run(f"{area}.value").startswith("curl")
        assert tab.run(f"{area}.selectionEnd === {area}.value.length"), "it is selected"
        tab.key("Escape")
    assert tab.run("fetch(document.getElementById('har-one').href).then(r => r.text())") == "[1]"
    tab.click("#pause")
    tab.until("document.getElementById('link').textContent === 'Paused'")
    assert inspected.ring.is_paused and tab.run("document.title").startswith("Paused")
    tab.click("#pause")
    tab.until("document.getElementById('link').textContent === 'Live'")
    tab.run(
        "(() => { const files = new DataTransfer();"
        " files.items.add(new File(['{\"log\": 1}'], 'a <b>.har'));"
        " const options = {dataTransfer: files, bubbles: true, cancelable: true};"
        " document.body.dispatchEvent(new DragEvent('drop', options)); })()"
    )
    tab.until(f"{_ROWS}.length === 2")
    assert inspected.files == [("a <b>.har", '{"log": 1}')]
    tab.click("#clear")
    tab.until("document.getElementById('confirm').open")
    assert "2 exchanges" in tab.run("document.getElementById('confirm').innerText")
    tab.click("#confirm .danger")
    tab.until(f"{_ROWS}.length === 0")
    assert len(inspected.ring) == 0
    tab.until("document.getElementById('detail').hidden")


def test_hostile_content_is_text(tab, inspected):
    odd = EVIL + "\u202e\u0007\x1b[2J"
    answer = Answered(EVIL.encode() + b"\xff", "text/html", more=[("X-Evil", odd)])
    headers = [("X-Evil", odd), ("Cookie", f"a={EVIL}")]
    hostile = ask(
        inspected.ring, f"/{odd}?{odd}", answer, method="POST", body=EVIL.encode(),
        content_type="text/html", headers=headers,
    )  # fmt: skip
    hostile.fail(OSError(EVIL))
    broken = b"[" * 2_000 + EVIL.encode()
    for kind in ("application/json", "image/svg+xml", "multipart/form-data; boundary=<b>"):
        ask(inspected.ring, f"/{EVIL}", Answered(broken, kind))
    noisy = websocket(inspected.ring, "/socket", 0)
    noisy.message(
        "text", json.dumps({"__proto__": EVIL, "a": [EVIL]}).encode(), is_from_client=True
    )
    noisy.message("close", EVIL.encode(), is_from_client=False)
    for exchange in inspected.ring.exchanges():
        opened(tab, inspected, exchange)
        for name in ("request", "response"):
            turned(tab, name, ":is(.legs, .fields, .note)")
        assert tab.run("document.querySelectorAll('script').length") == 1
        assert tab.run("document.querySelectorAll('#panel svg, #panel img[onerror]').length") == 0
    assert "window.canary" in turned(tab, "passing", ".passing li")
    opened(tab, inspected, hostile)
    assert EVIL in turned(tab, "request", ".legs")
    assert "U+202E" in tab.run("document.getElementById('detail-title').textContent")
    tab.click("#edit-button")
    tab.until("document.querySelector('#edit[open]')")
    tab.key("Escape")


def test_all_by_keys(tab, inspected):
    many(inspected.ring, 30)
    opened(tab, inspected)
    focused = "document.activeElement.id"
    tab.key("/")
    assert tab.run(focused) == "search"
    tab.type("items")
    tab.key("Enter")
    assert tab.run(focused) == "list"
    number = "document.querySelector('[aria-selected=true]')?.dataset.number"
    pointed = "document.getElementById('list').getAttribute('aria-activedescendant')"
    tab.until(f"{number} === '30' && {pointed} === 'row-30'")
    tab.key("j")
    tab.key("ArrowDown")
    tab.key("k")
    tab.until(f"{number} === '29'")
    tab.key("Enter")
    tab.until(f"{focused} === 'detail-title'")
    tab.key("j")
    tab.until("document.getElementById('detail-title').textContent.includes('/items/27')")
    tab.key("2")
    tab.until("document.querySelector('#panel .legs')")
    tab.run("document.getElementById('tab-request').focus()")
    tab.key("ArrowRight")
    assert tab.run(focused) == "tab-response"
    tab.key("Escape")
    tab.until(f"document.getElementById('detail').hidden && {focused} === 'list'")
    assert tab.run(number) == "28", "the choice stays"
    tab.key("?")
    tab.until("document.getElementById('keys').open")
    tab.click("#keys-on")
    tab.key("Escape")
    tab.until(f"!document.getElementById('keys').open && {focused} === 'list'")
    tab.key("j")
    tab.key("e")
    tab.key("ArrowDown")
    tab.until(f"{number} === '27'")
    assert not tab.run("document.getElementById('edit').open"), "the letters are off"
    tab.run("localStorage.clear()")


def test_a_proxy_that_has_ended_is_seen(tab, inspected):
    exchange = ask(inspected.ring, "/a", Answered())
    opened(tab, inspected, exchange)
    inspected.server.close()
    tab.until("document.getElementById('link').textContent === 'The proxy has ended'")
    tab.click("#replay")
    tab.until("document.getElementById('toast').textContent.includes('does not answer')")
    assert all("Failed to load resource" in each for each in tab.complaints)
    tab.open("about:blank#end")
    tab.complaints.clear()


def test_one_page_too_many_ends_the_oldest(tab, inspected):
    many(inspected.ring, 3)
    opener = build_opener(ProxyHandler({}))
    with contextlib.ExitStack() as opened_pages:
        streams = [opener.open(f"{inspected.url}api/events", timeout=10) for _ in range(8)]
        for stream in streams:
            opened_pages.enter_context(stream)
        opened(tab, inspected)
        assert tab.run(f"{_ROWS}.length") == 3
        assert streams[0].read().startswith(b"retry")  # up to its end


@pytest.mark.parametrize(
    "size", [pytest.param(_WIDE, id="desktop"), pytest.param(_NARROW, id="phone", marks=IN_FULL)]
)
def test_axe_finds_nothing_serious(tab, inspected, size):
    source = (npm_package("axe-core@4.14.1") / "axe-core" / "axe.min.js").read_text("utf-8")
    many(inspected.ring, 8)
    shop = ask(
        inspected.ring, "/users?page=1", Answered(b'{"a": [1, {"b": null}]}', "application/json"),
        method="POST", body=b"user=ada", content_type="application/x-www-form-urlencoded",
        headers=[("Authorization", "Bearer abc")], retries=1,
    )  # fmt: skip
    failed(inspected.ring, "/broken")
    socket = websocket(inspected.ring, "/live", 4)
    for scheme in ("light", "dark"):
        tab.looks(*size, scheme)
        opened(tab, inspected)
        # The rules of structure are for once: the colours do not change it.
        only = "" if scheme == "light" else "runOnly: ['color-contrast'], "
        tab.run(f"{source}; window.ask = () => axe.run({{{only}resultTypes: ['violations']}}); 0")
        found = {"list": serious(tab)}
        tab.run(f"location.hash = '#{shop.number}'")
        tab.until("document.querySelector('#panel .facts')")
        found["overview"] = serious(tab)
        turned(tab, "request", ".form")
        found["request"] = serious(tab)
        turned(tab, "response", ".json")
        found["response"] = serious(tab)
        tab.click("#edit-button")
        found["edit"] = serious(tab, "#edit[open]")
        tab.key("Escape")
        if scheme == "light":
            tab.run(f"location.hash = '#{socket.number}'")
            tab.until("document.getElementById('detail-title').textContent.includes('/live')")
            turned(tab, "passing", ".passing li")
            found["messages"] = serious(tab)
            tab.key("Escape")
            tab.key("?")
            found["keys"] = serious(tab, "#keys[open]")
        assert found == dict.fromkeys(found, []), scheme


@pytest.mark.parametrize("size", [_WIDE, _NARROW], ids=["desktop", "phone"])
def test_nothing_stands_out_at_the_side(tab, inspected, size):
    exchange = ask(
        inspected.ring, f"/{'long' * 300}", Answered(b"x" * 9000, more=[("X" * 200, "y" * 900)])
    )
    tab.looks(*size)
    opened(tab, inspected)
    assert tab.run(_FITS), "the list"
    if size == _NARROW:
        tab.click("#more-filters")
        assert tab.run(_FITS), "the filters"
    opened(tab, inspected, exchange)
    assert tab.run(_FITS), "the overview"
    turned(tab, "response", "pre")
    assert tab.run(_FITS), "the response"
    assert tab.run("document.getElementById('panel').scrollWidth <= innerWidth")


def serious(tab: Tab, selector: str = "body") -> list[Any]:
    """What axe-core finds that is serious or critical."""
    tab.until(f"document.querySelector({json.dumps(selector)})")
    return list(
        tab.run(
            "ask().then(found => found.violations"
            ".filter(each => ['serious', 'critical'].includes(each.impact)).map(each =>"
            " [each.id, each.nodes.map(node => node.html.slice(0, 200) + node.failureSummary)]))"
        )
    )


def spent(tab: Tab, script: str) -> float:
    """Milliseconds of CPU that the page's thread needs for a step and the frame after it."""

    def task() -> float:
        metrics = tab.call("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))

    tab.call("Performance.enable", timeDomain="threadTicks")
    before = task()
    frame = "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
    tab.run(f"(() => {{ {script}; return {frame}; }})()")
    return (task() - before) * 1000


def test_ten_thousand_exchanges_stay_smooth(tab, inspected, capsys):
    many(inspected.ring, 10_000)
    opened(tab, inspected)
    tab.until(f"{_ROWS}.length > 10")
    assert tab.run(f"{_ROWS}.length") < 200
    assert tab.run("document.querySelectorAll('*').length") < 2000
    scrolls = [spent(tab, f"list.scrollTop = {step * 14_000}") for step in range(1, 11)]
    words = ["items", "items 404", "7?page -5", "nothing", ""]
    search = "const form = document.forms.filters; form.elements.search.value = {!r};"
    search += "form.dispatchEvent(new Event('input'))"
    filters = [spent(tab, search.format(word)) for word in words]
    with capsys.disabled():
        print(
            f"\n10,000 exchanges: scroll {max(scrolls):.0f} ms, filter {max(filters):.0f} ms of CPU"
        )
    assert max(scrolls + filters) < 300
    assert tab.run(f"{_ROWS}.length") < 200
    before = tab.run("performance.now()")
    many(inspected.ring, 500)
    tab.until(f"{_COUNT} === '10,500 kept'")
    assert tab.run("performance.now()") - before < 5000


def test_a_phone_shows_the_list_or_the_detail(tab, inspected):
    many(inspected.ring, 20)
    tab.looks(*_NARROW)
    opened(tab, inspected)
    tab.click("[role=option]:nth-child(2)")
    tab.until("document.querySelector('#panel .facts')")
    there = (
        "[...document.querySelectorAll('#exchanges, #detail')].map(each => each.offsetWidth > 0)"
    )
    assert tab.run(there) == [False, True]
    assert tab.run("document.activeElement.id") == "detail-title"
    tab.click("#back")
    tab.until(f"{there}.join() === 'true,false'")
    assert tab.run("document.activeElement.id") == "list"
    tab.click("[role=option]:nth-child(2)")
    tab.until(f"{there}.join() === 'false,true'")
    tab.run("history.back()")
    tab.until(f"{there}.join() === 'true,false'")


def test_the_page_asks_nothing_of_elsewhere():
    """Each file is of the package; none is inline, and none comes from another site."""
    import wsgiproxy.observe.inspector as package

    folder = Path(package.__file__).with_name("assets")
    files = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    assert {"index.html", "inspector.css", "inspector.js", "icon.svg"} <= files.keys()
    for name, text in files.items():
        assert len(text.splitlines()) <= 320, name
        outside = text.replace("http://www.w3.org/2000/svg", "").replace("${detail.scheme}://", "")
        assert "http://" not in outside and "https://" not in outside, name
        for inline in (
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "style=",
        ):
            assert inline not in text, (name, inline)
