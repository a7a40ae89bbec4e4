"""How far long work is, on a terminal or in a notebook; and the processes that it may use.

What is at work says so to whoever watches: nobody, at the cost of one look, unless a command or a
caller's ``progress`` has asked for it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from stationary.errors import LandscapeError

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from multiprocessing.process import BaseProcess

Progress = bool | Callable[[int, int], None]  # called with what is done and all there is to do
Watch = Callable[[str, int, int], None]  # told what is at work, how much is done, and of how much
Each = TypeVar("Each")
Found = TypeVar("Found")

GRACE = 1.0  # seconds that a worker has to come to an end
INTERRUPTED = "it was interrupted"  # why what an answer holds is not all that was asked for
SILENT = 1.0  # seconds before anything is shown: what is short needs none
REDRAWN = 0.25  # seconds after which what is shown is drawn again

_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


def at(what: str, done: int = 0, total: int = 0) -> None:
    """Say what is at work, and how much of it is done; total 0: of how much nobody knows."""
    watch = _watch.get()
    if watch is not None:
        watch(what, done, total)


@contextmanager
def doing(what: str, done: int) -> Iterator[None]:
    """As `at`, of as many as it takes; what is at work within says nothing of its own."""
    at(what, done)
    with _watched_by(None):
        yield


def each(things: Sequence[Each], what: str) -> Iterator[Each]:
    """The things one by one; what is at work on one of several says nothing of its own."""
    watch = _watch.get()
    if watch is None or len(things) < 2:
        yield from things
        return
    with _watched_by(None):
        for done, thing in enumerate(things):
            watch(what, done, len(things))
            yield thing
    watch("", 0, 0)


def done_of(
    things: Sequence[Each], what: str, find: Callable[[Each], Found], least: int = 1
) -> list[Found]:
    """What is found of each thing; if that is stopped, of those that are done, if so many are."""
    found: list[Found] = []
    try:
        for thing in each(things, what):
            found.append(find(thing))
    except KeyboardInterrupt:
        if len(found) < least:
            raise
    return found


@dataclass(frozen=True)
class _Stage:
    """Who watches a stage."""

    name: str
    watch: Watch

    def __call__(self, what: str, done: int, total: int) -> None:
        self.watch(f"{self.name}, {what}" if what else self.name, done, total)


@contextmanager
def stage(what: str, number: int, count: int) -> Iterator[None]:
    """All that is at work within is one stage of several; stages within it are none."""
    watch = _watch.get()
    if watch is None or isinstance(watch, _Stage):
        yield
        return
    with _watched_by(_Stage(f"{number} of {count}, {what}", watch)):
        at("")
        yield
    watch("", 0, 0)


@contextmanager
def told(progress: Progress, unit: str) -> Iterator[Callable[[int, int], None]]:
    """What to call with how much is done, of how much; what is at work within says nothing."""
    with watched(progress):
        watch = _watch.get()
        with _watched_by(None):
            yield (lambda *n: None) if watch is None else (lambda *n: watch(unit, *n))


@contextmanager
def watched(progress: Progress, name: str = "") -> Iterator[None]:
    """Show what is at work within, and the time left of it; or tell a function of the user's.

    It is shown where somebody looks: in a notebook, or on standard error if that is a terminal,
    and is gone when the work is done. Within what is watched already nothing changes.
    """
    if is_watched() or not (callable(progress) or (progress and _is_seen())):
        yield
    elif callable(progress):
        with _watched_by(lambda _, done, total: progress(done, total) if total else None):
            yield
    else:
        shown = _Shown(name)
        try:
            with _watched_by(shown):
                yield
        finally:
            shown.close()


def is_watched() -> bool:
    """Whether anybody is told."""
    return _watch.get() is not None


@contextmanager
def _watched_by(watch: Watch | None) -> Iterator[None]:
    before = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(before)


def _is_seen() -> bool:
    return _notebook() or (sys.stderr is not None and sys.stderr.isatty())


def _notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class _Shown:
    """A bar of tqdm, drawn by a thread of its own: also while what is at work says nothing."""

    def __init__(self, name: str) -> None:
        self.name, self.began = name, time.monotonic()
        self.now = "", 0, 0  # what, how much of it, of how much
        self.origin = self.began, 0  # since when, and what was done by then
        self.over = threading.Event()
        # In a notebook the cell that is at work is known from the context.
        self.thread = threading.Thread(target=copy_context().run, args=[self._draw], daemon=True)
        self.thread.start()

    def __call__(self, what: str, done: int, total: int) -> None:
        if what != self.now[0]:
            self.origin = time.monotonic(), done
        self.now = what, done, total

    def close(self) -> None:
        self.over.set()
        self.thread.join()

    def _draw(self) -> None:
        if self.over.wait(SILENT):
            return
        bar, over = self._bar(), False
        while True:
            what, done, total = self.now
            outer, _, unit = what.rpartition(", ")
            named = ": ".join(filter(None, [self.name, outer if total else what]))
            bar.set_description_str(named, refresh=False)
            bar.unit, bar.unit_scale = unit, max(done, total) >= 1000
            bar.bar_format = None if total else "{desc}" + bool(done) * " {n_fmt}" + ": {elapsed}"
            if total and bar.total != total:
                bar.reset(total)
            bar.n, bar.total = done, total or None
            bar.refresh()
            if over:
                break
            over = self.over.wait(REDRAWN)
        bar.total = None  # what is not done in full a notebook would keep
        bar.close()

    def _bar(self) -> Any:
        # Without the widgets of notebooks `auto` would warn, and give this one, too.
        widgets = find_spec("ipywidgets") is not None
        tqdm = import_module("tqdm.auto" if widgets or not _notebook() else "tqdm").tqdm
        shown = self

        class Bar(tqdm):  # type: ignore[misc, valid-type]
            @property
            def format_dict(self) -> dict[str, Any]:
                """The time since all began; and what is left of what is at work, at its pace."""
                found: dict[str, Any] = super().format_dict
                now, (since, before) = time.monotonic(), shown.origin
                pace = max(self.n - before, 0) / (now - since) if now > since else 0.0
                unit = " " * (pace >= 1) + self.unit
                self.nrows = None  # of one bar, and a terminal that knows no size has none
                columns = found["ncols"] if (found["ncols"] or 0) > 0 else 80
                own = {"elapsed": now - shown.began, "rate": pace, "unit": unit}
                return {**found, **own, "ncols": columns}

        bar = Bar(leave=False, dynamic_ncols=True, delay=1e-9)  # shown when it is first drawn
        bar.nrows = None
        return bar


@contextmanager
def processes(jobs: int) -> Iterator[Executor | None]:
    """A pool of local processes, or None for one job."""
    if jobs < 1:
        raise LandscapeError(f"jobs = {jobs} must be a whole number, at least 1.")
    if jobs == 1:
        yield None
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import active_children, get_context

    class Pool(ProcessPoolExecutor):
        def submit(self, *given: Any, **how: Any) -> Any:
            with _held():  # it may start a worker
                return super().submit(*given, **how)

    others = set(active_children())
    # Forking a process that has threads, as NumPy's libraries start them, may lock up.
    pool = Pool(jobs, mp_context=get_context("spawn"), initializer=_begin)
    try:
        yield pool
    finally:
        # What is not begun is never begun; what is, is given up if it takes long.
        pool.shutdown(wait=False, cancel_futures=True)
        workers, until = set(active_children()) - others, time.monotonic() + GRACE
        for worker in workers:
            worker.join(max(until - time.monotonic(), 0))
        for worker in workers:
            worker.kill()


@contextmanager
def _held() -> Iterator[None]:
    """Signals to stop wait; for processes that are started within, until they take them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _stops())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stops() -> list[signal.Signals]:
    """What a person at a terminal, a scheduler, or a terminal that is closed stops work with."""
    return [getattr(signal, n) for n in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, n)]


def _begin() -> None:
    """Standard output is for the answer alone; signals are for the one who handed out work.

    A worker that a signal to all ends in the middle of an answer takes the answers of others along.
    """
    from multiprocessing import parent_process

    sys.stdout = sys.stderr
    # As many workers as cores: threads of the linear algebra, which is not there yet, would wait.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stop in _stops():
        signal.signal(stop, signal.SIG_IGN)
    if parent := parent_process():
        threading.Thread(target=_leave_with, args=[parent], daemon=True).start()


def _leave_with(parent: BaseProcess) -> None:
    """End where nobody waits for the answer any more."""
    parent.join()
    os._exit(1)
