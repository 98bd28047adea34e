"""A bounded memory for pure functions, and the examples of the functions that have one."""

from __future__ import annotations

import ast
import doctest
from importlib import import_module
from pathlib import Path

import pytest

import wsgiproxy
from wsgiproxy.sansio.memo import remembered

ROOT = Path(wsgiproxy.__file__).parent


def _examples() -> list[tuple[str, str]]:
    """Module and docstring of each remembered function: what doctest does not find by itself."""
    found = []
    for path in sorted((ROOT / "sansio").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.decorator_list:
                text = ast.get_docstring(node) or ""
                if ">>>" in text and node.name != "remembered":
                    module = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
                    found.append((module, text))
    return found


@pytest.mark.parametrize(("module", "text"), _examples(), ids=lambda text: text.split("\n")[0][:60])
def test_the_example_of_a_remembered_function_runs(module: str, text: str) -> None:
    names = dict(vars(import_module(module)))
    case = doctest.DocTestParser().get_doctest(text, names, module, None, 0)
    assert case.examples
    assert doctest.DocTestRunner().run(case).failed == 0


def test_there_are_such_examples() -> None:
    assert len(_examples()) > 4


class TestRemembered:
    """A bounded memory for a pure function."""

    def test_the_function_is_called_once_for_an_argument(self) -> None:
        asked = []
        count = remembered(lambda key: asked.append(key) or len(asked))
        assert [count("a"), count("a"), count("b")] == [1, 1, 2]
        assert asked == ["a", "b"]

    def test_it_never_grows_over_its_limit(self) -> None:
        text = remembered(limit=3)(str)
        for number in range(100):
            assert text(number) == str(number)
            assert len(text.__self__) <= 3

    def test_failures_are_not_kept(self) -> None:
        number = remembered(int)
        for _ in range(2):
            with pytest.raises(ValueError):
                number("x")
        assert len(number.__self__) == 0


def test_results_for_long_arguments_are_not_kept() -> None:
    """A client could make us hold its names for ever."""
    calls = []
    function = remembered(calls.append)
    for key in ("x" * 300, ("x" * 200, "y" * 200), "x" * 300):
        function(key)
    assert len(calls) == 3
    assert len(function.__self__) == 0
