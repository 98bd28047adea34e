"""The loop of the process in between.

What it tells us, one line each: ``P pid warden`` (of the command and of itself), ``E errno path``
(the command cannot be run), ``O`` or ``o`` and a line of output (one listener is to log it, the
others are to remember it), ``L n`` (lines that a listener had no room for), ``D`` (it begins to
stop), ``X status n`` (of the command, negative for a signal, and the processes that it has left
behind). What we tell it, with the time between SIGTERM and SIGKILL: ``S seconds`` to stop,
``Q seconds`` to stop if nobody else listens.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import time

from .command import children, settle_in, start
from .listener import Listener
from .output import Output

__all__ = ["Supervisor", "main"]

# Seconds between SIGTERM and SIGKILL when nobody is there any more to wait for an answer.
_ORPHAN_GRACE = 0.4
# The same for what a command leaves behind when it ends by itself.
_LEFTOVER_GRACE = 2.0
# Seconds for which nobody is let in who could not be a moment ago.
_DOOR_REST = 1.0


class Supervisor:
    """The command, and those who want it to live.

    :param number: descriptor of our end of the first lifeline.
    :param door: descriptor of a listening socket for further ones; -1 for none.
    """

    def __init__(self, number: int, door: int = -1) -> None:
        self._listeners = [Listener(number)]
        self._door = door
        self._opened_at = 0.0
        self._child = 0
        self._status: int | None = None
        self._output = Output(-1)
        self._kill_at: float | None = None
        self._killing = False
        self._signalled: set[int] = set()

    def run(self, command: list[str], cwd: str, inherited: int, woken: int) -> None:
        """Start *command*, and return when nothing is left of it.

        :param cwd: where to run it; empty for here.
        :param inherited: descriptor of its listening socket; -1 for none.
        :param woken: descriptor that is readable after SIGCHLD.
        """
        try:
            self._child, heard = start(command, cwd, inherited)
        except OSError as error:
            what = str(error.filename or "").replace("\n", "?")
            self._tell(f"E {error.errno or errno.EIO} {what}".encode("utf-8", "replace"))
        else:
            self._output = Output(heard)
            self._tell(self._introduction())
        if inherited >= 0:
            os.close(inherited)
        try:
            while self._child and not self._is_over():
                self._turn(woken)
        except BaseException:
            os.killpg(self._child, signal.SIGKILL)
            raise
        self._last_words()

    def _introduction(self) -> bytes:
        return b"P %d %d" % (self._child, os.getpid())

    def _turn(self, woken: int) -> None:
        for number in self._wait(woken):
            self._attend(number, woken)
        if self._output.number >= 0 and self._output.held_for() == 0.0:
            self._tell_output(self._output.read())  # the flood is over
        self._reap()
        if self._kill_at is not None:
            self._signal_all()
        for listener in list(self._listeners):
            if not listener.flush():
                self._hang_up(listener)

    def _wait(self, woken: int) -> list[int]:
        """The descriptors that want attention."""
        poll = select.poll()
        limits = []
        poll.register(woken, select.POLLIN)
        if self._output.number >= 0:
            paused = self._output.is_paused()
            if paused:
                limits.append(paused)
            else:
                poll.register(self._output.number, select.POLLIN)
            held = self._output.held_for()
            if held is not None:
                limits.append(held)
        if self._door >= 0:
            rest = self._opened_at - time.monotonic()
            if rest > 0:
                limits.append(rest)
            else:
                poll.register(self._door, select.POLLIN)
        for listener in self._listeners:
            more = select.POLLOUT if listener.unsent else 0
            poll.register(listener.number, select.POLLIN | more)
        if self._kill_at is not None:
            # Once all has been killed, a look now and then finds what forked in between.
            limits.append(0.05 if self._killing else self._kill_at - time.monotonic())
        limit = max(0.0, min(limits)) * 1000 + 1 if limits else None
        return [number for number, _ in poll.poll(limit)]

    def _attend(self, number: int, woken: int) -> None:
        if number == woken:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
        elif number == self._output.number:
            self._tell_output(self._output.read())
        elif number == self._door:
            self._open_door()
        else:
            for listener in self._listeners:
                if listener.number == number:
                    self._listen_to(listener)
                    break

    # The command

    def _reap(self) -> None:
        """Take note of the command's end, and bury what was adopted.

        The command itself stays a zombie until the end: its number, and that of its group,
        cannot be given to anybody else meanwhile.
        """
        if self._status is None:
            found = os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is not None:
                code = found.si_status
                self._status = code if found.si_code == os.CLD_EXITED else -code
                self._tell_output(self._output.rest())
                left = sum(pid != self._child for pid in children())
                self._tell(b"X %d %d" % (self._status, left))
                self._end(_LEFTOVER_GRACE)
        for pid in children():
            if pid != self._child:
                with contextlib.suppress(ChildProcessError):
                    if os.waitpid(pid, os.WNOHANG)[0]:
                        self._signalled.discard(pid)

    def _is_over(self) -> bool:
        return self._status is not None and children() in ([], [self._child])

    def _end(self, grace: float) -> None:
        """Have all of it end: SIGTERM now, SIGKILL after *grace* seconds."""
        kill_at = time.monotonic() + grace
        if self._kill_at is None or kill_at < self._kill_at:
            self._kill_at = kill_at

    def _signal_all(self) -> None:
        """Signal the group of the command, and each that lost its parent and became ours."""
        assert self._kill_at is not None
        if not self._killing and time.monotonic() >= self._kill_at:
            self._killing = True
            self._signalled.clear()
        number = signal.SIGKILL if self._killing else signal.SIGTERM
        for pid in {self._child, *children()} - self._signalled:
            self._signalled.add(pid)
            # Not ours to signal (set-uid), or gone: there is nothing better to do.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if pid == self._child:
                    os.killpg(pid, number)
                elif self._killing or os.getpgid(pid) != self._child:
                    os.kill(pid, number)  # its group was not asked already

    # Those who listen

    def _open_door(self) -> None:
        import socket

        try:
            with socket.socket(fileno=os.dup(self._door)) as door:
                listener = Listener(door.accept()[0].detach())
        except OSError:  # no descriptors left, most likely; it would wake us all the time
            self._opened_at = time.monotonic() + _DOOR_REST
            return
        listener.tell(self._introduction())
        if self._kill_at is not None:
            listener.tell(b"D")
        self._listeners.append(listener)

    def _listen_to(self, listener: Listener) -> None:
        lines = listener.hear()
        if lines is None:
            self._hang_up(listener)
            return
        for line in lines:
            if line[:2] == b"S ":
                self._tell(b"D")
                self._end(float(line[2:]))
            elif line[:2] == b"Q ":
                listener.grace = float(line[2:])

    def _hang_up(self, listener: Listener) -> None:
        self._listeners.remove(listener)
        os.close(listener.number)
        if not self._listeners:
            self._end(_ORPHAN_GRACE if listener.grace is None else listener.grace)

    def _tell(self, line: bytes) -> None:
        for listener in self._listeners:
            listener.tell(line)

    def _tell_output(self, lines: list[bytes]) -> None:
        for number, listener in enumerate(self._listeners):
            kind = b"o " if number else b"O "
            for line in lines:
                listener.tell(kind + line, droppable=True)

    def _last_words(self) -> None:
        """Bury the command, and say what is unsaid to those who listen within a second."""
        if self._child:
            os.waitpid(self._child, 0)
            self._tell_output(self._output.rest())
        end = time.monotonic() + 1.0
        for listener in self._listeners:
            while listener.flush() and listener.unsent and time.monotonic() < end:
                select.select([], [listener.number], [], 0.1)


def _occupy(folder: str) -> None:
    """Hold the lock that systemd-tmpfiles(8) respects, however old the folder looks."""
    with contextlib.suppress(OSError):
        fcntl.flock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH)


def main(arguments: list[str]) -> None:
    """What the script does.

    :param arguments: descriptors of the lifeline, the door and the socket to hand over, the
        folder to remove at the end, the one to run in (empty for none), and the command.
    """
    number, door, inherited = map(int, arguments[:3])
    folder, cwd, *command = arguments[3:]
    settle_in({number, door, inherited})
    woken, wake = os.pipe()
    for each in (woken, wake):
        os.set_blocking(each, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    # We end when all is done; a terminal's Ctrl-C is for our parent.
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(each, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    _occupy(folder)
    try:
        Supervisor(number, door).run(command, cwd, inherited, woken)
    finally:
        if folder:
            import shutil

            shutil.rmtree(folder, ignore_errors=True)
