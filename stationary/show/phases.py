"""The figure of a sweep: which minimum dominates where; masses or a quantity along one axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.show.arrhenius import DASHES, draw_arrhenius, named_in
from stationary.show.drawing import (
    ACROSS,
    COLOURS,
    GREY,
    INK,
    MARKED,
    Axes,
    Sheet,
    add_legend,
    colour_of,
    spans_decades,
)
from stationary.show.sweep import sliced, value_text
from stationary.sweeps.arrhenius import RATES
from stationary.sweeps.sweep import Sweep
from stationary.wording import LN10, SUFFIX

HIGHEST = 1e280  # on an axis of decades, which needs room above for more
PALEST = 0.3  # strength of the first of more curves than there are dashes
SAME = "the same to within the error"
HIDDEN = 3e-3  # of the height of a panel: half the width of a line in one of 3 inches
WIDER, MOST_WIDER = 1.5, 3  # by how many widths a line is wider for each that lies on it
SURE = 0.01  # of a mass: less than what can be seen between a border and the next point


def figure(
    sweep: Sweep, sheet: Sheet, *, quantity: str | None = None, arrhenius: bool = False,
    at: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Which minimum dominates over two axes, with the crossovers as lines; or masses over one.

    Of more than two axes with several values, the last two are drawn (the learning rate is the
    last of all); the others are at one value, as the title says. Points that could not be
    computed, or where it is not known which dominates, are hatched; where the first two hold the
    same to within their errors, none dominates, and it is grey. Where one dominates everywhere,
    logarithms of masses are drawn instead; where there is a single minimum, mean and deviation.

    Parameters
    ----------
    quantity
        The name of a column of numbers to draw instead, over that of the two axes which has more
        values, with a curve for each value of the other; by default the quantities that were
        asked for, one below the other (on axes that are given, the first).
    arrhenius
        Draw how exit times grow over 1 / learning rate, with their slopes.
    at
        A value for some of the axes, as in ``{"tilt": 0.1}``, of those that were swept; by default
        the first of each axis that is not drawn.
    """
    if arrhenius:
        draw_arrhenius(sheet.axes(3.25), sweep)
        return
    sweep, fixed = sliced(sweep, at or {})
    drawn = list(sweep.swept)[-2:] or list(sweep.axes)[-1:]
    names = [] if quantity is None else [quantity]
    names = names or [q for q in sweep.quantities if _columns(sweep, q)]
    names = names or ["std"] * (len(sweep.labels) < 2)
    if len(drawn) == 2 and len(set(sweep.data["dominant"]) | {-1}) == 2:  # one sheet of colour
        names = names or ["log_mass"] * (-1 not in sweep.data["dominant"])
    if len(names) > 1 and sheet.ax is None:
        panels = sheet.panels(*[2.6] * len(names), sharex=True)
    else:
        panels = [sheet.axes(3.25 if names or len(drawn) < 2 else 3.9)]
    curves = []
    if not names and len(drawn) == 2:
        curves.append(_draw_phases(panels[0], sweep, *drawn))
    for ax, name in zip(panels, names or ["mass"] * (len(drawn) == 1), strict=False):
        curves.append(_draw_quantity(ax, sweep, drawn, name))
    for ax in panels[:-1]:
        ax.set_xlabel("")
    if not names and len(drawn) == 1:
        _draw_crossovers(panels[0], sweep, drawn[0])
    title = ", ".join(fixed + ["not complete"] * (not sweep.complete))
    if title:
        panels[0].set_title(title, loc="left", pad=18)
    said: list[str] = []
    for ax, count in zip(panels, curves, strict=True):
        before, said = said, ax.get_legend_handles_labels()[1]
        if said != before:
            add_legend(ax, count)


def _slice(sweep: Sweep, drawn: Sequence[str]) -> list[tuple[tuple[int, ...], int]]:
    """The rows that are drawn, each after its indices along the axes that are drawn."""
    names = list(sweep.axes)
    keep = [names.index(name) for name in drawn]
    return [(tuple(place), n) for n, place in enumerate(sweep.places[:, keep].tolist())]


def _numbers(values: Sequence[Any]) -> Array:
    """Where the values of an axis are drawn: at themselves, or words one beside the other."""
    if isinstance(values[0], str):
        return np.arange(len(values), dtype=float)
    return np.array(values, dtype=float)


def _prepare(ax: Axes, which: str, name: str, values: Sequence[Any]) -> None:
    """Label and scale the axis "x" or "y" as its values are, no wider than they reach."""
    axis = getattr(ax, f"{which}axis")
    numbers, words = _numbers(values).tolist(), isinstance(values[0], (bool, str))
    ax.set(**{f"{which}label": name.replace("_", " ")})
    if not words and spans_decades(numbers):
        ax.set(**{f"{which}scale": "log"})
    if words or (name == "batch_size" and len(values) <= 12):
        axis.set_ticks(numbers, list(map(str, values)))
        axis.set_ticks([], minor=True)
    if len(numbers) > 1:
        ax.set(**{f"{which}lim": (min(numbers), max(numbers))})


def _columns(sweep: Sweep, quantity: str) -> list[str]:
    """The column of numbers with that name, or those of each minimum."""
    columns = sweep.table()
    named = [quantity] if quantity in columns else [f"{quantity}_{i}" for i in sweep.labels]
    return [n for n in named if n in columns and columns[n].dtype.kind == "f"]


def _draw_quantity(ax: Axes, sweep: Sweep, drawn: Sequence[str], quantity: str) -> int:
    """One column, or that of each minimum, over the axis with most values, with errors that show.

    Minima differ in colour; the values of the other axis in dashes or, where these do not suffice,
    in strength.
    """
    columns, named = sweep.table(), _columns(sweep, quantity)
    if not named and quantity in sweep.quantities:
        raise StationaryError(
            f"{sweep.name}: {quantity!r} is known at no point, so that there is nothing to draw of "
            'it. Leave it out, or draw the masses, as in plot(quantity="mass").'
        )
    if not named:
        raise StationaryError(
            f"{sweep.name}: there is no column {quantity!r} of numbers to draw. Ask for it, as in "
            f'sweep(..., quantities=["{quantity}"]), or take one of {", ".join(columns)}.'
        )
    drawn = sorted(drawn, key=lambda n: (not isinstance(sweep.axes[n][0], str), len(sweep.axes[n])))
    across, others = drawn[-1], drawn[:-1]
    values = sweep.axes[across]
    curves: dict[int, list[tuple[int, int]]] = {}
    for place, n in _slice(sweep, drawn):
        curves.setdefault(place[0] if others else 0, []).append((place[-1], n))
    many, names = len(curves) > len(DASHES), {0, len(curves) - 1}
    lines: list[Any] = []
    bars_are, nothing = "", True
    seen = np.concatenate([columns[c] for c in named])
    decades = np.nanmin(seen, initial=1.0) > 0 and (seen[seen < math.inf] > HIGHEST).any()
    for k, points in sorted(curves.items()):
        x = [float(_numbers(values)[i]) for i, _ in points]
        at = [n for _, n in points]
        fixed = [f"{n} = {value_text(sweep.axes[n][k])}" for n in others]
        for m, column in enumerate(named):
            y = columns[column][at]
            by = columns.get(f"{column}_error", np.zeros(len(columns[column])))[at]
            stem, _, label = column.rpartition("_")
            for name in (f"{column}{SUFFIX}", f"{stem}{SUFFIX}_{label}"):
                if name in columns and np.isfinite(columns[name][at]).any():
                    by, bars_are = columns[name][at], " (bars: standard errors of the sample)"
            if decades:
                y = np.where(y < math.inf, y, math.nan)
                y, by = np.log10(y), by / y / LN10
            of = sweep.labels.index(int(label)) if column != quantity else None
            which = (
                [named_in(sweep, int(label))] if of is not None and len(sweep.labels) > 1 else []
            )
            kind: dict[str, Any] = {
                "color": colour_of(of if of is not None else m if many else k),
                "alpha": PALEST + (1 - PALEST) * k / (len(curves) - 1) if many else None,
                "ls": "-" if many else DASHES[k],
                "marker": ".^s"[m // len(COLOURS) % 3] if len(x) <= MARKED else "",
                "ms": 3 if m >= len(COLOURS) else None,
                "label": None if many and k not in names else ", ".join(fixed + which) or None,
                "clip_on": False,
            }
            length = np.nan_to_num(np.array([by, by]), posinf=0.0)
            if quantity == "mass":  # between 0 and 1
                length = np.fmin(length, [y, 1 - y])
            line, _, bars = ax.errorbar(x, y, length, **kind)
            lines.append(line)
            for bar in bars:  # may be longer than the panel, and stands on its edge
                bar.set_clip_on(True)
                bar.set_clip_path(_beyond_sides(ax))
            nothing = nothing and not bool((np.abs(y) > length[0]).any())
    every = np.concatenate([line.get_ydata() for line in lines])
    every = every[np.isfinite(every)]
    if nothing and not bars_are:  # rounding alone: its own scale would show that
        ax.set_ylim(-1, 1)
    if quantity == "mass":
        ax.set_ylim(-0.03, 1.03)
    elif decades or quantity.startswith("log_"):
        pass
    elif len(every) and 0 < every.min() < every.max() / 64:
        ax.set_yscale("log")
    _prepare(ax, "x", across, values)
    _show_hidden(ax, lines)
    words = {"std": "standard deviation", "mass": "probability"}.get(quantity, quantity)
    ax.set_ylabel((r"$\log_{10}$ of " if decades else "") + words.replace("_", " "))
    if bars_are:
        ax.set_xlabel(f"{ax.get_xlabel()}{bars_are}")
    return len(named) * (2 if many else len(curves))


def _show_hidden(ax: Axes, lines: Sequence[Any]) -> None:
    """Draw each line so much wider that it is seen on both sides of those that lie on it."""
    ax.get_ylim()  # after which the transformation is that of what was drawn
    to_panel = ax.transScale + ax.transLimits
    at = [to_panel.transform(line.get_xydata()) for line in lines]
    for k, line in enumerate(lines):
        above = sum(_alike(at[k], other) for other in at[k + 1 :])
        wider = 1 + WIDER * min(above, MOST_WIDER)
        line.set_linewidth(wider * line.get_linewidth())
        line.set_markersize((1 + wider) / 2 * line.get_markersize())


def _alike(one: Array, other: Array) -> bool:
    """Whether one line hides another, by their points in the panel."""
    if len(one) != len(other):
        return False
    both = np.isfinite(one).all(axis=1) & np.isfinite(other).all(axis=1)
    return bool(both.any() and np.allclose(one[both], other[both], rtol=0, atol=HIDDEN))


def _beyond_sides(ax: Axes) -> Any:
    """The panel, and beside it the width of a line."""
    from matplotlib.patches import Rectangle

    return Rectangle((-0.02, 0), 1.04, 1, transform=ax.transAxes)


def _draw_crossovers(ax: Axes, sweep: Sweep, across: str) -> None:
    """Where two masses are the same, and what has no answer."""
    for c in sweep.crossovers:
        if c.axis == across and not math.isnan(c.value):
            ax.axvline(c.value, color=GREY, lw=0.5, ls=":", zorder=0.5)
    lost = [place[0] for place, n in _slice(sweep, (across,)) if not sweep.rows[n].minima]
    if lost:
        crosses: dict[str, Any] = {"ls": "", "ms": 4, "clip_on": False, "label": "no answer"}
        x = [float(_numbers(sweep.axes[across])[i]) for i in lost]
        ax.plot(x, np.zeros(len(lost)), marker="x", color=INK, **crosses)


def _draw_phases(ax: Axes, sweep: Sweep, up: str, across: str) -> int:
    """Regions where each minimum holds most, with smooth borders, and the crossovers."""
    from matplotlib.collections import PolyCollection

    x, y = (_numbers(sweep.axes[name]) for name in (across, up))
    _prepare(ax, "x", across, sweep.axes[across])
    _prepare(ax, "y", up, sweep.axes[up])
    logs = np.full((len(sweep.labels), len(y), len(x)), np.nan)
    errors = np.zeros_like(logs)
    known, columns = np.full(logs.shape[1:], False), sweep.table()
    seen, tied = known.copy(), known.copy()
    ranks = [np.argsort(np.argsort(v)) for v in (y, x)]  # values may come in any order
    x, y = np.sort(x), np.sort(y)
    for place, n in _slice(sweep, (up, across)):
        j, i = (rank[k] for rank, k in zip(ranks, place, strict=True))
        seen[j, i] = True
        logs[:, j, i] = [columns[f"log_mass_{label}"][n] for label in sweep.labels]
        # Where two hold the same, and that is known, the border between them is the answer.
        by = np.array([columns[f"mass_error_{label}"][n] for label in sweep.labels])
        sure = np.isfinite(logs[:, j, i]).any() and np.nanmax(by, initial=0.0) < SURE
        known[j, i] = sure or columns["dominant"][n] >= 0
        errors[:, j, i] = np.nan_to_num(by, posinf=0.0)  # of what is known they are finite
        at = {up: sweep.axes[up][place[0]], across: sweep.axes[across][place[1]]}
        tied[j, i] = sure and columns["dominant"][n] < 0 and not _is_crossover(sweep, at)
    fine_x, fine_y, ahead = _ahead((up, across), (y, x), logs, errors)
    xs, ys = _edges(x), _edges(y)
    # Beside points at which a minimum is not there nothing is known of the lead in between.
    alone = np.pad(np.isnan(logs).any(axis=0), 1)
    beside = np.any([alone[j:][: len(y), i:][:, : len(x)] for j, i in np.ndindex(3, 3)], axis=0)
    inside = (np.searchsorted(v[1:-1], at) for v, at in ((ys, fine_y), (xs, fine_x)))
    ahead[:, (tied & beside)[np.ix_(*inside)]] = -SURE
    tie = -ahead.max(axis=0)
    areas = [(ahead[k], colour_of(i), named_in(sweep, i)) for k, i in enumerate(sweep.labels)]
    if (np.minimum.reduce([tie[1:, 1:], tie[1:, :-1], tie[:-1, 1:], tie[:-1, :-1]]) >= 0).any():
        areas.append((tie, GREY, SAME))  # a border alone is narrower
    for above, colour, name in areas:
        if (above > 0).any() or name == SAME:
            shade: dict[str, Any] = {"colors": [colour], "alpha": 0.75}
            ax.contourf(fine_x, fine_y, above, levels=[0, math.inf], **shade)
            square: dict[str, Any] = {"marker": "s", "ms": 6, "ls": "", "alpha": 0.75}
            ax.plot([], [], color=colour, label=name, **square)
    blank: dict[str, Any] = {"facecolor": ax.get_facecolor(), "edgecolor": GREY, "lw": 0}
    lost: dict[str, Any] = {"hatch": "////", "label": "no answer"}
    for cells, kind in ((~known & seen, blank | lost), (~seen, blank)):
        corners = [
            [(xs[i], ys[j]), (xs[i + 1], ys[j]), (xs[i + 1], ys[j + 1]), (xs[i], ys[j + 1])]
            for j, i in np.argwhere(cells)
        ]
        if corners:
            ax.add_collection(PolyCollection(corners, **kind))
    _draw_boundary(ax, sweep, up, across)
    return len(sweep.labels)


def _is_crossover(sweep: Sweep, at: dict[str, Any]) -> bool:
    """Whether a point at which two hold the same is on the border between theirs."""
    return any(
        not c.reason
        and c.axis in at
        and c.between[0] <= at[c.axis] <= c.between[1]
        and all(at.get(name, v) == v for name, v in c.fixed.items())
        for c in sweep.crossovers
    )


def _ahead(
    names: tuple[str, str], values: tuple[Array, Array], logs: Array, errors: Array
) -> tuple[Array, Array, Array]:
    """By how much the log of each mass is surely ahead of the next, on a grid as fine as is seen.

    It is what the errors of the first two leave of it: what is not above zero may be rounding.
    Logarithms of masses are smooth, and dominance is not: so it is them that are interpolated, by
    straight lines, of which those of differences are the differences.
    """
    from scipy.interpolate import make_interp_spline

    best = np.nanmax(np.where(np.isnan(logs), -math.inf, logs), axis=0)
    best = np.where(np.isfinite(best), best, 0.0)
    behind = np.maximum(logs - best, -1e100)
    apart = behind < -np.nansum(np.sort(errors, axis=0)[-2:], axis=0)
    usual = np.nanmedian(behind[apart]) if apart.any() else -1.0
    behind = np.where(np.isnan(behind), usual, behind)  # a minimum that is not there
    if len(behind) == 1:
        behind, errors = np.concatenate([behind, behind - 1]), np.concatenate([errors, errors])
    known, fine = behind, []
    for axis, (name, v) in enumerate(zip(names, values, strict=True), start=1):
        to, back = _scale(v)
        fine.append(back(np.linspace(to(v[0]), to(v[-1]), ACROSS)))
        fine[-1][[0, -1]] = v[[0, -1]]
        # Logarithms are barriers over the rate, times the size of batches.
        even = {"batch_size": np.asarray} | dict.fromkeys(RATES, lambda t: -1 / t)
        way, at = (even.get(name, to)(t) for t in (v, fine[-1]))
        known, errors = (make_interp_spline(way, v, 1, axis=axis)(at) for v in (known, errors))
    first, second = np.argsort(known, axis=0)[[-1, -2]]
    top, other = (np.take_along_axis(known, k[None], axis=0) for k in (first, second))
    by = sum(np.take_along_axis(errors, k[None], axis=0) for k in (first, second))
    return fine[1], fine[0], known - np.where(known == top, other, top) - by


def _scale(v: Array) -> tuple[Any, Any]:
    """What makes an axis even, and what undoes it."""
    return (np.log, np.exp) if spans_decades(v) else (np.asarray, np.asarray)


def _edges(v: Array) -> Array:
    """The borders of cells around the values of an axis, which reaches from the first to the last.

    Half-way between neighbours: the half beyond the first and the last is not in the picture.
    """
    to, back = _scale(v)
    w = to(v)
    return np.asarray(back(np.concatenate([w[:1], (w[1:] + w[:-1]) / 2, w[-1:]])))


def _draw_boundary(ax: Axes, sweep: Sweep, up: str, across: str) -> None:
    """Lines through the crossovers of neighbouring rows or columns of the diagram."""
    lines: dict[tuple[Any, ...], list[tuple[float, float, int]]] = {}
    fixed = {name: sweep.axes[name][0] for name in sweep.swept if name not in (up, across)}
    for c in sweep.crossovers:
        if math.isnan(c.value) or any(c.fixed.get(k, v) != v for k, v in fixed.items()):
            continue
        other = across if c.axis == up else up
        if other not in c.fixed or c.axis not in (up, across):
            continue
        at = c.fixed[other]
        k = sweep.axes[other].index(at)
        beside = float(_numbers(sweep.axes[other])[k])
        place = (c.value, beside, k) if c.axis == across else (beside, c.value, k)
        lines.setdefault((c.axis, *sorted((c.below, c.above))), []).append(place)
    for points in lines.values():
        runs: list[list[tuple[float, float, int]]] = []  # at consecutive values of the other axis
        for point in sorted(points, key=lambda p: p[2]):
            run: list[Any] = next((r for r in runs if r[-1][2] == point[2] - 1), [])
            if not run:
                runs.append(run)
            run.append(point)
        for run in runs:
            xs, ys, _ = zip(*run, strict=True)
            ax.plot(xs, ys, color=INK, lw=1.2, marker=".", ms=3, clip_on=False)
