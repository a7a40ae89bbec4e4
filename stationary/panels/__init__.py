"""Piecewise polynomials: a function sampled once, then integrated and evaluated exactly.

`pieces` (polynomials on panels), `roots` (where they change sign), `logarithm` (of a positive
function).
"""
