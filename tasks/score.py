"""What a registered model says of documents in files."""

from rnnlm.refs import CheckpointRef, ScoredRef
from rnnlm.settings import Corpus
from rnnlm.steps.step import Place, logger, step
from rnnlm.store import file_sha256, home


@step(version=1)
def score(place: Place, checkpoint: CheckpointRef, corpus: Corpus, fingerprint: str) -> ScoredRef:
    """Ask a model about each document: scores, classes or numbers.

    Args:
        place: Where it runs.
        checkpoint: The model.
        corpus: Where the documents are and how they are read.
        fingerprint: Digest of what the addresses hold now; with it new text is seen as new.
    """
    from rnnlm.corpus.addresses import resolve
    from rnnlm.inference.batch import score_files
    from rnnlm.inference.trained import Trained

    folder = place.folder
    files = resolve(corpus, downloads=home() / "downloads")
    documents = score_files(Trained.load(checkpoint.path), files, corpus, folder)
    logger.info("%d documents in %s", documents, folder / "scores.parquet")
    return ScoredRef(path=folder, sha256=file_sha256(folder / "scores.parquet"), documents=documents)
