"""Checks that the labels of a corpus are numbers that can be learnt, before anything is trained."""

from collections.abc import Mapping

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rnnlm.checksums import checked
from rnnlm.corpus.classes import check_labelled
from rnnlm.errors import DataError
from rnnlm.refs import SPLITS, DocumentsRef
from rnnlm.settings import Corpus

# Fewer different numbers are classes, most likely.
FEW = 3
# A number this many standard deviations from the mean is probably a typing error, or a code for "unknown" such as 999.
FAR = 10.0

Numbers = Mapping[str, np.ndarray]


def numbers_of(documents: DocumentsRef) -> dict[str, np.ndarray]:
    """Return the labels of each split, as numbers.

    Args:
        documents: The documents, whose labels are numbers.
    """
    table = pq.read_table(checked(documents.file), columns=["label", "split"])
    table = table.filter(pc.is_valid(table["label"]))
    return {
        split: np.array(table.filter(pc.equal(table["split"], split))["label"].to_pylist(), np.float64)
        for split in SPLITS
    }


def check_numbers(numbers: Numbers, corpus: Corpus, name: str) -> list[str]:
    """Check that a model can be trained and scored on these labels.

    Args:
        numbers: The labels of each split.
        corpus: The corpus that they come from.
        name: source or target, for messages.

    Returns:
        Warnings about what may be intended, but may also be a mistake.

    Raises:
        ConfigError: If a split has no labels.
        DataError: If all labels of the training or test split are the same.
    """
    check_labelled({split: len(found) for split, found in numbers.items()}, corpus, name)
    for split in ("train", "test"):
        if np.ptp(numbers[split]) == 0.0:
            raise DataError(
                f"all labels of the {split} split are {numbers[split][0]:,.10g}: there is nothing to predict",
                where=f"{name}.corpus.label",
                remedy="Look at the label column, and at how the splits are cut.",
            )
    warnings = []
    different = np.unique(np.concatenate(list(numbers.values())))
    if len(different) < FEW:
        shown = " and ".join(f"{value:,.10g}" for value in different)
        warnings.append(
            f"{name}.corpus: the labels have two values only, {shown}. If they are classes, set {name}.task to "
            "classification."
        )
    mean, deviation = numbers["train"].mean(), numbers["train"].std()
    far = sum(int((np.abs(found - mean) > FAR * deviation).sum()) for found in numbers.values())
    if far:
        furthest = max(
            (found[np.abs(found - mean).argmax()] for found in numbers.values()), key=lambda x: abs(x - mean)
        )
        warnings.append(
            f"{name}.corpus: {far:,} {'label is' if far == 1 else 'labels are'} more than {FAR:g} standard deviations "
            f"from the mean {mean:,.10g} (the furthest: {furthest:,.10g}). If that means that there is no label, say "
            f"so in {name}.corpus.unlabelled."
        )
    return warnings
