"""Where processes come from, and values as they are typed.

`ranges` (`1,2,4`, `0:1:11`), `parameters` (`sharpness=30`), `settings` (the names that a landscape
file may define), `loading` (such files).
"""
