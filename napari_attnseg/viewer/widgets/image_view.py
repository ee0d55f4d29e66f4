"""The view of the folder's images, which keeps the marked one in sight."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_attnseg.viewer.widgets.image_row import ImageRow
from napari_attnseg.viewer.widgets.image_table import NAME, NOTE, STATE, ImageTable

LOWEST = 96  # pixels


class ImageView(QTableView):
    """Rows of equal height; one can be marked."""

    def __init__(self, model: ImageTable) -> None:
        super().__init__()
        self.setModel(model)
        self.setItemDelegate(ImageRow(self))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setAccessibleName("Images of the folder")
        self.setMinimumHeight(LOWEST)
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        # equal heights, so that no row has to be asked for its own
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 8)
        rows.hide()
        columns.hide()
        columns.setMinimumSectionSize(20)
        columns.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        columns.setSectionResizeMode(STATE, QHeaderView.ResizeMode.Fixed)
        columns.setSectionResizeMode(NOTE, QHeaderView.ResizeMode.Fixed)

    def resizeEvent(self, event: Any) -> None:
        """Keep the marked row in sight when there is less room, unless the user has scrolled away from it."""
        marked, height = self.currentIndex(), event.oldSize().height()
        top = self.rowViewportPosition(marked.row()) if marked.isValid() else -1
        super().resizeEvent(event)
        if marked.isValid() and (height <= 0 or 0 <= top < height):
            self.scrollTo(marked)
