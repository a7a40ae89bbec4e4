"""Numbers: doubles or many digits, under one set of names.

`arithmetic` (the two kinds), `elementary` (their functions), `digit_array` (arrays of many digits),
`compiled` (what these can do), `chebyshev` (polynomials on one interval, their rules of
quadrature), `threads` (one, for small matrices).
"""
