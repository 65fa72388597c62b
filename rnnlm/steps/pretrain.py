"""Step 3: the source model."""

from rnnlm.experiment import Source
from rnnlm.refs import CheckpointRef, TokensRef
from rnnlm.settings import Model
from rnnlm.steps.busy import BusyCores
from rnnlm.steps.progress import Progress
from rnnlm.steps.step import Place, states_folder, step


@step(version=9)
def pretrain(place: Place, source: Source, model: Model, tokens: TokensRef, seed: int) -> CheckpointRef:
    """Train a language model of the source text, or a classifier of the source's labelled documents.

    Args:
        place: Where it runs.
        source: The source task and its training.
        model: Widths, layers, dropout.
        tokens: The source text.
        seed: Seed of the initial weights, the order and dropout.
    """
    # TensorFlow is loaded where it is used: a worker that only reads and tokenizes never waits for it.
    from rnnlm.transfer.fit import fit_language_model
    from rnnlm.transfer.fit_target import fit_target_model
    from rnnlm.transfer.target_fit import TargetFit

    params = {"model": model.model_dump(), "seed": seed, "task": source.task}
    tags = {"rnnlm.tokens": tokens.sha256}
    busy = BusyCores()
    with place.tracker.child("pretrain", params, tags, {"source tokens": tokens}) as run:
        with Progress(run, "Source model", place.meter) as progress:
            if source.task == "language_model":
                run.log_params({"language_model": source.language_model.model_dump()})
                fitted = fit_language_model(
                    model,
                    tokens,
                    source.language_model,
                    place.folder,
                    start=None,
                    seed=seed,
                    report=progress,
                    states=states_folder(),
                )
            else:
                run.log_params({"classifier": source.classifier.model_dump()})
                fit = TargetFit(model, tokens, source.classifier, seed)
                fitted = fit_target_model(fit, place.folder, progress, states_folder())
        run.log_metrics(fitted.metrics)
        run.set_tags(fitted.tags)
        fitted.forget()
    return CheckpointRef(
        path=place.folder,
        sha256=fitted.sha256,
        kind="language_model" if source.task == "language_model" else source.classifier.model,
        metrics=fitted.metrics,
        seconds=fitted.seconds,
        busy_cores=busy.mean(),
        tokens_sha256=tokens.sha256,
        recorded_as=run.run_id,
    )
