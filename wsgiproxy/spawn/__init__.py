"""The spawner: a backend process, started by a request and ended without requests."""

from wsgiproxy.spawn.application import SpawningApplication

__all__ = ["SpawningApplication"]
