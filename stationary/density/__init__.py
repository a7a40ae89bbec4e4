"""Densities of closed classes, and what is integrated from them.

`zero_flux` (the log-density), `masses` (integrals of it), `component` (one closed class), `classes`
(all of them, and their weights); `flow` and `current` (periodic domains); `moments`, `quantiles`
and `modes`; `mixture` (several densities and atoms together).
"""
