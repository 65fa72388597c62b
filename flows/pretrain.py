"""The source model alone: trained, and registered as `NAME-source@champion` for those who start from it."""

import logging

from prefect import flow

from rnnlm.experiment import ExperimentName, Source
from rnnlm.flows.demo import DEMO
from rnnlm.flows.recording import ended, recorded_run
from rnnlm.flows.source import train_source
from rnnlm.refs import ModelRef
from rnnlm.settings import Model
from rnnlm.steps.texts import check_splits, read, tokenize_corpus

logger = logging.getLogger("rnnlm.steps")


@flow(name="pretrain", flow_run_name="{name}-source", persist_result=True, result_serializer="json")
def pretrain(
    name: ExperimentName = DEMO.name,
    source: Source = DEMO.source,
    model: Model = DEMO.model,
    seed: int = 1,
) -> ModelRef:
    """Train a source model and register it; where nothing has changed, nothing is trained.

    Args:
        name: Name of the experiment in MLflow; the registered model is called NAME-source.
        source: The source text and how a model is trained on it.
        model: Widths, layers, dropout.
        seed: Seed of the initial weights, the order and dropout.
    """
    asked = {"model": model.model_dump(mode="json"), "source": source.model_dump(mode="json"), "seed": seed}
    with recorded_run(name, asked) as runner:
        documents = read(source.corpus, runner)
        check_splits("source", source.corpus, documents)
        tokens = tokenize_corpus(documents, source.tokenizer, runner)
        runner.tracker.log_texts({"source documents": documents, "source tokens": tokens})
        _, registered = train_source(name, source, model, tokens, seed, runner)
        logger.info("%s is %s", registered.uri, registered.alias)
        return ended(registered, runner)
