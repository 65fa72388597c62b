"""Steps 5 and 6: the cells of the comparison; those of the source and the baselines are computed alike."""

import hashlib

from rnnlm.plan import CellSpec, Plan, SolveLinear, TrainLanguageModel, TrainTarget, needs_source
from rnnlm.refs import DocumentsRef, ForgettingRef, Ref, ScoreRef, Texts, TokensRef
from rnnlm.steps.busy import BusyCores
from rnnlm.steps.progress import Progress
from rnnlm.steps.recorded import cell_name, cell_settings
from rnnlm.steps.step import Place, Step, states_folder, step
from rnnlm.store import file_sha256


@step(version=7, run_name="finetune {spec.id.title}")
def finetune(
    place: Place, spec: CellSpec, needs: list[Ref], texts: list[TokensRef], documents: list[DocumentsRef]
) -> ScoreRef:
    """Compute a cell that starts from the source, reads it, or is made of cells that do.

    Args:
        place: Where it runs.
        spec: The cell: what is trained, and with which settings.
        needs: What it needs: the source model, a language model, or other cells.
        texts: The texts that it reads, the target's first.
        documents: What `documents_of` returns.
    """
    return _compute(place, spec, needs, texts, documents)


@step(version=6, run_name="baseline {spec.id.title}")
def baseline(
    place: Place, spec: CellSpec, needs: list[Ref], texts: list[TokensRef], documents: list[DocumentsRef]
) -> ScoreRef:
    """Compute a cell that owes nothing to the source: what the target task comes to without it.

    Args:
        place: Where it runs.
        spec: The cell: what is trained, counted or solved, and with which settings.
        needs: What it needs: a language model of the target's text alone, or other baselines.
        texts: The target's text.
        documents: What `documents_of` returns.
    """
    return _compute(place, spec, needs, texts, documents)


def step_of(spec: CellSpec, cells: Plan) -> Step[[CellSpec, list[Ref], list[TokensRef], list[DocumentsRef]], ScoreRef]:
    """Return the step that computes a cell."""
    return finetune if needs_source(spec.id, cells) else baseline


def _compute(
    place: Place, spec: CellSpec, needs: list[Ref], texts: list[TokensRef], documents: list[DocumentsRef]
) -> ScoreRef:
    """Compute a cell, and record it as a part of the run.

    Args:
        place: Where it runs.
        spec: The cell.
        needs: What it needs, in the order of `spec.needs`.
        texts: What it reads, in the order of `spec.texts`.
        documents: What `documents_of` returns.
    """
    # TensorFlow is loaded where it is used: a worker that only reads and tokenizes never waits for it.
    from rnnlm.transfer.run_cell import Inputs, run_cell

    cell = spec.id
    inputs = Inputs(needs, dict(zip(spec.texts, texts, strict=True)), documents)
    tags = {"rnnlm.task": cell.task, "rnnlm.arm": cell.arm, "rnnlm.tokens": texts[0].sha256}
    read = {"target tokens": texts[0]}
    busy = BusyCores()
    with place.tracker.child(cell_name(cell), cell_settings(spec), tags, read) as run:
        if isinstance(spec.work, TrainTarget | TrainLanguageModel):
            with Progress(run, cell.title[0].upper() + cell.title[1:], place.meter) as progress:
                fitted = run_cell(spec, inputs, place.folder, progress, states_folder())
        else:
            fitted = run_cell(spec, inputs, place.folder)
        run.log_metrics(fitted.metrics)
        run.set_tags(fitted.tags)
        fitted.forget()
    return ScoreRef(
        **cell.model_dump(),
        path=place.folder,
        sha256=fitted.sha256,
        metrics=fitted.metrics,
        seconds=fitted.seconds,
        busy_cores=busy.mean(),
        recorded_as=run.run_id,
    )


def documents_of(spec: CellSpec, texts: Texts) -> list[DocumentsRef]:
    """Return the documents that a cell reads, besides its tokens: the target's, for their groups, words and vectors.

    A cell that learns the source's labels gets the source's as well.
    """
    if spec.id.task == "language_model":
        return []
    if not isinstance(spec.work, SolveLinear):
        return [texts.documents]
    documents = texts.documents.with_vectors() if spec.work.model == "embeddings" else texts.documents
    return [documents, *([texts.source_documents] if spec.work.source_labels else [])]


@step(version=6)
def measure_forgetting(place: Place, source: ScoreRef, fine_tuned: ScoreRef, source_tokens: TokensRef) -> ForgettingRef:
    """Score the fine-tuned language model, and the one it started from, on the source's own test text.

    Args:
        place: Where it runs.
        source: The source model over the target's vocabulary, as it is.
        fine_tuned: The language model that was fine-tuned from it.
        source_tokens: The source text in the tokens of both.
    """
    from rnnlm.transfer.forgetting import score_on_source

    tags = {"rnnlm.task": "language_model", "rnnlm.tokens": source_tokens.sha256}
    read = {"source tokens": source_tokens}
    with place.tracker.child("forgetting", {"arm": fine_tuned.arm}, tags, read) as run:
        folder = place.folder
        scored = score_on_source({"before": source.path, "after": fine_tuned.path}, source_tokens, folder)
        sha256 = hashlib.sha256(
            "".join(file_sha256(folder / f"{name}.parquet") for name in scored).encode()
        ).hexdigest()
        run.log_metrics({f"{when}/{name}": value for when, found in scored.items() for name, value in found.items()})
        run.set_tags({"rnnlm.precision": "float32", "rnnlm.output": sha256})
    return ForgettingRef(
        path=folder, sha256=sha256, before=scored["before"], after=scored["after"], recorded_as=run.run_id
    )
