"""What the greys of CHAOS masks mean: the challenge's own, or a second coding in use; one of them in a whole source.

The challenge writes 63, 126, 189 and 252 and gives each some room. Masks that others have made of them hold 80, 160,
240 and 255. A spleen alone is 255 in both, but 240 is a left kidney in the second and in the first's room for a spleen,
so that volumes are not judged one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_attnseg.data.convention import MaskConvention, values_text
from napari_attnseg.data.importers.meaning import Before
from napari_attnseg.errors import DataError

Array = np.ndarray[Any, Any]
Survey = Mapping[Path, Set[int]]
"""The values of each volume's masks, by the NIfTI mask or the folder of PNGs."""

NAMES = ("background", "liver", "right kidney", "left kidney", "spleen")


@dataclass(frozen=True)
class Greys:
    """A coding of the organs."""

    text: str
    """What it writes for the classes 1 to 4."""
    numbers: Mapping[int, int]
    """The class of each grey that it accepts, and of 0."""

    def fit(self, values: Collection[int]) -> bool:
        """Whether it knows all these values, and no two of them are one class."""
        return set(values) <= self.numbers.keys() and not self.merged(values)

    def merged(self, values: Iterable[int]) -> dict[int, list[int]]:
        """Return the classes that several of these values are, with those values."""
        found = defaultdict(list)
        for value in sorted(values):
            if value in self.numbers:
                found[self.numbers[value]].append(value)
        return {number: of_one for number, of_one in found.items() if len(of_one) > 1}


# with the room that the challenge gives each
_ROOM = ((55, 70, 1), (110, 135, 2), (175, 200, 3), (240, 255, 4))
CHALLENGE = Greys(
    "63, 126, 189 and 252", {0: 0} | {value: number for low, high, number in _ROOM for value in range(low, high + 1)}
)
EIGHTIES = Greys("80, 160, 240 and 255", {0: 0, 80: 1, 160: 2, 240: 3, 255: 4})


def are_ids(values: Iterable[int]) -> bool:
    """Whether values are class numbers, 0 to 4."""
    return max(values, default=0) < len(NAMES)


def were_eighties(before: Before) -> bool:
    """Whether the masks of an earlier import were read by the second coding."""
    return before.has_masks and before.meaning is not None and 80 in before.meaning.values


def meaning_of_greys(greys: Greys) -> MaskConvention:
    """Return what a repeated import goes by: of the challenge's greys the classes that are written."""
    is_own = greys is CHALLENGE
    return MaskConvention("classes", {number: number for number in range(5)} if is_own else dict(greys.numbers), NAMES)


def decide_greys(survey: Survey, before: Before) -> tuple[Greys, tuple[str, ...]]:
    """Decide which coding the masks of a source have.

    What is of one coding alone decides for the volumes that could be of both; where there is none, an earlier import
    does. Volumes that are of neither are left out when they are converted.

    Returns
    -------
    tuple
        The coding, and sentences for the user.

    Raises
    ------
    DataError
        Volumes of both codings are mixed, or are of another one than those that were imported before; or 240 is all
        that there is, which could be two organs.
    """
    greys = {path: set(values) - {0} for path, values in survey.items() if not are_ids(values)}
    challenge = [path for path, values in greys.items() if CHALLENGE.fit(values) and not EIGHTIES.fit(values)]
    eighties = [path for path, values in greys.items() if EIGHTIES.fit(values) and not CHALLENGE.fit(values)]
    either = {path: values for path, values in greys.items() if CHALLENGE.fit(values) and EIGHTIES.fit(values)}
    if not eighties and {240, 255} <= set().union(*either.values()):
        eighties = [path for path, values in either.items() if 240 in values]  # two organs, in two volumes
    if challenge and eighties:
        raise DataError(
            f"Masks of two codings are mixed: {_holds(challenge[0], greys)}, as the challenge writes the organs "
            f"({CHALLENGE.text}), but {_holds(eighties[0], greys)}, as in masks with {EIGHTIES.text}. Put the subjects "
            "of each into a folder of its own, and import them one after the other."
        )
    _require_as_before(before, challenge, eighties, greys)
    if challenge:
        return CHALLENGE, _several(greys)
    if eighties or were_eighties(before):
        names = f"{', '.join(NAMES[1:4])} and {NAMES[4]}"
        held = values_text(sorted(set().union(*greys.values())))
        told = f"The masks hold {held}, not the challenge's greys: {EIGHTIES.text} are read as {names}."
        return EIGHTIES, (told,) if greys else ()
    unclear = next((path for path, values in either.items() if 240 in values), None)
    if unclear is not None:
        raise DataError(
            f"The masks hold no grey but 240 ({unclear.name}), which is the left kidney beside {EIGHTIES.text} but "
            f"spleen beside {CHALLENGE.text}. Import them together with masks of other organs, or save them as "
            f"the class number, 3 or 4 ({unclear})."
        )
    return CHALLENGE, ()


def _require_as_before(before: Before, challenge: list[Path], eighties: list[Path], greys: Survey) -> None:
    """Refuse a coding by which greys of the earlier import would have meant something else."""
    other = challenge if were_eighties(before) else eighties
    if not other or not before.has_masks or before.meaning is None or before.meaning.kind != "classes":
        return
    was = EIGHTIES.text if were_eighties(before) else f"{CHALLENGE.text}, or as 1 to 4"
    raise DataError(
        f"The masks of the earlier import were read as {was}, but {_holds(other[0], greys)}. Import these subjects "
        "into another folder, or convert all of them anew with --overwrite, which replaces masks corrected since."
    )


def organs(values: Array, greys: Greys) -> Array:
    """Turn class numbers, or greys of a coding that knows them all, into class numbers (uint8, same shape)."""
    if are_ids([int(values.max(initial=0))]):
        return values.astype(np.uint8)
    lookup = np.zeros(256, np.uint8)
    for value, number in greys.numbers.items():
        lookup[value] = number
    return np.asarray(lookup[values])


def refusal(values: Collection[int], greys: Greys) -> tuple[list[int], str]:
    """Say which values of one volume cannot be organs, and what was expected; nothing and '' where all can."""
    if are_ids(values):
        return [], ""
    if unknown := sorted(set(values) - greys.numbers.keys()):
        return unknown, f"{_named(greys)} were expected, or 0 to 4"
    for number, several in greys.merged(values).items():
        return several, f"these would all be {NAMES[number]}; one grey an organ was expected, such as {greys.text}"
    return [], ""


def _named(greys: Greys) -> str:
    parts = [
        f"{grey} ({name})" for grey, name in zip(greys.text.replace(" and", ",").split(", "), NAMES[1:], strict=True)
    ]
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _holds(path: Path, greys: Survey) -> str:
    return f"{path.name} holds {values_text(sorted(greys[path]))} ({path})"


def _several(greys: Survey) -> tuple[str, ...]:
    """Say which organs have several greys, one in each volume, within the room of the challenge."""
    fitting = [values for values in greys.values() if CHALLENGE.fit(values)]
    merged = CHALLENGE.merged(set().union(*fitting))
    return tuple(
        f"{values_text(values)} are all read as {NAMES[number]}, which the challenge lets be any of them."
        for number, values in merged.items()
    )
