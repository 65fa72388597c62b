"""A model for programs without rnnlm: as a TensorFlow SavedModel, or as ONNX for its many runtimes.

`rnnlm/inference/signatures.py` describes the inputs and outputs. A SavedModel has these functions as signatures. ONNX
has a file for each of them, with the same names.
"""

import shutil
from pathlib import Path
from typing import Any

import tensorflow as tf

from rnnlm import kernel
from rnnlm.errors import ConfigError, DataError
from rnnlm.inference.settings import ExportFormat
from rnnlm.inference.signatures import signatures
from rnnlm.inference.trained import Trained
from rnnlm.store import whole_folder

# A newer operator set of ONNX would exclude older runtimes and has no use for these models. tf2onnx prefers 15 too.
OPSET = 15


def export(checkpoint: Path, folder: Path, form: ExportFormat = "saved-model") -> None:
    """Write a checkpoint's model for other programs, with its `tokenizer.json` and `model.json` beside it.

    Args:
        checkpoint: The checkpoint's folder.
        folder: The folder to write. An earlier export there is replaced.
        form: saved-model or onnx.

    Raises:
        ConfigError: If tf2onnx is not installed and the form is ONNX.
        DataError: If the checkpoint is not complete, or the folder contains something else.
        StoreError: If the disk is full.
    """
    if folder.exists() and any(folder.iterdir()) and not _is_export(folder):
        raise DataError(
            "holds other things than an exported model", where=str(folder), remedy="Name an empty or new folder."
        )
    trained = Trained.load(checkpoint)
    # Other programs have TensorFlow's operations alone.
    with whole_folder(folder) as work, kernel.switched_off():
        (_save_onnx if form == "onnx" else _save_saved_model)(trained, work)
        for name in ("tokenizer.json", "model.json"):
            shutil.copyfile(checkpoint / name, work / name)


def _is_export(folder: Path) -> bool:
    names = {file.name for file in folder.iterdir()}
    return {"tokenizer.json", "model.json"} <= names and bool(
        names & {"saved_model.pb", "next.onnx", "classify.onnx", "predict.onnx", "tag.onnx"}
    )


def _save_saved_model(trained: Trained, folder: Path) -> None:
    module = tf.Module()
    # What the signatures read must be an attribute of the module.
    module.weights = [variable.value for variable in trained.model.weights]
    functions = signatures(trained)
    default = next(iter(functions.values()))
    tf.saved_model.save(module, str(folder), {"serving_default": default, **functions})


def _save_onnx(trained: Trained, folder: Path) -> None:
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise ConfigError(
            "ONNX was asked for, but tf2onnx is not installed",
            where="format",
            remedy="pip install 'rnnlm[onnx]'",
        ) from error
    for name, function in signatures(trained, chunked=False).items():
        model: Any
        model, _ = tf2onnx.convert.from_function(function, input_signature=(), opset=OPSET)
        # tf2onnx leaves what it cannot convert in the graph, and says so only in its log.
        onnx.checker.check_model(model)
        onnx.save_model(model, str(folder / f"{name}.onnx"))
