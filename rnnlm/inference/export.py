"""A model as a TensorFlow SavedModel: for TensorFlow Serving, C++, Java, and whatever else has no Python of ours.

Token ids go in and numbers come out; text becomes ids by `tokenizer.json`, which lies beside it for the `tokenizers`
library. Arrays are batch first. The signatures, by what is exported:

- A language model. `next` (the default): `tokens` (batch, time) and the states, `log_probabilities` (batch, vocabulary)
  of the token after the last, and the states after it. `nll`: `tokens` and `targets` (batch, time) and the states,
  `nll` (batch, time) of each target in nats, and the states. A document begins with zeros for states and `<bos>` for a
  token (where there is none, with `<eos>`). The states are named by layer: `lstm_0_0` is the output, `lstm_0_1` the
  cell, each (batch, width).
- A classifier. `classify` (the default): `tokens` (batch, time), padded behind, and their `lengths` (batch,);
  `probabilities` (batch, classes), calibrated. What is longer than the classifier's `max_tokens` is to be cut in front
  by the caller.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from rnnlm.errors import DataError
from rnnlm.evaluation.classification import TINY
from rnnlm.inference.trained import Trained
from rnnlm.model.classifier import Classifier
from rnnlm.model.language_model import LanguageModel
from rnnlm.store import whole_folder

IDS = tf.TensorSpec((None, None), tf.int32)


def export(checkpoint: Path, folder: Path) -> None:
    """Write the SavedModel of a checkpoint, with its `tokenizer.json` and `model.json` beside it.

    Args:
        checkpoint: The checkpoint's folder.
        folder: The folder that is written; an earlier SavedModel there is replaced.

    Raises:
        DataError: If the checkpoint is not whole, or the folder holds something else.
        StoreError: If the disk is full.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "saved_model.pb").is_file():
        raise DataError(
            "holds other things than a SavedModel", where=str(folder), remedy="Name an empty or new folder."
        )
    trained = Trained.load(checkpoint)
    module = tf.Module()
    # What the signatures read must hang on the module.
    module.weights = [variable.value for variable in trained.model.weights]
    if isinstance(trained.model, Classifier):
        signatures = _classifier_signatures(trained.model, trained.description.temperature)
    else:
        signatures = _language_model_signatures(trained.model)
    with whole_folder(folder) as work:
        default = next(iter(signatures.values()))
        tf.saved_model.save(module, str(work), {"serving_default": default, **signatures})
        for name in ("tokenizer.json", "model.json"):
            shutil.copyfile(checkpoint / name, work / name)


def state_specs(model: LanguageModel) -> dict[str, tf.TensorSpec]:
    """Give the parts of a language model's state by name, from the lowest layer to the highest."""
    return {
        f"{layer.name}_{part}": tf.TensorSpec((None, width), tf.float32, name=f"{layer.name}_{part}")
        for layer in model.encoder.cells
        for part, width in enumerate(layer.state_widths)
    }


def _language_model_signatures(model: LanguageModel) -> dict[str, Any]:
    specs = state_specs(model)

    def states_of(parts: dict[str, tf.Tensor]) -> Any:
        return [
            tuple(parts[f"{layer.name}_{part}"] for part in range(len(layer.state_widths)))
            for layer in model.encoder.cells
        ]

    def named(states: Any) -> dict[str, tf.Tensor]:
        return dict(zip(specs, tf.nest.flatten(states), strict=True))

    def next_token(tokens: tf.Tensor, **parts: tf.Tensor) -> dict[str, tf.Tensor]:
        hidden, states = model.encoder(tf.transpose(tokens), states_of(parts), training=False)
        return {"log_probabilities": model.log_probabilities(hidden[-1]), **named(states)}

    def nll(tokens: tf.Tensor, targets: tf.Tensor, **parts: tf.Tensor) -> dict[str, tf.Tensor]:
        tokens, targets = tf.transpose(tokens), tf.transpose(targets)
        of_targets, states = model.nll(tokens, targets, tf.ones_like(tokens, tf.bool), states_of(parts))
        return {"nll": tf.transpose(of_targets), **named(states)}

    return {
        "next": tf.function(next_token, autograph=False).get_concrete_function(tokens=IDS, **specs),
        "nll": tf.function(nll, autograph=False).get_concrete_function(tokens=IDS, targets=IDS, **specs),
    }


def _classifier_signatures(model: Classifier, temperature: float) -> dict[str, Any]:
    def classify(tokens: tf.Tensor, lengths: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = model(tf.transpose(tokens), lengths)
        scaled = tf.math.log(tf.maximum(probabilities, np.float32(TINY))) / temperature
        return {"probabilities": tf.nn.softmax(scaled)}

    lengths = tf.TensorSpec((None,), tf.int32)
    return {"classify": tf.function(classify, autograph=False).get_concrete_function(tokens=IDS, lengths=lengths)}
