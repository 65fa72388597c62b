import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import TrainingError
from rnnlm.model.checkpoint import get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.settings import Dropout, LanguageModelTraining, Model
from rnnlm.tokens import Text, Vocabulary
from rnnlm.training import lr_finder
from rnnlm.training.lr_finder import find_learning_rate
from rnnlm.training.plan import Plan
from rnnlm.training.range_test import Curve, range_test
from rnnlm.training.step import LanguageModelStep

BOS, EOS, SIZE = 2, 3, 14
VOCABULARY = Vocabulary(SIZE, EOS, unk=1, bos=BOS)
SMALL = Model(embedding=8, hidden=12, layers=2, dropout=Dropout(weight=0.1))
LM = LanguageModelTraining(batch_size=4, window=8, precision="float32", activation_penalty=1.0, averaging="ema")
RATES = np.geomspace(1e-7, 10.0, 200)


def documents(count: int) -> Text:
    """A language in which each word has one follower."""
    generator = np.random.default_rng(1)
    texts = []
    for _ in range(count):
        first, length = generator.integers(10), generator.integers(3, 9)
        texts.append([BOS, *((first + 3 * np.arange(length)) % 10 + 4), EOS])
    lengths = np.array([len(text) for text in texts])
    return Text(
        vocabulary=VOCABULARY,
        ids=np.concatenate(texts).astype(np.uint8),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        labels=np.full(count, -1, np.int16),
        n_characters=4 * lengths,
        n_bytes=4 * lengths,
        n_words=lengths,
        document_ids=np.array([str(n) for n in range(count)], object),
    )


TRAIN = documents(60)


def language_model() -> LanguageModel:
    return LanguageModel(SMALL, SIZE, 1, TRAIN.counts())


def quadratic(curvature: float) -> Any:
    """Gradient descent on half the curvature times w squared, which converges below the rate 2 / curvature."""
    w = 1.0

    def update(_: int, rate: float) -> float:
        nonlocal w
        loss = 0.5 * curvature * w * w
        w -= rate * curvature * w
        return loss

    return update


@given(st.floats(0.0, 4.0))
def test_a_quadratic_gets_rates_just_below_where_it_diverges(exponent: float) -> None:
    limit = 2.0 / 10.0**exponent
    curve = range_test(quadratic(10.0**exponent), RATES)
    found = curve.suggestions()
    assert found is not None
    assert limit / 50 < found.steep < limit
    assert limit / 50 < found.minimum < limit


def test_it_stops_at_four_times_the_lowest_loss_and_not_before() -> None:
    curve = range_test(quadratic(100.0), RATES)
    assert len(curve.losses) < len(RATES) == curve.planned
    np.testing.assert_array_equal(curve.learning_rates, RATES[: len(curve.losses)])
    assert curve.smoothed[-1] > 4.0 * curve.smoothed.min()
    assert all(curve.smoothed[n] <= 4.0 * curve.smoothed[: n + 1].min() for n in range(len(curve.losses) - 1))


def test_it_stops_where_the_loss_is_no_number() -> None:
    losses = [5.0, 4.0, math.inf, 3.0]
    np.testing.assert_array_equal(range_test(lambda n, _: losses[n], RATES[:4]).losses, [5.0, 4.0])
    with pytest.raises(TrainingError, match="at the first update"):
        range_test(lambda *_: math.nan, RATES)


@given(st.lists(st.floats(1.0, 3.9), min_size=1, max_size=40))
def test_the_smoothed_loss_is_the_mean_with_weights_that_fall_by_a_fiftieth(losses: list[float]) -> None:
    curve = range_test(lambda n, _: losses[n], RATES[: len(losses)])
    expected = [
        np.average(losses[: n + 1], weights=[0.98 ** (n - i) for i in range(n + 1)]) for n in range(len(losses))
    ]
    np.testing.assert_allclose(curve.smoothed, expected, rtol=1e-12)


@given(st.integers(0, 10_000), st.integers(28, 200))
def test_the_suggestions_are_those_of_the_formulas(seed: int, made: int) -> None:
    """Against a loop over a made-up curve: the first 20 and the last 5 of 200 updates are left out."""
    wild = np.cumsum(np.random.default_rng(seed).normal(-0.01, 0.1, made)) + 5.0
    curve = Curve(200, RATES[:made], wild, wild)
    lowest = steepest = 20
    slope = math.inf
    for n in range(20, made - 5):
        if wild[n] < wild[lowest]:
            lowest = n
        if n + 1 < made - 5:
            here = (wild[n + 1] - wild[n]) / math.log(RATES[n + 1] / RATES[n])
            if here < slope:
                steepest, slope = n, here
    found = curve.suggestions()
    if lowest == 20:
        assert found is None
    else:
        assert found == pytest.approx((RATES[steepest], RATES[lowest] / 10.0), rel=1e-12)


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    assert range_test(lambda n, _: 5.0 + 0.01 * n, RATES).suggestions() is None
    assert range_test(lambda n, _: 5.0 if n < 3 else math.nan, RATES).suggestions() is None


def test_a_language_model_gets_a_rate_at_which_it_learns_and_its_weights_back() -> None:
    model = language_model()
    before = get_weights(model)
    curve = find_learning_rate(model, TRAIN, LM, seed=1)
    for name, value in get_weights(model).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    found = curve.suggestions()
    assert found is not None
    losses = {}
    for rate in (found.minimum / 1_000.0, found.minimum, found.minimum * 100.0):
        settings = LM.model_copy(update={"epochs": 6.0, "extend": []})
        plan = Plan.of(len(TRAIN.ids), settings, 1)
        step = LanguageModelStep(language_model(), settings, "float32")
        results = [
            step.run(part.windows, part.first, 1, n, rate, 0.0).loss
            for n, part in enumerate(plan.read(plan.phases[0], TRAIN, 0))
        ]
        losses[rate] = np.mean(results[-10:])
    little, right, much = losses.values()
    assert right < 0.75 * little
    assert right < 0.75 * much


def test_the_same_seed_gives_the_same_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lr_finder, "UPDATES", 30)
    model = language_model()
    first, again, other = (find_learning_rate(model, TRAIN, LM, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.losses, again.losses)
    assert (first.losses != other.losses).any()


@pytest.mark.parametrize(("optimizer", "low", "high"), [("adamw", 1e-7, 10.0), ("sgd", 1e-5, 1e3)])
def test_each_optimizer_has_its_range_and_running_text_and_accumulation_are_read(
    optimizer: str, low: float, high: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lr_finder, "UPDATES", 12)
    seen: list[tuple[int, float, int]] = []
    run = LanguageModelStep.run

    def spy(
        self: LanguageModelStep, windows: Any, first: Any, seed: int, step: int, rate: float, average: float
    ) -> Any:
        seen.append((step, rate, len(windows)))
        return run(self, windows, first, seed, step, rate, average)

    monkeypatch.setattr(LanguageModelStep, "run", spy)
    settings = LM.model_copy(update={"optimizer": optimizer, "accumulate": 3, "vary_window": True, "epochs": 0.1})
    running = dataclasses.replace(TRAIN, vocabulary=dataclasses.replace(VOCABULARY, bos=None))
    find_learning_rate(language_model(), running, settings, seed=1)
    steps, rates, windows = zip(*seen, strict=True)
    assert steps == tuple(range(len(seen)))
    np.testing.assert_allclose(rates, [low * (high / low) ** (n / 11) for n in steps], rtol=1e-12)
    assert set(windows) == {3}


@given(
    tokens=st.integers(3, 20_000),
    batch=st.integers(1, 40),
    window=st.integers(2, 200),
    accumulate=st.integers(1, 3),
    vary=st.booleans(),
    seed=st.integers(0, 9),
)
def test_the_text_is_read_until_all_updates_are_made(
    tokens: int, batch: int, window: int, accumulate: int, vary: bool, seed: int
) -> None:
    batch = min(batch, tokens - 1)
    settings = LanguageModelTraining(
        batch_size=batch, window=window, accumulate=accumulate, vary_window=vary, epochs=0.01, extend=[1.0]
    )
    plan = Plan.of(tokens, lr_finder._long_enough(settings, tokens), seed)
    assert plan.phases[0].steps >= lr_finder.UPDATES


def test_weights_come_back_after_an_interrupt_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = language_model()
    before = get_weights(model)
    run = LanguageModelStep.run

    def interrupted(self: LanguageModelStep, *arguments: Any) -> Any:
        if arguments[3] == 2:
            raise KeyboardInterrupt
        return run(self, *arguments)

    monkeypatch.setattr(LanguageModelStep, "run", interrupted)
    monkeypatch.setattr(lr_finder, "RANGES", {"adamw": (0.1, 1.0)})
    with pytest.raises(KeyboardInterrupt):
        find_learning_rate(model, TRAIN, LM, seed=1)
    for name, value in get_weights(model).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_broken_weights_and_too_little_text_are_refused() -> None:
    model = language_model()
    weights = get_weights(model)
    weights["lstm_0/kernel"][0, 0] = np.nan
    set_weights(model, weights)
    with pytest.raises(TrainingError, match="no number already at the first update"):
        find_learning_rate(model, TRAIN, LM, seed=1)
    with pytest.raises(TrainingError, match="too few for 4000 rows"):
        find_learning_rate(model, TRAIN, LM.model_copy(update={"batch_size": 4_000}), seed=1)
