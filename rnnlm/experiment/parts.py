"""The parts of an experiment: what is learnt first, what it is to help, and what is compared."""

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from rnnlm.arms import ArmName
from rnnlm.settings import (
    Adaptation,
    ClassifierTraining,
    Corpus,
    LanguageModelTraining,
    RegressorTraining,
    Settings,
    TaggerTraining,
    Tokenizer,
    WordMap,
    field,
)

if TYPE_CHECKING:
    from rnnlm.targets import TargetTask


class Source(Settings):
    """What is learnt first: a language model of the source text, or a classifier of labelled source documents."""

    task: Literal["language_model", "classification"] = field("The source task.", default="language_model")
    corpus: Corpus = field("The source text.")
    tokenizer: Tokenizer = field("The source's tokenizer.", default=Tokenizer(kind="bpe", vocabulary_size=5_000))
    language_model: LanguageModelTraining = field(
        "Training of the source language model.", default=LanguageModelTraining()
    )
    classifier: ClassifierTraining = field(
        "Training of the source classifier (task: classification).", default=ClassifierTraining()
    )

    @model_validator(mode="after")
    def _has_labels(self) -> "Source":
        if self.task == "classification" and not self.corpus.labelled:
            raise ValueError("source.corpus.label: a classification source needs a label column or label_pattern")
        return self


class Target(Settings):
    """The task to be helped: labelled documents, and their text for the language model; or text alone."""

    task: Literal["classification", "regression", "tagging"] = field(
        "What the labels are. classification: classes. regression: numbers. tagging: tags of words, which mark "
        "entities.",
        default="classification",
    )
    corpus: Corpus = field("The target text.")
    tokenizer: Tokenizer | None = field(
        "The target's own tokenizer: rows of shared words are copied. None: the source's tokenizer.",
        default=None,
    )
    word_map: WordMap = field(
        "What words that only the target has start from, where it has its own tokenizer. exact: the mean row. pieces: "
        "the mean of the source's pieces of the word. neighbours: the nearest shared words in a space learnt from the "
        "target text. linear: a linear map from that space, fitted on the shared words. Rare words: their pieces.",
        default="linear",
    )
    language_model: LanguageModelTraining | None = field(
        "Fine-tuning of the language model on the target text (and its baseline from scratch). None: left out.",
        default=LanguageModelTraining(epochs=2.0, learning_rate=0.01, evaluations=2),
    )
    ngram_order: int | None = field(
        "Tokens of the longest n-grams of the traditional language models (Kneser-Ney, Good-Turing) that the recurrent "
        "ones are compared and mixed with; if null, they are left out.",
        default=5,
        ge=1,
        le=6,
    )
    adaptations: list[Adaptation] = field(
        "Cheap rivals of fine-tuning the language model: the source model that adapts while it reads. cache: what "
        "was in the document before becomes likelier. dynamic: it learns from what it has read (slower).",
        default=["cache"],
    )
    classifier: ClassifierTraining = field(
        "Training of the target classifier (task: classification).", default=ClassifierTraining()
    )
    regressor: RegressorTraining = field(
        "Training of the model that predicts a number (task: regression).", default=RegressorTraining()
    )
    tagger: TaggerTraining = field("Training of the model that tags words (task: tagging).", default=TaggerTraining())

    @model_validator(mode="after")
    def _trains_as_its_task(self) -> "Target":
        for other in self._trainings:
            if other.task != self.task and other != type(other)():
                raise ValueError(
                    f"target.{other.model}: it is for the task {other.task}, and target.task is {self.task}: use "
                    f"target.{self.training.model}, or change target.task"
                )
        return self

    @model_validator(mode="after")
    def _words_have_tags(self) -> "Target":
        for name in ("labels", "label_pattern"):
            if self.task == "tagging" and getattr(self.corpus, name):
                raise ValueError(
                    f"target.corpus.{name}: it is for documents with one label, and target.task is tagging: leave "
                    f"`{name}` out"
                )
        return self

    @property
    def _trainings(self) -> tuple[ClassifierTraining, RegressorTraining, TaggerTraining]:
        return self.classifier, self.regressor, self.tagger

    @property
    def training(self) -> ClassifierTraining | RegressorTraining | TaggerTraining:
        """How models of the target task are trained."""
        return next(training for training in self._trainings if training.task == self.task)

    @property
    def target_task(self) -> "TargetTask":
        """The target task."""
        # Imported here: NumPy is not for those who only read settings.
        from rnnlm.targets import TASKS

        return TASKS[self.task]


# Seeds of a comparison that gets more while it is open: at first, and by how much they grow, at least by two. So it is
# looked at with 3, 5, 7 and 10. Two seeds say too little of how much seeds differ for a look at them to pay.
FIRST_SEEDS, SEEDS_GROW = 3, 1.4
Seeds = Annotated[int, Field(ge=1, le=100)]


class Comparison(Settings):
    """What is compared with what, and how often."""

    arms: list[ArmName] = field(
        "How models of the target task are trained; empty, or a target without labels: none is, language models alone "
        "are compared. scratch: random start, what the others are measured against. tfidf: a linear model on TF-IDF "
        "of words (logistic regression, or ridge regression for numbers). nbsvm: for classes, a linear model on word "
        "n-grams, weighted by how much more often they occur in a class than elsewhere. embeddings: a linear model on "
        "the vectors in target.corpus.vector, which another model has made of the documents. tfidf_source: as tfidf, "
        "trained on the source's labels as well, where source.task is classification and the source has all of the "
        "target's classes. source: in the same case, the source's classifier as it is, which learns no target label. "
        "crf: a conditional random field on hand-made features; it takes the place of tfidf for tags. target_text: "
        "starts from a language model of the target text alone. parameter: starts from the source (which has read the "
        "target text, where target.language_model is given), trains all. direct: the same without the target text. "
        "auxiliary: the same, with the target text read beside the labels. multi_task: random start, source text and "
        "labels at once (each training as long as the source model's). linear_map: trains linear maps of the source's "
        "weights. feature: the source's encoder, frozen, under a linear head that is solved. lp_ft: starts with that "
        "encoder and that head, and trains all. feature_mixed: as feature, with the states of all its layers. "
        "backward: as parameter, with models that read from the end. both: the mean of these two. mean: the mean of "
        "the arms in mean_of, weighted by validation.",
        default=["scratch", "tfidf", "target_text", "parameter", "linear_map", "feature"],
    )
    mean_of: list[ArmName] = field(
        "The arms whose models the arm `mean` is made of: two or more of `arms`. For classes and tags it is the mean "
        "of their logits. Models that err on different documents are better together than each alone.",
        default=["parameter", "tfidf"],
    )
    language_models: bool = field(
        "Whether the target's language models are compared, too. Off: only those are trained that the models of these "
        "arms start from.",
        default=True,
    )
    labels: list[Annotated[int, Field(ge=2)] | Literal["all"]] = field(
        "Numbers of labelled documents that a model is trained and chosen on. all: as many as there are outside the "
        "test split.",
        default=[500, 2_000, "all"],
    )
    validation: Literal["labels", "split"] = field(
        "Which labelled documents choose a model: its learning rate, its best evaluation, its temperature, its weight "
        "in a mean. labels: some of its number of labels, as large a share as the validation split is of all labels; "
        "where these are few, cross-validation, after which the model is trained on all. So a number of labels is all "
        "that a model has seen. split: the whole validation split, beside the number of labels.",
        default="labels",
    )
    seeds: Seeds | Literal["auto"] = field(
        "Seeds at each number of labels. auto: 3, and then more for those comparisons that are still open, up to "
        "max_seeds.",
        default=3,
    )
    seeds_all: Seeds = field("Seeds where all labels are used; not used where seeds is auto.", default=1)
    seeds_language_model: Seeds | Literal["auto"] = field(
        "Seeds of the target's language models: 1, or as many as other seeds or more. With one, a verdict is about "
        "those models only, and all models of the target task that start from a language model start from this one. "
        "auto: where seeds is auto, language models get more seeds in the same way, and each seed its own.",
        default=1,
    )
    max_seeds: int = field("The most seeds where seeds is auto.", default=10, ge=FIRST_SEEDS, le=100)
    minutes: float | None = field(
        "Where seeds is auto: no more seeds are begun if all models of the target would then have taken more minutes "
        "than this, counted as if one was trained after the other. None: no limit.",
        default=None,
        gt=0.0,
        allow_inf_nan=False,
    )
    margin: float | None = field(
        "A difference that is too small to matter, in what the target task is judged by: 0.01 is one point of accuracy "
        "or F1; of numbers, in their unit. An arm is as good as the baseline if the whole interval of its gain is "
        "within the margin, and neither better nor worse. None: 0.01; for numbers, no margin.",
        default=None,
        ge=0.0,
        allow_inf_nan=False,
    )
    margin_bits: float = field(
        "The same for language models, in bits per character.", default=0.02, ge=0.0, allow_inf_nan=False
    )
    seed: int = field(
        "First seed; label subsets, initialisation and order follow from it.", default=1, ge=0, le=2**31 - 101
    )

    @model_validator(mode="after")
    def _has_a_baseline(self) -> "Comparison":
        if self.arms and "scratch" not in self.arms:
            raise ValueError("comparison.arms: the baseline `scratch` is missing; without it there is no gain to show")
        if len(self.arms) == 1:
            raise ValueError("comparison.arms: `scratch` is what others are measured against: name another arm")
        if self.arms and not self.labels:
            raise ValueError(
                "comparison.labels: models of the target task are trained (comparison.arms) on a number of labels"
            )
        if problem := self._language_model_seeds():
            raise ValueError(f"comparison.seeds_language_model: {problem}")
        if len(self.mean_of) < 2:
            raise ValueError("comparison.mean_of: a mean is made of two arms or more")
        for name, values in (("arms", self.arms), ("labels", self.labels), ("mean_of", self.mean_of)):
            if len(set(values)) != len(values):
                raise ValueError(f"comparison.{name}: a value is there twice: {values}")
        return self

    def _language_model_seeds(self) -> str:
        """Say why the seeds of language models do not fit the others; empty if they do."""
        of_models, of_labels = self.seeds_language_model, self.seeds
        if of_labels == "auto":
            return "" if of_models in (1, "auto") else "where comparison.seeds is auto, use 1 or auto"
        if of_models == "auto":
            return "it can be auto only where comparison.seeds is auto"
        if self.arms and 1 < of_models < (most := max(of_labels, self.seeds_all)):
            return (
                f"with {of_models}, some of {most} seeds would start from the same language model and others not: use "
                f"1, or {most}"
            )
        return ""

    @property
    def counts_validation(self) -> bool:
        """Whether the labelled documents that choose a model are counted in its number of labels."""
        return self.validation == "labels"

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of seeds at which the comparisons are looked at; empty if their number is fixed."""
        if self.seeds != "auto" or not (self.arms or self.seeds_language_model == "auto"):
            return ()
        looks = [FIRST_SEEDS]
        while looks[-1] < self.max_seeds:
            looks.append(min(max(looks[-1] + 2, math.ceil(SEEDS_GROW * looks[-1])), self.max_seeds))
        return tuple(looks)


class Promotion(Settings):
    """When a new target model takes the place of the one in use."""

    margin: float = field(
        "The new model becomes champion where the 95 % interval of its gain on the same test documents is above "
        "this: in accuracy or entity F1, where 0.01 is one point; of a model of numbers in mean absolute error saved; "
        "of a language model in bits per character saved.",
        default=0.0,
        ge=0.0,
        allow_inf_nan=False,
    )
    approval: bool = field(
        "Ask a person before a better model becomes champion: the run is suspended, and waits a day for the answer "
        "that *Resume* on its page asks for.",
        default=False,
    )


ExperimentName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
