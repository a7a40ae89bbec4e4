"""Where processes come from, and values as they are typed.

`ranges` (`1,2,4`, `0:1:11`, `sharpness=30`), `settings` (the names that a landscape file may
define); `columns` (of numbers, by name), `between` and `curves` (through values), `interpolated`
(gradients of datapoints), `table` (what was measured), `evaluated` and `sampled` (what is
expensive); `series` (what was recorded); `frameworks`, `slices` (lines and curves through weights),
`local` (around a minimum) and `network` (both, of what users write); `saved` (answers), `running`
(a file of Python) and `loading` (files of all these kinds).
"""
