"""The one trainer: epochs of random patches, each followed by scoring whole held-out images and saving.

It reports through events, can be stopped and paused between any two batches, and goes on from its run folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import torch
from torch import Tensor

from napari_attnseg.errors import AttnSegError, Stopped
from napari_attnseg.events import CheckpointSaved, EpochEnd, Notice
from napari_attnseg.models.device import choose_compute
from napari_attnseg.training.checkpoint import Position
from napari_attnseg.training.group import ALONE, Group
from napari_attnseg.training.history import History
from napari_attnseg.training.learner import is_finite
from napari_attnseg.training.pace import Pace
from napari_attnseg.training.plan import Plan
from napari_attnseg.training.preparation import prepare
from napari_attnseg.training.reporter import Reporter, progress_of, started_of
from napari_attnseg.training.requests import Requests
from napari_attnseg.training.result import TrainingResult
from napari_attnseg.training.run_folder import MetricsRow, RunFolder
from napari_attnseg.training.schedule import learning_rate, lowered_at
from napari_attnseg.training.steps import Steps
from napari_attnseg.training.validation import Validation, validate

_SECONDS_BETWEEN_STATES = 120.0
_SETTLING_BATCHES_AT_A_STOP = 1


class Trainer:
    """One run of training in one folder.

    Parameters
    ----------
    plan
        What to do, as `make_plan` or a run's `run.json` gives it.
    folder
        The run folder; it is made, with the plan as run.json, once everything is read and found usable.
    report
        Called with every event.
    should_stop
        Asked before every batch; True saves everything and ends.
    should_pause
        Asked before every batch; nothing is done while it says True, unless to stop.
    group
        The processes that train together. The first one is asked, decides, writes and reports; what it decides all do.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        report: Reporter,
        should_stop: Callable[[], bool] = lambda: False,
        should_pause: Callable[[], bool] = lambda: False,
        group: Group = ALONE,
    ) -> None:
        self.plan = plan
        self.settings = plan.settings.training
        self.folder = folder
        self.pace = Pace(self.settings)
        self.position = Position()
        self.group = group
        self.history = History(folder, writes=group.is_first)
        self._report = report
        requests = Requests(should_stop, should_pause, self.pace, self._on_pause)
        # the others are asked where each works by itself, such as in scoring; else they would go on to its end
        self._interrupted = requests.interrupted if group.is_first else should_stop
        self._start_row: MetricsRow = {}
        self._losses: list[Tensor] = []
        self._waiting: list[tuple[float, float]] = []  # of each epoch: seconds waited for patches, of how many
        self._last_state = float("-inf")

    def run(self) -> TrainingResult:
        """Train until an end is reached.

        Raises
        ------
        DataError, ModelFileError, SettingsError, SaveError, RunFolderError
            What was asked for cannot be done; what is in the run folder stays usable.
        """
        self.compute = self.group.described(choose_compute(self.settings.device, self.settings.precision))
        self.compute.half.tell = lambda text: self._report(Notice(text))
        self._report(started_of(self.plan, self.folder, self.compute))
        for notice in self.plan.notices:
            self._report(Notice(notice))
        try:
            self._prepare()
            with ThreadPoolExecutor(self.compute.cutters, thread_name_prefix="patches") as pool:
                reason = self._epochs(pool)
        except Stopped:
            result = self._stopped()
        else:
            result = self._result(reason, was_stopped=False)
        self.history.close()
        return result

    # Preparation

    def _prepare(self) -> None:
        found = prepare(
            self.plan, self.folder, self.compute, self._report, self._progress, self._interrupted, self.group
        )
        self.held_out, self.feed, self.learner = found.held_out, found.feed, found.learner
        self.checkpoints = found.checkpoints
        self._steps = Steps(self.learner, self.feed, self.group, self._report)
        self.pace.steps_per_epoch = self.feed.steps_per_epoch
        self.pace.scored_pixels = sum(image.labels.size for image in self.held_out) // self.group.size
        restored = self.checkpoints.restore()
        self._last_state = time.monotonic()
        if restored is not None:
            self._go_on(*restored)
        elif found.starts_whole and self.held_out:
            self._score_start()

    def _go_on(self, position: Position, rows: list[MetricsRow]) -> None:
        self.position, self.history.rows = position, rows
        self.pace.add_earlier(position.seconds)
        if position.patch_size is not None:
            self.feed.use_patches(position.patch_size)
        self._report(Notice(f"Resumed after epoch {position.epoch}, step {position.step}."))

    def _score_start(self) -> None:
        """Score the starting model, so that only a better one counts as best."""
        self.learner.averaged.eval()
        found = self._validate()
        self._start_row = found.row
        self.position.best_score = self.position.start_score = found.score
        self._report(Notice(f"The starting model scores {found.score:.3f} on the held-out images."))
        self._save_models(is_best=True)

    # Epochs

    def _epochs(self, pool: ThreadPoolExecutor) -> str:
        settings = self.settings
        while self.position.epoch < settings.epochs:
            if self._is_time_up() and self.position.epoch > 0:
                return f"the time limit of {settings.max_minutes:g} minutes is reached"
            self._one_epoch(pool)
            if settings.patience and self.position.epochs_without_gain >= settings.patience:
                return f"no better score for {settings.patience} epochs"
        return f"all {settings.epochs} epochs are done"

    def _one_epoch(self, pool: ThreadPoolExecutor) -> None:
        position = self.position
        self._losses = list(torch.tensor(position.losses, device=self.compute.device))
        count = self.pace.steps_per_epoch - position.step_in_epoch
        self.pace.begin_steps()
        began, waited = self.pace.seconds, self.feed.waited
        for batch in self.feed.batches(position.step, count, pool):
            if self.group.first_says(self._interrupted):
                raise Stopped
            self._losses.append(self._steps.learn(position.step, batch, self._learning_rate()))
            if self.feed.patch_size != self.settings.patch_size:
                position.patch_size = self.feed.patch_size
            position.step += 1
            position.step_in_epoch += 1
            self._after_step()
            if self._is_time_up():
                break
        self._waiting.append((self.feed.waited - waited, self.pace.seconds - began))
        self._end_epoch()

    def _after_step(self) -> None:
        position, is_due = self.position, self.group.first_says(self._report.is_due)
        if is_due:  # not at each step: looking at the loss waits for the GPU
            self._require_finite(self._losses[-1])
        self.pace.step_done()
        if is_due:
            self._progress(f"epoch {position.epoch + 1}, batch {position.step_in_epoch} of {self.pace.steps_per_epoch}")
        if time.monotonic() - self._last_state >= _SECONDS_BETWEEN_STATES:
            self._save_state()

    def _end_epoch(self) -> None:
        position = self.position
        losses = torch.stack(self._losses)
        self._require_finite(losses)
        loss = float(losses.mean())
        row: MetricsRow = {"epoch": position.epoch + 1, "loss": loss, "learning_rate": self._learning_rate()}
        self._settle()
        self._require_finite(self.learner.largest_weights())
        is_best = True
        if self.held_out:
            found = self._validate()
            row |= found.row
            is_best = position.best_score is None or found.score > position.best_score
            position.best_score = found.score if is_best else position.best_score
        lowered = lowered_at(self.position.plateau, self.settings, row)
        if lowered is not None:
            self._report(Notice(lowered))
        position.epoch += 1
        position.step_in_epoch = 0
        position.epochs_without_gain = 0 if is_best else position.epochs_without_gain + 1
        waited, took = self._waiting[-1]
        row["waiting"] = waited / max(took, waited, 1e-9)
        row["minutes"] = self.pace.seconds / 60
        self.history.rows.append(row)
        self._save_models(is_best=is_best)
        self.history.write()
        self._save_state()
        self._report(EpochEnd(position.epoch, row, is_best))
        self.history.show()

    def _require_finite(self, values: Tensor) -> None:
        """Make sure that the network still learns, before anything is saved of it."""
        if self.group.any_says(not is_finite(values)):
            kept = f" The model as of epoch {self.position.epoch} is kept." if self.position.epoch else ""
            raise AttnSegError(
                "The training diverged (the loss is not a number any more); choose a smaller learning rate." + kept
            )

    def _validate(self) -> Validation:
        """Score the held-out images; raises `Stopped` if that is asked for meanwhile."""
        self._progress("scoring held-out images")

        def on_image(count: int) -> None:
            if self._report.is_due():
                self._progress(f"scoring held-out images, {count} of {len(self.held_out)}")

        with self.pace.scoring():
            model, loss = self.learner.averaged, self.learner.loss
            return validate(
                model, self.held_out, self.compute, self.plan, loss, self._interrupted, on_image, self.group
            )

    def _settle(self) -> None:
        """Measure the statistics of batch normalisation on the first process, and give all its network."""
        if self.group.is_first:
            self.learner.settle(self.feed.settling_batches, 2 * self.feed.patch_size)  # nearer to what prediction sees
        self.learner.averaged.eval()
        self.group.follow_first(self.learner.averaged)

    def _learning_rate(self) -> float:
        share = self.group.first_says(lambda: self.pace.share_done(self.position.step))
        return learning_rate(self.settings, share, self.position.plateau)

    def _is_time_up(self) -> bool:
        return self.settings.max_minutes is not None and bool(self.group.first_says(self.pace.is_time_up))

    # Ends, saving and reporting

    def _stopped(self) -> TrainingResult:
        if self.position.step > 0 and self.group.is_first:
            self._save_state()  # before the statistics are measured, which an uninterrupted run does not do here
            is_only = not self.folder.best.exists()
            if is_only:  # it will be used as it is; one small batch does, since whoever stops waits for it
                few = _SETTLING_BATCHES_AT_A_STOP
                self.learner.settle(lambda size: islice(self.feed.settling_batches(size), few), self.feed.patch_size)
            self.learner.averaged.eval()
            self._save_models(is_best=is_only)
        return self._result("it was stopped", was_stopped=True)

    def _result(self, reason: str, *, was_stopped: bool) -> TrainingResult:
        position = self.position
        minutes = self.pace.seconds / 60
        waited, took = (sum(part) for part in zip(*self._waiting, strict=True)) if self._waiting else (0.0, 0.0)
        return TrainingResult(
            position.epoch,
            position.best_score,
            minutes,
            was_stopped,
            self.folder,
            reason,
            position.start_score,
            waited / took if took > 0 else None,
        )

    def _save_models(self, *, is_best: bool) -> None:
        self.position.seconds = self.pace.seconds
        row = self.history.rows[-1] if self.history.rows else self._start_row
        if self.position.step_in_epoch > 0:  # these weights have not been scored
            row = {}
        for path in self.checkpoints.save_models(self.position, row, is_best=is_best):
            self._report(CheckpointSaved(str(path), path == self.folder.best, self.position.best_score))

    def _save_state(self) -> None:
        if self._losses and not is_finite(self._losses[-1]):
            return  # what was saved before can be gone on with
        self.position.seconds = self.pace.seconds
        unfinished = self.position.step_in_epoch > 0
        self.position.losses = torch.stack(self._losses).tolist() if unfinished and self._losses else []
        self.checkpoints.save_state(self.position)
        self._last_state = time.monotonic()

    def _on_pause(self, begins: bool) -> None:
        self._progress("paused" if begins else "going on", paused=begins)

    def _progress(self, message: str, *, paused: bool = False) -> None:
        loss = float(self._losses[-1]) if self._losses else None
        self._report(progress_of(message, self.position, self.pace, self.compute, loss=loss, paused=paused))
