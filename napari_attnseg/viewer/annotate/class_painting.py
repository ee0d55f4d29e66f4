"""What is painted with: the classes of the folder in the editor, and the selected label of the mask's layer."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject

from napari_attnseg.annotation.folder.class_edits import without_last_class
from napari_attnseg.viewer.session.session import Session
from napari_attnseg.viewer.widgets.class_editor import ClassEditor


class ClassPainting(QObject):
    """Keeps a `ClassEditor`, the session's classes and the layer in step."""

    def __init__(self, session: Session, editor: ClassEditor) -> None:
        super().__init__(editor)
        self._session = session
        self._editor = editor
        self._layer: Labels | None = None
        editor.changed.connect(session.set_classes)
        editor.chosen.connect(self.paint_with)
        editor.removeAsked.connect(self._remove)
        editor.newObjectAsked.connect(self._new_object)

    def show(self) -> None:
        """Show the classes of the folder, or the number of the object, and which one is painted with."""
        folder, mask = self._session.folder, self._session.mask
        self._editor.setObjects(mask is not None and mask.editing.document.counts_objects)
        if folder is not None:
            self._editor.setValue(folder.classes)
        layer = mask.layer if mask is not None else None
        if layer is not self._layer:
            if self._layer is not None:
                self._layer.events.selected_label.disconnect(self._on_label)
            if layer is not None:
                layer.events.selected_label.connect(self._on_label)
            self._layer = layer
        self._on_label()

    def choose(self, number: int) -> None:
        """Paint with a class if there is one of this number; for keys."""
        if number < len(self._editor.value()):
            self._editor.setChosen(number)
            self.paint_with(number)

    def paint_with(self, number: int) -> None:
        """Paint with a class or an object's number."""
        mask = self._session.mask
        if mask is None:
            return
        mask.layer.selected_label = number
        if mask.layer.mode == "erase":
            mask.layer.mode = "paint"

    def _on_label(self, event: Any = None) -> None:
        mask = self._session.mask
        if mask is None:
            return
        number = int(mask.layer.selected_label)
        if mask.editing.document.counts_objects:
            self._editor.setObjectNumber(number)
        elif 0 < number < len(self._editor.value()):
            self._editor.setChosen(number)

    def _new_object(self) -> None:
        mask = self._session.mask
        if mask is not None:
            mask.layer.selected_label = int(mask.editing.labels.max(initial=0)) + 1

    def _remove(self, number: int) -> None:
        """Remove the last class, if no mask that is open or was read has it."""
        if self._session.uses_class(number):
            show_info(f"'{self._editor.value().names[number]}' is painted in a mask; erase it there first.")
            return
        self._editor.setValue(without_last_class(self._editor.value()))
        self._session.set_classes(self._editor.value())
