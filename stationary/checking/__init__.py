"""The end state of the diffusion, held against SGD.

`verdict` (distances between distributions, and what follows), `check`.
"""
