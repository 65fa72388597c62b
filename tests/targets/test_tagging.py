"""Entities are counted as conlleval counts them; F1 by document; the conditional random field."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.corpus.bio import classes_of, iob2
from rnnlm.targets import TARGETS, crf
from rnnlm.targets.entities import Found, found
from rnnlm.targets.solver import Options
from rnnlm.tokens.text import listed

TYPES = ("LOC", "PER")
TAGS = classes_of(f"B-{kind}" for kind in TYPES)


def chunks(tags: list[str]) -> set[tuple[int, int, str]]:
    """Return the entities of a document as conlleval.pl finds them, word by word: `startOfChunk` and `endOfChunk`."""
    spans, begin = set(), -1
    before, kind_before = "O", ""
    for place, tag in enumerate([*tags, "O"]):
        mark, _, kind = tag.partition("-")
        ends = (before, mark) in {
            ("B", "B"),
            ("B", "O"),
            ("I", "B"),
            ("I", "O"),
            ("E", "E"),
            ("E", "I"),
            ("E", "O"),
            ("E", "S"),
        }
        ends |= (before, mark) in {("E", "B"), ("S", "S"), ("S", "B"), ("S", "I"), ("S", "E"), ("S", "O")}
        ends |= before not in "O." and kind_before != kind
        starts = (before, mark) in {("B", "B"), ("I", "B"), ("O", "B"), ("O", "I"), ("E", "E"), ("E", "I"), ("E", "B")}
        starts |= (before, mark) in {("O", "E"), ("O", "S"), ("S", "S"), ("S", "I"), ("S", "B"), ("E", "S")}
        starts |= (before, mark) in {("B", "S"), ("I", "S"), ("S", "E")}
        starts |= mark not in "O." and kind_before != kind
        if ends and begin >= 0:
            spans.add((begin, place, kind_before))
            begin = -1
        if starts:
            begin = place
        before, kind_before = mark, kind
    return spans


documents = st.lists(st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), max_size=8), min_size=1)


@given(documents)
def test_entities_are_counted_as_conlleval_counts_them(pairs: list[list[tuple[str, str]]]) -> None:
    said = [[one for one, _ in document] for document in pairs]
    true = [[one for _, one in document] for document in pairs]
    flat = [np.array([TAGS.index(tag) for tag in itertools.chain(*tags)], np.int64) for tags in (said, true)]
    counted = found(flat[0], flat[1], np.array([len(document) for document in pairs]))
    both = [(chunks(one), chunks(other)) for one, other in zip(said, true, strict=True)]
    assert counted.right.tolist() == [len(one & other) for one, other in both]
    assert counted.said.tolist() == [len(one) for one, _ in both]
    assert counted.true.tolist() == [len(other) for _, other in both]
    assert counted.f1_by_document().mean() == pytest.approx(counted.f1)


every_scheme = st.lists(st.sampled_from(["O", *(f"{mark}-{kind}" for mark in "BIES" for kind in TYPES)]))


@given(every_scheme)
def test_all_schemes_become_one_with_the_same_entities(tags: list[str]) -> None:
    as_iob2 = iob2(tags)
    assert {tag[0] for tag in as_iob2} <= set("OBI")
    assert [tag[2:] for tag in as_iob2] == [tag[2:] for tag in tags]
    assert iob2(as_iob2) == as_iob2
    well_formed = all(
        not (tag[0] in "IE" and (before[0] in "OES" or before[2:] != tag[2:]))
        and not (before[0] in "BI" and tag[0] not in "IE")
        for before, tag in itertools.pairwise(["O", *tags, "O"])
    )
    if well_formed:
        assert chunks(as_iob2) == chunks(tags)


def test_schemes_by_hand() -> None:
    assert iob2(["I-LOC", "I-LOC", "B-LOC", "O", "I-PER"]) == ["B-LOC", "I-LOC", "B-LOC", "O", "B-PER"]
    assert iob2(["B-LOC", "L-LOC", "U-PER", "O"]) == ["B-LOC", "I-LOC", "B-PER", "O"]
    with pytest.raises(ValueError, match="'NOUN' marks no entity"):
        iob2(["O", "NOUN"])


def test_the_interval_of_f1_by_document_is_that_of_the_ratio() -> None:
    """What is drawn is documents: the mean of the values by document varies as F1 itself does."""
    generator = np.random.default_rng(11)
    true = generator.poisson(1.5, 400)
    one, other = (
        Found(generator.binomial(true, share), generator.poisson(0.2, 400) + true, true) for share in (0.7, 0.6)
    )
    drawn = generator.integers(0, 400, (2_000, 400))

    def f1(of: Found) -> np.ndarray:
        return np.asarray(2 * of.right[drawn].sum(axis=1) / (of.said[drawn] + of.true[drawn]).sum(axis=1))

    ratio = f1(one) - f1(other)
    linear = (one.f1_by_document() - other.f1_by_document())[drawn].mean(axis=1)
    assert np.corrcoef(ratio, linear)[0, 1] > 0.995
    np.testing.assert_allclose(np.quantile(linear, [0.025, 0.975]), np.quantile(ratio, [0.025, 0.975]), atol=0.003)


def test_nothing_found_and_nothing_there_is_zero() -> None:
    nothing = found(np.zeros(3, np.int64), np.zeros(3, np.int64), np.array([3, 0]))
    assert (nothing.f1, nothing.precision, nothing.recall) == (0.0, 0.0, 0.0)
    assert nothing.f1_by_document().tolist() == [0.0, 0.0]


def test_what_is_written_of_words_is_read_again() -> None:
    tagging, generator = TARGETS["tagger"], np.random.default_rng(2)
    labels = listed([generator.integers(0, 5, size).astype(np.int16) for size in (3, 1, 4)])
    said = generator.dirichlet(np.ones(5), 8).astype(np.float32)
    table = pa.table(tagging.table(said, labels))
    assert np.array_equal(tagging.said(table), said)
    assert [tags.tolist() for tags in tagging.labels_of(table)] == [tags.tolist() for tags in labels]
    assert np.array_equal(tagging.said(table.slice(1)), said[3:])
    assert tagging.strata(labels).shape == (3,)


def test_a_crf_learns_tags_from_the_words_around_and_knows_no_tag_that_it_has_not_seen() -> None:
    words = [["in", "Rome"], ["by", "Rome"], ["in", "Kim"], ["by", "Kim"]] * 5
    tags = [np.array([0, 1 if first == "in" else 3]) for first, _ in words]
    train = [crf.word_features(one) for one in words]
    asked, options = [crf.word_features(one) for one in (["in", "Oslo"], ["by", "Oslo"])], Options(classes=5)
    (said,) = crf.solve(train, tags, [asked], 100.0, options)
    assert said.argmax(axis=1).tolist() == [0, 1, 0, 3]
    np.testing.assert_allclose(said.sum(axis=1), 1.0, atol=1e-6)
    assert (said[:, [2, 4]] == 0.0).all()
    again = crf.solve(train, tags, [train], 100.0, options)
    assert np.array_equal(again[0], crf.solve(train, tags, [train], 100.0, options)[0])


def test_features_of_words_are_what_recognisers_look_at() -> None:
    features = crf.word_features(["In", "Paris,", "A4"])[1]
    assert {"w=paris,", "s=Xx,", "p3=par", "e2=s,", "w-1=in", "w+1=a4", "s+1=X0", "w-2=<s>", "title"} <= set(features)
