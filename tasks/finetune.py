"""Step 5: from the source model to the target's."""

import hashlib

from rnnlm.plan import CellSpec
from rnnlm.refs import DocumentsRef, ForgettingRef, Ref, ScoreRef, TokensRef
from rnnlm.store import file_sha256
from rnnlm.tasks.cell import compute
from rnnlm.tasks.step import output_folder, step
from rnnlm.tracking import step_run


@step(version=1, run_name="finetune {spec.id.title}")
def finetune(
    spec: CellSpec, needs: list[Ref], texts: list[TokensRef], documents: DocumentsRef | None, parent_run_id: str
) -> ScoreRef:
    """Compute a cell that starts from the source, reads it, or is made of cells that do.

    Args:
        spec: The cell: what is trained, and with which settings.
        needs: What it needs: the source model, a language model, or other cells.
        texts: The texts that it reads, the target's first.
        documents: The target's documents, for cells that count their words.
        parent_run_id: MLflow run of the flow run.
    """
    return compute(spec, needs, texts, documents, parent_run_id)


@step(version=3)
def measure_forgetting(
    source: ScoreRef, fine_tuned: ScoreRef, source_tokens: TokensRef, parent_run_id: str
) -> ForgettingRef:
    """Score the fine-tuned language model, and the one it started from, on the source's own test text.

    Args:
        source: The source model over the target's vocabulary, as it is.
        fine_tuned: The language model that was fine-tuned from it.
        source_tokens: The source text in the tokens of both.
        parent_run_id: MLflow run of the flow run.
    """
    from rnnlm.transfer.forgetting import score_on_source

    tags = {"rnnlm.task": "language_model", "rnnlm.tokens": source_tokens.sha256}
    with step_run(parent_run_id, "forgetting", {"arm": fine_tuned.arm}, tags, {"source tokens": source_tokens}) as run:
        folder = output_folder()
        scored = score_on_source({"before": source.path, "after": fine_tuned.path}, source_tokens, folder)
        sha256 = hashlib.sha256(
            "".join(file_sha256(folder / f"{name}.parquet") for name in scored).encode()
        ).hexdigest()
        run.log_metrics({f"{when}/{name}": value for when, found in scored.items() for name, value in found.items()})
        run.set_tags({"rnnlm.precision": "float32", "rnnlm.output": sha256})
    return ForgettingRef(
        path=folder, sha256=sha256, before=scored["before"], after=scored["after"], mlflow_run_id=run.run_id
    )
