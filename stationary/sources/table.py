"""`table`: gradients, or a drift and a variance, that somebody measured at a few weights.

Columns are `w, gradient, variance`, with `gradient_error`, `variance_error` and `count` where these
are estimates; or arrays `w` (n,) with `gradients` or `losses` (N, n) of each datapoint, or a column
for each, `gradient_0, gradient_1, ...`; or `x, drift, variance` of any process. A table is data:
reading one runs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.functions.given import ALIKE
from stationary.functions.interpolation import Spline
from stationary.functions.rounding import UNITS
from stationary.process.diffusion import Diffusion
from stationary.process.known import KnownGradients
from stationary.process.landscape import Landscape
from stationary.result import Result
from stationary.sources.columns import CLOCKS, DATES, RUN, Needed, columns_of, gathered
from stationary.sources.curves import Curves
from stationary.sources.entries import NOISELESS, ONE, check_entries
from stationary.sources.interpolated import DEGREE, Interpolated, known_from
from stationary.sources.settings import CLEARLY
from stationary.wording import MOST_NAMED

PLACES = ("w", "x")
OPTIONAL = ("gradient_error", "drift_error", "variance_error", "count")
KNOWN = (*PLACES, "gradient", "drift", "variance", "gradients", "losses", *OPTIONAL)
ROOTS = ("sd", "std", "sigma", "deviation", "stdev", "standard_deviation")


@dataclass(frozen=True, eq=False, repr=False)
class Table(Result):
    """A table that was read and checked. Printed, it says what it holds.

    Attributes
    ----------
    name
        What errors and reports call it.
    columns
        What it holds, by name; those that mean nothing here are `ignored`.
    smooth
        Whether values with errors are smoothed.
    units
        Of columns that came in less than double precision, half a spacing of numbers at 1.
    """

    name: str
    columns: dict[str, Array]
    smooth: bool = True
    ignored: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    units: dict[str, float] = field(default_factory=dict)

    @property
    def variable(self) -> str:
        return "w" if "w" in self.columns else "x"

    @property
    def w(self) -> Array:
        """Where it was measured, shape (n,), ascending."""
        return self.columns[self.variable]

    @property
    def kind(self) -> str:
        """ "gradients" or "losses" of datapoints, "moments" of gradients, or a "process"."""
        found = [k for k in ("gradients", "losses") if k in self.columns]
        return found[0] if found else "process" if "drift" in self.columns else "moments"

    @property
    def datapoints(self) -> int:
        """N, where each datapoint has a row; else 0."""
        return len(self.columns[self.kind]) if self.kind in ("gradients", "losses") else 0

    @cached_property
    def curves(self) -> Curves:
        """The curves through what was measured, of a table of moments or of a process."""
        c, main = self.columns, "drift" if self.kind == "process" else "gradient"
        of_mean, of_variance = c.get(f"{main}_error"), c.get("variance_error")
        if "count" in c:  # of samples that are as good as normal
            if of_mean is None:
                of_mean = np.sqrt(c["variance"] / c["count"])
            if of_variance is None:
                of_variance = c["variance"] * np.sqrt(2 / (c["count"] - 1))
        values, v = c[main], c["variance"]
        rounded = self._rounding(main), self.units.get("variance", 0.0)
        return Curves(self.w, values, v, of_mean, of_variance, self.smooth, main, rounded)

    def _rounding(self, name: str) -> float:
        """How far numbers of a column are off, by the type that they came in."""
        return self.units.get(name, 0.0) * float(np.sqrt(np.mean(self.columns[name] ** 2)))

    def landscape(
        self,
        learning_rate: float | None = None,
        batch_size: int | None = None,
        *,
        datapoints: int | None = None,
        **more: Any,
    ) -> Landscape:
        """SGD on what the table holds.

        Parameters
        ----------
        learning_rate, batch_size, more
            As for a `Landscape`. Without a domain it is that of the table, whose ends reflect.
        datapoints
            N, where the table does not tell it; only draws without replacement need it.
        """
        if self.kind == "process":
            raise LandscapeError(
                f"{self.name}: a drift and a variance make a process, of no learning rate. Use "
                ".diffusion(), or name the columns gradient and variance (over the datapoints)."
            )
        if not more.get("replacement", True) and not (datapoints or self.datapoints):
            raise LandscapeError(
                f"{self.name}: to draw without replacement the number of datapoints must be known: "
                "give datapoints=N to .landscape(), or the gradients of each datapoint."
            )
        n = self.datapoints or (datapoints if datapoints is not None else 0)
        given = {"learning_rate": learning_rate, "batch_size": batch_size}
        given = {k: v for k, v in given.items() if v is not None}  # else what `table` was given
        return Landscape(
            gradients=self._known(n), **{"name": self.name} | self.settings | given | more
        )

    def diffusion(self, **more: Any) -> Diffusion:
        """The process of a table of x, drift and variance; `more` as for a `Diffusion`."""
        if self.kind != "process":
            raise LandscapeError(
                f"{self.name}: {self.kind} make a landscape: use .landscape(learning_rate=0.1). A "
                "process has columns x, drift and variance."
            )
        curves = self.curves
        fields = {"name": self.name, "domain": (-math.inf, math.inf)} | self.settings | more
        fields["domain"] = self._known(0).within(fields["domain"], self.name)
        points = [*fields.pop("breakpoints", ()), *self.w[1:-1].tolist()]
        return Diffusion(
            drift=curves.mean,
            variance=curves.variance,
            breakpoints=[b for b in points if fields["domain"][0] < b < fields["domain"][1]],
            uncertainty=curves.error,
            sample=curves.sample,
            variable=self.variable,
            notes=self.notes,
            **fields,
        )

    def process(self, **changes: Any) -> Landscape | Diffusion:
        """A landscape or a diffusion, as the columns say."""
        return self.diffusion(**changes) if self.kind == "process" else self.landscape(**changes)

    def _known(self, n: int) -> KnownGradients:
        if not self.datapoints:
            c = self.curves
            return KnownGradients(
                mean=c.mean, variance=c.variance, datapoints=n, name=self.name, error=c.error,
                domain=(float(self.w[0]), float(self.w[-1])), knots=self.w[1:-1], sample=c.sample,
                notes=self.notes,
            )  # fmt: skip
        values = np.ascontiguousarray(self.columns[self.kind].T)
        floor = self._rounding(self.kind)
        if self.kind == "gradients":
            table = Interpolated.through(self.w, values, floor, DEGREE).once()
            return known_from(table, name=self.name, notes=self.notes)
        slopes = [Spline.through(self.w, values, k).taylor(self.w, 1)[1] for k in (5, 7)]
        table, other = (Interpolated(self.w, s, of_losses=floor) for s in slopes)
        off = Spline.through(self.w, np.abs(other.gradients - table.gradients).mean(axis=1), 1)

        def error(w: Array) -> tuple[Array, Array]:
            of_g, of_s = table.error(w)
            more = np.abs(off(w))  # of the slopes at the knots themselves
            return of_g + more, of_s + 2 * np.sqrt(table.moments(w)[1]) * more

        return known_from(table, name=self.name, notes=self.notes, error=error)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a report should say of the table."""
        low, high = self.w[0], self.w[-1]
        what = "each datapoint" if self.datapoints else "drift and variance"
        what += f" (the first axis of {self.kind})" * (self.datapoints == len(self.w))
        if self.kind == "moments":
            what = "mean and variance of the gradients"
        how = "interpolated between"
        if self.datapoints == 0 and self.curves.smoothed:
            how = "smoothed, with the weights of its errors, over"
        notes = [
            f"{self.name} has {len(self.w)} values of {self.variable} from {low:g} to {high:g}; "
            f"{what} {'is' if self.datapoints else 'are'} {how} them, and nothing is known "
            "outside: the walls at its ends are where it ends"
        ]
        off = [self._rounding(name) for name in self.units if name != self.variable]
        if any(off):
            notes.append(
                "numbers that came in less than double precision are rounded, to about "
                f"{max(off):.0e}, which is in all errors"
            )
        if self.datapoints == 0:
            notes += self.curves.notes(self.variable)
        return tuple(notes)

    @property
    def equilibria(self) -> tuple[tuple[float, bool, float], ...]:
        """The zeros of the drift: position, whether stable, and on how many standard errors.

        That is the least height, in standard errors, of the two stretches of drift next to it; inf
        where the table has no errors.
        """
        if self.datapoints:
            return ()
        sign = -1 if self.kind == "moments" else 1
        return self.curves.zeros(sign)

    def __repr__(self) -> str:
        return f"<Table {self.name!r}: {self.kind} at {len(self.w)} values of {self.variable}>"


def table(source: Any, *, smooth: bool = True, **settings: Any) -> Table:
    """Gradients, losses or a process, measured at a few weights.

    Parameters
    ----------
    source
        The path of a CSV, NPZ or Parquet file (the last by ``stationary[parquet]``), a data frame,
        or a mapping of columns to arrays. Columns, each of n numbers: `w`, `gradient` (the mean
        over the datapoints) and `variance` (over the datapoints, not of the mean), and where these
        are estimates `gradient_error`, `variance_error` (standard errors), or `count` (the number
        of datapoints that they are from); or `w` with `gradients` or `losses`, shape (N, n), or
        with a column for each datapoint, `gradient_0` (or `g0`, `loss_0`) and so on; or `x`,
        `drift`, `variance`.
    smooth
        Values with errors are smoothed, with the weights of their errors. False: interpolated.
    settings
        Fields of every landscape or diffusion made of it, such as ``boundaries="absorbing"``.

    Raises
    ------
    LandscapeError
        If a column is missing or is not what it should be; the message says which, and where.
    """
    columns, where, lines = columns_of(source, needed=Needed(KNOWN))
    if "name" in settings:
        where = settings["name"]
    given = gathered(columns, where)
    c, ignored = _named(given, where)
    check_entries(c, where, lines)
    units = {k: UNITS[str(given[k].dtype)] for k in c if str(given[k].dtype) in UNITS}
    return Table(where, c, smooth, ignored, settings, units)


def _named(columns: dict[str, Array], where: str) -> tuple[dict[str, Array], tuple[str, ...]]:
    """The columns that mean something, under their own names, and those that do not."""
    c = {k: np.asarray(v, dtype=float) for k, v in columns.items() if k in KNOWN}
    others = [k for k in columns if k not in KNOWN]

    def missing(names: Sequence[str], why: str) -> LandscapeError:
        plain = {k.lower().partition(" ")[0]: k for k in others}  # "W", "gradient (1/s)"
        near = [(n, plain[m]) for n in names for m in get_close_matches(n, plain, 1, ALIKE)]
        means = [k for k in others if "loss" in k.lower() and np.ndim(columns[k]) == 1]
        roots = [k for k in others if k.lower() in ROOTS]
        listed = ", ".join(list(columns)[:MOST_NAMED]) or "no columns of numbers"
        hint = f"It has {listed}{' and so on' * (len(columns) > MOST_NAMED)}."
        halves = [k for k in others if k.lower() == "diffusivity"]
        if "variance" in names and (roots or halves):
            how = f"{roots[0]}: its square is" if roots else f"{halves[0]}: twice that is"
            hint = f"It has {how} the variance."
        elif "losses" in names and means:
            hint = f"It has {means[0]}, {NOISELESS}"
        elif len([k for k in others if k[:1] in PLACES and k[1:].strip("_").isdigit()]) > 1:
            hint += f" {ONE}"
        elif near:
            hint = f"Did you mean {near[0][1]}? Rename it to {near[0][0]}."
        elif "losses" in names and len(columns) > MOST_NAMED:
            hint += (
                " If there is a column for each datapoint, call them gradient_0, gradient_1 and "
                "so on, or loss_0, ..."
            )
        return LandscapeError(f"{where}: there is no column {' or '.join(names)}{why}. {hint}")

    main = [k for k in ("gradients", "losses", "gradient", "drift") if k in c]
    if not main and (columns.keys() == {"x"} or not {RUN, DATES, *CLOCKS}.isdisjoint(columns)):
        raise LandscapeError(
            f"{where}: this seems to be a recorded series ({', '.join(columns)}), and is no table "
            "of gradients or of a drift: stationary.fit takes a series (`stationary fit`)."
        )
    if not any(p in c for p in PLACES):
        raise missing(PLACES, ", the places where it was measured")
    if all(p in c for p in PLACES):
        raise LandscapeError(f"{where}: there are columns w and x. Keep the one that is meant.")
    if not main:
        raise missing(("gradient", "gradients", "losses", "drift"), "")
    if len(main) > 1 and not {"gradients", "gradient"} >= set(main):
        raise LandscapeError(
            f"{where}: there are columns {' and '.join(main)}, each of which says by itself what "
            "the process is. Keep one of them."
        )
    if main[0] in ("gradient", "drift") and "variance" not in c:
        raise missing(("variance",), f" beside {main[0]}")
    for name in others:
        near = get_close_matches(name.lower(), [k for k in OPTIONAL if k not in c], 1, CLEARLY)
        if near:
            raise LandscapeError(
                f"{where}: the column {name} has no meaning here; did you mean {near[0]}? Rename "
                "it, or leave it out."
            )
    if main[0] in ("gradients", "losses"):
        others += [k for k in c if k not in (*PLACES, main[0])]
        c = {k: v for k, v in c.items() if k in (*PLACES, main[0])}
    return c, tuple(others)
