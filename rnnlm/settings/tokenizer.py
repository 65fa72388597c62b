"""How text becomes tokens."""

from typing import Literal

from pydantic import model_validator

from rnnlm.settings.base import Settings, field

# 256 bytes, 4 special tokens and one that is learnt; below 300 the library's unigram trainer may never end (a text of
# one character and room for one piece).
MIN_SUBWORDS = {"bpe": 261, "unigram": 300}


class Tokenizer(Settings):
    """How text becomes tokens; the vocabulary comes from the training split alone."""

    kind: Literal["word", "bpe", "unigram", "character", "byte", "whitespace"] = field(
        "word: the most frequent words. bpe, unigram: subwords, for every script. whitespace: text that is tokenised "
        "already, with its own <unk>, an <eos> for each document.",
        default="word",
    )
    vocabulary_size: int = field(
        "Most tokens in the vocabulary, special tokens included (byte and whitespace: all that there are).",
        default=10_000,
        ge=8,
        le=250_000,
    )
    lowercase: bool = field("Write all text in lower case first (never for whitespace).", default=True)

    @model_validator(mode="after")
    def _has_room_for_bytes(self) -> "Tokenizer":
        least = MIN_SUBWORDS.get(self.kind, 0)
        if self.vocabulary_size < least:
            raise ValueError(f"vocabulary_size: {self.kind} needs at least {least}: every byte has a token")
        return self
