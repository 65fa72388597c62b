from pathlib import Path
from typing import Literal

import pytest

from rnnlm.evaluation.recommendation import outcome, outcomes, recommend, recommendation_sentence
from rnnlm.evaluation.summary import summary
from rnnlm.evaluation.verdict import Gain, Interval, Outcome, Recommendation
from rnnlm.refs import ModelKind, ScoreRef


def score(arm: str, valid: float, labels: int = 100, seed: int = 1) -> ScoreRef:
    task: Literal["language_model", "classifier"] = "classifier" if labels else "language_model"
    metric = "valid/accuracy" if labels else "valid/bits_per_character"
    # The test split would choose the other way round.
    metrics = {metric: valid, "valid/nll": 1.0, "accuracy": 1.0 - valid, "bits_per_character": -valid}
    return ScoreRef(
        path=Path("/nowhere"),
        sha256=f"{arm}{labels}{seed}",
        task=task,
        arm=arm,
        labels=labels,
        seed=seed,
        metrics=metrics,
        seconds=1.0,
        recorded_as="",
    )


def gain(arm: str, value: float, outcome: Outcome, labels: int = 100) -> Gain:
    return Gain(
        task="classifier" if labels else "language_model",
        metric="accuracy",
        arm=arm,
        labels=labels,
        gain=Interval(value=value, low=value - 0.1, high=value + 0.1),
        spread=None,
        seeds=3,
        p_value=0.5,
        outcome=outcome,
        sentence=f"With {labels} labels, {arm} is {outcome}.",
    )


def choosing(documents: int) -> dict[tuple[ModelKind, int], int]:
    return {("language_model", 0): 30, ("classifier", 100): documents, ("classifier", 500): documents}


def test_the_best_on_validation_is_recommended() -> None:
    scores = [
        score("kneser_ney", 2.0, labels=0),
        score("parameter", 1.8, labels=0),
        score("parameter", 0.9, seed=1),
        score("parameter", 0.5, seed=2),
        score("tfidf", 0.8, seed=1),
        score("tfidf", 0.8, seed=2),
        score("parameter", 0.9, labels=500),
        score("scratch", 0.9, labels=500),
        score("tfidf", 0.85, labels=500),
    ]
    found = recommend(scores, "accuracy", choosing(30))
    assert found == [
        Recommendation(task="language_model", labels=0, arm="parameter"),
        Recommendation(task="classifier", labels=100, arm="tfidf"),
        Recommendation(task="classifier", labels=500, arm="parameter"),  # the first of equals
    ]
    assert recommendation_sentence(found) == (
        "What to use, by validation: for the language model parameter transfer; for the classifier "
        "a linear model on TF-IDF with 100 labels; parameter transfer with 500 labels."
    )
    assert recommendation_sentence([]) == ""
    few = recommend(scores, "accuracy", choosing(29))
    assert few == found[:1], "nothing is recommended by a handful of documents"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([gain("parameter", 0.2, "positive"), gain("feature", -0.2, "negative")], "positive"),
        ([gain("parameter", 0.0, "open"), gain("feature", -0.2, "negative")], "open"),
        ([gain("parameter", -0.1, "negative"), gain("feature", -0.2, "negative")], "negative"),
        ([gain("parameter", 0.1, "open")], "open"),
        # No transfer, and another task.
        ([gain("tfidf", 0.2, "positive"), gain("parameter", 0.1, "open")], "open"),
        ([gain("parameter", 0.2, "positive", labels=0), gain("parameter", 0.0, "open")], "open"),
        ([gain("parameter", 0.2, "positive", labels=0)], "positive"),
        ([], "open"),
    ],
)
def test_the_outcome_is_that_of_transfer_on_the_target_task(found: list[Gain], expected: str) -> None:
    assert outcome(found, []) == expected


def test_what_the_targets_own_text_gives_does_not_count_for_the_source() -> None:
    found = [gain("parameter", 0.2, "positive"), gain("target_text", 0.3, "positive")]
    beyond = [gain("parameter", -0.1, "negative")]
    assert outcome(found, beyond) == "negative"
    assert summary(found, beyond, []) == (
        "Transfer helps the classifier: parameter transfer with 100 labels, +20.0 points of accuracy (95 % interval "
        "+10.0 to +30.0). The classifier is worse with the source than with the target's own text alone; at best "
        "parameter transfer with 100 labels, -10.0 points of accuracy (95 % interval -20.0 to +0.0)."
    )


def test_the_answer_is_what_to_use_and_what_transfer_brought() -> None:
    chosen = [Recommendation(task="classifier", labels=labels, arm="tfidf") for labels in (100, 500)]
    use = "For the classifier, use a linear model on TF-IDF."
    helped = [gain("feature", 0.3, "open"), gain("parameter", 0.2, "positive")]
    assert summary(helped, [], chosen) == (
        f"{use} Transfer helps the classifier: parameter transfer with 100 labels, +20.0 points of accuracy (95 % "
        "interval +10.0 to +30.0)."
    )
    hurt = [gain("feature", -0.3, "negative"), gain("parameter", 0.0, "open")]
    assert summary(hurt, [], chosen).startswith(
        f"{use} Whether transfer helps the classifier is open; at best parameter transfer with 100 labels, +0.0 points"
    )
    equal = [gain("feature", -0.3, "negative"), gain("parameter", 0.0, "equal")]
    assert "No way of transfer helps the classifier by an amount that matters; at best parameter" in summary(
        equal, [], chosen
    )
    assert summary([], [], chosen) == use
    two = [chosen[0], Recommendation(task="classifier", labels=500, arm="parameter")]
    assert summary([], [], two) == (
        "For the classifier, use a linear model on TF-IDF with 100 labels; parameter transfer with 500 labels."
    )
    both = [*chosen, Recommendation(task="language_model", labels=0, arm="parameter")]
    assert summary([], [], both) == (
        "For the classifier, use a linear model on TF-IDF; for the language model, parameter transfer."
    )


def test_without_a_claim_there_is_no_outcome() -> None:
    found = [gain("parameter", 0.3, "no claim"), gain("feature", -0.3, "no claim")]
    assert outcome(found, []) == "no claim"
    assert summary(found, [], [], "No claim is made: 4 documents.") == "No claim is made: 4 documents."


def test_language_model_and_classifier_are_two_answers() -> None:
    found = [gain("parameter", 0.2, "positive", labels=0), gain("parameter", -0.1, "negative")]
    assert outcome(found, []) == "negative"
    assert outcomes(found, []) == {"language_model": "positive", "classifier": "negative"}
    # Of classifiers, what the source adds to the target's own text counts; of language models, there is no such arm.
    beyond = [gain("parameter", 0.0, "equal")]
    assert outcomes(found, beyond) == {"language_model": "positive", "classifier": "equal"}
    said = summary(found, beyond, [])
    assert said.startswith("Transfer hurts the classifier; at best parameter transfer with 100 labels, -10.0 points")
    assert said.endswith(
        "Transfer helps the language model: parameter transfer, 0.200 bits per character saved (95 % "
        "interval 0.100 to 0.300)."
    )
