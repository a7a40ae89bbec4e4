"""Where does a noisy process end up? Solved, not simulated.

A `Landscape` (the losses of datapoints, for SGD) or a `Diffusion` (drift and variance) goes in;
`end_state` gives its stationary distribution, `analyze` that and how its minima share it.

The rooms, in the order in which data passes through them:

- `errors`; `arithmetic`, `elementary` and `fixed_point` (doubles or many digits, under the same
  names); `precision` (exact derivatives);
- `laws`, `starts` and `initial` (where a process starts); `diffusion`, `landscape`;
- `ranges` and `parameters` (values as they are given), `loading`;
- `panels` (piecewise polynomials), `survey` (sampling the process), `reshape` (a survey changed by
  copy), `digits` (how many it takes);
- `equilibria`, `feller` (exponents and classes of singular points), `anatomy` (both together),
  `vanishing` (zeros of the variance), `partition` (the line cut there);
- `zero_flux` (log-density), `masses` (integrals of it), `component`, `classes` (closed classes and
  their weights); `flow` and `current` (periodic domains);
- `moments`, `quantiles`, `distribution` (the end state), `solve`, `basins`;
- `tempered` (many strengths of the exponent), `dilation` (a basin made wider or noisier), `stretch`
  (is one basin a copy of another?), `ratios` (why one minimum holds more);
- `passage` and `journey` (what is reached first, and when);
- `analysis` (the whole pipe);
- `view`, `drawing`, `marks`, `density_panels`, `plotting`, `wording`, `layout`,
  `export`, `report`;
- `bias` (minima compared), `bias_report`, `plot_bias`;
- `places`, `regularise` (with ever less noise added), `verdict`, `plot_path`;
- the check by Monte Carlo: `terrain` (a scan), `walkers` (steps), `streams` (sums and errors),
  `blocks` (of walkers, shared out), `departure`, `mixing`, `simulation` (the result),
  `simulation_text`, `run` and `monte_carlo`;
- sweeps: `progress`, `sweep_plan` (the grid), `family` (one landscape at many rates), `crossover`
  (where two masses are equal), `labels`, `sweep_tasks` (shared out), `sweeps`, `sweep_report`,
  `plot_phases`;
- over time: `grid`, `generator`, `exponential`, `propagation`, `refinement`, `relaxation`,
  `evolution`, `evolution_report`, `plot_evolution`;
- the exact chain: `batches`, `elimination`, `transfer`, `cells`, `chain_class`, `exit_time`,
  `chain_state`, `outcomes`, `chain`; `reach` and `steps` (how large a step is);
- held against SGD: `comparison` (distances), `checking`, `check_report`, `plot_check`;
- `options` and `cli`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stationary.analysis import Analysis, analyze
    from stationary.basins import Basin, basins_of
    from stationary.bias import WidthBias, width_bias
    from stationary.chain import exact_chain
    from stationary.chain_class import ChainClass
    from stationary.chain_state import ChainState
    from stationary.checking import Check, check
    from stationary.diffusion import Diffusion
    from stationary.dilation import BasinBias, dilation_bias, noise_bias
    from stationary.distribution import EndState
    from stationary.errors import (
        ConvergenceError,
        LandscapeError,
        NotDifferentiableError,
        StationaryError,
        Status,
        UserFunctionError,
    )
    from stationary.evolution import Evolution, evolve
    from stationary.journey import (
        hitting_probability,
        log_hitting_probability,
        log_mean_first_passage_time,
        mean_first_passage_time,
    )
    from stationary.landscape import Landscape
    from stationary.loading import load
    from stationary.monte_carlo import simulate
    from stationary.passage import Passage
    from stationary.regularise import RegularisationPath, regularisation_path
    from stationary.simulation import Simulation
    from stationary.solve import end_state
    from stationary.steps import StepIndicators, step_indicators
    from stationary.sweeps import Crossover, Row, Sweep, sweep

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
    "WidthBias": "bias",
    "width_bias": "bias",
    "exact_chain": "chain",
    "ChainClass": "chain_class",
    "ChainState": "chain_state",
    "Check": "checking",
    "check": "checking",
    "Diffusion": "diffusion",
    "BasinBias": "dilation",
    "dilation_bias": "dilation",
    "noise_bias": "dilation",
    "EndState": "distribution",
    "ConvergenceError": "errors",
    "LandscapeError": "errors",
    "NotDifferentiableError": "errors",
    "StationaryError": "errors",
    "Status": "errors",
    "UserFunctionError": "errors",
    "Evolution": "evolution",
    "evolve": "evolution",
    "hitting_probability": "journey",
    "log_hitting_probability": "journey",
    "log_mean_first_passage_time": "journey",
    "mean_first_passage_time": "journey",
    "Landscape": "landscape",
    "load": "loading",
    "simulate": "monte_carlo",
    "Passage": "passage",
    "RegularisationPath": "regularise",
    "regularisation_path": "regularise",
    "Simulation": "simulation",
    "end_state": "solve",
    "StepIndicators": "steps",
    "step_indicators": "steps",
    "Crossover": "sweeps",
    "Row": "sweeps",
    "Sweep": "sweeps",
    "sweep": "sweeps",
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
