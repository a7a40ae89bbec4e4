"""The line that a process lives on: rest points, ends, and points without noise.

`sampling` (drift and variance on panels), `digits` (how many it takes), `reshape` (a sampling
changed by copy), `equilibria` (zeros of the drift), `feller` (exponents and classes of singular
points), `ends` (both together), `vanishing` (zeros of the variance), `partition` (the line cut
there).
"""
