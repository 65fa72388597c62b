"""A prefix as a language model reads it, and how the completion is joined to it.

The prefix stays as it was given, character by character, although the model reads it cleaned and perhaps in lower case.
Two things at its end are not read, but expected at the beginning of the completion:

- A space, if the tokenizer makes it a part of the next token (bpe, unigram). The model has never seen such a space
  alone in training.
- A last word that is not a token. Perhaps only its beginning was typed. Its pieces would differ from those of the whole
  word (`re`, `por` for `reporters`), and the model would not know how to continue.
"""

from dataclasses import dataclass

from rnnlm.inference.texts import clean_beginning, words_of
from rnnlm.tokens import TextTokenizer

LONGEST_WORD = 30  # characters; a longer word is read as it was given


@dataclass(frozen=True)
class Prompt:
    """A prefix for one tokenizer.

    Attributes:
        ids: The tokens to read, from the start of the document.
        begin: What the completion must begin with, in UTF-8. If empty, it may begin with anything.
        given: What the completion may begin with, but the prefix already contains.
    """

    ids: tuple[int, ...]
    begin: bytes = b""
    given: str = ""


def prompt(tokenizer: TextTokenizer, prefix: str) -> Prompt:
    """Prepare a prefix for reading.

    Args:
        tokenizer: The language model's tokenizer.
        prefix: Any text. If empty, a document begins.
    """
    text = clean_beginning(prefix)
    if not text or text != text.rstrip():
        return _after_space(tokenizer, text)
    kept, expected = _without_half_word(tokenizer, text)
    return Prompt(read(tokenizer, kept), expected.encode(), expected)


def _after_space(tokenizer: TextTokenizer, text: str) -> Prompt:
    """Prepare a prefix that ends with white space, or is empty."""
    if tokenizer.has_whole_words or (tokenizer.collapses_spaces and not text):
        # Each word is written with a space before it. Here it is already there, or not wanted.
        return Prompt(read(tokenizer, text), given=" ")
    if tokenizer.collapses_spaces:
        return Prompt(read(tokenizer, text.rstrip()), b" ", " ")
    if tokenizer.joins_spaces and text.endswith(" "):
        return Prompt(read(tokenizer, text[:-1]), b" ", " ")
    return Prompt(read(tokenizer, text))


def _without_half_word(tokenizer: TextTokenizer, text: str) -> tuple[str, str]:
    """Return the part to read of a text that ends without white space, and its last word, which must be written again.

    The last word is empty if it is a token, or if tokens are no longer than a character.
    """
    words = words_of(text)
    if not words or words[-1][1][1] != len(text) or len(words[-1][0]) > LONGEST_WORD:
        return text, ""
    word, (start, _) = words[-1]
    kept, word = text[:start], tokenizer.normal(word)
    if tokenizer.has_whole_words:
        expected = f" {word}"
        is_half = read(tokenizer, text)[-1] == tokenizer.unk and any(
            token is not None and token.startswith(expected.encode()) for token in tokenizer.written
        )
        return (kept, expected) if is_half else (text, "")
    if not tokenizer.joins_spaces:
        return text, ""
    if kept.endswith(" ") or (tokenizer.collapses_spaces and (not kept or kept[-1].isspace())):
        kept, word = kept[:-1], f" {word}"
    return (kept, word) if len(read(tokenizer, text)) - len(read(tokenizer, kept)) > 1 else (text, "")


def read(tokenizer: TextTokenizer, text: str) -> tuple[int, ...]:
    """Return the ids of an unfinished text, from the start of its document.

    Running text has no `<bos>`: there a text begins after an `<eos>`.
    """
    (ids,) = tokenizer.encode([text])
    return tuple(([tokenizer.eos] if tokenizer.bos is None else []) + ids[:-1])
