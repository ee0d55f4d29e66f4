"""Which parts of a prediction are gaps, kept beside it: in the mask they look like background."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from napari_attnseg.data.atomic import write_json
from napari_attnseg.data.ome_zarr_image import is_ome_zarr
from napari_attnseg.data.pairs import stem_of
from napari_attnseg.data.regions import Damage
from napari_attnseg.prediction.origin import Origin


def gaps_path(prediction: Path) -> Path:
    """Return where the gaps of a TIFF are noted: `NAME_PRED_gaps.json`; OME-Zarr has them in its attributes."""
    return prediction.with_name(f"{stem_of(prediction)}_gaps.json")


def write_gaps(prediction: Path, gaps: Sequence[Damage]) -> None:
    """Note the gaps of a TIFF.

    Raises
    ------
    SaveError
        The note cannot be written.
    """
    write_json(gaps_path(prediction), {"gaps": [asdict(gap) for gap in gaps]})


def gaps_of(prediction: Path) -> tuple[Damage, ...]:
    """Return the gaps of a prediction; none if nothing is noted."""
    if is_ome_zarr(prediction):
        origin = Origin.read(prediction)
        return () if origin is None else origin.gaps
    try:
        values = json.loads(gaps_path(prediction).read_text(encoding="utf-8"))
        return tuple(Damage(**gap) for gap in values["gaps"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()
