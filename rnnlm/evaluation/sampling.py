"""How far a measured gain may be from the true one, if documents and seeds are both samples.

Another test split would give another gain, and so would other seeds. Documents and seeds are crossed: every model of an
arm, one for each seed, answers every document. The variance of a gain is therefore

    documents + (spread of the arm² + spread of the baseline²) / seeds

where *documents* is the sampling variance of the mean over documents. It is known well if there are many documents.
An arm's *spread* is the standard deviation of its models' true scores. It is poorly known from two or three seeds, and
matters most. So it is not replaced by an estimate: the judgement averages over all spreads, weighted by how well they
fit the scores of all arms (a hierarchical model; after Smyth 2004, who pools variances in the same way). Most arms of a
comparison differ from seed to seed about as much as each other. An arm that does not is noticed by its own scores.
`benchmarks/calibration.py` shows by simulation how often such a judgement is wrong.

Sources:
    Behrens (1929), Fisher (1935): the difference of two means of unknown, unequal variances.
    Smyth (2004): Linear models and empirical Bayes methods for assessing differential expression.
    Owen (2007): The pigeonhole bootstrap; documents and seeds as crossed random effects.
    Schuirmann (1987): two one-sided tests of equivalence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from rnnlm.evaluation.looks import LEVEL, power_point
from rnnlm.evaluation.verdict import Interval

MOST_SEEDS = 100
POINTS = 48  # values of a spread that are weighed
PARTS = 96  # parts of a gain's distribution: with ten times as many, an interval changes by less than 1 in 10,000
# The greatest variance that is considered, in units of the greatest that was seen.
BEYOND = 100.0
# How different the logarithms of the arms' variances may be (standard deviations), each with its weight: all alike, or
# apart by a factor of about e.
ALIKE = {0.0: 0.6, 1.0: 0.4}
# Probability that an arm's spread is unrelated to the others'. The baseline is part of every comparison: if its spread
# were underestimated, all of them would be wrong together. With one arm only, nothing shows whether the two are alike.
# These numbers, and those of ALIKE, were chosen by the grid of benchmarks/calibration.py: false alarms as rare as is
# claimed in every cell, and then as much power as possible.
APART, BASELINE_APART, PAIR_APART = 0.1, 0.2, 0.5
# How much the logarithm of an arm's variance may differ between two label counts (standard deviation).
BETWEEN_LABELS = 0.5
LEAST = 1e-9  # a variance this much smaller than the greatest is nothing but rounding


@dataclass(frozen=True)
class Scores:
    """What the models of one arm, one for each seed, score on the same documents.

    Attributes:
        scores: (seeds, documents) the score of each document, or a sum over its characters.
        weight: (documents,) what the mean is taken over: 1, or the characters of a document.
    """

    scores: np.ndarray
    weight: np.ndarray

    @cached_property
    def means(self) -> np.ndarray:
        """(seeds,) the score of each model."""
        return np.asarray(self.scores.sum(axis=1) / self.weight.sum())

    @cached_property
    def residuals(self) -> np.ndarray:
        """(documents,) how far each document is from the mean of all, over seeds; they sum to zero."""
        return np.asarray(self.scores.mean(axis=0) - self.means.mean() * self.weight)

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return len(self.scores)

    @property
    def replicated(self) -> bool:
        """Whether the scores say how much seeds differ."""
        return self.seeds > 1 and not self.fixed and bool(np.isfinite(self.variance))

    @cached_property
    def fixed(self) -> bool:
        """Whether seeds are seen to make no difference at all."""
        return self.seeds > 1 and bool((self.scores == self.scores[0]).all())

    @cached_property
    def variance(self) -> float:
        """Variance of the models' scores."""
        return float(self.means.var(ddof=1))

    @cached_property
    def noise(self) -> float:
        """Variance that the models' scores would have if seeds were equally good: each errs on other documents."""
        by_model = self.scores - self.means[:, None] * self.weight
        return float(by_model.var(axis=0, ddof=1).sum() / self.weight.sum() ** 2)


@dataclass(frozen=True)
class Sampled:
    """A gain, and how it is distributed about the true one: a mixture of t distributions.

    Attributes:
        value: The gain.
        deviations: (parts,) standard deviation of each part.
        shares: (parts,) share of each; they sum to one.
        freedom: Degrees of freedom of the sampling variance over documents.
        lasting: The part of the variance that more seeds do not lessen.
        of_a_seed: The rest, as it would be with one seed; None if it is not known.
    """

    value: float
    deviations: np.ndarray
    shares: np.ndarray
    freedom: float
    lasting: float = 0.0
    of_a_seed: float | None = None

    def beyond(self, distance: float) -> float:
        """Return the probability that the gain is more than a distance above the true one (at most 0.5)."""
        if distance <= 0.0:
            return 0.5
        with np.errstate(divide="ignore"):
            return float(self.shares @ stdtr(self.freedom, -distance / self.deviations))

    @property
    def p_value(self) -> float:
        """Probability of a gain so far from zero if there were none."""
        return 2.0 * self.beyond(abs(self.value))

    def p_not_within(self, margin: float) -> float:
        """Return the probability of a gain so near to zero if the true one were at the margin (two one-sided tests)."""
        return self.beyond(margin - abs(self.value))

    def seeds_to_decide(self, margin: float, level: float = LEVEL) -> int | None:
        """Return with how many seeds it would probably be known whether the gain is one, or is within the margin.

        That is, in four of five cases if the true gain is the one that was measured, of one comparison by itself.

        Args:
            margin: The difference that is too small to matter.
            level: The level at which it is claimed.

        Returns:
            The number of seeds; None if no number up to 100 is enough, or nothing is known about seeds.
        """
        distance = max(abs(self.value), margin - abs(self.value))
        left = (distance / power_point(level)) ** 2 - self.lasting
        if self.of_a_seed is None or left <= 0.0 or self.of_a_seed > MOST_SEEDS * left:
            return None
        return max(math.ceil(self.of_a_seed / left), 2)

    def chance(self, seeds: int, now: int, margin: float, level: float) -> float:
        """Return how likely it is that more seeds will decide the comparison, by what is seen (predictive power).

        The gain will move, by as much as the new seeds let it, and then it is a claim or not (Spiegelhalter et al.
        1986: stochastic curtailment).

        Args:
            seeds: How many seeds there will be.
            now: How many there are.
            margin: The difference that is too small to matter.
            level: The level at which it will be claimed.
        """
        if self.of_a_seed is None:
            return 1.0  # nothing is known about seeds, so anything may come
        half = -float(ndtri(level / 2.0)) * math.sqrt(self.lasting + self.of_a_seed / seeds)
        moves = math.sqrt(self.of_a_seed * (1.0 / now - 1.0 / seeds))
        if moves == 0.0:
            return float(not margin - half <= abs(self.value) <= half)
        within = min(max(margin - half, 0.0), half)
        bounds = np.array([-half, -within, within, half])
        below = ndtr((bounds - self.value) / moves)
        return float(below[0] + (below[2] - below[1]) + (1.0 - below[3]))

    def interval(self, level: float = LEVEL) -> Interval:
        """Return the gain with its interval.

        Args:
            level: The probability that the interval does not hold the true gain.
        """
        half = 0.0
        if (most := float(self.deviations.max())) > 0.0:
            tail = level / 2.0
            # No mixture is wider than its widest part.
            bound = -1.001 * most * float(stdtrit(self.freedom, tail))
            half = float(brentq(lambda distance: self.beyond(distance) - tail, 0.0, bound))
        return Interval(value=self.value, low=self.value - half, high=self.value + half)


def of_documents(difference: np.ndarray, weight: np.ndarray) -> Sampled:
    """Return the mean difference of two models as they are: only documents are a sample.

    Args:
        difference: (documents,) difference of their scores on each document.
        weight: (documents,) what the mean is taken over.
    """
    value = float(difference.sum() / weight.sum())
    variance, freedom = _over_documents(difference - value * weight, weight)
    return Sampled(value, np.sqrt([variance]), np.ones(1), freedom)


def _over_documents(residuals: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return the sampling variance of a weighted mean over documents, and its degrees of freedom.

    The jackknife's variance of a ratio: a long document draws the mean to itself, and so seems nearer to it than it is.

    Args:
        residuals: (documents,) how far each document is from the mean; they sum to zero.
        weight: (documents,) what the mean is taken over.
    """
    share = weight / weight.sum()
    effective = 1.0 / float(np.square(share).sum())  # documents of one length that would say as much
    # A document that is all of the text shows no variance. No claim is made from so few (rnnlm.evaluation.enough).
    alone = np.divide(residuals, 1.0 - share, out=np.zeros_like(residuals), where=share < 1.0) / weight.sum()
    return float(np.square(alone).sum()) * (1.0 - 1.0 / effective), max(effective - 1.0, 1.0)


def gains_of(
    arms: Sequence[Scores], baseline: Scores, elsewhere: Sequence[Scores | None] | None = None
) -> list[Sampled | None]:
    """Return what each arm gains over a baseline, where documents and seeds are samples.

    Args:
        arms: The arms, on the same documents.
        baseline: What they are compared with.
        elsewhere: The scores at another label count of the baseline, then of each arm; None if there are none. They say
            how much the seeds of an arm differ that has one seed here.

    Returns:
        For each arm its gain; None if nothing says how much the seeds of the arm or of the baseline differ.
    """
    all_arms = [baseline, *arms]
    spreads = _spreads(all_arms, list(elsewhere or [None] * len(all_arms)))
    found: list[Sampled | None] = []
    for place, arm in enumerate(arms, start=1):
        value = float(arm.means.mean() - baseline.means.mean())
        if not np.isfinite(value):
            # A diverged model. Whoever writes the report says so, and names it.
            found.append(Sampled(value, np.zeros(1), np.ones(1), 1.0))
            continue
        variance, freedom = _over_documents(arm.residuals - baseline.residuals, arm.weight)
        if arm.fixed and baseline.fixed:
            found.append(Sampled(value, np.sqrt([variance]), np.ones(1), freedom, variance, 0.0))
        elif spreads is None:
            found.append(None)
        else:
            shares = (spreads.each[0] * spreads.centres[:, None]).T @ spreads.each[place]
            of_seeds = spreads.squared[:, None] / baseline.seeds + spreads.squared[None] / arm.seeds
            deviations, parts = _merged(np.sqrt(variance + of_seeds), shares)
            # Two seeds err on other documents, so a part of what documents add becomes less with more seeds, too.
            noise = sum(one.noise / one.seeds for one in (arm, baseline) if one.replicated)
            lasting = max(variance - noise, 0.0)
            median = float(deviations[np.searchsorted(np.cumsum(parts), 0.5)])
            of_a_seed = min(arm.seeds, baseline.seeds) * max(median**2 - lasting, 0.0)
            found.append(Sampled(value, deviations, parts, freedom, lasting, of_a_seed))
    return found


def _merged(deviations: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts of a mixture with those of nearly the same deviation put together, in rising order.

    Args:
        deviations: Deviation of each part; of any shape.
        shares: Share of each.
    """
    greatest = float(deviations.max())
    if greatest == 0.0:
        return np.zeros(1), np.ones(1)
    edges = np.geomspace(max(float(deviations.min()), 1e-6 * greatest), greatest * (1.0 + 1e-9), PARTS + 1)
    part = np.clip(np.searchsorted(edges, deviations.ravel(), side="right") - 1, 0, PARTS - 1)
    share = np.bincount(part, shares.ravel(), PARTS)
    squared = np.bincount(part, (shares * np.square(deviations)).ravel(), PARTS)
    kept = share > 0.0
    return np.sqrt(squared[kept] / share[kept]), share[kept] / share.sum()


@dataclass(frozen=True)
class _Spreads:
    """What is known about the spread of each arm.

    Attributes:
        squared: (points,) the squares of spreads that are weighed.
        centres: (centres,) probability of each notion of what is common to the arms.
        each: For each arm (centres, points): under each notion, the probability of each spread.
    """

    squared: np.ndarray
    centres: np.ndarray
    each: list[np.ndarray]


def _spreads(arms: Sequence[Scores], elsewhere: Sequence[Scores | None]) -> _Spreads | None:
    """Weigh every spread that each arm may have by all scores.

    Args:
        arms: The arms; the first is the baseline.
        elsewhere: What each of them scores at another label count.
    """
    shown = [one if one.replicated or one.fixed else other for one, other in zip(arms, elsewhere, strict=True)]
    known = [one for one in shown if one is not None and one.replicated]
    if not known:
        return None
    # Variances are weighed by their logarithm, all alike, down to the noise: below it, they cannot be told apart.
    greatest = max(max(one.variance, one.noise) for one in known)
    noise = max(float(np.mean([one.noise for one in known])), LEAST * greatest)
    total = np.geomspace(noise, BEYOND * greatest, POINTS)
    squared = total - noise
    common = np.concatenate([_near(total, deviation) for deviation in ALIKE])
    logarithms = np.log(np.repeat(list(ALIKE.values()), POINTS) / POINTS)
    each = []
    for place, (arm, one) in enumerate(zip(arms, shown, strict=True)):
        if arm.fixed:
            each.append(np.broadcast_to(squared == 0.0, common.shape).astype(float))
        elif one is None or not one.replicated:
            each.append(common)  # with one seed nothing shows whether it is like the others: that it is, is assumed
        else:
            own = PAIR_APART if len(known) < 3 else BASELINE_APART if place == 0 else APART
            weighed = ((1.0 - own) * common + own / POINTS) * _likelihood(one, squared, LEAST * greatest)
            likelihood = weighed.sum(axis=1)
            logarithms += np.log(likelihood)
            spread = weighed / likelihood[:, None]
            each.append(spread if one is arm else spread @ _near(total, BETWEEN_LABELS))
    centres = np.exp(logarithms - logarithms.max())
    return _Spreads(squared, centres / centres.sum(), each)


def _near(total: np.ndarray, deviation: float) -> np.ndarray:
    """Return the probability of each variance if its logarithm is near that of another: (points, points).

    Args:
        total: (points,) variances.
        deviation: Standard deviation of the difference of the logarithms.
    """
    if deviation == 0.0:
        return np.eye(len(total))
    near = np.exp(-0.5 * np.square(np.subtract.outer(np.log(total), np.log(total)) / deviation))
    return np.asarray(near / near.sum(axis=1, keepdims=True))


def _likelihood(one: Scores, squared: np.ndarray, least: float) -> np.ndarray:
    """Return the likelihood of each spread: a sample variance is a multiple of chi-squared.

    Args:
        one: The scores of an arm.
        squared: (points,) squares of spreads.
        least: The smallest noise that is more than rounding.
    """
    variance = squared + max(one.noise, least)
    logarithm = -0.5 * (one.seeds - 1) * (np.log(variance) + one.variance / variance)
    return np.asarray(np.maximum(np.exp(logarithm - logarithm.max()), 1e-250))  # no logarithm of zero
