"""Progress: the time left, where somebody looks, and nowhere else."""

from __future__ import annotations

import io
import time

import pytest

from stationary import Diffusion, regularisation_path, simulate, sweep
from stationary import progress as module
from stationary.__main__ import main
from stationary.progress import told, waiting

OU = Diffusion(lambda x: -x, 1, (-9, 9))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch):
    """Standard error, from now on."""
    found = Terminal()
    monkeypatch.setattr("sys.stderr", found)
    monkeypatch.setattr(module, "SILENT", 0.01)
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


def test_what_cannot_say_how_much_is_left_shows_how_long_it_has_been_at_work(monkeypatch):
    screen = terminal(monkeypatch)
    with waiting("analyze"):
        time.sleep(0.4)
    assert "analyze: 00:00" in screen.getvalue()


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

    class Bar(tqdm):
        def __init__(self, *given, **how):
            how["display"] = False
            super().__init__(*given, **how)
            seen.append(self)

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    with told(True, "points") as tell:
        tell(1, 2)
    assert seen[0].n == 1
    assert seen[0].total == 2
