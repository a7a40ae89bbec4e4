"""Ranges as they are typed: what they name, and what a wrong one is told."""

from __future__ import annotations

import numpy as np
import pytest

from stationary import LandscapeError
from stationary.sources.ranges import MOST_VALUES, checked_values, values_from


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.05", [0.05]),
        ("1,2,4,8", [1, 2, 4, 8]),
        (" 1, -2.5 ,4e3", [1, -2.5, 4e3]),
        ("0:1:5", [0, 0.25, 0.5, 0.75, 1]),
        ("-1:1:3", [-1, 0, 1]),
        ("0:1:5:linear", [0, 0.25, 0.5, 0.75, 1]),
        ("1:1000:4:log", [1, 10, 100, 1000]),
        ("3:3:1", [3]),
    ],
)
def test_a_range_names_its_numbers(text, values):
    np.testing.assert_allclose(values_from(text, "--set s"), values, rtol=1e-15)


def test_the_ends_of_a_range_are_exactly_what_was_typed():
    for text in ("1e-3:1e-1:50:log", "0.1:0.7:31"):
        values = values_from(text, "-T")
        assert repr(float(values[0])) == str(float(text.split(":")[0]))
        assert repr(float(values[-1])) == str(float(text.split(":")[1]))
        assert (np.diff(values) > 0).all()


def test_whole_numbers_come_as_integers():
    values = values_from("1:10:10", "-B", whole=True)
    assert values.dtype.kind == "i"
    assert values.tolist() == list(range(1, 11))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("1:0:5", "runs down from 1 to 0"),
        ("0:1:0", "asks for 0 values"),
        ("0:1:-3", "asks for -3 values"),
        ("0:1:2.5", "'2.5' as its COUNT"),
        ("-1:10:5:log", "-1 has no place"),
        ("0:10:5:log", "0 has no place"),
        ("1:0:5:log", "0 has no place"),
        ("1:10:5:lg", "ends in 'lg'"),
        ("1:10", "two parts"),
        ("1:10:5:log:7", "5 parts"),
        ("fast", "'fast' in it where a number"),
        ("1,two,3", "'two' in it"),
        ("1,,3", "something that is left out"),
        ("nan", "must be finite"),
        ("1:inf:3", "must be finite"),
        ("", "is empty"),
        ("  ", "is empty"),
        ("1:1:5", "begins and ends at 1"),
        ("1:2:1", "asks for one value between"),
        (f"0:1:{MOST_VALUES + 1}", "is the most"),
        ("-1e308:1e308:5", "overflow"),
        (":", "two parts"),
        ("::", "something that is left out"),
    ],
)
def test_a_wrong_range_is_shown_a_right_one(text, what):
    with pytest.raises(LandscapeError) as caught:
        values_from(text, "--learning-rate")
    message = str(caught.value)
    assert message.startswith(f"--learning-rate {text!r}: it ")
    assert what in message
    assert message.endswith("as in 1e-3:1e-1:50:log.")


@pytest.mark.parametrize(
    ("text", "rules", "what"),
    [
        ("0,1", {"positive": True}, "holds 0, but every value must be positive"),
        ("-1:1:5", {"positive": True}, "holds -1"),
        ("1:2:4", {"whole": True}, "holds 1.33333, but every value must be a whole number"),
        ("1e12", {"whole": True}, "beyond a billion"),
        ("1,2,3", {"most": 2}, "names 3 values, and 2 is the most"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(text, rules, what):
    with pytest.raises(LandscapeError, match=what):
        values_from(text, "--option", **rules)


def test_ranges_of_eps_may_run_down_by_constant_factors():
    values = values_from("1e-1:1e-3:3", "--eps", geometric=True, downwards=True)
    np.testing.assert_allclose(values, [1e-1, 1e-2, 1e-3], rtol=1e-14)


def test_values_given_from_python_are_sorted_and_each_is_taken_once():
    assert checked_values([3, 1.0, 2, 1], "x") == (1.0, 2.0, 3.0)
    assert checked_values(0.5, "x") == (0.5,)
    assert checked_values(np.array([4, 2]), "batch_size", whole=True) == (2, 4)
    assert checked_values(np.float64(2), "x") == (2.0,)


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        ([], {}),
        ([np.nan], {}),
        (["0.1"], {}),
        ("0.1", {}),
        ([True], {}),
        ([0.0], {"positive": True}),
        ([-1], {"positive": True}),
        ([1.5], {"whole": True}),
        ([1j], {}),
        ([[1, 2]], {}),
        (None, {}),
        (np.array([[1.0, 2.0]]), {}),
    ],
)
def test_values_of_no_use_are_refused_with_an_example(given, rules):
    with pytest.raises(LandscapeError, match=r"learning_rate: .* as in "):
        checked_values(given, "learning_rate", **rules)
