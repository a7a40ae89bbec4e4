"""Sweeps: end states over learning rates, batch sizes and parameters.

`family` (one landscape at many rates), `crossover` (where two masses are equal), `plan` (the grid),
`labels` (of minima, through the grid), `tasks` (shared out), `sweep`.
"""
