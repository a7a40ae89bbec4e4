"""The panels of an end state: densities, stems, outcomes by the start, and zooms."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from stationary.aliases import Array
from stationary.errors import Status
from stationary.numbers.arithmetic import TINY
from stationary.show.answer import gatherings_of
from stationary.show.drawing import GREY, INK, MINUS, RED, Axes, colour_of, letter, symbol_of
from stationary.show.marks import finish_axes, outcome_colour
from stationary.show.view import Part, View, Zoom, asked, mass_label, rest_of
from stationary.states.basin import Basin
from stationary.weight.modes import modes_of

DECADES = 12  # of a logarithmic axis, unless a basin lies lower
DEEPEST = 100  # decades beyond which even a basin is not followed
BESIDE = 105.0  # points, of numbers and names of the axes on both sides
MOST_LABELS = 24  # of stems: more, of samples that rest, cover each other
FURTHEST = 100.0  # units from a peak to the double next to it, from which it is then counted


def draw_density(axes: Axes, view: View, *, log: bool) -> None:
    state, basins = view.state, view.basins
    if state.kind == "none":
        finish_axes(axes, view)
        _draw_reason(axes, state.reason)
        return
    wide = [part for part in view.parts if part.peak is None]
    stems = _stems(view)
    # A stem stands for the heaviest basin of its density.
    seen = [b for part in view.parts for b in _basins_in(part, view)[part.peak is not None :]]
    seen = [b for b in seen if view.holds(b.position)]
    named = [(b.position, mass_label(b.log_mass, rest_of(state, basins, b))) for b in seen]
    peaks, gathered = gatherings_of(state, bool(basins))
    if gathered:
        named = [(float(p.position), mass_label(float(p.log_mass))) for p in peaks]
    if len(stems) <= MOST_LABELS:
        named += [(s.position, mass_label(s.log_weight)) for s in stems if s.log_weight is not None]
    for e in state.escapes:
        if e.weight:
            label = f"{mass_label(math.log(e.weight))} escapes"
            named.append((min(max(e.position, view.lower), view.upper), label))
    strip = label_basins(axes, named, (view.lower, view.upper), behind=len(view.cuts) > 0)
    finish_axes(axes, view, top=1 - strip, words=True)
    if wide:
        axes.set_ylabel(f"density $P$({symbol_of(view.variable)})")
        _draw_parts(axes, wide, view, strip, log=log)
        if state.kind == "classes":
            axes.set_ylabel(f"{axes.get_ylabel()}\nwithin its class")
    if stems:
        draw_stems(axes.twinx() if wide else axes, stems, log=log, alone=not wide, strip=strip)
    foot: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False, "zorder": 4}
    minima = sorted(b.position for b in seen)
    if minima:
        axes.plot(minima, np.zeros(len(minima)), "o", ms=4.5, color=INK, label="minimum", **foot)
    if state.flow is not None:
        sign = "" if state.flow.tilt > 0 else MINUS
        words = f"current {sign}10^{state.log_abs_current / math.log(10):.1f}"
        if state.current and abs(state.log_abs_current) < 200:
            words = f"current {state.current:.4g}, mean velocity {state.mean_velocity:.4g}"
        words = words if state.kind == "flux" else "no current"
        axes.set_title(words, loc="left", parse_math=False)
    if state.kind == "classes":
        axes.set_title("their weights depend on the start", loc="right")
    elif state.status is not Status.CONVERGED:
        axes.set_title(f"estimated error {state.error:.0e}", loc="right")


def label_basins(
    axes: Axes, named: Sequence[tuple[float, str]], ends: tuple[float, float], *, behind: bool
) -> float:
    """Write each label above its place, side by side; the share of the height that this took.

    `ends` are those of the axis, and `behind` labels something may be drawn.
    """
    if not named:
        return 0.03
    named = sorted(named)
    from scipy.optimize import isotonic_regression

    box = axes.get_window_extent()
    # Layout, which takes a third of a second, leaves no less than this.
    width = min(box.width, axes.figure.bbox.width - BESIDE / 72 * axes.figure.dpi)
    centred: dict[str, Any] = {"ha": "center", "va": "center", "transform": axes.transAxes}
    texts = [axes.text(0.5, 0.5, label, **centred) for _, label in named]
    extents = [t.get_window_extent() for t in texts]
    widths = np.array([e.width for e in extents]) / width + 0.02
    line = 1.35 * max(e.height for e in extents) / box.height
    rows = min(len(named), math.ceil(widths.sum() / 0.9))
    strip = float(rows * line + 0.08)
    place = (np.array([x for x, _ in named]) - ends[0]) / (ends[1] - ends[0])
    for row in range(rows):
        mine = slice(row, None, rows)
        w = widths[mine]
        # The nearest places that keep order and distance: less the distances, they must ascend.
        before = np.cumsum(w) - w / 2
        z = isotonic_regression(place[mine] - before).x
        z = np.clip(z, 0, max(0.0, 1 - w.sum()))
        for text, x, there in zip(texts[mine], z + before, place[mine], strict=True):
            y = 1 - (row + 0.5) * line
            text.set_position((float(x), y))
            # A line to another label may pass behind this one, or a stretch without noise.
            if rows > 1 or behind:
                text.set_bbox(
                    {"facecolor": axes.get_facecolor(), "alpha": 0.8, "lw": 0, "pad": 0.5}
                )
            to_it = [x, there], [y - line / 2, 1 - strip]
            axes.plot(*to_it, color=GREY, lw=0.5, zorder=2.5, transform=axes.transAxes)
    return strip


def _draw_parts(axes: Axes, parts: Sequence[Part], view: View, strip: float, *, log: bool) -> None:
    """The densities, and the basins below them."""
    within = view.state.kind == "classes"
    basins = sorted((b for part in parts for b in _basins_in(part, view)), key=lambda b: b.position)
    pieces = [view.inside(*part.interval) for part in parts]
    x = np.concatenate(pieces)
    log_p = np.concatenate([_log_density(part, at) for part, at in zip(parts, pieces, strict=True)])
    low, high = _density_limits(parts, basins, view, x, log_p, strip, log=log)
    # A density that diverges leaves the picture at a finite height, which files can hold.
    height = np.exp(np.clip(log_p, math.log(low) - 3 if log else None, math.log(high) + 3))
    ends = [(b.lower, b.upper) for b in basins]
    ends += [part.interval for part in parts if not _basins_in(part, view)]
    for i, lower, upper in _stretches(ends, view):
        inside = (x >= lower) & (x <= upper)
        colour = outcome_colour(view, (lower + upper) / 2) if within else colour_of(i)
        tops = np.maximum(height[inside], low)
        axes.fill_between(x[inside], low, tops, color=colour, alpha=0.6, lw=0)
        axes.axvspan(lower, upper, color=colour, alpha=0.1, lw=0)
    if not within:
        axes.plot(*view.split(x, height), color=INK)
    for part in parts if within else ():
        inside = (x >= part.interval[0]) & (x <= part.interval[1])
        colour = outcome_colour(view, part.interval)
        axes.plot(x[inside], height[inside], color=colour, ls=(0, (4, 1.2)))
    if log:
        axes.set_yscale("log")
    axes.set_ylim(low, high)


def _log_density(part: Part, x: Array) -> Array:
    """log of weight times density; exactly at an end, where it may be 0 times infinity, as next
    to it."""
    c = part.component
    found = c.density.sampling
    log_p = np.full(x.shape, -math.inf)
    # Where it has fallen to nothing nobody looked how it goes on.
    inside = ~((found.fallen[0] & (x < found.lower)) | (found.fallen[1] & (x > found.upper)))
    with np.errstate(invalid="ignore"):
        log_p[inside] = asked(c.logpdf, c, x[inside]) + part.log_weight
    known = ~np.isnan(log_p)
    if known.all() or not known.any():
        return np.asarray(log_p)
    return np.asarray(log_p[known][np.searchsorted(x[known], x).clip(0, known.sum() - 1)])


def _basins_in(part: Part, view: View) -> list[Basin]:
    """The basins of one density, the heaviest first."""
    lower, upper = part.component.interval
    # One part is all of a ring, across whose seam a basin may lie.
    found = [
        b for b in view.basins if view.is_ring or (lower <= b.places[0] and b.places[2] <= upper)
    ]
    return sorted(found, key=lambda b: -b.log_mass)


class Stem(NamedTuple):
    """What holds probability at a point, or so near to one that no picture tells."""

    position: float
    log_weight: float | None  # None where it depends on the start
    colour: str


def _stems(view: View) -> list[Stem]:
    """The atoms, and the densities that are too narrow to be seen, left to right."""
    unknown = view.state.kind == "classes"
    found: list[tuple[float, Any, Any, str]] = [
        (a.position, a.position, None if unknown else math.log(a.weight), RED)
        for a in view.state.atoms
        if (unknown or a.weight > 0) and view.holds(a.position)
    ]
    for part in view.parts:
        if part.peak is not None:
            own = _basins_in(part, view)
            log_weight = own[0].log_mass if len(own) > 1 else part.log_weight
            found.append((float(part.peak.position), part.interval, log_weight, INK))
    found.sort(key=lambda stem: stem[0])
    return [
        Stem(x, None, outcome_colour(view, place)) if unknown else Stem(x, log_weight, colour)
        for x, place, log_weight, colour in found
    ]


def draw_stems(
    axes: Axes, stems: Sequence[Stem], *, log: bool, alone: bool, strip: float = 0.02
) -> None:
    """Stems as high as their probability, on an axis for that; open where it is not known."""
    if not alone:
        axes.grid(visible=False)  # that of the density is enough
    known = [s.log_weight for s in stems if s.log_weight is not None]
    room = 1.03 / (1 - strip)
    low, high = 0.0, room
    if log and known:
        bottom = max(min([math.log(0.1), min(known) - math.log(10)]), -DEEPEST * math.log(10))
        low, high = math.exp(bottom), math.exp(bottom - bottom * room)
        axes.set_yscale("log")
    for s in stems:
        open_ = s.log_weight is None
        height = 0.8 if s.log_weight is None else max(math.exp(s.log_weight), low)
        style: dict[str, Any] = {"color": s.colour, "clip_on": False, "zorder": 3.5}
        axes.plot([s.position] * 2, [low, height], lw=1.6, ls=":" if open_ else "-", **style)
        face = "white" if open_ else s.colour
        axes.plot([s.position], [height], "o", ms=5, mfc=face, mew=1.2, label="stem", **style)
    axes.set_ylim(low, high)
    if not log or not known:
        axes.set_yticks([0, 0.5, 1] if known else [])
    axes.set_ylabel("probability" if known else "where it ends" if alone else "")
    axes.spines["left"].set_visible(alone and bool(known))
    if not alone:
        axes.spines["right"].set_visible(bool(known))


def draw_zoom(axes: Axes, part: Part, view: View) -> None:
    """The density of one component against the distance from its highest mode."""
    assert part.peak is not None
    zoom = Zoom(part.component, part.peak)
    unit, name = zoom.unit, symbol_of(view.variable)
    height = np.exp(zoom.log_density + part.log_weight + unit * math.log(10))
    local = zoom.steps
    if zoom.position:
        size, sign = abs(zoom.position), "+" if zoom.position < 0 else MINUS
        digits = math.floor(math.log10(size)) - unit + 4
        place = f"{size:.{max(digits, 1)}g}" if digits < 17 else repr(size).removesuffix(".0")
        if abs(zoom.offset) > FURTHEST:  # no double is anywhere near
            place = f"the peak's place, {size:.9g}"
        else:
            local = zoom.steps + zoom.offset
        name = f"{name} {sign} {place}"
    axes.fill_between(local, 0, height, color=colour_of(0), alpha=0.6, lw=0)
    axes.axvspan(local[0], local[-1], color=colour_of(0), alpha=0.1, lw=0)
    axes.plot(local, height, color=INK)
    if local[0] < local[-1]:  # else no number is as small as the peak is narrow
        axes.set_xlim(local[0], local[-1])
    axes.set_ylim(0, 1.06 * float(height[np.isfinite(height)].max(initial=TINY)))
    axes.set_xlabel(name + (f"\n(in units of $10^{{{unit}}}$)" if unit else ""))
    if view.state.kind == "classes":
        axes.set_title("within its class", loc="right")
    axes.set_ylabel(f"density\nper $10^{{{unit}}}$" if unit else "density")


def _stretches(ends: Sequence[tuple[float, float]], view: View) -> list[tuple[int, float, float]]:
    """Where to shade which basin: on a ring, the one across the seam in two places."""
    lower, upper = view.state.diffusion.domain
    turns = (lower - upper, 0.0, upper - lower) if view.is_ring else (0.0,)
    clipped = [
        (i, max(low + t, view.lower), min(high + t, view.upper))
        for i, (low, high) in enumerate(ends)
        for t in turns
    ]
    return [(i, low, high) for i, low, high in clipped if low < high]


def _draw_reason(axes: Axes, reason: str) -> None:
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    points = axes.get_window_extent().width / axes.figure.dpi * 72
    lines = textwrap.fill(reason, max(20, int(points / letter())))
    middle: dict[str, Any] = {"ha": "center", "va": "center", "transform": axes.transAxes}
    axes.text(0.5, 0.5, f"There is no end state.\n\n{lines}", parse_math=False, **middle)


def _density_limits(
    parts: Sequence[Part],
    basins: Sequence[Basin],
    view: View,
    x: Array,
    log_p: Array,
    strip: float,
    *,
    log: bool,
) -> tuple[float, float]:
    """The range of the density axis, with a strip above for the labels."""
    inside = np.linspace(view.lower, view.upper, 501)[1:-1]
    held = [(inside >= low) & (inside <= high) for low, high in (part.interval for part in parts)]
    even = log_p[np.searchsorted(x, inside[np.any(held, axis=0)]).clip(0, len(x) - 1)]
    heights = [
        float(m.log_density) + part.log_weight
        for part in parts
        for m in modes_of(part.component)
        if view.holds(m.position)
    ]
    peak = float(log_p.max())
    if math.inf in heights:
        # Where the density diverges, the height of the rest decides.
        usual = float(np.quantile(even, 0.97)) + math.log(1.6)
        peak = max([usual, *(h for h in heights if h < math.inf)])
    room = 1.03 / (1 - strip)
    if not log:
        return 0.0, math.exp(peak) * room
    decade = math.log(10)
    least = float(even[np.isfinite(even)].min(initial=peak))
    wanted = peak - DECADES * decade
    for basin in basins:
        crest = float(log_p[(x >= basin.lower) & (x <= basin.upper)].max(initial=-math.inf))
        if crest > peak - DEEPEST * decade:  # with enough of the axis below it to be seen
            wanted = min(wanted, crest - max(3 * decade, (peak - crest) / 8))
    bottom = max(min(max(wanted, least), peak - decade), -650.0)
    return math.exp(bottom), math.exp(min(bottom + (peak - bottom) * room, 700.0))
