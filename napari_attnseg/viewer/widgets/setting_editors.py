"""The editor for a setting, chosen by its type and its limits."""

from __future__ import annotations

import typing
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic.fields import FieldInfo
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QSpinBox, QWidget

from napari_attnseg.settings.declared import inner_type, limits, may_be_unset
from napari_attnseg.viewer.widgets.setting_fields import (
    ChoiceEditor,
    FolderEditor,
    IntegerEditor,
    OptionalEditor,
    ShareEditor,
    TextEditor,
    TickEditor,
)
from napari_attnseg.viewer.widgets.setting_text import short_unit, unset_text

_MOST = 2**31 - 1  # that a spin box can hold
_SMALL = 0.02  # a default so small a share of the highest value is not reached by steps of a twentieth


class NoWheel(QObject):
    """Leaves the wheel to the dock that scrolls, unless the field was clicked before."""

    def eventFilter(self, watched: Any, event: Any) -> bool:
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False


def make_editor(info: FieldInfo) -> Any:
    """Return an editor, which has `value()`, `setValue()` and `changed`; it does not hold the setting's default yet."""
    editor = _plain_editor(info)
    for field in [editor, *editor.findChildren(QWidget)]:
        if isinstance(field, QComboBox | QSpinBox | QDoubleSpinBox):
            field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            field.installEventFilter(NoWheel(field))
    return OptionalEditor(editor, unset_text(info)) if may_be_unset(info.annotation) else editor


def _plain_editor(info: FieldInfo) -> Any:
    kind = inner_type(info.annotation)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return ChoiceEditor(parts)
    if kind is bool:
        return TickEditor()
    if kind is int or kind is float:
        return _number_editor(kind, info)
    if kind is Path:
        return FolderEditor(info.title or "")
    if origin is tuple:
        return TextEditor(lambda text: _parts(text, parts[0]), lambda value: " ".join(map(str, value)), "as in: 16 32")
    return TextEditor(str)


def _number_editor(kind: type[int] | type[float], info: FieldInfo) -> Any:
    found, unit = limits(info), short_unit(info)
    lowest, highest = found.get("ge", found.get("gt")), found.get("le", found.get("lt"))
    if kind is int:
        most = _MOST if highest is None else highest
        if most <= _MOST:
            return IntegerEditor(int(-_MOST if lowest is None else lowest), int(most), unit)
        return TextEditor(int)
    default = info.get_default()
    if lowest is None or highest is None or (default is not None and 0 < default <= _SMALL * highest and highest <= 1):
        return TextEditor(lambda text: float(text.replace(",", ".")), "{:g}".format)
    return ShareEditor(lowest, highest, unit)


def _parts(text: str, kind: Any) -> tuple[Any, ...]:
    """Read values that spaces or commas part; one that cannot be read stays text."""
    values: list[Any] = []
    for part in text.replace(",", " ").split():
        values.append(part)
        with suppress(ValueError, TypeError):
            values[-1] = kind(part)
    return tuple(values)
