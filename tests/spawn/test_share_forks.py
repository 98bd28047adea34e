"""Processes that are forked after the application was made, and share one process all the same."""

from __future__ import annotations

from collections import defaultdict

from tests.spawn.children import MARK, child, program

_BEGIN = f"""
import os, sys, time
from tests.spawn.children import ask
from wsgiproxy.spawn import SpawningApplication

def made(**options):
    return SpawningApplication(sys.argv[1:], share=True, inherit_env=[{MARK!r}], **options)

def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
"""

# As two instances of one unit of systemd: the same arguments, folder and parent.
MASTERS = (
    _BEGIN
    + """
def master():
    if os.fork():
        return
    app = made()
    for _ in range(2):
        if not os.fork():
            tell(os.getppid(), ask(app).text)
            os.read(0, 1)
            app.close()
            os._exit(0)
    os.wait()
    os.wait()
    os._exit(0)

master()
master()
os.wait()
os.wait()
"""
)


def test_only_workers_of_one_master_share_a_process(mark, temporary, folder):
    variables = {MARK: mark, "XDG_RUNTIME_DIR": str(folder)}
    with program(MASTERS, *child(), **variables) as parent:
        met = defaultdict(set)
        for _ in range(4):
            master, pid = parent.line().split()
            met[master].add(pid)
        parent.tell("xxx")  # one byte for each of them, with the end of the line
        assert parent.wait() == 0, parent.stderr
    one, two = met.values()
    assert (len(one), len(two)) == (1, 1)
    assert one.isdisjoint(two)


HAS_NO_PLACE = (
    _BEGIN
    + """
app = made(stop_timeout=5)
if not os.fork():
    os.environ["XDG_RUNTIME_DIR"] = "/no/such/folder"
    status = ask(app).status
    since = time.monotonic()
    app.close()
    tell(status, app.state, time.monotonic() - since < 5)
    os._exit(0)
os.wait()
"""
)


def test_a_worker_without_a_usable_folder_logs_it_and_ends(mark, temporary, folder):
    """As one that is not root any more; what its parent has open is none of it."""
    variables = {MARK: mark, "XDG_RUNTIME_DIR": str(folder)}
    with program(HAS_NO_PLACE, *child(), **variables) as parent:
        assert parent.line() == "502 stopped True"
        assert parent.wait() == 0
        assert "Traceback" not in parent.stderr
        assert "share='/no/such/folder" in parent.stderr
