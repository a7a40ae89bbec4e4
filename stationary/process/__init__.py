"""What goes in: a process, checked once, and where it starts.

`laws` (of one variable, cut to an interval), `starts` (what may be given as a start), `initial`
(where a process starts), `forms` (in which drift and noise are given), `diffusion` (drift and
variance), `windows` (sums over very many datapoints that take branches), `moments` (of gradients),
`known` (gradients from tables, and what was estimated), `losses` (of datapoints, of one weight) and
`landscape` (how SGD steps on them); `plane` and `plane_landscape` (the same of several weights).
"""
