"""The Train dock: what is learnt from, from where and for how long; the curves; and whether the model got better."""

from __future__ import annotations

from pathlib import Path

import napari.viewer
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QTimer, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QWidget

from napari_attnseg.annotation.trainings.facts import TrainingFacts
from napari_attnseg.errors import AttnSegError
from napari_attnseg.events import CheckpointSaved, EpochEnd, Progress
from napari_attnseg.settings import RunSettings
from napari_attnseg.viewer.docking import tab_with_others
from napari_attnseg.viewer.session.session import session_of
from napari_attnseg.viewer.train.how_good import HowGood
from napari_attnseg.viewer.train.live_preview import LivePreview
from napari_attnseg.viewer.train.training import ANY_EPOCHS
from napari_attnseg.viewer.widgets.banner import Banner
from napari_attnseg.viewer.widgets.curves import TrainingCurves
from napari_attnseg.viewer.widgets.folded import folded
from napari_attnseg.viewer.widgets.model_options import options_of
from napari_attnseg.viewer.widgets.run_progress import RunProgress, RunState
from napari_attnseg.viewer.widgets.scrolled import scrolled
from napari_attnseg.viewer.widgets.settings_form import SettingsForm
from napari_attnseg.viewer.widgets.start_chooser import StartChoice, StartChooser
from napari_attnseg.warm import Described
from napari_attnseg.wording import counted

HIDDEN = {"training.epochs", "training.max_minutes", "data.axes", "data.mask_suffix", "data.mask_values"}
"""Settings that stand elsewhere: in the basic part, and in the Annotate dock."""
LOOK_AGAIN = 500  # milliseconds after the last change of a setting or a mask


class TrainDock(QWidget):
    """Trains on the folder that is open, and fine-tunes on what was corrected."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.session = session_of(viewer)
        learning = self.session.learning
        self.training, self.predicting = learning.training, learning.predicting
        self.facts: TrainingFacts | None = None
        self.is_gpu = False
        self._root: Path | None = None
        self._has_learnt = False
        self._make_widgets()
        self._lay_out()
        self.preview = LivePreview(self.session, learning)
        self._connect()
        self._show_folder()
        self._show_state(self.training.run.state, "")
        self.predicting.describe()
        tab_with_others(self, self.session.viewer, "Train")

    def _make_widgets(self) -> None:
        self.facts_label = QLabel()
        self.facts_label.setWordWrap(True)
        self.device_label = QLabel("On …")
        self.device_label.setWordWrap(True)
        self.banner = Banner()
        self.start = StartChooser()
        self.train_button = QPushButton("Train")
        self.tune_button = QPushButton()
        self.form = SettingsForm(RunSettings.groups(), HIDDEN)
        self.progress = RunProgress()
        self.curves = TrainingCurves()
        self.good = HowGood(self.session.learning)
        self.scores, self.effort = self.good.scores, self.good.effort
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.timeout.connect(self._look)

    def _lay_out(self) -> None:
        layout = scrolled(self)
        for widget in (
            self.facts_label, self.start, self.device_label, self.banner, self.train_button, self.tune_button,
            self.progress, self.curves, self.good,
        ):  # fmt: skip
            layout.addWidget(widget)
        layout.addWidget(folded("All settings", self.form))
        layout.addStretch(1)

    def _connect(self) -> None:
        session, learning = self.session, self.session.learning
        training, run = learning.training, learning.training.run
        self.train_button.clicked.connect(self._train)
        self.tune_button.clicked.connect(self._fine_tune)
        self.start.changed.connect(lambda _: self._look())
        self.start.fileAsked.connect(self._choose_file)
        self.form.changed.connect(lambda: self._again.start(LOOK_AGAIN))
        self.progress.pauseAsked.connect(run.pause)
        self.progress.goOnAsked.connect(run.go_on)
        self.progress.stopAsked.connect(run.stop)
        self.progress.logAsked.connect(self._show_log)
        self.progress.previewToggled.connect(self.preview.set_on)
        training.facts_changed.connect(self._show_facts)
        training.models_changed.connect(self._show_models)
        training.told.connect(lambda sentence: self.banner.tell("training", sentence))
        run.state_changed.connect(self._show_state)
        run.progressed.connect(self._on_progress)
        run.epoch_ended.connect(self._on_epoch)
        run.saved.connect(self._on_saved)
        run.noticed.connect(self.progress.addNotice)
        self.predicting.described.connect(self._show_device)
        session.folder_changed.connect(self._show_folder)
        session.entry_changed.connect(lambda _: self._again.start(LOOK_AGAIN))
        session.edited.connect(self._show_buttons)

    # What there is to learn from

    def _show_folder(self) -> None:
        root = self.session.folder.root if self.session.folder is not None else None
        if root != self._root:  # else it was read anew, and the news still holds
            self._root = root
            self.banner.tell("training", "")
        self._show_models()
        self._look()

    def _show_models(self) -> None:
        models = self.training.models
        self.start.setChoices(options_of(models.choices), models.in_use)
        self.good.refresh()
        self._look()

    def _look(self) -> None:
        """Find out anew what there is to learn from."""
        self._show_buttons()
        choice = self.start.value()
        try:
            settings = self.training.settings(self.form.value(), choice)
        except AttnSegError:
            return  # the form says what is wrong
        self.training.look(settings, choice.start, is_gpu=self.is_gpu)

    def _show_facts(self, facts: TrainingFacts | None) -> None:
        self.facts = facts
        if facts is None:
            self.facts_label.setText("Open a folder of images in the Annotate dock first.")
        else:
            self.facts_label.setText(facts.text)
        self._show_buttons()

    def _tell_facts(self, facts: TrainingFacts) -> None:
        """Say what is in the way; masks that are not saved yet may put it right."""
        unsaved = len(self.session.unsaved)
        told = facts.problem or " ".join(facts.warnings)
        if facts.problem and unsaved:
            told = f"'Train' saves first what is not saved yet: {counted(unsaved, 'mask')}."
        self.banner.tell("facts", told)

    def _show_buttons(self) -> None:
        active = self.training.run.is_active
        facts = self.facts
        unsaved = bool(self.session.unsaved)  # they are saved first, and may be all that there is to learn from
        self.train_button.setEnabled(not active and facts is not None and (facts.can_train or unsaved))
        problem = facts.problem if facts is not None else "Open a folder of images first."
        problem = None if unsaved else problem
        self.train_button.setToolTip(problem or "Save all masks, and train on them in the background.")
        if facts is not None:
            self._tell_facts(facts)
        why = self.training.why_no_fine_tuning()
        count = len(self.training.edited)
        self.tune_button.setText(f"Fine-tune on {counted(count, 'edited mask')}" if count else "Fine-tune")
        self.tune_button.setEnabled(not why)
        self.tune_button.setToolTip(
            why
            or "Save the masks, then train the model in use on them, mixed with the others, for about a minute.\n"
            "The new model is used only if it is better on the images that are held out."
        )

    def _show_device(self, found: Described) -> None:
        self.is_gpu = found.is_gpu
        self.device_label.setText(f"On {found.device}")
        self._look()

    # Training

    def _train(self) -> None:
        choice = self.start.value()
        if self.form.problem():
            show_warning(self.form.problem())
            return
        try:
            settings = self.training.settings(self.form.value(), choice)
        except AttnSegError as error:
            show_warning(str(error))
            return
        self.training.train(settings, choice.start)

    def _fine_tune(self) -> None:
        if self.form.problem():
            show_warning(self.form.problem())
            return
        self.training.fine_tune(self.form.value())

    def _choose_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Model to start from", "", "Models (*.safetensors)")
        if name:
            self.start.setValue(StartChoice(Path(name), self.start.value().minutes, self.start.value().epochs))
            self._look()

    def _show_state(self, state: RunState, sentence: str) -> None:
        self.progress.setState(state, sentence.partition("\n")[0])  # the rest is for a terminal
        if state in ("idle", "starting"):
            self._has_learnt = False
            self.curves.clear()
            self._show_curves()
        elif state == "running":
            self.curves.setRows(self.training.run.rows)
        self.curves.setVisible(state != "idle" or bool(self.training.run.rows))
        self._show_buttons()

    def _show_curves(self) -> None:
        folder = self.session.folder
        if folder is not None:
            self.curves.setClasses(folder.classes.names, folder.classes.colours)

    def _on_progress(self, event: Progress) -> None:
        details = dict(event.details)
        self._has_learnt = self._has_learnt or bool(details.get("batch"))
        if details.get("epochs") == ANY_EPOCHS:  # time is what ends it
            details["epochs"] = None
        self.progress.setProgress(event.done, details, event.seconds_left, event.images_per_second)
        loss, batches = event.details.get("loss"), event.details.get("batches")
        if loss is not None and batches:
            self.curves.addLoss(event.details["batch"] / batches, loss)

    def _on_epoch(self, event: EpochEnd) -> None:
        self.curves.setRows(self.training.run.rows)

    def _on_saved(self, event: CheckpointSaved) -> None:
        if not self._has_learnt:  # it is what was started from
            self.curves.setStart(event.score)

    def _show_log(self) -> None:
        log = self.training.run.log
        if log is not None and not QDesktopServices.openUrl(QUrl.fromLocalFile(str(log))):
            show_info(f"The log is in {log}.")
