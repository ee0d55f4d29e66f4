"""The one trainer: epochs of random patches, each followed by scoring whole held-out images and saving.

It reports through events, can be stopped between any two batches, and goes on from its run folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_attnseg.data.augment import Augmenter
from napari_attnseg.data.loading import load_images
from napari_attnseg.data.patches import LoadedImage, PatchBatch, PatchSampler
from napari_attnseg.errors import AttnSegError
from napari_attnseg.events import (
    CheckpointSaved,
    EpochEnd,
    Event,
    EventHandler,
    Notice,
    Progress,
    Started,
    ignore_event,
)
from napari_attnseg.models.device import choose_compute
from napari_attnseg.models.initialise import initial_model
from napari_attnseg.training.checkpoint import Checkpoints, Position
from napari_attnseg.training.curves import TensorBoard, draw_curves
from napari_attnseg.training.learner import Learner
from napari_attnseg.training.plan import Plan
from napari_attnseg.training.run_folder import MetricsRow, RunFolder
from napari_attnseg.training.schedule import learning_rate_factor
from napari_attnseg.training.validation import Stopped, validate

_SETTLING_BATCHES = 4
_SECONDS_BETWEEN_PROGRESS = 0.5
_SECONDS_BETWEEN_STATES = 120.0


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended."""

    epochs: int
    best_score: float | None
    """The selection score of the best epoch on the held-out images; None without any."""
    minutes: float
    was_stopped: bool
    folder: RunFolder
    reason: str
    """Why it ended, for the user."""


class Trainer:
    """One run of training in one folder.

    Parameters
    ----------
    plan
        What to do, as `make_plan` or a run's `run.json` gives it.
    folder
        The run folder; it is made, with the plan as run.json, once everything is read and found usable.
    on_event
        Called with every event; the events are also appended to the folder's events.jsonl.
    should_stop
        Asked before every batch; True saves everything and ends.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        on_event: EventHandler = ignore_event,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.plan = plan
        self.settings = plan.settings.training
        self.folder = folder
        self._handler = on_event
        self._should_stop = should_stop
        self._began = time.monotonic()
        self._last_progress = 0.0
        self._last_state = self._began
        self._first_step = self._began
        self._validation_seconds = 0.0
        self._losses: list[Tensor] = []
        self._board: TensorBoard | None = None
        self._early: list[Event] = []  # events from before there was a folder
        self.position = Position()
        self.rows: list[MetricsRow] = []

    def run(self) -> TrainingResult:
        """Train until an end is reached.

        Raises
        ------
        DataError, ModelFileError, SettingsError, SaveError, RunFolderError
            What was asked for cannot be done; what is in the run folder stays usable.
        """
        self.compute = choose_compute(self.settings.device, self.settings.precision)
        self._report(Started(self.plan.summary, self.compute.description, {"run": str(self.folder.path)}))
        for notice in self.plan.notices:
            self._report(Notice(notice))
        try:
            self._prepare()
            with ThreadPoolExecutor(1, thread_name_prefix="patches") as pool:
                reason = self._epochs(pool)
        except Stopped:
            result = self._stopped()
        else:
            result = self._result(reason, was_stopped=False)
        self._finish()
        return result

    def _finish(self) -> None:
        if self._board is not None:
            self._board.close()
        if self.rows:
            draw_curves(self.folder.curves, self.rows)

    # Preparation

    def _prepare(self) -> None:
        self.train, self.held_out = self._load()
        settings = self.settings
        self.augmenter = Augmenter(settings.augmentation, settings.patch_size)
        self.sampler = PatchSampler(
            self.train, size=self.augmenter.source_size, foreground=settings.foreground, seed=settings.seed
        )
        self.flips = settings.flips == "on" or (settings.flips == "auto" and self.plan.convention.n_classes == 2)
        self.steps_per_epoch = settings.steps_per_epoch or self._automatic_steps()
        torch.manual_seed(settings.seed)
        model, notices = initial_model(self.plan.settings.model, self.plan.init)
        for notice in notices:
            self._report(Notice(notice))
        self.folder.create()
        self.folder.write_run(self.plan.to_json())
        self.learner = Learner(model, settings, self.compute)
        self.checkpoints = Checkpoints(self.plan, self.folder, self.learner)
        restored = self.checkpoints.restore()
        if restored is not None:
            self.position, self.rows = restored
            self._began -= self.position.seconds
            self._report(Notice(f"Resumed after epoch {self.position.epoch}, step {self.position.step}."))
        elif self.plan.init is not None and self.held_out:
            self._score_start()
        self._board = TensorBoard(self.folder.path, self.position.epoch + 1)

    def _load(self) -> tuple[list[LoadedImage], list[LoadedImage]]:
        plan, model = self.plan, self.plan.settings.model
        total = len(plan.train) + len(plan.held_out)

        def on_image(count: int) -> None:
            self._progress(0.0, f"reading images, {count} of {total}")

        images = load_images(
            (*plan.train, *plan.held_out),
            plan.convention,
            plan.settings.data,
            model.in_channels,
            on_image,
            self._should_stop,
        )
        if len(images) < total:
            raise Stopped
        return images[: len(plan.train)], images[len(plan.train) :]

    def _automatic_steps(self) -> int:
        per_step = self.settings.batch_size * self.settings.patch_size**2
        return int(np.clip(round(self.sampler.pixels / per_step), 20, 500))

    def _score_start(self) -> None:
        """Score the starting model, so that only a better one counts as best."""
        self.learner.averaged.eval()
        found = validate(self.learner.averaged, self.held_out, self.compute, self.plan, self._should_stop)
        self.position.best_score = found.score
        self._report(Notice(f"The starting model scores {found.score:.3f} on the held-out images."))
        self._save_models(is_best=True)

    # Epochs

    def _epochs(self, pool: ThreadPoolExecutor) -> str:
        settings = self.settings
        while self.position.epoch < settings.epochs:
            if self._time_is_up() and self.position.epoch > 0:
                return f"the time limit of {settings.max_minutes:g} minutes is reached"
            self._one_epoch(pool)
            if settings.patience and self.position.epochs_without_gain >= settings.patience:
                return f"no better score for {settings.patience} epochs"
        return f"all {settings.epochs} epochs are done"

    def _one_epoch(self, pool: ThreadPoolExecutor) -> None:
        if self.position.step == 0:
            self._first_step = time.monotonic()
        self._losses = [torch.tensor(loss) for loss in self.position.losses]
        for batch in self._batches(pool):
            if self._should_stop():
                raise Stopped
            self._losses.append(self._step(batch))
            self.position.step += 1
            self.position.step_in_epoch += 1
            self._after_step()
            if self._time_is_up():
                break
        self._end_epoch()

    def _batches(self, pool: ThreadPoolExecutor) -> Iterator[PatchBatch]:
        """Yield the epoch's remaining batches, cutting the next while the current one is learnt."""
        count = self.steps_per_epoch - self.position.step_in_epoch
        ahead: Future[PatchBatch] | None = None
        for index in range(count):
            batch = ahead.result() if ahead else self._cut(self.position.step)
            ahead = pool.submit(self._cut, self.position.step + 1) if index + 1 < count else None
            yield batch

    def _cut(self, step: int) -> PatchBatch:
        return self.sampler.batch(step, self.settings.batch_size, flips=self.flips)

    def _step(self, batch: PatchBatch) -> Tensor:
        torch.manual_seed((self.settings.seed << 32) + self.position.step)
        tensors = self._on_device(batch)
        rate = self.settings.learning_rate * learning_rate_factor(self._share_done(), self.settings.warmup)
        while True:
            try:
                images, labels, valid = self.augmenter(*tensors)
                return self.learner.step(images, labels, valid, rate)
            except torch.OutOfMemoryError as error:
                if not self.learner.split_further():
                    raise AttnSegError(
                        f"The GPU's memory is too small for a single patch of {self.settings.patch_size} pixels; "
                        "choose a smaller patch size or smaller widths."
                    ) from error
                part = -(-self.settings.batch_size // self.learner.chunks)
                self._report(Notice(f"The GPU's memory ran out; going on with {part} patches at a time."))

    def _on_device(self, batch: PatchBatch) -> tuple[Tensor, Tensor, Tensor | None]:
        valid = None if batch.valid is None else torch.from_numpy(batch.valid).to(self.compute.device)
        labels = torch.from_numpy(batch.labels).to(self.compute.device).long()
        return self.compute.images(torch.from_numpy(batch.images)), labels, valid

    def _after_step(self) -> None:
        now = time.monotonic()
        if now - self._last_progress >= _SECONDS_BETWEEN_PROGRESS:
            self._require_finite(self._losses[-1])
            self._report_step()
        if now - self._last_state >= _SECONDS_BETWEEN_STATES:
            self._save_state()

    def _end_epoch(self) -> None:
        loss = float(torch.stack(self._losses).mean())
        rate = self.settings.learning_rate * learning_rate_factor(self._share_done(), self.settings.warmup)
        row: MetricsRow = {"epoch": self.position.epoch + 1, "loss": loss, "learning_rate": rate}
        began = time.monotonic()
        self._settle()
        is_best = True
        if self.held_out:
            found = validate(self.learner.averaged, self.held_out, self.compute, self.plan, self._should_stop)
            row |= found.row
            best = self.position.best_score
            is_best = best is None or found.score > best
            self.position.best_score = found.score if is_best else best
        self._validation_seconds = time.monotonic() - began
        self.position.epoch += 1
        self.position.step_in_epoch = 0
        self.position.epochs_without_gain = 0 if is_best else self.position.epochs_without_gain + 1
        row["minutes"] = (time.monotonic() - self._began) / 60
        self.rows.append(row)
        self._save_models(is_best=is_best)
        self.folder.write_metrics(self.rows)
        self._save_state()
        assert self._board is not None
        self._board.add(row)
        self._report(EpochEnd(self.position.epoch, row, is_best))

    def _settle(self) -> None:
        """Measure batch normalisation's statistics on patches as prediction sees them: larger, and not augmented.

        The batches are as large as in training: within smaller ones images differ less, and the variance comes out low.
        """
        patches = PatchSampler(self.train, size=2 * self.settings.patch_size, foreground=0.0, seed=self.settings.seed)
        batches = (
            self.compute.images(torch.from_numpy(patches.batch(n, self.settings.batch_size, flips=self.flips).images))
            for n in range(_SETTLING_BATCHES)
        )
        self.learner.settle(batches)

    # Ends, saving and reporting

    def _time_is_up(self) -> bool:
        """Whether only the time for scoring and saving is left."""
        if self.settings.max_minutes is None:
            return False
        reserve = (self._validation_seconds or self._expected_validation_seconds()) * 1.2 + 1.0
        return time.monotonic() - self._began >= self.settings.max_minutes * 60 - reserve

    def _expected_validation_seconds(self) -> float:
        """Estimate the first scoring's time from the steps so far: a forward pass is about a third of a step."""
        pixels = self.position.step * self.settings.batch_size * self.settings.patch_size**2
        if not pixels:
            return 0.0
        held_out = sum(image.labels.size for image in self.held_out)
        return (time.monotonic() - self._first_step) * held_out / pixels / 3

    def _share_done(self) -> float:
        """Return the share of the training that is over, 0 to 1, by steps or by time, whichever ends it first."""
        by_steps = self.position.step / (self.settings.epochs * self.steps_per_epoch)
        if self.settings.max_minutes is None:
            return min(by_steps, 1.0)
        by_time = (time.monotonic() - self._began) / (self.settings.max_minutes * 60)
        return min(max(by_steps, by_time), 1.0)

    def _require_finite(self, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise AttnSegError(
                "The training diverged (the loss is not a number any more); choose a smaller learning rate. "
                f"The model as of epoch {self.position.epoch} is kept."
            )

    def _stopped(self) -> TrainingResult:
        if self.position.step > 0:
            self.learner.averaged.eval()
            self._save_models(is_best=False)
            self._save_state()
        return self._result("it was stopped", was_stopped=True)

    def _result(self, reason: str, *, was_stopped: bool) -> TrainingResult:
        position = self.position
        minutes = (time.monotonic() - self._began) / 60
        return TrainingResult(position.epoch, position.best_score, minutes, was_stopped, self.folder, reason)

    def _save_models(self, *, is_best: bool) -> None:
        row = self.rows[-1] if self.rows else {}
        for path in self.checkpoints.save_models(self.position, row, is_best=is_best):
            self._report(CheckpointSaved(str(path), path == self.folder.best, self.position.best_score))

    def _save_state(self) -> None:
        self.position.seconds = time.monotonic() - self._began
        unfinished = self.position.step_in_epoch > 0
        self.position.losses = torch.stack(self._losses).tolist() if unfinished and self._losses else []
        self.checkpoints.save_state(self.position)
        self._last_state = time.monotonic()

    def _report_step(self) -> None:
        share = self._share_done()
        elapsed = time.monotonic() - self._began
        self._progress(
            share,
            f"epoch {self.position.epoch + 1}, batch {self.position.step_in_epoch} of {self.steps_per_epoch}",
            seconds_left=elapsed / share - elapsed if share > 0.01 else None,
            images_per_second=self.position.step * self.settings.batch_size / elapsed,
        )

    def _progress(self, done: float, message: str, **more: float | None) -> None:
        self._last_progress = time.monotonic()
        loss = float(self._losses[-1]) if self._losses else None
        self._report(Progress(done, message, details={"loss": loss}, **more))

    def _report(self, event: Event) -> None:
        self._early.append(event)
        if self.folder.path.is_dir():
            for one in self._early:
                self.folder.append_event(one)
            self._early = []
        self._handler(event)
