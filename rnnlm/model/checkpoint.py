"""A model on disk: a folder that says all of itself.

`weights.safetensors` (plain arrays by name), `model.json` (what to build), `tokenizer.json` (how text becomes
tokens). Nothing is pickled, and the digest of the weights depends on the weights alone.
"""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import keras
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors.numpy import load_file, save

from rnnlm.checksums import checked
from rnnlm.errors import DataError
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.shapes import Shapes, language_model_shapes, target_model_shapes
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
    vocabulary_size: int = Field(ge=1, le=10_000_000)
    classifier: ClassifierTraining | None = None
    regressor: RegressorTraining | None = None
    tagger: TaggerTraining | None = None
    labels: list[str] = []
    temperature: float = Field(default=1.0, ge=0.01, le=100.0)
    head: dict[str, float] = {}

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        of_targets = {"classifier": self.classifier, "regressor": self.regressor, "tagger": self.tagger}
        if {kind for kind, training in of_targets.items() if training} != {self.kind} - {"language_model"}:
            raise ValueError(f"kind: a {self.kind.replace('_', ' ')} has no settings, or those of another model")
        fewest, most = (2, 1_000_000) if self.kind in ("classifier", "tagger") else (0, 0)
        if not fewest <= len(self.labels) <= most:
            raise ValueError(f"labels: {len(self.labels)} do not fit a {self.kind.replace('_', ' ')}")
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("labels: one is there twice")
        if self.kind == "regressor":
            missing = {"mean", "deviation", "low", "high"} ^ set(self.head)
            if missing or not (self.head["deviation"] > 0.0 and self.head["low"] <= self.head["high"]):
                raise ValueError("head: mean, deviation (above 0), low and high are needed")
            if not math.isfinite(self.head["mean"] * self.head["deviation"]):
                raise ValueError("head: mean and deviation must be finite")
        return self

    @property
    def shapes(self) -> Shapes:
        """The shape of each weight, by name."""
        if self.training is None:
            return language_model_shapes(self.settings, self.vocabulary_size)
        return target_model_shapes(self.settings, self.training, self.vocabulary_size, len(self.labels))

    @staticmethod
    def load(folder: Path) -> "Description":
        """Read what a checkpoint's folder says of the model, without its weights.

        Raises:
            DataError: If the file is missing or broken.
        """
        file = checked(folder / "model.json")
        try:
            return Description.model_validate(json.loads(file.read_text(encoding="utf-8")))
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
        """Build the model and load the weights into it.

        Raises:
            DataError: If the weights are not those that the description asks for, or one is no number.
        """
        d = self.description
        found, wanted = {name: array.shape for name, array in self.weights.items()}, d.shapes
        if found != wanted:
            differ = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
            raise DataError(
                f"the weights are not those of the model that model.json describes: {differ[0]} has the shape "
                f"{found.get(differ[0], 'of nothing')}, not {wanted.get(differ[0], 'of nothing')}",
                remedy="Get the whole model again from where it was made.",
            )
        if strange := [name for name, array in self.weights.items() if not np.isfinite(array).all()]:
            raise DataError(f"the weights {strange[0]} have numbers that are not finite")
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
        file = checked(folder / "weights.safetensors")
        try:
            return Checkpoint(description, load_file(file))
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
