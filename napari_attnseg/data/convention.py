"""What the values of masks mean: foreground, classes, or objects counted one by one.

A folder is judged as a whole. In this order:

1. no mask has anything in it, or the only values are 1 and 255, or there is one value: **binary**;
2. some masks hold 255 alone and others small class numbers: an error, because 255 would be one more class;
3. more than 32 values; or more than 8 that are 1..n in every mask, with n varying; or irregular values of which no
   two masks share one: **instances**, read as foreground;
4. values without large gaps (the largest at most twice their number): **classes**, the values are the ids;
5. several masks, each with a single value, that are neither small ids nor evenly spaced greys: an error that asks;
6. else **classes**, the greys in ascending order being the classes 1, 2, 3...

`classes.json` beside the images, or the setting, decides before these rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any, Literal

from napari_attnseg.data.classes import MOST_CLASSES, Classes
from napari_attnseg.data.mask_values import MaskValues
from napari_attnseg.errors import DataError

Kind = Literal["binary", "classes", "instances"]
Mode = Literal["auto", "binary", "classes", "instances"]
Survey = Mapping[Path, MaskValues]

MOST_GUESSED_CLASSES = 32
FEW_CLASSES = 8
HOW_TO_SAY = "say which with the setting mask_values, or with a file classes.json beside the images"


@dataclass(frozen=True)
class MaskConvention:
    """What the values of a folder's masks mean."""

    kind: Kind
    values: dict[int, int]
    """Value on disk to class id; of instances, and of a further single value in a binary mask, every value is 1."""
    class_names: tuple[str, ...]
    """Names by class id; the first is 'background'."""
    notices: tuple[str, ...] = ()
    """What a user should know of how the masks were read, a sentence each."""

    @property
    def n_classes(self) -> int:
        """Number of classes with the background; 2 unless the kind is 'classes'."""
        return len(self.class_names)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            "kind": self.kind,
            "values": {str(value): class_id for value, class_id in self.values.items()},
            "class_names": list(self.class_names),
            "notices": list(self.notices),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MaskConvention:
        """Build from `to_dict`'s result.

        Raises
        ------
        DataError
            It does not look like that.
        """
        try:
            kind = values["kind"]
            mapping = {int(value): int(class_id) for value, class_id in values["values"].items()}
            names = tuple(str(name) for name in values["class_names"])
            notices = tuple(str(notice) for notice in values.get("notices", ()))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"The description of mask values is damaged ({error!r}); train or choose again.") from error
        if kind not in ("binary", "classes", "instances") or not set(mapping.values()) <= set(range(len(names))):
            raise DataError("The description of mask values is damaged; train or choose again.")
        return cls(kind, mapping, names, notices)


def decide_convention(survey: Survey, classes: Classes | None = None, mode: Mode = "auto") -> MaskConvention:
    """Decide what the values of a folder's masks mean; the rules stand in the module's docstring.

    Raises
    ------
    DataError
        Values contradict each other, `classes` or `mode`; files and values are named.
    """
    found = sorted({value for item in survey.values() for value in item.non_zero})
    if mode == "instances":
        return _instances(survey, classes)
    if mode == "binary":
        return _binary(found, classes, survey)
    if classes is not None and (len(classes) > 2 or mode == "classes" or not _is_binary(survey, found)):
        return _named(survey, found, classes)
    if mode == "classes":
        return _classes(survey, found)
    return _guessed(survey, found, classes)


def _guessed(survey: Survey, found: list[int], classes: Classes | None) -> MaskConvention:
    if _is_binary(survey, found):
        return _binary(found, classes, survey)
    _refuse_mixture(survey, found)
    if _are_instances(survey, found):
        return _instances(survey, classes)
    if not _are_ids(found):
        _refuse_riddle(survey, found)
    return _classes(survey, found)


def _is_binary(survey: Survey, found: list[int]) -> bool:
    single = all(len(item.non_zero) <= 1 for item in survey.values())
    return len(found) <= 1 or (single and set(found) <= {1, 255})


def _are_ids(found: list[int]) -> bool:
    return bool(found) and found[-1] <= 2 * len(found)


def _are_instances(survey: Survey, found: list[int]) -> bool:
    sets = [item.non_zero for item in survey.values() if not item.is_empty]
    if len(found) > MOST_GUESSED_CLASSES or any(item.count > MOST_GUESSED_CLASSES + 1 for item in survey.values()):
        return True
    counted = all(values == tuple(range(1, len(values) + 1)) for values in sets)
    if counted and len(found) > FEW_CLASSES and len({len(values) for values in sets}) > 1:
        return True
    shared = len(found) < sum(len(values) for values in sets)
    several = len(sets) > 1 and any(len(values) > 1 for values in sets)
    return several and not shared and not _are_ids(found) and not _evenly_spaced(found)


def _evenly_spaced(found: list[int]) -> bool:
    """Whether greys are multiples of one step, as when somebody spread classes over 0 to 255."""
    step = gcd(*found)
    return step >= FEW_CLASSES and found[-1] // step <= 2 * len(found)


def _refuse_mixture(survey: Survey, found: list[int]) -> None:
    ids = [value for value in found if value != 255]
    white = [path for path, item in survey.items() if item.non_zero == (255,)]
    mixed = any(255 in item.non_zero and len(item.non_zero) > 1 for item in survey.values())
    if not white or mixed or not _are_ids(ids):
        return
    other = next(path for path, item in survey.items() if ids[-1] in item.non_zero)
    raise DataError(
        f"Masks of two kinds are mixed: {white[0].name} holds 0 and 255, but {other.name} holds "
        f"{values_text(survey[other].values)}. Save all of them as class numbers 0, 1, 2, ... or all as 0 and 255."
    )


def _refuse_riddle(survey: Survey, found: list[int]) -> None:
    """Single values that differ between masks may be classes, or one class written in several ways."""
    holders = [path for path, item in survey.items() if not item.is_empty]
    if any(len(survey[path].non_zero) > 1 for path in holders) or _evenly_spaced(found):
        return
    first = holders[0]
    other = next(path for path in holders if survey[path].non_zero != survey[first].non_zero)
    raise DataError(
        f"{first.name} holds only the value {survey[first].non_zero[0]} and {other.name} only "
        f"{survey[other].non_zero[0]}: these may be two classes, or the same one. Please {HOW_TO_SAY}."
    )


def _binary(found: list[int], classes: Classes | None, survey: Survey) -> MaskConvention:
    names = classes.names if classes is not None and len(classes) == 2 else ("background", "foreground")
    notices = []
    if set(found) == {1, 255}:
        ones = sum(item.non_zero == (1,) for item in survey.values())
        notices.append(f"{ones} of the masks hold 0 and 1, the others 0 and 255; both are read as foreground.")
    elif len(found) > 1:
        notices.append(f"All mask values but 0 ({values_text(found)}) are read as foreground.")
    elif found and found[0] not in (1, 255):
        notices.append(f"The mask value {found[0]} is read as foreground.")
    return MaskConvention("binary", {0: 0} | dict.fromkeys(found or [255], 1), names, tuple(notices))


def _instances(survey: Survey, classes: Classes | None) -> MaskConvention:
    names = classes.names if classes is not None and len(classes) == 2 else ("background", "object")
    most = max((item.count - (0 in item.values) for item in survey.values()), default=0)
    notice = f"The masks number their objects one by one (up to {most} in a mask); all of them are read as foreground."
    return MaskConvention("instances", {0: 0}, names, (notice,))


def _classes(survey: Survey, found: list[int]) -> MaskConvention:
    if _are_ids(found):
        _refuse_too_many(survey, found, found[-1])
        names = ("background", *(f"class {number}" for number in range(1, found[-1] + 1)))
        missing = sorted(set(range(1, found[-1])) - set(found))
        notices = (f"No mask has a pixel of class {values_text(missing)}.",) if missing else ()
        return MaskConvention("classes", {number: number for number in range(found[-1] + 1)}, names, notices)
    _refuse_too_many(survey, found, len(found))
    mapping = {0: 0} | {value: number for number, value in enumerate(found, 1)}
    names = ("background", *(f"class {number}" for number in range(1, max(2, len(found) + 1))))
    if not found:
        return MaskConvention("classes", {0: 0, 1: 1}, names)
    one = len(found) == 1
    notice = (
        f"The mask value{'' if one else 's'} {values_text(found)} {'is' if one else 'are'} read as "
        f"class{'' if one else 'es'} {values_text(list(range(1, len(found) + 1)))}."
    )
    return MaskConvention("classes", mapping, names, (notice,))


def _refuse_too_many(survey: Survey, found: list[int], most: int) -> None:
    if most >= MOST_CLASSES:
        path = next(path for path, item in survey.items() if found[-1] in item.non_zero or item.count > MOST_CLASSES)
        raise DataError(
            f"The masks hold {len(found)} values up to {found[-1]} ({path.name}); {MOST_CLASSES - 1} classes are "
            "possible. If they number objects, set mask_values to 'instances'."
        )


def _named(survey: Survey, found: list[int], classes: Classes) -> MaskConvention:
    """Go by `classes.json`: its ids or values; else as many greys as it names classes, in ascending order."""
    notices: tuple[str, ...] = ()
    mapping = classes.values
    if not set(found) <= set(mapping):
        if len(found) != len(classes) - 1 or _are_ids(found) or set(found) & set(mapping):
            raise _unnamed(survey, found, classes)
        mapping = {0: 0} | {value: number for number, value in enumerate(found, 1)}
        meant = ", ".join(f"{value} as {classes.names[number]}" for value, number in mapping.items() if number)
        notices = (f"The mask values are read in ascending order: {meant}.",)
    missing = [name for name, value in zip(classes.names, mapping, strict=True) if value and value not in found]
    if missing and found:
        notices += (f"No mask has a pixel of {', '.join(missing)}.",)
    kind: Kind = "classes" if len(classes) > 2 else "binary"
    return MaskConvention(kind, mapping, classes.names, notices)


def _unnamed(survey: Survey, found: list[int], classes: Classes) -> DataError:
    value = next(value for value in reversed(found) if value not in classes.values)
    path = next(path for path, item in survey.items() if value in item.non_zero)
    return DataError(
        f"{path.name} holds the value {value}, which classes.json does not name (it names "
        f"{values_text(sorted(classes.values))}). Add the class there, or correct the mask."
    )


def values_text(values: list[int] | tuple[int, ...]) -> str:
    """Write values for a message: '0, 1, 2, 4', or the first and last of many."""
    if len(values) <= 10:
        return ", ".join(str(value) for value in values)
    return f"{', '.join(str(value) for value in values[:4])}, ... {values[-1]} ({len(values)} values)"
