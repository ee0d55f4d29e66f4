"""The Annotate dock: the folder's images, the classes, corrections, and saving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari.viewer
from napari.utils.notifications import show_warning
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_attnseg.annotation.folder.lock import Owner
from napari_attnseg.data.pairs import extension_of
from napari_attnseg.viewer.annotate.class_painting import ClassPainting
from napari_attnseg.viewer.annotate.fixing import Fixing
from napari_attnseg.viewer.annotate.folder_check import FolderCheck
from napari_attnseg.viewer.docking import tab_with_others
from napari_attnseg.viewer.own_reader import is_own_reader, set_own_reader
from napari_attnseg.viewer.reader import one_folder_text
from napari_attnseg.viewer.session.session import session_of
from napari_attnseg.viewer.shortcuts import KEYS, SaveKey, bind_layer_keys, make_shortcuts
from napari_attnseg.viewer.warm_up import warm_up
from napari_attnseg.viewer.widgets.banner import Banner
from napari_attnseg.viewer.widgets.class_editor import ClassEditor
from napari_attnseg.viewer.widgets.findings import Findings
from napari_attnseg.viewer.widgets.fix_panel import FixPanel
from napari_attnseg.viewer.widgets.folded import folded
from napari_attnseg.viewer.widgets.folder_settings import FolderSettings
from napari_attnseg.viewer.widgets.image_list import ImageList
from napari_attnseg.viewer.widgets.key_list import KeyList
from napari_attnseg.viewer.widgets.save_part import SavePart
from napari_attnseg.viewer.widgets.scrolled import scrolled

WARM_UP = 400  # milliseconds; imports in a thread would hold up the window while the dock is drawn first
SLOW = 600  # milliseconds without an answer from the disk after which it is said
LIST_HEIGHT = 190  # all of the dock fits in a window of 800 pixels with the corrections unfolded


class AnnotateDock(QWidget):
    """Opens folders and images, and edits their masks."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.session = session_of(viewer)
        self.fixing = Fixing(self.session)
        self._make_widgets()
        self.session.order = lambda: [entry.image for entry in self.images.entries_shown()]
        self._lay_out()
        self.check = FolderCheck(self.session, self.findings)
        self.painting = ClassPainting(self.session, self.classes)
        self._connect()
        self.setAcceptDrops(True)
        self.save_key = SaveKey(self.session)
        self.shortcuts = make_shortcuts(self.session, self._actions())
        self._show_folder()
        self.session.use_dock()
        QTimer.singleShot(0, self._offer_unsaved_work)
        tab_with_others(self, self.session.viewer, "Annotate")
        # what learns is made last; it finds a training of the folder that goes on from an earlier time
        QTimer.singleShot(WARM_UP, lambda: warm_up(self.session.background, lambda: self.session.learning))

    def _offer_unsaved_work(self) -> None:
        from napari_attnseg.viewer.annotate.crash import offer_unsaved_work  # late: the dock should open at once

        offer_unsaved_work(self.session, self)

    # What it is made of

    def _make_widgets(self) -> None:
        self.open_button = QPushButton("Open folder…")
        self.open_button.setToolTip("Choose a folder of TIFF images; its sub-folders are listed too.")
        self.folder_label = QElidingLabel("")
        self.folder_label.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.banner = Banner()
        self.images = ImageList()
        self.classes = ClassEditor()
        self.classes.setShortcuts({number: KEYS[f"class_{number}"].sequence for number in range(1, 10)})
        self.fixes = FixPanel()
        self.fixes.setShortcuts({name: key.sequence for name, key in KEYS.items()})
        self.saves = SavePart()
        self.findings = Findings()
        self.settings = FolderSettings()
        self.keys = KeyList(KEYS.values())

    def _lay_out(self) -> None:
        layout = scrolled(self)
        layout.addLayout(_row(self.open_button, self.folder_label))
        layout.addWidget(self.banner)
        layout.addWidget(self.images, 1)
        self.images.setMinimumHeight(LIST_HEIGHT)
        layout.addWidget(self._make_work_part())
        layout.addWidget(folded("How files are read and shown", self.settings))
        layout.addWidget(folded("Keys", self.keys))

    def _make_work_part(self) -> QWidget:
        """Lay out what there is to do with an image, which is of no use before one is open."""
        self.work_part = QWidget()
        layout = QVBoxLayout(self.work_part)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        self.fix_part = folded("Correct", self.fixes)
        layout.addWidget(self.classes)
        layout.addWidget(self.fix_part)
        layout.addWidget(self.saves)
        layout.addWidget(self.findings)
        return self.work_part

    def _connect(self) -> None:
        session = self.session
        self.open_button.clicked.connect(self._choose_folder)
        self.images.opened.connect(session.show)
        self.images.picked.connect(session.bring_back)
        self.fixes.requested.connect(lambda name, _: self.fixing.fix(name, self.fixes.value()))
        self.fixes.snapToggled.connect(self._on_snap)
        self.fixes.toleranceChanged.connect(lambda _: self._on_snap(True) if self.fixing.is_snapping else None)
        self.fixes.undoAsked.connect(session.undo)
        self.fixes.redoAsked.connect(session.redo)
        self.fixing.waiting_changed.connect(self._on_waiting)
        self.saves.saveAsked.connect(self._save)
        self.saves.saveAllAsked.connect(lambda: session.saving.save_all())
        self.settings.changed.connect(session.set_choices)
        self.settings.viewChanged.connect(session.display.set_options)
        self.settings.ownReaderToggled.connect(set_own_reader)
        session.folder_changed.connect(self._show_folder)
        session.entry_changed.connect(self.images.updateEntry)
        session.shown_changed.connect(self._show_image)
        session.edited.connect(self._show_state)
        session.convention_changed.connect(self._show_classes)
        session.shared_with.connect(self._tell_shared)
        session.loading.connect(self._on_loading)
        session.saving.saved.connect(lambda document, _: self.saves.noteSaved(document.mask_path.name))
        session.saving.problem_changed.connect(lambda sentence: self.banner.tell("journal", sentence))
        session.viewer.layers.selection.events.active.connect(self._on_active)
        self._slow = QTimer(self)
        self._slow.setSingleShot(True)
        self._slow.timeout.connect(lambda: self.banner.tell("loading", "Reading from the disk…"))

    def _actions(self) -> dict[str, Any]:
        paint = {f"class_{number}": lambda number=number: self.painting.choose(number) for number in range(1, 10)}
        return {
            "next": lambda: self.images.step(1),
            "previous": lambda: self.images.step(-1),
            "next_without_mask": self.images.nextWithoutMask,
            "save_all": lambda: self.session.saving.save_all(),
        } | paint

    # Files

    def dragEnterEvent(self, event: Any) -> None:
        """Take files and folders."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Open what is dropped; what is no TIFF goes to napari."""
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        self.open_paths(paths)
        event.acceptProposedAction()

    def open_paths(self, paths: list[Path]) -> None:
        """Open a folder, or files: images, or masks with their images."""
        self.session.background.run(
            lambda: [path for path in paths if path.is_dir()],
            lambda folders: self._open(paths, folders),
            lambda error: show_warning(f"What was dropped cannot be opened: {error}."),
        )

    def _open(self, paths: list[Path], folders: list[Path]) -> None:
        files = [path for path in paths if path not in folders]
        tiffs = [path for path in files if extension_of(path)]
        if folders:
            self.session.open_folder(folders[0])
        if len(folders) > 1:
            show_warning(one_folder_text(folders[0]))
        if tiffs:
            self.session.open_files(tiffs)
        for path in files:
            if path not in tiffs:
                self.session.viewer.open(str(path))

    def _choose_folder(self) -> None:
        start = str(self.session.folder.root) if self.session.folder is not None else ""
        folder = QFileDialog.getExistingDirectory(self, "Folder of images", start)
        if folder:
            self.session.open_folder(Path(folder))

    def _show_folder(self) -> None:
        folder = self.session.folder
        self.images.setEntries(self.session.entries())
        self.images.setCurrent(self.session.shown)
        self.folder_label.setText("" if folder is None else folder.root.name)
        self.folder_label.setToolTip("" if folder is None else str(folder.root))
        self.settings.setOwnReader(is_own_reader())
        self.work_part.setVisible(folder is not None)
        if folder is not None:
            self.settings.setValue(folder.choices)
        self._show_image()

    # Images and classes

    def _show_image(self) -> None:
        session = self.session
        self.images.setCurrent(session.shown)
        mask = session.mask
        if mask is not None:
            document = mask.editing.document
            self.fixes.setStack(bool(document.info.stack_shape))
            corrected = session.folder is not None and session.folder.choices.axes is not None
            self.settings.setDetected(None if corrected else document.info.axes)
            bind_layer_keys(mask.layer, self.fixing, self.fixes)
        self.fixes.setEnabled(mask is not None)
        self._show_classes()
        self._show_state()

    def _show_classes(self) -> None:
        folder, mask = self.session.folder, self.session.mask
        self.fixes.setObjects(mask is not None and mask.editing.document.counts_objects)
        if folder is not None:
            self.findings.setMode(folder.choices.mask_values)
        self.painting.show()

    # Corrections

    def _on_snap(self, on: bool) -> None:
        if on:
            self.fixing.wait_for_click("snap", self.fixes.value())
        else:
            self.fixing.stop_waiting()

    def _on_waiting(self, operation: str) -> None:
        self.fixes.setSnap(operation == "snap")
        sentence = "Click the object that is meant." if operation else ""
        if operation == "snap":
            sentence = "Click inside objects: each takes the pixels of like intensity. Press 'Snap' again to stop."
        self.banner.tell("click", sentence)

    # Saving

    def _save(self) -> None:
        if self.session.mask is not None:
            self.session.saving.save(self.session.mask.editing)

    def _show_state(self) -> None:
        mask, unsaved = self.session.mask, self.session.unsaved
        history = mask.editing.history if mask is not None else None
        self.fixes.setUndoEnabled(history is not None and history.can_undo)
        self.fixes.setRedoEnabled(history is not None and history.can_redo)
        modified = mask is not None and mask.editing.document.is_modified
        listed = self.session.folder
        elsewhere = [
            editing.document.mask_path.name
            for image, editing in unsaved.items()
            if listed is not None and listed.pair(image) is None
        ]
        name = mask.editing.document.mask_path.name if mask and modified else None
        self.saves.setState(name, len(unsaved), elsewhere)

    def _on_loading(self, busy: bool) -> None:
        """Say so if the disk keeps one waiting."""
        if busy:
            self._slow.start(SLOW)
        else:
            self._slow.stop()
            self.banner.tell("loading", "")

    def _tell_shared(self, owner: Owner | None) -> None:
        warning = "What is saved there is not overwritten here without asking."
        self.banner.tell("shared", "" if owner is None else f"{owner.text} {warning}")

    def _on_active(self, event: Any = None) -> None:
        self._show_image()


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget, 1 if isinstance(widget, QLabel) else 0)
    return row
