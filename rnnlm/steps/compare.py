"""Step 7: every arm against the baseline; the verdict, for people and for programs."""

import yaml

from rnnlm.checksums import checked
from rnnlm.evaluation.assemble import assemble
from rnnlm.evaluation.verdict import Verdict
from rnnlm.experiment import Experiment
from rnnlm.refs import CheckpointRef, ForgettingRef, ReportRef, ScoreRef, Texts
from rnnlm.report import side_by_side, write_report
from rnnlm.steps.step import Place, step
from rnnlm.store import file_sha256, home, whole_folder
from rnnlm.tracking import Tracker


@step(version=23)
def compare(
    place: Place,
    experiment: Experiment,
    texts: Texts,
    source: CheckpointRef,
    scores: list[ScoreRef],
    forgetting: ForgettingRef | None,
) -> ReportRef:
    """Compare all arms with the baseline, and write the report.

    Args:
        place: Where it runs.
        experiment: The experiment.
        texts: What was read and tokenized.
        source: The source model.
        scores: All cells.
        forgetting: The fine-tuned language model on the source's text; None if there is none.
    """
    verdict = assemble(experiment, texts, source, scores, forgetting)
    folder = home() / "runs" / experiment.name / place.folder.name.removeprefix("compare-")[:12]
    with whole_folder(folder) as work:
        (work / "experiment.yaml").write_text(
            yaml.safe_dump(verdict.configuration, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        write_report(verdict, work)
    return ReportRef(path=folder, sha256=file_sha256(folder / "verdict.json"), verdict=verdict.sentences)


def read_verdict(report: ReportRef) -> Verdict:
    """Return the verdict of a report.

    Raises:
        DataError: If its file is damaged, or is no verdict.
    """
    file = checked(report.path / "verdict.json")
    return side_by_side.read_verdict(file.read_text(encoding="utf-8", errors="replace"), str(file))


def record_verdict(report: ReportRef, tracker: Tracker) -> None:
    """Record a verdict: means over seeds as metrics, the sentences as tags, and the report.

    Not part of the cached step: a run whose comparison comes from the cache records it, too.

    Args:
        report: The report.
        tracker: The run.
    """
    verdict = read_verdict(report)
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
    tracker.log_metrics(metrics)
    tracker.set_tags(
        {"mlflow.note.content": verdict.summary, "rnnlm.verdict": str(verdict.outcome)}
        | {f"rnnlm.verdict.{task}": outcome for task, outcome in verdict.outcomes.items()}
    )
    tracker.log_folder(report.path, "report")
