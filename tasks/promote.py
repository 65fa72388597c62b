"""Step 8: the target's best model becomes a version of a registered model, and champion if it is surely better."""

import pyarrow.parquet as pq

from rnnlm.refs import ChallengeRef, DocumentsRef, ModelRef, ScoreRef, TokensRef
from rnnlm.steps.step import Place, logger, step
from rnnlm.targets import TARGETS
from rnnlm.tasks.register import register_cell


@step(version=2, not_in_key=["flow_run_id"])
def challenge(
    _: Place,
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
    """Register a model as challenger, and compare it with the present champion on the same test documents.

    Args:
        experiment: Name of the experiment; the model is called `NAME-target`.
        cell: The model of the target task, or the language model of a target without labels.
        documents: The target's documents.
        tokens: The same, encoded.
        source: The registered source model that it comes from.
        configuration: The experiment's settings, as JSON.
        champion: The present champion; None if there is none.
        margin: What the gain must be above, in what the target task is judged by or in bits per character.
        flow_run_id: The Prefect flow run.
    """
    from rnnlm.evaluation.predictions import predictions_of
    from rnnlm.evaluation.promotion import Judged, decide, decide_language_model
    from rnnlm.inference.judge import bits, scores
    from rnnlm.inference.trained import Trained
    from rnnlm.registry import checkpoint_folder
    from rnnlm.registry.aliases import CHALLENGER

    model = register_cell(experiment, cell, tokens, source, configuration, CHALLENGER, flow_run_id)
    present = None
    if champion is not None and champion.version != model.version:
        present = Trained.load(checkpoint_folder(champion.uri))
    ids = pq.read_table(cell.path / "predictions.parquet", columns=["id"])["id"].to_pylist()
    if cell.task in TARGETS:
        of_cell = predictions_of(cell)
        of_present = None if present is None else scores(present, documents, ids)
        decision = decide(TARGETS[cell.task].measure, Judged(of_cell.score, of_cell.counts), of_present, margin)
    else:
        both = (
            None if present is None else (bits(Trained.load(cell.path), documents, ids), bits(present, documents, ids))
        )
        decision = decide_language_model(both, margin)
    return ChallengeRef(model=model, better=decision.promoted, reason=decision.reason)


@step(version=2)
def promote(_: Place, challenger: ChallengeRef, asked_by: str) -> ModelRef:
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
