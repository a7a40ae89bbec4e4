"""How far long work is, on a terminal or in a notebook; and the processes that it may use."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Executor

Progress = bool | Callable[[int, int], None]  # called with what is done and all there is to do

GRACE = 1.0  # seconds that a worker has to come to an end
INTERRUPTED = "it was interrupted"  # why what an answer holds is not all that was asked for
SILENT = 1.0  # seconds before anything is shown: what is short needs none


@contextmanager
def told(progress: Progress, unit: str) -> Iterator[Callable[[int, int], None]]:
    """What to call with how much is done, of how much: a function of the user's, or a bar.

    The bar, with the time left, is shown where somebody looks: in a notebook, or on standard error
    if that is a terminal. It is gone when the work is done.
    """
    if callable(progress) or not progress:
        yield progress or (lambda done, total: None)
        return
    with _bar(unit=f" {unit}", unit_scale=True) as bar:

        def tell(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield tell


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show for how long something has been at work that cannot say how much is left."""
    if not sys.stderr.isatty():
        yield
        return
    over = threading.Event()
    with _bar(desc=what, bar_format="{desc}: {elapsed}") as bar:

        def tick() -> None:
            while not over.wait(SILENT):
                bar.update()

        watch = threading.Thread(target=tick, daemon=True)
        watch.start()
        try:
            yield
        finally:
            over.set()
            watch.join()


def _bar(**how: Any) -> Any:
    from tqdm.auto import tqdm

    return tqdm(**how, disable=None, leave=False, delay=SILENT, dynamic_ncols=True)


@contextmanager
def processes(jobs: int) -> Iterator[Executor | None]:
    """A pool of local processes, or None for one job."""
    if jobs == 1:
        yield None
        return
    from concurrent.futures import ProcessPoolExecutor
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
    for stop in {"SIGINT", "SIGHUP"} & set(dir(signal)):
        signal.signal(getattr(signal, stop), signal.SIG_IGN)
