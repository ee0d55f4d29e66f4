"""The pictures of the Annotate dock."""

from __future__ import annotations

import os
import shutil
from multiprocessing import get_context
from pathlib import Path

from screenshots_stage import Stage

NUCLEI = ((213, 98), (139, 151), (157, 95), (67, 102), (25, 72))  # rows and columns of nuclei in fluorescence03
BESIDE = (170, 145)  # one that is not painted


def nuclei(stage: Stage) -> None:
    """Nuclei that are painted."""
    stage.annotate(stage.partly_annotated(), "fluorescence03")
    stage.snap(*NUCLEI)
    stage.take("annotate_nuclei", at=BESIDE)
    stage.frame("paint")


def classes(stage: Stage) -> None:
    """Organs in their own colours."""
    dock = stage.annotate(stage.folder("abdomen", "organs"), "subject02_z11")
    dock.classes.chosen.emit(4)
    stage.take("annotate_classes", at=(60, 130))


def correct(stage: Stage) -> None:
    """The corrections."""
    dock = stage.annotate(stage.partly_annotated(), "fluorescence03")
    stage.snap(*NUCLEI)
    dock.fix_part.expand(animate=False)
    stage.take("annotate_correct", dock.saves.line, BESIDE)


def findings(stage: Stage) -> None:
    """What is wrong in a folder."""
    folder = stage.partly_annotated()
    (folder / "stained01.tiff").rename(folder / "stained one.tiff")
    (folder / "brightfield08_MASK.tiff").write_bytes((folder / "brightfield08_MASK.tiff").read_bytes()[:200])
    shutil.copy(folder / "fluorescence06.tiff", folder / "fluorescence11.tiff")
    dock = stage.annotate(folder, "fluorescence03")
    dock.findings.setExpanded(True)
    stage.take("annotate_findings", dock.findings, BESIDE)


def stack(stage: Stage) -> None:
    """A stack of planes."""
    dock = stage.annotate(stage.folder("stack", "stack"))
    stage.viewer.dims.set_current_step(0, 6)
    dock.fix_part.expand(animate=False)
    stage.take("annotate_stack", at=(16, 5))  # in µm


def restore(stage: Stage) -> None:
    """The dialog after a crash."""
    folder = stage.partly_annotated()
    crash = get_context("spawn").Process(target=_paint_and_crash, args=(folder / "fluorescence03.tiff",))
    crash.start()
    crash.join()
    from napari.qt import get_qapp
    from qtpy.QtCore import QTimer

    def take() -> None:
        stage.take("annotate_restore")
        os._exit(0)  # the dialog waits for an answer

    get_qapp()  # without which there are no timers
    QTimer.singleShot(8000, take)  # the dialog's own loop runs by then
    stage.annotate(None)
    stage.wait(lambda: False)


def _paint_and_crash(image: Path) -> None:
    """Annotate an image as a window does, up to a moment before it is saved."""
    from napari_attnseg.annotation.corrections.snap import snap
    from napari_attnseg.annotation.folder.folder import open_folder
    from napari_attnseg.annotation.masks.editing import Editing
    from napari_attnseg.annotation.masks.recovery import new_journal
    from napari_attnseg.data.tiff import read_image

    document = open_folder(image.parent).document(image)
    editing = Editing(document, new_journal(document))
    pixels = read_image(image).pixels[0]
    for place in NUCLEI:
        editing.apply({(): editing.labels | snap(pixels.max(axis=0), place, tolerance=None)})
    editing.journal.flush()
    os._exit(1)
