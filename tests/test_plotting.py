"""The figures: what is drawn is what the result says, and files are written whole or not at all."""

import importlib.util
import math
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from stationary.analysis import Analysis
from stationary.diffusion import Diffusion
from stationary.distribution import Atom
from stationary.errors import LandscapeError
from stationary.landscape import Landscape
from stationary.plotting import (
    INK,
    plot_analysis,
    plot_density,
    plot_gradients,
    plot_losses,
    save,
)
from stationary.solve import end_state
from stationary.view import drawn_range, mass_label


def analysed(process):
    return Analysis(process, end_state(process))


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
    """f = -k (x - 0.3) and a = 1: a peak of deviation 1 / sqrt(2 k), here 7e-6 of the width."""
    k = 1e10
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
    assert any(list(line.get_xdata()) == [0.1, 0.1] for line in axes.lines)


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
    assert right.get_ylim()[0] == 0


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
    figure = plot_analysis(two_minima, log=log)
    figure.draw_without_rendering()
    texts = [axes.yaxis.label for axes in figure.axes] + [figure.axes[2].xaxis.label]
    for axes in figure.axes:
        frame = axes.get_window_extent().padded(1)
        ticks = axes.get_yticklabels() + (axes.get_xticklabels() if axes is figure.axes[2] else [])
        texts += axes.texts + [
            t for t in ticks if t.get_text() and _inside(frame, axes, t.get_position())
        ]
        if axes.get_legend():
            texts += axes.get_legend().get_texts()
    boxes = [t.get_window_extent() for t in (*texts, *figure.texts)]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert all(figure.bbox.containsx(b.x0) and figure.bbox.containsx(b.x1) for b in boxes)


def _inside(frame, axes, position):
    x, y = position
    low, high = sorted(axes.get_ylim())
    left, right = sorted(axes.get_xlim())
    return (x in (0, 1) and low <= y <= high) or (y == 0 and left <= x <= right)


def test_names_and_variables_are_taken_literally():
    analysis = diffusion(lambda x: -x, 2.0, (-3, 3), name="cost in $ or \\frac", variable="price_$")
    figure = plot_analysis(analysis)
    figure.draw_without_rendering()
    assert figure.get_suptitle().startswith("cost in $ or \\frac")


def test_a_panel_is_drawn_on_the_axes_that_are_given(tilted):
    from matplotlib.figure import Figure

    first, second = Figure().subplots(2)
    assert plot_density(tilted, first) is first
    assert plot_losses(tilted, ax=second) is second


def test_drawing_warns_of_nothing_and_leaves_the_settings_alone(tilted, tmp_path):
    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(plot_analysis(tilted, log=True), tmp_path / "figure.png")
    assert dict(matplotlib.rcParams) == before


def test_matplotlib_is_not_imported_before_something_is_drawn():
    code = "import sys, stationary.plotting; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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
