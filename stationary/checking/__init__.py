"""The end state of the diffusion, held against SGD.

`comparison` (distances between distributions), `verdict` (what follows), `check`.
"""
