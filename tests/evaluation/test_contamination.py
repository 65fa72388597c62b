"""What is said of test documents that share passages with what the models have read."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rnnlm.corpus import find_passages
from rnnlm.evaluation.comparison import RULES, gains
from rnnlm.evaluation.contamination import shared_sentence, without_shared_passages
from rnnlm.evaluation.predictions import PREDICTIONS, predictions_of
from rnnlm.evaluation.verdict import Gain, Interval, Outcome, SharedPassages
from rnnlm.refs import DocumentsRef, ScoreRef


def gain(value: float, outcome: Outcome, labels: int = 500, task: str = "classifier") -> Gain:
    return Gain.model_validate(
        {
            "task": task,
            "metric": "accuracy" if labels else "bits_per_character",
            "arm": "parameter",
            "labels": labels,
            "gain": Interval(value=value, low=value - 0.02, high=value + 0.02),
            "spread": 0.01,
            "seeds": 3,
            "p_value": 0.01,
            "outcome": outcome,
            "sentence": "",
        }
    )


def test_nothing_is_said_where_nothing_is_shared() -> None:
    assert shared_sentence(SharedPassages(source=0, target=0), [gain(0.04, "positive")], 1_000) == ("", False)


def test_what_changes_nothing_is_said_late_and_in_one_sentence() -> None:
    found = [gain(0.4, "positive", 0, "language_model"), gain(0.04, "positive"), gain(0.05, "positive", 2_000)]
    without = [gain(0.2, "positive", 0, "language_model"), gain(0.041, "positive"), gain(0.048, "positive", 2_000)]
    said, at_once = shared_sentence(SharedPassages(source=3, target=7, gains=without), found, 1_000)
    assert said == (
        "3 of the target's 1,000 test documents share 13 words in a row with the source's text, 7 with the target's "
        "own training or validation text. Without them, every outcome is the same; the gains change by at most 0.2 "
        "points of accuracy."
    )
    assert not at_once


def test_many_documents_or_another_outcome_come_first() -> None:
    same = [gain(0.04, "positive")]
    assert shared_sentence(SharedPassages(source=11, target=0, gains=same), same, 1_000)[1]
    said, at_once = shared_sentence(SharedPassages(source=0, target=2, gains=[gain(0.012, "open")]), same, 1_000)
    assert said.endswith(
        "Without them, outcomes change: parameter transfer with 500 labels is open (+1.2), not positive (+4.0 points "
        "of accuracy)."
    )
    assert at_once
    assert shared_sentence(SharedPassages(source=0, target=1, gains=same), same, 1_000)[0].startswith(
        "1 of the target's 1,000 test documents shares 13 words in a row with the target's own training or validation "
        "text."
    )
    assert "nothing is left of" in shared_sentence(SharedPassages(source=0, target=2), same, 1_000)[0]


def test_where_every_test_document_shares_a_passage_there_is_nothing_to_compare_without_them(
    of_lines: Callable[..., DocumentsRef], tmp_path: Path
) -> None:
    """Each document ends with the same legal text."""
    footer = "this message is confidential and meant for nobody but the person that it is addressed to"
    texts = {split: [f"{split} {n} {footer}" for n in range(40)] for split in ("train", "valid", "test")}
    target, source = of_lines("target", **texts), of_lines("source", train=["a"], valid=["b"], test=["c"])
    ids = pq.read_table(target.file, filters=[("split", "==", "test")])["id"]
    cells = []
    for arm, seed in itertools.product(("scratch", "parameter"), (1, 2, 3)):
        folder = tmp_path / f"{arm}-{seed}"
        folder.mkdir()
        said = pa.array([[0.4, 0.6]] * len(ids), pa.list_(pa.float32()))
        labels = pa.array([1] * len(ids), pa.int16())
        pq.write_table(pa.table({"id": ids, "label": labels, "probabilities": said}), folder / PREDICTIONS)
        cells.append(
            ScoreRef(
                path=folder,
                sha256="",
                task="classifier",
                arm=arm,
                labels=100,
                seed=seed,
                metrics={},
                seconds=1.0,
                recorded_as="",
            )
        )
    passages = find_passages(source, target, tmp_path / "passages")
    found = without_shared_passages(passages, cells, RULES)
    assert found == SharedPassages(source=0, target=40, gains=[])
    before = gains([predictions_of(cell) for cell in cells])
    assert len(before) == 1
    said_so, at_once = shared_sentence(found, before, 40)
    assert "nothing is left of parameter transfer with 100 labels" in said_so
    assert at_once
