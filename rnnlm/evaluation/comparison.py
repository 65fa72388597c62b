"""What a comparison allows to say: gains over the baseline with their intervals, and the verdict in words."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnnlm.evaluation.verdict import Gain, Interval, Outcome

RESAMPLES = 2_000
FEW_SEEDS = 3  # fewer, and the spread over seeds is not known
SCRATCH, TARGET_TEXT = "scratch", "target_text"
NO_TRANSFER = (SCRATCH, TARGET_TEXT, "source")  # the source as it is was not transferred yet


@dataclass(frozen=True)
class Predictions:
    """What one cell said of each test document.

    Attributes:
        task: Language model or classifier.
        arm: The arm.
        labels: Number of labels; 0 for a language model.
        seed: The seed.
        score: (documents,) right or wrong (1 or 0) for a classifier, negative log-likelihood in bits for a language
            model.
        weight: (documents,) what the mean is taken over: 1 a document for a classifier, its characters for a
            language model.
    """

    task: str
    arm: str
    labels: int
    seed: int
    score: np.ndarray
    weight: np.ndarray


def gains(cells: list[Predictions], baseline: str = SCRATCH) -> list[Gain]:
    """Compare every arm with a baseline, at each number of labels, seed by seed on the same test documents."""
    by_place: dict[tuple[str, int], dict[str, dict[int, Predictions]]] = {}
    for cell in cells:
        by_place.setdefault((cell.task, cell.labels), {}).setdefault(cell.arm, {})[cell.seed] = cell
    found = []
    for (task, labels), arms in by_place.items():
        against = arms.get(baseline, {})
        for arm, by_seed in arms.items():
            seeds = sorted(set(by_seed) & set(against))
            if arm != baseline and seeds:
                found.append(_gain(task, arm, baseline, labels, by_seed, against, seeds))
    return found


def gains_beyond_target_text(cells: list[Predictions]) -> list[Gain]:
    """Compare every way of transfer with a start from the target's own text alone: what the source adds to that."""
    return [gain for gain in gains(cells, TARGET_TEXT) if gain.arm not in NO_TRANSFER]


def _gain(
    task: str,
    arm: str,
    baseline: str,
    labels: int,
    cells: Mapping[int, Predictions],
    against: Mapping[int, Predictions],
    seeds: list[int],
) -> Gain:
    # Bits are saved, right answers are won: above zero is better than the baseline for both.
    sign = 1.0 if task == "classifier" else -1.0
    difference = np.stack([sign * (cells[seed].score - against[seed].score) for seed in seeds])
    weight = against[seeds[0]].weight
    by_seed = difference.sum(axis=1) / weight.sum()
    interval = paired_bootstrap(difference, weight)
    metric = "accuracy" if task == "classifier" else "bits_per_character"
    outcome = outcome_of(interval)
    return Gain(
        task="classifier" if task == "classifier" else "language_model",
        metric=metric,
        arm=arm,
        baseline=baseline,
        labels=labels,
        gain=interval,
        spread=float(by_seed.std(ddof=1)) if len(seeds) > 1 else None,
        seeds=len(seeds),
        outcome=outcome,
        sentence=_sentence(metric, arm, baseline, labels, interval, outcome, len(seeds)),
    )


def paired_bootstrap(difference: np.ndarray, weight: np.ndarray, seed: int = 0) -> Interval:
    """Give the mean difference with its 95 % interval by a hierarchical bootstrap: seeds, then documents.

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
    at_once = max(1, 20_000_000 // documents)  # keeps the resampled counts below 160 MB
    for start in range(0, RESAMPLES, at_once):
        n = min(at_once, RESAMPLES - start)
        seed_share = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=n) / seeds
        drawn = generator.integers(0, documents, size=(n, documents), dtype=np.int32)
        counts = np.stack([np.bincount(row, minlength=documents) for row in drawn])
        means.append(((seed_share @ difference) * counts).sum(axis=1) / (counts @ weight))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return Interval(value=float(difference.mean(axis=0).sum() / weight.sum()), low=float(low), high=float(high))


def outcome_of(interval: Interval) -> Outcome:
    """Say what an interval allows to say, and no more."""
    if interval.low > 0.0:
        return "positive"
    return "negative" if interval.high < 0.0 else "none found"


WORDS: dict[str, str] = {
    "target_text": "training on the target text first",
    "parameter": "parameter transfer",
    "feature": "feature transfer",
    "source": "the source model as it is",
}


def _sentence(metric: str, arm: str, baseline: str, labels: int, gain: Interval, outcome: Outcome, seeds: int) -> str:
    if metric == "accuracy":
        amount = f"{abs(100 * gain.value):.1f} points of accuracy"
        interval = f"95 % interval {100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
        where = f"With {labels:,} labels"
    else:
        amount = f"{abs(gain.value):.3f} bits per character"
        interval = f"95 % interval of what is saved {gain.low:+.3f} to {gain.high:+.3f}"
        where = "For the language model of the target text"
    name = WORDS.get(arm, arm)
    than = "from scratch" if baseline == SCRATCH else "from the target's own text alone"
    more = "better" if gain.value >= 0 else "worse"
    said = {
        "positive": f"{name} helps: {amount} better than {than}",
        "negative": f"{name} hurts: {amount} worse than {than}",
        "none found": f"no effect of {name} was found: {amount} {more} than {than}",
    }[outcome]
    few = "" if seeds >= FEW_SEEDS else f"; {seeds} seed{'s' if seeds > 1 else ''} only, another one may differ"
    return f"{where}, {said} ({interval}{few})."


def verdict_sentences(found: list[Gain], beyond: list[Gain]) -> list[str]:
    """Give the verdict, the answer first: where transfer helps, where it hurts, the best way, what the source adds.

    Args:
        found: Every arm against scratch.
        beyond: Every way of transfer against a start from the target's own text alone.
    """
    transfer = [gain for gain in found if gain.arm not in NO_TRANSFER]
    answers = [
        _answer(f"Transfer to the target {name}.", [gain for gain in transfer if gain.task == task])
        for task, name in (("language_model", "language model"), ("classifier", "classifier"))
    ]
    answers.append(_answer("What the source adds to the target's own text.", beyond))
    return [answer for answer in answers if answer]


def _answer(subject: str, found: list[Gain]) -> str:
    if not found:
        return ""
    by_outcome: dict[str, list[Gain]] = {}
    for gain in found:
        by_outcome.setdefault(gain.outcome, []).append(gain)
    parts = []
    if helps := by_outcome.get("positive"):
        best = max(helps, key=lambda gain: gain.gain.value)
        most = f"; most: {_ways([best])}," if len(helps) > 1 else ","
        parts.append(f"It helps: {_ways(helps)}{most} {_amount(best)}.")
    if hurts := by_outcome.get("negative"):
        parts.append(f"It hurts: {_ways(hurts)}.")
    if nothing := by_outcome.get("none found"):
        parts.append(f"No effect was found: {_ways(nothing)}.")
    return f"{subject} {' '.join(parts)}"


def _ways(found: list[Gain]) -> str:
    """Name arms, each with its numbers of labels."""
    ways = []
    for arm in dict.fromkeys(gain.arm for gain in found):
        counts = sorted(gain.labels for gain in found if gain.arm == arm and gain.labels)
        ways.append(WORDS.get(arm, arm) + (f" with {_listed([f'{n:,}' for n in counts])} labels" if counts else ""))
    return _listed(ways)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _amount(gain: Gain) -> str:
    if gain.metric == "accuracy":
        values = [f"{100 * value:+.1f}" for value in (gain.gain.value, gain.gain.low, gain.gain.high)]
        return f"{values[0]} points of accuracy (95 % interval {values[1]} to {values[2]})"
    return f"{gain.gain.value:.3f} bits per character saved (95 % interval {gain.gain.low:.3f} to {gain.gain.high:.3f})"
