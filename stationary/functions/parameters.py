"""Parameters: `parameters = {"sharpness": 100.0}`, handed over to the functions of a process.

Each function is given those parameters that its signature takes, by name; one that takes
``**parameters`` is given all of them.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from stationary.errors import LandscapeError, StationaryError, UserFunctionError
from stationary.functions.evaluation import explained
from stationary.functions.given import meant, number

MOVABLE = ("domain", "breakpoints")  # that may be functions of the parameters
EXAMPLE = 'parameters = {"sharpness": 100.0}'
FIXED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Parameters(Mapping[str, float]):
    """Parameters that the functions of a process have been given; read-only."""

    def __init__(self, values: Mapping[str, float]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


def chosen_parameters(
    defaults: Any, changes: Any, where: str, reserved: Collection[str] = ()
) -> dict[str, float]:
    """The parameters that a file defines (`defaults`, or None), with the values that were changed.

    None may have one of the `reserved` names, which are those of settings.
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
        hint = meant(name, list(known), f"It has {', '.join(known)}.")
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


def handed_over(
    given: Mapping[str, Any], parameters: Any, where: str
) -> tuple[dict[str, Any], Parameters]:
    """What was given for a process, by name, after its functions have got their parameters.

    `domain` and `breakpoints` may be functions of the parameters alone. `Parameters` have been
    handed over before.
    """
    if isinstance(parameters, Parameters):
        return dict(given), parameters
    chosen = Parameters(chosen_parameters(parameters, None, where))
    result = _bound(given, chosen, where)
    for key in MOVABLE:
        function = result.get(key)
        if chosen and callable(function):
            try:
                result[key] = function()
            except StationaryError:
                raise
            except Exception as error:
                raise UserFunctionError(explained(function, error)) from error
    return result, chosen


def _bound(
    functions: Mapping[str, Any], parameters: Mapping[str, float], where: str
) -> dict[str, Any]:
    """The functions of a process, by name, with the parameters that each of them takes filled in.

    What is not callable is returned as it is. The first argument is the weight, except in those
    that say where things are.
    """
    if not parameters:
        return dict(functions)
    result, used = filled(functions, parameters, where)
    for name in parameters:
        if name not in used:
            names = [k for k, f in functions.items() if callable(f)]
            first = next((k for k in names if k not in MOVABLE), "losses")
            raise LandscapeError(
                f"{where}: no function takes the parameter {name}, so that it would change "
                f"nothing. Let one: def {first}(w, {name}): ..., or remove {name} from parameters."
            )
    return result


def filled(
    functions: Mapping[str, Any], parameters: Mapping[str, float], where: str
) -> tuple[dict[str, Any], set[str]]:
    """The same, and which parameters any of them takes; none need be."""
    used: set[str] = set()
    result = {}
    for name, function in functions.items():
        taken: list[str] = []
        if parameters and callable(function):
            taken = _taken(function, name, parameters, where, name in MOVABLE)
        used.update(taken)
        result[name] = _with(function, {k: parameters[k] for k in taken}) if taken else function
    return result, used


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
            hint = meant(name, list(parameters), f"Add {name} to parameters.")
            raise LandscapeError(
                f"{where}: {called} takes {name}, but the parameters are "
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
