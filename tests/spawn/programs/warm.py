"""Settings for gunicorn: what its workers import is imported before they are forked.

The application is still made by each of them, unless gunicorn loads it before (``--preload``).
"""

from __future__ import annotations

import wsgiproxy.spawn  # noqa: F401
