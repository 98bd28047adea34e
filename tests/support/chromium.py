"""Chromium without a window, with a profile of its own that goes away with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from tests.support.daemon import program

__all__ = ["Chromium", "chromium"]

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-default-apps", "--disable-extensions", "--no-default-browser-check"),
    *("--disable-dev-shm-usage", "--metrics-recording-only", "--disable-domain-reliability"),
    "--disable-features=OptimizationHints,MediaRouter,Translate",
)


class Chromium(NamedTuple):
    """A running one."""

    process: subprocess.Popen[str]
    log: IO[str]
    profile: Path


@contextlib.contextmanager
def chromium(*arguments: str, stdout: int = subprocess.DEVNULL) -> Iterator[Chromium]:
    """Run it with further flags, and an address to open, until the end of the block."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        tempfile.TemporaryFile("a+", errors="replace") as log,
    ):
        command = [program("chromium"), *_FLAGS, f"--user-data-dir={profile}", *arguments]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=log, text=True,
            start_new_session=True, env={**os.environ, "HOME": profile, "TMPDIR": profile},
        )  # fmt: skip
        try:
            yield Chromium(process, log, Path(profile))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
