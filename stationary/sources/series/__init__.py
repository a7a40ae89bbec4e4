"""Recorded series: `runs` (what was recorded), `chain` (a diffusion on cells and its likelihood),
`likelihood` (the fit, and how smooth it is), `lags` (whether a diffusion it is), `fit` (all of it).
"""
