"""How many labels the baseline needs to be as good as an arm: what a gain is worth in annotation."""

import math
from collections.abc import Sequence

import numpy as np

from rnnlm.arms import SCRATCH, arm_named
from rnnlm.evaluation.comparison import Predictions
from rnnlm.evaluation.label_curve import arms_by_labels, covariance_of, spreads_of
from rnnlm.evaluation.sampling import Scores
from rnnlm.evaluation.verdict import Equivalence

DRAWS = 2_000


def label_equivalences(cells: Sequence[Predictions]) -> list[Equivalence]:
    """Return for every way of transfer, at each number of labels, how many labels scratch needs to be as good.

    Between two numbers of labels the baseline's score is interpolated over the logarithm of the number; where it
    falls with more labels, it is held at its highest so far. It is no fitted curve (`rnnlm.evaluation.label_curve`):
    scratch is often near chance with few labels and learns later, and then it is on none. Nothing is said of what is
    beyond the numbers that were tried, nor where there are too few test documents. The interval comes from drawing all
    scores within what documents and seeds leave open, the documents the same for all cells.

    Args:
        cells: What every cell said of the same test documents.
    """
    arms = {
        arm: finite for (_, arm), by_labels in arms_by_labels(cells).items() if (finite := _finite_scores(by_labels))
    }
    baseline = arms.get(SCRATCH, {})
    if len(baseline) < 2:
        return []  # one number of labels is no curve
    sizes = np.array(sorted(baseline))
    compared = [(SCRATCH, int(labels)) for labels in sizes]
    compared += [(arm, labels) for arm in arms if arm_named(arm).transfer for labels in sorted(arms[arm])]
    scores = [arms[arm][labels] for arm, labels in compared]
    # An arm with one seed differs from seed to seed as the others do. If all have one, only documents are a sample.
    known = {arm: spreads for arm, by_labels in arms.items() if (spreads := spreads_of(by_labels))}
    common = float(np.mean([spread for spreads in known.values() for spread in spreads.values()])) if known else 0.0
    of_seeds = [known[arm][labels] if arm in known else common for arm, labels in compared]
    value = np.array([one.means.mean() for one in scores])
    generator = np.random.default_rng(0)
    drawn = generator.multivariate_normal(value, covariance_of(scores, of_seeds), DRAWS, method="eigh")
    curve, curves = value[: len(sizes)], drawn[:, : len(sizes)]
    found = []
    for place, (arm, labels) in enumerate(compared[len(sizes) :], start=len(sizes)):
        needs = [needed(score, drawn_curve, sizes) for score, drawn_curve in zip(drawn[:, place], curves, strict=True)]
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


def _finite_scores(by_labels: dict[int, Scores]) -> dict[int, Scores]:
    """Leave out the label counts at which a model diverged: whoever writes the report says so, and names it."""
    return {labels: one for labels, one in by_labels.items() if np.isfinite(one.scores).all()}


def _finite(labels: float) -> float | None:
    return float(labels) if math.isfinite(labels) else None
