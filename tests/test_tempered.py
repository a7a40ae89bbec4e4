"""One sampling at many strengths of its exponent, against a solve for each."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stationary import Diffusion, basins_of, end_state, load
from stationary.questions.width.tempered import of_basin, of_state

EXAMPLES = Path(__file__).parent.parent / "examples"
STRENGTHS = np.array([0.01, 0.3, 1.0, 1.5, 7.0, 100.0, 3000.0])

PROCESSES = {
    "two minima": load(EXAMPLES / "two_minima.py"),
    "hinge losses": load(EXAMPLES / "hinge_and_logistic.py"),
    "on the whole line": Diffusion(
        drift=lambda x: x - x**3 + 0.1, variance=lambda x: 0.3 + 0.02 * x**2, domain=(-np.inf, 9)
    ),
    "constant noise": Diffusion(
        drift=lambda x: x - x**3 + 0.1, variance=0.3, domain=(-np.inf, np.inf)
    ),
    "beyond a gate": Diffusion(
        drift=lambda x: x - x**3 + 0.1, variance=lambda x: 0.3 * (x + 1.6) ** 2, domain=(-2, 3)
    ),
    "Klimontovich": Diffusion(
        drift=lambda x: np.sin(3 * x),
        variance=lambda x: 1 + 0.5 * np.cos(x),
        domain=(-2, 5),
        convention="klimontovich",
    ),
}


def driven(state, q):
    """The process with q times its drift."""
    process = state.diffusion
    return replace(process, drift=lambda x: q * process.drift(x), pair=None)


@pytest.mark.parametrize("name", PROCESSES)
def test_all_strengths_at_once_are_what_a_solve_for_each_gives(name):
    state = end_state(PROCESSES[name])
    shares = of_state(state).at(STRENGTHS)
    assert shares.computed.all()
    for i, q in enumerate(STRENGTHS):
        one = end_state(driven(state, q))
        basins = basins_of(one, min_barrier=0)
        log_mass = np.array([b.log_mass for b in basins])
        claimed = shares.mass_errors[i] + [b.mass_error for b in basins]
        assert (np.abs(shares.log_masses[i] - log_mass) <= claimed).all()
        assert (shares.mass_errors[i] < 1e-11 * (1 + np.abs(log_mass))).all()
        density = shares.log_densities[i] - [b.log_density for b in basins]
        assert (np.abs(density) <= claimed + shares.error[i] + one.error).all()
        assert abs(shares.mean[i] - one.mean()) <= 2 * shares.mean_error[i] + 1e-15
        assert abs(shares.std[i] - one.std()) <= 2 * shares.std_error[i] + 1e-15


def test_the_error_of_a_light_basin_covers_what_25_digits_say():
    process = PROCESSES["constant noise"]
    state = end_state(process)
    for q in (7.0, 3000.0):
        shares = of_state(state).at(np.array([q]))
        exact = [
            b.log_mass for b in basins_of(end_state(driven(state, q), digits=25), min_barrier=0)
        ]
        for found, error, log_mass in zip(
            shares.log_masses[0], shares.mass_errors[0], exact, strict=True
        ):
            assert abs(float(found - log_mass)) <= error


def test_a_strength_gives_the_same_digits_alone_and_among_others():
    landscape = PROCESSES["two minima"]
    strengths = np.geomspace(0.5, 40, 57)
    together = of_state(end_state(landscape)).at(strengths)
    alone = of_state(end_state(landscape)).at(strengths[17:18])
    assert alone.log_masses[0].tolist() == together.log_masses[17].tolist()
    assert alone.mean[0] == together.mean[17]


def test_strengths_are_learning_rates_and_batch_sizes():
    landscape = PROCESSES["two minima"]
    shares = of_state(end_state(landscape)).at(np.array([6.0]))
    other = basins_of(end_state(replace(landscape, learning_rate=0.05, batch_size=3)))
    assert shares.log_masses[0] == pytest.approx([b.log_mass for b in other], abs=1e-13)


def test_a_heavy_tail_needs_a_solve_for_each():
    state = end_state(load(EXAMPLES / "heavy_tail.py"))
    tempered_state = of_state(state)
    assert tempered_state is None or tempered_state.at(STRENGTHS) is None
    assert of_state(end_state(load(EXAMPLES / "tilted_washboard.py"))) is None


def test_a_basin_by_itself_holds_everything():
    state = end_state(PROCESSES["two minima"])
    for basin in basins_of(state):
        shares = of_basin(state, basin).at(np.array([1.0]))
        assert shares.log_masses[0, 0] == pytest.approx(0, abs=1e-15)
        width = basin.log_mass - basin.log_density
        assert shares.log_widths[0, 0] == pytest.approx(width, abs=1e-12)
