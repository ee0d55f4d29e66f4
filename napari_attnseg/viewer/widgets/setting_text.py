"""What a form says about a setting, taken from its declaration."""

from __future__ import annotations

from typing import Any

from pydantic.fields import FieldInfo

from napari_attnseg.settings.declared import LIMITS, extra, limits
from napari_attnseg.viewer.widgets.tips import wrapped

_SHORT = {"minutes": "min", "pixels": "px"}


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
    span = ", ".join(f"{word} {found[name]:,.10g}" for name, word in LIMITS.items() if name in found)
    default = info.get_default()
    notes = [f"{span[0].upper()}{span[1:]}{f' {unit}' if unit else ''}." if span else ""]
    notes.append(f"Default: {unset_text(info) if default is None else value_text(default, unit)}.")
    description = info.description or ""
    return "\n".join(filter(None, (wrapped(description), *notes)))
