"""Numbers: doubles or many digits, under one set of names.

`arithmetic` (the two kinds), `operators` (of many digits, without detours), `elementary` (their
functions), `fixed_point` (linear algebra in many digits), `chebyshev` (polynomials on one interval,
their rules of quadrature).
"""
