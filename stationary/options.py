"""What the commands share: their options, and what becomes of an answer."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

__all__ = [
    "DIGITS",
    "MIN_BARRIER",
    "PROCESS",
    "REPLACED",
    "SETTINGS",
    "SOURCE",
    "WHOLE",
    "Output",
    "at_least",
    "changes_from",
    "output",
    "together",
]

FIGURES = (".png", ".svg", ".pdf")

Command = Callable[..., None]
Option = Callable[[Command], Command]


def at_least(least: float) -> Callable[[Any], int]:
    """What reads a whole number, however it is typed: 20000, 20_000 or 2e4."""

    def whole(value: Any) -> int:
        number = _whole(value)
        if number is None:
            raise click.BadParameter(f"{value!r} is not a whole number.")
        if number < least:
            raise click.BadParameter(f"{value} is below {least}.")
        return number

    return whole


def _whole(value: Any) -> int | None:
    with contextlib.suppress(ValueError):
        return int(value)
    with contextlib.suppress(ValueError):
        return int(float(value)) if float(value).is_integer() else None
    return None


def together(*options: Option) -> Option:
    """Several options as one decorator, in the order in which help lists them."""

    def of(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return of


WHOLE = at_least(-math.inf)  # what is wrong with its value, the library says

SOURCE = click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
REPLACED = together(
    click.option("--convention", metavar="NAME", help="ito, stratonovich or klimontovich."),
    click.option(
        "--domain", type=float, nargs=2, metavar="LOW HIGH", help="Two ends; inf and -inf work."
    ),
    click.option(
        "--initial",
        metavar="START",
        help="The start: a point, normal:MEAN,DEVIATION, uniform:A,B or a file of samples.",
    ),
)
SETTINGS = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the file; repeatable.",
)
PROCESS = together(
    SOURCE,
    click.option(
        "--learning-rate", "-T", type=float, metavar="T", help="Replaces that of the file."
    ),
    click.option("--batch-size", "-B", type=WHOLE, metavar="B", help="Replaces that of the file."),
    click.option("--replacement/--no-replacement", default=None, help="How batches are drawn."),
    REPLACED,
    SETTINGS,
)
DIGITS = click.option(
    "--digits",
    type=WHOLE,
    metavar="N",
    help="Significant digits of every number; doubles if left out.",
)
MIN_BARRIER = click.option(
    "--min-barrier",
    type=float,
    metavar="I",
    help="Minima separated by less in the exponent are one basin; 1 if left out.",
)


def changes_from(settings: tuple[str, ...] = (), **given: Any) -> dict[str, Any]:
    """What replaces values of a file: the options that were given, and its parameters."""
    changes = {k: v for k, v in given.items() if v is not None}
    if settings:
        from stationary.sources.parameters import parameters_from

        changes["parameters"] = parameters_from(list(settings))
    return changes


@dataclass(frozen=True)
class Output:
    """Where an answer goes: to the terminal, as text or JSON, and to files."""

    as_json: bool
    plot: Path | None
    csv: Path | None

    def answer(
        self,
        find: Callable[[], Any],
        *,
        has_table: Callable[[Any], bool] = lambda found: True,
        **drawing: Any,
    ) -> Any:
        """Find the answer, write the files that were asked for, and print it.

        What a landscape file writes goes to standard error, so that ours stays readable.
        """
        with contextlib.redirect_stdout(sys.stderr):
            check_output(self.csv)
            check_output(self.plot, FIGURES)
            found = find()
            report = found.to_json() if self.as_json else found.summary()
            tabled = self.csv is None or has_table(found)
            if self.csv is not None and tabled:
                write_whole(self.csv, found.to_csv())
            if self.plot is not None:
                found.plot(self.plot, **drawing)
        click.echo(report)
        if not tabled:
            click.echo(f"stationary: {self.csv} was not written: there is no density.", err=True)
        return found


def output(*, csv: str = "") -> Option:
    """The options of an `Output`, handed on as `to`; `csv` says what a table holds."""
    path = click.Path(path_type=Path)
    options = [click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")]
    if csv:
        options.append(click.option("--csv", type=path, metavar="FILE", help=csv))
    figure = "Draw the figure to this .png, .svg or .pdf file."
    options.append(click.option("--plot", type=path, metavar="FILE", help=figure))

    def of(command: Command) -> Command:
        @functools.wraps(command)
        def run(as_json: bool, plot: Path | None, csv: Path | None = None, **given: Any) -> None:
            command(to=Output(as_json, plot, csv), **given)

        return together(*options)(run)

    return of


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
