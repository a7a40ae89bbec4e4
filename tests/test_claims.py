"""What is said of an error, against random closed forms: never too small, rarely far too large."""

import math

import numpy as np
import pytest
from mpmath import erfc, gammainc, mp, mpf

from stationary import Diffusion, Landscape, basins_of, end_state, regularisation_path

LONG = np.longdouble
EXACT = 3e-16 + 200 * float(np.finfo(LONG).eps)  # of doubles, and of the exact integrals


def gauss_legendre(n=40):
    """Nodes and weights in extended precision, by Newton's method from those of doubles."""
    x = np.polynomial.legendre.leggauss(n)[0].astype(LONG)
    for _ in range(3):
        before, here = np.ones_like(x), x
        for k in range(2, n + 1):
            before, here = here, ((2 * k - 1) * x * here - (k - 1) * before) / k
        slope = n * (x * here - before) / (x * x - 1)
        x = x - here / slope
    return x, 2 / ((1 - x * x) * slope**2)


NODES, WEIGHTS = gauss_legendre()


class Gibbs:
    """f = -V', a = 2 T on [-3, 3]: P ~ exp(-V / T); V a quartic and a wave, or with a corner."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.c = rng.normal(size=3) * [1, 1, 0.5]
        self.quartic = abs(rng.normal()) * 0.2 + 0.02
        self.height, self.rate, self.phase = rng.normal() * 0.5, *rng.uniform(0.5, 6, 2)
        self.temperature = 10 ** rng.uniform(-1.7, 0.3)
        self.kink, self.at = (rng.normal() if seed % 3 == 0 else 0.0), 0.25
        self.points = rng.uniform(-2.9, 2.9, 6)

    def potential(self, x):
        c, h = self.c.astype(x.dtype), x.dtype.type
        wave = h(self.height) * np.cos(h(self.rate) * x + h(self.phase))
        corner = h(self.kink) * np.abs(x - h(self.at))
        powers = c[0] + x * (c[1] / 2 + x * (c[2] / 3 + x * (h(self.quartic) / 4)))
        return x * powers + wave + corner

    def slope(self, x):
        wave = self.height * self.rate * np.sin(self.rate * x + self.phase)
        smooth = self.c[0] + self.c[1] * x + self.c[2] * x**2 + self.quartic * x**3 - wave
        return smooth + self.kink * np.sign(x - self.at)

    def process(self):
        return Diffusion(
            drift=lambda x: -self.slope(x), variance=2 * self.temperature, domain=(-3, 3)
        )

    def log_masses(self, *places):
        """log int_low^high exp(-V / T) dx for pairs of these places, as a function; and int x P dx.

        On one set of panels, 400 of equal width cut at the places and at the corner.
        """
        cuts = np.unique(np.append(np.linspace(LONG(-3), LONG(3), 401), [*places, LONG(self.at)]))
        half = np.diff(cuts) / 2
        x = cuts[:-1] + half + half * NODES[:, None]
        level = -self.potential(x) / LONG(self.temperature)
        tops = level.max(axis=0)
        density = np.exp(level - tops)
        log = tops + np.log(WEIGHTS @ density * half)

        def between(low, high):
            first, last = np.searchsorted(cuts, np.array([low, high], dtype=LONG))
            part = log[first:last]
            return part.max() + np.log(np.exp(part - part.max()).sum())

        whole = between(-3, 3)
        mean = (np.exp(tops - whole) * (WEIGHTS @ (density * x) * half)).sum()
        return between, level.max(), mean


SEEDS = range(36)


@pytest.mark.parametrize("seed", SEEDS)
def test_densities_tails_and_basins_are_as_right_as_they_say(seed):
    case = Gibbs(seed)
    state = end_state(case.process())
    basins = basins_of(state)
    ends = [tuple(border(case, end) for end in (b.lower, b.upper)) for b in basins]
    log_mass, top, _ = case.log_masses(*case.points, *sum(ends, ()))
    whole = log_mass(-3, 3)
    exact = -case.potential(case.points.astype(LONG)) / LONG(case.temperature) - whole
    off = np.abs(state.logpdf(case.points) - exact)
    # The error is that of the density above 1e-8 of its maximum.
    factor = np.where(exact > top - whole - 18, 1, 20)
    assert (off <= factor * state.error + EXACT * np.abs(exact)).all()
    for x in case.points:
        for low, high, found in ((-3, x, state.logcdf(x)), (x, 3, state.logsf(x))):
            tail = log_mass(low, high) - whole
            # The error of a deep tail is that of int 2 f / a on the way.
            assert abs(found - tail) <= 20 * state.error + EXACT * abs(tail)
    for b, (low, high) in zip(basins, ends, strict=True):
        mass = log_mass(low, high) - whole
        assert abs(b.log_mass - mass) <= b.mass_error + (EXACT - 3e-16) * max(1, abs(mass))
        assert b.mass_error < 1e-11 * max(1, abs(mass))
    assert state.error < 1e-11


def border(case, x):
    """An unstable equilibrium in extended precision: a root of V' near x (or an end)."""
    if abs(x) == 3 or x == case.at:
        return LONG(x)
    x, step = LONG(x), LONG(1e-5)
    for _ in range(4):
        x -= 2 * step * case.slope(x) / (case.slope(x + step) - case.slope(x - step))
    return x


@pytest.mark.parametrize("seed", SEEDS[:12])
def test_a_mean_is_as_right_as_it_says(seed):
    case = Gibbs(seed)
    state = end_state(case.process())
    _, _, mean = case.log_masses()
    assert abs(state.mean() - mean) <= state.mean_error + EXACT * abs(mean)
    assert state.mean_error < 1e-11
    assert math.isfinite(state.std())


@pytest.mark.parametrize("floor", [1e-20, 1e-6, 1e-3])
def test_a_cusp_that_is_hardly_above_zero_says_what_is_not_seen_of_it(floor):
    """P ~ 1 / a with a = floor + sqrt|x - 0.3|: at 0.3 doubles see no more than sqrt(1e-16)."""

    def variance(x):
        return floor + np.sqrt(np.abs(x - 0.3))

    state = end_state(Diffusion(drift=0.0, variance=variance, domain=(-1, 1)))
    x = np.array([-0.5, 0.0, 0.29, 0.3, 0.31])
    off = state.logpdf(x) + np.log(variance(x))
    assert np.ptp(off) <= state.error
    assert state.error <= 1e-10 or state.status.name == "PANEL_LIMIT"


def test_what_doubles_see_of_a_cusp_is_no_error_of_masses():
    """Where the noise is a cusp on a floor P is known there to sqrt(1e-16) / floor."""
    c, floor = 0.4, 0.02

    def variance(x):
        return floor + np.sqrt(np.abs(x - c))

    process = Diffusion(drift=0.0, variance=variance, domain=(-3, 3))
    in_doubles = process.changed(variance=lambda x: variance(np.asarray(x, dtype=float)))
    state = end_state(in_doubles)

    def mass(r):  # of 1 / (floor + sqrt(r)) from 0 to r
        return 2 * np.sqrt(r) - 2 * floor * np.log1p(np.sqrt(r) / floor)

    share = mass(3 + c) / (mass(3 + c) + mass(3 - c))
    assert abs(state.cdf(c) / share - 1) <= state.mass_error < 1e-9 < 1e-7 < state.error
    assert any("cusp at x = 0.4" in note for note in state.notes)
    assert abs(end_state(process).cdf(c) / share - 1) < 1e-14
    few = np.geomspace(0.1, 1e-12, 6)  # by itself it goes on to 1e-24, in many digits each
    for path in (regularisation_path(process, few), regularisation_path(in_doubles)):
        assert path.errors.max() < 1e-9
        assert len(path.epsilons) > 5
        assert path.outcome == "agrees"


def test_masses_that_met_the_tolerance_beside_a_cusp_have_converged():
    """It was told to name breakpoints that were known, as P at the cusp itself is off by 1e-10."""
    rng = np.random.default_rng(80)
    x = rng.normal(size=(5, 1))
    y = 0.6 * x + 0.5 * rng.normal(size=(5, 1))
    sgd = Landscape(
        lambda w: np.abs(w * x - y) ** 1.5, learning_rate=0.03, batch_size=2, domain=(-3, 4)
    )
    state = end_state(sgd)
    assert len(sgd.corners) == 5
    assert state.mass_error <= 1e-10 < state.error
    assert state.status.name == "CONVERGED"


def test_corners_of_the_noise_do_not_take_the_claim_everywhere_with_them():
    """P ~ exp(-x^2) / a with 200 jumps of a: panels run out, next to the jumps alone."""
    generator = np.random.default_rng(1)
    places, sizes = np.sort(generator.uniform(-2, 2, 200)), generator.uniform(0, 1, 200)

    def variance(x):
        return 1 + sum(c * (x > p) for c, p in zip(sizes, places, strict=True)) / 200

    def unknown(x):  # in doubles, so that the jumps are not known beforehand
        return variance(np.asarray(x, dtype=float))

    x = np.linspace(-2.9, 2.9, 301)
    for noise, most in ((unknown, 1e-7), (variance, 1e-13)):
        process = Diffusion(drift=lambda x, a=noise: -x * a(x), variance=noise, domain=(-3, 3))
        state = end_state(process)
        off = state.logpdf(x) + x * x + np.log(variance(x))
        assert np.ptp(off) <= state.error < most
        assert any("corners" in note for note in state.notes) == (noise is unknown)


def test_a_probability_far_out_is_as_right_as_it_says_and_not_as_the_bulk_is():
    """A normal law (f = -x, a = 2) and a gamma law (f = 2.5 - x, a = 2 x), and a state of atoms."""
    normal = end_state(Diffusion(lambda x: -x, 2.0, (-math.inf, math.inf)))
    gamma = end_state(Diffusion(lambda x: 2.5 - x, lambda x: 2 * x, (0, math.inf)))
    worse = 0
    with mp.workdps(40):
        cases = [
            (normal, a, b, (erfc(a / mp.sqrt(2)) - erfc(b / mp.sqrt(2))) / 2)
            for a, b in ((5, 6), (29, math.inf), (60, 61), (100, 200), (-1, 2))
        ]
        cases += [
            (gamma, a, b, gammainc(2.5, mpf(a), mpf(b), regularized=True))
            for a, b in ((0, 1e-200), (1e-10, 1e-9), (300, math.inf), (1, 3))
        ]
        for state, low, high, exact in cases:
            off = abs(float(mpf(state.log_probability(low, high)) - mp.log(exact)))
            claim = state.log_probability_error(low, high)
            assert off <= claim <= 2e-15 * (20 + abs(float(mp.log(exact))))
            worse += off > state.error
    assert worse  # which is why this has an error of its own
    drift = Diffusion(drift=0, variance=lambda x: x * (1 - x), domain=(0, 1))
    assert end_state(drift, initial=0.3).log_probability_error(0.5, 1) < 1e-9
    assert end_state(drift, initial=0.3).log_probability_error(0.2, 0.9) == 0  # nothing is there
