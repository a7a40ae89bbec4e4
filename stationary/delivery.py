"""Where an answer goes: to the terminal, as text or JSON, and to files; and how a command ends."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import math
import os
import shlex
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import click

from stationary.errors import StationaryError
from stationary.options import Command, Option, option, source_of, to_file, together

FAILED, USAGE, NOT_CONVERGED, INTERRUPTED = 1, 2, 3, 130
ONE_STOP = 1.0  # seconds within which signals are one: schedulers signal a process and its group
LAST_WORDS = b"stationary: what is done is being written; stop it again to leave it.\n"


class Stop:
    """What makes a signal an interrupt, but not two at once, and none while answers are written.

    Then the first waits, the second does not.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.last, self.writing, self.waits = -math.inf, False, False

    def __call__(self, *_: Any) -> None:
        before, self.last = self.last, time.monotonic()
        if self.last - before < ONE_STOP:
            return
        if self.writing and not self.waits:
            self.waits = True
            with contextlib.suppress(OSError):
                os.write(2, LAST_WORDS)
            return
        raise KeyboardInterrupt

    @contextlib.contextmanager
    def after_writing(self) -> Iterator[None]:
        """An interrupt comes after what is within."""
        self.writing, self.waits = True, False
        try:
            yield
        finally:
            self.writing = False
        if self.waits:
            raise KeyboardInterrupt


STOP = Stop()


NARROWEST = 40  # columns of a terminal, below which lines are left to it


def fitted(text: str, beside: int = 0) -> str:
    """In lines no wider than the terminal that shows standard error, less what stands beside them.

    As it is where no terminal does: what reads a file or a pipe looks for whole lines.
    """
    try:
        width = os.get_terminal_size(sys.stderr.fileno()).columns - 1 - beside
    except (AttributeError, OSError, ValueError):
        return text
    if width < NARROWEST:
        return text
    kept: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    wrapped = (textwrap.wrap(line, width, **kept) or [""] for line in text.splitlines())
    return "\n".join(part for parts in wrapped for part in parts)


def complain(words: Any) -> None:
    """Say it on standard error."""
    click.echo(fitted(f"stationary: {words}"), err=True)


def told_if_stopped(found: Any) -> None:
    """End here, and say so, where an answer is not all that was asked for."""
    stopped = getattr(found, "stopped", "") or not getattr(found, "complete", True)
    if getattr(found, "interrupted", stopped):
        _end("stopped; what was done is kept")


def told_if_unfinished(found: Any, statuses: Iterable[str] = ()) -> None:
    """End with a code of its own where an answer did not converge, and say why.

    The report does, but not ten lines of it, nor a table.
    """
    from stationary.errors import Status

    open_ = {"panel_limit", "unresolved", "not_decided"} & set(statuses)
    why = [Status[s.upper()].value for s in sorted(open_)]
    if not getattr(found, "converged", True):
        why.append(f"the tolerance of {found.tolerance:g} was not reached: take more cells")
    if why:
        name = getattr(found, "name", "") or found.diffusion.name
        complain(f"{name}: not converged: {'; '.join(why)}.")
        sys.exit(NOT_CONVERGED)


def _end(words: str, files: Iterable[Path] = ()) -> NoReturn:
    """End where somebody stopped it, and say which files are as they were."""
    from stationary.wording import joined

    left = [str(path) for path in files if str(path) != "-"]
    more = f"; {joined(left)} {'was' if len(left) == 1 else 'were'} not written" if left else ""
    complain(f"{words}{more}.")
    sys.exit(INTERRUPTED)


class _Attempts:
    """What is written one after the other, whatever is wrong with one of them."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.unread: BrokenPipeError | None = None

    def __call__(self, write: Callable[[], None]) -> None:
        try:
            write()
        except StationaryError as error:
            self.wrong.append(str(error))
        except BrokenPipeError as error:  # whoever read our output has had enough
            self.unread = error

    def end(self) -> None:
        """Tell what was wrong."""
        if self.wrong:
            raise StationaryError("\n".join(self.wrong))
        if self.unread is not None:
            raise self.unread


@dataclass(frozen=True)
class Gathered:
    """The answers on several files: what is printed in the end, and the tables of each."""

    reports: list[str] = field(default_factory=list)
    tables: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # by what they hold

    def write(self, what: str, path: Path) -> None:
        """All tables as one, whose first column is the file that a row is of."""
        from stationary.files import refuse_read, write

        refuse_read(path)
        columns, rows = ["file"], []
        for name, text in self.tables[what]:
            found = csv.DictReader(io.StringIO(text))
            rows += [{"file": name, **row} for row in found]
            columns += [c for c in found.fieldnames or () if c not in columns]
        out = io.StringIO()
        writer = csv.DictWriter(out, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write(path, out.getvalue())


@dataclass(frozen=True)
class Output:
    """Where an answer goes: to the terminal, as text or JSON, and to files."""

    as_json: bool
    brief: bool
    files: dict[str, Path]  # by what is written: "csv", "minima", "influence", "plot", "html"
    reads: tuple[Path, ...] = ()  # files that are read, and never written over
    source: str = ""
    gathered: Gathered | None = None  # where there are several sources

    @property
    def csv(self) -> Path | None:
        return self.files.get("csv")

    def answer(
        self,
        find: Callable[[], Any],
        *,
        has_table: Callable[[Any], bool] = lambda found: getattr(found, "has_table", True),
        dear: bool = False,
        **drawing: Any,
    ) -> Any:
        """Find the answer, print it, and write the files that were asked for.

        A table that is `dear`, and cannot be written, is printed.

        Files are probed before anything is computed, and the answer is printed whatever becomes of
        them.
        """
        from stationary.files import FIGURES, PAGES, claimed, probe

        if self.brief and self.as_json:
            raise click.UsageError("--brief does not go with --json, which is always whole.")
        streams = ["--json"] * self.as_json
        streams += [f"--{what}" for what, path in self.files.items() if str(path) == "-"]
        if len(streams) > 1:
            raise click.UsageError(
                f"{' and '.join(streams)} would be mixed on standard output: name a file instead."
            )
        if streams and sys.stdout is None:
            raise click.UsageError(f"{streams[0]}: standard output is closed. Name a file.")
        spared = list(self.reads)
        for what, path in self.files.items():
            suffixes = {"plot": FIGURES, "html": PAGES, "influence": (".csv",)}.get(what, ())
            probe(path, suffixes=suffixes, spared=spared)
            spared.append(path)
        with claimed(self.files.values()):
            try:
                with self._watched():
                    found = find()
            except KeyboardInterrupt:
                self._stopped("stopped before anything was done", self.files.values())
            empty = {"csv": lambda: not has_table(found), "minima": lambda: not found.basins}
            files = {k: v for k, v in self.files.items() if k not in empty or not empty[k]()}
            self._deliver(found, files, dear, drawing)
        return found

    def _deliver(
        self, found: Any, files: dict[str, Path], dear: bool, drawing: dict[str, Any]
    ) -> None:
        """Print the report and write those of the files that there is something for."""
        from stationary.files import print_text

        attempt, left = _Attempts(), dict(files)
        try:
            with STOP.after_writing():
                report = self._report(found)
                if self.gathered is not None:
                    self.gathered.reports.append(report)
                elif not any(str(path) == "-" for path in files.values()):  # it has standard output
                    attempt(lambda: print_text(report))
                for what, path in files.items():
                    before = len(attempt.wrong)
                    attempt(functools.partial(self._write, found, what, path, drawing))
                    if dear and what == "csv" and attempt.wrong[before:] and not self.as_json:
                        attempt.wrong[-1] += " Its rows are on standard output, below the report."
                        attempt(lambda: print_text(f"\n{found.to_csv()}"))
                    del left[what]
        except KeyboardInterrupt:
            self._stopped("stopped" if left else "stopped; what was done is kept", left.values())
        for path in (p for k, p in self.files.items() if k not in files):
            words = "was not written: there is nothing to list."
            if self.gathered is not None:
                words = f"has nothing of {self.source}: there is nothing to list."
            complain(f"{path} {words}")
        attempt.end()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """What a landscape file writes goes to standard error, so that ours stays readable.

        On a terminal it is shown how far the work is.
        """
        from stationary.progress import watched

        command = click.get_current_context().info_name or ""
        with contextlib.redirect_stdout(sys.stderr), watched(True, command):
            yield

    def _report(self, found: Any) -> str:
        with self._watched():
            report: str = found.to_json() if self.as_json else found.summary(brief=self.brief)
            if "influence" in self.files and not (self.as_json or self.brief):
                with contextlib.suppress(StationaryError):  # `_write` tells
                    report += f"\n\n{found.influence.summary()}"
        return report

    def _stopped(self, words: str, left: Iterable[Path]) -> NoReturn:
        if self.gathered is not None:  # whose tables are written in the end
            _end(f"stopped before all of {self.source} was done")
        _end(words, left)

    def _write(self, found: Any, what: str, path: Path, drawing: dict[str, Any]) -> None:
        from stationary.files import refuse_read, write

        refuse_read(path)
        with contextlib.redirect_stdout(sys.stderr):
            if what == "plot":
                found.plot(path, **drawing)
                return
            if what == "html":
                command = shlex.join(["stationary", *sys.argv[1:]])
                content = found.render("html", command=command, **drawing)
            elif what == "influence":
                content = found.influence.to_csv()
            else:
                content = found.to_csv(**({"of": "minima"} if what == "minima" else {}))
        if self.gathered is None:
            write(path, content)
        else:
            self.gathered.tables.setdefault(what, []).append((self.source, content))


def output(*, table: str, minima: bool = False) -> Option:
    """The options of an `Output`, handed on as `to`; `table` says what its table holds."""
    kinds = {"csv": table}
    if minima:
        kinds["minima"] = "Write a table of the minima: mass, exit time, loss, sharpness, ..."
    kinds["plot"] = "Draw the figure to this .png, .svg or .pdf file."
    kinds["html"] = "Write report and figure as one page to this file."
    options = [
        option("--json as_json", "Print JSON instead of text."),
        option("--brief", "Print ten lines at most."),
        *(to_file(k, said) for k, said in kinds.items()),
    ]

    def of(command: Command) -> Command:
        @functools.wraps(command)
        def run(paths: tuple[Path, ...], as_json: bool, brief: bool, **given: Any) -> None:
            from stationary.files import claimed

            files = {k: v for k in kinds if (v := given.pop(k)) is not None}
            reads = tuple(Path(p) for p in (*paths, given.get("initial")) if p is not None)
            if [str(path) for path in paths].count("-") > 1:
                raise click.UsageError("Standard input, -, is read once: give it once.")
            if len(paths) < 2:
                source = source_of(paths[0] if paths else None, given)
                command(path=source, to=Output(as_json, brief, files, reads), **given)
                return
            for what in ("plot", "html"):
                if what in files:
                    raise click.UsageError(f"--{what} holds the answer for one FILE.")
            with claimed(files.values()):
                codes = _codes_of(command, paths, Output(as_json, brief, files, reads), given)
            if bad := codes - {0}:  # that it was stopped, what failed, what did not converge
                sys.exit(INTERRUPTED if INTERRUPTED in bad else min(bad))

        return together(*options)(run)

    return of


def _codes_of(
    command: Command, paths: tuple[Path, ...], to: Output, given: dict[str, Any]
) -> set[int]:
    """How each of the files ended, whatever is wrong with one of them, until somebody stops it."""
    from stationary.files import print_text

    codes, found, attempt = set[int](), Gathered(), _Attempts()
    try:
        for path in paths:
            here = dict(given)
            try:
                own = replace(to, source=str(path), gathered=found)
                command(path=source_of(path, here), to=own, **here)
            except StationaryError as error:
                complain(error)
                codes.add(FAILED)
            except SystemExit as stop:
                codes.add(int(stop.code or 0))
            if INTERRUPTED in codes:
                break
    finally:
        if (found.reports or to.as_json) and not any(
            str(path) == "-" for path in to.files.values()
        ):
            listed = f"[{', '.join(found.reports)}]"
            attempt(lambda: print_text(listed if to.as_json else "\n\n".join(found.reports)))
        for what in found.tables:
            attempt(functools.partial(found.write, what, to.files[what]))
    attempt.end()
    return codes
