"""Sweeps: rows against analyses, crossovers against quadrature, executors against each other."""

from __future__ import annotations

import csv
import io
import json
import math
import pickle
import re
import time
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from threading import Lock

import flint
import mpmath
import numpy as np
import pytest

from stationary import (
    Diffusion,
    Landscape,
    LandscapeError,
    UserFunctionError,
    analyze,
    end_state,
    load,
    sweep,
    table,
)
from stationary.errors import StationaryError
from stationary.progress import processes
from stationary.sweeps.answers import Answer, Minimum, Points, labels_of
from stationary.sweeps.family import Family
from stationary.sweeps.quantities import QUANTITIES
from stationary.sweeps.resume import table_in

EXAMPLES = Path(__file__).parent.parent / "examples"
FAMILY = str(EXAMPLES / "family.py")
FORKED = str(EXAMPLES / "noisy_double_well.py")
INF = math.inf

# Even noise: S2 = 1, so P ~ exp(-2 L / (T c)); the loss is a polynomial that mpmath can integrate.
TILTED = """
learning_rate = 0.1
domain = (-2, 2.5)
parameters = {"tilt": 0.05, "bend": 0.3}

def gradients(w, tilt, bend):
    slope = 4 * w * (w**2 - 1) + tilt + bend * (3 * (w**2 - 1))
    return slope - 1, slope + 1
"""
GENES = """
domain = (0, 1)
parameters = {"s": 1.0}
initial = 0.3
def drift(x, s):
    return s * x * (1 - x)
def variance(x):
    return x * (1 - x)
"""
FORK = """
domain = (-3, 3)
parameters = {"c": 1.0}
variance = 0.5
def drift(x, c):
    return c * x - x**3 + 0.01
"""


def log_ratio(loss, left, right):
    """log of int e^-loss from the first of some points to the last, over that along others."""
    with flint.ctx.workdps(40):

        def mass(points):
            cuts = pairwise(map(flint.arb, points))
            return sum(
                flint.acb.integral(lambda w, _: (-loss(w)).exp(), a, b).real for a, b in cuts
            )

        return mpmath.mpf((mass(left) / mass(right)).log().str(30, radius=False))


def tilted_log_ratio(heat, tilt=0.05, bend=0.3):
    """log of the mass left over that right of the top, at T c = heat, by quadrature."""
    with mpmath.workdps(30):
        heat, tilt, bend = map(mpmath.mpf, (heat, tilt, bend))
        near = np.sort(np.roots([4, 3 * float(bend), -4, float(tilt - 3 * bend)]).real)

        def slope(w):
            return 4 * w * (w**2 - 1) + tilt + bend * 3 * (w**2 - 1)

        def loss(w):
            return 2 / h * ((w**2 - 1) ** 2 + t * w + c * (w**3 - 3 * w))

        h, t, c = map(flint.arb, (heat, tilt, bend))
        roots = [mpmath.findroot(slope, float(x)) for x in near]
        return log_ratio(loss, [-2, *roots[:2]], [*roots[1:], 2.5])


def family_log_ratio(heat, sharpness):
    """The same for the example family, whose noise is even, too."""
    with mpmath.workdps(30):
        sharpness, depth = mpmath.mpf(sharpness), 1.04
        near = np.linspace(0, 1, 2001)

        def slope(w):
            wide = (w + 1.5) / 0.75 * mpmath.exp(-((w + 1.5) ** 2) / 1.5)
            return wide + 2 * depth * sharpness * (w - 1) * mpmath.exp(-sharpness * (w - 1) ** 2)

        def loss(w):
            wide = (-((w + 1.5) ** 2) / 1.5).exp()
            return -2 / h * (wide + d * (-s * (w - 1) ** 2).exp())

        h, s, d = map(flint.arb, (heat, sharpness, depth))
        narrow = depth * np.exp(-float(sharpness) * (near - 1) ** 2)
        top = near[np.argmin(np.exp(-((near + 1.5) ** 2) / 1.5) + narrow)]
        top = mpmath.findroot(slope, float(top))
        return log_ratio(loss, [-4, -1.5, top], [top, 1, 3])


def crossover_by_quadrature(function, near):
    """By secants from two places beside it: each evaluation is an integral of 40 digits."""
    with mpmath.workdps(30):
        beside = mpmath.mpf(near) * (1 + mpmath.mpf("1e-8"))
        return mpmath.findroot(function, (near, beside), solver="secant", tol=1e-20)


# -- rows -----------------------------------------------------------------------------------------


def test_rows_agree_with_single_analyses_to_within_their_errors():
    rates, sizes = [0.05, 0.2, 0.8, 1.5], [1, 3]
    found = sweep(EXAMPLES / "two_minima.py", learning_rate=rates, batch_size=sizes,
                  replacement=[True, False])  # fmt: skip
    assert len(found.rows) == 16
    for row in found.rows:
        given = {"learning_rate": row.learning_rate, "batch_size": row.batch_size}
        one = analyze(EXAMPLES / "two_minima.py", replacement=row.replacement, **given)
        state = one.end_state
        assert row.status == "converged"
        assert row.mean == pytest.approx(state.mean(), abs=row.mean_error + state.mean_error)
        assert row.std == pytest.approx(state.std(), abs=row.std_error + state.std_error)
        for basin, m in zip(one.basins, row.minima.values(), strict=True):
            assert m.log_mass == pytest.approx(basin.log_mass, abs=m.mass_error + basin.mass_error)
            assert m.position == pytest.approx(basin.position, abs=1e-13)
            assert m.log_density == pytest.approx(basin.log_density, abs=1e-10)


@pytest.mark.parametrize("rates", [[0.3], [0.1, 0.2, 0.3, 0.4]])
def test_errors_of_masses_are_true(write, rates):
    """One learning rate is solved by itself, four by one sampling; both against quadrature."""
    found = sweep(write(TILTED), learning_rate=rates, batch_size=[1, 4])
    for row in found.rows:
        exact = tilted_log_ratio(mpmath.mpf(row.learning_rate) / row.batch_size)
        left, right = row.minima.values()
        difference = float(mpmath.mpf(left.log_mass) - mpmath.mpf(right.log_mass) - exact)
        assert abs(difference) <= left.mass_error + right.mass_error
        assert left.mass_error < 1e-11


def test_rows_come_in_the_order_of_the_axes_and_values_are_sorted(write):
    found = sweep(write(TILTED), learning_rate=[0.2, 0.1], batch_size=(2, 1, 2),
                  parameters={"tilt": [0.1, 0.0], "bend": 0.3})  # fmt: skip
    assert list(found.axes) == ["tilt", "bend", "replacement", "batch_size", "learning_rate"]
    assert found.swept == ("tilt", "batch_size", "learning_rate")
    seen = [(r.parameters["tilt"], r.batch_size, r.learning_rate) for r in found.rows]
    assert seen == sorted(seen)
    assert len(seen) == 8


def test_light_minima_of_the_pit_have_true_logarithms():
    """The pit holds e^-1e79: an error of 1e63 there is the rounding of a double."""
    found = sweep(EXAMPLES / "pit.py", learning_rate=0.05)
    light = found.rows[0].minima[0]
    assert light.log_mass == pytest.approx(-3.6773920826e79, rel=1e-10)
    assert 5e-17 < light.mass_error / -light.log_mass < 1e-15
    said = " ".join(found.summary().split())
    assert re.search(r"right to (9e-17|1e-16) of itself, or of its logarithm", said)


def test_what_is_not_swept_is_as_the_file_says():
    found = sweep(EXAMPLES / "two_minima.py", batch_size=[1, 2])
    assert [r.learning_rate for r in found.rows] == [0.1, 0.1]
    assert [r.replacement for r in found.rows] == [True, True]


def test_the_table_has_a_column_for_each_name_and_a_number_for_each_row():
    found = sweep(FAMILY, learning_rate=[0.01, 0.05], parameters={"sharpness": [30, 100]})
    table = found.table()
    assert found.columns == tuple(table)
    assert list(table)[:4] == ["learning_rate", "batch_size", "replacement", "sharpness"]
    assert {len(column) for column in table.values()} == {4}
    np.testing.assert_allclose(table["mass_0"] + table["mass_1"], 1, rtol=1e-12)
    np.testing.assert_array_equal(table["mass_1"] > table["mass_0"], table["dominant"] == 1)
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    for name in ("mass_0", "log_density_1", "mean"):
        np.testing.assert_array_equal([float(r[name]) for r in rows], table[name])
    data = json.loads(found.to_json())
    assert [r["log_mass_0"] for r in data["rows"]] == table["log_mass_0"].tolist()
    assert data["complete"] is True


def test_points_that_cannot_be_computed_keep_their_row_with_the_reason():
    found = sweep(EXAMPLES / "two_minima.py", learning_rate=[0.1, 0.2, 0.4], batch_size=[2, 4, 8],
                  replacement=False)  # fmt: skip
    lost = [r for r in found.rows if r.status == "failed"]
    assert [r.batch_size for r in lost] == [4, 4, 4, 8, 8, 8]
    assert "has no noise" in lost[0].reason
    assert "cannot be drawn" in lost[-1].reason
    assert all(math.isnan(r.mean) and r.minima == {} and r.dominant is None for r in lost)
    assert "6 points" not in found.summary()
    assert "3 points, the first at batch_size = 8" in " ".join(found.summary().split())
    row = list(csv.DictReader(io.StringIO(found.to_csv())))[-1]
    assert (row["mass_0"], row["dominant"], row["mean"]) == ("", "", "")


def test_parameters_at_which_the_file_fails_keep_their_rows(write):
    text = TILTED.replace(
        "    slope", "    if bend == 2: raise ZeroDivisionError('bent')\n    slope"
    )
    found = sweep(write(text), parameters={"bend": [0.1, 2, 0.3]}, learning_rate=[0.1, 0.2])
    assert [r.status for r in found.rows] == ["converged"] * 4 + ["failed"] * 2
    assert "bent" in found.rows[-1].reason
    assert "\n" not in found.rows[-1].reason


def test_where_there_is_no_end_state_the_reason_says_where_it_goes(write):
    path = write("parameters = {'k': 1.0}\nvariance = 1.0\ndef drift(x, k):\n    return -k * x\n")
    found = sweep(path, parameters={"k": [-1.0, 0.0, 1.0]})
    assert [r.status for r in found.rows] == ["not_normalisable"] * 2 + ["converged"]
    assert all(r.reason for r in found.rows[:2])
    assert found.rows[2].std == pytest.approx(math.sqrt(0.5), rel=1e-12)
    assert "learning_rate" not in found.columns


def test_tails_too_heavy_for_a_deviation_are_said_to_be(write):
    """f = -k x, a = 1 + x^2 is Student's law with 2 k + 1 degrees of freedom."""
    text = "parameters = {'k': 1.0}\ndef variance(x):\n    return 1 + x**2\n"
    path = write(text + "def drift(x, k):\n    return -k * x\n")
    found = sweep(path, parameters={"k": [0.25, 2.0]})
    assert found.rows[0].std == math.inf
    assert "too heavy for a standard deviation" in found.rows[0].reason
    assert found.rows[1].reason == ""
    assert json.loads(found.to_json())["rows"][0]["std"] is None


def test_traps_count_like_minima_and_need_a_start(write):
    """The probability of fixation from p is (1 - e^-2sp) / (1 - e^-2s)."""
    s = np.array([0.5, 1.5, 3.0])
    found = sweep(write(GENES), parameters={"s": s})
    fixed = -np.expm1(-2 * s * 0.3) / -np.expm1(-2 * s)
    np.testing.assert_allclose(found.table()["mass_1"], fixed, rtol=1e-12)
    assert {m.kind for r in found.rows for m in r.minima.values()} == {"trap"}
    (c,) = found.crossovers
    exact = crossover_by_quadrature(
        lambda x: (1 - mpmath.exp(-0.6 * x)) / (1 - mpmath.exp(-2 * x)) - 0.5, c.value
    )
    assert c.axis == "s"
    assert abs(c.value - float(exact)) <= c.error < 1e-10
    homeless = sweep(write(GENES.replace("initial = 0.3\n", "")), parameters={"s": s})
    assert {r.dominant for r in homeless.rows} == {None}
    assert all("depends on where it starts" in r.reason for r in homeless.rows)
    given = sweep(write(GENES.replace("initial = 0.3\n", "")), parameters={"s": s}, initial=0.3)
    assert given.to_csv() == found.to_csv()


def test_minima_that_hold_the_same_have_no_winner(write):
    path = write(TILTED.replace('"tilt": 0.05, "bend": 0.3', '"tilt": 0.0, "bend": 0.0').replace(
        "(-2, 2.5)", "(-2, 2)"))  # fmt: skip
    found = sweep(path, learning_rate=[0.1, 0.2, 0.3])
    assert [r.dominant for r in found.rows] == [None] * 3
    assert found.rows[0].reason == "minima 0 and 1 hold the same to within the error"
    assert found.crossovers == ()


def test_digits_are_used_and_rounded_in_the_end(write):
    found = sweep(write(TILTED), learning_rate=0.1, digits=25)
    left, right = found.rows[0].minima.values()
    exact = tilted_log_ratio(mpmath.mpf(0.1))
    lost = abs(left.log_mass - mpmath.mpf(right.log_mass) - exact)
    assert lost <= left.mass_error + right.mass_error < 2e-15


# -- crossovers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sharpness", [20.0, 300.0])
def test_a_crossover_is_where_quadrature_has_it_to_ten_digits(sharpness):
    rates = np.geomspace(0.005, 0.5, 12)
    found = sweep(FAMILY, learning_rate=rates, batch_size=[1, 2, 5],
                  parameters={"sharpness": sharpness})  # fmt: skip
    assert len(found.crossovers) == 3
    near = found.crossovers[0].value / found.crossovers[0].fixed["batch_size"]
    exact = crossover_by_quadrature(lambda h: family_log_ratio(h, sharpness), near)
    for c in found.crossovers:
        assert (c.axis, c.below, c.above) == ("learning_rate", 1, 0)
        true = exact * c.fixed["batch_size"]
        assert abs(c.value - true) <= c.error < 1e-10 * c.value
        assert c.between[0] < c.value < c.between[1]
        assert c.log_mass == pytest.approx(-math.log(2), abs=1e-9)


def test_along_a_parameter_a_crossover_is_where_quadrature_has_it():
    found = sweep(FAMILY, learning_rate=0.04, parameters={"sharpness": [10, 100, 1000]})
    (c,) = found.crossovers
    exact = crossover_by_quadrature(lambda s: family_log_ratio(0.04, s), c.value)
    assert (c.axis, c.below, c.above, c.between) == ("sharpness", 1, 0, (100, 1000))
    assert abs(c.value - exact) <= c.error < 1e-10 * c.value


def test_the_same_temperature_gives_the_same_crossover_without_replacement(write):
    """T c at the crossover is the same, where c = 1 / B or (N - B) / (B (N - 1))."""
    text = (
        Path(FAMILY)
        .read_text()
        .replace("return loss - w, loss + w", "return 2 * (loss - w, loss + w)")
    )
    found = sweep(write(text), learning_rate=np.geomspace(0.01, 1, 20), batch_size=[1, 2, 3],
                  replacement=[False, True])  # fmt: skip
    heats = []
    for c in found.crossovers:
        b = c.fixed["batch_size"]
        heats.append(c.value / b * (1 if c.fixed["replacement"] else (4 - b) / 3))
    assert len(heats) == 6
    np.testing.assert_allclose(heats, heats[0], rtol=1e-15)


def test_along_a_parameter_a_crossover_is_found_too(write):
    """With its bend undone and the ends mirrored, the tilted well is even at no tilt."""
    path = write(TILTED.replace("(-2, 2.5)", "(-2, 2)"))
    found = sweep(path, parameters={"tilt": [-0.2, -0.07, 0.1], "bend": 0.0}, learning_rate=0.3)
    (c,) = found.crossovers
    assert (c.axis, c.below, c.above) == ("tilt", 1, 0)
    assert abs(c.value) <= c.error < 1e-13
    assert c.between == (-0.07, 0.1)


def test_a_crossover_at_a_point_of_the_grid_is_found_once(write):
    path = write(TILTED.replace("(-2, 2.5)", "(-2, 2)"))
    found = sweep(path, parameters={"tilt": [-0.2, 0.0, 0.1], "bend": 0.0}, learning_rate=0.3)
    (c,) = found.crossovers
    assert abs(c.value) <= c.error
    assert found.rows[1].dominant is None


def test_solving_each_point_by_itself_gives_the_same_crossovers(monkeypatch):
    given = {"learning_rate": np.geomspace(0.01, 0.2, 6), "batch_size": [1, 2]}
    quick = sweep(FAMILY, **given)
    monkeypatch.setattr(Family, "kernel", None)
    slow = sweep(FAMILY, **given)
    assert len(quick.crossovers) == len(slow.crossovers) == 2
    for a, b in zip(quick.crossovers, slow.crossovers, strict=True):
        assert abs(a.value - b.value) <= a.error + b.error
        assert (a.below, a.above, a.between, a.fixed) == (b.below, b.above, b.between, b.fixed)


def test_a_third_minimum_that_wins_in_between_has_two_crossovers():
    """Three wells of exponents that cross one after the other as it gets colder."""
    from stationary.sweeps.crossover import crossings_between

    def answer_at(x):
        logs = np.array([2 - 2 * x, 1.6 - x, 0.0])
        logs = logs - np.log(np.exp(logs).sum())
        return Answer("converged", minima=tuple(
            Minimum(i, "minimum", float(m), 1e-14, 0.0) for i, m in enumerate(logs)
        ))  # fmt: skip

    first, second = crossings_between(answer_at, (0.0, 5.0), (answer_at(0.0), answer_at(5.0)))
    assert (first.first, first.second, second.first, second.second) == (0, 1, 1, 2)
    assert abs(first.value - 0.4) <= first.error < 1e-12
    assert abs(second.value - 1.6) <= second.error < 1e-12


def test_where_a_minimum_vanishes_its_crossover_is_given_up_with_a_reason(write):
    """f = c x - x^3 + 0.01 has one stable zero for c < 0 and two above: the right one wins."""
    found = sweep(write(FORK), parameters={"c": [-1.0, -0.5, 1.0, 2.0]}, min_barrier=0)
    assert [len(r.minima) for r in found.rows] == [1, 1, 2, 2]
    assert all(not math.isnan(c.value) or c.reason for c in found.crossovers)
    assert found.labels == (0, 1)


# -- labels ---------------------------------------------------------------------------------------


def test_minima_of_constant_number_are_numbered_from_left_to_right():
    assert labels_of({(0,): [1.0, 2.0], (1,): [5.0, 9.0]}) == {(0,): (0, 1), (1,): (0, 1)}


def test_a_minimum_that_appears_gets_a_label_of_its_own_and_the_others_keep_theirs():
    found = labels_of({(0,): [2.0], (1,): [2.1], (2,): [-1.0, 2.2], (3,): [-1.1, 2.2]})
    assert found == {(0,): (1,), (1,): (1,), (2,): (0, 1), (3,): (0, 1)}


def test_a_label_is_found_again_along_the_other_axis():
    """The left minimum is missing at (1, 0) only: at (1, 1) it is that of (0, 1)."""
    found = labels_of({(0, 0): [-1, 1], (0, 1): [-1, 1], (1, 0): [1], (1, 1): [-1, 1]})
    assert found[(1, 0)] == (1,)
    assert found[(1, 1)] == (0, 1)


# -- executors ------------------------------------------------------------------------------------


GRID = {"learning_rate": [0.01, 0.03, 0.05, 0.1], "parameters": {"sharpness": [10, 100, 1000]}}


@pytest.fixture(name="alone", scope="module")
def _alone():
    return sweep(FAMILY, **GRID)


def test_processes_give_the_same_digits(alone):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert sweep(FAMILY, executor=pool, **GRID).to_json() == alone.to_json()
        # One combination whose points are solved one by one, with its crossover.
        few = {"learning_rate": [0.03, 0.1]}
        assert sweep(FAMILY, executor=pool, **few).to_json() == sweep(FAMILY, **few).to_json()
        # Functions of this test are sent by value; what they hold cannot always be.
        rates = {"k": [1.0, 2.0]}
        made, asked = (
            (lambda k: Diffusion(lambda x: -k * x, 1.0, (-9, 9))),
            {"s": lambda a: a.end_state.std()},
        )
        own = sweep(made, rates, quantities=asked, executor=pool)
        assert own.to_json() == sweep(made, rates, quantities=asked).to_json()
        lock = Lock()
        unsendable = Landscape(
            losses=lambda w: (w**2 + (lock is None), (w - 1) ** 2), learning_rate=0.1
        )
        with pytest.raises(LandscapeError, match="Write them into a file and pass its path"):
            sweep(unsendable, learning_rate=[0.1, 0.2], executor=pool)


def test_threads_give_the_same_digits_also_for_functions_of_this_process(alone):
    with ThreadPoolExecutor(4) as pool:
        assert sweep(FAMILY, executor=pool, **GRID).to_json() == alone.to_json()
        local = Landscape(losses=lambda w: (w**2, (w - 1) ** 2), learning_rate=0.1, domain=(-3, 3))
        rates = [0.1, 0.2, 0.3]
        one = sweep(local, learning_rate=rates)
        assert sweep(local, learning_rate=rates, executor=pool).to_json() == one.to_json()


def test_a_dask_cluster_gives_the_same_digits(alone):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = sweep(FAMILY, executor=client.get_executor(), **GRID)
    assert found.to_json() == alone.to_json()


def test_an_executor_that_remembers_calls_is_asked_again(write):
    """As Dask does, also of a call that ended with its worker."""
    path = write(TILTED)
    known = {}

    class Remembering(ThreadPoolExecutor):
        dies = True

        def submit(self, function, /, *arguments):
            key = pickle.dumps((function, arguments))
            if key not in known:
                known[key] = super().submit(function, *arguments)
                if self.dies and len(known) == 2:
                    known[key] = Future()
                    known[key].set_exception(BrokenExecutor("it is gone"))
            return known[key]

    with Remembering(1) as pool:
        first = sweep(path, parameters={"tilt": [0.0, 0.1, 0.2]}, executor=pool)
        assert "it is gone" in first.stopped
        assert len(first.rows) == 2
        pool.dies = False
        assert sweep(path, {"tilt": [0.0, 0.1, 0.2]}, executor=pool, resume=first).complete


def test_what_is_no_executor_is_refused(write):
    with pytest.raises(LandscapeError, match=r"client\.get_executor\(\)"):
        sweep(write(TILTED), {"tilt": [0.0, 0.1]}, executor="dask")


def test_the_file_is_sent_as_text_and_need_not_be_where_the_worker_is(write, monkeypatch):
    path = write(TILTED)
    expected = sweep(path, parameters={"tilt": [0.0, 0.1]})

    class Elsewhere(ThreadPoolExecutor):
        def submit(self, function, /, *arguments):
            path.unlink(missing_ok=True)
            return super().submit(function, *arguments)

    with Elsewhere(1) as pool:
        found = sweep(path, parameters={"tilt": [0.0, 0.1]}, executor=pool)
    assert found.to_json() == expected.to_json()


def test_progress_counts_up_to_all_points(write):
    seen = []
    sweep(write(TILTED), learning_rate=[0.1, 0.2], parameters={"tilt": [0, 0.1, 0.2]},
          progress=lambda done, total: seen.append((done, total)))  # fmt: skip
    assert seen == [(2, 6), (4, 6), (6, 6)]


def test_an_interrupt_keeps_what_is_done(write):
    def progress(done, total):
        if done == 4:
            raise KeyboardInterrupt

    found = sweep(write(TILTED), learning_rate=[0.1, 0.2], parameters={"tilt": [0, 0.1, 0.2]},
                  progress=progress)  # fmt: skip
    assert not found.complete
    assert found.interrupted
    assert [r.parameters["tilt"] for r in found.rows] == [0, 0, 0.1, 0.1]
    assert "Not complete: it was interrupted when 4 points were done." in found.summary()
    found.plot()


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "nothing to sweep"),
        ({"learning_rate": []}, "learning_rate: 0 values came"),
        ({"learning_rate": [0.1, -1]}, "learning_rate: -1 came"),
        ({"learning_rate": "0.1"}, "learning_rate: '0.1' came"),
        ({"batch_size": [1.5]}, "positive whole numbers"),
        ({"replacement": "yes"}, "must be True, False, or both"),
        ({"parameters": {"sharpnes": [1, 2]}}, "Did you mean sharpness"),
        ({"parameters": {"sharpness": ["a"]}}, "sharpness: 'a' came"),
        ({"parameters": [1, 2]}, "must be a dictionary"),
        ({"parameters": {"mass_0": [1, 2]}}, "mass_0 is also the name of a column"),
        ({"learning_rate": range(1, 20000), "batch_size": range(1, 100)}, "is too large"),
        ({"learning_rate": [0.1], "digits": 0}, "digits"),
        ({"learning_rate": [0.1], "initial": "nowhere.txt"}, "nowhere.txt"),
    ],
)
def test_a_mistake_is_told_before_anything_is_computed(changes, message):
    with pytest.raises(LandscapeError, match=message):
        sweep(FAMILY, **changes)


def test_sources_that_have_nothing_to_sweep_are_refused(write):
    with pytest.raises(LandscapeError, match="not 3"):
        sweep(3, learning_rate=[0.1])
    walk = Diffusion(drift=lambda x: -x, variance=1.0, domain=(-3, 3))
    with pytest.raises(LandscapeError, match="Pass the path of a file with parameters"):
        sweep(walk, learning_rate=[0.1])
    with pytest.raises(LandscapeError, match="can only be swept for a file"):
        sweep(load(FAMILY), parameters={"sharpness": [1, 2]})
    with pytest.raises(LandscapeError, match="does not apply to a process"):
        sweep(write(GENES), learning_rate=[0.1])
    with pytest.raises(LandscapeError, match="does not apply to a process"):
        sweep(write(GENES), batch_size=[1, 2])


def test_other_values_can_be_replaced_too():
    given = {"learning_rate": [0.1, 0.2], "domain": (-3, 2.5), "convention": "stratonovich"}
    for source in (EXAMPLES / "two_minima.py", load(EXAMPLES / "two_minima.py")):
        row = sweep(source, **given).rows[0]
        one = analyze(EXAMPLES / "two_minima.py", domain=(-3, 2.5), convention="stratonovich")
        assert row.minima[0].log_mass == pytest.approx(one.basins[0].log_mass, abs=1e-12)
        with pytest.raises(LandscapeError, match="zzz"):
            sweep(source, zzz=3, **given)


def test_the_order_in_which_points_are_asked_for_changes_nothing(write):
    process = load(write(TILTED))
    points = Points((0.1, 0.2, 0.4, 0.8), (1,), (True,))
    forward = Family(process, points)
    answers = forward.solve()
    backward = Family(process, points)
    backward.at(backward.inverse_temperature(points[3]), points[3])
    assert [*backward.solve()] == [*answers]


# -- pictures and the command ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": [0.05]},
        {"learning_rate": np.geomspace(0.01, 0.1, 5)},
        {"learning_rate": np.geomspace(0.01, 0.1, 5), "parameters": {"sharpness": [10, 30, 90]}},
        {"learning_rate": [0.01, 0.05], "batch_size": [1, 2], "replacement": [True, False]},
        {"batch_size": [1, 2], "replacement": False},
        {"learning_rate": 0.05, "parameters": {"sharpness": [10, 1000]}},
        {"replacement": [True, False]},
    ],
)
def test_every_shape_of_sweep_can_be_drawn_and_told(changes, tmp_path):
    found = sweep(FAMILY, **changes)
    found.plot(tmp_path / "phases.svg")
    text = found.summary()
    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r"\bnan\b", text)
    assert str(len(found.rows)) in repr(found)


def test_the_boundary_in_the_figure_runs_through_the_crossovers():
    found = sweep(FAMILY, learning_rate=np.geomspace(0.02, 0.2, 9),
                  parameters={"sharpness": np.geomspace(30, 300, 4)})  # fmt: skip
    (axes,) = found.plot().axes
    drawn = np.concatenate([np.c_[line.get_data()] for line in axes.lines if len(line.get_xdata())])
    expected = [(c.value, c.fixed["sharpness"]) for c in found.crossovers]
    np.testing.assert_array_equal(drawn, expected)
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_the_command_prints_writes_and_draws(run, tmp_path):
    table, figure = tmp_path / "phases.csv", tmp_path / "phases.png"
    arguments = ["sweep", FAMILY, "--set", "sharpness=10:1000:3:log", "-T", "0.01,0.05"]
    code, out, err = run(*arguments, "--csv", table, "--plot", figure)
    assert (code, err) == (0, "")
    given = {"parameters": {"sharpness": np.geomspace(10, 1000, 3)}, "learning_rate": [0.01, 0.05]}
    found = sweep(FAMILY, **given)
    assert out == found.summary() + "\n"
    assert table.read_text() == found.to_csv()
    assert figure.read_bytes().startswith(b"\x89PNG")
    code, out, _ = run(*arguments, "--json", "--jobs", "2")
    assert (code, json.loads(out)) == (0, found.to_dict())


def test_both_kinds_of_drawing_can_be_compared_on_the_command_line(run):
    path = str(EXAMPLES / "two_minima.py")
    code, out, _ = run("sweep", path, "--replacement", "--no-replacement", "--json")
    assert code == 0
    assert json.loads(out)["axes"]["replacement"] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learning-rate", "1:0:5"], "as in 1e-3:1e-1:50:log"),
        (["--learning-rate", "-1:1:5:log"], "-1 has no place"),
        (["--learning-rate", "0:1:5"], "every value must be positive"),
        (["--batch-size", "1:2:5"], "as in 1,2,4,8"),
        (["--set", "sharpness"], "NAME=VALUE"),
        (["--set", "sharpness=1:2:0"], "as in --set sharpness=10:1000:30:log"),
        (["--set", "sharp=1,2"], "Did you mean sharpness"),
        ([], "nothing to sweep"),
        (["-T", "0.1", "--plot", "x.gif"], ".png"),
        (["-T", "0.1", "--csv", "nowhere/x.csv"], "nowhere"),
    ],
)
def test_a_wrong_command_gets_a_message_and_code_1(run, arguments, message):
    code, out, err = run("sweep", FAMILY, *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("stationary: ")
    assert message in " ".join(err.split())
    assert "Traceback" not in err


def test_ctrl_c_keeps_the_rows_that_are_done(run, write, tmp_path):
    text = TILTED.replace("    slope", "    if tilt > 0.15: raise KeyboardInterrupt\n    slope", 1)
    table = tmp_path / "phases.csv"
    code, out, err = run("sweep", write(text), "--set", "tilt=0:0.3:4", "--csv", table)
    assert code == 130
    assert err.startswith("stationary: it was interrupted; 2 points are done and kept; --resume")
    assert len(table.read_text().splitlines()) == 3
    assert "Not complete" in out


def test_processes_still_at_work_are_given_up_without_a_word(capfd):
    begin = time.monotonic()
    with processes(2) as pool:
        tasks = [pool.submit(time.sleep, 300) for _ in range(8)]
        while not tasks[0].running():
            time.sleep(0.01)
        for task in tasks:  # as an interrupt does
            task.cancel()
    assert time.monotonic() - begin < 60
    assert capfd.readouterr() == ("", "")


def test_rates_that_no_sampling_serves_together_are_solved_one_by_one():
    """At the largest rates the tails are too heavy for the panels of the others."""
    from stationary import Landscape

    landscape = Landscape(
        gradients=lambda w: (w + 0.7, w + 1.0, -0.7 * w), learning_rate=1.0, batch_size=2
    )
    rates = np.geomspace(0.01, 1, 4)
    found = sweep(landscape, learning_rate=rates)
    assert found.complete
    for row in found.rows:
        (basin,) = analyze(landscape, learning_rate=row.learning_rate).basins
        assert row.minima[0].log_mass == pytest.approx(float(basin.log_mass), abs=1e-10)
        assert row.minima[0].log_density == pytest.approx(float(basin.log_density), abs=1e-10)


# -- many rates -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["two_minima.py", "family.py"])
def test_any_of_a_thousand_rates_is_what_an_analysis_of_its_own_says(name):
    rates = np.geomspace(0.01, 0.5, 1000)
    found = sweep(EXAMPLES / name, learning_rate=rates, min_barrier=0)
    assert {r.status for r in found.rows} == {"converged"}
    for i in (0, 1, 137, 500, 862, 999):
        row = found.rows[i]
        one = analyze(EXAMPLES / name, learning_rate=row.learning_rate, min_barrier=0)
        state = one.end_state
        assert abs(row.mean - state.mean()) <= row.mean_error + state.mean_error
        assert abs(row.std - state.std()) <= row.std_error + state.std_error
        assert row.mean_error + row.std_error < 1e-11
        for basin, m in zip(one.basins, row.minima.values(), strict=True):
            assert abs(m.log_mass - basin.log_mass) <= m.mass_error + basin.mass_error
            assert m.mass_error < 1e-13 * (1 + abs(m.log_mass))
            assert m.log_density == pytest.approx(basin.log_density, abs=1e-11)


def test_masses_at_many_rates_are_right_within_their_errors_by_quadrature(write):
    found = sweep(write(TILTED), learning_rate=np.geomspace(0.05, 2, 300), min_barrier=0)
    for i in (0, 77, 150, 299):
        row = found.rows[i]
        left, right = row.minima.values()
        exact = tilted_log_ratio(mpmath.mpf(row.learning_rate))
        difference = abs(float(mpmath.mpf(left.log_mass) - mpmath.mpf(right.log_mass) - exact))
        assert difference <= left.mass_error + right.mass_error < 1e-11


def test_the_losses_are_not_run_more_often_for_more_rates():
    runs = []

    def losses(w):
        runs.append(np.size(w))
        mean = (w**2 - 1) ** 2 + 0.1 * w
        return mean - w, mean + w

    landscape = Landscape(losses=losses, learning_rate=0.1, domain=(-2, 2))
    counts = []
    for n in (10, 20_000):
        runs.clear()
        found = sweep(landscape, learning_rate=np.geomspace(0.01, 0.5, n))
        assert len(found.rows) == n
        counts.append(sum(runs))
    assert counts[0] == counts[1]


def test_a_minimum_that_is_a_part_of_another_one_everywhere_is_not_listed():
    """It had a label of its own, which no point has: the report ended in a traceback."""
    ripples = Landscape(
        losses=lambda w: [w**2 / 8 - np.cos(9 * w) / 30 + s * w for s in (-1, 1)],
        learning_rate=0.1,
        domain=(-4, 4),
    )
    found = sweep(ripples, learning_rate=np.geomspace(0.1, 1, 5))
    assert all("minimum" in kinds for kinds in found.kinds.values())
    assert {*found.table()["dominant"]} == {*found.labels}
    assert "dominates at" in found.render("text")


def test_where_minima_are_one_basin_a_row_says_what_an_analysis_says():
    """Its barrier is below 1 in the exponent at the hot rates: two minima become one basin."""
    rates = np.geomspace(0.05, 20, 40)
    found = sweep(EXAMPLES / "two_minima.py", learning_rate=rates)
    counts = [len(r.minima) for r in found.rows]
    assert counts == sorted(counts, reverse=True)
    assert set(counts) == {1, 2}
    assert found.labels == (0, 1)
    for i in (0, counts.index(1) - 1, counts.index(1), 39):
        row = found.rows[i]
        basins = analyze(EXAMPLES / "two_minima.py", learning_rate=row.learning_rate).basins
        for basin, m in zip(basins, row.minima.values(), strict=True):
            assert m.position == pytest.approx(basin.position, abs=1e-12)
            assert abs(m.log_mass - basin.log_mass) <= m.mass_error + basin.mass_error
    table = found.table()
    assert np.isnan(table["mass_1"]).tolist() == [n == 1 for n in counts]
    assert found.crossovers == ()
    apart = sweep(EXAMPLES / "two_minima.py", learning_rate=rates, min_barrier=0)
    assert {len(r.minima) for r in apart.rows} == {2}


def test_rows_are_a_sequence_like_any_other():
    found = sweep(FAMILY, learning_rate=[0.01, 0.02, 0.05])
    assert found.rows[-1].learning_rate == 0.05
    assert [r.learning_rate for r in found.rows[1:]] == [0.02, 0.05]
    with pytest.raises(IndexError):
        found.rows[3]


# -- any quantity, of anything that can be made ---------------------------------------------------


def test_quantities_are_columns_with_errors_and_are_what_analyses_say():
    def well(k):
        return Diffusion(lambda x: k * x - x**3, 0.1, (-3, 3), name="well")

    asked = ["exit_time", "barrier_right", "entropy"]
    found = sweep(well, {"k": [0.7, 1.0]}, quantities=asked)
    table = found.table()
    for i, k in enumerate((0.7, 1.0)):
        one = analyze(well(k))
        for j, basin in enumerate(one.basins):
            assert table[f"exit_time_{j}"][i] == pytest.approx(basin.exit_time, rel=1e-12)
        # int 2 f / a from the minimum at -sqrt(k) to the top at 0 is k^2 / 2 / 0.1.
        assert abs(table["barrier_right_0"][i] - k**2 / 0.2) <= table["barrier_right_0_error"][i]
        assert table["entropy"][i] == one.end_state.entropy()
    assert np.isnan(table["barrier_right_1"]).all() if "barrier_right_1" in table else True
    assert "exit_time_0" in found.summary()
    again = sweep(well, {"k": [0.7, 1.0]}, quantities=asked, resume=found)
    assert again == found


@pytest.mark.parametrize(
    ("batch_size", "rates"),
    [(1, np.geomspace(0.02, 0.1, 5)), (2, np.linspace(0.05, 0.3, 9)), (5, np.geomspace(0.1, 1, 5))],
)
def test_exit_times_grow_with_the_barrier_over_the_learning_rate(rates, batch_size, tmp_path):
    """By Kramers the slope is T times the barrier: that of the basins, by quadrature."""
    asked = ["log_exit_time", "barrier_right", "barrier_left"]
    found = sweep(EXAMPLES / "two_minima.py", learning_rate=rates, batch_size=batch_size,
                  quantities=asked)  # fmt: skip
    table = found.table()
    for a, barrier in zip(found.activations, ("barrier_right_0", "barrier_left_1"), strict=True):
        assert abs(a.slope - rates[0] * table[barrier][0]) < a.error < 2e-3 * a.slope
    assert "activation" in found.summary()
    assert found.plot(tmp_path / "arrhenius.png", arrhenius=True).axes[0].get_legend() is not None
    assert sweep(EXAMPLES / "two_minima.py", learning_rate=rates[:1]).activations == ()


def test_arrhenius_on_the_command_line(run, tmp_path):
    command = ["sweep", EXAMPLES / "two_minima.py", "--arrhenius"]
    code, out, _ = run(*command, "-T", "0.02:0.1:4:log", "--plot", tmp_path / "a.png", "--json")
    assert code == 0
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert [a["label"] for a in json.loads(out)["activations"]] == [0, 1]
    code, _, err = run(*command, "-T", "0.02,0.1")
    assert code == 2
    assert "4 learning rates or more" in err


WELL = """
domain = (-3, 3)
temperature = 0.1
parameters = {"tilt": 0.05}

def potential(x, tilt):
    return x**4 / 4 - x**2 / 2 + tilt * x
"""
GROWING = """
domain = (-4, 4)
parameters = {"tilt": 0.1}

def drift(x, tilt):
    return x - x**3 - tilt

def variance(x):
    return 0.1 + 0.05 * x**2
"""


def test_conventions_and_temperatures_are_axes(tmp_path, run):
    path, table = tmp_path / "growing.py", tmp_path / "table.csv"
    path.write_text(GROWING)
    conventions = ("ito", "stratonovich", "klimontovich")
    found = sweep(path, {"tilt": [-0.1, 0.15]}, convention=[*conventions[::-1]])
    assert found.axes == {"convention": conventions, "tilt": (-0.1, 0.15)}
    for row in found.rows:
        one = analyze(path, convention=row.parameters["convention"],
                      parameters={"tilt": row.parameters["tilt"]})  # fmt: skip
        assert abs(row.std - one.end_state.std()) <= row.std_error + one.end_state.std_error
    assert len(found.crossovers) == 3  # in each convention between the two tilts
    assert all(abs(c.value) <= c.error < 1e-9 for c in found.crossovers)
    assert found.plot().axes[0].get_yticklabels()[1].get_text() == "stratonovich"
    process = load(path)
    assert sweep(process, convention=["ito"]).rows[0].std == analyze(process).end_state.std()
    command = ["sweep", path, "--convention", "ito,stratonovich", "--csv", table]
    code, out, _ = run(*command, "--plot", tmp_path / "c.png")
    assert (code, "convention = ito, stratonovich" in out) == (0, True)
    assert run(*command, "--resume")[0] == 0
    with pytest.raises(LandscapeError, match="convention = 'itoo' is not known"):
        sweep(path, convention=["itoo", "ito"])
    with pytest.raises(LandscapeError, match="give several values of it once"):
        sweep(path, {"temperature": [1.0]}, temperature=[0.1, 0.2])


def test_exit_times_grow_with_the_barrier_over_the_temperature(tmp_path, run):
    """V = x^4 / 4 - x^2 / 2 + x / 20: barriers between the zeros of x^3 - x + 1 / 20."""
    path = tmp_path / "well.py"
    path.write_text(WELL)
    low, top, high = sorted(np.roots([1, 0, -1, 0.05]).real)
    depth = [np.polyval([0.25, 0, -0.5, 0.05, 0], x) for x in (low, top, high)]
    given = {"temperature": np.geomspace(0.02, 0.1, 5), "quantities": "log_exit_time"}
    found = sweep(path, **given)
    for a, barrier in zip(
        found.activations, (depth[1] - depth[0], depth[1] - depth[2]), strict=True
    ):
        assert abs(a.slope - barrier) < a.error < 1e-13 * barrier
    formula = ["--potential", "x**4/4 - x**2/2 + x/20", "--domain", "-3", "3"]
    for source in ([path], formula):
        command = ["sweep", *source, "--temperature", "0.02:0.1:5:log", "--arrhenius", "--json"]
        code, out, _ = run(*command, "--plot", tmp_path / "a.png")
        assert code == 0
        slopes = [a["slope"] for a in json.loads(out)["activations"]]
        assert slopes == pytest.approx([a.slope for a in found.activations], rel=1e-9)


@pytest.mark.parametrize("growth", [0, 1, -0.5])
@pytest.mark.parametrize("rates", [np.linspace(0.05, 0.2, 4), np.geomspace(0.05, 0.2, 5)], ids=len)
def test_activations_hold_for_few_temperatures_and_potentials_that_change_with_them(rates, growth):
    """V = x^4 / 4 - (1 + growth T) x^2 / 2: a barrier of 1 / 4 as T falls to 0."""

    def well(temperature):
        k = 1 + growth * temperature
        return Diffusion(
            potential=lambda x: x**4 / 4 - k * x**2 / 2, temperature=temperature, domain=(-3, 3)
        )

    found = sweep(well, {"temperature": rates}, quantities="log_exit_time").activations
    assert len(found) == 2
    for a in found:
        assert abs(a.slope - 0.25) <= a.error < (0.1 if growth else 1e-14)


def test_entropies_medians_widths_and_sharpnesses_have_errors():
    """P = k exp(-k x) on a half-line; a Gaussian of variance 1 / k."""
    asked = ["entropy", "median"]
    table = sweep(
        lambda k: Diffusion(-k, 2.0, (0, math.inf)), {"k": [1, 3]}, quantities=asked
    ).table()
    k = table["k"]
    assert (np.abs(table["entropy"] - 1 + np.log(k)) <= table["entropy_error"]).all()
    assert (np.abs(table["median"] - math.log(2) / k) <= table["median_error"]).all()
    assert (table["median_error"] < 1e-12).all()
    line = lambda k: Diffusion(lambda x: -k * x, 2.0, (-9, 9))  # noqa: E731
    table = sweep(line, {"k": [1, 3]}, quantities="width").table()
    assert (np.abs(table["width_0"] - k**-0.5) <= table["width_0_error"]).all()
    assert (table["width_0_error"] < 1e-14).all()


def test_equal_masses_are_the_border_of_two_phases_and_no_lack_of_an_answer():
    grid = {"h": [-0.1, 0.0, 0.1], "a": [0.1, 0.2]}
    found = sweep(lambda h, a: Diffusion(lambda x: x - x**3 + h, a, (-3, 3)), grid)
    words = [t.get_text() for t in found.plot().axes[0].get_legend().get_texts()]
    assert len(words) == 2
    assert "no answer" not in words


def test_every_quantity_that_has_a_name_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(QUANTITIES)).keys() == QUANTITIES.keys()


def test_moments_are_columns_and_curves_with_errors_that_hold():
    """Of x^(k - 1) e^-x: skewness 2 / sqrt(k), excess kurtosis 6 / k, at any distance from 0."""
    shift, k = 1e4, np.array([0.7, 3.0])
    found = sweep(
        lambda k: Diffusion(lambda x: k + shift - x, lambda x: 2 * (x - shift), (shift, math.inf)),
        {"k": k},
        quantities=["mean", "skewness", "kurtosis"],
    )
    table = found.table()
    for name, truth in (("mean", shift + k), ("skewness", 2 / np.sqrt(k)), ("kurtosis", 6 / k)):
        off = np.abs(table[name] - truth)
        assert (off <= table[f"{name}_error"]).all()
        assert (table[f"{name}_error"] < 1e-9).all()
    assert found.plot().axes[0].get_ylabel() == "mean"


def test_a_quantity_is_any_function_of_an_analysis():
    spread = {"spread": lambda a: (a.end_state.std(), a.end_state.std_error)}
    found = sweep(lambda k: Diffusion(lambda x: -k * x, 2.0, (-9, 9)), {"k": [1, 4]},
                  quantities=spread)  # fmt: skip
    assert found.table()["spread"] == pytest.approx([1, 0.5], rel=1e-9)
    assert found.plot(quantity="spread").axes[0].get_ylabel() == "spread"
    partly = {"second": lambda a: a.basins[1].position}
    found = sweep(lambda k: Diffusion(lambda x: k * x - x**3, 0.1, (-3, 3)), {"k": [-1, 1]},
                  quantities=partly)  # fmt: skip
    assert found.table()["second"][1] == 1
    assert "second is not known" in found.table()["reason"][0]
    assert "IndexError" in found.table()["reason"][0]
    with pytest.raises(LandscapeError, match="mean is also the name of a column"):
        sweep(lambda k: Diffusion(0, k, (0, 1)), {"k": [1]}, quantities={"mean": lambda a: 1.0})
    with pytest.raises(LandscapeError, match="Did you mean exit_time"):
        sweep(lambda k: Diffusion(0, k, (0, 1)), {"k": [1]}, quantities="exit_tim")
    with pytest.raises(LandscapeError, match="must take the parameters by name"):
        sweep(lambda k: Diffusion(0, k, (0, 1)), {"j": [1]})


def test_a_point_at_which_no_process_is_made_keeps_its_row():
    def build(k):
        if k > 2:
            raise ValueError("springs break there")
        return Diffusion(lambda x: -k * x, 2.0, (-9, 9))

    found = sweep(build, {"k": [1, 2, 3]})
    assert found.complete
    assert found.table()["status"].tolist() == ["converged", "converged", "failed"]
    assert "build raised ValueError: springs break there" in found.table()["reason"][2]
    with pytest.raises(UserFunctionError, match="springs break"):
        sweep(build, {"k": [3, 4]})


def test_a_ring_without_minima_is_an_answer():
    """f = c on a ring with a = 1 flows with P = 1 / L: the mean velocity is c."""
    found = sweep(
        lambda c: Diffusion(lambda x: c + 0 * x, 1.0, (0, 2), boundaries="periodic"),
        {"c": [0.5, 2.0]},
    )
    table = found.table()
    assert (abs(table["mean_velocity"] - [0.5, 2.0]) <= table["mean_velocity_error"] + 1e-15).all()
    assert "missing" not in found.summary()
    assert (table["reason"] == "").all()
    found.plot()


def test_the_noise_of_labels_is_left_where_a_batch_is_all_datapoints():
    whole = Landscape(
        losses=lambda w: ((w - 1) ** 2, (w + 1) ** 2 + w**4), learning_rate=0.1, domain=(-3, 3),
        batch_size=2, replacement=False, label_noise=0.3,
    )  # fmt: skip
    for row in sweep(whole, learning_rate=[0.05, 0.1, 0.2, 0.4]).rows:
        alone = analyze(whole, learning_rate=row.learning_rate).end_state
        assert (row.mean, row.std) == pytest.approx((alone.mean(), alone.std()), rel=1e-12)


def test_the_temperature_of_a_potential_is_swept(write):
    """Of a `Diffusion`, and of a file that makes one, all rows were those of the first."""
    text = "from stationary import Diffusion\np = Diffusion(potential=lambda x: x**2 / 2, "
    path = write(text + "temperature=0.1)\n")
    process = Diffusion(potential=lambda x: x**2 / 2, temperature=0.1)
    for source in (path, process):
        found = sweep(source, temperature=[0.02, 0.1, 0.5]).table()["std"]
        np.testing.assert_allclose(found**2, [0.02, 0.1, 0.5], rtol=1e-12)


def test_a_temperature_without_a_potential_is_refused(write):
    path = write("drift = lambda x: -x\nsigma = 1.0\n")
    for source in (path, Diffusion(lambda x: -x, 1.0)):
        with pytest.raises(LandscapeError, match=r"temperature (is|does)"):
            sweep(source, temperature=[0.1, 0.2])


def test_points_of_a_function_that_make_no_process_keep_their_rows():
    """A first point without a process was the end of the whole sweep."""

    def build(s):
        return Diffusion(lambda x: -x, s, (-3, 3))

    found = sweep(build, {"s": [-1, 0.5, 1]})
    assert [row.status for row in found.rows] == ["failed", "converged", "converged"]
    assert "must not be negative" in found.rows[0].reason
    with pytest.raises(LandscapeError, match="must not be negative"):
        sweep(build, {"s": [-2, -1]})


def wells_of(k):
    return Diffusion(lambda x: k + x - x**3, 0.1, (-3, 3))


@pytest.mark.parametrize("name", ["k", "mean", "status", "mass_0"])
def test_a_quantity_has_no_name_of_a_column_that_is_there(name):
    """It took the place of the parameter's values, or of the mean."""
    with pytest.raises(LandscapeError, match=f"quantities: {name} is also the name"):
        sweep(wells_of, {"k": [0.1, 0.2]}, quantities={name: lambda a: 5})


def test_a_quantity_that_is_none_has_a_column_and_a_reason():
    found = sweep(wells_of, {"k": [0.1, 0.2]}, quantities={"q": lambda a: None}).table()
    assert np.isnan(found["q"]).all()
    assert "q is not known" in found["reason"][0]


@pytest.mark.parametrize("table", [5, "table.csv", [1, 2]])
def test_what_is_no_table_to_go_on_from_is_refused(table):
    with pytest.raises(LandscapeError, match=r"resume = .* must be a sweep that was stopped"):
        sweep(wells_of, {"k": [0.1, 0.2]}, resume=table)


def test_activations_of_a_sample_have_the_standard_error_of_their_barrier():
    c = np.random.default_rng(0).normal(0, 0.3, 40)[:, None]
    made = Landscape(lambda w: w**4 / 4 - w**2 / 2 + c * w, learning_rate=0.1, sample=True,
                     domain=(-2, 2))  # fmt: skip
    rates = np.geomspace(0.02, 0.1, 4)
    found = sweep(made, learning_rate=rates, quantities="log_exit_time")
    known = analyze(made, chain=False).standard_errors
    for a, barrier in zip(
        found.activations, (known.barriers_right[0], known.barriers_left[1]), strict=True
    ):
        assert a.standard_error == pytest.approx(0.1 * barrier, rel=1e-9)
    rows = str(found).split("noise falls")[1].splitlines()
    row = next(x.split() for x in rows if x.startswith("        0"))
    assert len(row[1].replace(".", "").strip("0")) <= 3  # digits stop at it


@pytest.mark.parametrize("sample", [True, False])
def test_a_table_without_standard_errors_is_none_of_a_sample_to_go_on_from(sample):
    """Its rows had none then, without a word."""
    losses = np.linspace(-1, 1, 9)[:, None]
    made, other = (
        Landscape(lambda w: (w - losses) ** 2, learning_rate=0.1, sample=given)
        for given in (sample, not sample)
    )
    rates = [0.05, 0.1]
    before = sweep(made, learning_rate=rates)
    assert sweep(made, learning_rate=rates, resume=before).data.keys() == before.data.keys()
    with pytest.raises(LandscapeError, match=r"standard error of the mean is .*not known"):
        sweep(other, learning_rate=rates, resume=before)


@pytest.mark.parametrize("points", [13, 21, 31])
def test_rates_of_a_table_of_gradients_know_what_interpolation_does_not(points):
    w, c = np.linspace(-2, 2, points), np.linspace(-1, 1, 40)[:, None]

    def gradients(w):
        return (1 + 0.2 * c) * (w**3 - w) + 0.5 * np.sin(3 * w + c) + 0.3 * c

    rates = np.geomspace(0.05, 0.15, 4)
    exact = Landscape(gradients=gradients, domain=(-2, 2), learning_rate=0.1)
    measured = table({"w": w, "gradients": gradients(w)}).landscape(learning_rate=0.1)
    found = sweep(measured, learning_rate=rates).table()
    alone = sweep(measured, learning_rate=rates[[0, 3]]).table()
    true = sweep(exact, learning_rate=rates).table()
    assert set(found["status"]) == {"interpolated"}
    for name in ("mean", "std"):
        assert (abs(found[name] - true[name]) < found[f"{name}_error"]).all()
    for mass, doubt in (("log_mass_0", "mass_error_0"), ("log_mass_1", "mass_error_1")):
        assert (abs(found[mass] - true[mass]) < found[doubt]).all()
        assert (found[doubt][[0, 3]] > alone[doubt] / 10).all()


def test_ten_lines_of_a_sweep_hold_what_was_asked_for_and_what_is_missing(run):
    how = ("--drift", "k*x", "--variance", "1", "--set", "k=-1,-2,1", "--brief")
    _, out, _ = run("sweep", *how, "--quantity", "std,entropy")
    assert "1 of them has no answer." in out
    lines = [line.split() for line in out.splitlines()]
    assert ["quantity", "least", "most"] in [line[:3] for line in lines]
    assert [line[0] for line in lines if line[:1] in (["std"], ["entropy"])] == ["std", "entropy"]


def test_rows_and_what_is_found_between_them_are_data():
    found = sweep(EXAMPLES / "two_minima.py", learning_rate=[0.05, 0.1], quantities="log_exit_time")
    for answer in (*found.rows[:1], *found.activations[:1]):
        assert pickle.loads(pickle.dumps(answer)) == answer
        assert isinstance(hash(answer), int)
        json.dumps(answer.to_dict(), allow_nan=False)
    assert found.rows[0] != found.rows[1]


def test_what_was_asked_for_and_is_known_nowhere_is_said_and_not_drawn(tmp_path):
    """Of one minimum that is alone there is no exit time: not a word was said of it."""
    rows = sweep(
        lambda k: Diffusion(lambda x: -k * x, 1.0, (-2, 2)),
        {"k": [1.0, 2.0]},
        quantities="exit_time",
    )
    assert "Asked for and known at no point: exit_time." in str(rows)
    rows.plot(tmp_path / "drawn.png")
    with pytest.raises(StationaryError, match="'exit_time' is known at no point"):
        rows.plot(tmp_path / "asked.png", quantity="exit_time")


def test_errors_that_are_not_known_are_told_as_such_beside_those_that_are():
    def build(k):  # noise that has a pole where k > 1
        return Diffusion(lambda x: k * x - x**3, lambda x: 1 + (k > 1) / x**2)

    said = " ".join(sweep(build, {"k": [1.0, 2.0]}).summary().split())
    assert re.search(r"right to \de-\d\d of themselves .* At 1 point that error is not known", said)
    said = " ".join(sweep(build, {"k": [2.0]}).summary().split())
    assert "The densities are right to an error that is not known." in said
    assert "not known of" not in said


def test_labels_do_not_go_round_a_cusp():
    """h + k x - x^3 has two minima within a wedge, and one around it that is either of them."""
    found = sweep(
        lambda h, k: Diffusion(lambda x: h + k * x - x**3, 0.3, (-4, 4)),
        {"h": np.linspace(-0.3, 0.3, 7), "k": np.linspace(-0.5, 1.5, 5)},
    )
    for row in found.rows:
        h, places = row.parameters["h"], {n: m.position for n, m in row.minima.items()}
        assert list(places) == [n for n, _ in sorted(places.items(), key=lambda pair: pair[1])]
        assert row.dominant in ((0,) if h < -0.01 else (1,) if h > 0.01 else (0, 1, None))
    assert [(c.below, c.above) for c in found.crossovers] == [(0, 1)] * 2
    assert all(abs(c.value) <= c.error for c in found.crossovers)
    text = " ".join(str(found).split())
    both = sum(len(row.minima) == 2 for row in found.rows)
    assert f"Minima 0 and 1 are two at {both} points. Elsewhere they are one" in text


def test_a_minimum_that_is_alone_is_the_one_that_it_becomes():
    """Left of the fold there is only the right one, and right of another only the left one."""
    right, both, left = [[1.0]] * 2, [[-1.0, 1.1]] * 3, [[-1.2]] * 2
    found = labels_of({(k,): x for k, x in enumerate([*right, *both, *left])})
    assert [found[(k,)] for k in range(7)] == [(1,)] * 2 + [(0, 1)] * 3 + [(0,)] * 2


def test_words_are_values_among_which_a_function_chooses_and_conventions_of_a_file(tmp_path):
    """f = -x, a = 1 + x^2 / 2: in convention c, P ~ a^(c - 1 - 2)."""

    def made(k, rule):
        return Diffusion(lambda x: -k * x, lambda x: 1 + x * x / 2, (-INF, INF), convention=rule)

    values = {"k": [1, 2], "rule": ["stratonovich", "ito"]}
    found = sweep(made, values)
    assert [row.parameters["rule"] for row in found.rows] == ["stratonovich", "ito"] * 2
    for row in found.rows:
        assert row.std == end_state(made(**row.parameters)).std()
    (tmp_path / "t.csv").write_text(found.to_csv())
    assert sweep(made, values, resume=table_in(tmp_path / "t.csv")).to_csv() == found.to_csv()
    told = {"convention": ["ito", "stratonovich"]}
    assert sweep(FORKED, told).to_csv() == sweep(FORKED, **told).to_csv()
    with pytest.raises(LandscapeError, match="numbers"):
        sweep(FORKED, {"depth": ["much", "little"]})


def test_of_three_axes_a_figure_shows_one_slice_which_can_be_chosen():
    def process(tilt, k, s):
        return Diffusion(lambda x: s * (k * (x - x**3) + tilt), 0.5, (-3, 3))

    found = sweep(process, {"tilt": [-0.1, 0.1], "k": [0.8, 1.2], "s": [1.0, 1.5, 2.0]})
    said = " ".join(str(found).split())
    assert "A figure goes over k and s, at tilt = -0.1: for another value give plot(at=" in said
    chosen = (None, {"tilt": 0.1}, {"s": 1.5})
    titles = [found.plot(at=at).axes[0].get_title("left") for at in chosen]
    assert titles == ["tilt = -0.1", "tilt = 0.1", "s = 1.5"]
    (axes,) = found.plot(at={"s": 1.5}).axes
    assert [t.get_text()[:9] for t in axes.get_legend().texts] == ["minimum 0", "minimum 1"]
    # Where one holds most everywhere the figure is no sheet of one colour.
    assert found.plot(at={"tilt": 0.1}).axes[0].get_ylabel() == "log mass"
    with pytest.raises(LandscapeError, match=r"The values of tilt are -0\.1, 0\.1"):
        found.plot(at={"tilt": 0.3})
    with pytest.raises(LandscapeError, match="The axes are tilt, k, s"):
        found.plot(at={"angle": 0.3})
