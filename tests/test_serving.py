import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModelContext

from rnnlm import settings as config
from rnnlm.inference.limits import Gate, Limits
from rnnlm.model.checkpoint import Checkpoint, Description, get_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel
from rnnlm.serving import TextModel
from rnnlm.tokens import TextTokenizer
from rnnlm.tokens.kinds import train

TEXTS = [
    "the film was a delight , and the cast was fine",
    "一部很好的电影 ， 我很喜欢",
    "فيلم جميل جدا و القصة رائعة",
    "great 😀👍🏽 fun 👨‍👩‍👧",
    "Ein Café, naïve, wie ein schöner Tag",
]
SETTINGS = config.Model(embedding=8, hidden=12, layers=2)
LABELS = ["neg", "pos", "néutral 🙂"]

Loaded = Callable[..., TextModel]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Make the served model of a fresh checkpoint, once for each tokenizer, number of classes and temperature."""
    made: dict[tuple[str, int, float], TextModel] = {}

    def make(kind: Any = "word", classes: int = 0, temperature: float = 1.0) -> TextModel:
        if (kind, classes, temperature) not in made:
            folder = tmp_path_factory.mktemp("checkpoint")
            train(config.Tokenizer(kind=kind, vocabulary_size=400), [TEXTS] * 3).save(str(folder / "own.json"))
            size = TextTokenizer.load(folder / "own.json").size
            model: LanguageModel | TargetModel
            if classes:
                training = config.ClassifierTraining(max_tokens=16)
                model = TargetModel(SETTINGS, training, size, classes, seed=3)
                description = Description(
                    kind="classifier",
                    settings=SETTINGS,
                    vocabulary_size=size,
                    classifier=training,
                    labels=LABELS[:classes],
                    temperature=temperature,
                )
            else:
                model = LanguageModel(SETTINGS, size, seed=3)
                description = Description(kind="language_model", settings=SETTINGS, vocabulary_size=size)
            Checkpoint(description, get_weights(model)).save(folder, folder / "own.json")
            served = TextModel()
            served.load_context(PythonModelContext({"checkpoint": str(folder)}, None))
            made[kind, classes, temperature] = served
        return made[kind, classes, temperature]

    return make


def predict(model: TextModel, texts: list[str], **params: Any) -> list[dict[str, Any]]:
    return model.predict(PythonModelContext({}, None), texts, params or None)


def by_hand(model: TextModel, text: str) -> tuple[float, int]:
    """Score one text token by token, with the model's logits of the whole text."""
    ids = model.trained.tokenizer.encode([text])[0]
    if model.trained.tokenizer.bos is None:
        ids = [model.trained.tokenizer.eos, *ids]
    logits, _ = model.trained.model(np.array(ids[:-1], np.int32)[:, None])
    logits = np.asarray(logits, np.float64)[:, 0]
    nll = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(ids) - 1), ids[1:]]
    return float(nll.sum()), len(ids) - 1


@pytest.mark.parametrize("kind", ["word", "bpe", "byte", "whitespace"])
def test_a_language_model_scores_each_text_by_itself(loaded: Loaded, kind: str) -> None:
    model = loaded(kind)
    rows = predict(model, TEXTS)
    for text, row in zip(TEXTS, rows, strict=True):
        nll, tokens = by_hand(model, text)
        assert row["tokens"] == tokens
        assert row["nll"] == pytest.approx(nll, rel=1e-5)
        assert row["perplexity"] == pytest.approx(math.exp(nll / tokens), rel=1e-5)
        assert row["bits_per_character"] == pytest.approx(nll / math.log(2) / len(text), rel=1e-5)


@pytest.mark.parametrize("kind", ["word", "whitespace"])
def test_of_an_empty_text_the_end_is_scored(loaded: Loaded, kind: str) -> None:
    model = loaded(kind)
    nll, _ = by_hand(model, "")
    for row in predict(model, ["", " \n\t", "\x00"]):
        assert row["tokens"] == 1
        assert row["nll"] == pytest.approx(nll, rel=1e-5)
        assert row["bits_per_character"] is None


def test_a_long_text_is_scored_whole_beside_short_ones(loaded: Loaded) -> None:
    model = loaded("word")
    long = " ".join(TEXTS[0].split()[n % 7] for n in range(400))
    rows = predict(model, ["", long, TEXTS[0]])
    assert rows[1]["tokens"] == 401
    nll, _ = by_hand(model, long)
    assert rows[1]["nll"] == pytest.approx(nll, rel=1e-4)
    assert rows[2]["nll"] == pytest.approx(predict(model, [TEXTS[0]])[0]["nll"], rel=1e-5)


def test_texts_are_cleaned_as_ingest_cleans_them(loaded: Loaded) -> None:
    model = loaded("word")
    composed, decomposed = "Ein Café", "\ufeff Ein\x0bCafe\u0301 \r\n"
    rows = predict(model, [composed, decomposed])
    assert rows[0]["nll"] == pytest.approx(rows[1]["nll"], rel=1e-6)
    assert rows[0]["bits_per_character"] == pytest.approx(rows[1]["bits_per_character"], rel=1e-6)


def test_halves_of_surrogate_pairs_are_joined_or_replaced(loaded: Loaded) -> None:
    rows = predict(loaded("byte"), ["\ud83d\ude00", "😀", "\ud83d", "\ufffd"])
    assert rows[0] == pytest.approx(rows[1])
    assert rows[2] == pytest.approx(rows[3])


@pytest.mark.parametrize("classes", [2, 3])
def test_a_classifier_gives_a_label_and_the_probability_of_each_class(loaded: Loaded, classes: int) -> None:
    model = loaded("word", classes)
    rows = predict(model, [*TEXTS, "", "the film " * 5_000])
    for row in rows:
        assert list(row["probabilities"]) == LABELS[:classes]
        assert sum(row["probabilities"].values()) == pytest.approx(1.0, abs=1e-6)
        assert row["label"] == max(row["probabilities"], key=row["probabilities"].__getitem__)
    ids = np.array(model.trained.tokenizer.encode([TEXTS[0]])[0], np.int32)
    direct = np.asarray(model.trained.model(ids[:, None], np.array([len(ids)], np.int32)))[0]
    assert list(rows[0]["probabilities"].values()) == pytest.approx(direct.tolist(), abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_are_calibrated_with_the_checkpoints_temperature(loaded: Loaded, classes: int) -> None:
    plain, calibrated = (predict(loaded("word", classes, temperature), TEXTS) for temperature in (1.0, 2.5))
    for before, after in zip(plain, calibrated, strict=True):
        powers = np.array(list(before["probabilities"].values())) ** (1 / 2.5)
        assert list(after["probabilities"].values()) == pytest.approx((powers / powers.sum()).tolist(), rel=1e-5)
        assert after["label"] == before["label"]


def test_of_a_text_too_long_for_a_classifier_the_end_is_read(loaded: Loaded) -> None:
    model = loaded("word", 2)
    same_end = " ".join(["delight"] * 30)
    rows = predict(model, ["the film " * 40 + same_end, same_end])
    assert rows[0] == rows[1] or rows[0]["probabilities"] == pytest.approx(rows[1]["probabilities"], abs=1e-6)


@pytest.mark.parametrize("kind", ["word", "bpe", "unigram", "character", "byte", "whitespace"])
def test_a_language_model_completes_rescores_and_corrects(loaded: Loaded, kind: str) -> None:
    model = loaded(kind)
    rows = predict(model, [*TEXTS, ""], task="complete", max_tokens=3, n=2)
    assert [len(row["completions"]) for row in rows] == [2] * 6
    for text, row in zip([*TEXTS, ""], rows, strict=True):
        assert all(one["text"] == text + one["completion"] for one in row["completions"])
    drawn = {"task": "complete", "temperature": 1.0, "top_k": 20, "top_p": 0.9, "seed": 7}
    assert predict(model, ["the film"], **drawn) == predict(model, ["the film"], **drawn)
    scores = [float(n) for n in range(5)]
    rescored = predict(model, TEXTS, task="rescore", scores=scores, weight=0.5, word_bonus=0.1)
    alone = predict(model, TEXTS)
    for score, row, own in zip(scores, rescored, alone, strict=True):
        assert row["log_probability"] == pytest.approx(-own["nll"], rel=1e-5)
        assert row["total"] == pytest.approx(score - 0.5 * own["nll"] + 0.1 * len(row["text"].split()), rel=1e-5)
    assert sorted(row["rank"] for row in rescored) == [1, 2, 3, 4, 5]
    words = ["delight", "film", "the"]
    (corrected,) = predict(model, ["The deligth!"], task="correct", distance=1, penalty=0.0, words=words)
    assert corrected["text"] in ("The delight!", "The deligth!")
    assert {one["word"] for one in corrected["words"][0]["candidates"]} == {"delight", "deligth"}
    assert json.loads(json.dumps([rows, rescored, corrected], allow_nan=False))


@pytest.mark.parametrize("task", ["score", "complete", "correct", "rescore"])
def test_no_texts_give_no_rows_whatever_the_task(loaded: Loaded, task: str) -> None:
    assert predict(loaded("word"), [], task=task) == []


@pytest.mark.parametrize(
    ("classes", "params", "named"),
    [
        (0, {"task": "translate"}, "task: no task 'translate'; there are: score"),
        (0, {"task": "complete", "max_tokens": -1}, "max_tokens: .*greater than or equal to 1"),
        (0, {"task": "rescore", "scores": [1.0, 2.0]}, "scores: 2 scores for 1 hypotheses"),
        (0, {"task": "classify"}, "task: .*a language model.*answers: score"),
        (2, {"task": "complete"}, "task: .*a classifier.*answers: classify"),
    ],
)
def test_a_wrong_parameter_is_an_error_that_the_server_passes_on(
    loaded: Loaded, classes: int, params: dict[str, Any], named: str
) -> None:
    with pytest.raises(MlflowException, match=named) as caught:
        predict(loaded("word", classes), ["the film"], **params)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"


@pytest.mark.parametrize("classes", [0, 2])
def test_no_texts_give_no_rows(loaded: Loaded, classes: int) -> None:
    assert predict(loaded("word", classes), []) == []


@given(st.lists(st.text(st.characters()), max_size=5))
def test_any_text_gets_its_row_in_its_place_as_plain_json(loaded: Loaded, texts: list[str]) -> None:
    model = loaded("bpe")
    rows = predict(model, texts)
    assert len(rows) == len(texts)
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    for text, row in zip(texts, rows, strict=True):
        assert row["nll"] == pytest.approx(predict(model, [text])[0]["nll"], rel=1e-4)


def test_a_folder_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    from rnnlm.errors import DataError

    with pytest.raises(DataError, match=tmp_path.name):
        TextModel().load_context(PythonModelContext({"checkpoint": str(tmp_path)}, None))


def test_a_server_refuses_what_is_too_large_and_a_program_does_not(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded("word")
    monkeypatch.setattr(model, "limits", Limits(texts=2))
    assert len(predict(model, TEXTS)) == len(TEXTS)
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
    assert len(predict(model, TEXTS[:2])) == 2
    with pytest.raises(MlflowException, match="5 texts, and this server allows 2") as caught:
        predict(model, TEXTS)
    assert caught.value.get_http_status_code() == 413
    caught.value.message = f"Failed to predict data '{TEXTS}'"  # as the server does
    assert TEXTS[0] not in caught.value.serialize_as_json()


def test_a_server_that_is_busy_says_so(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded("word")
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
    monkeypatch.setattr(model, "gate", Gate(Limits(at_once=1, wait=0.0)))
    with model.gate.place(), pytest.raises(MlflowException, match="Send the request again later") as caught:
        predict(model, TEXTS)
    assert caught.value.get_http_status_code() == 503
    assert len(predict(model, TEXTS)) == len(TEXTS)
