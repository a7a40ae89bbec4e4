"""What is asked beyond one end state.

`width` (why one minimum holds more, and what if it were wider), `regularisation` (with ever less
noise added), `influence` (which datapoints decide, and standard errors).
"""
