"""`rnnlm lr` on a tiny real text, with a real Prefect server."""

import json
from pathlib import Path

import numpy as np
import pytest

from rnnlm.errors import ConfigError
from rnnlm.experiment import Pretraining

WORDS = ["the", "film", "and", "its", "story", "were", "a", "joy", "of", "music"]


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretraining:
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path / "home"))
    generator = np.random.default_rng(1)
    lines = [" ".join(WORDS[n % len(WORDS)] for n in range(*sorted(generator.integers(0, 40, 2)))) for _ in range(200)]
    (tmp_path / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    return Pretraining.model_validate(
        {
            "name": "tiny",
            "model": {"embedding": 8, "hidden": 12, "layers": 2},
            "source": {
                "corpus": {"files": [str(tmp_path / "text.txt")], "document": "line", "drop_duplicates": False},
                "tokenizer": {"kind": "word", "vocabulary_size": 60},
                "language_model": {"batch_size": 4, "window": 8, "learning_rate": 0.02},
            },
        }
    )


@pytest.mark.usefixtures("prefect")
def test_it_leaves_a_figure_and_a_file_and_the_steps_are_cached(
    experiment: Pretraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rnnlm.flows.learning_rate import learning_rate

    found = learning_rate(experiment)
    content = json.loads((found.path / "learning-rate.json").read_text())
    assert found.suggestions is not None
    assert content["suggestions"] == found.suggestions._asdict()
    assert content["present"] == 0.02
    assert (found.path / "learning-rate.png").read_bytes().startswith(b"\x89PNG")

    monkeypatch.setattr("rnnlm.steps.ingest.ingest_corpus", None)
    monkeypatch.setattr("rnnlm.steps.tokenize.tokenize_documents", None)
    again = learning_rate(experiment)
    assert again == found
    assert json.loads((again.path / "learning-rate.json").read_text()) == content


@pytest.mark.usefixtures("prefect")
def test_a_source_that_is_a_classifier_is_refused() -> None:
    from rnnlm.flows.learning_rate import learning_rate

    classification = Pretraining.model_validate(
        {
            "name": "x",
            "source": {"task": "classification", "corpus": {"files": ["a.csv"], "label": "label"}},
        }
    )
    with pytest.raises(ConfigError, match=r"source\.task.*learning_rates"):
        learning_rate(classification)
