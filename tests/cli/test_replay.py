"""``wsgiproxy replay``: an archive as an upstream, for real clients."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests.cli.command import running
from wsgiproxy.cli import main

FILES = Path(__file__).parents[1] / "sansio" / "har" / "files"
LISTEN = ("--listen", "127.0.0.1:0")


def test_clients_get_what_was_recorded() -> None:
    with running("replay", str(FILES / "chromium.har"), *LISTEN) as command:
        line = command.line()
        url = line.split()[1]
        assert line == (
            f"Serving {url} -> {FILES / 'chromium.har'} (6 exchanges of shop.example and 1 more)."
            " Ctrl-C ends it.\n"
        )
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(f"{url}?q=a b")
            assert (answer.status_code, answer.text) == (200, "<h1>Grüße</h1>\n")
            assert answer.headers["Date"] == "Fri, 01 May 2026 10:00:00 GMT"
            assert "Content-Encoding" not in answer.headers
            posted = session.post(f"{url}cart", data=b"id=5&n=%20", allow_redirects=False)
            assert (posted.status_code, posted.headers["Location"]) == (302, "/done")
            assert session.get(f"{url}a.png").content == b"\x89PNG"
            missed = session.get(f"{url}a.gif?token=s3cret", headers={"Accept": "text/plain"})
        assert missed.status_code == 502
        nearest = "the nearest is entry 2, GET https://shop.example/a.png, which differs in path"
        assert nearest in missed.text
        assert command.end() == 0
        (about,) = [line for line in command.stderr.splitlines() if " 502 " in line]
        assert nearest in about
        assert "s3cret" not in command.stderr


def test_what_is_compared_can_be_chosen() -> None:
    options = ("--match", "path", "--match", "header:Accept", "--repeat", "none")
    with running("replay", str(FILES / "safari.har"), *LISTEN, *options) as command:
        url = command.url()
        with requests.Session() as session:
            session.trust_env = False
            evil = session.get(url, headers={"Host": "evil.example"})
            assert evil.status_code == 421  # a page that has pointed its own name here
            answers = [session.post(f"{url}?x", data=b"y") for _ in range(2)]
            cookies = dict(session.cookies)
        assert [each.status_code for each in answers] == [200, 502]
        assert cookies == {"a": "b", "c": "d"}
        assert command.interrupt() == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        pytest.param(["nowhere.har"], 2, "nowhere.har: No such file or directory", id="no-file"),
        pytest.param([__file__], 2, "test_replay.py: the file is no JSON: ", id="no-json"),
        pytest.param(
            [str(FILES / "safari.har"), "--match", "way"], 2, "--match 'way': expected", id="match"
        ),
        pytest.param([str(FILES / "safari.har"), "--repeat", "x"], 2, "--repeat", id="repeat"),
        pytest.param([str(FILES / "safari.har"), "-p", "x"], 2, "--listen 'x'", id="listen"),
        pytest.param([], 2, "required: FILE", id="nothing"),
    ],
)
def test_bad_command_lines(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", *arguments]) == status
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.startswith("wsgiproxy: ")
    assert complaint.count("\n") == 1
