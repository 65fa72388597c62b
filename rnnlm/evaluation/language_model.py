"""Perplexity and bits per character: every token once, weighted by tokens, summed in float64.

Documents that begin with `<bos>` are each scored from a zero state, as they were trained; `<bos>` is given and
never a target. Running text without it (WikiText) is one stream through which the state is carried.
"""

import math
from dataclasses import dataclass

import numpy as np

from rnnlm.model.language_model import LanguageModel
from rnnlm.tokens import Text

BATCH = 64
WINDOW = 128
# Characters a word, with its space: English has 6, Finnish 9. More, and the script does not part words.
LONGEST_WORDS = 10.0
STREAM_ROWS = 16  # rows that running text is cut into; at each cut, and nowhere else, the context is lost


@dataclass(frozen=True)
class DocumentScores:
    """Negative log-likelihood of each document.

    Attributes:
        nll: (documents,) in nats, float64.
        tokens: (documents,) number of tokens that were predicted.
        n_characters: (documents,) characters of the text.
        n_bytes: (documents,) its bytes in UTF-8.
        n_words: (documents,) its words, parted by white space.
        unknown: (documents,) how many of the predicted tokens are `<unk>`; None if that was not asked for.
        unknown_nll: (documents,) their part of `nll`.
    """

    nll: np.ndarray
    tokens: np.ndarray
    n_characters: np.ndarray
    n_bytes: np.ndarray
    n_words: np.ndarray
    unknown: np.ndarray | None = None
    unknown_nll: np.ndarray | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """Scores over all documents.

        - `nll`, `perplexity`: a token, in nats and as its exponential. They compare models with one tokenizer only.
        - `bits_per_character`, `bits_per_byte`, `word_perplexity`: of the whole text, over what does not depend on the
          tokenizer (Mielke 2019). The last one is left out where the script does not part words. A closed vocabulary
          still has it easier: it pays for `<unk>`, not for the word.
        - `unknown_share`, `known_perplexity`: the share of `<unk>` among the predicted tokens, and the perplexity of
          the others.
        """
        nats, tokens = float(self.nll.sum()), int(self.tokens.sum())
        characters, words = int(self.n_characters.sum()), int(self.n_words.sum())
        found = {
            "nll": nats / tokens,
            "perplexity": _exp(nats / tokens),
            "bits_per_character": nats / math.log(2) / characters,
            "bits_per_byte": nats / math.log(2) / int(self.n_bytes.sum()),
        }
        if characters <= LONGEST_WORDS * words:
            found["word_perplexity"] = _exp(nats / words)
        if self.unknown is not None and self.unknown_nll is not None:
            unknown = int(self.unknown.sum())
            found["unknown_share"] = unknown / tokens
            if unknown < tokens:
                found["known_perplexity"] = _exp((nats - float(self.unknown_nll.sum())) / (tokens - unknown))
        return found


def _exp(nats: float) -> float:
    return math.exp(min(nats, 700.0))  # float64 ends at exp(709)


def score_documents(model: LanguageModel, text: Text, *, unknown: bool = False) -> DocumentScores:
    """Score each document.

    Args:
        model: The language model.
        text: At least one document.
        unknown: Whether the unknown token is counted by itself, too.
    """
    return by_document(score_tokens(model, text), text, unknown=unknown)


def by_document(losses: np.ndarray, text: Text, *, unknown: bool = False) -> DocumentScores:
    """Add up the losses of tokens, as `score_tokens` returns them, over each document."""

    def total(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.add.reduceat(values, text.starts))

    counted = text.n_predicted, text.n_characters, text.n_bytes, text.n_words
    if not unknown:
        return DocumentScores(total(losses), *counted)
    is_unknown = text.read() == text.vocabulary.unk
    of_unknown = total(is_unknown.astype(np.int64)), total(np.where(is_unknown, losses, 0.0))
    return DocumentScores(total(losses), *counted, *of_unknown)


def score_tokens(model: LanguageModel, text: Text) -> np.ndarray:
    """Score each token after those before it.

    Args:
        model: The language model.
        text: At least one document.

    Returns:
        (tokens,) negative log-likelihood in nats, float64, in their order; 0 for `<bos>`, which is given.
    """
    return _running_text(model, text) if text.is_running else _documents(model, text)


def _documents(model: LanguageModel, text: Text) -> np.ndarray:
    """Score documents side by side, each from a zero state, shortest first."""
    losses = np.zeros(text.n_tokens, np.float64)
    order = np.argsort(text.lengths, kind="stable")
    for first in range(0, len(order), BATCH):
        chosen = order[first : first + BATCH]
        lengths = text.lengths[chosen] - 1  # targets of each document
        states = model.encoder.zero_states(len(chosen))
        for start in range(0, int(lengths.max()), WINDOW):
            time = np.arange(start, min(start + WINDOW, int(lengths.max())))
            counted = time[:, None] < lengths[None, :]
            place = np.where(counted, text.starts[chosen][None, :] + time[:, None], 0)
            nll, states = model.compiled_nll(text.at(place), text.at(place + 1), counted, states)
            losses[place[counted] + 1] = nll.numpy()[counted]
    return losses


def _running_text(model: LanguageModel, text: Text) -> np.ndarray:
    """Score documents as one stream; the first token is predicted after an `<eos>`."""
    targets = text.read().astype(np.int32)
    tokens = np.concatenate(([text.vocabulary.eos], targets[:-1])).astype(np.int32)
    rows = min(STREAM_ROWS, len(targets))
    length = -(-len(targets) // rows)
    missing = rows * length - len(targets)
    counted = np.pad(np.ones(len(targets), bool), (0, missing)).reshape(rows, length).T
    tokens, targets = (np.pad(a, (0, missing)).reshape(rows, length).T for a in (tokens, targets))
    parts, states = [], model.encoder.zero_states(rows)
    for start in range(0, length, WINDOW):
        part = slice(start, start + WINDOW)
        nll, states = model.compiled_nll(tokens[part], targets[part], counted[part], states)
        parts.append(nll.numpy().astype(np.float64))
    return np.concatenate(parts).T.reshape(-1)[: text.n_tokens]
