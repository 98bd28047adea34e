"""Keys are replaced while requests come in, and none of these is lost."""

from __future__ import annotations

import io
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

from tests.support.fronts import Front, front
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.secretloader import new_key

pytestmark = pytest.mark.in_turns(2)

THREADS = 4
#: Answers to each thread before the next step: more than are on their way.
ROUNDS = 10
LIMIT = 30  # seconds for any step; a passing test is far from it


def replace(path: Path, *lines: str) -> None:
    """A new key file in one step, as the documentation asks for: by renaming."""
    new = path.with_suffix(".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("".join(f"{line}\n" for line in lines))
    new.rename(path)


class Load:
    """Threads that ask without a pause, and what they were answered."""

    def __init__(self, app: WSGIProxyApp) -> None:
        self._app = app
        self._changed = threading.Condition()
        self._stopping = False
        self._answered = [0] * THREADS
        self.keys: Counter[str] = Counter()
        self.lost: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=[n]) for n in range(THREADS)]

    def _ask(self) -> tuple[str, str]:
        statuses: list[str] = []
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/",
            "HTTP_HOST": "public.example",
            "CONTENT_LENGTH": "1",
            "wsgi.input": io.BytesIO(b"x"),
        }
        blocks = self._app(environ, lambda status, headers: statuses.append(status))
        try:
            body = b"".join(blocks)
        finally:
            getattr(blocks, "close", lambda: None)()
        if not statuses[0].startswith("200"):
            return statuses[0], ""
        return statuses[0], json.loads(body)["wsgiproxy.verified"]

    def _run(self, number: int) -> None:
        while not self._stopping:
            try:
                status, keyid = self._ask()
            except Exception as error:  # told by the test, in its own thread
                status, keyid = repr(error), ""
            with self._changed:
                self._answered[number] += 1
                if keyid:
                    self.keys[keyid] += 1
                else:
                    self.lost.append(status)
                self._changed.notify_all()

    def proceed(self) -> None:
        """Wait until each thread was answered some more requests."""
        with self._changed:
            wanted = [count + ROUNDS for count in self._answered]
            done = self._changed.wait_for(
                lambda: all(now >= then for now, then in zip(self._answered, wanted, strict=True)),
                LIMIT,
            )
        assert done, "the requests do not go on"

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping = True
        for thread in self._threads:
            thread.join(LIMIT)


Files = tuple[Path, Path]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The key file of each side."""
    return tmp_path / "front.txt", tmp_path / "backend.txt"


@pytest.fixture(params=["waitress", "gunicorn", "granian"])
def server(request: pytest.FixtureRequest, files: Files) -> Iterator[Front]:
    first = new_key("k0")
    for file in files:
        replace(file, first)
    options = json.dumps({"secret_file": str(files[1]), "replay": "memory"})
    with front(request.param, "tests.support.backend:restored", {"OPTIONS": options}) as running:
        yield running


@pytest.fixture
def load(server: Front, files: Files) -> Iterator[Load]:
    app = WSGIProxyApp(f"http://127.0.0.1:{server.port}", str(files[0]))
    with Load(app) as running:
        yield running
    app.close()


def test_rotation_loses_no_request(load: Load, server: Front, files: Files) -> None:
    old = files[0].read_text().strip()
    for number in range(1, 4):
        new = new_key(f"k{number}")
        # Each step is done on one side and then, with requests in between, on the other.
        for step in ((old, new), (new, old), (new,)):
            for file in files if number % 2 else reversed(files):
                load.proceed()
                replace(file, *step)
        load.proceed()
        old = new
    load.proceed()
    assert load.lost == [], server.log[-2000:]
    assert set(load.keys) == {"k0", "k1", "k2", "k3"}
    assert min(load.keys.values()) >= THREADS * ROUNDS


def test_a_broken_new_file_loses_no_request(load: Load, server: Front, files: Files) -> None:
    key = files[0].read_text().strip()
    for broken in ([], ["k1:short"], ["k1:%%%"], [key, key], ["# nothing"]):
        for file in files:
            replace(file, *broken)
            load.proceed()
    for file in files:
        file.unlink()
        load.proceed()
    new = new_key("k1")
    for step in ((key, new), (new, key), (new,)):
        for file in files:
            replace(file, *step)
        load.proceed()
    assert load.lost == [], server.log[-2000:]
    assert set(load.keys) == {"k0", "k1"}
    assert "keeping the old keys" in server.log
