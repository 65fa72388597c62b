"""What a source model forgets when it is fine-tuned: it is scored on the source's own test text again."""

from pathlib import Path

import pyarrow.parquet as pq

from rnnlm.evaluation.language_model import score_documents
from rnnlm.model.checkpoint import Checkpoint
from rnnlm.refs import TokensRef
from rnnlm.store import whole_folder
from rnnlm.transfer.cell import language_model_predictions, read_documents


def score_on_source(models: dict[str, Path], source: TokensRef, final: Path) -> dict[str, dict[str, float]]:
    """Score language models on the test split of the source text.

    Args:
        models: Folders of the models, by name; all have the vocabulary of the tokens.
        source: The source text in the tokens of these models.
        final: Folder to write: `NAME.parquet`.

    Returns:
        The metrics of each.
    """
    test = read_documents(source, "test")
    metrics = {}
    with whole_folder(final) as folder:
        for name, path in models.items():
            model = Checkpoint.load(path).language_model()
            scores = score_documents(model, test)
            pq.write_table(language_model_predictions(test, scores), folder / f"{name}.parquet")
            metrics[name] = scores.metrics
    return metrics
