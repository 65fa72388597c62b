"""What an arm of a comparison is: how its models come about, what they need, and how it is called."""

from dataclasses import dataclass
from typing import Literal

from rnnlm.settings import Adaptation, Trainable

# What a model starts from: the source model as it is, or a language model of the target's text, which was trained from
# scratch or from the source.
Start = Literal["source", "target_text", "fine_tuned_source"]
# Text that an encoder reads while it learns labels.
Beside = Literal["target_text", "source_text"]
Smoothing = Literal["kneser_ney", "good_turing"]
SolvedModel = Literal["tfidf", "nbsvm", "embeddings", "crf"]


@dataclass(frozen=True)
class TrainedLanguageModel:
    """A recurrent language model that is trained on the target's text.

    Attributes:
        start: What it starts from; None: random weights.
        backward: Whether it reads from the last token to the first, as does the source model that it starts from.
    """

    start: Literal["source"] | None = None
    backward: bool = False


@dataclass(frozen=True)
class AsItIs:
    """The source model, scored on the target without training: a language model on its text, a classifier on labels."""


@dataclass(frozen=True)
class Adapted:
    """A language model that adapts to a text while it reads it.

    Attributes:
        arm: The language model.
        kind: How it adapts.
    """

    arm: str
    kind: Adaptation


@dataclass(frozen=True)
class Counted:
    """An n-gram model of the target's text."""

    smoothing: Smoothing


@dataclass(frozen=True)
class MixedWithNgrams:
    """A language model interpolated with Kneser-Ney.

    Attributes:
        arm: The language model.
    """

    arm: str


@dataclass(frozen=True)
class Trained:
    """A recurrent model of the target task that is trained on labelled documents.

    Attributes:
        start: What its encoder starts from; None: random weights. Where the experiment trains no language model of the
            target, `fine_tuned_source` is the source model as it is.
        trainable: What is trained: all weights; the head alone; the head, which is solved, and then all weights; or
            linear maps of the encoder's weights, and the head.
        beside: Text that the encoder goes on being trained on while the labels are learnt.
        mixed: Whether the states of all layers are pooled, not those of the last alone (`layers: mixed`).
        backward: Whether all models read from the last token to the first, from the source on.
    """

    start: Start | None = None
    trainable: Trainable = "all"
    beside: Beside | None = None
    mixed: bool = False
    backward: bool = False


@dataclass(frozen=True)
class Solved:
    """A model of each document that is linear in its features, solved to its optimum.

    Attributes:
        model: A linear model on TF-IDF, NB-SVM, a linear model on vectors that come with the documents, or a
            conditional random field. Each is for target tasks that name it.
        source_labels: Whether it learns the source's labels, too: documents of the same classes.
    """

    model: SolvedModel = "tfidf"
    source_labels: bool = False


@dataclass(frozen=True)
class MeanOf:
    """The mean of what other arms say, with the same labels and seed.

    Attributes:
        arms: Their names; empty if the experiment names them (`comparison.mean_of`).
        weighted: Whether validation weights them, classifiers by their logits. If not, it is the plain mean,
            of classifiers that of their probabilities.
    """

    arms: tuple[str, ...] = ()
    weighted: bool = False


LanguageModelFit = TrainedLanguageModel | AsItIs | Adapted | Counted | MixedWithNgrams
TargetFit = Trained | AsItIs | Solved | MeanOf


@dataclass(frozen=True)
class Arm:
    """One way to come to a model of the target.

    Attributes:
        name: Its name in experiments and verdicts.
        title: Its name in tables and legends.
        phrase: Its name in sentences.
        look: Place of its colour and marker; arms of one figure have different ones.
        transfer: Whether it hands something of the source on, and that is all that sets it apart from scratch. The
            others are baselines, the source as it is, and mixtures and means of models, whose gain is not transfer's
            alone.
        tradition: Whether it is what recurrent models are measured against, besides scratch.
        language_model: How its language model comes about; None if it has none.
        target: How its model of the target task comes about; None if it has none.
    """

    name: str
    title: str
    phrase: str
    look: int
    transfer: bool = False
    tradition: bool = False
    language_model: LanguageModelFit | None = None
    target: TargetFit | None = None

    @property
    def mixture(self) -> bool:
        """Whether it is made of other arms' models."""
        return isinstance(self.language_model, MixedWithNgrams) or isinstance(self.target, MeanOf)

    @property
    def seedless(self) -> bool:
        """Whether every seed gives the same language model."""
        return isinstance(self.language_model, AsItIs | Adapted | Counted)

    @property
    def backward(self) -> bool:
        """Whether its model reads from the last token to the first."""
        return isinstance(self.target, Trained) and self.target.backward

    @property
    def without_target_text(self) -> bool:
        """Whether it is a way of transfer that has not read the target's text but for its labelled documents.

        What the source adds to the target's own text cannot be seen in such an arm.
        """
        fit = self.target
        return (
            self.transfer
            and isinstance(fit, Trained)
            and fit.start != "fine_tuned_source"
            and (fit.beside != "target_text")
        )
