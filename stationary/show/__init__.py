"""Results made into text, tables and figures: imports results, never the reverse.

`renderers` (which function sets which result), `layout` (how a report is set), `answer` (the result
in a few sentences), `reports`, `tables` (JSON and CSV) and `figures` (one of each kind of result).
"""
