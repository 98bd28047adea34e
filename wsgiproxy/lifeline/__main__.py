"""``python -I -S .../lifeline/__main__.py LIFELINE DOOR SOCKET FOLDER CWD COMMAND...``."""

import os
import sys

# After the standard library, and without site: it has to be there within milliseconds.
sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from wsgiproxy.lifeline.warden import main  # noqa: E402 (needs the path)

main(sys.argv[1:])
