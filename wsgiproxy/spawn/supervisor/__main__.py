"""``python -I -S .../supervisor/__main__.py CONNECTION CONTROL SOCKET FOLDER CWD COMMAND...``."""

import importlib
import os
import sys

# After the standard library, without site, and as a package of its own: it has to start within
# milliseconds, and the packages above it import everything.
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

importlib.import_module("supervisor.loop").main(sys.argv[1:])
