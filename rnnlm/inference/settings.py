"""What a model can be asked to do (`task`), and the parameters of each request with bounds and defaults.

They are MLflow's parameters of the registered model, and the options of the command line.
"""

import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import Field, ValidationError

from rnnlm.errors import ConfigError
from rnnlm.settings import Settings

Task = Literal["score", "classify", "predict", "tag", "complete", "rescore", "correct"]
ExportFormat = Literal["saved-model", "onnx"]

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Nothing(Settings):
    """No parameters, for `score`, `classify`, `predict` and `tag`."""


class Completing(Settings):
    """How a text is completed."""

    max_tokens: int = Field(20, ge=1, le=10_000, description="The largest number of tokens to write.")
    n: int = Field(1, ge=1, le=256, description="Number of completions.")
    beams: int = Field(4, ge=1, le=256, description="Beginnings that are kept at each step if temperature is 0.")
    length_penalty: float = Field(
        1.0,
        ge=0.0,
        le=10.0,
        description="Beam search ranks by log-probability / tokens^this; 0: the most probable, often short.",
    )
    temperature: float = Field(
        0.0,
        ge=0.0,
        le=100.0,
        description="0: the most probable, by beam search. Above 0: drawn from p^(1/temperature).",
    )
    top_k: int = Field(0, ge=0, description="Draw from this number of most probable tokens; 0: from all.")
    top_p: float = Field(
        1.0, gt=0.0, le=1.0, description="Draw from the most probable tokens that together have this probability."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="The same seed draws the same text.")


class Rescoring(Settings):
    """How an n-best list is ranked."""

    scores: list[Finite] = Field([], description="Score of each hypothesis, higher is better. If empty, all are 0.")
    weight: float = Field(1.0, allow_inf_nan=False, description="Weight of the language model's log-probability.")
    word_bonus: float = Field(0.0, allow_inf_nan=False, description="Added for each word.")


class Correcting(Settings):
    """How spelling is corrected."""

    distance: int = Field(1, ge=1, le=2, description="The largest number of edits between a word and its candidates.")
    penalty: float = Field(8.0, ge=0.0, allow_inf_nan=False, description="The cost of each edit, in nats.")
    words: list[str] = Field(
        [],
        description="The correct words, the most frequent first. If empty, the model's own, if its tokens are words.",
    )


TASKS: dict[Task, type[Settings]] = {
    "score": Nothing,
    "classify": Nothing,
    "predict": Nothing,
    "tag": Nothing,
    "complete": Completing,
    "rescore": Rescoring,
    "correct": Correcting,
}


def default_task(kind: str) -> Task:
    """Return the default `task` of a kind of model."""
    from rnnlm.targets import TARGETS  # imported here: the command line's options need no NumPy

    return cast(Task, TARGETS[kind].use) if kind in TARGETS else "score"


def parse(given: Mapping[str, Any], default: Task) -> tuple[Task, Settings]:
    """Check parameters. Those of all tasks may be given, because MLflow passes every one that the signature declares.

    Args:
        given: `task` and the parameters by name. Those that are left out, or are null, have their defaults.
        default: The task if none is given.

    Returns:
        The task and its parameters.

    Raises:
        ConfigError: If a name or a value is wrong. The error says what is accepted.
    """
    known = {name for settings in TASKS.values() for name in settings.model_fields}
    if strange := sorted(given.keys() - known - {"task"}):
        raise ConfigError(
            f"no such parameter; there are: {', '.join(['task', *sorted(known)])}", where=", ".join(strange)
        )
    values = {name: value for name, value in given.items() if value is not None}
    task = values.pop("task", default)
    if task not in TASKS:
        raise ConfigError(f"no task {task!r}; there are: {', '.join(TASKS)}", where="task")
    settings = TASKS[task]
    return task, check(settings, {name: value for name, value in values.items() if name in settings.model_fields})


def check(settings: type[Settings], values: Mapping[str, Any]) -> Any:
    """Make settings from values.

    Raises:
        ConfigError: If a value is wrong. The error names the parameter and says what is accepted.
    """
    try:
        return settings.model_validate(dict(values))
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(step) for step in detail['loc'])}: {detail['msg']} (given: {detail['input']!r})"
            for detail in error.errors()
        ]
        raise ConfigError("; ".join(lines)) from error


def parameters() -> list[tuple[str, type, bool, Any]]:
    """Return the parameters of all tasks, except `task`: name, type, whether it is a list of that type, default."""
    found = []
    for settings in TASKS.values():
        for name, field in settings.model_fields.items():
            kind: Any = field.annotation
            is_list = typing.get_origin(kind) is list
            if is_list:
                (kind,) = typing.get_args(kind)
            if typing.get_origin(kind) is Annotated:
                kind = typing.get_args(kind)[0]
            found.append((name, kind, is_list, field.default))
    return found
