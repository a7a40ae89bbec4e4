"""Densities and what is integrated from them, in logarithms to the end.

`zero_flux` (the log-density), `mesh` (integrals of it), `component` (one density, with its tails),
`moments`, `quantiles` and `modes`; `flow` (densities that carry a current around a ring).
"""
