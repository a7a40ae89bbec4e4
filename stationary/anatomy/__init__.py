"""The anatomy of a process: its rest points, its ends, and the points without noise.

`equilibria` (zeros of the drift), `feller` (exponents and classes of singular points), `ends` (both
together), `vanishing` (zeros of the variance), `partition` (the line cut there).
"""
