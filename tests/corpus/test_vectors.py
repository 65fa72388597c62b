"""Vectors that come with the documents: read, kept, checked, and part of the digest."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rnnlm.corpus import ingest
from rnnlm.errors import ConfigError, DataError
from rnnlm.refs import DocumentsRef
from rnnlm.settings import Corpus

VECTORS = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32)


def rows(vectors: list[Any] | None = None) -> list[dict[str, Any]]:
    vectors = VECTORS.tolist() if vectors is None else vectors
    return [{"text": f"text number {n}", "label": "ab"[n % 2], "of": vector} for n, vector in enumerate(vectors)]


def read(folder: Path, content: list[dict[str, Any]], kind: str = "jsonl", **settings: Any) -> DocumentsRef:
    folder.mkdir(exist_ok=True)
    file = folder / f"reviews.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(content), file)
    else:
        file.write_text("\n".join(map(json.dumps, content)), encoding="utf-8")
    corpus = Corpus.model_validate({"files": [str(file)], "label": "label", "vector": "of", **settings})
    return ingest(corpus, folder / "documents", downloads=folder)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_each_document_keeps_its_vector(kind: str, tmp_path: Path) -> None:
    table = pq.read_table(read(tmp_path, rows(), kind).file)
    assert table.num_rows == 60
    places = [int(text.split()[-1]) for text in table["text"].to_pylist()]
    np.testing.assert_array_equal(np.stack(table["vector"].to_numpy(zero_copy_only=False)), VECTORS[places])


def test_other_vectors_are_another_digest(tmp_path: Path) -> None:
    """They have a digest of their own: what does not read them is not done again."""
    same, again, without = (
        read(tmp_path / name, rows(), vector=of) for name, of in (("one", "of"), ("two", "of"), ("three", None))
    )
    moved = VECTORS.copy()
    moved[7, 1] += 1.0
    other = read(tmp_path / "four", rows(moved.tolist()))
    assert len({one.sha256 for one in (same, again, without, other)}) == 1
    assert same.with_vectors().sha256 == again.with_vectors().sha256 != other.with_vectors().sha256
    assert without.vectors_sha256 == ""


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        (None, r"line 8.*the vector \('of'\) is missing.*Give each labelled document a vector"),
        ([1.0, 2.0], r"line 8.*has 2 numbers, and those before it have 3"),
        ([1.0, float("nan"), 2.0], r"line 8.*no list of finite numbers"),
        ([1.0, float("inf"), 2.0], r"line 8.*no list of finite numbers"),
        ([1.0, "2", 3.0], r"line 8.*no list of finite numbers"),
        ([1.0, 10**400, 3.0], r"line 8.*no list of finite numbers"),
        ([], r"line 8.*no list of finite numbers"),
        ("[1, 2, 3]", r"line 8.*no list of finite numbers"),
    ],
)
def test_a_vector_that_cannot_be_used_is_named(vector: Any, problem: str, tmp_path: Path) -> None:
    vectors: list[Any] = VECTORS.tolist()
    vectors[7] = vector
    with pytest.raises(DataError, match=problem):
        read(tmp_path, rows(vectors))


def test_text_without_a_label_needs_no_vector(tmp_path: Path) -> None:
    content = rows()
    content[3] |= {"label": "", "of": None}
    table = pq.read_table(read(tmp_path, content, unlabelled="").file)
    assert table["vector"].null_count == 1


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'emb'.*`vector`"):
        read(tmp_path, rows(), "parquet", vector="emb")
    (tmp_path / "plain.txt").write_text("text")
    with pytest.raises(ConfigError, match="plain text has no columns, but `vector` is given"):
        ingest(Corpus(files=[str(tmp_path / "plain.txt")], vector="of"), tmp_path / "out", downloads=tmp_path)
