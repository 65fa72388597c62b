"""How many labels the baseline needs to be as good as an arm: what a gain is worth in annotation."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from rnnlm.evaluation.comparison import RESAMPLES, SCRATCH, Predictions
from rnnlm.evaluation.naming import arm_name
from rnnlm.evaluation.verdict import Equivalence


def label_equivalences(cells: Sequence[Predictions]) -> list[Equivalence]:
    """Give for every way of transfer, at each number of labels, how many labels scratch needs for the same accuracy.

    Between two numbers of labels the baseline's accuracy is interpolated over the logarithm of the number; where it
    falls with more labels, it is held at its highest so far. Nothing is said of what lies beyond the numbers that were
    tried. The interval comes from drawing documents and each cell's seeds anew, the documents the same for all cells.

    Args:
        cells: What every cell said of the same test documents.
    """
    arms: dict[str, dict[int, list[np.ndarray]]] = {}
    for cell in cells:
        if cell.task == "classifier":
            arms.setdefault(cell.arm, {}).setdefault(cell.labels, []).append(cell.score)
    baseline = arms.get(SCRATCH, {})
    if len(baseline) < 2:
        return []  # one number of labels is no curve
    generator = np.random.default_rng(0)
    documents = len(next(iter(baseline.values()))[0])
    # float32 holds such counts exactly, and takes half the memory: 200 MB with 25,000 documents.
    counts = np.empty((RESAMPLES, documents), np.float32)
    for draw in counts:
        draw[:] = np.bincount(generator.integers(0, documents, documents), minlength=documents)
    curve, curves = _curve(baseline, counts, generator)
    sizes = np.array(sorted(baseline))
    found = []
    for arm, by_labels in arms.items():
        if not arm_name(arm).transfer:
            continue
        for labels in sorted(by_labels):
            score, scores = _accuracy(by_labels[labels], counts, generator)
            drawn = np.array([needed(one, at, sizes) for one, at in zip(scores, curves, strict=True)])
            # Not interpolated between two draws: one may be infinite.
            low, high = np.quantile(drawn, [0.025, 0.975], method="inverted_cdf")
            value = needed(score, curve, sizes)
            found.append(
                Equivalence(
                    arm=arm,
                    labels=labels,
                    needed=_finite(value),
                    low=_finite(low),
                    high=_finite(high),
                    least=int(sizes[0]),
                    most=int(sizes[-1]),
                )
            )
    return found


def equivalence_sentence(found: list[Equivalence]) -> str:
    """Say what transfer is worth in labels where it is worth most; nothing where no interval is above what it had."""
    worth = [one for one in found if one.low is None or one.low > one.labels]
    if not worth:
        return ""
    best = max(worth, key=lambda one: ((one.low or math.inf) / one.labels, one.needed or math.inf))
    low, middle, high = (_labels(value, best.most) for value in (best.low, best.needed, best.high))
    return (
        f"What transfer is worth in labels. With {best.labels:,} labels {arm_name(best.arm).phrase} is as good as "
        f"scratch with {middle} (95 % interval {low} to {high})."
    )


def _labels(number: float | None, most: int) -> str:
    return f"more than {most:,}" if number is None else f"{number:,.0f}"


def needed(score: float, curve: np.ndarray, sizes: np.ndarray) -> float:
    """Give at how many labels a rising curve reaches a score; the smallest number at least, infinity if it never does.

    Args:
        score: The score to be reached.
        curve: (sizes,) scores.
        sizes: (sizes,) numbers of labels, rising.
    """
    rising = np.maximum.accumulate(curve)
    place = int(np.searchsorted(rising, score, side="left"))
    if place == 0:
        return float(sizes[0])
    if place == len(sizes):
        return math.inf
    share = (score - rising[place - 1]) / (rising[place] - rising[place - 1])
    return float(np.exp((1.0 - share) * np.log(sizes[place - 1]) + share * np.log(sizes[place])))


def _curve(
    by_labels: Mapping[int, list[np.ndarray]], counts: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Give accuracies over rising numbers of labels: as they are (sizes,), and drawn anew (resamples, sizes)."""
    pairs = [_accuracy(by_labels[labels], counts, generator) for labels in sorted(by_labels)]
    return np.array([value for value, _ in pairs]), np.stack([drawn for _, drawn in pairs], axis=1)


def _accuracy(
    by_seed: list[np.ndarray], counts: np.ndarray, generator: np.random.Generator
) -> tuple[float, np.ndarray]:
    """Give the mean accuracy over seeds, and that of each draw of documents and seeds."""
    right = np.stack(by_seed).astype(np.float32)
    seeds = len(right)
    share = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=len(counts)) / seeds
    return float(right.mean()), ((counts @ right.T) * share).sum(axis=1) / counts.shape[1]


def _finite(labels: float) -> float | None:
    return float(labels) if math.isfinite(labels) else None
