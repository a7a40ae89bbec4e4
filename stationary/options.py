"""The options that commands share, what they ask about, and numbers as they are typed.

What cannot be read is wrong usage; which values can be meant, the library says.
"""

from __future__ import annotations

import contextlib
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stationary.completing import parameters, words, written


def whole(value: Any) -> int:
    """A whole number, however it is typed: 20000, 20_000 or 2e4."""
    with contextlib.suppress(ValueError):
        return int(value)
    with contextlib.suppress(ValueError):
        if float(value).is_integer():
            return int(float(value))
    raise click.BadParameter(f"{value!r} is not a whole number.")


def number(value: Any) -> float:
    """A number as it is typed, as arithmetic too: 2*pi."""
    with contextlib.suppress(ValueError):
        found = float(value)
        if (found == 0 and re.search("[1-9]", str(value).lower().split("e")[0])) or (
            math.isinf(found) and "inf" not in str(value).lower()
        ):
            raise click.BadParameter(
                f"{value!r} is beyond what doubles hold, which is 5e-324 to 1.8e308 in size. "
                "Choose another unit, or write 0 or inf."
            )
        return found
    from stationary.errors import LandscapeError
    from stationary.sources.formulas import Formula

    with contextlib.suppress(LandscapeError, ArithmeticError, TypeError, ValueError):
        formula = Formula(str(value), "x", "")
        found = math.nan if formula.parameters else float(formula(math.nan))
        if not math.isnan(found):  # it is no formula of x
            return found
    raise click.BadParameter(f"{value!r} is not a number, such as 0.5, inf or 2*pi.")


def start_of(text: str) -> float | str:
    """Where a process starts: a number, as arithmetic too (1/2000); else what was typed.

    So is a number with more digits than a double has.
    """
    plain = re.fullmatch(r"(?=pi|[-+.\d(])[-+.\d*/() eEpi]*", text) and not Path(text).exists()
    if not plain or sum(map(str.isdigit, text)) > sys.float_info.dig:
        return text
    try:
        return number(text)
    except click.BadParameter:
        if re.search("[*/()p]", text):
            return text  # no arithmetic either
        raise


def temperatures(value: Any) -> float | tuple[float, ...]:
    """A number, or several as for the axis of a sweep."""
    with contextlib.suppress(click.BadParameter):
        return number(value)
    from stationary.errors import LandscapeError
    from stationary.sources.ranges import values_from

    try:
        return tuple(values_from(str(value), "these", positive=True).tolist())
    except LandscapeError as error:
        raise click.BadParameter(str(error)) from error


# -- options --------------------------------------------------------------------------------------

CONVENTIONS = ("ito", "stratonovich", "klimontovich")
ENDS = ("reflecting", "absorbing", "natural", "periodic")
LAWS = ("normal:", "uniform:")
SCHEDULES = ("cosine:", "linear:", "exponential:", "step:", "constant:", "table:")
ENDINGS = {"html": [".html"], "plot": [".png", ".svg", ".pdf"]}

Command = Callable[..., None]
Option = Callable[[Command], Command]

PATH = click.Path(path_type=Path)
RUN = "A FILE in Python is run: name only what you trust. Tables and formulas are not."


class Once(click.Command):
    """A command that refuses an option with one value that is given twice; the last would hold."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:  # completion
            _, _, order = self.make_parser(ctx).parse_args(args=list(args))
            for p in (p for p in order if isinstance(p, click.Option)):
                chooses = not p.multiple and (not p.is_flag or p.secondary_opts)
                if chooses and order.count(p) > 1:
                    names = "/".join(p.opts + p.secondary_opts)
                    raise click.UsageError(f"{names} is given more than once: give it once.", ctx)
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if any(p.name in FORMULA_NAMES for p in self.params):  # which stand in place of a file
            formatter.write_paragraph()
            formatter.write_text(RUN)
        super().format_epilog(ctx, formatter)


class Commands(click.Group):
    """A group of such."""

    command_class = Once


def option(spec: str, words: str, kind: Any = None, **more: Any) -> Option:
    """An option by its names and, in capitals, what it takes; a flag if it takes nothing."""
    names = [n for n in spec.split() if n != n.upper() or n.startswith("-")]
    takes = " ".join(spec.split()[len(names) :])
    if not takes and "/" not in spec:
        more["is_flag"] = True
    return click.option(*names, help=words, metavar=takes or None, type=kind, **more)


def _tell_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from stationary.files import own_version

        click.echo(f"stationary {own_version()}")
        ctx.exit()


EARLY = {"is_eager": True, "expose_value": False, "callback": _tell_version}
version_told = option("--version", "Print the version.", **EARLY)


def to_file(what: str, said: str) -> Option:
    """An option that names a file to write."""
    kind = click.Path(path_type=Path, readable=False)
    return option(f"--{what} FILE", said, kind, shell_complete=written(ENDINGS.get(what, [".csv"])))


def together(*options: Option) -> Option:
    """Several options as one decorator, in the order in which help lists them."""

    def of(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return of


FORMULAS = (
    option("--drift FORMULA", "A drift typed as a formula, in place of FILE."),
    option("--variance FORMULA", "Its variance; or --sigma."),
    option("--sigma FORMULA", "Its square root."),
    option("--potential FORMULA", "In place of both, with --temperature."),
    option("--losses FORMULA", "Losses of w, one for each datapoint, as in '(w-1)**2, (w+1)**2'."),
    option("--temperature NUMBER", "That of the potential, or of the FILE.", number),
)
FORMULA_NAMES = ("drift", "variance", "sigma", "potential", "temperature", "losses")
FILES = click.argument("paths", metavar="[FILE]...", nargs=-1, type=PATH)
SOURCE = together(FILES, *FORMULAS)
SOURCES = together(
    FILES,
    *FORMULAS[:-1],
    option("--temperature VALUES", "That of the potential, or several.", temperatures),
)
REPLACED = together(
    option(
        "--convention NAME", "ito, stratonovich or klimontovich.", shell_complete=words(CONVENTIONS)
    ),
    option("--domain LOW HIGH", "Two ends, such as 0 2*pi; inf and -inf work.", number, nargs=2),
    option(
        "--boundaries WORD",
        "What ends do: reflecting, absorbing, natural, periodic; or a word for each: A,B.",
        shell_complete=words(ENDS, several=True),
    ),
    option(
        "--initial START",
        "The start: a point, normal:MEAN,DEVIATION, uniform:A,B or a file of samples.",
        shell_complete=words(LAWS, files=True),
    ),
)
SETTINGS = option(
    "--set settings NAME=VALUE",
    "A parameter of the file; repeatable.",
    multiple=True,
    shell_complete=parameters,
)
OPTIMISER = together(
    option("--weight-decay L", "Adds L w to every gradient.", number),
    option("--label-noise S", "Deviation of the noise in the labels.", number),
    option("--clip C", "Clips a minibatch's gradient to +-C.", number),
    option("--momentum B", "That of SGD, as in 0.9.", number),
    option("--betas B1 B2", "Those of Adam, as in 0.9 0.999.", number, nargs=2),
    option(
        "--optimiser NAME",
        '"sgd", "sign" for signSGD, or "adam", "adamw", "rmsprop": approximately.',
        shell_complete=words(("sgd", "sign", "adam", "adamw", "rmsprop")),
    ),
)
SCHEDULE = option(
    "--schedule WORDS",
    "In place of the learning rate: cosine:0.1:0.001:20000, linear:..., exponential:..., "
    "step:0.1:0.5:5000:20000, constant:0.1:500, table:FILE; several with commas.",
    shell_complete=words(SCHEDULES, several=True),
)
PROCESS = together(
    SOURCE,
    option("--learning-rate -T T", "Replaces that of the file.", number),
    option("--batch-size -B B", "Replaces that of the file.", whole),
    option("--replacement/--no-replacement", "How batches are drawn.", default=None),
    OPTIMISER,
    SCHEDULE,
    REPLACED,
    SETTINGS,
)
DIGITS = option("--digits N", "Significant digits of every number; doubles if left out.", whole)
SAMPLE = option(
    "--sample", "The datapoints are a sample of many more: give standard errors.", default=None
)
MIN_BARRIER = option(
    "--min-barrier I",
    "Minima separated by less in the exponent are one basin; 1 if left out.",
    number,
)


def source_of(path: Path | None, given: dict[str, Any]) -> Any:
    """What is asked about: a file, standard input, or formulas, which are taken out of `given`."""
    typed = "drift" in given
    axis = given.get("temperature") if isinstance(given.get("temperature"), tuple) else None
    formulas = {k: v for k in FORMULA_NAMES if (v := given.pop(k, None)) is not None}
    if axis is not None:  # a change of what has one; a formula needs one to begin with
        given["temperature"] = axis
        formulas = {k: axis[0] if k == "temperature" else v for k, v in formulas.items()}
    if set(formulas) == {"temperature"}:  # that of the file
        if path is None:
            raise click.UsageError("--temperature is of a potential: give --potential or a FILE.")
        given.setdefault("temperature", formulas.pop("temperature"))
    if path is None and not formulas:
        way = ', or formulas as in --drift "x - x**3" --variance 0.1' if typed else ""
        raise click.UsageError(f"Give a FILE{way}.")
    if path is not None and formulas:
        raise click.UsageError(f"Give either a FILE or --{next(iter(formulas))}, not both.")
    if formulas:
        from stationary.sources.formulas import inline
        from stationary.sources.ranges import pairs_from

        return inline(formulas, pairs_from(list(given.get("settings", ()))))
    if str(path) == "-":
        from stationary.files import read_standard_input
        from stationary.sources.formulas import Inline

        if sys.stdin is None:
            raise click.UsageError("Standard input is closed: name a file.")
        try:
            return Inline("standard input", read_standard_input())
        except OSError as error:
            raise click.UsageError(f"Standard input: {error}. Name a file.") from None
        except UnicodeError:
            raise click.UsageError(
                "Standard input is no text: give an NPZ or Parquet file by its name."
            ) from None
    return path


def changes_from(settings: tuple[str, ...] = (), **given: Any) -> dict[str, Any]:
    """What replaces values of a file: the options that were given, and its parameters."""
    changes = {k: v for k, v in given.items() if v is not None}
    if "initial" in changes:
        changes["initial"] = start_of(changes["initial"])
    if "," in changes.get("boundaries", ""):
        changes["boundaries"] = tuple(w.strip() for w in changes["boundaries"].split(","))
    if settings:
        from stationary.sources.ranges import parameters_from

        changes["parameters"] = parameters_from(list(settings))
    return changes
