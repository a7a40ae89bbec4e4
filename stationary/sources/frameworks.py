"""What is asked of a framework for networks: JAX or PyTorch, whichever the weights come from.

A network is a function of its weights (one array, or a tree of them) and of data (likewise, the
datapoints along the first axis of every array) that returns the loss of each datapoint, shape (N,).
"""

from __future__ import annotations

import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError, StationaryError, UserFunctionError
from stationary.functions.evaluation import explained
from stationary.functions.given import checked_whole
from stationary.numbers.arithmetic import TINY
from stationary.wording import MOST_NAMED, joined

EVALUATION = "Put batch normalisation in evaluation mode (model.eval(), or running averages)"
# Words of frameworks' own errors, and what to do.
HINTS = (
    ("captured Tensor", EVALUATION),  # what a layer of PyTorch counts in place
    ("batch_stats", EVALUATION),  # Flax
    ("BatchStat", EVALUATION),
    ("TracerArrayConversion", "Write it in jax.numpy"),
    ("must be Tensor", "Give data as tensors"),
    ("flash_attention", "Call it within torch.nn.attention.sdpa_kernel(SDPBackend.MATH)"),
    ("_transformer_encoder_layer_fwd", "Call torch.backends.mha.set_fastpath_enabled(False)"),
)
COUPLED = 1e-3  # of the losses: by which those of a part of the datapoints may differ from all's


@dataclass(frozen=True, eq=False)
class Network(ABC):
    """Losses of datapoints as functions of one long vector of weights.

    `chunk` is how many datapoints are worked on at a time.
    """

    loss: Callable[[Any, Any], Any]
    data: Any
    weights: Any
    chunk: int

    def __getstate__(self) -> dict[str, Any]:
        """What is compiled stays where it is; `copy` and `pickle` ask for the rest."""
        return {k: v for k, v in vars(self).items() if k != "_functions"}

    # What a framework has to provide.

    @abstractmethod
    def flat(self, weights: Any) -> Array:
        """Weights as one vector of doubles."""

    @abstractmethod
    def _leaves(self, tree: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
        """The arrays in a tree, and what makes such a tree of others."""

    @abstractmethod
    def _pushed(self, at: Array, along: Array, data: Any) -> tuple[Array, Array]:
        """The losses of some datapoints, and their derivatives along a direction."""

    @abstractmethod
    def _curved(self, at: Array, along: Array, across: Array, data: Any) -> Array:
        """The second derivatives of the losses of some datapoints, along two directions."""

    @abstractmethod
    def _bent(self, at: Array, along: Array, data: Any) -> Array:
        """The Hessian of the sum of the losses of some datapoints, times a direction."""

    # What follows.

    @cached_property
    def start(self) -> Array:
        return self.flat(self.weights)

    def losses(self, weights: Any, data: Any) -> Any:
        """The user's function, its exceptions explained."""
        try:
            return self.loss(weights, data)
        except StationaryError:
            raise
        except Exception as error:
            shapes = joined([str(getattr(a, "shape", "?")) for a in self._leaves(data)[0]])
            told = explained(self.loss, error).partition("\nIt is called with")[0]
            told += f"\nIt is called as losses(weights, data), with data of shapes {shapes}."
            told += "".join(f" {hint}." for word, hint in HINTS if word in str(error))
            raise UserFunctionError(told) from error

    def vector(self, weights: Any, what: str) -> Array:
        """Weights, or a direction, of the same shapes as the start, as one vector; or one."""
        one = isinstance(weights, np.ndarray) and weights.dtype.kind in "fiu"
        if one and weights is not self.weights and weights.shape == self.start.shape:
            return np.asarray(weights, dtype=float)  # as `around` gives eigenvectors
        shapes = []
        for tree in (self.weights, weights):
            leaves = self._leaves(tree)[0]
            kinds = [str(getattr(leaf, "dtype", type(leaf).__name__)) for leaf in leaves]
            # Not "float0", which JAX gives to what has no derivative.
            wrong = [k for k in kinds if "float" not in k or k.endswith("float0")]
            if wrong and tree is self.weights:
                raise LandscapeError(
                    f"the weights hold {wrong[0]}, by which nothing can be differentiated. Give "
                    "floating-point numbers alone, and let the losses put the rest beside them: "
                    "equinox.partition(model, equinox.is_inexact_array), flax.nnx.split(model, "
                    "flax.nnx.Param, ...), dict(model.named_parameters()) of PyTorch."
                )
            shapes.append([tuple(np.shape(leaf)) for leaf in leaves])
        names, other = (list(_names(tree)) for tree in (self.weights, weights))
        if names != other:
            raise LandscapeError(
                f"the {what} has {joined(other[:MOST_NAMED]) or 'no names'}, and the weights "
                f"{joined(names[:MOST_NAMED]) or 'no names'}. Give it by the same names."
            )
        own, given = shapes
        if own != given:
            raise LandscapeError(
                f"the {what} has arrays of shapes {_listed(given)}, and the weights "
                f"{_listed(own)}. Give it in the same form."
            )
        return self.flat(weights)

    @cached_property
    def datapoints(self) -> int:
        arrays = self._leaves(self.data)[0]
        able = [hasattr(a, "__getitem__") and bool(getattr(a, "shape", True)) for a in arrays]
        if not all(able):
            raise LandscapeError(
                f"the data holds a {type(arrays[able.index(False)]).__name__} where an array of "
                "all datapoints is needed. Give arrays, as of np.asarray, with the datapoints "
                "along the first axis; what is the same for all belongs into the losses."
            )
        lengths = {len(a) for a in arrays}
        if len(lengths) != 1:
            raise LandscapeError(
                f"the data has arrays of lengths {sorted(lengths)}: every array must have the "
                "datapoints along its first axis."
            )
        return lengths.pop()

    def _part(self, chosen: slice) -> Any:
        arrays, tree = self._leaves(self.data)
        return tree([a[chosen] for a in arrays])

    def _parts(self) -> list[Any]:
        n = self.datapoints
        return [self._part(slice(i, min(i + self.chunk, n))) for i in range(0, n, self.chunk)]

    def pushed(self, at: Array, along: Array) -> tuple[Array, Array]:
        """The losses of all datapoints, and their derivatives along a direction, (N,) each."""
        found = zip(*(self._pushed(at, along, part) for part in self._parts()), strict=True)
        losses, slopes = map(np.concatenate, found)
        return losses, slopes

    def slopes(self, at: Array, along: Array) -> Array:
        """The derivatives of the losses of all datapoints along a direction, shape (N,)."""
        return self.pushed(at, along)[1]

    def curvatures(self, at: Array, ways: Array) -> Iterator[Array]:
        """The Hessians of the losses of datapoints, between ways (weights, K), as (n, pairs) with
        pairs as `np.triu_indices` has them; some datapoints at a time."""
        pairs = list(zip(*np.triu_indices(ways.shape[1]), strict=True))
        for part in self._parts():
            rows = [self._curved(at, ways[:, i], ways[:, k], part) for i, k in pairs]
            yield np.stack(rows, axis=1).astype(float)

    def bent(self, at: Array, along: Array) -> Array:
        """The Hessian of the mean loss times a direction."""
        total = sum(self._bent(at, along, part) for part in self._parts())
        return np.asarray(total, dtype=float) / self.datapoints

    def check(self) -> None:
        """Raise unless the losses are those of single datapoints, and nothing else."""
        n, start = self.datapoints, self.vector(self.weights, "start")
        if n < 2:
            raise LandscapeError(f"a network needs at least two datapoints: the data holds {n}.")
        if not np.isfinite(start).all():
            raise LandscapeError(
                f"{int((~np.isfinite(start)).sum())} of the {len(start)} weights are not finite."
            )
        if _counted(self.weights):
            raise LandscapeError(
                "the weights hold the running averages of batch normalisation, which SGD does not "
                "move. Give the weights alone (variables['params'], flax.nnx.split(model, "
                "flax.nnx.Param, ...)), and let the losses put the averages beside them."
            )
        # The second part: what is drawn at random by a key begins alike for few and for many.
        half = max(1, min(self.chunk, n) // 2)
        along = np.random.default_rng(0).normal(size=start.shape)
        first = self._part(slice(0, min(self.chunk, n)))
        whole, slopes = self._pushed(start, along, first)
        part = self._pushed(start, along, self._part(slice(half, min(self.chunk, n))))[0]
        if whole.shape != (min(self.chunk, n),):
            raise LandscapeError(
                f"the loss of {min(self.chunk, n)} datapoints has shape {whole.shape}: return the "
                "loss of each, shape (N,), not their mean."
            )
        if not np.isfinite(whole).all():
            j = int(np.argmin(np.isfinite(whole)))
            raise LandscapeError(
                f"the loss of datapoint {j} is {whole[j]:g} at the weights given. Take it out, or "
                "mend the data."
            )
        off = np.abs(whole[half:] - part).max()
        if not off <= COUPLED * max(np.abs(whole).max(), TINY):
            raise LandscapeError(
                f"the losses of {len(part)} datapoints change by {off:.2g} when others come with "
                f"them. {EVALUATION}, and switch dropout off; and look for shapes (N, 1) and (N,) "
                "in one difference, which make (N, N)."
            )
        if not (slopes.any() or self._pushed(start + along, along, first)[1].any()):
            raise LandscapeError(
                "the losses have no derivative by the weights that are given. Compute them from "
                "these, as torch.func.functional_call(model, weights, (x,)) does, and not from "
                "those of the model; without .item(), .detach() and no_grad()."
            )


class _Jax(Network):
    def flat(self, weights: Any) -> Array:
        from jax.flatten_util import ravel_pytree

        return np.asarray(ravel_pytree(weights)[0], dtype=float)

    def _leaves(self, tree: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
        import jax

        leaves, shape = jax.tree_util.tree_flatten(tree)
        return leaves, lambda others: jax.tree_util.tree_unflatten(shape, others)

    @cached_property
    def _functions(self) -> tuple[Any, Any, Any, Any]:
        import jax
        from jax.flatten_util import ravel_pytree

        vector, tree = ravel_pytree(self.weights)

        def losses(flat: Any, data: Any) -> Any:
            return self.losses(tree(flat), data)

        def pushed(flat: Any, along: Any, data: Any) -> Any:
            return jax.jvp(lambda v: losses(v, data), (flat,), (along,))

        def bent(flat: Any, along: Any, data: Any) -> Any:
            slope = jax.grad(lambda v: losses(v, data).sum())
            return jax.jvp(slope, (flat,), (along,))[1]

        def curved(flat: Any, along: Any, across: Any, data: Any) -> Any:
            return jax.jvp(lambda v: pushed(v, along, data)[1], (flat,), (across,))[1]

        return jax.jit(pushed), jax.jit(bent), jax.jit(curved), vector.dtype

    def _pushed(self, at: Array, along: Array, data: Any) -> tuple[Array, Array]:
        pushed, _, _, kind = self._functions
        value, slope = pushed(at.astype(kind), along.astype(kind), data)
        return np.asarray(value), np.asarray(slope)

    def _curved(self, at: Array, along: Array, across: Array, data: Any) -> Array:
        _, _, curved, kind = self._functions
        return np.asarray(curved(*(x.astype(kind) for x in (at, along, across)), data))

    def _bent(self, at: Array, along: Array, data: Any) -> Array:
        _, bent, _, kind = self._functions
        return np.asarray(bent(at.astype(kind), along.astype(kind), data), dtype=float)


class _Torch(Network):
    """Weights are a tensor, or a list, tuple or dict of tensors."""

    def flat(self, weights: Any) -> Array:
        import torch

        leaves = [torch.as_tensor(leaf) for leaf in self._leaves(weights)[0]]
        return np.concatenate([leaf.detach().cpu().double().numpy().ravel() for leaf in leaves])

    def _leaves(self, tree: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
        from torch.utils import _pytree as pytree

        leaves, shape = pytree.tree_flatten(_by_name(tree))
        return leaves, lambda others: pytree.tree_unflatten(others, shape)

    def _losses(self, data: Any) -> Callable[[Any], Any]:
        """As a function of one vector."""
        leaves, tree = self._leaves(self.weights)
        sizes, shapes = [leaf.numel() for leaf in leaves], [leaf.shape for leaf in leaves]
        return lambda flat: self.losses(
            tree([p.reshape(s) for p, s in zip(flat.split(sizes), shapes, strict=True)]), data
        )

    def _tensor(self, x: Array) -> Any:
        import torch

        first = self._leaves(self.weights)[0][0]
        return torch.as_tensor(x).to(dtype=first.dtype, device=first.device)

    def _jvp(self, function: Callable[[Any], Any], at: Array, along: Array) -> list[Array]:
        import torch

        point, way = self._tensor(at), self._tensor(along)
        with warnings.catch_warnings():  # of what it uses itself
            warnings.simplefilter("ignore", DeprecationWarning)
            found = torch.func.jvp(function, (point,), (way,))
        return [x.detach().cpu().numpy() for x in found]

    def _pushed(self, at: Array, along: Array, data: Any) -> tuple[Array, Array]:
        value, slope = self._jvp(self._losses(data), at, along)
        return value, slope

    def _curved(self, at: Array, along: Array, across: Array, data: Any) -> Array:
        import torch

        losses, way = self._losses(data), self._tensor(along)
        return self._jvp(lambda v: torch.func.jvp(losses, (v,), (way,))[1], at, across)[1]

    def _bent(self, at: Array, along: Array, data: Any) -> Array:
        import torch

        losses = self._losses(data)
        slope = torch.func.grad(lambda v: losses(v).sum())
        return self._jvp(slope, at, along)[1].astype(float)


def _by_name(tree: Any) -> Any:
    """The same with dictionaries in the order of their names, which PyTorch takes as they are."""
    if isinstance(tree, dict):
        return {name: _by_name(tree[name]) for name in sorted(tree, key=str)}
    if type(tree) in (list, tuple):
        return type(tree)(map(_by_name, tree))
    return tree


def _counted(tree: Any) -> bool:
    """Whether what layers of Flax have counted is among the weights."""
    if (jax := sys.modules.get("jax")) is None:
        return False
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_count)
    return any(_is_count(leaf) or "batch_stats" in str(path) for path, leaf in leaves)


def _is_count(leaf: Any) -> bool:
    return type(leaf).__name__ == "BatchStat"


def _names(tree: Any) -> Iterator[str]:
    """The names of a tree of weights, in order."""
    if isinstance(tree, dict):
        for name in sorted(tree, key=str):
            yield str(name)
            yield from _names(tree[name])
    elif type(tree) in (list, tuple):
        for part in tree:
            yield from _names(part)


def _listed(shapes: list[tuple[int, ...]]) -> str:
    told = ", ".join(map(str, shapes[:MOST_NAMED]))
    return f"{told}, ..." if len(shapes) > MOST_NAMED else told or "none"


def network_of(loss: Any, data: Any, weights: Any, chunk: int) -> Network:
    """A network in the framework that its weights are of; JAX, too, for NumPy's arrays."""
    if not callable(loss):
        raise LandscapeError(
            f"per_sample_loss must be a function of weights and data, not {loss!r:.60}."
        )
    chunk = checked_whole(chunk, "chunk", "around", hint=", as 4096")
    if hasattr(weights, "named_parameters") or isinstance(weights, Iterator):
        raise LandscapeError(
            "the weights are a module of PyTorch, or what is read only once: give "
            "dict(model.named_parameters()), and a loss with "
            "torch.func.functional_call(model, weights, (x,))."
        )
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
    if (torch := sys.modules.get("torch")) is None:
        return False
    while isinstance(weights, (dict, list, tuple)) and len(weights):
        weights = next(iter(weights.values())) if isinstance(weights, dict) else weights[0]
    return isinstance(weights, torch.Tensor)
