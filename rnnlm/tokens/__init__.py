"""From documents to token ids: tokenizers, `tokens.parquet`, and its reader."""

from rnnlm.tokens.encode import Shard, encode_shard, learn, shards, tokenize
from rnnlm.tokens.reader import read_text
from rnnlm.tokens.text import Text, Vocabulary
from rnnlm.tokens.tokenizer import TextTokenizer

__all__ = [
    "Shard",
    "Text",
    "TextTokenizer",
    "Vocabulary",
    "encode_shard",
    "learn",
    "read_text",
    "shards",
    "tokenize",
]
