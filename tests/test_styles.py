"""One loss in the many ways in which people write it: all have the same drift and noise."""

from __future__ import annotations

from collections import deque

import mpmath
import numpy as np
import pytest
from scipy import special

from stationary import Landscape, analyze, end_state
from stationary.functions.evaluation import evaluate
from stationary.numbers.arithmetic import many_digits

C = np.array([-1.3, 0.4, 2.1, 0.4])
COLUMN = C[:, None]
W = np.array([-2.3, -0.41, 0.77, 1.9])


def _into_buffers(w):
    e = np.subtract(w, COLUMN)
    s = np.empty_like(e)
    np.sin(3 * w + COLUMN, out=s)
    np.multiply(e, e, out=e)
    return e / 2 + s


def _meshed(w):
    x, c = np.meshgrid(w, C)
    return (x - c) ** 2 / 2 + np.sin(3 * x + c)


def _assigned(w):
    rows = np.zeros_like(w, shape=(4, len(w)))
    for i, c in enumerate(C):
        rows[i] = (w - c) ** 2 / 2 + np.sin(3 * w + c)
    return rows


def _normed(w):
    e = w - COLUMN
    return np.linalg.norm(np.stack([e, 2 * e]), axis=0) ** 2 / 10 + np.sin(3 * w + COLUMN)


WAYS = {
    "generator": lambda w: ((w - c) ** 2 / 2 + np.sin(3 * w + c) for c in C),
    "map": lambda w: map(lambda e, c: e**2 / 2 + np.sin(3 * w + c), w - COLUMN, C),
    "values": lambda w: {i: (w - c) ** 2 / 2 + np.sin(3 * w + c) for i, c in enumerate(C)}.values(),
    "deque": lambda w: deque((w - c) ** 2 / 2 + np.sin(3 * w + c) for c in C),
    "outer": lambda w: np.subtract.outer(C, w) ** 2 / 2 + np.sin(np.add.outer(C, 3 * w)),
    "buffers": _into_buffers,
    "meshgrid": _meshed,
    "assigned": _assigned,
    "norm": _normed,
    "block": lambda w: np.block([[(w - c) ** 2 / 2 + np.sin(3 * w + c)] for c in C]),
    "split": lambda w: [
        e[0] ** 2 / 2 + np.sin(3 * w + c) for e, c in zip(np.split(w - COLUMN, 4), C, strict=True)
    ],
    "einsum": lambda w: (
        np.einsum("i,ij,kj->ij", np.ones(4), (w - COLUMN) ** 2, 0.5 + 0 * w[None])
        + np.sin(3 * w + COLUMN)
    ),
    "root": lambda w: np.sqrt((w - COLUMN) ** 2) ** 2 / 2 + np.sin(3 * w + COLUMN),
    "cumulated": lambda w: (
        np.add.accumulate(np.diff((w - COLUMN) ** 2 / 2, axis=0, prepend=0 * w[None]), axis=0)
        + np.sin(3 * w + COLUMN)
    ),
    "sums of the first": lambda w: (
        np.cumsum((w - COLUMN)[:, None] ** 2 * np.full((2, 1), 0.25), axis=1)[:, -1]
        + np.sin(3 * w + COLUMN)
    ),
    "squeezed": lambda w: (
        np.squeeze(np.expand_dims(w - COLUMN, 1) ** 2, axis=1) / 2 + np.sin(3 * w + COLUMN)
    ),
    "einsum by numbers": lambda w: (
        np.einsum(np.ones(4), [0], (w - COLUMN) ** 2, [0, 1], [0, 1]) / 2 + np.sin(3 * w + COLUMN)
    ),
    "log of a sum": lambda w: (
        np.logaddexp.reduce((w - COLUMN)[:, None] ** 2 / 2 - np.log([[1.5], [3.0]]), axis=1)
        + np.sin(3 * w + COLUMN)
    ),
    "tiled": lambda w: (np.tile(w, (4, 1)) - COLUMN) ** 2 / 2 + np.sin(3 * w.ravel() + COLUMN),
}


@pytest.mark.parametrize("losses", WAYS.values(), ids=WAYS)
def test_the_style_of_a_loss_is_no_part_of_it(losses):
    diffusion = Landscape(losses, learning_rate=0.1, domain=(-4, 4)).diffusion()
    slopes = W - COLUMN + 3 * np.cos(3 * W + COLUMN)
    assert diffusion.drift(W) == pytest.approx(-0.1 * slopes.mean(axis=0), rel=1e-13)
    assert diffusion.variance(W) == pytest.approx(0.01 * slopes.var(axis=0), rel=1e-12)


X = np.array([0.02, 0.7, 3.1])
SPECIAL = {
    "gammaln": (special.gammaln, mpmath.loggamma),
    "digamma": (special.digamma, mpmath.digamma),
    "gamma": (special.gamma, mpmath.gamma),
    "betaln": (lambda x: special.betaln(x, 2.5), lambda x: mpmath.log(mpmath.beta(x, 2.5))),
    "i0": (special.i0, lambda x: mpmath.besseli(0, x)),
    "i1e": (special.i1e, lambda x: mpmath.besseli(1, x) * mpmath.exp(-x)),
    "huber": (lambda x: special.huber(1.0, x), lambda x: x * x / 2 if x < 1 else x - 0.5),
    "pseudo_huber": (
        lambda x: special.pseudo_huber(0.5, x),
        lambda x: (mpmath.sqrt(1 + 4 * x * x) - 1) / 4,
    ),
    "rel_entr": (lambda x: special.rel_entr(0.3, x), lambda x: 0.3 * mpmath.log(0.3 / x)),
    "kl_div": (lambda x: special.kl_div(x, 2.0), lambda x: x * mpmath.log(x / 2) - x + 2),
    "boxcox": (lambda x: special.boxcox(x, 0.4), lambda x: (x**0.4 - 1) / 0.4),
    "exprel": (special.exprel, lambda x: mpmath.expm1(x) / x),
    "sinc": (np.sinc, mpmath.sincpi),
    "cosm1": (special.cosm1, lambda x: mpmath.cos(x) - 1),
    "fmod": (lambda x: np.fmod(x, 1.5), lambda x: x % 1.5),
    "copysign": (lambda x: np.copysign(x, -x), lambda x: -x),
}


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("arithmetic", ["doubles", "digits"])
def test_special_functions_have_their_derivatives(name, arithmetic):
    """Against mpmath's Taylor coefficients; those next to 0 cancel as they are written."""
    given, exact = SPECIAL[name]
    kind = {} if arithmetic == "doubles" else {"arithmetic": many_digits(30)}
    found = evaluate(given, X, order=3, **kind)
    with mpmath.workdps(40):
        wanted = [[mpmath.diff(exact, mpmath.mpf(float(x)), k) for x in X] for k in range(4)]
    for one, other in zip(found, wanted, strict=True):
        scale = max(1.0, *(abs(float(x)) for x in other))
        assert np.array(one, dtype=float) == pytest.approx(
            np.array(other, dtype=float), rel=1e-12, abs=1e-14 * scale
        )


@pytest.mark.parametrize("arithmetic", ["doubles", "digits"])
def test_the_log_of_the_normal_distribution_keeps_its_derivatives_far_out(arithmetic):
    """e^(-u^2 / 2 - log_ndtr(u)) lost u^2 roundings: at -1e8 nothing was left of a slope."""
    x = np.array([-1e9, -300.0, -17.0, -16.5, -3.0, 0.0, 6.0])
    kind = {} if arithmetic == "doubles" else {"arithmetic": many_digits(30)}
    found = evaluate(special.log_ndtr, x, order=2, **kind)
    tolerance = 1e-13 if arithmetic == "doubles" else 1e-29
    with mpmath.workdps(80):
        for k, u in enumerate(map(mpmath.mpf, x)):
            slope = mpmath.npdf(u) / mpmath.ncdf(u)
            exact = mpmath.log(mpmath.ncdf(u)), slope, -slope * (u + slope)
            for one, other in zip(found, exact, strict=True):
                assert abs(mpmath.mpf(one[k]) - other) < tolerance * max(abs(other), 1e-6)


def test_probit_regression_is_solved_on_the_whole_line():
    """It ran out of panels after 21 s. Far out a datapoint that is wrong has y''/2 = x^2 w^2."""
    x = np.array([-0.9, 0.4, 1.1, -0.2, 0.6])
    y = np.array([-1.0, 1.0, 1.0, 1.0, -1.0])
    losses = Landscape(lambda w: -special.log_ndtr((x * y)[:, None] * w), learning_rate=0.2)
    found = end_state(losses)
    boxed = Landscape(losses.losses, learning_rate=0.2, domain=(-60, 60))
    assert found.mean() == pytest.approx(end_state(boxed).mean(), abs=1e-13)
    assert found.error < 1e-12


def test_a_root_of_a_square_is_a_size():
    """sqrt((w - c)^2) has the corners of |w - c|: its end state is known as well."""
    given = {"learning_rate": 0.2, "domain": (-4, 4)}
    rows = np.array([-0.31, 0.125, 0.7, 1.9])[:, None]
    roots = end_state(Landscape(lambda w: np.sqrt((w - rows) ** 2) + w**2 / 5, **given))
    sizes = end_state(Landscape(lambda w: np.abs(w - rows) + w**2 / 5, **given))
    assert roots.mean() == pytest.approx(sizes.mean(), abs=1e-13)
    assert roots.error < 1e-12


Y = np.array([1.2, -1.9, -1.1, 0.7, -1.6, 1.4, -2.2])
MIXTURES = {
    "plain": lambda w: (
        -np.log(0.4 * np.exp(-((Y[:, None] - w) ** 2)) + 0.6 * np.exp(-((Y[:, None] + w) ** 2)))
    ),
    "sums of logarithms": lambda w: (
        -np.logaddexp(np.log(0.4) - (Y[:, None] - w) ** 2, np.log(0.6) - (Y[:, None] + w) ** 2)
    ),
    "dispersion": lambda w: (
        special.gammaln(np.exp(w))
        - special.gammaln(np.exp(w) + np.arange(8)[:, None])
        - np.exp(w) * (w - np.log(np.exp(w) + 4))
        + np.arange(8)[:, None] * np.log(np.exp(w) + 4)
    ),
}


@pytest.mark.parametrize("losses", MIXTURES.values(), ids=MIXTURES)
def test_zeros_of_the_drift_claim_what_rounding_of_the_losses_makes_of_them(losses):
    """Next to a zero it may be the same on both sides: 20 times the claim at a saddle."""
    process = Landscape(losses, learning_rate=0.1, batch_size=2, domain=(-3, 6)).diffusion()
    found = end_state(process).equilibria
    assert found
    digits = many_digits(30)
    for zero in found:
        place = digits.array([zero.position])
        for _ in range(3):
            value, slope = evaluate(process.drift, place, order=1, arithmetic=digits)
            place = place - value / slope
        off = abs(float((place - digits.array([zero.position]))[0]))
        assert off <= zero.error < 1e-12


def test_the_loss_at_a_corner_is_known_as_well_as_anywhere():
    """A corner was taken for rounding of the loss: 0.395 was known to 1e-5."""
    y = np.array([-1.1, -0.3, 0.2, 0.9, 1.4])

    def losses(w):  # of quantiles
        return np.where(y[:, None] > w, 0.7 * (y[:, None] - w), 0.3 * (w - y[:, None]))

    (basin,) = analyze(Landscape(losses, learning_rate=0.1, domain=(-2, 2))).basins
    exact = float(np.mean([0.7 * (v - 0.9) if v > 0.9 else 0.3 * (0.9 - v) for v in y]))
    assert basin.position == pytest.approx(0.9, abs=1e-14)
    assert abs(basin.loss - exact) <= basin.loss_error < 1e-13
