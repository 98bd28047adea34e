"""The version of this package, in a file that WSGIProxy2 does not have.

pip lets it overwrite ``wsgiproxy/__init__.py``, and the doctor has to run even then.
"""

__version__ = "1.0.0"
