"""What the finite step makes of an end state, and that a report speaks of SGD first."""

import json
import math
import pickle
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stationary import (
    Diffusion,
    Landscape,
    LandscapeError,
    analyze,
    check,
    exact_chain,
    simulate,
    table,
)
from stationary.chain.run import run_of
from stationary.sgd.basins import SgdBasin
from stationary.sgd.finite_step import Belief
from stationary.show.headline import _reach, chain_text
from stationary.show.sample import OfSample

EXAMPLES = Path(__file__).parent.parent / "examples"


def lines_of(analysis):
    """The first paragraph of the report, without its line breaks."""
    return " ".join(str(analysis).partition("\n\n")[0].split())


def quadratic(rate, **changes):
    return Landscape(
        losses=lambda w: ((w + 1) ** 2 / 2, (w - 1) ** 2 / 2), learning_rate=rate, **changes
    )


def wells(pushes, rate, tilt=0.0, **changes):
    """A double well in which each datapoint has a constant push of its own."""
    pushes = np.asarray(pushes, dtype=float)

    def losses(w):
        shared = (w * w - 1) ** 2 / 4 + tilt * w
        return [shared + push * w for push in pushes]

    return Landscape(losses=losses, learning_rate=rate, **{"domain": (-3, 3), **changes})


def test_a_minimum_that_sgd_cannot_leave_comes_first():
    found = analyze(EXAMPLES / "two_minima.py")
    wide, narrow = found.sgd.basins
    assert wide.diffusion[0] > 0.97
    assert (wide.chain[0], narrow.chain[0]) == (0, pytest.approx(1))
    assert found.sgd.believed.name == "CHAIN"
    assert narrow.log_chain_exit_time == math.inf
    said = lines_of(found)
    assert said.startswith("two_minima.py SGD cannot leave the minimum at w = 0.993321")
    assert "In the long run SGD is around w = 0.993321" in said
    assert "leaves w = -1.5 for good" in said
    assert "small-step limit has it around w = -1.5 with probability 0.972503" in said
    assert "No run of a million steps leaves w = -1.5 (10^20." in said


def test_small_steps_are_told_as_the_diffusion_tells_them_and_confirmed():
    found = analyze(quadratic(0.01, domain=(-3, 3)))
    assert found.sgd.believed.name == "EITHER"
    assert "SGD's exact chain with this step agrees" in lines_of(found)


def test_a_law_that_is_uniform_is_not_called_gaussian():
    """T = 1/2: SGD is uniform on [-1, 1], with a variance of 1/3 and not of 1/4."""
    found = analyze(quadratic(0.5))
    assert found.sgd.spread == pytest.approx((0.5, math.sqrt(1 / 3)), rel=1e-3)
    assert found.sgd.believed.name == "CHAIN"
    assert "(standard deviation 0.577)" in lines_of(found)


def test_steps_that_diverge_are_said_to_have_no_end_state():
    found = analyze(quadratic(2.5))
    assert "SGD has no end state at this step" in lines_of(found)
    assert found.to_dict()["sgd"]["kind"] == "none"


def test_masses_and_exit_times_are_those_of_walkers():
    """A run of NumPy alone, over a barrier of a few steps, with a wall close to each minimum."""
    landscape = wells([0.9, -0.9], 0.3, tilt=0.1, domain=(-1.4, 1.3))
    left, right = analyze(landscape).sgd.basins
    rng, walkers = np.random.default_rng(3), 5000

    def step(w):
        w = w - 0.3 * (w**3 - w + 0.1 + 0.9 * (2 * rng.integers(0, 2, len(w)) - 1))
        w = np.where(w > 1.3, 2.6 - w, w)
        return np.where(w < -1.4, -2.8 - w, w)

    for basin in (left, right):
        w, time = np.full(walkers, basin.position), np.zeros(walkers)
        inside = np.ones(walkers, dtype=bool)
        while inside.any():
            time += inside
            w[inside] = step(w[inside])
            inside &= (w > basin.lower) & (w < basin.upper)
        error = time.std() / math.sqrt(walkers) / time.mean() + basin.exit_error
        assert abs(math.log(time.mean()) - basin.log_chain_exit_time) < 4 * error
    w = np.zeros(walkers)
    for _ in range(1000):
        w = step(w)
    share = (w < left.upper).mean()
    error = math.sqrt(share * (1 - share) / walkers) + left.chain[1]
    assert abs(share - left.chain[0]) < 4 * error


@pytest.mark.parametrize(
    ("kick", "rate", "count", "right"),
    [(0.5, 0.1, 100, 0.9), (0.2, 0.02, 200, 1.0), (0.1, 0.01, 100, 0.7), (0.1, 0.01, 30, 0.7)],
)
def test_single_datapoints_that_jump_are_seen_where_noise_and_curvature_are_small(
    kick, rate, count, right
):
    """Two datapoints push, the others do not: the diffusion takes rare jumps for small steps."""
    push = kick / rate
    pushes = [push, -right * push] + [-(1 - right) * push / (count - 2)] * (count - 2)
    found = analyze(wells(pushes, rate, tilt=-0.05), chain=False)
    assert max(m.barrier for m in found.steps.minima) < 0.1
    assert found.steps.largest < 0.25
    assert "in the exponent for SGD" in found.steps.line
    one, other = (math.log(b.diffusion[0] / b.chain[0]) for b in found.sgd.basins)
    assert abs(one - other) > math.log(3)
    for minimum, basin in zip(found.steps.minima, found.sgd.basins, strict=True):
        (climb,) = minimum.climbs
        longer = basin.log_chain_exit_time - basin.log_exit_time
        assert climb.change == pytest.approx(longer, abs=0.6 + 0.1 * abs(longer))


@pytest.mark.parametrize(("width", "shift"), [(1.0, 0.0), (1e-6, 3.0)])
def test_a_barrier_is_told_for_sgd_only_where_its_steps_are_small(width, shift):
    """From the left minimum it is thrown out after 19 steps: to leading order, exp(205)."""

    def losses(x):
        w = (x - shift) / width
        well = (w * w - 1) ** 2 / 4
        bump = 8 * np.tanh((w + 0.6) * 3) * np.exp(-((w + 0.9) ** 2) * 4)
        return [width**2 * (well + other) for other in (0.6 * w, -0.2 * w, -0.4 * w, bump)]

    domain = (shift - 4 * width, shift + 4 * width)
    found = analyze(Landscape(losses=losses, learning_rate=0.1, domain=domain))
    left, right = found.steps.minima
    assert left.curvature > 2
    assert left.climbs == ()
    assert found.sgd.basins[0].log_chain_exit_time == pytest.approx(math.log(19.3), abs=0.02)
    told = found.sgd.basins[1].log_chain_exit_time - found.sgd.basins[1].log_exit_time
    assert right.climbs[0].change == pytest.approx(told, abs=0.6 + 0.1 * told)


def test_what_is_rarer_than_the_cells_can_tell_is_not_claimed():
    found = analyze(EXAMPLES / "stretched_copy.py")
    assert found.sgd.basins[1].untold
    assert (
        "SGD is around w = -2 with probability 1 and around w = 1 with a probability that its"
        in (lines_of(found))
    )


def test_a_diffusion_has_no_steps_and_a_chain_can_be_left_out():
    process = Diffusion(drift=lambda x: -x, variance=1.0, domain=(-3, 3))
    assert analyze(process).sgd is None
    assert analyze(process).to_dict()["sgd"] is None
    without = analyze(EXAMPLES / "two_minima.py", chain=False)
    assert without.to_dict()["sgd"] is None
    assert "`stationary check`" in lines_of(without)
    data = json.loads(analyze(EXAMPLES / "two_minima.py").to_json())
    assert data["sgd"]["believe"] == "chain"
    assert [b["never_left"] for b in data["sgd"]["basins"]] == [False, True]


def test_its_masses_are_those_of_the_chain_on_many_cells():
    for rate in (0.3, 0.5):
        found = analyze(EXAMPLES / "two_minima.py", learning_rate=rate)
        fine = exact_chain(found.landscape)
        for b in found.sgd.basins:
            exact = fine.probability(b.lower, b.upper)
            assert abs(b.chain[0] - exact) <= b.chain[1] + 2 * fine.error


def test_after_so_many_steps_it_is_where_walkers_are_and_in_the_end_where_the_chain_is():
    landscape = wells([0.9, -0.9], 0.3, tilt=0.1)
    found = analyze(landscape, initial=-1.0, steps=50)
    left, _ = found.sgd.basins
    walked = simulate(
        landscape, -1.0, walkers=20_000, steps=1, burn_in=49, seed=2, intervals=[left.parts[0]]
    )
    share = np.exp(found.run.log_shares[0, 0])
    error = walked.probability_errors[0] + share * found.run.errors[0, 0]
    assert abs(share - walked.probabilities[0]) < 4 * error
    assert "After 50 steps" in str(found)
    last = found.sgd.after(10**15)
    assert np.exp(last.log_shares[0, 0]) == pytest.approx(left.chain[0], abs=3 * left.chain[1])
    apart = []
    for n in (100, 200):
        one, other = (np.exp(found.sgd.after(n, x).log_shares[0, 0]) for x in (-1.0, 1.0))
        apart.append(one - other)
    memory = math.exp(found.run.log_relaxation)
    assert 100 / math.log(apart[0] / apart[1]) == pytest.approx(memory, rel=0.02)


@pytest.mark.parametrize(
    ("boundaries", "shares"),
    [("reflecting", [0.5, 0.5]), ("absorbing", [1, 0]), ("periodic", [0.5, 0.5])],
)
def test_the_first_step_from_a_minimum_ends_as_any_other_at_an_end(boundaries, shares):
    """From 0, with G = 0.3, to -0.5 or -0.1; on the ring from 0.209 to -0.061 or 0.479."""

    def losses(w):
        if boundaries == "periodic":
            wave = np.cos(4 * np.pi * w) - np.cos(2 * np.pi * (w + 0.02))
            return 0.08 * wave + np.array([[0.3], [-0.3]]) * w
        return -((w - 0.3) ** 2) / 2 + np.array([[0.2], [-0.2]]) * w

    rate = 0.9 if boundaries == "periodic" else 1.0
    of = Landscape(losses=losses, learning_rate=rate, domain=(0, 1), boundaries=boundaries)
    found = analyze(of).sgd
    assert np.exp(found.after(1).log_shares) == pytest.approx(
        np.array([shares, shares[::-1]]), abs=1e-12
    )
    if boundaries == "reflecting":  # to 0.4 or 0, and from there to 0.3, 0.7, 0.1 or 0.5
        assert np.exp(found.after(2, 0.05).log_shares[0]) == pytest.approx([0.25, 0.75], abs=1e-12)


@pytest.mark.parametrize(("rate", "steps", "true"), [(0.5, 7, 1.0009e-7), (0.45, 8, 1.0511e-8)])
def test_cells_between_others_tell_what_halved_ones_share(rate, steps, true):
    """Clipped steps have one length; truth is that of all minibatches, on points 3e-5 apart. Halved
    cells hardly differed: claims of 0.013 and 0.06 were 6 and 3 times too small."""
    heights = np.array([[0.94], [0.53], [0.69], [1.34], [0.73], [0.6]])
    phases = np.array([[0.21], [-1.65], [2.04], [-0.69], [-1.71], [-0.3]])
    clipped = Landscape(
        losses=lambda w: 0.15 * w * w + heights * (1 - np.cos(2 * w + phases)),
        learning_rate=rate,
        batch_size=3,
        initial=0.3,
        clip=1,
        domain=(-5.2, 5.7),
    )
    basins = [[(-5.2, -1.54)], [(-1.54, 5.7)]]
    run = run_of(clipped, steps, basins, [-2.34, 0.263], clipped.initial)
    assert abs(run.log_shares[0, 0] - math.log(true)) < run.errors[0, 0] < 0.3


def test_a_step_with_label_noise_from_a_point_is_known_to_what_its_nodes_tell():
    """A mean of normal laws; its nodes, as points, were 0.0232 +- 0 for 0.0390."""
    offsets = np.array([[0.5], [-0.5]])
    noisy = Landscape(
        losses=lambda w: (w**2 - 1) ** 2 / 4 + offsets * w,
        learning_rate=0.3,
        label_noise=0.4,
        domain=(-2.5, 2.5),
    )
    sgd, x = analyze(noisy).sgd, 0.25
    led = x - 0.3 * (x**3 - x + offsets[:, 0])
    true = np.mean([math.erfc((m - sgd.basins[0].upper) / 0.12 / math.sqrt(2)) / 2 for m in led])
    run = sgd.after(1, x)
    share, error = np.exp(run.log_shares[0, 0]), run.errors[0, 0]
    assert abs(share - true) < share * np.expm1(error) < 2 * true


def test_what_is_around_no_minimum_is_told():
    """As where clipped steps lead from wall to wall, which takes a second."""
    pair = Landscape(
        losses=lambda w: ((w - 1) ** 2 / 2, (w + 1) ** 2 / 2), learning_rate=0.1, domain=(-3, 3)
    )
    found = analyze(pair, steps=50)
    (only,) = found.sgd.basins
    part = replace(only, chain=(0.25, 0.0), log_chain=math.log(0.25))
    vars(found)["sgd"] = replace(found.sgd, basins=(part,))
    told = "SGD is around w = 0 with probability 0.25 and else around none (standard"
    assert told in " ".join(str(found).split())
    run = replace(found.run, log_shares=found.run.log_shares - 0.1)
    assert "What is missing from 1 is around none of these." in str(run)
    assert "What is missing" not in str(found.run)


def test_a_run_that_is_too_short_for_the_long_run_is_told():
    found = analyze(EXAMPLES / "two_minima.py", steps=10**6)
    assert found.run.log_relaxation == pytest.approx(48, abs=1)  # 10^20.8
    assert "where the run is depends on where it starts" in " ".join(str(found).split())
    rare = found.run.log_shares[0, 1]
    assert rare == pytest.approx(math.log(1e6) - found.sgd.basins[0].log_chain_exit_time, abs=1.5)
    assert found.to_dict()["sgd"]["run"]["starts"] == ["w = -1.5", "w = 0.993321"]
    with pytest.raises(LandscapeError, match="whole number from 1"):
        analyze(EXAMPLES / "two_minima.py").sgd.after(0)
    with pytest.raises(LandscapeError, match="drift and a variance"):
        analyze(EXAMPLES / "ornstein_uhlenbeck.py", steps=5)


def test_a_deviation_is_said_where_cells_tell_it():
    """Logistic losses without a domain: long tails, which 256 cells do not carry."""
    x = np.array([1.0, -2, 0.5, 3, 1.5, -0.3])[:, None]
    y = np.array([1.0, 0, 1, 1, 0, 0])[:, None]
    landscape = Landscape(losses=lambda w: np.logaddexp(0, x * w) - y * x * w, learning_rate=0.5)
    sgd = analyze(landscape).sgd
    # 80 million steps of 20,000 walkers: 0.5386.
    assert sgd.chain.std() == pytest.approx(0.5387, abs=5e-4)
    assert sgd.chain.std_error < 0.05 * sgd.chain.std()
    assert "(standard deviation 0.539)" in analyze(landscape).summary()


def test_what_sgd_makes_of_it_is_the_same_after_a_journey():
    sgd = analyze(EXAMPLES / "two_minima.py").sgd
    assert pickle.loads(pickle.dumps(sgd)) == sgd


def test_every_minimum_that_no_minibatch_leads_out_of_is_named_and_nothing_takes_never_steps(
    five_wells,
):
    analysis = analyze(five_wells)
    said = " ".join(analysis.summary().split())
    closed = [m for m in analysis.sgd.steps.minima if m.held is not None]
    assert len(closed) == len(analysis.sgd.chain.components) == 3
    first = said[said.index("SGD cannot leave") : said.index("leads out")]
    assert all(f"w = {m.position:.6g}" in first for m in closed)
    assert [b.log_chain_exit_time == math.inf for b in analysis.sgd.basins] == [True] * 3 + [False]
    assert "w = 3.7985481 is left after 45.4 steps on average. " in said
    assert "never on average" not in said


@pytest.mark.parametrize("width", [30.0, 1e3, 1e4, 1e6])
def test_on_a_wide_domain_the_chain_is_that_of_a_narrow_one(width):
    """Cells go to the minima: on (-1e6, 1e6) even ones are 8,000 wide, and hold both."""
    narrow = analyze(EXAMPLES / "two_minima.py")
    wide = analyze(EXAMPLES / "two_minima.py", domain=(-width, width))
    for one, other in zip(narrow.sgd.basins, wide.sgd.basins, strict=True):
        assert other.chain[0] == pytest.approx(one.chain[0], abs=one.chain[1] + other.chain[1])
        assert other.held == pytest.approx(one.held, abs=1e-3) or other.held is one.held is None
    slow = [s.sgd.basins[0] for s in (narrow, wide)]
    times = [b.log_chain_exit_time for b in slow]
    assert abs(times[0] - times[1]) < slow[0].exit_error + slow[1].exit_error
    assert wide.sgd.chain.std() == pytest.approx(narrow.sgd.chain.std(), rel=1e-3)
    assert wide.sgd.chain.components[0].interval == pytest.approx((0.8112, 1.17291), abs=1e-4)
    assert lines_of(wide).partition("In the long run")[2].startswith(" SGD is around w = 0.993321")


def test_cells_that_hold_two_minima_tell_nothing_and_nothing_of_them_is_said():
    """260 minima on 1,024 cells."""
    landscape = Landscape(
        losses=lambda w: (np.cos(2 * np.pi * w) + 0.3 * w, np.cos(2 * np.pi * w) - 0.3 * w),
        learning_rate=0.01,
        domain=(-130, 130),
    )
    sgd = analyze(landscape).sgd
    assert sgd.chain is None
    assert "too wide" in sgd.reason
    assert {b.chain for b in sgd.basins} == {None}
    assert sgd.believed is Belief.OPEN


def test_what_rests_on_outcomes_that_were_cut_off_is_not_stated():
    """Of 200 draws no node of a normal law leads over the barrier; the draws themselves may."""
    analysis = analyze(EXAMPLES / "two_minima.py", batch_size=200, chain=True)
    chain = exact_chain(analysis.landscape, cells=512)
    assert chain.linked
    assert chain.kind == "classes"
    assert "closed" not in chain.reason
    assert analysis.sgd.chain is None
    said = lines_of(analysis)
    assert "for good" not in said
    assert "is not known" in said
    assert "0.993321: from" in said  # what no datapoint leads out of is held all the same
    noisy = exact_chain(
        analysis.landscape.__class__(
            losses=lambda w: ((w * w - 1) ** 2 / 4 + 0.01 * w, (w * w - 1) ** 2 / 4 - 0.01 * w),
            learning_rate=0.1,
            label_noise=0.02,
            domain=(-3, 3),
        )
    )
    assert noisy.linked


def test_the_time_to_a_closed_class_is_told_as_far_as_its_cells_agree():
    """It takes 10^20.9 steps from the other minimum, by the time that this takes to leave."""
    chain = exact_chain(analyze(EXAMPLES / "two_minima.py", domain=(-30, 30)).landscape)
    exit_time = chain.mean_exit_time(-4, 0.0474356187408, -1.5)
    off = abs(chain.log_arrival - exit_time.log_time)
    assert off < chain.arrival_error + exit_time.error < 1
    assert "10^20.9" in chain.notes[-1]


def test_a_wall_turns_steps_back_so_that_its_minimum_can_be_left():
    """All datapoints push against the wall at 0.5; what overshoots it comes back inside."""
    analysis = analyze(EXAMPLES / "two_minima.py", domain=(0, 0.5))
    assert all(m.held is None for m in analysis.steps.minima)
    assert "cannot leave" not in str(analysis)


def test_a_chain_that_is_known_to_no_digit_agrees_with_nothing():
    """Corners and noise in the labels, without a domain: cells and nodes do not tell this law."""
    analysis = analyze(
        Landscape(
            losses=lambda w: (abs(w - 1), abs(w + 1), np.maximum(0, 1 - w)),
            learning_rate=0.1,
            label_noise=0.1,
        )
    )
    said = lines_of(analysis)
    assert "agree" not in said
    if analysis.sgd.chain is None:
        assert "is not known" in said
    else:  # then it is to be right: 10 million steps of walkers, 0.1535
        assert analysis.sgd.chain.std() == pytest.approx(0.1535, rel=0.03)


@pytest.mark.parametrize(("slope", "rate"), [(3, 0.3), (2, 0.75)])
def test_a_finite_deviation_is_not_agreed_with_where_sgd_has_no_variance(slope, rate):
    """E (1 - T l'')^2 is (2 0.7^2 + 1.7^2) / 3 and (2 0.25^2 + 2^2) / 3: above 1."""
    analysis = analyze(
        Landscape(
            losses=lambda w: [(w - 1) ** 2 / 2, (w + 1) ** 2 / 2, (slope * w - 1) ** 2 / 2],
            learning_rate=rate,
        )
    )
    said = lines_of(analysis)
    assert analysis.sgd.believed is Belief.CHAIN
    assert "agrees" not in said
    assert "variance at this step" in said
    assert analysis.sgd.spread[1] == math.inf
    assert json.loads(analysis.to_json())["sgd"]["standard_deviation"] is None


def test_a_mean_and_a_deviation_that_differ_are_said_where_the_masses_agree():
    c = np.random.default_rng(1).lognormal(size=20)
    landscape = Landscape(
        losses=lambda w: [np.log(np.cosh(3 * (w - x))) for x in c],
        learning_rate=0.05,
        domain=(0, 3),
    )
    analysis = analyze(landscape, chain=True)
    said, chain = lines_of(analysis), exact_chain(landscape)
    assert analysis.sgd.means == pytest.approx((analysis.end_state.mean(), chain.mean()), abs=1e-4)
    told = [float(x) for x in re.findall(r"standard deviation ([\d.]+)\)", said)]
    assert told == pytest.approx([chain.std(), analysis.end_state.std()], abs=5e-4)


def test_where_sgd_has_no_variance_its_quartiles_are_said():
    h = [0.5, 1, 3, 3, 1, 1, 1, 1]
    landscape = Landscape(
        losses=lambda w: [a * (w - 0.2 * k) ** 2 / 2 for k, a in enumerate(h)],
        learning_rate=1.2,
        batch_size=1,
    )
    analysis = analyze(landscape, chain=True)
    chain = exact_chain(landscape)
    assert chain.tail_exponent <= 2
    low, high = chain.interval(0.5)
    told = re.search(r"Half of it is between w = (\S+) and (\S+)\.\s", lines_of(analysis) + " ")
    assert told
    assert float(told[1]) == pytest.approx(low, abs=0.02 * (high - low))
    assert float(told[2]) == pytest.approx(high, abs=0.02 * (high - low))


def test_a_spread_below_the_rounding_of_its_place_is_not_held_against_the_chain():
    """In the pit it is 4e-43, at 2: the chain, in doubles, sees a point."""
    assert "in place of" not in lines_of(analyze(EXAMPLES / "pit.py"))


def test_where_gradients_die_away_no_cell_is_taken_for_where_sgd_stays():
    """Far out tanh is flat: SGD was said to be in one of 66 cells of 100 and more."""

    def losses(w):
        return [(np.tanh(b * w + c) - y) ** 2 for b, c, y in ((0.7, 0.5, 1.5), (1, -1, -0.2))]

    found = analyze(Landscape(losses=losses, learning_rate=0.05))
    assert found.end_state.kind == "none"
    assert found.sgd.chain is None
    assert "no datapoint has a gradient to speak of" in found.sgd.reason


def test_where_no_chain_is_to_be_had_the_report_says_why():
    """It was left out in silence."""
    losses = [lambda w: w - np.log(w), lambda w: 2 * w - np.log(w) / 2 + (w - 1) ** 2]
    landscape = Landscape(losses=lambda w: [f(w) for f in losses], learning_rate=0.3, domain=(0, 5))
    found = analyze(landscape)
    assert found.sgd.chain is None
    words = " ".join(str(found).split())
    assert "What SGD's own chain makes of it is not known. The gradient of datapoint 0" in words


@pytest.mark.parametrize("width", [6.0, 6.3])
def test_sgd_that_steps_below_a_corner_where_all_units_are_dead_ends_at_it(width):
    """Below 0 only the penalty pulls, so that it creeps up to 0 for ever; 0 need not be scanned."""
    landscape = Landscape(
        losses=lambda w: [(np.maximum(b * w, 0) + b) ** 2 / 2 + 0.05 * w * w for b in (0.3, 1.4)],
        learning_rate=0.1,
        domain=(-3, width - 3),
    )
    (atom,) = exact_chain(landscape).atoms
    assert (atom.position, atom.weight) == (0.0, 1.0)
    assert "SGD is around w = 0 (mean 0, standard deviation 0)" in lines_of(analyze(landscape))


def test_a_law_that_is_no_atom_does_not_agree_with_one():
    """In Stratonovich's sense the diffusion ends where all units are dead; SGD does not."""

    def losses(w):
        return [(np.maximum(a * w, 0) - b) ** 2 / 2 for a, b in ((0.5, 1), (1, 0.7), (2, 2.2))]

    sgd = analyze(
        Landscape(
            losses=losses, learning_rate=0.3, domain=(-3, 4), initial=2, convention="stratonovich"
        )
    ).sgd
    assert sgd.spread[0] == 0 < 0.1 < sgd.spread[1]
    assert sgd.believed.name == "CHAIN"


def dying(**changes):
    """A unit that dies: of 40,000 walkers of NumPy alone all do, after 3.203 steps from 20/21."""

    def losses(w):
        return [(np.maximum(a * w, 0) - b) ** 2 / 2 for a, b in ((1, 1), (2, 1.5), (0.5, 2))]

    return Landscape(losses=losses, **{"learning_rate": 1.5, "domain": (-4, 6)} | changes)


def test_where_all_gradients_are_0_is_a_place_of_its_own_known_from_end_to_end():
    """SGD was said to be around the minimum; or not to be known, between -4 and -0.0059."""
    found = analyze(dying(initial=1))
    rest, minimum = found.sgd.basins
    assert (rest.at_rest, rest.lower, rest.upper, rest.chain) == (True, -4, 0, (1, 0))
    assert (minimum.lower, minimum.upper, minimum.chain) == (0, 6, (0, 0))
    assert math.exp(minimum.log_chain_exit_time) == pytest.approx(3.203, rel=4e-3)
    assert found.sgd.believed is Belief.CHAIN
    said = lines_of(found)
    assert "SGD is at rest between -4 and 0 (all gradients are 0) from this start" in said
    assert "w = 0.952381 is left after 3.204 steps on average" in said


def test_on_a_line_without_ends_the_time_until_a_unit_dies_is_that_of_walkers():
    """400,000 walkers of NumPy alone: 6.417 +- 0.007. The side without an end was cut where the law
    of what has died ends: 4.4 steps were said, known to 1.5 %."""
    found = analyze(dying(learning_rate=0.9, domain=(-math.inf, math.inf)))
    rest, minimum = found.sgd.basins
    assert (rest.lower, rest.upper, rest.position) == (-math.inf, 0, -1)
    assert math.exp(minimum.log_chain_exit_time) == pytest.approx(6.417, rel=4e-3)
    assert minimum.exit_error < 1e-3
    assert "at rest below 0 (all gradients are 0)" in lines_of(found)


def test_a_unit_that_cannot_die_is_never_left_and_one_that_is_dead_stays_so():
    """On the whole line cells leaked where it was cut: 10^24 steps were said, "10^15 to 10^32"."""

    def losses(w):
        pairs = (0.5, 1.0), (1.0, 0.7), (2.0, 2.2), (1.5, 1.0)
        return [(np.maximum(a * w, 0) - b) ** 2 / 2 for a, b in pairs]

    found = analyze(Landscape(losses=losses, learning_rate=0.3))
    assert found.sgd.basins[1].log_chain_exit_time == math.inf
    assert "What starts or comes below 0 (all gradients are 0) stays there" in lines_of(found)
    assert "SGD stays for ever around w = 0.946667 once" in lines_of(found)


def test_far_out_nothing_moves_but_no_step_leads_there():
    """Clipped, and dead below 0: SGD was said to spread for ever as a random walk does."""
    landscape = dying(learning_rate=0.067, clip=0.77, domain=(-math.inf, math.inf))
    chain = exact_chain(landscape, cells=128)
    assert chain.kind == "density"
    assert chain.components[0].interval == pytest.approx((0.75, 4), abs=1e-3)


def test_what_is_beyond_both_errors_is_a_difference_and_a_mean_is_one_too():
    """A mass of 10^-6.4 was said to agree with one below 1e-9, and a mean of -0.06 with -0.18."""
    basin = SgdBasin(0.0, -1.0, 1.0, (4e-7, 1e-12), (1e-12, 1e-9), None, None)
    logs = {"log_diffusion": math.log(4e-7), "log_chain": math.log(1e-12)}
    assert not replace(basin, **logs).agrees
    assert replace(basin, **logs, log_diffusion_error=7.0, diffusion=(4e-7, 4e-7)).agrees
    assert replace(basin, **logs, chain=(1e-12, 1e-6)).agrees
    sgd = analyze(quadratic(0.01, domain=(-3, 3))).sgd
    assert replace(sgd, means=(-0.18, -0.06)).believed is Belief.CHAIN
    assert replace(sgd, means=(-0.18, -0.06), doubts=(0.07, 0.0)).believed is Belief.EITHER


def test_a_run_without_a_minimum_is_told_to_have_none():
    analysis = analyze(Landscape(losses=lambda w: (w, -w), learning_rate=0.1), steps=1000)
    assert analysis.run is None
    assert "There is no minimum to be told of" in " ".join(str(analysis).split())
    with pytest.raises(LandscapeError, match="simulate follows SGD"):
        analysis.sgd.after(1000)


def test_an_atom_on_the_border_of_a_basin_is_not_in_it():
    """f = w relu(w x): the diffusion ends at 0, where the noise vanishes; SGD's steps pass it."""
    data = [(1.68, 0.39), (0, -0.24), (-1.9, -0.05), (1.13, -0.23)]

    def losses(w):
        return [(w * np.maximum(w * x, 0) - y) ** 2 / 2 for x, y in data]

    landscape = Landscape(losses=losses, learning_rate=1, domain=(-30, 30), initial=0.5)
    analysis = analyze(landscape)
    assert [a.position for a in analysis.end_state.atoms if a.weight] == [0]
    left, right = analysis.sgd.basins
    assert (left.diffusion[0], left.chain[0], right.chain[0]) == (0, 1, 0)
    assert analysis.sgd.believed is Belief.CHAIN


def test_a_run_between_absorbing_ends_has_no_cell_as_narrow_as_rounding():
    """Basins end next to an end that absorbs, which is one of its own: 0 / 0 was a warning."""
    given = {"learning_rate": 0.1, "domain": (-3, 3), "boundaries": "absorbing"}
    found = analyze(Landscape(losses=lambda w: [(w - 1) ** 2, (w + 0.5) ** 2], **given))
    assert found.sgd.after(100, 0.3).log_shares[0] == pytest.approx([-math.inf, 0, -math.inf])


@pytest.mark.parametrize("points", [13, 21])
def test_what_is_not_known_between_weights_is_in_what_the_chain_holds(points):
    w, c = np.linspace(-2, 2, points), np.linspace(-1, 1, 40)[:, None]

    def gradients(w):
        return (1 + 0.2 * c) * (w**3 - w) + 0.5 * np.sin(3 * w + c) + 0.3 * c

    given = table({"w": w, "gradients": gradients(w)}).landscape(learning_rate=0.1)
    found = analyze(given)
    exact = analyze(Landscape(gradients=gradients, domain=(-2, 2), learning_rate=0.1)).sgd
    for own, true in zip(found.sgd.basins, exact.basins, strict=True):
        assert abs(own.chain[0] - true.chain[0]) < own.chain[1] + true.chain[1]
        assert abs(own.log_chain_exit_time - true.log_chain_exit_time) < own.exit_error
    few = points == 13
    assert found.sgd.believed is (Belief.OPEN if few else Belief.CHAIN)
    assert ("known at too few weights" in str(found).replace("\n ", "")) == few
    if few:
        (said,) = check(given, walkers=50, steps=100).reasons[:1]
        assert said == "the gradients are known at too few weights"
        colder = str(analyze(replace(given, learning_rate=0.05)))
        assert "around w = 0.87 with a probability that is not known" in re.sub(r"\s+", " ", colder)


@pytest.mark.parametrize("unit", [1.0, 1e-6])
def test_a_share_is_known_as_well_as_all_others_of_the_whole(unit):
    """Of a well that holds 1.8e-10, "below 4e-2" was said beside "1 - 2e-10" of the only other."""
    landscape = Landscape(
        gradients=lambda w: [
            unit * (2 * (w / unit) * ((w / unit) ** 2 - 1) + 0.15 + g) for g in (1.1, -1.1, 0.3)
        ],
        learning_rate=0.1,
        domain=(-4 * unit, 4 * unit),
    )
    (much, off), (little, error) = (b.chain for b in analyze(landscape).sgd.basins)
    assert much + little == pytest.approx(1, abs=1e-14)
    assert abs(little - 1.78e-10) <= error <= off + 1e-14 < 1e-9


def test_steps_with_momentum_are_asked_of_what_takes_them():
    landscape = Landscape(losses=lambda w: (w**2, (w - 1) ** 2), learning_rate=0.1, momentum=0.9)
    with pytest.raises(LandscapeError, match=r"With momentum ask stationary\.simulate"):
        analyze(landscape, steps=1000)


def quartics(shift=0.0, unit=1.0, **changes):
    """Three datapoints whose steps grow where |w - shift| is above two units or so."""

    def losses(w):
        x = (w - shift) / unit
        tilts = (0.25, 0.3), (0.25, -0.5), (0.2, 0.1)
        return [unit**2 * (k * x**4 + tilt * x) for k, tilt in tilts]

    return Landscape(losses, **{"learning_rate": 0.5, **changes})


def share_lost(x):
    """By all its paths, until they are where every step leads back, or ever farther away."""
    x, p, lost = np.array([x]), np.ones(1), 0.0
    while len(x):
        gone = np.abs(x) > 10
        lost += p[gone].sum()
        going = ~gone & (np.abs(x) > 1)
        x, p = x[going], p[going]
        steps = [k * x**3 + tilt for k, tilt in ((1, 0.3), (1, -0.5), (0.8, 0.1))]
        x, p = np.concatenate([x - 0.5 * g for g in steps]), np.tile(p / 3, 3)
    return lost


@pytest.mark.parametrize(("shift", "unit"), [(0.0, 1.0), (-200.0, 10.0)])
@pytest.mark.parametrize("start", [3.0, 2.2, 2.05, 1.9])
def test_a_start_from_which_sgd_diverges_does_not_arrive(start, shift, unit):
    """All of what starts at 3 leads ever farther away; it was put at the minimum."""
    truth, settings = share_lost(start), {"initial": shift + start * unit}
    chain = exact_chain(quartics(shift, unit, **settings))
    assert abs(chain.lost - truth) <= chain.weight_error + 1e-9 < 1e-6
    assert (chain.kind == "none") == (truth == 1)
    found = analyze(quartics(shift, unit, **settings), steps=50)
    run = found.run
    for log, error, share in (
        (run.log_lost[0], run.lost_errors[0], truth),
        (run.log_shares[0, 0], run.errors[0, 0], 1 - truth),
    ):
        assert math.exp(log) == pytest.approx(share, abs=math.expm1(error) + 1e-9)
        assert error < 1e-6
    said = " ".join(str(found).split())
    assert ("lost far out" in said) == (truth > 0)
    assert ("it runs away to infinity" in said) == (0 < truth < 1)


def test_what_is_lost_of_a_start_is_told_with_its_error():
    """Of a normal start 4 % leave for good, of a narrow one none."""
    rng = np.random.default_rng(7)
    truth = np.mean([share_lost(x) for x in rng.normal(size=4000)])
    landscape = quartics(initial="normal:0,1")
    chain, run = exact_chain(landscape), analyze(landscape).sgd
    assert abs(chain.lost - truth) < chain.weight_error + 4 * 0.2 / math.sqrt(4000)
    told = run.after(50)
    share = math.exp(told.log_lost[0])
    assert abs(share - truth) < share * math.expm1(told.lost_errors[0]) + 0.013
    assert exact_chain(landscape, "normal:0,0.2").lost == 0


def test_check_says_what_sgd_loses_as_its_walkers_do():
    found = check(quartics(initial=2.05), walkers=400, steps=100)
    assert found.outcome == "fails"
    assert "with probability 0.444" in found.reasons[0]
    (basin,) = found.basins
    assert abs(basin.simulation[0] - 5 / 9) < 4 * basin.simulation[1]
    assert check(quartics(initial=3.0), simulation=False).outcome == "fails"
    assert "444" in str(found)


SLOPES = np.array([0.4, -0.1, -0.35, 0.05])


def quartic_wells(shift=0.0, unit=1.0, **more):
    def losses(w):
        x = (w - shift) / unit
        return [unit**2 * (0.5 * x**4 - 0.6 * x * x + c * x) for c in SLOPES]

    return Landscape(losses, learning_rate=0.3, **more)


@pytest.mark.parametrize(("shift", "unit"), [(0.0, 1.0), (3000.0, 1.0), (1.0, 1e-6)])
def test_what_is_lost_of_a_start_does_not_depend_on_where_zero_is(shift, unit):
    """Of a quartic double well from 2: by all paths of its four datapoints."""
    x, p, lost = np.array([2.0]), np.array([1.0]), 0.0
    for _ in range(8):
        x = (x - 0.3 * (2 * x**3 - 1.2 * x + SLOPES[:, None])).ravel()
        p = np.tile(p / 4, 4)
        gone, back = np.abs(x) > 2.5, np.abs(x) < 1.5
        lost += p[gone].sum()
        x, p = x[~gone & ~back], p[~gone & ~back]
    sgd = quartic_wells(shift, unit, initial=shift + 2 * unit)
    run = run_of(sgd, 40, [[(-math.inf, math.inf)]], [shift + unit], sgd.initial)
    assert lost - 2e-5 < math.exp(run.log_lost[0]) < lost + p.sum() + 2e-5
    found = exact_chain(sgd, cells=300)
    assert lost - 2e-5 < found.lost < lost + p.sum() + 2e-5
    assert found.weight_error < 1e-4


def test_what_is_lost_of_a_wide_start_is_known_as_that_of_a_narrow_one():
    """Against walkers: what is beyond where every step leads on is lost, and takes no cells."""
    sgd, rng = quartic_wells(initial="normal:0,3"), np.random.default_rng(3)
    x = rng.normal(0, 3, 40_000)
    with np.errstate(all="ignore"):
        for _ in range(30):
            x = x - 0.3 * (2 * x**3 - 1.2 * x + rng.choice(SLOPES, len(x)))
    lost = (~np.isfinite(x)).mean()
    found = exact_chain(sgd, cells=500)
    assert found.weight_error < 1e-4
    assert abs(found.lost - lost) < 4 * math.sqrt(lost * (1 - lost) / len(x))
    run = run_of(sgd, 100, [[(-math.inf, 0.0)], [(0.0, math.inf)]], [-0.8, 0.8], sgd.initial)
    assert run.lost_errors[0] < 0.01
    assert abs(run.log_lost[0] - math.log(found.lost)) < 2 * run.lost_errors[0]


def test_where_only_what_is_rare_differs_sgd_does_not_end_up_elsewhere():
    """The second minimum holds 1e-142 in the limit and nothing by the chain: of one law that is
    within 0.02 of the other, "SGD is not in" and "ends up elsewhere" were said."""
    c, depth = np.linspace(-0.6, 0.6, 12)[:, None], np.linspace(0.8, 1.4, 12)[:, None]

    def losses(w):
        wells = depth * np.exp(-((w + 1.5 - c) ** 2) / 0.8) + np.exp(-((w - 1.5 - c) ** 2) / 0.3)
        return 0.05 * w**2 - wells

    analysis = analyze(Landscape(losses, learning_rate=0.05, batch_size=2, domain=(-4, 4)))
    assert "leaves w = 1.41" in " ".join(str(analysis).split())
    assert analysis.sgd.believed.name == "CHAIN"
    assert not analysis.sgd.elsewhere
    assert "is not in" not in str(analysis)
    assert analysis.plot(panels="density").axes[0].get_title("right") == ""
    # The time to leave it, 10^70, is known to a factor of 10^9; it was told to four digits.
    error = max(b.exit_error for b in analysis.sgd.basins if math.isfinite(b.exit_error))
    assert error > 1
    assert re.search(r" 10\^\d\d\n", str(analysis.sgd))


def test_what_is_shown_of_the_limit_says_so_where_sgd_ends_up_elsewhere():
    """ "Mean -1.43" and "97.3 %" stood over the minimum that SGD leaves for good."""
    analysis = analyze(EXAMPLES / "two_minima.py")
    said = str(analysis).partition("End state")[2]
    assert said.split("\n")[1].strip().startswith("Numbers of the small-step limit")
    axes = analysis.plot(panels="density").axes[0]
    assert axes.get_title("right") == "the limit of small steps: SGD ends up elsewhere"
    agrees = analyze(Landscape(losses=lambda w: [(w - c) ** 2 for c in (0, 1)], learning_rate=0.01))
    assert "small-step limit" not in str(agrees)
    assert agrees.plot(panels="density").axes[0].get_title("right") == ""
    wide = analyze(Landscape(losses=lambda w: [(w - c) ** 2 for c in (0, 1)], learning_rate=0.3))
    assert wide.sgd.elsewhere  # in one minimum, whose deviation is 1.2 times as large


def test_a_mass_that_is_hardly_known_is_no_power_of_ten_near_one():
    """Of 0.68, known to a factor of e: 10^-0.17 is no number that anybody reads."""
    known = {"untold": False, "log_chain_error": 1.0, "position": 0.0}
    told = [
        chain_text(SimpleNamespace(chain=(p, p), log_chain=math.log(p), **known), None)
        for p in (0.68, 1e-12)
    ]
    assert told == ["~0.7", "~10^-12.00"]
    vague = SimpleNamespace(chain=(0.3, 0.37), log_chain=math.log(0.3), **known | {"untold": True})
    assert chain_text(vague, None) == "< 0.7"  # which 0.67 is, and not below the error alone


def test_an_exit_time_that_is_hardly_known_is_no_range_over_minima():
    """Of one minimum "10^61 to 10^79 on average" was said of "the minimum it is in"."""
    found = analyze(EXAMPLES / "two_minima.py")
    left, right = found.sgd.basins
    unsure = replace(left, log_chain_exit_time=161.4, exit_error=20.0)
    (said,) = _reach(replace(found.sgd, basins=(unsure, right)), 10**6, OfSample(found))
    assert "leaves w = -1.5 (10^(70 +- 9) on average)" in said
    two = replace(found.sgd, basins=(unsure, replace(unsure, log_chain_exit_time=100.0)))
    (said,) = _reach(two, 10**6, OfSample(found))
    assert "leaves the minimum it is in (at least 10^34.7 on average)" in said
