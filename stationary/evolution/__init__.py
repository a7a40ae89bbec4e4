"""Over time: the probability of where a process is.

`grid` (cells), `generator` (the walk between them), `exponential` and `propagation` (from one time
to the next), `refinement` (what three grids say together), `relaxation` (the slowest mode),
`window` (where cells are needed), `report`, `figure`, `evolve`.
"""
