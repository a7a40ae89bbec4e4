"""`ratios_of`: what makes one minimum hold more than another.

With I the exponent int 2 f / a from a minimum to the highest point between the two, a the variance
there, and a width that is mass over density at the minimum,

    log mass ratio = (I_1 - I_2) + (1 - c) log(a_2 / a_1) + log(width_1 / width_2),

of which the first two are the ratio of the densities. The parts add up to the whole; that they are
these parts is a convention.

The exponent itself comes from depth, width and noise. Write I = U W^2 K with U = -int f to the top
(for SGD the rise of the loss, times the learning rate), W the width on the scale of the losses
(the stretch by which one basin fits the other best; where none fits to a tenth, 1 for both), and K
what is left, the inverse of the noise along the way. The difference I_1 - I_2 is split in
proportion to the logarithms of the three ratios, with the logarithmic mean of I_1 and I_2 as the
factor: then the parts add up exactly, and exchanging the minima only changes signs [1]_. Local
noise belongs to the noise, local width to the width.

References
----------
.. [1] B. W. Ang, F. Q. Zhang, K.-H. Choi, "Factorizing changes in energy and environmental
       indicators through decomposition", Energy 23 (1998) 489: the logarithmic mean Divisia index.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from stationary.errors import StationaryError
from stationary.line.sampling import Sampling
from stationary.line.slopes import drift_slope
from stationary.numbers.chebyshev import chebyshev_sum, derived, nodes_of
from stationary.numbers.elementary import exp, log, number, to_float
from stationary.process.diffusion import Diffusion
from stationary.process.known import squares_of
from stationary.process.landscape import Landscape
from stationary.progress import each
from stationary.questions.width.dilation import BasinBias, dilation_bias
from stationary.questions.width.stretch import Stretch, best_stretch
from stationary.result import Listed, Result
from stationary.states.basin import Basin
from stationary.states.basins import MIN_BARRIER, climb_error
from stationary.states.distribution import EndState

MOST = 24  # minima of which all pairs are compared; of more, each with the heaviest
RESTING = 1e-13  # a drift below this, times its slope and the basin's width, is rounding
NEAR = 0.1  # a misfit up to which a stretch is counted as width


@dataclass(frozen=True)
class Causes:
    """What the log of a mass ratio comes from; the three add up to it."""

    depth: float
    width: float
    noise: float
    stretched: bool  # whether a stretch of the losses is counted as width
    doubt: float  # how much of the width could as well be noise, as the fit is not perfect
    depth_error: float = 0.0


@dataclass(frozen=True, eq=False)
class Ratio(Listed):
    """Two minima of one closed class. Logarithms are natural, their errors absolute."""

    process: Landscape | Diffusion
    state: EndState
    indices: tuple[int, int]  # of the basins, left to right from 0
    basins: tuple[Basin, Basin]
    log_mass: float  # of the first over the second
    mass_error: float
    log_density: float  # at the two minima
    density_error: float
    why: str = ""  # why there are no parts, if there are none
    top: float | None = None  # the point between them of which both exponents are measured
    exponents: tuple[float, float] | None = None  # I of each
    exponent: float | None = None  # parts of log_mass
    noise: float | None = None
    width: float | None = None
    depths: tuple[float, float] | None = None  # -int f up to the top [x^2 / time]
    depth_errors: tuple[float, float] = (0.0, 0.0)
    min_barrier: float = MIN_BARRIER  # as for `basins_of`
    exponent_errors: tuple[float, float] = (0.0, 0.0)
    exponent_error: float = 0.0
    noise_error: float = 0.0
    width_error: float = 0.0

    @property
    def is_known(self) -> bool:
        """Whether the error leaves anything of the ratio, or of its logarithm."""
        return self.mass_error < max(1.0, 0.1 * abs(self.log_mass))

    @cached_property
    def stretch(self) -> Stretch | None:
        """The first as the second stretched; None where that cannot be compared."""
        try:
            return best_stretch(self.process, *self.basins)
        except StationaryError:
            return None

    @cached_property
    def mean_stretch(self) -> Stretch | None:
        """The same by the mean losses alone."""
        try:
            return best_stretch(self.process, *self.basins, mean=True)
        except StationaryError:
            return None

    @property
    def laplace(self) -> float | None:
        """The log of the mass ratio for small noise: a Gaussian around each minimum.

        None at a corner or a flat minimum, where the density is no Gaussian however small the
        noise.
        """
        if self.exponent is None or self.noise is None:
            return None
        widths = [self._gaussian_width(b) for b in self.basins]
        if widths[0] is None or widths[1] is None:
            return None
        return self.exponent + self.noise + widths[0] - widths[1]

    @property
    def laplace_error(self) -> float | None:
        """Of `laplace`; None at a wall, where that of the slope is not known."""
        if self.laplace is None or any(b.at_wall for b in self.basins):
            return None
        of_widths = sum((b.width_error or 0.0) / (b.width or 1.0) for b in self.basins)
        return self.exponent_error + self.noise_error + of_widths

    def _gaussian_width(self, b: Basin) -> float | None:
        """log of mass over density at a minimum, of a Gaussian, or an exponential at a wall."""
        curvature = b.curvature
        if b.at_wall:
            diffusion, at = self.state.diffusion, float(b.position)
            f, a = (float(v[0]) for v in diffusion.coefficients(np.array([at])))
            slope = drift_slope(diffusion, at)
            # Where the drift vanishes at the wall itself, half a Gaussian leans on it.
            rests = abs(f) <= RESTING * abs(slope or 0.0) * abs(float(b.upper - b.lower))
            if not rests:
                return math.log(a / abs(2 * f)) if f else None
            curvature = -(slope or 0.0)
        if curvature is None or not curvature > 0 or self._is_flat(b):
            return None
        whole = float((log(b.variance) - log(curvature) + math.log(math.pi)) / 2)
        return whole - math.log(2) if b.at_wall else whole

    def _is_flat(self, b: Basin) -> bool:
        """Whether the curvature is but what an uncertain position makes of a multiple zero."""
        if b.at_wall or b.position_error <= 4 * np.spacing(abs(float(b.position))):
            return False
        at, near = float(b.position), float(b.position_error)
        slopes = [drift_slope(self.state.diffusion, x) for x in (at - near, at + near)]
        known = [-s for s in slopes if s is not None]
        return (
            bool(known)
            and not 0.5 < min(known) / float(b.curvature) <= max(known) / float(b.curvature) < 2
        )

    @cached_property
    def causes(self) -> Causes | None:
        """What of the ratio comes from depth, width and noise."""
        if self.exponents is None or self.depths is None:
            return None
        assert self.noise is not None
        assert self.width is not None
        if min(self.exponents) <= 0 or min(self.depths) <= 0:
            return None
        fit = self.stretch
        near = fit is not None and fit.misfit <= NEAR and math.isfinite(fit.factor_error)
        factor, doubt = (fit.factor, fit.factor_error) if fit is not None and near else (1.0, 0.0)
        mean, mean_error = _logarithmic_mean(self.exponents, self.exponent_errors)
        depths = math.log(self.depths[0] / self.depths[1])
        depth, stretched = mean * depths, mean * 2 * math.log(factor)
        assert self.exponent is not None
        rest = self.exponent - depth - stretched
        doubts = [e / d for e, d in zip(self.depth_errors, self.depths, strict=True)]
        return Causes(
            depth,
            stretched + self.width,
            rest + self.noise,
            near,
            2 * (mean * doubt / factor + mean_error * abs(math.log(factor))),
            mean * (sum(doubts) + 2.0**-52) + mean_error * abs(depths) + 2.0**-51 * abs(depth),
        )

    @property
    def meet(self) -> bool:
        """Whether the two have a barrier in common, as the law for a copy has it."""
        one, two = (b.places for b in self.basins)
        return bool(one[2] == two[0] or two[2] == one[0])

    @cached_property
    def predicted(self) -> tuple[float, float] | None:
        """log density and log mass ratio of the second minimum stretched by the fitted factor.

        By the law lambda^2 exp((lambda^2 - 1) I); None where no stretch fits, or where the two do
        not meet at one barrier.
        """
        fit = self.stretch
        if fit is None or not fit.fits or self.exponents is None or not self.meet:
            return None
        w = 1 - self.state.diffusion.convention.value
        gain = (fit.factor**2 - 1) * self.exponents[1]
        try:
            copy = dilation_bias(
                self.state, self.basins[1], [fit.factor], min_barrier=self.min_barrier
            )
        except StationaryError:
            return None
        local = float(copy.log_mass_ratios[0] - (fit.factor**2 - 1) * copy.exponent)
        return 2 * w * math.log(fit.factor) + gain, gain + local


@dataclass(frozen=True, eq=False, repr=False)
class WidthBias(Result):
    """The minima of a process compared, and one of them changed, if that was asked.

    It is the sequence of its `ratios`, and prints the report of the command `bias`.
    """

    process: Landscape | Diffusion
    state: EndState
    basins: tuple[Basin, ...]
    ratios: tuple[Ratio, ...]  # every pair in one closed class
    dilation: BasinBias | None = None
    noise: BasinBias | None = None
    stopped: str = ""  # why a change that was asked for is missing

    def __repr__(self) -> str:
        return f"<WidthBias of {self.state.diffusion.name!r}: {len(self.basins)} minima>"

    def __len__(self) -> int:
        return len(self.ratios)

    def __iter__(self) -> Iterator[Ratio]:
        return iter(self.ratios)

    def __getitem__(self, k: int) -> Ratio:
        return self.ratios[k]

    @property
    def changed(self) -> tuple[BasinBias, ...]:
        return tuple(c for c in (self.dilation, self.noise) if c is not None)

    @property
    def has_table(self) -> bool:
        """Whether there is what a table is asked of: pairs have columns that factors have not."""
        return bool(self.changed) or not self.stopped


def ratios_of(
    process: Landscape | Diffusion,
    state: EndState,
    basins: tuple[Basin, ...],
    min_barrier: float = MIN_BARRIER,
) -> tuple[Ratio, ...]:
    """Every pair of minima that share a closed class, the heavier one first; heaviest pair first.

    Of more than 24 minima each is compared with the heaviest only.
    """
    order = sorted(range(len(basins)), key=lambda i: -basins[i].log_mass)
    every = combinations(order, 2) if len(basins) <= MOST else ((order[0], i) for i in order[1:])
    found = (_ratio(process, state, basins, i, j) for i, j in each(tuple(every), "pairs"))
    return tuple(replace(r, min_barrier=min_barrier) for r in found if r is not None)


def _ratio(
    process: Landscape | Diffusion, state: EndState, basins: tuple[Basin, ...], i: int, j: int
) -> Ratio | None:
    one, two = basins[i], basins[j]
    first, second = one.component, two.component
    if first.group != second.group and (first.weight is None or second.weight is None):
        return None
    if math.isinf(float(one.log_mass)) and math.isinf(float(two.log_mass)):
        return None
    whole: dict[str, Any] = {
        "process": process,
        "state": state,
        "indices": (i, j),
        "basins": (one, two),
        "log_mass": float(one.log_mass - two.log_mass),
        "mass_error": float(one.mass_error + two.mass_error),
        "log_density": float(one.log_density - two.log_density),
        "density_error": float(first.error + second.error),
    }
    why = ""
    if not math.isfinite(whole["log_mass"]):
        why = "their exponents are beyond the range of doubles"
    elif first.group != second.group:
        why = "they lie in different closed classes, of which the start decides the weights"
    elif first is not second:
        why = "the noise vanishes between them, where the exponent is cut"
    else:
        whole["mass_error"] -= one.weight_error + two.weight_error
        if state.diffusion.is_periodic:
            why = "a current flows around the ring, and the exponent has no value"
    if why:
        return Ratio(**whole, why=why)
    found = first.density.sampling
    places = [b.places[1] for b in (one, two)]
    low, high = min(places), max(places)
    between = [b.places[0] for b in basins if low < b.places[0] < high]
    edges = found.panels.edges
    marks = np.array([low, *between, high], dtype=edges.dtype)
    marks = np.clip(marks, found.lower, found.upper)
    climbs = found.climbs(marks)
    k = 1 + int(np.argmin(np.cumsum(climbs)[:-1]))
    ends = {low: -climbs[:k].sum(), high: climbs[k:].sum()}
    exponents = tuple(float(to_float(number(ends[p]))) for p in places)
    potentials = [_potential(found, marks[k], p) for p in places]
    depths, depth_errors = (tuple(float(to_float(v[i])) for v in potentials) for i in (0, 1))
    w = 1 - state.diffusion.convention.value
    at = np.clip(np.array(places, edges.dtype), *edges[[0, -1]])
    panel, within = found.quieter(at)
    ell = chebyshev_sum(found.ell, within, panel)
    exponent = float(to_float(number(ends[places[0]] - ends[places[1]])))
    climbed = [float(to_float(number(climb_error(found, marks[k], p)))) for p in places]
    climbed = [e + 2.0**-52 * abs(x) for e, x in zip(climbed, exponents, strict=True)]
    noise = w * float(to_float(number(ell[1] - ell[0])))
    whole["log_density"] = exponent + noise
    whole["mass_error"] += 2.0**-52 * abs(whole["log_mass"])
    rise = float(to_float(number(climb_error(found, low, high)))) + 2.0**-52 * abs(exponent)
    rough = 4 * found.samples.tails[1][panel] + found.epsilon * (2 + np.abs(ell))
    # Interpolation knows neither log a nor the minimum itself, where log a has a slope.
    slopes = chebyshev_sum(derived(found.ell), within, panel) / found.panels.half[panel]
    moved = np.abs(slopes) * np.array([b.position_error for b in (one, two)])
    rough = rough + found.unknown[1][panel] + moved
    blur = w * float(to_float(number(rough.sum()))) + 2.0**-52 * abs(noise)
    whole["density_error"] = rise + blur + 2.0**-52 * abs(whole["log_density"])
    return Ratio(
        **whole,
        top=float(to_float(number(marks[k]))),
        exponents=(exponents[0], exponents[1]),
        exponent=exponent,
        noise=noise,
        width=whole["log_mass"] - exponent - noise,
        exponent_errors=(climbed[0], climbed[1]),
        exponent_error=rise,
        noise_error=blur,
        width_error=whole["mass_error"] + whole["density_error"],
        depths=(depths[0], depths[1]),
        depth_errors=(depth_errors[0], depth_errors[1]),
    )


def _logarithmic_mean(
    pair: tuple[float, float], errors: tuple[float, float]
) -> tuple[float, float]:
    """Of two exponents, and its error."""
    one, two = pair
    ratio = (one - two) / two
    if abs(ratio) < 1e-7:
        return (one + two) / 2, max(errors) + 2.0**-50 * one
    logs = math.log1p(ratio) if abs(ratio) < 0.5 else math.log(one / two)
    mean = (one - two) / logs
    slopes = (1 - mean / one) / logs, (mean / two - 1) / logs
    own = sum(abs(s) * e for s, e in zip(slopes, errors, strict=True))
    return mean, own + 2.0**-50 * mean


def _potential(found: Sampling, top: Any, place: Any) -> tuple[Any, Any]:
    """-int f from a minimum to a point, and its error."""
    edges, r = found.panels.edges, found.rule
    low, high = min(top, place), max(top, place)
    inner = edges[(edges > low) & (edges < high)]
    marks = np.array([low, *inner, high], dtype=edges.dtype)
    x, offset = nodes_of(marks[:-1], marks[1:], r)
    # From what was sampled: the functions themselves may cost a second a call.
    h, ell = (found.panels.evaluate(c, x, offset) for c in (found.h, found.ell))
    f = h * exp(ell) / 2
    half = (marks[1:] - marks[:-1]) / 2
    work = (half * (r.quadrature @ f)).sum()
    cut = np.abs((r.coefficients @ f)[-3:]).max(axis=0)
    blur = found.epsilon * (np.abs(f) * (8 + 2 * np.abs(ell))).mean(axis=0)
    error, diffusion = (2 * half * (cut + blur)).sum(), found.diffusion
    if diffusion.uncertainty is not None:
        off = diffusion.uncertainty(to_float(x).ravel())[0].reshape(x.shape).mean(axis=0)
        steps, knots = 2 * half * off, diffusion.breakpoints
        error += np.sqrt(squares_of(steps, x[0], knots, diffusion.uncertainty).sum())
    return (-work if top > place else work), error
