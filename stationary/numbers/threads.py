"""One thread for the algebra of small matrices, one after the other.

The libraries of linear algebra below NumPy and SciPy share every product of some 50 rows and more
between threads, which then wait for each other, spinning: for blocks of a chain of 2,000 cells
that is half of the processor's time, and where something else runs on the machine, up to 100 times
the time that one thread takes.
"""

from __future__ import annotations

import sys
from contextlib import ContextDecorator
from functools import lru_cache
from threading import Lock, get_ident
from typing import Any


class _OneThread(ContextDecorator):
    """While the first thread of Python that comes is inside: what is set holds for all of them."""

    def __init__(self) -> None:
        self.lock, self.owner, self.depth = Lock(), 0, 0
        self.limit: Any = None

    def __enter__(self) -> None:
        with self.lock:
            if not self.depth:
                # SciPy brings a library of its own, with its first module that needs one.
                self.limit = _libraries("scipy.linalg" in sys.modules).limit(limits=1)
                self.owner = get_ident()
            self.depth += self.owner == get_ident()

    def __exit__(self, *error: object) -> None:
        with self.lock:
            if self.depth and self.owner == get_ident():
                self.depth -= 1
                if not self.depth:
                    self.limit.__exit__(*error)


@lru_cache(maxsize=2)
def _libraries(of_scipy: bool) -> Any:
    """Those that are loaded: looked for once, in 3 ms; to hold them takes 10 us."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


one_thread = _OneThread()
