"""What goes wrong in other people's LSTM language models, each as a test that it does not here."""

import dataclasses
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from rnnlm import settings as config
from rnnlm.evaluation import language_model as evaluation
from rnnlm.evaluation.language_model import DocumentScores, score_documents
from rnnlm.evaluation.verdict import Point
from rnnlm.model.checkpoint import get_weights, set_weights
from rnnlm.model.dropout import WEIGHTS, WORD_TYPES, drop_weights, drop_word_types
from rnnlm.model.language_model import LanguageModel, penalties
from rnnlm.model.lstm import LSTM
from rnnlm.model.softmax import tied_cross_entropy
from rnnlm.model.target_model import TargetModel
from rnnlm.refs import SPLITS, DocumentsRef
from rnnlm.settings import ClassifierTraining, Dropout, LanguageModelTraining, Model
from rnnlm.tokens import Text, TextTokenizer, Vocabulary, read_text, tokenize
from rnnlm.training.averaging import averaging_rate
from rnnlm.training.batches import Window, pad
from rnnlm.training.language_model import train_language_model
from rnnlm.training.plan import Plan
from rnnlm.training.schedule import window_lengths
from rnnlm.training.step import LanguageModelStep
from rnnlm.training.update import clipped_update, make_optimizer
from rnnlm.transfer.vocabulary import map_vocabulary

BOS, EOS, SIZE = 2, 3, 14
VOCABULARY = Vocabulary(SIZE, EOS, unk=1, bos=BOS)
TIME, BATCH = 8, 4
NO_DROPOUT = Dropout(input=0.0, hidden=0.0, output=0.0)
PLAIN = Model(embedding=6, hidden=8, layers=2, dropout=NO_DROPOUT)
LM = LanguageModelTraining(
    epochs=1.0, batch_size=BATCH, window=TIME, optimizer="sgd", schedule="constant", weight_decay=0.0, clip_norm=1_000.0
)
SEED = (1, 2)


def with_dropout(**rates: float) -> Model:
    return PLAIN.model_copy(update={"dropout": NO_DROPOUT.model_copy(update=rates)})


def lm(**changes: Any) -> LanguageModelTraining:
    return LM.model_copy(update=changes)


def encoded(texts: list[list[int]]) -> Text:
    lengths = np.array([len(text) for text in texts])
    return Text(
        vocabulary=VOCABULARY,
        ids=np.array([token for text in texts for token in text], np.uint8),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        labels=np.zeros(len(texts), np.int16),
        n_characters=4 * lengths,
        n_bytes=4 * lengths,
        n_words=lengths,
        document_ids=np.array([str(n) for n in range(len(texts))], object),
    )


def documents(count: int, seed: int) -> Text:
    """A language in which each word has one follower; no two documents are the same by their own first words."""
    generator = np.random.default_rng(seed)
    texts = []
    for n in range(count):
        word = 4 + n % 10
        following = [4 + (word - 4 + 3 * step) % 10 for step in range(int(generator.integers(1, 9)))]
        texts.append([BOS, 4 + n // 10 % 10, *following, EOS])
    return encoded(texts)


VALID = documents(10, 2)


def some_window(seed: int = 0, time: int = TIME) -> Window:
    """Two documents begin inside, and some targets do not count."""
    generator = np.random.default_rng(seed)
    tokens, targets = generator.integers(4, SIZE, (2, time, BATCH)).astype(np.int32)
    weights = (generator.random((time, BATCH)) > 0.2).astype(np.float32)
    keep = np.ones((time, BATCH, 1), np.float32)
    keep[time // 2, 1], keep[1, 3] = 0.0, 0.0
    return Window(tokens, targets, weights, keep)


def lively(settings: Model) -> LanguageModel:
    """A model whose outputs are as large as after a training: at first they are near zero, and so are penalties."""
    model = LanguageModel(settings, SIZE, seed=1)
    for n, layer in enumerate(model.encoder.cells):
        layer.bias.assign(np.random.default_rng(n).normal(size=layer.bias.shape))
        layer.kernel.assign(2.0 * layer.kernel)
    return model


def losses(model: LanguageModel, window: Window, seed: tuple[int, int] | None = None, **more: Any) -> Any:
    tokens, targets, weights = (tf.constant(a) for a in (window.tokens, window.targets, window.weights))
    states = model.encoder.zero_states(window.tokens.shape[1])
    masks = None if seed is None else tf.constant(seed)
    return model.losses(tokens, targets, weights, states, tf.constant(window.keep), masks, **more)


def update(step: LanguageModelStep, window: Window, number: int = 0, rate: float = 0.1, first: bool = True) -> Any:
    return step.run([window], [first], 1, number, rate, 0.0)


def outputs_of(model: LanguageModel, window: Window) -> np.ndarray:
    """The last layer's outputs, in float64."""
    outputs, _ = model.encoder(tf.constant(window.tokens), keep=tf.constant(window.keep))
    return np.array(outputs, np.float64)


def penalties_by_loop(outputs: np.ndarray, dropped: np.ndarray, window: Window) -> list[float]:
    """Mean squares over the steps that count; no change is counted into a step whose state was reset before it."""
    activation, temporal = [], []
    for t in range(outputs.shape[0]):
        for b in range(outputs.shape[1]):
            if window.weights[t, b] == 0.0:
                continue
            activation += list(dropped[t, b] ** 2)
            if t > 0 and window.keep[t, b, 0] == 1.0:
                temporal += list((outputs[t, b] - outputs[t - 1, b]) ** 2)
    return [float(np.mean(activation)), float(np.mean(temporal))]


# P1, P3: weight drop.


@pytest.fixture(scope="module")
def dropping() -> LanguageModel:
    return LanguageModel(with_dropout(weight=0.5), SIZE, seed=1, counts=np.arange(SIZE))


def test_weight_drop_writes_its_mask_into_the_weights(dropping: LanguageModel) -> None:
    """P1: masks that are assigned into the variable compound, and the entries are lost for good."""
    before = get_weights(dropping)
    for n in range(5):
        losses(dropping, some_window(n), (1, n))
    for name, value in get_weights(dropping).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


def test_an_update_with_weight_drop_loses_entries(dropping: LanguageModel) -> None:
    """P1: after updates the raw recurrent kernel has no zeros; an update at rate 0 changes nothing at all."""
    model = LanguageModel(dropping.settings, SIZE, seed=1)
    step = LanguageModelStep(model, LM, "float32")
    before = get_weights(model)
    update(step, some_window(), rate=0.0)
    for name, value in get_weights(model).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    for n in range(3):
        update(step, some_window(n), n)
    for layer in model.encoder.cells:
        assert (np.array(layer.recurrent_kernel) != 0.0).all()


def test_weight_drop_masks_the_bias_or_the_input_kernel() -> None:
    """P1: a wrong index into a layer's weights masks the bias. Only the recurrent kernel may differ, in each layer."""
    model = LanguageModel(with_dropout(weight=0.5), SIZE, seed=1)
    plain = LanguageModel(PLAIN, SIZE, seed=1)
    weights = get_weights(model)
    for n in range(PLAIN.layers):
        raw = tf.constant(weights[f"lstm_{n}/recurrent_kernel"])
        weights[f"lstm_{n}/recurrent_kernel"] = np.array(drop_weights(raw, 0.5, tf.constant(SEED), WEIGHTS + n))
    set_weights(plain, weights)
    assert float(losses(model, some_window(), SEED).nll_sum) == pytest.approx(
        float(losses(plain, some_window()).nll_sum), rel=1e-6
    )


def test_no_gradient_comes_through_weight_drop(dropping: LanguageModel) -> None:
    """P3: the raw kernel gets the gradient of its dropped copy through the mask: 0 where dropped, doubled elsewhere."""
    window = some_window()
    for n, layer in enumerate(dropping.encoder.cells):
        raw = layer.recurrent_kernel.value
        with tf.GradientTape() as tape:
            nll = losses(dropping, window, SEED).nll_sum
        found = np.array(tape.gradient(nll, raw))
        kept = np.array(drop_weights(tf.ones_like(raw), 0.5, tf.constant(SEED), WEIGHTS + n)) != 0.0
        assert not found[~kept].any()
        assert (found[kept] != 0.0).all()
        change = np.random.default_rng(n).normal(size=found.shape).astype(np.float32)
        assert finite_difference(dropping, layer.recurrent_kernel, change, window, (0.0, 0.0)) == pytest.approx(
            float((found * change).sum()), rel=5e-3, abs=2e-2
        )


def finite_difference(
    model: LanguageModel, variable: Any, change: np.ndarray, window: Window, factors: tuple[float, float]
) -> float:
    """Slope of the loss along a change of a weight, by a central difference."""
    before, values = np.array(variable), []
    width = 1e-2 / float(np.linalg.norm(change))
    for sign in (1.0, -1.0):
        variable.assign(before + sign * width * change)
        found = losses(model, window, SEED)
        values.append(float(found.nll_sum + factors[0] * found.activation + factors[1] * found.temporal))
    variable.assign(before)
    return (values[0] - values[1]) / (2.0 * width)


# P2: activation and temporal activation regularisation.


def test_penalties_count_resets_or_targets_that_do_not_count() -> None:
    """P2: against a loop, with dropped outputs for AR and undropped ones for TAR."""
    window = some_window()
    generator = np.random.default_rng(0)
    outputs = generator.normal(size=(TIME, BATCH, 6)).astype(np.float32)
    dropped = outputs * (generator.random((1, BATCH, 6)) > 0.5) * np.float32(2.0)
    o, d, w = (tf.constant(a) for a in (outputs, dropped, window.weights))
    np.testing.assert_allclose(
        penalties(o, d, w, tf.constant(window.keep)), penalties_by_loop(outputs, dropped, window), rtol=1e-5
    )
    never = Window(window.tokens, window.targets, window.weights, np.ones_like(window.keep))
    np.testing.assert_allclose(penalties(o, d, w, None), penalties_by_loop(outputs, dropped, never), rtol=1e-5)


def test_penalties_of_a_window_without_targets_are_no_number() -> None:
    zero = tf.zeros((TIME, BATCH))
    outputs = tf.ones((TIME, BATCH, 6))
    assert [float(p) for p in penalties(outputs, outputs, zero, None)] == [0.0, 0.0]


def test_penalties_change_the_arrays_they_are_given() -> None:
    window = some_window()
    before = window.weights.copy()
    outputs = tf.ones((TIME, BATCH, 6))
    penalties(outputs, outputs, window.weights, window.keep)
    np.testing.assert_array_equal(window.weights, before)


def test_penalties_are_those_of_other_outputs() -> None:
    model, window = lively(PLAIN), some_window()
    outputs = outputs_of(model, window)
    found = losses(model, window)
    np.testing.assert_allclose(
        [found.activation, found.temporal], penalties_by_loop(outputs, outputs, window), rtol=1e-4
    )


@pytest.mark.parametrize("factors", [(400.0, 0.0), (0.0, 4_000.0), (200.0, 2_000.0)])
def test_gradients_with_penalties_are_wrong(factors: tuple[float, float]) -> None:
    """P2: finite differences of the whole loss, with every dropout; the penalties are a good part of it."""
    everything = dict.fromkeys(["input", "hidden", "output", "embedding", "weight"], 0.3)
    model, window = lively(with_dropout(**everything)), some_window()
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        found = losses(model, window, SEED)
        extra = factors[0] * found.activation + factors[1] * found.temporal
        loss = found.nll_sum + extra
    assert float(extra) > 0.2 * float(found.nll_sum)
    gradients = tape.gradient(loss, [v.value for v in variables])
    for n, (variable, gradient) in enumerate(zip(variables, gradients, strict=True)):
        change = np.random.default_rng(n).normal(size=variable.shape).astype(np.float32)
        expected = float((np.array(tf.convert_to_tensor(gradient)) * change).sum())
        slope = finite_difference(model, variable, change, window, factors)
        assert slope == pytest.approx(expected, rel=1e-2, abs=5e-2), variable.path


def test_penalties_are_switched_off_in_training_or_reported() -> None:
    """P2: fastai 2 passed zeros on. The update is that of the loss with penalties, the reported loss is without.

    Plain gradient descent at rate 1, so that the change of a weight is its gradient.
    """
    model, window = lively(PLAIN), some_window()
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        found = losses(model, window)
        nll = found.nll_sum / window.weights.sum()
        loss = nll + 20.0 * found.activation + 30.0 * found.temporal
    gradients = [np.array(tf.convert_to_tensor(g)) for g in tape.gradient(loss, [v.value for v in variables])]
    before = [np.array(v) for v in variables]
    step = LanguageModelStep(model, lm(activation_penalty=20.0, temporal_penalty=30.0), "float32")
    result = update(step, window, rate=1.0)
    assert float(loss) > 1.2 * float(nll)
    assert result.loss == pytest.approx(float(nll), rel=1e-6)
    assert result.norm == pytest.approx(math.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients)), rel=1e-5)
    for variable, start, gradient in zip(variables, before, gradients, strict=True):
        np.testing.assert_allclose(start - np.array(variable), gradient, atol=1e-5, err_msg=variable.path)


@pytest.fixture(scope="module")
def trained() -> tuple[LanguageModel, list[Point]]:
    """A training with penalties, at a rate so high that it ends worse than it was."""
    model = LanguageModel(PLAIN, SIZE, seed=2)
    settings = lm(learning_rate=30.0, schedule="constant", evaluations=4, activation_penalty=2.0, temporal_penalty=2.0)
    return model, train_language_model(model, documents(60, 1), VALID, settings, seed=2).points


def test_penalties_reach_validation(trained: tuple[LanguageModel, list[Point]]) -> None:
    """P2: the best score of the curve is the mean negative log-likelihood of the model's logits, and nothing else."""
    model, points = trained
    found = []
    for n in range(len(VALID)):
        ids = VALID.document(n).astype(np.int32)
        logits = np.array(model(tf.constant(ids[:-1, None]))[0], np.float64)[:, 0]
        found += list(np.log(np.exp(logits).sum(1)) - logits[np.arange(len(ids) - 1), ids[1:]])
    assert min(point.metrics["nll"] for point in points) == pytest.approx(np.mean(found), rel=1e-5)


# P5, P6: padding, and the state that is carried.


def test_padding_is_pooled() -> None:
    """P5: the last valid state, not the last one; the mean over the true length; no padding in the maximum."""
    classifier = TargetModel(PLAIN, ClassifierTraining(pooling="concat"), SIZE, 2, seed=1)
    corpus = encoded([[BOS, 5, 6, EOS], [BOS, *range(4, 14), *range(4, 14), EOS]])
    alone, beside = pad(corpus, np.array([0]), 64), pad(corpus, np.array([0, 1]), 64)
    assert len(alone.tokens) < len(beside.tokens)
    features = [np.array(classifier.features(batch.tokens, batch.lengths))[0] for batch in (alone, beside)]
    np.testing.assert_allclose(features[1], features[0], atol=1e-6)
    states = np.array(classifier.encoder(tf.constant([[BOS], [5], [6], [EOS]]))[0])[:, 0]
    np.testing.assert_allclose(features[0], np.concatenate([states[-1], states.max(0), states.mean(0)]), atol=1e-6)


@pytest.fixture(scope="module")
def compiled() -> LanguageModelStep:
    return LanguageModelStep(LanguageModel(PLAIN, SIZE, seed=1), LM, "float32")


def test_validation_leaks_the_state_of_training(compiled: LanguageModelStep) -> None:
    """P6: scoring begins from a zero state, and training goes on from its own as if nothing had been scored."""
    model = compiled.model
    before = score_documents(model, VALID).nll
    update(compiled, some_window(0), rate=0.0)
    assert any(np.abs(part).max() > 0.0 for part in tf.nest.flatten(compiled.states))
    carried = compiled.arrays()
    update(compiled, some_window(1), 1, first=False)
    expected = compiled.arrays()
    compiled.restore(carried)
    np.testing.assert_array_equal(score_documents(model, VALID).nll, before)
    update(compiled, some_window(1), 1, first=False)
    for name, value in compiled.arrays().items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def test_the_state_is_lost_between_windows_or_kept_over_an_epoch(compiled: LanguageModelStep) -> None:
    """P6: two windows cost what one long one costs; the first of an epoch costs what it costs from zero."""
    long = some_window(0, 2 * TIME)
    parts = [Window(*(a[part] for a in vars(long).values())) for part in (slice(TIME), slice(TIME, None))]
    whole = float(losses(compiled.model, long).nll_sum)
    results = [update(compiled, part, rate=0.0, first=n == 0) for n, part in enumerate(parts)]
    assert sum(result.loss * result.tokens for result in results) == pytest.approx(whole, rel=1e-5)
    again = update(compiled, parts[0], rate=0.0, first=True)
    assert again.loss == pytest.approx(results[0].loss, rel=1e-6)
    assert update(compiled, parts[0], rate=0.0, first=False).loss != pytest.approx(again.loss, rel=1e-6)


def test_chunks_are_shuffled_in_place_of_documents() -> None:
    """P6: each epoch has the documents whole, in an order of its own, in rows that go on from window to window."""
    corpus = documents(37, 1)
    settings = lm(epochs=2.0)
    plan = Plan.of(len(corpus.ids), settings, seed=3)
    (phase,) = plan.phases
    steps = list(plan.read(phase, corpus, 0))
    epochs = np.flatnonzero([step.first[0] for step in steps])
    assert len(epochs) == 2
    whole = {tuple(corpus.document(n).tolist()) for n in range(len(corpus))}
    orders = []
    for begin, end in ((epochs[0], epochs[1]), (epochs[1], len(steps))):
        length = (len(corpus.ids) - 1) // BATCH
        rows = np.concatenate([step.windows[0].tokens for step in steps[begin:end]])[:length].T
        stream = rows.reshape(-1).tolist()
        begins = [n for n, token in enumerate(stream) if token == BOS]
        found = [tuple(stream[a:b]) for a, b in itertools.pairwise(begins)]
        assert set(found) <= whole
        assert len(found) >= len(corpus) - 1 - BATCH
        orders.append(found)
    assert orders[0] != orders[1]


# P7: windows of varied length.


def test_short_windows_get_the_whole_learning_rate(compiled: LanguageModelStep) -> None:
    """P7: half a window moves the weights by half the rate."""
    model, window = compiled.model, some_window(0, TIME // 2)
    start = get_weights(model)
    with tf.GradientTape() as tape:
        found = losses(model, window)
        loss = found.nll_sum / window.weights.sum()
    gradient = np.array(tape.gradient(loss, model.bias.value))
    update(compiled, window, rate=0.4)
    np.testing.assert_allclose(start["softmax_bias"] - get_weights(model)["softmax_bias"], 0.2 * gradient, atol=1e-6)


def test_every_length_rate_and_step_traces_a_graph_anew(compiled: LanguageModelStep) -> None:
    """P7: four lengths at most, and one graph for each, whatever the rate, the step and the share of the average."""
    generator = np.random.default_rng(0)
    lengths = window_lengths(200_000, 70, True, generator)
    assert len(set(lengths)) <= 4
    assert lengths[:-1].sum() < 200_000 <= lengths.sum()
    short = some_window(0, TIME // 2)
    update(compiled, short)
    before = compiled._single.experimental_get_tracing_count()
    for n in range(4):
        compiled.run([short], [n == 2], n, n, 0.1 / (n + 1), 0.1 * n)
    assert compiled._single.experimental_get_tracing_count() == before


def test_evaluation_depends_on_the_window_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """P7: the score is the same for whatever windows the text is read in."""
    model, corpus, found = LanguageModel(PLAIN, SIZE, seed=1), documents(12, 1), []
    for window in (1, 3, 128):
        monkeypatch.setattr(evaluation, "WINDOW", window)
        found.append(score_documents(model, corpus).nll)
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-5)


# P8: perplexity.


@pytest.mark.parametrize("bos", [BOS, None])
def test_perplexity_divides_by_the_wrong_count(bos: int | None) -> None:
    """P8: a model that knows nothing has the vocabulary's size as its perplexity, to the last digit and for any split.

    A remainder that is dropped, a target that is counted but not scored, or N in place of N - 1 would show.
    """
    model = LanguageModel(PLAIN, SIZE, seed=1)
    set_weights(model, {name: np.zeros_like(value) for name, value in get_weights(model).items()})
    for count in (1, 2, 17):
        corpus = dataclasses.replace(documents(count, 1), vocabulary=dataclasses.replace(VOCABULARY, bos=bos))
        scores = score_documents(model, corpus)
        assert scores.metrics["perplexity"] == pytest.approx(SIZE, rel=1e-6)
        assert scores.tokens.sum() == len(corpus.ids) - (count if bos is not None else 0)
        np.testing.assert_allclose(scores.nll, scores.tokens * math.log(SIZE), rtol=1e-6)


def test_perplexities_are_averaged() -> None:
    """P8: the mean is over tokens and of nats; its exponential comes last."""
    scores = DocumentScores(np.array([1.0, 30.0]), np.array([1, 9]), *[np.array([4, 36])] * 3)
    assert scores.metrics["perplexity"] == pytest.approx(math.exp(31 / 10))
    assert scores.metrics["bits_per_character"] == pytest.approx(31 / math.log(2) / 40)


def test_a_long_text_is_summed_in_float32() -> None:
    """P8: 20 million targets of 0.1 nats lose digits in float32, where the sum would stand still."""
    scores = DocumentScores(np.array([2.0e7, 0.1]), *[np.array([1, 1])] * 4)
    assert scores.nll.dtype == np.float64
    assert scores.metrics["nll"] * 2 - 2.0e7 == pytest.approx(0.1, rel=1e-6)
    model = LanguageModel(PLAIN, SIZE, seed=1)
    assert score_documents(model, documents(3, 1)).nll.dtype == np.float64


def test_the_last_weights_are_scored_in_place_of_the_best(trained: tuple[LanguageModel, list[Point]]) -> None:
    """P8: a training that ends worse than it was leaves the best model of its curve, not the last."""
    model, points = trained
    scores = [point.metrics["nll"] for point in points]
    assert scores[-1] > min(scores)
    assert score_documents(model, VALID).metrics["nll"] == pytest.approx(min(scores), rel=1e-6)


# P9, P10: vocabulary, and special tokens.


def written(folder: Path, rows: dict[str, list[str]]) -> DocumentsRef:
    """Write documents as the ingest step does."""
    folder.mkdir()
    splits = [split for split in SPLITS for _ in rows[split]]
    texts = [text for split in SPLITS for text in rows[split]]
    nothing = pa.array([None] * len(texts), pa.string())
    ids = [str(n) for n in range(len(texts))]
    columns = {"id": ids, "text": texts, "label": nothing, "group": nothing, "split": splits, "digest": ids}
    pq.write_table(pa.table(columns), folder / "documents.parquet")
    counts = {split: len(rows[split]) for split in SPLITS}
    zeros = dict.fromkeys(SPLITS, 0)
    return DocumentsRef(path=folder, sha256="0", documents=counts, labels=[], labelled=zeros, dropped={}, overlap={})


@pytest.mark.parametrize("kind", ["word", "bpe", "whitespace", "character"])
def test_the_vocabulary_knows_validation_and_test(kind: str, tmp_path: Path) -> None:
    """P9: another validation or test split gives the same tokenizer, byte for byte, and unknown words stay unknown."""
    train = ["the cat sat on the mat <unk>", "the dog sat on the log"]
    settings = config.Tokenizer(kind=kind, vocabulary_size=300, lowercase=False)
    others = [{"valid": ["the cat"], "test": ["the dog"]}, {"valid": ["zyzzyva Ω " * 9], "test": ["quux Ж " * 9] * 3}]
    found = []
    for n, other in enumerate(others):
        ref = written(tmp_path / f"documents{n}", {"train": train, **other})
        found.append(tokenize(ref, settings, tmp_path / f"tokens{n}"))
    first, second = (TextTokenizer.load(tokens.tokenizer) for tokens in found)
    assert first.sha256 == second.sha256
    assert not {"zyzzyva", "quux", "Ω", "Ж"} & set(second.tokens)
    if kind != "bpe":
        assert found[1].unknown["valid"] >= 9
        assert found[1].unknown["test"] >= 27


@pytest.mark.parametrize("kind", ["word", "whitespace"])
def test_special_tokens_differ_between_training_and_scoring(kind: str, tmp_path: Path) -> None:
    """P10: each document has one `<eos>`, which is scored, and one `<bos>` (if any), which is given and never scored.

    The classifier reads the same tokens as the language model did.
    """
    rows = {"train": ["a b c", "b c", "a <unk>"], "valid": ["a b"], "test": ["c"]}
    settings = config.Tokenizer(kind=kind, vocabulary_size=20)
    tokens = tokenize(written(tmp_path / "documents", rows), settings, tmp_path / "tokens")
    tokenizer = TextTokenizer.load(tokens.tokenizer)
    corpus = read_text(tokens, "train")
    model = LanguageModel(PLAIN, tokenizer.size, seed=1)
    scores = score_documents(model, corpus)
    words = corpus.lengths - (1 if tokenizer.bos is None else 2)
    np.testing.assert_array_equal(scores.tokens, words + 1)
    batch = pad(corpus, np.arange(3), 64)
    for n in range(3):
        np.testing.assert_array_equal(batch.tokens[: batch.lengths[n], n], corpus.document(n))
        assert corpus.document(n).tolist().count(tokenizer.eos) == 1
        assert corpus.document(n)[-1] == tokenizer.eos
    plan = Plan.of(len(corpus.ids), lm(batch_size=1), 1)
    for step in plan.read(plan.phases[0], corpus, 0):
        (window,) = step.windows
        counted = window.targets[window.weights == 1.0]
        assert tokenizer.eos in counted
        assert tokenizer.bos not in counted


# P11, P12: the tied softmax, and dropped word types.


def test_the_tied_softmax_does_not_fit_or_is_hit_by_dropout_of_word_types() -> None:
    """P11: the last layer is as wide as the embedding, and every type can be predicted though most were dropped."""
    model, window = LanguageModel(with_dropout(embedding=0.8), SIZE, seed=1), some_window()
    assert model.encoder.cells[-1].units == model.settings.embedding
    seed = tf.constant(SEED)
    outputs, _ = model.encoder(tf.constant(window.tokens), keep=tf.constant(window.keep), seed=seed)
    raw = np.array(model.encoder.embedding.embeddings, np.float64)
    logits = np.array(outputs, np.float64) @ raw.T + np.array(model.bias)
    right = np.take_along_axis(logits, window.targets[:, :, None], 2)[:, :, 0]
    expected = ((np.log(np.exp(logits).sum(2)) - right) * window.weights).sum()
    assert float(losses(model, window, SEED).nll_sum) == pytest.approx(expected, rel=1e-5)
    # The types were dropped at the input all the same.
    undropped, _ = model.encoder(tf.constant(window.tokens), keep=tf.constant(window.keep))
    assert np.abs(np.array(outputs) - np.array(undropped)).max() > 1e-3


def test_the_tied_weight_learns_from_one_side_only() -> None:
    """P11: of the one matrix a token that is only read, and one that is only predicted, both get a gradient."""
    model = LanguageModel(PLAIN, SIZE, seed=1)
    tokens, targets = np.full((TIME, BATCH), 5, np.int32), np.full((TIME, BATCH), 6, np.int32)
    window = Window(tokens, targets, np.ones(tokens.shape, np.float32), np.ones((*tokens.shape, 1), np.float32))
    embeddings = model.encoder.embedding.embeddings
    with tf.GradientTape() as tape:
        nll = losses(model, window).nll_sum
    gradient = np.array(tf.convert_to_tensor(tape.gradient(nll, embeddings.value)))
    outputs = outputs_of(model, window)
    logits = outputs @ np.array(embeddings, np.float64).T + np.array(model.bias)
    share = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    share[:, :, 6] -= 1.0
    softmax = np.einsum("tbv,tbw->vw", share, outputs)
    others = np.arange(SIZE) != 5
    np.testing.assert_allclose(gradient[others], softmax[others], atol=1e-4)
    assert np.abs(gradient[5] - softmax[5]).max() > 1e-2


def test_a_new_vocabulary_moves_the_rows_but_not_their_bias(vocabulary: Callable[..., TextTokenizer]) -> None:
    """P11: rows and biases of a token move together, to the bit."""
    weights = get_weights(LanguageModel(PLAIN, 6, seed=1, counts=np.array([1, 1, 5, 50, 500, 5_000])))
    source, target = vocabulary("a", "b", "c", "d"), vocabulary("d", "new", "b")
    mapped, _ = map_vocabulary(weights, source, target, np.array([0, 9, 9, 9, 9]), "exact")
    for name in ("embedding/embeddings", "softmax_bias"):
        np.testing.assert_array_equal(mapped[name][[0, 1, 2, 4]], weights[name][[0, 1, 5, 3]])
    np.testing.assert_allclose(
        mapped["embedding/embeddings"][3], weights["embedding/embeddings"].mean(axis=0), rtol=1e-5
    )


def test_places_are_dropped_in_place_of_word_types_or_without_scale() -> None:
    """P12: a model whose embedding was dropped and scaled by hand, row by row, has the same loss."""
    model, window = LanguageModel(with_dropout(embedding=0.5), SIZE, seed=1), some_window()
    types = tf.range(SIZE)[:, None]
    factors = np.array(drop_word_types(tf.ones((SIZE, 1, 1)), types, SIZE, 0.5, tf.constant(SEED), WORD_TYPES))[:, 0]
    assert set(factors[:, 0]) == {0.0, 2.0}
    by_hand = LanguageModel(PLAIN, SIZE, seed=1)
    by_hand.encoder.embedding.embeddings.assign(factors * np.array(model.encoder.embedding.embeddings))
    args = {"keep": tf.constant(window.keep)}
    found, _ = model.encoder(tf.constant(window.tokens), seed=tf.constant(SEED), **args)
    expected, _ = by_hand.encoder(tf.constant(window.tokens), **args)
    np.testing.assert_allclose(found, expected, atol=1e-6)


# P13, P15: averaged weights, and weight decay.


def test_averaged_weights_replace_the_raw_ones() -> None:
    """P13: averages are scored, by the formula, and the raw weights come back, even after an error."""
    model = LanguageModel(PLAIN, SIZE, seed=1)
    step = LanguageModelStep(model, lm(averaging="ema", ema_decay=0.9), "float32")
    expected = get_weights(model)
    for n in range(4):
        average = averaging_rate(step.settings, n + 1, None)
        assert average == pytest.approx(1.0 - min(0.9, (2 + n) / (11 + n)))
        step.run([some_window(n)], [n == 0], 1, n, 0.5, average)
        for name, value in get_weights(model).items():
            expected[name] = expected[name] + average * (value - expected[name])
    raw = get_weights(model)

    def score() -> None:
        with step.averaged_weights():
            for name, value in get_weights(model).items():
                np.testing.assert_allclose(value, expected[name], atol=1e-6, err_msg=name)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score()
    for name, value in get_weights(model).items():
        np.testing.assert_array_equal(value, raw[name], err_msg=name)
        assert np.abs(value - expected[name]).max() > 0.0


def test_asgd_forgets_or_weighs_its_weights() -> None:
    """P13: the plain mean of all weights since averaging began."""
    settings, values = lm(averaging="nt_asgd"), np.random.default_rng(0).normal(size=20)
    average = 0.0
    for n, value in enumerate(values, start=1):
        average += averaging_rate(settings, 30 + n, 30) * (value - average)
    assert average == pytest.approx(values.mean())
    assert averaging_rate(settings, 31, None) == 0.0


def test_a_training_with_averages_ends_with_other_weights_than_it_scored() -> None:
    """P13: what is kept is the averaged model that the curve shows."""
    model = LanguageModel(PLAIN, SIZE, seed=1)
    settings = lm(averaging="ema", learning_rate=1.0, evaluations=2)
    points = train_language_model(model, documents(60, 1), VALID, settings, seed=1).points
    found = score_documents(model, VALID).metrics["nll"]
    assert found == pytest.approx(min(point.metrics["nll"] for point in points), rel=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("gradient", [0.0, 0.7])
def test_weight_decay_goes_through_the_gradient(name: Any, gradient: float) -> None:
    """P15: decoupled: a weight shrinks by rate x decay, once a step, beside the step of the optimizer without decay.

    As a part of the gradient (L2) Adam would divide it away, and the norm and the clipping would change with it.
    """
    found, norms = [], []
    for decay in (0.0, 0.1):
        variable = LanguageModel(PLAIN, SIZE, seed=1).encoder.embedding.embeddings
        start = np.array(variable)
        optimizer = make_optimizer(name, [variable], decay)
        gradients = [tf.fill(variable.shape, gradient)]
        norms.append(float(clipped_update(optimizer, [variable], gradients, 1_000.0, tf.constant(0.2))))
        found.append(np.array(variable))
    np.testing.assert_allclose(found[0] - found[1], 0.2 * 0.1 * start, atol=1e-6)
    assert norms[0] == norms[1]
    if gradient == 0.0:
        np.testing.assert_array_equal(found[0], start)


# P16, P17: conventions, and half precision.


def test_weights_of_pytorch_come_in_another_order() -> None:
    """P16: PyTorch's (4 units, input) with gates i, f, g, o and two biases: transposed, and added up."""
    generator = np.random.default_rng(0)
    units, width = 4, 5
    w, r = generator.normal(size=(4 * units, width)), generator.normal(size=(4 * units, units))
    b_w, b_r = generator.normal(size=(2, 4 * units))
    layer = LSTM(units, seed=1)
    layer.build((None, None, width))
    for variable, value in ((layer.kernel, w.T), (layer.recurrent_kernel, r.T), (layer.bias, b_w + b_r)):
        variable.assign(value)
    x, h, c = generator.normal(size=(TIME, BATCH, width)), np.zeros((BATCH, units)), np.zeros((BATCH, units))
    found, _ = layer(tf.constant(x, tf.float32))
    for t in range(TIME):
        i, f, g, o = np.split(x[t] @ w.T + b_w + h @ r.T + b_r, 4, axis=1)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        np.testing.assert_allclose(found[t], h, atol=1e-5)


def test_a_loaded_model_gets_the_forget_bias_a_second_time() -> None:
    """P16: the one of the forget gate is a starting value in the bias, nothing that is added in the forward pass."""
    model = LanguageModel(PLAIN, SIZE, seed=1)
    set_weights(model, {name: np.zeros_like(value) for name, value in get_weights(model).items()})
    layer = model.encoder.cells[0]
    _, (_, cell) = layer(tf.zeros((1, 1, 6)), (tf.zeros((1, 8)), tf.ones((1, 8))))
    np.testing.assert_allclose(cell, 0.5)  # sigmoid(0) x 1


def test_penalties_are_computed_in_half_precision() -> None:
    """P17: the squares and their sum in float32, though the outputs come in bfloat16 (whose sums stop at 256 ones)."""
    window = some_window(0, 64)
    outputs = tf.cast(tf.constant(np.random.default_rng(0).normal(size=(64, BATCH, 32)), tf.float32), tf.bfloat16)
    found = penalties(outputs, outputs, tf.constant(window.weights), tf.constant(window.keep))
    assert {value.dtype for value in found} == {tf.float32}
    exact = np.array(tf.cast(outputs, tf.float32), np.float64)
    np.testing.assert_allclose(found, penalties_by_loop(exact, exact, window), rtol=1e-5)


def test_the_loss_is_summed_in_half_precision() -> None:
    """P17: 4,000 rows of log 8 nats; a sum in bfloat16 would stand still at about 512."""
    rows = 4_000
    loss = tied_cross_entropy(
        tf.zeros((rows, 4), tf.bfloat16),
        tf.zeros((8, 4)),
        tf.zeros(8),
        tf.zeros(rows, tf.int32),
        tf.ones(rows),
        "bfloat16",
    )
    assert loss.dtype == tf.float32
    assert float(loss) == pytest.approx(rows * math.log(8), rel=1e-5)


def test_half_precision_reaches_weights_states_or_gradients() -> None:
    """P17: only products are short; what is carried on and what is learnt from stays in float32."""
    model, window = LanguageModel(PLAIN, SIZE, seed=1), some_window()
    with tf.GradientTape() as tape:
        found = losses(model, window, precision="bfloat16")
    variables = [v.value for v in model.trainable_variables]
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(found.nll_sum, variables)]
    everything = [found.nll_sum, found.activation, found.temporal, *tf.nest.flatten(found.states), *gradients]
    assert {value.dtype for value in everything} == {tf.float32}
    exact = losses(model, window)
    for short, full in zip(found[:3], exact[:3], strict=True):
        assert float(short) == pytest.approx(float(full), rel=0.02)
