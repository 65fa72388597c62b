"""One cell of the comparison, from its spec to a scored model on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnlm.plan import (
    AdaptLanguageModel,
    AskSource,
    AverageModels,
    CellSpec,
    CountNgrams,
    MixWithNgrams,
    Reading,
    ScoreSource,
    SolveLinear,
    TrainLanguageModel,
    TrainTarget,
)
from rnnlm.refs import DocumentsRef, Ref, TokensRef
from rnnlm.targets import TARGETS
from rnnlm.training.progress import Report, silent
from rnnlm.transfer.adaptation import fit_adaptation
from rnnlm.transfer.cell import Fitted
from rnnlm.transfer.ensemble import fit_ensemble
from rnnlm.transfer.fit import fit_language_model
from rnnlm.transfer.fit_target import fit_target_model
from rnnlm.transfer.source_classifier import fit_source_classifier
from rnnlm.transfer.target_fit import BesideText, TargetFit
from rnnlm.transfer.tradition import fit_mixture, fit_ngram, fit_solved


@dataclass(frozen=True)
class Inputs:
    """What a cell needs, made before it.

    Attributes:
        needs: The models and cells, in the order of the spec.
        texts: The texts that it reads.
        documents: The target's documents for cells of the target task, then the source's if its labels are learnt.
            Empty for language models.
    """

    needs: Sequence[Ref]
    texts: Mapping[Reading, TokensRef]
    documents: Sequence[DocumentsRef]


def run_cell(
    spec: CellSpec, inputs: Inputs, final: Path, report: Report = silent, states: Path | None = None
) -> Fitted:
    """Compute a cell.

    Args:
        spec: What is to be computed.
        inputs: What it needs.
        final: Folder to write.
        report: Called while it trains.
        states: Folder of training states, where a training that was stopped is taken up again; None if none are kept.
    """
    tokens, work, seed = inputs.texts[spec.reads], spec.work, spec.id.seed
    needs = [need.path for need in inputs.needs]
    start = needs[0] if needs else None
    match work:
        case TrainLanguageModel() | ScoreSource():
            return fit_language_model(
                work.model,
                tokens,
                work.language_model if isinstance(work, TrainLanguageModel) else None,
                final,
                start=start,
                seed=seed,
                report=report,
                states=states,
                word_map=work.word_map,
            )
        case AdaptLanguageModel():
            return fit_adaptation(work.adaptation, needs[0], tokens, final)
        case CountNgrams():
            return fit_ngram(work.smoothing, work.order, tokens, final)
        case MixWithNgrams():
            return fit_mixture(needs[0], work.order, tokens, final)
        case TrainTarget():
            beside_text, known = work.beside_text, work.known_text
            fit = TargetFit(
                work.model,
                tokens,
                work.training,
                seed,
                labels=spec.id.labels,
                validation=work.validation,
                documents=inputs.documents[0],
                start=start,
                trainable=work.trainable,
                word_map=work.word_map,
                beside=BesideText(inputs.texts[beside_text], work.beside) if beside_text and work.beside else None,
                known_text=inputs.texts[known] if known else None,
            )
            return fit_target_model(fit, final, report, states)
        case AskSource():
            return fit_source_classifier(
                TARGETS[spec.id.task],
                needs[0],
                inputs.documents[0],
                tokens,
                spec.id.labels,
                seed,
                final,
                word_map=work.word_map,
                validation=work.validation,
            )
        case SolveLinear():
            return fit_solved(
                TARGETS[spec.id.task],
                inputs.documents[0],
                tokens,
                spec.id.labels,
                seed,
                final,
                model=work.model,
                select=work.select,
                validation=work.validation,
                class_weights=work.class_weights,
                source=inputs.documents[1] if work.source_labels else None,
            )
        case AverageModels():
            return fit_ensemble(
                TARGETS[spec.id.task],
                dict(zip(work.arms, needs, strict=True)),
                tokens,
                spec.id.labels,
                seed,
                final,
                validation=work.validation,
                documents=inputs.documents[0],
                weighted=work.weighted,
            )
