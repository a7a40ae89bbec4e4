"""A landscape from a file, and what a user means by a process.

A landscape file is plain Python. It defines ``losses(w)`` or ``gradients(w)``, or else ``drift(x)``
with one of ``variance``, ``sigma`` and ``diffusivity``, or ``potential(x)`` and ``temperature``;
and settings, by their names. With ``parameters = {"sharpness": 100.0}`` its functions are given
these as well. Or it makes one `Landscape` or `Diffusion`, under any name that no underscore begins.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

from stationary.errors import LandscapeError
from stationary.files import GUEST, reading
from stationary.functions.given import short, unknown, way_out
from stationary.functions.parameters import EXAMPLE, chosen_parameters
from stationary.process.diffusion import Diffusion
from stationary.process.forms import FORMS, LANGEVIN, NOISES
from stationary.process.landscape import Landscape
from stationary.process.plane import PlaneDiffusion, dimensions_of
from stationary.process.plane_landscape import PlaneLandscape
from stationary.process.starts import located
from stationary.sources.columns import is_table
from stationary.sources.running import RUNNING, registered, run_in, source_text
from stationary.sources.saved import read_saved
from stationary.sources.settings import COMMON, KNOWN, LOSSES, SGD, accepted_names
from stationary.wording import joined

PLANE = (PlaneDiffusion, PlaneLandscape)
ProcessLike = str | os.PathLike[str] | Landscape | Diffusion


def load(path: str | Path, *, parameters: Mapping[str, float] | None = None, **changes: Any) -> Any:
    """The landscape or the process that a Python file describes.

    Parameters
    ----------
    path
        A file that defines ``losses(w)`` or ``gradients(w)``, which makes a `Landscape`; or
        ``drift(x)`` and one of ``variance``, ``sigma`` and ``diffusivity``, each a function or a
        number, which makes a `Diffusion`. Without a ``domain`` it is on the whole line.
        Or that makes such an object itself, one in the file.
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
            f"{path}: a table has no parameters, but {short(dict(parameters))} came. Leave them "
            "out."
        )
    from stationary.sources.table import table  # most files are none

    found = table(path)
    _require_known(changes, COMMON if found.kind == "process" else (*SGD, *COMMON), path)
    return found.process(**changes)


def _require_known(changes: dict[str, Any], known: tuple[str, ...], where: Any) -> None:
    for name, value in changes.items():
        if name not in known:
            hint = way_out(name, known)
            raise LandscapeError(f"{where}: there is no {name} (= {short(value)}) to set. {hint}")


def load_text(
    text: str, file: Path, *, parameters: Mapping[str, float] | None = None, **changes: Any
) -> Landscape | Diffusion:
    """The same from the text of a file, which need not be there: the path names it in errors."""
    _require_known(changes, KNOWN, file)
    given = {k: v for k, v in changes.items() if v is not None}
    with RUNNING, registered(file) as module, reading():
        run_in(text, file, module)
        return _build(module, given, parameters, file)


# What a file defines.


def _build(
    module: ModuleType, changes: dict[str, Any], parameters: Mapping[str, float] | None, file: Path
) -> Landscape | Diffusion:
    where = file.name
    names = {
        name: value
        for name, value in vars(module).items()
        if not (name.startswith("_") or value is None or isinstance(value, ModuleType))
    }
    made = {name: v for name, v in names.items() if isinstance(v, (Landscape, Diffusion, *PLANE))}
    if made:
        process = _the_only(made, where)
        _check_beside(process, names, where)
        return _changed(process, changes, parameters, where)
    kinds = {Landscape: "losses, learning_rate=0.1", Diffusion: "drift, variance"}
    bound = [k for k, v in names.items() if isinstance(v, type) and v in kinds]
    bound = [k for k in bound if k != names[k].__name__]
    if bound and not set(names) & {*LOSSES, "drift", "potential"}:
        name, kind = bound[0], names[bound[0]]
        raise LandscapeError(
            f"{where}: {name} is the class {kind.__name__} itself, which makes processes and is "
            f"none. Call it, as in {name} = {kind.__name__}({kinds[kind]})."
        )
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
    several = dimensions_of((), {"domain": names.get("domain")}, None)
    if "domain" in changes and several > 1:  # which the functions still are of
        fields.setdefault("weights", several)
    fields["parameters"] = chosen_parameters(given.get("parameters"), parameters, where, KNOWN)
    if "initial" in fields and "initial" not in changes:  # samples may lie next to the file
        fields["initial"] = located(fields["initial"], Path(str(module.__file__)).parent)
    try:
        return Landscape(**fields) if main in LOSSES else Diffusion(**fields)
    except LandscapeError as error:
        if where in str(error):
            raise
        raise type(error)(f"{where}: {error}") from error


def _the_only(made: dict[str, Any], where: str) -> Any:
    """The process that a file makes itself."""
    first, *others = made.values()
    if all(other is first for other in others):
        return first
    raise LandscapeError(
        f"{where}: it makes several processes, {joined(list(made))}. Put an underscore before the "
        "names of all but one of them."
    )


def _check_beside(process: Any, names: dict[str, Any], where: str) -> None:
    """Raise if a setting stands beside the process that is another than its own."""
    made_of = getattr(process, "made_of", {})
    for name in set(names) & {*SGD, *COMMON, *(k for k in FORMS if k in made_of)}:
        own, value = made_of.get(name, getattr(process, name, None)), names[name]
        if isinstance(value, Real) and isinstance(own, Real | None) and own != value:
            raise LandscapeError(
                f"{where}: {name} = {short(value)} has no effect: the file makes its process "
                f"itself, with {name} = {short(own)}. Give it there, or rename what stands beside."
            )


def _changed(
    process: Any, changes: dict[str, Any], parameters: Mapping[str, float] | None, where: str
) -> Landscape | Diffusion:
    """A process that a file makes itself, with what is set from outside."""
    if parameters:
        raise LandscapeError(
            f"{where}: it makes its {type(process).__name__.removeprefix('Plane')} itself, whose "
            f"parameters cannot be set from outside. Define {EXAMPLE} in the file, and the "
            "functions that take them, in its place."
        )
    if process.name == "unnamed":
        process = replace(process, name=where)
    changed: Landscape | Diffusion = any_process(process, where, **changes)
    return changed


def _imported(value: Any) -> bool:
    return callable(value) and not str(getattr(value, "__module__", "")).startswith(GUEST)


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


def as_landscape(given: Any, asked: str, **changes: Any) -> Landscape:
    """The same, which must be a landscape, whose steps are known."""
    process = as_process(given, asked, **changes)
    if not isinstance(process, Landscape):
        raise LandscapeError(
            f"{asked} takes a Landscape, not {short(process)}: a drift and a variance alone do not "
            "say what steps SGD takes. Give the losses or gradients of the datapoints."
        )
    return process


def any_process(
    given: Any, asked: str, *, parameters: Mapping[str, float] | None = None, **changes: Any
) -> Any:
    """The process that is meant by a `Landscape`, a `Diffusion` or the path of a landscape file.

    `asked` is what takes it, for errors: "end_state". Other parameters are for those that a file
    defines, and `changes` for fields, such as ``learning_rate=0.02``; None changes nothing.
    """
    changes = {name: value for name, value in changes.items() if value is not None}
    if isinstance(given, (str, os.PathLike)):
        return _read(given, parameters, changes)
    if not isinstance(given, (Landscape, Diffusion, *PLANE)):
        raise LandscapeError(
            f"{asked}: a Diffusion or a Landscape is needed, or the path of its file, not "
            f"{short(given)}."
        )
    if parameters:
        raise LandscapeError(
            f"{given.name}: parameters = {short(dict(parameters))} can only be set for a file, "
            "whose functions are then given them. Pass its path."
        )
    settings = (*FORMS, *COMMON) if isinstance(given, (Diffusion, PlaneDiffusion)) else KNOWN
    fields = [f for f in (*settings, "name") if f in given.__dataclass_fields__]
    strange = [name for name in changes if name not in fields]
    if strange:
        kind = type(given).__name__.removeprefix("Plane")  # as users know it
        raise unknown(strange, fields, f"{given.name}: {', '.join(strange)} cannot be set: {kind}")
    if "domain" in changes and "breakpoints" not in changes and not isinstance(given, PLANE):
        changes["breakpoints"] = _inside(given.breakpoints, changes["domain"])
    if len({"learning_rate", "schedule"} & set(changes)) == 1 and hasattr(given, "schedule"):
        changes = {"learning_rate": None, "schedule": None} | changes
    return given.changed(**changes) if changes else given


def _inside(breakpoints: Any, domain: Any) -> Any:
    """The breakpoints that a domain given in place of the file's still holds."""
    try:
        lower, upper = domain
        return [b for b in breakpoints if lower <= b <= upper]
    except (TypeError, ValueError):
        return breakpoints  # what is wrong with either is said where it is read
