"""One order of the prediction process: planes in, .npy files out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from napari_attnseg.prediction.array_files import ArrayFile
from napari_attnseg.prediction.from_card import gate_names
from napari_attnseg.prediction.inbox import PredictOrder
from napari_attnseg.prediction.plane_input import KnownRanges, PlaneInput, require_room
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.tiling import PlaneResult, Stopped
from napari_attnseg.prediction.uncertainty import image_uncertainty, uncertainty_map


def predict_order(
    order: PredictOrder,
    predictor: Predictor,
    known: KnownRanges,
    on_progress: Callable[[float], None],
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    """Predict what an order asks for and write it to `order.out`.

    Parameters
    ----------
    on_progress
        Called with the share of the planes that is done, 0 to 1.
    should_stop
        Asked between tiles.

    Returns
    -------
    dict
        Paths of arrays or None under 'probability', 'attention' and 'uncertainty_map', and 'uncertainty', the mean
        over the planes.

    Raises
    ------
    AttnSegError
        The image, or what is asked of it, does not fit the model or the memory, or the disk is full.
    Stopped
        `should_stop` returned True. In this and any other case of failure no file is left.
    """
    card, every_plane = predictor.card, not order.plane
    planes = PlaneInput(order.image, predictor.data, card.model.in_channels, known, every_plane=every_plane)
    number = planes.number(order.plane)
    numbers = range(planes.info.n_planes) if number is None else [number]
    part = _Part.of(order.region, planes.info.height, planes.info.width, predictor.tiling.overlap)
    attention = order.attention and predictor.has_attention
    outputs = card.model.classes + len(gate_names(card)) * attention
    require_room(planes.info, predictor.data, *part.size, outputs)
    files = _Files(order, len(numbers), attention=attention)
    try:
        for count, plane in enumerate(numbers):
            if should_stop():
                raise Stopped

            def on_tiles(done: int, total: int, count: int = count) -> None:
                on_progress((count + done / total) / len(numbers))

            result = predictor.predict_plane(
                planes.read(plane, part.read), attention=attention, on_tiles=on_tiles, should_stop=should_stop
            )
            files.add(part.cut(result))
        return files.finish()
    except BaseException:
        files.discard()
        raise


class _Part:
    """The part of each plane that is read, with a margin for context, and what of that is wanted."""

    def __init__(self, read: tuple[slice, slice], wanted: tuple[slice, slice]) -> None:
        self.read, self.wanted = read, wanted

    @classmethod
    def of(cls, region: tuple[int, int, int, int] | None, height: int, width: int, margin: int) -> _Part:
        """Return the part for a region (top, left, bottom, right), cut to the plane; at least one pixel remains."""
        top, left, bottom, right = region or (0, 0, height, width)
        read, wanted = [], []
        for start, stop, length in ((top, bottom, height), (left, right, width)):
            start = min(max(start, 0), length - 1)
            stop = min(max(stop, start + 1), length)
            first = max(start - margin, 0)
            read.append(slice(first, min(stop + margin, length)))
            wanted.append(slice(start - first, stop - first))
        return cls((read[0], read[1]), (wanted[0], wanted[1]))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what is read."""
        rows, columns = self.read
        return rows.stop - rows.start, columns.stop - columns.start

    def cut(self, result: PlaneResult) -> PlaneResult:
        """Return what is wanted of a result."""
        attention = None if result.attention is None else result.attention[:, *self.wanted]
        return PlaneResult(result.probability[:, *self.wanted], attention)


class _Files:
    """The arrays of an order on their way to the disk."""

    def __init__(self, order: PredictOrder, planes: int, *, attention: bool) -> None:
        self._files: dict[str, ArrayFile] = {}
        self._unsure: list[float] = []
        kinds: list[tuple[str, type[np.floating[Any]]]] = [("probability", np.float32)]
        kinds += [("attention", np.float16)] * attention + [("uncertainty_map", np.float16)] * order.uncertainty
        for name, dtype in kinds:
            self._files[name] = ArrayFile(order.out / f"{order.number}-{name}.npy", planes, dtype)

    def add(self, result: PlaneResult) -> None:
        unsure = uncertainty_map(result.probability)
        self._unsure.append(image_uncertainty(result.probability))
        arrays = {"probability": result.probability, "attention": result.attention, "uncertainty_map": unsure}
        for name, file in self._files.items():
            array = arrays[name]
            assert array is not None
            file.add(array)

    def finish(self) -> dict[str, Any]:
        for file in self._files.values():
            file.close()
        paths = {name: str(file.path) for name, file in self._files.items()}
        empty = dict.fromkeys(("probability", "attention", "uncertainty_map"))
        return {**empty, **paths, "uncertainty": float(np.mean(self._unsure))}

    def discard(self) -> None:
        for file in self._files.values():
            with suppress(OSError):  # the folder is gone with whoever asked
                file.discard()
