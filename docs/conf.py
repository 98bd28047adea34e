"""How Sphinx builds these pages: ``sphinx-build -W -b html docs BUILD``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

# The package of this checkout, whatever else is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import wsgiproxy  # noqa: E402 (needs the path)
from wsgiproxy.settings.described import HEADING  # noqa: E402

project = "wsgiproxy"
version = release = wsgiproxy.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx_copybutton"]
exclude_patterns = ["examples"]
highlight_language = "text"

# A reference that leads nowhere is a warning, and -W makes an error of it.
nitpicky = True
nitpick_ignore_regex = [
    # Names of others: a build needs no network, and so has no inventory of them.
    ("py:.*", r"(http|socket|requests|urllib3)\..*"),
]

# The docstrings say in words what a parameter is; a signature with all types is hard to read.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autosummary_generate = False  # its tables alone; the pages are written by hand

# What stands before a command or an answer is not copied.
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"wsgiproxy {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_copyright = False


def public_name(app: Any, env: Any, node: Any, contnode: Any) -> Any:
    """A public name is in its home, too; the reference has it as ``wsgiproxy.Name`` alone."""
    home, _, name = node.get("reftarget", "").rpartition(".")
    if node.get("refdomain") != "py" or wsgiproxy._HOMES.get(name) != home:
        return None
    python = env.domains["py"]
    target = f"wsgiproxy.{name}"
    return python.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], target, node, contnode
    )


def without_options(
    app: Any, what: str, name: str, of: object, options: object, lines: list[str]
) -> None:
    """What ``help()`` lists is in tables here, to which the parameter ``options`` leads."""
    if HEADING in lines:
        del lines[lines.index(HEADING) :]


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", without_options)
    app.connect("missing-reference", public_name)
