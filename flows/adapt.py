"""From a registered source model to the target: its arms, baselines, comparison, and promotion of the best model."""

from prefect import flow
from prefect.runtime import flow_run

from rnnlm.evaluation.promotion import best_cell
from rnnlm.experiment import Comparison, ExperimentName, Promotion, Target, check_experiment
from rnnlm.flows.approval import ask, check_can_wait
from rnnlm.flows.demo import DEMO
from rnnlm.flows.recording import ended, recorded_run
from rnnlm.flows.runners import task_runner
from rnnlm.refs import ModelRef, Texts
from rnnlm.registry.aliases import CHAMPION, champion
from rnnlm.registry.registered import check_kind, registered
from rnnlm.steps.target import compare_on_target
from rnnlm.steps.texts import read_both, tokenize_corpus
from rnnlm.tasks.compare import compare, show
from rnnlm.tasks.promote import challenge, promote


@flow(name="adapt", flow_run_name="{name}", persist_result=True, result_serializer="json", task_runner=task_runner())
def adapt(
    source_model: str = "models:/demo-source@champion",
    name: ExperimentName = DEMO.name,
    target: Target = DEMO.target,
    comparison: Comparison = DEMO.comparison,
    promotion: Promotion = Promotion(),  # noqa: B008  (frozen; the form shows its values)
) -> ModelRef:
    """Adapt a registered source model to the target, compare all arms, and put the best model to use if it is better.

    Args:
        source_model: The registered source model, models:/NAME@ALIAS or models:/NAME/VERSION.
        name: Name of the experiment in MLflow; the registered model is called NAME-target.
        target: The target task and how models are trained on it.
        comparison: Arms, label counts and seeds.
        promotion: When a new model takes the place of the one in use.
    """
    check_can_wait(promotion)
    found = registered(source_model)
    whole = {"secrets": True}  # of the addresses, which are read
    settings = {
        "target": target.model_dump(mode="json", context=whole),
        "comparison": comparison.model_dump(mode="json"),
    }
    experiment = check_experiment(
        {"name": name, "model": found.settings, "source": found.configuration, **settings}, where=found.model.uri
    )
    check_kind(f"{name}-target", "language_model" if experiment.language_models_alone else target.training.model)
    asked = experiment.model_dump(mode="json") | {"source_model": found.model.uri}
    with recorded_run(name, asked) as runner:
        source_documents, documents, passages = read_both(experiment, runner)
        texts = Texts(
            source_documents,
            documents,
            passages,
            # By the model's own tokenizer: the source may have grown since, and would give another one.
            tokenize_corpus(source_documents, found.checkpoint, runner),
            tokenize_corpus(documents, target.tokenizer or found.checkpoint, runner, "target"),
        )
        report, cells = compare_on_target(experiment, found.checkpoint, texts, runner)
        show(report, news=compare.name in runner.computed)
        present = champion(f"{name}-target")
        challenger = runner.run(
            challenge,
            name,
            best_cell(cells, target.training.select),
            documents,
            texts.tokens,
            found.model,
            experiment.model_dump_json(),
            present,
            promotion.margin,
            str(flow_run.id),
        )
        if promotion.approval:
            ask(challenger, present)
        model = runner.run(promote, challenger, str(flow_run.id))
        return ended(model, runner, changed=model.alias == CHAMPION and model != present)
