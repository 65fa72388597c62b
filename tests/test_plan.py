"""The comparison as data: every cell once, after what it needs, and nothing but what the arms say."""

from typing import Any

import pytest

from rnnlm.arms import ARMS, Arm, MeanOf, Trained, arm_named, arms_for
from rnnlm.errors import ConfigError
from rnnlm.experiment import Comparison, Experiment, load_experiment
from rnnlm.experiment.parts import Target
from rnnlm.plan import CellSpec, Plan, Reading, SourceModel, TrainTarget, all_needs, needs_source, plan, seeds_of
from rnnlm.refs import CellId
from rnnlm.targets import TARGETS

LABELLED = {"train": 8_500, "valid": 500, "test": 2_000}
ALL = 9_000


def demo(*changes: str) -> Experiment:
    return load_experiment("demo", list(changes))


def everything() -> Experiment:
    """Return an experiment with every arm there is for classes."""
    arms = ", ".join(arms_for(["tfidf", "nbsvm", "embeddings"]))
    return demo(f"comparison.arms=[{arms}]", "target.corpus.vector=vector", "target.adaptations=[cache, dynamic]")


def of_arm(cells: Plan, arm: str) -> list[CellSpec]:
    return [spec for spec in cells.values() if spec.id.arm == arm]


@pytest.mark.parametrize("arm", ARMS.values(), ids=lambda arm: arm.name)
def test_every_arm_is_whole(arm: Arm) -> None:
    assert arm is arm_named(arm.name)
    assert arm.title
    assert arm.phrase
    assert arm.language_model or arm.target
    if arm.target is not None:
        enum = Comparison.model_json_schema()["properties"]["arms"]["items"]["enum"]
        assert arm.name in enum
        assert f"{arm.name}: " in Comparison.model_json_schema()["properties"]["arms"]["description"]
    if isinstance(arm.target, MeanOf):
        assert all(ARMS[part].target is not None for part in arm.target.arms)


@pytest.mark.parametrize("solved", [("tfidf", "nbsvm", "embeddings"), ("crf",), None])
def test_arms_of_one_figure_look_different(solved: tuple[str, ...] | None) -> None:
    of_text = [name for name, arm in ARMS.items() if arm.language_model is not None]
    looks = [ARMS[name].look for name in (arms_for(solved) if solved else of_text)]
    assert len(set(looks)) == len(looks)


def test_each_tradition_has_its_arms_and_all_others_are_shared() -> None:
    assert set(arms_for(["tfidf"])) ^ set(arms_for(["crf"])) == {"tfidf", "crf"}
    assert set(arms_for(["tfidf", "nbsvm", "embeddings", "crf"], source_labels=True)) == {
        n for n, arm in ARMS.items() if arm.target is not None
    }
    for target in TARGETS.values():
        training: Any = Target.model_fields[target.model].annotation
        assert tuple(target.solvers) == training.solved


def test_each_cell_comes_after_all_that_it_needs() -> None:
    cells = plan(everything(), LABELLED)
    seen: set[CellId] = set()
    for cell, spec in cells.items():
        assert cell == spec.id
        assert {need for need in spec.needs if isinstance(need, CellId)} <= seen
        seen.add(cell)
    assert {cell.arm for cell in cells} == set(ARMS) - {"crf", "tfidf_source"}


def test_the_demo_has_the_cells_that_it_promises() -> None:
    cells = plan(demo(), LABELLED)
    classifiers = [cell for cell in cells if cell.task == "classifier"]
    assert len(classifiers) == 8 * (3 + 3 + 1)
    (mean,) = (spec for cell, spec in cells.items() if (cell.arm, cell.labels) == ("mean", ALL))
    assert [need.arm for need in mean.needs if isinstance(need, CellId)] == ["parameter", "feature", "tfidf", "nbsvm"]
    assert {(cell.labels, cell.seed) for cell in classifiers} == {
        *((labels, seed) for labels in (500, 2_000) for seed in (1, 2, 3)),
        (ALL, 1),
    }
    models = [cell.arm for cell in cells if cell.task == "language_model"]
    recurrent, counted = {"scratch", "source", "parameter", "source_cache"}, {"kneser_ney", "good_turing"}
    assert len(models) == len(set(models))
    assert set(models) == recurrent | counted | {"scratch_kneser_ney", "parameter_kneser_ney"}


def test_a_number_of_labels_that_is_all_of_them_is_one_cell() -> None:
    cells = plan(demo("comparison.labels=[500, all]"), {"train": 470, "valid": 30, "test": 100})
    assert {cell.labels for cell in cells if cell.task == "classifier"} == {500}
    assert len([cell for cell in cells if cell.arm == "tfidf"]) == 3


def test_language_models_that_are_not_compared_are_there_if_a_classifier_starts_from_them() -> None:
    only = "comparison.language_models=false"
    cells = plan(demo(only, "comparison.arms=[scratch, feature]", "comparison.labels=[all]"), LABELLED)
    assert [cell.arm for cell in cells] == ["parameter", "scratch", "feature"]
    cells = plan(demo(only, "comparison.arms=[scratch, direct]", "comparison.labels=[all]"), LABELLED)
    assert [cell.arm for cell in cells] == ["scratch", "direct"]


def test_without_a_language_model_of_the_target_transfer_starts_from_the_source_as_it_is() -> None:
    cells = plan(demo("target.language_model=null", "comparison.arms=[scratch, parameter]"), LABELLED)
    assert {need for spec in of_arm(cells, "parameter") for need in spec.needs} == {SourceModel()}


def test_what_is_seen_of_the_source_makes_an_arm_one_of_transfer() -> None:
    cells = plan(everything(), LABELLED)
    of_source = {cell.arm for cell in cells if needs_source(cell, cells)}
    baselines = {"scratch", "tfidf", "nbsvm", "embeddings", "target_text"}
    language_models = {"kneser_ney", "good_turing", "scratch_kneser_ney"}
    assert of_source == set(ARMS) - baselines - language_models - {"crf", "tfidf_source"}
    # A way of transfer hands something of the source on; the reverse does not hold for mixtures and the source itself.
    assert {arm.name for arm in ARMS.values() if arm.transfer} <= of_source


def test_an_arm_that_reads_backwards_has_a_source_that_does() -> None:
    cells = plan(everything(), LABELLED)
    for spec in of_arm(cells, "backward"):
        assert spec.reads == Reading(of="target", backward=True)
        needs = all_needs(spec.id, cells)
        assert SourceModel(backward=True) in needs
        assert SourceModel() not in needs


def test_text_beside_the_labels_is_that_of_the_arm() -> None:
    cells = plan(everything(), LABELLED)
    found = {arm: of_arm(cells, arm)[0].work for arm in ("auxiliary", "multi_task")}
    assert all(isinstance(work, TrainTarget) and work.beside for work in found.values())
    texts = {arm: work.beside_text for arm, work in found.items() if isinstance(work, TrainTarget)}
    assert texts == {"auxiliary": Reading(of="target"), "multi_task": Reading(of="source")}


def test_only_ways_that_ask_what_matters_to_a_start_read_the_text_that_it_knows() -> None:
    way = "target.classifier.fine_tuning=[{stay_near: 1.0, importance: fisher}]"
    arms = "comparison.arms=[scratch, target_text, parameter, feature, backward]"
    known = {
        spec.id.arm: spec.work.known_text
        for spec in plan(demo(way, arms, "comparison.labels=[all]"), LABELLED).values()
        if isinstance(spec.work, TrainTarget)
    }
    assert known == {
        "scratch": None,
        "feature": None,
        "target_text": Reading(of="target"),
        "parameter": Reading(of="source"),
        "backward": Reading(of="source", backward=True),
    }
    assert all(
        spec.work.known_text is None
        for spec in plan(demo(arms), LABELLED).values()
        if isinstance(spec.work, TrainTarget)
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (["comparison.arms=[scratch, tfidf_source]"], "`tfidf_source` learns the source's labels"),
        (["comparison.arms=[scratch, both]"], "`both` is the mean of `parameter` and `backward`, and"),
        (["target.language_model=null", "comparison.arms=[scratch, target_text]"], "`target_text` starts from"),
        (["target.language_model=null", "comparison.arms=[scratch, auxiliary]"], "`auxiliary` reads text as"),
        (["target.language_model=null", "comparison.arms=[scratch, direct, parameter]"], "`direct` is `parameter`"),
        (["source.tokenizer.kind=whitespace", "comparison.arms=[scratch, backward]"], "`backward` needs documents"),
    ],
)
def test_arms_without_what_they_need_are_refused(changes: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=f"comparison.arms: .*{problem}"):
        demo(*changes)


def test_an_unknown_arm_of_another_version_is_a_way_of_transfer() -> None:
    assert arm_named("of_tomorrow").transfer
    assert arm_named("of_tomorrow").title == "of_tomorrow"


def test_equal_fits_are_one_arm() -> None:
    fits = [arm.target for arm in ARMS.values() if isinstance(arm.target, Trained)]
    assert len(set(fits)) == len(fits)


def test_language_models_have_seeds_of_their_own_and_classifiers_start_from_theirs() -> None:
    cells = plan(demo("comparison.seeds_language_model=3", "comparison.labels=[500]"), LABELLED)
    seeds = {arm: {spec.id.seed for spec in of_arm(cells, arm) if spec.id.task == "language_model"} for arm in ARMS}
    assert seeds["scratch"] == seeds["parameter"] == seeds["parameter_kneser_ney"] == {1, 2, 3}
    # What no seed changes is made once.
    assert seeds["source"] == seeds["source_cache"] == seeds["kneser_ney"] == {1}
    starts = {spec.id.seed: spec.needs for spec in of_arm(cells, "parameter") if spec.id.task == "classifier"}
    assert [[need.seed for need in starts[seed] if isinstance(need, CellId)] for seed in (1, 2, 3)] == [[1], [2], [3]]
    for spec in cells.values():
        mixed = [need for need in spec.needs if isinstance(need, CellId) and spec.id.task == "language_model"]
        assert all(need.seed == spec.id.seed for need in mixed)


def test_all_classifiers_start_from_the_only_language_model() -> None:
    cells = plan(demo(), LABELLED)
    assert {cell.seed for cell in cells if cell.task == "language_model"} == {1}
    with pytest.raises(ConfigError, match="some of 3 seeds would start from the same language model"):
        demo("comparison.seeds_language_model=2")


AUTO = ("comparison.seeds=auto", "comparison.labels=[500, all]", "comparison.arms=[scratch, tfidf, parameter, feature]")


def seeds_by_arm(cells: Plan, labels: int) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for cell in cells:
        if cell.labels == labels:
            found.setdefault(cell.arm, []).append(cell.seed)
    return found


def test_automatic_seeds_begin_alike_and_only_named_groups_get_more() -> None:
    experiment = demo(*AUTO)
    cells = plan(experiment, LABELLED)
    assert set(map(tuple, seeds_by_arm(cells, 500).values())) == {(1, 2, 3)}
    assert set(map(tuple, seeds_by_arm(cells, ALL).values())) == {(1, 2, 3)}
    more = plan(experiment, LABELLED, {("classifier", "feature", 500): 5, ("classifier", "scratch", 500): 5})
    assert set(cells) < set(more)
    added = set(more) - set(cells)
    assert added == {
        CellId(task="classifier", arm=a, labels=500, seed=s) for a in ("scratch", "feature") for s in (4, 5)
    }
    assert plan(experiment, LABELLED, seeds_of(more)) == more
    assert {cell.seed for cell in more if cell.task == "language_model"} == {1}, "all start from the only one"


def test_with_automatic_language_models_each_seed_has_its_own() -> None:
    experiment = demo(*AUTO, "comparison.seeds_language_model=auto")
    more = plan(experiment, LABELLED, {("classifier", "feature", 500): 5})
    (spec,) = (spec for cell, spec in more.items() if (cell.arm, cell.labels, cell.seed) == ("feature", 500, 5))
    (need,) = spec.needs
    assert isinstance(need, CellId)
    assert (need.arm, need.seed) == ("parameter", 5)
    assert need in more
    assert plan(experiment, LABELLED, seeds_of(more)) == more
    seeds = seeds_by_arm(more, 0)
    assert (seeds["scratch"], seeds["source"], seeds["parameter"]) == ([1, 2, 3], [1], [1, 2, 3, 4, 5])


def test_parts_of_a_mean_get_its_seeds() -> None:
    experiment = demo(
        "comparison.seeds=auto",
        "comparison.labels=[500]",
        "comparison.arms=[scratch, tfidf, nbsvm, parameter, mean]",
        "comparison.mean_of=[parameter, tfidf, nbsvm]",
    )
    more = plan(experiment, LABELLED, {("classifier", "mean", 500): 7})
    seeds = {arm: len(seeds) for arm, seeds in seeds_by_arm(more, 500).items()}
    assert seeds == {"scratch": 3, "tfidf": 7, "nbsvm": 7, "parameter": 7, "mean": 7}


@pytest.mark.parametrize(
    ("arms", "parts", "problem"),
    [
        (
            "[scratch, tfidf, mean]",
            "[parameter, tfidf]",
            "`mean` is the mean of `parameter` and `tfidf`, and there is no `parameter`: name arms",
        ),
        ("[scratch, parameter, mean]", "[parameter]", "comparison.mean_of: a mean is made of two arms or more"),
        ("[scratch, parameter, mean]", "[parameter, parameter]", "comparison.mean_of: a value is there twice"),
        ("[scratch, parameter, mean]", "[parameter, mean]", "comparison.mean_of: no means of others, as `mean`"),
        ("[scratch, parameter, mean]", "[parameter, kneser_ney]", "comparison.mean_of"),
    ],
)
def test_a_mean_is_made_of_other_arms_of_the_comparison(arms: str, parts: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        demo(f"comparison.arms={arms}", f"comparison.mean_of={parts}")


def test_vectors_are_asked_for_where_they_are_read() -> None:
    arms = "comparison.arms=[scratch, embeddings]"
    with pytest.raises(
        ConfigError, match=r"`embeddings` reads a vector of each document: name their column in target\.corpus"
    ):
        demo(arms)
    assert demo(arms, "target.corpus.vector=of_minilm").target.corpus.columns[-2:] == ["of_minilm", "movie_name"]
    with pytest.raises(ConfigError, match=r"source\.corpus\.vector: only the target's documents"):
        demo("source.corpus.vector=of_minilm")


def test_what_a_mean_is_made_of_matters_only_where_there_is_one() -> None:
    changes = "comparison.language_models=false", "comparison.arms=[scratch, feature]"
    cells = plan(demo(*changes, "comparison.mean_of=[linear_map, tfidf]"), LABELLED)
    assert {cell.arm for cell in cells} == {"scratch", "parameter", "feature"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (["comparison.seeds=auto", "comparison.seeds_language_model=3"], "use 1 or auto"),
        (["comparison.seeds_language_model=auto"], "only where comparison.seeds is auto"),
        (["comparison.seeds=auto", "comparison.max_seeds=2"], "comparison.max_seeds"),
        (["comparison.seeds=auto", "comparison.minutes=0"], "comparison.minutes"),
        (["comparison.seeds=some"], "comparison.seeds"),
        (["comparison.seeds=0"], "comparison.seeds"),
    ],
)
def test_numbers_of_seeds_that_do_not_fit_are_refused(changes: list[str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        demo(*changes)
