"""Parameters of landscape files: who is given them, and what is said when something is wrong."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest

from stationary import Diffusion, LandscapeError, UserFunctionError, analyze, end_state, load

FAMILY = """
import numpy as np
learning_rate = 0.05
domain = (-3, 3)
parameters = {"sharpness": 100.0, "tilt": 0.5}

def losses(w, sharpness, tilt):
    well = -np.exp(-sharpness * (w - 1) ** 2) + 0.1 * w**4
    return well + tilt * w, well - tilt * w
"""
WALK = """
parameters = {"k": 1.0, "c": 2}
def drift(x, k):
    return -k * x
def variance(x, c):
    return c + 0 * x
"""


def test_losses_are_given_the_parameters_of_their_file(write):
    found = load(write(FAMILY))
    w = np.array([0.9, 1.1])
    well = -np.exp(-100.0 * (w - 1) ** 2) + 0.1 * w**4
    np.testing.assert_array_equal(found.losses(w), [well + 0.5 * w, well - 0.5 * w])
    assert dict(found.parameters) == {"sharpness": 100.0, "tilt": 0.5}


def test_changed_values_reach_the_functions_and_are_remembered(write):
    found = load(write(FAMILY), parameters={"sharpness": 30})
    assert found.losses(np.array([1.5]))[0] == pytest.approx(
        -np.exp(-30 * 0.25) + 0.1 * 1.5**4 + 0.75, rel=1e-15
    )
    assert dict(found.parameters) == {"sharpness": 30.0, "tilt": 0.5}
    assert dict(found.diffusion().parameters) == dict(found.parameters)
    with pytest.raises(TypeError):
        found.parameters["sharpness"] = 1.0


@pytest.mark.parametrize("k", [0.5, 3.0])
def test_each_function_is_given_those_that_it_takes(write, k):
    """f = -k x and a = c: a normal law of variance c / (2 k)."""
    state = end_state(load(write(WALK), parameters={"k": k}))
    assert state.var() == pytest.approx(1 / k, rel=1e-12)


@pytest.mark.parametrize("noise", ["sigma", "diffusivity"])
def test_noise_under_its_other_names_is_given_parameters_too(write, noise):
    text = WALK.replace("variance", noise)
    state = end_state(load(write(text), parameters={"c": 0.5}))
    a = {"sigma": 0.25, "diffusivity": 1.0}[noise]
    assert state.var() == pytest.approx(a / 2, rel=1e-12)


def test_gradients_are_given_parameters_too(write):
    text = "learning_rate = 0.1\nparameters = {'s': 1.0}\ndef gradients(w, s):\n"
    text += "    return s * w - 1, s * w + 1\n"
    state = end_state(load(write(text), parameters={"s": 2.0}))
    assert state.var() == pytest.approx(0.1 / 4, rel=1e-12)  # T S2 / (2 s)


def test_keywords_take_all_parameters(write):
    text = WALK.replace(
        "def drift(x, k):\n    return -k * x", "def drift(x, **p):\n    return -p['k'] * x"
    )
    assert end_state(load(write(text))).var() == pytest.approx(1, rel=1e-12)


def test_a_parameter_with_a_default_in_the_signature_is_set_all_the_same(write):
    text = WALK.replace("def drift(x, k)", "def drift(x, k=5.0)")
    assert end_state(load(write(text))).var() == pytest.approx(1, rel=1e-12)


def test_a_whole_number_stays_one_where_the_file_has_one(write):
    path = write(
        "domain = (-1, 1)\nparameters = {'n': 2}\nvariance = 1\n"
        "def drift(x, n):\n    return -sum(x for _ in range(n))\n"
    )
    assert type(load(path, parameters={"n": 3.0}).parameters["n"]) is int
    with pytest.raises(UserFunctionError, match="cannot be interpreted as an integer"):
        load(path, parameters={"n": 2.5})


def test_domain_and_breakpoints_may_follow_the_parameters(write):
    path = write(
        "import numpy as np\nparameters = {'wall': 2.0}\nvariance = 1\n"
        "def domain(wall):\n    return -wall, wall\n"
        "def breakpoints(wall):\n    return [wall / 2]\n"
        "def drift(x, wall):\n    return -np.sign(x - wall / 2)\n"
    )
    found = load(path, parameters={"wall": 4})
    assert found.domain == (-4, 4)
    assert found.breakpoints == (2.0,)


def test_an_error_in_a_function_of_the_parameters_shows_its_line(write):
    path = write(
        "parameters = {'k': 1.0}\nvariance = 1\ndrift = -1\ndef domain(k):\n    return 1 / 0\n"
    )
    with pytest.raises(UserFunctionError, match=r"line 5: .*ZeroDivisionError"):
        load(path)


def test_many_digits_work_with_parameters(write):
    state = end_state(load(write(WALK)), digits=25)
    assert abs(state.var() - 1) < 1e-24


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (FAMILY, {"sharpnes": 3}, "no parameter sharpnes .= 3.. Did you mean sharpness?"),
        (FAMILY, {"zzz": 3}, "It has sharpness, tilt."),
        (FAMILY, {"sharpness": np.nan}, "sharpness = nan must be a finite number"),
        (FAMILY, {"sharpness": "30"}, "must be a finite number"),
        (FAMILY, {"sharpness": True}, "must be a finite number"),
        (FAMILY, [("sharpness", 1)], "must be a dictionary"),
        (FAMILY.replace('"tilt": 0.5', '"tilt": "steep"'), {}, "tilt = 'steep' must be a finite"),
        (FAMILY.replace('"tilt": 0.5', "3: 0.5"), {}, "3 is no name"),
        (FAMILY.replace("sharpness, tilt)", "sharpness, tlt)"), {}, "takes tlt.*Did you mean tilt"),
        (FAMILY.replace("sharpness, tilt)", "sharpness, q)"), {}, "Add q to parameters"),
        (FAMILY.replace('"tilt"', '"tilt": 1, "extra"'), {}, "no function takes the parameter ex"),
        (FAMILY.replace("(w, sharpness, tilt)", "(sharpness, w, tilt)"), {}, "weight comes first"),
        (FAMILY.replace("parameters =", "parameter ="), {}, "did you mean `parameters`"),
        ("learning_rate = 1\nparameters = [1, 2]\ndef losses(w):\n return w**2, w\n", {},
         "rename it to _parameters"),
        (FAMILY.replace('"tilt"', '"domain"'), {}, "cannot be called domain"),
        ("learning_rate = 1\ndef losses(w):\n return w**2, w\n", {"sharpness": 2},
         "the file has no parameters. Write parameters = {'sharpness': 2}"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_remedy(write, text, changes, message):
    with pytest.raises(LandscapeError, match=message):
        load(write(text), parameters=changes)


def test_parameters_can_be_set_for_files_only():
    walk = Diffusion(drift=lambda x: -x, variance=1.0, domain=(-3, 3))
    with pytest.raises(LandscapeError, match="only be set for a file"):
        analyze(walk, parameters={"k": 1.0})


def test_errors_of_a_function_with_parameters_name_it(write):
    path = write(FAMILY.replace("np.exp", "np.expp"))
    with pytest.raises(UserFunctionError, match=r"line 8: losses raised AttributeError"):
        load(path)


def test_the_command_sets_parameters_and_reports_them(run, write):
    path = write(WALK)
    code, out, err = run("analyze", path, "--set", "k=4", "--set", "c=1", "--json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert data["process"]["parameters"] == {"k": 4.0, "c": 1}
    assert data == json.loads(json.dumps(analyze(path, parameters={"k": 4, "c": 1}).to_dict()))
    code, out, _ = run("analyze", path)
    assert "Parameters: k = 1, c = 2." in out


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["k"], "must be NAME=VALUE"),
        (["k="], "must be NAME=VALUE"),
        (["=3"], "must be NAME=VALUE"),
        (["k=fast"], "'fast' in it where a number"),
        (["k=inf"], "must be finite"),
        (["k=1,2"], "2 values, and one is needed"),
        (["k=1", "k=2"], "given twice"),
        (["kk=1"], "Did you mean k?"),
    ],
)
def test_a_wrong_setting_gets_a_message_and_code_1(run, write, settings, message):
    code, out, err = run("analyze", write(WALK), *(f"--set={s}" for s in settings))
    assert (code, out) == (1, "")
    assert message in err
    assert "Traceback" not in err


def test_a_partial_function_from_python_needs_no_parameters():
    from stationary import Landscape

    def losses(w, s):
        return s * (w - 1) ** 2, s * (w + 1) ** 2

    found = Landscape(losses=partial(losses, s=2.0), learning_rate=0.1)
    assert dict(found.parameters) == {}
    assert end_state(found).mean() == pytest.approx(0, abs=1e-14)
