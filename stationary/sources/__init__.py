"""Where processes come from, and values as they are typed.

`ranges` (`1,2,4`, `0:1:11`), `parameters` (of a family of landscapes), `loading` (landscape files).
"""
