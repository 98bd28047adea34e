"""A site in plain text and over TLS, and proxies that may go there and nowhere else."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forward.proxies import TUNNELLING, Proxy, started
from tests.forward.site import Site, site


@pytest.fixture(scope="session")
def sites(tls_files: tuple[ssl.SSLContext, Path]) -> Iterator[tuple[Site, Site]]:
    """The site, http and https, for all tests."""
    with site() as plain, site(tls_files[0]) as secure:
        yield plain, secure


@pytest.fixture
def plain(sites: tuple[Site, Site]) -> Site:
    """The site over http, which has seen nothing yet."""
    sites[0].forget()
    return sites[0]


@pytest.fixture
def secure(sites: tuple[Site, Site]) -> Site:
    """The same over https."""
    sites[1].forget()
    return sites[1]


@pytest.fixture(scope="session")
def authority(tls_files: tuple[ssl.SSLContext, Path]) -> Path:
    """The file of the authority that the https site has its certificate from."""
    return tls_files[1]


@pytest.fixture(scope="module", params=TUNNELLING)
def proxy(request: pytest.FixtureRequest, sites: tuple[Site, Site]) -> Iterator[Proxy]:
    """A proxy that may go to the site."""
    with started(request.param, *(each.authority for each in sites)) as running:
        yield running
