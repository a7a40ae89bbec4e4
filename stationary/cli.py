"""The command line: parse, call, print. No mathematics, and nothing heavy imported before use."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from stationary.options import (
    AsJson,
    BatchSize,
    Conventions,
    Domain,
    LearningRate,
    Plot,
    Replacement,
    Settings,
    Source,
    Start,
    changes_from,
    check_figure,
    check_output,
    write_whole,
)

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Where does a noisy process end up? Solved, not simulated.",
)

FAILED, USAGE, NOT_CONVERGED, INTERRUPTED = 1, 2, 3, 130


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"stationary {version('stationary')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Where does a noisy process end up? Solved, not simulated."""


@app.command()
def analyze(
    path: Source,
    learning_rate: LearningRate = None,
    batch_size: BatchSize = None,
    replacement: Replacement = None,
    convention: Conventions = None,
    domain: Domain = None,
    initial: Start = None,
    regularise: Annotated[
        float | None,
        typer.Option(metavar="EPS", help="An even noise to add: a + EPS in place of a."),
    ] = None,
    digits: Annotated[
        int | None, typer.Option(help="Significant digits of every number; doubles if left out.")
    ] = None,
    settings: Settings = None,
    as_json: AsJson = False,
    csv: Annotated[
        Path | None, typer.Option(help="Write the density as a table to this file.")
    ] = None,
    plot: Plot = None,
    log: Annotated[bool, typer.Option("--log", help="Logarithmic density in the figure.")] = False,
) -> None:
    """Say where PATH ends up: its end state, its minima and how they share it."""
    from stationary.analysis import analyze as run
    from stationary.errors import Status

    changes = changes_from(
        settings,
        learning_rate=learning_rate,
        batch_size=batch_size,
        replacement=replacement,
        convention=convention,
        domain=domain,
        initial=initial,
        regularise=regularise,
        digits=digits,
    )
    # What a landscape file writes goes to standard error, so that ours stays readable.
    with contextlib.redirect_stdout(sys.stderr):
        check_output(csv)
        check_figure(plot)
        analysis = run(path, **changes)
        report = analysis.to_json() if as_json else analysis.summary()
        density = bool(analysis.end_state.components) and analysis.end_state.kind != "classes"
        if csv is not None and density:
            write_whole(csv, analysis.to_csv())
        if plot is not None:
            analysis.plot(plot, log=log)
    typer.echo(report)
    if csv is not None and not density:
        typer.echo(f"stationary: {csv} was not written: there is no density.", err=True)
    if analysis.end_state.status is Status.PANEL_LIMIT:
        raise typer.Exit(NOT_CONVERGED)


@app.command()
def bias(
    path: Source,
    minimum: Annotated[
        int | None,
        typer.Option(metavar="I", help="The minimum to change, left to right from 0."),
    ] = None,
    dilate: Annotated[
        str | None,
        typer.Option(
            metavar="FACTORS",
            help="Stretch it by these: 1:4:13 (from:to:count), 1:100:9:log, or 1,2,4.",
        ),
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(metavar="FACTORS", help="Multiply its variance by these, written alike."),
    ] = None,
    learning_rate: LearningRate = None,
    batch_size: BatchSize = None,
    replacement: Replacement = None,
    convention: Conventions = None,
    domain: Domain = None,
    initial: Start = None,
    settings: Settings = None,
    as_json: AsJson = False,
    csv: Annotated[Path | None, typer.Option(help="Write the table to this file.")] = None,
    plot: Plot = None,
) -> None:
    """Say how much more each minimum of PATH holds than the others, and why; or what if."""
    from stationary.bias import width_bias
    from stationary.ranges import values_from

    changes = changes_from(
        settings,
        learning_rate=learning_rate,
        batch_size=batch_size,
        replacement=replacement,
        convention=convention,
        domain=domain,
        initial=initial,
    )

    def factors(text: str | None, option: str, example: str) -> Any:
        return None if text is None else values_from(text, option, example=example, positive=True)

    with contextlib.redirect_stdout(sys.stderr):
        check_output(csv)
        check_figure(plot)
        found = width_bias(
            path,
            minimum=minimum,
            dilate=factors(dilate, "--dilate", "1:4:13"),
            noise=factors(noise, "--noise", "0.5:2:7:log"),
            **changes,
        )
        report = found.to_json() if as_json else found.summary()
        if csv is not None:
            write_whole(csv, found.to_csv())
        if plot is not None:
            found.plot(plot)
    typer.echo(report)


@app.command()
def regularise(
    path: Source,
    eps: Annotated[
        str | None,
        typer.Option(
            metavar="FROM:TO:COUNT",
            help="What to add to the variance, as in 1e-1:1e-8:8; by default by decades.",
            show_default=False,
        ),
    ] = None,
    initial: Start = None,
    settings: Settings = None,
    as_json: AsJson = False,
    plot: Plot = None,
) -> None:
    """Add ever less noise to PATH, and compare the limit with the exact end state."""
    import json

    from stationary.loading import load
    from stationary.regularise import epsilons_from, regularisation_path

    changes = changes_from(settings, initial=initial)
    with contextlib.redirect_stdout(sys.stderr):
        check_figure(plot)
        epsilons = None if eps is None else epsilons_from(eps)
        found = regularisation_path(load(path, **changes), epsilons)
        report = json.dumps(found.to_dict(), indent=2) if as_json else found.summary()
        if plot is not None:
            found.plot(plot)
    typer.echo(report)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 an error of ours, 2 wrong usage, 3 not converged."""
    from stationary.errors import StationaryError

    try:
        code: Any = app(arguments, standalone_mode=False)
    except StationaryError as error:
        print(f"stationary: {error}", file=sys.stderr)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        print("stationary: stopped.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has had enough.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        sys.exit(0)
    except OSError as error:
        print(f"stationary: the output could not be written: {error}", file=sys.stderr)
        sys.exit(FAILED)
    except Exception as error:
        if type(error).__name__ == "Abort":  # how the option parser hands on Ctrl-C
            print("stationary: stopped.", file=sys.stderr)
            sys.exit(INTERRUPTED)
        code = _usage(error)
    if code == INTERRUPTED:  # how newer option parsers hand on Ctrl-C
        print("stationary: stopped.", file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: Exception) -> int:
    """Print what typer found wrong with the arguments; anything else is a defect of ours."""
    show = getattr(error, "show", None)
    if show is None:
        raise error
    show()
    return int(getattr(error, "exit_code", USAGE))
