"""Noise added to the variance, against closed forms."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy import stats

from stationary import Diffusion, Landscape, LandscapeError, analyze, end_state
from stationary.diffusion import Boundary
from stationary.precision import many_digits

INF = math.inf


def process(drift, variance, domain=(-3, 3), **more):
    return Diffusion(drift=drift, variance=variance, domain=domain, **more)


def gate():
    return process(lambda x: 1 - x, lambda x: x**2, (-INF, INF))


def shared_minimum():
    def losses(w):
        return (w - 1) ** 2, 2 * (w - 1) ** 2, (w - 1) ** 4

    return Landscape(losses=losses, learning_rate=0.05, domain=(-1, 4), name="shared")


# -- one value of eps -----------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [0, 1e-12, 1e-3, 2.0])
def test_noise_added_to_an_ornstein_uhlenbeck_process_adds_to_its_variance(eps):
    state = end_state(process(lambda x: -x, 1.0, (-INF, INF)), regularise=eps)
    assert state.var() == pytest.approx((1 + eps) / 2, rel=1e-13)


@pytest.mark.parametrize("eps", [1e-2, 1e-6, 1e-12])
@pytest.mark.parametrize("k", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("c", [0.0, 0.5, 1.0])
def test_a_trap_becomes_a_student_law(k, c, eps):
    """f = -k x and a = x^2 + eps: P ~ (x^2 + eps)^-(k + 1 - c), with nu = 2 (k - c) + 1."""
    convention = {0.0: "ito", 0.5: "stratonovich", 1.0: "klimontovich"}[c]
    trap = process(lambda x: -k * x, lambda x: x**2, (-INF, INF), convention=convention)
    state = end_state(trap, regularise=eps)
    nu = 2 * (k - c) + 1
    if nu <= 0:
        assert state.kind == "none"
        return
    law = stats.t(nu, scale=math.sqrt(eps / nu))
    x = math.sqrt(eps) * np.array([-30, -1, -0.1, 0.0, 0.3, 2])
    np.testing.assert_allclose(state.cdf(x), law.cdf(x), rtol=1e-11)


def test_many_digits_see_the_same_noise():
    many = many_digits(60)
    x = many.array(["0.3", "1e-30"])
    for base in (process(lambda x: -x, lambda x: x**2), shared_minimum().diffusion()):
        a = base.coefficients(x, many)[1]
        noisy = base.regularised(1e-20).coefficients(x, many)[1]
        assert all(
            abs(b - a - many.array([1e-20])[0]) < 1e-55 for a, b in zip(a, noisy, strict=True)
        )


def test_functions_in_doubles_only_work_too():
    def variance(x):
        return x * x if math.isfinite(x) else 0.0

    state = end_state(process(lambda x: -math.sin(x), variance, (-1, 1)), regularise=1e-4)
    assert state.kind == "density"


def test_no_noise_added_is_the_process_itself():
    base = gate()
    assert base.regularised(0) is base
    assert base.regularised(1e-3).regularised(2e-3).added == pytest.approx(3e-3)
    assert base.regularised(1e-3).regularised(1e-3).name == "unnamed, a + 0.002"


@pytest.mark.parametrize("eps", [-1e-6, math.nan, INF, "1e-6", None, True])
def test_what_is_no_variance_is_refused_with_an_example(eps):
    with pytest.raises(LandscapeError, match="such as 1e-6"):
        gate().regularised(eps)


@pytest.mark.parametrize(
    ("given", "then"),
    [
        (None, Boundary.REFLECTING),
        ("natural", Boundary.REFLECTING),
        ("absorbing", Boundary.ABSORBING),
    ],
)
def test_ends_where_the_noise_vanished_become_walls(given, then):
    genes = process(0.0, lambda x: x * (1 - x), (0, 1), boundaries=given)
    noisy = genes.regularised(1e-3)
    assert noisy.boundaries == (then, then)
    assert sum("the variance vanished at x = " in note for note in noisy.notes) == 2
    if given != "absorbing":
        assert end_state(noisy).kind == "density"


@pytest.mark.parametrize("eps", [1e-2, 1e-5, 1e-9])
def test_genes_without_mutation_get_a_closed_form(eps):
    """P ~ 1 / (x (1 - x) + eps) on (0, 1): its integral is an artanh."""
    state = end_state(process(0.0, lambda x: x * (1 - x), (0, 1)), regularise=eps)
    with mpmath.workdps(30):
        r = mpmath.sqrt(mpmath.mpf(1) / 4 + mpmath.mpf(eps))
        whole = 2 * mpmath.atanh(mpmath.mpf(1) / 2 / r)
        exact = float((whole / 2 - mpmath.atanh(mpmath.mpf("0.49") / r)) / whole)
    for mass in (state.cdf(0.01), state.sf(0.99)):
        assert abs(mass / exact - 1) < max(state.error, 1e-13)


def test_the_report_and_the_json_say_what_was_added():
    analysis = analyze(shared_minimum(), regularise=1e-3)
    assert analysis.landscape is not None
    assert analysis.end_state.kind == "density"
    text = analysis.summary()
    assert text.startswith("shared, a + 0.001\n")
    assert "a + 0.001 in place of a" in text
    assert "a second, independent source" in " ".join(text.split())
    assert analysis.to_dict()["process"]["regularise"] == 1e-3
    assert analyze(shared_minimum()).to_dict()["process"]["regularise"] == 0
    analysis.plot()
