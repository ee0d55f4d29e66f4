"""Rows of tiles through the network, while other threads read what comes next and write what came before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_attnseg.data.masks import values_of_new_mask
from napari_attnseg.data.ome_zarr import CHUNK, Layout
from napari_attnseg.data.pairs import ATTENTION, PREDICTION, PROBABILITY
from napari_attnseg.prediction.fitting import is_out_of_memory, lower_or_refuse
from napari_attnseg.prediction.grid import FloatArray, axes_of
from napari_attnseg.prediction.labels import to_labels
from napari_attnseg.prediction.predictor import Predictor
from napari_attnseg.prediction.row_blend import Part, RowBlend
from napari_attnseg.prediction.tile_input import TileInput
from napari_attnseg.prediction.tiling import Stopped, forward_on_device
from napari_attnseg.prediction.working_store import WorkingStore

_WAITING = 2  # batches that may wait to be blended and written


@dataclass(frozen=True)
class Run:
    """Neighbouring tiles of one row of a plane."""

    plane: int
    row: int
    columns: list[int]
    is_new: bool
    """Whether what they say is written, and not only blended into what follows."""


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
        self._blend: tuple[int, RowBlend] | None = None
        self._waiting: FloatArray | None = None
        """What is final of the row that is predicted, and not written yet: (channel, y, x)."""
        info, progress = source.info, store.progress
        tiles = progress.tile_size, progress.overlap
        self._down, self._across = axes_of(info.height, info.width, *tiles, predictor.model.divisor)

    def predict(self, first_plane: int, first_new: int) -> None:
        """Predict all planes from one row of tiles of a plane on.

        Tiles go through the network in batches that may hold the end of a row and the begin of the next one, also of
        the next plane: planes that are smaller than a tile would go through it one by one.
        """
        size = self._predictor.tiling.batch_size
        every = self._runs(first_plane, first_new, size)
        waiting: deque[Future[int]] = deque()
        with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(1) as behind:
            batch = next(every, None)
            reading = ahead.submit(self._read, batch) if batch else None
            while batch is not None and reading is not None:
                if self._should_stop():
                    raise Stopped
                cut = reading.result()
                following = next(every, None)
                reading = ahead.submit(self._read, following) if following else None
                results = self._forward(cut)
                waiting.append(behind.submit(self._finish, batch, results))
                while len(waiting) > (_WAITING if following else 0):
                    rows_done = waiting.popleft().result()
                    if rows_done:
                        self._on_row(rows_done)
                batch = following

    def _runs(self, first_plane: int, first_new: int, size: int) -> Iterator[list[Run]]:
        """Yield batches of so many tiles, each as runs of neighbouring tiles of one row."""
        batch: list[Run] = []
        left = size
        for plane in range(first_plane, self._source.info.n_planes):
            new = first_new if plane == first_plane else 0
            # rows that reach into the first new one are predicted once more, for what they add to it
            for row in range(self._down.first_reaching(new), len(self._down.starts)):
                columns = list(range(len(self._across.starts)))
                while columns:
                    batch.append(Run(plane, row, columns[:left], row >= new))
                    columns, left = columns[left:], left - len(columns[:left])
                    if left == 0:
                        yield batch
                        batch, left = [], size
        if batch:
            yield batch

    @property
    def _gates(self) -> int:
        return self._layouts[ATTENTION].channels if ATTENTION in self._layouts else 0

    def _read(self, batch: list[Run]) -> FloatArray:
        ranges = self._store.progress.ranges
        assert ranges is not None
        source, down, across = self._source, self._down, self._across
        read = [source.read_row(run.plane, down.starts[run.row], down, across, run.columns, ranges) for run in batch]
        return read[0] if len(read) == 1 else np.concatenate(read)

    def _forward(self, cut: FloatArray) -> Tensor:
        """Apply the network, to fewer tiles at once where memory runs out.

        What it says stays on the device, for the thread behind to wait for: so a GPU has the next batch meanwhile.
        """
        one = self._predictor
        most = one.tiling.batch_size
        if len(cut) > most:  # cut before it was found that so many are too many
            parts = [cut[first : first + most] for first in range(0, len(cut), most)]
            return torch.cat([self._forward(part) for part in parts])
        try:
            with_attention, turned = self._gates > 0, one.settings.tta
            return forward_on_device(one.model, cut, one.compute, with_attention=with_attention, turned=turned)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        one.tiling.batch_size = len(cut)
        lower_or_refuse(one.tiling, one.compute)
        if len(cut) == 1:
            raise TileTooLarge
        return self._forward(cut)

    def _finish(self, batch: list[Run], said: Tensor) -> int:
        """Blend some tiles and write what is final; return how many rows are done if one is finished now, else 0."""
        if self._is_broken:  # what waited behind a failure lacks what that left out, and may not count as done
            return 0
        self._is_broken = True
        results = said.cpu().numpy()
        rows_done = first = 0
        for run in batch:
            rows_done = self._write(run, results[first : first + len(run.columns)]) or rows_done
            first += len(run.columns)
        self._is_broken = False
        return rows_done

    def _write(self, run: Run, results: FloatArray) -> int:
        plane, row = run.plane, run.row
        if self._blend is None or self._blend[0] != plane:
            channels = self._predictor.card.model.classes + self._gates
            self._blend = plane, RowBlend(self._down, self._across, channels)
        for column, result in zip(run.columns, results, strict=True):
            part, values = self._blend[1].add(row, column, result)
            if run.is_new:
                self._put_chunks(plane, part, values)
        if not run.is_new or run.columns[-1] + 1 < len(self._across.starts):
            return 0
        progress, height = self._store.progress, self._source.info.height
        finished = slice(self._down.starts[row], min(self._down.final_until(row), height))
        self._store.finish_rows(plane, finished)
        progress.lines_done = finished.stop
        progress.rows_done = plane * len(self._down.starts) + row + 1
        progress.damages = list(self._source.damages.values())
        self._store.save()
        return progress.rows_done

    def _put_chunks(self, plane: int, part: Part, values: FloatArray) -> None:
        """Write the next part of a row up to where a chunk of the store ends; the rest waits for the tile after it.

        What is written of a chunk has it read, decoded, and compressed again as a whole.
        """
        rows, columns = part
        if self._waiting is not None:
            columns = slice(columns.start - self._waiting.shape[2], columns.stop)
            values = np.concatenate((self._waiting, values), axis=2)
        until = columns.stop if columns.stop >= self._source.info.width else columns.stop - columns.stop % CHUNK
        ready = max(until - columns.start, 0)
        self._waiting = values[:, :, ready:].copy() if ready < values.shape[2] else None
        if ready:
            self._put(plane, (rows, slice(columns.start, columns.start + ready)), values[:, :, :ready])

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
