"""A classifier's training that is stopped goes on to the same bits; run as a program, it is the one that is killed."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnlm.evaluation.verdict import Point
from rnnlm.model.checkpoint import Weights, get_weights, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.model.target_model import TargetModel
from rnnlm.settings import ClassifierTraining, Dropout, FineTuning, LanguageModelTraining, Maps, Model
from rnnlm.tokens import Text, Vocabulary
from rnnlm.training import hooks, target_model
from rnnlm.training.beside import Beside
from rnnlm.training.progress import Progress, Report, silent
from rnnlm.training.state import StateFolder, TrainingState
from rnnlm.training.target_model import TrainedPart, _Step, reusable_target_model, train_target_model

SIZE = 14
VOCABULARY = Vocabulary(SIZE, eos=3, unk=1, bos=2)
MODEL = Model(embedding=6, hidden=8, layers=2, dropout=Dropout(input=0.2, hidden=0.2, output=0.2, weight=0.3))
TRAINING = ClassifierTraining(
    epochs=3,
    min_steps=1,
    batch_size=8,
    evaluations=4,
    class_weights="balanced",
    maps=Maps(kind="multiplicative", rank=2),
    precision="float32",
)
# Its text is read with an odd number of windows to each of the classifier's steps.
READING = LanguageModelTraining(epochs=1.5, batch_size=2, window=8, vary_window=True, precision="float32")
# Everything that a state has to hold: slots, frozen layers that thaw, starts and their importance, maps, another model.
KINDS: dict[str, tuple[TrainedPart, FineTuning]] = {
    "all": ("all", FineTuning(unfreezing="gradual", layer_factor=2.0, stay_near=0.5)),
    "maps": ("maps", FineTuning()),
    "beside": ("all", FineTuning()),
}


def documents(count: int, seed: int) -> Text:
    """Documents whose class is told by which half of the words they have, mostly."""
    generator = np.random.default_rng(seed)
    texts, labels = [], generator.integers(0, 2, count)
    for label in labels:
        words = generator.integers(4, 9, generator.integers(3, 12)) + 5 * label
        texts.append([2, *np.where(generator.random(len(words)) < 0.8, words, 4).tolist(), 3])
    text = Text.of(["a"] * count, texts, VOCABULARY)
    return Text(**(vars(text) | {"labels": labels.astype(np.int16)}))


TRAIN, VALID = documents(61, 1), documents(30, 2)
SOFTMAX = get_weights(LanguageModel(MODEL, SIZE, 9, TRAIN.counts()))


class Stop(BaseException):
    """Stops a training as a signal does."""


def train(kind: str, folder: Path | None = None, report: Report = silent) -> tuple[Weights, list[Point]]:
    """Train from the same weights, in a model that others have used before."""
    trainable, fine_tuning = KINDS[kind]
    model = reusable_target_model(MODEL, ClassifierTraining, TRAINING.model_dump_json(), SIZE, 2)
    set_weights(model, get_weights(TargetModel(MODEL, TRAINING, SIZE, 2, 5)))
    importance = {name: np.abs(w) for name, w in get_weights(model).items() if name.startswith("lstm")}
    points = train_target_model(
        model,
        TRAIN,
        VALID,
        0.02,
        trainable=trainable,
        seed=7,
        fine_tuning=fine_tuning,
        importance=importance if kind == "all" else None,
        beside=Beside(model, SOFTMAX, TRAIN, READING, seed=7) if kind == "beside" else None,
        report=report,
        states=StateFolder(folder, f"tiny {kind}") if folder is not None else None,
    ).points
    return get_weights(model), points


def repeatable(progress: Progress) -> dict[str, Any]:
    """The fields of a report that do not depend on the clock."""
    plain = progress.to_json()
    names = ("step", "steps", "unit", "train_loss", "learning_rate", "gradient_norm", "clipped", "metrics")
    return {name: plain[name] for name in names}


def assert_same(got: tuple[Weights, list[Point]], expected: tuple[Weights, list[Point]]) -> None:
    assert got[1] == expected[1]
    assert got[0].keys() == expected[0].keys()
    for name, value in expected[0].items():
        np.testing.assert_array_equal(got[0][name], value, err_msg=name)


@pytest.fixture(autouse=True)
def a_save_after_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes."""
    monkeypatch.setattr(target_model, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(hooks, "SAVING_SHARE", math.inf)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps that were trained, in their order."""
    steps: list[int] = []
    call = _Step.__call__

    def counted(self: _Step, inputs: Any, labels: Any, seed: Any, *rest: Any) -> Any:
        result = call(self, inputs, labels, seed, *rest)
        steps.append(int(seed[1]) + 1)
        return result

    monkeypatch.setattr(_Step, "__call__", counted)
    return steps


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_is_stopped_again_and_again_ends_with_the_same_bits(
    kind: str, tmp_path: Path, trained: list[int]
) -> None:
    seen: list[Progress] = []
    expected = train(kind, report=seen.append)
    total = seen[-1].steps
    assert trained == list(range(1, total + 1))
    # In the first epoch, at the end of an epoch, in the last one.
    stops = (3, total // 3, total - 1)
    for where in stops:

        def stop(progress: Progress, where: int = where) -> None:
            if progress.step == where:
                raise Stop

        with pytest.raises(Stop):
            train(kind, tmp_path, stop)
        train("maps" if kind != "maps" else "all")  # the model and its compiled update are used by others meanwhile
    trained.clear()
    again: list[Progress] = []
    assert_same(train(kind, tmp_path, again.append), expected)
    assert trained == [total - 1, total]  # a stop costs the step that was not saved, no more
    # What was reported before the stop comes once more, and nothing comes twice.
    assert [repeatable(p) for p in again] == [repeatable(p) for p in seen]


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_training_ends_at_once(kind: str, tmp_path: Path, trained: list[int]) -> None:
    expected = train(kind, tmp_path)
    trained.clear()
    assert_same(train(kind, tmp_path), expected)
    assert not trained


def test_states_are_removed_when_nobody_needs_them(tmp_path: Path) -> None:
    folder = tmp_path / "states"
    train("maps", folder)
    (folder / "state of another").touch()
    StateFolder(folder, "tiny maps").remove()
    assert [path.name for path in folder.iterdir()] == ["state of another"]
    (folder / "state of another").unlink()
    StateFolder(folder, "tiny maps").remove()
    assert not folder.exists()
    StateFolder(folder, "tiny maps").remove()


def _interrupt(number: int, frame: object) -> None:
    from prefect.exceptions import TerminationSignal

    raise TerminationSignal(signal=number)


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_cancelled_training_stops_within_two_steps(tmp_path: Path, trained: list[int]) -> None:
    """Prefect turns SIGTERM into an exception in the main thread, wherever that is."""
    from prefect.exceptions import TerminationSignal

    expected = train("all")
    trained.clear()
    sent: list[int] = []

    def send() -> None:
        time.sleep(0.003)  # in the midst of a step, most likely
        sent.append(len(trained))
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=send)

    def cancel(progress: Progress) -> None:
        if progress.step == 5:
            thread.start()

    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with pytest.raises(TerminationSignal):
            train("all", tmp_path, cancel)
    finally:
        signal.signal(signal.SIGTERM, before)
        thread.join()
    assert len(trained) - sent[0] <= 2
    assert not [t for t in threading.enumerate() if t.name == "prefetch"]
    stopped = len(trained)
    assert_same(train("all", tmp_path), expected)
    assert trained[stopped] >= 4  # it went on


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_moment_it_ends_with_the_same_bits(kind: str, tmp_path: Path) -> None:
    seen: list[Progress] = []
    weights, points = train(kind, report=seen.append)
    moments = random.Random(f"{kind} 1")
    steps = seen[-1].steps
    # How it is killed: by itself where a save is half done, or from outside soon after a step.
    for how in ("in save 2", f"after {steps // 2}"):
        command = [sys.executable, __file__, kind, str(tmp_path / "states"), str(tmp_path / "out"), how]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if how.startswith("after") and int(line) >= int(how.split()[1]):
                    time.sleep(moments.uniform(0.0, 0.05))
                    process.send_signal(signal.SIGKILL)
                    break
            process.stdout.read()
        assert process.returncode == -signal.SIGKILL, how
        assert not (tmp_path / "out").exists()
    command = [sys.executable, __file__, kind, str(tmp_path / "states"), str(tmp_path / "out"), "never"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out").read_text())
    assert result["points"] == [point.model_dump() for point in points]
    assert result["reports"] == [repeatable(progress) for progress in seen]
    assert result["weights"] == _digests(weights)
    assert result["first"] > 1  # it went on


def _digests(weights: Weights) -> dict[str, str]:
    return {name: value.tobytes().hex() for name, value in weights.items()}


def _kill_in(count: int) -> Any:
    """Return a `StateFolder._write` that kills this process in the midst of it, the `count`-th time."""
    write, writes = StateFolder._write, [0]

    def counted(self: StateFolder, number: int, state: TrainingState) -> None:
        writes[0] += 1
        if writes[0] == count:
            os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)
        write(self, number, state)

    return counted


def _main(kind: str, states: Path, out: Path, how: str) -> None:
    target_model.SAVE_EVERY, hooks.SAVING_SHARE = 0.0, math.inf
    if how.startswith("in "):
        StateFolder._write = _kill_in(int(how.split()[2]))  # type: ignore[method-assign]
    seen: list[Progress] = []
    made: list[int] = []
    call = _Step.__call__

    def counted(self: _Step, inputs: Any, labels: Any, seed: Any, *rest: Any) -> Any:
        made.append(int(seed[1]) + 1)
        return call(self, inputs, labels, seed, *rest)

    _Step.__call__ = counted  # type: ignore[method-assign,assignment]

    def report(progress: Progress) -> None:
        seen.append(progress)
        print(progress.step, flush=True)

    weights, points = train(kind, states, report)
    result = {
        "points": [point.model_dump() for point in points],
        "reports": [repeatable(progress) for progress in seen],
        "weights": _digests(weights),
        "first": made[0],
    }
    out.write_text(json.dumps(result))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
