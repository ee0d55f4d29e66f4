"""A folder that is annotated: its images with their states, its classes, and what the user chose for it.

The choices and the times of edits are kept in `.attnseg/folder.json`. A folder that cannot be written to works all the
same; they are then kept for as long as it is open.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from napari_attnseg.annotation.document import Document, open_document
from napari_attnseg.annotation.entries import FolderChoices, ImageEntry, ImageState
from napari_attnseg.annotation.places import private_folder
from napari_attnseg.data.atomic import write_json
from napari_attnseg.data.classes import (
    FILE_NAME,
    ClassEntry,
    Classes,
    default_colour,
    find_classes,
    make_classes,
    write_classes,
)
from napari_attnseg.data.convention import MaskConvention, decide_convention
from napari_attnseg.data.mask_values import MaskValues, survey_mask
from napari_attnseg.data.pairs import Pair, PairListing, find_pairs
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import DataError, SaveError

FILE = "folder.json"
SAMPLE = 12  # masks that are read before the first image is shown; all the others are read in the background
_log = logging.getLogger(__name__)


class AnnotationFolder:
    """The images of one folder, or of one image's folder; made by `open_folder`."""

    def __init__(self, root: Path, listing: PairListing, choices: FolderChoices) -> None:
        self.root = root
        self.choices = choices
        self.convention: MaskConvention = MaskConvention("binary", {0: 0, 255: 1}, ("background", "foreground"))
        self.problem: str | None = None
        """Why it is not clear what the masks mean, a sentence."""
        self.last_training: float | None = None
        self.edited: dict[str, float] = {}
        """When masks were last saved here, in seconds since 1970, by the image's name in the folder."""
        self._classes: Classes | None = None
        self._survey: dict[Path, MaskValues] = {}
        self._pairs = {pair.image: pair for pair in listing.pairs}
        self._source = listing.source

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """All images with their masks, sorted by path."""
        return tuple(self._pairs.values())

    @property
    def source(self) -> Path:
        """The folder, or the only image if one image was opened; what a check looks through."""
        return self._source

    def holds_class(self, number: int) -> bool:
        """Whether a mask that was read holds a class."""
        values = {value for value, class_id in self.convention.values.items() if class_id == number}
        return any(values.intersection(found.values) for found in self._survey.values())

    def pair(self, image: Path) -> Pair | None:
        """Return an image of the folder with its mask; None if it is not one of them."""
        return self._pairs.get(image)

    def add(self, pair: Pair) -> None:
        """Take an image from elsewhere into the list."""
        self._pairs.setdefault(pair.image, pair)

    def document(self, image: Path) -> Document:
        """Open one of the images for editing, as the folder's masks and choices say; see `open_document`.

        Raises
        ------
        DataError
            The image cannot be described.
        """
        pair, axes = self._pairs[image], self.choices.axes
        if axes is not None:
            try:
                read_info(image, axes)
            except DataError:  # chosen for images of another number of axes
                axes = None
        return open_document(pair, self.convention, mask_suffix=self.choices.mask_suffix, axes=axes)

    def name(self, image: Path) -> str:
        """Return an image's path within the folder, with '/' on all systems."""
        return image.relative_to(self.root).as_posix() if image.is_relative_to(self.root) else image.name

    def entries(self, unsaved: frozenset[Path] = frozenset()) -> list[ImageEntry]:
        """Describe all images; those in `unsaved` have edits that are not saved."""
        return [self.entry(pair.image, unsaved=pair.image in unsaved) for pair in self.pairs]

    def entry(self, image: Path, *, unsaved: bool = False) -> ImageEntry:
        """Describe one image and the state of its mask."""
        pair = self._pairs[image]
        name = self.name(image)
        edited = self.edited.get(name)
        state = ImageState.NO_MASK if pair.mask is None else ImageState.HAS_MASK
        if pair.mask is not None and edited is not None and edited > (self.last_training or 0):
            state = ImageState.EDITED
        if unsaved:
            state = ImageState.UNSAVED
        return ImageEntry(image, pair.mask, name, state, edited)

    def note_saved(self, image: Path, mask: Path) -> None:
        """Note that an image's mask has been edited and saved."""
        self._pairs[image] = Pair(image, mask)
        self.edited[self.name(image)] = time.time()

    def note_removed(self, image: Path) -> None:
        """Note that an image's mask is no longer there."""
        self._pairs[image] = Pair(image, None)

    def note_trained(self) -> None:
        """Note that a training has seen all that is saved until now."""
        self.last_training = time.time()

    @property
    def classes(self) -> Classes:
        """The classes with names and colours: of `classes.json`, else as the masks have them."""
        return self._classes or self._classes_of_masks()

    def set_classes(self, classes: Classes) -> None:
        """Take over an edited list of classes and write `classes.json`.

        Raises
        ------
        SaveError
            The file cannot be written; the classes hold for as long as the folder is open.
        """
        self._classes = classes
        if self.convention.kind != "instances":
            kind = "classes" if len(classes) > 2 else self.convention.kind
            values = self.convention.values if kind == "binary" else classes.values
            self.convention = MaskConvention(kind, dict(values), classes.names, self.convention.notices)
        write_classes(self.root / FILE_NAME, classes)

    def set_choices(self, choices: FolderChoices) -> None:
        """Take over what the user chose; masks are understood anew."""
        self.choices = choices
        self._decide()

    def survey(self, should_stop: Callable[[], bool] = lambda: False, most: int | None = None) -> None:
        """Read masks that were not read yet, and decide what their values mean; at most `most` of them."""
        todo = [pair.mask for pair in self.pairs if pair.mask is not None and pair.mask not in self._survey]
        if most is not None and len(todo) > most:
            todo = todo[:: max(1, len(todo) // most)][:most]
        for mask in todo:
            if should_stop():
                return
            with suppress(DataError):  # an unreadable mask is a finding of the check, and of no use here
                self._survey[mask] = survey_mask(mask)
        self._decide()

    def save(self) -> None:
        """Keep choices and states for the next time.

        Raises
        ------
        SaveError
            The folder cannot be written to.
        """
        place = private_folder(self.root)
        try:
            place.mkdir(exist_ok=True)
        except OSError as error:
            raise SaveError(f"{place} cannot be made: {error.strerror or error}.") from error
        state = {"choices": asdict(self.choices), "last_training": self.last_training, "edited": self.edited}
        write_json(place / FILE, state)

    def _decide(self) -> None:
        self.problem = None
        try:
            self._classes = find_classes(self.root)
            self.convention = decide_convention(self._survey, self._classes, self.choices.mask_values)
        except DataError as error:
            self.problem = str(error)

    def _classes_of_masks(self) -> Classes:
        if self.convention.kind == "instances":
            return make_classes([ClassEntry(1, "object", default_colour(1), 1)], self.root / FILE_NAME)
        names = self.convention.class_names
        values = {number: value for value, number in self.convention.values.items()}
        binary = self.convention.kind == "binary"
        any_mask = any(pair.mask is not None for pair in self.pairs)
        entries = []
        for number, name in enumerate(names):
            # numbers on disk are the ids, unless masks with other values are there already
            value = values.get(number, number) if any_mask or not binary else number
            entries.append(ClassEntry(number, name, default_colour(number), value))
        return make_classes(entries, self.root / FILE_NAME)


def open_folder(path: Path, mask_suffix: str | None = None) -> AnnotationFolder:
    """List a folder, or the folder of one image, and read what was chosen for it.

    Reads a few masks to see what their values mean; call `survey` in the background to read them all.

    Parameters
    ----------
    path
        A folder, or one TIFF image, which then is the only one.
    mask_suffix
        What is added to an image's name to name its mask; None for what was chosen for the folder before.

    Raises
    ------
    DataError
        There is nothing at `path`, or a file that is no TIFF.
    """
    root = path if path.is_dir() else path.parent
    state = _read_state(root)
    choices = _choices_from(state.get("choices"))
    if mask_suffix is not None:
        choices = replace(choices, mask_suffix=mask_suffix)
    folder = AnnotationFolder(root, find_pairs(path, choices.mask_suffix), choices)
    edited = state.get("edited")
    if isinstance(edited, dict):
        folder.edited = {str(name): float(when) for name, when in edited.items() if isinstance(when, int | float)}
    trained = state.get("last_training")
    folder.last_training = float(trained) if isinstance(trained, int | float) else None
    folder.survey(most=SAMPLE)
    return folder


def _read_state(root: Path) -> dict[str, Any]:
    try:
        state = json.loads((private_folder(root) / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        _log.warning("%s cannot be read; the choices for this folder are the usual ones.", private_folder(root) / FILE)
        return {}
    return state if isinstance(state, dict) else {}


def _choices_from(values: Any) -> FolderChoices:
    """Take what is known and makes sense, the usual for the rest: the file may be of another version."""
    usual = FolderChoices()
    if not isinstance(values, dict):
        return usual
    axes, suffix, mode = values.get("axes"), values.get("mask_suffix"), values.get("mask_values")
    return FolderChoices(
        axes=axes if isinstance(axes, str) and axes else None,
        mask_suffix=suffix if isinstance(suffix, str) and suffix else usual.mask_suffix,
        mask_values=mode if mode in ("auto", "binary", "classes", "instances") else usual.mask_values,
    )
