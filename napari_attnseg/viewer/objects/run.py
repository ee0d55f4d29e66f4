"""One computation of objects at a time, in the background; a newer one takes the place of an older one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_attnseg.viewer.failures import failure_text
from napari_attnseg.viewer.objects.work import Asked, Found, find

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session


class ObjectsRun(QObject):
    """Starts and stops the computation, and tells what came of it in the window's thread."""

    progressed = Signal(float)
    found = Signal(object)
    """What was `Found`."""
    failed = Signal(str)
    """Why there is nothing, a sentence; '' if it was stopped."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._stop: threading.Event | None = None

    @property
    def is_busy(self) -> bool:
        """Whether something is being computed."""
        return self._stop is not None

    def start(self, asked: Asked) -> None:
        """Find and measure objects; `found` or `failed` tells."""
        self.stop()
        stop = self._stop = threading.Event()
        background = self._session.background

        def on_progress(share: float) -> None:
            background.call_here(lambda: self.progressed.emit(share) if self._stop is stop else None)

        def done(found: Found) -> None:
            if self._stop is stop:
                self._stop = None
                self.found.emit(found)

        def failed(error: Exception) -> None:
            if self._stop is stop:
                self._stop = None
                self.failed.emit(failure_text(error, "The objects could not be found"))

        def should_stop() -> bool:
            return stop.is_set() or background.is_closed

        background.run(lambda: find(asked, on_progress, should_stop), done, failed, is_long=True)

    def stop(self) -> None:
        """Give up what is being computed."""
        if self._stop is not None:
            self._stop.set()
            self._stop = None
            self.failed.emit("")
