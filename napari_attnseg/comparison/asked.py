"""What a comparison is asked for: models x losses x recipes, each trained once a fold and repeat."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_attnseg.errors import SettingsError
from napari_attnseg.settings import RunSettings, make, option_name
from napari_attnseg.settings.recipes import OF_THE_DATA

Groups = dict[str, dict[str, Any]]
"""Settings by group (data, model, training) and name."""

REFERENCE_MODELS = ("attention_se_unet", "unet")
"""Compared if neither models nor recipes are named: the default and the plain network."""


@dataclass(frozen=True)
class Variant:
    """One thing that is compared: a network that learns by a loss and, if one is named, by a recipe."""

    model: str
    loss: str
    recipe: str | None = None

    @property
    def name(self) -> str:
        """What it is called where space does not matter, and in file names."""
        return "-".join(part for part in (self.model, self.loss, self.recipe) if part)


@dataclass(frozen=True)
class AskedRun:
    """One training of a comparison."""

    variant: Variant
    seed: int
    fold: int | None = None
    """Counted from 0; None without folds."""

    @property
    def name(self) -> str:
        """The name of its run folder."""
        fold = "" if self.fold is None else f"-fold{self.fold + 1}"
        return f"{self.variant.name}{fold}-seed{self.seed}"


@dataclass(frozen=True)
class Asked:
    """All that decides what a comparison trains.

    `models` and `losses` may be empty: then the recipe's are taken, or the default ones. `given` are the settings of
    the command line, which go before those of a recipe.
    """

    data: Path
    models: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    recipes: dict[str, Groups] = field(default_factory=dict)
    repeats: int = 1
    folds: int = 0
    """How often the images are shared out anew so that each is held out once; 0: one split."""
    given: Groups = field(default_factory=dict)
    recipe_sources: tuple[str, ...] = ()
    """The recipes as they were named on the command line."""

    @property
    def seed(self) -> int:
        """The seed of the split and of the first repeat."""
        return make(RunSettings, self.given).training.seed

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What is compared, in the order in which it was asked for."""
        return tuple(variant for recipe in self.recipes or (None,) for variant in self._variants_of(recipe))

    @property
    def runs(self) -> tuple[AskedRun, ...]:
        """All trainings; those of one repeat come together, so that a comparison that is cut short stays fair."""
        folds = range(self.folds) if self.folds else (None,)
        return tuple(
            AskedRun(variant, self.seed + repeat, fold)
            for repeat in range(self.repeats)
            for fold in folds
            for variant in self.variants
        )

    @property
    def given_settings(self) -> list[tuple[str, str, str, Any]]:
        """The settings that were given, in the order of their options: group, name, name of the option, value."""
        return [
            (group, name, option_name(name, info), self.given[group][name])
            for group, kind in RunSettings.groups().items()
            for name, info in kind.model_fields.items()
            if name in self.given.get(group, {})
        ]

    def settings(self, variant: Variant, seed: int) -> RunSettings:
        """Return the settings of a training.

        What images and masks are and which are held out is the same for all, so that a recipe has no say in it.

        Raises
        ------
        SettingsError
            They do not go together; the message names the variant.
        """
        recipe = self.recipes.get(variant.recipe or "", {})
        groups = {name: {**recipe.get(name, {})} for name in RunSettings.groups()}
        for name in OF_THE_DATA:
            groups["data"].pop(name, None)
        for name, values in self.given.items():
            groups[name] |= values
        groups["model"]["name"] = variant.model
        groups["training"] |= {"loss": variant.loss, "seed": seed}
        try:
            return make(RunSettings, groups)
        except SettingsError as error:
            raise SettingsError(f"{variant.name} cannot be trained. {error}") from error

    def command(self, out: Path) -> str:
        """Return the command that asks for this."""
        words = ["napari-attnseg", "compare", str(self.data), *_option("models", self.models)]
        words += [*_option("losses", self.losses), *_option("recipes", self.recipe_sources)]
        words += ["--repeats", str(self.repeats), *(["--folds", str(self.folds)] if self.folds else [])]
        for _, _, option, value in self.given_settings:
            words += _setting_option(option, value)
        return shlex.join([*words, "--out", str(out)])

    def to_json(self) -> dict[str, Any]:
        """Return what comparison.json keeps of it."""
        return {
            "data": str(self.data.resolve()),
            "models": list(self.models),
            "losses": list(self.losses),
            "recipes": self.recipes,
            "repeats": self.repeats,
            "folds": self.folds,
            "settings": {name: values for name, values in self.given.items() if values},
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Asked:
        """Read back what `to_json` gave; raises KeyError or TypeError if it is something else."""
        return cls(
            Path(values["data"]),
            tuple(values["models"]),
            tuple(values["losses"]),
            dict(values["recipes"]),
            int(values["repeats"]),
            int(values["folds"]),
            dict(values["settings"]),
        )

    def _variants_of(self, recipe: str | None) -> Iterator[Variant]:
        groups = self.recipes.get(recipe or "", {})
        defaults = RunSettings()
        own_model = groups.get("model", {}).get("name", defaults.model.name)
        own_loss = groups.get("training", {}).get("loss", defaults.training.loss)
        models = self.models or ((own_model,) if recipe else REFERENCE_MODELS)
        yield from (Variant(model, loss, recipe) for model in models for loss in self.losses or (own_loss,))


def labels_of(variants: Sequence[Variant]) -> list[str]:
    """Return how each variant is called beside the others, by that in which they differ: 'unet (dice)'.

    Where each is a recipe of its own the recipe's name is enough.
    """
    recipes = [variant.recipe for variant in variants if variant.recipe]
    if len(set(recipes)) == len(variants) > 1:
        return recipes
    parts = [[getattr(variant, name) or "no recipe" for variant in variants] for name in ("model", "loss", "recipe")]
    varying = [part for part in parts if len(set(part)) > 1] or parts[:1]
    return [first + (f" ({', '.join(others)})" if others else "") for first, *others in zip(*varying, strict=True)]


def recipe_name(source: str) -> str:
    """Return what a recipe is called: a file by its name, without what does not suit a folder's name.

    The run.json of a run goes by the folder that it is in.
    """
    path = Path(source)
    name = path.stem if path.suffix.lower() == ".json" else source
    name = path.resolve().parent.name if path.name == "run.json" else name
    return re.sub(r"[^\w.+-]+", "_", name).strip("_") or "recipe"


def _option(name: str, values: Sequence[str]) -> list[str]:
    return [f"--{name}", *values] if values else []


def _setting_option(option: str, value: Any) -> list[str]:
    flag = option.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{'' if value else 'no-'}{flag}"]
    values = value if isinstance(value, list | tuple) else [value]
    return [f"--{flag}", *(str(item) for item in values)]
