"""The numbers in the code are limits, not parameters: halved and doubled, every claim holds.

A whole room at a time. What is left out stands in `FIXED`, with its reason.
"""

from __future__ import annotations

import ast
import importlib
import math
import pkgutil
import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

from stationary import (
    Diffusion,
    Landscape,
    analyze,
    end_state,
    evolve,
    exact_chain,
    first_passage,
    fit,
    mean_exit_time,
    mean_first_passage_time,
    regularisation_path,
    sampled,
    simulate,
    step_indicators,
    sweep,
    table,
    width_bias,
)

FIXED = {
    "ESCAPED": "a code",
    "FORMAT": "a version",
    "ZERO": "a coefficient that is none",
    "WIDTH": "of a terminal",
    "FIRST": "fewer weights at first see less of a function",
    "DEGREE": "splines of a higher degree on few weights oscillate",
    "STAGES": "of a method",
    "POLES": "of a method",
    "GRIDS": "three combinations make two differences and one ratio",
    "BEST": "a power of two by which errors fall",
    "WITH_CELLS": "a power of two by which errors fall",
    "SAFETY": "half of it claims less",
    "CAUTION": "half of it claims less",
    "SIGMAS": "follows from rounding",
    "RULE": "of Gauss, exact for products of the polynomials that there are",
    "FINEST": "positions are integers",
}


def limits(room):
    """Module, name and value of every number that a module of the room names at its top."""
    package = importlib.import_module(f"stationary.{room}")
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        for line in _tree(module).body:
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
                name = line.targets[0].id
                value = getattr(module, name)
                if name.isupper() and name not in FIXED and type(value) in (int, float):
                    yield module, name, value


def scaled(value, factor):
    """A count stays one, and a share of more than a half is moved by what is missing from 1."""
    if isinstance(value, int):
        return max(1, round(value * factor))
    return 1 - (1 - value) / factor if 0.5 < value < 1 else value * factor


@contextmanager
def moved(chosen, factor):
    """These numbers times a factor, wherever they have been imported to."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in chosen:
            for other in [m for n, m in sys.modules.items() if n.startswith("stationary.")]:
                if other is module or (module.__name__, name) in _imports(other):
                    patch.setattr(other, name, scaled(value, factor), raising=False)
        forget({module for module, _, _ in chosen})
        yield
    forget({module for module, _, _ in chosen})


def forget(modules):
    """What functions of these modules have kept."""
    for module in modules:
        for kept in vars(module).values():
            if hasattr(kept, "cache_clear"):
                kept.cache_clear()


@cache
def _tree(module):
    return ast.parse(Path(module.__file__).read_text())


@cache
def _imports(module):
    found = (x for x in _tree(module).body if isinstance(x, ast.ImportFrom))
    return {(x.module, name.name) for x in found for name in x.names}


def near(value, truth, error):
    value, truth, error = map(float, (value, truth, error))
    assert abs(value - truth) <= error + 4e-15 * abs(truth), (value, truth, error)


def losses(w):
    def loss(shift):
        narrow = np.exp(-((w - 1 - shift) ** 2) / (2 * 0.4**2))
        wide = np.exp(-((w + 1.5 - 2 * shift) ** 2) / (2 * 0.8**2))
        return -narrow - wide

    return loss(-0.15), loss(0.15), loss(0.0) - w, loss(0.0) + w


def pit(w):
    wide = -np.exp(-((w - 2) ** 2))
    return wide, wide - np.exp(-100 * (w - 1) ** 2)


def on_the_line():
    # Two wells, one the mirror image of the other.
    found = analyze(Diffusion(lambda x: x - x**3, 0.2, (-3, 3)))
    for b in found.basins:
        near(b.mass, 0.5, 0.5 * b.mass_error)
    # Losses on a tape: the mass to 30 digits.
    two = Landscape(losses=losses, learning_rate=0.1, domain=(-4, 3))
    b = analyze(two, chain=False).basins[0]
    near(b.mass, 0.972502614544675695, b.mass * b.mass_error)
    # Student's t: sf and variance on an infinite line.
    state = end_state(Diffusion(lambda x: -2 * x, lambda x: 2 * (1 + x**2), (-np.inf, np.inf)))
    near(state.sf(10) / stats.t(3).sf(10 * math.sqrt(3)), 1, 1e-9)
    near(state.var(), 1, 1e-9)
    # A gamma density on a half-line, whose end is reached or not.
    for a in (1.0, 4.0):
        state = end_state(Diffusion(lambda x: 1 - x, lambda x, a=a: a * x, (0, np.inf)))
        near(state.cdf(0.3), special.gammainc(2 / a, 2 / a * 0.3), 2 * state.error + 1e-12)
    # A trap that noise makes, and one at either end.
    (atom,) = end_state(Diffusion(lambda x: -x, lambda x: x**2, (-1, 1))).atoms
    near(atom.position, 0, 0)
    fixed = end_state(Diffusion(0.0, lambda x: x * (1 - x), (0, 1), initial=0.3))
    near(fixed.atoms[1].weight, 0.3, 1e-12)
    # A gate, and a density narrower than the distance of doubles.
    state = end_state(Landscape(losses=pit, learning_rate=0.05, domain=(-1, 4)))
    assert [p.role for p in state.anatomy.points] == ["gate to the right"]
    near(state.std() / 4.1591713819232e-43, 1, 1e-9 + state.error)
    # A ring, a passage, and 30 digits.
    ring = Diffusion(lambda x: 0.3 - np.sin(x), 1.0, (0, 2 * np.pi), boundaries="periodic")
    near(end_state(ring).cdf(2 * np.pi), 1, 1e-12)
    near(first_passage(Diffusion(0.0, 1.0, (0, 1)), 0.25, (0, 1)).probability[1].value, 0.25, 1e-12)
    state = end_state(Diffusion(lambda x: x - x**3, 0.2, (-3, 3)), digits=30)
    near(state.probability(-3, 0), 0.5, 1e-15)


def by_walkers():
    sent = simulate(Diffusion(lambda x: -x, 1.0, (-5, 5)), 0.0, walkers=300, steps=1500, seed=1)
    near(sent.mean, 0, 5 * sent.mean_error)
    near(sent.var, 0.5, 5 * sent.var_error + 0.01)  # of Euler's step
    parabolas = Landscape(losses=lambda w: ((w - 1) ** 2, (w + 1) ** 2), learning_rate=0.1)
    sent = simulate(parabolas, 0.0, walkers=300, steps=1500, seed=1)
    near(sent.var, 0.04 / (1 - 0.8**2), 5 * sent.var_error)  # w <- 0.8 w +- 0.2


def of_data():
    w = np.linspace(-3, 3, 25)
    student = {"w": w, "gradient": w, "variance": 1 + w**2}
    state = end_state(table(student).landscape(learning_rate=0.5))
    near(state.logpdf(1.0) - state.logpdf(0.0), -3 * math.log(2), 1e-9)

    def gradients(w):
        return np.stack([np.tanh(2 * w + s) + 0.3 * w + 0.5 * s for s in (-0.7, -0.2, 0.4, 0.6)])

    def both(w):
        parts = ((2 * w + s, s) for s in (-0.7, -0.2, 0.4, 0.6))
        losses = [np.log(np.cosh(z)) / 2 + 0.15 * w**2 + 0.5 * s * w for z, s in parts]
        return np.stack(losses), gradients(w)

    few = sampled(gradients, (-4, 4), tolerance=1e-4)
    fewer = sampled(both, (-4, 4), tolerance=1e-4, losses=True)
    one, other, all_of_it = (
        end_state(Landscape(gradients=g, learning_rate=0.3, domain=(-4, 4)))
        for g in (few, fewer, gradients)
    )
    for state in (one, other):
        near(state.cdf(0.0), all_of_it.cdf(0.0), 1e-4)
        near(state.mean(), all_of_it.mean(), state.mean_error)
    rng, x = np.random.default_rng(1), [0.0]
    for noise in rng.normal(size=1500) * math.sqrt((1 - math.exp(-0.2)) / 2):
        x.append(x[-1] * math.exp(-0.1) + noise)
    found = fit(x, dt=0.1)
    for value, truth, error in (
        (found.drift(0.5), -0.5, found.drift_error(0.5)),
        (found.variance(0.5), 1.0, found.variance_error(0.5)),
    ):
        near(value, truth, 3 * error)


def of_questions():
    two = Landscape(losses=losses, learning_rate=0.1, domain=(-4, 3))
    bias = width_bias(two, minimum=1, dilate=[1, 2])
    first, second = analyze(two, chain=False).basins
    near(bias.ratios[0].log_mass, first.log_mass - second.log_mass, 1e-11)
    near(bias.dilation.log_mass_ratios[0], 0, 1e-12)
    with_noise = Diffusion(lambda x: -2 * x, lambda x: x**2, (-np.inf, np.inf))
    path = regularisation_path(with_noise, [1e-2, 1e-4, 1e-6])
    assert path.exact.atoms[0].position == 0
    shifts = np.linspace(-1, 1, 40)[:, None]
    sample = Landscape(
        gradients=lambda w: w + shifts * (1 + 0.2 * w),
        learning_rate=0.3,
        sample=True,
        domain=(-4, 4),
    )
    found = analyze(sample, chain=False)
    near(found.influence.mean.sum(), 0, 1e-9)


def of_sweeps():
    two = Landscape(losses=losses, learning_rate=0.1, domain=(-4, 3))
    found = sweep(two, learning_rate=np.geomspace(0.05, 0.2, 6))
    table = found.table()
    for k in (0, 3):
        rate = float(table["learning_rate"][k])
        state = analyze(two, learning_rate=rate, chain=False)
        near(table["mass_0"][k], state.basins[0].mass, 1e-11)


def of_chains():
    parabolas = Landscape(losses=lambda w: ((w - 1) ** 2, (w + 1) ** 2), learning_rate=0.25)
    law = exact_chain(parabolas, cells=200)  # w <- w / 2 +- 1 / 2: uniform on (-1, 1)
    near(law.cdf(0.3), 0.65, law.error)
    near(law.var(), 1 / 3, law.var_error)
    near(math.exp(-1 / law.relaxation().time), 0.5, law.relaxation().error)
    h = np.array([[0.5], [1.5], [2.5]])
    heavy = exact_chain(Landscape(gradients=lambda w: h * w - 1, learning_rate=1.0), cells=200)
    k = heavy.tail_exponent  # of |1 - h|: E |1 - h|^k = 1
    near(np.mean(np.abs(1 - h) ** k), 1, 1e-9)
    well = Landscape(
        gradients=lambda w: w**3 - w + np.array([[0.6], [-0.6]]), learning_rate=0.1, domain=(-3, 3)
    )
    law = exact_chain(well, cells=200)
    near(law.log_probability(-3, 0), math.log(0.5), law.log_probability_error(-3, 0))
    leaving = law.mean_exit_time(-3, 0, -1.0)
    near(leaving.upper, 1, leaving.upper_error)
    near(leaving.log_time, 20.934, leaving.error + 2e-3)  # on 2,000 cells
    shifts = np.linspace(-1, 1, 30)[:, None]
    batches = Landscape(gradients=lambda w: w - shifts, learning_rate=0.5, batch_size=5)
    law = exact_chain(batches, cells=100)
    near(law.var(), np.mean(shifts**2) / 5 / 3, law.var_error)  # T / (2 - T) = 1 / 3 of the noise
    bounded = Landscape(
        gradients=lambda w: np.tanh(3 * w) + np.array([[0.2], [-0.2]]), learning_rate=0.1
    )
    (minimum,) = step_indicators(bounded, end_state(bounded)).minima
    near(minimum.curvature, 0.3, 1e-12)


def of_evolution():
    def known_at_edges(e, law, k=0):
        below = np.append(0.0, np.cumsum(e.masses[k]))
        near(np.abs(below - law.cdf(e.edges)).max(), 0, e.error[k])

    # A pulse of an Ornstein-Uhlenbeck process, and x = 0.5 e^(B_t - 1.5 t) on grids.
    e = evolve(Diffusion(lambda x: -x, 1.0, (-np.inf, np.inf)), 1.0, [0.3, 3.0], tolerance=1e-3)
    for k, t in enumerate(e.times):
        known_at_edges(e, stats.norm(math.exp(-t), math.sqrt(-math.expm1(-2 * t) / 2)), k)
    near(e.log_relaxation_time, 0, e.relaxation_error)
    e = evolve(Diffusion(lambda x: -x, lambda x: x**2, (0, np.inf)), 0.5, [1.0], tolerance=1e-3)
    known_at_edges(e, stats.lognorm(1, scale=0.5 * math.exp(-1.5)))
    # Between absorbing ends: a sine series, and its slowest term.
    walls = Diffusion(0.0, 1.0, (0, 1), boundaries="absorbing")
    e = evolve(walls, 0.3, [0.05], tolerance=1e-3)
    n = np.arange(1, 60, 2) * np.pi
    left = (4 * np.sin(0.3 * n) / n * np.exp(-(n**2) * 0.05 / 2)).sum()
    lost = sum(a.weights[0] for a in e.atoms)
    near(1 - lost, left, sum(a.errors[0] for a in e.atoms))
    near(e.log_relaxation_time, math.log(2 / np.pi**2), e.relaxation_error)


def of_reports():
    two = Landscape(losses=losses, learning_rate=0.1, domain=(-4, 3))
    for answer in (analyze(two, chain=False), width_bias(two)):
        assert max(map(len, answer.summary().splitlines())) <= 80
    answer.plot()


def in_the_plane():
    """Gibbs turned, whose density and entropy production are known, and a disc; and a strip."""
    noise, c = 0.2, 0.7

    def v(x, y):
        return (x**2 - 1) ** 2 / 4 + 0.1 * x + y**2 / 2

    def drift(w):
        vx, vy = w[0] ** 3 - w[0] + 0.1, w[1]
        return -vx + c * vy, -vy - c * vx

    turned = Diffusion(drift, 2 * noise, weights=2)
    line = end_state(Diffusion(lambda x: x - x**3 - 0.1, 2 * noise))
    state = end_state(turned)
    x = np.random.default_rng(0).uniform(-1.3, 1.3, (2, 200))
    known = line.logpdf(x[0]) + stats.norm.logpdf(x[1], scale=math.sqrt(noise))
    near(np.abs(state.pdf(x) - np.exp(known)).max(), 0, state.error * math.exp(state.peak))
    near(state.marginal(0).cdf(0.2), line.cdf(0.2), state.marginal(0).error)
    near(state.entropy_production, c**2 * line.expect(lambda x: 3 * x**2), 1e-6)
    flat = Diffusion(lambda w: (-w[0], -w[1]), 0.5, weights=2)
    near(end_state(flat).probability(lambda p: (p**2).sum(axis=0) < 1), -math.expm1(-2), 1e-9)
    walled = replace(flat, domain=((-6, 6), (-2, 2)))
    time = mean_exit_time(walled, (1.0, 0.2), ((-0.5, 1.5), (-2, 2)))
    truth = mean_first_passage_time(Diffusion(lambda x: -x, 0.5, (-6, 6)), 1.0, (-0.5, 1.5))
    near(time.value, truth, time.absolute_error + 1e-12 * float(truth))


CLAIMS = {
    "functions line numbers panels process states weight": on_the_line,
    "chain": of_chains,
    "evolution": of_evolution,
    "plane": in_the_plane,
    "questions": of_questions,
    "show": of_reports,
    "simulation": by_walkers,
    "sources": of_data,
    "sweeps": of_sweeps,
}


@pytest.mark.parametrize("factor", [0.5, 2])
@pytest.mark.parametrize("rooms", CLAIMS)
def test_halved_and_doubled_all_at_once_the_limits_of_a_room_keep_every_claim(rooms, factor):
    with moved([limit for room in rooms.split() for limit in limits(room)], factor):
        CLAIMS[rooms]()
