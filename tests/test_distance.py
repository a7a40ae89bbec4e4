"""Distances between distributions of every kind, against closed forms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, stats

from stationary import (
    Cells,
    Diffusion,
    Distribution,
    Landscape,
    LandscapeError,
    end_state,
    evolve,
    exact_chain,
    simulate,
)

KINDS = ("total variation", "kolmogorov", "wasserstein")


def normal(mean, deviation):
    return end_state(Diffusion(drift=lambda x: mean - x, variance=2 * deviation**2, name="normal"))


def uniform(low, high, **changes):
    return end_state(Diffusion(drift=0.0, variance=1.0, domain=(low, high)), **changes)


@pytest.mark.parametrize("shift", [1e-3, 0.5, 3.0])
def test_shifted_normal_laws_are_apart_by_what_paper_says(shift):
    one, other = normal(0, 1), normal(shift, 1)
    exact = 2 * stats.norm.cdf(shift / 2) - 1
    for kind, truth in zip(KINDS, (exact, exact, shift), strict=True):
        value, error = one.distance(other, kind)
        assert abs(value - truth) <= error < 2e-2 * truth + 1e-9
        assert other.distance(one, kind).value == pytest.approx(value, rel=1e-6)


def test_atoms_and_densities_compare_alike():
    """Half at 0 and half at 1 against the uniform law: no overlap, and a quarter to be moved."""
    coin = exact_chain(Landscape(losses=lambda w: (w**2 / 2, (w - 1) ** 2 / 2), learning_rate=1.0))
    even = uniform(0, 1)
    for kind, truth in zip(KINDS, (1.0, 0.5, 0.25), strict=True):
        value, error = coin.distance(even, kind)
        assert abs(value - truth) <= error + 1e-6 < 1e-3
        assert coin.distance(coin, kind).value <= 1e-12


def test_a_start_walkers_the_chain_and_an_evolution_are_distributions():
    process = Diffusion(drift=lambda x: -x, variance=2.0, initial="normal:3,1", name="pull")
    end, path = end_state(process), evolve(process, times=[0.5, 2.0, 20.0])
    start = path.initial
    assert isinstance(start, Distribution)
    for kind, truth in zip(KINDS, (2 * stats.norm.cdf(1.5) - 1,) * 2 + (3.0,), strict=True):
        value, error = start.distance(end, kind)
        assert abs(value - truth) <= error + 1e-6
    for t in path.times:
        value, error = path.at(t).distance(end, "wasserstein")
        assert abs(value - 3 * math.exp(-t)) <= error
    walk = simulate(process, walkers=400, steps=2000, dt=0.02, seed=1).distribution
    value, error = walk.distance(end)
    assert value < 3 * error
    with pytest.raises(LandscapeError, match="none of the times"):
        path.at(3.0)


def test_a_distance_that_is_none_is_refused_by_name():
    with pytest.raises(LandscapeError, match="'total variation', 'kolmogorov', 'wasserstein'"):
        normal(0, 1).distance(normal(1, 1), "hellinger")


def test_cells_with_atoms_answer_as_distributions_do():
    """Half evenly on (0, 2), a quarter at each of 1 and 3."""
    law = Cells(
        np.array([0.0, 0.5, 2.0]), np.array([0.125, 0.375]), np.array([3.0, 1.0]),
        np.array([0.25, 0.25]),
    )  # fmt: skip
    x = np.array([-1, 0, 0.4, 1, 1.5, 2, 2.9, 3, 4])
    exact = np.array([0, 0, 0.1, 0.5, 0.625, 0.75, 0.75, 1, 1])
    assert np.allclose(law.cdf(x), exact)
    assert [law.cdf(v) for v in x] == law.cdf(x).tolist()
    assert np.allclose(law.sf(x), 1 - exact)
    assert law.mean() == pytest.approx(1.5)
    assert law.var() == pytest.approx(0.5 * 4 / 3 + 0.25 + 0.25 * 9 - 2.25)
    q = np.array([0, 0.1, 0.25, 0.3, 0.49, 0.5, 0.625, 0.76, 1.0])
    assert np.allclose(law.ppf(q), [0, 0.4, 1, 1, 1, 1, 1.5, 3, 3])
    assert np.isnan(law.ppf([-0.1, 1.1])).all()
    drawn = law.rvs(20_000, rng=1)
    assert abs((drawn == 1).mean() - 0.25) < 0.02
    assert law.pdf(0.2) == pytest.approx(0.25)
    assert law.logpdf(-5) == -math.inf
    assert law.probability(0.5, 1) == pytest.approx(0.375)
    p = 1 - q
    assert np.allclose(law.isf(p), [0, 0.4, 1, 1, 1, 1, 1.5, 3, 3])
    rare = Cells(np.array([0.0, 1.0, 2.0]), np.array([1.0, 1e-30]))
    assert np.allclose(rare.sf([0.5, 1.5, 2.5]), [0.5, 5e-31, 0], rtol=1e-14)
    assert rare.isf(1e-31) == pytest.approx(1.9)
    assert rare.probability(1.5, 3) == pytest.approx(5e-31, rel=1e-14)


def test_the_moments_of_the_chain_are_those_of_its_law():
    state = exact_chain(Landscape(losses=lambda w: (w**2 / 2, (w - 1) ** 2 / 2), learning_rate=0.5))
    for k in range(1, 5):  # uniform on (0, 1)
        assert state.moment(k) == pytest.approx(1 / (k + 1), abs=1e-12)
    assert np.allclose(state.ppf([0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=1e-9)
    assert state.sf(0.25) == pytest.approx(0.75, abs=1e-9)
    assert state.pdf(0.3) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("start", [1.0, "normal:2,0.5"])
@pytest.mark.parametrize("cells", [None, 400])
def test_a_row_of_an_evolution_is_right_between_its_edges(start, cells):
    process = Diffusion(drift=lambda x: -x, variance=2.0, initial=start, name="pull")
    path = evolve(process, times=[0.1, 1, 3], cells=cells)
    end = stats.norm(0, 1)
    for k, t in enumerate(path.times):
        spread = path.initial.var() * math.exp(-2 * t) - math.expm1(-2 * t)
        exact = stats.norm(path.initial.mean() * math.exp(-t), math.sqrt(spread))
        law = path.at(t)
        x = exact.ppf(np.linspace(1e-6, 1 - 1e-6, 4001))
        assert np.abs(law.cdf(x) - exact.cdf(x)).max() <= law.error < 2e-5
        assert np.abs(law.pdf(x) / exact.pdf(x) - 1)[100:-100].max() < 1e-4
        assert np.abs(law.cdf(law.ppf([0.01, 0.3, 0.9])) - [0.01, 0.3, 0.9]).max() < 1e-12
        assert law.mean() == path.mean[k]
        assert law.std() == pytest.approx(path.std[k], rel=1e-14)
        assert law.moment(1) == pytest.approx(exact.mean(), abs=1e-6)
        assert law.moment(2, law.mean()) == pytest.approx(exact.var(), abs=1e-6)
        fine = np.linspace(-12, 12, 400_001)
        apart = np.trapezoid(np.abs(exact.pdf(fine) - end.pdf(fine)), fine) / 2
        for value, error in (
            law.distance(path.end_state),
            (path.total_variation_to_end[k], path.total_variation_error[k]),
        ):
            assert abs(value - apart) <= error < 1e-4
        inner = path.probability(0.11, 0.37)[k]
        assert abs(inner - exact.cdf(0.37) + exact.cdf(0.11)) <= 2 * law.error


def test_a_row_at_the_start_is_the_point_where_it_starts():
    path = evolve(Diffusion(drift=lambda x: -x, variance=2.0), 0.7, times=[0, 1])
    law = path.at(0)
    assert law.cdf([0.699, 0.7]).tolist() == [0, 1]
    assert (law.mean(), law.std()) == (0.7, pytest.approx(0, abs=1e-14))


def test_where_a_density_jumps_its_cells_are_even_and_the_error_says_so():
    """Noise that is four times as strong on the right: the density falls to a quarter there."""
    process = Diffusion(drift=0.0, variance=lambda x: np.where(x > 0.3, 4.0, 1.0), domain=(-1, 1))
    path = evolve(process, "uniform:-1,1", times=[50.0], tolerance=1e-3)
    x = np.linspace(-1, 1, 3001)
    weight = 1.3 + 0.7 / 4
    exact = np.where(x < 0.3, x + 1, 1.3 + (x - 0.3) / 4) / weight
    law = path.at(50.0)
    assert np.abs(law.cdf(x) - exact).max() <= law.error < 1e-2
    assert law.pdf(x).min() >= 0


def test_two_laws_of_atoms_are_apart_by_what_their_weights_say():
    """Random drift is absorbed at 1 with the probability that it starts with."""
    drift = Diffusion(drift=0.0, variance=lambda x: x * (1 - x), domain=(0, 1))
    one, other = end_state(drift, initial=0.3), end_state(drift, initial=0.5)
    for kind in KINDS:
        value, error = one.distance(other, kind)
        assert abs(value - 0.2) <= error + 1e-15 < 1e-9
    for method in (one.cdf, one.sf, one.logcdf, one.logsf):  # warnings are errors
        assert math.isnan(method(math.nan))
        assert np.isnan(method([math.nan, 0.5])).tolist() == [True, False]


def test_samples_outside_of_all_bins_are_not_taken_for_what_lies_far_out():
    """Of a heavy tail 0.26 % lay outside, and Wasserstein's distance was 488: 0.0026 times 2e5."""
    edges = np.linspace(-8, 8, 65)
    law = Cells(edges=np.array([-2e5, *edges, 2e5]), masses=np.full(66, 1 / 66))
    binned = Cells(edges=edges, masses=np.full(64, 1 / 66), noise=np.full(64, 1e-3), before=1 / 66)
    value, error = law.distance(binned, "wasserstein")
    assert value < 1e-9
    assert error > 0.99 * 2e5 / 66  # where they lie nobody knows
    nothing = np.empty(0)
    point = Cells(edges=nothing, masses=nothing, positions=np.array([30.0]), weights=np.ones(1))
    value, error = point.distance(binned, "wasserstein")
    assert value == pytest.approx(8 + 22 * 65 / 66, abs=1e-6)  # what lies above is there already


@pytest.mark.parametrize(("width", "shift"), [(1.0, 0.0), (1e-6, 3.0)])
def test_what_is_not_known_far_out_counts_as_much_as_it_holds(width, shift):
    """The error of a state is that of its density where it is worst, above 1e-8 of the peak."""
    law = end_state(
        Diffusion(
            drift=lambda x: -(x - shift),
            variance=2 * width**2,
            domain=(shift - 9 * width, shift + 9 * width),
        )
    )
    unsure = replace(law, error=4.0)
    for kind in ("total variation", "kolmogorov"):
        near = unsure.distance(stats.norm(shift, width), kind)
        assert near.value < near.error < 1e-7
    nothing = replace(Cells(np.array([0.0, 1.0]), np.ones(1)), error=4.0, mass_error=4.0)
    for kind in ("total variation", "kolmogorov"):
        assert nothing.distance(stats.uniform(0, 1), kind).error == 1


def student(nu):
    """f = -(nu - 1) x / 2 with a = 1 + x^2: Student's t over sqrt(nu)."""
    return end_state(Diffusion(drift=lambda x: -(nu - 1) / 2 * x, variance=lambda x: 1 + x * x))


def test_wasserstein_is_infinite_between_a_law_with_a_mean_and_one_without():
    cauchy, heavy = student(1), student(1.5)
    for one, other in ((cauchy, normal(0, 1)), (normal(0, 1), cauchy), (cauchy, heavy)):
        assert one.distance(other, "wasserstein") == (math.inf, 0.0)
    assert cauchy.distance(student(1), "wasserstein").error == math.inf  # it need not be
    value, error = heavy.distance(normal(0, 1), "wasserstein")

    def apart(y):
        """|F - G| dx, on both sides, with x = sinh(y)."""
        x = np.sinh(y)
        return 2 * abs(stats.t(1.5).sf(x * math.sqrt(1.5)) - stats.norm.sf(x)) * np.cosh(y)

    exact = integrate.quad(apart, 0, 60, limit=500)[0]
    assert abs(value - exact) <= error < 2e-2


def test_laws_that_are_close_are_known_to_be():
    """Of deviations 1 and 1 + s, to first order in s: 2 phi(1) s and phi(1) s."""
    one = normal(0, 1)
    for other, parts in (
        (normal(0, 1 + 1e-9), (2 * stats.norm.pdf(1), stats.norm.pdf(1))),
        (normal(1e-9, 1), (stats.norm.pdf(0), stats.norm.pdf(0))),
    ):
        for kind, part in zip(KINDS, parts, strict=False):
            value, error = one.distance(other, kind)
            assert abs(value - part * 1e-9) <= error < 2e-12


def test_laws_of_scipy_and_samples_are_distributions_too():
    one, sample = normal(0, 1), np.random.default_rng(0).normal(size=1000)
    value, error = one.distance(stats.norm(0.5, 1), "wasserstein")
    assert abs(value - 0.5) <= error < 1e-5
    assert one.distance(stats.norm(0, 1)).value <= 1e-12
    assert one.distance(stats.cauchy(), "wasserstein").value == math.inf
    value, error = one.distance(sample, "kolmogorov")
    assert abs(value - stats.kstest(sample, "norm").statistic) <= error + 1e-8 < 1e-6
    value, error = one.distance(sample)  # points, of which a density sees nothing
    assert abs(value - 1) <= error < 1e-3
    assert one.distance(stats.poisson(3)).value == pytest.approx(1, abs=1e-8)
    for wrong in (3, "a", None, [1, math.nan], [[1, 2]]):
        with pytest.raises(LandscapeError, match="no distribution"):
            one.distance(wrong)


def test_the_supremum_over_bins_of_walkers_has_its_own_error():
    """A Brownian bridge leaves 1.36 in 5 of 100, and more than its deviation mostly."""
    process = Diffusion(lambda x: -x, 1.0)
    end, beyond = end_state(process), 0
    for seed in range(30):
        walkers = simulate(process, seed=seed, walkers=300, steps=400).distribution
        value, error = end.distance(walkers, "kolmogorov")
        beyond += value > error
        assert error < 5e-2
    assert beyond <= 3


@pytest.mark.parametrize(("unit", "place"), [(1.0, 1e6), (1.0, 1e8), (1e-9, 1e-3)])
def test_bins_of_walkers_far_from_the_origin_are_not_merged(unit, place):
    """Next to nothing relative to the positions, they are as wide as ever beside each other."""

    def apart(s, c):
        process = Diffusion(
            lambda x: s * ((x - c) / s - ((x - c) / s) ** 3), 0.3 * s * s, (c - 3 * s, c + 3 * s)
        )
        walkers = simulate(process, c + 0.5 * s, walkers=300, steps=400, seed=1)
        return end_state(process).distance(walkers.distribution)

    near, far = apart(1.0, 0.0), apart(unit, place)
    assert far.value == pytest.approx(near.value, rel=1e-5)
    assert far.error == pytest.approx(near.error, rel=1e-5)
