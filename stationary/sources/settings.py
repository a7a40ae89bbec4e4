"""The names that a landscape file may define, and what is said of the others."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from numbers import Real
from types import FunctionType
from typing import Any

import numpy as np

from stationary.errors import LandscapeError
from stationary.functions.given import ALIKE, OPTIMISERS, short, way_out
from stationary.process.forms import LANGEVIN, NOISES

LOSSES = ("losses", "gradients")
SGD = (
    "learning_rate", "batch_size", "replacement", "weight_decay", "label_noise", "outputs", "clip",
    "momentum", "optimiser", "betas", "schedule", "sample",
)  # fmt: skip
COMMON = ("domain", "weights", "boundaries", "convention", "breakpoints", "initial")
KNOWN = (*LOSSES, "drift", *NOISES, *LANGEVIN, *SGD, *COMMON, "parameters")

# A name that resembles a setting is taken for it, misspelt, only if its value could be that
# setting's: `convection = 0.1` is no convention.
SEVERAL = (tuple, list, np.ndarray)
VALUES: dict[str, tuple[type, ...]] = {
    "learning_rate": (Real,),
    "batch_size": (Real,),
    "replacement": (int, np.bool_),
    "weight_decay": (Real,),
    "label_noise": (Real,),
    "outputs": (FunctionType,),
    "clip": (Real,),
    "momentum": (Real,),
    "optimiser": (str,),
    "sample": (int, np.bool_),
    "schedule": (str, *SEVERAL),
    "domain": SEVERAL,
    "weights": (int, np.integer),
    "boundaries": (str, *SEVERAL),
    "convention": (str,),
    "breakpoints": (Real, *SEVERAL),
    "initial": (Real, str, *SEVERAL),
    "parameters": (dict,),
}
CLEARLY = 0.77  # alike: "boundary" and "replace" are caught, "points" and "batch" are not
ALSO_LEARNING_RATE = ("lr", "T", "eta", "rate", "step_size")


def accepted_names(
    given: dict[str, Any], own: dict[str, Any], changes: dict[str, Any], where: str
) -> tuple[str, tuple[str, ...]]:
    """What the process is given by, and the names that go with it.

    `given` is what a file, or a change of it, defines of the known names, and `own` what else it
    does: a name among them that would have no effect is refused.
    """
    _check_kind(given, own, where)
    main = next(k for k in (*LOSSES, "drift", "potential") if k in given)
    _check_foreign(given, changes, main, where)
    accepted = {"drift": ("drift", *NOISES, *COMMON), "potential": (*LANGEVIN, *COMMON)}.get(
        main, (*LOSSES, *SGD, *COMMON)
    )
    settings = [k for k in (*accepted, "parameters") if k in VALUES and k not in given]
    _check_spelling(own, settings, where)
    if main in LOSSES:
        _check_optimiser(own, where)
    return main, accepted


def _check_kind(given: dict[str, Any], own: dict[str, Any], where: str) -> None:
    """Raise unless exactly one of losses, gradients, and drift with one noise is given."""
    main = [k for k in (*LOSSES, "drift", "potential") if k in given]
    noises = [k for k in NOISES if k in given]
    if len(main) > 1 or (main == ["drift"] and len(noises) > 1):
        two = " and ".join(main if len(main) > 1 else noises)
        what = "the process" if len(main) > 1 else "the noise"
        raise LandscapeError(
            f"{where}: {two} are given, but each says by itself what {what} is. Keep one of them; "
            "if the other is a helper of your own, rename it."
        )
    if main and (main != ["drift"] or noises):
        if main == ["potential"] and "temperature" not in given:
            raise LandscapeError(
                f"{where}: potential is given without a temperature. Define temperature = 0.1 "
                "(--temperature 0.1), in the units of the potential."
            )
        return
    if main:
        text = "drift is given without its noise. Define one of variance(x) = sigma(x)^2, sigma(x) "
        text += "or diffusivity(x) = variance(x) / 2 (beside --drift: --variance 0.1, or --sigma)"
    elif noises:
        text = f"{noises[0]} is given without a drift. Define drift(x), or drift = 0 (--drift 0)"
    else:
        text = "there is no losses(w), no gradients(w) and no drift(x). Define one of them"
    near = _nearest(own, NOISES if main else (*LOSSES, "drift"), ALIKE)
    hint = f"; did you mean `{near[1]}`? The file defines `{near[0]}`." if near else "."
    raise LandscapeError(f"{where}: {text}{hint}")


def _check_foreign(given: dict[str, Any], changes: dict[str, Any], main: str, where: str) -> None:
    """Raise for what only the other kind of process has."""
    if main not in LOSSES:
        noise = next(k for k in (*NOISES, "temperature") if k in given)
        process, foreign = f"{main} and {noise}", [k for k in SGD if k in given]
        foreign += [k for k in (NOISES if main == "potential" else LANGEVIN) if k in given]
    else:
        # Beside losses, a number called sigma or a function called so (a sigmoid) is a helper.
        suspects = [k for k in ("variance", "diffusivity") if callable(given.get(k))]
        process, foreign = main, [k for k in (*NOISES, *LANGEVIN) if k in {*changes, *suspects}]
    if foreign:
        key = foreign[0]
        way_out = "Leave it out." if key in changes else "Remove it, or rename your own helper."
        raise LandscapeError(
            f"{where}: {key} does not apply to a process given by {process}, but {key} = "
            f"{short(given[key])} came. {way_out}"
        )


def _check_spelling(own: dict[str, Any], settings: Iterable[str], where: str) -> None:
    """Raise for a name that is clearly meant as one of the settings."""
    for right in settings:
        meant = {k: v for k, v in own.items() if isinstance(v, VALUES[right])}
        wrong, _ = _nearest(meant, [right], CLEARLY) or (None, None)
        if right == "learning_rate" and not wrong:  # it is missing, so this is no false alarm
            wrong = next((k for k in ALSO_LEARNING_RATE if k in meant), None)
        if wrong:
            raise LandscapeError(
                f"{where}: {wrong} = {short(own[wrong])} has no meaning here; did you mean "
                f"`{right}`? Rename it to {right}, or to _{wrong} if it is a helper of your own."
            )


def _check_optimiser(own: dict[str, Any], where: str) -> None:
    """Raise for what only other optimisers have: it would change nothing."""
    for name, value in own.items():
        always = name.startswith(("scheduler", "lr_schedule"))
        if name.lower() in OPTIMISERS and (always or not callable(value)):
            raise LandscapeError(
                f"{where}: {name} = {short(value)} would have no effect. "
                f"{way_out(name, KNOWN)} Or rename it to _{name} if it is a helper of your own."
            )


def _nearest(own: Iterable[str], wanted: Iterable[str], cutoff: float) -> tuple[str, str] | None:
    """The name and the wanted name that are most alike."""
    pairs = [(SequenceMatcher(None, n.lower(), w).ratio(), n, w) for n in own for w in wanted]
    ratio, name, right = max(pairs, default=(0.0, "", ""))
    return (name, right) if ratio >= cutoff else None
