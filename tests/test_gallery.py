"""The pages of the gallery run as they stand, and claim what is so; the site lists all there is.

The site itself is built by `python -m sphinx -W docs build/site`, where Sphinx is installed.
"""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import stationary

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted((DOCS / "gallery").glob("plot_*.py"))


def check_first_steps(page):
    """Half the noise squares the odds, but for the widths: V'' = 2 +- 0.15, to first order."""
    warm, cold = page["odds"]
    widths = np.log(1.85 / 2.15) / 2
    assert warm == pytest.approx(0.05 * 4 / 0.2 + widths, rel=0.05)  # 2 (V(-1) - V(1)) / a
    assert cold == pytest.approx(0.05 * 4 / 0.1 + widths, rel=0.02)
    assert page["right"].mass == pytest.approx(page["state"].probability(0, 3), rel=0.05)


def check_sgd(page):
    """The gate out of the narrow minimum is open, and the wide one wins at every rate."""
    share = page["wide_share"]
    assert (share > 0.5).all()
    assert share[-1] == pytest.approx(page["analysis"].basins[0].mass, rel=1e-9)
    assert page["what_if"].dilation.log_mass_ratios[0] == pytest.approx(0, abs=1e-12)


def check_stochastic_differential_equations(page):
    assert page["student"][0] == pytest.approx(page["student"][1], rel=1e-12)
    assert page["means"]["ito"] == pytest.approx(0.75, rel=1e-10)  # of Gamma(3, 1/4)
    assert page["means"]["stratonovich"] == pytest.approx(1, rel=1e-10)
    assert page["means"]["klimontovich"] == pytest.approx(1.25, rel=1e-10)
    assert page["exact"] / page["kramers"] == pytest.approx(1, abs=0.1)


def check_population_genetics(page):
    assert page["fixed"] == pytest.approx(0.3, rel=1e-13)
    assert np.abs(page["time"] / page["kimura"] - 1).max() < 1e-10
    assert page["fixation"] == pytest.approx(np.expm1(-0.2) / np.expm1(-10), rel=1e-12)


def check_rings_and_ratchets(page):
    assert page["state"].mean_velocity == pytest.approx(page["formula"], rel=1e-11)
    assert page["velocity"][5] == pytest.approx(page["formula"], rel=1e-11)
    assert page["even"] == pytest.approx(0, abs=1e-12)
    assert abs(page["uneven"]) > 1e-4


def check_where_the_noise_vanishes(page):
    assert page["state"].std() == pytest.approx(4.1591713819232335e-43, rel=1e-12)
    assert page["path"].outcome == "differs"


def check_real_data(page):
    assert page["found"] == pytest.approx(page["truth"], rel=0.15)
    assert abs(page["ratio"]) > 0
    assert page["state"].mean() == pytest.approx(0, abs=1e-3)
    assert sum(page["calls"]) < 400


def check_two_weights(page):
    off = np.abs(page["gaussian"].cov() - page["covariance"]).max()
    assert off < 1e-8
    assert page["half"] == pytest.approx(0.5, abs=1e-6)


def check_how_errors_are_known(page):
    assert all(true <= stated for true, stated in zip(page["true"], page["stated"], strict=True))
    assert page["chain"].std() == pytest.approx(page["exact"], rel=1e-4)
    assert abs(page["walk"].std - page["exact"]) < 4 * page["walk"].std_error


def check_what_it_will_not_do(page):
    assert len(page["refused"]) == 4
    assert "adam" in page["refused"][1].lower()
    assert page["free"].end_state.kind == "none"


CHECKS = {
    name.removeprefix("check_"): function
    for name, function in list(globals().items())
    if name.startswith("check_")
}


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem[8:])
def test_a_page_runs_and_its_numbers_are_right(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    CHECKS[path.stem[8:]](runpy.run_path(str(path)))


def test_every_page_is_in_the_contents():
    contents = (DOCS / "index.md").read_text(encoding="utf-8")
    names = [f"pages/{p.stem}" for p in PAGES]
    names += [p.stem for p in DOCS.glob("*.*") if p.suffix in (".md", ".rst") and p.stem != "index"]
    listed = re.findall(r"^(?:pages/)?\w+$", contents, re.MULTILINE)
    assert sorted(listed) == sorted(set(names) - {"sg_execution_times"})


def test_every_public_name_is_in_the_reference():
    listed = set(
        re.findall(r"^   (\w+)$", (DOCS / "api.rst").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert listed | {"network"} == set(stationary.__all__)  # of which the two functions are


def test_the_site_is_built(tmp_path):
    """Without running the gallery, which the test above does, and in the plain theme.

    Furo draws the tree of all pages beside each of them, which is half of the work.
    """
    pytest.importorskip("sphinx_gallery")
    pytest.importorskip("furo")
    left_out = shutil.ignore_patterns("pages", "api", "sg_execution_times.rst", "__pycache__")
    shutil.copytree(DOCS, tmp_path / "docs", ignore=left_out)
    for name in ("stationary", "examples"):
        (tmp_path / name).symlink_to(DOCS.parent / name)
    quick = ["-D", "plot_gallery=0", "-D", "html_theme=basic"]
    command = [sys.executable, "-m", "sphinx", "-W", "-q", *quick, "docs", "site"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "pages" / "plot_01_first_steps.html").exists()
