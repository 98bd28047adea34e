"""Programs that people put behind the command, each used in a browser under a prefix.

The commands are those of the page on spawning. Nothing of a test leaves this machine: where a
program asks its maker for news by itself, it is told not to, and there is no way out beside.
"""

from __future__ import annotations

import contextlib
import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.programs.installed import npm_package, python_program
from tests.support.page import Page, browser_page
from tests.support.recipes import command_line, served
from tests.support.rounds import FULL

pytestmark = [
    pytest.mark.skipif(not FULL, reason="heavy programs belong to the long form (WSGIPROXY_FULL)"),
    pytest.mark.system("chromium"),
]

# Clients that know these variables find no way out; the browser resolves no names.
NO_WAY_OUT = {
    "http_proxy": "http://127.0.0.1:1",
    "https_proxy": "http://127.0.0.1:1",
    "no_proxy": "127.0.0.1,localhost",
}

# Addresses for which a browser asks nobody.
OF_THE_PAGE = ("data:", "blob:")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs are started, and where they keep what is theirs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


@contextlib.contextmanager
def used(recipe: str, programs: Path | None = None, **variables: str) -> Iterator[tuple[Page, str]]:
    """A page in a browser, and the address of the program that a recipe of the page starts."""
    env: Mapping[str, str] = {**NO_WAY_OUT, **variables}
    given = {"folder": str(programs)} if programs else {}
    with (
        served(command_line(recipe), env=env, inherit=env, **given) as (_, url),
        browser_page() as page,
    ):
        yield page, url
        site = f"http://{urlsplit(url).netloc}/"
        assert [each for each in page.requests if not each.startswith((site, *OF_THE_PAGE))] == []
        assert [each for each in page.sockets if not each.startswith(f"ws{url[4:]}")] == []


def text_has(*texts: str) -> str:
    return " && ".join(f"document.body.innerText.includes({json.dumps(text)})" for text in texts)


def button(text: str) -> str:
    """The button with that text."""
    found = f"each.innerText.trim() === {json.dumps(text)}"
    return f"[...document.querySelectorAll('button')].find(each => {found})"


STREAMLIT = """
    import streamlit

    state = streamlit.session_state
    state.setdefault("number", 0)
    if streamlit.button("Add one"):
        state.number += 1
    streamlit.write(f"The number is {state.number}")
"""


def test_a_button_of_streamlit_changes_a_number(home: Path) -> None:
    programs = python_program("streamlit==1.67.0")
    write(home / "app.py", STREAMLIT)
    with used("streamlit run", programs, STREAMLIT_BROWSER_GATHER_USAGE_STATS="false") as (
        page,
        url,
    ):
        page.open(url)
        page.until(text_has("The number is 0"))
        for number in (1, 2):
            page.click(button("Add one"))
            page.until(text_has(f"The number is {number}"))
        assert page.received


GRADIO = """
    import time

    import gradio

    def greet(name):
        for end in range(1, len(name) + 1):
            yield f"Hello {name[:end]}"
            time.sleep(0.05)

    with gradio.Blocks() as demo:
        name = gradio.Textbox(label="Name")
        answer = gradio.Textbox(label="Answer")
        gradio.Button("Greet").click(greet, name, answer)
    demo.launch()
"""


def test_the_queue_of_gradio_answers(home: Path) -> None:
    programs = python_program("gradio==6.31.0")
    write(home / "demo.py", GRADIO)
    name, answer = (
        "document.querySelectorAll('textarea')[0]",
        "document.querySelectorAll('textarea')[1]",
    )
    with used("python demo.py", programs, GRADIO_ANALYTICS_ENABLED="False") as (page, url):
        page.open(url)
        page.click(name)
        page.type("world")
        page.click(button("Greet"))
        page.until(f"{answer}.value === 'Hello world'")


NOTEBOOK = {
    "cells": [],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


JUPYTER = {
    "LabApp": {
        "news_url": None,
        "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "extension_manager": "readonly",
    },
    "ServerApp": {"allow_root": True},
}


def test_a_cell_of_a_notebook_in_jupyter_is_run(home: Path) -> None:
    programs = python_program("jupyterlab==4.6.6")
    cell = {"cell_type": "code", "id": "a", "source": "", "metadata": {}, "outputs": []}
    notebook = {**NOTEBOOK, "cells": [{**cell, "execution_count": None}]}
    write(home / "sums.ipynb", json.dumps(notebook))
    write(home / ".jupyter" / "jupyter_lab_config.json", json.dumps(JUPYTER))
    with used("jupyter lab", programs, JUPYTER_TOKEN="a-token") as (page, url):
        page.open(f"{url}lab/tree/sums.ipynb?token=a-token")
        page.click("document.querySelector('.jp-Notebook .cm-content')")
        page.until(text_has("Python 3 (ipykernel) | Idle"))  # as the bar at the bottom says
        page.type("print(6 * 7, 'is the answer')")
        page.press("Enter", shift=True)
        page.until(
            "document.querySelector('.jp-OutputArea-output')?.innerText.trim()"
            " === '42 is the answer'"
        )


def test_an_edited_file_reloads_in_vite(home: Path) -> None:
    (home / "node_modules").symlink_to(npm_package("vite@8.4.0"))
    script = "document.getElementById('it').textContent = '{}';"
    write(home / "index.html", '<p id="it"></p><script type="module" src="/main.js"></script>')
    write(home / "main.js", script.format("before"))
    with used("npx vite", NPM_CONFIG_OFFLINE="true", NPM_CONFIG_UPDATE_NOTIFIER="false") as (
        page,
        url,
    ):
        page.open(url)
        page.until(text_has("before"))
        page.hear('"connected"')  # or it would not be told of what comes now
        write(home / "main.js", script.format("after"))
        page.until(text_has("after"))


NICEGUI = """
    import os

    from nicegui import ui

    def index():
        def click():
            clicks.append("click")
            label.text = f"{len(clicks)} clicks"

        clicks = []
        label = ui.label("no clicks")
        ui.button("Click", on_click=click)

    ui.run(index, host="127.0.0.1", port=int(os.environ["PORT"]), reload=False, show=False)
"""


def test_a_click_in_nicegui_changes_a_label(home: Path) -> None:
    programs = python_program("nicegui==3.18.0")
    write(home / "main.py", NICEGUI)
    with used("python main.py", programs) as (page, url):
        page.open(url)
        page.until(text_has("no clicks"))
        for number in (1, 2):
            page.click(button("CLICK"))
            page.until(text_has(f"{number} clicks"))
        assert page.received
