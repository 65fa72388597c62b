"""From text to verdict: the source model, the target's arms and baselines, the comparison.

python -m flows.transfer NAME_OR_FILE [--set field=value]…
"""

from collections.abc import Iterator
from contextlib import contextmanager

from flows import environment

environment.prepare()

from prefect import flow  # noqa: E402  (the environment stands before Prefect reads it)
from prefect.runtime import flow_run  # noqa: E402

from flows.corpora import read_both, tokenize_both  # noqa: E402
from rnnlm import registry, tracking  # noqa: E402
from rnnlm.config import Experiment  # noqa: E402
from rnnlm.refs import CheckpointRef, DocumentsRef, ForgettingRef, ReportRef, ScoreRef, TokensRef  # noqa: E402
from rnnlm.transfer.arms import ARMS  # noqa: E402
from tasks.baseline import (  # noqa: E402
    baseline_classifier,
    baseline_language_model,
    baseline_ngram,
    baseline_tfidf,
)
from tasks.compare import compare, show  # noqa: E402
from tasks.finetune import (  # noqa: E402
    adapt_language_model,
    finetune_classifier,
    finetune_language_model,
    measure_forgetting,
    mix_with_ngrams,
)
from tasks.pretrain import pretrain  # noqa: E402
from tasks.register import register  # noqa: E402
from tasks.step import run_step  # noqa: E402
from tasks.tokenize import tokenize  # noqa: E402


@flow(name="transfer", flow_run_name="{experiment.name}", persist_result=True, result_serializer="json")
def transfer(experiment: Experiment = Experiment()) -> ReportRef:  # noqa: B008  (frozen; the form shows its values)
    """Does a model pretrained on the source help on the target, by how much, and which way is best?

    Args:
        experiment: Source, target, model, and what is compared.
    """
    with _mlflow_run(experiment) as parent:
        documents = read_both(experiment)
        source_tokens, target_tokens = tokenize_both(experiment, *documents)
        seed = experiment.comparison.seed
        source = run_step(pretrain, experiment.source, experiment.model, source_tokens, seed, parent)
        run_step(
            register,
            experiment.name,
            source,
            source_tokens,
            experiment.source.model_dump_json(),
            str(flow_run.id),
        )
        language_models = _language_models(experiment, source, target_tokens, parent)
        classifiers = _classifiers(experiment, source, language_models, documents[1], target_tokens, parent)
        scores = [*language_models.values(), *classifiers]
        forgetting = _forgetting(source, language_models, documents[0], source_tokens, target_tokens, parent)
        report = run_step(compare, experiment, source_tokens, source, documents[1], target_tokens, scores, forgetting)
        show(report, parent)
        return report


@contextmanager
def _mlflow_run(experiment: Experiment) -> Iterator[str]:
    """Give the MLflow run of this flow run; it ends as the flow run does."""
    registry.check_store()
    parent = tracking.flow_run(experiment.name, str(flow_run.id), flow_run.name, experiment.model_dump(mode="json"))
    try:
        yield parent
    except BaseException as error:
        # Cancelling raises what is no Exception: such a run did not fail, it was ended.
        tracking.finish(parent, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    tracking.finish(parent, "FINISHED")


def _language_models(
    experiment: Experiment, source: CheckpointRef, tokens: TokensRef, parent: str
) -> dict[str, ScoreRef]:
    """Train the target's language models, from the source and from scratch; score the source as it is and n-grams."""
    training, model, seed = experiment.target.language_model, experiment.model, experiment.comparison.seed
    words = experiment.target.word_map
    if training is None:
        return {}
    models = {
        "scratch": run_step(baseline_language_model, "scratch", training, model, tokens, seed, parent),
        "source": run_step(finetune_language_model, "source", source, None, model, words, tokens, seed, parent),
        "parameter": run_step(
            finetune_language_model, "parameter", source, training, model, words, tokens, seed, parent
        ),
    }
    for kind in experiment.target.adaptations:
        arm = f"source_{kind}"
        models[arm] = run_step(adapt_language_model, arm, kind, models["source"], tokens, seed, parent)
    if order := experiment.target.ngram_order:
        for smoothing in ("kneser_ney", "good_turing"):
            models[smoothing] = run_step(baseline_ngram, smoothing, order, tokens, seed, parent)
        for arm in ("scratch", "parameter"):
            name = f"{arm}_kneser_ney"
            models[name] = run_step(mix_with_ngrams, name, models[arm], order, tokens, seed, parent)
    return models


def _forgetting(
    source: CheckpointRef,
    language_models: dict[str, ScoreRef],
    documents: DocumentsRef,
    source_tokens: TokensRef,
    target_tokens: TokensRef,
    parent: str,
) -> ForgettingRef | None:
    """Score the fine-tuned language model on the source's text, in the tokens that it knows."""
    if "parameter" not in language_models:
        return None
    if source_tokens.tokenizer_sha256 != target_tokens.tokenizer_sha256:
        source_tokens = run_step(tokenize, documents, target_tokens)
    return run_step(measure_forgetting, source, language_models["parameter"], source_tokens, parent)


def _classifiers(
    experiment: Experiment,
    source: CheckpointRef,
    language_models: dict[str, ScoreRef],
    documents: DocumentsRef,
    tokens: TokensRef,
    parent: str,
) -> list[ScoreRef]:
    """Train every arm at every number of labels with every seed."""
    comparison, training, model = experiment.comparison, experiment.target.classifier, experiment.model
    words = experiment.target.word_map
    scores = []
    cells = [
        (documents.labelled["train"] if size == "all" else size, comparison.seed + n)
        for size in comparison.labels
        for n in range(comparison.seeds_all if size == "all" else comparison.seeds)
    ]
    # A number of labels may be all that there are: that is one cell, not two.
    for labels, seed in dict.fromkeys(cells):
        for name in comparison.arms:
            arm = ARMS[name]
            if arm.start == "tfidf":
                how = training.class_weights, training.select
                score = run_step(baseline_tfidf, name, documents, tokens, *how, labels, seed, parent)
            elif arm.baseline:
                start = language_models["scratch"] if arm.start == "target_text" else None
                score = run_step(baseline_classifier, name, start, training, model, tokens, labels, seed, parent)
            else:
                # The source that has read the target's text already, where the experiment has it do so.
                encoder = source if arm.start == "source_as_it_is" else language_models.get("parameter", source)
                score = run_step(
                    finetune_classifier,
                    name,
                    encoder,
                    arm.trainable,
                    training,
                    model,
                    words,
                    tokens,
                    labels,
                    seed,
                    parent,
                )
            scores.append(score)
    return scores


if __name__ == "__main__":
    from flows.cli import run_alone

    run_alone()
