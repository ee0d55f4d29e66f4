"""Writing: samples as pairs of TIFF files, and the names of the classes beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tifffile

from sample_data.abdomen import CLASSES
from sample_data.sample import Sample


def write_sample(sample: Sample, folder: Path, name: str) -> None:
    """Write `name.tiff` and `name_MASK.tiff`, without a date or the name of the software: the same bytes each time."""
    path = folder / f"{name}.tiff"
    path.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"metadata": None, "compression": "zlib", "software": False, **sample.tiff}
    tifffile.imwrite(path, sample.image, predictor=True, **options)
    tifffile.imwrite(path.with_name(f"{path.stem}_MASK.tiff"), sample.mask, **(options | {"photometric": "minisblack"}))


def write_classes(folder: Path) -> None:
    """Write the `classes.json` of the organs."""
    (folder / "organs" / "classes.json").write_text(json.dumps(CLASSES) + "\n", encoding="utf-8")
