"""The report, the JSON and the table: readable, complete, and without NaN."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from stationary import Diffusion, Landscape, LandscapeError, Status, analyze, end_state, table
from stationary.show.layout import report, tabulated
from stationary.wording import digits_known, power_text, probability_text, times_text

INF = np.inf


@pytest.fixture(scope="module")
def analyses():
    def student(nu):
        return Diffusion(
            drift=lambda x: -(nu - 1) * x,
            variance=lambda x: 2 * (nu + x * x),
            domain=(-INF, INF),
            name="student",
        )

    def quadratics(w):
        return (w - 1) ** 2 / 2, (w + 1) ** 2 / 2

    return {
        "landscape": analyze(
            Landscape(losses=quadratics, learning_rate=0.1, domain=(-3, 3), name="quadratics")
        ),
        "whole line": analyze(Landscape(losses=quadratics, learning_rate=0.1, name="quadratics")),
        "heavy": analyze(student(1.5)),
        "cauchy": analyze(student(1.0)),
        "none": analyze(Diffusion(drift=0, variance=1, domain=(-INF, INF), name="brownian")),
        "divergent": analyze(
            Diffusion(drift=lambda x: 0.1 - x, variance=lambda x: 2 * x, domain=(0, INF))
        ),
        "steep": analyze(
            Diffusion(drift=lambda x: x - x**3 - 0.1, variance=1e-5, domain=(-3, 3), name="steep")
        ),
    }


KINDS = ["landscape", "whole line", "heavy", "cauchy", "none", "divergent", "steep"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_report_fits_a_terminal_and_has_no_nan(analyses, kind):
    text = analyses[kind].summary()
    assert max(len(line) for line in text.splitlines()) <= 80
    words = text.replace("(", " ").replace(")", " ").split()
    assert "nan" not in words
    assert "(1/2)" in text  # the equation and its factor of two
    assert "Ito" in text
    assert text == text.strip()


@pytest.mark.parametrize("kind", KINDS)
def test_json_has_the_documented_keys_and_no_infinity(analyses, kind):
    text = analyses[kind].to_json()

    def refuse(token):
        raise AssertionError(token)

    data = json.loads(text, parse_constant=refuse)
    assert data["schema"] == 1
    assert set(data) == {
        "schema", "name", "process", "kind", "reason", "status", "error", "equilibria", "ends",
        "basins", "modes", "moments", "quantiles", "scan", "notes", "singular_points", "classes",
        "initial", "hitting", "many_digits", "current", "steps", "sgd",
        "min_barrier", "unbounded", "sample", "stopped",
    }  # fmt: skip
    assert data["process"]["kind"] == (
        "landscape" if "line" in kind or kind == "landscape" else "diffusion"
    )


def test_what_does_not_exist_is_said_in_words(analyses):
    data = analyses["heavy"].to_dict()
    assert data["moments"]["standard_deviation"]["value"] is None
    assert data["moments"]["standard_deviation"]["why"] == "the density falls only as |x|^-2.5"
    assert data["moments"]["mean"]["value"] == pytest.approx(0, abs=1e-13)
    assert analyses["cauchy"].to_dict()["moments"]["mean"]["value"] is None
    assert "does not exist" in analyses["heavy"].summary()


def test_no_end_state_is_an_answer(analyses):
    analysis = analyses["none"]
    assert analysis.end_state.kind == "none"
    assert "There is no end state." in analysis.summary()
    assert "spreads" in analysis.to_dict()["reason"]
    with pytest.raises(LandscapeError, match="there is no end state"):
        analysis.end_state.pdf(0.0)
    assert analysis.basins == ()


def test_a_mass_beyond_doubles_is_printed_as_a_power_of_ten(analyses):
    text = analyses["steep"].summary()
    log_mass = analyses["steep"].basins[1].log_mass
    assert log_mass < -1e4
    assert f"10^{log_mass / math.log(10):.2f}" in text


@pytest.mark.parametrize(
    ("log_p", "text"),
    [
        (0.0, "1"),
        (math.log(0.25), "0.25"),
        (math.log1p(-1e-9), "1 - 1e-09"),
        (-200.0, "10^-86.86"),
        (-3.7e79, "10^(-1.61e+79)"),
        (-math.inf, "0"),
    ],
)
def test_probabilities_in_words(log_p, text):
    assert probability_text(log_p) == text


def test_the_table_integrates_to_one(analyses):
    rows = list(csv.DictReader(io.StringIO(analyses["landscape"].to_csv(4001))))
    x = np.array([float(r["w"]) for r in rows])
    density = np.array([float(r["density"]) for r in rows])
    assert len(rows) > 3900
    assert np.all(np.diff(x) > 0)
    assert np.trapezoid(density, x) == pytest.approx(1, abs=1e-4)
    cdf = np.array([float(r["cdf"]) for r in rows])
    assert cdf[0] == 0
    assert cdf[-1] == 1


def test_a_density_that_diverges_is_inf_in_its_cell(analyses):
    rows = list(csv.DictReader(io.StringIO(analyses["divergent"].to_csv())))
    assert rows[0]["x"] == "0.0"
    assert rows[0]["density"] == "inf"


def slow():
    """P ~ 1 / (x log x (log log x)^2) on (20, inf): normalisable, and no power or log tells it."""

    def drift(x):
        one = np.log(x)
        return -0.5 * (1 + (1 + 2 / np.log(one)) / one) / x

    return Diffusion(drift=drift, variance=1.0, domain=(20, INF), name="slow")


def test_what_is_not_decided_is_not_called_impossible():
    analysis = analyze(slow())
    assert analysis.end_state.status is Status.NOT_DECIDED
    words = " ".join(analysis.summary().split())
    assert "not decided whether there is an end state" in words
    assert "no end state" not in words
    assert "spreads for ever" not in words
    assert "Give a finite domain" in words or "give a finite domain" in words
    data = json.loads(analysis.to_json())
    assert data["status"]["name"] == "not_decided"
    assert [c["kind"] for c in data["classes"]] == ["not decided"]
    with pytest.raises(LandscapeError, match="not decided whether there is an end state"):
        analysis.end_state.pdf(30.0)


def test_on_a_finite_domain_the_same_density_is_solved():
    """P ~ 1 / (x log x (log log x)^2) has the integral -1 / log log x."""
    state = end_state(replace(slow(), domain=(20, 1e6)))
    low, mid, high = (1 / math.log(math.log(x)) for x in (20, 1e3, 1e6))
    exact = (low - mid) / (low - high)
    assert abs(state.probability(20, 1e3) - exact) <= max(state.error, 1e-15) < 1e-10


def test_what_is_not_decided_ends_the_command_with_code_3(run, write):
    path = write(
        "import numpy as np\nvariance = 1.0\ndomain = (20, np.inf)\ndef drift(x):\n"
        "    one = np.log(x)\n    return -0.5 * (1 + (1 + 2 / np.log(one)) / one) / x\n"
    )
    code, out, _ = run("analyze", path)
    assert code == 3
    assert "not decided whether there is an end state" in " ".join(out.split())
    assert run("analyze", "no.py", path, "--brief")[0] == 1  # what failed comes first


def test_every_column_of_the_table_is_what_it_is_called():
    """f = -(x - 0.3) and a = 0.5: a normal law of mean 0.3 and variance 0.25, on both sides."""
    process = Diffusion(drift=lambda x: 0.3 - x, variance=0.5, domain=(-INF, INF))
    rows = list(csv.DictReader(io.StringIO(analyze(process).to_csv(points=101))))
    table = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    x, law = table.pop("x"), norm(0.3, 0.5)
    exact = {
        "density": law.pdf(x),
        "log_density": law.logpdf(x),
        "cdf": law.cdf(x),
        "sf": law.sf(x),
        "drift": 0.3 - x,
        "variance": np.full(len(x), 0.5),
    }
    assert set(table) == set(exact)
    for name, values in exact.items():
        np.testing.assert_allclose(table[name], values, rtol=1e-11, atol=1e-15, err_msg=name)


def test_every_number_of_a_basin_in_the_json_is_what_it_is_called():
    """-V = x^2 - x^4 / 2 + 0.3 x and a = 0.4: nothing is the same on two sides."""
    analysis = analyze(
        Diffusion(drift=lambda x: 2 * (x - x**3) + 0.3, variance=0.4, domain=(-2, 2.5))
    )
    data, state = analysis.to_dict(), analysis.end_state

    def exponent(x):
        return 2 / 0.4 * (x**2 - x**4 / 2 + 0.3 * x)

    low, top, high = np.sort(np.roots([-2, 0, 2, 0.3]).real)
    left, right = data["basins"]
    for basin, at, lower, upper in ((left, low, -2, top), (right, high, top, 2.5)):
        assert basin["position"] == pytest.approx(at, abs=1e-13)
        assert (basin["lower"], basin["upper"]) == pytest.approx((lower, upper), abs=1e-13)
        assert basin["log_mass"] == pytest.approx(state.log_probability(lower, upper), abs=1e-12)
        assert basin["mass"] == pytest.approx(math.exp(basin["log_mass"]), rel=1e-14)
        assert basin["log_density"] == pytest.approx(state.logpdf(at), abs=1e-12)
        whole, _ = quad(
            lambda x, at=at: math.exp(exponent(x) - exponent(at)), -2, 2.5, epsabs=1e-13
        )
        assert abs(basin["log_density"] + math.log(whole)) < basin["log_density_error"] + 1e-13
        assert 0 < basin["log_density_error"] < 1e-12
        assert basin["curvature"] == pytest.approx(6 * at**2 - 2, rel=1e-12)
        assert basin["variance"] == pytest.approx(0.4, rel=1e-14)
        assert basin["modes"] == pytest.approx([at], abs=1e-12)
        assert 0 < basin["mass_error"] < 1e-12
        assert 0 <= basin["position_error"] < 1e-13
        assert not basin["at_wall"]
    assert left["barrier_left"] is right["barrier_right"] is None
    assert left["barrier_right"] == pytest.approx(exponent(low) - exponent(top), rel=1e-12)
    assert right["barrier_left"] == pytest.approx(exponent(high) - exponent(top), rel=1e-12)
    assert left["log_exit_time"] < right["log_exit_time"]
    assert [e["stable"] for e in data["equilibria"]] == [True, False, True]
    assert [e["drift_slope"] for e in data["equilibria"]] == pytest.approx(
        [2 - 6 * x**2 for x in (low, top, high)], rel=1e-12
    )
    assert [(e["side"], e["position"]) for e in data["ends"]] == [("lower", -2), ("upper", 2.5)]
    for level, q in data["quantiles"].items():
        assert state.cdf(q["value"]) == pytest.approx(float(level), rel=1e-10)
    assert data["moments"]["mean"]["value"] == state.mean()
    assert data["moments"]["standard_deviation"]["value"] == state.std()
    assert data["moments"]["entropy"]["value"] == state.entropy()


def test_the_table_of_the_report_has_its_columns_in_order():
    analysis = analyze(
        Diffusion(drift=lambda x: 2 * (x - x**3) + 0.3, variance=0.4, domain=(-2, 2.5))
    )
    lines = analysis.summary().splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:3] == ["minimum", "from", "to"])
    for basin, line in zip(analysis.basins, lines[start + 1 : start + 3], strict=True):
        minimum, low, high, mass, error = map(float, line.split())
        assert minimum == pytest.approx(basin.position, abs=1e-5)
        assert (low, high) == pytest.approx((basin.lower, basin.upper), abs=1e-5)
        assert mass == pytest.approx(basin.mass, rel=1e-8)
        assert error == pytest.approx(basin.mass_error, rel=0.5)


@pytest.mark.parametrize("noise", [0.005, 0.01])
def test_a_median_between_two_wells_is_known_to_the_gap_only(noise):
    """Next to nothing lies between the wells: the median may be anywhere between them."""
    found = analyze(Diffusion(lambda x: x - x**3, noise, (-3, 3))).to_dict()["quantiles"]["0.5"]
    assert abs(found["value"]) <= found["error"]
    assert found["error"] > 0.3


def test_places_are_told_apart_however_far_they_are_from_zero():
    """Two wells a million away from 0: their ends, and what SGD cannot leave, are not "1e+06"."""

    def losses(w):
        u = w - 1e6
        return (u * u - 1) ** 2 / 4 + 0.3 * u, (u * u - 1) ** 2 / 4 - 0.28 * u

    wells = Landscape(losses=losses, learning_rate=0.1, domain=(1e6 - 3, 1e6 + 3))
    said = " ".join(analyze(wells).summary().split())
    assert "w = 1000003: a reflecting wall" in said
    assert "w = 999997: a reflecting wall" in said
    (first, last) = re.findall(r"w = ([\d.]+) \(from ([\d.]+) to ([\d.]+)\)", said)[:2]
    assert float(first[1]) < float(first[0]) < float(first[2]) < float(last[1]) < float(last[2])


def test_no_number_goes_on_past_its_error():
    w = np.linspace(-3, 3, 7)  # through which any curve could go
    rough = np.array([-4.0, 5.0, -3.0, 2.0, 4.0, -6.0, 1.0])
    rows = rough + np.linspace(-2, 2, 30)[:, None] * (1 + 0.2 * w)
    given = table({"w": w, "gradients": rows}).landscape(learning_rate=0.3, sample=True)
    text = " ".join(analyze(given, chain=False).summary().split())
    assert "is not known: the errors are larger than the probabilities" in text
    assert "The logarithm of the ratio of the first two masses" not in text
    assert "What lies between the given values is known less well" in text
    assert "as interpolated" in text
    assert power_text(42.0, 6.0) == "10^18"
    assert power_text(0.3, 0.5) == "1"
    assert power_text(42.0) == "10^18.24"


def test_what_a_start_does_not_come_to_is_not_left_for_good():
    def losses(w):
        base = 2 * (w**2 - 1) ** 2 + 0.3 * w
        return base + w, base - 1.2 * w + 0.3 * w**2, base + 0.2 * np.sin(5 * w)

    held = Landscape(losses=losses, learning_rate=0.03, domain=(-1.8, 1.8), initial=1.0)
    text = " ".join(analyze(held, steps=300).summary().split())
    assert "SGD cannot leave the minima at" in text
    assert "from this start, and not around w = -1.0086" in text
    assert "for good" not in text


def test_ten_lines_are_whole_sentences_and_the_heaviest_minima():
    found = analyze(Diffusion(lambda x: 0.2 + 2 * np.sin(2 * x), 0.3, (-9, 9)))
    text = found.summary(brief=True)
    assert len(text.splitlines()) <= 10
    said, rows = text.split("\n\n")
    assert said.endswith(".")
    heaviest = sorted(found.basins, key=lambda b: -b.log_mass)[:3]
    assert min(b.position for b in heaviest) > found.basins[2].position
    shown = [float(row.split()[0]) for row in rows.splitlines()[1:]]
    assert shown == pytest.approx(sorted(b.position for b in heaviest), rel=1e-4)


def test_ten_lines_hold_what_was_asked_for_and_why_it_is_not_converged():
    """--brief dropped the table of --steps, and the reason of exit code 3."""
    found = analyze(Diffusion(lambda x: x - x**3, 0.1, (-3, 3)))
    state = replace(found.end_state, status=Status.PANEL_LIMIT)
    said = replace(found, end_state=state).summary(brief=True)
    assert "Not converged: the panel limit was reached" in said
    basins = tabulated(("minimum", "mass (limit)"), [(k, 0.1) for k in range(5)])
    steps = tabulated(("started at", "around 1"), [("w = 1", 0.7)])
    long = "In the long run, after more steps than any run has, SGD is elsewhere. " * 9
    made = report({"x.py": [long, long], "After 5 steps": steps, "Basins": basins})
    lines = made.brief.splitlines()
    assert len(lines) <= 10
    assert lines[-4:-2] == ["", "After 5 steps"]
    made = report({"x.py": [long, "Not converged: why.", long], "Basins": basins}).brief
    assert "Not converged: why." in made
    assert len(made.splitlines()) <= 10
    few = report({"x.py": ["Short."], "Basins": basins}).brief.splitlines()
    assert few[1:3] == ["  Short.", ""]
    assert len(few) == 3 + 1 + 3


def test_zeros_beyond_those_shown_are_counted(monkeypatch):
    monkeypatch.setattr("stationary.show.layout.MOST_ROWS", 1)
    process = Diffusion(lambda x: 2 - x, lambda x: (x * (x - 1)) ** 2, (-1, 3))
    assert "\n  and 1 more; --json lists them all.\n" in str(analyze(process))


def test_of_what_nothing_is_known_one_digit_is_shown():
    assert digits_known(2.0, math.inf, 10) == 1
    assert digits_known(2.0, mpmath.mpf("1e-500"), 10) == 10


def test_a_density_without_bound_at_an_end_is_not_the_peak_that_is_told():
    """Wright-Fisher with mutation and selection: "P is largest at )" was said."""
    n, u, v, s = 1e4, 1e-5, 1e-4, 1e-3
    found = analyze(
        Diffusion(
            lambda x: u * (1 - x) - v * x + s * x * (1 - x) / 2,
            lambda x: x * (1 - x) / (2 * n),
            (0, 1),
        )
    )
    text = " ".join(str(found).split())
    assert "P is largest at" not in text  # the minimum is nearly as high
    peak = max(m.position for m in found.end_state.modes)
    assert peak == pytest.approx(0.84447, abs=1e-5)
    assert f"{peak:.6g}" in text.split("P peaks at")[1].split("log P:")[0]


def test_moments_and_masses_of_a_density_of_which_nothing_is_known_are_not_known():
    """Its slope is 0 by rounding far out; it was "-30 +- 7e-15", or "does not exist: the tails
    diverge" on a finite domain, beside an error of the density of 1e8."""
    x, y = np.array([[1.0], [-0.7], [2.0], [0.3], [-1.5]]), np.array([[1], [-1], [1], [-1], [1]])

    def known(w):
        return (np.expm1(2 * w * x) / (np.exp(2 * w * x) + 1) - y) ** 2

    def losses(w):
        return (np.tanh(w * x) - y) ** 2

    sgd = {"learning_rate": 0.3, "domain": (-30, 30)}
    one, other = (end_state(Landscape(f, **sgd)) for f in (known, losses))
    assert one.mean_offset == pytest.approx(float(other.mean_offset), rel=1e-12)  # in many digits

    def gradients(w):
        t = np.expm1(2 * (w := np.asarray(w, dtype=float)) * x) / (np.exp(2 * w * x) + 1)
        return 2 * (t - y) * x * (1 - t * t)

    analysis = analyze(Landscape(gradients=gradients, **sgd))
    state = analysis.end_state
    assert state.error > 1
    assert np.isnan([state.mean(), state.std(), state.entropy()]).all()
    assert state.mean_error == state.std_error == state.entropy_error == np.inf
    assert all(b.mass_error == np.inf for b in analysis.basins)
    text = " ".join(analysis.summary().split())
    assert "mean not known the density is not" in text
    assert "with a probability that is not known and around" in text
    assert "diverge" not in text


def test_what_is_not_known_at_all_is_told_and_no_traceback():
    """The error of the mass was nan, of which there is no logarithm: the answer was lost."""
    found = analyze(Diffusion(lambda x: x - x**3, lambda x: 1 / x**2))
    assert "not known" in str(found)
    assert "nan" not in str(found)
    ring = Diffusion(lambda x: -1 / x, 1e-3, (-math.pi, math.pi), boundaries="periodic")
    with pytest.raises(LandscapeError, match="around the ring could not be normalised"):
        analyze(ring)


def bounds_in(text, heading):
    """What a section says of the errors of its columns: absolute, and relative ones."""
    section = " ".join(text.split(f"\n{heading}\n")[1].split("\n\nE")[0].split())
    absolute, _, relative = section.split("Errors at most: ")[1].partition("; relative errors at")
    pair = r"([A-Za-z][\w ]*?) (\d+e[-+]\d+|0|not known)(?:[,.;]|$)"
    return [dict(re.findall(pair, part.replace(" most: ", ""))) for part in (absolute, relative)]


@pytest.mark.parametrize("rounded", [np.float64, np.float32])
def test_the_sentence_that_bounds_all_columns_of_minima_is_true(rounded):
    """-V = (x - c)^2 / 2 times k, and a = b e^(x / 10): minimum, a, width and peak are known."""
    c, k, b = 0.7, 3.1, 0.2

    def drift(x):
        return np.asarray(-rounded(k) * (x.astype(rounded) - rounded(c)), dtype=float)

    process = Diffusion(drift, lambda x: b * np.exp(x / 10), (-2, 3))
    text = analyze(process).summary()
    absolute, relative = bounds_in(text, "Basins")
    assert {"minimum", "borders", "log P", "P peaks at"} <= absolute.keys()
    assert relative.keys() == {"a", "width"}
    at = float(rounded(c))
    a = b * math.exp(at / 10)
    basin = analyze(process).basins[0]
    assert abs(basin.position - at) <= float(absolute["minimum"])
    assert abs(basin.variance / a - 1) <= float(relative["a"])
    width = math.sqrt(a / (2 * float(rounded(k))))
    assert abs(basin.width / width - 1) <= float(relative["width"]) < 1e-3
    # The peak: 2 f = a'.
    peak = at
    for _ in range(50):
        peak = at - b * math.exp(peak / 10) / 20 / float(rounded(k))
    assert abs(basin.modes[0].position - peak) <= basin.modes[0].error
    assert f"{basin.modes[0].error:.0e}" == absolute["P peaks at"]
    # Digits stop there, too.
    told = text.split("P peaks at")[1].split("\n")[1].split()[-1]
    assert len(told.lstrip("0.")) <= 2 - math.log10(float(relative["width"]))


@pytest.mark.parametrize("power", [1, 3, 5, 7])
def test_a_flat_peak_is_where_its_error_says(power):
    """-V = (x - c)^(n + 1): the flatter, the less rounding leaves of where it peaks."""
    for c in (-1.3, 0.4567, 1.7):
        found = end_state(Diffusion(lambda x, c=c: -((x - c) ** power), 0.1, (-4, 4)))
        (mode,) = found.modes
        assert abs(mode.position - c) <= mode.error < 0.1
        assert mode.error < 1e-6 or power > 1


def test_borders_of_basins_have_errors():
    """f = (x - 1/3) (1 - (x - 1/3)^2): the border is known to rounding, the ends are as given."""
    found = analyze(Diffusion(lambda x: (x - 1 / 3) * (1 - (x - 1 / 3) ** 2), 0.1, (-2, 2.5)))
    left, right = found.basins
    assert left.lower_error == right.upper_error == 0
    assert left.upper_error == right.lower_error
    assert 0 < abs(left.upper - 1 / 3) + 1e-17 <= left.upper_error < 1e-14
    assert found.to_dict()["basins"][0]["upper_error"] == left.upper_error
    around = analyze(
        Diffusion(lambda x: np.sin(x - 1), 0.3, (0, 2 * math.pi), boundaries="periodic")
    )
    (basin,) = around.basins
    assert abs(basin.upper - (1 + 2 * math.pi)) <= basin.upper_error < 1e-14
    assert abs(basin.lower - 1) <= basin.lower_error < 1e-14


def test_a_place_that_its_error_does_not_tell_from_0_is_0():
    (_, right) = analyze(Diffusion(lambda x: np.sin(x + 0.1) - np.sin(0.1), 0.3, (-2, 4))).basins
    assert abs(right.lower) <= right.lower_error
    assert "\nlower: 0\n" in str(right)


def test_slopes_and_probabilities_of_classes_have_errors_beside_them():
    text = analyze(
        Diffusion(lambda x: 0 * x, lambda x: x * (1 - x), (0, 1)), initial="uniform:0.1,0.4"
    ).summary()
    header, zero, one = text.split("Closed classes\n")[1].splitlines()[:3]
    assert header.split() == ["x", "probability", "rel.", "error"]
    for row, exact in ((zero, 0.75), (one, 0.25)):
        share, error = map(float, row.split()[-2:])
        assert abs(share / exact - 1) <= error < 1e-12
    text = analyze(Diffusion(lambda x: x - x**3, 0.3, (-2, 2))).summary()
    header, *rows = text.split("Equilibria\n")[1].splitlines()[:4]
    assert header.split() == ["x", "error", "df/dx", "error"]
    for row, exact in zip(rows, (-2, 1, -2), strict=True):
        slope, error = map(float, row.split()[2:4])
        assert abs(slope - exact) <= error < 1e-13


@pytest.mark.parametrize(
    ("p", "error", "of_sample", "text"),
    [
        (0.00216123, 6e-5, 0.0, "0.00216"),  # of which "0.002" was told
        (0.00916123, 6e-5, 0.0, "0.00916"),
        (0.00216123, 9e-5, 6e-4, "0.0022"),
        (0.00216123, 2e-3, 0.0, "0.002"),
        (0.5, 0.0, 2.0, "0.5"),
        (0.0, 0.1, 0.0, "0"),
    ],
)
def test_a_probability_is_told_to_the_decade_of_its_error(p, error, of_sample, text):
    """As `known_text` does, whatever the first digit is; of a sample to one digit more."""
    log_p, of = (math.log(p), p) if p else (-math.inf, 1.0)
    assert probability_text(log_p, 6, error / of, of_sample / of) == text


@pytest.mark.parametrize(
    ("log_ratio", "error", "of_sample", "text"),
    [
        (math.log(35.42), 0.0, 0.0, "35.4"),
        (math.log(2463.2), 0.0, 1.9, "2,500"),
        (math.log(151_234), 1e-4, 0.0, "151,200"),
        (2e-5, 1e-9, 0.0, "1 + 2e-05"),
        (2e-5, 1e-4, 0.0, "1"),
        (1e4 * math.log(10), 0.0, 0.0, "10^10000.00"),
    ],
)
def test_a_ratio_is_told_to_the_digits_that_its_errors_leave(log_ratio, error, of_sample, text):
    assert times_text(log_ratio, error, of_sample, 4 if "," in text else 3) == text


def test_what_is_left_out_is_counted_and_nothing_is_around_a_wall():
    """ "in 1 more minima with the rest", and a uniform law that was "at the wall x = 1"."""
    five = Diffusion(lambda x: -np.sin(2 * np.pi * x), 0.02, (-2.3, 2.3))
    words = " ".join(analyze(five).summary().split())
    assert "and in 1 more minimum. The first two hold the same." in words
    even = Diffusion(lambda x: 0.01 * x * (1 - x), lambda x: x * (1 - x), (0, 1))
    words = " ".join(analyze(even, convention="klimontovich").summary().split())
    assert "pushed towards the wall x = 1, half of the time between 0.25" in words
    gates = Diffusion(lambda x: 1 - 0.6 * x, lambda x: (x * (x - 1)) ** 2, (-2, 4))
    words = " ".join(analyze(gates).summary().split())
    assert "x = 0 and x = 1 are one-way gates: all of -2 to 1 is left for good." in words


def test_what_is_not_known_is_not_said_to_be_nowhere():
    """Poles: "half of the time between 0 and 0", and a drift that "is zero everywhere"."""
    poles = Diffusion(lambda x: -x + np.tan(3 * x), 1.0, (-3, 3))
    words = " ".join(analyze(poles).summary().split())
    assert "Where the process is in the long run is not known" in words
    assert "No zero of the drift was found." in words


def test_beyond_a_corner_there_may_be_no_noise_out_to_infinity():
    """Both hinges rest from 2 on. The loss there was looked at as far away as there is anything."""
    margins = np.array([[1.0], [0.5]])
    found = analyze(
        Landscape(losses=lambda w: np.maximum(0, 1 - margins * w) + 0.01 * w**2, learning_rate=0.02)
    )
    (basin,) = found.basins
    assert basin.loss == pytest.approx(0.04, abs=basin.loss_error)
    assert basin.loss_error < 1e-14
    assert "2 (wall)" in found.render("text")
