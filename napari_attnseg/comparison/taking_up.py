"""A comparison that has begun and is asked for once more: what may be other than before, and what may not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_attnseg.comparison.asked import Asked
from napari_attnseg.errors import RunFolderError

COMPUTING = ("device", "precision", "image_memory")
"""Training settings that may be given anew: where it is computed. What is not finished goes on with them."""

Earlier = dict[str, list[Any]]
"""What settings of `COMPUTING` were before, by name and the oldest first; None where one was not given."""


def taken_up(was: Asked, now: Asked) -> Asked:
    """Return what the same comparison goes on with: as many repeats as are asked for now, and where to compute.

    Settings of `COMPUTING` that are not given now stay as they were.
    """
    anew = {name: value for name, value in now.given.get("training", {}).items() if name in COMPUTING}
    training = {**was.given.get("training", {}), **anew}
    return replace(now, given={**was.given, **({"training": training} if training else {})})


def earlier_of(was: Asked, now: Asked, earlier: Earlier) -> Earlier:
    """Return what the settings of `COMPUTING` were before, with those that change now."""
    before, after = (asked.given.get("training", {}) for asked in (was, now))
    changed = [name for name in COMPUTING if before.get(name) != after.get(name)]
    return earlier | {name: [*earlier.get(name, []), before.get(name)] for name in changed}


def require_same(was: Asked, now: Asked, path: Path) -> None:
    """Refuse to go on with another comparison in the same folder; its tables would mix what cannot be compared.

    Raises
    ------
    RunFolderError
        Something differs that decides what is compared, or there would be fewer repeats than there are.
    """
    # through JSON, for that is how the earlier one was kept: tuples become lists, paths text
    before, after = (json.loads(json.dumps(asked.to_json(), default=str)) for asked in (was, now))
    for name, title in (("models", "models"), ("losses", "losses"), ("folds", "folds")):
        _refuse_change(before[name], after[name], title, path)
    if after["repeats"] < before["repeats"]:
        raise RunFolderError(
            f"The comparison in {path} was asked for with repeats {before['repeats']}, not {after['repeats']}; ask for "
            "as many or more to go on with it, or choose another --out."
        )
    _refuse_change(before["data"], after["data"], "the data", path)
    for group in dict.fromkeys((*before["settings"], *after["settings"])):
        old, new = before["settings"].get(group, {}), after["settings"].get(group, {})
        for name in dict.fromkeys((*old, *new)):
            if not (group == "training" and name in COMPUTING):
                _refuse_change(old.get(name), new.get(name), f"the setting {name}", path)
    _refuse_change(sorted(before["recipes"]), sorted(after["recipes"]), "recipes", path)
    if before["recipes"] != after["recipes"]:
        raise RunFolderError(f"A recipe has changed since the comparison in {path} began; choose another --out.")


def _refuse_change(was: Any, now: Any, what: str, path: Path) -> None:
    if was != now:
        raise RunFolderError(
            f"The comparison in {path} was begun with {what} {_shown(was)}, not {_shown(now)}; ask for the same to go "
            "on with it, or choose another --out."
        )


def _shown(value: Any) -> str:
    if value is None or value == []:
        return "left at the default"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
