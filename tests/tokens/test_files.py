"""A text in several files is read as the same text in one."""

import dataclasses
import functools
import hashlib
import tempfile
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm import settings as config
from rnnlm.errors import DataError
from rnnlm.model.checkpoint import get_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.refs import SPLITS, DocumentsRef, TokensRef
from rnnlm.store import file_sha256, home
from rnnlm.tokens import Text, read_text, tokenize
from rnnlm.tokens.kinds import train
from rnnlm.tokens.mapped import FlatFile, IdsInFiles, mapped_ids
from rnnlm.tokens.reverse import reverse
from rnnlm.training.batches import sorted_batches, windows
from rnnlm.training.language_model import train_language_model

COLUMNS = [field.name for field in dataclasses.fields(Text) if field.name not in ("vocabulary", "ids")]
LINES = [" ".join("abcde"[(n + k) % 5] for k in range(n % 7 + 1)) for n in range(60)]
ROWS = {"train": LINES, "valid": LINES[:9], "test": LINES[:5]}


def documents(folder: Path, rows: dict[str, list[str]]) -> DocumentsRef:
    """Write documents as the ingest step does; every third has no label."""
    texts = [(split, text) for split in SPLITS for text in rows[split]]
    table = pa.table(
        {
            "id": [f"d{n}" for n in range(len(texts))],
            "text": pa.array([text for _, text in texts], pa.string()),
            "label": pa.array([["good", "bad", None][n % 3] for n in range(len(texts))], pa.string()),
            "split": [split for split, _ in texts],
        }
    )
    folder.mkdir()
    pq.write_table(table, folder / "documents.parquet")
    counts = {split: len(rows[split]) for split in SPLITS}
    return DocumentsRef(
        path=folder, sha256="d", documents=counts, labels=["bad", "good"], labelled={}, dropped={}, overlap={}
    )


@functools.cache
def tokenizer(kind: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        setting = config.Tokenizer.model_validate({"kind": kind, "vocabulary_size": 300})
        train(setting, [LINES]).save(f"{folder}/t.json")
        return Path(folder, "t.json").read_text(encoding="utf-8")


def encode(folder: Path, kind: str, rows: dict[str, list[str]], group: int, *file_tokens: int) -> list[TokensRef]:
    """Return the tokens in one file, then in files of each of these sizes."""
    given, file = documents(folder / "documents", rows), folder / "given.json"
    file.write_text(tokenizer(kind), encoding="utf-8")
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnnlm.tokens.encode._BATCH", 1)
        patch.setattr("rnnlm.tokens.encode._ROW_GROUP_TOKENS", group)
        for most in (10**9, *file_tokens):
            patch.setattr("rnnlm.tokens.encode._FILE_TOKENS", most)
            found.append(tokenize(given, file, home() / "store" / f"tokens-{most}"))
    return found


@contextmanager
def workplace() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNLM_HOME", f"{folder}/home")
        yield Path(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    with workplace() as folder:
        yield folder


@pytest.fixture
def pair(place: Path) -> tuple[TokensRef, TokensRef]:
    """The same text in one file and in many."""
    one, many = encode(place, "word", ROWS, 12, 30)
    assert many.n_files > 8
    return one, many


def texts() -> st.SearchStrategy[dict[str, list[str]]]:
    lines = st.text("ab ", max_size=14)
    few = st.lists(lines, max_size=3)
    return st.fixed_dictionaries({"train": st.lists(lines, min_size=1, max_size=16), "valid": few, "test": few})


def places(tokens: int) -> st.SearchStrategy[Any]:
    """What a flat array is indexed with: slices, places of any shape, from the end too."""
    ends = st.none() | st.integers(-tokens - 2, tokens + 2)
    steps = st.sampled_from([None, 1, 2, -1, -3])
    numbers = st.integers(-tokens, tokens - 1)
    rows = st.integers(0, 3).flatmap(lambda n: st.lists(st.lists(numbers, min_size=n, max_size=n), max_size=3))
    arrays = [st.lists(numbers, max_size=9), rows, numbers]
    return st.builds(slice, ends, ends, steps) | st.one_of(arrays).map(lambda found: np.array(found, np.int64))


@settings(max_examples=25)
@given(
    rows=texts(),
    kind=st.sampled_from(["character", "whitespace"]),
    group=st.integers(1, 20),
    most=st.integers(1, 60),
    opened=st.integers(1, 3),
    data=st.data(),
)
def test_every_access_is_that_of_one_file(
    rows: dict[str, list[str]], kind: str, group: int, most: int, opened: int, data: st.DataObject
) -> None:
    with workplace() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnnlm.tokens.mapped.OPEN_AT_ONCE", opened)
        patch.setattr("rnnlm.tokens.mapped._AT_ONCE", 5)
        patch.setattr("rnnlm.tokens.text.COUNTED_AT_ONCE", 7)
        one, many = encode(folder, kind, rows, group, most)
        assert many.model_dump(exclude={"path", "sha256", "n_files"}) == one.model_dump(
            exclude={"path", "sha256", "n_files"}
        )
        for split in SPLITS:
            whole = read_text(one, split)
            for text in (read_text(many, split), read_text(many, split, mapped=True)):
                same_text(text, whole, data)


def same_text(text: Text, whole: Text, data: st.DataObject) -> None:
    assert text.vocabulary == whole.vocabulary
    for name in COLUMNS:
        if getattr(whole, name) is not None:
            same(getattr(text, name), getattr(whole, name))
    assert (len(text.ids), text.ids.dtype) == (len(whole.ids), whole.ids.dtype)
    for index in data.draw(st.lists(places(len(whole.ids)), max_size=5) if len(whole.ids) else st.just([])):
        same(text.ids[index], whole.ids[index])
    for wrong in (np.array([len(whole.ids)]), np.array([[-len(whole.ids) - 1]]), np.array([0.5])):
        with pytest.raises(IndexError):
            text.ids[wrong]
    some = data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=6)) if len(whole) else []
    order = np.arange(len(whole))[::-1]
    read: list[Callable[[Text], Any]] = [
        Text.read,
        Text.counts,
        lambda one: one.predicted,
        lambda one: one.take(some).ids,
        lambda one: one.labelled().ids,
        *(functools.partial(Text.document, index=n) for n in range(len(whole))),
    ]
    for function in read:
        same(function(text), function(whole))
    if len(whole):
        for found, expected in zip(*(windows(one, order, 2, np.full(4, 3)) for one in (text, whole)), strict=True):
            for name in ("tokens", "targets", "weights", "keep"):
                same(getattr(found, name), getattr(expected, name))
        for batch, of_whole in zip(*(sorted_batches(one, 20, 4) for one in (text, whole)), strict=True):
            same(batch.tokens, of_whole.tokens)


def same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(found, expected)
    assert (found.dtype, found.shape, type(found)) == (expected.dtype, expected.shape, type(expected))


def test_files_hold_what_they_may_and_no_row_group_is_parted(place: Path) -> None:
    one, many, each = encode(place, "word", ROWS, 12, 30, 1)
    assert [file.name for file in one.files] == ["tokens.parquet"]
    assert one.sha256 == file_sha256(one.file)
    assert many.sha256 == hashlib.sha256("".join(map(file_sha256, many.files)).encode()).hexdigest()
    assert sorted(file.name for file in many.path.iterdir()) == [
        "SHA256SUMS",
        "tokenizer.json",
        *(f"tokens-{n:05d}.parquet" for n in range(many.n_files)),
    ]
    assert many.file == many.path
    groups = pq.ParquetFile(one.file)
    expected: list[list[list[int]]] = [[]]
    for n in range(groups.num_row_groups):
        ids = groups.read_row_group(n)["ids"].to_pylist()
        if expected[-1] and sum(map(len, [*expected[-1], *ids])) > 30:
            expected.append([])
        expected[-1] += ids
    assert [pq.read_table(file)["ids"].to_pylist() for file in many.files] == expected
    # A row group that is longer than a file may be has a file of its own.
    assert each.n_files == groups.num_row_groups
    for file in many.files:
        assert pq.read_schema(file).equals(pq.read_schema(one.file), check_metadata=True)


def test_a_reference_of_one_file_from_before_is_read(pair: tuple[TokensRef, TokensRef]) -> None:
    before = pair[0].model_dump(mode="json", exclude={"n_files"})
    assert TokensRef.model_validate(before) == pair[0]


def test_a_text_that_is_turned_round_stays_in_its_files(pair: tuple[TokensRef, TokensRef], place: Path) -> None:
    one, many = (reverse(tokens, place / f"backward-{tokens.n_files}") for tokens in pair)
    assert many.n_files == pair[1].n_files
    for split in SPLITS:
        same(read_text(many, split).read(), read_text(one, split).read())
        same(read_text(many, split, mapped=True).read(), read_text(one, split).read())


def test_a_training_over_files_ends_with_the_same_bits(pair: tuple[TokensRef, TokensRef]) -> None:
    setting = config.LanguageModelTraining(epochs=2, batch_size=3, window=8, learning_rate=0.03, evaluations=2)
    weights = []
    for tokens in pair:
        text, valid = (read_text(tokens, split, mapped=True) for split in ("train", "valid"))
        assert isinstance(text.ids, IdsInFiles) == (tokens.n_files > 1)
        model = LanguageModel(
            config.Model(embedding=4, hidden=6, layers=1), text.vocabulary.size, seed=1, counts=text.counts()
        )
        train_language_model(model, text, valid, setting, seed=1)
        weights.append(get_weights(model))
    for name, expected in weights[0].items():
        same(weights[1][name], expected)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_files_are_open_than_are_allowed(
    most: int, pair: tuple[TokensRef, TokensRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[weakref.ref[Any]] = []
    counts: list[int] = []
    plain = FlatFile.map

    def counted(file: FlatFile) -> Any:
        found = plain(file)
        opened.append(weakref.ref(found.base))  # the memory of the map, which closes with it
        counts.append(sum(one() is not None for one in opened))
        return found

    monkeypatch.setattr("rnnlm.tokens.mapped.OPEN_AT_ONCE", most)
    monkeypatch.setattr(FlatFile, "map", counted)
    text, random = read_text(pair[1], "train", mapped=True), np.random.default_rng(0)
    kept: list[Any] = [text.document(n) for n in range(len(text))]
    kept += [text.read(), *(text.at(random.integers(0, text.n_tokens, (4, 5))) for _ in range(20))]
    assert len(kept) > 80
    assert len(counts) > 3 * pair[1].n_files
    assert max(counts) == most


def test_threads_read_at_the_same_time(pair: tuple[TokensRef, TokensRef]) -> None:
    whole, text = read_text(pair[0], "train"), read_text(pair[1], "train", mapped=True)
    asked = [np.random.default_rng(n).integers(0, whole.n_tokens, 50) for n in range(200)]
    with ThreadPoolExecutor(8) as threads:
        for found, n in zip(threads.map(text.at, asked), asked, strict=True):
            same(found, whole.at(n))


def broken(file: Path, how: str) -> None:
    content = file.read_bytes()
    file.unlink()
    if how != "missing":
        file.write_bytes({"half": content[: len(content) // 2], "empty": b""}[how])


@pytest.mark.parametrize("how", ["missing", "half", "empty"])
def test_a_broken_file_is_named_with_the_remedy(how: str, pair: tuple[TokensRef, TokensRef], place: Path) -> None:
    broken(pair[1].files[2], how)
    reading: list[Callable[[], Any]] = [
        lambda: read_text(pair[1], "train"),
        lambda: read_text(pair[1], "train", mapped=True),
        lambda: reverse(pair[1], place / "backward"),
    ]
    for read in reading:
        with pytest.raises(DataError) as error:
            read()
        assert error.value.where == str(pair[1].files[2])
        assert error.value.remedy.startswith(f"Delete the folder {pair[1].path} and run the same command again")
    assert not (place / "backward").exists()


@pytest.mark.parametrize("how", ["missing", "half", "empty"])
@pytest.mark.parametrize("name", ["ids", "lengths"])
@pytest.mark.parametrize("number", [0, 1], ids=["one file", "many files"])
def test_a_broken_copy_is_set_aside_and_made_again(
    number: int, name: str, how: str, pair: tuple[TokensRef, TokensRef]
) -> None:
    whole = read_text(pair[number], "train", mapped=True).read().copy()
    folder = sorted((home() / "mapped").iterdir())[-1]
    broken(folder / name, how)
    same(read_text(pair[number], "train", mapped=True).read(), whole)
    assert folder.with_name(f"damaged-{folder.name}").is_dir()


def test_a_copy_that_is_lost_while_it_is_read_is_named(tmp_path: Path) -> None:
    files = [FlatFile(tmp_path / f"{n}", np.dtype(np.uint8), 4) for n in range(3)]
    for file in files:
        file.path.write_bytes(b"\1\2\3\4")
    ids = mapped_ids(files)
    files[2].path.unlink()
    assert ids[:8].tolist() == [1, 2, 3, 4] * 2
    with pytest.raises(DataError, match="2: is not there"):
        ids[7:9]
