"""Where a process starts: what may be given, its expectations, and what is refused."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest
import scipy.stats as st
from scipy.special import erf, expit, gamma, ndtr

from stationary import Diffusion, Landscape, LandscapeError, analyze, end_state, load
from stationary.process.initial import Initial
from stationary.process.laws import Given, Truncated

LINE = (-math.inf, math.inf)


def start(given, domain=(-1, 4), **options):
    return Initial.of(given, domain=domain, name="pit.py", **options)


def check(given, function, exact, cuts=(), domain=(-1, 4), within=1e-12):
    """The expectation is right to within its error, and the error is worth something."""
    value, error = start(given, domain).expectation(function, cuts)
    assert np.abs(value - exact).max() <= error <= within
    return value


# Laws, against closed forms.


@pytest.mark.parametrize("given", ["normal:0.5,0.175", st.norm(0.5, 0.175)])
@pytest.mark.parametrize("domain", [(0.4, 0.9), (0.5, 2), (-1, 0.45), (1.2, 3), (-3, -0.2), LINE])
def test_the_mean_of_a_truncated_normal_is_its_closed_form(given, domain):
    """E X = m + s (phi(a) - phi(b)) / (Phi(b) - Phi(a)), a and b the ends in deviations."""
    with mpmath.workdps(50):
        a, b = ((mpmath.mpf(end) - 0.5) / 0.175 for end in domain)
        mass = (mpmath.erf(b / mpmath.sqrt(2)) - mpmath.erf(a / mpmath.sqrt(2))) / 2
        exact = 0.5 + 0.175 * (mpmath.npdf(a) - mpmath.npdf(b)) / mass
    check(given, lambda x: x, float(exact), domain=domain)


@pytest.mark.parametrize("given", ["uniform:0,3", st.uniform(0, 3)])
def test_a_smooth_hitting_probability_under_a_uniform_law(given):
    """The mean of 1 - e^-2x over (0, 3) is 1 - (1 - e^-6) / 6."""
    check(given, lambda x: 1 - np.exp(-2 * x), 1 + math.expm1(-6) / 6)


def test_all_classes_come_at_once_and_add_up_to_one():
    value = check(
        "uniform:0,1",
        lambda x: np.stack([x**2, x - x**2, 1 - x]),
        [1 / 3, 1 / 6, 1 / 2],
    )
    assert value.shape == (3,)
    assert abs(value.sum() - 1) < 1e-15


def test_a_jump_at_a_cut_costs_nothing():
    values, error = start("normal:0,1", LINE).expectation(lambda x: np.where(x < 1, 0.25, 1), [1.0])
    assert abs(values[0] - (0.25 * ndtr(1) + ndtr(-1))) <= error < 1e-14


def test_a_jump_where_there_is_no_cut_is_found_all_the_same():
    check("uniform:0,1", lambda x: (x > 0.3) * 1.0, 0.7)


@pytest.mark.parametrize("power", [0.01, 0.1, 0.5, 1.5])
def test_a_power_at_a_cut_is_integrated(power):
    """The mean of |x - 0.3|^p over (0, 1): (0.3^(p+1) + 0.7^(p+1)) / (p + 1)."""
    exact = (0.3 ** (power + 1) + 0.7 ** (power + 1)) / (power + 1)
    check("uniform:0,1", lambda x: np.abs(x - 0.3) ** power, exact, [0.3])


@pytest.mark.parametrize("place", [0.5, 0.5 + 3e-7, 0.25, 0.123456, 1 / 3])
@pytest.mark.parametrize("width", [1e-6, 1e-9])
def test_a_switch_narrower_than_any_panel_is_found(place, width):
    """Also at and beside the places where panels meet, which see nothing of it themselves."""
    check("uniform:0,1", lambda x: expit((x - place) / width), 1 - place)


@pytest.mark.parametrize("width", [1e-3, 1e-6, 1e-9])
def test_a_switch_close_to_a_cut_is_found(width):
    """The mean of e^(-|x - 1/2| / s) over (0, 1) is 2 s, but for e^(-1 / 2s)."""
    check("uniform:0,1", lambda x: np.exp(-np.abs(x - 0.5) / width), 2 * width, [0.5], within=1e-13)


def test_infinite_domains_and_both_tails():
    """E e^(-x^2) = 1 / sqrt(3) and E e^-|x| = 2 e^(1/2) Phi(-1), which has a kink at its cut."""
    check("normal:0,1", lambda x: np.exp(-(x**2)), 1 / math.sqrt(3), domain=LINE)
    exact = 2 * math.exp(0.5) * ndtr(-1)
    check("normal:0,1", lambda x: np.exp(-np.abs(x)), exact, [0.0], domain=LINE)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_domain_far_out_in_a_tail_keeps_its_digits(sign):
    """Beyond 5 deviations E e^-|x| = e^(1/2) Phi(-6) / Phi(-5)."""
    domain = (5, math.inf) if sign > 0 else (-math.inf, -5)
    with mpmath.workdps(40):
        exact = mpmath.exp(0.5) * mpmath.ncdf(-6) / mpmath.ncdf(-5)
    begin = start("normal:0,1", domain)
    value, error = begin.expectation(lambda x: np.exp(-np.abs(x)), [sign * 5.5])
    assert abs(value[0] - float(exact)) <= error < 1e-12
    assert begin.between(-6, 6) == pytest.approx(1 - ndtr(-6) / ndtr(-5), abs=1e-14)


def test_a_heavy_tail_is_integrated():
    """Under a Cauchy law P(|X| > 3) = 1 - (2 / pi) arctan 3."""
    exact = 1 - 2 / math.pi * math.atan(3)
    check(st.cauchy(), lambda x: (np.abs(x) > 3) * 1.0, exact, [-3, 3], domain=LINE)


@pytest.mark.parametrize("shape", [(0.5, 0.5), (2, 3), (0.2, 4)])
def test_beta_laws_that_pile_up_at_their_ends(shape):
    """E X^q = B(a + q, b) / B(a, b)."""
    a, b = shape
    exact = gamma(a + 0.1) * gamma(a + b) / gamma(a) / gamma(a + b + 0.1)
    check(st.beta(a, b), lambda x: np.abs(x) ** 0.1, exact, [0.0])


def test_a_law_with_a_gap_and_one_whose_density_jumps():
    counts, edges = np.array([1, 0, 3]), np.array([0.0, 1, 2, 3])
    check(st.rv_histogram((counts, edges)), lambda x: x / 3, (0.5 + 3 * 2.5) / 12)


def test_very_many_cuts_are_affordable():
    cuts = np.linspace(0, 1, 402)[1:-1]
    step = np.searchsorted
    exact = np.mean(np.arange(401) % 2)
    check("uniform:0,1", lambda x: (step(cuts, x) % 2) * 1.0, exact, cuts)


def test_noise_in_the_function_ends_up_in_the_error():
    value, error = start("uniform:0,1").expectation(
        lambda x: (x > 0.3) + 1e-10 * np.sin(1e12 * x), []
    )
    assert abs(value[0] - 0.7) <= error < 1e-9


class Mixed:
    """A quarter at 1 and the rest evenly over (0, 2): a law with an atom in it."""

    def cdf(self, x):
        return 0.75 * np.clip(np.asarray(x) / 2, 0, 1) + 0.25 * (np.asarray(x) >= 1)

    def ppf(self, u):
        u = np.asarray(u)
        return np.where(u <= 0.375, u, np.where(u <= 0.625, 0.375, u - 0.25)) / 0.375

    def rvs(self, size):
        return self.ppf(np.random.default_rng(1).uniform(size=size))


@pytest.mark.parametrize("domain", [(-1, 4), (0, 1), (1, 2), (1, 1.5)])
def test_an_atom_in_a_law_has_the_value_at_the_cut(domain):
    lower, upper = max(domain[0], 0), min(domain[1], 2)
    mass = 0.375 * (upper - lower) + 0.25
    begin = start(Mixed(), domain)
    value, error = begin.expectation(lambda x: (x == 1) * 1.0, [1.0])
    assert abs(value[0] - 0.25 / mass) <= error < 1e-13
    assert begin.mass_at(1) == pytest.approx(0.25 / mass, abs=1e-15)
    assert begin.between(1, 1.25) == pytest.approx(
        0.375 * 0.25 / mass if upper > 1 else 0, abs=1e-15
    )
    draws = begin.rvs(4000, 1)
    assert abs(np.mean(draws == 1) - 0.25 / mass) < 0.04


def test_the_end_state_of_another_process_is_a_start():
    """The stationary density of dx = -x dt + dB is normal with variance 1/2: E e^(-x^2)."""
    state = end_state(Diffusion(drift=lambda x: -x, variance=1, domain=LINE))
    value, _ = start(state, LINE).expectation(lambda x: np.exp(-(x**2)), [])
    assert value[0] == pytest.approx(1 / math.sqrt(2), abs=1e-12)


def test_probabilities_and_draws_of_a_law():
    begin = start("normal:0.5,0.175", (0.4, 0.9))
    z = [(b - 0.5) / 0.175 / math.sqrt(2) for b in (0.4, 0.6, 0.9)]
    exact = (erf(z[1]) - erf(z[0])) / (erf(z[2]) - erf(z[0]))
    assert begin.between(0, 0.6) == pytest.approx(exact, rel=1e-14)
    assert begin.between(-1, 4) == 1
    assert begin.between(0.6, 0.6) == begin.between(0.7, 0.6) == begin.mass_at(0.6) == 0
    draws = begin.rvs((40, 100), np.random.default_rng(1))
    assert draws.shape == (40, 100)
    assert (draws.min() >= 0.4) & (draws.max() <= 0.9)
    assert abs(np.mean(draws < 0.6) - exact) < 4 * math.sqrt(exact * (1 - exact) / 4000)


def test_both_tails_of_a_start_keep_their_digits():
    law = start("normal:0,1", (-3, math.inf))
    held = st.norm.sf(-3)
    assert law.sf(9.0) == pytest.approx(st.norm.sf(9) / held, rel=1e-13)
    assert law.cdf(-3.0) == pytest.approx(0, abs=1e-16)
    x = np.array([-4, -3, 0, 2, math.inf])
    np.testing.assert_allclose(law.cdf(x) + law.sf(x), 1, rtol=1e-14)
    few = start([1.0, 2.0, 2.0, 3.0])
    assert few.sf([0, 1, 1.5, 2, 3]).tolist() == [1, 0.75, 0.75, 0.25, 0]
    assert np.isnan(few.sf(math.nan))


def test_a_law_is_cut_to_the_domain_and_says_so():
    begin = start("normal:0.5,0.175", variable="w")
    assert begin.text == "normal with mean 0.5 and deviation 0.175, truncated to (-1, 4)"
    assert repr(begin) == f"<Initial: {begin.text}>"
    assert begin.notes == ()  # 1e-17 of it lies outside
    (note,) = start("normal:0,1", (-1, 4)).notes
    assert note.startswith("0.159 of the start (normal with mean 0 and deviation 1) lies outside")
    assert start("normal:0,1", LINE).text == "normal with mean 0 and deviation 1"
    assert start("uniform:0,1").text == "uniform between 0 and 1"
    assert start(st.beta(2, 3)).text == "the distribution beta(2, 3)"
    assert start(st.norm(loc=3, scale=1)).text.endswith(
        "norm(loc=3, scale=1), truncated to (-1, 4)"
    )


# Points.


@pytest.mark.parametrize(
    "given", [0.25, "0.25", " 2.5e-1 ", np.float64(0.25), np.float32(0.25), np.array(0.25)]
)
def test_a_point_is_a_point_however_it_is_written(given):
    begin = start(given, variable="w")
    assert (begin.text, begin.point, begin.exact) == ("w = 0.25", 0.25, None)
    value, error = begin.expectation(lambda x: np.stack([x, 1 - x]), [0.25])
    assert (value.tolist(), error) == ([0.25, 0.75], 0)
    assert (begin.mass_at(0.25), begin.between(0, 0.25), begin.between(0, 1)) == (1, 0, 1)
    assert begin.rvs(3, 1).tolist() == [0.25] * 3
    assert begin.standard_error(lambda x: x) is None


def test_whole_numbers_and_ends_of_the_domain_are_points():
    assert start(1).point == 1
    assert (start(-1).point, start("4").point) == (-1, 4)


@pytest.mark.parametrize(
    "exact", [mpmath.mpf(1) / 3, Fraction(1, 3), mpmath.MPContext().mpf(10) ** -40]
)
def test_a_number_that_no_double_holds_is_kept(exact):
    begin = start(exact)
    assert begin.exact is exact
    assert begin.point == float(exact)


def test_a_decimal_longer_than_a_double_is_kept():
    assert start("0.1234567890123456789").exact == Fraction("0.1234567890123456789")
    assert start("0.1").exact is None  # the double, as 0.1 is in Python


# Samples and other sets of points.


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_samples_are_averaged_exactly(kind):
    begin = start(kind([0.5, 2.0, 0.5, 1.0]))
    assert (begin.text, begin.samples, begin.point) == ("4 samples given as numbers", 4, None)
    value, error = begin.expectation(lambda x: np.stack([x, x <= 1]), [1.0])
    assert (value.tolist(), error) == ([1.0, 0.75], 0)
    assert (begin.mass_at(0.5), begin.between(0.5, 2)) == (0.5, 0.25)
    assert set(begin.rvs(100, 1)) == {0.5, 1.0, 2.0}


def test_the_standard_error_of_samples_is_that_of_their_mean():
    points = np.random.default_rng(2).normal(1, 0.3, 70_000)  # more than one chunk
    points = points[(points > -1) & (points < 4)]
    begin = start(points)
    value, _ = begin.expectation(lambda x: np.stack([x, x > 1.2]), [1.2])
    np.testing.assert_allclose(value, [points.mean(), np.mean(points > 1.2)], rtol=1e-13)
    np.testing.assert_allclose(
        begin.standard_error(lambda x: np.stack([x, x > 1.2])),
        [st.sem(points), st.sem(points > 1.2)],
        rtol=1e-10,
    )
    assert start([0.5]).standard_error(lambda x: x) == [np.inf]


@pytest.mark.parametrize(
    ("given", "mean"),
    [
        (st.bernoulli(0.3), 0.3),
        (st.binom(3, 0.25), 0.75),
        (st.binom(3, 0.25, loc=0.5), 1.25),
        (st.rv_discrete(values=([0.125, 0.5, 3.7], [0.2, 0.5, 0.3]))(), 1.385),
        (st.randint(0, 4), 1.5),
    ],
)
def test_discrete_distributions_are_sums_over_their_values(given, mean):
    begin = start(given)
    value, error = begin.expectation(lambda x: x, [])
    assert error == 0
    assert value[0] == pytest.approx(mean, abs=1e-14)
    assert begin.samples == 0


def test_a_discrete_distribution_without_end_is_summed_to_rounding():
    begin = start(st.poisson(0.7), (0, 100))
    value, _ = begin.expectation(lambda x: 0.5**x, [])
    assert value[0] == pytest.approx(math.exp(-0.35), abs=1e-14)
    assert begin.mass_at(0) == pytest.approx(math.exp(-0.7), abs=1e-14)
    assert begin.text == "the distribution poisson(0.7)"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.txt", "0.5\n1.5 # late\n\n# none\n-0.5\n"),
        ("s.txt", "0.5 1.5\t-0.5"),
        ("s.csv", "w0\n0.5\n1.5\n-0.5\n"),
        ("s.csv", "# made by hand\n0.5, 1.5,\n-0.5"),
        ("s.csv", "\ufeff0.5\r\n1.5\r\n-0.5\r\n"),
    ],
)
def test_files_of_samples(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    for given in (tmp_path / name, str(tmp_path / name)):
        begin = start(given)
        assert begin.text == f"3 samples from {name}"
        assert begin.points.tolist() == [-0.5, 0.5, 1.5]


def test_an_array_file_and_relative_names(tmp_path, monkeypatch):
    np.save(tmp_path / "s.npy", np.array([1, 2, 3]))
    assert start("s.npy", folder=tmp_path).points.tolist() == [1, 2, 3]
    monkeypatch.chdir(tmp_path)
    assert start("s.npy").text == "3 samples from s.npy"
    assert start(Path("s.npy")).samples == 3


# What cannot be meant.


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (7, "pit.py: initial = 7 lies outside the domain (-1, 4). Start inside, as in initial"),
        ("-1.5", "'-1.5' lies outside"),
        (math.nan, "not a finite number"),
        ("inf", "not a finite number"),
        (True, "is no start"),
        (1 + 2j, "is no start"),
        ({"mean": 1}, "is no start"),
        (lambda x: x, "is no start. Give a point (0.3)"),
        ("", "is empty"),
        ("normal:0.5", "needs two finite numbers, its mean and its deviation, but '0.5' came"),
        ("normal:", 'Write them as in "normal:0.5,0.175"'),
        ("normal:0.5,0.1,3", "needs two finite numbers"),
        ("normal:0.5,nan", "needs two finite numbers"),
        ("normal:0.5,-0.1", "the deviation must be positive, but it is -0.1"),
        ("normal:0.5,0", "to start at a point, write initial = 0.5"),
        ("normal:90,0.1", "lies outside the domain (-1, 4): only 0 of it is inside"),
        ("norml:0,1", 'Did you mean "normal:0.5,0.175"?'),
        ("gaussian:0,1", 'Did you mean "normal:0.5,0.175"?'),
        ("Unifrom:0,1", 'Did you mean "uniform:0,1"?'),
        ("gamma:0,1", "names no law that is known here. A start is a point"),
        ("normal(0,1)", 'Did you mean "normal:0.5,0.175"?'),
        ("uniform:0,5", 'reaches outside the domain (-1, 4). Keep it inside, as in "uniform:0.25,'),
        ("uniform:1,0", "the lower end comes first, but 1 is not below 0"),
        ("uniform:-inf,0", "its two ends"),
        ("0,3", "there is no file 0,3 in"),
        ([], "has no samples in it"),
        ([0.5, math.nan, math.inf], "2 of the 3 samples are not finite; the first is nan at index"),
        ([0.5, 7, 9], "2 of the 3 samples lie outside the domain (-1, 4); the first is 7 at index"),
        ([0.5, "0.7"], "'0.7' (index 1) is not a real number"),
        ([0.5, True], "True (index 1) is not a real number"),
        (np.zeros((2, 3)), "has the shape (2, 3)"),
        (np.zeros(2, complex), "is not a real number"),
        (st.norm(0, -1), "is not a distribution"),
        (st.beta, "Give a distribution with all its parameters, as in scipy.stats.beta(2, 3)"),
        (st.norm([0.1, 0.2], 1), "not one distribution but several"),
        (st.norm([0.1] * 5, 1), "not one distribution but several"),
        (st.uniform(5, 6), "only 0 of it is inside"),
        (st.bernoulli(0.3, loc=4), "0.3 of it lies outside the domain (-1, 4), such as that at 5"),
        (st.bernoulli(1.3), "bernoulli(1.3) cannot be used: its parameters are not allowed"),
        (st.zipf(2.5), "zipf(2.5) cannot be used: its values reach from 1 to inf"),
    ],
)
def test_what_cannot_be_meant_is_refused(given, words):
    with pytest.raises(LandscapeError) as caught:
        start(given)
    message = str(caught.value)
    assert message.startswith("pit.py: initial = ")
    assert words in message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("s.txt", b"", "the file is empty. Write one number per line"),
        ("s.txt", b"# only words\n", "the file has no numbers in it"),
        ("s.txt", b"0.5\nabc\n", "line 2: 'abc' is not a number"),
        ("s.txt", b"start\n0.5\n", "line 1: 'start' is not a number"),
        ("s.csv", b"w\nv\n0.5\n", "line 2: 'v' is not a number"),
        ("s.csv", b"0,5;0,7\n", "Write decimal points"),
        ("s.csv", b"run,w\n1,0.5\n", "line 1: there are 2 columns (run, w)"),
        ("s.txt", b"0.5\n\nnan\n", "1 of the 2 samples is not finite; the first is nan in line 3"),
        (
            "s.txt",
            b"0.5\n\n8\n",
            "1 of the 2 samples lies outside the domain (-1, 4); the first is",
        ),
        ("s.txt", b"\xff\xfe0\x00", "not text in UTF-8"),
        ("s.npy", b"0.5\n", "not an array of numbers"),
        ("s.npy", b"", "not an array of numbers"),
    ],
)
def test_files_that_cannot_be_meant_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LandscapeError) as caught:
        start(str(tmp_path / name))
    assert words in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize("array", [np.zeros((2, 2)), np.array(["a"]), np.zeros(2, bool)])
def test_arrays_of_another_shape_or_kind_are_refused(tmp_path, array):
    np.save(tmp_path / "s.npy", array)
    with pytest.raises(LandscapeError, match=r"the array has shape .* Save the samples"):
        start(tmp_path / "s.npy")


def test_missing_files_and_folders_are_named(tmp_path):
    (tmp_path / "starts.txt").write_text("0.5")
    with pytest.raises(LandscapeError, match=r"no file start\.txt in .* Did you mean 'starts.txt'"):
        start("start.txt", folder=tmp_path)
    with pytest.raises(LandscapeError, match=r"A start is a point \(0\.3\), a law"):
        start("elsewhere.dat", folder=tmp_path)
    with pytest.raises(LandscapeError, match="is a folder"):
        start(tmp_path)


# On its way through the house.

FILE = """
import numpy as np
learning_rate = 0.05
domain = (-1, 4)
initial = "starts.txt"
def losses(w):
    return w**2, (w - 1) ** 2
"""


def test_a_landscape_file_finds_its_samples_next_to_it(tmp_path, monkeypatch):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "pit.py").write_text(FILE)
    (tmp_path / "far" / "starts.txt").write_text("0.5\n0.75\n")
    (tmp_path / "here.txt").write_text("1\n")
    monkeypatch.chdir(tmp_path)
    pit = load("far/pit.py")
    assert pit.initial.text == "2 samples from starts.txt"
    assert pit.diffusion().initial is pit.initial
    assert load("far/pit.py", initial="here.txt").initial.text == "1 sample from here.txt"
    assert analyze("far/pit.py", initial=0.5).process.initial.text == "w = 0.5"
    with pytest.raises(LandscapeError, match=r"pit\.py: initial = 'starts\.txt': there is no file"):
        load("far/pit.py", initial="starts.txt")


def test_a_misspelt_start_is_told(tmp_path):
    (tmp_path / "pit.py").write_text(FILE.replace("initial", "inital"))
    with pytest.raises(LandscapeError, match="did you mean `initial`"):
        load(tmp_path / "pit.py")


def test_a_start_is_checked_when_a_process_is_made_and_when_it_is_changed():
    process = Diffusion(drift=-1, variance=1, domain=(0, 3), initial="normal:1,0.5", name="ramp")
    assert process.initial.text == "normal with mean 1 and deviation 0.5, truncated to (0, 3)"
    assert process.restricted(0, 2).initial is None
    assert process.restricted(2, 3).domain == (2, 3)
    assert analyze(process, initial=2).process.initial.point == 2
    wider = analyze(process, domain=(0, 5)).process
    assert wider.initial.text.endswith("truncated to (0, 5)")
    with pytest.raises(LandscapeError, match=r"ramp: initial = 9 lies outside the domain \(0, 3\)"):
        analyze(process, initial=9)
    with pytest.raises(LandscapeError, match=r"unnamed: initial = 'norml:0,1' names no law"):
        Landscape(losses=lambda w: (w, w**2), learning_rate=0.1, initial="norml:0,1")
    landscape = Landscape(losses=lambda w: (w**2, (w - 1) ** 2), learning_rate=0.1, initial="0.3")
    assert landscape.initial.text == landscape.diffusion().initial.text == "w = 0.3"


def test_strings_are_understood_without_scipy_stats():
    program = (
        "import sys\n"
        "from stationary.process.initial import Initial\n"
        "assert 'scipy' not in sys.modules\n"
        "for given in ('0.3', 'uniform:0,1', 'normal:0,1', [0.5, 0.7]):\n"
        "    start = Initial.of(given, domain=(-1, 4), name='pit.py')\n"
        "    start.expectation(lambda x: x, [0.5]), start.rvs(3, 1)\n"
        "assert 'scipy.stats' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_two_sides_of_a_given_law_agree():
    """Without `sf` and `isf` the upper tail comes from the lower one."""
    law = Truncated(Given(Mixed()), 0, 2)
    x = law.at(np.array([0.9, 0.9]), np.array([0.1, 0.1]), np.array([False, True]))
    np.testing.assert_allclose(x, [0.65 / 0.375] * 2, rtol=1e-15)


def test_a_law_with_a_pole_that_doubles_do_not_resolve_is_one():
    """Of beta(0.1, 0.3) from -1 the quantile at 0.001 is 1e-28 above -1: none was seen there."""
    law = st.beta(0.1, 0.3, loc=-1, scale=2)
    start = Initial.of(law, domain=(-2, 2), name="here")
    assert start.mean() == pytest.approx(law.mean(), abs=1e-3)
