"""From the cells on disk to the verdict."""

import json
import platform
from functools import partial
from importlib import metadata
from pathlib import Path

import pyarrow.parquet as pq

from rnnlm.checksums import checked
from rnnlm.corpus import leak_sentence, read_before
from rnnlm.evaluation.alone import registered_sentence, weak_baseline_sentence
from rnnlm.evaluation.caveats import (
    added_seeds_sentence,
    left_out_sentences,
    mean_sentence,
    shared_start_sentence,
    unknown_sentences,
    unknown_share,
    validation_sentence,
)
from rnnlm.evaluation.classes import confusions
from rnnlm.evaluation.comparison import (
    Predictions,
    Rules,
    gains,
    gains_beyond_target_text,
    gains_over_tradition,
    seeds_wanted,
    verdict_sentences,
)
from rnnlm.evaluation.contamination import shared_sentence, without_shared_passages
from rnnlm.evaluation.enough import chosen_by, small_splits
from rnnlm.evaluation.examples import examples_of
from rnnlm.evaluation.forgetting import forgetting
from rnnlm.evaluation.label_curve import label_curves, more_labels_sentence
from rnnlm.evaluation.label_equivalence import equivalence_sentence, label_equivalences
from rnnlm.evaluation.predictions import predictions_of
from rnnlm.evaluation.promotion import best_cell
from rnnlm.evaluation.recommendation import outcome, outcomes, recommend, recommendation_sentence
from rnnlm.evaluation.summary import summary
from rnnlm.evaluation.verdict import SCHEMA_VERSION, Cell, Coverage, Forgetting, Point, Verdict
from rnnlm.experiment import Comparison, Experiment
from rnnlm.plan import LabelCounts, Plan, can_grow, plan, seconds_before, seeds_of, united, validations
from rnnlm.refs import CheckpointRef, ForgettingRef, ScoreRef, Texts

LIBRARIES = ("rnnlm", "tensorflow", "keras", "tokenizers", "numpy", "scikit-learn", "pyarrow", "mlflow", "prefect")


def assemble(
    experiment: Experiment,
    texts: Texts,
    source: CheckpointRef,
    scores: list[ScoreRef],
    forgetting_ref: ForgettingRef | None = None,
) -> Verdict:
    """Compare all cells and say what they show.

    Args:
        experiment: The experiment.
        texts: What was read and tokenized.
        source: The source model.
        scores: All cells, those of the baseline among them.
        forgetting_ref: The fine-tuned language model on the source's text; None if there is none.
    """
    source_documents, documents, passages, source_tokens, tokens = texts
    labelled = documents.labelled
    cells = plan(experiment, labelled, seeds_of(score.id for score in scores))
    forgotten = _forgetting(forgetting_ref) if forgetting_ref else None
    predictions = [predictions_of(score) for score in scores]
    rules = rules_of(experiment.comparison)
    found = gains(predictions, rules=rules)
    beyond = gains_beyond_target_text(predictions, rules)
    tradition, equivalences = gains_over_tradition(predictions, rules), label_equivalences(predictions)
    curves = label_curves(predictions)
    choosing, ways = chosen_by(documents, cells), validations(cells)
    chosen = recommend(scores, experiment.target.training.select, choosing)
    of_models: tuple[str, ...] = ()
    if experiment.language_models_alone:
        best = best_cell(scores, experiment.target.training.select)
        of_models = registered_sentence(experiment.name, best, chosen), weak_baseline_sentence(tradition)
    seen = read_before(source_documents, documents)
    shared = without_shared_passages(passages, scores, rules)
    in_passages, at_once = shared_sentence(shared, found, documents.documents["test"])
    choice, uncounted = validation_sentence(ways), not experiment.comparison.counts_validation and bool(ways)
    # First what says how far all that follows can be trusted.
    leak = [leak_sentence(seen, documents.documents["test"])] if seen else []
    small = small_splits(documents, experiment.target.corpus, choosing)
    warnings = [
        *leak,
        *([in_passages] if at_once else []),
        *([choice] if uncounted else []),
        *small,
        *unknown_sentences(source_tokens, tokens, experiment.target.tokenizer),
    ]
    helped = {(gain.arm, gain.labels) for gain in found if gain.outcome == "positive"}
    sentences = [
        *warnings,
        *verdict_sentences(found, beyond, tradition, recommendation_sentence(chosen)),
        *of_models,
        mean_sentence(scores),
        equivalence_sentence([one for one in equivalences if (one.arm, one.labels) in helped]),
        more_labels_sentence(curves, chosen),
        *([forgotten.sentence] if forgotten else []),
        shared_start_sentence(cells),
        "" if at_once else in_passages,
        added_seeds_sentence(experiment.comparison, stopped=_is_stopped(experiment, predictions, cells, labelled)),
        "" if uncounted else choice,
        *left_out_sentences(documents, experiment.target.corpus),
    ]
    by_part: dict[str, list[CheckpointRef | ScoreRef]] = {"source model": [source]}
    for score in scores:
        part = f"{'language model' if score.task == 'language_model' else f'{score.task}s'}, {score.arm}"
        by_part.setdefault(part, []).append(score)
    return Verdict(
        experiment=experiment.name,
        schema_version=SCHEMA_VERSION,
        outcome=outcome(found, beyond),
        outcomes=outcomes(found, beyond),
        summary=summary(found, beyond, chosen, small[0] if outcome(found, beyond) == "no claim" and small else ""),
        warnings=len(warnings),
        sentences=[sentence for sentence in sentences if sentence],
        cells=[
            _cell(score, seconds_before(score.id, cells, {one.id: one.seconds for one in scores}, source.seconds))
            for score in scores
        ],
        recommended=chosen,
        gains=found,
        beyond=beyond,
        tradition=tradition,
        equivalences=equivalences,
        label_curves=curves,
        forgetting=forgotten,
        confusions=confusions(scores, tokens.labels),
        examples=examples_of(experiment.target.target_task, scores, found, tokens.labels, documents),
        coverage=_coverage(scores),
        source={
            "task": experiment.source.task,
            "vocabulary": source_tokens.vocabulary_size,
            "training tokens": source_tokens.tokens["train"],
            **source.metrics,
            "seconds": source.seconds,
        },
        documents=documents.documents,
        validation=ways,
        left_out={"source": source_documents.dropped, "target": documents.dropped},
        overlap={"source": source_documents.overlap, "target": documents.overlap},
        unknown={"source": unknown_share(source_tokens), "target": unknown_share(tokens)},
        read_before=seen,
        shared_passages=shared,
        digests={
            "source tokens": source_tokens.sha256,
            "source documents": source_tokens.documents_sha256,
            "source tokenizer": source_tokens.tokenizer_sha256,
            "source model": source.sha256,
            "target documents": documents.sha256,
            "target tokens": tokens.sha256,
            "target tokenizer": tokens.tokenizer_sha256,
        },
        versions={"python": platform.python_version()} | {name: metadata.version(name) for name in LIBRARIES},
        seconds={part: sum(done.seconds for done in all_done) for part, all_done in by_part.items()},
        busy_cores={part: busy for part, all_done in by_part.items() if (busy := _busy_cores(all_done)) is not None},
        configuration=experiment.model_dump(mode="json"),
        command="rnnlm run experiment.yaml",
    )


def rules_of(comparison: Comparison) -> Rules:
    """Return how the gains of a comparison are judged."""
    return Rules(comparison.margin, comparison.margin_bits, comparison.looks)


def _is_stopped(experiment: Experiment, predictions: list[Predictions], cells: Plan, labelled: LabelCounts) -> bool:
    """Return whether seeds were still to be added, and minutes were used up."""
    if experiment.comparison.minutes is None:
        return False
    wanted = seeds_wanted(predictions, rules_of(experiment.comparison), partial(can_grow, experiment))
    return len(plan(experiment, labelled, united(seeds_of(cells), wanted))) > len(cells)


def _busy_cores(parts: list[CheckpointRef | ScoreRef]) -> float | None:
    """Return the mean over the time of all parts; None if it is not known of one of them."""
    seconds = sum(part.seconds for part in parts)
    if seconds == 0.0 or any(part.busy_cores is None for part in parts):
        return None
    return sum(part.seconds * part.busy_cores for part in parts if part.busy_cores is not None) / seconds


def _forgetting(ref: ForgettingRef) -> Forgetting:
    return forgetting(*(pq.read_table(checked(ref.path / f"{when}.parquet")) for when in ("before", "after")))


def _coverage(scores: list[ScoreRef]) -> list[Coverage]:
    """Read off the first cell that began from the source's words what each rung took: all have the same."""
    metrics = next((score.metrics for score in scores if any(map(_of_coverage, score.metrics))), {})
    rungs = [name.removesuffix("_types") for name in metrics if _of_coverage(name) and name.endswith("_types")]
    return [
        Coverage(
            rung=rung.removeprefix("coverage/"),
            types=int(metrics[f"{rung}_types"]),
            tokens=int(metrics[f"{rung}_tokens"]),
        )
        for rung in rungs
    ]


def _of_coverage(metric: str) -> bool:
    return metric.startswith("coverage/")


def _cell(score: ScoreRef, before: float) -> Cell:
    return Cell(
        task=score.task,
        arm=score.arm,
        labels=score.labels,
        seed=score.seed,
        # The coverage is the same in every cell: it has its own table.
        metrics={name: value for name, value in score.metrics.items() if not _of_coverage(name)},
        seconds=score.seconds,
        seconds_before=before,
        history=_history(score.path),
        output=score.path.name,
    )


def _history(folder: Path) -> list[Point]:
    points = json.loads(checked(folder / "history.json").read_text(encoding="utf-8"))
    return [Point.model_validate(point) for point in points]
