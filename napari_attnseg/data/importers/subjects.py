"""What the images of a folder become: names that are told apart in one folder, and say whose they are.

An image keeps its name where no other has it. Else the names of the folders that differ are put in front. Where folders
or names say of whom the images of volumes are, as in `<subject>/t1.nii.gz` and `t1/<subject>.nii.gz`, both become
`<subject>__t1`, so that the images of one subject can be held out together.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_attnseg.data.importers.listing import stem

SLICES_OF_ONE = "(.*)_z[0-9]+$"
"""What slices of one stack have in common, so that they are held out together."""
IMAGES_OF_ONE = "^(.+?)(?:__.*|_z[0-9]+)$"
"""What images of one subject have in common."""
_OF = "__"
_MODALITIES = {
    "t1", "t1w", "t1c", "t1ce", "t1gd", "t1n", "t1in", "t1out", "t1dual", "t2", "t2w", "t2f", "t2star", "t2spir",
    "spir", "flair", "pd", "pdw", "dwi", "adc", "dti", "swi", "asl", "dce", "bold", "inphase", "outphase", "ct", "cta",
    "cbct", "mr", "mri", "mra", "pet", "suv", "spect", "us", "pre", "post", "gd", "ce", "dapi", "hoechst", "gfp", "rfp",
    "yfp", "cfp", "cy3", "cy5", "fitc", "tritc", "bf", "brightfield", "dic", "phase", "ch",
}  # fmt: skip
_SPLITS = {
    "train", "training", "tr", "imagestr", "val", "valid", "validation", "test", "testing", "ts", "imagests", "images",
    "stage", "fold",
}  # fmt: skip
_NUMBERED = {"ch", "stage", "fold"}


@dataclass(frozen=True)
class Names:
    """What images become, relative to the destination and without extension."""

    names: tuple[str, ...]
    are_of_subjects: bool = False
    """Whether `IMAGES_OF_ONE` finds in them whose they are."""


@dataclass(frozen=True)
class _Place:
    """Where an image lies."""

    stem: str
    folders: tuple[str, ...]
    """Below the folder that all images have in common."""
    differing: tuple[str, ...]
    """Those of its folders in which images differ, by their depth; '' where it has none."""


def names_of(images: Sequence[Path], top: Path, *, are_volumes: bool, kept: Mapping[Path, str] | None = None) -> Names:
    """Name the images of a folder.

    Parameters
    ----------
    images
        Files below `top`.
    top
        The folder that they have in common; folders below it stay folders.
    are_volumes
        Whether they are volumes, of which a subject often has several; photographs in one folder seldom belong to one.
    kept
        What some of them became in an earlier import, which stays.
    """
    places = _places(images, top)
    of_subjects = _of_subjects(places, are_volumes)
    own = of_subjects or _told_apart(places)
    kept = kept or {}
    taken = {name.rpartition("/")[2].casefold() for name in kept.values()}
    names = []
    for image, place, name in zip(images, places, own, strict=True):
        free = "_".join((*place.folders, place.stem)) if name.casefold() in taken else name
        names.append(kept.get(image) or "/".join((*place.folders, free)))
    return Names(tuple(names), bool(of_subjects))


def _places(images: Sequence[Path], top: Path) -> list[_Place]:
    folders = [image.parent.relative_to(top).parts for image in images]
    depth = max(map(len, folders), default=0)
    padded = [(*parts, *[""] * (depth - len(parts))) for parts in folders]
    differ = [level for level in range(depth) if len({parts[level] for parts in padded}) > 1]
    return [
        _Place(stem(image), parts, tuple(all_parts[level] for level in differ))
        for image, parts, all_parts in zip(images, folders, padded, strict=True)
    ]


def _repeated(places: Sequence[_Place]) -> set[str]:
    """Return the names, in lower case, that images of several folders have."""
    folders = defaultdict(set)
    for place in places:
        folders[place.stem.casefold()].add(place.folders)
    return {name for name, found in folders.items() if len(found) > 1}


def _told_apart(places: Sequence[_Place]) -> list[str]:
    """Put folders in front of the names that occur several times."""
    repeated = _repeated(places)
    return [
        "_".join(filter(None, (*place.differing, place.stem))) if place.stem.casefold() in repeated else place.stem
        for place in places
    ]


def _of_subjects(places: Sequence[_Place], are_volumes: bool) -> list[str]:
    """Return `<subject>__<image>` for each image; nothing where it is not known whose they are."""
    repeated = _repeated(places)
    if not repeated:
        return _by_prefix(places) if are_volumes else []
    if 2 * sum(place.stem.casefold() in repeated for place in places) < len(places):
        return []  # most names are an image's own, and some are the same by chance
    levels = list(zip(*(place.differing for place in places), strict=True))
    kinds = [_kind({name for name in level if name}) for level in levels]
    splits, modalities = ([i for i, kind in enumerate(kinds) if kind == wanted] for wanted in ("split", "modality"))
    if "other" not in kinds:
        return [_name(place, splits, modalities, is_subject=True) for place in places] if modalities else []
    subject = kinds.index("other")
    if not are_volumes and len({name for name in levels[subject] if name}) < len({place.stem for place in places}):
        return []  # few folders of many photographs each
    rest = [level for level in range(len(kinds)) if level != subject and level not in splits]
    return [_name(place, [*splits, subject], rest, is_subject=False) for place in places]


def _by_prefix(places: Sequence[_Place]) -> list[str]:
    """Return names for images whose names begin with a folder's and go on with a modality, as in `s1/s1_t1`."""
    names = []
    for place in places:
        begins = (name for name in place.differing if name and place.stem.casefold().startswith(name.casefold()))
        subject = next(begins, None)
        rest = place.stem[len(subject) :] if subject else ""
        if subject is None or rest[:1] not in tuple("_-. ") or not any(map(_is_modality, _words(rest))):
            return []
        names.append(f"{_plain(subject)}{_OF}{_plain(rest[1:])}")
    return names


def _name(place: _Place, subject: Sequence[int], rest: Sequence[int], *, is_subject: bool) -> str:
    """Join the folders at these depths, and the image's own name as a subject's or as what is the subject's."""
    whose = [place.differing[level] for level in subject] + [place.stem] * is_subject
    what = [place.differing[level] for level in rest] + [place.stem] * (not is_subject)
    return _OF.join(filter(None, ("_".join(map(_plain, filter(None, part))) for part in (whose, what))))


def _kind(names: set[str]) -> str:
    """Say whether folders are parts of a data set, kinds of images, or other things, such as subjects."""
    if all(all(map(_is_split, _words(name))) for name in names):
        return "split"
    return "modality" if all(all(map(_is_modality, _words(name))) for name in names) else "other"


def _is_split(word: str) -> bool:
    return word in _SPLITS or word.rstrip("0123456789") in _SPLITS & _NUMBERED


def _is_modality(word: str) -> bool:
    return word in _MODALITIES or word.rstrip("0123456789") in _MODALITIES & _NUMBERED


def _words(name: str) -> list[str]:
    return re.findall("[a-z0-9]+", name.casefold()) or [name]


def _plain(name: str) -> str:
    """Return a name without what stands between a subject and its image."""
    return re.sub("_{2,}", "_", name).strip("_") or name
