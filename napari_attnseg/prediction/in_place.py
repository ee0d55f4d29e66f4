"""The parts of a prediction in OME-Zarr put in the place of an earlier one's, so that a kill at any moment loses none.

Renaming is done at once, and removing a folder of thousands of files is not, or fails: so all parts are renamed first,
and what they replace is removed when all are there. Parts of two predictions are never beside each other: those of the
earlier one have gone when the first new one comes, and `_PRED`, by which a prediction is found, comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from itertools import chain, count
from pathlib import Path

from napari_attnseg.data.pairs import stem_of
from napari_attnseg.errors import SaveError
from napari_attnseg.prediction.claim import prediction_claimed
from napari_attnseg.prediction.origin import Origin
from napari_attnseg.prediction.targets import is_ours, target_of
from napari_attnseg.prediction.working_store import KINDS, keeping, read_progress, remove, store_folder


def put_in_place(store: Path, kinds: Iterable[str], image: Path, folder: Path) -> list[Path]:
    """Move parts from a working store to where they stay, and those of an earlier prediction out of the way.

    Parameters
    ----------
    kinds
        The parts of the new prediction; those that are not in the store have been moved before.

    Returns
    -------
    Where they are.

    Raises
    ------
    SaveError
        One cannot be moved; the next call goes on with those that are left.
    """
    targets = {kind: target_of(image, kind, folder, as_tiff=False) for kind in KINDS}
    wanted = [kind for kind in KINDS if kind in set(kinds)]
    with keeping(store):
        for kind, target in targets.items():
            is_replaced = (store / kind).is_dir() if kind in wanted else is_ours(target)
            if is_replaced and target.exists():
                _set_aside(target)
        for kind in reversed(wanted):
            if (store / kind).is_dir():
                (store / kind).rename(targets[kind])
    return [targets[kind] for kind in wanted]


def remove_replaced(image: Path, folder: Path, on_notice: Callable[[str], None]) -> None:
    """Remove what is not needed any more, also of earlier calls; what cannot be removed is only told of."""
    store = store_folder(image, folder)
    if store.exists():
        with suppress(OSError):  # else it is removed where it is
            _set_aside(store)
    for place in _over(image, folder, hidden_in(folder)):
        try:
            remove(place)
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            on_notice(
                f"{place.name} is not needed any more and cannot be removed yet ({reason}); the next prediction of "
                f"{image.name} tries again ({place.parent})."
            )


def remove_left_over(
    image: Path, folder: Path, hidden: Collection[str], origin: Origin, on_notice: Callable[[str], None]
) -> None:
    """Remove what a process that was killed at its very end has left beside a whole prediction.

    Rows of tiles of another prediction of the image stay: it may go on.

    Parameters
    ----------
    hidden
        What `hidden_in` says of the folder.
    origin
        What the prediction is made of.
    """
    if not any(name.startswith(f".{stem_of(image)}_") for name in hidden):
        return
    store = store_folder(image, folder)
    progress = read_progress(store)
    if progress is not None and not progress.is_done and not _are_in_place(progress.kinds, image, folder, origin):
        return  # it has parts that the whole one lacks
    made_of = origin_of(store, progress.kinds) if progress is not None else None
    is_empty = progress is not None and progress.is_done and made_of is None
    if not is_empty and made_of != origin and (store.exists() or not _over(image, folder, hidden)):
        return
    with suppress(SaveError, OSError), prediction_claimed(image, folder):  # else another process is at it
        remove_replaced(image, folder, on_notice)


def _are_in_place(kinds: Iterable[str], image: Path, folder: Path, origin: Origin) -> bool:
    """Whether all these parts are in the folder, made in this way, in TIFF or OME-Zarr."""
    return all(
        any(Origin.read(target_of(image, kind, folder, as_tiff=as_tiff)) == origin for as_tiff in (True, False))
        for kind in kinds
    )


def origin_of(store: Path, kinds: Iterable[str]) -> Origin | None:
    """Return what the parts in a working store are made of; None if none is left in it, or they do not say."""
    return next((origin for kind in kinds if (origin := Origin.read(store / kind)) is not None), None)


def hidden_in(folder: Path) -> list[str]:
    """Return the names in a folder that start with a dot: among thousands of predictions there are few."""
    try:
        return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))
    except OSError:
        return []


def _over(image: Path, folder: Path, hidden: Collection[str]) -> list[Path]:
    """Return what was moved out of the way, and the working store if it could not be."""
    store = store_folder(image, folder)
    places = [*(target_of(image, kind, folder, as_tiff=False) for kind in KINDS), store]
    aside = tuple(_aside(place) for place in places)
    return [folder / name for name in hidden if name.startswith(aside) or name == store.name]


def _set_aside(place: Path) -> None:
    """Give a folder a hidden name that is free."""
    first = _aside(place)
    names = chain([first], (f"{first}-{number}" for number in count(2)))
    place.rename(next(path for name in names if not (path := place.with_name(name)).exists()))


def _aside(place: Path) -> str:
    return f".{place.name.removeprefix('.')}.old"
