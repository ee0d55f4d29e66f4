"""The settings of a group: a row for each, and a sentence under the one that is not valid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QFontMetrics
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from napari_attnseg.viewer.widgets.setting_editors import make_editor
from napari_attnseg.viewer.widgets.setting_text import short_unit, tooltip

WARNING = "QLabel { border-left: 4px solid #e08a1e; padding: 2px 6px; }"  # as in a banner


class SettingRows(QWidget):
    """Editors for some settings of a class."""

    changed = Signal()

    def __init__(self, kind: type[BaseModel], fields: Sequence[str]) -> None:
        super().__init__()
        self._kind = kind
        self.labels: dict[str, QLabel] = {}
        self.editors: dict[str, Any] = {}
        self.sentences: dict[str, QLabel] = {}
        # napari keeps 10 pixels free on both sides of a number, beside its buttons
        self.setStyleSheet("QAbstractSpinBox { padding: 1px 3px; }")
        self._layout = QGridLayout(self)
        self._layout.setContentsMargins(0, 2, 0, 2)
        self._layout.setHorizontalSpacing(6)
        self._layout.setVerticalSpacing(4)
        self._layout.setColumnStretch(1, 1)
        for field in fields:
            self._add(field)
        self._add_sentence("")
        self.setValue({})
        for editor in self.editors.values():
            editor.changed.connect(self.changed)

    def label_width(self) -> int:
        """Return how much room the names need when all of them are marked as changed."""
        width = 0
        for label in self.labels.values():
            font = label.font()
            font.setBold(True)
            width = max(width, QFontMetrics(font).horizontalAdvance(label.text()))
        return width

    def setLabelWidth(self, width: int) -> None:
        """Give the names this width, so that nothing moves when one is marked."""
        self._layout.setColumnMinimumWidth(0, width)

    def default(self, field: str) -> Any:
        """Return a setting's default."""
        return self._kind.model_fields[field].get_default(call_default_factory=True)

    def value(self) -> dict[str, Any]:
        """Return what the editors hold, valid or not."""
        return {field: editor.value() for field, editor in self.editors.items()}

    def setValue(self, values: Mapping[str, Any]) -> None:
        """Show values; a setting that is not among them gets its default."""
        for field, editor in self.editors.items():
            editor.setValue(values.get(field, self.default(field)))

    def show_state(self, problems: Mapping[str, str]) -> int:
        """Mark what is changed and what is not valid; return how many settings are changed."""
        changed = 0
        for field, editor in self.editors.items():
            differs = editor.value() != self.default(field)
            changed += differs
            self._mark(field, differs, problems.get(field, ""))
        self.sentences[""].setText(problems.get("", ""))
        self.sentences[""].setVisible(bool(problems.get("")))
        return changed

    def _add(self, field: str) -> None:
        info = self._kind.model_fields[field]
        tip, row = tooltip(info), self._layout.rowCount()
        editor = self.editors[field] = make_editor(info)
        title = _title(info, editor) or field
        # wide fields give way, so that the dock stays narrow
        editor.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        editor.setMinimumWidth(100)
        for widget in [editor, *(child for child in editor.findChildren(QWidget) if not child.toolTip())]:
            widget.setToolTip(tip)
        editor.setAccessibleName(title)
        label = self.labels[field] = QLabel(title)
        label.setToolTip(tip)
        label.setBuddy(editor)
        self._layout.addWidget(label, row, 0)
        self._layout.addWidget(editor, row, 1)
        self._add_sentence(field)

    def _add_sentence(self, field: str) -> None:
        label = self.sentences[field] = QLabel()
        label.setWordWrap(True)
        label.setTextFormat(Qt.TextFormat.PlainText)  # whatever signs it holds
        label.setStyleSheet(WARNING)
        label.hide()
        self._layout.addWidget(label, self._layout.rowCount(), 0, 1, 2)

    def _mark(self, field: str, differs: bool, problem: str) -> None:
        label, sentence = self.labels[field], self.sentences[field]
        font = label.font()
        if font.bold() != differs:
            font.setBold(differs)
            label.setFont(font)
        if sentence.text() != problem:
            sentence.setText(problem)
            sentence.setVisible(bool(problem))


def _title(info: FieldInfo, editor: Any) -> str:
    """Return a setting's name, with its unit where the editor does not show it."""
    unit, field = short_unit(info), getattr(editor, "editor", editor)
    if not info.title or not unit or hasattr(field, "suffix"):
        return info.title or ""
    return f"{info.title} ({unit})"
