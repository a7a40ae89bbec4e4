"""A figure written to a file, whole or not at all."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from stationary.show.figures.drawing import STYLE, UNDATED
from stationary.show.files import FIGURES, probe, unwritable, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["save"]


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure to `path`, as its suffix says: .png (200 dpi), .svg or .pdf.

    Raises
    ------
    LandscapeError
        If the suffix is another one, or the file cannot be written; a file that was there
        before is then left as it was.
    """
    import matplotlib

    path = Path(path)
    probe(path, suffixes=FIGURES)
    suffix, content = path.suffix.lower(), BytesIO()
    try:
        with matplotlib.rc_context(STYLE):
            figure.savefig(content, format=suffix[1:], dpi=200, metadata=UNDATED[suffix])
    except OSError as error:
        raise unwritable(path, error) from error
    write(path, content.getvalue())
