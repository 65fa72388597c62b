"""What all flows begin with: an experiment's texts, read and tokenized.

The steps are the same in all of them: what one has done, the others have from the cache.
"""

import logging

from rnnlm.config import Corpus, Experiment, Tokenizer
from rnnlm.corpus import empty_split, fingerprint, leak_sentence, read_before
from rnnlm.errors import ConfigError
from rnnlm.refs import CheckpointRef, DocumentsRef, TokensRef
from rnnlm.store import home
from rnnlm.tokens import shards
from tasks.ingest import ingest
from tasks.observe import stage
from tasks.step import finished_output, has_workers, run_step, submit_step
from tasks.tokenize import encode, tokenize, train_tokenizer

logger = logging.getLogger("rnnlm.steps")


def read(corpus: Corpus, whose: str = "source") -> DocumentsRef:
    """Read a corpus, the source's or the target's; new text at its addresses is seen as new."""
    with stage(f"Read the {whose}"):
        return run_step(ingest, corpus, fingerprint(corpus, downloads=home() / "downloads"))


def read_both(experiment: Experiment) -> tuple[DocumentsRef, DocumentsRef]:
    """Read source and target, and check that the experiment fits them before anything is trained.

    Raises:
        ConfigError: If there are fewer labels than are wanted, or a split is empty.
    """
    source, target = read(experiment.source.corpus), read(experiment.target.corpus, "target")
    labelled = target.labelled.get("train", 0)
    for size in experiment.comparison.labels:
        if isinstance(size, int) and size > labelled:
            raise ConfigError(
                f"comparison.labels: {size:,} labels are wanted, the target's training split has {labelled:,}",
                remedy=f"Give numbers up to {labelled:,}, or `all`.",
            )
    for name, corpus, documents in (
        ("source", experiment.source.corpus, source),
        ("target", experiment.target.corpus, target),
    ):
        for split in ("valid", "test"):
            if not documents.documents.get(split):
                field, remedy = empty_split(corpus, documents, split)
                raise ConfigError(
                    f"{name}.corpus.{field}: the {split} split is empty, and the best model is chosen on valid and "
                    "scored on test",
                    remedy=remedy,
                )
            if name == "target" and documents.labels and not documents.labelled.get(split):
                raise ConfigError(
                    f"target.corpus: none of the {documents.documents[split]:,} documents of the {split} split has a "
                    "label, and classifiers are chosen on labels of valid and scored on labels of test",
                    remedy="Where the labels of an official test set are withheld, leave its documents out, and let "
                    "valid and test be cut from the labelled ones (`valid_share`, `test_share`).",
                )
    if seen := read_before(source, target):
        logger.warning(leak_sentence(seen, target.documents["test"]))
    return source, target


def tokenize_both(experiment: Experiment, source: DocumentsRef, target: DocumentsRef) -> tuple[TokensRef, TokensRef]:
    """Tokenize source and target; the target with the source's tokenizer, unless it has one of its own."""
    source_tokens = tokenize_corpus(source, experiment.source.tokenizer)
    return source_tokens, tokenize_corpus(target, experiment.target.tokenizer or source_tokens, "target")


def tokenize_corpus(
    documents: DocumentsRef, tokenizer: Tokenizer | TokensRef | CheckpointRef, whose: str = "source"
) -> TokensRef:
    """Tokenize documents, with a tokenizer of their own, or that of other tokens or of a model.

    Where the task runner has workers, they encode a large corpus by shards; the tokens are the same to the bit.
    """
    with stage(f"Tokenize the {whose}"):
        return _tokenize(documents, tokenizer)


def _tokenize(documents: DocumentsRef, tokenizer: Tokenizer | TokensRef | CheckpointRef) -> TokensRef:
    pays = has_workers() and not finished_output(tokenize, documents, tokenizer)
    cut = shards(documents) if pays else []
    if not cut:
        return run_step(tokenize, documents, tokenizer)
    known = run_step(train_tokenizer, documents, tokenizer) if isinstance(tokenizer, Tokenizer) else tokenizer
    waiting = [submit_step(encode, documents, known, shard.split, shard.row_groups) for shard in cut]
    return run_step(tokenize, documents, tokenizer, [wait() for wait in waiting])
