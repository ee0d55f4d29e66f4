"""Rows of tiles through the network, while other threads read what comes next and write what came before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from napari_attnseg.data.masks import values_of_new_mask
from napari_attnseg.data.ome_zarr import Layout
from napari_attnseg.data.pairs import ATTENTION, PREDICTION, PROBABILITY
from napari_attnseg.prediction.fitting import is_out_of_memory, lower_or_refuse
from napari_attnseg.prediction.grid import FloatArray, axes_of
from napari_attnseg.prediction.labels import to_labels
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.row_blend import Part, RowBlend
from napari_attnseg.prediction.tile_input import TileInput
from napari_attnseg.prediction.tiling import Stopped, forward
from napari_attnseg.prediction.working_store import WorkingStore

_WAITING = 2  # batches that may wait to be blended and written


class TileTooLarge(Exception):
    """The memory was not enough for one tile; the tiling has been lowered, for a prediction that begins anew."""


class TileRows:
    """The rows of tiles of an image, on their way from the file through the network to the store."""

    def __init__(
        self,
        predictor: Predictor,
        source: TileInput,
        store: WorkingStore,
        layouts: dict[str, Layout],
        on_row: Callable[[int], None],
        should_stop: Callable[[], bool],
    ) -> None:
        self._predictor, self._source, self._store, self._layouts = predictor, source, store, layouts
        self._on_row, self._should_stop = on_row, should_stop
        self._values = values_of_new_mask(predictor.convention)
        self._is_broken = False
        info, progress = source.info, store.progress
        tiles = progress.tile_size, progress.overlap
        self._down, self._across = axes_of(info.height, info.width, *tiles, predictor.model.divisor)

    def predict(self, plane: int, first_new: int) -> None:
        """Predict a plane from one row of tiles on."""
        size = self._predictor.tiling.batch_size
        every = list(range(len(self._across.starts)))
        # rows that reach into the first new one are predicted once more, for what they add to it
        rows = range(self._down.first_reaching(first_new), len(self._down.starts))
        batches = [(row, every[first : first + size]) for row in rows for first in range(0, len(every), size)]
        channels = self._predictor.card.model.classes + self._gates
        blend = RowBlend(self._down, self._across, channels)
        waiting: deque[Future[int]] = deque()
        with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(1) as behind:
            reading = ahead.submit(self._read, plane, *batches[0])
            for number, (row, columns) in enumerate(batches, start=1):
                if self._should_stop():
                    raise Stopped
                cut = reading.result()
                if number < len(batches):
                    reading = ahead.submit(self._read, plane, *batches[number])
                results = self._forward(cut)
                waiting.append(behind.submit(self._finish, blend, plane, row, columns, results, row >= first_new))
                while len(waiting) > (_WAITING if number < len(batches) else 0):
                    rows_done = waiting.popleft().result()
                    if rows_done:
                        self._on_row(rows_done)

    @property
    def _gates(self) -> int:
        return self._layouts[ATTENTION].channels if ATTENTION in self._layouts else 0

    def _read(self, plane: int, row: int, columns: list[int]) -> FloatArray:
        ranges = self._store.progress.ranges
        assert ranges is not None
        return self._source.read_row(plane, self._down.starts[row], self._down, self._across, columns, ranges)

    def _forward(self, cut: FloatArray) -> FloatArray:
        """Apply the network, to fewer tiles at once where memory runs out."""
        one = self._predictor
        most = one.tiling.batch_size
        if len(cut) > most:  # cut before it was found that so many are too many
            parts = [cut[first : first + most] for first in range(0, len(cut), most)]
            return np.concatenate([self._forward(part) for part in parts])
        try:
            return forward(one.model, cut, one.compute, with_attention=self._gates > 0, turned=one.settings.tta)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        one.tiling.batch_size = len(cut)
        lower_or_refuse(one.tiling, one.compute)
        if len(cut) == 1:
            raise TileTooLarge
        return self._forward(cut)

    def _finish(
        self, blend: RowBlend, plane: int, row: int, columns: list[int], results: FloatArray, is_new: bool
    ) -> int:
        """Blend some tiles and write what is final; return how many rows are done if one is finished now, else 0."""
        if self._is_broken:  # what waited behind a failure lacks what that left out, and may not count as done
            return 0
        self._is_broken = True
        rows_done = self._write(blend, plane, row, columns, results, is_new)
        self._is_broken = False
        return rows_done

    def _write(
        self, blend: RowBlend, plane: int, row: int, columns: list[int], results: FloatArray, is_new: bool
    ) -> int:
        for column, result in zip(columns, results, strict=True):
            part, values = blend.add(row, column, result)
            if is_new:
                self._put(plane, part, values)
        if not is_new or columns[-1] + 1 < len(self._across.starts):
            return 0
        progress, height = self._store.progress, self._source.info.height
        finished = slice(self._down.starts[row], min(self._down.final_until(row), height))
        self._store.finish_rows(plane, finished)
        progress.lines_done = finished.stop
        progress.rows_done = plane * len(self._down.starts) + row + 1
        progress.damages = list(self._source.damages.values())
        self._store.save()
        return progress.rows_done

    def _put(self, plane: int, part: Part, values: FloatArray) -> None:
        """Write a part of the padded plane, as far as it lies in the plane."""
        info = self._source.info
        rows = slice(part[0].start, min(part[0].stop, info.height))
        columns = slice(part[1].start, min(part[1].stop, info.width))
        values = values[:, : rows.stop - rows.start, : columns.stop - columns.start]
        valid = self._source.valid(plane, rows, columns)
        classes = self._predictor.card.model.classes
        labels = self._values[to_labels(values[:classes], self._predictor.settings.threshold)]
        if valid is not None:
            labels[~valid] = 0
            values = np.where(valid, values, np.float32(np.nan))
        self._store.put(PREDICTION, plane, 0, rows, columns, labels)
        for kind, first in ((PROBABILITY, 0), (ATTENTION, classes)):
            if kind in self._layouts:
                for channel in range(self._layouts[kind].channels):
                    self._store.put(kind, plane, channel, rows, columns, values[first + channel])
