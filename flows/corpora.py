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
from tasks.step import finished_output, has_workers, run_step, submit_step
from tasks.tokenize import encode, tokenize, train_tokenizer

logger = logging.getLogger("rnnlm.steps")


def read(corpus: Corpus) -> DocumentsRef:
    """Read a corpus; new text at its addresses is seen as new."""
    return run_step(ingest, corpus, fingerprint(corpus, downloads=home() / "downloads"))


def read_both(experiment: Experiment) -> tuple[DocumentsRef, DocumentsRef]:
    """Read source and target, and check that the experiment fits them before anything is trained.

    Raises:
        ConfigError: If there are fewer labels than are wanted, or a split is empty.
    """
    if experiment.language_models_alone:
        why = "comparison.arms is empty" if experiment.target.corpus.labelled else "the target has no labels"
        logger.info("Language models alone are compared, no classifiers: %s.", why)
    source, target = read(experiment.source.corpus), read(experiment.target.corpus)
    labelled = target.labelled.get("train", 0)
    for size in experiment.comparison.labels:
        if isinstance(size, int) and size > labelled:
            raise ConfigError(
                f"comparison.labels: {size:,} labels are wanted, the target's training split has {labelled:,}",
                remedy=f"Give numbers up to {labelled:,}, or `all`.",
            )
    check_splits("source", experiment.source.corpus, source)
    check_splits("target", experiment.target.corpus, target)
    for split in () if experiment.language_models_alone else ("valid", "test"):
        if target.labels and not target.labelled.get(split):
            raise ConfigError(
                f"target.corpus: none of the {target.documents[split]:,} documents of the {split} split has a "
                "label, and classifiers are chosen on labels of valid and scored on labels of test",
                remedy="Where the labels of an official test set are withheld, leave its documents out, and let "
                "valid and test be cut from the labelled ones (`valid_share`, `test_share`).",
            )
    if seen := read_before(source, target):
        logger.warning(leak_sentence(seen, target.documents["test"]))
    return source, target


def check_splits(name: str, corpus: Corpus, documents: DocumentsRef) -> None:
    """Check that a corpus has what its best model is chosen on and scored on.

    Args:
        name: source or target.
        corpus: Its settings.
        documents: Its documents.

    Raises:
        ConfigError: If a split is empty.
    """
    for split in ("valid", "test"):
        if not documents.documents.get(split):
            field, remedy = empty_split(corpus, documents, split)
            raise ConfigError(
                f"{name}.corpus.{field}: the {split} split is empty, and the best model is chosen on valid and "
                "scored on test",
                remedy=remedy,
            )


def tokenize_both(experiment: Experiment, source: DocumentsRef, target: DocumentsRef) -> tuple[TokensRef, TokensRef]:
    """Tokenize source and target; the target with the source's tokenizer, unless it has one of its own."""
    source_tokens = tokenize_corpus(source, experiment.source.tokenizer)
    return source_tokens, tokenize_corpus(target, experiment.target.tokenizer or source_tokens)


def tokenize_corpus(documents: DocumentsRef, tokenizer: Tokenizer | TokensRef | CheckpointRef) -> TokensRef:
    """Tokenize documents, with a tokenizer of their own, or that of other tokens or of a model.

    Where the task runner has workers, they encode a large corpus by shards; the tokens are the same to the bit.
    """
    pays = has_workers() and not finished_output(tokenize, documents, tokenizer)
    cut = shards(documents) if pays else []
    if not cut:
        return run_step(tokenize, documents, tokenizer)
    known = run_step(train_tokenizer, documents, tokenizer) if isinstance(tokenizer, Tokenizer) else tokenizer
    waiting = [submit_step(encode, documents, known, shard.split, shard.row_groups) for shard in cut]
    return run_step(tokenize, documents, tokenizer, [wait() for wait in waiting])
