"""Recorded series: the process behind them, with errors, and whether it is a diffusion at all."""

import gzip
import json
import math
import re
from importlib import import_module
from itertools import accumulate

import numpy as np
import pytest

from stationary import Diffusion, LandscapeError, analyze, end_state, fit
from stationary.show.fit import _peaks
from stationary.sources.series.chain import Chain
from stationary.sources.series.chart import Even, chart_of
from stationary.sources.series.lags import Verdict, _unit_root
from stationary.sources.series.likelihood import _cells, _gaussian
from stationary.sources.series.runs import runs_of


def ornstein_uhlenbeck(dt, n, seed, runs=1):
    """dx = -x dt + dB, exactly."""
    rng = np.random.default_rng(seed)
    r = np.exp(-np.broadcast_to(dt, n - 1))
    start = rng.normal(size=runs) * np.sqrt(0.5)
    noise = rng.normal(size=(n - 1, runs)) * np.sqrt(0.5 * (1 - r**2))[:, None]
    if runs == 1:  # a million numbers are quicker one by one than as arrays of one
        start, noise = start.item(), noise[:, 0].tolist()
    steps = zip(r.tolist(), noise, strict=True)
    x = accumulate(steps, lambda x, step: step[0] * x + step[1], initial=start)
    return np.array(list(x)).T


def double_well(dt, n, seed, runs, drift=lambda x: x - x**3):
    """With a = (0.7 + 0.1 sin x)^2, by small steps."""
    rng = np.random.default_rng(seed)
    sub = max(2, round(dt / 0.01))
    h, x, out = dt / sub, rng.normal(size=runs), np.empty((n, runs))
    for i in range(-round(10 / dt), n):
        for noise in rng.normal(size=(sub, runs)) * np.sqrt(h):
            x = x + drift(x) * h + (0.7 + 0.1 * np.sin(x)) * noise
        out[max(i, 0)] = x
    return out.T


@pytest.mark.parametrize("dt", [0.02, 0.3, 2.0])
def test_intervals_of_a_line_cover_what_they_should(dt):
    """Of drift and variance at three places, over 40 series; and the variance is not biased."""
    x = np.array([-0.7, 0.0, 0.7])
    hits, ratio = [], []
    for series in ornstein_uhlenbeck(dt, 3000, 7, runs=40):
        found = fit(series, dt)
        hits += (np.abs(found.drift(x) + x) < 1.96 * found.drift_error(x)).tolist()
        hits += (np.abs(found.variance(x) - 1) < 1.96 * found.variance_error(x)).tolist()
        ratio.append(found.variance(x))
    assert 0.9 <= np.mean(hits) <= 0.99
    spread = np.std(np.mean(ratio, axis=1)) / np.sqrt(40)
    assert abs(np.mean(ratio) - 1) < 0.03 + 2 * spread


@pytest.mark.parametrize(
    ("of", "slope", "bend"),
    [
        (lambda u: np.tanh(3 * u), lambda x: 3 * (1 - x**2), lambda x: -18 * x * (1 - x**2)),
        (lambda u: np.exp(2 * u), lambda x: 2 * x, lambda x: 4 * x),
    ],
)
def test_intervals_hold_where_the_noise_vanishes_at_bounds_that_are_never_reached(of, slope, bend):
    """Functions of x' = -x + dB: f was 10 standard errors off near the ends of tanh 3x."""
    u = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    x, hits = of(u), []
    drift, variance = -u * slope(x) + bend(x) / 2, slope(x) ** 2
    for series in ornstein_uhlenbeck(0.1, 4000, 11, runs=20):
        found = fit(of(series), 0.1)
        hits += (np.abs(found.drift(x) - drift) < 1.96 * found.drift_error(x)).tolist()
        hits += (np.abs(found.variance(x) - variance) < 1.96 * found.variance_error(x)).tolist()
    assert 0.9 <= np.mean(hits) <= 0.99


@pytest.mark.parametrize("dt", [0.1, 0.5])
def test_the_ratio_of_two_wells_is_known_to_its_standard_error(dt):
    exact = Diffusion(lambda x: x - x**3, lambda x: (0.7 + 0.1 * np.sin(x)) ** 2, (-3, 3))
    true = end_state(exact).log_ratio((-3, 0), (0, 3))
    off = []
    for series in double_well(dt, 3000, 3, runs=8):
        state = analyze(fit(series, dt).diffusion, min_barrier=0)
        first, second = state.basins
        error = state.standard_errors.log_ratios[0, 1]
        off.append((first.log_mass - second.log_mass - true) / error)
    assert np.sqrt(np.mean(np.square(off))) < 1.6
    assert abs(np.mean(off)) < 0.9


def test_several_runs_irregular_times_and_gaps_are_ordinary_input():
    rng = np.random.default_rng(5)
    times = np.cumsum(rng.uniform(0.05, 0.4, size=6000))
    x = ornstein_uhlenbeck(np.diff(times), 6000, 8)
    x[rng.random(6000) < 0.1] = np.nan
    found = fit(x, times=times)
    assert found.variance(0.0) == pytest.approx(1, abs=4 * found.variance_error(0.0))
    many = fit(list(ornstein_uhlenbeck(0.1, 400, 9, runs=12)), 0.1)
    assert many.variance(0.0) == pytest.approx(1, abs=4 * many.variance_error(0.0))
    assert len(many.runs.values) == 12


def test_irregular_times_cost_few_informations_that_are_right_between_them():
    """Each of some 27 lengths of steps had its own, and made a fit 8 times as dear as of one."""
    times = np.cumsum(np.random.default_rng(5).exponential(0.1, size=800))
    runs = runs_of(ornstein_uhlenbeck(np.diff(times), 800, 8), None, times)
    cells = _cells(runs, 0.1, Even())
    chain = Chain(cells, _gaussian(cells, runs))
    counts = chain.blurred(cells.counts(runs.classes()))
    assert len(counts) > 20
    assert len(chain.expected(counts)) < 10
    _, gradient, information = chain.score(counts)
    alone = [chain.score([c]) for c in counts]
    assert gradient == pytest.approx(sum(g for _, g, _ in alone), rel=1e-6, abs=1e-6)
    known = np.linalg.eigvalsh(sum(i for _, _, i in alone) + np.eye(26) * 1e-3)
    assert np.linalg.eigvalsh(information + np.eye(26) * 1e-3) == pytest.approx(known, rel=0.03)
    q, off = 7, 1e-5 * np.eye(26)[7]
    up, down = (Chain(cells, chain.theta + s * off).log_likelihood(counts) for s in (1, -1))
    assert gradient[q] == pytest.approx((up - down) / 2e-5, rel=1e-4)


def test_the_ladder_of_lags_tells_what_is_no_diffusion():
    dt = 0.05
    clean = ornstein_uhlenbeck(dt, 8000, 1)
    assert fit(clean, dt).lags.verdict.name == "DIFFUSION"
    rng = np.random.default_rng(2)
    assert fit(clean + 0.15 * rng.normal(size=8000), dt).lags.verdict.name == "NOISE"
    v, x, heavy = 0.0, 0.0, np.empty(2000)  # a velocity that is remembered for 0.3
    for i in range(2000):  # and more by which it seemed a walk
        for _ in range(10):
            v += (-v - x) * dt / 10 / 0.3 + np.sqrt(dt / 10) / 0.3 * rng.normal()
            x += v * dt / 10
        heavy[i] = x
    assert fit(heavy, dt).lags.verdict.name == "INERTIA"
    assert fit(clean + np.linspace(-2, 2, 8000), dt).lags.verdict.name == "NOT_STATIONARY"


@pytest.mark.parametrize(("noise", "verdict"), [(0.0, "DIFFUSION"), (0.1, "NOISE")])
def test_what_lags_differ_by_is_known_better_than_either(noise, verdict):
    """Noise of 0.1 adds a fifth to the variance of x' = -x + dB every 0.1; of 20 series of 4,000
    observations 20 were "a diffusion: it runs equally fast at every lag"."""
    for seed in range(4):
        added = noise * np.random.default_rng(100 + seed).normal(size=4000)
        found = fit(ornstein_uhlenbeck(0.1, 4000, seed) + added, 0.1)
        assert found.lags.verdict.name == verdict


@pytest.mark.parametrize("filter", [[1, 0.5], [1, 0.1]])
def test_negative_correlations_are_those_of_no_diffusion(filter):
    """Autocorrelations of a diffusion are sums of e^(-rate t): it was "a diffusion"."""
    z = np.random.default_rng(100).normal(size=4000).tolist()
    x = list(accumulate(z, lambda x, z: z - filter[1] * x))
    lags = fit(np.array(x), 1.0).lags
    assert lags.verdict is Verdict.REVERSING
    assert lags.speeds == ()


@pytest.mark.parametrize("seed", [100, 101, 105, 107])
def test_a_first_lag_that_tells_nothing_does_not_agree_with_the_others(seed):
    """Of counts that know nothing of each other some were "a diffusion", speeds 54 and 0.2."""
    found = fit(np.random.default_rng(seed).poisson(20, size=2000), 1.0)
    assert found.lags.verdict is Verdict.UNDECIDED
    assert all(e < s for s, e in zip(found.lags.speeds, found.lags.errors, strict=True))
    assert "at most" in str(found)


def test_a_trend_is_told_from_measurement_noise():
    noise = (0.7 * np.sqrt(0.05) * np.random.default_rng(3).normal(size=16_000)).tolist()
    steps = accumulate(noise, lambda x, up: x + (x - x**3) * 0.05 + up, initial=1.0)
    series = np.array(list(steps))[::4]
    plain, tilted = (fit(series + np.linspace(0, up, len(series)), 0.2) for up in (0, 1.5))
    assert plain.lags.verdict.name == "DIFFUSION"
    assert plain.lags.trend[1] < 3
    assert max(tilted.lags.halves) < 4  # which would not tell
    assert tilted.lags.verdict.name == "NOT_STATIONARY"
    assert tilted.lags.trend[1] > 30
    assert "above 10^3.5: not stationary" in " ".join(tilted.summary().split())


def test_the_evidence_does_not_move_with_the_borders_of_cells():
    for series in ornstein_uhlenbeck(0.05, 4000, 5, runs=6):
        assert abs(fit(series, 0.05).lags.trend[1]) < 5


def test_the_command_line_fits_a_file(tmp_path, run):
    path, figure = tmp_path / "run.csv", tmp_path / "fit.png"
    values = double_well(0.1, 2000, 4, runs=1)[0]
    path.write_text("x\n" + "\n".join(f"{v:.6f}" for v in values) + "\n")
    code, out, err = run("fit", path, "--dt", "0.1", "--plot", figure)
    assert (code, err) == (0, "")
    assert "a diffusion: it runs equally fast at every lag" in re.sub(r"\s+", " ", out)
    assert max(map(len, out.splitlines())) <= 80
    assert figure.exists()
    code, out, _ = run("fit", path, "--dt", "0.1", "--json")
    data = json.loads(out)
    assert data["verdict"] == "diffusion"
    assert data["basins"][0]["standard_error"] > 0
    code, _, err = run("fit", path)
    assert code == 1
    assert "the time between observations is missing" in err
    code, _, err = run("fit", "--drift", "-x", "--dt", "0.1")
    assert code == 2
    assert "No such option" in err


def test_runs_in_a_file_are_told_apart_by_numbers_or_words(tmp_path):
    values = ornstein_uhlenbeck(0.1, 200, 4, runs=2)
    for names in (("1", "2"), ("monday", "tuesday")):
        rows = [f"{n},{i / 10},{v}" for n, run in zip(names, values, strict=True)
                for i, v in enumerate(run)]  # fmt: skip
        path = tmp_path / "runs.csv"
        path.write_text("\n".join(["run,t,x", *rows]))
        found = fit(path).runs
        assert [len(v) for v in found.values] == [200, 200]
        assert (found.values[1] == values[1]).all()


@pytest.mark.parametrize(
    ("x", "given", "message"),
    [
        (np.zeros(500), {"dt": 0.1}, "all 500 observations are 0"),
        (np.arange(20.0), {"dt": 0.1}, "20 observations in a row are too few"),
        (np.ones(1), {"dt": 0.1}, ": 1 observation is too few"),
        (np.arange(500.0), {"dt": -1}, "dt = -1 must be the time"),
        (
            np.arange(500.0),
            {"dt": [0.05] * 3999},
            r"dt = \[0.05, .* 0.05, \.\.\. must be the time",
        ),
        (np.ones((4, 1000)), {"dt": 1}, r"have shape \(4, 1000\); what is observed must be \(n,\)"),
        (np.arange(500.0), {"dt": 1e308}, r"dt = 1e\+308 must be the time"),
        (np.arange(500.0) ** 2 + 1e15, {"dt": 0.1}, "doubles hold too few digits"),
        (np.arange(500.0), {"times": np.zeros(500)}, "time 0 comes after 0"),
        (np.full(500, np.inf), {"dt": 1}, "entry 0 is infinite"),
        ("no.csv", {"dt": 1}, "cannot be read"),
        (np.ones((5, 5, 5)), {"times": np.ones(5)}, r"5\) and the times \(5,\)"),
        (np.arange(500.0), {"dt": 1, "times": np.arange(500)}, "Keep one"),
        (np.arange(500) * 1j, {"dt": 1}, "observations are of type complex128"),
        (np.arange(500.0), {"times": np.arange(500).astype("M8[s]")}, "Give numbers in a unit"),
        ({"x": 1}, {"dt": 1}, "a series is an array of numbers"),
        ([10**400] * 500, {"dt": 1}, "a series is an array of numbers"),
    ],
)
def test_what_is_no_series_is_told(x, given, message):
    with pytest.raises(LandscapeError, match=message):
        fit(x, **given)


def test_the_index_of_pandas_is_its_times_where_it_does_not_only_count():
    pandas = pytest.importorskip("pandas")
    x = np.random.default_rng(1).normal(size=200)
    dates = pandas.date_range("2020-01-01", periods=200, freq="50ms", tz="UTC")
    for index, unit in ((0.05 * np.arange(200), "its index"), (dates, "its index, in seconds")):
        series = pandas.Series(x, index=index)
        for given in (series, series.to_frame("x"), [series, series]):
            found = runs_of(given, None, None)
            assert np.diff(found.times[-1]) == pytest.approx(0.05)
            assert found.name.endswith(f"(times: {unit})")
    assert runs_of(series, 2.0, None).times[0][1] == 2
    with pytest.raises(LandscapeError, match="the time between observations is missing"):
        fit(pandas.Series(x))


def test_what_is_reset_is_no_diffusion():
    """A neuron that fires: a voltage with a threshold. It was "consistent with a diffusion"."""
    rng, u, seen = np.random.default_rng(0), -65.0, []
    for k, noise in enumerate(rng.normal(size=16_000)):
        u += 0.01 * (-57 - u) + noise
        u = u if u < -55 else -75.0
        if k % 20 == 0:
            seen.append(u)
    assert fit(np.array(seen), 0.2).lags.verdict.name == "ONE_WAY"


def test_dates_in_a_column_are_times_unless_others_are_given(tmp_path):
    x, t = np.random.default_rng(1).normal(size=200), np.arange(200)
    days = np.datetime64("2021-03-01T12:00") + t * np.timedelta64(30, "m")
    told = ("t", "T", "%s"), ("date", " ", "%sZ")
    for name, mark, form in told:
        rows = "".join(
            f"{form % str(d).replace('T', mark)},{v}\n" for d, v in zip(days, x, strict=True)
        )
        path = tmp_path / "run.csv"
        path.write_text(f"{name},x\n2021-03-01 11:30,\n{rows}")
        for given in (path, {name: days, "x": x}):
            found = runs_of(given, None, None)
            assert np.diff(found.times[0]) == pytest.approx(1800)
            assert found.name.endswith("(times: its dates, in seconds)")
            assert len(found.all) == 200
            assert np.diff(runs_of(given, 2.0, None).times[0]) == pytest.approx(2)
    assert runs_of({"dates": t, "x": x}, 2.0, None).times[0][1] == 2
    word = {"t": ["today"] * 200, "x": x}
    with pytest.raises(LandscapeError, match=r"column t holds \['today'\] .* no real numbers"):
        runs_of(word, None, None)
    assert runs_of(word, 2.0, None).times[0][1] == 2
    with pytest.raises(LandscapeError, match="the time between observations is missing"):
        runs_of({"day": ["today"] * 200, "x": x}, None, None)


def test_what_is_wrong_with_a_column_of_times_is_told_by_its_line(tmp_path):
    x = np.random.default_rng(1).normal(size=200).tolist()
    hours = [f"2021-03-{1 + k // 24:02} {k % 24:02}:00" for k in range(200)]
    path = tmp_path / "run.csv"

    def made(head, *columns, at=None, entry=""):
        columns = [list(c) for c in columns]
        if at is not None:
            columns[-2 if entry != "inf" else -1][at] = entry
        rows = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
        path.write_text("\n".join([head, *rows]))
        return runs_of(path, None, None)

    plain = made("date,x", hours, x)
    assert (runs_of({"t": hours, "x": x}, None, None).times[0] == plain.times[0]).all()
    with pytest.raises(LandscapeError, match=r"the table, row 3: t = 'later' is no date"):
        runs_of({"t": [*hours[:3], "later", *hours[4:]], "x": x}, None, None)
    shifted = made("date,x", [h + ["+03:00", "+01:00"][k > 99] for k, h in enumerate(hours)], x)
    assert np.diff(plain.times[0]) == pytest.approx(3600)
    assert np.flatnonzero(np.diff(shifted.times[0]) != 3600).tolist() == [99]
    halves = [0] * 100 + [1] * 100
    days = ["2021-03-01"] * 100 + ["baseline"] * 40 + ["2021-03-02"] * 60  # names of runs
    assert [len(t) for t in made("run,t,x", days, range(200), x).times] == [100, 60, 40]
    as_columns = {"run": days, "t": np.arange(200), "x": x}
    assert [len(t) for t in runs_of(as_columns, None, None).times] == [100, 60, 40]
    for words, head, columns, at, entry in (
        (r"line 7: date = '2021-13-45' is no date", "date,x", (hours, x), 5, "2021-13-45"),
        (r"line 7: t = 'yesterday' is no date", "t,x", (hours, x), 5, "yesterday"),
        (r"line 2: t = '1.3.2021' is not a number, and no date", "t,x", (["1.3.2021"] * 200, x), 0,
         "1.3.2021"),
        (r"line 7: time 7200 comes after 14400.* a column run", "date,x", (hours, x), 5, hours[2]),
        (r"line 2: x = '2021-03-01 0:00' is not a number", "t,x", (x, [h.replace(" 0", " ") for h in
         hours]), 1, 0),
        (r"line 2: x = '2021-03-01 00:00' is not a number", "t,x", (x, hours), 1, 0),
        (r"run 1, line 152: time 3 comes", "run,t,x", (halves, range(200), x), 150, 3),
        (r"run 1: line 152 is infinite", "run,t,x", (halves, range(200), x), 150, "inf"),
        (r"line 2: date = .* has no offset from UTC, where others have", "date,x",
         ([h + "+01:00" for h in hours], x), 0, hours[0]),
        (r"the column runs has no meaning .* mean run\?", "runs,t,x", (halves, range(200), x),
         0, 0),
        (r"the column tt has no meaning here; did you mean t\?", "tt,x", (range(200), x), 0, 0),
    ):  # fmt: skip
        with pytest.raises(LandscapeError, match=words):
            made(head, *columns, at=at, entry=entry)


@pytest.mark.parametrize("seed", [1003, 1008])
def test_irregular_times_however_short_say_nothing_of_a_trend(seed):
    """Steps much shorter than cells are wide made of next to none 10^4 times the likelihood."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(0.02, size=3000))
    lags = fit(ornstein_uhlenbeck(np.diff(times), 3000, seed), times=times).lags
    assert lags.verdict is Verdict.DIFFUSION
    assert lags.trend[1] < 5


def test_the_example_with_two_states_is_right_about_both(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend("examples/data")
    score, verdict = import_module("two_states").main(tmp_path / "fit.png")
    assert abs(score) < 3
    assert verdict == "DIFFUSION"


def test_a_walk_without_an_end_state_is_not_called_a_diffusion_that_has_one():
    found = fit(np.cumsum(np.random.default_rng(1).normal(size=400)), dt=0.1)
    assert "not decided" in found.lags.verdict.value
    white = fit(np.random.default_rng(2).normal(size=1000), dt=0.1)
    assert "white noise would look the same" in white.lags.verdict.value


@pytest.mark.parametrize("seed", [12, 16])
def test_a_short_walk_that_seems_to_forget_is_not_decided(seed):
    """300 steps had "it is a diffusion" and a mean of -8.5 (its error 1.1), as 8 in 100 did."""
    found = fit(np.random.default_rng(seed).normal(size=300).cumsum(), dt=1.0)
    assert found.runs.duration > 10 * found.found.chain.relaxation_time
    assert found.lags.verdict is Verdict.WALK
    said = " ".join(str(found).split())
    assert "It is not decided: of walks without an end state" in said
    assert "which the series is not, or not for certain" in said


def test_a_walk_is_taken_for_what_has_an_end_state_in_one_of_a_hundred():
    """Also where times are irregular; what has one is told from it after 50 times its memory."""
    walks, others = [], []
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        time = rng.exponential(size=300).cumsum()
        up = rng.normal(size=300) * np.sqrt(np.diff(time, prepend=0))
        walks.append(_unit_root(runs_of(up.cumsum(), None, time)))
        others.append(_unit_root(runs_of(ornstein_uhlenbeck(0.16, 300, seed), 0.16, None)))
    few, most = (np.mean([s < c for s, c in x]) for x in (walks, others))
    assert 0.002 < few < 0.02
    assert most > 0.95


def test_curves_of_a_fit_take_numbers_and_arrays_of_any_shape():
    found = fit(ornstein_uhlenbeck(0.1, 2000, 3), dt=0.1)
    for curve in (found.drift, found.variance, found.log_density, found.drift_error,
                  found.variance_error):  # fmt: skip
        at = np.array([[-0.5, 0.0], [0.3, 0.5]])
        assert np.ndim(curve(0.5)) == 0
        assert float(curve(0.5)) == curve(at)[1, 1] == curve(at[1])[1]
        assert curve(at).shape == at.shape


@pytest.mark.parametrize("unit", [0.6, 1.0, 1.5])
def test_values_rounded_to_the_width_of_a_step_leave_the_variance_as_it_is(unit):
    """Rounding to u adds u^2 / 6 to the square of each step: up to 40 % of the variance here."""
    unit *= np.sqrt((1 - np.exp(-0.2)) / 2)
    found = [fit(np.round(x / unit) * unit, 0.1) for x in ornstein_uhlenbeck(0.1, 4000, 6, runs=12)]
    a = np.array([f.variance(0.0) for f in found])
    error = np.array([f.variance_error(0.0) for f in found])
    assert abs(a.mean() - 1) < 0.02 + 2 * error.mean() / np.sqrt(12)
    assert np.sqrt(np.mean((a - 1) ** 2 / error**2)) < 1.6


def test_steps_too_short_for_the_range_are_taken_several_at_a_time():
    found = fit(ornstein_uhlenbeck(1e-3, 100_000, 3), 1e-3)
    assert found.found.runs.every > 1
    assert found.variance(0.0) == pytest.approx(1, abs=4 * found.variance_error(0.0))


def test_a_million_observations_are_not_off_by_the_width_of_cells():
    found = fit(ornstein_uhlenbeck(0.1, 1_000_000, 4), 0.1)
    assert found.variance(0.0) == pytest.approx(1, abs=3 * found.variance_error(0.0))


def test_a_variance_that_grows_a_hundredfold_is_found_from_the_steps():
    """Feller's square-root process in y = log x: a = e^-y. From an even one, none is found."""
    rng, decay = np.random.default_rng(0), np.exp(-0.1)
    c, x, v = (1 - decay) / 8, np.empty(20_000), 1.0
    for i in range(len(x)):
        x[i] = v = c * rng.noncentral_chisquare(8.0, v * decay / c)
    found = fit(np.log(x), 0.05)
    y = np.quantile(np.log(x), [0.02, 0.2, 0.5, 0.8, 0.98])
    assert found.lags.verdict.name == "DIFFUSION"
    assert (np.abs(found.variance(y) - np.exp(-y)) < 3.5 * found.variance_error(y)).all()


def square_root(seed, n, theta=1.5, sigma=1.5, dt=0.1):
    """dx = (theta - x) dt + sigma sqrt(x) dB by its own law, which comes near 0."""
    rng = np.random.default_rng(seed)
    c = sigma**2 * -math.expm1(-dt) / 4
    x = [theta]
    for _ in range(n + 50):
        x.append(c * rng.noncentral_chisquare(4 * theta / sigma**2, x[-1] * math.exp(-dt) / c))
    return np.array(x[51:])


def test_intervals_hold_where_the_variance_changes_with_the_place():
    held = []
    for seed in range(6):
        x = square_root(seed, 2000)
        found = fit(x, dt=0.1)
        assert found.lags.verdict is Verdict.DIFFUSION
        at = np.quantile(x, np.linspace(0.05, 0.95, 7))
        held.append(np.abs(found.drift(at) - 1.5 + at) < 1.96 * found.drift_error(at))
        held.append(np.abs(found.variance(at) - 2.25 * at) < 1.96 * found.variance_error(at))
    assert np.mean(held) > 0.85  # 0.62 by splines and cells that are even in x


def test_scoring_does_not_end_where_steps_that_were_seen_are_impossible():
    """From there no gradient leads back: "jumps" were told, and half of the variance."""
    found = fit(square_root(1, 1500, 1.0, math.sqrt(0.5), 2.0), 2.0)
    assert found.lags.verdict is not Verdict.JUMPS
    assert found.variance(1.5) == pytest.approx(0.75, abs=3 * found.variance_error(1.5))


@pytest.mark.parametrize(
    ("variance", "kind"),
    [
        (lambda x: 0.3 + 0.7 * x**2, "Round"),
        (lambda x: 2 * (x + 3.01) + 0.2 * (x + 3.01) ** 2, "OneEnd"),
        (lambda x: (3.2 - x) + 0.4 * (3.2 - x) ** 2, "OneEnd"),
        (lambda x: (x + 3.1) * (3.3 - x), "TwoEnds"),
        (lambda x: 1 + 0 * x, "Even"),
    ],
)
def test_the_coordinate_of_a_series_makes_its_noise_even(variance, kind):
    places = np.linspace(-2.9, 2.9, 30)
    chart = chart_of(places, variance(places), -3.0, 3.0)
    assert type(chart).__name__ == kind
    q, dq = chart.q(places)
    assert np.ptp(np.log(variance(places) / q)) < 1e-3
    y, h = chart.y(places), 1e-5
    assert np.all((chart.low <= y) & (y <= chart.high))
    assert chart.x(y) == pytest.approx(places, abs=1e-12)
    assert ((chart.x(y + h) - chart.x(y - h)) / (2 * h)) ** 2 == pytest.approx(q, rel=1e-6)
    assert (chart.q(places + h)[0] - chart.q(places - h)[0]) / (2 * h) == pytest.approx(dq)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "series", [lambda: ornstein_uhlenbeck(0.1, 1000, 3), lambda: square_root(0, 1000)]
)
def test_beyond_the_range_of_a_series_nothing_is_known(series):
    found = fit(series(), dt=0.1)
    low, high = found.domain
    wide = high - low
    within = np.linspace(low, high, 5)
    beyond = np.array([-10 * wide, low - 1e-6 * wide, high + 1e-6 * wide, high + 10 * wide])
    for curve in (found.drift, found.variance, found.log_density, found.drift_error,
                  found.variance_error):  # fmt: skip
        assert np.isfinite(curve(within)).all()
        assert np.isnan(curve(beyond)).all()
        assert np.isnan(curve(beyond[0]))
    state = analyze(found.diffusion).end_state
    assert state.cdf([low, high]).tolist() == [0, 1]


def jumping(seed, size=5.0):
    rng, x = np.random.default_rng(seed), ornstein_uhlenbeck(0.05, 20_000, seed)
    kicks, shot = (rng.random(len(x)) < 1e-3) * size, 0.0
    for i in range(len(x)):
        shot = shot * np.exp(-0.05) + kicks[i]
        x[i] += shot
    return x


def test_far_apart_observations_do_not_tell_that_the_variance_is_the_same_everywhere():
    """Where the smoothest curve is the likeliest, 63 of 100 intervals held a double well's."""
    found, x = fit(ornstein_uhlenbeck(2.0, 500, 6), 2.0), np.array([-0.9, 0.0, 0.9])
    ends, middle = np.split(found.variance_error(x)[[0, 2, 1]] / found.variance(x)[[0, 2, 1]], [2])
    assert (ends > 1.2 * middle).all()


def test_a_series_upside_down_is_fitted_upside_down():
    """Parts of the steps were cut from below, so that -x had another coordinate."""
    rng, x = np.random.default_rng(3), np.ones(200)
    for i, z in enumerate(rng.normal(size=199)):
        x[i + 1] = abs(x[i] + 0.1 * (1 - x[i]) + 0.5 * math.sqrt(0.1 * x[i]) * z)
    found, turned, at = fit(x, 0.1), fit(-x, 0.1), np.quantile(x, [0.1, 0.5, 0.9])
    assert turned.drift(-at) == pytest.approx(-found.drift(at), abs=1e-4 * found.drift_error(0.5))
    assert turned.variance(-at) == pytest.approx(found.variance(at), rel=1e-4)


def test_jumps_are_told_from_a_diffusion():
    found = fit(jumping(5), 0.05)
    assert found.lags.verdict.name == "JUMPS"
    assert "that a diffusion never makes" in re.sub(r"\s+", " ", str(found))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.cumsum(np.random.default_rng(1).standard_cauchy(5000)), "jumps, outliers"),
        (np.round(ornstein_uhlenbeck(0.1, 5000, 1)), "Record more digits"),
        (np.append(ornstein_uhlenbeck(0.1, 5000, 1), 1e6), "jumps, outliers"),
        (np.tile([0.0, 1.0], 500), "2 different ones"),
        (np.arange(5000.0), "a trend without noise"),
        (list(np.arange(900.0).reshape(300, 3) ** 2), "jumps, outliers, a trend"),
        (1e300 * ornstein_uhlenbeck(0.1, 500, 1), "in another unit"),
    ],
)
def test_what_no_diffusion_can_follow_is_refused(x, message):
    with pytest.raises(LandscapeError, match=message):
        fit(x, 0.1)


@pytest.mark.parametrize("size", [40, 50, 60])
def test_outliers_are_not_lost_where_steps_are_taken_several_at_a_time(size):
    """Every fourth or eighth observation may leave them out: it was "a diffusion"."""
    x = ornstein_uhlenbeck(0.1, 4000, 502)
    x[1235] = size
    with pytest.raises(LandscapeError, match="jumps, outliers"):
        fit(x, 0.1)


def test_a_sensor_that_is_stuck_is_told_and_may_be_left_out():
    x = ornstein_uhlenbeck(0.1, 4000, 3)
    x[1000:1300] = x[1000]
    said = r"300 values in a row are .*, from entry 1000 on \(.* time 100\)"
    with pytest.raises(LandscapeError, match=said):
        fit(x, 0.1)
    with pytest.raises(LandscapeError, match="entry 1000 of run 1 on"):
        fit([x[:200], x], 0.1)
    x[1000:1300] = np.nan
    assert fit(x, 0.1).lags.verdict is Verdict.DIFFUSION


def test_places_far_from_zero_are_told_apart_and_a_column_needs_no_name(tmp_path, run):
    path = tmp_path / "run.csv"
    np.savetxt(path, 1e9 + ornstein_uhlenbeck(0.1, 2000, 2), fmt="%.9f")
    code, out, err = run("fit", path, "--dt", "0.1")
    assert (code, err) == (0, "")
    places = re.findall(r"^ +(1?[\d.]+)  ", out[: out.index("The end state")], re.M)
    assert len(set(places)) == 7
    path.write_text("0,1\n" + path.read_text().replace("\n", ",2\n"))
    code, _, err = run("fit", path)
    assert code == 1
    assert "a line such as t,x first" in err


@pytest.mark.parametrize("shift", [0.4, 3.3, 1000.7])
def test_moments_stop_at_the_second_digit_of_the_standard_error(shift):
    found = fit(shift + ornstein_uhlenbeck(0.1, 2000, 3), dt=0.1)
    text = " ".join(str(found).split())
    told = r"Mean (\S+) \(standard error \S+\), standard deviation (\S+) \(\S+\);"
    mean, deviation = re.search(told, text).groups()
    assert abs(float(mean) - shift) < 0.3
    assert max(len(x.partition(".")[2]) for x in (mean, deviation)) <= 3


def test_numbers_of_what_is_no_diffusion_are_not_given_without_a_word():
    """Jumps lead to an end state that is nowhere near the series; the series stands beside it."""
    rng = np.random.default_rng(100)
    x, v = np.empty(2000), 0.0
    for i in range(2000):
        v = 0.9 * v + 0.2 * rng.normal() + (rng.random() < 0.03) * 2 * rng.normal()
        x[i] = v
    said = re.sub(r"\s+", " ", str(fit(x, 0.1)))
    assert "numbers of the diffusion that was fitted, which the series is not" in said
    assert f"standard deviation {x.std():.4g}." in said
    clean = re.sub(r"\s+", " ", str(fit(ornstein_uhlenbeck(0.1, 3000, 1), 0.1)))
    assert "which the series is not" not in clean
    assert "minimum std. error mass exit time" in clean


def test_what_is_masked_is_missing_and_packed_files_are_read(tmp_path):
    x = ornstein_uhlenbeck(0.1, 600, 1)
    spoilt = np.where(np.arange(600) % 50 == 7, 1e6, x)
    found = fit(np.ma.masked_greater(spoilt, 1e5), 0.1)
    assert found.runs.all.max() < 10
    assert sum(map(len, found.runs.values)) == 588
    path = tmp_path / "run.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("x\n" + "\n".join(f"{v:.17g}" for v in x))
    assert (fit(path, 0.1).runs.all == x).all()
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(LandscapeError, match="no whole gzip file"):
        fit(path, 0.1)
    path.write_text("x\n1\n")
    with pytest.raises(LandscapeError, match="no whole gzip file"):
        fit(path, 0.1)


def test_the_ladder_and_standard_errors_print_their_fields_and_give_them():
    found = fit(ornstein_uhlenbeck(0.1, 1000, 3), 0.1)
    errors = analyze(found.diffusion).standard_errors
    assert found.lags.to_dict()["verdict"] == found.lags.verdict.name.lower()
    assert str(found.lags).startswith("lags: 1, 2, 4")
    assert f"\nmean: {errors.mean:.2g}\n" in str(errors)
    assert "log_exit_times: -" in str(errors)


@pytest.mark.filterwarnings("error")
def test_modes_that_are_gone_at_once_make_no_warning():
    runs = runs_of(ornstein_uhlenbeck(0.1, 400, 1), 0.1, None)
    cells = _cells(runs, 0.1, Even())
    theta = _gaussian(cells, runs)
    theta[16:] += 702.2  # log a: the sum of two rates overflows
    chain = Chain(cells, theta)
    assert chain.modes[0][0] < -0.9e308
    assert np.isfinite(chain._divided(0.1)).all()


@pytest.mark.parametrize(("unit", "shift"), [(1.0, 0.0), (1e-6, 3.0)])
def test_a_density_that_turns_up_at_the_end_of_the_range_has_no_peak_there(unit, shift):
    """P = exp(x^4 / 2 - x^2): at the ends it is 0.67 times, or 1.33 times as high as at 0."""

    def words(end):
        law = end_state(
            Diffusion(
                drift=lambda x: unit * ((x - shift) / unit) * (((x - shift) / unit) ** 2 - 1),
                variance=unit**2,
                domain=(shift - 1.01 * end * unit, shift + end * unit),
            )
        )
        return _peaks(law, lambda x: f"{(x - shift) / unit + 0.0:.3f}")

    assert words(1.2).replace("-0.000", "0.000") == "; the density peaks at 0.000"
    highest = "; it is highest at -1.515, where the range of the series ends"
    assert words(1.5).replace("-0.000", "0.000") == "; the density peaks at 0.000" + highest


def test_a_table_of_gradients_is_no_series(tmp_path):
    """It was asked for --dt, and then found too short."""
    for columns in (("gradient", "variance"), ("gradients",)):
        w = np.linspace(-1, 1, 150)
        given = {"w": w} | {n: np.ones((3, 150)) if n == "gradients" else w for n in columns}
        np.savez(tmp_path / "g.npz", **given)
        with pytest.raises(LandscapeError, match=r"at ascending w, .*analyze takes it"):
            fit(tmp_path / "g.npz")
    x = ornstein_uhlenbeck(0.1, 300, 1)  # a run of which the gradient was recorded, too
    np.savez(tmp_path / "g.npz", w=x, gradient=-x)
    assert len(fit(tmp_path / "g.npz", 0.1).runs.all) == 300


def test_a_minimum_that_holds_all_has_no_rounding_for_a_standard_error():
    found = analyze(fit(ornstein_uhlenbeck(0.1, 1000, 3), 0.1).diffusion)
    assert len(found.basins) == 1
    assert found.standard_errors.masses == found.standard_errors.log_masses == (0.0,)
