"""What a model says of all documents in files: a row for each, in their order."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rnnlm.corpus.files import File
from rnnlm.corpus.formats import read
from rnnlm.corpus.formats.record import Record
from rnnlm.inference.answer import answer
from rnnlm.inference.trained import Trained
from rnnlm.settings import Corpus
from rnnlm.store import whole_folder

AT_ONCE = 2_048  # documents in memory at the same time


def score_files(trained: Trained, files: Sequence[File], corpus: Corpus, final: Path) -> int:
    """Write a row for each document: the scores of a language model, classes, numbers, or the tags of words.

    Args:
        trained: The model.
        files: The files.
        corpus: How they are read: format, column of the text. Nothing is split, and nothing is left out.
        final: Folder to write: `scores.parquet` with `id` (file and place), the original `text`, and the model's own
            fields.

    Returns:
        The number of documents.

    Raises:
        DataError: If a file cannot be read. The error names the file and the line.
    """
    rows = 0
    with whole_folder(final) as folder, pq.ParquetWriter(folder / "scores.parquet", _schema(trained)) as writer:
        documents = _documents(files, corpus)
        while batch := list(itertools.islice(documents, AT_ONCE)):
            answers = answer(trained, [record.words or record.text for _, record in batch], {})
            found = [{"id": id_, **row, "text": record.text} for (id_, record), row in zip(batch, answers, strict=True)]
            writer.write_table(pa.Table.from_pylist(found, writer.schema))
            rows += len(batch)
    return rows


def _documents(files: Sequence[File], corpus: Corpus) -> Iterator[tuple[str, Record]]:
    for file in files:
        for record in read(file, corpus):
            if record.nothing != "blank":
                yield (f"{file.name}, {record.place}" if record.place else file.name), record


def _schema(trained: Trained) -> pa.Schema:
    known = [pa.field("id", pa.string()), pa.field("text", pa.string())]
    if trained.description.kind == "classifier":
        probabilities = pa.struct([pa.field(label, pa.float64()) for label in trained.description.labels])
        return pa.schema([*known, pa.field("label", pa.string()), pa.field("probabilities", probabilities)])
    if trained.description.kind == "regressor":
        return pa.schema([*known, pa.field("value", pa.float64())])
    if trained.description.kind == "tagger":
        entity = pa.struct([("type", pa.string()), ("text", pa.string()), ("start", pa.int64()), ("end", pa.int64())])
        lists = {"words": pa.string(), "tags": pa.string(), "probabilities": pa.float64(), "entities": entity}
        return pa.schema([*known, *(pa.field(name, pa.list_(kind)) for name, kind in lists.items())])
    numbers = [("nll", pa.float64()), ("tokens", pa.int64()), ("perplexity", pa.float64())]
    return pa.schema([*known, *numbers, ("bits_per_character", pa.float64())])
