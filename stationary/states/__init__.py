"""Where a process ends up: closed classes, their weights, and what is reached first.

`classes` (where a process can end), `ring` (periodic domains), `mixture` (densities and atoms
together), `distribution` (the end state), `solve`, `basins` (of its minima); `passage` and
`first_passage` (what is reached first, and when).
"""
