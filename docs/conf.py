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

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx_gallery.scrapers import figure_rst

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

project = "stationary"
copyright = "the authors of stationary"
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "myst_parser",
]
exclude_patterns = ["gallery/*"]  # what is made of it is in `pages`
templates_path = ["templates"]
html_math_renderer = "mathml"
html_theme = "furo"
html_title = "stationary"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
default_role = "code"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 2
suppress_warnings = ["myst.xref_missing", "ref.footnote", "ref.python", "config.cache"]
autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False


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
    fields = [f.name for f in dataclasses.fields(obj) if f.name in said]
    if fields and "Parameters" not in lines:
        lines += ["", "Attributes", "----------"]
        lines += [line for f in fields for line in (f, f"    {said[f]}")]


def drawn(block: Any, variables: dict[str, Any], settings: dict[str, Any]) -> str:
    """The picture that a block calls `figure`, whoever drew it."""
    found = variables["example_globals"].pop("figure", None)
    if found is None:
        return ""
    found = getattr(found, "figure", found)  # of axes
    path = next(variables["image_path_iterator"])
    found.savefig(path, dpi=160, bbox_inches="tight")
    return str(figure_rst([path], settings["src_dir"]))


def mathml(block: bool) -> Any:
    """Formulas that browsers draw by themselves, without a network."""

    def visit(writer: Any, node: Any) -> None:
        text = tex2mathml(node.astext(), as_block=block)
        writer.body.append(f'<div class="math">{text}</div>' if block else text)
        raise nodes.SkipNode

    return visit, None


sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "pages",
    "within_subsection_order": "FileNameSortKey",
    "capture_repr": ("_repr_html_", "__repr__"),
    "ignore_repr_types": r"matplotlib\.",
    "image_scrapers": (drawn,),
    "abort_on_example_error": True,
    "show_signature": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "min_reported_time": 1000,
}


def setup(app: Any) -> None:
    app.add_html_math_renderer("mathml", mathml(block=False), mathml(block=True))
    for priority, change in enumerate((with_fields, as_text)):  # before napoleon
        app.connect("autodoc-process-docstring", change, priority=priority)
