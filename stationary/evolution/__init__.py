"""Over time: the probability of where a process is.

`request` (what may be asked, and what is seen); `features` (what the line has) and `window` (where
cells are needed); `grid` (cells), `generator` (the walk between them), `propagation` (from one
time to the next), `refinement` (what three grids say together), `moments` and `gap` (the slowest
mode); `standard_errors` (what a sample leaves unsure), `evolution` (the result), `evolve`.
"""
