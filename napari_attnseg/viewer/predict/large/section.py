"""The part of the Predict dock for images that are too large for memory: what it says of them, what it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info
from qtpy.QtCore import QObject, QUrl, Signal
from qtpy.QtGui import QDesktopServices

from napari_attnseg.annotation.predictions.large_files import Found, LargeWork, large_work
from napari_attnseg.data.pairs import PREDICTION
from napari_attnseg.viewer.predict.large.prediction import AnyPrediction, LargePrediction
from napari_attnseg.viewer.predict.large.sentences import about, begins, ended
from napari_attnseg.viewer.predict.predicting import Target
from napari_attnseg.viewer.widgets.large_panel import LargePanel

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.learning import Learning
    from napari_attnseg.viewer.session.session import Session

Looked = tuple[LargeWork, Found, LargePrediction | None] | None


class LargeSection(QObject):
    """Decides what becomes of an image, and keeps its panel and the layers up to date."""

    changed = Signal()
    """Another image is being predicted, or none."""

    def __init__(self, session: Session, learning: Learning, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._learning = session, learning
        self.predicting, self._proposals = learning.large, learning.proposals
        self.panel = LargePanel()
        self._asked = 0
        self._told: tuple[Path, str, bool] | None = None
        """What was said last of an image, and whether there is a log: it stays when the image is shown again."""
        self.panel.cancelAsked.connect(self.cancel)
        self.panel.logAsked.connect(self._show_log)
        large = self.predicting
        large.begun.connect(self._on_begun)
        large.progressed.connect(lambda on: self.panel.setProgress(on.image.name, on.share, on.text, on.seconds_left))
        large.progressed.connect(lambda _: self.changed.emit())
        large.grown.connect(self._on_grown)
        large.noticed.connect(show_info)
        large.ended.connect(self._on_ended)
        if large.growth is not None:
            large.progressed.emit(large.growth)

    def order(self, model: Path, target: Target, otherwise: Callable[[], None]) -> None:
        """Predict an image tile by tile if it is too large, or was begun so; else do something else."""

        def needed() -> LargeWork | None:
            work = self._work(model, target.image)
            begun = work.partial.is_dir() and work.found().state == "begun"
            return work if begun or work.is_needed else None

        def go_on(work: LargeWork | None) -> None:
            if work is None:
                otherwise()
            else:
                if not self.predicting.is_active:  # else it is refused, and what was told of the other one stays
                    self._told = None
                self.predicting.start(work)

        # what is wrong with the image or the model is said by whoever predicts it
        self._session.background.run(needed, go_on, lambda error: otherwise())

    def follow(self, model: Path | None, then: Callable[[], None] = lambda: None) -> None:
        """Show what is there of the image that is shown now; `then` is called if it is not too large for memory."""
        target = self._proposals.target()
        self._asked += 1
        if model is None or target is None:
            self.panel.setSentence("")
            return
        number, large = self._asked, self.predicting
        if large.is_on(target.image):
            self._tell(target.image)
            if large.prediction is not None:
                self._proposals.show(large.prediction)
            return

        def is_over() -> bool:
            now = self._proposals.target()
            return number != self._asked or now is None or now.image != target.image or large.is_on(target.image)

        def done(looked: Looked) -> None:
            if is_over():
                return
            if looked is not None:
                self._tell(target.image, about(looked[0], looked[1]))
            else:
                self.panel.setSentence("")
            if looked is not None and looked[2] is not None:
                self._proposals.show(looked[2])
            elif looked is None or target.stack_shape:  # of which one plane may be small enough
                then()

        def failed(error: Exception) -> None:
            if not is_over():
                self._tell(target.image)  # the image or the model is gone, and so is what was said of them
                then()

        current = self._proposals.current
        self._session.background.run(lambda: self._look(model, target.image, current), done, failed)

    def cancel(self) -> None:
        """Stop the prediction that is being made."""
        if self.predicting.is_active:
            self.panel.setStopping()
            self.predicting.cancel()

    def _work(self, model: Path, image: Path) -> LargeWork:
        folder, options = self._session.folder, self._proposals.options
        return large_work(
            image,
            model,
            self._session.root_of(image) or image.parent,
            axes=folder.choices.axes if folder is not None else None,
            threshold=options.threshold,
            min_size=options.min_size,
            fill_holes=options.fill_holes,
        )

    def _look(self, model: Path, image: Path, current: AnyPrediction | None) -> Looked:
        """See what is there of an image, in a thread; None for one that is predicted in memory."""
        work = self._work(model, image)
        is_there = work.partial.is_dir() or work.target(PREDICTION).is_dir()
        found = work.found() if is_there else Found("none")
        if found.state == "none":
            return (work, found, None) if work.is_needed else None
        if isinstance(current, LargePrediction) and (current.image, current.model) == (image, model):
            current.update()
            if current.origin == found.origin and (current.is_growing or found.state == "done"):
                return work, found, current
        try:
            return work, found, LargePrediction(work, growing=found.state == "begun")
        except (OSError, KeyError, ValueError):  # removed just now, or damaged
            return work, Found("none"), None

    def _tell(self, image: Path, sentence: str = "") -> None:
        """Say something of an image, unless something was said already of what became of it."""
        told = self._told
        if told is not None and told[0] == image:
            self.panel.setSentence(told[1], log=told[2])
        else:
            self.panel.setSentence(sentence)

    def _on_begun(self, work: LargeWork, found: Found) -> None:
        current = self._proposals.current
        if isinstance(current, LargePrediction) and current.image == work.image and found.state == "begun":
            self.predicting.prediction = current  # so that its layers stay
        self._told = (work.image, begins(work, found), False)
        self._tell_if_shown(work.image)

    def _tell_if_shown(self, image: Path) -> None:
        target = self._proposals.target()
        if target is not None and target.image == image:
            self._tell(image)

    def _on_grown(self, found: LargePrediction) -> None:
        target = self._proposals.target()
        if target is not None and target.image == found.image:
            self._proposals.grow(found)

    def _on_ended(self, work: LargeWork, state: str, reason: str) -> None:
        self.panel.setIdle()
        sentence = ended(work, state, reason)
        has_log = state == "failed" and self.predicting.log is not None
        self._told = (work.image, sentence, has_log) if sentence else None
        if sentence:
            self._tell_if_shown(work.image)
        self.changed.emit()
        self.follow(work.model)

    def _show_log(self) -> None:
        log = self.predicting.log
        if log is not None and not QDesktopServices.openUrl(QUrl.fromLocalFile(str(log))):
            show_info(f"The log is in {log}.")
