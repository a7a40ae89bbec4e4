"""The command line: parse, call, print. No mathematics, and nothing heavy imported before use."""

from __future__ import annotations

import contextlib
import gc
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
LITTER = (50_000, 20, 20)  # objects made between two searches for cycles: see `main`


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
    if analysis.end_state.status in (Status.PANEL_LIMIT, Status.NOT_DECIDED):
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
    from stationary.sources.ranges import values_from

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
def check(
    path: Source,
    learning_rate: LearningRate = None,
    batch_size: BatchSize = None,
    replacement: Replacement = None,
    convention: Conventions = None,
    domain: Domain = None,
    initial: Start = None,
    settings: Settings = None,
    walkers: Annotated[int, typer.Option(min=2, help="Walkers of the simulation.")] = 1000,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps of each, after burn-in; by default 20,000, fewer with many datapoints.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulation.")] = 0,
    cells: Annotated[int, typer.Option(help="Of the exact chain.")] = 2000,
    simulation: Annotated[
        bool, typer.Option("--simulation/--no-simulation", help="Whether walkers are sent out.")
    ] = True,
    as_json: AsJson = False,
    plot: Plot = None,
) -> None:
    """Hold the end state of PATH against SGD with its finite step."""
    from stationary.checking.check import check as run

    changes = changes_from(
        settings,
        learning_rate=learning_rate,
        batch_size=batch_size,
        replacement=replacement,
        convention=convention,
        domain=domain,
        initial=initial,
    )
    with contextlib.redirect_stdout(sys.stderr):
        check_figure(plot)
        found = run(
            path,
            walkers=walkers,
            steps=steps,
            seed=seed,
            cells=cells,
            simulation=simulation,
            progress=True,
            **changes,
        )
        report = found.to_json() if as_json else found.summary()
        if plot is not None:
            found.plot(plot)
    typer.echo(report)


@app.command()
def evolve(
    path: Source,
    until: Annotated[
        float, typer.Option("--until", metavar="T", help="The last time.", show_default=False)
    ],
    every: Annotated[
        float | None,
        typer.Option("--every", metavar="DT", help="Between times; by default a twentieth of T."),
    ] = None,
    initial: Start = None,
    learning_rate: LearningRate = None,
    batch_size: BatchSize = None,
    replacement: Replacement = None,
    convention: Conventions = None,
    domain: Domain = None,
    settings: Settings = None,
    cells: Annotated[
        int | None, typer.Option(help="How many cells; by default as many as it takes.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="The error of a probability that is aimed at.")
    ] = None,
    as_json: AsJson = False,
    csv: Annotated[Path | None, typer.Option(help="Write the density over time.")] = None,
    plot: Plot = None,
) -> None:
    """Follow the probability of PATH over time, from its start to T."""
    from stationary.evolution.evolve import evolve as run
    from stationary.evolution.request import times_until
    from stationary.sources.loading import load

    changes = changes_from(
        settings,
        learning_rate=learning_rate,
        batch_size=batch_size,
        replacement=replacement,
        convention=convention,
        domain=domain,
        initial=initial,
    )
    with contextlib.redirect_stdout(sys.stderr):
        check_output(csv)
        check_figure(plot)
        how = {} if tolerance is None else {"tolerance": tolerance}
        times = times_until(until, every)
        found = run(load(path, **changes), times=times, cells=cells, **how)
        report = found.to_json() if as_json else found.summary()
        if csv is not None:
            write_whole(csv, found.to_csv())
        if plot is not None:
            found.plot(plot)
    typer.echo(report)
    if not found.converged:
        raise typer.Exit(NOT_CONVERGED)


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
    from stationary.questions.regularisation.path import epsilons_from, regularisation_path
    from stationary.sources.loading import load

    changes = changes_from(settings, initial=initial)
    with contextlib.redirect_stdout(sys.stderr):
        check_figure(plot)
        epsilons = None if eps is None else epsilons_from(eps)
        found = regularisation_path(load(path, **changes), epsilons)
        report = found.to_json() if as_json else found.summary()
        if plot is not None:
            found.plot(plot)
    typer.echo(report)


@app.command()
def sweep(
    path: Source,
    learning_rate: Annotated[
        str | None,
        typer.Option(
            "--learning-rate",
            "-T",
            metavar="VALUES",
            help="As in 0.01,0.05 or 0.01:0.1:10 or 1e-3:1e-1:50:log.",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(
            "--batch-size",
            "-B",
            metavar="VALUES",
            help="Whole numbers, as in 1,2,4,8.",
            show_default=False,
        ),
    ] = None,
    replacement: Annotated[
        list[bool] | None,
        typer.Option("--replacement/--no-replacement", help="Give both to compare them."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUES",
            help="A parameter of the file, as in sharpness=10:1000:30:log; repeatable.",
        ),
    ] = None,
    initial: Start = None,
    convention: Conventions = None,
    domain: Domain = None,
    digits: Annotated[
        int | None, typer.Option(help="As for analyze; the results are rounded to doubles.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes to use.")] = 1,
    as_json: AsJson = False,
    csv: Annotated[Path | None, typer.Option(help="Write all points as a table.")] = None,
    plot: Plot = None,
) -> None:
    """Say which minimum of PATH dominates, over learning rates, batch sizes and parameters."""
    from stationary.progress import counter, processes
    from stationary.questions.sweeps.sweep import sweep as run
    from stationary.sources.parameters import pairs_from
    from stationary.sources.ranges import values_from

    with contextlib.redirect_stdout(sys.stderr):
        check_output(csv)
        check_figure(plot)
        rates = sizes = None
        if learning_rate is not None:
            rates = values_from(learning_rate, "--learning-rate", positive=True)
        if batch_size is not None:
            rule: dict[str, Any] = {"positive": True, "whole": True, "example": "1,2,4,8"}
            sizes = values_from(batch_size, "--batch-size", **rule)
        named = {
            name: values_from(values, f"--set {name}", example=f"--set {name}=10:1000:30:log")
            for name, values in pairs_from(settings or []).items()
        }
        with processes(jobs) as executor, counter() as progress:
            found = run(
                path,
                learning_rate=rates,
                batch_size=sizes,
                replacement=replacement or None,
                parameters=named or None,
                **changes_from(None, initial=initial, convention=convention, domain=domain),
                executor=executor,
                progress=progress,
                digits=digits,
            )
        report = found.to_json() if as_json else found.summary()
        if csv is not None:
            write_whole(csv, found.to_csv())
        if plot is not None:
            found.plot(plot)
    typer.echo(report)
    if not found.complete:
        n = len(found.rows)
        typer.echo(f"stationary: {found.stopped}; {n} points are done and kept.", err=True)
        sys.exit(INTERRUPTED if found.interrupted else FAILED)
    if any(row.status in ("panel_limit", "not_decided") for row in found.rows):
        raise typer.Exit(NOT_CONVERGED)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 an error of ours, 2 wrong usage, 3 not decided."""
    from stationary.errors import StationaryError

    # Many digits are millions of small objects without a cycle among them: to search them for
    # cycles as often as Python does by itself takes a fifth of the time.
    gc.set_threshold(*LITTER)
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
