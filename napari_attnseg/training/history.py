"""What a training has been through, epoch by epoch: metrics.csv, curves.png and TensorBoard's files."""

from __future__ import annotations

import time

from napari_attnseg.training.curves import TensorBoard, draw_curves
from napari_attnseg.training.run_folder import MetricsRow, RunFolder

_SECONDS_BETWEEN_CURVES = 30.0


class History:
    """The rows of a run, one an epoch, and the files that show them.

    The picture is drawn now and then and at the end: drawing takes a fraction of a second, and some epochs take less.
    Without `writes` only the rows are kept, as by all processes of a training but the first.
    """

    def __init__(self, folder: RunFolder, *, writes: bool = True) -> None:
        self.rows: list[MetricsRow] = []
        self._writes = writes
        self._folder = folder
        self._board = TensorBoard(folder.path)
        self._last_drawn = time.monotonic()

    def write(self) -> None:
        """Write metrics.csv.

        Raises
        ------
        SaveError
            It cannot be written.
        """
        if self._writes:
            self._folder.write_metrics(self.rows)

    def show(self) -> None:
        """Add the last row to TensorBoard's files, and draw the curves if that was long ago.

        Raises
        ------
        SaveError
            A file cannot be written.
        """
        if not self._writes:
            return
        self._board.add(self.rows[-1])
        if time.monotonic() - self._last_drawn >= _SECONDS_BETWEEN_CURVES:
            draw_curves(self._folder.curves, self.rows)
            self._last_drawn = time.monotonic()

    def close(self) -> None:
        """Draw the curves to the end and close TensorBoard's files.

        Raises
        ------
        SaveError
            The picture cannot be written.
        """
        self._board.close()
        if self.rows and self._writes:
            draw_curves(self._folder.curves, self.rows)
