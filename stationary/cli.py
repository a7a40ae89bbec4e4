"""The command line: parse, call, print. No mathematics, and nothing heavy imported before use."""

from __future__ import annotations

import re
import sys
from collections.abc import Sized
from pathlib import Path
from typing import Any

import click

from stationary.completing import parameters, quantities_known, words
from stationary.delivery import (
    FAILED,
    INTERRUPTED,
    Output,
    complain,
    output,
    told_if_stopped,
    told_if_unfinished,
)
from stationary.options import (
    DIGITS,
    FILES,
    MIN_BARRIER,
    OPTIMISER,
    PROCESS,
    REPLACED,
    RUN,
    SAMPLE,
    SOURCES,
    Commands,
    changes_from,
    number,
    option,
    start_of,
    to_file,
    version_told,
    whole,
)


@click.group(
    cls=Commands,
    epilog=f"{RUN} Exit codes: 0 done, 1 an error, 2 wrong usage, 3 not converged or not "
    "decided, 130 stopped.",
)
@version_told
def app() -> None:
    """Where does a noisy process end up? Solved, not simulated."""


@app.command(short_help="The end state, its minima and how they share it.")
@PROCESS
@MIN_BARRIER
@option("--regularise EPS", "An even noise to add: a + EPS in place of a.", number)
@DIGITS
@option(
    "--chain/--no-chain",
    "Whether the exact chain of SGD's own steps is part of it; by default where it is cheap.",
    default=None,
)
@option(
    "--steps N", "Of a run of SGD: where it is then, and whether it has forgotten its start.", whole
)
@output(table="Write the density as a table to this file.", minima=True)
@option("--log", "Logarithmic density in the figure.")
@to_file("influence", "Write what each datapoint does to the answer to this .csv file.")
@SAMPLE
def analyze(path: Path, to: Output, log: bool, influence: Path | None, **given: Any) -> None:
    """Say where FILE ends up: its end state, its minima and how they share it."""
    from stationary.analysis import analyze as run
    from stationary.analysis import process_and_settings

    def has_law(found: Any) -> bool:
        return found.end_state.kind not in ("none", "classes")

    def find() -> Any:
        process, own = process_and_settings(path, "analyze", changes_from(**given))
        if influence is not None:
            from stationary.questions.influence import with_datapoints  # seldom asked for

            with_datapoints(process)
        return run(process, progress=True, **own)

    if log and not {"plot", "html"} & set(to.files):
        raise click.UsageError("--log is of the figure: give --plot FILE or --html FILE, too.")
    if influence is not None:
        to.files["influence"] = influence
    found = to.answer(find, has_table=has_law, log=log)
    told_if_stopped(found)
    told_if_unfinished(found, [found.end_state.status.name.lower()])


@app.command(short_help="Drift, variance and end state of a recorded series.")
@FILES
@option("--dt DT", "The time between observations.", number)
@output(table="Write drift and variance with their errors to this file.")
def fit(path: Path, to: Output, dt: float | None) -> None:
    """Fit a drift and a variance to the series in FILE: a table with a column x (and t, run)."""
    from stationary.sources.series.fit import fit as run

    to.answer(lambda: run(path, dt))


@app.command(short_help="How much more each minimum holds, and why; or what if.")
@PROCESS
@MIN_BARRIER
@option("--minimum I", "The minimum to change, left to right from 0.", whole)
@option("--dilate FACTORS", "Stretch it by these: 1:4:13 (from:to:count), 1:100:9:log, or 1,2,4.")
@option("--noise FACTORS", "Multiply its variance by these, written alike.")
@option(
    "--direction WAY",
    "With two weights, along what it is stretched: both (the default), first or second.",
    shell_complete=words(("both", "first", "second")),
)
@SAMPLE
@output(table="Write the table to this file.")
def bias(
    path: Path,
    to: Output,
    minimum: int | None,
    dilate: str | None,
    noise: str | None,
    direction: str | None,
    **given: Any,
) -> None:
    """Say how much more each minimum of FILE holds than the others, and why; or what if."""
    from stationary.bias import width_bias
    from stationary.sources.ranges import values_from

    def factors(text: str | None, option: str, example: str) -> Any:
        return None if text is None else values_from(text, option, example=example, positive=True)

    found = to.answer(
        lambda: width_bias(
            path,
            minimum=minimum,
            dilate=factors(dilate, "--dilate", "1:4:13"),
            noise=factors(noise, "--noise", "0.5:2:7:log"),
            direction=direction,
            **changes_from(**given),
        )
    )
    told_if_stopped(found)


@app.command(short_help="The end state held against SGD with its finite step.")
@PROCESS
@MIN_BARRIER
@option(
    "--walkers N",
    "Walkers of the simulation; by default 1000, fewer where a step takes many gradients.",
    whole,
)
@option(
    "--steps N",
    "Steps of each, after burn-in; by default 20,000, fewer where one takes many gradients.",
    whole,
)
@option("--seed N", "Of the simulation.", whole, default=0, show_default=True)
@option("--cells N", "Of the exact chain.", whole, default=2000, show_default=True)
@option(
    "--simulation/--no-simulation", "Whether walkers are sent out.", default=True, show_default=True
)
@output(table="Write the basins, by each answer.")
def check(path: Path, to: Output, **given: Any) -> None:
    """Hold the end state of FILE against SGD with its finite step."""
    from stationary.checking.check import check as run

    for name in ("walkers", "steps"):
        if given[name] is not None and not given["simulation"]:
            raise click.UsageError(f"--{name} does not go with --no-simulation.")
    changes, has_table = changes_from(**given), lambda f: bool(getattr(f, "basins", True))
    told_if_stopped(to.answer(lambda: run(path, **changes), has_table=has_table))


@app.command(short_help="The probability over time, or what a schedule freezes in.")
@PROCESS
@option("--until T", "The last time.", number)
@option("--every DT", "Between times; by default a twentieth of T.", number)
@option("--cells N", "How many cells; by default as many as it takes.", whole)
@option("--tolerance P", "The error of a probability that is aimed at.", number)
@SAMPLE
@output(table="Write the density, or the shares of the minima, over time.")
def evolve(
    path: Path,
    to: Output,
    until: float | None,
    every: float | None,
    cells: int | None,
    tolerance: float | None,
    **given: Any,
) -> None:
    """Follow the probability of FILE over time, from its start to T.

    With a schedule of the learning rate: what each minimum holds, and what is frozen in.
    """
    from stationary.sources.loading import load

    how = changes_from(cells=cells, tolerance=tolerance)

    def find() -> Any:
        process = load(path, **changes_from(**given))
        if getattr(process, "schedule", None) is not None:
            from stationary.annealing.anneal import anneal

            for name in changes_from(until=until, every=every, tolerance=tolerance):
                raise click.UsageError(f"--{name} does not go with a schedule and its steps.")
            return anneal(process, **how)
        if until is None:
            raise click.UsageError("Missing option '--until', the last time (or '--schedule').")
        from stationary.evolution.evolve import evolve as run
        from stationary.evolution.request import times_until

        return run(process, times=times_until(until, every), **how)

    found = to.answer(find)
    told_if_stopped(found)
    told_if_unfinished(found)


@app.command(short_help="Ever less noise added, beside the exact end state.")
@PROCESS
@option(
    "--eps FROM:TO:COUNT", "What to add to the variance, as in 1e-1:1e-8:8; by default by decades."
)
@SAMPLE
@output(table="Write the masses at each amount of noise.")
def regularise(path: Path, to: Output, eps: str | None, **given: Any) -> None:
    """Add ever less noise to FILE, and compare the limit with the exact end state."""
    from stationary.questions.regularisation.path import epsilons_from, regularisation_path
    from stationary.sources.loading import load

    def find() -> Any:
        epsilons = None if eps is None else epsilons_from(eps)
        return regularisation_path(load(path, **changes_from(**given)), epsilons)

    told_if_stopped(to.answer(find))


@app.command(short_help="What is reached first, and when.")
@PROCESS
@option(
    "--from start X",
    "The start: a point or a law; or several points, as in -1,0.3 or -1:1:101.",
    required=True,
)
@option(
    "--to targets X",
    "A target; repeatable, once for each side.",
    number,
    multiple=True,
    required=True,
)
@DIGITS
@SAMPLE
@output(table="Write probabilities and times.")
def passage(path: Any, to: Output, start: str, targets: tuple[float, ...], **given: Any) -> None:
    """Say which target the process of FILE reaches first, and after how long."""
    from stationary.sources.loading import as_process
    from stationary.sources.ranges import values_from
    from stationary.states.first_passage import first_passage

    digits = given.pop("digits")
    begin: Any = start if digits else start_of(start)  # in many digits no double next to it
    if re.fullmatch(r"[-+.\d][-+.\d*/() eEpilog]*[,:][-+.\d*/() eEpilog,:]*", start):  # no law
        begin = values_from(start, "--from", example="-1:1:101")
    if "plot" in to.files and getattr(begin, "size", 1) < 2:
        raise click.UsageError(
            "--plot draws a passage over its starts: give several, as in --from -1:1:101."
        )
    to.answer(
        lambda: first_passage(
            as_process(path, "passage", **changes_from(**given)), begin, targets, digits=digits
        )
    )


@app.command(short_help="Walkers sent out, and where they are found.")
@PROCESS
@option("--walkers N", "How many.", whole, default=1000, show_default=True)
@option("--steps N", "Of each; 20,000, or those of a schedule.", whole)
@option("--dt DT", "The step of time, of a drift and a variance.", number)
@click.option("--seed", type=whole, metavar="N", default=0, show_default=True)
@output(table="Write the histogram.")
def simulate(path: Any, to: Output, **given: Any) -> None:
    """Send walkers out on FILE; for a landscape, they take the steps of SGD itself."""
    from stationary.simulation.simulate import simulate as run
    from stationary.sources.loading import as_process

    settings = {name: given.pop(name) for name in ("walkers", "steps", "dt", "seed")}

    def find() -> Any:
        process = as_process(path, "simulate", **changes_from(**given))
        if getattr(process, "schedule", None) is None:
            settings["steps"] = 20_000 if settings["steps"] is None else settings["steps"]
        return run(process, **settings)

    told_if_stopped(to.answer(find))


@app.command(short_help="Which minimum dominates, over rates, batch sizes, parameters.")
@SOURCES
@option("--learning-rate -T VALUES", "As in 0.01,0.05 or 0.01:0.1:10 or 1e-3:1e-1:50:log.")
@option("--batch-size -B VALUES", "Whole numbers, as in 1,2,4,8.")
@option("--replacement/--no-replacement", "Give both to compare them.", multiple=True, default=())
@option(
    "--set settings NAME=VALUES",
    "A parameter of the file, as in sharpness=10:1000:30:log; repeatable.",
    multiple=True,
    shell_complete=parameters,
)
@OPTIMISER
@REPLACED
@MIN_BARRIER
@DIGITS
@option("--jobs -j N", "Processes to use.", whole, default=1, show_default=True)
@option(
    "--quantity quantities NAME",
    "What else is told of each point, as in exit_time,barrier_left,current; repeatable.",
    multiple=True,
    shell_complete=words(quantities_known, several=True),
)
@option(
    "--arrhenius", "Tell how exit times grow over 1 / learning rate or temperature, and draw it."
)
@option("--resume", "Go on from the points in the table that --csv names, or beside it if killed.")
@SAMPLE
@output(table="Write all points as a table.")
def sweep(
    path: Path,
    to: Output,
    learning_rate: str | None,
    batch_size: str | None,
    replacement: tuple[bool, ...],
    settings: tuple[str, ...],
    jobs: int,
    resume: bool,
    quantities: tuple[str, ...],
    arrhenius: bool,
    **given: Any,
) -> None:
    """Say which minimum of FILE dominates, over learning rates, batch sizes and parameters."""
    from stationary.progress import processes
    from stationary.sources.ranges import pairs_from, values_from
    from stationary.sweeps.arrhenius import FEWEST
    from stationary.sweeps.resume import beside, table_in
    from stationary.sweeps.sweep import sweep as run

    quantities = tuple(
        name.strip() for names in quantities for name in names.split(",") if name.strip()
    )
    if arrhenius:
        quantities = tuple(dict.fromkeys(("log_exit_time", *quantities)))

    def find() -> Any:
        rates = sizes = None
        if learning_rate is not None:
            rates = values_from(learning_rate, "--learning-rate", positive=True)
        cooled = rates if rates is not None else given.get("temperature")
        if arrhenius and (not isinstance(cooled, Sized) or len(cooled) < FEWEST):
            raise click.UsageError(
                f"--arrhenius goes over {FEWEST} learning rates or more, as in --learning-rate "
                "0.02:0.1:9:log; or as many temperatures of a potential."
            )
        if batch_size is not None:
            rule: dict[str, Any] = {"positive": True, "whole": True, "example": "1,2,4,8"}
            sizes = values_from(batch_size, "--batch-size", **rule)
        named = {
            name: values_from(values, f"--set {name}", example=f"--set {name}=10:1000:30:log")
            for name, values in pairs_from(list(settings)).items()
        }
        with processes(jobs) as executor:
            return run(
                path,
                learning_rate=rates,
                batch_size=sizes,
                replacement=list(replacement) or None,
                parameters=named or None,
                executor=executor,
                resume=table_in(to.csv) if resume else None,
                journal=journal,
                quantities=quantities or None,
                **changes_from(**given),
            )

    if resume and to.csv is None:
        raise click.UsageError("--resume goes on from a table: name it with --csv FILE.")
    drawing = {"arrhenius": True} if arrhenius else {}
    with beside(None if to.gathered is not None else to.csv, resume) as journal:
        found = to.answer(find, has_table=lambda f: bool(len(f.rows)), dear=True, **drawing)
    if not found.complete:
        n = len(found.rows)
        kept = f"{n} point{' is' if n == 1 else 's are'} done and kept"
        way_on = "; --resume goes on from there" if n and to.csv else ""
        complain(f"{found.stopped}; {kept}{way_on}.")
        sys.exit(INTERRUPTED if found.interrupted else FAILED)
    told_if_unfinished(found, found.table()["status"])
