"""Processes and landscapes that several tests share."""

from __future__ import annotations

import cProfile
import gc
import os
import runpy
from pathlib import Path

# Tests run side by side, one on each core: threads of the linear algebra would only get in the way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# What is given back to the system comes back as pages of zeros, which take a tenth of all time.
os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**30))
os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**32))
# What is compiled is run once or twice.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import numpy as np
import pytest

from stationary import Diffusion, Landscape
from stationary.__main__ import main

# As the command line does: to search all that is there for cycles more often takes an eighth.
gc.set_threshold(50_000, 20, 20)
EXAMPLES = Path(__file__).parent.parent / "examples"
loss = runpy.run_path(str(EXAMPLES / "two_minima.py"))["loss"]


def double_well(scale: float = 1.0, **changes: object) -> Diffusion:
    """f = -(x^3 - x) with a = 0.25 (1 + sin(x) / 2)^2 / scale between reflecting walls."""
    settings = {"domain": (-3, 3), "name": "double well"} | changes
    return Diffusion(
        drift=lambda x: -(x**3 - x),
        variance=lambda x: 0.25 * (1 + 0.5 * np.sin(x)) ** 2 / scale,
        **settings,
    )


def two_wells(**changes: object) -> Landscape:
    """Four datapoints: a narrow and a wide minimum, with noise everywhere."""

    def losses(w):
        centred = loss(w, 0.0)
        return loss(w, -0.15), loss(w, 0.15), centred - 0.5 * w, centred + 0.5 * w

    settings = {"learning_rate": 0.3, "domain": (-4, 3), "name": "two wells"} | changes
    return Landscape(losses=losses, **settings)


@pytest.fixture(name="double_well")
def _double_well():
    return double_well


@pytest.fixture(name="two_wells")
def _two_wells():
    return two_wells


@pytest.fixture
def five_wells():
    """Wells of a cosine, each shifted: the one at the left end holds e^-300 of the deepest."""
    c, h = [-0.055, 0.829, 0.308, -0.123, -0.261], [0.628, 0.485, 0.982, 1.627, 0.807]
    return Landscape(
        losses=lambda w: [
            0.3 * k * (1 - np.cos(3 * (w - 0.3 * m))) + 0.1 * (w - m) ** 2
            for k, m in zip(h, c, strict=True)
        ],
        learning_rate=0.559,
        batch_size=3,
        domain=(-5, 5),
    )


@pytest.fixture
def calls():
    """How many functions a `with` block calls: what it costs, on any machine."""

    class Calls:
        def __enter__(self):
            self.profile = cProfile.Profile()
            self.profile.enable()
            return self

        def __exit__(self, *_):
            self.profile.disable()
            self.count = sum(entry.callcount for entry in self.profile.getstats())

    return Calls()


@pytest.fixture
def write(tmp_path):
    """Write text to a file in a folder of the test; return its path."""

    def _write(text, name="process.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return _write


@pytest.fixture
def run(capfd):
    """Run the command line; return exit code, standard output and standard error."""

    def _run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return stop.value.code, out, err

    return _run
