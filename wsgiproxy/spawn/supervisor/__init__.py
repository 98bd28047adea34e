"""The process between us and a command: it ends all that the command has started.

It is run as a script by a bare interpreter (``python -I -S .../supervisor/__main__.py``), has one
thread, and imports nothing else of ours, itself by relative imports. Its lifeline is a socket to
us: when the last other end
is closed, in whatever way we died, the command and everything below it ends, too. It refuses to
end itself before nothing is left.
"""
