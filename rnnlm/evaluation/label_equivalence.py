"""How many labels the baseline needs to be as good as an arm: what a gain is worth in annotation."""

import math
from collections.abc import Sequence

import numpy as np

from rnnlm.arms import SCRATCH, arm_named
from rnnlm.evaluation.comparison import Predictions
from rnnlm.evaluation.enough import few
from rnnlm.evaluation.verdict import Equivalence

RESAMPLES = 2_000


def label_equivalences(cells: Sequence[Predictions]) -> list[Equivalence]:
    """Return for every way of transfer, at each number of labels, how many labels scratch needs to be as good.

    Between two numbers of labels the baseline's score is interpolated over the logarithm of the number; where it
    falls with more labels, it is held at its highest so far. Nothing is said of what is beyond the numbers that were
    tried, nor where there are too few test documents. The interval comes from drawing documents and each cell's seeds
    anew, the documents the same for all cells.

    Args:
        cells: What every cell said of the same test documents.
    """
    arms: dict[str, dict[int, dict[int, np.ndarray]]] = {}
    for cell in cells:
        if cell.task != "language_model" and not few(cell.documents):
            arms.setdefault(cell.arm, {}).setdefault(cell.labels, {})[cell.seed] = cell.score
    baseline = arms.get(SCRATCH, {})
    if len(baseline) < 2:
        return []  # one number of labels is no curve
    sizes = np.array(sorted(baseline))
    compared = [(SCRATCH, int(labels)) for labels in sizes]
    compared += [(arm, labels) for arm in arms if arm_named(arm).transfer for labels in sorted(arms[arm])]
    value, drawn = _scores([list(arms[arm][labels].values()) for arm, labels in compared])
    curve, curves = value[: len(sizes)], drawn[:, : len(sizes)]
    found = []
    for place, (arm, labels) in enumerate(compared[len(sizes) :], start=len(sizes)):
        needs = [needed(score, of_scratch, sizes) for score, of_scratch in zip(drawn[:, place], curves, strict=True)]
        # Not interpolated between two draws: one may be infinite.
        low, high = np.quantile(needs, [0.025, 0.975], method="inverted_cdf")
        found.append(
            Equivalence(
                arm=arm,
                labels=labels,
                needed=_finite(needed(value[place], curve, sizes)),
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
    best = max(worth, key=lambda one: ((one.low or one.most) / one.labels, one.low is None, one.needed or one.most))
    if best.low is None:
        return (
            f"What transfer is worth in labels. With {best.labels:,} labels {arm_named(best.arm).phrase} is better "
            f"than scratch with {best.most:,}, the most that were tried."
        )
    low, middle, high = (_labels(value, best.most) for value in (best.low, best.needed, best.high))
    return (
        f"What transfer is worth in labels. With {best.labels:,} labels {arm_named(best.arm).phrase} is as good as "
        f"scratch with {middle} (95 % interval {low} to {high})."
    )


def _labels(number: float | None, most: int) -> str:
    return f"more than {most:,}" if number is None else f"{number:,.0f}"


def needed(score: float, curve: np.ndarray, sizes: np.ndarray) -> float:
    """Return at how many labels a rising curve reaches a score: at least the smallest number, infinity if never.

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


def _scores(cells: list[list[np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean score of each cell over its seeds, as it is (cells,) and drawn anew (resamples, cells).

    Args:
        cells: Of each cell the (documents,) scores of each seed.
    """
    scores = np.stack([one for by_seed in cells for one in by_seed]).astype(np.float32)
    documents = scores.shape[1]
    generator = np.random.default_rng(0)
    by_seed_drawn = []
    at_once = max(1, 20_000_000 // documents)  # counts of 80 MB
    for start in range(0, RESAMPLES, at_once):
        # float32 holds such counts exactly.
        counts = np.empty((min(at_once, RESAMPLES - start), documents), np.float32)
        for draw in counts:
            draw[:] = np.bincount(generator.integers(0, documents, documents), minlength=documents)
        by_seed_drawn.append(counts @ scores.T / documents)
    each = np.concatenate(by_seed_drawn)
    drawn = np.empty((RESAMPLES, len(cells)))
    first = 0
    for place, by_seed in enumerate(cells):
        seeds = len(by_seed)
        share = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds
        drawn[:, place] = (each[:, first : first + seeds] * share).sum(axis=1)
        first += seeds
    return np.array([np.mean(by_seed) for by_seed in cells]), drawn


def _finite(labels: float) -> float | None:
    return float(labels) if math.isfinite(labels) else None
