"""Fields for values of each type that a setting may have.

Each has `value()` and `setValue()` and the signal `changed`. What is typed and cannot be read is returned as it stands,
so that the settings' own check says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from napari_attnseg.viewer.widgets.elided_box import ElidedBox


class ChoiceEditor(ElidedBox):
    """One of a few names."""

    changed = Signal()

    def __init__(self, names: tuple[Any, ...]) -> None:
        super().__init__()
        for name in names:
            self.addItem(str(name), name)
        self.currentIndexChanged.connect(lambda _: self.changed.emit())

    def value(self) -> Any:
        return self.currentData()

    def setValue(self, value: Any) -> None:
        self.setCurrentIndex(self.findData(value))


class TickEditor(QCheckBox):
    """Yes or no."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.toggled.connect(lambda _: self.changed.emit())

    def value(self) -> bool:
        return bool(self.isChecked())

    def setValue(self, value: bool) -> None:
        self.setChecked(value)


class IntegerEditor(QSpinBox):
    """A whole number."""

    changed = Signal()

    def __init__(self, lowest: int, highest: int, unit: str) -> None:
        super().__init__()
        self.setRange(lowest, highest)
        self.setSuffix(f" {unit}" if unit else "")
        self.valueChanged.connect(lambda _: self.changed.emit())


class ShareEditor(QDoubleSpinBox):
    """A number between two limits, shown with as many digits as it has."""

    changed = Signal()

    def __init__(self, lowest: float, highest: float, unit: str) -> None:
        super().__init__()
        self.setDecimals(6)
        self.setRange(lowest, highest)
        self.setSingleStep((highest - lowest) / 20)
        self.setSuffix(f" {unit}" if unit else "")
        self.valueChanged.connect(lambda _: self.changed.emit())

    def textFromValue(self, value: float) -> str:
        text: str = self.locale().toString(value, "g", 8)
        return text


class TextEditor(QLineEdit):
    """Anything that is typed, read as `parse` reads it."""

    changed = Signal()

    def __init__(self, parse: Callable[[str], Any], show: Callable[[Any], str] = str, hint: str = "") -> None:
        super().__init__()
        self._parse, self._show = parse, show
        self.setPlaceholderText(hint)
        self.textChanged.connect(lambda _: self.changed.emit())

    def value(self) -> Any:
        text = self.text().strip()
        try:
            return self._parse(text)
        except ValueError:
            return text

    def setValue(self, value: Any) -> None:
        self.setText(value if isinstance(value, str) else self._show(value))
        self.setCursorPosition(0)


class FolderEditor(QWidget):
    """A path that is typed or chosen."""

    changed = Signal()

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self.field = TextEditor(lambda text: Path(text) if text else "")
        self.field.changed.connect(self.changed)
        self.button = QPushButton("…")
        self.button.setToolTip("Choose a folder.")
        self.button.setAccessibleName(f"Choose: {title}")
        self.button.setFixedWidth(28)
        self.button.clicked.connect(lambda: self._choose())
        _side_by_side(self, self.field, self.button)
        self.setFocusProxy(self.field)

    def value(self) -> Any:
        return self.field.value()

    def setValue(self, value: Any) -> None:
        self.field.setValue(value)

    def _choose(self) -> None:
        path = QFileDialog.getExistingDirectory(self, self._title, self.field.text())
        if path:
            self.field.setText(path)


class OptionalEditor(QWidget):
    """A tick; with it, the editor of a value, and without it, None. What is left empty is None too."""

    changed = Signal()

    def __init__(self, editor: Any, unset: str) -> None:
        super().__init__()
        self._unset = unset
        self.editor = editor
        self.box = QCheckBox()
        self.box.setToolTip(f"Tick to set it by hand; without the tick: {unset}.")
        self.box.toggled.connect(self._on_toggled)
        self.editor.changed.connect(self.changed)
        _side_by_side(self, self.box, self.editor)
        self._show()

    def value(self) -> Any:
        value = self.editor.value() if self.box.isChecked() else None
        return None if value in ("", ()) else value

    def setValue(self, value: Any) -> None:
        if value is not None:
            self.editor.setValue(value)
        self.box.setChecked(value is not None)

    def _on_toggled(self, on: bool) -> None:
        self._show()
        self.changed.emit()
        if on and self.box.hasFocus():
            self.editor.setFocus()

    def _show(self) -> None:
        on = self.box.isChecked()
        self.box.setText("" if on else self._unset)
        self.box.setSizePolicy(
            QSizePolicy.Policy.Fixed if on else QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed
        )
        self.editor.setVisible(on)


def _side_by_side(parent: QWidget, first: QWidget, second: QWidget) -> None:
    row = QHBoxLayout(parent)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    row.addWidget(first, 0 if isinstance(first, QCheckBox) else 1)
    row.addWidget(second, 1 if isinstance(first, QCheckBox) else 0)
