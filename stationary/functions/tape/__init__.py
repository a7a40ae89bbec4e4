"""The tape: a user's function run once on a recording argument, and then as a list of operations.

`axes` (of an operation: datapoints, units, classes), `graph` (all operations, equal ones once),
`rewriting` (which of them are others, that neither overflow nor cancel), `symbols` and
`rearranging` (what stands for arrays, and what is done to them), `recording` (the function run,
with derivatives by the rules of series), `sharing` (what all datapoints have in common, found among
them), `statistics` and `running` (sums over datapoints, in blocks, in doubles or many digits),
`switching` (where branches are taken) and `steps` (sums over very many datapoints that take them,
in many digits).
"""
