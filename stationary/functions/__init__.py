"""Running what users write: plain NumPy functions, in doubles or many digits, with derivatives.

`given` (values as they are given, checked), `source_lines` (whose line an error is in), `taylor`
with `taylor_calls`, `taylor_elementary`, `taylor_special` and `taylor_arrays` (series: exact
derivatives), `evaluation` (a function run in any arithmetic), `rounding` (how coarse its values
are), `written` (tried once, and run as it can be), `interpolation` (piecewise polynomials that run
like such functions), `tape` (a function as a list of operations).
"""
