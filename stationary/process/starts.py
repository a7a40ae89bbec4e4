"""What a user may give as the start of a process, read and understood.

Nothing here knows the domain: `Source` says what was given, and `stationary.initial` places it.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from stationary.aliases import Array
from stationary.errors import LandscapeError
from stationary.files import read_bounded
from stationary.functions.given import masked, meant, number, short, typed
from stationary.process.laws import Given, Law, Normal, Uniform

DIGITS = 17  # that a double holds; a point written with more is kept exactly
MOST_STATES = 10_000  # of a discrete distribution that is not on a lattice
LONGEST = 2**17  # between the first value of a discrete distribution and its last
LAWS = {"normal": '"normal:0.5,0.175"', "uniform": '"uniform:0,1"'}
ALSO_NORMAL = ("gauss", "gaussian", "norm")
FORMS = (
    'a point (0.3), a law ("normal:0.5,0.175", "uniform:0,1"; in Python scipy.stats.beta(2, 3)) '
    'or samples (a list of numbers, or a file such as "starts.txt")'
)
FORM = "Write one number per line, or several with commas between them; # starts a comment."


def nowhere() -> Array:
    """No points."""
    return np.empty(0)


@dataclass(frozen=True, eq=False)
class Source:
    """What was given, as far as it can be understood without the domain."""

    kind: str  # "point", "samples", "states" (of a discrete distribution) or "law"
    text: str
    where: str  # how errors begin: "pit.py: initial = 'starts.txt'"
    points: Array = field(default_factory=nowhere)  # in the order in which they came
    weights: Array = field(default_factory=nowhere)
    lines: Array | None = None  # of the file, for each sample
    law: Law | None = None
    exact: Any = None


def located(given: Any, folder: Path | None) -> Any:
    """`given`, with the name of a file made absolute: relative ones begin at `folder`."""
    if isinstance(given, str):
        if not given.strip() or typed(given) is not None or _LAW.fullmatch(given):
            return given
    elif not isinstance(given, os.PathLike):
        return given
    path = Path(os.fsdecode(given).strip()).expanduser()
    return Path(folder or "", path).absolute()


_LAW = re.compile(r"\s*([^\W\d]\w+)\s*:(.*)")  # two letters at least: C: is a drive


def understood(given: Any, name: str) -> Source:
    """What was given, told by its kind; names of files as `located` leaves them."""
    where = f"{name}: initial = {short(given)}"
    if all(callable(getattr(given, method, None)) for method in ("cdf", "ppf", "rvs")):
        return _distribution(given, f"{name}: initial = {_title(given)}")
    if isinstance(given, os.PathLike):
        path = Path(os.fsdecode(given))
        where = f"{name}: initial = {_shown(path)!r}"
        samples, lines = read_samples(path, where, _unknown(path.name))
        return _samples(samples, f"{_counted(samples)} from {path.name}", where, lines)
    if isinstance(given, str):
        value = typed(given)
        if value is None:
            return _named_law(given, where)
        digits = sum(c.isdigit() for c in given.lower().partition("e")[0])
        return _point(value, where, Fraction(given) if digits > DIGITS else None)
    if isinstance(given, np.ndarray) and given.ndim == 0:
        given = given.item()
    sized = hasattr(given, "__array__") and hasattr(given, "__len__")
    if sized or isinstance(given, (list, tuple, range)):
        samples = _numbers(given, where)
        return _samples(samples, f"{_counted(samples)} given as numbers", where)
    value = number(given)
    if value is None:
        raise LandscapeError(f"{where} is no start. Give {FORMS}.")
    plain = isinstance(given, (int, float, np.number)) and value == given
    return _point(value, where, None if plain else given)


def _point(value: float, where: str, exact: Any) -> Source:
    if not math.isfinite(value):
        raise LandscapeError(
            f"{where} is not a finite number. Start at a point of the domain, as in initial = 0.3."
        )
    return Source("point", f"{value:.12g}", where, np.array([value]), np.ones(1), exact=exact)


def _samples(points: Array, text: str, where: str, lines: Array | None = None) -> Source:
    if not points.size:
        raise LandscapeError(
            f"{where} has no samples in it. Give at least one number, as in [0.3, 0.5]."
        )
    bad = ~np.isfinite(points)
    if bad.any():
        i = int(np.argmax(bad))
        raise LandscapeError(
            f"{where}: {bad.sum()} of the {len(points)} samples "
            f"{'is' if bad.sum() == 1 else 'are'} not finite; the first is {points[i]:g} "
            f"{place(i, lines)}. A start is a finite number: remove what is none."
        )
    return Source("samples", text, where, points, np.ones(len(points)), lines)


def _named_law(given: str, where: str) -> Source:
    match = _LAW.fullmatch(given)
    if match is None:  # an empty string: all others are names of files
        raise LandscapeError(f"{where} is empty. Give {FORMS}.")
    word, rest = match[1].lower(), match[2]
    if word not in LAWS:
        raise LandscapeError(f"{where} names no law that is known here. {_unknown(word)}")
    numbers = [typed(part) for part in rest.split(",")]
    if len(numbers) != 2 or any(v is None or not math.isfinite(v) for v in numbers):
        two = "its mean and its deviation" if word == "normal" else "its two ends"
        raise LandscapeError(
            f"{where}: the {word} law needs two finite numbers, {two}, but {rest.strip()!r} came. "
            f"Write them as in {LAWS[word]}."
        )
    a, b = (float(v) for v in numbers if v is not None)
    if word == "normal":
        if b <= 0:
            raise LandscapeError(
                f"{where}: the deviation must be positive, but it is {b:g}. Write the mean and the "
                f"standard deviation, as in {LAWS[word]}"
                + (f"; to start at a point, write initial = {a:g}." if b == 0 else ".")
            )
        return Source("law", f"normal with mean {a:g} and deviation {b:g}", where, law=Normal(a, b))
    if not a < b:
        raise LandscapeError(
            f"{where}: the lower end comes first, but {a:g} is not below {b:g}. Write it as in "
            f"{LAWS[word]}."
        )
    return Source("law", f"uniform between {a:g} and {b:g}", where, law=Uniform(a, b))


def _unknown(word: str) -> str:
    """What may have been meant by a word that is neither a law nor a file."""
    plain = re.split(r"[^\w]", word.lower())[0]
    known = LAWS | dict.fromkeys(ALSO_NORMAL, LAWS["normal"])
    return meant(plain, known, f"A start is {FORMS}.")


def _distribution(given: Any, where: str) -> Source:
    text = f"the distribution {_title(given)}"
    try:
        if hasattr(given, "pmf") and not hasattr(given, "pdf"):
            points, weights = _states(given)
            return Source("states", text, where, points, weights)
        u = np.array([[1e-3], [0.25], [0.5], [0.75], [0.999]])
        x = np.asarray(given.ppf(u), dtype=float)
        # The next double: beside a pole at 1, what is within a rounding of it is at it.
        again = np.asarray(given.cdf(np.nextafter(x, np.inf)), dtype=float)
    except LandscapeError as error:
        raise LandscapeError(f"{where} cannot be used: {error}") from error
    except Exception as error:
        raise LandscapeError(
            f"{where} cannot be used: it raised {type(error).__name__}: {error}. "
            "Give a distribution with all its parameters, as in scipy.stats.beta(2, 3)."
        ) from error
    if x.shape != u.shape:
        raise LandscapeError(
            f"{where} is not one distribution but several: ppf of an array of shape {u.shape} has "
            f"shape {x.shape}. Give single numbers for its parameters."
        )
    if not (np.isfinite(x).all() and (np.diff(x[:, 0]) >= 0).all() and (again >= u - 1e-6).all()):
        raise LandscapeError(
            f"{where} is not a distribution: its quantiles at 0.001, 0.25, 0.5, 0.75 and 0.999 are "
            f"{', '.join(f'{v:g}' for v in x[:, 0])}. Check its parameters (scipy.stats gives nan "
            "for those that are not allowed)."
        )
    return Source("law", text, where, law=Given(given))


def _states(given: Any) -> tuple[Array, Array]:
    """The values of a discrete distribution, ascending, and their probabilities."""
    a, b = (float(end) for end in given.support())
    if math.isnan(a) or math.isnan(b):
        raise LandscapeError("its parameters are not allowed. Check them.")
    steps = [2.0**k for k in range(3, 18)]  # to where an infinite support holds nothing any more
    if math.isinf(b):
        origin = a if math.isfinite(a) else 0.0
        b = next((origin + h for h in steps if given.sf(origin + h) <= 1e-16), b)
    if math.isinf(a):
        a = next((-h for h in steps if given.cdf(-h) <= 1e-16), a)
    if b - a > LONGEST:
        raise LandscapeError(
            f"its values reach from {a:g} to {b:g}, which are too many to "
            "add up. Give one that is bounded, as scipy.stats.bernoulli(0.3) is."
        )
    x = a + np.arange(b - a + 1)
    p = np.asarray(given.pmf(x), dtype=float)
    if not abs(p.sum() - 1) <= 1e-12:  # not on a lattice: go from one quantile to the next
        states = [a]
        while len(states) < MOST_STATES:
            after = float(given.ppf(np.nextafter(given.cdf(states[-1]), 2)))
            if not after > states[-1]:
                break
            states.append(after)
        x = np.array(states)
        p = np.asarray(given.pmf(x), dtype=float)
    if not (abs(p.sum() - 1) <= 1e-9 and (p >= 0).all()):
        raise LandscapeError(
            f"its probabilities add up to {p.sum():.6g}, not to 1. Check its parameters."
        )
    return x[p > 0], p[p > 0]


def _title(given: Any) -> str:
    """beta(2, 3), for what scipy.stats.beta(2, 3) is; else what it calls itself."""
    kind = getattr(getattr(given, "dist", None), "name", None)
    if isinstance(kind, str):
        keywords = [f"{k}={v!s:.12}" for k, v in getattr(given, "kwds", {}).items()]
        arguments = [f"{v!s:.12}" for v in getattr(given, "args", ())]
        return f"{kind}({', '.join([*arguments, *keywords])})"
    text = short(given)
    return type(given).__name__ if " at 0x" in text or "object" in text else text


# A file of samples.


def read_samples(path: Path, where: str, hint: str) -> tuple[Array, Array | None]:
    """The numbers in a file, in their order, and the line of each (None: it has no lines).

    A one-dimensional array of NumPy (``.npy``), or else text: numbers on lines of their own or
    between commas and blanks; ``#`` starts a comment, and a ``.csv`` may name its column. `where`
    is how errors begin, and `hint` what they add where there is no such file.
    """
    try:
        if path.is_dir():
            raise LandscapeError(f"{where} is a folder. Name a file in it, as in starts.txt.")
        if not path.exists():
            beside = path.parent.iterdir() if path.parent.is_dir() else ()
            raise LandscapeError(
                f"{where}: there is no file {path.name} in {path.parent}. "
                f"{meant(path.name, {p.name: repr(p.name) for p in beside}, hint)}"
            )
        if path.suffix.lower() == ".npy":
            return _array(path, where), None
        text = read_bounded(path).decode("utf-8-sig")
    except OSError as error:
        raise LandscapeError(
            f"{where}: the file cannot be read: {error.strerror or error}. Name a file of numbers."
        ) from error
    except UnicodeDecodeError as error:
        raise LandscapeError(
            f"{where}: the file is not text in UTF-8. {FORM} An array is read if numpy.save wrote "
            "it and its name ends in .npy."
        ) from error
    return _text(text, where, header=path.suffix.lower() == ".csv")


def _array(path: Path, where: str) -> Array:
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise LandscapeError(
            f"{where}: this is not an array of numbers as numpy.save writes it: {error}."
        ) from error
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "fiu":
        what = f"the array has shape {array.shape} and type {array.dtype}"
        if not isinstance(array, np.ndarray):
            what = "there are several arrays in it"
        raise LandscapeError(
            f"{where}: {what}. Save the samples as a single row of real numbers, as in "
            f'numpy.save("{path.name}", samples.ravel()).'
        )
    return array.astype(float)


def _text(text: str, where: str, header: bool) -> tuple[Array, Array]:
    values: list[float] = []
    lines: list[int] = []
    for i, line in enumerate(text.splitlines(), start=1):
        words = re.split(r"[,\s]+", line.partition("#")[0].strip())
        words = [word for word in words if word]
        if not words:
            continue
        try:
            values += [float(word) for word in words]
        except ValueError:
            if header and not values and not any(typed(word) is not None for word in words):
                header = False
                _require_one_column(line, where, i)
                continue
            wrong = next(word for word in words if typed(word) is None)
            decimal_comma = " Write decimal points, not commas." if ";" in line else ""
            raise LandscapeError(
                f"{where}, line {i}: {wrong!r:.60} is not a number. {FORM}{decimal_comma}"
            ) from None
        lines += [i] * len(words)
    if not values:
        what = "has no numbers in it" if text.strip() else "is empty"
        raise LandscapeError(f"{where}: the file {what}. {FORM}")
    return np.array(values), np.array(lines)


def _require_one_column(line: str, where: str, i: int) -> None:
    names = [name.strip() for name in line.partition("#")[0].strip().rstrip(",").split(",")]
    if len(names) > 1:
        raise LandscapeError(
            f"{where}, line {i}: there are {len(names)} columns ({', '.join(names)!s:.60}). Keep "
            "the one with the starts."
        )


# Numbers and words.


def _numbers(given: Any, where: str) -> Array:
    """A sequence of samples as doubles."""
    shape = np.shape(given) if isinstance(given, np.ndarray) else None
    if shape is not None and len(shape) != 1:
        raise LandscapeError(
            f"{where} has the shape {shape}. Give the samples as one row of numbers, as .ravel() "
            "makes it."
        )
    if hidden := masked(given):
        raise LandscapeError(
            f"{where}: {hidden} of the {len(given)} samples are masked. "
            "Leave them out, as .compressed() does."
        )
    if isinstance(given, np.ndarray) and given.dtype.kind in "fiu":
        return given.astype(float)
    values = [number(v) for v in given]
    if None in values:
        i = values.index(None)
        raise LandscapeError(
            f"{where}: {short(list(given)[i])} (index {i}) is not a real number. Give the samples "
            "as numbers, as in [0.3, 0.5]."
        )
    return np.array(values, dtype=float)


def _counted(samples: Array) -> str:
    return f"{samples.size} sample{'' if samples.size == 1 else 's'}"


def place(i: int, lines: Array | None) -> str:
    """Where the i-th sample stands."""
    return f"at index {i}" if lines is None else f"in line {lines[i]}"


def _shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
