"""The spawner: a backend that starts when somebody comes and ends when nobody is there."""

from wsgiproxy.spawn.application import SpawningApplication

__all__ = ["SpawningApplication"]
