"""Where the parts of a prediction go, and what of an earlier one may not stay beside a new one."""

from __future__ import annotations

from pathlib import Path

import tifffile

from napari_attnseg.data.decode import DECODING_ERRORS
from napari_attnseg.data.ome_zarr_image import SUFFIX, is_ome_zarr
from napari_attnseg.data.pairs import output_path, stem_of
from napari_attnseg.data.write import SOFTWARE
from napari_attnseg.errors import DataError
from napari_attnseg.prediction.gaps import gaps_path
from napari_attnseg.prediction.origin import Origin
from napari_attnseg.prediction.working_store import KINDS, remove


def target_of(image: Path, kind: str, folder: Path, *, as_tiff: bool) -> Path:
    """Return where a part of a prediction goes: `folder/NAME_PRED.tiff`, or `folder/NAME_PRED.ome.zarr`."""
    return output_path(image, kind, folder) if as_tiff else folder / f"{stem_of(image)}{kind}{SUFFIX}"


def remove_others(image: Path, folder: Path, written: list[Path], *, as_tiff: bool, has_gaps: bool = False) -> None:
    """Remove the parts of an earlier prediction that a new one has not: they would be taken for its own.

    Parameters
    ----------
    written
        The parts of the new prediction.
    has_gaps
        Whether the note on gaps is of the new prediction too.

    Raises
    ------
    DataError
        One cannot be removed; the new prediction is written.
    """
    parts = [target_of(image, kind, folder, as_tiff=as_tiff) for kind in KINDS]
    others = [path for path in parts if path not in written and is_ours(path)]
    if as_tiff and not has_gaps:
        others.append(gaps_path(parts[0]))
    for path in others:
        try:
            remove(path)
        except OSError as error:
            raise DataError(
                f"{path.name} is of an earlier prediction and cannot be removed ({error.strerror}); remove it, or it "
                f"will be taken for a part of the new one ({path})."
            ) from error


def is_ours(path: Path) -> bool:
    """Whether there is a file of that name that we wrote, and not the user."""
    if is_ome_zarr(path):
        return Origin.read(path) is not None
    try:
        with tifffile.TiffFile(path) as tif:
            return tif.pages.first.software == SOFTWARE
    except (OSError, *DECODING_ERRORS):
        return False
