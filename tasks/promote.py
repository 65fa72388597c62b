"""Step 8: the best classifier becomes a version of a registered model, and champion if it is surely better."""

import pyarrow.parquet as pq

from rnnlm.refs import ChallengeRef, CheckpointRef, DocumentsRef, ModelRef, ScoreRef, TokensRef
from tasks.register import lineage_tags
from tasks.step import logger, step


@step(version=2)
def challenge(
    experiment: str,
    cell: ScoreRef,
    documents: DocumentsRef,
    tokens: TokensRef,
    source: ModelRef,
    configuration: str,
    champion: ModelRef | None,
    margin: float,
    flow_run_id: str,
) -> ChallengeRef:
    """Register a classifier as challenger, and compare it with the present champion on the same test documents.

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
    from rnnlm.registry.aliases import CHALLENGER

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
    present = None
    if champion is not None and champion.version != model.version:
        ids = pq.read_table(cell.path / "predictions.parquet", columns=["id"])["id"].to_pylist()
        present = right(Trained.load(checkpoint_folder(champion.uri)), documents, ids)
    decision = decide(predictions_of(cell).score, present, margin)
    return ChallengeRef(model=model, better=decision.promoted, reason=decision.reason)


@step(version=2)
def promote(challenger: ChallengeRef, asked_by: str) -> ModelRef:
    """Make a challenger the champion if it is surely better, and people have not decided otherwise.

    Args:
        challenger: The version, and whether it is better.
        asked_by: The Prefect flow run. It is in the cache's key: what the registry says may have changed since
            another run did the same.
    """
    from rnnlm.registry import aliases

    model = challenger.model
    if aliases.champion(model.name) == model.model_copy(update={"alias": aliases.CHAMPION}):
        logger.info("%s is champion already", model.uri)
        return model.model_copy(update={"alias": aliases.CHAMPION})
    objection = aliases.withdrawn(model)
    better = challenger.better and objection is None
    settled = aliases.promote if better else aliases.keep_as_challenger
    reason = objection or challenger.reason
    logger.info("%s %s: %s", model.uri, "is champion" if better else "stays challenger", reason)
    return settled(model, reason)
