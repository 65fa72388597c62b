"""Tagging: each word of a document has a tag, and the tags mark entities."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa

from rnnlm.targets import crf
from rnnlm.targets.calibration import calibration_metrics, fit_temperature
from rnnlm.targets.class_scores import classification_metrics
from rnnlm.targets.entities import Found, found
from rnnlm.targets.measure import Measure
from rnnlm.targets.solver import Solver
from rnnlm.targets.task import Metric, Said, TargetTask
from rnnlm.targets.weighting import fit_weights, weighted


class Tagging(TargetTask):
    """The tags of a document's words. What a model says is the probability of each tag, (words, tags).

    Labels are an array of indices for each document; `rnnlm.corpus.bio` has the order of the tags.
    """

    name = "tagging"
    model = "tagger"
    use = "tag"
    labels = "tags"
    unit = "words"
    measure = Measure("entity_f1", "entity F1", True, "points of entity F1", "points", 100.0, 1, counted="entities")
    metrics: ClassVar = {
        "entity_f1": Metric("entity F1", share=True),
        "precision": Metric("precision", share=True),
        "recall": Metric("recall", share=True),
        "token_accuracy": Metric("token accuracy", share=True),
        "nll": Metric("negative log-likelihood", decimals=3),
        "nll_calibrated": Metric("NLL, calibrated", decimals=3),
        "ece": Metric("calibration error", share=True),
        "ece_calibrated": Metric("error, calibrated", share=True),
        "temperature": Metric("temperature", decimals=2),
    }
    shown = ("token_accuracy",)
    quality = ("precision", "recall", "nll", "nll_calibrated", "ece", "ece_calibrated", "valid/temperature")
    solvers: ClassVar = {"crf": Solver((1.0, 10.0, 100.0, 1_000.0), crf.features, crf.solve, reads="words")}
    about = (
        "An entity is right if its words and its type are; F1 is counted over all entities, as the evaluation of CoNLL "
        "counts it. Token accuracy is the share of words with the right tag. NLL is the negative log-likelihood of a "
        "word's tag in nats. The calibration error is the difference between confidence and accuracy, averaged over "
        "words (15 bins). Calibrated scores use the temperature that validation chose."
    )

    def scores(self, said: Said, labels: np.ndarray) -> np.ndarray:
        """Return a value for each document whose mean is the F1 over all entities (`Found.f1_by_document`)."""
        return _found(said, labels).f1_by_document()

    def score_alone(self, said: Said, labels: np.ndarray) -> np.ndarray:
        """Return the F1 of each document's entities; 1 where there is none and none is said."""
        right, of_model, true = _found(said, labels)
        of = (of_model + true).astype(np.float64)
        return np.where(of > 0, 2.0 * right / np.maximum(of, 1.0), 1.0)

    def answers(self, said: Said, labels: np.ndarray) -> np.ndarray:
        """Return the likeliest tags of each document's words."""
        tags, ends = said.argmax(axis=1), np.cumsum(_lengths(labels))
        each = np.empty(len(labels), object)
        each[:] = np.split(tags, ends[:-1])
        return each

    def counts(self, said: Said, labels: np.ndarray) -> np.ndarray:
        """Return the entities of each document that were found, that were said and that there are: (documents, 3)."""
        return np.stack(_found(said, labels), axis=1)

    def score_all(self, said: Said, labels: np.ndarray) -> dict[str, float]:
        """Return entity F1, precision and recall, and the accuracy and negative log-likelihood of a word's tag."""
        entities, of_words = _found(said, labels), classification_metrics(said, _flat(labels))
        return {
            "entity_f1": entities.f1,
            "precision": entities.precision,
            "recall": entities.recall,
            "token_accuracy": of_words["accuracy"],
            "nll": of_words["nll"],
        }

    def rank(self, metrics: Mapping[str, float], select: str) -> tuple[float, ...]:
        """Return the chosen score; of two with the same, the one with the lower NLL is better."""
        return (-metrics["nll"] if select == "nll" else metrics[select]), -metrics["nll"]

    def settle(self, said: Said, labels: np.ndarray) -> dict[str, float]:
        """Return the temperature that calibrates the probabilities."""
        return {"temperature": fit_temperature(said, _flat(labels))}

    def settled(self, said: Said, labels: np.ndarray, chosen: Mapping[str, float]) -> dict[str, float]:
        """Return the calibration error, and what the temperature makes of it."""
        return calibration_metrics(said, _flat(labels), chosen["temperature"])

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """Return the rarest tag of each document, so that a subset has rare types of entity in the share of all."""
        counts = np.bincount(_flat(labels))
        return np.array([tags[counts[tags].argmin()] if len(tags) else 0 for tags in labels], np.int64)

    def fit_weights(self, said: Sequence[Said], labels: np.ndarray) -> np.ndarray:
        """Return the weights of the logits."""
        return fit_weights(said, _flat(labels))

    def weighted(self, said: Sequence[Said], weights: np.ndarray) -> Said:
        """Return the weighted mean of the logits, as probabilities."""
        return weighted(said, weights)

    def table(self, said: Said, labels: np.ndarray) -> dict[str, pa.Array]:
        """Return the columns `label` and `probabilities`: of each document a list of its words."""
        lengths = _lengths(labels)
        offsets = pa.array(np.concatenate(([0], np.cumsum(lengths))), pa.int32())
        flat = pa.array(_flat(labels), pa.int16())
        probabilities = pa.FixedSizeListArray.from_arrays(pa.array(said.ravel(), pa.float32()), said.shape[1])
        return {
            "label": pa.ListArray.from_arrays(offsets, flat),
            "probabilities": pa.ListArray.from_arrays(offsets, probabilities),
        }

    def said(self, table: pa.Table) -> Said:
        """Return the probabilities."""
        rows = table["probabilities"].combine_chunks().flatten()
        return np.asarray(rows.flatten().to_numpy().reshape(-1, rows.type.list_size))

    def labels_of(self, table: pa.Table) -> np.ndarray:
        """Return the tags of each document's words."""
        return np.asarray(table["label"].combine_chunks().to_numpy(zero_copy_only=False), object)


def _found(said: Said, labels: np.ndarray) -> Found:
    return found(said.argmax(axis=1), _flat(labels), _lengths(labels))


def _lengths(labels: np.ndarray) -> np.ndarray:
    return np.array([len(tags) for tags in labels], np.int64)


def _flat(labels: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(0), *labels]).astype(np.int64)
