"""The report, the JSON and the table: readable, complete, and without NaN."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from stationary import Diffusion, Landscape, LandscapeError, Status, analyze, end_state
from stationary.cli import main
from stationary.wording import probability_text

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
        "initial", "hitting", "many_digits", "current", "steps",
        "min_barrier", "unbounded",
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


def test_a_density_that_diverges_leaves_an_empty_cell(analyses):
    rows = list(csv.DictReader(io.StringIO(analyses["divergent"].to_csv())))
    assert rows[0]["x"] == "0.0"
    assert rows[0]["density"] == ""


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


def test_what_is_not_decided_ends_the_command_with_code_3(capfd, tmp_path):
    path = tmp_path / "slow.py"
    path.write_text(
        "import numpy as np\nvariance = 1.0\ndomain = (20, np.inf)\ndef drift(x):\n"
        "    one = np.log(x)\n    return -0.5 * (1 + (1 + 2 / np.log(one)) / one) / x\n"
    )
    with pytest.raises(SystemExit) as ended:
        main(["analyze", str(path)])
    assert ended.value.code == 3
    assert "not decided whether there is an end state" in " ".join(capfd.readouterr().out.split())
