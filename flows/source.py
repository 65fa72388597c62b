"""The source part of a run: a source model is trained and registered."""

from prefect.runtime import flow_run

from rnnlm.experiment import Source
from rnnlm.refs import CheckpointRef, ModelRef, TokensRef
from rnnlm.settings import Model
from rnnlm.steps.observe import stage
from rnnlm.steps.pretrain import pretrain
from rnnlm.tasks.register import register
from rnnlm.tasks.step import Prefect


def train_source(
    name: str, source: Source, model: Model, tokens: TokensRef, seed: int, runner: Prefect
) -> tuple[CheckpointRef, ModelRef]:
    """Train the source model and register it as `NAME-source@champion`.

    Args:
        name: Name of the experiment.
        source: The source task and its training.
        model: Widths, layers, dropout.
        tokens: The source text.
        seed: Seed of the initial weights, the order and dropout.
        runner: What runs the steps.
    """
    with stage("Pretrain"):
        checkpoint = runner.run(pretrain, source, model, tokens, seed)
    with stage("Register"):
        registered = runner.run(register, name, checkpoint, tokens, source.model_dump_json(), str(flow_run.id))
    return checkpoint, registered
