"""Densities of closed classes, and what is integrated from them.

`logarithm` (of a positive function, piecewise), `zero_flux` (the log-density), `masses` (integrals
of it), `component` (one closed class), `classes` (all of them, and their weights); `flow` and
`current` (periodic domains); `moments` and `quantiles`.
"""
