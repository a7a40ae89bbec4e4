"""The end state of the diffusion, held against SGD.

`comparison` (distances between distributions), `basins` (what each holds by each answer),
`verdict` (what follows), `report`, `figure`, `check`.
"""
