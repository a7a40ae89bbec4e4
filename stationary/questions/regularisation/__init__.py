"""With ever less noise added, beside the exact answer.

`places` (whose masses are followed), `followed` (the numbers, and their laws in the strength of the
noise), `verdict` (what they show), `path`.
"""
