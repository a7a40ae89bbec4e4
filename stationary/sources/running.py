"""Reading and running a Python file of a user, and saying what is wrong with it at which line."""

from __future__ import annotations

import importlib.util
import linecache
import os
import sys
import threading
import traceback
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from stationary.errors import LandscapeError, UserFunctionError
from stationary.files import GUEST
from stationary.functions.given import ALIKE, short
from stationary.functions.source_lines import source_place
from stationary.sources.formulas import Inline

RUNNING = threading.RLock()  # `_guest` changes what all threads share


def source_text(path: str | os.PathLike[str]) -> tuple[Path, str]:
    """A Python file and its text."""
    if not isinstance(path, (str, os.PathLike)):
        raise LandscapeError(f"load takes the path of a landscape file, not {short(path)}.")
    if isinstance(path, Inline):
        return Path(path), path.text
    file = Path(os.path.expanduser(path))
    try:
        if file.is_dir():
            raise LandscapeError(f"{file} is a folder, not a file. {_suggestion(file)}")
        if not file.exists():
            where = f"there is no such file in {file.parent.resolve()}"
            raise LandscapeError(f"{file}: {where}. {_suggestion(file.parent, file.name)}")
        if not file.is_file():
            raise LandscapeError(f"{file} is not a file, but a device or a pipe. Name a file.")
        if file.suffix.lower() != ".py":
            raise LandscapeError(
                f"{file} is not a Python file. A landscape file is plain Python and its name ends "
                "in .py: put the definitions into one."
            )
        raw = file.read_bytes()
    except OSError as error:
        raise LandscapeError(
            f"{file}: the file cannot be read: {error.strerror}. Check its name and permissions."
        ) from error
    try:
        if b"\0" in raw:
            raise UnicodeError("it contains null bytes, as binary files and UTF-16 do")
        text = importlib.util.decode_source(raw)
    except (UnicodeError, LookupError, SyntaxError) as error:
        line = ""
        if isinstance(error, UnicodeDecodeError):
            line = f", line {raw[: error.start].count(10) + 1}"
        raise LandscapeError(
            f"{file}{line}: the file is not text: {error}. Save it as plain text in UTF-8."
        ) from error
    if not text.strip():
        raise LandscapeError(
            f"{file}: the file is empty. Define losses(w) and learning_rate in it, as the files in "
            "examples/ do."
        )
    return file, text


def _suggestion(folder: Path, name: str = "") -> str:
    others = sorted(p.name for p in folder.glob("*.py") if p.is_file())
    near = get_close_matches(name, others, 3, ALIKE)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"Name a file such as {' or '.join(others[:3] or ['examples/two_minima.py'])}."


@contextmanager
def registered(file: Path) -> Iterator[ModuleType]:
    """A new module for the file; it stays in `sys.modules` only if nothing goes wrong with it."""
    module = ModuleType(f"{GUEST}{file.stem}_{zlib.crc32(os.fsencode(file.resolve())):08x}")
    module.__file__ = str(file.absolute())
    module.__package__ = ""
    previous = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module  # dataclasses look for it there while they are made
    try:
        yield module
    except BaseException:  # an interrupt, too, must leave no half of a module behind
        sys.modules.pop(module.__name__, None)
        if previous is not None:
            sys.modules[module.__name__] = previous
        raise


def run_in(text: str, file: Path, module: ModuleType) -> None:
    """Run the text of the file as the module: always afresh, never from stored bytecode."""
    # Errors show lines of the text that runs, even when the file has changed since.
    lines = [f"{line}\n" for line in text.split("\n")]
    linecache.cache[str(file)] = (len(text), None, lines, str(file))
    # Standard output is for our answer alone. While the file runs, its output is redirected; what
    # its functions print when they are called later goes through `_print`, at no cost to a call.
    vars(module)["print"] = _print
    try:
        with _guest(file.resolve().parent):
            exec(compile(text, str(file), "exec", dont_inherit=True), vars(module))
    except UserFunctionError:  # of a landscape that this file loads: it says where already
        raise
    except (Exception, SystemExit) as error:
        raise _explained(error, file) from error


def _print(*values: Any, file: Any = None, **options: Any) -> None:
    """What `print` means in a landscape file and the modules next to it."""
    print(*values, file=sys.stderr if file in (None, sys.stdout) else file, **options)


@contextmanager
def _guest(folder: Path) -> Iterator[None]:
    """The surroundings in which a file runs, undone afterwards.

    Warnings are shown on standard error and raise nothing. Modules next to the file are forgotten
    in the end, so that an edited one is read again and another folder's is not mistaken for it.
    """
    known, bytecode = set(sys.modules), sys.dont_write_bytecode
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        with redirect_stdout(sys.stderr), warnings.catch_warnings(), np.errstate():
            warnings.simplefilter("default")
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        sys.dont_write_bytecode = bytecode
        with suppress(ValueError):
            sys.path.remove(str(folder))
        for name in set(sys.modules) - known:
            top = name.partition(".")[0]
            beside = (folder / f"{top}.py", folder / top / "__init__.py")
            if top not in known and any(p.exists() for p in beside):
                vars(sys.modules.pop(name)).setdefault("print", _print)


def _explained(error: BaseException, file: Path) -> LandscapeError:
    """What went wrong, at which of the user's lines."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        shown = "".join(traceback.format_exception_only(error)[1:-1])
        return LandscapeError(
            f"{file}, line {error.lineno}: this is not valid Python: {error.msg}\n{shown}"
            "Mend that line, or the one before it."
        )
    what = f"the file raised {type(error).__name__}: {error}"
    way_out = "Mend that line, or remove what the landscape does not need."
    if isinstance(error, SystemExit):
        what = f"the file ended itself (SystemExit: {error.code})"
        way_out = "Remove the call: a landscape file only defines names."
    elif isinstance(error, ModuleNotFoundError):
        way_out = f"Install {error.name} for this Python, or put {error.name}.py next to the file."
    elif isinstance(error, RecursionError):
        way_out = "A function there calls itself without end."
    steps = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    own = [step for step in steps if step[0].co_filename == str(file)]
    if not own:  # it did not even start
        return UserFunctionError(f"{file}: {what}. Split expressions that are nested too deeply.")
    where, _, shown = source_place(own[-1][0], 0, own[-1][1])
    folder = file.resolve().parent
    deepest = [step for step in steps if Path(step[0].co_filename).parent == folder][-1:]
    if deepest and deepest != own[-1:]:
        place, _, line = source_place(deepest[0][0], 0, deepest[0][1])
        shown += f"\n  in {place}:\n{line}"
    return UserFunctionError(f"{where}: {what}\n{shown}\n{way_out}")
