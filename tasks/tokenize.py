"""Step 2: documents to tokens."""

from rnnlm.config import Tokenizer
from rnnlm.refs import CheckpointRef, DocumentsRef, TokensRef
from rnnlm.tokens import tokenize as tokenize_documents
from rnnlm.tokens.reverse import reverse as reverse_documents
from tasks.step import logger, output_folder, step


@step(version=1)
def tokenize(documents: DocumentsRef, tokenizer: Tokenizer | TokensRef | CheckpointRef) -> TokensRef:
    """Train a tokenizer on the training split, or take another corpus' one, and encode all documents.

    Args:
        documents: The documents.
        tokenizer: How to tokenize; or tokens, or a model, whose tokenizer to share.
    """
    setting = tokenizer if isinstance(tokenizer, Tokenizer) else tokenizer.tokenizer
    tokens = tokenize_documents(documents, setting, output_folder())
    logger.info("Vocabulary %d, tokens %s, unknown %s", tokens.vocabulary_size, tokens.tokens, tokens.unknown)
    return tokens


@step(version=1)
def reverse(tokens: TokensRef) -> TokensRef:
    """Turn documents round, for models that read from the last token to the first.

    Args:
        tokens: The documents.
    """
    return reverse_documents(tokens, output_folder())
