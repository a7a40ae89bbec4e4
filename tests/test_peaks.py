"""Where the density has no bound: how much gathers there, and what is said of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import beta, betainc, betaincc

from stationary import Diffusion, Landscape, analyze, end_state, peaks_of


def genes(a, b):
    """Mutation at rates a / 2 and b / 2: P ~ x^(a - 1) (1 - x)^(b - 1)."""
    return Diffusion(
        drift=lambda x: (a * (1 - x) - b * x) / 2,
        variance=lambda x: x * (1 - x),
        domain=(0, 1),
        name="genes",
    )


@pytest.mark.parametrize(("a", "b"), [(0.1, 0.05), (0.3, 0.7), (0.02, 0.0002), (0.5, 0.001)])
def test_what_gathers_at_the_ends_is_the_beta_law(a, b):
    """Each side reaches to the least of x^(a-1) (1-x)^(b-1), at (1 - a) / (2 - a - b)."""
    low, high = peaks_of(end_state(genes(a, b)))
    least = (1 - a) / (2 - a - b)
    assert (low.position, low.lower, high.position, high.upper) == (0, 0, 1, 1)
    assert low.upper == high.lower == pytest.approx(least, abs=1e-7)
    for peak, exact in ((low, betainc(a, b, low.upper)), (high, betaincc(a, b, high.lower))):
        assert abs(peak.log_mass - math.log(exact)) <= peak.mass_error + 1e-14
        assert peak.mass_error < 1e-10


@pytest.mark.parametrize(("a", "b"), [(0.02, 0.0002), (0.001, 0.003)])
def test_half_of_a_peak_lies_closer_than_any_double_tells(a, b):
    """Next to 1 the mass within r is r^b / (b B(a, b)), to first order in r."""
    low, high = peaks_of(end_state(genes(a, b)))
    for peak, power in ((low, a), (high, b)):
        half = (peak.log_mass - math.log(2) + math.log(power * beta(a, b))) / power
        assert half < -25
        assert peak.log_half == pytest.approx(half, rel=1e-9)


def test_the_answer_says_where_the_probability_is_and_not_where_the_drift_vanishes():
    """Of x^-0.98 (1-x)^-0.9998 half lies above 0.99999998, and the drift vanishes at 0.9901."""
    analysis = analyze(genes(0.02, 0.0002))
    words = " ".join(analysis.summary().split())
    assert words.startswith(
        "genes In the long run the process is gathered at x = 1 with probability 0.990106 (half of "
        "that within 10^-1505.15 of it) and gathered at x = 0 with probability 0.00989394"
    )
    assert "around the only minimum" not in words
    assert "P peaks at 0.990099 -3.9" not in words
    unbounded = analysis.to_dict()["unbounded"]
    assert [p["position"] for p in unbounded] == [0, 1]
    assert max(map(len, analysis.summary().splitlines())) <= 80


def test_quantiles_next_to_an_end_that_holds_nearly_all_are_at_it():
    """P(X > 1 - r) = r^b / (b B(a, b)) to first order: the median is 1 to any double."""
    state = end_state(genes(0.02, 0.0002))
    assert state.median() == 1
    assert state.ppf(0.025) == 1
    q = np.array([0.3, 0.6])
    state = end_state(genes(0.3, 0.05))
    assert state.cdf(state.ppf(q)) == pytest.approx(q, abs=1e-9)


@pytest.mark.parametrize(("low", "width"), [(0.0, 1.0), (2.0, 1.0), (0.0, 1e3)])
def test_a_quantile_that_doubles_call_the_end_is_known_to_rounding(low, width):
    process = genes(0.02, 0.0002)
    drift, variance = process.drift, process.variance
    moved = Diffusion(
        lambda x: width * drift((x - low) / width),
        lambda x: width**2 * variance((x - low) / width),
        (low, low + width),
    )
    found = analyze(moved)
    q = found.to_dict()["quantiles"]["0.975"]
    assert q["value"] == low + width
    assert 0 < q["error"] < 1e-15 * (low + width)
    assert f"quantile 0.975 {low + width:g} " in " ".join(str(found).split())


def test_a_peak_at_one_end_only_holds_everything():
    """P ~ x^-0.9 exp(-x): of a gamma law with shape 0.1 half lies below 5.9e-4."""
    process = Diffusion(drift=lambda x: 0.1 - x, variance=lambda x: 2 * x, domain=(0, np.inf))
    (peak,) = peaks_of(end_state(process))
    assert (peak.position, peak.lower, peak.upper) == (0, 0, np.inf)
    assert peak.log_mass == pytest.approx(0, abs=1e-12)
    assert math.exp(peak.log_half) == pytest.approx(0.00059339110446, rel=1e-9)


def test_both_sides_of_a_point_where_the_noise_vanishes_are_one_peak():
    """f = 0 and a = |x|^0.5 on (-1, 1): P ~ |x|^-1/2, half of it within 1 / 4 of 0."""
    process = Diffusion(drift=0.0, variance=lambda x: np.sqrt(np.abs(x)), domain=(-1, 1))
    (peak,) = peaks_of(end_state(process))
    assert (peak.lower, peak.position, peak.upper) == (-1, 0, 1)
    assert peak.log_mass == pytest.approx(0, abs=1e-12)
    assert math.exp(peak.log_half) == pytest.approx(0.25, rel=1e-9)


def test_a_bounded_density_has_no_such_peak(double_well):
    assert peaks_of(end_state(double_well(1))) == ()
    assert peaks_of(end_state(genes(2.0, 3.0))) == ()
    assert "no bound" not in analyze(double_well(1)).summary()


def test_a_power_that_is_none_to_its_error_is_no_peak():
    """signSGD: beyond the outermost datapoints there is no noise, and 10^200 times as little."""
    c = np.random.default_rng(0).normal(size=8)
    landscape = Landscape(
        losses=lambda w: [(w - k) ** 2 for k in c], learning_rate=0.01, optimiser="sign"
    )
    analysis = analyze(landscape)
    assert peaks_of(analysis.end_state) == ()
    assert "around the only minimum" in analysis.summary()


def test_a_peak_at_a_wall_is_not_polished_away_from_it():
    """In many digits it was moved to -9.898, where the drift does not vanish, either."""

    def losses(w):
        s = 1 / (1 + np.exp(-20 * (w - 2)))
        return s, s * 0.5 - 0.2 * np.exp(-(w**2)), s + 0.1 * np.exp(-((w + 5) ** 2))

    process = Landscape(losses=losses, learning_rate=0.2, domain=(-10, 10)).diffusion()
    f, a = process.drift(np.array([-10.0]))[0], process.variance(np.array([-10.0]))[0]
    state = end_state(process)
    assert state.mean() == pytest.approx(-10, abs=1e-11)
    assert state.std() == pytest.approx(-a / (2 * f), rel=1e-9)


def test_what_gathers_next_to_nothing_is_not_the_first_thing_said():
    process = Diffusion(
        lambda x: x - x**3 + 0.2, lambda x: 0.15 * np.sqrt(np.abs(x - 0.25)), (-2, 2)
    )
    words = " ".join(str(analyze(process)).split())
    assert words.startswith(
        "unnamed In the long run the process is around x = 1.088034 with probability 0.999996"
    )
    assert "It is gathered at x = 0.25 with probability 1.00312e-05" in words


@pytest.mark.parametrize("shift", [0.0, 300.0])
def test_what_smooth_panels_know_is_not_evaluated_again_where_the_peak_is(shift):
    """The mean of a normal law cut off at c - 3 and c + 5, c its peak: phi over what is left."""
    a = 0.02  # of variance, with the drift -(x - c): the deviation is 0.1, less than a panel
    asked = []

    def drift(x):
        asked.append(np.size(x))
        return shift - x

    state = end_state(Diffusion(drift, a, (shift - 3, shift + 5)))
    assert sum(asked) < 64 * 22 + 400  # the first panels, and looks at single points
    sigma = math.sqrt(a / 2)
    left = math.exp(-((3 / sigma) ** 2) / 2) / math.sqrt(2 * math.pi)
    exact = sigma * left / (1 - math.erfc(3 / sigma / math.sqrt(2)) / 2)
    assert abs(state.mean_offset - exact) < 1e-15
    assert abs(state.std() / sigma - 1) < 1e-13
    x = shift + np.linspace(-0.5, 0.5, 13)
    normal = -(((x - shift) / sigma) ** 2) / 2 - math.log(sigma * math.sqrt(2 * math.pi))
    assert np.abs(state.logpdf(x) - normal).max() < 20 * state.error + 1e-13 * (1 + shift)
