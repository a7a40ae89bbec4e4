"""What a sweep is asked for: the source, the axes of its grid, and every point of it."""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from itertools import islice, product
from typing import Any

import numpy as np

from stationary.errors import LandscapeError, StationaryError, UserFunctionError
from stationary.functions.evaluation import explained
from stationary.functions.given import meant, short
from stationary.line.digits import checked
from stationary.process.diffusion import Diffusion
from stationary.process.forms import Convention
from stationary.process.landscape import Landscape
from stationary.process.starts import located
from stationary.sources.columns import is_table
from stationary.sources.loading import as_process, load_text
from stationary.sources.ranges import checked_values
from stationary.sources.running import source_text
from stationary.sources.settings import KNOWN
from stationary.states.basins import checked_barrier
from stationary.sweeps.arrhenius import rate_of
from stationary.sweeps.family import Recipe
from stationary.sweeps.quantities import QUANTITIES, quantities_from
from stationary.sweeps.tasks import Grid

MOST_POINTS = 1_000_000  # of a grid: more are a slip
LOOKED_AT = 100  # points of a grid, for the first that is a process
OWN_COLUMN = re.compile(
    r"status|reason|error|kind|mean|mean_error|std|std_error|dominant"
    r"|(position|kind|mass|log_mass|mass_error|log_density)_\d+"
)


def planned(
    source: Any,
    parameters: Any,
    steps: dict[str, Any],
    initial: Any,
    digits: int | None,
    min_barrier: float,
    changes: dict[str, Any],
    quantities: Any,
) -> Grid:
    """The axes of a grid, and how to make the process at each of its points."""
    given = _steps(steps)
    parameters = _parameters(parameters)
    if "convention" in parameters and not callable(source):  # no parameter of functions
        changes = {"convention": parameters.pop("convention")} | changes
    named = {
        str(k): (callable(source) and _words(v)) or checked_values(v, str(k))
        for k, v in parameters.items()
    }
    fields, changes = _fields(changes, named)
    _check_the_size(fields | named | given)
    # The settings with which a batch can be drawn if it can at all.
    lenient = {n: v[-1 if n == "replacement" else 0] for n, v in given.items()}
    settings = changes | lenient | {"initial": located(initial, None)}
    source, name = _source(source, settings, changes, named, fields)
    make = partial(_made, source, settings, tuple(fields))
    base = as_process(_base(make, fields | named, source, named), "sweep")
    wanted = _wanted(quantities, base, {*named, *fields}, {*given}, {*steps})
    checked(digits, base.name)
    checked_barrier(min_barrier, base.name)
    axes: dict[str, tuple[Any, ...]] = {n: v for n, v in fields.items() if n == "convention"}
    axes |= named | fields
    if isinstance(base, Landscape):
        axes |= {n: given.get(n, (getattr(base, n),)) for n in steps}
    elif given:
        raise LandscapeError(
            f"{base.name}: {next(iter(given))} does not apply to a process given by its drift. "
            "Leave it out."
        )
    return Grid(Recipe(name, make, digits, min_barrier, wanted), axes, base)


def _steps(steps: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Those of learning rate, batch size and replacement that were given, as values."""
    rules = {"batch_size": {"positive": True, "whole": True}, "learning_rate": {"positive": True}}
    return {
        n: _truths(v) if n == "replacement" else checked_values(v, n, **rules[n])
        for n, v in steps.items()
        if v is not None
    }


def _parameters(given: Any) -> dict[Any, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise LandscapeError(
            f"parameters = {given!r:.60} must be a dictionary of names and values, as in "
            '{"sharpness": [10, 100, 1000]}.'
        )
    for name in given or {}:
        if OWN_COLUMN.fullmatch(str(name)):
            raise LandscapeError(
                f"parameters: {name} is also the name of a column of the results. Rename the "
                f"parameter in the file, to my_{name} for instance."
            )
    return dict(given or {})


def _check_the_size(axes: Mapping[str, tuple[Any, ...]]) -> None:
    if not axes:
        raise LandscapeError(
            "there is nothing to sweep. Give several values of something: learning_rate, "
            "batch_size, replacement, parameters, convention or temperature (--learning-rate "
            "1e-3:1e-1:50:log, --batch-size 1,2,4,8, --set NAME=FROM:TO:COUNT, --convention "
            "ito,stratonovich, --temperature 0.02:0.2:9:log)."
        )
    sizes = [len(v) for v in axes.values()]
    if math.prod(sizes) > MOST_POINTS:
        raise LandscapeError(
            f"the grid of {' x '.join(map(str, sizes))} = {math.prod(sizes)} points is too large: "
            f"{MOST_POINTS} are the most. Give fewer values, as in 1e-3:1e-1:50:log."
        )


def _source(
    source: Any,
    settings: Mapping[str, Any],
    changes: Mapping[str, Any],
    named: Mapping[str, Any],
    fields: Mapping[str, Any],
) -> tuple[Any, str]:
    """What processes are made from, a file as its text, and what it is called."""
    if is_table(source):
        source = as_process(source, "sweep", **settings)
    if isinstance(source, (str, os.PathLike)):
        file, text = source_text(source)
        return (text, file), file.name
    if isinstance(source, (Landscape, Diffusion)):
        name = source.name
        if named:
            raise LandscapeError(
                f"{name}: the parameters {', '.join(named)} can only be swept for a file, whose "
                "functions are then given them, or for a function that makes the process. Pass the "
                "path of the file, or the function."
            )
        as_process(source, "sweep", **changes)
        if isinstance(source, Diffusion) and not fields:
            raise LandscapeError(
                f"{name}: a Diffusion has no learning rate and no batch size, so that there is "
                "nothing to sweep. Pass the path of a file with parameters."
            )
        return source, name
    if not callable(source):
        as_process(source, "sweep")  # which it is not
    _check_that_it_takes(source, named)
    return source, str(getattr(source, "__name__", "process")).replace("<lambda>", "process")


def _wanted(
    quantities: Any,
    base: Landscape | Diffusion,
    named: set[str],
    given: set[str],
    steps: set[str],
) -> dict[str, Any]:
    """The quantities that are asked for, by their names, none of which is that of a column."""
    wanted = quantities_from(quantities)
    for asked, function in wanted.items():
        if function is QUANTITIES.get(asked):  # a column of its own, which is to be drawn
            continue
        if OWN_COLUMN.fullmatch(asked) or {asked, f"{asked}_error"} & (named | steps):
            raise LandscapeError(
                f"quantities: {asked} is also the name of a column of the results or of a "
                f"parameter. Call it otherwise, my_{asked} for instance."
            )
    if quantities is None and isinstance(base, Diffusion) and base.is_periodic:
        wanted = quantities_from(("current", "mean_velocity"))
    if "log_exit_time" in wanted and rate_of(named | given):
        wanted = {"barrier": QUANTITIES["barrier"]} | wanted  # for the activations
    return wanted


def _fields(
    changes: dict[str, Any], named: Mapping[str, Any]
) -> tuple[dict[str, tuple[Any, ...]], dict[str, Any]]:
    """What else of a process has several values, and the changes that have one."""
    for name, value in changes.items():
        if name not in KNOWN:
            raise LandscapeError(
                f"there is no {name} (= {short(value)}) to sweep. {meant(name, KNOWN, '')} A "
                f'parameter of a file is swept by its name: parameters={{"{name}": [1.0, 2.0]}}.'
            )
    given: dict[str, tuple[Any, ...]] = {}
    convention, temperature = changes.get("convention"), changes.get("temperature")
    if isinstance(convention, str) and "," in convention:
        convention = [word.strip() for word in convention.split(",")]
    if isinstance(convention, (list, tuple)):
        known = sorted({Convention.of(c, "sweep") for c in convention}, key=lambda c: c.value)
        given["convention"] = tuple(c.name.lower() for c in known)
    if temperature is not None and np.ndim(temperature):
        given["temperature"] = checked_values(temperature, "temperature", positive=True)
    for name, values in given.items():
        if not values or name in named:
            raise LandscapeError(
                f"{name}: give several values of it once, as in convention=['ito', 'stratonovich'] "
                "or temperature=[0.02, 0.1]."
            )
    return given, {n: v for n, v in changes.items() if n not in given}


def _made(
    source: Any, settings: dict[str, Any], fields: tuple[str, ...], parameters: Mapping[str, Any]
) -> Landscape | Diffusion:
    """The process of some parameters: from the text of a file, by a function, or the one it is.

    Those called as one of the `fields` are values of such.
    """
    settings = settings | {n: v for n, v in parameters.items() if n in fields}
    parameters = {n: v for n, v in parameters.items() if n not in fields}
    if isinstance(source, tuple):
        return load_text(*source, parameters=parameters or None, **settings)
    if callable(source):
        try:
            source = source(**parameters)
        except StationaryError:
            raise
        except Exception as error:  # of one point, which keeps its row
            raise UserFunctionError(explained(source, error)) from error
    return as_process(source, "sweep", **settings)


def _check_that_it_takes(build: Any, named: Mapping[str, Any]) -> None:
    name = getattr(build, "__name__", "build")
    try:
        inspect.signature(build).bind(**dict.fromkeys(named))
    except TypeError as error:
        raise LandscapeError(
            f"{name}: it cannot be called with {', '.join(named) or 'nothing'} ({error}). It must "
            "take the parameters by name, as in sweep(lambda k: Diffusion(...), {'k': [1, 2]})."
        ) from None


def _base(
    make: Any, axes: Mapping[str, tuple[Any, ...]], source: Any, named: Mapping[str, Any]
) -> Landscape | Diffusion:
    """The process as its file has it, or at the first point where there is one.

    What is wrong with it everywhere is an error.
    """
    if isinstance(source, tuple) and len(axes) == len(named):
        with suppress(LandscapeError):  # its own values need not be among those that are wanted
            base: Landscape | Diffusion = make({})
            if all(name in base.parameters for name in named):
                return base
    wrong = []
    for values in islice(product(*axes.values()), LOOKED_AT):
        try:
            made: Landscape | Diffusion = make(dict(zip(axes, values, strict=True)))
            return made
        except StationaryError as error:
            wrong.append(error)
    raise wrong[0]


def _words(given: Any) -> tuple[str, ...]:
    """Words among which a function chooses, in their order; none if they are something else."""
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    return tuple(dict.fromkeys(listed)) if all(isinstance(v, str) for v in listed) else ()


def _truths(given: Any) -> tuple[bool, ...]:
    listed = list(given) if isinstance(given, (list, tuple, set, np.ndarray)) else [given]
    if not listed or not all(isinstance(v, (bool, np.bool_)) for v in listed):
        raise LandscapeError(
            f"replacement = {given!r:.60} must be True, False, or both, as in [True, False]."
        )
    return tuple(sorted({bool(v) for v in listed}))
