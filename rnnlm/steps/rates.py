"""How fast this workplace has trained so far: what an estimate of a training that is like no other goes by."""

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

from rnnlm.plan import CellSpec, TrainLanguageModel, TrainTarget
from rnnlm.refs import TokensRef
from rnnlm.settings import LanguageModelTraining, Model
from rnnlm.store import home

# Matrices of a step: the gates of each cell. A QRNN reads a window of two tokens in its first layer.
GATES = {"lstm": 4, "gru": 3, "qrnn": 3}


@dataclass(frozen=True)
class Rate:
    """What a finished training of a language model took.

    Attributes:
        cost: Multiplications for a token, in one direction.
        tokens: Tokens that it was trained on.
        seconds: How long it took, evaluations included.
    """

    cost: float
    tokens: int
    seconds: float


def rates() -> list[Rate]:
    """Return the rates of the language models that this workplace has trained, in any experiment."""
    return list(_rates())


def _rates() -> Iterator[Rate]:
    for kept in (home() / "results").glob("*.json"):
        if kept.name.partition("-")[0] not in ("pretrain", "baseline", "finetune"):
            continue
        try:
            result = json.loads(kept.read_bytes())
            folder = home() / "store" / kept.stem
            described = json.loads((folder / "model.json").read_bytes())
            history = json.loads((folder / "history.json").read_bytes())
            if described["kind"] == "language_model" and history and result["seconds"] > 0.0:
                cost = encoder_cost(model := Model(**described["settings"]))
                cost += model.embedding * described["vocabulary_size"]
                yield Rate(cost, history[-1]["tokens"], result["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another kind of result, or one that is damaged: the step that needs it says so


def encoder_cost(model: Model) -> float:
    """Return the multiplications of the recurrent layers for one token."""
    widths = [model.embedding, *[model.hidden] * (model.layers - 1), model.embedding]
    return float(sum(GATES[model.cell] * (below + own) * own for below, own in itertools.pairwise(widths)))


def seconds_for(cost: float, tokens: float, known: list[Rate]) -> float | None:
    """Return how long a training will take: as long for each multiplication as the training most like it.

    Args:
        cost: Multiplications for a token.
        tokens: Tokens to train on.
        known: The rates of earlier trainings.

    Returns:
        Seconds; None if nothing is known.
    """
    if not known:
        return None
    # Of the same size, the longest: the shorter it was, the more of it was compiling.
    like = min(known, key=lambda rate: (abs(math.log(rate.cost / cost)), -rate.tokens))
    return tokens * cost * like.seconds / (like.tokens * like.cost)


def language_model_seconds(
    model: Model, training: LanguageModelTraining, tokens: TokensRef, known: list[Rate]
) -> float | None:
    """Return how long a language model will probably train on a text; None if nothing is known."""
    cost = encoder_cost(model) + model.embedding * tokens.vocabulary_size
    return seconds_for(cost, training.epochs * tokens.tokens["train"], known)


def cell_seconds(spec: CellSpec, tokens: TokensRef, known: list[Rate]) -> float | None:
    """Return how long a cell will probably take, by the rates of language models.

    Args:
        spec: The cell.
        tokens: The target's tokens.
        known: The rates of earlier trainings.

    Returns:
        Seconds; None if nothing is known, or it trains no network, or reads text beside the labels.
    """
    match spec.work:
        case TrainLanguageModel(model=model, language_model=training):
            return language_model_seconds(model, training, tokens, known)
        case TrainTarget(model=model, training=training, beside=None, trainable=trainable):
            length = min(training.max_tokens, tokens.tokens["train"] / tokens.documents["train"])
            read = max(training.epochs * spec.id.labels, training.min_steps * training.batch_size)
            # The states of a frozen encoder are computed once.
            tries = len(training.learning_rates) * len(training.fine_tuning)
            return seconds_for(
                encoder_cost(model), length * (spec.id.labels if trainable == "head" else read * tries), known
            )
    return None
