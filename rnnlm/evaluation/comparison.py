"""What a comparison allows to say: gains over the baseline with their intervals, and the verdict in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnnlm.arms import ARMS, SCRATCH, TARGET_TEXT, arm_named
from rnnlm.evaluation.enough import counted, few
from rnnlm.evaluation.verdict import Gain, Interval, Outcome
from rnnlm.refs import ModelKind
from rnnlm.targets import measure_of

RESAMPLES = 2_000
FEW_SEEDS = 3  # fewer, and the spread over seeds is not known
LEVEL = 0.05


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


def gains(cells: list[Predictions], baseline: str = SCRATCH) -> list[Gain]:
    """Compare every arm with a baseline, at each number of labels, seed by seed on the same test documents."""
    found = []
    for (task, labels), arms in _places(cells).items():
        against = arms.get(baseline, {})
        found += _family(
            _compared(task, arm, baseline, labels, by_seed, against, seeds)
            for arm, by_seed in arms.items()
            if arm != baseline and (seeds := sorted(set(by_seed) & set(against)))
        )
    return found


def gains_over_run(cells: list[Predictions], other: list[Predictions], name: str) -> list[Gain]:
    """Compare every arm with the same arm of another run, seed by seed on the same test documents.

    Args:
        cells: Cells of a run.
        other: Cells of the run that it is measured against.
        name: What that run is called in sentences.
    """
    found, others = [], _places(other)
    for place, arms in _places(cells).items():
        task, labels = place
        found += _family(
            _compared(task, arm, name, labels, by_seed, against, seeds)
            for arm, by_seed in arms.items()
            if (against := others.get(place, {}).get(arm)) and (seeds := sorted(set(by_seed) & set(against)))
        )
    return found


def _places(cells: list[Predictions]) -> dict[tuple[ModelKind, int], dict[str, dict[int, Predictions]]]:
    """Return the cells by task and number of labels, then by arm, then by seed."""
    by_place: dict[tuple[ModelKind, int], dict[str, dict[int, Predictions]]] = {}
    for cell in cells:
        by_place.setdefault((cell.task, cell.labels), {}).setdefault(cell.arm, {})[cell.seed] = cell
    return by_place


def _family(compared: Iterable[tuple[Gain, float]]) -> list[Gain]:
    """Judge gains, each with its own p-value, that are looked at together."""
    together = list(compared)
    adjusted = holm([p for _, p in together])
    return [_judged(gain, alone, p) for (gain, alone), p in zip(together, adjusted, strict=True)]


def gains_beyond_target_text(cells: list[Predictions]) -> list[Gain]:
    """Compare every way of transfer with a start from the target's own text alone: what the source adds to that."""
    read_it = [cell for cell in cells if not arm_named(cell.arm).without_target_text]
    return gains(_of(read_it, TARGET_TEXT), TARGET_TEXT)


def gains_over_tradition(cells: list[Predictions]) -> list[Gain]:
    """Compare scratch, transfer and mixtures with Kneser-Ney, TF-IDF or a conditional random field."""
    mixtures = [one.name for one in ARMS.values() if one.mixture]
    return [
        gain
        for baseline in ARMS.values()
        if baseline.tradition
        for gain in gains(_of(cells, SCRATCH, *mixtures, baseline.name), baseline.name)
    ]


def _of(cells: list[Predictions], *baselines: str) -> list[Predictions]:
    """Return the cells of all ways of transfer and of these baselines."""
    return [cell for cell in cells if cell.arm in baselines or arm_named(cell.arm).transfer]


def _compared(
    task: ModelKind,
    arm: str,
    baseline: str,
    labels: int,
    cells: Mapping[int, Predictions],
    against: Mapping[int, Predictions],
    seeds: list[int],
) -> tuple[Gain, float]:
    """Return an arm's gain, not judged yet, and the p-value of this comparison alone."""
    difference = np.stack([cells[seed].score - against[seed].score for seed in seeds])
    weight = against[seeds[0]].weight
    by_seed = difference.sum(axis=1) / weight.sum()
    interval, p = paired_bootstrap(difference, weight)
    only_arm = only_baseline = mcnemar_p = None
    counts = _mean_counts([cells[seed] for seed in seeds]), _mean_counts([against[seed] for seed in seeds])
    if measure_of(task).counted:
        # A bootstrap calls three documents of a thousand a difference. No exact test does: it cannot say less than
        # this of the documents that tell the two apart.
        p = max(p, mcnemar(told_apart(*counts, difference.mean(axis=0)), 0))
    if measure_of(task).counted == "answers":
        only_arm, only_baseline = int((difference > 0.0).sum()), int((difference < 0.0).sum())
        mcnemar_p = mcnemar(only_arm, only_baseline) if len(seeds) == 1 else None
    gain = Gain(
        task=task,
        metric=measure_of(task).name,
        arm=arm,
        baseline=baseline,
        labels=labels,
        gain=interval,
        spread=float(by_seed.std(ddof=1)) if len(seeds) > 1 else None,
        seeds=len(seeds),
        documents=min(telling(one, len(weight)) for one in counts),
        p_value=None,
        outcome="none found",
        sentence="",
        only_arm=only_arm,
        only_baseline=only_baseline,
        mcnemar_p=mcnemar_p,
    )
    return gain, p


def _mean_counts(cells: Sequence[Predictions]) -> np.ndarray | None:
    """Return what is counted in each document, in the mean over seeds."""
    counts = [cell.counts for cell in cells if cell.counts is not None]
    return np.mean(counts, axis=0) if counts else None


def _judged(gain: Gain, alone: float, p: float) -> Gain:
    """Judge a gain by its p-value alone and the one that is adjusted for all arms."""
    if few(gain.documents):
        judged = gain.model_copy(update={"outcome": "no claim"})
    else:
        judged = gain.model_copy(update={"p_value": p, "outcome": outcome_of(gain.gain, p)})
    return judged.model_copy(update={"sentence": _sentence(judged, alone)})


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test of two classifiers on the same documents.

    Were neither better, each document that only one gets right would be the toss of a coin (McNemar 1947; Dietterich
    1998).

    Args:
        only_first: Documents that only the first gets right.
        only_second: Documents that only the second gets right.
    """
    from scipy.stats import binomtest

    disagreed = only_first + only_second
    return float(binomtest(only_first, disagreed).pvalue) if disagreed else 1.0


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


def paired_bootstrap(difference: np.ndarray, weight: np.ndarray, seed: int = 0) -> tuple[Interval, float]:
    """Return the mean difference, its 95 % interval and its two-sided p-value by a hierarchical bootstrap.

    First seeds are drawn, then documents.
    Both are drawn anew, because both are samples: another seed and other documents would give another difference
    (Efron & Tibshirani 1993; for test sets in NLP, Berg-Kirkpatrick et al. 2012). The pairs stay together.

    Args:
        difference: (seeds, documents) difference of two arms on each document.
        weight: (documents,) what the mean is taken over.
        seed: Seed of the resampling.
    """
    seeds, documents = difference.shape
    generator = np.random.default_rng(seed)
    means = []
    at_once = max(1, 20_000_000 // documents)  # keeps the resampled counts, and copies of them, below a gigabyte
    for start in range(0, RESAMPLES, at_once):
        n = min(at_once, RESAMPLES - start)
        seed_share = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=n) / seeds
        drawn = generator.integers(0, documents, size=(n, documents), dtype=np.int32)
        counts = np.stack([np.bincount(row, minlength=documents) for row in drawn])
        means.append(((seed_share @ difference) * counts).sum(axis=1) / (counts @ weight))
    drawn_means = np.concatenate(means)
    low, high = np.quantile(drawn_means, [0.025, 0.975])
    # One is added: a probability is never shown to be zero by a sample (Davison & Hinkley 1997).
    beyond = min(int((drawn_means <= 0.0).sum()), int((drawn_means >= 0.0).sum()))
    p = min(1.0, 2.0 * (beyond + 1) / (RESAMPLES + 1))
    value = float(difference.mean(axis=0).sum() / weight.sum())
    return Interval(value=value, low=float(low), high=float(high)), p


def outcome_of(interval: Interval, p: float) -> Outcome:
    """Say what the interval and the p-value, adjusted for all arms, allow to say, and no more."""
    if p > LEVEL or interval.low <= 0.0 <= interval.high:
        return "none found"
    return "positive" if interval.low > 0.0 else "negative"


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
    # Only transfer can help or hurt; a baseline is better or worse than another.
    helps = name.transfer and found.baseline in (SCRATCH, TARGET_TEXT)
    said = {
        "positive": f"{name.phrase} {'helps' if helps else 'is better'}: {amount}",
        "negative": f"{name.phrase} {'hurts' if helps else 'is worse'}: {amount}",
        "none found": f"no {'effect' if helps else 'difference'} of {name.phrase} was found: {amount}",
    }[found.outcome]
    notes = ""
    if found.outcome == "none found" and not gain.low <= 0.0 <= gain.high:
        together = " when all arms are taken together" if alone <= LEVEL else ": they differ on too few documents"
        notes = f"; not beyond chance{together}"
    if found.seeds < FEW_SEEDS:
        notes += f"; {found.seeds} seed{'s' if found.seeds > 1 else ''} only, another one may differ"
    return f"{where}, {said} ({interval}{notes})."


def verdict_sentences(found: list[Gain], beyond: list[Gain], tradition: list[Gain], recommended: str = "") -> list[str]:
    """Return the verdict, the answer first: where transfer helps, where it hurts, the best way, what the source adds.

    Args:
        found: Every arm against scratch.
        beyond: Every way of transfer against a start from the target's own text alone.
        tradition: Scratch, every way of transfer and mixtures against Kneser-Ney, and TF-IDF or a CRF.
        recommended: Which arm to use, in a sentence.
    """
    transfer = [gain for gain in found if arm_named(gain.arm).transfer]
    answers = [
        _answer(f"Transfer to the target {task.replace('_', ' ')}.", [gain for gain in transfer if gain.task == task])
        for task in _tasks(transfer)
    ]
    answers.append(recommended)
    answers.append(_answer("What the source adds to the target's own text.", beyond))
    words = ("Better", "Worse", "No difference was found")
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
    words: tuple[str, str, str] = ("It helps", "It hurts", "No effect was found"),
) -> str:
    # That no claim is made from so few documents is said once, not of each arm.
    if all(gain.outcome == "no claim" for gain in found):
        return ""
    better, worse, same = words
    by_outcome: dict[str, list[Gain]] = {}
    for gain in found:
        by_outcome.setdefault(gain.outcome, []).append(gain)
    parts = []
    if helps := by_outcome.get("positive"):
        best = max(helps, key=lambda gain: gain.gain.value)
        most = f"; most: {_ways([best])}," if len(helps) > 1 else ","
        parts.append(f"{better}: {_ways(helps)}{most} {_amount(best)}.")
    if hurts := by_outcome.get("negative"):
        parts.append(f"{worse}: {_ways(hurts)}.")
    if nothing := by_outcome.get("none found"):
        parts.append(f"{same}: {_ways(nothing)}.")
    return f"{subject} {' '.join(parts)}"


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
    return _listed(
        [
            _listed(names) + (f" with {_listed([f'{n:,}' for n in counts])} labels" if counts else "")
            for counts, names in by_counts.items()
        ],
        "; ",
    )


def _listed(words: list[str], between: str = ", ") -> str:
    last = " and " if between == ", " else between
    return words[0] if len(words) == 1 else f"{between.join(words[:-1])}{last}{words[-1]}"


def _amount(gain: Gain) -> str:
    return measure_of(gain.task).gained(gain.gain.value, gain.gain.low, gain.gain.high)


def _phrase(baseline: str) -> str:
    """Return the name of a baseline in sentences; another run is called by its own name."""
    return ARMS[baseline].phrase if baseline in ARMS else baseline
