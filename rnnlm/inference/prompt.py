"""A prefix as a language model reads it, and how what the model writes is joined to it.

The prefix stays as it was given, character by character, though the model reads it cleaned and perhaps in lower case.
Two things at its end are not read, but expected at the beginning of what is written:

- A space, where the tokenizer makes it a part of the token behind it (bpe, unigram): a model that had read it alone
  would have seen nothing like it in training.
- A word at the very end that is no token: perhaps only its beginning was typed. Read as it is, its pieces would be
  others than those of the whole word (`re`, `por` for `reporters`), and the model would not know how it goes on.
"""

from dataclasses import dataclass

from rnnlm.inference.texts import clean_beginning, words_of
from rnnlm.tokens import TextTokenizer

LONGEST_WORD = 30  # characters; of a longer one all is read


@dataclass(frozen=True)
class Prompt:
    """A prefix for one tokenizer.

    Attributes:
        ids: What is read, from the start of the document.
        begin: What the text that is written must begin with, in UTF-8; nothing: it may be any.
        given: What the text that is written may begin with, but stands in the prefix already.
    """

    ids: tuple[int, ...]
    begin: bytes = b""
    given: str = ""


def prompt(tokenizer: TextTokenizer, prefix: str) -> Prompt:
    """Make a prefix ready to be read.

    Args:
        tokenizer: The language model's tokenizer.
        prefix: Any text; with none, a document begins.
    """
    text = clean_beginning(prefix)
    if not text or text != text.rstrip():
        return _after_space(tokenizer, text)
    kept, expected = _without_half_word(tokenizer, text)
    return Prompt(read(tokenizer, kept), expected.encode(), expected)


def _after_space(tokenizer: TextTokenizer, text: str) -> Prompt:
    """Make a prefix ready that ends with white space, or is none."""
    if tokenizer.has_whole_words or (tokenizer.collapses_spaces and not text):
        # Each word is written with a space before it: it stands there already, or none is wanted.
        return Prompt(read(tokenizer, text), given=" ")
    if tokenizer.collapses_spaces:
        return Prompt(read(tokenizer, text.rstrip()), b" ", " ")
    if tokenizer.joins_spaces and text.endswith(" "):
        return Prompt(read(tokenizer, text[:-1]), b" ", " ")
    return Prompt(read(tokenizer, text))


def _without_half_word(tokenizer: TextTokenizer, text: str) -> tuple[str, str]:
    """Return what is read of a text that ends without white space, and what is expected to be written: its last word.

    Nothing is expected where the last word is a token, or where tokens are no longer than a character.
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
    """Return the ids of a text that goes on, from the start of its document.

    Running text has no `<bos>`: a text stands by itself there after an `<eos>`.
    """
    (ids,) = tokenizer.encode([text])
    return tuple(([tokenizer.eos] if tokenizer.bos is None else []) + ids[:-1])
