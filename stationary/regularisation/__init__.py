"""With ever less noise added, beside the exact answer.

`places` (whose masses are followed), `verdict` (what the path shows), `path`, `figure`.
"""
