"""Which mask belongs to which image, by patterns of their names, given or guessed.

A pattern is a path relative to the folder of the image, or to the source, with `{name}` for the image's name. `*`, `?`
and `**/` stand for what they do elsewhere, and `.*` at the end for any extension of an image. Upper and lower case are
the same.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

from napari_attnseg.data.importers.item import LeftOut
from napari_attnseg.data.importers.listing import READABLE, extension, stem, walk

NAME = "{name}"
ANY = ".*"
ALL_IMAGES = NAME + ANY
_WORDS = ("mask", "masks", "seg", "segmentation", "label", "labels", "gt", "groundtruth", "annotation", "manual")
_FOLDERS = {
    *_WORDS, "annotations", "annotated", "ground", "ground_truth", "ground-truth", "ground truth", "gts", "labelstr",
    "labelsts", "segmentations", "segmentationclass", "segmentationobject", "targets", "1st_manual",
}  # fmt: skip
_IMAGE_WORDS = ("image", "images", "img", "im", "volume", "raw", "src", "source", "orig", "original", "scan")
_SEPARATORS = ("_", "-", ".")
_MASK_WORD = re.compile(rf"(?<![a-z])(?:{'|'.join(_WORDS)})(?![a-z])")


@dataclass(frozen=True)
class Matching:
    """The images of a folder with their masks."""

    images: str
    masks: str | None
    """The pattern of the masks; None if none was found."""
    pairs: tuple[tuple[Path, Path | None], ...]
    unpaired: tuple[Path, ...] = ()
    """Files that are named as masks, without an image."""
    unclear: tuple[LeftOut, ...] = ()
    """Images for which the pattern finds several masks."""
    skipped: tuple[Path, ...] = ()
    """Files that neither pattern matches."""

    @property
    def annotated(self) -> int:
        """How many images have a mask."""
        return sum(mask is not None for _, mask in self.pairs)


@dataclass(frozen=True)
class Tree:
    """The images and masks below a folder, by their paths relative to it in lower case."""

    root: Path
    files: dict[str, Path] = field(default_factory=dict)
    bare: dict[str, str] = field(default_factory=dict)
    """The same paths without extension."""
    by_stem: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    twins: list[LeftOut] = field(default_factory=list)
    """Files whose names differ from another's in nothing but upper and lower case."""
    unreadable: list[LeftOut] = field(default_factory=list)
    """Folders that may not be read."""
    others: list[Path] = field(default_factory=list)
    """Files of other extensions."""

    @classmethod
    def of(cls, root: Path, extensions: Iterable[str] = READABLE) -> Tree:
        """List the files of these extensions."""
        tree, wanted = cls(root), set(extensions)
        for _, files in walk(root, tree.unreadable):
            for path in files:
                if extension(path) in wanted:
                    tree._add(path)
                else:
                    tree.others.append(path)
        return tree

    def _add(self, path: Path) -> None:
        relative = path.relative_to(self.root).as_posix().casefold()
        if relative in self.files:
            other = self.files[relative].name
            self.twins.append(
                LeftOut(path, f"{path.name} and {other} differ only in upper and lower case; rename one.")
            )
            return
        self.files[relative] = path
        self.bare[relative] = relative[: len(relative) - len(extension(path))]
        self.by_stem[self.bare[relative]].append(relative)


def match(tree: Tree, images: str, masks: str, *, only_images: bool = True) -> Matching:
    """Pair the files of a tree by patterns.

    Parameters
    ----------
    tree
        The files.
    images
        Which files are images, relative to the source; without a slash in any folder. `{name}` in it is the part of the
        name that the masks' pattern takes; without it that is the whole name without extension.
    masks
        The pattern of the masks, with `{name}`.
    only_images
        Leave files out that neither pattern matches; else they are images without a mask.
    """
    images, masks = images.casefold(), masks.casefold()
    name_of, find, named_as_mask = _namer(tree, images), _finder(tree, masks), _mask_test(tree, masks)
    found: dict[str, list[str]] = {}
    others, skipped = [], []
    for relative in tree.files:
        name = name_of(relative)
        if named_as_mask(relative):
            others.append(relative)
        elif name is not None:
            found[relative] = sorted(set(find(relative, name)) - {relative})
        elif not only_images:
            found[relative] = []
        else:
            skipped.append(relative)
    taken = {mask for masks_of_one in found.values() for mask in masks_of_one}
    kept = {relative: masks_of_one for relative, masks_of_one in found.items() if relative not in taken}
    pairs = [
        (tree.files[relative], tree.files[one[0]] if one else None) for relative, one in kept.items() if len(one) < 2
    ]
    unclear = [_several(tree, relative, several) for relative, several in kept.items() if len(several) > 1]
    unpaired = tuple(tree.files[relative] for relative in others if relative not in taken)
    left = tuple(tree.files[relative] for relative in skipped if relative not in taken)
    return Matching(images, masks, tuple(pairs), unpaired, tuple(unclear), left)


def _several(tree: Tree, image: str, masks: list[str]) -> LeftOut:
    path, named = tree.files[image], " and ".join(tree.files[mask].name for mask in masks)
    return LeftOut(path, f"{path.name} has {len(masks)} masks, {named}; keep one of them, or name it with --masks.")


def guess(tree: Tree, images: str | None = None) -> Matching:
    """Try the usual names of masks and return the pairing by which the most images have one."""
    best: Matching | None = None
    for image_pattern, mask_pattern in _usual(tree):
        if images is not None and image_pattern != ALL_IMAGES:
            continue
        found = match(tree, images or image_pattern, mask_pattern, only_images=images is not None)
        if found.annotated > (best.annotated if best else 0):
            best = found
            if found.annotated == len(found.pairs) and not found.unpaired and not found.unclear:
                break
    if best is not None:
        return best
    pattern = (images or ALL_IMAGES).casefold()
    name_of = _namer(tree, pattern)
    pairs = tuple((path, None) for relative, path in tree.files.items() if name_of(relative) is not None)
    skipped = tuple(path for relative, path in tree.files.items() if name_of(relative) is None)
    return Matching(pattern, None, pairs, skipped=skipped)


def look_like_masks(tree: Tree, matching: Matching) -> list[Path]:
    """Return the images without a mask whose name, or folder, has a word for masks that no image with a mask has."""
    images = [path.relative_to(tree.root) for path, mask in matching.pairs if mask is not None]
    words = {word for path in images for word in _MASK_WORD.findall(stem(path).casefold())}
    folders = {folder for path in images for folder in path.parents}

    def looks_like_mask(path: Path) -> bool:
        named = set(_MASK_WORD.findall(stem(path).casefold())) - words
        return bool(named) or any(one.name.casefold() in _FOLDERS for one in path.parents if one not in folders)

    return [path for path, mask in matching.pairs if mask is None and looks_like_mask(path.relative_to(tree.root))]


def _usual(tree: Tree) -> Iterator[tuple[str, str]]:
    """Yield patterns of images and masks, of those words only that occur in the tree."""
    folders = sorted({part for relative in tree.files for part in relative.split("/")[:-1] if part in _FOLDERS})
    stems = {stem(path).casefold() for path in tree.files.values()}
    words = [word for word in _WORDS if any(word in text for text in stems)]
    places = [*(f"{up}{folder}/" for folder in folders for up in ("../", "")), ""]
    for place in places:
        if place:
            yield ALL_IMAGES, f"{place}{ALL_IMAGES}"
        for word in words:
            for separator in _SEPARATORS:
                yield ALL_IMAGES, f"{place}{NAME}{separator}{word}{ANY}"
                yield ALL_IMAGES, f"{place}{word}{separator}{NAME}{ANY}"
        for image_word in (item for item in _IMAGE_WORDS if any(item in text for text in stems)):
            for word in words:
                yield f"{image_word}{NAME}{ANY}", f"{place}{word}{NAME}{ANY}"
                yield f"{NAME}{image_word}{ANY}", f"{place}{NAME}{word}{ANY}"
            if place:
                for separator in _SEPARATORS:
                    yield f"{NAME}{separator}{image_word}{ANY}", f"{place}{NAME}{ANY}"
        if place and any(text.endswith("_0000") for text in stems):
            yield f"{NAME}_0000{ANY}", f"{place}{NAME}{ANY}"  # as nnU-Net numbers the channels of an image


def _namer(tree: Tree, images: str) -> Callable[[str], str | None]:
    """Return what gives the `{name}` of an image by its path; None for a path that the pattern does not match."""
    if images == ALL_IMAGES:
        return lambda relative: posixpath.basename(tree.bare[relative])
    wanted = _regex(images)

    def name_of(relative: str) -> str | None:
        text = tree.bare[relative] if images.endswith(ANY) else relative
        found = wanted.fullmatch(text if "/" in images else posixpath.basename(text))
        if found is None:
            return None
        return found.group("name") if NAME in images else posixpath.basename(tree.bare[relative])

    return name_of


def _finder(tree: Tree, masks: str) -> Callable[[str, str], Iterator[str]]:
    """Return what gives the files that a pattern of masks means for an image, by its path and `{name}`."""

    @cache
    def targets(folder: str) -> tuple[str, ...]:
        """Return the pattern from the image's folder on and from the source on."""
        return tuple({posixpath.normpath(posixpath.join(base, masks)) for base in (folder, "")})

    def find(image: str, name: str) -> Iterator[str]:
        for target in targets(posixpath.dirname(image)):
            any_extension, text = target.endswith(ANY), target.removesuffix(ANY)
            if "*" in text or "?" in text:
                wanted = _regex(target, name)
                texts = tree.bare.items() if any_extension else ((relative, relative) for relative in tree.files)
                yield from (relative for relative, text in texts if wanted.fullmatch(text))
            elif any_extension:
                yield from tree.by_stem.get(text.replace(NAME, name), ())
            elif (filled := text.replace(NAME, name)) in tree.files:
                yield filled

    return find


def _mask_test(tree: Tree, masks: str) -> Callable[[str], bool]:
    """Return the test whether a path is named as a mask, wherever its image would be."""
    pattern = re.sub(r"^(\.{1,2}/)+", "", masks)
    if pattern in (NAME, ALL_IMAGES):
        return lambda relative: False  # every file is named like that
    wanted = _regex(f"**/{pattern}")
    if pattern.endswith(ANY):
        return lambda relative: wanted.fullmatch(tree.bare[relative]) is not None
    return lambda relative: wanted.fullmatch(relative) is not None


@lru_cache(maxsize=256)
def _regex(pattern: str, name: str | None = None) -> re.Pattern[str]:
    """Translate a pattern; `.*` at its end is left to the caller, who strips the extension."""
    parts = []
    for token in re.findall(r"\*\*/|\{name\}|.", pattern.removesuffix(ANY), re.DOTALL):
        if token == NAME and name is not None:
            parts.append(re.escape(name))
        elif token == NAME:
            parts.append("(?P<name>[^/]+)" if "(?P<name>[^/]+)" not in parts else "(?P=name)")
        else:
            parts.append({"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}.get(token, re.escape(token)))
    return re.compile("".join(parts), re.DOTALL)
