"""What mask values mean in a destination: the same, however often an import is repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_attnseg.data.classes import FILE_NAME, Classes
from napari_attnseg.data.convention import MaskConvention, values_text

NOTHING = MaskConvention("binary", {0: 0}, ("background", "foreground"))
"""What masks mean that are all empty: anything."""


@dataclass(frozen=True)
class Before:
    """What an earlier run of the import left in the destination."""

    meaning: MaskConvention | None = None
    """What the values of the source's masks meant; None where no mask was seen."""
    classes: Classes | None = None
    """Its classes.json, which the user may have changed."""
    has_masks: bool = False
    names: Mapping[str, str] = field(default_factory=dict)
    """What each image of the source became, without extension, by its path relative to the source."""

    def forgotten(self) -> Before:
        """Return what counts when everything is converted anew: the names."""
        return Before(names=self.names)


def continued(before: Before, found: Set[int], decide: Callable[[], MaskConvention], is_named: bool) -> MaskConvention:
    """Return what values mean, by what they meant before and by what they would mean today.

    Known values keep their classes, and new ones become further classes. What cannot go on like that is returned as it
    would be today, and is refused by its `contradiction`.

    Parameters
    ----------
    before
        What there is in the destination.
    found
        All values of the source's masks but 0.
    decide
        Returns what they would mean today.
    is_named
        Whether a classes.json in the source says it.

    Raises
    ------
    DataError
        `decide` raised it.
    """
    earlier = before.meaning
    if earlier is None or _is_nothing(earlier):
        return decide()
    if found <= earlier.values.keys() and not is_named:
        return earlier
    today = decide()
    free = max(len(before.classes) if before.classes is not None else 0, earlier.n_classes)
    new = sorted(found - earlier.values.keys())
    is_free = today.kind != "classes" or all(today.values.get(value, free) >= free for value in new)
    if _agree(earlier, today) and (is_named or is_free):
        return _joined(earlier, today)
    if is_named or not earlier.kind == today.kind == "classes":
        return today
    return _extended(earlier, new, free)


def joined(earlier: MaskConvention | None, today: MaskConvention | None) -> MaskConvention | None:
    """Return two meanings without a contradiction as one; None is no meaning at all."""
    if earlier is None or today is None:
        return today if earlier is None else earlier
    if _is_nothing(earlier) or _is_nothing(today):
        return today if _is_nothing(earlier) else earlier
    return _joined(earlier, today)


def contradiction(before: Before, today: MaskConvention | None, destination: Path) -> str:
    """Say in a sentence that masks in the destination would mean something else than new ones; '' if they would not."""
    earlier, classes = before.meaning, before.classes
    if today is None or _is_nothing(today) or not before.has_masks:
        return ""
    if earlier is None:  # the masks were painted here, or imported before this was noted
        agree = today.kind != "classes" or (classes is not None and classes.names == today.class_names)
        was = "are other ones" if classes is None else f"have the classes of its {FILE_NAME}"
    else:
        agree = _is_nothing(earlier) or (_agree(earlier, today) and _are_named_alike(earlier, today, classes))
        was = f"were imported as {_text(earlier)}"
    if agree:
        return ""
    return (
        f"The masks in {destination} {was}, but those of the source are now {_text(today)}, so that one number would "
        "mean two things; import into another folder, or convert all of them anew with --overwrite, which replaces "
        "masks corrected since."
    )


def _is_nothing(meaning: MaskConvention) -> bool:
    return meaning.kind == NOTHING.kind and meaning.values == NOTHING.values


def _agree(earlier: MaskConvention, today: MaskConvention) -> bool:
    """Whether each value that both know is one class, and each class that both know of one value."""
    if earlier.kind != today.kind:
        return False
    known = set(earlier.values.values()) if today.kind == "classes" else set()
    return all(
        number == earlier.values[value] if value in earlier.values else number not in known
        for value, number in today.values.items()
    )


def _are_named_alike(earlier: MaskConvention, today: MaskConvention, classes: Classes | None) -> bool:
    """Whether no class that is new in the source is another one that the user has added in the destination."""
    if classes is None or today.kind != "classes":
        return True
    new = (number for value, number in today.values.items() if value not in earlier.values and number < len(classes))
    return all(classes.names[number] == today.class_names[number] for number in new)


def _joined(earlier: MaskConvention, today: MaskConvention) -> MaskConvention:
    names = today.class_names if today.n_classes >= earlier.n_classes else earlier.class_names
    return replace(today, values=earlier.values | today.values, class_names=names)


def _extended(earlier: MaskConvention, new: list[int], free: int) -> MaskConvention:
    """Return the earlier classes, and one from the number `free` on for each new value."""
    added = {value: number for number, value in enumerate(new, free)}
    further = (f"class {number}" for number in range(earlier.n_classes, free + len(new)))
    notice = f"As before the masks are {_text(earlier)}; {values_text(new)} {_become(list(added.values()))}."
    return MaskConvention("classes", earlier.values | added, (*earlier.class_names, *further), (notice,))


def _become(numbers: list[int]) -> str:
    return f"{'becomes class' if len(numbers) == 1 else 'become the classes'} {values_text(numbers)}"


def _text(meaning: MaskConvention) -> str:
    if meaning.kind == "instances":
        return "numbered objects"
    if meaning.kind == "binary":
        return "foreground alone"
    values = sorted(meaning.values.keys() - {0})
    return f"the classes {values_text([meaning.values[value] for value in values])} (values {values_text(values)})"
