"""Starting the command, and finding its descendants."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
from collections.abc import Iterable

__all__ = ["become_supervisor", "children", "start"]

_LISTEN_FD = 3  # sd_listen_fds(3): the first of the descriptors that are handed over

_LONGEST = 1000  # characters of a path in a message

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


def become_supervisor(kept: set[int]) -> None:
    """Give this process its own session, make it a subreaper, and close inherited descriptors.

    A subreaper (prctl(2)) becomes the parent of each descendant that has lost its own.

    :param kept: the descriptors to keep; the command does not inherit them.
    """
    with contextlib.suppress(PermissionError):  # it leads a session already
        os.setsid()
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    for number in _descriptors():
        if number > 2 and number not in kept:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(number)
    for number in kept:
        if number >= 0:
            os.set_inheritable(number, False)


def _descriptors() -> Iterable[int]:
    """The open descriptors; all possible ones where the system does not list them."""
    try:
        return [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        return range(min(os.sysconf("SC_OPEN_MAX"), 1 << 16))


def start(command: list[str], cwd: str, inherited: int) -> tuple[int, int]:
    """Run *command* in a session of its own; its pid, and the descriptor to read its output.

    :param cwd: its working directory; empty for that of the supervisor.
    :param inherited: descriptor of its listening socket; -1 for none.
    :raises OSError: it cannot be run.
    """
    output, stdout = os.pipe()
    error_reader, error_writer = os.pipe()
    pid = os.fork()
    if not pid:
        path = cwd
        try:
            # Out of the way of the socket that the command gets.
            error_writer = fcntl.fcntl(error_writer, fcntl.F_DUPFD_CLOEXEC, 10)
            if cwd:
                os.chdir(cwd)
            path = command[0]
            _execute(command, inherited, stdout)
        except OSError as error:
            text = f"{error.errno or errno.EIO} {path}"
            os.write(error_writer, text[:_LONGEST].encode("utf-8", "replace"))
        finally:
            os._exit(127)
    os.close(stdout)
    os.close(error_writer)
    text = os.read(error_reader, 2 * _LONGEST).decode("utf-8", "replace")
    os.close(error_reader)
    number, _, path = text.partition(" ")
    if number:
        os.waitpid(pid, 0)
        os.close(output)
        raise OSError(int(number), os.strerror(int(number)), path)
    return pid, output


def _execute(command: list[str], inherited: int, stdout: int) -> None:
    os.setsid()
    # The command is killed if the supervisor is. The kernel sends this signal when the thread that
    # has forked ends; the supervisor has only one.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The command gets the default dispositions: Python ignores SIGPIPE, applications may more.
    for number in signal.valid_signals():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    os.dup2(stdout, 1)
    os.dup2(stdout, 2)
    if inherited >= 0:
        if inherited == _LISTEN_FD:
            os.set_inheritable(inherited, True)
        else:
            os.dup2(inherited, _LISTEN_FD)
        # Sockets of the application do not block under gevent, or with a default timeout.
        os.set_blocking(_LISTEN_FD, True)
        if "LISTEN_FDS" in os.environ:
            os.environ["LISTEN_PID"] = str(os.getpid())
    if not _is_inherited("LC_CTYPE"):
        os.environ.pop("LC_CTYPE", None)
    os.execvp(command[0], command)


def _is_inherited(name: str) -> bool:
    """Whether a variable is from the parent; Python sets LC_CTYPE without a locale (PEP 538)."""
    try:
        with open("/proc/self/environ", "rb") as file:
            return any(each.startswith(f"{name}=".encode()) for each in file.read().split(b"\0"))
    except OSError:
        return True


def children() -> list[int]:
    """The children of the supervisor: the command, adopted descendants, and zombies of both."""
    own = os.getpid()
    try:
        with open(f"/proc/self/task/{own}/children", encoding="utf-8") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return _children_by_stat(own)


def _children_by_stat(own: int) -> list[int]:
    """The same by /proc/PID/stat, where the kernel does not list children."""
    pids = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        try:
            with open(f"/proc/{int(name)}/stat", "rb") as file:
                # The second field is a name, which may hold anything, in parentheses.
                if int(file.read().rpartition(b")")[2].split()[1]) == own:
                    pids.append(int(name))
        except (OSError, ValueError):
            continue
    return pids
