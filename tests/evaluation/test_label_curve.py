"""What more labels would bring: curves against a known law, and where there is none."""

import numpy as np
import pytest

from rnnlm.evaluation.comparison import Predictions
from rnnlm.evaluation.label_curve import covariance_of, fit, label_curves, more_labels_sentence, spreads_of
from rnnlm.evaluation.sampling import Scores
from rnnlm.evaluation.verdict import Recommendation
from rnnlm.refs import ModelKind

SIZES = np.array([100, 500, 2_000])
LAW = {100: 0.4, 500: 0.3, 2_000: 0.25}  # errors, close to 0.17 + 1.0 / n ** 0.33


def cells(
    errors: dict[int, float], seeds: int = 3, documents: int = 2_000, arm: str = "parameter"
) -> list[Predictions]:
    """Return cells that are wrong on this share of the documents."""
    made = []
    for labels, share in errors.items():
        for seed in range(seeds):
            generator = np.random.default_rng([labels, seed])
            right = generator.random(documents) >= share + 0.005 * generator.standard_normal()
            made.append(Predictions("classifier", arm, labels, seed, right.astype(float), np.ones(documents)))
    return made


def test_curves_hold_what_a_known_law_brings() -> None:
    """Of 200 arms whose errors follow the law, 95 % intervals hold at least 95 % less two standard errors."""
    held = 0
    for n in range(200):
        generator = np.random.default_rng(n)
        exponent, floor, first = generator.uniform(0.1, 0.6), generator.uniform(0.0, 0.2), generator.uniform(0.25, 0.6)
        scale = (first - floor) * 100**exponent
        true, further = (
            floor + scale * sizes.astype(float) ** -exponent for sizes in (SIZES, np.array([2_000, 4_000]))
        )
        deviation = 0.01
        seen = true + deviation * generator.standard_normal(3)
        curves = fit(SIZES, seen, deviation**2 * np.eye(3))
        if curves is None:
            continue
        low, high = np.quantile(curves.errors(2_000) - curves.errors(4_000), [0.025, 0.975])
        held += low <= further[0] - further[1] <= high
    assert held >= 200 * (0.95 - 2 * np.sqrt(0.05 * 0.95 / 200))


def test_many_documents_and_seeds_narrow_the_interval() -> None:
    few, many = (label_curves(cells(LAW, seeds, documents))[0] for seeds, documents in ((2, 300), (10, 20_000)))
    assert (many.arm, many.least, many.most, many.further) == ("parameter", 100, 2_000, 3_000)
    labels = [more.labels for more in many.gains]
    assert labels == sorted(labels)
    assert 3_000 in labels
    assert labels[-1] == 4_000
    for more in (few.gains[-1].gain, many.gains[-1].gain):
        assert 0.0 < more.low < more.value < more.high < 0.05
    assert many.gains[-1].gain.high - many.gains[-1].gain.low < few.gains[-1].gain.high - few.gains[-1].gain.low


@pytest.mark.parametrize(
    ("errors", "seeds"),
    [
        ({100: 0.5, 500: 0.3}, 3),  # two label counts are no curve
        ({100: 0.5, 500: 0.5, 2_000: 0.499, 10_000: 0.1}, 3),  # at chance first: no such law
        (LAW, 1),  # nothing says how much seeds differ
    ],
)
def test_where_there_is_no_curve_nothing_is_said(errors: dict[int, float], seeds: int) -> None:
    assert label_curves(cells(errors, seeds)) == []


def test_an_arm_that_makes_no_error_has_no_curve() -> None:
    faultless = [
        Predictions("classifier", "parameter", 2_000, seed, np.ones(2_000), np.ones(2_000)) for seed in range(3)
    ]
    assert label_curves(cells({100: 0.1, 500: 0.05}) + faultless) == []


def test_few_documents_and_language_models_get_no_curve() -> None:
    assert label_curves(cells(LAW, documents=29)) == []
    of_text: ModelKind = "language_model"
    assert label_curves([Predictions(of_text, "parameter", 0, s, np.ones(50), np.ones(50)) for s in range(3)]) == []


def test_numbers_have_curves_of_their_error() -> None:
    made = [
        Predictions("regressor", one.arm, one.labels, one.seed, 7.0 * (one.score - 1.0), one.weight)
        for one in cells(LAW)
    ]
    (curve,), (same,) = label_curves(made), label_curves(cells(LAW))
    assert curve.gains[-1].gain.value == pytest.approx(7.0 * same.gains[-1].gain.value, rel=1e-6)
    use = [Recommendation(task="regressor", labels=2_000, arm="parameter")]
    assert " less mean absolute error (95 % interval)" in more_labels_sentence([curve], use)


def test_the_sentence_is_about_the_arm_to_use_with_all_labels() -> None:
    curves = label_curves(cells(LAW) + cells(LAW, arm="tfidf"))
    use = [
        Recommendation(task="classifier", labels=labels, arm=arm)
        for labels, arm in ((2_000, "tfidf"), (100, "scratch"))
    ]
    said = more_labels_sentence(curves, use)
    assert said.startswith(
        "What more labels would bring. With 1,000 more than 2,000, a linear model on TF-IDF would be "
    )
    assert " points of accuracy better (95 % interval), and with twice as many " in said
    assert said.endswith(", if it goes on as it did from 100 labels on.")
    assert more_labels_sentence(curves, use[1:]) == ""
    assert more_labels_sentence(curves, []) == ""


def test_covariance_is_that_of_means_over_the_same_documents() -> None:
    generator = np.random.default_rng(1)
    shared = generator.standard_normal(500)
    made = [
        Scores(np.stack([shared + generator.standard_normal(500) for _ in range(3)]), np.ones(500)) for _ in range(2)
    ]
    found = covariance_of(made, [0.3, 0.6])
    means = np.stack([one.scores.mean(axis=0) for one in made])
    assert found == pytest.approx(np.cov(means) * 499 / 500 / 500 + np.diag([0.1, 0.2]), rel=1e-9)


def test_a_spread_is_drawn_towards_that_of_all_label_counts() -> None:
    def of(variance: float, seeds: int) -> Scores:
        means = np.sqrt(variance / np.var(np.arange(seeds), ddof=1)) * np.arange(seeds) if seeds > 1 else np.zeros(1)
        return Scores(np.repeat(means[:, None], 10, axis=1), np.ones(10))

    # In common (2 * 1 + 4 * 4) / 6 = 3; then (2 * 3 + 2 * 1) / 4, (2 * 3 + 4 * 4) / 6, and 3 for one seed.
    found = spreads_of({100: of(1.0, 3), 500: of(4.0, 5), 2_000: of(0.0, 1)})
    assert found == pytest.approx({100: 2.0, 500: 22 / 6, 2_000: 3.0})
    assert spreads_of({100: of(0.0, 1)}) is None


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.8])
def test_what_seeds_err_on_is_counted_once(alike: float) -> None:
    """Seeds that are equally good, and err on other documents: the estimated variance of their mean is the true one."""
    generator = np.random.default_rng(5)
    estimated, means = [], []
    for _ in range(400):
        shared = np.sqrt(alike) * generator.standard_normal(300)
        right = shared + np.sqrt(1 - alike) * generator.standard_normal((3, 300)) > 0.5
        one = Scores(right.astype(float), np.ones(300))
        spreads = spreads_of({100: one, 500: one})
        assert spreads is not None
        estimated.append(covariance_of([one], [spreads[100]])[0, 0])
        means.append(one.means.mean())
    # Spreads are not negative, so a little more than the true variance is left in the mean.
    assert 0.9 < np.mean(estimated) / np.var(means) < 1.5


@pytest.mark.parametrize(("most", "more"), [(1_000, "100"), (2_000, "1,000"), (10_552, "1,000")])
def test_a_round_number_up_to_half_as_many_is_said_and_twice_as_many(most: int, more: str) -> None:
    curves = label_curves(cells({50: 0.4, 200: 0.3, most: 0.25}))
    said = more_labels_sentence(curves, [Recommendation(task="classifier", labels=most, arm="parameter")])
    assert f"With {more} more than {most:,}, " in said
    assert "and with twice as many " in said


def test_more_labels_are_more() -> None:
    (curve,) = label_curves(cells({1: 0.4, 2: 0.3, 4: 0.25}))
    labels = [more.labels for more in curve.gains]
    assert labels == [5, 6, 7, 8]
