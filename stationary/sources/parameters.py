"""Parameters of a landscape file: `parameters = {"sharpness": 100.0}`, passed to its functions.

Each function is given those parameters that its signature takes, by name; one that takes
``**parameters`` is given all of them.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from stationary.errors import LandscapeError
from stationary.functions.given import number
from stationary.sources.ranges import values_from

__all__ = ["bound", "chosen_parameters", "pairs_from", "parameters_from"]

PERHAPS = 0.6  # how alike a name must be for "did you mean"
EXAMPLE = 'parameters = {"sharpness": 100.0}'
FIXED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def chosen_parameters(
    defaults: Any, changes: Any, where: str, reserved: Collection[str] = ()
) -> dict[str, float]:
    """The parameters that a file defines, with the values that were changed.

    Parameters
    ----------
    defaults
        What the file defines: names and finite numbers; None if it defines none.
    changes
        Other values for some of these names, or None.
    reserved
        Names of settings, which a parameter cannot have.

    Raises
    ------
    LandscapeError
        If either is no mapping from names to finite numbers, or a change has an unknown name.
    """
    known = {} if defaults is None else _numbers(defaults, where)
    given = {} if changes is None else _numbers(changes, where)
    taken = next((name for name in known if name in reserved), None)
    if taken is not None:
        raise LandscapeError(
            f"{where}: a parameter cannot be called {taken}, which is the name of a setting. "
            f"Rename it, to my_{taken} for instance."
        )
    for name, value in given.items():
        if name in known:
            continue
        if not known:
            raise LandscapeError(
                f"{where}: {name} = {value:g} cannot be set, since the file has no parameters. "
                f"Write parameters = {{{name!r}: {value:g}}} in it, and let its functions take "
                f"them, as in def losses(w, {name}): ..."
            )
        near = get_close_matches(name, known, 1, PERHAPS)
        hint = f"Did you mean {near[0]}?" if near else f"It has {', '.join(known)}."
        raise LandscapeError(f"{where}: the file has no parameter {name} (= {value:g}). {hint}")
    # A whole number stays one where the file has one: it may count something.
    return {
        name: int(given[name])
        if name in given and isinstance(old, int) and given[name] == int(given[name])
        else given.get(name, old)
        for name, old in known.items()
    }


def _numbers(given: Any, where: str) -> dict[str, float]:
    if not isinstance(given, Mapping):
        raise LandscapeError(
            f"{where}: parameters = {given!r:.60} must be a dictionary of names and numbers, as in "
            f"{EXAMPLE}. If it is a helper of your own, rename it to _parameters."
        )
    result: dict[str, float] = {}
    for name, given_value in given.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise LandscapeError(
                f"{where}: parameters: {name!r:.60} is no name that a function could take. Use a "
                f"word, as in {EXAMPLE}."
            )
        value = number(given_value)
        if value is None or not math.isfinite(value):
            raise LandscapeError(
                f"{where}: the parameter {name} = {given_value!r:.60} must be a finite number, as "
                f"in {EXAMPLE}."
            )
        # Python's own whole numbers as they are; all else, such as NumPy's, as a float.
        result[name] = given_value if type(given_value) is int else value
    return result


def bound(
    functions: Mapping[str, Any],
    parameters: Mapping[str, float],
    where: str,
    weightless: Collection[str] = (),
) -> dict[str, Any]:
    """The functions of a file, by name, with the parameters that each of them takes filled in.

    What is not callable is returned as it is. The first argument is the weight, except in those
    that are `weightless`.

    Raises
    ------
    LandscapeError
        If no function takes some parameter, or one needs an argument that is not a parameter.
    """
    if not parameters:
        return dict(functions)
    used: set[str] = set()
    result = {}
    for name, function in functions.items():
        taken: list[str] = []
        if callable(function):
            taken = _taken(function, name, parameters, where, name in weightless)
        used.update(taken)
        result[name] = _with(function, {k: parameters[k] for k in taken}) if taken else function
    for name in parameters:
        if name not in used:
            names = [k for k, f in functions.items() if callable(f)]
            first = next((k for k in names if k not in weightless), "losses")
            raise LandscapeError(
                f"{where}: no function takes the parameter {name}, so that it would change "
                f"nothing. Let one: def {first}(w, {name}): ..., or remove {name} from parameters."
            )
    return result


def _taken(
    function: Callable[..., Any],
    called: str,
    parameters: Mapping[str, float],
    where: str,
    weightless: bool,
) -> list[str]:
    """The names of the parameters that a function takes."""
    try:
        arguments = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # as of NumPy's own functions
        return []
    if not weightless and arguments and arguments[0].kind in FIXED:
        first = arguments.pop(0).name
        if first in parameters:
            raise LandscapeError(
                f"{where}: the first argument of {called} is {first}, which is a parameter. The "
                f"weight comes first: def {called}(w, {first}): ..."
            )
    names = [a.name for a in arguments if a.kind in FIXED]
    needed = [a.name for a in arguments if a.kind in FIXED and a.default is a.empty]
    for name in needed:
        if name not in parameters:
            near = get_close_matches(name, parameters, 1, PERHAPS)
            hint = f"Did you mean {near[0]}?" if near else f"Add {name} to parameters."
            raise LandscapeError(
                f"{where}: {called} takes {name}, but the parameters of the file are "
                f"{', '.join(parameters)}. {hint}"
            )
    if any(a.kind is a.VAR_KEYWORD for a in arguments):
        return list(parameters)
    return [n for n in names if n in parameters]


def _with(function: Callable[..., Any], chosen: dict[str, float]) -> Callable[..., Any]:
    filled = functools.partial(function, **chosen)
    for attribute in ("__name__", "__module__", "__doc__"):  # errors name the function
        if hasattr(function, attribute):
            setattr(filled, attribute, getattr(function, attribute))
    return filled


def pairs_from(texts: Sequence[str], option: str = "--set") -> dict[str, str]:
    """The names and values of several NAME=VALUE."""
    result: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name.isidentifier() or not value:
            raise LandscapeError(
                f"{option} {text!r:.80} must be NAME=VALUE, a parameter of the file and what to "
                "set it to, as in sharpness=30."
            )
        if name in result:
            raise LandscapeError(
                f"{option} {name} is given twice, as {result[name]!r:.40} and as {value!r:.40}. "
                "Keep one of them."
            )
        result[name] = value
    return result


def parameters_from(texts: Sequence[str], option: str = "--set") -> dict[str, float]:
    """The same with a number each."""
    result = {}
    for name, text in pairs_from(texts, option).items():
        values = values_from(text, f"{option} {name}", example=f"{option} {name}=30")
        if len(values) > 1:
            raise LandscapeError(
                f"{option} {name}={text:.60}: these are {len(values)} values, and one is needed, "
                f"as in {option} {name}={values[0]:g}. The command sweep takes several."
            )
        result[name] = float(values[0])
    return result
