"""How Sphinx makes the site: `make docs`, into build/docs, without any network."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from docstrings import to_restructured_text
from reference_pages import DOCS, ROOT, write_pages

# The sources beside this folder, not those of some other installation.
sys.path.insert(0, str(ROOT))

project = "recon"
html_title = "recon"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
highlight_language = "text"
smartquotes_action = "D"  # dashes alone: quoted words stay as they are typed
html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

# Links to headings are written as on a forge: PAGE.md#the-heading.
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
autoclass_content = "both"
python_maximum_signature_line_length = 80
# Attributes of dataclasses are told once.
napoleon_use_ivar = True
napoleon_custom_sections = [("Results", "params_style")]

# Pages which are written elsewhere and shown here.
_DATA = re.compile(r"\]\((?:\.\./)?data/README\.md")


def _link_to_pages(app: Any, name: str, source: list[str]) -> None:
    source[0] = _DATA.sub("](data.md", source[0])


def _translate(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = to_restructured_text(lines)


def setup(app: Any) -> None:
    """Makes the pages of the reference, and translate docstrings before napoleon reads them."""
    write_pages(DOCS / "reference")
    app.connect("source-read", _link_to_pages)
    app.connect("autodoc-process-docstring", _translate, priority=400)
