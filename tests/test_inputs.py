"""What users write, in all its forms: work arrays, few digits, single numbers, and mistakes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp

import stationary
from stationary import (
    Diffusion,
    Landscape,
    LandscapeError,
    UserFunctionError,
    analyze,
    end_state,
    evolve,
    first_passage,
    load,
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


@pytest.mark.parametrize(
    "losses",
    [
        lambda w: ((w - w.mean()) ** 2, (w + 1) ** 2),
        lambda w: ((w - 1) ** 2 * len(w), (w + 1) ** 2),
        lambda w: ((w - np.random.random()) ** 2, (w + 1) ** 2),  # noqa: NPY002
    ],
)
def test_losses_that_are_no_function_of_each_weight_are_refused(losses):
    with pytest.raises(LandscapeError, match=r"losses\(w\) does not act on each point by itself"):
        Landscape(losses=losses, learning_rate=0.1)


def test_a_list_of_numbers_is_as_good_as_an_array():
    state = end_state(Diffusion(drift=lambda x: (-x).tolist(), variance=1, domain=(-8, 8)))
    assert state.var() == pytest.approx(0.5, rel=1e-12)


def test_masked_starts_and_domains_are_refused():
    given = {"drift": lambda x: -x, "variance": 1}
    start = np.ma.array([0.0, 0.5], mask=[False, True])
    with pytest.raises(LandscapeError, match="1 of the 2 samples are masked"):
        Diffusion(initial=start, domain=(-1, 1), **given)
    for domain in ((np.ma.masked, 1), None, {0: 1, 1: 2}):
        with pytest.raises(LandscapeError, match="is not a pair of numbers"):
            Diffusion(domain=domain, **given)
        with pytest.raises(LandscapeError, match="is not a pair of numbers"):
            Landscape(losses=lambda w: (w**2, w), learning_rate=0.1, domain=domain)


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


def test_a_drift_whose_double_overflows_is_told_where():
    with pytest.raises(LandscapeError, match=r"drift\(-0\.\d+\) = \d\.\d+e\+307, beyond 1e\+300"):
        end_state(Diffusion(lambda x: -1e308 * x, 1, (-1, 1)))
    assert end_state(Diffusion(lambda x: -1e299 * x, 1, (-1, 1))).std() == pytest.approx(
        0.5**0.5 * 1e299**-0.5, rel=1e-9
    )


def test_no_warning_of_numpy_leaves_the_functions_of_a_process():
    process = Diffusion(drift=lambda x: 1 / x - x**5, sigma=np.exp, domain=(0, 5))
    x = np.array([0.0, 1e-300, 1e200])
    assert process.drift(x)[0] == inf  # warnings are errors here
    assert process.variance(x)[2] == inf


def test_an_exception_for_single_numbers_is_shown_as_the_users():
    def drift(x):
        return -x if x > 0 else missing  # noqa: F821

    with pytest.raises(UserFunctionError, match=r"(?s)NameError.*missing"):
        Diffusion(drift=drift, variance=1, domain=(-1, 1))


# Few digits.


@pytest.mark.parametrize("points", [20, 100, 400])
def test_datapoints_that_depend_on_the_number_of_weights_are_refused(points):
    def losses(w):
        return [(w - k) ** 2 * (1 + k) for k in range(min(5, 2 + np.size(w) // points))]

    with pytest.raises(LandscapeError, match="the number of datapoints changed from 2 to"):
        Landscape(losses=losses, learning_rate=0.01, domain=(-3, 3))
    with pytest.raises(LandscapeError, match="the number of datapoints changed from 2 to"):
        Landscape(gradients=losses, learning_rate=0.01, domain=(-3, 3))
    with pytest.raises(LandscapeError, match="does not act on each point"):
        Landscape(
            losses=lambda w: ((w - 1) ** 2 * (1 + np.size(w) // points), (w + 1) ** 2),
            learning_rate=0.01,
            domain=(-3, 3),
        )


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


def test_far_out_equal_gradients_of_single_precision_are_no_zero_of_the_noise():
    """w - 1 and w + 1 in float32 are the same beyond 2^24; the variance is T C / 2."""
    landscape = Landscape(
        gradients=lambda w: np.stack([w - 1, w + 1]).astype(np.float32), learning_rate=0.1
    )
    state = end_state(landscape)
    assert abs(state.var() - 0.05) < 0.05 * state.error
    assert not state.anatomy.points


@pytest.mark.parametrize("end", [9, 20, np.inf])
@pytest.mark.parametrize("form", [single, hidden])
def test_gradients_that_saturate_in_single_precision_hide_no_minimum(form, end):
    """Beyond 9 tanh is 1 in float32: the variance seemed to vanish, or to be known to 1e-3."""
    at = np.linspace(-1, 1.5, 40, dtype=np.float32)[:, None]

    def solved(form, end):
        gradients = form(lambda w: np.tanh(w - at) + 0.1 * w)
        return end_state(Landscape(gradients=gradients, learning_rate=0.1, domain=(-end, end)))

    exact, found = solved(lambda f: f, 4), solved(form, end)
    assert abs(found.mean() - exact.mean()) <= found.mean_error
    assert found.error < 1e-4
    assert not found.anatomy.points


@pytest.mark.parametrize("unit", [1e-3, 1e3])
@pytest.mark.parametrize("end", [4, np.inf])
def test_gradients_with_few_decimals_are_known_as_well_in_any_unit_of_the_loss(unit, end):
    """In units of 1e-3 the mean was nan: f is the gradient times the learning rate."""
    at = np.array([-1, 0.3, 1.1])[:, None]

    def solved(decimals, unit):
        def gradients(w):
            rows = np.sin(w - at) + 0.5 * (w - at)
            return np.round(rows, decimals) * unit

        given = {"learning_rate": 0.3 / unit, "domain": (-end, end)}
        return end_state(Landscape(gradients=gradients, **given))

    exact, found, home = solved(15, 1.0), solved(5, unit), solved(5, 1.0)  # took a minute
    assert abs(found.mean() - exact.mean()) < found.mean_error
    assert found.mean_error == pytest.approx(home.mean_error, rel=0.01)
    assert abs(found.std() - exact.std()) < found.std_error < 1e-5


@pytest.mark.parametrize("decimals", [2, 4])
def test_values_with_few_decimals_are_answered_to_these(decimals):
    """A drift off by at most h moves log rho by at most 2 h |x - y| / a."""
    counted = Counted(lambda x: np.round(well(x), decimals))
    found = end_state(Diffusion(drift=counted, variance=0.5, domain=(-3, 3)))
    exact = end_state(Diffusion(drift=well, variance=0.5, domain=(-3, 3)))
    x = exact.ppf(np.linspace(0.001, 0.999, 40))
    off = np.abs(found.logpdf(x) - exact.logpdf(x)).max()
    assert off < found.error < 12 * 10.0**-decimals
    assert counted.points < 25_000
    assert found.status.name == "INEXACT"
    assert any("drift(x) is rounded" in note for note in found.notes)


def lost(x, number):
    """Of a double well, with the digits that adding 10 takes."""
    y = number(1.38) * x - x * x * x - number(0.16) * np.sin(x)
    return (y + number(10)) - number(10)


def shifted(y, number):
    """With a zero at x = 0.016, where x itself is known to more digits than y."""
    return number(2.834974) * y - y * y * y + number(0.030569626) * np.sin(number(1.8168432) * y)


@pytest.mark.parametrize(
    ("drift", "centre"),
    [
        (lambda x, number: x - x * x * x + number(0.03), 0.0),
        (lambda x, number: np.sin(x - number(30)) - number(0.1) * (x - number(30)), 30.0),
        (lost, 0.0),
        (lambda x, number: shifted(x - number(1.7), number), float(np.float32(1.7))),
    ],
)
def test_rest_points_in_single_precision_are_as_sure_as_that(drift, centre):
    """Where values in single precision change sign is a step of theirs, not the zero."""

    def process(number):
        def variance(x):
            return number(0.12) + number(0.02) * np.sin(number(1) * x)

        def of(function):
            return lambda x: function(np.asarray(x, number)).astype(float)

        f = of(lambda x: drift(x, number))
        return Diffusion(drift=f, variance=of(variance), domain=(centre - 3, centre + 3))

    found, exact = analyze(process(np.float32)), analyze(process(np.float64))
    # 0.03 and others are not the same number in both.
    for e, true in zip(found.equilibria, exact.equilibria, strict=True):
        assert abs(e.position - true.position) < e.error < 1e-4
        assert abs(e.slope - true.slope) < e.slope_error
    for b, true in zip(found.basins, exact.basins, strict=True):
        assert abs(b.width - true.width) < b.width_error
        assert abs(b.variance - true.variance) < b.variance_error
        assert true.width_error < 1e-12


def test_a_rest_point_without_noise_has_a_slope_in_single_precision():
    """All gradients are 0 at w = 0, where the mean is w^3 - 0.95 w to third order."""

    def gradients(w):
        w = np.asarray(w, np.float32)
        return np.stack([w * (w * w - 1) + np.float32(0.2 * j) * np.sin(w) for j in (-2, -1, 1, 3)])

    landscape = Landscape(gradients=gradients, learning_rate=0.3, domain=(-3, 3))
    found = analyze(landscape)
    e = found.equilibria[1]
    assert abs(e.slope - 0.3 * 0.95) < e.slope_error < 1e-5
    assert "a corner" not in str(found)
    kinked = lambda w: np.asarray(w, np.float32) * np.where(w > 0, 1, 3)  # noqa: E731
    two = Landscape(
        gradients=lambda w: np.stack([kinked(w), 2 * kinked(w)]), learning_rate=0.1, domain=(-1, 1)
    )
    assert analyze(two).equilibria[0].slope is None


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


# How a process is given.


def test_a_diffusion_is_drift_variance_and_domain_in_this_order():
    found = Diffusion(lambda x: -x, 2.0, (0, inf))
    assert found.domain == (0, inf)
    assert end_state(found).mean() == pytest.approx(math.sqrt(2 / math.pi), rel=1e-12)
    assert Diffusion(lambda x: -x, 2.0).domain == (-inf, inf)


@pytest.mark.parametrize("convention", ["ito", "stratonovich", "klimontovich"])
def test_a_potential_at_a_temperature_has_its_boltzmann_density(convention):
    """rho ~ e^(-V / T), whatever the convention."""

    def potential(x):
        return x**4 / 4 - x**2 / 2 + 0.1 * np.sin(x)

    process = Diffusion(potential=potential, temperature=0.2, domain=(-3, 3), convention=convention)
    state = end_state(process)
    found = state.logpdf(POINTS) - state.logpdf(0.0)
    np.testing.assert_allclose(found, (potential(0.0) - potential(POINTS)) / 0.2, atol=1e-12)
    assert "dx = -V'(x) dt + sqrt(2 T) dB, T = 0.2" in process.stated_equation
    many = end_state(process, digits=30)
    assert abs(float(many.logpdf("1.5") - many.logpdf("0.5")) - (
        potential(0.5) - potential(1.5)) / 0.2) < 1e-13  # fmt: skip


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"potential": np.cosh}, "one of them is missing"),
        ({"temperature": 1.0}, "one of them is missing"),
        ({"potential": np.cosh, "temperature": 0}, "must be a positive number"),
        ({"potential": np.cosh, "temperature": np.abs}, "must be a positive number"),
        ({"potential": 3.0, "temperature": 1}, "potential must be a function of x"),
        ({"potential": np.cosh, "temperature": 1, "drift": 0}, "drift came, too"),
        ({"potential": np.cosh, "temperature": 1, "sigma": 1}, "sigma came, too"),
        ({"variance": 1}, "there is no drift"),
        ({"drift": 0}, "none was given"),
    ],
)
def test_half_a_process_is_refused(given, message):
    with pytest.raises(LandscapeError, match=message):
        Diffusion(domain=(-1, 1), **given)


def test_a_potential_that_cannot_be_differentiated_is_told_what_to_give_instead():
    with pytest.raises(LandscapeError, match=r"(?s)np.interp has no derivative.*drift\(x\) = -V"):
        Diffusion(potential=lambda x: np.interp(x, [-1, 1], [0, 1]), temperature=1)


def test_a_file_may_give_a_potential_at_a_temperature(write):
    path = write(
        "import numpy as np\nparameters = {'k': 2.0}\ntemperature = 0.5\n"
        "def potential(x, k):\n    return k * x**2 / 2\n"
    )
    assert end_state(path).var() == pytest.approx(0.25, rel=1e-12)
    assert analyze(path, temperature=1.0, parameters={"k": 4}).end_state.var() == pytest.approx(
        0.25, rel=1e-12
    )
    with pytest.raises(LandscapeError, match="potential is given without a temperature"):
        load(write("def potential(x):\n    return x**2\n"))
    with pytest.raises(LandscapeError, match="variance does not apply to a process given by pot"):
        load(write("temperature = variance = 1\ndef potential(x):\n    return x**2\n"))


def test_parameters_of_a_process_are_handed_to_its_functions():
    process = Diffusion(
        drift=lambda x, k: -k * x,
        variance=lambda x, c: c + 0 * x,
        domain=lambda reach: (-reach, reach),
        parameters={"k": 2.0, "c": 4.0, "reach": 40.0},
    )
    assert process.domain == (-40, 40)
    assert end_state(process).var() == pytest.approx(1.0, rel=1e-12)
    assert end_state(process, digits=20).var() - 1 < 1e-18
    assert dict(process.parameters) == {"k": 2.0, "c": 4.0, "reach": 40.0}
    landscape = Landscape(
        losses=lambda w, tilt: ((w - tilt) ** 2, (w + 1) ** 2),
        learning_rate=0.01,
        parameters={"tilt": 3.0},
    )
    assert end_state(landscape).mean() == pytest.approx(1.0, rel=1e-12)
    assert landscape.diffusion().parameters == landscape.parameters


@pytest.mark.parametrize("make", [Diffusion, Landscape])
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"k": 1.0, "l": 2.0}, "no function takes the parameter l"),
        ({"kk": 1.0}, "takes k, but the parameters are kk. Did you mean kk"),
        ({"k": "steep"}, "must be a finite number"),
        ([1, 2], "must be a dictionary"),
    ],
)
def test_parameters_that_no_function_takes_are_refused(make, parameters, message):
    given = {
        Diffusion: {"drift": lambda x, k: -k * x, "variance": 1},
        Landscape: {"losses": lambda w, k: (k * w**2, (w - 1) ** 2), "learning_rate": 0.1},
    }[make]
    with pytest.raises(LandscapeError, match=message):
        make(**given, parameters=parameters)


def test_a_path_is_taken_wherever_a_process_is(write):
    path = write(
        "learning_rate = 0.3\ndomain = (-4, 3)\ninitial = 0.5\n"
        "def losses(w):\n    return (w - 1)**2, (w + 1)**2 + (w**2 - 1)**2 / 2\n"
    )
    process = load(path)
    exact = end_state(process)
    assert end_state(path).mean() == exact.mean()
    assert end_state(str(path)).mean() == exact.mean()
    for ask in (stationary.mean_first_passage_time, stationary.log_mean_first_passage_time):
        assert ask(path, 0.5, -0.5) == ask(process, 0.5, -0.5)
    for ask in (stationary.hitting_probability, stationary.log_hitting_probability):
        assert ask(path, 0.1, [-0.5, 0.5]) == ask(process, 0.1, [-0.5, 0.5])
    assert stationary.exact_chain(path, cells=200).mean() == pytest.approx(
        stationary.exact_chain(process, cells=200).mean(), rel=1e-12
    )
    assert stationary.step_indicators(path, exact).learning_rate == 0.3
    assert stationary.evolve(path, times=[1.0], cells=60).process.name == "process.py"
    assert stationary.regularisation_path(path, [1e-3]).process.name == "process.py"
    path = write(
        "domain = (-3, 3)\nvariance = 0.3\ndef drift(x):\n    return x - x**3 + 0.1\n", "well.py"
    )
    exact = end_state(path)
    wider = [stationary.dilation_bias(p, 0, [2.0]).log_mass_ratios[0] for p in (path, exact)]
    assert wider[0] == wider[1]
    noisier = [stationary.noise_bias(p, 0, [2.0]).log_mass_ratios[0] for p in (path, exact)]
    assert noisier[0] == noisier[1]
    for ask in (end_state, stationary.evolve, stationary.exact_chain, stationary.sweep, analyze):
        with pytest.raises(
            LandscapeError, match=r"a Diffusion or a Landscape is needed|nothing to"
        ):
            ask(3)


# Names that mean nothing.


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("nesterov", True, "momentum = 0.9"),
        ("dampening", 0.1, "It is not modelled"),
        ("decay", 1e-4, r"Did you mean weight_decay\?"),
        ("clip_norm", 1.0, r"Did you mean clip\?"),
        ("warmup", 100, "Write schedule = "),
        ("beta2", 0.999, r"Did you mean betas = \(0.9, 0.999\)"),
    ],
)
def test_what_an_optimiser_has_and_sgd_has_not_is_refused_by_name(write, name, value, hint):
    losses = "learning_rate = 0.1\ndef losses(w):\n    return (w - 1)**2, (w + 1)**2\n"
    with pytest.raises(
        LandscapeError, match=f"process.py: {name} = .*would have no effect.*{hint}"
    ):
        load(write(f"{losses}{name} = {value!r}\n"))
    load(write(f"{losses}_{name} = {value!r}\n"))
    with pytest.raises(LandscapeError, match=f"no {name}.*{hint}"):
        load(write(losses), **{name: value})
    with pytest.raises(LandscapeError, match=f"Landscape has no {name}.*{hint}"):
        Landscape(losses=lambda w: (w**2, w), learning_rate=0.1, **{name: value})
    with pytest.raises(LandscapeError, match=f"has no {name}.*{hint}"):
        analyze(load(write(losses)), **{name: value})


@pytest.mark.parametrize(
    ("make", "given", "hint"),
    [
        (Diffusion, {"varience": 1}, "Did you mean variance"),
        (Diffusion, {"bounds": (0, 1)}, "Did you mean boundaries"),
        (Diffusion, {"xyz": 1}, "Known are drift, variance"),
        (Landscape, {"learning_rates": 1}, "Did you mean learning_rate"),
        (Landscape, {"loss": abs}, "Did you mean losses"),
    ],
)
def test_an_unknown_argument_is_told_with_the_nearest_name(make, given, hint):
    with pytest.raises(LandscapeError, match=f"{make.__name__} has no .*{hint}"):
        make(**given)


def test_breakpoints_outside_the_domain_are_named():
    given = {"drift": lambda x: -x, "variance": 1, "domain": (-1, 1)}
    with pytest.raises(
        LandscapeError, match=r"breakpoints: -3, 2 lie outside the domain \(-1, 1\)"
    ):
        Diffusion(breakpoints=[-3, 0.5, 2], **given)
    with pytest.raises(LandscapeError, match=r"breakpoints: 7 lies outside"):
        Landscape(losses=lambda w: (w**2, w), learning_rate=0.1, domain=(-1, 1), breakpoints=[7])
    assert Diffusion(breakpoints=[-1, 0.5, 1], **given).breakpoints == (0.5,)


def test_a_domain_given_in_place_of_a_files_drops_what_lies_outside_it(write):
    path = write(
        "domain = (-3, 3)\nbreakpoints = [-2, 0.5]\nvariance = 1\ndef drift(x):\n    return -x\n"
    )
    assert analyze(path, domain=(-1, 1)).diffusion.breakpoints == (0.5,)
    assert analyze(load(path), domain=(-1, 1)).diffusion.breakpoints == (0.5,)


@pytest.mark.parametrize("kind", ["losses", "gradients"])
def test_a_root_of_what_is_negative_is_an_error_and_no_warning(kind):
    function = {kind: lambda w: (np.sqrt(w) - 1, np.sqrt(w) ** 3)}
    with pytest.raises(LandscapeError, match=rf"{kind}\(w\) must be finite inside the domain"):
        Landscape(**function, learning_rate=0.1, domain=(-1, 4)).diffusion()


WELLS = Diffusion(lambda x: well(x) + 0.1, 0.1, (-3, 3))
HILLS = {"potential": lambda x: x**4 / 4 - x**2 / 2 - 0.1 * x, "domain": (-3, 3)}


@pytest.mark.parametrize(
    ("process", "changes", "anew"),
    [
        (WELLS, {"variance": 0.3}, {"drift": WELLS.drift, "variance": 0.3}),
        (WELLS, {"sigma": 0.5}, {"drift": WELLS.drift, "sigma": 0.5}),
        (WELLS, {"diffusivity": lambda x: 0.1}, {"drift": WELLS.drift, "diffusivity": 0.1}),
        (WELLS, {"drift": lambda x: -x}, {"drift": lambda x: -x, "variance": 0.1}),
        (Diffusion(**HILLS, temperature=0.1), {"temperature": 0.3}, HILLS | {"temperature": 0.3}),
        (
            Diffusion(**HILLS, temperature=0.1),
            {"potential": lambda x: x**2},
            {"drift": lambda x: -2 * x, "variance": 0.2},
        ),
    ],
)
def test_what_a_diffusion_is_given_by_can_be_changed_as_if_it_were_made_anew(
    process, changes, anew
):
    """Each of these changes was taken without a word and had no effect, or was a TypeError."""
    at = [-0.7, 0.2, 1.1]
    expected = end_state(Diffusion(**{"domain": (-3, 3)} | anew)).cdf(at)
    np.testing.assert_allclose(analyze(process, **changes).end_state.cdf(at), expected, rtol=1e-10)
    many = {"walkers": 9, "steps": 50, "dt": 0.01, "seed": 1}
    walked = [
        simulate(process, **changes, **many),
        simulate(Diffusion(**{"domain": (-3, 3)} | anew), **many),
    ]
    assert walked[0].mean == pytest.approx(walked[1].mean, rel=1e-9)


def test_a_change_that_cannot_be_applied_to_a_diffusion_is_refused_by_name():
    slow = Landscape(lambda w: ((w - 1) ** 2, (w + 1) ** 2), learning_rate=0.1, domain=(-2, 2))
    plane = Diffusion(lambda x: -x, 1.0, domain=((-2, 2), (-2, 2)))
    for process, changes, words in (
        (WELLS, {"temperature": 0.2}, "temperature is given, but .*drift came, too"),
        (WELLS, {"potential": lambda x: x * x}, "potential is given, but .*drift came, too"),
        (Diffusion(**HILLS, temperature=0.1), {"sigma": 1.0}, "sigma came, too"),
        (slow.diffusion(), {"variance": 0.2}, "variance cannot be set: .* come from losses"),
        (WELLS.regularised(0.1), {"drift": 0.0}, "drift cannot be set"),
        (stationary.Kinetic(lambda q: -q), {"drift": lambda x: -x}, "drift cannot be set"),
        (plane, {"sigma": 1.0}, "has no sigma"),
        (WELLS, {"settled": False}, "has no settled"),
    ):
        with pytest.raises(LandscapeError, match=words):
            analyze(process, **changes)
    with pytest.raises(LandscapeError, match=r"temperature .* changed\(temperature=\.\.\.\)"):
        replace(WELLS, temperature=0.2)


def test_a_new_function_of_a_diffusion_is_given_its_parameters():
    process = Diffusion(lambda x, k: -k * x, 1.0, parameters={"k": 2.0})
    found = analyze(process, drift=lambda x, k: -k * k * x).end_state
    assert found.std() == pytest.approx(1 / math.sqrt(8), rel=1e-12)


@pytest.mark.parametrize(
    ("potential", "words"),
    [
        (lambda x: np.where(abs(x) < 1, 0.0, 2.0), "jumps by -2 at x = -1:"),
        (lambda x: x**2 + 3 * np.heaviside(x - 0.7, 0.5), "jumps by 3 at x = 0.7:"),
        (lambda x: x**2 + np.sign(x), "jumps by 2 at x = 0:"),
        (lambda x: x**2 + np.where(abs(x - 0.77) < 1e-3, 2.0, 0), "jumps by 2 at x = 0.769:"),
        (lambda x: x**2 + 1e-6 * np.floor(x), "jumps by 1e-06 at x = -2:"),
        (lambda x: np.where(abs(x) < 1, x**2, np.inf), "infinite on one side of x = -1,"),
        (lambda x: -np.log(x), "no number on one side of x = 0,"),
        (lambda x: [x, x], "must give one value per point"),
    ],
)
def test_a_jump_of_a_potential_is_refused_with_its_place(potential, words):
    """Its derivative knows nothing of it: the density came without it, and converged."""
    with pytest.raises(LandscapeError, match=rf"potential\(x\) (is )?{words}"):
        Diffusion(potential=potential, temperature=0.5, domain=(-3, 3))


def test_a_jump_of_a_potential_is_found_on_the_whole_line():
    for c in (-40.3, 0.0, 1.5):
        with pytest.raises(LandscapeError, match=rf"jumps by 3 at x = {c:g}:"):
            Diffusion(potential=lambda x, c=c: x**2 / 2 + np.where(x > c, 3, 0), temperature=0.5)


@pytest.mark.parametrize(
    "potential",
    [
        lambda x: abs(x - 1 / 3),
        lambda x: abs(x - 1 / 3) ** 0.1,
        lambda x: -np.log(abs(x - 1 / 3)),
        lambda x: np.tanh((x - 0.5) / 1e-9),
        lambda x: 1e12 + x**2,
        lambda x: sum(c * x**k for k, c in enumerate(np.poly(np.ones(10))[::-1])),
        lambda x: np.sin(1e7 * x),
        lambda x: np.cosh(200 * x),
    ],
)
def test_a_potential_that_is_steep_or_rough_has_no_jump(potential):
    Diffusion(potential=potential, temperature=1e-3, domain=(-3, 3))


def test_a_steep_rise_stands_for_a_jump():
    """The way out that is told: a square well, 2 deep and 2 wide, between walls at 3."""

    def potential(x):
        return 2 - 2 / (1 + np.exp(-(x + 1) / 1e-3)) + 2 / (1 + np.exp(-(x - 1) / 1e-3))

    state = end_state(Diffusion(potential=potential, temperature=0.5, domain=(-3, 3)))
    assert state.logpdf(0.0) - state.logpdf(2.0) == pytest.approx(4, abs=1e-9)


RANDOM = np.random.default_rng(0)
MIXED = "does not act on each point by itself"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Diffusion(potential=lambda x: x**2 / np.max(abs(x)), temperature=1), MIXED),
        (lambda: Diffusion(potential=lambda x: (x - np.mean(x)) ** 2, temperature=1), MIXED),
        (lambda: Diffusion(lambda x: -x / np.max(abs(x)), 1.0, (-3, 3)), MIXED),
        (lambda: Diffusion(lambda x: x.mean() - x, 1.0, weights=2), MIXED),
        (lambda: Diffusion(lambda x: RANDOM.random(x.shape) - x, 1.0, weights=2), MIXED),
        (lambda: Diffusion(lambda x: -x, lambda x: 1 + x[0] / max(x[0]), weights=2), MIXED),
        (
            lambda: Landscape(
                lambda w: [(w[0] - np.mean(w[0])) ** 2 + w[1] ** 2, w[0] ** 2 + w[1]],
                weights=2,
                learning_rate=0.1,
            ).diffusion(),
            MIXED,
        ),
    ],
)
def test_functions_that_mix_their_points_are_refused(make, words):
    with pytest.raises(LandscapeError, match=words):
        make()


def test_complex_numbers_on_the_way_are_refused_where_derivatives_are_needed():
    """The derivative of |w - 1 + i|^2 left the imaginary part out, and the answer converged."""
    losses = [lambda w: [np.abs(w - 1 + 1j) ** 2, np.abs(w + 1 + 0.5j) ** 2]]
    losses.append(lambda w: [np.abs(np.complex64(1j) - w) ** 2, w**2])
    losses.append(lambda w: [np.abs(w * np.array([[1j], [2j]])) ** 2, w**2])
    for function in losses:
        with pytest.raises(LandscapeError, match="makes complex numbers"):
            end_state(Landscape(function, learning_rate=0.1, domain=(-4, 4)))
    with pytest.raises(LandscapeError, match=r"(?s)`x \+ 1j` makes complex numbers.*drift\(x\)"):
        Diffusion(potential=lambda x: np.abs(x + 1j) ** 2, temperature=0.5)
    with pytest.raises(LandscapeError, match="returned complex numbers"):
        Diffusion(lambda x: -x + 0j, 1.0)
    drift = Diffusion(lambda x: -x * np.abs(np.exp(1j * x)), 1.0)  # in doubles it is plain
    assert end_state(drift).std() == pytest.approx(math.sqrt(0.5), rel=1e-9)


def test_a_function_of_scipy_without_a_derivative_is_named():
    def losses(w):
        return [logsumexp(np.stack([w, -w]), axis=0), (w - 1) ** 2]

    with pytest.raises(LandscapeError, match=r"logsumexp of SciPy may have no derivative.*NumPy"):
        Landscape(losses, learning_rate=0.1, domain=(-4, 4)).diffusion()


def test_losses_that_a_framework_makes_are_told_what_to_give_instead():
    jnp = pytest.importorskip("jax.numpy")
    with pytest.raises(LandscapeError) as told:
        Landscape(lambda w: [jnp.exp(-w), (w - 1) ** 2], learning_rate=0.1)
    assert "test_inputs.py, line" in str(told.value)  # not one of JAX's own
    assert "JAX knows derivatives of its own arrays alone. Give gradients(w)" in str(told.value)


def test_in_the_plane_a_noise_that_is_had_on_the_line_alone_names_its_way_out():
    """A matrix was a ValueError."""
    sigma = np.array([[1, 0.3], [0, 0.6]])
    with pytest.raises(LandscapeError, match=r"variance = sigma @ sigma\.T"):
        Diffusion(lambda x: -x, sigma=sigma, weights=2)
    with pytest.raises(LandscapeError, match=r"breakpoints = .* one weight only"):
        Diffusion(lambda x: -x, 1.0, breakpoints=np.array([1, 2]), weights=2)
    with pytest.raises(LandscapeError, match=r"potential = .* and variance = 2 \* temperature"):
        Diffusion(potential=lambda x: x[0] ** 2, temperature=0.2, weights=2)
    with pytest.raises(LandscapeError, match=r"there is no variance\. Give drift and variance"):
        Diffusion(lambda x: -x, weights=2)


@pytest.mark.parametrize("rows", [((1, 0.5), (0.5,)), ((1, 0), 1)])
def test_in_the_plane_a_ragged_matrix_is_not_filled_up(rows):
    with pytest.raises(LandscapeError, match=r"variance must be a function of x, .* 2 rows of 2"):
        Diffusion(lambda x: -x, rows, weights=2)
    with pytest.raises(LandscapeError, match=r"returned rows of shapes \(2,\) and "):
        Diffusion(lambda x: -x, lambda x: rows, weights=2)


def test_in_the_plane_an_axis_may_be_a_float():
    state = end_state(Diffusion(lambda x: (-x[0], -2 * x[1]), 1.0, weights=2))
    assert state.marginal(1.0).mean() == state.marginal(1).mean()


@pytest.mark.parametrize("steps", [1.5, -1, "10", True])
def test_the_length_of_a_run_is_a_whole_number(steps):
    """1.5 was taken, and raised when the answer was printed."""
    slow = Landscape(lambda w: ((w - 1) ** 2, (w + 1) ** 2), learning_rate=0.1, domain=(-2, 2))
    with pytest.raises(LandscapeError, match=r"steps = .* must be a whole number"):
        analyze(slow, steps=steps)


def test_a_chain_is_asked_for_where_there_is_one():
    """It had no effect on a drift and a variance."""
    with pytest.raises(LandscapeError, match=r"chain = True is of SGD"):
        analyze(WELLS, chain=True)
    with pytest.raises(LandscapeError, match=r"chain = 'yes' must be"):
        analyze(WELLS, chain="yes")
    assert analyze(WELLS, chain=False).basins


@pytest.mark.parametrize("unit", ["m8[s]", "M8[D]", complex])
def test_dates_durations_and_complex_numbers_are_no_numbers(unit):
    """NumPy takes them for numbers in a unit of its own: seconds of pandas were millions."""
    given = np.array([1, 2]).astype(unit)
    for asked, words in (
        (lambda: evolve(WELLS, 0.0, times=given), "times = .* must be finite numbers"),
        (lambda: end_state(WELLS).cdf(given), "no array of numbers"),
        (lambda: end_state(WELLS).cdf(given[0]), "is no number"),
        (lambda: first_passage(WELLS, given, 1), "is no point of the domain"),
    ):
        with pytest.raises(LandscapeError, match=words):
            asked()


def test_basins_of_a_process_are_told_how_to_be_had():
    with pytest.raises(LandscapeError, match=r"basins_of\(end_state\(process\)\)"):
        stationary.basins_of(WELLS)


SGD = Landscape(lambda w: ((w - 1) ** 2, (w + 1) ** 2), learning_rate=0.1, domain=(-3, 3))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda: first_passage(WELLS, 0, [[1], [2]]), r"target = \[1\] is no point of the domain"),
        (lambda: first_passage(WELLS, None, 1), "start = None is no point"),
        (lambda: evolve(WELLS, 0.0, times=[1]).at("x"), "'x' is no number"),
        (lambda: evolve(SGD, 0.0, times=[1]).walkers.probability("a", 1), "is no number"),
        (lambda: end_state(WELLS).plot(3), "3 is no path of a file. Give a string"),
        (lambda: end_state(WELLS).save(None), "None is no path of a file"),
        (lambda: end_state(WELLS).expect(3), "3 came where a function is needed"),
        (lambda: stationary.sampled(3, (-1, 1)), "3 came where a function is needed"),
        (lambda: stationary.sampled(lambda w: None, (-1, 1)), r"Return the gradients .* \(N, M\)"),
        (lambda: Landscape(lambda: 3, learning_rate=0.1), "called with one argument, an array"),
        (lambda: Diffusion(lambda x: -well(x) * (lambda y: None)(x), 1), "ends without return"),
        (lambda: stationary.peaks_of(WELLS), r"peaks_of\(end_state\(process\)\)"),
        (
            lambda: stationary.sweep(SGD, sharpness=[1, 2]),
            r'no sharpness .* by its name: parameters={"sharpness": \[1.0, 2.0\]}',
        ),
    ],
)
def test_what_cannot_be_meant_is_told_with_what_is_expected(asked, words):
    with pytest.raises(LandscapeError, match=words):
        asked()


def test_targets_may_be_a_range_or_an_array_of_none():
    assert len(first_passage(WELLS, 0.5, range(2)).targets) == 2
    assert first_passage(WELLS, 0.5, np.array(1.0)).targets == (1.0,)


def test_datapoints_along_the_weights_are_told_where_they_belong():
    centres = np.array([0.0, 1.0, 2.5])
    with pytest.raises(UserFunctionError, match=r"one row for each, as in w - c\[:, None\]"):
        end_state(Landscape(losses=lambda w: (w - centres) ** 2, learning_rate=0.1))


def test_two_weights_are_not_sent_where_they_are_refused():
    """--steps pointed to evolve, and two ends of a domain to "too many values" of w."""
    plane = "examples/two_weights.py"
    with pytest.raises(LandscapeError, match=r"With 2 ask stationary\.check"):
        analyze(plane, steps=1000)
    with pytest.raises(LandscapeError, match="Leave it out"):
        analyze(Diffusion(lambda x: -x, 1.0, ((-4, 4), (-4, 4))), chain=True)
    with pytest.raises(
        LandscapeError, match=r"\(-1\.0, 1\.0\) is not a pair of ends for each of 2"
    ):
        stationary.load(plane, domain=(-1.0, 1.0))
    assert stationary.load(plane, domain=((-4, 3), (-3, 3))).dimensions == 2
