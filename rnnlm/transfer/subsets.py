"""Subsets of the labelled training documents: the same for every arm, stratified, each inside the next larger."""

import numpy as np

from rnnlm.seeds import stream


def label_subset(strata: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Choose `size` documents, each stratum in the share that it has among all.

    The documents are brought into one order that does not depend on `size`: shuffled within their stratum, and the
    strata dealt out evenly. A subset is the beginning of that order, so smaller ones are inside larger ones.

    Args:
        strata: (documents,) class indices, or groups of numbers; -1 without a label.
        size: Number of documents to choose, at most the labelled ones.
        seed: Seed of the shuffle.

    Returns:
        Sorted places of the chosen documents.
    """
    generator = stream(seed, "labels")
    labelled = np.flatnonzero(strata >= 0)
    if not 0 < size <= len(labelled):
        raise ValueError(f"a subset of {size} of {len(labelled)} labelled documents")
    position = np.empty(len(strata))
    for stratum in np.unique(strata[labelled]):
        members = generator.permutation(np.flatnonzero(strata == stratum))
        # The n-th of m members is at (n + 1/2) / m of the way, whatever the stratum: so the shares stay even.
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = labelled[np.lexsort((labelled, position[labelled]))]
    return np.sort(order[:size])
