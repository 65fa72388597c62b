"""The whole workflow on tiny real runs: real files, real training, a real Prefect server, a real MLflow store."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from rnnlm import kernel
from rnnlm.arms import arms_for
from rnnlm.errors import ConfigError, DataError
from rnnlm.experiment import Experiment, check_experiment

LANGUAGE_MODELS = ("scratch", "source", "parameter", "kneser_ney", "good_turing", "source_cache", "source_dynamic")
MIXTURES = ("scratch_kneser_ney", "parameter_kneser_ney")
# What is counted, solved or only scored: two kinds of n-grams, two mixtures, two adaptations, forgetting; TF-IDF with
# three pairs of labels and seed.
NOT_TRAINED = 7 + 3
CLASSIFIERS = 5 * 3
# The source's text is tokenized as the target's too, to see what the source model forgets.
ALL_STEPS = {"ingest": 2, "tokenize": 3, "language model": 4, "classifier": CLASSIFIERS, "register": 1, "compare": 1}


def smaller(settings: dict[str, Any]) -> tuple[Experiment, int]:
    """Return a comparison that is enough to fail in, and how many classifiers it trains."""
    settings["target"] |= {"tokenizer": None, "ngram_order": None, "adaptations": []}
    settings["comparison"] |= {"arms": ["scratch", "parameter", "feature"], "labels": [20], "seeds": 2}
    return check_experiment(settings), 3 * 2


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_from_text_to_verdict_and_again(
    experiment: Experiment,
    executed: Counter[str],
    nothing_written_since: Callable[[Path], None],
    tmp_path: Path,
    settings: dict[str, Any],
) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, Run

    from rnnlm.flows.transfer import transfer

    report = transfer(experiment)
    assert executed == ALL_STEPS
    nothing_written_since(tmp_path / "store")
    assert {"report.html", "verdict.json", "experiment.yaml", "figures"} <= {
        file.name for file in report.path.iterdir()
    }
    verdict = json.loads((report.path / "verdict.json").read_text())
    assert verdict["sentences"] == report.verdict
    cells = {(c["task"], c["arm"], c["labels"], c["seed"]) for c in verdict["cells"]}
    labelled = max(c["labels"] for c in verdict["cells"])
    assert cells == {("language_model", arm, 0, 1) for arm in LANGUAGE_MODELS + MIXTURES} | {
        ("classifier", arm, labels, seed)
        for arm in ("scratch", "tfidf", "target_text", "direct", "parameter", "feature")
        for labels, seed in ((20, 1), (20, 2), (labelled, 1))
    }

    # Each arm's matrix at its largest number of labels holds every test document; examples have their texts.
    confusions = {one["arm"]: one for one in verdict["confusions"]}
    assert set(confusions) == {"scratch", "tfidf", "target_text", "direct", "parameter", "feature"}
    tested = verdict["examples"][0]["documents"]
    for arm, one in confusions.items():
        assert (one["labels"], one["seeds"], np.sum(one["counts"])) == (labelled, 1, tested)
        (cell,) = (c for c in verdict["cells"] if (c["arm"], c["labels"]) == (arm, labelled))
        assert np.trace(one["counts"]) / tested == pytest.approx(cell["metrics"]["accuracy"])
    assert [one["labels"] for one in verdict["examples"]] == [20, labelled]
    shown = [example for one in verdict["examples"] for way in ("of_arm", "of_baseline") for example in one[way]]
    written = (tmp_path / "target.csv").read_text()
    assert all(example["text"] in written and example["label"] != example["said"] for example in shown)
    assert verdict["busy_cores"].keys() == verdict["seconds"].keys()
    assert all(busy > 0.0 for busy in verdict["busy_cores"].values())
    (source_seconds,) = (seconds for part, seconds in verdict["seconds"].items() if part == "source model")
    before = {(c["task"], c["arm"]): c["seconds_before"] for c in verdict["cells"]}
    assert before["classifier", "scratch"] == before["classifier", "tfidf"] == 0.0
    assert before["classifier", "parameter"] > before["language_model", "parameter"] == source_seconds

    forgotten = verdict["forgetting"]
    assert forgotten["sentence"] in verdict["sentences"]
    assert forgotten["lost"]["value"] == pytest.approx(forgotten["after"] - forgotten["before"])
    assert forgotten["perplexity_after"] > 1.0

    # The target has words of its own: what each rung of their map took stands in the verdict and in MLflow.
    coverage = {row["rung"]: row for row in verdict["coverage"]}
    assert list(coverage) == ["exact", "normalised", "linear", "pieces", "mean"]
    assert sum(row["types"] for row in coverage.values()) <= 60

    # MLflow: one parent, a child a training, all ended; the source model under its alias.
    client = MlflowClient()
    found = client.get_experiment_by_name("tiny")
    assert found is not None
    runs = client.search_runs([found.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    assert len(runs) == 1 + 4 + CLASSIFIERS + NOT_TRAINED
    assert {r.data.tags["rnnlm.kernel"] for r in runs if "rnnlm.kernel" in r.data.tags} == {kernel.described()}
    assert all(r.data.tags["rnnlm.precision"] in ("float32", "bfloat16", "float64") for r in runs if r != parent)
    assert parent.data.params["model.hidden"] == "12"
    mean = np.mean([c["metrics"]["accuracy"] for c in verdict["cells"] if c["arm"] == "feature" and c["labels"] == 20])
    assert parent.data.metrics["classifier/feature/accuracy/20_labels"] == pytest.approx(mean)
    assert parent.data.metrics["coverage/exact_types"] == coverage["exact"]["types"] > 4
    assert "report.html" in {Path(a.path).name for a in client.list_artifacts(parent.info.run_id, "report")}
    assert parent.data.tags["mlflow.note.content"] == verdict["summary"]
    assert parent.data.tags["rnnlm.verdict"] == verdict["outcome"]

    def datasets_of(run: Run) -> dict[str, Dataset]:
        return {one.dataset.name: one.dataset for one in run.inputs.dataset_inputs} if run.inputs else {}

    datasets = datasets_of(parent)
    assert datasets.keys() == {"source documents", "source tokens", "target documents", "target tokens"}
    for name, dataset in datasets.items():
        assert dataset.digest == verdict["digests"][name][:36]
        assert json.loads(str(dataset.profile))["documents"]["test"] > 0
    read = {run.info.run_name: list(datasets_of(run)) for run in runs}
    assert read["pretrain"] == read["forgetting"] == ["source tokens"]
    assert read["language model parameter seed=1"] == ["target tokens"]
    version = client.get_model_version_by_alias("tiny-source", "champion")
    assert version.tags["rnnlm.tokens"]

    # The same again: nothing runs, the same report.
    executed.clear()
    assert transfer(experiment) == report
    assert executed == {}
    # It has the way to the run that has the trainings.
    (latest,) = client.search_runs([found.experiment_id], "tags.`prefect.flow_run_id` LIKE '%'", max_results=1)
    assert latest.data.tags["rnnlm.same_as"] == parent.info.run_id

    # An estimate finds the source model that is there, and scores it as the run did.
    from rnnlm.flows.estimate import estimate_transfer

    asked = estimate_transfer(experiment).estimation.estimate.source_model
    assert asked is not None
    (as_it_is,) = (c["metrics"] for c in verdict["cells"] if c["arm"] == "source")
    assert asked.perplexity == pytest.approx(as_it_is["valid/perplexity"])
    assert asked.documents == verdict["documents"]["train"] == labelled - verdict["documents"]["valid"]
    assert executed["language model"] == 0
    executed.clear()

    # Another target option: the source is not touched.
    raw = settings
    raw["target"]["classifier"]["epochs"] = 2
    raw["comparison"] |= {"arms": ["scratch", "parameter"], "labels": [20], "seeds": 1}
    transfer(check_experiment(raw))
    assert executed == {"classifier": 2, "compare": 1}
    executed.clear()
    # In MLflow the rest is below it all the same.
    (latest,) = client.search_runs([found.experiment_id], "tags.`prefect.flow_run_id` LIKE '%'", max_results=1)
    below = client.search_runs([found.experiment_id], f"tags.`mlflow.parentRunId` = '{latest.info.run_id}'")
    originals = {str(run.info.run_name): run for run in runs if run != parent}
    trained = {f"classifier {arm} labels=20 seed=1" for arm in ("scratch", "parameter")}
    rest = {name for name in originals if not name.startswith("classifier")}
    assert sorted(str(run.info.run_name) for run in below) == sorted(trained | rest)
    copies = [run for run in below if "rnnlm.copy_of" in run.data.tags]
    assert len(copies) == len(rest)
    for copy in copies:
        original = originals[copy.info.run_name]
        assert copy.data.tags["rnnlm.copy_of"] == original.info.run_id
        assert copy.data.params == original.data.params
        assert list(datasets_of(copy)) == list(datasets_of(original))

    # An output that was deleted is made again, to the same bits.
    import shutil

    digest = report.sha256
    shutil.rmtree(report.path)
    again = transfer(experiment)
    assert executed == {"compare": 1}
    assert again.sha256 == digest
    assert (again.path / "report.html").is_file()
    assert len(client.search_model_versions("name = 'tiny-source'")) == 1


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_every_arm_there_is(
    experiment: Experiment, executed: Counter[str], tmp_path: Path, settings: dict[str, Any]
) -> None:
    """All of them in one run, with one tokenizer for source and target."""
    from rnnlm.flows.transfer import transfer

    raw = settings
    arms = arms_for(["tfidf", "nbsvm"])
    raw["source"]["tokenizer"] = {"kind": "bpe", "vocabulary_size": 300}
    # What stands in the target stands in the source's text too, the test documents among it.
    for n, line in enumerate((tmp_path / "target.csv").read_text().splitlines()[1:41]):
        (tmp_path / "source" / f"leaked {n}.txt").write_text(line.partition('"')[2].partition('"')[0])
    raw["target"] |= {"tokenizer": None, "ngram_order": None, "adaptations": []}
    raw["target"]["classifier"]["fine_tuning"] = [{}, {"stay_near": 1.0, "importance": "fisher"}]
    raw["comparison"] = {"arms": arms[::-1], "labels": ["all"], "seed": 13}
    report = transfer(check_experiment(raw))
    # The source's text is not tokenized again: the models have its tokens. Two source models, four of the target.
    assert executed == {
        "ingest": 2,
        "tokenize": 2,
        "language model": 6,
        "classifier": len(arms) - 4,  # tfidf and nbsvm are solved, both and mean are means
        "register": 1,
        "compare": 1,
    }
    verdict = json.loads((report.path / "verdict.json").read_text())
    cells = {c["arm"]: c for c in verdict["cells"] if c["task"] == "classifier"}
    assert set(cells) == set(arms)
    assert {c["arm"] for c in verdict["cells"] if c["task"] == "language_model"} == {
        "scratch",
        "source",
        "parameter",
        "backward",
    }
    # What reads backwards is another model of the same documents, and the mean of both a third.
    said = {
        arm: np.stack(
            pq.read_table(tmp_path / "store" / cells[arm]["output"] / "predictions.parquet")[
                "probabilities"
            ].to_pylist()
        )
        for arm in ("parameter", "backward", "both")
    }
    assert not np.allclose(said["parameter"], said["backward"])
    np.testing.assert_allclose(said["both"], (said["parameter"] + said["backward"]) / 2, rtol=1e-6)
    before = {arm: cell["seconds_before"] for arm, cell in cells.items()}
    assert before["multi_task"] == before["scratch"] == 0.0
    assert before["auxiliary"] == before["direct"] == verdict["seconds"]["source model"]
    assert before["both"] > before["parameter"] + before["backward"]
    assert verdict["forgetting"]["perplexity_after"] > 1.0
    assert 0 < verdict["read_before"] <= 40
    # Each of these documents has thirteen words, the last of them its own number.
    assert (verdict["shared_passages"]["source"], verdict["shared_passages"]["target"]) == (verdict["read_before"], 0)
    assert {gain["documents"] for gain in verdict["shared_passages"]["gains"]} == {
        gain["documents"] - verdict["read_before"] for gain in verdict["gains"]
    }
    assert verdict["sentences"][0].startswith(f"Not to be trusted: {verdict['read_before']} of the target's")


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_a_source_model_alone_and_the_way_to_its_run(
    experiment: Experiment, settings: dict[str, Any], executed: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is trained once; where servers run, its flow run has a link to MLflow, and the MLflow run one to Prefect."""
    from mlflow import MlflowClient
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    from rnnlm.flows.pretrain import pretrain

    experiment = check_experiment(settings)
    monkeypatch.setenv("PREFECT_UI_URL", "http://here:4200")
    monkeypatch.setenv("RNNLM_MLFLOW_UI_URL", "http://here:5000/")

    again = experiment.source.model_copy(update={"corpus": experiment.source.corpus})
    first = pretrain(experiment.name, experiment.source, experiment.model, seed=19)
    assert (first.name, first.alias) == ("tiny-source", "champion")
    assert executed == {"ingest": 1, "tokenize": 1, "language model": 1, "register": 1}
    assert pretrain(experiment.name, again, experiment.model, seed=19) == first
    assert executed.total() == 4, "nothing has changed, and nothing is done"
    other = pretrain(experiment.name, experiment.source, experiment.model, seed=23)
    assert other.version == first.version + 1
    assert executed == {"ingest": 1, "tokenize": 1, "language model": 2, "register": 2}

    found = MlflowClient().get_experiment_by_name("tiny")
    assert found is not None
    runs = MlflowClient().search_runs([found.experiment_id], "tags.`prefect.flow_run_id` LIKE '%'")
    with get_client(sync_client=True) as prefect:
        links = prefect.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["mlflow-run"])))
    assert len(links) == len(runs) == 3
    for run in runs:
        (link,) = (one for one in links if run.info.run_id in str(one.data))
        assert f"http://here:5000/#/experiments/{found.experiment_id}/runs/{run.info.run_id}" in str(link.data)
        assert run.data.tags["prefect.address"] == f"http://here:4200/runs/flow-run/{link.flow_run_id}"


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_language_models_that_only_serve_classifiers(experiment: Experiment, executed: Counter[str]) -> None:
    """Where they are not compared, those are trained that a classifier starts from, and their cost is counted."""
    from rnnlm.flows.transfer import transfer

    raw = experiment.model_dump()
    raw["comparison"] |= {"arms": ["scratch", "direct", "parameter"], "labels": [20], "seed": 17, "seeds": 1}
    raw["comparison"]["language_models"] = False
    report = transfer(check_experiment(raw))
    assert executed["language model"] == 2
    verdict = json.loads((report.path / "verdict.json").read_text())
    cells = {(c["task"], c["arm"]): c for c in verdict["cells"]}
    assert set(cells) == {("language_model", "parameter"), *(("classifier", a) for a in raw["comparison"]["arms"])}
    before = {arm: cells["classifier", arm]["seconds_before"] for arm in ("direct", "parameter")}
    assert before["parameter"] == before["direct"] + cells["language_model", "parameter"]["seconds"]
    assert verdict["forgetting"] is None
    assert not [gain for gain in verdict["gains"] if gain["task"] == "language_model"]


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_a_failed_step_is_retried_alone(
    experiment: Experiment,
    executed: Counter[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
) -> None:
    import rnnlm.transfer.fit_target
    import rnnlm.transfer.run_cell
    from rnnlm.flows.transfer import transfer

    # Prefect's result storage is the session's: another seed is what makes this test's steps its own.
    settings["comparison"]["seed"] = 7
    experiment, trainings = smaller(settings)

    working = rnnlm.transfer.fit_target.fit_target_model

    def failing(fit: rnnlm.transfer.target_fit.TargetFit, *args: Any) -> Any:
        if fit.trainable == "head":
            raise DataError("this arm is broken today", where="here")
        return working(fit, *args)

    monkeypatch.setattr(rnnlm.transfer.run_cell, "fit_target_model", failing)
    with pytest.raises(DataError, match="broken today"):
        transfer(experiment)
    done = executed["classifier"]
    assert 0 < done < trainings
    executed.clear()
    monkeypatch.setattr(rnnlm.transfer.run_cell, "fit_target_model", working)
    transfer(experiment)
    assert executed == {"classifier": trainings - done, "compare": 1}

    from mlflow import MlflowClient

    client = MlflowClient()
    found = client.get_experiment_by_name("tiny")
    assert found is not None
    runs = client.search_runs([found.experiment_id])
    computed = [run for run in runs if "rnnlm.copy_of" not in run.data.tags]
    status = Counter(run.info.status for run in computed)
    # The parent; the source, two language models, and what the source is worth as it is and forgets. What failed is
    # the other parent, and the cell.
    assert status == {"FINISHED": 1 + 5 + trainings, "FAILED": 2}
    # The second run took the rest from the cache; it has each step once.
    (second,) = (r for r in computed if r.info.status == "FINISHED" and "mlflow.parentRunId" not in r.data.tags)
    below = [r.info.run_name for r in runs if r.data.tags.get("mlflow.parentRunId") == second.info.run_id]
    assert len(below) == len(set(below)) == 5 + trainings


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_a_retried_flow_run_goes_on_where_it_failed(
    experiment: Experiment,
    executed: Counter[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
) -> None:
    """The same flow run, begun again as Prefect's Retry does, takes from the cache all but the step that failed."""
    import rnnlm.transfer.fit_target
    import rnnlm.transfer.run_cell
    from rnnlm.flows.transfer import transfer

    working, calls = rnnlm.transfer.fit_target.fit_target_model, Counter[str]()

    def failing_once(*args: Any, **kwargs: Any) -> Any:
        calls["all"] += 1
        if calls["all"] == 3:
            raise DataError("the third cell is broken today", where="here")
        return working(*args, **kwargs)

    settings["comparison"]["seed"] = 11
    experiment, trainings = smaller(settings)
    monkeypatch.setattr(rnnlm.transfer.run_cell, "fit_target_model", failing_once)
    report = transfer.with_options(retries=1)(experiment)
    assert (report.path / "verdict.json").is_file()
    # `executed` counts the cells that worked: each once, and nothing before them twice.
    assert executed["classifier"] == trainings
    assert calls["all"] == trainings + 1
    assert executed["language model"] == 4
    assert executed["register"] == executed["compare"] == 1

    from mlflow import MlflowClient

    client = MlflowClient()
    found = client.get_experiment_by_name("tiny")
    assert found is not None
    runs = client.search_runs([found.experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert [run.info.status for run in parents] == ["FINISHED"]
    assert not [run for run in runs if "rnnlm.copy_of" in run.data.tags], "its own steps, from the cache or not"


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_too_many_labels_are_refused_before_anything_is_trained(
    experiment: Experiment, executed: Counter[str], tmp_path: Path, settings: dict[str, Any]
) -> None:
    from rnnlm.flows.transfer import transfer

    raw = settings
    raw["comparison"]["labels"] = [20, 5_000]
    with pytest.raises(ConfigError, match=r"comparison.labels: 5,000 labels"):
        transfer(check_experiment(raw))
    assert set(executed) <= {"ingest"}
