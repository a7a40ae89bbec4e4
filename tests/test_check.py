"""The verdict on the diffusion, where it is known to hold and where it is known to fail."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stationary import Diffusion, Landscape, LandscapeError, analyze, end_state, exact_chain
from stationary.chain.batches import batches_of
from stationary.chain.reach import held_interval
from stationary.checking.check import check

EXAMPLES = Path(__file__).parent.parent / "examples"
FEW = {"walkers": 400, "steps": 4000}


def quadratic(rate, **changes):
    """Two datapoints at -1 and 1, whose losses are (w - c)^2 / 2."""
    return Landscape(
        losses=lambda w: ((w + 1) ** 2 / 2, (w - 1) ** 2 / 2), learning_rate=rate, **changes
    )


def test_the_diffusion_holds_for_small_steps():
    """Many batches and a small step: the chain is close to the Gaussian that both have."""
    found = check(quadratic(0.02, domain=(-3, 3)), **FEW)
    assert found.outcome == "holds"
    apart = found.diffusion_and_chain
    assert apart.total_variation < 0.05
    for b in found.basins:
        assert b.chain[0] == pytest.approx(b.diffusion[0], abs=b.chain[1] + 1e-9)
        assert abs(b.simulation[0] - b.chain[0]) < 5 * b.simulation[1] + b.chain[1]


def test_the_diffusion_fails_where_the_chain_is_uniform():
    """T = 1/2 gives the uniform law on [-1, 1], the diffusion a Gaussian of variance 1 / 4."""
    landscape = quadratic(0.5, domain=(-3, 3))
    found = check(landscape, **FEW)
    state = analyze(landscape).end_state
    x = np.linspace(-3, 3, 60001)
    middle = (x[1:] + x[:-1]) / 2
    uniform = np.where(np.abs(middle) < 1, 0.5, 0.0)
    exact = 0.5 * np.abs(state.pdf(middle) - uniform).sum() * (x[1] - x[0])
    apart = found.diffusion_and_chain
    assert apart.total_variation == pytest.approx(exact, abs=apart.total_variation_error + 2e-3)
    assert found.outcome in ("roughly", "fails")


def test_a_basin_that_sgd_cannot_leave_though_the_diffusion_does():
    found = check(EXAMPLES / "two_minima.py", simulation=False)
    assert found.outcome == "fails"
    wide, narrow = found.basins
    assert wide.diffusion[0] > 0.97
    assert wide.chain[0] == 0
    assert narrow.log_chain_exit_time == math.inf
    text = " ".join(found.reasons)
    assert "leaves it for good" in text
    assert "cannot leave the minimum at w = 0.9933" in text


def test_steps_larger_than_two_over_the_curvature_are_called_so():
    landscape = Landscape(
        losses=lambda w: (10 * (w - 0.1) ** 2, 10 * (w + 0.1) ** 2), learning_rate=0.15,
        domain=(-2, 2),
    )  # fmt: skip
    found = check(landscape, simulation=False)
    assert found.outcome != "holds"
    assert any("cannot settle" in reason for reason in found.reasons)


@pytest.fixture(scope="module")
def pit():
    return check(EXAMPLES / "pit.py", learning_rate=0.05, **FEW)


def test_the_pit_overshoots_and_its_gate_leaks(pit):
    found = pit
    assert found.outcome == "holds"  # both end at 2
    text = " ".join(found.reasons)
    assert "T times the curvature at w = 1.00745 is 4.9" in text
    assert "the gate at w = 1 leaks" in text
    first = found.basins[0]
    assert first.log_chain_exit_time < first.log_exit_time  # SGD leaves sooner
    # Rounding puts walkers on either side of the atom at 2, which no bin may hold against them.
    assert found.chain_and_simulation.total_variation < 1e-9


def test_the_mean_exit_time_of_the_chain_is_that_of_walkers(pit):
    """From the pit to beyond the barrier at 1.17431, stepping by hand."""
    analysis = pit.analysis
    (barrier,) = (e.position for e in analysis.equilibria if not e.stable)
    rng = np.random.default_rng(5)
    w = np.full(20_000, 1.0074533029460347)
    time = np.zeros(len(w))
    inside = np.ones(len(w), dtype=bool)
    for _ in range(400):
        g = analysis.landscape.gradient(w[inside])
        drawn = g[rng.integers(2, size=inside.sum()), np.arange(inside.sum())]
        w[inside] -= 0.05 * drawn
        time[inside] += 1
        inside &= w < barrier
    assert not inside.any()
    exact = math.exp(pit.basins[0].log_chain_exit_time)
    assert exact == pytest.approx(time.mean(), abs=5 * time.std() / math.sqrt(len(w)))


def test_sgd_obeys_ito():
    """Noise that grows with w, in small steps: the chain is nearest to the Ito diffusion."""
    landscape = Landscape(
        losses=lambda w: (w**2 / 2 + 0.5 * w + 0.4 * w**2, w**2 / 2 - 0.5 * w - 0.4 * w**2),
        learning_rate=0.01,
        domain=(-0.6, 2),
    )
    found = check(landscape, simulation=False)
    distances = {name: d.total_variation for name, d in found.conventions.items()}
    assert found.obeyed == "ito"
    assert distances["ito"] < distances["stratonovich"] < distances["klimontovich"]


def test_conventions_that_the_step_blurs_are_not_told_apart():
    """S2 is flat at the minimum: conventions differ by as little as the finite step does."""
    landscape = Landscape(
        losses=lambda w: (w**2 / 2 + w**3 / 6 + 0.5 * w, w**2 / 2 - w**3 / 6 - 0.5 * w),
        learning_rate=0.05,
        domain=(-1.5, 2),
    )
    found = check(landscape, simulation=False)
    assert found.obeyed is None
    assert "the finite step does more than the convention" in " ".join(found.summary().split())
    assert not re.search(r"^\W*$", found.summary().replace("\n\n", "\n").strip(), re.MULTILINE)


def test_coarse_cells_and_not_the_step_are_why_conventions_are_not_told_apart():
    landscape = Landscape(
        losses=lambda w: ((w - 1) ** 2 / 2, (w + 1) ** 2 / 2, w**2 / 2 + w**3 / 30),
        learning_rate=0.02,
        domain=(-2, 2),
    )
    words = " ".join(check(landscape, simulation=False, cells=100).summary().split())
    assert "the convention does less than the errors of the chain" in words


def test_a_metastable_simulation_is_never_averaged_over_in_silence():
    found = check(EXAMPLES / "two_minima.py", **FEW)
    assert found.simulation.metastable
    assert any("metastable" in reason for reason in found.reasons)


def test_several_closed_classes_without_a_start_are_compared_from_an_even_one():
    landscape = Landscape(
        losses=lambda w: (w**4 / 4 - w**2 / 2, 1.2 * (w**4 / 4 - w**2 / 2)),
        learning_rate=0.05, domain=(-2, 2),
    )  # fmt: skip
    found = check(landscape, **FEW)
    assert any("spread evenly" in n or "uniform:" in n for n in found.notes)
    assert sum(b.chain[0] for b in found.basins) == pytest.approx(1, abs=1e-6)


def test_the_distance_of_walkers_to_their_own_law_is_within_its_error():
    landscape = quadratic(0.1, domain=(-3, 3))
    found = check(landscape, walkers=2000, steps=4000)
    apart = found.chain_and_simulation
    assert apart.total_variation < 2 * apart.total_variation_error
    assert apart.wasserstein < 2 * apart.wasserstein_error
    walkers = found.simulation.distribution
    shifted = replace(walkers, edges=walkers.edges + 0.3)
    assert shifted.distance(found.chain, "wasserstein").value == pytest.approx(0.3, abs=0.02)
    value, error = shifted.distance(found.chain)
    assert value > 5 * error


@pytest.mark.parametrize("rate", [0.02, 0.1])
def test_a_held_interval_is_one_that_no_walker_leaves(rate):
    analysis = analyze(EXAMPLES / "two_minima.py", learning_rate=rate)
    wide, narrow = analysis.basins
    assert held_interval(analysis.landscape, wide) is None
    low, high = held_interval(analysis.landscape, narrow)
    w = np.linspace(low, high, 100_001)
    images = w - rate * analysis.landscape.gradient(w)
    slack = 1e-4 * (high - low)
    assert images.min() >= low - slack
    assert images.max() <= high + slack


def double_well(strength, tilt, rate, **changes):
    """Minima at +-1; two datapoints that tilt it to either side, so that the noise is even."""
    return Landscape(
        losses=lambda w: (
            strength * (w**4 / 4 - w**2 / 2) + tilt * w,
            strength * (w**4 / 4 - w**2 / 2) - tilt * w,
        ),
        learning_rate=rate,
        domain=(-2.5, 2.5),
        **changes,
    )


def test_basins_that_are_never_left_are_a_failure_even_where_masses_agree():
    """By symmetry both hold a half; but SGD keeps what it was given, and the diffusion does not."""
    found = check(double_well(2, 0.4, 0.05), **FEW)
    assert [b.chain[0] for b in found.basins] == pytest.approx([0.5, 0.5], abs=1e-9)
    assert found.closed == (1, 2)
    assert found.outcome == "fails"
    assert "SGD ends in one of 2 closed classes" in found.reasons[0]
    assert "keep to the closed class that they came to" in found.reasons[-1]


def test_steps_that_diverge_are_a_failure_and_no_error():
    """Curvature 3, T = 1, on the whole line: every walker runs away."""
    landscape = Landscape(
        losses=lambda w: (1.5 * (w - 1) ** 2, 1.5 * (w + 1) ** 2), learning_rate=1.0,
        domain=(-np.inf, np.inf),
    )  # fmt: skip
    found = check(landscape, **FEW)
    assert found.outcome == "fails"
    assert found.simulation is None
    assert "SGD has no end state at this step" in found.reasons[0]
    assert "400 of 400 walkers escaped" in found.summary()
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_chain_without_a_density_is_judged_by_its_distribution_function():
    """T = 2/3 gives the Cantor measure, whose total variation to any density is 1."""
    landscape = quadratic(2 / 3, domain=(-3, 3))
    found = check(landscape, **FEW)
    state = analyze(landscape).end_state
    gap = 1 / 3  # of the Cantor measure on [-1, 1]: it has a half on either side
    assert found.outcome == "fails"
    assert found.diffusion_and_chain.kolmogorov >= 0.5 - state.cdf(-gap) - 1e-3
    assert "has no density" in found.verdict
    assert found.chain_and_simulation.kolmogorov < found.chain_and_simulation.kolmogorov_error


def test_walkers_that_came_to_rest_are_not_called_metastable():
    """Two shared minima, both traps; from 0.2 only one is reached."""
    landscape = Landscape(
        losses=lambda w: (w**4 / 4 - w**2 / 2, 1.2 * (w**4 / 4 - w**2 / 2)),
        learning_rate=0.05, domain=(-2, 2),
    )  # fmt: skip
    for start in (None, 0.2):
        found = check(landscape, start, **FEW)
        assert found.outcome == "holds"
        assert found.reasons == ()
        assert found.simulation.ending.name == "AT_REST"


def test_a_maximum_that_attracts_is_where_walkers_rest():
    """Factors 1.9 and 0.3 at 0: mean log -0.28, though the mean gradient leads away."""
    landscape = Landscape(
        gradients=lambda w: (-0.9 * w / (1 + w * w), 0.7 * w / (1 + w * w)),
        learning_rate=1.0, domain=(-3, 3), boundaries="reflecting",
    )  # fmt: skip
    found = check(landscape, walkers=200, steps=4000)
    assert found.outcome == "holds"
    assert not found.simulation.metastable
    assert found.chain_and_simulation.total_variation < 1e-6


def test_slow_walkers_in_a_single_basin_are_not_called_metastable():
    """T times the curvature is 0.005: 4000 steps are 10 autocorrelation times."""
    found = check(quadratic(0.005, domain=(-1, 1)), "normal:0,0.05", walkers=300, steps=4000)
    sent = found.simulation
    assert 1.02 < sent.r_hat < 1.25
    assert not any("masses are those of its start" in r for r in found.reasons)


def test_on_a_ring_and_at_absorbing_ends_masses_add_up():
    ring = Landscape(
        gradients=lambda w: (np.sin(w) + 0.5, np.sin(w) - 0.4), learning_rate=0.3,
        domain=(-1.0, 2 * np.pi - 1.0), boundaries="periodic",
    )  # fmt: skip
    found = check(ring, walkers=200, steps=2000)
    assert found.outcome == "roughly"
    assert found.diffusion_and_chain is not None
    assert [b.diffusion[0] for b in found.basins] == pytest.approx([1], abs=1e-9)
    assert [b.chain[0] for b in found.basins] == pytest.approx([1], abs=1e-9)
    absorbing = quadratic(0.5, domain=(-0.8, 0.7), boundaries=("absorbing", "reflecting"))
    found = check(absorbing, walkers=200, steps=2000)
    end, minimum = found.basins
    assert end.at_end
    assert (end.diffusion[0], end.chain[0], end.simulation[0]) == (1, 1, 1)
    assert (minimum.diffusion[0], minimum.chain[0], minimum.simulation[0]) == (0, 0, 0)
    assert "-0.8 (end)" in found.summary()
    beyond = quadratic(0.05, domain=(-3, 3), boundaries=("absorbing", "reflecting"))
    found = check(beyond, simulation=False)  # no step leads so far
    assert "the end w = -3 holds 1 by the diffusion, but SGD never reaches it" in found.reasons


def test_rare_basins_and_exit_times_are_held_against_the_chain():
    found = check(EXAMPLES / "stretched_copy.py", learning_rate=0.05, simulation=False)
    rare = found.basins[1]
    assert found.outcome == "holds"
    assert rare.log_diffusion / math.log(10) == pytest.approx(-18.54, abs=0.01)
    text = " ".join(found.reasons)
    assert "the minimum at w = 1 holds 10^-18.54 by the diffusion" in text
    assert "times later than the diffusion" in text


def test_a_basin_that_the_chain_hardly_holds_and_one_it_leaves_in_no_time_to_speak_of():
    sharp = check(EXAMPLES / "family.py", learning_rate=0.2, simulation=False)
    assert "holds 0.12 by the diffusion and 10^-5.03 by the chain" in " ".join(sharp.reasons)
    slow = check(EXAMPLES / "two_minima.py", learning_rate=0.001, simulation=False)
    assert slow.basins[0].log_chain_exit_time > 1000 * math.log(10)
    assert re.search(r"leaves it for good, after 10\^\d{4}(\.\d+)? steps", slow.reasons[0])


def test_what_the_diffusion_cannot_say_has_its_reason_told():
    """It runs away; one of the minibatches leads to 0 in a single step."""
    parabolas = Landscape(
        lambda w: [c * w * w for c in (-0.75, -0.75, -0.75, 0.5)], learning_rate=1
    )
    found = check(parabolas, walkers=200, steps=1000)
    assert found.outcome == "not decided"
    assert "the diffusion has no end state to compare" in found.reasons[0]
    assert found.simulation.ending.name == "AT_REST"


def test_from_all_over_a_stretch_that_rests_in_part_most_comes_to_points_and_is_passed_by_sgd():
    """No datapoint has a gradient from -1 to 0, and from there to 1 all have the same."""

    def losses(w):
        aside, shared = np.maximum(0, np.abs(w) - 1), np.maximum(0, w) / 4
        return aside + shared, 2 * aside + shared

    flat = Landscape(losses=losses, learning_rate=0.1, domain=(-3, 3))
    found = check(flat, walkers=200, steps=1000)
    assert found.outcome == "fails"
    # All but what starts at rest comes to -1 or 0, beside which steps end.
    apart = found.diffusion_and_chain
    assert abs(apart.total_variation - 5 / 6) <= apart.total_variation_error < 1e-7
    assert found.simulation.ending.name == "AT_REST"


def test_on_a_stretch_without_gradients_the_diffusion_holds_what_starts_there_and_what_arrives():
    flat = Landscape(
        losses=lambda w: (np.maximum(0, np.abs(w) - 1), 2 * np.maximum(0, np.abs(w) - 1)),
        learning_rate=0.1, domain=(-3, 3), initial="uniform:-3,3",
    )  # fmt: skip
    (stretch,) = check(flat, walkers=200, steps=1000).basins
    assert stretch.diffusion[0] == pytest.approx(1, abs=1e-12)
    assert stretch.chain[0] == pytest.approx(1, abs=1e-9)


def test_a_check_starts_all_over_a_domain_whose_ends_have_many_digits():
    """They were rounded to 12, which is outside of them."""
    landscape = Landscape(
        losses=lambda w: [(w * w - 1) ** 2 / 4 + c * w for c in (-0.1, 0.1, 0.05, -0.05)],
        learning_rate=0.05, domain=(-np.pi, np.e),
    )  # fmt: skip
    found = check(landscape, walkers=50, steps=50)
    assert any("compared from uniform:-3.14159,2.71828" in note for note in found.notes)


def test_walkers_that_contradict_the_chain_leave_the_verdict_open():
    found = check(double_well(2, 1.5, 0.2), walkers=400, steps=2000)
    assert found.outcome == "roughly"
    left, right = found.basins
    wrong = replace(left, simulation=(0.9, 0.01))
    other = replace(found, basins=(wrong, right))
    assert other.outcome == "not decided"
    assert "one of the two is wrong" in other.reasons[0]
    apart = replace(found.chain_and_simulation, kolmogorov=0.3, kolmogorov_error=0.01)
    other = replace(found, chain_and_simulation=apart)
    assert other.outcome == "not decided"
    assert "one of the two is wrong" in other.reasons[0]


@pytest.mark.parametrize("batch", [2, 16])
def test_batches_with_an_outlier_have_few_kinds_of_values_and_are_not_judged_by_nodes(batch):
    """Walkers are 0.7 in total variation from the chain that a smooth law gives."""
    c = np.random.default_rng(7).normal(size=300)
    c[0] = 100
    found = check(
        Landscape(losses=lambda w: 0.5 * (w - c[:, None]) ** 2, learning_rate=0.3),
        batch_size=batch,
        walkers=200,
        steps=2000,
        cells=256,
    )
    assert found.outcome == "not decided"
    assert "few kinds of values" in found.reasons[0]
    assert found.chain.error >= 1


def test_distances_hold_what_nodes_in_place_of_batches_change(monkeypatch):
    """820 batches of 40 datapoints, in micro-units about 3; truth follows them one by one."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(40, 1)) * rng.choice([1, 1, 1, 2], size=(40, 1))
    y = np.sin(1.5 * x) + 0.3 * rng.normal(size=(40, 1))

    def losses(w):
        u = 1e6 * (w - 3)
        return 1e-12 * (0.5 * (np.sin(x * u) - y) ** 2 + 0.05 * u * u)

    of_law = Landscape(losses=losses, learning_rate=0.06, batch_size=2, domain=(3 - 6e-6, 3 + 8e-6))
    chain = exact_chain(of_law, cells=200)
    with monkeypatch.context() as patched:
        patched.setattr("stationary.chain.exact.batches_of", lambda law: batches_of(law, 820))
        every = exact_chain(of_law, cells=200)
    assert every.batches.exact
    assert not chain.batches.exact
    apart, diffusion = chain.distance(every), end_state(of_law)
    near, true = (c.distance(diffusion) for c in (chain, every))
    assert apart.value < apart.error < 5 * apart.value
    assert abs(near.value - true.value) < near.error


def test_a_diffusion_has_no_steps_to_check():
    with pytest.raises(LandscapeError, match="losses or gradients"):
        check(Diffusion(drift=lambda x: -x, variance=1.0, domain=(-3, 3)))


def test_text_json_and_figure(tmp_path, run):
    figure = tmp_path / "check.png"
    arguments = ["check", str(EXAMPLES / "two_minima.py"), "--walkers", "200", "--steps", "500"]
    code, out, _ = run(*arguments, "--plot", figure)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "not that of SGD" in out
    assert figure.stat().st_size > 1000
    table = json.loads(run(*arguments, "--json")[1])
    assert table["outcome"] == "fails"
    assert table["basins"][1]["chain"]["probability"] == pytest.approx(1, abs=1e-3)


def test_the_report_has_a_line_about_the_step(pit):
    text = pit.analysis.summary()
    assert "T times the curvature at w = 1.00745 is 4.9" in " ".join(text.split())
    steps = analyze(EXAMPLES / "two_minima.py").to_dict()["steps"]
    assert steps["largest_curvature"] == pytest.approx(0.55, abs=0.01)
    assert any("cannot leave" in w for w in steps["warnings"])


def test_equal_runs_have_equal_json():
    one, two = (check(quadratic(0.1, domain=(-3, 3)), walkers=50, steps=200) for _ in range(2))
    assert one.to_json() == two.to_json()


@pytest.mark.parametrize("first", [True, False])
def test_an_interrupt_of_the_walkers_keeps_what_the_chain_says(first):
    calls = []

    def progress(done, total):
        if total > 50 * 4000:  # the burn-in is over
            calls.append(done)
        if first or len(calls) == 5:
            raise KeyboardInterrupt

    found = check(quadratic(0.1, domain=(-3, 3)), walkers=50, steps=4000, progress=progress)
    assert found.interrupted
    assert (found.simulation is None) == first
    assert found.diffusion_and_chain.total_variation < 0.1
    assert "stopped" in str(found) or "interrupted" in str(found)


@pytest.mark.parametrize("part", ["sgd_basins", "compared", "_conventions"])
def test_an_interrupt_after_the_walkers_keeps_what_is_there(part, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"stationary.checking.check.{part}", stop)
    found = check(quadratic(0.1, domain=(-3, 3)), walkers=50, steps=100, cells=64)
    assert found.interrupted
    assert found.chain.std() == pytest.approx(found.simulation.std, rel=0.3)
    assert bool(found.basins) == (part in ("compared", "_conventions"))
    assert (found.outcome == "not decided") == (part != "_conventions")
    told = " ".join(found.summary().split())
    assert "It was interrupted before all was compared." in told
    assert ("It was interrupted before the two were compared" in told) == (part != "_conventions")
    assert found.to_dict()["simulation"]["std"] == found.simulation.std


def test_what_would_take_days_is_refused_or_left_out_with_a_word():
    with pytest.raises(LandscapeError, match=r"take days. Give at most 2e\+08 steps"):
        check(quadratic(0.1, domain=(-3, 3)), steps=10**12, cells=64)
    with pytest.raises(LandscapeError, match=r"do not fit in memory. Give more steps"):
        check(quadratic(0.1, domain=(-3, 3)), walkers=10**12, steps=1)
    centres = np.linspace(-1, 1, 2100)[:, None]
    many = Landscape(
        losses=lambda w: (w - centres) ** 2 / 2,
        learning_rate=0.3,
        batch_size=10**9,
        domain=(-3, 3),
    )
    found = check(many, cells=64)
    assert found.simulation is None
    assert "No walkers were sent out: each step of one takes 21,000 gradients" in found.notes[0]


def test_minibatches_of_many_datapoints_cost_what_they_hold():
    """The variance of 1,000 parabolas, with 32 drawn, is T S2 / (B (2 - T)) for chain and SGD."""
    centres = np.random.default_rng(0).normal(size=1000)[:, None]
    for replacement, factor in ((True, 1.0), (False, (1000 - 32) / 999)):
        many = Landscape(
            losses=lambda w: (w - centres) ** 2 / 2,
            learning_rate=0.3,
            batch_size=32,
            replacement=replacement,
            domain=(-3, 3),
        )
        found = check(many, walkers=300, steps=1000, cells=128)
        exact = 0.3 * centres.var() * factor / (32 * 1.7)
        assert found.chain.var() == pytest.approx(exact, rel=1e-3)
        assert abs(found.simulation.var - exact) < 4 * found.simulation.var_error
        assert found.outcome in ("holds", "roughly")


def test_a_table_of_moments_is_refused_with_what_a_check_needs(tmp_path):
    table = tmp_path / "moments.csv"
    table.write_text("w,gradient,variance\n-1,-1,0.5\n0,0.1,0.5\n0.5,0.4,0.5\n1,1,0.5\n")
    with pytest.raises(LandscapeError, match="mean and the variance of the gradients only"):
        check(table, learning_rate=0.1)


def test_a_unit_that_dies_has_a_row_and_distances_of_where_it_rests():
    """All walkers were said to be around the minimum, and Kolmogorov's distance to be 0 +- 1."""

    def losses(w):
        return [(np.maximum(a * w, 0) - b) ** 2 / 2 for a, b in ((1, 1), (2, 1.5), (0.5, 2))]

    held = check(
        Landscape(losses=losses, learning_rate=1.5, domain=(-4, 6), initial=1),
        walkers=200, steps=100, cells=128,
    )  # fmt: skip
    rest, minimum = held.basins
    assert (rest.chain[0], rest.simulation[0], minimum.chain[0], minimum.simulation[0]) == (
        1,
        1,
        0,
        0,
    )
    assert held.outcome == "fails"
    assert held.diffusion_and_chain.kolmogorov == pytest.approx(1, abs=1e-9)
    assert (
        held.chain_and_simulation.total_variation <= held.chain_and_simulation.total_variation_error
    )
    far = check(
        Landscape(losses=losses, learning_rate=0.9), walkers=100, steps=100, cells=128
    )  # fmt: skip
    assert not any("one of the two is wrong" in reason for reason in far.reasons)
    assert far.basins[0].chain[0] == far.basins[0].simulation[0] == 1
    assert "SGD ends with probability 1 at rest between -4 and 0" in " ".join(str(held).split())


def parabolas(h, c, rate, beta):
    return Landscape(
        losses=lambda w: [a * (w - b) ** 2 / 2 for a, b in zip(h, c, strict=True)],
        learning_rate=rate,
        momentum=beta,
    )


def moments_of(h, c, rate, beta):
    """Means, deviations and correlation of (w, v), and how fast moments of order 2 and 4 grow."""
    steps = [np.array([[1 - rate * a, beta], [-rate * a, beta]]) for a in h]
    push = [np.full(2, rate * a * b) for a, b in zip(h, c, strict=True)]
    mean = np.linalg.solve(np.eye(2) - np.mean(steps, axis=0), np.mean(push, axis=0))
    square = [np.kron(m, m) for m in steps]
    jolts = [m @ mean + k - mean for m, k in zip(steps, push, strict=True)]
    noise = np.mean([np.kron(d, d) for d in jolts], axis=0)
    s = np.linalg.solve(np.eye(4) - np.mean(square, axis=0), noise)
    fourth = np.mean([np.kron(m, m) for m in square], axis=0)
    growth = [np.abs(np.linalg.eigvals(m)).max() for m in (np.mean(square, axis=0), fourth)]
    with np.errstate(invalid="ignore"):
        x, y = np.sqrt(s[[0, 3]])
    return np.array([*mean, x, y, s[1] / (x * y)]), growth


@pytest.mark.parametrize(
    ("h", "c", "rate", "beta", "heavy"),
    [
        ((0.5, 1, 3), (0, 1, -1), 0.4, 0.8, True),
        ((0.5, 1.5, 1, 2), (0, 1e3, -1, 2), 0.1, 0.5, False),
    ],
)
def test_moments_of_weight_and_velocity_on_parabolas_are_exact_however_heavy_the_tails(
    h, c, rate, beta, heavy
):
    truth, growth = moments_of(h, c, rate, beta)
    assert growth[0] < 1
    assert (growth[1] > 1) == heavy
    found = check(parabolas(h, c, rate, beta), walkers=400, steps=400)
    off = np.abs(found.chain.values - truth)
    assert (off <= found.chain.errors + 1e-12 * np.abs(truth)).all()
    assert (found.chain.errors < 1e-8 * (1 + np.abs(truth))).all()
    # Where fourth moments are infinite deviations of walkers have no standard errors.
    assert np.isinf(found.walkers.errors[2:]).all() == heavy
    assert ("fourth moments are infinite" in found.summary().replace("\n  ", " ")) == heavy
    if not heavy:
        assert (np.abs(found.walkers.values - truth) < 5 * found.walkers.errors).all()


def test_momentum_is_judged_by_deviations_and_not_by_how_weight_and_last_step_go_together():
    """The variance is that of the diffusion times 1 / (1 - T h / (2 (1 + beta)))."""
    small, large = (
        check(parabolas((1, 1), (1, -1), rate, beta), simulation=False)
        for rate, beta in ((0.02, 0.95), (0.4, 0.7))
    )
    assert small.chain.values[4] > 0.07  # half the ratio of the deviations, whatever the law is
    assert small.outcome == "holds"
    apart, _, what = large.off
    assert what == "deviation 2"
    assert apart == pytest.approx(0.596285 / 0.516398 - 1, rel=1e-4)
    assert large.outcome == "roughly"
    assert "for whatever is stationary, and not judged" in " ".join(str(large).split())


def test_many_minibatches_of_parabolas_in_the_plane_need_no_grid():
    rng = np.random.default_rng(3)
    n, size, rate = 40, 3, 0.2
    h, c = rng.uniform(0.5, 2, n), rng.normal(size=(2, n))
    for replacement, share in ((True, 1 / size), (False, (n - size) / (size * (n - 1)))):
        found = check(
            Landscape(
                losses=lambda w: [
                    a * ((w[0] - x) ** 2 + 2 * (w[1] - y) ** 2) / 2
                    for a, x, y in zip(h, *c, strict=True)
                ],
                weights=2, learning_rate=rate, batch_size=size, replacement=replacement,
            ),
            walkers=500, steps=300,
        )  # fmt: skip
        for k, a in enumerate((h, 2 * h)):
            mean = (a * c[k]).sum() / a.sum()
            noise = rate**2 * share * ((a * (c[k] - mean)) ** 2).mean()
            drawn = (1 - rate * a.mean()) ** 2 + share * rate**2 * a.var()
            truth = (noise / (1 - drawn)) ** 0.5
            assert found.chain.values[k] == pytest.approx(mean, abs=found.chain.errors[k])
            assert found.chain.values[2 + k] == pytest.approx(truth, abs=found.chain.errors[2 + k])
            assert found.chain.errors[2 + k] < 1e-9
        assert (np.abs(found.walkers.values - found.chain.values) < 5 * found.walkers.errors).all()


def test_where_nothing_is_known_nothing_is_decided(monkeypatch):
    given = parabolas((0.2, 3, 0.5), (0, 1, -0.5), 0.5, 0.7)
    assert moments_of((0.2, 3, 0.5), (0, 1, -0.5), 0.5, 0.7)[1][0] > 1.1
    found = check(given, walkers=400, steps=400, seed=1)
    assert found.outcome == "not decided"
    assert np.isinf(found.chain.values[2:4]).all()
    assert np.isinf(found.walkers.errors).all()
    said = " ".join(found.summary().split())
    assert "SGD has no variance with this step" in said
    assert "mean 1 is not known" in said
    json.loads(found.to_json(), parse_constant=pytest.fail)
    # A few walkers see no difference because they see nothing.
    rng = np.random.default_rng(0)
    c, h = rng.normal(size=(2, 40)), rng.uniform(0.5, 2, 40)
    curved = Landscape(
        losses=lambda w: [
            a * ((w[0] - x) ** 2 + 2 * (w[1] - y) ** 2) / 2 + w[0] ** 4 / 100
            for a, x, y in zip(h, *c, strict=True)
        ],
        weights=2, learning_rate=0.2, batch_size=3,
    )  # fmt: skip
    state = analyze(curved)  # once for both
    monkeypatch.setattr("stationary.checking.check.analyze", lambda *_, **__: state)
    few = [check(curved, walkers=4, steps=4, seed=seed) for seed in (0, 2)]
    assert all(f.chain is None and f.outcome in ("not decided", "fails") for f in few)
    open_ = [f for f in few if f.outcome == "not decided"]
    assert open_
    assert all(re.search(r"is known to \d+ % only", " ".join(f.verdict.split())) for f in open_)
