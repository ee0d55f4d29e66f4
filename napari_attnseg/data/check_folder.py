"""Checks of a folder as a whole: names, channels, groups, and what the values of its masks mean."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from napari_attnseg.data.classes import find_classes
from napari_attnseg.data.convention import MaskConvention, decide_convention, values_text
from napari_attnseg.data.loading import network_channels
from napari_attnseg.data.pairs import PairListing, mask_path, require_annotated
from napari_attnseg.data.report import Seen, names_text
from napari_attnseg.data.split import groups_of
from napari_attnseg.errors import DataError
from napari_attnseg.settings import DataSettings
from napari_attnseg.wording import counted


def check_names(listing: PairListing, seen: Seen) -> None:
    try:
        require_annotated(listing)
    except DataError as error:
        if not any(conflict.has_mask for conflict in listing.conflicts):
            seen.add("error", listing.source, "no-pairs", str(error))
    for conflict in listing.conflicts:
        seen.add("error" if conflict.has_mask else "warning", conflict.paths[0], "ambiguous-name", conflict.message)
    for path in listing.unpaired_masks:
        message = f"{path.name} is a mask without an image and is left out; add its image, or rename it ({path})."
        seen.add("warning", path, "unpaired-mask", message)
    missing = listing.unannotated
    if missing and listing.annotated:
        first = missing[0].image
        seen.add(
            "note",
            listing.source,
            "no-mask",
            f"{counted(len(missing), 'image')} without a mask: {names_text(pair.image for pair in missing)}. "
            f"The mask of {first.name} would be {mask_path(first, listing.mask_suffix).name}.",
        )


def check_channels(listing: PairListing, settings: DataSettings, seen: Seen) -> None:
    """Check that all images can go into one network."""
    by_channels: dict[int, list[Path]] = defaultdict(list)
    by_type: dict[str, list[Path]] = defaultdict(list)
    annotated = {pair.image for pair in listing.annotated}
    for path, info in seen.images.items():
        by_channels[network_channels(info, settings)].append(path)
        by_type[info.dtype].append(path)
    if len(by_channels) > 1:
        mixed = sum(bool(annotated.intersection(paths)) for paths in by_channels.values()) > 1
        rgb = set(by_channels) == {1, 3} and all(seen.images[path].is_rgb for path in by_channels[3])
        advice = "Set channels to 'grey', or separate them." if rgb else "Put each kind into a folder of its own."
        found = "; ".join(_have(paths, counted(number, "channel")) for number, paths in sorted(by_channels.items()))
        message = f"The images differ in their number of channels: {found}. {advice}"
        seen.add("error" if mixed else "warning", listing.source, "mixed-channels", message)
    if len(by_type) > 1:
        found = "; ".join(_have(paths, name) for name, paths in sorted(by_type.items()))
        message = f"The images differ in their number type: {found}. Each is scaled by its own intensities."
        if settings.normalisation == "dtype":
            message = f"The images differ in their number type: {found}. Each is scaled by the range of its type."
        seen.add("note", listing.source, "mixed-types", message)


def check_groups(listing: PairListing, settings: DataSettings, seen: Seen) -> None:
    """Check that something can be held out."""
    if not listing.annotated:
        return
    try:
        groups = groups_of(listing.annotated, settings.group_pattern)
    except DataError as error:
        seen.add("error", listing.source, "group-pattern", str(error))
        return
    if len(groups) == 1 and settings.val is None and settings.val_fraction > 0:
        only = listing.annotated[0].image
        what = "All images are one group"
        if len(listing.annotated) == 1:
            what = f"{only.name} is the only image with a mask"
        message = f"{what}; nothing can be held out, so that the model will not be measured. Annotate a second one."
        seen.add("note", listing.source, "nothing-held-out", message)


def check_masks(listing: PairListing, settings: DataSettings, seen: Seen) -> MaskConvention | None:
    """Decide what the values of the masks mean; note empty masks and those unlike the others."""
    if not seen.masks:
        return None
    for path, mask in seen.masks.items():
        if mask.is_empty:
            message = f"{path.name} is empty: no pixel is annotated. That is fine if the image shows nothing to find."
            seen.add("note", path, "empty-mask", message)
        elif mask.foreground == mask.shape[0] * mask.shape[1] * mask.shape[2]:
            message = f"{path.name} has no background: every pixel is annotated. Check that it is a mask."
            seen.add("warning", path, "full-mask", message)
    white = [path for path, mask in seen.masks.items() if mask.min_is_white]
    if white:
        one = len(white) == 1
        message = (
            f"{counted(len(white), 'mask')} {'shows' if one else 'show'} 0 as white (MinIsWhite): {names_text(white)}. "
            "The stored numbers count, so that what looks black is the object; if that is wrong, invert them."
        )
        seen.add("warning", white[0] if one else listing.source, "white-is-zero", message)
    if all(mask.is_empty for mask in seen.masks.values()):
        names = names_text(seen.masks)
        one = len(seen.masks) == 1
        what = "The mask is" if one else "All masks are"
        message = f"{what} empty ({names}); paint at least one object to learn from."
        seen.add("error", listing.source, "all-empty", message)
    try:
        classes = find_classes(listing.source)
        convention = decide_convention(seen.masks, classes, settings.mask_values)
    except DataError as error:
        seen.add("error", listing.source, "mask-values", str(error))
        return None
    seen.add("note", listing.source, "mask-kind", _kind_text(seen, convention))
    for notice in convention.notices if convention.kind != "binary" else ():  # said already
        seen.add("note", listing.source, "mask-values", notice)
    return convention


def _kind_text(seen: Seen, convention: MaskConvention) -> str:
    """Say what the masks were taken for, and which of them differ from most."""
    masks = f"{counted(len(seen.masks), 'mask')} {'is' if len(seen.masks) == 1 else 'are'}"
    if convention.kind == "instances":
        return f"{masks} read as numbered objects: every value but 0 is foreground."
    if convention.kind == "classes":
        meaning = ", ".join(f"{value} {convention.class_names[number]}" for value, number in convention.values.items())
        return f"{masks} read as classes: {meaning}."
    by_values: dict[tuple[int, ...], list[Path]] = defaultdict(list)
    for path, mask in seen.masks.items():
        if not mask.is_empty:
            by_values[mask.non_zero].append(path)
    kinds = sorted(by_values, key=lambda values: -len(by_values[values]))
    usual = f" ({values_text(kinds[0])})" if kinds else ""
    others = "; ".join(f"{values_text(values)} in {names_text(by_values[values])}" for values in kinds[1:4])
    exceptions = f"; other values: {others}" if others else ""
    name = convention.class_names[1]
    return f"{masks} read as binary: 0 is background, every other value{usual} is {name}{exceptions}."


def _have(paths: list[Path], what: str) -> str:
    return f"{len(paths)} ha{'s' if len(paths) == 1 else 've'} {what} ({names_text(paths)})"
