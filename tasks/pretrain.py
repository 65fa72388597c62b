"""Step 3: the source model."""

from rnnlm.experiment import Source
from rnnlm.refs import CheckpointRef, TokensRef
from rnnlm.settings import Model
from rnnlm.tasks.step import Progress, output_folder, states_folder, step
from rnnlm.tracking import step_run


@step(version=5)
def pretrain(source: Source, model: Model, tokens: TokensRef, seed: int, parent_run_id: str) -> CheckpointRef:
    """Train a language model of the source text, or a classifier of the source's labelled documents.

    Args:
        source: The source task and its training.
        model: Widths, layers, dropout.
        tokens: The source text.
        seed: Seed of the initial weights, the order and dropout.
        parent_run_id: MLflow run of the flow run.
    """
    # TensorFlow is loaded where it is used: a worker that only reads and tokenizes never waits for it.
    from rnnlm.transfer.fit import fit_classifier, fit_language_model

    params = {"model": model.model_dump(), "seed": seed, "task": source.task}
    with step_run(parent_run_id, "pretrain", params, {"rnnlm.tokens": tokens.sha256}, {"source tokens": tokens}) as run:
        folder = output_folder()
        with Progress(run, "Source model") as progress:
            if source.task == "language_model":
                run.log_params({"language_model": source.language_model.model_dump()})
                fitted = fit_language_model(
                    model,
                    tokens,
                    source.language_model,
                    folder,
                    start=None,
                    seed=seed,
                    report=progress,
                    states=states_folder(),
                )
            else:
                run.log_params({"classifier": source.classifier.model_dump()})
                fitted = fit_classifier(
                    model,
                    tokens,
                    source.classifier,
                    folder,
                    start=None,
                    trainable="all",
                    labels=None,
                    seed=seed,
                    report=progress,
                    states=states_folder(),
                )
        run.log_metrics(fitted.metrics)
        run.set_tags({"rnnlm.precision": fitted.precision, "rnnlm.output": fitted.sha256})
        fitted.forget()
    return CheckpointRef(
        path=folder,
        sha256=fitted.sha256,
        kind="language_model" if source.task == "language_model" else "classifier",
        metrics=fitted.metrics,
        seconds=fitted.seconds,
        tokens_sha256=tokens.sha256,
        mlflow_run_id=run.run_id,
    )
