"""Step 5: from the source model to the target's."""

import hashlib
from typing import Literal

from rnnlm.config import Adaptation, ClassifierTraining, LanguageModelTraining, Model, Trainable, WordMap
from rnnlm.refs import CheckpointRef, ForgettingRef, ScoreRef, TokensRef
from rnnlm.store import file_sha256
from rnnlm.tasks.cell import classifier_cell, language_model_cell, tradition_cell
from rnnlm.tasks.step import output_folder, step
from rnnlm.tracking import step_run


@step(version=5, run_name="finetune language model, {arm}")
def finetune_language_model(
    arm: str,
    source: CheckpointRef,
    training: LanguageModelTraining | None,
    model: Model,
    word_map: WordMap,
    tokens: TokensRef,
    seed: int,
    parent_run_id: str,
) -> ScoreRef:
    """Fine-tune the source language model on the target text.

    Args:
        arm: Name of the arm.
        source: The source language model.
        training: Epochs, batch, learning rate; none: the source model is scored as it is.
        model: Widths, layers, dropout.
        word_map: What words start from that the source does not know.
        tokens: The target text.
        seed: Seed of the order and dropout.
        parent_run_id: MLflow run of the flow run.
    """
    return language_model_cell(arm, source, training, model, tokens, seed, parent_run_id, word_map)


@step(version=7, run_name="finetune classifier, {arm}, {labels} labels, seed {seed}")
def finetune_classifier(
    arm: str,
    start: CheckpointRef | ScoreRef | None,
    trainable: Trainable,
    training: ClassifierTraining,
    model: Model,
    word_map: WordMap,
    tokens: TokensRef,
    labels: int,
    seed: int,
    beside: LanguageModelTraining | None,
    beside_text: Literal["target_text", "source_text"] | None,
    source_text: TokensRef | None,
    parent_run_id: str,
) -> ScoreRef:
    """Train a classifier of the target on the encoder of a source model, or together with one.

    Args:
        arm: Name of the arm.
        start: The source model, or the language model that was fine-tuned from it; none: random weights.
        trainable: All weights, the head alone, or linear maps of the encoder's weights and the head.
        training: Epochs, batch, learning rates.
        model: Widths, layers, dropout.
        word_map: What words start from that the encoder does not know.
        tokens: The target's documents.
        labels: Number of labelled training documents.
        seed: Seed of the label subset, the head, the order and dropout.
        beside: How text is read beside the labels; none: none is.
        beside_text: Which text that is.
        source_text: The source's text over the target's vocabulary, where it is read beside the labels or asked which
            weights matter to it.
        parent_run_id: MLflow run of the flow run.
    """
    text = tokens if beside_text == "target_text" else source_text
    return classifier_cell(
        arm,
        start,
        trainable,
        training,
        model,
        tokens,
        labels,
        seed,
        parent_run_id,
        word_map,
        beside=(text, beside) if text and beside else None,
        known_text=source_text,
    )


@step(version=2, run_name="average classifiers, {arm}, {labels} labels, seed {seed}")
def average_classifiers(
    arm: str, cells: list[ScoreRef], tokens: TokensRef, labels: int, seed: int, parent_run_id: str
) -> ScoreRef:
    """Average the probabilities of classifiers.

    Args:
        arm: Name of the arm.
        cells: The classifiers' cells.
        tokens: The target's documents.
        labels: Number of labels that they were trained on.
        seed: Their seed.
        parent_run_id: MLflow run of the flow run.
    """
    from rnnlm.transfer.ensemble import fit_ensemble

    return tradition_cell(
        "classifier",
        arm,
        labels,
        seed,
        tokens,
        parent_run_id,
        {"of": [cell.arm for cell in cells]},
        lambda folder: fit_ensemble([cell.path for cell in cells], tokens, folder),
    )


@step(version=2, run_name="mix language model, {arm}")
def mix_with_ngrams(
    arm: str, language_model: ScoreRef, order: int, tokens: TokensRef, seed: int, parent_run_id: str
) -> ScoreRef:
    """Interpolate a language model with Kneser-Ney; the validation split chooses the weights.

    Args:
        arm: Name of the arm.
        language_model: The recurrent language model.
        order: Tokens of the longest n-grams.
        tokens: The target text.
        seed: Seed of the cells that it is compared with; nothing here is random.
        parent_run_id: MLflow run of the flow run.
    """
    from rnnlm.transfer.tradition import fit_mixture

    return tradition_cell(
        "language_model",
        arm,
        0,
        seed,
        tokens,
        parent_run_id,
        {"order": order},
        lambda folder: fit_mixture(language_model.path, order, tokens, folder),
    )


@step(version=3, run_name="adapt language model, {arm}")
def adapt_language_model(
    arm: str, kind: Adaptation, language_model: ScoreRef, tokens: TokensRef, seed: int, parent_run_id: str
) -> ScoreRef:
    """Score the source language model while it adapts to what it reads, with no training before.

    Args:
        arm: Name of the arm.
        kind: How it adapts.
        language_model: The source model over the target's vocabulary.
        tokens: The target text.
        seed: Seed of the cells that it is compared with; nothing here is random.
        parent_run_id: MLflow run of the flow run.
    """
    from rnnlm.transfer.adaptation import fit_adaptation

    return tradition_cell(
        "language_model",
        arm,
        0,
        seed,
        tokens,
        parent_run_id,
        {"adaptation": kind},
        lambda folder: fit_adaptation(kind, language_model.path, tokens, folder),
    )


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
