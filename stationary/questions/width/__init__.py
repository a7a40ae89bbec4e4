"""Width: one basin at other strengths, wider, noisier, or beside another.

`tempered` (many strengths of the exponent at once), `dilation` (a basin made wider or noisier),
`stretch` (is one basin a copy of another?), `ratios` (why one minimum holds more).
"""
