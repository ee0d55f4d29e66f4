"""What is remembered of a folder from one time to the next, in `.attnseg/folder.json` and `.attnseg/uncertainty.json`.

A file that is damaged or of another version gives what of it makes sense, and the usual for the rest.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from napari_attnseg.annotation.folder.entries import FolderChoices
from napari_attnseg.annotation.places import make_private_folder, private_folder
from napari_attnseg.data.atomic import write_json
from napari_attnseg.errors import SaveError

FILE = "folder.json"
UNCERTAINTY = "uncertainty.json"
_log = logging.getLogger(__name__)
_noting = threading.Lock()


@dataclass
class FolderState:
    """What is remembered of a folder."""

    choices: FolderChoices = field(default_factory=FolderChoices)
    last_training: float | None = None
    """When the last training began, in seconds since 1970."""
    edited: dict[str, float] = field(default_factory=dict)
    """When masks were last saved here, in seconds since 1970, by the image's name in the folder."""
    model: Path | None = None
    """The model in use."""
    models_used: list[Path] = field(default_factory=list)
    """The models that were in use before it, the latest last."""


def read_state(root: Path) -> FolderState:
    """Read what is remembered of a folder."""
    values = _read(private_folder(root) / FILE)
    used = values.get("models_used")
    return FolderState(
        choices=_choices_from(values.get("choices")),
        last_training=_number(values.get("last_training")),
        edited={
            name: when for name, item in _dict_of(values.get("edited")).items() if (when := _number(item)) is not None
        },
        model=_absolute(values.get("model"), root),
        models_used=[path for item in used if (path := _absolute(item, root))] if isinstance(used, list) else [],
    )


def write_state(root: Path, state: FolderState) -> None:
    """Write what is to be remembered of a folder.

    Models inside the folder are noted relative to it, so that it can be moved or given to others.

    Raises
    ------
    SaveError
        The folder cannot be written to.
    """
    values = {
        "choices": asdict(state.choices),
        "last_training": state.last_training,
        "edited": dict(state.edited),  # a copy at once: another thread may add to it
        "model": _stored(state.model, root),
        "models_used": [_stored(path, root) for path in list(state.models_used)],
    }
    _write(root, FILE, values)


def note_edited(root: Path, name: str) -> None:
    """Remember that a mask of a folder that is not open was edited and saved just now, by its image's name there.

    Raises
    ------
    SaveError
        The folder cannot be written to.
    """
    with _noting:  # several masks of it may be saved at once
        state = read_state(root)
        state.edited[name] = time.time()
        write_state(root, state)


def read_uncertainty(root: Path) -> dict[str, tuple[float, str]]:
    """Read how unsure a model was of images: by their names, the value from 0 to 1 and the model's key."""
    found = {}
    for name, item in _read(private_folder(root) / UNCERTAINTY).items():
        value, key = item if isinstance(item, list) and len(item) == 2 else (None, None)
        unsure = _number(value)
        if unsure is not None and isinstance(key, str):
            found[name] = unsure, key
    return found


def write_uncertainty(root: Path, values: Mapping[str, tuple[float, str]]) -> None:
    """Write how unsure a model was of images; see `read_uncertainty`.

    Raises
    ------
    SaveError
        The folder cannot be written to.
    """
    _write(root, UNCERTAINTY, {name: list(item) for name, item in dict(values).items()})


def _read(path: Path) -> dict[str, Any]:
    try:
        return _dict_of(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        _log.warning("%s cannot be read; what was chosen for this folder is the usual again.", path)
        return {}


def _write(root: Path, name: str, values: dict[str, Any]) -> None:
    try:
        place = make_private_folder(root)
    except OSError as error:
        raise SaveError(f"{private_folder(root)} cannot be made: {error.strerror or error}.") from error
    write_json(place / name, values)


def _choices_from(values: Any) -> FolderChoices:
    usual = FolderChoices()
    found = _dict_of(values)
    axes, suffix, mode = found.get("axes"), found.get("mask_suffix"), found.get("mask_values")
    return FolderChoices(
        axes=axes if isinstance(axes, str) and axes else None,
        mask_suffix=suffix if isinstance(suffix, str) and suffix else usual.mask_suffix,
        mask_values=mode if mode in ("auto", "binary", "classes", "instances") else usual.mask_values,
    )


def _stored(path: Path | None, root: Path) -> str | None:
    if path is None:
        return None
    whole, base = Path(os.path.abspath(path)), Path(os.path.abspath(root))
    return whole.relative_to(base).as_posix() if whole.is_relative_to(base) else str(whole)


def _absolute(text: Any, root: Path) -> Path | None:
    return root / text if isinstance(text, str) and text else None


def _dict_of(values: Any) -> dict[str, Any]:
    return values if isinstance(values, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
