"""Small data sets in the layouts in which they are published, and what an import of them is asked."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import tifffile
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from napari_attnseg.cli import main
from napari_attnseg.data.classes import find_classes
from napari_attnseg.data.masks import decide_convention, read_mask, survey_masks
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.tiff import read_image

GREYS = np.array([0, 63, 126, 189, 252], np.uint8)
"""What CHAOS writes for background, liver, right kidney, left kidney and spleen."""


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """Write an image by Pillow, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_slice(
    path: Path,
    pixels: np.ndarray,
    *,
    number: int = 1,
    position: Sequence[float] | None = (0, 0, 0),
    orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
    spacing: tuple[float, float] = (1.25, 1.5),
    rescale: tuple[float, float] | None = None,
    series: str | None = None,
    photometric: str = "MONOCHROME2",
    bits: int = 16,
) -> Path:
    """Write a DICOM slice of 16 bits, of which `bits` are used."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    data.Modality, data.InstanceNumber = "MR", number
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, photometric
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, bits, bits - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelSpacing, data.SliceThickness = list(spacing), 5.5
    if position is not None:
        data.ImagePositionPatient, data.ImageOrientationPatient = list(position), list(orientation)
    if series is not None:
        data.SeriesInstanceUID = series
    if rescale is not None:
        data.RescaleSlope, data.RescaleIntercept = rescale
    data.PixelData = pixels.astype("<u2" if pixels.dtype.kind == "u" else "<i2").tobytes()
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def write_volume(path: Path, values: np.ndarray, affine: np.ndarray | None, unit: str | None = "mm") -> Path:
    """Write a NIfTI volume (X, Y, Z)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, affine, dtype=values.dtype)
    if unit:
        image.header.set_xyzt_units(unit)
    nibabel.save(image, path)
    return path


def chaos_volume(planes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return an image uint16 and class ids uint8 (z, y, x), no two planes alike."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 1200, (planes, 12, 10)).astype(np.uint16)
    labels = np.zeros((planes, 12, 10), np.uint8)
    for number in range(1, 5):
        labels[:, 2 * number, 1 : 2 + number] = number
    labels[np.arange(planes), 0, np.arange(planes)] = 1
    return image, labels


def write_t2(subject: Path, image: np.ndarray, labels: np.ndarray) -> None:
    """Write a subject's T2SPIR series as CHAOS does; names go the other way than positions."""
    count = len(image)
    for z in range(count):
        name = f"IMG-0002-{count - z:05d}"
        write_slice(
            subject / "T2SPIR" / "DICOM_anon" / f"{name}.dcm",
            image[z],
            number=count - z,
            position=(-100, -120, 7.5 * z - 40),
        )
        write_png(subject / "T2SPIR" / "Ground" / f"{name}.png", GREYS[labels[z]])


def run_import(*arguments: str | Path) -> int:
    """Run the command."""
    return main(["import", *map(str, arguments)])


def report(destination: Path) -> list[dict[str, str]]:
    """Read `import-report.csv`."""
    with (destination / "import-report.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def imported(destination: Path) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Read all pairs as a training would: pixels (plane, channel, y, x) and class ids (plane, y, x), by name."""
    pairs = find_pairs(destination).pairs
    masks = [pair.mask for pair in pairs if pair.mask]
    convention = decide_convention(survey_masks(masks), find_classes(destination))
    found = {}
    for pair in pairs:
        image = read_image(pair.image)
        found[pair.name] = (image.pixels, read_mask(pair.mask, convention, image.info) if pair.mask else None)
    return found


def stored(path: Path) -> np.ndarray:
    """Read a TIFF as it is, and see that it is compressed."""
    with tifffile.TiffFile(path) as tif:
        assert tif.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        return tif.asarray()
