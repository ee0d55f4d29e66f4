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

from napari_attnseg.data.file_state import state_of
from napari_attnseg.data.ome_zarr import NOTE
from napari_attnseg.data.regions import Damage
from napari_attnseg.data.tiff_note import read_note
from napari_attnseg.errors import ModelFileError
from napari_attnseg.settings import PredictionSettings

__all__ = ["Origin", "digest_of", "state_of"]

_SAME_RESULT = {"device", "batch_size", "tile_by_tile", "format", "probability", "attention"}
"""Settings that do not change what a model says of an image."""
_COMPUTING = {"tile_size", "precision"}
"""Settings that change it so little that nobody sees it."""


@dataclass(frozen=True)
class Origin:
    """Which model, which image, and how."""

    model: str = field(compare=False)
    """The name of the model file."""
    digest: str
    """SHA-256 of the model file."""
    image: str
    """The name of the image file."""
    state: tuple[int, int]
    """Its size in bytes, and when it was changed, in nanoseconds."""
    settings: dict[str, Any]
    """Prediction settings that matter for the result."""
    computing: dict[str, Any] = field(default_factory=dict)
    """Prediction settings that hardly matter; whoever gives other ones expects them to be taken all the same."""
    gaps: tuple[Damage, ...] = field(default=(), compare=False)
    """Parts of the image that could not be decoded; known once all is predicted."""

    @classmethod
    def of(cls, model: Path, image: Path, settings: PredictionSettings, digest: str = "") -> Self:
        """Return what a prediction would be made of now.

        Parameters
        ----------
        digest
            What `digest_of` returned for the model before it was loaded; '': of the file as it is now.

        Raises
        ------
        DataError, ModelFileError
            The image or the model cannot be read any more.
        """
        values = settings.model_dump(mode="json", exclude=_SAME_RESULT | _COMPUTING)
        computing = settings.model_dump(mode="json", include=_COMPUTING)
        return cls(model.name, digest or digest_of(model), image.name, state_of(image), values, computing)

    @classmethod
    def read(cls, place: Path) -> Self | None:
        """Read what a TIFF or an OME-Zarr folder of ours says; None if it is none, or does not say."""
        try:
            if place.is_dir():
                values = json.loads((place / "zarr.json").read_text(encoding="utf-8"))["attributes"][NOTE]
            else:
                values = json.loads(read_note(place))
            gaps = tuple(Damage(**gap) for gap in values.pop("gaps"))
            return cls(**{**values, "state": (int(values["state"][0]), int(values["state"][1]))}, gaps=gaps)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
            return None

    def to_json(self, gaps: Sequence[Damage] = ()) -> dict[str, Any]:
        """Return it as it is noted."""
        return {**asdict(self), "gaps": [asdict(gap) for gap in gaps]}

    def as_text(self) -> str:
        """Return it as it is noted in a TIFF, in ASCII."""
        return json.dumps(self.to_json(self.gaps))


def digest_of(model: Path) -> str:
    """Return the SHA-256 of a model file.

    Raises
    ------
    ModelFileError
        It cannot be read.
    """
    try:
        with model.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelFileError(f"The model {model} cannot be read any more ({error.strerror}).") from error
