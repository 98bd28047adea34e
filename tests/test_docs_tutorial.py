"""The tutorial is followed from top to bottom, command by command, as a reader does."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.daemon import Daemon, daemon
from tests.support.ports import free_port

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tutorial.rst").read_text()

_BLOCK = re.compile(
    r"^\.\. code-block:: (console|python)\n   :(?:caption|name): (.+)\n\n((?:(?:   .*)?\n)+)", re.M
)
# Of the terminals, these two hold a server until it is ended.
_SERVERS = ("Terminal 1", "Terminal 2")
_ONCE = "Each terminal, once"
# What the page says of where each block of Python goes: the file, and what it takes the place of.
_PLACES = {
    "tool-1": ("tool.py", None),
    "shop-1": ("shop.py", None),
    "shop-2": ("shop.py", r"^tool = .*\n"),
    "tool-2": ("tool.py", r"\Z"),
    "shop-3": ("shop.py", r"^tool = WSGIProxyApp\((?:.*\n)+?\)\n"),
    "shop-3-import": ("shop.py", r"^from wsgiproxy import WSGIProxyApp\n"),
}


class Block(NamedTuple):
    """One block of the page."""

    language: str
    label: str
    text: str


BLOCKS = [
    Block(language, label, textwrap.dedent(text).strip() + "\n")
    for language, label, text in _BLOCK.findall(PAGE)
]


class Reader:
    """Somebody with three terminals in one folder, who does what the page says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {port: str(free_port()) for port in ("3000", "8000", "8080")}
        self._running: dict[str, contextlib.ExitStack] = {}
        self.servers: list[Daemon] = []
        programs = folder / ".venv"
        programs.mkdir()
        for name, arguments in (
            ("wsgiproxy", "-m wsgiproxy"),
            ("waitress-serve", "-m waitress"),
            ("python3", ""),
        ):
            program = programs / name
            # In the program, as an installation has it: what is spawned inherits little.
            path = f"export PYTHONPATH={shlex.quote(str(ROOT))}"
            command = f'exec {shlex.quote(sys.executable)} {arguments} "$@"'
            program.write_text(f"#!/bin/sh\n{path}\n{command}\n")
            program.chmod(0o755)
        self._env = {"PATH": f"{programs}:/usr/bin:/bin"}

    def here(self, text: str) -> str:
        """The page's ports may be taken."""
        return re.sub(r"\b(3000|8000|8080)\b", lambda match: self._ports[match[0]], text)

    def write(self, block: Block) -> None:
        """Put Python where the page says that it belongs."""
        name, replaced = _PLACES[block.label]
        path = self._folder / name
        text = self.here(block.text)
        if replaced is not None:
            old = path.read_text()
            assert len(re.findall(replaced, old, re.M)) == 1, (block.label, old)
            text = re.sub(replaced, lambda match: text, old, count=1, flags=re.M)
        path.write_text(text)

    def serve(self, block: Block) -> None:
        """End what runs in this terminal, and start what the page says."""
        self.end(block.label)
        command = self.here(block.text.removeprefix("$ ").strip())
        if command.startswith("wsgiproxy"):
            port = self._ports["8080"]
            command += f" --listen 127.0.0.1:{port}"
        else:
            port = next(port for port in self._ports.values() if port in command)
        stack = contextlib.ExitStack()
        script = f"cd {shlex.quote(str(self._folder))} && exec {command}"
        address = ("127.0.0.1", int(port))
        server = daemon(["/bin/sh", "-c", script], address, env=self._env)
        self.servers.append(stack.enter_context(server))
        self._running[block.label] = stack

    def end(self, *terminals: str) -> None:
        """Ctrl-C."""
        for label in terminals or tuple(self._running):
            if label in self._running:
                self._running.pop(label).close()

    def type(self, block: Block) -> tuple[str, str]:
        """What the page shows for commands, and what comes when they are typed."""
        shown: list[str] = []
        came: list[str] = []
        for part in re.split(r"^\$ ", self.here(block.text), flags=re.M)[1:]:
            command, _, expected = part.partition("\n")
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                cwd=self._folder,
                env=self._env,
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 0, (command, done)
            # A key is another one each time, so the page shows none.
            if expected.strip() or not command.startswith("wsgiproxy keygen"):
                shown.append(f"$ {command}\n{expected}")
                came.append(f"$ {command}\n{done.stdout}")
        return "".join(shown).strip(), "".join(came).strip()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    someone = Reader(tmp_path)
    yield someone
    someone.end()


@pytest.mark.system("curl")
def test_the_tutorial_can_be_followed(reader: Reader) -> None:
    typed = 0
    for block in BLOCKS:
        if block.language == "python":
            reader.write(block)
        elif block.label in _SERVERS:
            reader.serve(block)
        elif block.label != _ONCE:
            shown, came = reader.type(block)
            assert came == shown
            typed += 1
        # What the page says in words.
        if "SpawningApplication(" in block.text:
            reader.end()
    assert typed == 5
    assert len(reader.servers) == 8


@pytest.mark.system("curl")
def test_the_demo_is_where_the_page_says(reader: Reader) -> None:
    reader.serve(next(block for block in BLOCKS if block.text == "$ wsgiproxy demo\n"))
    address = re.search(r"^Open (\S+) in a browser", PAGE, re.M)
    assert address is not None
    command = f"curl -so /dev/null -w '%{{http_code}}' -H 'Accept: text/html' {address[1]}"
    assert reader.type(Block("console", "", f"$ {command}\n"))[1].endswith("\n200")


def test_every_block_is_followed() -> None:
    """But for the installation, which CI does from a clean clone."""
    assert PAGE.count(".. code-block::") == len(BLOCKS)
    assert {block.label for block in BLOCKS if block.language == "python"} == set(_PLACES)
    once = [block for block in BLOCKS if block.label == _ONCE]
    assert [block.text.count("$ ") for block in once] == [3]
    others = {block.label for block in BLOCKS if block.language == "console"} - {_ONCE}
    assert others == {*_SERVERS, "Terminal 3"}
