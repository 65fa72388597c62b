"""The estimate on texts of which one knows whether they help each other."""

from pathlib import Path

import numpy as np
import pytest

from rnnlm.config import Corpus, Tokenizer
from rnnlm.corpus import ingest
from rnnlm.errors import DataError
from rnnlm.refs import TokensRef
from rnnlm.tokens import tokenize
from rnnlm.transfer.estimate import estimate

WORDS = [f"w{n}" for n in range(60)]


def write(folder: Path, seed: int, documents: int, chain: np.ndarray) -> Path:
    """Write texts of a random walk over words: each line a document."""
    generator = np.random.default_rng(seed)
    lines = []
    for _ in range(documents):
        word, text = int(generator.integers(60)), []
        for _ in range(30):
            text.append(WORDS[word])
            word = int(generator.choice(chain[word]))
        lines.append(" ".join(text))
    folder.mkdir()
    (folder / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def encode(folder: Path, tokenizer: Tokenizer | Path) -> TokensRef:
    corpus = Corpus(files=[str(folder / "text.txt")], document="line", valid_share=0.3, test_share=0.1)
    return tokenize(ingest(corpus, folder / "documents", downloads=folder), tokenizer, folder / "tokens")


def pair(folder: Path, *, related: bool) -> tuple[TokensRef, TokensRef]:
    """Give a large source and a small target, whose words follow each other in the same way, or not."""
    ways = [np.random.default_rng(n).integers(0, 60, (60, 3)) for n in (1, 2)]
    target = encode(write(folder / "target", 3, 120, ways[0]), Tokenizer(kind="word", vocabulary_size=80))
    source = encode(write(folder / "source", 4, 900, ways[0 if related else 1]), target.tokenizer)
    return source, target


def test_a_source_that_goes_on_as_the_target_does_is_likely_to_help(tmp_path: Path) -> None:
    found = estimate(*pair(tmp_path, related=True), 3)
    assert found.outlook == "likely"
    assert found.mixed_perplexity < found.own_perplexity
    assert found.source_perplexity < found.own_perplexity
    assert found.saved.low > 0.01 * found.own_bits
    assert found.source_share > 0.5
    assert found.known_types == pytest.approx(1.0)
    assert found.known_tokens == pytest.approx(1.0)
    assert "It is likely" in found.sentence


def test_a_source_that_shares_words_but_not_their_ways_is_not(tmp_path: Path) -> None:
    found = estimate(*pair(tmp_path, related=False), 3)
    assert found.outlook == "unlikely"
    assert found.source_perplexity > 2 * found.own_perplexity
    # What was chosen on other documents may cost a little; it cannot save by itself.
    assert abs(found.saved.value) < 0.01 * found.own_bits
    assert found.source_share < 0.1


def test_a_mixture_with_oneself_saves_nothing(tmp_path: Path) -> None:
    _, target = pair(tmp_path, related=True)
    found = estimate(target, target, 3)
    assert found.saved.value == pytest.approx(0.0, abs=1e-9)
    assert found.own_perplexity == pytest.approx(found.mixed_perplexity)
    assert found.outlook == "unlikely"


def test_too_few_documents_are_an_error_and_no_estimate(tmp_path: Path) -> None:
    ways = np.random.default_rng(1).integers(0, 60, (60, 3))
    target = encode(write(tmp_path / "target", 3, 14, ways), Tokenizer(kind="word", vocabulary_size=80))
    with pytest.raises(DataError, match=r"the validation split has \d documents.*valid_share"):
        estimate(target, target, 3)
