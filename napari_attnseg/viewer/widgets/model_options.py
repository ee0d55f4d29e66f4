"""A folder's models as the choosers take them."""

from __future__ import annotations

from collections.abc import Iterable

from napari_attnseg.annotation.model_choices import ModelChoice
from napari_attnseg.viewer.widgets.model_chooser import ModelOption


def options_of(choices: Iterable[ModelChoice]) -> list[ModelOption]:
    """Return what a chooser offers for some models."""
    return [ModelOption(one.label, one.path, one.group, one.tooltip, one.details) for one in choices]
