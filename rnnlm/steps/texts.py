"""What every run begins with: an experiment's texts, read and tokenized.

The steps are the same in all of them: what one has done, the others have from the cache.
"""

from collections.abc import Mapping, Sequence

from rnnlm.arms import ARMS, AsItIs, Solved
from rnnlm.corpus import (
    check_classes,
    check_numbers,
    check_tags,
    class_counts,
    empty_split,
    entity_counts,
    fingerprint,
    leak_sentence,
    numbers_of,
    passages_warning,
    read_before,
)
from rnnlm.corpus.classes import shown
from rnnlm.errors import ConfigError, DataError
from rnnlm.evaluation.caveats import unknown_sentences
from rnnlm.evaluation.enough import chosen_by, small_splits
from rnnlm.experiment import Experiment, all_labels
from rnnlm.plan import plan
from rnnlm.refs import SPLITS, CheckpointRef, DocumentsRef, LabelKind, PassagesRef, Texts, TokensRef
from rnnlm.settings import Corpus, Tokenizer
from rnnlm.steps.ingest import find_passages, ingest
from rnnlm.steps.observe import stage
from rnnlm.steps.runner import Runner
from rnnlm.steps.step import logger
from rnnlm.steps.tokenize import encode, tokenize, train_tokenizer
from rnnlm.store import home
from rnnlm.tokens import read_text, shards


def prepare_texts(experiment: Experiment, runner: Runner) -> Texts:
    """Read and tokenize source and target, and check that the experiment fits them.

    Raises:
        ConfigError: If a split is empty or without labels, the labels are no classes, or there are fewer of them than
            are wanted.
        DataError: If the classes of the splits do not fit together.
    """
    source, target, passages = read_both(experiment, runner)
    return Texts(source, target, passages, *tokenize_both(experiment, source, target, runner))


def read(corpus: Corpus, runner: Runner, whose: str = "source", label_kind: LabelKind = "class") -> DocumentsRef:
    """Read a corpus, the source's or the target's; new text at its addresses is seen as new."""
    with stage(f"Read the {whose}"):
        return runner.run(ingest, corpus, fingerprint(corpus, downloads=home() / "downloads"), label_kind)


def read_both(experiment: Experiment, runner: Runner) -> tuple[DocumentsRef, DocumentsRef, PassagesRef]:
    """Read source and target, and check that the experiment fits them before anything is trained.

    Returns:
        The source's documents, the target's, and the passages that they share.

    Raises:
        ConfigError: If a split is empty or without labels, the labels are no classes, or there are fewer of them than
            are wanted.
        DataError: If the classes of the splits do not fit together.
    """
    if experiment.language_models_alone:
        why = "comparison.arms is empty" if experiment.target.corpus.labelled else "the target has no labels"
        logger.info("Language models alone are compared, no models of labels: %s.", why)
    # The target first: it is checked before a large source is read.
    target = read(experiment.target.corpus, runner, "target", experiment.target.target_task.labels)
    check_splits("target", experiment.target.corpus, target)
    if not experiment.language_models_alone:
        _check_labels(target, experiment)
    for warning in small_splits(target, experiment.target.corpus, chosen_by(target, plan(experiment, target.labelled))):
        logger.warning(warning)
    source = read(experiment.source.corpus, runner)
    check_splits("source", experiment.source.corpus, source)
    if experiment.source.task == "classification":
        classes = class_counts(source)
        for warning in check_classes(classes, experiment.source.corpus, "source"):
            logger.warning(warning)
        _check_shared_classes(experiment, classes["train"], target.labels)
    if seen := read_before(source, target):
        logger.warning(leak_sentence(seen, target.documents["test"]))
    with stage("Look for shared passages"):
        passages = runner.run(find_passages, source, target)
    if warning := passages_warning(passages):
        logger.warning(warning)
    return source, target, passages


def _check_shared_classes(experiment: Experiment, source: Mapping[str, int], target: Sequence[str]) -> None:
    """Refuse arms that need the source's labels, where the source lacks a class of the target."""
    needing = (Solved(source_labels=True), AsItIs())
    arms = [name for name in experiment.comparison.arms if ARMS[name].target in needing]
    if arms and (missing := [label for label in target if not source.get(label)]):
        raise ConfigError(
            f"comparison.arms: `{arms[0]}` needs the target's classes in the source, and no training document of the "
            f"source is of the class {missing[0]!r}",
            where="source.corpus.label",
            remedy=f"The source has {shown(source)}, the target {shown(dict.fromkeys(target, 0))}. Leave "
            f"`{arms[0]}` out, or write the labels of one as the other does.",
        )


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
    corpus = experiment.target.corpus
    if target.label_kind == "class":
        classes = class_counts(target)
        warnings, fewest = check_classes(classes, corpus, "target"), len(classes["train"])
    elif target.label_kind == "number":
        warnings, fewest = check_numbers(numbers_of(target), corpus, "target"), 2
    else:
        warnings, fewest = check_tags(entity_counts(target), target.labelled, corpus, "target"), 2
    for warning in warnings:
        logger.warning(warning)
    counted = experiment.comparison.counts_validation
    labelled = all_labels(counted, target.labelled)
    where = "training and validation splits have" if counted else "training split has"
    for size in experiment.comparison.labels:
        if isinstance(size, int) and not fewest <= size <= labelled:
            problem = (
                f"{size:,} labels are wanted, the target's {where} {labelled:,}"
                if size > labelled
                else f"{size:,} labels are wanted, the target has {fewest:,} classes: most would be in none of them"
            )
            raise ConfigError(
                f"comparison.labels: {problem}", remedy=f"Give numbers from {fewest:,} to {labelled:,}, or `all`."
            )


def tokenize_both(
    experiment: Experiment, source: DocumentsRef, target: DocumentsRef, runner: Runner
) -> tuple[TokensRef, TokensRef]:
    """Tokenize source and target; the target with the source's tokenizer, unless it has one of its own."""
    source_tokens = tokenize_corpus(source, experiment.source.tokenizer, runner)
    target_tokens = tokenize_corpus(target, experiment.target.tokenizer or source_tokens, runner, "target")
    if target.label_kind == "tags" and not experiment.language_models_alone:
        _check_lengths(target_tokens, experiment.target.training.max_tokens)
    for warning in unknown_sentences(source_tokens, target_tokens, experiment.target.tokenizer):
        logger.warning(warning)
    return source_tokens, target_tokens


def _check_lengths(tokens: TokensRef, most: int) -> None:
    """Refuse documents whose words could not all be read, before anything is trained."""
    for split in SPLITS:
        text = read_text(tokens, split, mapped=True).labelled()
        if len(text) and (longest := int(text.lengths.max())) > most:
            raise DataError(
                f"the document has {longest:,} tokens, and target.tagger.max_tokens is {most:,}",
                where=str(text.document_ids[text.lengths.argmax()]),
                remedy="Split it into sentences, or set a larger target.tagger.max_tokens.",
            )


def tokenize_corpus(
    documents: DocumentsRef,
    tokenizer: Tokenizer | TokensRef | CheckpointRef,
    runner: Runner,
    whose: str = "source",
) -> TokensRef:
    """Tokenize documents, with a tokenizer of their own, or that of other tokens or of a model.

    Where the runner has workers, they encode a large corpus by shards; the tokens are the same to the bit.
    """
    with stage(f"Tokenize the {whose}"):
        return _tokenize(documents, tokenizer, runner)


def _tokenize(documents: DocumentsRef, tokenizer: Tokenizer | TokensRef | CheckpointRef, runner: Runner) -> TokensRef:
    pays = runner.parallel and tokenize.known(tokenize.arguments(documents, tokenizer)) is None
    cut = shards(documents) if pays else []
    if not cut:
        return runner.run(tokenize, documents, tokenizer)
    known = runner.run(train_tokenizer, documents, tokenizer) if isinstance(tokenizer, Tokenizer) else tokenizer
    waiting = [runner.submit(encode, documents, known, shard.split, shard.row_groups) for shard in cut]
    return runner.run(tokenize, documents, tokenizer, [wait() for wait in waiting])
