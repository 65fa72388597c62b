"""What a source model forgets when it is fine-tuned: it is scored on the source's own test text again."""

import time
from pathlib import Path

import pyarrow.parquet as pq

from rnnlm.evaluation.language_model import score_documents
from rnnlm.model.checkpoint import Checkpoint, set_weights
from rnnlm.model.language_model import LanguageModel
from rnnlm.refs import TokensRef
from rnnlm.store import file_sha256, whole_folder
from rnnlm.tokens import TextTokenizer
from rnnlm.transfer.cell import Fitted, language_model_predictions, read_documents


def score_on_source(fine_tuned: Path, source: TokensRef, final: Path) -> Fitted:
    """Score a fine-tuned language model on the test split of the source text.

    Args:
        fine_tuned: Folder of the language model.
        source: The source text in the tokens of this model.
        final: Folder to write: `predictions.parquet`.
    """
    began = time.perf_counter()
    tokenizer = TextTokenizer.load(source.tokenizer)
    checkpoint = Checkpoint.load(fine_tuned)
    model = LanguageModel(checkpoint.description.settings, tokenizer.size)
    set_weights(model, checkpoint.weights)
    test = read_documents(source, "test")
    scores = score_documents(model, test, bos=tokenizer.bos, eos=tokenizer.eos)
    with whole_folder(final) as folder:
        pq.write_table(language_model_predictions(test, scores), folder / "predictions.parquet")
        sha256 = file_sha256(folder / "predictions.parquet")
    return Fitted(sha256, scores.metrics, time.perf_counter() - began)
