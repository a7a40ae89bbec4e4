"""Reading a landscape from a file, and saying what is wrong with it.

A landscape file is plain Python. It defines ``losses(w)`` or ``gradients(w)``, or else ``drift(x)``
with one of ``variance``, ``sigma`` and ``diffusivity``, or ``potential(x)`` and ``temperature``;
and settings, by their names. With ``parameters = {"sharpness": 100.0}`` its functions are given
these as well.
"""

from __future__ import annotations

import importlib.util
import linecache
import math
import os
import sys
import threading
import traceback
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from stationary.errors import LandscapeError, UserFunctionError
from stationary.functions.given import ALIKE, unknown, way_out
from stationary.functions.parameters import chosen_parameters
from stationary.functions.source_lines import source_place
from stationary.process.diffusion import Diffusion
from stationary.process.landscape import Landscape
from stationary.process.plane import PlaneDiffusion
from stationary.process.plane_landscape import PlaneLandscape
from stationary.process.starts import located
from stationary.sources.columns import is_table
from stationary.sources.formulas import Inline
from stationary.sources.saved import read_saved
from stationary.sources.settings import (
    COMMON,
    KNOWN,
    LANGEVIN,
    LOSSES,
    NOISES,
    SGD,
    accepted_names,
    short,
)
from stationary.sources.table import table

PLANE = (PlaneDiffusion, PlaneLandscape)
ProcessLike = str | os.PathLike[str] | Landscape | Diffusion

PREFIX = "landscape_file_"
RUNNING = threading.RLock()  # `_guest` changes what all threads share


def load(path: str | Path, *, parameters: Mapping[str, float] | None = None, **changes: Any) -> Any:
    """The landscape or the process that a Python file describes.

    Parameters
    ----------
    path
        A file that defines ``losses(w)`` or ``gradients(w)``, which makes a `Landscape`; or
        ``drift(x)`` and one of ``variance``, ``sigma`` and ``diffusivity``, each a function or a
        number, which makes a `Diffusion`. Without a ``domain`` it is on the whole line.
        Or a .json file that `save` wrote: then the answer as it was printed and listed.
        Or a table: see `table`.
    parameters
        Values for some of the parameters that the file defines, such as ``{"sharpness": 30}``.
    changes
        Values that override the file's names, such as ``learning_rate=0.02``; None changes nothing.
        A file of samples that ``initial`` names is looked for in the working folder here, and
        next to the landscape file where that names it.

    Raises
    ------
    LandscapeError
        If there is no such file, or what it defines is no landscape.
    UserFunctionError
        If the file raises an exception; the message shows its line.
    """
    if isinstance(path, (str, os.PathLike)) and str(path).endswith(".json"):
        return read_saved(Path(os.path.expanduser(path)))
    return _read(path, parameters, changes)


def _read(path: Any, parameters: Any, changes: dict[str, Any]) -> Landscape | Diffusion:
    if is_table(path):
        return _table(path, parameters, {k: v for k, v in changes.items() if v is not None})
    file, text = source_text(path)
    return load_text(text, file, parameters=parameters, **changes)


def _table(path: Any, parameters: Any, changes: dict[str, Any]) -> Landscape | Diffusion:
    if parameters:
        raise LandscapeError(
            f"{path}: a table has no parameters, but {dict(parameters)!r:.60} came. Leave them out."
        )
    found = table(path)
    known = COMMON if found.kind == "process" else (*SGD, *COMMON)
    for name, value in changes.items():
        if name not in known:
            hint = way_out(name, known)
            raise LandscapeError(f"{path}: there is no {name} (= {short(value)}) to set. {hint}")
    return found.process(**changes)


def load_text(
    text: str,
    file: Path,
    *,
    parameters: Mapping[str, float] | None = None,
    **changes: Any,
) -> Landscape | Diffusion:
    """The same from the text of a file, which need not be there: the path names it in errors."""
    for name, value in changes.items():
        if name not in KNOWN:
            hint = way_out(name, KNOWN)
            raise LandscapeError(f"{file}: there is no {name} (= {short(value)}) to set. {hint}")
    given = {k: v for k, v in changes.items() if v is not None}
    with RUNNING, _registered(file) as module:
        _run(text, file, module)
        return _build(module, given, parameters, file)


# What a file defines.


def _build(
    module: ModuleType,
    changes: dict[str, Any],
    parameters: Mapping[str, float] | None,
    file: Path,
) -> Landscape | Diffusion:
    where = file.name
    names = {
        name: value
        for name, value in vars(module).items()
        if not (name.startswith("_") or value is None or isinstance(value, ModuleType))
    }
    # A change of one noise, or of losses or gradients, takes the place of the file's.
    displaced = {k for group in (LOSSES, NOISES) if set(group) & set(changes) for k in group}
    # So does a schedule of the learning rate, and the other way round.
    rates = {"learning_rate", "schedule"}
    displaced |= rates if rates & set(changes) else set()
    given = {k: names[k] for k in KNOWN if k in names and k not in displaced} | changes
    own = {k: v for k, v in names.items() if k not in KNOWN and not _imported(v)}
    if set(given) & {*LOSSES, "drift"} and not set(changes) & set(LANGEVIN):
        given = {k: v for k, v in given.items() if k not in LANGEVIN}  # helpers of the file's own
    main, accepted = accepted_names(given, own, changes, where)
    if main in LOSSES and not callable(given[main]):
        raise LandscapeError(
            f"{where}: {main} must be a function of w, not {short(given[main])}. Write "
            f"def {main}(w): and return one entry per datapoint, such as a tuple."
        )
    fields: dict[str, Any] = {"domain": (-math.inf, math.inf), "name": where}
    fields |= {k: given[k] for k in accepted if k in given}
    if "domain" in changes and "breakpoints" in fields:
        fields["breakpoints"] = _inside(fields.get("breakpoints", ()), changes["domain"])
    fields["parameters"] = chosen_parameters(given.get("parameters"), parameters, where, KNOWN)
    if "initial" in fields and "initial" not in changes:  # samples may lie next to the file
        fields["initial"] = located(fields["initial"], Path(str(module.__file__)).parent)
    try:
        return Landscape(**fields) if main in LOSSES else Diffusion(**fields)
    except LandscapeError as error:
        if where in str(error):
            raise
        raise type(error)(f"{where}: {error}") from error


def _imported(value: Any) -> bool:
    return callable(value) and not str(getattr(value, "__module__", "")).startswith(PREFIX)


def as_process(given: Any, asked: str, **changes: Any) -> Landscape | Diffusion:
    """The same as `any_process`, which must have one weight."""
    process: Landscape | Diffusion = any_process(given, asked, **changes)
    if isinstance(process, PLANE):
        raise LandscapeError(
            f"{process.name}: {asked} is had for one weight, and this process has "
            f"{process.dimensions}. With two weights there are analyze, end_state, "
            "mean_exit_time, width_bias and check."
        )
    return process


def any_process(
    given: Any,
    asked: str,
    *,
    parameters: Mapping[str, float] | None = None,
    **changes: Any,
) -> Any:
    """The process that is meant by a `Landscape`, a `Diffusion` or the path of a landscape file.

    Parameters
    ----------
    given
        One of these.
    asked
        What takes it, for errors: "end_state".
    parameters
        Values for some of the parameters that a landscape file defines.
    changes
        Fields to replace, such as ``learning_rate=0.02``; None changes nothing.

    Raises
    ------
    LandscapeError
        If it is none of these, or has no such field.
    """
    changes = {name: value for name, value in changes.items() if value is not None}
    if isinstance(given, (str, os.PathLike)):
        return _read(given, parameters, changes)
    if not isinstance(given, (Landscape, Diffusion, *PLANE)):
        raise LandscapeError(
            f"{asked}: a Diffusion or a Landscape is needed, or the path of its file, not "
            f"{given!r:.60}."
        )
    if parameters:
        raise LandscapeError(
            f"{given.name}: parameters = {dict(parameters)!r:.60} can only be set for a file, "
            "whose functions are then given them. Pass its path."
        )
    fields = [f for f in KNOWN if f in given.__dataclass_fields__]
    strange = [name for name in changes if name not in given.__dataclass_fields__]
    if strange:
        kind = type(given).__name__.removeprefix("Plane")  # as users know it
        raise unknown(strange, fields, f"{given.name}: {', '.join(strange)} cannot be set: {kind}")
    if "domain" in changes and "breakpoints" not in changes and not isinstance(given, PLANE):
        changes["breakpoints"] = _inside(given.breakpoints, changes["domain"])
    if len({"learning_rate", "schedule"} & set(changes)) == 1 and hasattr(given, "schedule"):
        changes = {"learning_rate": None, "schedule": None} | changes
    return replace(given, **changes) if changes else given


def _inside(breakpoints: Any, domain: Any) -> Any:
    """The breakpoints that a domain given in place of the file's still holds."""
    try:
        lower, upper = domain
        return [b for b in breakpoints if lower <= b <= upper]
    except (TypeError, ValueError):
        return breakpoints  # what is wrong with either is said where it is read


# Reading and running a file.


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
def _registered(file: Path) -> Iterator[ModuleType]:
    """A new module for the file; it stays in `sys.modules` only if nothing goes wrong with it."""
    module = ModuleType(f"{PREFIX}{file.stem}_{zlib.crc32(os.fsencode(file.resolve())):08x}")
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


def _run(text: str, file: Path, module: ModuleType) -> None:
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
