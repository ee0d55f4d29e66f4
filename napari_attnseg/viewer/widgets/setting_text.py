"""What a form says about a setting, taken from its declaration."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic.fields import FieldInfo

from napari_attnseg.viewer.widgets.tips import wrapped

_SHORT = {"minutes": "min", "pixels": "px"}
_WORDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def extra(info: FieldInfo) -> dict[str, Any]:
    """Return a setting's extra data: 'unit', 'basic', 'derived'."""
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


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
    """Return the limits that a setting has: 'ge', 'gt', 'le', 'lt'."""
    return {name: getattr(item, name) for item in info.metadata for name in _WORDS if hasattr(item, name)}


def short_unit(info: FieldInfo) -> str:
    """Return a setting's unit as it stands in a field; '' without one."""
    unit = str(extra(info).get("unit") or "")
    return _SHORT.get(unit, unit)


def unset_text(info: FieldInfo) -> str:
    """Return what stands in the form for None."""
    return "automatic" if "Unset:" in (info.description or "") else "none"


def value_text(value: Any, unit: str = "") -> str:
    """Write a value for people."""
    if isinstance(value, bool):
        return "on" if value else "off"
    text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    if isinstance(value, float):
        text = f"{value:g}"
    return f"{text} {unit}".rstrip()


def tooltip(info: FieldInfo) -> str:
    """Return a setting's help with its limits and its default."""
    unit = str(extra(info).get("unit") or "")
    found = limits(info)
    span = ", ".join(f"{word} {found[name]:,.10g}" for name, word in _WORDS.items() if name in found)
    default = info.get_default()
    notes = [f"{span[0].upper()}{span[1:]}{f' {unit}' if unit else ''}." if span else ""]
    notes.append(f"Default: {unset_text(info) if default is None else value_text(default, unit)}.")
    description = info.description or ""
    return "\n".join(filter(None, (wrapped(description), *notes)))
