"""What all settings share: fields with a description, values that do not change once they are checked."""

import itertools
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

_position = itertools.count()


def field(description: str, **bounds: Any) -> Any:
    """Describe a field; the running position keeps the form in the order of this file (the UI sorts by name else)."""
    return Field(description=description, json_schema_extra={"position": next(_position)}, **bounds)


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, and nothing changes after it was checked."""

    # Built at its first use: those that are only parts of others need no validator of their own.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


S = TypeVar("S", bound=Settings)


def unwritable(text: str) -> str:
    """Return how Python writes a text that has half of a surrogate pair, which no file can hold; otherwise nothing."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text[:200].encode("unicode_escape").decode()
    return ""


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by their whole names (`model.hidden`)."""
    names: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            names |= flat(value, f"{prefix}{name}.")
        else:
            names[f"{prefix}{name}"] = value
    return names
