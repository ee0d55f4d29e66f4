"""Settings from plain values, and what is wrong with them in a sentence."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from napari_attnseg.errors import SettingsError

T = TypeVar("T", bound=BaseModel)


def make(kind: type[T], values: dict[str, Any]) -> T:
    """Build settings, turning pydantic's errors into one sentence.

    Raises
    ------
    SettingsError
        A value is out of range, of the wrong type, or has an unknown name.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(kind, item) for item in error.errors()) + ".") from error


def _sentence(kind: type[BaseModel], item: Any) -> str:
    place = [str(part) for part in item["loc"]]
    name = " > ".join(place) or kind.__name__
    message = item["msg"].removeprefix("Value error, ")
    given = item.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float) else ""
    return f"Setting '{name}': {message[0].lower() + message[1:]}{shown}"
