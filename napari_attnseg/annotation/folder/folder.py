"""A folder that is annotated: its images with their states, its classes, and what the user chose for it.

What is remembered of it is kept in `.attnseg`, see `folder_state`. A folder that cannot be written to works all the
same; its choices are then kept for as long as it is open.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from napari_attnseg.annotation.folder.classes_of_masks import classes_of_masks
from napari_attnseg.annotation.folder.entries import FolderChoices, ImageEntry, ImageState
from napari_attnseg.annotation.folder.mask_survey import MaskSurvey
from napari_attnseg.annotation.folder.state import (
    FolderState,
    read_state,
    read_uncertainty,
    write_state,
    write_uncertainty,
)
from napari_attnseg.annotation.masks.document import Document, open_document
from napari_attnseg.data.classes import FILE_NAME, Classes, find_classes, write_classes
from napari_attnseg.data.convention import MaskConvention, decide_convention
from napari_attnseg.data.mask_values import MaskValues
from napari_attnseg.data.pairs import Pair, PairListing, find_pairs
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import DataError

SAMPLE = 12  # masks that are read before the first image is shown; all the others are read in the background


class AnnotationFolder:
    """The images of one folder, or of one image's folder; made by `open_folder`."""

    def __init__(self, root: Path, listing: PairListing, state: FolderState) -> None:
        self.root = root
        self.state = state
        self.convention: MaskConvention = MaskConvention("binary", {0: 0, 255: 1}, ("background", "foreground"))
        self.problem: str | None = None
        """Why it is not clear what the masks mean, a sentence."""
        self.uncertainty: dict[str, tuple[float, str]] = {}
        """How unsure a model is of images, by their names in the folder: from 0 to 1, and the model's key."""
        self._classes: Classes | None = None
        self._edited: Classes | None = None  # here, since the folder is open; they hold whatever `classes.json` says
        self._writing = threading.Lock()  # of two threads the later one must not write what is older
        self._survey = MaskSurvey()
        self._pairs = {pair.image: pair for pair in listing.pairs}
        self._listing = listing

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """All images with their masks, sorted by path."""
        return tuple(self._pairs.values())

    @property
    def listing(self) -> PairListing:
        """The images that were found in the folder, without those from elsewhere: what a training learns from."""
        return replace(self._listing, pairs=tuple(self._pairs[pair.image] for pair in self._listing.pairs))

    @property
    def source(self) -> Path:
        """The folder, or the only image if one image was opened; what a check looks through."""
        return self._listing.source

    @property
    def choices(self) -> FolderChoices:
        """What the user chose for the folder."""
        return self.state.choices

    @property
    def last_training(self) -> float | None:
        """When the last training began, in seconds since 1970."""
        return self.state.last_training

    @property
    def unreadable(self) -> dict[Path, str]:
        """Masks that cannot be read, and why, in a sentence."""
        return self._survey.unreadable

    def mask_values(self, image: Path) -> MaskValues | None:
        """Return what was found in an image's mask when it was read last; None if it was not, or has none."""
        mask = self._pairs[image].mask
        return self._survey.values.get(mask) if mask is not None else None

    def holds_class(self, number: int) -> bool:
        """Whether a mask that was read holds a class."""
        values = {value for value, class_id in self.convention.values.items() if class_id == number}
        return self._survey.holds(values)

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
        document = open_document(pair, self.convention, mask_suffix=self.choices.mask_suffix, axes=axes)
        document.root = self.root
        return document

    def owns(self, document: Document) -> bool:
        """Whether a mask is read and written by this folder's classes, and not by those of another one."""
        return document.root == self.root or document.image.is_relative_to(self.root)

    def name(self, image: Path) -> str:
        """Return an image's path within the folder, with '/' on all systems."""
        return name_in(self.root, image)

    def _remembered_as(self, image: Path) -> str:
        """Return a name that no other image has: of one from elsewhere its whole path."""
        return self.name(image) if image.is_relative_to(self.root) else image.as_posix()

    def entries(self, unsaved: frozenset[Path] = frozenset()) -> list[ImageEntry]:
        """Describe all images; those in `unsaved` have edits that are not saved."""
        return [self.entry(pair.image, unsaved=pair.image in unsaved) for pair in self.pairs]

    def entry(self, image: Path, *, unsaved: bool = False) -> ImageEntry:
        """Describe one image and the state of its mask."""
        pair = self._pairs[image]
        name = self.name(image)
        edited = self.state.edited.get(self._remembered_as(image))
        state = ImageState.NO_MASK if pair.mask is None else ImageState.HAS_MASK
        if pair.mask is not None and edited is not None and edited > (self.last_training or 0):
            state = ImageState.EDITED
        if unsaved:
            state = ImageState.UNSAVED
        unsure = self.uncertainty[name][0] if name in self.uncertainty else None
        note = "" if unsure is None else f"unsure {round(100 * unsure)} %"
        return ImageEntry(image, pair.mask, name, state, edited, note, unsure)

    def note_saved(self, image: Path, mask: Path) -> None:
        """Note that an image's mask has been edited and saved."""
        self._pairs[image] = Pair(image, mask)
        self._survey.note_saved(mask)
        self.state.edited[self._remembered_as(image)] = time.time()

    def note_trained(self, when: float | None = None) -> None:
        """Note that a training has seen all that was saved until `when` (seconds since 1970), which is when it began.

        Masks that were saved while it ran count as edited since. None: now.
        """
        self.state.last_training = time.time() if when is None else when

    def edited_since_training(self) -> list[Path]:
        """Return the images whose masks were saved here since the last training began, sorted by path."""
        trained = self.state.last_training or 0
        return [
            pair.image
            for pair in self.listing.pairs
            if pair.mask is not None and self.state.edited.get(self.name(pair.image), 0) > trained
        ]

    def note_unsure(self, image: Path, value: float, model_key: str) -> None:
        """Note how unsure a model is of an image, from 0 to 1; `save_uncertainty` keeps it."""
        self.uncertainty[self.name(image)] = min(max(float(value), 0.0), 1.0), model_key

    def without_uncertainty(self, model_key: str) -> list[Path]:
        """Return the images of which it is not known how unsure a model is of them, those without a mask first."""
        known = {name for name, (_, key) in list(self.uncertainty.items()) if key == model_key}
        missing = [pair for pair in self.pairs if self.name(pair.image) not in known]
        return [pair.image for pair in sorted(missing, key=lambda pair: pair.mask is not None)]

    @property
    def classes(self) -> Classes:
        """The classes with names and colours: of `classes.json`, else as the masks have them."""
        if self._classes is not None:
            return self._classes
        any_mask = any(pair.mask is not None for pair in self.pairs)
        return classes_of_masks(self.convention, self.root, any_mask=any_mask)

    def set_classes(self, classes: Classes) -> None:
        """Take over an edited list of classes: masks are read and written by it at once; `save_classes` keeps it."""
        self._edited = self._classes = classes
        if self.convention.kind != "instances":
            kind = "classes" if len(classes) > 2 else self.convention.kind
            values = self.convention.values if kind == "binary" else classes.values
            self.convention = MaskConvention(kind, dict(values), classes.names, self.convention.notices)

    def save_classes(self) -> None:
        """Write the list of classes that was edited last to `classes.json`.

        Raises
        ------
        SaveError
            The file cannot be written; the classes hold for as long as the folder is open.
        """
        with self._writing:
            if self._edited is not None:
                write_classes(self.root / FILE_NAME, self._edited)

    def set_choices(self, choices: FolderChoices) -> None:
        """Take over what the user chose; masks are understood anew."""
        self.state.choices = choices
        self._decide()

    def survey(
        self, should_stop: Callable[[], bool] = lambda: False, most: int | None = None, *, decide: bool = True
    ) -> None:
        """Read masks that were not read yet or saved since, and decide what their values mean.

        Parameters
        ----------
        should_stop
            Asked before each mask.
        most
            Read no more than so many.
        decide
            False: what the values mean stays as it was decided.
        """
        masks = [pair.mask for pair in self.pairs if pair.mask is not None]
        if self._survey.read(masks, should_stop, most) and decide:
            self._decide()

    def survey_saved(self, image: Path) -> None:
        """Read one image's mask again, because it was saved; what the values mean stays as it was decided."""
        mask = self._pairs[image].mask
        if mask is not None:
            self._survey.read([mask], lambda: False)

    def save(self) -> None:
        """Keep choices, states and the model in use for the next time.

        Raises
        ------
        SaveError
            The folder cannot be written to.
        """
        with self._writing:
            write_state(self.root, self.state)

    def save_uncertainty(self) -> None:
        """Keep how unsure a model is of the images for the next time.

        Raises
        ------
        SaveError
            The folder cannot be written to.
        """
        with self._writing:
            write_uncertainty(self.root, self.uncertainty)

    def problem_now(self) -> str | None:
        """Why the masks that were read have no common meaning, a sentence; `problem` is that of when it was decided."""
        try:
            self._decided()
        except DataError as error:
            return str(error)
        return None

    def _decide(self) -> None:
        decided = False
        while not decided:
            edited, self.problem = self._edited, None
            try:
                self._classes, self.convention = self._decided(edited)
            except DataError as error:
                self.problem = str(error)
            decided = edited is self._edited  # else the user has edited the classes while this thread read files

    def _decided(self, edited: Classes | None = None) -> tuple[Classes | None, MaskConvention]:
        classes = find_classes(self.root) if edited is None else edited
        return classes, decide_convention(dict(self._survey.values), classes, self.choices.mask_values)


def name_in(root: Path, image: Path) -> str:
    """Return an image's path within a folder, with '/' on all systems; its name alone if it lies elsewhere."""
    return image.relative_to(root).as_posix() if image.is_relative_to(root) else image.name


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
    state = read_state(root)
    if mask_suffix is not None:
        state.choices = replace(state.choices, mask_suffix=mask_suffix)
    folder = AnnotationFolder(root, find_pairs(path, state.choices.mask_suffix), state)
    folder.uncertainty = read_uncertainty(root)
    folder.survey(most=SAMPLE)
    return folder
