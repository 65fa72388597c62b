"""The target part of a run: language models, classifiers, every arm and baseline, the comparison.

It is the same whether the source model was trained in this run or registered by an earlier one.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from rnnlm.config import Experiment
from rnnlm.evaluation.naming import DIRECTIONS
from rnnlm.refs import CheckpointRef, DocumentsRef, ReportRef, ScoreRef, TokensRef
from rnnlm.tasks.baseline import baseline_classifier, baseline_language_model, baseline_ngram, baseline_tfidf
from rnnlm.tasks.compare import compare, show
from rnnlm.tasks.finetune import (
    adapt_language_model,
    average_classifiers,
    finetune_classifier,
    finetune_language_model,
    measure_forgetting,
    mix_with_ngrams,
)
from rnnlm.tasks.observe import observer, stage
from rnnlm.tasks.pretrain import pretrain
from rnnlm.tasks.step import run_step, submit_step
from rnnlm.tasks.tokenize import reverse, tokenize
from rnnlm.tracking import Run
from rnnlm.transfer.arms import ARMS


class Texts(NamedTuple):
    """What was read and tokenized.

    Attributes:
        source_documents: The source's documents.
        documents: The target's documents.
        source_tokens: The source's documents, encoded.
        tokens: The target's documents, encoded.
    """

    source_documents: DocumentsRef
    documents: DocumentsRef
    source_tokens: TokensRef
    tokens: TokensRef


def compare_on_target(
    experiment: Experiment, source: CheckpointRef, texts: Texts, parent: str
) -> tuple[ReportRef, list[ScoreRef]]:
    """Train every arm on the target, compare them, and show the report.

    Args:
        experiment: The experiment.
        source: The source model.
        texts: What was read and tokenized.
        parent: MLflow run of the flow run.

    Returns:
        The report, and the cells of which one may be put to use: the classifiers, or the language models alone.
    """
    read = {"source documents": texts.source_documents, "target documents": texts.documents}
    Run.of(parent).log_texts(read | {"source tokens": texts.source_tokens, "target tokens": texts.tokens})
    language_models = _language_models(experiment, source, texts.tokens, parent)
    backward = None
    if "backward" in experiment.comparison.arms:
        backward = _backward(experiment, texts.source_tokens, texts.tokens, language_models, parent)
    source_text = _source_text(experiment, texts)
    material = _Material(source, language_models, texts.documents, texts.tokens, source_text, backward)
    classifiers = _classifiers(experiment, material, parent)
    scores = [*language_models.values(), *classifiers]
    with stage("Compare"):
        forgetting = None
        if {"source", "parameter"} <= language_models.keys():
            forgetting = run_step(
                measure_forgetting, language_models["source"], language_models["parameter"], source_text, parent
            )
        report = run_step(
            compare,
            experiment,
            texts.source_tokens,
            source,
            texts.source_documents,
            texts.documents,
            texts.tokens,
            scores,
            forgetting,
        )
        show(report, parent)
    return report, list(language_models.values()) if experiment.language_models_alone else classifiers


@stage("Language models")
def _language_models(
    experiment: Experiment, source: CheckpointRef, tokens: TokensRef, parent: str
) -> dict[str, ScoreRef]:
    """Train the target's language models, from the source and from scratch; score the source as it is and n-grams."""
    training, model, seed = experiment.target.language_model, experiment.model, experiment.comparison.seed
    if training is None:
        return {}
    words, compared = experiment.target.word_map, experiment.comparison.language_models
    starts = {ARMS[arm].start for arm in experiment.comparison.arms}
    begun: dict[str, Callable[[], ScoreRef]] = {}
    if compared or "target_text" in starts:
        begun["scratch"] = submit_step(baseline_language_model, "scratch", training, model, tokens, seed, parent)
    if compared:
        as_it_is = submit_step(finetune_language_model, "source", source, None, model, words, tokens, seed, parent)
        begun["source"] = as_it_is
    if compared or "source" in starts:
        begun["parameter"] = submit_step(
            finetune_language_model, "parameter", source, training, model, words, tokens, seed, parent
        )
    order = experiment.target.ngram_order if compared else None
    adaptations = experiment.target.adaptations if compared else []
    models = {arm: wait() for arm, wait in begun.items()}
    begun = {
        f"source_{kind}": submit_step(
            adapt_language_model, f"source_{kind}", kind, models["source"], tokens, seed, parent
        )
        for kind in adaptations
    }
    if order:
        for smoothing in ("kneser_ney", "good_turing"):
            begun[smoothing] = submit_step(baseline_ngram, smoothing, order, tokens, seed, parent)
        for arm in ("scratch", "parameter"):
            name = f"{arm}_kneser_ney"
            begun[name] = submit_step(mix_with_ngrams, name, models[arm], order, tokens, seed, parent)
    return models | {arm: wait() for arm, wait in begun.items()}


@stage("Source in target's tokens")
def _source_text(experiment: Experiment, texts: Texts) -> TokensRef:
    """Give the source's text in the target's tokens, where something reads it so."""
    comparison, target = experiment.comparison, experiment.target
    read = (
        (target.language_model is not None and comparison.language_models)  # what the source model forgets
        or target.classifier.needs_fisher
        or any(ARMS[arm].beside == "source_text" for arm in comparison.arms)
    )
    if not read or texts.source_tokens.tokenizer_sha256 == texts.tokens.tokenizer_sha256:
        return texts.source_tokens
    return run_step(tokenize, texts.source_documents, texts.tokens)


@stage("Backward language models")
def _backward(
    experiment: Experiment,
    source_tokens: TokensRef,
    tokens: TokensRef,
    language_models: dict[str, ScoreRef],
    parent: str,
) -> tuple[CheckpointRef | ScoreRef, TokensRef]:
    """Train the source and the target's language model on texts that are read from the end, as those that are not.

    Gives the model that a classifier starts from, and the target's documents for it; the target's language model stands
    beside the others.
    """
    source_tokens, tokens = run_step(reverse, source_tokens), run_step(reverse, tokens)
    model, seed, target = experiment.model, experiment.comparison.seed, experiment.target
    source = run_step(pretrain, experiment.source, model, source_tokens, seed, parent)
    if target.language_model is None:
        return source, tokens
    language_models["backward"] = run_step(
        finetune_language_model,
        "backward",
        source,
        target.language_model,
        model,
        target.word_map,
        tokens,
        seed,
        parent,
    )
    return language_models["backward"], tokens


class _Material(NamedTuple):
    """What classifiers start from and read.

    Attributes:
        source: The source model.
        language_models: The target's language models, by arm.
        documents: The target's documents.
        tokens: The same, encoded.
        source_text: The source's text in the target's tokens.
        backward: What a classifier that reads from the end starts from, and its documents; none: there is none.
    """

    source: CheckpointRef
    language_models: dict[str, ScoreRef]
    documents: DocumentsRef
    tokens: TokensRef
    source_text: TokensRef
    backward: tuple[CheckpointRef | ScoreRef, TokensRef] | None


@stage("Classifiers")
def _classifiers(experiment: Experiment, material: _Material, parent: str) -> list[ScoreRef]:
    """Train every arm at every number of labels with every seed."""
    comparison, training, model = experiment.comparison, experiment.target.classifier, experiment.model
    words = experiment.target.word_map
    source, language_models, documents, tokens, source_text, backward = material
    begun: list[Callable[[], ScoreRef]] = []
    scores: list[ScoreRef] = []
    cells = [
        (documents.labelled["train"] if size == "all" else size, comparison.seed + n)
        for size in comparison.labels
        for n in range(comparison.seeds_all if size == "all" else comparison.seeds)
    ]
    # A number of labels may be all that there are: that is one cell, not two.
    cells = list(dict.fromkeys(cells))
    observer().steps_ahead(len(cells) * len(comparison.arms))
    for labels, seed in cells:
        # The mean of other arms comes after them.
        for name in sorted(comparison.arms, key=lambda name: ARMS[name].start == "arms"):
            arm = ARMS[name]
            if arm.start == "tfidf":
                how = training.class_weights, training.select
                wait = submit_step(baseline_tfidf, name, documents, tokens, *how, labels, seed, parent)
            elif arm.start == "arms":
                wait = partial(_average, name, scores, tokens, labels, seed, parent)
            elif arm.baseline:
                start = language_models["scratch"] if arm.start == "target_text" else None
                wait = submit_step(baseline_classifier, name, start, training, model, tokens, labels, seed, parent)
            else:
                # The source that has read the target's text already, where the experiment has it do so.
                of_source: CheckpointRef | ScoreRef = source
                if arm.start == "source":
                    of_source = language_models.get("parameter", source)
                read_from = tokens
                if arm.backward and backward is not None:
                    of_source, read_from = backward
                known = source_text if arm.beside == "source_text" or training.needs_fisher else None
                if arm.backward and known is not None:
                    known = run_step(reverse, known)
                read = experiment.source if arm.beside == "source_text" else experiment.target
                wait = submit_step(
                    finetune_classifier,
                    name,
                    None if arm.start == "random" else of_source,
                    arm.trainable,
                    training.model_copy(update={"layers": "mixed"}) if arm.mixed else training,
                    model,
                    words,
                    read_from,
                    labels,
                    seed,
                    read.language_model if arm.beside else None,
                    arm.beside,
                    known,
                    parent,
                )
            begun.append(wait)
    for wait in begun:
        # One by one: a mean looks for its parts among those that stand before it.
        scores.append(wait())  # noqa: PERF401
    return scores


def _average(name: str, scores: list[ScoreRef], tokens: TokensRef, labels: int, seed: int, parent: str) -> ScoreRef:
    """Average the classifiers of both directions, which stand before it among the scores."""
    parts = [one for one in scores if (one.arm in DIRECTIONS, one.labels, one.seed) == (True, labels, seed)]
    return run_step(average_classifiers, name, parts, tokens, labels, seed, parent)
