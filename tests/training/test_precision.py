"""`precision: auto`, and what bfloat16 products cost in quality."""

import errno
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from rnnlm.model.encoder import CELLS
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.precision import Precision
from rnnlm.settings import LanguageModelTraining, Model
from rnnlm.tokens import Text, Vocabulary
from rnnlm.training import precision
from rnnlm.training.language_model import train_language_model
from rnnlm.training.precision import choose_precision

MODEL = Model(embedding=16, hidden=16, layers=1)


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let each test measure anew, in a workplace of its own."""
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path))
    precision._faster.cache_clear()


def chosen(model: Model = MODEL) -> Precision:
    return choose_precision("auto", model, 100, 4, 8)


@pytest.mark.parametrize(("ratio", "expected"), [(2.0, "bfloat16"), (1.19, "float32"), (0.2, "float32")])
def test_bfloat16_is_taken_only_where_it_is_clearly_faster_and_that_is_said(
    ratio: float, expected: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(precision, "_ratio", lambda *_: ratio)
    with caplog.at_level(logging.INFO, "rnnlm.training"):
        assert chosen() == expected
    assert f"precision: {expected}" in caplog.text
    assert f"1/{ratio:.2f} of the time" in caplog.text


def test_what_was_measured_once_holds_in_every_later_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Near the margin another measurement would find otherwise, and a training repeated would end with other bits."""
    monkeypatch.setattr(precision, "_ratio", lambda *_: 1.21)
    assert chosen() == "bfloat16"
    monkeypatch.setattr(precision, "_ratio", lambda *_: 1.19)
    assert chosen() == "bfloat16"
    precision._faster.cache_clear()  # as another process
    assert chosen() == "bfloat16"
    # Other sizes are another question; what was measured can be read.
    assert choose_precision("auto", MODEL, 100, 8, 8) == "float32"
    kept = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((tmp_path / "precision").iterdir())]
    assert sorted(k["precision"] for k in kept) == ["bfloat16", "float32"]


def test_of_two_processes_that_measure_at_once_the_first_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def slow(*_: object) -> float:
        monkeypatch.setattr(precision, "_ratio", lambda *_: 2.0)
        precision._faster.__wrapped__("lstm", 4, 8, 16, 16, 100)
        return 1.0

    monkeypatch.setattr(precision, "_ratio", slow)
    assert chosen() == "bfloat16"
    assert len(list((tmp_path / "precision").iterdir())) == 1


@pytest.mark.parametrize("content", ["", "[]", '{"precision": 1}'])
def test_a_file_that_says_nothing_is_measured_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    monkeypatch.setattr(precision, "_ratio", lambda *_: 2.0)
    assert chosen() == "bfloat16"
    (kept,) = (tmp_path / "precision").iterdir()
    kept.write_text(content, encoding="utf-8")
    precision._faster.cache_clear()
    monkeypatch.setattr(precision, "_ratio", lambda *_: 1.0)
    assert chosen() == "float32"
    assert json.loads(kept.read_text(encoding="utf-8"))["precision"] == "float32"


def test_a_full_disk_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(precision, "_ratio", lambda *_: 2.0)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        chosen()
    assert list((tmp_path / "precision").iterdir()) == []


def test_what_is_asked_for_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_ratio", None)
    assert choose_precision("bfloat16", MODEL, 100, 4, 8) == "bfloat16"
    assert choose_precision("float32", MODEL, 100, 4, 8) == "float32"


@pytest.mark.parametrize("cell", CELLS)
def test_the_measurement_itself_gives_a_number(cell: str) -> None:
    assert 0.001 < precision._ratio(cell, 4, 8, 16, 16, 100) < 1_000


def test_after_an_epoch_bfloat16_is_as_good_as_float32() -> None:
    """Validation perplexity within 0.5 %, all else equal: a text whose next word depends on the two before."""
    generator = np.random.default_rng(0)
    size, eos = 200, 3
    weights = generator.gumbel(size=(2, size, size)) * 1.5
    ids = [10, 11]
    for _ in range(24_000):
        logits = weights[0, ids[-1]] + 0.5 * weights[1, ids[-2]]
        ids.append(int(np.argmax(logits + generator.gumbel(size=size))))

    def text(tokens: list[int]) -> Text:
        zero = np.zeros(1, np.int64)
        return Text(
            Vocabulary(size, eos, unk=1, bos=None),
            np.array(tokens, np.uint16),
            offsets=np.array([0, len(tokens)]),
            labels=np.array([-1], np.int16),
            n_characters=zero + len(tokens),
            n_bytes=zero + len(tokens),
            n_words=zero,
            document_ids=np.array(["0"], object),
        )

    def perplexity(kind: Precision) -> float:
        model = LanguageModel(Model(embedding=48, hidden=96, layers=2), size, seed=1)
        settings = LanguageModelTraining(epochs=1, batch_size=8, window=32, learning_rate=0.02, precision=kind)
        curve = train_language_model(model, text(ids[:20_000]), text(ids[20_000:]), settings, seed=1)
        return curve.points[-1].metrics["perplexity"]

    exact, products = perplexity("float32"), perplexity("bfloat16")
    assert exact < 100  # it has learnt: half of what a guess of all words has
    assert products == pytest.approx(exact, rel=0.005)
    assert products != exact  # it was bfloat16 indeed
