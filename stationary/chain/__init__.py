"""The exact chain: SGD with the steps that it really takes.

`batches` (every minibatch), `distant` and `far` (where the minima are, what steps do far out, and
the interval to work on), `cells` (where they lie), `links`, `elimination` and `multilevel`
(stationary vectors), `tilt` (how density leans within a cell), `transfer` (the operator on cells),
`ground` (these together), `closed_class`, `points` and `lattice` (walks that keep to few points),
`outcomes` (from each start), `times` (to leave), `relaxation` (to forget), `state` (the result),
`exact`; `reach`, `indicators`, `steps` and `run` (how large a step is and how far a run gets, at
next to no cost), `along` (the same while the learning rate changes).
"""
