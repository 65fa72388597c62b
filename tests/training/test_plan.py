import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.errors import TrainingError
from rnnlm.settings import LanguageModelTraining
from rnnlm.tokens import Text, Vocabulary
from rnnlm.training.plan import Phase, Plan, Step

BOS = 2
VOCABULARY = Vocabulary(250, eos=3, unk=1, bos=BOS)


def documents(lengths: list[int]) -> Text:
    """Documents whose tokens tell their place: no two are the same, but for the <bos> that each begins with."""
    ids = np.arange(10, 10 + sum(lengths), dtype=np.uint16)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    ids[offsets[:-1]] = BOS
    zeros = np.zeros(len(lengths), np.int64)
    return Text(
        vocabulary=VOCABULARY,
        ids=ids,
        offsets=offsets,
        labels=zeros.astype(np.int16),
        n_characters=zeros,
        n_bytes=zeros,
        n_words=zeros,
        document_ids=np.array([str(n) for n in range(len(lengths))], object),
    )


TEXT = documents([7, 30, 2, 19, 40, 5, 61, 16])
RUNNING = dataclasses.replace(TEXT, vocabulary=dataclasses.replace(VOCABULARY, bos=None))


def training(**changes: object) -> LanguageModelTraining:
    return LanguageModelTraining.model_validate({"batch_size": 3, "window": 5, "epochs": 2.0, **changes})


def plan(settings: LanguageModelTraining, seed: int = 1) -> Plan:
    return Plan.of(len(TEXT.ids), settings, seed)


def read(plan: Plan, phase: Phase, taken: int | None = None, text: Text = TEXT) -> list[Step]:
    return list(plan.read(phase, text, phase.first_step if taken is None else taken))


def assert_same(steps: list[Step], others: list[Step]) -> None:
    assert len(steps) == len(others)
    for step, other in zip(steps, others, strict=True):
        assert (step.first, step.where) == (other.first, other.where)
        for window, same in zip(step.windows, other.windows, strict=True):
            for name in ("tokens", "targets", "weights", "keep"):
                np.testing.assert_array_equal(getattr(window, name), getattr(same, name))


recipes = st.builds(
    training,
    epochs=st.sampled_from([0.1, 0.5, 1.0, 1.3, 3.0]),
    extend=st.lists(st.sampled_from([0.4, 1.0, 2.0]), max_size=2),
    batch_size=st.integers(1, 5),
    window=st.integers(2, 30),
    vary_window=st.booleans(),
    accumulate=st.integers(1, 5),
)


@given(settings=recipes, seed=st.integers(0, 5), running=st.booleans(), data=st.data())
def test_a_phase_that_is_taken_up_anywhere_reads_what_was_left_of_it(
    settings: LanguageModelTraining, seed: int, running: bool, data: st.DataObject
) -> None:
    text = RUNNING if running else TEXT
    whole = plan(settings, seed)
    for phase in whole.phases:
        steps = read(whole, phase, text=text)
        assert len(steps) == phase.steps
        taken = data.draw(st.integers(0, phase.steps))
        assert_same(read(whole, phase, phase.first_step + taken, text), steps[taken:])
    assert whole.steps == sum(phase.steps for phase in whole.phases)


@given(settings=recipes, seed=st.integers(0, 5))
def test_the_steps_of_all_phases_follow_each_other_and_epochs_are_counted_on(
    settings: LanguageModelTraining, seed: int
) -> None:
    phases = plan(settings, seed).phases
    assert [len(phase.lengths) for phase in phases] == [
        int(np.ceil(epochs)) for epochs in (settings.epochs, *settings.extend)
    ]
    for before, after in pairwise(phases):
        assert after.first_step == before.end
        assert after.first_epoch == before.first_epoch + len(before.lengths)


@given(settings=recipes, seed=st.integers(0, 5))
def test_what_is_added_later_changes_nothing_before_it(settings: LanguageModelTraining, seed: int) -> None:
    whole, first = plan(settings, seed), plan(settings.model_copy(update={"extend": []}), seed)
    assert (whole.phases[0].steps, whole.phases[0].first_epoch) == (first.phases[0].steps, first.phases[0].first_epoch)
    assert_same(read(whole, whole.phases[0]), read(first, first.phases[0]))
    for step in range(first.steps):
        assert whole.rate(whole.phases[0], step) == first.rate(first.phases[0], step)


@given(accumulate=st.integers(1, 6), vary=st.booleans())
def test_windows_are_gathered_across_epochs_and_none_is_lost(accumulate: int, vary: bool) -> None:
    """Whether gathered or one by one: the same windows in the same order; the last step takes what is left."""
    one = plan(training(epochs=3.0, vary_window=vary))
    some = plan(training(epochs=3.0, vary_window=vary, accumulate=accumulate))
    alone, gathered = read(one, one.phases[0]), read(some, some.phases[0])
    assert [len(step.windows) for step in gathered[:-1]] == [accumulate] * (len(gathered) - 1)
    assert 1 <= len(gathered[-1].windows) <= accumulate
    assert [first for step in gathered for first in step.first] == [step.first[0] for step in alone]
    assert [step.where for step in gathered] == [step.where for step in alone][::accumulate]
    for window, other in zip([window for step in gathered for window in step.windows], alone, strict=True):
        np.testing.assert_array_equal(window.tokens, other.windows[0].tokens)


def test_a_step_says_where_it_reads_and_an_epoch_says_where_it_begins() -> None:
    whole = plan(training(epochs=2.0))
    windows = len(whole.phases[0].lengths[0])
    steps = read(whole, whole.phases[0])
    assert [step.first for step in steps] == [[n % windows == 0] for n in range(2 * windows)]
    assert steps[0].where == "window 1 of epoch 1"
    assert steps[windows + 1].where == "window 2 of epoch 2"


def test_each_epoch_has_its_order_and_running_text_keeps_its_own() -> None:
    whole = plan(training(epochs=2.0))
    windows = len(whole.phases[0].lengths[0])

    def epochs(text: Text) -> list[list[int]]:
        tokens = [step.windows[0].tokens for step in read(whole, whole.phases[0], text=text)]
        return [np.concatenate(part).ravel().tolist() for part in (tokens[:windows], tokens[windows:])]

    first, second = epochs(TEXT)
    assert first != second
    assert sorted(set(first)) == sorted(set(second))
    first, second = epochs(RUNNING)
    assert first == second


def test_another_seed_gives_another_order_and_other_lengths() -> None:
    one, other = (plan(training(epochs=3.0, vary_window=True), seed) for seed in (1, 2))
    assert [list(lengths) for lengths in one.phases[0].lengths] != [
        list(lengths) for lengths in other.phases[0].lengths
    ]
    with pytest.raises(AssertionError):
        assert_same(read(one, one.phases[0])[:1], read(other, other.phases[0])[:1])


def test_an_extension_has_a_schedule_and_evaluations_of_its_own() -> None:
    settings = training(epochs=2.0, extend=[1.0], evaluations=2)
    whole = plan(settings)
    first, added = whole.phases
    assert whole.rate(added, added.first_step) == whole.rate(first, 0) == pytest.approx(settings.learning_rate / 25)
    assert whole.evaluations(first) == {first.steps // 2, first.end}
    assert whole.evaluations(added) == {first.end + round(added.steps / 2), added.end}


@pytest.mark.parametrize("tokens", [0, 1, 3])
def test_too_little_text_for_a_step_of_each_row_is_refused(tokens: int) -> None:
    with pytest.raises(TrainingError, match=rf"{tokens} training tokens are too few for 3 rows.*batch_size"):
        Plan.of(tokens, training(), 1)
    assert Plan.of(4, training(epochs=1.0), 1).steps == 1
