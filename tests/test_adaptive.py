"""Adam and its kin: the law around one minimum against closed forms and walkers, and refusals."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from stationary import (
    Landscape,
    LandscapeError,
    analyze,
    check,
    dilation_bias,
    end_state,
    exact_chain,
    simulate,
    sweep,
    width_bias,
)
from stationary.cli import app


def parabolas(w, h=1.0, spread=1.0):
    return [h * (w - c * spread) ** 2 / 2 for c in (-1, 1)]


def wells(w):
    return [3 * (w**2 - 1) ** 2 / 4 + 0.1 * w + c * w for c in (-1, 0, 1)]


def adam(losses=parabolas, rate=0.1, optimiser="adam", domain=(-4, 4), **given):
    return Landscape(losses=losses, learning_rate=rate, optimiser=optimiser, domain=domain, **given)


@pytest.mark.parametrize(
    ("rate", "h", "batch", "decay"), [(0.3, 1, 1, 0), (0.02, 7, 5, 0.2), (0.3, 1e-8, 1, 0)]
)
def test_on_a_parabola_what_adam_divides_by_has_a_closed_form(rate, h, batch, decay):
    """D = (h s)^2 / B and var = T D / (2 k), with T = rate / sqrt(v) and v = h^2 var + D.

    AdamW's decay is past the root: k = h + decay sqrt(v) is what pulls, and h what v sees.
    """
    given = adam(
        lambda w: parabolas(w, h, 0.5), rate, "adamw" if decay else "adam", batch_size=batch,
        weight_decay=decay,
    )  # fmt: skip
    state = end_state(given)
    held, noise = state.of_adam.held, (h * 0.5) ** 2 / batch
    v = noise
    for _ in range(100):
        step, pull = rate / (np.sqrt(v) + 1e-8), h + decay * (np.sqrt(v) + 1e-8)
        var = step * noise / (2 * pull)
        v = h * h * var + noise
    assert held.v == pytest.approx(v, rel=1e-6)
    assert state.std() == pytest.approx(np.sqrt(var), rel=1e-6)
    assert state.of_adam.small_step_rate == pytest.approx(step, rel=1e-6)
    # Of a square of a normal number the deviation is sqrt(2) times the mean.
    assert held.variation == pytest.approx(np.sqrt(2) * h * h * var / v, rel=1e-3)
    assert held.relaxation == pytest.approx(1 / (step * pull), rel=1e-3)
    assert state.std_error == pytest.approx(held.doubt * state.std(), rel=1e-6)
    assert state.mean_error == pytest.approx(2 * state.std_error, rel=1e-6)


def test_gradients_that_are_skewed_leave_the_mean_in_doubt():
    """By (1 - b2) skewness sqrt(relaxation / 2) deviations: 2.667 where 1 of 10 is apart."""
    given = adam(lambda w: [(w - c) ** 2 / 2 for c in [0] * 9 + [1]], 0.01)
    held = end_state(given).of_adam.held
    skewness = 0.8 / np.sqrt(0.1 * 0.9)
    assert held.lean == pytest.approx(1e-3 * skewness * np.sqrt(held.relaxation / 2), rel=0.05)
    assert held.doubt >= held.lean + 0.36 * held.variation


@pytest.mark.parametrize(
    ("optimiser", "given"),
    [
        ("adam", {}),
        ("adam", {"weight_decay": 0.1, "betas": (0.5, 0.9), "clip": 1.5}),
        ("adamw", {"weight_decay": 0.1}),
        ("rmsprop", {}),
    ],
)
def test_walkers_take_the_steps_of_adam(optimiser, given):
    """Equal datapoints make no noise: what is left is the recursion of the paper."""
    sgd = adam(lambda w: [w**4 / 4] * 2, 0.1, optimiser, **given)
    b1, b2 = sgd.averaging
    decay = given.get("weight_decay", 0)
    found = simulate(sgd, [2.0, -1.0], burn_in=0, steps=40, every=1, snapshots=True).snapshots
    w, m, v = np.array([2.0, -1.0]), 0.0, 0.0
    for t in range(1, 41):
        u = np.clip(w**3, -sgd.clip, sgd.clip) if sgd.clip else w**3
        u = u + decay * w * (optimiser == "adam")
        m, v = b1 * m + (1 - b1) * u, b2 * v + (1 - b2) * u * u
        over = (1, 1) if optimiser == "rmsprop" else (1 - b1**t, 1 - b2**t)
        step = m / over[0] / (np.sqrt(v / over[1]) + 1e-8)
        w = w - 0.1 * (step + decay * w * (optimiser == "adamw"))
        assert found[t] == pytest.approx(w, rel=1e-12)


def corners(w):
    return [np.maximum(0, 1 - s * w) + 0.05 * w**2 for s in (0.62, 0.87, 1.04)]


@pytest.mark.parametrize(
    ("losses", "rate", "optimiser", "given"),
    [
        (lambda w: [w**4 / 4 + c * w for c in (-1, 0.2, 0.8)], 0.1, "adam", {"batch_size": 4}),
        (lambda w: [h * (w - c) ** 2 / 2 for h, c in ((0.5, 1), (2, -1))], 0.2, "rmsprop", {}),
        (parabolas, 0.3, "adamw", {"weight_decay": 0.3}),
        (corners, 0.003, "adamw", {"weight_decay": 0.05, "betas": (0, 0.999)}),
    ],
)
def test_walkers_are_within_what_the_law_claims(losses, rate, optimiser, given):
    held = check(adam(losses, rate, optimiser, **given), walkers=200, steps=1200)
    for value, error, walked, by in held.numbers.values():
        assert abs(value - walked) < error + 3 * by
    assert held.outcome != "not decided"


def test_gradients_that_are_large_to_one_side_move_the_mean():
    """To where G = (1 - b2) <u^3> / (2 v): (1 - b2) skewness / sqrt(2 rate) in deviations."""
    rare = [-1 / 3] * 3 + [1]
    given = adam(lambda w: [w**2 / 2 + c * w for c in rare], 0.001, betas=(0, 0.99))
    held = end_state(given).of_adam.held
    skewness = np.mean(np.array(rare) ** 3) / np.mean(np.array(rare) ** 2) ** 1.5
    assert held.lean == pytest.approx(0.01 * skewness / np.sqrt(2 / held.relaxation), rel=0.01)
    assert held.chance == pytest.approx(np.sqrt(0.01 / 1.99 * 4 / 3), rel=0.01)


def test_an_answer_says_that_it_is_approximate_and_by_how_much(tmp_path):
    path = tmp_path / "wide.py"
    path.write_text(
        "learning_rate = 0.3\noptimiser = 'adam'\ndomain = (-4, 4)\n"
        "def losses(w):\n    return [(w - c)**2 / 2 for c in (-1, 1)]\n"
    )
    found = analyze(path)
    words = " ".join(str(found).split())
    for said in (
        "In the long run Adam is around the only minimum, w = 0 (standard deviation 0.37). This is "
        "approximate: Adam as SGD at the learning rate 0.2809, its deviation right to 7 %.",
        "G^2 + D varies over the law by 17 %, v for the 1,000 steps that it remembers by 1.5 %",
        "Approximate: steps of Adam are taken for those of SGD",
    ):
        assert said in words
    run = CliRunner().invoke(app, ["analyze", str(path), "--betas", "0.9", "0.99", "--json"])
    told = json.loads(run.output)
    assert told["status"]["name"] == "approximate"
    assert told["process"]["betas"] == [0.9, 0.99]
    assert told["process"]["adaptive"]["effective_learning_rate"] == pytest.approx(
        0.28092, rel=1e-4
    )
    assert told["quantiles"]["0.5"]["error"] > 0.01
    assert "standard deviation  0.37  2e-02        -" in str(check(path, simulation=False))


def test_a_sweep_finds_what_adam_divides_by_at_each_point():
    given = adam()
    found = sweep(given, learning_rate=[0.1, 0.2, 0.3])
    state = end_state(adam(rate=0.3))
    assert found.to_dict()["rows"][-1]["std"] == pytest.approx(state.std(), rel=1e-9)
    assert "All this is approximate, of Adam" in str(found)


def test_what_is_known_of_one_optimiser_is_not_of_another():
    """A landscape that was solved keeps what was found, unless anything of it changes."""
    given = adam(rate=0.3)
    found = analyze(given)
    assert end_state(found.process).std_error == found.end_state.std_error
    for changes in ({"learning_rate": 0.1}, {"optimiser": "rmsprop"}, {"optimiser": "sgd"}):
        assert end_state(given.changed(**changes)).std() == pytest.approx(
            analyze(found.process, **changes).end_state.std(), rel=1e-9
        )
    assert given.changed(optimiser="rmsprop").averaging == (0, 0.99)


def test_what_several_minima_hold_is_refused_with_what_is_known_of_each():
    with pytest.raises(LandscapeError, match="what each of 2 minima holds") as refused:
        end_state(adam(wells, 0.05))
    told = re.findall(
        r"domain = \((\S+), (\S+)\)\) rate (\S+), deviation (\S+)", str(refused.value)
    )
    assert len(told) == 2
    low, high, rate, deviation = map(float, told[0])
    alone = end_state(adam(wells, 0.05, domain=(low, high)))
    assert alone.of_adam.small_step_rate == pytest.approx(rate, rel=0.01)
    assert alone.std() == pytest.approx(deviation, rel=0.05)
    with pytest.raises(LandscapeError, match=r"steps overshoot\. Lower the learning rate"):
        end_state(adam(rate=30.0, batch_size=8, betas=(0, 0.99)))
    ring = {"domain": (0, 2 * np.pi), "boundaries": "periodic"}
    with pytest.raises(LandscapeError, match="cut the ring around one"):
        end_state(adam(lambda w: [np.cos(w + c) for c in (0, 1, 2)], **ring))
    with pytest.raises(LandscapeError, match="here there is no end state"):
        end_state(adam(lambda w: [w, -w], domain=(-np.inf, np.inf)))
    with pytest.raises(LandscapeError, match="averaged for longer than squares"):
        end_state(adam(betas=(0.99, 0.9)))
    with pytest.raises(LandscapeError, match="kind 'classes'"):
        end_state(adam(domain=(-1, 1), boundaries="absorbing"))


def test_what_would_move_what_adam_divides_by_is_refused():
    given, state = adam(), end_state(adam())
    for ask in (
        lambda: width_bias(given),
        lambda: dilation_bias(state, 0, [1, 2]),
        lambda: analyze(given).influence,
    ):
        with pytest.raises(LandscapeError, match='optimiser = "sgd" at the learning rate'):
            ask()
    with pytest.raises(LandscapeError, match="`simulate` takes its steps"):
        given.diffusion()
    with pytest.raises(LandscapeError, match="no chain on w alone"):
        exact_chain(given)
    with pytest.raises(LandscapeError, match="Leave digits out"):
        end_state(given, digits=30)
    with pytest.raises(LandscapeError, match=r"With Adam ask stationary\.simulate"):
        analyze(given, steps=100)


def test_a_check_of_adam_is_told_in_every_form(tmp_path):
    result = check(adam(), walkers=100, steps=400, seed=3)
    told = json.loads(result.to_json())
    for name, (law, off, walkers, by) in result.numbers.items():
        keys = ("law", "law_error", "walkers", "walkers_error")
        assert tuple(told["numbers"][name][k] for k in keys) == (law, off, walkers, by)
    axes = result.plot().axes[0]
    sent = result.simulation
    (walkers,) = axes.containers
    assert walkers[0].get_ydata() == pytest.approx(sent.mass / np.diff(sent.edges))
