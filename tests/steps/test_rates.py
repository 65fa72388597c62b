"""What a training is estimated to take, against numbers that were worked out by hand."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rnnlm.experiment import load_experiment
from rnnlm.plan import plan
from rnnlm.settings import Model
from rnnlm.steps.rates import Rate, cell_seconds, encoder_cost, language_model_cost, rates, seconds_for
from rnnlm.store import working_in

SMALL = Model(embedding=10, hidden=20, layers=2)


def test_multiplications_are_those_of_the_matrices() -> None:
    # Four gates: (10 + 20) x 20 and (20 + 10) x 10.
    assert encoder_cost(SMALL) == 4 * (600 + 300)
    assert encoder_cost(SMALL.model_copy(update={"cell": "gru"})) == 3 * (600 + 300)
    # Three gates: two tokens of 10 in 20, then one of 20 in 10.
    assert encoder_cost(SMALL.model_copy(update={"cell": "qrnn"})) == 3 * (2 * 200 + 200)
    assert language_model_cost(SMALL, 500) == 3_600 + 5_000


def test_the_training_most_like_it_sets_the_rate() -> None:
    exact, adaptive = ("lstm", "exact"), ("lstm", "adaptive")
    like = Rate(exact, cost=1_000.0, tokens=10_000, seconds=50.0)
    others = [
        Rate(exact, cost=1_000.0, tokens=100, seconds=9.0),  # too short to say much
        Rate(exact, cost=8_000.0, tokens=10_000, seconds=500.0),  # further away in size
        Rate(adaptive, cost=2_000.0, tokens=10_000, seconds=70.0),  # another softmax
    ]
    # 20,000 tokens of 2,000 multiplications: four times the work.
    assert seconds_for(SMALL, 2_000.0, 20_000, [*others, like]) == pytest.approx(200.0)
    # Where all were short, the nearest size counts all the same.
    assert seconds_for(SMALL, 1_000.0, 200, others[:1]) == pytest.approx(18.0)
    assert seconds_for(SMALL, 1_000.0, 200, []) is None


def test_the_rates_are_those_of_the_language_models_of_the_workplace(tmp_path: Path) -> None:
    def keep(name: str, described: object, history: object, result: object) -> None:
        (tmp_path / "store" / name).mkdir(parents=True)
        (tmp_path / "results").mkdir(exist_ok=True)
        for file, content in (
            (tmp_path / "results" / f"{name}.json", result),
            (tmp_path / "store" / name / "model.json", described),
            (tmp_path / "store" / name / "history.json", history),
        ):
            file.write_text(json.dumps(content), encoding="utf-8")

    model = {"kind": "language_model", "settings": SMALL.model_dump(mode="json"), "vocabulary_size": 500}
    keep("pretrain-1", model, [{"tokens": 7}, {"tokens": 400}], {"seconds": 3.0})
    keep("baseline-2", model | {"kind": "classifier"}, [{"tokens": 4}], {"seconds": 1.0})
    keep("finetune-3", model, [], {"seconds": 1.0})  # scored as it is
    keep("finetune-4", {"kind": 3}, {}, [])  # damaged
    with working_in(tmp_path):
        assert list(rates()) == [Rate(("lstm", "exact"), 8_600.0, 400, 3.0)]


@pytest.mark.parametrize(
    ("arm", "changes", "expected"),
    [
        # Five trainings of 80 labels (3 epochs), one of 100. Each label is asked once at a rate, the test split once.
        ("scratch", [], 3 * (5 * 80 + 100) + (100 + 30) / 3),
        ("scratch", ["target.classifier.learning_rates=[0.01, 0.02]"], 3 * (2 * 5 * 80 + 100) + (200 + 30) / 3),
        # A frozen encoder reads each document once, whatever is tried.
        ("feature", ["target.classifier.learning_rates=[0.01, 0.02]"], (100 + 30) / 3),
        # With 1,000 labels 100 are held out, and are asked at each of two evaluations.
        ("scratch", ["comparison.labels=[1000]"], 3 * 900 + (2 * 100 + 30) / 3),
        ("feature", ["comparison.labels=[1000]"], (900 + 100 + 30) / 3),
        # The whole validation split is asked beside the labels.
        ("scratch", ["comparison.validation=split"], 3 * 100 + (2 * 200 + 30) / 3),
        ("feature", ["comparison.validation=split"], (100 + 200 + 30) / 3),
    ],
)
def test_a_cell_reads_what_its_trainings_read(arm: str, changes: list[str], expected: float) -> None:
    fixed = ["target.classifier.epochs=3", "target.classifier.min_steps=1", "target.classifier.evaluations=2"]
    experiment = load_experiment("demo", ["comparison.labels=[100]", *fixed, *changes])
    cells = plan(experiment, {"train": 1_800, "valid": 200, "test": 30}).values()
    spec = next(spec for spec in cells if (spec.id.task, spec.id.arm) == ("classifier", arm))
    tokens: Any = SimpleNamespace(tokens={"train": 9_000}, documents={"train": 1_800, "valid": 200, "test": 30})
    # A second for each multiplication; documents have five tokens.
    known = [Rate(("lstm", "exact"), cost=1.0, tokens=1_000_000, seconds=1_000_000.0)]
    found = cell_seconds(spec, tokens, known)
    assert found is not None
    assert found / (5 * encoder_cost(experiment.model)) == pytest.approx(expected)
