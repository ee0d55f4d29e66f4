"""How probabilities become objects, and how these are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

_THRESHOLD_TIP = (
    "Pixels whose probability is above this become foreground.\nLower: more and larger objects. Higher: only sure ones."
)
_NO_THRESHOLD = "A model of several classes takes the most probable class at each pixel, so that there is no threshold."
_SIZE_TIP = "Objects of fewer pixels than this are dropped; 0 keeps all of them."
_HOLES_TIP = "Fill background that is enclosed by an object."
_IN_FILES = (
    "\nAn image of this size is tidied when its files are written: set this, then press Predict;\nwhat is predicted "
    "already is predicted anew."
)
_NO_PROBABILITY = "The files of this prediction hold no probability, so that no other threshold can be applied."


@dataclass(frozen=True)
class OverlayOptions:
    """What is set in `ThresholdControls`."""

    threshold: float = 0.5
    """0.01 to 0.99, in steps of 0.01."""
    min_size: int = 0
    """Objects of fewer pixels are dropped."""
    fill_holes: bool = False
    contours: bool = False
    """Draw outlines instead of areas."""
    opacity: float = 0.5
    """0.05 to 1, in steps of 0.01."""


class ThresholdControls(QWidget):
    """Threshold, smallest object, holes, outlines and opacity; each change is told at once."""

    changed = Signal(object)
    """OverlayOptions, while a slider moves too; not emitted by `setValue`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._setting = False
        self.threshold_slider = _slider(1, 99, "Threshold", _THRESHOLD_TIP)
        self.threshold_box = QDoubleSpinBox()
        self.threshold_box.setDecimals(2)
        self.threshold_box.setRange(0.01, 0.99)
        self.threshold_box.setSingleStep(0.01)
        self.threshold_box.setToolTip(_THRESHOLD_TIP)
        self.threshold_box.setAccessibleName("Threshold as a number")
        self.size_box = QSpinBox()
        self.size_box.setRange(0, 999_999)
        self.size_box.setSuffix(" px")
        self.size_box.setToolTip(_SIZE_TIP)
        self.size_box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.holes_box = QCheckBox("Fill holes")
        self.holes_box.setToolTip(_HOLES_TIP)
        self.contours_box = QCheckBox("Contours")
        self.contours_box.setToolTip("Draw the outlines of objects instead of areas.")
        self.opacity_slider = _slider(5, 100, "Opacity", "How strongly the prediction covers the image.")
        self._lay_out()
        self.setValue(OverlayOptions())
        self._connect()

    def value(self) -> OverlayOptions:
        """Return what is set."""
        return OverlayOptions(
            self.threshold_slider.value() / 100,
            int(self.size_box.value()),
            bool(self.holes_box.isChecked()),
            bool(self.contours_box.isChecked()),
            self.opacity_slider.value() / 100,
        )

    def setValue(self, options: OverlayOptions) -> None:
        """Set everything at once; emits nothing."""
        self._setting = True
        self.threshold_slider.setValue(round(100 * options.threshold))
        self.threshold_box.setValue(options.threshold)
        self.size_box.setValue(options.min_size)
        self.holes_box.setChecked(options.fill_holes)
        self.contours_box.setChecked(options.contours)
        self.opacity_slider.setValue(round(100 * options.opacity))
        self._setting = False

    def setThresholdUsed(self, used: bool) -> None:
        """Say whether the model has a threshold: those of several classes have none."""
        for widget in (self.threshold_slider, self.threshold_box):
            widget.setEnabled(used)
            widget.setToolTip(_THRESHOLD_TIP if used else _NO_THRESHOLD)

    def setInFiles(self, in_files: bool, *, has_probability: bool = True) -> None:
        """Say whether the prediction is in files because its image is large; to be called after `setThresholdUsed`."""
        self.size_box.setToolTip(_SIZE_TIP + _IN_FILES * in_files)
        self.holes_box.setToolTip(_HOLES_TIP + _IN_FILES * in_files)
        if not has_probability:
            for widget in (self.threshold_slider, self.threshold_box):
                widget.setEnabled(False)
                widget.setToolTip(_NO_PROBABILITY)

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        self.threshold_box.setStyleSheet("QDoubleSpinBox { min-width: 70px; }")  # napari's own width is for six digits
        grid.addWidget(_label("Threshold", self.threshold_slider), 0, 0)
        grid.addWidget(self.threshold_slider, 0, 1)
        grid.addWidget(self.threshold_box, 0, 2)
        grid.addWidget(_label("Opacity", self.opacity_slider), 1, 0)
        grid.addWidget(self.opacity_slider, 1, 1, 1, 2)
        sizes = QHBoxLayout()
        sizes.setSpacing(8)
        sizes.addWidget(_label("Drop objects under", self.size_box))
        sizes.addWidget(self.size_box, 1)
        ticks = QHBoxLayout()
        ticks.addWidget(self.holes_box)
        ticks.addWidget(self.contours_box)
        ticks.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(grid)
        layout.addLayout(sizes)
        layout.addLayout(ticks)

    def _connect(self) -> None:
        self.threshold_slider.valueChanged.connect(self._on_slider)
        self.threshold_box.valueChanged.connect(lambda value: self.threshold_slider.setValue(round(100 * value)))
        self.size_box.valueChanged.connect(lambda _: self._tell())
        self.opacity_slider.valueChanged.connect(lambda _: self._tell())
        for box in (self.holes_box, self.contours_box):
            box.toggled.connect(lambda _: self._tell())

    def _on_slider(self, value: int) -> None:
        self.threshold_box.setValue(value / 100)
        self._tell()

    def _tell(self) -> None:
        if not self._setting:
            self.changed.emit(self.value())


def _slider(lowest: int, highest: int, name: str, tip: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(lowest, highest)
    slider.setPageStep(5)
    slider.setMinimumWidth(70)
    slider.setToolTip(tip)
    slider.setAccessibleName(name)
    return slider


def _label(text: str, buddy: QWidget) -> QLabel:
    label = QLabel(text)
    label.setBuddy(buddy)
    label.setToolTip(buddy.toolTip())
    return label
