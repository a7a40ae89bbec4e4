"""What the commands share: their options, and what becomes of an answer."""

from __future__ import annotations

import contextlib
import csv
import functools
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

__all__ = [
    "DIGITS",
    "MIN_BARRIER",
    "OPTIMISER",
    "PROCESS",
    "REPLACED",
    "SETTINGS",
    "SOURCE",
    "WHOLE",
    "Output",
    "at_least",
    "changes_from",
    "output",
    "table_in",
    "together",
]

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
OPTIMISER = together(
    click.option("--weight-decay", type=float, metavar="L", help="Adds L w to every gradient."),
    click.option(
        "--label-noise", type=float, metavar="S", help="Deviation of the noise in the labels."
    ),
    click.option("--clip", type=float, metavar="C", help="Clips a minibatch's gradient to +-C."),
    click.option("--momentum", type=float, metavar="B", help="That of SGD, as in 0.9."),
    click.option("--optimiser", metavar="NAME", help='"sgd", or "sign" for signSGD.'),
)
PROCESS = together(
    SOURCE,
    click.option(
        "--learning-rate", "-T", type=float, metavar="T", help="Replaces that of the file."
    ),
    click.option("--batch-size", "-B", type=WHOLE, metavar="B", help="Replaces that of the file."),
    click.option("--replacement/--no-replacement", default=None, help="How batches are drawn."),
    OPTIMISER,
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


def table_in(path: Path | None) -> dict[str, list[str]] | None:
    """The columns of a CSV file, as text; None if there is no such file."""
    from stationary.errors import LandscapeError

    if path is None or not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
        columns = list(map(list, zip(*rows, strict=True))) or [[] for _ in header]
        return dict(zip(header, columns, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise LandscapeError(f"{path}: this is no table to go on from: {error}.") from error


@dataclass(frozen=True)
class Output:
    """Where an answer goes: to the terminal, as text or JSON, and to files."""

    as_json: bool
    plot: Path | None
    csv: Path | None
    reads: tuple[Path, ...] = ()  # files that are read, and never written over

    def answer(
        self,
        find: Callable[[], Any],
        *,
        has_table: Callable[[Any], bool] = lambda found: True,
        **drawing: Any,
    ) -> Any:
        """Find the answer, print it, and write the files that were asked for.

        Files are probed before anything is computed, and the answer is printed whatever becomes of
        them. What a landscape file writes goes to standard error, so that ours stays readable.
        """
        from stationary.errors import LandscapeError
        from stationary.show.files import FIGURES, probe, write

        quiet = contextlib.redirect_stdout(sys.stderr)
        with quiet:
            if self.csv is not None:
                probe(self.csv, spared=self.reads)
            if self.plot is not None:
                spared = self.reads if self.csv is None else (*self.reads, self.csv)
                probe(self.plot, suffixes=FIGURES, spared=spared)
            found = find()
            report = found.to_json() if self.as_json else found.summary()
        wrong: list[LandscapeError] = []
        tabled = self.csv is not None and has_table(found)
        try:
            if str(self.csv) != "-":  # then it has standard output for itself
                click.echo(report)
        finally:
            try:
                if self.csv is not None and tabled:
                    with quiet:
                        content = found.to_csv()
                    write(self.csv, content)
            except LandscapeError as error:
                wrong.append(error)
            try:
                with quiet:
                    _ = self.plot is None or found.plot(self.plot, **drawing)
            except LandscapeError as error:
                wrong.append(error)
        if self.csv is not None and not tabled:
            words = f"{self.csv} was not written: there is nothing to list."
            click.echo(f"stationary: {words}", err=True)
        if wrong:
            raise LandscapeError("\n".join(map(str, wrong)))
        return found


def output(*, table: str = "") -> Option:
    """The options of an `Output`, handed on as `to`; `table` says what a table holds."""
    path = click.Path(path_type=Path)
    options = [click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")]
    if table:
        options.append(click.option("--csv", type=path, metavar="FILE", help=table))
    figure = "Draw the figure to this .png, .svg or .pdf file."
    options.append(click.option("--plot", type=path, metavar="FILE", help=figure))

    def of(command: Command) -> Command:
        @functools.wraps(command)
        def run(as_json: bool, plot: Path | None, csv: Path | None = None, **given: Any) -> None:
            named = [given["path"], *filter(None, [given.get("initial")])]
            command(to=Output(as_json, plot, csv, tuple(map(Path, named))), **given)

        return together(*options)(run)

    return of
