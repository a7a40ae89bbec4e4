"""The command line: what is typed, what comes back, and the exit codes."""

from __future__ import annotations

import csv
import html
import importlib.metadata
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import special

from stationary import (
    Diffusion,
    Landscape,
    LandscapeError,
    analyze,
    end_state,
    first_passage,
    mean_first_passage_time,
    sweep,
)
from stationary.bias import width_bias
from stationary.cli import app
from stationary.delivery import fitted
from stationary.sources.formulas import FUNCTIONS, Formula

EXAMPLES = Path(__file__).parent.parent / "examples"
TWO_MINIMA = str(EXAMPLES / "two_minima.py")


def test_analyze_prints_the_report_of_the_library(run):
    code, out, err = run("analyze", TWO_MINIMA)
    assert (code, err) == (0, "")
    assert out.rstrip("\n") == analyze(TWO_MINIMA).summary()


def test_options_replace_what_the_file_says(run):
    code, out, _ = run(
        "analyze", TWO_MINIMA, "--learning-rate", "0.02", "--batch-size", "4", "--json"
    )
    assert code == 0
    data = json.loads(out)
    assert data["process"]["learning_rate"] == 0.02
    assert data["process"]["batch_size"] == 4
    expected = analyze(TWO_MINIMA, learning_rate=0.02, batch_size=4).to_dict()
    assert data == json.loads(json.dumps(expected))


def test_bias_prints_what_the_library_says(run, tmp_path):
    code, out, err = run("bias", TWO_MINIMA)
    assert (code, err) == (0, "")
    assert out.rstrip("\n") == width_bias(TWO_MINIMA).summary()
    figure, table = tmp_path / "bias.png", tmp_path / "bias.csv"
    code, out, err = run(
        "bias", TWO_MINIMA, "--minimum", "1", "--dilate", "1:4:13", "--noise", "0.5,2", "--json",
        "--plot", figure, "--csv", table,
    )  # fmt: skip
    assert (code, err) == (0, "")
    changed = json.loads(out)["dilation"]
    assert changed["lambda"][:2] == [1, 1.25]
    assert changed["log_mass_ratio"][4] == pytest.approx(76.509879892775, rel=1e-12)
    assert figure.stat().st_size > 1000
    assert len(table.read_text().splitlines()) == 1 + 13 + 2


def test_bias_refuses_factors_with_a_right_example(run):
    code, out, err = run("bias", TWO_MINIMA, "--minimum", "1", "--dilate", "0:4:5")
    assert (code, out) == (1, "")
    assert "1:4:13" in err


def test_short_options_domain_convention_and_replacement(run):
    code, out, _ = run(
        "analyze", TWO_MINIMA, "-T", "0.2", "-B", "2", "--no-replacement",
        "--domain", "-3", "2.5", "--convention", "stratonovich", "--json",
    )  # fmt: skip
    assert code == 0
    process = json.loads(out)["process"]
    assert process["domain"] == [-3, 2.5]
    assert process["convention"] == "stratonovich"
    assert process["replacement"] is False


def test_csv_and_plot_are_written(run, tmp_path):
    table, figure = tmp_path / "density.csv", tmp_path / "end_state.png"
    code, out, _ = run("analyze", TWO_MINIMA, "--csv", table, "--plot", figure)
    assert code == 0
    assert out.startswith("two_minima.py\n")
    assert table.read_text().startswith("w,density,log_density,cdf,sf,drift,variance\n")
    assert figure.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learning-rate", "0"], "learning_rate = 0.0 must be a positive number"),
        (["--batch-size", "9", "--no-replacement"], "larger than the 4 datapoints"),
        (["--domain", "3", "-4"], "the domain is empty"),
        (["--domain", "2", "3"], "holds no equilibrium"),
        (["--convention", "itto"], "is not known"),
        (["--plot", "figure.gif"], ".png"),
        (["--html", "page.png"], "a page is written as .html, .htm or .xhtml, not as .png"),
        (["--plot", "nowhere/figure.png"], "nowhere"),
        (["--csv", "nowhere/density.csv"], "nowhere"),
    ],
)
def test_a_mistake_gets_a_message_on_standard_error_and_code_1(run, arguments, message):
    code, out, err = run("analyze", TWO_MINIMA, *arguments)
    assert code == 1
    assert out == ""
    assert err.startswith("stationary: ")
    assert message in err
    assert "Traceback" not in err


def test_a_failed_write_leaves_the_old_table(run, tmp_path):
    table = tmp_path / "density.csv"
    table.write_text("precious")
    code, _, _ = run("analyze", TWO_MINIMA, "--learning-rate", "-1", "--csv", table)
    assert code == 1
    assert table.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["density.csv"]


@pytest.mark.parametrize(
    "arguments", [["analyse", TWO_MINIMA], ["analyze"], ["analyze", TWO_MINIMA, "--rate", "3"],
                  ["analyze", TWO_MINIMA, "--learning-rate", "fast"]]
)  # fmt: skip
def test_wrong_usage_is_code_2(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert "Usage" in err


def test_a_program_without_a_command_is_told_which_there_are(run):
    code, out, err = run()
    if not out:  # where click calls it wrong usage
        assert (code, err.startswith("Usage: ")) == (2, True)
    assert "analyze" in out + err
    assert "Error" not in out + err


def test_help_and_version(run):
    code, out, _ = run("--help")
    assert code == 0
    assert "analyze" in out
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("stationary ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--digits", "abc"], ("--digits", "'abc' is not a whole number")),
        (["--batch-size", "2.5"], ("--batch-size", "'2.5' is not a whole number")),
        (["--learning-rate", "fast"], ("--learning-rate", "'fast'")),
        (["--domain", "0", "far"], ("--domain", "'far'")),
        (["--digit", "30"], ("--digit", "--digits")),
    ],
)
def test_wrong_usage_names_the_option_the_value_and_what_was_meant(run, arguments, said):
    code, _, err = run("analyze", TWO_MINIMA, *arguments)
    assert code == 2
    assert all(words in err for words in said)


@pytest.mark.parametrize("command", ["analyze", "bias", "sweep", "check", "evolve"])
@pytest.mark.parametrize("option", ["--learning-rate", "--batch-size"])
def test_what_is_no_number_is_wrong_usage_whichever_the_command(run, command, option):
    code, _, err = run(command, TWO_MINIMA, option, "fast")
    assert code == 2
    assert option in err
    assert "fast" in err


def test_numbers_are_read_however_they_are_typed(run):
    code, out, _ = run("analyze", TWO_MINIMA, "-T", "+5e-2", "-B", "2e0", "--json")
    assert code == 0
    process = json.loads(out)["process"]
    assert (process["learning_rate"], process["batch_size"]) == (0.05, 2)


@pytest.mark.parametrize(
    "command", ["analyze", "bias", "check", "evolve", "passage", "regularise", "simulate", "sweep"]
)
def test_help_of_a_command_fits_80_columns_and_names_its_options(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    for option in ("--learning-rate", "--set", "--initial", "--domain", "--json", "--plot"):
        assert option in out
    assert "A FILE in Python is run: name only what you trust" in " ".join(out.split())


@pytest.mark.parametrize(
    "command",
    ["analyze", "bias", "sweep", "regularise --eps 1e-1:1e-2:2", "passage --from -1 --to 1",
     "evolve --initial 0 --until 20 --every 10"],
)  # fmt: skip
def test_datapoints_are_a_sample_wherever_standard_errors_are_known(run, command):
    name, *more = command.split()
    losses = "(w**2-1)**2/4 + 0.2*w, (w**2-1)**2/4 - 0.3*w, (w**2-1)**2/5 + 0.15*w"
    source = ["--losses", losses, "-T", "0.2,0.3" if name == "sweep" else "0.2", "--domain", -2, 2]
    plain, found = (run(name, *more, *source, *s) for s in ((), ("--sample",)))
    assert plain[0] == found[0] == 0
    assert "sample" not in plain[1]
    assert "standard error" in " ".join(found[1].split())


def test_conventions_are_numbers_too(run):
    process = ("--drift", "-x", "--variance", "1+x**2", "--domain", "-9", "9", "--json")
    for number, name in (("0", "ito"), ("0.5", "stratonovich"), ("1", "klimontovich")):
        found, known = (run("analyze", *process, "--convention", c) for c in (number, name))
        assert found == known
        assert found[0] == 0


def test_help_says_what_exit_codes_mean(run):
    _, out, _ = run("--help")
    assert "0 done, 1 an error, 2 wrong usage, 3 not converged or not decided" in (
        " ".join(out.split())
    )


def test_a_process_without_end_state_is_an_answer(run, tmp_path):
    path = tmp_path / "brownian.py"
    path.write_text("drift = 0.0\nvariance = 1.0\n")
    code, out, _ = run("analyze", path)
    assert code == 0
    assert "There is no end state." in out


def test_no_table_is_written_where_there_is_no_density(run, tmp_path):
    path = tmp_path / "brownian.py"
    path.write_text("drift = 0.0\nvariance = 1.0\n")
    code, out, err = run("analyze", path, "--csv", tmp_path / "t.csv")
    assert code == 0
    assert "There is no end state." in out
    assert "was not written" in err
    assert not (tmp_path / "t.csv").exists()


def test_without_minima_there_is_no_table_of_them_and_the_report_is_printed(run):
    code, out, err = run("analyze", "--drift", "1", "--variance", "1", "--minima", "-")
    assert code == 0
    assert "There is no end state" in out
    assert err == "stationary: - was not written: there is nothing to list.\n"
    lattice = ("--losses", "abs(w-1), abs(w+1)", "-T", "0.1", "--walkers", 10, "--steps", 10)
    code, out, err = run("check", *lattice, "--csv", "-")
    assert (code, "How far apart" in out) == (0, True)
    assert err == "stationary: - was not written: there is nothing to list.\n"


def test_what_a_file_writes_stays_out_of_the_output(run, tmp_path):
    path = tmp_path / "chatty.py"
    path.write_text(
        "import sys\nlearning_rate = 0.1\ndomain = (-3, 3)\n"
        "def losses(w):\n"
        "    sys.stdout.write('loss\\n')\n"
        "    return (w - 1)**2, (w + 1)**2\n"
    )
    code, out, err = run("analyze", path, "--json")
    assert code == 0
    assert json.loads(out)["kind"] == "density"
    assert "loss" in err


def test_what_was_not_resolved_is_code_3(run, tmp_path):
    path = tmp_path / "rough.py"
    path.write_text(
        "import numpy as np\n"
        "domain = (-1, 1)\n"
        "variance = 1.0\n"
        "def drift(x):\n"
        "    return -x + np.sign(np.sin(1 / (x + 1.000001)))\n"
    )
    code, out, _ = run("analyze", path)
    assert code == 3
    assert "Panel limit" in out
    code, _, err = run("analyze", path, "--csv", "-")
    assert code == 3
    assert "not converged: the panel limit was reached" in err  # a table has no place for it
    short = ("--until", "3", "--tolerance", "1e-9", "--initial", "0.3", "--cells", "64")
    code, out, err = run("evolve", EXAMPLES / "two_minima.py", "--brief", *short)
    assert code == 3
    assert "not converged: the tolerance of 1e-09 was not reached" in err


def test_importing_and_helping_stay_light():
    program = (
        "import sys, stationary; assert 'numpy' not in sys.modules;"
        "stationary.end_state, stationary.analyze;"
        "heavy = {'matplotlib', 'scipy.stats', 'scipy.optimize', 'mpmath'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    program = (
        "import sys\n"
        "from stationary.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'matplotlib', 'scipy', 'numpy', 'mpmath'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_a_report_with_the_chain_needs_neither_scipy_nor_what_draws_and_parses():
    program = (
        "import sys, numpy, stationary\n"
        "heavy = {'matplotlib', 'scipy', 'click', 'multiprocessing', 'numpy.random', 'numpy.ma'}\n"
        "heavy -= set(sys.modules)\n"  # older NumPy brings what it draws with
        f"stationary.analyze({TWO_MINIMA!r}).summary()\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "rooms = ('evolution.', 'simulation.', 'sweeps.', 'show.drawing', 'sources.table')\n"
        "others = tuple(f'stationary.{room}' for room in rooms)\n"
        "unasked = [name for name in sys.modules if name.startswith(others)]\n"
        "assert not unasked, unasked"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_start_decides_between_traps(run, tmp_path):
    genes = str(EXAMPLES / "wright_fisher.py")
    code, out, _ = run("analyze", genes)
    assert code == 0
    assert "at x = 0 or at x = 1: where it ends depends on where it starts" in " ".join(out.split())
    starts = tmp_path / "starts.txt"
    starts.write_text("0.2\n0.4\n0.6\n")
    for initial, weight in (
        ("0.3", 0.3),
        ("3/10", 0.3),
        ("uniform:0.2,0.6", 0.4),
        (str(starts), 0.4),
    ):
        code, out, _ = run("analyze", genes, "--initial", initial, "--json")
        assert code == 0
        atoms = [c for c in json.loads(out)["classes"] if c["kind"] == "atom"]
        assert [a["weight"] for a in atoms] == pytest.approx([1 - weight, weight], abs=1e-13)
    starts = ("3/10", "(pi-3)/(2*pi)", "0.1,0.2")
    rows = [
        run("passage", genes, "--from", s, "--to", "0", "--to", "1", "--csv", "-")[1]
        for s in starts
    ]
    assert [len(r.splitlines()) for r in rows] == [3, 3, 5]
    assert rows[0].splitlines()[1].startswith("0.3,0.0,0.7")
    code, _, err = run("analyze", genes, "--initial", "2")
    assert code == 1
    assert "outside" in err


def test_digits_are_printed_in_full(run):
    code, out, _ = run("analyze", str(EXAMPLES / "noisy_double_well.py"), "--digits", "30")
    assert code == 0
    assert "To 30 digits" in out
    assert max(map(len, out.splitlines())) <= 80
    assert "0.95848178900583416172" in "".join(out.split())
    code, _, err = run("analyze", str(EXAMPLES / "noisy_double_well.py"), "--digits", "0")
    assert code == 1
    assert "must be a whole number" in err


# -- formulas, standard input, several files, pages ---------------------------------------------


DOUBLE_WELL = ("--drift", "x - a*x**3", "--variance", "0.1", "--set", "a=2", "--domain", -2, 2)


def test_a_process_is_typed_as_formulas(run):
    code, out, _ = run("analyze", *DOUBLE_WELL, "--json")
    assert code == 0
    expected = analyze(Diffusion(lambda x: x - 2 * x**3, 0.1, (-2, 2)))
    found = json.loads(out)
    assert found["moments"] == expected.to_dict()["moments"]
    potential = ("--potential", "x**4/4 - cos(pi*x)", "--temperature", "0.5", "--domain", -2, 2)
    code, out, _ = run("analyze", *potential, "--json")
    assert code == 0
    law = Diffusion(potential=lambda x: x**4 / 4 - np.cos(np.pi * x), temperature=0.5,
                    domain=(-2, 2))  # fmt: skip
    assert json.loads(out)["moments"] == analyze(law).to_dict()["moments"]
    code, out, _ = run("analyze", "--drift", "-x", "--variance", "where(x >= .2, 2, 1)", "--domain",
                       -2, 2, "--json")  # fmt: skip
    assert code == 0
    noise = Diffusion(lambda x: -x, lambda x: np.where(x >= 0.2, 2, 1), (-2, 2))
    assert json.loads(out)["moments"] == analyze(noise).to_dict()["moments"]
    logistic = "log_expit(-3*w) - logaddexp(0, 3*w), clip(w, -1, 1) * erf(w)"
    code, out, _ = run("analyze", "--losses", logistic, "-T", 0.1, "--domain", -2, 2, "--json")
    assert code == 0
    same = Landscape(
        lambda w: (-2 * np.log(1 + np.exp(3 * w)), np.clip(w, -1, 1) * special.erf(w)),
        learning_rate=0.1,
        domain=(-2, 2),
    )
    assert json.loads(out)["moments"]["mean"]["value"] == pytest.approx(end_state(same).mean())
    code, out, _ = run("sweep", "--drift", "t - x", "--variance", "1", "--set", "t=0:1:3",
                       "--domain", -9, 9, "--json")  # fmt: skip
    assert code == 0
    assert [row["mean"] for row in json.loads(out)["rows"]] == pytest.approx([0, 0.5, 1])


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("__import__('os').system('true')", "something else"),
        ("open('x')", "not among the functions"),
        ("x^3", "writes ** for a power"),
        ("x.__class__", "something else (attribute)"),
        ("[y for y in x]", "something else"),
        ("9**9**9**9*x", "too large"),
        ("x" + "+x" * 2000, "characters"),
        ("-" * 1900 + "x", "nested too deeply"),
        ("x - b", "--set b=1"),
        ("x -", "is no formula"),
        ("sin", "without an argument"),
        ("where(x, 1, 2)", "which is where(x < 1, a, b)"),
        ("where(open('x') < 1, 1, 2)", "not among the functions (abs, "),
        ("x < 1", "something else (compare)"),
        ("minimum(1, -x, -x**3)", "takes 2. Write minimum(1, minimum(-x, -x**3))."),
        ("hypot(1, x, (x + 2), 3)", "takes 2. Write hypot(1, hypot(x, hypot(x + 2, 3)))."),
        ("-x - log(x**2 + 1, 10)", "log 2 arguments, and it takes 1. Write log(x), and log(x) / l"),
        ("-hypot(x)", "gives hypot 1 argument, and it takes 2. Write hypot(x, a)."),
        ("clip(-x, -1)", "gives clip 2 arguments, and it takes 3. Write clip(x, a, b)."),
        ("-sin(x, out=x)", "takes 1 without a name. Write sin(x)."),
        ("1e-400 - x", "1e-400, which is 0 in doubles. Write exp(-921.0340372 + 0 * x)."),
        (
            "-1e4_00 * x",
            "1e4_00, which is inf in doubles. Write exp(921.0340372 + 0 * x).",
        ),
        ("-x * NaN", "--drift: NaN is no number that a process could have. Write a finite one"),
    ],
)
def test_a_formula_is_read_and_never_run(run, formula, message):
    code, out, err = run("analyze", "--drift", formula, "--variance", "1", "--domain", -1, 1)
    assert (code, out) == (1, "")
    assert message in err
    assert "Traceback" not in err


def test_a_name_without_a_value_is_told_by_the_formula_that_has_it(run):
    code, _, err = run("analyze", "--drift", "-x", "--variance", "2 * k", "--domain", -1, 1)
    assert code == 1
    assert "--variance: k is the name of nothing here. Give it a value, as in --set k=1" in err


@pytest.mark.parametrize("name", sorted(FUNCTIONS - {"where"}))
def test_a_function_in_a_formula_takes_so_many_arguments_and_no_other_number(name):
    """One more would be NumPy's `out`: it was written into, and another function was solved."""
    takes = {"clip": 3} | dict.fromkeys(
        ("logaddexp", "minimum", "maximum", "hypot", "arctan2", "xlogy"), 2
    )
    right = takes.get(name, 1)
    near = 1.5 if name == "arccosh" else 0.5
    assert np.isfinite(Formula(f"{name}({', '.join(['x'] * right)})", "x", "--drift")(near))
    for wrong in {*range(5)} - {right}:
        with pytest.raises(LandscapeError, match=f"gives {name} {wrong} arg.* it takes {right}. W"):
            Formula(f"x + {name}({', '.join(['x'] * wrong)})", "x", "--drift")


def test_tables_of_several_files_are_one(run, tmp_path):
    names, table = ("ornstein_uhlenbeck", "noisy_double_well"), tmp_path / "minima.csv"
    files = [EXAMPLES / f"{name}.py" for name in names]
    code, out, err = run("analyze", *files, tmp_path / "none.py", "--brief", "--minima", table)
    assert code == 1
    assert "there is no such file" in err
    assert all(f"{name}.py" in out for name in names)
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [r["file"] for r in rows] == [str(files[0]), str(files[1]), str(files[1])]
    assert float(rows[2]["position"]) == pytest.approx(analyze(files[1]).basins[1].position)
    assert run("analyze", *files, "--plot", tmp_path / "a.png")[0] == 2
    code, out, _ = run("bias", *files, "--csv", "-")
    assert code == 0
    assert out.startswith("file,")


def test_a_source_is_one_file_or_formulas(run):
    assert run("analyze")[0] == 2
    assert "not both" in run("analyze", TWO_MINIMA, "--drift", "x")[2]


def test_a_landscape_comes_through_standard_input(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(Path(TWO_MINIMA).read_text()))
    code, out, _ = run("analyze", "-", "--json")
    assert code == 0
    assert json.loads(out)["moments"] == analyze(TWO_MINIMA).to_dict()["moments"]


def test_several_files_are_answered_one_after_the_other(run, tmp_path):
    well = str(EXAMPLES / "noisy_double_well.py")
    code, out, err = run("analyze", TWO_MINIMA, tmp_path / "no.py", well, "--json")
    assert code == 1
    assert [found["name"] for found in json.loads(out)] == [
        Path(p).name for p in (TWO_MINIMA, well)
    ]
    assert "there is no such file" in err
    assert run("analyze", TWO_MINIMA, well, "--html", tmp_path / "t.html")[0] == 2


def test_a_page_needs_nothing_else_and_a_brief_answer_has_ten_lines(run, tmp_path):
    page = tmp_path / "page.html"
    code, out, _ = run("analyze", TWO_MINIMA, "--brief", "--html", page)
    assert code == 0
    assert len(out.splitlines()) <= 10
    assert "rel. error" in out
    text = page.read_text()
    assert text.startswith("<!DOCTYPE html>")
    for part in ("<svg", "def losses(w):", "Fokker-Planck", "viewport", "Converged"):
        assert part in text
    assert not re.search(r"(src|href)=.http|@import|<script", text)
    ids = re.findall(r'\bid="([^"]+)"', text)  # the figure is there for wide pages and for phones
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', text)) <= {*ids}
    for kind in ("broad", "narrow"):
        assert f'<figure class="{kind}"><svg' in text
    assert "def losses(w):" in sweep(TWO_MINIMA, learning_rate=[0.05, 0.06]).to_html()
    assert "The landscape" not in analyze(TWO_MINIMA).end_state.to_html()  # of which it knows not
    whole = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    for word in set(analyze(TWO_MINIMA).summary().split()):
        assert html.escape(word) in whole, word


def test_passages_and_walkers_have_their_commands(run, tmp_path):
    table, figure = tmp_path / "t.csv", tmp_path / "f.png"
    code, out, _ = run("passage", *DOUBLE_WELL, "--from", "0.1", "--to", -0.5, "--to", 0.5,
                       "--csv", table)  # fmt: skip
    assert code == 0
    process = Diffusion(lambda x: x - 2 * x**3, 0.1, (-2, 2))
    expected = first_passage(process, 0.1, (-0.5, 0.5))
    assert f"{expected.mean.value:.6g}" in out
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [float(r["probability"]) for r in rows] == expected.probability.value.tolist()
    assert [float(r["mean"]) for r in rows] == [expected.mean.value] * 2
    code, out, _ = run("simulate", *DOUBLE_WELL, "--walkers", 50, "--steps", 200, "--csv", table,
                       "--plot", figure)  # fmt: skip
    assert code == 0
    assert out.startswith("Simulation of formula")
    assert sum(
        float(r["mass"]) for r in csv.DictReader(table.read_text().splitlines())
    ) == pytest.approx(1, abs=1e-6)
    assert figure.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "-T", "0.1,0.2"], "sweep is had for one weight, and this process has 2"),
        (["analyze", "--clip", "1"], "clip = 1.0 is had for one weight only; here are 2"),
        (["analyze", "--schedule", "cosine:0.1:0.01:100"], "is had for one weight only"),
    ],
)
def test_what_is_not_had_with_two_weights_is_said_so(run, arguments, message):
    command, *options = arguments
    code, out, err = run(command, EXAMPLES / "two_weights.py", *options)
    assert (code, out) == (1, "")
    assert message in err


def test_a_minimum_that_does_not_exist_is_said_even_where_nothing_is_asked_of_it(run):
    code, out, err = run("bias", TWO_MINIMA, "--minimum", "7")
    assert (code, out) == (1, "")
    assert "there is no minimum 7" in err
    assert "1 at w = 0.99" in err


def test_a_relaxation_time_has_the_unit_of_the_drift_without_a_word(run, tmp_path):
    path = tmp_path / "pull.py"
    path.write_text("domain = (-3, 3)\nvariance = 1.0\ndef drift(x):\n    return -x\n")
    code, out, _ = run("evolve", path, "--until", "2", "--initial", "0.5")
    assert code == 0
    assert re.search(r"Relaxation time \(1 / spectral gap\): [\d.]+\s+\(relative", out)
    brief = run("evolve", path, "--until", "2", "--initial", "0.5", "--brief")[1]
    assert "To the end" not in brief  # a column of the table that is left out


def test_ends_are_typed_as_arithmetic_and_what_they_do_in_a_word(run):
    """On the ring of sin(x) + 0.3 a current runs; the same formula may be given walls."""
    typed = ["analyze", "--drift", "sin(x) + 0.3", "--variance", "0.5", "--domain", "0", "2*pi"]
    ring = json.loads(run(*typed, "--boundaries", "periodic", "--json")[1])
    walls = json.loads(run(*typed, "--boundaries", "absorbing, reflecting", "--json")[1])
    assert ring["process"]["domain"] == [0, 2 * np.pi]
    assert [e["class"] for e in ring["ends"]] == ["joined", "joined"]
    assert [e["reflects"] for e in walls["ends"]] == [False, True]
    for wrong in ("k", "2*x", "1/0", "1,2", "9**9**9"):
        code, _, err = run(*typed[:-1], wrong)
        assert code == 2
        assert "is not a number, such as 0.5, inf or 2*pi" in err
    found = run("passage", "--drift", "-x", "--variance", "1", "--domain", -2, 2, "--from",
                "-1,0.5", "--to", "pi/2", "--csv", "-")[1]  # fmt: skip
    times = [float(row["mean"]) for row in csv.DictReader(io.StringIO(found))]
    process = Diffusion(lambda x: -x, 1.0, (-2, 2))
    assert times == [mean_first_passage_time(process, x, np.pi / 2) for x in (-1, 0.5)]
    code, _, err = run("passage", "--drift", "-x", "--variance", "1", "--from", "1:2", "--to", 3)
    assert (code, "--from '1:2': it has two parts" in err) == (1, True)
    passage = ["passage", "--drift", "-x", "--variance", "1", "--domain", "-1", "1"]
    for start, target in (("0.5", "1e-400"), ("-1e-400", "1"), ("0.5", "1e400")):
        code, _, err = run(*passage, "--from", start, "--to", target)
        assert code == 2
        assert "is beyond what doubles hold" in " ".join(err.split())


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("passage --drift -x --variance 1 --from 0.5 --to 1 --from 0.1", "--from"),
        ("analyze pit.py -T 0.1 --learning-rate 0.2", "--learning-rate/-T"),
        ("analyze pit.py --chain --brief --no-chain --brief", "--chain/--no-chain"),
        ("sweep pit.py --replacement --no-replacement -B 1,2 -B 4", "--batch-size/-B"),
    ],
)
def test_an_option_with_one_value_is_given_once(run, typed, name):
    code, out, err = run(*typed.split())
    assert (code, out) == (2, "")
    assert f"{name} is given more than once" in err


@pytest.mark.parametrize("outputs", ["--json --csv -", "--csv - --html -", "--html - --minima -"])
def test_standard_output_holds_one_thing(run, outputs):
    code, out, err = run("analyze", "--drift", "-x", "--variance", "1", *outputs.split())
    assert (code, out) == (2, "")
    assert "would be mixed on standard output" in err


def test_json_is_never_brief(run):
    code, out, err = run("analyze", "--drift", "-x", "--variance", "1", "--json", "--brief")
    assert (code, out) == (2, "")
    assert "--brief does not go with --json" in err


@pytest.mark.parametrize("name", ["walkers", "steps"])
def test_walkers_that_are_not_sent_out_are_not_counted(run, name):
    code, out, err = run("check", TWO_MINIMA, "--no-simulation", f"--{name}", "10")
    assert (code, out) == (2, "")
    assert f"--{name} does not go with --no-simulation" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--drift -x --variance 1 --temperature 0.1", "--drift and --temperature"),
        ("--potential x**2 --temperature 0.1 --variance 0.3", "--potential and --variance"),
        ("--potential x**2 --drift -x --temperature 0.1", "--drift and --potential"),
        ("--losses (w-1)**2,(w+1)**2 -T 0.1 --sigma 2", "--losses and --sigma"),
    ],
)
def test_formulas_that_do_not_go_together_are_refused(run, options, words):
    """The second of each was taken without a word and had no effect."""
    code, out, err = run("analyze", *options.split())
    assert (code, out) == (1, "")
    assert f"{words}: these do not go together" in err


def test_a_state_of_atoms_has_its_table(run):
    """There was "nothing to list", and the report came in the table's place."""
    code, out, err = run(
        "analyze", "--drift", "0", "--variance", "x*(1-x)", "--domain", "0", "1", "--initial",
        "0.3", "--csv", "-",
    )  # fmt: skip
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) > 100
    assert {round(float(row["cdf"]), 12) for row in rows[1:-1]} == {0.7}


def test_a_formula_is_told_what_it_can_be(run):
    """One loss was the example, which is refused; and of formulas no file can be changed."""
    code, _, err = run("analyze", "--losses", "(w-1)**2; (w+1)**2", "-T", "0.1")
    assert code == 1
    assert '--losses "(w - 1)**2, (w + 1)**2"' in err
    code, _, err = run("analyze", "--drift", "-x", "--variance", "1", "--set", "k=2")
    assert code == 1
    assert "there is no k in --drift or --variance" in err


def test_a_figure_that_cannot_be_drawn_takes_nothing_else_with_it(run, tmp_path):
    """The page of a passage with one start was not written, as it has no figure."""
    table, figure, page = (tmp_path / f"answer.{end}" for end in ("csv", "png", "html"))
    how = ("--potential=x**4-x**2", "--temperature=0.3,0.4,0.5,0.6", "--arrhenius")
    code, out, err = run("sweep", *how, "--csv", table, "--plot", figure, "--html", page)
    assert (code, figure.exists()) == (1, False)
    assert "4 points" in out
    assert "Take lower ones, at which minima are parted" in " ".join(err.split())
    assert table.read_text().startswith("temperature,")
    assert "4 points" in page.read_text()
    how = ("--drift=-x", "--variance=1", "--from=0.4", "--to=0.9")
    code, out, err = run("passage", *how, "--csv", table, "--html", page)
    assert (code, err) == (0, "")
    assert table.read_text().startswith("start,")
    assert "First passage" in page.read_text()


@pytest.mark.parametrize(
    ("typed", "begun", "offered"),
    [
        ("analyze examples/pit.py --convention", "", "ito stratonovich klimontovich"),
        ("analyze examples/pit.py --convention", "s", "stratonovich"),
        ("analyze examples/pit.py --boundaries", "natural,a", "natural,absorbing"),
        ("sweep examples/family.py --quantity", "mean,exit", "mean,exit_time"),
        ("sweep examples/family.py --set", "", "sharpness="),
        ("analyze examples/family.py --set", "x", ""),
        ("analyze --drift k*x-b*x**3 --variance c --set", "", "k= b= c="),
        ("analyze --losses (w-m)**2 --set", "", "m="),
        ("analyze nowhere.py --set", "", ""),
        ("analyze examples/pit.py --plot", "figure", "figure.png figure.svg figure.pdf"),
        ("analyze examples/pit.py --plot", "figure.s", "figure.svg"),
        ("analyze examples/pit.py --csv", "a.b/table", "a.b/table.csv"),
        ("analyze examples/pit.py --plot", "exam", "file"),
        ("analyze examples/pit.py --html", "", "file"),
        ("evolve examples/pit.py --schedule", "cosine:1:2:3,st", "cosine:1:2:3,step:"),
        ("evolve examples/pit.py --initial", "n", "file normal:"),
        ("bias examples/pit.py --direction", "f", "first"),
        ("simulate", "exam", "file"),
    ],
)
def test_a_shell_is_offered_values_of_options(typed, begun, offered):
    from click.shell_completion import ShellComplete

    shell = ShellComplete(app, {}, "stationary", "_STATIONARY_COMPLETE")
    found = shell.get_completions(typed.split(), begun)
    assert " ".join(c.type if c.type == "file" else c.value for c in found) == offered


def test_bash_completes_values_behind_an_equals_sign_and_words_beside_files(tmp_path):
    program = tmp_path / "stationary"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path.cwd())!r})\n"
        "from stationary.__main__ import main\nmain()\n"
    )
    program.chmod(0o755)
    script = (
        'eval "$(_STATIONARY_COMPLETE=bash_source stationary)"; compopt() { echo "($2)"; }\n'
        "ask() { COMP_WORDS=(stationary $*); COMP_CWORD=$#; COMPREPLY=()\n"
        '  _stationary_completion stationary; echo "${COMPREPLY[*]}"; }\n'
        "ask analyze --convention = ito --boundaries = per\nask analyze --initial n\n"
    )
    done = subprocess.run(
        ["bash", "-c", script],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["periodic", "(default)", "(nospace)", "normal:"]


def test_a_file_is_not_run_to_complete_its_parameters(tmp_path):
    from click.shell_completion import ShellComplete

    (tmp_path / "file.py").write_text("1 / 0\nparameters = {'k': 2.0}\n")
    (tmp_path / "other.py").write_text("parameters = dict(k=open('/nowhere'))\n")
    (tmp_path / "broken.py").write_text("def\n")
    shell = ShellComplete(app, {}, "stationary", "_STATIONARY_COMPLETE")
    for name, offered in (("file", ["k="]), ("other", []), ("broken", [])):
        found = shell.get_completions(["sweep", str(tmp_path / f"{name}.py"), "--set"], "")
        assert [c.value for c in found] == offered


def test_a_figure_of_one_start_is_refused_before_the_work(run, monkeypatch, tmp_path):
    def work(*given, **how):
        raise AssertionError

    monkeypatch.setattr("stationary.states.first_passage.first_passage", work)
    for start in ("0.5", "normal:0.5,0.1", "0.5:0.5:1"):
        asked = ["passage", "--drift=-x", "--variance=1", "--from", start, "--to", "1"]
        code, out, err = run(*asked, "--plot", str(tmp_path / "figure.png"))
        assert (code, out) == (2, "")
        assert "give several, as in --from -1:1:101" in err


FORMULA = ("--drift=-x", "--variance=1", "--domain", "-3", "3")


def test_streams_that_are_closed_are_told_or_done_without(run, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    code, out, err = run("analyze", "-")
    assert (code, out) == (2, "")
    assert "Standard input is closed: name a file." in err
    code, _, err = run("analyze", "-", "-")
    assert code == 2
    assert "is read once" in err
    with monkeypatch.context() as closed:
        closed.setattr("sys.stderr", None)
        assert run("analyze", *FORMULA)[:2] == (0, run("analyze", *FORMULA)[1])
    with monkeypatch.context() as closed:
        closed.setattr("sys.stdout", None)
        code, _, err = run("analyze", *FORMULA, "--csv", "-")
        assert code == 2
        assert "--csv: standard output is closed. Name a file." in err


def test_the_temperature_of_a_file_is_replaced_as_a_learning_rate_is(run, tmp_path):
    path = tmp_path / "well.py"
    path.write_text("temperature = 0.5\ndef potential(x):\n    return x**2 / 2\n")
    out = run("analyze", str(path), "--temperature", "0.04")[1]
    assert "standard deviation 0.2)" in " ".join(out.split())
    code, _, err = run("analyze", "examples/two_minima.py", "--temperature", "0.04")
    assert code == 1
    assert "temperature does not apply to a process given by losses" in err
    code, _, err = run("analyze", "--temperature", "0.04")
    assert code == 2
    assert "--temperature is of a potential" in err


def test_a_clone_that_is_not_installed_tells_its_version(run, monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", absent)
    code, out, err = run("--version")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"stationary \d+\.\d+\.\d+ \(not installed\)\n", out)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["simulate", TWO_MINIMA, "--walkers", "0"], "walkers = 0 must be"),
        (["simulate", TWO_MINIMA, "--steps", "0"], "steps = 0 must be"),
        (["check", TWO_MINIMA, "--seed", "-1"], "seed = -1 must be"),
        (["sweep", TWO_MINIMA, "-T", "0.1,0.2", "--jobs", "0"], "jobs = 0 must be"),
    ],
)
def test_a_value_that_cannot_be_meant_is_an_error_whichever_option_it_is_of(run, command, said):
    """Learning rates of -1 ended with 1, walkers of 0 with 2."""
    code, out, err = run(*command)
    assert (code, out) == (1, "")
    assert said in err


def test_a_logarithmic_figure_needs_a_figure(run):
    code, _, err = run("analyze", TWO_MINIMA, "--log")
    assert code == 2
    assert "--log is of the figure: give --plot FILE or --html FILE, too." in err


def test_errors_are_as_wide_as_the_terminal_and_whole_where_there_is_none(run, monkeypatch):
    _, _, err = run("analyze", TWO_MINIMA, "--batch-size", "9", "--no-replacement")
    assert len(err.splitlines()) == 1
    screen = SimpleNamespace(stderr=SimpleNamespace(fileno=lambda: 2))
    monkeypatch.setattr("stationary.delivery.sys", screen)
    monkeypatch.setattr("os.get_terminal_size", lambda fd: os.terminal_size((60, 24)))
    lines = fitted(err).splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) < 60
    assert " ".join(lines) == " ".join(err.split())
    assert fitted("x = 1\n    y = 2", 7) == "x = 1\n    y = 2"
