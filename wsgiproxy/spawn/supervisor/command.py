"""Starting the command, and knowing what is left of it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
from collections.abc import Iterable

__all__ = ["children", "settle_in", "start"]

_LISTEN_FD = 3  # sd_listen_fds(3): the first of the descriptors that are handed over

_LONG = 1000  # characters of a path that is told

# <linux/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    """Linux's prctl(2); elsewhere nothing happens."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass


def settle_in(ours: set[int]) -> None:
    """Make this process what a warden has to be.

    In a session of its own, the parent of whatever the command leaves behind, however it hides,
    and without descriptors of others.

    :param ours: the descriptors that it was given; the command does not get them.
    """
    with contextlib.suppress(PermissionError):  # we have one already
        os.setsid()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number in _descriptors():
        if number > 2 and number not in ours:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(number)
    for number in ours:
        if number >= 0:
            os.set_inheritable(number, False)


def _descriptors() -> Iterable[int]:
    """The open ones; all that may be open where the system does not list them."""
    try:
        return [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        return range(min(os.sysconf("SC_OPEN_MAX"), 1 << 16))


def start(command: list[str], cwd: str, inherited: int) -> tuple[int, int]:
    """Run *command* in a session of its own; its pid, and the descriptor to read its output.

    :param cwd: where to run it; empty for here.
    :param inherited: descriptor of its listening socket; -1 for none.
    :raises OSError: it cannot be run.
    """
    heard, said = os.pipe()
    failed, failing = os.pipe()
    pid = os.fork()
    if not pid:
        what = cwd
        try:
            # Out of the way of the socket that the command gets.
            failing = fcntl.fcntl(failing, fcntl.F_DUPFD_CLOEXEC, 10)
            if cwd:
                os.chdir(cwd)
            what = command[0]
            _become(command, inherited, said)
        except OSError as error:
            os.write(
                failing, f"{error.errno or errno.EIO} {what}"[:_LONG].encode("utf-8", "replace")
            )
        finally:
            os._exit(127)
    os.close(said)
    os.close(failing)
    number, _, what = os.read(failed, 2 * _LONG).decode("utf-8", "replace").partition(" ")
    os.close(failed)
    if number:
        os.waitpid(pid, 0)
        os.close(heard)
        raise OSError(int(number), os.strerror(int(number)), what)
    return pid, heard


def _become(command: list[str], inherited: int, said: int) -> None:
    os.setsid()
    # Should the process in between be killed. It has one thread, which lives as long as itself:
    # the signal would come at the end of the thread that forks.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # What our parent ignores or blocks is its own matter, and Python ignores SIGPIPE.
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    os.dup2(said, 1)
    os.dup2(said, 2)
    if inherited >= 0:
        if inherited == _LISTEN_FD:
            os.set_inheritable(inherited, True)
        else:
            os.dup2(inherited, _LISTEN_FD)
        # Our parent's sockets do not block where gevent, or a default timeout, is at work.
        os.set_blocking(_LISTEN_FD, True)
        if "LISTEN_FDS" in os.environ:
            os.environ["LISTEN_PID"] = str(os.getpid())
    if not _had("LC_CTYPE"):
        os.environ.pop("LC_CTYPE", None)
    os.execvp(command[0], command)


def _had(name: str) -> bool:
    """Whether we were given a variable; Python sets LC_CTYPE where there is no locale (PEP 538)."""
    try:
        with open("/proc/self/environ", "rb") as file:
            return any(each.startswith(f"{name}=".encode()) for each in file.read().split(b"\0"))
    except OSError:
        return True


def children() -> list[int]:
    """Our own children: the command, and what we have adopted; dead ones included."""
    own = os.getpid()
    try:
        with open(f"/proc/self/task/{own}/children", encoding="utf-8") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return _children_by_stat(own)


def _children_by_stat(own: int) -> list[int]:
    """The same where the kernel does not list them."""
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        try:
            with open(f"/proc/{int(name)}/stat", "rb") as file:
                # The second field is a name, which may hold anything, in parentheses.
                if int(file.read().rpartition(b")")[2].split()[1]) == own:
                    found.append(int(name))
        except (OSError, ValueError):
            continue
    return found
