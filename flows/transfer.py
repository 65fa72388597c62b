"""From text to verdict: the source model, the target's arms and baselines, the comparison.

python -m rnnlm.flows.transfer NAME_OR_FILE [--set field=value]…
"""

from prefect import flow
from prefect.runtime import flow_run

from rnnlm.evaluation.promotion import best_cell
from rnnlm.experiment import Experiment
from rnnlm.flows.demo import DEMO
from rnnlm.flows.recording import ended, recorded_run
from rnnlm.flows.runners import task_runner
from rnnlm.flows.source import train_source
from rnnlm.refs import ReportRef
from rnnlm.registry.registered import check_kind
from rnnlm.steps.observe import stage
from rnnlm.steps.target import compare_on_target
from rnnlm.steps.texts import prepare_texts
from rnnlm.tasks.compare import compare, show
from rnnlm.tasks.register import register_target


@flow(
    name="transfer",
    flow_run_name="{experiment.name}",
    persist_result=True,
    result_serializer="json",
    task_runner=task_runner(),
)
def transfer(experiment: Experiment = DEMO) -> ReportRef:
    """Does a model pretrained on the source help on the target, by how much, and which way is best?

    Args:
        experiment: Source, target, model, and what is compared.
    """
    if experiment.language_models_alone:
        check_kind(f"{experiment.name}-target", "language_model")
    with recorded_run(experiment.name, experiment.model_dump(mode="json")) as runner:
        texts = prepare_texts(experiment, runner)
        source, registered = train_source(
            experiment.name,
            experiment.source,
            experiment.model,
            texts.source_tokens,
            experiment.comparison.seed,
            runner,
        )
        report, cells = compare_on_target(experiment, source, texts, runner)
        show(report, news=compare.name in runner.computed)
        models = [registered]
        if experiment.language_models_alone:
            best = best_cell(cells, experiment.target.training.select)
            with stage("Register the target"):
                model = runner.run(
                    register_target,
                    experiment.name,
                    best,
                    texts.tokens,
                    registered,
                    experiment.model_dump_json(),
                    str(flow_run.id),
                )
            models.append(model)
        return ended(report.model_copy(update={"models": [f"models:/{m.name}@{m.alias}" for m in models]}), runner)


if __name__ == "__main__":
    from rnnlm.cli.app import run_alone

    run_alone()
