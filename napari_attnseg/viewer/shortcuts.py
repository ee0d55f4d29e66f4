"""The keys of the docks, beside those of napari.

napari's File menu has Ctrl+S for its dialog. While one of our masks is selected the key is ours, and saves the mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QAction, QShortcut

if TYPE_CHECKING:
    from napari_attnseg.viewer.annotate.fixing import Fixing
    from napari_attnseg.viewer.session.session import Session
    from napari_attnseg.viewer.widgets.fix_panel import FixPanel

SAVE_SELECTED = "napari.window.file.save_layers_dialog.selected"


@dataclass(frozen=True)
class Key:
    """A key of ours."""

    sequence: str
    """As Qt writes it: 'Ctrl+PgDown'."""
    what: str
    """What it does, for the list in the dock."""


KEYS: Mapping[str, Key] = {
    "next": Key("PgDown", "next image"),
    "previous": Key("PgUp", "previous image"),
    "next_without_mask": Key("Ctrl+PgDown", "next image without a mask"),
    "save": Key("Ctrl+S", "save the mask"),
    "save_all": Key("Ctrl+Shift+S", "save all masks"),
    "undo": Key("Ctrl+Z", "undo, across planes"),
    "redo": Key("Ctrl+Shift+Z", "redo"),
    "fill_holes": Key("Shift+H", "fill holes"),
    "remove_small": Key("Shift+D", "remove small objects"),
    "keep_largest": Key("Shift+K", "keep the largest object"),
    "smooth": Key("Shift+S", "smooth outlines"),
    "grow": Key("Shift+G", "grow by the radius"),
    "shrink": Key("Shift+R", "shrink by the radius"),
    "copy_previous": Key("Ctrl+Shift+Up", "copy the mask of the previous plane"),
    "copy_next": Key("Ctrl+Shift+Down", "copy the mask of the next plane"),
    "interpolate": Key("Shift+I", "fill in between two painted planes"),
    "snap": Key("Shift+N", "snap: click to take the region of like intensity"),
} | {f"class_{number}": Key(f"Alt+{number}", f"paint with class {number}") for number in range(1, 10)}

PREDICT_KEYS: Mapping[str, Key] = {
    "predict": Key("Shift+P", "predict this image"),
    "all": Key("Shift+A", "accept all of the prediction"),
    "empty": Key("Shift+E", "accept where the mask is empty"),
    "region": Key("Shift+T", "make the area under the mouse as predicted"),
    "next": Key("Shift+Enter", "accept all, save, and open the next image"),
}

CORRECTIONS = (
    "fill_holes", "remove_small", "keep_largest", "smooth", "grow", "shrink",
    "copy_previous", "copy_next", "interpolate",
)  # fmt: skip


class SaveKey(QObject):
    """Takes Ctrl+S from napari's menu while a mask of ours is selected, and gives it back afterwards."""

    def __init__(self, session: Session) -> None:
        window = session.viewer.window._qt_window
        super().__init__(window)
        self._session = session
        self._action: QAction | None = session.viewer.window.file_menu.findAction(SAVE_SELECTED)
        self._napari = self._action.shortcut() if self._action is not None else QKeySequence()
        self._ours = QShortcut(QKeySequence(KEYS["save"].sequence), window)
        self._ours.setEnabled(False)
        self._ours.activated.connect(self._save)
        session.viewer.layers.selection.events.active.connect(self.update)
        session.edited.connect(self.update)

    def update(self) -> None:
        """Look at which layer is selected."""
        active = self._session.viewer.layers.selection.active
        ours = any(mask.layer is active for mask in self._session.masks)
        if ours == self._ours.isEnabled():
            return
        if self._action is not None:
            self._action.setShortcut(QKeySequence() if ours else self._napari)
        self._ours.setEnabled(ours)

    def _save(self) -> None:
        if self._session.mask is not None:
            self._session.saving.save(self._session.mask.editing)


def bind_layer_keys(layer: Labels, fixing: Fixing, panel: FixPanel) -> None:
    """Bind the keys of corrections to a mask's layer: they act while it is selected and the mouse is on the image."""
    for name in CORRECTIONS:
        sequence = KEYS[name].sequence.replace("Ctrl", "Control").replace("+", "-")
        layer.bind_key(sequence, _corrector(name, fixing, panel), overwrite=True)
    snap = KEYS["snap"].sequence.replace("+", "-")
    layer.bind_key(snap, lambda _: panel.setSnap(not fixing.is_snapping), overwrite=True)


def bind_predict_keys(layer: Labels, actions: Mapping[str, Callable[[], object]]) -> None:
    """Bind the keys of the Predict dock to a mask's layer, by the names of `PREDICT_KEYS`."""
    for name, action in actions.items():
        layer.bind_key(PREDICT_KEYS[name].sequence.replace("+", "-"), _caller(action), overwrite=True)


def _caller(action: Callable[[], object]) -> Callable[[Labels], None]:
    def call(layer: Labels) -> None:
        action()

    return call


def _corrector(name: str, fixing: Fixing, panel: FixPanel) -> Callable[[Labels], None]:
    return lambda layer: fixing.fix_under_cursor(name, panel.value())


def make_shortcuts(session: Session, actions: Mapping[str, Callable[[], None]]) -> list[QShortcut]:
    """Make the window's shortcuts for `actions`, by the names of `KEYS`; the painting keys are the layers' own."""
    window = session.viewer.window._qt_window
    shortcuts = []
    for name, action in actions.items():
        shortcut = QShortcut(QKeySequence(KEYS[name].sequence), window)
        shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
        shortcut.activated.connect(action)
        shortcuts.append(shortcut)
    return shortcuts
