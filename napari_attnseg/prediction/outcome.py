"""What became of images that were to be predicted into files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from napari_attnseg.data.regions import Damage


@dataclass
class Outcome:
    """How many images were predicted, and a sentence about each one that is not as it should be."""

    written: int = 0
    kept: int = 0
    """Of images that had been predicted before, in the same way."""
    gaps: list[str] = field(default_factory=list)
    """Of images that were written or kept, with parts that could not be decoded."""
    failed: list[str] = field(default_factory=list)
    """Of images that could not be predicted."""

    @property
    def asked(self) -> int:
        """How many images were gone through."""
        return self.there + len(self.failed)

    @property
    def there(self) -> int:
        """How many images have a prediction now."""
        return self.written + self.kept


def gaps_in_words(image: str, gaps: Sequence[Damage]) -> str:
    """Say which parts of an image could not be decoded, of which there is at least one."""
    one = gaps[0]
    plane = f" of plane {one.plane + 1}" if one.plane else ""
    others = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
    return (
        f"{image} was predicted with gaps: the tile of rows {one.top} to {one.bottom - 1} and columns {one.left} "
        f"to {one.right - 1}{plane}{others} cannot be decoded, and is 0 in the mask and NaN in the probability. "
        f"Export the image again, then predict it again. {one.reason}"
    )
