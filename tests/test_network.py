"""Slices of networks, and the law of SGD around a minimum in all weights."""

import copy
import pickle
import re
from importlib import import_module

import numpy as np
import pytest

from stationary import (
    Landscape,
    LandscapeError,
    StationaryError,
    UserFunctionError,
    analyze,
    exact_chain,
    network,
)

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
    # Hessians x x' of the datapoints in the span, and the fixed point of a step's covariance.
    part = INPUTS @ found.vectors
    each = part[:, :, None] * part[:, None, :]
    off, step = each - each.mean(axis=0), np.eye(3) - rate * each.mean(axis=0)
    exact = np.zeros((3, 3))
    for _ in range(3000):
        noise = found.noise + np.einsum("nik,kl,nlm->im", off, exact, off) / N
        exact = step @ exact @ step + rate**2 / batch * noise
    known = np.sqrt(np.diag(exact))
    assert found.deviations(rate, batch) == pytest.approx(known, rel=1e-5)
    plain = rate * np.diag(found.noise) / (batch * found.curvatures * (2 - rate * found.curvatures))
    assert (known > 1.005 * np.sqrt(plain)).all()
    assert "Along eigenvectors of the Hessian" in str(found)
    assert np.isnan(found.deviations(2.5 / found.curvatures[0], 1)[0])


def test_curvatures_that_differ_make_noise_of_their_own_up_to_no_variance_at_all():
    """Against the exact chain of one coordinate: losses h_j (w - c_j)^2 / 2."""
    jax = pytest.importorskip("jax")
    h, c = np.array([0.2, 1.0, 3.0, 0.6]), np.array([1.0, -1.0, 0.1, 0.5])
    c -= (h * c).sum() / h.sum()

    def losses(w, data):
        return 0.5 * data[0] * ((w[0] - data[1]) ** 2 + 1.3 * (w[1] + data[1]) ** 2)

    at = jax.numpy.zeros(2)
    found = network.around(losses, tuple(map(jax.numpy.asarray, (h, c))), at, directions=2)
    for rate, batch in ((0.4, 1), (0.4, 4), (0.9, 1)):
        sgd = [
            Landscape(
                gradients=lambda w, k=k: k * h[:, None] * (w - c[:, None]), learning_rate=rate,
                batch_size=batch, replacement=True,
            )
            for k in (1.3, 1.0)
        ]  # fmt: skip
        exact = [exact_chain(s).std() for s in sgd]
        assert found.deviations(rate, batch) == pytest.approx(exact, rel=1e-4)


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
    report = re.sub(r"\s+", " ", str(analyze(cut.landscape(0.1, batch_size=2), chain=False)))
    assert report.count(f"cos(Hu, u) = {cosine:.3f}") == 1
    for copied in (copy.deepcopy(cut), pickle.loads(pickle.dumps(cut))):
        assert copied == cut
        assert copied.slopes(0.3) == pytest.approx(cut.slopes(0.3), abs=0)
    eigenvector = network.around(loss, data, minimum, directions=1).line(0, 0.5)
    assert "along an eigenvector" in eigenvector.trust
    assert eigenvector.alignment == pytest.approx(1, abs=1e-5)
    found = network.around(lambda w, data: loss(w["a"], data), data, {"a": minimum}, directions=1)
    flat = network.line(
        found.network.loss, data, {"a": minimum}, found.vectors[:, 0], domain=(-1, 1)
    )
    assert flat.alignment == pytest.approx(1, abs=1e-5)


def test_a_chord_goes_beyond_both_of_its_ends(framework):
    loss, data, minimum = framework
    cut = network.line(loss, data, minimum, end=2.0 * minimum)
    length = np.linalg.norm(least_squares()[0])
    assert cut.domain == pytest.approx((-length / 4, 5 * length / 4))


K, TILT, SPREAD = 10.0, 0.05, np.tile([-1.0, 1.0], 50)


def valley(weights, data):
    """Steep to both sides of the unit circle, shallow along it; the noise pushes across, too."""
    if hasattr(weights, "detach"):
        import torch as lib
    else:
        import jax.numpy as lib
    x, y = weights[0], weights[1]
    r, along = (x * x + y * y) ** 0.5, lib.arctan2(y, x)
    return K / 2 * (r - 1) ** 2 + TILT / 2 * along**2 + data * (along - 0.5 * (r - 1))


def points_like(weights, values):
    """An array in the framework of the weights, in doubles."""
    if hasattr(weights, "detach"):
        return import_module("torch").as_tensor(values)
    return import_module("jax.numpy").asarray(values)


def test_along_a_bent_valley_the_curvature_pushes_as_sgd_in_the_plane_says(framework):
    """f = -T (TILT s) + T^2 / 2, since Cov(g_t, g_n) is 1/2 on the unit circle: SGD is at T 10."""
    minimum, rate = framework[2], 0.05
    ends = np.linspace(-2.8, 2.8, 29)
    data = points_like(minimum, SPREAD)
    arc = points_like(minimum, np.stack([np.cos(ends), np.sin(ends)], axis=1))
    cut = network.curve(valley, data, arc)
    assert cut.path.length == pytest.approx(5.6, abs=1e-6)
    assert cut.slopes(2.8 + 0.4) == pytest.approx(TILT * 0.4 + SPREAD, abs=1e-5)
    state = analyze(cut.landscape(rate), chain=False).end_state
    assert state.mean() - 2.8 == pytest.approx(rate / 2 / TILT, rel=2e-2)  # walls cut a little
    rng, w, seen = np.random.default_rng(5), np.tile([1.0, 0.0], (4000, 1)), []
    for step in range(6000):
        r, angle = np.hypot(*w.T), np.arctan2(w[:, 1], w[:, 0])
        push = rng.choice([-1.0, 1.0], size=4000)
        out, turn = K * (r - 1) - 0.5 * push, (TILT * angle + push) / r
        c, s = np.cos(angle), np.sin(angle)
        w = w - rate * np.stack([out * c - turn * s, out * s + turn * c], axis=1)
        if step >= 3000 and step % 500 == 0:
            seen.append(angle)
    # Without the curvature the mean would be 0; what is left is of the next order in T.
    assert np.mean(seen) == pytest.approx(state.mean() - 2.8, rel=0.06)
    assert np.std(seen) == pytest.approx(state.std(), rel=0.06)


def test_a_curve_may_be_a_function_and_is_refused_where_it_is_none(framework):
    minimum, data = framework[2], points_like(framework[2], SPREAD)

    def arc(u):
        return points_like(minimum, np.array([np.cos(u), np.sin(u)]))

    cut = network.curve(valley, data, arc, domain=(0.0, 0.9))
    assert cut.path.length == pytest.approx(1.0, abs=1e-8)
    place, tangent, bend = cut.path(0.3)
    assert place == pytest.approx([np.cos(0.3), np.sin(0.3)], abs=1e-8)
    assert tangent == pytest.approx([-np.sin(0.3), np.cos(0.3)], abs=1e-6)
    assert bend == pytest.approx([-np.cos(0.3), -np.sin(0.3)], abs=1e-4)
    single = network.curve(  # in single precision, as networks have their weights
        valley, data, lambda u: points_like(minimum, np.float32(np.array([np.cos(u), np.sin(u)])))
    )
    assert single.path.length == pytest.approx(1.0, abs=1e-6)
    straight = network.curve(valley, data, [arc(0.0), arc(1.0)])
    assert straight.path.length == pytest.approx(2 * np.sin(0.5))
    for path, given, message in (
        ([arc(0.0)], {}, "two points or more, not 1"),
        ([arc(0.0), arc(0.0), arc(1.0)], {}, "points 0 and 1 of the curve are 0 apart"),
        (lambda u: arc(abs(u - 0.3)), {}, "the curve is not smooth"),
        (arc, {"domain": (0, 2)}, "arc lengths from 0 to 1"),
    ):
        with pytest.raises(LandscapeError, match=re.sub(" ", r"\\s+", message)):
            network.curve(valley, data, path, **given)
    for settings in ({"momentum": 0.9}, {"weight_decay": 0.1}):
        with pytest.raises(LandscapeError, match=next(iter(settings))):
            cut.landscape(0.1, **settings)


def wells(weights, data):
    """(1 - x^2)^2 / 4 and a parabola in y; g_j - G is data in both."""
    return (weights[0] ** 2 - 1) ** 2 / 4 + 3 * weights[1] ** 2 + data * (weights[0] + weights[1])


def test_barriers_along_eigenvectors_are_those_of_the_slices_end_states(framework):
    """Along x the exponent is 2 (1/4) / (T Var) to the barrier at 0, one away from the minimum."""
    minimum = points_like(framework[2], np.array([1.0, 0.0]))
    local = network.around(wells, points_like(minimum, SPREAD), minimum, directions=2)
    assert local.curvatures == pytest.approx([6, 2], rel=1e-5)
    found = local.escapes(0.1, 2, width=1.5)
    side = 0 if local.vectors[0, 1] > 0 else 1  # where x falls
    assert found.exponents[1, side] == pytest.approx(4 * 0.5 / 0.1 / 2, rel=1e-3)
    assert abs(found.places[1, side]) == pytest.approx(1, abs=1e-2)
    assert found.found.tolist() == [[False, False], [side == 0, side == 1]]
    basins = analyze(local.line(1, 1.5).landscape(0.1, 2), chain=False).basins
    own = min(basins, key=lambda b: abs(b.position))
    barrier = own.barrier_left if side == 0 else own.barrier_right
    assert found.exponents[1, side] == pytest.approx(barrier, abs=2e-3)
    assert local.escapes(0.1, 2, directions=2).exponents[1, side] == pytest.approx(10, rel=2e-3)
    said = re.sub(r"\s+", " ", str(found))
    assert "Barriers at learning rate 0.1 and batch size 2" in said
    assert "> " in said
    assert max(map(len, str(found).splitlines())) <= 80


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
    with pytest.raises(LandscapeError, match="directions = 7 must be a whole number from 1 to 6"):
        network.around(loss, data, minimum, directions=7)


def test_dropout_that_a_key_draws_is_refused():
    """The first datapoints get the same mask, however many come: it passed in silence."""
    jax = pytest.importorskip("jax")

    def dropped(weights, data):
        x, y = data
        kept = jax.random.bernoulli(jax.random.PRNGKey(0), 0.5, x.shape)
        return (x * kept @ weights - y) ** 2 / 2

    data, minimum = (INPUTS, TARGETS), least_squares()[0]
    with pytest.raises(LandscapeError, match="switch dropout off"):
        network.line(dropped, data, minimum, direction=np.ones(D))


def test_what_is_no_weight_and_no_loss_of_weights_is_named(framework):
    """Each was a traceback, or averages that SGD does not move were taken for weights."""
    loss, data, minimum = framework
    for made, message in (
        (lambda: network.line(loss, (data[0], 0.1), minimum, minimum), "the data holds a float"),
        (lambda: network.line(lambda w, d: d[1], data, minimum, minimum), "have no derivative by"),
        (lambda: network.around(lambda w, d: d[0] @ w, data, minimum, 1), "have no curvature"),
        (lambda: network.line(lambda w: 0, data, minimum, minimum), "shapes"),
        (lambda: network.line(loss, data, iter([minimum]), minimum), "is read only once"),
    ):
        with pytest.raises(StationaryError, match=message):
            made()
    if not hasattr(minimum, "detach"):
        weights = {"params": minimum, "batch_stats": minimum}
        with pytest.raises(LandscapeError, match="running averages of batch normalisation"):
            network.around(lambda w, d: loss(w["params"], d), data, weights)


def test_how_far_the_minimum_is_from_a_point_that_is_none(framework):
    loss, data, minimum = framework
    found = network.around(loss, data, minimum, directions=1)
    assert "no minimum" not in str(found)
    found = network.around(
        loss, data, minimum + 0.3 * points_like(minimum, found.vectors[:, 0]), directions=1
    )
    share = 2 * found.slope[0] ** 2 / (found.curvatures[0] * found.noise[0, 0])
    said = "along 0 that of the parabola is 0.3 away, which is a deviation of SGD at T / B = "
    assert f"{said}{share:.1g}: train on" in " ".join(str(found).split())


def test_a_module_of_pytorch_and_layers_in_training_mode_are_told_what_to_do():
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(D), torch.nn.Linear(D, 1))
    data = tuple(torch.as_tensor(a, dtype=torch.float32) for a in (INPUTS, TARGETS))

    def loss(weights, data):
        return (torch.func.functional_call(model, weights, data[0])[:, 0] - data[1]) ** 2

    with pytest.raises(LandscapeError, match=r"give dict\(model\.named_parameters\(\)\)"):
        network.around(loss, data, model)
    weights = dict(model.named_parameters())
    with pytest.raises(UserFunctionError, match="batch normalisation in evaluation mode"):
        network.around(loss, data, weights)
    model.eval()
    assert network.around(loss, data, weights, directions=1).curvatures.shape == (1,)


def test_weights_go_by_their_names_in_whatever_order_they_come(framework):
    loss, data, minimum = framework
    start = {"a": minimum, "b": 2.0 * minimum}
    end = {"a": 3.0 * minimum, "b": minimum}

    def both(weights, data):
        return loss(weights["a"] + 0.1 * weights["b"], data)

    turned = {name: end[name] for name in ("b", "a")}
    one, other = (network.line(both, data, start, end=e) for e in (end, turned))
    assert one.domain == other.domain
    assert one.slopes(0.5) == pytest.approx(other.slopes(0.5), abs=0)
    with pytest.raises(LandscapeError, match="has b and c, and the weights a and b"):
        network.line(both, data, start, end={"b": minimum, "c": minimum})


def test_weights_that_are_none_and_what_is_no_direction_are_refused(framework):
    """Each was a traceback of the framework's, a wrong reason, or taken in silence."""
    loss, data, minimum = framework
    x, y = data
    whole = points_like(minimum, np.arange(D))
    missing = points_like(minimum, np.where(np.arange(D) == 2, np.nan, 1.0))
    square = points_like(minimum, np.ones((D, 1)))
    pair = {"a": points_like(minimum, np.ones((2, 3))), "b": minimum}
    turned = {"a": points_like(minimum, np.ones((3, 2))), "b": minimum}

    def of_pair(weights, data):
        return loss(weights["b"], data) + 0 * weights["a"].sum()

    def broken(weights, data):
        return weights["a"]

    holed = points_like(minimum, np.where(np.arange(N) == 7, np.nan, np.asarray(y)))
    for made, message in (
        (lambda: network.line(loss, data, whole, whole, domain=(-1, 1)), "nothing can be diff"),
        (lambda: network.line(loss, data, missing, minimum, domain=(-1, 1)), "1 of the 6 weights"),
        (lambda: network.line(loss, (x, holed), minimum, minimum, domain=(-1, 1)),
         "the loss of datapoint 7 is nan"),
        (lambda: network.line(loss, data, minimum, square, domain=(-1, 1)), "in the same form"),
        (lambda: network.line(of_pair, data, pair, turned, domain=(-1, 1)), "in the same form"),
        (lambda: network.line(broken, data, minimum, minimum, domain=(-1, 1)), "broken raised"),
        (lambda: network.line(loss, (x[:0], y[:0]), minimum, minimum, domain=(-1, 1)), "holds 0"),
        (lambda: network.around(loss, data, minimum, directions=2.5), "directions = 2.5"),
        (lambda: network.around(loss, data, minimum, directions="3"), "directions = '3'"),
        (lambda: network.curve(loss, data, 3), "a list of weights to go through"),
    ):  # fmt: skip
        with pytest.raises(LandscapeError if "raised" not in message else StationaryError,
                           match=re.sub(" ", r"\\s+", message)):  # fmt: skip
            made()


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
