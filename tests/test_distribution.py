"""`EndState` as a distribution: both tails, the edges, quantiles, moments, draws."""

from __future__ import annotations

import math
import pickle

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

import stationary
from stationary import Diffusion, LandscapeError, end_state

INF = np.inf


@pytest.fixture(scope="module")
def normal():
    return end_state(Diffusion(drift=lambda x: -x, variance=2.0, domain=(-INF, INF)))


@pytest.fixture(scope="module")
def student():
    nu = 1.5
    return end_state(
        Diffusion(
            drift=lambda x: -(nu - 1) * x, variance=lambda x: 2 * (nu + x * x), domain=(-INF, INF)
        )
    )


@pytest.fixture(scope="module")
def gamma():
    return end_state(Diffusion(drift=lambda x: 0.01 - x, variance=lambda x: 2 * x, domain=(0, INF)))


def test_both_tails_of_a_normal_are_right_relative_to_themselves(normal):
    x = np.array([-1e6, -1e3, -100, -38, -10, -1, 0, 3, 9, 37, 39, 1e3, 1e6])
    # SciPy rounds log(1 - p) to zero where p is about to underflow.
    np.testing.assert_allclose(normal.logcdf(x), stats.norm.logcdf(x), rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(normal.logsf(x), stats.norm.logsf(x), rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(normal.logpdf(x), stats.norm.logpdf(x), rtol=1e-14)


@pytest.mark.parametrize(("low", "high"), [(-1e6, -9e5), (-3e5, -2e5), (-40, -39.5)])
def test_what_lies_between_two_points_is_known_to_its_error_however_far_out(normal, low, high):
    with mpmath.workdps(40):
        below = [mpmath.log(mpmath.erfc(-x / mpmath.sqrt(2)) / 2) for x in (low, high)]
        exact = below[1] + mpmath.log1p(-mpmath.exp(below[0] - below[1]))
        off = float(normal.log_probability(low, high) - exact)
    assert abs(off) <= normal.log_probability_error(low, high) < 1e-14 * abs(exact)


def test_many_points_far_out_are_as_right_as_one(normal):
    x = np.linspace(-60, -6, 30_001)
    found = normal.logcdf(x)
    np.testing.assert_allclose(found, stats.norm.logcdf(x), rtol=1e-13)
    np.testing.assert_allclose(found[::10_000], [normal.logcdf(v) for v in x[::10_000]], rtol=1e-14)


def test_quantiles_are_right_out_to_the_smallest_doubles(normal, student, gamma):
    q = np.array([1e-300, 1e-100, 1e-20, 1e-5, 0.3, 0.5, 0.7, 1 - 1e-10])
    np.testing.assert_allclose(normal.ppf(q), stats.norm.ppf(q), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(normal.isf(q), stats.norm.isf(q), rtol=1e-12, atol=1e-15)
    q = q[1:]
    np.testing.assert_allclose(student.isf(q), stats.t(1.5).isf(q), rtol=1e-12, atol=1e-15)
    q = np.array([1e-3, 0.1, 0.3, 0.5, 0.9, 0.999])
    np.testing.assert_allclose(gamma.ppf(q), stats.gamma(0.01).ppf(q), rtol=3e-11)


def test_a_heavy_tail_is_exact_where_no_panel_reaches(student):
    x = np.array([-1e100, -1e20, -100, 0, 5, 1e5, 1e18, 1e19, 1e100])
    d = stats.t(1.5)
    for mine, theirs in ((student.cdf, d.cdf), (student.sf, d.sf), (student.pdf, d.pdf)):
        exact = theirs(x)
        # A double holds the logarithm of 1e-250 to 6e-14 only.
        rounding = 1e-13 + 2.3e-16 * np.abs(np.log(exact))
        assert (np.abs(mine(x) - exact) <= rounding * exact).all()


def test_moments_that_do_not_exist_are_not_given_a_number(student):
    assert student.mean() == pytest.approx(0, abs=1e-14)
    assert student.var() == INF
    assert student.std() == INF
    assert student.expect(np.square) == INF
    assert student.expect(np.abs) == pytest.approx(stats.t(1.5).expect(np.abs), rel=1e-9)
    cauchy = end_state(Diffusion(drift=0, variance=lambda x: 2 * (1 + x * x), domain=(-INF, INF)))
    assert math.isnan(cauchy.mean())
    assert math.isnan(cauchy.var())
    assert cauchy.median() == pytest.approx(0, abs=1e-15)
    assert cauchy.entropy() == pytest.approx(math.log(4 * math.pi), rel=1e-13)


def test_one_sided_tails_that_diverge_have_an_infinite_mean():
    """f = 1 - (a - 1) x, a(x) = 2 x^2: inverse gamma with shape a = 0.5."""
    state = end_state(
        Diffusion(drift=lambda x: 1 + 0.5 * x, variance=lambda x: 2 * x * x, domain=(0, INF))
    )
    assert state.mean() == INF
    assert state.median() == pytest.approx(stats.invgamma(0.5).median(), rel=1e-13)


def test_edges_of_every_function(normal, double_well):
    assert normal.cdf(-INF) == 0
    assert normal.cdf(INF) == 1
    assert normal.sf(INF) == 0
    assert normal.pdf(INF) == 0
    assert normal.logpdf(INF) == -INF
    np.testing.assert_array_equal(normal.ppf([0, 1]), [-INF, INF])
    np.testing.assert_array_equal(normal.isf([0, 1]), [INF, -INF])
    assert np.isnan(normal.ppf([-0.1, 1.1, np.nan])).all()
    assert np.isnan(normal.pdf(np.nan))
    assert np.isnan(normal.cdf([np.nan, 0.0])).tolist() == [True, False]

    walled = end_state(double_well())
    np.testing.assert_array_equal(walled.ppf([0, 1]), [-3, 3])
    np.testing.assert_array_equal(walled.pdf([-3.001, 3.001, 1e9]), 0)
    np.testing.assert_array_equal(walled.cdf([-5, -3, 3, 5]), [0, 0, 1, 1])
    np.testing.assert_array_equal(walled.sf([-5, -3, 3, 5]), [1, 1, 0, 0])
    assert (walled.pdf([-3.0, 3.0]) > 0).all()


def test_shapes_are_kept_and_empty_input_is_fine(normal):
    assert normal.pdf(np.zeros((2, 3))).shape == (2, 3)
    assert normal.cdf([]).shape == (0,)
    assert normal.ppf(np.zeros((2, 0))).shape == (2, 0)
    assert np.ndim(normal.pdf(0.0)) == 0
    assert normal.rvs(size=(2, 3), rng=1).shape == (2, 3)
    assert normal.rvs(size=0, rng=1).shape == (0,)
    assert isinstance(normal.rvs(rng=1), float)


def test_draws_follow_the_distribution_and_the_seed(normal, double_well):
    state = end_state(double_well())
    draws = state.rvs(20_000, rng=3)
    assert stats.kstest(draws, state.cdf).pvalue > 1e-3
    np.testing.assert_array_equal(draws, state.rvs(20_000, rng=3))
    assert not np.array_equal(draws, state.rvs(20_000, rng=4))
    assert stats.kstest(normal.rvs(20_000, rng=5), stats.norm.cdf).pvalue > 1e-3


def test_expectations_resolve_the_function_too(normal, gamma):
    assert normal.expect(np.abs) == pytest.approx(math.sqrt(2 / math.pi), rel=1e-14)
    assert normal.expect(lambda x: np.exp(5 * x)) == pytest.approx(math.exp(12.5), rel=1e-12)
    assert normal.expect(lambda x: x > 0.3) == pytest.approx(stats.norm.sf(0.3), rel=1e-12)
    assert normal.expect(lambda x: 1.0) == pytest.approx(1, rel=1e-14)
    assert normal.expect() == pytest.approx(0, abs=1e-15)
    root = math.gamma(0.51) / math.gamma(0.01)
    assert gamma.expect(np.sqrt) == pytest.approx(root, rel=1e-12)


def test_entropy_interval_and_median(normal):
    assert normal.entropy() == pytest.approx(stats.norm.entropy(), rel=1e-14)
    np.testing.assert_allclose(normal.interval(0.95), stats.norm.interval(0.95), rtol=1e-13)
    with pytest.raises(LandscapeError, match="between 0 and 1"):
        normal.interval(1.5)


def test_probabilities_of_narrow_and_far_intervals_keep_their_digits(normal, student):
    width = 1e-9
    assert normal.probability(5, 5 + width) == pytest.approx(stats.norm.pdf(5) * width, rel=1e-6)
    far = stats.norm.logsf(30) + math.log1p(-math.exp(stats.norm.logsf(31) - stats.norm.logsf(30)))
    assert normal.log_probability(30, 31) == pytest.approx(far, rel=1e-13)
    t = stats.t(1.5)
    assert student.probability(1e20, 1e21) == pytest.approx(t.sf(1e20) - t.sf(1e21), rel=1e-11)
    assert student.probability(1e5, 1e30) == pytest.approx(t.sf(1e5) - t.sf(1e30), rel=1e-11)
    assert normal.probability(-INF, INF) == 1
    assert normal.probability(1, 1) == 0
    with pytest.raises(LandscapeError, match="first end must not be above"):
        normal.probability(1, 0)


def test_log_ratios_survive_where_masses_do_not(double_well):
    """At 5e4 times less noise the left well holds e^119911 times the mass of the right one."""
    state = end_state(double_well(5e4))
    ratio = state.log_ratio((-3, 0), (0, 3))
    assert ratio == pytest.approx(119911.017978955, rel=1e-14)
    assert state.logsf(0.0) == pytest.approx(-ratio, rel=1e-14)
    assert state.sf(0.0) == 0.0
    assert state.log_ratio((0, 3), (-3, 0)) == -ratio


def test_modes_are_where_the_noise_puts_them(double_well):
    """P' = 0 where 2 f = a': not at the zeros of f."""
    state = end_state(double_well())
    for mode in state.modes:
        x = mode.position
        slope = 0.25 * (1 + 0.5 * math.sin(x)) * math.cos(x)
        assert -2 * (x**3 - x) == pytest.approx(slope, abs=1e-14)
    assert len(state.modes) == 2


def test_rounding_far_out_makes_no_modes():
    """Deviations of cubic gradients are lost in their mean there: log P is noise at e^-240."""
    c = np.linspace(-1, 1, 9)[:, None]
    quartic = stationary.Landscape(
        lambda w: (w - c) ** 4 / 8 - (w - c) ** 2 / 2 + 0.1 * w * (1 + c), learning_rate=0.3
    )
    assert [round(mode.position, 1) for mode in end_state(quartic).modes] == [-0.8, 0.6]


def test_noise_that_is_rounded_next_to_an_end_makes_no_mode():
    """1 - exp(-x) has steps there, at log P = -90."""
    rounded = Diffusion(lambda x: 2 - x, lambda x: 1 - np.exp(-x), (0, INF))
    (mode,) = end_state(rounded).modes
    assert mode.position == pytest.approx(1.9272241673439663, abs=1e-9)


def test_a_density_that_diverges_at_an_end_says_so(gamma):
    assert [(m.position, m.log_density) for m in gamma.modes] == [(0.0, INF)]
    assert gamma.pdf(0.0) == INF
    assert gamma.cdf(0.0) == 0


# -- laws that hold for any process -------------------------------------------------------------

coefficients = st.floats(-2, 2, allow_nan=False)


@st.composite
def processes(draw):
    """A polynomial pull with wiggles, noise that wiggles but stays positive, between walls."""
    c = [draw(coefficients) for _ in range(5)]
    amplitude, level = draw(st.floats(0, 0.9)), draw(st.floats(0.05, 2))

    def drift(x):
        return c[0] + c[1] * x + c[2] * np.sin(3 * x) - x**3

    def variance(x):
        return level * (1 + amplitude * np.cos(2 * x + c[3]))

    return drift, variance


@settings(deadline=None, max_examples=60)
@given(processes(), st.floats(0.1, 10))
def test_scaling_drift_and_variance_alike_changes_nothing(process, factor):
    drift, variance = process
    one = end_state(Diffusion(drift=drift, variance=variance, domain=(-3, 3)))
    other = end_state(
        Diffusion(
            drift=lambda x: factor * drift(x),
            variance=lambda x: factor * variance(x),
            domain=(-3, 3),
        )
    )
    x = np.linspace(-3, 3, 50)
    np.testing.assert_allclose(one.logpdf(x), other.logpdf(x), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(processes())
@example((lambda x: 2 * x - np.sin(3 * x) - x**3, lambda x: 1.0))  # 0 with equal barriers
@example(  # and with the same right of both its neighbours
    (lambda x: 1.7 * x - 0.8 * np.sin(3 * x) - x**3, lambda x: 0.3 * (1 + 0.9 * np.cos(2 * x)))
)
def test_mirroring_a_process_mirrors_its_end_state(process):
    drift, variance = process
    one = end_state(Diffusion(drift=drift, variance=variance, domain=(-3, 2)))
    other = end_state(
        Diffusion(drift=lambda x: -drift(-x), variance=lambda x: variance(-x), domain=(-2, 3))
    )
    x = np.linspace(-3, 2, 50)
    np.testing.assert_allclose(one.logpdf(x), other.logpdf(-x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(one.logcdf(x), other.logsf(-x), rtol=1e-12, atol=1e-12)
    masses = [b.log_mass for b in stationary.basins_of(one)]
    mirrored = [b.log_mass for b in stationary.basins_of(other)]
    np.testing.assert_allclose(masses, mirrored[::-1], rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(processes())
def test_masses_add_up_and_the_parts_agree(process):
    drift, variance = process
    state = end_state(Diffusion(drift=drift, variance=variance, domain=(-3, 3)))
    basins = stationary.basins_of(state)
    assert math.fsum(b.mass for b in basins) == pytest.approx(1, rel=1e-13)
    for b in basins:
        direct = state.log_probability(b.lower, b.upper)
        assert b.log_mass == pytest.approx(direct, rel=1e-12, abs=1e-13)
    x = np.linspace(-2.9, 2.9, 30)
    np.testing.assert_allclose(state.cdf(x) + state.sf(x), 1, rtol=1e-14)
    q = np.linspace(0.01, 0.99, 30)
    np.testing.assert_allclose(state.cdf(state.ppf(q)), q, rtol=1e-12)


@settings(deadline=None, max_examples=40)
@given(processes(), st.floats(0.3, 3), st.floats(-5, 5))
def test_a_linear_change_of_variable_carries_the_density_along(process, stretch, shift):
    """y = stretch x + shift has drift stretch f and variance stretch^2 a."""
    drift, variance = process
    one = end_state(Diffusion(drift=drift, variance=variance, domain=(-3, 3)))
    other = end_state(
        Diffusion(
            drift=lambda y: stretch * drift((y - shift) / stretch),
            variance=lambda y: stretch**2 * variance((y - shift) / stretch),
            domain=(-3 * stretch + shift, 3 * stretch + shift),
        )
    )
    x = np.linspace(-2.9, 2.9, 30)
    moved = other.logpdf(stretch * x + shift) + math.log(stretch)
    np.testing.assert_allclose(one.logpdf(x), moved, rtol=1e-11, atol=1e-11)


@settings(deadline=None, max_examples=40)
@given(processes())
def test_a_nonlinear_change_of_variable_carries_the_density_along(process):
    """y = sinh(x) by Ito's formula: drift f cosh + a sinh / 2, variance a cosh^2."""
    drift, variance = process
    one = end_state(Diffusion(drift=drift, variance=variance, domain=(-2, 2)))

    def new_drift(y):
        x = np.arcsinh(y)
        return drift(x) * np.cosh(x) + variance(x) * y / 2

    other = end_state(
        Diffusion(
            drift=new_drift,
            variance=lambda y: variance(np.arcsinh(y)) * (1 + y * y),
            domain=(math.sinh(-2), math.sinh(2)),
        )
    )
    x = np.linspace(-1.9, 1.9, 30)
    np.testing.assert_allclose(
        one.logpdf(x), other.logpdf(np.sinh(x)) + np.log(np.cosh(x)), rtol=1e-10, atol=1e-10
    )


def test_sizes_and_seeds_that_make_no_sense_are_refused(normal):
    assert normal.rvs(size=np.int64(3), rng=1).shape == (3,)
    for settings_ in ({"size": 2.5}, {"size": -1}, {"size": 3, "rng": "a"}):
        with pytest.raises(LandscapeError, match="rvs"):
            normal.rvs(**settings_)


def test_points_that_are_no_numbers_are_refused(normal):
    for wrong in (
        lambda: normal.pdf("a"),
        lambda: normal.cdf([1, "b"]),
        lambda: normal.ppf(1j),
        lambda: normal.probability("a", 1),
        lambda: normal.pdf(None),
    ):
        with pytest.raises(LandscapeError, match="no number"):
            wrong()
    for wrong in (lambda: normal.pdf(), lambda: normal.ppf(0.1, 0.2), lambda: normal.cdf(at=0.0)):
        with pytest.raises(TypeError, match=r"takes points, [xq]: one number, or an array"):
            wrong()


def test_a_convention_is_also_the_letter_of_its_equation():
    def state(c):
        return end_state(
            Diffusion(lambda x: x - x**3, lambda x: 0.3 + 0.1 * x, (-1.9, 3), convention=c)
        )

    assert state(0.5).mean() == state("stratonovich").mean() != state(0).mean()
    with pytest.raises(LandscapeError, match=r"0\.4 is not known.*0, 0\.5 or 1"):
        state(0.4)
    means = stationary.sweep(lambda c: state(c).diffusion, {"c": [0, 1]}).table()["mean"]
    assert means == pytest.approx([state("ito").mean(), state("klimontovich").mean()], rel=1e-12)


def test_logarithms_as_far_out_as_doubles_go_and_what_was_asked_is_not_packed():
    quintic = Diffusion(drift=lambda x: -(x**5), variance=1.0, domain=(-math.inf, math.inf))
    state = end_state(quintic)
    size = len(pickle.dumps(state))
    far = np.array([1e40, 1e75, 1e100, 1e300, 1.7e308])
    np.testing.assert_allclose(state.logpdf(far)[0], -(1e240) / 3, rtol=1e-12)
    for found in (state.logpdf(far[1:]), state.logsf(far[1:]), state.logcdf(-far[1:])):
        assert (found == -math.inf).all()
    assert len(pickle.dumps(state)) < 2 * size


def test_what_lies_beyond_the_panels_is_in_the_error_of_what_little_there_is():
    """P = exp(-k r^-1/4) r^-5/4 near 1, where doubles lose r: the log was off by 4e-10 at 7e-14."""
    drift, variance = (lambda x: 0.05 * (2 - x)), (lambda x: (x - 1) ** 1.25)
    state = end_state(Diffusion(drift=drift, variance=variance, domain=(1, 6)))
    exact = end_state(Diffusion(drift=drift, variance=variance, domain=(1, 6)), digits=25)
    for r in (1e-7, 1e-6, 1e-5, 1e-3, 0.1):
        off = abs(state.logcdf(1 + r) - float(exact.logcdf(1 + r)))
        assert off <= state.log_probability_error(1, 1 + r)
    assert state.log_probability_error(1, 1.1) < 1e-12


def test_a_million_draws_are_interpolated(normal, student, gamma):
    """P(X <= x) is off by less than 1e-6, a sample shows 1e-3; Newton's method took 20 times as
    long."""
    wells = end_state(Diffusion(lambda x: x - x**3, 0.1))
    for state in (normal, wells, student, gamma):
        few, many = state.rvs(9_999, rng=1), state.rvs(1_000_000, rng=1)
        assert np.abs(state.cdf(many[:9_999]) - state.cdf(few)).max() < 1e-6
        assert stats.kstest(many[-100_000:], state.cdf).pvalue > 1e-3


def test_what_is_no_point_is_refused_in_words(normal):
    exact = end_state(Diffusion(lambda x: -x, 2.0), digits=25)
    for state in (normal, exact):
        for method in (state.pdf, state.logcdf, state.cdf, state.sf, state.ppf, state.isf):
            for wrong in (1j, np.array([0.1 + 0j]), [0.1 + 5j]):
                with pytest.raises(LandscapeError, match="no number"):
                    method(wrong)
    for call, words in (
        (lambda: normal.log_ratio((0, 1), 5), "no interval"),
        (lambda: normal.probability([-1, 0], [0, 1]), "one number"),
        (lambda: normal.rvs(1, rng=1, random_state=2), "two names"),
        (lambda: normal.rvs(1, random_state="q"), "random_state='q'.*, random_state a NumPy gen"),
        (lambda: normal.interval([0.5, 1.5]), "between 0 and 1"),
    ):
        with pytest.raises(LandscapeError, match=words):
            call()
    np.testing.assert_allclose(normal.interval([0.5, 0.9]), stats.norm.interval([0.5, 0.9]))
    cauchy = end_state(Diffusion(0, lambda x: 1 + x * x))
    low, high = cauchy.interval(0)
    assert low <= high


def test_the_time_spent_at_no_point_is_no_number():
    passage = stationary.first_passage(Diffusion(lambda x: -x, 2.0), 1.0, [0.0])
    assert np.isnan(passage.occupation([math.nan, 0.5]).value).tolist() == [True, False]


@pytest.mark.filterwarnings("error")
def test_quantiles_next_to_a_wall_at_0_go_as_far_as_doubles():
    """Exponential laws; they stopped at 1e-127, in 20 digits at 1e-178."""
    below = end_state(Diffusion(drift=-1.0, variance=1.0, domain=(0, np.inf)))
    above = end_state(Diffusion(drift=1.0, variance=1.0, domain=(-np.inf, 0)))
    q = np.array([1e-300, 1e-200, 1e-126, 1e-10, 0.3])
    np.testing.assert_allclose(below.ppf(q), -np.log1p(-q) / 2, rtol=1e-13)
    np.testing.assert_allclose(above.isf(q), np.log1p(-q) / 2, rtol=1e-13)
    many = end_state(Diffusion(drift=-1.0, variance=1.0, domain=(0, np.inf)), digits=20)
    assert abs(mpmath.mpf(str(many.ppf("1e-400"))) / mpmath.mpf("5e-401") - 1) < 1e-20
    ring = Diffusion(lambda x: 1 + np.sin(x), 0.3, (0, 2 * np.pi), boundaries="periodic")
    assert 0 <= end_state(ring).cdf(5e-324) < 1e-300
