"""Writes the table of header fields into docs/http.rst: ``python -m tests.support.fields``."""

from __future__ import annotations

from pathlib import Path

from wsgiproxy.sansio.fields.index import INDEX

__all__ = ["PATH", "current", "table"]

PATH = Path(__file__).parents[2] / "docs" / "http.rst"
_BEGIN, _END = ".. The table is made of sansio/fields/index.py.\n", ".. The table ends here.\n"


def table() -> str:
    """The rows in reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 30 45 25", ""]
    rows = [("Field", "What becomes of it", "Where it is decided")]
    for row in INDEX:
        names = ", ".join(f"``{name}``" for name in row.fields.split(", "))
        rows.append((names, row.rule, f"``sansio/{row.file.replace('.', '/')}.py``"))
    for first, *more in rows:
        lines += [f"   * - {first}", *(f"     - {each}" for each in more)]
    return "\n".join(lines) + "\n"


def current(text: str) -> tuple[str, str, str]:
    """What stands before the table, the table, and what stands behind it."""
    before, begin, rest = text.partition(_BEGIN)
    inside, end, after = rest.partition(_END)
    return before + begin, inside.strip("\n") + "\n", end + after


def main() -> None:
    """Write the table."""
    before, _, after = current(PATH.read_text())
    PATH.write_text(f"{before}\n{table()}\n{after}")


if __name__ == "__main__":
    main()
