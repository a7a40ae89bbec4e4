"""Noise added to the variance: closed forms, limits that do not commute, and words for both."""

from __future__ import annotations

import json
import math
import re

import mpmath
import numpy as np
import pytest
from scipy import stats

from stationary import Diffusion, Landscape, LandscapeError, analyze, end_state, regularisation_path
from stationary.functions.given import Boundary
from stationary.numbers.arithmetic import many_digits
from stationary.questions.regularisation.followed import law_of

INF = math.inf


def process(drift, variance, domain=(-3, 3), **more):
    return Diffusion(drift=drift, variance=variance, domain=domain, **more)


def traps(c):
    """f = (1 - x^2) (x + c) and a = (1 - x^2)^2: traps at -1 and 1, with a top at -c."""
    return process(lambda x: (1 - x * x) * (x + c), lambda x: (1 - x * x) ** 2, (-2, 2))


def gate():
    return process(lambda x: 1 - x, lambda x: x**2, (-INF, INF))


def shared_minimum():
    def losses(w):
        return (w - 1) ** 2, 2 * (w - 1) ** 2, (w - 1) ** 4

    return Landscape(losses=losses, learning_rate=0.05, domain=(-1, 4), name="shared")


# -- one value of eps -----------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [0, 1e-12, 1e-3, 2.0])
def test_noise_added_to_an_ornstein_uhlenbeck_process_adds_to_its_variance(eps):
    state = end_state(process(lambda x: -x, 1.0, (-INF, INF)), regularise=eps)
    assert state.var() == pytest.approx((1 + eps) / 2, rel=1e-13)


@pytest.mark.parametrize("eps", [1e-2, 1e-6, 1e-12])
@pytest.mark.parametrize("k", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("c", [0.0, 0.5, 1.0])
def test_a_trap_becomes_a_student_law(k, c, eps):
    """f = -k x and a = x^2 + eps: P ~ (x^2 + eps)^-(k + 1 - c), with nu = 2 (k - c) + 1."""
    convention = {0.0: "ito", 0.5: "stratonovich", 1.0: "klimontovich"}[c]
    trap = process(lambda x: -k * x, lambda x: x**2, (-INF, INF), convention=convention)
    state = end_state(trap, regularise=eps)
    nu = 2 * (k - c) + 1
    if nu <= 0:
        assert state.kind == "none"
        return
    law = stats.t(nu, scale=math.sqrt(eps / nu))
    x = math.sqrt(eps) * np.array([-30, -1, -0.1, 0.0, 0.3, 2])
    np.testing.assert_allclose(state.cdf(x), law.cdf(x), rtol=1e-11)


def test_many_digits_see_the_same_noise():
    many = many_digits(60)
    x = many.array(["0.3", "1e-30"])
    for base in (process(lambda x: -x, lambda x: x**2), shared_minimum().diffusion()):
        a = base.coefficients(x, many)[1]
        noisy = base.regularised(1e-20).coefficients(x, many)[1]
        assert all(
            abs(b - a - many.array([1e-20])[0]) < 1e-55 for a, b in zip(a, noisy, strict=True)
        )


def test_functions_in_doubles_only_work_too():
    def variance(x):
        return x * x if math.isfinite(x) else 0.0

    state = end_state(process(lambda x: -math.sin(x), variance, (-1, 1)), regularise=1e-4)
    assert state.kind == "density"


def test_no_noise_added_is_the_process_itself():
    base = gate()
    assert base.regularised(0) is base
    assert base.regularised(1e-3).regularised(2e-3).added == pytest.approx(3e-3)
    assert base.regularised(1e-3).regularised(1e-3).name == "unnamed, a + 0.002"


@pytest.mark.parametrize("eps", [-1e-6, math.nan, INF, "1e-6", None, True])
def test_what_is_no_variance_is_refused_with_an_example(eps):
    with pytest.raises(LandscapeError, match="such as 1e-6"):
        gate().regularised(eps)


@pytest.mark.parametrize(
    ("given", "then"),
    [
        (None, Boundary.REFLECTING),
        ("natural", Boundary.REFLECTING),
        ("absorbing", Boundary.ABSORBING),
    ],
)
def test_ends_where_the_noise_vanished_become_walls(given, then):
    genes = process(0.0, lambda x: x * (1 - x), (0, 1), boundaries=given)
    noisy = genes.regularised(1e-3)
    assert noisy.boundaries == (then, then)
    assert sum("the variance vanished at x = " in note for note in noisy.notes) == 2
    if given != "absorbing":
        assert end_state(noisy).kind == "density"


@pytest.mark.parametrize("eps", [1e-2, 1e-5, 1e-9])
def test_genes_without_mutation_get_a_closed_form(eps):
    """P ~ 1 / (x (1 - x) + eps) on (0, 1): its integral is an artanh."""
    state = end_state(process(0.0, lambda x: x * (1 - x), (0, 1)), regularise=eps)
    with mpmath.workdps(30):
        r = mpmath.sqrt(mpmath.mpf(1) / 4 + mpmath.mpf(eps))
        whole = 2 * mpmath.atanh(mpmath.mpf(1) / 2 / r)
        exact = float((whole / 2 - mpmath.atanh(mpmath.mpf("0.49") / r)) / whole)
    for mass in (state.cdf(0.01), state.sf(0.99)):
        assert abs(mass / exact - 1) < max(state.error, 1e-13)


def test_the_report_and_the_json_say_what_was_added():
    analysis = analyze(shared_minimum(), regularise=1e-3)
    assert analysis.landscape is not None
    assert analysis.end_state.kind == "density"
    text = analysis.summary()
    assert text.startswith("shared, a + 0.001\n")
    assert "a + 0.001 in place of a" in text
    assert "a second, independent source" in " ".join(text.split())
    assert analysis.to_dict()["process"]["regularise"] == 1e-3
    assert analyze(shared_minimum()).to_dict()["process"]["regularise"] == 0
    analysis.plot()


# -- the path -------------------------------------------------------------------------------------


def test_without_singular_points_the_limit_is_the_exact_answer():
    path = regularisation_path(process(lambda x: -x, 1.0, (-INF, INF)), np.geomspace(0.1, 1e-6, 6))
    assert path.outcome == "agrees"
    np.testing.assert_allclose(path.std, np.sqrt((1 + path.epsilons) / 2), rtol=1e-12)
    assert path.verdict.startswith("Agrees")


def test_a_single_trap_keeps_everything_within_the_root_of_eps():
    path = regularisation_path(process(lambda x: -x, lambda x: x**2, (-INF, INF)))
    assert path.outcome == "agrees"
    assert "goes as eps^0.5" in path.verdict
    half = stats.t(3).ppf(0.75) / math.sqrt(3)
    np.testing.assert_allclose(path.widths[:, 0], half * np.sqrt(path.epsilons), rtol=1e-5)
    assert path.epsilons[-1] < 1e-12


def test_equal_traps_share_equally_whatever_the_start():
    """From 0.3 the scale function of s = 1 - x^2 gives 0.71825 to the right, the limit 1/2."""
    epsilons = np.geomspace(1e-1, 1e-6, 6)
    open_start = regularisation_path(traps(0.0), epsilons)
    assert open_start.outcome == "differs"
    assert "depending on where it starts" in open_start.verdict
    assert "(they are equal)" in open_start.verdict
    assert open_start.exact_masses == (None, None)
    started = regularisation_path(traps(0.0), epsilons, initial=0.3)
    assert started.outcome == "differs"
    assert started.exact_masses[1] == pytest.approx((0.3 - 0.009 + 2 / 3) / (4 / 3), abs=1e-8)
    for path in (open_start, started):
        assert (np.abs(path.masses[:, 0] - 0.5) <= path.errors[:, 0]).all()


def test_a_start_that_happens_to_share_as_the_limit_does_agrees():
    path = regularisation_path(traps(0.0), np.geomspace(1e-1, 1e-6, 6), initial=0.0)
    assert path.outcome == "agrees"


def test_of_unequal_traps_the_limit_picks_one_by_a_power_of_eps():
    """Near the traps f / a = (1 +- c) / 2 / r: their ratio goes as eps^c."""
    c = 0.2
    path = regularisation_path(traps(c), np.geomspace(1e-2, 1e-11, 10))
    assert path.outcome == "differs"
    light, heavy = path.laws
    assert (light.kind, heavy.kind) == ("power", "settles")
    assert light.rate == pytest.approx(c, abs=0.01)
    assert "goes as -0.2 log(1/eps)" in path.verdict


@pytest.mark.parametrize("k", [0, 2, 4])
def test_masses_of_unequal_traps_are_right_within_their_errors(k):
    """int 2 f / (a + eps) = -log(u^2 + eps) / 2 + 2 c Re(log((q + x) / (q - x)) / (2 q)),
    with u = 1 - x^2 and q^2 = 1 + i sqrt(eps)."""
    c = 0.2
    path = regularisation_path(traps(c), np.geomspace(1e-2, 1e-6, 5))
    eps = float(path.epsilons[k])
    with mpmath.workdps(20):
        q = mpmath.sqrt(1 + 1j * mpmath.sqrt(eps))

        def density(x):
            odd = ((mpmath.log(q + x) - mpmath.log(q - x)) / (2 * q)).real
            return ((1 - x * x) ** 2 + eps) ** -1.5 * mpmath.exp(2 * c * odd)

        near = [mpmath.sqrt(eps) * 4**j for j in range(9) if 4**j * mpmath.sqrt(eps) < 0.5]
        right = [-c, *(1 - r for r in reversed(near)), 1, *(1 + r for r in near), 2]
        left = [-2, *(-1 - r for r in reversed(near)), -1, *(-1 + r for r in near), -c]
        weights = mpmath.quad(density, left), mpmath.quad(density, right)
        exact = [float(mpmath.log(w / sum(weights))) for w in weights]
    assert (np.abs(path.log_masses[k] - exact) <= path.errors[k]).all()


def test_across_a_repelling_rest_point_the_limit_has_shares_of_its_own():
    """f = x (1 + 2 b x - x^2) / 1, a = x^2: across 0 the exponent is finite (its odd part
    cancels), and the limit is P ~ exp(4 b x - x^2) on both sides."""
    b = 0.15
    path = regularisation_path(process(lambda x: x * (1 + 2 * b * x - x * x), lambda x: x**2))
    assert path.outcome == "differs"
    low, middle, high = stats.norm(2 * b, math.sqrt(0.5)).cdf([-3, 0, 3])
    assert path.masses[-1, 0] == pytest.approx((middle - low) / (high - low), abs=1e-7)
    assert path.laws[0].kind == "settles"
    ratio = math.log((middle - low) / (high - middle))
    assert abs(path.laws[0].value - ratio) <= path.laws[0].error
    assert "0.335708" in path.verdict
    equal = regularisation_path(process(lambda x: x - x**3, lambda x: x**2))
    assert "(they are equal)" in equal.verdict


def test_what_leaks_back_through_a_gate_is_beyond_all_powers():
    """P ~ cos^2(t) exp(k t) in x = sqrt(eps) tan t, with k = 2 / sqrt(eps)."""
    path = regularisation_path(gate(), np.geomspace(1e-1, 1e-6, 6))
    assert path.outcome == "agrees"
    assert [p.kind for p in path.basins] == ["transient", "minimum"]
    assert path.exact_masses == (0, 1)
    with mpmath.workdps(40):
        for eps, log_mass, error in zip(
            path.epsilons, path.log_masses[:, 0], path.errors[:, 0], strict=True
        ):
            k = 2 / mpmath.sqrt(mpmath.mpf(eps))
            end = 2 / (k * (k * k + 4))
            fall = mpmath.exp(-k * mpmath.pi / 2)
            middle = 1 / (2 * k) + k / (2 * (k * k + 4))
            exact = (middle - fall * end) / (end / fall - fall * end)
            assert abs(log_mass - float(mpmath.log(exact))) <= error
    law = path.laws[0]
    assert (law.kind, law.vanishes) == ("beyond", True)
    assert law.rate == pytest.approx(0.5, abs=0.02)
    assert "goes about as exp(-3.1 eps^-0.5)" in path.verdict


def test_a_minimum_shared_by_all_datapoints_agrees():
    path = regularisation_path(shared_minimum())
    assert path.outcome == "agrees"
    assert [(p.kind, p.position, p.exact) for p in path.basins] == [("trap", 1.0, 1.0)]


def test_a_trap_at_an_unstable_equilibrium_is_followed_in_a_window():
    """f = 0.4 x: P ~ (x^2 + eps)^-0.6, so what is outside goes as eps^0.1, ever so slowly."""
    path = regularisation_path(process(lambda x: 0.4 * x - x**3 / 4, lambda x: x**2))
    assert [p.kind for p in path.basins] == ["minimum", "trap", "minimum"]
    assert path.exact_masses == (0, 1, 0)
    assert path.outcome == "agrees"
    assert path.laws[0].rate == pytest.approx(0.1, abs=0.02)


def test_genes_forget_where_they_started():
    path = regularisation_path(process(0.0, lambda x: x * (1 - x), (0, 1)), initial=0.3)
    assert path.outcome == "differs"
    assert [p.kind for p in path.basins] == ["trap", "transient", "trap"]
    assert path.exact_masses == pytest.approx((0.7, 0, 0.3))
    selected = regularisation_path(process(lambda x: x * (1 - x), lambda x: x * (1 - x), (0, 1)))
    assert selected.outcome == "differs"
    assert "tends to -2." in selected.verdict  # the exponent between the two ends: -2 s
    assert "is not decided" in selected.verdict  # windows fill as slowly as 1 / log(1/eps)


def test_where_there_is_no_end_state_the_limit_is_said_to_gather_or_not():
    def brownian(rate):
        return process(lambda x: rate * x, lambda x: x * x, (0, INF))

    down = regularisation_path(brownian(0.1))  # ever closer to 0, an atom of the limit law
    assert (down.outcome, down.exact_masses) == ("agrees", (1, 0))
    assert "Half of the mass near x = 0 lies within 3.93e-13 of it" in down.verdict
    assert "goes as eps^0.5" in down.verdict
    up = regularisation_path(brownian(0.6))
    assert set(up.kinds) == {"none"}
    assert "there is none either" in up.verdict
    critical = regularisation_path(process(lambda x: x - x**3, lambda x: 2 * x**2))
    assert critical.outcome == "none"
    assert "goes as eps^0.25" in critical.verdict  # P ~ (x^2 + eps)^-1/2: the median of log|x|
    assert "not decided" in critical.verdict


def test_few_values_of_eps_decide_nothing():
    path = regularisation_path(traps(0.2), [1e-3, 1e-2])
    assert path.outcome == "not decided"
    assert list(path.epsilons) == [1e-2, 1e-3]


def test_absorbing_walls_leave_the_start_in_force():
    path = regularisation_path(process(0.0, 1.0, (0, 1), boundaries="absorbing"))
    assert path.outcome == "not decided"
    started = regularisation_path(process(0.0, 1.0, (0, 1), boundaries="absorbing"), initial=0.3)
    assert started.outcome == "agrees"


@pytest.mark.parametrize("epsilons", [[], [0.0], [1e-3, -1], [math.nan], "1e-3", [None]])
def test_bad_sequences_are_refused(epsilons):
    with pytest.raises(LandscapeError, match="1e-"):
        regularisation_path(gate(), epsilons)


# -- laws -----------------------------------------------------------------------------------------

EPS = 10.0 ** -np.arange(1, 13)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (-0.7 + 0 * EPS, "settles"),
        (-0.7 + EPS**0.5, "settles"),
        (0.3 * np.log(EPS), "power"),
        (-2.0 * EPS**-0.5 + np.log(EPS), "beyond"),
        (-0.7 + EPS**0.1, "settles"),
        (1 / np.log(EPS), "unclear"),  # a limit that is approached too slowly to tell
        (np.log(-np.log(EPS)), "unclear"),
        ((-1.0) ** np.arange(12), "unclear"),
        (np.where(EPS < 1e-11, np.nan, 1.0), "unclear"),
    ],
)
def test_a_law_is_claimed_only_where_the_last_steps_agree(values, kind):
    law = law_of(EPS, values, np.full(12, 1e-13))
    assert law.kind == kind
    if kind == "settles":
        assert abs(law.value + 0.7) <= law.error


# -- words, numbers, figure, command line -------------------------------------------------------


@pytest.mark.parametrize("start", [None, 0.3])
def test_the_summary_fits_and_the_numbers_are_json(start, tmp_path):
    path = regularisation_path(traps(0.2), np.geomspace(1e-2, 1e-6, 5), start)
    assert max(map(len, path.summary().splitlines())) <= 80
    data = json.loads(json.dumps(path.to_dict(), allow_nan=False))
    assert data["outcome"] == path.outcome
    assert len(data["log_masses"]) == 5
    (axes,) = path.plot(tmp_path / "path.png").axes
    assert (start is not None) == ("exact" in axes.get_xlabel())
    assert (tmp_path / "path.png").stat().st_size > 5000
    assert "5 values of eps" in repr(path)


@pytest.fixture(name="file")
def _file(tmp_path):
    path = tmp_path / "gate.py"
    path.write_text(
        "print('hello')\ndomain = (-3, 3)\ndef drift(x):\n    return 1 - x\n"
        "def variance(x):\n    return x**2\n"
    )
    return path


def test_the_command_prints_the_path(run, file, tmp_path):
    figure = tmp_path / "path.svg"
    code, out, err = run("regularise", file, "--eps", "1e-1:1e-5:5", "--plot", figure)
    assert (code, err.strip()) == (0, "hello")
    assert "Agrees" in out
    assert figure.exists()
    code, out, _ = run("regularise", file, "--eps", "1e-1:1e-5:5", "--json")
    assert code == 0
    np.testing.assert_allclose(json.loads(out)["epsilons"], 10.0 ** -np.arange(1.0, 6))


def test_analyze_takes_noise_to_add(run, file):
    code, out, _ = run("analyze", file, "--regularise", "1e-3")
    assert code == 0
    assert "a + 0.001" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["regularise", "--eps", "1e-1:1e-3"],
        ["regularise", "--eps", "1:0:3"],
        ["regularise", "--eps", "1e-1:1e-3:0"],
        ["regularise", "--plot", "figure.gif"],
        ["analyze", "--regularise", "-1"],
    ],
)
def test_a_mistake_is_code_1_with_a_message(run, file, arguments):
    code, out, err = run(arguments[0], file, *arguments[1:])
    assert (code, out) == (1, "")
    assert "stationary: " in err
    assert "Traceback" not in err


def test_a_state_that_gathers_at_the_ends_is_seen_to_gather_there():
    """f = 0 and a = (1 - x^2)^2: P ~ 1 / (a + eps) is even, half of it next to either end."""
    process = Diffusion(drift=0.0, variance=lambda x: (1 - x * x) ** 2, domain=(-1, 1))
    path = regularisation_path(process, 10.0 ** -np.arange(2, 9), initial=0.2)
    assert "does not gather" not in path.verdict
    assert "the point x = -1 0.5, the point x = 1 0.5 (they are equal)" in path.verdict
    assert path.outcome == "differs"  # from 0.2 it ends at the ends with 0.4 and 0.6
    assert "goes as eps^0.5" in path.verdict


def test_noise_less_than_doubles_hold_is_refused():
    with pytest.raises(LandscapeError, match="less than any double with all its digits"):
        Diffusion(drift=np.sin, variance=np.abs, domain=(-2.5, 2)).regularised(5e-324)


@pytest.mark.parametrize("eps", [1e-13, 1e-15])
def test_a_peak_on_either_side_of_a_jump_is_followed(eps):
    """Noise ends at -1 and 1, and the drift leads back: a layer eps wide holds a P / (2 f)."""
    inside = Diffusion(
        drift=lambda x: -np.sign(x) * np.where(np.abs(x) < 1, 1.0, 3.0),
        variance=lambda x: np.where(np.abs(x) < 1, 0.5, 0.0),
        domain=(-3, 3),
        breakpoints=[-1, 0, 1],
    )
    state = end_state(inside, regularise=eps)
    # P = e^(-4 |x|) up to a norm, so that a layer holds e^-4 / 12, up to eps of it
    layer = math.exp(-4) / 12
    exact = math.log(layer / (2 * layer + (1 - math.exp(-4)) / 2))
    for side in ((-3, -1), (1, 3)):
        off = abs(state.log_probability(*side) - exact)
        assert off < state.log_probability_error(*side) + 20 * eps
    assert state.log_probability_error(-3, -1) < 1e-13
    # ... which the exact answer leaves out, and says so
    (note, _) = end_state(inside).notes
    rest = 2 * math.exp(-4) / (1 - math.exp(-4)) / 12
    assert "-1 the process is taken as turned back at once (an assumption)." in note
    assert f"rest there for {rest:.1g} of the time" in note


@pytest.mark.parametrize(("drift", "side"), [(1.0, 1), (lambda x: 1.5 - x, 1), (-1.0, -1)])
def test_a_density_that_is_pressed_against_a_wall_is_the_limit_all_the_same(drift, side):
    """On one side of a gate everything ends in one density: "differs" was said."""
    process = Diffusion(drift=drift, variance=lambda x: x * x, domain=(-1, 1))
    path = regularisation_path(process, [1e-2, 1e-3, 1e-4, 1e-5])
    assert path.outcome == "agrees"
    assert path.exact_masses[side > 0] == pytest.approx(1)
    assert path.mean[-1] == pytest.approx(path.exact.mean(), abs=1e-4)


@pytest.mark.parametrize(("centre", "unit"), [(0.0, 1.0), (1000.0, 1.0), (100.0, 1e-9)])
def test_widths_are_known_well_enough_to_see_that_they_agree(centre, unit):
    """Beside a gate: those of a grid, 1e-7 apart, were taken for others than the exact one."""
    process = Diffusion(
        lambda x: unit * (1 - (x / unit - centre)),
        lambda x: (x - unit * centre) ** 2,
        (unit * (centre - 1), unit * (centre + 2)),
    )
    found = regularisation_path(process, [unit**2 * 10.0**-k for k in range(2, 9)])
    assert found.outcome == "agrees"


def test_a_path_that_is_interrupted_keeps_what_was_done():
    def stop(done, total):
        if done == 3:
            raise KeyboardInterrupt

    flat = Diffusion(lambda x: -x, lambda x: x**2 / 4, (-2, 2))
    whole = regularisation_path(flat, [1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
    found = regularisation_path(flat, [1e-1, 1e-2, 1e-3, 1e-4, 1e-5], progress=stop)
    assert found.interrupted
    assert not whole.interrupted
    assert len(found.epsilons) == 3
    np.testing.assert_array_equal(found.mean, whole.mean[:3])
    assert "It was interrupted." in found.summary()
    with pytest.raises(KeyboardInterrupt):
        regularisation_path(flat, [1e-1], progress=lambda done, total: stop(3, total))


def test_means_of_a_path_have_errors_that_are_true_and_are_told():
    """-x + 1 and a = x^2 / 5 + eps: the mean is 1 whatever eps."""
    path = regularisation_path(
        Diffusion(lambda x: 1 - x, lambda x: x * x / 5, (-np.inf, np.inf)), [1e-1, 1e-3, 1e-5]
    )
    assert (np.abs(path.mean - 1) <= path.mean_error).all()
    assert (path.mean_error < 1e-10).all()
    assert path.to_dict()["mean_error"] == path.mean_error.tolist()
    assert (path.std_error > 0).all()
    assert path.to_frame()["std_error"].tolist() == path.std_error.tolist()
    text = " ".join(str(path).split())
    assert f"Errors of the mean are at most {path.mean_error.max():.0e}." in text


def test_rows_that_show_what_those_around_them_show_are_not_printed():
    """24 rows of which 20 were the same to the last digit."""
    path = regularisation_path(
        Diffusion(lambda x: -x, lambda x: 1.0 + 0 * x, (-4, 4)), np.geomspace(1e-3, 1e-12, 10)
    )
    said = str(path)
    rows = re.findall(r"^ +(0\.0*1|1e-\d\d|exact) ", said, re.MULTILINE)
    assert rows[0] == "0.001"
    assert rows[-2:] == ["1e-12", "exact"]
    left = 11 - len(rows)
    assert left > 1
    assert f"{left} rows are left out, between others that show the same" in " ".join(said.split())
    assert len(path.to_csv().splitlines()) == 11
