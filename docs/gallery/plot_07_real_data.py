r"""
Real data
=========

Tables, slow functions and recorded series become processes, with the statistical error of what was
sampled beside the numerical one.
"""

import numpy as np

import stationary

rng = np.random.default_rng(1)

# %%
# A table
# -------
# Mean and variance of gradients that were measured at some weights, with their errors: what is
# smoothed, how sure each equilibrium is, and that nothing is known outside. From a file it is
# ``stationary analyze gradients.csv -T 0.1 -B 8``.
w = np.linspace(-2, 2, 41)
mean = w**3 - w + 0.05 * rng.normal(size=w.size)
table = stationary.table(
    {"w": w, "gradient": mean, "gradient_error": np.full(w.size, 0.05), "variance": 1 + 0 * w}
)
measured = stationary.analyze(table.landscape(learning_rate=0.2, batch_size=2))
print(measured.summary(brief=True))

# %%
# A sample of datapoints
# ----------------------
# Which datapoints make a minimum win, and how much would another sample of the same size change?
centres = rng.normal(size=200)


def losses(w):
    inner = np.asarray(0.3 * centres)[:, None]
    return (w**2 - 1) ** 2 / 4 + inner * w


landscape = stationary.Landscape(losses=losses, learning_rate=0.5, domain=(-3, 3), sample=True)
analysis = stationary.analyze(landscape)
first, second = analysis.basins
ratio = float(second.log_mass - first.log_mass)
ratio, float(analysis.standard_errors.log_ratios[0, 1]), analysis.influence.top(3)

# %%
# A series
# --------
# A recorded series gives drift, variance and end state by maximum likelihood, however far apart the
# observations are, and a verdict on whether a diffusion could have made it.
x = np.zeros(4000)
for i in range(1, len(x)):
    x[i] = 0.9 * x[i - 1] + 0.3 * rng.normal()
fit = stationary.fit(x, dt=0.1, name="a linear series")
figure = fit.plot()

# %%
truth = 0.3 / np.sqrt(1 - 0.9**2)
found = stationary.analyze(fit.diffusion).end_state.std()
found, truth, fit.lags.verdict

# %%
# A network
# ---------
# Expensive functions are evaluated where the answer needs them. Here they are the gradients of one
# weight; a network is cut along a line of its weights by ``stationary.network.line(loss, data,
# start, end=other)``, with one forward product of JAX or PyTorch for each point.
calls = []


def per_sample_gradients(w):
    calls.append(np.size(w))
    return np.tanh(w + np.linspace(-1, 1, 300)[:, None])


slow = stationary.sampled(per_sample_gradients, domain=(-4, 4), tolerance=1e-3)
state = stationary.end_state(stationary.Landscape(gradients=slow, learning_rate=0.1))
state.mean(), sum(calls)
