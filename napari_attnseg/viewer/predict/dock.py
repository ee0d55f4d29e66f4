"""The Predict dock: which model, what is predicted, how it is shown, and what of it goes into the mask."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import napari.viewer
from napari.utils.notifications import show_info
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_attnseg.annotation.folder.entries import ImageState
from napari_attnseg.viewer.docking import tab_with_others
from napari_attnseg.viewer.layers.mask_layer import NO_PLANE
from napari_attnseg.viewer.predict.accepting import PREVIEW, Accepting
from napari_attnseg.viewer.predict.batch import Batch, words_of
from napari_attnseg.viewer.predict.large.prediction import LargePrediction
from napari_attnseg.viewer.predict.large.section import LargeSection
from napari_attnseg.viewer.predict.predicting import Target
from napari_attnseg.viewer.session.session import session_of
from napari_attnseg.viewer.shortcuts import PREDICT_KEYS, bind_predict_keys
from napari_attnseg.viewer.widgets.accept_panel import AcceptPanel
from napari_attnseg.viewer.widgets.banner import Banner
from napari_attnseg.viewer.widgets.folded import folded
from napari_attnseg.viewer.widgets.key_list import KeyList
from napari_attnseg.viewer.widgets.layer_choice import LayerChoice
from napari_attnseg.viewer.widgets.model_chooser import NO_MODEL, ModelChooser
from napari_attnseg.viewer.widgets.model_options import options_of
from napari_attnseg.viewer.widgets.predict_buttons import PredictButtons
from napari_attnseg.viewer.widgets.scrolled import scrolled
from napari_attnseg.viewer.widgets.threshold_controls import ThresholdControls

SETTLE = 200  # milliseconds on a plane before it is predicted by itself
NO_FOLDER = "Open a folder of images first."
RANK_TIP = (
    "Predict all images in the background. The list of images in the Annotate dock can then be\n"
    "sorted by how unsure the model is: what is corrected first is what it learns most from."
)


class PredictDock(QWidget):
    """Predicts with the model in use, and takes predictions over into masks."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.session = session_of(viewer)
        learning = self.session.learning
        self.training, self.predicting, self.proposals = learning.training, learning.predicting, learning.proposals
        self.ranking = learning.ranking
        self.accepting = Accepting(self.session, self.proposals)
        self.batch = Batch(self.session)
        self.large = LargeSection(self.session, learning, self)
        self._make_widgets()
        self._lay_out()
        self._connect()
        self._show_models()
        self._show_entries()
        self._show_prediction()
        self._on_image()
        tab_with_others(self, self.session.viewer, "Predict")

    def _make_widgets(self) -> None:
        self.banner = Banner()
        self.models = ModelChooser()
        self.buttons = PredictButtons()
        self.auto_box = QCheckBox("Predict each image that is opened")
        self.auto_box.setToolTip("Predict as you leaf through the images, and the next one ahead of time.")
        self.controls = ThresholdControls()
        self.controls.setValue(self.proposals.options)
        self.layers = LayerChoice()
        self.layers.setValue(self.proposals.shown)
        self.accepts = AcceptPanel()
        self.accepts.setShortcuts({name: key.sequence for name, key in PREDICT_KEYS.items()})
        self.keys = KeyList(PREDICT_KEYS.values())
        self.rank_button = QPushButton("Find the images it is unsure of")
        self.rank_label = QLabel("")
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE)
        self._followed: Path | None = None
        """The image whose prediction was looked for last."""
        self._selected = QTimer(self)  # while layers come and go the selection changes several times
        self._selected.setSingleShot(True)
        self._selected.setInterval(0)

    def _lay_out(self) -> None:
        layout = scrolled(self)
        rank = QHBoxLayout()
        rank.addWidget(self.rank_button)
        rank.addWidget(self.rank_label, 1)
        above = (self.models, self.banner, self.buttons, self.large.panel, self.auto_box)
        for widget in (*above, self.controls, self.layers, self.accepts):
            layout.addWidget(widget)
        layout.addLayout(rank)
        layout.addWidget(folded("Keys", self.keys))
        layout.addStretch(1)

    def _connect(self) -> None:
        session, predicting = self.session, self.predicting
        self.models.chosen.connect(self.training.use)
        self.models.fileAsked.connect(self._choose_file)
        self.buttons.predictAsked.connect(self._predict)
        self.buttons.cancelAsked.connect(self._cancel)
        self.auto_box.toggled.connect(lambda _: self._follow())
        self.controls.changed.connect(self.proposals.set_options)
        self.layers.changed.connect(self.proposals.set_shown)
        self.accepts.acceptAllAsked.connect(lambda: self.accepting.accept("all"))
        self.accepts.acceptEmptyAsked.connect(lambda: self.accepting.accept("empty"))
        self.accepts.acceptNextAsked.connect(self.accept_and_next)
        self.rank_button.clicked.connect(self._rank)
        self.proposals.changed.connect(self._show_prediction)
        self.proposals.problem.connect(lambda sentence: self.banner.tell("classes", sentence))
        predicting.progressed.connect(lambda done, left: self.buttons.setProgress(done, "", left))
        predicting.ended.connect(self._on_ended)
        self.large.changed.connect(self._show_reason)
        self.ranking.progressed.connect(self._on_ranking)
        self.batch.progressed.connect(lambda done, left, text: self.buttons.setProgress(done, text, left))
        self.batch.noticed.connect(show_info)
        self.batch.ended.connect(self._on_batch)
        self.training.models_changed.connect(self._show_models)
        session.folder_changed.connect(self._show_entries)
        session.entry_changed.connect(lambda _: self._show_entries())
        session.shown_changed.connect(self._on_image)
        session.viewer.layers.selection.events.active.connect(lambda _: self._selected.start())
        self._selected.timeout.connect(self._on_selected)
        self._settle.timeout.connect(self._follow_plane)
        session.viewer.dims.events.current_step.connect(lambda _: self._settle.start())

    # Models

    @property
    def model(self) -> Path | None:
        """The model that predicts."""
        return self.training.models.in_use

    def _show_models(self) -> None:
        self.models.setChoices(options_of(self.training.models.choices))
        self.banner.tell("model", self.training.models.problem)
        self.models.setValue(self.model)
        self._show_reason()
        self._follow()

    def _show_reason(self) -> None:
        """Say what can be predicted, or why nothing can."""
        target = self.proposals.target()
        reason = NO_MODEL if self.model is None else "" if target is not None else "Open an image first."
        self.buttons.setReason(reason)
        self.buttons.setStack(target is not None and bool(target.stack_shape))
        self.buttons.setRunning(target is not None and self.large.predicting.is_on(target.image))
        why = reason if self.model is None else "" if self.session.folder is not None else NO_FOLDER
        self.rank_button.setEnabled(not why or self.ranking.is_active)  # to stop it is always possible
        self.rank_button.setToolTip(why or RANK_TIP)

    def _choose_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Model", "", "Models (*.safetensors)")
        if name:
            self.training.use(Path(name))

    # Predicting

    def _predict(self, what: str) -> None:
        model, target, folder = self.model, self.proposals.target(), self.session.folder
        if model is None:
            return
        if what in ("image", "plane"):
            whole, mask = what == "image", self.session.mask
            if not whole and mask is not None and not mask.shows_plane:
                show_info(NO_PLANE)
                return
            if target is not None and not (whole and self.large.predicting.is_on(target.image)):
                in_memory = partial(self.predicting.predict, model, target, whole=whole)
                self.large.order(model, target, in_memory) if whole else in_memory()
        elif folder is not None:
            images = [entry.image for entry in self.session.entries() if what == "all" or entry.mask is None]
            self.batch.start(model, images, folder.root, words_of(self.controls.value(), folder.choices.axes))

    def _cancel(self) -> None:
        if self.batch.is_active:
            self.batch.cancel()
        self.predicting.cancel()

    def _on_image(self) -> None:
        mask = self.session.mask
        if mask is not None:
            actions = {"all": lambda: self.accepting.accept("all"), "empty": lambda: self.accepting.accept("empty")}
            own = {"predict": lambda: self._predict("image"), "next": self.accept_and_next}
            own["region"] = self.accepting.accept_under_cursor
            bind_predict_keys(mask.layer, {**actions, **own})
        self._follow()

    def _on_selected(self) -> None:
        """Follow to the image of a mask that was selected; another layer of the same image changes nothing."""
        if self.session.is_closing:
            return
        target = self.proposals.target()
        if (target.image if target is not None else None) != self._followed:
            self._on_image()

    def _follow(self) -> None:
        """Show what is known of the image that was opened, or predict it if that is wished."""
        self._show_reason()
        self._show_kept()
        # a large image is shown as far as it is in files, and predicted only when that is asked for
        self.large.follow(self.model, self._follow_in_memory)

    def _show_kept(self) -> None:
        """Show what was predicted of the image before, unless a prediction of it is shown, such as a preview."""
        model, target, current = self.model, self.proposals.target(), self.proposals.current
        self._followed = target.image if target is not None else None
        if model is None or target is None or (current is not None and current.image == target.image):
            return
        kept = self.predicting.kept(model, target.image)
        if kept is not None:
            self.proposals.show(kept)

    def _follow_in_memory(self) -> None:
        model, target = self.model, self.proposals.target()
        if model is None or target is None or not self.auto_box.isChecked():
            return
        kept = self.predicting.kept(model, target.image)
        if kept is not None and target.plane in kept.planes:
            if self.proposals.current is not kept:
                self.proposals.show(kept)
            self._predict_ahead(model, target)
        else:
            self.predicting.predict(model, target)

    def _follow_plane(self) -> None:
        target, found = self.proposals.target(), self.proposals.current
        if target is not None and target.stack_shape and (found is None or target.plane not in found.planes):
            self._follow()

    def _predict_ahead(self, model: Path, target: Target) -> None:
        """Predict the next image while this one is looked at."""
        order = self.session.order()
        after = order.index(target.image) + 1 if target.image in order else len(order)
        if after < len(order) and self.predicting.kept(model, order[after]) is None and not target.stack_shape:
            self.predicting.predict_ahead(model, order[after])

    def _on_ended(self, sentence: str) -> None:
        if not self.batch.is_active:
            self.buttons.setIdle(sentence)
        if sentence:
            self.training.refresh_models()  # the model may be gone
        model, target = self.model, self.proposals.target()
        if not sentence and model is not None and target is not None and self.auto_box.isChecked():
            self._predict_ahead(model, target)

    def _on_batch(self, state: str, sentence: str) -> None:
        self.buttons.setIdle(sentence)

    # Accepting

    def accept_and_next(self) -> None:
        """Accept all, save the mask, and open the next image of the list."""
        mask, target = self.session.mask, self.proposals.target()
        if mask is None or target is None or not self.accepting.accept("all"):
            return
        self.session.saving.save(mask.editing)
        order = self.session.order()
        after = order.index(target.image) + 1 if target.image in order else len(order)
        if after < len(order):
            self.auto_box.setChecked(True)
            self.session.show(order[after])

    # Uncertainty

    def _rank(self) -> None:
        model = self.model
        if self.ranking.is_active:
            self.ranking.stop()
        elif model is not None:
            self.ranking.start(model)

    def _on_ranking(self, done: int, total: int) -> None:
        self.rank_label.setText(f"{done} of {total}" if total else "")
        self.rank_button.setText("Stop" if total else "Find the images it is unsure of")
        self._show_reason()

    # What is shown

    def _show_entries(self) -> None:
        entries = self.session.entries()
        self.buttons.setCounts(len(entries), sum(entry.state is ImageState.NO_MASK for entry in entries))
        self._show_reason()

    def _show_prediction(self) -> None:
        found = self.proposals.current
        self.accepts.setReason("" if found is not None else "Predict first; then what was predicted can be accepted.")
        self.banner.tell("preview", PREVIEW if found is not None and found.is_preview else "")
        if found is not None:
            self.layers.setClasses(found.class_names[1:] if found.is_binary else found.class_names)
            self.layers.setLevels(len(found.attention))
            self.controls.setThresholdUsed(found.is_binary)
            in_files = isinstance(found, LargePrediction)
            self.controls.setInFiles(in_files, has_probability=not in_files or bool(found.probability))
            self.accepts.setPart(in_files)
        self._show_reason()
