"""What the columns of a table must hold, and what is said of the first entry that does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.functions.given import LARGEST

NOISELESS = (
    "means over the datapoints, which tell no noise: give losses or gradients of each, shape "
    "(N, n), or columns gradient and variance."
)
ONE = "Tables are of one weight; of two, give losses(w) or gradients(w) for w of shape (2, M)."
CLOSEST, HIGHEST = 1e-30, 1e70  # splines have ninth powers of steps, jumps fourth ones of gradients
MOST = 200_000  # values of w, a panel or more between each two: 100,000 take 9 s and 0.8 GB
UNITS = 3.0  # by which errors may differ from those that the number of samples gives

Columns = dict[str, Array]
Place = Callable[[int], str]  # the file, and the line or row of an entry


def check_entries(c: Columns, where: str, lines: list[int] | None) -> None:
    """Raise for the first entry that is not what its column should hold."""
    place = "w" if "w" in c else "x"

    def at(i: int) -> str:
        return f"{where}, " + (f"row {i}" if lines is None else f"line {lines[i]}")

    _check_shapes(c, place, where, at)
    _check_places(c[place], place, at)
    _check_sizes(c, place, where)
    _check_signs(c, place, at)
    if "count" in c:
        c["count"] = np.broadcast_to(c["count"], c[place].shape)
        _check_counts(c, where, at)


def _check_shapes(c: Columns, place: str, where: str, at: Place) -> None:
    """Numbers, as many as there are places."""
    w = c[place]
    if w.ndim == 1 and len(w) > MOST:
        raise LandscapeError(
            f"{where}: {len(w):,} values of {place} are more than the {MOST:,} between which "
            "anything is followed. Average neighbouring rows: some hundred tell a smooth curve."
        )
    if w.ndim != 1 or len(w) < 3:  # of two nothing tells what is between them
        raise LandscapeError(
            f"{where}: {place} has shape {w.shape}; a curve needs three places or more, shape "
            f"(n,). {'Measure at more of them.' if w.ndim < 2 else ONE}"
        )
    for name, values in c.items():
        wanted = f"({len(w)},)"
        right = values.shape == w.shape or (name == "count" and values.ndim == 0)
        if name in ("gradients", "losses"):
            wanted, right = f"(N, {len(w)})", values.shape[1:] == w.shape and values.size > 0
        if not right:
            turned = values.ndim == 2 and values.shape[0] == len(w)
            hint = "Transpose it: datapoints first." if turned else "They belong together."
            if name in ("gradients", "losses") and values.ndim == 1:
                hint = f"These are {NOISELESS}"
            raise LandscapeError(
                f"{where}: {name} has shape {values.shape}, but {place} has {len(w)} entries, so "
                f"that {wanted} is expected. {hint}"
            )
        bad = ~np.isfinite(values)
        if bad.any():
            index = [int(k) for k in np.argwhere(bad)[0]]
            i = index[-1] if index else 0
            which = f" of datapoint {index[0]}" if len(index) == 2 else ""
            value = values[tuple(index)]
            hint = "Leave out rows with nothing in them, as with df.dropna()."
            if np.isinf(value):
                hint = "Numbers are below 1.8e308; leave the row out where it diverges."
            raise LandscapeError(f"{at(i)}: {name}{which} is {value:g}. {hint}")


def _check_places(w: Array, place: str, at: Place) -> None:
    """Ascending, and as far apart as powers of steps need to be."""
    down = np.flatnonzero(np.diff(w) <= 0)
    if len(down):
        i = int(down[0]) + 1
        same = w[i] == w[i - 1]
        raise LandscapeError(
            f"{at(i)}: {place} = {w[i]:.16g} comes after {w[i - 1]:.16g}, but must "
            "ascend. "
            + (f"Average the rows with the same {place}. {ONE}" if same else f"Sort by {place}.")
        )
    if np.diff(w).min() < CLOSEST:
        i = int(np.argmin(np.diff(w))) + 1
        raise LandscapeError(
            f"{at(i)}: {place} = {w[i]:g} comes {w[i] - w[i - 1]:.3g} after the last one, "
            f"and powers of less than {CLOSEST:g} overflow doubles. Measure in smaller units."
        )


def _check_sizes(c: Columns, place: str, where: str) -> None:
    """No larger than doubles hold the powers of."""
    for name, values in c.items():
        most = {place: LARGEST, "variance": HIGHEST**2}.get(name, HIGHEST)
        highest = float(np.abs(values).max())
        if highest > most:
            raise LandscapeError(
                f"{where}: the largest of {name} is {highest:.3g}, and powers of more than "
                f"{most:g} overflow doubles. Measure in larger units."
            )


def _check_signs(c: Columns, place: str, at: Place) -> None:
    """Variances from 0 on, and errors above it."""
    for name in ("variance", "gradient_error", "drift_error", "variance_error"):
        low = c[name].min() if name in c else 1.0
        if low < 0 or (low == 0 and name != "variance"):
            i = int(np.argmin(c[name]))
            what = "not negative" if name == "variance" else "positive"
            hint = "Give the variance over the datapoints, a square."
            if name != "variance":
                hint = f"Give its standard error, or leave the column out if {name[:-6]} is exact."
            raise LandscapeError(
                f"{at(i)}: {name} = {low:g} at {place} = {c[place][i]:g} must be {what}. {hint}"
            )


def _check_counts(c: Columns, where: str, at: Place) -> None:
    """Samples enough for a variance, and errors of the means that go with both."""
    if (bad := (c["count"] < 2) | (c["count"] % 1 != 0)).any():
        i = int(np.argmax(bad))
        raise LandscapeError(
            f"{at(i)}: count = {c['count'][i]:g} must be a whole number: a variance is from at "
            "least 2 samples."
        )
    if "gradient_error" in c and c["variance"].min() > 0:
        ratio = c["gradient_error"] / np.sqrt(c["variance"] / c["count"])
        typical = float(np.exp(np.median(np.log(ratio))))
        if not 1 / UNITS < typical < UNITS:
            raise LandscapeError(
                f"{where}: gradient_error is about {typical:.2g} times sqrt(variance / count), "
                "which it should be. Is variance that over the datapoints (not that of their "
                "mean), gradient_error a standard error (not a deviation), and both in the "
                "same units? Leave count out if it means something else."
            )
