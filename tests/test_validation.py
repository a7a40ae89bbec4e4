"""The validations of examples/validation: theory and 1,000 walkers, in standard errors."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

FOLDER = Path(__file__).parent.parent / "examples" / "validation"


@pytest.fixture
def example(monkeypatch):
    """Import an example by its name, from its own folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = {p.stem for p in FOLDER.glob("*.py")}
    known = {n: sys.modules.pop(n) for n in names if n in sys.modules}
    yield importlib.import_module
    for n in names:
        sys.modules.pop(n, None)
    sys.modules.update(known)


@pytest.mark.parametrize("name", ["drift_only", "diffusion_only", "drift_and_diffusion"])
def test_theory_and_walkers_agree_within_their_standard_errors(example, name, tmp_path):
    """Times are correlated, so the worst of 20 to 80 scores is held to 4, not each to its own."""
    scores = example(name).main(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000
    for score in scores:
        assert np.abs(score).max() < 4
        assert np.sqrt((score**2).mean()) < 2.5


def test_the_pit_is_followed_and_sgd_parts_from_its_diffusion(example, tmp_path, monkeypatch):
    pit = example("pit")
    monkeypatch.setattr(pit, "UNTIL", 100)  # half of the way: SGD is 14 errors off by then
    mean, deviation, sgd = pit.main(tmp_path / "figure.png")
    assert np.abs(mean).max() < 4
    assert np.abs(deviation).max() < 4
    assert np.abs(sgd).max() > 10


def test_trajectories_from_a_fan_of_starts(example, tmp_path):
    """The drift alone ends in the two minima; SGD leaves the pit for the wide one."""
    by_drift, by_sgd = example("trajectories").main(tmp_path / "figure.png")
    near = np.abs(by_drift[:, None] - [1.00745, 2.0]).min(axis=1)
    assert near.max() < 1e-2
    assert (np.abs(by_sgd - 2) < 1e-2).mean() > 0.6


def test_a_figure_that_was_not_named_is_in_a_folder_of_its_own(
    example, tmp_path, monkeypatch, capsys
):
    """It was written over pit.png in the working folder, without a word."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["somewhere/drift_only.py"])
    example("comparison").save(plt.figure(), None)
    assert [p.name for p in tmp_path.iterdir()] == ["validation"]
    assert (tmp_path / "validation" / "drift_only.png").exists()
    assert "The figure is in validation" in capsys.readouterr().out
