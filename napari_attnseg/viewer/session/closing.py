"""What happens when the window closes with masks that are not saved, or while a training is running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QEventLoop, QObject, QTimer
from qtpy.QtWidgets import QWidget

from napari_attnseg.viewer.questions import ask_close, ask_lose_objects, ask_training
from napari_attnseg.viewer.session.saving import names_of

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

LONGEST_SAVE = 600_000  # milliseconds that closing waits for masks to be written
LONGEST_STOP = 40_000  # milliseconds that closing waits for a training to save


class _Guard(QObject):
    """Stops the closing of a window with unsaved masks until it is clear what becomes of them."""

    def __init__(self, session: Session, window: QWidget) -> None:
        super().__init__(window)
        self._session = session
        self._window = window
        self._ended = False

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Look at the window's events; of these only the ones that close it concern us."""
        if watched is not self._window or self._ended:
            return False
        if event.type() == QEvent.Type.Close:
            return self._on_close(event)
        if event.type() == QEvent.Type.Hide and self._session.is_closing and not event.spontaneous():
            self._ended = True
            self._session.close()
        return False

    def _on_close(self, event: QEvent) -> bool:
        for mask in self._session.masks:
            mask.finish()
        unsaved = self._session.unsaved
        if unsaved:
            answer = ask_close(self._window, names_of(unsaved.values()))
            if answer == "cancel" or (answer == "save" and not self._save_all()):
                event.ignore()
                return True
        if not self._may_lose_objects() or not self._may_leave_training():
            event.ignore()
            return True
        self._session.is_closing = True
        # napari may still ask, for as long as it likes, and be told to stay; else the window is hidden next
        self._window.event(event)
        self._session.is_closing = event.isAccepted()
        return True

    def _may_lose_objects(self) -> bool:
        """Ask what becomes of objects that were corrected by hand; return whether the window may close."""
        names = sorted({name for named in self._session.at_risk for name in named()})
        return not names or ask_lose_objects(self._window, names)

    def _may_leave_training(self) -> bool:
        """Ask what becomes of a running training; return whether the window may close."""
        if not self._session.is_training:
            return True
        answer = ask_training(self._window)
        if answer == "stop":
            self._end_training()
        return answer != "cancel"

    def _end_training(self) -> None:
        """Stop the training, which may be starting just now, and wait until it has saved."""
        run, loop = self._session.learning.training.run, QEventLoop()
        longest = QTimer(loop)
        longest.setSingleShot(True)
        longest.timeout.connect(loop.quit)
        longest.start(LONGEST_STOP)
        run.ended.connect(loop.quit)
        run.stop()
        while run.is_active and longest.isActive():
            loop.exec_()
        run.ended.disconnect(loop.quit)

    def _save_all(self) -> bool:
        """Write all masks while the window stays alive; return whether it worked."""
        loop = QEventLoop()
        results: list[bool] = []

        def done(worked: bool) -> None:
            results.append(worked)
            loop.quit()

        self._session.saving.save_all(done)
        if not results:
            QTimer.singleShot(LONGEST_SAVE, loop.quit)
            loop.exec_()
        return results == [True]


def guard_window(session: Session) -> None:
    """Ask before the session's window closes with unsaved masks, and end the session when it is gone."""
    window = session.viewer.window._qt_window
    guard = _Guard(session, window)
    window.installEventFilter(guard)
