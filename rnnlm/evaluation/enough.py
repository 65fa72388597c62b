"""How many documents a judgement needs, and what is said where there are fewer."""

from rnnlm.refs import DocumentsRef
from rnnlm.settings import Corpus
from rnnlm.targets import TARGETS

# Fewest documents that a claim is made from. The intervals of rnnlm.evaluation.sampling leave out zero, where there is
# nothing to find, in 4 to 6 % of 4,000 simulated comparisons, with four documents as with a hundred. But that is for
# documents that are drawn at random, whose scores follow a normal distribution. Of a dozen real ones, one that is like
# no other can decide; the mean of thirty is nearly normal whatever they are.
LEAST_DOCUMENTS = 30


def few(documents: int) -> bool:
    """Return whether these are too few documents for a claim."""
    return documents < LEAST_DOCUMENTS


def judged_on(documents: DocumentsRef, split: str) -> dict[str, int]:
    """Return the number of documents of a split that each kind of model is judged on."""
    return {"language_model": documents.documents[split]} | dict.fromkeys(TARGETS, documents.labelled[split])


def small_splits(documents: DocumentsRef, corpus: Corpus, with_labels: bool = True) -> list[str]:
    """Say which of the target's splits are too small for a verdict or a recommendation, and what to do.

    Args:
        documents: The target's documents.
        corpus: Where they are from.
        with_labels: Whether models of the target task are compared, where there are labels.
    """
    with_labels = with_labels and any(documents.labelled.values())
    said = []
    number, about = _judged(documents, "test", with_labels)
    if few(number):
        said.append(
            f"No claim is made{about}: the target's test split has {counted(number, bool(about))}, and a verdict needs "
            f"at least {LEAST_DOCUMENTS}: with fewer, one unusual document can decide. "
            f"{more_documents(corpus, 'target', 'test')}"
        )
    number, about = _judged(documents, "valid", with_labels)
    if few(number):
        said.append(
            f"No arm is recommended{about}: the target's validation split has {counted(number, bool(about))}, and the "
            f"choice needs at least {LEAST_DOCUMENTS}. {more_documents(corpus, 'target', 'valid')}"
        )
    return said


def _judged(documents: DocumentsRef, split: str, with_labels: bool) -> tuple[int, str]:
    """Return the fewest documents that something is judged on, and what that is, where the other has enough."""
    if few(documents.documents[split]) or not with_labels:
        return documents.documents[split], ""
    return documents.labelled[split], " about the target task"


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
