"""CHAOS as NIfTI volumes, whose files say neither the sequence nor whether they are MR or CT."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from napari_attnseg.data.importers.chaos_ground import LIVER, classes_of, labels_of_volume, meaning_of
from napari_attnseg.data.importers.chaos_names import GROUP_PATTERN, Modality, file_of, name_of, subjects_of
from napari_attnseg.data.importers.item import Form, Item, LeftOut, Loaded, Plan, sliced
from napari_attnseg.data.importers.naming import Matching, Tree, guess
from napari_attnseg.data.importers.nifti import read_nifti, read_nifti_mask
from napari_attnseg.data.importers.pictures import require_size_of
from napari_attnseg.data.mask_values import distinct
from napari_attnseg.errors import DataError
from napari_attnseg.events import EventHandler, Progress


def find_volumes(
    tree: Tree,
    form: Form,
    sequence: Modality | None,
    volume: int | None,
    names: Mapping[str, str],
    on_event: EventHandler,
    should_stop: Callable[[], bool],
) -> Plan:
    """List the volumes of a folder; see `chaos.find`.

    Raises
    ------
    DataError
        `sequence` is None and the masks could be of MR or CT.
    KeyboardInterrupt
        `should_stop` said so; nothing has been written.
    """
    matching = guess(tree)
    if sequence is None:
        _require_sequence(tree.root, matching, volume, on_event, should_stop)
    items = []
    subjects = subjects_of([image for image, _ in matching.pairs], tree.root)
    for (image, mask), subject in zip(matching.pairs, subjects, strict=True):
        kept = names.get(image.relative_to(tree.root).as_posix(), "")
        name = kept.removesuffix("_stack") or name_of(subject, sequence or "t2spir")
        load = partial(_load, name, image, mask, form, sequence == "ct", volume)
        items.append(Item(file_of(name, form), image, mask, load))
    left_out = [LeftOut(path, f"{path.name} is a mask without its image.") for path in matching.unpaired]
    notices = [] if matching.masks is None else [f"Masks are taken from {matching.masks} for images {matching.images}."]
    if sequence is not None:
        notices.append(f"NIfTI files do not say their sequence; all of them are imported as {sequence}.")
    advice = (f"--group-pattern '{GROUP_PATTERN}'",)
    left_out = [*tree.unreadable, *tree.twins, *matching.unclear, *left_out]
    is_ct = sequence == "ct"
    classes, meaning = classes_of(is_ct=is_ct), meaning_of(is_ct=is_ct)
    return Plan(tuple(items), tuple(left_out), tuple(notices), classes, meaning, advice)


def _require_sequence(
    source: Path, matching: Matching, volume: int | None, on_event: EventHandler, should_stop: Callable[[], bool]
) -> None:
    """Refuse masks that hold nothing but what is the liver in CT and the spleen in MR, until the user says which."""
    pairs = [(image, mask) for image, mask in matching.pairs if mask is not None]
    is_liver = False
    for number, (image, mask) in enumerate(pairs):
        if should_stop():
            raise KeyboardInterrupt
        on_event(Progress(number / len(pairs), f"Looking at {mask.name}"))
        try:
            values = set(distinct(read_nifti_mask(mask, image, volume)[0]).tolist()) - {0}
        except DataError:
            continue  # it is left out with this reason when it is converted
        if values - {LIVER}:
            return
        is_liver = is_liver or bool(values)
    if is_liver:
        raise DataError(
            f"The masks in {source} hold no values but 0 and {LIVER}, which is the liver in CT but the spleen in MR; "
            "say with --sequence ct or --sequence t2spir what they are."
        )


def _load(name: str, image: Path, mask: Path | None, form: Form, is_ct: bool, volume: int | None) -> Loaded:
    picture = read_nifti(image, volume)
    if mask is None:
        return Loaded(sliced(name, f"{name}_stack.tiff", picture, None, form))
    values, notices = labels_of_volume(mask, image, is_ct, volume)
    require_size_of(mask, values, image, picture)
    return Loaded(sliced(name, f"{name}_stack.tiff", picture, values, form), notices)
