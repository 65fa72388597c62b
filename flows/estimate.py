"""Before the hours are spent: is the source of an experiment likely to help?"""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow

from rnnlm.evaluation.outlook import Estimate
from rnnlm.experiment import Experiment
from rnnlm.steps.observe import stage
from rnnlm.steps.pretrain import pretrain
from rnnlm.steps.texts import prepare_texts
from rnnlm.steps.tokenize import tokenize
from rnnlm.store import home, whole_folder
from rnnlm.tasks.step import Prefect

ORDER = 5  # where the experiment leaves n-grams out


@dataclass(frozen=True)
class Estimated:
    """What was estimated.

    Attributes:
        path: The folder of `estimate.json`.
        estimate: The estimate.
    """

    path: Path
    estimate: Estimate


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
            found = found.model_copy(update={"source_model": asked})
    final = home() / "estimates" / experiment.name
    with whole_folder(final) as folder:
        (folder / "estimate.json").write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return Estimated(final, found)
