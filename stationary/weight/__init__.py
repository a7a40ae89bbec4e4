"""Densities and what is integrated from them, in logarithms to the end.

`weight` (e^(s Phi) a^-k), `mesh` (integrals of it), `component` (one density, with its tails),
`moments`, `quantiles` and `modes`; `flow` (densities that carry a current around a ring).
"""
