"""A form made from the settings' own declarations: whatever they declare appears here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from qtpy.QtCore import Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_attnseg.errors import SettingsError
from napari_attnseg.settings import make
from napari_attnseg.settings.declared import extra
from napari_attnseg.viewer.widgets.folded import folded
from napari_attnseg.viewer.widgets.setting_row import SettingRows


class SettingsForm(QWidget):
    """Groups of settings, each with its name, its help and an editor for its type.

    Parameters
    ----------
    kinds
        The classes of the settings by group, in the order in which they are shown.
    hidden
        Settings to leave out, as 'group.setting'; those that the data decides are left out always.
    basic
        Show only the settings that are marked as basic, without folding.
    """

    changed = Signal()
    """The user changed something; not emitted by `setValue`."""

    def __init__(
        self,
        kinds: Mapping[str, type[BaseModel]],
        hidden: Collection[str] = (),
        basic: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._kinds = dict(kinds)
        self._basic = basic
        self._setting = False
        self.groups: dict[str, SettingRows] = {}
        self.parts: dict[str, QCollapsible] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for name, kind in self._kinds.items():
            fields = [key for key in kind.model_fields if _is_shown(kind, key, f"{name}.{key}", hidden, basic)]
            if fields:
                rows = self.groups[name] = SettingRows(kind, fields)
                rows.changed.connect(self._on_changed)
                layout.addWidget(rows if basic else self._part(name, kind, rows))
        layout.addLayout(self._make_defaults_button())
        self._show()

    def value(self) -> dict[str, dict[str, Any]]:
        """Return the settings that differ from their defaults, by group.

        Raises
        ------
        SettingsError
            Something that was entered is not valid; the form marks it.
        """
        found: dict[str, dict[str, Any]] = {}
        for name, rows in self.groups.items():
            settings = make(self._kinds[name], rows.value())
            changed = {key: value for key in rows.editors if (value := getattr(settings, key)) != rows.default(key)}
            if changed:
                found[name] = changed
        return found

    def setValue(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Show other settings; what is not given gets its default, and what is not shown is left out."""
        self._setting = True
        for name, rows in self.groups.items():
            rows.setValue(values.get(name, {}))
        self._setting = False
        self._show()

    def problem(self) -> str:
        """Return a sentence on what is not valid; '' if everything is."""
        try:
            self.value()
        except SettingsError as error:
            return str(error)
        return ""

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        # the style has its say on fonts before anything is shown
        widths = [rows.label_width() for rows in self.groups.values()]
        for rows, width in zip(self.groups.values(), widths, strict=True):
            rows.setLabelWidth(max(widths) if self._basic else width)

    def _part(self, name: str, kind: type[BaseModel], rows: SettingRows) -> QCollapsible:
        part = self.parts[name] = folded(name.capitalize(), rows)
        part.toggleButton().setToolTip(kind.__doc__ or "")
        return part

    def _make_defaults_button(self) -> QHBoxLayout:
        self.defaults_button = QPushButton("Back to defaults")
        self.defaults_button.clicked.connect(self._back_to_defaults)
        self.count_label = QLabel()
        row = QHBoxLayout()
        row.addWidget(self.defaults_button)
        row.addWidget(self.count_label, 1)
        return row

    def _back_to_defaults(self) -> None:
        self.setValue({})
        self.changed.emit()

    def _on_changed(self) -> None:
        if not self._setting:
            self._show()
            self.changed.emit()

    def _show(self) -> None:
        total = 0
        for name, rows in self.groups.items():
            problems = self._problems(name)
            count = rows.show_state(problems)
            total += count
            if name in self.parts:
                note = " · not valid" if problems else f" · {count} changed" if count else ""
                self.parts[name].setText(f"{name.capitalize()}{note}")
        self.defaults_button.setEnabled(total > 0)
        self.defaults_button.setToolTip(
            "Undo all changes of these settings." if total else "All of these settings have their defaults."
        )
        self.count_label.setText(f"{total} changed" if total else "")

    def _problems(self, name: str) -> dict[str, str]:
        """Return a sentence for each setting of a group that is not valid; '' names the group as a whole."""
        kind, values = self._kinds[name], self.groups[name].value()
        try:
            make(kind, values)
        except SettingsError as error:
            cause = error.__cause__
            assert isinstance(cause, ValidationError)
            keys = dict.fromkeys(str(item["loc"][0]) if item["loc"] else "" for item in cause.errors())
            return {key: _sentence(kind, {key: values[key]}) if key else str(error) for key in keys}
        return {}


def _sentence(kind: type[BaseModel], values: dict[str, Any]) -> str:
    try:
        make(kind, values)
    except SettingsError as error:
        return str(error)
    return ""


def _is_shown(kind: type[BaseModel], key: str, name: str, hidden: Collection[str], basic: bool) -> bool:
    notes = extra(kind.model_fields[key])
    return name not in hidden and not notes.get("derived") and (not basic or bool(notes.get("basic")))
