"""How a row of the image list is drawn: a dot for the state, folders paler than the file, long names elided."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QModelIndex, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetrics, QPainter, QPalette, QPen
from qtpy.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from napari_attnseg.annotation.folder.entries import ImageState

STATE_ROLE = int(Qt.ItemDataRole.UserRole) + 1
"""An `ImageState` to draw a dot for, or None."""
DIM_ROLE = int(Qt.ItemDataRole.UserRole) + 2
"""How many letters at the start of the text are drawn paler."""

# told apart by shape too: empty, full, half full, full with a ring; the colours stand out on light and dark alike
_COLOURS = {
    ImageState.NO_MASK: QColor("#8a8a8a"),
    ImageState.HAS_MASK: QColor("#2f9e6e"),
    ImageState.UNSAVED: QColor("#e08a1e"),
    ImageState.EDITED: QColor("#3d8bd4"),
}
_MARGIN = 4
_PALE, _PALE_SELECTED = 0.62, 0.9  # the ground of a selected row is nearer to the text's colour


class ImageRow(QStyledItemDelegate):
    """Draws the cells of an `ImageTable`."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        text = index.data() or ""
        dot = _dot_space(option) if index.data(STATE_ROLE) is not None else 0
        width = dot + option.fontMetrics.horizontalAdvance(text) + 2 * _MARGIN
        return QSize(width, option.fontMetrics.height() + 2 * _MARGIN)

    def paint(self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        assert painter is not None
        cell: Any = QStyleOptionViewItem(option)  # its state is an int in one binding, flags in the other
        self.initStyleOption(cell, index)
        text, cell.text = str(cell.text), ""
        widget = cell.widget
        style = widget.style() if isinstance(widget, QWidget) else QApplication.style()
        # one row is one choice: no frame around the cell that was clicked
        cell.state = cell.state & ~QStyle.StateFlag.State_HasFocus
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, cell, painter, widget)
        painter.save()
        area = cell.rect.adjusted(_MARGIN, 0, -_MARGIN, 0)
        state = index.data(STATE_ROLE)
        if state is not None:
            _draw_dot(painter, area, state)
            area.setLeft(area.left() + _dot_space(cell))
        selected = bool(cell.state & QStyle.StateFlag.State_Selected)
        role = QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text
        pale = _PALE_SELECTED if selected else _PALE
        _draw_text(painter, area, text, int(index.data(DIM_ROLE) or 0), cell.palette.color(role), pale, cell.font)
        painter.restore()


def elided(metrics: QFontMetrics, text: str, folders: int, width: int) -> tuple[str, str]:
    """Cut a path to a width: its folders first, from their middle, then the file's name from its middle.

    Parameters
    ----------
    metrics
        Of the font.
    text
        The path.
    folders
        How many letters at the start are folders, the last '/' included.
    width
        In pixels.

    Returns
    -------
    tuple[str, str]
        The folders and the file's name, as much as there is room for.
    """
    head, tail = text[:folders], text[folders:]
    left = width - metrics.horizontalAdvance(tail)
    middle = Qt.TextElideMode.ElideMiddle
    if metrics.horizontalAdvance(head) > left:
        head = metrics.elidedText(head, middle, left) if left > metrics.horizontalAdvance("ab…/") else ""
    return head, metrics.elidedText(tail, middle, width - metrics.horizontalAdvance(head))


def _draw_text(painter: QPainter, area: QRect, text: str, dim: int, colour: QColor, alpha: float, font: Any) -> None:
    painter.setFont(font)
    metrics = painter.fontMetrics()
    head, tail = elided(metrics, text, min(dim, len(text)), area.width())
    if dim >= len(text):
        head, tail = metrics.elidedText(text, Qt.TextElideMode.ElideRight, area.width()), ""
    pale_colour = QColor(colour)
    pale_colour.setAlphaF(alpha)
    flags = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
    for part, pen in ((head, pale_colour), (tail, colour)):
        painter.setPen(pen)
        painter.drawText(area, flags, part)
        area = area.adjusted(metrics.horizontalAdvance(part), 0, 0, 0)


def _dot_space(option: QStyleOptionViewItem) -> int:
    return int(option.fontMetrics.ascent()) + _MARGIN


def _draw_dot(painter: QPainter, area: QRect, state: ImageState) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    size = painter.fontMetrics().ascent() * 0.72
    dot = QRectF(area.left() + 1.0, area.center().y() + 0.5 - size / 2, size, size)
    colour = _COLOURS[state]
    painter.setPen(QPen(colour, 1.5))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawEllipse(dot)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    if state is ImageState.HAS_MASK:
        painter.drawEllipse(dot)
    elif state is ImageState.UNSAVED:
        painter.drawPie(dot, 90 * 16, 180 * 16)
    elif state is ImageState.EDITED:
        inner = size * 0.26
        painter.drawEllipse(dot.adjusted(inner, inner, -inner, -inner))
