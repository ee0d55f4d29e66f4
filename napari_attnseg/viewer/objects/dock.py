"""The Objects dock: the mask or the prediction of the shown image as single objects, and a table of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import napari.viewer
from napari.utils.notifications import show_warning
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_attnseg.data.pairs import stem_of
from napari_attnseg.errors import DataError
from napari_attnseg.settings import ObjectSettings
from napari_attnseg.viewer.docking import tab_with_others
from napari_attnseg.viewer.failures import failure_text
from napari_attnseg.viewer.objects.changes import ObjectChanges
from napari_attnseg.viewer.objects.kept import KeptObjects
from napari_attnseg.viewer.objects.layer import ObjectsLayer
from napari_attnseg.viewer.objects.run import ObjectsRun
from napari_attnseg.viewer.objects.sources import (
    Kind,
    asked_of,
    is_numbered,
    labels_of,
    pixels_of,
    shown_image,
    sources_of,
)
from napari_attnseg.viewer.objects.work import Found, in_words
from napari_attnseg.viewer.questions import ask_replace_objects
from napari_attnseg.viewer.session.session import session_of
from napari_attnseg.viewer.widgets.elided_box import ElidedBox
from napari_attnseg.viewer.widgets.folded import folded
from napari_attnseg.viewer.widgets.object_options import ObjectOptions
from napari_attnseg.viewer.widgets.object_progress import ObjectProgress
from napari_attnseg.viewer.widgets.object_table import ObjectTable, ObjectView
from napari_attnseg.viewer.widgets.scrolled import scrolled

SETTLE = 50  # milliseconds after layers have changed
_NAMES: dict[Kind, str] = {"mask": "the mask", "prediction": "the prediction"}
_NOTHING = "Open an image first, and paint a mask or predict it; then its objects can be counted and measured."
_READY = "Press 'Separate objects' to number, count and measure them. The mask and the prediction stay as they are."
_HIDDEN = ("Image",)


class ObjectsDock(QWidget):
    """Separates and measures objects, and links the table of them to their layer."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.session = session_of(viewer)
        self.run = ObjectsRun(self.session)
        self.layer = ObjectsLayer(self.session.viewer)
        self.found: Found | None = None
        """What the table shows."""
        self._image: Path | None = None
        self._sources: list[Kind] = []
        self._problem = ""
        self._kept = KeptObjects()
        self._changes = ObjectChanges(self.session, self.layer)
        self._make_widgets()
        self._lay_out()
        self._connect()
        self._on_image()
        tab_with_others(self, self.session.viewer, "Objects")

    def _make_widgets(self) -> None:
        self.source_box = ElidedBox("What objects are made of")
        self.source_box.setToolTip("The mask or the prediction of the image that is shown; neither is changed.")
        self.options = ObjectOptions()
        self.separate_button = QPushButton("Separate objects")
        self.measure_button = QPushButton("Measure")
        self.progress = ObjectProgress()
        self.table = ObjectTable(self)
        self.view = ObjectView(self.table)
        self.only_box = QCheckBox("Show only the chosen one")
        self.only_box.setToolTip("Show the object that is chosen in the table without the others.")
        self.save_button = QPushButton("Save table…")
        self.save_button.setToolTip("Write the table as a CSV file, which spreadsheets open.")
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE)

    def _lay_out(self) -> None:
        layout = scrolled(self)
        source, buttons, below = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        source.addWidget(QLabel("Objects of"))
        source.addWidget(self.source_box, 1)
        buttons.addWidget(self.separate_button, 1)
        buttons.addWidget(self.measure_button)
        below.addWidget(self.only_box, 1)
        below.addWidget(self.save_button)
        layout.addLayout(source)
        layout.addLayout(buttons)
        layout.addWidget(folded("How objects are told apart", self.options))
        layout.addWidget(self.progress)
        layout.addWidget(self.view, 1)
        layout.addLayout(below)

    def _connect(self) -> None:
        session = self.session
        self.separate_button.clicked.connect(self.separate)
        self.measure_button.clicked.connect(self.measure)
        self.progress.stopAsked.connect(self.run.stop)
        self.view.chosen.connect(self._on_row)
        self.layer.edited.connect(self._show_state)
        self.layer.picked.connect(self.view.choose)
        self.only_box.toggled.connect(self.layer.show_only_chosen)
        self.save_button.clicked.connect(self._save)
        self.run.progressed.connect(self.progress.setProgress)
        self.run.found.connect(self._on_found)
        self.run.failed.connect(self._on_failed)
        self.source_box.currentIndexChanged.connect(lambda _: self._show_state())
        session.shown_changed.connect(self._on_image)
        session.edited.connect(self._show_state)
        session.at_risk.append(self._corrected)
        session.closing.connect(self._close)
        session.viewer.layers.events.connect(self._on_layers)
        self._settle.timeout.connect(self._on_image)

    # What can be done

    @property
    def kind(self) -> Kind | None:
        """What objects are made of: the mask or the prediction."""
        found = self.source_box.currentData()
        return found if found in ("mask", "prediction") else None

    def _on_layers(self, event: object) -> None:
        if getattr(event, "type", "") in ("inserted", "removed", "name", "visible"):
            self._settle.start()

    def _on_image(self) -> None:
        """Offer what there is of the image that is worked on now, and show its objects if they are known."""
        image = shown_image(self.session)
        sources = sources_of(self.session, image)
        before, known = self.kind, self._sources
        self._sources = sources
        if "prediction" in sources and "prediction" not in known:
            before = "prediction"  # whoever predicts wants to count that
        self.source_box.clear()
        for kind in sources:
            self.source_box.addItem(_NAMES[kind], kind)
        if before in sources:
            self.source_box.setCurrentIndex(sources.index(before))
        if image != self._image:
            self._leave()
            self._image = image
            unit, area, volume, stack = pixels_of(self.session)
            self.options.setImage(unit, area, volume, stack=stack)
            self._show(self._kept.get(image))
        self._show_state()

    def _show_state(self) -> None:
        ready = self.source_box.count() > 0
        busy = self.run.is_busy
        numbered = is_numbered(self.session, self.kind)
        self.source_box.setEnabled(ready)
        self.separate_button.setEnabled(ready and not busy and not numbered)
        self.measure_button.setEnabled(ready and not busy)
        tip = "This mask numbers its objects already: press Measure." if numbered else (
            "Cut touching objects apart, number all of them in a layer of their own, and measure them."
        )  # fmt: skip
        self.separate_button.setToolTip(tip if ready else _NOTHING)
        self.measure_button.setToolTip(
            "Measure what is in the layer of objects now, after you have corrected it by hand.\n"
            "Without such a layer, what touches counts as one object."
            if ready
            else _NOTHING
        )
        self.save_button.setEnabled(self.found is not None and len(self.found.table) > 0)
        self.only_box.setEnabled(self.found is not None)
        if not busy:
            self.progress.setIdle(self._problem or self._in_words() or (_READY if ready else _NOTHING))

    def _in_words(self) -> str:
        if self.found is None:
            return ""
        self.found = self._changes.looked_at(self.found)
        return f"{in_words(self.found)}{self._changes.said(self.found)}"

    # Doing it

    def separate(self) -> None:
        """Cut touching objects apart and measure them, in the background; what was corrected by hand is asked for."""
        image = self._image
        if image is None:
            return
        corrected = self.layer.labels(image) is not None and self._changes.is_corrected(self.found)
        if not corrected or ask_replace_objects(self, image.name):
            self._start(self.options.value(), fresh=True)

    def measure(self) -> None:
        """Measure what is in the layer of objects, else what is numbered or connected, in the background."""
        # a mask that numbers its objects may itself have been painted on since they were put into the layer
        again = is_numbered(self.session, self.kind) and not self._changes.is_corrected(self.found)
        self._start(self.options.value().model_copy(update={"split": False}), fresh=again)

    def _start(self, settings: ObjectSettings, *, fresh: bool) -> None:
        image, kind = self._image, self.kind
        if image is None or kind is None:
            return
        shown = None if fresh else self.layer.labels(image)
        labels = labels_of(self.session, image, kind) if shown is None else shown
        if labels is None:
            return
        known = self.found.classes if shown is not None and self.found is not None else None
        state = self._changes.state(image, kind, self.found, from_layer=shown is not None)
        try:
            asked = asked_of(self.session, image, kind, labels, settings, known, state)
        except DataError as error:
            self._on_failed(str(error))
            return
        self._problem = ""
        self.progress.setProgress(0.0)
        self.run.start(asked)
        self._show_state()

    def _on_found(self, found: Found) -> None:
        shown = self.layer.labels(found.image) if found.state.from_layer else None
        if shown is not None:  # which may have been changed while it was measured
            found = replace(found, labels=shown)
        self._kept.keep(found)
        if found.image == self._image:
            self._show(found)
        self._show_state()

    def _on_failed(self, sentence: str) -> None:
        self._problem = sentence
        self._show_state()

    # What is shown

    def _show(self, found: Found | None) -> None:
        self.found = found
        if found is None:
            self.view.setColumns({})
            return
        self.layer.show(found.image, found.labels)
        self.layer.show_only_chosen(self.only_box.isChecked())
        hidden = {*_HIDDEN, *(() if len(set(found.table.columns["Class"])) > 1 else ("Class",))}
        self.view.setColumns({title: column for title, column in found.table.columns.items() if title not in hidden})

    def _leave(self) -> None:
        """Keep what was done by hand on the layer of the image that is left."""
        self.run.stop()
        self._problem = ""
        found = self.found
        labels = self.layer.labels(found.image) if found is not None else None
        if found is not None and labels is not None:
            self._kept.keep(self._changes.kept(replace(found, labels=labels)))
        self.layer.hide()

    def _on_row(self, number: int) -> None:
        values = self.table.values(number)
        centre = [values["Centre y (px)"], values["Centre x (px)"]]
        if "First t" in values or "First z" in values:
            layer = self.layer.layer
            names = [str(name) for name in layer.axis_labels[:-2]] if layer is not None else []
            middle = {name: (values.get(f"First {name}", 0) + values.get(f"Last {name}", 0)) // 2 for name in names}
            centre = [*(middle[name] for name in names), *centre]
        extent = float(max(values["Width (px)"], values["Height (px)"]))
        self.layer.choose(number, tuple(float(value) for value in centre), extent)

    def _save(self) -> None:
        found = self.found
        if found is None:
            return
        start = found.image.with_name(f"{stem_of(found.image)}_objects.csv")
        name, _ = QFileDialog.getSaveFileName(self, "Save table", str(start), "Tables (*.csv)")
        if name:
            self.save_table(Path(name))

    def save_table(self, path: Path) -> None:
        """Write the table in the background; a problem is told."""
        from napari_attnseg.objects.table import write_table

        found = self.found
        if found is None:
            return
        path = path if path.suffix else path.with_suffix(".csv")
        self.session.background.run(
            lambda: write_table(path, found.table),
            lambda _: self.progress.setIdle(f"Saved {path.name}."),
            lambda error: show_warning(failure_text(error, f"{path.name} could not be saved")),
        )

    def _corrected(self) -> list[str]:
        """Name the images whose objects were corrected by hand, which is kept nowhere."""
        found, images = self.found, {*self._kept.corrected}
        if found is not None and self.layer.labels(found.image) is None:  # the user has removed them
            images.discard(found.image)
        elif found is not None and self._changes.is_corrected(found):
            images.add(found.image)
        return sorted(image.name for image in images)

    def _close(self) -> None:
        self._settle.stop()
        self.run.stop()
        self.layer.close()
        self.session.viewer.layers.events.disconnect(self._on_layers)
