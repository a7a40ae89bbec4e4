"""The width bias: minima compared, and what if one were wider.

`width_bias` (the question and its answer), `report` (as text), `figure`.
"""
