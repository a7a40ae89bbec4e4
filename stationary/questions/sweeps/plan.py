"""What a sweep is asked for: the source, the axes of its grid, and every point of it."""

from __future__ import annotations

import inspect
import itertools
import math
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stationary.errors import LandscapeError
from stationary.line.digits import checked
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.process.starts import located
from stationary.questions.sweeps.answers import Points
from stationary.questions.sweeps.family import Recipe
from stationary.questions.sweeps.quantities import quantities_from
from stationary.sources.columns import is_table
from stationary.sources.loading import as_process, load_text, source_text
from stationary.sources.ranges import checked_values
from stationary.states.merging import checked_barrier

__all__ = ["planned"]

MOST_POINTS = 1_000_000
OWN_COLUMN = re.compile(
    r"status|reason|error|kind|mean|mean_error|std|std_error|dominant"
    r"|(position|kind|mass|log_mass|mass_error|log_density)_\d+"
)


def planned(
    source: Any,
    learning_rate: Any,
    batch_size: Any,
    replacement: Any,
    parameters: Any,
    initial: Any,
    digits: int | None,
    min_barrier: float,
    changes: dict[str, Any],
    quantities: Any = None,
) -> tuple[Recipe, dict[str, tuple[Any, ...]], list[dict[str, float] | None], Points]:
    """How to make the process, the axes, all combinations of parameters and all other points."""
    given: dict[str, tuple[Any, ...]] = {}
    if replacement is not None:
        given["replacement"] = _truths(replacement)
    if batch_size is not None:
        given["batch_size"] = checked_values(batch_size, "batch_size", positive=True, whole=True)
    if learning_rate is not None:
        given["learning_rate"] = checked_values(learning_rate, "learning_rate", positive=True)
    if parameters is not None and not isinstance(parameters, Mapping):
        raise LandscapeError(
            f"parameters = {parameters!r:.60} must be a dictionary of names and values, as in "
            '{"sharpness": [10, 100, 1000]}.'
        )
    for name in parameters or {}:
        if OWN_COLUMN.fullmatch(str(name)):
            raise LandscapeError(
                f"parameters: {name} is also the name of a column of the results. Rename the "
                f"parameter in the file, to my_{name} for instance."
            )
    named = {str(k): checked_values(v, str(k)) for k, v in (parameters or {}).items()}
    if not given and not named:
        raise LandscapeError(
            "there is nothing to sweep. Give several values of something: learning_rate, "
            "batch_size, replacement or parameters (--learning-rate 1e-3:1e-1:50:log, --batch-size "
            "1,2,4,8, --set NAME=FROM:TO:COUNT)."
        )
    count = math.prod(len(v) for v in (*given.values(), *named.values()))
    if count > MOST_POINTS:
        sizes = " x ".join(str(len(v)) for v in (*named.values(), *given.values()))
        raise LandscapeError(
            f"the grid of {sizes} = {count} points is too large: {MOST_POINTS} are the most. "
            "Give fewer values, as in 1e-3:1e-1:50:log."
        )
    # The settings with which a batch can be drawn if it can at all.
    lenient = {
        "learning_rate": given.get("learning_rate", (None,))[0],
        "batch_size": given.get("batch_size", (None,))[0],
        "replacement": given.get("replacement", (None,))[-1],
    }
    settings = {k: v for k, v in (changes | lenient).items() if v is not None}
    initial = located(initial, None)
    if is_table(source):
        source = as_process(source, "sweep", **settings)
    if isinstance(source, (str, os.PathLike)):
        file, text = source_text(source)
        recipe = Recipe(text, file, None, initial, settings, digits, min_barrier)
        first = {name: values[0] for name, values in named.items()}
        base = _base(text, file, settings, initial, first)
    elif isinstance(source, (Landscape, Diffusion)):
        recipe = Recipe("", None, source, initial, settings, digits, min_barrier)
        base = source
        if named:
            raise LandscapeError(
                f"{source.name}: the parameters {', '.join(named)} can only be swept for a file, "
                "whose functions are then given them, or for a function that makes the process. "
                "Pass the path of the file, or the function."
            )
        as_process(source, "sweep", **changes)
        if isinstance(base, Diffusion):
            raise LandscapeError(
                f"{source.name}: a Diffusion has no learning rate and no batch size, so that there "
                "is nothing to sweep. Pass the path of a file with parameters."
            )
        base = recipe.make(None)
    elif callable(source):
        build = _taking(source, named)
        recipe = Recipe("", None, None, initial, settings, digits, min_barrier, build)
        base = recipe.make({name: values[0] for name, values in named.items()})
    else:
        base = as_process(source, "sweep")  # which it is not
    base = as_process(base, "sweep")
    wanted = quantities_from(quantities)
    if quantities is None and isinstance(base, Diffusion) and base.is_periodic:
        wanted = quantities_from(("current", "mean_velocity"))
    recipe = replace(recipe, quantities=wanted)
    checked(digits, base.name)
    checked_barrier(min_barrier, base.name)
    axes: dict[str, tuple[Any, ...]] = dict(named)
    if isinstance(base, Landscape):
        for key in ("replacement", "batch_size", "learning_rate"):
            axes[key] = given.get(key, (getattr(base, key),))
    elif given:
        raise LandscapeError(
            f"{base.name}: {next(iter(given))} does not apply to a process given by its drift. "
            "Leave it out."
        )
    combinations: list[dict[str, float] | None] = [
        dict(zip(named, values, strict=True)) for values in itertools.product(*named.values())
    ]
    points = Points()
    if isinstance(base, Landscape):
        points = Points(axes["learning_rate"], axes["batch_size"], axes["replacement"])
    return recipe, axes, combinations if named else [None], points


def _taking(build: Any, named: Mapping[str, Any]) -> Any:
    """A function that makes a process of parameters, if it takes these."""
    name = getattr(build, "__name__", "build")
    try:
        inspect.signature(build).bind(**dict.fromkeys(named))
    except TypeError as error:
        raise LandscapeError(
            f"{name}: it cannot be called with {', '.join(named) or 'nothing'} ({error}). It must "
            "take the parameters by name, as in sweep(lambda k: Diffusion(...), {'k': [1, 2]})."
        ) from None
    return build


def _base(
    text: str, file: Path, settings: dict[str, Any], initial: Any, first: dict[str, float]
) -> Landscape | Diffusion:
    """The process as the file has it: what is wrong with that, or with a name, is an error."""
    try:
        base = load_text(text, file, initial=initial, **settings)
    except LandscapeError:
        # The file's own values need not be among those that are wanted.
        return load_text(text, file, initial=initial, parameters=first, **settings)
    unknown = [name for name in first if name not in base.parameters]
    if unknown:  # says what there is
        load_text(text, file, initial=initial, parameters=first, **settings)
    return base


def _truths(given: Any) -> tuple[bool, ...]:
    listed = list(given) if isinstance(given, (list, tuple, set, np.ndarray)) else [given]
    if not listed or not all(isinstance(v, (bool, np.bool_)) for v in listed):
        raise LandscapeError(
            f"replacement = {given!r:.60} must be True, False, or both, as in [True, False]."
        )
    return tuple(sorted({bool(v) for v in listed}))
