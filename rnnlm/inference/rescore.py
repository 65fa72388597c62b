"""Rank the n-best list of a recogniser or translator by its scores and those of the language model."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnlm.errors import ConfigError
from rnnlm.inference.score import score
from rnnlm.inference.settings import Rescoring
from rnnlm.inference.texts import whole_characters
from rnnlm.inference.trained import Trained


@dataclass(frozen=True)
class Rescored:
    """A hypothesis with its scores.

    Attributes:
        text: The hypothesis as it was given.
        score: The score that it came with.
        log_probability: The language model's log-probability of the whole text, including its end, in nats.
        total: score + weight * log_probability + word_bonus * words. Words are separated by white space.
        rank: Its place in the new order, from 1. Of equal ones the first is better.
    """

    text: str
    score: float
    log_probability: float
    total: float
    rank: int


def rescore(trained: Trained, hypotheses: Sequence[str], how: Rescoring) -> list[Rescored]:
    """Score the hypotheses of one n-best list.

    Args:
        trained: A language model.
        hypotheses: The texts.
        how: Their scores, and the weights.

    Returns:
        The hypotheses in the given order. `best_first` sorts them by rank.

    Raises:
        ConfigError: If the number of scores is wrong, or the model is a classifier.
    """
    hypotheses = [whole_characters(text) for text in hypotheses]
    given = how.scores or [0.0] * len(hypotheses)
    if len(given) != len(hypotheses):
        raise ConfigError(
            f"{len(given)} scores for {len(hypotheses)} hypotheses",
            where="scores",
            remedy="Give one score for each hypothesis, or none at all.",
        )
    log_probabilities = [-one.nll for one in score(trained, hypotheses)]
    totals = [
        own + how.weight * log_probability + how.word_bonus * len(text.split())
        for text, own, log_probability in zip(hypotheses, given, log_probabilities, strict=True)
    ]
    order = sorted(range(len(totals)), key=lambda place: -totals[place])
    ranks = {place: n + 1 for n, place in enumerate(order)}
    return [
        Rescored(text, own, log_probability, total, ranks[place])
        for place, (text, own, log_probability, total) in enumerate(
            zip(hypotheses, given, log_probabilities, totals, strict=True)
        )
    ]


def best_first(rescored: Sequence[Rescored]) -> list[Rescored]:
    """Return the hypotheses sorted by rank."""
    return sorted(rescored, key=lambda one: one.rank)
