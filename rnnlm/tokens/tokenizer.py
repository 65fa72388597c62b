"""A trained tokenizer as later steps use it: text to ids and back."""

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer, decoders, models

from rnnlm.checksums import checked
from rnnlm.errors import DataError
from rnnlm.store import file_sha256, made_anew
from rnnlm.tokens.kinds import BOS, EOS, PAD, UNK, surface, written
from rnnlm.tokens.text import Vocabulary


class EncodedWords(NamedTuple):
    """A text as token ids, and where its words are among them.

    Attributes:
        ids: The ids, from the text's `<bos>` (if there is one) to its `<eos>`.
        firsts: (words,) the first token of each word.
        lasts: (words,) its last token.
    """

    ids: list[int]
    firsts: npt.NDArray[np.int32]
    lasts: npt.NDArray[np.int32]


@dataclass(frozen=True)
class TextTokenizer:
    """A tokenizer of this project, read from its `tokenizer.json`.

    Attributes:
        tokens: The vocabulary; a token's id is its place.
        unk: Id of the unknown token.
        eos: Id of the end of a document.
        pad: Id of the padding; None for text that was tokenised already.
        bos: Id of the start of a document; None for text that was tokenised already.
        sha256: Digest of the file.
    """

    tokens: tuple[str, ...] = field(repr=False)
    unk: int
    eos: int
    pad: int | None
    bos: int | None
    sha256: str
    _tokenizer: Tokenizer = field(repr=False, compare=False)

    @classmethod
    def load(cls, path: Path) -> "TextTokenizer":
        """Read a `tokenizer.json`.

        Raises:
            DataError: If it cannot be read, or lacks `<unk>` or `<eos>`.
        """
        remedy = made_anew(path)
        try:
            content = checked(path).read_text(encoding="utf-8")
            sha256 = file_sha256(path)
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"the tokenizer cannot be read: {error}", where=str(path), remedy=remedy) from error
        try:
            tokenizer = Tokenizer.from_str(content)
        except Exception as error:  # the library raises nothing more precise
            raise DataError(f"is not a tokenizer: {error}", where=str(path), remedy=remedy) from error
        # Text that spells a special token ("<eos>" in a web page) is text all the same.
        tokenizer.encode_special_tokens = True
        # Ours do neither; to fill up to 10^9 tokens would take all of the memory.
        tokenizer.no_padding()
        tokenizer.no_truncation()
        if strange := _strange(json.loads(content), tokenizer.get_vocab_size()):
            raise DataError(f"its {strange} is not that of a tokenizer of rnnlm", where=str(path), remedy=remedy)
        ids = tokenizer.get_vocab()
        if UNK not in ids or EOS not in ids or sorted(ids.values()) != list(range(len(ids))):
            raise DataError(f"the vocabulary lacks {UNK}, {EOS} or a number", where=str(path), remedy=remedy)
        return cls(
            tokens=tuple(sorted(ids, key=ids.__getitem__)),
            unk=ids[UNK],
            eos=ids[EOS],
            pad=ids.get(PAD),
            bos=ids.get(BOS),
            sha256=sha256,
            _tokenizer=tokenizer,
        )

    @property
    def size(self) -> int:
        """Number of tokens in the vocabulary, special tokens included."""
        return len(self.tokens)

    @property
    def vocabulary(self) -> Vocabulary:
        """What a model has to know of it: its size, and the special tokens of documents."""
        return Vocabulary(self.size, self.eos, self.unk, self.bos)

    @property
    def special(self) -> frozenset[int]:
        """Ids of the tokens that stand for no text."""
        return frozenset(i for i in (self.pad, self.unk, self.bos, self.eos) if i is not None)

    @functools.cached_property
    def knows_all(self) -> bool:
        """Whether no text is unknown: every byte has a token."""
        # A character that no text has learnt from: it has no meaning in Unicode and never will.
        return self.unk not in self.encode(["\uffff"])[0]

    @functools.cached_property
    def surfaces(self) -> tuple[str | None, ...]:
        """The text of each token, with a space before it where it begins a word; None for no text."""
        return tuple(
            None if i in self.special else surface(self._tokenizer, token) for i, token in enumerate(self.tokens)
        )

    @functools.cached_property
    def written(self) -> tuple[bytes | None, ...]:
        """What each token adds to a text, in UTF-8, with a space before it where it begins a word; None for no text."""
        return tuple(
            None if i in self.special else written(self._tokenizer, token) for i, token in enumerate(self.tokens)
        )

    @property
    def has_whole_words(self) -> bool:
        """Whether a token is a word, so that there is a space before the next word in any case."""
        return isinstance(self._tokenizer.model, models.WordLevel)

    @property
    def joins_spaces(self) -> bool:
        """Whether a space is part of the token behind it."""
        return self.collapses_spaces or isinstance(self._tokenizer.decoder, decoders.ByteLevel)

    @property
    def collapses_spaces(self) -> bool:
        """Whether any run of white space counts as one space."""
        return isinstance(self._tokenizer.model, models.Unigram)

    def normal(self, text: str) -> str:
        """Return a text as the vocabulary has it: in lower case, if the tokenizer was trained so."""
        return str(self._tokenizer.normalizer.normalize_str(text)) if self._tokenizer.normalizer else text

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of each text, from its `<bos>` (if there is one) to its `<eos>`."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]

    def encode_words(self, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]]) -> list["EncodedWords"]:
        """Return the ids of each text, and where its words are among them.

        Args:
            texts: The texts.
            spans: The first character of each of their words, and the one after its last.
        """
        encodings = self._tokenizer.encode_batch(list(texts))
        return [_of_words(encoding, words) for encoding, words in zip(encodings, spans, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, without padding, starts and ends of documents; `<unk>` stays visible.

        For bpe, byte and character this is the normalised text itself; words are joined by spaces.
        """
        silent = {self.pad, self.bos, self.eos}
        return self._tokenizer.decode([int(i) for i in ids if int(i) not in silent], skip_special_tokens=False)


def _of_words(encoding: Encoding, words: Sequence[tuple[int, int]]) -> EncodedWords:
    """Find the tokens that have characters of a word.

    A token may have characters of two words. A word without a token, such as one that the tokenizer leaves out, has the
    place of the token before it, and read backwards that of the token behind it.
    """
    # Tokens of the text alone: `<bos>` and `<eos>` have no characters.
    own = np.flatnonzero(np.asarray(encoding.special_tokens_mask) == 0)
    characters = np.asarray(encoding.offsets, np.int64).reshape(-1, 2)[own]
    begins, ends = np.asarray(words, np.int64).reshape(-1, 2).T
    first = np.searchsorted(characters[:, 1], begins, side="right")
    last = np.searchsorted(characters[:, 0], ends, side="left") - 1
    before, behind = (int(own[0]), int(own[-1]) + 1) if len(own) else (0, 0)
    last_place = len(encoding.ids) - 1
    return EncodedWords(
        encoding.ids,
        np.clip(before + first, 0, min(behind, last_place)).astype(np.int32),
        np.clip(before + last, 0, last_place).astype(np.int32),
    )


def _strange(content: dict[str, Any], size: int) -> str:
    """Return the name of a part that rnnlm never writes, or an empty string. Such a part may fill the memory.

    Args:
        content: The file, which the library could read.
        size: Number of its tokens.
    """
    for part in _parts(content.get("normalizer"), "normalizers"):
        spaces = {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}
        # Another replacement may make a text as long as it likes.
        if part.get("type") != "Lowercase" and part != spaces:
            return f"normalizer {part.get('type')}"
    for part in _parts(content.get("post_processor"), "processors"):
        ids = [i for token in part.get("special_tokens", {}).values() for i in token["ids"]]
        if part.get("type") != "TemplateProcessing" or any(not 0 <= i < size for i in ids):
            return "post-processor"
    if content["model"].get("unk_token") not in (None, UNK):
        return "unknown token"
    return ""


def _parts(part: dict[str, Any] | None, name: str) -> Iterator[dict[str, Any]]:
    """Yield the parts of a sequence, or the only part."""
    for one in (part or {}).get(name, [part] if part else []):
        yield from _parts(one, name) if name in one else [one]
