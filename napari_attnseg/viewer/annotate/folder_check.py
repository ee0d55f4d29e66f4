"""Looks through the session's folder in the background, and shows what it found."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

from napari_attnseg.annotation.folder.entries import FolderChoices
from napari_attnseg.annotation.folder.folder import AnnotationFolder
from napari_attnseg.data.convention import Mode
from napari_attnseg.data.report import Report
from napari_attnseg.viewer.session.session import Session
from napari_attnseg.viewer.widgets.findings import Findings

if TYPE_CHECKING:  # the dock should open at once
    from napari_attnseg.events import Event as AnyEvent
    from napari_attnseg.events import EventHandler

BREATH = 0.002  # seconds of rest between two images, so that the window stays swift
REPORT_EVERY = 0.2
WAIT_FIRST = 1500  # milliseconds in which the first image is shown


class FolderCheck(QObject):
    """Checks a folder when it is opened, and when asked."""

    def __init__(self, session: Session, findings: Findings) -> None:
        super().__init__(findings)
        self._session = session
        self._findings = findings
        self._stop = Event()
        self._folder: AnnotationFolder | None = None
        session.folder_changed.connect(self._on_folder)
        session.closing.connect(self.stop)
        findings.checkAsked.connect(self.start)
        findings.modeChosen.connect(self._on_mode)
        findings.opened.connect(self._open)
        findings.clear()

    def start(self) -> None:
        """Look through the folder that is open, from the beginning."""
        folder = self._folder = self._session.folder
        if folder is None:
            return
        self.stop()
        stop = self._stop = Event()
        choices = folder.choices
        told = 0.0

        def on_event(event: AnyEvent) -> None:
            nonlocal told
            time.sleep(BREATH)
            done = getattr(event, "done", None)  # of its progress
            if done is not None and time.monotonic() - told > REPORT_EVERY:
                told = time.monotonic()
                total = len(folder.pairs)
                at = round(done * total)
                self._session.background.call_here(lambda: self._show_busy(stop, at, total))

        self._session.background.run(
            lambda: _check(folder.source, choices, on_event, stop.is_set),
            lambda report: self._show(stop, report),
            lambda error: self._findings.clear(),
            is_long=True,
        )

    def stop(self) -> None:
        """Give up a check that is running."""
        self._stop.set()

    def _on_folder(self) -> None:
        if self._session.folder is not self._folder:
            self._folder = self._session.folder
            self._findings.clear()
            QTimer.singleShot(WAIT_FIRST, self._start_if_new)

    def _start_if_new(self) -> None:
        if self._session.folder is self._folder:
            self.start()

    def _show_busy(self, stop: Event, done: int, total: int) -> None:
        if stop is self._stop and not stop.is_set():
            self._findings.setBusy(done, total)

    def _show(self, stop: Event, report: Report) -> None:
        if stop is self._stop and not report.stopped:
            self._findings.setFindings(report.findings, report.convention)

    def _on_mode(self, mode: Mode) -> None:
        folder = self._session.folder
        if folder is not None:
            self._session.set_choices(replace(folder.choices, mask_values=mode), then=self.start)

    def _open(self, path: Path) -> None:
        self._session.open_file(path)


def _check(source: Path, choices: FolderChoices, on_event: EventHandler, should_stop: Callable[[], bool]) -> Report:
    # not before they are needed, too
    from napari_attnseg.data.check import check
    from napari_attnseg.settings import DataSettings

    settings = DataSettings(mask_suffix=choices.mask_suffix, axes=choices.axes, mask_values=choices.mask_values)
    return check(source, settings, on_event=on_event, should_stop=should_stop)
