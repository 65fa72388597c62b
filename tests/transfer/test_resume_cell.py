"""A stopped cell with several tries goes on to the same bits; run as a program, this file is a cell that is killed."""

import json
import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rnnlm.corpus import ingest
from rnnlm.experiment import Validation
from rnnlm.refs import TokensRef
from rnnlm.settings import ClassifierTraining, Corpus, FineTuning, LanguageModelTraining, Model, Tokenizer, Trainable
from rnnlm.tokens import tokenize
from rnnlm.training import hooks, target_model
from rnnlm.training.progress import Progress, Report, silent
from rnnlm.training.state import StateFolder
from rnnlm.training.target_model import _Step
from rnnlm.transfer.cell import Fitted
from rnnlm.transfer.fit_target import fit_target_model
from rnnlm.transfer.target_fit import BesideText, TargetFit

MODEL = Model(embedding=6, hidden=6)
READING = LanguageModelTraining(epochs=1, batch_size=2, window=8, precision="float32")
TRAINING = ClassifierTraining(
    epochs=1,
    min_steps=6,
    evaluations=2,
    batch_size=8,
    learning_rates=[0.01, 0.02],
    fine_tuning=[FineTuning(), FineTuning(average=True)],
    precision="float32",
)


class Stop(BaseException):
    """Stops a training as a signal does."""


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> TokensRef:
    folder = tmp_path_factory.mktemp("cell")
    lines = [f"the film is {'good' if n % 2 else 'bad'} {n},{n % 2}" for n in range(80)]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    corpus = Corpus(files=[str(folder / "reviews.csv")], label="label", valid_share=0.2, test_share=0.2)
    documents = ingest(corpus, folder / "documents", downloads=folder)
    return tokenize(documents, Tokenizer(vocabulary_size=40), folder / "tokens")


@pytest.fixture(scope="module")
def start(tokens: TokensRef, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start") / "model"
    training = TRAINING.model_copy(update={"learning_rates": [0.01], "fine_tuning": [FineTuning()]})
    fit_target_model(TargetFit(MODEL, tokens, training, 9), folder)
    return folder


def cell(
    tokens: TokensRef,
    folder: Path,
    states: Path | None = None,
    report: Report = silent,
    start: Path | None = None,
    trainable: Trainable = "all",
    **changes: Any,
) -> Fitted:
    arguments: dict[str, Any] = {
        "labels": 30,
        "seed": 3,
        "training": TRAINING,
        "settings": MODEL,
        "tokens": tokens,
    } | changes
    return fit_target_model(TargetFit(start=start, trainable=trainable, **arguments), folder, report, states)


@pytest.fixture(autouse=True)
def a_save_after_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes."""
    monkeypatch.setattr(target_model, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(hooks, "SAVING_SHARE", math.inf)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps that were made, from 0 in each try."""
    steps: list[int] = []
    call = _Step.__call__

    def counted(self: _Step, inputs: Any, labels: Any, seed: Any, *rest: Any) -> Any:
        steps.append(int(seed[1]))
        return call(self, inputs, labels, seed, *rest)

    monkeypatch.setattr(_Step, "__call__", counted)
    return steps


@pytest.mark.parametrize("trainable", ["all", "maps"])
def test_a_finished_try_is_not_trained_again(
    trainable: Trainable, tokens: TokensRef, start: Path, tmp_path: Path, made: list[int]
) -> None:
    expected = cell(tokens, tmp_path / "expected", start=start, trainable=trainable)
    steps = len(made) // 4
    assert made == [*range(steps)] * 4
    made.clear()

    def stop(progress: Progress) -> None:
        if progress.step == 2 * steps + 3:  # in the third try
            raise Stop

    with pytest.raises(Stop):
        cell(tokens, tmp_path / "cell", tmp_path / "states", stop, start, trainable)
    made.clear()
    fitted = cell(tokens, tmp_path / "cell", tmp_path / "states", silent, start, trainable)
    # The third step was not saved.
    assert made == [*range(2, steps), *range(steps)]
    assert (fitted.sha256, fitted.metrics) == (expected.sha256, expected.metrics)
    for name in ("history.json", "metrics.json"):
        assert (tmp_path / "cell" / name).read_text() == (tmp_path / "expected" / name).read_text()
    # Until the result is recorded the cell costs nothing to fit once more; then the states are removed.
    made.clear()
    assert cell(tokens, tmp_path / "cell", tmp_path / "states", silent, start, trainable).sha256 == expected.sha256
    assert not made
    fitted.forget()
    assert not list((tmp_path / "states").iterdir())


def test_a_finished_fold_is_not_trained_again(tokens: TokensRef, start: Path, tmp_path: Path, made: list[int]) -> None:
    """Each fold takes up its own state, though all folds have as many documents."""
    training = TRAINING.model_copy(update={"learning_rates": [0.01], "fine_tuning": [FineTuning()]})
    crossed: dict[str, Any] = {
        "validation": Validation(way="cross-validation", documents=30),
        "training": training,
        "start": start,
    }
    expected = cell(tokens, tmp_path / "expected", **crossed)
    steps, last = 6, 8  # of three and four batches an epoch
    assert made == [*range(steps)] * 5 + [*range(last)]

    def stop(progress: Progress) -> None:
        if progress.step == 3 * steps + 3:  # in the fourth fold
            raise Stop

    with pytest.raises(Stop):
        cell(tokens, tmp_path / "cell", tmp_path / "states", stop, **crossed)
    made.clear()
    curve: list[int] = []
    fitted = cell(tokens, tmp_path / "cell", tmp_path / "states", lambda one: curve.append(one.step), **crossed)
    assert made == [*range(2, steps), *range(steps), *range(last)]
    assert (fitted.sha256, fitted.metrics) == (expected.sha256, expected.metrics)
    assert curve == sorted(curve)
    assert curve[-1] == 5 * steps + last
    fitted.forget()
    assert not list((tmp_path / "states").iterdir())


def test_a_state_belongs_to_all_that_the_result_depends_on(
    tokens: TokensRef, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is changed, another training's state is not taken up."""
    identities: dict[str, str] = {}

    def seen(name: str, **changes: Any) -> None:
        def record(*_: Any, states: StateFolder, **__: Any) -> Any:
            identities[name] = states.identity
            raise Stop

        monkeypatch.setattr("rnnlm.transfer.fit_target.train_target_model", record)
        with pytest.raises(Stop):
            cell(changes.pop("tokens", tokens), tmp_path / name, tmp_path / "states", **changes)

    def training(**changes: Any) -> ClassifierTraining:
        return TRAINING.model_copy(update=changes)

    other = tokenize_again(tokens, tmp_path)
    ewc = training(fine_tuning=[FineTuning(stay_near=0.5, importance="fisher")])
    seen("plain")
    seen("labels", labels=20)
    seen("all labels", labels=None)
    seen("seed", seed=4)
    seen("rate", training=training(learning_rates=[0.03, 0.01]))
    seen("dropout", training=training(dropout=0.3))
    seen("width", settings=MODEL.model_copy(update={"hidden": 7}))
    seen("tokens", tokens=other)
    seen("start", start=start)
    seen("held out", validation=Validation(way="held out", documents=5))
    seen("crossed", validation=Validation(way="cross-validation", documents=30))
    seen("maps", start=start, trainable="maps")
    seen("way", start=start, training=training(fine_tuning=[FineTuning(stay_near=0.5)]))
    seen("importance", start=start, training=ewc, known_text=tokens)
    seen("importance to another text", start=start, training=ewc, known_text=other)
    seen("word map", start=start, word_map="pieces")
    seen("beside", beside=BesideText(tokens, READING))
    seen("beside another", beside=BesideText(other, READING))
    seen("beside slowly", beside=BesideText(tokens, READING.model_copy(update={"learning_rate": 1e-4})))
    assert len(set(identities.values())) == len(identities)
    before = dict(identities)
    seen("more rates to come", training=training(learning_rates=[0.01, 0.5]))
    assert identities["more rates to come"] == before["plain"]


def tokenize_again(tokens: TokensRef, folder: Path) -> TokensRef:
    """Return other tokens over the same vocabulary."""
    lines = [f"the film is {'good' if n % 3 else 'bad'} {n},{n % 2}" for n in range(90)]
    (folder / "other.csv").write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    corpus = Corpus(files=[str(folder / "other.csv")], label="label", valid_share=0.2, test_share=0.2)
    return tokenize(ingest(corpus, folder / "other", downloads=folder), tokens.tokenizer, folder / "other tokens")


@pytest.mark.slow
def test_killed_in_its_second_try_a_cell_goes_on_there(tokens: TokensRef, tmp_path: Path, made: list[int]) -> None:
    expected = cell(tokens, tmp_path / "expected")
    steps = len(made) // 4
    command = [sys.executable, __file__, tokens.model_dump_json(), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) > steps + 2:
                process.send_signal(signal.SIGKILL)
                break
        process.stdout.read()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "cell").exists()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["sha256"], result["metrics"]) == (expected.sha256, expected.metrics)
    assert 2 * steps < result["made"] <= 3 * steps - 2


def _main(tokens: TokensRef, folder: Path) -> None:
    target_model.SAVE_EVERY, hooks.SAVING_SHARE = 0.0, math.inf
    made: list[int] = []
    call = _Step.__call__

    def counted(self: _Step, *arguments: Any) -> Any:
        made.append(1)
        return call(self, *arguments)

    _Step.__call__ = counted  # type: ignore[method-assign,assignment]
    fitted = cell(tokens, folder / "cell", folder / "states", lambda progress: print(progress.step, flush=True))
    result = {"sha256": fitted.sha256, "metrics": fitted.metrics, "made": len(made)}
    (folder / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    _main(TokensRef.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
