"""Step 2: documents to tokens."""

import shutil

from rnnlm.refs import CheckpointRef, DocumentsRef, ShardRef, TokenizerRef, TokensRef
from rnnlm.settings import Tokenizer
from rnnlm.steps.observe import observer
from rnnlm.steps.step import Place, logger, step
from rnnlm.tokens import Shard, encode_shard, learn
from rnnlm.tokens import tokenize as tokenize_documents
from rnnlm.tokens.reverse import reverse as reverse_documents


@step(version=2, not_in_key=["encoded"])
def tokenize(
    place: Place,
    documents: DocumentsRef,
    tokenizer: Tokenizer | TokensRef | CheckpointRef,
    encoded: list[ShardRef] | None = None,
) -> TokensRef:
    """Train a tokenizer on the training split, or take another corpus' one, and encode all documents.

    Args:
        place: Where it runs.
        documents: The documents.
        tokenizer: How to tokenize; or tokens, or a model, whose tokenizer to share.
        encoded: All shards of the documents, where they were encoded before; they are joined, and removed.
    """
    setting = tokenizer if isinstance(tokenizer, Tokenizer) else tokenizer.tokenizer

    def report(done: int, of: int) -> None:
        observer().progressed("Documents encoded", done, of)

    tokens = tokenize_documents(documents, setting, place.folder, encoded, report)
    logger.info("Vocabulary %d, tokens %s, unknown %s", tokens.vocabulary_size, tokens.tokens, tokens.unknown)
    for shard in encoded or []:
        shutil.rmtree(shard.path, ignore_errors=True)
    return tokens


@step(version=1)
def train_tokenizer(place: Place, documents: DocumentsRef, tokenizer: Tokenizer) -> TokenizerRef:
    """Train a tokenizer on the training split.

    Args:
        place: Where it runs.
        documents: The documents.
        tokenizer: How to tokenize.
    """
    return learn(documents, tokenizer, place.folder)


@step(version=1, run_name="encode {split}, from row group {row_groups[0]}")
def encode(
    place: Place, documents: DocumentsRef, tokenizer: TokenizerRef, split: str, row_groups: list[int]
) -> ShardRef:
    """Encode a shard of the documents.

    Args:
        place: Where it runs.
        documents: The documents.
        tokenizer: A tokenizer; or tokens, or a model, whose tokenizer to share.
        split: The split of the shard's documents.
        row_groups: Where they are in the file of the documents.
    """
    return encode_shard(documents, tokenizer.tokenizer, Shard(split, row_groups), place.folder)


@step(version=1)
def reverse(place: Place, tokens: TokensRef) -> TokensRef:
    """Turn documents round, for models that read from the last token to the first.

    Args:
        place: Where it runs.
        tokens: The documents.
    """
    return reverse_documents(tokens, place.folder)
