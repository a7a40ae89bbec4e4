"""Landscape files: good ones become what they say, and every mistake is told with its remedy."""

import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from stationary.errors import LandscapeError, NotDifferentiableError, UserFunctionError
from stationary.process.diffusion import Diffusion
from stationary.process.forms import Convention
from stationary.process.landscape import Landscape
from stationary.sources.loading import load

PIT = """
import numpy as np

learning_rate = 0.05
domain = (-1, 4)

def losses(w):                      # one entry per datapoint
    wide = -np.exp(-(w - 2) ** 2)
    return wide, wide - np.exp(-100 * (w - 1) ** 2)
"""
WALK = """
domain = (0, 1)
drift = 0
def variance(x):
    return 1 + x
"""
TWO = "\ndef losses(w):\n    return w**2, (w - 1) ** 2\n"


def message_of(path, kind=LandscapeError, **changes) -> str:
    """The message that loading the file ends with; nothing is left behind."""
    before, folders = set(sys.modules), list(sys.path)
    with pytest.raises(kind) as caught:
        load(path, **changes)
    assert not {name for name in set(sys.modules) - before if name.startswith("landscape_file")}
    assert sys.path == folders
    return str(caught.value)


# Good files.


def test_the_file_of_two_datapoints_becomes_a_landscape(write):
    pit = load(write(PIT))
    assert isinstance(pit, Landscape)
    assert (pit.name, pit.datapoints, pit.domain) == ("process.py", 2, (-1.0, 4.0))
    assert (pit.learning_rate, pit.batch_size, pit.replacement) == (0.05, 1, True)


def test_every_setting_of_a_file_is_used(write):
    settings = 'batch_size = 2\nreplacement = False\nboundaries = ("natural", "reflecting")\n'
    settings += 'convention = "stratonovich"\nbreakpoints = [0.5]\ninitial = 0.25\n'
    three = "\ndef losses(w):\n    return w**2, (w - 1) ** 2, 3 * w\n"
    pit = load(write("learning_rate = 0.1\ndomain = (0, 1)\n" + settings + three))
    assert (pit.batch_size, pit.replacement, pit.breakpoints) == (2, False, [0.5])
    assert pit.convention is Convention.STRATONOVICH
    assert [end.value for end in pit.diffusion().boundaries] == ["natural", "reflecting"]


def test_without_a_domain_a_landscape_is_on_the_whole_line(write):
    assert load(write("learning_rate = 0.1" + TWO)).domain == (-np.inf, np.inf)


def test_gradients_give_the_same_process_as_their_losses(write):
    gradients = "learning_rate = 0.1\ndef gradients(w):\n    return 2 * w, 2 * (w - 1)\n"
    x = np.linspace(-1, 2, 7)
    one = load(write("learning_rate = 0.1" + TWO)).diffusion().coefficients(x)
    other = load(write(gradients, "other.py")).diffusion().coefficients(x)
    np.testing.assert_allclose(one, other, rtol=1e-14)  # the same polynomials


@pytest.mark.parametrize(
    "noise",
    [
        "def variance(x): return 4 + 0 * x",
        "def sigma(x): return 2 + 0 * x",
        "def diffusivity(x): return 2 + 0 * x",
        "variance = 4",
        "sigma = 2.0",
        "diffusivity = 2",
    ],
)
def test_drift_with_any_form_of_noise_becomes_a_diffusion(write, noise):
    process = load(write(f"def drift(x): return -x\n{noise}\n"))
    assert isinstance(process, Diffusion)
    assert (process.name, process.domain) == ("process.py", (-np.inf, np.inf))
    f, a = process.coefficients(np.array([0.5, 3.0]))
    assert f.tolist() == [-0.5, -3.0]
    assert a.tolist() == [4.0, 4.0]


def test_drift_and_noise_may_both_be_numbers(write):
    process = load(write("drift = -1\nvariance = 2\ndomain = (0, 1)\n"))
    f, a = process.coefficients(np.array([0.5]))
    assert (f.item(), a.item()) == (-1, 2)


def test_changes_override_the_file_and_none_changes_nothing(write):
    path = write(PIT)
    pit = load(path, learning_rate=0.02, domain=(0, 3), batch_size=None)
    assert (pit.learning_rate, pit.domain, pit.batch_size) == (0.02, (0.0, 3.0), 1)
    assert load(path, learning_rate=None).learning_rate == 0.05
    assert load(str(path), initial=0.5).learning_rate == 0.05


def test_a_file_may_make_its_process_itself(write):
    """Its functions alone would be those of another process, without the domain."""
    text = """
from stationary import Landscape
def losses(w):
    return (w - 1) ** 2, (w + 1) ** 2, 0.1 * w
model = Landscape(losses=losses, learning_rate=0.1, domain=(-3, 2))
"""
    path = write(text)
    assert (load(path).domain, load(path).learning_rate) == ((-3, 2), 0.1)
    assert load(path).name == path.name
    assert load(path, learning_rate=0.2).learning_rate == 0.2
    assert load(write(text + "same = model")).domain == (-3, 2)
    assert load(write(text.replace("domain=(-3, 2)", "name='mine'"))).name == "mine"
    with pytest.raises(LandscapeError, match=r"several processes, model and other.*underscore"):
        load(write(text + "other = Landscape(losses=losses, learning_rate=0.3)"))
    assert load(write(text + "learning_rate = 0.1")).learning_rate == 0.1
    with pytest.raises(LandscapeError, match=r"learning_rate = 0.5 has no effect.*= 0.1"):
        load(write(text + "learning_rate = 0.5"))
    with pytest.raises(LandscapeError, match=r"makes its Landscape itself.*cannot be set"):
        load(write(text), parameters={"k": 1.0})


def test_a_change_may_supply_what_the_file_leaves_out(write):
    assert load(write("lr = 0.3" + TWO), learning_rate=0.1).learning_rate == 0.1


def test_a_change_of_the_noise_takes_the_place_of_the_noise_of_the_file(write):
    process = load(write(WALK), sigma=3)
    assert process.coefficients(np.array([0.5]))[1].item() == 9


def test_an_edited_file_is_read_again(write):
    assert load(write(PIT)).learning_rate == 0.05
    assert load(write(PIT.replace("0.05", "0.06"))).learning_rate == 0.06
    assert not list(write(PIT).parent.glob("__pycache__"))


def test_helper_modules_are_found_next_to_their_own_file_and_read_again(write):
    text = "from helper import rate\nlearning_rate = rate" + TWO
    write("rate = 0.1", "one/helper.py")
    write("rate = 0.2", "two/helper.py")
    one, two = write(text, "one/process.py"), write(text, "two/process.py")
    assert [load(one).learning_rate, load(two).learning_rate] == [0.1, 0.2]
    write("rate = 0.3", "one/helper.py")
    assert load(one).learning_rate == 0.3
    assert "helper" not in sys.modules
    assert str(one.parent) not in sys.path


def test_a_helper_package_is_found_next_to_the_file(write):
    write("from tools.rates import rate", "tools/__init__.py")
    write("rate = 0.1", "tools/rates.py")
    assert load(write("from tools import rate as learning_rate" + TWO)).learning_rate == 0.1
    assert not {"tools", "tools.rates"} & set(sys.modules)


def test_dataclasses_work_in_a_file_and_its_functions_can_be_pickled(write):
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\n"
    text += "class Well:\n    depth: float\nlearning_rate = Well(0.1).depth\n"
    well = load(write(text + TWO))
    assert well.learning_rate == 0.1
    assert pickle.loads(pickle.dumps(well.losses)) is well.losses


def test_a_file_knows_where_it_is(write):
    write("0.1", "rate.txt")
    text = "from pathlib import Path\n"
    text += "learning_rate = float(Path(__file__).with_name('rate.txt').read_text())\n"
    assert load(write(text + TWO)).learning_rate == 0.1


def test_a_file_may_have_a_byte_order_mark_windows_lines_or_another_encoding(write):
    assert load(write(b"\xef\xbb\xbf" + PIT.replace("\n", "\r\n").encode())).datapoints == 2
    latin = "# -*- coding: latin-1 -*-\n# é" + PIT
    assert load(write(latin.encode("latin-1"))).datapoints == 2


@pytest.mark.parametrize(
    "helper",
    [
        "def loss(w): return w",
        "def gradient(w): return w",
        "gradient_norm = 3.0",
        "def domains(w): return w",
        "convection = 0.1",
        "sigma = 0.3",
        "def sigma(z): return 1 / (1 + np.exp(-z))",
        "variance = 0.09",
        "batch = 3",
        "points = [1, 2]",
        "lr = T = eta = 0.2",
        "learning_rates = [0.1, 0.2]",
        "_domian = (0, 1)",
        "import math as domian",
        "from numpy import gradient, var",
        "from dataclasses import replace as replacemen",
        "domain = None",
    ],
)
def test_an_ordinary_helper_name_raises_no_alarm(write, helper):
    text = PIT.replace("domain = (-1, 4)\n", "")
    assert load(write(text + helper + "\n")).domain == (-np.inf, np.inf)


def test_what_a_file_prints_does_not_reach_standard_output(write, capsys):
    text = PIT.replace(
        "    wide =", "    print('called')\n    print(w, file=sys.stdout)\n    wide ="
    )
    pit = load(write("import sys\nprint('read')\nsys.stdout.write('written')\n" + text))
    pit.loss_table(np.array([1.0]))
    out, err = capsys.readouterr()
    assert out == ""
    assert all(word in err for word in ("read", "written", "called", "[1.]"))


def test_what_a_module_next_to_a_file_prints_does_not_reach_standard_output(write, capsys):
    write("print('read')\ndef half(w):\n    print('called')\n    return w / 2\n", "helper.py")
    text = "from helper import half\nlearning_rate = 0.1\ndef losses(w):\n    return w, half(w)\n"
    load(write(text)).loss_table(np.array([1.0]))
    out, err = capsys.readouterr()
    assert out == ""
    assert "read" in err
    assert "called" in err


def test_warnings_of_a_file_are_shown_but_break_nothing(write, recwarn):
    text = "a = np.ones(1) / np.zeros(1)\nb = 3 is 3\nc = '\\d'\n"
    text += "import warnings\nwarnings.warn('old', DeprecationWarning)\nwarnings.warn('mine')\n"
    with np.errstate(all="warn"):
        load(write(PIT + text))
    shown = [str(w.message) for w in recwarn]
    assert any("divide" in s for s in shown)
    assert "mine" in shown
    assert "old" not in shown


def test_what_a_file_sets_in_numpy_and_warnings_is_undone(write):
    before = np.geterr()
    load(write(PIT + "np.seterr(all='raise')\nimport warnings\nwarnings.simplefilter('ignore')\n"))
    assert np.geterr() == before
    with pytest.raises(UserWarning, match="still an error"):
        warnings.warn("still an error", stacklevel=1)


# Files that cannot be read.


@pytest.mark.parametrize("name", ["porcess.py", "process", "process2.py"])
def test_a_missing_file_is_told_with_near_names(write, name):
    message = message_of(write(PIT).with_name(name))
    assert f"{name}: there is no such file" in message
    assert "Did you mean process.py?" in message


def test_a_link_to_nothing_is_not_suggested_in_its_own_place(tmp_path):
    link = tmp_path / "walk.py"
    link.symlink_to(tmp_path / "gone.py")
    message = message_of(link, LandscapeError)
    assert "there is no such file" in message
    assert "Did you mean" not in message


def test_a_missing_file_is_told_with_other_names_or_an_example(write, tmp_path):
    assert "examples/two_minima.py" in message_of(tmp_path / "x.py")
    assert "examples/two_minima.py" in message_of(tmp_path / "nowhere" / "x.py")
    assert "such as process.py" in message_of(write(PIT).with_name("something_else.py"))


def test_a_name_that_no_file_can_have_is_told():
    assert "no such file" in message_of("a\0.py")
    assert "a.py: the file cannot be read" in message_of("a" * 5000 + ".py")


def test_a_folder_is_told_with_the_files_in_it(write):
    message = message_of(write(PIT).parent)
    assert "is a folder" in message
    assert "such as process.py" in message


@pytest.mark.parametrize("name", ["pit.txt", "pit.ipynb", "pit"])
def test_a_file_that_is_not_python_is_told(write, name):
    message = message_of(write(PIT, name))
    assert f"{name} is not a Python file" in message
    assert ".py" in message


def test_a_path_that_is_no_path_is_told():
    assert "path of a landscape file, not 3" in message_of(3)


def test_a_file_that_may_not_be_read_is_told(write, monkeypatch):
    path = write(PIT)

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    message = message_of(path)
    assert "process.py: the file cannot be read: Permission denied" in message
    assert "permissions" in message


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\x93NUMPY\x01\x00v\x00", "null bytes"),
        (PIT.encode("utf-16"), "UTF-16"),
        ((PIT + "# é\n").encode("latin-1"), "line 10"),
        ("# é\n".encode("latin-1"), "encoding"),
        (b"# coding: nonsense\n", "unknown encoding"),
        (b"# coding: rot13\n", "rot13"),
    ],
)
def test_a_file_that_is_not_text_is_told(write, content, why):
    message = message_of(write(content))
    assert "process.py" in message
    assert why in message
    assert "Save it as plain text in UTF-8" in message


@pytest.mark.parametrize("content", ["", "\n  \n"])
def test_an_empty_file_is_told(write, content):
    message = message_of(write(content))
    assert "process.py: the file is empty" in message
    assert "losses(w)" in message


# Files that cannot be run.


def test_a_syntax_error_is_told_with_its_line_and_a_caret(write):
    message = message_of(write("x = 1\ndef losses(w)\n    return w\n"))
    assert "process.py, line 2: this is not valid Python: expected ':'" in message
    assert "\n    def losses(w)\n                 ^\n" in message


@pytest.mark.parametrize(
    ("line", "what", "remedy"),
    [
        ("a = 1 / 0", "ZeroDivisionError: division by zero", "Mend that line"),
        ("raise ValueError('two\\nlines')", "ValueError: two\nlines", "Mend that line"),
        ("import nosuch", "No module named 'nosuch'", "Install nosuch"),
        ("from nosuch.deep import x", "No module named 'nosuch'", "put nosuch.py next to the file"),
        ("from numpy import nosuch", "cannot import name 'nosuch'", "Mend"),
        ("from . import nosuch", "no known parent package", "Mend"),
        ("eval('1 +')", "SyntaxError: invalid syntax", "Mend"),
        ("import sys; sys.exit()", "the file ended itself (SystemExit: None)", "Remove the call"),
        ("raise SystemExit('done')", "the file ended itself (SystemExit: done)", "Remove the call"),
        ("def f(): f()\nf()", "RecursionError", "calls itself without end"),
        ("import json; json.loads('x')", "JSONDecodeError", "Mend"),
    ],
)
def test_an_exception_in_a_file_is_told_with_its_line(write, line, what, remedy):
    number, shown = (4, "def f(): f()") if line.startswith("def") else (4, line)
    message = message_of(write("# a\n# b\n# c\n" + line + "\n"), UserFunctionError)
    assert f"process.py, line {number}: the file " in message
    assert what in message
    assert f"\n    {shown}" in message
    assert remedy in message


def test_an_exception_in_a_helper_module_is_told_with_both_lines(write):
    write("x = 1\ny = 1 / 0\n", "helper.py")
    message = message_of(write("\nimport helper\n" + PIT), UserFunctionError)
    assert "process.py, line 2: the file raised ZeroDivisionError" in message
    assert "\n    import helper\n" in message
    assert "helper.py, line 2:\n    y = 1 / 0" in message


def test_an_error_in_the_syntax_of_a_helper_module_is_told(write):
    write("x = = 1\n", "helper.py")
    message = message_of(write("import helper\n" + PIT), UserFunctionError)
    assert "process.py, line 1: the file raised SyntaxError" in message
    assert "helper.py, line 1" in message


@pytest.mark.parametrize("text", ["f" + "(1)" * 200_000, "-" * 200_000 + "1"])
def test_a_file_that_is_nested_too_deeply_is_told(write, text):
    message = message_of(write(text))
    assert "process.py" in message
    assert "nested too deeply" in message


def test_a_file_that_loads_itself_is_told(write):
    path = write("")
    path.write_text(f"from stationary.sources.loading import load\nload({str(path)!r})\n")
    assert "process.py, line 2: the file raised RecursionError" in message_of(
        path, UserFunctionError
    )


def test_an_interrupt_passes_through(write):
    message_of(write("raise KeyboardInterrupt"), KeyboardInterrupt)


def test_a_failed_load_leaves_the_earlier_module_in_place(write):
    pit = load(write(PIT))
    message_of(write("1 / 0"))
    assert pickle.loads(pickle.dumps(pit.losses)) is pit.losses


def test_an_exception_in_a_function_is_told_with_its_line(write):
    path = write("learning_rate = 0.1\ndef losses(w):\n    return w, w / missing\n")
    message = message_of(path, UserFunctionError)
    assert "process.py, line 3: losses raised NameError" in message
    assert "\n    return w, w / missing" in message


def test_lines_are_shown_of_the_text_that_ran(write):
    message_of(write("learning_rate = 0.1\ndef losses(w):\n    return w, w / missing\n"))
    path = write("learning_rate = 0.1\n\ndef losses(w):\n    return w, w / absent\n")
    assert "process.py, line 4: losses raised NameError" in (text := message_of(path))
    assert "\n    return w, w / absent" in text


def test_a_path_within_the_working_folder_is_told_as_it_was_written(write, monkeypatch):
    monkeypatch.chdir(write("\n1 / 0", "sub/process.py").parent.parent)
    assert message_of("sub/process.py").startswith("sub/process.py, line 2: ")


# Files that define too little, too much, or something else.


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("x = 1", ["no losses(w), no gradients(w) and no drift(x)", "Define one"]),
        (PIT.replace("losses", "loses"), ["did you mean `losses`?", "defines `loses`"]),
        (PIT.replace("losses", "Losses"), ["did you mean `losses`?", "defines `Losses`"]),
        (PIT.replace("losses", "loss"), ["did you mean `losses`?", "defines `loss`"]),
        ("def gradient(w): pass", ["did you mean `gradients`?", "defines `gradient`"]),
        ("drfit = 0\nvariance = 1", ["did you mean `drift`?", "defines `drfit`"]),
        ("sigma = 1" + TWO.replace("losses", "lossses"), ["did you mean `losses`?"]),
        ("drift = 0", ["drift is given without its noise", "variance(x)", "sigma(x)"]),
        ("drift = 0\nvarience = 1", ["did you mean `variance`?", "defines `varience`"]),
        ("drift = 0\ndiffusion = 1", ["did you mean `diffusivity`?"]),
        ("variance = 1", ["variance is given without a drift", "drift = 0"]),
        ("drift = 0\nvariance = sigma = 1", ["variance and sigma are given", "Keep one"]),
        (PIT + "gradients = losses", ["losses and gradients are given", "Keep one"]),
        (PIT + WALK, ["losses and drift are given", "rename"]),
        (PIT + "def variance(w): return w", ["variance does not apply", "given by losses"]),
        ("losses = None", ["no losses(w)"]),
    ],
)
def test_too_few_or_too_many_definitions_are_told(write, text, parts):
    message = message_of(write(text))
    assert message.startswith("process.py: ")
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("line", "wrong", "right"),
    [
        ("learning_rte = 0.1", "learning_rte", "learning_rate"),
        ("lerning_rate = 0.1", "lerning_rate", "learning_rate"),
        ("Learning_rate = 0.1", "Learning_rate", "learning_rate"),
        ("LEARNING_RATE = 0.1", "LEARNING_RATE", "learning_rate"),
        ("learningRate = np.float64(0.1)", "learningRate", "learning_rate"),
        ("lr = 0.1", "lr", "learning_rate"),
        ("T = 0.1", "T", "learning_rate"),
        ("eta = 0.1", "eta", "learning_rate"),
        ("learning_rate = 0.1\nbatchsize = 2", "batchsize", "batch_size"),
        ("learning_rate = 0.1\nBatch_Size = 2", "Batch_Size", "batch_size"),
        ("learning_rate = 0.1\ndomian = (0, 1)", "domian", "domain"),
        ("learning_rate = 0.1\ndomain_ = np.array([0, 1])", "domain_", "domain"),
        ("learning_rate = 0.1\nreplacment = False", "replacment", "replacement"),
        ("learning_rate = 0.1\nreplace = False", "replace", "replacement"),
        ("learning_rate = 0.1\nboundary = 'natural'", "boundary", "boundaries"),
        ("learning_rate = 0.1\nconvension = 'ito'", "convension", "convention"),
        ("learning_rate = 0.1\nbreak_points = [1]", "break_points", "breakpoints"),
    ],
)
def test_a_misspelt_setting_is_told_with_the_right_name(write, line, wrong, right):
    message = message_of(write("import numpy as np\n" + line + TWO))
    assert message.startswith(f"process.py: {wrong} = ")
    assert f"did you mean `{right}`? Rename it to {right}" in message


def test_a_missing_learning_rate_is_told(write):
    message = message_of(write(TWO))
    assert "process.py: learning_rate is missing. Write learning_rate = 0.05" in message


@pytest.mark.parametrize("name", ["learning_rate", "batch_size", "replacement"])
def test_a_setting_of_sgd_does_not_apply_to_drift_and_variance(write, name):
    told = f"process.py: {name} does not apply to a process given by drift and variance"
    message = message_of(write(WALK), **{name: 1})
    assert told in message
    assert "Leave it out" in message
    message = message_of(write(f"{name} = 1\n" + WALK))
    assert told in message
    assert f"{name} = 1 came" in message
    assert "rename" in message


def test_a_noise_does_not_apply_to_losses(write):
    message = message_of(write(PIT), sigma=0.1)
    assert "process.py: sigma does not apply to a process given by losses" in message
    assert "sigma = 0.1 came. Leave it out" in message


def test_an_unknown_change_is_told_with_the_near_name(write):
    message = message_of(write(PIT), learning_rte=0.1)
    assert "no learning_rte (= 0.1) to set. Did you mean learning_rate?" in message
    assert "Known are losses, gradients, drift" in message_of(write(PIT), zzz=None)


@pytest.mark.parametrize(
    ("line", "came"),
    [
        ("losses = np.array([1.0, 2.0])", "array([1., 2.])"),
        ("losses = 3", "3"),
        ("losses = [np.sin, np.cos]", "[<ufunc 'sin'>, <ufunc 'cos'>]"),
    ],
)
def test_losses_that_are_no_function_are_told(write, line, came):
    message = message_of(write("import numpy as np\nlearning_rate = 0.1\n" + line))
    assert f"process.py: losses must be a function of w, not {came}" in message
    assert "def losses(w):" in message


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("learning_rate = -1", ["learning_rate = -1", "positive"]),
        ("learning_rate = 'fast'", ["learning_rate = 'fast'", "positive"]),
        ("batch_size = 1.5", ["batch_size = 1.5", "whole number"]),
        ("batch_size = 3\nreplacement = False", ["batch_size = 3", "Lower batch_size"]),
        ("replacement = 'no'", ["replacement = 'no'", "True or False"]),
        ("domain = 3", ["domain = 3", "domain = (-1, 4)"]),
        ("domain = (4, -1)", ["domain is empty", "Swap"]),
        ("convention = 'anti-ito-ish'", ["convention = 'anti-ito-ish'", '"ito"']),
    ],
)
def test_a_setting_of_the_wrong_kind_is_told_with_file_and_name(write, line, parts):
    message = message_of(write("learning_rate = 0.1\n" + line + TWO))
    assert message.startswith("process.py: ")
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "kind", "what"),
    [
        ("def losses(w): return ()", LandscapeError, "no datapoints"),
        ("def losses(w): return w[:2]", LandscapeError, "weights of shape (5,)"),
        ("def losses(w, data): return w, w", UserFunctionError, "'data'"),
        ("import math\ndef losses(w): return w, math.exp(w)", NotDifferentiableError, "math.exp"),
    ],
)
def test_what_is_wrong_with_a_function_is_told_with_the_file(write, text, kind, what):
    message = message_of(write("learning_rate = 0.1\n" + text), kind)
    assert "process.py" in message
    assert what in message


@pytest.mark.parametrize("kind", ["Diffusion", "Landscape"])
def test_a_class_that_a_file_binds_is_told_from_a_process(write, kind):
    path = write(f"from stationary import {kind}\np = {kind}\n")
    with pytest.raises(LandscapeError, match=rf"p is the class {kind} itself.*p = {kind}\("):
        load(path)
    drift = "drift = lambda x: -x\nvariance = 1.0\n"
    assert load(write(f"from stationary import {kind} as Kind\n{drift}")).domain[0] < 0


def test_a_temperature_beside_a_process_that_has_another_is_refused(write):
    made = "from stationary import Diffusion\np = Diffusion(potential=lambda x: x * x, "
    assert load(write(f"temperature = 0.1\n{made}temperature=temperature)\n")).made_of
    with pytest.raises(LandscapeError, match=r"temperature = 0.1 has no effect"):
        load(write(f"temperature = 0.1\n{made}temperature=0.2)\n"))
    drift = made.replace("potential", "drift")
    assert load(write(f"sigma = 0.3\n{drift}variance=sigma**2)\n")).made_of  # a helper
