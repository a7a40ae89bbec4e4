"""What the commands share: their options, and files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "AsJson",
    "BatchSize",
    "Conventions",
    "Domain",
    "LearningRate",
    "Plot",
    "Replacement",
    "Settings",
    "Source",
    "Start",
    "changes_from",
    "check_figure",
    "check_output",
    "write_whole",
]

FIGURES = (".png", ".svg", ".pdf")

Source = Annotated[Path, typer.Argument(help="Landscape file.", show_default=False)]
LearningRate = Annotated[
    float | None, typer.Option("--learning-rate", "-T", help="Replaces that of the file.")
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", "-B", help="Replaces that of the file.")
]
Replacement = Annotated[
    bool | None, typer.Option("--replacement/--no-replacement", help="How batches are drawn.")
]
Conventions = Annotated[
    str | None, typer.Option(help="ito, stratonovich or klimontovich.", show_default=False)
]
Domain = Annotated[tuple[float, float] | None, typer.Option(help="Two ends; inf and -inf work.")]
Start = Annotated[
    str | None,
    typer.Option(
        help="The start: a point, normal:MEAN,DEVIATION, uniform:A,B or a file of samples.",
        show_default=False,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the file; repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Plot = Annotated[Path | None, typer.Option(help="Draw the figure to this .png, .svg or .pdf file.")]


def changes_from(settings: list[str] | None, **given: Any) -> dict[str, Any]:
    """What replaces values of a file: the options that were given, and its parameters."""
    changes = {k: v for k, v in given.items() if v is not None}
    if settings:
        from stationary.sources.parameters import parameters_from

        changes["parameters"] = parameters_from(settings)
    return changes


def check_figure(path: Path | None) -> None:
    """Refuse a figure that cannot be written before anything is computed for it."""
    if path is not None:
        check_output(path, FIGURES)


def check_output(path: Path | None, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse a file that cannot be written before anything is computed for it."""
    if path is None:
        return
    from stationary.errors import LandscapeError

    if suffixes and path.suffix.lower() not in suffixes:
        raise LandscapeError(
            f"{path}: a figure is written as one of {', '.join(suffixes)}, not as "
            f"{path.suffix or 'a file without a suffix'}."
        )
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"lies in {path.parent}, which is no folder"
        raise LandscapeError(f"{path} {what}. Name a file in a folder that exists.")


def write_whole(path: Path, content: str) -> None:
    """Write a text file so that it is there in full or, if anything fails, as it was before."""
    from stationary.errors import LandscapeError

    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(content)
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(name, 0o666 & ~mask)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise
    except OSError as error:
        raise LandscapeError(
            f"{path}: cannot be written ({error.strerror}). Name a file in a folder that exists."
        ) from None
