"""A folder's models as the choosers take them."""

from __future__ import annotations

from collections.abc import Iterable

from napari_attnseg.annotation.trainings.model_choices import BUILT_IN, ModelChoice
from napari_attnseg.viewer.widgets.model_chooser import ModelOption


def options_of(choices: Iterable[ModelChoice]) -> list[ModelOption]:
    """Return what a chooser offers for some models; what is built in says so itself and needs no heading."""
    return [
        ModelOption(
            one.label,
            one.path,
            "" if one.group == BUILT_IN else one.group,
            one.tooltip,
            one.details,
            is_natural=one.group == BUILT_IN and one.problem is None and not one.mismatch,
        )
        for one in choices
    ]
