"""The command line: parse, call, print. No mathematics, and nothing heavy imported before use."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

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
    path: Annotated[Path, typer.Argument(help="Landscape file.", show_default=False)],
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", "-T", help="Replaces that of the file.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-B", help="Replaces that of the file.")
    ] = None,
    replacement: Annotated[
        bool | None,
        typer.Option("--replacement/--no-replacement", help="How batches are drawn."),
    ] = None,
    convention: Annotated[
        str | None, typer.Option(help="ito, stratonovich or klimontovich.", show_default=False)
    ] = None,
    domain: Annotated[
        tuple[float, float] | None, typer.Option(help="Two ends; inf and -inf work.")
    ] = None,
    initial: Annotated[
        str | None,
        typer.Option(
            help="The start: a point, normal:MEAN,DEVIATION, uniform:A,B or a file of samples.",
            show_default=False,
        ),
    ] = None,
    regularise: Annotated[
        float | None,
        typer.Option(metavar="EPS", help="An even noise to add: a + EPS in place of a."),
    ] = None,
    digits: Annotated[
        int | None, typer.Option(help="Significant digits of every number; doubles if left out.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the file; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    csv: Annotated[
        Path | None, typer.Option(help="Write the density as a table to this file.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the figure to this .png, .svg or .pdf file.")
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Logarithmic density in the figure.")] = False,
) -> None:
    """Say where PATH ends up: its end state, its minima and how they share it."""
    from stationary.analysis import analyze as run
    from stationary.errors import Status

    changes: dict[str, Any] = {
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "replacement": replacement,
        "convention": convention,
        "domain": domain,
        "initial": initial,
        "regularise": regularise,
        "digits": digits,
    }
    if settings:
        from stationary.parameters import parameters_from

        changes["parameters"] = parameters_from(settings)
    # What a landscape file writes goes to standard error, so that ours stays readable.
    with contextlib.redirect_stdout(sys.stderr):
        if csv is not None:
            check_output(csv)
        if plot is not None:
            check_output(plot, (".png", ".svg", ".pdf"))
        analysis = run(path, **{k: v for k, v in changes.items() if v is not None})
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
def regularise(
    path: Annotated[Path, typer.Argument(help="Landscape file.", show_default=False)],
    eps: Annotated[
        str | None,
        typer.Option(
            metavar="FROM:TO:COUNT",
            help="What to add to the variance, as in 1e-1:1e-8:8; by default by decades.",
            show_default=False,
        ),
    ] = None,
    initial: Annotated[
        str | None,
        typer.Option(help="The start, as for analyze.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the masses to this .png, .svg or .pdf file.")
    ] = None,
) -> None:
    """Add ever less noise to PATH, and compare the limit with the exact end state."""
    import json

    from stationary.loading import load
    from stationary.regularise import epsilons_from, regularisation_path

    with contextlib.redirect_stdout(sys.stderr):
        if plot is not None:
            check_output(plot, (".png", ".svg", ".pdf"))
        epsilons = None if eps is None else epsilons_from(eps)
        found = regularisation_path(load(path, initial=initial), epsilons)
        report = json.dumps(found.to_dict(), indent=2) if as_json else found.summary()
        if plot is not None:
            found.plot(plot)
    typer.echo(report)


def check_output(path: Path, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse a file that cannot be written before anything is computed for it."""
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
