"""Two weights: end states held against closed forms, and their errors against the truth."""

from __future__ import annotations

import itertools
import json
import math
import pickle
import re
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
from scipy import special, stats
from scipy.integrate import dblquad, quad, solve_ivp
from scipy.linalg import solve_continuous_lyapunov

import stationary
from stationary import (
    Diffusion,
    Kinetic,
    Landscape,
    LandscapeError,
    PlaneBasin,
    PlaneBasins,
    StationaryError,
    analyze,
    check,
    end_state,
)
from stationary.delivery import told_if_unfinished
from stationary.errors import ConvergenceError, Status
from stationary.functions.jets import Jets, jet
from stationary.plane.balance import balanced
from stationary.plane.barriers import _in_series
from stationary.plane.borders import Borders
from stationary.plane.boxes import box_of, ends_of
from stationary.plane.charts import Between, Beyond, Chart, Line
from stationary.plane.closed import linear
from stationary.plane.curl import curl_test, in_units
from stationary.plane.density import Density, Solved
from stationary.plane.elements import DEGREE
from stationary.plane.exit import _around
from stationary.plane.fitted import Fitted
from stationary.plane.flow import Flow
from stationary.plane.images import Images, among_images
from stationary.plane.inside import BORDER, held
from stationary.plane.local import described
from stationary.plane.mesh import Mesh, basis
from stationary.plane.product import gibbs
from stationary.plane.rough import first_box, found_on_grid
from stationary.plane.solve import _require_held, _unresolved
from stationary.plane.spectral import CUT
from stationary.plane.steps import kept_in
from stationary.plane.tails import FARTHEST, Stretched, around, power_of, with_heavy_tails
from stationary.plane.walls import chart_of
from stationary.plane.zeros import equilibria_of, everywhere
from stationary.show import plane as show

EXAMPLES = Path(__file__).parent.parent / "examples"


def grid(state, count=61, within=14.0):
    """Points where the density is not below e^-within of its peak."""
    ends = [state.marginal(k).interval(1 - 1e-9) for k in (0, 1)]
    x = np.stack([v.ravel() for v in np.meshgrid(*(np.linspace(*e, count) for e in ends))])
    return x[:, np.asarray(state.energy(x)) < within]


def test_linear_drift_gives_the_gaussian_of_lyapunov_for_any_rank_of_the_noise():
    drift = np.array([[-1.0, 3.0], [-3.0, -1.5]])
    for noise in ([[0.3, 0.1], [0.1, 0.2]], [[1e-6, 0.0], [0.0, 0.0]]):
        a = np.array(noise)
        process = Diffusion(lambda x, m=drift: m @ np.stack([x[0], x[1]]), a, weights=2)
        state = end_state(process)
        s = solve_continuous_lyapunov(drift, -a)
        law = stats.multivariate_normal([0, 0], s)
        x = law.rvs(200, random_state=1).T
        assert np.allclose(state.pdf(x), law.pdf(x.T), rtol=1e-10)
        # The current turns with the antisymmetric part of drift times covariance.
        turn = drift @ s + a / 2
        assert state.circulation == pytest.approx(turn[1, 0] - turn[0, 1], rel=1e-9)
        assert state.marginal(1).std() == pytest.approx(math.sqrt(s[1, 1]), rel=1e-9)
        share = law.cdf([np.inf, 0.0]) - law.cdf([0.0, 0.0])
        assert state.probability(((0, np.inf), (-np.inf, 0))) == pytest.approx(share, rel=1e-4)


def rotated(noise, c, tilt=0.3):
    """f = -grad V + c (V_y, -V_x): e^(-V / noise) whatever c is."""

    def v(x, y):
        return (x**2 - 1) ** 2 / 4 + tilt * x + y**2 / 2 + 0.3 * x * y

    def drift(w):
        x, y = w
        vx, vy = x**3 - x + tilt + 0.3 * y, y + 0.3 * x
        return -vx + c * vy, -vy - c * vx

    return Diffusion(drift, 2 * noise, weights=2), v


def test_gibbs_with_rotation_has_the_density_without_it_and_its_claims_hold():
    noise, c = 0.1, 0.7
    process, v = rotated(noise, c)
    state = end_state(process)
    x = grid(state)
    exact = -v(*x) / noise
    exact -= exact.max()
    top = x[:, exact.argmax()]
    own = state.pdf(x) / state.pdf(top)
    assert np.abs(own - np.exp(exact)).max() < min(1e-8, state.error)
    # <Laplacian of V> c^2 is the entropy production.
    laplacian = state.expect(lambda p: 3 * p[0] ** 2 - 1 + 1)
    assert state.entropy_production == pytest.approx(c**2 * laplacian, rel=1e-9)
    assert state.circulation == pytest.approx(-2 * c * noise, rel=1e-9)
    assert state.curl.fraction == pytest.approx(c**2 / (1 + c**2), rel=1e-8)
    assert "32.9 % of the driving" in state.curl.words

    def weight(a, b):
        return dblquad(
            lambda y, x: math.exp(-v(x, y) / noise), a, b, -4, 4, epsabs=0, epsrel=1e-12
        )[0]

    left, right = ((-9, -0.2), (-9, 9)), ((-0.2, 9), (-9, 9))
    truth = math.log(weight(-3, -0.2) / weight(-0.2, 3))
    off = abs(state.log_ratio(left, right) - truth)
    assert off < 1e-9
    assert off < state.log_ratio_error(left, right) < 1e-8
    assert sum(b.mass for b in state.basins) == pytest.approx(1, abs=1e-9)
    assert state.marginal(0).mean() == pytest.approx(state.mean()[0], abs=1e-11)
    draws = state.rvs(20_000, rng=3)
    assert np.abs(draws.mean(axis=1) - state.mean()).max() < 5 * state.std().max() / 141
    # Where P comes out negative, by whatever, it is 0, and known to what it is below 0.
    here = state.density.mesh.place(x)[0][[700]]
    u = state.density.u.copy()
    u[here] *= -1
    below = replace(state, density=replace(state.density, u=u), others=())
    assert below.pdf(x[:, 700]) == 0
    assert below.error_of(lambda s: s.pdf(x[:, 700])) >= 0.99 * state.pdf(x[:, 700]) > 0


def test_errors_of_densities_hold_at_every_place_although_ways_agree_there_by_chance():
    """Where ways differ by one degree, 28 of these places were beyond, by up to 4.4 times: of that
    term alone a density may have next to nothing."""
    noise = 0.25
    state = end_state(rotated(noise, 0.3)[0])

    def along(x):  # what is left of P once y, normal around -0.3 x, is integrated
        return np.exp(-((x**2 - 1) ** 2 / 4 + 0.3 * x - 0.045 * x**2) / noise)

    total = quad(along, -6, 6, epsabs=0, epsrel=1e-13)[0]
    x = np.linspace(*state.marginal(0).interval(0.998), 400)
    claimed = state.error_of(lambda s: s.marginal(0).pdf(x))
    assert (np.abs(state.marginal(0).pdf(x) - along(x) / total) < claimed).all()
    x = state.rvs(2000, random_state=1)
    exact = along(x[0]) / total * stats.norm.pdf(x[1], -0.3 * x[0], math.sqrt(noise))
    claimed = state.error_of(lambda s: s.pdf(x))
    assert (np.abs(state.pdf(x) - exact) < claimed).all()
    assert claimed.max() < 1e-7


@pytest.mark.parametrize(("scale", "shift"), [(1e6, 0.0), (0.01, 30.0)])
def test_what_is_large_or_far_away_is_found_on_the_whole_plane(scale, shift):
    process, v = rotated(0.1, 0.7)

    def drift(w):
        x, y = process.drift(((w[0] - shift) / scale, w[1] / scale))
        return scale * x, scale * y

    state = end_state(Diffusion(drift, 0.2 * scale**2, weights=2))
    assert state.road == "elements"
    x = np.array([[-1.0, 0.2, 0.8], [0.3, -0.5, 0.1]])
    found = np.asarray(state.logpdf(np.stack([scale * x[0] + shift, scale * x[1]])))
    assert np.abs(np.diff(found + v(*x) / 0.1)).max() < 1e-6


def test_zeros_are_found_in_any_unit_and_what_is_straight_nearby_is_not_linear():
    """Of x in 1e-6 all three were one; in 1e6 none was found, and the density was a Gaussian."""
    process, _ = rotated(0.1, 0.7)
    for unit in (1e-6, 1e6):
        scaled = Diffusion(
            lambda w, u=unit: tuple(u * f for f in process.drift((w[0] / u, w[1] / u))),
            0.2 * unit**2,
            weights=2,
        )
        assert len(everywhere(scaled)) == 3
        assert linear(scaled) is None


def test_a_local_energy_is_told_and_integrated_at_any_noise():
    for noise, tolerance in ((0.1, 1e-9), (7e-5, 1e-9)):
        process, v = rotated(noise, 0.0)
        state = end_state(process)
        assert state.curl.local
        assert "A local energy exists" in state.curl.words
        assert state.entropy_production == 0
        low, high = (e.position for e in state.equilibria if e.kind == "stable")
        exact = (v(*high) - v(*low)) / noise
        assert state.logpdf(low) - state.logpdf(high) == pytest.approx(exact, abs=tolerance)
        left, right = state.basins
        # Laplace's method: equal to the ratio but for a part that vanishes with the noise.
        bent = [np.linalg.slogdet(b.attractor.covariance)[1] / 2 for b in state.basins]
        laplace = exact + bent[0] - bent[1]
        assert left.log_mass - right.log_mass == pytest.approx(laplace, abs=5 * noise + 1e-9)


def test_noise_that_is_a_matrix_and_depends_on_the_place_has_its_own_energy_or_a_current():
    def coefficients(w):
        x, y = w
        a = [[1 + 0.5 * np.sin(y), 0.3 * x * np.exp(-x * x)], [0, 1.5 + 0.4 * np.cos(x)]]
        a[1][0] = a[0][1]
        div = 0.0, 0.3 * (1 - 2 * x * x) * np.exp(-x * x)
        v = x**4 / 4 - x**2 / 2 + 0.3 * x + y**2 + 0.2 * x * y
        vx, vy = x**3 - x + 0.3 + 0.2 * y, 2 * y + 0.2 * x
        return a, div, v, vx, vy

    def noise(w):
        return coefficients(w)[0]

    def gradient(w):
        a, div, _, vx, vy = coefficients(w)
        return [(div[i] - a[i][0] * vx - a[i][1] * vy) / 2 for i in (0, 1)]

    def driven(w):
        """With e^V rot(psi e^-V), psi = sin(x) y, which moves nothing."""
        x, y = w
        _, _, _, vx, vy = coefficients(w)
        psi, px, py = np.sin(x) * y, np.cos(x) * y, np.sin(x)
        f = gradient(w)
        return f[0] + py - psi * vy, f[1] - px + psi * vx

    for drift, local, bound in ((gradient, True, 1e-11), (driven, False, 1e-8)):
        state = end_state(Diffusion(drift, noise, weights=2))
        assert state.curl.local is local
        x = grid(state, within=10)
        off = np.asarray(state.logpdf(x)) + coefficients(x)[2]
        off -= off[np.argmax(state.pdf(x))]
        assert np.abs(np.expm1(off) * state.pdf(x)).max() < bound * math.exp(state.peak)
        if not local:
            continue
        # Along the border between the basins x is a function of y; both sides by rules of Gauss.
        saddle = next(e for e in state.equilibria if e.kind == "saddle")
        t, w = np.polynomial.legendre.leggauss(120)

        def slope(y, x):
            fx, fy = gradient(np.array([[x[0]], [y]]))
            return fx / fy

        sides = np.zeros(2)
        for sign in (-1, 1):
            way = saddle.ways[1] * np.sign(saddle.ways[1][1]) * sign
            start = saddle.position + 1e-7 * way
            end = start[1] + sign * 7
            run = solve_ivp(
                slope, (start[1], end), start[:1], "DOP853", rtol=1e-13, atol=1e-14,
                dense_output=True, max_step=0.1,
            )  # fmt: skip
            y = saddle.position[1] + (end - saddle.position[1]) * (1 + t) / 2
            border = np.where(sign * (y - start[1]) > 0, run.sol(y)[0], start[0])
            for k, wall in enumerate((-6.0, 6.0)):
                x = wall + (border - wall)[:, None] * (1 + t) / 2
                inner = np.exp(-coefficients((x, y[:, None]))[2]) @ w * np.abs(border - wall)
                sides[k] += inner @ w * abs(end - saddle.position[1]) / 4
        off = abs(state.log_ratio(0, 1) - math.log(sides[0] / sides[1]))
        assert off < state.log_ratio_error(0, 1) < 1e-9


def test_integrals_and_marginals_are_right_to_rounding_also_in_tails():
    """Of a Gaussian on squares of 6.2 deviations: 12 x 12 points in the middle one are too few."""
    from stationary.plane.density import Density
    from stationary.plane.mesh import Mesh, basis

    mesh = Mesh.over(((-9.3, 9.3), (-9.3, 9.3)), (3, 3))
    x = mesh.points(basis(2).nodes)
    made = Density(mesh, (x**2).sum(axis=0) / 2, np.ones((mesh.count, 2, 2)))
    assert made.log_total == pytest.approx(math.log(2 * math.pi), abs=1e-13)
    at = np.linspace(-8, 8, 50)
    assert np.abs(made.marginals[0].cdf(at) - stats.norm.cdf(at)).max() < 1e-13
    corner = made.log_mass(((6.0, np.inf), (-np.inf, -5.0)))
    assert corner == pytest.approx(stats.norm.logsf(6) + stats.norm.logcdf(-5), abs=1e-11)


def test_a_limit_cycle_has_its_radial_law():
    """Also where the chain that finds the box has P fall faster than it does: probabilities near
    the sides were off by 5e-5, and claimed to 2e-7."""

    def drift(w):
        x, y = w
        r2 = x * x + y * y
        return x * (1.2 - r2) - (1 + r2) * y, y * (1.2 - r2) + (1 + r2) * x

    state = end_state(Diffusion(drift, 0.16, weights=2))
    x = grid(state)
    r2 = (x**2).sum(axis=0)
    total = math.pi * math.sqrt(math.pi * 0.32) * stats.norm.cdf(3)
    exact = np.exp(-((r2 - 1.2) ** 2) / 0.32) / total
    assert np.abs(state.pdf(x) - exact).max() < min(1e-8, state.error) / total
    far = ((0.0, 1.0), (1.8, np.inf))
    t, w = np.polynomial.legendre.leggauss(60)
    table = np.exp(-((((1 + t[:, None]) / 2) ** 2 + (2.4 + 0.6 * t) ** 2 - 1.2) ** 2) / 0.32)
    off = abs(state.log_probability(far) - np.log(0.3 * w @ table @ w / total))
    assert off < state.error_of(lambda s: s.log_probability(far)) < 1e-4
    assert state.basins[0].attractor is None
    assert state.basins[0].turns
    assert not state.basins[0].walls
    assert state.circulation > 0


@pytest.mark.parametrize("unit", [1.0, 1e-9])
def test_a_sense_of_rotation_is_named_where_it_is_known(unit):
    """The drift and the noise are their own mirror image (y to -y): no area is swept."""

    def drift(w):
        x, y = w[0] / unit, w[1] / unit
        return unit * (0.2 * y * y - x), -unit * y

    def noise(w):
        x = w[0] / unit
        return ((unit**2 * (0.3 + 0.1 * x * x), 0 * x), (0 * x, unit**2 * (0.2 + 0 * x)))

    state = end_state(Diffusion(drift, noise, weights=2))
    said = " ".join(state.summary().split())
    assert state.entropy_production > 0
    assert abs(state.circulation) <= state.circulation_error < 1e-12 * unit**2
    assert "on the whole neither way, as far as is known" in said
    assert "swept around the mean at 0 +- " in said
    turned = end_state(Diffusion(lambda x: (-x[0] - x[1], x[0] - x[1]), unit**2 / 3, weights=2))
    assert "on the whole anticlockwise" in turned.summary()


def kinetic(force, friction, temperature):
    """The same as `Kinetic`, for the road that does not know so: in a box as wide as it may be."""
    return Diffusion(
        lambda x: (x[1], force(x[0]) - friction(x[0]) * x[1]),
        lambda x: ((0 * x[0], 0 * x[0]), (0 * x[0], 2 * temperature * friction(x[0]))),
        domain=((-20, 20), (-20, 20)),
    )


@pytest.mark.parametrize("made", [Kinetic, kinetic])
def test_position_with_velocity_ends_in_gibbs_whatever_the_friction(made):
    state = end_state(made(lambda q: q - q**3, lambda q: 0.6 + 0.3 * np.cos(q), 0.2))
    x = grid(state)
    v = x[0] ** 4 / 4 - x[0] ** 2 / 2 + x[1] ** 2 / 2
    total = quad(lambda q: math.exp(-(q**4 / 4 - q**2 / 2) / 0.2), -5, 5, epsabs=0, epsrel=1e-12)
    exact = np.exp(-v / 0.2) / (total[0] * math.sqrt(0.4 * math.pi))
    assert np.abs(state.pdf(x) - exact).max() < min(1e-8, state.error) * exact.max()
    assert state.curl.noise.singular == "everywhere"
    assert ("no local energy" in state.curl.words) == (made is kinetic)
    assert ("energy exists, and it is local: V + v^2 / 2" in state.curl.words) == (made is Kinetic)
    assert state.to_dict()["curl"]["local_energy"] == (made is Kinetic)
    assert state.entropy_production is None
    assert state.error_of(lambda s: s.entropy_production) is None
    left, right = state.basins
    assert left.mass == pytest.approx(0.5, abs=1e-9)
    assert right.mass == pytest.approx(0.5, abs=1e-9)
    assert state.marginal(1).var() == pytest.approx(0.2, rel=1e-8)


def test_friction_that_depends_on_the_position_leaves_gibbs_and_what_it_cannot_do_is_said():
    state = end_state(Kinetic(lambda q: -q, friction=lambda q: 1 + q * q, temperature=0.5))
    assert state.cov() == pytest.approx(np.diag([0.5, 0.5]), abs=1e-10)
    assert "whatever the friction is" in " ".join(state.summary().split())
    with pytest.raises(LandscapeError, match=r"nothing holds the position.*q = -inf"):
        end_state(Kinetic(lambda q: -q / (1 + q * q), friction=0.3, temperature=3.0))


def test_masses_hold_where_borders_wind_around_a_well_and_come_from_one_integral_of_all():
    force, friction, a = (lambda q: -np.sinh(q) - 1.2 * np.cos(3 * q)), 1.0, 0.25
    state = end_state(Kinetic(force, friction=friction, temperature=a))
    # Each point of a grid goes on until its energy is below that of the saddle.
    energy = lambda q, v: np.cosh(q) - 1 + 0.4 * np.sin(3 * q) + v * v / 2  # noqa: E731
    top = state.equilibria[1].position[0]
    n = 301
    q, v = np.meshgrid(np.linspace(-3.2, 3.2, n), np.linspace(-3.9, 3.9, n))
    q, v = q.ravel(), v.ravel()
    p = np.exp(-energy(q, v) / a)
    q, v, p, right, h = *(u[p > 1e-9 * p.max()] for u in (q, v, p)), 0.0, 0.04
    total = p.sum()
    while len(q):
        for _ in range(20):  # the midpoints of steps are as good as the grid
            half = q + h / 2 * v, v + h / 2 * (force(q) - friction * v)
            q, v = q + h * half[1], v + h * (force(half[0]) - friction * half[1])
        done = energy(q, v) < energy(top, 0) - 1e-6
        right += p[done & (q > top)].sum()
        q, v, p = q[~done], v[~done], p[~done]
    assert state.basins[1].mass == pytest.approx(right / total, rel=2e-2)
    assert state.basins[1].mass == pytest.approx(0.0182952, abs=2e-7)
    assert abs(sum(b.mass for b in state.basins) - 1) < 1e-9
    assert all(b.mass_error < 1e-6 for b in state.basins)
    # Without a kink there are no narrow panels, though the line has some next to 0.
    assert np.diff(state.density.mesh.lines[0]).min() > 0.1
    # Parts that together hold what they cannot hold are refused, never shown.
    heavy = state._cut._replace(weight=state._cut.weight + 3)

    class Wrong(type(state.density)):
        def cut(self, labels, rough=False, only=()):
            return heavy

    density = Wrong(**{f.name: getattr(state.density, f.name) for f in fields(state.density)})
    wrong = replace(state, density=density)
    for asked in (lambda: wrong.basins, lambda: wrong.probability(0), lambda: str(wrong)):
        with pytest.raises(ConvergenceError, match="what basins hold could not be integrated"):
            asked()


def test_parts_of_the_plane_are_integrated_on_panels_however_narrow():
    narrow = 2.0 ** np.arange(-60, -20)
    lines = [
        np.sort(np.concatenate([-narrow, [-9.0, -6.0, 0.0, 6.0, 9.0], narrow])),
        np.linspace(-9, 9, 9),
    ]
    mesh = Mesh.between(*lines)
    phi = (mesh.points(basis(16).nodes) ** 2).sum(axis=0) / 2
    density = Density(mesh, phi, np.ones((mesh.count, 2, 2)))
    for at in (1e-3, 1e-11, 0.0):
        found = density.cut(lambda x, at=at: x[0] + 0.3 * x[1] > at)
        masses = [found.log_mass(k) - density.log_total for k in (0, 1)]
        t = at / math.sqrt(1.09)
        assert masses == pytest.approx([stats.norm.logcdf(t), stats.norm.logsf(t)], abs=1e-11)


def test_exit_times_of_a_product_are_those_of_the_line_and_their_claims_hold():
    process = Diffusion(
        lambda w: (w[0] - w[0] ** 3, -w[1]),
        lambda w: (0.15 + 0.05 * w[0] ** 2, 0.3 + 0 * w[1]),
        weights=2,
    )
    line = Diffusion(lambda x: x - x**3, lambda x: 0.15 + 0.05 * x**2, (-6, 6))
    everywhere = (-np.inf, np.inf)
    for ends, target in (((-0.5, np.inf), -0.5), ((-0.5, 1.5), (-0.5, 1.5))):
        found = stationary.mean_exit_time(process, (1.0, 0.2), (ends, everywhere))
        truth = stationary.mean_first_passage_time(line, 1.0, target)
        assert found.value == pytest.approx(truth, rel=1e-8)
        assert abs(found.value - truth) < found.absolute_error + 1e-12 * truth
    with pytest.raises(LandscapeError, match="never left"):
        stationary.mean_exit_time(process, (1.0, 0.2), (everywhere, everywhere))


def test_exit_times_from_a_disc_and_from_a_basin_are_what_they_are_and_their_claims_hold():
    a, radius = 0.5, 1.3
    process = Diffusion(lambda w: (-w[0], -w[1]), a, weights=2)
    x = np.array([[0.01, 0.3, 0.8, 1.2], [0.0, 0.4, -0.5, 0.3]])
    found = stationary.mean_exit_time(process, x, lambda p: (p**2).sum(axis=0) < radius**2)
    # tau' = -(e^(r^2 / a) - 1) / r
    truth = [quad(lambda s: math.expm1(s * s / a) / s, r, radius)[0] for r in np.hypot(*x)]
    assert np.allclose(found.value[:3], truth[:3], rtol=3e-5)
    assert np.allclose(found.value, truth, rtol=1e-3)
    assert (np.abs(found.value - truth) < found.absolute_error).all()

    double = Diffusion(
        lambda w: (w[0] - w[0] ** 3 + 0.1, -1.3 * w[1]),
        lambda w: (0.25 + 0.1 * w[0] ** 2, 0.3 + 0 * w[1]),
        weights=2,
    )
    line = Diffusion(lambda x: x - x**3 + 0.1, lambda x: 0.25 + 0.1 * x**2, (-6, 6))
    middle = next(e.position[0] for e in end_state(double).equilibria if e.kind == "saddle")
    found = stationary.mean_exit_time(double, (1.0, 0.2), 1)
    truth = stationary.mean_first_passage_time(line, 1.0, middle)
    assert found.value == pytest.approx(truth, rel=2e-3)
    assert abs(found.value - truth) < found.absolute_error


def test_exit_times_from_regions_askew_are_exact_where_they_are_parabolas_and_claimed_elsewhere():
    noise = np.array([[1.0, 0.6], [0.6, 0.8]])
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    form = turn @ np.diag([1.0, 6.0]) @ turn.T

    def inside(w):
        return 1 - (w * np.einsum("ij,jm->im", form, w)).sum(axis=0)

    still = Diffusion(lambda w: (0 * w[0], 0 * w[1]), noise, ((-1.5, 1.5), (-1.5, 1.5)))
    x = np.random.default_rng(0).uniform(-1, 1, (2, 60))
    x = x[:, inside(x) > 0.05]
    found = stationary.mean_exit_time(still, x, lambda w: inside(w) > 0)
    off = np.abs(found.value - inside(x) / np.trace(noise @ form))
    assert (off < found.absolute_error).all()
    assert found.absolute_error.max() < 1e-9
    # Across a straight line it is the exit time on the line.
    process, along = Diffusion(lambda w: (-w[0], -w[1]), 0.5, weights=2), np.array([0.6, 0.8])
    line, starts = Diffusion(lambda s: -s, 0.5), [-0.2, 0.05, 0.5]
    truth = np.array([float(stationary.mean_first_passage_time(line, s, -0.3)) for s in starts])
    x = np.outer(along, starts) + np.array([[-0.8], [0.6]]) * (0.7, 0.2, -0.4)
    found = stationary.mean_exit_time(process, x, lambda w: along @ w > -0.3)
    assert (np.abs(found.value - truth) < found.absolute_error).all()
    assert np.allclose(found.value, truth, rtol=1e-4)


def bent_by(bend, process):
    """The same process in x = (y_1, y_2 + bend y_1^2), of one whose noise is diagonal."""

    def back(w):
        return np.stack([w[0], w[1] - bend * w[0] ** 2])

    def drift(w):
        f, a = process.drift(back(w)), process.variance(back(w))
        return f[0], f[1] + 2 * bend * w[0] * f[0] + bend * a[0]

    def variance(w):
        (a, b), s = process.variance(back(w)), 2 * bend * w[0]
        return (a, s * a), (s * a, b + s * s * a)

    return Diffusion(drift, variance, weights=2), back


def log_time_in_disc(a, radius, r):
    """Of dr = -r dt + a / (2 r) dt + sqrt(a) dB: tau' = -(e^(r^2 / a) - 1) / r."""

    def scaled(s):
        return (math.exp((s * s - radius**2) / a) - math.exp(-(radius**2) / a)) / s

    near = max(r, radius - 60 * a / radius)
    parts = [quad(scaled, *ends, epsabs=0, epsrel=1e-13)[0] for ends in ((r, near), (near, radius))]
    return radius**2 / a + math.log(sum(parts))


@pytest.mark.parametrize(("a", "within"), [(2.0, 1e-9), (0.1, 1e-7), (0.014, 1e-4)])
def test_exit_times_of_a_disc_are_known_beyond_barriers_of_e_to_the_100(a, within):
    """With a current, or in other coordinates, the times are the same."""
    radius, starts = 1.2, np.array([[0.05, 0.6], [0.1, -0.4]])
    truth = [log_time_in_disc(a, radius, r) for r in np.hypot(*starts)]
    turned = Diffusion(lambda w: (w[1] - w[0], -w[0] - w[1]), a, weights=2)
    found = [stationary.mean_exit_time(turned, starts, lambda w: np.hypot(*w) < radius)]
    if a == 0.1:
        still = Diffusion(
            lambda w: (-w[0], -w[1]), lambda w: (a + 0 * w[0], a + 0 * w[1]), weights=2
        )
        bent, back = bent_by(0.4, still)
        x = np.stack([starts[0], starts[1] + 0.4 * starts[0] ** 2])
        found.append(stationary.mean_exit_time(bent, x, lambda w: np.hypot(*back(w)) < radius))
    for times in found:
        assert (np.abs(times.log - truth) < times.error).all()
        assert np.allclose(times.log, truth, rtol=0, atol=within / 10)
        assert times.error.max() < within


@pytest.mark.parametrize("shift", [(-5.2, -227.7), (97.0, -8.8), (1781.0, 40.1), (0.0, 0.0)])
@pytest.mark.parametrize("slant", [(0.38, 0.42), (2.8, 0.49), (-2.1, 0.06)])
def test_a_slanting_region_far_from_the_origin_is_in_its_box_to_its_tips(shift, slant):
    """A first look with steps of 5 along one direction saw a row of it, and cut off all else."""
    way, middle = np.array([(1.0, 0.0), slant]), np.array(shift)[:, None]
    back = np.linalg.inv(way)
    still = Diffusion(lambda w: (middle[0] - w[0], middle[1] - w[1]), 0.5, weights=2)
    x = way @ np.array([[0.1, -0.5, 0.3], [0.2, 0.3, -0.6]]) + middle
    box = _around(still.diffusion(), lambda w: np.hypot(*(back @ (w - middle))) < 1, x)
    reach = np.hypot(*way.T)[:, None] * (-1, 1)
    assert ((np.array(box) - middle - reach) * (-1, 1) >= 0).all()
    assert (np.ptp(box, axis=1) < 4 * reach[:, 1]).all()


@pytest.mark.parametrize("thin", [1e-2, 5e-4])
def test_what_is_thin_and_slants_or_bends_lies_in_its_box_to_its_tips(thin):
    """Grids do not see it: of ellipses of 1 : 300 to 1 : 3000 four of five were cut off."""
    still = Diffusion(lambda w: -w, 0.5, weights=2).diffusion()
    way = np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]]) * [1, thin]
    back, x = np.linalg.inv(way), way @ np.array([[-0.6], [0.3]])
    slants = _around(still, lambda w: np.hypot(*(back @ w)) < 1, x)
    reach = np.hypot(*way.T)[:, None] * (-1, 1)
    assert (reach * (-1, 1) <= slants * np.array((-1, 1))).all()
    assert (np.ptp(slants, axis=1) < 1.5 * np.ptp(reach, axis=1)).all()

    def ring(w):  # three quarters of one
        return (np.abs(np.hypot(*w) - 1) < thin) & ((w[0] < 0) | (w[1] > 0))

    bends = np.array(_around(still, ring, np.array([[np.cos(0.3)], [np.sin(0.3)]])))
    assert (bends * (-1, 1) >= 1).all()
    assert (np.abs(bends) < 1.3).all()


def test_around_one_attractor_log_p_is_known_down_to_an_edge_whatever_circulates():
    """A current along circles, on which P is the same; walls that reflect lie beyond the edge."""
    from stationary.plane.barriers import within

    def drift(w):
        pull = 1 + w[0] ** 2 + w[1] ** 2
        return 0.5 * w[1] - pull * w[0], -0.5 * w[0] - pull * w[1]

    process, a = Diffusion(drift, 0.05, weights=2).diffusion(), 0.05
    turn, r = np.linspace(0, 2 * np.pi, 50), np.linspace(0, 1, 40)
    edge = np.stack([np.cos(turn), np.sin(turn)])
    found = within(process, everywhere(process), ((-1, 1), (-1, 1)), edge)
    x = r * np.stack([np.cos(9 * r), np.sin(9 * r)])
    logs = np.array([d.log_at(x) for d in (found.density, *(d for _, d in found.others))])
    off = logs - logs[:, :1] + (r**2 + r**4 / 2) / a
    assert np.abs(off[0]).max() < 1e-9 < np.abs(off[1:]).max() < 1e-6


def test_exit_times_ask_for_the_law_around_the_one_attractor_that_their_box_holds(monkeypatch):
    from types import SimpleNamespace

    from stationary.plane import leaving

    def asked(*given):
        raise ConvergenceError("not this one")

    monkeypatch.setattr(leaving, "within", lambda *given: SimpleNamespace(density=given, others=()))
    monkeypatch.setattr(leaving, "plane_end_state", asked)
    wells = Diffusion(lambda w: (w[0] - w[0] ** 3 + 0.3 * w[1], -w[1]), 0.1, weights=2)
    edge = np.array([[0.2], [0.0]])
    for box, many in ((((0.2, 2), (-1, 1)), 1), (((-2, 2), (-1, 1)), 0), (((1.5, 2), (-1, 1)), 0)):
        found = list(leaving._solved(wells, box, edge))
        assert len(found) == many
        assert all(np.allclose(law[0][1][0].position, (1, 0)) for law in found)
    thin = Kinetic(lambda q: -q, temperature=0.1)
    assert not list(leaving._solved(thin, ((-1, 1), (-1, 1)), edge))


def test_exit_times_across_a_line_askew_are_those_of_a_double_well_on_the_line():
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    for a in (0.1, 0.03):

        def drift(w):
            y = turn.T @ w
            return turn @ np.stack([y[0] - y[0] ** 3, -y[1]])

        askew = Diffusion(drift, turn @ np.diag([a, 0.3]) @ turn.T, weights=2)
        found = stationary.mean_exit_time(
            askew, turn @ [1.0, 0.2], lambda w: 0.8 * w[0] + 0.6 * w[1] > 0.1
        )
        line = Diffusion(lambda x: x - x**3, a, (-6, 6))
        truth = stationary.log_mean_first_passage_time(line, 1.0, 0.1)
        assert abs(found.log - truth) < found.error < 1e-8


def test_a_coordinate_that_leaves_alone_takes_the_time_of_the_line_at_any_barrier():
    """And both together the integral of the products of how likely each is still inside."""
    process = Diffusion(
        lambda w: (w[0] - w[0] ** 3, -w[1]), lambda w: (0.004 + 0 * w[0], 0.1 + 0 * w[1]), weights=2
    )
    line = Diffusion(lambda x: x - x**3, 0.004, (-6, 6))
    x = np.array([[1.0, 0.5], [0.2, -0.1]])
    found = stationary.mean_exit_time(process, x, ((0.0, np.inf), (-np.inf, np.inf)))
    truth = stationary.log_mean_first_passage_time(line, x[0], 0.0)
    assert truth.min() > 115
    assert np.allclose(found.log, truth, rtol=1e-13)
    assert (np.abs(found.log - truth) <= found.error).all()


def test_corners_of_a_region_that_rectangles_hardly_reach_count():
    """A parallelogram, of which other coordinates make a rectangle."""
    slant, a, b = np.array([[1.0, 0.5], [-0.2, 0.9]]), 0.5, 0.75
    back = np.linalg.inv(slant)
    even = Diffusion(lambda w: (-w[0], -w[1]), lambda w: (a + 0 * w[0], b + 0 * w[1]), weights=2)
    askew = Diffusion(lambda w: (-w[0], -w[1]), slant @ np.diag([a, b]) @ slant.T, weights=2)

    def inside(w):
        y = np.einsum("ij,jm->im", back, w)
        return (y[0] > -1) & (y[0] < 1.2) & (y[1] > -1.1) & (y[1] < 1.3)

    y = np.array([[0.3, -0.8], [-0.2, 1.0]])
    one = stationary.mean_exit_time(even, y, ((-1, 1.2), (-1.1, 1.3)))
    other = stationary.mean_exit_time(askew, slant @ y, inside)
    assert (np.abs(one.log - other.log) < one.error + other.error).all()
    assert max(one.error.max(), other.error.max()) < 1e-6
    # The rules themselves: area, and outward normals that cancel round the edge.
    mesh = Mesh.over(((-1.75, 2.15), (-1.45, 1.65)), (9, 9))
    area, edge = held(inside, np.arange(mesh.count), mesh.low, mesh.size)
    assert area.weight.sum() == pytest.approx(2.2 * 2.4 * np.linalg.det(slant), abs=1e-6)
    assert np.abs(edge.weight.sum(axis=1)).max() < 3e-3
    area, edge = held(lambda w: np.hypot(*w) < 1.3, np.arange(mesh.count), mesh.low, mesh.size)
    assert area.weight.sum() == pytest.approx(math.pi * 1.69, rel=1e-13)
    assert np.linalg.norm(edge.weight, axis=0).sum() == pytest.approx(2.6 * math.pi, rel=1e-12)


def test_where_no_noise_crosses_an_edge_that_leads_in_nothing_ends():
    """Position and velocity, the law of which is Gibbs's: exit times with its factor, and without;
    and across a disc, where no rectangle ends."""
    kinetic = Kinetic(lambda q: q - q**3, temperature=0.2)
    box = ((0.0, np.inf), (-np.inf, np.inf))
    found = stationary.mean_exit_time(kinetic, (1.0, 0.0), box)
    assert found.value == pytest.approx(21.864, abs=2e-3)  # of rectangles half as large
    assert found.error < 1e-4
    still = Diffusion(lambda w: (0 * w[0], 0 * w[1]), 1.0, weights=2)
    leaving = stationary.mean_exit_time(still, (0.1, 0.0), lambda w: np.hypot(*w) < 1)
    assert abs(leaving.value - 0.495) < leaving.absolute_error + 1e-15  # although nothing holds it
    with pytest.raises(ConvergenceError, match="never left"):
        stationary.mean_exit_time(
            Diffusion(lambda w: (-w[0], -w[1]), 0.1, weights=2), (0.1, 0.0), lambda w: w[0] < 1e3
        )


def test_a_stretched_basin_holds_what_it_does_on_the_line_and_what_the_law_says():
    """A product: along x it is a double well, whose own width bias is exact."""
    process = Diffusion(
        lambda w: (w[0] - w[0] ** 3 + 0.1, -1.3 * w[1]),
        lambda w: (0.25 + 0.1 * w[0] ** 2, 0.3 + 0 * w[1]),
        weights=2,
    )
    line = Diffusion(lambda x: x - x**3 + 0.1, lambda x: 0.25 + 0.1 * x**2, (-6, 6))
    factors = [1, 1.4]
    state = end_state(process)
    exact = stationary.width_bias(line, minimum=1, dilate=factors).dilation
    found = stationary.width_bias(state, minimum=1, dilate=factors, direction="first")
    density = [float(v) for v in exact.log_density_ratios]
    mass = [float(v) for v in exact.log_mass_ratios]
    assert np.allclose(found.log_density, density, atol=1e-7)
    assert np.allclose(found.log_mass, mass, atol=1e-7)
    assert (np.abs(found.log_mass - mass) <= found.mass_error + 1e-12).all()
    assert np.allclose(found.law_density, density, atol=1e-5)
    assert "stretched along the first direction" in found.summary()
    assert found.to_dict()["dilation"]["log_mass"][1] == found.log_mass[1]
    ends = [e.position[0] for e in state.equilibria][1:]
    exponent = quad(lambda x: 2 * (x - x**3 + 0.1) / (0.25 + 0.1 * x**2), *ends, epsabs=1e-13)[0]
    assert abs(found.exponents[0] - exponent) <= found.exponent_errors[0] < 1e-4
    for m in found.to_dict()["minima"]:
        assert 0 < m["log_density_error"] < 1e-9
    # What is wider along y, too, is so for all of it.
    both = stationary.width_bias(state, minimum=1, dilate=[1.4])
    assert both.log_mass[0] == pytest.approx(mass[1], abs=1e-7)


@pytest.mark.parametrize(("turn", "k"), [(0.0, 1.5), (0.8, 1.0)])
def test_heavy_tails_on_the_whole_plane_have_their_power(turn, k, capfd):
    """a = (1 + r^2) I and f = -k x, turned or not: (1 + r^2)^-(1 + k)."""
    process = Diffusion(
        lambda w: (-k * w[0] - turn * w[1], -k * w[1] + turn * w[0]),
        lambda w: 1 + w[0] ** 2 + w[1] ** 2,
        weights=2,
    )
    state = end_state(process)
    assert state.curl.local is (turn == 0)
    x = np.array([[0.0, 0.5, -3.0, 40.0, 1.0], [0.0, -2.0, 3.0, 5.0, 900.0]])
    exact = k / math.pi * (1 + (x**2).sum(axis=0)) ** -(1 + k)
    assert (np.abs(state.pdf(x) - exact) < max(state.error, 1e-9) * exact[0]).all()
    assert state.pdf(x) == pytest.approx(exact, rel=1e-3)
    assert np.abs(state.mean()).max() < 1e-7
    # Along x alone it is Student's t.
    law = stats.t(2 * k, scale=1 / math.sqrt(2 * k))
    assert np.allclose(
        state.marginal(0).cdf([-5.0, 0.3, 60.0]), law.cdf([-5.0, 0.3, 60.0]), atol=1e-7
    )
    assert state.marginal(0).ppf(0.975) == pytest.approx(law.ppf(0.975), rel=1e-6)
    assert state.std() == pytest.approx(law.std(), rel=1e-3)
    assert ("infinite" in state.summary()) is (k == 1)
    assert f"|x_1|^-{2 * k + 1:g}" in " ".join(state.notes)
    assert capfd.readouterr() == ("", "")


def quadratics():
    rng = np.random.default_rng(5)
    centre = rng.normal(size=(4, 2))
    roots = rng.normal(size=(4, 2, 2))
    bent = np.einsum("nij,nkj->nik", roots, roots) + np.eye(2)

    def losses(w):
        rows = []
        for h, c in zip(bent, centre, strict=True):
            x, y = w[0] - c[0], w[1] - c[1]
            rows.append((h[0, 0] * x * x + 2 * h[0, 1] * x * y + h[1, 1] * y * y) / 2)
        return rows

    return losses, bent, np.einsum("nij,nj->ni", bent, centre)


def test_sgd_on_quadratics_has_rational_moments():
    losses, bent, shift = quadratics()
    rate = 0.05
    # The law is narrow in the domain: cells as wide as that would see noise as low as nothing.
    domain = ((-30, 30), (-30, 30))
    process = Landscape(losses=losses, domain=domain, learning_rate=rate, batch_size=2)
    state = end_state(process)
    h, b = bent.mean(axis=0), shift.mean(axis=0)
    mean = np.linalg.solve(h, b)
    # E w w^T solves a linear equation, since a is quadratic in w.
    eye = np.eye(2)

    def covariance(second):
        each = [
            m @ second @ m - np.outer(m @ mean, s) - np.outer(s, m @ mean) + np.outer(s, s)
            for m, s in zip(bent, shift, strict=True)
        ]
        whole = h @ second @ h - np.outer(h @ mean, b) - np.outer(b, h @ mean) + np.outer(b, b)
        return np.mean(each, axis=0) - whole

    def residual(second):
        drift = h @ second - np.outer(b, mean)
        return -rate * (drift + drift.T) + rate**2 / 2 * covariance(second)

    base = residual(np.zeros((2, 2)))
    columns = [residual(np.outer(eye[i], eye[j])) - base for i in (0, 1) for j in (0, 1)]
    matrix = np.stack([c.ravel() for c in columns], axis=1)
    second = np.linalg.lstsq(matrix, -base.ravel(), rcond=None)[0].reshape(2, 2)
    assert np.allclose(state.mean(), mean, atol=1e-7)
    assert np.allclose(state.cov(), second - np.outer(mean, mean), rtol=1e-6)
    assert process.gradient_rows(mean[:, None], 0)[0][()].shape == (4, 1)
    # With more noise tails are powers, and those of a rough chain fall too slowly.
    process = Landscape(losses=losses, weights=2, learning_rate=2 * rate).diffusion()
    chart = around(everywhere(process))
    assert np.abs(found_on_grid(chart.process(process), (), CUT, FARTHEST).box).max() < 15


def test_mirrored_basins_hold_half_each_and_swapped_axes_change_nothing():
    def drift(w):
        x, y = w
        return x - x**3 + y, -y - 0.4 * x * (1 - x * x)

    def noise(w):
        return 0.4 + 0.1 * w[0] ** 2, 0.3 + 0 * w[1]

    state = end_state(Diffusion(drift, noise, weights=2))
    left, right = state.basins
    assert left.mass == pytest.approx(0.5, abs=1e-8)
    assert right.mass == pytest.approx(0.5, abs=1e-8)
    turned = end_state(
        Diffusion(lambda w: drift(w[::-1])[::-1], lambda w: noise(w[::-1])[::-1], weights=2)
    )
    x = grid(state, 21)
    assert np.allclose(turned.pdf(x[::-1]), state.pdf(x), atol=1e-8 * math.exp(state.peak))
    assert turned.circulation == pytest.approx(-state.circulation, rel=1e-6)


def test_singular_noise_is_found_and_named():
    centre = np.random.default_rng(0).normal(size=(5, 2))

    def landscape(count):
        return Landscape(
            losses=lambda w: [
                (w[0] - p) ** 2 * (1 + 0.3 * w[1] ** 2) + np.cos(w[1] - q) + w[1] ** 2
                for p, q in centre[:count]
            ],
            domain=((-2, 2), (-2, 2)),
            learning_rate=0.05,
        )

    from stationary.plane.curl import curl_test

    found = [curl_test(p.diffusion(), p.domain).noise for p in map(landscape, (2, 3, 5))]
    assert [n.singular for n in found] == ["everywhere", "on curves", "nowhere"]
    assert not any(n.gate for n in found)


@pytest.mark.parametrize("unit", [1.0, 1e-9])
def test_curves_that_no_noise_crosses_are_gates_where_the_drift_does_one_way(unit):
    def process(drift, noise):
        def f(w):
            return tuple(unit * v for v in drift(w[0] / unit, w[1] / unit))

        def a(w):
            made = noise(w[0] / unit, w[1] / unit)
            return [[unit**2 * v for v in row] for row in made]

        return Diffusion(f, a, domain=((-3 * unit, 3 * unit),) * 2)

    # Where coordinates are apart, the gate lies beside the box of the density.
    state = end_state(
        process(lambda x, y: (1 - x, -y), lambda x, y: ((x * x, 0 * x), (0 * x, 0.1 + 0 * x)))
    )
    assert state.curl.noise.singular == "nowhere"
    assert state.curl.noise.gate
    assert {p[0] for p in state.curl.noise.where} == {0}
    assert "crosses these one way: what it leads out of is left for good" in " ".join(
        state.summary().split()
    )

    # Noise that vanishes in all directions at once, on a circle: inwards, or as the drift turns.
    def ring(x, y):
        a = (x * x + y * y - 1) ** 2
        return ((a, 0 * x), (0 * x, a))

    for drift, gate in (
        (lambda x, y: (0.2 - x, -y), True),
        (lambda x, y: (2 - x, -y), False),
        (lambda x, y: (-y, x), False),
    ):
        made = process(drift, ring)
        noise = curl_test(made, made.domain).noise
        assert (noise.singular, noise.gate) == ("on curves", gate)
        assert np.hypot(*np.transpose(noise.where)) == pytest.approx(unit)
    made = process(
        lambda x, y: (-x, -y), lambda x, y: ((x * x + y * y, 0 * x), (0 * x, x * x + y * y))
    )
    assert curl_test(made, made.domain).noise.singular == "at points"


@pytest.mark.parametrize(("unit", "shift"), [(1.0, 0.0), (1e-6, 3.0)])
def test_noise_that_vanishes_on_a_line_oblique_to_the_grid_is_on_curves(unit, shift):
    """Three parabolas: det a is the square of a linear function, -1.32 x - 5.28 y - 14.08."""

    def losses(w):
        x, y = ((c - shift) / unit for c in w)
        return [
            unit**2 * loss
            for loss in (
                (x - 1) ** 2 + y**2,
                1.3 * (x + 1) ** 2 + 0.6 * (y - 0.5) ** 2,
                0.7 * x**2 + 1.4 * (y + 1) ** 2,
            )
        ]

    sgd = Landscape(losses=losses, weights=2, learning_rate=0.8).diffusion()
    domain = ((shift - 6 * unit, shift + 6 * unit), (shift - 5 * unit, shift + 4 * unit))
    noise = curl_test(sgd, domain).noise
    assert noise.singular == "on curves"
    x, y = (np.transpose(noise.where) - shift) / unit
    assert np.abs(1.32 * x + 5.28 * y + 14.08).max() < 1e-3

    # Where it vanishes like the distance itself.
    made = Diffusion(
        lambda w: (-w[0], -w[1]),
        lambda w: ((np.abs(w[0] + 0.37 * w[1] - 0.2), 0 * w[0]), (0 * w[0], 0.5 + 0 * w[0])),
        domain=((-3, 3), (-3, 3)),
    )
    assert curl_test(made, made.domain).noise.singular == "on curves"


def test_grids_of_which_two_agree_by_chance_know_no_more_than_the_third(monkeypatch):
    """Where gradients jump grids scatter: one deviation was 6 times beyond its claim."""
    from stationary.plane import finite

    made, off = finite._chain, {72: 0.0, 56: 1e-5}

    def scattered(state, stepper, n, *rest):
        found, within = made(state, stepper, 30, 1e-6, *rest[1:])
        return finite.Measured(found.values + off.get(n, 0.1), found.errors), within

    monkeypatch.setattr(finite, "_chain", scattered)
    bent = Landscape(
        lambda w: [(w[0] - c) ** 2 / 2 + w[0] ** 4 / 40 + (w[1] + d) ** 2 / 2
                   for c, d in ((0.3, 0.5), (-0.4, 0.1), (0.0, -0.6))],
        weights=2,
        learning_rate=0.3,
        domain=((-2, 2), (-2, 2)),
    )  # fmt: skip
    errors = check(bent, simulation=False).to_dict()["chain"]
    assert min(e["error"] for e in errors.values()) >= 0.1


@pytest.mark.parametrize(("unit", "shift"), [(1.0, 0.0), (1e-6, 3.0)])
def test_basins_that_no_minibatch_leads_out_of_are_named(unit, shift):
    """The slope of the well is 0.385 at most: four datapoints tilt it by less, or one by more.

    Then minibatches lead from one root of x^3 - x = +-0.37 to the next, and all over (-0.4, 0.4).
    """

    def landscape(tilts):
        def losses(w):
            x, y = ((v - shift) / unit for v in w)
            return [
                unit**2 * ((x * x - 1) ** 2 / 4 + a * x + 0.5 * (y - b) ** 2)
                for a, b in zip(tilts, (-0.4, 0.4, 0.4, -0.4), strict=True)
            ]

        ends = (shift - 2 * unit, shift + 2 * unit)
        return Landscape(losses=losses, weights=2, learning_rate=0.3, domain=(ends, ends))

    if unit == 1:  # what `check` says of them
        one = check(landscape((-0.37, 0.42, -0.37, 0.37)), walkers=50, steps=100)
        assert one.kept == one.lasting == (0,)
        assert one.outcome == "fails"
        assert "no minibatch leads out of basin 0" in " ".join(one.summary().split())
        return
    state = end_state(landscape((-0.37, 0.37, -0.36, 0.36)))
    found = kept_in(state, state.diffusion.stepper)
    assert list(found) == [0, 1]
    roots = np.sort(np.abs(np.roots([1, 0, -1, 0.37]).real))[1:]
    for box, side in zip(found.values(), (-1, 1), strict=True):
        x, y = (box - shift) / unit
        assert np.sort(np.abs(x)) == pytest.approx(roots, abs=0.04)
        assert (x * side > 0).all()
        assert y == pytest.approx([-0.4, 0.4], abs=0.02)


def test_a_curl_that_is_the_same_everywhere_has_no_place():
    """Of f = -x + 0.65 J x and noise of 0.14: 2 (0.65 + 0.65) / 0.14, but for rounding."""
    from stationary.plane.curl import curl_test

    process = Diffusion(
        lambda x: np.array([-x[0] + 0.65 * x[1], -0.65 * x[0] - x[1]]), 0.14, ((-4, 4), (-4, 4))
    )
    found = curl_test(process, process.domain)
    assert (found.local, found.where) == (False, None)
    assert found.maximum == pytest.approx(2.6 / 0.14)
    assert found.words.endswith("The curl is 18.57 +- 1e-08 everywhere.")


def test_around_a_minimum_any_number_of_weights_has_its_gaussian_and_its_curl():
    m = np.array([[-2.0, 1.0, 0.0], [-1.0, -1.0, 0.5], [0.0, -0.5, -3.0]])

    def drift(w):
        x, y, z = w
        return -2 * x + y - x**3, -x - y + 0.5 * z, -0.5 * y - 3 * z + x * x

    (only,) = stationary.equilibria(Diffusion(drift, 0.1, domain=((-1, 1),) * 3))
    assert np.abs(only.position).max() < 1e-12
    assert np.allclose(only.jacobian, m)
    assert np.allclose(m @ only.covariance + only.covariance @ m.T, -0.1 * np.eye(3))
    assert only.curl == pytest.approx(2 * 2 / 0.1)
    with pytest.raises(LandscapeError, match=r"one weight and for two, not for 3"):
        end_state(Diffusion(drift, 0.1, domain=((-1, 1),) * 3))


def test_curvature_of_the_metric():
    """For a = s I it is s Delta(log s) / 2."""
    process = Diffusion(
        lambda w: (-w[0], -w[1]), lambda w: 1 + w[0] ** 2 + w[1] ** 2, ((-3, 3), (-3, 3))
    )
    state = end_state(process)
    x = np.array([[0.3, -1.0], [0.7, 2.0]])
    assert np.allclose(state.metric.curvature(x), 2 / (1 + (x**2).sum(axis=0)))


def quartics(w):
    return [(w - a) ** 4 / 4 + (w - a) ** 2 / 4 for a in (0.2, -0.5, -2.4, 2)]


def product(w):
    """Gradients of all datapoints lie along (b, a): nothing holds a^2 - b^2 up."""
    a, b = w
    points = ((1, 1.2), (1, 0.5), (2, 2.5), (0.5, 0))
    return [(a * b * x - y) ** 2 / 2 + 0.05 * (a**2 + b**2) for x, y in points]


def fewer_left_of_zero(w):
    rows = w[0] ** 2 + w[1] ** 2, (w[0] - 1) ** 2 + w[1] ** 2, (w[1] - 1) ** 2
    return rows if w[0].mean() > 0 else rows[:2]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Diffusion(lambda x: -x[0], 0.1, ((-2, 2), (-1, 3))), r"2 rows.*one number"),
        (
            lambda: Diffusion(
                lambda x: (-x[0], -x[1]), lambda x: ((x[0], 1), (1, 1)), ((-2, 2), (-1, 3))
            ),
            r"not be negative in any direction, but at x = \(.*eigenvalue",
        ),
        (
            lambda: Diffusion(
                lambda x: (0.5 - x[0], 0.4 - x[1]),
                lambda x: ((x[0] - x[0] ** 2, -x[0] * x[1]), (-x[0] * x[1], x[1] - x[1] ** 2)),
                ((0, 1), (0, 1)),
            ),
            r"Shares whose sum is below 1 fill no box: take x and y / \(1 - x\)",
        ),
        (
            lambda: Diffusion(
                lambda x: (-x[0], -x[1]), lambda x: ((2, 1), (0, 1)), ((-2, 2), (-1, 3))
            ),
            r"symmetric",
        ),
        (
            lambda: Diffusion(lambda x: (-x[0], -x[1]), 1, domain=(-1, 3), weights=2),
            r"pair of ends for each of 2 weights",
        ),
        (
            lambda: Landscape(
                losses=lambda w: ((w - 1) ** 2, (w + 1) ** 2), weights=2, learning_rate=0.1
            ),
            r"treats w as one weight",
        ),
        (
            lambda: end_state(Diffusion(lambda x: (-x[0], -x[1]), ((1, 1), (1, 1)), weights=2)),
            r"collapses onto a line",
        ),
        (
            lambda: end_state(
                Diffusion(
                    lambda x: (x[0] / 9, x[1] / 9), lambda x: 1 + x[0] ** 2 + x[1] ** 2, weights=2
                )
            ),
            r"tails are heavy|nothing holds the process",
        ),
        (
            lambda: stationary.width_bias(
                Diffusion(lambda x: (-x[0], -x[1]), 0.1, weights=2), direction="first"
            ),
            r"nothing is asked of it",
        ),
        (
            lambda: stationary.mean_exit_time(
                Diffusion(lambda x: (-x[0], -x[1]), 0.1, weights=2), (2, 0), lambda x: x[0] < 1
            ),
            r"does not lie in the region",
        ),
        (lambda: end_state(Diffusion(lambda x: (x[0], -x[1]), 1, weights=2)), r"no end state"),
        (
            lambda: end_state(Diffusion(lambda x: (x[0] ** 3, -x[1]), 0.1, weights=2)),
            r"nothing holds the process|runs away",
        ),
        (
            lambda: end_state(Kinetic(lambda q: -q, temperature=0.3, domain=((-1, 1), (-3, 3)))),
            r"leads out across|no density was found",
        ),
        (
            lambda: end_state(Landscape(losses=product, learning_rate=0.1, domain=2 * [(0, 3)])),
            r"all collapses onto a line through \(1.00399, 1.00399\)",
        ),
        (
            lambda: end_state(
                stationary.phase_space(
                    Landscape(quartics, learning_rate=0.05, batch_size=2, momentum=0.9)
                )
            ),
            r"nothing holds the process",  # chances beyond doubles made its chain singular
        ),
        (lambda: Kinetic(lambda q: -q, temperature=-1), r"positive number"),
        (
            lambda: end_state(Diffusion(lambda x: (-x[0], -x[1]), 0.1, weights=2)).probability(
                lambda x: x[0]
            ),
            r"returns a truth value for each, not an array of shape \(\d+,\) of float64",
        ),
        (
            lambda: stationary.evolve(EXAMPLES / "two_weights.py", times=[1.0]),
            r"one weight, and this process has 2",
        ),
        (
            lambda: end_state(Landscape(lambda w: (*w, np.zeros(3)), weights=2, learning_rate=0.1)),
            r"rows of shapes \(\d+,\) and \(3,\)",
        ),
        (
            lambda: end_state(Landscape(fewer_left_of_zero, weights=2, learning_rate=0.1)),
            r"the number of datapoints changed from \d to \d",
        ),
        (
            lambda: Landscape(gradients=lambda w: ([], []), weights=2, learning_rate=0.1),
            r"gradients returned no datapoints",
        ),
    ],
)
def test_what_is_wrong_is_said(make, words):
    with pytest.raises(StationaryError, match=words):
        make()


def test_basins_that_meet_at_a_maximum_are_told_apart_as_near_to_it_as_its_borders_bunch_up():
    """They all leave it along the slower of its two directions."""

    def drift(x):
        slope = (x[0] ** 3 - x[0] + 0.1 * x[1], x[1] ** 3 - 0.6 * x[1] + 0.1 * x[0] - 0.05)
        return -slope[0] - 0.3 * slope[1], -slope[1] + 0.3 * slope[0]

    state = end_state(Diffusion(drift, 0.4, ((-2.5, 2.5), (-2.5, 2.5)), weights=2))
    top = next(e.position for e in state.equilibria if e.kind == "unstable")
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)])
    x = np.concatenate([top[:, None] + r * ring for r in (0.01, 0.03, 0.1)], axis=1)
    run = solve_ivp(
        lambda _, y: np.concatenate(drift(y.reshape(2, -1))), (0, 40), x.ravel(), rtol=1e-6, atol=0
    )
    ends = run.y[:, -1].reshape(2, -1)
    wells = np.array([b.position for b in sorted(state.basins, key=lambda b: b.index)])
    nearest = np.linalg.norm(ends.T[:, None] - wells, axis=2).argmin(axis=1)
    assert len(wells) == 4
    assert (state.basin_of(x) == nearest).all()
    assert abs(sum(b.mass for b in state.basins) - 1) < 1e-12


def test_a_region_is_resolved_where_the_density_beside_it_is_larger_by_far():
    """e^(-r^4 / (4 T)) outside of a disc, with a claim of 1e-11: it was off by 0.6 in the log."""
    noise, radius = 3e-3, 1.0
    process = Diffusion(lambda w: -w * (w**2).sum(axis=0), 2 * noise, ((-3, 3), (-3, 3)), weights=2)
    state = end_state(process)

    def log(s):
        return s.log_probability(lambda x: (x**2).sum(axis=0) > radius**2)

    truth = math.log(2) + stats.norm.logcdf(-(radius**2) / math.sqrt(2 * noise))
    assert abs(log(state) - truth) < state.error_of(log) < 1e-10


def test_corners_of_regions_are_seen_wherever_they_lie():
    """Of a rectangle that is turned one was cut, by up to 1e-6 with a claim of 1e-10."""
    state = end_state(Diffusion(lambda x: (-x[0] + 0.8 * x[1], -x[1] - 0.8 * x[0]), 2.0, weights=2))
    for (x, y), size, angle in (
        ((-0.444, -0.243), 0.87, 4.351),
        ((0.573, 0.565), 0.466, 2.0),
        ((1.782, 2.045), 2.788, 6.204),
    ):
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        low = np.array([x, y]) - size
        high = low + size * np.array([2.0, 1.4])

        def inside(w, turn=turn, low=low, high=high):
            v = turn @ w - low[:, None]
            return ((v > 0) & (v < (high - low)[:, None])).all(axis=0)

        truth = np.prod(stats.norm.cdf(high) - stats.norm.cdf(low))
        off = abs(state.probability(inside) - truth)
        assert off < state.error_of(lambda s, of=inside: s.probability(of)) < 1e-8
    assert state.probability(lambda w: w[0] > -1e3) == pytest.approx(1, abs=1e-12)
    assert state.log_probability(lambda w: w[0] > 1e3) == -math.inf


@pytest.mark.parametrize("across", [0.0, 0.6])
def test_the_probability_of_any_region_has_an_error_that_holds(across):
    state = end_state(
        Diffusion(lambda x: (-x[0], -x[1]), ((0.5, across / 2), (across / 2, 0.5)), weights=2)
    )
    turned = np.linalg.inv(np.linalg.cholesky([[0.25, across / 4], [across / 4, 0.25]]))

    def disc(x):  # an ellipse that is a disc where the law is round
        return ((turned @ x) ** 2).sum(axis=0) < 1.7**2

    error = state.error_of(lambda s: s.probability(disc))
    assert abs(state.probability(disc) - -math.expm1(-(1.7**2) / 2)) < error < 1e-9
    # A small one: where it begins, rows pass it between the places that are looked at.
    middle = np.array([[-1.2], [0.8]])
    small = state.probability(lambda x: ((turned @ x - middle) ** 2).sum(axis=0) < 0.15**2)
    assert small == pytest.approx(stats.ncx2.cdf(0.15**2, 2, (middle**2).sum()), rel=1e-11)
    far = end_state(Diffusion(lambda x: (1e5 - 0.3 * x[0], -x[1]), 0.6, weights=2))
    box = ((1e6 / 3 + 1, np.inf), (-np.inf, np.inf))  # whose sides have ten digits less
    error = far.error_of(lambda s: s.log_probability(box))
    assert abs(far.log_probability(box) - stats.norm.logsf(1)) < error < 1e-8
    half = state.probability(lambda x: x[0] + 3 * x[1] > 0)
    assert half == pytest.approx(0.5, abs=1e-12)


def test_means_of_functions_that_the_density_does_not_resolve_are_followed_or_claimed():
    slope, a = np.array([[-1.0, 1.0], [-1.0, -1.0]]), np.array([[1.0, 0.3], [0.3, 0.5]])
    state = end_state(Diffusion(lambda x: slope @ np.stack([x[0], x[1]]), a, weights=2))
    (s, _), z = np.sqrt(np.diag(solve_continuous_lyapunov(slope, -a))), 0.3
    law = stats.norm(0, s)
    kink = 2 * s**2 * law.pdf(z) - z * (1 - 2 * law.cdf(z))
    cases = (
        (lambda x: x[0] > z, law.sf(z), 1e-9),
        (lambda x: np.abs(x[0] - z), kink, 1e-9),
        (lambda x: np.cos(10 * x[0]) ** 2, (1 + math.exp(-200 * s**2)) / 2, 1e-11),
        (lambda x: np.where(x[0] > z, 1.0, 0.0), law.sf(z), 0.1),
    )
    for function, true, known in cases:
        off = state.error_of(lambda s, of=function: s.expect(of))
        assert abs(state.expect(function) - true) <= off < known
    for function, words in (
        (lambda x: x, "one number for each, not an array of shape \\(2, "),
        (lambda x: np.log(x[0]), "must be finite, but at \\(-"),
    ):
        with pytest.raises(LandscapeError, match=words):
            state.expect(function)


def test_means_of_functions_that_grow_beyond_the_box_are_claimed_to_what_it_cuts_off():
    """1.9999864 +- 2e-13 for 2, 17.2 +- 1e-12 for what is infinite: all beyond the box was none."""
    pairs = [(lambda x, c=c: np.exp(c * x[0] ** 2), (1 - c / 2) ** -0.5) for c in (1.5, 1.9)]
    pairs += [(lambda x, c=c: np.exp(c * x[0]), math.exp(c**2 / 8)) for c in (4, 10, 16)]
    pairs += [(lambda x: np.exp(2.1 * x[0] ** 2), math.inf)]

    def held(state, pairs, errors):
        for (function, true), most in zip(pairs, errors, strict=True):
            value, off = state.expect(function), state.error_of(lambda s, of=function: s.expect(of))
            assert abs(value - true) <= off
            assert off <= most

            def alone(s, of=function):  # the same of the law of x
                return s.marginal(0).expect(lambda x: of([x]))

            if (value := alone(state)) != true:  # infinite
                assert abs(value - true) <= state.error_of(alone) <= most

    turned = Diffusion(lambda x: (-x[0] + x[1], -x[1] - x[0]), 0.5, weights=2)
    state = end_state(turned)
    held(state, pairs, (1e-4, 0.5, 1e-9, 100, 1e14, math.inf))
    off = state.error_of(lambda s: s.marginal(1).moment(30))
    true = 0.5**30 * math.prod(range(1, 30, 2))
    assert abs(state.marginal(1).moment(30) - true) <= off <= 1e-4 * true
    apart = end_state(Diffusion(lambda x: (-x[0], -x[1] - x[1] ** 3), 0.5, weights=2))
    held(apart, pairs, (2e-3, 1, 1e-6, 1e4, math.inf, math.inf))
    half = end_state(Diffusion(lambda x: (-x[0], -x[1]), 0.5, ((0, math.inf), (-math.inf, 2))))
    mean = (lambda x: x[0], 0.5 * math.sqrt(2 / math.pi))  # no less well known for its walls
    held(half, [mean, pairs[1]], (1e-11, 1))


def test_functions_whose_mean_a_marginal_cannot_take_are_refused_by_name():
    """They were a TypeError, nan, or a mean of what is complex."""
    x = end_state(Diffusion(lambda x: (-x[0] + x[1], -x[1] - x[0]), 0.5, weights=2)).marginal(0)
    assert x.expect(lambda x: 2) == pytest.approx(2, rel=1e-12)
    for function, said in (
        (3, "3 came where a function is needed"),
        (lambda x: 1 / 0, "ZeroDivisionError"),
        (lambda x: np.where(x < 0, np.nan, x), "marginal: .* must be finite, but at -.* it is nan"),
        (lambda x: np.ones(3), r"of numbers of shape \(M,\) that returns one number for each, not"),
        (lambda x: 1j * x, "complex128. Ask for one at a time"),
    ):
        with pytest.raises(StationaryError, match=said):
            x.expect(function)


@pytest.mark.parametrize("power", [-0.2, -0.5, -0.8])
def test_means_next_to_poles_are_claimed_to_all_that_further_cuts_would_move(power):
    """They were off by 1.35, 2.4 and 6.7 times what the last cut had moved them by."""
    state = end_state(Diffusion(lambda x: (0 * x[0], 0 * x[1]), 1.0, ((0, 1), (0, 1))))

    def mean(s):
        return s.expect(lambda x: x[0] ** power)

    assert abs(mean(state) - 1 / (1 + power)) <= state.error_of(mean) < 0.4


def test_entropy_production_is_that_of_noise_which_varies_more_than_the_density():
    """P = e^(-r^2 / 2), with the noise s(x) in all directions, and a current around 0."""

    def s(x):
        return 1 + 0.8 * np.sin(4 * x)

    def drift(w):
        x, y = w
        return (3.2 * np.cos(4 * x) - s(x) * x) / 2 + y, -s(x) * y / 2 - x

    state = end_state(Diffusion(drift, lambda w: s(w[0]), ((-9, 9), (-9, 9))))
    x = np.linspace(-9, 9, 20_001)
    law = stats.norm.pdf(x)
    true = 2 * float((law * (x**2 + 1) / s(x)).sum() / law.sum())
    off = state.error_of(lambda s: s.entropy_production)
    assert abs(state.entropy_production - true) <= off < 1e-7
    whole = true + float((law * s(x) * (x**2 + 1)).sum() / law.sum() / 2)
    assert abs(state.curl.fraction - true / whole) <= state.curl.fraction_error < 1e-7


def test_barriers_are_known_to_their_errors():
    process, v = rotated(0.05, 0.7)
    state = end_state(process)
    for b in state.basins:
        ((k, rise),), (off,) = b.barriers, b.barrier_errors
        top, low = (v(*e.position) for e in (state.equilibria[k], b.attractor))
        assert abs(rise - (top - low) / 0.05) <= off < 1e-5


def test_what_is_not_resolved_in_the_plane_is_told_what_helps_there(capsys):
    """Where drifts lead into walls with a current, corners leave P less than smooth."""
    walls = Diffusion(
        lambda x: (x[0] + 4 * x[1] - x[0] * x[1] / 5, x[1] - 4 * x[0] + 0.1),
        0.3,
        ((-1, 1), (-1, 1)),
    )
    state = analyze(walls)
    assert state.status is Status.UNRESOLVED
    with pytest.raises(SystemExit) as end:
        told_if_unfinished(state, [state.status.name.lower()])
    assert end.value.code == 3
    assert "not known to 1e-6 of its peak: raise the noise" in capsys.readouterr().err
    with pytest.raises(LandscapeError, match="min_barrier = 3 is had for one weight only"):
        analyze(walls, min_barrier=3)


def test_what_lies_beyond_a_box_without_walls_is_part_of_the_error():
    from stationary.plane.closed import integrated

    ring = Diffusion(lambda w: tuple(v * (1 - (w**2).sum(axis=0)) for v in w), 0.1, weights=2)
    box = ((-1.5, 1.5), (-1.5, 1.5))
    density = integrated(ring, box, np.array([1.0, 0.0])).density
    assert density.known < 1e-13
    assert density.in_domain(box).known < 1e-13  # with walls
    assert density.in_domain(ring.domain).known == pytest.approx(math.exp(-5 * 1.25**2), rel=1e-3)


def test_a_box_that_cuts_the_density_is_told_with_a_better_one():
    process, _ = rotated(0.1, 0.7)
    state = end_state(Diffusion(process.drift, 0.2, domain=((-1.2, 0.5), (-2, 2))))
    assert any("the box is too small" in note for note in state.notes)
    beyond, inside = ((0.6, 0.7), (0, 1)), ((-0.5, 0), (0, 1))
    assert state.log_ratio(beyond, inside) == -math.inf
    assert state.log_ratio_error(beyond, inside) == math.inf


def test_what_the_box_cuts_off_is_no_error_of_regions_that_do_not_reach_its_sides():
    process, v = rotated(1e-3, 0.0)
    state = end_state(process)
    deep, high = (
        ((x - 0.3, x + 0.3), (y - 0.3, y + 0.3)) for x, y in ((-1.17, 0.35), (0.77, -0.23))
    )
    t, w = np.polynomial.legendre.leggauss(160)
    logs = []
    for (a, b), (c, d) in (deep, high):
        x, y = (a + b) / 2 + 0.3 * t, (c + d) / 2 + 0.3 * t
        height = v(x[:, None], y) / 1e-3
        logs.append(np.log(w @ np.exp(height.min() - height) @ w) - height.min())
    off = abs(state.log_ratio(deep, high) - (logs[0] - logs[1]))
    assert logs[0] - logs[1] > 500
    assert off < state.log_ratio_error(deep, high) < 1e-8
    outside, whole = ((0.5, 1.0), (50, 60)), ((-np.inf, np.inf),) * 2
    assert state.log_ratio_error(outside, whole) == math.inf
    top = state.box[1][1]
    assert state.log_ratio_error(((-1.2, -1.1), (top - 0.01, 9)), deep) > 1


def test_the_example_from_its_file_to_every_form(tmp_path):
    state = analyze(EXAMPLES / "two_weights.py")
    light = min(state.basins, key=lambda b: b.mass)  # with borders of more pixels and digits
    assert abs(light.mass / 0.02737927225763 - 1) < light.mass_error < 2e-9
    assert state.status.name == "CONVERGED"
    assert [b.mass for b in state.basins] == pytest.approx([0.0273793, 0.9726207], abs=5e-7)
    assert 0.026 < state.curl.fraction < 0.027
    assert state.circulation > 0
    text = state.summary()
    assert "Probability circulates for ever: 2.64 % of the driving" in text
    assert max(map(len, text.splitlines())) <= 80
    content = json.loads(state.to_json())
    assert content["basins"][1]["mass"] == state.basins[1].mass
    assert re.search(r" error +eigenvalues of the drift +error\n", text)
    assert all(
        0 < e[n] < 1e-12 for e in content["equilibria"] for n in ("error", "eigenvalue_error")
    )
    assert 0 < content["curl"]["maximum_error"] < 1e-3
    assert len(state.to_csv(points=5).splitlines()) == 26
    state.plot(tmp_path / "plane.svg")
    assert (tmp_path / "plane.svg").stat().st_size > 10_000
    state.save(tmp_path / "plane.json")
    with pytest.raises(LandscapeError, match="a file keeps numbers alone, and pickle the law"):
        stationary.load(tmp_path / "plane.json").law.pdf(0.0)
    again = pickle.loads(pickle.dumps(state))
    assert again.pdf([0.9, 0.0]) == state.pdf([0.9, 0.0])
    size = len(pickle.dumps(again))
    assert again.basins[1].mass == state.basins[1].mass
    assert len(pickle.dumps(again)) == size  # what masses were summed from stays behind


def test_the_chain_of_sgd_has_the_moments_of_its_own_steps_and_the_verdict_tells():
    """On quadratics E w' w'^T = E w w^T is a linear equation for the finite step, too."""
    losses, bent, shift = quadratics()
    rate = 0.1
    landscape = Landscape(losses=losses, weights=2, learning_rate=rate)
    found = stationary.check(landscape, steps=2000, walkers=400)
    maps = np.eye(2) - rate * bent
    moved = rate * shift
    mean = np.linalg.solve(np.eye(2) - maps.mean(axis=0), moved.mean(axis=0))
    kron = np.mean([np.kron(m, m) for m in maps], axis=0)
    rest = np.mean(
        [
            np.outer(m @ mean, b) + np.outer(b, m @ mean) + np.outer(b, b)
            for m, b in zip(maps, moved, strict=True)
        ],
        axis=0,
    )
    second = np.linalg.solve(np.eye(4) - kron, rest.ravel()).reshape(2, 2)
    exact = np.sqrt(np.diag(second - np.outer(mean, mean)))
    assert found.chain is not None
    apart = np.abs(found.chain.values[2:4] - exact)
    assert (apart < 1e-3 * exact).all()
    assert (apart <= 2 * found.chain.errors[2:4]).all()
    assert (np.abs(found.walkers.values[2:4] - exact) < 5 * found.walkers.errors[2:4]).all()
    off = np.abs(found.diffusion.values[2:4] / exact - 1).max()
    assert found.off[0] == pytest.approx(off, abs=0.02)
    assert found.outcome == ("fails" if off > 0.2 else "roughly")
    assert "% off" in found.summary()
    assert found.to_dict()["chain"]["mean 1"]["value"] == pytest.approx(mean[0], abs=1e-3)


def two_wells(w):
    x, y = w
    base = (x * x - 1) ** 2 + 2 * (y - 0.2 * x) ** 2 + 0.02 * x
    ways = ((1, 0.3), (-1, 0.2), (0.2, -1), (-0.2, 0.5))
    return [base + 2 * a * x + 2 * b * y for a, b in ways]


def test_walkers_tell_masses_of_basins_by_their_changes_and_not_where_there_are_few():
    box = ((-2.5, 2.5), (-2.5, 2.5))
    wells = Landscape(losses=two_wells, weights=2, learning_rate=0.2, domain=box)
    found = stationary.check(wells, walkers=200, steps=1200)
    assert (found.walkers.errors[5:] < 0.02).all()
    apart = np.abs(found.walkers.values - found.chain.values)
    assert (apart < 4 * (found.walkers.errors + found.chain.errors)).all()
    behind = stationary.check(replace(wells, learning_rate=0.06), walkers=100, steps=400)
    assert np.isinf(behind.walkers.errors[5:]).all()
    assert np.isfinite(behind.walkers.errors[:5]).all()
    assert behind.to_dict()["walkers"]["mass of basin 0"] is None
    assert "not told" in behind.summary()
    assert "do not tell the masses" in behind.summary()


WAYS = np.array([(1, 0.5), (-1, -0.5), (0.5, -1), (-0.5, 1)])  # by which datapoints tilt


@lru_cache
def walked(tilt, rate):
    """What 4000 walkers from each well have for means of x, x^2 and y^2, and where they are."""
    rng = np.random.default_rng(1)
    x, y = np.array([[-1.0], [1.0]]) * np.ones(4000), np.zeros((2, 4000))
    sums = []
    for step in range(1100):
        a, b = np.moveaxis(WAYS[rng.integers(4, size=x.shape)], -1, 0)
        x, y = x - rate * (4 * x * (x * x - 1) + tilt + a), y - rate * (4 * y + b)
        if step >= 100 and step % 10 == 0:
            sums.append((x.mean(axis=1), (x * x).mean(axis=1), (y * y).mean(axis=1)))
    return np.mean(sums, axis=0), x


@pytest.mark.parametrize("unit", [1.0, 1e-6])
@pytest.mark.parametrize("tilt", [0.05, 0.4])
def test_masses_of_basins_are_not_told_where_the_grid_alone_joins_them(tilt, unit):
    """Steps are of bounded length: no minibatch leads from one well to the other."""

    def losses(w):
        x, y = w[0] / unit, w[1] / unit
        return [(x * x - 1) ** 2 + 2 * y**2 + tilt * x + a * x + b * y for a, b in WAYS]

    rate, box = 0.05, ((-2 * unit, 2 * unit),) * 2
    landscape = Landscape(losses=losses, weights=2, learning_rate=rate * unit**2, domain=box)
    found = stationary.check(landscape, walkers=50, steps=100)
    assert found.state.borders[1].exact  # also where the saddle lies beside the box
    sums, x = walked(tilt, rate)
    assert (np.sign(x) == [[-1], [1]]).all()
    assert np.isinf(found.chain.errors[5:]).all()
    assert found.to_dict()["chain"]["mass of basin 0"] is None
    # What is told holds within basins, with the masses of the diffusion.
    mean, square, across = sums @ found.diffusion.values[5:]
    exact = np.array([mean, math.sqrt(square - mean**2), math.sqrt(across)]) * unit
    assert (found.chain.errors[:4] < 1e-5 * unit).all()
    assert found.chain.values[[0, 2, 3]] == pytest.approx(exact, rel=2e-3)
    if tilt == 0.4:  # nobody would meet the other basin: what is known decides
        assert found.outcome == "roughly"
        assert "off in the deviation 1" in found.verdict
        assert "What basins hold is not known." in found.verdict
    else:
        assert found.outcome == "fails"
        assert "no minibatch leads out of basin 0 and basin 1" in found.verdict


SLOPES = np.array([[1.0, 0.3], [0.2, 1.0], [-0.5, 0.8], [0.4, -0.9]])
TARGETS = np.array([0.5, -0.2, 0.1, 0.3])


def _regression(**given):
    return Landscape(weights=2, learning_rate=0.1, batch_size=2, domain=((-4, 4), (-4, 4)), **given)


def _residuals(w):
    return SLOPES @ w - TARGETS[:, None]


def _gradients(w):
    return SLOPES.T[:, :, None] * _residuals(w)


@pytest.mark.parametrize(
    ("label_noise", "given"),
    [
        (0.0, {"gradients": _gradients}),
        (0.3, {"losses": lambda w: _residuals(w) ** 2 / 2, "outputs": lambda w: SLOPES @ w}),
    ],
)
def test_regression_on_two_weights_has_the_covariance_of_its_own_equation(label_noise, given):
    """H S + S H = T / B (E Cov g + s^2 H) for least squares, where Cov g is of second order."""
    h = SLOPES.T @ SLOPES / 4
    best = np.linalg.solve(h, SLOPES.T @ TARGETS / 4)

    def left(s):
        size = _residuals(best[:, None])[:, 0] ** 2 + np.einsum("ni,ij,nj->n", SLOPES, s, SLOPES)
        noise = np.einsum("n,ni,nj->ij", size, SLOPES, SLOPES) / 4 - h @ s @ h
        return (h @ s + s @ h - 0.05 * (noise + label_noise**2 * h)).ravel()

    ways = np.eye(4).reshape(4, 2, 2)
    matrix = np.stack([left(s) - left(0 * s) for s in ways], axis=1)
    exact = np.linalg.solve(matrix, -left(np.zeros((2, 2)))).reshape(2, 2)
    state = end_state(_regression(label_noise=label_noise, **given))
    assert state.mean() == pytest.approx(best, abs=1e-9)
    assert state.cov() == pytest.approx(exact, rel=1e-7)


def test_gradients_of_two_weights_by_datapoint_first_are_told_how_to_come():
    with pytest.raises(LandscapeError, match=r"shape \(2, N, M\).*It returned shape \(4, 2, 'M'\)"):
        _regression(gradients=lambda w: np.swapaxes(_gradients(w), 0, 1))


def test_marginals_have_distances():
    wide, narrow = (
        end_state(Diffusion(lambda w: -w, a, domain=((-8, 8), (-8, 8)))).marginal(0)
        for a in (0.5, 0.4)
    )
    x = math.sqrt(math.log(1.25))  # where both normal densities are equal
    exact = 2 * (stats.norm.cdf(x, 0, math.sqrt(0.2)) - stats.norm.cdf(x, 0, 0.5))
    found = wide.distance(narrow)
    assert abs(found.value - exact) <= found.error < 1e-8


def test_losses_of_several_weights_that_are_recorded_have_the_derivatives_of_series():
    x = np.random.default_rng(0).normal(size=(2, 50))
    recorded = Jets(two_wells)
    for order in (1, 2, 3):
        recorded(x[:, :3], order)
        assert recorded._recorded[order] is not None
        for key, series in jet(two_wells, x, order).items():
            assert (recorded(x, order)[key] == series).all()
    refused = Jets(lambda w: [(w**2).sum(axis=0), w[0]])  # mixes weights with each other
    assert (refused(x, 1)[0,][0] == 2 * x[0]).all()
    assert refused._recorded[1] is None


def test_momentum_has_its_own_variance_and_small_steps_are_those_of_a_larger_rate():
    """T C (1 + b) / ((1 - b) l (2 (1 + b) - T l)) for a quadratic of curvature l."""
    centre, curved, rate, beta = np.array([-1, 0.5, 0.3, 1.2]), 2.0, 0.1, 0.8
    landscape = Landscape(
        losses=lambda w: [curved * (w - c) ** 2 / 2 for c in centre],
        learning_rate=rate,
        momentum=beta,
    )
    process = stationary.phase_space(landscape)
    state = end_state(process)
    assert state.cov()[0, 0] == pytest.approx(end_state(landscape).var(), rel=1e-12)
    found = stationary.check(process, simulation=False)
    assert found.given == ("correlation",)  # as of the landscape
    c = curved**2 * centre.var()
    exact = rate * c * (1 + beta) / ((1 - beta) * curved * (2 * (1 + beta) - rate * curved))
    assert found.chain.values[2] == pytest.approx(math.sqrt(exact), rel=1e-10)
    with pytest.raises(LandscapeError, match="momentum"):
        stationary.phase_space(Landscape(losses=landscape.losses, learning_rate=rate))


def test_basins_beyond_all_barriers_are_compared_although_a_current_flows():
    """Gibbs with rotation again: log P at the minima differs by their V over the noise."""
    noise = 0.0043
    process, v = rotated(noise, 0.7)
    state = end_state(process)
    low, high = (b.position for b in state.basins)
    exact = (v(*high) - v(*low)) / noise
    assert exact > 140

    def ratio(s):
        return s.logpdf(low) - s.logpdf(high)

    off = abs(ratio(state) - exact)
    assert off < 1e-6
    assert off <= state.error_of(ratio) < 1e-4
    bent = [b.attractor.log_determinant / 2 for b in state.basins]
    assert state.log_ratio(0, 1) == pytest.approx(exact + bent[0] - bent[1], abs=5 * noise)
    assert state.curl.fraction == pytest.approx(0.49 / 1.49, rel=1e-6)


def test_wells_at_the_edge_of_where_they_are_looked_for_are_found():
    """Two of three were found from 0, and one of them held all: the other one does."""
    c, s = np.cos(1.24), np.sin(1.24)

    def drift(w):
        p, q = w[0] - 10, w[1] + 3
        x, y = c * p + s * q, c * q - s * p
        a, b = x - x**3 + 0.09, 0.5 * x - 1.5 * y - 0.1 * (x**2 - 1)
        return c * a - s * b, s * a + c * b

    state = end_state(Diffusion(drift, 0.02, domain=((-np.inf, np.inf),) * 2))
    assert len(state.basins) == 2
    assert max(state.basins, key=lambda b: b.log_mass).position[1] > -3


def test_where_the_drift_leads_to_a_wall_no_zeros_are_looked_for_far_out():
    """At 1e11 those of a drift that turns were found on a half-plane, and refused after 80 s."""
    half = ((0, np.inf), (-np.inf, np.inf))

    def drift(w):
        return 1.2 * np.sin(w[0] / 1e6) - 1, -w[1]

    assert stationary.equilibria(Diffusion(drift, 1.0, domain=half)) == ()
    (far,) = stationary.equilibria(Diffusion(lambda w: (1e4 - w[0], -w[1]), 1.0, domain=half))
    np.testing.assert_allclose(far.position, (1e4, 0), rtol=1e-12)


def test_a_series_in_the_noise_that_is_beyond_its_peak_far_out_is_no_part_of_the_law():
    """Where louder laws had lost their digits it made a peak of all probability (2e-3 claimed)."""
    ends, at = ((-1.6, 1.6), (-0.8, 0.8)), np.array([[-1.0, 1.0], [0.0, 0.0]])
    mesh = Mesh.over(ends, (16, 8))
    nodes = mesh.points(basis(DEGREE).nodes)

    def potential(x):
        return 150 * (x[0] ** 2 - 1) ** 2 + 300 * x[1] ** 2 + 10 * x[0]

    factors, made = [4.0, 5.0, 6.0, 7.0], []
    for k in factors:
        u = np.ones((mesh.count, DEGREE + 1, DEGREE + 1))
        u[5, 3, 3] = 0.1 if k == 5 else 1.0  # in a corner
        made.append([("", Density(mesh, potential(nodes) / k, u))])
    axes = tuple(np.linspace(*end, 33) for end in ends)
    grid = potential(np.stack(np.meshgrid(*axes, indexing="ij")))
    first = Fitted(axes, grid / 4, np.full_like(grid, -20.0))
    solved = _in_series(SimpleNamespace(name="two"), factors, made, first, at, at[:, :0])
    law = solved.density
    assert law.mesh.count == mesh.count - 1
    assert np.ptp(law.log_at(at)) == pytest.approx(20, abs=1e-6)
    assert law.depth(at[:, :1])[0] == pytest.approx(0, abs=0.1)


def test_a_density_that_is_not_had_leaves_check_to_walkers(monkeypatch):
    """Hinges and |a w0 + b w1 - c| were refused by it, too, and what was reached is no box."""
    from stationary.plane import solve

    def losses(w):
        ends = (1, 0.5), (-1, -0.5), (0.5, -1), (-0.5, 1)
        return [(w[0] - a) ** 4 / 4 + (w[1] - b) ** 2 / 2 for a, b in ends]

    def by_elements(process, rough, *_):
        mesh = Mesh.over(((0.5, 1.0), (0.5, 1.0)), (1, 1))
        flat = np.zeros((1, DEGREE + 1, DEGREE + 1))
        return Solved("elements", Density(mesh, flat, 1 + flat), ()), np.inf

    monkeypatch.setattr(solve, "_by_elements", by_elements)
    process = Landscape(losses, weights=2, learning_rate=0.1, domain=((-3, 3), (-3, 3)))
    with pytest.raises(ConvergenceError, match="need no density") as raised:
        end_state(process)
    assert raised.value.state.status is Status.UNRESOLVED
    held = check(process, walkers=200, steps=200)
    assert held.chain is None
    assert np.isinf(held.diffusion.errors).all()
    assert "what SGD does the walkers tell" in held.summary()
    assert (np.abs(held.walkers.values[:2]) < 4 * held.walkers.errors[:2]).all()  # by symmetry
    (axes,) = held.plot().axes
    marks = [bar.lines[0].get_xdata() for bar in axes.containers]  # were differences from nothing
    assert [x.tolist() for x in marks] == [held.walkers.values.tolist()]
    few = check(process, walkers=200, steps=4)  # which have not left where they started
    assert few.walkers.errors[1] > 0.1


def test_where_all_units_of_a_network_switch_the_drift_is_told_without_its_curl():
    """All is 0 at the point itself, and not around it: it was a traceback."""

    def losses(w):
        return [(np.maximum(0, w[0] * x + w[1]) - 1) ** 2 + w[0] ** 2 for x in (-1, 0.5, 2)]

    process = Landscape(losses, weights=2, learning_rate=0.1, domain=((-2, 2), (-2, 2)))
    assert described(process.diffusion(), np.zeros(2)).curl is None


def test_what_flows_of_a_law_that_holds_nothing_where_it_is_looked_at_is_nothing(monkeypatch):
    """Of one that was had to tell an error: fields at no points at all were a traceback."""
    from stationary.plane import curl

    process = Landscape(two_wells, learning_rate=0.3, domain=((-3, 3), (-3, 3))).diffusion()
    mesh = Mesh.over(process.domain, (2, 2))
    phi = (mesh.points(basis(DEGREE).nodes) ** 2).sum(axis=0)
    monkeypatch.setattr(curl, "LEAST", 1.0)
    assert curl.circulation(process, Density(mesh, phi, np.ones_like(phi)), False).turning == 0


@pytest.mark.parametrize(("noise", "road"), [(0.02, "elements"), (0.006, "series")])
def test_noise_that_changes_from_place_to_place_beyond_barriers_leaves_a_law_that_is_known(
    noise, road
):
    """f = (div a - a grad W) / 2 + e^W curl(psi e^-W) / 2 has the density e^-W for any a and psi;
    barriers of e^30 and e^100."""

    def drift(v):
        x, y = v
        z = y - 0.2 * x - 0.3 * x * x
        vx, vy = x**3 - x + 0.04 - z * (0.2 + 0.6 * x), z  # W = 2 V / noise
        a, b, d = cover(x, y)
        slow = 1 - np.tanh(x + y / 2) ** 2
        div = 0.6 * np.cos(1.5 * x + y) + 0.1 * slow, 0.2 * slow + 0.3 * np.sin(x - y)
        psi, px, py = 0.5 * (2 + np.sin(x) + np.cos(y)), 0.5 * np.cos(x), -0.5 * np.sin(y)
        return (
            noise * (div[0] + py) / 2 - (a * vx + b * vy) - psi * vy,
            noise * (div[1] - px) / 2 - (b * vx + d * vy) + psi * vx,
        )

    def cover(x, y):
        return (
            1 + 0.4 * np.sin(1.5 * x + y), 0.2 * np.tanh(x + y / 2), 1 + 0.3 * np.cos(x - y)
        )  # fmt: skip

    def variance(v):
        a, b, d = cover(*v)
        return [[noise * a, noise * b], [noise * b, noise * d]]

    state = end_state(Diffusion(drift, variance, domain=((-2.2, 2.2), (-2.5, 2.5))))
    assert state.road == road
    x, y = np.array([b.position for b in state.basins]).T
    v = (x * x - 1) ** 2 / 4 + 0.04 * x + (y - 0.2 * x - 0.3 * x * x) ** 2 / 2

    def ratio(s):
        return float(s.logpdf((x[0], y[0])) - s.logpdf((x[1], y[1])))

    off = abs(ratio(state) - 2 * (v[1] - v[0]) / noise)
    assert off <= state.error_of(ratio) < 1e-4
    assert max(b.mass_error for b in state.basins) < 1e-4


@pytest.mark.parametrize("rate", [0.08])
def test_sgd_on_few_datapoints_has_wells_beyond_any_barrier(rate):
    """Mirrored losses: half on either side, e^100 apart; Newton's method for log P, from more
    noise, did not converge, and the box of the domain is no mirror."""
    r = np.random.default_rng(4)
    c, d, b, e, m = (
        r.uniform(*ends, 3)
        for ends in ((0.7, 1.3), (0.7, 1.3), (0.5, 1.5), (-0.2, 0.2), (-0.3, 0.3))
    )

    def losses(w):
        x, y = w
        return [
            (x * x - 1) ** 2 / 4 * c[j]
            + s * e[j] * x
            + (y - b[j]) ** 2 * d[j] / 2
            + s * m[j] * x * y
            for j in range(3)
            for s in (-1, 1)
        ]

    state = end_state(
        Landscape(losses, weights=2, learning_rate=rate, domain=((-1.9, 2.1), (-1, 3)))
    )
    left, right = state.basins
    assert left.barriers[0][1] > 100
    for basin in (left, right):
        assert abs(basin.log_mass + math.log(2)) <= basin.mass_error < 1e-3


def test_a_chain_fitted_to_exponentials_has_the_very_law_where_nothing_circulates():
    """However much P falls between two points, but for what a mean of two slopes misses."""
    from stationary.plane.fitted import fitted

    a, noise = np.array([[1.0, 0.6], [0.6, 0.5]]), 0.002

    def slopes(v):
        x, y = v
        return x**3 - x + 0.05, 2 * (y - 0.2)

    def drift(v):
        p, q = slopes(v)
        return -a[0, 0] * p - a[0, 1] * q, -a[1, 0] * p - a[1, 1] * q

    process = Diffusion(drift, 2 * noise * a, domain=((-2, 2), (-1, 1.5))).diffusion()
    found = fitted(process, everywhere(process), 64)
    x = np.array([[-1.0, 0.05, 0.9], [0.2, 0.25, 0.1]])
    exact = ((x[0] ** 2 - 1) ** 2 / 4 + 0.05 * x[0] + (x[1] - 0.2) ** 2) / noise
    moved = found.at(x) - exact
    assert exact[1] - exact[0] > 120
    assert np.ptp(moved) < 1


def test_the_same_rectangles_are_solved_again_as_they_were():
    """Where nothing was cut off to tell an error: a ValueError about an array of size 0."""
    from stationary.plane import elements

    process = Diffusion(lambda w: (w[0] - w[0] ** 3, -w[1]), 0.5, weights=2).diffusion()
    mesh = Mesh.over(((-2, 2), (-2, 2)), (3, 3))
    guess = elements.Guess(mesh, (mesh.points(basis(DEGREE).nodes) ** 2).sum(axis=0))
    coefficients = elements.Coefficients(process)
    first, again = (elements.solve(coefficients, guess) for _ in range(2))
    assert (first == again).all()


def in_a_row(x, y):
    v = 3 * x**2 * (x**2 - 1) ** 2 + 0.1 * x + y**2 / 2 + 0.2 * x * y
    return v, 3 * (6 * x**5 - 8 * x**3 + 2 * x) + 0.1 + 0.2 * y, y + 0.2 * x


def test_several_basins_beyond_all_barriers_are_compared():
    """Three minima in a row, driven round."""
    noise, c = 0.006, 0.5

    def drift(w):
        _, vx, vy = in_a_row(*w)
        return -vx + c * vy, -vy - c * vx

    state = end_state(Diffusion(drift, 2 * noise, weights=2))
    at = [e.position for e in state.equilibria if e.kind == "stable"]
    assert len(at) == 3
    exact = np.array([-in_a_row(*p)[0] / noise for p in at])

    def ratios(s):
        return np.array([s.logpdf(p) - s.logpdf(at[0]) for p in at])

    off = np.abs(ratios(state) - exact + exact[0])
    assert (off <= state.error_of(ratios)).all()
    assert off.max() < 1e-3


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        (lambda w: ((w[0] - 1) ** 2, (w[0] + 1) ** 2), "nothing moves the component 1"),
        (lambda w: (w[0] ** 2 + w[1] ** 2, 2 * w[0] ** 2 + w[1] ** 2), "comes to rest there"),
        (lambda w: ((w[0] - 1) ** 2, (w[1] + 1) ** 2, (w[0] + w[1]) ** 2), "comes to rest there"),
        (lambda w: [(w[0] * w[1] * x - y) ** 2 for x, y in ((1, 1), (2, 1), (1, 3))], "one combi"),
    ],
)
def test_where_nothing_spreads_there_is_no_density_and_why_is_said(losses, words):
    domain = ((-2, 2), (-2, 2))
    with pytest.raises(LandscapeError, match=words):
        end_state(Landscape(losses=losses, weights=2, learning_rate=0.1, domain=domain))


def test_noise_that_is_oblique_to_a_wall_is_balanced_along_it():
    """Of e^(-x^2 - y^2), with a current along the wall that is 0 there."""
    (xx, xy), (_, yy) = a = np.array([[1.0, 0.7], [0.7, 0.6]])

    def drift(w):
        x, y = w
        return -xx * x - xy * y - 0.8 * x * y, -xy * x - yy * y - 0.4 + 0.8 * x**2

    domain = ((0, 6), (-6, 6))
    state = end_state(Diffusion(drift, a, weights=2, domain=domain))
    x = np.array([[0.0, 0.1, 0.7, 1.0], [0.2, -1.0, 0.5, 0.0]])
    exact = 2 / math.pi * np.exp(-(x**2).sum(axis=0))
    off = np.abs(state.pdf(x) - exact).max() / (2 / math.pi)
    assert off <= state.error < 1e-6


def test_a_network_of_two_weights_is_solved_where_its_noise_is_nearly_along_one_direction():
    """w1 tanh(w0 x) is the same where both weights change their signs."""
    rng = np.random.default_rng(2)
    x, off = rng.normal(0, 1.2, (4, 1)), rng.normal(0, 0.4, (4, 1))

    def losses(w):
        return (w[1] * np.tanh(w[0] * x) - np.tanh(x) - off) ** 2 / 2

    rate, domain = 0.6, ((-2.5, 2.5), (-2.5, 2.5))
    state = end_state(
        Landscape(losses, weights=2, learning_rate=rate, weight_decay=0.03, domain=domain)
    )
    assert state.error < 1e-4
    assert all(abs(b.log_mass + math.log(2)) <= b.mass_error < 1e-5 for b in state.basins)


def test_borders_that_wind_around_a_cycle_end_at_it_and_it_parts_what_lies_within(monkeypatch):
    """The borders of two saddles at radius 2 wind around a cycle at 1: what they turn round was
    told by pixels, or taken for what lies outside."""

    def drift(w):
        x, y = w
        r = x * x + y * y
        out, turn = (r - 1) * (4 - r), 4 - r + (r - 1) * x * y
        return out * x - turn * y, out * y + turn * x

    process = Diffusion(drift, 0.1, ((-3, 3), (-3, 3)))
    found = equilibria_of(process, process.domain)
    flow = Flow.of(process, found, process.domain)
    borders = Borders.of(flow, found)
    assert borders.exact
    (inside,) = np.flatnonzero([not e.position.any() for e in flow.attractors])
    radius = np.hypot(*borders.curve)
    turn = 2 * np.pi * np.arange(60) / 60
    for r, most in ((1 - 1e-6, 0), (1 + 5e-3, 1)):
        own = borders.label(r * np.array([np.cos(turn), np.sin(turn)]))
        assert ((own == inside) == (most == 0)).all()
    assert radius.min() == pytest.approx(1, abs=1e-9)
    # Between their turns it is told as by small steps.
    x = y = np.linspace(1.02, 1.9, 60) * np.array([np.cos(7 * turn), np.sin(7 * turn)])
    for _ in range(1000):
        half = y + 0.01 * np.array(drift(y))
        y = y + 0.02 * np.array(drift(half))
    ends = np.array([e.position for e in flow.attractors])
    near = np.hypot(*(y[:, None] - ends.T[:, :, None]))
    assert near.min(axis=0).max() < 1e-3
    assert (borders.label(x) == near.argmin(axis=0)).all()
    # What ends at nothing that is known is known by pixels.
    monkeypatch.setattr("stationary.plane.borders.CLOSES", 0)
    monkeypatch.setattr("stationary.plane.borders.LAPS", 1)
    assert not Borders.of(flow, found).exact


@pytest.mark.parametrize("high", [0.02, 0.7, 1.0])
def test_borders_that_are_pixels_are_off_by_what_lies_a_pixel_from_them(high):
    """Of an even density on a square, of which what lies below `high` counts to one basin."""
    none = np.empty((2, 0))
    raster = np.tile(np.where(np.arange(800) < 800 * high, 0, 1), (800, 1))
    line = (np.arange(1000) + 0.5) / 1000
    x = np.array(np.meshgrid(line, line)).reshape(2, -1)
    borders = Borders(
        ((0, 1), (0, 1)), none, none, raster, none[0], none[0], none.astype(int), (), exact=False
    )
    made = borders.misplaced(SimpleNamespace(quadrature=(x, 0 * x[0], 1 + 0 * x[0])), 1)
    exact = math.log(1 + 0.01 / high) - math.log(1 - 0.01 / high) if high < 1 else 0.0
    assert made == pytest.approx([exact], rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("by", [1.02, 1.25])
def test_noise_that_jumps_along_a_line_leaves_a_law_that_is_known_to_what_it_claims(by):
    """Without a current: P = e^(-r^2 / 2) / a, which jumps as a does; elements are continuous."""

    def below(w):
        return 0.8 * w[0] + 0.6 * w[1] < 0.5

    def noise(w):
        return np.where(below(w), 1.0, by)

    def drift(w):
        return -w[0] * noise(w) / 2, -w[1] * noise(w) / 2

    state = end_state(Diffusion(drift, noise, weights=2, domain=((-7, 7), (-7, 7))))
    exact = stats.norm.cdf(0.5) / (stats.norm.cdf(0.5) + stats.norm.sf(0.5) / by)
    off = abs(state.probability(below) - exact)
    assert off <= state.error_of(lambda s: s.probability(below)) < 2 * off


def test_a_side_that_the_drift_leads_out_of_at_its_corner_alone_is_no_way_out():
    """Losses are asked for at no points there."""
    from stationary.plane.rough import _runs_away

    process = Landscape(
        lambda w: [w[0] * (w[1] + 0.99) + a * w[0] - w[1] ** 2 for a in (-1, 1)],
        weights=2, learning_rate=0.1, domain=((-1, 3), (-1, 1)),
    ).diffusion()  # fmt: skip
    box = ((-1.0, 1.0), (-1.0, 1.0))
    assert not _runs_away(process, box, np.empty((2, 0)), anywhere=True)


def test_rates_that_are_no_doubles_are_not_handed_to_superlu(monkeypatch):
    """It prints on standard output where a matrix is not finite."""
    from stationary.plane import fitted

    n = 400
    links = fitted._Links(*(np.arange(n - 1) + k for k in (0, 1)), np.full(n - 1, 1e12), 0.0)
    monkeypatch.setattr(fitted, "splu", None)
    height = 1500.0 * (np.arange(n) > 200)
    assert fitted._solved(links, np.array([0, n - 1]), height, 1.0) is None


def test_a_step_that_overshoots_is_said_first():
    def losses(w):
        x, y = w
        pairs = ((-1, 0.5), (0, -1), (1, 0.5), (0.5, 1))
        return [(x - c) ** 2 + y**2 / 2 + 0.3 * c * x * y + d * y for c, d in pairs]

    small = Landscape(losses=losses, weights=2, learning_rate=0.1)
    assert "overshoots" not in analyze(small).summary()
    large = Landscape(losses=losses, weights=2, learning_rate=1.9)
    assert "with this one SGD overshoots" in " ".join(analyze(large).summary().split())


def test_what_is_seen_on_panels_is_what_is_seen_at_their_points():
    """For each kind of law: log P per unit, and its gradient."""
    mesh = Mesh.over(((-2, 2), (-1.5, 1.5)), (3, 2)).split(np.arange(6) == 2)
    x, y = mesh.points(basis(6).nodes)
    density = Density(mesh, x**4 / 5 + (y - 0.3 * x) ** 2, 2 + np.sin(x) * y)
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    two = Diffusion(lambda w: (-w[0], 1 - w[1]), lambda w: (1 + w[0] ** 2, 2.0), weights=2)
    laws = [
        density,
        Stretched(density, Chart((Line(0.5, 2.0), Line(-1.0, 0.3)))),
        Stretched(density, Chart((Beyond(-1.0, 2.0), Between(0.0, 3.0)))),
        Images(density, np.array([[7.0], [1.0]]), np.stack([np.eye(2), turn, -np.eye(2)]), 0.0),
        end_state(
            Diffusion(lambda w: (-w[0] + w[1], -w[1]), [[1.0, 0.2], [0.2, 1.0]], weights=2)
        ).density,
        end_state(two).density,
    ]
    for law in laws:
        some = law.panels.halved(1)
        at = law.within(some)[0]
        log, slope = law.rises_on(some)
        assert np.allclose(log, law.log_at(at) + law.log_unit(at), atol=1e-9)
        assert np.allclose(slope, law.slope_at(at), rtol=1e-9, atol=1e-9)
        for rise, by in zip(slope, np.array([[[1e-6], [0]], [[0], [1e-6]]]), strict=True):
            found = (law.log_at(at + by) - law.log_at(at - by)) / 2e-6
            assert np.allclose(rise, found, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("unit", [1.0, 1e-9])
def test_what_the_drift_leads_into_a_wall_is_no_cycle(unit):
    """The second well is outside."""

    def drift(w):
        x, y = w[0] / unit, w[1] / unit
        return unit * (x - x**3 + 0.3 * y), unit * (-y - 0.2 * x)

    box = ((-1.2 * unit, 0.9 * unit), (-0.4 * unit, 0.5 * unit))
    state = end_state(Diffusion(drift, variance=0.3 * unit**2, domain=box))
    said = " ".join(state.summary().split())
    assert f"and at the wall {0.9 * unit:g} of the first coordinate with" in said
    assert "cycle" not in said
    assert state.basins[1].walls == ((0, 0.9 * unit),)
    assert not state.basins[1].turns
    well, wall = state.basins
    assert wall.mass * wall.mass_error == pytest.approx(well.mass * well.mass_error)
    assert [b["walls"] for b in state.to_dict()["basins"]] == [[], [[0, 0.9 * unit]]]


def test_a_kink_of_a_loss_is_a_minimum_and_no_cycle():
    """Along the second weight alone it is e^(-7.5 |w - 1|) on (0, 2), beyond which is no noise."""
    landscape = Landscape(
        losses=lambda w: [(w[0] - c) ** 2 + abs(w[1] - c) for c in (0, 1, 2)],
        weights=2,
        learning_rate=0.1,
        domain=((-3, 5), (-3, 5)),
    )
    state = end_state(landscape)
    (basin,) = state.basins
    assert basin.attractor.kind == "stable"
    assert np.abs(basin.position - 1).max() < basin.attractor.error < 1e-6
    assert "cycle" not in state.summary()
    k = 7.5
    exact = (2 / k**2 - math.exp(-k) * (1 + 2 / k + 2 / k**2)) / (1 - math.exp(-k))
    error = state.error_of(lambda s: s.std())[1]
    assert abs(state.std()[1] - math.sqrt(exact)) < error < 1e-3


@pytest.mark.parametrize(
    ("drift", "variance", "domain", "log_density"),
    [
        (lambda x: -np.sign(x), lambda x: 1 + 0 * x, (-np.inf, np.inf), lambda x: -2 * abs(x)),
        (
            lambda x: -x,
            lambda x: np.where(x < 0.5, 1.0, 4.0),
            (-np.inf, np.inf),
            lambda x: np.where(x < 0.5, -(x**2), -0.25 - (x**2 - 0.25) / 4 - math.log(4)),
        ),
        (lambda x: 0.3 - x, lambda x: x, (0, np.inf), lambda x: -0.4 * np.log(x) - 2 * x),
        (lambda x: -x, lambda x: 1 + x**2, (-np.inf, np.inf), lambda x: -2 * np.log1p(x**2)),
    ],
)
def test_coordinates_apart_are_lines_with_kinks_jumps_walls_and_tails(
    drift, variance, domain, log_density
):
    process = Diffusion(
        lambda w: (drift(w[0]), -2 * w[1]),
        lambda w: (variance(w[0]), 0.5 + 0 * w[1]),
        (domain, (-np.inf, np.inf)),
    )
    state = end_state(process)
    assert state.road == "product"
    at = np.array([0.1, 0.4, 0.6, 2.5])
    found = np.asarray(state.logpdf(np.stack([at, 0.3 - at / 5])))
    exact = log_density(at) - 4 * (0.3 - at / 5) ** 2
    assert np.abs(np.diff(found - exact)).max() < 1e-9
    assert state.probability((domain, (0, np.inf))) == pytest.approx(0.5, abs=1e-12)
    assert state.entropy_production == 0 or not state.curl.local
    assert sum(b.mass for b in state.basins) == pytest.approx(1, abs=1e-9)


def test_noise_that_jumps_along_a_curve_is_refused_and_not_taken_for_smooth():
    """Ito: P jumps there, n.a.n P does not; elements would make P continuous."""
    process = Diffusion(
        lambda w: (-w[0] - w[1], -w[1] + w[0]),
        lambda w: np.where(w[0] ** 2 + w[1] ** 2 < 1, 1.0, 3.0),
        weights=2,
    )
    with pytest.raises(StationaryError, match="noise may jump along a curve"):
        end_state(process)


def test_noise_along_one_direction_is_solved_and_what_is_negative_is_no_density():
    """Two datapoints push along one direction; what was found raised an error of LAPACK, then it
    was refused, until noise moved by what it should on the rough chain."""

    def losses(w):
        x, y = w
        return (x - 1) ** 2 / 2 + y**2, (x + y) ** 2 / 2 + (x + 1) ** 2 / 2 + 0.1 * y**4

    state = end_state(Landscape(losses=losses, weights=2, learning_rate=0.3))
    density, process = state.density, state.diffusion
    x, log, u = density.quadrature
    fields, mass = process.fields(x), np.exp(log - density.log_total) * u
    assert np.abs(fields.f @ mass).max() < 1e-8
    flow = np.einsum("im,jm->ijm", x, fields.f)
    assert np.abs((flow + flow.swapaxes(0, 1) + fields.a) @ mass).max() < 1e-8
    with pytest.raises(StationaryError, match="no density was found that is positive"):
        _require_held(process, replace(density, u=-density.u))


def test_coordinates_that_meet_only_where_the_probability_is_are_not_apart():
    process = Diffusion(
        lambda w: (-w[0] - 1e6 * w[1] * np.exp(-1e9 * (w[0] ** 2 + w[1] ** 2)), -w[1]),
        1e-10,
        ((-10, 10), (-10, 10)),
    )
    from stationary.plane.product import product

    assert product(process) is None


def test_borders_that_come_from_a_maximum_part_four_basins():
    """A product of two double wells: masses are products of those of the line."""

    def well(x):
        return x - x**3

    process = Diffusion(
        lambda w: (well(w[0]) + 0.2, well(w[1]) - 0.1), 0.4, ((-3, 3), (-3, 3)), weights=2
    )
    state = end_state(process)
    shares = []
    for k, push in enumerate((0.2, -0.1)):
        law = end_state(Diffusion(lambda x, p=push: well(x) + p, 0.4, (-3, 3)))
        top = next(e.position for e in law.equilibria if not e.stable)
        shares.append((law.cdf(top), law.sf(top)))
        assert state.marginal(k).mean() == pytest.approx(law.mean(), abs=1e-9)
    exact = sorted(a * b for a in shares[0] for b in shares[1])
    found = sorted(state.basins, key=lambda b: b.mass)
    assert len(found) == 4
    for basin, mass in zip(found, exact, strict=True):
        assert abs(basin.log_mass - math.log(mass)) < basin.mass_error < 1e-4


def test_a_box_that_shrank_to_one_well_does_not_run_away():
    """The drift leads out all along the side beyond which the other well lies."""
    from stationary.plane.rough import _runs_away

    process = Diffusion(lambda w: (w[0] - w[0] ** 3, -w[1]), 0.1, weights=2)
    box, wells = ((-0.8, 2.0), (-1.0, 1.0)), np.array([[-1.0, 1.0], [0.0, 0.0]])
    assert not _runs_away(process, box, wells, anywhere=False)
    assert _runs_away(process, box, wells[:, 1:], anywhere=False)


def test_a_finer_mesh_that_resolves_less_is_not_the_answer(monkeypatch):
    """As where spurious solutions live on small rectangles beside singular noise."""
    from stationary.plane import spectral

    seen = []

    def worse(density, floor, rests):
        seen.append(density.mesh.count)
        made = np.zeros(density.mesh.count)
        made[0] = 1e-3 if len(seen) < 3 else 1e-5 * len(seen)
        return made

    monkeypatch.setattr(spectral, "unresolved", worse)
    process, _ = rotated(0.3, 0.7)
    found = spectral.spectral(process, found_on_grid(process, everywhere(process), spectral.CUT))
    assert found.density.mesh.count == seen[2] < seen[-1]
    assert len(seen) == 3 + spectral.WORSE


@pytest.mark.parametrize(("noise", "least"), [(0.025, 1e-8)])
def test_shares_beyond_barriers_come_from_currents_and_not_from_rounding(noise, least):
    """Of e^(-V / noise) with a rotation: V is quadratic in y, so that one integral is left."""
    state = end_state(rotated(noise, 0.7)[0])
    assert state.road == "elements"

    def density(x):
        return math.exp(-((x**2 - 1) ** 2 / 4 + 0.3 * x - 0.045 * x**2 + 0.33) / noise)

    def held(low, high):
        return quad(density, low, high, points=(-1.1, 0.8), epsabs=0, epsrel=1e-13, limit=200)[0]

    exact = math.log(held(-4, 0) / held(0, 4))
    halves = ((-np.inf, 0), (-np.inf, np.inf)), ((0, np.inf), (-np.inf, np.inf))
    error = state.log_ratio_error(*halves)
    assert abs(state.log_ratio(*halves) - exact) < error < least


@pytest.mark.parametrize("noise", [0.02, 0.011])
def test_four_wells_are_joined_by_the_lowest_saddles(noise):
    """A rough chain takes the fourth for too high."""

    def drift(w):
        x, y = w
        vx = x * (x * x - 1) + 0.03 + 0.04 * y
        vy = 4 / 3.5 * y * (y * y - 1.1) - 0.02 + 0.04 * x
        return -vx + 0.5 * vy, -vy - 0.5 * vx

    state = end_state(Diffusion(drift, 2 * noise, domain=((-2.6, 2.6),) * 2))
    x = np.linspace(-2.6, 2.6, 2001)
    v = (x**2 - 1) ** 2 / 4 + 0.03 * x
    v = v[:, None] + (x**2 - 1.1) ** 2 / 3.5 - 0.02 * x + 0.04 * np.outer(x, x)
    p = np.exp(-(v - v.min()) / noise)
    low, high = (np.heaviside(sign * x, 0.5) for sign in (-1, 1))
    exact = math.log((high @ p @ high) / (low @ p @ low))
    quarters = ((0, 2.6),) * 2, ((-2.6, 0),) * 2
    error = state.log_ratio_error(*quarters)
    assert abs(state.log_ratio(*quarters) - exact) < error < 1e-6


def test_what_ends_at_a_wall_beyond_barriers_is_an_attractor_too():
    """V = v(x) + (y - x / 5)^2 / 2 has minima at x = -1 and 1, a top at 1.7 and falls to a wall at
    2.1, with a current g P along lines of the same V that does not cross walls; barriers of e^7 to
    e^22. Newton's method did not converge, or the wall was left out without a word."""
    noise, low, high = 0.025, -1.7, 2.1
    shift, unit = -40.0, (1e-3, 20.0)

    def v(x):
        return 1.7 * (x**4 / 4 - x * x / 2) - x**5 / 5 + x**3 / 3

    def drift(p):
        x, y = (p[0] - shift) / unit[0], p[1] / unit[1]
        along = y - x / 5
        up = (x**3 - x) * (1.7 - x) - along / 5
        g, slope = 0.3 * (x - low) * (high - x), 0.3 * (low + high - 2 * x)
        return unit[0] * (-up - g * along), unit[1] * (-along - noise * slope + g * up)

    domain = ((shift + unit[0] * low, shift + unit[0] * high), (-4 * unit[1], 4 * unit[1]))
    state = end_state(Diffusion(drift, tuple(2 * noise * u * u for u in unit), domain=domain))
    x, w = np.polynomial.legendre.leggauss(200)
    ends = (low, 0.0, 1.7, high)
    logs = []
    for a, b in itertools.pairwise(ends):
        t = (a + b + (b - a) * x) / 2
        logs.append(float(np.log((b - a) / 2 * w @ np.exp(-v(t) / noise))))
    strips = [
        ((shift + unit[0] * a, shift + unit[0] * b), domain[1]) for a, b in itertools.pairwise(ends)
    ]
    for k in (1, 2):
        off = abs(state.log_ratio(strips[k], strips[0]) - (logs[k] - logs[0]))
        error = state.log_ratio_error(strips[k], strips[0])
        assert off <= error < 1e-6


def test_balances_of_means_know_of_walls_that_the_peak_does_not_reach():
    """What a wall holds is 13 deviations from the mean: functions that are not flat there asked for
    changes of 2e-2 of the peak, and the density was refused."""
    noise = 0.01

    def energy(x, y):
        return 0.6 * x * x + 0.25 * y * y - 0.12 * y**3 + 0.1 * x * y

    def drift(p):
        x, y = p
        return -1.2 * x - 0.1 * y, -0.5 * y + 0.36 * y * y - 0.1 * x

    process = Diffusion(drift, 2 * noise, domain=((-2, 2), (-1.2, 2.0))).diffusion()
    mesh = Mesh.between(np.linspace(-1, 1, 21), np.linspace(-1.1, 2.0, 32))
    phi = energy(*mesh.points(basis(DEGREE).nodes)) / noise
    density = Density(mesh, phi, np.ones((mesh.count, 2, 2)))
    at = np.array([[0.0, -0.18], [0.0, 2.0]])
    assert density.depth(at)[1] < 5
    moved = balanced(process, density)
    assert moved.log_at(at) - moved.log_total == pytest.approx(
        density.log_at(at) - density.log_total, abs=1e-7
    )


@pytest.mark.parametrize("ring", [False, True])
def test_attractors_are_not_parted_by_borders_that_cross_a_cycle(ring):
    """Between two wells a cycle around both would leak by rounding where its density is large."""
    from stationary.plane.apart import Apart

    def drift(w):
        x, y = w
        r = np.sqrt(x * x + y * y)
        out = ring / (1 + np.exp((1.4 - r) / 0.05))
        inner = 2 * (x - 2 * x**3), -2 * y
        outer = 2 * (2.2 - r) * x - 2 * y, 2 * (2.2 - r) * y + 2 * x
        return [(1 - out) * a + out * b for a, b in zip(inner, outer, strict=True)]

    process = Diffusion(drift, 0.1, domain=((-3.0, 3.0),) * 2)
    found = everywhere(process)
    assert sum(e.kind == "stable" for e in found) == 2
    assert (Apart.of(process, found, process.domain) is None) == ring


def test_two_wells_of_four_datapoints_are_joined_across_e_26():
    """Newton's method for log P does not converge there, and 3e-13 of rounding is not e^-26."""
    r = np.random.default_rng(106)
    k, c = r.uniform(0.7, 1.2, 4), r.normal(size=4) * 0.4
    c -= c.mean() - 0.03
    d, e, m = r.normal(size=4) * 0.5, r.uniform(0.4, 0.8, 4), r.normal(size=4) * 0.2

    def losses(w):
        x, y = w
        wells = [k[j] * (x**2 - 1) ** 2 / 4 + c[j] * x for j in range(4)]
        return [v + e[j] * (y - d[j]) ** 2 + m[j] * x * y for j, v in enumerate(wells)]

    domain = ((-2.3, 2.3), (-2.5, 2.5))
    state = end_state(Landscape(losses, weights=2, learning_rate=0.15, domain=domain))
    assert state.road == "elements"
    assert state.error < 1e-6
    deep, shallow = sorted(state.basins, key=lambda b: -b.log_mass)
    assert deep.barriers[0][1] > 26 > shallow.barriers[0][1] > 18
    assert shallow.mass_error < 1e-6


def test_an_edge_that_is_rough_itself_is_cut_no_further_than_it_is_known():
    """A disc whose edge is off by 1e-9 from place to place, as borders of basins are."""
    asked = []

    def inside(x):
        asked.append(x.shape[1])
        return np.hypot(*x) < 1 + 1e-9 * np.cos(1e8 * np.arctan2(x[1], x[0]))

    mesh = Mesh.over(((-1.5, 1.4), (-1.3, 1.6)), (6, 6))
    area, edge = held(inside, np.arange(mesh.count), mesh.low, mesh.size, smooth=BORDER)
    assert abs(area.weight.sum() - math.pi) < 1e-8
    assert len(edge.number) < 2_000
    assert sum(asked) < 2_000_000


def test_sgd_whose_weights_know_nothing_of_each_other_is_two_lines():
    """All pairs of kinks: noise is nothing on some stretches, and P is even on (0, 1)."""
    landscape = Landscape(
        losses=lambda w: [abs(w[0] - a) + abs(w[1] - b) for a in (0, 1, 2) for b in (0, 1)],
        weights=2,
        learning_rate=0.1,
        domain=((-3, 5), (-3, 5)),
    )
    state = end_state(landscape)
    assert state.road == "product"
    k = 7.5
    first = (2 / k**2 - math.exp(-k) * (1 + 2 / k + 2 / k**2)) / (1 - math.exp(-k))
    assert np.diag(state.cov()) == pytest.approx([first, 1 / 12], rel=1e-9)


def test_a_minimum_at_infinity_is_said_to_hold_nothing_together(capfd):
    landscape = Landscape(
        losses=lambda w: [
            np.logaddexp(0, -s * w[0]) + np.logaddexp(0, -t * w[1])
            for s, t in ((1, 2), (2, 1), (3, 1.5))
        ],
        weights=2,
        learning_rate=0.1,
    )
    with pytest.raises(StationaryError, match="nothing holds the process together"):
        end_state(landscape)
    assert capfd.readouterr() == ("", "")


def test_masses_on_both_sides_of_a_barrier_are_claimed_to_what_rounding_leaves_of_the_flux():
    """It was off by 2.4 times its claim: what crosses e^-20 of the peak has few digits."""
    noise = 0.015
    process, v = rotated(noise, 0.7, 0.0005)
    state = end_state(process)
    low, high = (b.position for b in state.basins)

    def ratio(s):
        return s.logpdf(low) - s.logpdf(high)

    off = abs(ratio(state) - (v(*high) - v(*low)) / noise)
    assert off < state.error_of(ratio) < 1e-3


@pytest.mark.parametrize("a", [0.02, 0.012])
def test_gibbs_with_a_current_is_known_however_the_noise_is_chosen(a):
    """Two wells on a bent ridge: at some noises the box ended within them."""

    def height(x, y):
        return (x**2 - 1) ** 2 / 4 + 0.12 * x + (y - np.sin(1.3 * x)) ** 2

    def drift(w, c=0.7):
        bent = w[1] - np.sin(1.3 * w[0])
        p, q = w[0] * (w[0] ** 2 - 1) + 0.12 - 2.6 * bent * np.cos(1.3 * w[0]), 2 * bent
        return -p + c * q, -q - c * p

    state = end_state(Diffusion(drift, 2 * a, ((-3, 3), (-3, 3))))
    # Given x, y is Gaussian of one width.
    t, w = np.polynomial.legendre.leggauss(60)
    edges = np.linspace(0, 3, 301)
    x = (edges[:-1, None] + 0.005 * (1 + t)).ravel()
    least = height(-1.055, np.sin(-1.3 * 1.055))
    inner = [np.exp(-(height(s * x, np.sin(1.3 * s * x)) - least) / a) for s in (-1, 1)]
    held = [float((p.reshape(-1, 60) @ w).sum()) for p in inner]
    sides = ((-3, 0), (-3, 3)), ((0, 3), (-3, 3))
    off = abs(state.log_ratio(*sides) - math.log(held[0] / held[1]))
    assert off < state.log_ratio_error(*sides) < 1e-5
    mean = sum(
        float(((s * x * p).reshape(-1, 60) @ w).sum()) for s, p in zip((-1, 1), inner, strict=True)
    )
    off = abs(state.mean()[0] - mean / sum(held))
    assert off < state.error_of(lambda s: s.mean())[0] < 1e-6


def test_points_that_are_none_have_no_density_and_no_basin():
    """nan, basin 0 with a warning, and an IndexError where there is one basin."""
    single = end_state(Diffusion(lambda x: -x, 1.0, weights=2))
    assert single.pdf([math.inf, 0]) == 0
    assert single.energy([1e200, 0]) == math.inf
    walled = Diffusion(lambda x: -x, 0.1, domain=((-2, 2), (-1, 3)))  # no node is at the top of P
    assert end_state(walled).energy([0, 0]) == pytest.approx(0, abs=1e-13)
    with pytest.raises(LandscapeError, match="does not lie in the region"):
        stationary.mean_exit_time(walled, (math.nan, 0), ((-1, 1), (-1, 1)))
    assert single.log_ratio(0, 0) == 0
    with pytest.raises(LandscapeError, match="there is no basin 5"):
        single.log_ratio(0, 5)
    double = end_state(
        Diffusion(lambda x: (x[0] - x[0] ** 3, -x[1]), 0.4, domain=((-3, 3), (-3, 3)))
    )
    assert double.basin_of([math.nan, 0.2]) == -1
    np.testing.assert_array_equal(double.basin_of([[-1, math.nan, 1], [0, 0, 0]]), [0, -1, 1])
    turned = end_state(
        Diffusion(lambda x: (-x[0] - x[1] / 2, x[0] / 2 - x[1]), 0.1, ((-1, 1),) * 2)
    )
    np.testing.assert_array_equal(turned.pdf([[math.nan, -9], [0, 0]]), [math.nan, 0])


def test_walls_far_from_0_are_looked_at_as_closely_as_doubles_tell():
    """A billionth of a width of 0.006 from -123456.79 is there itself: a division by 0."""
    at = np.array([[-123456.79], [98765.43]])
    far = Diffusion(
        lambda x: (-(x[0] - at[0]), -(x[1] - at[1])),
        lambda x: (1e-6 + 0 * x[0], 0.2 + 0 * x[0]),
        ((at[0, 0] - 0.003, at[0, 0] + 0.003), (at[1, 0] - 5, at[1, 0] + 5)),
    )
    with np.errstate(all="raise"):
        assert chart_of(far) is None
    thin = replace(far, variance=lambda x: (np.abs(x[0] - at[0] + 0.003) + 1e-30, 0.2 + 0 * x[0]))
    with np.errstate(all="raise"):
        assert chart_of(thin) is not None


def test_zeros_far_from_0_are_those_that_doubles_tell():
    """Rounding of places left more than a billionth of the drift: of nine zeros three were seen."""
    at = np.array([[342938.201714], [32917.17917004]])

    def drift(x):
        u = (x - at) / 0.003
        return u - u**3

    box = tuple((v - 0.006, v + 0.006) for v in at.ravel().tolist())
    found = equilibria_of(Diffusion(drift, 0.05, box), box)
    assert len(found) == 9
    assert sum(e.attracts for e in found) == 4


def test_nothing_flows_where_nothing_is_and_what_starts_on_the_edge_is_out():
    """A warning (inf times 0), "could not be resolved" and, for no points, an IndexError."""
    turned = Diffusion(lambda x: (-x[0] + x[1], -x[1] - x[0]), 0.5, weights=2)
    flow = end_state(turned).current([[math.inf, 0.3, math.nan], [0, 0.1, 1]])
    np.testing.assert_array_equal(flow[:, 0], 0)
    np.testing.assert_allclose(flow[:, 1], np.array([0.1, -0.3]) * stats.norm(0, 0.5).pdf(0.1)
                               * stats.norm(0, 0.5).pdf(0.3), rtol=1e-12)  # fmt: skip
    assert np.isnan(flow[:, 2]).all()
    box = ((-1, 1), (-1, 1))
    found = stationary.mean_exit_time(turned, [[1, 0.2, 0.4], [0.3, 0.2, -1]], box)
    inside = stationary.mean_exit_time(turned, (0.2, 0.2), box)
    np.testing.assert_array_equal(found.value, [0, inside.value, 0])
    np.testing.assert_array_equal(found.error, [0, inside.error, 0])
    assert stationary.mean_exit_time(turned, np.zeros((2, 0)), box).value.shape == (0,)
    assert stationary.mean_exit_time(turned, np.zeros((2, 0)), lambda x: x[0] > 3).log.size == 0


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (lambda s: s.pdf(["a", 0]), r"\['a', 0\] is no number"),
        (lambda s: s.probability(((1, 0), (0, 1))), r"region is empty: .* or widen the region"),
        (lambda s: s.expect(lambda x: 1 / 0), r"raised ZeroDivisionError"),
        (lambda s: s.probability(lambda x: 1 / 0), r"raised ZeroDivisionError"),
        (
            lambda s: stationary.mean_exit_time(s.process, (0, 0), lambda x: 1 / 0),
            "raised ZeroDivisionError",
        ),
        (
            lambda s: stationary.mean_exit_time(s.process, (0, 0), lambda x: True),
            r"a truth value for each",
        ),
        (
            lambda s: end_state(replace(s.process, variance=0.0)),
            r"there is no noise, so that all ends",
        ),
    ],
)
def test_what_is_asked_in_vain_is_told(asked, words):
    """Tracebacks, a domain that is empty, and noise that acts along one direction."""
    with pytest.raises(StationaryError, match=words):
        asked(end_state(Diffusion(lambda x: -x, 0.1, domain=((-2, 2), (-1, 3)))))


def test_no_noise_and_negative_friction_are_told_as_what_they_are():
    with pytest.raises(LandscapeError, match=r"there is no noise, so that all ends at \(0, 0\)"):
        end_state(Diffusion(lambda x: -x, 0.0, weights=2))
    with pytest.raises(LandscapeError, match=r"friction = -1.0 must not be negative"):
        stationary.Kinetic(lambda q: -q, friction=-1.0)
    with pytest.raises(LandscapeError, match=r"one for all places. .* give Diffusion a drift"):
        stationary.Kinetic(lambda q: -q, temperature=lambda q: 1 + q**2)
    with pytest.raises(LandscapeError, match=r"force\(q\) must return one number .* not 2 rows"):
        end_state(stationary.Kinetic(lambda q: np.array([-q, q])))
    with pytest.raises(LandscapeError, match=r"force = None must be a function of positions, as"):
        stationary.Kinetic(None)
    with pytest.raises(LandscapeError, match=r"friction = 'high' must be a function of positions"):
        stationary.Kinetic(lambda q: -q, friction="high")
    with pytest.raises(LandscapeError, match=r"friction\(-.*\) = -.*: noise and friction come"):
        stationary.Kinetic(lambda q: -q, friction=lambda q: q)


@pytest.mark.parametrize("datapoints", [2, 3, 7])
def test_datapoints_of_one_gradient_make_no_noise_though_their_mean_is_rounded(datapoints):
    """0.1 + 0.1 + 0.1 is not 3 times 0.1, which is no noise of 1e-34 along one direction."""
    for power in (2, 4):

        def losses(w, power=power):
            return [w[0] ** power + w[1] ** 2 + w[0] * w[1] / 3 + k for k in range(datapoints)]

        process = Landscape(losses, weights=2, learning_rate=0.1, domain=((-3, 3), (-3, 3)))
        with pytest.raises(LandscapeError, match="there is no noise, so that all ends"):
            end_state(process)
        assert (process.diffusion().fields(np.array([[0.1, -1.3], [0.7, 2.1]]), 2).da == 0).all()


@pytest.mark.parametrize("root", [lambda x, y: np.sqrt(x**2 + y**2), np.hypot])
def test_a_drift_with_a_radius_has_slopes_at_0_by_a_fit(root):
    def turning(x):
        r = root(*x)
        return x[0] * (1 - r) - 2 * x[1], x[1] * (1 - r) + 2 * x[0]

    (zero,) = everywhere(Diffusion(turning, 0.4, weights=2))
    assert zero.kind == "unstable"
    assert zero.eigenvalues == pytest.approx([1 + 2j, 1 - 2j], rel=1e-6)


def test_a_drift_that_is_flat_at_its_zero_is_not_stable_there():
    """Newton's method comes near alone, and slopes there are what is left of the way."""
    state = end_state(Diffusion(lambda x: -x * np.sqrt(x[0] ** 2 + x[1] ** 2), 0.4, weights=2))
    # e^(-2 r^3 / (3 a)): <r^2> / 2 by gamma functions.
    truth = math.gamma(4 / 3) / math.gamma(2 / 3) * (5 / 3) ** (-2 / 3) / 2
    assert state.density.moments[1] == pytest.approx(truth * np.eye(2), abs=1e-9)
    assert [e.kind for e in state.equilibria] == ["marginal"]


def test_walls_that_are_close_do_not_still_the_noise_along_them():
    """Moves of the rough chain are short there, and interpolation adds less than they are wide."""
    process = Diffusion(
        lambda x: (x[1] - x[0], -x[0] - x[1]), 1.0, domain=((0, 1), (-math.inf, math.inf))
    )
    state = end_state(process)
    mean, covariance = state.density.moments
    # Of y: 0 = -<x> - <y> and 0 = 1 - 2 <y^2> - 2 <x y>, whatever the walls of x do.
    assert mean[1] == pytest.approx(-mean[0], abs=1e-7)
    assert covariance[1, 1] + covariance[0, 1] == pytest.approx(0.5, abs=1e-6)
    assert state.error < 1e-5


@pytest.mark.parametrize(("rate", "momentum"), [(1.2, 0.0), (0.3, 0.9)])
def test_sgd_whose_noise_vanishes_on_a_line_collapses_onto_it(rate, momentum):
    def losses(w):
        return [(w[0] - c) ** 2 + w[1] ** 2 * (1 + c) for c in (0, 1, 2)]

    land = Landscape(losses=losses, weights=2, learning_rate=rate, momentum=momentum)
    with pytest.raises(ConvergenceError, match=r"collapses onto a line through \(1, 0\)"):
        end_state(land)


@pytest.mark.parametrize("faster", [0, 1, -0.25])
def test_the_power_of_tails_is_known_where_noise_far_out_is_a_power_of_r(faster):
    """f = -k y and a = (1 + r^2) I + s y y^T in any coordinates x = m y: k alpha is
    alpha ((alpha - 1) (1 + s) + 1) / 2; both times (1 + r^2)^c, P falls by as much faster.
    Quartic losses had infinite deviations by |x|^-1.66 in place of |x|^-5.66."""
    k, s, m = 1.7, 0.6, np.array([[1.0, 0.4], [-0.3, 0.5]])

    def inner(x):
        y = np.stack([sum(v * w for v, w in zip(row, x, strict=True)) for row in np.linalg.inv(m)])
        return y, (1 + y[0] ** 2 + y[1] ** 2) ** faster

    def variance(x):
        y, times = inner(x)
        own = (1 + y[0] ** 2 + y[1] ** 2) * np.eye(2)[..., None] + s * y[:, None] * y
        return np.einsum("ik,klm,jl->ijm", m, own * times, m)

    process = Diffusion(lambda x: -k * np.asarray(x) * inner(x)[1], variance, weights=2)
    alpha, error = power_of(process, Chart((Line(0.0, 1.0), Line(0.0, 0.3))))
    truth = 1 + (2 * k - 1) / (1 + s) + 2 * faster
    assert abs(alpha - truth) <= error < 1e-6
    even = replace(process, variance=1.0)
    assert faster or power_of(even, Chart((Line(0.0, 1.0),) * 2)) is None


def test_exponential_tails_are_told_no_power():
    """e^(-5 sqrt(0.01 + r^2))."""
    process = Diffusion(lambda x: -x / np.sqrt(0.01 + x[0] ** 2 + x[1] ** 2), 0.4, weights=2)
    state = end_state(process)
    assert state.density.moments[1][0, 0] == pytest.approx(0.1266667, rel=1e-6)
    assert not [note for note in state.notes if "|x_" in note]
    assert "|x|^" not in repr(state.marginal(0))


@pytest.mark.parametrize("unit", [1e-6, 1e4, 1e8])
def test_coordinates_may_be_in_units_that_differ_by_far(unit):
    """y / unit is what it is in one unit: "all collapses onto a line", a traceback, inf or 2 GiB of
    memory it was."""

    def even(x):
        return 1 + 0 * x[0], unit**2 + 0 * x[0]

    linear = Diffusion(
        lambda x: (-x[0] + 0.5 * x[1] / unit, -2 * x[1] - 0.5 * x[0] * unit), even, weights=2
    )
    exact = np.array([[13, -1], [-1, 7]]) / 27
    assert np.allclose(end_state(linear).cov() / np.outer([1, unit], [1, unit]), exact, atol=1e-13)
    well = Diffusion(lambda x: (x[0] - x[0] ** 3, -x[1]), even, weights=2)
    state = end_state(well)
    assert state.cov()[0, 0] == pytest.approx(0.8934649695742367, rel=1e-11)
    assert state.cov()[1, 1] == pytest.approx(0.5 * unit**2, rel=1e-11)
    assert (state.error_of(lambda s: s.mean(), state.std()) < 1e-11 * state.std()).all()
    assert state.curl.local


def test_rest_points_are_found_and_noise_is_told_from_none_in_units_that_differ_by_far():
    def process(unit):
        cross = 0.9 * unit

        def noise(x):
            one = 1 + 0 * x[0]
            return (one, cross * one), (cross * one, unit**2 * one)

        def drift(x):
            return -(x[0] ** 3) + 0.5 * x[1] / unit, -2 * x[1] - 0.5 * x[0] * unit

        return Diffusion(drift, noise, weights=2)

    one, far = (everywhere(process(u)) for u in (1.0, 1e8))
    assert len(one) == len(far) == 1
    assert np.allclose(far[0].eigenvalues, one[0].eigenvalues, rtol=1e-9)
    assert np.allclose(far[0].covariance / [[1, 1e8], [1e8, 1e16]], one[0].covariance, rtol=1e-9)
    box = ((-2.0, 2.0), (-2.0, 2.0))
    rank = [curl_test(process(u), (box[0], (-2 * u, 2 * u))) for u in (1.0, 1e8)]
    assert [t.noise.singular for t in rank] == ["nowhere"] * 2
    assert rank[1].maximum * 1e8 == pytest.approx(rank[0].maximum, rel=1e-9)


@pytest.mark.parametrize("unit", [(1e-8, 1e8)])
def test_shifts_and_units_of_coordinates_change_nothing_but_rounding(unit):
    """Rest points were called marginal, full-rank noise of rank 1, and wells were not parted."""

    def process(unit, middle):
        u = np.array(unit)

        def drift(w):
            x, y = ((v - m) / s for v, m, s in zip(w, middle, unit, strict=True))
            one, two = x**3 - x + 0.3 + 0.4 * y, 2 * y + 0.4 * x
            return u[0] * (x - x**3 - 0.3), u[1] * (-1.2 * one - 0.7 * two)

        def noise(w):
            x = (w[0] - middle[0]) / unit[0]
            cross = 0.5 * u[0] * u[1] * (1 + 0.1 * np.sin(x * (w[1] - middle[1]) / unit[1]))
            one = 1 + 0 * w[0]
            return (u[0] ** 2 * one, cross), (cross, 0.7 * u[1] ** 2 * one)

        return Diffusion(drift, noise, weights=2)

    one, far = process((1.0, 1.0), (0.0, 0.0)), process(unit, (3 * unit[0], -2 * unit[1]))
    some = np.random.default_rng(1).uniform(-2, 2, size=(2, 40))
    u, shift = np.array(unit), np.array([[3], [-2]])
    moved = far.fields(u[:, None] * (some + shift), 2)
    same = in_units(moved, u)
    here = one.fields(some, 2)
    for name in ("f", "a", "df", "da", "dda"):
        assert np.allclose(getattr(same, name), getattr(here, name), rtol=0, atol=1e-13)
    rest, there = everywhere(one), everywhere(far)
    assert [e.kind for e in there] == [e.kind for e in rest] == ["stable", "saddle", "stable"]
    for a, b in zip(rest, there, strict=True):
        assert np.allclose(b.position / u - (3, -2), a.position, rtol=0, atol=1e-13)
        assert np.allclose(b.eigenvalues, a.eigenvalues, rtol=1e-12)
        if a.attracts:
            assert np.allclose(b.covariance / np.outer(u, u), a.covariance, rtol=1e-11)
    ends = np.array([[-2.0, 2.0], [-2.0, 2.0]])
    boxes = box_of(*(u[:, None] * (ends + shift)).T), box_of(*ends.T)
    told, known = (curl_test(p, b) for p, b in zip((far, one), boxes, strict=True))
    assert told.noise.singular == known.noise.singular == "nowhere"
    assert told.maximum * u.prod() == pytest.approx(known.maximum, rel=1e-12)
    flows = [Flow.of(p, e, b) for p, e, b in zip((far, one), (there, rest), boxes, strict=True)]
    assert (flows[0].label(u[:, None] * (some + shift)) == flows[1].label(some)).all()
    beyond = [f.beyond(e[1:2]) for f, e in zip(flows, (there, rest), strict=True)]
    assert beyond[0] == beyond[1]
    assert sorted(beyond[0][0]) == [0, 1]
    # What is even but in the small unit is not, and what is bent there is not straight.
    pull, push = (lambda w: (-w[0], -w[1])), (lambda w: (1 + np.sin(w[0]) / 2, 1e16 + 0 * w[0]))
    bent = lambda w: (w[1] * 1e16, 1e-8 * np.sin(w[0] / 1e8) - w[1])  # noqa: E731
    assert linear(Diffusion(pull, push, weights=2)) is None
    assert linear(Diffusion(bent, ((0.0, 0.0), (0.0, 1e-16)), weights=2)) is None


@pytest.mark.parametrize("unit", [(1e-7, 1e6)])
def test_a_cycle_is_looked_for_in_the_units_of_its_noise(unit):
    """ "The density has not fallen": the first box was 2 in any unit."""
    u, middle = np.array(unit)[:, None], np.array([[2], [-1]])

    def drift(w):
        x, y = w[0] / unit[0] - 2, w[1] / unit[1] + 1
        r = x * x + y * y
        return unit[0] * (x - r * x - 2 * y), unit[1] * (y - r * y + 2 * x)

    noise = 0.2 * np.diag(np.square(unit))
    cycle = Diffusion(drift, lambda w: noise[..., None] + 0 * w[0], weights=2)
    low, high = ends_of(first_box(cycle, everywhere(cycle), CUT)) / u - middle
    assert np.allclose(-low, high)
    assert np.allclose(high, 10 * 0.2**0.5 / 5**0.25)  # noise over the size of 1 +- 2 i


def test_a_bent_law_holds_in_a_box_that_its_bend_leaves():
    """(x, y - c x^2) is a linear process: what the drift carries across a side of a box that is
    too small does not gather at its corners."""
    c, m, s = 0.3, np.array([[-1.0, 0.8], [-0.3, -0.6]]), np.array([[0.53, 0.17], [0.17, 0.26]])

    def drift(x):
        u, v = x[0], x[1] - c * x[0] ** 2
        right, up = (row[0] * u + row[1] * v for row in m)
        return right, up + 2 * c * u * right + c * s[0, 0]

    def variance(x):
        t = 2 * c * x[0]
        across = s[0, 1] + t * s[0, 0]
        return (s[0, 0] + 0 * t, across), (across, s[1, 1] + 2 * t * s[0, 1] + t * t * s[0, 0])

    process = Diffusion(drift, variance, weights=2)
    rough = found_on_grid(process, everywhere(process), CUT)
    law = solve_continuous_lyapunov(m, -s)
    reach = np.sqrt(2 * 30 * np.diag(law))  # down to e^-30 of what is linear
    (low, high), (_, top) = rough.box
    assert low < -reach[0]
    assert high > reach[0]
    assert top > c * reach[0] ** 2
    assert rough.joined


def test_quartic_losses_with_momentum_are_held_on_the_whole_plane():
    """Far out the weight swings ever faster than friction slows it: the box is found all the same.
    Mean and variances are those between walls at -3.5 and 4, and -2.4 and 2.4 for its velocity."""
    losses = [(1.0, -0.8), (0.6, 0.3), (1.4, 1.1)]
    landscape = Landscape(
        lambda w: [h * (w - c) ** 4 / 4 for h, c in losses],
        learning_rate=0.03,
        batch_size=2,
        momentum=0.9,
    )
    free = end_state(stationary.phase_space(landscape))
    assert free.error < 1e-6
    assert np.allclose(free.mean(), [0.2074532, 0.0], atol=2e-6)
    assert np.allclose(free.cov(), [[0.03059, 0.0], [0.0, 0.0020634]], atol=1e-6)


@pytest.mark.parametrize("turn", [0.2, 0.1])
def test_what_leaks_over_a_barrier_and_runs_away_has_no_end_state(turn):
    """It begins anew where it was in a chain on a box that it leaves: that is no law."""
    for drift in (
        lambda x: (-x[0] + x[0] ** 2, -x[1] + turn * x[0]),
        lambda x: (-x[0] + x[0] ** 3 + turn * x[1], -x[1] - 0.3 * x[0]),
    ):
        with pytest.raises(StationaryError, match="nothing holds"):
            end_state(Diffusion(drift, 0.05, weights=2))


def test_what_looks_like_two_weights_is_told_how_to_say_so():
    def drift(x):
        return x[1], -x[0] - x[1]

    with pytest.raises(LandscapeError, match="weights=2, or a pair of ends for each"):
        Diffusion(drift, 0.2, (-3, 3))
    with pytest.raises(LandscapeError, match=r"Its shape is \(3, M\)\."):
        Diffusion(drift, [0.1, 0.2, 0.3], ((-3, 3), (-4, 4)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("tau", [1e-6, 1e6])
def test_position_and_velocity_may_have_units_that_are_far_apart(tau):
    """In microseconds a spring was said to collapse onto a line, and wells gave a traceback."""
    for force, of_place in ((lambda q: -q, 0.3), (lambda q: q - q**3, 0.84054647)):
        process = Kinetic(
            lambda q, force=force: force(q) / tau**2, friction=0.7 / tau, temperature=0.3 / tau**2
        )
        state = end_state(process)
        assert np.diag(state.cov()) * [1, tau**2] == pytest.approx([of_place, 0.3], rel=1e-7)
        assert sum(b.mass for b in state.basins) == pytest.approx(1, abs=1e-9)
        assert len(state.basins) == (1 if of_place == 0.3 else 2)


@pytest.mark.parametrize("unit", [2.0**-30, 1.0])
def test_a_region_may_be_much_smaller_than_what_is_looked_at_first(unit):
    """Leaving a disc: int (e^(p^2 / 2 D) - 1) / p dp, off by 38 times its claim in nanometres."""
    process = Diffusion(lambda x: -x, 0.6 * unit**2, domain=((-math.inf, math.inf),) * 2)
    start = np.array([[0, 0.5 * unit], [0, 0]])
    found = stationary.mean_exit_time(
        process, start, lambda x: x[0] ** 2 + x[1] ** 2 < 1.44 * unit**2
    )
    exact = [quad(lambda p: math.expm1(p * p / 0.6) / p, r, 1.2, epsrel=1e-12)[0] for r in (0, 0.5)]
    assert (np.abs(found.value / exact - 1) <= found.error).all()
    assert found.error.max() < 1e-8


@pytest.mark.parametrize("ends", [2.5, np.inf])
@pytest.mark.parametrize("unit", [1e-9, 1e6])
def test_momentum_in_any_unit_of_length(unit, ends):
    """Only the noise of its velocity tells how large that is: rest points were 19 for 3."""

    def process(losses, rate):
        domain = (-ends * unit, ends * unit)
        return stationary.phase_space(
            Landscape(losses=losses, learning_rate=rate * unit**2, momentum=0.9, domain=domain)
        )

    tilts = np.array([-1.0, -0.4, 0.3, 1.1])
    wells = process(lambda w: [(w / unit) ** 4 / 4 - (w / unit) ** 2 / 2 + c * np.sin(2 * w / unit)
                               for c in 1.5 * tilts], 0.02)  # fmt: skip
    at = np.array([e.position for e in stationary.equilibria(wells)]) / unit
    assert at == pytest.approx(np.array([[-1, 0], [0, 0], [1, 0]]), abs=1e-8)
    state = end_state(process(lambda w: [(w / unit - c) ** 2 / 2 for c in tilts], 0.01))
    variance = 0.01 * np.var(tilts) / (2 * (1 - 0.9))
    assert state.cov()[0, 0] / unit**2 == pytest.approx(variance, rel=1e-9)


def test_a_density_that_is_not_resolved_is_no_inf_of_its_peak():
    assert "as large as its peak" in _unresolved("p", math.inf, False)
    assert "0.3 of its peak" in _unresolved("p", 0.31, False)
    assert "p: the noise has nearly rank 1" in _unresolved("p", math.inf, True)


def test_a_law_far_from_all_that_was_known_is_refused_and_not_divided_by_nothing(monkeypatch):
    process = Diffusion(lambda x: (-x[0] + x[1] ** 3, -x[1] - x[0]), 0.5, weights=2)
    far = SimpleNamespace(box=((5.0, 9.0), (3.0, 8.0)))
    monkeypatch.setattr("stationary.plane.tails.found_on_grid", lambda *_: far)
    with pytest.raises(LandscapeError, match="why"):
        with_heavy_tails(process, everywhere(process), LandscapeError("why"))


def test_momentum_overshoots_where_its_own_steps_do_and_is_told_as_the_limit_of_small_steps():
    """v <- 0.9 v - T h w, w <- w + v settles up to T h = 3.8, far beyond T h = 1 - 0.9."""

    def losses(w):
        return [(w[0] - c) ** 2 / 2 + (w[1] - c * c) ** 2 / 2 for c in (-1, 0.2, 1, 1.5)]

    for rate, leaves in ((0.3, False), (3.7, False), (3.9, True)):
        process = Landscape(losses=losses, weights=2, learning_rate=rate, momentum=0.9)
        said = " ".join(end_state(process).summary().split())
        assert said.startswith("unnamed In the long run SGD is around")
        assert "That is the limit of small steps" in said
        assert ("overshoots" in said) == leaves
        assert f"Momentum 0.9 stands for a learning rate of {rate} / (1 - 0.9)" in said
    line = Landscape(
        losses=lambda w: [(w - c) ** 2 / 2 for c in (-1, 1)], learning_rate=0.3, momentum=0.9
    )
    assert "overshoots" not in end_state(stationary.phase_space(line)).summary()


def test_halves_of_a_heavy_tailed_law_off_the_diagonal_hold_one_half_each():
    """P ~ (1 + |x - c|^2)^-4: centres and widths of one direction were taken for the other one's,
    and a half claimed 0.95 to 5e-11."""
    at, wide = np.array([[3.0], [-2.0]]), np.array([[1.0], [5.0]])

    def drift(x):
        y = (x - at) / wide
        return wide * np.stack([-3 * y[0] + y[1], -3 * y[1] - y[0]])

    def variance(x):
        return wide**2 * (1 + (((x - at) / wide) ** 2).sum(axis=0))

    state = end_state(Diffusion(drift, variance, weights=2))
    for half in (((-np.inf, 3), (-np.inf, np.inf)), ((-np.inf, np.inf), (-2, np.inf))):
        error = state.error_of(lambda s, half=half: s.log_probability(half))
        assert abs(state.log_probability(half) - math.log(0.5)) < error < 1e-6


def test_entropy_production_counts_what_many_points_hold_together():
    """c^2 <lap V> / T of V = r^2 / 2 + r^4 / 4, of which what a million points hold was left out:
    claims were exceeded 1.5 to 14 times."""

    def drift(x):
        slope = (1 + (x**2).sum(axis=0)) * x
        return -slope + 3 * np.stack([slope[1], -slope[0]])

    state = end_state(Diffusion(drift, 2.0, weights=2))
    weight, mean = (
        quad(lambda s, k=k: s**k * math.exp(-s / 2 - s * s / 4), 0, 40, epsabs=0)[0] for k in (0, 1)
    )  # of r^2
    exact = 9 * (2 + 4 * mean / weight)
    assert abs(state.entropy_production - exact) < state.error_of(lambda s: s.entropy_production)


def rosenbrock(steep, wide):
    """V = steep (y - x^2)^2 + (x - 1)^2 / (2 wide): x is normal, and y is x^2 and more."""

    def drift(w):
        x, y = w
        off = 2 * steep * (y - x**2)
        return -0.15 * (-2 * x * off + (x - 1) / wide), -0.15 * off

    return Diffusion(drift, 0.3, weights=2)


def test_a_bent_valley_on_the_whole_plane():
    """It was refused as one with heavy tails."""
    state = end_state(rosenbrock(16.0, 0.25))
    assert state.road == "integral"
    exact = np.array([[0.25, 0.5], [0.5, 1 + 1 / 8 + 1 / 32]])
    assert (np.abs(state.mean() - [1, 1.25]) <= state.error_of(lambda s: s.mean())).all()
    assert (np.abs(state.cov() - exact) <= state.error_of(lambda s: s.cov())).all()
    assert state.error < 1e-8
    assert [b.mass for b in state.basins] == [1.0]


def test_what_creeps_along_a_steep_valley_arrives():
    """With rates of 1 : 2500 at the minimum, and of 1 : 10^5 far out: it passed for a cycle."""
    process = rosenbrock(50.0, 1.0)
    flow = Flow.of(process, everywhere(process), ((-14, 11), (-18, 115)))
    assert flow.arrives


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("drift", [[[-1e4, 3.0], [5.0, -1.0]], [[-1e-3, 1.0], [-1.0, -1e-3]]])
def test_all_goes_to_the_rest_point_of_a_linear_drift_however_stiff_or_slow(drift):
    """In units of 1e-6 and 1e6, 20 widths from 0: 1e-5 was on or around a cycle, 0.4 of the weak
    spiral, and the error was 0.1 of the peak."""
    unit, shift = np.array([[1e-6], [1e6]]), np.array([[3e-5], [-2e7]])
    process = Diffusion(
        lambda x: unit * (np.array(drift) @ ((np.stack([x[0], x[1]]) - shift) / unit)),
        unit @ unit.T * np.eye(2),
        weights=2,
    )
    state = end_state(process)
    (basin,) = state.basins
    assert basin.mass == 1.0
    assert state.error < 1e-11


@pytest.mark.filterwarnings("error")
def test_a_drift_that_is_next_to_nothing_is_followed_without_a_word():
    """Slopes of 1e-300 and below, as of networks that are dead: steps overflowed."""
    process = Diffusion(lambda x: (-1e-310 * x[0], -1e-310 * x[1]), 1.0, domain=((-1, 1), (-1, 1)))
    rest = SimpleNamespace(
        position=np.zeros(2), jacobian=-np.eye(2), variance=np.eye(2), attracts=True
    )
    flow = Flow.of(process, (rest,), process.domain)
    assert (flow.label(np.array([[0.9], [0.9]])) == 0).all()


def test_a_box_that_is_far_longer_than_wide_has_its_traps_without_a_warning():
    """As one that holds a zero at 1e11: in its units slopes were too far apart for SciPy."""
    process = Diffusion(lambda x: (0.3 * x[1] - x[0], -0.7 * x[0] - 0.4 * x[1]), 1.0, weights=2)
    box = ((-1e11, 4e11), (-35.0, 40.0))
    (only,) = stationary.equilibria(process)
    flow = Flow.of(process, (only,), box)
    assert (flow.label(np.array([[5.0, -3.0, 0.1], [2.0, -3.0, 0.2]])) == 0).all()


def test_where_slopes_are_zero_at_an_attractor_it_is_one():
    """P = e^-(x^4 + y^4 + x^2 y^2) with a current: its slopes at 0, 1e-15 by rounding, told how
    far out to look, and it was refused."""

    def drift(w):
        x, y = w
        slope = 4 * x**3 + 2 * x * y**2, 4 * y**3 + 2 * x**2 * y
        return -slope[0] / 2 - slope[1], -slope[1] / 2 + slope[0]

    state = end_state(Diffusion(drift, 1.0, weights=2))
    (basin,) = state.basins
    assert basin.attractor.kind == "marginal"
    assert abs(basin.position).max() < 1e-6
    assert basin.mass == 1.0
    x = np.linspace(-4, 4, 401)
    weight = np.exp(-(x[:, None] ** 4) - x**4 - x[:, None] ** 2 * x**2)
    exact = (weight * x**2).sum() / weight.sum()
    assert abs(state.cov()[0, 0] - exact) < 1e-12


def test_of_a_local_energy_it_is_told_what_lies_beyond_the_box():
    """P(|x| > r) far out, of which a box holds the corners alone: claims were 1e-11."""

    def drift(w):
        return -w * (1 + (w**2).sum(axis=0))

    state = end_state(Diffusion(drift, 0.1, weights=2))
    energy = 20 * (2.2**2 / 2 + 2.2**4 / 4)
    rest = quad(lambda s: math.exp(-10 * s - 5 * s**2), 0, 9)[0]
    out = quad(lambda s: math.exp(energy - 10 * s - 5 * s**2), 2.2**2, 40)[0]

    def found(s):
        return s.log_probability(lambda x: (x**2).sum(axis=0) > 2.2**2)

    assert abs(found(state) - math.log(out / rest) + energy) < state.error_of(found)


def narrow_well(wide, turning, at=(1.3, 0.7)):
    """P = e^(-V / 0.5), V = r^2 / 2 - 4 e^(-|x - at|^2 / (2 wide^2)), turning or not."""

    def drift(x):
        u, v = x[0] - at[0], x[1] - at[1]
        well = 4 / wide**2 * np.exp(-(u * u + v * v) / (2 * wide * wide))
        slope = x[0] + well * u, x[1] + well * v
        return -slope[0] + turning * slope[1], -slope[1] - turning * slope[0]

    return Diffusion(drift, 1.0, domain=((-4, 4), (-4, 4)))


@pytest.mark.parametrize(("wide", "turning"), [(0.01, 0.3), (1e-3, 0.0)])
def test_a_narrow_well_is_found(wide, turning):
    """It holds 1e-2 at 1/800 of the domain, 1e-4 at 1/8000, and was missed without a word."""
    state = end_state(narrow_well(wide, turning))
    r, w = np.polynomial.legendre.leggauss(200)
    r, w = 6 * wide * (r + 1), 6 * wide * w
    angle = 2 * np.pi * np.arange(64) / 64
    x = np.array([1.3 + np.outer(r, np.cos(angle)), 0.7 + np.outer(r, np.sin(angle))])
    more = np.exp(-(x**2).sum(axis=0)) * np.expm1(8 * np.exp(-((r / wide) ** 2) / 2))[:, None]
    more = more * (r * w * 2 * np.pi / 64)[:, None]  # what the well adds to e^(-r^2)
    exact = (x * more).sum(axis=(1, 2)) / (np.pi + more.sum())
    off = np.abs(state.mean() - exact)
    assert (off < state.error_of(lambda s: s.mean(), state.std()) + 1e-6 * exact).all()
    assert len(state.basins) == 2
    own = state.basins[state.basin_of((1.3, 0.7))]
    assert own.mass > more.sum() / np.pi
    assert own.mass_error < 1e-2


def test_noise_in_a_narrow_spot_is_seen_by_the_curl_test():
    process = Diffusion(
        lambda x: (-x[0], -x[1]),
        lambda x: 1 + 5 * np.exp(-((x[0] - 0.3) ** 2 + (x[1] - 0.2) ** 2) / 2e-4),
        domain=((-4, 4), (-4, 4)),
    )
    assert not curl_test(process, process.domain).local


def test_noise_that_vanishes_in_a_narrow_spot_is_no_local_energy():
    process = Diffusion(
        lambda x: (-x[0], -x[1]),
        lambda x: 1 - np.exp(-((x[0] - 0.3) ** 2 + (x[1] - 0.2) ** 2) / 2e-4),
        domain=((-4, 4), (-4, 4)),
    )
    assert not curl_test(process, process.domain).local


def test_a_narrow_minimum_of_a_loss_is_found():
    """Of six datapoints, 1/400 of the domain wide; one that each sees a little elsewhere."""
    angle = np.pi * np.arange(6) / 3

    def losses(w):
        x, y = w
        u, v = 0.5 * np.cos(angle)[:, None], 0.5 * np.sin(angle)[:, None]
        r = (x - 1.2 - 0.01 * u) ** 2 + (y + 0.4 - 0.01 * v) ** 2
        return ((x - u) ** 2 + (y - v) ** 2) / 2 - 0.08 * np.exp(-r / (2 * 0.02**2))

    found = stationary.equilibria(
        Landscape(losses, weights=2, learning_rate=0.1, domain=((-4, 4), (-4, 4)))
    )
    kinds = [e.kind for e in found]
    assert sorted(kinds) == ["saddle", "stable", "stable"]


@pytest.mark.parametrize("friction", [0.05, 5.0])
def test_a_drift_that_is_position_and_velocity_in_a_bath_is_known_as_such(friction):
    """Written as a `Diffusion`: weak friction was refused after 45 s, strong one took 36 s."""

    def drift(x):
        q, v = x
        return v, 4 * q - 4 * q**3 - 0.2 - friction * (1 + q**2) * v

    def variance(x):
        q, _ = x
        return (0 * q, 0 * q), (0 * q, 0.4 * friction * (1 + q**2))

    state = end_state(Diffusion(drift, variance, weights=2))
    assert state.road == "gibbs"
    exact = end_state(Kinetic(lambda q: 4 * q - 4 * q**3 - 0.2, 1.0, 0.2))
    assert state.mean() == pytest.approx(exact.mean(), abs=1e-12)
    assert state.cov() == pytest.approx(exact.cov(), abs=1e-12)
    warmer = Diffusion(drift, lambda x: (0 * x[0], 0.4 * friction + x[0] ** 2), weights=2)
    assert gibbs(warmer) is None


def test_charts_know_their_slopes_and_the_process_its_derivatives():
    axes = (Between(-0.5, 2.0), Beyond(-1.0, 2.0), Beyond(1.0, -0.5), Line(0.3, 2.0))
    y, h = np.linspace(-2, 2, 9), 1e-5
    for axis in axes:
        assert np.allclose(axis.y(axis.x(y)), y, atol=1e-12)
        rise = (axis.x(y + h) - axis.x(y - h)) / 2 / h
        assert np.allclose(np.log(rise), axis.log_stretch(y), atol=1e-6)
        for k, f in enumerate([axis.log_stretch, lambda v, a=axis: a.slopes(v)[0]]):
            assert np.allclose((f(y + h) - f(y - h)) / 2 / h, axis.slopes(y)[k], atol=1e-7)
    process = Diffusion(
        lambda w: (np.sin(w[0]) + w[1] ** 2, np.cos(w[1]) * w[0]),
        lambda w: ((1 + w[0] ** 2, w[0] * w[1] / 3), (w[0] * w[1] / 3, 0.5 + w[1] ** 2)),
        domain=((-0.5, 2), (-1, np.inf)),
    )
    inner = Chart((axes[0], axes[1])).process(process, 1e-12)
    x = np.random.default_rng(0).uniform(-0.7, 0.7, (2, 5))
    found = inner.fields(x, 2)
    for k in (0, 1):
        by = h * np.eye(2)[:, [k]]
        more, less = inner.fields(x + by, 1), inner.fields(x - by, 1)
        assert np.allclose((more.f - less.f) / 2 / h, found.df[k], rtol=1e-6, atol=1e-6)
        assert np.allclose((more.a - less.a) / 2 / h, found.da[k], rtol=1e-6, atol=1e-6)
        assert np.allclose((more.da - less.da) / 2 / h, found.dda[k], rtol=1e-6, atol=1e-6)


def test_populations_with_noise_in_proportion_have_the_means_that_balance_their_growth():
    """Mean rates of growth, less half of the noise, vanish. These were refused."""

    def drift(w):
        return w[0] * (1 - w[0] - 1.2 * w[1]), w[1] * (1.5 * w[0] - 0.5)

    state = end_state(Diffusion(drift, lambda w: 0.04 * w**2, domain=((0, np.inf), (0, np.inf))))
    x = 0.52 / 1.5
    off = np.abs(state.mean() - [x, (0.98 - x) / 1.2])
    assert (off <= state.error_of(lambda s: s.mean())).all()
    assert off.max() < 1e-12
    assert state.error < 1e-7
    assert state.notes == ()
    # What is not known of the slope of P next to walls, where there is next to nothing, is nothing.
    assert state.error_of(lambda s: s.entropy_production) < 1e-6 * state.entropy_production


def test_noise_that_vanishes_at_walls_leaves_moments_of_lyapunovs_equation():
    """Two square-root processes that feed each other; P falls to 0 at one wall, and has no bound
    at the other one."""
    back, source, noise = np.array([[1.0, -0.3], [-0.1, 0.6]]), np.array([0.6, 0.15]), (0.3, 0.4)
    state = end_state(
        Diffusion(
            lambda w: tuple(
                s - r[0] * w[0] - r[1] * w[1] for s, r in zip(source, back, strict=True)
            ),
            lambda w: (noise[0] * w[0], noise[1] * w[1]),
            domain=((0, np.inf), (0, np.inf)),
        )
    )
    mean = np.linalg.solve(back, source)
    exact = solve_continuous_lyapunov(back, np.diag(noise * mean))
    assert np.allclose(state.mean(), mean, atol=1e-10)
    assert np.allclose(state.cov(), exact, atol=1e-10)
    assert (np.abs(state.cov() - exact) <= state.error_of(lambda s: s.cov())).all()
    assert state.pdf([0.5, -0.1]) == 0
    assert state.marginal(1).mean() == pytest.approx(mean[1], abs=1e-9)


def test_two_loci_under_mutation_and_selection_have_wrights_law():
    """x^(a - 1) (1 - x)^(b - 1) for each, times e^(4 (x - 1/2) (y - 1/2)): NumPy's error it was."""
    a, b = (1.3, 0.7), (1.6, 2.2)

    def drift(w):
        one, two = (
            (p * (1 - v) - q * v) / 4 + v * (1 - v) * (u - 0.5)
            for v, u, p, q in zip(w, w[::-1], a, b, strict=True)
        )
        return one, two

    state = end_state(Diffusion(drift, lambda w: w * (1 - w) / 2, domain=((0, 1), (0, 1))))
    (x, u), (y, v) = (special.roots_jacobi(30, q - 1, p - 1) for p, q in zip(a, b, strict=True))
    x, y = (1 + x) / 2, (1 + y) / 2
    weight = np.outer(u, v) * np.exp(4 * np.outer(x - 0.5, y - 0.5))
    weight /= weight.sum()
    mean = np.array([weight.sum(axis=1) @ x, weight.sum(axis=0) @ y])
    assert state.curl.local
    assert (np.abs(state.mean() - mean) <= state.error_of(lambda s: s.mean())).all()
    assert np.abs(state.mean() - mean).max() < 1e-8
    assert state.error < 1e-5


def test_what_dies_out_is_told_so():
    def drift(w):
        return w[0] * (1 - w[0] - 1.2 * w[1]), w[1] * (1.5 * w[0] - 0.5)

    quadrant = ((0, np.inf), (0, np.inf))
    with pytest.raises(LandscapeError, match="comes to the wall 0 of the first coordinate stays"):
        end_state(Diffusion(drift, lambda w: 0.04 * w, domain=quadrant))

    def starving(w):
        return w[0] * (1 - w[0] - 1.2 * w[1]), w[1] * (0.3 * w[0] - 0.5)

    with pytest.raises(ConvergenceError, match="noise vanishes across walls"):
        end_state(Diffusion(starving, lambda w: 0.04 * w**2, domain=quadrant))


@pytest.mark.parametrize(
    ("drift", "power", "stays"),
    [
        (lambda x: x * (1 - x), 1, True),
        (lambda x: x * (1 - x), 1.5, True),
        (lambda x: -0.3 - x, 1, True),  # "end the domain a little before", or a drift that is nan
        (lambda x: x * (1 - x), 0.8, False),  # is reflected, as it is on the line
        (lambda x: 5e-4 - x, 1, False),  # comes back, however seldom
    ],
)
def test_what_stays_at_a_wall_is_what_neither_noise_nor_drift_leads_back(drift, power, stays):
    half = ((0, np.inf), (-np.inf, np.inf))
    process = Diffusion(
        lambda w: (drift(w[0]), np.tanh(w[0]) - w[1]), lambda w: (w[0] ** power, 0.5), domain=half
    )
    told = "comes to the wall 0 of the first coordinate stays"
    try:
        chart_of(process)
        found = False
    except LandscapeError as error:
        found = told in str(error)
    assert found is stays


def test_no_zero_of_the_drift_beyond_a_wall_is_looked_for_in_boxes_that_grow():
    process = Diffusion(
        lambda w: (-0.3 - w[0], np.tanh(w[0]) - w[1]),
        lambda w: (w[0], 0.5),
        domain=((0, np.inf), (-np.inf, np.inf)),
    )
    assert not everywhere(process)


def test_phases_that_only_know_their_difference_are_solved_in_a_box():
    """Along the line of rest points the drift has no slope: SciPy's warning it was."""

    def drift(t):
        pull = np.sin(t[1] - t[0]) / 2
        return 0.3 + pull, -0.3 - pull

    state = end_state(Diffusion(drift, 0.2, domain=((-3, 3), (-3, 3))))
    x = np.array([[2.5, 1.0], [-2.0, 0.5]])
    log = 10 * (0.3 * (x[0] - x[1]) + np.cos(x[0] - x[1]) / 2)
    assert np.diff(state.logpdf(x)) == pytest.approx(np.diff(log), abs=1e-10)


def test_how_long_populations_last_is_known_where_no_end_state_holds_them():
    """ "There are points that are never left": nothing comes back from there, but it takes long."""
    process = Diffusion(
        lambda w: w * (1 - w[0] - w[1] / 2),
        lambda w: 0.05 * w,
        domain=((0, np.inf), (0, np.inf)),
    )
    far, near = (
        stationary.mean_exit_time(process, (0.5, 0.5), ((0.1, end), (0.1, end)))
        for end in (np.inf, 3)
    )
    assert abs(far.log - near.log) <= far.error + near.error < 1e-4


def test_minima_of_a_network_that_differ_in_signs_alone_hold_half_each():
    """What is between them was followed, and refused: barriers of e^1000, noise of rank 1."""
    inputs, targets = (-1.5, -0.5, 0.4, 1.0, 2.0), (-1.3, -0.4, 0.8, 0.7, 1.2)

    def losses(w):
        return [(w[1] * np.tanh(w[0] * x) - y) ** 2 for x, y in zip(inputs, targets, strict=True)]

    def solved(domain):
        return end_state(Landscape(losses=losses, learning_rate=0.05, domain=domain))

    both, one = solved(((-4, 4), (-4, 4))), solved(((0.3, 4), (0.3, 4)))
    assert [b.mass for b in both.basins] == [0.5, 0.5]
    mean, covariance = one.mean(), one.cov()
    assert np.allclose(both.mean(), 0, atol=1e-9)
    assert np.allclose(both.cov(), covariance + np.outer(mean, mean), atol=1e-9)
    error = both.error_of(lambda s: s.cov())
    assert (np.abs(both.cov() - covariance - np.outer(mean, mean)) <= error + 1e-11).all()
    x = mean[:, None] + one.std()[:, None] * [[0.3, -1.0], [0.5, 1.2]]
    for sign in (1, -1):
        assert np.allclose(both.logpdf(sign * x), one.logpdf(x) - np.log(2), atol=1e-6)
        box = np.sort([[0, sign * mean[0]], [-4, 4]], axis=1)
        half = one.probability(((0, mean[0]), (-4, 4))) / 2
        assert both.probability(box) == pytest.approx(half, abs=1e-8)
        assert both.probability(lambda w, s=sign: s * w[1] < -mean[1]) == pytest.approx(
            one.probability(((0, 4), (mean[1], 4))) / 2, abs=1e-7
        )
        law = one.marginal(0)
        at = law.ppf(0.3)
        assert both.marginal(0).pdf(sign * at) == pytest.approx(law.pdf(at) / 2, rel=1e-6)
    assert both.marginal(0).cdf(0.0) == pytest.approx(0.5, abs=1e-9)
    drawn = both.rvs(2000, rng=1)
    assert np.abs(drawn.mean(axis=1)).max() < 0.2
    assert np.abs(np.abs(drawn).mean(axis=1) - mean).max() < 0.02
    assert both.circulation == pytest.approx(
        one.circulation, abs=both.circulation_error + one.circulation_error + 1e-9
    )
    assert "images of each other" in both.summary()


def test_attractors_are_no_images_where_noise_between_them_is_not():
    x = np.linspace(-2, 2, 6)[:, None]
    y, sign = (
        1.2 * np.tanh(1.5 * x) + [[0.3], [-0.2], [0.1], [-0.4], [0.2], [-0.1]],
        [[1], [-1]] * 3,
    )

    def losses(w):  # without a mean, beside the saddle, only one of two has more noise
        bump = 0.3 * np.exp(-((w[0] - 0.45) ** 2 + (w[1] - 0.55) ** 2) / 0.02)
        fit = (w[1] * np.tanh(w[0] * x) - y) ** 2 / 2 + 0.05 * (w[0] ** 2 + w[1] ** 2)
        return fit + np.array(sign) * bump

    box = ((-30, 30), (-30, 30))
    with pytest.raises(ConvergenceError, match="barriers between them are too high"):
        end_state(Landscape(losses, weights=2, learning_rate=0.1, domain=box))


def leaning_wells(noise, middle=0.0, domain=((-3, 3), (-3, 3)), lean=0.0, bump=0.0):
    """Wells at middle -+ 1, noise that is next to rank 1, and what takes the mirror away."""

    def drift(w):
        x = w[0] - middle
        return x - x**3 + lean, -w[1]

    def variance(w):
        more = np.exp(-((w[0] - middle - 0.31) ** 2 + (w[1] - 0.003) ** 2) / 1e-6)
        a = noise * (1 + bump * more)
        return [[a, 0.9999999 * a], [0.9999999 * a, a]]

    return Diffusion(drift, variance, domain=domain)


@pytest.mark.parametrize(
    ("given", "alike"),
    [
        ({}, True),
        ({"middle": 2.0, "domain": ((-2, 6), (-6, 6))}, True),
        ({"middle": 2.0, "domain": ((-np.inf, np.inf), (-6, 6))}, True),
        ({"middle": 1.99, "domain": ((-3, 3), (-3, 3))}, False),  # a wall cuts one of two wells
        ({"bump": 0.3}, False),  # narrower than any raster
    ],
)
def test_attractors_are_images_where_walls_and_narrow_noise_are_too(given, alike):
    process = leaning_wells(0.004, **given)
    solved = []

    def one(*asked):
        solved.append(asked)
        raise LandscapeError("enough")

    among_images(process, everywhere(process), one)
    assert bool(solved) is alike


def test_images_that_differ_within_rounding_hold_as_much_to_what_that_decides():
    """Of 1e-11 in the drift, masses differ by e^(4e-11 / noise): no error at all was told."""
    state = end_state(leaning_wells(1e-8, lean=1e-11))
    lower, upper = state.basins
    assert lower.mass == upper.mass == 0.5
    assert 0.001 < lower.mass_error == upper.mass_error < 0.01
    assert state.error > 0.001
    assert state.status is not Status.CONVERGED


def test_how_little_lies_next_to_a_wall_without_noise_is_told_with_its_error():
    """Of a gamma law of shape 1.6, what is closer to the wall than y goes was left out."""

    def drift(w):  # of a second one, times 1 + x
        v = w[1] / (1 + w[0])
        return 0.8 - w[0], (1 + w[0]) * (3 - 2 * v) + v * (0.8 - w[0])

    def variance(w):
        v = w[1] / (1 + w[0])
        return [[w[0], v * w[0]], [v * w[0], v * (1 + w[0]) ** 2 + v**2 * w[0]]]

    state = end_state(Diffusion(drift, variance, domain=((0, np.inf), (0, np.inf))))
    law, all_ = stats.gamma(1.6, scale=0.5), (-np.inf, np.inf)
    for end in (1e-2, 1e-8, 1e-11):
        near, rest = ((0, end), all_), ((0, 1), all_)
        off = state.log_ratio(near, rest) - np.log(law.cdf(end) / law.cdf(1))
        assert abs(off) <= state.log_ratio_error(near, rest)
    assert state.log_ratio_error(((0.1, 0.2), all_), ((0.2, 1), all_)) < 1e-5
    assert state.marginal(0).pdf([-1.0, 1.0]) == pytest.approx([0, law.pdf(1)], abs=1e-6)


@pytest.mark.parametrize("at", [1.0, 100.0])
def test_zeros_and_their_eigenvalues_are_known_as_well_as_is_said(at):
    """Held against 40 digits: shifted cubes cancel, and waves are steep far from the origin."""

    def fields(x, y, sin, cos):
        cubed = x * x * x - 3 * at * x * x + 3 * at * at * x - at**3
        return 0.3 * sin(at * x) - cubed - (x - at) - 0.2 * (y - at), 0.2 * cos(x) - (y - at)

    process = Diffusion(
        lambda x: np.stack(fields(*x, np.sin, np.cos)), 0.1, domain=((at - 2, at + 2),) * 2
    )
    found = stationary.equilibria(process)
    assert found
    mp = mpmath.mp.clone()
    mp.dps = 40
    for e in found:
        x, y = mp.findroot(lambda *x: fields(*x, mp.sin, mp.cos), [mp.mpf(v) for v in e.position])
        truth = mp.eig(
            mp.matrix([
                [0.3 * at * mp.cos(at * x) - 3 * (x - at) ** 2 - 1, -0.2],
                [-0.2 * mp.sin(x), -1],
            ])
        )[0]  # fmt: skip
        assert max(abs(x - e.position[0]), abs(y - e.position[1])) <= e.error < 1e-9
        off = (min(abs(complex(v) - t) for t in truth) for v in e.eigenvalues)
        assert max(off) <= e.eigenvalue_error < 1e-6


@pytest.mark.parametrize(("turn", "vanishes"), [(0.0, True), (0.5, False)])
def test_noise_that_vanishes_on_a_curve_alone_is_not_said_to_make_a_current(turn, vanishes):
    """f = -x + turn J x and a = (|x|^2 - 1)^2: without a turn A is radial, an energy's slope."""
    from stationary.plane.curl import curl_test

    process = Diffusion(
        lambda x: (turn * x[1] - x[0], -turn * x[0] - x[1]),
        lambda x: (x[0] ** 2 + x[1] ** 2 - 1) ** 2,
        ((-2, 2), (-2, 2)),
    )
    found = curl_test(process, process.domain)
    assert (found.noise.singular, found.local, found.vanishes) == ("on curves", False, vanishes)
    assert ("circulates for ever" in found.words) != vanishes
    for seen in (0.0, 1.0):
        state = SimpleNamespace(curl=found, circulation=seen, circulation_error=1e-9)
        assert show._circulates(state) == (not vanishes or seen > 0)


def beta(a, b):
    """Drift, variance and domain of x^(a - 1) (1 - x)^(b - 1), and the law."""
    return (
        lambda x: (a - (a + b) * x) / 4,
        lambda x: x * (1 - x) / 2,
        (0, 1),
        stats.beta(a, b),
    )


def gamma(k):
    return lambda x: k / 4 - x, lambda x: x / 2, (0, np.inf), stats.gamma(k, scale=0.25)


NORMAL = (lambda x: -x), (lambda x: 1 + 0 * x), (-np.inf, np.inf), stats.norm(0, 0.5**0.5)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (NORMAL, beta(2, 3)),
        (NORMAL, beta(0.48, 1.12)),
        (NORMAL, beta(0.8, 0.7)),
        (gamma(0.5), NORMAL),
        (NORMAL, beta(0.3, 0.2)),  # 4e-4 of it lies within a rounding of 1
    ],
)
def test_functions_of_products_that_vanish_or_have_no_bound_at_ends_keep_their_claims(
    first, second
):
    """The whole was 1.009, 0.983 and 35 with claims of 1e-12: panels ran out next to 1."""

    def of(k):
        return lambda w: (first[k](w[0]), second[k](w[1]))

    state = end_state(Diffusion(of(0), of(1), domain=(first[2], second[2])))
    assert state.road == "product"
    asked = [
        (lambda w: w[0] > -50, 1.0),
        (lambda w: w[0] < 0.3, first[3].cdf(0.3)),
        (lambda w: w[1] < 0.3, second[3].cdf(0.3)),
    ]
    for region, truth in asked:
        error = state.error_of(lambda s, region=region: s.probability(region))
        assert abs(state.probability(region) - truth) <= error < 1e-3
    for function, truth in [
        (lambda w: w[0] ** 2, first[3].moment(2)),
        (lambda w: w[1], second[3].mean()),
    ]:
        error = state.error_of(lambda s, function=function: s.expect(function))
        assert abs(state.expect(function) - truth) <= min(error, 1e-3)
    assert state.error < 1e-11 or second[3].args == (0.3, 0.2)


def test_two_wells_beside_a_law_that_vanishes_at_its_ends_share_all():
    """What basins hold was refused: together e^0.011."""
    _, noise, ends, _ = beta(1.5, 2.5)
    process = Diffusion(
        lambda w: (w[0] - w[0] ** 3, (1.5 - 4 * w[1]) / 4),
        lambda w: (0.4 + 0 * w[0], noise(w[1])),
        domain=((-np.inf, np.inf), ends),
    )
    left, right = end_state(process).basins
    assert abs(left.mass - 0.5) <= left.mass_error < 1e-10
    assert abs(right.mass - 0.5) <= right.mass_error < 1e-10


@pytest.mark.parametrize("wide", [0.2, 1.0])
def test_nothing_lies_beyond_walls_for_means_of_functions_either(wide):
    """The error of the mean of x was inf, or 3 on (-1, 1), and that of a deviation a refusal."""
    turning = Diffusion(
        lambda w: (-w[0] + w[1] / 2, -w[1] - w[0] / 2), 1.0, domain=((-wide, wide),) * 2
    )
    state = end_state(turning)
    assert abs(state.expect(lambda w: w[0])) < state.error_of(lambda s: s.expect(lambda w: w[0]))
    for quantity in (
        lambda s: s.expect(lambda w: w[0]),
        lambda s: s.marginal(0).mean(),
        lambda s: s.marginal(0).std(),
    ):
        assert state.error_of(quantity) < 1e-9


@pytest.mark.parametrize("ends", [(-1, 0, 1), (-1,)])
def test_a_domain_of_other_than_pairs_of_ends_is_refused(ends):
    """It was NumPy's error of inhomogeneous shapes."""
    for make in (
        lambda domain: Diffusion(lambda w: (-w[0], -w[1]), 0.1, domain=domain),
        lambda domain: Landscape(lambda w: [w[0], w[1]], learning_rate=0.1, domain=domain),
        lambda domain: Kinetic(lambda q: -q, domain=domain),
    ):
        with pytest.raises(LandscapeError, match="is not a pair of ends for each of 2 weights"):
            make((ends, (-1, 3)))


@pytest.mark.parametrize("friction", [np.nan, np.inf, -1.0])
def test_a_friction_that_is_no_number_from_0_on_is_refused_by_name(friction):
    with pytest.raises(LandscapeError, match=f"friction = {friction} must not be negative, infi"):
        Kinetic(lambda q: -q, friction=friction)


def test_what_is_known_to_a_millionth_of_the_peak_is_not_said_to_be_known_less():
    """Of an error of 3e-7 the report said "not converged to 1e-6"."""
    state = end_state(
        Diffusion(lambda w: (0.3 - w[0] + w[1], 0.2 * w[0]), 0.5, domain=((0, 1), (-1, 1)))
    )
    assert state.error < 1e-6
    assert state.status is Status.CONVERGED


def test_basins_that_ways_were_not_followed_to_are_told_as_not_known():
    """Of a friction of 0.01 it said: on a cycle with probability 1, around minima with 0."""
    state = end_state(rotated(0.3, 0.0)[0])
    minima = [replace(b, log_mass=-math.inf, mass_error=math.inf) for b in state.basins]
    rest = PlaneBasin(None, 0.0, math.inf, (), -1, turns=True)
    state.__dict__["basins"] = PlaneBasins([*minima, rest])
    text = " ".join(str(state).split())
    assert "on or around a cycle of the drift or on ways of the drift too long to be" in text
    assert text.count("with a probability that is not known") == len(minima) == 2
