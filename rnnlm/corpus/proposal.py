"""Writes an experiment for given files: what it reads, and sizes that fit the data and the machine."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from rnnlm.corpus.advice import FEWEST
from rnnlm.corpus.classes import check_classes
from rnnlm.corpus.scripts import UNSPACED
from rnnlm.corpus.split import split_of
from rnnlm.corpus.survey import Seen, Survey, survey
from rnnlm.errors import ConfigError, DataError
from rnnlm.experiment import check_experiment
from rnnlm.refs import SPLITS
from rnnlm.settings import Corpus

# Characters of a token of subwords, in spaced scripts and in others.
_SPACED, _UNSPACED = 4.0, 1.6
# The number of tokens that a small model reads in about ten minutes on one core.
_TOKENS_PER_CORE = 1_500_000


@dataclass(frozen=True)
class Machine:
    """The machine that an experiment may use."""

    cores: int
    memory: int

    @classmethod
    def here(cls) -> "Machine":
        """Return this machine: the cores that this process may use, and the memory in gigabytes."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cls(cores, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30)


@dataclass(frozen=True)
class Proposal:
    """An experiment that can be run.

    Attributes:
        yaml: The file's content.
        chosen: What was chosen and why, by name.
    """

    yaml: str
    chosen: dict[str, str]


def survey_both(
    target: Sequence[str], source: Sequence[str], downloads: Path, *, text: str | None = None, label: str | None = None
) -> tuple[Survey, Survey]:
    """Look at the files of a target and a source.

    Args:
        target: Addresses of the target's files.
        source: Addresses of the source's files.
        downloads: Folder where downloads are kept.
        text: Column of the target's text; if None, what looks like one.
        label: Column of the label; if None, what looks like one; if empty, there is none.

    Raises:
        ConfigError: If several columns may be the label.
        DataError: If files cannot be read, are of several kinds, or have no column that looks like text.
    """
    of_target = one_kind(survey(target, downloads, text=text, label=label), "target", text_given=text is not None)
    if len(of_target.label_choices) > 1 and label is None:
        names = ", ".join(map(repr, of_target.label_choices))
        remedy = (
            "Name one: `--label COLUMN`, from Python `label=`. For language models alone it is `--label -`, from "
            "Python an empty name."
        )
        raise ConfigError(f"several columns may be the label: {names}.", remedy=remedy)
    return of_target, one_kind(survey(source, downloads, label=""), "source")


def one_kind(surveys: Sequence[Survey], of: str, text_given: bool = False) -> Survey:
    """Return the survey of files of one kind. Files about the data (README) do not count.

    Args:
        surveys: One for each kind of files.
        of: target or source, for messages.
        text_given: Whether the user has named the column of the text.

    Raises:
        DataError: If there are several kinds, files cannot be read, or no column looks like text.
    """
    kinds = [survey for survey in surveys if len(survey.about) < len(survey.files)] or list(surveys)
    if len(kinds) > 1:
        shown = "; ".join(f"{_names(kind)} ({_kind(kind)})" for kind in kinds)
        remedy = "Name the files of one kind, directly or as a glob ('data/*.csv')."
        raise DataError(f"the {of} files are of {len(kinds)} kinds: {shown}.", remedy=remedy)
    kind = kinds[0]
    if kind.problems:
        raise DataError(kind.problems[0])
    text = kind.column(kind.corpus.texts[0])
    if text is not None and text.kind != "text" and not text_given:
        problem = f"no column of {_names(kind)} looks like text ({_kind(kind)})"
        raise DataError(f"{problem}.", remedy="Name it: `--text COLUMN`, from Python `text=`.")
    return kind


def divided(survey: Survey, valid_share: float, test_share: float) -> dict[str, list[Seen]]:
    """Return the documents of each split as reading divides them, without duplicates and overlaps."""
    corpus = survey.corpus
    given = set(survey.splits) if corpus.train or corpus.split or corpus.format == "aclimdb" else set()
    valid_share = 0.0 if "valid" in given else valid_share
    test_share = 0.0 if corpus.split or "test" in given else test_share
    parts: dict[str, dict[bytes, Seen]] = {split: {} for split in SPLITS}
    # Of two copies the one that has a label is kept.
    for document in sorted(survey.documents, key=lambda one: corpus.unlabelled is not None and one.label is None):
        split: str | None = document.split
        if split not in ("valid", "test"):
            in_train = survey.has_labels and document.label is None and not document.group
            split = (
                "train"
                if in_train
                else split_of(document.digest, document.group or None, valid_share=valid_share, test_share=test_share)
            )
        parts[split].setdefault(document.digest, document)
    later = {"train": parts["valid"].keys() | parts["test"].keys(), "valid": parts["test"].keys(), "test": set()}
    return {split: [one for digest, one in some.items() if digest not in later[split]] for split, some in parts.items()}


def propose(target: Survey, source: Survey, name: str, machine: Machine, folder: Path, command: str = "") -> Proposal:
    """Write an experiment for a target and a source.

    Args:
        target: The target's files.
        source: The source's files.
        name: The experiment's name.
        machine: The machine that will run it.
        folder: The folder of the written file. Relative addresses in it start there.
        command: The command that runs it, for the file's first lines.

    Raises:
        ConfigError: If the experiment would not be accepted.
        DataError: If there are too few documents to divide, or the labels do not fit together.
    """
    labelled = target.has_labels
    target_corpus, parts, target_why = _corpus(target, "target", folder)
    source_corpus, source_parts, source_why = _corpus(source, "source", folder)
    if labelled:
        classes = {split: Counter(one.label for one in some if one.label is not None) for split, some in parts.items()}
        check_classes(classes, target.corpus, "target")
    source_corpus |= _excluded(source, target, target_corpus, source_parts, parts)
    sizes = _sizes(source, target, source_parts["train"], parts["train"], machine)
    vocabulary, why = _vocabulary(source, sizes.characters), _tokenizer_why(source, target)
    at_least = "" if source.whole else "at least "
    learnt = [*parts["train"], *parts["valid"]]  # what a classifier is trained and chosen on
    counts = _label_counts(learnt) if labelled else []
    chosen = {
        "machine": f"{machine.cores} cores, {machine.memory} GB of memory",
        "source": f"{source_why}; {at_least}{_round(sizes.tokens)} tokens to train on",
        "target": target_why,
        "tokenizer": f"bpe with {vocabulary:,} subwords: {why}",
        "model": f"width {sizes.width}, {sizes.layers} layer{'s' if sizes.layers > 1 else ''}; {sizes.epochs:g} epochs "
        "of the source",
        "labels": f"{', '.join(map(str, counts))} labelled documents to train and choose classifiers on"
        if labelled
        else "no label column was found: language models alone are compared",
    }
    hidden = f"hidden: {sizes.width * 3 // 2}, " if sizes.layers > 1 else ""
    lines = [
        f"# Written by `rnnlm new`, to be changed. Run it with: {command or f'rnnlm run {name}.yaml'}",
        "#",
        "# Relative addresses start from the folder that the command runs in: run it in this file's folder.",
        "# `rnnlm show FILE` prints all fields; what is left out here has its default.",
        f"name: {name}",
        "",
        f"# For {chosen['machine']}, {at_least}{_round(sizes.tokens)} tokens of source.",
        "# A wider model learns more from more text but takes longer.",
        f"model: {{embedding: {sizes.width}, {hidden}layers: {sizes.layers}}}",
        "",
        "# The source: a language model of this text is trained first.",
        "source:",
        f"  # {source_why}.",
        *_block("corpus", source_corpus, 2),
        f"  # Subwords: {why}.",
        f"  tokenizer: {{kind: bpe, vocabulary_size: {vocabulary}, lowercase: true}}",
        "  language_model:",
        f"    epochs: {sizes.epochs:g} # passes over the source's tokens; more is better but takes longer",
        f"    batch_size: {_batch(sizes.tokens, sizes.window)}",
        f"    window: {sizes.window} # tokens of back-propagation; half of the target's documents are under "
        f"{sizes.middle:.0f}",
        f"    learning_rate: {sizes.rate:g}",
        "",
        "# The target.",
        "target:",
        f"  # {target_why}.",
        *_block("corpus", target_corpus, 2),
        *_target_language_models(sizes, machine),
        *(_target_models(learnt, counts, sizes) if labelled else _no_labels()),
    ]
    text = "\n".join(lines) + "\n"
    check_experiment(yaml.safe_load(text))
    return Proposal(text, chosen)


@dataclass(frozen=True)
class _Sizes:
    """Sizes that fit the texts and the machine.

    Attributes:
        characters: Characters of the source's training documents.
        tokens: Their tokens, about.
        own: Tokens of the target's training documents, about.
        width: Width of the model.
        layers: Number of its layers.
        epochs: Passes over the source.
        rate: Learning rate of language models.
        window: Tokens of back-propagation.
        middle: Tokens of the median document of the target.
        long: Tokens that 95 % of the target's documents do not exceed.
        longest: Tokens of a document that a classifier reads.
    """

    characters: int
    tokens: float
    own: float
    width: int
    layers: int
    epochs: float
    rate: float
    window: int
    middle: float
    long: float
    longest: int


def _sizes(
    source: Survey, target: Survey, of_source: Sequence[Seen], of_target: Sequence[Seen], machine: Machine
) -> _Sizes:
    characters = _characters(of_source)
    tokens, own = characters / _per_token(source), _characters(of_target) / _per_token(target)
    width, layers = _width(tokens, machine)
    lengths = sorted(one.length / _per_token(target) for one in of_target)
    middle, long = lengths[len(lengths) // 2], lengths[int(0.95 * (len(lengths) - 1))]
    return _Sizes(
        characters=characters,
        tokens=tokens,
        own=own,
        width=width,
        layers=layers,
        epochs=_epochs(tokens, width, machine),
        rate=0.01 if width <= 128 else 0.005,
        window=_power(middle, 16, 64),
        middle=middle,
        long=long,
        longest=_step(long, 32, 256 if machine.cores < 8 else 512),
    )


def _target_language_models(sizes: _Sizes, machine: Machine) -> list[str]:
    order = 5 if sizes.own * 400 < machine.memory * (1 << 30) / 4 else 3
    return [
        "  # The source model is fine-tuned on the target's text; another model learns it from scratch.",
        "  language_model:",
        f"    epochs: {_epochs(sizes.own, sizes.width, machine):g}",
        f"    batch_size: {_batch(sizes.own, sizes.window)}",
        f"    window: {sizes.window}",
        f"    learning_rate: {sizes.rate:g}",
        "    evaluations: 2",
        f"  ngram_order: {order} # the traditional language models that the recurrent ones have to beat",
    ]


def _target_models(learnt: Sequence[Seen], counts: Sequence[int | str], sizes: _Sizes) -> list[str]:
    return [
        *_classifier(learnt, sizes.longest, sizes.long),
        "",
        "comparison:",
        "  # scratch: random start. tfidf: no language model. target_text: starts from the target's text alone.",
        "  # parameter: starts from the source, trains all. feature: the source's encoder, frozen.",
        "  arms: [scratch, tfidf, target_text, parameter, feature]",
        "  # Label counts: labelled documents that a classifier is trained and chosen on.",
        f"  # There are {_labelled(learnt):,} outside the test split.",
        f"  labels: [{', '.join(map(str, counts))}]",
        "  seeds: 3 # fewer seeds are faster, more are more certain",
    ]


def _no_labels() -> list[str]:
    return [
        "",
        "# No label: language models alone are compared. If there is one, add `label: COLUMN` to target.corpus;",
        "# if it holds numbers to predict, add `task: regression` to target, too.",
    ]


def _corpus(survey: Survey, of: str, folder: Path) -> tuple[dict[str, Any], dict[str, list[Seen]], str]:
    """Choose how to read and split a corpus. Return its fields, its documents by split, and a sentence about them."""
    _refuse_split(survey)
    labelled = of == "target" and survey.has_labels
    documents = len({one.digest for one in survey.documents})
    if of == "target":
        test = 0.2 if documents < 5_000 else 0.1 if documents < 50_000 else 0.05
        shares = [(0.1 if documents < 50_000 else 0.05, test), (0.2, 0.2), (0.2, 0.3), (0.3, 0.3), (0.4, 0.4)]
    else:
        small = 0.1 if documents < 500 else 0.05 if documents < 5_000 else 0.02 if documents < 100_000 else 0.01
        shares = [(small, small), (0.1, 0.1), (0.2, 0.2), (0.3, 0.3), (0.4, 0.4)]
    wanted = FEWEST if of == "target" else 1
    for least, (valid_share, test_share) in [(least, pair) for least in (wanted, 1) for pair in shares]:
        parts = divided(survey, valid_share, test_share)
        numbers = [_labelled(parts[split]) if labelled else len(parts[split]) for split in SPLITS]
        if min(numbers) >= least and (not labelled or _classes(parts["train"]) > 1):
            break
    else:
        problem = f"the {of}'s {documents:,} different documents cannot be divided into train, valid and test"
        if labelled:
            problem += " so that each has labels and train has two classes"
        remedy = "Give more documents, or smaller ones: text by line or paragraph."
        raise DataError(f"{problem}.", where=", ".join(survey.addresses[:3]), remedy=remedy)
    fields = survey.corpus.model_dump(exclude_unset=True, mode="json", context={"secrets": True})
    for key in ("files", "train", "valid", "test"):
        if key in fields:
            fields[key] = [_relative(address, folder, survey.addresses) for address in fields[key]]
            if not fields[key]:
                del fields[key]
    if of == "source":
        for key in ("label", "unlabelled", "label_pattern"):
            fields.pop(key, None)
    marked = survey.corpus.split or survey.corpus.format == "aclimdb"
    if not survey.corpus.valid and not (marked and survey.splits.get("valid")):
        fields["valid_share"] = valid_share
    if not survey.corpus.test and not marked:
        fields["test_share"] = test_share
    counts = ", ".join(f"{len(parts[split]):,} {split}" for split in SPLITS)
    about = f"{'' if survey.whole else 'of the first '}{documents:,} different documents: {counts}"
    if labelled:
        about += f"; {len(survey.labels)} classes"
    return fields, parts, about


def _refuse_split(survey: Survey) -> None:
    """Leave out a split column that an experiment cannot use: one without train or test rows, or without labels there.

    Where no row is marked valid, the validation split is cut from train.
    """
    if not survey.corpus.split:
        return
    parts = divided(survey, 0.2, 0.0)
    labelled = all(_labelled(parts[split]) for split in SPLITS) if survey.has_labels else True
    if not all(parts.values()) or not labelled:
        survey.corpus = survey.corpus.model_copy(update={"split": None})
        fields = survey.corpus.model_dump(exclude_unset=True)
        del fields["split"]
        survey.corpus = Corpus.model_validate(fields)
        survey.documents = [Seen(one.digest, None, one.label, one.group, one.length) for one in survey.documents]


def _excluded(
    source: Survey,
    target: Survey,
    target_fields: dict[str, Any],
    source_parts: dict[str, list[Seen]],
    parts: dict[str, list[Seen]],
) -> dict[str, Any]:
    """Leave the target's test documents out of a source that is read in the same way.

    Raises:
        DataError: If nothing of the source is left.
    """
    test = {one.digest for one in parts["test"]}
    shared = sum(one.digest in test for split in ("train", "valid") for one in source_parts[split])
    fields = ("format", "encoding", "header", "document", "text", "html_breaks")
    same = all(getattr(source.corpus, name) == getattr(target.corpus, name) for name in fields)
    if not shared or not same or source.format != target.format:
        return {}
    addresses = target_fields.get("test") or target_fields["files"]
    out = test if "test" in target_fields else {one.digest for one in target.documents}
    if any(all(one.digest in out for one in some) for some in source_parts.values()):
        remedy = "Give other text as source: what the target has is read as target anyway."
        raise DataError("the source has no documents that are not the target's.", remedy=remedy)
    return {"exclude": addresses}


def _classifier(learnt: Sequence[Seen], longest: int, long: float) -> list[str]:
    lines = [
        "  classifier:",
        "    epochs: 3",
        f"    max_tokens: {longest} # 95 % of the documents have up to {long:.0f}",
    ]
    labels = [one.label for one in learnt if one.label is not None]
    share = max(labels.count(label) for label in set(labels)) / len(labels)
    if share > 0.8:
        lines.append(f"    select: macro_f1 # one class has {share:.0%} of the documents: accuracy says little")
    if len(labels) < 100:
        lines.append("    batch_size: 8 # few labelled documents")
    return lines


def _label_counts(learnt: Sequence[Seen]) -> list[int | str]:
    """Return the label counts to compare: each well below the next, with some documents of each class."""
    there, classes = _labelled(learnt), _classes(learnt)
    counts = [count for count in (100, 500, 2_000) if 5 * classes <= count <= 0.7 * there]
    fewer = [count for count in (20, 50) if 5 * classes <= count <= 0.7 * there]
    return [*(counts or fewer)[:2], "all"]


def _labelled(documents: Sequence[Seen]) -> int:
    return sum(one.label is not None for one in documents)


def _classes(documents: Sequence[Seen]) -> int:
    return len({one.label for one in documents if one.label is not None})


def _characters(documents: Sequence[Seen]) -> int:
    return sum(one.length for one in documents)


def _unspaced(survey: Survey) -> bool:
    return sum(share for script, share in survey.scripts.items() if script in UNSPACED) > 0.2


def _per_token(survey: Survey) -> float:
    return _UNSPACED if _unspaced(survey) else _SPACED


def _vocabulary(source: Survey, characters: int) -> int:
    """Return a vocabulary size for this much text. Scripts with many characters need room for them."""
    size = next(
        (size for most, size in ((100_000, 500), (1_000_000, 2_000), (20_000_000, 5_000)) if characters < most), 10_000
    )
    different = sum(not character.isascii() for character in source.characters)
    return (
        min(16_000, max(size, 1_000 * (different * 17 // 10_000)))
        if _unspaced(source) and characters > 1_000_000
        else size
    )


def _tokenizer_why(source: Survey, target: Survey) -> str:
    main = [set(list(survey.scripts)[:1]) for survey in (source, target)]
    if _unspaced(source) or _unspaced(target):
        return "there are no spaces between words"
    if main[0] != main[1]:
        return "source and target are in different scripts"
    if sum(share > 0.05 for share in source.scripts.values()) > 1:
        return "the text is in several scripts"
    return "no word of the target is unknown, whatever the source has"


def _width(tokens: float, machine: Machine) -> tuple[int, int]:
    """Return the width and the number of layers of the model, by the size of the text and of the machine."""
    if tokens < 100_000:
        return 32, 1
    if tokens < 1_000_000:
        return 64, 1
    if tokens < 5_000_000 or machine.cores < 4:
        return 128, 2
    return (256, 2) if tokens < 50_000_000 or machine.cores < 16 else (400, 2)


def _epochs(tokens: float, width: int, machine: Machine) -> float:
    """Return the number of epochs: many for a small text, for a large one as many as fit into about ten minutes."""
    budget = _TOKENS_PER_CORE * machine.cores * min(1.0, 128 / width)
    epochs = budget / max(1.0, tokens)
    return float(min(10, int(epochs))) if epochs >= 1 else max(0.1, round(epochs, 1))


def _batch(tokens: float, window: int) -> int:
    """Return the batch size. It is smaller if an epoch would have only a few steps."""
    return next((batch for batch in (64, 32, 16, 8) if tokens / (batch * window) >= 100), 4)


def _power(value: float, least: int, most: int) -> int:
    return next((size for size in (least << step for step in range(8)) if size >= min(value, most)), most)


def _step(value: float, step: int, most: int) -> int:
    return int(min(most, max(step, -(-value // step) * step)))


def _round(number: float) -> str:
    digits = len(str(int(number)))
    return f"{round(number, min(0, 2 - digits)):,.0f}"


def _block(name: str, fields: dict[str, Any], indent: int) -> list[str]:
    """Return settings as lines of YAML."""
    text = yaml.dump({name: fields}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4_096)
    return [" " * indent + line for line in text.splitlines()]


class _Dumper(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        # Lists are indented below their key.
        super().increase_indent(flow, False)


def _relative(address: str, folder: Path, given: Sequence[str]) -> str:
    """Return an address for a file in a folder: relative to the folder, except absolute paths that were given so."""
    *links, last = [address] if Path(address).exists() else address.split("::")
    if "://" in last or any(Path(one.rpartition("::")[2]).is_absolute() for one in given):
        return address
    return "::".join([*links, os.path.relpath(last, folder)])


def _names(survey: Survey) -> str:
    names = [file.name for file in survey.files]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _kind(survey: Survey) -> str:
    columns = ", ".join(column.name for column in survey.columns)
    encoding = "" if survey.corpus.encoding == "auto" else f", {survey.corpus.encoding}"
    return f"{survey.format}{encoding}" + (f"; columns {columns}" if columns else "")


def name_of(addresses: Sequence[str]) -> str:
    """Return a name for an experiment by the first address of its target."""
    stem = re.sub(r"\*.*", "", addresses[0].rpartition("::")[2]).rstrip("/").rpartition("/")[2].partition(".")[0]
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:60] or "experiment"
