"""Regression: each document has a number."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pyarrow as pa

from rnnlm.targets.measure import Measure
from rnnlm.targets.ngrams import tfidf
from rnnlm.targets.solver import Solver, ridge_of_vectors, ridge_regression, standardised
from rnnlm.targets.task import Metric, Said, TargetTask
from rnnlm.targets.weighting import SHRINKAGE

STRATA = 10  # groups by their labels, of which a subset takes the same share


class Regression(TargetTask):
    """The number of a document. What a model says is a number each, (documents,)."""

    name = "regression"
    model = "regressor"
    use = "predict"
    labels = "number"
    measure = Measure("mae", "mean absolute error", False)
    metrics: ClassVar = {
        "mae": Metric("mean absolute error"),
        "rmse": Metric("RMSE"),
        "spearman": Metric("rank correlation", decimals=3),
        "r2": Metric("R²", decimals=3),
    }
    shown = ("rmse", "spearman")
    quality = ("r2",)
    solvers: ClassVar = {
        "tfidf": Solver((0.1, 1.0, 10.0, 100.0, 1_000.0), tfidf, ridge_regression),
        "embeddings": Solver((0.0001, 0.001, 0.01, 0.1, 1.0), standardised, ridge_of_vectors, reads="vector"),
    }
    about = (
        "RMSE is the root of the mean squared error. The rank correlation is Spearman's. R² is the share of the "
        "labels' variance that a model explains: 0 is as good as the mean of the test labels, below 0 is worse."
    )

    def scores(self, said: Said, labels: np.ndarray) -> np.ndarray:
        """Return minus the absolute error of each document."""
        return np.asarray(-np.abs(said.astype(np.float64) - labels))

    def answers(self, said: Said, labels: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """Return the numbers."""
        return said

    def score_all(self, said: Said, labels: np.ndarray) -> dict[str, float]:
        """Return mean absolute error, root mean squared error, Spearman's rank correlation and R².

        Where all labels or all answers are the same, no correlation is defined, and 0 is returned. R² is 0 where all
        labels are the same.
        """
        from scipy.stats import spearmanr

        said, labels = said.astype(np.float64), labels.astype(np.float64)
        error, varies = said - labels, bool(np.ptp(labels) > 0.0)
        explained = 1.0 - float((error**2).mean() / labels.var()) if varies else 0.0
        return {
            "mae": float(np.abs(error).mean()),
            "rmse": float(np.sqrt((error**2).mean())),
            "spearman": float(spearmanr(said, labels).statistic) if varies and np.ptp(said) > 0.0 else 0.0,
            "r2": explained,
        }

    def rank(self, metrics: Mapping[str, float], select: str) -> tuple[float, ...]:
        """Return the chosen score, and the mean absolute error where two are equal."""
        return (metrics[select] if select == "spearman" else -metrics[select]), -metrics["mae"]

    def settle(self, said: Said, labels: np.ndarray) -> dict[str, float]:  # noqa: ARG002
        """Return nothing: there is nothing to choose."""
        return {}

    def settled(self, said: Said, labels: np.ndarray, chosen: Mapping[str, float]) -> dict[str, float]:  # noqa: ARG002
        """Return nothing."""
        return {}

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """Return up to ten groups, from the lowest to the highest numbers; equal labels are in one."""
        edges = np.quantile(labels, np.arange(1, STRATA) / STRATA)
        return np.searchsorted(edges, labels, side="right")

    def fit_weights(self, said: Sequence[Said], labels: np.ndarray) -> np.ndarray:
        """Return weights, zero or above and one in all, with the least squared error (stacking, Breiman 1996).

        They are shrunk towards equal ones.
        """
        from scipy.optimize import nnls

        # With weights that are one in all, the error is a weighted sum of the models' errors: their mean is to be zero.
        errors = np.stack([one.astype(np.float64) - labels for one in said], axis=1)
        # Times the weights, these are their distances from their mean. The penalty is that of classifiers' weights, if
        # errors are normal, with the variance of those that equal weights have.
        apart = np.eye(len(said)) - 1.0 / len(said)
        apart *= np.sqrt(SHRINKAGE * np.mean(errors.mean(axis=1) ** 2))
        # The last row says that they are one in all; beside it the errors are small, so it is met to six digits.
        heavy = 1e6 * (np.abs(errors).max() or 1.0) * np.sqrt(len(errors))
        rows = np.vstack([errors, apart, np.full(len(said), heavy)])
        weights, _ = nnls(rows, np.append(np.zeros(len(rows) - 1), heavy))
        return np.asarray(weights / weights.sum())

    def weighted(self, said: Sequence[Said], weights: np.ndarray) -> Said:
        """Return the weighted mean of the numbers."""
        return np.asarray(np.tensordot(weights, np.stack(said).astype(np.float64), axes=1))

    def table(self, said: Said, labels: np.ndarray) -> dict[str, pa.Array]:
        """Return the columns `label` and `value`."""
        return {"label": pa.array(labels, pa.float64()), "value": pa.array(said, pa.float64())}

    def said(self, table: pa.Table) -> Said:
        """Return the numbers."""
        return np.asarray(table["value"].to_numpy())
