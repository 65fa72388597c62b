import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from rnnlm.errors import DataError
from rnnlm.inference.classify import classify
from rnnlm.inference.export import export
from rnnlm.inference.score import score
from rnnlm.inference.trained import Trained
from rnnlm.model.checkpoint import Checkpoint, get_weights

Make = Callable[..., Trained]
TEXT = "the film was a delight"


def written(model: Trained, folder: Path) -> Path:
    """Write a model as a checkpoint, and that as a SavedModel."""
    tokenizer = folder / "own.json"
    model.tokenizer._tokenizer.save(str(tokenizer))
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir()
    Checkpoint(model.description, get_weights(model.model)).save(checkpoint, tokenizer)
    export(checkpoint, folder / "saved")
    return folder / "saved"


@pytest.mark.parametrize(
    ("kind", "cell", "softmax"), [("word", "lstm", "exact"), ("bpe", "gru", "exact"), ("word", "lstm", "adaptive")]
)
def test_a_language_model_is_the_same_without_python(
    trained: Make, tmp_path: Path, small_groups: None, kind: str, cell: str, softmax: str
) -> None:
    model = trained(kind, cell, softmax)
    saved = tf.saved_model.load(str(written(model, tmp_path)))
    ids = np.array(model.tokenizer.encode([TEXT, TEXT]), np.int32)
    after: Any = saved.signatures["serving_default"]
    states = {
        name: tf.zeros((2, spec.shape[1]))
        for name, spec in after.structured_input_signature[1].items()
        if name != "tokens"
    }
    scored = saved.signatures["nll"](tokens=ids[:, :-1], targets=ids[:, 1:], **states)
    (wanted,) = score(model, [TEXT])
    assert scored["nll"].numpy().sum(axis=1) == pytest.approx([wanted.nll] * 2, abs=1e-4)
    # Token by token, with the states handed on.
    session, parts = model.reader.empty(), states
    for position in range(ids.shape[1] - 1):
        session = session.feed(ids[0, position : position + 1].tolist())
        given = after(tokens=ids[:, position : position + 1], **parts)
        parts = {name: given[name] for name in states}
        assert given["log_probabilities"].numpy() == pytest.approx(
            np.repeat(session.log_probabilities, 2, axis=0), abs=1e-4
        )
    for name in states:
        assert parts[name].numpy() == pytest.approx(scored[name].numpy(), abs=1e-4)


def test_only_a_saved_model_is_replaced(trained: Make, tmp_path: Path) -> None:
    written(trained("word"), tmp_path)
    export(tmp_path / "checkpoint", tmp_path / "saved")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="mine: holds other things"):
        export(tmp_path / "checkpoint", tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").is_file()


def test_a_classifier_is_the_same_without_python(classifier: Trained, tmp_path: Path) -> None:
    description = classifier.description.model_copy(update={"temperature": 2.5})
    model = Trained(description, classifier.tokenizer, classifier.model)
    folder = written(model, tmp_path)
    saved = tf.saved_model.load(str(folder))
    texts = [TEXT, "the film"]
    ids = model.tokenizer.encode(texts)
    padded = np.zeros((2, max(map(len, ids))), np.int32)
    for row, own in enumerate(ids):
        padded[row, : len(own)] = own
    lengths = np.array(list(map(len, ids)), np.int32)
    given = saved.signatures["serving_default"](tokens=padded, lengths=lengths)["probabilities"].numpy()
    for row, wanted in zip(given, classify(model, texts), strict=True):
        assert row.tolist() == pytest.approx(list(wanted.probabilities.values()), abs=1e-4)
    assert json.loads((folder / "model.json").read_text())["labels"] == ["neg", "pos"]
    assert (folder / "tokenizer.json").is_file()
