"""Before the hours are spent: is the source of an experiment likely to help?"""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow

from rnnlm.evaluation.outlook import Estimate
from rnnlm.experiment import Experiment
from rnnlm.flows.corpora import read_both, tokenize_both
from rnnlm.store import home, whole_folder
from rnnlm.tasks.observe import stage
from rnnlm.tasks.pretrain import pretrain
from rnnlm.tasks.step import finished_output, run_step
from rnnlm.tasks.tokenize import tokenize

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
    documents = read_both(experiment)
    source_tokens, target_tokens = tokenize_both(experiment, *documents)
    model, target, seed = experiment.model, experiment.target, experiment.comparison.seed
    trained = finished_output(pretrain, experiment.source, model, source_tokens, seed, parent_run_id="")
    with stage("Source in target's tokens"):
        over_target = source_tokens if target.tokenizer is None else run_step(tokenize, documents[0], target_tokens)
    with stage("Estimate"):
        # TensorFlow, which the evaluation's room loads, is loaded where it is used.
        from rnnlm.transfer.estimate import estimate
        from rnnlm.transfer.source_model import ask_source_model

        found = estimate(over_target, target_tokens, target.ngram_order or ORDER)
        if trained is not None:
            asked = ask_source_model(trained, model, target.classifier, target_tokens, target.word_map, seed)
            found = found.model_copy(update={"source_model": asked})
    final = home() / "estimates" / experiment.name
    with whole_folder(final) as folder:
        (folder / "estimate.json").write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return Estimated(final, found)
