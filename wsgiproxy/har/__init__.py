"""HTTP archives (HAR 1.2): recorded, written, read, and served again as an upstream."""

from wsgiproxy.har.application import HarApplication, read_har, write_har
from wsgiproxy.har.recorder import HarRecorder, NotRecordable

__all__ = ["HarApplication", "HarRecorder", "NotRecordable", "read_har", "write_har"]
