"""Warnings about the content of files."""

from collections import defaultdict

from rnnlm.corpus.classes import RARE, check_classes, shown
from rnnlm.corpus.columns import number_of
from rnnlm.corpus.scripts import UNSPACED
from rnnlm.corpus.survey import TABLES, Survey
from rnnlm.errors import RnnlmError
from rnnlm.refs import SPLITS

# With fewer documents, a comparison can hardly say anything.
FEW = 200
# Share of the documents in one class above which the other classes hardly count.
_ONE_CLASS = 0.98
# With fewer test documents, no claim is made.
FEWEST = 30
# Share of characters that do not occur in text.
_STRANGE = 0.01


def warnings_of(survey: Survey) -> list[str]:
    """Return what may go wrong with the files of a survey, each in one or two sentences."""
    found = [f"Cannot be read completely: {problem}" for problem in survey.problems]
    found += [*_about_files(survey), *_about_columns(survey), *_about_documents(survey), *_about_labels(survey)]
    return [*found, *_about_splits(survey)]


def _about_files(survey: Survey) -> list[str]:
    found = []
    if survey.about and len(survey.about) < len(survey.files):
        found.append(f"{survey.about[0].name} seems to be about the data, and would be read as data. Leave it out.")
    if survey.corpus.encoding != "auto":
        found.append(f"The files are not UTF-8; they seem to be {survey.corpus.encoding}: set `encoding`.")
    if survey.head.format is None:
        found.append(f"The ending tells no format; it looks like {survey.format}: set `format`.")
    if survey.format in ("csv", "tsv") and not survey.head.header:
        found.append("The first row seems to be data: set `header: false`, and give columns by number.")
    return found


def _about_columns(survey: Survey) -> list[str]:
    found = []
    text, label = survey.column(survey.corpus.texts[0]), survey.column(survey.corpus.label)
    if survey.format in TABLES and text is not None and text.kind != "text":
        found.append(f"No column looks like text; the longest is {text.name!r}, which looks like {_what(text.kind)}.")
    for column in survey.columns:
        named = column.name.strip().lower() in ("label", "class", "category", "target")
        if column.nearly_unique and (column is label or (named and column.kind != "text")):
            problem = f"nearly every value of the column {column.name!r} is different"
            found.append(f"{problem[0].upper()}{problem[1:]}: it is an id, not a label.")
    if len(survey.label_choices) > 1 and label is None:
        names = ", ".join(map(repr, survey.label_choices))
        found.append(f"Several columns have few values: {names}. Name the label column.")
    return found


def _about_documents(survey: Survey) -> list[str]:
    found = []
    lengths = survey.lengths
    documents, characters = len(lengths), sum(lengths)
    if documents == 1:
        found.append("There is one document only; a comparison needs many (`document: line` or `paragraph`).")
    elif documents < FEW and not survey.problems:
        found.append(f"There are {documents:,} documents: too few for a comparison that says much.")
    if documents > 1 and lengths[-1] > characters / 2:
        found.append(f"One document has {lengths[-1]:,} of all {characters:,} characters.")
    spaced = survey.words / max(1, documents)
    unspaced = [script for script, share in survey.scripts.items() if script in UNSPACED and share > 0.2]
    if unspaced:
        what = " and ".join(unspaced)
        found.append(f"{what} is written without spaces: a word tokenizer finds no words (`kind: bpe` or `unigram`).")
    elif documents >= FEW and spaced < 1.5:
        found.append("Most documents are one word. Tagged text with a token in each line is not read as documents.")
    if survey.strange > _STRANGE * max(1, survey.characters.total()):
        found.append(f"{survey.strange:,} characters are control characters or U+FFFD: the text may be damaged.")
    if survey.duplicates > 0.01 * documents:
        found.append(f"{survey.duplicates:,} documents have the text of another one in their split; they are dropped.")
    return found


def _about_labels(survey: Survey) -> list[str]:
    found = []
    labels, unlabelled = survey.labels, survey.unlabelled
    if unlabelled and survey.corpus.unlabelled is not None:
        value = repr(survey.corpus.unlabelled) if survey.corpus.unlabelled else "nothing"
        problem = f"{unlabelled:,} documents have no label ({value} in the column {survey.corpus.label!r})"
        found.append(f"{problem}: they are text for language models alone.")
    by_number = defaultdict(list)
    for label in labels:
        if (number := number_of(label)) is not None:
            by_number[number].append(label)
    found += [
        f"{' and '.join(map(repr, same))} are two classes here, and look like one number."
        for same in by_number.values()
        if len(same) > 1
    ]
    if any("." in label and number_of(label) is not None for label in labels):
        found.append("The labels are written with a decimal point (1.0). In another file 1 would be another class.")
    if labels:
        label, count = labels.most_common(1)[0]
        share = count / labels.total()
        if len(labels) > 1 and share >= _ONE_CLASS:
            found.append(f"{share:.1%} of the labelled documents are {label!r}: accuracy says little about the others.")
        if len(labels) == 1:
            found.append(f"All labelled documents are {label!r}: a classifier needs two classes.")
        if rare := {label: count for label, count in labels.items() if count < RARE}:
            found.append(f"{len(rare)} of {len(labels)} classes have fewer than {RARE} documents: {shown(rare)}.")
    return found


def _about_splits(survey: Survey) -> list[str]:
    found = []
    for pair, count in survey.overlap.items():
        one, other = pair.split("+")
        found.append(f"{count:,} texts are in {one} and in {other} (a leak); they are taken out of {one}.")
    if not survey.splits:
        return [*found, *_unused_split(survey)]
    if survey.corpus.split:
        missing = [split for split in SPLITS if not survey.splits.get(split)]
        if missing:
            problem = f"The column {survey.corpus.split!r} has no {' and no '.join(missing)} rows"
            found.append(f"{problem}. An experiment needs all three; without `split` the splits are cut by share.")
    if 0 < survey.splits.get("test", 0) < FEWEST:
        found.append(
            f"The test split has {survey.splits['test']} documents: no claim is made from fewer than {FEWEST}."
        )
    classes = survey.classes
    missing = [
        split for split in ("valid", "test") if survey.has_labels and survey.splits.get(split) and not classes[split]
    ]
    found += [f"None of the {survey.splits[split]:,} {split} documents has a label." for split in missing]
    if survey.labels and not missing and survey.splits.get("test"):
        # A missing split is cut from train.
        there = classes if survey.splits.get("valid") else classes | {"valid": classes["train"]}
        try:
            found += check_classes(there, survey.corpus, "target")
        except RnnlmError as error:
            found.append(str(error))
    return found


def _unused_split(survey: Survey) -> list[str]:
    found = []
    for column in survey.columns:
        if column.kind == "split" and column.name != survey.corpus.split:
            values = ", ".join(map(repr, list(column.values)[:5]))
            problem = f"The column {column.name!r} seems to name splits, but holds {values}"
            found.append(f"{problem}; accepted are 'train', 'valid' and 'test' in every row.")
    return found


def _what(kind: str) -> str:
    return {"id": "an id", "other": "nothing in particular", "empty": "an empty one"}.get(kind, f"a {kind}")
