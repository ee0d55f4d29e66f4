"""The models of a folder: the one in use, those that were in use before, and all that can be chosen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from napari_attnseg.annotation.folder.folder import AnnotationFolder
from napari_attnseg.annotation.trainings.model_choices import (
    ModelChoice,
    choice_of_file,
    choice_of_run,
    choice_of_starter,
    mismatch_of,
)
from napari_attnseg.annotation.trainings.recent_models import recent_models, remember_model
from napari_attnseg.annotation.trainings.run_history import RunHistory
from napari_attnseg.annotation.trainings.runs import run_folders
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.tiff import read_info
from napari_attnseg.errors import DataError, ModelFileError
from napari_attnseg.models.model_card import load_card
from napari_attnseg.models.starter_models import is_starter, starter_models, starter_of

MOST_REMEMBERED = 100  # models that were in use before
LOOKED_AT = 3  # images that tell whether a built-in model is for such images


class FolderModels:
    """The models of one folder; what is chosen is part of the folder's state, which `save` keeps."""

    def __init__(self, folder: AnnotationFolder) -> None:
        self.folder = folder
        self.history = RunHistory(folder.root)
        state = folder.state
        state.model = state.model and _here(state.model)
        state.models_used = [_here(path) for path in state.models_used]

    @property
    def in_use(self) -> Path | None:
        """The model in use; None if none was chosen, or if it is gone; see `problem`."""
        model = self.folder.state.model
        return model if model is not None and model.is_file() else None

    @property
    def problem(self) -> str | None:
        """Why the model in use cannot be used, a sentence; None if all is well or none was chosen."""
        model = self.folder.state.model
        if model is None:
            return None
        if not model.is_file():
            return f"The model in use, {model}, is no longer there; choose another one or go back to the one before."
        try:
            load_card(model)
        except ModelFileError as error:
            return str(error)
        return None

    def use(self, path: Path) -> None:
        """Take a model into use; the one before can be gone back to. `save` keeps the choice."""
        state, path = self.folder.state, Path(os.path.abspath(path))
        if state.model == path:
            return
        if state.model is not None:
            state.models_used = [*state.models_used, state.model][-MOST_REMEMBERED:]
        state.model = path

    def roll_back(self) -> Path | None:
        """Take the model into use that was used before; return it, or None if there is none any more."""
        before = self.before
        if before is None:
            return None
        state = self.folder.state
        state.models_used = state.models_used[: _last_index(state.models_used, before)]
        state.model = before
        return before

    @property
    def before(self) -> Path | None:
        """The model that `roll_back` would take: the last one used before that is still there."""
        state = self.folder.state
        return next((path for path in reversed(state.models_used) if path != state.model and path.is_file()), None)

    def save(self) -> None:
        """Keep what was chosen, for this folder and as recent for others.

        Raises
        ------
        SaveError
            The folder or the user's data folder cannot be written to; the choice holds while the folder is open.
        """
        model = self.in_use
        if model is not None and not is_starter(model):  # what is built in is offered in any case
            remember_model(model)
        self.folder.save()

    def choices(self, now: datetime | None = None) -> list[ModelChoice]:
        """Describe the models that can be chosen; reads files, so call it in the background.

        Parameters
        ----------
        now
            For words such as 'today'; None: the present.

        Returns
        -------
        list of ModelChoice
            Those that come with the program, those trained here, newest first, then the model in use if it is from
            elsewhere, then those that were used in other folders. Files that are gone are left out; damaged ones are
            there with their problem.
        """
        now = now or datetime.now().astimezone()
        found = [choice_of_run(record, now) for record in self.history.records()]
        here = [*self._built_in(), *(choice for choice in found if choice is not None)]
        runs = {_real(run) for run in run_folders(self.folder.root)}
        others = [self.folder.state.model] if self.folder.state.model is not None else []
        known = {_real(choice.path) for choice in here}
        for path in [*others, *recent_models()]:
            is_new = _real(path) not in known and (_real(path.parent) not in runs or path in others)
            if is_new and path.is_file():
                known.add(_real(path))
                here.append(choice_of_file(path, now))
        return here

    def _built_in(self) -> list[ModelChoice]:
        """Describe the models that come with the program, and how the folder differs from what they are for."""
        infos = list(self._some_images())
        found = []
        for starter in starter_models():
            try:
                mismatch = mismatch_of(load_card(starter.path), infos, self.folder.convention)
            except ModelFileError:
                mismatch = ""  # the choice says what is wrong with it
            found.append(choice_of_starter(starter.path, mismatch))
        return found

    def _some_images(self) -> Iterator[ImageInfo]:
        for pair in self.folder.pairs[:LOOKED_AT]:
            with suppress(DataError):  # a file that is no image is told of where it is opened
                yield read_info(pair.image, self.folder.choices.axes)


def model_key(path: Path) -> str:
    """Return what tells a model file from another one, and from one that replaced it; '' if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{path.name} {status.st_size:x} {status.st_mtime_ns:x}"


def _here(path: Path) -> Path:
    """Return where a model is: of one that came with the program before that was moved or updated, its new place."""
    starter = starter_of(path)
    return path if starter is None or path.is_file() else starter


def _real(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def _last_index(paths: list[Path], wanted: Path) -> int:
    return max(number for number, path in enumerate(paths) if path == wanted)
