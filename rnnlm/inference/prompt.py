"""A prefix as a language model reads it, and how what the model writes is joined to it.

The prefix stays as it was given, character by character, though the model reads it cleaned and perhaps in lower case.
At its end two things are not read but expected of the first token that is written:

- White space, where the tokenizer makes it a part of the token behind it (bpe, unigram): a model that had read it alone
  would have seen nothing like it in training.
- A word that the vocabulary lacks, right at the end: it is taken for a word of which only the beginning was typed.
"""

from dataclasses import dataclass

from rnnlm.inference.texts import clean_beginning
from rnnlm.tokens import TextTokenizer


@dataclass(frozen=True)
class Prompt:
    """A prefix for one tokenizer.

    Attributes:
        ids: What is read, from the start of the document.
        begin: What the first token that is written must begin with, in UTF-8; nothing: it may be any.
        given: What the text that is written begins with, but stands in the prefix already.
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
    ends_in_space = text != text.rstrip()
    if tokenizer.has_whole_words:
        half = tokenizer.unknown_end(text)
        begin = f" {half}".encode()
        if half and any(token is not None and token.startswith(begin) for token in tokenizer.written):
            return Prompt(read(tokenizer, text)[:-1], begin, f" {half}")
        return Prompt(read(tokenizer, text), given=" " if ends_in_space or not text else "")
    if tokenizer.collapses_spaces:
        if ends_in_space:
            return Prompt(read(tokenizer, text.rstrip()), b" ", " ")
        return Prompt(read(tokenizer, text), given="" if text else " ")
    if tokenizer.joins_spaces and text.endswith(" "):
        return Prompt(read(tokenizer, text[:-1]), b" ", " ")
    return Prompt(read(tokenizer, text))


def read(tokenizer: TextTokenizer, text: str) -> tuple[int, ...]:
    """Give the ids of a text that goes on, from the start of its document.

    Running text has no `<bos>`: a text stands by itself there after an `<eos>`.
    """
    (ids,) = tokenizer.encode([text])
    return tuple(([tokenizer.eos] if tokenizer.bos is None else []) + ids[:-1])


def written(tokenizer: TextTokenizer, begun: Prompt, ids: tuple[int, ...]) -> str:
    """Give the text that tokens after a prefix add to it.

    Args:
        tokenizer: The language model's tokenizer.
        begun: The prefix.
        ids: What was written after it; `<eos>` adds nothing. Together they are whole characters.
    """
    text = b"".join(tokenizer.written[i] or b"" for i in ids).decode()
    return text.removeprefix(begun.given)
