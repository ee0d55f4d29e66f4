"""Every setting once: name, type, default, limits, label and help.

Command-line options, the viewer's forms and `run.json` are made from these classes; nothing else declares a setting.
The first sentence of a field's help is meant for a tooltip. A `unit` and whether a setting is `basic` (shown without
unfolding) stand in the field's extra data; `derived` marks values that the data decides and no user enters.
"""

from napari_attnseg.settings.by_name import settings_from, with_recipe
from napari_attnseg.settings.computing import DeviceName, PrecisionName
from napari_attnseg.settings.data import DataSettings
from napari_attnseg.settings.declared import Axes, option_name
from napari_attnseg.settings.making import make
from napari_attnseg.settings.model import FULL_WIDTHS, HALF_WIDTHS, ModelName, ModelSettings
from napari_attnseg.settings.objects import ObjectSettings, Reach
from napari_attnseg.settings.prediction import PredictionSettings
from napari_attnseg.settings.recipes import Recipe, load_recipe, read_recipe, recipe_names, recipe_values
from napari_attnseg.settings.run import RunSettings, fine_tuning
from napari_attnseg.settings.training import LossName, OptimiserName, ScheduleName, TrainingSettings

__all__ = [
    "FULL_WIDTHS",
    "HALF_WIDTHS",
    "Axes",
    "DataSettings",
    "DeviceName",
    "LossName",
    "ModelName",
    "ModelSettings",
    "ObjectSettings",
    "OptimiserName",
    "PrecisionName",
    "PredictionSettings",
    "Reach",
    "Recipe",
    "RunSettings",
    "ScheduleName",
    "TrainingSettings",
    "fine_tuning",
    "load_recipe",
    "make",
    "option_name",
    "read_recipe",
    "recipe_names",
    "recipe_values",
    "settings_from",
    "with_recipe",
]
