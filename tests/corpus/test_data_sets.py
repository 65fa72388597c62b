"""Real data sets: counts that are known from elsewhere. `RNNLM_DATA` names the folder that holds them."""

import os
from pathlib import Path

import pytest

from rnnlm.corpus import ingest
from rnnlm.settings import Corpus, Tokenizer
from rnnlm.tokens import tokenize

DATA = Path(os.environ.get("RNNLM_DATA", "/nonexistent"))


@pytest.mark.skipif(not (DATA / "imdb").is_dir(), reason="RNNLM_DATA names no folder with imdb")
def test_imdb_keeps_the_official_split_and_finds_the_known_overlap(tmp_path: Path) -> None:
    corpus = Corpus(
        train=[f"{DATA}/imdb/train.tsv.gz"],
        test=[f"{DATA}/imdb/test.tsv.gz"],
        label="label",
        html_breaks=True,
        drop_duplicates=False,
        drop_overlap=False,
    )
    ref = ingest(corpus, tmp_path / "out", downloads=tmp_path)
    assert ref.documents["train"] + ref.documents["valid"] == ref.documents["test"] == 25_000
    assert ref.overlap["train+test"] + ref.overlap["valid+test"] == 123


@pytest.mark.skipif(not (DATA / "wikitext2").is_dir(), reason="RNNLM_DATA names no folder with wikitext2")
def test_wikitext2_has_the_published_counts(tmp_path: Path) -> None:
    splits = {split: [f"{DATA}/wikitext2/wiki.{split}.tokens.gz"] for split in ("train", "valid", "test")}
    corpus = Corpus(**splits, document="line", drop_empty=False, drop_duplicates=False, drop_overlap=False)
    ref = ingest(corpus, tmp_path / "out", downloads=tmp_path)
    tokens = tokenize(ref, Tokenizer(kind="whitespace"), tmp_path / "tokens")
    assert tokens.tokens == {"train": 2_088_628, "valid": 217_646, "test": 245_569}
    assert tokens.vocabulary_size == 33_278
