"""Results made into text, tables and figures: imports results, never the reverse.

`layout` (how a report is set), `answer` (the result in a few sentences), `export` (JSON and CSV),
`reports` and `figures` (one of each kind of result).
"""
