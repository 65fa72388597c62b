import tempfile
from collections import Counter
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlm.corpus import ingest
from rnnlm.corpus.split import split_of
from rnnlm.settings import Corpus

ROWS = st.lists(st.tuples(st.text("abc", min_size=1, max_size=4), st.sampled_from(["x", "y", "z", None])), max_size=30)


def _splits(rows: list[tuple[str, str | None]]) -> list[dict[str, str]]:
    """Ingest rows of text and group; give what was written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        # Enough documents of their own that there is always something to train on.
        rows = rows + [(f"filler {number}", None) for number in range(20)]
        table = pa.table(
            {"text": [text for text, _ in rows], "group": pa.array([group for _, group in rows], pa.string())}
        )
        pq.write_table(table, path / "rows.parquet")
        corpus = Corpus(
            files=[f"{path}/rows.parquet"],
            group="group",
            valid_share=0.3,
            test_share=0.3,
            drop_duplicates=False,
            drop_overlap=False,
        )
        ref = ingest(corpus, path / "out", downloads=path)
        written: list[dict[str, str]] = pq.read_table(ref.file).to_pylist()
        return written


@settings(max_examples=25, deadline=None)
@given(rows=ROWS, more=ROWS)
def test_a_split_never_changes_when_documents_are_added_or_moved(
    rows: list[tuple[str, str | None]], more: list[tuple[str, str | None]]
) -> None:
    before = {(row["text"], row["group"]): row["split"] for row in _splits(rows)}
    after = {(row["text"], row["group"]): row["split"] for row in _splits(more + rows[::-1])}
    assert before.items() <= after.items()


@settings(max_examples=25, deadline=None)
@given(rows=ROWS)
def test_every_document_is_in_one_split_and_a_group_too(rows: list[tuple[str, str | None]]) -> None:
    written = _splits(rows)
    assert len({row["id"] for row in written}) == len(written) == len(rows) + 20
    groups = {(row["group"], row["split"]) for row in written if row["group"]}
    assert len(groups) == len({group for group, _ in groups})
    order = [["train", "valid", "test"].index(row["split"]) for row in written]
    assert order == sorted(order)


@pytest.mark.parametrize("of_groups", [False, True])
@pytest.mark.parametrize(("valid", "test"), [(0.05, 0.05), (0.1, 0.2), (0.0, 0.0), (0.3, 0.0)])
def test_shares_are_met(valid: float, test: float, of_groups: bool) -> None:
    number = 20_000
    digests = [blake2b(str(index).encode(), digest_size=16).digest() for index in range(number)]
    counts = Counter(
        split_of(digest, str(index) if of_groups else None, valid_share=valid, test_share=test)
        for index, digest in enumerate(digests)
    )
    assert counts["valid"] / number == pytest.approx(valid, abs=0.01)
    assert counts["test"] / number == pytest.approx(test, abs=0.01)


@given(digest=st.binary(min_size=16, max_size=16), valid=st.floats(0.0, 0.5), wider=st.floats(0.0, 0.5))
def test_another_validation_share_leaves_the_test_split(digest: bytes, valid: float, wider: float) -> None:
    splits = [split_of(digest, None, valid_share=share, test_share=0.2) for share in (valid, wider)]
    assert (splits[0] == "test") == (splits[1] == "test")
