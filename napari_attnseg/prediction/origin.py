"""What a prediction was made of, noted in what is written, so that it is not taken for another one's.

The viewer reads it, and so PyTorch is not needed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from napari_attnseg.data.ome_zarr import NOTE
from napari_attnseg.data.regions import Damage
from napari_attnseg.errors import DataError, ModelFileError
from napari_attnseg.settings import PredictionSettings

_SAME_RESULT = {"device", "batch_size", "tile_by_tile", "format", "probability", "attention", "tile_size", "precision"}
"""Settings that do not change what a model says of an image, or so little that nobody sees it."""


@dataclass(frozen=True)
class Origin:
    """Which model, which image, and how."""

    model: str
    """The name of the model file."""
    digest: str
    """SHA-256 of the model file."""
    image: str
    """The name of the image file."""
    state: tuple[int, int]
    """Its size in bytes, and when it was changed, in nanoseconds."""
    settings: dict[str, Any]
    """Prediction settings that matter for the result."""
    gaps: tuple[Damage, ...] = field(default=(), compare=False)
    """Parts of the image that could not be decoded; known once all is predicted."""

    @classmethod
    def of(cls, model: Path, image: Path, settings: PredictionSettings) -> Self:
        """Return what a prediction would be made of now.

        Raises
        ------
        DataError, ModelFileError
            The image or the model cannot be read any more.
        """
        try:
            with model.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelFileError(f"The model {model} cannot be read any more ({error.strerror}).") from error
        values = settings.model_dump(mode="json", exclude=_SAME_RESULT)
        return cls(model.name, digest, image.name, state_of(image), values)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read what an OME-Zarr folder of ours says; None if it is none, or does not say."""
        try:
            values = json.loads((folder / "zarr.json").read_text(encoding="utf-8"))["attributes"][NOTE]
            gaps = tuple(Damage(**gap) for gap in values.pop("gaps"))
            return cls(**{**values, "state": (int(values["state"][0]), int(values["state"][1]))}, gaps=gaps)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
            return None

    def to_json(self, gaps: Sequence[Damage] = ()) -> dict[str, Any]:
        """Return it as it is noted."""
        return {**asdict(self), "gaps": [asdict(gap) for gap in gaps]}


def state_of(image: Path) -> tuple[int, int]:
    """Return the size of an image file in bytes, and when it was changed.

    Raises
    ------
    DataError
        It is gone.
    """
    try:
        status = image.stat()
    except OSError as error:
        raise DataError(f"{image} cannot be read any more ({error.strerror}).") from error
    return status.st_size, status.st_mtime_ns
