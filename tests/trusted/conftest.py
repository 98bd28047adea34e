"""Backends behind `WSGIProxyMiddleware`, each in a server of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.fronts import Front, Fronts
from wsgiproxy.secretloader import new_key


def key_file(path: Path, *lines: str) -> str:
    """A key file that nobody else may read."""
    path.touch(0o600)
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


@pytest.fixture(scope="session")
def secret_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The key file of both sides."""
    return key_file(tmp_path_factory.mktemp("keys") / "secret.txt", new_key("k1"))


@pytest.fixture(scope="session")
def backend(fronts: Fronts) -> Callable[..., Front]:
    """``backend("waitress", trust_ips="127.0.0.1")``: started once for the same options."""

    def start(
        server: str, app: str = "restored", *, optimised: bool = False, **options: Any
    ) -> Front:
        env = {"OPTIONS": json.dumps(options), **({"PYTHONOPTIMIZE": "1"} if optimised else {})}
        return fronts.get(server, f"tests.support.backend:{app}", **env)

    return start
