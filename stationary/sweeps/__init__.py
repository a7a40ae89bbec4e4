"""Sweeps: end states over learning rates, batch sizes and parameters.

`answers` (in columns, minima with their labels), `family` (one landscape at many rates),
`crossover` (where two masses are equal), `plan` (the grid), `tasks` (shared out), `sweep`.
"""
