"""The one adaptive loop: panels are halved until what is judged on them has nothing against it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stationary.aliases import Array
from stationary.progress import at

Judgement = tuple[tuple[Array, ...], Array, Array, tuple[Array, ...]]


def halved(
    judge: Callable[[Array, Array, tuple[Array, ...], bool], Judgement],
    lower: Array,
    upper: Array,
    carried: tuple[Array, ...] = (),
    *,
    max_panels: float,
) -> tuple[Array, ...]:
    """The panels that were kept, left to right: lower, upper, and what was found on each.

    Parameters
    ----------
    judge
        Takes lower and upper ends, what the panels inherit, and whether they are too many to be
        halved once more. Returns what it found (arrays whose last axis is that of the panels),
        which panels are kept, which ones are halved (or the part of each up to which one half is
        to go, and 0), and what the halves of each inherit.
    carried
        What the first panels inherit.
    max_panels
        The most that should be kept.
    """
    parts: list[tuple[Array, ...]] = []
    count = 0
    while len(lower) or not parts:
        at("panels", count + len(lower))
        found, keep, again, carried = judge(
            lower, upper, carried, count + 2 * len(lower) > max_panels
        )
        whole, kept = (lower, upper, *found), int(np.count_nonzero(keep))
        if kept == len(lower):
            parts.append(whole)
        elif kept or not parts:  # nothing, too, has a shape
            parts.append(tuple(v[..., keep] for v in whole))
        count += kept
        if not again.any():
            break
        share, again = again[again > 0], again > 0
        lower, upper = lower[again], upper[again]
        middle = (lower + upper) / 2
        uneven = (share != 0.5) & (share != 1)
        middle[uneven] = (lower + (upper - lower) * share)[uneven]
        lower, upper = np.concatenate([lower, middle]), np.concatenate([middle, upper])
        carried = tuple(np.concatenate([v[..., again]] * 2, axis=-1) for v in carried)
    if len(parts) == 1 and bool((parts[0][0][1:] >= parts[0][0][:-1]).all()):
        return parts[0]
    joined = tuple(np.concatenate(group, axis=-1) for group in zip(*parts, strict=True))
    order = np.argsort(joined[0], kind="stable")
    return tuple(v[..., order] for v in joined)
