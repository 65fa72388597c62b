"""The weights that a model must have, by its description alone: compared before anything is built."""

import itertools

from rnnlm.model.adaptive import group_starts
from rnnlm.settings import Model, TargetTraining

Shapes = dict[str, tuple[int, ...]]

GATES = {"lstm": 4, "gru": 3, "qrnn": 3}


def language_model_shapes(settings: Model, vocabulary_size: int) -> Shapes:
    """Return the shape of each weight of a language model, by name."""
    shapes = encoder_shapes(settings, vocabulary_size) | {"softmax_bias": (vocabulary_size,)}
    groups = len(group_starts(vocabulary_size)) if settings.softmax == "adaptive" else 0
    if groups:
        shapes |= {"softmax_tombstones": (groups, settings.embedding), "softmax_tombstone_bias": (groups,)}
    return shapes


def target_model_shapes(settings: Model, training: TargetTraining, vocabulary_size: int, labels: int) -> Shapes:
    """Return the shape of each weight of a model of a target task, by name."""
    shapes = encoder_shapes(settings, vocabulary_size)
    pooled = _widths(settings) if training.layers == "mixed" else [settings.embedding]
    width = sum(pooled) * (3 if training.pooling == "concat" else 1)
    outputs = 1 if training.model == "regressor" or labels == 2 else labels
    shapes |= {"normalise/moving_mean": (width,), "normalise/moving_variance": (width,)}
    shapes |= {"head/kernel": (width, outputs), "head/bias": (outputs,)}
    return shapes | ({"layer_weights": (len(pooled),)} if training.layers == "mixed" else {})


def encoder_shapes(settings: Model, vocabulary_size: int) -> Shapes:
    """Return the shape of each weight of the embedding and the recurrent layers, by name."""
    shapes: Shapes = {"embedding/embeddings": (vocabulary_size, settings.embedding)}
    gates = GATES[settings.cell]
    for n, (below, units) in enumerate(itertools.pairwise(_widths(settings))):
        columns = gates * units
        window = 2 if settings.cell == "qrnn" and n == 0 else 1
        layer: Shapes = {
            "kernel": (window * below, columns),
            "bias": (2, columns) if settings.cell == "gru" else (columns,),
        }
        if settings.cell != "qrnn":
            layer["recurrent_kernel"] = (units, columns)
        shapes |= {f"{settings.cell}_{n}/{name}": shape for name, shape in layer.items()}
    return shapes


def _widths(settings: Model) -> list[int]:
    return [settings.embedding, *[settings.hidden] * (settings.layers - 1), settings.embedding]
