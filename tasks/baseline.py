"""Step 6: what the target task comes to without the source, under the same conditions as the arms of step 5."""

from rnnlm.plan import CellSpec
from rnnlm.refs import DocumentsRef, Ref, ScoreRef, TokensRef
from rnnlm.tasks.cell import compute
from rnnlm.tasks.step import step


@step(version=1, run_name="baseline {spec.id.title}")
def baseline(
    spec: CellSpec, needs: list[Ref], texts: list[TokensRef], documents: DocumentsRef | None, parent_run_id: str
) -> ScoreRef:
    """Compute a cell that owes nothing to the source.

    Args:
        spec: The cell: what is trained, counted or solved, and with which settings.
        needs: What it needs: a language model of the target's text alone, or other baselines.
        texts: The target's text.
        documents: The target's documents, for cells that count their words.
        parent_run_id: MLflow run of the flow run.
    """
    return compute(spec, needs, texts, documents, parent_run_id)
