"""The layout that DESIGN.md, section 3 promises, read from the sources."""

from __future__ import annotations

import ast
import importlib
import itertools
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.rounds import together

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "wsgiproxy"

TOP_LEVEL = {PACKAGE, "tests", "docs", "setup.cfg", "pyproject.toml", "tox.ini", "README.rst"}
#: What building and testing leave behind; git does not know it.
ARTEFACTS = {"build", "dist", "__pycache__", "htmlcov"}

#: A room imports rooms of earlier lines and itself, nothing else.
LAYERS = [
    {"version"},
    {PACKAGE, "errors"},
    {"sansio"},
    {"guard", "observe", "watchedfile"},
    {"hooks"},
    {"replay", "secretloader", "settings"},
    {"worlds"},
    {"transport"},
    {"wsgi"},
    {"signature"},
    {"compat", "doctor", "exactproxy", "reverse", "routed", "server"},
    {"restorer"},
    {"app", "forward", "middleware", "proxies", "spawn"},
    {"har", "router"},
    {"asgi", "requests_client", "urllib3_client"},
    {"inspector"},
    {"cli", "wsgiapp"},
    {"__main__", "pytest_plugin"},
]
#: What a module, and those below it, never imports. The receiving end has to start without anything
#: that can connect, and the two worlds know nothing of each other.
NEVER = {
    *itertools.product(
        ["middleware", "asgi.middleware", "restorer", "signature"],
        ["transport", "guard", "wsgi.gateway", "asgi.gateway", "asgi.app", "asgi.forward"],
    ),
    ("asgi", "wsgi"),
    ("wsgi", "asgi"),
}

#: Third-party package -> the modules, and those below them, that may import it.
OWNERS = {
    "urllib3": [
        "wsgiproxy.har.clients",
        "wsgiproxy.transport.connect",
        "wsgiproxy.urllib3_client",
        "wsgiproxy.requests_client",
    ],
    "requests": ["wsgiproxy.har.clients", "wsgiproxy.requests_client"],
    "httpx": ["wsgiproxy.har.clients"],
    "pytest": ["wsgiproxy.pytest_plugin"],
    "socks": ["wsgiproxy.transport.connect"],
    "httptools": ["wsgiproxy.sansio.h1", "wsgiproxy.cli"],
    "multidict": ["wsgiproxy.hooks"],
    "cryptography": ["wsgiproxy.sansio.keys"],
    "aiohappyeyeballs": ["wsgiproxy.transport.aio.dial"],
    "websockets": [
        "wsgiproxy.asgi.compression",
        "wsgiproxy.asgi.frames",
        "wsgiproxy.asgi.masking",
        "wsgiproxy.observe.inspector.frames",
    ],
    "webob": ["wsgiproxy.sansio.errorpage", "wsgiproxy.cli"],
    "jwt": ["wsgiproxy.hooks.identity_jwt"],
    "dns": ["wsgiproxy.transport.srv"],
    "prometheus_client": [
        "wsgiproxy.observe.exchanges",
        "wsgiproxy.observe.looked_at",
        "wsgiproxy.observe.metrics",
    ],
    "redis": ["wsgiproxy.hooks.redis_rates"],
    "brotli": ["wsgiproxy.hooks.compress", "wsgiproxy.har"],
    "zstandard": ["wsgiproxy.hooks.compress", "wsgiproxy.har"],
    "bcrypt": ["wsgiproxy.forward.passwords"],
    "starlette": ["wsgiproxy.asgi.starlette"],
    "fastapi": ["wsgiproxy.asgi.starlette"],
    "uvicorn": ["wsgiproxy.cli"],
    "waitress": ["wsgiproxy.cli"],
    "gunicorn": ["wsgiproxy.cli"],
    "granian": ["wsgiproxy.cli"],
    "argcomplete": ["wsgiproxy.cli"],
    "tomli": ["wsgiproxy.cli"],
    "paste": ["wsgiproxy.server", "wsgiproxy.cli"],
}

#: All that a rule about text and bytes may need.
PURE = {
    "__future__",
    "base64",
    "binascii",
    "collections",
    "contextlib",
    "cryptography",
    "dataclasses",
    "datetime",  # its text; nothing asks it for the time
    "email.utils",
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "html",
    "httptools",
    "inspect",
    "io",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "re",
    "string",
    "struct",
    "typing",
    "urllib.parse",
    "warnings",
    "webob",
    "wsgiproxy.errors",
    "wsgiproxy.sansio",
    "zlib",
}
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}

# Made of the rows of the settings, one entry each.
TABLE = "wsgiproxy.settings.options"
LINES_OF_A_MODULE = 320
LINES_OF_A_FUNCTION = 40

Sources = dict[str, str]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}
SOURCES: Sources = {name: path.read_text("utf-8") for name, path in FILES.items()}


def is_below(name: str, parent: str) -> bool:
    return name == parent or name.startswith(parent + ".")


def is_for_types(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only type checkers see."""
    for child in ast.iter_child_nodes(node):
        if is_for_types(child):
            assert isinstance(child, ast.If)
            for other in child.orelse:
                yield other
                yield from runtime_nodes(other)
        else:
            yield child
            yield from runtime_nodes(child)


def imports(name: str, source: str) -> Iterator[str]:
    """What the module *name* imports; for ``from a import b`` it is ``a.b``."""
    package = (
        name if name in FILES and FILES[name].name == "__init__.py" else name.rpartition(".")[0]
    )
    for node in runtime_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def room(module: str) -> str:
    """The part of the package that *module* belongs to, the package itself if to none."""
    parts = module.split(".")
    known = {room for layer in LAYERS for room in layer}
    if len(parts) == 1 or (parts[1] not in known and module not in FILES):
        return PACKAGE  # ``from wsgiproxy import __version__``
    return parts[1]


# The checkers: each gives a sentence per fault.


def foreign_at_the_top(names: set[str]) -> list[str]:
    return sorted(
        f"{name}: not at the top of DESIGN.md"
        for name in names
        if name not in TOP_LEVEL and not name.startswith(".")
    )


def impure(sources: Sources) -> list[str]:
    found = []
    for name, source in sources.items():
        for imported in imports(name, source):
            if not any(is_below(imported, allowed) for allowed in PURE):
                found.append(f"{name} imports {imported}")
        for node in ast.walk(ast.parse(source)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in IMPURE_CALLS
            ):
                found.append(f"{name} calls {node.func.id}")
    return found


def out_of_order(sources: Sources) -> list[str]:
    rank = {room: number for number, layer in enumerate(LAYERS) for room in layer}
    found = []
    for name, source in sources.items():
        here = room(name)
        if here not in rank:
            found.append(f"{name} has no place in LAYERS")
            continue
        for imported in imports(name, source):
            there = room(imported)
            if not is_below(imported, PACKAGE):
                continue
            if here == there:
                found += [f"{name} imports {imported}"] * is_never(name, imported)
                continue
            if rank.get(there, -1) >= rank[here] or is_never(name, imported):
                found.append(f"{name} imports {imported}")
    return found


def is_never(name: str, imported: str) -> bool:
    return any(
        is_below(name, f"{PACKAGE}.{here}") and is_below(imported, f"{PACKAGE}.{there}")
        for here, there in NEVER
    )


def without_owner(sources: Sources) -> list[str]:
    found = []
    for name, source in sources.items():
        for imported in imports(name, source):
            package = imported.partition(".")[0]
            if package == PACKAGE or package in sys.stdlib_module_names:
                continue
            if not any(is_below(name, owner) for owner in OWNERS.get(package, ())):
                found.append(f"{name} imports {imported}")
    return found


def too_long(sources: Sources) -> list[str]:
    found = []
    for name, source in sources.items():
        lines = len(source.splitlines())
        if lines > LINES_OF_A_MODULE and name != TABLE:
            found.append(f"{name} has {lines} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LINES_OF_A_FUNCTION:
                    found.append(f"{name}.{node.name} has {lines} lines")
    return found


def public_names(tree: ast.Module) -> list[str] | None:
    """What ``__all__`` says; None if there is none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def missing(module: ModuleType) -> list[str]:
    return [
        f"{module.__name__}.{name} does not exist"
        for name in getattr(module, "__all__", ())
        if not hasattr(module, name)
    ]


Documentable = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def undocumented(sources: Sources) -> list[str]:
    found = []
    for name, source in sources.items():
        tree = ast.parse(source)
        if not ast.get_docstring(tree):
            found.append(f"{name} has no docstring")
        public = public_names(tree) or []
        for node in tree.body:
            if isinstance(node, Documentable) and node.name in public:
                found += [f"{name}.{fault}" for fault in undocumented_in(node)]
    return found


def undocumented_in(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    is_overload = any(
        isinstance(each, ast.Name) and each.id == "overload" for each in node.decorator_list
    )
    found = [] if is_overload or ast.get_docstring(node) else [f"{node.name} has no docstring"]
    for child in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(child, Documentable) and not child.name.startswith("_"):
            is_setter = any(isinstance(each, ast.Attribute) for each in child.decorator_list)
            if not is_setter and not ast.get_docstring(child):
                found.append(f"{node.name}.{child.name} has no docstring")
    return found


def without_all(sources: Sources) -> list[str]:
    """Modules whose public names nobody has listed; packages may be nothing but a room."""
    return [
        f"{name} has no __all__"
        for name, source in sources.items()
        if not name.endswith("__main__")
        and public_names(ast.parse(source)) is None
        and any(isinstance(node, Documentable) for node in ast.parse(source).body)
    ]


# The package


def names_at_the_top() -> set[str]:
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return {name.partition("/")[0] for name in listed.stdout.split("\0") if name}
    return {
        path.name
        for path in ROOT.iterdir()
        if path.name not in ARTEFACTS and not path.name.endswith((".egg-info", "PKG-INFO"))
    }


def test_the_top_level_is_fixed() -> None:
    assert foreign_at_the_top(names_at_the_top()) == []


def test_the_rules_are_pure() -> None:
    rules = {name: text for name, text in SOURCES.items() if is_below(name, "wsgiproxy.sansio")}
    assert len(rules) > 8
    assert impure(rules) == []


def test_imports_go_one_way() -> None:
    assert out_of_order(SOURCES) == []


def test_each_third_party_package_has_its_importer() -> None:
    assert without_owner(SOURCES) == []


def test_modules_and_functions_are_short() -> None:
    assert too_long(SOURCES) == []


def test_public_names_are_documented() -> None:
    assert undocumented(SOURCES) == []
    assert without_all(SOURCES) == []


@together
@pytest.mark.parametrize("name", [name for name in SOURCES if not name.endswith("__main__")])
def test_public_names_exist(name: str) -> None:
    assert missing(importlib.import_module(name)) == []


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_import_is_light() -> None:
    # Others than Paste live in `paste`, and make it known when Python starts.
    heavy = {*OWNERS, "ssl", "socket", "logging", "wsgiproxy.app", "wsgiproxy.transport"}
    heavy = heavy - {"paste"} | {"paste.httpserver"}
    loaded = loaded_by("import wsgiproxy")
    assert "wsgiproxy" in loaded
    assert heavy & loaded == set()
    assert {"urllib3", "httptools", "ssl"} <= loaded_by("import wsgiproxy; wsgiproxy.WSGIProxyApp")


def test_the_rules_load_no_socket() -> None:
    """Pure not by its own imports alone, but as a whole; httptools is C and needs none."""
    names = ", ".join(name for name in SOURCES if is_below(name, "wsgiproxy.sansio"))
    assert {"ssl", "urllib3", "webob", "logging", "threading"} & loaded_by(
        f"import {names}"
    ) == set()


# The checkers can fail


def test_a_foreign_name_at_the_top_is_found() -> None:
    assert foreign_at_the_top({PACKAGE, ".github", "setup.py"}) == [
        "setup.py: not at the top of DESIGN.md"
    ]


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        pytest.param("import re, socket", ["x imports socket"], id="import"),
        pytest.param("from os import path", ["x imports os.path"], id="from"),
        pytest.param(
            "import urllib.request", ["x imports urllib.request"], id="next-to-a-pure-one"
        ),
        pytest.param("import urllib.parse, json", [], id="pure"),
        pytest.param("def f():\n    import time", ["x imports time"], id="in-a-function"),
        pytest.param("try:\n    import ssl\nexcept E:\n    pass", ["x imports ssl"], id="tried"),
        pytest.param("from wsgiproxy import errors", [], id="errors"),
        pytest.param("from wsgiproxy import app", ["x imports wsgiproxy.app"], id="app"),
        pytest.param("from . import y", [], id="relative"),
        pytest.param("if TYPE_CHECKING:\n    import socket", [], id="for-types"),
        pytest.param(
            "if TYPE_CHECKING:\n    import re\nelse:\n    import os", ["x imports os"], id="else"
        ),
        pytest.param(
            "def f():\n    print(open('x'))", ["x calls print", "x calls open"], id="calls"
        ),
        pytest.param("re.compile('x')", [], id="method-of-that-name"),
    ],
)
def test_impurity_is_found(source: str, faults: list[str]) -> None:
    name = "wsgiproxy.sansio.x"
    assert impure({name: source}) == [fault.replace("x ", f"{name} ", 1) for fault in faults]


@together
@pytest.mark.parametrize(
    ("name", "source", "bad"),
    [
        pytest.param(
            "wsgiproxy.sansio.x", "import wsgiproxy.settings", True, id="rules-to-settings"
        ),
        pytest.param("wsgiproxy.sansio.x", "import wsgiproxy.sansio.y", False, id="within-a-room"),
        pytest.param("wsgiproxy.errors", "import wsgiproxy.sansio", True, id="errors-to-rules"),
        pytest.param("wsgiproxy.settings", "import wsgiproxy.transport", True, id="same-layer"),
        pytest.param("wsgiproxy.transport.x", "from .. import app", True, id="upwards-relative"),
        pytest.param(
            "wsgiproxy.exactproxy", "from wsgiproxy import app", True, id="gateway-to-app"
        ),
        pytest.param("wsgiproxy.app", "import wsgiproxy.exactproxy", False, id="app-to-gateway"),
        pytest.param("wsgiproxy.app", "import wsgiproxy.cli.serve", True, id="app-to-command"),
        pytest.param("wsgiproxy.app", "import wsgiproxy.wsgiapp", True, id="app-to-entry-points"),
        pytest.param("wsgiproxy.server", "import wsgiproxy.cli", True, id="server-to-command"),
        pytest.param("wsgiproxy.cli.x", "from wsgiproxy import __version__", False, id="version"),
        pytest.param("wsgiproxy", "import wsgiproxy.errors", True, id="package-loads-nothing"),
        pytest.param("wsgiproxy.__main__", "import wsgiproxy.cli", False, id="main-to-command"),
        pytest.param("wsgiproxy.middleware", "import wsgiproxy.transport", True, id="middleware"),
        pytest.param("wsgiproxy.app", "import wsgiproxy.middleware", True, id="peers"),
        pytest.param("wsgiproxy.restorer", "import wsgiproxy.transport", True, id="restorer"),
        pytest.param(
            "wsgiproxy.asgi.middleware", "import wsgiproxy.transport.base", True, id="asgi-back"
        ),
        pytest.param("wsgiproxy.asgi.middleware", "from . import gateway", True, id="asgi-front"),
        pytest.param("wsgiproxy.asgi.app", "import wsgiproxy.transport", False, id="asgi-sends"),
        pytest.param("wsgiproxy.asgi.x", "import wsgiproxy.wsgi.input", True, id="asgi-to-wsgi"),
        pytest.param("wsgiproxy.wsgi.x", "import wsgiproxy.asgi.app", True, id="wsgi-to-asgi"),
        pytest.param("wsgiproxy.app", "import os, webob", False, id="others-are-not-asked-here"),
    ],
)
def test_disorder_is_found(name: str, source: str, bad: bool) -> None:
    assert bool(out_of_order({name: source})) is bad


def test_a_module_without_a_place_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FILES, "wsgiproxy.utils", ROOT / PACKAGE / "utils.py")
    assert out_of_order({"wsgiproxy.utils": ""}) == ["wsgiproxy.utils has no place in LAYERS"]
    assert out_of_order({"wsgiproxy.app": "import wsgiproxy.utils"}) == []


@pytest.mark.parametrize(
    ("name", "source", "bad"),
    [
        pytest.param(
            "wsgiproxy.transport.connect", "from urllib3 import connection", False, id="owner"
        ),
        pytest.param("wsgiproxy.transport.pool", "from urllib3 import connection", True, id="next"),
        pytest.param(
            "wsgiproxy.cli.servers", "import waitress.server", False, id="below-the-owner"
        ),
        pytest.param("wsgiproxy.client", "import webob", True, id="begins-like-the-owner"),
        pytest.param("wsgiproxy.app", "def f():\n    import requests", True, id="unknown"),
        pytest.param("wsgiproxy.app", "import ssl, json", False, id="standard-library"),
        pytest.param("wsgiproxy.app", "if TYPE_CHECKING:\n    import _typeshed", False, id="types"),
    ],
)
def test_a_second_importer_is_found(name: str, source: str, bad: bool) -> None:
    assert bool(without_owner({name: source})) is bad


def test_length_is_found() -> None:
    function = "def f():\n" + "    pass\n" * 40
    assert too_long({"x": function}) == ["x.f has 41 lines"]
    assert too_long({"x": textwrap.indent(function, "    ").join(["class C:\n", ""])})
    assert too_long({"x": "pass\n" * 321}) == ["x has 321 lines"]
    assert too_long({"x": "def f():\n" + "    pass\n" * 39 + "pass\n" * 280}) == []


def test_a_missing_name_is_found() -> None:
    module = ModuleType("x")
    module.__dict__.update(__all__=["there", "nowhere"], there=1)
    assert missing(module) == ["x.nowhere does not exist"]


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        pytest.param("", ["x has no docstring"], id="module"),
        pytest.param("'x'\n__all__ = ['f']\ndef f(): ...", ["x.f has no docstring"], id="function"),
        pytest.param("'x'\n__all__ = []\ndef f(): ...", [], id="not-public"),
        pytest.param("'x'\n__all__ = ['C']\nclass C:\n    'c'", [], id="class"),
        pytest.param(
            "'x'\n__all__ = ['C']\nclass C:\n    'c'\n    def f(self): ...",
            ["x.C.f has no docstring"],
            id="method",
        ),
        pytest.param(
            "'x'\n__all__ = ['C']\nclass C:\n    'c'\n    def _f(self): ...\n"
            "    @p.setter\n    def p(self, v): ...",
            [],
            id="private-and-setter",
        ),
    ],
)
def test_a_lack_of_documentation_is_found(source: str, faults: list[str]) -> None:
    assert undocumented({"x": source}) == faults


def test_a_lack_of_all_is_found() -> None:
    assert without_all({"x": "def f(): ..."}) == ["x has no __all__"]
    assert without_all({"x": "__all__ = ['f']\ndef f(): ...", "y.__main__": "def f(): ..."}) == []
    assert without_all({"x": "'only a room'"}) == []
