"""A small network, trained with small and with large batches: its slice, and its local law.

Needs JAX (`pip install 'stationary[jax]'`). The data (two interleaved crescents) are made here.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np

import stationary

HIDDEN, POINTS, DECAY = 8, 300, 0.003


def crescents(seed=0):
    """Points in the plane, and the crescent that each belongs to, +1 or -1."""
    rng = np.random.default_rng(seed)
    angle, label = rng.uniform(0, np.pi, POINTS), np.sign(rng.random(POINTS) - 0.5)
    x = np.stack([np.cos(angle) * label + (1 - label) / 2, np.sin(angle) * label], axis=1)
    return jnp.asarray(x + 0.25 * rng.normal(size=x.shape)), jnp.asarray(label)


def losses(weights, data):
    """The logistic loss of each datapoint, with weight decay in each."""
    points, labels = data
    inner, outer = weights[: 3 * HIDDEN].reshape(3, HIDDEN), weights[3 * HIDDEN :]
    hidden = jnp.tanh(points @ inner[:2] + inner[2])
    out = hidden @ outer[:-1] + outer[-1]
    return jnp.logaddexp(0, -labels * out) + DECAY / 2 * (weights**2).sum()


def sgd(start, data, rate, batch, steps, seed, every=0):
    """SGD from each start, shape (walkers, weights); what was seen every so many steps."""
    slope = jax.grad(lambda w, part: losses(w, part).mean())

    def one(carry, key):
        chosen = jax.random.randint(key, (len(start), batch), 0, POINTS)
        part = jax.vmap(slope)(carry, (data[0][chosen], data[1][chosen]))
        carry = carry - rate * part
        return carry, carry

    keys = jax.random.split(jax.random.PRNGKey(seed), steps)
    last, seen = jax.lax.scan(one, start, keys)
    return seen[steps // 4 :: every] if every else last


def minimum_near(weights, data):
    """The minimum of the mean loss: gradient descent, then Newton's method."""
    mean = jax.jit(lambda w: losses(w, data).mean())
    slope, bend = jax.jit(jax.grad(mean)), jax.jit(jax.hessian(mean))
    for _ in range(3000):
        weights = weights - 0.3 * slope(weights)
    for _ in range(20):
        weights = weights - jnp.linalg.solve(bend(weights) + 1e-4 * jnp.eye(len(weights)),
                                             slope(weights))  # fmt: skip
    return weights


def main(path=None):
    """Deviations of SGD in all weights over the predicted ones, of five directions; alignments."""
    data = crescents()
    starts = jax.random.normal(jax.random.PRNGKey(1), (2, 1, 4 * HIDDEN + 1))
    small = minimum_near(sgd(starts[0], data, 0.1, 4, 4000, seed=2)[0], data)
    large = minimum_near(sgd(starts[1], data, 0.1, 128, 4000, seed=3)[0], data)
    rate, batch = 0.05, 8

    local = stationary.network.around(losses, data, small, directions=5)
    print(local)
    seen = sgd(jnp.tile(small, (64, 1)), data, rate, batch, 8000, seed=4, every=40)
    along = np.asarray(seen - small) @ local.vectors
    ratios = along.reshape(-1, 5).std(axis=0) / local.deviations(rate, batch)
    print("SGD in all weights over what is predicted:", np.round(ratios, 3))

    cut = stationary.network.line(losses, data, small, end=large)
    print(cut, cut.trust, sep="\n")
    found = stationary.analyze(cut.landscape(rate, batch), chain=False)
    print(found)
    print(found.influence)
    if path is not None:
        found.plot(path)
    return ratios, cut.alignment, local.line(0, width=1).alignment


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main(*sys.argv[1:])
