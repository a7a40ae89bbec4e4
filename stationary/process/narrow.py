"""Narrow places of functions of two weights: where they change within little of a box.

By what they are functions of, which itself is as wide as one likes: where e^z has the top of z, and
1 / z, log z and powers the bottom of |z|. What goes from one value to another along a curve, as
tanh does, shows on either side of it and is not looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from stationary.aliases import Array
from stationary.functions.tape.directions import recorded
from stationary.functions.tape.switching import Switches, changes
from stationary.numbers.cost import LASTING

SCAN = 33  # points for each direction: narrower than between two of these is narrow
FALLS = 1.0  # in z, or of log |z|, to one of four neighbours, as next to all that is narrow
STEPS = 6  # of Newton's method, on ever closer points: tops of what is wide are parabolas
CLOSER = 0.2  # times as close from step to step
MOST = 64  # places
LEAST = 1e-12  # of a box: narrower has no shape
RADII = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # in widths, where the drift may vanish


class Place(NamedTuple):
    """Where a function changes within an ellipse: the middle, and half its axes as columns."""

    middle: Array
    axes: Array

    @property
    def width(self) -> float:
        """Along the shorter axis."""
        return float(np.linalg.norm(self.axes, axis=0).min())

    @property
    def around(self) -> Array:
        """Points in and around the ellipse, (2, K)."""
        angle = np.arange(8) * np.pi / 4
        ring = np.array([np.cos(angle), np.sin(angle)])
        points = np.concatenate([r * ring for r in RADII], axis=1)
        return np.asarray(self.middle[:, None] + self.axes @ points)


class Narrow:
    """What functions tell of narrow places; nothing of those that cannot be recorded."""

    def __init__(self, functions: Sequence[Callable[[Any], Any]]) -> None:
        self.functions = tuple(functions)
        self._known: dict[Any, list[Place]] = {}

    def __reduce__(self) -> Any:  # tapes are recorded again
        return Narrow, (self.functions,)

    @cached_property
    def _groups(self) -> list[tuple[bool, Switches]]:
        made = []
        for function in self.functions:
            try:
                found = changes(recorded(function, 2))
            except Exception:  # whatever it is, the function is called as it stands then
                continue
            for how in ("largest", "smallest"):
                made += [(how == "largest", s) for s in found.get(how, ())]
        return made

    def places(self, box: Any) -> list[Place]:
        """Those in a box, at most `MOST`."""
        if len(box) != 2:
            return []
        if box not in self._known:
            self._known[box] = self._looked_for(box)
        return self._known[box]

    def _looked_for(self, box: Any) -> list[Place]:
        found = [p for top, s in self._groups for p in _places(top, s, np.array(box, dtype=float))]
        kept: list[Place] = []
        for p in sorted(found, key=lambda p: p.width):
            if all((np.abs(p.middle - q.middle) > q.width).any() for q in kept):
                kept.append(p)
        return kept[:MOST]

    def around(self, box: Any) -> Array:
        """Points in and around all of them, (2, K), inside the box."""
        x = np.concatenate([np.zeros((len(box), 0)), *(p.around for p in self.places(box))], axis=1)
        low, high = np.array(box, dtype=float).T[..., None]
        return np.asarray(x[:, ((x >= low) & (x <= high)).all(axis=0)])


@np.errstate(all="ignore")
def _places(top: bool, s: Switches, box: Array) -> list[Place]:
    """Where z is largest, or |z| smallest, and falls, or doubles, within less than a scan sees."""
    if s.count * SCAN**2 > LASTING:
        return []
    low, step = box[:, 0], (box[:, 1] - box[:, 0]) / (SCAN - 1)
    i = np.indices((SCAN, SCAN)).reshape(2, -1)
    x = low[:, None] + step[:, None] * i
    z = s.at(x).reshape(s.count, SCAN, SCAN)
    z = np.where(np.isfinite(z), z if top else -np.abs(z), -np.inf)
    padded = np.pad(z, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    beside = np.stack([padded[:, 1 + a : SCAN + 1 + a, 1 + b : SCAN + 1 + b]
                       for a, b in ((-1, 0), (1, 0), (0, -1), (0, 1))])  # fmt: skip
    fallen = np.where(np.isfinite(beside), z - beside if top else np.log(beside / z), -np.inf)
    k, *at = np.nonzero((z >= beside.max(axis=0)) & np.isfinite(z) & (fallen.max(axis=0) > FALLS))
    if len(k) * s.count * 9 > LASTING:
        return []
    middle = low[:, None] + step[:, None] * np.array(at)
    near = np.array([(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]).T
    a, b = near
    fit = np.linalg.pinv(np.stack([np.ones(9), a, b, a * a / 2, a * b, b * b / 2], axis=1))
    size = step / 4
    for _ in range(STEPS):
        points = middle[:, :, None] + size[:, None, None] * near[:, None, :]
        value = s.each(np.repeat(k, 9), points.reshape(2, -1)).reshape(len(k), 9)
        value = value if top else -np.abs(value)
        least, slope, bent = np.split(fit @ value.T, [1, 3])
        curved = np.array([[bent[0], bent[1]], [bent[1], bent[2]]])  # in units of `size`
        good = (bent[0] < 0) & (bent[0] * bent[2] > bent[1] ** 2) & np.isfinite(value).all(axis=1)
        k, middle, least, curved = k[good], middle[:, good], least[0, good], curved[..., good]
        rows = slope[:, good].T[..., None]
        move = -np.linalg.solve(np.moveaxis(curved, -1, 0), rows)[..., 0].T
        middle = middle + size[:, None] * np.clip(move, -4 / CLOSER, 4 / CLOSER)
        if not len(k):
            return []
        shown, size = size, size * CLOSER
    made = []
    for x, value, own in zip(middle.T, least, np.moveaxis(curved, -1, 0), strict=True):
        bends = -own / np.outer(shown, shown) / (1.0 if top else max(-value, 1e-300))
        size_of, ways = np.linalg.eigh(bends)
        place = Place(x, ways / np.sqrt(size_of))
        inside = (x >= box[:, 0]).all() and (x <= box[:, 1]).all()
        if inside and LEAST * np.ptp(box) < place.width < step.max():
            made.append(place)
    return made
