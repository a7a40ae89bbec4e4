"""A figure written to a file, whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stationary.errors import LandscapeError
from stationary.show.figures.drawing import STYLE, UNDATED

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
    suffix = path.suffix.lower()
    if suffix not in UNDATED:
        what = f"the suffix {path.suffix!r}" if suffix else "a name without a suffix"
        raise LandscapeError(f"{path}: {what} names no kind of figure. Use .png, .svg or .pdf.")
    if not path.parent.is_dir():
        raise LandscapeError(
            f"{path}: the folder {path.parent} does not exist. Make it, or choose another."
        )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file, matplotlib.rc_context(STYLE):
            figure.savefig(file, format=suffix[1:], dpi=200, metadata=UNDATED[suffix])
        os.replace(part, path)
    except OSError as error:
        raise LandscapeError(
            f"{path}: the figure cannot be written: {error.strerror or error}."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
