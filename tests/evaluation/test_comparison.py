import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.evaluation.comparison import (
    Predictions,
    Rules,
    gains,
    gains_beyond_target_text,
    gains_over_tradition,
    holm,
    mcnemar,
    outcome_of,
    verdict_sentences,
)
from rnnlm.evaluation.enough import LEAST_DOCUMENTS
from rnnlm.evaluation.verdict import Interval
from rnnlm.targets.entities import Found

DOCUMENTS = 400


def cell(arm: str, seed: int, accuracy: float, labels: int = 100) -> Predictions:
    generator = np.random.default_rng([seed, len(arm)])
    right = (generator.random(DOCUMENTS) < accuracy).astype(np.float64)
    return Predictions("classifier", arm, labels, seed, right, np.ones(DOCUMENTS))


def test_a_few_entities_make_no_claim() -> None:
    """What counts is the documents with entities, and those on which two arms differ."""

    def arm(name: str, right: int, entities: int) -> Predictions:
        true = (np.arange(1_000) < entities).astype(np.int64)
        found = Found(np.minimum(true, np.arange(1_000) < right), true, true)
        return Predictions("tagger", name, 100, 1, found.f1_by_document(), np.ones(1_000), np.stack(found, axis=1))

    (one,) = gains([arm("scratch", 0, 1), arm("parameter", 1, 1)])
    assert (one.outcome, one.documents) == ("no claim", 1)
    (three,) = gains([arm("scratch", 200, 300), arm("parameter", 203, 300)])
    assert (three.outcome, three.documents) == ("open", 300)
    assert three.p_value is not None
    assert three.p_value >= 0.25
    (many,) = gains([arm("scratch", 200, 300), arm("parameter", 230, 300)])
    assert many.outcome == "positive"
    assert (many.only_arm, many.mcnemar_p) == (None, None)


def test_the_gain_is_the_mean_difference_over_seeds() -> None:
    cells = [cell(arm, seed, share) for arm, share in (("scratch", 0.6), ("parameter", 0.9)) for seed in (1, 2, 3)]
    (gain,) = gains(cells)
    by_seed = [cells[3 + n].score.mean() - cells[n].score.mean() for n in range(3)]
    assert gain.gain.value == pytest.approx(np.mean(by_seed))
    assert gain.spread == pytest.approx(np.std(by_seed, ddof=1))
    assert (gain.arm, gain.labels, gain.seeds, gain.outcome) == ("parameter", 100, 3, "positive")
    assert gain.gain.low < gain.gain.value < gain.gain.high
    assert "helps" in gain.sentence


def test_bits_saved_are_a_gain() -> None:
    characters = np.full(50, 20.0)
    better, worse = (
        Predictions("language_model", arm, 0, 1, np.full(50, -bits), characters)
        for arm, bits in (("parameter", 30.0), ("scratch", 40.0))
    )
    (gain,) = gains([better, worse])
    assert gain.gain.value == pytest.approx(0.5)  # 10 bits on 20 characters
    assert gain.outcome == "positive"
    assert gain.spread is None
    assert gain.about == "models"


def test_an_arm_against_itself_is_no_gain() -> None:
    same = cell("scratch", 1, 0.7)
    other = Predictions("classifier", "feature", 100, 1, same.score, same.weight)
    (gain,) = gains([same, other])
    assert gain.gain == Interval(value=0.0, low=0.0, high=0.0)
    assert gain.outcome == "equal"


def test_arms_without_a_seed_in_common_are_not_compared() -> None:
    found = gains([cell("scratch", 1, 0.5), cell("scratch", 2, 0.5), cell("parameter", 2, 0.5)])
    assert [gain.seeds for gain in found] == [1]
    assert found[0].spread_from == 100
    assert "one seed, and how much seeds differ is known from the other arms" in found[0].sentence
    assert gains([cell("scratch", 1, 0.5), cell("parameter", 2, 0.5)]) == []


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.01, 0.2, "positive"),
        (-0.2, -0.01, "negative"),
        (-0.1, 0.1, "open"),
        (0.0, 0.1, "open"),
        (-0.009, 0.009, "equal"),
        (-0.009, 0.011, "open"),
    ],
)
def test_the_outcome_never_says_more_than_the_interval(low: float, high: float, outcome: str) -> None:
    interval = Interval(value=(low + high) / 2, low=low, high=high)
    assert outcome_of(interval, 0.01, 0.01, 0.01) == outcome
    by_interval_alone = outcome_of(interval, 0.06, 0.03, 0.01)
    assert by_interval_alone == "open", "when all arms are taken together, neither is beyond chance"


def test_equal_is_an_answer() -> None:
    """Two arms that differ on 20 of 20,000 documents, ten for each, are as good as each other."""
    generator = np.random.default_rng(0)
    right = (generator.random(20_000) < 0.8).astype(np.float64)
    cells = []
    for arm in ("scratch", "parameter"):
        for seed in (1, 2, 3):
            score = right.copy()
            score[generator.integers(0, len(right), 20)] = 0.0
            cells.append(Predictions("classifier", arm, 100, seed, score, np.ones(len(right))))
    (gain,) = gains(cells)
    assert gain.outcome == "equal"
    assert gain.margin == 0.01
    assert "parameter transfer is as good as from scratch, within 1.0 points of accuracy: " in gain.sentence
    (sentence,) = verdict_sentences([gain], [], [])
    assert sentence == "Transfer to the target classifier. As good: parameter transfer with 100 labels."
    (strict,) = gains(cells, rules=Rules(margin=0.0001))
    assert strict.outcome == "open"


def test_one_seed_says_nothing_about_the_way_of_training() -> None:
    (gain,) = gains([cell("scratch", 1, 0.5), cell("parameter", 1, 0.9)])
    assert (gain.about, gain.outcome, gain.spread_from) == ("models", "positive", None)
    assert "is better: " in gain.sentence
    assert "one seed: this is said of these two models, and others may differ" in gain.sentence
    (sentence,) = verdict_sentences([gain], [], [])
    assert "Better: parameter transfer with 100 labels" in sentence
    note = "With one seed, this is said of these models only: others may differ."
    assert sentence.endswith(note)
    # What is said of several seeds comes first, and by itself.
    several = [
        cell(arm, seed, share, 50) for arm, share in (("scratch", 0.5), ("parameter", 0.9)) for seed in (1, 2, 3)
    ]
    found = [*gains(several), gain]
    (both,) = verdict_sentences(found, [], [])
    assert both.index("It helps: parameter transfer with 50 labels") < both.index("Better: parameter transfer with 100")
    assert both.endswith(note)


def test_how_much_seeds_differ_may_be_known_from_fewer_labels() -> None:
    """With the same predictions the interval with one seed is wider where seeds differ more elsewhere."""
    widths = []
    for apart in (0.0, 0.1):
        fewer = [
            cell(arm, seed, 0.6 + apart * (seed - 2), 50) for arm in ("scratch", "parameter") for seed in (1, 2, 3)
        ]
        more = [cell(arm, seed, 0.6 + apart * (seed - 2), 900) for arm in ("scratch", "parameter") for seed in (1, 2)]
        ones = [cell("scratch", 1, 0.6), cell("parameter", 1, 0.7)]
        gain = next(gain for gain in gains([*fewer, *more, *ones]) if gain.labels == 100)
        assert (gain.about, gain.seeds, gain.spread_from) == ("training", 1, 50)
        assert "how much seeds differ is known from 50 labels" in gain.sentence
        widths.append(gain.gain.high - gain.gain.low)
    assert widths[1] > 2.0 * widths[0]
    # With more labels seeds differ less: that is no measure for fewer.
    (alone,) = (gain for gain in gains([*more, *ones]) if gain.labels == 100)
    assert alone.about == "models"


def test_a_small_sure_gain_is_said_to_matter_little() -> None:
    generator = np.random.default_rng(0)
    right = (generator.random(200_000) < 0.8).astype(np.float64)
    better = right.copy()
    better[np.flatnonzero(right == 0.0)[:800]] = 1.0
    cells = [
        Predictions("classifier", arm, 100, seed, score, np.ones(len(right)))
        for arm, score in (("scratch", right), ("parameter", better))
        for seed in (1, 2)
    ]
    (gain,) = gains(cells)
    assert gain.outcome == "positive"
    assert "surely less than 1.0 points of accuracy, which hardly matters" in gain.sentence


def test_numbers_have_no_margin_of_their_own() -> None:
    scores = np.random.default_rng(0).normal(0.0, 1e-4, (2, 400))
    cells = [
        Predictions("regressor", a, 100, 1, s, np.ones(400))
        for a, s in zip(("scratch", "parameter"), scores, strict=True)
    ]
    (gain,) = gains(cells)
    assert (gain.outcome, gain.margin) == ("open", 0.0)
    (given_one,) = gains(cells, rules=Rules(margin=0.01))
    assert given_one.outcome == "equal"


def test_a_language_model_that_no_seed_changes_stands_for_every_seed() -> None:
    characters, generator = np.full(DOCUMENTS, 50.0), np.random.default_rng(3)

    def model(arm: str, seed: int, bits: float) -> Predictions:
        return Predictions("language_model", arm, 0, seed, -generator.normal(bits, 5.0, DOCUMENTS), characters)

    cells = [model("scratch", seed, 100.0 + seed) for seed in (1, 2, 3)] + [model("kneser_ney", 1, 90.0)]
    (gain,) = gains(cells)
    assert (gain.arm, gain.about, gain.seeds, gain.outcome) == ("kneser_ney", "training", 3, "positive")


def test_the_verdict_names_help_and_harm() -> None:
    shares = [("scratch", 0.6, 100), ("parameter", 0.95, 100), ("scratch", 0.9, 500), ("parameter", 0.5, 500)]
    found = gains([cell(arm, seed, share, labels) for arm, share, labels in shares for seed in (1, 2, 3)])
    (sentence,) = verdict_sentences(found, [], [])
    assert sentence.startswith("Transfer to the target classifier. It helps: parameter transfer with 100 labels, +")
    assert sentence.endswith(". It hurts: parameter transfer with 500 labels.")


def test_the_verdict_names_the_best_of_several() -> None:
    shares = [("scratch", 0.5), ("parameter", 0.7), ("feature", 0.9)]
    cells = [cell(arm, seed, share, n) for arm, share in shares for n in (100, 2_000) for seed in (1, 2, 3)]
    found = gains(cells)
    (sentence,) = verdict_sentences(found, [], [])
    assert "It helps: parameter transfer and feature transfer with 100 and 2,000 labels; most:" in sentence
    assert "; most: feature transfer with" in sentence


def test_what_is_not_decided_is_called_open() -> None:
    found = gains([cell(arm, seed, 0.6) for arm in ("scratch", "parameter") for seed in (1, 2, 3)])
    assert verdict_sentences(found, [], []) == [
        "Transfer to the target classifier. Open: parameter transfer with 100 labels."
    ]


def test_what_the_targets_text_gives_by_itself_is_not_credited_to_the_source() -> None:
    # What has not read the target's text says nothing about what the source adds to it.
    shares = {"direct": 0.3, "multi_task": 0.3, "scratch": 0.6, "target_text": 0.9, "feature": 0.9}
    cells = [cell(arm, seed, share) for arm, share in shares.items() for seed in (1, 2, 3)]
    beyond = gains_beyond_target_text(cells)
    assert [(gain.arm, gain.baseline, gain.outcome) for gain in beyond] == [("feature", "target_text", "open")]
    sentences = verdict_sentences(gains(cells), beyond, [])
    assert sentences[0].startswith("Transfer to the target classifier. It helps: feature transfer")
    assert sentences[1] == ("What the source adds to the target's own text. Open: feature transfer with 100 labels.")
    assert "than from the target's own text alone" in beyond[0].sentence


def test_transfer_and_scratch_are_measured_against_the_tradition() -> None:
    shares = [("scratch", 0.6), ("tfidf", 0.8), ("target_text", 0.7), ("parameter", 0.97)]
    cells = [cell(arm, seed, share) for arm, share in shares for seed in (1, 2, 3)]
    tradition = gains_over_tradition(cells)
    assert {(gain.arm, gain.baseline, gain.outcome) for gain in tradition} == {
        ("scratch", "tfidf", "negative"),
        ("parameter", "tfidf", "positive"),
    }
    sentences = verdict_sentences(gains(cells), [], tradition)
    assert sentences[0].startswith("Transfer to the target classifier. It helps: parameter transfer with 100 labels,")
    assert "TF-IDF" not in sentences[0]  # no transfer
    assert sentences[1].startswith("Against a linear model on TF-IDF. Better: parameter transfer with 100 labels,")
    assert sentences[1].endswith(" Worse: training from scratch with 100 labels.")
    assert "is better" in next(gain.sentence for gain in tradition if gain.arm == "parameter")
    assert "a linear model on TF-IDF is better" in next(g.sentence for g in gains(cells) if g.arm == "tfidf")


@given(p_values=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_holm_rejects_what_its_step_down_rule_rejects(p_values: list[float]) -> None:
    """By the definition: the k-th smallest is rejected while it and all before are at most 0.05 / (m - k + 1)."""
    adjusted = holm(p_values)
    rejected, going = set(), True
    for rank, (p, place) in enumerate(sorted((p, n) for n, p in enumerate(p_values))):
        going = going and (len(p_values) - rank) * p <= 0.05
        if going:
            rejected.add(place)
    assert {n for n, p in enumerate(adjusted) if p <= 0.05} == rejected
    assert all(p <= a <= 1.0 for p, a in zip(p_values, adjusted, strict=True))


def test_a_gain_among_many_arms_has_to_be_clearer() -> None:
    """A gain whose own interval is just above zero is not called one when nine other arms were tried as well."""
    generator = np.random.default_rng(5)
    scratch = cell("scratch", 1, 0.5)
    changed = scratch.score.copy()
    worse, better = np.flatnonzero(changed == 1)[:20], np.flatnonzero(changed == 0)[:36]
    changed[worse], changed[better] = 0.0, 1.0
    lucky = Predictions("classifier", "parameter", 100, 1, changed, scratch.weight)
    others = [
        Predictions("classifier", f"arm{n}", 100, 1, generator.permutation(scratch.score), scratch.weight)
        for n in range(9)
    ]
    (alone,) = gains([scratch, lucky])
    among = next(gain for gain in gains([scratch, lucky, *others]) if gain.arm == "parameter")
    assert alone.outcome == "positive"
    assert among.gain == alone.gain
    assert among.outcome == "open"
    assert "not beyond chance when all arms are taken together" in among.sentence


def test_what_kneser_ney_gives_is_not_credited_to_transfer() -> None:
    """A mixture that is better than scratch, where parameter transfer alone is not, is no help of the source."""
    characters = np.full(DOCUMENTS, 50.0)
    generator = np.random.default_rng(0)
    bits = generator.normal(100.0, 5.0, DOCUMENTS)
    means = {"scratch": 0.0, "kneser_ney": -4.0, "parameter": 0.0, "parameter_kneser_ney": -10.0}
    cells = [
        Predictions("language_model", arm, 0, 1, -(bits + mean + generator.normal(0.0, 3.0, DOCUMENTS)), characters)
        for arm, mean in means.items()
    ]
    sentences = verdict_sentences(gains(cells), [], gains_over_tradition(cells))
    assert sentences[0] == (
        "Transfer to the target language model. As good: parameter transfer. "
        "With one seed, this is said of these models only: others may differ."
    )
    assert sentences[1].startswith("Against Kneser-Ney. Better: parameter transfer mixed with Kneser-Ney, ")
    mixture = next(gain for gain in gains(cells) if gain.arm == "parameter_kneser_ney")
    assert mixture.outcome == "positive"
    assert "is better" in mixture.sentence


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (0, 4, 2 / 16),  # four heads or four tails
        (1, 7, 2 * (1 + 8) / 256),
        (7, 1, 2 * (1 + 8) / 256),
    ],
)
def test_mcnemars_exact_test_by_hand(only_first: int, only_second: int, p: float) -> None:
    assert mcnemar(only_first, only_second) == pytest.approx(p)


def test_a_gain_counts_the_documents_that_only_one_gets_right() -> None:
    cells = [cell(arm, seed, share) for arm, share in (("scratch", 0.6), ("parameter", 0.7)) for seed in (1, 2)]
    (gain,) = gains(cells)
    right = {(one.arm, one.seed): one.score == 1.0 for one in cells}
    for found, arm, other in (
        (gain.only_arm, "parameter", "scratch"),
        (gain.only_baseline, "scratch", "parameter"),
    ):
        assert found == sum((right[arm, seed] & ~right[other, seed]).sum() for seed in (1, 2))
    assert gain.only_arm is not None
    assert gain.only_baseline is not None
    assert gain.gain.value == pytest.approx((gain.only_arm - gain.only_baseline) / (2 * DOCUMENTS))
    # The documents of two seeds are the same ones: no independent tosses.
    assert gain.mcnemar_p is None
    (single,) = gains([one for one in cells if one.seed == 1])
    assert single.only_arm is not None
    assert single.only_baseline is not None
    assert single.mcnemar_p == pytest.approx(mcnemar(single.only_arm, single.only_baseline))


def test_a_language_model_gets_no_document_right() -> None:
    scores = np.array([1.0, 2.0, 3.0])
    (gain,) = gains([Predictions("language_model", arm, 0, 1, scores, scores) for arm in ("scratch", "parameter")])
    assert (gain.only_arm, gain.only_baseline, gain.mcnemar_p) == (None, None, None)


def test_below_the_least_number_of_documents_no_claim_is_made() -> None:
    for documents in (1, 4, LEAST_DOCUMENTS - 1, LEAST_DOCUMENTS):
        characters = np.full(documents, 10.0)
        wins = np.arange(documents) >= 0
        cells = [
            *(
                Predictions("language_model", a, 0, 1, -s * characters, characters)
                for a, s in (("scratch", 2), ("direct", 1))
            ),
            Predictions("classifier", "scratch", 100, 1, 0.0 * wins, np.ones(documents)),
            Predictions("classifier", "parameter", 100, 1, 1.0 * wins, np.ones(documents)),
        ]
        for gain in gains(cells):
            assert gain.documents == documents
            if documents < LEAST_DOCUMENTS:
                assert (gain.outcome, gain.p_value) == ("no claim", None)
                assert "no claim is made about" in gain.sentence
                assert "interval" not in gain.sentence
                assert f"{documents} document" in gain.sentence
            else:
                assert gain.outcome == "positive"
        sentences = verdict_sentences(gains(cells), [], [])
        assert any("Better" in one for one in sentences) == (documents == LEAST_DOCUMENTS)
        assert bool(sentences) == (documents == LEAST_DOCUMENTS)


@pytest.mark.parametrize("only_arm", range(1, 8))
def test_a_claim_about_few_documents_that_differ_needs_mcnemars_consent(only_arm: int) -> None:
    """A t test calls four documents of 400 a gain; an exact test needs six, and more with several arms."""
    scratch = cell("scratch", 1, 0.5)
    better = scratch.score.copy()
    better[np.flatnonzero(better == 0)[:only_arm]] = 1.0
    arm = Predictions("classifier", "parameter", 100, 1, better, scratch.weight)
    (gain,) = gains([scratch, arm])
    assert gain.mcnemar_p is not None
    assert gain.p_value is not None
    assert gain.p_value >= gain.mcnemar_p
    assert (gain.outcome == "positive") == (gain.mcnemar_p <= 0.05)
    if only_arm == 5:
        assert "not beyond chance: they differ on too few documents" in gain.sentence
