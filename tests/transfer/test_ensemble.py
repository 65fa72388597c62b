"""Means of classifiers, from what their cells keep on disk."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from rnnlm.corpus import ingest
from rnnlm.errors import DataError
from rnnlm.evaluation.predictions import PREDICTIONS
from rnnlm.refs import TokensRef
from rnnlm.settings import Corpus, Tokenizer
from rnnlm.targets import TASKS
from rnnlm.targets.calibration import fit_temperature
from rnnlm.targets.weighting import fit_weights, weighted
from rnnlm.tokens import tokenize
from rnnlm.transfer.cell import VALID, read_documents, target_predictions, write_cell
from rnnlm.transfer.ensemble import fit_ensemble

CLASSES = TASKS["classification"]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokensRef:
    folder = tmp_path_factory.mktemp("labelled")
    rows = [f"text number {n},{'ab'[n % 2]}" for n in range(300)]
    (folder / "text.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    corpus = Corpus(files=[str(folder / "text.csv")], label="label", valid_share=0.3, test_share=0.3)
    documents = ingest(corpus, folder / "documents", downloads=folder)
    return tokenize(documents, Tokenizer(kind="word", vocabulary_size=80), folder / "tokens")


@pytest.fixture
def cell(tokens: TokensRef, tmp_path: Path) -> Callable[[str, int, float], Path]:
    def write(name: str, seed: int, strength: float) -> Path:
        generator = np.random.default_rng(seed)
        tables = []
        for split in ("valid", "test"):
            text = read_documents(tokens, split, labelled=True)
            logits = generator.normal(size=(len(text), 2))
            logits[np.arange(len(text)), text.labels] += strength
            powers = np.exp(logits)
            tables.append(target_predictions(CLASSES, text, powers / powers.sum(axis=1, keepdims=True)))
        write_cell(tmp_path / name, tables[0], tables[1], {}, [])
        return tmp_path / name

    return write


def said(folder: Path, name: str = PREDICTIONS) -> np.ndarray:
    return CLASSES.said(pq.read_table(folder / name))


def test_a_plain_mean_is_one_of_probabilities(
    tokens: TokensRef, tmp_path: Path, cell: Callable[[str, int, float], Path]
) -> None:
    parts = [cell("one", 1, 1.0), cell("other", 2, 1.0)]
    fitted = fit_ensemble(CLASSES, dict(zip(("one", "other"), parts, strict=True)), tokens, None, 1, tmp_path / "mean")
    for name in (VALID, PREDICTIONS):
        mean = (said(parts[0], name) + said(parts[1], name)) / 2
        np.testing.assert_allclose(said(tmp_path / "mean", name), mean, atol=1e-6)
    # It has what a recommendation and calibrated probabilities need.
    assert {"valid/accuracy", "valid/nll", "valid/temperature", "nll_calibrated"} <= fitted.metrics.keys()
    assert json.loads((tmp_path / "mean" / "metrics.json").read_text()) == fitted.metrics


def test_weights_come_from_the_validation_split_alone(
    tokens: TokensRef, tmp_path: Path, cell: Callable[[str, int, float], Path]
) -> None:
    parts = [cell("one", 1, 1.5), cell("other", 2, 0.7)]
    fitted = fit_ensemble(
        CLASSES, dict(zip(("one", "other"), parts, strict=True)), tokens, None, 1, tmp_path / "mean", weighted=True
    )
    valid = read_documents(tokens, "valid", labelled=True)
    weights = fit_weights([said(part, VALID) for part in parts], valid.labels)
    shares = weights / weights.sum()
    assert shares[0] > shares[1] > 0.0
    assert [fitted.metrics[f"valid/share_{arm}"] for arm in ("one", "other")] == pytest.approx(shares)
    expected = weighted([said(part) for part in parts], shares)
    np.testing.assert_allclose(said(tmp_path / "mean"), expected, atol=1e-6)
    # The temperature was chosen together with the weights, and once more without their shrinkage.
    temperature = fitted.metrics["valid/temperature"]
    assert temperature == pytest.approx(1.0 / weights.sum(), rel=0.2)
    of_valid = weighted([said(part, VALID) for part in parts], shares)
    assert temperature == pytest.approx(fit_temperature(of_valid, valid.labels), rel=1e-3)


def test_cells_of_other_documents_are_refused(
    tokens: TokensRef, tmp_path: Path, cell: Callable[[str, int, float], Path]
) -> None:
    whole = cell("whole", 1, 1.0)
    pq.write_table(pq.read_table(whole / VALID).slice(1), whole / VALID)
    (whole / "SHA256SUMS").unlink()
    with pytest.raises(DataError, match="the model saw other documents"):
        fit_ensemble(CLASSES, {"one": whole, "other": whole}, tokens, None, 1, tmp_path / "mean")
