"""Questions that must be answered before anything could be lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from qtpy.QtWidgets import QMessageBox, QWidget

MOST_NAMED = 8


def ask_overwrite(parent: QWidget | None, what: str) -> Literal["overwrite", "reload", "cancel"]:
    """Ask what to do about a mask that another program has changed; `what` says what happened."""
    box = QMessageBox(QMessageBox.Icon.Warning, "The mask on disk is not the one you opened", what, parent=parent)
    box.setInformativeText(
        "Keep yours: what is on disk is replaced by what you painted here.\n"
        "Take the one on disk: what you painted here since the last save is set aside."
    )
    keep = box.addButton("Keep mine", QMessageBox.ButtonRole.AcceptRole)
    reload = box.addButton("Take the one on disk", QMessageBox.ButtonRole.DestructiveRole)
    cancel = box.addButton("Decide later", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(cancel)
    box.exec_()
    if box.clickedButton() is keep:
        return "overwrite"
    return "reload" if box.clickedButton() is reload else "cancel"


def ask_close(parent: QWidget | None, names: Sequence[str]) -> Literal["save", "keep", "cancel"]:
    """Ask what to do with masks that are not saved when the window closes."""
    one = len(names) == 1
    listed = "\n".join(names[:MOST_NAMED])
    more = f"\nand {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    text = "One mask is not saved." if one else f"{len(names)} masks are not saved."
    box = QMessageBox(QMessageBox.Icon.Question, "Save before closing?", text, parent=parent)
    box.setInformativeText(
        f"{listed}{more}\n\nNot saved, your strokes are kept on this computer and offered at the next start."
    )
    save = box.addButton("Save" if one else "Save all", QMessageBox.ButtonRole.AcceptRole)
    keep = box.addButton("Close without saving", QMessageBox.ButtonRole.DestructiveRole)
    box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(save)
    box.exec_()
    if box.clickedButton() is save:
        return "save"
    return "keep" if box.clickedButton() is keep else "cancel"


def ask_replace_objects(parent: QWidget | None, name: str) -> bool:
    """Ask whether objects that were corrected by hand are made anew; `name` is their image's."""
    text = f"You have corrected the objects of {name} by hand."
    box = QMessageBox(QMessageBox.Icon.Question, "Make the objects anew?", text, parent=parent)
    box.setInformativeText("Separated anew, they are as the mask or the prediction says, without your corrections.")
    replace = box.addButton("Separate anew", QMessageBox.ButtonRole.DestructiveRole)
    keep = box.addButton("Keep mine", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(keep)
    box.exec_()
    return box.clickedButton() is replace


def ask_lose_objects(parent: QWidget | None, names: Sequence[str]) -> bool:
    """Ask whether the window closes though objects were corrected by hand, which are kept in layers alone."""
    listed = "\n".join(names[:MOST_NAMED])
    more = f"\nand {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    text = "You have corrected objects by hand; they are not kept when the window closes."
    box = QMessageBox(QMessageBox.Icon.Question, "Close without the corrected objects?", text, parent=parent)
    box.setInformativeText(
        f"{listed}{more}\n\nTo keep them, go back, choose the layer of objects, and save it with File > Save Selected "
        "Layers; the table of them is saved in the Objects dock."
    )
    close = box.addButton("Close without them", QMessageBox.ButtonRole.DestructiveRole)
    back = box.addButton("Go back", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(back)
    box.exec_()
    return box.clickedButton() is close


def ask_training(parent: QWidget | None) -> Literal["go on", "stop", "cancel"]:
    """Ask what becomes of a training that is running when the window closes."""
    box = QMessageBox(QMessageBox.Icon.Question, "Let the training go on?", "A training is running.", parent=parent)
    box.setInformativeText(
        "It can go on without napari; when you open this folder again, the Train dock shows how far it is.\n"
        "Stopped, what it has learnt so far is kept."
    )
    go_on = box.addButton("Let it go on", QMessageBox.ButtonRole.AcceptRole)
    stop = box.addButton("Stop and keep", QMessageBox.ButtonRole.DestructiveRole)
    box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(go_on)
    box.exec_()
    if box.clickedButton() is go_on:
        return "go on"
    return "stop" if box.clickedButton() is stop else "cancel"
