"""Influence of datapoints and standard errors: against leaving out, bootstraps and closed forms."""

import math
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

from stationary import (
    Diffusion,
    Landscape,
    LandscapeError,
    analyze,
    dilation_bias,
    end_state,
    evolve,
    exact_chain,
    first_passage,
    regularisation_path,
    sampled,
    simulate,
    sweep,
    table,
    width_bias,
)
from stationary.wording import plain_text, relative_error_text, sampled_text

RNG = np.random.default_rng(2)
N = 300
SHIFTS, WAVES = RNG.normal(size=N), 0.5 * RNG.normal(size=N)


def landscape(chosen=slice(None), **changes):
    c, s = SHIFTS[chosen][:, None], WAVES[chosen][:, None]

    def gradients(w):
        return w**3 - w + c * (1 + 0.2 * w) + s * np.sin(2 * w) - 0.02

    settings = {"learning_rate": 0.3, "batch_size": 2, "domain": (-3, 3), "sample": True}
    return Landscape(**({"gradients": gradients} | settings | changes))


def numbers(found):
    """What influence is asked about: a log ratio, two log exit times, a mean, and two minima."""
    first, second = found.basins
    times = [passage.log_time for passage in found.exits]
    ratio = first.log_mass - second.log_mass
    return np.array([ratio, *times, found.end_state.mean(), first.position, second.position])


@pytest.fixture(scope="module")
def found():
    return analyze(landscape(), chain=False)


@pytest.fixture(scope="module")
def scores(found):
    of = found.influence
    return np.array([of.of_ratio(0, 1), *of.log_exit_times, of.mean])


@pytest.mark.parametrize("j", [3, 17, 291])
def test_leaving_a_datapoint_out_changes_the_answer_as_predicted(found, scores, j):
    left = numbers(analyze(landscape(np.delete(np.arange(N), j)), chain=False)) - numbers(found)
    left = left[:4]
    predicted = -scores[:, j] / (N - 1)
    assert np.abs(left - predicted).max() < 0.05 * np.abs(left).max()
    assert left == pytest.approx(predicted, rel=0.1, abs=1e-3)


def test_leaving_out_changes_noise_of_labels_and_of_batches_without_replacement():
    """Those of large parts of the datapoints: N - 1 in the place of N changes (N - B) / (N - 1)."""
    chosen = np.arange(60)
    slopes = np.linspace(0, 2, 60)[:, None]

    def of(some):
        changes = {"batch_size": 40, "replacement": False, "learning_rate": 8.0, "label_noise": 0.6}
        return analyze(
            landscape(some, outputs=lambda w: slopes[some] * w, **changes), chain=False,
            min_barrier=0,
        )  # fmt: skip

    whole, off = of(chosen), []
    influence = whole.influence
    for j in (0, 59):
        change = numbers(of(np.delete(chosen, j))) - numbers(whole)
        times = influence.of_fewer[2:4] - influence.log_exit_times[:, j] / 59
        off.append(np.array([influence.left_out(0, 1)[j], *times]) - change[:3])
    assert np.abs(off).max() < 0.012


def test_the_standard_error_is_that_of_the_bootstrap(found):
    rng = np.random.default_rng(4)
    drawn = [
        numbers(analyze(landscape(rng.integers(N, size=N)), min_barrier=0, chain=False))
        for _ in range(40)
    ]  # fmt: skip
    errors = found.standard_errors
    mine = [errors.log_ratios[0, 1], *errors.log_exit_times, errors.mean, *errors.positions]
    # The deviation of 40 is known to 1 / sqrt(80) = 11 %.
    assert np.std(drawn, axis=0) == pytest.approx(np.array(mine), rel=0.35)
    assert errors.log_ratios[0, 1] == pytest.approx(found.influence.standard_error)


def test_of_a_quadratic_the_influence_on_the_mean_is_known():
    """g_j = w - c_j has mean c and no other influence on it: IF_j = c_j - c."""
    c = RNG.normal(size=50)
    found = analyze(
        Landscape(gradients=lambda w: w - c[:, None], learning_rate=0.1, domain=(-6, 6))
    )
    assert found.influence.mean == pytest.approx(c - c.mean(), abs=1e-8)
    assert found.influence.standard_error == pytest.approx(c.std() / np.sqrt(50))
    ((first, change, _),) = found.influence.top(1)
    assert first == np.argmax(np.abs(c - c.mean()))
    assert change == pytest.approx(-(c[first] - c.mean()) / 49)


def test_without_a_minimum_datapoints_have_an_influence_on_the_mean():
    """Gradients w, w + 2 and w^4 - w^2: their mean has no zero."""

    def without(left_out):
        def gradients(w):
            every = [w, w + 2, w**4 - w**2] * 40
            return [g for j, g in enumerate(every) if j != left_out]

        return Landscape(gradients=gradients, learning_rate=0.3, batch_size=2)

    found = analyze(without(None))
    assert not found.basins
    moved = end_state(without(1)).mean() - found.end_state.mean()
    assert found.influence.left_out()[1] == pytest.approx(moved, rel=0.03)
    with pytest.raises(LandscapeError, match="there is no minimum"):
        found.influence.top(10, 0, 1)


def test_a_domain_without_ends_has_the_influence_of_a_wide_one():
    of, wide = (
        analyze(landscape(slice(60), domain=(-end, end)), chain=False).influence
        for end in (np.inf, 8.0)
    )
    narrow = analyze(landscape(slice(60)), chain=False).influence
    for name in ("log_masses", "log_exit_times", "mean"):
        other = getattr(narrow, name)
        for found in (of, wide):
            assert np.abs(getattr(found, name) - other).max() < 1e-8 * np.abs(other).max()


def test_the_whole_training_set_has_no_standard_error(found):
    assert analyze(landscape(sample=False), chain=False).standard_errors is None
    assert "std. error" not in str(analyze(landscape(sample=False), chain=False))
    said = re.sub(r"\s+", " ", str(found))
    assert "How sure the sample makes this" in said
    rest = found.standard_errors.log_ratios[0, 1]
    assert f"has a standard error of {rest:.2g} from the sample" in said.split("The model")[0]
    minima = [line.split() for line in str(found).splitlines() if line.endswith("   stable")]
    assert [row[2] for row in minima] == [f"{e:.2g}" for e in found.standard_errors.positions]
    assert "with a standard error of" in said


@pytest.mark.parametrize("seed", [3, 8])
def test_what_is_less_than_its_standard_error_is_told_to_the_digits_of_that(seed):
    """Two wells that differ by less than the sample tells: the best guess is not 0."""
    w = np.linspace(-2, 2, 31)
    wobble = 0.3 * np.random.default_rng(seed).normal(size=31)
    noisy = table({"w": w, "gradient": w**3 - w + wobble, "variance": 1 + 0 * w,
                   "count": 20 + 0 * w})  # fmt: skip
    found = analyze(noisy.landscape(learning_rate=0.05), chain=False)
    said = re.sub(r"\s+", " ", str(found))
    gain = abs(found.basins[0].log_mass - found.basins[1].log_mass)
    error = found.standard_errors.log_ratios[0, 1]
    assert (gain < error) == (seed == 3)
    told = re.search(r"of the two heaviest is (\S+), with a standard error of (\S+)\. ", said)
    assert abs(float(told[1]) - gain) <= error / 10
    assert float(told[1]) > 0.3
    assert f"first two masses, {told[1]}, has a standard error of {told[2]} from" in said
    # No mass has more digits than the sample tells, and none is known better by its logarithm.
    part = str(found).split("of log exit time\n")[1].splitlines()
    rows = [line.split() for line in part[:2]]
    assert len(rows) == 2
    for row in rows:
        assert len(row[1].strip("0.")) <= 3
        assert float(row[3]) >= float(row[2]) * 0.99
    basins = [b.mass for b in found.basins]
    assert f"{min(basins):.2g}" not in str(found).split("Basins")[1].split("How sure")[0]


@pytest.mark.parametrize(
    ("value", "error", "told"),
    [
        (0.336, 0.49, "0.34"), (-0.004, 0.49, "0"), (64.9, 110.0, "60"), (250.5657, 0.75, "250.57"),
        (1.23456, 0.0, "1.23456"), (0.5, math.inf, "0.5"),
    ],
)  # fmt: skip
def test_a_value_is_told_to_the_second_digit_of_its_standard_error(value, error, told):
    assert sampled_text(value, error, 6) == told


@pytest.mark.parametrize(("far", "heavy"), [(30.0, False), (300.0, True)])
def test_an_outlier_is_the_first_datapoint_and_its_share_is_told(far, heavy):
    """Ten of a hundred normal numbers make 44 % of the squares: only more is a heavy tail."""
    centres = np.append(np.zeros(99), far)[:, None] + np.linspace(-1, 1, 100)[:, None]
    found = analyze(
        Landscape(gradients=lambda w: w**3 - w + 0.1 * centres, learning_rate=0.2, sample=True,
                  domain=(-3, 3)), chain=False
    )  # fmt: skip
    assert found.influence.top(1)[0][0] == 99
    assert (0.44 if heavy else 0.3) < found.standard_errors.share
    kurtosis = (
        np.mean(found.influence.of_ratio() ** 4) / np.mean(found.influence.of_ratio() ** 2) ** 2
    )
    assert (kurtosis > 3) == heavy
    assert ("(of normal ones 44 %): with such heavy tails" in " ".join(str(found).split())) == heavy


def test_minima_that_were_merged_have_standard_errors_of_their_own():
    """As the minima have where they are kept apart (min_barrier=0)."""
    rng = np.random.default_rng(1)
    shift = rng.normal(0.05, 1.0, 200)[:, None]
    made = Landscape(gradients=lambda w: w**3 - w + shift, learning_rate=0.9, sample=True,
                     domain=(-2, 2))  # fmt: skip
    merged, apart = (analyze(made, min_barrier=m, chain=False) for m in (2.0, 0.0))
    parts = merged.to_dict()["basins"][0]["parts"]
    names = ("mass_standard_error", "position_standard_error", "log_mass_standard_error")
    assert [[p[n] for n in names] for p in parts] == [
        pytest.approx([b[n] for n in names], rel=1e-6) for b in apart.to_dict()["basins"]
    ]
    mass, error = parts[0]["mass"], parts[0]["mass_standard_error"]
    assert error > 0.01
    for rows in (str(merged).split("Basins")[1], str(merged).split("How sure")[1]):
        row = re.search(r"of which -\S+ .*", rows)[0]
        assert f"{mass:.2g}" in row
    assert f"{mass:.6g}" not in str(merged)


def test_errors_of_a_table_are_errors_of_its_answer():
    """The mean of a quadratic is where the line of the gradient crosses zero."""
    w = np.linspace(-2, 2, 41)
    rng = np.random.default_rng(0)
    off = []
    for _ in range(30):
        noisy = {"w": w, "gradient": w + 0.1 * rng.normal(size=41), "variance": 1 + 0 * w,
                 "gradient_error": 0.1 + 0 * w}  # fmt: skip
        one = analyze(table(noisy).landscape(learning_rate=0.1, batch_size=4))
        off.append(one.end_state.mean() / one.standard_errors.mean)
    assert 0.6 < np.sqrt(np.mean(np.square(off))) < 1.4
    assert (np.abs(off) < 1.96).mean() >= 0.85


def test_interpolated_datapoints_have_the_same_influence(found):
    own = landscape()
    known = sampled(own.gradients, (-3, 3), tolerance=1e-6)
    other = analyze(landscape(gradients=known), chain=False)
    assert other.influence.of_ratio(0, 1) == pytest.approx(found.influence.of_ratio(0, 1), abs=0.05)


def test_the_command_line_writes_influence(tmp_path, run):
    file = tmp_path / "influence.csv"
    code, out, _ = run("analyze", "examples/two_minima.py", "--influence", file)
    assert "These 4 of 4 have 100 % of it." in out
    assert code == 0
    header, *rows = file.read_text().splitlines()
    assert header.startswith("datapoint,ratio,log_mass_")
    assert len(rows) == analyze("examples/two_minima.py").landscape.datapoints


def test_influence_that_is_not_known_is_refused(tmp_path):
    w = np.linspace(-1, 1, 9)
    moments = table({"w": w, "gradient": w, "variance": 1 + 0 * w}).landscape(learning_rate=0.1)
    with pytest.raises(LandscapeError, match="of single datapoints are not known"):
        _ = analyze(moments).influence
    with pytest.raises(LandscapeError, match="the influence of datapoints is not known here"):
        _ = analyze("examples/pit.py").influence
    with pytest.raises(LandscapeError, match="there are basins 0 to 1"):
        analyze(landscape(), chain=False).influence.top(3, 0, 5)


@pytest.mark.parametrize(
    ("file", "command", "message"),
    [
        ("ornstein_uhlenbeck", ["analyze", "--influence", "i.csv"], "have no datapoints"),
        ("two_weights", ["analyze", "--influence", "i.csv"], "known for one weight only"),
        ("ornstein_uhlenbeck", ["check"], "do not say what steps SGD takes"),
        ("two_weights", ["check", "--momentum", "0.9"], "modelled in the limit of small steps"),
    ],
)
def test_what_needs_datapoints_is_refused_before_the_work(file, command, message, run, monkeypatch):
    def end_state(*_, **__):
        raise AssertionError

    for name in ("analysis.end_state", "plane.doors.end_state"):
        monkeypatch.setattr(f"stationary.{name}", end_state)
    code, _, err = run(*command, f"examples/{file}.py")
    assert code == 1
    assert message in err


def test_the_figure_of_influence_names_the_first(found, tmp_path):
    axes = found.influence.plot(tmp_path / "influence.png").axes[0]
    named = {t.get_text() for t in axes.texts}
    assert str(found.influence.top(1)[0][0]) in named
    few = Landscape(gradients=lambda w: w + np.array([[-1.0], [0.0], [1.5]]), learning_rate=0.1,
                    domain=(-3, 3))  # fmt: skip
    ticks = analyze(few).influence.plot().axes[0].get_xticks()
    assert (ticks == np.round(ticks)).all()  # of datapoints there are no halves
    with pytest.raises(LandscapeError, match=r"no axes of matplotlib.*ax=axes\[0\]"):
        found.plot(ax=np.array([axes, axes]))


def test_the_mean_of_two_wells_that_are_hardly_told_apart_is_not_taken_to_be_linear(found):
    """Their masses are e^z / (1 + e^z) with z normal: of a large error, no more than 1/2 each."""
    errors, (first, second) = found.standard_errors, found.basins
    z = first.log_mass - second.log_mass + errors.log_ratios[0, 1] * RNG.normal(size=200_000)
    assert errors.masses[0] == pytest.approx(np.std(1 / (1 + np.exp(-z))), rel=0.03)
    linear = np.sqrt((found.influence.mean**2).sum()) / N
    assert errors.log_ratios[0, 1] > 0.5
    assert errors.mean < 0.97 * linear
    single = analyze(
        Landscape(gradients=lambda w: w - SHIFTS[:, None], learning_rate=0.1, domain=(-6, 6),
                  sample=True)
    )  # fmt: skip
    assert single.standard_errors.mean == pytest.approx(SHIFTS.std() / np.sqrt(N), rel=1e-6)
    assert single.standard_errors.masses == pytest.approx((0.0,), abs=1e-9)


@pytest.mark.parametrize("narrow", [2.0, 8.0])
def test_standard_errors_do_not_depend_on_where_noise_has_died_out(narrow):
    """What rounding left of P out there was divided by the noise: 7e11 for 0.087, or overflows."""

    def of(end):
        return analyze(
            Landscape(gradients=lambda w: w + w**3 - SHIFTS[:, None] * np.exp(-narrow * w * w),
                      learning_rate=0.02, domain=(-end, end), sample=True), chain=False
        ).standard_errors  # fmt: skip

    far, near = of(4), of(1)
    for name in ("mean", "std", "entropy", "log_densities"):
        assert getattr(far, name) == pytest.approx(getattr(near, name), rel=1e-3)
    assert far.quantiles[0.5] == pytest.approx(near.quantiles[0.5], rel=1e-2)


def test_a_quantile_is_not_less_sure_than_the_wells_are_apart():
    """Which of two wells at -1 and 1 wins is open, and each moves by its width: 2.7 was said."""
    found = landscape(learning_rate=0.0134, batch_size=16, domain=(-3, 3))
    errors = analyze(found, chain=False).standard_errors
    assert errors.log_ratios[0, 1] > 100
    rng = np.random.default_rng(0)
    drawn = [
        landscape(rng.integers(N, size=N), learning_rate=0.0134, batch_size=16) for _ in range(24)
    ]
    spread = np.std([end_state(one).ppf([0.025, 0.5, 0.975]) for one in drawn], axis=0)
    for level, known in zip((0.025, 0.5, 0.975), spread, strict=True):
        assert errors.quantiles[level] == pytest.approx(known, rel=0.3)


def test_standard_errors_that_hang_on_noise_below_rounding_are_not_known():
    """At w = 3 the gradients, 30, differ by 1e-20: 7.5e49 was said of an exponent of 1e40."""

    def of(narrow):
        state = end_state(
            Landscape(gradients=lambda w: w + w**3 - SHIFTS[:, None] * np.exp(-narrow * w * w),
                      learning_rate=0.1, domain=(-3, 3), sample=True)
        )  # fmt: skip
        return dilation_bias(state, 0, [1, 1.5])

    known, lost = of(1.5), of(5.0)
    errors = known.to_frame()["log_mass_ratio_standard_error"]
    assert errors[1] == pytest.approx(known.log_mass_ratios[1] / np.sqrt(N / 2), rel=0.3)
    assert "10^(6" in lost.summary()  # it was "1 times"
    assert np.isnan(lost.to_frame()["log_mass_ratio_standard_error"][1])
    assert "nan" not in lost.summary()


def test_the_entropy_has_a_standard_error_where_the_density_is_zero():
    """Between two stretches on which all gradients are clipped log P is -inf: it was nan."""
    wells = ((1.08, -0.04), (1.33, -0.15), (0.5, -0.03))
    found = analyze(
        Landscape(losses=lambda w: [0.05 * w**2 - d * np.exp(-(((w + 1 - x) / 0.16) ** 2))
                                    for d, x in wells],
                  learning_rate=0.1, clip=1.5, domain=(-1.2, 0), sample=True), chain=False
    )  # fmt: skip
    assert found.standard_errors.entropy == pytest.approx(0.08, abs=0.005)


def test_the_influence_of_interpolated_datapoints_is_told_by_their_values_at_the_knots():
    own = landscape(weight_decay=0.1)
    w = np.linspace(-3, 3, 41)
    known = table({"w": w, "gradients": own.gradients(w)}).landscape(
        learning_rate=0.3, batch_size=2, weight_decay=0.1
    )
    one, other = (analyze(m, chain=False, min_barrier=0).influence for m in (own, known))
    assert other.log_masses == pytest.approx(
        one.log_masses, abs=2e-3 * np.abs(one.log_masses).max()
    )
    assert other.mean == pytest.approx(one.mean, abs=2e-3 * np.abs(one.mean).max())


def test_influence_goes_to_standard_output_in_place_of_the_report(run):
    code, out, err = run("analyze", "examples/two_minima.py", "--influence", "-")
    assert (code, err) == (0, "")
    assert out.startswith("datapoint,")


@pytest.fixture(scope="module")
def one_left_out():
    return [landscape(np.delete(np.arange(60), j)).diffusion() for j in range(60)]


@pytest.mark.parametrize(
    ("starts", "targets", "within"),
    [([-0.9], [-0.2, -1.2], 0.1), ([1.6, -0.1], [1.1, -0.8], 0.1), ([0.4], [-0.3], 0.1)],
)
def test_passages_have_the_standard_errors_of_the_jackknife(starts, targets, within, one_left_out):
    chosen = np.arange(60)
    whole = first_passage(landscape(chosen), np.array(starts), targets)
    logs = [first_passage(one, np.array(starts), targets).mean.log for one in one_left_out]
    jackknife = math.sqrt(59) * np.std(logs, axis=0)
    known = whole.to_dict()["standard_error_of_log_mean"]
    assert known == pytest.approx(jackknife.tolist(), rel=within)
    assert f"{known[0]:.2g} from {starts[0]:g}" in " ".join(str(whole).split())
    frame = whole.to_frame()
    assert list(frame["mean_standard_error_of_log"][: len(starts)]) == pytest.approx(known)


def test_passages_of_what_is_exact_or_starts_from_a_law_have_no_standard_error():
    exact = first_passage(landscape(sample=False), -0.9, -0.2)
    assert exact.to_dict()["standard_error_of_log_mean"] is None
    assert "standard error" not in str(exact)
    spread = first_passage(landscape(), "normal:-0.9,0.1", 0.5)
    assert "it is not known here" in " ".join(str(spread).split())


def test_a_bias_has_the_standard_error_of_its_logarithm_beside_it(found):
    told = " ".join(str(found.bias).split())
    error = found.standard_errors.log_ratios[0, 1]
    assert f"beside the numerical errors below, is {error:.2g}." in told
    few = analyze(landscape(slice(16), sample=False), chain=False)
    assert "estimated from a sample" not in str(few.bias)


def test_numbers_of_a_sample_stop_where_it_does():
    """The mean and exit times have the digits that their standard errors leave."""
    found = analyze(landscape(), chain=False)
    text = str(found)
    of_mean = found.standard_errors.mean
    shown = re.search(r"^ *mean +(\S+)", text, re.MULTILINE).group(1)
    assert shown == sampled_text(found.end_state.mean(), of_mean, 10)
    assert len(shown.lstrip("-0.")) < 5


LEVELS = (0.025, 0.25, 0.5, 0.75, 0.975)
OF_BASINS = {
    "log_mass": "log_masses", "position": "positions", "log_density": "log_densities",
    "variance": "variances", "barrier_left": "barriers_left", "barrier_right": "barriers_right",
    "log_exit_time": "log_exit_times", "width": "widths", "loss": "losses",
    "sharpness": "sharpnesses",
}  # fmt: skip


def everything(found, of_basins=tuple(OF_BASINS)):
    """All that an analysis tells of its law, and of its basins; nan for what there is not."""
    state = found.end_state
    law = [state.mean(), state.std(), *state.stats("sk"), state.entropy(), *state.ppf(LEVELS)]
    return np.array([*law, *(getattr(b, n) for b in found.basins for n in of_basins)], dtype=float)


def errors_of_everything(found):
    e = found.standard_errors
    law = [e.mean, e.std, e.skewness, e.kurtosis, e.entropy, *(e.quantiles[q] for q in LEVELS)]
    of_basins = [getattr(e, n)[k] for k in range(len(found.basins)) for n in OF_BASINS.values()]
    return np.array([*law, *of_basins])


def samples(wells, **changes):
    """One well or two, of 40 datapoints with losses; by which of them are taken."""
    rng = np.random.default_rng(6)
    c, s, d = rng.normal(size=40), rng.normal(size=40), rng.exponential(size=40)

    def of(chosen):
        a, b, e = (v[chosen][:, None] for v in (c, 0.2 * s, d))

        def losses(w):
            if wells == 1:
                return e * w**2 / 2 + a * w + b * np.sin(w)
            return w**4 / 4 - w**2 / 2 + 0.3 * a * (w + 0.1 * w**2) - b * np.cos(2 * w)

        made = Landscape(losses=losses, learning_rate=0.4, domain=(-3, 3), sample=True, **changes)
        return analyze(made, chain=False, min_barrier=0)

    return of


def jackknife(of, numbers):
    left_out = np.array([numbers(of(np.delete(np.arange(40), j))) for j in range(40)])
    return math.sqrt(39) * left_out.std(axis=0)


@pytest.mark.parametrize("convention", ["ito", "stratonovich"])
def test_all_that_is_told_of_a_law_and_a_basin_has_the_standard_error_of_the_jackknife(convention):
    of = samples(1, convention=convention)
    mine, theirs = errors_of_everything(of(slice(None))), jackknife(of, everything)
    known = theirs > 1e-12  # of one basin there is no other
    assert known.sum() == 16
    assert mine[known] == pytest.approx(theirs[known], rel=0.2)


def test_basins_beside_each_other_and_what_makes_their_ratio_have_those_of_the_jackknife():
    of = samples(2)
    whole = of(slice(None))
    first, second = whole.bias.ratios[0].indices

    def numbers(found):
        ratio = next(r for r in found.bias if set(r.indices) == {first, second})
        sign = 1 if ratio.indices == (first, second) else -1
        parts = (ratio.log_mass, ratio.log_density, ratio.exponent, ratio.noise, ratio.width)
        changed = dilation_bias(found.end_state, first, [1.2, 2.0], min_barrier=0)
        gains = [*changed.log_density_ratios, *changed.log_mass_ratios]
        parts = [sign * x for x in parts]
        return np.array([*everything(found)[10:], *gains, *parts])

    theirs = jackknife(of, numbers)
    row = whole.bias.to_dict()["ratios"][0]
    named = ["log_mass", "log_density", "exponent", "noise", "width"]
    changed = dilation_bias(whole.end_state, first, [1.2, 2.0], min_barrier=0).to_frame()
    mine = np.array([
        *errors_of_everything(whole)[10:],
        *changed["log_density_ratio_standard_error"], *changed["log_mass_ratio_standard_error"],
        *(row[f"{name}_standard_error"] for name in named),
    ])  # fmt: skip
    linear = ~np.isin(np.arange(len(mine)), [0, 2, 10, 12])  # masses are not: see below
    known = np.isfinite(theirs) & linear
    assert known.sum() == len(mine) - 4 - 2
    assert mine[known] == pytest.approx(theirs[known], rel=0.2)


def test_a_law_of_two_wells_has_the_standard_errors_of_a_bootstrap_however_unsure_their_masses():
    of, rng = samples(2), np.random.default_rng(1)
    whole = of(slice(None))
    assert whole.standard_errors.log_ratios[0, 1] > 2
    drawn = [everything(of(rng.integers(40, size=40)), ["mass"]) for _ in range(60)]
    mine, theirs = errors_of_everything(whole), np.std(drawn, axis=0)
    law = [0, 1, 4, 6, 7, 8]  # moments and quantiles: 60 draws know 10 %
    assert mine[law] == pytest.approx(theirs[law], rel=0.4)
    assert whole.standard_errors.masses == pytest.approx(theirs[-2:], rel=0.4)


def test_no_number_of_a_sample_goes_on_past_its_standard_error():
    found = samples(2)(slice(None))
    text, told = str(found), found.to_dict()
    for name in ("mean", "standard deviation", "entropy", "median", "quantile 0.975"):
        row = re.search(rf"^ *{name} +(\S+) +(\S+) +(\S+)$", text, re.MULTILINE)
        key = {"median": "0.5", "quantile 0.975": "0.975"}.get(name)
        known = told["quantiles"][key] if key else told["moments"][name.replace(" ", "_")]
        assert row[1] == sampled_text(known["value"], known["standard_error"], 10)
        assert row[3] == f"{known['standard_error']:.2g}"
    rests = text.split("Equilibria")[1].split("Basins")[0].splitlines()[2:5]
    for line, e in zip(rests, told["equilibria"], strict=True):
        at, _, error, slope, _, _ = line.split()
        assert at == sampled_text(e["position"], e["standard_error"], 12)
        assert error == f"{e['standard_error']:.2g}"
        assert len(slope.strip("-0.")) < 5
    numbers = text.split("Equilibria")[1].split("Ends of")[0]
    assert max(len(x.strip("0.")) for x in re.findall(r"\d+\.\d+", numbers)) <= 6
    minima = found.to_frame(of="minima")
    assert list(minima["loss_standard_error"]) == list(found.standard_errors.losses)
    plain = replace(found.landscape, sample=False)
    assert "mass_standard_error" not in analyze(plain, chain=False).to_frame(of="minima")


def test_sweeps_have_the_standard_errors_of_a_sample_and_crossovers_theirs(tmp_path):
    """Gradients w^3 - w + c_j + k hold the same on both sides where k is minus the mean of c."""
    c = SHIFTS[:60, None]

    def made(k, sample=True):
        def losses(w):
            return w**4 / 4 - w**2 / 2 + (c + k) * w

        return Landscape(losses=losses, learning_rate=0.1, domain=(-3, 3), sample=sample)

    k = [float(by - c.mean()) for by in (-0.2, 0.05, 0.2)]
    asked = {"parameters": {"k": k}, "quantities": ["loss", "median", "exit_time"]}
    found, alone = sweep(made, **asked), analyze(made(k[1]), chain=False)
    table, errors = found.table(), alone.standard_errors
    assert table["mean_standard_error"][1] == errors.mean
    assert table["std_standard_error"][1] == errors.std == found.rows[1].std_standard_error
    assert table["log_mass_standard_error_1"][1] == errors.log_masses[1]
    assert found.rows[1].minima[0].position_standard_error == errors.positions[0]
    assert table["loss_0_standard_error"][1] == errors.losses[0]
    assert table["median_standard_error"][1] == errors.quantiles[0.5]
    log = errors.log_exit_times[1] * alone.basins[1].exit_time
    assert table["exit_time_1_standard_error"][1] == pytest.approx(log)
    (crossing,) = found.crossovers
    assert crossing.value == pytest.approx(-c.mean(), abs=1e-9)
    assert crossing.standard_error == pytest.approx(c.std() / math.sqrt(60), rel=1e-3)
    said = " ".join(str(found).split())
    assert "largest std. error" in said
    assert "error std. error below above" in said
    again = sweep(made, **asked, resume=found).table()["exit_time_1_standard_error"]
    assert (again == table["exit_time_1_standard_error"]).all()
    axes = found.plot(tmp_path / "sweep.png", quantity="median").axes[0]
    assert "standard errors" in axes.get_xlabel()
    whole = sweep(lambda k: made(k, sample=False), {"k": [0.1]})
    assert not [n for n in whole.columns if "standard" in n]


def test_regularisations_of_a_sample_have_standard_errors(tmp_path):
    """Gradients w - c have the mean of c and, with a = T^2 var(c) + eps, the variance a / (2 T)."""
    c, rate, eps = RNG.normal(size=50), 0.1, [0.05, 0.005]

    def made(**changes):
        return Landscape(
            gradients=lambda w: w - c[:, None], learning_rate=rate, domain=(-9, 9), **changes
        )

    path = regularisation_path(made(sample=True), eps)
    frame, a = path.to_frame().to_dict("list"), rate**2 * c.var() + np.array(eps)
    assert frame["mean_standard_error"] == pytest.approx([c.std() / math.sqrt(50)] * 2, rel=1e-6)
    of_var = ((c - c.mean()) ** 2).std() / math.sqrt(50)
    of_std = np.sqrt(a / (2 * rate)) * rate**2 * of_var / (2 * a)
    assert frame["std_standard_error"] == pytest.approx(of_std, rel=1e-6)
    said = str(path).split("Masses")[1].splitlines()[2].split()
    assert said[2] == sampled_text(frame["mean"][0], frame["mean_standard_error"][0], 6)
    assert said[3] == f"{frame['mean_standard_error'][0]:.2g}"
    assert path.to_dict()["standard_errors"]["std"] == frame["std_standard_error"]
    assert "standard errors" in path.plot(tmp_path / "path.png").axes[0].get_xlabel()
    assert "standard" not in " ".join(regularisation_path(made(), eps).to_frame())
    # The exact answer has its own, too.
    exact = analyze(made(sample=True)).standard_errors
    assert path.standard_errors["exact_mean"] == pytest.approx(exact.mean, rel=1e-9)
    (last,) = (line for line in str(path).splitlines() if line.split()[:1] == ["exact"])
    assert last.split()[3] == f"{exact.mean:.2g}"
    wells = landscape(slice(20))
    two = regularisation_path(wells, [0.5]).to_frame()
    errors = analyze(wells, regularise=0.5, chain=False, min_barrier=0).standard_errors
    assert two["log_mass_standard_error_1"][0] == pytest.approx(errors.log_masses[1], rel=1e-6)


def test_why_a_sample_has_no_standard_errors_is_said():
    c = SHIFTS[:20, None] / 10
    ring = Landscape(
        gradients=lambda w: np.sin(w) + c, learning_rate=0.3, domain=(-np.pi, np.pi),
        boundaries="periodic", sample=True,
    )  # fmt: skip
    found = analyze(ring, chain=False)
    said = " ".join(str(found).split())
    assert "How sure the sample makes this Not known: the end state is not one density" in said
    assert "may be far more" in said
    assert found.to_dict()["sample"]["why"]


@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_losses_at_minima_have_errors(shift):
    """The mean of (w - c)^2 / 2 + s is least at the mean of c, where it is half its variance."""
    c = np.random.default_rng(3).normal(size=500)
    losses = Landscape(
        losses=lambda w: (w - c[:, None]) ** 2 / 2 + shift, learning_rate=0.1, domain=(-5, 5)
    )
    (b,) = analyze(losses, chain=False).basins
    exact = math.fsum((c - math.fsum(c) / 500) ** 2) / 1000 + shift
    assert abs(b.loss - exact) <= b.loss_error < 1e-13 * (1 + 10 * shift)
    swept = sweep(losses, learning_rate=[0.1, 0.2], quantities="loss").table()
    assert (swept["loss_0_error"] > 0).all()


def test_a_changed_basin_far_from_all_others_is_told_to_its_standard_errors():
    """Beside it nothing is left of 1 minus its mass."""
    c = SHIFTS[:30, None]
    deep = Landscape(
        losses=lambda w: w**4 / 4 - w**2 / 2 + 0.2 * c * w, learning_rate=0.01, domain=(-2, 2),
        sample=True,
    )  # fmt: skip
    found = analyze(deep, chain=False)
    first = int(np.argmax([b.log_mass for b in found.basins]))
    said = " ".join(str(width_bias(found, minimum=first, dilate=[1, 2])).split())
    assert "it would hold 1 of all probability" in said
    told = re.search(r"holds 10\^\(?(\S+?)(e\+\d+)?\)? times its mass", said)[1]
    assert len(told.replace(".", "").strip("0")) <= 3


# -- over time -------------------------------------------------------------------------------------


def _regression(x, y, rate):
    return Landscape(
        lambda w: 0.5 * (x[:, None] * w - y[:, None]) ** 2,
        learning_rate=rate,
        sample=True,
        initial=-1.0,
    )


def _closed_moments(x, y, rate, times):
    """Mean and deviation of (R, N) samples: m' = -T (A m - C), v' = -2 T A v + T^2 S2(m, v)."""
    a, c = (x * x).mean(axis=1), (x * y).mean(axis=1)
    p, q, r = (x**4).mean(axis=1) - a**2, (x**3 * y).mean(axis=1) - a * c, (x * y).var(axis=1)

    def slope(state):
        m, v = state
        noise = p * (m**2 + v) - 2 * q * m + r
        return np.array([-rate * (a * m - c), -2 * rate * a * v + rate**2 * noise])

    state, told, steps = np.stack([np.full_like(a, -1.0), np.zeros_like(a)]), [], 200
    for interval in np.diff(times):
        h = interval / steps
        for _ in range(steps):  # Runge and Kutta's
            k1 = slope(state)
            k2 = slope(state + h / 2 * k1)
            k3 = slope(state + h / 2 * k2)
            state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(state + h * k3))
        told.append([state[0], np.sqrt(state[1])])
    return np.array(told)  # (times, 2, R)


@pytest.mark.parametrize(("rate", "times"), [(0.05, [0, 5, 20, 100]), (1e-4, [0, 3000])])
def test_standard_errors_over_time_are_those_of_a_bootstrap(rate, times):
    """On cells, and by pulses: 1,000 samples drawn anew, in closed form."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=100)
    y = 0.7 * x + rng.normal(size=100)
    found = evolve(_regression(x, y, rate), times=times)
    assert (found.finest == 0) == (rate < 1e-3)
    drawn = rng.integers(0, 100, (1000, 100))
    again = _closed_moments(x[drawn], y[drawn], rate, times).std(axis=2)
    errors = found.standard_errors
    told = np.array([errors.mean, errors.std]).T
    assert not told[0].any()
    assert told[1:] == pytest.approx(again, rel=0.15)


def test_standard_errors_of_masses_over_time_are_what_two_numbers_of_the_sample_make():
    """Of w^4 / 4 - w^2 / 2 + b_j w only the mean and the variance of b count."""
    rate, n, times = 0.3, 400, [0, 10, 60]
    b = np.random.default_rng(3).normal(0, 0.8, n)

    def masses(mean, variance):
        process = Diffusion(
            lambda w: rate * (w - w**3 - mean), rate**2 * variance, (-2.5, 2.5), initial=-1.0
        )
        return evolve(process, times=times, cells=128)

    around, off = (b.mean(), b.var()), b - b.mean()
    scores = np.array([off, off**2 - b.var()]) / n
    slopes = []
    for k, step in enumerate((1e-2, 1e-2)):
        pair = [np.add(around, sign * step * np.eye(2)[k]) for sign in (1, -1)]
        up, down = (masses(*p) for p in pair)
        both = [e.probability(-9, 0) for e in (up, down)], [e.mean for e in (up, down)]
        both += ([np.full(3, e.log_relaxation_time) for e in (up, down)],)
        slopes.append([(one - other) / (2 * step) for one, other in both])
    exact = np.sqrt((np.einsum("kqt,kn->qtn", np.array(slopes), scores) ** 2).sum(axis=-1))
    found = evolve(
        Landscape(
            lambda w: w**4 / 4 - w**2 / 2 + b[:, None] * w,
            learning_rate=rate,
            domain=(-2.5, 2.5),
            sample=True,
            initial=-1.0,
        ),
        times=times,
    )
    errors = found.standard_errors
    assert errors.probability(-9, 0)[1:] == pytest.approx(exact[0, 1:], rel=0.1)
    assert errors.mean[1:] == pytest.approx(exact[1, 1:], rel=0.1)
    assert errors.log_relaxation_time == pytest.approx(exact[2, 0], rel=0.1)
    # What is told of it stops there.
    text, rows, data = str(found), found.to_csv(), found.to_dict()["standard_errors"]
    told = f"{found.probability(-2.5, found.end_state.anatomy.equilibria[1].position)[-1]:.2f}"
    assert re.search(rf": {told}\d? \+- \de-\d+, standard error 0\.\d+", text)
    assert "Drift and variance were estimated from a sample: standard errors" in text
    assert rows.splitlines()[0].endswith("mass,density,mass_standard_error")
    assert data["mean"] == errors.mean.tolist()
    assert max(map(len, text.splitlines())) <= 80
    assert pickle.loads(pickle.dumps(errors)) == errors


def test_why_an_evolution_has_no_standard_errors_is_said():
    x = np.linspace(-2, 2, 4)[:, None]
    losses = lambda w: 0.5 * (w - x) ** 2  # noqa: E731
    clipped = Landscape(losses, learning_rate=0.1, clip=1.0, batch_size=2, sample=True)
    text = " ".join(str(evolve(clipped, 0.3, [0, 5])).split())
    assert "what that leaves unsure is not known" in text
    assert "belong to no single datapoint" in text
    plain = evolve(Landscape(losses, learning_rate=0.1), 0.3, [0, 5])
    assert plain.standard_errors is None
    assert "sample" not in str(plain)


def test_walkers_that_start_at_one_point_have_no_deviation_and_standard_errors_two_digits():
    """The mean of a thousand numbers 0.1 is 0.1 less 1e-17."""
    found = evolve(_regression(np.ones(3), np.arange(3.0), 0.1), 0.1, times=[0, 1])
    assert found.walkers.std[0] == found.walkers.mean_error[0] == 0
    assert not re.search(r"[1-9]\d{2}", str(found.standard_errors))


def test_answers_of_a_sample_without_standard_errors_say_so():
    """The chain and walkers know these datapoints, and nothing of others."""
    few = _regression(np.array([1.0, 0.5, 2.0]), np.arange(3.0), 0.1)
    for answer in (exact_chain(few, cells=50), simulate(few, steps=20, walkers=20)):
        said = " ".join(str(answer).split())
        assert said.count("Gradients were estimated from a sample.") == 1
        assert "`stationary analyze` gives standard errors" in said
    assert "sample" not in str(exact_chain(replace(few, sample=False), cells=50))


def test_a_quantity_of_ones_own_may_have_a_standard_error():
    def spread(analysis):
        return analysis.end_state.std(), 1e-9, analysis.standard_errors.std

    wanted = {"spread": spread}
    columns = sweep(landscape(slice(20)), learning_rate=[0.2, 0.3], quantities=wanted).to_frame()
    assert (columns["spread_standard_error"] == columns["std_standard_error"]).all()
    assert (columns["spread_standard_error"] > 0).all()


def test_numbers_that_a_sample_cuts_short_are_written_out():
    assert plain_text(221.7, 2) == "220"
    assert plain_text(0.2217, 2) == "0.22"
    assert plain_text(2.2e9, 2) == "2.2e+09"


def test_ten_lines_of_an_evolution_hold_its_last_time():
    process = Diffusion(lambda x: -x, 1.0, initial=1.0)
    brief = evolve(process, times=np.arange(0, 101, 5)).summary(brief=True)
    assert [line.split()[0] for line in brief.splitlines()[-3:]] == ["0", "50", "100"]


@pytest.mark.parametrize(
    ("mass", "error", "told"),
    [
        (0.8, 0.13, "1e-01"),
        (0.2, 0.48, "3e-01 of log"),
        (1.0, 3e6, "not known"),
        (1.0, 0.2, "2e-01"),
    ],
)
def test_the_error_of_a_mass_is_its_own_unless_its_logarithm_says_more(mass, error, told):
    assert relative_error_text(error, math.log(mass)) == told


def test_a_share_of_all_is_a_hundred_percent():
    """Two datapoints of three far out make all of the variance: it was 1e+02 %."""
    x = np.array([0.0, 1.0, -1.0])[:, None]
    found = analyze(Landscape(lambda w: 0.5 * (w - x) ** 2, learning_rate=0.1, sample=True))
    assert "make 100 % of that variance" in " ".join(str(found).split())
    assert "so few datapoints (3)" in " ".join(str(found).split())


def test_standard_errors_over_time_hold_where_samples_may_flip_which_minimum_wins():
    """In the end they are those of the end state, whose log ratio of masses is unsure by 12."""
    wells = landscape(slice(40), learning_rate=0.1)
    known = analyze(wells, chain=False).standard_errors
    found = evolve(wells, -0.8, times=[1e7], cells=80)
    assert found.total_variation_to_end[-1] < 1e-9
    errors = found.standard_errors
    assert errors.mean[-1] == pytest.approx(known.mean, rel=0.2)
    assert errors.std[-1] == pytest.approx(known.std, rel=0.2)
    assert errors.probability(-3, 0)[-1] == pytest.approx(known.masses[0], rel=0.2)


def test_an_evolution_is_kept_where_its_standard_errors_are_stopped(monkeypatch):
    found = evolve(_regression(np.array([1.0, 0.5, 2.0]), np.arange(3.0), 0.1), 0.1, times=[0, 5])

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("stationary.evolution.standard_errors._directions", stopped)
    said = " ".join(str(found).split())
    assert "what that leaves unsure is not known: this was stopped" in said
    assert f"{found.mean[-1]:.4f}" in said
