"""One cell of the comparison: what the steps `finetune` and `baseline` share, so that neither is handicapped."""

from rnnlm.plan import CellSpec, SolveTfidf, TrainClassifier, TrainLanguageModel
from rnnlm.refs import DocumentsRef, Ref, ScoreRef, TokensRef
from rnnlm.tasks.recorded import cell_name, cell_settings
from rnnlm.tasks.step import Progress, output_folder, states_folder
from rnnlm.tracking import step_run


def compute(
    spec: CellSpec, needs: list[Ref], texts: list[TokensRef], documents: DocumentsRef | None, parent_run_id: str
) -> ScoreRef:
    """Compute a cell, and record it below the flow run's MLflow run.

    Args:
        spec: The cell.
        needs: What it needs, in the order of `spec.needs`.
        texts: What it reads, in the order of `spec.texts`.
        documents: The target's documents, where it reads their words (`reads_words`).
        parent_run_id: MLflow run of the flow run.
    """
    # TensorFlow is loaded where it is used: a worker that only reads and tokenizes never waits for it.
    from rnnlm.transfer.run_cell import Inputs, run_cell

    cell = spec.id
    inputs = Inputs(needs, dict(zip(spec.texts, texts, strict=True)), documents)
    tags = {"rnnlm.task": cell.task, "rnnlm.arm": cell.arm, "rnnlm.tokens": texts[0].sha256}
    with step_run(parent_run_id, cell_name(cell), cell_settings(spec), tags, {"target tokens": texts[0]}) as run:
        folder = output_folder()
        if isinstance(spec.work, TrainClassifier | TrainLanguageModel):
            with Progress(run, cell.title[0].upper() + cell.title[1:]) as progress:
                fitted = run_cell(spec, inputs, folder, progress, states_folder())
        else:
            fitted = run_cell(spec, inputs, folder)
        run.log_metrics(fitted.metrics)
        run.set_tags({"rnnlm.precision": fitted.precision, "rnnlm.output": fitted.sha256})
        fitted.forget()
    return ScoreRef(
        **cell.model_dump(),
        path=folder,
        sha256=fitted.sha256,
        metrics=fitted.metrics,
        seconds=fitted.seconds,
        mlflow_run_id=run.run_id,
    )


def reads_words(spec: CellSpec) -> bool:
    """Return whether a cell reads the documents themselves, besides their tokens."""
    return isinstance(spec.work, SolveTfidf)
