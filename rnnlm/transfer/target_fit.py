"""What a model of the target task is trained or solved from, and how it is written: the same for both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rnnlm.evaluation.verdict import Point
from rnnlm.experiment import Validation
from rnnlm.model.checkpoint import Checkpoint, Description, Weights, get_weights
from rnnlm.model.target_model import TargetModel
from rnnlm.refs import DocumentsRef, TokensRef
from rnnlm.settings import LanguageModelTraining, Model, TargetTraining, Trainable, WordMap, trains_all
from rnnlm.targets import TARGETS, Said
from rnnlm.tokens import Text
from rnnlm.training.target_model import reusable_target_model
from rnnlm.transfer.cell import target_metrics, target_predictions, write_cell
from rnnlm.transfer.start import encoder_weights, head_weights


class BesideText(NamedTuple):
    """Text that an encoder is trained on while labels are learnt.

    Attributes:
        tokens: The text, over the target's vocabulary.
        training: How it is read.
    """

    tokens: TokensRef
    training: LanguageModelTraining


@dataclass(frozen=True)
class TargetFit:
    """All that a model of the target task depends on.

    Attributes:
        settings: Widths, layers, dropout.
        tokens: The labelled documents.
        training: Epochs, batch, learning rates.
        seed: Seed of the subset of labels, the initial weights, the order and dropout.
        labels: The number of labels; if None, all of the training split.
        validation: Which of them choose the model; if None, the whole validation split.
        documents: The target's documents, if they may have groups.
        start: Folder of a model whose encoder to start from. None: from scratch.
        trainable: All weights; the head alone; the head, which is solved, and then all weights; or linear maps of the
            encoder's weights, and the head.
        word_map: How words come to their rows that the start does not know.
        beside: Text that the encoder is trained on in between; if None, it is trained on the labels alone.
        known_text: What the start knows, over the target's vocabulary, for ways of fine-tuning that ask how much each
            weight matters to it.
    """

    settings: Model
    tokens: TokensRef
    training: TargetTraining
    seed: int
    labels: int | None = None
    validation: Validation | None = None
    documents: DocumentsRef | None = None
    start: Path | None = None
    trainable: Trainable = "all"
    word_map: WordMap = "exact"
    beside: BesideText | None = None
    known_text: TokensRef | None = None

    @property
    def tuned(self) -> bool:
        """Whether all weights of a pretrained encoder are trained, so that ways of fine-tuning apply."""
        return self.start is not None and trains_all(self.trainable)

    def model(self, training: TargetTraining) -> TargetModel:
        """Return the model, which other cells of its architecture use, too."""
        size, classes = self.tokens.vocabulary_size, len(self.tokens.labels)
        return reusable_target_model(self.settings, type(training), training.model_dump_json(), size, classes)

    def initial_weights(self, mapped: Weights, seed: int) -> Weights:
        """Return what a training begins with.

        Args:
            mapped: The weights of the start over the target's vocabulary; empty if there is none.
            seed: Seed of the weights that the start lacks.
        """
        size, labels = self.tokens.vocabulary_size, self.tokens.labels
        fresh = get_weights(TargetModel(self.settings, self.training, size, len(labels), seed))
        initial = fresh | encoder_weights(mapped, self.settings)
        if self.start is None:
            return initial
        # A head belongs to its labels: where the target has others, it starts anew.
        return initial | head_weights(self.start, mapped, labels, fresh, self.settings, self.training)


def write_fitted(
    fit: TargetFit,
    model: TargetModel,
    weights: Weights,
    on_valid: tuple[Text, Said],
    on_test: tuple[Text, Said],
    chosen: dict[str, float],
    coverage: dict[str, float],
    history: Sequence[Point],
    final: Path,
) -> tuple[str, dict[str, float]]:
    """Write the cell of a model that is a checkpoint.

    Args:
        fit: What it was made from.
        model: The model.
        weights: Its weights.
        on_valid: The documents that chose it, and what it said of them.
        on_test: The same of the test split.
        chosen: Scores on the documents that chose it, and what they chose.
        coverage: What each rung of the word map took.
        history: Its learning curve.
        final: Folder to write.

    Returns:
        The digest of weights and predictions, and all metrics.
    """
    training, task = fit.training, TARGETS[fit.training.model]
    metrics = target_metrics(task, on_valid, on_test, chosen) | coverage
    description = Description(
        kind=training.model,
        settings=fit.settings,
        vocabulary_size=fit.tokens.vocabulary_size,
        labels=fit.tokens.labels,
        temperature=metrics.get("valid/temperature", 1.0),
        head=model.task_head.description(),
        **{training.model: training},
    )
    tables = (target_predictions(task, *on_valid), target_predictions(task, *on_test))
    checkpoint = Checkpoint(description, weights)
    return write_cell(final, *tables, metrics, list(history), checkpoint, fit.tokens.tokenizer), metrics
