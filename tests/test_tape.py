"""Moments of gradients: what is shared drops out, blocks are the whole, nothing is fooled."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from stationary import Landscape, LandscapeError, Status, end_state
from stationary.numbers.arithmetic import DOUBLE

RNG = np.random.default_rng(7)
EPS = np.finfo(float).eps
EXACT = mpmath.MPContext()
EXACT.dps = 60


def moments(losses, w, **options):
    process = Landscape(losses=losses, learning_rate=0.1, domain=(-3, 3), **options)
    return process.moments(np.asarray(w, dtype=float))


def by_differentiation(terms, w):
    """G and S2 of losses given as functions of mpmath numbers, by mpmath's own derivatives."""
    g = [EXACT.diff(term, EXACT.mpf(w)) for term in terms]
    mean = sum(g) / len(g)
    return mean, sum((x - mean) ** 2 for x in g) / len(g)


def pit(w):
    wide = -np.exp(-((w - 2) ** 2))
    return wide, wide - np.exp(-100 * (w - 1) ** 2)


def test_a_shared_minimum_leaves_no_rounding_in_the_variance():
    w = np.array([-0.5, 0.3, 0.9, 1.2, 2.0, 2.5, 2.8])
    _, s2 = Landscape(losses=pit, learning_rate=0.05, domain=(-1, 4)).moments(w)
    for x, found in zip(w, s2, strict=True):
        u = EXACT.mpf(x) - 1
        exact = (100 * u * EXACT.exp(-100 * u**2)) ** 2
        # exp(u) of a rounded u is off by |u| roundings.
        assert abs(found / exact - 1) < (2 + 200 * u**2) * 4 * EPS


def test_many_datapoints_share_terms_however_these_are_written():
    z = RNG.normal(size=(500, 1))
    w = np.array([-2.0, 0.1, 1.7])
    scale = 1e-9 * z

    def losses(w):
        return np.cosh(w) + 3 * (np.sin(w) - scale * np.exp(w) / 5)

    _, s2 = moments(losses, w)
    exact = (0.6 * np.exp(w)) ** 2 * scale.var()
    assert np.abs(s2 / exact - 1).max() < 1e-14


def test_sums_do_not_grow_rough_with_the_number_of_datapoints():
    x = RNG.normal(size=(20_000, 1))
    w = np.linspace(-1, 1, 7)
    g, s2 = moments(lambda w: np.logaddexp(0, -x * w) + 3.0 * w, w)
    rows = 3.0 - x * (1 / (1 + np.exp(x * w)))
    mean = np.array([math.fsum(column) for column in rows.T]) / len(x)
    spread = np.array(
        [math.fsum((column - m) ** 2) for column, m in zip(rows.T, mean, strict=True)]
    ) / len(x)
    assert np.abs(g / mean - 1).max() < 8 * EPS
    assert np.abs(s2 / spread - 1).max() < 1e-14


def test_linear_regression_on_many_datapoints_is_what_its_sums_say():
    x = RNG.normal(size=50_000)
    y = 1.5 * x + RNG.normal(size=x.size)
    w = np.array([-2.0, 0.0, 1.5, 2.5])
    g, s2 = moments(lambda w: (x[:, None] * w - y[:, None]) ** 2 / 2, w)
    rows = x[:, None] * (x[:, None] * w - y[:, None])
    assert g == pytest.approx(rows.mean(axis=0), rel=1e-12, abs=1e-13)
    assert s2 == pytest.approx(rows.var(axis=0), rel=1e-12)


def test_one_by_one_is_the_same_as_all_at_once():
    x = RNG.normal(size=(5000, 1))
    process = Landscape(
        losses=lambda w: np.tanh(x * w) ** 2 - np.cos(w + x), learning_rate=0.1, domain=(-3, 3)
    )
    w = np.linspace(-2, 2, 41)
    g, s2 = process.moments(w)
    single = [process.moments(np.array([v])) for v in w]
    assert np.abs(g - np.concatenate([p[0] for p in single])).max() < 4 * EPS
    assert np.abs(s2 / np.concatenate([p[1] for p in single]) - 1).max() < 8 * EPS


ATOMS = {
    "w": (lambda w: w, lambda w: w),
    "twice": (lambda w: 2 * w, lambda w: 2 * w),
    "less": (lambda w: 1 - w / 2, lambda w: 1 - w / 2),
    "logistic": (lambda w: 1 / (1 + np.exp(-w)), lambda w: 1 / (1 + EXACT.exp(-w))),
    "ratio": (
        lambda w: (np.exp(2 * w) - 1) / (np.exp(2 * w) + 1),
        lambda w: EXACT.tanh(w),
    ),
    "exp": (lambda w: np.exp(-(w**2)), lambda w: EXACT.exp(-(w**2))),
    "sin": (lambda w: np.sin(2 * w + 1), lambda w: EXACT.sin(2 * w + 1)),
    "tanh": (lambda w: np.tanh(w), lambda w: EXACT.tanh(w)),
    "log": (lambda w: np.log(4 + w * w), lambda w: EXACT.log(4 + w * w)),
    "softplus": (lambda w: np.logaddexp(0, w), lambda w: EXACT.log(1 + EXACT.exp(w))),
    "root": (lambda w: np.sqrt(1 + w * w), lambda w: EXACT.sqrt(1 + w * w)),
    "arctan": (lambda w: np.arctan(w) / 3, lambda w: EXACT.atan(w) / 3),
    "power": (lambda w: (w + 5) ** 1.5, lambda w: (w + 5) ** EXACT.mpf(1.5)),
}


def joined(op, a, b):
    if op == "+":
        return lambda w: a(w) + b(w)
    if op == "-":
        return lambda w: a(w) - b(w)
    if op == "*":
        return lambda w: a(w) * b(w)
    return lambda w: a(w) / (2 + b(w) ** 2)


def expressions():
    atoms = st.sampled_from(sorted(ATOMS)).map(lambda name: ATOMS[name])

    def extended(children):
        pairs = st.tuples(st.sampled_from("+-*/"), children, children)
        return pairs.map(lambda t: tuple(joined(t[0], t[1][i], t[2][i]) for i in (0, 1)))

    return st.recursive(atoms, extended, max_leaves=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(expressions(), min_size=2, max_size=4), expressions(), st.floats(-2, 2))
def test_any_losses_have_the_moments_of_their_derivatives(parts, common, at):
    plain = [joined("+", common[0], p[0]) for p in parts]
    exact = [joined("+", common[1], p[1]) for p in parts]

    def losses(w):
        return [loss(w) for loss in plain]

    w = np.array([at])
    (g,), (s2,) = Landscape(losses=losses, learning_rate=0.1, domain=(-3, 3)).moments(w)
    mean, spread = by_differentiation(exact, at)
    slopes = [abs(EXACT.diff(p[1], EXACT.mpf(at))) for p in (*parts, common)]
    size = float(max(*slopes, 1))
    assert abs(float(mean) - g) < 1e-13 * size
    # What is common costs nothing: only the parts themselves are rounded.
    own = float(max(*slopes[:-1], 1e-3))
    assert abs(math.sqrt(s2) - math.sqrt(float(spread))) < 2e-13 * max(own, size * 1e-2)


def test_a_factor_of_some_is_not_taken_for_what_all_share():
    """The slope of 2 w is 2, and so is a factor of the slope of sin(2 w): S2 was 0.0278."""
    w = np.array([-1.0, 0.0, 0.4])
    _, s2 = moments(lambda w: [np.arctan(w) / 3 + 2 * w, np.sin(2 * w + 1) + 2 * w], w)
    apart = 1 / (3 * (1 + w**2)) - 2 * np.cos(2 * w + 1)
    np.testing.assert_allclose(s2, apart**2 / 4, rtol=1e-12)


def test_products_of_two_numbers_have_one_sign():
    """-a b was written as minus a times -b, and so on for ever, in quartics about two places."""
    at, w = np.array([[0.189], [-0.523]]), np.array([-1.0, 0.2, 2.0])
    found = moments(lambda w: [(w - a) ** 4 / 4 + (w - a) ** 2 / 4 for (a,) in at], w)
    slopes = (w - at) ** 3 + (w - at) / 2
    np.testing.assert_allclose(found, [slopes.mean(axis=0), slopes.var(axis=0)], rtol=1e-13)


C = np.array([[1.0], [2.0], [4.0]])


def changed_on_the_way(w):
    scale = np.array([[1.0], [2.0], [4.0]])
    first = scale * w
    scale *= 3
    return first + scale * w**2


def added_in_place(w):
    total = np.zeros((3, len(w)))
    total = total + C * w
    total += w**2
    return total


def transposed(w):
    return ((w[:, None] - C.ravel()) ** 2).T


def by_rows(w):
    return np.stack([c * (w - c) ** 2 for c in C.ravel()])


def masked(w):
    y = np.zeros_like(w)
    y[w > 0] = w[w > 0] ** 2
    return y, 2 * y, w


def piecewise(w):
    return np.where(w > C - 2, (w - C) ** 2, 1 - w * C)


CASES = {
    changed_on_the_way: lambda w: C + 6 * C * w,
    added_in_place: lambda w: C + 2 * w,
    transposed: lambda w: 2 * (w - C),
    by_rows: lambda w: 2 * C * (w - C),
    masked: lambda w: np.stack([2 * w * (w > 0), 4 * w * (w > 0), 1 + 0 * w]),
    piecewise: lambda w: np.where(w > C - 2, 2 * (w - C), -C),
}


@pytest.mark.parametrize("losses", CASES, ids=lambda f: f.__name__)
def test_losses_written_in_any_way_have_their_gradients(losses):
    w = np.array([-1.3, 0.4, 2.2, 0.7, 0.1, -0.6])
    g, s2 = moments(losses, w)
    rows = CASES[losses](w)
    assert g == pytest.approx(rows.mean(axis=0), rel=1e-14, abs=1e-15)
    assert s2 == pytest.approx(rows.var(axis=0), rel=1e-13)


def test_gradients_that_look_at_the_number_of_weights_are_called_as_they_are():
    def gradients(w):
        return np.stack([w, 2 * w]) if len(w) != 7 else np.stack([0 * w, 0 * w])

    w = np.array([1.0, 2.0])
    process = Landscape(gradients=gradients, learning_rate=0.1, domain=(-3, 3))
    assert process.moments(w)[0].tolist() == [1.5, 3.0]


def test_losses_whose_constants_are_drawn_anew_are_refused_and_not_frozen():
    rng = np.random.default_rng(0)
    with pytest.raises(LandscapeError, match="does not act on each point by itself"):
        Landscape(losses=lambda w: np.stack([w, w * rng.normal()]), learning_rate=0.1)


def exponentials(f, k, w):
    """Losses with sums of two exponentials, as NumPy (f) or mpmath has them."""
    z = k * w
    return [
        f.log(1 + f.exp(z)),
        f.log1p(f.exp(z - 1)) ** 2,
        f.log(f.exp(z) + f.exp(-z)) - z / 2,
        (1 / (1 + f.exp(-z)) - 0.3) ** 2 + z * z / 900,
        z / 50 * f.exp(z) / (f.exp(z) + f.exp(z / 3)) + f.log(f.cosh(z / 2)),
    ]


def test_sums_of_two_exponentials_do_not_overflow_in_losses_or_their_derivatives():
    """Written so, they are inf and inf / inf: unscaled features of logistic losses did that."""
    for scale in (1.0, 300.0, 1e5):
        w = np.array([-2.9, -0.7 / scale, 0.2 / scale, 2.3])
        mean, variance = moments(lambda w, k=scale: exponentials(np, k, w), w)
        for i, v in enumerate(w):
            terms = [
                lambda v, j=j, k=scale: exponentials(EXACT, EXACT.mpf(k), v)[j] for j in range(5)
            ]
            g, s = by_differentiation(terms, v)
            assert mean[i] == pytest.approx(float(g), rel=1e-12)
            assert variance[i] == pytest.approx(float(s), rel=1e-12)


def cross_entropy(z, right):
    p = 1 / (1 + np.exp(-z))
    return -(right * np.log(p) + (1 - right) * np.log(1 - p))


CLASSIFIERS = {
    "squared hinge": lambda z, right: np.log(1 + np.exp(4 - 4 * z * (2 * right - 1))) ** 2,
    "cross entropy": cross_entropy,
    "three classes": lambda z, right: (
        -np.log(np.exp(right * z) / (np.exp(z) + np.exp(-z / 2) + np.exp(z * 0)))
    ),
}


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classifiers_without_a_domain_are_the_same_in_every_unit(kind):
    """1 - p loses all digits before e^z overflows, too: what is recorded does not."""
    rng = np.random.default_rng(5)
    x, right = rng.normal(size=30), rng.integers(2, size=30)
    loss, means = CLASSIFIERS[kind], []
    for scale in (1.0, 2e3):

        def losses(w, k=scale):
            return [loss(a * k * w, t) for a, t in zip(x, right, strict=True)]

        state = end_state(Landscape(losses, learning_rate=0.1 / scale**2))
        assert state.status is Status.CONVERGED
        means.append(state.mean() * scale)
    assert means[1] == pytest.approx(means[0], rel=1e-11)


CROSS_ENTROPY = {
    "log of a sum": lambda z: np.log(np.exp(z).sum(axis=1)) - z[:, 0],
    "softmax": lambda z: -np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))[:, 0],
    "less the largest": lambda z: (
        np.log(np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1)) + (z.max(axis=1) - z[:, 0])
    ),
}


@pytest.mark.parametrize("how", CROSS_ENTROPY)
def test_cross_entropy_of_many_classes_is_recorded_as_a_whole_and_does_not_overflow(how):
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(12, 40)), rng.normal(size=(40, 1))
    w = np.array([-3000.0, -1.3, 0.0, 0.8, 900.0])
    mean, variance = moments(lambda w: CROSS_ENTROPY[how](a[:, :, None] * w + b), w)
    p = special.softmax(a[:, :, None] * w + b, axis=1)
    slopes = (p * a[:, :, None]).sum(axis=1) - a[:, :1]
    assert mean == pytest.approx(slopes.mean(axis=0), rel=1e-12)
    assert variance == pytest.approx(slopes.var(axis=0), rel=1e-12)


X_TIMES_W = {
    "outer": np.outer,
    "multiply.outer": np.multiply.outer,
    "matmul": lambda x, w: x[:, None] @ w[None, :],
    "dot": lambda x, w: np.dot(x[:, None], w[None, :]),
    "einsum": lambda x, w: np.einsum("i, j -> ij", x, w),
    "transposed": lambda x, w: np.outer(w, x).T,
}


@pytest.mark.parametrize("how", X_TIMES_W)
def test_products_of_features_and_weights_are_recorded_however_they_are_written(how):
    """What is not recorded overflows at features of 1e5, and takes seconds."""
    rng = np.random.default_rng(11)
    x, times = 1e5 * rng.normal(size=12), X_TIMES_W[how]
    sgd = Landscape(lambda w: np.log(1 + np.exp(times(x, w))), learning_rate=1e-10)
    plain = Landscape(lambda w: [np.logaddexp(0, a * w) for a in x], learning_rate=1e-10)
    assert sgd.tapes(0) is not None
    for w in (np.array([-2.0, -1e-5, 3e-6, 0.5]), np.array([1e-5])):
        found, true = sgd.moments(w), plain.moments(w)
        np.testing.assert_allclose(found[0], true[0], rtol=1e-12)
        np.testing.assert_allclose(found[1], true[1], rtol=1e-12)
    state = end_state(sgd)
    assert state.status is Status.CONVERGED
    assert state.mean() == pytest.approx(end_state(plain).mean(), rel=1e-10)


CONDITIONS = {
    "where": lambda u: np.where(np.abs(u) < 0.5, u**2, np.abs(u) - 0.25),
    "select": lambda u: np.select([u < -0.5, u > 0.5], [-u - 0.25, u - 0.25], u**2),
    "product": lambda u: (np.abs(u) < 0.5) * u**2 + (np.abs(u) >= 0.5) * (np.abs(u) - 0.25),
}


@pytest.mark.parametrize("how", CONDITIONS)
def test_conditions_are_recorded_however_they_are_written(how):
    """They met the series first, and gave up: each Huber loss went by series."""
    huber, c = CONDITIONS[how], np.linspace(-1, 1.3, 9)[:, None]
    sgd = Landscape(lambda w: huber(w - c), learning_rate=0.1, domain=(-3, 3))
    assert sgd.tapes(1) is not None
    w = np.linspace(-2.9, 2.9, 50)
    slopes = np.clip(2 * (w - c), -1, 1)
    np.testing.assert_allclose(sgd.loss_gradient(w), slopes, atol=1e-15)
    np.testing.assert_allclose(
        sgd.moments(w), (slopes.mean(axis=0), slopes.var(axis=0)), atol=1e-15
    )


def logistic(z):
    return 1 / (1 + np.exp(-z))


LOGISTIC_LOSSES = {  # of log(1 + e^z)
    "log2": lambda z: np.log2(1 + np.exp(z)) * np.log(2),
    "log10": lambda z: -np.log10(logistic(-z)) * np.log(10),
    "power": lambda z: np.log(1 + np.e**z),
    "exp2": lambda z: np.log(1 + np.exp2(z / np.log(2))),
    "inverse": lambda z: -np.log((1 + np.exp(z)) ** -1),
    "root": lambda z: 2 * np.log(np.sqrt(1 + np.exp(z))),
    "square": lambda z: np.log((1 + np.exp(z)) ** 2) / 2,
    "softmax": lambda z: -np.log(1 - np.exp(z) / (1 + np.exp(z))),
    "tanh": lambda z: -np.log((1 - np.tanh(z / 2)) / 2),
    "log1p": lambda z: -np.log1p(-logistic(z)),
}
SIDES = np.array([1, -1, -1, 1, -1])[:, None]
STRETCH = SIDES * np.array([0.7, 1.9, 0.2, -1.2, 0.6])[:, None]


@pytest.mark.parametrize("how", LOGISTIC_LOSSES)
def test_logistic_losses_do_not_overflow_however_they_are_written(how):
    loss, w = LOGISTIC_LOSSES[how], np.array([-2e3, -300.0, -30.0, -1.0, 2.0, 50.0, 400.0, 3e3])
    true = moments(lambda w: np.logaddexp(0, STRETCH * w), w)
    np.testing.assert_allclose(moments(lambda w: loss(STRETCH * w), w), true, rtol=1e-12)


def odd(z):
    return np.exp(z / 2) - np.exp(-z / 2)


def even(z):
    return np.exp(z / 2) + np.exp(-z / 2)


SQUARES = {
    "logistic": lambda z, y: (logistic(z) - (y > 0)) ** 2,
    "reversed": lambda z, y: ((y > 0).astype(float) - logistic(z)) ** 2,
    "ratio": lambda z, y: (np.exp(z) / (1 + np.exp(z)) - (y > 0)) ** 2,
    "half": lambda z, y: ((1 + np.tanh(z / 2)) / 2 - (y > 0)) ** 2,
    "tanh": lambda z, y: (np.tanh(z / 2) - y) ** 2 / 4,
    "sinh by cosh": lambda z, y: (odd(z) / even(z) - y) ** 2 / 4,
    "of e^z": lambda z, y: ((np.exp(z) - 1) / (np.exp(z) + 1) - y) ** 2 / 4,
    "of e^-z": lambda z, y: (-(np.exp(-z) - 1) / (1 + np.exp(-z)) - y) ** 2 / 4,
    "twice": lambda z, y: (2 * logistic(z) - 1 - y) ** 2 / 4,
    "from above": lambda z, y: (1 - 2 / (1 + np.exp(z)) - y) ** 2 / 4,
    "from a half": lambda z, y: (2 * (logistic(z) - 0.5) - y) ** 2 / 4,
    "softmax": lambda z, y: (2 * (1 - np.exp(-z / 2) / even(z)) - 1 - y) ** 2 / 4,
    "two shares": lambda z, y: (logistic(z) - logistic(-z) - y) ** 2 / 4,
}


@pytest.mark.parametrize("how", SQUARES)
def test_outputs_that_come_to_their_targets_keep_their_digits(how):
    """The slope is 2 s (1 - s)^2 for y = 1, where s - 1 is 0 in doubles from z = 37 on: the law
    of four datapoints was "not around any minimum" for one way of writing and none for another."""
    w = np.array([-190.0, -60.0, -5.0, 0.3, 20.0, 100.0, 180.0])
    p = 1 / (1 + np.exp(-SIDES * STRETCH * w))
    rest = 1 / (1 + np.exp(SIDES * STRETCH * w))
    slopes = -2 * SIDES * STRETCH * p * rest * rest
    found = moments(lambda w: SQUARES[how](STRETCH * w, SIDES), w)
    np.testing.assert_allclose(found[0], slopes.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found[1], slopes.var(axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    "tanh",
    [
        lambda z: -odd(-z) / even(-z),
        lambda z: np.exp(z / 2 + 1) / (np.exp(z / 2 + 1) + np.exp(1 - z / 2)) * 2 - 1,
    ],
)
def test_slopes_of_outputs_far_out_keep_their_digits_whatever_their_sign(tanh):
    """1 - tanh(z)^2 is 5e-8 at z = 9: 1e-8 of the variance was rounding."""
    w = np.array([-25.0, -7.0, 0.4, 30.0])
    x = np.array([[0.6], [0.7], [1.9]])
    found, true = (moments(lambda w, f=f: f(x * w), w) for f in (tanh, lambda z: np.tanh(z / 2)))
    np.testing.assert_allclose(found, true, rtol=1e-13)


@pytest.mark.parametrize("power", [-1, -2, -3, -2.0])
def test_powers_of_sums_of_exponentials_do_not_underflow_before_they_are_multiplied(power):
    """The gradient of a logistic density had the wrong sign from w = 248 on."""
    w = np.array([-250.0, 1.0, 200.0, 250.0, 300.0])

    def losses(w):
        return [(1 + np.exp(w)) ** power * np.exp(w), (1 + np.exp(w)) ** power]

    found = Landscape(losses=losses, learning_rate=0.1, domain=(-400, 400)).loss_gradient(w)
    for j, x in enumerate(map(EXACT.mpf, w)):
        e, p = EXACT.exp(x), int(power)
        exact = (e * (1 + e) ** (p - 1) * (1 + (1 + p) * e), p * e * (1 + e) ** (p - 1))
        assert [float(found[k, j]) for k in (0, 1)] == pytest.approx(
            [float(v) for v in exact], rel=1e-11, abs=1e-290
        )


COUNTS = {  # of the conditions w > 0 and w < 0.3, how many hold
    "products": lambda w: 1.0 * (w > 0) + 1.0 * (w < 0.3),
    "integers": lambda w: 1 * (w > 0) + 1 * (w < 0.3),
    "sum": lambda w: sum([w > 0, w < 0.3]),
    "halves": lambda w: 2 * (w > 0) / 2 + 2 * (w < 0.3) / 2,
    "where": lambda w: np.where(w > 0, True, False) * 1.0 + (w < 0.3),
    "negative": lambda w: 2 - 1.0 * (w <= 0) + -1 * (w >= 0.3),
    "shared": lambda w: (1 - (w <= 0)) + (1 - (w >= 0.3)),
}


@pytest.mark.parametrize("how", COUNTS)
def test_conditions_that_are_reckoned_with_are_numbers(how):
    """As they were recorded 1.0 * a + 1.0 * b was "a or b", and a mean -0.375 for -0.403."""
    count, w = COUNTS[how], np.linspace(-2.95, 2.95, 119)

    def losses(w):
        return [w * w + count(w) * (w - 0.15) * 3, w * w / 2 + np.sin(w), (w - 1) ** 2]

    sgd = Landscape(losses, learning_rate=0.1, domain=(-3, 3))
    assert sgd.tapes(0) is not None
    inside = (w > 0) & (w < 0.3)
    np.testing.assert_allclose(sgd.loss_gradient(w)[0], 2 * w + 3 * (1.0 + inside), rtol=1e-14)


def test_quantile_losses_may_subtract_a_condition():
    """NumPy takes 0.1 - (w < c); what was left of it without the shared 0.1 was no number."""
    c = np.sqrt(np.arange(1, 6))[:, None] - 1.5
    sgd = Landscape(lambda w: (w - c) * (0.1 - (w < c)), learning_rate=0.1, domain=(-3, 3))
    assert end_state(sgd).mean() == pytest.approx(0.6653223155941627, abs=1e-12)


def test_a_gradient_is_the_same_whatever_other_weights_are_asked_for():
    """Where one overflowed on the tape all were taken as they are written, which cancels."""
    sgd = Landscape(
        lambda w: [(logistic(w) - 1) ** 2, np.exp(np.exp(w / 100) - 700) + w * w],
        learning_rate=0.1,
        domain=(-60, 700),
    )
    w = np.array([50.0, 1000.0, 691.0])
    with np.errstate(all="ignore"):
        alone = np.hstack([sgd.loss_gradient(w[[k]]) for k in range(3)])
        np.testing.assert_array_equal(sgd.loss_gradient(w), alone)
    assert not np.isfinite(alone[1, 1])
    assert sgd.loss_gradient(w[:1])[0, 0] == pytest.approx(-2 * math.exp(-100), rel=1e-12)


def test_sums_of_thousands_of_steps_are_no_recursion():
    huber, centres = CONDITIONS["where"], np.linspace(-1, 1, 1200)
    sgd = Landscape(
        lambda w: [sum(huber(w - c) for c in centres) / 12_000, 0.3 * huber(w)],
        learning_rate=0.1,
        domain=(-3, 3),
    )
    assert sgd.tapes(1).are_straight(np.array([2.0]), DOUBLE).all()


@pytest.mark.parametrize("shape", [(5, 1), (40, 1)])
def test_a_shared_term_after_minus_a_column_of_others_is_left_out(shape):
    """What is without it was found on the tape as it was before the datapoints were told."""
    c, w = RNG.normal(size=shape), np.linspace(-2, 2, 5)
    mean, variance = moments(lambda w: -np.tanh(w - c) + 0.05 * w**2, w)[:2]
    g = 0.1 * w - 1 / np.cosh(w - c) ** 2
    assert mean == pytest.approx(g.mean(axis=0), rel=1e-12, abs=1e-14)
    assert variance == pytest.approx(g.var(axis=0), rel=1e-12)


def test_several_axes_moved_at_once_are_recorded():
    def slopes(w):
        z = np.moveaxis(np.expand_dims(w - np.linspace(-1, 1, 6)[:, None], (1, 3)), (1, 3), (0, 1))
        return np.tanh(z[0, 0])

    sgd, w = Landscape(gradients=slopes, learning_rate=0.1), np.linspace(-2, 2, 7)
    assert sgd.tapes(0) is not None
    mean, variance = sgd.moments(w)
    assert mean == pytest.approx(slopes(w).mean(axis=0), rel=1e-13, abs=1e-16)
    assert variance == pytest.approx(slopes(w).var(axis=0), rel=1e-13)


def test_rows_given_back_in_another_order_or_one_behind_the_other_are_recorded_as_a_whole():
    """A deviation is 1e-8 of the mean there: what they share is seen, however many there are."""
    c, y = np.random.default_rng(3).normal(size=(2, 400, 1))
    order, w = np.random.default_rng(4).permutation(400), np.array([-1.0, 0.4, 24.0])

    def losses(w):
        return (np.tanh(c * w) - y) ** 2 + np.cosh(w)

    mean, variance = moments(losses, w)
    for rows in (
        lambda w: losses(w)[order],
        lambda w: np.concatenate([losses(w)[150:], losses(w)[:150][::-1]]),
        lambda w: np.vstack([losses(w)[c[:, 0] > 0], losses(w)[c[:, 0] <= 0]]),
        lambda w: np.concatenate([losses(w), losses(w)[::-1]]),
    ):
        sgd = Landscape(rows, learning_rate=0.1, domain=(-3, 3))
        assert len(sgd.tapes(1).tape.nodes) < 200
        assert sgd.moments(w)[0] == pytest.approx(mean, rel=1e-14)
        assert sgd.moments(w)[1] == pytest.approx(variance, rel=1e-12, abs=0)
