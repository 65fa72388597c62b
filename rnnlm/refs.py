"""What the steps hand to each other: small typed references, never an array or a model.

A reference says where a step's output is and what it is (`sha256` of its content). The cache key of a later
step is made of the digests alone, so moving the store never computes anything again.
"""

import hashlib
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

SPLITS = ("train", "valid", "test")
Split = Literal["train", "valid", "test"]
# What a label is: one of some classes, a number, or a tag for each word.
LabelKind = Literal["class", "number", "tags"]
# What a model does: it predicts the next token, or one of the target tasks.
ModelKind = Literal["language_model", "classifier", "regressor", "tagger"]


class Ref(BaseModel):
    """One output of a step.

    Attributes:
        path: The folder that the step wrote; it is complete if it exists.
        sha256: Digest of the content that later steps read.
    """

    model_config = ConfigDict(frozen=True)

    path: Path
    sha256: str

    def __hash__(self) -> int:
        """Return a hash of the content, so that what is computed of an output can be remembered by its reference."""
        return hash(self.sha256)


class DocumentsRef(Ref):
    """Cleaned and split documents: `path/documents.parquet`.

    Attributes:
        documents: Number of documents of each split.
        labels: The classes, sorted, or the tags in the order of `rnnlm.corpus.bio`; empty for text without labels, and
            where labels are numbers.
        label_kind: What its labels are.
        labelled: Number of labelled documents of each split.
        dropped: What was taken out, by reason: files that are no data (`junk`), `blank` rows, and documents that are
            `empty`, have another `label` than those to keep, are `unlabelled` where labels to keep are given, are
            `excluded`, a `duplicate` within their split, or in an `overlap` with a later split.
        overlap: Number of texts that are in two splits, by pair of splits (`train+test`).
        duplicates: Number of duplicates among the dropped, by the split that they were in.
        vectors_sha256: Digest of the documents' vectors; empty if they have none. It is not part of `sha256`: most
            steps do not read vectors, and are not done again for others.
    """

    documents: dict[str, int]
    labels: list[str]
    label_kind: LabelKind = "class"
    labelled: dict[str, int]
    dropped: dict[str, int]
    overlap: dict[str, int]
    duplicates: dict[str, int] = {}
    vectors_sha256: str = ""

    def with_vectors(self) -> "DocumentsRef":
        """Return the same for a step that reads the vectors: its digest tells them, too."""
        both = hashlib.sha256(f"{self.sha256} {self.vectors_sha256}".encode()).hexdigest()
        return self.model_copy(update={"sha256": both})

    @property
    def file(self) -> Path:
        """The Parquet file of the documents."""
        return self.path / "documents.parquet"


class PassagesRef(Ref):
    """Test documents that share passages with what is read: `path/passages.parquet`.

    Attributes:
        source: Number of the target's test documents that share one with the source's training or validation text.
        target: The same, with the target's own.
        test: Number of the target's test documents.
    """

    source: int
    target: int
    test: int

    @property
    def file(self) -> Path:
        """The Parquet file: `id` of a document, and `text` that it shares a passage with, `source` or `target`."""
        return self.path / "passages.parquet"


class TokenizerRef(Ref):
    """What has a tokenizer, `path/tokenizer.json`; and such a tokenizer alone."""

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's file."""
        return self.path / "tokenizer.json"


class ShardRef(TokenizerRef):
    """Some of a corpus' documents, encoded: `path/tokens.arrow`, with the tokenizer beside it.

    Attributes:
        split: The split that they are of.
    """

    split: str

    @property
    def file(self) -> Path:
        """The Arrow file of the tokens."""
        return self.path / "tokens.arrow"


class TokensRef(TokenizerRef):
    """Encoded documents `path/tokens.parquet` and the tokenizer `path/tokenizer.json`.

    A large text is in several files, `path/tokens-00000.parquet` and so on; each split goes on from file to file.

    Attributes:
        tokenizer_sha256: Digest of the tokenizer's file.
        documents_sha256: Digest of the documents that were encoded.
        vocabulary_size: Number of tokens in the vocabulary, special tokens included.
        tokens: Number of tokens of each split, special tokens included.
        unknown: Number of unknown tokens of each split.
        documents: Number of documents of each split.
        labels: The classes or tags: a label is an index into them; empty where labels are numbers.
        n_files: Number of Parquet files.
    """

    tokenizer_sha256: str
    documents_sha256: str
    vocabulary_size: int
    tokens: dict[str, int]
    unknown: dict[str, int]
    documents: dict[str, int]
    labels: list[str]
    n_files: int = 1

    @property
    def files(self) -> list[Path]:
        """The Parquet files of the tokens, in the order of the documents."""
        return token_files(self.path, self.n_files)

    @property
    def file(self) -> Path:
        """What a person is shown as the place of the tokens: their Parquet file, or the folder of several."""
        return self.path if self.n_files > 1 else self.files[0]


def token_files(folder: Path, count: int) -> list[Path]:
    """Return the Parquet files of a folder, given their number; the name of a single one has no number."""
    return [folder / (f"tokens-{n:05d}.parquet" if count > 1 else "tokens.parquet") for n in range(count)]


class Texts(NamedTuple):
    """What was read and tokenized for an experiment.

    Attributes:
        source_documents: The source's documents.
        documents: The target's documents.
        passages: The target's test documents that share passages with either.
        source_tokens: The source's documents, encoded.
        tokens: The target's documents, encoded.
    """

    source_documents: DocumentsRef
    documents: DocumentsRef
    passages: PassagesRef
    source_tokens: TokensRef
    tokens: TokensRef


class CheckpointRef(TokenizerRef):
    """A trained model: `weights.safetensors`, `model.json`, `tokenizer.json`, `history.json`.

    Attributes:
        kind: What the model does.
        metrics: Scores of the best weights, by name (`valid/perplexity`).
        seconds: Wall-clock time of the training.
        busy_cores: Cores that were busy on average; of a training that was stopped, in its last process. None if it
            was not recorded.
        tokens_sha256: Digest of the tokens that it was trained on.
        recorded_as: What identifies the record of the training: its MLflow run.
    """

    kind: ModelKind
    metrics: dict[str, float]
    seconds: float
    tokens_sha256: str
    recorded_as: str
    busy_cores: float | None = None


class CellId(BaseModel):
    """Which cell of the comparison it is: an arm, a number of labels and a seed.

    Attributes:
        task: What its model does.
        arm: The way of transfer, or a baseline.
        labels: Number of labels that it was trained and chosen on; 0 for a language model.
        seed: Seed of the label subset, the initialisation and the order of documents.
    """

    model_config = ConfigDict(frozen=True)

    task: ModelKind
    arm: str
    labels: int
    seed: int

    @property
    def title(self) -> str:
        """Its name in the names of Prefect's task runs."""
        if self.task == "language_model":
            return f"language model, {self.arm}, seed {self.seed}"
        return f"{self.task}, {self.arm}, {self.labels} labels, seed {self.seed}"


class ScoreRef(Ref, CellId):
    """A cell of the comparison that is computed.

    `predictions.parquet` and `valid.parquet` hold what the arm said of each test and validation document,
    `metrics.json` its scores, `history.json` the learning curve.

    Attributes:
        metrics: Scores on the test split, by name (`accuracy`), and of the documents that chose it (`valid/accuracy`).
        seconds: Wall-clock time of the cell.
        busy_cores: Cores that were busy on average; of a training that was stopped, in its last process. None if it
            was not recorded.
        recorded_as: What identifies the record of the cell: its MLflow run.
    """

    metrics: dict[str, float]
    seconds: float
    recorded_as: str
    busy_cores: float | None = None

    @property
    def id(self) -> CellId:
        """Which cell it is."""
        return CellId(task=self.task, arm=self.arm, labels=self.labels, seed=self.seed)


class ForgettingRef(Ref):
    """A source model on its own test text, before and after it was fine-tuned on the target's.

    `before.parquet` and `after.parquet` hold what the two models say of each of the source's test documents, over the
    same tokens.

    Attributes:
        before: Scores of the source model.
        after: Scores of the fine-tuned model.
        recorded_as: What identifies the record of the step: its MLflow run.
    """

    before: dict[str, float]
    after: dict[str, float]
    recorded_as: str


class ScoredRef(Ref):
    """What a model says of documents: `path/scores.parquet`.

    Attributes:
        documents: Their number.
    """

    documents: int


class ModelRef(BaseModel):
    """A version of a registered model.

    Attributes:
        name: Name of the registered model.
        version: Its version.
        alias: The alias that was moved to this version.
        uri: `models:/NAME/VERSION`.
        source: What MLflow calls the model itself; no other model of any registry has the same.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    version: int
    alias: str
    uri: str
    source: str = ""


class ChallengeRef(BaseModel):
    """A version that would take the place of the one in use.

    Attributes:
        model: The version.
        better: Whether it is surely better, or there is none in use.
        reason: Why, for people.
    """

    model_config = ConfigDict(frozen=True)

    model: ModelRef
    better: bool
    reason: str


class ReportRef(Ref):
    """The end of a run: `report.html`, `verdict.json` and the figures.

    Attributes:
        verdict: The verdict's sentences.
        models: What the run has registered, as `models:/NAME@ALIAS`.
    """

    verdict: list[str]
    models: list[str] = []
