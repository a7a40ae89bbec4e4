"""Where does a noisy process end up? Solved, not simulated.

A `Landscape` (the losses of datapoints, for SGD) or a `Diffusion` (drift and variance) goes in;
`end_state` gives its stationary distribution, `analyze` that and how its minima share it.

The rooms, in the order in which data passes through them; a folder has rooms of its own:

- `errors` and `source_lines` (what is said when something is wrong); `numbers` (doubles or many
  digits), `precision` (functions run in either, with exact derivatives);
- `start` (where a process starts); `given` and `functions` (what users write, checked);
  `diffusion`, `cancellation`, `landscape`; `ranges` and `parameters` (values as
  they are typed), `loading` (files);
- `panels` (piecewise polynomials), `survey` (sampling the process), `reshape` (a survey changed by
  copy), `digits` (how many it takes);
- `anatomy` (rest points, ends, points without noise), `density` (of each closed class);
- `distribution` (the end state), `solve`, `basins`, `width` (why one minimum holds more);
- `passage` and `journey` (what is reached first, and when);
- `chain` (SGD with the steps that it really takes);
- `wording`, `layout` and `figures` (what reports and figures are made of), `export`, `answer`,
  `report`, `plotting`, `analysis` (the whole pipe);
- what is asked beyond one end state: `bias`, `sweeps`, `regularisation`, `evolution`, `simulation`,
  and `checking` (the end state held against the chain and the simulation);
- `progress`, `options` and `cli`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stationary.analysis import Analysis, analyze
    from stationary.basins import Basin, basins_of
    from stationary.bias.width_bias import WidthBias, width_bias
    from stationary.chain.closed_class import ChainClass
    from stationary.chain.exact import exact_chain
    from stationary.chain.state import ChainState
    from stationary.chain.steps import StepIndicators, step_indicators
    from stationary.checking.check import Check, check
    from stationary.diffusion import Diffusion
    from stationary.distribution import EndState
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
    from stationary.journey import (
        hitting_probability,
        log_hitting_probability,
        log_mean_first_passage_time,
        mean_first_passage_time,
    )
    from stationary.landscape import Landscape
    from stationary.loading import load
    from stationary.passage import Passage
    from stationary.regularisation.path import RegularisationPath, regularisation_path
    from stationary.simulation.result import Simulation
    from stationary.simulation.simulate import simulate
    from stationary.solve import end_state
    from stationary.sweeps.sweep import Crossover, Row, Sweep, sweep
    from stationary.width.dilation import BasinBias, dilation_bias, noise_bias

__all__ = [
    "Analysis",
    "Basin",
    "BasinBias",
    "ChainClass",
    "ChainState",
    "Check",
    "ConvergenceError",
    "Crossover",
    "Diffusion",
    "EndState",
    "Evolution",
    "Landscape",
    "LandscapeError",
    "NotDifferentiableError",
    "Passage",
    "RegularisationPath",
    "Row",
    "Simulation",
    "StationaryError",
    "Status",
    "StepIndicators",
    "Sweep",
    "UserFunctionError",
    "WidthBias",
    "analyze",
    "basins_of",
    "check",
    "dilation_bias",
    "end_state",
    "evolve",
    "exact_chain",
    "hitting_probability",
    "load",
    "log_hitting_probability",
    "log_mean_first_passage_time",
    "mean_first_passage_time",
    "noise_bias",
    "regularisation_path",
    "simulate",
    "step_indicators",
    "sweep",
    "width_bias",
]

_ROOMS = {
    "Analysis": "analysis",
    "analyze": "analysis",
    "Basin": "basins",
    "basins_of": "basins",
    "WidthBias": "bias.width_bias",
    "width_bias": "bias.width_bias",
    "exact_chain": "chain.exact",
    "ChainClass": "chain.closed_class",
    "ChainState": "chain.state",
    "Check": "checking.check",
    "check": "checking.check",
    "Diffusion": "diffusion",
    "BasinBias": "width.dilation",
    "dilation_bias": "width.dilation",
    "noise_bias": "width.dilation",
    "EndState": "distribution",
    "ConvergenceError": "errors",
    "LandscapeError": "errors",
    "NotDifferentiableError": "errors",
    "StationaryError": "errors",
    "Status": "errors",
    "UserFunctionError": "errors",
    "Evolution": "evolution.evolution",
    "evolve": "evolution.evolve",
    "hitting_probability": "journey",
    "log_hitting_probability": "journey",
    "log_mean_first_passage_time": "journey",
    "mean_first_passage_time": "journey",
    "Landscape": "landscape",
    "load": "loading",
    "simulate": "simulation.simulate",
    "Passage": "passage",
    "RegularisationPath": "regularisation.path",
    "regularisation_path": "regularisation.path",
    "Simulation": "simulation.result",
    "end_state": "solve",
    "StepIndicators": "chain.steps",
    "step_indicators": "chain.steps",
    "Crossover": "sweeps.sweep",
    "Row": "sweeps.sweep",
    "Sweep": "sweeps.sweep",
    "sweep": "sweeps.sweep",
}


def __getattr__(name: str) -> Any:
    """Open a room when something in it is first asked for: importing the package stays cheap."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
