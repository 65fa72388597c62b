"""The weights that an arm starts from: those of a checkpoint, over the target's vocabulary."""

import functools
from collections.abc import Sequence
from pathlib import Path

from rnnlm.model.checkpoint import Checkpoint, Description, Weights
from rnnlm.refs import TokensRef
from rnnlm.settings import Model, TargetTraining, WordMap
from rnnlm.store import file_sha256
from rnnlm.tokens import TextTokenizer, read_text
from rnnlm.transfer.vocabulary import Coverage, map_vocabulary, needs_space
from rnnlm.transfer.word_space import word_space


def start_weights(start: Path, tokens: TokensRef, word_map: WordMap) -> tuple[Weights, dict[str, float]]:
    """Return the weights of a checkpoint over the target's vocabulary, and the metrics of the coverage.

    Args:
        start: Folder of a checkpoint. Where it has the target's tokenizer, its weights are taken as they are.
        tokens: The target's tokens.
        word_map: How the words that the checkpoint lacks come to their rows.
    """
    if file_sha256(start / "tokenizer.json") == tokens.tokenizer_sha256:
        return Checkpoint.load(start).weights, {}
    weights, coverage = _meet(start, file_sha256(start / "weights.safetensors"), tokens, word_map)
    return weights, coverage.metrics()


def encoder_weights(weights: Weights, settings: Model) -> Weights:
    """Return those weights of a model that are its encoder's: embedding and recurrent layers."""
    return {name: weights[name] for name in weights if name.startswith(("embedding/", f"{settings.cell}_"))}


def head_weights(
    start: Path, weights: Weights, labels: Sequence[str], fresh: Weights, settings: Model, training: TargetTraining
) -> Weights:
    """Return those weights of a classifier that are above its encoder, if it has the target's classes.

    Args:
        start: Folder of a checkpoint.
        weights: Its weights.
        labels: The target's classes or tags.
        fresh: Weights of a model of the target.
        settings: Widths, layers, dropout.
        training: How the target's states are pooled and normalised.

    Returns:
        The head, and the statistics before it. Nothing, if the start is another model, or pools or normalises in
        another way.
    """
    description = Description.load(start)
    before = description.training
    if before is None or not description.labels or description.labels != list(labels):
        return {}
    if before.normalise != training.normalise:
        return {}
    names = fresh.keys() - encoder_weights(fresh, settings).keys()
    if any(name not in weights or weights[name].shape != fresh[name].shape for name in names):
        return {}
    return {name: weights[name] for name in names}


@functools.lru_cache(maxsize=1)
def _meet(start: Path, _: str, tokens: TokensRef, word_map: WordMap) -> tuple[Weights, Coverage]:
    """Map a checkpoint to another vocabulary, once for all cells that start from it; a digest tells its contents."""
    source, target = TextTokenizer.load(start / "tokenizer.json"), TextTokenizer.load(tokens.tokenizer)
    train = read_text(tokens, "train", mapped=True)
    space = word_space(train) if needs_space(word_map) else None
    return map_vocabulary(Checkpoint.load(start).weights, source, target, train.counts(), word_map, space)
