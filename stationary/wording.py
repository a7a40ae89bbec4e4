"""How numbers are written for a person."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

LN10 = math.log(10.0)
LIGHT = math.log(1e-5)  # of a probability, from which on powers of ten say more
MOST_NAMED = 4  # things of one kind in a sentence, or sentences of one kind
SUFFIX = "_standard_error"  # of what a sample leaves unsure: a column of its own
SECOND = 1  # places after the first digit of a standard error, to which a value is told
EXACT = 1e-9  # error of a probability below which none is shown
NO_WAY = 1e-13  # of how far things are apart: a position that is as near to 0 is rounding


def capital(text: str) -> str:
    """The same beginning with a capital."""
    return f"{text[:1].upper()}{text[1:]}"


def joined(parts: Sequence[str]) -> str:
    """A, b and c."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def more_text(count: int, one: str, several: str = "") -> str:
    """What is not named: 1 more minimum, 3 more minima."""
    return f"{count} more {one if count == 1 else several or f'{one}s'}"


def listed(
    parts: Sequence[str], one: str, several: str = "", most: int = MOST_NAMED, at: str = ""
) -> str:
    """A, B and 3 more minima; or `at` these, as in "in 3 more minima"."""
    more = len(parts) - most
    return joined([*parts[:most], *[at + more_text(more, one, several)] * (more > 0)])


def done_text(count: int) -> str:
    """How many of the factors that were asked for an answer holds."""
    return f"of the factors {count} {'is' if count == 1 else 'are'} done"


def sentence(text: str, name: str = "") -> str:
    """Words with a full stop, and a capital unless they begin with the name of a file."""
    begun = text if name and text.startswith(name) else capital(text)
    return begun if begun.endswith(".") else f"{begun}."


def last_rate_text(process: Any) -> str:
    """Which learning rate an answer is at, of a landscape with a schedule; nothing without one."""
    schedule = getattr(process, "schedule", None)
    if schedule is None:
        return ""
    return f"That is at T = {schedule.last:.6g}, the last learning rate of {schedule}."


def sample_text(process: Any) -> str:
    """What errors leave out of functions that were estimated; nothing of others."""
    if not getattr(process, "from_sample", getattr(process, "sample", None)):
        return ""
    what = "Gradients" if hasattr(process, "from_sample") else "Drift and variance"
    return (
        f"{what} were estimated from a sample. What that leaves unsure is in none of "
        "these errors, and may be far more: `stationary analyze` gives standard errors."
    )


def at_rest_text(low: float, high: float) -> str:
    """On a stretch where no datapoint has a gradient."""
    where = f"between {low:.6g} and {high:.6g}"
    if math.isinf(low) or math.isinf(high):
        where = f"below {high:.6g}" if math.isinf(low) else f"above {low:.6g}"
    return f"at rest {where} (all gradients are 0)"


def probability_text(
    log_p: Any, digits: int = 6, error: float = 0.0, of_sample: float = 0.0
) -> str:
    """A probability from its natural logarithm: 0.958482, or 10^-52.46 beyond reach.

    To so many digits, or as few as an error or a standard error of the logarithm leave.
    """
    digits = digits_left(error, digits, log_p, of_sample)
    if digits > 17 and hasattr(log_p, "context") and log_p > LIGHT:
        return many_digits_text(log_p.context.exp(log_p), digits)
    log_p, digits = float(log_p), min(digits, 17)
    if math.isinf(log_p):
        return "0"
    if log_p > LIGHT:
        rest = -math.expm1(log_p)
        if max(1e-14, error) < rest < 0.5 * 10.0**-digits:  # doubles have two digits of it
            return f"1 - {rest:.2g}"
        return f"{math.exp(log_p):.{digits}g}"
    return power_text(log_p, error, of_sample)


def share_text(log_p: float, error: float) -> str:
    """A probability from its logarithm to the digits that its absolute error leaves, and that."""
    p = math.exp(log_p)
    if -math.inf < log_p < LIGHT:
        if error <= 0.1 * p:
            return power_text(log_p)
        return f"below 10^{math.log10(p + error):.1f}"
    if error < EXACT:
        return probability_text(log_p)
    known = known_text(p, error, 6)
    if known == "1" and error < 1 - p:
        known = f"1 - {1 - p:.1e}"
    return known if known == "not known" else f"{known} +- {error_text(error)}"


def power_text(log_value: float, error: float = 0.0, of_sample: float = 0.0) -> str:
    """exp(log_value) as a power of ten, to its error: 10^-52.46, 10^(-1.6e+79), or 1.

    Or to the second digit of a standard error of log_value, where that is larger.
    """
    exponent, error, sure = log_value / LN10, error / LN10, of_sample / LN10
    if abs(exponent) < max(0.005, error):
        return "1"
    if max(error, 10.0**-SECOND * sure) > 0.05:
        text = estimate_text(exponent, error, sure, 4 if abs(exponent) < 1e6 else 3)
        text = f"({text})" if "e" in text else text
        return "1" if text == "0" else f"10^{text}"
    if abs(exponent) < 1e6:
        return f"10^{exponent:.2f}"
    return f"10^({exponent:.3g})"


def times_text(log_ratio: Any, error: Any = 0.0, of_sample: float = 0.0, most: int = 3) -> str:
    """A ratio from its natural logarithm: 35.4, 2,465, 10^33.20, or 1 + 2e-05.

    To the digits that an error, or the second one that a standard error, of it leaves.
    """
    log_ratio = float(log_ratio)
    if math.isinf(log_ratio):
        return "more than 10^(1e+307)" if log_ratio > 0 else "less than 10^(-1e+307)"
    if error < abs(log_ratio) < 5e-4:
        return f"1 {'+' if log_ratio > 0 else '-'} {abs(math.expm1(log_ratio)):.1g}"
    if abs(log_ratio) > 13:
        return power_text(log_ratio, float(error), of_sample)
    digits = digits_left(error, most, log_ratio)
    if of_sample > 0:
        here, unsure = log_ratio / LN10, (log_ratio + math.log(of_sample)) / LN10
        digits = max(1, min(digits, math.floor(here) - math.floor(unsure) + 1 + SECOND))
    return f"{float(f'{math.exp(log_ratio):.{digits}g}'):,.6g}"


def time_text(log_time: Any, error: Any = 0.0, most: int = 6, of_sample: float = 0.0) -> str:
    """A time from its natural logarithm: 2133.4, 10^52.46, or infinite.

    As many digits are shown as the error and the standard error of the logarithm leave, and at
    most so many.
    """
    digits = digits_left(error, most, log_time, of_sample)
    if most > 17 and hasattr(log_time, "context") and abs(log_time) < 20:
        return many_digits_text(log_time.context.exp(log_time), digits)
    log_time = float(log_time)
    if math.isinf(log_time):
        return "infinite" if log_time > 0 else "0"
    if abs(log_time) < 20:
        return plain_text(math.exp(log_time), min(digits, 6))
    return power_text(log_time, float(error), of_sample)


def plain_text(x: float, digits: int = 2) -> str:
    """A number to so many digits, without a power of ten below a million: 220, 0.34."""
    text = f"{x:.{digits}g}"
    return f"{float(text):.6g}" if "e+" in text else text


def steps_text(log_time: float, error: float) -> str:
    """A number of steps in as many digits as its error leaves: 34.2, or 10^(99 +- 3)."""
    if math.isinf(log_time):
        return "never"
    if error > LN10 / 2:
        power = log_time / LN10
        return f"10^({power:.0f} +- {math.ceil(error / LN10 + abs(power - round(power)))})"
    if log_time > math.log(1e7):
        return f"10^{log_time / LN10:.1f}"
    steps = float(f"{math.exp(log_time):.{max(2, digits_left(error, 4, log_time))}g}")
    return f"{steps:,.0f}" if steps >= 100 else f"{steps:.6g}"


def error_text(error: Any) -> str:
    """An error to one digit."""
    if not error < math.inf:
        return "not known"
    # Next to the least double there is no digit to be shown.
    return (f"{float(error):.0e}" if error > 1e-300 else "<1e-300") if error > 0 else "0"


def is_known(error: Any, log_value: Any) -> bool:
    """Whether an error of log_value leaves anything of exp(log_value), or of the logarithm."""
    return bool(error < math.inf and error <= 0.5 * max(1.0, abs(log_value)))


def digits_left(error: Any, most: int, log_value: Any = 0.0, of_sample: float = 0.0) -> int:
    """Digits of exp(log_value) up to the decade of its relative error; at least one.

    And to the second digit of a relative standard error.
    """
    first = 10.0 ** (float(log_value) / LN10 % 1.0)
    digits = digits_known(first, float(error) * first, most)
    if of_sample > 0:
        digits = max(1, min(digits, SECOND + 1 + math.floor(-math.log10(of_sample))))
    return digits


def relative_error_text(error: Any, log_value: Any) -> str:
    """The relative error of exp(log_value); where that says little, the one of the logarithm."""
    if not is_known(error, log_value):
        return "not known"
    if error < 0.1 or abs(log_value) < 1:
        return error_text(error)
    return f"{error_text(error / abs(log_value))} of log"


def tidy(x: float, error: Any) -> float:
    """A position, with 0 for what its error cannot tell from 0."""
    return 0.0 if abs(x) <= float(error) else x


def offset_text(x: float, offset: float, width: float, digits: int = 12) -> str:
    """A position, with what a double leaves out of it where that matters: 2 - 1.86e-42.

    It matters where points `width` apart are hardly told apart by doubles.
    """
    if offset == 0 or not width < 1e3 * float(np.spacing(abs(x))) or abs(offset) < 1e-3 * width:
        return f"{x:.{digits}g}"
    return f"{x:.{digits}g} {'-' if offset < 0 else '+'} {abs(offset):.3g}"


def place_text(x: float, apart: float, digits: int = 4) -> str:
    """A position, with three digits at least of how far it is from others: 1000003, not 1e+06."""
    ratio = abs(x) / apart if 0 < apart < math.inf and math.isfinite(x) else 1.0
    if ratio < NO_WAY:
        return "0"
    return f"{x:.{min(max(digits, 3 + math.ceil(math.log10(max(ratio, 1.0)))), 17)}g}"


def many_digits_text(x: Any, digits: int) -> str:
    """A number of either kind to so many significant digits; what is huge as a power of ten."""
    context = getattr(x, "context", None)
    if context is None:
        return f"{x:.{min(digits, 17)}g}"
    return str(context.nstr(x, digits, min_fixed=-6, max_fixed=digits + 6))


def mean_text(mean: float, std: float) -> str:
    """A mean, which is 0 where nothing but rounding against the deviation is left of it."""
    if math.isnan(mean):
        return "-"
    return "0" if abs(mean) < NO_WAY * max(1.0, std) else f"{mean:.6g}"


def digits_known(value: float, error: Any, most: int) -> int:
    """Significant digits of a value up to the decade of its error; at least one."""
    error = float(error)  # of many digits it may be beyond doubles
    if not error < math.inf:  # or not known
        return 1
    if not (error > 0 and value and math.isfinite(value)):
        return most
    known = math.floor(math.log10(abs(value))) - math.floor(math.log10(error)) + 1
    return min(max(known, 1), most)


def known_text(value: Any, error: Any, most: int = 10) -> str:
    """A value to the last digit that its error leaves, and at most so many."""
    x = float(value)
    if math.isnan(x) or not math.isfinite(float(error)):
        return "not known"
    return f"{tidy(x, error):.{digits_known(x, error, most)}g}"


def bounded_text(share: float, error: float) -> str:
    """A share of all in a few digits; of one below its error, what it is below for all that."""
    if share < error:
        return f"< {rounded_up(share + error):.0e}"
    return known_text(share, error, 4)


def rounded_up(x: float) -> float:
    """The least number of one digit that is not below a positive one."""
    if not 0 < x < math.inf:
        return x
    unit = 10.0 ** math.floor(math.log10(x))
    return math.ceil(x / unit * (1 - 1e-12)) * unit


def sampled_text(value: Any, error: Any, most: int = 4) -> str:
    """A value to the second digit of its standard error, which may be larger: 0.34 beside 0.49.

    What is known to rounding is 0 within its error; of a sample it is still the best guess.
    """
    x, error = float(value), float(error)
    if not (0 < error < math.inf and math.isfinite(x)):
        return f"{x:.{most}g}"
    return f"{round(x, SECOND - math.floor(math.log10(error))) + 0.0:.{most}g}"


def near_one_text(log_p: float, of_sample: float) -> str:
    """A probability that its standard error does not tell from 1, which it is not."""
    told, rest = sampled_text(math.exp(log_p), of_sample), -math.expm1(log_p)
    if told != "1" or not rest > 0:
        return told
    if rest < 1e-14:  # of which doubles have no digit
        return "1"
    # Up to the first digit of the rest.
    return f"{1 - rest:.{-math.floor(math.log10(rest))}f}" if rest > 1e-5 else f"1 - {rest:.0e}"


def sampled_share_text(
    log_p: float, of_mass: float, of_log: float, error: float = 0.0, most: int = 6
) -> str:
    """A probability from its logarithm, to the digits that its error, and a sample, leave.

    Near 1 logarithms are bent: there the standard error is `of_mass`, elsewhere `of_log`, which
    are nan where there is no sample.
    """
    if log_p > -of_mass:
        return near_one_text(log_p, max(of_mass, error))
    return probability_text(log_p, most, error, of_log)


def estimate_text(value: Any, error: Any, of_sample: float, most: int = 10) -> str:
    """A value to the last digit of its error, or to the second of a standard error above that."""
    if of_sample > float(error):
        return sampled_text(value, of_sample, most)
    return known_text(value, error, most)


def measured(value: float, error: float, most: int = 10) -> str:
    """A value to the digits that its error leaves, and the error; or that it is not known."""
    told = known_text(value, error, most)
    return told if told == "not known" else f"{told} +- {error_text(error)}"
