"""The tokenize step, counted again by independent means."""

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Regex, pre_tokenizers

from rnnlm import settings as config
from rnnlm.errors import ConfigError, DataError
from rnnlm.refs import SPLITS, DocumentsRef, TokensRef
from rnnlm.tokens import TextTokenizer, encode_shard, learn, read_text, shards, tokenize
from rnnlm.tokens.kinds import KINDS, SPECIAL_TOKENS, WORD, train

ENGLISH = [
    "The film is good, and the cast is very good.",
    "Don't watch it: the plot is thin and the end is worse!",
    "It\u2019s 1998 again. The 12,000 people in this film know 3.5 jokes.",
    "A good film about a bad film about the making of a film…",
]
WORLD = [
    "这部电影很好看。",
    "الفيلم جيد جدا",
    "ภาพยนตร์เรื่องนี้ดี",
    "映画はラーメンより良い",
    "👨‍👩‍👧 liked it 👍🏽 🇩🇪",
    "cafe\u0301 nai\u0308ve Ångström",
    "می‌خواهم",
    "x" * 5_000,
    "\u200b",
]
KIND_NAMES = sorted(KINDS)


def documents(
    folder: Path, rows: dict[str, list[str]], labels: dict[str, list[str | None]] | None = None
) -> DocumentsRef:
    """Write documents.parquet as the ingest step does."""
    folder.mkdir(parents=True, exist_ok=True)
    splits = [split for split in SPLITS for _ in rows.get(split, [])]
    texts = [text for split in SPLITS for text in rows.get(split, [])]
    classes = [label for split in SPLITS for label in (labels or {}).get(split, [None] * len(rows.get(split, [])))]
    table = pa.table(
        {
            "id": [f"d{i}" for i in range(len(texts))],
            "text": pa.array(texts, pa.string()),
            "label": pa.array(classes, pa.string()),
            "group": pa.array([None] * len(texts), pa.string()),
            "split": splits,
            "digest": [hashlib.sha256(text.encode()).hexdigest() for text in texts],
        }
    )
    pq.write_table(table, folder / "documents.parquet", row_group_size=3)
    return DocumentsRef(
        path=folder,
        sha256=hashlib.sha256("\0".join(texts).encode()).hexdigest(),
        documents={split: len(rows.get(split, [])) for split in SPLITS},
        labels=sorted({label for label in classes if label is not None}),
        labelled=dict.fromkeys(SPLITS, 0),
        dropped={},
        overlap={},
    )


def setting(kind: str, size: int = 400, lowercase: bool = False) -> config.Tokenizer:
    return config.Tokenizer(kind=kind, vocabulary_size=size, lowercase=lowercase)


def tokenizer_of(tmp: Path, kind: str, texts: list[str], size: int = 400, lowercase: bool = False) -> TextTokenizer:
    file = tmp / f"{kind}.json"
    train(setting(kind, size, lowercase), [texts]).save(str(file))
    return TextTokenizer.load(file)


def words(text: str) -> list[str]:
    """Take words apart by hand, for English."""
    return re.findall(r"[A-Za-z]+(?:['\u2019][A-Za-z]+)*|[0-9]+(?:[.,][0-9]+)*|[^\sA-Za-z0-9]", text)


@pytest.fixture
def ref(tmp_path: Path) -> DocumentsRef:
    return documents(
        tmp_path / "documents",
        {"train": ENGLISH + WORLD, "valid": ["An unseen word: zyzzyva."], "test": ["The film", "bad 这"]},
        {"train": ["good"] * 6 + ["bad"] * 6 + [None], "valid": ["bad"], "test": ["good", None]},
    )


def test_the_kinds_are_those_of_the_setting() -> None:
    assert set(KINDS) == set(get_args(config.Tokenizer.model_fields["kind"].annotation))


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_all_splits_are_encoded(kind: str, ref: DocumentsRef, tmp_path: Path) -> None:
    tokens = tokenize(ref, setting(kind), tmp_path / "tokens")
    tokenizer = TextTokenizer.load(tokens.tokenizer)
    source = pq.read_table(ref.file).to_pylist()
    rows = pq.read_table(tokens.file).to_pylist()
    assert [(r["id"], r["split"]) for r in rows] == [(r["id"], r["split"]) for r in source]
    for row, document in zip(rows, source, strict=True):
        text = document["text"]
        assert row["ids"] == tokenizer.encode([text])[0]
        assert row["ids"][-1] == tokenizer.eos
        assert row["ids"].count(tokenizer.eos) == 1
        assert (row["ids"][0] == tokenizer.bos) is (kind != "whitespace")
        assert max(row["ids"]) < tokenizer.size
        assert (row["n_characters"], row["n_bytes"], row["n_words"]) == (
            len(text),
            len(text.encode()),
            len(text.split()),
        )
        assert row["label"] == (None if document["label"] is None else ["bad", "good"].index(document["label"]))
    for split in SPLITS:
        ids = [i for row in rows if row["split"] == split for i in row["ids"]]
        assert tokens.tokens[split] == len(ids)
        assert tokens.unknown[split] == ids.count(tokenizer.unk)
    assert tokens.documents == ref.documents
    assert tokens.labels == ["bad", "good"]
    assert tokens.vocabulary_size == tokenizer.size == len(set(tokenizer.tokens))
    assert tokens.tokenizer_sha256 == tokenizer.sha256
    if kind != "whitespace":
        assert tokenizer.tokens[:4] == SPECIAL_TOKENS
        assert (tokenizer.pad, tokenizer.unk, tokenizer.bos, tokenizer.eos) == (0, 1, 2, 3)


def test_the_file_says_what_it_was_made_of(ref: DocumentsRef, tmp_path: Path) -> None:
    tokens = tokenize(ref, setting("word"), tmp_path / "tokens")
    metadata = pq.read_schema(tokens.file).metadata
    assert metadata[b"tokenizer_sha256"].decode() == hashlib.sha256(tokens.tokenizer.read_bytes()).hexdigest()
    assert metadata[b"documents_sha256"].decode() == tokens.documents_sha256 == ref.sha256
    assert int(metadata[b"vocabulary_size"]) == tokens.vocabulary_size
    assert json.loads(metadata[b"labels"]) == ref.labels
    assert sorted(file.name for file in tokens.path.iterdir()) == ["SHA256SUMS", "tokenizer.json", "tokens.parquet"]


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_the_same_documents_give_the_same_bytes(kind: str, ref: DocumentsRef, tmp_path: Path) -> None:
    first = tokenize(ref, setting(kind), tmp_path / "first")
    second = tokenize(ref, setting(kind), tmp_path / "second")
    assert first.file.read_bytes() == second.file.read_bytes()
    assert first.tokenizer.read_bytes() == second.tokenizer.read_bytes()
    assert first.model_copy(update={"path": second.path}) == second


def test_another_process_trains_the_same_tokenizers(tmp_path: Path) -> None:
    kinds = ["bpe", "unigram", "word"]
    texts = [" ".join(f"w{i % k}ord{i % (k + 3)}" for i in range(200)) for k in range(2, 40)] + ENGLISH + WORLD[:-2]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    program = (
        "import json, sys; from rnnlm import settings as config; from rnnlm.tokens.kinds import train;"
        "texts = json.load(open(sys.argv[1]));"
        "settings = [config.Tokenizer(kind=kind, vocabulary_size=600, lowercase=False) for kind in sys.argv[2:]];"
        "print(json.dumps([train(setting, [texts]).to_str() for setting in settings]))"
    )
    other = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "texts.json"), *kinds],
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
    ).stdout
    assert [train(setting(kind, 600), [texts]).to_str() for kind in kinds] == json.loads(other)


def test_words_are_the_most_frequent_of_the_training_split(ref: DocumentsRef, tmp_path: Path) -> None:
    only_english = documents(tmp_path / "english", {"train": ENGLISH, "valid": ["zyzzyva zyzzyva zyzzyva film"]})
    counts = Counter(word for text in ENGLISH for word in words(text.lower()))
    ranked = sorted(counts, key=lambda word: (-counts[word], word.encode()))
    tokens = tokenize(only_english, setting("word", 20, lowercase=True), tmp_path / "tokens")
    tokenizer = TextTokenizer.load(tokens.tokenizer)
    assert list(tokenizer.tokens) == [*SPECIAL_TOKENS, *ranked[:16]]
    assert tokens.unknown["train"] == sum(counts[word] for word in ranked[16:])
    assert tokens.tokens["train"] == sum(counts.values()) + 2 * len(ENGLISH)
    assert tokens.unknown["valid"] == 3
    assert tokenizer.decode(tokenizer.encode(["THE zyzzyva film"])[0]) == "the <unk> film"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't — it\u2019s 'quoted'", ["Don't", "—", "it\u2019s", "'", "quoted", "'"]),
        (
            "12,000 or 3.5 in 1998. 12345678901234567890",
            ["12,000", "or", "3.5", "in", "1998", ".", "12345678901234567890"],
        ),
        ("新闻abc报道", ["新", "闻", "abc", "报", "道"]),
        ("ดีที่", ["ดี", "ที่"]),
        ("ラーメン が", ["ラ", "ー", "メ", "ン", "が"]),
        ("👨‍👩‍👧👍🏽!🇩🇪🇫🇷", ["👨‍👩‍👧", "👍🏽", "!", "🇩🇪", "🇫🇷"]),
        ("cafe\u0301s nai\u0308ve", ["cafe\u0301s", "nai\u0308ve"]),
        ("می‌خواهم؟", ["می‌خواهم", "؟"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("<eos> a<unk>", ["<", "eos", ">", "a", "<", "unk", ">"]),
        ("\u200b \u3000\ufeff", []),
    ],
)
def test_words_of_many_scripts(text: str, expected: list[str]) -> None:
    split = pre_tokenizers.Split(Regex(WORD), "removed", invert=True)
    assert [word for word, _ in split.pre_tokenize_str(text)] == expected


@given(st.text())
def test_no_visible_character_is_lost_between_words(text: str) -> None:
    split = pre_tokenizers.Split(Regex(WORD), "removed", invert=True)
    found = "".join(word for word, _ in split.pre_tokenize_str(text))
    invisible = r"[\s\u0000-\u001f\u007f-\u009f]"
    assert Counter(_visible(found)) == Counter(_visible(re.sub(invisible, "", text)))


def _visible(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TextTokenizer]:
    folder = tmp_path_factory.mktemp("trained")
    return {
        f"{kind}{' lower' * lower}": tokenizer_of(folder, kind, ENGLISH + WORLD, lowercase=lower)
        for kind in ("bpe", "byte", "character", "unigram")
        for lower in (False, True)
    }


@given(text=st.text())
@settings(max_examples=200)
def test_bytes_and_bpe_give_the_text_back(trained: dict[str, TextTokenizer], text: str) -> None:
    for kind in ("bpe", "byte"):
        ids = trained[kind].encode([text])[0]
        assert trained[kind].decode(ids) == text
        assert trained[kind].unk not in ids
        assert 0 not in ids
    assert trained["byte"].encode([text])[0] == [2, *(byte + 4 for byte in text.encode()), 3]


@given(text=st.text(alphabet=sorted(set("".join(ENGLISH + WORLD)))))
def test_characters_give_the_text_back(trained: dict[str, TextTokenizer], text: str) -> None:
    tokenizer = trained["character"]
    ids = tokenizer.encode([text])[0]
    assert len(ids) == len(text) + 2
    assert tokenizer.decode(ids) == text


@given(text=st.text())
def test_nothing_is_unknown_to_unigram(trained: dict[str, TextTokenizer], text: str) -> None:
    tokenizer = trained["unigram"]
    ids = tokenizer.encode([text])[0]
    assert tokenizer.unk not in ids
    assert tokenizer.pad not in ids
    assert max(ids) < tokenizer.size


@pytest.mark.parametrize("kind", ["bpe", "byte", "character"])
def test_lower_case_is_all_that_normalising_changes(trained: dict[str, TextTokenizer], kind: str) -> None:
    tokenizer = trained[f"{kind} lower"]
    assert tokenizer.decode(tokenizer.encode(["The FILM, 这  is Good"])[0]) == "the film, 这  is good"


def test_unigram_gives_words_back_with_single_spaces(trained: dict[str, TextTokenizer]) -> None:
    tokenizer = trained["unigram"]
    text = "The film,\n is  good 🦄 it\u2019s"
    assert tokenizer.decode(tokenizer.encode([text])[0]) == " ".join(text.split())


@pytest.mark.parametrize("kind", ["bpe", "byte", "character", "unigram"])
def test_text_cannot_spell_a_special_token(trained: dict[str, TextTokenizer], kind: str) -> None:
    ids = trained[kind].encode(["a <eos> b<bos><pad> <unk> <0x41>"])[0]
    assert [i for i in ids if i in (0, 2, 3)] == [2, 3]


def test_unigram_says_so_if_the_characters_do_not_fit(tmp_path: Path) -> None:
    texts = ["".join(chr(0x4E00 + i) for i in range(300))]
    with pytest.raises(ConfigError, match=r"vocabulary_size: 500 tokens are too few for unigram.*bpe"):
        tokenizer_of(tmp_path, "unigram", texts, size=500)
    tokenizer = tokenizer_of(tmp_path, "unigram", texts, size=561)
    assert tokenizer.size <= 561
    assert tokenizer.unk not in tokenizer.encode([*texts, "🦄"])[0]


def test_characters_are_capped_at_the_most_frequent(tmp_path: Path) -> None:
    tokenizer = tokenizer_of(tmp_path, "character", ["aaab", "bbac", "d"], size=8)
    assert tokenizer.tokens == (*SPECIAL_TOKENS, "a", "b", "c", "d")
    assert tokenizer_of(tmp_path, "character", ["aaabbbbccdde" * 2], size=8).tokens[4:] == ("b", "a", "c", "d")
    assert tokenizer.encode(["ax"]) == [[2, 4, 1, 3]]


def test_whitespace_keeps_the_tokens_of_the_text(tmp_path: Path) -> None:
    lines = [" the <unk> of N \u00a0x ", "the\u3000end , @-@"]
    ref = documents(tmp_path / "d", {"train": lines, "valid": ["the new <unk>"]})
    tokens = tokenize(ref, setting("whitespace"), tmp_path / "t")
    tokenizer = TextTokenizer.load(tokens.tokenizer)
    types = Counter(token for line in lines for token in line.strip(" ").split(" "))
    assert set(tokenizer.tokens) == {*types, "<eos>"}
    assert tokens.tokens == {"train": sum(types.values()) + 2, "valid": 4, "test": 0}
    assert tokens.unknown == {"train": 1, "valid": 2, "test": 0}
    assert (tokenizer.pad, tokenizer.bos) == (None, None)
    assert tokenizer.decode(tokenizer.encode(["of the new"])[0]) == "of the <unk>"


def test_whitespace_adds_an_unknown_token_if_the_text_has_none(tmp_path: Path) -> None:
    assert set(tokenizer_of(tmp_path, "whitespace", ["a b", "b"]).tokens) == {"a", "b", "<unk>", "<eos>"}


@pytest.mark.slow
@pytest.mark.skipif("RNNLM_DATA" not in os.environ, reason="needs the data sets of $RNNLM_DATA")
def test_wikitext2_has_its_published_vocabulary(tmp_path: Path) -> None:
    lines: dict[str, list[str]] = {}
    for split in SPLITS:
        with gzip.open(
            Path(os.environ["RNNLM_DATA"]) / f"wikitext2/wiki.{split}.tokens.gz", "rt", encoding="utf-8"
        ) as f:
            lines[split] = f.read().split("\n")[:-1]
    full = {split: [line for line in lines[split] if line.strip()] for split in SPLITS}
    empty = {split: len(lines[split]) - len(full[split]) for split in SPLITS}
    tokens = tokenize(documents(tmp_path / "d", full), setting("whitespace"), tmp_path / "t")
    assert tokens.vocabulary_size == 33_278
    assert {split: tokens.tokens[split] + empty[split] for split in SPLITS} == {
        "train": 2_088_628,
        "valid": 217_646,
        "test": 245_569,
    }
    assert tokens.tokens["train"] == 2_075_677


@pytest.mark.parametrize(("distinct", "expected"), [(200, np.uint8), (252, np.uint8), (253, np.uint16)])
def test_the_smallest_integer_type_is_used(distinct: int, expected: type, tmp_path: Path) -> None:
    ref = documents(tmp_path / "d", {"train": [" ".join(f"w{chr(0x100 + i)}" for i in range(distinct))]})
    tokens = tokenize(ref, setting("word", 1_000), tmp_path / "t")
    assert tokens.vocabulary_size == distinct + 4
    assert read_text(tokens, "train").ids.dtype == expected


def test_a_given_tokenizer_is_used_as_it_is(ref: DocumentsRef, tmp_path: Path) -> None:
    source = tokenize(ref, setting("word", 30), tmp_path / "source")
    target_documents = documents(tmp_path / "d", {"train": ["Words it never saw"], "test": ["The film"]})
    target = tokenize(target_documents, source.tokenizer, tmp_path / "target")
    assert target.tokenizer.read_bytes() == source.tokenizer.read_bytes()
    assert target.tokenizer_sha256 == source.tokenizer_sha256
    assert target.sha256 != source.sha256
    assert target.unknown["train"] == 4 - len({"it"} & set(TextTokenizer.load(source.tokenizer).tokens))


class TestErrors:
    """Each ends in one error that says where and leaves no folder behind."""

    def test_no_training_documents(self, tmp_path: Path) -> None:
        ref = documents(tmp_path / "d", {"test": ["text"]})
        with pytest.raises(DataError, match=r"documents\.parquet: there are no training documents .*Give more"):
            tokenize(ref, setting("word"), tmp_path / "t")

    @pytest.mark.parametrize(("kind", "text"), [("word", "\u200b"), ("whitespace", "<unk> <unk>")])
    def test_nothing_learnt(self, kind: str, text: str, tmp_path: Path) -> None:
        ref = documents(tmp_path / "d", {"train": [text], "test": ["text"]})
        with pytest.raises(DataError, match="nothing but special tokens"):
            tokenize(ref, setting(kind), tmp_path / "t")
        assert [path.name for path in tmp_path.iterdir()] == ["d"]

    @pytest.mark.parametrize("content", [None, b"{", b"\xff\xfe", b'{"model": 1}'])
    def test_tokenizer_unreadable(self, content: bytes | None, ref: DocumentsRef, tmp_path: Path) -> None:
        file = tmp_path / "tokenizer.json"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(DataError, match=r"tokenizer\.json: .*Get it again"):
            tokenize(ref, file, tmp_path / "t")

    def test_tokenizer_of_another_project(self, ref: DocumentsRef, tmp_path: Path) -> None:
        file = tmp_path / "tokenizer.json"
        content = json.loads(train(setting("whitespace"), [["a b"]]).to_str().replace("<eos>", "[SEP]"))
        file.write_text(json.dumps(content))
        with pytest.raises(DataError, match="lacks"):
            TextTokenizer.load(file)

    def test_label_outside_the_classes(self, ref: DocumentsRef, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"document d6: label: the label 'bad' is none of the classes \['good'\]"):
            tokenize(ref.model_copy(update={"labels": ["good"]}), setting("byte"), tmp_path / "t")

    def test_more_classes_than_can_be_numbered(self, ref: DocumentsRef, tmp_path: Path) -> None:
        many = ref.model_copy(update={"labels": [str(i) for i in range(40_000)]})
        with pytest.raises(DataError, match="40,000 classes"):
            tokenize(many, setting("byte"), tmp_path / "t")

    def test_documents_that_are_not_those_of_the_reference(self, ref: DocumentsRef, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="but its reference says"):
            tokenize(ref.model_copy(update={"documents": {"train": 99}}), setting("byte"), tmp_path / "t")

    @pytest.mark.parametrize("kind", ["word", "byte", "bpe"])
    def test_documents_unreadable(self, kind: str, ref: DocumentsRef, tmp_path: Path) -> None:
        ref.file.write_bytes(ref.file.read_bytes()[:200])
        with pytest.raises(DataError, match="cannot be read as Parquet"):
            tokenize(ref, setting(kind), tmp_path / "t")

    @pytest.mark.parametrize("kind", ["bpe", "unigram"])
    def test_vocabulary_below_the_bytes_is_refused_with_the_settings(self, kind: str) -> None:
        with pytest.raises(
            ValidationError, match=f"vocabulary_size: {kind} needs at least {config.MIN_SUBWORDS[kind]}"
        ):
            setting(kind, config.MIN_SUBWORDS[kind] - 1)

    @pytest.mark.parametrize("kind", ["bpe", "unigram"])
    def test_vocabulary_of_the_bytes_and_one_is_enough(self, kind: str, tmp_path: Path) -> None:
        ref = documents(tmp_path / "d", {"train": ["a"]})
        assert tokenize(ref, setting(kind, config.MIN_SUBWORDS[kind]), tmp_path / "t").vocabulary_size <= 300

    @pytest.mark.parametrize("kind", KIND_NAMES)
    def test_one_short_document_is_enough(self, kind: str, tmp_path: Path) -> None:
        tokens = tokenize(documents(tmp_path / "d", {"train": ["a"]}), setting(kind), tmp_path / "t")
        assert isinstance(tokens, TokensRef)
        assert tokens.tokens["train"] in (2, 3, 4)
        assert tokens.unknown["train"] == 0


@pytest.mark.parametrize("kind", ["word", "whitespace"])
def test_shards_joined_are_the_same_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    rows = {"train": [f"{text} {n}" for n in range(40) for text in ENGLISH + WORLD], "valid": WORLD, "test": ENGLISH}
    labels = {split: [["good", "bad", None][n % 3] for n in range(len(texts))] for split, texts in rows.items()}
    given = documents(tmp_path / "documents", rows, labels)
    assert shards(given), "173 row groups of three documents"
    # Several row groups of tokens, so that where they end is compared too.
    monkeypatch.setattr("rnnlm.tokens.encode._ROW_GROUP_TOKENS", 700)
    if kind == "whitespace":
        monkeypatch.setattr("rnnlm.tokens.encode._FILE_TOKENS", 1_500)
    whole = tokenize(given, setting(kind), tmp_path / "whole")
    assert (whole.n_files > 1) == (kind == "whitespace")
    assert sum(pq.ParquetFile(file).num_row_groups for file in whole.files) > 5
    for groups in (1, 7, 1_000):
        monkeypatch.setattr("rnnlm.tokens.encode._SHARD_ROW_GROUPS", groups)
        folder = tmp_path / str(groups)
        learnt = learn(given, setting(kind), folder / "tokenizer")
        cut = shards(given)
        assert (cut == []) == (groups == 1_000)
        encoded = [encode_shard(given, learnt.tokenizer, shard, folder / f"{n}") for n, shard in enumerate(cut)]
        joined = tokenize(given, setting(kind), folder / "joined", encoded or None)
        assert joined == whole.model_copy(update={"path": joined.path})
        for file, expected in zip(joined.files, whole.files, strict=True):
            assert file.read_bytes() == expected.read_bytes()
        assert joined.tokenizer.read_bytes() == whole.tokenizer.read_bytes()
        if encoded:
            encoded[0].file.write_bytes(b"half")
            with pytest.raises(DataError, match="Get it again"):
                tokenize(given, setting(kind), folder / "broken", encoded)


def test_a_long_training_in_a_process_of_its_own_learns_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    english = documents(tmp_path / "english", {"train": ENGLISH})
    here = learn(english, setting("bpe", 300), tmp_path / "here")
    monkeypatch.setattr("rnnlm.tokens.encode._TRAINED_HERE", 0)
    assert learn(english, setting("bpe", 300), tmp_path / "apart").sha256 == here.sha256
    strange = documents(tmp_path / "strange", {"train": ["".join(chr(0x4E00 + i) for i in range(300))]})
    with pytest.raises(ConfigError, match="too few for unigram"):
        learn(strange, setting("unigram", 500), tmp_path / "few")
