"""What all flows begin with: an experiment's texts, read and tokenized.

The steps are the same in all of them: what one has done, the others have from the cache.
"""

import logging

from rnnlm.corpus import check_classes, class_counts, empty_split, fingerprint, leak_sentence, read_before
from rnnlm.errors import ConfigError
from rnnlm.evaluation.caveats import unknown_sentences
from rnnlm.evaluation.enough import small_splits
from rnnlm.experiment import Experiment
from rnnlm.refs import CheckpointRef, DocumentsRef, TokensRef
from rnnlm.settings import Corpus, Tokenizer
from rnnlm.store import home
from rnnlm.tasks.ingest import ingest
from rnnlm.tasks.observe import stage
from rnnlm.tasks.step import finished_output, has_workers, run_step, submit_step
from rnnlm.tasks.tokenize import encode, tokenize, train_tokenizer
from rnnlm.tokens import shards

logger = logging.getLogger("rnnlm.steps")


def read(corpus: Corpus, whose: str = "source") -> DocumentsRef:
    """Read a corpus, the source's or the target's; new text at its addresses is seen as new."""
    with stage(f"Read the {whose}"):
        return run_step(ingest, corpus, fingerprint(corpus, downloads=home() / "downloads"))


def read_both(experiment: Experiment) -> tuple[DocumentsRef, DocumentsRef]:
    """Read source and target, and check that the experiment fits them before anything is trained.

    Raises:
        ConfigError: If a split is empty or without labels, the labels are no classes, or there are fewer of them than
            are wanted.
        DataError: If the classes of the splits do not fit together.
    """
    if experiment.language_models_alone:
        why = "comparison.arms is empty" if experiment.target.corpus.labelled else "the target has no labels"
        logger.info("Language models alone are compared, no classifiers: %s.", why)
    # The target first: it is checked before a large source is read.
    target = read(experiment.target.corpus, "target")
    check_splits("target", experiment.target.corpus, target)
    if target.labels and not experiment.language_models_alone:
        _check_labels(target, experiment)
    for warning in small_splits(target, experiment.target.corpus, not experiment.language_models_alone):
        logger.warning(warning)
    source = read(experiment.source.corpus)
    check_splits("source", experiment.source.corpus, source)
    if experiment.source.task == "classification":
        for warning in check_classes(class_counts(source), experiment.source.corpus, "source"):
            logger.warning(warning)
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


def _check_labels(target: DocumentsRef, experiment: Experiment) -> None:
    classes = class_counts(target)
    for warning in check_classes(classes, experiment.target.corpus, "target"):
        logger.warning(warning)
    labelled, fewest = sum(classes["train"].values()), len(classes["train"])
    for size in experiment.comparison.labels:
        if isinstance(size, int) and not fewest <= size <= labelled:
            problem = (
                f"{size:,} labels are wanted, the target's training split has {labelled:,}"
                if size > labelled
                else f"{size:,} labels are wanted, the target has {fewest:,} classes: most would be in none of them"
            )
            raise ConfigError(
                f"comparison.labels: {problem}", remedy=f"Give numbers from {fewest:,} to {labelled:,}, or `all`."
            )


def tokenize_both(experiment: Experiment, source: DocumentsRef, target: DocumentsRef) -> tuple[TokensRef, TokensRef]:
    """Tokenize source and target; the target with the source's tokenizer, unless it has one of its own."""
    source_tokens = tokenize_corpus(source, experiment.source.tokenizer)
    target_tokens = tokenize_corpus(target, experiment.target.tokenizer or source_tokens, "target")
    for warning in unknown_sentences(source_tokens, target_tokens, experiment.target.tokenizer):
        logger.warning(warning)
    return source_tokens, target_tokens


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
