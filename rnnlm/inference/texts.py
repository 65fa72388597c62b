"""From a caller's texts to a model's input.

Texts are cleaned as in `ingest` (line ends, control characters, Unicode NFC, white space at both ends). The caller must
do the HTML breaks and replacements of a corpus. Half a surrogate pair, which UTF-8 cannot represent, counts as U+FFFD.
"""

from collections.abc import Sequence

import numpy as np
from tokenizers import Regex, pre_tokenizers

from rnnlm.corpus.clean import cleaner
from rnnlm.settings import Corpus
from rnnlm.tokens import EncodedDocuments, TextTokenizer
from rnnlm.tokens.kinds import WORD
from rnnlm.tokens.reader import NO_LABEL

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


def encode(tokenizer: TextTokenizer, texts: Sequence[str], before: Sequence[int] = ()) -> EncodedDocuments:
    """Encode texts as the tokenize step does, in memory and without labels.

    Args:
        tokenizer: The checkpoint's tokenizer.
        texts: Cleaned texts.
        before: Tokens to put before the tokens of each text.
    """
    ids = [
        np.array([*before, *tokens], np.uint32)
        for start in range(0, len(texts), _TOKENIZED_AT_ONCE)
        for tokens in tokenizer.encode(list(texts[start : start + _TOKENIZED_AT_ONCE]))
    ]
    return EncodedDocuments(
        ids=np.concatenate(ids) if ids else np.zeros(0, np.uint32),
        offsets=np.cumsum([0, *map(len, ids)], dtype=np.int64),
        labels=np.full(len(texts), NO_LABEL, np.int16),
        n_characters=np.array([len(text) for text in texts], np.int64),
        n_bytes=np.array([len(text.encode()) for text in texts], np.int64),
        n_words=np.array([len(text.split()) for text in texts], np.int64),
        document_ids=np.array([str(place) for place in range(len(texts))], object),
    )
