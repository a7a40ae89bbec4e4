"""The check by Monte Carlo: SGD itself, or a diffusion in steps.

`terrain` (a first scan), `walkers` (steps), `streams` (sums and their errors), `blocks` (of
walkers, shared out), `departure` (what a run sets out with), `mixing` (burn-in), `rest`, `run`
(these together), `ending` (what it came to), `result`, `simulate`; `passage` and `ensemble`
(walkers from a start, until they arrive, and over time); `sgd` and `tabulated` (steps of SGD, and
their gradients from tables).
"""
