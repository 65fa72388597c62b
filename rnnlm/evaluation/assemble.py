"""From the cells on disk to the verdict."""

import json
import platform
from importlib import metadata
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from rnnlm.config import Experiment
from rnnlm.evaluation.comparison import (
    Predictions,
    gains,
    gains_beyond_target_text,
    gains_over_tradition,
    verdict_sentences,
)
from rnnlm.evaluation.label_equivalence import equivalence_sentence, label_equivalences
from rnnlm.evaluation.verdict import Cell, Coverage, Point, Verdict
from rnnlm.refs import CheckpointRef, DocumentsRef, ScoreRef, TokensRef

LIBRARIES = ("rnnlm", "tensorflow", "keras", "tokenizers", "numpy", "scikit-learn", "pyarrow", "mlflow", "prefect")


def assemble(
    experiment: Experiment,
    source_tokens: TokensRef,
    source: CheckpointRef,
    documents: DocumentsRef,
    tokens: TokensRef,
    scores: list[ScoreRef],
) -> Verdict:
    """Compare all cells and say what they show.

    Args:
        experiment: The experiment.
        source_tokens: The source text.
        source: The source model.
        documents: The target's documents.
        tokens: The target's tokens.
        scores: All cells, those of the baseline among them.
    """
    predictions = [predictions_of(score) for score in scores]
    found, beyond = gains(predictions), gains_beyond_target_text(predictions)
    tradition, equivalences = gains_over_tradition(predictions), label_equivalences(predictions)
    sentences = [*verdict_sentences(found, beyond, tradition), equivalence_sentence(equivalences)]
    seconds = {"source model": source.seconds}
    for score in scores:
        part = f"{'language model' if score.task == 'language_model' else 'classifiers'}, {score.arm}"
        seconds[part] = seconds.get(part, 0.0) + score.seconds
    return Verdict(
        experiment=experiment.name,
        sentences=[sentence for sentence in sentences if sentence],
        cells=[_cell(score) for score in scores],
        gains=found,
        beyond=beyond,
        tradition=tradition,
        equivalences=equivalences,
        coverage=_coverage(scores),
        source={
            "task": experiment.source.task,
            "vocabulary": source_tokens.vocabulary_size,
            "training tokens": source_tokens.tokens["train"],
            **source.metrics,
            "seconds": source.seconds,
        },
        documents=documents.documents,
        digests={
            "source tokens": source_tokens.sha256,
            "source documents": source_tokens.documents_sha256,
            "source tokenizer": source_tokens.tokenizer_sha256,
            "source model": source.sha256,
            "target documents": documents.sha256,
            "target tokens": tokens.sha256,
            "target tokenizer": tokens.tokenizer_sha256,
        },
        versions={"python": platform.python_version()} | {name: metadata.version(name) for name in LIBRARIES},
        seconds=seconds,
        configuration=experiment.model_dump(mode="json"),
        command="rnnlm run experiment.yaml",
    )


def predictions_of(score: ScoreRef) -> Predictions:
    """Read what a cell said of each test document."""
    table = pq.read_table(score.path / "predictions.parquet")
    if score.task == "language_model":
        values = table["nll"].to_numpy() / np.log(2.0)
        weight = table["n_characters"].to_numpy().astype(np.float64)
    else:
        probabilities = np.stack(table["probabilities"].to_numpy(zero_copy_only=False))
        values = (probabilities.argmax(axis=1) == table["label"].to_numpy()).astype(np.float64)
        weight = np.ones(len(values))
    return Predictions(score.task, score.arm, score.labels, score.seed, values, weight)


def _coverage(scores: list[ScoreRef]) -> list[Coverage]:
    """Read off the first cell that began from the source's words what each rung took: all have the same."""
    metrics = next((score.metrics for score in scores if any(map(_of_coverage, score.metrics))), {})
    rungs = [name.removesuffix("_types") for name in metrics if _of_coverage(name) and name.endswith("_types")]
    return [
        Coverage(
            rung=rung.removeprefix("coverage/"),
            types=int(metrics[f"{rung}_types"]),
            tokens=int(metrics[f"{rung}_tokens"]),
        )
        for rung in rungs
    ]


def _of_coverage(metric: str) -> bool:
    return metric.startswith("coverage/")


def _cell(score: ScoreRef) -> Cell:
    return Cell(
        task=score.task,
        arm=score.arm,
        labels=score.labels,
        seed=score.seed,
        # The coverage is the same in every cell: it has its own table.
        metrics={name: value for name, value in score.metrics.items() if not _of_coverage(name)},
        seconds=score.seconds,
        history=_history(score.path),
    )


def _history(folder: Path) -> list[Point]:
    points = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    return [Point.model_validate(point) for point in points]
