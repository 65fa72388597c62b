"""Subsets of the labelled training documents: the same for every arm, stratified, each inside the next larger."""

import numpy as np

from rnnlm.seeds import stream


def label_subset(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Choose `size` documents, each class in the share that it has among all.

    The documents are brought into one order that does not depend on `size`: shuffled within their class, and the
    classes dealt out evenly. A subset is the beginning of that order, so smaller ones are inside larger ones.

    Args:
        labels: (documents,) class indices; -1 without a label.
        size: Number of documents to choose, at most the labelled ones.
        seed: Seed of the shuffle.

    Returns:
        Sorted places of the chosen documents.
    """
    generator = stream(seed, "labels")
    labelled = np.flatnonzero(labels >= 0)
    if not 0 < size <= len(labelled):
        raise ValueError(f"a subset of {size} of {len(labelled)} labelled documents")
    position = np.empty(len(labels))
    for label in np.unique(labels[labelled]):
        members = generator.permutation(np.flatnonzero(labels == label))
        # The n-th of m members is at (n + 1/2) / m of the way, whatever the class: so the shares stay even.
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = labelled[np.lexsort((labelled, position[labelled]))]
    return np.sort(order[:size])
