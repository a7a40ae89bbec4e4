"""`end_state` in the plane against fplanck, scikit-fem and finite volumes made by hand, in one run.

The process is Gibbs with rotation, f = -grad V + c (V_y, -V_x) and a = 2 epsilon: whatever c is the
density is e^(-V / epsilon), with a current. Each solver gets ever finer grids on a box until it
takes longer than `end_state`, which finds its box by itself. Errors are the largest ones of the
density, as a part of its peak, at points inside the box.

    pip install fplanck scikit-fem
    python benchmarks/plane.py
"""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path

import numpy as np
from scipy.interpolate import RectBivariateSpline
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

if importlib.util.find_spec("stationary") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

NOISE, TURN, BOX = 0.1, 0.7, ((-2.5, 2.5), (-2.5, 2.5))
POINTS = np.stack(
    [v.ravel() for v in np.meshgrid(np.linspace(-1.9, 1.8, 61), np.linspace(-1.7, 1.7, 61))]
)


def energy(x, y):
    return (x**2 - 1) ** 2 / 4 + 0.3 * x + y**2 / 2 + 0.3 * x * y


def drift(x, y):
    vx, vy = x**3 - x + 0.3 + 0.3 * y, y + 0.3 * x
    return -vx + TURN * vy, -vy - TURN * vx


def error(values):
    """Of a density at `POINTS`, brought to the scale of the exact one by least squares."""
    exact = np.exp(-(energy(*POINTS) - energy(*POINTS).min()) / NOISE)
    values = values * (values @ exact) / (values @ values)
    return float(np.abs(values - exact).max())


def stationary_ours(_):
    import stationary

    process = stationary.Diffusion(lambda w: drift(*w), 2 * NOISE, weights=2)
    return stationary.end_state(process).pdf(POINTS)


def finite_volumes(n):
    """Fluxes by exponential fitting (Scharfetter and Gummel) between the centres of n x n cells."""
    (x0, x1), (y0, y1) = BOX
    h = (x1 - x0) / n, (y1 - y0) / n
    x, y = x0 + h[0] * (np.arange(n) + 0.5), y0 + h[1] * (np.arange(n) + 0.5)
    number = np.arange(n * n).reshape(n, n)
    rows, columns, values = [], [], []

    def bernoulli(z):
        return np.where(np.abs(z) < 1e-8, 1 - z / 2, z / np.expm1(np.where(z == 0, 1, z)))

    for axis in (0, 1):
        if axis == 0:
            where = np.meshgrid((x[1:] + x[:-1]) / 2, y, indexing="ij")
            a, b = number[:-1], number[1:]
        else:
            where = np.meshgrid(x, (y[1:] + y[:-1]) / 2, indexing="ij")
            a, b = number[:, :-1], number[:, 1:]
        z = drift(*where)[axis] * h[axis] / NOISE
        out, back = (NOISE / h[axis] ** 2 * bernoulli(v) for v in (-z, z))
        for to, of, rate in ((b, a, out), (a, a, -out), (a, b, back), (b, b, -back)):
            rows.append(to.ravel())
            columns.append(of.ravel())
            values.append(rate.ravel())
    flow = csc_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (n * n, n * n)
    )
    p = pinned(flow, int(np.argmin(energy(*np.meshgrid(x, y, indexing="ij")))))
    return RectBivariateSpline(x, y, p.reshape(n, n), kx=3, ky=3).ev(*POINTS)


def pinned(matrix, pin):
    """The vector that a matrix takes to nothing, one at a place."""
    rest = np.delete(np.arange(matrix.shape[0]), pin)
    p = np.ones(matrix.shape[0])
    solver = splu(
        csc_array(matrix[:, rest][rest]), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.01
    )
    p[rest] = solver.solve(-matrix[:, [pin]].toarray()[rest, 0])
    return p


def fplanck(n):
    vars(np).setdefault("product", np.prod)  # fplanck 0.2 asks it of NumPy
    from fplanck import boundary, fokker_planck
    from scipy.constants import k

    (x0, x1), (y0, y1) = BOX
    sim = fokker_planck(
        temperature=NOISE / k, drag=1.0, extent=[x1 - x0, y1 - y0], resolution=(x1 - x0) / n,
        boundary=boundary.reflecting, force=lambda x, y: np.array(drift(x, y)),
    )  # fmt: skip
    p = sim.steady_state()
    x, y = (np.asarray(v, dtype=float) for v in sim.axes)
    return RectBivariateSpline(x, y, p, kx=3, ky=3).ev(*POINTS)


def scikit_fem(n):
    """Quadrilaterals with polynomials of degree 4, the highest that stays fast there."""
    import skfem

    (x0, x1), (y0, y1) = BOX
    mesh = skfem.MeshQuad.init_tensor(np.linspace(x0, x1, n + 1), np.linspace(y0, y1, n + 1))
    basis = skfem.Basis(mesh, skfem.ElementQuadP(4), intorder=10)

    @skfem.BilinearForm
    def flux(u, v, w):
        f = drift(*w.x)
        return sum((NOISE * u.grad[i] - f[i] * u) * v.grad[i] for i in (0, 1))

    matrix = csc_array(flux.assemble(basis))
    at = energy(*basis.doflocs)
    p = pinned(matrix, int(np.argmin(at[: mesh.nvertices])))
    return basis.probes(POINTS) @ p


def timed(job, size):
    begin = time.process_time()
    values = job(size)
    return time.process_time() - begin, error(values)


def main():
    stationary_ours(0)  # imports
    ours = min(timed(stationary_ours, 0) for _ in range(3))
    print(f"{'stationary':24s}{ours[0]:8.2f} s   error {ours[1]:.1e}")
    solvers = {
        "fplanck": (fplanck, (25, 50, 71, 100, 141, 200, 283)),
        "scikit-fem, degree 4": (scikit_fem, (6, 8, 11, 16, 22, 32, 45, 64)),
        "finite volumes": (finite_volumes, (25, 50, 100, 141, 200, 283, 400)),
    }
    for name, (job, sizes) in solvers.items():
        if name != "finite volumes" and not importlib.util.find_spec(
            {"fplanck": "fplanck"}.get(name, "skfem")
        ):
            print(f"{name}: not installed")
            continue
        timed(job, sizes[0])  # imports
        last = None
        for n in sizes:
            found = timed(job, n)
            print(f"{name:24s}{found[0]:8.2f} s   error {found[1]:.1e}   {n} x {n}")
            if found[0] > ours[0]:
                break
            last = found
        if last:
            times = last[1] / ours[1]
            print(f"{'':24s}in the time of stationary: {times:.3g} times its error")


if __name__ == "__main__":
    main()
