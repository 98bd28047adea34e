"""docs/deploy/haproxy.cfg: two machines, of which one dies and comes back while users go on."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from webob import Request

from tests.deploy.machines import Network, in_namespaces, no_namespaces, on_loopback
from tests.deploy.site_of_two import Crowd, Host, Site, behind_haproxy, using
from tests.support.daemon import redis_server
from tests.support.rounds import FULL
from tests.support.upstream import RawUpstream
from wsgiproxy.app import WSGIProxyApp
from wsgiproxy.secretloader import new_key

pytestmark = pytest.mark.system("haproxy", "redis-server")


class Running:
    """The site, and the client of its Redis; started by the first test that has the programs."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind = kind
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._site: Site | None = None
        self.secret_file = str(folder / "secret.txt")

    def _network(self) -> Network:
        reason = no_namespaces()
        if self._kind == "namespaces":
            if reason:
                pytest.skip(reason)
            return self._stack.enter_context(in_namespaces())
        if not (reason or FULL):
            pytest.skip("in the long form, or where there are no namespaces")
        return self._stack.enter_context(on_loopback())

    def site(self) -> Site:
        if self._site is None:
            network = self._network()
            Path(self.secret_file).touch(0o600)
            Path(self.secret_file).write_text(f"{new_key('k1')}\n")
            self._stack.enter_context(redis_server(self._folder))
            path = str(self._folder / "redis.sock")
            self.database: Any = self._stack.enter_context(redis.Redis(unix_socket_path=path))
            self._site = self._stack.enter_context(
                behind_haproxy(network, self._folder, self.secret_file)
            )
            self._site.silence = network.silence
        return self._site

    def stop(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module", params=["namespaces", "loopback"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    started = Running(request.param, tmp_path_factory.mktemp("site"))
    yield started
    started.stop()


@pytest.fixture
def site(running: Running) -> Site:
    return running.site()


def fullest(site: Site, crowd: Crowd) -> Host:
    """The host with the most users."""
    return site.hosts[crowd.at().most_common(1)[0][0]]


def check(running: Running, crowd: Crowd, left: str) -> None:
    """No request was lost, no order was taken twice, and users stayed where they were.

    :param left: the host that failed.
    """
    assert crowd.wrong == []
    assert [user.lost for user in crowd.users] == [[]] * len(crowd.users)
    for user in crowd.users:
        wanted = [left, *{"one", "two"} - {left}] if user.hosts[0] == left else [user.hosts[0]]
        assert list(dict.fromkeys(user.hosts)) == wanted
        assert user.changes() == len(wanted) - 1
    ordered = [number for user in crowd.users for number in user.ordered]
    assert len(ordered) > len(crowd.users)
    # Those that were not confirmed may have been taken, once.
    times = [int(running.database.get(key)) for key in running.database.keys("order:*")]
    assert len(times) >= len(ordered)
    assert set(times) == {1}


@pytest.mark.parametrize("programs", [(), ("backend",)], ids=["all of it", "its backend alone"])
def test_a_host_is_killed_and_comes_back(
    running: Running, site: Site, programs: tuple[str, ...]
) -> None:
    with using(site) as crowd:
        crowd.goes_on()
        victim = fullest(site, crowd)
        victim.kill(*programs)
        crowd.goes_on()
        site.wait_for(*{"one", "two"} - {victim.name})
        crowd.goes_on()
        victim.start()
        site.wait_for("one", "two")
        crowd.goes_on()
    check(running, crowd, victim.name)


def test_a_host_falls_silent_and_comes_back(running: Running, site: Site) -> None:
    if site.silence is None:
        pytest.skip("a machine is cut off in a network of its own alone")
    with using(site) as crowd:
        crowd.goes_on()
        victim = fullest(site, crowd)
        site.silence(victim.name, True)
        crowd.goes_on()
        site.silence(victim.name, False)
        site.wait_for("one", "two")
        crowd.goes_on()
    check(running, crowd, victim.name)


def test_the_backend_knows_the_client(site: Site) -> None:
    assert {site.ask_once()["user"] for _ in range(4)} == {"127.0.0.1"}


# -- signed requests ------------------------------------------------------------------------


def recorded(secret_file: str) -> bytes:
    """A request that a front has signed, as it is on the wire."""
    with RawUpstream() as upstream:
        app = WSGIProxyApp(upstream.url, secret_file, preserve_host=True)
        path = "/orders?number=recorded"
        Request.blank(path, base_url="http://shop.example", method="POST").get_response(app)
        app.close()
        return upstream.wait_for_requests(1)[0].head


def status(path: str, request: bytes) -> int:
    """What the backend at a Unix socket answers."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(path)
        client.sendall(request)
        line = client.makefile("rb").readline()
    found = re.match(rb"HTTP/1.1 (\d+)", line)
    assert found, line
    return int(found[1])


def test_of_a_request_at_both_hosts_one_is_accepted(running: Running, site: Site) -> None:
    request = recorded(running.secret_file)
    paths = [host.socket for host in site.hosts.values()] * 4
    statuses: Counter[int] = Counter()
    start = threading.Barrier(len(paths))

    def send(path: str) -> None:
        start.wait(30)
        statuses[status(path, request)] += 1

    threads = [threading.Thread(target=send, args=[path]) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert statuses == {200: 1, 403: 7}
    assert running.database.get("order:recorded") == b"1"
    running.database.delete("order:recorded")


def test_a_host_that_was_away_refuses_what_the_other_one_has_seen(
    running: Running, site: Site
) -> None:
    victim, other = site.hosts["one"], site.hosts["two"]
    victim.kill()
    request = recorded(running.secret_file)
    assert status(other.socket, request) == 200
    victim.start()
    site.wait_for("one", "two")
    assert [status(host.socket, request) for host in (victim, other)] == [403, 403]
