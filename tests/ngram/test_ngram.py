"""N-gram models against the definitions, computed with dictionaries, and against KenLM."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.ngram import Counts, NgramModel, count, katz, kneser_ney, write_arpa
from rnnlm.ngram import counts as counting
from rnnlm.ngram.katz import fewest, good_turing
from rnnlm.ngram.kneser_ney import FALLBACK, adjusted_counts, discounts
from rnnlm.tokens import Text, Vocabulary

UNK, BOS, EOS, WORDS = 0, 1, 2, 5  # words are 3 to 7
SIZE = 3 + WORDS
VOCABULARY = Vocabulary(SIZE, EOS, UNK, BOS)
LARGE = 200
ESTIMATES = {"kneser_ney": kneser_ney, "katz": katz}


def encoded(texts: list[list[int]], vocabulary: Vocabulary = VOCABULARY) -> Text:
    """Return documents in the form in which the project reads them."""
    unknown = np.zeros(len(texts), np.int64)
    return Text(
        vocabulary=vocabulary,
        ids=np.array([token for text in texts for token in text], np.uint16),
        offsets=np.concatenate(([0], np.cumsum([len(text) for text in texts]))),
        labels=np.full(len(texts), -1, np.int16),
        n_characters=unknown,
        n_bytes=unknown,
        n_words=unknown,
        document_ids=np.array([str(n) for n in range(len(texts))], object),
    )


def texts(running: bool = False) -> st.SearchStrategy[list[list[int]]]:
    """Return texts with ends, and with beginnings where they are no running text."""
    words = st.lists(st.sampled_from([UNK, *range(3, 3 + WORDS)]), max_size=12)
    return st.lists(words.map(lambda text: [*([] if running else [BOS]), *text, EOS]), min_size=1, max_size=12)


def drawn(seed: int, documents: int = 200) -> list[list[int]]:
    """Return texts of a skewed random walk over `LARGE` tokens, long enough for every discount to be estimated."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(documents):
        text, word = [BOS], 3
        while len(text) < 2 or generator.random() > 0.1:
            word = 3 + (int(generator.zipf(1.8)) - 1 + 3 * (word - 3)) % (LARGE - 3)
            text.append(word)
        found.append([*text, EOS])
    return found


def counted(documents: list[list[int]], order: int, size: int = SIZE, running: bool = False) -> Counts:
    """Count, with a `bos` or as running text."""
    vocabulary = Vocabulary(size, EOS, UNK, bos=None if running else BOS)
    return count(encoded(documents, vocabulary), order)


def ngrams(counts: Counts | NgramModel, order: int) -> Iterator[tuple[int, ...]]:
    """Yield the n-grams of an order as tuples."""
    if order == 1:
        yield from ((int(token),) for token in counts.keys[0])
        return
    shorter = list(ngrams(counts, order - 1))
    for key in counts.keys[order - 1]:
        yield (*shorter[key // counts.vocabulary.size], int(key % counts.vocabulary.size))


def tallied(documents: list[list[int]], order: int, running: bool) -> Counter[tuple[int, ...]]:
    """Count one order with a dictionary."""
    streams = [[EOS, *itertools.chain(*documents)]] if running else documents
    first = 1 if order == 1 else order - 1
    return Counter(tuple(s[i - order + 1 : i + 1]) for s in streams for i in range(first, len(s)))


@pytest.mark.parametrize("running", [False, True])
@given(data=st.data())
def test_counts_are_those_of_a_dictionary_whatever_the_blocks(running: bool, data: st.DataObject) -> None:
    documents = data.draw(texts(running))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "BLOCK", data.draw(st.integers(1, 20)))
        counts = counted(documents, 4, running=running)
    for order in range(1, 5):
        found = dict(zip(ngrams(counts, order), counts.counts[order - 1].tolist(), strict=True))
        assert {ngram: n for ngram, n in found.items() if n} == dict(tallied(documents, order, running))


@given(documents=texts())
def test_suffixes_and_first_tokens_are_those_of_the_tuples(documents: list[list[int]]) -> None:
    counts = counted(documents, 4)
    for order in (2, 3, 4):
        shorter = list(ngrams(counts, order - 1))
        assert [shorter[row] for row in counts.suffixes(order)] == [ngram[1:] for ngram in ngrams(counts, order)]
        assert counts.first_tokens(order).tolist() == [ngram[0] for ngram in ngrams(counts, order)]


@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize("running", [False, True])
@given(data=st.data())
def test_probabilities_sum_to_one_after_every_history(estimate: str, running: bool, data: st.DataObject) -> None:
    documents = data.draw(texts(running))
    order = data.draw(st.integers(1, 6))
    model = ESTIMATES[estimate](counted(documents, order, running=running))
    history = data.draw(st.lists(st.integers(0, SIZE - 1), max_size=6))
    assert np.exp(model.next_token(history)).sum() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("estimate", ESTIMATES)
@given(trained=texts(), scored=texts(), order=st.integers(1, 5), block=st.integers(1, 30))
def test_a_text_costs_what_its_tokens_cost_one_by_one(
    estimate: str, trained: list[list[int]], scored: list[list[int]], order: int, block: int
) -> None:
    model = ESTIMATES[estimate](counted(trained, order))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "BLOCK", block)
        found = model.score_tokens(encoded(scored))
    one_by_one = [
        0.0 if n == 0 else -model.next_token(text[max(0, n - order + 1) : n] if order > 1 else [])[token]
        for text in scored
        for n, token in enumerate(text)
    ]
    np.testing.assert_allclose(found, one_by_one, atol=1e-9)


def defined_kneser_ney(documents: list[list[int]], order: int, size: int, history: tuple[int, ...], word: int) -> float:
    """Return a probability by Chen & Goodman's formulas, recursively, from dictionaries."""
    raw = {n: tallied(documents, n, running=False) for n in range(1, order + 1)}

    def adjusted(n: int) -> dict[tuple[int, ...], int]:
        if n == order:
            return dict(raw[n])
        before: dict[tuple[int, ...], set[int]] = {}
        for longer in raw[n + 1]:
            before.setdefault(longer[1:], set()).add(longer[0])
        return {g: raw[n][g] if g[0] == BOS else len(before[g]) for g in raw[n] if g != (BOS,)}

    def probability(history: tuple[int, ...], word: int) -> float:
        n = len(history) + 1
        numbers = adjusted(n)
        t = Counter(numbers.values())
        y = t[1] / (t[1] + 2 * t[2])
        taken = [0.0, 1 - 2 * y * t[2] / t[1], 2 - 3 * y * t[3] / t[2], 3 - 4 * y * t[4] / t[3]]
        after = {g[-1]: c for g, c in numbers.items() if g[:-1] == history}
        lower = probability(history[1:], word) if history else 1 / (size - 1)
        if not after:
            return lower
        total = sum(after.values())
        here = max(0.0, after.get(word, 0) - taken[min(after.get(word, 0), 3)]) / total
        return here + sum(taken[min(c, 3)] for c in after.values()) / total * lower

    return probability(history, word)


def test_kneser_ney_is_what_chen_and_goodman_define() -> None:
    documents, size = drawn(0), LARGE
    counts = counted(documents, 3, size)
    assert all(discounts(adjusted_counts(counts, n)) != FALLBACK for n in (1, 2, 3))
    model = kneser_ney(counts)
    for history in [(), (4,), (3, 4), (4, 3), (BOS, 5), (20, 21), (8, 8)]:
        for word in (UNK, EOS, 3, 4, 9, 15):
            expected = defined_kneser_ney(documents, 3, size, history[-2:], word)
            assert math.exp(model.next_token(history)[word]) == pytest.approx(expected, rel=1e-9), (history, word)


def test_katz_is_what_good_and_katz_define() -> None:
    documents, size = drawn(2), LARGE
    counts = counted(documents, 2, size)
    model = katz(counts)
    unigrams, bigrams = (tallied(documents, n, running=False) for n in (1, 2))

    def ratio(tally: Counter[tuple[int, ...]], r: int) -> float:
        t = Counter(tally.values())
        assert all(t[k] for k in range(1, 7))
        common = 6 * t[6] / t[1]
        return 1.0 if r > 5 else ((r + 1) * t[r + 1] / (r * t[r]) - common) / (1 - common)

    ratios = [good_turing(counts.counts[1], 5)[min(r, 6)] for r in range(1, 8)]
    expected = [ratio(bigrams, r) for r in range(1, 8)]
    inside = [0 < e <= 1 for e in expected]
    assert sum(inside) >= 5
    np.testing.assert_allclose(np.array(ratios)[inside], np.array(expected)[inside])
    first = np.exp(model.next_token([]))
    history = 4
    after = {g[1]: c for g, c in bigrams.items() if g[0] == history}
    seen = {w: good_turing(counts.counts[1], 5)[min(c, 6)] * c / sum(after.values()) for w, c in after.items()}
    left = (1 - sum(seen.values())) / (1 - sum(first[w] for w in seen))
    for word in range(size):
        expected_here = seen.get(word, left * first[word])
        assert math.exp(model.next_token([history])[word]) == pytest.approx(expected_here, rel=1e-9, abs=1e-12)
    assert sum(unigrams.values()) == counts.counts[0].sum()


def test_katz_leaves_out_rare_long_n_grams_and_gives_their_share_to_the_shorter_context() -> None:
    documents, size = drawn(3), LARGE
    model, bigrams = katz(counted(documents, 3, size)), katz(counted(documents, 2, size))
    trigrams = tallied(documents, 3, running=False)
    assert fewest(3) == 2
    assert len(model.keys[2]) == sum(c >= 2 for c in trigrams.values()) < len(trigrams)
    factors = good_turing(np.array(list(trigrams.values())), 7)
    history = max(trigrams, key=lambda g: trigrams[g])[:2]
    after = {g[2]: c for g, c in trigrams.items() if g[:2] == history}
    assert any(c == 1 for c in after.values())
    kept = {w: factors[min(c, 8)] * c / sum(after.values()) for w, c in after.items() if c >= 2}
    shorter = np.exp(bigrams.next_token(history[1:]))
    left = (1 - sum(kept.values())) / (1 - sum(shorter[w] for w in kept))
    for word in range(size):
        expected = kept.get(word, left * shorter[word])
        assert math.exp(model.next_token(history)[word]) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("order", [3, 4, 5])
def test_what_a_kept_n_gram_begins_and_ends_with_is_kept(order: int) -> None:
    model = katz(counted(drawn(4), order, LARGE))
    tables = [set(ngrams(model, n)) for n in range(1, order + 1)]
    for shorter, longer in itertools.pairwise(tables):
        assert all(ngram[:-1] in shorter and ngram[1:] in shorter for ngram in longer)


@given(numbers=st.lists(st.integers(0, 12), max_size=200).map(np.array))
def test_discounts_stay_in_range(numbers: np.ndarray) -> None:
    numbers = numbers.astype(np.int64)
    assert all(0 < discount <= k for k, discount in enumerate(discounts(numbers), start=1))
    for reliable in (5, 7):
        assert ((good_turing(numbers, reliable) > 0) & (good_turing(numbers, reliable) <= 1)).all()


def test_longer_contexts_help_where_the_text_has_them() -> None:
    cycle = [[BOS, *([3, 4, 3, 5, 3, 6] * 20), EOS]] * 30
    scores = {n: kneser_ney(counted(cycle, n)).score_tokens(encoded(cycle)).mean() for n in (1, 2, 3)}
    assert scores[3] < scores[2] < scores[1]


@pytest.mark.parametrize("estimate", ESTIMATES)
def test_an_arpa_file_has_its_form_and_escapes_white_space(estimate: str, tmp_path: Path) -> None:
    model = ESTIMATES[estimate](counted([[BOS, 3, 4, EOS], [BOS, 3, 5, EOS]], 2, 6))
    write_arpa(model, ["?", "[", "]", "a", " ", "<s>"], tmp_path / "model.arpa")
    lines = (tmp_path / "model.arpa").read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["\\data\\", "ngram 1=6", "ngram 2=5"]
    unigrams = [line.split("\t") for line in lines[lines.index("\\1-grams:") + 1 :][:6]]
    assert [words for _, words, _ in unigrams] == ["<unk>", "<s>", "</s>", "a", "\\u0020", "\\<s>"]
    assert lines[-1] == "\\end\\"


@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize("order", [2, 3, 5])
def test_kenlm_reads_the_file_and_gives_the_same_scores(estimate: str, order: int, tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm", reason="needs `pip install kenlm`, which compiles it")
    size = LARGE
    names = [f"w{n}" for n in range(size)]
    names[3], names[4], names[5] = "中", "שלום", "🙂"
    model: NgramModel = ESTIMATES[estimate](counted(drawn(5), order, size))
    write_arpa(model, names, tmp_path / "model.arpa")
    read = kenlm.Model(str(tmp_path / "model.arpa"))
    assert read.order == order
    for text in drawn(6, documents=40):
        ours = -model.score_tokens(encoded([text]))[1:] / math.log(10)
        theirs = [found[0] for found in read.full_scores(" ".join(names[token] for token in text[1:-1]))]
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_kenlm_reads_running_text_and_odd_tokens(tmp_path: Path) -> None:
    kenlm = pytest.importorskip("kenlm", reason="needs `pip install kenlm`, which compiles it")
    documents = [text[1:] for text in drawn(7)]
    names = [f"w{n}" for n in range(LARGE)]
    names[3:9] = ["\\ x", "a b", "a\\u0020b", "\\", "", "<s>"]
    model = kneser_ney(counted(documents, 3, LARGE, running=True))
    write_arpa(model, names, tmp_path / "model.arpa")
    lines = (tmp_path / "model.arpa").read_text(encoding="utf-8").splitlines()
    unigrams = lines[lines.index("\\1-grams:") + 1 : lines.index("\\2-grams:") - 1]
    words = [line.split("\t")[1] for line in unigrams]
    assert len(set(words)) == len(words) == LARGE + 1
    assert lines[1] == f"ngram 1={LARGE + 1}"
    read = kenlm.Model(str(tmp_path / "model.arpa"))
    # <s> stands before the first token, so the third is the first whose whole context both know.
    written = dict(zip(range(LARGE), words[1:], strict=True))
    text = [token for document in drawn(8, documents=30) for token in document[1:-1]]
    ours = -model.score_tokens(encoded([text], model.vocabulary)) / math.log(10)
    theirs = [one[0] for one in read.full_scores(" ".join(written[token] for token in text), eos=False)]
    np.testing.assert_allclose(ours[2:], theirs[2:], atol=2e-5)
