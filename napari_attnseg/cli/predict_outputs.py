"""Which images `predict` is asked for, and where their predictions go."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_attnseg.data.pairs import OUTPUT_SUFFIXES, PREDICTION, find_pairs, output_path
from napari_attnseg.errors import DataError, SaveError
from napari_attnseg.events import EventHandler, Notice, Progress
from napari_attnseg.models.model_card import ModelCard
from napari_attnseg.prediction.outcome import Outcome, gaps_in_words
from napari_attnseg.settings import PredictionSettings
from napari_attnseg.wording import counted

if TYPE_CHECKING:
    from napari_attnseg.prediction.origin import Origin


@dataclass(frozen=True)
class Order:
    """What is asked for, and what of it is there already."""

    options: argparse.Namespace
    card: ModelCard
    settings: PredictionSettings
    digest: str
    """Of the model, see `Origin.of`."""
    outputs: dict[Path, Path]
    """Of each image, where its prediction goes."""
    kept: dict[Path, Origin]
    """What was made before in the same way."""

    @property
    def count(self) -> int:
        """How many images are asked for."""
        return len(self.outputs)

    @property
    def left(self) -> dict[Path, Path]:
        """The images that are to be predicted, and where the prediction of each goes."""
        return {image: path for image, path in self.outputs.items() if image not in self.kept}

    def begin(self, on_event: EventHandler, should_stop: Callable[[], bool]) -> Outcome:
        """Tell what becomes of what is there, and return what is done by that."""
        from napari_attnseg.prediction.begun import discard_begun
        from napari_attnseg.prediction.in_place import hidden_in, remove_left_over

        outcome = Outcome(kept=len(self.kept))
        hidden = {folder: hidden_in(folder) for folder in {self.outputs[image].parent for image in self.kept}}
        for image, origin in self.kept.items():
            folder = self.outputs[image].parent
            remove_left_over(image, folder, hidden[folder], origin, lambda text: on_event(Notice(text)))
            if origin.gaps:
                outcome.gaps.append(gaps_in_words(image.name, origin.gaps))
        if self.options.again:
            for image, path in self.outputs.items():
                discard_begun(image, path.parent)
        for text in (*self._look_at_kept(), *self._look_at_disk(should_stop), *outcome.gaps):
            on_event(Notice(text))
        if self.kept:
            on_event(Progress(outcome.kept / self.count, f"{outcome.kept} of {self.count} were there"))
        return outcome

    def _look_at_kept(self) -> list[str]:
        if not self.kept:
            return []
        were, are, them = ("was", "it is", "it") if len(self.kept) == 1 else ("were", "they are", "them")
        how = f"{were} predicted before with this model and these settings"
        return [f"{counted(len(self.kept), 'image')} {how}; {are} kept (--again predicts {them} anew)."]

    def _look_at_disk(self, should_stop: Callable[[], bool]) -> list[str]:
        """Say if there will perhaps be no room for all predictions, and how many are there that are not kept."""
        from napari_attnseg.prediction.disk import shortage
        from napari_attnseg.prediction.targets import target_of

        left, as_tiff = self.left, self.settings.format == "tiff"
        told = [shortage(self.card, self.settings, left, should_stop)]
        there = sum(target_of(image, PREDICTION, path.parent, as_tiff=as_tiff).exists() for image, path in left.items())
        if there:
            which = f"{counted(there, 'earlier prediction')} in {self.options.out}"
            told.append(f"Replaces {which}, with any _PROB and _ATTN files.")
        return [text for text in told if text]


def order_of(
    options: argparse.Namespace,
    model: Path,
    card: ModelCard,
    settings: PredictionSettings,
    digest: str,
    should_stop: Callable[[], bool],
) -> Order:
    """Return what a command line asks for; the folders for it are made.

    Parameters
    ----------
    digest
        Of the model file, from before the model was read from it.

    Raises
    ------
    DataError, SaveError
        There are no images, or they cannot be written.
    ModelFileError
        The model has gone meanwhile.
    """
    from napari_attnseg.prediction.kept import predicted_before

    outputs = asked_for(options, card.data.mask_suffix)
    kept = {} if options.again else predicted_before(model, card, settings, outputs, digest, should_stop)
    return Order(options, card, settings, digest, outputs, kept)


def asked_for(options: argparse.Namespace, mask_suffix: str) -> dict[Path, Path]:
    """Return all images that a command line asks for, and where the prediction of each goes; the folders are made.

    Raises
    ------
    DataError, SaveError
        There are none, or they cannot be written.
    """
    inputs = [*options.input, *(_listed(options.list) if options.list else ())]
    outputs = _outputs(_images(inputs, mask_suffix, options.base), options.out)
    _require_no_annotation(outputs, mask_suffix)
    _make_folders({path.parent for path in outputs.values()}, options.out)
    return outputs


def _listed(path: Path) -> list[Path]:
    """Read a list of inputs.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"The list {path} cannot be read ({error}); expected a text file with a path a line."
        ) from error
    return [Path(line.strip()) for line in lines if line.strip()]


def _images(inputs: list[Path], mask_suffix: str, base: Path | None) -> dict[Path, Path]:
    """Return each image with the folder that it lies below: `base`, else where it was found."""
    found: dict[Path, Path] = {}
    for source in inputs:
        below = source if source.is_dir() else source.parent
        if base is not None and source.is_relative_to(base):
            below = base
        found |= {pair.image: below for pair in find_pairs(source, mask_suffix).pairs}
    if not found:
        raise DataError(
            f"There are no TIFF images in {', '.join(map(str, inputs))}."
            if inputs
            else "There is nothing to predict; name TIFF images or folders, or give a list with --list."
        )
    return found


def _outputs(images: dict[Path, Path], out: Path) -> dict[Path, Path]:
    """Return where each prediction goes: below `out` as the image lies below the folder that was given.

    Raises
    ------
    DataError
        Two images would write the same file.
    """
    taken: dict[Path, Path] = {}
    outputs = {}
    for image, below in images.items():
        path = output_path(image, PREDICTION, out / image.parent.relative_to(below))
        if path in taken:
            raise DataError(
                f"{taken[path]} and {image} would both be written to {path}; predict them into two folders."
            )
        taken[path] = image
        outputs[image] = path
    return outputs


def _require_no_annotation(outputs: dict[Path, Path], mask_suffix: str) -> None:
    """Refuse to write what would be, or replace, a mask where masks are named as predictions are.

    Raises
    ------
    DataError
        A prediction would replace a mask, or be taken for one.
    """
    suffix = mask_suffix.upper()
    if suffix not in OUTPUT_SUFFIXES:
        return
    for image, path in outputs.items():
        beside = path.parent.resolve() == image.parent.resolve()
        if beside or output_path(image, suffix, path.parent).exists():
            raise DataError(
                f"The masks of this model's images end in {mask_suffix}, as predictions do, so what is written to "
                f"{path.parent} could replace a mask; choose a new folder with --out."
            )


def _make_folders(folders: set[Path], out: Path) -> None:
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"The folder {out} cannot be made ({error.strerror}).") from error
