"""The exact chain: SGD with the steps that it really takes.

`batches` (every minibatch), `elimination` (stationary vectors), `tilt` (how density leans within a
cell), `transfer` (the operator on cells), `cells` (where they lie), `closed_class`, `exit_time`,
`state` (the result), `outcomes` (from each start), `exact`; `reach` and `steps` (how large a step
is, at next to no cost).
"""
