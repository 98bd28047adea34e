"""docs/deploy/Dockerfile, read by a parser; nothing is built."""

from __future__ import annotations

import ast
import json
import re
from io import BytesIO
from urllib.parse import urlsplit

import pytest

from tests.deploy.commands import ROOT, checked, refused
from wsgiproxy.cli.variables import from_environment

dockerfile_parse = pytest.importorskip("dockerfile_parse")

FOLDER = ROOT / "docs/deploy"
FILE = dockerfile_parse.DockerfileParser(fileobj=BytesIO((FOLDER / "Dockerfile").read_bytes()))


def values(instruction: str) -> list[str]:
    return [each["value"] for each in FILE.structure if each["instruction"] == instruction]


def words(text: str) -> list[str]:
    """The words of an instruction in the exec form, which has no shell around it."""
    found = json.loads(text)
    assert all(isinstance(word, str) for word in found)
    return list(found)


def test_what_it_starts_is_a_command() -> None:
    ((entry,), (command,)) = values("ENTRYPOINT"), values("CMD")
    assert refused([*words(entry), *words(command)]) == ""
    assert words(entry) == ["wsgiproxy"]  # so that `docker run IMAGE doctor URL` is a command, too


def test_what_it_runs_while_it_is_built() -> None:
    lists = [words(each) for each in values("RUN") if each.startswith("[")]
    assert [refused(each) for each in lists] == [""]
    lines = [each for each in values("RUN") if not each.startswith("[")]
    assert [line.split()[0] for line in lines] == ["useradd", "pip"]
    assert re.search(r'"wsgiproxy\[asgi\]>=1"$', lines[1])


def test_the_file_that_it_copies_is_where_it_is_read() -> None:
    (copied,) = values("COPY")
    source, target = copied.split()
    assert (FOLDER / source).is_file()
    *_, served = words(values("CMD")[0])
    assert target == served
    status, said = checked(FOLDER / source)
    assert status == 0, said
    assert "-> http://shop.internal:8000" in said


def test_it_is_not_root() -> None:
    (user,) = values("USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)  # names mean nothing to runAsNonRoot
    order = [each["instruction"] for each in FILE.structure]
    assert order.index("USER") > max(at for at, name in enumerate(order) if name == "RUN")


def test_it_ends_by_the_signal_that_the_command_obeys() -> None:
    assert values("STOPSIGNAL") == ["SIGTERM"]


def test_the_variables_are_options() -> None:
    process, routes = from_environment(FILE.envs)
    assert (process["listen"], process["log_format"]) == ("0.0.0.0:8080", "json")
    assert routes == {}


def test_the_check_of_health_asks_what_the_file_says() -> None:
    (check,) = values("HEALTHCHECK")
    program, option, code = words(check.partition(" CMD ")[2])
    assert (program, option) == ("python", "-c")
    (url,) = [
        node.value
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Constant) and str(node.value).startswith("http")
    ]
    assert f'health = "{urlsplit(url).path}"\n' in (FOLDER / "proxy.toml").read_text()
    assert [str(urlsplit(url).port)] == values("EXPOSE")
