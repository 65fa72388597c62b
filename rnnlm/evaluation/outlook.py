"""What was estimated before anything is trained, in one typed value."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from rnnlm.evaluation.verdict import Interval


class Frozen(BaseModel):
    """How well the pooled features of a frozen encoder tell the target's classes apart.

    Attributes:
        logme: Log evidence of a linear model, in nats a document.
        h_score: Variance of the features between the classes in units of their variance, shrunk.
    """

    model_config = ConfigDict(frozen=True)

    logme: float
    h_score: float


class SourceModel(BaseModel):
    """What the trained source model says about the target.

    Attributes:
        perplexity: Of a source language model as it is, on the target's validation text; None for a classifier.
        bits: The same as bits per character.
        documents: Number of labelled training documents that the features are of; 0 without classes.
        pretrained: Features of the source model's encoder.
        random: Features of an encoder of the same shape with random weights.
        shuffled: The source model's features, with the labels shuffled: what features that tell nothing score.
    """

    model_config = ConfigDict(frozen=True)

    perplexity: float | None = None
    bits: float | None = None
    documents: int = 0
    pretrained: Frozen | None = None
    random: Frozen | None = None
    shuffled: Frozen | None = None

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The same as names and values."""
        rows: list[tuple[str, str]] = []
        if self.perplexity is not None and self.bits is not None:
            rows.append(("perplexity of the source model as it is", f"{self.perplexity:,.1f}"))
            rows.append(("  ... in bits per character", f"{self.bits:.3f}"))
        if self.pretrained and self.random and self.shuffled:
            encoders = (("", self.pretrained), ("random weights", self.random), ("labels shuffled", self.shuffled))
            for name, metric, decimals in (("LogME", "logme", 4), ("H-score", "h_score", 3)):
                for what, frozen in encoders:
                    first = f"{name} of its features, {self.documents:,} documents"
                    rows.append((f"  ... {what}" if what else first, f"{getattr(frozen, metric):.{decimals}f}"))
        return rows


class Estimate(BaseModel):
    """What two n-gram models, and the source model if it is trained already, say about source and target.

    Attributes:
        known_types: Share of the target's different tokens that are in the source text.
        known_tokens: The same, by how often they occur in the target's validation text.
        own_perplexity: Perplexity of the target's own model on its validation text.
        source_perplexity: That of the source's model, over the same tokens.
        mixed_perplexity: That of the mixture.
        source_share: The source's share in the mixture.
        own_bits: Bits per character of the target's own model.
        saved: Bits per character that the mixture saves over it, with a 95 % interval over documents.
        outlook: likely, unlikely or open: whether the interval is above, below or around a hundredth of `own_bits`.
        order: Tokens of the longest n-grams.
        source_model: What the source model says; None if it is not trained yet.
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
    source_model: SourceModel | None = None

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
            ("  ... in bits per character", f"{self.own_bits:.3f}"),
            ("  ... of the source's, on the target", f"{self.source_perplexity:,.1f}"),
            ("  ... of both mixed", f"{self.mixed_perplexity:,.1f}"),
            ("the source's share in the mixture", f"{self.source_share:.1%}"),
            *(self.source_model.rows if self.source_model else []),
        ]
