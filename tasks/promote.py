"""Step 8: the best classifier becomes a version of a registered model, and champion if it is surely better."""

import pyarrow.parquet as pq

from rnnlm.refs import CheckpointRef, DocumentsRef, ModelRef, ScoreRef, TokensRef
from tasks.register import lineage_tags
from tasks.step import logger, step


@step(version=1)
def promote(
    experiment: str,
    cell: ScoreRef,
    documents: DocumentsRef,
    tokens: TokensRef,
    source: ModelRef,
    configuration: str,
    champion: ModelRef | None,
    margin: float,
    flow_run_id: str,
) -> ModelRef:
    """Register a classifier as challenger; it becomes champion if its gain over the present one is surely large enough.

    Args:
        experiment: Name of the experiment; the model is called `NAME-target`.
        cell: The classifier.
        documents: The target's documents.
        tokens: The same, encoded.
        source: The registered source model that it comes from.
        configuration: The experiment's settings, as JSON.
        champion: The present champion; none: there is none.
        margin: What the gain in accuracy must lie above.
        flow_run_id: The Prefect flow run.
    """
    from rnnlm.evaluation.assemble import predictions_of
    from rnnlm.evaluation.promotion import decide
    from rnnlm.inference.judge import right
    from rnnlm.inference.trained import Trained
    from rnnlm.registry import checkpoint_folder, register
    from rnnlm.registry.aliases import CHALLENGER, keep_as_challenger, was_rolled_back
    from rnnlm.registry.aliases import promote as make_champion

    model = register(
        CheckpointRef(
            path=cell.path,
            sha256=cell.sha256,
            kind="classifier",
            metrics=cell.metrics,
            seconds=cell.seconds,
            tokens_sha256=tokens.sha256,
            mlflow_run_id=cell.mlflow_run_id,
        ),
        name=f"{experiment}-target",
        alias=CHALLENGER,
        run_id=cell.mlflow_run_id,
        tags={
            "rnnlm.source": source.uri,
            "rnnlm.arm": cell.arm,
            **lineage_tags(tokens, configuration, flow_run_id),
        },
    )
    if champion is not None and champion.version == model.version:
        logger.info("%s is champion already", model.uri)
        return champion
    if was_rolled_back(model):
        return keep_as_challenger(model, "it was champion and was rolled back")
    ids = pq.read_table(cell.path / "predictions.parquet", columns=["id"])["id"].to_pylist()
    present = None
    if champion is not None:
        present = right(Trained.load(checkpoint_folder(champion.uri)), documents, ids)
    decision = decide(predictions_of(cell).score, present, margin)
    settled = make_champion if decision.promoted else keep_as_challenger
    logger.info("%s %s: %s", model.uri, "is champion" if decision.promoted else "stays challenger", decision.reason)
    return settled(model, decision.reason)
