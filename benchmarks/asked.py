"""What is asked of the benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.images import SAMPLES
from napari_attnseg.models.starter_models import model_path


@dataclass(frozen=True)
class Asked:
    """The options of `benchmarks.run`; each part takes what it has a use for."""

    rounds: int
    """How often what is measured in turns is measured."""
    threads: int
    """To compute on, for everyone."""
    minutes: tuple[float, ...]
    """After which F1 is looked at, in ascending order."""
    sides: tuple[int, ...]
    """Of the large images, in ascending order; the first is the one whose speed is measured."""
    peers: tuple[str, ...]
    """Names of those to compare with; () are all."""
    data: Path | None
    """A folder of annotated images in the folders `train` and `val` (or `valid`)."""
    chosen_model: Path | None

    @property
    def train(self) -> Path:
        """The images to learn from: those of `data`, else the samples."""
        return (self.data or SAMPLES) / "train"

    @property
    def valid(self) -> Path:
        """Annotated images that nothing is learnt from."""
        folder = self.data or SAMPLES
        names = ("val", "valid", "test")
        return next((folder / name for name in names if (folder / name).is_dir()), folder)

    @property
    def model(self) -> Path:
        """A trained model of RGB images: the one given, else the one that comes with the program."""
        return self.chosen_model or model_path("nuclei")
