"""Step 6: the same without the source."""

from rnnlm.config import ClassifierTraining, LanguageModelTraining, Model
from rnnlm.refs import ScoreRef, TokensRef
from tasks.cell import classifier_cell, language_model_cell
from tasks.step import step


@step(version=3, run_name="baseline language model, {arm}")
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


@step(version=3, run_name="baseline classifier, {arm}, {labels} labels, seed {seed}")
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
    return classifier_cell(arm, start, "all", training, model, tokens, labels, seed, parent_run_id)
