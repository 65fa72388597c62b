"""From a caller's texts to a model's input.

Texts are cleaned as in `ingest` (line ends, control characters, Unicode NFC, white space at both ends). The caller must
do the HTML breaks and replacements of a corpus. Half a surrogate pair, which UTF-8 cannot represent, counts as U+FFFD.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from tokenizers import Regex, pre_tokenizers

from rnnlm.corpus.clean import cleaner
from rnnlm.corpus.words import joined, spans
from rnnlm.settings import Corpus
from rnnlm.tokens import Text, TextTokenizer
from rnnlm.tokens.kinds import WORD

_TOKENIZED_AT_ONCE = 256  # texts whose tokens are Python objects at the same time

_WORDS = pre_tokenizers.Split(Regex(WORD), "removed", invert=True)

# The cleaning that does not depend on settings. A corpus must name files; these are never read.
_clean = cleaner(Corpus(files=["-"]))


def whole_characters(text: str) -> str:
    """Join the two halves of surrogate pairs, and replace single halves. JSON can contain both."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def clean(text: str) -> str:
    """Clean a complete text."""
    return _clean(whole_characters(text))


def clean_beginning(text: str) -> str:
    """Clean an unfinished text: white space at its end stays."""
    return _clean(whole_characters(text) + "|")[:-1]


def words_of(text: str) -> list[tuple[str, tuple[int, int]]]:
    """Return the words of a text (without numbers and signs), each with its beginning and end."""
    return [(word, place) for word, place in _WORDS.pre_tokenize_str(text) if word[0].isalpha()]


def encode(tokenizer: TextTokenizer, texts: Sequence[str], *, apart: bool = False) -> Text:
    """Encode texts as the tokenize step does, in memory and without labels.

    Args:
        tokenizer: The checkpoint's tokenizer.
        texts: Cleaned texts.
        apart: Whether each text begins anew in running text, too: after an `<eos>`, as if another text had ended there.
            Otherwise it continues the text before it.
    """
    vocabulary, before = tokenizer.vocabulary, list[int]()
    if apart and vocabulary.bos is None:
        vocabulary, before = dataclasses.replace(vocabulary, bos=vocabulary.eos), [vocabulary.eos]
    encoded = [
        np.array([*before, *tokens], np.uint32)  # a fraction of the memory of Python's integers
        for start in range(0, len(texts), _TOKENIZED_AT_ONCE)
        for tokens in tokenizer.encode(list(texts[start : start + _TOKENIZED_AT_ONCE]))
    ]
    return Text.of(texts, encoded, vocabulary)


def encode_words(tokenizer: TextTokenizer, words: Sequence[Sequence[str]]) -> Text:
    """Encode texts that are cut into words as the tokenize step does, in memory and without labels.

    Args:
        tokenizer: The checkpoint's tokenizer.
        words: The cleaned words of each text.
    """
    texts = [joined(one) for one in words]
    encoded = [
        one
        for start in range(0, len(texts), _TOKENIZED_AT_ONCE)
        for one in tokenizer.encode_words(
            texts[start : start + _TOKENIZED_AT_ONCE],
            [spans(one) for one in words[start : start + _TOKENIZED_AT_ONCE]],
        )
    ]
    return Text.of(texts, [one.ids for one in encoded], tokenizer.vocabulary, [one.lasts for one in encoded])
