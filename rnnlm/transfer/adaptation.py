"""A language model that adapts to a text while it reads it, as cells of the comparison: what training has to beat."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rnnlm.evaluation.cache import cache_nll
from rnnlm.evaluation.language_model import score_tokens
from rnnlm.evaluation.mixture import mixed, mixture_weight
from rnnlm.model.checkpoint import Checkpoint
from rnnlm.model.language_model import LanguageModel
from rnnlm.refs import TokensRef
from rnnlm.settings import Adaptation
from rnnlm.tokens import Text
from rnnlm.training.dynamic import score_while_learning
from rnnlm.transfer.cell import Fitted, read_documents, write_language_model

# To try; the validation split chooses.
THETAS = (0.0, 0.3, 1.0, 3.0)
RATES = (0.3, 1.0, 3.0)
# Documents of the validation split that a learning rate is tried on, in tokens: each is a whole pass of small steps.
TRIED_TOKENS = 20_000


def fit_adaptation(kind: Adaptation, language_model: Path, tokens: TokensRef, final: Path) -> Fitted:
    """Score a language model that adapts to the test split while it reads it, and to nothing else.

    Args:
        kind: cache: its probabilities mixed with those of a cache of the document. dynamic: it learns from each window
            after it has scored it.
        language_model: Folder of the language model, over the same vocabulary.
        tokens: The text.
        final: Folder to write.
    """
    began = time.perf_counter()
    model = Checkpoint.load(language_model).language_model()
    valid, test = (read_documents(tokens, split) for split in ("valid", "test"))
    losses, chosen = (_cached if kind == "cache" else _dynamic)(model, valid)
    return write_language_model(final, (valid, losses(valid)), (test, losses(test)), began, chosen)


Losses = Callable[[Text], np.ndarray]


def _cached(model: LanguageModel, valid: Text) -> tuple[Losses, dict[str, float]]:
    own = score_tokens(model, valid)
    # What is given costs nothing and says nothing.
    predicted = valid.predicted
    found = []
    for theta, of_cache in zip(THETAS, cache_nll(model, valid, THETAS), strict=True):
        weight = mixture_weight(own[predicted], of_cache[predicted])
        found.append((float(mixed(own, of_cache, weight)[predicted].sum()), theta, weight))
    _, theta, weight = min(found)

    def losses(text: Text) -> np.ndarray:
        (of_cache,) = cache_nll(model, text, (theta,))
        return mixed(score_tokens(model, text), of_cache, weight)

    return losses, {"cache_theta": theta, "cache_share": 1.0 - weight}


def _dynamic(model: LanguageModel, valid: Text) -> tuple[Losses, dict[str, float]]:
    some = valid.take(np.arange(max(1, int(np.searchsorted(valid.ends, TRIED_TOKENS, side="right")))))
    rate = min(RATES, key=lambda one: score_while_learning(model, some, one).sum())
    return lambda text: score_while_learning(model, text, rate), {"dynamic_rate": rate}
