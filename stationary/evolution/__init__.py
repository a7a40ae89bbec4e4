"""Over time: the probability of where a process is.

`request` (what may be asked); `features` (what the line has) and `window` (where cells are needed);
`grid` (cells), `generator` (the walk between them), `exponential` and `propagation` (from one time
to the next), `refinement` (what three grids say together), `moments`, `relaxation` and `gap` (the
slowest mode); `seen` and `standard_errors` (what is told, and what a sample leaves unsure of it),
`evolution` (the result), `evolve`.
"""
