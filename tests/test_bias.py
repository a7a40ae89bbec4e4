"""How much wider wins: the law of a stretched copy, the parts of a ratio, and what they say."""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stationary import (
    Diffusion,
    Landscape,
    LandscapeError,
    analyze,
    basins_of,
    end_state,
    load,
    table,
)
from stationary.bias import width_bias
from stationary.questions.width.dilation import dilation_bias, noise_bias
from stationary.questions.width.stretch import best_stretch

EXAMPLES = Path(__file__).parent.parent / "examples"
TWO_MINIMA = load(EXAMPLES / "two_minima.py")


def quartic(w):
    """A tilted double well, seen by three datapoints that are shifted and scaled."""
    return tuple((1 + s) * ((w - s) ** 4 / 4 - (w - s) ** 2 / 2 + 0.1 * w) for s in (-0.2, 0, 0.3))


LANDSCAPES = {
    "two minima": TWO_MINIMA,
    "small steps": replace(TWO_MINIMA, learning_rate=2e-4),  # exponents of 1e4
    "quartic": Landscape(losses=quartic, learning_rate=0.05, domain=(-2, 2.2)),
    "sines": Landscape(
        losses=lambda w: (np.sin(3 * w) + 0.1 * w**2, np.cos(2 * w + 1), 0.5 * np.sin(w)),
        learning_rate=0.2,
        batch_size=2,
        domain=(-3, 3),
    ),
    "gradients": Landscape(
        gradients=lambda w: (w**3 - w + 0.4, w**3 - w - 0.5 * np.cos(w), w**3 - w + w / 3),
        learning_rate=0.03,
        batch_size=2,
        replacement=False,
        domain=(-2, 2),
    ),
    "one minimum": Landscape(
        losses=lambda w: ((w - 0.3) ** 2, np.cosh(w) + 0.2 * w, w**2 - np.sin(w)),
        learning_rate=0.5,
        domain=(-2, 2),
    ),
}


def joined(landscape, basin, top, factor):
    """The basin beyond `top`, and its stretched copy on the other side."""
    far = basin.upper if top == basin.lower else basin.lower

    def back(w):
        """Where in the basin a weight of the copy comes from."""
        copied = w < top if far > top else w > top
        return np.where(copied, top + (top - w) / factor, w), np.where(copied, -1 / factor, 1.0)

    def losses(w):
        return landscape.losses(back(w)[0])

    def gradients(w):
        inside, slope = back(w)
        return [g * slope for g in landscape.gradients(inside)]

    given = {"losses": losses} if landscape.losses is not None else {"gradients": gradients}
    ends = sorted((far, top + (top - far) * factor))
    return Landscape(
        **given,
        learning_rate=landscape.learning_rate,
        batch_size=landscape.batch_size,
        replacement=landscape.replacement,
        domain=tuple(ends),
        breakpoints=(top,),
    )


@pytest.mark.parametrize("factor", [1.01, 1.5, 2.0, 5.0, 10.0])
@pytest.mark.parametrize("name", LANDSCAPES)
def test_a_basin_joined_with_its_stretched_copy_obeys_the_law(name, factor):
    """The copy over the basin, from the ordinary pipe on the landscape that has both."""
    landscape = LANDSCAPES[name]
    state = end_state(landscape)
    basin = basins_of(state)[-1]
    bias = dilation_bias(state, basin, [factor])
    both = end_state(joined(landscape, basin, bias.top, factor))
    minima = basins_of(both)
    assert len(minima) == 2
    own = int(np.argmin([abs(b.position - basin.position) for b in minima]))
    one, copy = minima[own], minima[1 - own]

    exact = copy.log_mass - one.log_mass
    assert bias.log_mass_ratios[0] == pytest.approx(exact, rel=1e-12, abs=1e-12)
    claimed = bias.mass_errors[0] + one.mass_error + copy.mass_error
    assert abs(bias.log_mass_ratios[0] - exact) <= claimed

    exact = copy.log_density - one.log_density
    assert bias.log_density_ratios[0] == pytest.approx(exact, rel=1e-12, abs=1e-12)
    law = 2 * math.log(factor) + (factor**2 - 1) * bias.exponent
    assert bias.log_density_ratios[0] == pytest.approx(law, rel=1e-15)


def test_ratios_beyond_exp_of_a_million_keep_their_digits():
    landscape = replace(TWO_MINIMA, learning_rate=1e-4)
    doubles = dilation_bias(end_state(landscape), 1, [1.01, 3.0, 10.0])
    digits = dilation_bias(end_state(landscape, digits=20), 1, [1.01, 3.0, 10.0])
    assert doubles.log_mass_ratios[-1] > 1e6
    for found, error, exact in zip(
        doubles.log_mass_ratios, doubles.mass_errors, digits.log_mass_ratios, strict=True
    ):
        assert abs(float(found - exact)) <= error
        assert error <= 1e-12 * abs(found)


@pytest.mark.parametrize("convention", ["ito", "stratonovich", "klimontovich"])
def test_a_diffusion_obeys_the_law_of_its_convention(convention):
    process = Diffusion(
        drift=lambda x: x - x**3,
        variance=lambda x: 0.2 + 0.1 * x**2,
        domain=(-2, 2),
        convention=convention,
    )
    state = end_state(process)
    factor = 2.0
    bias = dilation_bias(state, 1, [factor])
    top = bias.top

    def back(x):
        return np.where(x < top, top + (top - x) / factor, x)

    both = Diffusion(
        drift=lambda x: process.drift(back(x)) * np.where(x < top, -1 / factor, 1.0),
        variance=lambda x: process.variance(back(x)) / np.where(x < top, factor**2, 1.0),
        domain=(top - (2 - top) * factor, 2),
        breakpoints=(top,),
        convention=convention,
    )
    copy, one = basins_of(end_state(both))
    assert bias.log_mass_ratios[0] == pytest.approx(copy.log_mass - one.log_mass, abs=1e-11)
    density = copy.log_density - one.log_density
    assert bias.log_density_ratios[0] == pytest.approx(density, abs=1e-11)


def test_additive_noise_gives_no_bias_but_the_width():
    """With the same noise a stretch that leaves the potential alone gives mass ratio lambda.

    Stretching divides the variance by lambda^2; scaling it back by kappa = lambda^2 undoes the
    exponent, so the two laws together must give a density ratio of 1.
    """
    state = end_state(TWO_MINIMA)
    lam = 1.7
    stretched = dilation_bias(state, 1, [lam])
    exponent = stretched.exponent * lam**2
    # The copy with its noise multiplied by lambda^2: exponent I again, prefactor lambda^2 gone.
    undone = stretched.log_density_ratios[0] + (1 / lam**2 - 1) * exponent - math.log(lam**2)
    assert undone == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kappa", [0.3, 1.0, 4.0])
def test_a_basin_with_its_noise_scaled_is_what_the_joined_process_says(kappa):
    process = TWO_MINIMA.diffusion()
    state = end_state(process)
    bias = noise_bias(state, 1, [kappa])
    top, far = bias.top, 3.0

    def back(x):
        return np.where(x < top, 2 * top - x, x)

    both = Diffusion(
        drift=lambda x: np.where(x < top, -1.0, 1.0) * process.drift(back(x)),
        variance=lambda x: np.where(x < top, kappa, 1.0) * process.variance(back(x)),
        domain=(2 * top - far, far),
        breakpoints=(top,),
    )
    copy, one = basins_of(end_state(both))
    assert bias.log_mass_ratios[0] == pytest.approx(copy.log_mass - one.log_mass, abs=1e-12)
    density = copy.log_density - one.log_density
    assert bias.log_density_ratios[0] == pytest.approx(density, abs=1e-12)
    law = -math.log(kappa) + (1 / kappa - 1) * bias.exponent
    assert bias.log_density_ratios[0] == pytest.approx(law, rel=1e-14, abs=1e-14)


def test_the_share_of_a_minimum_stretched_where_it_is():
    """Against the landscape in which the right basin is replaced by its stretched self."""
    factor = 1.2
    state = end_state(TWO_MINIMA)
    basin = basins_of(state)[1]
    top = basin.lower

    def losses(w):
        inside = np.where(w > top, top + (w - top) / factor, w)
        return TWO_MINIMA.losses(inside)

    changed = Landscape(
        losses=losses, learning_rate=0.1, domain=(-4, top + (3 - top) * factor), breakpoints=(top,)
    )
    bias = dilation_bias(state, basin, [1.0, factor])
    assert bias.log_shares[0] == pytest.approx(basin.log_mass, abs=1e-13)
    exact = basins_of(end_state(changed))[1]
    assert bias.log_shares[1] == pytest.approx(exact.log_mass, abs=1e-12)
    assert abs(bias.log_shares[1] - exact.log_mass) <= bias.share_errors[1] + exact.mass_error


def test_the_share_of_a_minimum_between_two_others():
    process = Diffusion(
        drift=lambda x: -np.sin(3 * x) - 0.1 * x, variance=0.9, domain=(-3, 3.1), breakpoints=()
    )
    state = end_state(process)
    minima = basins_of(state)
    assert len(minima) == 3
    middle, factor = minima[1], 1.1
    low, high, at = middle.lower, middle.upper, middle.position

    def back(x):
        """The middle basin stretched, the others moved apart."""
        left, right = at - (at - low) * factor, at + (high - at) * factor
        inside = (x > left) & (x < right)
        outer = np.where(x <= left, x - left + low, x - right + high)
        return np.where(inside, at + (x - at) / factor, outer), inside

    left, right = at - (at - low) * factor, at + (high - at) * factor
    changed = Diffusion(
        drift=lambda x: process.drift(back(x)[0]) / np.where(back(x)[1], factor, 1.0),
        variance=lambda x: 0.9 / np.where(back(x)[1], factor**2, 1.0),
        domain=(-3 + left - low, 3.1 + right - high),
        breakpoints=(left, right),
    )
    exact = basins_of(end_state(changed))[1].log_mass
    assert dilation_bias(state, 1, [factor]).log_shares[0] == pytest.approx(exact, abs=1e-11)


@pytest.mark.parametrize("file", ["two_minima.py", "noisy_double_well.py", "pit.py"])
def test_the_parts_of_a_ratio_add_up_to_it(file):
    for ratio in analyze(EXAMPLES / file).bias:
        whole = ratio.exponent + ratio.noise + ratio.width
        assert whole == pytest.approx(ratio.log_mass, rel=1e-13, abs=1e-13)
        assert ratio.log_density == pytest.approx(ratio.exponent + ratio.noise, rel=1e-13)
        causes = ratio.causes
        whole = causes.depth + causes.width + causes.noise
        assert whole == pytest.approx(ratio.log_mass, rel=1e-13, abs=1e-13)
        one, two = ratio.exponents
        assert one - two == pytest.approx(ratio.exponent, rel=1e-13)


def test_the_exponents_of_a_ratio_are_those_of_closed_form():
    """f = x - x^3 with a = 0.2: I = (x^2 - x^4 / 2) / a at x = 1, whatever the tilt of a."""
    process = Diffusion(drift=lambda x: x - x**3, variance=0.2, domain=(-2, 2))
    (ratio,) = analyze(process).bias
    assert ratio.exponents == pytest.approx((2.5, 2.5), rel=1e-13)
    assert ratio.depths == pytest.approx((0.25, 0.25), rel=1e-13)
    assert ratio.log_mass == pytest.approx(0, abs=1e-13)
    # Laplace: exp(-2 V / a) around x = 1 with V'' = 2 has the width sqrt(pi a / 2).
    assert ratio.laplace == pytest.approx(0, abs=1e-13)


def test_laplace_is_approached_as_the_noise_falls():
    off = []
    for rate in (0.1, 0.01, 0.001):
        (ratio,) = analyze(replace(TWO_MINIMA, learning_rate=rate)).bias
        off.append(abs(ratio.laplace - ratio.log_mass))
    assert off[1] < off[0] / 5
    assert off[2] < off[1] / 5


@pytest.mark.parametrize("factor", [1.01, 2.5, 10.0])
def test_a_stretched_copy_is_found_out_whatever_constants_and_order(factor):
    state = end_state(TWO_MINIMA)
    basin = basins_of(state)[1]
    top = basin.lower
    one = joined(TWO_MINIMA, basin, top, factor)

    def losses(w):
        left, right = one.losses(w), one.losses(w)
        shuffled = [left[i] for i in (2, 0, 3, 1)]
        return [
            np.where(w < top, a, b + c)
            for a, b, c in zip(shuffled, right, (1, 2, -3, 0.5), strict=True)
        ]

    both = Landscape(losses=losses, learning_rate=0.1, domain=one.domain, breakpoints=(top,))
    (ratio,) = analyze(both).bias
    assert ratio.stretch.factor == pytest.approx(factor, rel=1e-9)
    assert ratio.stretch.misfit < 1e-7
    assert ratio.stretch.mirrored
    assert ratio.predicted == pytest.approx((ratio.log_density, ratio.log_mass), rel=1e-8)
    assert ratio.causes.stretched
    assert ratio.causes.depth == pytest.approx(0, abs=1e-6 * ratio.log_mass)


def test_what_is_no_copy_is_not_called_one():
    (ratio,) = analyze(TWO_MINIMA).bias
    assert not ratio.stretch.fits
    assert ratio.predicted is None
    assert not ratio.causes.stretched
    # Its mean loss is two Gaussians, one twice as wide, that overlap a little.
    assert ratio.mean_stretch.factor == pytest.approx(2, rel=0.1)


def test_exchanging_the_minima_only_changes_the_sign_of_the_causes():
    def losses(w):
        return TWO_MINIMA.losses(-w)

    mirrored = Landscape(losses=losses, learning_rate=0.1, domain=(-3, 4))
    (one,), (two,) = analyze(TWO_MINIMA).bias, analyze(mirrored).bias
    assert one.indices == (0, 1)
    assert two.indices == (1, 0)
    assert two.causes.depth == pytest.approx(one.causes.depth, abs=1e-10)
    assert two.causes.noise == pytest.approx(one.causes.noise, abs=1e-10)


def test_a_stretch_by_potentials_where_there_are_no_losses():
    process = Diffusion(drift=lambda x: x - x**3, variance=0.2, domain=(-np.inf, np.inf))
    basins = basins_of(end_state(process))
    fit = best_stretch(process, *basins)
    assert fit.factor == pytest.approx(1, abs=1e-9)
    assert fit.datapoints == 0


# What is said, and what is refused.


def test_the_answer_is_one_line():
    text = width_bias(EXAMPLES / "two_minima.py").summary()
    first = " ".join(text.splitlines()[1:3])
    assert "holds 35.4 times the mass of the one at" in first
    assert "from width" in first
    assert "from depth" in first
    assert max(map(len, text.splitlines())) <= 80


def test_one_minimum_offers_a_stretch():
    text = width_bias(EXAMPLES / "ornstein_uhlenbeck.py").summary()
    assert "no second one" in " ".join(text.split())
    assert "--dilate 1:4:13" in text


def test_minima_that_are_one_basin_are_not_called_one_minimum():
    process = Diffusion(lambda x: x - x**3, 1.0, (-3, 3))
    words = " ".join(width_bias(process).summary().split())
    assert "There is one basin, around x = -1, and no second one" in words
    assert "2 minima were merged into one basin" in words
    assert "2 more pairs" not in words
    five = Diffusion(lambda x: -np.sin(2 * np.pi * x), 0.05, (-2.3, 2.3))
    assert "4 more pairs: --json lists them all." in width_bias(five).summary().split("What the")[0]


def test_minima_in_different_closed_classes_ask_for_a_start():
    two_traps = Diffusion(
        drift=lambda x: x * (1 - x**2),
        variance=lambda x: x**2 * (1 + 0.5 * x),
        domain=(-1.9, 1.9),
    )
    text = width_bias(two_traps).summary()
    assert "--initial" in text
    (ratio,) = width_bias(two_traps, initial="uniform:-1,1.5").ratios
    assert ratio.exponent is None
    assert "closed classes" in ratio.why


def test_json_and_csv_carry_every_number(tmp_path):
    bias = width_bias(EXAMPLES / "two_minima.py", minimum=1, dilate=[1, 2], noise=[2])
    table = json.loads(bias.to_json())
    assert table["ratios"][0]["log_mass"] == pytest.approx(3.5657818, rel=1e-6)
    assert table["dilation"]["lambda"] == [1, 2]
    assert table["noise"]["kappa"] == [2]
    rows = list(csv.DictReader(io.StringIO(bias.to_csv())))
    assert [(r["lambda"], r["kappa"]) for r in rows] == [("1.0", ""), ("2.0", ""), ("", "2.0")]
    assert float(rows[2]["log_mass_ratio"]) == bias.noise.log_mass_ratios[0]
    assert float(rows[1]["log_mass_ratio"]) == bias.dilation.log_mass_ratios[1]
    pairs = list(csv.DictReader(io.StringIO(width_bias(EXAMPLES / "two_minima.py").to_csv())))
    assert [(r["first"], r["second"]) for r in pairs] == [("0", "1")]
    assert "by lambda" in bias.summary()
    assert "by kappa" in bias.summary()


def test_the_figures_are_drawn(tmp_path):
    changed = width_bias(EXAMPLES / "two_minima.py", minimum=1, dilate=[1, 2, 4])
    changed.plot(tmp_path / "changed.png")
    width_bias(EXAMPLES / "two_minima.py").plot(tmp_path / "parts.svg")
    width_bias(EXAMPLES / "ornstein_uhlenbeck.py").plot(tmp_path / "none.png")
    assert {p.name for p in tmp_path.iterdir()} == {"changed.png", "parts.svg", "none.png"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dilate": [1, 2]}, "there are 2 minima: 0 at w = -1.5"),
        ({"minimum": 2, "dilate": [1]}, "there is no minimum 2"),
        ({"minimum": 0, "dilate": [0.0]}, "must be numbers from 1e-06"),
        ({"minimum": 0, "dilate": []}, "must be numbers from 1e-06"),
        ({"minimum": 0, "noise": [math.nan]}, "kappa ="),
        ({"minimum": 0}, "nothing is asked of it"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_way_out(arguments, words):
    with pytest.raises(LandscapeError, match=words):
        width_bias(EXAMPLES / "two_minima.py", **arguments)


def test_a_minimum_without_a_top_cannot_be_joined():
    with pytest.raises(LandscapeError, match="no barrier"):
        width_bias(EXAMPLES / "ornstein_uhlenbeck.py", dilate=[2])


# Where minima are held by more than one class, or by none.

TWO_CLASSES = Diffusion(
    drift=lambda x: np.sin(5 * x), variance=lambda x: x**2 * (1 + 0.3 * x), domain=(-2.2, 2.1)
)


def test_a_changed_basin_shares_with_its_own_closed_class_only():
    """Against the same class by itself, x > 0, whose weight the start decides."""
    alone = end_state(replace(TWO_CLASSES, domain=(0, 2.1)))
    expected = dilation_bias(alone, 0, [0.5, 2.0], min_barrier=0)
    found = dilation_bias(end_state(TWO_CLASSES), 2, [0.5, 2.0], min_barrier=0)
    assert found.log_shares == pytest.approx(expected.log_shares, abs=1e-12)
    weighted = dilation_bias(
        end_state(TWO_CLASSES, initial="uniform:-1,1.5"), 2, [0.5, 2.0], min_barrier=0
    )
    assert weighted.log_shares == pytest.approx(expected.log_shares + math.log(0.6), abs=1e-12)
    text = " ".join(width_bias(TWO_CLASSES, minimum=2, dilate=[2], min_barrier=0).summary().split())
    assert "of its closed class" in text
    assert "all probability" not in text


def test_what_is_around_no_minimum_shares_with_a_changed_basin():
    """Noise that grows as x^4 brings back from where the drift leads to infinity."""
    process = Diffusion(
        drift=lambda x: -np.sin(3 * x) * np.exp(-x * x) + 0.3 * x,
        variance=lambda x: (1 + x**2) ** 2,
        domain=(-np.inf, np.inf),
    )
    bias = width_bias(process, minimum=0, dilate=[1, 1.5])
    (basin,) = bias.basins
    assert basin.mass < 0.9
    assert bias.dilation.log_shares[0] == pytest.approx(basin.log_mass, abs=1e-13)
    assert "is around no minimum" in width_bias(process).summary()


def test_minima_of_one_class_that_the_noise_parts_are_compared():
    """The variance sqrt|x| vanishes at 0, and the process passes there both ways."""
    process = Diffusion(
        drift=lambda x: x - x**3, variance=lambda x: 0.3 * np.sqrt(np.abs(x)), domain=(-2, 2)
    )
    bias = width_bias(process)
    (ratio,) = bias.ratios
    assert abs(ratio.log_mass) <= ratio.mass_error < 1e-12
    assert "the noise vanishes between them" in ratio.why
    assert "hold the same, to within the error" in bias.summary()


def test_a_minimum_at_a_wall_meets_its_copy_at_the_other_one():
    process = Diffusion(drift=lambda x: -1 - x**2, variance=0.5, domain=(0, 2))
    bias = dilation_bias(end_state(process), 0, [2.0])
    assert bias.top == 2
    assert bias.exponent == pytest.approx(2 * (2 + 8 / 3) / 0.5, rel=1e-13)


@pytest.mark.parametrize(
    ("drift", "words"),
    [
        (lambda x: -8 * (x**2 - 1) ** 3 * x, "a corner, or flat"),
        (lambda x: np.where(x < 0, -np.sign(x + 1), 1 - x), "a corner, or flat"),
        (lambda x: x - x**3, "Exponents up to the barrier"),
    ],
)
def test_laplace_is_not_given_where_no_gaussian_is(drift, words):
    process = Diffusion(drift=drift, variance=0.2, domain=(-2, 2))
    (ratio,) = analyze(process).bias
    assert (ratio.laplace is None) == ("flat" in words)
    assert words in width_bias(process).summary()


def test_half_a_gaussian_leans_on_a_wall_where_the_drift_vanishes():
    """f = x - x^3 on [-1, 2] with little noise: the wall cuts the left well in halves."""
    process = Diffusion(drift=lambda x: x - x**3, variance=1e-8, domain=(-1, 2))
    (ratio,) = analyze(process).bias
    assert ratio.laplace == pytest.approx(ratio.log_mass, abs=1e-3)
    assert ratio.log_mass == pytest.approx(math.log(2), abs=1e-3)


def test_parts_have_errors_that_hold_for_minima_far_apart():
    """Five wells of f = -2 sin(4 x) + x / 20, against the same in 25 digits."""
    process = Diffusion(
        drift=lambda x: -2 * np.sin(4 * x) + 0.05 * x,
        variance=lambda x: 1e3 * (0.2 + 0.05 * np.sin(x)),
        domain=(-3.8, 3.9),
    )
    exact = {r.indices: r for r in analyze(process, digits=25).bias}
    for r in analyze(process).bias:
        other = exact[r.indices]
        assert abs(r.log_density - other.log_density) <= r.density_error
        assert abs(r.exponent - other.exponent) <= r.exponent_error
        assert abs(r.noise - other.noise) <= r.noise_error
        assert abs(r.width - other.width) <= r.width_error
        assert abs(r.causes.depth - other.causes.depth) <= r.causes.depth_error
        assert r.exponent + r.noise + r.width == pytest.approx(r.log_mass, rel=1e-14, abs=1e-14)


def test_the_exponent_of_a_shallow_minimum_keeps_its_digits_beside_a_deep_one():
    process = Diffusion(
        drift=lambda x: -2 * np.sin(4 * x) * (1 + 3e5 * np.exp(-9 * (x + 2) ** 2)),
        variance=lambda x: 0.2 + 0.05 * np.sin(x),
        domain=(-3.8, 3.9),
    )
    exact = {r.indices: r for r in analyze(process, digits=25).bias}
    for r in analyze(process).bias:
        for mine, true, error in zip(
            r.exponents, exact[r.indices].exponents, r.exponent_errors, strict=True
        ):
            assert mine == pytest.approx(float(true), rel=1e-14)
            assert abs(mine - true) <= error


@pytest.mark.parametrize("changed", [dilation_bias, noise_bias])
def test_a_basin_that_is_hardly_changed_has_ratios_within_their_errors(changed):
    """Rounding of the factor's square or inverse is all of it next to 1."""
    process = Diffusion(lambda x: x - x**3 + 0.1, lambda x: 0.05 + 0.01 * x, (-3, 3))
    factors = np.random.default_rng(1).uniform(0.8, 1.2, 100)
    found, exact = (changed(end_state(process, digits=d), 0, factors) for d in (None, 30))
    for ratios, errors in (
        ("log_density_ratios", found.density_errors),
        ("log_mass_ratios", found.mass_errors),
        ("log_shares", found.share_errors),
    ):
        assert (np.abs(getattr(found, ratios) - getattr(exact, ratios)) <= errors).all()


# Copies that are found out, whatever lies beyond their borders.


@pytest.mark.parametrize("factor", [0.9, 1.01, 2.0, 30.0])
def test_a_copy_is_found_out_though_the_losses_jump_at_the_top(factor):
    """Each loss is shifted on one side, so that a step beyond the top meets another world."""

    def losses(w):
        u = np.where(w < 0, -w / factor, w)
        rows = [np.cos(2 * u) + s * u / 2 for s in (1, -1)]
        return [
            np.where(w < 0, b + i, a) for i, (a, b) in enumerate(zip(rows, rows[::-1], strict=True))
        ]

    both = Landscape(losses=losses, learning_rate=0.3, domain=(-2 * factor, 2), breakpoints=(0,))
    (ratio,) = analyze(both).bias
    fit = ratio.stretch
    wide = factor if ratio.indices[0] == 0 else 1 / factor
    assert fit.factor == pytest.approx(wide, rel=1e-8)
    assert fit.misfit < 1e-7
    assert ratio.predicted == pytest.approx((ratio.log_density, ratio.log_mass), rel=1e-7)


def test_the_law_says_nothing_of_copies_that_do_not_meet():
    """Three equal wells: the outer ones are copies, with the middle one between them."""
    process = Diffusion(drift=lambda x: -np.sin(2 * np.pi * x), variance=0.4, domain=(-1.5, 1.5))
    bias = width_bias(process)
    outer = next(r for r in bias.ratios if set(r.indices) == {0, 2})
    assert outer.stretch.fits
    assert outer.predicted is None
    inner = next(r for r in bias.ratios if 1 in r.indices)
    assert inner.predicted == pytest.approx((0, 0), abs=1e-8)
    assert "a barrier in common" in " ".join(bias.summary().split())


def test_parts_that_change_nothing_are_a_factor_of_1():
    words = width_bias(Diffusion(lambda x: x - x**3, 0.1, (-3, 3))).summary()
    assert "hold the same, to within the error: 1 from width" in words
    assert "10^0.00" not in words
    assert "-0" not in words


def test_a_finished_end_state_is_compared_as_its_process_is():
    state = end_state(Diffusion(lambda x: x - x**3 + 0.1, 0.2, (-3, 3)))
    for how in ({}, {"minimum": 0, "dilate": [1, 2]}, {"min_barrier": 100.0}):
        assert width_bias(state, **how).to_dict() == width_bias(state.diffusion, **how).to_dict()


@pytest.mark.parametrize("points", [13, 21, 31])
def test_noise_and_depths_of_a_table_of_gradients_know_what_interpolation_does_not(points):
    w, c = np.linspace(-2, 2, points), np.linspace(-1, 1, 40)[:, None]

    def gradients(w):
        return (1 + 0.2 * c) * (w**3 - w) + 0.5 * np.sin(3 * w + c) + 0.3 * c

    given = table({"w": w, "gradients": gradients(w)}).landscape(learning_rate=0.1)
    exact = Landscape(gradients=gradients, domain=(-2, 2), learning_rate=0.1)
    (found, *_), (true, *_) = (analyze(p, chain=False).bias for p in (given, exact))
    assert abs(found.noise - true.noise) < found.noise_error < 0.1
    for k in (0, 1):
        assert abs(found.depths[k] - true.depths[k]) < found.depth_errors[k] < 0.5 * true.depths[k]
