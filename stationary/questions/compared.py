"""How sure a sample makes comparisons of minima: ratios with their parts, and changed basins."""

from __future__ import annotations

import math

import numpy as np

from stationary.aliases import Array
from stationary.numbers.arithmetic import EPSILON, TINY
from stationary.questions.kernels import refusal
from stationary.questions.numbers import DRAWS, Numbers, scores
from stationary.questions.width.dilation import BasinBias
from stationary.questions.width.ratios import Ratio
from stationary.states.basin import Basin


def ratio_errors(ratio: Ratio, basins: tuple[Basin, ...]) -> dict[str, float] | None:
    """Standard errors of the parts of a ratio, by name; nan where they are not known.

    None where nothing was estimated. Where the stretch of the losses counts as width, what
    a sample makes of the fitted factor is not known, and so nor are width and noise as causes.
    """
    state = ratio.state
    sample = state.diffusion.sample
    if sample is None or refusal(state) is not None or ratio.exponents is None:
        return None
    numbers = Numbers(state, basins)
    i, j = ratio.indices
    rows = {n: numbers.of_basins(n) for n in ("log_masses", "log_densities", "log_widths")}
    one, two = (numbers.climb(b, float(ratio.top or 0.0)) for b in ratio.basins)
    mass, density, width = (row[i] - row[j] for row in rows.values())
    parts = {
        "log_mass": mass,
        "log_density": density,
        "exponent": one - two,
        "noise": density - (one - two),
        "width": mass - density,
        "laplace": density + width,
        "exponent_of_first": one,  # the exponent of each
        "exponent_of_second": two,
    }
    causes = ratio.causes
    if causes is not None and ratio.depths is not None:
        depths = [numbers.depth(b, float(ratio.top or 0.0)) for b in ratio.basins]
        # By the logarithmic mean I of the exponents: depth = I log(D_1 / D_2).
        a, b = ratio.exponents
        log = math.log(a / b)
        mean = (a - b) / log if abs(log) > 1e-6 else (a + b) / 2
        by_a, by_b = (
            (1 / 2, 1 / 2) if abs(log) < 1e-6 else ((1 - mean / a) / log, (mean / b - 1) / log)
        )
        steep = math.log(ratio.depths[0] / ratio.depths[1])
        parts["depth"] = steep * (by_a * one + by_b * two) + mean * (
            depths[0] / ratio.depths[0] - depths[1] / ratio.depths[1]
        )
        lost = numbers.unknown if causes.stretched else 0.0
        parts["cause_width"] = mass - density + lost
        parts["cause_noise"] = density - parts["depth"] + lost
    found = scores(numbers.points, sample, np.array(list(parts.values())))
    return dict(zip(parts, np.sqrt((found**2).sum(axis=1)).tolist(), strict=True))


def changed_errors(c: BasinBias) -> dict[str, Array] | None:
    """Standard errors of a changed basin, by the column that they are of; kept with it."""
    kept = vars(c)
    if "standard_errors" not in kept:
        kept["standard_errors"] = _changed_errors(c)
    found: dict[str, Array] | None = kept["standard_errors"]
    return found


def _changed_errors(c: BasinBias) -> dict[str, Array] | None:
    """The same, one for each factor; of the basin's own mass and place, too.

    With I(u) the exponent from u to the top and q = lambda^2 or 1 / kappa, the mass is the integral
    of e^(q I) a^(c-1) over the basin, and the density e^(q I) at the minimum.
    """
    sample = c.state.diffusion.sample
    if sample is None or refusal(c.state) is not None:
        return None
    numbers = Numbers(c.state, (c.basin,))
    points, own, top = numbers.points, numbers.shares[0], float(c.top)
    none, logs, rest = 0 * own, np.full_like(own, -np.inf), -math.expm1(float(c.basin.log_mass))
    inside = own > 0
    rows: dict[str, list[Array]] = {"log_density_ratio": [], "log_mass_ratio": [], "log_share": []}
    of_mass = numbers.of_basins("log_masses")[0]
    moved = [numbers.moved(x) for x in (float(c.position), top)]
    rows["exponent"] = [numbers.climb(c.basin, top)]
    rows["log_mass"] = [of_mass]
    rows["positions"] = [numbers.unknown if m is None else m for m in moved]  # and that of the top
    for factor in np.asarray(c.factors, dtype=float):
        q = factor**2 if c.is_dilation else 1 / factor
        logs[inside] = np.log(own[inside]) + (q - 1) * points.phi[inside]
        changed = np.exp(logs - logs.max())
        changed = own if q == 1 else changed / (changed @ points.dx)
        ends = {float(c.position): (q - 1, 0.0), top: (1 - q, 0.0)}
        rows["log_density_ratio"].append(points.changes(none, none, ends))
        gain = points.changes(
            q * changed - own, points.power * (changed - own), {top: (1 - q, 0.0)}
        )
        rows["log_mass_ratio"].append(gain)
        if c.log_shares is not None:
            rows["log_share"].append(
                gain + of_mass / rest if rest > EPSILON else numbers.unknown
            )  # of s / (1 - s)
    found = {
        name: np.sqrt((scores(points, sample, np.array(row)) ** 2).sum(axis=1))
        for name, row in rows.items()
        if row
    }
    if c.log_shares is not None:
        logs = np.minimum(np.asarray(c.log_shares, dtype=float), -TINY)
        odds = logs - np.log(-np.expm1(logs))
        z = np.random.default_rng(0).normal(size=DRAWS)
        drawn = odds[:, None] + found["log_share"][:, None] * np.append(z, -z)
        with np.errstate(invalid="ignore"):  # nan where it is not known
            found["log_share"] = np.logaddexp(0.0, -drawn).std(axis=1)  # shares end at 1
    return found
