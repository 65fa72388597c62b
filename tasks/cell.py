"""One cell of the comparison: what the steps `finetune` and `baseline` share, so that neither is handicapped."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rnnlm.config import ClassifierTraining, LanguageModelTraining, Model, Trainable, WordMap
from rnnlm.refs import Ref, ScoreRef, TokensRef
from rnnlm.tasks.recorded import cell_name
from rnnlm.tasks.step import Progress, output_folder, states_folder
from rnnlm.tracking import Run, step_run

if TYPE_CHECKING:
    from rnnlm.transfer.cell import Fitted  # loads TensorFlow

Task = Literal["language_model", "classifier"]


def language_model_cell(
    arm: str,
    start: Ref | None,
    training: LanguageModelTraining | None,
    model: Model,
    tokens: TokensRef,
    seed: int,
    parent_run_id: str,
    word_map: WordMap = "exact",
) -> ScoreRef:
    """Train a language model on the target text and score it; without a training the start is scored as it is."""
    from rnnlm.transfer.fit import fit_language_model

    params = {"arm": arm, "seed": seed, "model": model.model_dump()}
    if start is not None:
        params["word_map"] = word_map
    if training is not None:
        params["language_model"] = training.model_dump()
    with step_run(
        parent_run_id,
        cell_name("language_model", arm, 0, seed),
        params,
        _tags("language_model", arm, tokens),
        {"target tokens": tokens},
    ) as run:
        folder = output_folder()
        with Progress(run, f"Target language model, {arm}") as progress:
            fitted = fit_language_model(
                model,
                tokens,
                training,
                folder,
                start=_path(start),
                seed=seed,
                report=progress,
                states=states_folder(),
                word_map=word_map,
            )
        return _score(run, fitted, folder, "language_model", arm, 0, seed)


def classifier_cell(
    arm: str,
    start: Ref | None,
    trainable: Trainable,
    training: ClassifierTraining,
    model: Model,
    tokens: TokensRef,
    labels: int,
    seed: int,
    parent_run_id: str,
    word_map: WordMap = "exact",
    beside: tuple[TokensRef, LanguageModelTraining] | None = None,
    known_text: TokensRef | None = None,
) -> ScoreRef:
    """Train a classifier on so many labelled documents and score it."""
    from rnnlm.transfer.fit import BesideText, fit_classifier

    params = {
        "arm": arm,
        "labels": labels,
        "seed": seed,
        "model": model.model_dump(),
        "classifier": training.model_dump(),
    }
    if start is not None:
        params["word_map"] = word_map
    if beside is not None:
        params["beside"] = beside[1].model_dump()
    name = cell_name("classifier", arm, labels, seed)
    with step_run(parent_run_id, name, params, _tags("classifier", arm, tokens), {"target tokens": tokens}) as run:
        folder = output_folder()
        with Progress(run, f"Classifier, {arm}, {labels} labels, seed {seed}") as progress:
            fitted = fit_classifier(
                model,
                tokens,
                training,
                folder,
                start=_path(start),
                trainable=trainable,
                labels=labels,
                seed=seed,
                report=progress,
                word_map=word_map,
                beside=BesideText(*beside) if beside else None,
                known_text=known_text,
            )
        return _score(run, fitted, folder, "classifier", arm, labels, seed)


def tradition_cell(
    task: Task,
    arm: str,
    labels: int,
    seed: int,
    tokens: TokensRef,
    parent_run_id: str,
    params: dict[str, object],
    fit: Callable[[Path], "Fitted"],
) -> ScoreRef:
    """Fit a model that is counted or solved, not trained step by step, and score it.

    Args:
        task: Language model or classifier.
        arm: Name of the arm.
        labels: Number of labelled training documents; 0 for a language model.
        seed: The seed of the comparison.
        tokens: The target's tokens.
        parent_run_id: MLflow run of the flow run.
        params: What else is recorded.
        fit: Writes the cell into the folder that it is given.
    """
    name = cell_name(task, arm, labels, seed)
    params = {"arm": arm, "labels": labels, "seed": seed, **params}
    with step_run(parent_run_id, name, params, _tags(task, arm, tokens), {"target tokens": tokens}) as run:
        folder = output_folder()
        return _score(run, fit(folder), folder, task, arm, labels, seed)


def _score(run: Run, fitted: "Fitted", folder: Path, task: Task, arm: str, labels: int, seed: int) -> ScoreRef:
    """Record what a cell scored."""
    run.log_metrics(fitted.metrics)
    run.set_tags({"rnnlm.precision": fitted.precision, "rnnlm.output": fitted.sha256})
    return ScoreRef(
        path=folder,
        sha256=fitted.sha256,
        task=task,
        arm=arm,
        labels=labels,
        seed=seed,
        metrics=fitted.metrics,
        seconds=fitted.seconds,
        mlflow_run_id=run.run_id,
    )


def _path(start: Ref | None) -> Path | None:
    return None if start is None else start.path


def _tags(task: str, arm: str, tokens: TokensRef) -> dict[str, str]:
    return {"rnnlm.task": task, "rnnlm.arm": arm, "rnnlm.tokens": tokens.sha256}
