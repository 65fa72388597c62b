"""A model on disk: a folder that says all of itself.

`weights.safetensors` (plain arrays by name), `model.json` (what to build), `tokenizer.json` (how text becomes
tokens). Nothing is pickled, and the digest of the weights depends on the weights alone.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from pydantic import BaseModel, ConfigDict
from safetensors.numpy import load_file, save

from rnnlm.errors import DataError
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel
from rnnlm.refs import ModelKind
from rnnlm.settings import ClassifierTraining, Model, RegressorTraining, TaggerTraining, TargetTraining
from rnnlm.store import made_anew

Weights = dict[str, np.ndarray]


class Description(BaseModel):
    """What to build before the weights are loaded.

    Attributes:
        kind: What the model does.
        settings: Widths, layers, dropout.
        vocabulary_size: Number of tokens.
        classifier: A classifier's pooling and limits; None for other models.
        regressor: The same of a model that predicts a number.
        tagger: The same of a model that tags words.
        labels: The classes or tags; empty for other models.
        temperature: What calibrates the probabilities of classes or tags, chosen on validation; 1: as they
            are.
        head: What else belongs to the head of the target task.
    """

    model_config = ConfigDict(frozen=True)

    kind: ModelKind
    settings: Model
    vocabulary_size: int
    classifier: ClassifierTraining | None = None
    regressor: RegressorTraining | None = None
    tagger: TaggerTraining | None = None
    labels: list[str] = []
    temperature: float = 1.0
    head: dict[str, float] = {}

    @staticmethod
    def load(folder: Path) -> "Description":
        """Read what a checkpoint's folder says of the model, without its weights.

        Raises:
            DataError: If the file is missing or broken.
        """
        try:
            return Description.model_validate(json.loads((folder / "model.json").read_text(encoding="utf-8")))
        except Exception as error:
            raise _broken(folder, error) from error

    @property
    def training(self) -> TargetTraining | None:
        """Pooling and limits of a model of a target task; None for a language model."""
        return self.classifier or self.regressor or self.tagger


@dataclass(frozen=True)
class Checkpoint:
    """A description and weights by name, read from or written to a folder."""

    description: Description
    weights: Weights

    def build(self) -> LanguageModel | TargetModel:
        """Build the model and load the weights into it."""
        d = self.description
        model: LanguageModel | TargetModel
        if d.training is None:
            model = LanguageModel(d.settings, d.vocabulary_size)
        else:
            model = TargetModel(d.settings, d.training, d.vocabulary_size, len(d.labels))
            model.task_head.restore(d.head)
        set_weights(model, self.weights)
        return model

    def language_model(self) -> LanguageModel:
        """Build the language model that this is.

        Raises:
            DataError: If it is another model.
        """
        model = self.build()
        if not isinstance(model, LanguageModel):
            raise DataError(f"a language model is wanted, and this checkpoint is a {self.description.kind}")
        return model

    def save(self, folder: Path, tokenizer: Path) -> None:
        """Write into an existing folder, with a copy of the tokenizer's file."""
        # Not the library's save_file: its error says of a full disk only that it is its own.
        (folder / "weights.safetensors").write_bytes(save(dict(sorted(self.weights.items()))))
        (folder / "model.json").write_text(self.description.model_dump_json(indent=2), encoding="utf-8")
        shutil.copyfile(tokenizer, folder / "tokenizer.json")

    @staticmethod
    def load(folder: Path) -> "Checkpoint":
        """Read a folder.

        Raises:
            DataError: If a file is missing or broken.
        """
        description = Description.load(folder)
        try:
            return Checkpoint(description, load_file(folder / "weights.safetensors"))
        except Exception as error:
            raise _broken(folder, error) from error


def _broken(folder: Path, error: Exception) -> DataError:
    return DataError(f"no whole checkpoint: {error}", where=str(folder), remedy=made_anew(folder))


def get_weights(model: keras.layers.Layer) -> Weights:
    """Return copies of a model's weights by name (`lstm_0/kernel`), those that are not trained included."""
    return {name: np.array(variable) for name, variable in named_variables(model).items()}


def set_weights(model: keras.layers.Layer, weights: Weights) -> None:
    """Load weights by name; names and shapes must be the model's.

    Raises:
        DataError: If a name is missing or strange, or a shape differs.
    """
    variables = named_variables(model)
    if strange := set(variables) ^ set(weights):
        raise DataError(f"weights do not fit the model: {', '.join(sorted(strange))} on one side only")
    for name, variable in variables.items():
        if tuple(variable.shape) != weights[name].shape:
            raise DataError(f"weights {name} have shape {weights[name].shape}, the model {tuple(variable.shape)}")
        variable.assign(weights[name])


def named_variables(model: keras.layers.Layer) -> dict[str, keras.Variable]:
    """Return a model's variables by name, those that are not trained included."""
    # Keras puts the model's own name before some paths, depending on the scope that the model was made in.
    prefix = f"{model.name}/"
    return {variable.path.removeprefix(prefix): variable for variable in model.weights}
