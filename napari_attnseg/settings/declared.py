"""How a setting is declared, and what can be read from its declaration."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.fields import FieldInfo

LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
"""The kinds of limits, by pydantic's name, in words."""


def _checked_axes(value: str) -> str:
    value = value.upper()
    if set(value) - set("TZCYXS") or len(set(value)) != len(value) or not {"Y", "X"} <= set(value):
        raise ValueError(f"'{value}' must name each of its axes once, of T, Z, C, Y, X, S, with Y and X among them")
    return value


Axes = Annotated[str, AfterValidator(_checked_axes)]


class Settings(BaseModel):
    """A group of settings: checked, also their defaults; unknown names are refused; never changed in place."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def extra_data(unit: str = "", *, basic: bool = False, derived: bool = False, option: str = "") -> dict[str, Any]:
    """Return what a declaration says beside name, type, default, limits, label and help.

    Parameters
    ----------
    unit
        What the value is counted in.
    basic
        Whether forms show it without unfolding.
    derived
        Whether the data decides it, and no user enters it.
    option
        What it goes by on its own, where its name in the group would be ambiguous.
    """
    return {"unit": unit, "basic": basic, "derived": derived, "option": option}


def extra(info: FieldInfo) -> dict[str, Any]:
    """Return a setting's extra data, see `extra_data`."""
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def option_name(field: str, info: FieldInfo) -> str:
    """Return the name that a setting goes by on its own, outside its group; it is unique."""
    return str(extra(info).get("option") or field)


def inner_type(annotation: Any) -> Any:
    """Return a setting's type without `None` and without validators."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(item for item in typing.get_args(annotation) if item is not type(None))
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation


def may_be_unset(annotation: Any) -> bool:
    """Whether None is among the values."""
    return type(None) in typing.get_args(annotation)


def limits(info: FieldInfo) -> dict[str, float]:
    """Return the limits that a setting has, by the names in `LIMITS`."""
    return {name: getattr(item, name) for item in info.metadata for name in LIMITS if hasattr(item, name)}
