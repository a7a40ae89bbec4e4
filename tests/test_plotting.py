"""The figures: what is drawn is what the result says, and files are written whole or not at all."""

import importlib.util
import itertools
import math
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

import stationary
from stationary import (
    Analysis,
    Diffusion,
    Landscape,
    LandscapeError,
    analyze,
    evolve,
    exact_chain,
    first_passage,
    simulate,
    sweep,
    width_bias,
)
from stationary.show.drawing import INK, Sheet, save
from stationary.show.view import drawn_range, mass_label, rest_of
from stationary.states.mixture import Atom
from stationary.states.solve import end_state


def plot_analysis(analysis, **settings):
    return analysis.plot(**settings)


def panel(name):
    """A function that draws one panel of an analysis, or of an end state, and returns its axes."""

    def plot(answer, **settings):
        how = {"panels": name} if isinstance(answer, Analysis) else {"panel": name}
        return answer.plot(**how, **settings).axes[0]

    return plot


plot_losses, plot_gradients, plot_density, plot_outcomes = map(
    panel, ("loss", "gradient", "density", "outcomes")
)


def analysed(process):
    """With every minimum a basin of its own, however low the barriers."""
    return Analysis(process, end_state(process), min_barrier=0)


def diffusion(drift, variance, domain, **more):
    return analysed(Diffusion(drift=drift, variance=variance, domain=domain, **more))


def curve(axes):
    """The main curve of a panel: the last one drawn in ink through many points."""
    lines = [line for line in axes.lines if line.get_color() == INK and len(line.get_xdata()) > 50]
    return np.asarray(lines[-1].get_xdata()), np.asarray(lines[-1].get_ydata())


def markers(axes, label):
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return list(line.get_xdata())


def labels(axes):
    return [text.get_text() for text in axes.texts]


def stems(axes):
    """Position and height of each stem, on an axis of its own or not."""
    lines = [line for a in axes.figure.axes for line in a.lines if line.get_label() == "stem"]
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in lines]


def area(polygon):
    """The area of a shaded region, by the shoelace formula."""
    x, y = polygon.get_paths()[0].vertices.T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


@pytest.fixture(scope="module")
def gaussian():
    """f = -x and a = 2: the standard normal distribution."""
    return diffusion(lambda x: -x, 2.0, (-np.inf, np.inf), name="Ornstein-Uhlenbeck")


@pytest.fixture(scope="module")
def tilted():
    """f = 2 (x - x^3) + 0.2 and a = 1: two wells of unequal mass."""
    return diffusion(lambda x: 2 * (x - x**3) + 0.2, 1.0, (-2.5, 2.5), name="tilted double well")


@pytest.fixture(scope="module")
def two_minima():
    path = Path(__file__).parents[1] / "examples" / "two_minima.py"
    spec = importlib.util.spec_from_file_location("two_minima", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return analysed(
        Landscape(
            losses=module.losses,
            learning_rate=module.learning_rate,
            domain=module.domain,
            name="two_minima.py",
        )
    )


# -- the density --------------------------------------------------------------------------------


def test_the_curve_drawn_is_the_density(gaussian):
    x, y = curve(plot_density(gaussian))
    exact = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    assert np.abs(y - exact).max() < 1e-12
    assert len(x) > 1000


def test_an_end_state_is_drawn_as_its_analysis_is(gaussian):
    whole, alone = curve(plot_density(gaussian)), curve(plot_density(gaussian.end_state))
    assert np.array_equal(whole, alone)


def test_the_shaded_areas_are_the_masses(tilted):
    axes = plot_density(tilted)
    # What the trapezoids between 1000 points miss is far below the tolerance.
    assert [area(p) for p in axes.collections] == pytest.approx(
        [basin.mass for basin in tilted.basins], abs=1e-3
    )
    assert len(axes.collections) == 2


def test_the_masses_are_written_above_their_minima_from_left_to_right(tilted):
    axes = plot_density(tilted)
    assert labels(axes) == [f"{100 * basin.mass:.3g} %" for basin in tilted.basins]
    assert markers(axes, "minimum") == [basin.position for basin in tilted.basins]


@pytest.mark.parametrize(
    ("log_mass", "log_rest", "label"),
    [
        (math.log(0.731), math.log(0.269), "73.1 %"),
        (math.log(0.0027), 0.0, "0.27 %"),
        (0.0, -math.inf, "100 %"),
        (math.log1p(-8.6e-6), math.log(8.6e-6), "99.9991 %"),
        (math.log1p(-4e-4), math.log(4e-4), "99.96 %"),
        (math.log(1.6e-5), 0.0, r"$1.6\times10^{-5}$"),
        (-52 * math.log(10), 0.0, "$10^{-52}$"),
        (-4.3e78 * math.log(10), 0.0, r"$10^{-4.3\times10^{78}}$"),
    ],
)
def test_a_mass_is_written_as_a_person_reads_it(log_mass, log_rest, label):
    assert mass_label(log_mass, log_rest) == label


def test_a_basin_that_holds_almost_nothing_is_labelled_and_seen_on_a_logarithmic_axis():
    """a = 2 in the left well and 1 in the right one, s = 250: 29 decades between their masses."""
    analysis = diffusion(
        lambda x: 250 * (x - x**3), lambda x: 2 - np.tanh(3 * x), (-np.inf, np.inf)
    )
    light, heavy = analysis.basins
    axes = plot_density(analysis, log=True)
    assert labels(axes) == [f"$10^{{{light.log_mass / math.log(10):.0f}}}$", "100 %"]
    low, high = axes.get_ylim()
    assert axes.get_yscale() == "log"
    assert low < light.density < heavy.density < high


def test_a_logarithmic_axis_stops_at_twelve_decades():
    axes = plot_density(diffusion(lambda x: -x, 2.0, (-30, 30)), log=True)
    low, high = axes.get_ylim()
    peak = 1 / math.sqrt(2 * math.pi)
    assert low == pytest.approx(1e-12 * peak, rel=1e-6)
    assert peak < high < 1e3 * peak


def test_a_peak_much_narrower_than_the_picture_is_drawn_at_its_true_height():
    """f = -k (x - 0.3) and a = 1: a peak of deviation 1 / sqrt(2 k), here 7e-5 of the width."""
    k = 1e8
    axes = plot_density(diffusion(lambda x: -k * (x - 0.3), 1.0, (0, 1)))
    x, y = curve(axes)
    assert y.max() == pytest.approx(math.sqrt(k / math.pi), rel=1e-6)
    assert np.trapezoid(y, x) == pytest.approx(1, abs=1e-3)
    assert axes.get_ylim()[1] > y.max()


def test_no_label_lies_on_another_or_leaves_the_axes():
    """Thirteen minima: more labels than fit side by side."""
    analysis = diffusion(lambda x: -3 * np.sin(2 * np.pi * x) - 0.3, 1.0, (0.3, 12.4))
    axes = plot_density(analysis)
    axes.figure.draw_without_rendering()
    frame = axes.get_window_extent()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == len(analysis.basins) == 13
    for i, box in enumerate(boxes):
        assert frame.x0 <= box.x0 <= box.x1 <= frame.x1
        assert box.y1 <= frame.y1
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
    _, y = curve(axes)
    top = axes.transData.transform([(0, y.max())])[0, 1]
    assert top < min(box.y0 for box in boxes)


@pytest.mark.parametrize("log", [False, True])
def test_a_density_that_diverges_is_cut_and_the_rest_is_seen(log):
    """f = 1/2 - x and a = 2 x: P = x^-1/2 e^-x / sqrt(pi), infinite at 0."""
    axes = plot_density(diffusion(lambda x: 0.5 - x, lambda x: 2 * x, (0, np.inf)), log=log)
    x, y = curve(axes)
    assert np.isfinite(y).all()
    assert axes.get_xlim()[0] == 0
    high = axes.get_ylim()[1]
    assert high < 100
    seen = (y < high) & (x > 0)
    exact = np.exp(-x[seen]) / np.sqrt(np.pi * x[seen])
    assert np.abs(y[seen] / exact - 1).max() < 1e-9


def test_a_beta_density_with_both_ends_infinite_shows_its_middle():
    """f = 0.4 (1/2 - x) and a = x (1 - x): Beta(0.4, 0.4)."""
    axes = plot_density(diffusion(lambda x: 0.4 * (0.5 - x), lambda x: x * (1 - x), (0, 1)))
    middle = 0.25**-0.6 * math.gamma(0.8) / math.gamma(0.4) ** 2
    assert 2 * middle < axes.get_ylim()[1] < 30 * middle


def test_a_uniform_density_without_basins_is_shaded_without_a_label():
    axes = plot_density(diffusion(0, 1, (0, 1)))
    assert area(axes.collections[0]) == pytest.approx(1)
    assert labels(axes) == []


def test_without_an_end_state_the_reason_is_given():
    analysis = diffusion(0, 1, (-np.inf, np.inf), name="Brownian motion")
    (text,) = labels(plot_density(analysis))
    assert " ".join(text.split()) == f"There is no end state. {analysis.end_state.reason}"
    assert len(plot_analysis(analysis).axes) == 4


def test_atoms_are_drawn_with_their_weights(tilted):
    state = replace(tilted.end_state, atoms=(Atom(0.1, 0.25),), kind="mixture")
    axes = plot_density(state)
    assert "25 %" in labels(axes)
    assert stems(axes) == [(0.1, 0.25)]
    assert any(list(line.get_xdata()) == [0.1, 0.1] for line in axes.figure.axes[1].lines)


# -- the range ----------------------------------------------------------------------------------


def test_a_finite_domain_is_drawn_whole(tilted):
    assert drawn_range(tilted.end_state) == (-2.5, 2.5)


def test_of_an_infinite_domain_the_central_part_is_drawn(gaussian):
    lower, upper = drawn_range(gaussian.end_state)
    assert lower == pytest.approx(-upper)
    assert 3.7 < upper < 5  # 3.72 deviations leave 1e-4 beyond


def test_a_heavy_tail_does_not_shrink_the_peak_to_a_spike():
    """f = 0 and a = 1 + x^2: Cauchy, whose 1e-4 quantile lies at 3183."""
    lower, upper = drawn_range(diffusion(0, lambda x: 1 + x**2, (-np.inf, np.inf)).end_state)
    assert lower == pytest.approx(-upper)
    assert 5 < upper < 50


def test_an_empty_well_is_still_in_the_range():
    analysis = diffusion(lambda x: 500 * (x - x**3) + 30, 1.0, (-np.inf, np.inf))
    lower, upper = drawn_range(analysis.end_state)
    empty, full = (basin.position for basin in analysis.basins)
    assert lower < empty - 0.5
    assert full + 0.5 < upper < 3


def test_a_finite_end_far_from_the_probability_is_left_out():
    """f = 1e6 - x and a = 2: the standard normal distribution about 1e6."""
    state = diffusion(
        lambda x: 1e6 - x, 2.0, (0, np.inf), breakpoints=(1e6 - 8, 1e6, 1e6 + 8)
    ).end_state
    lower, upper = drawn_range(state)
    assert lower > 1e6 - 10
    assert upper < 1e6 + 10


# -- losses, gradient and noise -----------------------------------------------------------------


def test_each_datapoint_and_the_mean_are_drawn(two_minima):
    axes = plot_losses(two_minima)
    x, mean = curve(axes)
    table = two_minima.landscape.loss_table(x)
    assert np.allclose(mean, table.mean(axis=0), rtol=1e-14)
    drawn = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == len(x)][:-1]
    assert np.allclose(drawn, table, rtol=1e-14)


def test_many_datapoints_are_drawn_as_a_band():
    """l_j = (w - c_j)^2 / 2 at w = 0: quantiles of c_j^2 / 2."""
    c = np.linspace(-1, 1, 50)[:, None] + 0.3
    analysis = analysed(
        Landscape(losses=lambda w: (w - c) ** 2 / 2, learning_rate=0.1, domain=(-2, 2))
    )
    axes = plot_losses(analysis)
    assert len(axes.collections) == 2
    for band, levels in zip(axes.collections, ([0.05, 0.95], [0.25, 0.75]), strict=True):
        vertices = band.get_paths()[0].vertices
        at_zero = vertices[np.abs(vertices[:, 0]) < 1e-12, 1]
        exact = np.quantile(c**2 / 2, levels)
        assert (at_zero.min(), at_zero.max()) == pytest.approx(exact)
    assert [t.get_text() for t in axes.get_legend().get_texts()][-1] == "mean"


def test_from_gradients_alone_the_mean_loss_is_integrated():
    """Gradients w - 1 and w + 1: the mean loss is w^2 / 2 from its minimum."""
    analysis = analysed(
        Landscape(gradients=lambda w: np.stack([w - 1, w + 1]), learning_rate=0.1, domain=(-1, 2))
    )
    axes = plot_losses(analysis)
    x, y = curve(axes)
    assert np.abs(y - x**2 / 2).max() < 1e-6
    assert "∫" in axes.get_ylabel()


def test_for_a_drift_and_a_variance_the_wells_of_the_exponent_are_drawn(gaussian):
    axes = plot_losses(gaussian)
    x, y = curve(axes)
    assert np.abs(y - x**2 / 2).max() < 1e-5  # from the least value at a drawn point
    assert "∫ 2 $f$ / $a$" in axes.get_ylabel()


def test_gradient_and_noise_have_an_axis_each(two_minima):
    axes = plot_gradients(two_minima)
    left, right = axes.figure.axes
    line = next(line for line in left.lines if len(line.get_xdata()) > 50)
    g, s2 = two_minima.landscape.moments(line.get_xdata())
    assert np.allclose(line.get_ydata(), g)
    assert np.allclose(right.lines[0].get_ydata(), s2)
    for which, curve_, name in ((left, line, "$G$"), (right, right.lines[0], "$S_2$")):
        assert name in which.get_ylabel()
        assert which.yaxis.label.get_color() == curve_.get_color()
    heights = [-a.get_ylim()[0] / np.ptp(a.get_ylim()) for a in (left, right)]
    assert heights[0] == pytest.approx(heights[1])  # of zero
    assert min(right.get_yticks()) == 0


def test_zeros_are_aligned_also_where_the_drift_is_below_zero_mostly():
    drift = lambda x: -1e4 * (x - 0.3) * (x + 0.7) * (x - 0.1)  # noqa: E731
    axes = plot_gradients(analyze(Diffusion(drift, 0.5, (-2, 2), name="steep")))
    left, right = axes.figure.axes
    heights = [-a.get_ylim()[0] / np.ptp(a.get_ylim()) for a in (left, right)]
    assert heights[0] == pytest.approx(heights[1])
    assert 0.1 < heights[0] < 0.9


def test_equilibria_are_filled_where_stable_and_open_where_not(two_minima):
    axes = plot_gradients(two_minima)
    for stable in (True, False):
        at = [e.position for e in two_minima.equilibria if e.stable == stable]
        assert markers(axes, f"{'' if stable else 'un'}stable equilibrium") == at


def test_a_drift_that_diverges_at_an_end_does_not_hide_the_rest():
    """f = 1 / x - x and a = 1: infinite at 0, and zero at 1."""
    axes = plot_gradients(diffusion(lambda x: 1 / x - x, 1.0, (0, np.inf)))
    low, high = axes.get_ylim()
    assert -10 < low < 0 < high < 100


# -- the whole figure ---------------------------------------------------------------------------


def test_three_panels_share_one_axis_of_x(two_minima):
    figure = plot_analysis(two_minima)
    top, middle, bottom, _ = figure.axes
    group = bottom.get_shared_x_axes()
    assert group.joined(top, bottom)
    assert group.joined(middle, bottom)
    assert bottom.get_xlim() == (-4, 3)
    assert (top.get_xlabel(), bottom.get_xlabel()) == ("", "$w$")
    title = figure.get_suptitle()
    assert title.startswith("two_minima.py")
    assert f"N = {two_minima.landscape.datapoints}" in title


@pytest.mark.parametrize("log", [False, True])
def test_no_text_of_the_figure_lies_on_another(two_minima, log):
    assert_texts_are_apart(plot_analysis(two_minima, log=log))


def assert_texts_are_apart(figure):
    figure.draw_without_rendering()  # without a warning
    lowest = [a for a in figure.axes if a.get_xlabel()]
    texts = [a.yaxis.label for a in figure.axes] + [a.xaxis.label for a in lowest]
    for axes in figure.axes:
        frame = axes.get_window_extent().padded(1)
        ticks = axes.get_yticklabels() + (axes.get_xticklabels() if axes in lowest else [])
        texts += axes.texts + [
            t for t in ticks if t.get_text() and _inside(frame, axes, t.get_position())
        ]
        if axes.get_legend():
            texts += axes.get_legend().get_texts()
    texts = [t for t in (*texts, *figure.texts) if t.get_text()]
    boxes = [t.get_window_extent() for t in texts]
    for i, a in enumerate(boxes):
        for j in range(i + 1, len(boxes)):
            assert not a.overlaps(boxes[j]), (texts[i], texts[j])
    for text, b in zip(texts, boxes, strict=True):
        assert figure.bbox.x0 <= b.x0 <= b.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= b.y0 <= b.y1 <= figure.bbox.y1, text


def _inside(frame, axes, position):
    x, y = position
    low, high = sorted(axes.get_ylim())
    left, right = sorted(axes.get_xlim())
    return (x in (0, 1) and low <= y <= high) or (y == 0 and left <= x <= right)


def test_a_figure_says_what_it_is_of():
    process = Diffusion(lambda x: x - x**3, 0.5, (-2, 2), name="a well " * 20)
    for answer in (end_state(process), width_bias(process)):
        figure = answer.plot()
        assert figure.get_suptitle().replace("\n", " ") == ("a well " * 20).strip()
        assert_texts_are_apart(figure)


def test_names_and_variables_are_taken_literally():
    analysis = diffusion(lambda x: -x, 2.0, (-3, 3), name="cost in $ or \\frac", variable="price_$")
    figure = plot_analysis(analysis)
    figure.draw_without_rendering()
    assert figure.get_suptitle().startswith("cost in $ or \\frac")


def test_a_panel_is_drawn_on_the_axes_that_are_given(tilted):
    from matplotlib.figure import Figure

    first, second = Figure().subplots(2)
    assert tilted.plot(ax=first) is first.figure
    assert "density" in first.get_ylabel()
    tilted.plot(panels="loss", ax=second)
    assert "∫" in second.get_ylabel()


def test_drawing_warns_of_nothing_and_leaves_the_settings_alone(tilted, tmp_path):
    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(plot_analysis(tilted, log=True), tmp_path / "figure.png")
    assert dict(matplotlib.rcParams) == before


def test_matplotlib_is_not_imported_before_something_is_drawn():
    code = "import sys, stationary.show.figure; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- where the noise vanishes ---------------------------------------------------------------------


def solved(drift, variance, domain, initial=None, **more):
    process = Diffusion(drift=drift, variance=variance, domain=domain, **more)
    return Analysis(process, end_state(process, initial))


def noise_beside_a_stretch(x):
    return np.maximum(x - 0.25, 0) ** 2 + np.maximum(-1 - x, 0)


def mixed_drift(x):
    return np.where(x < 0.5, 0.1 * x, 1.5 - x)


def mixed_noise(x):
    return np.where(x < 0.5, x * (0.5 - x), (x - 0.5) ** 2)


def wells(x):
    return x - x**3


def pit_and_well(w):
    wide = -np.exp(-((w - 2) ** 2))
    return wide, wide - np.exp(-100 * (w - 1) ** 2)


CASES = {
    "gate": lambda: solved(lambda x: 1 - x, lambda x: x**2, (-3, 3)),
    "gate to the left": lambda: solved(lambda x: -1 - x, lambda x: x**2, (-3, 3)),
    "Wright-Fisher": lambda: solved(0, lambda x: x * (1 - x), (0, 1)),
    "Wright-Fisher from 0.3": lambda: solved(0, lambda x: x * (1 - x), (0, 1), 0.3),
    "two classes": lambda: solved(wells, lambda x: x**2, (-2, 2)),
    "two classes from": lambda: solved(wells, lambda x: x**2, (-2, 2), "normal:0.5,0.5"),
    "traps and gate": lambda: solved(
        wells, lambda x: (x**2 - 1) ** 2 * (x - 0.5) ** 2, (-2, 2), "normal:0,0.5"
    ),
    "traps and gate without a start": lambda: solved(
        wells, lambda x: (x**2 - 1) ** 2 * (x - 0.5) ** 2, (-2, 2)
    ),
    "stretch": lambda: solved(lambda x: 1 - x, noise_beside_a_stretch, (-3, 3)),
    "rest in a stretch": lambda: solved(lambda x: -(x + 0.4), noise_beside_a_stretch, (-3, 3)),
    "shared minimum": lambda: analysed(
        Landscape(
            losses=lambda w: ((w - 1) ** 2, 2 * (w - 1) ** 2, (w - 1) ** 4),
            learning_rate=0.05,
            domain=(-1, 4),
        )
    ),
    "absorbing walls": lambda: solved(wells, 0.3, (-2, 2), boundaries=("absorbing", "absorbing")),
    "pit": lambda: analysed(
        Landscape(
            losses=lambda w: (
                -np.exp(-((w - 2) ** 2)),
                -np.exp(-((w - 2) ** 2)) - np.exp(-100 * (w - 1) ** 2),
            ),
            learning_rate=0.05,
            domain=(0.8, 1.3),
        )
    ),
    "pit and well": lambda: analysed(
        Landscape(losses=pit_and_well, learning_rate=0.05, domain=(-1, 4))
    ),
    "root of a distance": lambda: solved(
        lambda x: 1 - x, lambda x: np.abs(x - 0.5) ** 0.5, (-2, 2), breakpoints=(0.5,)
    ),
    "narrow": lambda: solved(lambda x: 1 - x, 2e-18, (-1, 3)),
    "two narrow classes": lambda: solved(
        lambda x: 1e8 * wells(x), lambda x: x**2, (-2, 2), "normal:0.5,0.5"
    ),
    "two narrow classes without a start": lambda: solved(
        lambda x: 1e10 * wells(x), lambda x: x**2, (-2, 2)
    ),
    "mixture": lambda: solved(mixed_drift, mixed_noise, (0, 3), 0.2),
    "mixture without a start": lambda: solved(mixed_drift, mixed_noise, (0, 3)),
    "geometric Brownian motion": lambda: solved(lambda x: 0.2 * x, lambda x: x**2, (0, np.inf)),
    "on the whole line": lambda: solved(lambda x: 0.2 * x, lambda x: x**2, (-np.inf, np.inf), 0.5),
    "escape": lambda: solved(1, 1, (0, np.inf), 0.5, boundaries=("absorbing", None)),
    "escape without a start": lambda: solved(1, 1, (0, np.inf), boundaries=("absorbing", None)),
}
_known = {}


def case(name):
    if name not in _known:
        _known[name] = CASES[name]()
    return _known[name]


def arrows(axes):
    """Middle and direction of each arrow."""
    found = [p for p in axes.patches if str(p.get_gid()).startswith("gate")]
    ends = [p._posA_posB for p in found]
    return [((a[0] + b[0]) / 2, math.copysign(1, b[0] - a[0])) for a, b in ends]


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_figure_has_texts_apart_and_only_numbers_in_it(name, log):
    figure = plot_analysis(case(name), log=log)
    assert_texts_are_apart(figure)
    for axes in figure.axes:
        assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()
        for line in axes.lines:
            x, y = (np.asarray(v, dtype=float) for v in line.get_data())
            assert not np.isinf(x).any()
            assert not np.isinf(y).any()
            if len(y):  # only gaps, and none that another one follows
                assert np.isfinite(y).any()
                assert not (np.isnan(y[:-3]) & np.isnan(y[3:]) & np.isnan(y[1:-2])).any()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gate", [(0, 1)]),
        ("gate to the left", [(0, -1)]),
        ("traps and gate", [(0.5, 1)]),
        ("stretch", [(-0.375, 1)]),
        ("pit", [(1, 1)]),
        ("pit and well", [(1, 1)]),
        ("two classes", []),
        ("narrow", []),
    ],
)
def test_each_gate_has_an_arrow_in_its_direction_in_every_panel(name, expected):
    analysis = case(name)
    for axes in (plot_losses(analysis), plot_gradients(analysis), plot_density(analysis)):
        found = arrows(axes)
        assert [direction for _, direction in found] == [direction for _, direction in expected]
        assert [at for at, _ in found] == pytest.approx([at for at, _ in expected])


@pytest.mark.parametrize(
    "name", ["Wright-Fisher from 0.3", "traps and gate", "shared minimum", "rest in a stretch"]
)
def test_an_atom_is_a_stem_as_high_as_its_weight(name):
    analysis = case(name)
    axes = plot_density(analysis)
    atoms = analysis.end_state.atoms
    assert stems(axes) == [(a.position, pytest.approx(a.weight)) for a in atoms]
    assert [t for t in labels(axes) if t != "transient"] == [
        f"{100 * a.weight:.3g} %" for a in atoms
    ]
    assert axes.get_ylabel() == "probability"


def test_atoms_beside_a_density_have_an_axis_of_their_own():
    analysis = case("mixture")
    axes = plot_density(analysis)
    (atom,) = analysis.end_state.atoms
    (component,) = analysis.end_state.components
    assert stems(axes) == [(0, pytest.approx(atom.weight))]
    x, y = curve(axes)
    assert np.trapezoid(y, x) == pytest.approx(component.weight, abs=1e-3)
    left, right = axes.figure.axes
    assert "density" in left.get_ylabel()
    assert right.get_ylabel() == "probability"


def test_what_escapes_is_written_at_the_end_it_goes_to():
    texts = labels(plot_density(case("escape")))
    assert f"{100 * (1 - math.exp(-1)):.3g} % escapes" in texts  # f = a = 1: e^-2x reach 0


def test_transient_pieces_and_stretches_without_noise_are_shaded():
    axes = plot_density(case("stretch"))
    spans = {p.get_gid(): p.get_extents() for p in axes.patches if p.get_gid()}
    inverse = axes.transData.inverted()
    for name, expected in (("transient", (-3, -1)), ("no noise", (-1, 0.25))):
        box = spans[name].transformed(inverse)
        assert (box.x0, box.x1) == pytest.approx(expected)
    assert "transient" in labels(axes)


def test_the_roles_of_singular_points_are_in_the_legend():
    def names(analysis):
        return {t.get_text() for t in plot_gradients(analysis).get_legend().get_texts()}

    assert {"trap", "one-way gate"} <= names(case("traps and gate"))
    assert {"repelling rest point"} <= names(case("two classes"))
    assert {"no noise", "one-way gate"} <= names(case("stretch"))
    assert {"absorbing end"} <= names(case("absorbing walls"))


def test_without_a_start_each_density_is_drawn_within_its_class():
    """The mirror image of one another, each with an integral of 1."""
    axes = plot_density(case("two classes"))
    drawn = [line for line in axes.lines if len(line.get_xdata()) > 50]
    assert [np.trapezoid(c.get_ydata(), c.get_xdata()) for c in drawn] == pytest.approx(
        [1, 1], abs=1e-4
    )
    assert all(line.is_dashed() for line in drawn)
    assert "within its class" in axes.get_ylabel()
    assert "depend on the start" in axes.get_title(loc="right")


def test_without_a_start_atoms_are_open_stems():
    axes = plot_density(case("Wright-Fisher"))
    lines = [line for line in axes.lines if line.get_label() == "stem"]
    assert [line.get_xdata()[0] for line in lines] == [0, 1]
    assert all(line.get_markerfacecolor() == "white" for line in lines)


def test_the_probability_of_each_end_is_drawn_against_the_start():
    """f = 0: x is a martingale, so that 1 is reached first with probability x."""
    axes = plot_outcomes(case("Wright-Fisher"))
    first, second = (line for line in axes.lines if len(line.get_xdata()) > 50)
    x = first.get_xdata()
    assert (x[0], x[-1]) == (0, 1)
    assert np.abs(first.get_ydata() - (1 - x)).max() < 1e-12
    assert np.abs(second.get_ydata() - x).max() < 1e-12
    legend = axes.get_legend()
    assert [t.get_text() for t in legend.get_texts()] == ["at $x$ = 0", "at $x$ = 1"]
    for handle, line in zip(legend.legend_handles, (first, second), strict=True):
        assert handle.get_color() == line.get_color()
    figure = plot_analysis(case("Wright-Fisher"))
    assert "probability of the end" in [a.get_ylabel() for a in figure.axes]


def test_curves_are_interrupted_where_the_noise_vanishes():
    for name in ("two classes from", "traps and gate", "stretch"):
        analysis = case(name)
        edges = [e for p in analysis.end_state.anatomy.points for e in (p.lower, p.upper)]
        for axes in (plot_losses(analysis), plot_density(analysis)):
            for line in axes.lines:
                x, y = line.get_data()
                if len(x) > 50:
                    for a, b, end in zip(x, x[1:], y, strict=False):
                        assert not any(a < e < b for e in edges), (name, a, b, end)


def test_where_no_density_exists_the_range_holds_what_there_is():
    lower, upper = drawn_range(case("on the whole line").end_state)
    assert lower < 0 < 0.5 < upper
    lower, upper = drawn_range(case("escape").end_state)
    assert lower == 0
    assert 1 < upper < 10


# -- states too narrow to be seen ------------------------------------------------------------------


def test_a_narrow_state_is_a_stem_and_has_a_panel_of_its_own():
    """f = 1 - x and a = 2e-18: normal about 1 with deviation 1e-9."""
    analysis = case("narrow")
    assert stems(plot_density(analysis)) == [(1, 1)]
    (zoom,) = (axes for axes in plot_analysis(analysis).axes if "units" in axes.get_xlabel())
    assert zoom.get_xlabel() == "$x$ \N{MINUS SIGN} 1\n(in units of $10^{-9}$)"
    z, y = curve(zoom)
    exact = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    assert np.abs(y - exact).max() < 3e-7  # a place is known to 1e-16 / 1e-9
    assert np.trapezoid(y, z) == pytest.approx(1, abs=1e-4)
    assert z[0] < -4
    assert z[-1] > 4


def test_two_narrow_states_have_a_panel_each():
    analysis = case("two narrow classes")
    assert [x for x, _ in stems(plot_density(analysis))] == pytest.approx([-1, 1])
    zooms = [axes for axes in plot_analysis(analysis).axes if "units" in axes.get_xlabel()]
    for axes, component in zip(zooms, analysis.end_state.components, strict=True):
        x, y = curve(axes)
        assert np.trapezoid(y, x) == pytest.approx(component.weight, rel=1e-3)


def test_an_ordinary_figure_has_no_further_panel(two_minima):
    assert len(plot_analysis(two_minima).axes) == 4
    assert plot_analysis(two_minima).get_size_inches() == pytest.approx([6, 6.5])


def test_a_density_narrower_than_the_spacing_of_doubles_is_counted_from_the_nearest_double():
    """About 2 the variance is all but constant: a normal law, 4.2e-43 wide, 1.9e-42 below 2."""
    state = case("pit and well").end_state
    (zoom,) = (a for a in plot_analysis(case("pit and well")).axes if "units" in a.get_xlabel())
    assert zoom.get_xlabel() == "$w$ \N{MINUS SIGN} 2\n(in units of $10^{-43}$)"
    x, y = curve(zoom)
    deviation, centre = state.std() / 1e-43, state.modes[-1].offset / 1e-43
    assert (deviation, centre) == pytest.approx((4.16, -18.6), rel=1e-3)
    exact = np.exp(-(((x - centre) / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))
    assert np.abs(y / exact - 1).max() < 1e-6
    assert np.trapezoid(y, x) == pytest.approx(1, abs=1e-4)


def test_beside_a_stem_the_basins_of_the_same_density_are_named():
    axes = plot_density(case("pit and well"))
    assert stems(axes) == [(2, 1)]
    pit, well = case("pit and well").basins
    assert labels(axes) == [r"$10^{-1.6\times10^{79}}$", "100 %", "transient"]
    assert well.position == 2
    assert markers(axes, "minimum") == [pit.position]
    (span,) = {tuple(p.get_xy()) for p in axes.patches if p.get_gid() == "transient"}
    assert span[0] == -1


def test_densities_in_many_digits_are_drawn_as_those_in_doubles_are():
    """A normal density, whose variance of 1e-300 only many digits carry."""
    state = solved(lambda x: 1e-300 * (1 - x), lambda x: 1e-300 + 0 * x, (-2, 2)).end_state
    assert all(c.arithmetic.dtype == object for c in state.components)
    x, y = curve(plot_density(state))
    seen = np.isfinite(x) & (np.abs(x - 0.5) > 0.01)
    assert y[seen] == pytest.approx(state.pdf(x[seen]), rel=1e-12)


def test_a_density_without_a_peak_has_no_panel():
    """f = 0.4 (1/2 - x) and a = x (1 - x): Beta(0.4, 0.4), which diverges at both ends."""
    found = diffusion(lambda x: 0.4 * (0.5 - x), lambda x: x * (1 - x), (0, 1))
    assert len(plot_analysis(found).axes) == 4


def test_a_mass_next_to_an_atom_is_not_what_other_basins_leave_over():
    basins = [SimpleNamespace(log_mass=math.log(m)) for m in (0.7 - 1e-5, 1e-5)]
    state = SimpleNamespace(atoms=(Atom(0.0, 0.3),), escapes=())
    assert rest_of(state, basins, basins[0]) == pytest.approx(math.log(0.3 + 1e-5))


# -- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "magic"),
    [(".png", b"\x89PNG\r\n\x1a\n"), (".PDF", b"%PDF-"), (".svg", b"<?xml")],
)
def test_a_file_is_what_its_suffix_says_and_the_same_each_time(gaussian, tmp_path, suffix, magic):
    paths = [tmp_path / f"{name}{suffix}" for name in ("first", "second")]
    for path in paths:
        save(plot_analysis(gaussian), path)
    first, second = (path.read_bytes() for path in paths)
    assert first.startswith(magic)
    assert first == second
    assert sorted(tmp_path.iterdir()) == paths  # nothing half-written is left behind


def test_a_png_has_200_dots_per_inch(gaussian, tmp_path):
    from matplotlib.image import imread

    save(plot_analysis(gaussian), tmp_path / "figure.png")
    assert imread(tmp_path / "figure.png").shape[:2] == (1300, 1200)


@pytest.mark.parametrize("name", ["figure.gif", "figure"])
def test_any_other_suffix_is_refused(gaussian, tmp_path, name):
    with pytest.raises(LandscapeError, match=r"\.png, \.svg or \.pdf") as error:
        save(plot_density(gaussian).figure, tmp_path / name)
    assert (".gif" if "." in name else "without a suffix") in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(gaussian, tmp_path):
    with pytest.raises(LandscapeError, match="nowhere does not exist"):
        save(plot_density(gaussian).figure, tmp_path / "nowhere" / "figure.png")


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), ValueError("broken")])
def test_a_failure_leaves_the_old_file(gaussian, tmp_path, monkeypatch, failure):
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")
    figure = plot_density(gaussian).figure

    def half(file, **_):
        file.write(b"half")
        raise failure

    monkeypatch.setattr(figure, "savefig", half)
    expected = LandscapeError if isinstance(failure, OSError) else ValueError
    with pytest.raises(expected, match=r"No space left|broken"):
        save(figure, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_place_of_the_file_is_an_error(gaussian, tmp_path):
    path = tmp_path / "figure.png"
    path.mkdir()
    with pytest.raises(LandscapeError, match="cannot be written"):
        save(plot_density(gaussian).figure, path)
    assert list(tmp_path.iterdir()) == [path]


def test_an_analysis_plots_and_saves_itself(gaussian, tmp_path):
    figure = gaussian.plot(tmp_path / "figure.svg", log=True)
    assert figure.axes[2].get_yscale() == "log"
    assert (tmp_path / "figure.svg").stat().st_size > 1000


# -- for a journal, and for those who have settings of their own --------------------------------


def test_panels_are_chosen_and_drawn_on_axes_that_are_given(gaussian):
    from matplotlib.figure import Figure

    figure = gaussian.plot(panels=["density"])
    assert [a.get_ylabel() for a in figure.axes] == ["density $P$($x$)"]
    mine = Figure().add_subplot()
    assert gaussian.plot(ax=mine) is mine.figure
    assert mine.get_ylabel() == "density $P$($x$)"
    with pytest.raises(LandscapeError, match="there are loss, gradient, density"):
        gaussian.plot(panels=["densities"])
    with pytest.raises(LandscapeError, match="one panel fits"):
        gaussian.plot(panels=["loss", "density"], ax=mine)


def test_a_column_of_a_journal_has_letters_and_no_title(gaussian):
    figure = gaussian.plot(width="column")
    assert figure.get_size_inches()[0] == pytest.approx(3.4)
    assert figure.get_suptitle() == ""
    assert [t.get_text() for a in figure.axes for t in a.texts if t.get_weight() == "bold"] == [
        "a", "b", "c"
    ]  # fmt: skip
    with pytest.raises(LandscapeError, match=r'"column", "page"'):
        gaussian.plot(width="wide")


def test_a_style_sheet_of_the_user_holds(gaussian):
    import matplotlib.style

    with matplotlib.style.context(["dark_background", {"font.size": 11}]):
        figure = gaussian.plot()
        title = figure._suptitle
    assert figure.get_facecolor() == (0, 0, 0, 1)
    assert sum(matplotlib.colors.to_rgb(title.get_color())) > 2
    curve = figure.axes[0].lines[0]
    assert sum(matplotlib.colors.to_rgb(curve.get_color())) > 2


def test_letters_and_pixels_are_as_many_as_the_user_says(gaussian, tmp_path):
    sizes = []
    for own in ({}, {"font.size": 18, "savefig.dpi": 50, "figure.figsize": (9, 4)}):
        with matplotlib.rc_context(own):
            figure = gaussian.plot(tmp_path / "figure.png")
        axes = figure.axes[1]
        texts = [axes.xaxis.label, axes.get_yticklabels()[0], axes.get_legend().get_texts()[0]]
        texts += [figure._suptitle, *figure.axes[2].texts[:1]]
        sizes.append([t.get_fontsize() for t in texts])
    assert sizes[0] == [9, 8, 8, 9, 8]
    assert sizes[1] == [18, 16, 16, 18, 18]
    assert matplotlib.image.imread(tmp_path / "figure.png").shape[1] == 9 * 50


def test_twin_axes_have_one_grid(gaussian):
    with matplotlib.rc_context({"axes.grid": True}):
        figure = gaussian.plot()
    grids = [a for a in figure.axes if a.xaxis.get_gridlines()[0].get_visible()]
    assert (len(figure.axes), len(grids)) == (4, 3)


def test_colours_begin_at_the_paper_and_bands_are_seen_on_a_dark_one():
    import matplotlib.style

    from stationary import end_state, evolve

    plane = end_state(Diffusion(lambda x: (-x[0], -2 * x[1]), 1.0, weights=2))
    spread = evolve(Diffusion(lambda x: -x, 1.0, (-3, 3)), 0.5, [0.5, 1.0])
    for style, paper in (("default", 3), ("dark_background", 0)):
        with matplotlib.style.context(style):
            density, evolution = plane.plot(), spread.plot()
        (mesh,) = (c for c in density.axes[0].collections if hasattr(c, "get_coordinates"))
        assert sum(mesh.cmap(0)[:3]) == pytest.approx(paper, abs=0.1)
        faint = [c.get_alpha() for a in evolution.axes for c in a.collections if c.get_alpha()]
        assert min(faint) >= (0.15 if paper else 0.4)


def test_a_notebook_shows_a_figure_without_pyplot(gaussian):
    assert gaussian.plot()._repr_png_().startswith(b"\x89PNG")


def test_a_figure_travels_as_those_of_matplotlib_do(gaussian):
    import pickle

    twin = pickle.loads(pickle.dumps(gaussian.plot(panels="density")))
    assert twin.axes[0].get_ylabel() == "density $P$($x$)"


def test_the_border_of_two_phases_is_no_staircase():
    """A tilted double well: which minimum wins is the sign of the tilt."""
    from stationary import sweep

    def build(tilt, noise):
        return Diffusion(lambda x: x - x**3 + tilt, noise, (-2, 2), name="tilted")

    figure = sweep(build, {"noise": [0.3, 0.1, 0.2], "tilt": [0.05, -0.1]}).plot()
    axes = figure.axes[0]
    assert axes.get_xlim() == (-0.1, 0.05)
    borders = [p.vertices for c in axes.collections for p in c.get_paths() if len(p.vertices)]
    x, y = np.concatenate(borders).T
    on_border = x[(np.abs(x) < 0.02) & (y > 0.11) & (y < 0.29)]
    assert len(on_border) > 100
    assert np.abs(on_border).max() < 2e-3  # half-way between the values it would be 0.025


def test_phases_end_where_masses_are_the_same_however_few_the_learning_rates():
    """Logarithms of masses fall like one over the rate: over two rates, taken for straight, the
    border lay at 0.043 where both hold the same at 0.030, on the line beside it."""
    from stationary import sweep

    sharpness = [100.0, 300.0, 1000.0]
    found = sweep(
        Path(__file__).parent.parent / "examples/family.py",
        parameters={"sharpness": sharpness},
        learning_rate=[0.01, 0.05],
    )
    axes = found.plot().axes[0]
    borders = [p.vertices for c in axes.collections for p in c.get_paths() if len(p.vertices)]
    x, y = np.concatenate(borders).T
    assert [c.fixed["sharpness"] for c in found.crossovers] == sharpness
    _, inner, _ = found.crossovers
    at = (np.abs(np.log(y / 300)) < 0.01) & (x > 0.0101) & (x < 0.0499)
    assert at.any()
    assert np.abs(x[at] - inner.value).max() < 5e-4


def _areas(axes):
    """The names in the legend of a phase diagram, and the colours of what is drawn."""
    drawn = [c for c in axes.collections if any(len(p.vertices) for p in c.get_paths())]
    return [t.get_text() for t in axes.get_legend().get_texts()], len(drawn)


def _even(k, a):
    return Diffusion(lambda x: k * np.sin(x) - x**3, lambda x: a * (1 + 0.3 * x**2), name="even")


def test_what_is_the_same_to_within_the_error_is_no_phase():
    """Neither well of a symmetric landscape wins: signs of 1e-16 were continents and islands."""
    from stationary import sweep

    axes = sweep(_even, {"k": [1.8, 2.4], "a": [0.1, 0.2, 0.3]}).plot().axes[0]
    assert _areas(axes) == (["the same to within the error"], 1)
    assert not [line for line in axes.lines if len(line.get_xdata())]


def test_what_is_the_same_beside_a_single_minimum_is_seen():
    from stationary import sweep

    axes = sweep(_even, {"k": [0.2, 1.8], "a": [0.1, 0.2]}).plot().axes[0]
    names, areas = _areas(axes)
    assert names[1:] == ["the same to within the error"]
    assert areas == 2


def test_where_two_phases_meet_the_same_is_no_area():
    from stationary import sweep

    def build(h, a):
        return Diffusion(lambda x: h + x - x**3, a, name="tilted")

    names, areas = _areas(sweep(build, {"h": [-0.1, 0, 0.1], "a": [0.2, 0.3]}).plot().axes[0])
    assert [n.partition(",")[0] for n in names] == ["minimum 0", "minimum 1"]
    assert areas == 2


def test_quantities_of_a_sweep_stop_at_their_errors():
    """A mean of -2e-16, right to 6e-15, had six digits."""
    from stationary import sweep

    found = sweep(_even, {"k": [1.8], "a": [0.1, 0.2, 0.3]}, quantities=["mean"])
    (row,) = (line for line in str(found).splitlines() if line.split()[:1] == ["mean"])
    assert row.split()[1:3] == ["0", "0"]


def test_a_bias_below_its_error_has_no_bars():
    """Bars of 1e-16 looked like causes; what is known stays as it is."""
    even = analyze(Diffusion(lambda x: x - x**3, 0.3)).bias
    axes = even.plot().axes[0]
    assert {bar.get_width() for bar in axes.patches} == {0}
    assert len([t for t in axes.texts if t.get_text().startswith("0, to within ")]) == 4
    assert axes.get_xlim() == (-1, 1)
    (by_laplace,) = (line for line in str(even).splitlines() if "by Laplace" in line)
    assert by_laplace.split()[3:5] == ["0", "1"]
    assert 0 < even.ratios[0].laplace_error < 1e-12
    other = analyze(Diffusion(lambda x: 0.1 + x - x**3, 0.3)).bias
    axes = other.plot().axes[0]
    assert axes.patches[3].get_width() == pytest.approx(other.ratios[0].log_mass / np.log(10))


def test_a_sweep_with_a_single_minimum_shows_its_deviation():
    from stationary import sweep

    def build(noise):
        return Diffusion(lambda x: -x, noise, (-np.inf, np.inf), name="pull")

    axes = sweep(build, {"noise": [0.1, 0.2]}).plot().axes[0]
    assert axes.get_ylabel() == "standard deviation"
    (line,) = [line for line in axes.lines if len(line.get_xdata()) == 2]
    assert line.get_ydata() == pytest.approx(np.sqrt([0.05, 0.1]), rel=1e-9)


def test_each_quantity_of_a_sweep_has_a_panel_over_the_axis_with_most_values():
    from stationary import sweep

    def build(tilt, noise):
        return Diffusion(lambda x: x - x**3 + tilt, noise, (-2, 2), name="tilted")

    grid = {"tilt": np.linspace(-0.1, 0.1, 9), "noise": [0.1, 0.2]}
    found = sweep(build, grid, quantities=["entropy", "log_exit_time"])
    assert str(found).splitlines()[0] == "build"
    figure = found.plot()
    assert figure.get_suptitle() == "build"
    assert [a.get_ylabel() for a in figure.axes] == ["entropy", "log exit time"]
    assert [a.get_xlabel() for a in figure.axes] == ["", "tilt"]
    _, ax = Figure().subplots(1, 2)
    assert found.plot(ax=ax) is ax.figure
    assert ax.get_ylabel() == "entropy"


def test_what_gathers_at_ends_is_named_there_and_not_at_the_minimum_of_the_drift():
    """Half and half at 0 and 1, of which 100 % stood at 0.5, where the density is least."""
    process = Diffusion(lambda x: 0.05 * (1 - 2 * x), lambda x: x * (1 - x), (0, 1))
    axes = end_state(process).plot()
    assert [t.get_text() for t in axes.figure.axes[0].texts].count("50 %") == 2
    weak = Diffusion(lambda x: 2 * (1 - 2 * x), lambda x: x * (1 - x), (0, 1))
    assert "100 %" in [t.get_text() for t in end_state(weak).plot().figure.axes[0].texts]


def test_logarithms_of_a_sweep_are_not_drawn_on_a_logarithmic_axis():
    from stationary import sweep

    def build(noise):
        return Diffusion(lambda x: x - x**3, noise, (-3, 3), name="wells")

    found = sweep(build, {"noise": [0.002, 0.5]}, quantities=["log_exit_time", "exit_time"])
    logs, times = found.plot().axes
    assert (logs.get_yscale(), times.get_yscale()) == ("linear", "log")


def test_exit_times_beyond_an_axis_of_decades_are_drawn_by_their_logarithms():
    """An exit time of 1e293 is e^(2 V / a) to all that counts; of beyond doubles there is none."""
    found = sweep(
        lambda k: Diffusion(lambda x: 4 * x - 4 * x**3 + 0.05, lambda x: 2 / k + 0 * x, (-2, 2)),
        {"k": [300, 700, 720]},
        quantities=["exit_time"],
    )
    figure = found.plot()
    (axes,) = figure.axes
    figure.draw_without_rendering()
    columns = found.table()
    for line, i in zip(axes.get_lines(), (0, 1), strict=True):
        times = columns[f"exit_time_{i}"]
        known = times < np.inf
        assert known.sum() == (3, 1)[i]
        assert line.get_ydata()[known] == pytest.approx(np.log10(times[known]))
    assert axes.get_yscale() == "linear"
    assert axes.get_ylabel() == r"$\log_{10}$ of exit time"


def test_many_curves_of_a_sweep_grow_stronger_and_the_first_and_last_have_names():
    from stationary import sweep

    def build(tilt, noise):
        return Diffusion(lambda x: x - x**3 + tilt, noise, (-2, 2), name="tilted")

    grid = {"noise": np.linspace(0.1, 0.2, 6), "tilt": np.linspace(-0.1, 0.1, 7)}
    (axes,) = sweep(build, grid, quantities="log_exit_time").plot().axes
    names = [t.get_text().split(", at")[0] for t in axes.get_legend().get_texts()]
    pairs = [(k, m) for k in ("0.1", "0.2") for m in (0, 1)]
    assert names == [f"noise = {k}, minimum {m}" for k, m in pairs]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 7]
    strengths = [line.get_alpha() for line in lines[::2]]
    assert strengths == sorted(set(strengths))
    assert len({(line.get_color(), line.get_alpha()) for line in lines}) == 12


def test_numbers_along_a_logarithmic_axis_do_not_lie_on_each_other():
    from stationary import sweep

    def build(noise):
        return Diffusion(lambda x: -x, noise, (-np.inf, np.inf), name="pull")

    axes = sweep(build, {"noise": np.geomspace(0.01, 0.3, 5)}).plot(width="column").axes[0]
    axes.figure.draw_without_rendering()
    labels = axes.xaxis.get_ticklabels(which="both")
    boxes = sorted(t.get_window_extent().extents.tolist() for t in labels if t.get_text())
    assert len(boxes) >= 4
    assert all(left[2] < right[0] for left, right in itertools.pairwise(boxes))


def test_the_chain_has_a_figure_of_its_own():
    def losses(w):
        return (w - 1) ** 2 / 2, (w + 1) ** 2 / 2

    chain = exact_chain(Landscape(losses=losses, learning_rate=0.3, domain=(-3, 3)), cells=128)
    axes = chain.plot().axes[0]
    assert axes.get_ylabel() == "density of the chain"
    assert chain.plot(ax=axes) is axes.figure


def test_a_stretch_to_infinity_that_is_a_gate_and_a_peak_narrower_than_any_number_are_drawn():
    def gradients(w):
        return w + 0.7, w + 0.3, np.where(w > -0.7, w, -w)

    sign = Landscape(gradients=gradients, learning_rate=0.3, batch_size=2, optimiser="sign")
    assert analyze(sign, chain=False).plot()
    sharp = Diffusion(
        drift=np.sin, variance=lambda x: np.exp(-40 * x**2), domain=(-2.5, 2), name="sharp"
    )
    assert analyze(sharp, digits=20).plot()


@pytest.mark.parametrize(("unit", "shift"), [(1.0, 0.0), (1e-6, 3.0)])
def test_a_chain_without_a_density_is_drawn_in_bins_of_cells(unit, shift):
    """Cells of a few datapoints' law tower as high as they are narrow, and hide the rest."""

    def losses(x):
        w = (x - shift) / unit
        return [
            unit**2 * loss
            for loss in (
                (w**2 - 1) ** 2 / 2 + 1.5 * w,
                (w**2 - 1) ** 2 / 3 - w,
                0.4 * (w - 0.9) ** 2 * (w + 1.1) ** 2 + 0.5 * w,
            )
        ]

    domain = (shift - 2.5 * unit, shift + 3 * unit)
    chain = exact_chain(Landscape(losses=losses, learning_rate=0.12, domain=domain), cells=1000)
    assert chain.has_density is False
    for log in (False, True):
        (axes,) = chain.plot(log=log).axes
        (law,) = axes.patches
        height, edges, _ = law.get_data()
        assert height @ np.diff(edges) == pytest.approx(1, abs=1e-3)
        assert 3 * height.max() < chain.pdf(chain.edges).max()
        low, high = axes.get_ylim()
        assert high < 4 * height.max()
        assert not log or low > height.min() / 4


def test_any_law_is_drawn_with_what_it_holds():
    """Marginals, rows of an evolution, walkers and starts: bars over all of it, and its atoms."""
    trap = Diffusion(0, lambda x: x * (1 - x), (0, 1), initial=0.3)
    normal = stationary.end_state(Diffusion(lambda w: (-w[0], -w[1]), 1.0, weights=2)).marginal(0)
    walkers = simulate(trap, dt=0.01, walkers=500, steps=20, seed=1).distribution
    for law in (normal, evolve(trap, times=[0.5]).at(0.5), walkers, trap.initial):
        figure = law.plot()
        bars = [p for axes in figure.axes for p in axes.patches]
        data = (bar.get_data() for bar in bars)
        held = sum(float(values @ np.diff(edges)) for values, edges, _ in data)
        held += sum(atom["probability"] for atom in law.to_dict()["atoms"])
        assert held == pytest.approx(1, abs=3e-4)


def test_what_is_written_around_the_panels_of_a_column_stays_on_the_page():
    """Labels were cut at the edge of the page, and a letter stood in the note beside it."""
    landscape = Path(__file__).parent.parent / "examples" / "two_minima.py"
    found = analyze(landscape)
    for figure in (found.plot(width="column"), found.bias.plot(width="column")):
        figure.canvas.draw()
        page = figure.bbox
        for axes in figure.axes:
            for text in (axes.xaxis.label, axes.title, axes._left_title, axes._right_title):
                box = text.get_window_extent()
                if text.get_text():
                    assert page.x0 - 1 < box.x0 < box.x1 < page.x1 + 1
                    letters = [a.get_window_extent() for a in axes.texts if len(a.get_text()) == 1]
                    assert not any(box.overlaps(other) for other in letters)


def many_minima(s=0.02):
    return Diffusion(lambda x: np.sin(2 * np.pi * x) - s * x, 0.3, (-6.2, 6.2))


def drawn(figure):
    """Boxes of its panels and their texts, in pixels, once it is laid out."""
    figure.draw_without_rendering()
    return figure.canvas.get_renderer()


def test_a_legend_of_many_minima_leaves_the_panel_of_a_column_its_room():
    found = sweep(many_minima, {"s": [0.01, 0.02, 0.03]})
    figure = found.plot(width="column")
    drawn(figure)
    (axes,) = figure.axes
    few = sweep(many_minima, {"s": [0.01, 0.02]}, quantities=["mean"]).plot(width="column")
    drawn(few)
    assert len(axes.get_legend().get_texts()) == 12
    assert axes.get_position().height * figure.get_size_inches()[1] > 1.8
    assert few.get_size_inches()[1] == 3.25
    symbols = [(c.lines[0].get_color(), c.lines[0].get_marker()) for c in axes.containers]
    assert len(set(symbols)) == 12


FINE = np.linspace(100.123456, 100.123466, 30)


@pytest.mark.parametrize("find", [
    lambda: sweep(lambda s: Diffusion(lambda x: -s * x, 0.3, (-6, 6)), {"s": [0.01, 0.02, 0.05]}),
    lambda: evolve(Diffusion(lambda x: x - x**3, 0.2, (-3, 3)), -1, [0, 5e3, 12345.6], cells=64),
    lambda: first_passage(Diffusion(lambda x: 1 - x, 0.1, (0, 1e4)), FINE, 0.5),
    lambda: analyze(Diffusion(lambda x: 1000.123 - x, 1e-8, (1000.12, 1000.13))),
], ids=["sweep", "evolve", "passage", "analyze"])  # fmt: skip
def test_numbers_along_a_narrow_panel_do_not_touch_each_other_or_its_name(find):
    figure = find().plot(width="column")
    renderer = drawn(figure)
    for axes in figure.axes:
        numbers = [t for t in axes.get_xticklabels() if t.get_text() and t.get_visible()]
        boxes = sorted(t.get_window_extent(renderer).extents.tolist() for t in numbers)
        for one, other in itertools.pairwise(boxes):
            assert one[2] + 2 < other[0] or one[0] == other[0]
        power = axes.xaxis.get_offset_text()
        if power.get_text() and axes.get_xlabel():
            name = axes.xaxis.label.get_window_extent(renderer)
            assert not name.overlaps(power.get_window_extent(renderer))


def test_times_of_an_evolution_are_named_within_the_page():
    times = np.linspace(0, 12345.678, 8)
    found = evolve(Diffusion(lambda x: x - x**3, 0.2, (-3, 3)), -1, times, cells=64)
    figure = found.plot(width="column")
    renderer = drawn(figure)
    legend = figure.axes[0].get_legend()
    assert legend.get_title().get_text() == "time"
    box, page = legend.get_window_extent(renderer), figure.bbox
    assert page.x0 <= box.x0 < box.x1 <= page.x1
    assert figure.axes[0].get_title("left") == ""


def test_letters_of_panels_follow_each_other_as_they_are_read():
    sheet = Sheet(None, "column", "plane")
    cells = sheet.grid(1.0, 2.0, widths=(2.0, 1.0))
    for place in ((1, 0), (0, 0), (1, 1)):  # as the plane is drawn
        sheet.figure.add_subplot(cells[place])
    figure = sheet.finished()
    drawn(figure)
    letters = {
        t.get_text(): t.get_window_extent(figure.canvas.get_renderer())
        for axes in figure.axes
        for t in axes.texts
        if t.get_text() in "abc"
    }
    assert letters["a"].y0 > letters["b"].y1
    assert letters["b"].x0 < letters["c"].x0
    assert letters["b"].y0 == pytest.approx(letters["c"].y0)


@pytest.mark.parametrize("name", ["a" * 80, "two words " * 9, "b" * 500])
def test_a_long_name_is_told_as_far_as_there_is_room(name):
    figure = analyze(Diffusion(lambda x: -x, 1, (-3, 3), name=name)).plot()
    told = figure.get_suptitle()
    assert len(told) > 80
    assert told[:20] == name[:20]
    renderer = drawn(figure)
    assert figure._suptitle.get_window_extent(renderer).x1 < figure.bbox.x1


def test_a_line_that_hides_another_is_narrower():
    """It had gaps over one axis, and half of its width over two, where both looked greenish."""

    def widths(found):
        lines = [
            [line for line in ax.lines if len(line.get_xdata()) == 3] for ax in found.plot().axes
        ]
        return [[line.get_linewidth() for line in panel] for panel in lines]

    k = {"k": np.linspace(1, 2, 3)}
    lower, upper = widths(sweep(lambda k: Diffusion(lambda x: k * x - x**3, 0.3, (-4, 4)), k))[0]
    assert lower == 2.5 * upper
    apart = sweep(lambda k: Diffusion(lambda x: 0.1 + k * x - x**3, 0.3, (-4, 4)), k)
    assert widths(apart) == [[upper, upper]]
    made = sweep(  # times beyond doubles, two by two the same; deviations that differ by 2e-3
        lambda k, a: Diffusion(lambda x: k * x - x**3, a, (-4, 4)),
        {"k": np.linspace(1, 1.2, 3), "a": [1e-3, 1e-2]},
        quantities=["exit_time", "std"],
    )
    assert widths(made) == [[lower, upper] * 2, [upper] * 2]


def test_a_passage_is_drawn_down_to_its_target_and_what_has_no_name_has_no_title():
    figure = first_passage(Diffusion(lambda x: -x, 1, (-4, 4)), [-1, 0, 1], 1).plot()
    assert [line.get_ydata()[-1] for line in figure.axes[0].lines] == [0, 0]
    assert figure.get_suptitle() == ""


def test_panels_of_a_sweep_say_what_their_own_lines_are():
    """Of two minima and two variances colours and dashes meant another thing in each panel."""
    found = sweep(
        lambda k, a: Diffusion(lambda x: k * x - x**3, a, (-4, 4)),
        {"k": [1.5, 1.7, 2.0], "a": [0.2, 0.4]},
        quantities=["exit_time", "barrier_left", "mean"],
    )
    figure = found.plot()
    times, barriers, means = figure.axes
    told = [[t.get_text() for t in ax.get_legend().get_texts()] for ax in figure.axes]
    assert told[1] == [name for name in told[0] if "minimum 1" in name]
    assert told[2] == ["a = 0.2", "a = 0.4"]
    of = dict(zip(told[0], times.get_lines(), strict=True))
    for name, line in zip(told[1], barriers.get_lines(), strict=True):
        assert line.get_color() == of[name].get_color()
        assert line.get_linestyle() == of[name].get_linestyle()
    assert means.get_ylim() == (-1, 1)  # 0 but for rounding, of which axes showed 1e-15


def test_what_stands_at_the_first_value_is_not_cut_in_half():
    made = sweep(
        lambda h, k: Diffusion(lambda x: h + k * x - x**3, 0.3, (-4, 4)),
        {"h": np.linspace(-0.2, 0.2, 4), "k": [1.0, 1.5]},
    )
    for found in (made, sweep("examples/family.py", learning_rate=[0.02, 0.05])):
        axes = found.plot().axes[0]
        markers = [line for line in axes.lines if line.get_marker() not in ("", "None", None)]
        assert not any(line.get_clip_on() for line in markers if len(line.get_xdata()))


def test_a_number_of_an_axis_is_no_minus_zero():
    """Around 1e6 the middle is -1e-10 by rounding."""
    figure = analyze(Diffusion(lambda x: -(x - 1e6), 1e-12, (-math.inf, math.inf))).plot()
    figure.draw_without_rendering()
    told = [text.get_text() for axes in figure.axes for text in axes.get_xticklabels()]
    assert "0" in told
    assert not {"-0", "\N{MINUS SIGN}0", "\N{MINUS SIGN}0.0"} & set(told)
