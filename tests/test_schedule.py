"""Learning rates that follow a schedule: what they are, what walkers do, and what freezes in."""

import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from stationary import (
    Diffusion,
    Landscape,
    LandscapeError,
    Schedule,
    UserFunctionError,
    analyze,
    anneal,
    check,
    end_state,
    evolve,
    exact_chain,
    first_passage,
    load,
    simulate,
    table,
)
from stationary.annealing.course import Begun, Course, Looks
from stationary.chain import along
from stationary.chain.along import _between, _nodes, lasting
from stationary.chain.batches import batches_of
from stationary.cli import app
from stationary.wording import bounded_text

TWO_MINIMA = "examples/two_minima.py"


def parabolas(w):
    return [0.75 * (w - c) ** 2 for c in (-1.25, -0.25, 0.5, 1)]


def well(w):
    """Two wells, the left one wider, with noise that is the same everywhere."""
    loss = (w * w - 1) ** 2 / 4 - 0.08 * w
    return loss - 1.2 * w, loss + 1.2 * w


def test_schedules_are_written_in_words():
    def rates(text):
        return Schedule.of(text, "file").rates

    assert rates("linear:0.3:0.1:3") == pytest.approx([0.3, 0.2, 0.1])
    assert rates("cosine:0.3:0.1:3") == pytest.approx([0.3, 0.2, 0.1])
    assert rates("exponential:1:0.01:3") == pytest.approx([1, 0.1, 0.01])
    assert rates("step:0.4:0.5:2:5") == pytest.approx([0.4, 0.4, 0.2, 0.2, 0.1])
    assert rates("constant:0.4:2, linear:0.4:0:3") == pytest.approx([0.4, 0.4, 0.4, 0.2, 0])
    assert Schedule.of("linear:0.4:0:3", "file").last == pytest.approx(0.2)


def test_schedules_are_functions_and_tables(tmp_path):
    def inverse(step):
        return 0.1 / (1 + step)

    assert Schedule.of((inverse, 3), "file").rates == pytest.approx([0.1, 0.05, 0.1 / 3])
    assert Schedule.of([0.3, 0.2], "file").rates == pytest.approx([0.3, 0.2])
    assert Schedule.of([(0, 0.4), (2, 0.2)], "file").rates == pytest.approx([0.4, 0.3, 0.2])
    path = tmp_path / "rates.csv"
    path.write_text("step,rate\n0,0.4\n2,0.2\n")
    assert Schedule.of(f"table:{path}", "file").rates == pytest.approx([0.4, 0.3, 0.2])
    path.write_text("0.4\n0.1\n")
    assert Schedule.of(f"table:{path}", "file").rates == pytest.approx([0.4, 0.1])
    path.write_text("0.5\n0.4\n", encoding="utf-8-sig")  # its first rate was taken for a header
    assert Schedule.of(f"table:{path}", "file").rates == pytest.approx([0.5, 0.4])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("cosin:0.1:0.01:9", "did you mean cosine:FROM:TO:STEPS"),
        ("warm:0.1:0.01:9", "known are linear:FROM"),
        ("cosine:0.1:0.01", "it is written cosine:FROM:TO:STEPS"),
        ("cosine:0.1:x:9", "it is written cosine:FROM:TO:STEPS"),
        ("linear:0.1:-0.1:9", "numbers from 0 on"),
        ("linear:0.1:0.01:2.5", "must be a whole number"),
        ("linear:0.1:0.01:1e9", "must be a whole number from 1 to 10,000,000"),
        ("exponential:0.1:0:9", "reaches no 0"),
        ("constant:0:9", "every learning rate is 0"),
        ("table:nowhere.csv", "cannot be read"),
        ("", "known are"),
        ([0.1, -0.2], "the learning rate of step 1 is -0.2"),
        ([0.1, np.nan], "the learning rate of step 1 is nan"),
        ([], "a table holds"),
        ([(1, 0.1), (2, 0.2)], "ascend from 0"),
        ({"T": 3}, "write"),
        (np.cos, "say for how many steps"),
        ((lambda n: n[:1], 9), "one rate for each of 9 steps"),
        ((np.cos, "many"), "the number of steps"),
        ((lambda n: 1j * n, 9), "rates must be numbers"),
    ],
)
def test_what_is_no_schedule_is_told(given, message):
    with pytest.raises(LandscapeError, match=message):
        Landscape(losses=parabolas, schedule=given)


def test_a_function_that_fails_is_told_with_its_line():
    with pytest.raises(UserFunctionError, match=r"schedule: .*ZeroDivisionError"):
        Landscape(losses=parabolas, schedule=(lambda n: 1 / 0, 9))


def test_at_another_rate_losses_are_not_tried_and_recorded_anew():
    """A schedule takes hundreds of rates: a third of the time went into what is the same at all."""
    tried = []

    def losses(w):
        tried.append(w)
        return parabolas(w)

    first = Landscape(losses, learning_rate=0.3, batch_size=2, domain=(-3, 3), momentum=0.5)
    first.tapes(0)
    count = len(tried)
    other = first.at_rate(0.1)
    assert len(tried) == count
    made = Landscape(losses, learning_rate=0.1, batch_size=2, domain=(-3, 3), momentum=0.5)
    assert (other.small_step_rate, other.steps_text) == (made.small_step_rate, made.steps_text)
    assert end_state(other).std() == end_state(made).std() != end_state(first).std()
    with pytest.raises(LandscapeError, match="learning_rate = -1"):
        first.at_rate(-1.0)


def test_a_schedule_and_a_learning_rate_take_each_others_place(tmp_path):
    path = tmp_path / "process.py"
    path.write_text("learning_rate = 0.1\ndef losses(w):\n    return w**2, (w - 1)**2\n")
    scheduled = load(path, schedule="linear:0.3:0.02:10")
    assert scheduled.learning_rate == pytest.approx(0.02)
    path.write_text(path.read_text() + 'schedule = "linear:0.3:0.02:10"\n')
    with pytest.raises(LandscapeError, match=r"learning_rate = 0.1 and a schedule.*Remove one"):
        load(path)
    assert load(path, learning_rate=0.05).schedule is None
    with pytest.raises(LandscapeError, match=r"process.py: schedule = 'cosin:1:0.1:9'"):
        load(path, schedule="cosin:1:0.1:9")
    with pytest.raises(LandscapeError, match="`anneal` follows the schedule"):
        evolve(load(path, schedule="linear:0.3:0.02:10"), 0.5, [1.0])
    with pytest.raises(LandscapeError, match="anneal needs a landscape with a schedule"):
        anneal(Diffusion(drift=lambda x: -x, variance=1.0))


def test_walkers_follow_the_schedule_step_by_step():
    """On parabolas of one curvature h: var <- (1 - T h)^2 var + T^2 D, exactly."""
    given = Landscape(losses=parabolas, schedule="cosine:0.6:0.05:40", initial=1.0)
    mean, var, noise = 1.0, 0.0, 2.25 * np.var([-1.25, -0.25, 0.5, 1])
    for rate in given.schedule.rates:
        mean -= rate * 1.5 * mean
        var = (1 - 1.5 * rate) ** 2 * var + rate**2 * noise
    walk = simulate(given, walkers=20_000, seed=4)
    assert (walk.burn_in, walk.steps_done) == (39, 1)
    assert abs(walk.std - np.sqrt(var)) < 4 * walk.std_error
    assert not walk.metastable
    still = end_state(given).std()
    assert abs(walk.std - still) > 20 * walk.std_error  # it has not settled at the last rate


def test_what_is_frozen_in_is_what_walkers_hold():
    """Rates of the steps that SGD takes, over 10 decades, against walkers that take them."""
    given = Landscape(
        losses=well, schedule="exponential:0.25:0.01:4000", domain=(-3, 3), initial="normal:0,1"
    )
    found = anneal(given)
    walk = simulate(given, walkers=4000, seed=5, intervals=[(-3, 0.1)])
    off = abs(found.final[0] - walk.probabilities[0])
    assert off < 4 * walk.probability_errors[0] + found.course.error
    (freeze,) = found.course.freezes
    assert 0 < freeze.step < 4000
    assert freeze.learning_rate == pytest.approx(given.schedule[freeze.step])
    # At the last learning rate next to nothing would be left of the shallower well.
    assert found.small_step.end[0] < 1e-6 < 0.02 < found.final[0]


def test_shares_over_time_have_no_stairs_and_errors_that_hold(monkeypatch):
    """Against a chain for each thirtieth of the learning rate; one for a tenth went in stairs,
    and told an error at the end alone."""
    given = Landscape(
        losses=well, schedule="cosine:0.2:0.1:120", domain=(-3, 3), initial="normal:0,1"
    )
    course = anneal(given).course
    monkeypatch.setattr(along, "CHANGE", 0.03)
    exact = anneal(given).course.shares
    assert (np.abs(course.shares - exact).max(axis=1) <= course.errors).all()
    assert 1e-5 < course.errors[1:].min() < course.errors.max() < 0.01
    bend = np.diff(course.shares[50:, 0], 2)  # once what the start decides is gone
    assert np.abs(bend).max() < 8e-5  # of stairs 1.2e-4


def test_a_schedule_of_few_learning_rates_has_a_chain_of_each():
    rates = np.array([0.3, 0.0, 0.1, 0.1, 0.105, 0.3, 0.031])
    assert _nodes(rates, 0.01).tolist() == [0.031, 0.1, 0.105, 0.3]
    nodes = _nodes(np.linspace(0.1, 0.2, 1001), 0.1)
    assert (nodes[0], nodes[-1]) == (0.1, 0.2)
    assert (nodes[1:] / nodes[:-1]).max() <= 1.1 + 1e-12
    assert len(nodes) == 9
    between = _between(nodes, 0.15)
    assert sum(share * nodes[k] for k, share in between.items()) == pytest.approx(0.15, rel=1e-12)


def test_an_error_is_not_0_where_a_difference_changes_its_sign():
    off = np.abs(np.linspace(-1, 1, 2000))
    assert lasting(off).min() > 0.3
    assert (lasting(np.zeros((5, 2))) == 0).all()


def test_what_the_first_steps_decide_is_in_the_shares():
    """From beside the ridge, against all 1,024 ways that ten steps may take."""
    given = Landscape(losses=well, schedule="linear:0.4:0.1:10", domain=(-3, 3), initial=0.3)
    at, pull = np.array([0.3]), np.array([[-1.2], [1.2]])
    for rate in given.schedule.rates:
        at = (at - rate * (at**3 - at - 0.08 + pull)).ravel()
    ridge = min(np.roots([1, 0, -1, -0.08]), key=abs)
    left = np.mean(at < ridge)
    found = anneal(given)
    assert found.final == pytest.approx([left, 1 - left], abs=1e-12)
    assert found.course.shares[0] == pytest.approx([0, 1])
    assert 0.1 < left < 0.9
    fixed = Landscape(losses=well, learning_rate=0.1, domain=(-3, 3))
    after = analyze(fixed).sgd.after(10, initial=0.1)
    at = np.array([0.1])
    for _ in range(10):
        at = (at - 0.1 * (at**3 - at - 0.08 + pull)).ravel()
    assert np.exp(after.log_shares[0]) == pytest.approx([np.mean(at < ridge), np.mean(at > ridge)])


def test_a_minimum_at_a_wall_is_reached_though_no_step_gets_beyond_it():
    """At one learning rate for long, from the chain's own end state or from a point."""

    def pressed(w):
        m = 0.5 * np.where(w < -1, (w + 1) ** 2 * 4.9 - 1, -np.cos(np.pi * (w + 1))) - 0.15 * w
        return m + 2 * w, m - 2 * w

    given = Landscape(losses=pressed, schedule="constant:0.3:2000", domain=(-3, 0.9))
    for start in (None, -1.0):
        course = anneal(given, start).sgd
        assert course.final == pytest.approx(course.end, abs=5e-3)
        assert course.final == pytest.approx(course.balance[-1], abs=5e-2)
        assert np.abs(course.final - course.end).max() < course.error + 1e-3
        assert 0.2 < course.final[0] < 0.8


def test_the_balance_of_three_basins_bears_a_way_that_is_not_gone():
    """Rates of 0 one way set their ratio to all or nothing, and leave the others as they are."""
    looks = Looks(Schedule.of("constant:0.1:10", "file"), 3, 1.0)
    rates = np.log([[1e-3, 2e-3], [1e-300, 1e-3]]) * [[1, 1], [np.inf, 1]]
    found = looks.course((0.0, 1.0, 2.0), lambda rate: (rates, np.zeros((2, 2))),
                         Begun.at_once(np.array([1.0, 0, 0])), None)  # fmt: skip
    assert found.balance[0] == pytest.approx([0, 1 / 3, 2 / 3])


def test_no_balance_is_told_where_one_rate_alone_is_too_small_to_be_followed():
    """It is not 0: what is below e^-20 crossings in the whole schedule was, and balance all."""
    looks = Looks(Schedule.of("linear:0.2:0.1:10", "file"), 2, 1.0)
    found = looks.course((0.0, 1.0), lambda rate: (np.array([[-20 / rate], [-5.0]]),
                         np.zeros((2, 1))), Begun.at_once(np.array([1.0, 0])), None)  # fmt: skip
    assert np.isnan(found.balance[:, 0]).all()
    found = looks.course((0.0, 1.0), lambda rate: (np.array([[-np.inf], [-5.0]]),
                         np.zeros((2, 1))), Begun.at_once(np.array([1.0, 0])), None)  # fmt: skip
    assert (found.balance == [1, 0]).all()


def test_rates_own_up_to_how_long_a_basin_remembers():
    """Of k = 0.001 both ways for 1,000 steps, and 20 steps that it takes to settle: k of these."""
    looks = Looks(Schedule.of("constant:0.1:1000", "file"), 2, 0.5)
    rates = np.log([[1e-3], [1e-3]]), np.zeros((2, 1))
    found = looks.course((0.0, 1.0), lambda rate: rates, Begun.at_once(np.array([1.0, 0])), None)
    assert found.error == pytest.approx(2e-3 * 20 * (1 - np.exp(-2)), rel=0.02)


def test_the_report_says_what_is_frozen_and_since_when(tmp_path):
    options = ["--schedule", "linear:0.5:0.45:800"]
    figure = ["--plot", str(tmp_path / "a.png")]
    run = CliRunner().invoke(app, ["evolve", TWO_MINIMA, *options, *figure])
    assert run.exit_code == 0, run.output
    words = " ".join(run.output.split())
    assert "The way between w = -1.5 and w = 0.9933 is frozen from step" in words
    assert "The small-step limit differs" in words
    assert max(map(len, run.output.splitlines())) <= 80
    run = CliRunner().invoke(app, ["evolve", TWO_MINIMA, *options, "--until", "5"])
    assert run.exit_code == 2
    assert "--until does not go with a schedule" in run.output
    run = CliRunner().invoke(app, ["evolve", TWO_MINIMA])
    assert run.exit_code == 2
    assert "--until" in run.output
    run = CliRunner().invoke(app, ["simulate", TWO_MINIMA, *options, "--walkers", "100"])
    assert "linear:0.5:0.45:800" in run.output
    assert "1 step after 799 of burn-in" in " ".join(run.output.split())
    found = analyze(TWO_MINIMA, schedule="linear:0.5:0.4:100")
    assert bounded_text(8.85e-7, 1.1e-6) == "< 2e-06"  # in reprs
    assert "\n  After the schedule " in found.summary(brief=True)
    assert "The schedule\n  The learning rate follows linear:0.5:0.4:100" in str(found)
    assert found.to_dict()["process"]["schedule"] == "linear:0.5:0.4:100"
    assert sum(found.annealing.to_dict()["sgd"]["final"]) == pytest.approx(1)
    assert found.annealing.to_csv().startswith("step,learning_rate,share_0,share_1,balance_0")


def test_what_is_below_the_error_is_said_of_all_together_and_walls_by_name():
    def pressed(w):
        return w + 2 * np.cos(2 * w), -1.2 * w + 0.1 * w * w, 0.5 * w

    given = Landscape(
        losses=pressed, schedule="constant:0.02:60", domain=(-1, 3), boundaries="reflecting"
    )
    found = anneal(given, -1.0)
    words = " ".join(str(found).split())
    assert "around w = -1 (wall)" in words
    assert "less than" in words.split("The way between")[0]
    for said in (check(given, walkers=20, steps=100, cells=200), first_passage(given, -1.0, 1.0)):
        assert "T = 0.02, the last learning rate of constant:0.02:60." in " ".join(
            str(said).split()
        )


def test_what_is_rare_in_the_end_state_keeps_its_digits():
    """It was "-0 %": 1 - 1 of the chain's distribution function."""

    def tilted(w):
        c = (w * w - 1) ** 2 / 4
        return c + 0.6 * w, c - 0.5 * w, c - 0.25 * w, c + 0.15 * w

    given = Landscape(losses=tilted, schedule="linear:0.3:0.05:50", domain=(-2.5, 2.5), initial=1)
    found = anneal(given)
    chain = exact_chain(Landscape(losses=tilted, learning_rate=0.05, domain=(-2.5, 2.5)))
    rare = chain.log_probability(found.minima[0] / 2 + found.minima[1] / 2, math.inf)
    assert rare < -20
    assert math.log(found.sgd.end[1]) == pytest.approx(rare, abs=0.1)
    assert "-0 %" not in " ".join(str(found).split())


def test_of_one_basin_the_figure_shows_mean_and_deviation():
    found = anneal(Landscape(losses=parabolas, schedule="constant:0.4:7", initial=1))
    ax = found.plot().axes[0]
    assert ax.get_ylabel() == "w"
    np.testing.assert_allclose(ax.lines[0].get_ydata(), found.spread.mean)


def test_momentum_leaves_the_small_step_limit_to_follow_a_schedule():
    found = anneal(TWO_MINIMA, schedule="linear:0.1:0.01:1000", momentum=0.5)
    assert found.sgd is None
    said = " ".join(str(found).split())
    assert "With momentum" in said
    assert "How far SGD is from that is not known." in said
    found = anneal(Landscape(well, schedule="exponential:0.1:0.005:100", momentum=0.9, initial=2.0))
    rng, w, v = np.random.default_rng(1), np.full(20_000, 2.0), 0.0
    for rate in found.schedule.rates:
        v = 0.9 * v + w**3 - w - 0.08 + rng.choice([-1.2, 1.2], len(w))
        w = w - rate * v
    assert abs(found.final[0] - (w < 0).mean()) < found.course.error + 0.01 < 0.02
    assert "walkers" in str(found)
    # Of one basin mean and deviation were those of small steps: 0.59 for 0.31, known to 0.004.
    alone = anneal(Landscape(losses=parabolas, schedule="constant:0.4:7", momentum=0.5, initial=1))
    assert alone.spread is None
    assert "mean and deviation over time are not told; `simulate`" in " ".join(str(alone).split())


def test_walkers_that_were_stopped_tell_nothing_of_a_schedule_with_momentum(monkeypatch):
    """They came back with what they had, which was told as that of the last step."""

    def stopped(*given, **settings):
        return replace(simulate(*given, **settings | {"walkers": 10}), complete=False)

    monkeypatch.setattr("stationary.annealing.basins.simulate", stopped)
    given = Landscape(well, schedule="exponential:0.1:0.005:20", momentum=0.9, initial=2.0)
    found = anneal(given)
    assert found.sgd is None
    assert found.stopped


def test_three_basins_exchange_with_their_neighbours():
    """In balance all the time where the learning rate stays high; the sum is kept."""

    def three(w):
        loss = 0.3 * (1 - np.cos(2 * np.pi * w)) / (2 * np.pi) + 0.02 * w * w
        return loss - 1.0 * w, loss + 1.0 * w

    given = Landscape(losses=three, schedule="constant:0.1:3000", domain=(-1.5, 1.5), initial=-1.0)
    found = anneal(given)
    assert len(found.minima) == 3
    assert found.course.shares.sum(axis=1) == pytest.approx(1)
    walk = simulate(given, walkers=4000, seed=6, intervals=[(-1.5, -0.5), (-0.5, 0.5)])
    for share, p, by in zip(found.final, walk.probabilities, walk.probability_errors, strict=False):
        assert abs(share - p) < 4 * by + found.course.error


def test_with_one_basin_there_is_nothing_to_freeze_in():
    found = anneal(Landscape(losses=parabolas, schedule="linear:0.3:0.01:100"))
    assert found.final == pytest.approx([1.0])
    assert "nothing to freeze in" in str(found)


def test_one_basin_has_its_mean_and_deviation_over_time():
    """On parabolas with curvatures h the second moment of each step is exact, whatever T does."""
    h, c = np.array([1.0, 3.0]), np.array([1.0, -1.0])
    given = Landscape(
        losses=lambda w: [a * (w - b) ** 2 / 2 for a, b in zip(h, c, strict=True)],
        schedule="linear:0.3:0.01:400",
        initial=2.0,
    )
    found = anneal(given)
    first, second = 2.0, 4.0
    for rate in given.schedule.rates:
        keep, add = 1 - rate * h, rate * h * c
        second = (keep**2 * second + 2 * keep * add * first + add**2).mean()
        first = (keep * first + add).mean()
    assert found.spread.mean[-1] == pytest.approx(first, abs=1e-9)
    assert found.spread.std[-1] == pytest.approx(np.sqrt(second - first**2), rel=1e-9)
    assert "Mean and deviation over time" in str(found)
    assert "rates between basins" not in str(found)


def test_a_last_learning_rate_without_a_minimum_is_refused():
    """The gradients add up to w^2 + 1: only the noise holds the process."""
    away = Landscape(
        gradients=lambda w: (w - 1, w + 1, (w - 1) ** 2), learning_rate=1, batch_size=2
    )
    with pytest.raises(LandscapeError, match="no minimum is left"):
        anneal(away, schedule="cosine:0.1:0.01:50")


@pytest.mark.parametrize("start", [-1.0, 3.0])
def test_weights_that_are_not_normal_have_their_mean_and_deviation_from_the_chain(start):
    """Of exp(w) - w: as if they were normal the deviation was 0.247, known to 2e-3, for 0.2526."""
    slopes = np.array([-1.2, 0, 1.2])
    given = Landscape(
        losses=lambda w: [np.exp(w) - w + s * w for s in slopes], domain=(-8, 4),
        schedule="linear:0.4:0.1:60", initial=start,
    )  # fmt: skip
    spread, rng = anneal(given).spread, np.random.default_rng(3)
    w, count = np.full(100_000, start), 100_000
    for rate in given.schedule.rates:
        w = w - rate * (np.exp(w) - 1 + rng.choice(slopes, count))
        w = np.where(w < -8, -16 - w, w)
    assert abs(spread.mean[-1] - w.mean()) < spread.mean_error[-1] + 4 * w.std() / count**0.5
    assert abs(spread.std[-1] - w.std()) < spread.std_error[-1] + 4 * w.std() / count**0.5
    assert spread.std_error[-1] < 0.01
    assert "mean_error" in anneal(given).to_csv().splitlines()[0]


def test_cells_are_fine_where_a_law_becomes_narrow():
    """In a domain of 60 deviations: evenly laid cells knew the last one to 9e-3."""
    wells = np.array([-1.0, 0.0, 1.0])[:, None]

    def losses(w):
        return np.log(np.cosh(w - wells))

    settled = Schedule.of([(0, 0.9), (40, 0.3), (140, 0.3)])
    found = anneal(Landscape(losses, schedule=settled, domain=(-18, 19))).spread
    exact = exact_chain(Landscape(losses, learning_rate=0.3, domain=(-18, 19))).std()
    assert abs(found.std[-1] - exact) < found.std_error[-1] < 2e-3


def test_a_law_on_its_way_comes_when_it_does():
    """Where slopes do not change w is a sum of steps; leaning as in the end it came to 5.8."""
    slopes = np.array([-1.3, -0.1, 1.4, 0.25, -0.25])
    given = Landscape(
        lambda w: [np.log(np.cosh(w)) + s * w for s in slopes], domain=(-20, 21),
        schedule="linear:0.03:0.01:80", initial=8.0,
    )  # fmt: skip
    found, rates = anneal(given).spread, given.schedule.rates
    assert abs(found.mean[-1] - (8 - rates.sum())) < found.mean_error[-1] < 0.05
    assert abs(found.std[-1] - slopes.std() * (rates @ rates) ** 0.5) < found.std_error[-1] < 0.1


def test_laws_of_minibatches_are_worked_out_once_for_all_learning_rates():
    asked = []

    def gradients(w):
        asked.append(w)
        return [float(x) for x in (w - 1, w, w + np.sin(w))]

    given = Landscape(gradients=gradients, learning_rate=0.3, domain=(-2, 3))
    first, w = batches_of(given), np.linspace(-2, 3, 9)
    other = first.at(given.at_rate(0.1))
    expected = batches_of(replace(given, learning_rate=0.1)).images(w)
    np.testing.assert_array_equal(other.images(w), expected)
    again = first.at(given.at_rate(0.1))
    asked.clear()
    np.testing.assert_array_equal(again.images(w), expected)
    assert not asked


@pytest.mark.parametrize("tabulated", [False, True])
def test_what_tells_errors_goes_with_the_learning_rate(tabulated):
    x, w = np.linspace(-2, 3, 12), np.linspace(-1, 2, 7)
    gradients = np.sin(x) + np.linspace(-1, 1, 40)[:, None] * (1 + x)
    given = Landscape(
        gradients=lambda w: [np.sin(w) + c * (1 + w) for c in np.linspace(-1, 1, 40)],
        learning_rate=0.3, batch_size=8, domain=(-2, 3),
    )  # fmt: skip
    if tabulated:
        given = table({"w": x, "gradients": gradients}).landscape(learning_rate=0.3, batch_size=8)
    alone = batches_of(replace(given, learning_rate=0.1))
    other = batches_of(given).at(given.at_rate(0.1))
    for one, same in zip(
        (*alone.others, *alone.pushed()), (*other.others, *other.pushed()), strict=True
    ):
        np.testing.assert_array_equal(one.images(w), same.images(w))


def test_a_drift_that_is_straight_where_it_starts_only_is_no_parabola():
    """The gradients of Huber's losses: constant far out, and the whole way is looked at."""
    given = Landscape(
        gradients=lambda w: [np.clip(w - c, -1, 1) for c in (-0.3, 0.1, 0.2)],
        schedule="linear:0.3:0.05:80", domain=(-20, 20), initial=9.0,
    )  # fmt: skip
    spread, w = anneal(given).spread, np.full(20_000, 9.0)
    c, rng = np.array([-0.3, 0.1, 0.2]), np.random.default_rng(2)
    for rate in given.schedule.rates:
        w -= rate * np.clip(w - c[rng.integers(3, size=len(w))], -1, 1)
    assert abs(spread.mean[-1] - w.mean()) <= spread.mean_error[-1]
    assert abs(spread.std[-1] - w.std()) <= spread.std_error[-1]
    assert spread.mean[20] == pytest.approx(9 - given.schedule.rates[:20].sum())


def quartics(w):
    """Steps of a half grow where |w| is above two or so."""
    return [w**4 / 4 + 0.3 * w, w**4 / 4 - 0.5 * w, 0.2 * w**4 + 0.1 * w]


def test_what_a_schedule_loses_of_a_start_is_told_and_a_start_that_is_lost_refused():
    """4 of 9 walkers from 2.05, and all from 3, lead ever farther away at the first steps."""
    schedule = "cosine:0.5:0.01:200"
    with pytest.raises(LandscapeError, match="from w = 3 every run leads ever farther away"):
        anneal(Landscape(quartics, schedule=schedule, initial=3.0))
    found = anneal(Landscape(quartics, schedule=schedule, initial=2.05))
    share, error = found.lost
    assert abs(share - 4 / 9) <= error + 1e-9 < 1e-3
    assert "A share of 0.444" in str(found)
    kept = anneal(Landscape(quartics, schedule=schedule, initial=0.5))
    assert kept.lost[0] == 0
    assert "is lost" not in str(kept)
    off = found.spread.mean_error[-1] + kept.spread.mean_error[-1]
    assert abs(found.spread.mean[-1] - kept.spread.mean[-1]) < off


def test_a_share_next_to_all_is_told_as_well_as_it_is_known():
    from types import SimpleNamespace

    from stationary.show.annealing import _cell, _percent, _shares

    assert _percent(2.8e-4, 9e-4) == "less than 9e-04"  # of what stays behind, too
    assert [_cell(2.8e-4, 9e-4), _cell(0.90584, 6e-3), _cell(1e-5, 4e-6)] == [
        "< 9e-04",
        "0.906",
        "1e-05",
    ]
    found = SimpleNamespace(minima=(-1.0, 0.85), landscape=SimpleNamespace(domain=(-4, 4)))
    said = _shares(np.array([1 - 3e-13, 3e-13]), found, "at", 0.1)
    assert said == "more than 90 % at w = -1 and less than 1e-01 at w = 0.85"
    assert _shares(np.array([0.7, 0.3]), found, "at", 0.1) == "70 % at w = -1 and 30 % at w = 0.85"
    assert "100 % but for 3e-13" in _shares(np.array([1 - 3e-13, 3e-13]), found, "at", 1e-14)


def test_what_the_small_step_limit_holds_is_told_with_its_error():
    found = anneal(TWO_MINIMA, schedule="linear:0.1:0.02:500", cells=100)

    def course(left, error):
        shares = found.sgd.shares.copy()
        shares[-1] = left, 1 - left
        errors = np.full(len(shares), error)
        return Course(shares, found.sgd.balance, errors, found.sgd.balance_errors, (), None)

    def words(small):
        answer = replace(found, sgd=course(0.116, 8e-4), small_step=small)
        return " ".join(answer.summary().split())

    assert "In the end 11.6 % of the runs are around" in words(course(0.137, 0.025))
    told = "The small-step limit agrees to within its error, which is 2.5 %: 13.7 % at"
    assert told in words(course(0.137, 0.025))
    assert "The small-step limit agrees: 11.7 % at" in words(course(0.117, 1e-4))
    assert "The small-step limit differs: 13.7 % at" in words(course(0.137, 1e-4))


def test_a_start_in_the_end_state_of_the_chain_is_known_as_well_as_that():
    """Its cells left 1e-4, and the shares at step 0 claimed 1e-9."""
    course = anneal(TWO_MINIMA, schedule="linear:0.8:0.6:20", cells=100).sgd
    given = load(TWO_MINIMA, learning_rate=0.8)
    border = analyze(given, chain=False).basins[0].upper
    exact = exact_chain(given, cells=2000)
    off = abs(course.shares[0, 0] - math.exp(exact.log_probability(-math.inf, border)))
    assert 1e-9 < off < course.errors[0] < 0.01
