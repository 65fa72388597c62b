"""Classification: each document is of one class."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa

from rnnlm.targets import nbsvm
from rnnlm.targets.calibration import calibration_metrics, fit_temperature
from rnnlm.targets.class_scores import classification_metrics
from rnnlm.targets.measure import Measure
from rnnlm.targets.ngrams import tfidf
from rnnlm.targets.solver import Solver, logistic_regression, standardised
from rnnlm.targets.task import Metric, Said, TargetTask
from rnnlm.targets.weighting import fit_weights, weighted


class Classification(TargetTask):
    """The class of a document. What a model says is the probability of each class, (documents, classes)."""

    name = "classification"
    model = "classifier"
    use = "classify"
    labels = "class"
    measure = Measure("accuracy", "accuracy", True, "points of accuracy", "points", 100.0, 1, counted="answers")
    metrics: ClassVar = {
        "accuracy": Metric("accuracy", share=True),
        "macro_f1": Metric("macro-F1", share=True),
        "nll": Metric("negative log-likelihood", decimals=3),
        "nll_calibrated": Metric("NLL, calibrated", decimals=3),
        "ece": Metric("calibration error", share=True),
        "ece_calibrated": Metric("error, calibrated", share=True),
        "temperature": Metric("temperature", decimals=2),
    }
    shown = ("macro_f1",)
    quality = ("nll", "nll_calibrated", "ece", "ece_calibrated", "valid/temperature")
    solvers: ClassVar = {
        "tfidf": Solver((1.0, 10.0, 100.0), tfidf, logistic_regression),
        "nbsvm": Solver(nbsvm.STRENGTHS, nbsvm.ngrams, nbsvm.solve),
        "embeddings": Solver((0.0001, 0.001, 0.01, 0.1, 1.0), standardised, logistic_regression, reads="vector"),
    }
    about = (
        "NLL is the negative log-likelihood of a document in nats. The calibration error is the difference between "
        "confidence and accuracy, averaged over documents (15 bins). Calibrated scores use the temperature that "
        "validation chose. A temperature below 1 makes a classifier more confident, above 1 less confident."
    )

    def scores(self, said: Said, labels: np.ndarray) -> np.ndarray:
        """Return 1 for each document whose class is said, 0 for the others."""
        return np.asarray(said.argmax(axis=1) == labels, np.float64)

    def answers(self, said: Said, labels: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """Return the likeliest class of each document."""
        return np.asarray(said.argmax(axis=1))

    def score_all(self, said: Said, labels: np.ndarray) -> dict[str, float]:
        """Return accuracy, macro-F1 and mean negative log-likelihood (nats a document)."""
        return classification_metrics(said, labels)

    def rank(self, metrics: Mapping[str, float], select: str) -> tuple[float, ...]:
        """Return the chosen score; of two with the same accuracy, the one with the lower NLL is better."""
        return (-metrics["nll"] if select == "nll" else metrics[select]), -metrics["nll"]

    def settle(self, said: Said, labels: np.ndarray) -> dict[str, float]:
        """Return the temperature that calibrates the probabilities."""
        return {"temperature": fit_temperature(said, labels)}

    def settled(self, said: Said, labels: np.ndarray, chosen: Mapping[str, float]) -> dict[str, float]:
        """Return the calibration error, and what the temperature makes of it."""
        return calibration_metrics(said, labels, chosen["temperature"])

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """Return the classes."""
        return labels

    def fit_weights(self, said: Sequence[Said], labels: np.ndarray) -> np.ndarray:
        """Return the weights of the logits."""
        return fit_weights(said, labels)

    def weighted(self, said: Sequence[Said], weights: np.ndarray) -> Said:
        """Return the weighted mean of the logits, as probabilities."""
        return weighted(said, weights)

    def table(self, said: Said, labels: np.ndarray) -> dict[str, pa.Array]:
        """Return the columns `label` and `probabilities`."""
        return {"label": pa.array(labels), "probabilities": pa.array(list(said), pa.list_(pa.float32()))}

    def said(self, table: pa.Table) -> Said:
        """Return the probabilities."""
        return np.stack(table["probabilities"].to_numpy(zero_copy_only=False))
