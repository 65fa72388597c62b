"""Before the hours are spent: is the source of an experiment likely to help, and which of several?"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from prefect import flow

from rnnlm.errors import ConfigError
from rnnlm.evaluation.source_ranking import Estimation, SourceRanking, rank_sources
from rnnlm.experiment import Experiment
from rnnlm.steps.observe import stage
from rnnlm.steps.pretrain import pretrain
from rnnlm.steps.texts import prepare_texts
from rnnlm.steps.tokenize import tokenize
from rnnlm.store import home, whole_folder
from rnnlm.tasks.step import Prefect

LONGEST_NAME = 200  # of a folder; file systems take 255 bytes
ORDER = 5  # where the experiment leaves n-grams out


@dataclass(frozen=True)
class Estimated:
    """What was estimated.

    Attributes:
        path: The folder of `estimate.json`.
        estimation: The estimate, with what it rests on.
    """

    path: Path
    estimation: Estimation


@dataclass(frozen=True)
class RankedFiles:
    """Several sources, ranked.

    Attributes:
        path: The folder of `ranking.json`.
        ranking: The ranking.
    """

    path: Path
    ranking: SourceRanking


@flow(name="estimate", flow_run_name="{experiment.name}")
def estimate_transfer(experiment: Experiment) -> Estimated:
    """Estimate with n-gram models whether the source text helps a language model of the target.

    Text is read, checked and tokenized as the transfer flow does: what either has done, the other has from the cache.
    Where the target has a tokenizer of its own, the source is encoded with that, too. If the transfer flow has trained
    the source model before, the model is asked as well; nothing is trained here. The estimate itself is no step: it
    takes seconds.

    Args:
        experiment: Source and target.
    """
    runner = Prefect()
    texts = prepare_texts(experiment, runner)
    source_tokens, target_tokens = texts.source_tokens, texts.tokens
    model, target, seed = experiment.model, experiment.target, experiment.comparison.seed
    trained = pretrain.known(pretrain.arguments(experiment.source, model, source_tokens, seed))
    with stage("Source in target's tokens"):
        over_target = source_tokens
        if target.tokenizer is not None:
            over_target = runner.run(tokenize, texts.source_documents, target_tokens)
    with stage("Estimate"):
        # TensorFlow, which the evaluation's room loads, is loaded where it is used.
        from rnnlm.transfer.estimate import estimate
        from rnnlm.transfer.source_model import ask_source_model

        found = estimate(over_target, target_tokens, target.ngram_order or ORDER)
        if trained is not None:
            asked = ask_source_model(trained.path, model, target.training, target_tokens, target.word_map, seed)
            found = replace(found, estimate=found.estimate.model_copy(update={"source_model": asked}))
    final = home() / "estimates" / experiment.name
    with whole_folder(final) as folder:
        (folder / "estimate.json").write_text(found.estimate.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return Estimated(final, found)


def rank(experiments: Sequence[Experiment]) -> RankedFiles:
    """Estimate the sources of several experiments with the same target, and rank them.

    Args:
        experiments: The experiments; two at least.

    Raises:
        ConfigError: If two experiments have one name, or different targets.
    """
    first, *others = experiments
    for n, other in enumerate(others, 1):
        if other.name in {experiment.name for experiment in experiments[:n]}:
            raise ConfigError(f"two experiments are called {other.name}", remedy="Give each its own `name`.")
        if other.target.corpus != first.target.corpus:
            raise ConfigError(
                f"{first.name} and {other.name} have different targets, so their sources cannot be ranked",
                remedy="Use the same target.corpus in all experiments.",
            )
        if other.target.ngram_order != first.target.ngram_order:
            raise ConfigError(
                f"{first.name} and {other.name} count n-grams of different orders",
                remedy="Use the same target.ngram_order in all experiments.",
            )
    ranking = rank_sources({one.name: estimate_transfer(one).estimation for one in experiments})
    names = "-or-".join(sorted(one.name for one in experiments))
    if len(names) > LONGEST_NAME:
        names = f"{names[:LONGEST_NAME]}-{hashlib.sha256(names.encode()).hexdigest()[:8]}"
    final = home() / "estimates" / names
    with whole_folder(final) as folder:
        (folder / "ranking.json").write_text(ranking.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return RankedFiles(final, ranking)
