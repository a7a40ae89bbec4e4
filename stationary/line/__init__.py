"""The line that a process lives on: rest points, ends, and points without noise.

`vanishing` (zeros of the variance, found first), `sampling` (drift and variance on panels),
`digits` (how many it takes), `reshape` (a sampling changed by copy), `equilibria` (zeros of the
drift), `chart` and `feller` (exponents and classes at the ends of the line and at singular points),
`ends` (both together), `junction` (what the process does there), `partition` (the line cut there).
"""
