"""A model for programs without rnnlm: functions from token ids to numbers, and the names of their arrays.

The `tokenizers` library turns text into ids, with the `tokenizer.json` of an exported model. Arrays are batch first.

- A language model has two functions.
  - `next` takes `tokens` (batch, time) and the states. It returns `log_probabilities` (batch, vocabulary) of the token
    after the last one, and the states after it.
  - `nll` takes `tokens` and `targets` (batch, time) and the states. It returns `nll` (batch, time) of each target in
    nats, and the states.
  - A document begins with states of zeros and the token `<bos>` (or `<eos>`, if there is no `<bos>`). The states are
    named by layer: `lstm_0_0` is the output, `lstm_0_1` the LSTM's inner state, each (batch, width). After the tokens
    they are called `lstm_0_0_after` and so on, because each array has one name in ONNX.
- A classifier has the function `classify`. It takes `tokens` (batch, time), padded at the end, and their `lengths`
  (batch,). It returns calibrated `probabilities` (batch, classes). The caller must cut a text that is longer than the
  classifier's `max_tokens` at its beginning.
- A model that predicts numbers has the function `predict`. It takes the same, and returns `values` (batch,).
- A model that tags words has the function `tag`. It takes `tokens` (batch, time) and `places` (words, 2): of each word
  the place of its last token among those of its text, and the text's place in the batch. It returns calibrated
  `probabilities` (words, tags). A model that reads backwards takes the tokens in that order, and the first token of
  each word.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from rnnlm.inference.trained import Trained
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel
from rnnlm.targets import TARGETS
from rnnlm.targets.class_scores import TINY


def signatures(trained: Trained, chunked: bool = True) -> dict[str, Any]:
    """Return a model's functions by name, the most used one first.

    Args:
        trained: The model.
        chunked: Whether `nll` computes its logits in chunks of rows, so that a long window needs little memory. If
            False, it computes all of them together, in operations that ONNX has too.
    """
    if isinstance(trained.model, TargetModel):
        if trained.description.kind == "regressor":
            return {"predict": _predict(trained.model)}
        # The probabilities of classes, or of tags.
        return {TARGETS[trained.description.kind].use: _classify(trained.model, trained.description.temperature)}
    return {"next": _next(trained.model), "nll": _nll(trained.model, chunked)}


def _ids(name: str) -> tf.TensorSpec:
    return tf.TensorSpec((None, None), tf.int32, name)


def _state_specs(model: LanguageModel) -> list[tf.TensorSpec]:
    """Return the parts of a language model's state, from the lowest layer to the highest."""
    return [
        tf.TensorSpec((None, width), tf.float32, f"{layer.name}_{part}")
        for layer in model.encoder.cells
        for part, width in enumerate(layer.state_widths)
    ]


def _structured(model: LanguageModel, parts: tuple[tf.Tensor, ...]) -> Any:
    """Return the parts of a state in the form that the encoder takes."""
    rest = iter(parts)
    return [tuple(next(rest) for _ in layer.state_widths) for layer in model.encoder.cells]


def _after(model: LanguageModel, states: Any) -> dict[str, tf.Tensor]:
    return {f"{spec.name}_after": part for spec, part in zip(_state_specs(model), tf.nest.flatten(states), strict=True)}


def _next(model: LanguageModel) -> Any:
    def next_token(tokens: tf.Tensor, *parts: tf.Tensor) -> dict[str, tf.Tensor]:
        hidden, states = model.encoder(tf.transpose(tokens), _structured(model, parts), training=False)
        return {"log_probabilities": model.log_probabilities(hidden[-1]), **_after(model, states)}

    return tf.function(next_token, input_signature=[_ids("tokens"), *_state_specs(model)], autograph=False)


def _nll(model: LanguageModel, chunked: bool) -> Any:
    def nll(tokens: tf.Tensor, targets: tf.Tensor, *parts: tf.Tensor) -> dict[str, tf.Tensor]:
        tokens, states = tf.transpose(tokens), _structured(model, parts)
        if chunked:
            of_targets, states = model.nll(tokens, tf.transpose(targets), tf.ones_like(tokens, tf.bool), states)
            return {"nll": tf.transpose(of_targets), **_after(model, states)}
        hidden, states = model.encoder(tokens, states, training=False)
        log_probabilities = model.log_probabilities(tf.transpose(hidden, (1, 0, 2)))
        return {"nll": -tf.gather(log_probabilities, targets, batch_dims=2), **_after(model, states)}

    inputs = [_ids("tokens"), _ids("targets"), *_state_specs(model)]
    return tf.function(nll, input_signature=inputs, autograph=False)


def _classify(model: TargetModel, temperature: float) -> Any:
    def classify(tokens: tf.Tensor, places: tf.Tensor) -> dict[str, tf.Tensor]:
        probabilities = model(tf.transpose(tokens), places)
        scaled = tf.math.log(tf.maximum(probabilities, np.float32(TINY))) / temperature
        return {"probabilities": tf.nn.softmax(scaled)}

    return tf.function(classify, input_signature=_padded(model), autograph=False)


def _predict(model: TargetModel) -> Any:
    def predict(tokens: tf.Tensor, lengths: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"values": model(tf.transpose(tokens), lengths)}

    return tf.function(predict, input_signature=_padded(model), autograph=False)


def _padded(model: TargetModel) -> list[tf.TensorSpec]:
    of_words = model.training.pooling == "word"
    return [_ids("tokens"), tf.TensorSpec(model.places.shape, tf.int32, "places" if of_words else "lengths")]
