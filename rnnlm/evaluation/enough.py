"""How many documents a judgement needs, and what is said where there are fewer."""

from collections.abc import Mapping

from rnnlm.plan import Plan, validations
from rnnlm.refs import DocumentsRef, ModelKind
from rnnlm.settings import Corpus

# Fewest documents that a claim is made from. The intervals of rnnlm.evaluation.sampling leave out zero, where there is
# nothing to find, in 4 to 6 % of 4,000 simulated comparisons, with four documents as with a hundred. But that is for
# documents that are drawn at random, whose scores follow a normal distribution. Of a dozen real ones, one that is like
# no other can decide; the mean of thirty is nearly normal whatever they are.
LEAST_DOCUMENTS = 30


def few(documents: int) -> bool:
    """Return whether these are too few documents for a claim."""
    return documents < LEAST_DOCUMENTS


def chosen_by(documents: DocumentsRef, cells: Plan) -> dict[tuple[ModelKind, int], int]:
    """Return how many documents choose the models of each task and number of labels.

    Args:
        documents: The target's documents.
        cells: All cells of the comparison.
    """
    of_labels = validations(cells)
    return {
        (cell.task, cell.labels): of_labels[cell.labels].documents if cell.labels else documents.documents["valid"]
        for cell in cells
    }


def small_splits(documents: DocumentsRef, corpus: Corpus, chosen: Mapping[tuple[ModelKind, int], int]) -> list[str]:
    """Say where there are too few documents for a verdict or a recommendation, and what to do.

    Args:
        documents: The target's documents.
        corpus: Where they are from.
        chosen: What `chosen_by` returns.
    """
    of_labels = {labels: number for (task, labels), number in chosen.items() if task != "language_model"}
    said = []
    number, labelled = documents.documents["test"], False
    if of_labels and not few(number) and any(documents.labelled.values()):
        number, labelled = documents.labelled["test"], True
    if few(number):
        said.append(
            f"No claim is made{' about the target task' if labelled else ''}: the target's test split has "
            f"{counted(number, labelled)}, and a verdict needs at least {LEAST_DOCUMENTS}: with fewer, one unusual "
            f"document can decide. {more_documents(corpus, 'target', 'test')}"
        )
    number, remedy = documents.documents["valid"], more_documents(corpus, "target", "valid")
    without = [labels for labels, choosing in of_labels.items() if few(choosing)]
    if ("language_model", 0) in chosen and few(number):
        said.append(
            f"No language model is recommended: the target's validation split has {counted(number)}, and the choice "
            f"needs at least {LEAST_DOCUMENTS}. {remedy}"
        )
    if without:
        numbers = ", ".join(f"{labels:,} ({of_labels[labels]:,})" for labels in without)
        if all(of_labels[labels] == labels for labels in without):  # all of them choose, in a cross-validation
            remedy = "Give more labels."
        said.append(
            f"No arm is recommended with these numbers of labels: {numbers}. In parentheses is how many labelled "
            f"documents choose a model; the choice needs at least {LEAST_DOCUMENTS}. {remedy}"
        )
    return said


def more_documents(corpus: Corpus, name: str, split: str) -> str:
    """Say how a split gets more documents.

    Args:
        corpus: The corpus.
        name: source or target.
        split: valid or test.
    """
    field = f"{name}.corpus"
    if corpus.split:
        ways = [f"give more rows whose column {corpus.split!r} says {split}"]
        if split == "valid":
            ways.append(f"where no row says so, a larger {field}.valid_share")
    elif corpus.format == "aclimdb" and split == "test":
        ways = ["put more files into the folder test/"]
    elif getattr(corpus, split) or (split == "test" and corpus.train):
        ways = [f"give more documents in {field}.{split}"]
    else:
        ways = [f"give a larger {field}.{split}_share", "more documents"]
    if corpus.document == "file" and corpus.label is None and corpus.format in ("auto", "text"):
        ways.append(f"smaller documents, where the text is plain ({field}.document: line or paragraph)")
    text = " or ".join([", ".join(ways[:-1]), ways[-1]] if len(ways) > 1 else ways)
    return f"{text[0].upper()}{text[1:]}."


def counted(documents: int, labelled: bool = False) -> str:
    """Write a number of documents, or of labelled ones."""
    return f"{documents:,} {'labelled ' if labelled else ''}document{'' if documents == 1 else 's'}"
