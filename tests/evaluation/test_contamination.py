"""What is said of test documents that share passages with what the models have read."""

from rnnlm.evaluation.contamination import shared_sentence
from rnnlm.evaluation.verdict import Gain, Interval, Outcome, Shared


def gain(value: float, outcome: Outcome, labels: int = 500, task: str = "classifier") -> Gain:
    return Gain.model_validate(
        {
            "task": task,
            "metric": "accuracy" if labels else "bits_per_character",
            "arm": "parameter",
            "labels": labels,
            "gain": Interval(value=value, low=value - 0.02, high=value + 0.02),
            "spread": 0.01,
            "seeds": 3,
            "p_value": 0.01,
            "outcome": outcome,
            "sentence": "",
        }
    )


def test_nothing_is_said_where_nothing_is_shared() -> None:
    assert shared_sentence(Shared(source=0, target=0), [gain(0.04, "positive")], 1_000) == ("", False)


def test_what_changes_nothing_is_said_late_and_in_one_sentence() -> None:
    found = [gain(0.4, "positive", 0, "language_model"), gain(0.04, "positive"), gain(0.05, "positive", 2_000)]
    without = [gain(0.2, "positive", 0, "language_model"), gain(0.041, "positive"), gain(0.048, "positive", 2_000)]
    said, at_once = shared_sentence(Shared(source=3, target=7, gains=without), found, 1_000)
    assert said == (
        "3 of the target's 1,000 test documents share 13 words in a row with the source's text, 7 with the target's "
        "own training text. Without them, every outcome is the same; the gains change by at most 0.2 points of "
        "accuracy."
    )
    assert not at_once


def test_many_documents_or_another_outcome_come_first() -> None:
    same = [gain(0.04, "positive")]
    assert shared_sentence(Shared(source=11, target=0, gains=same), same, 1_000)[1]
    said, at_once = shared_sentence(Shared(source=0, target=2, gains=[gain(0.012, "open")]), same, 1_000)
    assert said.endswith(
        "Without them, outcomes change: parameter transfer with 500 labels is open (+1.2), not positive (+4.0 points "
        "of accuracy)."
    )
    assert at_once
    assert shared_sentence(Shared(source=0, target=1, gains=same), same, 1_000)[0].startswith(
        "1 of the target's 1,000 test documents shares 13 words in a row with the target's own training text."
    )
    assert "nothing is left of" in shared_sentence(Shared(source=0, target=2), same, 1_000)[0]
