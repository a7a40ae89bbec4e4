"""How the time to leave a minimum grows as noise falls: the slope of its logarithm over 1 / T.

For small steps and noise the time is C exp(A / T), counted in learning rates; A, the activation, is
T times the barrier of the exponent [1]_. Where that product is not the same at the two lowest rates
(the potential changes with the temperature), or several minima are one basin, the times alone tell
A: what is not of this form falls as T, so that the secants between neighbouring learning rates have
the slope A - d / (x x') + ... with x = 1 / T, and lead to A.

References
----------
.. [1] H. A. Kramers, *Physica* 7 (1940) 284-304.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.result import Listed
from stationary.wording import SUFFIX

RATES = ("learning_rate", "temperature")  # what noise falls with
ROUNDING = 2.0**-50  # of a product of two doubles, and of a rate as it came from text
FEWEST = 4  # of these: three secants, and so a slope with its error


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation(Listed):
    """The slope of the log of the mean time to leave a minimum over 1 / learning rate.

    Or over 1 / temperature, where that was swept.
    """

    label: int  # of the minimum
    slope: float  # in units of the learning rate, or temperature; natural logarithm
    error: float  # absolute
    fixed: Mapping[str, Any]  # the values of what else was swept
    rows: tuple[int, ...]  # of the sweep, noise falling
    standard_error: float = math.nan  # of a sample, where barriers tell the slope


def activations(
    columns: Mapping[str, Array], swept: Mapping[str, Array], labels: tuple[int, ...]
) -> tuple[Activation, ...]:
    """The activation of each minimum at each value of what else was swept.

    Parameters
    ----------
    columns
        The table of a sweep, with `log_exit_time` among them.
    swept
        The values along each axis that has several, in each row; the learning rate's last.
    """
    rate = rate_of(swept)
    others = {name: values for name, values in swept.items() if name != rate}
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row in range(len(swept[rate])):
        groups.setdefault(tuple(values[row].item() for values in others.values()), []).append(row)
    found = []
    for key, group in groups.items():
        for label in labels:
            times = columns.get(f"log_exit_time_{label}")
            if times is None:
                continue
            known = np.array([row for row in group if np.isfinite(times[row])], dtype=int)
            known = known[np.argsort(-swept[rate][known], kind="stable")]
            if len(known) >= FEWEST:
                by = np.nan_to_num(columns[f"log_exit_time_{label}_error"][known])
                rates, y = swept[rate][known], times[known]
                # Steps of SGD are as long as the learning rate.
                y = y + np.log(rates) if rate == RATES[0] else y
                told = _by_barriers(rates, known, label, columns) or _led_to(rates, y, by)
                fixed = dict(zip(others, key, strict=True))
                slope, error, sure = told
                found.append(
                    Activation(
                        label=label, slope=slope, error=error, fixed=fixed,
                        rows=tuple(known.tolist()), standard_error=sure,
                    )
                )  # fmt: skip
    return tuple(found)


def rate_of(swept: Iterable[str]) -> str:
    """Which of the `RATES` was swept, the learning rate first; empty if neither."""
    return next((name for name in RATES if name in swept), "")


def _by_barriers(
    rates: Array, rows: Array, label: int, columns: Mapping[str, Array]
) -> tuple[float, float, float] | None:
    """The barrier times the rate, at the lowest one, with its errors; None where it is not that."""
    barriers = columns.get(f"barrier_{label}")
    if barriers is None:
        return None
    errors = columns[f"barrier_{label}_error"][rows[-2:]] * rates[-2:]
    before, last = barriers[rows[-2:]] * rates[-2:]
    if not abs(last - before) <= errors.sum() + ROUNDING * abs(last):
        return None
    sure = columns.get(f"barrier_{label}{SUFFIX}", np.full(len(barriers), math.nan))[rows[-1]]
    return float(last), float(errors[1] + ROUNDING * last), float(sure * rates[-1])


def _led_to(rates: Array, log_times: Array, errors: Array) -> tuple[float, float, float]:
    """Where the last two secants lead as the learning rate falls to 0, and how far that may be off.

    What that changes by from one learning rate to the next falls at least as the learning rate.
    """
    rates, y, by = (v[-FEWEST:] for v in (rates, log_times, errors))
    x = 1 / rates
    secants, rough = np.diff(y) / np.diff(x), (by[1:] + by[:-1]) / np.diff(x)
    u = rates[1:] * rates[:-1]
    gain = u[1:] / (u[:-1] - u[1:])
    led = secants[1:] + gain * np.diff(secants)
    rest = rates[-1] / (rates[-2] - rates[-1])
    off = 2 * max(abs(led[-1] - secants[-1]), 1.5 * rest * abs(led[-1] - led[-2]))
    return float(led[-1]), float(off + rough[-1] + gain[-1] * (rough[-1] + rough[-2])), math.nan
