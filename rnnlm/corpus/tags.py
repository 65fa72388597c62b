"""Checks that the tags of a corpus can be learnt, before anything is trained."""

from collections import Counter
from collections.abc import Mapping

from rnnlm.corpus.classes import MOST_UNSEEN, RARE, check_labelled, class_counts, shown
from rnnlm.errors import DataError
from rnnlm.refs import SPLITS, DocumentsRef
from rnnlm.settings import Corpus

Entities = Mapping[str, Mapping[str, int]]


def entity_counts(documents: DocumentsRef) -> dict[str, Counter[str]]:
    """Count the entities of each type in each split.

    Args:
        documents: The documents, whose labels are tags.
    """
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for split, of_tags in class_counts(documents).items():
        for tags, n in of_tags.items():
            for tag in tags.split():
                if tag.startswith("B-"):
                    counts[split][tag[2:]] += n
    return counts


def check_tags(entities: Entities, labelled: Mapping[str, int], corpus: Corpus, name: str) -> list[str]:
    """Check that a tagger can be trained and scored on these tags.

    Args:
        entities: Number of entities by split and type.
        labelled: Number of documents with tags of each split.
        corpus: The corpus that they come from.
        name: source or target, for messages.

    Returns:
        Warnings about what may be intended, but may also be a mistake.

    Raises:
        ConfigError: If a split has no documents with tags.
        DataError: If a split has no entity, or many of types that the training split does not have.
    """
    check_labelled(labelled, corpus, name)
    for split in SPLITS:
        if not entities[split]:
            raise DataError(
                f"none of the {labelled[split]:,} {split} documents with tags has an entity: all tags are O",
                where=f"{name}.corpus.label",
                remedy="Look at the column of the tags, and at how the splits are cut.",
            )
    warnings = []
    for split in ("valid", "test"):
        unseen = {kind: n for kind, n in entities[split].items() if kind not in entities["train"]}
        number, of = sum(unseen.values()), sum(entities[split].values())
        if number >= RARE and number > MOST_UNSEEN * of:
            raise DataError(
                f"{number:,} of the {of:,} entities of the {split} split are of types that the training split does not "
                f"have: {shown(unseen)}; it has {shown(entities['train'])}",
                where=f"{name}.corpus",
                remedy="Write types in the same way in all files, or use the files of one data set.",
            )
        if unseen:
            warnings.append(
                f"{name}.corpus: the {split} split has types of entity that the training split does not have, and no "
                f"model can find them: {shown(unseen)}."
            )
    return warnings
