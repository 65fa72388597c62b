"""A training step that fails for what may pass, or is cancelled, goes on where it was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect import flow
from prefect.settings import PREFECT_TASKS_REFRESH_CACHE, temporary_settings

from rnnlm.corpus import ingest
from rnnlm.errors import StoreError
from rnnlm.experiment import Source
from rnnlm.refs import CheckpointRef, TokensRef
from rnnlm.settings import Corpus, Dropout, LanguageModelTraining, Model, Tokenizer
from rnnlm.tokens import tokenize
from rnnlm.tracking.mlflow import MlflowRun, flow_run

MODEL = Model(embedding=8, hidden=12, layers=2, dropout=Dropout(input=0.2, hidden=0.2, output=0.2, weight=0.2))
TRAINING = LanguageModelTraining(
    epochs=1.0, batch_size=4, window=8, evaluations=3, save_every=0.0, precision="float32", averaging="ema"
)
SOURCE = Source(corpus=Corpus(files=["x.txt"]), language_model=TRAINING)


@pytest.fixture
def tokens(tmp_path: Path) -> TokensRef:
    generator = np.random.default_rng(1)
    folder = tmp_path / "text"
    folder.mkdir()
    for n in range(40):
        (folder / f"{n}.txt").write_text(" ".join(generator.choice(list("abcdefgh"), 30)))
    corpus = Corpus(files=[str(folder)], format="text", valid_share=0.15, test_share=0.15)
    documents = ingest(corpus, tmp_path / "documents", downloads=tmp_path)
    return tokenize(documents, Tokenizer(kind="word", vocabulary_size=20), tmp_path / "tokens")


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of all updates that were made, in order."""
    from rnnlm.training.step import LanguageModelStep

    made: list[int] = []
    run = LanguageModelStep.run

    def counted(self: LanguageModelStep, windows: Any, first: Any, seed: int, step: int, *rest: Any) -> Any:
        made.append(step)
        return run(self, windows, first, seed, step, *rest)

    monkeypatch.setattr(LanguageModelStep, "run", counted)
    return made


def pretrained(tokens: TokensRef, seed: int, retries: int = 3) -> CheckpointRef:
    from rnnlm.tasks.pretrain import pretrain

    parent = flow_run("resume", f"key-{seed}-{retries}", "resume", {})

    @flow(name="resume")
    def once() -> Any:
        step = pretrain.with_options(retry_delay_seconds=0, retries=retries)
        return step(source=SOURCE, model=MODEL, tokens=tokens, seed=seed, tracker=MlflowRun(parent))

    found: Any = once()
    assert isinstance(found, CheckpointRef)
    return found


def fail_at(monkeypatch: pytest.MonkeyPatch, save: int, error: BaseException) -> None:
    """Let the n-th save of a state fail, once."""
    from rnnlm.training.state import StateFolder

    saves = 0
    write = StateFolder.save

    def failing(self: StateFolder, *arguments: Any) -> Any:
        nonlocal saves
        saves += 1
        if saves == save:
            raise error
        return write(self, *arguments)

    monkeypatch.setattr(StateFolder, "save", failing)


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_a_retry_of_the_task_goes_on_where_the_training_was(
    tokens: TokensRef, updates: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = updates
    undisturbed = pretrained(tokens, seed=1)
    steps = len(made)
    assert made == list(range(steps))
    made.clear()
    # The same training in another workplace, where nothing is cached.
    monkeypatch.setenv("RNNLM_HOME", str(tmp_path / "other"))
    fail_at(monkeypatch, 6, StoreError("the disk did not answer"))
    with temporary_settings({PREFECT_TASKS_REFRESH_CACHE: True}):
        retried = pretrained(tokens, seed=1)
    # The sixth step was made but not saved: it alone is made twice.
    assert made == [*range(6), *range(5, steps)]
    assert retried.sha256 == undisturbed.sha256
    history = (retried.path / "history.json").read_text()
    assert history == (undisturbed.path / "history.json").read_text()


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_what_was_interrupted_is_resumed_by_the_next_run(
    tokens: TokensRef, updates: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C and Prefect's cancelling both raise what is no Exception, in the middle of a step."""
    made = updates
    fail_at(monkeypatch, 4, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        pretrained(tokens, seed=2)
    assert made == [0, 1, 2, 3]
    made.clear()
    pretrained(tokens, seed=2)
    assert made[0] == 3
