"""Options of the command line that are made of settings."""

import functools
import inspect
import typing
from collections.abc import Callable
from inspect import Parameter
from typing import Annotated, Any

import typer
from pydantic import BaseModel

Command = Callable[..., None]


def options_of(settings: type[BaseModel]) -> Callable[[Command], Command]:
    """Return a decorator that gives a command an option for each field of settings, in place of its parameter `how`.

    The parameter `how` gets the values. Names, types, defaults and help texts are those of the fields. Bounds are
    checked where the values become settings, so that the error is the same as everywhere else. A list gets no option:
    nobody types one at a command line.

    Args:
        settings: The settings.

    Returns:
        A decorator of the command's function.
    """
    options = [
        Parameter(
            name,
            Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[field.annotation, typer.Option(f"--{name.replace('_', '-')}", help=field.description)],
        )
        for name, field in settings.model_fields.items()
        if typing.get_origin(field.annotation) is not list
    ]

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        parameters = [
            one for name, own in signature.parameters.items() for one in (options if name == "how" else [own])
        ]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            how = {option.name: given.pop(option.name) for option in options}
            command(**given, how=how)

        # What typer makes the command line of.
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate
