"""What figures of an end state are made of.

`view` (what is shown), `drawing` (style, axes and labels), `marks` (points without noise),
`density_panels`.
"""
