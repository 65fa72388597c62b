"""A learning rate for an experiment's source language model, by the learning-rate finder."""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow

from rnnlm.errors import ConfigError
from rnnlm.experiment import Experiment, Pretraining
from rnnlm.refs import TokensRef
from rnnlm.steps.observe import observer, stage
from rnnlm.steps.texts import read, tokenize_corpus
from rnnlm.store import home, whole_folder
from rnnlm.tasks.step import Prefect
from rnnlm.training.range_test import Suggestions


@dataclass(frozen=True)
class Found:
    """What the finder found.

    Attributes:
        path: The folder of `learning-rate.png` and `learning-rate.json`.
        suggestions: Learning rates to try; None if the loss did not fall.
    """

    path: Path
    suggestions: Suggestions | None


@flow(name="learning-rate", flow_run_name="{experiment.name}")
def learning_rate(experiment: Experiment | Pretraining) -> Found:
    """Run the learning-rate finder on the source language model of an experiment.

    The text is read and tokenized by the steps of the transfer flow: what either has done, the other has from the
    cache. The finder itself is no step: somebody looks at what it gives, and nothing is made of it.

    Args:
        experiment: Source and model; the target, if there is one, is not read.

    Raises:
        ConfigError: If the source is a classifier.
    """
    source = experiment.source
    if source.task != "language_model":
        raise ConfigError(
            "the learning-rate finder is for language models, and this source is a classifier",
            where="source.task",
            remedy="For a classifier give several source.classifier.learning_rates: the validation split chooses.",
        )
    runner = Prefect()
    tokens = tokenize_corpus(read(source.corpus, runner), source.tokenizer, runner)
    with stage("Try learning rates"):
        return _try(experiment, tokens)


def _try(experiment: Experiment | Pretraining, tokens: TokensRef) -> Found:
    source = experiment.source
    # TensorFlow is loaded where it is used.
    from rnnlm.model.language_model import LanguageModel
    from rnnlm.report.learning_rate import write_learning_rate
    from rnnlm.tokens import read_text
    from rnnlm.training.lr_finder import find_learning_rate

    train = read_text(tokens, "train", mapped=True)
    seed = experiment.comparison.seed
    model = LanguageModel(experiment.model, train.vocabulary.size, seed, train.counts())

    def report(done: int, of: int) -> None:
        observer().progressed("Updates", done, of)

    curve = find_learning_rate(model, train, source.language_model, seed=seed, report=report)
    final = home() / "learning-rate" / experiment.name
    with whole_folder(final) as folder:
        write_learning_rate(curve, source.language_model.learning_rate, folder)
    return Found(final, curve.suggestions())
