"""Operations written in another way, that neither overflows nor cancels.

Sums of exponentials are kept as functions of what is in the exponents: log(1 + e^z), as of logistic
losses, is `logaddexp`, and its derivatives, or 1 / (1 + e^-z) and its own, have the form
(e^p ...) / (e^p + e^q), as those of log(cosh(z)) have sinh(z) / cosh(z). As they were written they
are inf / inf where e^z overflows. What comes to 0, 1 or -1 as two of these do is one of them: as it
was written it is 0 far out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from stationary.functions.tape.graph import Tape

DEPTH = 8  # operations down to which a numerator is searched: deeper, it may be very often; and
# factors of a product among which one is looked for


def _log_of_sum(tape: Tape, index: int) -> int | None:
    """The logarithm of a sum of exponentials, of which 1 is one; None if it is no such sum.

    And of what is made of such sums by multiplication, and of powers of numbers.
    """
    node = tape.nodes[index]
    if node.op == "exp":
        return node.args[0]
    if tape.number(index) == 1:
        return tape.constant(0.0)
    if node.op == "exp2":
        return tape.operation("multiply", *node.args, tape.operation("log", tape.constant(2.0)))
    if node.op == "power" and node.by_weight:
        base, power = node.args
        if tape.number(base) is not None:
            if not tape.number(base) > 0:
                return None
            return tape.operation("multiply", power, tape.operation("log", base))
        log = _log_of_sum(tape, base)
        return None if log is None else tape.operation("multiply", log, power)
    if node.op == "sum":
        log = _log_of_sum(tape, node.args[0])
        return None if log is None else tape.log_of_sum(log, node.how)
    if node.op not in _OF_LOGS:
        return None
    logs = [log for i in node.args if (log := _log_of_sum(tape, i)) is not None]
    if len(logs) < len(node.args):
        return None
    if node.op == "sqrt":
        return tape.operation("multiply", *logs, tape.constant(0.5))
    return tape.operation(_OF_LOGS[node.op], *logs)


def _shares(tape: Tape, below: int) -> tuple[dict[int, int], int | None]:
    """What each term of a sum of exponentials is of it, and the logarithm of the sum.

    Or what sinh is of cosh, and whatever may overflow or become 0 of itself; nothing otherwise.
    """
    node, one = tape.nodes[below], tape.constant(1.0)
    if node.op == "cosh":
        ratio = tape.operation("tanh", *node.args)
        return {tape.operation("sinh", *node.args): ratio, below: one}, None
    if node.op == "exp":
        return {below: one}, None
    if node.op == "logistic":
        half = tape.operation("multiply", *node.args, tape.constant(0.5))
        rest = tape.operation("logistic", tape.operation("negative", *node.args))
        rest = tape.operation("multiply", tape.constant(4.0), rest)
        halves = (half, tape.operation("negative", half))
        return {below: one, **{tape.operation("squared_sech", u): rest for u in halves}}, None
    if node.op not in ("add", "sum") or (whole := _log_of_sum(tape, below)) is None:
        return {}, None
    logs = {i: log for i in node.args if (log := _log_of_sum(tape, i)) is not None}
    if node.op == "sum" or len(logs) < 2 or any(tape.nodes[i].op == "add" for i in logs):
        return {}, whole
    others = reversed(logs.values())
    return {
        i: tape.operation("logistic", _apart(tape, log, other))
        for (i, log), other in zip(logs.items(), others, strict=True)
    }, whole


def _apart(tape: Tape, one: int, other: int) -> int:
    if tape.number(one) == 0:
        return tape.operation("negative", other)
    return tape.operation("subtract", one, other)


_OF_LOGS = {"add": "logaddexp", "multiply": "add", "divide": "subtract", "sqrt": ""}


def _log(tape: Tape, index: int) -> int | None:
    node = tape.nodes[index]
    if node.op == "logistic":
        return tape.operation("negative", _softplus(tape, tape.operation("negative", *node.args)))
    if node.op == "cosh":
        (z,) = node.args
        twice = tape.operation("logaddexp", z, tape.operation("negative", z))
        return tape.operation("subtract", twice, tape.operation("log", tape.constant(2.0)))
    return _log_of_sum(tape, index) if node.by_weight else None


def _power(tape: Tape, base: int, power: int) -> int | None:
    """One over a sum of exponentials, and its powers."""
    number = tape.number(power)
    if number not in range(-DEPTH, 0) or not tape.nodes[base].by_weight:
        return None
    if _log_of_sum(tape, base) is None:
        return None
    once = tape.operation("divide", tape.constant(1.0), base)
    if number == -1:
        return once
    rest = tape.operation("power", base, tape.constant(float(number + 1)))
    return tape.operation("multiply", once, rest)


def _log_to(base: float) -> Callable[[Tape, int], int | None]:
    def rule(tape: Tape, index: int) -> int | None:
        log = _log(tape, index)
        unit = tape.operation("log", tape.constant(base))
        return None if log is None else tape.operation("divide", log, unit)

    return rule


def _log1p(tape: Tape, index: int) -> int | None:
    node = tape.nodes[index]
    if node.op == "negative" and tape.nodes[node.args[0]].op == "logistic":
        return tape.operation("negative", _softplus(tape, *tape.nodes[node.args[0]].args))
    return _softplus(tape, *node.args) if node.op == "exp" else None


def _softplus(tape: Tape, index: int) -> int:
    return tape.operation("logaddexp", index, tape.constant(0.0))


def _subtract(tape: Tape, one: int, other: int) -> int | None:
    """1 - logistic(z) is logistic(-z), and so is what is left of x without x logistic(z)."""
    minus = _minus(tape, other)
    if minus is not None:
        return tape.operation("add", one, minus)
    minus = _minus(tape, one)
    if minus is not None:
        return tape.operation("negative", tape.operation("add", minus, other))
    shared = _of_opposites(tape, one, other)
    if shared is not None:
        (z,) = tape.nodes[shared[1]].args
        half = tape.operation("multiply", z, tape.constant(0.5))
        return tape.operation("multiply", tape.operation("tanh", half), shared[0])
    rest = _beside(tape, one, other, -1.0)
    if rest is not None:
        return tape.operation("multiply", one, rest)
    rest = _beside(tape, other, one, -1.0)
    if rest is not None:
        return tape.operation("negative", tape.operation("multiply", other, rest))
    reverse = _from_limit(tape, other, one, 1.0)
    reverse = tape.known("subtract", other, one) if reverse is None else reverse
    if reverse is not None:
        return tape.operation("negative", reverse)
    return _from_limit(tape, one, other, 1.0)


def _minus(tape: Tape, index: int) -> int | None:
    """Minus what is written with a minus."""
    node = tape.nodes[index]
    if node.op == "negative":
        return node.args[0]
    factors = [n for i in node.args if (n := tape.number(i)) is not None]
    if node.op == "multiply" and sum(n < 0 for n in factors) == 1 and 0 not in factors:
        return tape.operation("negative", index)
    return None


def _odd(op: str) -> Callable[[Tape, int], int | None]:
    def rule(tape: Tape, index: int) -> int | None:
        minus = _minus(tape, index)
        return None if minus is None else tape.operation("negative", tape.operation(op, minus))

    return rule


def _even(op: str) -> Callable[[Tape, int], int | None]:
    def rule(tape: Tape, index: int) -> int | None:
        minus = _minus(tape, index)
        return None if minus is None else tape.operation(op, minus)

    return rule


def _add(tape: Tape, one: int, other: int) -> int | None:
    if one == other:
        return tape.operation("multiply", one, tape.constant(2.0))
    for i, j in ((one, other), (other, one)):
        minus = _minus(tape, i)
        if minus is not None:
            return tape.operation("subtract", j, minus)
    shared = _of_opposites(tape, one, other)
    if shared is not None:
        return shared[0]
    for i, j in ((one, other), (other, one)):
        rest = _beside(tape, i, j, 1.0)
        if rest is not None:
            return tape.operation("multiply", i, rest)
    found = _from_limit(tape, one, other, -1.0)
    return found if found is not None else _from_limit(tape, other, one, -1.0)


def _factors(tape: Tape, index: int) -> Counter[int]:
    """Of a product, if these are few."""
    waiting, found = [index], Counter[int]()
    while waiting:
        i = waiting.pop()
        if tape.nodes[i].op == "multiply":
            waiting += tape.nodes[i].args
        elif tape.number(i) != 1:
            found[i] += 1
        if len(waiting) + found.total() > DEPTH:
            return Counter([index])
    return found


def _of_opposites(tape: Tape, one: int, other: int) -> tuple[int, int] | None:
    """x and logistic(z), of x logistic(z) and x logistic(-z)."""
    if not {tape.nodes[one].op, tape.nodes[other].op} <= {"multiply", "logistic"}:
        return None
    first, second = _factors(tape, one), _factors(tape, other)
    own, others = [*(first - second).elements()], [*(second - first).elements()]
    if len(own) != 1 or len(others) != 1:
        return None
    (i,), (k,) = own, others
    if {tape.nodes[i].op, tape.nodes[k].op} != {"logistic"}:
        return None
    if tape.operation("negative", *tape.nodes[k].args) != tape.nodes[i].args[0]:
        return None
    both = tape.constant(1.0)
    for factor in (first & second).elements():
        both = tape.operation("multiply", both, factor)
    return both, i


def _beside(tape: Tape, one: int, other: int, sign: float) -> int | None:
    """1 + tanh(z) or 1 - y, of x and x y, where y is logistic(z), tanh(z) or its square."""
    if tape.nodes[other].op not in ("multiply", "logistic", "tanh"):
        return None
    first, second = _factors(tape, one), _factors(tape, other)
    left = [*(second - first).elements()]
    if first - second or not left or left != len(left) * left[:1]:
        return None
    op, args = tape.nodes[left[0]].op, tape.nodes[left[0]].args
    if (op, len(left), sign) == ("logistic", 1, -1.0):
        return tape.operation("logistic", tape.operation("negative", *args))
    if (op, len(left), sign) == ("tanh", 2, -1.0):
        return tape.operation("squared_sech", *args)
    if (op, len(left)) == ("tanh", 1):
        twice = tape.operation("multiply", *args, tape.constant(2 * sign))
        return tape.operation("multiply", tape.operation("logistic", twice), tape.constant(2.0))
    return None


def _from_limit(tape: Tape, index: int, constant: int, sign: float) -> int | None:
    """k logistic(z) - y where each y is 0 or k, or all are k / 2, and k tanh(z) with y = -k or k.

    With k = 1 they are s logistic(s z) with s = 1 - 2 y, tanh(z / 2) / 2, and s logistic(s z) with
    s = -2 y: as written they cancel.
    """
    node, scale = tape.nodes[index], 1.0
    for i, k in zip(node.args, node.args[::-1], strict=True) if node.op == "multiply" else ():
        if tape.number(i) is not None:
            node, scale = tape.nodes[k], float(tape.number(i))
    if node.op not in ("logistic", "tanh") or constant not in tape.constants or not scale:
        return None
    y = sign * np.asarray(tape.constants[constant], dtype=float) / scale
    if node.op == "logistic" and (y == 0.5).all():
        half = tape.operation("multiply", *node.args, tape.constant(0.5))
        found, factor = tape.operation("tanh", half), tape.constant(0.5)
    else:
        side = 1 - 2 * y if node.op == "logistic" else -2 * y
        if (np.abs(side) != (1 if node.op == "logistic" else 2)).any():
            return None
        factor = tape.like(constant, side) if side.ndim else tape.constant(side.item())
        z = tape.operation("multiply", *node.args, factor)
        found = tape.operation("logistic", z)
    found = tape.operation("multiply", found, factor)
    return tape.operation("multiply", found, tape.constant(scale))


def _is_a_power_of_two(number: Any) -> bool:
    """Whether a product with it is exact."""
    return number is not None and abs(math.frexp(number)[0]) == 0.5


def _divide(tape: Tape, above: int, below: int) -> int | None:
    if _is_a_power_of_two(tape.number(below)):
        half = 1 / float(tape.number(below))
        many = tape.constants.get(above)
        if isinstance(many, np.ndarray) and many.dtype.kind == "f":
            return tape.like(above, many * half)
        if many is None:
            return tape.operation("multiply", above, tape.constant(half))
    shares, whole = _shares(tape, below)
    share, one = _share(tape, above, shares, whole, DEPTH), tape.constant(1.0)
    if share is None and one in shares and below != one:
        return tape.operation("multiply", above, shares[one])
    return share


def _multiply(tape: Tape, one: int, other: int) -> int | None:
    """x (y / s) as (x / s) y; e^z logistic(-z) is logistic(z); half of twice x is x."""
    for i, j in ((one, other), (other, one)):
        node = tape.nodes[j]
        if tape.number(i) == -1:
            return tape.operation("negative", tape.as_number(j))
        opposite = tape.opposite(i)
        if opposite is not None:
            return tape.operation("negative", tape.operation("multiply", opposite, j))
        if node.op == "negative":
            return tape.operation("negative", tape.operation("multiply", i, *node.args))
        if node.op == "multiply" and tape.nodes[i].op == "exp":
            for k, rest in zip(node.args, node.args[::-1], strict=True):
                part = _multiply(tape, i, k)
                if part is not None:
                    return tape.operation("multiply", part, rest)
        if node.op == "multiply" and tape.number(i) is not None:
            for k, rest in zip(node.args, node.args[::-1], strict=True):
                if _is_a_power_of_two(tape.number(k)) and _is_a_power_of_two(tape.number(i)):
                    factor = tape.constant(float(tape.number(k) * tape.number(i)))
                    return tape.operation("multiply", rest, factor)
        if node.op == "divide":
            share = _share(tape, i, *_shares(tape, node.args[1]), DEPTH)
            if share is not None:
                return tape.operation("multiply", share, node.args[0])
        elif node.op == "logistic":
            z = tape.operation("negative", *node.args)
            terms = {tape.operation("exp", z): tape.operation("logistic", z), tape.constant(1.0): j}
            share = _share(tape, i, terms, None, DEPTH)
            if share is not None:
                return share
    return None


def _share(
    tape: Tape, above: int, shares: dict[int, int], whole: int | None, depth: int
) -> int | None:
    """The node of `above` over a sum, where all of it has exponentials, or those of `shares`, as
    factors; else None. `shares` are what these are of the sum, and `whole` its logarithm."""
    if above in shares or (whole is None and not shares):
        return shares.get(above)
    node = tape.nodes[above]
    if whole is not None and node.op == "exp":
        return tape.operation("exp", _apart(tape, node.args[0], whole))
    if node.op == "sum" and whole is not None:
        inside = _share(tape, node.args[0], shares, whole, depth)
        return None if inside is None else tape.summed(inside, node.how)
    if not depth or node.op not in ("add", "subtract", "multiply", "divide", "negative"):
        return None
    first = _share(tape, node.args[0], shares, whole, depth - 1)
    if node.op == "multiply" and first is None:
        second = _share(tape, node.args[1], shares, whole, depth - 1)
        return None if second is None else tape.operation("multiply", node.args[0], second)
    if first is None or node.op == "negative":
        return None if first is None else tape.operation("negative", first)
    if node.op in ("multiply", "divide"):
        return tape.operation(node.op, first, node.args[1])
    second = _share(tape, node.args[1], shares, whole, depth - 1)
    return None if second is None else tape.operation(node.op, first, second)


RULES: dict[str, Callable[..., int | None]] = {
    "log": _log,
    "log2": _log_to(2.0),
    "log10": _log_to(10.0),
    "log1p": _log1p,
    "power": _power,
    "subtract": _subtract,
    "add": _add,
    "divide": _divide,
    "multiply": _multiply,
    "tanh": _odd("tanh"),
    "sinh": _odd("sinh"),
    "cosh": _even("cosh"),
    "squared_sech": _even("squared_sech"),
}
