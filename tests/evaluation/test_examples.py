"""Documents that one of two arms answers better, chosen from files as a run writes them."""

import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlm.evaluation.examples import MOST, Answers, answers, examples, shortened
from rnnlm.targets import TASKS

CLASSES = ["bad", "טוב"]


def predictions(folder: Path, name: str, probability_of_one: list[float], labels: list[int]) -> Path:
    """Write what a classifier of two classes said of documents d0, d1, …"""
    table = pa.table(
        {
            "id": [f"d{n}" for n in range(len(labels))],
            "label": pa.array(labels, pa.int16()),
            "probabilities": pa.array([[1 - p, p] for p in probability_of_one], pa.list_(pa.float32())),
        }
    )
    pq.write_table(table, folder / name)
    return folder / name


def said(files: list[Path]) -> Answers:
    return answers(files, TASKS["classification"])


def documents(folder: Path, texts: list[str]) -> Path:
    # In another order than the predictions, and with more documents.
    ids = [f"d{n}" for n in range(len(texts))] + ["other"]
    table = pa.table({"id": ids[::-1], "text": [*texts, "of the training split"][::-1]})
    pq.write_table(table, folder / "documents.parquet")
    return folder / "documents.parquet"


def test_the_surest_of_those_that_every_seed_gets_right_and_every_other_wrong(tmp_path: Path) -> None:
    labels = [1, 1, 1, 0, 0]
    arm = said(
        [
            predictions(tmp_path, "a1", [0.6, 0.9, 0.8, 0.7, 0.1], labels),
            predictions(tmp_path, "a2", [0.6, 0.7, 0.2, 0.9, 0.3], labels),
        ]
    )
    scratch = said(
        [
            predictions(tmp_path, "b1", [0.3, 0.4, 0.1, 0.2, 0.9], labels),
            predictions(tmp_path, "b2", [0.4, 0.1, 0.1, 0.1, 0.4], labels),
        ]
    )
    texts = documents(tmp_path, ["zero", "א" * 400, "two", "three", "four"])
    found = examples(("parameter", "scratch"), 100, (arm, scratch), "class", CLASSES, texts)
    # d2: one seed of the arm errs; d4: one seed of scratch is right.
    assert [(one.id, one.label, one.said) for one in found.of_arm] == [("d1", "טוב", "bad"), ("d0", "טוב", "bad")]
    assert [one.probability for one in found.of_arm] == pytest.approx([0.8, 0.6], abs=1e-6)
    assert found.of_arm[0].text == "א" * 300 + "…"
    assert [(one.id, one.said, one.text) for one in found.of_baseline] == [("d3", "טוב", "three")]
    assert found.of_baseline[0].probability == pytest.approx(0.85, abs=1e-6)
    assert (found.documents, found.only_arm, found.only_baseline) == (5, 2, 1)


def test_no_more_than_a_few_are_shown_but_all_are_counted(tmp_path: Path) -> None:
    labels = [1] * 12
    arm = said([predictions(tmp_path, "a", [0.51 + n / 100 for n in range(12)], labels)])
    scratch = said([predictions(tmp_path, "b", [0.2] * 12, labels)])
    found = examples(("parameter", "scratch"), 9, (arm, scratch), "class", CLASSES, documents(tmp_path, ["x"] * 12))
    assert [one.id for one in found.of_arm] == [f"d{n}" for n in range(11, 11 - MOST, -1)]
    assert (found.only_arm, found.only_baseline, found.of_baseline) == (12, 0, [])


def test_two_arms_that_are_right_of_the_same_documents_have_no_example(tmp_path: Path) -> None:
    same = said([predictions(tmp_path, "a", [0.9, 0.1], [1, 1])])
    found = examples(("parameter", "scratch"), 9, (same, same), "class", CLASSES, documents(tmp_path, ["x", "y"]))
    assert (found.documents, found.only_arm, found.only_baseline, found.of_arm, found.of_baseline) == (2, 0, 0, [], [])


def test_of_numbers_the_arm_that_is_nearer_with_every_seed(tmp_path: Path) -> None:
    target, labels = TASKS["regression"], np.array([3.0, -1.5, 2_000.0])

    def of(*numbers: list[float]) -> Answers:
        files = [tmp_path / f"{seed}.parquet" for seed in range(len(numbers))]
        for file, each in zip(files, numbers, strict=True):
            columns = {"id": pa.array(["d0", "d1", "d2"]), **target.table(np.array(each), labels)}
            pq.write_table(pa.table(columns), file)
        return answers(files, target)

    arm = of([3.5, -1.0, 1_990.0], [2.0, 8.0, 2_020.0])
    # The mean of scratch's answers to d0 would be nearer than any of the arm's.
    scratch = of([4.5, 0.0, 1_900.0], [1.0, 9.0, 2_200.0])
    found = examples(("parameter", "scratch"), 9, (arm, scratch), "number", [], documents(tmp_path, ["x", "y", "z"]))
    # d1: one seed of the arm is further away than one of scratch. d2 has the largest difference.
    assert [(one.id, one.label, one.right, one.said) for one in found.of_arm] == [
        ("d2", "2,000", "2,020", "1,900"),
        ("d0", "3", "2", "4.5"),
    ]
    assert (found.only_arm, found.only_baseline, found.of_arm[0].probability) == (2, 0, None)


def test_of_tags_the_arm_that_finds_more_entities(tmp_path: Path) -> None:
    target, names = TASKS["tagging"], ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    labels = np.empty(3, object)
    labels[:] = [np.array([1, 2, 0, 3]), np.array([0, 0]), np.array([0])]

    def of(tags: list[int]) -> Answers:
        columns = {"id": pa.array(["d0", "d1", "d2"]), **target.table(np.eye(5)[tags] * 0.9 + 0.02, labels)}
        pq.write_table(pa.table(columns), tmp_path / "said.parquet")
        return answers([tmp_path / "said.parquet"], target)

    arm, scratch = of([1, 2, 0, 3, 0, 0, 1]), of([1, 0, 0, 4, 0, 3, 1])
    texts = {"id": ["d0", "d1", "d2"], "text": ["Kofi Annan 在 Genf", "no one", "x"]}
    spans = [[[0, 4], [5, 10], [11, 12], [13, 17]], [[0, 2], [3, 6]], [[0, 1]]]
    pq.write_table(pa.table({**texts, "words": spans}), tmp_path / "documents.parquet")
    found = examples(("feature", "scratch"), 9, (arm, scratch), "tags", names, tmp_path / "documents.parquet")
    # An entity without its last word is none. An I that begins one counts, as for conlleval.
    assert [(one.id, one.label, one.right, one.said) for one in found.of_arm] == [
        ("d1", "no entity", "no entity", "one (LOC)"),
        ("d0", "Kofi Annan (PER), Genf (LOC)", "Kofi Annan (PER), Genf (LOC)", "Kofi (PER), Genf (LOC)"),
    ]
    assert (found.documents, found.only_arm, found.only_baseline) == (3, 2, 0)


def test_a_text_is_cut_between_words() -> None:
    assert shortened("one  two\nthree", 20) == "one two three"
    assert shortened("one two three four", 13) == "one two three…"
    assert shortened("one two three four", 12) == "one two…"
    assert shortened("电影很好看" * 10, 12) == "电影很好看电影很好看电影…"


def test_a_cut_leaves_a_letter_its_marks_and_an_emoji_its_parts() -> None:
    marked = "e\N{COMBINING ACUTE ACCENT}"
    assert shortened(marked * 10, 7) == marked * 3 + "…"
    family = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
    assert shortened("好" + family * 4, 8) == "好" + family + "…"
    thumb = "\N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}"
    assert shortened(thumb * 5, 5) == thumb * 2 + "…"


@given(st.text(max_size=80), st.integers(2, 40))
def test_what_is_shown_is_a_beginning_of_the_text(text: str, longest: int) -> None:
    line = " ".join(text.split())
    shown = shortened(text, longest)
    if len(line) <= longest:
        assert shown == line
    else:
        assert shown.endswith("…")
        assert line.startswith(shown[:-1])
        assert 1 <= len(shown) <= longest + 1
        assert not (len(shown) > 2 and unicodedata.combining(line[len(shown) - 1]) and line[len(shown) - 1] != " ")


def test_a_probability_is_a_mean_over_seeds(tmp_path: Path) -> None:
    files = [predictions(tmp_path, name, [p], [1]) for name, p in (("a", 0.9), ("b", 0.6))]
    assert said(files).sure == pytest.approx(np.array([0.75]), abs=1e-6)
