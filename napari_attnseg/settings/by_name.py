"""Single settings by name, as a command line or a notebook gives them, sorted into their groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_attnseg.errors import SettingsError
from napari_attnseg.settings.declared import option_name
from napari_attnseg.settings.making import make
from napari_attnseg.settings.recipes import recipe_values
from napari_attnseg.settings.run import RunSettings


def with_recipe(recipe: str | Path | None, settings: RunSettings | None, values: dict[str, Any]) -> dict[str, Any]:
    """Return single settings by name, `values` before those of the recipe.

    Raises
    ------
    SettingsError
        The recipe cannot be used, or would have no effect because all settings are given at once.
    """
    if recipe is None:
        return values
    if settings is not None:
        raise SettingsError(
            f"All settings are given already, so that the recipe '{recipe}' has no effect; leave it out."
        )
    return {**recipe_values(recipe), **values}


def settings_from(values: dict[str, Any]) -> RunSettings:
    """Sort single settings by name into data, model and training settings.

    Raises
    ------
    SettingsError
        A name is unknown or a value out of range.
    """
    groups: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        for group, kind in RunSettings.groups().items():
            field = next(
                (key for key, info in kind.model_fields.items() if name in (option_name(key, info), key)), None
            )
            if field is not None:
                groups.setdefault(group, {})[field] = value
                break
        else:
            raise SettingsError(f"There is no setting '{name}'.")
    return make(RunSettings, groups)
