"""``python -m wsgiproxy`` is the command ``wsgiproxy``."""

from __future__ import annotations

from wsgiproxy.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
