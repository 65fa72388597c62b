"""Documents that are read from the end."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from rnnlm.corpus import ingest
from rnnlm.errors import ConfigError
from rnnlm.refs import TokensRef
from rnnlm.settings import Corpus, Tokenizer
from rnnlm.tokens import TextTokenizer, read_text, tokenize
from rnnlm.tokens.reverse import reverse


def encode(folder: Path, kind: str) -> TokensRef:
    lines = ["one two three", "four", "five six", "one", "\N{ARABIC LETTER ALEF} \N{GRINNING FACE} z"] * 12
    (folder / "x.txt").write_text("\n".join(f"{line} {n}" for n, line in enumerate(lines)), encoding="utf-8")
    corpus = Corpus(files=[str(folder / "x.txt")], document="line", valid_share=0.2, test_share=0.2)
    documents = ingest(corpus, folder / "documents", downloads=folder)
    return tokenize(documents, Tokenizer.model_validate({"kind": kind, "vocabulary_size": 300}), folder / "tokens")


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_every_document_is_turned_round_between_its_ends(kind: str, tmp_path: Path) -> None:
    tokens = encode(tmp_path, kind)
    backward = reverse(tokens, tmp_path / "backward")
    assert backward.sha256 != tokens.sha256
    assert backward.model_dump(exclude={"path", "sha256"}) == tokens.model_dump(exclude={"path", "sha256"})
    tokenizer = TextTokenizer.load(backward.tokenizer)
    for split in ("train", "valid", "test"):
        before, after = read_text(tokens, split), read_text(backward, split)
        assert after.document_ids.tolist() == before.document_ids.tolist()
        np.testing.assert_array_equal(after.n_words, before.n_words)
        for n in range(len(before)):
            ids = before.document(n).tolist()
            assert after.document(n).tolist() == [tokenizer.bos, *ids[-2:0:-1], tokenizer.eos]
        np.testing.assert_array_equal(read_text(backward, split, mapped=True).ids, after.ids)
    assert pq.read_schema(backward.file).field("ids").type == pq.read_schema(tokens.file).field("ids").type


def test_twice_is_as_before(tmp_path: Path) -> None:
    tokens = encode(tmp_path, "word")
    again = reverse(reverse(tokens, tmp_path / "backward"), tmp_path / "again")
    np.testing.assert_array_equal(read_text(again, "train").ids, read_text(tokens, "train").ids)


def test_running_text_has_no_documents_to_turn_round(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="running text"):
        reverse(encode(tmp_path, "whitespace"), tmp_path / "backward")
