"""Where the variance vanishes: found, told from tiny, classified from each side, and weighed."""

from __future__ import annotations

import math
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
from scipy import stats

from stationary import (
    Diffusion,
    Landscape,
    LandscapeError,
    Status,
    analyze,
    end_state,
    first_passage,
)
from stationary.line.blurred import blurred_dips
from stationary.line.closer import Look
from stationary.line.feller import Feller
from stationary.line.partition import Partition, partition
from stationary.line.vanishing import dips_of_variance, zeros_of_variance

INF = math.inf


def process(drift, variance, domain=(-3, 3), **more):
    return Diffusion(drift=drift, variance=variance, domain=domain, **more)


def solve(drift, variance, domain=(-3, 3), initial=None, **more):
    return end_state(process(drift, variance, domain, **more), initial)


# -- finding zeros --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variance", "zeros"),
    [
        (lambda x: x**2, [0]),
        (lambda x: (x - 0.3) ** 2, [0.3]),
        (lambda x: np.abs(x - 0.3), [0.3]),
        (lambda x: np.abs(x - 0.3) ** 0.3, [0.3]),
        (lambda x: np.abs(x - 1) ** 7 * (x + 2) ** 2, [-2, 1]),
        (lambda x: np.exp(-1 / x**2), [0]),
        (lambda x: np.exp(-1 / np.abs(x - 0.5)), [0.5]),
        (lambda x: np.cos(x) ** 2, [-math.pi / 2, math.pi / 2]),
        (lambda x: np.where(x < 0.7, (x - 0.7) ** 2, np.sqrt(np.abs(x - 0.7))), [0.7]),
        (lambda x: 1 + x**2, []),
        (lambda x: (x - 0.3) ** 2 + 1e-60, []),
        (lambda x: (x - 0.3) ** 2 + 1e-200, []),
        (lambda x: (x - 0.3) ** 2 + 1e-300, []),
        (lambda x: (x - 0.3) ** 2 + np.exp(-1200 + 0 * x), []),
        (lambda x: (np.exp(x - 0.3) - 1 - (x - 0.3)) ** 2, [0.3]),  # blurred by 1e-8 in doubles
        (lambda x: np.exp(-800 + x), []),  # not zero, though doubles say so
    ],
)
def test_zeros_are_found_and_told_from_tiny_values(variance, zeros):
    found = zeros_of_variance(process(lambda x: 1 - x, variance))
    assert [float(z.lower) for z in found] == zeros
    assert all(z.decided and not z.is_stretch for z in found)


def test_zeros_without_end_on_an_infinite_domain_are_told_with_a_way_out():
    periodic = Landscape(losses=lambda w: (np.cos(w), np.cos(w + 1)), learning_rate=0.1)
    with pytest.raises(LandscapeError, match=r"vanishes again and again .* domain = \(-10, 10\)"):
        end_state(periodic)
    # Noise that dips without end, but never vanishes, is none of these.
    wavy = Diffusion(lambda x: -x, lambda x: 1 + np.sin(x) / 2, (-INF, INF))
    assert end_state(wavy).cdf(0.0) == pytest.approx(0.542766506729044, abs=1e-12)  # quadrature


def test_a_floor_where_no_double_is_makes_dips_and_no_zeros():
    zeros, dips = dips_of_variance(process(0.0, lambda x: (x * x - 2) ** 2 + 1e-60))
    assert zeros == ()
    assert [d.position for d in dips] == pytest.approx([-math.sqrt(2), math.sqrt(2)], abs=1e-15)


def test_a_zero_that_no_double_is_keeps_its_digits():
    _, zero = zeros_of_variance(process(0.0, lambda x: (x * x - 2) ** 2))
    with mpmath.workdps(60):
        assert abs(mpmath.mpf(zero.lower) - mpmath.sqrt(2)) < mpmath.mpf("1e-55")


HALF = math.pi / 2


@pytest.mark.parametrize(
    ("variance", "zeros"),
    [
        (lambda x: 1 - np.sin(x) ** 2, [-HALF, HALF]),
        (lambda x: 1 - np.sin(x), [HALF]),
        (lambda x: 1 + np.cos(3 * x), [-math.pi / 3, math.pi / 3]),
        (lambda x: np.cos(x - 0.7) - 1 + (x - 0.7) ** 2 / 2, [0.7]),  # of the fourth order
    ],
)
@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e8])
def test_zeros_that_parts_of_the_variance_hide_by_cancelling(variance, zeros, unit):
    """Half of the digits are gone next to them: in 300 digits they were "not zero"."""
    noise = process(
        lambda x: unit - x, lambda x: variance(x / unit), domain=(-2.5 * unit, 2.5 * unit)
    )
    found = zeros_of_variance(noise)
    assert [float(z.lower) / unit for z in found] == pytest.approx(zeros, rel=4e-16)
    assert all(z.decided and not z.is_stretch for z in found)


def test_a_trap_of_a_variance_whose_parts_cancel():
    state = solve(np.cos, lambda x: 1 - np.sin(x), domain=(-1, 4))
    ((atom, mass),) = ((float(a.position), a.weight) for a in state.atoms)
    assert (atom, mass) == (HALF, 1)


def test_ends_that_a_variance_whose_parts_cancel_vanishes_at():
    state = solve(lambda x: -np.sin(x), lambda x: 1 - np.sin(x) ** 2, domain=(-HALF, HALF))
    same = solve(lambda x: -np.sin(x), lambda x: np.cos(x) ** 2, domain=(-HALF, HALF))
    assert state.std() == pytest.approx(same.std(), rel=1e-13)
    assert [end.feller for end in state.anatomy.ends] == [Feller.ENTRANCE] * 2


@pytest.mark.parametrize("end", [0.0, -0.001, 0.1])
@pytest.mark.parametrize(
    ("variance", "same"),
    [
        (lambda r: 1 - np.exp(-r), lambda r: -np.expm1(-r)),
        (lambda r: 1e3 - 1e3 * np.exp(-r / 1e3), lambda r: -1e3 * np.expm1(-r / 1e3)),
        (lambda r: 1 - 1 / (1 + r), lambda r: r / (1 + r)),
        (lambda r: 1 - np.cos(r) + r**2, lambda r: 2 * np.sin(r / 2) ** 2 + r**2),
    ],
)
def test_a_variance_that_cancels_next_to_an_end_is_known_there(variance, same, end):
    """1 - exp(-r) is lost in doubles at 1e-16, next to 0 as next to other ends."""
    ways = [
        solve(lambda x: 0.5 - (x - end), lambda x, a=a: a(x - end), domain=(end, math.inf))
        for a in (variance, same)
    ]
    assert [way.status for way in ways] == [Status.CONVERGED] * 2
    one, other = (way.modes[-1] for way in ways)
    assert ways[0].mean() == pytest.approx(ways[1].mean(), abs=1e-13)
    assert abs(one.log_density - other.log_density) <= one.log_density_error < 1e-11


@pytest.mark.parametrize("floor", [1e-6, 1e-10])
@pytest.mark.parametrize("place", [0.0, 4.0])
@pytest.mark.parametrize(
    ("cancels", "whole"),
    [
        (lambda r: 1 - np.cos(r), lambda r: 2 * np.sin(r / 2) ** 2),
        (lambda r: np.sqrt(1 + r * r) - 1, lambda r: r * r / (1 + np.sqrt(1 + r * r))),
    ],
)
def test_a_variance_that_cancels_down_to_a_floor_is_known_there(cancels, whole, floor, place):
    """Panels followed its rounding, or ran out: what lies beyond was left out, as 10^-inf."""
    one, other = (
        solve(
            lambda x: 0.05 - 3 * (x - place),
            lambda x, a=a: a(x - place) / 50 + floor,
            domain=(place - 0.9, place + 1.7),
        )
        for a in (cancels, whole)
    )
    assert one.status is Status.CONVERGED
    assert one.error < 1e-12
    assert one.std() == pytest.approx(other.std(), rel=1e-12)
    assert one.logcdf(place - 0.5) == pytest.approx(other.logcdf(place - 0.5), rel=1e-14)


@pytest.mark.parametrize(
    ("unit", "domain"),
    [
        (1e3, (-math.inf, math.inf)),
        (1e6, (-math.inf, math.inf)),
        (1e-9, (-math.inf, 3)),
        (1e-3, (-1.5, math.inf)),
    ],
)
def test_such_a_variance_is_known_in_all_units_however_far_its_domain_goes(domain, unit):
    """Looked for in units of 1 alone it was followed as rounding, or until panels ran out."""
    one, other = (
        solve(
            lambda x: 0.05 * unit - 3 * x,
            lambda x, a=a: unit**2 * (a(x / unit) / 5 + 1e-10),
            domain=tuple(unit * end for end in domain),
        )
        for a in (lambda r: np.sqrt(1 + r * r) - 1, lambda r: r * r / (1 + np.sqrt(1 + r * r)))
    )
    assert one.status is Status.CONVERGED
    assert one.error < 1e-12
    assert one.logcdf(-0.5 * unit) == pytest.approx(other.logcdf(-0.5 * unit), rel=1e-14)


@pytest.mark.parametrize("drift", [lambda x: 0.05 - 0.05 * x, lambda x: 0.05 - 3 * x])
def test_all_of_many_dips_in_which_a_variance_cancels_are_known(drift):
    """Beyond the lowest eight of 19 the logarithm of what is left was -inf."""
    one, other = (
        solve(drift, lambda x, a=a: a(20 * x) / 50 + 1e-8, domain=(-3, 3))
        for a in (lambda r: 1 - np.cos(r), lambda r: 2 * np.sin(r / 2) ** 2)
    )
    assert one.status is Status.CONVERGED
    assert one.logcdf(-0.5) == pytest.approx(other.logcdf(-0.5), rel=1e-13)
    assert one.error < 2 * other.error


def test_what_is_rounding_in_many_digits_is_no_dip_in_which_doubles_lose_the_variance():
    """All of a stretch on which nothing is left would be worked out in many digits."""

    def variance(x):
        return (np.sin(7 * x) ** 2 + np.cos(7 * x) ** 2 - 1) ** 2 + np.maximum(abs(x) - 1, 0) ** 2

    found = blurred_dips(process(lambda x: -x, variance, domain=(-3, 3)))
    assert sum(reach for _, reach in found) < 0.1


def test_a_variance_that_saturates_is_no_farther_off_than_it_says():
    """tanh is rounded in one direction all along, which no scatter shows: by 12 times."""
    for f in (1.0, 3.0):
        one, other = (
            first_passage(process(lambda x, f=f: f * x, a, domain=(-0.9, 1.7)), 0.8, -0.7)
            for a in (lambda x: 1 - np.tanh(3 * x) ** 2, lambda x: 1 / np.cosh(3 * x) ** 2)
        )
        assert abs(one.mean.log - other.mean.log) <= one.mean.error + other.mean.error


@pytest.mark.parametrize("end", [-7.3, 0.0, 1.0])
def test_the_height_of_a_mode_at_an_end_is_its_limit(end):
    """The last panel ends 1e-8 before it, where log P is less by as much."""
    state = solve(lambda x: 0.5 - (x - end), lambda x: -np.expm1(end - x), (end, math.inf))
    (mode,) = state.modes
    assert (float(mode.position), mode.error) == (end, 0)
    assert abs(mode.log_density - 0.4503826018267082) <= mode.log_density_error < 1e-11


def test_modes_at_ends_where_rounded_zeros_leave_no_bound():
    """Ends are numbers of many digits there, as cos(pi / 2) is 6e-17."""
    state = solve(lambda x: 0.2 - x, lambda x: 0.3 * np.cos(np.pi * (x - 0.5)), domain=(0, 1))
    assert [(float(m.position), m.log_density) for m in state.modes] == [(0.0, math.inf)]


def test_a_variance_that_only_rounding_makes_negative():
    """-1.4e-17 at -1.7e-4, where 24 digits say 3.8e-17; without a current the mean drift is 0."""
    state = solve(lambda x: 0.35 - x, lambda x: np.cos(x) - 1 + x * x / 2, domain=(-1, 4))
    assert abs(state.mean() - 0.35) <= state.mean_error + 1e-15
    with pytest.raises(LandscapeError, match="must not be negative"):
        solve(0.0, lambda x: x * x - 1e-12)


@pytest.mark.parametrize("at", [0.0, 0.3, -1000.25])
def test_gates_of_noise_that_vanishes_beyond_all_powers(at):
    """Scans for where anything is left followed what goes into such a gate for ever."""
    state = solve(
        lambda x: at + 0.5 - x, lambda x: np.exp(-1 / (x - at) ** 2), domain=(at - 1, at + 1)
    )
    exact = 0.49078469451545896863  # quadrature in 20 digits
    assert state.mean() - at == pytest.approx(exact, abs=1e-14 * (1 + abs(at)))
    assert state.mean_error < 1e-16


def test_a_double_is_in_the_piece_that_begins_at_what_it_rounds():
    """Clipped datapoints, known in doubles beside a piece in 32 digits, ended in a traceback."""
    with mpmath.workdps(32):
        end = mpmath.sqrt(3)
        assert float(end) < end
    meet = [SimpleNamespace(sampling=SimpleNamespace(interval=i)) for i in ((0, end), (end, 3))]
    whole = Partition(process(0.0, 1.0), tuple(meet), (), ())
    assert whole.piece_at(float(end)) is whole.piece_at(end) is meet[1]
    assert whole.piece_at(np.nextafter(float(end), 0)) is meet[0]


def test_a_stretch_without_noise_has_exact_ends():
    def variance(x):
        return np.maximum(x - 0.25, 0) ** 2 + np.maximum(-1 - x, 0)

    (zero,) = zeros_of_variance(process(0.0, variance))
    assert (zero.lower, zero.upper, zero.decided) == (-1.0, 0.25, True)


@pytest.mark.parametrize("half", [0.5, 0.1, 2e-3, 1e-3, 3e-4, 1e-5, 1e-8, 1e-12])
@pytest.mark.parametrize("at", [0.3, -1 / 3])
@pytest.mark.parametrize("power", [1, 2, 0.5])
def test_a_stretch_of_any_width_is_one_stretch(half, at, power):
    def variance(x):
        return np.maximum(np.abs(x - at) - half, 0) ** power

    (zero,) = zeros_of_variance(process(lambda x: 1 - x, variance))
    assert zero.decided
    near = 4 * np.spacing(abs(at) + half)
    assert abs(zero.lower - (at - half)) <= near
    assert abs(zero.upper - (at + half)) <= near


@pytest.mark.parametrize("named", [(-1, 0, 4, 5), (0, 4), (-1, 1, 3, 5), ()])
def test_two_stretches_without_noise_are_told_apart_whatever_breakpoints_are_named(named):
    """Between points that were named nothing was looked at, and the second began at its last."""
    half = 1e-6

    def variance(x):
        x = np.flip(np.flip(x))  # so that the corners are not known
        first, second = np.abs(x - 0.3) - half, np.abs(x - (0.3 + 4 * half)) - half
        return np.maximum(first, 0) * np.maximum(second, 0)

    two = process(0, variance, breakpoints=[0.3 + k * half for k in named])
    assert len(two.breakpoints) == len(named)
    edges = [(float(z.lower), float(z.upper)) for z in zeros_of_variance(two)]
    expected = [(0.3 - half, 0.3 + half), (0.3 + 3 * half, 0.3 + 5 * half)]
    np.testing.assert_allclose(edges, expected, rtol=4e-16)


@pytest.mark.parametrize("half", [0.1, 1e-3, 1e-6])
def test_what_lies_next_to_a_stretch_is_told_apart_from_it(half):
    def stretch(x, at):
        return np.maximum(np.abs(x - at) - half, 0)

    two = process(0, lambda x: stretch(x, 0.3) * stretch(x, 0.3 + 4 * half))
    edges = [(float(z.lower), float(z.upper)) for z in zeros_of_variance(two)]
    expected = [(0.3 - half, 0.3 + half), (0.3 + 3 * half, 0.3 + 5 * half)]
    np.testing.assert_allclose(edges, expected, rtol=4e-16)
    point = process(0, lambda x: stretch(x, 0.3) * (x - 0.3 - 2 * half) ** 2)
    first, second = zeros_of_variance(point)
    assert (first.is_stretch, second.is_stretch) == (True, False)
    assert abs(second.lower - (0.3 + 2 * half)) <= 2e-16


def test_a_stretch_whose_edges_are_flat_is_found_to_the_double():
    """exp(-1 / r) is nothing in doubles already where r = 1 / 745."""

    def variance(x):
        r = np.maximum(np.abs(x - 0.25) - 0.125, 0)
        return np.where(r > 0, np.exp(-1 / np.where(r > 0, r, 1)), 0)

    (zero,) = zeros_of_variance(process(0, variance))
    assert (zero.lower, zero.upper) == (0.125, 0.375)


def test_a_cusp_too_narrow_for_doubles_is_solved_in_as_many_digits_as_it_takes():
    """a = 1e-20 + |x - 0.3|^(1/2), f = 0: P = 1 / a, whose mass is 2 sqrt(r) less a logarithm."""
    state = solve(0, lambda x: 1e-20 + np.abs(x - 0.3) ** 0.5, (-1, 1))
    assert state.status.name == "CONVERGED"

    def mass(r):  # int_0^r dr / (e + r^(1/2)) = 2 (r^(1/2) - e log(1 + r^(1/2) / e))
        s = mpmath.sqrt(r)
        return 2 * (s - mpmath.mpf("1e-20") * mpmath.log(1 + s / mpmath.mpf("1e-20")))

    whole = mass(mpmath.mpf("1.3")) + mass(mpmath.mpf("0.7"))
    x = np.array([-0.9, 0.2999, 0.3, 0.30001, 0.8])
    side = [mass(abs(mpmath.mpf(v) - mpmath.mpf(0.3))) for v in x]
    exact = [
        (mass(mpmath.mpf("1.3")) + (m if v > 0.3 else -m)) / whole
        for v, m in zip(x, side, strict=True)
    ]
    np.testing.assert_allclose(state.cdf(x), np.array(exact, dtype=float), rtol=1e-14)
    a = 1e-20 + np.abs(x - 0.3) ** 0.5
    np.testing.assert_allclose(state.pdf(x), 1 / a / float(whole), rtol=1e-12)


def test_gradients_that_cancel_in_doubles_are_not_taken_for_zero():
    """Near 2 the two gradients differ by 1e-42: exactly nothing in doubles."""

    def losses(w):
        wide = -np.exp(-((w - 2) ** 2))
        return wide, wide - np.exp(-100 * (w - 1) ** 2)

    landscape = Landscape(losses=losses, learning_rate=0.05, domain=(-1, 4))
    (zero,) = zeros_of_variance(landscape.diffusion())
    assert (zero.lower, zero.upper, zero.decided) == (1.0, 1.0, True)


def test_the_rounding_of_many_datapoints_is_no_zero():
    """Next to the ends points lie so close that their variances differ by rounding alone."""
    z = np.random.default_rng(0).normal(1, 1, 3000)

    def losses(w):
        return np.log1p(np.exp(-z[:, None] * w))

    landscape = Landscape(losses=losses, learning_rate=0.1, domain=(-3, 6))
    assert zeros_of_variance(landscape.diffusion()) == ()


def test_all_gradients_must_agree():
    def losses(w):  # in pairs they agree at 1, 2.5 and elsewhere, never all three
        return (w - 1) ** 2, (w + 1) ** 2, 2 * (w - 0.5) ** 2

    landscape = Landscape(losses=losses, learning_rate=0.05, domain=(-1, 4))
    assert zeros_of_variance(landscape.diffusion()) == ()


def test_a_breakpoint_shows_what_the_scan_cannot_see():
    c = 0.3217

    def variance(x):  # away from 1 only within 1e-6 of c
        return 1 - np.exp(-(((x - c) / 1e-6) ** 2))

    state = solve(lambda x: 1 - x, variance, breakpoints=[c])
    assert [p.position for p in state.anatomy.points] == [c]


def test_functions_in_doubles_only_are_said_to_leave_it_open():
    state = solve(lambda x: 1 - math.tanh(x), lambda x: (float(x) - 0.25) ** 2)
    (point,) = state.anatomy.points
    assert point.position == 0.25
    assert not point.decided
    assert "too small for doubles to tell" in point.describe("x")


# -- classification ------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1.0, 1.5, 2.0, 3.0, 6.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_drift_across_a_zero_makes_a_one_way_gate(order, sign):
    state = solve(lambda x: sign * (2 - 0 * x) - x, lambda x: np.abs(x) ** order)
    (gate,) = state.anatomy.points
    assert gate.role == ("gate to the right" if sign > 0 else "gate to the left")
    (component,) = state.components
    assert component.interval == ((0, 3) if sign > 0 else (-3, 0))
    assert state.kind == "density"


@pytest.mark.parametrize(
    ("slope", "attracts"), [(-5, True), (-0.1, True), (0.4, True), (0.6, False), (3, False)]
)
def test_the_sign_of_c_less_half_a_decides_at_a_rest_point(slope, attracts):
    """f = c x and a = x^2: log|x| drifts at c - 1/2, so noise can turn a maximum into the end."""
    state = solve(lambda x: slope * x - x**3 / 4, lambda x: x**2, initial=0.7)
    (point,) = state.anatomy.points
    assert point.role == ("trap" if attracts else "repelling rest point")
    assert state.kind == ("atoms" if attracts else "density")
    if attracts:
        assert [(a.position, a.weight) for a in state.atoms] == [(0, 1)]
    assert state.anatomy.equilibria[len(state.anatomy.equilibria) // 2].slope == slope


def test_at_the_critical_noise_probability_spreads_towards_the_point():
    """f = x and a = 2 x^2: log|x| has no drift, so it is recurrent, and P ~ 1 / |x|."""
    state = solve(lambda x: x - x**3, lambda x: 2 * x**2)
    assert state.kind == "none"
    assert "spreads" in state.reason
    (point,) = state.anatomy.points
    assert point.role == "neutral point"
    assert "neither attracts nor repels" in point.describe("x")


@pytest.mark.parametrize(("at", "push"), [(0.0, 0.1), (0.2, 1.5), (-1e3, 40.0)])
@pytest.mark.parametrize("order", [1.0, 1.5, 2.0, 3.0])
def test_a_drift_that_points_to_a_zero_from_both_sides_holds_what_comes(at, order, push):
    """Whatever the drift is at the zero itself, which no path feels."""
    for value in (0, push, -push):

        def drift(x, value=value):
            return np.where(x == at, value, -push * np.sign(x - at))

        state = solve(
            drift, lambda x: 2 * np.abs(x - at) ** order, (at - 1, at + 2), initial=at + 0.7
        )
        assert [(p.position, p.role) for p in state.anatomy.points] == [(at, "trap")]
        assert [(a.position, a.weight) for a in state.atoms] == [(at, 1)]
        assert "points here from both sides" in state.anatomy.points[0].describe("x")


def test_a_drift_that_points_to_a_zero_of_integrable_noise_does_not_hold():
    """f = -sign(x), a = |x|^(1/2) on (-1, 1): P ~ exp(-4 r^(1/2)) r^(-1/2), alike on both sides."""
    state = solve(lambda x: -np.sign(x), lambda x: np.sqrt(np.abs(x)), (-1, 1))
    assert (state.kind, state.anatomy.points[0].role) == ("density", "removable")
    r = np.array([1e-6, 0.01, 0.3, 0.9])
    exact = (1 - np.exp(-4 * np.sqrt(r))) / (1 - np.exp(-4.0)) / 2
    assert np.abs(state.cdf(-r) - (0.5 - exact)).max() <= state.error


def test_a_jump_of_the_drift_is_felt_on_its_own_side_only():
    """Drawn to 0 from the left and away from it on the right: through, whatever f(0) is."""
    for value in (-1, 0, 1):

        def drift(x, value=value):
            return np.where(x == 0, value, 1 + (x > 0))

        state = solve(drift, np.square, (-1, 1))
        assert state.anatomy.points[0].role == "gate to the right"
    still = solve(lambda x: np.where(x > 0, 1.0, 0.0), np.abs, (-1, 1))
    assert still.anatomy.points[0].role == "gate to the right"


@pytest.mark.parametrize("steep", [1.0, 0.3])
def test_a_kink_that_all_datapoints_share_is_a_trap(steep):
    """G jumps from -1 to 1 where S2 = 0: the process gets there and stays."""
    kink = Landscape(
        losses=lambda w: (np.abs(w) * steep + w * w / 2, np.abs(w) * steep - w * w / 4),
        learning_rate=0.05,
        domain=(-2, 2),
    )
    analysis = analyze(kink)
    state = analysis.end_state
    assert [(a.position, a.weight) for a in state.atoms] == [(0, 1)]
    assert [(e.position, e.stable) for e in analysis.equilibria if e.position == 0] == [(0, True)]
    assert "a trap: the noise vanishes" in analysis.summary()


def test_the_two_sides_of_a_point_may_differ():
    state = solve(
        lambda x: np.where(x < 0, -x, 2 * x - x**3), lambda x: np.where(x < 0, -x, x**2), initial=-1
    )
    (point,) = state.anatomy.points
    assert point.role == "trap from the left"
    assert point.left.end.feller is Feller.EXIT
    assert point.right.end.feller is Feller.NATURAL
    assert [(a.position, a.weight) for a in state.atoms if a.weight] == [(0, 1)]


def test_an_essential_singularity_is_classified_beyond_all_powers():
    point = process(0.0, lambda x: np.exp(-1 / np.abs(x)))
    (zero,) = zeros_of_variance(point)
    assert zero.lower == 0


def test_a_removable_point_hinders_nothing():
    """f = 1 - x and a = |x - 1/2|^(1/2): P and the weights by quadrature with a split."""
    state = solve(lambda x: 1 - x, lambda x: np.sqrt(np.abs(x - 0.5)), (-2, 2))
    assert [p.role for p in state.anatomy.points] == ["removable"]

    def density(u):  # at 1/2 + u; int 2 f / a = int (1 - 2 u) |u|^(-1/2)
        s = mpmath.sqrt(abs(u))
        return mpmath.exp(mpmath.sign(u) * 2 * s - mpmath.mpf(4) / 3 * s**3) / s

    left = mpmath.quad(density, [-2.5, -1, -0.1, 0])
    right = mpmath.quad(density, [0, 0.1, 1, 1.5])
    exact = float(left / (left + right))
    assert abs(state.cdf(0.5) - exact) <= state.error


def test_pieces_that_peak_far_from_where_they_meet_are_joined_at_one_level():
    """f = -60 (x - 1/2) and a = |x|^(1/2), with x = s^2: the left side holds 1.7e-26."""
    state = solve(lambda x: -60 * (x - 0.5), lambda x: np.abs(x) ** 0.5, (-2, 3))

    def quadrature(sign, end):
        return mpmath.quad(
            lambda s: 2 * mpmath.exp(60 * (-mpmath.mpf(4) / 3 * s**3 + sign * 2 * s)),
            [0, 0.01, 0.1, 0.3, 0.7, 1, mpmath.sqrt(end)],
        )

    left, right = quadrature(-1, 2), quadrature(1, 3)
    exact = float(left / (left + right))
    assert abs(state.probability(-2, 0) / exact - 1) <= state.error


def test_mirrored_processes_have_mirrored_answers():
    state = solve(lambda x: 0.5 - x, lambda x: (x + 0.2) ** 2 * np.exp(x))
    mirror = solve(lambda x: -0.5 - x, lambda x: (0.2 - x) ** 2 * np.exp(-x))
    x = np.linspace(-2.9, 2.9, 101)
    np.testing.assert_allclose(state.cdf(x), mirror.sf(-x), atol=1e-12)


# -- classes and weights --------------------------------------------------------------------------


def test_without_a_start_several_classes_are_reported_and_nothing_is_invented():
    state = solve(lambda x: x - x**3, lambda x: x**2)
    assert state.kind == "classes"
    assert [c.weight for c in state.components] == [None, None]
    with pytest.raises(LandscapeError, match="Give initial"):
        state.mean()
    # f = x - x^3, a = x^2: P ~ exp(2 log x - x^2) / x^2 = exp(-x^2) on each side.
    right = state.components[1]
    x = np.linspace(0.1, 2.9, 20)
    exact = np.log(2 / math.sqrt(math.pi) / math.erf(3)) - x**2
    np.testing.assert_allclose(right.logpdf(x), exact, atol=1e-12)


@pytest.mark.parametrize("initial", ["normal:0.5,0.5", stats.norm(0.5, 0.5)])
def test_a_start_on_both_sides_of_a_repelling_point_gives_its_own_weights(initial):
    state = solve(lambda x: x - x**3, lambda x: x**2, initial=initial)
    law = stats.truncnorm(-7, 5, 0.5, 0.5)
    assert state.components[0].weight == pytest.approx(law.cdf(0), abs=1e-14)
    assert state.cdf(0) == pytest.approx(law.cdf(0), abs=1e-14)


@pytest.mark.parametrize("x", [-0.9, -0.3, 0.0, 0.3, 0.99])
def test_between_two_traps_the_scale_function_decides(x):
    """f = x - x^3 and a = (1 - x^2)^2: s = 1 - x^2."""
    state = solve(lambda x: x - x**3, lambda x: (1 - x * x) ** 2, (-2, 2), initial=x)
    exact = (x - x**3 / 3 + 2 / 3) / (4 / 3)
    assert state.kind == "atoms"
    assert abs(state.atoms[1].weight - exact) <= state.error + 1e-15
    assert state.mean() == pytest.approx(2 * exact - 1, abs=1e-9)
    assert state.probability(0, 2) == state.atoms[1].weight


@pytest.mark.parametrize("selection", [-500.0, -20.0, -1.0, 1e-9, 1.0, 20.0, 500.0])
def test_wright_fisher_fixation_is_kimura(selection):
    """f = s x (1 - x), a = x (1 - x): P(1 first) = (1 - exp(-2 s x)) / (1 - exp(-2 s))."""
    state = solve(
        lambda x: selection * x * (1 - x), lambda x: x * (1 - x), (0, 1), initial="uniform:0.1,0.9"
    )
    x = np.linspace(0.02, 0.98, 17)
    fixed = state.classes.probabilities(x)[1]
    if selection > -100:
        exact = np.expm1(-2 * selection * x) / np.expm1(-2 * selection)
    else:  # the same in exponentials that do not overflow
        exact = np.exp(2 * selection * (1 - x)) * (1 - np.exp(2 * selection * x))
    np.testing.assert_allclose(fixed, exact, rtol=2e-13)  # exp(-700) carries 700 roundings
    assert state.atoms[0].weight + state.atoms[1].weight == pytest.approx(1, abs=1e-13)


def test_absorbing_walls_are_atoms():
    state = solve(0.0, 1.0, (0, 1), initial=0.3, boundaries="absorbing")
    assert [(a.position, a.weight) for a in state.atoms] == [
        (0, pytest.approx(0.7, abs=1e-15)),
        (1, pytest.approx(0.3, abs=1e-15)),
    ]
    one = solve(0.0, 1.0, (0, 1), boundaries=("absorbing", "reflecting"))
    assert [(a.position, a.weight) for a in one.atoms] == [(0, 1)]


def test_geometric_brownian_motion_comes_ever_closer_to_zero_or_escapes():
    down = solve(lambda x: 0.1 * x, lambda x: x * x, (0, INF))
    assert (down.kind, [(a.position, a.weight) for a in down.atoms]) == ("atoms", [(0, 1)])
    assert "approached for ever and never reached" in down.anatomy.ends[0].describe("x")
    up = solve(lambda x: 0.6 * x, lambda x: x * x, (0, INF))
    assert (up.kind, up.escapes[0].position) == ("none", INF)
    assert "escapes to x = inf" in up.reason
    both = solve(lambda x: x, lambda x: 1.0 + 0 * x, (-INF, INF)).reason
    assert both == "Probability escapes to x = -inf and to x = inf."


@pytest.mark.parametrize(("start", "above"), [(0.2, 0.6), (-0.9, 0.05)])
def test_ends_that_are_approached_for_ever_share_the_limit_law(start, above):
    """f = 0 and a = (1 - x^2)^2: a martingale that tends to -1 or 1, so E x stays the start."""
    state = solve(0, lambda x: (1 - x * x) ** 2, (-1, 1), start)
    assert [a.position for a in state.atoms] == [-1, 1]
    assert [a.weight for a in state.atoms] == pytest.approx([1 - above, above], abs=1e-13)
    assert state.mean() == pytest.approx(start, abs=1e-13)


def test_some_may_escape_and_some_be_trapped():
    """f = x, a = 1 absorbed at 0: from 1 the rest escapes, with P(0 first) = erfc(1)."""
    state = solve(lambda x: x, 1.0, (0, INF), initial=1.0, boundaries=("absorbing", None))
    assert state.atoms[0].weight == pytest.approx(math.erfc(1.0), rel=1e-12)
    assert state.escapes[0].weight == pytest.approx(math.erf(1.0), rel=1e-12)
    assert state.cdf(1e6) == pytest.approx(math.erfc(1.0), rel=1e-12)
    assert state.ppf(0.5) == INF


def test_a_stretch_without_noise_passes_on_what_the_drift_carries():
    def variance(x):
        return np.where(x < 0.5, np.where(x < 0, x**2, 0.0), (x - 0.5) ** 2)

    through = solve(lambda x: 1 - x, variance, (-2, 2))
    assert [c.interval for c in through.components] == [(0.5, 2)]
    assert through.anatomy.points[0].role == "gate to the right"
    trapped = solve(lambda x: 0.2 - x, variance, (-2, 2))
    assert [(a.position, a.weight) for a in trapped.atoms] == [(pytest.approx(0.2), 1)]


def test_a_minimum_that_all_datapoints_share_holds_everything():
    def losses(w):
        return (w - 1) ** 2, 2 * (w - 1) ** 2, (w - 1) ** 4

    analysis = analyze(Landscape(losses=losses, learning_rate=0.05, domain=(-1, 4)))
    state = analysis.end_state
    assert [(a.position, a.weight) for a in state.atoms] == [(1, 1)]
    assert [(e.position, e.stable) for e in analysis.equilibria] == [(1, True)]
    assert "at w = 1 with probability 1" in analysis.summary()
    assert analysis.to_dict()["singular_points"][0]["role"] == "trap"


def test_the_report_tells_how_the_end_depends_on_the_start():
    analysis = analyze(process(0.0, lambda x: x * (1 - x), (0, 1), name="drift of genes"))
    text = analysis.summary()
    assert "Where it ends, by where it starts:" in text
    assert max(map(len, text.splitlines())) <= 80
    table = analysis.to_dict()["hitting"]
    np.testing.assert_allclose([p[1] for p in table["probabilities"]], table["start"], rtol=1e-14)


# -- hard cases -----------------------------------------------------------------------------------


def positive(x):
    return np.maximum(x, 0)


def quiet_between_0_and_1(x):
    return positive(x - 1) ** 2 + positive(-x) ** 2


def test_a_zero_of_one_side_only_is_a_gate():
    for drift, role in ((1, "gate to the right"), (-1, "gate to the left")):
        state = solve(drift, lambda x: np.where(x < 0, x * x, 1.0), (-1, 1))
        assert [(p.position, p.role) for p in state.anatomy.points] == [(0, role)]


def test_many_zeros_are_found_although_panels_run_out():
    state = solve(1, lambda x: np.sin(math.pi * x) ** 2, (-30.5, 30.5))
    assert [p.position for p in state.anatomy.points] == pytest.approx(np.arange(-30, 31))
    assert [c.interval for c in state.components] == [(30.0, 30.5)]


def test_a_tiny_floor_is_no_zero_and_costs_nothing():
    state = solve(1, lambda x: x**2 + 1e-40, (-1, 1))
    assert state.anatomy.points == ()
    assert state.error < 1e-10


@pytest.mark.parametrize("variance", [1e-250, 1e-290, 1e-300, lambda x: np.exp(-1000 + 0 * x)])
def test_a_variance_below_the_range_of_doubles_leaves_walls_walls(variance):
    state = solve(lambda x: -x, variance, (-3, 3))
    assert state.kind == "density"
    a = math.log(variance) if isinstance(variance, float) else -1000
    assert math.log(state.std()) == pytest.approx((a - math.log(2)) / 2, rel=1e-12)


@pytest.mark.parametrize("start", [0.0, 0.5, 1.0])
def test_where_there_is_neither_noise_nor_drift_a_start_stays(start):
    state = solve(0, quiet_between_0_and_1, (-2, 3), initial=start)
    assert [(a.position, a.weight) for a in state.atoms if a.weight] == [(start, 1)]


def test_starts_that_stay_on_a_stretch_are_part_of_the_end_state_as_they_were():
    state = solve(0, quiet_between_0_and_1, (-2, 3), initial="uniform:-2,3")
    assert state.kind == "mixture"
    x = np.linspace(0.1, 0.9, 5)
    assert state.pdf(x) == pytest.approx(np.full(5, 0.2), abs=1e-13)
    (still,) = (c for c in state.components if c.at_rest)
    assert (still.interval, still.weight) == ((0, 1), pytest.approx(0.2, abs=1e-15))
    assert not state.modes  # nothing gathers where it rests


@pytest.mark.parametrize(
    "law",
    [
        stats.norm(0.4, 0.3),
        stats.expon(0.25, 0.5),
        stats.uniform(0.2, 0.3),
        stats.norm(0.5, 1e-4),
        "normal:0.4,0.3",
    ],
)
def test_what_rests_on_a_stretch_has_the_law_that_it_started_with(law):
    """Elsewhere the drift leads away: only what starts between 0 and 1 is still there."""

    def drift(x):
        return np.where(x < 0, -1.0, np.where(x > 1, 1.0, 0.0))

    state = solve(drift, quiet_between_0_and_1, (-2, 3), initial=law)
    x, start = np.linspace(0.01, 0.99, 99), state.initial
    assert state.cdf(x) - state.cdf(0.0) == pytest.approx(start.cdf(x) - start.cdf(0.0), abs=1e-13)
    (still,) = (c for c in state.components if c.at_rest)
    assert still.weight == pytest.approx(start.probability(0, 1), abs=1e-15)
    assert "at rest where it started" in " ".join(str(state).split())


@pytest.mark.parametrize("left", [-1, 1])
@pytest.mark.parametrize("right", [-1, 1])
def test_of_a_stretch_without_noise_that_rests_in_part_what_moves_goes_where_it_is_taken(
    left, right
):
    """From -1 to 1 there is no noise; it rests from -0.3 to 0.4. Refused before."""

    def drift(x):
        inside = left * np.maximum(-0.3 - x, 0) + right * np.maximum(x - 0.4, 0)
        return np.where(np.abs(x) < 1, inside, 1.5 * np.sign(x) - x)

    law = stats.norm(0.1, 0.8)
    state = solve(drift, lambda x: np.maximum(np.abs(x) - 1, 0), (-3, 3), initial=law)
    (still,) = (c for c in state.components if c.at_rest)
    assert still.interval == pytest.approx((-0.3, 0.4), abs=1e-15)
    assert still.weight == pytest.approx(state.initial.probability(-0.3, 0.4), abs=1e-14)
    held = {round(a.position, 12): a.weight for a in state.atoms if a.weight}
    inner = np.array([law.cdf(-0.3) - law.cdf(-1), law.cdf(1) - law.cdf(0.4)])
    inner /= law.cdf(3) - law.cdf(-3)
    expected = ({-0.3: inner[0]} if left > 0 else {}) | ({0.4: inner[1]} if right < 0 else {})
    assert held == pytest.approx(expected, abs=1e-14)
    assert "what starts from -0.3 to 0.4 stays there" in " ".join(str(state).split())
    assert sum(c.weight for c in state.components) + sum(held.values()) == pytest.approx(1)


def test_a_point_where_the_drift_alone_parts_is_no_stretch_that_rests():
    """x^3 is 0 in doubles within 1e-108 of it, and at a point that is looked at."""
    state = solve(
        lambda x: np.where(np.abs(x) < 1, x**3, 1.5 * np.sign(x) - x / 2),
        lambda x: np.maximum(np.abs(x) - 1, 0),
        (-3, 3),
        initial="uniform:-2,3",
    )
    assert [(c.interval, c.at_rest) for c in state.components] == [
        ((-3, -1), False),
        ((1, 3), False),
    ]
    assert [c.weight for c in state.components] == pytest.approx([0.4, 0.6], abs=1e-14)
    assert "stays there" not in str(state)


@pytest.mark.parametrize("unit", [1.0, 1e-9])
def test_a_start_over_several_traps_is_shared_between_them(unit):
    """Half-way between two of them it is as likely to come to either: 1/3 each, in any unit."""
    state = solve(
        0,
        lambda x: unit**2 * np.abs(np.sin(np.pi * (x / unit))),
        (-unit / 2, 2.5 * unit),
        initial=f"uniform:{-unit / 2!r},{2.5 * unit!r}",
    )
    assert [a.weight for a in state.atoms] == pytest.approx([1 / 3] * 3, abs=1e-14)


@pytest.mark.parametrize("start", ["uniform:-2,3", "normal:0.3,1"])
def test_quantiles_meet_what_comes_to_an_edge_before_what_rests_beyond_it(start):
    """Atoms at both ends of what rests there: the median was at the lower one."""
    landscape = Landscape(
        lambda w: [np.maximum(w - 1, 0) ** 2, np.maximum(-w - 1, 0) ** 2],
        learning_rate=0.25,
        domain=(-4, 4),
    )
    state = end_state(landscape, initial=start)
    given = state.initial
    q = np.linspace(0.02, 0.98, 49)
    exact = np.clip(given.ppf(q), -1, 1)  # all that starts outside comes to the nearer edge
    assert state.ppf(q) == pytest.approx(exact, abs=1e-12)
    assert state.isf(1 - q) == pytest.approx(exact, abs=1e-12)
    assert state.median() == pytest.approx(exact[24], abs=1e-12)


def test_samples_that_rest_on_a_stretch_are_atoms():
    state = solve(0, quiet_between_0_and_1, (-2, 3), initial=[-1.0, 0.25, 0.25, 0.5])
    inside = [(a.position, a.weight) for a in state.atoms if 0 < a.position < 1]
    assert inside == [(0.25, 0.5), (0.5, 0.25)]


def without_density(law):
    """All of a law that a start needs."""
    return SimpleNamespace(**{n: getattr(law, n) for n in ("cdf", "sf", "ppf", "isf", "rvs")})


def test_starts_that_stay_on_a_stretch_need_a_density():
    with pytest.raises(LandscapeError, match="what starts there stays there"):
        solve(0, quiet_between_0_and_1, (-2, 3), initial=without_density(stats.norm(0.5, 0.1)))


def test_on_a_stretch_the_drift_takes_a_start_to_the_next_of_its_zeros():
    def drift(x):
        return -(x - 0.2) * (x - 0.5) * (x - 0.8)

    for start, end in ((0.9, 0.8), (0.6, 0.8), (0.3, 0.2), (-1, 0.2), (2, 0.8)):
        state = solve(drift, quiet_between_0_and_1, (-2, 3), initial=start)
        (atom,) = (a for a in state.atoms if a.weight)
        assert atom.position == pytest.approx(end, abs=1e-14)
    even = solve(drift, quiet_between_0_and_1, (-2, 3), initial="uniform:-2,3")
    assert [a.weight for a in even.atoms] == pytest.approx([0.5, 0.5], abs=1e-13)


def test_json_of_many_digits_is_json():
    import json

    analysis = analyze(process(lambda x: -x, 2.0, (-INF, INF)), digits=30)
    data = json.loads(analysis.to_json())
    assert data["many_digits"]["standard deviation"].startswith("1.0")
    assert data["moments"]["standard_deviation"]["value"] == 1


def test_a_wall_that_the_drift_presses_against_is_the_minimum():
    (basin,) = analyze(process(1, 1, (-2, 2))).basins
    assert (basin.position, basin.at_wall) == (2, True)


@pytest.mark.parametrize("apart", [1e-3, 1e-8, 1e-10, 1e-12])
def test_zeros_close_to_each_other_are_told_apart(apart):
    """No probability is near the second gate, so that only a look at all scales shows it."""
    gates = solve(lambda x: 1 + 0 * x, lambda x: ((x - 0.3) * (x - 0.3 - apart)) ** 2, (-1, 1))
    assert [p.role for p in gates.anatomy.points] == ["gate to the right"] * 2
    first, second = (p.position for p in gates.anatomy.points)
    assert (first, second - first) == (0.3, pytest.approx(apart, rel=1e-3))


def test_the_start_decides_between_traps_a_billionth_apart():
    apart = 1e-9
    traps = process(
        lambda x: -(x - 0.3) * (x - 0.3 - apart) * (x - 0.3 - apart / 2),
        lambda x: ((x - 0.3) * (x - 0.3 - apart)) ** 2,
        (-1, 1),
    )
    assert [(a.position, a.weight) for a in end_state(traps, -0.5).atoms if a.weight] == [(0.3, 1)]
    (right,) = [a for a in end_state(traps, 0.9).atoms if a.weight]
    assert right.position == pytest.approx(0.3 + apart, abs=1e-12)


@pytest.mark.parametrize("inside", [1e-8, 1e-10, 1e-13])
def test_a_zero_next_to_an_end_of_the_domain_leaves_a_narrow_piece(inside):
    state = solve(lambda x: 0.3 - x, lambda x: (x + 1 - inside) ** 2, (-1, 1))
    (gate,) = state.anatomy.points
    assert (gate.position, gate.role) == (-1 + inside, "gate to the right")
    assert state.status.name == "CONVERGED"


def test_a_trap_at_a_scale_of_its_own_next_to_zero_is_found():
    state = solve(lambda x: (1e-20 - x) * (1 + x), lambda x: (x - 1e-20) ** 2, (0, 1))
    assert [(a.position, a.weight) for a in state.atoms] == [(1e-20, 1.0)]


@pytest.mark.parametrize(
    ("power", "noise", "strength", "domain", "convention", "feller"),
    [
        # r 2 f / a grows as r^0.1, and its correction falls as slowly: 1 / f decides.
        (1.1, 2, -1.0, (1, INF), "klimontovich", Feller.ENTRANCE),
        (1.1, 2, 1.0, (1, INF), "klimontovich", Feller.EXIT),
        (1.1, 2, 0.3, (1, INF), "stratonovich", Feller.EXIT),
        (0.9, 2, 2.5, (0, 1), "klimontovich", Feller.ENTRANCE),
        (1, 1.9, -1.0, (1, INF), "klimontovich", Feller.NATURAL),
        # The scale density goes as a power whose correction is r^(1 / 30).
        (1 / 3, 1.3, 2.5, (0, 1), "stratonovich", Feller.REGULAR),
        (1 / 3, 1.3, 0.3, (0, 1), "ito", Feller.EXIT),
        (-1, 0.2, -1.0, (1, INF), "ito", Feller.NATURAL),
    ],
)
def test_powers_whose_corrections_fall_slowly_are_extrapolated(
    power, noise, strength, domain, convention, feller
):
    given = process(
        lambda x: strength * x**power, lambda x: x**noise, domain, convention=convention
    )
    assert partition(given).ends[1 if domain[1] == INF else 0].feller is feller


def test_what_extrapolation_cannot_tell_is_not_decided():
    """a ~ x^1.9998 next to f = x / 10: an exit at 0, but x^(2e-4) is hardly seen to vanish."""
    end = solve(lambda x: 0.1 * x, lambda x: 0.2 * x**1.9998, (0, INF)).anatomy.ends[0]
    assert end.feller is Feller.UNDECIDED


@pytest.mark.filterwarnings("error")
def test_two_f_over_a_near_the_largest_double_gives_no_warning():
    state = solve(lambda x: -1 / x, lambda x: x**0.5, (0, 1), convention="klimontovich")
    assert state.anatomy.ends[0].feller is Feller.EXIT


@pytest.mark.parametrize("x", [0.01, 9e-5, 1e-7])
def test_a_tail_towards_an_end_that_falls_beyond_powers_goes_on_beyond_the_samples(x):
    """f = 1 - x, a = x^2: P ~ x^-4 exp(-2 / x), and P(X < x) -> P(x) x^2 / 2 (1 - x + ...)."""
    state = solve(lambda x: 1 - x, lambda x: x**2, (0, 3))
    z = 2 / x
    with mpmath.workdps(30):
        exact = mpmath.log(mpmath.gammainc(3, z) / mpmath.gammainc(3, mpmath.mpf(2) / 3))
    assert state.logcdf(np.array([x]))[0] == pytest.approx(float(exact), rel=1e-13)


def test_the_error_of_a_weight_is_that_next_to_the_start():
    """f = s x (1 - x), a = x (1 - x): Kimura's formula, far down where the weight is 1e-304."""
    allele = process(lambda x: -500 * x * (1 - x), lambda x: x * (1 - x), (0, 1))
    state = end_state(allele, 0.3)
    with mpmath.workdps(40):
        exact = mpmath.expm1(1000 * mpmath.mpf(0.3)) / mpmath.expm1(1000)
        wrong = abs(float(state.atoms[1].weight / exact - 1))
    assert 1e-14 < wrong < state.weight_error < 1e-11


def test_a_start_where_the_noise_is_beyond_all_numbers_has_a_weight():
    """From 1e-3, a = exp(-1e6): more digits do not follow 2 f / a from there to 1."""
    state = solve(
        lambda x: -x,
        lambda x: np.exp(-1 / x**2),
        (0, 1),
        1e-3,
        boundaries=(None, "absorbing"),
    )
    held = {a.position: float(a.weight) for a in (*state.escapes, *state.atoms)}
    assert held == {0: 1, 1: 0}


@pytest.mark.parametrize("noise", [1e-40, 1e-80, 1e-120])
def test_noise_of_any_size_is_classified_at_infinity(noise):
    """2 f / a ~ -2 / (noise x^2): at 10^60 it is 10^20 yet, far from the limit it goes to."""
    state = solve(lambda x: -x, lambda x: noise * (1 + np.abs(x) ** 3), (-INF, INF))
    assert [e.feller for e in state.anatomy.ends] == [Feller.ENTRANCE] * 2
    assert state.kind == "density"
    assert state.std() == pytest.approx(math.sqrt(noise / 2), rel=1e-6)


def test_a_divide_is_reached_and_left_and_the_side_is_said_to_be_assumed():
    """a = 2 |x|, f = sign(x) / 2 - x: regular from both sides, with the drift pointing away."""
    analysis = analyze(process(lambda x: np.sign(x) / 2 - x, lambda x: 2 * np.abs(x)), initial=0.5)
    (point,) = analysis.end_state.anatomy.points
    assert point.role == "divide"
    words = " ".join(str(analysis).split())
    assert "x = 0: reached, and left again at once" in words
    assert "is an assumption" in words
    assert analysis.end_state.probability(-3, 0) == 0


def test_a_variance_that_oscillates_for_ever_has_no_dips():
    """However far out: between doubles that lie 256 apart, or where a zoom meets one wave of many.

    With a dip at 2e18 the whole line was sampled in 50 digits, and thousands of zeros with it.
    """
    endless = process(np.sin, lambda x: 2 + np.sin(x), (-INF, INF))
    assert dips_of_variance(endless) == ((), ())
    assert not end_state(endless).notes


@pytest.mark.parametrize("domain", [None, (-4.0, 5.0)])
@pytest.mark.parametrize("edge", [0.0, 0.3, -1.7])
def test_what_comes_to_where_all_relus_are_dead_stays_at_the_edge(edge, domain):
    """Two datapoints whose ReLUs give nothing below the edge: "not decided", at -8e-31 for 0."""

    def losses(w):
        x = np.maximum(w - edge, 0)
        return (1.7 * x + 2.8) ** 2 / 2, (0.1 * x - 1.8) ** 2 / 2

    settings = {} if domain is None else {"domain": domain}
    analysis = analyze(Landscape(losses=losses, learning_rate=0.05, **settings))
    (atom,) = analysis.end_state.atoms
    assert (atom.position, atom.weight) == (edge, 1)
    words = " ".join(str(analysis).split())
    assert "neither noise nor drift" in words
    rest = f"below {edge:g}" if domain is None else f"between -4 and {edge:g}"
    assert f"In the long run SGD is at rest {rest} (all gradients are 0)." in words
    assert analysis.sgd.chain.probability(-4 if domain else -INF, edge) == 1
    inside = end_state(analysis.landscape, initial=-2.0)
    assert [(a.position, a.weight) for a in inside.atoms if a.weight] == [(-2, 1)]
    started = end_state(analysis.landscape, initial="uniform:-2.5,-2")
    (still,) = (c for c in started.components if c.weight)
    assert (still.weight, still.interval) == (1, (-2.5, -2))


def test_a_stretch_ends_where_the_variance_jumps_and_not_at_the_next_zero():
    """The least loss of a dead ReLU beside it, and losses that are cut off at 1."""

    def relus(w):
        return (np.maximum(w + 0.63, 0) - 0.23) ** 2, (np.maximum(w - 0.68, 0) - 3.32) ** 2

    def cut(w):
        return [np.minimum((w - x) ** 2, 1.0) for x in (-1.0, 0.2, 0.9, 1.4)]

    for losses, exact in (
        (relus, [(-3, -0.63), (-0.4, -0.4)]),
        (cut, [(-3, -2), (-1, -1), (2.4, 3)]),
    ):
        diffusion = Landscape(losses=losses, learning_rate=0.3, domain=(-3, 3)).diffusion()
        found = [(float(z.lower), float(z.upper)) for z in zeros_of_variance(diffusion)]
        np.testing.assert_allclose(found, exact, atol=1e-15)


def test_a_mean_over_pieces_on_both_sides_of_a_zero_owns_up_to_their_shares():
    """What was not known of the shares was missing: 5e-16 was claimed of a mean off by 8e-14."""
    process = Diffusion(lambda x: 0.3 - x, lambda x: np.sqrt(np.abs(x - 0.25)), (-1, 2))
    state, exact = end_state(process), end_state(process, digits=30)
    assert abs(float(state.mean() - exact.mean())) <= state.mean_error < 1e-10
    assert abs(float(state.std() - exact.std())) <= state.std_error < 1e-10
    assert abs(float(state.cdf(0.25) / exact.cdf(0.25) - 1)) <= state.components[0].share_error
    assert exact.mean_error < 1e-27


@pytest.mark.parametrize("floor", [1e-22, 1e-26, 1e-31])
def test_a_smooth_dip_that_panels_of_doubles_end_in_takes_digits(floor):
    """Its bottom is 10 to 10^6 roundings wide: up to 1 was claimed of what is known to 1e-15."""
    state = end_state(Diffusion(lambda x: 0.3 - x, lambda x: (x - 0.1) ** 2 + floor, (-1, 2)))
    gate = end_state(Diffusion(lambda x: 0.3 - x, lambda x: (x - 0.1) ** 2, (-1, 2)))
    assert state.error < 1e-12
    assert state.cdf(0.3) == pytest.approx(gate.cdf(0.3), rel=1e-12)


@pytest.mark.parametrize("rate", [1e-3, 1e-6])
@pytest.mark.parametrize(
    ("silent", "end"),
    [
        (lambda x: x < -1 / 3, -1 / 3),  # a double, which is no short number
        (lambda x: 3 * x < -1, -1 / 3),  # between two doubles, on another side of each by rounding
        (lambda x: 3 * x > 2.5, 2.5 / 3),
        (lambda x: x <= -54.04574206274777, -54.04574206274777),
    ],
)
def test_noise_that_sets_in_at_once_is_found_where_it_does(silent, end, rate):
    """However strong the drift is beside it: next to the edge nothing is singular."""
    diffusion = Diffusion(
        drift=lambda x: -rate * (x - 0.5),
        variance=lambda x: np.where(silent(x), 0, rate**2),
        domain=(-60, 60),
    )
    state = end_state(diffusion)
    assert state.kind == "density"
    assert state.error < 1e-12
    assert state.mean() == pytest.approx(0.5, abs=1e-13)
    assert state.std() == pytest.approx(math.sqrt(rate / 2), rel=1e-12)
    (zero,) = zeros_of_variance(diffusion)
    edge = float(zero.upper if end < 0 else zero.lower)
    assert abs(edge - end) <= np.spacing(abs(end))


def test_absolute_losses_have_an_end_state_at_every_learning_rate():
    places = np.random.default_rng(0).normal(size=20)
    for rate in (1e-2, 1e-4, 1e-6):
        losses = lambda w: [abs(w - p) for p in places]  # noqa: E731
        state = end_state(Landscape(losses=losses, learning_rate=rate, domain=(-10, 10)))
        median = np.sort(places)[9:11]
        assert state.kind == "density"
        assert median[0] - 0.1 < state.mean() < median[1] + 0.1


# -- poles of the drift ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("power", "domain"), [(1, (-3, 4)), (3, (-3, 3)), (1, (-INF, INF)), (3, (-INF, INF))]
)
def test_a_pole_that_is_never_reached_parts_the_line(power, domain):
    """It was CONVERGED with all on one side, or the panel limit; passages across did not end."""
    process = Diffusion(drift=lambda x: 1 / x**power - x, variance=1.0, domain=domain)
    assert end_state(process).kind == end_state(process, digits=25).kind == "classes"
    side = end_state(process, initial=-1.0)
    assert side.cdf(0) == 1
    if power == 1:  # x^2 e^(-x^2)
        exact = stats.chi(3, scale=math.sqrt(0.5)).mean()
        assert abs(side.mean() + exact) < (2e-15 if domain[0] == -INF else 0.01)
    across = first_passage(process, -1, 1)
    assert across.probability.value[0] == 0
    assert across.mean.value == INF


def test_a_pole_that_draws_everything_is_a_trap_and_one_that_is_passed_is_refused():
    trap = end_state(Diffusion(lambda x: -1 / x**3 - x, 1.0, (-3, 4)))
    assert "x = 0 (a pole of the drift): a trap" in trap.anatomy.points[0].describe("x")
    (atom,) = trap.atoms
    assert (atom.position, atom.weight) == (0, 1)
    aside = end_state(Diffusion(lambda x: 1 / (x - 0.3) - x, 1.0, (-3, 4)), initial=1.0)
    assert aside.cdf(0.3) == 0
    gate = end_state(Diffusion(lambda x: 1 / x**2 - x, 1.0, (-3, 4)))
    assert gate.cdf(0) == 0
    with pytest.raises(LandscapeError, match=r"pole at x = 0, where nothing says"):
        end_state(Diffusion(lambda x: 0.1 / x - x, 1.0, (-3, 4)))
    for height in (1e8, 1e15):  # a jump is no pole
        steep = lambda x, h=height: -h * np.sign(x - 0.3)  # noqa: E731
        jump = end_state(Diffusion(steep, 1.0, (-3, 4)))
        assert jump.mean() == pytest.approx(0.3)


def test_what_is_remembered_of_a_process_holds_no_poles():
    """They were among its zeros the second time, and what to say of them was not known."""
    process = Diffusion(lambda x: 0.1 / x - x, 1.0, (-3, 4)).remembering()
    for digits in (None, 20, None):
        with pytest.raises(LandscapeError, match="on which side"):
            end_state(process, digits=digits)


def test_gradients_that_are_all_clipped_far_out_are_a_gate_there():
    """From 12.5 on each gradient is 0.5. Next to it they differ by e^-144, which 60 digits call
    nothing: what lay between a zero that was tried and a point that is none was taken for zeros."""

    def losses(w):
        return [0.04 * w**2 / 2 + 1 - np.exp(-((w - c) ** 2)) for c in (0, 1.0, 0.4)]

    given = {"losses": losses, "learning_rate": 0.1, "clip": 0.5, "domain": (-14, 14)}
    zeros = zeros_of_variance(Landscape(**given).diffusion())
    assert [(z.lower, z.upper) for z in (zeros[0], zeros[-1])] == [(-14, -12.5), (12.5, 14)]


def test_zeros_apart_from_wells_by_less_than_hundreds_of_digits_tell_are_found():
    """Next to the middle of each well, in which both losses rest, the other well moves the zero of
    the variance by 1e-417 and 1e-1159 of itself: 300 digits took these for dips with a floor."""

    def losses(w):
        a, b = np.exp(-(((w + 0.02) / 0.012) ** 2)), np.exp(-(((w - 0.6) / 0.02) ** 2))
        return -a - 0.3 * b, -0.4 * a - 0.7 * b

    state = end_state(Landscape(losses=losses, learning_rate=1e-5, domain=(-2, 2)), initial=0.1)
    assert [(p.position, p.role) for p in state.anatomy.points] == [(-0.02, "trap"), (0.6, "trap")]
    assert [a.weight for a in state.atoms] == [1, pytest.approx(0, abs=1e-300)]


def test_a_floor_too_deep_for_many_digits_is_told_as_a_zero_that_may_be_none():
    """Four losses meet in the middle of one well, but for what the other one adds there (1e-21000
    of the gradients, as a floor): its sides were approached in panels of 1200 digits, for minutes.
    """

    def losses(w):
        a, b = np.exp(-(((w - 0.3) / 0.4) ** 2)), np.exp(-(((w - 2.8) / 0.0114) ** 2))
        return -a - 0.3 * b, -0.9 * a - 0.4 * b, -1.3 * a - 0.1 * b, -0.4 * a - 0.2 * b

    state = end_state(Landscape(losses=losses, learning_rate=0.04, domain=(-40, 25)))
    (point,) = state.anatomy.points
    assert (point.position, point.role, point.decided) == (0.3, "trap", False)
    assert "or too small" in point.describe("w")


def test_beyond_what_anything_is_left_of_edges_of_stretches_are_doubles():
    """e^w - w by 1.2 and .6, clipped at 1: at -19700 no digits tell its slopes from the clip."""
    losses = Landscape(
        lambda w: (np.exp(1.2 * w) - w, np.exp(0.6 * w) - w), learning_rate=0.1, clip=1
    )
    closely = Look(losses.diffusion(), exact=True)
    closely.collect([closely.on_stretch(None, -1e5, -2e4, -16384.0, beyond=True)])
    (zero,) = closely.zeros
    assert isinstance(zero.upper, float)
    assert -2e4 < zero.upper < -16384
