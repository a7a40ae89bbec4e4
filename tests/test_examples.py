"""Every example runs, and one number of each is what its docstring promises."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from scipy import stats

from stationary import analyze, end_state

EXAMPLES = Path(__file__).parent.parent / "examples"


def check_two_minima(analysis):
    wide, narrow = analysis.basins
    assert wide.mass == pytest.approx(0.972503, abs=5e-7)
    assert narrow.position == pytest.approx(0.993321, abs=5e-7)


def check_annealed(analysis):
    """A schedule freezes in what the end state at its last learning rate has nothing of."""
    assert analysis.basins[0].mass < 1e-9
    assert analysis.annealing.final[0] == pytest.approx(0.1164, abs=0.001)  # 100,000 walkers: 0.116


def check_ornstein_uhlenbeck(analysis):
    assert analysis.end_state.mean() == pytest.approx(1, rel=1e-13)
    assert analysis.end_state.var() == pytest.approx(0.09, rel=1e-13)


def check_noisy_double_well(analysis):
    assert analysis.basins[0].mass == pytest.approx(0.95848178900583416172, rel=1e-14)


def check_heavy_tail(analysis):
    assert analysis.end_state.std() == math.inf
    assert analysis.end_state.sf(1e6) == pytest.approx(stats.t(1.5).sf(1e6), rel=1e-13)


def check_hinge_and_logistic(analysis):
    assert len(analysis.basins) == 1
    assert analysis.end_state.error < 1e-12


def check_family(analysis):
    assert analysis.basins[0].mass == pytest.approx(0.575544937850, abs=5e-12)
    sharper = analyze(EXAMPLES / "family.py", parameters={"sharpness": 1000})
    assert sharper.basins[0].mass > analysis.basins[0].mass > 0.5
    small = analyze(EXAMPLES / "family.py", learning_rate=0.01)
    assert small.basins[1].mass > 0.9


def check_tilted_washboard(analysis):
    assert analysis.end_state.kind == "flux"
    assert analysis.end_state.mean_velocity == pytest.approx(0.0033629995611617375, rel=1e-12)


def check_pit(analysis):
    assert analysis.end_state.std() == pytest.approx(4.1591713819232335e-43, rel=1e-12)
    assert [p.role for p in analysis.end_state.anatomy.points] == ["gate to the right"]


def check_wright_fisher(analysis):
    assert analysis.end_state.kind == "classes"
    given = end_state(analysis.process, initial=0.3)
    assert [a.weight for a in given.atoms] == pytest.approx([0.7, 0.3], rel=1e-14)


def check_stretched_copy(analysis):
    """lambda^2 exp((lambda^2 - 1) I) with lambda = 2."""
    (ratio,) = analysis.bias
    exponent = analysis.basins[1].barrier_left
    assert ratio.log_density == pytest.approx(math.log(4) + 3 * exponent, rel=1e-13)
    assert ratio.stretch.factor == pytest.approx(2, rel=1e-9)


CHECKS = {
    name.removeprefix("check_"): function
    for name, function in list(globals().items())
    if name.startswith("check_")
}


# That with two weights is held in `test_plane`.
ON_THE_LINE = sorted(p for p in EXAMPLES.glob("*.py") if p.stem != "two_weights")


@pytest.mark.parametrize("path", ON_THE_LINE, ids=lambda p: p.stem)
def test_an_example_gives_what_it_promises(path):
    analysis = analyze(path)
    assert analysis.end_state.status.name == "CONVERGED"
    CHECKS[path.stem](analysis)
