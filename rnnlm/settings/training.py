"""How models are trained."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from rnnlm.settings.base import Settings, field
from rnnlm.settings.model import Dropout


class LanguageModelTraining(Settings):
    """How a language model is trained, from scratch or from a source model."""

    epochs: float = field("Passes over the training tokens; may be a fraction.", default=0.75, gt=0.0, le=1_000.0)
    extend: list[Annotated[float, Field(gt=0.0, le=1_000.0)]] = field(
        "Further passes after a finished training, a schedule each: the finished part is not trained again.",
        default=[],
    )
    batch_size: int = field("Rows of the token stream read side by side.", default=32, ge=1, le=4_096)
    accumulate: int = field("Windows whose mean gradient makes one update.", default=1, ge=1, le=1_024)
    window: int = field("Tokens of back-propagation through time; the state is carried on.", default=64, ge=2, le=2_048)
    vary_window: bool = field(
        "Draw the length of each window around `window` (5 % around its half), the learning rate in proportion.",
        default=False,
    )
    optimizer: Literal["adamw", "sgd"] = field("AdamW, or plain stochastic gradient descent.", default="adamw")
    schedule: Literal["one_cycle", "slanted_triangular", "cosine", "constant"] = field(
        "How the learning rate goes from step to step.", default="one_cycle"
    )
    learning_rate: float = field("Highest learning rate of the schedule.", default=0.015, gt=0.0, le=100.0)
    weight_decay: float = field(
        "Decoupled weight decay, as a share of the learning rate.", default=0.01, ge=0.0, le=1.0
    )
    clip_norm: float = field("Largest global norm of the gradient.", default=1.0, gt=0.0, le=1_000.0)
    activation_penalty: float = field(
        "AR: weight of the mean square of the last layer's dropped outputs, in training only.", default=0.0, ge=0.0
    )
    temporal_penalty: float = field(
        "TAR: weight of the mean square of the change of the last layer's outputs, in training only.",
        default=0.0,
        ge=0.0,
    )
    averaging: Literal["none", "ema", "nt_asgd"] = field(
        "Which weights are evaluated and kept. ema: an exponential average. nt_asgd: the mean since validation stopped "
        "getting better.",
        default="none",
    )
    ema_decay: float = field("Decay of the exponential average, a step.", default=0.999, gt=0.0, lt=1.0)
    evaluations: int = field(
        "Evaluations on the validation split in all; the best is kept.", default=3, ge=1, le=10_000
    )
    trigger_after: int = field(
        "nt_asgd: averaging begins when an evaluation is worse than the best but for the last ones."
        " This is how many those are.",
        default=5,
        ge=1,
        le=1_000,
    )
    patience: int | None = field(
        "Stop after this number of evaluations in a row that were no better than the best; if null, never.",
        default=None,
        ge=1,
    )
    precision: Literal["auto", "float32", "bfloat16"] = field(
        "Type of the large products. auto: bfloat16 where a short measurement shows that this machine is faster so.",
        default="auto",
    )
    halve_on_divergence: bool = field(
        "Where the loss is no longer a number, go on once from the best weights so far, at half the learning rate.",
        default=False,
    )
    save_every: float = field(
        "Seconds between saved training states (more where a save takes long); 0: after every step.",
        default=60.0,
        ge=0.0,
        le=86_400.0,
    )

    @model_validator(mode="after")
    def _has_enough_evaluations(self) -> "LanguageModelTraining":
        evaluations = self.evaluations * (1 + len(self.extend))
        if self.averaging == "nt_asgd" and evaluations < self.trigger_after + 2:
            raise ValueError(
                f"averaging nt_asgd with trigger_after {self.trigger_after} never begins in {evaluations} evaluations: "
                f"give {self.trigger_after + 2} or more"
            )
        if self.patience is not None and self.patience >= self.evaluations:
            raise ValueError(f"patience {self.patience} is never used up in {self.evaluations} evaluations: give more")
        return self


class Maps(Settings):
    """Linear maps of the source's weights, theta_t = theta_s + T(theta_s), which are zero at the start."""

    kind: Literal["multiplicative", "additive", "diagonal", "full"] = field(
        "multiplicative: W + U V W, of low rank. additive: W + A B, of low rank. diagonal: a factor for each unit. "
        "full: W + M W. The embedding is mapped from the right, as word vectors; biases get a factor for each unit.",
        default="multiplicative",
    )
    rank: int = field("Rank of the maps of low rank.", default=16, ge=1, le=4_096)
    of: Literal["all", "kernels"] = field(
        "What is mapped. all: every weight of the encoder. kernels: those of the recurrent layers; embedding and "
        "biases are trained beside them as they are.",
        default="all",
    )


class FineTuning(Settings):
    """One way to train the weights of a pretrained encoder on labels, so that what it knows is not lost."""

    layer_factor: float = field(
        "Discriminative rates: the learning rate of each layer is that of the layer above it over this factor. 1: all "
        "alike; 2.6: ULMFiT.",
        default=1.0,
        ge=1.0,
        le=100.0,
    )
    unfreezing: Literal["none", "head_first", "gradual", "chain_thaw"] = field(
        "What is trained in the first half of the steps; then all is. head_first: the head. gradual: one layer more "
        "after the other, from the top. chain_thaw: the head, then each layer by itself, from the bottom.",
        default="none",
    )
    stay_near: float = field(
        "L2-SP: decay of the encoder's weights towards those it starts from, as a share of the learning rate, in place "
        "of weight_decay; 0: off.",
        default=0.0,
        ge=0.0,
        le=100.0,
    )
    importance: Literal["alike", "fisher"] = field(
        "Which weights stay near. alike: all of them. fisher: those most that matter most to the source's text (EWC).",
        default="alike",
    )
    average: bool = field(
        "WiSE-FT: the encoder becomes a mean of the weights before and after; validation chooses the share.",
        default=False,
    )

    @model_validator(mode="after")
    def _stays_near(self) -> "FineTuning":
        if self.importance == "fisher" and not self.stay_near:
            raise ValueError(
                "`importance: fisher` says how `stay_near` holds the weights, and that is 0: give it a strength"
            )
        return self


# What `fine_tuning: auto` tries: the ways that differ most.
AUTO = [
    FineTuning(),
    FineTuning(layer_factor=2.6, unfreezing="gradual"),
    FineTuning(unfreezing="head_first"),
    FineTuning(stay_near=1.0),
]
# How a language model adapts to a text while it reads it, without training before.
Adaptation = Literal["cache", "dynamic"]
# How the words of a target with a vocabulary of its own come to their first rows.
WordMap = Literal["exact", "pieces", "neighbours", "linear"]
# What is trained: all weights; the head alone; the head, which is solved, and then all weights; or linear maps of the
# encoder's weights, and the head.
Trainable = Literal["all", "head", "solved head, then all", "maps"]


def trains_all(trainable: Trainable) -> bool:
    """Return whether all weights are trained."""
    return trainable in ("all", "solved head, then all")


# How much the training loss of a document counts.
ClassWeights = Literal["none", "balanced"]


class TargetTraining(Settings):
    """How a model of a target task is trained on the encoder of a language model, or on a fresh one.

    Attributes:
        task: The target task. Each has settings of its own.
        model: What its models are called.
        solved: The arms whose models are solved, not trained; the first is what the tradition has for it.
    """

    task: ClassVar[str]
    model: ClassVar[str]
    solved: ClassVar[tuple[str, ...]] = ("tfidf", "embeddings")

    epochs: int = field("Passes over the labelled training documents.", default=2, ge=1, le=1_000)
    min_steps: int = field("Steps at least, for few labels: more epochs are added.", default=60, ge=1, le=1_000_000)
    batch_size: int = field("Documents a step.", default=32, ge=2, le=4_096)
    learning_rates: list[Annotated[float, Field(gt=0.0, le=1.0)]] = field(
        "Peaks of the one-cycle schedule to try, for every arm that is trained; validation chooses.",
        default=[5e-3],
        min_length=1,
    )
    weight_decay: float = field(
        "Decoupled weight decay, as a share of the learning rate.", default=0.01, ge=0.0, le=1.0
    )
    clip_norm: float = field("Largest global norm of the gradient.", default=1.0, gt=0.0, le=1_000.0)
    evaluations: int = field(
        "Evaluations in all on the documents that choose; the best is kept. In a cross-validation there is one, at the "
        "end.",
        default=2,
        ge=1,
        le=1_000,
    )
    max_tokens: int = field(
        "Longest document, in tokens; of a longer one the end is read (by the arm `backward`, the beginning).",
        default=256,
        ge=4,
        le=65_536,
    )
    pooling: str = field("Which states a label is predicted from.", default="concat")
    layers: Literal["last", "mixed"] = field(
        "What is pooled. last: the last layer's states. mixed: those of the embedding and of all layers, side by side, "
        "each times a weight that is learnt (after ELMo); where the encoder is frozen, the head weights them.",
        default="last",
    )
    normalise: bool = field("Batch normalisation of the pooled states before the head.", default=True)
    dropout: float = field("Share of pooled features dropped before the head.", default=0.2, ge=0.0, le=0.9)
    encoder_dropout: Dropout | None = field(
        "What is dropped in the encoder while labels are learnt. None: as in the language model.", default=None
    )
    fine_tuning: list[FineTuning] = field(
        "Ways to train all weights of a pretrained encoder; each is tried with each learning rate, and validation "
        "chooses. A trained arm that has no use for them is tried as often, with other random numbers. auto: all at "
        "one rate, gradual with discriminative rates, head first, and L2-SP: four times the work.",
        default=[FineTuning()],
        min_length=1,
    )
    maps: Maps = field("Linear maps of the source's weights, for the arm `linear_map`.", default=Maps())
    precision: Literal["auto", "float32", "bfloat16"] = field(
        "Type of the large products. auto: bfloat16 where a short measurement shows that this machine is faster so.",
        default="auto",
    )
    select: str = field("What the best checkpoint is best in, on validation.")

    @property
    def needs_fisher(self) -> bool:
        """Whether a way of fine-tuning asks how much each weight matters to the source's text."""
        return any(way.importance == "fisher" for way in self.fine_tuning)

    @field_validator("fine_tuning", mode="before")
    @classmethod
    def _auto(cls, ways: object) -> object:
        return AUTO if ways == "auto" else ways


# Which states of a document its label is predicted from.
Pooling = Literal["concat", "last"]
_POOLING = "concat: last state, maximum and mean over the true length. last: the last state."


class ClassifierTraining(TargetTraining):
    """How a classifier is trained."""

    task, model, solved = "classification", "classifier", ("tfidf", "nbsvm", "embeddings")

    pooling: Pooling = field(_POOLING, default="concat")
    class_weights: ClassWeights = field(
        "balanced: each class counts the same in the training loss, however few documents it has. none: each document.",
        default="none",
    )
    select: Literal["accuracy", "macro_f1", "nll"] = field(
        "What the best checkpoint is best in, on validation.", default="accuracy"
    )
    label_smoothing: float = field(
        "Share of each label's probability that training spreads over all classes.", default=0.0, ge=0.0, le=0.5
    )


class RegressorTraining(TargetTraining):
    """How a model that predicts a number is trained."""

    task, model = "regression", "regressor"

    pooling: Pooling = field(_POOLING, default="concat")
    select: Literal["mae", "rmse", "spearman"] = field(
        "What the best checkpoint is best in, on validation. mae: the mean absolute error. rmse: the root of the mean "
        "squared error. spearman: the rank correlation.",
        default="mae",
    )


class TaggerTraining(TargetTraining):
    """How a model that tags words is trained."""

    task, model, solved = "tagging", "tagger", ("crf",)

    pooling: Literal["word"] = field(
        "word: the state behind the last piece of each word, where the whole word has been read; of models that read "
        "backwards, behind its first piece.",
        default="word",
    )
    max_tokens: int = field(
        "Longest document, in tokens: it is read whole, and a longer one is an error.", default=1_024, ge=4, le=65_536
    )
    class_weights: ClassWeights = field(
        "balanced: each tag counts the same in the training loss, however few words have it. none: each word.",
        default="none",
    )
    select: Literal["entity_f1", "token_accuracy", "nll"] = field(
        "What the best checkpoint is best in, on validation.", default="entity_f1"
    )
    label_smoothing: float = field(
        "Share of each tag's probability that training spreads over all tags.", default=0.0, ge=0.0, le=0.5
    )
