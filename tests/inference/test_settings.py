from typing import Any

import pytest

from rnnlm.errors import ConfigError
from rnnlm.inference.settings import TASKS, Completing, Correcting, Nothing, parameters, parse


def test_what_is_left_out_or_null_has_its_default() -> None:
    assert parse({}, "score") == ("score", Nothing())
    assert parse({}, "classify") == ("classify", Nothing())
    given = {"task": "complete", "n": 3, "seed": None, "distance": 2}
    assert parse(given, "score") == ("complete", Completing(n=3))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (
            {"task": "compleet"},
            "task: no task 'compleet'; there are: score, classify, predict, tag, complete, rescore, correct",
        ),
        ({"beam": 2}, "beam: no such parameter; there are: task, beams, distance"),
        ({"task": "complete", "max_tokens": 0}, r"max_tokens: .*greater than or equal to 1 \(given: 0\)"),
        ({"task": "complete", "top_p": 0.0}, "top_p: .*greater than 0"),
        ({"task": "complete", "temperature": float("nan")}, "temperature: "),
        ({"task": "complete", "seed": -1}, "seed: .*greater than or equal to 0"),
        ({"task": "complete", "n": "many"}, "n: .*integer.*'many'"),
        ({"task": "rescore", "scores": [1.0, float("inf")]}, "scores.1: .*finite"),
        ({"task": "rescore", "weight": float("nan")}, "weight: .*finite"),
        ({"task": "correct", "distance": 3}, "distance: .*less than or equal to 2"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_accepted(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse(given, "score")


def test_values_of_other_tasks_are_not_looked_at() -> None:
    assert parse({"task": "correct", "max_tokens": -1}, "score") == ("correct", Correcting())


def test_each_parameter_is_listed_once_with_its_type() -> None:
    listed = parameters()
    assert len({name for name, *_ in listed}) == len(listed) == sum(len(s.model_fields) for s in TASKS.values())
    of = {name: rest for name, *rest in listed}
    assert of["n"] == [int, False, 1]
    assert of["scores"] == [float, True, []]
    assert of["words"] == [str, True, []]
    assert of["temperature"] == [float, False, 0.0]
