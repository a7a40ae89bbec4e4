"""Answers are data: pickled, copied, compared, sent to other processes, saved and read again."""

from __future__ import annotations

import copy
import math
import pickle
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_overloads, get_type_hints

import numpy as np
import pytest
from scipy import special, stats

import stationary as st
from stationary import Diffusion, analyze
from stationary.chain.state import ChainState
from stationary.result import Data, Result
from stationary.states.basin import Basin
from stationary.states.law import Passage
from stationary.wording import LN10, power_text, probability_text, time_text

EXAMPLES = Path(__file__).parent.parent / "examples"
TWO_MINIMA = str(EXAMPLES / "two_minima.py")


@pytest.fixture(name="answers", scope="module")
def _answers():
    """One of every kind that is public, none of a function that pickle could find by its name."""
    level = 0.2
    process = Diffusion(lambda x: x - x**3, lambda x: level + 0.1 * x**2, (-3, 3), initial=0.2)
    found, landscape = analyze(TWO_MINIMA), st.load(TWO_MINIMA)
    trap = Diffusion(0, lambda x: x * (1 - x), (0, 1), initial=0.3)
    swept = st.sweep(TWO_MINIMA, learning_rate=[0.05, 0.06])
    passage = st.first_passage(process, [0.2, 0.5], (-1, 1))
    several = (
        process, landscape, found, analyze(process), st.end_state(trap), found.end_state,
        found.basins[0], found.bias, found.bias[0], found.steps, found.exits,
        st.peaks_of(found.end_state), st.width_bias(TWO_MINIMA),
        st.dilation_bias(found.end_state, 1, [1, 2]),
        st.exact_chain(landscape, cells=100), swept, swept.rows, swept.rows[0], swept.crossovers,
        passage, passage.conditional_mean, st.regularisation_path(process, [1e-2, 1e-3]),
        st.simulate(process, dt=0.01, steps=50, walkers=10), st.evolve(process, times=[0, 1]),
        st.check(TWO_MINIMA, walkers=20, steps=100, cells=100, simulation=False),
        analyze(process, digits=25), st.Status.CONVERGED, found.sgd,
        st.sampled(lambda w: w + level * np.array([[-1.0], [1.0]]), domain=(-1, 1)),
        analyze(TWO_MINIMA, sample=True).standard_errors,
        found.end_state.distance(st.end_state(process)), st.Schedule.of("cosine:0.1:0.01:5"),
        found.exits[0], found.sgd.basins[0], passage.probability[0, 0],
        st.exact_chain(landscape, cells=100).components[0], st.peaks_of(st.end_state(trap)),
        st.anneal(TWO_MINIMA, schedule="cosine:0.06:0.05:5", initial=1.0), found.basins,
        analyze(TWO_MINIMA, sample=True).influence, found.sgd.after(100),
        st.peaks_of(st.end_state(Diffusion(lambda x: 0.3 - x, lambda x: 2 * x, (0, np.inf))))[0],
        st.evolve(process, times=[0, 1]).at(1), Passage(np.array([1.0, np.nan]), np.zeros(2)),
    )  # fmt: skip
    return several


@pytest.mark.parametrize(
    "again", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy, copy.copy]
)
def test_every_answer_is_pickled_and_copied_as_its_equal(answers, again):
    for answer in answers:
        assert again(answer) == answer, type(answer)
        assert hash(type(answer)) == hash(type(again(answer)))


TURNING = st.Diffusion(
    drift=lambda p: (p[0] - p[0] ** 3 + 0.3 * p[1], -p[1] - 0.3 * p[0]),
    variance=0.5,
    domain=((-2.5, 2.5), (-2.5, 2.5)),
)


@pytest.mark.parametrize("example", ["pit", "wright_fisher", "tilted_washboard", TURNING])
def test_what_was_computed_when_it_was_asked_for_makes_no_difference(example):
    process = EXAMPLES / f"{example}.py" if isinstance(example, str) else example
    fresh, used = (analyze(process) for _ in range(2))
    before = copy.deepcopy(used)
    str(used), used.to_dict()
    if isinstance(used, st.Analysis):
        assert used.bias is not None
        if used.end_state.kind == "density":
            used.end_state.cdf(0.9)
    assert before == used == fresh == used
    assert pickle.loads(pickle.dumps(used)) == used == copy.deepcopy(used)


def test_answers_that_were_read_equal_those_that_were_not(answers):
    before = [copy.deepcopy(answer) for answer in answers]
    for answer, one in zip(answers, before, strict=True):
        if isinstance(answer, (Result, st.EndState)):
            str(answer), answer.to_dict()
        assert answer == one, type(answer)
        assert pickle.loads(pickle.dumps(answer)) == one, type(answer)


def test_a_copy_computes_what_the_original_does(answers):
    x = np.linspace(-3, 2, 7)
    for found in (a for a in answers if isinstance(a, st.Analysis)):
        twin = pickle.loads(pickle.dumps(found))
        assert str(twin) == str(found)
        assert twin.to_json() == found.to_json()
        inside = x[(x > found.diffusion.domain[0]) & (x < found.diffusion.domain[1])]
        assert np.all(twin.end_state.cdf(inside) == found.end_state.cdf(inside))


def test_what_differs_is_not_equal():
    def made(strength, rate=1.0):
        return Diffusion(lambda x: -strength * x, rate, (-3, 3))

    one = analyze(made(2.0))
    assert one == analyze(made(2.0))
    assert one != analyze(made(2.1))
    assert one != analyze(made(2.0, 1.1))
    assert made(2.0) != made(3.0)
    assert one.end_state != one
    assert len({made(2.0), made(2.0)}) == 1


def test_an_answer_is_read_where_its_landscape_file_is_not(tmp_path):
    file = tmp_path / "well.py"
    file.write_text(
        "from shape import power\nlevel = 0.5\nvariance = lambda x: level + 0 * x\n"
        "domain = (-2, 2)\ndrift = lambda x: x - power(x)\n"
    )
    (tmp_path / "shape.py").write_text("def power(x):\n    return x**3\n")
    found = analyze(file)
    (tmp_path / "found.pickle").write_bytes(pickle.dumps(found))
    file.unlink()
    (tmp_path / "shape.py").unlink()
    program = (
        "import pickle, stationary\n"
        "found = pickle.load(open('found.pickle', 'rb'))\n"
        "wider = stationary.analyze(found.diffusion, domain=(-3, 3))\n"
        "print(found.end_state.std(), wider.diffusion.domain)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(EXAMPLES.parent)},
    )  # fmt: skip
    assert done.stdout == f"{found.end_state.std()!r} (-3.0, 3.0)\n".replace("np.float64", "")


def standard_deviation(found):
    return found.end_state.std()


def test_analyses_go_through_a_pool_of_processes():
    found = [analyze(Diffusion(lambda x, k=k: -k * x, 1.0, (-5, 5))) for k in (1, 2)]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(standard_deviation, found)) == list(map(standard_deviation, found))


def test_types_that_a_checker_reads_are_no_any():
    for asked in ("mean", "probability", "log_probability", "log_ratio"):
        assert get_type_hints(getattr(st.EndState, asked))["return"] is float
    hints = get_type_hints(Basin)
    for name in ("position", "lower", "upper", "mass", "log_mass", "log_density", "variance"):
        assert hints[name] is float
    assert hints["barrier_left"] == hints["barrier_right"] == float | None
    given = get_type_hints(get_type_hints(st.Diffusion)["variance"].__set__)["given"]
    assert float in get_args(given)  # as well as a function


def test_an_answer_is_saved_and_read_again_without_pickle(answers, tmp_path):
    for found in (a for a in answers if isinstance(a, Result)):
        found.save(tmp_path / "found.json")
        again = st.load(tmp_path / "found.json")
        assert isinstance(again, st.Saved)
        assert str(again) == str(found)
        assert again.to_dict() == found.to_dict()
        assert again.to_csv() == found.to_csv()
        assert not re.search(r'": "(<|[A-Z]\w+\()', found.to_json())  # what is data, not its repr
        assert again == pickle.loads(pickle.dumps(again))
        again.save(tmp_path / "found.json")  # what was read can be saved as what it was
        assert st.load(tmp_path / "found.json") == again
        assert again.kind == type(found).__name__
    for other in ("{}", "[1]", '{"stationary": 1}', '{"stationary": 1, "more": 2}'):
        (tmp_path / "other.json").write_text(other)
        with pytest.raises(st.StationaryError, match=r"no answer that save.* something else"):
            st.load(tmp_path / "other.json")


LAWS = {  # by drift, variance and domain
    "normal": (lambda x: -x, lambda x: 2 + 0 * x, (-np.inf, np.inf), stats.norm()),
    "gamma": (lambda x: 0.3 - x, lambda x: 1.7 * x, (0, np.inf), stats.gamma(0.6 / 1.7, 0, 0.85)),
    "student": (lambda x: -x, lambda x: 1 + x * x, (-np.inf, np.inf), stats.t(3, 0, 3**-0.5)),
    "beta": (lambda x: 0.4 - x, lambda x: x * (1 - x), (0, 1), stats.beta(0.8, 1.2)),
    "laplace": (lambda x: -np.sign(x), lambda x: 2 + 0 * x, (-np.inf, np.inf), stats.laplace()),
}


@pytest.mark.parametrize("name", LAWS)
def test_the_law_of_a_saved_answer_is_known_to_its_error(name, tmp_path):
    drift, variance, domain, exact = LAWS[name]
    found = analyze(st.Diffusion(drift, variance, domain))
    found.save(tmp_path / "found.json")
    law = st.load(tmp_path / "found.json").law
    q = np.concatenate([np.geomspace(1e-12, 0.4, 40), np.linspace(0.4, 1 - 1e-6, 60)])
    x = exact.ppf(q)
    assert np.abs(law.cdf(x) - exact.cdf(x)).max() < law.error < 1e-12
    assert np.abs(law.pdf(x) / exact.pdf(x) - 1).max() < law.density_error < 1e-7
    assert np.abs(exact.cdf(law.ppf(q)) - q).max() < 2 * law.error
    assert law.sf(exact.isf(1e-12)) == pytest.approx(1e-12, rel=1e-6)
    assert law.probability(*exact.ppf([0.3, 0.7])) == pytest.approx(0.4, abs=2 * law.error)
    assert law.mean() == found.end_state.mean()
    assert law.distance(found.end_state).value < 1e-9


def test_a_law_that_gathers_at_an_end_is_kept(tmp_path):
    """P ~ x^-0.98 e^-2x: half of it is nearer to 0 than 1e-15."""
    found = analyze(st.Diffusion(lambda x: 0.01 - x, lambda x: x, (0, np.inf)))
    found.save(tmp_path / "found.json")
    law, exact = st.load(tmp_path / "found.json").law, stats.gamma(0.02, scale=0.5)
    x = np.geomspace(1e-100, 3, 50)
    assert np.abs(law.cdf(x) - exact.cdf(x)).max() < law.error < 1e-5
    assert np.abs(law.pdf(x) / exact.pdf(x) - 1).max() < law.density_error < 1e-6
    assert law.ppf(0.5) == pytest.approx(exact.ppf(0.5), rel=1e-3)
    st.end_state(st.Diffusion(lambda x: 0.001 - x, lambda x: x, (0, np.inf))).save(
        tmp_path / "found.json"
    )
    law = st.load(tmp_path / "found.json").law  # whose median is 1e-151
    assert law.cdf(law.ppf([0.4, 0.5])) == pytest.approx([0.4, 0.5], abs=1e-9)


@pytest.mark.parametrize("low", [0.0, -1997.5])
def test_densities_next_to_an_end_are_kept_where_doubles_are_coarse(low, tmp_path):
    """There x is rounded by much of its distance from the end: 0.5 were off at a claim of 0.3."""
    a, b, end = 1.286, 0.122, low + 2
    process = st.Diffusion(
        lambda x: a * (end - x) - b * (x - low), lambda x: (x - low) * (end - x), (low, end)
    )
    st.end_state(process).save(tmp_path / "found.json")
    law = st.load(tmp_path / "found.json").law
    x = np.unique(end - np.geomspace(1e-16, 1, 400))
    x = x[(x > low) & (x < end)]
    exact = (x - low) ** (2 * a - 1) * (end - x) ** (2 * b - 1) / special.beta(2 * a, 2 * b)
    exact /= 2 ** (2 * a + 2 * b - 1)
    assert np.abs(law.pdf(x) / exact - 1).max() < law.density_error < 1e-8


def test_a_saved_answer_is_drawn_where_its_file_is_not(tmp_path):
    pytest.importorskip("matplotlib")
    analyze(TWO_MINIMA).save(tmp_path / "found.json")
    again = st.load(tmp_path / "found.json")
    (axes,) = again.plot(tmp_path / "found.png").axes
    curve = max((line.get_xydata() for line in axes.lines), key=len)
    at = np.argmax(curve[:, 1])
    assert curve[at, 0] == pytest.approx(again.data["modes"][0]["position"], abs=0.01)
    assert curve[at, 1] == pytest.approx(np.exp(again.data["modes"][0]["log_density"]), rel=1e-3)
    assert axes.get_xlabel() == "$w$"
    assert {"97.3 %", "2.75 %"} <= {t.get_text() for t in axes.texts}
    for more in (analyze(TWO_MINIMA).sgd.chain, analyze(TWO_MINIMA).end_state):
        more.save(tmp_path / "more.json")
        law = st.load(tmp_path / "more.json").law
        assert law.distance(more).value <= 2 * more.error
        assert law.mean() == more.mean()
        st.load(tmp_path / "more.json").plot()


@pytest.mark.filterwarnings("error")
def test_laws_of_points_and_of_what_is_lost_are_kept_as_they_were(tmp_path):
    """Chains that end in points had no law, and those that lose some could not be saved at all."""
    lost = st.Landscape(
        lambda w: [w**2 / 2 - 0.05 * w**4, 0.6 * w**2 - 0.05 * w**4], learning_rate=0.05
    )
    held = st.Landscape(
        lambda w: [(w**2 - 1) ** 2, 2 * (w**2 - 1) ** 2], learning_rate=0.05, domain=(-2, 2)
    )
    x = [-1e9, -1.0, -0.5, 0.0, 0.5, 1.0, 1e9]
    for found in (
        st.exact_chain(held, initial="normal:0.2,0.5"),
        st.exact_chain(lost, initial="normal:0,3"),
        st.end_state(lost, "normal:0,3"),
        st.analyze(lost, initial="normal:0,3"),
    ):
        found.save(tmp_path / "found.json")
        law = st.load(tmp_path / "found.json").law
        known = found.end_state if isinstance(found, st.Analysis) else found
        assert np.allclose([law.cdf(x), law.sf(x)], [known.cdf(x), known.sf(x)], rtol=0, atol=1e-12)
        assert np.isnan(law.mean()) if len(known.escapes) else law._grid.shift_error > 0


def test_why_a_saved_answer_has_no_law_is_said(tmp_path):
    drifts = st.Diffusion(lambda x: 1 + 0 * x, 1.0, (-np.inf, np.inf))
    trapped = st.Diffusion(lambda x: 0 * x, lambda x: x * (1 - x), (0, 1))
    for process, why in ((drifts, "there is no end state"), (trapped, "Give initial")):
        analyze(process).save(tmp_path / "none.json")
        for ask in (lambda again: again.law, lambda again: again.plot()):
            with pytest.raises(st.LandscapeError, match=why):
                ask(st.load(tmp_path / "none.json"))
    text = (tmp_path / "none.json").read_text()
    broken = re.sub(r'"kept": "[^"]*"', '"kept": {"edges": [0, 1], "masses": 1}', text)
    (tmp_path / "none.json").write_text(broken)
    with pytest.raises(st.StationaryError, match="no answer that save"):
        st.load(tmp_path / "none.json")


def test_infinite_numbers_are_kept_in_tables_and_files(tmp_path):
    rare = analyze(TWO_MINIMA).sgd.basins[0]  # the chain never gets there
    assert rare.log_chain == -np.inf
    assert rare.to_dict()["log_chain"] is None  # JSON has no number for it
    assert ",-inf," in rare.to_csv()
    rare.save(tmp_path / "rare.json")
    again = st.load(tmp_path / "rare.json")
    assert again.data["log_chain"] == -np.inf
    assert again.to_dict() == rare.to_dict()
    assert again.table["log_chain"] == [-np.inf]
    assert again.table["held"] == [None]
    old = (tmp_path / "rare.json").read_text().replace('"stationary": 3', '"stationary": 1')
    (tmp_path / "rare.json").write_text(old)
    assert st.load(tmp_path / "rare.json").kind == "SgdBasin"
    (tmp_path / "rare.json").write_text(old.replace('"stationary": 1', '"stationary": 4'))
    with pytest.raises(st.StationaryError, match="newer version"):
        st.load(tmp_path / "rare.json")


def test_small_answers_are_answers_too():
    found = analyze(TWO_MINIMA)
    assert [b.to_dict() for b in found.basins] == found.to_dict()["basins"]
    many = analyze(TWO_MINIMA, digits=25)
    assert many.basins[0].to_dict() == many.to_dict()["basins"][0]
    rows = st.Schedule.of("constant:0.1:3").to_csv()
    assert rows == "step,learning_rate\n0,0.1\n1,0.1\n2,0.1\n"
    apart = found.end_state.distance(found.end_state)
    value, error = apart  # a pair still
    assert apart.to_csv() == f"value,error\n{value!r},{error!r}\n"
    assert str(apart).startswith("value: 0")
    assert str(st.Distance(1e-14, 1e-13)) == "value: 0\nerror: 1e-13"
    assert str(st.Distance(0.123456, 0.002)) == "value: 0.123\nerror: 2e-03"
    assert str(st.Estimate(2.0, 0.01)).startswith("value: 7.39\nlog: 2\n")
    assert str(st.Estimate(2.0, 3.0)).startswith("value: not known\n")
    assert found.exits[0].to_dict().keys() == {"time", "log_time", "error"}
    assert "<" in apart._repr_html_()
    with pytest.raises(st.StationaryError, match="is needed, or the path of its file"):
        st.width_bias(found.basins[0])


def test_an_end_state_and_sgds_own_chain_are_reports_and_tables_by_themselves():
    found = analyze(TWO_MINIMA)
    state, chain = found.end_state, st.exact_chain(TWO_MINIMA, cells=200)
    assert state.to_csv() == found.to_csv()
    assert "The first minimum holds 35.37\n  times" in str(state)
    assert "no minibatch leads out" in str(found.sgd)
    columns = found.sgd.to_frame()
    assert columns["chain"].tolist() == [0, pytest.approx(1)]
    assert columns["diffusion"].tolist() == pytest.approx([b.mass for b in found.basins])
    cells = chain.to_frame()
    assert cells["probability"].sum() == pytest.approx(1)
    centres = (cells["lower"] + cells["upper"]) / 2
    assert (cells["probability"] * centres).sum() == pytest.approx(chain.mean(), abs=1e-4)
    only = chain.to_dict()["classes"][0]
    assert (only["weight"], only["mean"]) == (1, pytest.approx(chain.mean()))
    for answer in (state, chain, found.sgd):
        assert "<table" in answer._repr_html_()


def test_where_sgd_rests_on_a_stretch_the_chain_says_no_mean():
    def losses(w):
        return tuple(0.5 * (np.maximum(w, 0) - target) ** 2 for target in (1, 2))

    landscape = st.Landscape(losses, learning_rate=0.1, domain=(-2, 4), initial="uniform:-1,1")
    still, spread = st.exact_chain(landscape, cells=200).to_dict()["classes"]
    assert still["at_rest"]
    assert "mean" not in still
    assert spread["mean"] == pytest.approx(1.5, abs=1e-3)


def test_basins_are_printed_and_shown_in_notebooks_as_tables():
    basins = analyze(TWO_MINIMA).basins
    assert basins == tuple(basins)
    assert str(basins).count("\n") > 4
    assert "exit time" in str(basins)
    assert "<table" in basins._repr_html_()
    assert "0.97250" in basins._repr_html_()
    assert basins.to_frame()["mass"].tolist() == [b.mass for b in basins]
    assert [b["mass"] for b in basins.to_dict()["basins"]] == [b.mass for b in basins]
    assert pickle.loads(pickle.dumps(basins)) == copy.deepcopy(basins) == copy.copy(basins)
    assert str(copy.copy(basins[0])) == str(basins[0])  # it had no exit time, loss and sharpness


def test_a_minimum_has_what_the_json_has():
    found = analyze(TWO_MINIMA)
    for basin, listed in zip(found.basins, found.to_dict()["basins"], strict=True):
        told = {k: v for k, v in listed.items() if k not in ("parts", "modes", "modes_error")}
        assert {k: getattr(basin, k) for k in told} == told
        # exp(-(w - 1)^2 / 2 s^2) and the like: l'' by hand, and the mean of the losses.
        assert basin.loss == pytest.approx(np.mean(found.landscape.losses(basin.position)))
        assert basin.sharpness == pytest.approx(basin.curvature / found.landscape.learning_rate)
        assert basin.batch_sharpness >= basin.sharpness
    rows = found.to_csv(of="minima").splitlines()
    assert len(rows) == 1 + len(found.basins)
    assert "batch_sharpness" in rows[0]


def test_a_frame_is_made_where_pandas_is_and_else_said_to_need_it(answers):
    swept = next(a for a in answers if isinstance(a, st.Sweep))
    try:
        import pandas  # noqa: F401
    except ImportError:
        with pytest.raises(st.StationaryError, match="pip install pandas"):
            swept.to_frame()
    else:
        assert list(swept.to_frame().columns) == list(swept.columns)


def test_an_end_state_has_the_manners_of_scipy_stats():
    """An Ornstein-Uhlenbeck process with f = -x and a = 2 ends in a standard normal law."""
    from scipy.stats import norm

    state = st.end_state(Diffusion(lambda x: -x, 2.0, (-np.inf, np.inf)))
    assert state.stats("mvsk") == pytest.approx(norm().stats("mvsk"), abs=1e-9)
    assert state.stats("v") == pytest.approx(1)
    for k in range(7):
        assert state.moment(k) == pytest.approx(norm.moment(k), abs=1e-9)
    assert state.support() == norm.support()
    assert (state.rvs(5, random_state=3) == state.rvs(5, rng=3)).all()
    assert state.rvs(size=(2, 3), random_state=np.random.default_rng(1)).shape == (2, 3)
    heavy = st.end_state(Diffusion(lambda x: -x, lambda x: 1 + x**2, (-np.inf, np.inf)))
    assert np.isinf(heavy.moment(4))
    for wrong in ("mq", "", 3):
        with pytest.raises(st.StationaryError, match="mvsk"):
            state.stats(wrong)


def test_a_type_checker_knows_what_laws_give():
    """No method of a law that is a number, or numbers, is `Any`; of several ways each is told."""
    asked = "mean var std median moment stats rvs expect entropy interval support probability"
    errors = "mean_error std_error moment_error entropy_error log_probability_error"
    for law in (st.EndState, ChainState):
        for name in f"{asked} {errors}".split():
            of_class = getattr(law, name, None)
            method = of_class if callable(of_class) else getattr(of_class, "fget", None)
            ways = get_overloads(method) or [method] if method is not None else []
            for way in ways:
                told = get_type_hints(way)["return"]
                several = get_origin(told) in (tuple, Union, UnionType)
                assert Any not in (told, *(get_args(told) if several else ())), (law, name)


def test_every_law_has_these_manners():
    """Of two parabolas the chain is uniform on (0, 1); a linear pull keeps a law normal."""
    from scipy.stats import norm, uniform

    pull = Diffusion(lambda x: -x, 2.0, (-np.inf, np.inf))
    path = st.evolve(pull, "normal:1,0.5", times=[1.0])
    spread = np.sqrt(1 - 0.75 * np.exp(-2))
    halves = st.Landscape(losses=lambda w: (w**2 / 2, (w - 1) ** 2 / 2), learning_rate=0.5)
    plane = st.Diffusion(lambda x: -x, 2.0, domain=((-9, 9), (-9, 9)))
    laws = [
        (st.exact_chain(halves), uniform(), 1e-9),
        (path.at(1.0), norm(np.exp(-1), spread), 1e-4),
        (path.initial, norm(1, 0.5), 1e-9),
        (st.end_state(plane).marginal(0), norm(), 1e-9),
    ]
    for law, exact, off in laws:
        assert law.stats("mvsk") == pytest.approx(exact.stats("mvsk"), abs=off)
        assert law.moment(3) == pytest.approx(exact.moment(3), abs=off)
        assert law.moment(2, law.mean()) == pytest.approx(exact.var(), abs=off)
        drawn = law.rvs((2, 3), random_state=3)
        assert drawn.shape == (2, 3)
        assert (drawn == law.rvs((2, 3), 3)).all()
        assert isinstance(law.rvs(), float)
        levels = np.array([0, 1e-16, 0.3, 1 - 1e-16, 1])
        one_by_one = [law.ppf(q) for q in levels]
        assert law.ppf(levels) == pytest.approx(one_by_one, rel=1e-14, abs=1e-14)
        with pytest.raises(st.StationaryError, match="no number"):
            law.cdf("a")
        for wrong in (lambda law=law: law.rvs(-1), lambda law=law: law.moment(0.5)):
            with pytest.raises(st.StationaryError, match=r"size|order"):
                wrong()


def test_the_shape_of_a_law_has_all_digits_and_that_of_a_point_is_none():
    gamma = st.end_state(Diffusion(lambda x: 2 - x, lambda x: 2 * x, (0, np.inf)), digits=40)
    assert abs(gamma.stats("s") ** 2 - 2) < 1e-39
    still = st.end_state(Diffusion(lambda x: -x, lambda x: x * x, (-1, 1)))
    assert still.stats("mv") == (0, 0)
    assert np.isnan(still.stats("s"))


def test_the_bias_of_an_analysis_prints_the_report_of_the_command():
    found = analyze(TWO_MINIMA)
    assert str(found.bias) == st.width_bias(TWO_MINIMA).summary()
    # Errors have one digit, those of lists and of what is in brackets, too.
    assert not re.search(r"errors?:? [\d.]+\.", str(found.bias[0]))
    assert pickle.loads(pickle.dumps(found.bias)) == found.bias


def test_every_law_answers_the_same_questions():
    """Atoms of 3/4 at 0 and 1/4 at 1, said by an end state, by a start, and by cells."""
    process = Diffusion(0.0, lambda x: x * (1 - x), (0, 1))
    state = st.end_state(process, 0.25)
    start = st.end_state(process, [0.0, 0.0, 0.0, 1.0]).initial
    cells = st.Cells(np.empty(0), np.empty(0), np.array([0.0, 1.0]), np.array([0.75, 0.25]))
    x, q = np.array([[-1.0, 0.0], [0.5, 1.0]]), np.array([0.1, 0.74, 0.76, 2.0])
    for law in (state, start, cells):
        assert law.cdf(x) == pytest.approx(np.array([[0, 0.75], [0.75, 1]]), abs=1e-14)
        assert law.logcdf(0.5) == pytest.approx(np.log(0.75), abs=1e-14)
        assert law.logsf(x[1]) == pytest.approx([np.log(0.25), -np.inf], abs=1e-14)
        assert law.ppf(q) == pytest.approx([0, 0, 1, np.nan], nan_ok=True)
        assert law.isf(q) == pytest.approx([1, 0, 0, np.nan], nan_ok=True)
        assert (law.mean(), law.var()) == pytest.approx((0.25, 0.1875), abs=1e-14)
        assert (law.median(), law.support()) == (0, (0, 1))
        assert isinstance(law.cdf(0.5), float)


def test_an_end_state_gives_the_weights_of_what_it_ends_in():
    found = st.end_state(Diffusion(0.0, lambda x: x * (1 - x), (0, 1)), 0.25).to_dict()
    atoms = [c for c in found["classes"] if c["kind"] == "atom"]
    assert [a["weight"] for a in atoms] == pytest.approx([0.75, 0.25], abs=1e-14)
    assert all(0 < a["weight_error"] < 1e-13 for a in atoms)
    assert found["status"]["name"] == "converged"
    assert found["moments"]["mean"]["value"] == pytest.approx(0.25, abs=1e-14)


def test_whatever_can_be_reached_from_an_end_state_is_a_line():
    """The process has a gate, an atom and a density, so that nothing is left out."""
    for drift, variance in ((lambda x: x - x**3, 0.2), (0.0, lambda x: x * x)):
        state = st.end_state(Diffusion(drift, variance, (-2, 2)), 0.5)
        parts = [state, state.anatomy, state.classes, *state.anatomy.points, *state.components]
        parts += [x for c in state.components for x in (c.density, c.mesh, c.density.panels)]
        parts += [x for p in state.anatomy.pieces for x in (p, p.sampling, p.sampling.samples)]
        assert all(len(repr(part)) < 100 and "\n" not in repr(part) for part in parts)


def test_a_run_of_so_many_steps_is_an_answer_too():
    run = analyze(TWO_MINIMA).sgd.after(100_000)
    assert "its end state is not reached" in " ".join(str(run).split())
    assert run.to_frame()["log_share_1"].tolist() == run.log_shares[:, 1].tolist()
    assert run.to_dict()["steps"] == 100_000
    assert "\n" not in repr(run)


def test_the_end_state_of_losses_says_that_it_is_the_limit_of_small_steps():
    words = " ".join(str(analyze(TWO_MINIMA).end_state).split())
    assert "This is the limit of small steps" in words
    assert "This is the limit of small steps" not in str(st.end_state(Diffusion(lambda x: -x, 1.0)))


@pytest.mark.parametrize("points", [-3, 2.5, "many"])
def test_how_many_points_a_table_has_is_a_whole_number(points):
    state = st.end_state(Diffusion(lambda x: -x, 1.0))
    with pytest.raises(st.LandscapeError, match="points = "):
        state.to_csv(points=points)


def test_a_changed_basin_prints_what_the_command_does_and_is_a_table():
    changed = st.dilation_bias(TWO_MINIMA, 1, [1, 2])
    bias = st.width_bias(TWO_MINIMA, minimum=1, dilate=[1, 2])
    assert str(changed) == str(bias).replace(str(bias).split("\n\n")[1] + "\n\n", "")
    assert changed.to_dict() == bias.to_dict()["dilation"]
    assert list(changed.to_frame()["lambda"]) == [1, 2]
    assert "<table" in changed._repr_html_()


def test_basins_of_the_plane_are_a_table_too():
    level = 0.5
    state = st.end_state(Diffusion(lambda w: (w[0] - w[0] ** 3, -w[1]), level, weights=2))
    basins = state.basins
    assert str(basins) in str(state)
    assert basins.to_frame()["mass"].tolist() == pytest.approx([0.5, 0.5])
    assert basins.to_dict()["basins"] == state.to_dict()["basins"]
    for answer in (basins, state.metric):
        assert pickle.loads(pickle.dumps(answer)) == copy.deepcopy(answer) == answer


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda state, law: state.moment_error(-1), "order = -1 must be a whole number"),
        (lambda state, law: state.moment_error("a"), "order = 'a' must be a whole number"),
        (lambda state, law: law.plot(panel="outcomes"), "panel='outcomes'\\): \"density\""),
        (lambda state, law: law.to_csv(0), "points = 0 must be a whole number"),
    ],
)
def test_what_a_law_cannot_be_asked_is_said(ask, message):
    state = st.end_state(Diffusion(lambda x: -x, 2.0))
    law = st.evolve(Diffusion(lambda x: -x, 2.0), 0.0, times=[1.0]).at(1.0)
    with pytest.raises(st.LandscapeError, match=message):
        ask(state, law)
    assert np.isnan(state.moment_error(2, np.inf))


def test_every_kind_of_answer_compares_by_what_it_holds():
    """A dataclass that compares its fields as tuples does not with arrays, nor with nan."""
    kinds = [getattr(st, name) for name in st.__all__] and [Data]
    for kind in kinds:
        kinds += kind.__subclasses__()
        assert kind.__eq__ in (Data.__eq__, tuple.__eq__), kind
    passage = Passage(np.array([1.0, np.nan, np.inf]), np.array([0.1, np.nan, 0.0]))
    for again in (copy.deepcopy(passage), pickle.loads(pickle.dumps(passage))):
        assert again == passage
    assert passage != Passage(np.array([1.0, 2.0, np.inf]), passage.error)


def test_what_is_not_known_or_infinite_is_told_by_small_answers():
    told = str(Passage(np.inf, 0.0)), str(Passage(3.0, np.nan)), str(Passage(1e5, 1e-3))
    assert [text.splitlines()[0].split(": ")[1] for text in told] == [
        "infinite",
        "not known",
        "10^43429.45",
    ]
    assert "error: not known" in told[1]
    several = Passage(np.array([1.0, np.inf, 1e4]), np.array([1e-3, 0.0, 1e-2]))
    assert "time: 2.718, infinite, 10^4342.94\n" in str(several)


def test_powers_of_ten_stop_at_the_second_digit_of_a_standard_error():
    assert power_text(-13.834 * LN10, 1e-9, 7.7) == "10^-13.8"
    assert power_text(-13.834 * LN10, 1e-9, 0.05) == "10^-13.83"
    assert probability_text(-13.834 * LN10, 6, 1e-9, 77.0) == "10^-14"
    assert time_text(13.834 * LN10, 1e-9, of_sample=7.7) == "10^13.8"
    assert time_text(math.log(1234.5), 1e-9, of_sample=0.77) == "1200"


def test_a_saved_answer_says_where_its_law_and_its_numbers_are(tmp_path):
    analyze(Diffusion(lambda x: -x, 1.0, (-4, 4))).save(tmp_path / "a.json")
    saved = st.load(tmp_path / "a.json")
    with pytest.raises(
        AttributeError, match=r"'end_state': its law is \.law, and .*\.data: .*kind"
    ):
        saved.end_state  # noqa: B018
    with pytest.raises(AttributeError, match=r"'basins': it is \.data\['basins'\], as plain"):
        saved.basins  # noqa: B018
    assert copy.deepcopy(copy.copy(saved)) == saved
    assert not hasattr(saved, "__array__")


def test_what_is_written_to_a_file_is_not_given_back_too(tmp_path):
    """127 kB of text in a notebook; and to_html took no path."""
    found = analyze(Diffusion(lambda x: -x, 1.0, (-4, 4)))
    for write, name in ((found.to_csv, "a.csv"), (found.to_html, "a.html")):
        assert write(str(tmp_path / name)) is None
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(write()[:500])
    with pytest.raises(st.StationaryError, match="is no path"):
        found.to_html(3)
