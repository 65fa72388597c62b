"""Before the hours are spent: is the source of an experiment likely to help?"""

from dataclasses import dataclass
from pathlib import Path

from flows import environment

environment.prepare()

from prefect import flow  # noqa: E402  (the environment stands before Prefect reads it)

from rnnlm.config import Experiment  # noqa: E402
from rnnlm.corpus import fingerprint  # noqa: E402
from rnnlm.evaluation.outlook import Estimate  # noqa: E402
from rnnlm.store import home, whole_folder  # noqa: E402
from tasks.ingest import ingest  # noqa: E402
from tasks.step import run_step  # noqa: E402
from tasks.tokenize import tokenize  # noqa: E402

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

    Text is read and tokenized by the steps of the transfer flow: what either has done, the other has from the cache.
    Where the target has a tokenizer of its own, the source is encoded with that here. The estimate itself is no step:
    it takes seconds.

    Args:
        experiment: Source and target.
    """
    source, target = (
        run_step(ingest, corpus, fingerprint(corpus, downloads=home() / "downloads"))
        for corpus in (experiment.source.corpus, experiment.target.corpus)
    )
    if experiment.target.tokenizer is None:
        source_tokens = run_step(tokenize, source, experiment.source.tokenizer)
        target_tokens = run_step(tokenize, target, source_tokens)
    else:
        target_tokens = run_step(tokenize, target, experiment.target.tokenizer)
        source_tokens = run_step(tokenize, source, target_tokens)
    # TensorFlow, which the evaluation's room loads, is loaded where it is used.
    from rnnlm.transfer.estimate import estimate

    found = estimate(source_tokens, target_tokens, experiment.target.ngram_order or ORDER)
    final = home() / "estimates" / experiment.name
    with whole_folder(final) as folder:
        (folder / "estimate.json").write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return Estimated(final, found)
