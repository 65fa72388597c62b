import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.evaluation import language_model
from rnnlm.evaluation.language_model import DocumentScores, by_document, score_documents
from rnnlm.model.language_model import LanguageModel
from rnnlm.settings import Model
from rnnlm.targets.class_scores import classification_metrics
from rnnlm.tokens import Text, Vocabulary

BOS, EOS = 2, 3
VOCABULARY = Vocabulary(12, EOS, unk=1, bos=BOS)


def encoded(texts: list[list[int]]) -> Text:
    lengths = np.array([len(text) for text in texts])
    return Text(
        vocabulary=VOCABULARY,
        ids=np.array([token for text in texts for token in text], np.uint16),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        labels=np.full(len(texts), -1, np.int16),
        n_characters=3 * lengths,
        n_bytes=3 * lengths,
        n_words=lengths,
        document_ids=np.array([str(n) for n in range(len(texts))], object),
    )


def running(texts: list[list[int]]) -> Text:
    return dataclasses.replace(encoded(texts), vocabulary=dataclasses.replace(VOCABULARY, bos=None))


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return LanguageModel(Model(embedding=4, hidden=6, layers=2), 12, seed=1, counts=np.arange(12))


def by_hand(model: LanguageModel, ids: list[int], context: int | None = None) -> list[float]:
    """Negative log-likelihood of each token after the first (or after `context`), one step at a time."""
    given_ids = ids[:-1] if context is None else [context, *ids[:-1]]
    targets = ids[1:] if context is None else ids
    states, found = model.encoder.zero_states(1), []
    for token, target in zip(given_ids, targets, strict=True):
        logits, states = model(tf.constant([[token]]), states)
        values = np.array(logits, np.float64)[0, 0]
        found.append(math.log(np.exp(values).sum()) - values[target])
    return found


def random_documents(count: int) -> list[list[int]]:
    generator = np.random.default_rng(0)
    return [[BOS, *generator.integers(4, 12, generator.integers(0, 9)).tolist(), EOS] for _ in range(count)]


@pytest.mark.parametrize("window", [2, 128])
def test_perplexity_by_hand(model: LanguageModel, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every token once, each document from a zero state, whatever the windows and the batches."""
    monkeypatch.setattr(language_model, "WINDOW", window)
    monkeypatch.setattr(language_model, "BATCH", 3)
    texts = random_documents(8)
    scores = score_documents(model, encoded(texts))
    expected = [by_hand(model, text) for text in texts]
    np.testing.assert_allclose(scores.nll, [sum(one) for one in expected], rtol=1e-5)
    np.testing.assert_array_equal(scores.tokens, [len(one) for one in expected])
    every = [nll for one in expected for nll in one]
    assert scores.metrics["perplexity"] == pytest.approx(math.exp(sum(every) / len(every)), rel=1e-5)
    characters = sum(3 * len(text) for text in texts)
    assert scores.metrics["bits_per_character"] == pytest.approx(sum(every) / math.log(2) / characters, rel=1e-5)


def test_scores_that_do_not_depend_on_the_tokenizer_and_unknown_words_by_hand() -> None:
    """Two documents in German and Chinese bytes; id 1 is unknown, id 2 begins a document and is given."""
    documents = Text(
        vocabulary=VOCABULARY,
        ids=np.array([2, 5, 1, 3, 2, 1, 3], np.uint8),
        offsets=np.array([0, 4, 7]),
        labels=np.array([-1, -1], np.int16),
        n_characters=np.array([9, 2]),
        n_bytes=np.array([10, 6]),
        n_words=np.array([2, 1]),
        document_ids=np.array(["a", "b"], object),
    )
    losses = np.array([0.0, 1.0, 4.0, 2.0, 0.0, 6.0, 3.0])
    metrics = by_document(losses, documents, unknown=True).metrics
    assert metrics["nll"] == pytest.approx(16 / 5)
    assert metrics["bits_per_character"] == pytest.approx(16 / math.log(2) / 11)
    assert metrics["bits_per_byte"] == pytest.approx(16 / math.log(2) / 16)
    assert metrics["word_perplexity"] == pytest.approx(math.exp(16 / 3))
    assert metrics["unknown_share"] == pytest.approx(2 / 5)
    assert metrics["known_perplexity"] == pytest.approx(math.exp(6 / 3))
    assert "unknown_share" not in by_document(losses, documents).metrics


def test_a_script_that_does_not_part_words_has_no_perplexity_of_a_word() -> None:
    scores = DocumentScores(np.array([9.0]), np.array([5]), np.array([31]), np.array([93]), np.array([3]))
    assert "word_perplexity" not in scores.metrics


def test_where_all_is_unknown_nothing_known_is_scored() -> None:
    one = np.array([1])
    scores = DocumentScores(np.array([2.0]), one, one, one, one, unknown=one, unknown_nll=np.array([2.0]))
    assert scores.metrics["unknown_share"] == 1.0
    assert "known_perplexity" not in scores.metrics


def test_a_documents_score_does_not_depend_on_the_others(model: LanguageModel) -> None:
    texts = random_documents(9)
    together = score_documents(model, encoded(texts)).nll
    alone = [score_documents(model, encoded([text])).nll[0] for text in texts]
    np.testing.assert_allclose(together, alone, rtol=1e-5)


@pytest.mark.parametrize("window", [2, 128])
def test_running_text_carries_the_state_through(
    model: LanguageModel, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model, "WINDOW", window)
    monkeypatch.setattr(language_model, "STREAM_ROWS", 1)
    texts = [[5, 6, EOS], [7, EOS], [8, 9, 10, 4, EOS]]
    scores = score_documents(model, running(texts))
    every = by_hand(model, [token for text in texts for token in text], context=EOS)
    assert len(every) == 10
    np.testing.assert_allclose(scores.nll, [sum(every[:3]), sum(every[3:5]), sum(every[5:])], rtol=1e-5)
    np.testing.assert_array_equal(scores.tokens, [3, 2, 5])


def test_running_text_in_rows_still_counts_every_token_once(model: LanguageModel) -> None:
    texts = [[5, 6, EOS], [7, EOS], [8, 9, 10, 4, EOS]] * 5
    scores = score_documents(model, running(texts))
    assert scores.tokens.sum() == 50
    assert (scores.nll > 0).all()


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3)), min_size=2, max_size=40
    )
)
def test_classification_scores_agree_with_scikit_learn(cases: list[tuple[int, list[float]]]) -> None:
    from sklearn.metrics import accuracy_score, f1_score, log_loss

    labels = np.array([label for label, _ in cases])
    probabilities = np.array([values for _, values in cases])
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = classification_metrics(probabilities, labels)
    predicted = probabilities.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    # Over the classes that are in the labels or were said, of which there may be fewer than the three.
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0))
    assert found["nll"] == pytest.approx(log_loss(labels, probabilities, labels=[0, 1, 2]), rel=1e-6)


def test_a_class_that_only_training_has_does_not_lower_macro_f1() -> None:
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    assert classification_metrics(probabilities, np.array([0, 1]))["macro_f1"] == 1.0
