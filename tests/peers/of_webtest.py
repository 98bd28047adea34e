"""``python -m tests.peers.of_webtest``: WebTest's own tests, with this package for WSGIProxy2."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.peers.suite import Failed, check_place, downloaded, run

__all__ = ["main"]

#: WebTest 3.0.7 has 205.
_EXPECTED = 200
#: Those that use a proxy.
_OURS = {
    "tests.test_app.TestWSGIProxy.test_proxy_with_url",
    "tests.test_app.TestWSGIProxy.test_proxy_with_environ",
}
#: Tests that are left out, and why: none is.
_DESELECTED: dict[str, str] = {}


def main() -> None:
    """Download them, and run them with the WebTest that they are of.

    :raises Failed: they do not pass, or there are fewer than there were.
    """
    check_place()
    with tempfile.TemporaryDirectory() as name:
        source = downloaded("WebTest", Path(name))
        passed = run(source, ["tests"], _DESELECTED)
    if len(passed) < _EXPECTED:
        raise Failed(f"{len(passed)} tests have passed: expected {_EXPECTED} or more")
    if not passed >= _OURS:
        raise Failed(f"not run: {sorted(_OURS - passed)}")
    print(f"{len(passed)} tests of {source.name} have passed")


if __name__ == "__main__":
    main()
