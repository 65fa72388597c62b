"""Step 1: text files to cleaned and split documents."""

from rnnlm.corpus import ingest as ingest_corpus
from rnnlm.refs import DocumentsRef
from rnnlm.settings import Corpus
from rnnlm.store import home
from rnnlm.tasks.step import logger, output_folder, step


@step(version=3)
def ingest(corpus: Corpus, fingerprint: str) -> DocumentsRef:
    """Read, clean and split the documents of a corpus.

    Args:
        corpus: Where the text lies and how it is cleaned and split.
        fingerprint: Digest of what the corpus' addresses hold now; with it new text is seen as new.
    """
    documents = ingest_corpus(corpus, output_folder(), downloads=home() / "downloads")
    dropped = {reason: count for reason, count in documents.dropped.items() if count}
    logger.info("Documents %s, dropped %s, overlap %s", documents.documents, dropped, documents.overlap)
    return documents
