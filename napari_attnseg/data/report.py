"""What a check of a folder found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.info import ImageInfo
from napari_attnseg.data.mask_values import MaskValues
from napari_attnseg.data.pairs import PairListing
from napari_attnseg.wording import counted

Severity = Literal["error", "warning", "note"]
MOST_NAMED = 4


@dataclass(frozen=True)
class Finding:
    """One thing that the user should know, in a sentence that names the file."""

    severity: Severity
    """'error': training cannot start; 'warning': look at it; 'note': good to know."""
    path: Path
    """The file, or the folder if it concerns several files."""
    code: str
    """A short name of the kind of finding, such as 'shape-mismatch'."""
    message: str


@dataclass(frozen=True)
class Report:
    """All findings, the most severe first, and what was understood of the folder."""

    source: Path
    findings: tuple[Finding, ...]
    summary: tuple[str, ...]
    """A few lines on images and masks."""
    convention: MaskConvention | None
    """What the mask values mean; None if they contradict each other or there are none."""
    listing: PairListing | None
    """None if the source could not be listed."""
    stopped: bool = False
    """Whether it was stopped before all files were read."""

    @property
    def ok(self) -> bool:
        """Whether training could start."""
        return not self.stopped and all(finding.severity != "error" for finding in self.findings)

    def count(self, severity: Severity) -> int:
        """Return the number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)


@dataclass
class Seen:
    """What has been read so far."""

    source: Path
    images: dict[Path, ImageInfo] = field(default_factory=dict)
    masks: dict[Path, MaskValues] = field(default_factory=dict)
    hashes: dict[str, Path] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, severity: Severity, path: Path, code: str, message: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(severity, path, code, message))

    def name(self, path: Path) -> str:
        """Name a file within the source, with its folder if it is not directly in it."""
        return path.relative_to(self.source).as_posix() if path.is_relative_to(self.source) else path.name


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Order findings by severity, then kind, then file."""
    order = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(findings, key=lambda item: (order[item.severity], item.code, item.path)))


def summarise(listing: PairListing, seen: Seen, convention: MaskConvention | None) -> tuple[str, ...]:
    """Say in a few lines what images and masks there are."""
    annotated = len(listing.annotated)
    lines = [f"{counted(len(listing.pairs), 'image')} in {listing.source}, {annotated} with a mask."]
    if seen.images:
        lines.append(f"Images: {_images_text(list(seen.images.values()))}.")
    if seen.masks:
        lines.append(f"Masks: {_masks_text(list(seen.masks.values()), convention)}.")
    return tuple(lines)


def names_text(paths: Iterable[Path]) -> str:
    """Name files for a message, the first few of many."""
    names = [path.name for path in paths]
    if len(names) <= MOST_NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED} more"


def _images_text(infos: list[ImageInfo]) -> str:
    channels = sorted({"RGB" if info.is_rgb else counted(info.channels, "channel") for info in infos})
    types = sorted({info.dtype for info in infos})
    sizes = sorted({(info.height, info.width) for info in infos}, key=lambda size: size[0] * size[1])
    size = f"{sizes[0][0]} x {sizes[0][1]}"
    if len(sizes) > 1:
        size += f" to {sizes[-1][0]} x {sizes[-1][1]}"
    text = f"{' or '.join(channels)}, {' or '.join(types)}, {size} pixels (y x x)"
    planes = sorted(info.n_planes for info in infos)
    if planes[-1] > 1:
        text += f", {planes[0]} to {planes[-1]} planes each" if planes[0] < planes[-1] else f", {planes[0]} planes each"
    return text


def _masks_text(masks: list[MaskValues], convention: MaskConvention | None) -> str:
    pixels = sum(mask.shape[0] * mask.shape[1] * mask.shape[2] for mask in masks)
    share = 100 * sum(mask.foreground for mask in masks) / max(1, pixels)
    empty = sum(mask.is_empty for mask in masks)
    kinds = {"binary": "foreground and background", "instances": "numbered objects, read as foreground"}
    kind = "not clear what their values mean"
    if convention is not None:
        kind = kinds.get(convention.kind, f"{convention.n_classes} classes ({', '.join(convention.class_names)})")
    text = f"{kind}; {share:.3g} % of the pixels are annotated as {'an object' if share else 'anything'}"
    return f"{text}; {empty} of {len(masks)} {'is' if empty == 1 else 'are'} empty" if empty else text
