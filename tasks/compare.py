"""Step 7 as a Prefect task: every arm against the baseline; and the verdict in Prefect's UI."""

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.events import emit_event

from rnnlm.refs import ReportRef
from rnnlm.report import markdown, table
from rnnlm.steps import compare as steps
from rnnlm.tasks.step import task_of

compare = task_of(steps.compare)


def show(report: ReportRef, news: bool) -> None:
    """Show a report as artifacts of the flow run, and emit the event of its verdict.

    Not part of the cached step: a flow run whose comparison comes from the cache shows it, too.

    Args:
        report: The report.
        news: Whether it was made by this flow run. No event is emitted for a comparison from the cache.
    """
    verdict = steps.read_verdict(report)
    create_markdown_artifact(markdown(verdict), key=f"verdict-{verdict.experiment}", description="The verdict")
    create_table_artifact(table(verdict), key=f"scores-{verdict.experiment}", description="Every arm against scratch")
    if not news:
        return
    # What an automation may wait for.
    emit_event(
        f"rnnlm.verdict.{str(verdict.outcome).replace(' ', '-')}",
        resource={
            "prefect.resource.id": f"rnnlm.experiment.{verdict.experiment}",
            "prefect.resource.name": verdict.experiment,
        },
        payload={"summary": verdict.summary},
    )
