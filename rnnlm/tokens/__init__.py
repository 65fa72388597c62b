"""From documents to token ids: tokenizers, `tokens.parquet`, and its reader."""

from rnnlm.tokens.encode import tokenize
from rnnlm.tokens.reader import EncodedDocuments, map_split, read_split
from rnnlm.tokens.tokenizer import TextTokenizer

__all__ = ["EncodedDocuments", "TextTokenizer", "map_split", "read_split", "tokenize"]
