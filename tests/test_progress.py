"""Progress: the time left, where somebody looks, and nowhere else."""

from __future__ import annotations

import io
import threading
import time

import numpy as np
import pytest

from stationary import (
    Diffusion,
    analyze,
    anneal,
    check,
    end_state,
    evolve,
    first_passage,
    fit,
    regularisation_path,
    simulate,
    sweep,
    table,
    width_bias,
)
from stationary import progress as module
from stationary.__main__ import main
from stationary.progress import at, doing, each, stage, told, watched
from stationary.questions.width.dilation import dilation_bias

OU = Diffusion(lambda x: -x, 1, (-9, 9))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch):
    """Standard error, from now on."""
    found = Terminal()
    monkeypatch.setattr("sys.stderr", found)
    monkeypatch.setattr(module, "SILENT", 0.01)
    monkeypatch.setattr(module, "REDRAWN", 0.02)
    return found


def test_a_terminal_is_shown_what_is_done_and_the_time_left(monkeypatch):
    screen = terminal(monkeypatch)
    with told(True, "points") as tell:
        for done in (250, 500, 750):
            time.sleep(0.15)
            tell(done, 1000)
    shown = screen.getvalue()
    assert "750/1.00k" in shown
    assert "<00:0" in shown  # the time left
    assert "points/s" in shown
    assert shown.split("\r")[-2].strip() == ""  # and wiped in the end


def test_a_terminal_that_knows_no_size_is_shown_it_too(monkeypatch):
    screen = terminal(monkeypatch)
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda _: (-1, -1))
    with told(True, "points") as tell:
        for done in (1, 2):
            time.sleep(0.1)
            tell(done, 4)
    assert "2/4" in screen.getvalue()


def test_what_cannot_say_how_much_is_left_shows_how_long_it_has_been_at_work(monkeypatch):
    screen = terminal(monkeypatch)
    with watched(True, "analyze"):
        at("panels", 212)
        time.sleep(0.2)
    assert "analyze: panels 212: 00:00" in screen.getvalue()
    assert "%" not in screen.getvalue()


def test_stages_are_counted_and_what_is_inside_one_of_several_says_nothing(monkeypatch):
    screen = terminal(monkeypatch)
    with watched(True, "analyze"), stage("exit times", 2, 3):
        for _ in each("abc", "basins"):
            with stage("inner", 1, 2):
                at("panels", 5)
                time.sleep(0.1)
    shown = screen.getvalue()
    assert "analyze: 2 of 3, exit times:  67%" in shown
    assert "2/3" in shown
    assert "panels" not in shown
    assert "inner" not in shown


def test_where_nobody_looks_no_thread_is_started(monkeypatch):
    before = threading.active_count()
    with watched(True, "analyze"):
        at("panels", 1)
        assert list(each([1, 2], "basins")) == [1, 2]
        assert threading.active_count() == before
        assert not module.is_watched()
    with watched(lambda done, total: None):
        assert threading.active_count() == before


SERIES = np.cumsum(np.random.default_rng(1).normal(size=500)) * 0.1


@pytest.mark.parametrize("run", [
    lambda progress: analyze("examples/two_minima.py", progress=progress),
    lambda progress: width_bias("examples/two_minima.py", progress=progress),
    lambda progress: evolve(OU, 1.0, [1.0, 2.0], cells=64, progress=progress),
    lambda progress: first_passage(OU, [0.1, 0.2], 1, progress=progress),
    lambda progress: check("examples/two_minima.py", walkers=50, steps=200, cells=200,
                           progress=progress),
    lambda progress: fit(SERIES, 1.0, progress=progress),
], ids=["analyze", "width_bias", "evolve", "first_passage", "check", "fit"])  # fmt: skip
def test_what_is_at_work_says_so(run, monkeypatch, capfd):
    whats = []
    with module._watched_by(lambda *told: whats.append(told)):
        run(False)
    assert len(set(whats)) > 1
    assert all(0 <= done < total or not total for _, done, total in whats if done != total)
    calls = []
    run(lambda *told: calls.append(told))
    assert all(0 <= done <= total for done, total in calls)
    run(True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("run", [
    lambda progress: sweep(lambda k: Diffusion(lambda x: -k * x, 1, (-9, 9)), {"k": [1, 2, 3]},
                           progress=progress),
    lambda progress: simulate(OU, walkers=50, steps=2000, seed=1, progress=progress),
    lambda progress: regularisation_path(OU, [1e-2, 1e-3, 1e-4], progress=progress),
], ids=["sweep", "simulate", "regularisation_path"])  # fmt: skip
def test_a_function_is_told_what_is_done_and_nothing_is_shown_without_a_terminal(run, capfd):
    calls = []
    run(lambda done, total: calls.append((done, total)))
    assert len({total for _, total in calls[-2:]}) == 1
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    run(True)
    run(False)
    assert capfd.readouterr() == ("", "")


def test_a_command_shows_it_on_standard_error_alone(monkeypatch, capsys):
    screen = terminal(monkeypatch)
    with pytest.raises(SystemExit) as exit:
        main(["simulate", "--drift", "-x", "--variance", "1", "--domain", "-9", "9", "--walkers",
              "2000", "--steps", "4000", "--json"])  # fmt: skip
    assert exit.value.code == 0
    assert "steps of walkers" in screen.getvalue()
    assert capsys.readouterr().out.startswith("{")


def test_a_notebook_has_its_own_bar(monkeypatch):
    """tqdm.auto chooses it; ours asks for nothing that the notebook's does not know."""
    pytest.importorskip("ipywidgets")
    from tqdm.notebook import tqdm

    seen = []
    terminal(monkeypatch)

    class Bar(tqdm):
        def __init__(self, *given, **how):
            how["display"] = False
            super().__init__(*given, **how)
            seen.append(self)

        def refresh(self, *given, **how):
            counts.add((self.n, self.total))
            super().refresh(*given, **how)

    counts = set()
    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    with told(True, "points") as tell:
        tell(1, 2)
        time.sleep(0.2)
    assert len(seen) == 1
    assert (1, 2) in counts


# -- what was done is kept ------------------------------------------------------------------------


def stopped(run, stage, done=0):
    """What is left of it if somebody presses Ctrl-C in a stage."""

    def press(what, n, total):
        if stage in what and n == done:
            raise KeyboardInterrupt

    with module._watched_by(press):
        return run()


def pit():
    return Diffusion(lambda x: x - x**3, 0.2, (-3, 3))


def test_an_evolution_that_is_interrupted_keeps_the_times_that_are_done():
    times = [0, 1, 2, 3, 4]
    whole = evolve(pit(), -1.0, times, cells=100)
    found = stopped(lambda: evolve(pit(), -1.0, times, cells=100), "5 grids, times", 3)
    assert found.interrupted
    assert not whole.interrupted
    assert found.times.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found.mean, whole.mean[:3])
    np.testing.assert_array_equal(found.mean_error, whole.mean_error[:3])
    assert "Not complete: it was interrupted" in " ".join(found.summary().split())
    assert found.to_dict()["stopped"]
    with pytest.raises(KeyboardInterrupt):
        stopped(lambda: evolve(pit(), -1.0, times, cells=100), "5 grids, times", 1)


def test_an_evolution_keeps_all_times_where_finer_grids_are_interrupted():
    found = stopped(lambda: evolve(pit(), -1.0, [1, 2], tolerance=1e-9), "grid 6")
    assert found.interrupted
    assert len(found.times) == 2
    assert not found.converged
    exact = evolve(pit(), -1.0, [1, 2], tolerance=1e-9)
    assert (np.abs(found.mean - exact.mean) < found.mean_error + exact.mean_error).all()


def test_an_evolution_from_a_table_keeps_times_whichever_of_its_runs_is_interrupted():
    x = np.linspace(-3, 3, 61)
    known = table({"x": x, "drift": x - x**3, "variance": 0.2 + 0 * x})
    for first in (True, False):
        seen = []

        def press(what, n, total, first=first, seen=seen):
            seen += ["5 grids, times" in what and n == 2]
            if seen[-1] and sum(seen) == 2 - first:
                raise KeyboardInterrupt

        with module._watched_by(press):
            found = evolve(known.diffusion(domain=(-3, 3)), -1.0, [0, 1, 2, 3], cells=100)
        assert found.interrupted
        assert found.times.tolist() == [0, 1]
        assert found.error[1] > 1e-9


@pytest.mark.parametrize("stage", ["exit times", "chain of SGD's steps"])
def test_an_analysis_that_is_interrupted_keeps_its_end_state(stage):
    whole = analyze("examples/two_minima.py")
    found = stopped(lambda: analyze("examples/two_minima.py", progress=True), stage)
    assert "Not complete: it was interrupted" in " ".join(found.summary().split())
    assert found.to_dict()["stopped"]
    assert found.to_dict()["sgd"] is None
    assert [b.mass for b in found.basins] == [b.mass for b in whole.basins]
    assert (found.exits[0] is None) == (stage == "exit times")
    assert "of SGD" not in found.summary()
    found.plot()
    with pytest.raises(KeyboardInterrupt):
        stopped(lambda: analyze("examples/two_minima.py", progress=True), "end state")


def test_an_analysis_in_many_digits_that_is_interrupted_computes_no_more():
    found = stopped(
        lambda: analyze("examples/two_minima.py", digits=20, progress=True), "chain of SGD's steps"
    )
    assert found.exits[0] is not None
    assert found.to_dict()["sgd"] is None
    assert found.to_dict()["basins"][0]["exit_time"] is not None
    assert "sgd" not in vars(found.rounded)


def test_a_schedule_and_a_bias_that_are_interrupted_keep_what_comes_first():
    def two():
        return anneal("examples/two_minima.py", schedule="linear:0.1:0.02:500", cells=100)

    found = stopped(two, "own steps")
    assert found.sgd is None
    assert found.stopped
    assert "it was interrupted" in found.summary()
    bias = stopped(lambda: width_bias("examples/two_minima.py", minimum=0, dilate=[1, 2]), "dilat")
    assert bias.dilation is None
    assert bias.ratios
    assert "Not complete: it was interrupted" in " ".join(bias.summary().split())


def test_a_bias_that_is_interrupted_writes_no_table_of_something_else(tmp_path, capsys):
    """Rows of pairs stood under columns of their own in the table of factors."""
    table = tmp_path / "t.csv"
    asked = ["bias", "examples/two_minima.py", "--minimum", "0", "--dilate", "1,2"]
    with pytest.raises(SystemExit):
        stopped(lambda: main([*asked, "--csv", str(table)]), "dilat")
    assert not table.exists()
    said = f"{table} was not written: there is nothing to list."
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("digits", [None, 20])
def test_factors_that_are_done_are_kept_when_the_next_one_is_interrupted(monkeypatch, digits):
    """Also of those that many digits compute together."""
    monkeypatch.setattr("stationary.questions.width.dilation.GROUP", 2)
    state, factors = end_state(pit(), digits=digits), [1, 2, 1.5, 0.8]
    found = stopped(lambda: dilation_bias(state, 0, factors), "factors", 3)
    whole = dilation_bias(state, 0, factors)
    assert found.factors.tolist() == [1, 2]
    assert found.stopped
    assert not whole.stopped
    for name, known in found.columns.items():
        assert known.tolist() == pytest.approx(whole.columns[name][:2].tolist(), rel=1e-14)


def test_a_bias_that_is_interrupted_says_how_many_factors_are_done():
    def bias():
        return width_bias(pit(), minimum=0, dilate=[1, 2, 1.5], noise=[2])

    found = stopped(bias, "dilation, factors", 2)
    assert found.dilation.factors.tolist() == [1]
    assert found.noise is None
    assert found.has_table
    assert "it was interrupted; of the factors 1 is done." in " ".join(found.summary().split())


def test_a_bias_in_the_plane_that_is_interrupted_keeps_the_factors_that_are_done():
    plane = Diffusion(lambda w: (w[0] - w[0] ** 3, -w[1]), 0.2, ((-3, 3), (-3, 3)), weights=2)
    state = end_state(plane)
    found = stopped(lambda: width_bias(state, minimum=0, dilate=[1, 1.4]), "factors", 1)
    assert found.factors.tolist() == [1]
    assert found.log_mass.tolist() == [0]
    assert "it was interrupted; of the factors 1 is done." in " ".join(found.summary().split())


def test_a_command_that_is_interrupted_prints_what_was_done(capsys):
    asked = ["evolve", "--drift", "x-x**3", "--variance", "0.2", "--domain", "-3", "3",
             "--initial=-1", "--until", "4", "--every", "1", "--cells", "100"]  # fmt: skip
    with pytest.raises(SystemExit) as exit:
        stopped(lambda: main(asked), "5 grids, times", 3)
    assert exit.value.code == 130
    out, err = capsys.readouterr()
    assert "to time 2." in " ".join(out.split())
    assert err == "stationary: stopped; what was done is kept.\n"


@pytest.mark.parametrize(
    ("asked", "at_work"),
    [
        (["evolve", "--drift=-x", "--variance", "1", "--initial=-1", "--until", "4"], "end state"),
        (["check", "examples/two_minima.py"], "chain"),
        (["passage", "--drift=-x", "--variance", "1", "--from=0.1,0.2", "--to", "1"], "on the way"),
        (["regularise", "--drift=-x", "--variance", "1"], "values of eps"),
    ],
)
def test_a_command_that_is_stopped_before_anything_is_done_says_what_was_not_written(
    asked, at_work, tmp_path, capsys
):
    (tmp_path / "t.csv").write_text("old")
    files = ["--csv", str(tmp_path / "t.csv"), "--plot", str(tmp_path / "p.png")]
    with pytest.raises(SystemExit) as exit:
        stopped(lambda: main([*asked, *files]), at_work)
    assert exit.value.code == 130
    names = " and ".join(files[1::2])
    said = f"stationary: stopped before anything was done; {names} were not written.\n"
    assert capsys.readouterr() == ("", said)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("t.csv", "old")]


def test_a_stop_while_answers_are_written_names_what_is_not(tmp_path, capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("stationary.analysis.Analysis.plot", stop)
    table, figure = tmp_path / "t.csv", tmp_path / "p.png"
    with pytest.raises(SystemExit) as exit:
        main(["analyze", "examples/two_minima.py", "--csv", str(table), "--plot", str(figure)])
    assert exit.value.code == 130
    assert capsys.readouterr().err == f"stationary: stopped; {figure} was not written.\n"
    assert table.exists()


def test_a_stop_ends_work_on_several_files_and_keeps_what_is_done(tmp_path, capsys):
    table, seen = tmp_path / "t.csv", []

    def press(what, n, total):
        seen.append(what)
        if sum("exit times" in w for w in seen) and "end state" in what:  # of the second
            raise KeyboardInterrupt

    files = ["two_minima", "wright_fisher", "ornstein_uhlenbeck"]
    with pytest.raises(SystemExit) as exit, module._watched_by(press):
        main(["analyze", *(f"examples/{f}.py" for f in files), "--csv", str(table)])
    assert exit.value.code == 130
    out, err = capsys.readouterr()
    assert out.startswith("two_minima.py\n")
    assert "wright_fisher" not in out
    assert err == "stationary: stopped before all of examples/wright_fisher.py was done.\n"
    assert {row.split(",")[0] for row in table.read_text().splitlines()} == {
        "file", "examples/two_minima.py"
    }  # fmt: skip


def test_stages_within_a_stage_are_none_and_what_is_over_is_not_named():
    told_of = []
    with module._watched_by(lambda *told: told_of.append(told)):
        with stage("small steps", 1, 2), stage("end state", 1, 3):
            at("panels", 5)
            with doing("learning rates", 7):
                at("panels", 6)
        assert list(each("ab", "basins")) == ["a", "b"]
    assert told_of == [
        ("1 of 2, small steps", 0, 0),
        ("1 of 2, small steps, panels", 5, 0),
        ("1 of 2, small steps, learning rates", 7, 0),
        ("", 0, 0),
        ("basins", 0, 2),
        ("basins", 1, 2),
        ("", 0, 0),
    ]
