"""Processes of ASGI applications, and the proof that nothing of a test is left behind."""

from tests.spawn.conftest import ended, folder, gate, mark, starts, temporary

__all__ = ["ended", "folder", "gate", "mark", "starts", "temporary"]
