"""Chromium without a window, which asks a proxy for everything."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import queue
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from tests.forward.site import Site
from tests.support.daemon import program

__all__ = ["browsed", "dom", "key_of"]

_LIMIT = 60  # seconds
# Loopback is what a browser never asks its proxy for, unless it is told to.
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-default-apps", "--disable-extensions", "--no-default-browser-check"),
    *("--disable-dev-shm-usage", "--metrics-recording-only", "--disable-domain-reliability"),
    "--disable-features=OptimizationHints,MediaRouter,Translate",
    "--proxy-bypass-list=<-loopback>",
)


def key_of(site: Site) -> str:
    """The certificate's key, for a browser that is to trust it, and no other."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from cryptography.x509 import load_pem_x509_certificate

    text = ssl.get_server_certificate(("127.0.0.1", site.port))
    key = load_pem_x509_certificate(text.encode()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


@contextlib.contextmanager
def _chromium(
    proxy: int, url: str, *more: str, trusted: str = "", stdout: int = subprocess.DEVNULL
) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    flags = [*_FLAGS, f"--proxy-server=127.0.0.1:{proxy}", *more]
    if trusted:
        flags.append(f"--ignore-certificate-errors-spki-list={trusted}")
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        tempfile.TemporaryFile("a+", errors="replace") as log,
    ):
        command = [program("chromium"), *flags, f"--user-data-dir={profile}", url]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=log, text=True,
            start_new_session=True, env={**os.environ, "HOME": profile},
        )  # fmt: skip
        try:
            yield process, log
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def browsed(proxy: int, site: Site, query: str = "", trusted: str = "") -> dict[str, Any]:
    """What the page of *site* reports, when it is opened through the proxy."""
    with _chromium(proxy, f"{site.url}/{query}", "--remote-debugging-port=0", trusted=trusted) as (
        _,
        log,
    ):
        try:
            return site.reports.get(timeout=_LIMIT)
        except queue.Empty:
            log.seek(0)
            paths = [seen.path for seen in site.seen]
            raise AssertionError(f"no report; asked for: {paths}\n{log.read()}") from None


def dom(proxy: int, url: str) -> str:
    """The page at *url*, as the browser shows it."""
    more = ["--dump-dom", "--virtual-time-budget=10000"]
    with _chromium(proxy, url, *more, stdout=subprocess.PIPE) as (process, _):
        return process.communicate(timeout=_LIMIT)[0]
