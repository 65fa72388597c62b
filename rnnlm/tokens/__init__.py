"""From documents to token ids: tokenizers, `tokens.parquet`, and its reader."""

from rnnlm.tokens.encode import Shard, encode_shard, learn, shards, tokenize
from rnnlm.tokens.reader import EncodedDocuments, map_split, read_split
from rnnlm.tokens.tokenizer import TextTokenizer

__all__ = [
    "EncodedDocuments",
    "Shard",
    "TextTokenizer",
    "encode_shard",
    "learn",
    "map_split",
    "read_split",
    "shards",
    "tokenize",
]
