"""Functions that are typed as formulas, `x - x**3`: read as trees of a few known nodes, never run.

`Formula` is the function; `Inline` is a landscape file that is not a file, made of formulas or read
from standard input.
"""

from __future__ import annotations

import ast
import inspect
import math
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from stationary.errors import LandscapeError
from stationary.process.forms import FORMS, NOISES

NO_NUMBERS = ("nan", "inf", "infinity", "none")
LONGEST = 2000  # characters: what is longer is a program, and belongs into a file
CONSTANTS = {"pi": math.pi, "e": math.e}
NUMPY = frozenset(
    "sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh exp expm1 log log1p "  # noqa: SIM905
    "log2 log10 logaddexp sqrt cbrt abs square sign minimum maximum clip hypot arctan2 "
    "where".split()
)
SCIPY = frozenset(
    "expit log_expit logit xlogy erf erfc ndtr log_ndtr gammaln digamma i0 i0e".split()  # noqa: SIM905
)
FUNCTIONS = NUMPY | SCIPY
NESTED = frozenset(("minimum", "maximum", "hypot", "logaddexp"))  # f(a, b, c) is f(a, f(b, c))
OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class Formula:
    """A function of a variable and of parameters, which are all other names in its text.

    That is arithmetic with + - * / **, numbers, pi and e, and functions by their names in NumPy
    and scipy.special, where(x < 1, a, b) among them; commas separate several values. The `option`
    is where it was given, for errors: "--drift".
    """

    def __init__(self, text: str, variable: str, option: str) -> None:
        self.text, self.variable, self.option = text, variable, option
        self.parameters: list[str] = []
        if len(text) > LONGEST:
            raise self._wrong(f"has {len(text)} characters, and {LONGEST} is the most")
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            raise self._wrong(f"is no formula ({getattr(error, 'msg', error)})") from None
        try:
            self._check(self._tree)
        except RecursionError:
            raise self._wrong("is nested too deeply") from None
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        names = (variable, *self.parameters)
        self.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in names])
        self.__name__ = option.lstrip("-")

    def __call__(self, x: Any, **parameters: float) -> Any:
        names = {**CONSTANTS, **parameters, self.variable: x}
        try:
            return _value(self._tree, names)
        except OverflowError:
            raise self._wrong("holds a number that is too large") from None

    def __repr__(self) -> str:
        return repr(self.text)

    def _wrong(self, what: str, instead: str = "") -> LandscapeError:
        example = "(w - 1)**2, (w + 1)**2" if self.variable == "w" else "x - x**3"
        instead = instead or (
            f"arithmetic of {self.variable} with + - * / **, pi, e and functions such as sin, exp, "
            f'log, sqrt and tanh, as in {self.option} "{example}"'
        )
        return LandscapeError(f"{self.option} {self.text!r:.80}: it {what}. Write {instead}.")

    def _count(self, name: str, args: Sequence[ast.expr], keywords: Sequence[ast.keyword]) -> None:
        """Refuse a function of too few arguments, or too many: NumPy would write into the last."""
        takes = _arguments(name)
        if len(args) == takes and not keywords:
            return
        texts = [ast.get_source_segment(self.text.strip(), a) or "" for a in args]
        what = f"gives {name} {len(args)} argument{'s' * (len(args) != 1)}, and it takes {takes}"
        if keywords:
            what = f"names an argument of {name}, which takes {takes} without a name"
        form = f"{name}({', '.join((self.variable, 'a', 'b')[:takes])})"
        if name in NESTED and len(args) > takes and not keywords:
            form = texts[-1]
            for text in texts[-2::-1]:
                form = f"{name}({text}, {form})"
        elif name == "log" and len(args) == 2:
            form += f", and log({self.variable}) / log(b) to a base b"
        raise self._wrong(what, form)

    def _check_that_it_is(self, number: float, written: str | None) -> None:
        """Refuse what doubles take for 0 or infinity."""
        import mpmath

        exact = mpmath.mpf(str(written).replace("_", ""))
        if exact != number:
            instead = f"exp({float(mpmath.log(exact)):.10g} + 0 * {self.variable})"
            raise self._wrong(f"holds {written}, which is {number:g} in doubles", instead)

    def _check(self, node: ast.AST) -> None:
        """Refuse every node that is not known; note the names that are parameters."""
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                if isinstance(number, int) and abs(number) > 2**53:
                    raise self._wrong("holds a whole number that no double is")
                if isinstance(number, float) and number in (0.0, math.inf):
                    self._check_that_it_is(number, ast.get_source_segment(self.text.strip(), node))
            case ast.Name(id=name):
                known = {*CONSTANTS, *FUNCTIONS, self.variable, *self.parameters}
                if name in FUNCTIONS:
                    raise self._wrong(f"has {name} without an argument")
                if name not in known:
                    self.parameters.append(name)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                self._check(left)
                self._check(right)
            case ast.BinOp(op=ast.BitXor()):
                raise self._wrong("has ^, where Python writes ** for a power")
            case ast.UnaryOp(op=op, operand=inner) if type(op) in OPERATORS:
                self._check(inner)
            case ast.Call(
                func=ast.Name(id="where"),
                args=[ast.Compare(left=left, ops=[op], comparators=[right]), *others],
                keywords=[],
            ) if type(op) in OPERATORS and len(others) == 2:
                for part in (left, right, *others):
                    self._check(part)
            case ast.Call(func=ast.Name(id="where")):
                raise self._wrong(f"has where(...), which is where({self.variable} < 1, a, b)")
            case ast.Call(func=ast.Name(id=name), args=args, keywords=named) if name in FUNCTIONS:
                for argument in args:
                    self._check(argument)
                self._count(name, args, named)
            case ast.Call(func=ast.Name(id=name)):
                listed = ", ".join(sorted(FUNCTIONS))
                raise self._wrong(f"has {name}(...), which is not among the functions ({listed})")
            case ast.Tuple(elts=parts) if node is self._tree:
                for part in parts:
                    self._check(part)
            case _:
                raise self._wrong(f"holds something else ({type(node).__name__.lower()})")


def _value(node: ast.AST, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=number):
            return number
        case ast.Name(id=name):
            return names[name]
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _value(left, names), _value(right, names)
            # Whole powers stay whole, for exact derivatives; of whole numbers they might not end.
            a = float(a) if isinstance(a, int) else a
            return OPERATORS[type(op)](a, b)
        case ast.UnaryOp(op=op, operand=inner):
            return OPERATORS[type(op)](_value(inner, names))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.Call(func=ast.Name(id=name), args=args):
            return _function(name)(*(_value(a, names) for a in args))
        case ast.Tuple(elts=parts):
            return tuple(_value(p, names) for p in parts)
    raise AssertionError(node)  # the tree was checked


def _function(name: str) -> Callable[..., Any]:
    if name in NUMPY:
        return getattr(np, name)  # type: ignore[no-any-return]
    from scipy import special  # only where one of these is asked for

    return getattr(special, name)  # type: ignore[no-any-return]


def _arguments(name: str) -> int:
    """How many arguments a function takes, those beside that NumPy has (`out`) not counted."""
    function = _function(name)
    if isinstance(function, np.ufunc):
        return function.nin
    return list(inspect.signature(function).parameters).index("out")


class Inline(str):
    """The text of a landscape file, under the name that errors and reports give it."""

    text: str

    def __new__(cls, name: str, text: str = "") -> Inline:
        made = super().__new__(cls, name)
        made.text = text
        return made


def inline(given: Mapping[str, Any], settings: Collection[str]) -> Inline:
    """A landscape file of formulas as text, by the names of what it defines; numbers stand as they
    are.

    The names of `settings` will have values; what else is named is refused.
    """
    mains = [k for k in ("losses", "drift", "potential") if k in given]
    beside = {"drift": NOISES, "potential": ("temperature",)}.get(mains[0], ()) if mains else FORMS
    lost = [k for k in given if k not in (*mains[:1], *beside)]
    if lost:
        raise LandscapeError(
            f"--{mains[0]} and --{lost[0]}: these do not go together. Leave one out: a "
            "process is typed by --drift and --variance (or --sigma), by --potential and "
            "--temperature, or by --losses."
        )
    lines = ["from stationary.sources.formulas import Formula"]
    names: dict[str, str] = {}  # and in which of them each is first
    for key, text in given.items():
        if not isinstance(text, str):
            lines.append(f"{key} = {text!r}")
            continue
        made = Formula(text, "w" if key in ("losses", "gradients") else "x", f"--{key}")
        for name in made.parameters:
            names.setdefault(name, key)
        lines.append(f"{key} = Formula({text!r}, {made.variable!r}, {made.option!r})")
    lost = [name for name in names if name not in settings]
    if lost and lost[0].lower() in NO_NUMBERS:
        raise LandscapeError(
            f"--{names[lost[0]]}: {lost[0]} is no number that a process could have. Write a "
            "finite one, as 0.1."
        )
    if lost:
        raise LandscapeError(
            f"--{names[lost[0]]}: {lost[0]} is the name of nothing here. Give it a value, as in "
            f"--set {lost[0]}=1, or use x, pi, e and functions such as sin, exp, log and tanh."
        )
    unused = [name for name in settings if name not in names]
    if unused:
        raise LandscapeError(
            f"--set {unused[0]}: there is no {unused[0]} in --{' or --'.join(given)}, so that it "
            "would change nothing. Leave it out, or write it into the formula."
        )
    if names:
        lines.append(f"parameters = {dict.fromkeys(names, 1.0)!r}")
    return Inline("formula", "\n".join(lines) + "\n")
