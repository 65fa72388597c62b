"""Perplexity and bits per character: every token once, weighted by tokens, summed in float64.

Documents that begin with `<bos>` are each scored from a zero state, as they were trained; `<bos>` is given and
never a target. Running text without it (WikiText) is one stream through which the state is carried.
"""

import math
from dataclasses import dataclass

import numpy as np

from rnnlm.model.language_model import LanguageModel
from rnnlm.tokens import EncodedDocuments

BATCH = 64
WINDOW = 128
STREAM_ROWS = 16  # rows that running text is cut into; at each cut, and nowhere else, the context is lost


@dataclass(frozen=True)
class DocumentScores:
    """Negative log-likelihood of each document.

    Attributes:
        nll: (documents,) in nats, float64.
        tokens: (documents,) number of tokens that were predicted.
        n_characters: (documents,) characters of the text.
    """

    nll: np.ndarray
    tokens: np.ndarray
    n_characters: np.ndarray

    @property
    def metrics(self) -> dict[str, float]:
        """Perplexity, bits per character, and nats a token over all documents."""
        nats = float(self.nll.sum()) / int(self.tokens.sum())
        return {
            "nll": nats,
            "perplexity": math.exp(min(nats, 700.0)),  # float64 ends at exp(709)
            "bits_per_character": float(self.nll.sum()) / math.log(2) / int(self.n_characters.sum()),
        }


def score_documents(model: LanguageModel, documents: EncodedDocuments, *, bos: int | None, eos: int) -> DocumentScores:
    """Score each document.

    Args:
        model: The language model.
        documents: At least one document.
        bos: The token that begins a document; none: running text.
        eos: The token that ends a document.
    """
    return by_document(score_tokens(model, documents, bos=bos, eos=eos), documents, bos=bos)


def by_document(losses: np.ndarray, documents: EncodedDocuments, *, bos: int | None) -> DocumentScores:
    """Add up the losses of tokens, as `score_tokens` gives them, over each document."""
    nll = np.add.reduceat(losses, documents.offsets[:-1])
    predicted = documents.lengths - (0 if bos is None else 1)
    return DocumentScores(nll, predicted, documents.n_characters)


def score_tokens(model: LanguageModel, documents: EncodedDocuments, *, bos: int | None, eos: int) -> np.ndarray:
    """Score each token after those before it.

    Args:
        model: The language model.
        documents: At least one document.
        bos: The token that begins a document; none: running text.
        eos: The token that ends a document.

    Returns:
        (tokens,) negative log-likelihood in nats, float64, as `documents.ids` lie; 0 for `bos`, which is given.
    """
    return _running_text(model, documents, eos) if bos is None else _documents(model, documents)


def _documents(model: LanguageModel, documents: EncodedDocuments) -> np.ndarray:
    """Score documents side by side, each from a zero state, shortest first."""
    losses = np.zeros(len(documents.ids), np.float64)
    order = np.argsort(documents.lengths, kind="stable")
    for first in range(0, len(order), BATCH):
        chosen = order[first : first + BATCH]
        lengths = documents.lengths[chosen] - 1  # targets of each document
        states = model.encoder.zero_states(len(chosen))
        for start in range(0, int(lengths.max()), WINDOW):
            time = np.arange(start, min(start + WINDOW, int(lengths.max())))
            counted = time[:, None] < lengths[None, :]
            place = np.where(counted, documents.offsets[chosen][None, :] + time[:, None], 0)
            tokens, targets = documents.ids[place].astype(np.int32), documents.ids[place + 1].astype(np.int32)
            nll, states = model.compiled_nll(tokens, targets, counted, states)
            losses[place[counted] + 1] = nll.numpy()[counted]
    return losses


def _running_text(model: LanguageModel, documents: EncodedDocuments, eos: int) -> np.ndarray:
    """Score documents as one stream; the first token is predicted after an `<eos>`."""
    targets = documents.ids.astype(np.int32)
    tokens = np.concatenate(([eos], targets[:-1])).astype(np.int32)
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
    return np.concatenate(parts).T.reshape(-1)[: len(documents.ids)]
