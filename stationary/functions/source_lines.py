"""Errors that show the user's own line."""

from __future__ import annotations

import linecache
import os
import sys
from types import CodeType, FrameType

from stationary.errors import NotDifferentiableError

FRAMEWORKS = {"jax": "JAX", "torch": "PyTorch"}
INTERNAL = {__name__.partition(".")[0], "numpy", "scipy", "mpmath", "functools", *FRAMEWORKS}
WAY_OUT = (
    "Write it with NumPy's own functions, all points at once, with np.where in place of a Python "
    "`if`; or define gradients(w) instead of losses(w)."
)


def source_place(code: CodeType, instruction: int, line: int | None) -> tuple[str, str, str]:
    """("file.py, line 7", "math.exp(w)", "    return math.exp(w)") for a point in some code."""
    file, line = code.co_filename, line or code.co_firstlineno
    if file.startswith(os.getcwd() + os.sep):
        file = os.path.relpath(file)
    text = linecache.getline(code.co_filename, line).rstrip()
    positions = list(code.co_positions())
    start, end, left, right = positions[min(instruction // 2, len(positions) - 1)]
    expression = ""
    if text and start == end == line and left is not None:
        expression = text.encode()[left:right].decode(errors="replace")
    return f"{file}, line {line}", expression, f"    {text.strip()}" if text else ""


def is_internal(frame: FrameType) -> bool:
    """Is this frame's code not the user's?"""
    return library_of(frame) in INTERNAL


def library_of(frame: FrameType) -> str:
    """The package that a frame's code is in."""
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def refusal(name: str | None, why: str) -> NotDifferentiableError:
    """The error for `name`, or else for the expression that the user's frame is evaluating."""
    frame: FrameType | None = sys._getframe(1)
    while frame and is_internal(frame) and frame.f_code.co_name != "call_user_function":
        frame = frame.f_back
    where, expression, text = "", "", ""
    if frame and not is_internal(frame):
        where, expression, text = source_place(frame.f_code, frame.f_lasti, frame.f_lineno)
        where, text = f"{where}: ", f"\n{text}" if text else ""
    if name is None:
        subject = f"`{expression}` " if expression else "a conversion "
        return NotDifferentiableError(f"{where}{subject}{why}.{text}\n{WAY_OUT}")
    verdict = why if why.startswith("would") else f"{why} has no derivative here.".lstrip()
    return NotDifferentiableError(f"{where}{name} {verdict}{text}\n{WAY_OUT}")
