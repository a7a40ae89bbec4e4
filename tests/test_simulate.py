"""Monte Carlo: against closed forms, and whether it says how far to trust it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from threading import Lock

import numpy as np
import pytest
from scipy import special

from stationary import (
    ConvergenceError,
    Diffusion,
    Landscape,
    LandscapeError,
    Simulation,
    hitting_probability,
    load,
    simulate,
)
from stationary.process.initial import Initial
from stationary.simulation.result import Ending
from stationary.simulation.sgd import SgdStepper
from stationary.simulation.streams import Moments
from stationary.simulation.walkers import SdeStepper

EXAMPLES = Path(__file__).parent.parent / "examples"
LINE = (-math.inf, math.inf)


def parabolas(centres, **changes):
    """Losses (w - c)^2 / 2: a step is w -> (1 - T) w + T (mean centre of the batch)."""
    c = np.asarray(centres, dtype=float)
    settings = {"learning_rate": 0.3, "name": "parabolas"} | changes
    return Landscape(losses=lambda w: (w - c[:, None]) ** 2 / 2, **settings)


def ornstein_uhlenbeck(**changes):
    settings = {"domain": LINE, "name": "ou"} | changes
    return Diffusion(drift=lambda x: -x, variance=2.0, **settings)


def wells(noise, **changes):
    """f = x - x^3 with the variance `noise`: barrier 1 / (2 noise) in the exponent."""
    settings = {"domain": (-2.5, 2.5), "name": "wells"} | changes
    return Diffusion(drift=lambda x: x - x**3, variance=noise, **settings)


def sigmas(value, exact, error):
    return abs(value - exact) / error


# SGD on parabolas is an autoregression: every moment is known for any learning rate.


@pytest.mark.parametrize(
    ("n", "batch", "replacement"),
    [
        (2, 1, True),
        (2, 5, True),  # counted by bits
        (2, 70, True),  # more bits than a word has
        (2, 500, True),  # by a binomial
        (3, 1, True),
        (3, 2, True),
        (4, 1, True),  # bits of bytes
        (10, 3, True),
        (5, 20, True),  # counted
        (300, 1, True),
        (2, 1, False),
        (3, 2, False),
        (20, 5, False),
        (20, 15, False),  # those left out are subtracted
    ],
)
def test_sgd_has_the_mean_and_variance_of_its_autoregression(n, batch, replacement):
    """Var = T^2 D / (1 - (1 - T)^2) = T D / (2 - T), with D the variance of a batch's mean."""
    centres = np.random.default_rng(n).normal(size=n)
    p = parabolas(centres, batch_size=batch, replacement=replacement)
    s = simulate(p, walkers=500, steps=1000, burn_in=100, seed=7)
    exact = 0.3 * p.noise_factor * centres.var() / 1.7
    assert sigmas(s.mean, centres.mean(), s.mean_error) < 4
    assert sigmas(s.var, exact, s.var_error) < 4
    assert s.var_error < 0.02 * exact
    assert not s.metastable
    assert s.ending is Ending.COMPLETE


@pytest.mark.parametrize(("n", "batch"), [(5, 2), (5, 3), (6, 5)])
def test_without_replacement_every_batch_is_equally_likely(n, batch):
    """The gradients are powers of two, so that a sum tells which were drawn."""
    powers = 2.0 ** np.arange(n)
    p = Landscape(
        gradients=lambda w: powers[:, None] + 0 * w,
        learning_rate=1.0,
        batch_size=batch,
        replacement=False,
    )
    walkers, steps = 2000, 20
    x, sums = np.zeros(walkers), []
    stepper, rng = SgdStepper(p, x), np.random.default_rng(1)
    for _ in range(steps):
        x[:] = 0
        stepper.step(rng, 1)
        sums.append(np.rint(-x * batch).astype(int))
    found, counts = np.unique(np.concatenate(sums), return_counts=True)
    wanted = sorted(int(sum(c)) for c in combinations(powers, batch))
    assert found.tolist() == wanted
    expected = walkers * steps / len(wanted)
    # Chi-squared has len - 1 degrees of freedom; its deviation is sqrt(2 (len - 1)).
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < len(wanted) - 1 + 5 * math.sqrt(2 * (len(wanted) - 1))


def test_the_ensemble_follows_the_closed_form_at_every_step():
    """From a point: mean m + (1 - T)^t (w - m), variance (1 - (1 - T)^(2 t)) of the final one."""
    p = parabolas([0, 1], learning_rate=0.1)
    s = simulate(p, 3.0, walkers=20_000, steps=60, burn_in=0, every=10, snapshots=True, seed=3)
    t = np.arange(0, 61, 10)
    assert (s.times == t).all()
    left = 0.9**t
    exact = np.sqrt((1 - left**2) * 0.1 * 0.25 / 1.9)
    assert s.means[0] == 3
    assert s.stds[0] == 0
    assert (np.abs(s.means - 0.5 - 2.5 * left)[1:] < 4 * s.mean_errors[1:]).all()
    assert (np.abs(s.stds - exact)[1:] < 4 * s.std_errors[1:]).all()
    assert s.snapshots.shape == (7, 20_000)
    np.testing.assert_allclose(s.snapshots.mean(axis=1), s.means, rtol=1e-12)
    np.testing.assert_allclose(s.snapshots.std(axis=1, ddof=1), s.stds, rtol=1e-10, atol=1e-15)
    assert (s.snapshots[-1] == s.positions).all()


def test_standard_errors_are_as_large_as_the_errors():
    """Over 60 seeds the errors in units of their standard errors have a deviation near 1.

    That of 60 normal numbers is within 0.7 and 1.3 but for one time in a thousand. The positions
    are correlated over 19 steps: errors without that would be too small by a factor of 4.
    """
    p = parabolas([0, 1], learning_rate=0.1)
    exact = 0.1 * 0.25 / 1.9
    z = []
    for seed in range(60):
        s = simulate(p, 0.5, walkers=100, steps=512, burn_in=100, seed=seed, intervals=[(0, 0.5)])
        centre = np.searchsorted(s.edges, 0.5) - 1
        z.append(
            [
                (s.mean - 0.5) / s.mean_error,
                (s.var - exact) / s.var_error,
                (s.probabilities[0] - 0.5) / s.probability_errors[0],  # by symmetry
                s.mass[centre] / s.mass_error[centre],
            ]
        )
    z = np.array(z)
    spread = z[:, :3].std(axis=0)
    assert (spread > 0.7).all()
    assert (spread < 1.3).all()
    assert (np.abs(z[:, :3].mean(axis=0)) < 4 / math.sqrt(60)).all()


@pytest.mark.parametrize("law", ["normal:0.5,0.3", "uniform:-1,2", [0.0, 1.0, 1.0, 3.0, 5.0]])
def test_starts_share_their_law_evenly_and_errors_hold_over_many_seeds(law):
    """At step 0 next to nothing is left to chance; after ten errors are those of the noise."""
    p, walkers = parabolas([0, 1], learning_rate=0.1), 300
    start = Initial.of(law, domain=LINE, name="start")
    mean, var = start.mean(), start.var()
    z, left = [], 0.9**10
    for seed in range(30):
        s = simulate(p, law, walkers=walkers, steps=10, burn_in=0, every=10, seed=seed)
        z.append([(s.means[0] - mean) / s.mean_errors[0], (s.stds[0] - var**0.5) / s.std_errors[0]])
        late = math.sqrt((1 - left**2) * 0.1 * 0.25 / 1.9 + left**2 * var)
        z[-1] += [(s.means[1] - 0.5 - left * (mean - 0.5)) / s.mean_errors[1]]
        z[-1] += [(s.stds[1] - late) / s.std_errors[1]]
    root = np.sqrt((np.array(z) ** 2).mean(axis=0))
    assert (root[:2] < 0.2).all()  # of independent draws 1
    assert (root[2:] < 1.4).all()


def test_the_autocorrelation_time_is_that_of_an_autoregression():
    """1 + 2 sum (1 - T)^k = (2 - T) / T; from 1000 walkers it is known to 5 per cent."""
    s = simulate(parabolas([0, 1], learning_rate=0.1), steps=4000, seed=1)
    assert s.autocorrelation_time == pytest.approx(19, rel=0.2)
    assert s.r_hat < 1.01


def test_the_histogram_of_a_uniform_end_state_is_even():
    """T = 1/2 with centres 0 and 1 shifts in one random bit a step: uniform on [0, 1]."""
    edges = np.linspace(0, 1, 11)
    s = simulate(
        parabolas([0, 1], learning_rate=0.5), walkers=2000, steps=2048, edges=edges, seed=5
    )
    assert (np.abs(s.mass - 0.1) < 4 * s.mass_error).all()
    assert s.mass.sum() == pytest.approx(1, abs=1e-12)
    assert s.mass_error.max() < 1e-3
    assert sigmas(s.var, 1 / 12, s.var_error) < 4


def test_automatic_and_given_edges_find_the_same_masses():
    p = parabolas([0, 1, 5])
    automatic = simulate(p, seed=2, steps=1000)
    given = simulate(p, seed=2, steps=1000, edges=automatic.edges)
    np.testing.assert_allclose(automatic.mass, given.mass, atol=1e-5)
    assert 10 <= len(simulate(p, seed=2, steps=100, edges=25).mass) == 25


def test_what_no_walker_saw_has_an_error_that_is_not_zero():
    s = simulate(parabolas([0, 1]), walkers=200, steps=100, seed=1, intervals=[(7, 8), (-9, 9)])
    assert s.probabilities == (0, 1)
    assert s.probability_errors == (1 / 200, 1 / 200)
    assert s.probability(7, 8) == 0
    assert s.probability_error(7, 8) == 1 / 200
    with pytest.raises(LandscapeError, match="Ask for it before"):
        s.probability(1, 2)


@pytest.mark.parametrize(
    ("dt", "told"),
    [
        (100, "is too long for this drift: next to a minimum a step goes 1e+02 times"),
        (1, "a step goes 1 of the way to the minimum, and the variance there is up to 2 times"),
        (0.02, "compare with half of it"),
    ],
)
def test_a_step_of_time_that_is_too_long_is_told(dt, told):
    """Of dx = -x dt + dB steps of dt have the variance 1 / (2 - dt) for 1/2, if they settle."""
    process = Diffusion(drift=lambda x: -x, variance=1.0, domain=(-9, 9))
    found = simulate(process, walkers=50, steps=400, dt=dt, seed=1)
    assert told in " ".join(" ".join(found.notes).split())


def test_a_jump_of_the_drift_does_not_make_the_time_step_tiny():
    """f = -sign(x), a = 1: P ~ exp(-2 |x|), of deviation 1 / sqrt(2)."""
    p = Diffusion(drift=lambda x: -np.sign(x), variance=1, domain=(-5, 5), breakpoints=[0])
    s = simulate(p, steps=4000, seed=1)
    assert 0.01 < s.dt < 0.1
    assert s.std == pytest.approx(0.7071, rel=0.05)


# Diffusions, against the schemes' own closed forms.


@pytest.mark.parametrize("method", ["euler", "milstein"])
def test_the_variance_of_ornstein_and_uhlenbeck_is_that_of_the_scheme(method):
    """x -> (1 - h) x + sqrt(2 h) N has the variance 2 h / (1 - (1 - h)^2) = 1 / (1 - h / 2)."""
    p = ornstein_uhlenbeck()
    s = simulate(p, walkers=2000, steps=1500, dt=0.4, method=method, seed=1)
    assert sigmas(s.var, 1.25, s.var_error) < 4
    assert sigmas(s.mean, 0, s.mean_error) < 4
    assert s.var_error < 0.005


@pytest.mark.parametrize(("milstein", "order"), [(False, 0.5), (True, 1.0)])
def test_the_strong_order_is_a_half_for_euler_and_one_for_milstein(milstein, order):
    """dx = x dB along the same Brownian paths, against exp(B - t / 2)."""
    p = Diffusion(drift=0, variance=lambda x: x**2, domain=(0, math.inf))
    fine, walkers = 256, 4000
    dw = np.random.default_rng(1).standard_normal((fine, walkers)) / math.sqrt(fine)
    exact = np.exp(dw.sum(axis=0) - 0.5)
    errors = []
    for factor in (16, 1):
        x = np.ones(walkers)
        stepper = SdeStepper(p, factor / fine, milstein, x)
        for k in range(0, fine, factor):
            stepper.move(x, dw[k : k + factor].sum(axis=0))
        errors.append(math.sqrt(np.mean((x - exact) ** 2)))
    assert math.log(errors[0] / errors[1], 16) == pytest.approx(order, abs=0.12)


@pytest.mark.parametrize(
    ("convention", "boundaries"),
    [
        ("ito", "reflecting"),
        ("stratonovich", "periodic"),
        ("klimontovich", "reflecting"),
        ("klimontovich", "periodic"),
    ],
)
def test_the_density_without_drift_tells_the_convention(convention, boundaries):
    """f = 0 gives P ~ a^(c - 1), on an interval as on a ring where a is continuous."""
    p = Diffusion(
        drift=0,
        variance=lambda x: 1 + x**2,
        domain=(-1, 1),
        boundaries=boundaries,
        convention=convention,
    )
    s = simulate(p, walkers=2000, steps=1500, dt=0.004, seed=2, intervals=[(-0.5, 0.5)])
    c = p.convention.value
    x = (np.arange(4000) + 0.5) / 2000 - 1
    weights = (1 + x**2) ** (c - 1)
    exact = weights[np.abs(x) < 0.5].sum() / weights.sum()
    # The other conventions are 0.037 away; the step is worth less than a fifth of that.
    assert abs(s.probabilities[0] - exact) < 4 * s.probability_errors[0] + 0.003
    assert s.probability_errors[0] < 0.003
    assert (s.folded != (0, 0)) == (boundaries == "reflecting")


def test_absorbing_ends_absorb_with_the_hitting_probability():
    """The bridge between two steps may touch an end, so that the step can be long."""
    p = ornstein_uhlenbeck(domain=(-1, 1.5), boundaries="absorbing")
    s = simulate(p, 0.3, walkers=20_000, steps=1000, dt=0.02, seed=1)
    exact = hitting_probability(p, 0.3, [-1, 1.5])
    assert s.absorbed[0] + s.absorbed[1] == 20_000
    assert s.ending is Ending.ABSORBED
    for (share, error), p_exact in zip(s.absorption(), exact, strict=True):
        assert sigmas(share, p_exact, error) < 4


def test_walkers_that_still_have_to_be_absorbed_are_told():
    p = ornstein_uhlenbeck(domain=(-4, 4), boundaries="absorbing")
    s = simulate(p, 0.0, walkers=200, steps=500, seed=1)
    assert s.metastable
    assert any("have not been absorbed" in r for r in s.reasons)


def test_an_end_that_holds_what_reaches_it_is_a_trap():
    """Wright and Fisher's drift: fixed at 1 with the probability of the start."""
    p = Diffusion(drift=0, variance=lambda x: x * (1 - x), domain=(0, 1))
    s = simulate(p, 0.3, walkers=4000, steps=5000, dt=0.005, seed=1)
    share, error = s.absorption()[1]
    assert sum(s.absorbed) == 4000
    assert sigmas(share, 0.3, error) < 4


def test_where_all_were_absorbed_the_ends_are_all_that_is_averaged():
    p = ornstein_uhlenbeck(domain=(-1, 1.5), boundaries="absorbing")
    s = simulate(p, 0.3, walkers=2000, steps=2000, burn_in=0, dt=0.02, seed=1)
    share, error = s.absorption()[1]
    assert s.mean == pytest.approx(-1 + 2.5 * share, abs=1e-12)
    assert s.mean_error == pytest.approx(2.5 * error, rel=1e-9)


def test_a_finite_end_absorbs_sgd_if_it_is_told_to():
    """Every step moves by 0.1, left or right: the gambler's ruin, 5 of 12 steps up."""
    p = Landscape(
        gradients=lambda w: (1 + 0 * w, -1 + 0 * w),
        learning_rate=0.1,
        domain=(-0.05, 1.05),
        boundaries="absorbing",
    )
    s = simulate(p, 0.4, walkers=4000, steps=2000, seed=1)  # absorbed at -0.1 and at 1.1
    share, error = s.absorption()[1]
    assert sigmas(share, 5 / 12, error) < 4


# Whether it has mixed.


def test_wells_that_are_hardly_left_are_called_metastable():
    """The barrier is 12 in the exponent: leaving takes 1e5 times the time simulated."""
    s = simulate(wells(1 / 24), steps=1000, seed=1)
    assert s.metastable
    assert s.ending is Ending.METASTABLE
    assert s.r_hat > 1.05
    assert any("hardly cross" in r for r in s.reasons)
    assert "have not mixed" in s.summary()


def test_wells_that_are_left_often_are_not():
    s = simulate(wells(0.5), steps=10_000, dt=0.05, seed=1)
    assert not s.metastable
    assert s.reasons == ()
    assert s.changes > 1000
    assert sigmas(s.mean, 0, s.mean_error) < 4
    assert s.occupied.sum() == pytest.approx(1, abs=1e-3)


def test_shares_of_time_have_errors_that_hold_what_is_true():
    """Two equal wells: half of the time in each."""
    s = simulate(wells(0.5), steps=4000, dt=0.05, seed=3, walkers=100)
    assert 0 < s.occupied_error[0] < 0.05
    assert sigmas(s.occupied[0], 0.5, s.occupied_error[0]) < 4
    header, first = s.summary().split("Where they were\n")[1].splitlines()[:2]
    assert header.split() == ["last", "seen", "near", "share", "of", "time", "error"]
    assert first.split()[-1] == f"{s.occupied_error[0]:.0e}"


def test_a_well_that_was_never_entered_is_not_passed_over_in_silence():
    s = simulate(wells(1 / 24), "uniform:0.8,1.2", steps=2000, dt=0.05, seed=1)
    assert s.metastable
    assert any("no walker ever came near x = -1" in r for r in s.reasons)


def test_a_wall_that_the_drift_presses_against_counts_as_a_basin():
    p = Diffusion(drift=lambda x: -(1 - x), variance=0.02, domain=(0, 2))
    s = simulate(p, "uniform:1.5,1.9", steps=1000, seed=1)
    assert s.basins.tolist() == [0, 2]
    assert any("no walker ever came near x = 0" in r for r in s.reasons)


def test_too_few_steps_to_tell_are_called_metastable():
    for steps in (1, 2, 5):
        s = simulate(parabolas([0, 1], learning_rate=0.01), steps=steps, burn_in=0, seed=1)
        assert s.metastable
        assert s.steps_done == steps
        assert math.isfinite(s.mean_error)


def test_the_automatic_burn_in_forgets_a_start_that_is_far_away():
    """From 50 deviations away; the memory is 1 / T = 100 steps."""
    p = parabolas([0, 1], learning_rate=0.01)
    s = simulate(p, 2.0, walkers=2000, steps=10_000, seed=1)
    assert s.burn_in >= 500  # exp(-5) of 50 deviations is a third of one
    assert not s.metastable
    assert sigmas(s.mean, 0.5, s.mean_error) < 4


def test_a_burn_in_that_is_too_short_is_told():
    p = parabolas([0, 1], learning_rate=0.01)
    s = simulate(p, 2.0, walkers=2000, steps=4000, burn_in=0, seed=1)
    assert s.metastable
    assert any("burn_in" in r for r in s.reasons)
    unsettled = simulate(p, 2.0, walkers=2000, steps=300, seed=1)
    assert any("before the walkers had settled" in r for r in unsettled.reasons)


def test_walkers_that_leave_a_basin_for_good_are_noted():
    pit = EXAMPLES / "pit.py"
    s = simulate(pit, "uniform:0.99,2.5", learning_rate=0.02, walkers=200, steps=20_000, seed=1)
    assert s.mean == pytest.approx(2, abs=1e-6)
    assert not s.metastable
    assert any("none came back" in note for note in s.notes)


# Walkers that leave.


def test_escapes_are_counted_and_left_out():
    """l = w^4 / 4 +- w / 100: beyond sqrt(2 / T) = 4.47 each step is larger than the last."""
    p = Landscape(
        losses=lambda w: (w**4 / 4 - w / 100, w**4 / 4 + w / 100), learning_rate=0.1, name="quartic"
    )
    starts = np.array([-6.0, -5, -1, 0, 1, 2, 3, 5])
    s = simulate(p, starts, steps=500, burn_in=500, seed=1)
    assert s.walkers == 8
    assert s.escaped == 3
    assert np.isnan(s.positions).tolist() == (np.abs(starts) > 4.5).tolist()
    assert abs(s.mean) < 0.5
    assert s.ending in (Ending.ESCAPED, Ending.METASTABLE)
    assert any("3 of 8 walkers escaped" in note for note in s.notes)


def test_what_grows_until_it_is_lost_is_lost_without_a_warning():
    """Steps of Euler that overshoot more and more: x^3 dt > 2 x beyond sqrt(2 / dt) = 6.3."""
    p = Diffusion(drift=lambda x: -(x**3), variance=1, domain=LINE, name="cubic")
    s = simulate(p, "uniform:-9,9", dt=0.05, seed=1, steps=500, walkers=1000)
    assert s.escaped == pytest.approx(1000 * (1 - 6.32 / 9), abs=80)
    assert abs(s.mean) < 1


def test_nothing_left_to_average_is_an_error():
    with pytest.raises(ConvergenceError, match="Lower learning_rate"):
        simulate(parabolas([0, 1], learning_rate=2.5), walkers=50, steps=1000, seed=1)


def test_reflections_are_counted_and_keep_walkers_inside():
    p = parabolas([0, 1], learning_rate=0.5, domain=(0.25, 0.6))
    s = simulate(p, walkers=300, steps=300, seed=1, intervals=[(0.25, 0.6)])
    assert s.probabilities == (1,)
    assert min(s.folded) > 100


# The same, however it is done.


def same(a, b):
    one, two = a.to_dict(), b.to_dict()
    return one == two


def test_the_same_seed_gives_the_same_result_with_any_number_of_processes():
    settings = {"walkers": 20_000, "steps": 40, "burn_in": 20, "every": 10, "seed": 11}
    path = EXAMPLES / "two_minima.py"
    one = simulate(path, **settings)
    assert same(one, simulate(path, **settings))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert same(one, simulate(path, executor=pool, **settings))
    with ThreadPoolExecutor(2) as pool:
        assert same(one, simulate(path, executor=pool, **settings))
    assert not same(one, simulate(path, **(settings | {"seed": 12})))


def test_jobs_start_processes_of_their_own():
    path = EXAMPLES / "noisy_double_well.py"
    settings = {"walkers": 200, "steps": 40, "burn_in": 20, "seed": 1}
    assert same(simulate(path, **settings), simulate(path, jobs=2, **settings))


def test_a_seed_that_was_not_given_can_be_used_again():
    p = parabolas([0, 1])
    one = simulate(p, walkers=50, steps=50)
    assert same(one, simulate(p, walkers=50, steps=50, seed=one.seed))
    sequence = np.random.SeedSequence(5)
    assert same(*(simulate(p, walkers=50, steps=50, seed=sequence) for _ in range(2)))


def test_local_functions_take_the_same_steps_in_other_processes():
    settings = {"walkers": 200, "steps": 40, "burn_in": 20, "seed": 1}
    loaded, lock = load(EXAMPLES / "two_minima.py"), Lock()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        for p in (parabolas([0, 1]), loaded, loaded.diffusion()):
            assert same(simulate(p, **settings), simulate(p, executor=pool, **settings))
        held = Diffusion(drift=lambda x: -x if lock else x, variance=1.0)
        with pytest.raises(LandscapeError, match="cannot be sent to other processes"):
            simulate(held, executor=pool, **settings)


def test_it_stops_at_the_target_error():
    p = parabolas([0, 1])
    s = simulate(p, steps=100_000, target_error=2e-3, seed=1)
    assert s.ending is Ending.TARGET_MET
    assert s.mean_error <= 2e-3
    assert s.steps_done < 100_000
    missed = simulate(p, steps=100, target_error=1e-6, target="std", seed=1)
    assert missed.ending is Ending.TARGET_MISSED
    assert missed.std_error > 1e-6


def test_an_interrupt_keeps_what_is_done():
    calls = []

    def progress(done, total):
        calls.append((done, total))
        if len(calls) == 6:
            raise KeyboardInterrupt

    p = parabolas([0, 1])
    s = simulate(p, walkers=100, steps=3200, burn_in=0, seed=1, progress=progress)
    assert not s.complete
    assert s.ending is Ending.INTERRUPTED
    assert "\n  Interrupted: what was done until then is shown." in s.summary()
    assert s.steps_done == 1000
    assert sigmas(s.mean, 0.5, s.mean_error) < 5
    assert calls[0] == (20_000, 320_000)


def test_the_command_line_tells_a_run_that_was_stopped(run, monkeypatch):
    def stopped(*arguments, **settings):
        half = iter([True])

        def progress(done, total):
            if done > total / 2 and next(half, False):
                raise KeyboardInterrupt

        return simulate(*arguments, **settings | {"progress": progress})

    monkeypatch.setattr("stationary.simulation.simulate.simulate", stopped)
    steps = ("--walkers", 100, "--steps", 3200)
    code, out, err = run("simulate", "--drift=-x", "--variance", 1, "--dt", 0.01, *steps)
    assert code == 130
    assert out
    assert "stopped; what was done is kept" in err


def test_an_interrupt_of_the_burn_in_keeps_where_walkers_are():
    calls = []

    def progress(done, total):
        calls.append(done)
        if len(calls) == 4:
            raise KeyboardInterrupt

    p = parabolas([0, 1])
    s = simulate(p, walkers=500, steps=100, burn_in=3200, seed=1, progress=progress)
    assert s.ending is Ending.INTERRUPTED
    assert s.burn_in == 600
    assert sigmas(s.mean, 0.5, s.mean_error) < 5


@pytest.mark.parametrize(("batch", "replacement"), [(1, True), (3, True), (3, False)])
def test_gradients_that_are_read_from_tables_take_the_same_steps(batch, replacement, monkeypatch):
    """A list of many losses: what is drawn is looked up; kinks and far walkers are evaluated."""
    centres = np.linspace(-1, 1, 20)

    def losses(w):
        return [np.log(np.cosh(w - c)) + 0.1 * np.abs(w - c / 2) for c in centres]

    def walk():
        how = {"batch_size": batch, "replacement": replacement, "learning_rate": 0.3}
        p = Landscape(losses=losses, initial=30.0, **how)  # far outside the table
        return simulate(p, walkers=200, steps=60, burn_in=0, seed=3)

    with_tables = walk()
    assert any("read from tables" in note for note in with_tables.notes)
    monkeypatch.setattr("stationary.simulation.sgd.FEWEST", 1000)
    without = walk()
    assert np.abs(np.sort(with_tables.positions).mean() - np.sort(without.positions).mean()) < 0.1
    error = math.hypot(with_tables.mean_error, without.mean_error)
    assert sigmas(with_tables.mean, without.mean, error) < 4.5


@pytest.mark.parametrize("act", [np.tanh, lambda z: np.maximum(z, 0)], ids=["tanh", "relu"])
def test_walkers_of_a_network_do_not_run_its_layers_in_each_step(act, monkeypatch):
    """For each datapoint drawn all its units were computed: `check` gave nothing in minutes."""
    rng = np.random.default_rng(4)
    x, y, v = rng.normal(size=(12, 2)), rng.normal(size=12), rng.normal(size=8) / 3
    a, b, c = rng.normal(size=(2, 8)), rng.normal(size=(2, 8)), rng.normal(size=(8, 8)) / 3

    def losses(w):
        hidden = act(act(x @ (a + w[:, None, None] * b)) @ c)
        return ((hidden @ v).T - y[:, None]) ** 2 / 2

    def walk():
        p = Landscape(losses, domain=(-3, 3), batch_size=3, learning_rate=0.3)
        return simulate(p, walkers=200, steps=100, burn_in=0, seed=3)

    read = walk()
    assert any("read from tables" in note for note in read.notes)
    monkeypatch.setattr("stationary.simulation.sgd.WIDE", 10**6)
    run = walk()
    assert not any("read from tables" in note for note in run.notes)
    assert np.abs(read.positions - run.positions).max() < 1e-6


def test_progress_ends_at_the_total():
    calls = []
    simulate(
        parabolas([0, 1]), walkers=100, steps=100, seed=1, progress=lambda *pair: calls.append(pair)
    )
    done, totals = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert done[-1] == totals[-1]


# What is shown, and what is refused.


def test_a_result_can_be_read_and_stored():
    s = simulate(wells(0.5), steps=500, seed=1, every=100, intervals=[(0, math.inf)])
    assert isinstance(s, Simulation)
    assert max(map(len, s.summary().splitlines())) <= 80
    stored = json.loads(s.to_json())
    assert stored["intervals"] == [[0, None]]
    assert stored["mean"] == s.mean
    assert repr(s).startswith("<Simulation of 'wells': 1000 walkers, 500 steps, mean ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"walkers": 1}, "walkers = 1 must be a whole number, at least 2"),
        ({"walkers": 2.5}, "walkers = 2.5"),
        ({"steps": 0}, "steps = 0"),
        ({"steps": "many"}, "steps = .many."),
        ({"burn_in": -1}, "burn_in = -1"),
        ({"seed": "x"}, "seed = 'x'"),
        ({"seed": -1}, "seed = -1"),
        ({"dt": 0.1}, "does not apply to SGD"),
        ({"method": "euler"}, "does not apply to SGD"),
        ({"edges": [1, 0]}, "ascending"),
        ({"edges": 0}, "how many bins"),
        ({"edges": "many"}, "how many bins"),
        ({"edges": [0, "b"]}, "ascending"),
        ({"intervals": [(1, 0)]}, "must be pairs"),
        ({"intervals": [1]}, "must be pairs"),
        ({"target": "median"}, "target = 'median'"),
        ({"target": "probability", "target_error": 0.1}, "needs intervals"),
        ({"target_error": -1}, "target_error = -1"),
        ({"executor": 2}, "must be a concurrent.futures.Executor"),
        ({"jobs": 0}, "jobs = 0"),
        ({"every": 0}, "every = 0"),
        ({"learning": 0}, "cannot be set"),
        ({"initial": "here"}, "here"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, message):
    with pytest.raises(LandscapeError, match=message):
        simulate(parabolas([0, 1]), **changes)


def test_a_process_of_another_kind_is_refused():
    with pytest.raises(LandscapeError, match="simulate: a Diffusion or a Landscape is needed"):
        simulate(3)


def test_a_convention_that_needs_a_derivative_says_so():
    def variance(x):
        return np.array([1 + float(v) ** 2 for v in np.atleast_1d(x)])

    p = Diffusion(drift=lambda x: -x, variance=variance, domain=(-3, 3), convention="stratonovich")
    with pytest.raises(LandscapeError, match="convention"):
        simulate(p, steps=10)
    ito = Diffusion(drift=lambda x: -x, variance=variance, domain=(-3, 3))
    s = simulate(ito, walkers=20, steps=10, seed=1)
    assert any("Euler-Maruyama was used" in note for note in s.notes)


def test_merged_moments_are_those_of_the_whole():
    x = np.random.default_rng(1).exponential(size=1000) + 1e3
    parts = [Moments.of(x[:300]), Moments.of(x[300:350]), Moments.of(x[350:])]
    merged, whole = Moments.merged(parts), Moments.of(x)
    for name in ("n", "mean", "m2", "m3", "m4"):
        assert getattr(merged, name)[0] == pytest.approx(getattr(whole, name)[0], rel=1e-9)


def test_simulating_needs_neither_matplotlib_nor_scipy_stats():
    code = (
        "import sys, stationary; from stationary import simulate; "
        f"simulate({str(EXAMPLES / 'two_minima.py')!r}, walkers=10, steps=10); "
        "assert not {'matplotlib', 'scipy.stats'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_walkers_that_came_to_rest_are_an_end_and_not_metastable():
    """Two shared minima at +-1: a walker that started at x ends in the one on its side."""
    landscape = Landscape(
        losses=lambda w: (w**4 / 4 - w**2 / 2, 1.2 * (w**4 / 4 - w**2 / 2)), learning_rate=0.1,
        domain=(-2, 2),
    )  # fmt: skip
    found = simulate(landscape, np.linspace(-1.5, 0.5, 200), steps=5000, seed=1)
    assert found.ending is Ending.AT_REST
    assert not found.metastable
    assert found.burn_in < 1000  # what rests is not stepped for long
    assert "walkers that have come to rest: 150 at w = -1, 50 at w = 1." in found.notes


def test_a_far_tail_where_steps_are_tiny_is_no_rest():
    """Losses exp(-w^2) far out: gradients of 1e-13 leave doubles where they are, or nearly."""
    landscape = Landscape(
        losses=lambda w: (-np.exp(-(w**2)), -1.3 * np.exp(-(w**2))), learning_rate=0.5,
        domain=(-8, 8),
    )  # fmt: skip
    found = simulate(landscape, np.linspace(-7, 7, 101), steps=2000, seed=1)
    assert found.ending is Ending.METASTABLE


def test_rare_visits_to_a_basin_are_not_called_memory_of_the_start():
    """The wall at 1.5 holds one per cent, in short visits that each walker makes now and then."""
    k = 2 * np.pi / 3
    process = Diffusion(
        drift=lambda x: -np.sin(k * x) + 0.2,
        variance=lambda x: 0.5 + 0.3 * np.cos(k * x + 0.5),
        domain=(-1.5, 1.5),
        boundaries="reflecting",
    )
    found = simulate(process, walkers=1000, steps=1000, burn_in=400, seed=3, dt=0.02)
    assert found.r_hat > 1.05
    assert found.ending is Ending.COMPLETE
    short = simulate(process, walkers=1000, steps=1000, burn_in=50, seed=3, dt=0.02)
    assert any("may not have forgotten their start" in r for r in short.reasons)


def test_a_start_at_one_point_without_burn_in_has_a_histogram_of_where_walkers_go():
    process = Diffusion(drift=0.5, variance=1.0, domain=(-1, 1), boundaries="absorbing")
    found = simulate(process, 0.0, walkers=200, steps=300, burn_in=0, seed=1, dt=0.01)
    assert found.edges[0] == -1
    assert found.edges[-1] == 1
    assert found.mass.sum() == pytest.approx(1, abs=1e-9)


def test_what_happens_before_the_last_step_of_a_schedule_is_not_counted():
    """In 300 steps each walker changes its well and meets walls many times; in one few do."""
    s = simulate(
        Landscape(
            losses=lambda w: (w**4 / 4 - w**2 / 2 + w, w**4 / 4 - w**2 / 2 - w),
            domain=(-1.2, 1.2),
            schedule="constant:0.3:300",
        ),
        walkers=400,
        initial=0.9,
        seed=1,
    )
    assert s.steps_done == 1
    assert 0 < sum(s.folded) <= 400
    assert s.changes < 30  # those at the top of the barrier; half of all changed by then
    assert np.allclose(s.occupied, 0.5, atol=0.15)


def test_walkers_that_no_step_leads_to_those_at_rest_have_settled():
    """Units that are dead below -2, and around the minimum, where no minibatch leads below -0.5."""
    x, y = np.array([[1.0, -0.7, 2.0, 0.5, -1.5], [1.2, 0.3, 1.5, 0.9, -0.2]])[:, :, None]
    units = Landscape(
        losses=lambda w: (np.maximum(x + w, 0) - y) ** 2 / 2, learning_rate=0.3, domain=(-4, 4)
    )
    parts = [(-4, -2), (-0.52, 0.41)]
    how = {"walkers": 100, "steps": 800, "burn_in": 300, "intervals": parts}
    found = simulate(units, "uniform:-4,4", **how)
    assert not found.reasons
    assert sum(found.probability(*part) for part in parts) == pytest.approx(1)


def test_a_run_that_would_take_days_is_refused():
    process = Diffusion(lambda x: -x, 1.0)
    with pytest.raises(LandscapeError, match=r"50 walkers with 1e\+13 steps take days"):
        simulate(process, walkers=50, steps=10**13, seed=0)


@pytest.mark.parametrize(
    ("drift", "deviation"),
    [(lambda x: -(x**3), 0.6913673390), (lambda x: -x * np.abs(x), 0.6993840307)],
)
def test_walkers_in_a_well_without_a_slope_at_its_rest_point_start_within_it(drift, deviation):
    """They were spread over +-21,000, in steps of 1e-11."""
    state = simulate(Diffusion(drift, 1.0), walkers=500, steps=4000, seed=1)
    assert abs(state.std - deviation) < 4 * state.std_error < 0.05


@pytest.mark.parametrize(
    ("unit", "shift", "convention", "mean"),
    [(1.0, 0.0, "ito", 0.04), (1e-6, 1.0, "stratonovich", 0.12)],
)
def test_a_square_root_process_that_reaches_its_end_is_stepped_in_its_law(
    unit, shift, convention, mean
):
    """Its mean was 15 % high at dt = 0.005, and at half of that. Its law is a gamma one."""
    process = Diffusion(
        lambda x: 2 * (0.04 * unit - (x - shift)),
        lambda x: 0.64 * unit * (x - shift),
        (shift, np.inf),
        convention=convention,
    )
    state = simulate(process, shift + mean * unit, walkers=1000, steps=2000, dt=0.01, seed=0)
    assert abs(state.mean - shift - mean * unit) < 4 * state.mean_error < 0.1 * mean * unit
    deviation = math.sqrt(0.16 * mean) * unit
    assert abs(state.std - deviation) < 4 * state.std_error < 0.1 * deviation
    assert not any("turned back" in note for note in state.notes)


def test_an_end_that_holds_what_reaches_it_is_met_at_the_right_time_in_long_steps():
    """Feller's branching process, dx = sqrt(x) dW: what is left by t is 1 - exp(-2 x0 / t)."""
    process = Diffusion(0, lambda x: x, (0, np.inf))
    state = simulate(process, 0.3, walkers=20_000, steps=3, burn_in=0, dt=0.5, seed=0)
    share, error = state.absorption()[0]
    assert sigmas(share, math.exp(-2 * 0.3 / 1.5), error) < 4


@pytest.mark.parametrize("rest", [-0.3, 0.3, 0.45])
def test_what_is_absorbed_where_the_noise_vanishes_is_so_in_its_law(rest):
    """dx = (rest - x) dt + sqrt(x) dW, absorbed at 0: Euler's error goes as dt^(1 - 2 rest)."""
    process = Diffusion(
        lambda x: rest - x, lambda x: x, (0, np.inf), boundaries=("absorbing", "reflecting")
    )
    state = simulate(process, 0.5, walkers=20_000, steps=1, burn_in=99, dt=0.02, seed=1)
    share, error = state.absorption()[0]
    exact = special.gammaincc(1 - 2 * rest, 0.5 / (0.5 * math.expm1(2)))
    assert sigmas(share, exact, error) < 4


def test_the_convention_decides_whether_an_end_holds_what_reaches_it():
    """dx = sqrt(x) dW of Stratonovich has the drift 1/4: it leaves 0 again, as Ito's does not."""
    process = Diffusion(0, lambda x: x, (0, np.inf), convention="stratonovich")
    state = simulate(process, 0.5, walkers=20_000, steps=1, burn_in=99, dt=0.02, seed=1)
    assert state.absorption()[0][0] < 1e-3
    assert sigmas(state.mean, 0.5 + 2 / 4, state.mean_error) < 4


def test_walkers_that_are_all_absorbed_at_0_have_a_histogram():
    """Their places were subnormal numbers, and the width of a bin was 0 (a ValueError)."""
    process = Diffusion(lambda x: -x, lambda x: x, (0, np.inf))
    assert simulate(process, 0.5, walkers=1000, seed=1).absorption()[0][0] == 1


def test_walkers_that_are_turned_back_where_the_noise_vanishes_are_told_what_a_step_costs():
    """Where it vanishes as another power, no law of a step is known."""
    process = Diffusion(lambda v: 2 * (0.04 - v), lambda v: 0.1 * np.sqrt(v), (0, np.inf))
    state = simulate(process, 0.04, walkers=50, steps=400, dt=0.005, seed=0)
    assert "the noise vanishes at x = 0, where walkers are turned back" in " ".join(state.notes)


def test_a_share_that_few_walkers_saw_is_known_no_better_than_to_one_of_them():
    """Visits of 113 steps, once in 494,277: a million steps of 500 walkers see two, or none."""
    from stationary.simulation.streams import _share

    rng = np.random.default_rng(0)
    off = []
    for _ in range(200):
        shares = np.zeros((1, 500))
        for walker in rng.integers(500, size=rng.poisson(2)):
            shares[0, walker] += min(rng.exponential(113), rng.uniform(0, 2000)) / 2000
        mean, error = _share(shares)
        off.append(abs(mean[0] - 2 * 113 / 1e6) / error[0])
    assert np.quantile(off, 0.99) < 3
    many = rng.beta(0.5, 8, size=(1, 500))
    assert _share(many)[1][0] == pytest.approx(many.std(ddof=1) / math.sqrt(500))
