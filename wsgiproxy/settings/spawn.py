"""The options of the spawner, one row each."""

from __future__ import annotations

from dataclasses import replace

from wsgiproxy.settings.convert import (
    boolean,
    command,
    count,
    directory,
    leeway,
    port_to_take,
    probe,
    seconds,
    share,
    variable_names,
    variables,
    words,
)
from wsgiproxy.settings.rows import APP, BOOLEAN, COUNT, LEEWAY, SECONDS, SIGNING, TRANSPORT
from wsgiproxy.settings.setting import Choice, Setting

__all__ = ["SPAWN", "SPAWNED_APP", "SPAWNED_SIGNING", "SPAWNED_TRANSPORT"]

#: Of the spawner: its process has no other name than the one that the client has asked for.
SPAWNED_APP = tuple(
    replace(row, default=True) if row.name == "preserve_host" else row for row in APP
)

#: Of the spawner, which signs with a secret of its own if none is given.
SPAWNED_SIGNING = tuple(
    replace(row, needs=("secret_file", "sign")) if row.needs == ("secret_file",) else row
    for row in SIGNING
)

_LOCAL = (
    "connect_timeout",
    "head_timeout",
    "idle_timeout",
    "keep_alive",
    "max_idle",
    "max_head",
)
#: Rows of :data:`TRANSPORT` that mean something on the way to a process of this machine.
SPAWNED_TRANSPORT = tuple(row for row in TRANSPORT if row.name in _LOCAL)

#: Of the spawner alone; those above, which others have too, come beside them.
SPAWN = (
    Setting("start_script", command, "", "a command", "what to run, in the foreground"),
    Setting("cwd", directory, None, "a directory", "its working directory"),
    Setting(
        "script_env",
        variables,
        {},
        "variables such as NAME=value",
        "environment variables to set for it",
    ),
    Setting(
        "spawned_port",
        port_to_take,
        None,
        "a port number",
        "the port to give it; any free one if not given",
    ),
    Setting(
        "idle_shutdown", seconds, None, SECONDS, "end it after so many seconds without a request"
    ),
    Setting(
        "idle_ignore",
        words,
        (),
        "paths such as /health or /api/*",
        "paths whose requests neither start it nor keep it running",
        metavar="PATHS",
    ),
    Setting(
        "socket",
        Choice(("inherit", "unix", "port")),
        None,
        "inherit, unix or port",
        "how it gets its socket; as its placeholders say, if not given",
    ),
    Setting(
        "ready",
        probe,
        None,
        "a path such as /health, or a function",
        "what has to answer before requests are sent",
    ),
    Setting("start_timeout", seconds, 30.0, SECONDS, "seconds that a start may take"),
    Setting("stop_timeout", leeway, 10.0, LEEWAY, "seconds between SIGTERM and SIGKILL"),
    Setting(
        "inherit_env",
        variable_names,
        (),
        "names of variables, or true for all",
        "further environment variables to pass on",
    ),
    Setting("max_waiting", count, 500, COUNT, "requests that may wait for a start"),
    Setting(
        "max_wait",
        seconds,
        None,
        SECONDS,
        "seconds that one of them may wait; 5 more than start_timeout, if not given",
    ),
    Setting(
        "waiting_page",
        leeway,
        2.0,
        LEEWAY,
        "seconds after which a browser gets a page to wait with",
    ),
    Setting(
        "share",
        share,
        None,
        "true, false or the path of a folder",
        "one process for all workers of a server",
    ),
    Setting("debug", boolean, False, BOOLEAN, "show the last lines of output to clients"),
    Setting("sign", boolean, True, BOOLEAN, "sign requests, for WSGIProxyMiddleware.from_env"),
    Setting(
        "strip_script_name", boolean, False, BOOLEAN, "leave the mount out of the path that is sent"
    ),
)
