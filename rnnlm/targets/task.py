"""What a target task is: all that differs between classes, numbers and whatever else labels may be."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa

from rnnlm.refs import LabelKind
from rnnlm.targets.measure import Measure
from rnnlm.targets.solver import Solver

# What a model says of documents: the probability of each class, (documents, classes), or a number each, (documents,).
# Or what it says of their words, one after the other: the probability of each tag, (words, tags).
Said = np.ndarray


@dataclass(frozen=True)
class Metric:
    """A score of a model.

    Attributes:
        words: Its name in words.
        share: Whether it is a share, which is written in per cent.
        decimals: Decimals where it is written; if None, three digits or more.
    """

    words: str
    share: bool = False
    decimals: int | None = None


class TargetTask(ABC):
    """A target task, without its head, which needs TensorFlow and is in `rnnlm.model.heads`.

    Attributes:
        name: What experiments call it (`target.task`).
        model: What its models are called: the `task` of their cells, the `kind` of their checkpoints.
        use: What its models are asked to do (`rnnlm classify`).
        labels: How labels are kept.
        unit: What gets an answer each: documents or words.
        measure: What arms are judged by.
        metrics: All scores of a model, by name.
        shown: Those in the first table beside the measure.
        quality: Those in the second table.
        solvers: Models that are solved, not trained, by the names of their arms. The first is what the tradition has.
        about: What a reader of the report has to know of the second table.
    """

    name: ClassVar[Literal["classification", "regression", "tagging"]]
    model: ClassVar[Literal["classifier", "regressor", "tagger"]]
    use: ClassVar[str]
    labels: ClassVar[LabelKind]
    unit: ClassVar[Literal["documents", "words"]] = "documents"
    measure: ClassVar[Measure]
    metrics: ClassVar[Mapping[str, Metric]]
    shown: ClassVar[tuple[str, ...]]
    quality: ClassVar[tuple[str, ...]]
    solvers: ClassVar[Mapping[str, Solver]]
    about: ClassVar[str]

    @abstractmethod
    def scores(self, said: Said, labels: np.ndarray) -> np.ndarray:
        """Return how good each answer is: (documents,), higher is better; the mean is the measure, or minus it."""

    def score_alone(self, said: Said, labels: np.ndarray) -> np.ndarray:
        """Return how good the answer to each document is by itself: (documents,), higher is better."""
        return self.scores(said, labels)

    @abstractmethod
    def answers(self, said: Said, labels: np.ndarray) -> np.ndarray:
        """Return the answers of a model in the form of labels: (documents,)."""

    def counts(self, said: Said, labels: np.ndarray) -> np.ndarray | None:  # noqa: ARG002
        """Return what the measure is counted from in each document, (documents, counts), where it is a ratio.

        A document without any says nothing. None if every document says something by itself.
        """
        return None

    @abstractmethod
    def score_all(self, said: Said, labels: np.ndarray) -> dict[str, float]:
        """Return the scores of a model, by name.

        Args:
            said: What the model says of the documents.
            labels: (documents,) their labels; an array of tags each, where words have tags.
        """

    @abstractmethod
    def rank(self, metrics: Mapping[str, float], select: str) -> tuple[float, ...]:
        """Return what the best checkpoint is highest in: the score that chooses, with its sign, then what decides ties.

        Args:
            metrics: Scores of the documents that choose.
            select: The score that chooses.
        """

    @abstractmethod
    def settle(self, said: Said, labels: np.ndarray) -> dict[str, float]:
        """Return what is chosen on validation once a model is trained, by name; empty if nothing is to choose."""

    @abstractmethod
    def settled(self, said: Said, labels: np.ndarray, chosen: Mapping[str, float]) -> dict[str, float]:
        """Return the scores of a model with what `settle` chose, which are added to those of `score_all`."""

    @abstractmethod
    def strata(self, labels: np.ndarray) -> np.ndarray:
        """Return groups of labels, (documents,) integers, that a subset takes in the shares that they have."""

    @abstractmethod
    def fit_weights(self, said: Sequence[Said], labels: np.ndarray) -> np.ndarray:
        """Return the weights, (models,), under which the weighted mean of models is best on held-out documents."""

    @abstractmethod
    def weighted(self, said: Sequence[Said], weights: np.ndarray) -> Said:
        """Return the weighted mean of what models say."""

    @abstractmethod
    def table(self, said: Said, labels: np.ndarray) -> dict[str, pa.Array]:
        """Return the columns of a table of what a model says: `label`, and the task's own."""

    @abstractmethod
    def said(self, table: pa.Table) -> Said:
        """Return what a model said, from such a table."""

    def labels_of(self, table: pa.Table) -> np.ndarray:
        """Return the labels, from such a table: (documents,)."""
        return np.asarray(table["label"].to_numpy())
