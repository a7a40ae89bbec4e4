"""Numbers: doubles or many digits, under one set of names.

`arithmetic` (the two kinds), `operators` (of many digits, without detours), `elementary` (their
functions), `fixed_point` (linear algebra in many digits); `taylor`, `taylor_arrays` and
`taylor_elementary` (exact derivatives of NumPy functions).
"""
