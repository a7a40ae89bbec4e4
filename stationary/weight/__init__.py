"""Densities and what is integrated from them, in logarithms to the end.

`tail` (a power of the distance), `weight` (e^(s Phi) a^-k), `mesh` (integrals of it), `cumulative`
(the mass on either side of a point), `component` (one density, with its tails), `focus` (panels
around its peaks), `shares` (of its mass, and their errors), `moments`, `quantiles` and `modes`.
"""
