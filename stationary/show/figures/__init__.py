"""Figures of each kind of result, and what they are made of.

`view` (what is shown), `drawing` (style, axes and labels), `marks` (points without noise),
`density_panels`, `outcome_panel`, `saving`.
"""
