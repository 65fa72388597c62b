"""A continuous cache beside a language model: words that followed a similar state come again (Grave et al. 2017).

The cache remembers the model's state before each token of a document and the token that came. It gives the next token
by how similar the state is now: p(w) ~ sum over the remembered of [token is w] exp(theta h . h_i). Nothing is trained;
mixed with the model's own probability it adapts a model to a text while it is read.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from rnnlm.evaluation.language_model import BATCH, STREAM_ROWS, WINDOW
from rnnlm.model.language_model import LanguageModel
from rnnlm.tokens import Text

SIZE = 2_000  # tokens that are remembered; more helped little on WikiText-2 (Grave et al. 2017)
MOST_STATES = 64_000_000  # numbers of the states of the documents that are read side by side: 256 MB
LONGEST_ROW = 20_000  # tokens of a row of running text
BLOCK = 512  # tokens whose similarities are in memory at once: 512 x 2,512 of them are 10 MB


def cache_nll(model: LanguageModel, text: Text, thetas: tuple[float, ...]) -> np.ndarray:
    """Score each token by the cache alone, which begins empty with each document (and row of running text).

    Args:
        model: The language model whose states are remembered.
        text: At least one document.
        thetas: How much similarity counts; 0: every remembered token counts the same.

    Returns:
        (thetas, tokens) negative log-likelihood in nats, in their order; infinite where the token is not in the cache,
        0 for `<bos>`, which is given.
    """
    found = np.zeros((len(thetas), text.n_tokens))
    for (start, end), states in _states(model, text):
        found[:, start:end] = _of_segment(states, text.read(start, end), thetas)
    return found


def _of_segment(states: np.ndarray, targets: np.ndarray, thetas: tuple[float, ...], size: int = SIZE) -> np.ndarray:
    """Score the tokens of one segment: states (tokens, width) before each of the targets (tokens,)."""
    found = np.full((len(thetas), len(targets)), np.inf)
    for first in range(0, len(targets), BLOCK):
        now = np.arange(first, min(first + BLOCK, len(targets)))
        then = np.arange(max(0, first - size), now[-1])
        if not len(then):
            continue
        similar = states[now] @ states[then].T
        known = (then[None, :] < now[:, None]) & (then[None, :] >= now[:, None] - size)
        same = known & (targets[then][None, :] == targets[now][:, None])
        hit = same.any(axis=1)
        for n, theta in enumerate(thetas):
            scores = np.where(known, np.float64(theta) * similar, -np.inf)
            scores -= np.maximum(scores.max(axis=1, keepdims=True), -1e300)  # the first token remembers nothing
            weights = np.exp(scores)
            with np.errstate(divide="ignore", invalid="ignore"):
                share = (weights * same).sum(axis=1) / weights.sum(axis=1)
                found[n, now] = np.where(hit, -np.log(share), np.inf)
    return found


def _states(model: LanguageModel, text: Text) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Return the places of the tokens of each segment, and the states (tokens, width) before them.

    Segments are the documents, or the rows that running text is read in.
    """
    targets = text.read().astype(np.int32)
    inputs = np.concatenate(([text.vocabulary.eos], targets[:-1])).astype(np.int32)
    if text.is_running:
        rows = min(max(STREAM_ROWS, -(-len(targets) // LONGEST_ROW)), len(targets))
        edges = np.linspace(0, len(targets), rows + 1).astype(np.int64)
        starts, ends = edges[:-1], edges[1:]
    else:
        starts, ends = text.starts + 1, text.ends
    lengths = ends - starts
    encode = tf.function(
        lambda tokens, states: model.encoder(tokens, states, training=False),
        input_signature=[
            tf.TensorSpec((None, None), tf.int32),
            [tuple(tf.TensorSpec((None, width)) for width in layer.state_widths) for layer in model.encoder.cells],
        ],
        autograph=False,
    )
    order, first = np.argsort(lengths, kind="stable"), 0
    while first < len(order):
        # As many as fit; the last of a batch is its longest.
        fitting = lengths[order[first : first + BATCH]] * np.arange(1, len(order[first : first + BATCH]) + 1)
        most = MOST_STATES // model.settings.embedding
        chosen = order[first : first + max(1, int(np.searchsorted(fitting, most, side="right")))]
        first += len(chosen)
        longest = int(lengths[chosen].max())
        states: Any = model.encoder.zero_states(len(chosen))
        parts = []
        for start in range(0, longest, WINDOW):
            time = np.arange(start, min(start + WINDOW, longest))[:, None]
            tokens = inputs[np.where(time < lengths[chosen], starts[chosen] + time, 0)]
            hidden, states = encode(tokens, states)
            parts.append(hidden.numpy())
        hidden = np.concatenate(parts)
        for n, segment in enumerate(chosen):
            yield (int(starts[segment]), int(ends[segment])), hidden[: lengths[segment], n]
