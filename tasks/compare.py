"""Step 7: every arm against the baseline; the verdict, for people and for programs."""

import yaml
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.events import emit_event

from rnnlm.evaluation.assemble import assemble
from rnnlm.evaluation.verdict import Verdict
from rnnlm.experiment import Experiment
from rnnlm.refs import CheckpointRef, DocumentsRef, ForgettingRef, ReportRef, ScoreRef, TokensRef
from rnnlm.report import markdown, table, write_report
from rnnlm.store import file_sha256, home, whole_folder
from rnnlm.tasks.step import output_folder, step
from rnnlm.tracking import Run


@step(version=10)
def compare(
    experiment: Experiment,
    source_tokens: TokensRef,
    source: CheckpointRef,
    source_documents: DocumentsRef,
    documents: DocumentsRef,
    tokens: TokensRef,
    scores: list[ScoreRef],
    forgetting: ForgettingRef | None,
) -> ReportRef:
    """Compare all arms with the baseline, and write the report.

    Args:
        experiment: The experiment.
        source_tokens: The source text.
        source: The source model.
        source_documents: The source's documents.
        documents: The target's documents.
        tokens: The target's tokens.
        scores: All cells.
        forgetting: The fine-tuned language model on the source's text; none: there is none.
    """
    verdict = assemble(experiment, source_tokens, source, source_documents, documents, tokens, scores, forgetting)
    folder = home() / "runs" / experiment.name / output_folder().name.removeprefix("compare-")[:12]
    with whole_folder(folder) as work:
        (work / "experiment.yaml").write_text(
            yaml.safe_dump(verdict.configuration, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        write_report(verdict, work)
    # What an automation may wait for; a comparison from the cache is no news.
    emit_event(
        f"rnnlm.verdict.{str(verdict.outcome).replace(' ', '-')}",
        resource={
            "prefect.resource.id": f"rnnlm.experiment.{experiment.name}",
            "prefect.resource.name": experiment.name,
        },
        payload={"summary": verdict.summary},
    )
    return ReportRef(path=folder, sha256=file_sha256(folder / "verdict.json"), verdict=verdict.sentences)


def show(report: ReportRef, parent_run_id: str) -> None:
    """Show a report in Prefect's UI (artifacts of the flow run) and in MLflow (metrics and figures of its run).

    Not part of the cached step: a flow run whose comparison comes from the cache shows it, too.

    Args:
        report: The report.
        parent_run_id: MLflow run of the flow run.
    """
    verdict = Verdict.model_validate_json((report.path / "verdict.json").read_text(encoding="utf-8"))
    create_markdown_artifact(markdown(verdict), key=f"verdict-{verdict.experiment}", description="The verdict")
    create_table_artifact(table(verdict), key=f"scores-{verdict.experiment}", description="Every arm against scratch")
    run = Run.of(parent_run_id)
    means: dict[str, list[float]] = {}
    for cell in verdict.cells:
        for name, value in cell.metrics.items():
            if not name.startswith("valid/"):
                place = f"{cell.task}/{cell.arm}/{name}" + (f"/{cell.labels}_labels" if cell.labels else "")
                means.setdefault(place, []).append(value)
    metrics: dict[str, float] = {place: sum(values) / len(values) for place, values in means.items()}
    for row in verdict.coverage:
        metrics |= {f"coverage/{row.rung}_types": row.types, f"coverage/{row.rung}_tokens": row.tokens}
    if lost := verdict.forgetting:
        metrics |= {"forgetting/bits_per_character": lost.lost.value, "forgetting/low": lost.lost.low}
        metrics |= {"forgetting/high": lost.lost.high}
    for gain in verdict.gains:
        place = f"gain/{gain.task}/{gain.arm}/{gain.metric}" + (f"/{gain.labels}_labels" if gain.labels else "")
        metrics[place] = gain.gain.value
        if gain.outcome != "no claim":
            metrics |= {f"{place}/low": gain.gain.low, f"{place}/high": gain.gain.high}
    run.log_metrics(metrics)
    run.set_tags({"mlflow.note.content": verdict.summary, "rnnlm.verdict": str(verdict.outcome)})
    run.log_folder(report.path, "report")
