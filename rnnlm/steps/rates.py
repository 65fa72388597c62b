"""How fast this workplace has trained so far. Trainings that are like no earlier one are estimated from this."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rnnlm.experiment.validation import FOLDS
from rnnlm.plan import CellSpec, TrainLanguageModel, TrainTarget
from rnnlm.refs import TokensRef
from rnnlm.settings import LanguageModelTraining, Model, TargetTraining
from rnnlm.store import home, read_json

# A training of fewer seconds is mostly compiling: it counts only where there is no longer one.
LONG = 30.0
# A forward pass has one of the three products of a training step: the other two are for the gradients.
FORWARD = 1 / 3


@dataclass(frozen=True)
class Rate:
    """What a finished training of a language model took.

    Attributes:
        kind: Its cell and its softmax.
        cost: Multiplications for a token, in one direction.
        tokens: Tokens that it was trained on.
        seconds: How long it took, evaluations included.
    """

    kind: tuple[str, str]
    cost: float
    tokens: int
    seconds: float


def rates() -> Iterator[Rate]:
    """Yield the rates of the language models that this workplace has trained, in any experiment."""
    for kept in (home() / "results").glob("*.json"):
        if kept.name.partition("-")[0] not in ("pretrain", "baseline", "finetune"):
            continue
        try:
            result = read_json(kept)
            folder = home() / "store" / kept.stem
            described, history = read_json(folder / "model.json"), read_json(folder / "history.json")
            if described["kind"] != "language_model" or not history:
                continue
            tokens, seconds = float(history[-1]["tokens"]), float(result["seconds"])
            if 0.0 < tokens < math.inf and 0.0 < seconds < math.inf:
                model = Model(**described["settings"])
                cost = language_model_cost(model, described["vocabulary_size"])
                yield Rate(_kind(model), cost, int(tokens), seconds)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, IndexError):
            continue  # another kind of result, or a damaged one: the step that needs it says so


def _kind(model: Model) -> tuple[str, str]:
    return model.cell, model.softmax


def encoder_cost(model: Model) -> float:
    """Return the multiplications of the recurrent layers for one token."""
    widths = [model.embedding, *[model.hidden] * (model.layers - 1), model.embedding]
    cost = 0
    for layer, own in enumerate(widths[1:]):
        below = widths[layer]
        if model.cell == "qrnn":
            # Three gates, from a window of two tokens in the first layer and of one above; no recurrent product.
            cost += 3 * (2 if layer == 0 else 1) * below * own
        else:
            cost += (4 if model.cell == "lstm" else 3) * (below + own) * own
    return float(cost)


def language_model_cost(model: Model, vocabulary_size: int) -> float:
    """Return the multiplications of a language model for one token; an adaptive softmax counts as an exact one."""
    return encoder_cost(model) + model.embedding * vocabulary_size


def seconds_for(model: Model, cost: float, tokens: float, known: list[Rate]) -> float | None:
    """Return how long a training will take: as long for each multiplication as the training most like it.

    Args:
        model: What is trained.
        cost: Multiplications for a token.
        tokens: Tokens to train on.
        known: The rates of earlier trainings.

    Returns:
        Seconds; None if nothing is known.
    """
    if not known:
        return None

    def unlike(rate: Rate) -> tuple[bool, bool, float, float]:
        return rate.kind != _kind(model), rate.seconds < LONG, abs(math.log(rate.cost / cost)), -rate.seconds

    like = min(known, key=unlike)
    return tokens * cost * like.seconds / (like.tokens * like.cost)


def language_model_seconds(
    model: Model, training: LanguageModelTraining, tokens: TokensRef, known: list[Rate]
) -> float | None:
    """Return how long a language model will probably train on a text; None if nothing is known."""
    read = (training.epochs + sum(training.extend)) * tokens.tokens["train"]
    return seconds_for(model, language_model_cost(model, tokens.vocabulary_size), read, known)


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
        case TrainTarget(model=model, training=training, validation=validation, beside=None, trainable=trainable):
            length = min(training.max_tokens, tokens.tokens["train"] / tokens.documents["train"])
            labels, choosing, test = spec.id.labels, validation.documents, tokens.documents["test"]
            held_out = choosing if validation.way == "held out" else 0
            tries = len(training.learning_rates) * len(training.fine_tuning)
            crossed = validation.way == "cross-validation"
            # In a cross-validation each try is a training for each fold without it, and the best is done once more.
            sizes = [labels - labels / FOLDS] * FOLDS * tries + [labels] if crossed else [labels - held_out] * tries
            if trainable == "head":  # each document is read once, and what follows costs next to nothing
                documents = FORWARD * (labels - held_out + (0 if crossed else choosing) + test)
            else:
                evaluated = tries * choosing * (1 if crossed else training.evaluations) + test
                documents = sum(size * _epochs(training, size) for size in sizes) + FORWARD * evaluated
            return seconds_for(model, encoder_cost(model), length * documents, known)
    return None


def _epochs(training: TargetTraining, documents: float) -> int:
    return max(training.epochs, math.ceil(training.min_steps / math.ceil(documents / training.batch_size)))
