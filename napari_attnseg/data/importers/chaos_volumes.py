"""CHAOS as NIfTI volumes, whose files say neither the sequence nor whether they are MR or CT."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from napari_attnseg.data.importers.chaos_greys import Greys, Survey, decide_greys, were_eighties
from napari_attnseg.data.importers.chaos_ground import LIVER, classes_of, labels_of_volume, meaning_of
from napari_attnseg.data.importers.chaos_names import GROUP_PATTERN, Modality, file_of, name_of, subjects_of
from napari_attnseg.data.importers.item import Form, Item, LeftOut, Loaded, Plan, sliced
from napari_attnseg.data.importers.meaning import Before
from napari_attnseg.data.importers.naming import Matching, Tree, guess, look_like_masks
from napari_attnseg.data.importers.nifti import read_nifti, read_nifti_mask
from napari_attnseg.data.importers.others import not_read
from napari_attnseg.data.importers.pictures import require_size_of
from napari_attnseg.data.mask_values import distinct
from napari_attnseg.data.report import names_text
from napari_attnseg.errors import DataError
from napari_attnseg.events import EventHandler, Progress
from napari_attnseg.wording import counted

_HOW = (
    "Rename masks as in image_1 and label_1, or say how they are named: napari-attnseg import folder SOURCE "
    "DESTINATION --masks '{name}_seg.nii.gz'."
)


def find_volumes(
    tree: Tree,
    form: Form,
    sequence: Modality | None,
    volume: int | None,
    before: Before,
    on_event: EventHandler,
    should_stop: Callable[[], bool],
) -> Plan:
    """List the volumes of a folder; see `chaos.find`.

    Raises
    ------
    DataError
        `sequence` is None and the masks could be of MR or CT; or see `decide_greys`.
    KeyboardInterrupt
        `should_stop` said so; nothing has been written.
    """
    matching = guess(tree)
    mask_like = look_like_masks(tree, matching)
    pairs = [(image, mask) for image, mask in matching.pairs if image not in mask_like]
    notices = _notices(matching, pairs, mask_like, sequence)
    greys: Greys | None = None
    if sequence != "ct":
        survey = _survey(pairs, volume, on_event, should_stop)
        if sequence is None and not were_eighties(before):
            _require_sequence(tree.root, survey)
        greys, told = decide_greys(survey, before)
        notices += told
    items = []
    for (image, mask), subject in zip(pairs, subjects_of([image for image, _ in pairs], tree.root), strict=True):
        kept = before.names.get(image.relative_to(tree.root).as_posix(), "")
        name = kept.removesuffix("_stack") or name_of(subject, sequence or "t2spir")
        load = partial(_load, name, image, mask, form, greys, volume)
        items.append(Item(file_of(name, form), image, mask, load))
    left_out = [
        *tree.unreadable,
        *tree.twins,
        *matching.unclear,
        *(LeftOut(path, f"{path.name} is a mask without its image.") for path in matching.unpaired),
        *(LeftOut(path, f"{path.name} is named as a mask but belongs to no image.") for path in mask_like),
        *not_read(tree.others, "The volumes here are NIfTI"),
    ]
    advice = (f"--group-pattern '{GROUP_PATTERN}'",)
    return Plan(
        tuple(items), tuple(left_out), tuple(notices), classes_of(is_ct=greys is None), meaning_of(greys), advice
    )


def _notices(
    matching: Matching,
    pairs: Sequence[tuple[Path, Path | None]],
    mask_like: Sequence[Path],
    sequence: Modality | None,
) -> list[str]:
    """Say how the files were understood."""
    notices = []
    if matching.masks is not None:
        notices.append(f"Masks are taken from {matching.masks} for images {matching.images}.")
    elif pairs:
        notices.append("No volume has a mask by the usual names; all are imported to be painted on.")
    if mask_like:
        plural = "is named as a mask but belongs" if len(mask_like) == 1 else "are named as masks but belong"
        notices.append(f"{counted(len(mask_like), 'file')} {plural} to no image: {names_text(mask_like)}. {_HOW}")
    if sequence is not None:
        notices.append(f"NIfTI files do not say their sequence; all of them are imported as {sequence}.")
    return notices


def _survey(
    pairs: Sequence[tuple[Path, Path | None]],
    volume: int | None,
    on_event: EventHandler,
    should_stop: Callable[[], bool],
) -> Survey:
    """Return the values of each mask that can be read."""
    found = {}
    masks = [(image, mask) for image, mask in pairs if mask is not None]
    for number, (image, mask) in enumerate(masks):
        if should_stop():
            raise KeyboardInterrupt
        on_event(Progress(number / len(masks), f"Looking at {mask.name}"))
        try:
            found[mask] = set(distinct(read_nifti_mask(mask, image, volume)[0]).tolist())
        except DataError:
            continue  # it is left out with this reason when it is converted
    return found


def _require_sequence(source: Path, survey: Survey) -> None:
    """Refuse masks that hold nothing but what is the liver in CT and the spleen in MR, until the user says which."""
    if {value for values in survey.values() for value in values if value} == {LIVER}:
        raise DataError(
            f"The masks in {source} hold no values but 0 and {LIVER}, which is the liver in CT but the spleen in MR; "
            "say with --sequence ct or --sequence t2spir what they are."
        )


def _load(name: str, image: Path, mask: Path | None, form: Form, greys: Greys | None, volume: int | None) -> Loaded:
    picture = read_nifti(image, volume)
    if mask is None:
        return Loaded(sliced(name, f"{name}_stack.tiff", picture, None, form))
    values, notices = labels_of_volume(mask, image, greys, volume)
    require_size_of(mask, values, image, picture)
    return Loaded(sliced(name, f"{name}_stack.tiff", picture, values, form), notices)
