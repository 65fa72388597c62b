import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from rnnlm.errors import ConfigError, DataError
from rnnlm.inference.export import export
from rnnlm.inference.predict import classify
from rnnlm.inference.score import score
from rnnlm.inference.settings import ExportFormat
from rnnlm.inference.trained import Trained
from rnnlm.model.checkpoint import Checkpoint, get_weights

Make = Callable[..., Trained]
TEXT = "the film was a delight"
Arrays = dict[str, np.ndarray]


def written(model: Trained, folder: Path, form: ExportFormat = "saved-model") -> Path:
    """Write a model as a checkpoint, and that for other programs."""
    tokenizer = folder / "own.json"
    model.tokenizer._tokenizer.save(str(tokenizer))
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir()
    Checkpoint(model.description, get_weights(model.model)).save(checkpoint, tokenizer)
    export(checkpoint, folder / "exported", form)
    return folder / "exported"


def opened(folder: Path, form: ExportFormat, name: str) -> tuple[dict[str, Any], Callable[..., Arrays]]:
    """Return the shapes of an exported function's arrays, and the function, as another program has it."""
    if form == "onnx":
        session = onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]

        def run(**arrays: np.ndarray) -> Arrays:
            return dict(zip(names, session.run(None, arrays), strict=True))

        return {array.name: array.shape for array in session.get_inputs()}, run
    # Other programs have none of the project's own operations.
    assert b"Rnnlm" not in (folder / "saved_model.pb").read_bytes()
    saved = tf.saved_model.load(str(folder))
    function = saved.signatures[name]
    shapes = {array: spec.shape for array, spec in function.structured_input_signature[1].items()}
    # The signatures read the weights of what was loaded.
    function.saved = saved
    return shapes, lambda **arrays: {
        array: given.numpy() for array, given in function(**{k: tf.constant(v) for k, v in arrays.items()}).items()
    }


FORMS = pytest.mark.parametrize("form", ["saved-model", "onnx"])


@FORMS
@pytest.mark.parametrize(
    ("kind", "cell", "softmax"),
    [("word", "lstm", "exact"), ("bpe", "gru", "exact"), ("word", "lstm", "adaptive"), ("word", "qrnn", "exact")],
)
def test_a_language_model_is_the_same_without_python(
    trained: Make, tmp_path: Path, small_groups: None, kind: str, cell: str, softmax: str, form: ExportFormat
) -> None:
    model = trained(kind, cell, softmax)
    folder = written(model, tmp_path, form)
    ids = np.array(model.tokenizer.encode([TEXT, TEXT]), np.int32)
    shapes, after = opened(folder, form, "next")
    states = {name: np.zeros((2, shape[1]), np.float32) for name, shape in shapes.items() if name != "tokens"}
    _, nll = opened(folder, form, "nll")
    scored = nll(tokens=ids[:, :-1], targets=ids[:, 1:], **states)
    (wanted,) = score(model, [TEXT])
    assert scored["nll"].sum(axis=1) == pytest.approx([wanted.nll] * 2, abs=1e-4)
    # Token by token, with the states handed on.
    session, parts = model.reader.empty(), states
    for position in range(ids.shape[1] - 1):
        session = session.feed(ids[0, position : position + 1].tolist())
        given = after(tokens=ids[:, position : position + 1], **parts)
        parts = {name: given[f"{name}_after"] for name in states}
        assert given["log_probabilities"] == pytest.approx(np.repeat(session.log_probabilities, 2, axis=0), abs=1e-4)
    for name in states:
        assert parts[name] == pytest.approx(scored[f"{name}_after"], abs=1e-4)


@FORMS
def test_a_classifier_is_the_same_without_python(classifier: Trained, tmp_path: Path, form: ExportFormat) -> None:
    description = classifier.description.model_copy(update={"temperature": 2.5})
    model = Trained(description, classifier.tokenizer, classifier.model)
    folder = written(model, tmp_path, form)
    texts = [TEXT, "the film"]
    ids = model.tokenizer.encode(texts)
    padded = np.zeros((2, max(map(len, ids))), np.int32)
    for row, own in enumerate(ids):
        padded[row, : len(own)] = own
    lengths = np.array(list(map(len, ids)), np.int32)
    _, function = opened(folder, form, "classify")
    given = function(tokens=padded, lengths=lengths)["probabilities"]
    for probabilities, wanted in zip(given, classify(model, texts), strict=True):
        assert probabilities.tolist() == pytest.approx(list(wanted.probabilities.values()), abs=1e-4)
    assert json.loads((folder / "model.json").read_text())["labels"] == ["neg", "pos"]
    assert (folder / "tokenizer.json").is_file()


def test_only_an_export_is_replaced(trained: Make, tmp_path: Path) -> None:
    folder = written(trained("word"), tmp_path)
    export(tmp_path / "checkpoint", folder, "onnx")
    assert not (folder / "saved_model.pb").exists()
    export(tmp_path / "checkpoint", folder)
    assert (folder / "saved_model.pb").is_file()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "mine" / "mine.onnx").write_text("a model of somebody's")
    with pytest.raises(DataError, match="mine: holds other things"):
        export(tmp_path / "checkpoint", tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").is_file()


def test_without_the_library_the_extra_is_named(trained: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ConfigError, match=r"rnnlm\[onnx\]"):
        written(trained("word"), tmp_path, "onnx")
    assert not (tmp_path / "exported").exists()
