"""Slices of networks, and the law of SGD around a minimum in all weights."""

import re
from importlib import import_module

import numpy as np
import pytest

from stationary import LandscapeError, analyze, network

RNG = np.random.default_rng(0)
N, D = 200, 6
INPUTS = RNG.normal(size=(N, D)) * np.linspace(1.5, 0.5, D)
TARGETS = INPUTS @ RNG.normal(size=D) + 0.5 * RNG.normal(size=N)


def least_squares():
    """The minimum of squares, where everything is known: weights, Hessian, covariance."""
    best = np.linalg.lstsq(INPUTS, TARGETS, rcond=None)[0]
    hessian = INPUTS.T @ INPUTS / N
    gradients = -(TARGETS - INPUTS @ best)[:, None] * INPUTS
    return best, hessian, gradients.T @ gradients / N


def squares(weights, data):
    x, y = data
    return (x @ weights - y) ** 2 / 2


@pytest.fixture(params=["jax", "torch"])
def framework(request):
    """The losses, data and minimum in the arrays of a framework, in doubles."""
    module = pytest.importorskip(request.param)
    best = least_squares()[0]
    if request.param == "jax":
        older = not hasattr(module, "enable_x64")
        with (import_module("jax.experimental") if older else module).enable_x64(True):
            made = tuple(map(module.numpy.asarray, (INPUTS, TARGETS, best)))
            yield squares, made[:2], made[2]
    else:
        made = tuple(map(module.as_tensor, (INPUTS, TARGETS, best)))
        yield squares, made[:2], made[2]


def test_around_a_minimum_of_squares_everything_is_known(framework):
    loss, data, minimum = framework
    _, hessian, noise = least_squares()
    values, vectors = np.linalg.eigh(hessian)
    found = network.around(loss, data, minimum, directions=3)
    assert found.curvatures == pytest.approx(values[::-1][:3], rel=1e-6)
    top = vectors[:, ::-1][:, :3]
    assert np.abs(found.vectors.T @ top).diagonal() == pytest.approx(np.ones(3), abs=1e-6)
    assert np.diag(found.noise) == pytest.approx(np.diag(top.T @ noise @ top), rel=1e-6)
    rate, batch = 0.05, 4
    exact = rate * np.diag(found.noise) / (batch * found.curvatures * (2 - rate * found.curvatures))
    assert found.deviations(rate, batch) == pytest.approx(np.sqrt(exact), rel=1e-9)
    assert "Along eigenvectors of the Hessian" in str(found)
    assert np.isnan(found.deviations(2.5 / found.curvatures[0], 1)[0])


def test_the_deviations_are_those_of_sgd_in_all_weights(framework):
    loss, data, minimum = framework
    rate, batch, walkers = 0.05, 4, 400
    found = network.around(loss, data, minimum, directions=5)
    w = np.tile(least_squares()[0], (walkers, 1))
    rng, seen = np.random.default_rng(1), []
    for step in range(1200):
        j = rng.integers(N, size=(walkers, batch))
        x = INPUTS[j]
        off = np.einsum("wbd,wd->wb", x, w) - TARGETS[j]
        w -= rate * np.einsum("wb,wbd->wd", off, x) / batch
        if step > 300 and step % 30 == 0:
            seen.append((w - least_squares()[0]) @ found.vectors)
    ratio = np.concatenate(seen).std(axis=0) / found.deviations(rate, batch)
    assert np.abs(ratio - 1).max() < 0.1


def test_a_line_is_the_landscape_that_its_formula_is(framework):
    loss, data, minimum = framework
    best, hessian, _ = least_squares()
    direction = np.arange(1.0, D + 1)
    u = direction / np.linalg.norm(direction)
    cut = network.line(loss, data, minimum, direction, domain=(-1, 1), chunk=64)
    assert cut.curvature == pytest.approx(u @ hessian @ u, rel=1e-6)
    cosine = u @ hessian @ u / np.linalg.norm(hessian @ u)
    assert cut.alignment == pytest.approx(cosine, rel=1e-6)
    own = (INPUTS @ (best + 0.3 * u) - TARGETS) * (INPUTS @ u)
    assert cut.slopes(0.3) == pytest.approx(own, rel=1e-6, abs=1e-8)
    state = analyze(cut.landscape(0.05, batch_size=2), chain=False).end_state
    assert state.mean() == pytest.approx(0, abs=1e-3)
    eigenvector = network.around(loss, data, minimum, directions=1).line(0, 0.5)
    assert "along an eigenvector" in eigenvector.trust
    assert eigenvector.alignment == pytest.approx(1, abs=1e-5)


def test_a_chord_goes_beyond_both_of_its_ends(framework):
    loss, data, minimum = framework
    cut = network.line(loss, data, minimum, end=2.0 * minimum)
    length = np.linalg.norm(least_squares()[0])
    assert cut.domain == pytest.approx((-length / 4, 5 * length / 4))


def test_losses_that_are_not_of_single_datapoints_are_refused(framework):
    loss, data, minimum = framework

    def normalised(weights, data):  # as batch normalisation in training mode does
        x, y = data
        return loss(weights, ((x - x.mean(0)) / x.std(0), y))

    for wrong, message in (
        (normalised, "batch normalisation in evaluation mode"),
        (lambda w, d: loss(w, d).mean(), "return the loss of each"),
        (3, "must be a function of weights and data"),
    ):
        with pytest.raises(LandscapeError, match=re.sub(" ", r"\\s+", message)):
            network.line(wrong, data, minimum, minimum, domain=(-1, 1))
    with pytest.raises(LandscapeError, match="give one of the two"):
        network.line(loss, data, minimum)
    with pytest.raises(LandscapeError, match="how far should the line go"):
        network.line(loss, data, minimum, minimum)
    with pytest.raises(LandscapeError, match="directions = 7 must be from 1 to 6"):
        network.around(loss, data, minimum, directions=7)


def test_the_example_has_losses_of_single_datapoints(monkeypatch):
    """Training it takes half a minute, which this leaves out."""
    pytest.importorskip("jax")
    monkeypatch.syspath_prepend("examples/data")
    example = import_module("small_network")
    data, weights = example.crescents(), np.linspace(-1, 1, 4 * example.HIDDEN + 1)
    cut = network.line(example.losses, data, weights, weights, domain=(-1, 1))
    assert cut.network.datapoints == example.POINTS
    up, down = (example.losses(weights + h * cut.direction, data) for h in (1e-2, -1e-2))
    assert cut.slopes(0.0) == pytest.approx(np.asarray((up - down) / 2e-2), abs=2e-3)
