"""Piecewise polynomials: a function sampled once, then integrated and evaluated exactly.

`chebyshev` (on one interval), `pieces` (on panels), `roots` (where they change sign), `logarithm`
(of a positive function).
"""
