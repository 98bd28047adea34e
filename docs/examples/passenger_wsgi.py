"""A program of any language under Passenger, on shared hosting that has no nginx to configure.

Passenger looks for ``application`` in this file. The first request starts the program, and ten
minutes after the last one it is ended; ``share`` is for the several processes that Passenger
keeps. To see it without Passenger::

    COMMAND="python3 -m http.server --bind 127.0.0.1 {port}" \
        waitress-serve --listen 127.0.0.1:8080 passenger_wsgi:application
"""

import os

from wsgiproxy import SpawningApplication

COMMAND = os.environ.get("COMMAND", "./server --listen 127.0.0.1:{port}")

application = SpawningApplication(
    COMMAND,
    cwd=os.path.dirname(os.path.abspath(__file__)),
    idle_shutdown=600,
    share=True,
)
