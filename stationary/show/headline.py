"""The first lines of an analysis: where SGD ends up, beside what its small-step limit says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from stationary import wording as say
from stationary.analysis import Analysis
from stationary.chain.indicators import OVERSHOOTS, UNSETTLED
from stationary.errors import Status
from stationary.sgd.basins import CLOSE, COMPARED, HELD, NEVER, SETTLED, SgdBasin, log_of
from stationary.sgd.finite_step import Belief, FiniteStep
from stationary.show.answer import answer, around, ends_of
from stationary.show.finite_step import by_linear_steps, unsettled
from stationary.show.layout import Line
from stationary.show.run import by_start, forgotten
from stationary.show.sample import OfSample, Place
from stationary.wording import LIGHT, MOST_NAMED, SECOND

VAGUE = 1.0  # standard error of the logarithm of a time, from which on a range is told
RUN = 1_000_000  # steps of the run that is spoken of where none was asked for


def headline(analysis: Analysis) -> list[str]:
    """One paragraph, or several: each true of SGD by itself."""
    return [*_of_sgd(analysis), *_of_sample(analysis)]


def _of_sample(analysis: Analysis) -> list[str]:
    """How sure a sample makes which of the two heaviest basins is the heavier."""
    ranked = sorted(analysis.basins, key=lambda b: -float(b.log_mass))[:2]
    if len(ranked) < 2:
        return []
    gain = float(ranked[0].log_mass) - float(ranked[1].log_mass)
    error = OfSample(analysis).of_ratio(*ranked)
    told = all(say.is_known(b.mass_error, b.log_mass) for b in analysis.basins)
    if not (told and math.isfinite(gain + error)):
        return []  # also where what is not known between the given values hides it
    rest = ": the sample does not tell which of the two holds more" if gain < 2 * error else ""
    of_chain = ""
    if analysis.shown_sgd is not None and analysis.shown_sgd.chain is not None:
        of_chain = " What it leaves unsure of SGD's own chain is taken to be as much."
    return [
        f"The logarithm of the ratio of the first two masses, {say.sampled_text(gain, error)}, has "
        f"a standard error of {say.plain_text(error)} from the sample{rest}.{of_chain}"
    ]


def _of_sgd(analysis: Analysis) -> list[str]:
    sgd, plain = analysis.shown_sgd, analysis.rounded
    run = analysis.run_length or RUN
    if sgd is None:
        return by_linear_steps(plain) or [answer(plain) + _caution(plain)]
    sample = OfSample(plain)
    if sgd.chain is None:
        return [
            *_confined(sgd),
            f"{_limit(plain, sgd, sample)}.",
            f"What SGD's own chain makes of it is not known. {sgd.reason}",
        ]
    driven = plain.end_state.kind == "flux"
    still = _never_round(sgd) if driven and len(sgd.steps.minima) == 1 else []
    vague = any(b.untold or (b.at_rest and log_of(b.log_chain) > LIGHT) for b in sgd.basins)
    if sgd.believed is Belief.EITHER and not vague:
        words = f"{answer(plain).rstrip()} {_agreement(sgd, ' on where it is' * driven)}"
        return [words, *still, *_rigid(sgd), *_turned(sgd), *_reach(sgd, run, sample)]
    has_start = plain.end_state.initial is not None
    believed = sgd.believed.value
    if sgd.believed is Belief.OPEN and sgd.chain.status is Status.INTERPOLATED:
        believed = "to tell which to believe the gradients are known at too few weights"
    return [
        *_confined(sgd),
        _settled(sgd, has_start, sample),
        *still,
        *([] if has_start else _unreached(sgd)),
        *_heavy(sgd),
        *_rigid(sgd),
        *_turned(sgd),
        f"{_limit(plain, sgd, sample)}: {believed}.",
        *_reach(sgd, run, sample),
    ]


def after(analysis: Analysis) -> list[Line]:
    """Where SGD is after the steps that were asked for, by where it starts."""
    run, sgd = analysis.run, analysis.shown_sgd
    if analysis.run_length is not None and sgd is not None and not sgd.basins:
        return ["There is no minimum to be told of; `simulate` follows SGD from a start."]
    if run is None or sgd is None:
        return []
    place = OfSample(analysis.rounded).place
    names = [
        _at(b, place).partition(" (")[0] if b.at_rest else f"around {place(b.position)}"
        for b in sgd.basins
    ]
    return [*by_start(run, names), *forgotten(run)]


def _caution(analysis: Analysis) -> str:
    """A word that SGD with its finite step may end up elsewhere than its diffusion."""
    own = analysis.landscape
    if own is None:
        return ""
    if own.held is not None:
        percent = 100 * own.held.doubt
        right = say.plain_text(percent, 1 if percent < 9.5 else 2)
        told = f"{own.small_step_rate:.4g}, its deviation right to {right} %"
        return f" This is approximate: {own.who} as SGD at the learning rate {told}."
    if own.momentum:
        return unsettled(analysis, own)
    if analysis.steps is not None and analysis.steps.warnings:
        return " With this step SGD itself may differ: `stationary check` says by how much."
    more = "; `stationary check` has SGD's own" if own.has_datapoints else ""
    return f" That is the limit of small steps{more}."


def _confined(sgd: FiniteStep) -> list[str]:
    """The minima that SGD cannot leave, all of them as soon as the diffusion misses one."""
    if not sgd.held:
        return []
    held = [f"w = {at}: from {low} to {high}" for at, low, high in _kept_in(sgd)]
    if len(held) == 1:
        return [f"SGD cannot leave the minimum at {held[0]} no minibatch leads out."]
    *first, last = [f"{text.replace(': ', ' (')})" for text in held[:MOST_NAMED]]
    count = len(held) - MOST_NAMED
    more = f" (and {say.more_text(count, 'minimum', 'minima')})" if count > 0 else ""
    return [
        f"SGD cannot leave the minima at {', '.join(first)} or {last}{more}: no minibatch leads "
        "out of these intervals."
    ]


def _never_round(sgd: FiniteStep) -> list[str]:
    """That its steps do not lead around a ring, though the diffusion is driven there."""
    return [
        f"SGD with this step never goes round: from {low} to {high} no minibatch leads out."
        for _, low, high in _kept_in(sgd)[:1]
    ]


def _kept_in(sgd: FiniteStep) -> list[list[str]]:
    """The minima that no minibatch leads away from, and from where to where that is so."""
    found = []
    for m in sgd.steps.minima:
        if m.held is not None:
            low, high = m.held
            told = ((m.position, 6), (low, 4), (high, 4))
            found.append([say.place_text(x, high - low, digits) for x, digits in told])
    return found


def _settled(sgd: FiniteStep, has_start: bool, sample: OfSample) -> str:
    """Where the chain ends up."""
    chain = sgd.chain
    assert chain is not None
    if chain.kind == "none":
        return f"SGD has no end state at this step. {chain.reason.rstrip()}"
    if chain.kind == "classes":
        parts = ends_of(chain, "w")
        if sgd.held and len(parts) == sum(m.held is not None for m in sgd.steps.minima):
            return "In the long run SGD stays in one of these; in which, its start decides."
        more = f" or in one of {len(parts)} in all" if len(parts) > MOST_NAMED else ""
        listed = " or ".join(parts[:MOST_NAMED])
        return f"In the long run SGD is {listed}{more}, depending on where it starts."
    ranked = sorted(sgd.basins, key=lambda b: -log_of(b.log_chain))
    kept = [b for b in ranked if log_of(b.log_chain) > -math.inf or not b.certain]
    moments = _moments(sgd, True, sample) * (len(kept) < 2 or sgd.shifted)
    listed = _listed(kept, sample, lambda b: _held(b, sample), moments, sgd.beside > HELD)
    if len(kept) == 1 and _overshoots(sgd):
        low, high = chain.interval(1.0)
        between = f"between w = {low:.6g} and {high:.6g}"
        listed = f"{between}{_deviation(chain.std(), chain.std_error, sample)}, settled nowhere"
    left_for_good = [b for b in ranked if b not in kept and not (b.at_end or b.at_rest)]
    gone = [f"w = {sample.place(b.position)}" for b in left_for_good]
    left = ""
    if gone:
        left = f", and leaves {' and '.join(gone[:MOST_NAMED])} for good"
        if has_start:  # it may just not come there
            left = f" from this start, and not around {' or '.join(gone[:MOST_NAMED])}"
    if chain.lost > NEVER:
        lost = say.known_text(chain.lost, chain.weight_error, 6)
        left += f", and with probability {lost} it runs away to infinity"
    return f"In the long run SGD is {listed}{left}."


def _unreached(sgd: FiniteStep) -> list[str]:
    """That what starts where all gradients are 0 stays, where the chain does not come there."""
    settled = sgd.chain is not None and sgd.chain.kind in SETTLED
    silent = [b for b in sgd.basins if settled and b.at_rest and b.log_chain == -math.inf]
    words = (say.at_rest_text(b.lower, b.upper).removeprefix("at rest ") for b in silent)
    return [f"What starts or comes {where} stays there." for where in words]


def _heavy(sgd: FiniteStep) -> list[str]:
    """That no deviation is shown because there is none."""
    chain = sgd.chain
    if chain is None or chain.kind not in SETTLED or chain.tail_exponent > 2:
        return []
    what = "neither mean nor variance" if chain.tail_exponent <= 1 else "no variance"
    rate, (low, high) = chain.far.rate_with_variance, chain.interval(0.5)
    lost = f"; it has a variance below a learning rate of {rate:.4g}" if rate else ""
    return [
        f"SGD has {what} at this step, since some steps overshoot ever farther: the probability "
        f"to be farther out than x falls like x^-{chain.far.power}{lost}. Half of it is "
        f"between w = {low:.4g} and {high:.4g}."
    ]


def _agreement(sgd: FiniteStep, on: str) -> str:
    """To within what the chain agrees: in masses, where there are several, and in moments."""
    chain, found = sgd.chain, []
    assert chain is not None
    apart, error = sgd.apart
    if len(sgd.basins) > 1 and math.isfinite(apart + error):
        found.append(f"{max(apart + error, 1e-9):.1g} in each mass")
    if sgd.is_wide and sgd.means and sgd.spread:
        pairs = zip((sgd.means, sgd.spread), sgd.doubts, strict=True)
        least = 1e-9 * max(sgd.spread)
        off = [max(abs(one - other) + doubt, least) for (one, other), doubt in pairs]
        found.append(f"{off[0]:.1g} in the mean and {off[1]:.1g} in the standard deviation")
    within = f"{on}{', to within' * bool(found)} {say.joined(found)}"
    said = f"SGD's exact chain with this step agrees{within}"
    said = f"{said.rstrip()}."
    if (
        sgd.spread is None
        and chain.kind in SETTLED
        and not chain.lost
        and CLOSE * chain.std() < chain.std_error
    ):
        doubt = max(chain.mean_error, chain.std_error)
        said += f" It knows its mean and deviation only to {doubt:.1g}." if doubt < math.inf else ""
    return said


def _moments(sgd: FiniteStep, of_chain: bool, sample: OfSample) -> str:
    """Mean and deviation by one of the two in brackets: the mean where it differs."""
    if sgd.spread is None:
        return ""
    mean, (off, doubt) = "", [of_chain * x for x in sgd.doubts]
    if sgd.moved[0] and sgd.shifted and sgd.means is not None:
        mean = f"mean {say.estimate_text(sgd.means[of_chain], off, sample.of('mean'), 4)}, "
    return _deviation(sgd.spread[of_chain], doubt, sample, mean)


def _deviation(value: float, error: float, sample: OfSample, mean: str = "") -> str:
    """In brackets and with the digits that are known; "" where there is none."""
    if not math.isfinite(value):
        return ""
    return f" ({mean}standard deviation {say.estimate_text(value, error, sample.of('std'), 3)})"


def _rigid(sgd: FiniteStep) -> list[str]:
    """That steps of one length keep to a lattice."""
    chain = sgd.chain
    if chain is None or not any(c.rigid and c.weight != 0 for c in chain.components):
        return []
    mean = "" if chain.kind == "classes" else ": this is the mean over all"
    return [f"Its steps keep to a lattice, its start decides to which{mean}."]


def _turned(sgd: FiniteStep) -> list[str]:
    """How many steps only the walls keep in."""
    folded = 0.0 if sgd.chain is None else sgd.chain.folded
    if not folded > HELD:
        return []
    share = f"{100 * min(folded, 1.0):.{0 if folded > 0.1 else 1}f}"
    said = f"{share} % of its steps lead beyond the walls and are turned back"
    if _overshoots(sgd):
        said += (
            f": T times the curvature is {say.plain_text(sgd.steps.largest or 0.0)}; above 1 SGD "
            f"overshoots, above {UNSETTLED:g} it cannot settle"
        )
    return [f"{said}."]


def _overshoots(sgd: FiniteStep) -> bool:
    """Whether SGD is where it is because of walls that its steps overshoot to."""
    folded = sgd.chain is not None and sgd.chain.folded > HELD
    return folded and (sgd.steps.largest or 0.0) > OVERSHOOTS


def _listed(
    basins: Sequence[SgdBasin],
    sample: OfSample,
    share: Callable[[SgdBasin], str],
    moments: str,
    beside: bool = False,
) -> str:
    """The basins with their shares, and moments."""
    if len(basins) < 2 - beside:
        return "".join([_at(b, sample.place) for b in basins] or ["around no minimum"]) + moments
    shares = [f"{_at(b, sample.place)} with {share(b)}" for b in basins]
    if len(basins) <= MOST_NAMED:
        shares += ["else around none"] * beside
        return say.joined(shares) + moments
    return say.listed(shares, "minimum", "minima", at="in ") + moments


def _at(b: SgdBasin, place: Place) -> str:
    if b.at_rest:
        return say.at_rest_text(b.lower, b.upper)
    return around("w", place(b.position), [*map(place, b.minima)], "end" * b.at_end)


def _held(b: SgdBasin, sample: OfSample) -> str:
    """What the chain holds of a basin."""
    text = chain_text(b, sample)
    if text.startswith("<"):
        return f"a probability that its errors leave open (below {text.removeprefix('< ')})"
    return f"a probability of about {text[1:]}" if text.startswith("~") else f"probability {text}"


def chain_text(b: SgdBasin, sample: OfSample) -> str:
    """A mass by the chain, with the digits that its cells give: .97, ~ 10^-21.8 or < 2e-3.

    And no more of them than a sample leaves of that of the diffusion.
    """
    value, error = b.chain or (0.0, 0.0)
    if b.chain is None:
        return "-"
    doubt = min(b.log_chain_error, error / value if value > 0 else math.inf)
    if b.untold:
        return f"< {say.plain_text(say.rounded_up(min(value + error, 1.0)), 1)}"
    if b.log_chain == -math.inf:
        return "0"
    if doubt > 0.5:
        log = log_of(b.log_chain)
        return f"~{say.power_text(log)}" if log < LIGHT else f"~{say.plain_text(math.exp(log), 1)}"
    of_mass = sample.of("mass", b.position)
    if log_of(b.log_chain) > -of_mass:
        return say.near_one_text(log_of(b.log_chain), max(of_mass, error))
    of_log = sample.of("log_mass", b.position)
    digits = max(2 - bool(sample), say.digits_left(doubt, 6, log_of(b.log_chain), of_log))
    return say.probability_text(log_of(b.log_chain), digits, doubt, of_log)


def _limit(analysis: Analysis, sgd: FiniteStep, sample: OfSample) -> str:
    """What the diffusion says of the same basins."""
    kind = analysis.end_state.kind
    if kind not in COMPARED or kind == "atoms" or not sgd.basins:  # which are where they are
        told = answer(analysis, "the diffusion").rstrip(". ")
        return f"The small-step limit says: {told[0].lower()}{told[1:]}"
    ranked = sorted(sgd.basins, key=lambda b: -log_of(b.log_diffusion))
    ranked = [b for b in ranked if not b.at_rest or log_of(b.log_diffusion) > math.log(NEVER)]
    error = max((float(b.mass_error) for b in analysis.basins), default=0.0)

    def share(b: SgdBasin) -> str:
        log_p = log_of(b.log_diffusion)
        if not say.is_known(b.log_diffusion_error, log_p):
            return "a probability that is not known"
        of_mass, of_log = (sample.of(name, b.position) for name in ("mass", "log_mass"))
        return f"probability {say.sampled_share_text(log_p, of_mass, of_log, error)}"

    moments = _moments(sgd, False, sample) or _deviation(analysis.end_state.std(), 0.0, sample)
    moments *= len(ranked) < 2 or sgd.shifted
    return f"The small-step limit has it {_listed(ranked, sample, share, moments)}"


def _reach(sgd: FiniteStep, run: int, sample: OfSample) -> list[str]:
    """Whether a run gets there: how many steps it takes to leave each minimum."""

    def error_of(b: SgdBasin) -> float:  # of the logarithm
        of_sample = sample.of("log_exit_time", b.position)
        return max(b.exit_error, of_sample if of_sample > VAGUE else of_sample / 10 ** (SECOND + 1))

    long, place = math.log(run / HELD), sample.place
    timed = [(b, b.log_chain_exit_time) for b in sgd.basins if b.log_chain_exit_time is not None]
    never = [b for b, t in timed if t == math.inf and b.held is None]
    slow = [(b, t) for b, t in timed if long < t < math.inf]
    fast = [(b, t) for b, t in timed if t <= long]
    said = []
    if slow:
        first, t = min(slow, key=lambda pair: pair[1] - error_of(pair[0]))
        doubt = error_of(first)
        after = f"{say.steps_text(t, doubt)} on average"
        if len(slow) > 1:
            after = f"at least {say.steps_text(t - min(doubt, t), 0.01)} on average"
        where = "the minimum it is in"
        if len(slow) < len(sgd.basins):
            where = " or ".join(f"w = {place(b.position)}" for b, _ in slow[:MOST_NAMED])
        length = "a million" if run == RUN else f"{run:,}"
        said.append(f"No run of {length} steps leaves {where} ({after})")
    said += [
        f"w = {place(b.position)} is left after {say.steps_text(t, error_of(b))} steps on average"
        for b, t in fast[:MOST_NAMED]
    ]
    said += [
        f"SGD stays for ever {_at(b, place)} once it has settled there" for b in never[:MOST_NAMED]
    ]
    return [f"{'; '.join(said)}."] if said else []
