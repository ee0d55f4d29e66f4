"""The model files that a user took lately, in whichever folder, so that other folders can begin with them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from napari_attnseg.annotation.places import user_data_folder
from napari_attnseg.data.atomic import write_json
from napari_attnseg.errors import SaveError

FILE = "recent_models.json"
KEPT = 12


def recent_models() -> list[Path]:
    """Return the models that were used lately, the latest first; some may be gone by now."""
    try:
        values = json.loads((user_data_folder() / FILE).read_text(encoding="utf-8"))
        return [Path(text) for text in values["models"] if isinstance(text, str) and text][:KEPT]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def remember_model(path: Path) -> None:
    """Put a model before all others that were used.

    Raises
    ------
    SaveError
        The user's data folder cannot be written to.
    """
    path = Path(os.path.abspath(path))
    models = [path, *(other for other in recent_models() if other != path)]
    place = user_data_folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"{place} cannot be made: {error.strerror or error}.") from error
    write_json(place / FILE, {"models": [str(model) for model in models[:KEPT]]})
