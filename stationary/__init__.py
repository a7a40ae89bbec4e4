"""Where does a noisy process end up? Solved, not simulated.

A `Landscape` (the losses of datapoints, for SGD) or a `Diffusion` (drift and variance) goes in;
`end_state` gives its stationary distribution, `analyze` that and how its minima share it.

The rooms, in the order in which data passes through them; each imports only from those before it:

- `errors` (what is said when something is wrong), `aliases` (of types), `wording` (how numbers are
  written), `files` (written and read), `shown` (who shows answers), `result` (what every answer can
  do), `points` (what laws are asked with) and `progress` (the time left);
- `numbers` (doubles or many digits), `functions` (what users write, run in either), `panels`
  (piecewise polynomials), `distance` (of two laws), `distribution` (what all laws can do), `cells`
  (laws known on cells);
- `process` (a `Diffusion` or a `Landscape`, and its start), `sources` (files and typed values);
- `line` (the process sampled: rest points, ends, points without noise), `weight` (densities and
  what is integrated from them), `states` (the end state, its basins, first passage);
- `questions` (what is asked beyond one end state: width bias, added noise, influence);
- `chain` (SGD with the steps that it really takes), `simulation` (walkers), `evolution` (in time);
- `plane` (two weights, and position with velocity);
- `sgd` (what the finite step makes of an end state), `annealing` (what a schedule freezes in);
- `analysis` (the whole pipe), `bias` (its minima compared), `checking` (the end state held against
  the chain and the walkers), `sweeps` (many end states);
- `show` (reports, tables, figures), `completing` (what a shell offers), `options`, `delivery`
  (where an answer goes) and `cli`.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from stationary import shown

_STUB = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")  # what is taken from where
_ROOM_OF = {name: room for room, name in re.findall(r"from (\S+) import \(?\s*(\w+) as", _STUB)}
__all__ = sorted(_ROOM_OF)


def __getattr__(name: str) -> Any:
    """Open a room when something in it is first asked for: importing the package stays cheap."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = import_module(_ROOM_OF[name])
    value = getattr(room, name, None) or import_module(f"{room.__name__}.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _renderer(kind: type, form: str) -> Any:
    return import_module("stationary.show.renderers").renderer(kind, form)


shown.renderer = _renderer
