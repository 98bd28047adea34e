"""The loop of the supervisor.

Messages to owners, one line each: ``P pid supervisor`` (of the command and of itself), ``E errno
path`` (the command cannot be run), ``O`` or ``o`` and a line of output (one owner is to log it, the
others are to remember it), ``L n`` (lines that were dropped for a slow owner), ``D`` (the stop
begins), ``X status n`` (exit status of the command, negative for a signal, and the number of
processes that it has left behind). Messages from owners, with the seconds between SIGTERM and
SIGKILL: ``S seconds`` to stop, ``Q seconds`` to stop after the last owner.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import time

from .command import become_supervisor, children, start
from .output import Output
from .owner import Owner

__all__ = ["Supervisor", "main"]

# Seconds between SIGTERM and SIGKILL after the end of the last owner.
_ORPHAN_GRACE = 0.4
# The same for descendants of a command that has ended by itself.
_LEFTOVER_GRACE = 2.0
# Seconds without a further accept(2) after one has failed.
_ACCEPT_PAUSE = 1.0


class Supervisor:
    """The command and its owners.

    :param number: descriptor of the connection of the first owner.
    :param control: descriptor of the socket that listens for further owners; -1 for none.
    """

    def __init__(self, number: int, control: int = -1) -> None:
        self._owners = [Owner(number)]
        self._control = control
        self._accept_after = 0.0
        self._child = 0
        self._status: int | None = None
        self._output = Output(-1)
        self._kill_at: float | None = None
        self._killing = False
        self._signalled: set[int] = set()

    def run(self, command: list[str], cwd: str, inherited: int, woken: int) -> None:
        """Start *command*, and return when it and its descendants have ended.

        :param cwd: its working directory; empty for that of the supervisor.
        :param inherited: descriptor of its listening socket; -1 for none.
        :param woken: descriptor that is readable after SIGCHLD.
        """
        try:
            self._child, output = start(command, cwd, inherited)
        except OSError as error:
            path = str(error.filename or "").replace("\n", "?")
            self._send(f"E {error.errno or errno.EIO} {path}".encode("utf-8", "replace"))
        else:
            self._output = Output(output)
            self._send(self._introduction())
        if inherited >= 0:
            os.close(inherited)
        try:
            while self._child and not self._is_over():
                self._turn(woken)
        except BaseException:
            os.killpg(self._child, signal.SIGKILL)
            raise
        self._send_rest()

    def _introduction(self) -> bytes:
        return b"P %d %d" % (self._child, os.getpid())

    def _turn(self, woken: int) -> None:
        for number in self._wait(woken):
            self._handle(number, woken)
        if self._output.number >= 0 and self._output.held_for() == 0.0:
            self._send_output(self._output.read())  # lines that were held back
        self._reap()
        for owner in list(self._owners):
            if not owner.flush():
                self._remove(owner)
        if self._kill_at is not None:
            self._signal_all()  # after D was sent: owners know why the command ends

    def _wait(self, woken: int) -> list[int]:
        """The descriptors that are ready, after waiting for one or for a time limit."""
        poll = select.poll()
        limits = []
        poll.register(woken, select.POLLIN)
        if self._output.number >= 0:
            paused = self._output.paused_for()
            if paused:
                limits.append(paused)
            else:
                poll.register(self._output.number, select.POLLIN)
            held = self._output.held_for()
            if held is not None:
                limits.append(held)
        if self._control >= 0:
            pause = self._accept_after - time.monotonic()
            if pause > 0:
                limits.append(pause)
            else:
                poll.register(self._control, select.POLLIN)
        for owner in self._owners:
            more = select.POLLOUT if owner.unsent else 0
            poll.register(owner.number, select.POLLIN | more)
        if self._kill_at is not None:
            # After SIGKILL, a look now and then finds processes that were forked in between.
            limits.append(0.05 if self._killing else self._kill_at - time.monotonic())
        limit = max(0.0, min(limits)) * 1000 + 1 if limits else None
        return [number for number, _ in poll.poll(limit)]

    def _handle(self, number: int, woken: int) -> None:
        if number == woken:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
        elif number == self._output.number:
            self._send_output(self._output.read())
        elif number == self._control:
            self._accept()
        else:
            for owner in self._owners:
                if owner.number == number:
                    self._receive(owner)
                    break

    # The command

    def _reap(self) -> None:
        """Record the end of the command, and wait for adopted processes (waitpid(2)).

        The command itself stays a zombie until the end of the supervisor, so that no other process
        gets its pid or that of its group.
        """
        if self._status is None:
            result = os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if result is not None:
                code = result.si_status
                self._status = code if result.si_code == os.CLD_EXITED else -code
                self._send_output(self._output.rest())
                left = sum(pid != self._child for pid in children())
                self._send(b"X %d %d" % (self._status, left))
                self._end(_LEFTOVER_GRACE)
        for pid in children():
            if pid != self._child:
                with contextlib.suppress(ChildProcessError):
                    if os.waitpid(pid, os.WNOHANG)[0]:
                        self._signalled.discard(pid)

    def _is_over(self) -> bool:
        return self._status is not None and children() in ([], [self._child])

    def _end(self, grace: float) -> None:
        """End all processes: SIGTERM now, SIGKILL after *grace* seconds."""
        kill_at = time.monotonic() + grace
        if self._kill_at is None or kill_at < self._kill_at:
            self._kill_at = kill_at

    def _signal_all(self) -> None:
        """Signal the process group of the command, and each adopted process."""
        assert self._kill_at is not None
        if not self._killing and time.monotonic() >= self._kill_at:
            self._killing = True
            self._signalled.clear()
        number = signal.SIGKILL if self._killing else signal.SIGTERM
        for pid in {self._child, *children()} - self._signalled:
            self._signalled.add(pid)
            # It may have another user (set-uid), or have ended.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if pid == self._child:
                    os.killpg(pid, number)
                elif self._killing or os.getpgid(pid) != self._child:
                    os.kill(pid, number)  # it is not in the group

    # Owners

    def _accept(self) -> None:
        import socket

        try:
            with socket.socket(fileno=os.dup(self._control)) as control:
                owner = Owner(control.accept()[0].detach())
        except OSError:  # most likely no descriptors are left; poll(2) would return at once
            self._accept_after = time.monotonic() + _ACCEPT_PAUSE
            return
        owner.send(self._introduction())
        if self._kill_at is not None:
            owner.send(b"D")
        self._owners.append(owner)

    def _receive(self, owner: Owner) -> None:
        lines = owner.receive()
        if lines is None:
            self._remove(owner)
            return
        for line in lines:
            if line[:2] == b"S ":
                self._send(b"D")
                self._end(float(line[2:]))
            elif line[:2] == b"Q ":
                owner.grace = float(line[2:])

    def _remove(self, owner: Owner) -> None:
        self._owners.remove(owner)
        os.close(owner.number)
        if not self._owners:
            self._end(_ORPHAN_GRACE if owner.grace is None else owner.grace)

    def _send(self, line: bytes) -> None:
        for owner in self._owners:
            owner.send(line)

    def _send_output(self, lines: list[bytes]) -> None:
        for number, owner in enumerate(self._owners):
            kind = b"o " if number else b"O "
            for line in lines:
                owner.send(kind + line, droppable=True)

    def _send_rest(self) -> None:
        """Wait for the command (waitpid(2)), and send what is unsent, for at most a second."""
        if self._child:
            os.waitpid(self._child, 0)
            self._send_output(self._output.rest())
        end = time.monotonic() + 1.0
        for owner in self._owners:
            while owner.flush() and owner.unsent and time.monotonic() < end:
                select.select([], [owner.number], [], 0.1)


def _lock_shared(folder: str) -> None:
    """Hold the lock for which systemd-tmpfiles(8) leaves a folder alone, however old it is."""
    with contextlib.suppress(OSError):
        fcntl.flock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH)


def main(arguments: list[str]) -> None:
    """Run the supervisor.

    :param arguments: descriptors of the connection, the control and the inherited socket, the
        folder to remove at the end, the working directory (empty for none), and the command.
    """
    number, control, inherited = map(int, arguments[:3])
    folder, cwd, *command = arguments[3:]
    become_supervisor({number, control, inherited})
    woken, wake = os.pipe()
    for each in (woken, wake):
        os.set_blocking(each, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    # It ends after the command; Ctrl-C in a terminal is for the application.
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(each, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    _lock_shared(folder)
    try:
        Supervisor(number, control).run(command, cwd, inherited, woken)
    finally:
        if folder:
            import shutil

            shutil.rmtree(folder, ignore_errors=True)
