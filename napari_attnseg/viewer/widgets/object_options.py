"""How objects are told apart, in words and units of the image."""

from __future__ import annotations

import math
from typing import Literal

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QGridLayout, QLabel, QSizePolicy, QSpinBox, QWidget

from napari_attnseg.settings import ObjectSettings, Reach
from napari_attnseg.viewer.widgets.elided_box import ElidedBox

_STACK = {
    "through its planes": "An object goes on from plane to plane: it is measured as a volume.",
    "on each plane": "Each plane has objects of its own, which are measured as areas.",
}
_REACHES: tuple[Reach, ...] = ("z", "planes")
_UNIT_TIP = "What sizes and distances are given in here. The table has both pixels and the unit of the image."
_NO_UNIT = "The file does not say how large a pixel is, so that only pixels can be counted."
_SIZE_TIP = "Objects of less than this are dropped; 0 keeps all of them."
_APART_TIP = "Two centres that are nearer to each other than this make one object; 0 sets no limit."
_NECK_TIP = (
    "Where an object is narrower by this much than on both sides, it is cut apart there.\n"
    "Larger: fewer cuts, when single objects are cut to pieces. Smaller: more cuts, when touching ones stay one."
)


class ObjectOptions(QWidget):
    """Stack, unit, smallest object, distance and neck."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._side = 1.0
        self._measures = (1.0, 1.0)
        self._unit = ""
        self._in_unit = False
        self.stack_box = ElidedBox()
        self.stack_box.addItems(list(_STACK))
        self.stack_box.setToolTip("\n".join(f"{name.capitalize()}: {tip}" for name, tip in _STACK.items()))
        self.unit_box = ElidedBox()
        self.size_box = _number(_SIZE_TIP, 1e9)
        self.apart_box = _number(_APART_TIP, 1e6)
        self.neck_box = QSpinBox()
        self.neck_box.setRange(1, 90)
        self.neck_box.setSuffix(" %")
        self.neck_box.setToolTip(_NECK_TIP)
        self.neck_box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.neck_box.setValue(round(100 * ObjectSettings().neck))
        self._stack_label = QLabel("In a stack")
        self._lay_out()
        self.unit_box.currentIndexChanged.connect(lambda _: self._on_unit())
        self.stack_box.currentIndexChanged.connect(lambda _: self._show_units())
        for box in (self.size_box, self.apart_box, self.neck_box):
            box.valueChanged.connect(lambda _: self.changed.emit())
        self.setImage("", None, None, stack=False)

    def value(self) -> ObjectSettings:
        """Return what is set, with touching objects separated."""
        unit: Literal["pixels", "physical"] = "physical" if self._in_unit else "pixels"
        return ObjectSettings(
            reach=self.reach(),
            unit=unit,
            neck=self.neck_box.value() / 100,
            min_size=float(self.size_box.value()),
            min_distance=float(self.apart_box.value()),
        )

    def setValue(self, settings: ObjectSettings) -> None:
        """Set everything at once; what is counted in a unit stays in pixels where the image has none."""
        self.stack_box.setCurrentIndex(_REACHES.index(settings.reach) if settings.reach in _REACHES else 0)
        self.unit_box.setCurrentIndex(1 if settings.unit == "physical" and self._unit else 0)
        self.neck_box.setValue(round(100 * settings.neck))
        self.size_box.setValue(settings.min_size)
        self.apart_box.setValue(settings.min_distance)

    def reach(self) -> Reach:
        """Return what an object can go through."""
        return _REACHES[max(int(self.stack_box.currentIndex()), 0)]

    def setImage(self, unit: str, area: float | None, volume: float | None, *, stack: bool) -> None:
        """Say what is known of the image.

        Parameters
        ----------
        unit
            Such as 'µm'; '' if not known.
        area, volume
            Of a pixel in that unit; None if not known.
        stack
            Whether it has several planes along Z.
        """
        known = bool(unit) and area is not None and (volume is not None or not stack)
        before = self._in_unit and known and unit == self._unit
        self._to_pixels()
        self._unit = unit if known else ""
        self._measures = (area or 1.0, volume or 1.0)
        self._side = math.sqrt(area or 1.0)
        self.unit_box.blockSignals(True)
        self.unit_box.clear()
        self.unit_box.addItems(["pixels", unit] if known else ["pixels"])
        self.unit_box.setCurrentIndex(1 if before else 0)
        self.unit_box.blockSignals(False)
        self.unit_box.setEnabled(known)
        self.unit_box.setToolTip(_UNIT_TIP if known else _NO_UNIT)
        for widget in (self.stack_box, self._stack_label):
            widget.setVisible(stack)
        self._on_unit()

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        rows = (
            (self._stack_label, self.stack_box),
            (QLabel("Count in"), self.unit_box),
            (QLabel("Drop objects under"), self.size_box),
            (QLabel("Centres apart by"), self.apart_box),
            (QLabel("Cut if narrower by"), self.neck_box),
        )
        for number, (label, box) in enumerate(rows):
            label.setBuddy(box)
            box.setAccessibleName(label.text())
            grid.addWidget(label, number, 0)
            grid.addWidget(box, number, 1)

    def _on_unit(self) -> None:
        wanted = bool(self._unit) and self.unit_box.currentIndex() == 1
        if wanted and not self._in_unit:
            self._in_unit = True
            self._scale(self._side, self._measure)
        elif not wanted:
            self._to_pixels()
        self._show_units()

    def _to_pixels(self) -> None:
        if self._in_unit:
            self._in_unit = False
            self._scale(1 / self._side, 1 / self._measure)

    @property
    def _measure(self) -> float:
        return self._measures[1 if self._is_volume else 0]

    @property
    def _is_volume(self) -> bool:
        return self.stack_box.isVisibleTo(self) and self.reach() == "z"

    def _scale(self, length: float, size: float) -> None:
        """Keep what is meant when it is counted in something else."""
        apart, least = self.apart_box.value() * length, self.size_box.value() * size
        self._show_units()
        self.apart_box.setValue(apart)
        self.size_box.setValue(least)

    def _show_units(self) -> None:
        power = "³" if self._is_volume else "²"
        unit = self._unit if self._in_unit else ""
        for box, suffix in ((self.apart_box, unit or "px"), (self.size_box, f"{unit}{power}" if unit else "px")):
            box.setSuffix(f" {suffix}")
        self.apart_box.setDecimals(_decimals(self._side) if unit else 0)
        self.size_box.setDecimals(_decimals(self._measure) if unit else 0)
        self.changed.emit()


def _decimals(pixel: float) -> int:
    """Return how many decimals tell a tenth of a pixel's length, area or volume, at least two."""
    return min(max(1 - math.floor(math.log10(pixel)), 2), 12) if 0 < pixel < 1 else 2


def _number(tip: str, largest: float) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(0, largest)
    box.setToolTip(tip)
    box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # not as wide as its largest number
    return box
