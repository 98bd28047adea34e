"""Chromium without a window, which asks a proxy for everything."""

from __future__ import annotations

import base64
import hashlib
import queue
import ssl
import subprocess
from typing import Any

from tests.forward.site import Site
from tests.support.chromium import chromium

__all__ = ["browsed", "dom", "key_of"]

_LIMIT = 60  # seconds
# Loopback is what a browser never asks its proxy for, unless it is told to.
_LOOPBACK_TOO = "--proxy-bypass-list=<-loopback>"


def key_of(site: Site) -> str:
    """The certificate's key, for a browser that is to trust it, and no other."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from cryptography.x509 import load_pem_x509_certificate

    text = ssl.get_server_certificate(("127.0.0.1", site.port))
    key = load_pem_x509_certificate(text.encode()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


def _flags(proxy: int, *more: str, trusted: str = "") -> list[str]:
    flags = [_LOOPBACK_TOO, f"--proxy-server=127.0.0.1:{proxy}", *more]
    return flags + [f"--ignore-certificate-errors-spki-list={trusted}"] * bool(trusted)


def browsed(proxy: int, site: Site, query: str = "", trusted: str = "") -> dict[str, Any]:
    """What the page of *site* reports, when it is opened through the proxy."""
    flags = _flags(proxy, "--remote-debugging-port=0", trusted=trusted)
    with chromium(*flags, f"{site.url}/{query}") as browser:
        try:
            return site.reports.get(timeout=_LIMIT)
        except queue.Empty:
            browser.log.seek(0)
            paths = [seen.path for seen in site.seen]
            raise AssertionError(f"no report; asked for: {paths}\n{browser.log.read()}") from None


def dom(proxy: int, url: str) -> str:
    """The page at *url*, as the browser shows it."""
    flags = _flags(proxy, "--dump-dom", "--virtual-time-budget=10000")
    with chromium(*flags, url, stdout=subprocess.PIPE) as browser:
        return browser.process.communicate(timeout=_LIMIT)[0]
