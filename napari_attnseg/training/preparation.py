"""Before the first batch: the images in memory, the network, and what it learns with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from napari_attnseg.data.image_cache import load_images, memory_limit
from napari_attnseg.data.patches import LoadedImage
from napari_attnseg.errors import Stopped
from napari_attnseg.events import Notice
from napari_attnseg.models.device import Compute
from napari_attnseg.models.initialise import InitialModel, initial_model
from napari_attnseg.training.checkpoint import Checkpoints
from napari_attnseg.training.class_weights import inverse_frequency
from napari_attnseg.training.feed import Feed
from napari_attnseg.training.group import ALONE, Group
from napari_attnseg.training.learner import Learner
from napari_attnseg.training.plan import Plan
from napari_attnseg.training.reporter import Reporter
from napari_attnseg.training.run_folder import RunFolder


@dataclass(frozen=True)
class Prepared:
    """All that the epochs need."""

    held_out: list[LoadedImage]
    feed: Feed
    learner: Learner
    checkpoints: Checkpoints
    starts_whole: bool
    """Whether it starts from a model that knows these very classes, and so can be scored before the first epoch."""


def prepare(
    plan: Plan,
    folder: RunFolder,
    compute: Compute,
    report: Reporter,
    say: Callable[[str], None],
    interrupted: Callable[[], bool],
    group: Group = ALONE,
) -> Prepared:
    """Read the images and build the network; then make the run folder, with the plan as run.json.

    Parameters
    ----------
    plan, folder, compute
        What to do, where to keep it, and what to compute on.
    report
        Called with notices.
    say
        Called with what is being done, for people.
    interrupted
        Asked again and again; True ends it.
    group
        The processes that train together; each reads all images, and the first one builds the network for all.

    Raises
    ------
    DataError, ModelFileError, SaveError
        Something cannot be used or written; nothing is written unless all could be read.
    Stopped
        `interrupted` returned True.
    """
    settings, convention = plan.settings.training, plan.convention
    limit = memory_limit(settings.image_memory, group.local_size)
    train, held_out = group.each(lambda: _images(plan, report, say, interrupted, limit))
    focus = [number for number, pair in enumerate(plan.train) if pair.image in plan.focus]
    feed = Feed(train, settings, compute, flips=plan.flips, focus=focus, group=group)

    def on_wait(message: str) -> None:
        if interrupted():
            raise Stopped
        if report.is_due():
            say(message)

    torch.manual_seed(settings.seed)

    def begin() -> InitialModel:
        start = initial_model(
            plan.settings.model,
            plan.init,
            convention.class_names,
            is_resumed=folder.state.exists(),
            on_wait=on_wait,
        )
        for notice in start.notices:
            report(Notice(notice))
        folder.create()
        folder.write_run(plan.to_json())
        return start

    start = group.from_first(begin)
    weights = inverse_frequency(train, convention.n_classes) if settings.class_weights == "inverse" else None
    learner = Learner(start.model, settings, compute, weights, group)
    return Prepared(held_out, feed, learner, Checkpoints(plan, folder, learner), start.is_whole)


def _images(
    plan: Plan, report: Reporter, say: Callable[[str], None], interrupted: Callable[[], bool], limit: int
) -> tuple[list[LoadedImage], list[LoadedImage]]:
    """Read the images that are trained on and those that are held out."""
    pairs = (*plan.train, *plan.held_out)

    def on_image(count: int) -> None:
        if count == 1 or count == len(pairs) or report.is_due():
            say(f"reading images, {count} of {len(pairs)}")

    channels = plan.settings.model.in_channels
    images = load_images(pairs, plan.convention, plan.settings.data, channels, on_image, interrupted, limit=limit)
    if len(images) < len(pairs):
        raise Stopped
    if on_disk := sum(not isinstance(image.pixels, np.ndarray) for image in images):
        report(
            Notice(
                f"{on_disk} of {len(images)} images do not fit into the {limit / 1e9:.1f} GB of memory for images and "
                "are read from their files again and again, which takes longer."
            )
        )
    return images[: len(plan.train)], images[len(plan.train) :]
