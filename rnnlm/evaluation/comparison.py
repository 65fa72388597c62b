"""What a comparison allows to say: gains over the baseline with their intervals, and the verdict in words."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

from rnnlm.arms import ARMS, SCRATCH, TARGET_TEXT, arm_named
from rnnlm.evaluation.enough import counted, few
from rnnlm.evaluation.looks import LEVEL, level_at
from rnnlm.evaluation.sampling import Sampled, Scores, gains_of, of_documents
from rnnlm.evaluation.verdict import Gain, Interval, Outcome
from rnnlm.plan import Group
from rnnlm.refs import ModelKind
from rnnlm.targets import measure_of

# An open comparison gets more seeds if they will decide it with this probability or more.
WORTH_TRYING = 0.1


@dataclass(frozen=True)
class Rules:
    """How gains are judged.

    Attributes:
        margin: The difference that is too small to matter, in the measure of the target task. None: 0.01, which is one
            point of accuracy or F1; for numbers, whose unit says nothing, no difference is too small.
        margin_bits: The same for language models, in bits per character.
        looks: Numbers of seeds at which gains are looked at; empty if they are looked at once.
    """

    margin: float | None = None
    margin_bits: float = 0.02
    looks: tuple[int, ...] = ()

    def margin_of(self, task: ModelKind) -> float:
        """Return the margin for a task; 0 if there is none."""
        if task == "language_model":
            return self.margin_bits
        return self.margin if self.margin is not None else 0.01 if measure_of(task).counted else 0.0

    def level(self, seeds: int) -> float:
        """Return the level at which a claim is made from a number of seeds."""
        return level_at(seeds, self.looks)

    @property
    def last_level(self) -> float:
        """The level at the last look."""
        return self.level(self.looks[-1]) if self.looks else LEVEL


RULES = Rules()


@dataclass(frozen=True)
class Predictions:
    """What one cell said of each test document.

    Attributes:
        task: What the model does.
        arm: The arm.
        labels: Number of labels; 0 for a language model.
        seed: The seed.
        score: (documents,) how good each answer is, higher is better: for a classifier 1 or 0 (right or wrong), for
            numbers minus the absolute error, for tags a value whose mean is entity F1, for a language model the
            log-likelihood in bits.
        weight: (documents,) what the mean is taken over: the characters of a document for a language model, 1 for the
            target task.
        counts: (documents, counts) what the score is counted from, as `TargetTask.counts` returns it; None if every
            document says something.
    """

    task: ModelKind
    arm: str
    labels: int
    seed: int
    score: np.ndarray
    weight: np.ndarray
    counts: np.ndarray | None = None

    @property
    def documents(self) -> int:
        """Number of documents that say something."""
        return telling(self.counts, len(self.score))


def telling(counts: np.ndarray | None, documents: int) -> int:
    """Return how many of documents say something, by what is counted in them."""
    return documents if counts is None else int(counts.any(axis=1).sum())


def told_apart(counts: np.ndarray | None, other: np.ndarray | None, difference: np.ndarray) -> int:
    """Count the documents that tell two models apart: by what is counted in them, or by their scores.

    Args:
        counts: (documents, counts) of one, in the mean over seeds; None if nothing is counted.
        other: The same of the other.
        difference: (documents,) difference of their scores, in the mean over seeds.
    """
    by = difference[:, None] if counts is None or other is None else counts - other
    return int((np.abs(by) > 1e-9).any(axis=1).sum())


def gains(cells: list[Predictions], baseline: str = SCRATCH, rules: Rules = RULES) -> list[Gain]:
    """Compare every arm with a baseline, at each number of labels, on the same test documents.

    Args:
        cells: What every cell said.
        baseline: What the others are compared with.
        rules: How gains are judged.
    """
    return [gain for measured in _families(cells, baseline, rules) for gain in _judged(measured, rules)]


@dataclass(frozen=True)
class _Measured:
    """A gain that is not judged yet.

    Attributes:
        gain: The gain with its interval.
        sampled: How it is distributed.
        level: The level at which a claim is made.
    """

    gain: Gain
    sampled: Sampled
    level: float


def _families(cells: list[Predictions], baseline: str, rules: Rules) -> Iterator[list[_Measured]]:
    """Yield what arms gain over a baseline at each number of labels, not judged yet."""
    places = _places(cells)
    for place, arms in places.items():
        others = {arm: by_seed for arm, by_seed in arms.items() if arm != baseline}
        yield _measured(place, others, arms.get(baseline, {}), baseline, places, rules)


def gains_over_run(cells: list[Predictions], other: list[Predictions], name: str, rules: Rules = RULES) -> list[Gain]:
    """Compare every arm with the same arm of another run, on the same test documents.

    Args:
        cells: Cells of a run.
        other: Cells of the run that it is measured against.
        name: What that run is called in sentences.
        rules: How gains are judged.
    """
    places, others = _places(cells), _places(other)
    found = []
    for place, arms in places.items():
        against = others.get(place, {})
        pairs = [_measured(place, {arm: one}, against.get(arm, {}), name, places, rules) for arm, one in arms.items()]
        found += _judged([measured for pair in pairs for measured in pair], rules)
    return found


def seeds_wanted(
    cells: list[Predictions], rules: Rules, can_grow: Callable[[Group], bool] = lambda _: True
) -> dict[Group, int]:
    """Return which arms should have more seeds: those whose comparison is open, and that more seeds may decide.

    Args:
        cells: What every cell said.
        rules: How gains are judged, and at how many seeds they are looked at.
        can_grow: Whether there can be more seeds of a task, an arm and a label count.

    Returns:
        For each task, arm and label count the number of seeds that it should have.
    """
    wanted: dict[Group, int] = {}
    for compared, baseline in _comparisons(cells):
        for measured in _families(compared, baseline, rules):
            for gain, one in zip(_judged(measured, rules), measured, strict=True):
                later = [look for look in rules.looks if look > gain.seeds]
                arms = [arm for arm in (gain.arm, gain.baseline) if not _seedless(gain, arm)]
                groups = [(gain.task, arm, gain.labels) for arm in arms]
                # A diverged model does not become better with more seeds.
                if gain.outcome != "open" or not later or not np.isfinite(gain.gain.value):
                    continue
                if not groups or not all(map(can_grow, groups)):
                    continue
                margin = rules.margin_of(gain.task)
                if one.sampled.chance(later[-1], gain.seeds, margin, rules.last_level) >= WORTH_TRYING:
                    wanted |= {group: max(later[0], wanted.get(group, 0)) for group in groups}
    return wanted


def _seedless(gain: Gain, arm: str) -> bool:
    return gain.task == "language_model" and arm_named(arm).seedless


BySeed = Mapping[int, Predictions]
ByArm = Mapping[str, BySeed]
Place = tuple[ModelKind, int]  # task, label count


def _places(cells: list[Predictions]) -> dict[Place, dict[str, dict[int, Predictions]]]:
    """Return the cells by task and number of labels, then by arm, then by seed.

    A language model that does not depend on the seed is trained once. It is compared with every seed of the other arms.
    """
    by_place: dict[Place, dict[str, dict[int, Predictions]]] = {}
    for cell in cells:
        by_place.setdefault((cell.task, cell.labels), {}).setdefault(cell.arm, {})[cell.seed] = cell
    for (task, _), arms in by_place.items():
        seeds = sorted({seed for by_seed in arms.values() for seed in by_seed})
        for arm, by_seed in arms.items():
            if task == "language_model" and arm_named(arm).seedless:
                arms[arm] = dict.fromkeys(seeds, next(iter(by_seed.values())))
    return by_place


def _measured(
    place: Place, arms: ByArm, against: BySeed, baseline: str, places: Mapping[Place, ByArm], rules: Rules
) -> list[_Measured]:
    """Return what arms gain over what they are measured against.

    Args:
        place: Task and label count.
        arms: The arms.
        against: What they are measured against.
        baseline: What that is called.
        places: All cells: other label counts may say how much seeds differ.
        rules: How gains are judged.
    """
    arms = {arm: by_seed for arm, by_seed in arms.items() if set(by_seed) & set(against)}
    if not arms:
        return []
    fewer, elsewhere = _elsewhere(place, [baseline, *arms], places)
    other, mine = _scores(against), [_scores(by_seed) for by_seed in arms.values()]
    found = []
    for (arm, by_seed), scores, sampled in zip(arms.items(), mine, gains_of(mine, other, elsewhere), strict=True):
        # If nothing says how much seeds differ, the two models are compared as they are.
        judged = sampled or of_documents(scores.scores.mean(axis=0) - other.scores.mean(axis=0), other.weight)
        pairs = [(by_seed[seed], against[seed]) for seed in sorted(set(by_seed) & set(against))]
        # Where seeds make no difference, no later look shows anything new.
        level = LEVEL if scores.fixed and other.fixed else rules.level(len(pairs))
        gain = _gain(place, arm, baseline, pairs, judged.interval(level))
        about: dict[str, object] = {"about": "training" if sampled else "models"}
        if sampled and min(scores.seeds, other.seeds) == 1:
            about["spread_from"] = fewer or place[1]
        found.append(_Measured(gain.model_copy(update=about), judged, level))
    return found


def _scores(by_seed: BySeed) -> Scores:
    cells = [by_seed[seed] for seed in sorted(by_seed)]
    return Scores(np.stack([cell.score for cell in cells]), cells[0].weight)


def _elsewhere(
    place: Place, arms: Sequence[str], places: Mapping[Place, ByArm]
) -> tuple[int | None, list[Scores | None]]:
    """Return the next smaller label count at which an arm has several seeds, and what each arm scores there.

    Usually seeds differ more with fewer labels, so that a spread from there is not too small.
    """
    task, labels = place
    for fewer in sorted((n for kind, n in places if kind == task and n < labels), reverse=True):
        there = places[task, fewer]
        if any(len(there.get(arm, {})) > 1 for arm in arms):
            return fewer, [_scores(there[arm]) if there.get(arm) else None for arm in arms]
    return None, [None] * len(arms)


def gains_beyond_target_text(cells: list[Predictions], rules: Rules = RULES) -> list[Gain]:
    """Compare every way of transfer with a start from the target's own text alone: what the source adds to that."""
    return gains(_that_read_target_text(cells), TARGET_TEXT, rules)


def gains_over_tradition(cells: list[Predictions], rules: Rules = RULES) -> list[Gain]:
    """Compare scratch, transfer and mixtures with every arm that is the tradition."""
    return [gain for compared, name in _with_tradition(cells) for gain in gains(compared, name, rules)]


def _comparisons(cells: list[Predictions]) -> Iterator[tuple[list[Predictions], str]]:
    """Yield everything that a verdict compares: cells, and the baseline that they are compared with."""
    yield cells, SCRATCH
    yield _that_read_target_text(cells), TARGET_TEXT
    yield from _with_tradition(cells)


def _that_read_target_text(cells: list[Predictions]) -> list[Predictions]:
    return _of([cell for cell in cells if not arm_named(cell.arm).without_target_text], TARGET_TEXT)


def _with_tradition(cells: list[Predictions]) -> Iterator[tuple[list[Predictions], str]]:
    mixtures = [one.name for one in ARMS.values() if one.mixture]
    for baseline in ARMS.values():
        if baseline.tradition:
            yield _of(cells, SCRATCH, *mixtures, baseline.name), baseline.name


def _of(cells: list[Predictions], *baselines: str) -> list[Predictions]:
    """Return the cells of all ways of transfer and of these baselines."""
    return [cell for cell in cells if cell.arm in baselines or arm_named(cell.arm).transfer]


def _gain(
    place: Place, arm: str, baseline: str, pairs: Sequence[tuple[Predictions, Predictions]], interval: Interval
) -> Gain:
    """Return an arm's gain, not judged yet.

    Args:
        place: Task and label count.
        arm: The arm.
        baseline: What it is measured against.
        pairs: For each seed what the two said.
        interval: The gain with its interval.
    """
    task, labels = place
    difference = np.stack([one.score - other.score for one, other in pairs])
    weight = pairs[0][1].weight
    by_seed = difference.sum(axis=1) / weight.sum()
    counts = _mean_counts([one for one, _ in pairs]), _mean_counts([other for _, other in pairs])
    only_arm = only_baseline = mcnemar_p = None
    if measure_of(task).counted == "answers":
        only_arm, only_baseline = int((difference > 0.0).sum()), int((difference < 0.0).sum())
        mcnemar_p = mcnemar(only_arm, only_baseline) if len(pairs) == 1 else None
    return Gain(
        task=task,
        metric=measure_of(task).name,
        arm=arm,
        baseline=baseline,
        labels=labels,
        gain=interval,
        spread=float(by_seed.std(ddof=1)) if len(pairs) > 1 else None,
        seeds=len(pairs),
        documents=min(telling(one, len(weight)) for one in counts),
        differing=told_apart(*counts, difference.mean(axis=0)),
        p_value=None,
        outcome="open",
        sentence="",
        only_arm=only_arm,
        only_baseline=only_baseline,
        mcnemar_p=mcnemar_p,
    )


def _mean_counts(cells: Sequence[Predictions]) -> np.ndarray | None:
    """Return what is counted in each document, in the mean over seeds."""
    counts = [cell.counts for cell in cells if cell.counts is not None]
    return np.mean(counts, axis=0) if counts else None


def _judged(found: Sequence[_Measured], rules: Rules) -> list[Gain]:
    """Judge gains of one task that are looked at together.

    Args:
        found: Gains that are not judged yet.
        rules: How they are judged.
    """
    if not found:
        return []
    margin, judged = rules.margin_of(found[0].gain.task), []
    # A p-value that is as rare at this look as one of 5 % would be if there were no other look.
    alone = [min(1.0, LEVEL / one.level * _p_value(one.gain, one.sampled)) for one in found]
    not_within = [min(1.0, LEVEL / one.level * one.sampled.p_not_within(margin)) for one in found]
    for measured, p, own, within in zip(found, holm(alone), alone, holm(not_within), strict=True):
        gain = measured.gain
        if few(gain.documents):
            one = gain.model_copy(update={"outcome": "no claim"})
        else:
            outcome = outcome_of(gain.gain, p, within, margin)
            needed = measured.sampled.seeds_to_decide(margin, rules.last_level) if outcome == "open" else None
            # With as many as there are, or fewer, it is decided by luck: the other arms were looked at, too.
            needed = max(needed, gain.seeds + 1) if needed else None
            update = {"p_value": p, "outcome": outcome, "margin": margin, "seeds_to_decide": needed}
            one = gain.model_copy(update=update)
        judged.append(one.model_copy(update={"sentence": _sentence(one, own)}))
    return judged


def _p_value(gain: Gain, sampled: Sampled) -> float:
    """Return the p-value of one comparison by itself."""
    if not measure_of(gain.task).counted:
        return sampled.p_value
    # A distribution about a mean calls three documents of a thousand a difference. No exact test does: it cannot say
    # less than this of the documents that tell the two apart.
    return max(sampled.p_value, mcnemar(gain.differing, 0))


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test of two classifiers on the same documents.

    Were neither better, each document that only one gets right would be the toss of a coin (McNemar 1947; Dietterich
    1998).

    Args:
        only_first: Documents that only the first gets right.
        only_second: Documents that only the second gets right.
    """
    # Both tails of a binomial distribution, which is symmetric.
    fewer = min(only_first, only_second)
    return min(1.0, 2.0 * float(bdtr(fewer, only_first + only_second, 0.5)))


def holm(p_values: list[float]) -> list[float]:
    """Adjust the p-values of a family of comparisons, so that one false alarm among all is as rare as one alone.

    Step-down method of Holm (1979): the smallest times their number, the next times one less, never falling.
    """
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def outcome_of(interval: Interval, p: float, p_not_within: float, margin: float) -> Outcome:
    """Say what a gain allows to say, and no more; both p-values are adjusted for all arms.

    Args:
        interval: The gain with its interval.
        p: Probability of such a gain if there were none.
        p_not_within: Probability of so small a gain if the true one were at the margin.
        margin: The difference that is too small to matter.
    """
    if p <= LEVEL and not interval.low <= 0.0 <= interval.high:
        return "positive" if interval.low > 0.0 else "negative"
    if p_not_within <= LEVEL / 2.0 and -margin < interval.low and interval.high < margin:
        return "equal"
    return "open"


# How a sentence names what an arm is better or worse than, where that is not the arm's phrase.
_THAN = {SCRATCH: "from scratch", TARGET_TEXT: "from the target's own text alone"}


def _sentence(found: Gain, alone: float) -> str:
    gain, measure = found.gain, measure_of(found.task)
    interval = measure.interval(gain.low, gain.high)
    where = f"With {found.labels:,} labels" if found.labels else "For the language model of the target text"
    name = arm_named(found.arm)
    than = _THAN.get(found.baseline) or _phrase(found.baseline)
    amount = f"{measure.difference(gain.value)} than {than}"
    if found.outcome == "no claim":
        return (
            f"{where}, no claim is made about {name.phrase}: {amount}, on "
            f"{counted(found.documents)} of the test split, which {'is' if found.documents == 1 else 'are'} too few."
        )
    # Only a way of transfer can help or hurt; one model, or a baseline, is better or worse than another.
    helps = name.transfer and found.baseline in (SCRATCH, TARGET_TEXT) and found.about == "training"
    (margin,) = measure.numbers(found.margin or 0.0, plus=False)
    margin = f"{margin} {measure.unit}".strip()
    if found.outcome == "equal":
        value = measure.numbers(gain.value)[0]
        said = f"{name.phrase} is as good as {than}, within {margin}: {value}"
    elif found.outcome == "open":
        said = f"whether {name.phrase} {'helps' if helps else 'is better or worse'} is open: {amount}"
    elif found.outcome == "positive":
        said = f"{name.phrase} {'helps' if helps else 'is better'}: {amount}"
    else:
        said = f"{name.phrase} {'hurts' if helps else 'is worse'}: {amount}"
    notes = ""
    if found.outcome in ("positive", "negative") and max(abs(gain.low), abs(gain.high)) < (found.margin or 0.0):
        notes = f"; surely less than {margin}, which hardly matters"
    if found.outcome == "open" and not gain.low <= 0.0 <= gain.high:
        together = " when all arms are taken together" if alone <= LEVEL else ": they differ on too few documents"
        notes = f"; not beyond chance{together}"
    if found.outcome == "open" and found.about == "training":
        needed = found.seeds_to_decide
        notes += f"; {needed} seeds would probably decide it" if needed else "; more seeds alone would not decide it"
    if found.spread_from is not None and found.spread_from != found.labels:
        notes += f"; one seed, and how much seeds differ is known from {found.spread_from:,} labels"
    elif found.spread_from is not None:
        notes += "; one seed, and how much seeds differ is known from the other arms"
    elif found.about == "models":
        notes += "; one seed: this is said of these two models, and others may differ"
    return f"{where}, {said} ({interval}{notes})."


def verdict_sentences(found: list[Gain], beyond: list[Gain], tradition: list[Gain], recommended: str = "") -> list[str]:
    """Return the verdict, the answer first: where transfer helps, where it hurts, the best way, what the source adds.

    Args:
        found: Every arm against scratch.
        beyond: Every way of transfer against a start from the target's own text alone.
        tradition: Scratch, every way of transfer and mixtures against the tradition (Kneser-Ney, TF-IDF and others).
        recommended: Which arm to use, in a sentence.
    """
    transfer = [gain for gain in found if arm_named(gain.arm).transfer]
    answers = [
        _answer(f"Transfer to the target {task.replace('_', ' ')}.", [gain for gain in transfer if gain.task == task])
        for task in _tasks(transfer)
    ]
    answers.append(recommended)
    answers.append(_answer("What the source adds to the target's own text.", beyond))
    words = ("Better", "Worse")
    for baseline in dict.fromkeys(gain.baseline for gain in tradition):
        against = [gain for gain in tradition if gain.baseline == baseline]
        answers.append(_answer(f"Against {_phrase(baseline)}.", against, words))
    return [answer for answer in answers if answer]


def _tasks(found: Iterable[Gain]) -> list[ModelKind]:
    """Return the tasks of gains, language models first."""
    return sorted({gain.task for gain in found}, key=lambda task: (task != "language_model", task))


def _answer(
    subject: str,
    found: list[Gain],
    words: tuple[str, str] = ("It helps", "It hurts"),
) -> str:
    # That no claim is made from so few documents is said once, not of each arm.
    if all(gain.outcome == "no claim" for gain in found):
        return ""
    parts = _parts([gain for gain in found if gain.about == "training"], words)
    if models := _parts([gain for gain in found if gain.about == "models"], ("Better", "Worse")):
        parts += [*models, "With one seed, this is said of these models only: others may differ."]
    return f"{subject} {' '.join(parts)}"


def _parts(found: Sequence[Gain], words: tuple[str, str]) -> list[str]:
    """Say of which gains each outcome is true.

    Args:
        found: Gains.
        words: What is said of those that are better, and of those that are worse.
    """
    by_outcome: dict[str, list[Gain]] = {}
    for gain in found:
        by_outcome.setdefault(gain.outcome, []).append(gain)
    parts = []
    if helps := by_outcome.get("positive"):
        best = max(helps, key=lambda gain: gain.gain.value)
        most = f"; most: {_ways([best])}," if len(helps) > 1 else ","
        parts.append(f"{words[0]}: {_ways(helps)}{most} {_amount(best)}.")
    if hurts := by_outcome.get("negative"):
        parts.append(f"{words[1]}: {_ways(hurts)}.")
    if equal := by_outcome.get("equal"):
        parts.append(f"As good: {_ways(equal)}.")
    if undecided := by_outcome.get("open"):
        parts.append(f"Open: {_ways(undecided)}.")
    return parts


def _ways(found: Sequence[Gain]) -> str:
    return ways([(gain.arm, gain.labels) for gain in found])


def ways(found: Sequence[tuple[str, int]]) -> str:
    """Name arms with their numbers of labels; arms that have the same ones are named together.

    Args:
        found: Arms, each with a number of labels; 0 for a language model.
    """
    by_counts: dict[tuple[int, ...], list[str]] = {}
    for arm in dict.fromkeys(arm for arm, _ in found):
        counts = tuple(sorted(labels for one, labels in found if one == arm and labels))
        by_counts.setdefault(counts, []).append(arm_named(arm).phrase)
    return listed(
        [
            listed(names) + (f" with {listed([f'{n:,}' for n in counts])} labels" if counts else "")
            for counts, names in by_counts.items()
        ],
        "; ",
        "; ",
    )


def listed(words: list[str], between: str = ", ", last: str = " and ") -> str:
    """Return words one after the other, with another word before the last of them."""
    return words[0] if len(words) == 1 else f"{between.join(words[:-1])}{last}{words[-1]}"


def _amount(gain: Gain) -> str:
    return measure_of(gain.task).gained(gain.gain.value, gain.gain.low, gain.gain.high)


def _phrase(baseline: str) -> str:
    """Return the name of a baseline in sentences; another run is called by its own name."""
    return ARMS[baseline].phrase if baseline in ARMS else baseline
