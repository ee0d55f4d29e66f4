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
        self._heartbeat = QTimer(self)
        self._heartbeat.timeout.connect(self._on_heartbeat)
        self._heartbeat.start(HEARTBEAT)

    def take(self, root: Path) -> None:
        """Hold another folder from now on; the session tells who else has it open."""
        if self._lock is not None:
            if self._lock.folder == root:
                return
            self._session.background.do(self._lock.release, quiet=True)
        lock = self._lock = FolderLock(root)

        def taken(owner: Owner | None) -> None:
            if lock is self._lock:
                self._session.shared_with.emit(owner)

        self._session.background.run(lock.acquire, taken, lambda error: _log.debug("no lock", exc_info=error))

    def close(self) -> None:
        """Let others have the folder."""
        self._heartbeat.stop()
        if self._lock is not None:
            self._lock.release()

    def _on_heartbeat(self) -> None:
        if self._lock is not None:
            self._session.background.do(self._lock.heartbeat, quiet=True)
