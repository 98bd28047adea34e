"""Hold a listening socket, and replace the proxy that serves it at each SIGHUP.

::

    python replace.py 8080 wsgiproxy serve :3000
"""

import signal
import socket
import subprocess
import sys

# LISTEN_PID has to be the number of the proxy itself, and signals are not blocked there.
TAKE = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_SETMASK, [])
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[2], sys.argv[2:])
"""


def start(listener: socket.socket, command: list[str]) -> subprocess.Popen[bytes] | None:
    """Start a proxy, and return when it accepts connections; None if it does not."""
    number = listener.fileno()
    words = [sys.executable, "-c", TAKE, str(number), *command]
    started = subprocess.Popen(words, pass_fds=[number], stdout=subprocess.PIPE)
    assert started.stdout is not None
    line = started.stdout.readline().decode()
    print(line or "it does not start", end="" if line else "\n", flush=True)
    return started if line else None


def main(port: int, command: list[str]) -> None:
    """Serve until SIGTERM."""
    signals = {signal.SIGHUP, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        proxy = start(listener, command)
        while proxy and signal.sigwait(signals) == signal.SIGHUP:
            if new := start(listener, command):
                end(proxy)
                proxy = new
        if proxy:
            end(proxy)


def end(proxy: subprocess.Popen[bytes]) -> None:
    """Have it finish its requests."""
    proxy.terminate()
    proxy.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
