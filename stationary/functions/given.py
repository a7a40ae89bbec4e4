"""What a user gives for a process, checked: its domain, its ends, points, and noise."""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from enum import Enum
from typing import Any, TypeVar

import numpy as np

from stationary.errors import LandscapeError
from stationary.numbers.arithmetic import SAME

T = TypeVar("T")

LARGEST = 1e100  # end of a domain: its square, times that of a slope, is a double
NO_NUMBERS = (bool, np.bool_, str, bytes, complex, np.complexfloating)
ALIKE = 0.6  # how much a name must look like another one for "did you mean"

# What optimisers have and plain SGD has not, and how to have it all the same.
_MOMENTUM = (
    "It is not modelled. For small steps its end state is that of SGD with momentum: write "
    "momentum = 0.9."
)
_SCHEDULE = 'Write schedule = "cosine:0.1:0.001:20000", or its like, in place of learning_rate.'
_BETAS = "Did you mean betas = (0.9, 0.999)?"
OPTIMISERS = (
    dict.fromkeys(("nesterov", "dampening"), _MOMENTUM)
    | dict.fromkeys(("decay", "l2", "wd"), "Did you mean weight_decay?")
    | dict.fromkeys(
        ("clip_norm", "clip_value", "grad_clip", "gradient_clip", "max_grad_norm"),
        "Did you mean clip?",
    )
    | dict.fromkeys(("scheduler", "lr_schedule", "warmup", "annealing"), _SCHEDULE)
    | dict.fromkeys(("beta1", "beta2"), _BETAS)
    | {"amsgrad": "It is not modelled. Leave it out, and take the answer so."}
    | {"optimizer": "Did you mean optimiser?"}
)


def way_out(name: str, known: Iterable[str]) -> str:
    """What to do about a name that means nothing here."""
    plain = name.lower()
    if plain in OPTIMISERS:
        return OPTIMISERS[plain]
    return meant(plain, known, f"Known are {', '.join(known)}.")


def meant(name: str, known: Iterable[str], otherwise: str) -> str:
    """Which of the known names was meant (in the words of a mapping), or something else to say."""
    near = get_close_matches(name, known, 1, ALIKE)
    if not near:
        return otherwise
    return f"Did you mean {known[near[0]] if isinstance(known, Mapping) else near[0]}?"


def unknown(names: Iterable[str], known: Iterable[str], what: str) -> LandscapeError:
    """The error for arguments that `what` does not take."""
    first = next(iter(names))
    return LandscapeError(f"{what} has no {first}. {way_out(first, known)}")


def named(*known: str) -> Callable[[type[T]], type[T]]:
    """Make a dataclass that says of keywords it does not take what may have been meant.

    That is one of the known ones, or else of all that it takes.
    """

    def decorator(made: type[T]) -> type[T]:
        original: Callable[..., None] = made.__init__
        taken = list(inspect.signature(original).parameters)[1:]

        @functools.wraps(original)
        def checked(self: T, *arguments: Any, **given: Any) -> None:
            strange = [name for name in given if name not in taken]
            if strange:
                raise unknown(strange, known or taken, getattr(made, "kind", made.__name__))
            original(self, *arguments, **given)

        made.__init__ = checked  # type: ignore[assignment, method-assign]
        return made

    return decorator


class Boundary(Enum):
    """What happens at an end of the domain."""

    REFLECTING = "reflecting"
    ABSORBING = "absorbing"
    NATURAL = "natural"
    PERIODIC = "periodic"  # both ends are one point: the domain is a ring


def _boundary(word: Any, end: str, where: str) -> Boundary | None:
    if word is None or isinstance(word, Boundary):
        return word
    try:
        return Boundary(word)
    except ValueError:
        raise LandscapeError(
            f"{where}: boundaries: {word!r} at the {end} end is not supported. "
            'Use "reflecting", "absorbing", "natural", "periodic" (both ends), or leave it out '
            "(an end then behaves as the process makes it)."
        ) from None


def checked_boundaries(given: Any, where: str) -> tuple[Boundary | None, Boundary | None]:
    """What was said of the two ends, as a pair."""
    ends = (given, given) if given is None or isinstance(given, (str, Boundary)) else given
    if not isinstance(ends, (tuple, list)) or len(ends) != 2:
        raise LandscapeError(
            f"{where}: boundaries = {given!r} must be one word or a pair of words, "
            'as in ("reflecting", "natural").'
        )
    pair = _boundary(ends[0], "lower", where), _boundary(ends[1], "upper", where)
    if pair.count(Boundary.PERIODIC) == 1:
        raise LandscapeError(
            f"{where}: boundaries = {given!r}: one end alone cannot be periodic, since periodic "
            'ends are joined to each other. Write boundaries = "periodic" for both, or say what '
            "happens at either end."
        )
    return pair


def checked_breakpoints(given: Any, where: str, domain: tuple[float, float]) -> tuple[float, ...]:
    """The breakpoints inside the domain, ascending."""
    points = None
    if isinstance(given, (list, tuple, set, frozenset, np.ndarray)):
        points = [number(p) if np.ndim(p) == 0 else None for p in given]
    if points is None or any(p is None or not math.isfinite(p) for p in points):
        raise LandscapeError(
            f"{where}: breakpoints = {given!r} must be a list of finite numbers, as in [0.5, 2]."
        )
    lower, upper = domain
    known = sorted({p for p in points if p is not None})
    outside = [f"{p:g}" for p in known if not lower <= p <= upper]
    if outside:
        raise LandscapeError(
            f"{where}: breakpoints: {', '.join(outside)} lie{'s' * (len(outside) == 1)} outside "
            f"the domain ({lower:g}, {upper:g}). Remove what cannot be meant, or widen the domain."
        )
    return tuple(p for p in known if lower < p < upper)


def masked(given: Any) -> int:
    """How many of these values are masked: none, as long as nothing has imported masked arrays."""
    ma = sys.modules.get("numpy.ma")
    return int(ma.getmaskarray(given).sum()) if ma and ma.is_masked(given) else 0


def number(given: Any) -> float | None:
    """`given` as a float if it is a real number (not a truth value or a string), else None."""
    if isinstance(given, NO_NUMBERS) or masked(given):
        return None
    try:
        return float(given)
    except (TypeError, ValueError, OverflowError):
        return None


def whole(given: Any, least: float = 1, most: float = math.inf) -> int | None:
    """`given` as an int if it is a whole number from `least` to `most`, else None."""
    value = number(given)
    return int(given) if value is not None and least <= value <= most and not value % 1 else None


def checked_whole(
    given: Any, name: str, where: str, least: int = 1, most: float = math.inf, hint: str = ""
) -> int:
    """The same, or an error that says so."""
    if (value := whole(given, least, most)) is None:
        top = f"{most:.0e}" if most > 10**9 else most
        wanted = f", at least {least}" if most == math.inf else f" from {least} to {top}"
        raise LandscapeError(
            f"{where}: {name} = {given!r:.40} must be a whole number{wanted}{hint}."
        )
    return value


def typed(text: str) -> float | None:
    """A number as it is typed, or None; 1_0 is 10 in Python alone."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def short(value: Any) -> str:
    """A value as errors show it: on one line, and not all of a long one."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57].rpartition(' ')[0] or text[:57]} ..."


def checked_noise(given: Any, where: str) -> float:
    """A variance that is to be added, as a float."""
    eps = number(given)
    if eps is None or not 0 <= eps < math.inf:
        raise LandscapeError(
            f"{where}: regularise = {given!r:.80} must be a variance to add, at least 0, in units "
            "of x^2 per time, such as 1e-6."
        )
    if 0 < eps < sys.float_info.min:
        raise LandscapeError(
            f"{where}: regularise = {given!r:.80} is less than any double with all its digits: "
            f"the least is {sys.float_info.min:.3g}. Add more, or 0."
        )
    return eps


def interval(
    domain: Any, where: str, narrowest: float = SAME, what: str = "domain", finite: bool = False
) -> tuple[float, float]:
    """`domain` as two ascending floats, or an error that says what is wrong with it, which offers
    infinite ends unless it has to be `finite`."""
    pair = isinstance(domain, (tuple, list, np.ndarray)) and len(domain) == 2
    lower, upper = (number(end) for end in domain) if pair else (None, None)
    if lower is None or upper is None:
        raise LandscapeError(
            f"{where}: {what} = {domain!r:.80} is not a pair of numbers. Write {what} = (-1, 4)"
            f"{'' if finite else '; an end may be -np.inf or np.inf'}."
        )
    if math.isnan(lower) or math.isnan(upper):
        raise LandscapeError(
            f"{where}: {what} = ({lower:g}, {upper:g}) has an end that is nan. Give two numbers, "
            f"as in {what} = (-1, 4)."
        )
    if not lower < upper:
        remedy = f"Swap the two, or widen the {what}." if lower > upper else f"Widen the {what}."
        raise LandscapeError(
            f"{where}: the {what} is empty: {lower:g} is not below {upper:g}. {remedy}"
        )
    largest = max((abs(end) for end in (lower, upper) if math.isfinite(end)), default=0.0)
    if largest > LARGEST:
        raise LandscapeError(
            f"{where}: the {what} ({lower:g}, {upper:g}) reaches beyond {LARGEST:g}, where doubles "
            "overflow. Measure in larger units, or use np.inf for an end without limit."
        )
    if upper - lower <= narrowest * largest and math.isfinite(upper - lower):
        raise LandscapeError(
            f"{where}: the {what} ({lower!r}, {upper!r}) is so narrow that doubles cannot tell "
            f"points in it apart. Shift the origin into the {what}."
        )
    return lower, upper
