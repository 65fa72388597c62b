"""Step 4: the source model becomes a version of a registered model; and the target's language model, if it is all."""

from prefect.events import emit_event

from rnnlm.refs import CheckpointRef, ModelRef, ScoreRef, TokensRef
from rnnlm.steps.step import Place, logger, step


@step(version=2, not_in_key=["flow_run_id"])
def register(
    _: Place,
    experiment: str,
    checkpoint: CheckpointRef,
    tokens: TokensRef,
    configuration: str,
    flow_run_id: str,
) -> ModelRef:
    """Register the source model; a retry finds the version that is there.

    Args:
        experiment: Name of the experiment; the model is called `NAME-source`.
        checkpoint: The source model.
        tokens: The tokens that it was trained on.
        configuration: The source's settings, as JSON.
        flow_run_id: The Prefect flow run.
    """
    from rnnlm.registry import register as register_model
    from rnnlm.registry.aliases import CHAMPION

    model = register_model(
        checkpoint,
        name=f"{experiment}-source",
        alias=CHAMPION,
        run_id=checkpoint.recorded_as,
        tags=lineage_tags(tokens, configuration, flow_run_id),
    )
    # What may set off a deployment that starts from it; from the cache nothing is emitted, for nothing is new.
    emit_event(
        "rnnlm.source-model.champion",
        resource={"prefect.resource.id": f"rnnlm.source-model.{model.name}", "prefect.resource.name": model.name},
        payload={"uri": model.uri},
    )
    logger.info("Registered %s as %s@%s", model.uri, model.name, model.alias)
    return model


@step(version=1, not_in_key=["flow_run_id"])
def register_target(
    _: Place,
    experiment: str,
    cell: ScoreRef,
    tokens: TokensRef,
    source: ModelRef,
    configuration: str,
    flow_run_id: str,
) -> ModelRef:
    """Register the target's language model; a retry finds the version that is there.

    Args:
        experiment: Name of the experiment; the model is called `NAME-target`.
        cell: The language model.
        tokens: The target's tokens.
        source: The registered source model.
        configuration: The experiment's settings, as JSON.
        flow_run_id: The Prefect flow run.
    """
    from rnnlm.registry.aliases import CHAMPION

    model = register_cell(experiment, cell, tokens, source, configuration, CHAMPION, flow_run_id)
    logger.info("Registered %s (%s) as %s@%s", model.uri, cell.arm, model.name, model.alias)
    return model


def register_cell(
    experiment: str,
    cell: ScoreRef,
    tokens: TokensRef,
    source: ModelRef,
    configuration: str,
    alias: str,
    flow_run_id: str,
) -> ModelRef:
    """Register a model of the target as `NAME-target`, and move the alias to it.

    Args:
        experiment: Name of the experiment.
        cell: The model.
        tokens: The target's tokens.
        source: The registered source model that its comparison began from.
        configuration: The experiment's settings, as JSON.
        alias: Alias that points to it afterwards; a champion stays champion.
        flow_run_id: The Prefect flow run.
    """
    from rnnlm.registry import register as register_model

    return register_model(
        CheckpointRef(
            path=cell.path,
            sha256=cell.sha256,
            kind=cell.task,
            metrics=cell.metrics,
            seconds=cell.seconds,
            tokens_sha256=tokens.sha256,
            recorded_as=cell.recorded_as,
        ),
        name=f"{experiment}-target",
        alias=alias,
        run_id=cell.recorded_as,
        tags={
            "rnnlm.source": source.uri,
            "rnnlm.arm": cell.arm,
            **lineage_tags(tokens, configuration, flow_run_id),
        },
    )


def lineage_tags(tokens: TokensRef, configuration: str, flow_run_id: str) -> dict[str, str]:
    """Return the tags that say where a model comes from.

    Args:
        tokens: The tokens that it was trained on.
        configuration: Its settings, as JSON.
        flow_run_id: The Prefect flow run.
    """
    return {
        "rnnlm.documents": tokens.documents_sha256,
        "rnnlm.tokens": tokens.sha256,
        "rnnlm.tokenizer": tokens.tokenizer_sha256,
        "rnnlm.configuration": configuration,
        "prefect.flow_run_id": flow_run_id,
    }
