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
        nll: Negative log-likelihood of the whole text in nats, its end token included.
        tokens: How many tokens were predicted.
        perplexity: Of a token.
        bits_per_character: Of the cleaned text; none where it has no characters.
    """

    nll: float
    tokens: int
    perplexity: float
    bits_per_character: float | None


def score(trained: Trained, texts: Sequence[str]) -> list[Score]:
    """Score each text by itself, from a zero state, whatever stands beside it.

    Of an empty text the end token alone is scored. A long text is read in windows, with the state carried: memory is
    needed for its tokens, not for what the model computes of them.

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
            perplexity=math.exp(min(nll / tokens, 700.0)),  # float64 ends at exp(709)
            bits_per_character=float(nll / math.log(2) / characters) if characters else None,
        )
        for nll, tokens, characters in zip(scores.nll, scores.tokens, scores.n_characters, strict=True)
    ]


def score_each(trained: Trained, texts: Sequence[str]) -> DocumentScores:
    """Score cleaned texts, at least one, each by itself from a zero state.

    Raises:
        ConfigError: If the model is a classifier.
    """
    model, tokenizer = trained.language_model, trained.tokenizer
    # Running text has no <bos>: its first token is predicted after the <eos> of what came before, so that each text
    # stands by itself instead of going on with the one before it in the batch.
    bos, eos = tokenizer.bos, tokenizer.eos
    documents = encode(tokenizer, texts, before=[eos] if bos is None else [])
    return score_documents(model, documents, bos=eos if bos is None else bos, eos=eos, unk=tokenizer.unk)
