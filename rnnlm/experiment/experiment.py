"""The experiment: one value that is the YAML file, the command line's `--set` and the form in Prefect's UI."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator, model_validator

from rnnlm.arms import ARMS, AsItIs, MeanOf, Solved, Trained, arms_for
from rnnlm.experiment.parts import Comparison, Source, Target
from rnnlm.settings import Model, Settings, field

ExperimentName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class Experiment(Settings):
    """Does a model pretrained on the source help on the target, by how much, and which way is best?"""

    name: ExperimentName = field("Name of the experiment in MLflow and of the registered models.")
    model: Model = field("The language model, the same for source, target and baseline.", default=Model())
    source: Source = field("The source task.")
    target: Target = field("The target task.")
    comparison: Comparison = field("Arms, label counts and seeds.", default=Comparison(), validate_default=True)

    @field_validator("comparison")
    @classmethod
    def _nothing_without_labels(cls, comparison: Comparison, info: ValidationInfo) -> Comparison:
        """Leave models of labels out where there are none; the defaults, which a form fills in, ask for none."""
        target: Target | None = info.data.get("target")  # None: it was refused
        if target is None or (comparison.arms and target.corpus.labelled):
            return comparison if target is None else _with_its_tradition(comparison, target)
        for name in ("arms", "labels"):
            asked = getattr(comparison, name)
            if asked and asked != Comparison.model_fields[name].default:
                why = (
                    "comparison.arms is empty: leave comparison.labels out, too"
                    if target.corpus.labelled
                    else "nothing names the target's labels: give target.corpus a `label` column or a `label_pattern`, "
                    "or leave comparison.arms and comparison.labels out to compare language models alone"
                )
                raise ValueError(f"comparison.{name}: it is for models of labels, and {why}")
        return comparison.model_copy(update={"arms": [], "labels": []})

    @model_validator(mode="after")
    def _parts_agree(self) -> "Experiment":
        if self.language_models_alone:
            _check_language_models(self)
        else:
            _check_target_models(self)
        if self.source.corpus.vector is not None:
            raise ValueError("source.corpus.vector: only the target's documents have use for vectors: leave it out")
        target = self.target.corpus
        if target.files and target.split is None and target.test_share == 0.0:
            raise ValueError("target.corpus.test_share: the comparison needs a test split; give a share above 0")
        return self

    @property
    def language_models_alone(self) -> bool:
        """Whether no model of the target task is trained."""
        return not self.comparison.arms


def _with_its_tradition(comparison: Comparison, target: Target) -> Comparison:
    """Put what the tradition has for the target task in the place of what it has for another, in the default arms."""
    solved = target.training.solved

    def fitting(name: str) -> str:
        return solved[0] if isinstance(ARMS[name].target, Solved) and name not in solved else name

    defaults = {name: Comparison.model_fields[name].default for name in ("arms", "mean_of")}
    changed = {
        name: list(dict.fromkeys(map(fitting, arms)))
        for name, arms in defaults.items()
        if getattr(comparison, name) == arms
    }
    return comparison.model_copy(update=changed)


def _check_language_models(experiment: Experiment) -> None:
    """Refuse a comparison of language models alone that has none.

    Raises:
        ValueError: It names the field.
    """
    why = "comparison.arms is empty" if experiment.target.corpus.labelled else "the target has no labels"
    if experiment.source.task == "classification":
        raise ValueError(
            f"source.task: a classification source helps models of the target task, and {why}: give target.corpus a "
            "`label` column or a `label_pattern`, or the source the task `language_model`"
        )
    if experiment.target.language_model is None or not experiment.comparison.language_models:
        field = "comparison.language_models" if experiment.target.language_model else "target.language_model"
        raise ValueError(f"{field}: there is nothing to compare: language models are left out, and {why}")


def _check_target_models(experiment: Experiment) -> None:
    """Refuse arms that do not fit source and target.

    Raises:
        ValueError: It names the field.
    """
    source, target = experiment.source, experiment.target
    of_classes = source.task == "classification"
    if of_classes and target.language_model:
        raise ValueError("target.language_model: a classification source has no language model; set it to null")
    if of_classes and target.training.needs_fisher:
        raise ValueError(
            f"target.{target.training.model}.fine_tuning: `importance: fisher` asks the source's language model, and "
            "source.task is classification"
        )
    seen: dict[Trained, str] = {}
    comparison = experiment.comparison
    for name in comparison.arms:
        if name not in arms_for(target.training.solved, source_labels=True):
            raise ValueError(
                f"comparison.arms: `{name}` is not for the task {target.task}, which has {_and(target.training.solved)}"
            )
        match ARMS[name].target:
            case MeanOf(arms=arms):
                parts = arms or comparison.mean_of
                if missing := [part for part in parts if part not in comparison.arms]:
                    raise ValueError(
                        f"comparison.arms: `{name}` is the mean of {_and(parts)}, and there is no {_and(missing)}"
                        + ("" if arms else ": name arms of this comparison in comparison.mean_of")
                    )
                if means := [part for part in parts if isinstance(ARMS[part].target, MeanOf)]:
                    raise ValueError(
                        f"comparison.mean_of: no means of others, as {_and(means)}: name their arms instead"
                    )
            case Solved(source_labels=True) if not of_classes or target.task != "classification":
                raise ValueError(
                    f"comparison.arms: `{name}` learns the source's labels, too: source.task and target.task have to "
                    "be classification"
                )
            case Solved("embeddings") if target.corpus.vector is None:
                raise ValueError(
                    f"comparison.arms: `{name}` reads a vector of each document: name their column in "
                    "target.corpus.vector"
                )
            case AsItIs() if not of_classes or target.task != "classification":
                raise ValueError(
                    f"comparison.arms: `{name}` asks the source's classifier: source.task and target.task have to be "
                    "classification"
                )
            case Trained() as fit:
                if problem := _missing(experiment, fit):
                    raise ValueError(f"comparison.arms: `{name}` {problem}")
                if target.language_model is None and fit.start == "fine_tuned_source":
                    fit = dataclasses.replace(fit, start="source")
                if other := seen.get(fit):
                    first, second = sorted((name, other))
                    raise ValueError(
                        f"comparison.arms: without target.language_model `{first}` is `{second}`: leave one of them out"
                    )
                seen[fit] = name


def _missing(experiment: Experiment, fit: Trained) -> str:
    """Say what a way of training needs that the experiment lacks; empty if it lacks nothing."""
    source, target = experiment.source, experiment.target
    of_classes = source.task == "classification"
    if fit.start == "target_text" and not target.language_model:
        return "starts from target.language_model, which is null"
    if fit.beside == "target_text" and not target.language_model:
        return "reads text as target.language_model says, which is null"
    if fit.beside == "source_text" and of_classes:
        return "reads the source as text, and source.task is classification"
    if fit.backward and of_classes:
        return "needs a language model as source"
    if fit.backward and "whitespace" in (source.tokenizer.kind, (target.tokenizer or source.tokenizer).kind):
        return "needs documents, and tokenizer.kind whitespace makes running text"
    return ""


def _and(names: Sequence[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


class Pretraining(Settings):
    """All of an experiment but its target: what a source model is made of."""

    name: ExperimentName
    model: Model = Model()
    source: Source
    comparison: Comparison = Comparison()
