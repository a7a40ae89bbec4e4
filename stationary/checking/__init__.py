"""The end state of the diffusion, held against SGD.

`comparison` (distances between distributions), `report`, `figure`, `check`.
"""
