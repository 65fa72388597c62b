"""Reading an experiment: a YAML file or plain values, changed by `--set`, and checked."""

import contextlib
import functools
import itertools
import logging
import re
import types
import typing
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ValidationError

from rnnlm.errors import ConfigError
from rnnlm.experiment.experiment import Experiment, Pretraining
from rnnlm.settings import Model
from rnnlm.settings.base import S, unwritable
from rnnlm.store import EXPERIMENTS

logger = logging.getLogger("rnnlm.config")

LARGEST = 1_000_000  # bytes of an experiment's file
NODES = 100_000  # values of an experiment, where those of an alias count each time
SAID = 200  # characters of a value, and
PROBLEMS = 20  # refused values, that an error shows


def load_experiment(name_or_file: str, overrides: list[str] | None = None) -> Experiment:
    """Read an experiment and check it.

    Args:
        name_or_file: Name of an experiment in deployments/experiments, or the path of a YAML file.
        overrides: Changes as `field.field=value`; the value is read as YAML.

    Raises:
        ConfigError: If there is no such experiment, or a key or a value is not accepted; it names the field.
    """
    content, where = _read(name_or_file, overrides)
    experiment = check_experiment(content, where)
    _warn_of_hidden(experiment.model)
    return experiment


def load_pretraining(name_or_file: str, overrides: list[str] | None = None) -> Experiment | Pretraining:
    """Read what a source model is made of, and check it: an experiment, or a file that says nothing of a target.

    Args:
        name_or_file: Name of an experiment in deployments/experiments, or the path of a YAML file.
        overrides: Changes as `field.field=value`; the value is read as YAML.

    Raises:
        ConfigError: If there is no such experiment, or a key or a value is not accepted; it names the field.
    """
    content, where = _read(name_or_file, overrides)
    asked = check_experiment(content, where) if "target" in content else _checked(Pretraining, content, where)
    _warn_of_hidden(asked.model)
    return asked


def _warn_of_hidden(model: Model) -> None:
    if model.layers == 1 and "hidden" in model.model_fields_set:
        logger.warning(
            "model.hidden (%d) has no effect with model.layers: 1. It is the width of the layers before the last; the "
            "last layer is as wide as the embedding (model.embedding: %d).",
            model.hidden,
            model.embedding,
        )


@functools.cache
def _fast_loader() -> Any:
    """Return PyYAML's safe loader, over libyaml's parser where PyYAML was built with it: four times as fast.

    PyYAML's own `CSafeLoader` composes in C, too, and a file of 100,000 brackets makes its recursion crash.
    """
    if not yaml.__with_libyaml__:
        return yaml.SafeLoader
    from yaml.cyaml import CSafeLoader  # type: ignore[attr-defined, unused-ignore]

    class Loader(yaml.composer.Composer, CSafeLoader):  # type: ignore[misc, unused-ignore]
        def __init__(self, written: str | bytes) -> None:
            CSafeLoader.__init__(self, written)
            yaml.composer.Composer.__init__(self)

    return Loader


def _composed(written: str | bytes) -> tuple[Any, yaml.Node | None]:
    """Read YAML; return what constructs its values, and its node (None if there is nothing)."""
    try:
        loader = _fast_loader()(written)
        return loader, loader.get_single_node()
    except yaml.YAMLError:
        # The slower parser says better what is wrong: it shows the line.
        loader = yaml.SafeLoader(written)
        return loader, loader.get_single_node()


def _read(name_or_file: str, overrides: list[str] | None) -> tuple[dict[str, Any], str]:
    """Read an experiment's values, with its changes; return them and the file's path."""
    path = _experiment_file(name_or_file)
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise ConfigError(f"has {size:,} bytes; an experiment has {LARGEST:,} at most", where=str(path))
        written = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}.", where=str(path)) from error
    content = _read_yaml(written, Experiment, where=str(path))
    if not isinstance(content, dict):
        raise ConfigError("must be a mapping of fields", where=str(path), remedy="See `rnnlm show demo`.")
    for override in overrides or []:
        _override(content, override)
    return content, str(path)


def check_experiment(content: dict[str, Any], where: str = "") -> Experiment:
    """Make an experiment of plain values.

    Raises:
        ConfigError: If a key or a value is not accepted; it names every such field and what is accepted.
    """
    return _checked(Experiment, content, where)


def _checked(kind: type[S], content: dict[str, Any], where: str) -> S:
    try:
        with contextlib.suppress(RecursionError):  # an alias of what it is in, which the check says better
            _check_text(content, [], where)
        return kind.model_validate(content)
    except ValidationError as error:
        details = error.errors()
        lines = [_explain(detail) for detail in details[:PROBLEMS]]
        lines += [f"and {len(details) - PROBLEMS:,} more"] if len(details) > PROBLEMS else []
        raise ConfigError("; ".join(lines), where=where) from error


def _check_text(value: Any, fields: list[str], where: str) -> None:
    """Refuse text that nothing could write down: half of a surrogate pair."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_text(name, fields, where)
            _check_text(inner, [*fields, str(name)], where)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_text(inner, fields, where)
    elif isinstance(value, str) and (shown := unwritable(value)):
        problem = f"{'.'.join(fields)}: '{shown}' has half of a surrogate pair, which is not text"
        raise ConfigError(problem, where=where)


def _experiment_file(name_or_file: str) -> Path:
    named = EXPERIMENTS / f"{name_or_file}.yaml"
    if named.is_file():
        return named
    path = Path(name_or_file)
    if path.is_file():
        return path
    known = ", ".join(sorted(file.stem for file in EXPERIMENTS.glob("*.yaml")))
    raise ConfigError(
        f"no experiment or file {name_or_file!r}", remedy=f"Give a YAML file, or one of the experiments: {known}."
    )


def _override(content: dict[str, Any], override: str) -> None:
    field, equals, text = override.partition("=")
    if not equals or not field:
        raise ConfigError(f"--set {override!r} is not field=value", remedy="For example --set model.hidden=256.")
    *parents, last = field.split(".")
    node = content
    for parent in parents:
        child = node.setdefault(parent, {})
        if child is None:
            child = node[parent] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"{parent} holds no fields", where=f"--set {override}")
        node = child
    node[last] = _read_yaml(text, _annotation_at([*parents, last]), where=f"--set {override}")


def _read_yaml(written: str | bytes, annotation: Any, where: str) -> Any:
    """Read YAML: no key may be there twice, and where the settings want text, `yes` and `1.0` are text.

    Args:
        written: The YAML.
        annotation: The type that the settings give what it holds.
        where: Where it is from, for errors.
    """
    try:
        loader, node = _composed(written)
        if node is None:
            return None
        _prepare(node, annotation, where, [], itertools.count())
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, ArithmeticError, IndexError, RecursionError) as error:
        raise ConfigError(f"cannot be read as YAML: {error or type(error).__name__}", where=where) from error


def _prepare(
    node: yaml.Node, annotation: Any, where: str, above: list[yaml.Node], visited: "itertools.count[int]"
) -> None:
    """Refuse keys that are there twice, and make plain scalars text where the settings want text."""
    if next(visited) == NODES:  # aliases of aliases: ten lines can say a billion values
        raise ConfigError(f"has more than {NODES:,} values", where=where)
    if any(node is parent for parent in above):  # an alias of what it is in
        return
    if isinstance(node, yaml.ScalarNode):
        if not node.style and node.tag in _NO_TEXT and str in _choices(annotation):
            node.tag = "tag:yaml.org,2002:str"
    elif isinstance(node, yaml.SequenceNode):
        items = [typing.get_args(choice)[0] for choice in _choices(annotation) if typing.get_origin(choice) is list]
        for item in node.value:
            _prepare(item, items[0] if items else None, where, [*above, node], visited)
    elif isinstance(node, yaml.MappingNode):
        settings = next((choice for choice in _choices(annotation) if _is_settings(choice)), None)
        seen: dict[tuple[str, str], yaml.Node] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                first = seen.setdefault((key.tag, key.value), key)
                if first is not key:
                    marks = [one.start_mark for one in (first, key)]
                    places = " and ".join(f"in line {mark.line + 1}, column {mark.column + 1}" for mark in marks)
                    raise ConfigError(
                        f"the field `{key.value}` is there twice: {places}.",
                        where=where,
                        remedy="Put all that it holds under one of them.",
                    )
            plain = isinstance(key, yaml.ScalarNode)
            inner = settings.model_fields.get(key.value) if settings and plain else None
            merged = annotation if key.tag == "tag:yaml.org,2002:merge" else None
            _prepare(value, inner.annotation if inner else merged, where, [*above, node], visited)


_NO_TEXT = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp")}


def _choices(annotation: Any) -> list[Any]:
    """Return the types that a field may have: those of a union, without what is annotated to them."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _choices(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [choice for part in typing.get_args(annotation) for choice in _choices(part)]
    return [annotation]


def _is_settings(annotation: Any) -> bool:
    return isinstance(annotation, type) and not typing.get_origin(annotation) and issubclass(annotation, BaseModel)


def _annotation_at(fields: list[str]) -> Any:
    """Return the type of the field that the names lead to; None if there is none."""
    annotation: Any = Experiment
    for name in fields:
        settings = next((choice for choice in _choices(annotation) if _is_settings(choice)), None)
        field = settings.model_fields.get(name) if settings else None
        if field is None:
            return None
        annotation = field.annotation
    return annotation


def _explain(detail: Any) -> str:
    """Say of one refused value: the field, what was given and what is accepted."""
    # Union members ("int", "literal['all']") are in the location too; they are no fields.
    steps = [
        str(step)
        for step in detail["loc"]
        if not re.match(r"(constrained-|function-|literal\[|list\[|int$|str$)", str(step))
    ]
    field = ".".join(steps)
    message: str = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        accepted = ", ".join(sorted(_accepted(steps[:-1])))
        return f"{field}: unknown field; accepted here: {accepted}"
    if message.startswith(f"{field}."):
        return message  # it names the field more exactly
    if not field or (detail["type"] == "value_error" and isinstance(detail["input"], dict)):
        return f"{field}: {message}" if field else message
    return f"{field}: {message} (given: {_shown(detail['input'])})"


def _shown(value: Any) -> str:
    try:
        said = repr(value)
    except ValueError:  # a number of thousands of digits
        return "a number of very many digits"
    return said if len(said) <= SAID else f"{said[:SAID]}…"


def _accepted(steps: list[str]) -> list[str]:
    """Return the fields of the settings that the steps lead to."""
    settings: type[BaseModel] = Experiment
    for step in steps:
        if step.isdigit():
            continue
        settings = _settings_in(settings.model_fields[step].annotation)
    return list(settings.model_fields)


def _settings_in(annotation: Any) -> type[BaseModel]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation
    return next(
        found
        for part in typing.get_args(annotation)
        if part is not type(None) and isinstance(found := _settings_in(part), type) and issubclass(found, BaseModel)
    )
