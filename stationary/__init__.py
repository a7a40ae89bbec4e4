"""Where does a noisy process end up? Solved, not simulated.

A `Landscape` (the losses of datapoints, for SGD) or a `Diffusion` (drift and variance) goes in;
`end_state` gives its stationary distribution, `analyze` that and how its minima share it.

The rooms, in the order in which data passes through them; each imports only from those before it:

- `errors` (what is said when something is wrong), `aliases` (of types), `wording` (how numbers are
  written), `result` (what every answer can do), `distribution` (what all
  laws can do) and `progress` (the time left);
- `numbers` (doubles or many digits), `functions` (what users write, run in either), `panels`
  (piecewise polynomials), `cells` (laws known on cells);
- `process` (a `Diffusion` or a `Landscape`, and its start), `sources` (files and typed values);
- `line` (the process sampled: rest points, ends, points without noise), `weight` (densities and
  what is integrated from them), `states` (the end state, its basins, first passage);
- `questions` (what is asked beyond one end state: width bias, sweeps, added noise, influence);
- `chain` (SGD with the steps that it really takes), `evolution` (in time), `simulation` (walkers);
- `plane` (two weights, and position with velocity);
- `sgd` (what the finite step makes of an end state), `annealing` (what a schedule freezes in);
- `analysis` (the whole pipe), `bias` (its minima compared), `checking` (the end state held against
  the chain and the walkers);
- `show` (reports, tables, figures), `options` and `cli`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stationary.analysis import Analysis, analyze
    from stationary.annealing.anneal import Annealing, anneal
    from stationary.bias import width_bias
    from stationary.cells import Cells
    from stationary.chain.closed_class import ChainClass
    from stationary.chain.exact import exact_chain
    from stationary.chain.state import ChainState
    from stationary.chain.steps import StepIndicators, step_indicators
    from stationary.checking.check import check
    from stationary.checking.verdict import Check
    from stationary.distribution import Distance, Distribution
    from stationary.errors import (
        ConvergenceError,
        LandscapeError,
        NotDifferentiableError,
        StationaryError,
        Status,
        UserFunctionError,
    )
    from stationary.evolution.evolution import Evolution
    from stationary.evolution.evolve import evolve
    from stationary.plane.doors import end_state, equilibria, mean_exit_time
    from stationary.plane.finite import PlaneCheck
    from stationary.plane.state import PlaneBasin, PlaneState
    from stationary.plane.width import PlaneWidthBias
    from stationary.process.diffusion import Diffusion
    from stationary.process.landscape import Landscape
    from stationary.process.phase_space import phase_space
    from stationary.process.plane import Kinetic
    from stationary.process.schedules import Schedule
    from stationary.questions.influence import Influence, StandardErrors
    from stationary.questions.regularisation.path import RegularisationPath, regularisation_path
    from stationary.questions.sweeps.arrhenius import Activation
    from stationary.questions.sweeps.sweep import Crossover, Row, Sweep, sweep
    from stationary.questions.width.dilation import BasinBias, dilation_bias, noise_bias
    from stationary.questions.width.ratios import WidthBias
    from stationary.sgd.basins import SgdBasin
    from stationary.sgd.finite_step import FiniteStep
    from stationary.simulation.result import Simulation
    from stationary.simulation.simulate import simulate
    from stationary.sources import network
    from stationary.sources.loading import load
    from stationary.sources.local import Around, Escapes
    from stationary.sources.sampled import sampled
    from stationary.sources.saved import Saved
    from stationary.sources.series.fit import Fit, fit
    from stationary.sources.table import Table, table
    from stationary.states.basin import Basin
    from stationary.states.basins import basins_of
    from stationary.states.distribution import EndState
    from stationary.states.estimate import Estimate
    from stationary.states.first_passage import (
        FirstPassage,
        first_passage,
        hitting_probability,
        log_hitting_probability,
        log_mean_first_passage_time,
        mean_first_passage_time,
    )
    from stationary.states.law import Passage
    from stationary.states.peaks import Peak, peaks_of

__all__ = [
    "Activation",
    "Analysis",
    "Annealing",
    "Around",
    "Basin",
    "BasinBias",
    "Cells",
    "ChainClass",
    "ChainState",
    "Check",
    "ConvergenceError",
    "Crossover",
    "Diffusion",
    "Distance",
    "Distribution",
    "EndState",
    "Escapes",
    "Estimate",
    "Evolution",
    "FiniteStep",
    "FirstPassage",
    "Fit",
    "Influence",
    "Kinetic",
    "Landscape",
    "LandscapeError",
    "NotDifferentiableError",
    "Passage",
    "Peak",
    "PlaneBasin",
    "PlaneCheck",
    "PlaneState",
    "PlaneWidthBias",
    "RegularisationPath",
    "Row",
    "Saved",
    "Schedule",
    "SgdBasin",
    "Simulation",
    "StandardErrors",
    "StationaryError",
    "Status",
    "StepIndicators",
    "Sweep",
    "Table",
    "UserFunctionError",
    "WidthBias",
    "analyze",
    "anneal",
    "basins_of",
    "check",
    "dilation_bias",
    "end_state",
    "equilibria",
    "evolve",
    "exact_chain",
    "first_passage",
    "fit",
    "hitting_probability",
    "load",
    "log_hitting_probability",
    "log_mean_first_passage_time",
    "mean_exit_time",
    "mean_first_passage_time",
    "network",
    "noise_bias",
    "peaks_of",
    "phase_space",
    "regularisation_path",
    "sampled",
    "simulate",
    "step_indicators",
    "sweep",
    "table",
    "width_bias",
]

_ROOMS = {  # what is taken from each
    "analysis": "Analysis analyze",
    "annealing.anneal": "Annealing anneal",
    "bias": "width_bias",
    "cells": "Cells",
    "chain.closed_class": "ChainClass",
    "chain.exact": "exact_chain",
    "chain.state": "ChainState",
    "chain.steps": "StepIndicators step_indicators",
    "checking.check": "Check check",
    "distribution": "Distance Distribution",
    "errors": "ConvergenceError LandscapeError NotDifferentiableError StationaryError Status "
    "UserFunctionError",
    "evolution.evolution": "Evolution",
    "evolution.evolve": "evolve",
    "plane.doors": "end_state equilibria mean_exit_time",
    "plane.finite": "PlaneCheck",
    "plane.state": "PlaneBasin PlaneState",
    "plane.width": "PlaneWidthBias",
    "process.diffusion": "Diffusion",
    "process.landscape": "Landscape",
    "process.phase_space": "phase_space",
    "process.plane": "Kinetic",
    "process.schedules": "Schedule",
    "questions.influence": "Influence StandardErrors",
    "questions.regularisation.path": "RegularisationPath regularisation_path",
    "questions.sweeps.arrhenius": "Activation",
    "questions.sweeps.sweep": "Crossover Row Sweep sweep",
    "questions.width.dilation": "BasinBias dilation_bias noise_bias",
    "questions.width.ratios": "WidthBias",
    "sgd.basins": "SgdBasin",
    "sgd.finite_step": "FiniteStep",
    "simulation.result": "Simulation",
    "simulation.simulate": "simulate",
    "sources.loading": "load",
    "sources.local": "Around Escapes",
    "sources.sampled": "sampled",
    "sources.saved": "Saved",
    "sources.series.fit": "Fit fit",
    "sources.table": "Table table",
    "states.basin": "Basin",
    "states.basins": "basins_of",
    "states.distribution": "EndState",
    "states.estimate": "Estimate",
    "states.first_passage": "FirstPassage first_passage hitting_probability "
    "log_hitting_probability log_mean_first_passage_time mean_first_passage_time",
    "states.law": "Passage",
    "states.peaks": "Peak peaks_of",
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Open a room when something in it is first asked for: importing the package stays cheap."""
    if name == "network":  # a room of its own
        return import_module("stationary.sources.network")
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
