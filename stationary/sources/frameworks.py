"""What is asked of a framework for networks: JAX or PyTorch, whichever the weights come from.

A network is a function of its weights (one array, or a tree of them) and of data (likewise, the
datapoints along the first axis of every array) that returns the loss of each datapoint, shape (N,).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stationary.errors import LandscapeError

__all__ = ["Network", "network_of"]

Array = NDArray[Any]

COUPLED = 1e-3  # of the losses: by which those of a part of the datapoints may differ from all's


@dataclass(frozen=True, eq=False)
class Network:
    """Losses of datapoints as functions of one long vector of weights.

    `chunk` is how many datapoints are worked on at a time.
    """

    loss: Callable[[Any, Any], Any]
    data: Any
    weights: Any
    chunk: int

    # What a framework has to provide.

    def flat(self, weights: Any) -> Array:
        """Weights as one vector of doubles."""
        raise NotImplementedError

    def _pushed(self, at: Array, along: Array, data: Any) -> tuple[Array, Array]:
        """The losses of some datapoints, and their derivatives along a direction."""
        raise NotImplementedError

    def _bent(self, at: Array, along: Array, data: Any) -> Array:
        """The Hessian of the sum of the losses of some datapoints, times a direction."""
        raise NotImplementedError

    def _arrays(self) -> list[Any]:
        """The arrays in the data."""
        raise NotImplementedError

    def _part(self, chosen: slice) -> Any:
        raise NotImplementedError

    # What follows.

    @cached_property
    def start(self) -> Array:
        return self.flat(self.weights)

    @cached_property
    def datapoints(self) -> int:
        lengths = {len(a) for a in self._arrays()}
        if len(lengths) != 1:
            raise LandscapeError(
                f"the data has arrays of lengths {sorted(lengths)}: every array must have the "
                "datapoints along its first axis."
            )
        return lengths.pop()

    def _parts(self) -> list[Any]:
        n = self.datapoints
        return [self._part(slice(i, min(i + self.chunk, n))) for i in range(0, n, self.chunk)]

    def slopes(self, at: Array, along: Array) -> Array:
        """The derivatives of the losses of all datapoints along a direction, shape (N,)."""
        return np.concatenate([self._pushed(at, along, part)[1] for part in self._parts()])

    def bent(self, at: Array, along: Array) -> Array:
        """The Hessian of the mean loss times a direction."""
        total = sum(self._bent(at, along, part) for part in self._parts())
        return np.asarray(total, dtype=float) / self.datapoints

    def check(self) -> None:
        """Raise unless the losses are those of single datapoints, and nothing else."""
        n = self.datapoints
        if n < 2:
            raise LandscapeError("the data holds one datapoint: a network needs at least two.")
        half = max(1, min(self.chunk, n) // 2)
        along = np.zeros_like(self.start)
        whole = self._pushed(self.start, along, self._part(slice(0, min(self.chunk, n))))[0]
        part = self._pushed(self.start, along, self._part(slice(0, half)))[0]
        if whole.shape != (min(self.chunk, n),):
            raise LandscapeError(
                f"the loss of {min(self.chunk, n)} datapoints has shape {whole.shape}: return the "
                "loss of each, shape (N,), not their mean."
            )
        off = np.abs(whole[:half] - part).max()
        if not off <= COUPLED * max(np.abs(whole).max(), 1e-300):
            raise LandscapeError(
                f"the losses of {half} datapoints change by {off:.2g} when others come with them. "
                "Put batch normalisation in evaluation mode (model.eval(), or running averages), "
                "and "
                "switch dropout off."
            )


class _Jax(Network):
    def flat(self, weights: Any) -> Array:
        from jax.flatten_util import ravel_pytree

        return np.asarray(ravel_pytree(weights)[0], dtype=float)

    @cached_property
    def _functions(self) -> tuple[Any, Any, Any]:
        import jax
        from jax.flatten_util import ravel_pytree

        vector, tree = ravel_pytree(self.weights)

        def losses(flat: Any, data: Any) -> Any:
            return self.loss(tree(flat), data)

        def pushed(flat: Any, along: Any, data: Any) -> Any:
            return jax.jvp(lambda v: losses(v, data), (flat,), (along,))

        def bent(flat: Any, along: Any, data: Any) -> Any:
            slope = jax.grad(lambda v: losses(v, data).sum())
            return jax.jvp(slope, (flat,), (along,))[1]

        return jax.jit(pushed), jax.jit(bent), vector.dtype

    def _pushed(self, at: Array, along: Array, data: Any) -> tuple[Array, Array]:
        pushed, _, kind = self._functions
        value, slope = pushed(at.astype(kind), along.astype(kind), data)
        return np.asarray(value), np.asarray(slope)

    def _bent(self, at: Array, along: Array, data: Any) -> Array:
        _, bent, kind = self._functions
        return np.asarray(bent(at.astype(kind), along.astype(kind), data), dtype=float)

    def _arrays(self) -> list[Any]:
        import jax

        return list(jax.tree_util.tree_leaves(self.data))

    def _part(self, chosen: slice) -> Any:
        import jax

        return jax.tree_util.tree_map(lambda a: a[chosen], self.data)


class _Torch(Network):
    """Weights are a tensor, or a list, tuple or dict of tensors."""

    @cached_property
    def _leaves(self) -> tuple[list[Any], Any]:
        from torch.utils import _pytree as pytree

        leaves, shape = pytree.tree_flatten(self.weights)
        return [leaf.detach() for leaf in leaves], shape

    def flat(self, weights: Any) -> Array:
        from torch.utils import _pytree as pytree

        leaves = pytree.tree_flatten(weights)[0]
        parts = [leaf.detach().cpu().double().numpy().ravel() for leaf in leaves]
        return np.concatenate(parts)

    def _tree(self, flat: Any) -> Any:
        from torch.utils import _pytree as pytree

        leaves, shape = self._leaves
        parts, i = [], 0
        for leaf in leaves:
            parts.append(flat[i : i + leaf.numel()].reshape(leaf.shape))
            i += leaf.numel()
        return pytree.tree_unflatten(parts, shape)

    def _vector(self, x: Array) -> Any:
        import torch

        first = self._leaves[0][0]
        return torch.as_tensor(x).to(dtype=first.dtype, device=first.device)

    def _pushed(self, at: Array, along: Array, data: Any) -> tuple[Array, Array]:
        import torch

        value, slope = torch.func.jvp(
            lambda v: self.loss(self._tree(v), data), (self._vector(at),), (self._vector(along),)
        )
        return value.detach().cpu().numpy(), slope.detach().cpu().numpy()

    def _bent(self, at: Array, along: Array, data: Any) -> Array:
        import torch

        slope = torch.func.grad(lambda v: self.loss(self._tree(v), data).sum())
        found = torch.func.jvp(slope, (self._vector(at),), (self._vector(along),))[1]
        return np.asarray(found.detach().cpu().double().numpy())

    def _arrays(self) -> list[Any]:
        from torch.utils import _pytree as pytree

        return list(pytree.tree_flatten(self.data)[0])

    def _part(self, chosen: slice) -> Any:
        from torch.utils import _pytree as pytree

        return pytree.tree_map(lambda a: a[chosen], self.data)


def network_of(loss: Any, data: Any, weights: Any, chunk: int) -> Network:
    """A network in the framework that its weights are of; JAX, too, for NumPy's arrays."""
    if not callable(loss):
        raise LandscapeError(
            f"per_sample_loss must be a function of weights and data, not {loss!r:.60}."
        )
    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise LandscapeError(f"chunk = {chunk!r:.40} must be a number of datapoints, as 4096.")
    kind: type[Network] = _Torch if _is_torch(weights) else _Jax
    if kind is _Jax:
        try:
            import jax  # noqa: F401
        except ImportError:
            raise LandscapeError(
                "slices of networks are differentiated by JAX or PyTorch, and neither made these "
                "weights. Install 'stationary[jax]', or give PyTorch's tensors."
            ) from None
    made = kind(loss, data, weights, chunk)
    made.check()
    return made


def _is_torch(weights: Any) -> bool:
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    while isinstance(weights, (dict, list, tuple)) and len(weights):
        weights = next(iter(weights.values())) if isinstance(weights, dict) else weights[0]
    return isinstance(weights, torch.Tensor)
