"""Tags that mark entities: all schemes become IOB2, `B-PER I-PER O`."""

import re
from collections.abc import Iterable, Sequence

OUTSIDE = "O"
# B: the first word of an entity. I: a further one. E and L: the last. S and U: the only one.
_TAG = re.compile(r"([BIELSU])[-_](\S+)")


def iob2(tags: Sequence[str]) -> list[str]:
    """Return tags of the schemes IOB1, IOB2, IOBES and BILOU as IOB2.

    An entity begins and ends where the evaluation of CoNLL 2000 to 2003 (conlleval) says so: an I behind another type
    or behind O begins one.

    Args:
        tags: The tags of a document's words.

    Raises:
        ValueError: If a tag is none of these.
    """
    found, before, open_type = [], OUTSIDE, ""
    for tag in tags:
        if tag == OUTSIDE:
            found.append(OUTSIDE)
            before, open_type = OUTSIDE, ""
            continue
        match = _TAG.fullmatch(tag)
        if match is None:
            raise ValueError(f"the tag {tag[:40]!r} marks no entity")
        place, kind = match[1], match[2]
        begins = place in "BSU" or before in "ELSU" or kind != open_type
        found.append(f"{'B' if begins else 'I'}-{kind}")
        before, open_type = place, kind
    return found


def classes_of(tags: Iterable[str]) -> list[str]:
    """Return all tags of the entity types that tags in IOB2 have: O, then B and I of each type in alphabetical order.

    So the place of a tag says what it is: 0 is O, odd places begin an entity, even ones go on with it.

    Args:
        tags: The tags.
    """
    types = sorted({tag[2:] for tag in tags if tag != OUTSIDE})
    return [OUTSIDE, *(f"{place}-{kind}" for kind in types for place in "BI")]
