"""The refusals hold without asserts too: `tests.support.refusals`, with and without ``-O``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.refusals import TRIED

pytestmark = pytest.mark.in_turns(2)

ROOT = Path(__file__).parents[1]


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("flags", [[], ["-O"], ["-OO"]], ids=["plain", "O", "OO"])
def test_everything_is_refused(flags):
    done = program(*flags, "-m", "tests.support.refusals")
    assert (done.stdout.strip(), done.returncode) == (str(TRIED), 0), done.stderr


def test_asserts_are_gone_where_we_say_so():
    code = "assert False, 'still there'; print('gone')"
    assert program("-O", "-c", code).stdout == "gone\n"
    assert "still there" in program("-c", code).stderr


SABOTAGE = [
    pytest.param(
        "import hmac; hmac.compare_digest = lambda a, b: True",
        ": 200, not 403",
        id="every-signature-is-right",
    ),
    pytest.param(
        "import stat; stat.S_IWGRP = stat.S_IWOTH = 0",
        "a secret that others may write is taken",
        id="every-file-is-private",
    ),
    pytest.param(
        "import time; now = time.time(); time.time = lambda: now; import wsgiproxy.replay as r;"
        " r.MemoryReplay.add = lambda *_: True",
        "a nonce, time 2: 200, not 403",
        id="every-nonce-is-new",
    ),
    pytest.param(
        "import wsgiproxy.settings.convert as c; c.is_reserved = lambda key: False",
        "wsgi.input carried is taken",
        id="every-key-is-free",
    ),
    pytest.param(
        "import wsgiproxy.restorer as m; m.namespace = lambda environ: {}",
        "are left, the facts are",
        id="nothing-is-removed",
    ),
]


@pytest.mark.parametrize(("code", "message"), SABOTAGE)
@pytest.mark.parametrize("flags", [[], ["-O"]], ids=["plain", "O"])
def test_the_program_would_notice(flags, code, message):
    """Each guard that is taken away makes it fail, in words that name what got through."""
    done = program(*flags, "-c", f"{code}\nimport tests.support.refusals as r\nr.main()")
    assert done.returncode == 1
    assert re.search(f"LetThrough: .*(?:{message})", done.stderr), done.stderr


def test_the_package_asserts_nothing_that_a_request_could_decide():
    """Every assert of the package is about our own mistakes; a new one has to be looked at."""
    found = sum(
        len(re.findall(r"^\s+assert ", path.read_text(), re.MULTILINE))
        for name in ("middleware.py", "secretloader.py", "replay.py", "observe/warn.py")
        for path in [ROOT / "wsgiproxy" / name]
    )
    found += sum(
        len(re.findall(r"^\s+assert ", path.read_text(), re.MULTILINE))
        for path in (ROOT / "wsgiproxy" / "signature").glob("*.py")
    )
    assert found == 0
