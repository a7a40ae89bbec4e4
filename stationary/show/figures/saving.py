"""A figure written to a file, whole or not at all."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from stationary.show.figures.drawing import UNDATED, style
from stationary.show.files import FIGURES, probe, unwritable, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["content_of", "save"]


def content_of(figure: Figure, suffix: str) -> bytes:
    """A figure as the bytes of such a file: .png (200 dpi), .svg or .pdf."""
    import matplotlib

    content = BytesIO()
    with matplotlib.rc_context(style()):
        figure.savefig(content, format=suffix[1:], dpi=200, metadata=UNDATED[suffix])
    return content.getvalue()


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure to `path`, as its suffix says.

    Raises
    ------
    LandscapeError
        If the suffix is another one, or the file cannot be written; a file that was there
        before is then left as it was.
    """
    path = Path(path)
    probe(path, suffixes=FIGURES)
    try:
        write(path, content_of(figure, path.suffix.lower()))
    except OSError as error:
        raise unwritable(path, error) from error
