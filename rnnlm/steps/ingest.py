"""Step 1: text files to cleaned and split documents, and what the source shares with the target's test split."""

from rnnlm.corpus import find_passages as find_passages_of
from rnnlm.corpus import ingest as ingest_corpus
from rnnlm.refs import DocumentsRef, LabelKind, PassagesRef
from rnnlm.settings import Corpus
from rnnlm.steps.step import Place, logger, step
from rnnlm.store import home


@step(version=4)
def ingest(place: Place, corpus: Corpus, fingerprint: str, label_kind: LabelKind = "class") -> DocumentsRef:
    """Read, clean and split the documents of a corpus.

    Args:
        place: Where it runs.
        corpus: Where the text is and how it is cleaned and split.
        fingerprint: Digest of what the corpus' addresses hold now; with it new text is seen as new.
        label_kind: What the labels are.
    """
    documents = ingest_corpus(corpus, place.folder, downloads=home() / "downloads", label_kind=label_kind)
    dropped = {reason: count for reason, count in documents.dropped.items() if count}
    logger.info("Documents %s, dropped %s, overlap %s", documents.documents, dropped, documents.overlap)
    return documents


@step(version=1)
def find_passages(place: Place, source: DocumentsRef, target: DocumentsRef) -> PassagesRef:
    """Look for passages of the target's test documents in the training and validation text of source and target.

    Args:
        place: Where it runs.
        source: The source's documents.
        target: The target's.
    """
    return find_passages_of(source, target, place.folder)
