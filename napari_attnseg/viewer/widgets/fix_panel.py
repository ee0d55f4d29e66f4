"""The correction helpers: what to work on, and buttons for what to do to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

_SCOPES = {"class": "this class", "plane": "all classes", "region": "object at cursor"}
_OBJECT_SCOPES = {"class": "this object number", "plane": "all objects", "region": "object at cursor"}
_PLANE_BUTTONS = (
    ("fill_holes", "Fill holes", "Fill background that is enclosed by an object."),
    (
        "keep_largest",
        "Keep largest",
        "Keep the largest piece and erase the smaller ones.\nWith 'object at cursor': keep that one.",
    ),
    ("remove_small", "Remove small", "Erase pieces with fewer pixels than 'Smallest' says."),
    ("smooth", "Smooth", "Round off ragged edges; 'Radius' says how much."),
    ("grow", "Grow", "Widen objects into the background by 'Radius' pixels; other classes keep theirs."),
    ("shrink", "Shrink", "Make objects narrower by 'Radius' pixels on all sides."),
)
_STACK_BUTTONS = (
    ("copy_previous", "previous", "Copy the mask of the plane before into this plane."),
    ("copy_next", "next", "Copy the mask of the plane after into this plane."),
    ("interpolate", "Interpolate", "Fill the empty planes between the painted plane before and the one after."),
)
_OPTIONS = {"remove_small": "min_pixels", "smooth": "radius", "grow": "radius", "shrink": "radius"}


@dataclass(frozen=True)
class FixOptions:
    """What is set in a `FixPanel`."""

    scope: str = "class"
    """'class' (the one to paint with), 'plane' (all of them) or 'region' (the object under the cursor)."""
    min_pixels: int = 20
    radius: int = 2
    tolerance: float | None = None
    """Of snap to intensity, 0 to 1; None to choose it by the image."""


class FixPanel(QWidget):
    """Buttons for corrections; each asks for one by its name."""

    requested = Signal(str, dict)
    """An operation, and its options: 'scope', and 'radius' or 'min_pixels' where it has them."""
    snapToggled = Signal(bool)
    """Whether a click on the image is to take the region of like intensity."""
    toleranceChanged = Signal(object)
    """The tolerance of snap to intensity, 0 to 1, or None for automatic."""
    undoAsked = Signal()
    redoAsked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tips: dict[str, str] = {}
        self.buttons: dict[str, QPushButton] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._make_scope())
        layout.addLayout(self._make_grid())
        layout.addLayout(self._make_sizes())
        layout.addWidget(self._make_stack())
        layout.addLayout(self._make_snap())
        self.setStack(False)
        self.setUndoEnabled(False)
        self.setRedoEnabled(False)
        self.setShortcuts({})

    def value(self) -> FixOptions:
        """Return what is set."""
        return FixOptions(
            str(self.scope_box.currentData()), self.size_box.value(), self.radius_box.value(), self._tolerance()
        )

    def setValue(self, options: FixOptions) -> None:
        """Set everything at once."""
        self.scope_box.setCurrentIndex(self.scope_box.findData(options.scope))
        self.size_box.setValue(options.min_pixels)
        self.radius_box.setValue(options.radius)
        if options.tolerance is not None:
            self.tolerance_slider.setValue(round(100 * options.tolerance))
        self.auto_box.setChecked(options.tolerance is None)

    def setStack(self, stack: bool) -> None:
        """Show what only a stack of planes needs, or hide it."""
        self._stack_part.setVisible(stack)

    def setObjects(self, numbered: bool) -> None:
        """Speak of numbered objects instead of classes."""
        for kind, text in (_OBJECT_SCOPES if numbered else _SCOPES).items():
            self.scope_box.setItemText(self.scope_box.findData(kind), text)

    def setUndoEnabled(self, enabled: bool) -> None:
        """Say whether there is a step to undo."""
        self.buttons["undo"].setEnabled(enabled)

    def setRedoEnabled(self, enabled: bool) -> None:
        """Say whether there is a step to do again."""
        self.buttons["redo"].setEnabled(enabled)

    def setSnap(self, on: bool) -> None:
        """Press or release the button of snap to intensity; `snapToggled` is emitted if that changes it."""
        self.buttons["snap"].setChecked(on)

    def setShortcuts(self, shortcuts: Mapping[str, str]) -> None:
        """Name in the tooltips the keys of operations: those of `requested`, 'undo', 'redo' and 'snap'."""
        for name, button in self.buttons.items():
            key = shortcuts.get(name)
            button.setToolTip(self._tips[name] + (f"\nKey: {key}" if key else ""))

    def _make_scope(self) -> QHBoxLayout:
        self.scope_box = QComboBox()
        for kind, text in _SCOPES.items():
            self.scope_box.addItem(text, kind)
        self.scope_box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.scope_box.setMinimumWidth(150)
        self.scope_box.setToolTip(
            "What the buttons below work on, in the plane that is shown.\n"
            "'Object at cursor' is the object that the mouse pointed at last."
        )
        self.scope_box.setAccessibleName("What corrections work on")
        undo = self._button("undo", "Undo", "Take back the last stroke or correction, in whichever plane it was.")
        redo = self._button("redo", "Redo", "Do again what was undone.")
        undo.clicked.connect(lambda: self.undoAsked.emit())
        redo.clicked.connect(lambda: self.redoAsked.emit())
        row = QHBoxLayout()
        row.addWidget(QLabel("Fix"))
        row.addWidget(self.scope_box, 1)
        row.addWidget(undo)
        row.addWidget(redo)
        return row

    def _make_grid(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(4)
        for number, (name, text, tip) in enumerate(_PLANE_BUTTONS):
            grid.addWidget(self._operation(name, text, tip), number // 3, number % 3)
        return grid

    def _make_sizes(self) -> QHBoxLayout:
        self.radius_box = _spin(1, 100, 2, "How far smoothing, growing and shrinking reach, in pixels.")
        self.size_box = _spin(1, 99_999, 20, "Pieces with fewer pixels than this are erased by 'Remove small'.")
        # napari makes such fields wide enough for four digits, which leaves too little for the others in the row
        self.radius_box.setStyleSheet("QSpinBox { min-width: 50px; }")
        row = QHBoxLayout()
        row.setSpacing(4)
        for text, box in (("Radius", self.radius_box), ("Smallest", self.size_box)):
            label = QLabel(text)
            label.setBuddy(box)
            row.addWidget(label)
            row.addWidget(box, 1)
        return row

    def _make_stack(self) -> QWidget:
        self._stack_part = QWidget()
        row = QHBoxLayout(self._stack_part)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(QLabel("Copy from"))
        for name, text, tip in _STACK_BUTTONS:
            row.addWidget(self._operation(name, text, tip), len(text))
        return self._stack_part

    def _make_snap(self) -> QHBoxLayout:
        snap = self._button("snap", "Snap to intensity", "Click on an object in the image to take all of it at once:\n"
                            "the connected region of like intensity around the click.")  # fmt: skip
        snap.setCheckable(True)
        snap.toggled.connect(self.snapToggled)
        self.auto_box = QCheckBox("auto")
        self.auto_box.setToolTip("Choose by the image how much intensities may differ.")
        self.tolerance_slider = QSlider(Qt.Orientation.Horizontal)
        self.tolerance_slider.setRange(1, 100)
        self.tolerance_slider.setValue(20)
        self.tolerance_slider.setMinimumWidth(60)
        self.tolerance_slider.setAccessibleName("Tolerance of snap to intensity")
        self.auto_box.toggled.connect(lambda auto: self.tolerance_slider.setEnabled(not auto))
        self.auto_box.setChecked(True)
        self.auto_box.toggled.connect(self._tell_tolerance)
        self.tolerance_slider.valueChanged.connect(self._tell_tolerance)
        self._show_tolerance()
        row = QHBoxLayout()
        row.addWidget(snap)
        row.addWidget(self.auto_box)
        row.addWidget(self.tolerance_slider, 1)
        return row

    def _button(self, name: str, text: str, tip: str) -> QPushButton:
        self._tips[name] = tip
        self.buttons[name] = QPushButton(text)
        return self.buttons[name]

    def _operation(self, name: str, text: str, tip: str) -> QPushButton:
        button = self._button(name, text, tip)
        button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        button.setMinimumWidth(button.fontMetrics().horizontalAdvance(text) + 12)
        button.clicked.connect(lambda: self.requested.emit(name, self._options(name)))
        return button

    def _options(self, name: str) -> dict[str, object]:
        options = self.value()
        extra = {_OPTIONS[name]: getattr(options, _OPTIONS[name])} if name in _OPTIONS else {}
        return {"scope": options.scope, **extra}

    def _tolerance(self) -> float | None:
        return None if self.auto_box.isChecked() else self.tolerance_slider.value() / 100

    def _tell_tolerance(self) -> None:
        self._show_tolerance()
        self.toleranceChanged.emit(self._tolerance())

    def _show_tolerance(self) -> None:
        self.tolerance_slider.setToolTip(f"How much intensities may differ: {self.tolerance_slider.value()} %")


def _spin(lowest: int, highest: int, value: int, tip: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(lowest, highest)
    box.setValue(value)
    box.setToolTip(tip)
    return box
