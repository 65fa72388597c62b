"""What the training loop decides, with stand-ins for the compiled update and for the scoring: no second is trained."""

import contextlib
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import TrainingError
from rnnlm.evaluation.verdict import Point
from rnnlm.model.checkpoint import Weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.settings import LanguageModelTraining, Model
from rnnlm.tokens import Text, Vocabulary
from rnnlm.training import language_model
from rnnlm.training.averaging import is_triggered
from rnnlm.training.language_model import States, train_language_model
from rnnlm.training.plan import Plan
from rnnlm.training.progress import Progress, Report, silent
from rnnlm.training.state import StateFolder
from rnnlm.training.step import StepResult

BOS, EOS, SIZE, TOKENS = 2, 3, 8, 400
VOCABULARY = Vocabulary(SIZE, EOS, unk=1, bos=BOS)
TEXT = Text(
    vocabulary=VOCABULARY,
    ids=np.resize(np.arange(2, SIZE, dtype=np.uint8), TOKENS),
    offsets=np.array([0, TOKENS]),
    labels=np.zeros(1, np.int16),
    n_characters=np.ones(1, np.int64),
    n_bytes=np.ones(1, np.int64),
    n_words=np.ones(1, np.int64),
    document_ids=np.array(["text"], object),
)


def training(**changes: object) -> LanguageModelTraining:
    """Settings of 24 steps."""
    plain: dict[str, object] = {
        "epochs": 2.0,
        "batch_size": 4,
        "window": 8,
        "schedule": "constant",
        "learning_rate": 0.5,
        "clip_norm": 1.0,
        "precision": "float32",
    }
    return LanguageModelTraining.model_validate(plain | changes)


def first_evaluations(settings: LanguageModelTraining) -> list[int]:
    """The steps of the first phase's evaluations."""
    plan = Plan.of(TOKENS, settings, 1)
    return sorted(plan.evaluations(plan.phases[0]))


@dataclass
class Loop:
    """A training whose updates and scores are told beforehand.

    Attributes:
        scores: Negative log-likelihoods that the evaluations give.
        results: Loss and norm of the n-th update, from 1.
        made: Number and learning rate of each update.
        averages: Share by which the average was to move at each update.
        scored: The bias at each evaluation; each update adds one to it.
        restarts: Updates made before each restart.
    """

    scores: list[float]
    results: Callable[[int], tuple[float, float]] = lambda n: (1.0, 0.5)
    made: list[tuple[int, float]] = field(default_factory=list)
    averages: list[float] = field(default_factory=list)
    scored: list[float] = field(default_factory=list)
    restarts: list[int] = field(default_factory=list)
    model: LanguageModel = field(default_factory=lambda: LanguageModel(Model(embedding=4, hidden=4, layers=1), SIZE, 1))

    def train(
        self, settings: LanguageModelTraining, report: Report = silent, states: States | None = None
    ) -> list[Point]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(language_model, "LanguageModelStep", lambda *_, **__: self)
            patch.setattr(language_model, "score_documents", lambda *_, **__: self)
            return train_language_model(self.model, TEXT, TEXT, settings, seed=1, report=report, states=states).points

    @property
    def bias(self) -> float:
        return float(self.model.bias.numpy()[0])

    # The compiled update

    def run(self, windows: Any, first: Any, seed: int, step: int, rate: float, average: float) -> StepResult:
        self.made.append((step, rate))
        self.averages.append(average)
        loss, norm = self.results(len(self.made))
        if math.isfinite(norm):
            self.model.bias.assign_add(np.ones(SIZE, np.float32))
        return StepResult(loss, norm, 32)

    def restart(self) -> None:
        self.restarts.append(len(self.made))

    def arrays(self) -> Weights:
        return {"bias": self.model.bias.numpy()}

    def restore(self, arrays: Weights) -> None:
        self.model.bias.assign(arrays["bias"])

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        yield

    # The scoring

    @property
    def metrics(self) -> dict[str, float]:
        self.scored.append(self.bias)
        nll = self.scores[len(self.scored) - 1]
        return {"nll": nll, "perplexity": math.exp(nll), "bits_per_character": nll}


def nlls(points: list[Point]) -> list[float]:
    return [point.metrics["nll"] for point in points]


@given(scores=st.lists(st.integers(0, 6), min_size=1, max_size=12), n=st.integers(1, 4))
def test_averaging_is_triggered_as_in_the_paper(scores: list[int], n: int) -> None:
    """Merity et al. 2018, algorithm 1, lines 4 to 11; the authors' program asks the same."""
    logs: list[float] = []
    triggered = None
    for t, v in enumerate(scores):  # t is the length of logs
        if triggered is None and t > n and v > min(logs[: t - n]):
            triggered = t
        logs.append(v)
    found = (t for t in range(len(scores)) if is_triggered([float(v) for v in scores[: t + 1]], n))
    assert next(found, None) == triggered


def test_a_mean_of_weights_begins_with_the_update_after_the_trigger() -> None:
    # 3.0 is worse than 1.0, the best but for the one just before.
    loop, settings = Loop([1.0, 2.0, 3.0, 0.5, 0.4, 0.3]), training(averaging="nt_asgd", trigger_after=1, evaluations=6)
    points = loop.train(settings)
    began = points[2].step
    assert loop.averages == [0.0] * began + [1 / n for n in range(1, len(loop.made) - began + 1)]


def test_patience_ends_a_training_when_nothing_gets_better() -> None:
    """The third score is no better than the second, though it is no worse."""
    loop = Loop([3.0, 2.0, 2.0, 2.5, 1.0, 1.0])
    points = loop.train(training(patience=2, evaluations=6))
    assert nlls(points) == [3.0, 2.0, 2.0, 2.5]
    assert len(loop.made) == points[-1].step
    assert loop.bias == loop.scored[1]  # it ends with the weights of the second


def test_patience_counts_anew_in_an_extension() -> None:
    loop, settings = Loop([1.0, 2.0, 3.0, 6.0, 5.0, 5.5, 5.6]), training(patience=2, evaluations=4, extend=[2.0])
    points = loop.train(settings)
    assert nlls(points) == [1.0, 2.0, 3.0, 6.0, 5.0, 5.5, 5.6]
    # The steps that were left out are counted: the extension reads and does the same whether they were made or not.
    made = [step for step, _ in loop.made]
    assert made[: points[2].step] == list(range(points[2].step))
    assert made[points[2].step] == first_evaluations(settings)[-1]


def test_a_mean_of_weights_does_not_count_steps_that_patience_left_out() -> None:
    loop = Loop([1.0, 2.0, 3.0, 4.0, *[5.0] * 8])
    loop.train(training(averaging="nt_asgd", trigger_after=1, patience=3, evaluations=8, extend=[1.0]))
    averages = [average for average in loop.averages if average]
    np.testing.assert_allclose(averages, 1.0 / np.arange(1, len(averages) + 1))


DIVERGES = (math.inf, 1.0), (1.0, math.nan)


@pytest.mark.parametrize("result", DIVERGES)
def test_a_divergence_stops_and_names_step_and_window(result: tuple[float, float]) -> None:
    loop = Loop([1.0] * 9, lambda n: result if n == 6 else (1.0, 0.5))
    place = r"at step 6 of 26 \(window 6 of epoch 1\)\. Make learning_rate or clip_norm smaller\."
    with pytest.raises(TrainingError, match=f"no longer a number {place}"):
        loop.train(training())
    assert len(loop.made) == 6
    assert not loop.restarts


@pytest.mark.parametrize("result", DIVERGES)
def test_a_divergence_is_met_once_at_half_the_rate_if_so_configured(
    result: tuple[float, float], caplog: pytest.LogCaptureFixture
) -> None:
    settings = training(halve_on_divergence=True, evaluations=2)
    half, steps = first_evaluations(settings)
    fails = half + 4  # the fourth update after the first evaluation
    loop = Loop([2.0, 1.0], lambda n: result if n == fails else (1.0, 0.5))
    points = loop.train(settings)
    # The step that failed is made again, all others once.
    assert [step for step, _ in loop.made] == [*range(fails), *range(fails - 1, steps)]
    assert [rate for _, rate in loop.made] == [0.5] * fails + [0.25] * (steps - fails + 1)
    assert [point.step for point in points] == [half, steps]
    assert [point.train_loss for point in points] == [1.0, 1.0]
    assert loop.restarts == [fails]
    assert loop.scored[1] - loop.scored[0] == steps - fails + 1  # updates since the best weights
    (message,) = caplog.messages
    assert f"no longer a number at step {fails} of {steps}" in message
    assert "half the learning rate" in message
    assert ".." not in message


def test_a_second_divergence_stops() -> None:
    loop = Loop([1.0] * 9, lambda n: (math.inf, 1.0) if n in (3, 9) else (1.0, 0.5))
    with pytest.raises(TrainingError, match=r"no longer a number at step 8 of \d+ \(window 8 of epoch 1\)"):
        loop.train(training(halve_on_divergence=True))


def test_a_mean_of_weights_begins_anew_after_a_divergence() -> None:
    settings = training(averaging="nt_asgd", trigger_after=1, evaluations=6, halve_on_divergence=True)
    third = first_evaluations(settings)[2]
    loop = Loop([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], lambda n: (math.inf, 1.0) if n == third + 3 else (1.0, 0.5))
    loop.train(settings)
    averages = loop.averages[third:]
    np.testing.assert_allclose(averages, [1, 1 / 2, 1 / 3, *1.0 / np.arange(1, len(averages) - 2)])


def test_a_validation_loss_that_is_no_number_stops() -> None:
    """The training loss tells of the weights before the update: the last update of all is seen here only."""
    with pytest.raises(TrainingError, match=r"validation split is no longer a number after step \d+ of \d+\. Make"):
        Loop([1.0, math.nan]).train(training(evaluations=2))


def test_a_validation_loss_that_is_no_number_is_met_once_at_half_the_rate() -> None:
    loop = Loop([1.0, math.nan, 1.0, 0.5])
    points = loop.train(training(evaluations=3, halve_on_divergence=True))
    assert nlls(points) == [1.0, 1.0, 0.5]
    assert loop.restarts == [points[1].step]
    assert {rate for step, rate in loop.made if step >= points[1].step} == {0.25}
    assert loop.scored[2] == loop.scored[0]
    with pytest.raises(TrainingError, match="validation split"):
        Loop([1.0, math.nan, 1.0, math.inf]).train(training(evaluations=3, halve_on_divergence=True))


def test_a_warning_says_when_validation_gets_worse(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        points = Loop([2.0, 1.0, 3.0, 2.5, 0.5]).train(training(evaluations=5))
    # 2.5 is worse than the best, but better than before.
    expected = f"step {points[2].step}: validation gets worse: perplexity 20.09 after 2.718, best 2.718"
    assert caplog.messages == [expected]


@pytest.mark.parametrize(
    ("clipped", "warns"),
    [(lambda n: True, 1), (lambda n: n < 40, 0), (lambda n: n % 10 > 0, 0), (lambda n: n % 30 > 0, 1)],
    ids=["always", "only at first", "in nine of ten", "in 29 of 30"],
)
def test_a_warning_says_once_when_nearly_every_gradient_is_clipped(
    clipped: Callable[[int], bool], warns: int, caplog: pytest.LogCaptureFixture
) -> None:
    loop = Loop(np.linspace(2.0, 1.0, 40).tolist(), lambda n: (1.0, 2.0 if clipped(n) else 0.5))
    with caplog.at_level(logging.WARNING):
        loop.train(training(epochs=20.0, evaluations=40))
    assert len(loop.made) > 200
    assert ["clipped on nearly every step" in message for message in caplog.messages] == [True] * warns


def test_reports_of_a_finished_part_count_the_steps_of_the_extension(tmp_path: Any) -> None:
    """Else the progress of the task would go up to 100 % and fall back."""
    settings, states = training(evaluations=1), lambda extend: StateFolder(tmp_path, f"loop {extend}")
    Loop([2.0]).train(settings, states=states)
    seen: list[Progress] = []
    extended = settings.model_copy(update={"extend": [1.0]})
    points = Loop([1.0]).train(extended, seen.append, states)
    assert {progress.steps for progress in seen} == {points[-1].step}
    assert [progress.step for progress in seen] == list(range(1, points[-1].step + 1))
