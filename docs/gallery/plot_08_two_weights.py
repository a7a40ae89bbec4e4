r"""
Two weights
===========

In the plane the probability need not come to rest: unless :math:`a^{-1}(2f - \mathrm{div}\,a)` is
free of curl it goes round for ever, and there is no local energy. How much is said.
"""

import numpy as np

import stationary
from stationary import Diffusion

# %%
# A double well, turned by a force that no potential has.
rotated = Diffusion(
    drift=lambda x: (x[0] - x[0] ** 3 + x[1] / 2, -x[1] + (x[0] - x[0] ** 3) / 2 - x[0] / 4),
    variance=0.2,
    domain=((-3, 3), (-3, 3)),
    name="turned double well",
)
state = stationary.end_state(rotated)
print(state.summary(brief=True))

# %%
# Density, basins and current.
figure = state.plot()

# %%
# A linear process is known on paper: :math:`A C + C A^T = a` gives its covariance.
linear = Diffusion(lambda x: (-x[0] + x[1], -x[0] - 2 * x[1]), 0.5, domain=((-5, 5), (-5, 5)))
gaussian = stationary.end_state(linear)
system = np.array([[1.0, -1.0], [1.0, 2.0]])
eye = np.eye(2)
covariance = np.linalg.solve(
    np.kron(system, eye) + np.kron(eye, system), 0.5 * eye.ravel()
).reshape(2, 2)
np.abs(gaussian.cov() - covariance).max()

# %%
# Position and velocity: whatever the friction, the position is distributed as
# :math:`e^{-V/T}`.
kinetic = stationary.end_state(
    stationary.Kinetic(lambda q: q - q**3, friction=1.0, temperature=0.2)
)
half = kinetic.marginal(0).cdf(0.0)
half
