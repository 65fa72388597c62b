"""Where the words of a text are among its tokens."""

from pathlib import Path

import numpy as np
import pytest

from rnnlm.corpus import ingest
from rnnlm.settings import Corpus, Tokenizer
from rnnlm.tokens import TextTokenizer, read_text, tokenize
from rnnlm.tokens.encode import encode_shard, learn, shards
from rnnlm.tokens.reverse import reverse

SENTENCES = (
    "They O\nlive O\nin O\nSan B-LOC\nFrancisco I-LOC\n. O",
    "我 O\n在 O\n北 B-LOC\n京 I-LOC\n。 O",
    "Ünïted B-ORG\nNations I-ORG\n🙂🙂 O\nsay O",
)


@pytest.mark.parametrize("kind", ["bpe", "word", "character", "unigram", "byte", "whitespace"])
def test_each_word_has_the_place_of_its_last_piece_and_backwards_of_its_first(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("\n\n".join([*SENTENCES] * 12), encoding="utf-8")
    corpus = Corpus(
        files=[str(tmp_path / "a.conll")], label="2", drop_duplicates=False, valid_share=0.0, test_share=0.0
    )
    documents = ingest(corpus, tmp_path / "documents", downloads=tmp_path, label_kind="tags")
    settings = Tokenizer.model_validate({"kind": kind, "vocabulary_size": 400})
    tokens = tokenize(documents, settings, tmp_path / "tokens")
    text, tokenizer = read_text(tokens, "train"), TextTokenizer.load(tokens.tokenizer)
    assert text.words is not None
    assert text.n_rows == sum(map(len, text.labels)) == int(text.first_words[-1])
    for number in range(3):
        ids, places = text.document(number), text.words[number]
        # A piece may be of several words, where no spaces part them.
        assert (np.diff(places) >= (0 if kind in ("unigram", "bpe", "whitespace") else 1)).all()
        parts = np.split(ids, places + 1)
        written = [tokenizer.decode(part.tolist()).replace(" ", "").lower() for part in parts[:-1]]
        words = [line.split()[0].lower() for line in SENTENCES[number].split("\n")]
        if kind in ("character", "byte", "bpe") and number == 0:
            assert written == words
    if kind != "whitespace":
        back = read_text(reverse(tokens, tmp_path / "back"), "train")
        assert back.words is not None
        lengths = text.lengths
        for number, (places, first) in enumerate(zip(text.words, back.words, strict=True)):
            # Read backwards, a word's first piece is at or before its last one.
            assert (lengths[number] - 1 - first <= places).all()
            assert len(places) == len(first)
    part = text.take([2, 0])
    assert [len(one) for one in part.words] == [len(text.words[2]), len(text.words[0])]  # type: ignore[union-attr]


def test_words_have_their_places_in_shards_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnlm.corpus.documents._ROWS", 2)
    monkeypatch.setattr("rnnlm.tokens.encode._SHARD_ROW_GROUPS", 3)
    (tmp_path / "a.conll").write_text("\n\n".join([*SENTENCES] * 12), encoding="utf-8")
    corpus = Corpus(files=[str(tmp_path / "a.conll")], label="2", drop_duplicates=False)
    documents = ingest(corpus, tmp_path / "documents", downloads=tmp_path, label_kind="tags")
    settings = Tokenizer(kind="bpe", vocabulary_size=400)
    whole = tokenize(documents, settings, tmp_path / "whole")
    known = learn(documents, settings, tmp_path / "tokenizer")
    cut = shards(documents)
    assert len(cut) > 1
    encoded = [encode_shard(documents, known.tokenizer, one, tmp_path / f"s{n}") for n, one in enumerate(cut)]
    assert tokenize(documents, settings, tmp_path / "joined", encoded).sha256 == whole.sha256
