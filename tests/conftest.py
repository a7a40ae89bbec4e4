"""Processes and landscapes that several tests share."""

from __future__ import annotations

import os

# Tests run side by side, one on each core: threads of the linear algebra would only get in the way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

from stationary import Diffusion, Landscape
from stationary.cli import main


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

    def loss(w, shift):
        narrow = np.exp(-((w - 1 - shift) ** 2) / (2 * 0.4**2))
        wide = np.exp(-((w + 1.5 - 2 * shift) ** 2) / (2 * 0.8**2))
        return -narrow - wide

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
def run(capfd):
    """Run the command line; return exit code, standard output and standard error."""

    def _run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return stop.value.code, out, err

    return _run
