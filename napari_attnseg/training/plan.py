"""What a training will do, decided before it starts: which images, which classes, which network.

The plan is written to `run.json`; a resumed run reads it back and decides nothing anew.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.pairs import Pair
from napari_attnseg.data.split import Roles
from napari_attnseg.errors import DataError, RunFolderError, SettingsError
from napari_attnseg.settings import RunSettings, option_name, settings_from
from napari_attnseg.wording import counted

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Plan:
    """Everything that is settled before the first batch."""

    settings: RunSettings
    source: Path
    train: tuple[Pair, ...]
    held_out: tuple[Pair, ...]
    convention: MaskConvention
    init: Path | None = None
    notices: tuple[str, ...] = ()
    focus: frozenset[Path] = frozenset()
    """The images to concentrate on, of those that are trained on."""
    roles: Roles = field(default_factory=Roles)
    """What the weights will have seen and what they have not, the starting model's images included."""

    @property
    def flips(self) -> bool:
        """Whether patches are mirrored and turned by quarters."""
        asked = self.settings.training.flips
        return asked == "on" or (asked == "auto" and self.convention.n_classes == 2)

    @property
    def summary(self) -> str:
        """What will be done, for the user."""
        count, held = len(self.train), len(self.held_out)
        classes = ", ".join(self.convention.class_names[1:])
        start = f", starting from {self.init.name}" if self.init else ""
        focus = f" ({len(self.focus)} of them above all)" if self.focus else ""
        return (
            f"Learn {classes} from {counted(count, 'image')}{focus}, {held or 'none'} held out, "
            f"with {self.settings.model.name} ({' '.join(map(str, self.settings.model.levels))}){start}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of run.json."""
        return {
            "format_version": FORMAT_VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {
                "napari-attnseg": version("napari-attnseg"),
                "python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
            "seed": self.settings.training.seed,
            "source": str(self.source.resolve()),
            "init": str(self.init.resolve()) if self.init else None,
            "settings": self.settings.model_dump(mode="json"),
            "masks": self.convention.to_dict(),
            "focus": sorted(str(path.resolve()) for path in self.focus),
            "split": {"train": _paths(self.train), "held_out": _paths(self.held_out)},
            "digests": self.roles.to_lists(),
            "notices": list(self.notices),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Plan:
        """Read back what `to_json` gave.

        Raises
        ------
        RunFolderError
            Something is missing or of the wrong kind.
        """
        try:
            return cls(
                settings=RunSettings.model_validate(values["settings"]),
                source=Path(values["source"]),
                train=_pairs(values["split"]["train"]),
                held_out=_pairs(values["split"]["held_out"]),
                convention=MaskConvention.from_dict(values["masks"]),
                init=Path(values["init"]) if values["init"] else None,
                notices=tuple(values["notices"]),
                focus=frozenset(Path(path) for path in values["focus"]),
                roles=Roles.from_lists(values["digests"]) or Roles(),
            )
        except (KeyError, TypeError, ValidationError, DataError) as error:
            raise RunFolderError(
                f"run.json is damaged or from another version ({error}); it cannot be resumed."
            ) from error


MAY_CHANGE = ("epochs", "max_minutes", "device", "precision", "image_memory")
"""Training settings that a resumed run may be given anew: for how long it learns, and on what machine."""


def resumed(plan: Plan, values: dict[str, Any]) -> Plan:
    """Return the plan of a run that goes on, with those of the settings by name that may be others than before.

    Raises
    ------
    SettingsError
        Another one differs from what the run was started with; it is named.
    """
    _require_same(plan, values)
    asked = settings_from(values).training
    given = {name: getattr(asked, name) for name in MAY_CHANGE if values.get(name) is not None}
    training = plan.settings.training.model_copy(update=given)
    return replace(plan, settings=plan.settings.model_copy(update={"training": training}))


def _require_same(plan: Plan, values: dict[str, Any]) -> None:
    """Refuse settings by name that differ from those that a run was started with, where they would be ignored.

    Raises
    ------
    SettingsError
        One differs; it is named.
    """
    asked = settings_from(values)
    for group, kind in RunSettings.groups().items():
        for name, info in kind.model_fields.items():
            option = option_name(name, info)
            given = option if option in values else name
            if given not in values or name in MAY_CHANGE:
                continue
            was = getattr(getattr(plan.settings, group), name)
            wanted = getattr(getattr(asked, group), name)
            decided = name == "widths" and wanted is None  # by the plan, for the machine
            if was != wanted and not decided:
                raise SettingsError(
                    f"This run was started with {given} {was} and goes on with it; {given} {wanted} needs a new run."
                )


def _paths(pairs: Sequence[Pair]) -> list[dict[str, str]]:
    return [{"image": str(pair.image.resolve()), "mask": str(pair.mask.resolve())} for pair in pairs if pair.mask]


def _pairs(values: Sequence[dict[str, str]]) -> tuple[Pair, ...]:
    return tuple(Pair(Path(item["image"]), Path(item["mask"])) for item in values)
