"""What happens where NumPy is asked for a function of a Taylor: the rules are looked up here.

A function that is in no table runs as NumPy wrote it, on an object array of single series, if it
can. `np.round` is none: what is rounded has no slope to tell.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stationary.errors import NotDifferentiableError
from stationary.functions.source_lines import refusal
from stationary.numbers.cost import SINGLES

Rule = Callable[..., Any]
UFUNCS: dict[Any, Rule] = {}  # np.exp, ...; those of other packages by name
UFUNC_METHODS: dict[Any, Rule] = {}  # (np.add, "reduce"), ...; "outer", ... of the rule of any
FUNCTIONS: dict[Any, Rule] = {}  # np.where, ...
METHODS: dict[str, Rule] = {}  # array.sum, ..., and what NumPy asks the entries of object arrays


class Called:
    """How NumPy asks: `np.exp(w)` and `w.exp()` (object arrays), `np.sum(w)` and `w.sum()`."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        (target,) = options.pop("out", None) or (None,)
        if options.get("dtype", int) is float:
            del options["dtype"]
        if isinstance(target, np.ndarray) and method == "__call__" and target is inputs[0]:
            # `total += w` of a plain array: the old array becomes nan, not to be misread.
            made = self.__array_ufunc__(ufunc, method, target.copy(), *inputs[1:], **options)
            target[...] = np.nan
            return made
        rule = UFUNCS.get(ufunc, UFUNCS.get(ufunc.__name__))
        if method != "__call__":
            of_any = UFUNC_METHODS.get(method) if rule else None
            of_any = None if of_any is None else functools.partial(of_any, rule)
            rule = UFUNC_METHODS.get((ufunc, method), of_any)
        kept = target is None or isinstance(target, Called)
        chosen = options.pop("where", True) if method == "__call__" and target is not None else True
        if rule is None or not kept or (options and method == "__call__"):
            name = ufunc.__name__ + ("" if method == "__call__" else f".{method}")
            name = f"np.{name}" if getattr(np, ufunc.__name__, None) is ufunc else name
            raise refusal(name, "with out= or other options" if rule else "")
        made = rule(*inputs, **options)
        if target is None:
            return made
        target[...] = made if chosen is True else np.where(chosen, made, target)
        return target

    def __array_function__(
        self, function: Any, types: Any, arguments: Sequence[Any], options: dict[str, Any]
    ) -> Any:
        rule = FUNCTIONS.get(function)
        known = options.get("out") is None and "initial" not in options
        if rule is not None and known:
            options = {k: v for k, v in options.items() if k != "out"}
            return rule(*arguments, **options)
        module = function.__module__.replace("numpy", "np", 1)
        refused = refusal(f"{module}.{function.__name__}", "with out= or initial=" if rule else "")
        as_written = getattr(function, "_implementation", None)
        if as_written is None or not known or function is np.round:
            raise refused
        try:
            return as_written(*map(_singles, arguments), **options)
        except NotDifferentiableError:
            raise refused from None
        except (TypeError, ValueError, AttributeError) as error:
            raise refused from error


def _singles(given: Any) -> Any:
    """Series as object arrays of single ones, also in a list of arrays."""
    if isinstance(given, (list, tuple)):
        return type(given)(map(_singles, given)) if type(given) in (list, tuple) else given
    return np.asarray(given) if isinstance(given, Called) else given


class _Singles(threading.local):
    """How many entries were taken out of arrays, in the call that this thread runs."""

    count = 0


singles = _Singles()


def taken_apart(size: int) -> None:
    """Refuses arrays of objects where their entries are too many to be followed one by one."""
    singles.count += size
    if singles.count > SINGLES:
        raise refusal(
            None,
            "becomes an array of objects, each entry of which would be calculated by itself, for "
            "minutes. Join arrays with np.stack before anything else is done to them, as in "
            "np.max(np.stack(rows), axis=0), and use no np.vectorize",
        )
