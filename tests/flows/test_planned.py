"""`rnnlm run --plan`: what is done, what is to be done, and what that will take."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from rnnlm.experiment import Experiment, check_experiment


@pytest.mark.usefixtures("prefect", "mlflow_store")
def test_a_plan_says_what_the_cache_has_and_trains_nothing(
    experiment: Experiment, executed: Counter[str], settings: dict[str, Any], tmp_path: Path
) -> None:
    from rnnlm.cli.app import app
    from rnnlm.cli.outcome import time_left
    from rnnlm.flows.transfer import transfer
    from rnnlm.steps.planned import planned

    assert experiment
    settings["target"] |= {"tokenizer": None, "ngram_order": None, "adaptations": []}
    settings["comparison"] |= {"arms": ["scratch", "tfidf", "parameter"], "labels": [20]}
    small = check_experiment(settings)
    before = planned(small)
    assert executed == {"ingest": 2, "tokenize": 2}
    assert [one.name for one in before[:2]] == ["source model", "language model, scratch, seed 1"]
    assert all(one.took is None and one.estimate is None for one in before)
    parameter = next(one for one in before if one.name == "classifier, parameter, 20 labels, seed 2")
    assert parameter.needs == ["language model, parameter, seed 1"]
    assert time_left(before) == (
        f"{len(before)} of {len(before)} trainings are to be done. How long they take is not known: none like them has "
        "run here."
    )

    transfer(small)
    executed.clear()
    after = planned(small)
    assert [one.name for one in after] == [one.name for one in before]
    assert all(one.took is not None for one in after)
    assert time_left(after) == f"All {len(after)} trainings are done: a run takes them from the cache."

    # More labels: what is new is estimated by the nearest number of labels.
    settings["comparison"]["labels"] = [20, 40]
    more = planned(check_experiment(settings))
    new = [one for one in more if one.took is None]
    assert {one.name.split(", ")[2] for one in new} == {"40 labels"}
    assert all(one.estimate and one.estimate > 0.0 for one in new)

    # Another experiment of the workplace, all of it new: by the rate of the language models trained here.
    other = {**settings, "model": {**settings.get("model", {}), "embedding": 12, "hidden": 12}}
    new_size = {one.name: one for one in planned(check_experiment(other))}
    assert all(one.took is None for name, one in new_size.items() if "tfidf" not in name)
    for name in ("source model", "language model, scratch, seed 1", "classifier, parameter, 40 labels, seed 1"):
        assert new_size[name].estimate, name

    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(settings))
    done = CliRunner().invoke(app, ["run", str(file), "--plan"])
    assert done.exit_code == 0, done.output
    assert "classifier, parameter, 40 labels, seed 1" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(f"{len(new)} of {len(more)} trainings are to be done, in about ")
    assert executed == {}

    code = """
import sys
from rnnlm.cli.app import app
app(sys.argv[1:], standalone_mode=False)
assert not {"prefect", "mlflow", "tensorflow"} & set(sys.modules)
"""
    command = [sys.executable, "-c", code, "run", str(file), "--plan"]
    alone = subprocess.run(command, capture_output=True, text=True, check=False)
    assert alone.returncode == 0, alone.stderr
    assert alone.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]
