"""What a model says about an image that is too large for memory, as far as it has come.

It has the parts of a `PredictedImage`, but they are lists of levels that are read from the files when they are looked
at, and so the same layers and controls show it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.annotation.predictions.large_files import LargeWork
from napari_attnseg.data.masks import values_of_new_mask
from napari_attnseg.data.pairs import ATTENTION, PREDICTION, PROBABILITY
from napari_attnseg.data.regions import Damage
from napari_attnseg.prediction.from_card import convention_of, gate_names, layouts_of, probability_names
from napari_attnseg.prediction.labels import to_labels
from napari_attnseg.prediction.origin import Origin
from napari_attnseg.prediction.uncertainty import uncertainty_map
from napari_attnseg.prediction.working_store import Progress, read_progress
from napari_attnseg.viewer.predict.large.levels import GrowingFiles, Level
from napari_attnseg.viewer.predict.predicted_image import Plane, PredictedImage

Array = np.ndarray[Any, Any]


class LargePrediction:
    """A prediction in files; opening it looks at the disk.

    Parameters
    ----------
    work
        The image, the model, and the place of the files.
    growing
        Whether it is, or was, being predicted, so that the place where it grows is looked at first.

    Attributes
    ----------
    is_growing
        As given.
    labels
        The levels of what was found, finest first: class ids of the folder.
    probability, attention
        A list of levels for each class or gate; empty where it is not written.
    uncertainty
        The levels of how unsure the model is of each pixel; empty without the probability.

    Raises
    ------
    OSError, KeyError, ValueError
        The files are not there, or cannot be read.
    """

    def __init__(self, work: LargeWork, *, growing: bool) -> None:
        self.work = work
        self.is_growing = growing
        self.is_preview = False
        self.image, self.model = work.image, work.model
        self.stack_shape: Plane = tuple(work.info.stack_shape)
        self.class_names = convention_of(work.card).class_names
        self.class_ids = np.arange(256, dtype=np.uint8)
        """The folder's class of each class of the model."""
        self._values = values_of_new_mask(convention_of(work.card))
        self._origin = self._read_origin()
        self._files = {kind: self._opened(kind) for kind in self._kinds()}
        self._progress: Progress | None = None
        self._threshold = self.written_threshold
        self._small: list[tuple[Array, Level]] = []
        self.labels = self._labels()
        classes, gates = probability_names(work.card), gate_names(work.card)
        self.probability = self._by_channel(PROBABILITY, classes)
        self.attention = self._by_channel(ATTENTION, gates)
        self.uncertainty = (
            self._levels(PROBABILITY, range(len(classes)), lambda read: uncertainty_map(np.nan_to_num(read)))
            if self.probability
            else []
        )
        self.update()

    @property
    def is_binary(self) -> bool:
        """Whether there is one kind of object."""
        return self.work.card.model.classes == 1

    @property
    def has_threshold(self) -> bool:
        """Whether a threshold decides, and the probability is there to apply another one."""
        return self.is_binary and PROBABILITY in self._files

    @property
    def is_complete(self) -> bool:
        """Whether all of it is predicted."""
        return self._progress is None

    @property
    def written_threshold(self) -> float:
        """The threshold of the mask in the file."""
        return float(self._origin.settings.get("threshold", 0.5))

    @property
    def origin(self) -> Origin:
        """What it was made of."""
        return self._origin

    @property
    def rows(self) -> tuple[int, int]:
        """How many rows of tiles are done, and how many there are; (0, 0) once it is complete."""
        return (self._progress.rows_done, self._progress.rows) if self._progress is not None else (0, 0)

    @property
    def planes(self) -> set[Plane]:
        """The planes of which at least a part is predicted."""
        return {plane for plane in np.ndindex(self.stack_shape) if self.lines_done(plane)}

    def update(self) -> None:
        """Look how far it has come; reads a small file, and the coarsest levels."""
        grows = self.is_growing and (self.work.partial / PREDICTION).is_dir()
        self._progress = read_progress(self.work.partial) if grows else None
        self._origin = self._read_origin()
        for array, level in self._small:
            array[...] = level[...]

    def lines_done(self, plane: Plane) -> int:
        """Return how many rows of pixels of a plane are final, from the first one on."""
        height, progress = self.work.info.height, self._progress
        if progress is None:
            return height
        planes = self.work.info.n_planes
        number = int(np.ravel_multi_index(plane, self.stack_shape)) if self.stack_shape else 0
        done, rest = divmod(progress.rows_done, progress.rows // planes)
        return height if number < done else progress.lines_done if number == done and rest else 0

    def decide(self, planes: Sequence[Plane], *, threshold: float, min_size: int, fill_holes: bool) -> None:
        """Take another threshold for what is looked at from now on; objects are tidied in the files only."""
        self._threshold = threshold
        for array, level in self._small:
            if array is self.labels[-1]:
                array[...] = level[...]

    def region(self, plane: Plane, rows: slice, columns: slice) -> tuple[Array, Array]:
        """Read a part of a plane: class ids of the folder (y, x), and which pixels are known, bool (y, x)."""
        labels = self.labels[0][(*plane, rows, columns)]
        known = np.zeros(labels.shape, bool)
        known[: max(self.lines_done(plane) - rows.start, 0)] = True
        number = int(np.ravel_multi_index(plane, self.stack_shape)) if self.stack_shape else 0
        gaps: Sequence[Damage] = self._progress.damages if self._progress is not None else self._origin.gaps
        for gap in gaps:
            if gap.plane == number:
                top, left = max(gap.top - rows.start, 0), max(gap.left - columns.start, 0)
                known[top : max(gap.bottom - rows.start, 0), left : max(gap.right - columns.start, 0)] = False
        return labels, known

    def _kinds(self) -> list[str]:
        """Return what is there of it, and not of an earlier prediction that waits to be replaced."""
        kinds = [PREDICTION]
        for kind in (PROBABILITY, ATTENTION):
            place = next(filter(Path.is_dir, self._places(kind)), None)
            if place is not None and Origin.read(place) == self._origin:
                kinds.append(kind)
        return kinds

    def _places(self, kind: str) -> list[Path]:
        return [self.work.partial / kind] * self.is_growing + [self.work.target(kind)]

    def _opened(self, kind: str) -> GrowingFiles:
        both = self.work.settings.model_copy(update={"probability": True, "attention": True})
        return GrowingFiles(self._places(kind), layouts_of(self.work.card, both, self.work.info)[kind])

    def _by_channel(self, kind: str, names: Sequence[str]) -> list[list[Level]]:
        return [self._levels(kind, (number,)) for number in range(len(names))] if kind in self._files else []

    def _read_origin(self) -> Origin:
        for place in self._places(PREDICTION):
            if (origin := Origin.read(place)) is not None:
                return origin
        return Origin.of(self.model, self.image, self.work.settings)

    def _levels(self, kind: str, channels: Sequence[int], convert: Any = lambda read: read[0]) -> list[Any]:
        files = self._files[kind]
        count = len(files.layout.level_shapes)
        return self._with_small([Level(files, number, channels, convert, np.float32) for number in range(count)])

    def _labels(self) -> list[Any]:
        files = self._files[PREDICTION]
        count = len(files.layout.level_shapes)
        return self._with_small(
            [
                LabelLevel(files, number, self._to_classes, partial(self._by_threshold, number))
                for number in range(count)
            ]
        )

    def _with_small(self, levels: list[Any]) -> list[Any]:
        """Let the coarsest of several levels of a plane be in memory.

        napari keeps the coarsest level of a plane once it has read it: so it gets one that is filled in place.
        """
        if self.stack_shape or len(levels) == 1:
            return levels
        coarsest = np.zeros(levels[-1].shape, levels[-1].dtype)
        self._small.append((coarsest, levels[-1]))
        return [*levels[:-1], coarsest]

    def _to_classes(self, read: Array) -> Array:
        """Turn the values of a mask file into class ids of the folder."""
        lookup = np.zeros(int(np.iinfo(self._values.dtype).max) + 1, np.uint8)
        lookup[self._values] = self.class_ids[: len(self._values)]
        return np.asarray(lookup[read[0].astype(self._values.dtype)])

    def _by_threshold(self, number: int, wanted: tuple[Any, ...]) -> Array | None:
        """Read class ids of the folder from the probability; None where the mask in the file says the same."""
        threshold = self._threshold  # as it is now, wherever it is moved to while the files are read
        if not self.has_threshold or abs(threshold - self.written_threshold) < 1e-9:
            return None
        level = Level(self._files[PROBABILITY], number, (0,), lambda read: read[0], np.float32)
        return np.asarray(self.class_ids[to_labels(level.read(wanted)[None], threshold)])


class LabelLevel(Level):
    """A level of a mask, by another threshold than that of the file where one was chosen."""

    def __init__(
        self,
        files: GrowingFiles,
        number: int,
        convert: Callable[[Array], Array],
        instead: Callable[[tuple[Any, ...]], Array | None],
    ) -> None:
        super().__init__(files, number, (0,), convert, np.uint8)
        self._instead = instead

    def read(self, wanted: tuple[Any, ...]) -> Array:
        """Read a part of the whole level; see `Level.read`."""
        found = self._instead(wanted)
        return super().read(wanted) if found is None else found


AnyPrediction = PredictedImage | LargePrediction
