"""Weight decay, label noise, clipping, signs and momentum: against closed forms and each other."""

import contextlib
import itertools
import json
import math
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import norm

import stationary.chain.batches
from stationary import (
    Landscape,
    LandscapeError,
    Status,
    analyze,
    check,
    end_state,
    evolve,
    exact_chain,
    load,
    simulate,
)
from stationary.chain.batches import batches_of
from stationary.chain.outcomes import _Passage
from stationary.cli import app
from stationary.numbers.arithmetic import many_digits

CURVATURES, CENTRES = np.array([1, 2, 2, 1.5]), np.array([-1.25, -0.25, 0.5, 1])


def parabolas(w):
    return [h * (w - c) ** 2 / 2 for h, c in zip(CURVATURES, CENTRES, strict=True)]


def alike(w):  # one curvature, so that the noise is the same everywhere
    return [1.5 * (w - c) ** 2 / 2 for c in CENTRES]


def landscape(losses=parabolas, rate=0.1, **given):
    return Landscape(losses=losses, learning_rate=rate, **given)


def test_weight_decay_is_a_parabola_added_to_every_loss():
    decayed = end_state(landscape(weight_decay=0.3))
    added = end_state(landscape(lambda w: [loss + 0.15 * w * w for loss in parabolas(w)]))
    x = np.linspace(-1, 1, 21)
    assert np.abs(decayed.logpdf(x) - added.logpdf(x)).max() < 1e-11
    chain = exact_chain(landscape(weight_decay=0.3), cells=200)
    rate = 0.1 * (CURVATURES + 0.3)
    shift = 0.1 * CURVATURES * CENTRES
    mean = shift.mean() / rate.mean()
    square = ((shift**2) + 2 * (1 - rate) * shift * mean).mean() / (1 - (1 - rate) ** 2).mean()
    assert chain.mean() == pytest.approx(mean, abs=1e-12)
    assert chain.std() == pytest.approx(np.sqrt(square - mean**2), rel=1e-10)


@pytest.mark.parametrize("outputs", [None, lambda w: 2 * w, lambda w: [h * w for h in CURVATURES]])
@pytest.mark.parametrize(("batch", "replacement"), [(1, True), (3, True), (3, False)])
def test_label_noise_adds_its_variance_to_that_of_the_gradients(outputs, batch, replacement):
    """On parabolas of one curvature h the variance is T D / (2 h) in the limit of small steps and
    T D / (h (2 - T h)) with steps, D being the sum of what datapoints and labels give."""
    how = {"batch_size": batch, "replacement": replacement, "label_noise": 0.4, "outputs": outputs}
    squares = {True: np.ones(4), False: np.zeros(4)}[outputs is None]
    if outputs is not None:
        slopes = np.broadcast_to(np.array(outputs(1.0)), 4)
        squares = slopes**2
    factor = 1 / batch if replacement else (4 - batch) / (batch * 3)
    noise = factor * np.var(1.5 * CENTRES) + 0.16 * squares.mean() / batch
    given = landscape(alike, **how)
    assert end_state(given).std() ** 2 == pytest.approx(0.1 * noise / 3, rel=1e-11)
    exact = 0.1 * noise / (1.5 * (2 - 0.15))
    assert exact_chain(given, cells=64).std() ** 2 == pytest.approx(exact, rel=1e-9)
    walk = simulate(given, walkers=4000, steps=100, burn_in=60, seed=1)
    assert abs(walk.std**2 - exact) < 4 * 2 * walk.std * walk.std_error


def test_a_clipped_minibatch_has_the_moments_of_what_is_left():
    """By hand, for each of the minibatches, where their gradients are far from the corners."""
    given = landscape(clip=1.0, batch_size=2, replacement=False, weight_decay=0.2, domain=(-4, 4))
    w = np.array([-0.8, 0.1, 1.3])
    g = CURVATURES[:, None] * (w - CENTRES[:, None])
    pairs = np.array([(g[i] + g[j]) / 2 for i in range(4) for j in range(i)])
    f, a = given.diffusion().coefficients(w)
    assert f == pytest.approx(-0.1 * (np.clip(pairs, -1, 1).mean(axis=0) + 0.2 * w), rel=1e-14)
    assert a == pytest.approx(0.01 * np.clip(pairs, -1, 1).var(axis=0), rel=1e-13)


@pytest.mark.parametrize(
    "how",
    [
        {"clip": 0.8, "weight_decay": 0.3},
        {"clip": 0.8, "batch_size": 2},
        {"clip": 0.8, "batch_size": 3, "replacement": False},
        {"label_noise": 0.4, "outputs": lambda w: [h * w for h in CURVATURES], "batch_size": 2},
    ],
)
def test_the_chain_and_walkers_take_the_same_steps(how):
    given = landscape(rate=0.3, domain=(-4, 4), **how)
    chain = exact_chain(given, cells=500)
    walk = simulate(given, walkers=4000, steps=150, burn_in=60, seed=2)
    assert abs(walk.mean - chain.mean()) < 4 * walk.mean_error + chain.mean_error
    assert abs(walk.std - chain.std()) < 4 * walk.std_error + chain.std_error


@pytest.mark.parametrize("beta", [0.5, 0.9])
def test_momentum_on_a_parabola_has_its_variance_in_closed_form(beta):
    """var = T C (1 + b) / ((1 - b) h (2 (1 + b) - T h)); for small steps T / (1 - b) C / (2 h)."""
    rate, h, noise = 0.2, 1.5, np.var(1.5 * CENTRES)
    exact = rate * noise * (1 + beta) / ((1 - beta) * h * (2 * (1 + beta) - rate * h))
    given = landscape(alike, rate, momentum=beta)
    walk = simulate(given, walkers=4000, steps=300, burn_in=150, seed=3)
    assert abs(walk.std - np.sqrt(exact)) < 4 * walk.std_error
    small = end_state(given).std() ** 2
    assert small == pytest.approx(rate / (1 - beta) * noise / (2 * h), rel=1e-12)
    assert exact / small == pytest.approx(1 / (1 - rate * h / (2 * (1 + beta))), rel=1e-12)
    told = " ".join(str(analyze(given)).split())
    mean = f"{CENTRES.mean():.7g}"
    assert f"SGD has mean {mean}, standard deviation {exact**0.5:.7g} (every step" in told
    wild = str(analyze(given, learning_rate=2 * (1 + beta) / h + 0.1))
    assert "  SGD with this step diverges: lower it.\n" in wild
    with pytest.raises(LandscapeError, match=r"no chain on w alone.*simulate.*momentum = 0"):
        exact_chain(given)


def test_minima_at_which_momentum_does_not_settle_are_told():
    """v <- b v - T h w, w <- w + v draws to 0 while T h < 2 (1 + b); here h = 2."""
    wells = Landscape(
        gradients=lambda w: (w**3 - w + 0.5, w**3 - w - 0.5), momentum=0.5, learning_rate=1.4,
        domain=(-3, 3),
    )  # fmt: skip
    assert "cannot settle" not in str(analyze(wells))
    told = " ".join(str(analyze(wells, learning_rate=1.6)).split())
    assert "SGD cannot settle at w = -1 and w = 1, where T times the curvature is above" in told


@pytest.mark.parametrize(("rate", "beta"), [(0.2, 0.5), (0.1, 0.9)])
def test_check_takes_momentum_to_the_chain_of_weight_and_velocity(rate, beta):
    """On a parabola the variances of w and v and their covariance have closed forms."""
    h, noise = 1.5, np.var(1.5 * CENTRES)
    held = check(landscape(alike, rate, momentum=beta), walkers=200, steps=1000)
    found = dict(
        zip(held.names, zip(held.chain.values, held.chain.errors, strict=True), strict=True)
    )
    # v' = b v - T h w - T e, w' = w + v': the stationary covariance solves S = M S M^t + N.
    step = np.array([[1 - rate * h, beta], [-rate * h, beta]])
    push = rate**2 * noise * np.ones((2, 2))
    s = np.linalg.solve(np.eye(4) - np.kron(step, step), push.ravel()).reshape(2, 2)
    exact = rate * noise * (1 + beta) / ((1 - beta) * h * (2 * (1 + beta) - rate * h))
    assert s[0, 0] == pytest.approx(exact, rel=1e-10)
    for name, truth in (
        ("deviation 1", s[0, 0] ** 0.5),
        ("deviation 2", s[1, 1] ** 0.5),
        ("correlation", s[0, 1] / (s[0, 0] * s[1, 1]) ** 0.5),
    ):
        value, error = found[name]
        assert abs(value - truth) <= error + 1e-11
        walked = held.walkers.values[held.names.index(name)]
        assert abs(walked - truth) < 5 * held.walkers.errors[held.names.index(name)]
    assert "velocity" in held.summary()
    with pytest.raises(LandscapeError, match=r"Leave these out.*simulate"):
        check(landscape(alike, rate, momentum=beta, clip=0.5))


def test_the_chain_of_weight_and_velocity_knows_what_its_box_cuts_off():
    """One datapoint of eight stands apart: the law leans out of the box of a Gaussian."""
    rate, beta, n = 0.02, 0.5, 8
    held = check(
        Landscape(losses=lambda w: [(w - float(c == 0)) ** 2 for c in range(n)],
                  learning_rate=rate, momentum=beta), simulation=False
    )  # fmt: skip
    step, push = np.array([[1 - 2 * rate, beta], [-2 * rate, beta]]), 4 * rate**2 * (n - 1) / n**2
    s = np.linalg.solve(np.eye(4) - np.kron(step, step), np.full(4, push))
    truth = np.array([1 / n, 0, s[0] ** 0.5, s[3] ** 0.5, s[1] / (s[0] * s[3]) ** 0.5])
    assert (np.abs(held.chain.values - truth) <= held.chain.errors).all()


def test_walkers_that_run_away_with_momentum_are_said_to():
    held = check(landscape(alike, 20.0, momentum=0.5), walkers=50, steps=2000)
    assert held.walkers is None
    assert held.outcome == "fails"
    assert "SGD diverges" in held.summary()


@pytest.mark.parametrize(("rate", "noise", "truth"), [(0.5, 0.6, 96), (0.9, 0.5, 96)])
def test_errors_hold_what_nodes_for_label_noise_leave_out(rate, noise, truth, monkeypatch):
    given = landscape(
        lambda w: [(w**2 - 1) ** 2 / 4 + c * w for c in (-0.2, 0.2)],
        rate,
        label_noise=noise,
        domain=(-2.2, 2.2),
    )
    found = exact_chain(given, cells=250)
    monkeypatch.setattr(stationary.chain.batches, "NODES", truth)
    monkeypatch.setattr(stationary.chain.batches, "OF_NOISE", (truth - 16,))
    better = exact_chain(given, cells=250)
    x = np.linspace(-2.2, 2.2, 2001)
    off = np.abs(found.cdf(x) - better.cdf(x)).max()
    assert 1e-4 < off < found.error
    assert abs(found.std() - better.std()) < found.std_error
    (cells,) = found.components  # what the cells alone would claim
    assert cells.cdf_error > np.abs(cells.laws[0].cdf(x) - cells.cdf(x)).max()


@pytest.mark.parametrize("upper", [0.35, 0.55, 0.9])
def test_errors_of_times_hold_what_nodes_for_label_noise_miss_at_a_border(upper):
    """Against the equation of the time, tau = 1 + E tau(next), at the nodes of a Gauss rule.

    Where the border lies alike between the nodes of two rules, what these differ by is no error.
    """
    rate, noise, centres, lower = 0.4, 0.8, (-0.3, 0.2), -0.6
    z, weights = np.polynomial.legendre.leggauss(100)
    w, weights = (lower + upper + (upper - lower) * z) / 2, weights * (upper - lower) / 2

    def leads(start):
        ends = [start - rate * (start - c) for c in centres]
        return sum(norm.pdf(w, x[:, None], rate * noise) / len(centres) for x in ends) * weights

    tau = np.linalg.solve(np.eye(len(w)) - leads(w), np.ones(len(w)))
    lasts = 1 / (1 - np.abs(np.linalg.eigvals(leads(w))).max())
    given = landscape(
        lambda w: [(w - c) ** 2 / 2 for c in centres], rate, label_noise=noise, domain=(-8, 8)
    )
    chain = exact_chain(given, cells=250)
    for start, truth in ((None, lasts), (0.0, 1 + (leads(np.zeros(1)) @ tau)[0])):
        found = chain.mean_exit_time(lower, upper, start=start)
        assert abs(found.log_time - np.log(truth)) < found.error < 0.3


def test_one_datapoint_has_noise_if_its_label_has():
    one = landscape(lambda w: [w**2 / 2], label_noise=0.5)
    assert end_state(one).std() ** 2 == pytest.approx(0.1 * 0.25 / 2, rel=1e-12)
    whole = landscape(alike, label_noise=0.5, batch_size=4, replacement=False)
    assert end_state(whole).std() ** 2 == pytest.approx(0.1 * 0.25 / 4 / 3, rel=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weight_decay": -1}, "weight_decay = -1 must be a number from 0 on"),
        ({"weight_decay": "much"}, "weight_decay = 'much' must be"),
        ({"label_noise": np.inf}, "label_noise = inf must be a standard deviation"),
        ({"label_noise": 1e300}, r"label_noise = 1e\+300 must be a standard deviation"),
        ({"weight_decay": 1e300}, r"1e\+300 must be a number from 0 on, below 1e150"),
        ({"rate": 1e200}, "so large that its square"),
        ({"clip": 0}, "clip = 0 must be a positive number"),
        ({"clip": True}, "clip = True must be a positive number"),
        ({"momentum": 1.0}, "momentum = 1.0 must be a number from 0 to below 1"),
        ({"momentum": np.nan}, "momentum = nan must be"),
        ({"optimiser": "nadam"}, "'nadam' is not modelled.*\"adam\".*approximately"),
        ({"optimiser": "adam", "momentum": 0.5}, 'momentum = 0.5 beside optimiser = "adam", whose'),
        (
            {"optimiser": "adam", "schedule": "constant:1:9", "rate": None},
            "schedule = .* beside opt",
        ),
        ({"optimiser": "adam", "sample": True}, "sample = True beside optimiser"),
        (
            {"optimiser": "adam", "betas": (0.9, 1)},
            r"betas = \(0.9, 1\) must be two numbers from 0",
        ),
        ({"betas": (0.9, 0.999)}, "betas = .* are of Adam; with optimiser = 'sgd'"),
        ({"optimiser": "Nesterov"}, "'Nesterov' is not modelled.*set momentum"),
        ({"optimiser": "sing"}, "optimiser = 'sing' is not known. Did you mean \"sign\""),
        ({"optimiser": 3}, 'optimiser = 3 is not known. Write "sgd", "sign" or "adam"'),
        ({"optimiser": "sign", "clip": 1}, "clip = 1 beside optimiser"),
        ({"optimiser": "sign", "momentum": 0.5}, "momentum = 0.5 beside optimiser"),
        ({"label_noise": 0.1, "clip": 1}, "label_noise = 0.1 beside clip is not modelled"),
        ({"label_noise": 0.1, "outputs": 3}, "outputs must be a function of w, not 3"),
        ({"label_noise": 0.1, "outputs": lambda w: [w, w]}, "2 entries for 4 datapoints"),
        ({"clip": 1, "batch_size": 60}, "up to 4096 different minibatches; of 60 of 4"),
        (
            {"losses": lambda w: [(w - k) ** 2 for k in range(20)], "clip": 1}
            | {"batch_size": 10, "replacement": False},
            "drawn with replacement, has a smooth law.*Set replacement = True",
        ),
    ],
)
def test_what_an_optimiser_cannot_be_is_told(given, message):
    with pytest.raises(LandscapeError, match=message):
        landscape(**given)


def law_of_sums(values, unit, batch):
    """The means of batches of multiples of a unit, and how likely each is: all convolutions."""
    steps = np.rint((values - values.min()) / unit).astype(int)
    count = batch * int(steps.max()) + 1
    size = 1 << count.bit_length()
    chance = np.fft.rfft(np.bincount(steps) / len(steps), size) ** batch
    means = values.min() + unit * np.arange(count) / batch
    return means, np.maximum(np.fft.irfft(chance, size)[:count], 0)


@pytest.mark.parametrize(
    ("clip", "datapoints", "batch", "bits", "most"),
    [(0.08, 40, 64, 9, 1e-8), (0.3, 30, 10, 15, 1e-6), (0.5, 40, 32, 9, 1e-6)],
)
def test_of_batches_too_many_to_go_through_the_law_of_their_mean_is_clipped(
    clip, datapoints, batch, bits, most
):
    """Gradients w - c on a lattice so fine that it hardly shows, against convolutions of it.

    That of the second does not show at all: what is missing are lumps of few draws.
    """
    unit = 2.0**-bits
    c = unit * np.rint(np.random.default_rng(5).normal(size=datapoints) / unit)
    sgd = landscape(
        lambda w: [(w - k) ** 2 / 2 for k in c],
        rate=1,
        batch_size=batch,
        domain=(-3, 3),
        weight_decay=0.1,
        clip=clip,
    )
    w = np.linspace(-0.7, 0.9, 3)
    f, a = sgd.diffusion().coefficients(w)
    off, of_square = sgd.lumps
    assert off < most
    for x, mean, variance in zip(w, -f, a, strict=True):
        u, chance = law_of_sums(x - c, unit, batch)
        step = np.clip(u, -clip, clip)
        exact = chance @ step
        assert abs(mean - exact - 0.1 * x) <= off + 1e-12
        kept = 10 * of_square + 1e-8 * clip**2  # where all batches are clipped
        assert abs(variance - chance @ (step - exact) ** 2) <= of_square + kept


@pytest.mark.parametrize(("batch", "clip"), [(40, 1e6), (10**6, 10.0)])
def test_a_clip_that_cuts_next_to_nothing_of_many_batches_changes_nothing(batch, clip):
    """Noise was kept that is small against the clip, and was large against that of batches."""
    c = np.random.default_rng(0).normal(size=(60, 1))
    c[0] = 30  # is cut by itself
    given = {"rate": 0.02, "batch_size": batch, "domain": (-5, 5)}
    plain = end_state(landscape(lambda w: (w - c) ** 2 / 2, **given))
    cut = end_state(landscape(lambda w: (w - c) ** 2 / 2, clip=clip, **given))
    assert abs(cut.std() - plain.std()) <= cut.std_error + plain.std_error < 1e-11 * plain.std()
    assert abs(cut.mean() - plain.mean()) <= cut.mean_error + plain.mean_error


def test_where_no_datapoint_of_many_has_a_gradient_signs_have_no_noise():
    c = np.random.default_rng(0).normal(size=(200, 1))
    signs = landscape(
        lambda w: np.maximum(0, c - w) ** 2 + np.maximum(0, w - c - 9) ** 2,
        batch_size=64,
        domain=(-8, 15),
        optimiser="sign",
    )
    f, a = signs.diffusion().coefficients(np.array([-5.0, 4.0, 5.0, 14.0]))
    assert f.tolist() == [0.1, 0, 0, -0.1]
    assert (a[[1, 2]] == 0).all()
    assert (a[[0, 3]] > 0).all()


def test_the_sign_of_batches_too_many_to_go_through_is_what_clipping_tends_to():
    c = np.random.default_rng(5).normal(size=(60, 1))
    w, given = np.linspace(-0.2, 0.3, 6), {"rate": 1, "batch_size": 64, "domain": (-3, 3)}
    signs = landscape(lambda w: (w - c) ** 2 / 2, optimiser="sign", **given).diffusion()
    clipped = landscape(lambda w: (w - c) ** 2 / 2, clip=1e-3, **given).diffusion()
    assert signs.drift(w) == pytest.approx(1e3 * clipped.drift(w), abs=1e-5)
    # Of a hundredth of all batches the mean is within the clip, and its square less than 1 there.
    assert signs.variance(w) == pytest.approx(1e6 * clipped.variance(w), abs=8e-3)
    assert (signs.variance(w) > 1e6 * clipped.variance(w)).all()
    # Far less than the noise: what is left are not differences of what is cut off.
    closer = landscape(lambda w: (w - c) ** 2 / 2, clip=1e-9, **given).diffusion()
    w = np.append(w, c.mean())
    assert signs.drift(w) == pytest.approx(1e9 * closer.drift(w), rel=1e-12, abs=1e-14)
    assert signs.variance(w) == pytest.approx(1e18 * closer.variance(w), rel=1e-7)


@pytest.mark.parametrize("rule", [{"clip": 0.3}, {"optimiser": "sign", "weight_decay": 0.2}])
def test_the_law_of_many_batches_has_exact_slopes_and_ends_alike_on_any_domain(rule):
    c = np.random.default_rng(2).normal(size=(100, 1))

    def losses(w):
        return (w - c) ** 4 / 12 + (w - c) ** 2 / 2

    landscapes = [
        Landscape(losses, learning_rate=0.05, batch_size=64, domain=domain, **rule)
        for domain in ((-2, 2), (-60, 30))
    ]
    near, far = map(end_state, landscapes)
    for state in (near, far):
        assert state.status is Status.CONVERGED
        assert any("too many to go through" in note for note in state.notes)
    assert far.mean() == pytest.approx(near.mean(), abs=near.mean_error + far.mean_error + 1e-12)
    x = near.mean() + near.std() * np.linspace(-3, 3, 7)
    assert far.pdf(x) == pytest.approx(near.pdf(x), rel=1e-10)
    (rest,), drift, step = near.equilibria, near.diffusion.drift, 1e-3
    ahead, back, further, behind = drift(rest.position + step * np.array([1.0, -1.0, 2.0, -2.0]))
    slope = (8 * (ahead - back) - (further - behind)) / (12 * step)
    assert rest.slope == pytest.approx(slope, rel=1e-8)
    with pytest.raises(LandscapeError, match=r"unnamed: what clips.*in doubles only"):
        end_state(landscapes[0], digits=30)


def test_files_the_command_line_and_the_report_know_the_optimiser(tmp_path):
    def write_file(text):
        path = tmp_path / "process.py"
        path.write_text(text)
        return path

    text = (
        "import numpy as np\nlearning_rate = 0.1\nweight_decay = 0.2\nlabel_noise = 0.3\n"
        "def losses(w):\n    return [(w - c)**2 for c in (0, 1)]\n"
        "def outputs(w):\n    return 2 * w\n"
    )
    path = write_file(text)
    found = analyze(path, momentum=0.5)
    words = " ".join(str(found).split())
    for said in (
        "D = S2 + 0.3^2 <phi^2> / B, T = 0.1 / (1 - 0.5) = 0.2",
        "Weight decay: 0.2 w is part of G.",
        "Label noise of deviation 0.3",
        "Momentum 0.5 stands for a learning rate of 0.1 / (1 - 0.5)",
        "the variance is 1 / (1 - 0.1 h / 3) times as large",
    ):
        assert said in words
    process = found.to_dict()["process"]
    assert (process["weight_decay"], process["momentum"], process["clip"]) == (0.2, 0.5, None)
    assert load(path, clip=None).label_noise == 0.3
    options = ["--clip", "2", "--weight-decay", "0.1", "--label-noise", "0", "--json"]
    run = CliRunner().invoke(app, ["analyze", str(path), "--domain", "-4", "4", *options])
    process = json.loads(run.output)["process"]
    assert (process["weight_decay"], process["label_noise"], process["clip"]) == (0.1, 0.0, 2.0)
    for wrong in ("optimzer", "optimizer"):
        with pytest.raises(LandscapeError, match=rf"{wrong} = 'adam' has no.*`optimiser`"):
            load(write_file(text + f"{wrong} = 'adam'\n"))
    with pytest.raises(LandscapeError, match=r"weigth_decay = 0.1 has no meaning.*`weight_decay`"):
        load(write_file(text.replace("weight_decay = 0.2", "weigth_decay = 0.1")))


def density_by_quadrature(drift, variance, edges, count=400):
    """P ~ exp(int 2 f / a) / a between the edges by Gauss-Legendre panels: mean and deviation."""
    t, weight = np.polynomial.legendre.leggauss(12)
    x, mass, log_p, level = [], [], [], 0.0
    for low, high in pairwise(edges):
        cuts = np.linspace(low, high, count)
        for a, b in pairwise(cuts):
            half, middle = (b - a) / 2, (a + b) / 2

            def slope(w):
                return 2 * drift(w) / variance(w)

            at = middle + half * t
            inner = [
                (w - a) / 2 * weight @ slope((a + w) / 2 + (w - a) / 2 * t) for w in at.tolist()
            ]
            x.append(at)
            mass.append(half * weight / variance(at))
            log_p.append(level + np.array(inner))
            level += half * weight @ slope(at)
    x, mass, log_p = np.concatenate(x), np.concatenate(mass), np.concatenate(log_p)
    p = mass * np.exp(log_p - log_p.max())
    mean = p @ x / p.sum()
    return mean, np.sqrt(p @ (x - mean) ** 2 / p.sum())


@pytest.mark.parametrize("domain", [(-4, 4), (-np.inf, np.inf)])
def test_a_clipped_end_state_ends_where_all_datapoints_are_clipped(domain):
    """Below -9/4 and above 5/3, which no double is, no noise is left, and the drift leads in."""
    state = end_state(landscape(clip=1.0, rate=0.3, domain=domain))
    assert [c.interval for c in state.components] == [(-2.25, 5 / 3)]

    def clipped(w):
        return np.clip(CURVATURES[:, None] * (w - CENTRES[:, None]), -1, 1)

    corners = np.unique([CENTRES - 1 / CURVATURES, CENTRES + 1 / CURVATURES])
    mean, std = density_by_quadrature(
        lambda w: -0.3 * clipped(w).mean(axis=0),
        lambda w: 0.09 * clipped(w).var(axis=0),
        [-2.2, *corners[1:-1], 1.64],  # what lies beyond holds less than 1e-12
        40,
    )
    assert state.mean() == pytest.approx(mean, abs=1e-10)
    assert state.std() == pytest.approx(std, rel=1e-9)
    assert state.mean_error < 1e-12


def test_the_drift_of_signs_jumps_where_a_minibatch_turns():
    state = end_state(landscape(rate=0.3, optimiser="sign"))

    def signs(w):
        return np.sign(w - CENTRES[:, None])

    mean, std = density_by_quadrature(
        lambda w: -0.3 * signs(w).mean(axis=0), lambda w: 0.09 * signs(w).var(axis=0), CENTRES, 20
    )
    assert state.mean() == pytest.approx(mean, abs=1e-11)
    assert state.std() == pytest.approx(std, rel=1e-10)
    assert state.anatomy.evaluations < 10_000


@pytest.mark.parametrize(("batch", "replacement"), [(1, True), (3, True), (3, False)])
def test_signs_keep_to_a_lattice_with_a_law_in_closed_form(batch, replacement):
    """pi_k = prod p_+(w_i) / p_-(w_{i+1}), p_+ and p_- by going through all minibatches."""
    given = landscape(
        rate=0.3, optimiser="sign", batch_size=batch, replacement=replacement, initial=0.07
    )
    drawn = itertools.product(range(4), repeat=batch)
    drawn = [d for d in drawn if replacement or len(set(d)) == batch]
    w = 0.07 + 0.3 * np.arange(-12, 13)
    g = CURVATURES[:, None] * (w - CENTRES[:, None])
    signs = np.sign(np.array([g[list(d)].sum(axis=0) for d in drawn]))
    up, down = (signs < 0).mean(axis=0), (signs > 0).mean(axis=0)
    inside = np.flatnonzero((up > 0) & (down > 0))
    inside = np.arange(inside[0] - 1, inside[-1] + 2)  # and the ends, which turn it back
    law = np.cumprod(np.append(1.0, up[inside[:-1]] / down[inside[1:]]))
    law /= law.sum()
    chain = exact_chain(given)
    held = {round(a.position, 9): a.weight for a in chain.atoms}
    assert chain.kind == "atoms"
    for k, p in zip(inside, law, strict=True):
        assert held.get(round(w[k], 9), 0.0) == pytest.approx(p, rel=1e-11, abs=1e-15)
    walk = simulate(given, walkers=4000, steps=100, burn_in=60, seed=1)
    assert abs(walk.mean - law @ w[inside]) < 4 * walk.mean_error


def test_a_lattice_without_a_start_is_one_of_many():
    chain = exact_chain(landscape(rate=0.3, optimiser="sign"))
    assert any("Give initial" in note for note in chain.notes)


@pytest.mark.parametrize("clip", [0.3, 0.9])
@pytest.mark.parametrize("batch", [1, 2])
def test_on_the_whole_line_clipped_end_states_are_those_of_small_steps(clip, batch):
    """Far out all gradients are clipped alike: there is exactly no noise, whatever doubles say."""
    h, c = np.array([0.55, 1.6, 0.76, 1.8, 1.3]), np.array([0.41, 1.04, -0.13, 1.37, -0.67])
    given = landscape(
        lambda w: [a * (w - b) ** 2 / 2 + 0.1 * (w - b) ** 4 for a, b in zip(h, c, strict=True)],
        rate=0.01,
        clip=clip,
        batch_size=batch,
        weight_decay=0.1,
    )
    state, chain = end_state(given), exact_chain(given, cells=200)
    assert state.status.name == "CONVERGED"
    assert abs(state.mean() - chain.mean()) < 0.01 * chain.std()
    assert state.std() == pytest.approx(chain.std(), rel=0.01)


def test_where_signs_balance_the_end_state_is_even_up_to_where_they_agree():
    """Between -b and b the drift is zero; beyond it there is no noise, and the drift leads back."""
    state = end_state(landscape(lambda w: [w**2 / 2 - w, w**2 / 2 + w], optimiser="sign"))
    (component,) = state.components
    assert component.interval == pytest.approx((-1, 1), abs=1e-14)
    assert state.std() == pytest.approx(1 / np.sqrt(3), rel=1e-12)


def test_the_sign_of_what_doubles_round_to_0_is_known():
    """tanh(w)^2 has a slope at 1000; only between 1/4 and 1/2 do signs differ, and cancel."""
    factors = np.array([[1.0], [2.0]])
    given = landscape(lambda w: np.tanh(factors * w - 0.5) ** 2, optimiser="sign")
    mean, spread = given.moments(np.array([-1000.0, 0.3, 1000.0]))
    assert [*mean, *spread] == [-1, 0, 1, 0, 1, 0]
    assert end_state(given).std() == pytest.approx(0.25 / np.sqrt(12), rel=1e-12)


def test_signs_are_known_however_near_to_where_a_minibatch_turns():
    """Of (w - c)^2 that of the batch (c, d) turns at (c + d) / 2, where it has no sign."""
    given = landscape(
        lambda w: [(w - c) ** 2 for c in (0.1, 0.3, 1.0)], optimiser="sign", batch_size=2
    )
    many = many_digits(400)
    (zero,) = (many.array([0.1]) + many.array([0.3])) / 2
    away = many.array([-1, 0, 1, -1, 0, 1]) * many.array([10]) ** [-9, 0, -300, -380, 0, -40]
    mean, spread = given.moments(zero + away, many)
    up, down = np.array([1, 1, 3] * 2) / 9, np.array([8, 6, 6] * 2) / 9  # of nine pairs
    assert many.to_float(mean) == pytest.approx(up - down, abs=1e-15)
    assert many.to_float(spread) == pytest.approx(up + down - (up - down) ** 2, abs=1e-15)


def test_all_places_are_found_at_which_one_of_many_signs_turns():
    centres = np.sort(np.random.default_rng(3).normal(size=520))
    given = landscape(lambda w: (w - centres[:, None]) ** 2, optimiser="sign", domain=(-5, 5))
    assert given.corners == pytest.approx(centres, abs=1e-14)


def test_a_start_on_a_lattice_is_followed_until_nobody_is_on_its_way():
    """From the middle it leaves on either side; there are ever fewer, on ever the same points."""
    hills = {"losses": lambda w: [-((w - c) ** 2) for c in (-1.5, 1.5)], "initial": 0.0}
    hill = landscape(rate=1.0, optimiser="sign", **hills)
    held = SimpleNamespace(lower=-4.0, upper=4.0, ends=("leave", "leave"))
    ground = SimpleNamespace(start=hill.initial, rests=(), batches=batches_of(hill), held=held)
    table = np.array([[1, 0], *[[0.5, 0.5]] * 6, [0, 1]])
    ends = _Passage(ground, [], [], []).from_start(np.linspace(-4, 4, 9), table)
    assert ends == pytest.approx([0.5, 0.5], abs=1e-14)


def test_minibatches_with_a_gradient_beyond_doubles_are_clipped_as_others_are():
    """What is not in a minibatch does not count, however large: 0 times infinity is 0."""
    c = np.array([[0.0], [0.5], [0.9]])
    given = landscape(lambda w: np.cosh(2 * (w - c)), clip=1.0, batch_size=2)
    mean, spread = given.moments(np.array([-900.0, 0.3, 354.9, 900.0]))
    pairs = np.sinh(2 * (0.3 - c)) + np.sinh(2 * (0.3 - c)).T
    assert mean == pytest.approx([-1, np.clip(pairs, -1, 1).mean(), 1, 1], abs=1e-15)
    assert spread == pytest.approx([0, np.clip(pairs, -1, 1).var(), 0, 0], abs=1e-15)


def test_a_clip_whose_square_is_nothing_is_refused_and_one_beyond_doubles_cuts_nothing():
    large = landscape(lambda w: (w**2, (w - 1) ** 2), clip=1e300)
    variance = large.diffusion().variance(np.array([0.3]))
    assert variance == pytest.approx(large.learning_rate**2, rel=1e-15)
    with pytest.raises(LandscapeError, match="squares are 0 in doubles"):
        Landscape(losses=lambda w: (w**2, (w - 1) ** 2), learning_rate=0.1, clip=1e-300)


def waves(rows):
    """Losses with a wave and a common bowl; clipped, all gradients are equal on stretches."""
    return lambda w: [1 - np.cos(k * w + p) + 0.04 * w * w for k, p in rows]


THREE = waves([(0.8, 0.3), (1.3, -0.3), (0.5, 1.0)])
FOUR = waves(
    [
        (-0.13664959629588416, -0.6647813359958524),
        (-1.2644927908197123, 0.5187849208779641),
        (-0.7458563981883249, 0.35924465201120453),
        (-0.400114751005071, -2.0192658104888017),
    ]
)


@pytest.mark.parametrize(("losses", "clip"), [(THREE, 0.3227), (FOUR, 0.22261772888700276)])
def test_stretches_on_which_all_are_clipped_are_found_as_they_are(losses, clip):
    """Doubles see no noise a little beside where it ends, or rounding where there is none."""
    given = Landscape(losses=losses, learning_rate=0.05, clip=clip, domain=(-8, 8))
    state, process = end_state(given), given.diffusion()
    points = [p for p in state.anatomy.points if p.interval is not None]
    x = np.linspace(-8, 8, 20001)
    without = process.coefficients(x)[1] < 1e-25
    inside = np.any([(p.interval[0] < x) & (x < p.interval[1]) for p in points], axis=0)
    assert points
    assert (inside == without).all()
    # The variance goes as the square of the distance, and so the drift decides alone.
    assert {s.end.feller.name for p in points for s in p.sides} <= {"EXIT", "ENTRANCE"}


def test_gradients_that_reach_their_clip_at_an_end_are_refused_by_name_or_solved():
    """At -5 all are 0.1 w = -0.5 = clip: looked at in many digits, it was a TypeError."""
    wells = ((1.42, -0.28), (1.4, -0.03), (0.63, -0.05))
    landscape = Landscape(
        losses=lambda w: [0.05 * w**2 - d * np.exp(-(((w + 1 - x) / 0.67) ** 2)) for d, x in wells],
        learning_rate=0.1, clip=0.5, domain=(-5, 5),
    )  # fmt: skip
    with contextlib.suppress(LandscapeError):
        end_state(landscape)


def test_what_lies_beyond_clipped_stretches_of_the_whole_line_comes_in():
    given = {"losses": THREE, "learning_rate": 0.047, "clip": 0.3227}
    near = end_state(Landscape(**given, domain=(-8, 8)))
    analysis = analyze(Landscape(**given), chain=False)
    far = analysis.end_state
    x = np.linspace(-0.7, 0.4, 9)
    assert far.error < 1e-12
    assert far.entropy() == pytest.approx(near.entropy(), abs=1e-12)
    assert far.pdf(x) == pytest.approx(near.pdf(x), rel=1e-11)
    # Alike but for [-18.28, -17.43], [-13.77, -12.26], [-9.19, 0.40], [2.58, 9.63], [12.72, 14.21],
    # [17.94, 18.70], as a fine grid shows.
    assert "There are 7 one-way gates: all of" in str(analysis)


def test_evolution_with_momentum_says_that_it_has_no_memory():
    def losses(w):
        return (w - 1) ** 2 / 2, (w + 0.7) ** 2

    landscape = Landscape(losses=losses, learning_rate=0.01, momentum=0.9, domain=(-4, 4))
    (note,) = evolve(landscape, 2.0, [25.0], cells=64).notes
    assert "1 / (1 - beta) = 10 steps" in note


def two_sided(rate=0.8, **changes):
    """Minima on both sides of 0, where |w| is one of four numbers."""
    c = np.array([0.9, 1.0, 1.1, 1.25])[:, None]
    given = {"learning_rate": rate, "domain": (-3, 3)} | changes
    return Landscape(losses=lambda w: np.abs(np.abs(w) - c), **given)


def test_each_lattice_is_a_chain_of_its_own():
    """By walkers: from between 0.1 and 0.9 none ever is below 0, although cells lead there."""
    walk = exact_chain(two_sided(), "uniform:-0.3,0.5")
    rng = np.random.default_rng(0)
    w = rng.uniform(-0.3, 0.5, 20_000)
    c, before = np.array([0.9, 1.0, 1.1, 1.25]), w
    for _ in range(60):
        before, w = w, w - 0.8 * np.sign(w) * np.sign(np.abs(w) - rng.choice(c, len(w)))
    w = np.append(before, w)  # to and fro
    assert walk.kind == "density"
    assert walk.weight_error < 1e-10
    assert [x.weight for x in walk.components] == pytest.approx([0.375, 0.625], abs=1e-10)
    x = np.linspace(-2, 2, 41) + 0.003
    own = (w[:, None] <= x).mean(axis=0)
    assert np.abs(walk.cdf(x) - own).max() < 0.02
    assert abs(walk.mean() - w.mean()) < 5 * w.std() / len(w) ** 0.5
    assert exact_chain(two_sided()).kind == "classes"


def test_lattices_beside_each_other_may_end_apart():
    """Signs that agree but on two short stretches: some lattices meet one of them only."""

    def losses(w):
        pairs = ((1.8, -0.4), (0.4, 0), (1.1, -0.1), (1.7, 0.05))
        return [0.25 * (w * w - 1) ** 2 * a + b * w for a, b in pairs]

    given = {"losses": losses, "learning_rate": 0.8, "optimiser": "sign", "domain": (-3, 3)}
    found = analyze(Landscape(**given, initial="uniform:-3,3"), steps=1000)
    w, rng = np.random.default_rng(1).uniform(-3, 3, 10_000), np.random.default_rng(2)
    a, b = np.array([1.8, 0.4, 1.1, 1.7]), np.array([-0.4, 0, -0.1, 0.05])
    for _ in range(99):
        k = rng.integers(4, size=len(w))
        w -= 0.8 * np.sign(a[k] * (w**3 - w) + b[k])
    left = (w < 0).mean()
    assert found.sgd.basins[0].chain[0] == pytest.approx(left, abs=0.015)
    assert found.sgd.basins[0].chain[1] < 1e-9
    assert np.exp(found.run.log_shares[0, 0]) == pytest.approx(found.sgd.basins[0].chain[0])
    # From one point: w = 0.3 steps to 1.1 and back for ever.
    assert np.exp(found.sgd.after(10**6, 0.3).log_shares[0]) == pytest.approx([0, 1], abs=1e-12)


def test_walls_and_rings_lead_from_one_lattice_to_another():
    """Steps of 0.3 between walls 1 apart: 0.07 is led to -0.07, and back."""
    steps = Landscape(losses=lambda w: (w, 0 * w, -w), learning_rate=0.3, domain=(0, 1.5))
    known = exact_chain(steps, "uniform:0,0.01")
    assert known.probability(0.011, 0.289) == pytest.approx(0, abs=1e-10)
    assert known.probability(0.289, 0.311) == pytest.approx(1 / 5, abs=1e-10)
    ring = exact_chain(replace(steps, boundaries="periodic"), "uniform:0,0.01")
    assert ring.probability(0.289, 0.2999) == pytest.approx(0, abs=1e-10)
    assert ring.probability(0.2999, 0.311) == pytest.approx(1 / 5, abs=1e-10)
    point = exact_chain(replace(steps, boundaries="periodic"), 0.01)
    assert [a.weight for a in point.atoms] == pytest.approx([1 / 5] * 5)


def test_leaving_a_basin_from_a_point_of_a_lattice_takes_steps_of_that_lattice():
    chain = exact_chain(two_sided(), 1.05)
    # 1.05 goes to 1.85 or to 0.25 alike, and that leads back.
    assert chain.mean_exit_time(0, 1.5, 1.05).time == pytest.approx(3, rel=1e-9)
    assert chain.mean_exit_time(-0.1, 3, 1.05).time == math.inf


def test_where_rounding_decides_which_way_steps_go_the_law_allows_for_it():
    """0.6 of three tenths is 0.6000000000000001 or 0.6, by the way that a walker comes."""
    c = np.array([-0.2, 0.05, 0.6, 0.61])
    walk = Landscape(losses=lambda w: np.abs(w - c[:, None]), learning_rate=0.1, domain=(-2, 2))
    law = exact_chain(walk, 0.0)
    w, rng = np.zeros(4000), np.random.default_rng(0)
    mean = []
    for _ in range(200):
        w = w - 0.1 * np.where(w < rng.choice(c, len(w)), -1.0, 1.0)
        mean.append(w.mean())
    assert "rounding decides" in " ".join(law.notes)
    assert 1e-3 < law.error < 0.3
    assert abs(np.mean(mean[100:]) - law.mean()) < law.mean_error
    beside = exact_chain(walk, 0.02)
    assert beside.error < 1e-12


def test_how_long_a_walk_on_points_takes_to_settle_is_told():
    """Up by 1 with 1/4, down with 3/4, from 9: it rests where it first is below 0, after 2 each."""
    walk = Landscape(
        losses=lambda w: [np.maximum(w, 0)] * 3 + [-np.maximum(w, 0)], learning_rate=1,
        domain=(-5, 400),
    )  # fmt: skip
    assert exact_chain(walk, 8.5).log_arrival == pytest.approx(math.log(18), rel=1e-9)


def test_a_walk_with_more_jumps_than_are_followed_has_shares_after_some_steps():
    """All seven points from -.3 to .3 are where a sign turns: rounding decides at each."""
    roots = (0.1, 0.2, 0.3)
    signs = analyze(
        Landscape(
            gradients=lambda w: [w * (w * w - k * k) for k in roots], learning_rate=0.1,
            optimiser="sign", domain=(-0.9, 0.9),
        )
    )  # fmt: skip
    shares = np.exp(signs.sgd.after(5, -0.4).log_shares)
    assert shares[0] == pytest.approx([1, 0], abs=1e-12)
    assert exact_chain(signs.landscape, -0.4).error >= 1


def test_where_no_step_is_rounded_a_walk_is_known_however_often_signs_turn():
    """Ehrenfest's urn: up with (5 - w) / 6, down with w / 6. Rounding was said to decide."""
    urn = Landscape(
        losses=lambda w: [(w - k) ** 2 / 2 for k in range(6)], learning_rate=1, optimiser="sign"
    )
    law = exact_chain(urn, 0.0)
    assert [a.position for a in law.atoms] == list(range(6))
    weights = [math.comb(5, k) / 32 for k in range(6)]
    assert [a.weight for a in law.atoms] == pytest.approx(weights, abs=1e-13)
    assert law.error < 1e-12
    assert not any("rounding decides" in note for note in law.notes)
    # The same walk in tenths is rounded.
    tenths = Landscape(
        losses=lambda w: [(w - k / 10) ** 2 for k in range(6)], learning_rate=0.1, optimiser="sign"
    )
    assert exact_chain(tenths, 0.0).error >= 1


def test_three_gradients_that_add_up_to_nothing_have_the_sign_0():
    """A third of each does not: with such parts a sign was 1 where those who step have 0."""
    c = np.array([-4.0, 5.0, 3.0, -6.0])
    signs = Landscape(
        losses=lambda w: (w - c[:, None]) ** 2, learning_rate=1, batch_size=3, optimiser="sign"
    )
    law = exact_chain(signs, -5.0)
    x = np.array([a.position for a in law.atoms])
    sums = np.array([sum(three) for three in itertools.product(c, repeat=3)])[:, None]
    up, down = (sums > 3 * x).mean(axis=0), (sums < 3 * x).mean(axis=0)
    weights = np.cumprod(np.append(1, up[:-1] / down[1:]))
    assert [a.weight for a in law.atoms] == pytest.approx(weights / weights.sum(), abs=1e-13)
    assert law.error < 1e-12


@pytest.mark.parametrize("loss", [lambda w: np.abs(w), lambda w: np.maximum(w, 0)])
def test_at_a_corner_of_a_loss_its_step_is_what_somebody_chose(loss):
    walk = Landscape(
        losses=lambda w: [loss(w - 1), loss(w), loss(-w - 1)], learning_rate=1, domain=(-9, 9)
    )
    law = exact_chain(walk, 0.0)
    assert any("rounding decides" in note for note in law.notes)
    assert law.error > 1e-3


def test_a_walk_that_meets_the_end_of_an_interval_to_rounding_has_left_it():
    """k (n - k) steps in the mean: points beyond were followed on, and led back inside."""
    fair = exact_chain(Landscape(losses=lambda w: (w, -w), learning_rate=0.1, domain=(-3, 3)), 0.03)
    time = fair.mean_exit_time(-0.17, 0.93, 0.13)
    assert time.time == pytest.approx(24, rel=1e-9)
    assert time.upper == pytest.approx(3 / 11, abs=1e-9)


@pytest.mark.parametrize("unit", [1.0, 1e-6])
def test_rare_points_of_a_walk_are_known_to_their_digits(unit):
    """Steps of one length: chances of neighbours are in proportion as the ways between them."""
    roots = np.sort(np.random.default_rng(8).uniform(-1.5, 1.5, (9, 3)), axis=1)

    def gradients(w):
        return [math.prod(w / unit - r for r in row) for row in roots]

    chain = exact_chain(
        Landscape(
            gradients=gradients,
            learning_rate=0.05 * unit,
            optimiser="sign",
            initial=0.0123 * unit,
            domain=(-4 * unit, 4 * unit),
        )
    )
    x = 0.0123 + 0.05 * np.arange(-60, 61)
    up = (np.array(gradients(unit * x)) < 0).sum(axis=0)
    first, last = np.flatnonzero(up == 9).max(), np.flatnonzero(up == 0).min()
    log_mass = np.append(0, np.cumsum(np.log(up[first:last] / (9.0 - up[first + 1 : last + 1]))))
    log_mass -= np.logaddexp.reduce(log_mass)
    assert log_mass.min() < -25
    for k in range(last - first + 1):
        above = unit * (x[first + k] - 0.02), 4 * unit
        true = np.logaddexp.reduce(log_mass[k:])
        error = chain.log_probability_error(*above)
        assert abs(chain.log_probability(*above) - true) < error + 1e-13
        assert error < 1e-9
