"""From a registered source model to a champion, a challenger, and the way back; real training, a real registry."""

import json
from collections import Counter
from typing import Any

import mlflow
import numpy as np
import pyarrow.parquet as pq
import pytest

from rnnlm.errors import ConfigError, DataError
from rnnlm.experiment import Experiment, Promotion, check_experiment
from rnnlm.registry import aliases
from rnnlm.registry.lineage import lineage
from rnnlm.settings import Corpus

SEED = 29  # of these tests alone: Prefect's result storage is the session's


@pytest.fixture
def seeded(settings: dict[str, Any], experiment: Experiment) -> Experiment:
    """A small comparison with one tokenizer."""
    assert experiment
    settings["source"]["tokenizer"]["vocabulary_size"] = 58  # no other test's, for the same reason
    settings["target"] |= {"tokenizer": None, "ngram_order": None, "adaptations": [], "language_model": None}
    settings["comparison"] = {
        "arms": ["scratch", "tfidf", "parameter"],
        "labels": [20, "all"],
        "seeds": 1,
        "seed": SEED,
    }
    return check_experiment(settings)


def aliased(name: str) -> dict[str, int]:
    found = mlflow.MlflowClient().get_registered_model(name).aliases
    return {alias: int(version) for alias, version in found.items()}


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_a_registered_source_becomes_a_champion_of_the_target(seeded: Experiment, executed: Counter[str]) -> None:
    from rnnlm.flows.adapt import adapt
    from rnnlm.flows.pretrain import pretrain

    source = pretrain(seeded.name, seeded.source, seeded.model, seed=SEED)
    executed.clear()
    first = adapt("models:/tiny-source@champion", seeded.name, seeded.target, seeded.comparison)
    assert (first.name, first.alias, first.version) == ("tiny-target", "champion", 1)
    # The texts are read as they were; with the model's own tokenizer the source's text is what it was trained on.
    assert executed == {"ingest": 1, "tokenize": 2, "classifier": 4, "register": 1, "compare": 1}
    told = lineage(first.uri)
    assert told.facts["promotion"] == "promoted: there was no champion"
    assert told.facts["arm"] in ("scratch", "parameter")
    assert told.source is not None
    assert told.source.model == source.uri
    assert told.source.configuration == json.loads(seeded.source.model_dump_json())

    # It classifies files, every row of them.
    from rnnlm.flows.score import score

    scored = score(first.uri, Corpus(files=seeded.target.corpus.files))
    table = pq.read_table(scored.path / "scores.parquet")
    assert scored.documents == table.num_rows == 240
    assert table["id"][0].as_py().startswith("target.csv, line 2")
    assert set(table["label"].to_pylist()) <= {"good", "bad"}
    sums = [sum(row.values()) for row in table["probabilities"].to_pylist()]
    np.testing.assert_allclose(sums, 1.0, rtol=1e-6)
    of_text = pq.read_table(score(source.uri, Corpus(files=seeded.target.corpus.files)).path / "scores.parquet")
    assert of_text.column_names == ["id", "text", "nll", "tokens", "perplexity", "bits_per_character"]
    assert score("models:/tiny-target@champion", Corpus(files=seeded.target.corpus.files)) == scored

    # Nothing has changed: nothing is trained, and the champion stays.
    executed.clear()
    assert adapt(source.uri, seeded.name, seeded.target, seeded.comparison) == first
    assert executed == {"register": 1}  # the registry is asked once more, for there is a champion now
    again = adapt(source.uri, seeded.name, seeded.target, seeded.comparison, return_state=True)
    assert (again.type, again.name) == ("COMPLETED", "Unchanged")
    assert str(again.message).startswith("Nothing has changed: all")
    assert again.result() == first

    # Another model, on the same documents: it would have to be better by more than can be.
    other = seeded.comparison.model_copy(update={"seed": SEED + 1})
    margin = Promotion(margin=1.0)
    second = adapt(source.uri, seeded.name, seeded.target, other, margin)
    assert (second.alias, second.version) == ("challenger", 2)
    assert aliased("tiny-target") == {"champion": 1, "challenger": 2}
    assert "not above a margin of 100" in lineage(second.uri).facts["promotion"]

    # A person puts it to use, and takes it back: it does not come again by itself.
    aliases.promote(second, "by hand")
    aliases.rollback("tiny-target")
    for how in (Promotion(), margin):
        third = adapt(source.uri, seeded.name, seeded.target, other, how)
        assert (third.alias, third.version) == ("challenger", 2)
        assert "was rolled back" in lineage(third.uri).facts["promotion"]
        assert aliased("tiny-target") == {"champion": 1, "challenger": 2}


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_what_cannot_be_adapted_is_named_before_anything_is_read(seeded: Experiment, executed: Counter[str]) -> None:
    from rnnlm.flows.adapt import adapt

    with pytest.raises(DataError, match="models:/tiny-source@champion"):
        adapt("models:/tiny-source@champion", seeded.name, seeded.target, seeded.comparison)
    with pytest.raises(ConfigError, match="models:/NAME@champion"):
        adapt("tiny-source", seeded.name, seeded.target, seeded.comparison)
    with pytest.raises(ConfigError, match=r"promotion\.approval: only the run of a deployment"):
        adapt(promotion=Promotion(approval=True))
    assert not executed
