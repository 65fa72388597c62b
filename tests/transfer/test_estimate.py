"""The estimate on texts of which one knows whether they help each other."""

from pathlib import Path

import numpy as np
import pytest

from rnnlm.corpus import ingest
from rnnlm.errors import DataError
from rnnlm.evaluation.language_model import score_documents
from rnnlm.model.checkpoint import Checkpoint, Description, get_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel
from rnnlm.refs import TokensRef
from rnnlm.settings import ClassifierTraining, Corpus, Model, Tokenizer
from rnnlm.tokens import TextTokenizer, tokenize
from rnnlm.transfer.cell import read_documents
from rnnlm.transfer.estimate import estimate
from rnnlm.transfer.source_model import ask_source_model

WORDS = [f"w{n}" for n in range(60)]
SMALL = Model(embedding=8, hidden=12, layers=1)
TRAINING = ClassifierTraining()


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
    """Return a large source and a small target, whose words follow each other in the same way, or not."""
    ways = [np.random.default_rng(n).integers(0, 60, (60, 3)) for n in (1, 2)]
    target = encode(write(folder / "target", 3, 120, ways[0]), Tokenizer(kind="word", vocabulary_size=80))
    source = encode(write(folder / "source", 4, 900, ways[0 if related else 1]), target.tokenizer)
    return source, target


def test_a_source_that_goes_on_as_the_target_does_is_likely_to_help(tmp_path: Path) -> None:
    found = estimate(*pair(tmp_path, related=True), 3).estimate
    assert found.outlook == "likely"
    assert found.mixed_perplexity < found.own_perplexity
    assert found.source_perplexity < found.own_perplexity
    assert found.saved.low > 0.01 * found.own_bits
    assert found.source_share > 0.5
    assert found.known_types == pytest.approx(1.0)
    assert found.known_tokens == pytest.approx(1.0)
    assert "It is likely" in found.sentence


def test_a_source_that_shares_words_but_not_their_ways_is_not(tmp_path: Path) -> None:
    found = estimate(*pair(tmp_path, related=False), 3).estimate
    assert found.outlook == "unlikely"
    assert found.source_perplexity > 2 * found.own_perplexity
    # What was chosen on other documents may cost a little; it cannot save by itself.
    assert abs(found.saved.value) < 0.01 * found.own_bits
    assert found.source_share < 0.1


def test_a_mixture_with_oneself_saves_nothing(tmp_path: Path) -> None:
    _, target = pair(tmp_path, related=True)
    found = estimate(target, target, 3).estimate
    assert found.saved.value == pytest.approx(0.0, abs=1e-9)
    assert found.own_perplexity == pytest.approx(found.mixed_perplexity)
    assert found.outlook == "unlikely"


def test_too_few_documents_are_an_error_and_no_estimate(tmp_path: Path) -> None:
    ways = np.random.default_rng(1).integers(0, 60, (60, 3))
    target = encode(write(tmp_path / "target", 3, 14, ways), Tokenizer(kind="word", vocabulary_size=80))
    with pytest.raises(DataError, match=r"the validation split has \d documents.*valid_share"):
        estimate(target, target, 3)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> TokensRef:
    """Return documents whose class most of their words tell."""
    folder = tmp_path_factory.mktemp("labelled")
    generator = np.random.default_rng(7)
    lines = ["text,label"]
    for n in range(300):
        mostly = generator.random(12) < 0.7
        halves = [generator.choice(half, 12) for half in (WORDS[:30], WORDS[30:])]
        words = np.where(mostly, halves[n % 2], halves[1 - n % 2])
        lines.append(f"{' '.join(words)},{'b' if n % 2 else 'a'}")
    (folder / "text.csv").write_text("\n".join(lines), encoding="utf-8")
    corpus = Corpus(files=[str(folder / "text.csv")], label="label", valid_share=0.2, test_share=0.1)
    documents = ingest(corpus, folder / "documents", downloads=folder)
    return tokenize(documents, Tokenizer(kind="word", vocabulary_size=80), folder / "tokens")


def save_model(folder: Path, model: LanguageModel | TargetModel, tokens: TokensRef) -> Path:
    folder.mkdir()
    classifier = isinstance(model, TargetModel)
    description = Description(
        kind="classifier" if classifier else "language_model",
        settings=SMALL,
        vocabulary_size=tokens.vocabulary_size,
        classifier=TRAINING if classifier else None,
        labels=tokens.labels if classifier else [],
    )
    Checkpoint(description, get_weights(model)).save(folder, tokens.tokenizer)
    return folder


def test_a_source_model_is_scored_as_it_is_and_beside_random_weights(labelled: TokensRef, tmp_path: Path) -> None:
    model = LanguageModel(SMALL, labelled.vocabulary_size, seed=3)
    # An embedding that knows the classes: what pretraining may have learnt.
    table = np.array(model.encoder.embedding.embeddings)
    for n, token in enumerate(TextTokenizer.load(labelled.tokenizer).tokens):
        if token.isdigit():  # the tokenizer divides w7 into w and 7
            table[n] += 2.0 if int(token) < 30 else -2.0
    model.encoder.embedding.embeddings.assign(table)
    found = ask_source_model(
        save_model(tmp_path / "source", model, labelled), SMALL, TRAINING, labelled, "linear", seed=1
    )

    valid = read_documents(labelled, "valid")
    scores = score_documents(model, valid).metrics
    assert found.perplexity == pytest.approx(scores["perplexity"])
    assert found.bits == pytest.approx(scores["bits_per_character"])
    assert found.documents == labelled.documents["train"]
    assert found.pretrained is not None
    assert found.random is not None
    assert found.shuffled is not None
    assert found.pretrained.logme > found.random.logme > found.shuffled.logme
    assert found.pretrained.h_score > found.random.h_score > found.shuffled.h_score
    names = [name for name, _ in found.rows]
    assert sum("random weights" in name for name in names) == sum("labels shuffled" in name for name in names) == 2


def test_a_random_source_model_is_as_good_as_random_weights(labelled: TokensRef, tmp_path: Path) -> None:
    model = TargetModel(SMALL, TRAINING, labelled.vocabulary_size, 2, seed=1)
    found = ask_source_model(
        save_model(tmp_path / "source", model, labelled), SMALL, TRAINING, labelled, "linear", seed=1
    )
    assert found.perplexity is None, "a classifier is no language model"
    assert found.pretrained == found.random


def test_without_labels_there_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    _, target = pair(tmp_path, related=True)
    model = LanguageModel(SMALL, target.vocabulary_size)
    found = ask_source_model(save_model(tmp_path / "model", model, target), SMALL, TRAINING, target, "linear", seed=1)
    assert found.perplexity == pytest.approx(target.vocabulary_size, rel=0.5)
    assert found.pretrained is None
    assert found.documents == 0
