"""Checks that the labels of a corpus are classes that can be learnt, before anything is trained."""

import re
from collections import Counter
from collections.abc import Mapping

import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.checksums import checked
from rnnlm.errors import ConfigError, DataError
from rnnlm.refs import SPLITS, DocumentsRef
from rnnlm.settings import Corpus

# A class with fewer documents, in all splits together, may be missing in the training split by chance.
RARE = 5
# Share of a split's documents of unseen classes above which a score says more about the split than about the model.
MOST_UNSEEN = 0.05
SHOWN = 5  # number of classes that a message names

# A number as programs write it. 007 is a code, not a number.
_NUMBER = re.compile(r"([+-]?)(0|[1-9][0-9]*)(?:\.([0-9]*))?")
# How withheld labels are written.
_PLACEHOLDERS = {
    "-1",
    "-1.0",
    "?",
    "-",
    "na",
    "n/a",
    "nan",
    "none",
    "null",
    "unknown",
    "unlabeled",
    "unlabelled",
    "test",
}

Classes = Mapping[str, Mapping[str, int]]


def class_counts(documents: DocumentsRef) -> dict[str, Counter[str]]:
    """Count the documents of each class in each split.

    Args:
        documents: The documents.
    """
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    with pq.ParquetFile(checked(documents.file)) as parquet:
        for group in range(parquet.num_row_groups):
            table = parquet.read_row_group(group, columns=["label", "split"])
            table = table.filter(pc.is_valid(table["label"]))
            for row in table.group_by(["split", "label"]).aggregate([([], "count_all")]).to_pylist():
                counts[row["split"]][row["label"]] += row["count_all"]
    return counts


def check_classes(classes: Classes, corpus: Corpus, name: str) -> list[str]:
    """Check that a classifier can be trained and scored on these labels.

    Args:
        classes: Number of documents by split and class.
        corpus: The corpus that they come from.
        name: source or target, for messages.

    Returns:
        Warnings about what may be intended, but may also be a mistake.

    Raises:
        ConfigError: If the labels are not classes, or a split has none.
        DataError: If the classes of the splits do not fit together.
    """
    check_labelled({split: sum(counts.values()) for split, counts in classes.items()}, corpus, name)
    _check_spelling(classes, name)
    _check_many(classes, corpus, name)
    warnings = [warning for split in ("test", "valid") if (warning := _check_seen(classes, split, name))]
    _check_one(classes["test"], name)
    lonely = {label: count for label, count in classes["train"].items() if count < 2}
    if lonely and len(classes["train"]) > 2:
        warnings.append(
            f"{len(lonely):,} of the {name}'s {len(classes['train']):,} classes {_has(lonely)} one training document: "
            f"{shown(lonely)}. `{name}.corpus.labels` names the classes to keep."
        )
    return warnings


def check_labelled(labelled: Mapping[str, int], corpus: Corpus, name: str) -> None:
    """Check that the splits that choose and score models have labels.

    Args:
        labelled: Number of labelled documents of each split.
        corpus: The corpus that they come from.
        name: source or target, for messages.

    Raises:
        ConfigError: If a split has none.
    """
    for split in ("valid", "test"):
        if not labelled[split]:
            marked = "" if corpus.unlabelled is None else f" (unlabelled: {corpus.unlabelled!r})"
            raise ConfigError(
                f"no document of the {split} split has a label{marked}, and models are "
                f"{'chosen' if split == 'valid' else 'scored'} there",
                where=f"{name}.corpus",
                remedy="Where a test set's labels are withheld, leave its documents out and cut the splits from the "
                "others: without `split` (or `test`), by test_share and valid_share.",
            )


def _check_spelling(classes: Classes, name: str) -> None:
    """Refuse a number that is written in two ways, such as "1" and "1.0"."""
    spelt: dict[str, dict[str, list[str]]] = {}
    for split, counts in classes.items():
        for label in counts:
            if number := _as_number(label):
                spelt.setdefault(number, {}).setdefault(label, []).append(split)
    if twice := [ways for ways in spelt.values() if len(ways) > 1]:
        places = ", ".join(f"{label!r} (in {' and '.join(splits)})" for label, splits in twice[0].items())
        raise DataError(
            f"one number is written in two ways, {places}: they would be different classes"
            + (f"; so are {len(twice) - 1:,} more" if len(twice) > 1 else ""),
            where=f"{name}.corpus.label",
            remedy="Write them alike in all files. (Programs write 1.0 for 1 where a column has empty fields.)",
        )


def _as_number(label: str) -> str | None:
    found = _NUMBER.fullmatch(label)
    if not found:
        return None
    fraction = (found[3] or "").rstrip("0")
    return f"{'-' if found[1] == '-' else ''}{found[2]}" + (f".{fraction}" if fraction else "")


def _check_many(classes: Classes, corpus: Corpus, name: str) -> None:
    """Refuse ids, measured numbers or texts as labels: nearly every document would have its own class."""
    every = set().union(*classes.values())
    labelled = sum(sum(counts.values()) for counts in classes.values())
    if 2 * len(every) > labelled:
        what = f"column {corpus.label!r}" if corpus.label else "pattern" if corpus.label_pattern else "label"
        raise ConfigError(
            f"{labelled:,} labelled documents have {len(every):,} different labels ({shown(dict.fromkeys(every, 0))}): "
            f"the {what} holds ids, texts or measured numbers, not classes",
            where=f"{name}.corpus.label",
            remedy="Name the column of the class. If they are numbers to predict, set target.task to regression."
            if name == "target"
            else "Name the column of the class.",
        )


def _check_one(test: Mapping[str, int], name: str) -> None:
    """Refuse a test split of one class. With few documents it may be chance, and no claim is made from them."""
    if len(test) == 1 and sum(test.values()) >= RARE:
        raise DataError(
            f"all labelled test documents are of one class, {shown(test)}: a classifier that always answers this "
            "is always right",
            where=f"{name}.corpus",
            remedy="Use a test split with documents of each class.",
        )


def _check_seen(classes: Classes, split: str, name: str) -> str:
    """Refuse a split with classes that training never saw. If they are few and rare, return a warning instead."""
    unseen = {label: count for label, count in classes[split].items() if label not in classes["train"]}
    if not unseen:
        return ""
    number, of = sum(unseen.values()), sum(classes[split].values())
    problem = (
        f"{number:,} of {of:,} labelled {split} documents are of classes that the training split does not have: "
        f"{shown(unseen)}; it has {shown(classes['train'])}"
    )
    in_all = {label: sum(counts.get(label, 0) for counts in classes.values()) for label in unseen}
    if number <= MOST_UNSEEN * of and all(count < RARE for count in in_all.values()):
        return f"{name}.corpus: {problem}. No model can get them right; `{name}.corpus.labels` names classes to keep."
    known = {_folded(label): label for label in classes["train"]}
    alike = [(label, known[_folded(label)]) for label in unseen if _folded(label) in known]
    held_back = [label for label in unseen if label.casefold() in _PLACEHOLDERS]
    if alike:
        remedy = f"Write labels in the same way in all files: {alike[0][0]!r} is not {alike[0][1]!r}."
    elif held_back:
        remedy = (
            f"{held_back[0]!r} looks like a label that is withheld. Leave these documents out with "
            f"{name}.corpus.labels, and give a {split} split whose labels are known."
        )
    else:
        remedy = f"Use the files of one data set, or name the classes to keep in {name}.corpus.labels."
    raise DataError(problem, where=f"{name}.corpus", remedy=remedy)


def _folded(label: str) -> str:
    return " ".join(label.casefold().split())


def _has(found: Mapping[str, int]) -> str:
    return "has" if len(found) == 1 else "have"


def shown(counts: Mapping[str, int]) -> str:
    """Write classes with their numbers of documents, the most frequent first. Write only the first few of many."""
    order = sorted(counts, key=lambda label: (-counts[label], label))
    parts = [_short(label) + (f" ({counts[label]:,})" if counts[label] else "") for label in order[:SHOWN]]
    more = len(order) - SHOWN
    return ", ".join(parts) + (f" and {more:,} more" if more > 0 else "")


def _short(label: str) -> str:
    return repr(label if len(label) <= 40 else label[:39] + "\N{HORIZONTAL ELLIPSIS}")
