"""How the images of a folder are read, and what the view keeps from one image to the next."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLabel, QLineEdit, QSizePolicy, QVBoxLayout, QWidget

from napari_attnseg.annotation.folder.entries import FolderChoices
from napari_attnseg.data.axes import KNOWN_AXES

_OFFERED = ("YX", "ZYX", "TYX", "CYX", "YXS", "ZCYX", "CZYX", "ZYXS", "TZYX", "TCYX", "TZCYX")
_AXES_TIP = (
    "Which axis of the array is what, a letter each, in the order of its shape: T time, Z depth, C channel, Y row, "
    "X column, S red, green and blue. Choose them only if the file says it wrongly."
)
_SUFFIX_TIP = "What is added to an image's name to name its mask: 'cell01.tiff' has its mask in 'cell01_MASK.tiff'."


@dataclass(frozen=True)
class ViewOptions:
    """What stays as it is when another image is shown."""

    keep_zoom: bool = False
    keep_contrast: bool = False


class FolderSettings(QWidget):
    """A small form; a wrong entry is explained below it and changes nothing."""

    changed = Signal(object)
    """The choices (`FolderChoices`) after a valid edit by the user."""
    viewChanged = Signal(object)
    """The view options (`ViewOptions`) after a click."""
    ownReaderToggled = Signal(bool)
    """Whether napari is to open TIFFs and folders with this plugin."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._value = FolderChoices()
        self._make_axes()
        self.suffix_field = QLineEdit()
        self.suffix_field.setToolTip(_SUFFIX_TIP)
        self.suffix_field.editingFinished.connect(self._take)
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        self.problem.hide()
        self.zoom_box = self._check("Keep the zoom", "Show the next image at the same place and zoom.")
        self.contrast_box = self._check("Keep the contrast", "Show the next image with the same contrast limits.")
        for box in (self.zoom_box, self.contrast_box):
            box.clicked.connect(lambda: self.viewChanged.emit(self.viewOptions()))
        self.reader_box = self._check(
            "Open TIFFs and folders with napari-attnseg",
            "Let napari open every TIFF with this plugin without asking, so that the mask comes with its image, and "
            "every folder, so that its images are listed here.\n.zarr folders, and what you have chosen another reader "
            "for, stay with their readers. Untick it to drop folders of other kinds on napari.",
        )
        self.reader_box.clicked.connect(self.ownReaderToggled)
        self._lay_out()
        self.setValue(FolderChoices())

    def value(self) -> FolderChoices:
        """Return the choices, as they were last valid."""
        return self._value

    def setValue(self, choices: FolderChoices) -> None:
        """Show other choices; emits nothing."""
        self._value = choices
        if choices.axes is None:
            self.axes_box.setCurrentIndex(0)
        elif choices.axes in _OFFERED:
            self.axes_box.setCurrentIndex(1 + _OFFERED.index(choices.axes))
        else:
            self.axes_box.setEditText(choices.axes)
        self.suffix_field.setText(choices.mask_suffix)
        self._say("")

    def setDetected(self, axes: str | None) -> None:
        """Show what the file that is open says its axes are; None if none is open."""
        was_detected = self.axes_box.currentText() == self.axes_box.itemText(0)
        self.axes_box.setItemText(0, f"as the file says ({axes})" if axes else "as the file says")
        if was_detected:
            self.axes_box.setEditText(self.axes_box.itemText(0))

    def viewOptions(self) -> ViewOptions:
        """Return what stays as it is when another image is shown."""
        return ViewOptions(self.zoom_box.isChecked(), self.contrast_box.isChecked())

    def setViewOptions(self, options: ViewOptions) -> None:
        """Show other view options; emits nothing."""
        self.zoom_box.setChecked(options.keep_zoom)
        self.contrast_box.setChecked(options.keep_contrast)

    def ownReader(self) -> bool:
        """Return whether napari is to open TIFFs and folders with this plugin."""
        return bool(self.reader_box.isChecked())

    def setOwnReader(self, own: bool) -> None:
        """Show whether napari opens TIFFs and folders with this plugin; emits nothing."""
        self.reader_box.setChecked(own)

    def _make_axes(self) -> None:
        self.axes_box = QComboBox()
        self.axes_box.setEditable(True)
        self.axes_box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.axes_box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.axes_box.setMinimumContentsLength(8)
        self.axes_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.axes_box.addItem("as the file says")
        self.axes_box.addItems(list(_OFFERED))
        self.axes_box.setToolTip(_AXES_TIP)
        field = self.axes_box.lineEdit()
        field.setAccessibleName("Axes of the images")
        field.editingFinished.connect(self._take)
        self.axes_box.activated.connect(self._take)

    def _check(self, text: str, tip: str) -> QCheckBox:
        box = QCheckBox(text)
        box.setToolTip(tip)
        return box

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Axes", self.axes_box)
        form.addRow("Mask suffix", self.suffix_field)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        for widget in (self.problem, self.zoom_box, self.contrast_box, self.reader_box):
            layout.addWidget(widget)

    def _take(self) -> None:
        text, suffix = self.axes_box.currentText().strip(), self.suffix_field.text().strip()
        axes = None if not text or text == self.axes_box.itemText(0) else text.upper()
        sentence = problem_with_axes(axes) or problem_with_suffix(suffix)
        self._say(sentence or "")
        if sentence:
            return
        choices = FolderChoices(axes, suffix, self._value.mask_values)
        if choices != self._value:
            self.setValue(choices)
            self.changed.emit(choices)

    def _say(self, sentence: str) -> None:
        self.problem.setText(sentence)
        self.problem.setVisible(bool(sentence))


def problem_with_axes(axes: str | None) -> str | None:
    """Return a sentence on what is wrong with axes, or None; whether they fit a file shows when it is read."""
    if axes is None or (set(axes) <= set(KNOWN_AXES) and len(set(axes)) == len(axes) and {"Y", "X"} <= set(axes)):
        return None
    return (
        f"'{axes}' does not name axes: write each of T, Z, C, Y, X and S at most once, with Y and X among them, "
        "such as ZYX."
    )


def problem_with_suffix(suffix: str) -> str | None:
    """Return a sentence on what is wrong with the suffix of masks, or None."""
    if not suffix:
        return "Masks need a suffix, such as _MASK; without one they could not be told from images."
    if set(suffix) & set('/\\:*?"<>|'):
        return f"'{suffix}' cannot be part of a file name; write letters, digits, - or _, such as _MASK."
    return None
