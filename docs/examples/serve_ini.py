"""Serve an ini file of Paste Deploy: what ``pserve`` and ``paster serve`` do."""

import os
import sys

from paste.deploy import loadapp, loadserver

if __name__ == "__main__":
    address = f"config:{os.path.abspath(sys.argv[1])}"
    loadserver(address)(loadapp(address))
