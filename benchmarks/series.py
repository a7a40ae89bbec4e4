"""Intervals of `fit`: how often they cover the truth, and what other libraries make of the series.

    python benchmarks/series.py [--replicates 100] [--observations 3000]

An Ornstein-Uhlenbeck process and a double well with uneven noise are recorded at intervals from
0.02 to two relaxation times, each many times over. Of `fit`: the share of nominal 95 % intervals
that hold the truth, of drift and variance at five quantiles and of the log ratio of the halves, and
the bias of the variance. Beside it, where they are installed, by the same series: Kramers-Moyal
coefficients (kramersmoyal) and a Markov state model (deeptime), by the root mean square error of
the variance and of the log ratio.
"""

import argparse
import time
import warnings

import numpy as np

import stationary
from stationary import Diffusion, analyze, end_state

PROCESSES = {  # drift, deviation, domain, and the relaxation time
    "line": (lambda x: -x, lambda x: 1 + 0 * x, (-6, 6), 1.0),
    "double well": (lambda x: x - x**3, lambda x: 0.7 + 0.1 * np.sin(x), (-3, 3), 5.5),
}
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)


def recorded(drift, deviation, start, dt, count, rng):
    """Series (replicates, count), by Heun's scheme in steps of 0.02 or less."""
    steps = max(2, int(np.ceil(dt / 0.02)))
    h, x = dt / steps, start.copy()
    out = np.empty((count, len(x)))
    for row in out:
        row[:] = x
        for _ in range(steps):
            z = rng.normal(size=len(x)) * np.sqrt(h)
            s, slope = deviation(x), (deviation(x + 1e-5) - deviation(x - 1e-5)) / 2e-5
            f, noise = drift(x), s * (z + slope * (z**2 - h) / 2)  # Milstein's
            x = x + (f + drift(x + f * h + noise)) * h / 2 + noise
    return out.T


def ours(x, dt, places, border):
    """Drift and variance with errors, and the log ratio with its own."""
    found = stationary.fit(x, dt)
    analysis = analyze(found.diffusion, min_barrier=0)
    curves = [found.drift(places), found.drift_error(places)]
    curves += [found.variance(places), found.variance_error(places)]
    low, high = found.domain
    ratio = analysis.end_state.log_ratio((low, border), (border, high))
    errors = analysis.standard_errors
    of_ratio = errors.log_ratios[0, 1] if len(analysis.basins) == 2 else np.nan
    return curves, ratio, of_ratio


def kramers_moyal(x, dt, places, border):
    from kramersmoyal import km

    (_, first, second), (centres,) = km(x, bins=[100], powers=2)  # with 1 / n! each
    f, a = first / dt, 2 * second / dt
    seen = (centres > x.min()) & (centres < x.max()) & (a > 0)
    h = 2 * f[seen] / a[seen]
    log_p = np.cumsum(h * (centres[1] - centres[0])) - np.log(a[seen])
    p = np.exp(log_p - log_p.max())
    left = centres[seen] < border
    with np.errstate(divide="ignore"):
        return np.interp(places, centres, a), float(np.log(p[left].sum() / p[~left].sum()))


def markov_model(x, dt, places, border):
    from deeptime.markov import TransitionCountEstimator
    from deeptime.markov.msm import MaximumLikelihoodMSM

    edges = np.linspace(x.min(), x.max(), 61)
    cells = np.clip(np.digitize(x, edges) - 1, 0, 59)
    counts = TransitionCountEstimator(1, "sliding").fit_fetch(cells).submodel_largest()
    model = MaximumLikelihoodMSM().fit_fetch(counts)
    p, centres = model.stationary_distribution, (edges[1:] + edges[:-1])[counts.state_symbols] / 2
    left = centres < border
    with np.errstate(divide="ignore"):
        return None, float(np.log(p[left].sum() / p[~left].sum()))


def compare(name, dt, replicates, observations, seed=0):
    drift, deviation, domain, _ = PROCESSES[name]
    process = Diffusion(drift, lambda x: deviation(x) ** 2, domain)
    state = end_state(process)
    places, border = state.ppf(np.array(LEVELS)), 0.0
    true_f, true_a = drift(places), deviation(places) ** 2
    truth = state.log_ratio((domain[0], border), (border, domain[1]))
    rng = np.random.default_rng(seed)
    start = state.rvs(replicates, random_state=seed)
    series = recorded(drift, deviation, start, dt, observations, rng)
    hits_f, hits_a, hits_r, bias, off, spent = [], [], [], [], {}, 0.0
    for x in series:
        before = time.process_time()
        (f, of_f, a, of_a), ratio, of_ratio = ours(x, dt, places, border)
        spent += time.process_time() - before
        hits_f.append(np.abs(f - true_f) < 1.96 * of_f)
        hits_a.append(np.abs(a - true_a) < 1.96 * of_a)
        if not np.isnan(of_ratio):
            hits_r.append(abs(ratio - truth) < 1.96 * of_ratio)
        bias.append(a / true_a - 1)
        off.setdefault("fit", []).append((np.sqrt(np.mean((a / true_a - 1) ** 2)), ratio - truth))
        for other, function in (("kramersmoyal", kramers_moyal), ("deeptime", markov_model)):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    of, ratio = function(x, dt, places, border)
            except ImportError:
                continue
            rough = np.nan if of is None else np.sqrt(np.mean((of / true_a - 1) ** 2))
            off.setdefault(other, []).append((rough, ratio - truth))
    print(
        f"{name:12} {dt:5.3g}  covered: f {100 * np.mean(hits_f):5.1f} %, "
        f"a {100 * np.mean(hits_a):5.1f} %, "
        f"ratio {100 * np.mean(hits_r) if hits_r else np.nan:5.1f} % (of {len(hits_r)}); "
        f"bias of a {100 * np.mean(bias):+.2f} %, of its median {100 * np.median(bias):+.2f} %, "
        f"{spent / replicates:.2f} s"
    )
    for who, values in off.items():
        of_a, of_ratio = np.array(values).T
        good = np.isfinite(of_ratio)
        print(
            f"    {who:13} error of a {100 * np.sqrt(np.mean(of_a**2)):6.2f} %, "
            f"of the log ratio {np.sqrt((of_ratio[good] ** 2).sum() / max(good.sum(), 1)):.3f} "
            f"(of {good.sum()})",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--observations", type=int, default=3000)
    parser.add_argument("--only", choices=PROCESSES)
    parser.add_argument("--dt", type=float, action="append")
    given = parser.parse_args()
    for chosen in [given.only] if given.only else PROCESSES:
        tau = PROCESSES[chosen][3]
        for interval in given.dt or (0.02, 0.1, 0.5, tau, 2 * tau):
            compare(chosen, interval, given.replicates, given.observations)
