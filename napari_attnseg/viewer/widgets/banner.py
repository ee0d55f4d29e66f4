"""Sentences that the user should see until they are settled."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QWidget


class Banner(QLabel):
    """A coloured strip with a sentence for each matter; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._told: dict[str, str] = {}
        self.setWordWrap(True)
        self.setStyleSheet("QLabel { border-left: 4px solid #e08a1e; padding: 4px 8px; }")
        self.hide()

    def tell(self, matter: str, sentence: str) -> None:
        """Show a sentence on a matter until there is another one on it, or ''."""
        self._told[matter] = sentence
        self.setText("\n".join(filter(None, self._told.values())))
        self.setVisible(bool(self.text()))
