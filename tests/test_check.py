"""The verdict on the diffusion, where it is known to hold and where it is known to fail."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from stationary import Diffusion, Landscape, LandscapeError, analyze
from stationary.chain.reach import held_interval
from stationary.checking.check import check
from stationary.checking.comparison import between_walkers_and
from stationary.cli import main

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
    assert "T times the curvature at w = 1.007 is 4.9" in text
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
    assert "cannot be told apart" in found.summary()


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
    shifted = between_walkers_and(
        found.simulation, lambda x: found.chain.cdf(x - 0.3), 0.0, (-3, 3)
    )
    assert shifted.wasserstein == pytest.approx(0.3, abs=0.02)
    assert shifted.total_variation > 5 * shifted.total_variation_error


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


def test_a_diffusion_has_no_steps_to_check():
    with pytest.raises(LandscapeError, match="losses or gradients"):
        check(Diffusion(drift=lambda x: -x, variance=1.0, domain=(-3, 3)))


def test_text_json_and_figure(tmp_path, capfd):
    figure = tmp_path / "check.png"
    arguments = ["check", str(EXAMPLES / "two_minima.py"), "--walkers", "200", "--steps", "500"]
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--plot", str(figure)])
    out, _ = capfd.readouterr()
    assert stop.value.code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "not that of SGD" in out
    assert figure.stat().st_size > 1000
    with pytest.raises(SystemExit):
        main([*arguments, "--json"])
    table = json.loads(capfd.readouterr().out)
    assert table["outcome"] == "fails"
    assert table["basins"][1]["chain"]["probability"] == pytest.approx(1, abs=1e-3)


def test_the_report_has_a_line_about_the_step(pit):
    text = pit.analysis.summary()
    assert "T times the curvature at w = 1.007 is 4.9" in " ".join(text.split())
    steps = analyze(EXAMPLES / "two_minima.py").to_dict()["steps"]
    assert steps["largest_curvature"] == pytest.approx(0.55, abs=0.01)
    assert any("cannot leave" in w for w in steps["warnings"])
