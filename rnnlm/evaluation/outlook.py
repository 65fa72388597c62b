"""What was estimated before anything is trained, in one typed value."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from rnnlm.evaluation.verdict import Interval


class Estimate(BaseModel):
    """What two n-gram models say about source and target.

    Attributes:
        known_types: Share of the target's different tokens that stand in the source text.
        known_tokens: The same, by how often they stand in the target's validation text.
        own_perplexity: Perplexity of the target's own model on its validation text.
        source_perplexity: That of the source's model, over the same tokens.
        mixed_perplexity: That of the mixture.
        source_share: The source's share in the mixture.
        own_bits: Bits per character of the target's own model.
        saved: Bits per character that the mixture saves over it, with a 95 % interval over documents.
        outlook: likely, unlikely or open: whether the interval lies above, below or around a hundredth of `own_bits`.
        order: Tokens of the longest n-grams.
    """

    model_config = ConfigDict(frozen=True)

    known_types: float
    known_tokens: float
    own_perplexity: float
    source_perplexity: float
    mixed_perplexity: float
    source_share: float
    own_bits: float
    saved: Interval
    outlook: Literal["likely", "unlikely", "open"]
    order: int

    @property
    def sentence(self) -> str:
        """The estimate in words."""
        said = {
            "likely": "It is likely that the source helps a language model of the target",
            "unlikely": "It is unlikely that the source helps a language model of the target much",
            "open": "Whether the source helps a language model of the target is open",
        }[self.outlook]
        return (
            f"{said}: mixed into n-grams of the target's own text, those of the source save {self.saved.value:.3f} of "
            f"{self.own_bits:.3f} bits per character (95 % interval {self.saved.low:.3f} to {self.saved.high:.3f})."
        )

    @property
    def rows(self) -> list[tuple[str, str]]:
        """What it rests on, as names and values."""
        return [
            ("target tokens that the source text has, of all", f"{self.known_types:.1%}"),
            ("  ... of the validation text", f"{self.known_tokens:.1%}"),
            (f"perplexity of the target's own {self.order}-grams", f"{self.own_perplexity:,.1f}"),
            ("  ... of the source's, on the target", f"{self.source_perplexity:,.1f}"),
            ("  ... of both mixed", f"{self.mixed_perplexity:,.1f}"),
            ("the source's share in the mixture", f"{self.source_share:.1%}"),
        ]
