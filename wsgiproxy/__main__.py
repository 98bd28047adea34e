"""``python -m wsgiproxy`` is the command ``wsgiproxy``."""
# PYTHON_ARGCOMPLETE_OK

from __future__ import annotations

import sys


def main() -> int:
    """Run the command; where it cannot be loaded, say what lies over it."""
    try:
        from wsgiproxy.cli import main as command
    except (AttributeError, ImportError, SyntaxError) as error:
        return _damaged(error)
    return command()


def _damaged(error: Exception) -> int:
    """WSGIProxy 0.2 has modules of our names, for Python 2: then no doctor can be loaded.

    :raises Exception: *error*, if nothing is wrong with the installation.
    """
    from wsgiproxy.doctor.installation import clash
    from wsgiproxy.sansio.diagnosis import Installation, diagnose
    from wsgiproxy.version import __version__

    sentences = tuple(clash())
    if not sentences:
        raise error
    findings = diagnose(Installation(__version__, sentences))
    lines = [each.sentence for each in findings] + [findings[0].cure]
    print(f"wsgiproxy: cannot be loaded ({error}).", *lines, sep="\n", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
