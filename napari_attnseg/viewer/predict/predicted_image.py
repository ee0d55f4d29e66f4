"""What a model said about one image, kept so that threshold and tidying can be changed without asking it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from napari_attnseg.prediction.labels import to_labels
from napari_attnseg.prediction.uncertainty import uncertainty_map

Array = np.ndarray[Any, Any]
Plane = tuple[int, ...]


class Deciding(TypedDict):
    """By what labels are made of the probability; see `PredictedImage.decide`."""

    threshold: float
    min_size: int
    fill_holes: bool


class PredictedImage:
    """The planes of an image that were predicted so far.

    Parameters
    ----------
    image, model
        The files.
    stack_shape
        Lengths of the image's stack axes; empty for a single plane.
    class_names
        Of the model, background first.
    probability
        (planes, classes, y, x) in [0, 1]: a first reply, which says how many classes there are and how large a plane
        is; one class for a binary model.
    attention
        (planes, gates, y, x) in [0, 1], deepest gate first; None if it was not asked for.

    is_preview
        Whether the model is still learning.

    Attributes
    ----------
    probability, attention
        (classes or gates, stack axes..., y, x): float32 for a single plane, else float16. Planes that were not
        predicted are zero, and take no memory.
    labels
        (stack axes..., y, x), uint8: class ids of the folder, as `decide` made them.
    """

    def __init__(
        self,
        image: Path,
        model: Path,
        stack_shape: Plane,
        class_names: tuple[str, ...],
        probability: Array,
        attention: Array | None = None,
        *,
        is_preview: bool = False,
    ) -> None:
        self.image = image
        self.model = model
        self.is_preview = is_preview
        self.stack_shape = stack_shape
        self.class_names = class_names
        self.planes: set[Plane] = set()
        dtype = np.float16 if stack_shape else np.float32
        size = probability.shape[-2:]
        self.probability = np.zeros((probability.shape[1], *stack_shape, *size), dtype)
        gates = attention.shape[1] if attention is not None else 0
        self.attention = np.zeros((gates, *stack_shape, *size), dtype)
        self.labels = np.zeros((*stack_shape, *size), np.uint8)
        self.class_ids = np.arange(256, dtype=np.uint8)
        """The folder's class of each class of the model."""
        self._uncertainty = np.zeros((*stack_shape, *size), dtype)
        self._unsure: set[Plane] = set()
        self._decided: dict[Plane, tuple[object, ...]] = {}
        """By what the labels of each plane were made."""

    @property
    def is_binary(self) -> bool:
        """Whether there is one kind of object, so that a threshold decides."""
        return len(self.probability) == 1

    @property
    def nbytes(self) -> int:
        """Bytes that all planes would take."""
        return self.probability.nbytes + self.attention.nbytes + self.labels.nbytes + self._uncertainty.nbytes

    def fits(self, stack_shape: Plane, probability: Array, attention: Array | None) -> bool:
        """Whether further planes of this shape can be taken, of an image with these stack axes."""
        gates = attention.shape[1] if attention is not None else 0
        return (
            stack_shape == self.stack_shape
            and probability.shape[1] == len(self.probability)
            and probability.shape[-2:] == self.labels.shape[-2:]
            and gates == len(self.attention)
        )

    def take(self, plane: Plane | None, probability: Array, attention: Array | None) -> list[Plane]:
        """Take over the prediction of one plane, or of all planes (None); return the indices of the new ones.

        Parameters
        ----------
        probability, attention
            As in the constructor; all planes come in the order of the stack.
        """
        planes = [plane] if plane is not None else list(np.ndindex(self.stack_shape))
        for number, index in enumerate(planes):
            self._of(self.probability, index)[...] = probability[number]
            if attention is not None:
                self._of(self.attention, index)[...] = attention[number]
        self.planes.update(planes)
        self._unsure.difference_update(planes)
        for index in planes:
            self._decided.pop(index, None)
        return planes

    @property
    def uncertainty(self) -> Array:
        """(stack axes..., y, x) in [0, 1]: how unsure the model is of each pixel; computed when it is asked for."""
        for plane in self.planes - self._unsure:
            probability = self._of(self.probability, plane).astype(np.float32)
            self._uncertainty[plane] = uncertainty_map(probability)
            self._unsure.add(plane)
        return self._uncertainty

    def undecided(self, **options: Unpack[Deciding]) -> list[Plane]:
        """Return the planes whose labels were not made by these options, nor by the folder's classes as they are."""
        wanted = self._wanted(options)
        return sorted(plane for plane in self.planes if self._decided.get(plane) != wanted)

    def decide(self, planes: list[Plane], **options: Unpack[Deciding]) -> None:
        """Make `labels` of the probability on some planes; what was made so already is left alone.

        Parameters
        ----------
        planes
            Indices along the stack axes; those that were not predicted are left out.
        threshold
            Probability above which a pixel belongs to an object; with several classes the likeliest wins.
        min_size
            Objects of fewer pixels are dropped.
        fill_holes
            Whether holes in objects are filled.
        """
        min_size, fill_holes, wanted = options["min_size"], options["fill_holes"], self._wanted(options)
        for plane in set(planes).intersection(self.undecided(**options)):
            found = to_labels(self._of(self.probability, plane), options["threshold"])
            if min_size > 1 or fill_holes:
                from napari_attnseg.prediction.postprocess import tidy  # half a second of imports

                found = tidy(found, min_size=min_size, fill_holes=fill_holes)
            self.labels[plane] = self.class_ids[found]
            self._decided[plane] = wanted

    def _wanted(self, options: Deciding) -> tuple[object, ...]:
        return options["threshold"], options["min_size"], options["fill_holes"], self.class_ids.tobytes()

    @staticmethod
    def _of(values: Array, plane: Plane) -> Array:
        """Return what belongs to one plane, (class or gate, y, x)."""
        place: Any = (slice(None), *plane)
        return np.asarray(values[place])
