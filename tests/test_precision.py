"""Exact derivatives and many digits from plain NumPy functions."""

import math
import operator
import pickle
import signal
import threading
import time
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erfcx, expit

from stationary import Diffusion, end_state
from stationary.errors import LandscapeError, NotDifferentiableError, UserFunctionError
from stationary.functions.evaluation import derivative, evaluate
from stationary.functions.taylor import Taylor
from stationary.numbers.arithmetic import DOUBLE, many_digits
from stationary.numbers.elementary import magnitude

FIFTY = many_digits(50)
EXACT = mpmath.MPContext()
EXACT.dps = 60

# name: (NumPy function, the same for one mpmath number, points where it is smooth)
ELEMENTARY = {
    "exp": (np.exp, EXACT.exp, [-2.5, 0.3, 3.0]),
    "exp2": (np.exp2, lambda t: EXACT.mpf(2) ** t, [-2.5, 0.3, 3.0]),
    "expm1": (np.expm1, EXACT.expm1, [-30.0, 1e-9, 2.0]),
    "log": (np.log, EXACT.log, [0.1, 1.5, 30.0]),
    "log2": (np.log2, lambda t: EXACT.log(t) / EXACT.log(2), [0.1, 1.5, 30.0]),
    "log10": (np.log10, EXACT.log10, [0.1, 1.5, 30.0]),
    "log1p": (np.log1p, EXACT.log1p, [-0.5, 1e-9, 2.0]),
    "sin": (np.sin, EXACT.sin, [-2.5, 0.3, 3.0]),
    "cos": (np.cos, EXACT.cos, [-2.5, 0.3, 3.0]),
    "tan": (np.tan, EXACT.tan, [-1.2, 0.3, 1.0]),
    "arcsin": (np.arcsin, EXACT.asin, [-0.9, 0.3, 0.5]),
    "arccos": (np.arccos, EXACT.acos, [-0.9, 0.3, 0.5]),
    "arctan": (np.arctan, EXACT.atan, [-5.0, 0.3, 2.0]),
    "sinh": (np.sinh, EXACT.sinh, [-2.5, 0.3, 3.0]),
    "cosh": (np.cosh, EXACT.cosh, [-2.5, 0.3, 3.0]),
    "tanh": (np.tanh, EXACT.tanh, [-18.0, 0.3, 3.0]),
    "arcsinh": (np.arcsinh, EXACT.asinh, [-2.5, 0.3, 3.0]),
    "arccosh": (np.arccosh, EXACT.acosh, [1.3, 2.0, 9.0]),
    "arctanh": (np.arctanh, EXACT.atanh, [-0.9, 0.3, 0.5]),
    "sqrt": (np.sqrt, EXACT.sqrt, [0.1, 1.5, 30.0]),
    "cbrt": (np.cbrt, EXACT.cbrt, [0.1, 1.5, 30.0]),
    "square": (np.square, lambda t: t * t, [-2.5, 0.3, 3.0]),
    "reciprocal": (np.reciprocal, lambda t: 1 / t, [-2.5, 0.3, 3.0]),
    "abs": (np.abs, lambda t: t if t > 0 else -t, [-2.5, 0.3, 3.0]),
    "fabs": (np.fabs, lambda t: t if t > 0 else -t, [-2.5, 0.3, 3.0]),
    "deg2rad": (np.deg2rad, lambda t: t * EXACT.pi / 180, [-2.5, 3.0]),
    "cube": (lambda w: w**3, lambda t: t**3, [-2.5, 0.3, 3.0]),
    "negative power": (lambda w: w**-2, lambda t: t**-2, [-2.5, 0.3, 3.0]),
    "real power": (lambda w: w**2.5, lambda t: t**2.5, [0.2, 0.3, 3.0]),
    "exponential": (lambda w: 2**w, lambda t: EXACT.mpf(2) ** t, [-2.5, 0.3, 3.0]),
    "self power": (lambda w: w**w, lambda t: t**t, [0.2, 1.5, 3.0]),
    "float_power": (lambda w: np.float_power(w, 3), lambda t: t**3, [-2.0, 0.4]),
    "quotient": (lambda w: (1 + w) / (2 + w * w), lambda t: (1 + t) / (2 + t * t), [-2.5, 0.3]),
    "logaddexp": (
        lambda w: np.logaddexp(w * w, 3 * w),
        lambda t: EXACT.log(EXACT.exp(t * t) + EXACT.exp(3 * t)),
        [-2.5, 0.3, 3.5],
    ),
    "logaddexp2": (
        lambda w: np.logaddexp2(w, -w),
        lambda t: EXACT.log(2**t + 2 ** (-t)) / EXACT.log(2),
        [-2.5, 0.3, 3.5],
    ),
    "hypot": (
        lambda w: np.hypot(w, 1 + w),
        lambda t: EXACT.sqrt(t * t + (1 + t) ** 2),
        [-2.5, 0.3],
    ),
    "arctan2": (
        lambda w: np.arctan2(w, 2 - w * w),
        lambda t: EXACT.atan2(t, 2 - t * t),
        [-2.5, 0.3, 1.0],
    ),
    "maximum": (lambda w: np.maximum(w, w * w), lambda t: max(t, t * t), [-2.5, 0.3, 3.5]),
    "minimum": (lambda w: np.minimum(1, w * w), lambda t: min(1, t * t), [-2.5, 0.3, 3.5]),
    "fmax": (lambda w: np.fmax(w, np.nan), lambda t: t, [0.3]),
    "fmin": (lambda w: np.fmin(w, w**3), lambda t: min(t, t**3), [0.3, 2.0]),
    "clip": (lambda w: np.clip(w**3, -1, 1), lambda t: min(max(t**3, -1), 1), [-2.0, 0.5, 1.5]),
    "heaviside": (lambda w: w * np.heaviside(w, 0.5), lambda t: max(t, 0), [-2.0, 0.5]),
    "sign": (lambda w: np.sign(w) * w**2, lambda t: EXACT.sign(t) * t**2, [-2.0, 0.5]),
    "mod": (lambda w: np.mod(w, 2) ** 2, lambda t: (t - 2 * EXACT.floor(t / 2)) ** 2, [-2.5, 0.5]),
    "floor": (lambda w: w * np.floor(w), lambda t: t * EXACT.floor(t), [-2.5, 0.5, 1.5]),
    "ceil": (lambda w: w * np.ceil(w), lambda t: t * EXACT.ceil(t), [-2.5, 0.5, 1.5]),
    "floor division": (lambda w: w + w // 1, lambda t: t + EXACT.floor(t), [-2.5, 0.5, 1.5]),
    "polyval": (lambda w: np.polyval([1, 2, 3], w), lambda t: t * t + 2 * t + 3, [-2.5, 0.3]),
    "where": (
        lambda w: np.where(w > 0, np.sin(w), w**2),
        lambda t: EXACT.sin(t) if t > 0 else t * t,
        [-2.0, 1.0],
    ),
    "select": (
        lambda w: np.select([w < 0, w < 1], [w, w**2], w**3),
        lambda t: t if t < 0 else t**2 if t < 1 else t**3,
        [-2.0, 0.5, 2.0],
    ),
    "piecewise": (
        lambda w: np.piecewise(w, [w < 0], [np.exp, 3.0]),
        lambda t: EXACT.exp(t) if t < 0 else EXACT.mpf(3),
        [-2.0, 0.5],
    ),
}


@pytest.mark.parametrize("name", ELEMENTARY)
def test_derivatives_of_order_one_to_three_are_those_of_mpmath(name):
    function, exact, points = ELEMENTARY[name]
    found = evaluate(function, points, order=3)
    many = evaluate(function, points, order=3, arithmetic=FIFTY)
    for i, point in enumerate(points):
        series = [EXACT.diff(exact, EXACT.mpf(point), k, h=EXACT.mpf(10) ** -13) for k in range(4)]
        scale = float(max(abs(c) for c in series[1:])) + 1e-300
        for k, truth in enumerate(series):
            # mpmath.diff in 60 digits with steps of 1e-13 is right to about 1e-12.
            tolerance = 1e-11 * abs(truth) + 1e-13 * scale
            assert abs(found[k][i] - truth) <= tolerance
            assert abs(EXACT.mpf(many[k][i]) - truth) <= tolerance
        assert abs(EXACT.mpf(many[0][i]) - series[0]) <= EXACT.mpf(10) ** -48 * (1 + abs(series[0]))


def test_many_digits_give_many_digits():
    """d/dw exp(-w^2) = -2 w exp(-w^2) to 48 digits."""
    x = FIFTY.array(["0.7", Fraction(1, 3)])
    _, slope = evaluate(lambda w: np.exp(-(w**2)), x, order=1, arithmetic=FIFTY)
    exact = [-2 * EXACT.mpf(t) * EXACT.exp(-(EXACT.mpf(t) ** 2)) for t in x]
    assert max(abs(EXACT.mpf(s) - e) for s, e in zip(slope, exact, strict=True)) < 1e-48


DATA = np.array([0.3, -1.2, 2.0, 0.9])
LABELS = np.array([1.0, -1.0, 1.0, 1.0])
BIAS = np.array([0.1, -0.3, 0.2])
MATRIX = np.array([[1.0, 2.0, -0.5], [0.0, -1.0, 0.25]])


def _pit(w):
    wide = -np.exp(-((w - 2) ** 2))
    return wide, wide - np.exp(-100 * (w - 1) ** 2)


def _hidden_layer(w):
    hidden = np.tanh(DATA[:, None, None] * np.stack([w, w**2, 1 - w]) + BIAS[:, None])
    return (hidden.sum(axis=1) - LABELS[:, None]) ** 2


def _softmax(w):
    e = np.exp(np.stack([w, -w, 2 * w]))
    return -np.log(e / np.sum(e, axis=0))


def _stable_softmax(w):
    z = np.stack([w, -w, 2 * w])
    z = z - z.max(axis=0)
    return np.log(np.sum(np.exp(z), axis=0)) - z


def _statistics(w):
    table = DATA[:, None] * w + w**2
    return np.var(table, axis=0), np.std(table, axis=0), table.mean(0), np.prod(table, axis=0)


def _filled(w):
    out = np.zeros_like(w)
    out[w > 0] = np.exp(-w[w > 0])
    out[w <= 0] = 1
    return out


def _accumulated(w):
    total = np.zeros(w.shape)
    for x in DATA:
        total += (np.tanh(x * w) - 1) ** 2
    total /= len(DATA)
    return total


COMPOSITE = {
    "pit": _pit,
    "network": lambda w: (np.tanh(DATA[:, None] * w) * 0.7 - LABELS[:, None]) ** 2,
    "hidden layer": _hidden_layer,
    "logistic": lambda w: np.logaddexp(0, -LABELS[:, None] * DATA[:, None] * w),
    "naive logistic": lambda w: np.log(1 + np.exp(-LABELS[:, None] * DATA[:, None] * w)),
    "hinge": lambda w: np.maximum(0, 1 - LABELS[:, None] * DATA[:, None] * w),
    "matrix": lambda w: (MATRIX @ np.stack([w, np.sin(w), np.ones_like(w)]) - 1) ** 2,
    "einsum": lambda w: np.einsum("ij,jm->im", MATRIX, np.stack([w, w**2, w**3])),
    "tensordot": lambda w: np.tensordot(MATRIX, np.stack([w, w**2, w**3]), axes=1),
    "dot": lambda w: np.dot(MATRIX, np.stack([w, w**2, w**3])),
    "polynomial": lambda w: (w[:, None] ** np.arange(4)) @ np.array([1.0, -2.0, 0.5, 0.1]),
    "softmax": _softmax,
    "stable softmax": _stable_softmax,
    "statistics": _statistics,
    "average": lambda w: np.average(DATA[:, None] * np.cos(w), axis=0, weights=np.arange(1.0, 5)),
    "filled in": _filled,
    "accumulated": _accumulated,
}


def slopes(function, x):
    """First derivatives from values alone: central differences in so many digits are exact."""
    h = FIFTY.array(["1e-20"])[0]
    above, below = (
        evaluate(function, FIFTY.array(x) + s * h, arithmetic=FIFTY)[0] for s in (1, -1)
    )
    return FIFTY.to_float((above - below) / (2 * h))


@pytest.mark.parametrize("name", COMPOSITE)
def test_doubles_agree_with_fifty_digits_and_with_finite_differences(name):
    x = np.array([-1.7, -0.4, 0.15, 0.95, 2.3])
    doubles = evaluate(COMPOSITE[name], x, order=2)
    many = evaluate(COMPOSITE[name], x, order=2, arithmetic=FIFTY)
    plain = evaluate(COMPOSITE[name], x)
    np.testing.assert_allclose(doubles[0], plain[0], rtol=1e-13, atol=1e-15)
    for a, b in zip(doubles, many, strict=True):
        assert a.shape == b.shape == plain[0].shape
        np.testing.assert_allclose(a, FIFTY.to_float(b), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(doubles[1], slopes(COMPOSITE[name], x), rtol=1e-11, atol=1e-13)


# Laws, for functions drawn at random.

LEAVES = st.sampled_from([lambda w: w, lambda w: 1.5 + 0 * w, lambda w: w - 0.25])
UNARY = [np.sin, np.tanh, np.arctan, lambda u: np.exp(-u * u), lambda u: 1 / (1 + u * u), np.cos]
BINARY = [np.add, np.subtract, np.multiply, np.logaddexp, lambda u, v: u / (2 + np.sin(v))]
FUNCTIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda g, u: lambda w: g(u(w)), st.sampled_from(UNARY), inner),
        st.builds(lambda g, u, v: lambda w: g(u(w), v(w)), st.sampled_from(BINARY), inner, inner),
    ),
    max_leaves=6,
)
POINTS = np.array([-1.3, 0.2, 0.9])


@settings(max_examples=60, deadline=None)
@given(FUNCTIONS, FUNCTIONS)
def test_product_rule_and_chain_rule_hold(f, g):
    """(f g)'' = f'' g + 2 f' g' + f g'', and (f o g)' = f'(g) g'."""
    f0, f1, f2 = evaluate(f, POINTS, order=2)
    g0, g1, g2 = evaluate(g, POINTS, order=2)
    product = evaluate(lambda w: f(w) * g(w), POINTS, order=2)[2]
    np.testing.assert_allclose(product, f2 * g0 + 2 * f1 * g1 + f0 * g2, rtol=1e-9, atol=1e-9)
    chain = evaluate(lambda w: f(g(w)), POINTS, order=1)[1]
    np.testing.assert_allclose(chain, evaluate(f, g0, order=1)[1] * g1, rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(FUNCTIONS)
def test_random_compositions_agree_with_many_digits_and_finite_differences(f):
    doubles = evaluate(f, POINTS, order=2)
    many = evaluate(f, POINTS, order=2, arithmetic=many_digits(25))
    for a, b in zip(doubles, many, strict=True):
        np.testing.assert_allclose(a, many_digits(25).to_float(b), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(doubles[1], slopes(f, POINTS), rtol=1e-8, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(FUNCTIONS)
def test_derivative_of_derivative_is_the_second_derivative(f):
    second = derivative(derivative(f))(POINTS)
    np.testing.assert_allclose(second, evaluate(f, POINTS, order=2)[2], rtol=1e-9, atol=1e-9)


def test_derivative_composes_with_functions_of_the_weight():
    """With l = sin: d/dw l'(w^2) = -2 w sin(w^2), also at w = 0."""
    slope = derivative(np.sin)
    x = np.array([0.0, 0.5, 1.5])
    _, found = evaluate(lambda w: slope(w**2), x, order=1)
    np.testing.assert_allclose(found, -2 * x * np.sin(x**2), rtol=1e-14)


def test_mean_gradient_of_losses_can_be_differentiated_in_any_arithmetic():
    slope = derivative(COMPOSITE["pit"])
    x = np.array([0.9, 1.02, 2.5])
    second = evaluate(COMPOSITE["pit"], x, order=2)[2].mean(axis=0)
    for arithmetic in (DOUBLE, FIFTY):
        g, g1 = evaluate(lambda w: np.mean(slope(w), axis=0), x, order=1, arithmetic=arithmetic)
        np.testing.assert_allclose(arithmetic.to_float(g1), second, rtol=1e-12)
        np.testing.assert_allclose(arithmetic.to_float(g), slope(x).mean(axis=0), rtol=1e-12)
    many = slope(FIFTY.array(x))
    assert many.shape == (2, 3)
    np.testing.assert_allclose(FIFTY.to_float(many), slope(x), rtol=1e-12)
    assert slope(mpmath.mpf(1)).shape == (2,)


# Forms in which the datapoints may come, and shapes.


def test_all_forms_of_returning_two_datapoints_agree():
    forms = [
        lambda w: (np.sin(w), w**2),
        lambda w: [np.sin(w), w**2],
        lambda w: np.array([np.sin(w), w**2]),
        lambda w: np.stack([np.sin(w), w**2]),
        lambda w: np.stack([w**2, np.sin(w)])[::-1],
        lambda w: np.vstack((np.sin(w), w**2)),
        lambda w: np.stack([np.sin(w), w**2], axis=1).T,
        lambda w: np.concatenate([np.sin(w)[None], w[None, :] ** 2]),
        lambda w: np.array([np.sin(w), w**2]) * np.array([1.0, 1.0])[:, None],
        lambda w: np.asarray([np.sin(w), w**2]) + 0 * w,
        lambda w: np.moveaxis(np.column_stack([np.sin(w), w**2]), 0, 1),
        lambda w: list(np.stack([np.sin(w), w**2])),
        lambda w: np.array([np.sin(np.asarray(w)), np.square(np.asarray(w))]),
    ]
    x = np.array([0.1, 0.7, 2.0])
    expected = [[np.sin(x), x**2], [np.cos(x), 2 * x]]
    for form in forms:
        for arithmetic in (DOUBLE, FIFTY):
            found = evaluate(form, x, order=1, arithmetic=arithmetic)
            np.testing.assert_allclose([arithmetic.to_float(c) for c in found], expected)


def test_arrays_made_with_np_array_keep_their_derivatives():
    def losses(w):
        rows = np.array([w, w**2])
        return np.sum(np.exp(rows), axis=0), np.mean(np.sqrt(rows), axis=0), np.var(rows, axis=0)

    x = np.array([0.4, 2.0])
    for arithmetic in (DOUBLE, FIFTY):
        found = arithmetic.to_float(evaluate(losses, x, order=1, arithmetic=arithmetic)[1])
        np.testing.assert_allclose(found[0], np.exp(x) + 2 * x * np.exp(x**2))
        np.testing.assert_allclose(found[1], (0.5 / np.sqrt(x) + 1) / 2)
        np.testing.assert_allclose(found[2], (x - x**2) * (1 - 2 * x) / 2)


def test_constants_have_zero_derivatives_and_are_broadcast():
    value, slope = evaluate(lambda w: (3, 2.5 * np.ones(3), w), [1.0, 2.0, 3.0], order=1)
    assert value.tolist() == [[3] * 3, [2.5] * 3, [1, 2, 3]]
    assert slope.tolist() == [[0] * 3, [0] * 3, [1] * 3]
    assert [c.tolist() for c in evaluate(lambda w: 7, [1.0, 2.0], order=1)] == [[7, 7], [0, 0]]


@pytest.mark.parametrize(
    "returned",
    [
        lambda w: np.ones((3, 2)),
        lambda w: [w, w[:2]],
        lambda w: [w, [w, w]],
        lambda w: np.sum(w),
        lambda w: [t**2 for t in w],
        lambda w: None,
        lambda w: "text",
        lambda w: 1j * w,
        lambda w: [],
        lambda w: {"loss": w},
    ],
)
@pytest.mark.parametrize("arithmetic", [DOUBLE, FIFTY], ids=str)
def test_what_is_no_table_of_numbers_is_refused(returned, arithmetic):
    with pytest.raises(LandscapeError, match="Return"):
        evaluate(returned, [1.0, 2.0, 3.0], order=1, arithmetic=arithmetic)


def test_plain_evaluation_refuses_complex_numbers_and_ragged_rows():
    for returned in (lambda w: 1j * w, lambda w: [w, w[:2]], lambda w: None):
        with pytest.raises(LandscapeError, match="Return"):
            evaluate(returned, [1.0, 2.0, 3.0])


def test_arguments_are_not_written_to():
    x = np.array([-1.0, 2.0])

    def losses(w):
        w[w < 0] = 0
        return w**2

    for order in (0, 1):
        evaluate(losses, x, order=order)
        assert x.tolist() == [-1, 2]
    assert evaluate(losses, x, order=1)[1].tolist() == [0, 4]


# Places where a careless rule gives nan.


def test_branch_not_taken_leaks_no_nan():
    x = np.array([-1.0, 0.0, 4.0])
    _, slope = evaluate(lambda w: np.where(w > 0, np.sqrt(w) + np.log(w), w), x, order=1)
    assert slope.tolist() == [1, 1, 0.5]


def test_powers_at_zero_are_exact():
    x = np.array([0.0])
    for p in range(6):
        found = [float(c[0]) for c in evaluate(lambda w, p=p: w**p, x, order=4)]
        assert found == [math.factorial(p) if k == p else 0 for k in range(5)]
    table = evaluate(lambda w: w ** np.arange(3)[:, None], x, order=2)
    assert [c[:, 0].tolist() for c in table] == [[1, 0, 0], [0, 1, 0], [0, 0, 2]]
    assert evaluate(lambda w: w ** np.float64(1.5), x, order=1)[1][0] == 0
    assert evaluate(np.sqrt, x, order=1)[1][0] == np.inf


def test_kinks_have_a_one_sided_derivative():
    x = np.array([0.0])
    for kink in (np.abs, lambda w: np.maximum(w, 0), lambda w: np.minimum(w, 0), lambda w: abs(w)):
        assert evaluate(kink, x, order=1)[1][0] in (-1, 0, 1)
    assert evaluate(lambda w: np.where(w > 0, w, 0), x, order=1)[1][0] in (0, 1)


def test_softplus_and_tanh_are_right_at_a_thousand():
    x = np.array([-1000.0, -30.0, 30.0, 1000.0])
    y, slope, curvature = evaluate(lambda w: np.logaddexp(0, w), x, order=2)
    np.testing.assert_allclose(y, [0, np.exp(-30), 30, 1000])
    np.testing.assert_allclose(slope, expit(x), rtol=1e-14)
    np.testing.assert_allclose(curvature, [0, np.exp(-30), np.exp(-30), 0], rtol=1e-12)
    _, slope, curvature = evaluate(np.tanh, x, order=2)
    np.testing.assert_allclose(slope, [0, 4 * np.exp(-60), 4 * np.exp(-60), 0], rtol=1e-13)
    assert np.isfinite(curvature).all()


def test_derivatives_that_overflow_on_the_way_are_mended():
    """1 / (1 + e^-w) has the slope e^w far to the left."""
    x = np.array([-705.0, -720.0, -1000.0, 1.0])
    value, slope = evaluate(lambda w: 1 / (1 + np.exp(-w)), x, order=1)
    np.testing.assert_allclose(slope[:3], np.exp(x[:3]), rtol=1e-9)
    np.testing.assert_allclose(slope[3], expit(1) * expit(-1))
    assert np.isfinite(value).all()


# Many digits.


def test_no_number_becomes_complex_and_division_by_zero_is_no_exception():
    x = np.array([-1.0, 0.0, 1.0])
    for f in (np.sqrt, np.log, np.arcsin, np.log1p, lambda w: w**0.5, lambda w: w ** (w / 3)):
        with np.errstate(all="ignore"):
            plain = f(x)
        (many,) = evaluate(f, x, arithmetic=FIFTY)
        np.testing.assert_allclose(FIFTY.to_float(many), plain)
    for f in (lambda w: 1 / w, lambda w: w / (w**2 * 0), lambda w: w**-1, lambda w: 3 / (0 * w**2)):
        with np.errstate(all="ignore"):
            plain = f(x)
        (many,) = evaluate(f, x, arithmetic=FIFTY)
        np.testing.assert_array_equal(FIFTY.to_float(many), plain)


def test_numpy_scalars_and_doubles_enter_many_digits_exactly():
    third = FIFTY.array([Fraction(1, 3)])
    factors = (np.float64(0.1), np.float32(0.1), np.int64(7), 0.1, np.array([0.1]), True)
    for c in factors:
        exact = Fraction(float(np.ravel(c)[0]))
        for f in (lambda w, c=c: c * w, lambda w, c=c: w * c, lambda w, c=c: 0.3 * (c * w) / 0.3):
            value, slope = evaluate(f, third, order=1, arithmetic=FIFTY)
            truth = EXACT.mpf(exact.numerator) / exact.denominator
            assert abs(EXACT.mpf(slope[0]) - truth) < 1e-55
            assert abs(EXACT.mpf(value[0]) - truth / 3) < 1e-55


def test_constants_picked_by_a_branch_keep_their_digits():
    """0.1 * 0.3 is rounded in doubles, but not after np.where or np.maximum of a weight."""
    exact = Fraction(0.1) * Fraction(0.3)
    for f in (
        lambda w: np.where(w > 0, 0.1, w) * 0.3,
        lambda w: np.maximum(w - 5, 0.1) * 0.3,
        lambda w: np.stack([w, 0.1 * np.ones_like(w)])[1] * 0.3,
        lambda w: np.clip(w, 0, 0.1) * 0.3,
    ):
        (value,) = evaluate(f, [1.0], arithmetic=FIFTY)
        assert abs(EXACT.mpf(value[0]) - EXACT.mpf(exact.numerator) / exact.denominator) < 1e-55


def test_absurd_exponentials_raise_instead_of_filling_the_memory():
    def towers(w):
        return np.exp(np.exp(1e40 * w))

    with pytest.raises(UserFunctionError, match="OverflowError"):
        evaluate(towers, [1.0], order=1, arithmetic=FIFTY)
    for name in ("exp", "expm1", "sinh", "cosh", "sin", "exp2"):
        with pytest.raises(OverflowError):
            FIFTY.functions[name](FIFTY.power(FIFTY.array(10), 400))
    assert FIFTY.exp(-FIFTY.power(FIFTY.array(10), 400)) == 0
    assert FIFTY.tanh(FIFTY.power(FIFTY.array(10), 400)) == 1


def test_converting_back_to_doubles_overflows_and_underflows_quietly():
    x = FIFTY.array([1e5, -1e5, 0.5, np.inf])
    assert FIFTY.to_float(FIFTY.exp(x)).tolist() == [np.inf, 0, np.exp(0.5), np.inf]
    assert FIFTY.to_float(-FIFTY.exp(x))[0] == -np.inf
    assert FIFTY.isfinite(FIFTY.array([1, np.inf, np.nan])).tolist() == [True, False, False]


def test_exponents_have_no_limit_in_many_digits():
    (value,) = evaluate(lambda w: np.exp(-np.exp(w)), [20.0], arithmetic=FIFTY)
    assert abs(EXACT.log(EXACT.mpf(value[0])) + EXACT.exp(20)) < 1e-40


@pytest.mark.parametrize("digits", [15, 30, 100])
def test_elementary_functions_of_an_arithmetic_have_the_promised_digits(digits):
    arithmetic = many_digits(digits)
    exact = mpmath.MPContext()
    exact.dps = digits + 30
    x = arithmetic.array(["0.3"])
    pairs = [
        (arithmetic.exp, exact.exp),
        (arithmetic.log, exact.log),
        (arithmetic.tanh, exact.tanh),
    ]
    for f, truth in pairs:
        assert abs(exact.mpf(f(x)[0]) - truth(exact.mpf(x[0]))) < exact.mpf(10) ** -(digits + 5)
    assert arithmetic.digits == digits
    assert float(arithmetic.epsilon) < 10.0 ** -(digits + 8)
    assert pickle.loads(pickle.dumps(arithmetic)) is arithmetic
    assert pickle.loads(pickle.dumps(DOUBLE)) is DOUBLE


def test_the_global_precision_of_mpmath_is_neither_used_nor_changed():
    before = mpmath.mp.dps
    with mpmath.workdps(5):
        (value,) = evaluate(np.sin, FIFTY.array(["0.1"]), arithmetic=FIFTY)
        assert mpmath.mp.dps == 5
    assert mpmath.mp.dps == before
    assert abs(EXACT.mpf(value[0]) - EXACT.sin(EXACT.mpf("0.1"))) < 1e-50


# Errors name the function and the line.


def _error(function, kind=NotDifferentiableError, **options):
    with pytest.raises(kind) as caught:
        evaluate(function, [1.0, 2.0], order=1, **options)
    return str(caught.value)


def _branches(w):
    if w:
        return w
    return -w


def _assigns(w):
    out = np.zeros((2, w.size))
    out[0] = w
    return out


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda w: erfcx(w), ["erfcx", "lambda w: erfcx(w)"]),
        (lambda w: np.interp(w, [0, 1], [0, 1]), ["np.interp"]),
        (lambda w: np.linalg.solve(np.eye(2), w), ["np.linalg.solve"]),
        (lambda w: [math.exp(w)], ["`math.exp(w)`", "plain number"]),
        (lambda w: float(w), ["`float(w)`"]),
        (lambda w: int(w), ["`int(w)`"]),
        (lambda w: [0, 1][w], ["`[0, 1][w]`"]),
        (lambda w: np.asarray(w, dtype=float), ["np.asarray(w, dtype=float)"]),
        (lambda w: np.exp(w, out=np.zeros(2)), ["np.exp", "out="]),
        (lambda w: np.add.reduceat(w, [0, 1]), ["np.add.reduceat"]),
        (lambda w: np.sum(w, axis=0, initial=3), ["np.sum", "initial"]),
        (_branches, ["if w:", "np.where"]),
        (_assigns, ["out[0]", "np.stack"]),
    ],
)
def test_what_has_no_derivative_is_named_with_its_line(function, words):
    text = _error(function)
    line = function.__code__.co_firstlineno
    assert any(f"test_precision.py, line {line + k}:" in text for k in range(3))
    for word in [*words, "gradients(w)", "np.where"]:
        assert word in text


def test_a_function_outside_numpy_is_named_even_without_a_line():
    assert "erfcx" in _error(erfcx)
    assert "test_precision" not in _error(erfcx)


def test_exceptions_of_the_user_show_their_line():
    def losses(w):
        table = {}
        return table["missing"] * w

    text = _error(losses, UserFunctionError)
    assert "KeyError: 'missing'" in text
    assert 'return table["missing"] * w' in text
    assert f"test_precision.py, line {losses.__code__.co_firstlineno + 2}" in text

    def shapes(w):
        return np.stack([w, w[:1]])

    assert "return np.stack([w, w[:1]])" in _error(shapes, UserFunctionError)

    def choice(w):
        return w if w > 0 else -w

    text = _error(choice)
    assert "np.where" in text
    assert "gradients(w)" in text

    def interrupted(w):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(interrupted, [1.0])


def test_writing_into_part_of_a_part_is_refused_rather_than_lost():
    def losses(w):
        out = np.zeros_like(np.stack([w, w]))
        out[0][w > 0] = 1
        return out

    assert "y[0, mask]" in _error(losses)


def test_an_array_that_was_added_to_in_place_cannot_be_misread():
    def losses(w):
        total = np.zeros(w.shape)
        other_name = total
        total += w
        return total, other_name

    value, slope = evaluate(losses, [1.0, 2.0], order=1)
    assert value[0].tolist() == [1, 2]
    assert slope[0].tolist() == [1, 1]
    assert np.isnan(value[1]).all()


def test_weights_of_two_derivatives_may_not_meet():
    def losses(w):
        return derivative(lambda v: v * w)(w)

    with pytest.raises(LandscapeError, match="own argument"):
        evaluate(losses, [1.0], order=1)


# The rest of the array interface.


def test_a_taylor_looks_like_an_array():
    w = Taylor.variable([1.0, 2.0, 3.0], 1, DOUBLE)
    assert (w.shape, w.ndim, w.size, w.dtype, len(w)) == ((3,), 1, 3, np.float64, 3)
    assert np.shape(w) == (3,)
    assert w[1].shape == ()
    assert w[None, :].shape == (1, 3)
    assert w[..., None].shape == (3, 1)
    assert w[w > 1.5].shape == (2,)
    assert w[[0, 2]].shape == (2,)
    assert w.reshape(3, 1).T.shape == (1, 3)
    assert np.broadcast_to(w, (2, 3)).ravel().shape == (6,)
    assert [v.shape for v in np.broadcast_arrays(w, w[:, None])] == [(3, 3)] * 2
    assert np.atleast_2d(w).shape == (1, 3)
    assert np.array([w, w]).shape == (2, 3)
    assert np.array([w, w]).dtype == object
    assert np.asarray(w[0]).shape == ()
    assert (w == 2).tolist() == [False, True, False]
    assert np.isfinite(w).all()
    assert np.full_like(w, 2.5).value.tolist() == [2.5] * 3
    assert np.zeros_like(w, dtype=bool).dtype == bool
    assert w.astype(float).value.tolist() == [1, 2, 3]
    assert np.argmax(w) == 2
    with pytest.raises(TypeError):
        hash(w)
    with pytest.raises(AttributeError, match="nothing"):
        w.nothing  # noqa: B018


def softmax(x):
    e = np.exp(np.stack([x, x**2]))
    return e / e.sum(axis=0)


def test_rearranging_and_summing_act_on_derivatives_alike():
    x = np.array([1.25, 1.5, 2.0])
    table = lambda w: np.stack([w, w**2])  # noqa: E731
    slope = np.stack([np.ones(3), 2 * x])
    for f, g in [
        (lambda w: table(w).sum(axis=0), slope.sum(axis=0)),
        (lambda w: table(w).mean(0), slope.mean(0)),
        (lambda w: table(w).max(axis=0), 2 * x),
        (lambda w: table(w).min(axis=0), [1, 1, 1]),
        (lambda w: np.max(-table(w), axis=0), [-1, -1, -1]),
        (lambda w: np.amin(table(w), axis=0, keepdims=True), [[1, 1, 1]]),
        (lambda w: np.cumsum(table(w), axis=0), np.cumsum(slope, axis=0)),
        (lambda w: np.diff(table(w), axis=0), np.diff(slope, axis=0)),
        (lambda w: np.add.reduce(table(w)), slope.sum(axis=0)),
        (lambda w: np.tile(w, (2, 1)), np.ones((2, 3))),
        (lambda w: np.repeat(w[None], 2, axis=0), np.ones((2, 3))),
        (lambda w: np.outer([1.0, 2.0], w), np.outer([1, 2], np.ones(3))),
        (lambda w: np.einsum("im->m", table(w)), slope.sum(axis=0)),
        (lambda w: np.sum(table(w), axis=0, keepdims=True), slope.sum(axis=0)[None]),
        (lambda w: np.prod(table(w), axis=0), 3 * x**2),
        (lambda w: sum(table(w)), slope.sum(axis=0)),
        (lambda w: (w * np.ones((2, 1)))[1], np.ones(3)),
        (lambda w: np.multiply.outer([2.0], w), 2 * np.ones((1, 3))),
        (lambda w: np.logaddexp.reduce(table(w), axis=0), (slope * softmax(x)).sum(axis=0)),
    ]:
        np.testing.assert_allclose(evaluate(f, x, order=1)[1], g)
        many = evaluate(f, x, order=1, arithmetic=FIFTY)[1]
        np.testing.assert_allclose(FIFTY.to_float(many), g)


@pytest.mark.parametrize(
    "operation",
    [
        operator.mul,
        operator.add,
        operator.sub,
        operator.truediv,
        operator.lt,
        operator.ge,
        operator.eq,
    ],
)
def test_operators_give_what_those_of_mpmath_give(operation):
    """To the last bit, for all pairs of numbers of all sizes and signs, and for plain numbers."""
    plain = mpmath.MPContext()
    swift = many_digits(40).one.context
    plain.prec = swift.prec
    rng = np.random.default_rng(5)
    texts = ["0", "1", "-2", "inf", "-inf", "nan", "0.1", "7e300"]
    sizes = 10.0 ** rng.integers(-60, 60, 30)
    texts += [repr(float(x)) for x in rng.normal(size=30) * sizes]

    def result(x, y):
        try:
            found = operation(x, y)
        except ZeroDivisionError:
            return "no number"
        return getattr(found, "_mpf_", found)

    for x in texts:
        for y in texts:
            a, b = (plain.mpf(t) / 3 for t in (x, y))
            c, d = (swift.make_mpf(v._mpf_) for v in (a, b))
            assert result(a, b) == result(c, d)
        for number in (0, 3, -0.5, np.float64(2.5)):
            assert result(a, number) == result(c, number)
            assert result(number, a) == result(number, c)


def test_jumps_next_to_the_points_looked_at_are_no_rounding():
    """Two of three places have one nearby; on its way from there the noise was smoothed away."""
    jumps = np.array([-2.25830313, 0.12136607])
    level, pull = np.array([22.0947, 0.0820295, 0.990026]), np.array([-0.15, -0.187, 0.129])

    def of(table, x):
        return table[np.searchsorted(jumps, x, side="right")]

    state = end_state(
        Diffusion(
            drift=lambda x: -0.5 - x + of(pull, x), variance=lambda x: 1.6 * of(level, x),
            domain=(-3, 3),
        )
    )  # fmt: skip
    assert not any("rounded" in note for note in state.notes)
    assert state.error < 1e-11


def test_the_size_of_what_is_no_number_is_none():
    """Was "man_exp requires an exact, finite value" where a function left its domain."""
    for digits in (40, 500):
        sizes = magnitude(many_digits(digits).array([0.0, 3.0, math.inf, -math.inf, math.nan]))
        np.testing.assert_equal(sizes, [-math.inf, 2, math.inf, math.inf, math.nan])


def test_an_interrupt_leaves_the_compiled_arithmetic_free_for_what_comes_next():
    """It may come at any call: a lock that was held then was never let go of, and all hung."""
    from stationary.numbers import digit_array

    many = many_digits(30)
    x = many.array(np.linspace(0.5, 2, 8))
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    stop, count = time.monotonic() + 0.4, 0
    try:
        while time.monotonic() < stop:
            try:
                signal.setitimer(signal.ITIMER_REAL, 2e-4 + 1e-5 * (count % 17), 0.05)
                while True:
                    np.exp(x) + x * x
            except KeyboardInterrupt:
                count += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert count > 50
    free = []

    def other():
        free.append(digit_array._lock.acquire(timeout=1))
        if free[0]:
            digit_array._lock.release()

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert free == [True]
    assert float((x * x)[0]) == 0.25
