"""What is said where language models alone are compared."""

from pathlib import Path

import pytest

from rnnlm.evaluation.alone import registered_sentence, weak_baseline_sentence
from rnnlm.evaluation.promotion import best_cell
from rnnlm.evaluation.verdict import Gain, Interval, Outcome, Recommendation
from rnnlm.refs import ScoreRef


def cell(arm: str, bits: float, folder: Path, network: bool = True) -> ScoreRef:
    path = folder / arm
    path.mkdir()
    if network:
        (path / "weights.safetensors").touch()
    metrics = {"valid/bits_per_character": bits}
    return ScoreRef(
        path=path,
        sha256=arm,
        task="language_model",
        arm=arm,
        labels=0,
        seed=1,
        metrics=metrics,
        seconds=1.0,
        recorded_as="",
    )


def test_the_network_with_the_fewest_bits_is_registered_and_a_better_mixture_is_explained(tmp_path: Path) -> None:
    cells = [cell("scratch", 1.6, tmp_path), cell("parameter", 1.4, tmp_path)]
    cells.append(cell("parameter_kneser_ney", 1.3, tmp_path, network=False))
    best = best_cell(cells, "accuracy")
    assert best.arm == "parameter"
    chosen = [Recommendation(task="language_model", labels=0, arm="parameter")]
    assert registered_sentence("mine", best, chosen) == "Registered as mine-target: parameter transfer."
    mixture = [Recommendation(task="language_model", labels=0, arm="parameter_kneser_ney")]
    assert "mixtures are scored and not registered" in registered_sentence("mine", best, mixture)


@pytest.mark.parametrize(("outcome", "said"), [("negative", True), ("open", False)])
def test_a_baseline_worse_than_n_grams_is_named(outcome: Outcome, said: bool) -> None:
    gain = Gain(
        task="language_model",
        metric="bits_per_character",
        arm="scratch",
        baseline="kneser_ney",
        labels=0,
        gain=Interval(value=-0.1, low=-0.2, high=0.1),
        spread=None,
        seeds=1,
        p_value=0.01,
        outcome=outcome,
        sentence="",
    )
    assert ("worse than Kneser-Ney" in weak_baseline_sentence([gain])) == said
