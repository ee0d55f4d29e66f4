"""All that a training needs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from napari_attnseg.settings.data import DataSettings
from napari_attnseg.settings.declared import Settings
from napari_attnseg.settings.model import ModelSettings
from napari_attnseg.settings.training import TrainingSettings


class RunSettings(Settings):
    """All that a training needs; this is what `run.json` holds under `settings`."""

    data: DataSettings = Field(default_factory=DataSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)

    @classmethod
    def groups(cls) -> dict[str, type[BaseModel]]:
        """Return the groups by name, in the order in which they are shown."""
        return {"data": DataSettings, "model": ModelSettings, "training": TrainingSettings}


FINE_TUNING: dict[str, Any] = {
    "max_minutes": 1.25,
    "warmup": 0.1,
    "ema": 0.95,
    "steps_per_epoch": 20,
}
"""What suits a model that has learnt already and a few corrected images: short, with a score every 20 batches.

The learning rate stays that of a new model: in as many steps, less than half of it gained less on a new kind of image.
"""


def fine_tuning(settings: RunSettings) -> RunSettings:
    """Return the settings for learning from a few corrected images, from a model that knows others.

    Values that were given when `settings` was built stay as they are, defaults included that were given by name.
    """
    training = settings.training
    changes = {name: value for name, value in FINE_TUNING.items() if name not in training.model_fields_set}
    return settings.model_copy(update={"training": training.model_copy(update=changes)})
