"""What the check of the folder found, in a line that unfolds, and how masks are read."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QEvent, Qt, QUrl, Signal
from qtpy.QtGui import QPalette, QResizeEvent
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStyle,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.report import Finding
from napari_attnseg.viewer.widgets.findings_text import (
    FOLD,
    convention_text,
    count_text,
    findings_html,
    is_ambiguous,
    path_of_link,
)

TALLEST = 260
_MODES = {
    "auto": "as found",
    "binary": "one class",
    "classes": "several classes",
    "instances": "numbered objects",
}
_MODE_TIP = (
    "What the numbers in the mask files mean. 'As found' decides by the values of the whole folder; choose another "
    "meaning if it decided wrongly."
)


class Findings(QWidget):
    """One line on the state of the folder, with the sentences of the check below it when asked for."""

    opened = Signal(object)
    """The file (Path), an image or a mask, whose name was clicked."""
    modeChosen = Signal(str)
    """How masks are to be read: 'auto', 'binary', 'classes' or 'instances'."""
    checkAsked = Signal()
    """The folder is to be looked through again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._findings: tuple[Finding, ...] = ()
        self._convention: MaskConvention | None = None
        self._unfolded: set[str] = set()
        self._checked = False
        self._make_header()
        self._make_modes()
        self.text = QTextBrowser()
        self.text.setOpenLinks(False)
        self.text.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.text.setAccessibleName("Findings in this folder")
        self.text.anchorClicked.connect(self._follow)
        self.again_button = QPushButton("Check again")
        self.again_button.setToolTip("Look through all images and masks of the folder again.")
        self.again_button.clicked.connect(lambda: self.checkAsked.emit())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._header)
        layout.addWidget(self.progress)
        layout.addWidget(self._mode_part)
        layout.addWidget(self.text)
        layout.addWidget(self.again_button)
        self._show()

    def setBusy(self, done: int, total: int) -> None:
        """Show that the folder is being looked through, `done` of `total` images so far."""
        self.progress.setVisible(True)
        self.progress.setRange(0, total)  # without a total it moves to and fro
        self.progress.setValue(done)
        self.label.setText(f"Looking through the folder… {done} of {total}" if total else "Looking through the folder…")
        self.icon.hide()
        self.again_button.setEnabled(False)

    def setFindings(self, findings: Sequence[Finding], convention: MaskConvention | None) -> None:
        """Show what a check found, the most severe first, and how it read the masks (None if it could not)."""
        self._findings, self._convention = tuple(findings), convention
        self._unfolded.clear()
        self._checked = True
        self.show_button.setChecked(self.show_button.isChecked() and bool(findings))
        self._show()

    def findings(self) -> tuple[Finding, ...]:
        """Return what is shown."""
        return self._findings

    def clear(self) -> None:
        """Show that nothing was checked yet."""
        self._findings, self._convention, self._checked = (), None, False
        self.show_button.setChecked(False)
        self._show()

    def mode(self) -> str:
        """Return how masks are to be read: 'auto', 'binary', 'classes' or 'instances'."""
        return str(self.mode_box.currentData())

    def setMode(self, mode: str) -> None:
        """Choose how masks are to be read; emits nothing."""
        self.mode_box.setCurrentIndex(self.mode_box.findData(mode))

    def setExpanded(self, expanded: bool) -> None:
        """Show the sentences, or fold them away."""
        self.show_button.setChecked(expanded)

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        # links carry their colour in the text
        if event is not None and event.type() == QEvent.Type.StyleChange and hasattr(self, "text"):
            self._show_text()

    def _make_header(self) -> None:
        self.icon = QLabel()
        self.label = QElidingLabel()
        self.label.setElideMode(Qt.TextElideMode.ElideRight)
        self.show_button = QPushButton("Show")
        self.show_button.setCheckable(True)
        self.show_button.setToolTip("Show or hide what the check of the folder found.")
        self.show_button.toggled.connect(self._show)
        self._header = QWidget()
        row = QHBoxLayout(self._header)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.icon)
        row.addWidget(self.label, 1)
        row.addWidget(self.show_button)
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(8)

    def _make_modes(self) -> None:
        self.mode_box = QComboBox()
        self.mode_box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for mode, text in _MODES.items():
            self.mode_box.addItem(text, mode)
        self.mode_box.setToolTip(_MODE_TIP)
        self.mode_box.setAccessibleName("How masks are read")
        # activated, not changed: only what the user did
        self.mode_box.activated.connect(lambda _: self.modeChosen.emit(self.mode()))
        self.mode_text = QLabel()
        self.mode_text.setWordWrap(True)
        self._mode_part = QWidget()
        layout, row = QVBoxLayout(self._mode_part), QHBoxLayout()
        layout.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("Masks hold"))
        row.addWidget(self.mode_box, 1)
        layout.addLayout(row)
        layout.addWidget(self.mode_text)

    def _show(self) -> None:
        expanded = self.show_button.isChecked()
        self.progress.hide()
        self.label.setText(count_text(self._findings) if self._checked else "Not checked yet")
        self.label.setToolTip(f"{self.label.text()}: what the check of the folder found.")
        self._show_icon()
        self.show_button.setText("Hide" if expanded else "Show")
        self.show_button.setVisible(self._checked)
        self.again_button.setVisible(expanded)
        self.again_button.setEnabled(True)
        # a question is not to be folded away
        self._mode_part.setVisible(expanded or is_ambiguous(self._findings))
        sentence = convention_text(self._findings, self._convention)
        self.mode_text.setText(sentence)
        self.mode_text.setVisible(bool(sentence))
        kind = _MODES.get(self._convention.kind) if self._convention else None
        self.mode_box.setItemText(0, f"as found: {kind}" if kind else "as found")
        self.text.setVisible(expanded and bool(self._listed()))
        self._show_text()

    def _show_icon(self) -> None:
        icons = {
            "error": QStyle.StandardPixmap.SP_MessageBoxCritical,
            "warning": QStyle.StandardPixmap.SP_MessageBoxWarning,
            "note": QStyle.StandardPixmap.SP_MessageBoxInformation,
        }
        worst = next((level for level in icons if any(item.severity == level for item in self._findings)), None)
        self.icon.setVisible(worst is not None)
        if worst is not None:
            size = self.fontMetrics().height()
            self.icon.setPixmap(self.style().standardIcon(icons[worst]).pixmap(size, size))

    def _listed(self) -> list[Finding]:
        """Return the findings but the one that stands beside the chooser already."""
        sentence = self.mode_text.text()
        return [finding for finding in self._findings if finding.message != sentence]

    def _show_text(self) -> None:
        link = self.text.palette().color(QPalette.ColorRole.Text).name()
        place = self.text.verticalScrollBar().value()
        self.text.setHtml(findings_html(self._listed(), self._unfolded, {"link": link}))
        self._fit()
        self.text.verticalScrollBar().setValue(place)

    def _fit(self) -> None:
        """Make the text as high as it is long, up to a limit."""
        document = self.text.document()
        document.setTextWidth(max(self.width() - 2 * document.documentMargin() - 20, 100))
        self.text.setFixedHeight(min(int(document.size().height()) + 14, TALLEST))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._fit()

    def _follow(self, url: QUrl) -> None:
        link = bytes(url.toEncoded()).decode()
        path = path_of_link(link)
        if path is not None:
            self.opened.emit(path)
        elif link.startswith(FOLD):
            self._unfolded ^= {link.removeprefix(FOLD)}
            self._show_text()
