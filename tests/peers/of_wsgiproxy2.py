"""``python -m tests.peers.of_wsgiproxy2``: WSGIProxy2's own tests, unchanged, on this package."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.peers.suite import Failed, check_place, downloaded, run

__all__ = ["main"]

_NAME = "test_wsgiproxy.py"
#: As many as version 0.5.1 has, which will have no successor.
_EXPECTED = 27


def main() -> None:
    """Download them, and run them beside nothing else of WSGIProxy2.

    :raises Failed: they do not pass, or there are fewer than there were.
    """
    check_place()
    with tempfile.TemporaryDirectory() as name:
        source = downloaded("WSGIProxy2==0.5.1", Path(name))
        alone = Path(name, "alone")
        alone.mkdir()
        shutil.copy(source / "wsgiproxy" / _NAME, alone)
        (alone / "pytest.ini").write_text("[pytest]\n")
        passed = run(alone, [_NAME], {})
    if len(passed) != _EXPECTED:
        raise Failed(f"{len(passed)} tests have passed: expected {_EXPECTED}")
    print(f"{len(passed)} tests of WSGIProxy2 have passed")


if __name__ == "__main__":
    main()
