"""Step 6: the same without the source."""

from typing import Literal

from rnnlm.config import ClassifierTraining, ClassWeights, LanguageModelTraining, Model, Select
from rnnlm.refs import DocumentsRef, ScoreRef, TokensRef
from rnnlm.tasks.cell import classifier_cell, language_model_cell, tradition_cell
from rnnlm.tasks.step import step


@step(version=5, run_name="baseline language model, {arm}")
def baseline_language_model(
    arm: str, training: LanguageModelTraining, model: Model, tokens: TokensRef, seed: int, parent_run_id: str
) -> ScoreRef:
    """Train a language model of the target text from scratch, as the fine-tuned one is trained.

    Args:
        arm: Name of the arm.
        training: Epochs, batch, learning rate.
        model: Widths, layers, dropout.
        tokens: The target text.
        seed: Seed of the initial weights, the order and dropout.
        parent_run_id: MLflow run of the flow run.
    """
    return language_model_cell(arm, None, training, model, tokens, seed, parent_run_id)


@step(version=7, run_name="baseline classifier, {arm}, {labels} labels, seed {seed}")
def baseline_classifier(
    arm: str,
    start: ScoreRef | None,
    training: ClassifierTraining,
    model: Model,
    tokens: TokensRef,
    labels: int,
    seed: int,
    parent_run_id: str,
) -> ScoreRef:
    """Train a classifier of the target that knows nothing of the source, as the fine-tuned one is trained.

    Args:
        arm: Name of the arm.
        start: A language model of the target text alone; none: random weights.
        training: Epochs, batch, learning rates.
        model: Widths, layers, dropout.
        tokens: The target's documents.
        labels: Number of labelled training documents.
        seed: Seed of the label subset, the initial weights, the order and dropout.
        parent_run_id: MLflow run of the flow run.
    """
    # What such a language model knows is the target's text.
    known = tokens if start is not None else None
    return classifier_cell(arm, start, "all", training, model, tokens, labels, seed, parent_run_id, known_text=known)


@step(version=2, run_name="baseline n-grams, {arm}")
def baseline_ngram(
    arm: Literal["kneser_ney", "good_turing"], order: int, tokens: TokensRef, seed: int, parent_run_id: str
) -> ScoreRef:
    """Count an n-gram language model of the target text.

    Args:
        arm: Its smoothing, and the arm's name.
        order: Tokens of the longest n-grams.
        tokens: The target text.
        seed: Seed of the cells that it is compared with; nothing here is random.
        parent_run_id: MLflow run of the flow run.
    """
    from rnnlm.transfer.tradition import fit_ngram

    return tradition_cell(
        "language_model",
        arm,
        0,
        seed,
        tokens,
        parent_run_id,
        {"order": order},
        lambda folder: fit_ngram(arm, order, tokens, folder),
    )


@step(version=4, run_name="baseline classifier, {arm}, {labels} labels, seed {seed}")
def baseline_tfidf(
    arm: str,
    documents: DocumentsRef,
    tokens: TokensRef,
    class_weights: ClassWeights,
    select: Select,
    labels: int,
    seed: int,
    parent_run_id: str,
) -> ScoreRef:
    """Train logistic regression on TF-IDF of the target's words.

    Args:
        arm: Name of the arm.
        documents: The target's documents, with their text.
        tokens: The same, encoded.
        class_weights: Whether rare classes count more in training, as for the other classifiers.
        select: What is chosen by on validation, as for the other classifiers.
        labels: Number of labelled training documents.
        seed: Seed of the label subset.
        parent_run_id: MLflow run of the flow run.
    """
    from rnnlm.transfer.tradition import fit_tfidf

    return tradition_cell(
        "classifier",
        arm,
        labels,
        seed,
        tokens,
        parent_run_id,
        {"class_weights": class_weights, "select": select},
        lambda folder: fit_tfidf(documents, tokens, labels, seed, folder, class_weights=class_weights, select=select),
    )
