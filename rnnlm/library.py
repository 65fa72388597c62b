"""An experiment from Python alone, as in a notebook: with neither a server nor a database."""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rnnlm.display.screen import Screen, terminal
from rnnlm.display.work import warnings_to
from rnnlm.evaluation.verdict import Verdict
from rnnlm.experiment import Experiment, check_experiment, load_experiment
from rnnlm.model import backend
from rnnlm.model.native import load_tensorflow_quietly
from rnnlm.refs import ReportRef
from rnnlm.steps.compare import read_verdict
from rnnlm.steps.observe import observed_by, stage
from rnnlm.steps.pretrain import pretrain
from rnnlm.steps.runner import Local
from rnnlm.steps.step import logger
from rnnlm.steps.target import compare_on_target
from rnnlm.steps.texts import prepare_texts
from rnnlm.store import home, working_in
from rnnlm.tracking import Null, Tracker


class ReportedVerdict(Verdict):
    """A verdict, and where its report is.

    Attributes:
        report: The page of the report; figures and `verdict.json` are beside it.
    """

    report: Path

    def __str__(self) -> str:
        """Return the verdict in words."""
        return "\n".join(self.sentences)

    def _repr_markdown_(self) -> str:
        """Return what a notebook shows: the verdict, and every arm in a table."""
        from rnnlm.report import markdown

        return markdown(self)


def run(
    experiment: Experiment | Mapping[str, Any] | str | Path,
    workdir: str | Path | None = None,
    *,
    tracker: Tracker | None = None,
    progress: bool = True,
) -> ReportedVerdict:
    """Run an experiment from text to verdict; what an earlier run has done already is not done again.

    The steps, their cache and their results are those of the command `rnnlm run`. Nothing is registered.

    Args:
        experiment: The experiment, its settings, its file, or the name of one that comes with rnnlm.
        workdir: The folder of all that is kept. If None, it is $RNNLM_HOME, or `.rnnlm` in the working directory.
        tracker: Where the run is recorded; if None, nowhere.
        progress: Whether a terminal or a notebook shows what is done.

    Returns:
        The verdict.

    Raises:
        ConfigError: If a setting is wrong, or does not fit the texts.
        DataError: If a text cannot be read, or the classes do not fit together.
        StoreError: If a disk or an address does not answer, or the disk is full.
        TrainingError: If a training diverges.

    Examples:
        >>> import rnnlm
        >>> verdict = rnnlm.run("reviews.yaml", workdir="work", progress=False)
        >>> verdict.experiment
        'reviews'
        >>> verdict.report.name
        'report.html'
    """
    if isinstance(experiment, Mapping):
        experiment = check_experiment(dict(experiment))
    elif not isinstance(experiment, Experiment):
        experiment = load_experiment(str(experiment))
    backend.prepare()
    load_tensorflow_quietly()
    with working_in(Path(workdir) if workdir is not None else home()), _shown(progress), _without_advice():
        return _reported(_run(experiment, Local(tracker or Null())))


def compare(
    source: str | Path | Sequence[str | Path],
    target: str | Path | Sequence[str | Path],
    label: str | None = None,
    *,
    text: str | None = None,
    name: str | None = None,
    workdir: str | Path | None = None,
    tracker: Tracker | None = None,
    progress: bool = True,
) -> ReportedVerdict:
    """Compare ways of transfer from a source text to a target, with sizes that fit the data and this machine.

    It is the short form of `run`: the experiment is the one that `rnnlm new` would write. The report's folder has it
    as `experiment.yaml`, to be changed and run again.

    Args:
        source: Files of the source text: paths, globs or addresses. It needs no labels.
        target: Files of the target.
        label: Column of the target's label. If None, it is what looks like one. If empty, language models alone are
            compared.
        text: Column of the target's text; if None, what looks like one.
        name: Name of the experiment; if None, it follows from the target's files.
        workdir: The folder of all that is kept. If None, it is $RNNLM_HOME, or `.rnnlm` in the working directory.
        tracker: Where the run is recorded; if None, nowhere.
        progress: Whether a terminal or a notebook shows what is done.

    Returns:
        The verdict.

    Raises:
        ConfigError: If several columns may be the label, or a name is wrong.
        DataError: If files cannot be read, are of several kinds, have no text, or too few documents.
        StoreError: If a disk or an address does not answer, or the disk is full.
        TrainingError: If a training diverges.

    Examples:
        >>> import rnnlm
        >>> verdict = rnnlm.compare(
        ...     source="news/*.txt", target="reviews.csv", label="stars", workdir="work", progress=False
        ... )
        >>> verdict.experiment
        'reviews'
        >>> sorted({gain.arm for gain in verdict.gains if gain.task == "classifier"})
        ['feature', 'parameter', 'target_text', 'tfidf']
    """
    from rnnlm.corpus.advice import warnings_of
    from rnnlm.corpus.proposal import Machine, name_of, propose, survey_both

    addresses = _addresses(target)
    with working_in(Path(workdir) if workdir is not None else home()):
        both = survey_both(addresses, _addresses(source), home() / "downloads", text=text, label=label)
        for of, survey in zip(("target", "source"), both, strict=True):
            for warning in warnings_of(survey):
                logger.warning("%s: %s", of, warning)
        proposal = propose(*both, name or name_of(addresses), Machine.here(), Path.cwd())
        return run(check_experiment(yaml.safe_load(proposal.yaml)), home(), tracker=tracker, progress=progress)


def _run(experiment: Experiment, runner: Local) -> ReportRef:
    runner.tracker.log_params(experiment.model_dump(mode="json"))
    texts = prepare_texts(experiment, runner)
    with stage("Pretrain"):
        of, seed = experiment.source, experiment.comparison.seed
        source = runner.run(pretrain, of, experiment.model, texts.source_tokens, seed)
    report, _ = compare_on_target(experiment, source, texts, runner)
    return report


def _reported(report: ReportRef) -> ReportedVerdict:
    return ReportedVerdict(**dict(read_verdict(report)), report=report.path / "report.html")


@contextlib.contextmanager
def _shown(progress: bool) -> Iterator[None]:
    """Show the work in a terminal or a notebook."""
    console = terminal()
    in_place = console.is_jupyter or (console.is_terminal and os.environ.get("TERM") != "dumb")
    if not (progress and in_place):
        yield
        return
    with Screen(console) as screen, observed_by(screen), warnings_to(screen):
        yield


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Hold back TensorFlow's advice on the functions that it compiles, which is not for those who call ours."""

    def wanted(record: logging.LogRecord) -> bool:
        return "retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)


def _addresses(files: str | Path | Sequence[str | Path]) -> list[str]:
    return [str(files)] if isinstance(files, str | Path) else [str(one) for one in files]
