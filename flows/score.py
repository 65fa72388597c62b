"""A registered model over files of text: scores of a language model, classes or numbers of a target model."""

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from rnnlm.corpus import fingerprint
from rnnlm.flows.recording import ended
from rnnlm.refs import ScoredRef
from rnnlm.registry.registered import registered
from rnnlm.settings import Corpus
from rnnlm.store import home
from rnnlm.tasks.score import score as score_step
from rnnlm.tasks.step import Prefect


@flow(name="score", flow_run_name="score by {model}", persist_result=True, result_serializer="json")
def score(model: str, corpus: Corpus) -> ScoredRef:
    """Score each document of a corpus by a registered model; what was scored before is not scored again.

    Args:
        model: The registered model, models:/NAME@ALIAS or models:/NAME/VERSION.
        corpus: Where the documents are and how they are read: addresses, format and the column of the text. Nothing is
            split, and nothing left out.
    """
    found = registered(model)
    runner = Prefect()
    scored = runner.run(score_step, found.checkpoint, corpus, fingerprint(corpus, downloads=home() / "downloads"))
    create_markdown_artifact(
        f"{scored.documents:,} documents by {found.model.uri}: `{scored.path / 'scores.parquet'}`",
        key="scores",
        description="Where the scores are",
    )
    return ended(scored, runner)
