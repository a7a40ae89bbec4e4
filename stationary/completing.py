"""What a shell offers as the value of an option. No file is run for it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from glob import escape, glob
from pathlib import Path
from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Words = Iterable[str] | Callable[[], Iterable[str]]


def words(known: Words, *, several: bool = False, files: bool = False) -> Complete:
    """Some words; `several` of them with commas between; names of files, too."""

    def complete(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
        before, comma, last = begun.rpartition(",") if several else ("", "", begun)
        told = known() if callable(known) else known
        found = [CompletionItem(f"{before}{comma}{w}") for w in told if w.startswith(last)]
        return [CompletionItem(begun, type="file")] * files + found  # bash forgets those before it

    return complete


def written(suffixes: Sequence[str]) -> Complete:
    """Files that are there; or, of a name that none of them has, what it can end in."""

    def complete(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
        stem, dot, _end = Path(begun).name.rpartition(".")
        if not (stem or (begun and not dot)) or glob(f"{escape(begun)}*"):
            return [CompletionItem(begun, type="file")]
        start = begun[: begun.rindex(".")] if dot else begun
        return [CompletionItem(start + s) for s in suffixes if (start + s).startswith(begun)]

    return complete


def parameters(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Names of the parameters of the files, or formulas, before it."""
    names: list[str] = []
    for path in (*(ctx.params.get("paths") or ()), *ctx.args):
        with suppress(OSError, ValueError, SyntaxError):
            for node in ast.parse(Path(path).read_text(encoding="utf-8")).body:
                if isinstance(node, ast.Assign) and _names(node.targets) == ["parameters"]:
                    names += map(str, ast.literal_eval(node.value))
    for formula in (ctx.params.get(n) for n in ("drift", "variance", "sigma", "potential")):
        if formula:
            names += _formula(formula, "x")
    if losses := ctx.params.get("losses"):
        names += _formula(losses, "w")
    return [CompletionItem(f"{n}=") for n in dict.fromkeys(names) if f"{n}=".startswith(begun)]


def _names(targets: Iterable[ast.expr]) -> list[str]:
    return [t.id for t in targets if isinstance(t, ast.Name)]


def _formula(text: str, variable: str) -> Sequence[str]:
    from stationary.errors import LandscapeError
    from stationary.sources.formulas import Formula

    with suppress(LandscapeError):
        made: Any = Formula(text, variable, "")
        found: list[str] = made.parameters
        return found
    return ()


def quantities_known() -> Iterable[str]:
    from stationary.sweeps.quantities import QUANTITIES

    return QUANTITIES


@add_completion_class
class Bash(BashComplete):
    """Bash takes --option=value for three words, and would put a space behind what goes on."""

    source_template = BashComplete.source_template.replace(
        "    return 0\n", "    [[ ${COMPREPLY[0]} == *[=:] ]] && compopt -o nospace\n    return 0\n"
    )

    def get_completion_args(self) -> tuple[list[str], str]:
        args, begun = super().get_completion_args()
        while "=" in args[1:-1]:
            i = args.index("=", 1)
            args[i - 1 : i + 2] = ["".join(args[i - 1 : i + 2])]
        return args[: len(args) - (args[-1:] == ["="])], begun
