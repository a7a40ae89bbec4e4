"""An end state in the plane: its report, its numbers as data, and its figure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stationary import wording as say
from stationary.aliases import Array
from stationary.errors import Status
from stationary.plane.basin import PlaneBasin
from stationary.plane.boxes import lattice
from stationary.plane.local import Equilibrium
from stationary.plane.state import PlaneState
from stationary.process.plane import point_text
from stationary.process.plane_landscape import PlaneLandscape
from stationary.show import plane_basins
from stationary.show.drawing import BLUE, GREY, INK, RED, Sheet, shades
from stationary.show.layout import LEVELS, Report, momentum_text, picked, report, tabulated
from stationary.show.plane_basins import basin_lines, mass_text
from stationary.weight.component import VISIBLE
from stationary.wording import MOST_NAMED

ROADS = {
    "gaussian": "The drift is linear and the noise even: the end state is the Gaussian of the "
    "Lyapunov equation, to rounding.",
    "product": "The coordinates know nothing of each other: each was solved as a process on a "
    "line.",
    "gibbs": "Position and velocity at one temperature: P is e^(-V / T) of the position, solved as "
    "on a line, times a Gaussian of the velocity, whatever the friction is.",
    "integral": "log P was integrated along x and then y, and the other way round; errors are the "
    "difference.",
    "elements": "Spectral elements; errors are what the answer moves by with the degree (8 against "
    "7) and with where the tails are cut.",
    "series": "Spectral elements at four noises, louder because of the barriers, and the series of "
    "log P in the noise; errors are three times what the answer moves by with a term less, the "
    "degree, what is cut, and where elements start.",
}
PIXELS = 241  # for each direction of a picture of P
CONTOURS = (2.0, 4.0, 8.0, 12.0, 16.0)  # of -log P above the peak
MARKS = {"stable": ("o", RED), "saddle": ("x", INK)}


def text(state: PlaneState) -> Report:
    """What ends up where, then the numbers, then how far to trust them."""
    return report(
        {
            state.diffusion.name: [_headline(state)],
            "The model": _model(state),
            "Is there an energy?": [state.curl.words, *_curl(state), state.curl.noise.words],
            "Equilibria": _equilibria(state),
            "Basins": basin_lines(state.basins),
            "End state": _moments(state),
            "How far to trust this": _trust(state),
        }
    )


def _headline(state: PlaneState) -> str:
    who = "SGD" if _is_sgd(state) else "the process"
    v = state.diffusion.variable
    basins = sorted(state.basins, key=lambda b: -b.log_mass)
    shown = basins[:MOST_NAMED]
    said = say.joined([f"{_place(b, v)} with {_held(b)}" for b in shown])
    if len(basins) == 1:
        spread = " and ".join("infinite" if math.isinf(s) else f"{s:.4g}" for s in state.std())
        said = f"{_place(basins[0], v)} (standard deviations {spread})"
    elif len(basins) > MOST_NAMED:
        said += f", and in {say.more_text(len(basins) - MOST_NAMED, 'basin')}"
    turns = ""
    if _circulates(state):
        way = "anticlockwise" if state.circulation > 0 else "clockwise"
        if not abs(state.circulation) > state.circulation_error:
            way = "neither way, as far as is known"
        turns = f" Probability circulates, on the whole {way}."
    return f"In the long run {who} is {said}.{turns}{_overshooting(state)}"


def _circulates(state: PlaneState) -> bool:
    """Whether there is a current, as far as is known; where the curl vanishes, if it is seen."""
    seen = abs(state.circulation) > state.circulation_error
    return not state.curl.local and (seen or not state.curl.vanishes)


def _is_sgd(state: PlaneState) -> bool:
    return state.diffusion.stepper is not None or isinstance(state.process, PlaneLandscape)


def _overshooting(state: PlaneState) -> str:
    """A word where the step that SGD takes on average leads away from a minimum."""
    if not _is_sgd(state):
        return ""
    v, known = state.diffusion.variable, state.diffusion.stepper is not None
    stable = (e for e in state.equilibria if e.kind == "stable")
    found = " and ".join(f"{v} = {point_text(e.position)}" for e in stable if _leaves(state, e))
    if found:
        see = "; see `stationary check`" if known else ""
        return (
            f" That is the limit of small steps: with this one SGD overshoots {found} and does not "
            f"settle there{see}."
        )
    return "" if known else " That is the limit of small steps."


def _leaves(state: PlaneState, e: Equilibrium) -> bool:
    """Whether v <- beta v - T h x, x <- x + v does not go to 0: for small steps the drift is
    -T h x / (1 - beta), or has the determinant T h and the trace beta - 1 with a velocity."""
    beta = getattr(state.process, "momentum", 0.0)
    pairs = [(beta, -v * (1 - beta)) for v in e.eigenvalues.astype(complex)]
    if state.diffusion.variable == "(w, v)":
        pairs = [(1 + e.eigenvalues.sum().real, e.eigenvalues.prod().real)]
    return any(float(np.abs(np.roots([1, th - 1 - b, b])).max()) >= 1 for b, th in pairs)


def _held(basin: PlaneBasin) -> str:
    untold = basin.mass == 0 and not math.isfinite(basin.mass_error)
    return "a probability that is not known" if untold else f"probability {mass_text(basin)}"


def _place(basin: PlaneBasin, v: str) -> str:
    if basin.attractor is None:
        walls = [f"at {basin.at_wall}"] if basin.walls else []
        turns = ["on or around a cycle of the drift"] if basin.turns else []
        if turns and not math.isfinite(basin.mass_error):  # nor is it known what is led elsewhere
            turns.append("on ways of the drift too long to be followed")
        return " or ".join([*walls, *turns])
    return f"around {v} = {point_text(basin.attractor.position)}"


def _model(state: PlaneState) -> list[str]:
    d = state.diffusion
    lines = [f"{d.equation} (Ito); the current is J = f P - div(a P) / 2, and div J = 0."]
    if isinstance(state.process, PlaneLandscape):
        lines.append(
            "G is the mean gradient of the datapoints and S the population covariance of their "
            "gradients; f = -T G, a = T^2 D; time is counted in SGD steps."
        )
    if d.parameters:
        chosen = ", ".join(f"{k} = {v:.12g}" for k, v in d.parameters.items())
        lines.append(f"Parameters: {chosen}.")
    return lines


def _curl(state: PlaneState) -> list[str]:
    if state.curl.local:
        return []
    unit, produced = state.diffusion.time_unit, state.entropy_production
    lost, known = "", _production_error(state)
    if produced is not None and known is not None:
        lost = f"Entropy production: {say.measured(produced, known, 6)} per {unit}. "
    swept = say.measured(state.circulation / 2, state.circulation_error / 2, 6)
    return [
        f"{lost}Area is swept around the mean at {swept} per {unit} (anticlockwise counts as "
        "positive)."
    ]


def _production_error(state: PlaneState) -> float | None:
    if state.entropy_production is None:
        return None
    driving = 0.0 if state.curl.local else state.circulates.driving
    return float(state.error_of(lambda s: s.entropy_production, driving))


def _equilibria(state: PlaneState) -> list[str]:
    rows = []
    for k, e in enumerate(state.equilibria):
        at = ", ".join(say.known_text(x, e.error, 6) for x in e.position)
        fitted = math.isnan(e.eigenvalue_error)
        error = 0.0 if fitted else e.eigenvalue_error
        values = ", ".join(_eigenvalue(v, error) for v in e.eigenvalues)
        known = "a fit" if fitted else say.error_text(error)
        rows.append((str(k), f"({at})", say.error_text(e.error), e.kind, values, known))
    header = ("", state.diffusion.variable, "error", "", "eigenvalues of the drift", "error")
    return tabulated(header, rows) or ["The drift vanishes nowhere that was looked."]


def _eigenvalue(value: complex, error: float) -> str:
    real, imaginary = (say.known_text(v, error, 4) for v in (value.real, abs(value.imag)))
    sign = "-" if value.imag < 0 else "+"
    return f"{real}{sign}{imaginary}i" if value.imag else real


def _moments(state: PlaneState) -> list[str]:
    def quantities(s: PlaneState) -> Array:
        quantiles = [s.marginal(k).ppf(LEVELS) for k in (0, 1)]
        return np.array([s.mean(), s.std(), *np.transpose(quantiles)])

    def row(name: str, values: Array, errors: Array) -> tuple[str, ...]:
        cells: list[str] = []
        for x, e in zip(values, errors, strict=True):
            if math.isfinite(x):
                cells += [say.known_text(x, e), say.error_text(e)]
            else:  # as moments of heavy tails may be
                cells += ["undefined" if math.isnan(x) else "infinite", ""]
        return name, *cells

    def correlation(s: PlaneState) -> float:
        c = s.cov()
        return float(c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]))

    names = [
        "mean",
        "standard deviation",
        *("median" if q == 0.5 else f"quantile {q:g}" for q in LEVELS),
    ]
    rows = map(row, names, quantities(state), state.error_of(quantities, state.std()))
    lines = tabulated(("", "first", "error", "second", "error"), rows)
    if np.isfinite(state.cov()).all():
        known = say.measured(correlation(state), float(state.error_of(correlation)))
        lines.append(f"Correlation: {known}.")
    return lines


def _trust(state: PlaneState) -> list[str]:
    status = state.status
    words = "Converged" if status is Status.CONVERGED else "Not converged to 1e-6"
    relative = say.error_text(state.error)
    lines = [f"{words}. Estimated error of the density: {relative} of its peak.", ROADS[state.road]]
    if any(name == "balance" for name, _ in state.others):
        lines.append(
            "Errors also hold what the answer moves by when the means of f . grad v + "
            "a : grad grad v / 2 are made to vanish for 36 smooth functions v."
        )
    if state.peak > 300:
        lines.append(f"The density is largest at {say.power_text(state.peak)}.")
    if _is_sgd(state):
        far = "says `stationary check`" if state.diffusion.stepper else "is not known here"
        lines.append(
            "This is the diffusion that SGD is for small steps; how far the steps that it takes "
            f"are from that {far}."
        )
    if isinstance(state.process, PlaneLandscape) and state.process.momentum:
        lines.append(momentum_text(state.process))
    return [*lines, *state.notes]


def data(state: PlaneState) -> dict[str, Any]:
    curl = picked(state.curl, "maximum maximum_error where fraction fraction_error vanishes words")
    curl["local_energy"] = state.curl.local or state.curl.gibbs
    equilibria = [
        picked(e, "position error kind jacobian eigenvalue_error covariance curl")
        | {"eigenvalues": [[float(v.real), float(v.imag)] for v in e.eigenvalues]}
        for e in state.equilibria
    ]
    return {
        "schema": 1,
        "kind": "plane",
        "curl": curl | {"noise": picked(state.curl.noise, "singular where gate")},
        "mean": state.mean(),
        "mean_error": state.error_of(lambda s: s.mean(), state.std()),
        "covariance": state.cov(),
        "covariance_error": state.error_of(lambda s: s.cov(), np.outer(state.std(), state.std())),
        "equilibria": equilibria,
        **plane_basins.data(state.basins),
        **picked(state.diffusion, "name equation domain parameters"),
        **picked(state, "status road error notes entropy_production circulation circulation_error"),
        "entropy_production_error": _production_error(state),
    }


def window(state: PlaneState) -> tuple[tuple[float, float], ...]:
    """The range that is drawn and listed: all but 1e-5 of the probability, and the equilibria."""
    ends = []
    for k in (0, 1):
        low, high = state.marginal(k).interval(1 - 1e-5)
        edges = state.marginal(k).support()
        inside = [float(e.position[k]) for e in state.equilibria]
        inside = [v for v in inside if edges[0] <= v <= edges[1]]
        low, high = min([low, *inside]), max([high, *inside])
        room = 0.06 * (high - low)
        ends.append((max(low - room, edges[0]), min(high + room, edges[1])))
    return tuple(ends)


def table(state: PlaneState, points: int = 101, *, of: str = "density") -> dict[str, Any]:
    """The density and its current on a grid, a row for each point; or, for "minima", the basins."""
    if of == "minima":
        return plane_basins.table(state.basins)
    axes = [np.linspace(*ends, points) for ends in window(state)]
    x = lattice(*axes)
    current = state.current(x)
    return {
        "x": x[0],
        "y": x[1],
        "density": state.pdf(x),
        "log_density": state.logpdf(x),
        "current_x": current[0],
        "current_y": current[1],
    }


# -- the figure ----------------------------------------------------------------------------------


def figure(state: PlaneState, sheet: Sheet, *, log: bool = False) -> None:
    """Density (logarithmic with `log`), basins, equilibria, current, and the marginals."""
    if sheet.ax is not None:
        _draw_plane(sheet.ax, state, log=log)
        return
    grid = sheet.grid(1.1, 4.4, widths=(4, 1))
    figure = sheet.figure
    axes = figure.add_subplot(grid[1, 0])
    top = figure.add_subplot(grid[0, 0], sharex=axes)
    side = figure.add_subplot(grid[1, 1], sharey=axes)
    x, y = _draw_plane(axes, state, log=log)
    top.plot(x, state.marginal(0).pdf(x), color=BLUE)
    side.plot(state.marginal(1).pdf(y), y, color=BLUE)
    for panel in (top, side):
        panel.tick_params(labelbottom=panel is side, labelleft=panel is top)
    top.set(ylim=(0, None), ylabel="density")
    side.set(xlim=(0, None), xlabel="density")
    share, caption = state.curl.fraction, state.diffusion.name
    if not _circulates(state):
        caption += ": no current"
    elif share is not None:
        caption += f": {say.plain_text(100 * share)} % of the driving circulates"
    sheet.title(caption)


def _draw_plane(axes: Any, state: PlaneState, *, log: bool) -> tuple[Array, Array]:
    x, y = (np.linspace(*ends, PIXELS) for ends in window(state))
    points = lattice(y, x)[::-1]
    height = np.asarray(state.energy(points)).reshape(PIXELS, PIXELS)
    shown = -np.minimum(height, VISIBLE) if log else np.exp(-height)
    axes.pcolormesh(x, y, shown, cmap=shades(axes), shading="gouraud", rasterized=True)
    finite = np.where(np.isfinite(height), height, 1e3)
    axes.contour(x, y, finite, levels=CONTOURS, colors=GREY, linewidths=0.4)
    if len(state.basins) > 1:
        from scipy.ndimage import gaussian_filter

        label = np.asarray(state.basin_of(points)).reshape(PIXELS, PIXELS)
        border: dict[str, Any] = {"colors": RED, "linewidths": 0.9, "linestyles": "dashed"}
        for k in range(int(label.max())):
            # Blurred over a few pixels: the contour at half is then no staircase.
            inside = gaussian_filter((label <= k).astype(float), 1.5, mode="nearest")
            axes.contour(x, y, inside, levels=[0.5], **border)
    if _circulates(state):
        _stream(state, axes, x, y)
    for e in state.equilibria:
        if x[0] <= e.position[0] <= x[-1] and y[0] <= e.position[1] <= y[-1]:
            mark, colour = MARKS.get(e.kind, ("s", GREY))
            axes.plot(*e.position, mark, color=colour, markersize=5)
    v = state.diffusion.variable
    names = ("q", "v") if v == "(q, v)" else (f"${v}_1$", f"${v}_2$")
    limits = {"xlim": (x[0], x[-1]), "ylim": (y[0], y[-1])}
    axes.set(xlabel=names[0], ylabel=names[1], **limits)
    return x, y


def _stream(state: PlaneState, axes: Any, x: Array, y: Array) -> None:
    """The current as streamlines, thick where it is strong."""
    x, y = x[::4], y[::4]
    points = lattice(y, x)[::-1]
    u, v = np.nan_to_num(state.current(points)).reshape(2, len(y), -1)
    size = np.hypot(u, v)
    faint = size < 1e-5 * size.max()
    u, v = np.where(faint, np.nan, (u, v))
    kind: dict[str, Any] = {"color": INK, "density": 1.1, "arrowsize": 0.7}
    axes.streamplot(x, y, u, v, linewidth=0.2 + 1.2 * np.sqrt(size / size.max()), **kind)
