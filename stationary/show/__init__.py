"""Answers made into text, tables and figures: imports answers, never the reverse.

`renderers` says which module shows which kind of answer: one for each, with its `text`, `data`,
`table` and `figure`. They are set by `layout` (reports and tables) and `html` (pages), drawn on a
sheet of `drawing`, and written by `files` and `saved`. An analysis has `report` (with `headline`
and `answer`), `listing` and `figure` (with `view`, `marks` and `density`).
"""
