"""How the score of an arm rises with its labels, and what more labels would bring.

The error of an arm with n labels is taken to be

    error(n) = floor + scale / n ** exponent        floor, scale >= 0

an inverse power law (Cortes et al. 1994; Hestness et al. 2017; Viering & Loog 2022 compare such laws). Three or four
label counts do not determine its three numbers. So no best curve is looked for: all curves are weighed by how well they
go through the scores (a posterior with flat priors), and what is read off them is an interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnnlm.arms import arm_named
from rnnlm.evaluation.comparison import Predictions
from rnnlm.evaluation.enough import few
from rnnlm.evaluation.sampling import Scores
from rnnlm.evaluation.verdict import Interval, LabelCurve, MoreLabels, Recommendation
from rnnlm.targets import measure_of

DRAWS = 20_000
# Label counts that a curve is drawn through, at least.
LEAST_COUNTS = 3
# Exponents that are considered, all equally likely (published ones of error rates are 0.07 to 0.6), and how far an arm
# is from the law: its error with the most labels by this share (standard deviation), with fewer labels by more, because
# the law holds where labels are many. benchmarks/results/label_curves.md shows how often intervals hold what came.
EXPONENTS = (0.05, 0.7)
AWAY = 0.03
# Draws that have weight, at least, and how many standard deviations the best curve is from the scores, at most. Beyond,
# the scores are on no such curve: an arm that is near chance with few labels, and learns later, is not.
LEAST_DRAWS, FAR = 100, 4.0
# Degrees of freedom that the other label counts add to the variance over seeds of each (as in Smyth 2004).
POOLED = 2.0
POINTS = 9  # of a curve beyond the labels that were tried, up to twice as many


@dataclass(frozen=True)
class Curves:
    """Curves that are as likely as each other, by what is known.

    Attributes:
        floor: (draws,) the error that no number of labels takes away.
        scale: (draws,) how large the rest is.
        exponent: (draws,) how fast the rest falls.
    """

    floor: np.ndarray
    scale: np.ndarray
    exponent: np.ndarray

    def errors(self, labels: int) -> np.ndarray:
        """Return the error with a number of labels, of each curve."""
        return np.asarray(self.floor + self.scale * float(labels) ** -self.exponent)


def label_curves(cells: Sequence[Predictions]) -> list[LabelCurve]:
    """Return the curve of every arm that has three label counts or more, and whose scores are on one.

    Args:
        cells: What every cell said of the same test documents.
    """
    found = []
    for (task, arm), by_labels in arms_by_labels(cells).items():
        best = 1.0 if measure_of(task).counted else 0.0  # the score of an arm that makes no error
        sizes = np.array(sorted(by_labels))
        spreads = spreads_of(by_labels)
        if len(sizes) < LEAST_COUNTS or spreads is None:
            continue
        scores = [by_labels[labels] for labels in sizes]
        errors = best - np.array([one.means.mean() for one in scores])
        if not (np.isfinite(errors).all() and (errors > 0.0).all()):
            continue
        curves = fit(sizes, errors, covariance_of(scores, [spreads[labels] for labels in sizes]))
        if curves is not None:
            found.append(_curve(arm, sizes, curves))
    return found


def _curve(arm: str, sizes: np.ndarray, curves: Curves) -> LabelCurve:
    most = int(sizes[-1])
    further = most + 10 ** (len(str(most // 2)) - 1)  # a round number, up to half as many
    gains = []
    for labels in sorted({further, *(round(n) for n in np.geomspace(most, 2 * most, POINTS))} - {most}):
        low, value, high = np.quantile(curves.errors(most) - curves.errors(labels), [0.025, 0.5, 0.975])
        gains.append(MoreLabels(labels=labels, gain=Interval(value=value, low=low, high=high)))
    return LabelCurve(arm=arm, least=int(sizes[0]), most=most, further=further, gains=gains)


def more_labels_sentence(curves: Sequence[LabelCurve], chosen: Sequence[Recommendation]) -> str:
    """Say what more labels would bring the arm that is to be used with all labels; nothing if it has no curve.

    Args:
        curves: The curves.
        chosen: The arms to use.
    """
    of_labels = [one for one in chosen if one.task != "language_model"]
    to_use = max(of_labels, key=lambda one: one.labels, default=None)
    curve = next((one for one in curves if to_use and (one.arm, one.most) == (to_use.arm, to_use.labels)), None)
    if curve is None or to_use is None:
        return ""
    measure = measure_of(to_use.task)
    by_labels = {one.labels: one.gain for one in curve.gains}

    def gained(labels: int) -> str:
        gain = by_labels[labels]
        return " to ".join(measure.numbers(gain.low, gain.high, plus=False))

    some = gained(curve.further)
    better = f"would be {some} {measure.unit} better" if measure.unit else f"would have {some} less {measure.words}"
    twice = f", and with twice as many {gained(2 * curve.most)}" if curve.further < 2 * curve.most else ""
    return (
        f"What more labels would bring. With {curve.further - curve.most:,} more than {curve.most:,}, "
        f"{arm_named(curve.arm).phrase} {better} (95 % interval){twice}, if it goes on as it did from "
        f"{curve.least:,} labels on."
    )


def fit(sizes: np.ndarray, errors: np.ndarray, covariance: np.ndarray) -> Curves | None:
    """Weigh all curves by how well they go through the errors of an arm.

    Args:
        sizes: (counts,) label counts, rising; two or more.
        errors: (counts,) the error with each of them.
        covariance: (counts, counts) how far the errors may be from the true ones.

    Returns:
        The curves; None if the errors are on none of them.
    """
    away = AWAY * errors * (1.0 + np.log(sizes[-1] / sizes))
    covariance = covariance + np.diag(np.square(away))
    ends, between = np.array([0, len(sizes) - 1]), np.arange(1, len(sizes) - 1)
    generator = np.random.default_rng(0)
    # A curve is known by its errors at both ends and its exponent. Errors at the ends are drawn as they were measured,
    # and each curve gets the weight of the errors between.
    drawn = generator.multivariate_normal(errors[ends], covariance[np.ix_(ends, ends)], DRAWS, method="eigh")
    exponent = generator.uniform(*EXPONENTS, DRAWS)
    powers = sizes[None].astype(float) ** -exponent[:, None]
    scale = (drawn[:, 0] - drawn[:, 1]) / (powers[:, 0] - powers[:, -1])
    floor = drawn[:, 0] - scale * powers[:, 0]
    to_ends = np.linalg.solve(covariance[np.ix_(ends, ends)], covariance[np.ix_(ends, between)])
    left = covariance[np.ix_(between, between)] - covariance[np.ix_(between, ends)] @ to_ends
    expected = errors[between] + (drawn - errors[ends]) @ to_ends
    distance = floor[:, None] + scale[:, None] * powers[:, between] - expected
    squared = (distance * np.linalg.solve(left, distance.T).T).sum(axis=1)
    squared[(scale < 0.0) | (floor < 0.0)] = np.inf
    if not squared.min() < FAR**2:
        return None
    weights = np.exp(-0.5 * (squared - squared.min()))
    if np.square(weights.sum()) / np.square(weights).sum() < LEAST_DRAWS:
        return None
    kept = generator.choice(DRAWS, DRAWS, p=weights / weights.sum())
    return Curves(floor[kept], scale[kept], exponent[kept])


def arms_by_labels(cells: Sequence[Predictions]) -> dict[tuple[str, str], dict[int, Scores]]:
    """Return the scores of each task and arm by label counts, if there are enough documents for a claim.

    Args:
        cells: What every cell said of the same test documents.
    """
    by_seed: dict[tuple[str, str], dict[int, dict[int, Predictions]]] = {}
    for cell in cells:
        if cell.task != "language_model" and not few(cell.documents):
            by_seed.setdefault((cell.task, cell.arm), {}).setdefault(cell.labels, {})[cell.seed] = cell
    return {
        arm: {
            labels: Scores(np.stack([cell.score for cell in seeds.values()]), next(iter(seeds.values())).weight)
            for labels, seeds in by_labels.items()
        }
        for arm, by_labels in by_seed.items()
    }


def covariance_of(cells: Sequence[Scores], spreads: Sequence[float]) -> np.ndarray:
    """Return the covariance of the mean scores of several cells on the same documents.

    Args:
        cells: The cells.
        spreads: Variance over seeds of each, of one model.
    """
    residuals = np.stack([cell.residuals / cell.weight.sum() for cell in cells])
    over_seeds = [spread / cell.seeds for spread, cell in zip(spreads, cells, strict=True)]
    return np.asarray(residuals @ residuals.T + np.diag(over_seeds))


def spreads_of(cells: Mapping[int, Scores]) -> dict[int, float] | None:
    """Return the variance over seeds of an arm at each label count: its own, drawn towards that of all counts.

    It is the variance of how good seeds are. That each seed errs on other documents is part of the covariance over
    documents already.

    Args:
        cells: The arm by label counts.

    Returns:
        The variances; None if no label count has two seeds.
    """
    known = [(cell.seeds - 1, cell.variance, cell.noise) for cell in cells.values() if cell.seeds > 1]
    if not known:
        return None
    freedoms = sum(freedom for freedom, _, _ in known)
    common, noise = (sum(one[0] * one[n] for one in known) / freedoms for n in (1, 2))
    found = {}
    for labels, cell in cells.items():
        freedom = cell.seeds - 1
        own = freedom * cell.variance if freedom else 0.0
        found[labels] = max((POOLED * common + own) / (POOLED + freedom) - (cell.noise if freedom else noise), 0.0)
    return found
