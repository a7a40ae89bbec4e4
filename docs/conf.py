"""The site, from docstrings and the gallery: `python -m sphinx -W docs site` builds it."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

project = "stationary"
copyright = "the authors of stationary"
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
    "myst_parser",
]
exclude_patterns = ["gallery/*"]  # what is made of it is in `pages`
html_theme = "furo"
html_title = "stationary"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
default_role = "code"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 2
suppress_warnings = ["myst.xref_missing", "ref.footnote", "ref.python"]
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "inherited-members": False}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "pages",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": ("_repr_html_", "__repr__"),
    "ignore_repr_types": r"matplotlib\.",
    "abort_on_example_error": True,
    "show_signature": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "min_reported_time": 1000,
    "image_srcset": ["2x"],
}


def comments_of(cls: type) -> dict[str, str]:
    """What stands beside the fields of a dataclass, by name: here it is their documentation."""
    lines = textwrap.dedent(inspect.getsource(cls)).splitlines()
    (body,) = (n.body for n in ast.parse("\n".join(lines)).body if isinstance(n, ast.ClassDef))
    found = {}
    for node in body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        said = [lines[node.end_lineno - 1][node.end_col_offset :].partition("#")[2].strip()]
        for line in lines[node.end_lineno :]:  # it may go on below
            if not said[0] or not line.strip().startswith("#"):
                break
            said.append(line.strip("# "))
        found[node.target.id] = " ".join(said)
    return found


def as_text(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are text: |w| is a size and * a product, neither a substitution nor emphasis."""
    lines[:] = [line if "``" in line else re.sub(r"[*|]", r"\\\g<0>", line) for line in lines]


def with_fields(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Add the fields of a dataclass and their comments to its page."""
    if what != "class" or not dataclasses.is_dataclass(obj) or "Attributes" in lines:
        return
    said = comments_of(obj)
    fields = [f.name for f in dataclasses.fields(obj) if said.get(f.name)]
    if fields and "Parameters" not in lines:
        lines += ["", "Attributes", "----------"]
        lines += [line for f in fields for line in (f, f"    {said[f]}")]


def setup(app: Any) -> None:
    for priority, change in enumerate((with_fields, as_text)):  # before napoleon
        app.connect("autodoc-process-docstring", change, priority=priority)
