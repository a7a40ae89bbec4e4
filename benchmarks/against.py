"""Processor time of jobs here and, if asked, of another Python with another version installed.

A script names its jobs and hands them to `compare`; each is run in processes of its own that take
turns, so that whatever else the machine does falls on both alike:

    python benchmarks/pit.py
    python benchmarks/pit.py --against PYTHON --turns 5

A process is started for every job and Python, and lives until the job's turns are over: the first
turn, which imports and fills caches, is not counted (unless it takes longer than `LONG`). The peak
is the memory of that process.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import select
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LONG = 5.0  # seconds, from which one turn is enough to tell
WHERE = ("here", "there")
PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)

if importlib.util.find_spec("stationary") is None:
    sys.path.insert(0, str(ROOT))  # a checkout that is not installed


class Worker:
    """A process that runs one job of a script whenever it is told to."""

    def __init__(self, python: str, script: Path, job: str, *, here: bool) -> None:
        paths = {"PYTHONPATH": str(ROOT)} if here else {}
        self.process = subprocess.Popen(
            [python, str(script), "--work", job],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | paths,
            cwd=ROOT if here else tempfile.gettempdir(),
            text=True,
        )

    def turn(self, limit: float) -> dict[str, Any] | None:
        """Seconds, memory and what the job returned; None if it took longer or failed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.process.poll() is not None:
            return None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], limit)[0]:
            self.process.kill()
            return None
        line = self.process.stdout.readline()
        return dict(json.loads(line)) if line else None

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


def compare(
    jobs: Mapping[str, Callable[[], Any]],
    *,
    units: Mapping[str, str] | None = None,
    turns: int = 7,
    limit: float = 120.0,
) -> None:
    """Print a row for each job: its time, its memory, and the ratios that matter.

    Parameters
    ----------
    jobs
        What is timed, by name; what a job returns is printed beside it.
    units
        For some jobs, the one in whose time theirs is given.
    """
    options = argparse.ArgumentParser()
    options.add_argument("--against", metavar="PYTHON", help="with another version installed")
    options.add_argument("--turns", type=int, default=turns)
    options.add_argument("--only", metavar="TEXT", default="", help="jobs with this in their name")
    options.add_argument("--work", metavar="JOB", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.work:
        _work(jobs[asked.work])
        return
    script, units = Path(sys.argv[0]).resolve(), dict(units or {})
    pythons = [sys.executable] + ([asked.against] if asked.against else [])
    found: dict[str, float] = {}
    print(" " * 34 + "".join(f"{where:>10s}{'memory':>10s}" for where in WHERE[: len(pythons)]))
    for name in (n for n in jobs if asked.only in n):
        workers = [Worker(p, script, name, here=i == 0) for i, p in enumerate(pythons)]
        try:
            rows = _turns(workers, asked.turns, limit)
        finally:
            for worker in workers:
                worker.stop()
        print(_row(name, rows, limit) + _in_units(name, rows[0], units, found), flush=True)


def _turns(workers: list[Worker], turns: int, limit: float) -> list[list[dict[str, Any]]]:
    """For each worker its counted turns; empty if it did not come to an end."""
    rows: list[list[dict[str, Any]]] = [[] for _ in workers]
    first = [worker.turn(limit) for worker in workers]
    long = any(turn is None or turn["seconds"] > LONG for turn in first)
    if long:
        return [[turn] if turn is not None else [] for turn in first]
    for _ in range(turns):
        for row, worker in zip(rows, workers, strict=True):
            turn = worker.turn(limit)
            assert turn is not None
            row.append(turn)
    return rows


def _median(row: list[dict[str, Any]]) -> float:
    return statistics.median(turn["seconds"] for turn in row)


def _row(name: str, rows: list[list[dict[str, Any]]], limit: float) -> str:
    line = f"{name:34s}"
    for row in rows:
        line += (
            f"{_seconds(_median(row))}{row[-1]['peak']:6.0f} MiB"
            if row
            else f"   over {limit:.0f} s or failed"
        )
    if len(rows) == 2 and all(rows):
        ratio = statistics.median(
            b["seconds"] / a["seconds"] for a, b in zip(rows[0], rows[1], strict=True)
        )
        line += f"   1/{ratio:.3g}" if ratio > 1 else f"   {1 / ratio:.3g}"
    if rows[0] and rows[0][-1]["said"]:
        line += f"   {rows[0][-1]['said']}"
    return line


def _in_units(
    name: str, row: list[dict[str, Any]], units: dict[str, str], found: dict[str, float]
) -> str:
    if not row:
        return ""
    found[name] = _median(row)
    unit = units.get(name)
    known = unit in found and unit != name
    return f"   {found[name] / found[unit]:.3g} times {unit}" if known else ""


def _seconds(t: float) -> str:
    return f"{t:8.2f} s" if t >= 1 else f"{1e3 * t:7.1f} ms"


def _processor() -> float:
    """Seconds of processor, of this process and those that it has waited for."""
    used = (resource.getrusage(who) for who in PROCESSES)
    return sum(u.ru_utime + u.ru_stime for u in used)


def _work(job: Callable[[], Any]) -> None:
    """Run the job for every line that comes in, and tell how long it took."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a job prints is no answer of ours
    for _ in sys.stdin:
        begin = _processor()
        said = job()
        seconds = _processor() - begin
        peak = max(resource.getrusage(who).ru_maxrss for who in PROCESSES) / 1024
        answers.write(
            json.dumps({"seconds": seconds, "peak": peak, "said": said and str(said)}) + "\n"
        )
        answers.flush()
