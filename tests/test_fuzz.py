"""Options and files drawn at random, right ones and wrong ones: every run ends as it should.

The code is 0, 1, 2, 3 or 130, within bounded time, without traceback or warning; JSON is JSON, what
was written is whole, and what was read is as it was. `FUZZ_SECONDS=600 FUZZ_SEED=7 pytest
tests/test_fuzz.py` goes on for longer, with other draws. Seconds are those of the processor.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import shlex
import signal
import time
import traceback
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from stationary.__main__ import main

SECONDS = float(os.environ.get("FUZZ_SECONDS", "5"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
LONGEST = 90.0  # seconds of the processor for one run: what is not decided takes half of that
EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))

HEAD = "import numpy as np\n"
PROCESSES = [
    "learning_rate = {p}\ndomain = (-3, 3)\n\ndef losses(w):\n    return {loss}, {loss}\n",
    "learning_rate = {p}\nbatch_size = 2\n\n"
    "def gradients(w):\n    return w - {c}, w + {p}, {loss}\n",
    "domain = (-2.5, 2)\n\n"
    "def drift(x):\n    return {drift}\n\ndef variance(x):\n    return {noise}\n",
    "def drift(x):\n    return {drift}\n\nsigma = {p}\n",
    "domain = ({c}, 4)\ntemperature = {p}\n\ndef potential(x):\n    return {loss}\n",
    "domain = (0, 2 * np.pi)\nboundaries = 'periodic'\nvariance = {p}\n\n"
    "def drift(x):\n    return np.sin(x) + {c}\n",
    "parameters = {{'k': {p}}}\nvariance = 0.5\n\ndef drift(x, k):\n    return -k * ({drift})\n",
]
LOSSES = [
    "(w - {c})**2", "-np.exp(-{k} * (w - {c})**2)", "w**4 - {k} * w**2", "np.abs(w - {c})", "w * 0",
    "np.logaddexp(0, -{c} * w)", "np.cos({k} * w)", "{c} * w", "np.where(w > {c}, w, -w)",
]  # fmt: skip
DRIFTS = [
    "-x",
    "x - x**3",
    "{c} - x",
    "{c}",
    "np.sin(x)",
    "-np.sign(x)",
    "x",
    "0 * x",
    "-x**3 + {c}",
]
NOISES = [
    "{p}",
    "{p} + 0 * x",
    "x**2",
    "1 + x**2",
    "(1 - x**2)**2",
    "np.exp(-{k} * x**2)",
    "abs(x)",
]
BROKEN = [
    "", "\n", "def losses(w:\n", "losses = 3\n", "import nowhere\n", "1 / 0\n",
    "raise SystemExit\n",
    "def losses(w):\n    return w * float('nan'), w\nlearning_rate = 0.1\n",
    "def losses(w):\n    raise KeyError('mine')\nlearning_rate = 0.1\n",
    "def losses(w):\n    return 'text'\nlearning_rate = 0.1\n",
    "def losses(w):\n    return w[:2]\nlearning_rate = 0.1\n",
    "def losses(w):\n    return None\nlearning_rate = 0.1\n",
    "def losses():\n    return 1\nlearning_rate = 0.1\n",
    "def losses(w):\n    return []\nlearning_rate = 0.1\n",
    "def losses(w):\n    return losses(w)\nlearning_rate = 0.1\n",
    "def drift(x):\n    return -x\n",
    "def drift(x):\n    return -x\nvariance = -1\n",
    "def drift(x):\n    return -x + 1j\nvariance = 1\n",
    "def drift(x):\n    return 1 / x\nvariance = 1\ndomain = (-1, 1)\n",
    "def drift(x):\n    return np.log(x)\nvariance = 1\ndomain = (-1, 1)\n",
    "def drift(x):\n    return -1e308 * x\nvariance = 1e-308\n",
    "def drift(x):\n    return np.random.rand(*x.shape)\nvariance = 1\ndomain = (-1, 1)\n",
    "def drift(x):\n    return -x\ndef variance(x):\n    return np.nan * x\n",
    "def drift(x):\n    print('mine'); return -x\nvariance = 1\n",
    "import warnings\nwarnings.warn('mine', RuntimeWarning)\n"
    "drift = 0\nvariance = 1\ndomain = (0, 1)\n",
]  # fmt: skip
SETTINGS = [
    "domain = {odd}", "learning_rate = {odd}", "batch_size = {odd}", "convention = {odd}",
    "boundaries = {odd}", "initial = {odd}", "breakpoints = {odd}", "parameters = {odd}",
    "weight_decay = {odd}", "clip = {odd}", "momentum = {odd}", "schedule = {odd}", "wrong = {odd}",
    "optimiser = 'adam'; betas = {odd}",
]  # fmt: skip
ODD = [
    "None", "'a'", "-1", "0", "(1, 0)", "(0, 1, 2)", "float('nan')", "float('inf')", "1e308", "[]",
    "{}", "True", "(0, float('inf'))", "'ito'", "0.3", "1e-300", "5e-324", "10**400", "np.zeros(3)",
    "lambda x: x", "object()", "'cosine:0.1:0.01:50'", "'reflecting'", "'normal:0,1'", "0.1 + 1j",
]  # fmt: skip
NUMBERS = [
    "0.1", "0.5", "1", "0", "-1", "2", "1e-3", "1e-300", "5e-324", "1e308", "nan", "inf",
    "-inf", "a", "", "1e400", "0x1", "1_000", "٣", "1,2", "0.05:0.2:3", "1:2:0", "--", "1e-9",
]  # fmt: skip
RANGES = [
    "0.1,0.2",
    "0.05:0.5:5",
    "1e-2:1:4:log",
    "1:2",
    "a:b:c",
    "",
    "0:1:3:log",
    "1,,2",
    "nan",
    "3:1:3",
]
FORMULAS = [
    "-x", "x - x**3", "0.1", "w**2", "(w-1)**2, (w+1)**2", "k*x", "sin(x", "__import__('os')", "",
    "x.real", "1/x", "exp(exp(x))", "x**x", "9**9**9", "lambda x: x", "x if x else 1", "sqrt(x)",
    "x\x00",
]  # fmt: skip
TABLES = [
    "w,a,b\n-2,-4,-2\n-1,-2,-1\n0,0,1\n1,2,1\n2,4,3\n", "x,drift,variance\n-1,1,1\n0,0,1\n1,-1,1\n",
    "w,a\n0,1\n", "w,a\n1,1\n1,1\n", "w\n1\n2\n", "a;b\n1;2\n", "w,a\n0,x\n1,2\n", "",
    ",,,\n", "w,a\n0,nan\n1,1\n",
    "w,a,b\n0,1\n1,2,3\n", "t,x\n" + "".join(f"{i},{(i * 7) % 5}\n" for i in range(60)),
    "x\n" + "1\n" * 30,
    "x,drift,variance\n-1,1e308,1\n0,0,1\n1,-1e308,1\n",
    "x,drift,variance\n-1,1,-1\n0,0,1\n1,-1,1\n", "\ufeffw,a\n0,1\n1,2\n",
]  # fmt: skip


class Draw:
    """One command line with its files."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.any = random.Random(seed)
        self.files: dict[str, bytes] = {}
        self.arguments = self._command()
        for name, content in self.files.items():
            (folder / name).write_bytes(content)

    def one(self, listed):
        return self.any.choice(listed)

    def text(self, templates):
        """One of them, with numbers in its holes, and what is drawn from other lists in others."""
        numbers = {
            "p": self.one(["0.05", "0.3", "1.0", "2"]),
            "c": self.one(["0", "0.5", "-0.7", "1"]),
            "k": self.one(["1", "3", "40"]),
        }
        inner = {
            "loss": self.one(LOSSES).replace("w", self.one(["w", "w"])),
            "drift": self.one(DRIFTS),
            "noise": self.one(NOISES),
        }
        inner = {k: v.format(**numbers) for k, v in inner.items()}
        return self.one(templates).format(**numbers, **inner, odd=self.one(ODD))

    def source(self) -> list[str]:
        kind = self.any.random()
        if kind < 0.5:
            text = self.text(PROCESSES)
            if "potential" in text:
                text = text.replace("w", "x")
            if self.any.random() < 0.3:
                text += self.text(SETTINGS) + "\n"
            return self.file("process.py", HEAD + text)
        if kind < 0.65:
            return self.file("process.py", HEAD + self.one(BROKEN))
        if kind < 0.7:
            cut = self.one(EXAMPLES).read_bytes()
            return self.file("process.py", cut[: self.any.randrange(len(cut))])
        if kind < 0.73:
            return self.file("process.py", self.any.randbytes(300))
        if kind < 0.83:
            return self.file(self.one(["table.csv", "table.npz", "x.parquet"]), self.one(TABLES))
        if kind < 0.86:
            return [self.one(["missing.py", ".", "", "/dev/null", "a\nb.py", "~"])]
        names = self.any.sample(
            ["--drift", "--variance", "--sigma", "--potential", "--losses", "--temperature"], 2
        )
        if self.any.random() < 0.7:
            names = self.one([["--drift", "--variance"], ["--losses"], ["--drift", "--sigma"]])
        given = [
            part for n in names for part in (n, self.one(NUMBERS if "temp" in n else FORMULAS))
        ]
        return [*given, "--domain", "-2", "2"] if self.any.random() < 0.6 else given

    def file(self, name: str, content: str | bytes) -> list[str]:
        self.files[name] = content if isinstance(content, bytes) else content.encode()
        return [name]

    def some(self, options: dict[str, list[str] | None], chance: float) -> list[str]:
        """Each with a chance, with one of its values; None marks a flag."""
        found = []
        for name, values in options.items():
            if self.any.random() < chance:
                found += [name] if values is None else [name, self.one(values)]
        return found

    def _command(self) -> list[str]:
        name = self.one(list(OWN))
        own, needed = OWN[name]
        found = [name, *self.source()]
        for option, values in needed.items():
            found += [option, self.one(values)] if self.any.random() < 0.95 else []
        found += self.some(own, 0.2)
        if name not in ("fit", "sweep"):
            found += self.some(SHARED, 0.08)
        found += self.some(OUTPUT, 0.2)
        if self.any.random() < 0.02:
            found += [self.one(["--nonsense", "-", "extra.py", "--domain"])]
        return found


STARTS = [
    "0.3",
    "normal:0.2,0.1",
    "uniform:-1,1",
    "normal:a",
    "nan",
    "99",
    "missing.txt",
    "/dev/zero",
]
SHARED = {
    "-T": NUMBERS, "-B": NUMBERS, "--replacement": None, "--weight-decay": NUMBERS,
    "--label-noise": NUMBERS, "--clip": NUMBERS, "--momentum": ["0.9", *NUMBERS],
    "--optimiser": ["sgd", "sign", "adam"],
    "--convention": ["ito", "stratonovich", "klimontovich", "x"],
    "--boundaries": ["periodic", "absorbing", "natural,reflecting", "x", ",", "periodic,absorbing"],
    "--initial": STARTS, "--set": ["k=1", "k=a", "k", "=", "j=1"],
    "--schedule": ["cosine:0.1:0.01:50", "linear:1:2", "constant:0.1:20", "table:x", "",
                   "step:0.1:0.5:5:20"],
}  # fmt: skip
OUTPUT = {
    "--json": None, "--brief": None,
    "--csv": ["out.csv", "process.py", "-", "no/where.csv"],
    "--html": ["out.html", "-"], "--plot": ["out.png", "out.svg", "out.txt", "out.pdf"],
}  # fmt: skip
OWN = {
    "analyze": ({"--regularise": NUMBERS, "--digits": ["20", *NUMBERS[:8]], "--no-chain": None,
                 "--min-barrier": NUMBERS, "--steps": ["100", *NUMBERS], "--log": None,
                 "--minima": ["minima.csv", "-"], "--influence": ["influence.csv", "x"]}, {}),
    "fit": ({"--dt": NUMBERS}, {}),
    "bias": ({"--minimum": ["0", "1", *NUMBERS], "--dilate": RANGES, "--noise": RANGES,
              "--min-barrier": NUMBERS}, {}),
    "check": ({"--cells": ["50", *NUMBERS], "--seed": NUMBERS, "--no-simulation": None},
              {"--walkers": ["20", "20", "1", "a"], "--steps": ["50", "50", "0"]}),
    "evolve": ({"--every": NUMBERS, "--cells": ["64", *NUMBERS], "--tolerance": ["0.01", *NUMBERS]},
               {"--until": ["1", "3", *NUMBERS], "--initial": STARTS}),
    "regularise": ({}, {"--eps": ["1e-1:1e-3:3", "0.1:0.01:2", "a", "1:2:3", "0:1:2"]}),
    "passage": ({"--digits": ["20", "-1"]},
                {"--from": STARTS, "--to": ["0.5", "-1", "nan", "inf", "a"]}),
    "simulate": ({"--dt": ["0.01", *NUMBERS], "--seed": NUMBERS},
                 {"--walkers": ["20", "20", "1", "a"], "--steps": ["50", "50", "0"]}),
    "sweep": ({"-B": ["1,2", *RANGES], "--set": ["k=1,2", "k=a", "j=1", *RANGES],
               "--jobs": ["1", "0", "a"],
               "--quantity": ["exit_time", "current", "entropy", "nothing"], "--resume": None,
               "--digits": ["-1", "a"], "--min-barrier": NUMBERS}, {"-T": RANGES}),
}  # fmt: skip


class TooLongError(BaseException):
    """A run that does not end."""


def ended(arguments):
    """Exit code, standard output and standard error, within `LONGEST` seconds of the processor."""

    def stop(*_):
        raise TooLongError

    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, LONGEST)
    try:
        with warnings.catch_warnings(), redirect_stdout(out), redirect_stderr(err):
            warnings.simplefilter("error", RuntimeWarning)
            warnings.filterwarnings("ignore", "mine")
            main(arguments)
    except SystemExit as exit:
        code = exit.code
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return code, *texts


def no_constant(name):
    raise ValueError(f"{name} is no JSON")


def what_is_wrong(draw, folder):
    """Why a run is not what it should be; None if it is."""
    try:
        code, out, err = ended(draw.arguments)
    except (Exception, TooLongError, KeyboardInterrupt):
        return traceback.format_exc(limit=-4)
    if code not in (0, 1, 2, 3, 130):
        return f"the code is {code}"
    if "Traceback" in out + err or "Warning" in out + err:
        return err
    if code in (1, 2) and not err.strip():
        return "it fails without a word"
    if code in (0, 3) and not out.strip() and not list(folder.glob("out.*")):
        return "it says nothing"
    own = "--json" in draw.arguments and "-" not in draw.arguments
    if own and code in (0, 3):
        try:
            json.loads(out, parse_constant=no_constant)
        except ValueError as error:
            return f"{error}: {out[:2000]}"
    elif re.search(r"(?<![\w'\"-])nan(?![\w'\"])", out) and "-" not in draw.arguments:
        return f"nan is printed: {out}"
    for name, content in draw.files.items():
        if (folder / name).read_bytes() != content:
            return f"{name} is not what it was"
    named = {*draw.files, "out.csv", "out.html", "out.png", "out.svg", "out.pdf", "minima.csv",
             "influence.csv"}  # fmt: skip
    left = {p.name for p in folder.iterdir() if p.name != "__pycache__"} - named
    return f"{left} are left" if left else is_cut(folder)


def is_cut(folder):
    ends = {"html": b"</html>", "png": b"IEND\xaeB`\x82", "svg": b"</svg>", "pdf": b"%%EOF"}
    for kind, end in ends.items():
        path = folder / f"out.{kind}"
        if path.exists() and not path.read_bytes().strip().endswith(end):
            return f"{path.name} is cut"
    for name in ("out.csv", "minima.csv", "influence.csv"):
        path = folder / name
        if path.exists():
            rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
            if not rows or len({len(row) for row in rows}) > 1:
                return f"{name} is cut"
    return None


def test_any_options_and_files_end_as_they_should(tmp_path, monkeypatch):
    begin, number, wrong = time.process_time(), 0, []
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr("sys.stdin", io.StringIO("x = 1\n"))
    while time.process_time() - begin < SECONDS:
        number += 1
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        draw = Draw(SEED * 1_000_000 + number, folder)
        started = time.process_time()
        found = what_is_wrong(draw, folder)
        if found is not None:
            took = f"{time.process_time() - started:.0f} s"
            source = "\n".join(v.decode(errors="replace") for v in draw.files.values())
            line = shlex.join(["stationary", *draw.arguments])
            wrong.append(f"{number} ({took}): {line}\n{source}\n{found}")
            if SECONDS > 60:  # watched by a person
                print("=" * 80, wrong[-1], sep="\n", flush=True)
    assert not wrong, "\n\n".join(wrong[:5])
    assert number > 20


@pytest.mark.parametrize("arguments", [
    ["analyze", "process.py", "--json"], ["bias", "process.py"],
    ["sweep", "process.py", "-T", "0.1,0.2"],
])  # fmt: skip
def test_the_fuzzer_sees_what_is_wrong(tmp_path, monkeypatch, arguments):
    """A run that prints nan, warns or fails otherwise does not pass."""
    monkeypatch.chdir(tmp_path)
    draw = Draw(1, tmp_path)
    draw.arguments, draw.files = arguments, {}
    for broken in (
        lambda _: print('{"a": NaN, "b": nan}'),
        lambda _: warnings.warn("x", RuntimeWarning, 1),
        lambda _: 1 / 0,
    ):

        def run(arguments, broken=broken):
            broken(arguments)
            raise SystemExit(0)

        monkeypatch.setitem(globals(), "main", run)
        assert what_is_wrong(draw, tmp_path) is not None
