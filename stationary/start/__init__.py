"""Where a process starts: at a point, anywhere by a law, or as samples say.

`laws` (of one variable, cut to an interval), `starts` (as users give them), `initial` (the result).
"""
