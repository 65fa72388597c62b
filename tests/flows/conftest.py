"""A tiny experiment: real files, real training, seconds."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnlm.experiment import Experiment, check_experiment
from rnnlm.refs import Ref

THINGS = ["film", "story", "plot", "actor", "scene", "music", "ending", "camera"]
GOOD = ["great", "lovely", "moving", "funny", "clever"]
BAD = ["dull", "boring", "weak", "silly", "flat"]


def write_source(folder: Path) -> None:
    """Write sixty short texts."""
    generator = np.random.default_rng(1)
    folder.mkdir()
    for n in range(60):
        sentences = [
            f"The {generator.choice(THINGS)} was {generator.choice(GOOD + BAD)} and the {generator.choice(THINGS)} too."
            for _ in range(12)
        ]
        (folder / f"{n}.txt").write_text(" ".join(sentences))


def write_target(file: Path) -> None:
    """Write 240 labelled texts, whose words tell their label."""
    generator = np.random.default_rng(2)
    lines = ["text,label"]
    for n in range(240):
        good = n % 2
        words = [f"the {generator.choice(THINGS)} is {generator.choice(GOOD if good else BAD)}" for _ in range(3)]
        lines.append(f'"{", ".join(words)} {n}",{"good" if good else "bad"}')
    file.write_text("\n".join(lines))


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """The settings of a tiny experiment, to be changed and checked."""
    training = {"batch_size": 4, "window": 8, "learning_rate": 0.02, "evaluations": 2}
    return {
        "name": "tiny",
        "model": {"embedding": 8, "hidden": 12, "layers": 2},
        "source": {
            "corpus": {"files": [str(tmp_path / "source")], "format": "text", "valid_share": 0.15, "test_share": 0.15},
            "tokenizer": {"kind": "word", "vocabulary_size": 60},
            "language_model": {**training, "epochs": 2},
        },
        "target": {
            "corpus": {
                "files": [str(tmp_path / "target.csv")],
                "label": "label",
                "valid_share": 0.15,
                "test_share": 0.2,
            },
            "tokenizer": {"kind": "word", "vocabulary_size": 60},
            "language_model": {**training, "epochs": 1},
            "adaptations": ["cache", "dynamic"],
            "classifier": {"epochs": 1, "min_steps": 10, "batch_size": 8, "learning_rates": [0.02], "evaluations": 2},
        },
        "comparison": {
            "arms": ["scratch", "tfidf", "target_text", "direct", "parameter", "feature"],
            "labels": [20, "all"],
            "seeds": 2,
        },
    }


@pytest.fixture
def experiment(tmp_path: Path, settings: dict[str, Any]) -> Experiment:
    """The same as an experiment, with its texts on disk."""
    write_source(tmp_path / "source")
    write_target(tmp_path / "target.csv")
    return check_experiment(settings)


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each step's body runs: the library functions that the tasks are wrapped around."""
    import rnnlm.registry
    import rnnlm.steps.compare
    import rnnlm.steps.ingest
    import rnnlm.steps.tokenize
    import rnnlm.transfer.fit
    import rnnlm.transfer.fit_target
    import rnnlm.transfer.run_cell

    counts: Counter[str] = Counter()

    def counted(module: Any, name: str, key: str) -> None:
        original = getattr(module, name)

        def count(*args: Any, **kwargs: Any) -> Any:
            counts[key] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, count)

    counted(rnnlm.steps.ingest, "ingest_corpus", "ingest")
    counted(rnnlm.steps.tokenize, "tokenize_documents", "tokenize")
    # Of the source model, and of cells.
    for module in (rnnlm.transfer.fit, rnnlm.transfer.run_cell):
        counted(module, "fit_language_model", "language model")
    for module in (rnnlm.transfer.fit_target, rnnlm.transfer.run_cell):
        counted(module, "fit_target_model", "classifier")
    counted(rnnlm.registry, "register", "register")
    counted(rnnlm.steps.compare, "assemble", "compare")
    return counts


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch) -> dict[Path, dict[Path, int]]:
    """The folder of each step that has finished, with what was in it then: each file, and when it was written."""
    from rnnlm.tasks.step import Prefect

    folders: dict[Path, dict[Path, int]] = {}
    counted = Prefect._counted

    def seen(*arguments: Any) -> Any:
        result = counted(*arguments)
        if isinstance(result, Ref):
            folders.setdefault(result.path, listing(result.path))
        return result

    monkeypatch.setattr(Prefect, "_counted", seen)
    return folders


def listing(folder: Path) -> dict[Path, int]:
    """Return what is in a folder, and when each was written, the folder itself included."""
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


@pytest.fixture
def nothing_written_since(finished: dict[Path, dict[Path, int]]) -> Callable[[Path], None]:
    """Return what asserts that no finished step was written to again, into its folder or beside it in a store."""

    def check(store: Path) -> None:
        assert finished
        assert {folder: listing(folder) for folder in finished} == finished
        assert {path for path in store.iterdir() if path not in finished} == set()

    return check
