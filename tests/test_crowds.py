"""Very many datapoints with corners: hinges, absolute values, rectified networks."""

from functools import partial, reduce
from itertools import pairwise

import numpy as np
import pytest
from mpmath import mp
from scipy.special import ndtr

from stationary import Landscape, LandscapeError, end_state, evolve
from stationary.numbers.arithmetic import many_digits

SGD = {"learning_rate": 0.1, "batch_size": 4}


def by_gaps(c, rate, batch):
    """Mean and deviation of the end state of |w - c_j|, exactly.

    From one c_j to the next gradients do not change, and density is an exponential; where all
    gradients are alike there is no noise, and nothing stays.
    """
    c = np.sort(c).astype(np.longdouble)
    a, b = c[:-1], c[1:]
    gradient = (2 * np.arange(1, len(c)) - len(c)) / np.longdouble(len(c))
    spread = 1 - gradient**2
    slope = -2 * batch / np.longdouble(rate) * gradient / spread
    start = np.concatenate([[0], np.cumsum(slope * (b - a))[:-1]])
    nodes, weights = np.polynomial.legendre.leggauss(12)
    half = (b - a)[:, None] / 2
    x = a[:, None] + half * (1 + nodes)
    log_p = start[:, None] + slope[:, None] * (x - a[:, None]) - np.log(spread)[:, None]
    p = np.exp(log_p - log_p.max()) * weights * half
    mean = (p * x).sum() / p.sum()
    return float(mean), float(np.sqrt((p * (x - mean) ** 2).sum() / p.sum()))


def test_an_end_state_of_thousands_of_absolute_values_is_exact():
    """It was "not decided" what happens where the domain goes on beyond the data."""
    c = np.random.default_rng(1).normal(size=2100)
    sgd = Landscape(lambda w: np.abs(w - c[:, None]), domain=(-5, 6), **SGD)
    state = end_state(sgd)
    mean, deviation = by_gaps(c, 0.1, 4)
    assert state.status.name == "CONVERGED"
    assert len(sgd.corners) == 2100
    assert abs(state.mean() - mean) <= state.mean_error + 1e-15
    assert abs(state.std() - deviation) <= state.std_error + 1e-15
    assert max(state.mean_error, state.std_error) < 1e-13


def crowd(kind, generator, n=500):
    c, a, y = generator.normal(size=(3, n, 1))
    c = {"tied": np.round(c, 1), "heavy": np.tan(c)}.get(kind, c)
    return {
        "hinge": lambda w: np.maximum(0, 1 - a * (w - c)) + 0.05 * w**2,
        "tied": lambda w: np.abs(w - c) * np.abs(a),
        "heavy": lambda w: (np.maximum(0, a * (w - c)) - y) ** 2 / 2,
        "huber": lambda w: np.where(np.abs(w - c) < 0.5, (w - c) ** 2, np.abs(w - c) - 0.25),
        "curved": lambda w: np.maximum(np.abs(w - c), (w - y) ** 2),
        "shared": lambda w: np.abs(w - c) + np.abs(w - 0.1234) + np.exp(-50 * (w - 0.4) ** 2),
        "waves": lambda w: np.abs(np.sin(2 * w + c)) + 0.1 * w**2,
    }[kind]


@pytest.mark.parametrize("kind", ["hinge", "tied", "heavy", "huber", "curved", "shared", "waves"])
def test_moments_of_many_weights_are_those_of_each(kind):
    losses = crowd(kind, np.random.default_rng(3))
    sgd = Landscape(losses, domain=(-3, 4), **SGD)
    x = np.sort(np.concatenate([np.linspace(-3, 4, 4000), sgd.corners]))
    mean, spread = sgd.moments(x)
    few = [sgd.moments(part) for part in np.array_split(x, len(x) // 50)]
    size = np.sqrt(spread + mean**2)
    assert np.all(np.abs(mean - np.concatenate([m for m, _ in few])) <= 1e-13 * size)
    each = np.concatenate([s for _, s in few])
    assert np.all(np.abs(spread - each) <= 1e-12 * each + 1e-30)


def test_a_crowd_of_corners_is_solved_to_rounding():
    """6,000 hinges ran out of panels: 2e-2 of every mass was not known."""
    generator = np.random.default_rng(0)
    y = np.sign(generator.normal(size=(6000, 1)))
    x = generator.normal(size=(6000, 1)) + y / 2
    sgd = Landscape(lambda w: np.maximum(0, 1 - y * x * w) + w * w / 40, domain=(0, 2), **SGD)
    state = end_state(sgd)
    assert state.status.name == "CONVERGED"
    assert state.error < 1e-12
    part = np.linspace(0.2, 1.8, 7)
    steps = np.diff([state.logpdf(v) for v in part])
    for (low, high), step in zip(pairwise(part), steps, strict=True):
        # By the midpoints of gaps: gradients are straight in between.
        edges = np.concatenate([[low], [c for c in sgd.corners if low < c < high], [high]])
        middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
        g = np.where(1 - y * x * middle > 0, -y * x, 0) + middle / 20
        s2 = [np.where(1 - y * x * v > 0, -y * x, 0).var() for v in (low, high)]
        exact = -80 * (width * g.mean(axis=0) / g.var(axis=0)).sum() + np.log(s2[0] / s2[1])
        assert abs(step - exact) < 1e-9


def test_digits_of_sums_over_thousands_of_datapoints_are_all_there():
    """Shares of blocks of datapoints were doubles."""
    c, a = np.random.default_rng(2).normal(size=(2, 2500, 1))
    sgd = Landscape(lambda w: a * np.tanh(w - c), domain=(-3, 4), **SGD)
    many = many_digits(40)
    (mean,), _ = sgd.moments(many.array(np.array([0.3])), many)
    with mp.workdps(60):
        pairs = zip(a.ravel().tolist(), c.ravel().tolist(), strict=True)
        exact = sum(mp.mpf(k) * mp.sech(mp.mpf(0.3) - mp.mpf(v)) ** 2 for k, v in pairs) / 2500
        assert abs(mp.mpf(str(mean)) / exact - 1) < mp.mpf(10) ** -36


def network(form, act=lambda z: np.maximum(z, 0)):
    """A layer of six units, with an output or three classes, as people write them."""
    generator = np.random.default_rng(7)
    a, b = generator.normal(size=(2, 40, 6))
    v, table = generator.normal(size=6), generator.normal(size=(6, 3))
    y, c = generator.normal(size=40), generator.integers(0, 3, 40)
    row = np.arange(40)

    def hidden(w):
        return act(a[:, :, None] + b[:, :, None] * w)

    def logits(w):
        return np.einsum("nhm,hk->nkm", hidden(w), table)

    def units(w):
        return [act(a[:, k, None] + b[:, k, None] * w) for k in range(6)]

    outputs = {
        "sum": lambda w: (hidden(w) * v[:, None]).sum(axis=1),
        "units first": lambda w: (act(a.T[:, :, None] + b.T[:, :, None] * w).T @ v).T,
        "weights first": lambda w: (act(a + b * w[:, None, None]) @ v).T,
        "units last": lambda w: act(a[:, None, :] + b[:, None, :] * w[None, :, None]) @ v,
        "einsum": lambda w: np.einsum("nhm,h->nm", hidden(w), v),
        "tensordot": lambda w: np.tensordot(hidden(w), v, axes=([1], [0])),
        "matmul": lambda w: v @ hidden(w),
        "mean": lambda w: 6 * np.mean(hidden(w) * v[:, None], axis=1),
        "loop": lambda w: sum(v[k] * hidden(w)[:, k] for k in range(6)),
        "stack": lambda w: np.sum(
            np.stack([k * z for k, z in zip(v, units(w), strict=True)], 1), 1
        ),
        "moved": lambda w: sum(k * z for k, z in zip(v, np.moveaxis(hidden(w), 1, 0), strict=True)),
        "plain": lambda w: sum(k * z for k, z in zip(v, units(w), strict=True)),
    }
    entropies = {
        "rows": lambda w: np.log(np.exp(logits(w)).sum(axis=1)) - logits(w)[row, c],
        "counted from the last": lambda w: (
            np.log(np.exp(logits(w)).sum(axis=1)) - logits(w)[row, c - 3]
        ),
        "along": lambda w: (
            np.log(np.exp(logits(w)).sum(axis=1))
            - np.take_along_axis(logits(w), c[:, None, None], axis=1)[:, 0]
        ),
        "one hot": lambda w: (
            -(
                (logits(w) - np.logaddexp.reduce(logits(w), axis=1)[:, None])
                * np.eye(3)[c][:, :, None]
            ).sum(axis=1)
        ),
        "largest": lambda w: (
            np.log(np.exp(logits(w) - logits(w).max(axis=1, keepdims=True)).sum(axis=1))
            + logits(w).max(axis=1)
            - logits(w)[row, c]
        ),
        "classes": lambda w: (
            np.log(
                sum(np.exp(sum(t * z for t, z in zip(k, units(w), strict=True))) for k in table.T)
            )
            - sum(table[k][c][:, None] * z for k, z in enumerate(units(w)))
        ),
    }
    if form in outputs:
        return lambda w: (outputs[form](w) - y[:, None]) ** 2 / 2
    return entropies[form]


FORMS = ["sum", "units first", "weights first", "units last", "einsum", "tensordot", "matmul"]
FORMS += ["mean", "loop", "stack", "moved"]


@pytest.mark.parametrize("form", FORMS)
def test_corners_of_a_network_are_known_however_its_arrays_are_laid_out(form):
    """With three axes nothing was recorded, and panels ran out between corners."""
    sgd, plain = (Landscape(network(f), domain=(-3, 4), **SGD) for f in (form, "plain"))
    assert len(plain.corners) > 100
    assert np.allclose(sgd.corners, plain.corners, rtol=0, atol=1e-14)
    state, known = end_state(sgd), end_state(plain)
    assert state.status.name == "CONVERGED"
    assert abs(state.mean() - known.mean()) <= state.mean_error + known.mean_error + 1e-14


@pytest.mark.parametrize("form", ["rows", "counted from the last", "along", "one hot", "largest"])
def test_classes_may_be_an_axis(form):
    sgd, plain = (Landscape(network(f), domain=(-3, 4), **SGD) for f in (form, "classes"))
    apart = np.abs(np.subtract.outer(plain.corners, sgd.corners)).min(axis=1)
    assert (apart <= np.spacing(4.0)).all()
    w = np.linspace(-3, 4, 50)
    known = plain.moments(w)
    for found, exact in zip(sgd.moments(w), known, strict=True):
        assert np.allclose(found, exact, rtol=1e-12, atol=1e-14)
    assert abs(end_state(sgd).mean() - end_state(plain).mean()) < 1e-11


def test_a_jump_of_the_loss_is_told_among_thousands_of_panels():
    c = np.random.default_rng(4).normal(size=(3000, 1))
    losses = lambda w: np.abs(w - c) + np.where(w > 0.5, 1.0, 0.0)  # noqa: E731
    state = end_state(Landscape(losses, domain=(-1, 1.5), **SGD))
    assert any("jumps by 1 near w = 0.5" in note for note in state.notes)


def beside(kind, c, y):
    n = len(c)
    one, few = (np.where(np.arange(n)[:, None] % k == 3, 1.0, 0.0) for k in (n, 300))
    p = float(c[5, 0]) + {"close": 1e-9, "bent": 1e-7}.get(kind, 0.1)
    return p, {
        "close": lambda w: np.abs(w - p),
        "bent": lambda w: np.maximum(0, w - p) ** 2,
        "shared": lambda w: 1e-5 * np.exp(-(((w - p) / 1e-5) ** 2)),
        "one": lambda w: one * 1e-5 * np.exp(-(((w - p) / 1e-5) ** 2)),
        "few": lambda w: few * 1e-5 * np.tanh((w - p - y / 100) / 1e-5),
        "named": lambda w: one * 1e-4 * reduce(pow, [50] * 5, (1 + np.cos(w - p)) / 2),
    }[kind]


@pytest.mark.parametrize("kind", ["close", "bent", "shared", "one", "few", "named"])
def test_what_is_narrow_is_seen_among_many_corners(kind):
    """Polynomials in 20 points went past it: a mean of gradients was off by 0.8."""
    c, y = np.random.default_rng(5).normal(size=(2, 5000 if kind == "few" else 1500, 1))
    p, narrow = beside(kind, c, y)
    named = (p,) if kind == "named" else ()
    losses = lambda w: np.abs(w - c) + narrow(w)  # noqa: E731
    sgd = Landscape(losses, domain=(-3, 4), breakpoints=named, **SGD)
    width = abs(p - c[5, 0]) if kind in ("close", "bent") else 1e-5
    tops = [p, float(c[5, 0]), p + y[3, 0] / 100]
    near = [top + width * np.linspace(-3, 3, 60) for top in tops]
    x = np.sort(np.concatenate([np.linspace(-3, 4, 4000), *near]))
    few = [sgd.moments(part) for part in np.array_split(x, len(x) // 50)]
    for found, known in zip(sgd.moments(x), zip(*few, strict=True), strict=True):
        assert np.abs(found - np.concatenate(known)).max() < 1e-12


@pytest.mark.parametrize(
    ("losses", "gradients"),
    [
        (lambda w, a, p: a * np.abs(w - p), lambda x, a, p: a * np.sign(x - p)),
        (lambda w, a, p: np.where(w > p, a * w, 0), lambda x, a, p: np.where(x > p, a, 0)),
    ],
    ids=["times a constant", "where"],
)
def test_many_digits_next_to_a_corner_that_all_have(losses, gradients):
    """Within 64 spacings of doubles what one side has was taken for the other."""
    c, a, p = *np.random.default_rng(0).normal(size=(2, 300, 1)), 0.1234
    sgd = Landscape(lambda w: np.abs(w - c) + losses(w, a, p), domain=(-3, 3), **SGD)
    x, many = p + np.spacing(p) * np.array([-30, -1, 2, 31]), many_digits(30)
    known = np.sign(x - c) + gradients(x, a, p)
    mean, spread = (v.astype(float) for v in sgd.moments(many.array(x), many))
    assert np.allclose(mean, known.mean(axis=0), rtol=0, atol=1e-14)
    assert np.allclose(spread, known.var(axis=0), rtol=1e-14)


def test_branches_of_a_second_layer_are_found_however_close_they_are():
    """Straight between those of the first: of four in one gap of a scan two were missed."""
    c, a = np.random.default_rng(5).normal(size=(2, 200, 1))
    apart, depth = 1e-3, 10.0 ** np.random.default_rng(6).uniform(-7, -4, (200, 1))

    def losses(w):
        return np.maximum(0, depth - np.minimum(np.abs(w - c), np.abs(w - c - apart))) * a

    sgd = Landscape(losses, domain=(-3, 4), **SGD)
    both = [x for top in (c, c + apart) for x in (top - depth, top, top + depth)]
    exact = np.sort(np.concatenate([*both, c + apart / 2]).ravel())
    assert np.allclose(sgd.corners, exact[(exact > -3) & (exact < 4)], rtol=0, atol=1e-15)


def test_the_nearest_of_centres_is_exact_beyond_all_of_them():
    """It was "not decided" what happens where all gradients are alike."""
    c = np.random.default_rng(0).normal(size=(501, 1))
    nearest = lambda w: np.minimum(np.abs(w - c), np.abs(w - 3 - 0.3 * c))  # noqa: E731
    state = end_state(Landscape(nearest, domain=(-5, 9), **SGD))
    assert state.status.name == "CONVERGED"
    assert state.error < 1e-12


def test_moments_of_many_weights_far_from_0_and_of_gradients_that_are_nearly_alike():
    c, a = np.random.default_rng(8).normal(size=(2, 500, 1))
    far = Landscape(
        lambda w: np.maximum(0, a * (w - 1e6 - c)) ** 2, domain=(1e6 - 3, 1e6 + 4), **SGD
    )
    alike = Landscape(lambda w: (1 + 1e-7 * a) * w + 1e-7 * np.abs(w - c), domain=(-3, 4), **SGD)
    for sgd, tolerance in ((far, 1e-12), (alike, 1e-8)):
        x = np.linspace(*sgd.domain, 6000)
        few = [sgd.moments(part) for part in np.array_split(x, 120)]
        for found, known in zip(sgd.moments(x), zip(*few, strict=True), strict=True):
            assert np.allclose(found, np.concatenate(known), rtol=tolerance, atol=0)


def test_many_digits_of_steps_and_of_what_all_share():
    c = np.random.default_rng(9).normal(size=300)
    x, many = 0.3, many_digits(40)
    sgd = Landscape(
        lambda w: np.abs(w - c[:, None]) + 0.25 * w**2 + 0.5 * np.abs(w - 0.1),
        domain=(-3, 3),
        **SGD,
    )
    (mean,), (spread,) = sgd.moments(many.array(np.array([x])), many)
    steps = int(np.sign(x - c).sum())
    with mp.workdps(50):
        exact = mp.mpf(steps) / 300 + mp.mpf(x) / 2 + mp.mpf(1) / 2
        assert abs(mp.mpf(str(mean)) - exact) < mp.mpf(10) ** -37
        assert abs(mp.mpf(str(spread)) - 1 + (mp.mpf(steps) / 300) ** 2) < mp.mpf(10) ** -37


def test_many_digits_among_many_corners_are_those_of_all_rows():
    """Sums over rows that turn nowhere near are kept: with curved parts, ties, corners of all."""
    c = np.round(np.random.default_rng(9).normal(size=(300, 1)), 2)
    sgd = Landscape(
        lambda w: np.where(np.abs(w - c) < 0.5, (w - c) ** 2, np.abs(w - c)) + np.abs(w - 0.105),
        domain=(-3, 3),
        **SGD,
    )
    beside = [k * 2.0**-53 for k in (-90, -20, 0, 20, 90)]
    x = np.concatenate([np.linspace(-2.9, 2.9, 60), *(c[:20, 0] + 0.5 + k for k in beside)])
    many = many_digits(40)
    z = many.array(x) - many.array(c)
    rows = np.where(np.abs(many.to_float(z)) < 0.5, 2 * z, many.array(np.sign(x - c)))
    rows = rows + many.array(np.sign(x - 0.105))
    mean, spread = rows.sum(axis=0) / 300, (rows * rows).sum(axis=0) / 300
    for found, known in zip(
        sgd.moments(many.array(x), many), (mean, spread - mean**2), strict=True
    ):
        assert np.abs(many.to_float(found - known)).max() < 1e-38


def test_many_datapoints_are_asked_for_at_few_weights():
    centres, asked = np.random.default_rng(1).normal(size=(3000, 1)), []

    def losses(w):
        if type(w) is np.ndarray and w.dtype == float:
            asked.append(w.size)
        return np.logaddexp(0, centres * w)

    state = end_state(Landscape(losses, learning_rate=0.5, batch_size=8, domain=(-2, 6)))
    assert state.error < 1e-12
    assert len(asked) <= 5  # it is recorded, and tried in other numbers


def test_losses_with_branches_are_looked_at_for_jumps():
    jump = np.where(np.arange(2100) < 2000, 0.0, 1.0)[:, None]
    centres = np.linspace(-1, 1, 2100)[:, None]
    landscape = Landscape(
        lambda w: (w - centres) ** 2 / 2 + jump * (w > 0.3), learning_rate=0.1, domain=(-2, 2)
    )
    assert any(
        "the mean loss jumps by 0.0476 near w = 0.3" in n for n in end_state(landscape).notes
    )


@pytest.mark.parametrize(
    ("losses", "jumps"),
    [
        (lambda w, c: np.maximum(w, c) + np.abs(w - c), False),
        (lambda w, c: np.clip(w, c, 2) + np.where(w < c, w, c) ** 2, False),
        (lambda w, c: np.where(w - c > 0, w - c, 0.1 * (w - c)) ** 2, False),
        (lambda w, c: np.where(w - c > 0.1, w - c, 0.1 * (w - c)) ** 2, True),
        (lambda w, c: np.where(w - c > 0, w - c, 0.1), True),
        (lambda w, c: np.where(w > c, c, w - 1) + w**2 * c, True),
        (lambda w, c: np.maximum(w, c) + (w > 0.3), True),
        (lambda w, c: c * np.sign(w) + w**2, True),
    ],
)
def test_the_larger_of_two_numbers_is_not_looked_at_for_jumps(losses, jumps):
    """Of 64 ReLUs the mean loss, of all datapoints beside each corner, took most of the time."""
    c = np.linspace(-1, 1, 5)[:, None]
    assert Landscape(lambda w: losses(w, c), domain=(-2, 2), **SGD).may_jump == jumps


def slowest_of_gaps(c, rate, batch, ends, parts):
    """log of the relaxation time of |w - c_j|, on cells within the gaps between the c_j.

    There drift and noise are constant, and what flows from one centre to the next is known.
    """
    edges = np.array([ends[0], *(k for k in np.sort(c) if ends[0] < k < ends[1]), ends[1]])
    middle = (edges[1:] + edges[:-1]) / 2
    gradient = np.sign(middle - c[:, None]).mean(axis=0)
    f, a = -rate * gradient, rate**2 * (1 - gradient**2) / batch
    width, f, a = (np.repeat(v, parts) for v in (np.diff(edges) / parts, f, a))
    h = width * 2 * f / a
    top = np.concatenate([[0], np.cumsum(h)])
    # int 2 e^-phi over the halves of a cell, counted from its centre.
    right = -2 * np.expm1(-h / 2) * width / h
    left = 2 * np.expm1(h / 2) * width / h
    phi = (top[1:] + top[:-1]) / 2
    log_r = np.logaddexp(np.log(right[:-1]) - phi[:-1], np.log(left[1:]) - phi[1:])
    log_m = np.log(width / a) + phi
    up, down = np.exp(-log_r - log_m[:-1]), np.exp(-log_r - log_m[1:])
    rates = np.zeros((len(f), len(f)))
    i = np.arange(len(f) - 1)
    rates[i, i + 1] = rates[i + 1, i] = np.sqrt(up * down)
    rates[i, i] -= up
    rates[i + 1, i + 1] -= down
    return -np.log(-np.sort(np.linalg.eigvalsh(rates))[-2])


def test_an_evolution_jumps_where_a_hundred_datapoints_do():
    """Corners were no edges of cells: a relaxation time was off by twice its error."""
    c = np.random.default_rng(34).normal(size=101)
    sgd = Landscape(lambda w: np.abs(w - c[:, None]), domain=(-1.2, 1.3), **SGD)
    seen = evolve(sgd, "normal:0.5,0.2", [20, 100])
    coarse, fine = (slowest_of_gaps(c, 0.1, 4, (-1.2, 1.3), k) for k in (2, 4))
    exact = (4 * fine - coarse) / 3
    assert seen.converged
    assert abs(seen.log_relaxation_time - exact) < seen.relaxation_error + 1e-5
    assert seen.relaxation_error < 1e-5


def row_by_row(form, c, y):
    """Hinges, written for one datapoint after the other."""

    def rows(w):
        return [np.maximum(0, k * w + 0.2) for k in c]

    return {
        "broadcast": lambda w: (np.maximum(0, c[:, None] * w + 0.2) - y) ** 2,
        "array": lambda w: np.array([(r - k) ** 2 for r, k in zip(rows(w), y, strict=True)]),
        "array, then": lambda w: (np.array(rows(w)) - y) ** 2,
        "of the rest": lambda w: -(-1.0 * (y - np.asarray(rows(w))) ** 2),
        "stack, then": lambda w: (np.stack(rows(w)) - y) ** 2 + 0 * w,
        "vstack, then": lambda w: (np.vstack(rows(w)) - y) ** 2,
        "concatenate": lambda w: (np.concatenate([r[None] for r in rows(w)]) - y) ** 2,
        "repeat": lambda w: (
            (np.maximum(0, np.repeat(w[None], len(c), 0) * c[:, None] + 0.2) - y) ** 2
        ),
    }[form]


FORMS = ["array", "array, then", "of the rest", "stack, then", "vstack, then", "concatenate"]


@pytest.mark.parametrize("form", [*FORMS, "repeat"])
def test_datapoints_one_by_one_are_recorded(form):
    """As arrays of series for each datapoint and weight they took minutes; corners were unknown."""
    c, y = np.random.default_rng(6).normal(size=(2, 150))
    known, sgd = (
        Landscape(row_by_row(k, c, y[:, None]), domain=(-2, 3), weight_decay=0.1, **SGD)
        for k in ("broadcast", form)
    )
    assert np.allclose(sgd.corners, known.corners, rtol=0, atol=1e-13)
    x = np.linspace(-2, 3, 101)
    assert np.allclose(sgd.moments(x), known.moments(x), rtol=1e-12, atol=0)


LISTS = {
    "max": lambda rows: np.max(rows, axis=0),
    "sort": lambda rows: np.sort(rows, axis=0)[1],
    "where": lambda rows: np.where(np.greater(rows, 0), rows, 0).sum(axis=0),
}


@pytest.mark.parametrize("how", LISTS)
def test_lists_of_tables_are_to_be_joined_first_and_are_recorded_then(how):
    """As arrays of series for each entry they took minutes."""
    c, y = np.random.default_rng(8).normal(size=(2, 40, 1))

    def rows(w):
        return [np.tanh(c + k * w) + y * w for k in (-1, 0.5, 2)]

    with pytest.raises(LandscapeError, match=r"becomes an array of objects.*np.stack"):
        end_state(Landscape(lambda w: LISTS[how](rows(w)) ** 2, domain=(-2, 3), **SGD))
    sgd = Landscape(lambda w: LISTS[how](np.stack(rows(w))) ** 2, domain=(-2, 3), **SGD)
    assert len(sgd.corners) > 20
    assert end_state(sgd).status.name == "CONVERGED"
    x, h = np.array([-1.1, 0.3, 2.2]), 1e-6
    slopes = [LISTS[how](rows(x + k)) ** 2 for k in (-h, h)]
    assert np.allclose(sgd.moments(x)[0], np.diff(slopes, axis=0)[0].mean(axis=0) / 2 / h)


def test_what_mixes_weights_in_an_array_of_objects_is_refused():
    def mixing(w):
        return np.array([np.abs(w - k) for k in (0.0, 0.4, 1.0)])[:, ::-1] + w

    with pytest.raises(LandscapeError, match="each point by itself"):
        Landscape(mixing, domain=(-2, 3), **SGD)


def two_layers(form, act=np.tanh):
    """Two layers of four units of which all weights move, as people write them."""
    rng = np.random.default_rng(11)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=12)
    a, b = rng.normal(size=(2, 3, 4))
    c, d = rng.normal(size=(2, 4, 4))
    v, shift = rng.normal(size=(2, 4))

    def off(z):  # of outputs of shape (N, M)
        return (z - y[:, None]) ** 2 / 2

    def last(w, times):
        hidden = act((x @ a)[:, None] + w[None, :, None] * (x @ b)[:, None] + shift)
        return act(times(hidden, c) + w[None, :, None] * times(hidden, d))

    def first(w):
        hidden = act((x @ a).T[..., None] + w * (x @ b).T[..., None] + shift[:, None, None])
        return act(np.einsum("hnm,hk->knm", hidden, c) + w * np.einsum("hnm,hk->knm", hidden, d))

    def matrices(w):
        w = w[:, None, None]
        return act(act(x @ (a + w * b) + shift) @ (c + w * d))

    def loop(w):
        k, n = range(4), range(12)
        first = [[act(x[i] @ a[:, j] + w * (x[i] @ b[:, j]) + shift[j]) for j in k] for i in n]
        both = [
            [sum(h * (c[m, j] + w * d[m, j]) for m, h in enumerate(r)) for j in k] for r in first
        ]
        return [
            (sum(v[j] * act(z) for j, z in enumerate(r)) - y[i]) ** 2 / 2
            for i, r in enumerate(both)
        ]

    def alike(w):
        """Of unit vectors with each other: each is to be next to the one behind it."""
        h = matrices(w)
        h = h / np.sqrt((h**2).sum(axis=2, keepdims=True))
        s = np.einsum("mih,mjh->mij", h, h) / 0.5 - 1e3 * np.eye(12)
        s = s - np.log(np.exp(s).sum(axis=2, keepdims=True))
        return -s[:, np.arange(12), (np.arange(12) + 1) % 12].T

    def alike_loop(w):
        found = []
        for k in w:
            h = act(act(x @ (a + k * b) + shift) @ (c + k * d))
            h = h / np.sqrt((h**2).sum(axis=1, keepdims=True))
            s = h @ h.T / 0.5 - 1e3 * np.eye(12)
            s = s - np.log(np.exp(s).sum(axis=1, keepdims=True))
            found.append(-s[np.arange(12), (np.arange(12) + 1) % 12])
        return np.array(found).T

    return {
        "loop": loop,
        "at": lambda w: off(last(w, np.matmul) @ v),
        "tensordot": lambda w: off(np.tensordot(last(w, partial(np.tensordot, axes=1)), v, 1)),
        "einsum": lambda w: off(
            np.einsum("nmh,h->nm", last(w, partial(np.einsum, "nmh,hk->nmk")), v)
        ),
        "units first": lambda w: off((first(w) * v[:, None, None]).sum(axis=0)),
        "matrices": lambda w: off((matrices(w) @ v).T),
        "four axes": lambda w: off((matrices(w)[:, :, None, :] @ v[:, None])[:, :, 0, 0].T),
        "alike": alike,
        "alike, one by one": alike_loop,
    }[form]


FORMS = ["at", "tensordot", "einsum", "units first", "matrices", "four axes"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("act", [np.tanh, lambda z: np.maximum(z, 0)], ids=["tanh", "relu"])
def test_two_layers_are_recorded_as_products_of_matrices(form, act):
    """Each sum of products had a node of its own, and matrices of which all weights move none."""
    sgd, plain = (Landscape(two_layers(f, act), domain=(-1, 1), **SGD) for f in (form, "loop"))
    assert np.allclose(sgd.corners, plain.corners, rtol=0, atol=1e-14)
    x, many = np.linspace(-1, 1, 101), many_digits(30)
    assert np.allclose(sgd.moments(x), plain.moments(x), rtol=1e-12, atol=1e-15)
    exact = [many.to_float(v) for v in sgd.moments(many.array(x[:3]), many)]
    assert np.allclose(exact, plain.moments(x[:3]), rtol=1e-12, atol=1e-15)
    tape = sgd.tapes(0).tape
    assert len(tape.nodes) < len(plain.tapes(0).tape.nodes) / 4


def test_the_density_among_all_corners_of_a_network_is_known():
    """Where a unit crosses 0 slowly rounding decided on its branch: "known to 0.88"."""
    rng = np.random.default_rng(5)
    x, y, a, b = rng.normal(size=(130, 3)), rng.normal(size=130), *rng.normal(size=(2, 3, 12))
    c, v = rng.normal(size=(12, 12)) / 12**0.5, rng.normal(size=12) / 12**0.5
    shift = rng.normal(size=12)

    def layers(w, slope=False):
        """The outputs, or their slopes."""
        z = (x @ a)[:, None] + w[None, :, None] * (x @ b)[:, None] + shift
        then = np.maximum(z, 0) @ c
        steps = ((z > 0) * (x @ b)[:, None]) @ c
        return ((then > 0) * (steps if slope else then)) @ v

    def losses(w):
        z = np.maximum((x @ a)[:, None] + w[None, :, None] * (x @ b)[:, None] + shift, 0)
        return (np.maximum(z @ c, 0) @ v - y[:, None]) ** 2 / 2

    sgd = Landscape(losses, domain=(-1.5, 1.5), learning_rate=0.05, batch_size=8)
    state = end_state(sgd)
    assert state.error < 1e-12
    edges = np.array([k for k in sgd.corners if -0.7 < k < -0.5])
    at = edges[:-1] + 0.3 * np.diff(edges)  # a point of each gap, where the density is compared
    t, weights = np.polynomial.legendre.leggauss(6)
    low, high = np.tile(edges[:-1], 2), np.concatenate([edges[1:], at])
    w = np.concatenate([*(low + (high - low) * (1 + k) / 2 for k in t), at])
    gradients = (layers(w) - y[:, None]) * layers(w, slope=True)
    mean, spread = gradients.mean(axis=0), gradients.var(axis=0)
    steep = (-2 * 8 / 0.05 * mean / spread)[: -len(at)].reshape(len(t), -1)
    whole, part = np.split((high - low) / 2 * (weights @ steep), 2)
    exact = np.cumsum(whole) - whole + part - np.log(spread[-len(at) :])
    assert len(at) > 100
    assert np.ptp(state.logpdf(at) - exact) < 1e-11


def test_datapoints_that_are_compared_with_each_other_are_recorded():
    """Such losses went by series, of arrays of datapoints times datapoints."""
    asked = []
    losses = two_layers("alike")

    def counted(w):
        asked.append(w)
        return losses(w)

    sgd = Landscape(counted, domain=(-1, 1), **SGD)
    state = end_state(sgd)
    assert state.status.name == "CONVERGED"
    assert len(asked) < 16  # tried, and recorded
    w, h = np.linspace(-0.9, 0.9, 7), 1e-3
    at = two_layers("alike, one by one")
    weights = np.array([1, -8, 0, 8, -1]) / 12 / h
    slopes = sum(k * at(w + j * h) for k, j in zip(weights, range(-2, 3), strict=True))
    assert np.allclose(sgd.moments(w), [slopes.mean(axis=0), slopes.var(axis=0)], rtol=1e-6)


@pytest.mark.parametrize("features", [3, 5])
@pytest.mark.parametrize("act", [np.tanh, lambda z: z * ndtr(z)], ids=["tanh", "gelu"])
def test_as_many_datapoints_as_units_are_told_apart(act, features):
    """Axes have names by their length: a moving bias was taken for what datapoints have."""
    rng = np.random.default_rng(3)
    x, c, d = rng.normal(size=(3, features)), *rng.normal(size=(2, 3, 3))
    a, b = rng.normal(size=(2, features, 3))
    e, f, v, y = rng.normal(size=(4, 3))

    def losses(w):
        w = w[:, None, None]
        hidden = act(x @ (a + w * b) + w * e)
        return ((act(hidden @ (c + w * d) + w * f) @ v - y) ** 2).T

    sgd, w, h = Landscape(losses, domain=(-1, 1), **SGD), np.linspace(-0.9, 0.9, 7), 1e-3
    weights = np.array([1, -8, 0, 8, -1]) / 12 / h
    slopes = sum(k * losses(w + j * h) for k, j in zip(weights, range(-2, 3), strict=True))
    assert np.allclose(
        sgd.moments(w), [slopes.mean(axis=0), slopes.var(axis=0)], rtol=1e-6, atol=1e-8
    )
    assert sgd.tapes(0).single


def test_where_rounding_decides_where_corners_are_no_panels_are_lost():
    """Four doubles from a corner the other branch was met: 25 s of panels, or an error of 0.003."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 2)), rng.normal(size=40)
    first, rest = rng.normal(size=(2, 2, 12)), rng.normal(size=(2, 2, 12, 12)) / np.sqrt(12)
    v = rng.normal(size=12) / 12

    def losses(w):
        w = w[:, None, None]
        z = np.maximum(0, x @ (first[0] + w * first[1]))
        for a, b in zip(*rest, strict=True):
            z = z + np.maximum(0, z @ (a + w * b))
        return ((z @ v).T - y[:, None]) ** 2 / 2

    state = end_state(Landscape(losses, domain=(-2, 2), **SGD))
    assert state.error < 1e-12
