"""Recipes: settings files with a name, those of this package and any that a user keeps.

A recipe is JSON: `name`, `about` and `source` for people, and `settings` by group, as `run.json` holds them. What a
recipe does not name has its default. The run.json of a run is a recipe too: it does again what that run did, on other
images.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from napari_attnseg.errors import SettingsError
from napari_attnseg.settings.declared import extra, option_name
from napari_attnseg.settings.making import make
from napari_attnseg.settings.run import RunSettings

SUFFIX = ".json"
OF_THE_DATA = ("mask_suffix", "axes", "mask_values", "val_fraction", "val", "group_pattern")
"""Data settings that say what the files of one folder are and which of them are held out."""

Groups = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Recipe:
    """Settings with a name."""

    name: str
    about: str
    """What it is, in sentences; the first one stands for it in a list."""
    source: str
    """Where it comes from; '' if it does not say."""
    settings: Groups
    """By group (data, model, training) and name: those that it sets, each of them valid."""

    @property
    def summary(self) -> str:
        """The first sentence of what it is."""
        return self.about.split(". ")[0].rstrip(".") + "." if self.about else ""

    def to_json(self) -> dict[str, Any]:
        """Return the content of a recipe file, with every setting written out that is not taken from the data."""
        whole = make(RunSettings, self.settings).model_dump(mode="json")
        settings = {
            group: {name: value for name, value in whole[group].items() if not _is_derived(group, name)}
            for group in RunSettings.groups()
        }
        return {"name": self.name, "about": self.about, "source": self.source, "settings": settings}


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes of this package, ours first, then in alphabetical order."""
    names = sorted(item.name.removesuffix(SUFFIX) for item in _folder().iterdir() if item.name.endswith(SUFFIX))
    return tuple(sorted(names, key=lambda name: name != "default"))


def read_recipe(name_or_path: str | Path) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    name_or_path
        A name out of `recipe_names`, or a recipe file, or the run.json of a run. A name goes before a file.

    Raises
    ------
    SettingsError
        There is no such recipe or file, it is no recipe, or a setting in it is not valid.
    """
    if str(name_or_path) in recipe_names():
        return _parsed(_folder() / f"{name_or_path}{SUFFIX}", str(name_or_path))
    path = Path(name_or_path)
    if path.suffix.lower() == SUFFIX and path.is_dir():
        raise SettingsError(f"'{name_or_path}' is a folder; give the path of a recipe file or of a run.json.")
    if not path.is_file():
        raise SettingsError(
            f"There is no recipe '{name_or_path}'; the known ones are {', '.join(recipe_names())}, and the path of a "
            "recipe file or of a run.json is taken too."
        )
    return _parsed(path, str(path))


def load_recipe(name_or_path: str | Path) -> Groups:
    """Return the settings of a recipe by group; see `read_recipe`."""
    return read_recipe(name_or_path).settings


def recipe_values(name_or_path: str | Path) -> dict[str, Any]:
    """Return the settings of a recipe by the names that they go by on their own; see `read_recipe`."""
    return {
        option_name(name, RunSettings.groups()[group].model_fields[name]): value
        for group, values in load_recipe(name_or_path).items()
        for name, value in values.items()
    }


def _folder() -> Traversable:
    return files("napari_attnseg.settings") / "recipe-files"


def _parsed(file: Traversable | Path, shown: str) -> Recipe:
    try:
        values = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"The recipe '{shown}' cannot be read ({error}); expected a JSON file.") from error
    given = values.get("settings") if isinstance(values, dict) else None
    if not isinstance(given, dict) or not all(isinstance(group, dict) for group in given.values()):
        raise SettingsError(
            f"'{shown}' is no recipe: expected a JSON object with 'settings', and in it 'data', 'model' and 'training'."
        )
    try:
        settings = _checked(_for_other_images(given) if _is_of_a_run(values) else given)
    except SettingsError as error:
        raise SettingsError(f"The recipe '{shown}' cannot be used. {error}") from error
    name, about, source = (str(values.get(key) or "") for key in ("name", "about", "source"))
    return Recipe(name or Path(shown).stem, about, source, settings)


def _is_of_a_run(values: dict[str, Any]) -> bool:
    """Whether this is the run.json of a run, begun or only ordered; whoever writes a recipe means all that it says."""
    return "split" in values or "focus" in values


def _for_other_images(given: Groups) -> Groups:
    """Leave out what a run's settings say of its own images."""
    data = {name: value for name, value in given.get("data", {}).items() if name not in OF_THE_DATA}
    return {**given, "data": data}


def _checked(given: Groups) -> Groups:
    """Return the settings as their types have them, such as widths as a tuple; without what the data decides."""
    given = {
        group: {name: value for name, value in values.items() if not _is_derived(group, name)}
        for group, values in given.items()
    }
    made = make(RunSettings, given)
    return {group: {name: getattr(getattr(made, group), name) for name in values} for group, values in given.items()}


def _is_derived(group: str, name: str) -> bool:
    kind = RunSettings.groups().get(group)
    info = kind.model_fields.get(name) if kind else None
    return info is not None and bool(extra(info).get("derived"))
