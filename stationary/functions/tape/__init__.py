"""The tape: a user's function run once on a recording argument, and then as a list of operations.

`graph` (the operations, equal ones once), `rewriting` (which of them are others, that neither
overflow nor cancel), `recording` (what they are, with derivatives by the rules of series),
`sharing` (what all datapoints have in common, found among them), `running` (in blocks, in doubles
or many digits).
"""
