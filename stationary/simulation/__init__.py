"""The check by Monte Carlo: SGD itself, or a diffusion in steps.

`terrain` (a first scan), `walkers` (steps), `sgd` (those of SGD), `streams` (sums and their
errors), `blocks` (of walkers, shared out), `departure` (what a run sets out with), `mixing`
(burn-in, and rest), `run` (these together, and walkers over time), `result`, `simulate`; `passage`
(what SGD's own steps make of a first passage, by its chain and by walkers).
"""
