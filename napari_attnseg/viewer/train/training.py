"""Training for a session: what there is to learn from, orders, and which model is used after a training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_attnseg.annotation.folder.folder import AnnotationFolder, open_folder
from napari_attnseg.annotation.trainings.adoption import adopt, missed
from napari_attnseg.annotation.trainings.facts import TrainingFacts, training_facts
from napari_attnseg.annotation.trainings.folder_models import FolderModels
from napari_attnseg.annotation.trainings.model_choices import ModelChoice, name_of
from napari_attnseg.annotation.trainings.run_history import RunRecord, read_record
from napari_attnseg.annotation.trainings.runs import TrainingOrder, place_notice
from napari_attnseg.errors import AttnSegError, SaveError
from napari_attnseg.events import Event
from napari_attnseg.models.model_card import ModelCard, load_card
from napari_attnseg.models.starter_models import is_starter
from napari_attnseg.settings import RunSettings, fine_tuning, make
from napari_attnseg.viewer.failures import failure_text
from napari_attnseg.viewer.train.training_run import TrainingRun
from napari_attnseg.viewer.widgets.start_chooser import StartChoice

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

ANY_EPOCHS = 100_000  # what a training is given that time ends
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Models:
    """The models of a folder, as they were looked up last."""

    in_use: Path | None = None
    before: Path | None = None
    """The one that `roll_back` returns to."""
    choices: tuple[ModelChoice, ...] = ()
    problem: str = ""
    """Why the model in use cannot be used."""
    class_names: tuple[str, ...] = ()
    """The folder's classes when they were looked up, by which a model is natural for it or not."""


class Training(QObject):
    """The trainings of the folder that is open."""

    facts_changed = Signal(object)
    """What there is to learn from: a TrainingFacts, or None."""
    models_changed = Signal()
    """Another model is in use, or there are others to choose from."""
    told = Signal(str)
    """A sentence for the user."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.run = TrainingRun(session)
        self.models = Models()
        self._models: FolderModels | None = None
        self.last: RunRecord | None = None
        """The training that ended last, as its folder tells it."""
        self._facts_asked = 0
        self.run.started.connect(lambda _: self._tell_place())
        self.run.ended.connect(self._on_ended)
        session.folder_changed.connect(self._on_folder)
        session.convention_changed.connect(self.refresh_models)
        self._on_folder()

    # What there is

    @property
    def edited(self) -> list[Path]:
        """Images whose masks were edited since the last training, saved or not."""
        folder = self._session.folder
        if folder is None:
            return []
        own = {pair.image for pair in folder.listing.pairs}
        return sorted({*folder.edited_since_training(), *own.intersection(self._session.unsaved)})

    def settings(self, values: Mapping[str, Mapping[str, Any]], choice: StartChoice) -> RunSettings:
        """Return the settings of a training: what the form says, and how the folder is read.

        Raises
        ------
        SettingsError
            A value is out of range.
        """
        folder = self._session.folder
        groups = {name: dict(values.get(name, {})) for name in RunSettings.groups()}
        if folder is not None:
            choices = folder.choices
            groups["data"] |= {
                "axes": choices.axes, "mask_suffix": choices.mask_suffix, "mask_values": choices.mask_values,
            }  # fmt: skip
        if choice.minutes is not None:
            groups["training"] |= {"max_minutes": choice.minutes, "epochs": ANY_EPOCHS}
        elif choice.epochs is not None:
            groups["training"] |= {"epochs": choice.epochs}
        return make(RunSettings, groups)

    def look(self, settings: RunSettings, init: Path | None, *, is_gpu: bool = False) -> None:
        """Find out in the background what a training would learn from; `facts_changed` tells."""
        folder = self._session.folder
        self._facts_asked += 1
        asked = self._facts_asked
        if folder is None:
            self.facts_changed.emit(None)
            return

        def should_stop() -> bool:
            return asked != self._facts_asked or self._session.background.is_closed

        def work() -> TrainingFacts:
            card = load_card(init) if init is not None else None
            facts = training_facts(folder, settings, card, "gpu" if is_gpu else "cpu", should_stop)
            return replace(facts, warnings=(*facts.warnings, *_overruled(settings, card)))

        def done(facts: TrainingFacts) -> None:
            if asked == self._facts_asked and folder is self._session.folder:
                self.facts_changed.emit(facts)
                if self.models.choices and self.models.class_names != folder.convention.class_names:
                    self.refresh_models()

        def failed(error: Exception) -> None:
            if asked == self._facts_asked:
                self.told.emit(failure_text(error, "What there is to learn from could not be found out"))

        self._session.background.run(work, done, failed, is_long=True)

    # Training

    def train(self, settings: RunSettings, init: Path | None, focus: tuple[Path, ...] = ()) -> None:
        """Save all masks, then train on them."""
        folder = self._session.folder
        if folder is None:
            self.told.emit("Open a folder of images first.")
            return

        def saved(worked: bool) -> None:
            if worked:
                self.run.start(folder.root, TrainingOrder(folder.source, settings, init, focus))
            else:
                self.told.emit("The training was not started, because not all masks could be saved.")

        self._session.saving.save_all(saved)

    def fine_tune(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        """Train the model in use on the masks edited since the last training, mixed with the others."""
        model = self.models.in_use
        edited = self.edited
        if model is None or not edited:
            self.told.emit(self.why_no_fine_tuning())
            return
        try:
            settings = fine_tuning(self.settings(values, StartChoice(model, None, None)))
        except AttnSegError as error:
            self.told.emit(str(error))
            return
        self.train(settings, model, tuple(edited))

    def why_no_fine_tuning(self) -> str:
        """Say in a sentence why there is nothing to fine-tune; '' if there is."""
        if self._session.folder is None:
            return "Open a folder of images first."
        if self.run.is_active:
            return "A training is running; its masks are learnt from when it has ended."
        if self.models.in_use is None:
            return "There is no model in use yet; train one first."
        if not self.edited:
            return "No mask was edited since the last training; correct some first."
        return ""

    # Models

    def use(self, model: Path) -> None:
        """Predict and fine-tune with this model from now on."""
        if self._models is not None:
            self._models.use(model)
            self._keep()

    def roll_back(self) -> None:
        """Use the model again that was used before."""
        models = self._models
        if models is None:
            return

        def done(model: Path | None) -> None:
            if model is None:
                self.told.emit("There is no earlier model to go back to.")
                return
            name = name_of(model) if is_starter(model) else f"The model of {model.parent.name}"
            self.told.emit(f"{name} is in use again.")
            self._keep()

        self._session.background.run(models.roll_back, done, self._unexpected)

    def refresh_models(self) -> None:
        """Look in the background which models there are; `models_changed` tells."""
        models = self._models
        if models is None:
            return

        def work() -> Models:
            names = models.folder.convention.class_names
            return Models(models.in_use, models.before, tuple(models.choices()), models.problem or "", names)

        def done(found: Models) -> None:
            if models is self._models:
                self.models = found
                self.models_changed.emit()

        self._session.background.run(work, done, self._unexpected)

    def _on_folder(self) -> None:
        folder = self._session.folder
        if folder is None or (self._models is not None and self._models.folder is folder):
            return
        is_other = self._models is None or self._models.folder.root != folder.root
        self._models = FolderModels(folder)  # first: what is quick in the background is handed over at once
        if is_other:
            self.last = None
            self.models = Models()
            self.run.find(folder.root)
            self._catch_up(folder)
        self.refresh_models()

    def _catch_up(self, folder: AnnotationFolder) -> None:
        """Take over a training that ended while no window showed the folder."""

        def done(record: RunRecord | None) -> None:
            if record is not None and self._models is not None and self._models.folder.root == folder.root:
                self._adopt(self._models, record, None, "A training of this folder has ended since it was open last.")

        self._session.background.run(lambda: missed(folder), done, self._unexpected)

    def _on_ended(self, event: Event) -> None:
        run, root, began = self.run.folder, self.run.root, self.run.began
        if run is None or root is None:
            return
        models = self._models if self._models is not None and self._models.folder.root == root else None

        def work() -> tuple[RunRecord | None, FolderModels]:
            return read_record(run), models or FolderModels(open_folder(root))

        def done(found: tuple[RunRecord | None, FolderModels]) -> None:
            if found[0] is not None:
                self._adopt(found[1], found[0], began)

        self._session.background.run(work, done, self._unexpected)

    def _adopt(self, models: FolderModels, record: RunRecord, began: float | None, news: str = "") -> None:
        sentence = " ".join(filter(None, [news, adopt(models, record, began)]))
        if models is self._models:
            self.last = record
            self._session.folder_changed.emit()  # nothing is edited since the last training any more
            if sentence:
                self.told.emit(sentence)
        self.refresh_models()
        self._session.background.run(models.save, lambda _: self.refresh_models(), self._unkept)

    def _tell_place(self) -> None:
        """Say where the training is kept if that is not beside the images."""
        run, root = self.run.folder, self.run.root
        notice = place_notice(root, run) if run is not None and root is not None else None
        if notice is not None:
            self.told.emit(notice)

    def _keep(self) -> None:
        """Write down which model is in use, and show it."""
        models = self._models
        if models is not None:
            self.refresh_models()
            self._session.background.run(models.save, lambda _: self.refresh_models(), self._unkept)

    def _unkept(self, error: Exception) -> None:
        if isinstance(error, SaveError):
            _log.info("the model in use is remembered until the folder is closed: %s", error)
        else:
            _log.error("the folder's state could not be written", exc_info=error)
        self.refresh_models()

    def _unexpected(self, error: Exception) -> None:
        self.told.emit(failure_text(error, "The models of the folder could not be read"))


def _overruled(settings: RunSettings, card: ModelCard | None) -> list[str]:
    """Say that a model's kind is not what the settings ask for, because a start brings its own."""
    if card is None or card.model.name == settings.model.name:
        return []
    return [
        f"The starting model is of kind {card.model.name}, and that is trained; for {settings.model.name} start from "
        "a new model."
    ]
