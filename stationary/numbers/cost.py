"""What work costs: how much is taken at a time, and what is affordable. No answer depends on it."""

from __future__ import annotations

CACHE = 2**14  # doubles: 128 KiB, so that a handful of arrays stay in the cache of a core
SHARED = 2**18  # doubles: 2 MiB, and fits the cache next to that
MEMORY = 2**21  # doubles of an array that does not last: 16 MiB
LASTING = 2**23  # numbers of one that does: 64 MiB
IN_DIGITS = 20_000  # numbers of many digits, each of which takes 3 to 20 us
BY_LOOK = 2**22  # datapoints times points, where these are only looked at: below a second
BY_WORK = 2 * 10**8  # the same, where they are the work
SINGLES = 2**14  # series as objects of a call, each of which takes 5 us: panels make thousands
