from pathlib import Path
from typing import Literal

import pytest

from rnnlm.evaluation.cost import seconds_before
from rnnlm.refs import ScoreRef

SOURCE = 1_000.0


def score(task: Literal["language_model", "classifier"], arm: str, seconds: float) -> ScoreRef:
    return ScoreRef(
        path=Path(arm), sha256="", task=task, arm=arm, labels=0, seed=1, metrics={}, seconds=seconds, mlflow_run_id=""
    )


MODELS = [score("language_model", "scratch", 10.0), score("language_model", "parameter", 20.0)]


@pytest.mark.parametrize(
    ("arm", "before"),
    [
        ("scratch", 0.0),
        ("tfidf", 0.0),
        ("target_text", 10.0),
        ("parameter", 1_020.0),
        ("linear_map", 1_020.0),
        ("feature", 1_020.0),
    ],
)
def test_a_classifier_starts_from_language_models(arm: str, before: float) -> None:
    assert seconds_before(score("classifier", arm, 1.0), SOURCE, MODELS) == before


@pytest.mark.parametrize(
    ("arm", "before"),
    [
        ("scratch", 0.0),
        ("kneser_ney", 0.0),
        ("source", 1_000.0),
        ("parameter", 1_000.0),
        ("scratch_kneser_ney", 10.0),
        ("parameter_kneser_ney", 1_020.0),
    ],
)
def test_a_language_model_starts_from_the_source_or_is_mixed(arm: str, before: float) -> None:
    assert seconds_before(score("language_model", arm, 1.0), SOURCE, MODELS) == before


def test_a_classification_source_has_no_language_model_of_the_target() -> None:
    assert seconds_before(score("classifier", "parameter", 1.0), SOURCE, []) == SOURCE
