"""A language model that adapts while it reads, from tokens on disk to a cell."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from rnnlm.corpus import ingest
from rnnlm.refs import TokensRef
from rnnlm.settings import Adaptation, Corpus, LanguageModelTraining, Model, Tokenizer
from rnnlm.tokens import tokenize
from rnnlm.training.progress import silent
from rnnlm.transfer.adaptation import RATES, THETAS, fit_adaptation
from rnnlm.transfer.fit import fit_language_model
from rnnlm.transfer.forgetting import score_on_source


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokensRef:
    """Documents with a few words of their own each, again and again: what a cache is for."""
    folder = tmp_path_factory.mktemp("adaptation")
    generator = np.random.default_rng(1)
    lines = []
    for _ in range(120):
        own = generator.integers(0, 300, 3)
        lines.append(" ".join(f"w{generator.choice(own)}" for _ in range(40)))
    (folder / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    corpus = Corpus(files=[str(folder / "text.txt")], document="line", valid_share=0.2, test_share=0.2)
    documents = ingest(corpus, folder / "documents", downloads=folder)
    return tokenize(documents, Tokenizer(vocabulary_size=400), folder / "tokens")


@pytest.fixture(scope="module")
def model(tokens: TokensRef, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp("model") / "model"
    training = LanguageModelTraining(epochs=1, batch_size=4, window=16, evaluations=1)
    fitted = fit_language_model(
        Model(embedding=8, hidden=8), tokens, training, folder, start=None, seed=1, report=silent
    )
    return folder, fitted.metrics


@pytest.mark.parametrize("kind", ["cache", "dynamic"])
def test_it_helps_where_documents_repeat_themselves(
    kind: Adaptation, tokens: TokensRef, model: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    folder, plain = model
    fitted = fit_adaptation(kind, folder, tokens, tmp_path / kind)
    assert fitted.metrics["perplexity"] < (0.5 if kind == "cache" else 0.99) * plain["perplexity"]
    if kind == "cache":
        assert fitted.metrics["valid/cache_theta"] in THETAS
        assert 0.3 < fitted.metrics["valid/cache_share"] < 1.0
    else:
        assert fitted.metrics["valid/dynamic_rate"] in RATES
    table = pq.read_table(tmp_path / kind / "predictions.parquet")
    assert table["nll"].to_numpy().sum() / table["tokens"].to_numpy().sum() == pytest.approx(fitted.metrics["nll"])
    again = fit_adaptation(kind, folder, tokens, tmp_path / "again")
    assert again.sha256 == fitted.sha256


def test_a_model_on_the_text_that_it_was_scored_on_scores_the_same(
    tokens: TokensRef, model: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    folder, plain = model
    scored = score_on_source({"before": folder, "after": folder}, tokens, tmp_path / "source")
    assert scored["before"] == scored["after"]
    assert scored["after"]["perplexity"] == pytest.approx(plain["perplexity"])
    written = {path.name for path in (tmp_path / "source").iterdir()}
    assert written == {"before.parquet", "after.parquet", "SHA256SUMS"}
