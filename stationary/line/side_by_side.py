"""Many searches at once: each looks at one place, and what they ask for is evaluated together.

A search is written as if it were alone, as a generator: it yields points and gets the values there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from stationary.aliases import Array
from stationary.errors import StationaryError
from stationary.functions.evaluation import evaluate
from stationary.numbers.arithmetic import DOUBLE, Arithmetic
from stationary.numbers.cost import IN_DIGITS
from stationary.process.diffusion import Diffusion

T = TypeVar("T")
CANNOT = (StationaryError, OverflowError, MemoryError)  # evaluate in so many digits


class Ask(NamedTuple):
    """Points at which a search wants to know drift and variance, or the variance and its slope."""

    points: Any  # numbers of the arithmetic
    arithmetic: Arithmetic = DOUBLE
    slope: bool = False


Search = Generator[Ask, tuple[Array, Array], T]


def side_by_side(diffusion: Diffusion, searches: Iterable[Search[T]]) -> list[T]:
    """What the searches return. One whose points cannot be evaluated meets the error itself."""
    running = list(searches)
    found: dict[int, T] = {}
    asked: dict[int, Ask] = {}

    def heard(k: int, answer: tuple[Array, Array] | Exception | None) -> None:
        search = running[k]
        try:
            if isinstance(answer, Exception):
                asked[k] = search.throw(answer)
            else:
                asked[k] = next(search) if answer is None else search.send(answer)
        except StopIteration as end:
            found[k] = end.value

    def answer(group: Sequence[tuple[int, Ask]]) -> None:
        """To as many at once as are evaluated well; where one fails, to each half."""
        _, arithmetic, slope = group[0][1]
        sizes = [len(ask.points) for _, ask in group]
        dear = arithmetic is not DOUBLE and sum(sizes) * diffusion.cost > IN_DIGITS
        if len(group) > 1 and dear:
            return by_halves(group)
        x = np.concatenate([arithmetic.array(ask.points) for _, ask in group])
        try:
            if slope:
                values = evaluate(diffusion.variance, x, order=1, arithmetic=arithmetic)
            else:
                values = diffusion.coefficients(x, arithmetic)
        except CANNOT as error:
            if len(group) > 1:
                return by_halves(group)
            return heard(group[0][0], error)
        stops = np.cumsum(sizes)
        for (k, _), size, stop in zip(group, sizes, stops, strict=True):
            heard(k, (values[0][stop - size : stop], values[1][stop - size : stop]))

    def by_halves(group: Sequence[tuple[int, Ask]]) -> None:
        half = len(group) // 2
        answer(group[:half])
        answer(group[half:])

    for k in range(len(running)):
        heard(k, None)
    while asked:
        groups = defaultdict(list)
        for k, ask in asked.items():
            groups[ask.arithmetic.name, ask.slope].append((k, ask))
        asked.clear()
        for group in groups.values():
            answer(group)
    return [found[k] for k in range(len(running))]
