"""Landscapes: moments of the gradients, batches, chunks, and what is refused."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from scipy import special

from stationary import (
    Landscape,
    LandscapeError,
    NotDifferentiableError,
    UserFunctionError,
    analyze,
    end_state,
)
from stationary.errors import Status


def pit(w):
    wide = -np.exp(-((w - 2) ** 2))
    return wide, wide - np.exp(-100 * (w - 1) ** 2)


def quadratics(centres):
    c = np.asarray(centres, dtype=float)
    return lambda w: (w - c[:, None]) ** 2 / 2


def test_the_moments_of_the_pit_are_its_closed_forms():
    """G = 2 (w - 2) e^-(w-2)^2 + 100 (w - 1) e^-100(w-1)^2, S2 = (100 (w - 1) e^...)^2."""
    landscape = Landscape(losses=pit, learning_rate=0.05, domain=(1.1, 4))
    w = np.linspace(-1, 4, 5001)
    g, s2 = landscape.moments(w)
    deviation = 100 * (w - 1) * np.exp(-100 * (w - 1) ** 2)
    np.testing.assert_allclose(
        g, 2 * (w - 2) * np.exp(-((w - 2) ** 2)) + deviation, rtol=1e-13, atol=1e-14
    )
    # The gradients themselves are of size one, so their difference is known to rounding of one.
    np.testing.assert_allclose(s2, deviation**2, rtol=1e-12, atol=1e-15)
    assert (s2 >= 0).all()


@pytest.mark.parametrize(
    ("batch_size", "replacement", "factor"),
    [(1, True, 1.0), (3, True, 1 / 3), (1, False, 1.0), (3, False, (5 - 3) / (3 * 4))],
)
def test_batches_thin_the_noise_as_drawing_theory_says(batch_size, replacement, factor):
    landscape = Landscape(
        losses=quadratics([0, 1, 2, 3, 4]),
        learning_rate=0.1,
        batch_size=batch_size,
        replacement=replacement,
    )
    f, a = landscape.diffusion().coefficients(np.array([0.0, 5.0]))
    np.testing.assert_allclose(f, [0.2, -0.3], rtol=1e-15)
    np.testing.assert_allclose(a, 0.01 * 2 * factor, rtol=1e-14)


def test_quadratic_losses_end_in_a_normal_of_known_width():
    """G = w - c, D = var(c): variance of the end state T var(c) / 2."""
    centres = np.array([-1.0, 0.5, 2.0])
    state = end_state(Landscape(losses=quadratics(centres), learning_rate=0.02))
    assert state.mean() == pytest.approx(0.5, rel=1e-14)
    assert state.var() == pytest.approx(0.01 * centres.var(), rel=1e-13)


def test_gradients_and_losses_give_the_same_end_state(two_wells):
    reference = two_wells()

    def gradients(w):
        return reference.gradient(w)

    given = Landscape(gradients=gradients, learning_rate=0.3, domain=(-4, 3))
    w = np.linspace(-4, 3, 50)
    np.testing.assert_allclose(end_state(given).pdf(w), end_state(reference).pdf(w), rtol=1e-12)


@pytest.mark.parametrize("form", [tuple, list, np.stack])
def test_losses_may_come_as_a_tuple_a_list_or_an_array(form):
    landscape = Landscape(
        losses=lambda w: form([(w - 1) ** 2, (w + 1) ** 2]), learning_rate=0.1, domain=(-3, 3)
    )
    assert landscape.datapoints == 2
    assert end_state(landscape).mean() == pytest.approx(0, abs=1e-14)


def test_gradients_with_a_python_if_work_and_the_result_says_so():
    def gradients(w):
        pull = 2.0 if w > 0 else 0.5
        return [pull * w - 1, pull * w + math.exp(0.0)]

    analysis = analyze(Landscape(gradients=gradients, learning_rate=0.1, domain=(-4, 4)))
    vectorised = Landscape(
        gradients=lambda w: (
            np.where(w > 0, 2.0, 0.5) * w - 1,
            np.where(w > 0, 2.0, 0.5) * w + 1,
        ),
        learning_rate=0.1,
        domain=(-4, 4),
    )
    w = np.linspace(-3, 3, 41)
    np.testing.assert_allclose(
        analysis.end_state.pdf(w), end_state(vectorised).pdf(w), rtol=1e-12, atol=1e-300
    )
    assert any("one number at a time" in note for note in analysis.end_state.notes)
    assert "one number at a time" in analysis.summary().replace("\n  ", " ")


def test_losses_with_a_python_if_are_refused_with_a_way_out():
    def losses(w):
        if w > 0:
            return w**2, (w - 1) ** 2
        return w**4, (w - 1) ** 2

    with pytest.raises(NotDifferentiableError, match=r"(?s)if w > 0.*gradients\(w\)"):
        Landscape(losses=losses, learning_rate=0.1, domain=(-3, 3))


def test_losses_that_leave_numpy_are_refused_by_name():
    with pytest.raises(NotDifferentiableError, match=r"erfcx"):
        Landscape(lambda w: (special.erfcx(w + 9), w), learning_rate=0.1, domain=(-3, 3))
    with pytest.raises(NotDifferentiableError, match=r"math\.cosh"):
        Landscape(losses=lambda w: (math.cosh(w), w), learning_rate=0.1, domain=(-3, 3))


def test_an_exception_in_the_losses_is_shown_as_theirs():
    def losses(w):
        table = {"a": 1}
        return w * table["b"], w

    with pytest.raises(UserFunctionError, match=r"(?s)test_landscape\.py.*KeyError.*table\[") as e:
        Landscape(losses=losses, learning_rate=0.1, domain=(-3, 3))
    assert isinstance(e.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0}, "learning_rate = 0 must be a positive number"),
        ({"learning_rate": -0.1}, "positive number"),
        ({"learning_rate": math.nan}, "positive number"),
        ({"learning_rate": "fast"}, "positive number"),
        ({"learning_rate": None}, "learning_rate is missing"),
        ({"batch_size": 0}, "whole number from 1"),
        ({"batch_size": 1.5}, "whole number from 1"),
        ({"batch_size": 3, "replacement": False}, "larger than the 2 datapoints"),
        ({"batch_size": 2, "replacement": False}, "has no noise"),
        ({"replacement": "no"}, "must be True or False"),
        ({"domain": (2, 1)}, "the domain is empty: 2 is not below 1"),
        ({"domain": (1, 1)}, "the domain is empty"),
        ({"domain": (1, math.nan)}, "has an end that is nan"),
        ({"domain": 3}, "not a pair of numbers"),
        ({"domain": (5, 6)}, "holds no equilibrium: the mean gradient is positive"),
        ({"domain": (-6, -5)}, "holds no equilibrium: the mean gradient is negative"),
        ({"convention": "itto"}, "convention = 'itto' is not known"),
        ({"boundaries": "sticky"}, "'sticky' at the lower end is not supported"),
        ({"breakpoints": "abc"}, "must be a list of finite numbers"),
        ({"losses": lambda w: (w - 1) ** 2}, "there is one datapoint"),
        ({"losses": lambda w: ((w - 1) ** 2, (w + 1) ** 2, w[:2])}, "shape"),
        ({"losses": lambda w: (np.log(w), w)}, "must be finite .* at w = .* datapoint 0 is nan"),
        ({"losses": lambda w: (1j * w, w)}, "real numbers"),
        ({"losses": 3}, "losses must be a function of w"),
    ],
)
def test_a_landscape_that_cannot_be_is_refused_with_its_name_and_a_remedy(changes, message):
    settings = {
        "losses": lambda w: ((w - 1) ** 2, (w + 1) ** 2),
        "learning_rate": 0.1,
        "domain": (-3, 3),
        "name": "mine",
    } | changes
    with pytest.raises(LandscapeError, match=message) as error:
        end_state(Landscape(**settings))
    assert "mine" in str(error.value) or "lambda" in str(error.value)


def test_an_explicit_wall_may_hold_the_mass_without_an_equilibrium():
    state = end_state(
        Landscape(
            losses=quadratics([-1, 1]), learning_rate=0.1, domain=(1, 4), boundaries="reflecting"
        )
    )
    x = np.linspace(1, 1.5, 6)
    np.testing.assert_allclose(
        state.logpdf(x) - state.logpdf(1.0), -(x**2 - 1) / 0.1, rtol=1e-12, atol=1e-13
    )


def test_where_all_gradients_agree_sgd_passes_one_way_only():
    state = end_state(Landscape(losses=pit, learning_rate=0.05, domain=(0.8, 1.3)))
    (gate,) = state.anatomy.points
    assert (gate.position, gate.role) == (1.0, "gate to the right")
    (component,) = state.components
    assert component.interval == (1.0, 1.3)


def test_many_datapoints_stay_within_bounded_memory():
    """20,000 datapoints at 2,000 weights would be 320 MB per array; chunks keep it to a few."""
    generator = np.random.default_rng(1)
    x = generator.normal(size=20_000)
    y = np.where(generator.random(20_000) < 1 / (1 + np.exp(-x)), 1.0, -1.0)
    landscape = Landscape(
        losses=lambda w: np.logaddexp(0, -(x * y)[:, None] * w),
        learning_rate=0.5,
        batch_size=16,
        domain=(-1, 3),
    )
    landscape.moments(np.zeros(1))
    tracemalloc.start()
    g, _ = landscape.moments(np.linspace(-1, 3, 500))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6
    w = np.array([0.7])
    expected = np.mean(-x * y / (1 + np.exp(x * y * 0.7)))
    assert landscape.moments(w)[0][0] == pytest.approx(expected, rel=1e-12)
    assert g.shape == (500,)


def test_hinges_become_breakpoints_and_cost_no_accuracy():
    """l = max(0, 1 - w), max(0, 1 + w), 0.3 w^2: between the corners S2 and G are simple."""
    landscape = Landscape(
        losses=lambda w: (np.maximum(0, 1 - w), np.maximum(0, 1 + w), 0.3 * w**2),
        learning_rate=0.1,
        domain=(-3, 3),
    )
    state = end_state(landscape)
    assert state.error < 1e-12
    edges = state.anatomy.pieces[0].sampling.panels.edges
    assert np.abs(edges - 1).min() < 1e-15
    assert np.abs(edges + 1).min() < 1e-15

    # For |w| < 1: g = (-1, 1, 0.6 w), G = 0.2 w, S2 = 2/3 + 0.08 w^2, and 2 G / (T S2)
    # integrates to log(S2) / (0.4 T), so P ~ S2^(-1 - 1 / (0.4 T)).
    w = np.linspace(-0.99, 0.99, 23)
    s2 = 2 / 3 + 0.08 * w**2
    exact = -(1 + 1 / (0.4 * 0.1)) * np.log(s2 / (2 / 3))
    np.testing.assert_allclose(state.logpdf(w) - state.logpdf(0.0), exact, atol=1e-12)


def test_a_loss_that_jumps_gets_a_note_because_sgd_does_not_feel_it():
    def losses(w, height):
        step = np.where(w > 0.3, height, 0.0)
        return (w - 1) ** 2 + step, (w + 1) ** 2 + step

    def notes(height):
        landscape = Landscape(losses=lambda w: losses(w, height), learning_rate=0.1, domain=(-3, 3))
        return end_state(landscape).notes

    assert notes(0.0) == ()
    (note,) = notes(0.5)
    assert "jumps by 0.5 near w = 0.2" in note or "jumps by 0.5 near w = 0.3" in note


def test_where_waves_are_not_resolved_no_loss_is_said_to_jump():
    def losses(w):
        return np.cos(3 * w) - w, np.cos(3 * w) + w

    found = end_state(Landscape(losses=losses, learning_rate=0.1, domain=(-2e4, 2e4)))
    assert found.status is Status.PANEL_LIMIT
    assert not any("jumps" in note for note in found.notes)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (lambda w: np.zeros((0, len(w))), "returned no datapoints"),
        (lambda w: ((w - 1) ** 2, (w + 1) ** 2, 1 / w), r"must be finite inside the domain"),
    ],
)
def test_nothing_leaks_from_losses_that_are_empty_or_overflow(losses, message):
    with pytest.raises(LandscapeError, match=message):
        end_state(Landscape(losses=losses, learning_rate=0.1, domain=(-3, 3)))


def test_a_number_of_datapoints_that_changes_is_refused():
    calls = []

    def losses(w):
        calls.append(1)
        return [w**2 * (j + 1) for j in range(2 + len(calls) % 2)]

    with pytest.raises(LandscapeError, match="number of datapoints changed"):
        end_state(Landscape(losses=losses, learning_rate=0.1, domain=(-3, 3)))


def test_a_loss_whose_parts_cancel_is_differentiated_exactly_wherever_it_is_flat():
    """log(e^3w + e^-3w) - 3w has the slope 3 tanh(3w) - 3, which falls to -6 e^-60."""

    def losses(w):
        return np.log(np.exp(3 * w) + np.exp(-3 * w)) - 3 * w, w**2 / 2

    def gradients(w):
        return -6 / (1 + np.exp(6 * w)), w

    w = np.linspace(-9, 9, 37)
    given = {"learning_rate": 0.2, "domain": (-10, 10)}
    found, exact = (end_state(Landscape(**{f.__name__: f}, **given)) for f in (losses, gradients))
    np.testing.assert_allclose(found.logpdf(w), exact.logpdf(w), rtol=1e-12, atol=1e-12)
    assert found.mean() == pytest.approx(exact.mean(), abs=1e-13)


@pytest.mark.parametrize("slopes", [(1, -1), (1, -2, 1), (0.1, 0.2, -0.3)])
def test_between_walls_a_mean_gradient_that_is_zero_but_for_rounding_leaves_it_uniform(slopes):
    analysis = analyze(
        Landscape(losses=lambda w: tuple(k * w for k in slopes), learning_rate=0.1, domain=(-1, 1))
    )
    assert analysis.end_state.pdf([-0.9, 0.0, 0.7]) == pytest.approx([0.5] * 3, rel=1e-12)
    assert analysis.basins == ()
    assert "The drift is zero everywhere" in str(analysis)
    with pytest.raises(LandscapeError, match="positive wherever"):
        analyze(Landscape(losses=lambda w: (w, -0.9 * w), learning_rate=0.1, domain=(-1, 1)))


def test_losses_need_no_name():
    def losses(w):
        return (w - 1) ** 2, 2 * (w + 1) ** 2

    first = Landscape(losses, learning_rate=0.1, domain=(-3, 3))
    assert first == Landscape(losses=losses, learning_rate=0.1, domain=(-3, 3))
    box = {"learning_rate": 0.1, "domain": ((-2, 2), (-1, 3))}
    several = Landscape(lambda w: [w[0] ** 2 + w[1] ** 2, (w[0] - w[1]) ** 2], weights=2, **box)
    assert several.datapoints == 2
    for arguments, given in (((losses, 0.1), {}), ((losses,), {"losses": losses})):
        with pytest.raises(LandscapeError, match="takes losses first"):
            Landscape(*arguments, **given)


def test_losses_that_overflow_on_their_way_have_their_slopes_all_the_same():
    """log(1 + exp(-w)) is -w far out on the left, where exp(-w) is no double."""
    landscape = Landscape(
        losses=lambda w: (np.log(1 + np.exp(-w)), np.log(1 + np.exp(2 * w))), learning_rate=0.1
    )
    rows = landscape.gradient(np.array([-1921.0, -800.0, 0.0, 2000.0]))
    assert rows.tolist() == [[-1, -1, -0.5, 0], [0, 0, 1, 2]]


X = np.array([0.3, -0.8, 1.2, -0.1])
SPECIAL = {  # as SciPy has them, and as they are written without it
    "expit": (
        lambda w: [(special.expit(a * w) - 0.3) ** 2 + 0.06 * (w - a) ** 2 for a in X],
        lambda w: [(1 / (1 + np.exp(-a * w)) - 0.3) ** 2 + 0.06 * (w - a) ** 2 for a in X],
    ),
    "log_expit": (
        lambda w: [-special.log_expit(a * w) for a in X],
        lambda w: [np.log(1 + np.exp(-a * w)) for a in X],
    ),
    "xlogy": (
        lambda w: [
            special.xlogy(t - 1, special.expit(-w - a)) - special.xlogy(t, special.expit(w + a))
            for a, t in zip(X, (0.0, 0.3, 1.0, 0.5), strict=True)
        ],
        lambda w: [
            np.log(1 + np.exp(w + a)) - t * (w + a)
            for a, t in zip(X, (0.0, 0.3, 1.0, 0.5), strict=True)
        ],
    ),
    "logit": (
        lambda w: [special.logit(0.1 + 0.8 * special.expit(w)) ** 2 * a**2 + a * w for a in X],
        lambda w: [
            np.log((0.1 + 0.9 * np.exp(w)) / (0.9 + 0.1 * np.exp(w))) ** 2 * a**2 + a * w for a in X
        ],
    ),
    "erf": (
        lambda w: [special.erf(w - a) + 0.1 * w**2 for a in X],
        lambda w: [1 - special.erfc(w - a) + 0.1 * w**2 for a in X],
    ),
    "log_ndtr": (
        lambda w: [-special.log_ndtr(2 * a * w) for a in X],
        lambda w: [-np.log(special.ndtr(2 * a * w)) for a in X],
    ),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_functions_of_scipy_are_differentiated_in_as_many_digits_as_it_takes(name):
    given = {"learning_rate": 0.2, "domain": (-3, 3)}
    w = np.linspace(-2.5, 2.5, 21)
    one, other = (end_state(Landscape(losses, **given)) for losses in SPECIAL[name])
    exact = end_state(Landscape(SPECIAL[name][0], **given), digits=25)
    assert one.status is Status.CONVERGED
    for state in (one, other):
        off = np.abs(state.logpdf(w) - np.array([float(v) for v in exact.logpdf(w)]))
        assert off.max() < 1e-12


def test_slopes_of_the_normal_distribution_are_those_of_its_density():
    given = {"learning_rate": 0.1, "domain": (-9, 3)}
    w = np.array([-8.0, -2.0, 0.3, 2.5])
    density = np.exp(-w * w / 2) / math.sqrt(2 * math.pi)
    losses = [special.erf, special.erfc, special.ndtr, special.log_ndtr]
    slopes = [2 * np.exp(-w * w) / math.sqrt(math.pi)] * 2 + [density, density / special.ndtr(w)]
    slopes[1] = -slopes[1]
    for loss, slope in zip(losses, slopes, strict=True):
        rows = Landscape(lambda w, f=loss: (f(w), w * f(w)), **given).gradient(w)
        np.testing.assert_allclose(rows, [slope, w * slope + loss(w)], rtol=1e-12)


def test_what_scipy_makes_of_arrays_has_a_way_out():
    with pytest.raises(NotDifferentiableError, match=r"logsumexp(.|\n)*Sums of np.exp"):
        end_state(Landscape(lambda w: [special.logsumexp([w, -w], axis=0), w], learning_rate=0.1))


SLOPES = np.random.default_rng(5).normal(size=(40, 1))
TARGETS = 0.7 * SLOPES + 0.3 * np.random.default_rng(6).normal(size=(40, 1))


def residuals(w):
    return w * SLOPES - TARGETS


def huber(u):
    return np.where(np.abs(u) < 0.1, u**2, 0.2 * np.abs(u) - 0.01)


def by_the_first_that_holds(w):
    u = residuals(w)
    return u**2 * np.select([u < -0.1, u < 0.1], [1.0, 0.5], 2.0)


def by_the_last_that_holds(w):
    u = residuals(w)
    return np.piecewise(u, [u < 0.1, u < -0.1], [lambda u: u**2 / 2, np.square, lambda u: 2 * u**2])


def huber_by_mask(u):
    y, far = u**2, np.abs(u) >= 0.1
    y[far] = 0.2 * np.abs(u[far]) - 0.01
    return y


@pytest.mark.parametrize(
    ("losses", "offsets"),
    [
        (lambda w: np.abs(residuals(w)), [0]),
        (lambda w: huber_by_mask(residuals(w)), [-0.1, 0, 0.1]),
        (by_the_first_that_holds, [-0.1, 0.1]),
        (by_the_last_that_holds, [-0.1, 0.1]),
        (
            lambda w: [
                huber_by_mask(w * s - t) for (s,), (t,) in zip(SLOPES, TARGETS, strict=True)
            ],
            [-0.1, 0, 0.1],
        ),
        (lambda w: np.maximum(residuals(w), -0.2 * residuals(w)), [0]),
        (lambda w: huber(residuals(w)), [-0.1, 0, 0.1]),
        (
            lambda w: [
                np.maximum(w * s - t, 0) for (s,), (t,) in zip(SLOPES, TARGETS, strict=True)
            ],
            [0],
        ),
        (lambda w: residuals(w) ** 2, []),
    ],
)
def test_the_corners_of_losses_are_known_before_anything_is_sampled(losses, offsets):
    """Each cost a ladder of panels: 150 absolute values ended at the panel limit."""
    sgd = Landscape(losses, learning_rate=0.1, domain=(-2, 3), batch_size=2)
    exact = np.sort(np.ravel([(TARGETS + o) / SLOPES for o in offsets]))
    exact = exact[(exact > -2) & (exact < 3)]
    np.testing.assert_allclose(sgd.corners, exact, rtol=1e-14, atol=1e-15)
    state = end_state(sgd)
    assert state.status is Status.CONVERGED
    assert state.error < 1e-12
    assert state.anatomy.evaluations < 50 * (len(exact) + 64)


@pytest.mark.parametrize("width", [3e-3, 1e-4, 1e-8])
def test_two_corners_are_found_between_any_two_points_of_the_scan(width):
    """Of |w - c| < h within one gap nothing was seen, and the mean was 0.4666667 for 0.4666837."""

    def losses(w):
        return (w - 1) ** 2 * (1 + 2 * (np.abs(w - 0.1235) < width)), (w + 0.6) ** 2 / 2

    sgd = Landscape(losses, learning_rate=0.1, domain=(-3, 3))
    assert sgd.corners == pytest.approx((0.1235 - width, 0.1235 + width), rel=1e-15)
    wide = Landscape(losses, learning_rate=0.1, domain=(0.1, 0.15))
    assert wide.corners == pytest.approx(sgd.corners, rel=1e-15)


@pytest.mark.parametrize("width", [1e-3, 1e-4, 1e-6])
@pytest.mark.parametrize("place", [0.7, 0.7123])
def test_a_minimum_is_found_however_narrow_it_is(width, place):
    def losses(w):
        pit = 3 * width * np.exp(-(((w - place) / width) ** 2))
        return (
            (w + 1) ** 2 / 4 - 1.2 * pit + 0.2 * w,
            (w + 1.3) ** 2 / 3 - pit - 0.1 * w,
            (w + 0.8) ** 2 / 5 - 0.7 * pit - 0.2 * w,
        )

    found = analyze(Landscape(losses, learning_rate=2e-5, domain=(-3, 3)))
    _, narrow = found.basins
    assert 0.1 < (place - narrow.position) / width < 0.3


@pytest.mark.parametrize("width", [1e-2, 1e-4, 1e-7])
def test_a_minibatch_that_is_hardly_clipped_has_both_its_corners(width):
    sgd = Landscape(
        gradients=lambda w: (0.5 + width - np.abs(w - 0.1235), w - 0.2),
        learning_rate=0.1,
        clip=0.5,
        domain=(-3, 3),
    )
    exact = [0.1235 - width, 0.1235 + width, 0.1235 - 1 - width, 0.1235 + 1 + width, -0.3, 0.7]
    assert sgd.corners == pytest.approx(sorted(exact), abs=1e-15)


def test_a_narrow_datapoint_is_found_among_many_steep_ones():
    generator = np.random.default_rng(0)
    slopes = np.append(generator.uniform(30, 60, 1500), 1e7)[:, None]
    centres = np.append(generator.uniform(-2, 2, 1500), 0.1235)[:, None]

    def losses(w):
        z = slopes * (w - centres)
        return (w - centres) ** 2 / 2 + np.logaddexp(0, z) / slopes

    found = Landscape(losses, learning_rate=0.01, domain=(-3, 3)).diffusion().breakpoints
    assert found == pytest.approx((0.1235 - 4e-6, 0.1235, 0.1235 + 4e-6), abs=1e-12)


@pytest.mark.parametrize("losses", [by_the_first_that_holds, by_the_last_that_holds])
def test_of_conditions_that_overlap_one_decides(losses):
    sgd = Landscape(losses, learning_rate=0.1, domain=(-2, 3))
    w = np.linspace(-2, 3, 50)
    u, flat = residuals(w), np.zeros((40, 50))
    factor = np.where(u < -0.1, 1.0, np.where(u < 0.1, 0.5, 2.0))
    np.testing.assert_allclose(sgd.loss_gradient(w), 2 * u * SLOPES * factor + flat, rtol=1e-13)


def test_corners_that_are_named_and_those_beside_them_are_one():
    named = Landscape(
        lambda w: np.abs(w - [[0.3], [0.3 + 1e-16], [0.1 * 3], [0.9]]) / 3,
        learning_rate=0.1,
        domain=(-1, 2),
        breakpoints=[0.3],
    )
    assert named.corners == (0.9,)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("seed", [5, 38])
def test_panels_that_ring_beside_jumps_of_the_noise_are_no_equilibria(seed, side):
    """In doubles only, so that corners are not known: an "unstable" one and a basin at the wall."""
    centres = np.random.default_rng(seed).normal(size=(8, 1))

    def slopes(w):
        w = side * np.asarray(w, dtype=float)
        return side * (np.where(w > centres, 0.3, -0.7) + 0.2 * (w - 0.2 * centres))

    found = analyze(Landscape(gradients=slopes, learning_rate=0.3, domain=(-4, 4)))
    assert [e.stable for e in found.equilibria] == [True]
    assert len(found.basins) == 1


def test_hypot_of_one_length_has_the_corner_of_its_size():
    """As a root of a square it had none, and took a minute to be refused."""
    shifts = (0.0, 0.52, 1.1)
    hypot, size = (
        Landscape(
            losses=lambda w, of=of: [of(w - c) for c in shifts],
            learning_rate=0.1,
            domain=(-2, 3),
        )
        for of in (lambda x: np.hypot(0, np.hypot(x, 0.0)), np.abs)
    )
    x = np.array([-0.5, 0.0, 0.2, 0.52, 0.9, 1.7])
    assert np.array_equal(hypot.gradient(x), size.gradient(x))
