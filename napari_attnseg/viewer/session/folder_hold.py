"""The session's hold on its folder: other windows are told that it is open here."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from napari_attnseg.annotation.folder.lock import FolderLock, Owner

if TYPE_CHECKING:
    from napari_attnseg.viewer.session.session import Session

HEARTBEAT = 30_000  # milliseconds
_log = logging.getLogger(__name__)


class FolderHold(QObject):
    """Locks one folder at a time, and shows now and then that this window is alive."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._lock: FolderLock | None = None
        self._owner: Owner | None = None
        self._heartbeat = QTimer(self)
        self._heartbeat.timeout.connect(self.beat)
        self._heartbeat.start(HEARTBEAT)

    def take(self, root: Path) -> None:
        """Hold another folder from now on; the session tells who else has it open."""
        if self._lock is not None:
            if self._lock.folder == root:
                return
            self._session.background.do(self._lock.release, quiet=True)
        lock = self._lock = FolderLock(root)
        self._owner = None
        self._session.shared_with.emit(None)
        self._ask(lock)

    def close(self) -> None:
        """Let others have the folder."""
        self._heartbeat.stop()
        if self._lock is not None:
            self._lock.release()

    def beat(self) -> None:
        """Show that this window is alive, and find out who has the folder by now."""
        if self._lock is not None:
            self._ask(self._lock)

    def _ask(self, lock: FolderLock) -> None:
        def answered(owner: Owner | None) -> None:
            if lock is self._lock and owner != self._owner:
                self._owner = owner
                self._session.shared_with.emit(owner)

        work = lock.heartbeat if lock.held else lock.acquire
        self._session.background.run(work, answered, lambda error: _log.debug("no lock", exc_info=error))
