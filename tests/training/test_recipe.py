"""The recipe's parts against their papers' formulas, computed here in another way."""

import math
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import TrainingError
from rnnlm.evaluation.language_model import score_documents
from rnnlm.model.checkpoint import Weights, get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.settings import Dropout, LanguageModelTraining, Model
from rnnlm.tokens import Text, Vocabulary
from rnnlm.training.averaging import averaging_rate
from rnnlm.training.batches import Window
from rnnlm.training.language_model import train_language_model
from rnnlm.training.prefetch import Prefetch
from rnnlm.training.progress import Meter, Progress
from rnnlm.training.schedule import learning_rate, window_lengths
from rnnlm.training.step import LanguageModelStep, StepResult

BOS, EOS, SIZE, BATCH = 2, 3, 14, 4
VOCABULARY = Vocabulary(SIZE, EOS, unk=1, bos=BOS)
MODEL = Model(embedding=4, hidden=4, layers=1, dropout=Dropout(input=0.0, hidden=0.0, output=0.0))
SGD = LanguageModelTraining(
    epochs=1.0,
    batch_size=BATCH,
    window=8,
    optimizer="sgd",
    schedule="constant",
    learning_rate=0.5,
    weight_decay=0.0,
    clip_norm=1_000.0,
    evaluations=2,
    precision="float32",
)


def window(length: int, seed: int) -> Window:
    generator = np.random.default_rng(seed)
    tokens, targets = generator.integers(4, SIZE, (2, length, BATCH)).astype(np.int32)
    shape = (length, BATCH)
    return Window(tokens, targets, np.ones(shape, np.float32), np.ones((*shape, 1), np.float32))


def documents(count: int, seed: int) -> Text:
    generator = np.random.default_rng(seed)
    texts = [[BOS, *generator.integers(4, 8, 6).tolist(), EOS] for _ in range(count)]
    lengths = np.array([len(text) for text in texts])
    return Text(
        vocabulary=VOCABULARY,
        ids=np.array([token for text in texts for token in text], np.uint8),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        labels=np.zeros(count, np.int16),
        n_characters=4 * lengths,
        n_bytes=4 * lengths,
        n_words=lengths,
        document_ids=np.array([str(n) for n in range(count)], object),
    )


TRAIN, VALID = documents(60, 1), documents(10, 2)


def made(**changes: Any) -> LanguageModelStep:
    return LanguageModelStep(LanguageModel(MODEL, SIZE, 1), SGD.model_copy(update=changes), "float32")


def changes(step: LanguageModelStep, windows: list[Window], rate: float) -> Weights:
    """What an update that begins with a zero state changes; the weights are put back."""
    before = get_weights(step.model)
    step.run(windows, [True] * len(windows), 1, 0, rate, 0.0)
    after = get_weights(step.model)
    set_weights(step.model, before)
    return {name: after[name].astype(np.float64) - before[name] for name in before}


# --- Schedules -------------------------------------------------------------------------------------------------------


def slanted_triangular(t: int, total: int, peak: float) -> float:
    """Howard & Ruder 2018, equation 3, with cut_frac 0.1 and ratio 32."""
    cut = math.floor(total * 0.1)
    p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / 0.1 - 1))
    return peak * (1 + p * (32 - 1)) / 32


def cosine(t: int, total: int, peak: float) -> float:
    """Loshchilov & Hutter 2017, equation 5, with one cycle and no lower bound."""
    return 0.5 * peak * (1 + math.cos(math.pi * t / total))


def one_cycle(t: int, total: int, peak: float) -> float:
    """Two half cosines: from peak / 25 to peak in a tenth of the steps, then to peak / 10,000."""
    up = 0.1 * total
    low, high, x = (peak / 25, peak, t / up) if t < up else (peak / 1e4, peak, 1 - (t - up) / (total - up))
    return low + (high - low) * (1 - math.cos(math.pi * x)) / 2


@pytest.mark.parametrize("formula", [slanted_triangular, cosine, one_cycle])
@given(
    total=st.integers(1, 50).map(lambda n: 10 * n), share=st.floats(0, 1, exclude_max=True), peak=st.floats(1e-4, 30)
)
def test_a_schedule_is_that_of_its_paper(formula: Any, total: int, share: float, peak: float) -> None:
    step = int(share * total)
    assert learning_rate(formula.__name__, step, total, peak) == pytest.approx(formula(step, total, peak), rel=1e-9)


@given(
    st.sampled_from(["one_cycle", "slanted_triangular", "cosine", "constant"]),
    st.integers(1, 300),
)
def test_no_schedule_leaves_its_bounds(schedule: Any, total: int) -> None:
    rates = [learning_rate(schedule, step, total, 2.0) for step in range(total)]
    assert all(0.0 <= rate <= 2.0 for rate in rates)
    assert all(map(math.isfinite, rates))
    top = rates.index(max(rates))
    assert sorted(rates[: top + 1]) == rates[: top + 1]
    assert sorted(rates[top:], reverse=True) == rates[top:]


# --- Windows ---------------------------------------------------------------------------------------------------------


def test_lengths_have_the_mean_and_the_variance_of_the_papers_normal() -> None:
    """Merity et al. 2018, section 4.1: N(70, 5) with probability 0.95, else N(35, 5)."""
    drawn = window_lengths(2_000_000, 70, True, np.random.default_rng(1))
    assert len(set(drawn.tolist())) <= 4
    whole = drawn[drawn > 50]
    share = len(whole) / len(drawn)
    # Three standard errors of the sample, and half a step for the rounding of the outer lengths.
    # The half length is one point here: its share is 5 %, its variance is left out.
    assert share == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / len(drawn)))
    assert whole.mean() == pytest.approx(70, abs=3 * 5 / math.sqrt(len(whole)))
    assert whole.std() == pytest.approx(5, abs=0.3)
    assert drawn[drawn < 50].mean() == 35


@given(st.integers(1, 5_000), st.integers(2, 200), st.booleans(), st.integers(0, 9))
def test_lengths_cover_the_text_and_no_more(tokens: int, window: int, vary: bool, seed: int) -> None:
    drawn = window_lengths(tokens, window, vary, np.random.default_rng(seed))
    assert drawn.sum() >= tokens
    assert drawn[:-1].sum() < tokens
    assert drawn.min() >= 2
    assert len(set(drawn.tolist())) <= 4


# --- The update ------------------------------------------------------------------------------------------------------


def test_the_learning_rate_is_scaled_by_the_windows_length() -> None:
    step = made()
    short = window(4, 1)
    # The same steps twice in a row, the second time not counted: the same gradient at twice the length.
    twice = Window(*(np.concatenate([part, part]) for part in (short.tokens, short.targets, short.weights, short.keep)))
    twice.weights[4:] = 0.0
    once, again = changes(step, [short], 0.5), changes(step, [twice], 0.5)
    for name, value in once.items():
        np.testing.assert_allclose(again[name], 2 * value, atol=2e-7, err_msg=name)
    assert max(np.abs(value).max() for value in once.values()) > 1e-3


def test_accumulated_gradients_are_the_mean_over_the_windows() -> None:
    single, double = made(), made(accumulate=2)
    set_weights(double.model, get_weights(single.model))
    windows = [window(8, 1), window(8, 2)]
    parts = [changes(single, [one], 0.5) for one in windows]
    together = changes(double, windows, 0.5)
    again = changes(double, windows, 0.5)  # nothing is left of the gradients before
    for name, value in together.items():
        np.testing.assert_allclose(value, (parts[0][name] + parts[1][name]) / 2, atol=2e-7, err_msg=name)
        np.testing.assert_allclose(value, again[name], atol=2e-7, err_msg=name)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_weight_decay_is_decoupled(optimizer: str) -> None:
    step = made(optimizer=optimizer, weight_decay=0.1)
    set_weights(step.model, get_weights(step.model) | {"softmax_bias": np.linspace(1, 2, SIZE, dtype=np.float32)})
    before = get_weights(step.model)
    nothing = window(8, 1)
    nothing.weights[:] = 0.0  # no target counts: the gradient is zero
    step.run([nothing], [True], 1, 0, 0.5, 0.0)
    for name, value in get_weights(step.model).items():
        np.testing.assert_allclose(value, before[name] * (1 - 0.5 * 0.1), rtol=1e-5, atol=1e-8, err_msg=name)


def test_a_clipped_gradient_has_the_norm_asked_for_and_the_same_direction() -> None:
    free = made()
    clipped = made(clip_norm=0.01)
    set_weights(clipped.model, get_weights(free.model))
    one, other = changes(free, [window(8, 1)], 1.0), changes(clipped, [window(8, 1)], 1.0)
    norm = math.sqrt(sum((value**2).sum() for value in one.values()))
    assert norm > 0.02
    assert math.sqrt(sum((value**2).sum() for value in other.values())) == pytest.approx(0.01, rel=1e-3)
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value * 0.01 / norm, atol=1e-7, err_msg=name)
    assert free.run([window(8, 1)], [True], 1, 0, 0.0, 0.0).norm == pytest.approx(norm, rel=1e-4)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_gradient_that_is_no_number_changes_nothing(accumulate: int) -> None:
    step = made(optimizer="adamw", averaging="ema", accumulate=accumulate)
    good, bad = [window(8, 1)] * accumulate, [window(8, 2)] * accumulate
    step.run(good, [True] * accumulate, 1, 0, 0.1, 0.1)
    before = step.arrays()
    bad[0].keep[0, 0] = np.inf
    assert not math.isfinite(step.run(bad, [False] * accumulate, 1, 1, 0.1, 0.5).norm)
    for name, value in step.arrays().items():
        if not name.startswith("carried/"):
            np.testing.assert_array_equal(value, before[name], err_msg=name)
    # Nor does anything of it come with the next update.
    assert math.isfinite(step.run(good, [True] * accumulate, 1, 2, 0.1, 0.1).norm)


def test_only_as_many_graphs_are_traced_as_there_are_lengths() -> None:
    steps: list[LanguageModelStep] = []
    init = LanguageModelStep.__init__

    def kept(self: LanguageModelStep, *arguments: Any, **named: Any) -> None:
        init(self, *arguments, **named)
        steps.append(self)

    settings = SGD.model_copy(update={"vary_window": True, "epochs": 6.0, "averaging": "ema"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LanguageModelStep, "__init__", kept)
        train_language_model(LanguageModel(MODEL, SIZE, 1), TRAIN, VALID, settings, seed=1)
    assert len(steps) == 1
    assert 1 < steps[0]._single.experimental_get_tracing_count() <= 4


# --- Averages --------------------------------------------------------------------------------------------------------


def test_the_exponential_average_is_that_of_its_formula() -> None:
    settings = SGD.model_copy(update={"averaging": "ema", "ema_decay": 0.6})
    step = made(averaging="ema", ema_decay=0.6)
    expected = [np.array(v.value, np.float64) for v in step.variables]
    for n in range(8):
        step.run([window(8, n)], [True], 1, n, 0.5, averaging_rate(settings, n + 1, None))
        decay = min(0.6, (1 + (n + 1)) / (10 + (n + 1)))
        expected = [decay * e + (1 - decay) * np.array(v.value) for e, v in zip(expected, step.variables, strict=True)]
    for got, wanted in zip(step.averaged, expected, strict=True):
        np.testing.assert_allclose(got.numpy(), wanted, atol=1e-6)


def test_after_the_trigger_the_average_is_a_plain_mean() -> None:
    settings = SGD.model_copy(update={"averaging": "nt_asgd"})
    step = made(averaging="nt_asgd")
    raw = []
    for n in range(8):
        step.run([window(8, n)], [True], 1, n, 0.5, averaging_rate(settings, n + 1, 3 if n >= 3 else None))
        raw.append([np.array(v.value, np.float64) for v in step.variables])
    for k, got in enumerate(step.averaged):
        np.testing.assert_allclose(got.numpy(), np.mean([weights[k] for weights in raw[3:]], axis=0), atol=1e-6)
    with step.averaged_weights():
        assert all((v.value.numpy() == a.numpy()).all() for v, a in zip(step.variables, step.averaged, strict=True))
    for k, variable in enumerate(step.variables):  # the raw ones are kept for going on
        np.testing.assert_array_equal(np.array(variable.value, np.float64), raw[-1][k])


def test_the_averaged_weights_are_evaluated_and_published_and_the_raw_ones_go_on() -> None:
    published: dict[str, Weights] = {}
    raw: dict[str, list[Weights]] = {"ema": [], "none": []}
    run = LanguageModelStep.run
    for kind in ("ema", "none"):

        def seen(self: LanguageModelStep, *arguments: Any, kind: str = kind) -> StepResult:
            result = run(self, *arguments)
            raw[kind].append(get_weights(self.model))
            return result

        model = LanguageModel(MODEL, SIZE, 1)
        settings = SGD.model_copy(update={"averaging": kind, "ema_decay": 0.95, "evaluations": 4})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(LanguageModelStep, "run", seen)
            points = train_language_model(model, TRAIN, VALID, settings, seed=1).points
        published[kind] = get_weights(model)
        nll = score_documents(model, VALID).metrics["nll"]
        assert nll == pytest.approx(min(point.metrics["nll"] for point in points), rel=1e-6)
    for one, other in zip(raw["ema"], raw["none"], strict=True):
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name], err_msg=name)
    assert all((published["ema"]["softmax_bias"] != weights["softmax_bias"]).any() for weights in raw["ema"])


# --- Where it goes wrong ---------------------------------------------------------------------------------------------


def diverging(monkeypatch: pytest.MonkeyPatch, at: list[int]) -> list[tuple[int, float]]:
    """Make the loss infinite at the calls `at`; give the step and the learning rate of each call."""
    calls: list[tuple[int, float]] = []
    run = LanguageModelStep.run

    def broken(self: LanguageModelStep, w: Any, first: Any, seed: int, step: int, rate: float, avg: float) -> Any:
        calls.append((step, rate))
        result = run(self, w, first, seed, step, rate, avg)
        return result._replace(loss=math.inf) if len(calls) in at else result

    monkeypatch.setattr(LanguageModelStep, "run", broken)
    return calls


def test_a_divergence_is_answered_once_by_half_the_rate(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = diverging(monkeypatch, [4])
    settings = SGD.model_copy(update={"halve_on_divergence": True})
    points = train_language_model(LanguageModel(MODEL, SIZE, 1), TRAIN, VALID, settings, seed=1).points
    assert [rate for _, rate in calls] == [0.5] * 4 + [0.25] * (len(calls) - 4)
    assert [step for step, _ in calls] == [0, 1, 2, 3, *range(3, points[-1].step)]
    assert "half the learning rate" in caplog.text


def test_worse_validation_and_clipping_on_every_step_are_told(caplog: pytest.LogCaptureFixture) -> None:
    settings = SGD.model_copy(update={"learning_rate": 100.0, "clip_norm": 0.001, "evaluations": 8, "epochs": 4.0})
    train_language_model(LanguageModel(MODEL, SIZE, 1), TRAIN, VALID, settings, seed=1)
    assert sum("clipped on nearly every step" in record.message for record in caplog.records) == 1
    caplog.clear()
    settings = SGD.model_copy(update={"learning_rate": 50.0, "clip_norm": 1.0, "evaluations": 15})
    train_language_model(LanguageModel(MODEL, SIZE, 1), TRAIN, VALID, settings, seed=1)
    assert "validation gets worse" in caplog.text


# --- Data and progress -----------------------------------------------------------------------------------------------


def test_batches_come_in_their_order_and_the_thread_ends() -> None:
    with Prefetch(iter(range(50))) as batches:
        assert list(batches) == list(range(50))
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def test_an_error_in_the_data_is_raised_where_the_batch_was_due() -> None:
    def broken() -> Iterator[int]:
        yield from range(4)
        raise TrainingError("the tokens are gone")

    seen: list[int] = []
    with Prefetch(broken()) as batches, pytest.raises(TrainingError, match="the tokens are gone"):
        seen.extend(batches)
    assert seen == [0, 1, 2, 3]


def test_a_consumer_that_stops_early_stops_the_thread() -> None:
    made: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            made.append(1)
            yield 1

    with Prefetch(endless()) as batches:
        next(iter(batches))
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]
    assert len(made) <= 5  # one taken, those ready, one in hand


def test_waiting_for_slow_data_is_measured() -> None:
    def slow() -> Iterator[int]:
        for n in range(4):
            time.sleep(0.03)
            yield n

    with Prefetch(slow()) as batches:
        for _ in batches:
            pass
    assert batches.waited >= 0.1


def test_what_is_reported_adds_up() -> None:
    meter = Meter("tokens", 10, clip_norm=1.0)
    for norm in (0.5, 1.5, 2.5, 0.5):
        time.sleep(0.01)
        meter.add(100, 2.0 * norm, norm, waited=0.02)
    progress = meter.progress(4, 0.1, {"nll": 1.0})
    assert progress.train_loss == pytest.approx(2.5)
    assert progress.gradient_norm == pytest.approx(1.25)
    assert progress.clipped == 0.5
    assert 0.0 < progress.waiting < 1.0
    assert progress.memory > 50
    assert progress.remaining == pytest.approx(6 / 4 * 400 / progress.rate, rel=1e-6)
    assert meter.progress(4, 0.1, {}).waiting == 0.0  # nothing is counted twice


def test_a_second_phase_does_not_take_back_the_waiting_of_the_first() -> None:
    seen: list[Progress] = []
    settings = SGD.model_copy(update={"extend": [1.0]})
    train_language_model(LanguageModel(MODEL, SIZE, 1), TRAIN, VALID, settings, seed=1, report=seen.append)
    assert all(0.0 <= progress.waiting <= 1.0 for progress in seen)


def test_the_time_of_an_evaluation_is_no_time_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    from rnnlm.training import language_model

    def slow(*arguments: Any, **named: Any) -> Any:
        time.sleep(2.0)
        return score_documents(*arguments, **named)

    monkeypatch.setattr(language_model, "score_documents", slow)
    seen: list[Progress] = []
    settings = SGD.model_copy(update={"evaluations": 1, "epochs": 2.0})
    train_language_model(LanguageModel(MODEL, SIZE, 1), TRAIN, VALID, settings, seed=1, report=seen.append)
    tokens = SGD.batch_size * SGD.window
    assert seen[-1].metrics
    assert seen[-1].rate > tokens / 2.0  # a step took less than the evaluation
