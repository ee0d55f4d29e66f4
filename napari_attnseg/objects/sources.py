"""Which files hold the masks or predictions that objects are made of, and which images belong to them."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from napari_attnseg.data.ome_zarr_image import SUFFIX, is_ome_zarr
from napari_attnseg.data.pairs import (
    PREDICTION,
    PROBABILITY,
    PairListing,
    extension_of,
    find_pairs,
    output_path,
    stem_of,
)
from napari_attnseg.errors import DataError

Take = Literal["masks", "predictions"]


@dataclass(frozen=True)
class Source:
    """A mask or a prediction, and what belongs to it."""

    labels: Path
    image: Path | None
    """None: it was not found, so that no intensities are measured."""
    probability: Path | None = None
    """NAME_PROB.tiff beside a prediction."""
    name: str = ""
    """The image's name without its extension."""
    title: str = ""
    """What the image is called in tables."""


def find_sources(
    data: Path, take: Take | None = None, *, images: Path | None = None, mask_suffix: str = "_MASK"
) -> tuple[list[Source], list[str]]:
    """List the masks or predictions of a folder and its sub-folders, or one of them.

    Parameters
    ----------
    data
        A folder, or a mask, a prediction, or an image that has one of them beside it.
    take
        What is taken where a folder holds both; None: masks, else predictions.
    images
        The folder of the images, where they do not lie beside; found by name, and by sub-folder where names repeat.
    mask_suffix
        What names a mask.

    Returns
    -------
    tuple
        The sources by path, and what the user should know, a sentence each.

    Raises
    ------
    DataError
        There is nothing to take, or `images` is no folder.
    """
    data = Path(data)
    if images is not None and not images.is_dir():
        raise DataError(f"{images} is no folder; give the folder that holds the images with --images.")
    if (data.is_file() or is_ome_zarr(data)) and _ends(data, PREDICTION):
        masks, predictions = [], [data]
    elif data.is_file() and _ends(data, mask_suffix):
        masks, predictions = [data], []
    else:
        listing = find_pairs(data, mask_suffix)
        masks = _masks(listing)
        predictions = sorted(_predictions(data)) if data.is_dir() else _prediction_beside(data)
    taken = take or ("masks" if masks else "predictions")
    notices = []
    if masks and predictions and take is None:
        notices.append(
            f"{data} holds {len(masks)} masks and {len(predictions)} predictions; the masks are taken "
            "(--take predictions takes the others)."
        )
    chosen = masks if taken == "masks" else predictions
    if not chosen:
        wanted = f"masks (NAME{mask_suffix}.tiff)" if taken == "masks" else f"predictions (NAME{PREDICTION}.tiff)"
        both = f"masks (NAME{mask_suffix}.tiff) and no predictions (NAME{PREDICTION}.tiff)" if take is None else wanted
        raise DataError(f"There are no {both} in {data}; to find objects in images, give a model with --model.")
    known = _images_by_name(images, mask_suffix) if images is not None else {}
    beside = {folder: _names_in(folder) for folder in {path.parent for path in chosen}} if images is None else {}
    suffix = mask_suffix if taken == "masks" else PREDICTION
    found = [_source(path, suffix, data, images, known, beside) for path in chosen]
    called = titles([one.name for one in found], chosen, data)
    found = [replace(one, title=title) for one, title in zip(found, called, strict=True)]
    without = sum(one.image is None for one in found)
    if without:
        hint = "" if images is not None else "; --images names the folder that holds them"
        notices.append(f"The images of {without} of {len(found)} {taken} were not found, so that no intensities "
                       f"are measured in them{hint}.")  # fmt: skip
    return found, notices


def titles(names: Sequence[str], files: Sequence[Path], data: Path) -> list[str]:
    """Return what images are called in tables: their names, after their folders below `data` where names repeat."""
    often = Counter(names)
    return [
        name if often[name] == 1 else (file.parent.relative_to(data) / name).as_posix()
        for name, file in zip(names, files, strict=True)
    ]


def _masks(listing: PairListing) -> list[Path]:
    for conflict in listing.conflicts:
        if conflict.has_mask:
            raise DataError(conflict.message)
    return sorted([*(pair.mask for pair in listing.annotated if pair.mask is not None), *listing.unpaired_masks])


def _predictions(folder: Path) -> Iterator[Path]:
    """Yield the predictions of a folder and its sub-folders, TIFF files and OME-Zarr folders."""
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        stored = [name for name in folders if is_ome_zarr(Path(root, name))]
        folders[:] = [name for name in folders if name not in stored]  # of thousands of files
        names = [name for name in files if not name.startswith(".")] + stored
        yield from (path for path in (Path(root, name) for name in names) if _ends(path, PREDICTION))


def _prediction_beside(image: Path) -> list[Path]:
    wanted = f"{stem_of(image)}{PREDICTION}".casefold()
    large = image.with_name(f"{stem_of(image)}{PREDICTION}{SUFFIX}")
    return [path for name, path in _names_in(image.parent).items() if name == wanted] or [large] * is_ome_zarr(large)


def _ends(path: Path, suffix: str) -> bool:
    named = bool(extension_of(path)) or is_ome_zarr(path)
    return named and label_stem(path).lower().endswith(suffix.lower())


def label_stem(path: Path) -> str:
    """Return a file's name without its extension, or a folder's without '.ome.zarr'."""
    return path.name[: -len(SUFFIX)] if path.name.lower().endswith(SUFFIX) else stem_of(path)


def _images_by_name(folder: Path, mask_suffix: str) -> dict[str, list[Path]]:
    found = defaultdict(list)
    for pair in find_pairs(folder, mask_suffix).pairs:
        found[pair.name.casefold()].append(pair.image)
    return found


def _names_in(folder: Path) -> dict[str, Path]:
    """Return the TIFF files of a folder by their names without extension, in lower case; the first one of a name."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if extension_of(path) and path.is_file():
            found.setdefault(stem_of(path).casefold(), path)
    return found


def _source(
    labels: Path,
    suffix: str,
    data: Path,
    images: Path | None,
    known: dict[str, list[Path]],
    beside: dict[Path, dict[str, Path]],
) -> Source:
    stem = label_stem(labels)[: -len(suffix)]
    if images is None:
        image = beside[labels.parent].get(stem.casefold())
    else:
        image = _image_below(images, labels, stem, data, known.get(stem.casefold(), []))
    if is_ome_zarr(labels):
        probability = labels.with_name(f"{stem}{PROBABILITY}{SUFFIX}")
    else:
        probability = output_path(labels.with_name(stem + extension_of(labels)), PROBABILITY, labels.parent)
    has_probability = suffix == PREDICTION and (probability.is_file() or is_ome_zarr(probability))
    return Source(labels, image, probability if has_probability else None, stem)


def _image_below(images: Path, labels: Path, stem: str, data: Path, candidates: list[Path]) -> Path | None:
    """Choose the image at the same place below `images`, else the only one of the name."""
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    place = labels.parent.relative_to(data) if data.is_dir() else Path()
    same = [path for path in candidates if path.parent == images / place]
    if len(same) == 1:
        return same[0]
    raise DataError(
        f"{len(candidates)} images below {images} are named {stem}, so that it is not clear which one "
        f"{labels.name} belongs to; give a folder with one of them."
    )
