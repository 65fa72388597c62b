"""What the comparison says without test documents that share passages with what the models have read."""

from collections.abc import Sequence, Set

import pyarrow.parquet as pq

from rnnlm.checksums import checked
from rnnlm.corpus.passages import LENGTH, TRIFLE
from rnnlm.evaluation.comparison import Rules, gains, ways
from rnnlm.evaluation.predictions import PREDICTIONS, predictions_of
from rnnlm.evaluation.verdict import Gain, SharedPassages
from rnnlm.refs import PassagesRef, ScoreRef
from rnnlm.targets import measure_of


def without_shared_passages(passages: PassagesRef, scores: Sequence[ScoreRef], rules: Rules) -> SharedPassages:
    """Compare without the test documents that share passages with what the models read.

    Args:
        passages: Those documents.
        scores: All cells.
        rules: How gains are judged.
    """
    both = set(pq.read_table(checked(passages.file), columns=["id"])["id"].to_pylist())
    rest = [predictions_of(score, leave_out=both) for score in scores if both and _is_left(score, both)]
    return SharedPassages(source=passages.source, target=passages.target, gains=gains(rest, rules=rules))


def _is_left(score: ScoreRef, leave_out: Set[str]) -> bool:
    """Return whether a cell was scored on other documents than these."""
    ids = pq.read_table(checked(score.path / PREDICTIONS), columns=["id"])["id"].to_pylist()
    return not leave_out >= set(ids)


def shared_sentence(shared: SharedPassages, found: Sequence[Gain], test: int) -> tuple[str, bool]:
    """Say how many test documents share passages, and what is different without them.

    Args:
        shared: The documents, and the gains without them.
        found: The gains with them.
        test: Number of test documents.

    Returns:
        The sentence, empty if there are none; and whether it has to come before all others: if an outcome changes, or
        more than one in a hundred share passages with the source's text.
    """
    texts = ((shared.source, "the source's text"), (shared.target, "the target's own training or validation text"))
    parts = [(number, text) for number, text in texts if number]
    if not parts:
        return "", False
    without = {(gain.task, gain.arm, gain.labels): gain for gain in shared.gains}
    pairs = [(gain, without.get((gain.task, gain.arm, gain.labels))) for gain in found]
    changed = [_change(gain, other) for gain, other in pairs if other is None or other.outcome != gain.outcome]
    (number, text), *more = parts
    said = (
        f"{number:,} of the target's {test:,} test documents {'shares' if number == 1 else 'share'} {LENGTH} words in "
        f"a row with {text}{''.join(f', {n:,} with {other}' for n, other in more)}."
    )
    if changed:
        said += f" Without them, outcomes change: {'; '.join(changed)}."
    elif moved := _most_moved(pairs):
        said += f" Without them, every outcome is the same; the gains change by at most {moved}."
    return said, bool(changed) or shared.source > TRIFLE * test


def _change(gain: Gain, other: Gain | None) -> str:
    """Say how a gain is different without some documents."""
    name = ways([(gain.arm, gain.labels)])
    if other is None:
        return f"nothing is left of {name}"
    if other.outcome == "no claim":
        return f"no claim is made about {name}, because too few documents are left"
    measure = measure_of(gain.task)
    without, before = measure.numbers(other.gain.value, gain.gain.value)
    return f"{name} is {other.outcome} ({without}), not {gain.outcome} ({before} {measure.unit}".rstrip() + ")"


def _most_moved(pairs: Sequence[tuple[Gain, Gain | None]]) -> str:
    """Return by how much the gains of the target task change at most, or of language models if there are no others."""
    moved = {
        (gain.task != "language_model", abs(other.gain.value - gain.gain.value), gain.task)
        for gain, other in pairs
        if other
    }
    if not moved:
        return ""
    _, most, task = max(moved)
    measure = measure_of(task)
    (amount,) = measure.numbers(most, plus=False)
    return f"{amount} {measure.unit or 'of ' + measure.words}"
