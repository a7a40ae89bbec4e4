"""Numbers: doubles or many digits, under one set of names.

`arithmetic` (the two kinds), `elementary` (their functions), `fixed_point` (linear algebra in many
digits); `taylor`, `taylor_arrays` and `taylor_elementary` (exact derivatives of NumPy functions).
"""
