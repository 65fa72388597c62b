"""Which of several sources is likely to help a target most."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict

from rnnlm.errors import DataError
from rnnlm.evaluation.comparison import listed
from rnnlm.evaluation.looks import LEVEL
from rnnlm.evaluation.outlook import Estimate
from rnnlm.evaluation.sampling import of_documents
from rnnlm.evaluation.verdict import Interval


@dataclass(frozen=True)
class Estimation:
    """An estimate, and what it rests on.

    Attributes:
        estimate: The estimate.
        ids: (documents,) the ids of the target's validation documents.
        bits: (documents,) bits of each, by the mixture of the target's n-grams and the source's.
        characters: (documents,) their lengths.
    """

    estimate: Estimate
    ids: np.ndarray
    bits: np.ndarray
    characters: np.ndarray


class Ranked(BaseModel):
    """A source among several.

    Attributes:
        name: Its name.
        estimate: What is estimated of it.
        bits: Bits per character of the mixture of the target's n-grams and its own.
        behind: How many more these are than with the best source, with an interval; None for the best.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    estimate: Estimate
    bits: float
    behind: Interval | None


class SourceRanking(BaseModel):
    """Several sources of one target.

    Attributes:
        sources: The sources, the best first.
    """

    model_config = ConfigDict(frozen=True)

    sources: list[Ranked]

    @property
    def sentence(self) -> str:
        """Which source to take, in words."""
        best, *others = self.sources
        if all(source.estimate.outlook == "unlikely" for source in self.sources):
            return "None of these sources is likely to help a language model of the target much."
        equal = [other.name for other in others if other.behind and other.behind.low <= 0.0]
        helps = {"likely": "it is likely to help", "open": "whether it helps is open", "unlikely": "it hardly helps"}
        said = (
            f"Of these sources, {best.name} is the best: mixed with its n-grams, those of the target need "
            f"{best.bits:.3f} bits per character, and {helps[best.estimate.outlook]}."
        )
        if not equal:
            return f"{said} It is better than each of the others."
        return f"{said} Whether it is better than {listed(equal, last=' or ')} is open."


def rank_sources(estimated: Mapping[str, Estimation]) -> SourceRanking:
    """Rank sources by the bits per character that the mixture with each leaves of the same validation documents.

    Each is judged with the tokens that its own experiment would use: a tokenizer that does not suit the target counts
    against its source. Any two sources may be the ones that are compared, so the intervals of all pairs together hold
    with 95 % (Bonferroni).

    Args:
        estimated: What is estimated of each source, by its name; two at least.

    Raises:
        DataError: If the estimates are not about the same documents.
    """
    (first, one), *rest = estimated.items()
    for name, other in rest:
        if not np.array_equal(one.ids, other.ids):
            raise DataError(
                f"{first} and {name} have different validation documents of the target, so their sources cannot be "
                "ranked",
                remedy="Use the same target.corpus in all experiments.",
            )
    level = LEVEL / (len(estimated) * (len(estimated) - 1) / 2)
    weight = one.characters.astype(np.float64)
    bits = {name: float(found.bits.sum() / weight.sum()) for name, found in estimated.items()}
    names = sorted(estimated, key=lambda name: bits[name])
    best = estimated[names[0]]
    behind = [of_documents(estimated[name].bits - best.bits, weight).interval(level) for name in names[1:]]
    return SourceRanking(
        sources=[
            Ranked(name=name, estimate=estimated[name].estimate, bits=bits[name], behind=interval)
            for name, interval in zip(names, [None, *behind], strict=True)
        ]
    )
