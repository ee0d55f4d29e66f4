"""Settings from plain values, and what is wrong with them in a sentence."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from napari_attnseg.errors import SettingsError

T = TypeVar("T", bound=BaseModel)

_WORDS = {
    "greater_than_equal": "it must be at least {ge}",
    "greater_than": "it must be above {gt}",
    "less_than_equal": "it must be at most {le}",
    "less_than": "it must be below {lt}",
    "too_short": "it needs at least {min_length} values and has {actual_length}",
    "literal_error": "it must be one of {expected}",
    "int_parsing": "it must be a whole number",
    "int_type": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "float_parsing": "it must be a number",
    "float_type": "it must be a number",
    "bool_parsing": "it must be true or false",
    "bool_type": "it must be true or false",
    "string_type": "it must be a text",
    "finite_number": "it must be a finite number",
    "extra_forbidden": "there is no such setting",
}
"""What pydantic finds, by its names for it, in the words of those who set it."""


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
        raise SettingsError("; ".join(_sentence(item) for item in error.errors()) + ".") from error


def _sentence(item: Any) -> str:
    place = [str(part) for part in item["loc"]]
    message = _message(item)
    if not place:  # of several settings together
        return message
    given = item.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float) else ""
    return f"Setting '{' > '.join(place)}': {message[0].lower() + message[1:]}{shown}"


def _message(item: Any) -> str:
    """Return what pydantic found, in plain words."""
    said: str = item["msg"].removeprefix("Value error, ")
    limits = item.get("ctx", {})
    words = _WORDS.get(item["type"])
    return words.format(**limits) if words else said
