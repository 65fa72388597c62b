"""A training that is stopped goes on to the same bits; run as a program, this file is the training that is killed."""

import gc
import itertools
import json
import logging
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rnnlm.errors import StoreError
from rnnlm.evaluation.verdict import Point
from rnnlm.model.checkpoint import Weights, get_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.settings import Dropout, LanguageModelTraining, Model
from rnnlm.tokens import Text, Vocabulary
from rnnlm.training import hooks
from rnnlm.training.language_model import train_language_model
from rnnlm.training.progress import Progress, Report, silent
from rnnlm.training.state import StateFolder, TrainingState
from rnnlm.training.step import LanguageModelStep

BOS, EOS, SIZE = 2, 3, 14
VOCABULARY = Vocabulary(SIZE, EOS, unk=1, bos=BOS)
MODEL = Model(
    embedding=8,
    hidden=12,
    layers=2,
    dropout=Dropout(input=0.2, hidden=0.2, output=0.2, embedding=0.1, weight=0.3),
)
# Every regulariser, several epochs, a part of one, an odd number of windows: nothing that a state has to hold is idle.
EMA = LanguageModelTraining(
    epochs=2.5,
    batch_size=4,
    accumulate=2,
    window=8,
    vary_window=True,
    learning_rate=0.03,
    activation_penalty=2.0,
    temporal_penalty=1.0,
    averaging="ema",
    ema_decay=0.9,
    evaluations=5,
    precision="float32",
    save_every=0.0,
)
# A rate so high that validation soon gets worse, so that averaging begins in the middle.
NT_ASGD = EMA.model_copy(
    update={
        "averaging": "nt_asgd",
        "optimizer": "sgd",
        "schedule": "constant",
        "learning_rate": 3.0,
        "trigger_after": 1,
        "evaluations": 12,
    }
)
SETTINGS = {"ema": EMA, "nt_asgd": NT_ASGD}
# One length of windows and one graph, which is traced soon, where the point is another.
SIMPLE = EMA.model_copy(update={"vary_window": False, "accumulate": 1, "epochs": 1.0})


def documents(count: int, seed: int) -> Text:
    """A language in which each word has one follower, three times in four."""
    generator = np.random.default_rng(seed)
    texts = []
    for _ in range(count):
        word, text = int(generator.integers(10)), [BOS]
        for _ in range(generator.integers(3, 9)):
            text.append(4 + word)
            word = (word + (2 if generator.random() < 0.75 else 5)) % 10
        texts.append([*text, EOS])
    lengths = np.array([len(text) for text in texts])
    return Text(
        vocabulary=VOCABULARY,
        ids=np.array([token for text in texts for token in text], np.uint8),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        labels=np.zeros(count, np.int16),
        n_characters=4 * lengths,
        n_bytes=4 * lengths,
        n_words=lengths,
        document_ids=np.array([str(n) for n in range(count)], object),
    )


TRAIN, VALID = documents(90, 1), documents(20, 2)


class Stop(BaseException):
    """Stops a training as a signal does."""


def train(
    settings: LanguageModelTraining, folder: Path | None = None, report: Report = silent
) -> tuple[Weights, list[Point]]:
    """Train a fresh model, as a new process would."""
    model = LanguageModel(MODEL, SIZE, 1, TRAIN.counts())
    states = (lambda extend: StateFolder(folder, f"tiny {extend}")) if folder is not None else None
    found = train_language_model(model, TRAIN, VALID, settings, seed=5, report=report, states=states)
    return get_weights(model), found.points


def repeatable(progress: Progress) -> dict[str, Any]:
    """The fields of a report that do not depend on the clock."""
    plain = progress.to_json()
    return {name: plain[name] for name in ("step", "steps", "unit", "train_loss", "learning_rate")} | {
        name: plain[name] for name in ("gradient_norm", "clipped", "metrics")
    }


def assert_same(got: tuple[Weights, list[Point]], expected: tuple[Weights, list[Point]]) -> None:
    assert got[1] == expected[1]
    assert got[0].keys() == expected[0].keys()
    for name, value in expected[0].items():
        np.testing.assert_array_equal(got[0][name], value, err_msg=name)


@pytest.fixture(autouse=True)
def a_save_after_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes."""
    monkeypatch.setattr(hooks, "SAVING_SHARE", math.inf)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps that were trained, in their order."""
    steps: list[int] = []
    run = LanguageModelStep.run

    def counted(self: LanguageModelStep, windows: Any, first: Any, seed: int, step: int, *rest: float) -> Any:
        result = run(self, windows, first, seed, step, *rest)
        steps.append(step + 1)
        return result

    monkeypatch.setattr(LanguageModelStep, "run", counted)
    return steps


@pytest.mark.parametrize("kind", ["ema", "nt_asgd"])
def test_a_training_stopped_again_and_again_ends_with_the_same_bits(
    kind: str, tmp_path: Path, trained: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    # It trains six times with `ema`: with one length of windows, six graphs are traced, and not 24.
    settings = SETTINGS[kind].model_copy(update={"vary_window": kind == "nt_asgd"})
    seen: list[Progress] = []
    expected = train(settings, report=seen.append)
    total = seen[-1].steps
    assert total > 20
    assert trained == list(range(1, total + 1))
    if kind == "nt_asgd":  # else the test would show nothing of it
        assert sum("averaged from here on" in record.message for record in caplog.records) == 1

    # Stopped when a step was reported but not saved; in the middle of writing a state; when all was trained but the
    # last state not written.
    half = expected[1][len(expected[1]) // 2].step
    stops = [("report", 6), ("write", half), ("write", total)] if kind == "ema" else [("report", half + 2)]
    again: list[Progress] = []
    write = StateFolder._write
    wasted = 0
    for kind_of_stop, where in stops:

        def stopped(progress: Progress, kind_of_stop: str = kind_of_stop, where: int = where) -> None:
            if kind_of_stop == "report" and progress.step == where:
                raise Stop

        def written(
            self: StateFolder,
            number: int,
            state: TrainingState,
            kind_of_stop: str = kind_of_stop,
            where: int = where,
        ) -> None:
            if kind_of_stop == "write" and state.step == where:
                (self.folder / f"state-{self._owner}-1.tmp").write_bytes(b"half")
                raise Stop
            write(self, number, state)

        monkeypatch.setattr(StateFolder, "_write", written)
        before = len(trained)
        with pytest.raises(Stop):
            train(settings, tmp_path, stopped)
        wasted += 1
        assert len(trained) > before
    monkeypatch.setattr(StateFolder, "_write", write)
    assert_same(train(settings, tmp_path, again.append), expected)
    # A stop costs the step that was not saved, no more.
    assert len(trained) <= 2 * total + wasted
    # What was reported before the stop comes once more, and nothing comes twice.
    assert [repeatable(p) for p in again] == [repeatable(p) for p in seen]


def test_a_finished_training_ends_at_once(tmp_path: Path, trained: list[int]) -> None:
    seen: list[Progress] = []
    expected = train(SIMPLE, tmp_path)
    trained.clear()
    assert_same(train(SIMPLE, tmp_path, seen.append), expected)
    assert not trained
    assert [progress.step for progress in seen if progress.metrics] == [point.step for point in expected[1]]


@pytest.mark.parametrize("kind", ["ema", "nt_asgd"])
def test_an_extended_training_trains_only_what_was_added(kind: str, tmp_path: Path, trained: list[int]) -> None:
    settings = SETTINGS[kind].model_copy(update={"epochs": 1.0, "evaluations": 3, "vary_window": False})
    longer = settings.model_copy(update={"extend": [1.0]})
    expected = train(longer)
    total = trained[-1]
    trained.clear()
    train(settings, tmp_path)
    finished = trained[-1]
    assert finished < total
    trained.clear()
    assert_same(train(longer, tmp_path), expected)
    assert trained == list(range(finished + 1, total + 1))


def test_another_extension_goes_on_from_the_same_training_and_leaves_the_first_alone(
    tmp_path: Path, trained: list[int]
) -> None:
    short = SIMPLE.model_copy(update={"epochs": 0.5, "evaluations": 1})
    longer, other = (short.model_copy(update={"extend": extend}) for extend in ([0.5], [0.3]))
    expected = {name: train(settings) for name, settings in (("short", short), ("longer", longer), ("other", other))}
    train(short, tmp_path)
    finished = trained[-1]
    # In any order, and again: nothing is trained twice, nothing that is finished is lost.
    for name, settings, first in (
        ("longer", longer, finished + 1),
        ("other", other, finished + 1),
        ("longer", longer, None),
        ("short", short, None),
        ("other", other, None),
    ):
        trained.clear()
        assert_same(train(settings, tmp_path), expected[name])
        assert (trained[0] if trained else None) == first


def test_two_processes_are_never_at_the_same_training(tmp_path: Path) -> None:
    def second(progress: Progress) -> None:
        with pytest.raises(StoreError, match="another process is at the same training"):
            train(SIMPLE, tmp_path)
        raise Stop

    with pytest.raises(Stop):
        train(SIMPLE, tmp_path, second)
    assert_same(train(SIMPLE, tmp_path), train(SIMPLE))  # who was stopped has let go


def test_an_extension_changes_nothing_where_the_first_training_was_stopped(tmp_path: Path, trained: list[int]) -> None:
    settings = SIMPLE.model_copy(update={"epochs": 1.0, "evaluations": 2})

    def stop(progress: Progress) -> None:
        if progress.step == 5:
            raise Stop

    with pytest.raises(Stop):
        train(settings, tmp_path, stop)
    longer = settings.model_copy(update={"extend": [0.5]})
    expected = train(longer)
    trained.clear()
    assert_same(train(longer, tmp_path), expected)
    assert trained[0] == 5  # step 5 was not saved


def test_a_patience_used_up_is_remembered(tmp_path: Path, trained: list[int]) -> None:
    settings = NT_ASGD.model_copy(update={"vary_window": False, "patience": 1, "averaging": "none", "extend": [0.5]})
    expected = train(settings)
    whole = list(trained)
    assert whole != list(range(1, whole[-1] + 1)), "patience was to be used up"
    last_of_first = next(a for a, b in itertools.pairwise(whole) if b != a + 1)

    def stop(progress: Progress) -> None:
        if progress.step == last_of_first:
            raise Stop

    with pytest.raises(Stop):
        train(settings, tmp_path, stop)
    trained.clear()
    assert_same(train(settings, tmp_path), expected)
    assert trained == whole[whole.index(last_of_first) :]


def test_a_damaged_newest_state_costs_a_step_and_no_bits(
    tmp_path: Path, trained: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    expected = train(SIMPLE)

    def stop(progress: Progress) -> None:
        if progress.step == 9:
            raise Stop

    with pytest.raises(Stop):
        train(SIMPLE, tmp_path, stop)
    newest = max(tmp_path.glob("state-*.safetensors"), key=lambda path: path.name.split("-")[2])
    newest.write_bytes(newest.read_bytes()[:-100])
    trained.clear()
    assert_same(train(SIMPLE, tmp_path), expected)
    assert trained[0] == 8  # step 9 was not saved, that of step 8 is damaged
    assert "damaged" in caplog.text


def test_a_state_that_cannot_be_written_stops_the_training_which_then_goes_on(
    tmp_path: Path, trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(SIMPLE)
    save = StateFolder.save

    def full(self: StateFolder, state: TrainingState) -> float:
        if state.step == 7:
            raise StoreError("the disk is full", where="here", remedy="Free some space")
        return save(self, state)

    trained.clear()
    with monkeypatch.context() as patch:
        patch.setattr(StateFolder, "save", full)
        with pytest.raises(StoreError):
            train(SIMPLE, tmp_path)
    assert trained[-1] == 7
    assert_same(train(SIMPLE, tmp_path), expected)
    assert trained[7] == 7


def test_where_a_save_takes_long_all_saves_together_cost_two_percent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock of its own: a step takes 20 seconds, a save 3. What the first one costs is not known before it."""
    clock, saves = [0.0], []
    run, save = LanguageModelStep.run, StateFolder.save

    def slow_run(*arguments: Any) -> Any:
        clock[0] += 20.0
        return run(*arguments)

    def slow_save(*arguments: Any) -> float:
        saves.append(clock[0])
        clock[0] += 3.0
        return save(*arguments)

    monkeypatch.setattr(LanguageModelStep, "run", slow_run)
    monkeypatch.setattr(StateFolder, "save", slow_save)
    monkeypatch.setattr(hooks, "SAVING_SHARE", 0.02)
    monkeypatch.setattr(hooks, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    train(SIMPLE.model_copy(update={"epochs": 3.0, "save_every": 60.0}), tmp_path)

    assert saves[0] == 60.0
    *due, last = saves
    assert last == clock[0] - 3.0  # the training's end, at any cost
    assert len(due) >= 3
    for count, at in enumerate(due[1:], start=2):
        # As soon as the share allows it, but no sooner.
        assert count * 3.0 / 0.02 <= at <= count * 3.0 / 0.02 + 40.0


def _interrupt(number: int, frame: object) -> None:
    from prefect.exceptions import TerminationSignal

    raise TerminationSignal(signal=number)


# The signal may come between the opening of a state's file and the `with` that would close it: the collector does then.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_a_cancelled_training_stops_within_two_steps(tmp_path: Path, trained: list[int]) -> None:
    """Prefect turns SIGTERM into an exception in the main thread, wherever that is."""
    from prefect.exceptions import TerminationSignal

    expected = train(SIMPLE)
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
            train(SIMPLE, tmp_path, cancel)
    finally:
        signal.signal(signal.SIGTERM, before)
        thread.join()
    gc.collect()
    assert len(trained) - sent[0] <= 2
    assert not [t for t in threading.enumerate() if t.name == "prefetch"]
    stopped = len(trained)
    assert_same(train(SIMPLE, tmp_path), expected)
    assert trained[stopped] >= 4  # it went on


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ema", "nt_asgd"])
def test_killed_at_any_moment_it_ends_with_the_same_bits(kind: str, tmp_path: Path) -> None:
    seen: list[Progress] = []
    weights, points = train(SETTINGS[kind], report=seen.append)
    moments = random.Random(f"{kind} 1")
    # How it is killed: from outside soon after a step, or by itself where a save is half done.
    steps = seen[-1].steps
    for how in ("in save 2", "in save 8", f"after {steps // 2}", f"after {steps - 3}"):
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
    done = subprocess.run(
        [sys.executable, __file__, kind, str(tmp_path / "states"), str(tmp_path / "out"), "never"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "damaged" not in done.stderr
    result = json.loads((tmp_path / "out").read_text())
    assert result["points"] == [point.model_dump() for point in points]
    assert result["reports"] == [repeatable(progress) for progress in seen]
    assert result["weights"] == _digests(weights)


def _digests(weights: Weights) -> dict[str, str]:
    return {name: value.tobytes().hex() for name, value in weights.items()}


def _kill_in(count: int) -> Callable[..., None]:
    """Return a `StateFolder._write` that kills this process in the midst of it, the `count`-th time."""
    write, writes = StateFolder._write, [0]

    def counted(self: StateFolder, number: int, state: TrainingState) -> None:
        writes[0] += 1
        if writes[0] == count:
            os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)
        write(self, number, state)

    return counted


def _main(kind: str, states: Path, out: Path, how: str) -> None:
    hooks.SAVING_SHARE = math.inf
    if how.startswith("in "):
        StateFolder._write = _kill_in(int(how.split()[2]))  # type: ignore[method-assign]
    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        seen.append(progress)
        print(progress.step, flush=True)

    weights, points = train(SETTINGS[kind], states, report)
    out.write_text(
        json.dumps(
            {
                "points": [point.model_dump() for point in points],
                "reports": [repeatable(progress) for progress in seen],
                "weights": _digests(weights),
            }
        )
    )


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
