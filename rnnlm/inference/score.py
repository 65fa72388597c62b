"""How probable a text is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rnnlm.evaluation.language_model import DocumentScores, score_documents
from rnnlm.inference.texts import clean, encode
from rnnlm.inference.trained import Trained


@dataclass(frozen=True)
class Score:
    """How probable a language model finds a text.

    Attributes:
        nll: Negative log-likelihood of the whole text in nats, including its end token.
        tokens: How many tokens were predicted.
        perplexity: The perplexity of a token.
        bits_per_character: Bits per character of the cleaned text. None if it has no characters.
    """

    nll: float
    tokens: int
    perplexity: float
    bits_per_character: float | None


def score(trained: Trained, texts: Sequence[str]) -> list[Score]:
    """Score each text alone, from a zero state, whatever other texts there are.

    Of an empty text, only the end token is scored. A long text is read in windows, and the state is carried. So memory
    is needed for its tokens, but not for all that the model computes.

    Raises:
        ConfigError: If the model is a classifier.
    """
    if not texts:
        return []
    scores = score_each(trained, [clean(text) for text in texts])
    return [
        Score(
            nll=float(nll),
            tokens=int(tokens),
            perplexity=math.exp(min(nll / tokens, 700.0)),  # the largest float64 is about exp(709)
            bits_per_character=float(nll / math.log(2) / characters) if characters else None,
        )
        for nll, tokens, characters in zip(scores.nll, scores.tokens, scores.n_characters, strict=True)
    ]


def score_each(trained: Trained, texts: Sequence[str]) -> DocumentScores:
    """Score cleaned texts, at least one, each alone and from a zero state.

    Raises:
        ConfigError: If the model is a classifier.
    """
    return score_documents(trained.language_model, encode(trained.tokenizer, texts, apart=True), unknown=True)
