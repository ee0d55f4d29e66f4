"""What a training saves: the model files for people, the state for resuming.

The state is written last. A process that is killed between two writes leaves a state that is older than the model
files, and a resumed run makes those files again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from napari_attnseg.data.split import Roles
from napari_attnseg.errors import RunFolderError
from napari_attnseg.models.model_card import ModelCard, load_card
from napari_attnseg.models.model_file import save_model
from napari_attnseg.models.presets import PRESETS
from napari_attnseg.training.learner import Learner
from napari_attnseg.training.plan import Plan
from napari_attnseg.training.run_folder import MetricsRow, RunFolder
from napari_attnseg.training.schedule import Plateau


@dataclass
class Position:
    """How far a training is."""

    epoch: int = 0
    """Epochs that are over."""
    step: int = 0
    """Batches learnt in all."""
    step_in_epoch: int = 0
    seconds: float = 0.0
    """Time spent, over all sessions of the run."""
    best_score: float | None = None
    start_score: float | None = None
    """What the starting model scored; None without one, or where it cannot be scored on these classes."""
    patch_size: int | None = None
    """What the patches had to be made, for the GPU's memory; None: as the settings say."""
    epochs_without_gain: int = 0
    plateau: Plateau = field(default_factory=Plateau)
    losses: list[float] = field(default_factory=list)
    """Losses of the batches of an unfinished epoch."""


class Checkpoints:
    """Writes and restores the checkpoints of one run; of several processes the first one does."""

    def __init__(self, plan: Plan, folder: RunFolder, learner: Learner) -> None:
        self.group = learner.group
        self.plan = plan
        self.folder = folder
        self.learner = learner

    def save_models(self, position: Position, row: MetricsRow, *, is_best: bool) -> list[Path]:
        """Write last.safetensors, and best.safetensors if it is the best so far; return what was written."""
        if not self.group.is_first:
            return []
        card = self._card(position, row)
        paths = [self.folder.last, self.folder.best] if is_best else [self.folder.last]
        for path in paths:
            save_model(path, self.learner.averaged, card)
        return paths

    def save_state(self, position: Position) -> None:
        """Write state.pt."""
        if self.group.is_first:
            self.folder.write_state({"position": asdict(position), **self.learner.state()})

    def restore(self) -> tuple[Position, list[MetricsRow]] | None:
        """Load state.pt into the learner; None if there is none.

        Raises
        ------
        RunFolderError
            The state is damaged.
        """
        state, rows = self.group.from_first(lambda: (self.folder.read_state(), self.folder.read_metrics()))
        if state is None:
            return None
        try:
            values = state.pop("position")
            position = Position(**values | {"plateau": Plateau(**values.get("plateau", {}))})
        except (KeyError, TypeError) as error:
            raise RunFolderError(f"'{self.folder.state}' holds no training state ({error}).") from error
        self.learner.load_state(state)
        return position, [row for row in rows if row["epoch"] <= position.epoch]

    def _card(self, position: Position, row: MetricsRow) -> ModelCard:
        settings = self.plan.settings
        is_start = position.step == 0 and self.plan.init is not None
        return ModelCard(
            model=settings.model.model_copy(update={"encoder_weights": None}),  # this file has all weights
            data=settings.data.model_copy(update={"val": None}),
            masks=self.plan.convention.to_dict(),
            patch_size=position.patch_size or settings.training.patch_size,
            training=self._of_start() if is_start else self._of_run(position),
            scores={name.removeprefix("val_"): value for name, value in row.items() if name.startswith("val_")},
        )

    def _of_run(self, position: Position) -> dict[str, Any]:
        """Say how the weights came about."""
        return {
            "version": version("napari-attnseg"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "images": len(self.plan.train),
            "held_out": len(self.plan.held_out),
            "epochs": position.epoch,
            "steps": position.step,
            "minutes": round(position.seconds / 60, 3),
            "start": self.plan.init.name if self.plan.init else None,
            "encoder_weights": self._encoder_weights(),
            "settings": self.plan.settings.training.model_dump(mode="json"),
            **self.plan.roles.to_lists(),
        }

    def _encoder_weights(self) -> str | None:
        """Name what the encoder began with, without its folder; None if it learnt from nothing."""
        model = self.plan.settings.model
        if model.encoder_weights is None or PRESETS[model.name].encoder == "plain":
            return None
        return Path(model.encoder_weights).name

    def _of_start(self) -> dict[str, Any]:
        """Say how the starting model came about: these still are its weights, which have seen no new image."""
        assert self.plan.init is not None
        training = load_card(self.plan.init).training
        earlier = Roles.from_lists(training)
        if earlier is None:
            return training
        return training | earlier.followed_by(Roles(held_out=self.plan.roles.held_out)).to_lists()
