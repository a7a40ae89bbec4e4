"""What a long command shows on a terminal, and the processes that it may use."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

__all__ = ["counter", "processes"]

EVERY = 0.1  # seconds between two updates
GRACE = 1.0  # seconds that a worker has to come to an end
SILENT = 1.0  # seconds before the first: what is short needs none


@contextmanager
def counter(what: str = "points") -> Iterator[Callable[[int, int], None] | None]:
    """A function that shows "312 of 1000 points, 12 s left" on standard error, if a terminal."""
    stream = sys.stderr
    if not stream.isatty():
        yield None
        return
    begin, last = time.monotonic(), time.monotonic() + SILENT - EVERY
    width = 0

    def show(done: int, total: int) -> None:
        nonlocal last, width
        now = time.monotonic()
        if now - last < EVERY:
            return
        last = now
        left = (now - begin) * (total - done) / max(done, 1)
        line = f"{done} of {total} {what}, {_duration(left)} left"
        stream.write("\r" + line.ljust(width))
        stream.flush()
        width = len(line)

    try:
        yield show
    finally:
        if width:
            stream.write("\r" + " " * width + "\r")
            stream.flush()


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"


@contextmanager
def processes(jobs: int) -> Iterator[Executor | None]:
    """A pool of local processes, or None for one job."""
    if jobs == 1:
        yield None
        return
    from multiprocessing import active_children, get_context

    others = set(active_children())
    # Forking a process that has threads, as NumPy's libraries start them, may lock up.
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin)
    try:
        yield pool
    finally:
        # What is not begun is never begun; what is, is given up if it takes long.
        pool.shutdown(wait=False, cancel_futures=True)
        workers = set(active_children()) - others
        for worker in workers:
            worker.join(GRACE)
        for worker in workers:
            worker.terminate()


def _begin() -> None:
    """Standard output is for the answer alone; an interrupt is for the one who handed out work."""
    sys.stdout = sys.stderr
    signal.signal(signal.SIGINT, signal.SIG_IGN)
