"""Many points in one call: the same numbers as one by one, whatever was asked before."""

import math

import mpmath
import numpy as np
import pytest
from scipy import stats

from stationary import Diffusion, end_state

INF = math.inf


def cusp():
    return Diffusion(
        drift=lambda x: 10 - 1.5 * np.sign(x) * np.sqrt(np.abs(x)), variance=1.0, domain=(-1, 1)
    )


def bump():
    return Diffusion(
        drift=lambda x: 10 - 5 * 4096 * x * np.exp(-((64 * x) ** 2)), variance=1.0, domain=(-1, 1)
    )


def ornstein_uhlenbeck():
    return Diffusion(drift=lambda x: -x, variance=2.0, domain=(-INF, INF))


@pytest.mark.parametrize(("process", "count"), [(cusp(), 2000), (bump(), 5000)])
@pytest.mark.parametrize("method", ["logcdf", "logsf", "cdf", "logpdf"])
def test_a_batch_gives_what_its_points_give_one_by_one(process, count, method):
    state = end_state(process)
    x = np.linspace(-0.95, 0.5, count)
    together = getattr(state, method)(x)
    some = np.linspace(0, count - 1, 40).astype(int)
    alone = np.array([getattr(state, method)(x[i]) for i in some])
    assert np.abs(together[some] - alone).max() <= state.error + 4e-16 * np.abs(alone).max()


def test_the_cusp_in_closed_form():
    """log P = 20 x - 2 |x|^1.5 on (-1, 1), integrated in u with x = u |u| in 30 digits."""
    state = end_state(cusp())
    exact = mpmath.MPContext()
    exact.dps = 30

    def mass(low, high):
        u = [exact.sqrt(abs(x)) * (1 if x > 0 else -1) for x in map(exact.mpf, (low, high))]
        return exact.quad(lambda u: 2 * abs(u) * exact.exp(20 * u * abs(u) - 2 * abs(u) ** 3), u)

    whole = mass(-1, 0) + mass(0, 1)
    for x in (-0.95, -0.5, -0.1, -1e-3):
        log_mass = float(exact.log(mass(-1, x) / whole))
        assert abs(state.logcdf(x) - log_mass) <= state.error


def test_tens_of_thousands_of_points_deep_in_a_tail(calls):
    state = end_state(ornstein_uhlenbeck())
    x = np.random.default_rng(1).uniform(-38, -5, 30_000)
    with calls:
        found = state.logcdf(x)
    assert calls.count < len(x)
    np.testing.assert_allclose(found, stats.norm.logcdf(x), rtol=1e-15)


def test_tails_out_to_a_million_deviations():
    state = end_state(ornstein_uhlenbeck())
    x = -np.geomspace(5, 1e6, 60)
    np.testing.assert_allclose(state.logcdf(x), stats.norm.logcdf(x), rtol=2e-15)
    np.testing.assert_allclose(state.logsf(-x), stats.norm.logcdf(x), rtol=2e-15)


def test_quantiles_of_a_batch_go_back_to_where_they_came_from():
    state = end_state(ornstein_uhlenbeck())
    q = np.geomspace(1e-300, 0.5, 2000)
    np.testing.assert_allclose(state.ppf(q), stats.norm.ppf(q), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(state.isf(q), stats.norm.isf(q), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("digits", [None, 30])
def test_what_was_asked_before_changes_nothing(digits):
    asked = end_state(ornstein_uhlenbeck(), digits=digits)
    (
        asked.logcdf(-70.0),
        asked.logpdf(np.linspace(-500, 500, 7)),
        asked.logcdf(np.linspace(-12, -5, 12)),
    )
    for x in (-9.0, -45.0):
        fresh = end_state(ornstein_uhlenbeck(), digits=digits)
        assert fresh.logcdf(x) == asked.logcdf(x)
        assert fresh.logpdf(x) == asked.logpdf(x)


def test_weights_of_two_traps_from_many_starts():
    """Between traps at 0 and 1 the chance to end in 1 is S(x) / S(1), S' = exp(-int 2 f / a)."""
    process = Diffusion(
        drift=lambda x: x * (1 - x) * np.sign(x - 0.3) * np.sqrt(np.abs(x - 0.3)) * 30,
        variance=lambda x: x * (1 - x),
        domain=(0, 1),
    )
    x = np.linspace(0.01, 0.99, 1500)
    classes = end_state(process).classes
    together = classes.probabilities(x)
    some = np.arange(0, 1500, 83)
    alone = np.concatenate([classes.probabilities(x[[i]]) for i in some], axis=1)
    assert np.abs(together[:, some] / alone - 1).max() < 1e-12
