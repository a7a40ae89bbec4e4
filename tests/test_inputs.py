"""What users write, in all its forms: work arrays, few digits, single numbers, and mistakes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stationary import (
    Diffusion,
    Landscape,
    LandscapeError,
    UserFunctionError,
    end_state,
    simulate,
)

POINTS = np.linspace(-2.5, 2.5, 21)


def well(x):
    return x - x**3


def in_a_buffer(function):
    """The same function with its values always in the same array, as `out=` leaves them."""
    buffers = {}

    def buffered(x):
        x = np.asarray(x, dtype=float)
        return np.copyto(out := buffers.setdefault(x.shape, np.empty(x.shape)), function(x)) or out

    return buffered


def writing_into_its_argument(function):
    def careless(x):
        values = function(x)
        x *= 0
        x += values
        return x

    return careless


# Work arrays.


@pytest.mark.parametrize("form", [in_a_buffer, writing_into_its_argument])
@pytest.mark.parametrize("noise", ["variance", "sigma", "diffusivity"])
def test_functions_may_return_the_same_work_array_each_time(form, noise):
    """drift and noise share one buffer; the answer is that of functions without one."""
    shared = form(lambda x: well(x) if shared_is_drift[0] else 0.3 + 0.1 * x**2)
    shared_is_drift = [True]

    def drift(x):
        shared_is_drift[0] = True
        return shared(x)

    def spread(x):
        shared_is_drift[0] = False
        return shared(x)

    found, exact = (
        end_state(Diffusion(drift=f, domain=(-3, 3), **{noise: g}))
        for f, g in ((drift, spread), (well, lambda x: 0.3 + 0.1 * x**2))
    )
    np.testing.assert_allclose(found.logpdf(POINTS), exact.logpdf(POINTS), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", [in_a_buffer, writing_into_its_argument])
def test_gradients_may_return_the_same_work_table_each_time(form):
    if form is in_a_buffer:
        table = {}

        def gradients(w):
            out = table.setdefault(w.shape, np.empty((2, *w.shape)))
            np.subtract(w, 1, out=out[0])
            np.multiply(w + 1, 1 + w**2, out=out[1])
            return out
    else:

        def gradients(w):
            rows = np.stack([w - 1, (w + 1) * (1 + w**2)])
            w[:] = 7
            return rows

    given = {"learning_rate": 0.2, "domain": (-4, 4)}
    found = end_state(Landscape(gradients=gradients, **given))
    exact = end_state(
        Landscape(losses=lambda w: (w**2 / 2 - w, w + w**2 / 2 + w**3 / 3 + w**4 / 4), **given)
    )
    np.testing.assert_allclose(found.logpdf(POINTS), exact.logpdf(POINTS), rtol=1e-12, atol=1e-12)


def test_two_datapoints_in_one_work_array_are_refused():
    out = {}

    def gradients(w):
        first = np.subtract(w, 1, out=out.setdefault(w.shape, np.empty(w.shape)))
        second = np.add(w, 1, out=out[w.shape])
        return first, second

    with pytest.raises(LandscapeError, match="same work array for several datapoints"):
        Landscape(gradients=gradients, learning_rate=0.1, domain=(-3, 3))


def test_datapoints_that_are_equal_may_be_one_array():
    def gradients(w):
        pull = w - 1
        return pull, pull, w + 1

    mean = end_state(Landscape(gradients=gradients, learning_rate=0.1, domain=(-9, 9))).mean()
    assert mean == pytest.approx(1 / 3, abs=1e-12)


def test_walkers_of_functions_with_work_arrays_are_those_without():
    table = {}

    def gradients(w):
        out = table.setdefault(w.shape, np.empty((2, *w.shape)))
        out[0], out[1] = w - 1, w + 1
        return out

    runs = [
        simulate(
            Landscape(gradients=g, learning_rate=0.1, domain=(-3, 3)),
            walkers=64, steps=50, seed=1, initial=0.1,
        )
        for g in (gradients, lambda w: np.stack([w - 1, w + 1]))
    ]  # fmt: skip
    assert runs[0].mean == runs[1].mean


# What is returned.


def test_a_drift_may_be_a_whole_number():
    """f = -sign(x), a = 1: rho = e^(-2 |x|)."""
    state = end_state(
        Diffusion(drift=lambda x: -np.sign(x).astype(int), variance=1, domain=(-np.inf, np.inf))
    )
    np.testing.assert_allclose(state.pdf(POINTS), np.exp(-2 * np.abs(POINTS)), rtol=1e-12)


@pytest.mark.parametrize(
    ("drift", "message"),
    [
        (lambda x: -x + 0j, "complex numbers"),
        (lambda x: np.array(["a"] * len(x)), "real numbers"),
        (lambda x: np.array([None] * len(x)), "real numbers"),
        (lambda x: None, "real numbers"),
        (lambda x: {"f": -x}, "real numbers"),
        (lambda x: np.ma.masked_greater(-x, 0), "3 masked values"),
        (lambda x: x.reshape(-1, 1), r"one number per weight|one value per point"),
        (lambda x: x - x.mean(), "does not act on each point by itself"),
        (lambda x: np.cumsum(x), "does not act on each point by itself"),
        (lambda x: np.sort(-x), "does not act on each point by itself"),
        (lambda x: -x if len(x) < 40 else x, "called with 5 points and with"),
        (lambda x: np.gradient(x**2, x), "does not act on each point by itself"),
        (lambda x: -x + np.random.normal(size=x.shape), "does not act on each point"),  # noqa: NPY002
        ("-x", "drift must be a function of x"),
        (math.nan, "drift must be a function of x"),
    ],
)
def test_a_drift_that_is_no_function_of_each_point_is_refused(drift, message):
    with pytest.raises(LandscapeError, match=message):
        end_state(Diffusion(drift=drift, variance=1.0, domain=(-3, 3)))


def test_booleans_and_objects_that_are_numbers_count_as_such():
    reference = end_state(Diffusion(drift=lambda x: 1.0 * (x < 0), variance=1, domain=(-2, 2)))
    for drift in (lambda x: x < 0, lambda x: (1.0 * (x < 0)).astype(object)):
        state = end_state(Diffusion(drift=drift, variance=1, domain=(-2, 2)))
        assert state.mean() == pytest.approx(reference.mean(), abs=1e-12)


@pytest.mark.parametrize("key", ["losses", "gradients"])
def test_a_number_of_datapoints_that_varies_is_told_with_both_numbers(key):
    def rows(w):
        return [w * (j + 1.0) for j in range(len(w))]

    with pytest.raises(LandscapeError, match=f"from 5 to 2 between two calls of {key}"):
        Landscape(learning_rate=0.1, domain=(-3, 3), **{key: rows})


# Functions that end the program.


@pytest.mark.parametrize("exception", [SystemExit(7), KeyboardInterrupt()])
@pytest.mark.parametrize("key", ["drift", "losses", "gradients"])
def test_a_function_may_end_the_program(exception, key):
    def leaves(x):
        raise exception

    settings = {"variance": 1} if key == "drift" else {"learning_rate": 0.1}
    kind = Diffusion if key == "drift" else Landscape
    with pytest.raises(type(exception)) as caught:
        kind(**{key: leaves}, **settings, domain=(-1, 1))
    assert caught.value is exception


def test_a_function_of_single_numbers_that_overflows_is_told_where():
    with pytest.raises(LandscapeError, match=r"drift\(x\) must be finite inside the domain"):
        end_state(Diffusion(drift=lambda x: math.exp(x), variance=1, domain=(-1, 2000)))


def test_an_exception_for_single_numbers_is_shown_as_the_users():
    def drift(x):
        return -x if x > 0 else missing  # noqa: F821

    with pytest.raises(UserFunctionError, match=r"(?s)NameError.*missing"):
        Diffusion(drift=drift, variance=1, domain=(-1, 1))


# Few digits.


def single(function):
    return lambda x: function(np.asarray(x, np.float32))


def hidden(function):
    return lambda x: function(np.asarray(x, np.float32)).astype(float)


def returned(function):
    return lambda x: function(x).astype(np.float32)


class Counted:
    """How many points a function was asked for."""

    def __init__(self, function):
        self.function, self.points = function, 0

    def __call__(self, x):
        self.points += np.size(x)
        return self.function(x)


inf = math.inf
ROUNDED = {
    "well": (lambda x: x - x**3, lambda x: 0.1 + 0 * x, (-3, 3)),
    "cold well": (lambda x: x - x**3 + 0.1, lambda x: 0.01 + 0 * x, (-3, 3)),
    "Ornstein-Uhlenbeck": (lambda x: -x, lambda x: 1 + 0 * x, (-inf, inf)),
    "far from 0": (lambda x: 1000 - x, lambda x: 1 + 0 * x, (990, 1010)),
    "Student": (lambda x: -x, lambda x: 1 + x * x, (-inf, inf)),
    "Feller": (lambda x: 0.3 - x, lambda x: x, (0, inf)),
    "Wright-Fisher": (lambda x: 0.5 - x, lambda x: 0.1 * x * (1 - x), (0, 1)),
    "logistic growth": (lambda x: x * (1 - x), lambda x: 0.3 * x * x, (0, inf)),
    "one way": (lambda x: 1 - x, lambda x: (x - 0.3) ** 2, (-1, 3)),
}


@pytest.mark.parametrize("name", ROUNDED)
@pytest.mark.parametrize("form", [single, hidden, returned])
def test_single_precision_gives_the_answer_of_doubles_within_its_stated_error(form, name):
    drift, variance, domain = ROUNDED[name]
    counted = Counted(form(drift))
    found = end_state(Diffusion(drift=counted, variance=form(variance), domain=domain))
    exact = end_state(Diffusion(drift=drift, variance=variance, domain=domain))
    assert found.kind == exact.kind == "density"
    x = exact.ppf(np.linspace(0.001, 0.999, 40))
    off = np.abs(found.logpdf(x) - exact.logpdf(x)).max()
    assert off < found.error < 5000 * max(off, 6e-8)
    assert found.error > 6e-8
    assert counted.points < 25_000  # and not 340,000
    assert found.status.name == "INEXACT"  # which names no kinks
    assert any("7 digits" in note for note in found.notes)
    if form is not hidden:
        assert any("drift(x) returns float32" in note for note in found.notes)


def test_a_trap_in_single_precision_is_the_trap_of_doubles():
    found = end_state(
        Diffusion(drift=single(lambda x: -x), variance=single(lambda x: x * x), domain=(-1, 1))
    )
    assert [(a.position, a.weight) for a in found.atoms] == [(0, 1)]
    assert any("vanishes is known to 7 digits" in note for note in found.notes)


def test_gradients_in_single_precision_are_answered_to_their_digits():
    def gradients(w):
        return w**3 - w + 0.1, 2 * w - 0.3 * np.cos(w)

    given = {"learning_rate": 0.2, "domain": (-3, 3)}
    found = end_state(Landscape(gradients=lambda w: single(gradients)(w), **given))
    exact = end_state(Landscape(gradients=gradients, **given))
    x = exact.ppf(np.linspace(0.001, 0.999, 40))
    off = np.abs(found.logpdf(x) - exact.logpdf(x)).max()
    assert off < found.error < 1e-3
    assert any("gradients(w) returns float32" in note for note in found.notes)


@pytest.mark.parametrize(
    "cast",
    [
        lambda x: -float(x),
        lambda x: -np.asarray(x, float),
        lambda x: -np.float64(x),
        lambda x: -math.sinh(math.asinh(x)),
        lambda x: np.interp(x, [-9.0, 9.0], [9.0, -9.0]),
    ],
)
def test_a_function_that_casts_to_float_is_never_given_anything_else(cast):
    """f = -x, a = 1: variance 1/2; and digits that it does not have are refused."""
    kinds = set()

    def drift(x):
        kinds.add(type(x) if not isinstance(x, np.ndarray) else x.dtype.kind)
        return cast(x)

    process = Diffusion(drift=drift, variance=1, domain=(-8, 8))
    kinds.clear()
    assert end_state(process).var() == pytest.approx(0.5, abs=1e-12)
    assert kinds <= {float, "f"}
    with pytest.raises(LandscapeError, match="drift runs in doubles only"):
        end_state(process, digits=30)
    assert kinds <= {float, "f"}


def test_cancellation_in_doubles_is_no_rounding_that_digits_could_not_help():
    """1 - cos(1e-5 x) is known to 7 digits in doubles, and to all in more."""
    state = end_state(
        Diffusion(drift=lambda x: -1e10 * (1 - np.cos(1e-5 * x)) * np.sign(x), variance=1,
                  domain=(-3, 3))
    )  # fmt: skip
    assert not any("is rounded" in note for note in state.notes)
