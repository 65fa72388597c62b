"""The score that arms are judged by: what it is called, and how it and its differences are written."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Measure:
    """A score that arms are judged by.

    Attributes:
        name: Its name among the metrics of a cell.
        words: Its name in words.
        higher_is_better: Whether a higher score is better. If not, a gain is what is saved.
        unit: The unit of a difference in sentences, as in "3.2 points of accuracy better"; if empty, the difference is
            "less" or "more" of the score itself.
        short: The unit in tables.
        factor: What a score is multiplied by where it is written.
        decimals: Decimals of a difference; if None, three digits are written, whatever the unit of the labels.
        counted: What is counted as right or wrong: answers, entities in them, or nothing.
    """

    name: str
    words: str
    higher_is_better: bool
    unit: str = ""
    short: str = ""
    factor: float = 1.0
    decimals: int | None = None
    counted: Literal["answers", "entities"] | None = None

    @property
    def title(self) -> str:
        """Its name in words, as the beginning of a title."""
        return self.words[0].upper() + self.words[1:]

    def numbers(self, *values: float, plus: bool = True) -> list[str]:
        """Write scores, or differences of scores, with the same number of decimals."""
        decimals = self.decimals_of(*values)
        return [f"{self.factor * value:{'+' if plus else ''},.{decimals}f}" for value in values]

    def decimals_of(self, *values: float) -> int:
        """Return the decimals that scores, or differences of scores, are written with."""
        largest = max(abs(self.factor * value) for value in values)
        return three_digits(largest) if self.decimals is None else self.decimals

    def difference(self, gain: float) -> str:
        """Say how much better or worse something is: `3.2 points of accuracy better`, `0.12 less absolute error`."""
        (amount,) = self.numbers(abs(gain), plus=False)
        if self.unit:
            return f"{amount} {self.unit} {'better' if gain >= 0 else 'worse'}"
        return f"{amount} {'less' if (gain >= 0) is not self.higher_is_better else 'more'} {self.words}"

    def interval(self, low: float, high: float) -> str:
        """Write the 95 % interval of a gain."""
        first, last = self.numbers(low, high)
        return f"95 % interval{'' if self.higher_is_better else ' of what is saved'} {first} to {last}"

    def gained(self, value: float, low: float, high: float) -> str:
        """Write a gain with its interval: `+3.2 points of accuracy (95 % interval +0.7 to +5.8)`."""
        saved = "" if self.higher_is_better else " saved"
        middle, first, last = self.numbers(value, low, high, plus=self.higher_is_better)
        return f"{middle} {self.unit or f'of {self.words}'}{saved} (95 % interval {first} to {last})"


def three_digits(value: float) -> int:
    """Return the decimals that show three digits of a number, or all before its point."""
    return max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0


# What language models are judged by.
BITS = Measure("bits_per_character", "bits per character", False, "bits per character", "bits", decimals=3)
