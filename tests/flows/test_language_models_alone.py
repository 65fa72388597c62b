"""A target without labels: language models alone are compared and registered."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import mlflow
import pytest
from typer.testing import CliRunner

from rnnlm.errors import ConfigError
from rnnlm.experiment import (
    Comparison,
    Experiment,
    Promotion,
    check_experiment,
    load_experiment,
    load_pretraining,
)
from rnnlm.refs import CheckpointRef
from rnnlm.registry import register
from rnnlm.registry.lineage import lineage

SEED = 37
TEXT = {"files": ["text.txt"]}
OTHERS = {"name": "x", "source": {"corpus": TEXT}}
CLASSIFIED = {"files": ["table.csv"], "label": "label"}


def test_without_labels_no_classifiers_are_asked_for_and_the_written_file_says_so() -> None:
    experiment = check_experiment(OTHERS | {"target": {"corpus": TEXT}})
    assert experiment.language_models_alone
    assert (experiment.comparison.arms, experiment.comparison.labels) == ([], [])
    assert check_experiment(experiment.model_dump(mode="json")) == experiment
    assert not check_experiment(OTHERS | {"target": {"corpus": CLASSIFIED}}).language_models_alone
    # Whoever has labels may do without classifiers, too.
    assert check_experiment(
        OTHERS | {"target": {"corpus": CLASSIFIED}, "comparison": {"arms": []}}
    ).language_models_alone


def test_a_form_that_fills_in_the_defaults_asks_for_no_classifiers() -> None:
    from rnnlm.flows.transfer import transfer

    filled = load_experiment("demo").model_dump(mode="json")
    filled["target"]["corpus"] |= {"label": None, "labels": []}
    filled["comparison"] = Comparison().model_dump(mode="json")
    found = transfer.validate_parameters({"experiment": filled})["experiment"]
    assert found.language_models_alone


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"comparison": {"arms": ["scratch", "parameter"]}}, r"^comparison\.arms: .* `label` column"),
        ({"comparison": {"labels": ["all"]}}, r"^comparison\.labels: .* `label` column"),
        ({"target": {"corpus": TEXT, "language_model": None}}, r"^target\.language_model: there is nothing to compare"),
        ({"comparison": {"language_models": False}}, r"^comparison\.language_models: there is nothing to compare"),
        (
            {"source": {"task": "classification", "corpus": CLASSIFIED}},
            r"^source\.task: a classification source helps models of the target task, and the target has no labels",
        ),
        ({"target": {"corpus": {**TEXT, "labels": ["good"]}}}, r"^target\.corpus: `labels` keeps documents by their"),
        (
            {"target": {"corpus": CLASSIFIED}, "comparison": {"arms": [], "labels": [20]}},
            r"^comparison\.labels: .* comparison\.arms is empty",
        ),
        (
            {"target": {"corpus": CLASSIFIED}, "comparison": {"labels": []}},
            r"^comparison\.labels: models of the target task are trained",
        ),
        ({"target": {"corpus": CLASSIFIED}, "comparison": {"arms": ["scratch"]}}, r"^comparison\.arms: .* another arm"),
    ],
)
def test_what_needs_labels_or_leaves_nothing_to_compare_is_refused(content: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        check_experiment(OTHERS | {"target": {"corpus": TEXT}} | content)


def test_a_source_model_needs_no_target(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    source = "source: {task: classification, corpus: {files: [a.csv], label: label}}"
    file.write_text(f"name: mine\n{source}\n")
    found = load_pretraining(str(file), ["model.layers=1", "comparison.seed=3"])
    assert (found.name, found.model.layers, found.comparison.seed) == ("mine", 1, 3)
    assert not isinstance(found, Experiment)
    with pytest.raises(ConfigError, match=r"sauce: unknown field; accepted here: .*source, target"):
        load_pretraining(str(file), ["sauce=1"])
    # A target that is there is checked as `rnnlm run` checks it.
    with pytest.raises(ConfigError, match=r"^.*mine\.yaml: target\.language_model: a classification source"):
        load_pretraining(str(file), ["target.corpus.files=[b.csv]", "target.corpus.label=label"])


@pytest.fixture
def alone(settings: dict[str, Any], experiment: Experiment) -> Experiment:
    """A small comparison of language models, with one tokenizer."""
    assert experiment
    settings["name"] = "alone"
    settings["model"]["layers"] = 1
    del settings["target"]["corpus"]["label"]
    settings["target"] |= {"tokenizer": None, "ngram_order": 2, "adaptations": []}
    settings["comparison"] = {"seed": SEED}
    return check_experiment(settings)


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_language_models_from_text_to_use_and_promotion(
    alone: Experiment, executed: Counter[str], tmp_path: Path
) -> None:
    from rnnlm.cli.app import app
    from rnnlm.flows.adapt import adapt
    from rnnlm.flows.transfer import transfer

    report = transfer(alone)
    assert executed == {"ingest": 2, "tokenize": 2, "language model": 4, "register": 2, "compare": 1}
    assert report.models == ["models:/alone-source@champion", "models:/alone-target@champion"]
    verdict = json.loads((report.path / "verdict.json").read_text())
    arms = {"scratch", "source", "parameter", "kneser_ney", "good_turing"}
    arms |= {"scratch_kneser_ney", "parameter_kneser_ney"}
    assert {(c["task"], c["arm"], c["labels"]) for c in verdict["cells"]} == {("language_model", a, 0) for a in arms}
    assert {one["task"] for one in verdict["recommended"]} == {"language_model"}
    assert verdict["outcome"] is not None
    assert (verdict["confusions"], verdict["examples"], verdict["equivalences"]) == ([], [], [])
    for words in (
        " ".join(verdict["sentences"]),
        (report.path / "report.html").read_text().partition("Configuration")[0],
    ):
        assert "classif" not in words.lower()
        assert "label" not in words.replace("aria-label", "")
    assert {file.stem for file in (report.path / "figures").iterdir()} == {
        "language_model",
        "language_model_gain",
        "learning_language_model",
    }

    # The best network on the validation text is the registered one, and its arm stands in the verdict.
    first = lineage("models:/alone-target@champion")
    networks = [c for c in verdict["cells"] if c["arm"] in ("scratch", "source", "parameter")]
    best = min(networks, key=lambda cell: cell["metrics"]["valid/bits_per_character"])
    assert first.facts["arm"] == best["arm"]
    assert any("Registered as alone-target" in sentence for sentence in report.verdict)
    assert first.source is not None
    assert first.source.model == "models:/alone-source/1"

    executed.clear()
    again = transfer(alone, return_state=True)
    assert (again.name, again.result()) == ("Unchanged", report)
    assert not executed

    # `adapt` comes to the same version, which is champion already.
    source = "models:/alone-source/1"
    same = adapt(source, "alone", alone.target, alone.comparison)
    assert (same.alias, same.version) == ("champion", 1)
    # Where another one is champion, it has to be surely better on the same text.
    (scratch,) = (cell for cell in networks if cell["arm"] == ("scratch" if best["arm"] != "scratch" else "parameter"))
    folder = tmp_path / "store" / scratch["output"]
    found = mlflow.search_runs(experiment_names=["alone"], filter_string=f"tags.`rnnlm.arm` = '{scratch['arm']}'")
    other = CheckpointRef(
        path=folder,
        sha256=scratch["output"],
        kind="language_model",
        metrics={},
        seconds=1.0,
        tokens_sha256="",
        recorded_as=str(found["run_id"][0]),
    )
    assert register(other, name="alone-target", alias="champion", run_id=other.recorded_as, tags={}).version == 2
    challenger = adapt(source, "alone", alone.target, alone.comparison, Promotion(margin=1.0))
    assert (challenger.alias, challenger.version) == ("challenger", 1)
    assert "bits per character better than the champion" in lineage(challenger.uri).facts["promotion"]
    # The texts are read by the registered model's own tokenizer; nothing is trained.
    assert executed == {"tokenize": 2, "register": 2}

    # It does what language models do, from where MLflow keeps it.
    done = CliRunner().invoke(app, ["complete", "models:/alone-target@champion", "the film"])
    assert (done.exit_code, bool(done.stdout)) == (0, True), done.output

    # A classifier does not take a language model's place, nor the other way round.
    labelled = alone.target.model_copy(update={"corpus": alone.target.corpus.model_copy(update={"label": "label"})})
    executed.clear()
    with pytest.raises(ConfigError, match="alone-target@champion is a language model"):
        adapt(source, "alone", labelled, Comparison(arms=["scratch", "parameter"], labels=[20], seed=SEED))
    assert not executed


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_pretrain_at_the_command_line_does_the_first_half_of_a_run(
    settings: dict[str, Any], experiment: Experiment, executed: Counter[str], tmp_path: Path
) -> None:
    import yaml

    from rnnlm.cli.app import app

    assert experiment
    file = tmp_path / "mine.yaml"
    mine = {"name": "mine", "source": settings["source"], "model": settings["model"]}
    file.write_text(yaml.safe_dump(mine))
    done = CliRunner().invoke(app, ["pretrain", str(file)])
    assert done.exit_code == 0, done.output
    assert executed == {"ingest": 1, "tokenize": 1, "language model": 1, "register": 1}
    lines = [line for line in done.stdout.splitlines() if line]
    assert lines[-3].startswith("Scores   perplexity ")
    assert lines[-2] == "Model    models:/mine-source@champion (version 1)"
    refused = CliRunner().invoke(app, ["pretrain", str(file), "--set", "source.corpus.test_share=0"])
    assert refused.exit_code == 1
    assert "source.corpus.test_share: the test split is empty" in refused.output
