"""One cell of the comparison: what the steps `finetune` and `baseline` share, so that neither is handicapped."""

from pathlib import Path
from typing import Literal

from rnnlm.config import ClassifierTraining, LanguageModelTraining, Model
from rnnlm.refs import Ref, ScoreRef, TokensRef
from rnnlm.tracking import step_run
from tasks.step import Progress, output_folder, states_folder


def language_model_cell(
    arm: str,
    start: Ref | None,
    training: LanguageModelTraining | None,
    model: Model,
    tokens: TokensRef,
    seed: int,
    parent_run_id: str,
) -> ScoreRef:
    """Train a language model on the target text and score it; without a training the start is scored as it is."""
    from rnnlm.transfer.fit import fit_language_model

    params = {"arm": arm, "seed": seed, "model": model.model_dump()}
    if training is not None:
        params["language_model"] = training.model_dump()
    with step_run(parent_run_id, f"language model {arm}", params, _tags("language_model", arm, tokens)) as run:
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
            )
        run.log_metrics(fitted.metrics)
        run.set_tags({"rnnlm.precision": fitted.precision, "rnnlm.output": fitted.sha256})
    return ScoreRef(
        path=folder,
        sha256=fitted.sha256,
        task="language_model",
        arm=arm,
        labels=0,
        seed=seed,
        metrics=fitted.metrics,
        seconds=fitted.seconds,
        mlflow_run_id=run.run_id,
    )


def classifier_cell(
    arm: str,
    start: Ref | None,
    trainable: Literal["all", "head"],
    training: ClassifierTraining,
    model: Model,
    tokens: TokensRef,
    labels: int,
    seed: int,
    parent_run_id: str,
) -> ScoreRef:
    """Train a classifier on so many labelled documents and score it."""
    from rnnlm.transfer.fit import fit_classifier

    params = {
        "arm": arm,
        "labels": labels,
        "seed": seed,
        "model": model.model_dump(),
        "classifier": training.model_dump(),
    }
    name = f"classifier {arm} labels={labels} seed={seed}"
    with step_run(parent_run_id, name, params, _tags("classifier", arm, tokens)) as run:
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
            )
        run.log_metrics(fitted.metrics)
        run.set_tags({"rnnlm.precision": fitted.precision, "rnnlm.output": fitted.sha256})
    return ScoreRef(
        path=folder,
        sha256=fitted.sha256,
        task="classifier",
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
