"""The supervisor: a process between an application and a command, which ends its descendants.

It is run as a script by a bare interpreter (``python -I -S .../supervisor/__main__.py``), has one
thread, and imports nothing of ``wsgiproxy`` but its own modules, by relative imports. Each process
that uses the command, an owner, has a connection to it: when the last one is closed, as it is when
an owner is killed, the supervisor ends the command. It ends itself after all their processes.
"""
