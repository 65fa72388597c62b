"""The ladder from the source's vocabulary to the target's, a rung at a time."""

import unittest.mock
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.corpus import ingest
from rnnlm.refs import TokensRef
from rnnlm.settings import Corpus, LanguageModelTraining, Model, Tokenizer, WordMap
from rnnlm.tokens import Text, TextTokenizer, Vocabulary, tokenize
from rnnlm.tokens.kinds import train
from rnnlm.transfer import start as starts
from rnnlm.transfer.fit import fit_language_model
from rnnlm.transfer.vocabulary import BIAS, EMBEDDING, LADDERS, map_vocabulary, needs_space
from rnnlm.transfer.word_space import WordSpace, linear_map, nearest_mean, sparsemax, word_space

MakeTokenizer = Callable[..., TextTokenizer]
WIDTH = 5
EVERY: list[WordMap] = list(LADDERS)


def model(size: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(size)
    return {
        EMBEDDING: generator.normal(size=(size, WIDTH)).astype(np.float32),
        BIAS: generator.normal(size=size).astype(np.float32),
        "lstm_0/kernel": np.ones((2, 4), np.float32),
    }


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.mark.parametrize("word_map", EVERY)
def test_the_rows_of_shared_words_are_copied_to_the_bit(word_map: WordMap, vocabulary: MakeTokenizer) -> None:
    source, target = vocabulary("a", "b", "c"), vocabulary("c", "new", "a")
    weights, counts = model(5), np.array([1, 9, 8, 7, 6])
    mapped, coverage = map_vocabulary(weights, source, target, counts, word_map)
    for name in (EMBEDDING, BIAS):
        np.testing.assert_array_equal(mapped[name][[0, 1, 2, 4]], weights[name][[0, 1, 4, 2]])
        assert mapped[name].dtype == np.float32
    np.testing.assert_allclose(mapped[EMBEDDING][3], weights[EMBEDDING].mean(axis=0), rtol=1e-6)
    assert mapped["lstm_0/kernel"] is weights["lstm_0/kernel"]
    assert (coverage.types["exact"], coverage.types["mean"]) == (4, 1)
    assert (coverage.tokens["exact"], coverage.tokens["mean"]) == (1 + 9 + 8 + 6, 7)


@pytest.mark.parametrize("word_map", EVERY)
def test_the_same_vocabulary_changes_nothing(word_map: WordMap, vocabulary: MakeTokenizer) -> None:
    words, weights = vocabulary(*"abcde"), model(7)
    space = WordSpace(np.arange(7), unit(np.random.default_rng(0).normal(size=(7, 4))))
    mapped, coverage = map_vocabulary(weights, words, vocabulary(*"abcde"), np.ones(7, int), word_map, space)
    for name, value in weights.items():
        np.testing.assert_array_equal(mapped[name], value)
    assert coverage.types["exact"] == 7


def test_case_unicode_forms_and_accents_are_seen_through(vocabulary: MakeTokenizer) -> None:
    # Of two source words with the same letters the more frequent one, which has the lower id; accents go last.
    source = vocabulary("ALSO", "also", "café", "cafe", "resume", "fi", "Straße")
    target = vocabulary("Also", "Café", "résumé", "ﬁ", "STRASSE", "other")
    weights = model(9)
    mapped, coverage = map_vocabulary(weights, source, target, np.ones(8, int), "pieces")
    np.testing.assert_array_equal(mapped[EMBEDDING][2:7], weights[EMBEDDING][[2, 4, 6, 7, 8]])
    np.testing.assert_array_equal(mapped[BIAS][2:7], weights[BIAS][[2, 4, 6, 7, 8]])
    assert coverage.types == {"exact": 2, "normalised": 5, "pieces": 0, "mean": 1}


def subwords(folder: Path) -> TextTokenizer:
    texts = [["the film is good", "a filmed end", "unendingly good"] * 10]
    train(Tokenizer(kind="bpe", vocabulary_size=290), iter(texts)).save(str(folder / "bpe.json"))
    return TextTokenizer.load(folder / "bpe.json")


def test_a_new_word_is_the_mean_of_its_pieces(vocabulary: MakeTokenizer, tmp_path: Path) -> None:
    source, target = subwords(tmp_path), vocabulary("film", "filmgood", "完")
    weights = model(source.size)
    mapped, coverage = map_vocabulary(weights, source, target, np.array([4, 1, 9, 2, 1]), "pieces")
    for word, row in ((" filmgood", 3), ("完", 4)):
        pieces = source.encode([word])[0][1:-1]
        assert len(pieces) > 1
        np.testing.assert_allclose(mapped[EMBEDDING][row], weights[EMBEDDING][pieces].mean(axis=0), rtol=1e-5)
    # The word, not the letters inside another one.
    np.testing.assert_array_equal(mapped[EMBEDDING][2], weights[EMBEDDING][source.tokens.index("Ġfilm")])
    # All bytes are known to the source, so it never met its <unk>.
    np.testing.assert_allclose(mapped[EMBEDDING][0], weights[EMBEDDING].mean(axis=0), atol=1e-6)
    assert coverage.types == {"exact": 2, "normalised": 0, "pieces": 2, "mean": 1}
    assert coverage.tokens == {"exact": 10, "normalised": 0, "pieces": 3, "mean": 4}


def test_a_word_with_an_unknown_piece_is_no_mean_of_pieces(vocabulary: MakeTokenizer) -> None:
    source, target = vocabulary("a"), vocabulary("b")
    _, coverage = map_vocabulary(model(3), source, target, np.ones(3, int), "pieces")
    assert (coverage.types["pieces"], coverage.types["mean"]) == (0, 1)


@given(seed=st.integers(0, 1_000), words=st.integers(8, 40), new=st.integers(1, 10))
def test_a_rotation_between_the_spaces_is_found(seed: int, words: int, new: int) -> None:
    """Where the target's space is the source's, rotated, new words get the rows that they would have had."""
    generator = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(generator.normal(size=(WIDTH, WIDTH)))
    rows = unit(generator.normal(size=(words + new, WIDTH)))
    space = rows @ rotation
    found = linear_map(space[:words], rows[:words], space[words:])
    np.testing.assert_allclose(found, rows[words:], atol=2e-2)


def test_a_linear_map_without_agreement_gives_the_mean() -> None:
    generator = np.random.default_rng(1)
    shared, rows = unit(generator.normal(size=(2_000, 4))), generator.normal(size=(2_000, WIDTH))
    found = linear_map(shared, rows, unit(generator.normal(size=(20, 4))))
    np.testing.assert_allclose(found, np.tile(rows.mean(axis=0), (20, 1)), atol=0.1)


@given(scores=st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=12))
def test_sparsemax_is_the_nearest_point_of_the_simplex(scores: list[float]) -> None:
    ordered = np.sort(scores)[::-1]
    (found,) = sparsemax(ordered[None])
    assert found.sum() == pytest.approx(1.0)
    assert (found >= 0.0).all()
    # By bisection: the threshold at which what stands above it sums to one.
    low, high = ordered[0] - 1.0, ordered[0]
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(ordered - middle, 0.0).sum() > 1.0 else (low, middle)
    np.testing.assert_allclose(found, np.maximum(ordered - low, 0.0), atol=1e-9)


def test_near_words_give_the_row_and_far_ones_do_not() -> None:
    shared = np.array([[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0]])
    rows = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    (found,) = nearest_mean(shared, rows, np.array([[1.0, 0.0]]))
    np.testing.assert_allclose(found, [0.6, 0.4, 0.0])  # sparsemax of 1, 0.8 and -1


def text(size: int = 40, documents: int = 200) -> Text:
    """Words 4 and 5 stand between the same neighbours, word 6 between others; word 7 is rare."""
    generator = np.random.default_rng(0)
    texts = []
    for n in range(documents):
        word = 4 + n % 3
        around = generator.integers(*((10, 20) if word < 6 else (20, 30)), 6)
        texts.append([2, *around[:3], 7 if n in (3, 6) else word, *around[3:], 3])
    lengths = np.array([len(one) for one in texts])
    return Text(
        vocabulary=Vocabulary(size, eos=3, unk=1, bos=2),
        ids=np.concatenate(texts).astype(np.uint8),
        offsets=np.concatenate(([0], np.cumsum(lengths))),
        labels=np.zeros(documents, np.int16),
        n_characters=lengths,
        n_bytes=lengths,
        n_words=lengths,
        document_ids=np.array([str(n) for n in range(documents)], object),
    )


def test_words_in_the_same_company_are_near_and_rare_ones_have_no_place() -> None:
    space = word_space(text())
    assert 7 not in space.ids
    np.testing.assert_allclose(np.linalg.norm(space.vectors, axis=1), 1.0)
    (ids, vectors) = space.of(np.array([4, 5, 6, 7]))
    np.testing.assert_array_equal(ids, [4, 5, 6])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.5


def test_the_same_text_gives_the_same_space_in_parts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = word_space(text())
    monkeypatch.setattr("rnnlm.transfer.word_space.TOKENS_AT_ONCE", 100)
    again = word_space(text())
    np.testing.assert_array_equal(again.ids, whole.ids)
    np.testing.assert_array_equal(again.vectors, whole.vectors)


def test_a_text_of_nothing_but_rare_words_has_an_empty_space() -> None:
    assert len(word_space(text(documents=3)).ids) == 0


@pytest.mark.parametrize("word_map", ["neighbours", "linear"])
def test_a_new_word_starts_near_its_neighbours(word_map: WordMap, vocabulary: MakeTokenizer) -> None:
    """Word 5 is new; word 4, which keeps the same company, is not."""
    names = [f"w{n}" for n in range(2, 40)]
    target = vocabulary(*names)
    source = vocabulary(*(name for name in names if name not in ("w5", "w7")))
    weights, train = model(source.size), text()
    counts = train.counts()
    space = word_space(train)
    mapped, coverage = map_vocabulary(weights, source, target, counts, word_map, space)
    assert coverage.types[word_map] == 1
    assert coverage.types["mean"] == 1  # w7 is too rare, and words have no pieces
    assert sum(coverage.types.values()) == 40
    assert sum(coverage.tokens.values()) == len(train.ids)
    shared = np.array([n for n in space.ids if n not in (5, 7) and n > 1])
    rows = weights[EMBEDDING][[source.tokens.index(f"w{n}") for n in shared]].astype(np.float64)
    make = nearest_mean if word_map == "neighbours" else linear_map
    expected = make(space.of(shared)[1], rows, space.of(np.array([5]))[1])
    np.testing.assert_allclose(mapped[EMBEDDING][5], expected[0], rtol=1e-5)
    again, _ = map_vocabulary(weights, source, target, counts, word_map, word_space(train))
    np.testing.assert_array_equal(again[EMBEDDING], mapped[EMBEDDING])


@given(counts=st.lists(st.integers(0, 10_000), min_size=8, max_size=8))
def test_the_bias_of_new_words_goes_by_their_frequency(vocabulary: MakeTokenizer, counts: list[int]) -> None:
    source, target = vocabulary("a", "b"), vocabulary("a", "b", *"uvwx")
    weights, numbers = model(4), np.array(counts)
    found = map_vocabulary(weights, source, target, numbers, "exact")[0][BIAS]
    frequency = np.log((numbers + 1) / (numbers + 1).sum())
    # The scale is that of the shared words: on the mean over them, nothing changes.
    shift = (weights[BIAS] - frequency[:4]).mean()
    np.testing.assert_allclose(found[4:], frequency[4:] + shift, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[:4], weights[BIAS])


def test_only_the_maps_by_company_need_a_space() -> None:
    assert {word_map for word_map in LADDERS if needs_space(word_map)} == {"neighbours", "linear"}


def test_a_model_meets_another_vocabulary_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that starts over the same vocabulary maps nothing; two that start from the same source map once."""
    generator = np.random.default_rng(1)
    (tmp_path / "text").mkdir()
    for n in range(60):
        (tmp_path / "text" / f"{n}.txt").write_text(" ".join(generator.choice(["one", "two", "three", "four"], 20)))
    corpus = Corpus(files=[str(tmp_path / "text")], format="text", valid_share=0.2, test_share=0.2)
    documents = ingest(corpus, tmp_path / "documents", downloads=tmp_path)
    in_bytes, in_words = (
        tokenize(documents, Tokenizer(kind=kind, vocabulary_size=300), tmp_path / kind) for kind in ("byte", "word")
    )
    mapping = unittest.mock.Mock(wraps=map_vocabulary)
    monkeypatch.setattr(starts, "map_vocabulary", mapping)

    def scored(tokens: TokensRef, name: str, start: str | None, word_map: WordMap = "neighbours") -> dict[str, float]:
        training = LanguageModelTraining(epochs=0.2, batch_size=4, window=8, evaluations=1, precision="float32")
        return fit_language_model(
            Model(embedding=8, hidden=8, layers=1),
            tokens,
            None if start else training,
            tmp_path / name,
            start=tmp_path / start if start else None,
            seed=1,
            report=lambda _: None,
            word_map=word_map,
        ).metrics

    assert "coverage/exact_types" not in scored(in_bytes, "source", None)
    first, second = scored(in_words, "first", "source"), scored(in_words, "second", "source")
    assert mapping.call_count == 1
    assert first == second
    # Four words, <pad>, <bos> and <eos>; bytes never met an <unk>.
    assert first["coverage/exact_types"] == 3
    assert sum(value for name, value in first.items() if name.endswith("_types")) == 8
    assert sum(value for name, value in first.items() if name.endswith("_tokens")) == in_words.tokens["train"]
    assert "coverage/exact_types" not in scored(in_words, "third", "first")
    assert mapping.call_count == 1
    scored(in_words, "fourth", "source", "pieces")
    assert mapping.call_count == 2
