"""With ever less noise added, beside the exact answer.

`places` (whose masses are followed), `laws` (in the strength of the noise), `followed` (the
numbers), `verdict` (what they show), `path`.
"""
