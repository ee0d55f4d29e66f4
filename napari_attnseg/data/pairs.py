"""Which mask belongs to which image, by their names.

`cell01.tiff` has its mask in `cell01_MASK.tiff`, in the same folder. The suffix matches in any case and the two
extensions may differ. Hidden files and what we write ourselves (`_PRED`, `_PROB`, `_ATTN`, `_OBJECTS`) are no images.
"""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_attnseg.errors import DataError
from napari_attnseg.wording import counted

TIFF_EXTENSIONS = (".ome.tiff", ".ome.tif", ".tiff", ".tif")
PREDICTION, PROBABILITY, ATTENTION, OBJECTS = "_PRED", "_PROB", "_ATTN", "_OBJECTS"
OUTPUT_SUFFIXES = (PREDICTION, PROBABILITY, ATTENTION, OBJECTS)


@dataclass(frozen=True)
class Pair:
    """An image and its mask, if it has one."""

    image: Path
    mask: Path | None

    @property
    def name(self) -> str:
        """The image's file name without its TIFF extension."""
        return stem_of(self.image)


@dataclass(frozen=True)
class Conflict:
    """Files whose names leave open which mask belongs to which image."""

    paths: tuple[Path, ...]
    message: str
    has_mask: bool
    """Whether a mask is concerned; if so the folder cannot be trained on."""


@dataclass(frozen=True)
class PairListing:
    """All images of a folder, with and without masks, sorted by path."""

    source: Path
    pairs: tuple[Pair, ...]
    unpaired_masks: tuple[Path, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    mask_suffix: str = "_MASK"

    @property
    def annotated(self) -> tuple[Pair, ...]:
        """The pairs that have a mask."""
        return tuple(pair for pair in self.pairs if pair.mask is not None)

    @property
    def unannotated(self) -> tuple[Pair, ...]:
        """The images without a mask."""
        return tuple(pair for pair in self.pairs if pair.mask is None)


def stem_of(path: Path) -> str:
    """Return a file's name without its TIFF extension: 'cell01' for `cell01.ome.tif`."""
    return path.name[: len(path.name) - len(extension_of(path))]


def extension_of(path: Path) -> str:
    """Return the TIFF extension as written, such as '.ome.TIF'; '' if the file is not named as a TIFF."""
    lower = path.name.lower()
    length = next((len(extension) for extension in TIFF_EXTENSIONS if lower.endswith(extension)), 0)
    return path.name[len(path.name) - length :] if length else ""


def mask_path(image: Path, mask_suffix: str = "_MASK") -> Path:
    """Return where a new mask of `image` goes: `cell01_MASK.tiff` for `cell01.tiff`."""
    return image.with_name(f"{stem_of(image)}{mask_suffix}{extension_of(image)}")


def output_path(image: Path, suffix: str, folder: Path) -> Path:
    """Return where an output of `image` goes: `folder/cell01_PRED.tiff` for `cell01.tiff`."""
    return folder / f"{stem_of(image)}{suffix}{extension_of(image) or '.tiff'}"


def find_pairs(source: Path, mask_suffix: str = "_MASK") -> PairListing:
    """List the images of a folder and its sub-folders, or one image, with their masks.

    Parameters
    ----------
    source
        A folder, or one TIFF file; of a mask, its image is taken.
    mask_suffix
        What is added to an image's name to name its mask, in any case.

    Raises
    ------
    DataError
        `source` does not exist, or is a file and no TIFF, or a mask without an image.
    """
    source = Path(source)
    if source.is_dir():
        return _match(source, sorted(_tiffs_below(source)), mask_suffix)
    if not source.exists():
        raise DataError(f"{source} does not exist; give a folder of TIFF images, or one TIFF image.")
    if not extension_of(source):
        raise DataError(f"{source} is not named as a TIFF (.tif, .tiff); give a folder of TIFF images, or one of them.")
    siblings = sorted(path for path in source.parent.iterdir() if _is_listed(path) and path.is_file())
    listing = _match(source, siblings, mask_suffix)
    pairs = tuple(pair for pair in listing.pairs if source in (pair.image, pair.mask))
    if not pairs and source in listing.unpaired_masks:
        raise DataError(f"{source.name} is a mask and its image is not in {source.parent}; give the image.")
    if not pairs:
        pairs = (Pair(source, None),)
    conflicts = tuple(item for item in listing.conflicts if source in item.paths or pairs[0].image in item.paths)
    return PairListing(source, pairs, (), conflicts, mask_suffix)


def require_annotated(listing: PairListing) -> tuple[Pair, ...]:
    """Return the pairs that have a mask, if it is clear which they are.

    Raises
    ------
    DataError
        There are no TIFF files, no images, no masks, or names that leave open what belongs together.
    """
    suffix, source = listing.mask_suffix, listing.source
    for conflict in listing.conflicts:
        if conflict.has_mask:
            raise DataError(conflict.message)
    if listing.annotated:
        return listing.annotated
    if not listing.pairs and not listing.unpaired_masks:
        raise DataError(f"There are no TIFF images (.tif, .tiff) in {source}; give the folder that holds your images.")
    if not listing.pairs:
        example = listing.unpaired_masks[0]
        expected = stem_of(example)[: -len(suffix)] + extension_of(example)
        raise DataError(
            f"{source} has {counted(len(listing.unpaired_masks), 'mask')} but no image; "
            f"{example.name} belongs to an image {expected} in the same folder."
        )
    image = listing.pairs[0].image
    others = f", and {counted(len(listing.unpaired_masks), 'mask')} of other names" if listing.unpaired_masks else ""
    raise DataError(
        f"No image in {source} has a mask: found {counted(len(listing.pairs), 'image')}{others}. "
        f"The mask of {image.name} is expected in {mask_path(image, suffix).name}, in the same folder."
    )


def _tiffs_below(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _is_skipped(name))
        yield from (path for path in (Path(root, name) for name in files) if _is_listed(path))


def _is_skipped(folder: str) -> bool:
    """Whether a folder holds no images: a hidden one, or the many files of a Zarr array."""
    return folder.startswith((".", "__MACOSX")) or folder.lower().endswith(".zarr")


def _is_listed(path: Path) -> bool:
    return not path.name.startswith(".") and bool(extension_of(path))


def _match(source: Path, files: Iterable[Path], mask_suffix: str) -> PairListing:
    suffix = mask_suffix.lower()
    outputs = tuple(item.lower() for item in OUTPUT_SUFFIXES if item.lower() != suffix)
    images: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    masks: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in files:
        stem = stem_of(path)
        if stem.lower().endswith(outputs):
            continue
        if stem.lower().endswith(suffix):
            masks[path.parent, _key(stem[: -len(suffix)])].append(path)
        else:
            images[path.parent, _key(stem)].append(path)
    _reunite_cases(images, masks)
    conflicts = list(_conflicts(images, masks))
    pairs = [
        Pair(image, _mask_of(image, group, masks.get(key, []))) for key, group in images.items() for image in group
    ]
    unpaired = [path for key, group in masks.items() if key not in images for path in group]
    pairs.sort(key=lambda pair: pair.image)
    return PairListing(source, tuple(pairs), tuple(sorted(unpaired)), tuple(conflicts), mask_suffix)


def _key(stem: str) -> str:
    """Names that look equal are equal: macOS stores accents apart from their letters."""
    return unicodedata.normalize("NFC", stem)


def _reunite_cases(images: dict[tuple[Path, str], list[Path]], masks: dict[tuple[Path, str], list[Path]]) -> None:
    """Let a mask whose image differs only in case, `Cell_mask.tif` of `cell.tif`, find it if it is the only one."""
    folded: dict[tuple[Path, str], list[tuple[Path, str]]] = defaultdict(list)
    for folder, stem in images:
        folded[folder, stem.casefold()].append((folder, stem))
    for key in [key for key in masks if key not in images]:
        candidates = folded.get((key[0], key[1].casefold()), [])
        if len(candidates) == 1 and candidates[0] not in masks:
            masks[candidates[0]] = masks.pop(key)


def _mask_of(image: Path, group: list[Path], masks: list[Path]) -> Path | None:
    """Choose among several the mask whose extension is the image's; of several images one gets the mask."""
    if not masks:
        return None
    extension = extension_of(image).lower()
    same = [path for path in masks if extension_of(path).lower() == extension]
    if len(group) > 1:
        return same[0] if same else None
    return (same or masks)[0]


def _conflicts(
    images: dict[tuple[Path, str], list[Path]], masks: dict[tuple[Path, str], list[Path]]
) -> Iterator[Conflict]:
    for key, group in images.items():
        found = masks.get(key, [])
        if len(found) > 1:
            message = f"{group[0].name} has {len(found)} masks, {_names(found)}; keep one of them in {key[0]}."
            yield Conflict((*group, *found), message, has_mask=True)
        if len(group) > 1:
            what = f" and share the mask {found[0].name}" if found else ", so that they would share one mask"
            message = f"{_names(group)} differ only in their extensions{what}; rename one of them in {key[0]}."
            yield Conflict((*group, *found), message, has_mask=bool(found))


def _names(paths: list[Path]) -> str:
    return " and ".join(path.name for path in paths)
