"""What became of images that were to be predicted into files."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """How many images were predicted, and a sentence about each one that is not as it should be."""

    written: int = 0
    gaps: list[str] = field(default_factory=list)
    """Of images that were written, with parts that could not be decoded."""
    failed: list[str] = field(default_factory=list)
    """Of images that could not be predicted."""

    @property
    def asked(self) -> int:
        """How many images were gone through."""
        return self.written + len(self.failed)
