"""Where a process ends up: closed classes, their weights, and what is reached first.

`cumulation` (integrals inside integrals), `passage` (a stretch left by one end or the other),
`flow` (the drift alone), `law` (outcomes and their times, carried along), `network` (the walk from
junction to junction); `ring` (periodic domains), `mixture` (densities and atoms
together), `distribution` (the end state), `solve`; `basin` and `basins` (of its minima),
`peaks`; `first_passage` (what is reached first, and when).
"""
