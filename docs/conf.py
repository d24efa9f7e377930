"""Sphinx: pages in Markdown, every warning an error."""

from __future__ import annotations

import sys
from pathlib import Path

from pygments.lexers.special import TextLexer

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from openqueue import __version__

project = "OpenQueue for Django"
author = "The OpenQueue contributors"
copyright = "2026, The OpenQueue contributors"
version = release = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "OpenQueue for Django"


def setup(app):
    # Hosts of Markdown draw these blocks; here their text is shown, beside the table that says the same.
    app.add_lexer("mermaid", TextLexer)
