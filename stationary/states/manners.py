"""What distributions of `scipy.stats` can do beyond probabilities, for an end state."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stationary.errors import LandscapeError

__all__ = ["Manners"]


class Manners:
    """Moments and support, by their names in `scipy.stats`."""

    if TYPE_CHECKING:
        atoms: tuple[Any, ...]
        components: tuple[Any, ...]

        def mean(self) -> Any: ...
        def var(self) -> Any: ...
        def expect(self, function: Callable[[Any], Any]) -> Any: ...

    def moment(self, order: int) -> Any:
        """E[X^order], for order 0, 1, 2, ...; +-inf where the tails are too heavy for it."""
        try:
            k = operator.index(order)
        except TypeError:
            k = -1
        if k < 0:
            raise LandscapeError(f"moment: order = {order!r:.40} must be a whole number from 0 on.")
        return self.mean() if k == 1 else self.expect(lambda x: x**k)

    def stats(self, moments: str = "mv") -> Any:
        """Mean "m", variance "v", skewness "s" and excess kurtosis "k", in the order asked for.

        A single one is a number, several are a tuple.
        """
        if not moments or set(moments) - set("mvsk"):
            raise LandscapeError(f'stats: moments = {moments!r:.40} must be letters of "mvsk".')
        mean, variance = self.mean(), self.var()

        def central(order: int) -> Any:
            return self.expect(lambda x: (x - float(mean)) ** order)

        found = {
            "m": lambda: mean,
            "v": lambda: variance,
            "s": lambda: central(3) / variance**1.5,
            "k": lambda: central(4) / variance**2 - 3,
        }
        values = tuple(found[letter]() for letter in moments)
        return values[0] if len(values) == 1 else values

    def support(self) -> tuple[float, float]:
        """The ends of the smallest interval that holds all probability."""
        held = [c.interval for c in self.components if c.weight is None or c.weight > 0]
        held += [(a.position, a.position) for a in self.atoms if a.weight is None or a.weight > 0]
        if not held:
            raise LandscapeError("support: there is no end state, and so nothing that holds it.")
        return float(min(low for low, _ in held)), float(max(high for _, high in held))
