"""Step 5: from the source model to the target's."""

from rnnlm.config import ClassifierTraining, LanguageModelTraining, Model, Trainable, WordMap
from rnnlm.refs import CheckpointRef, ScoreRef, TokensRef
from tasks.cell import classifier_cell, language_model_cell, tradition_cell
from tasks.step import step


@step(version=4, run_name="finetune language model, {arm}")
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


@step(version=4, run_name="finetune classifier, {arm}, {labels} labels, seed {seed}")
def finetune_classifier(
    arm: str,
    start: CheckpointRef | ScoreRef,
    trainable: Trainable,
    training: ClassifierTraining,
    model: Model,
    word_map: WordMap,
    tokens: TokensRef,
    labels: int,
    seed: int,
    parent_run_id: str,
) -> ScoreRef:
    """Train a classifier of the target on the encoder of a source model.

    Args:
        arm: Name of the arm.
        start: The source model, or the language model that was fine-tuned from it.
        trainable: All weights, the head alone, or linear maps of the encoder's weights and the head.
        training: Epochs, batch, learning rates.
        model: Widths, layers, dropout.
        word_map: What words start from that the encoder does not know.
        tokens: The target's documents.
        labels: Number of labelled training documents.
        seed: Seed of the label subset, the head, the order and dropout.
        parent_run_id: MLflow run of the flow run.
    """
    return classifier_cell(arm, start, trainable, training, model, tokens, labels, seed, parent_run_id, word_map)


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
