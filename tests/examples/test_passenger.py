"""A program behind Passenger, which takes ``application`` from ``passenger_wsgi.py``."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator

import pytest

from tests.examples.mounted import Mount, Mounted
from tests.examples.running import EXAMPLES, running
from tests.support.upstream import RawUpstream

SITE = Mount("passenger_wsgi.py", "", ())


@pytest.fixture
def site(upstream: RawUpstream) -> Iterator[Mounted]:
    # A short one: there are Unix sockets in it.
    with tempfile.TemporaryDirectory() as folder:
        env = {
            "XDG_RUNTIME_DIR": folder,
            "COMMAND": f"{sys.executable} -m http.server --bind 127.0.0.1 {{port}}",
        }
        with running(SITE.name, "", env) as (port, _):
            yield Mounted(SITE, port, upstream, {})


def test_the_first_request_starts_the_program_in_the_folder_of_the_file(site: Mounted) -> None:
    got = site.get("/passenger_wsgi.py")
    assert got.status == 200
    assert got.body == (EXAMPLES / "passenger_wsgi.py").read_bytes()


def test_the_next_request_finds_it_running(site: Mounted) -> None:
    assert [site.get("/").status, site.get("/nowhere").status] == [200, 404]


def test_a_redirect_of_the_program_is_one_of_the_site(site: Mounted) -> None:
    got = site.get("/paste")
    assert (got.status, got.headers["Location"]) == (301, "/paste/")
