"""What everyone learns from: the patches that our own training would see, cut beforehand, and images to score on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_attnseg.data.image_cache import load_images
from napari_attnseg.data.loading import network_input
from napari_attnseg.data.masks import read_mask
from napari_attnseg.data.pairs import find_pairs, require_annotated
from napari_attnseg.data.patches import LoadedImage
from napari_attnseg.data.tiff import read_image
from napari_attnseg.models.device import choose_compute
from napari_attnseg.settings import RunSettings
from napari_attnseg.training.evaluation import score_image
from napari_attnseg.training.feed import Feed
from napari_attnseg.training.metrics import mean_scores
from napari_attnseg.training.plan import Plan
from napari_attnseg.training.planning import make_plan


@dataclass(frozen=True)
class Lesson:
    """A folder with all of it.

    `patches.npy` is uint8 (batch, n, channel, y, x) and `masks.npy` uint8 (batch, n, y, x) of 0 and 1, augmented;
    `images/NAME.npy` are the images that they are cut from, float32 (channel, y, x) in [0, 1], with their masks in
    `labels`; `score` holds the images to score on.
    """

    folder: Path
    channels: int
    widths: tuple[int, ...]
    """Of the network that our training takes on this machine."""
    learnt: int
    """How many images are learnt from."""
    truths: dict[str, NDArray[np.uint8]]
    """Masks of the images to score on, class ids (y, x), by the path of the image's .npy file."""

    def f1(self, probabilities: list[str]) -> float:
        """Return the mean F1 over images, from the files that `peer.Peer.probabilities` wrote in the same order."""
        found = []
        for (name, truth), path in zip(self.truths.items(), probabilities, strict=True):
            labels = (np.load(path) > 0.5).astype(np.uint8)
            found.append(score_image(name, truth, labels, n_classes=2).scores)
        return mean_scores(found).f1


def write_lesson(train: Path, valid: Path, folder: Path, batches: int) -> Lesson:
    """Cut batches as a training of `train` with default settings does, and read the images of `valid`.

    Raises
    ------
    AttnSegError
        There is nothing to learn from, or nothing that fits it to score on.
    """
    plan = make_plan(train, RunSettings())
    for name in ("images", "labels", "score"):
        (folder / name).mkdir(parents=True)
    channels = plan.settings.model.in_channels
    images = load_images(plan.train, plan.convention, plan.settings.data, channels)
    for number, image in enumerate(images):
        _save(folder, f"{number:04d}.npy", image)
    _write_patches(folder, plan, images, batches)
    widths, truths = plan.settings.model.levels, dict(_scored(plan, valid, folder / "score"))
    return Lesson(folder, channels, widths, len(images), truths)


def _save(folder: Path, name: str, image: LoadedImage) -> None:
    np.save(folder / "images" / name, np.asarray(image.pixels[0], np.float32))
    np.save(folder / "labels" / name, image.labels[0])


def _write_patches(folder: Path, plan: Plan, images: list[LoadedImage], batches: int) -> None:
    settings = plan.settings.training
    feed = Feed(images, settings, choose_compute("cpu"), flips=plan.flips)
    size, count = settings.patch_size, settings.batch_size
    shape = (batches, count, plan.settings.model.in_channels, size, size)
    patches = np.lib.format.open_memmap(folder / "patches.npy", "w+", np.uint8, shape)
    masks = np.lib.format.open_memmap(folder / "masks.npy", "w+", np.uint8, (batches, count, size, size))
    with ThreadPoolExecutor(1) as pool:
        for step, batch in enumerate(feed.batches(0, batches, pool)):
            seen, labels, _ = feed.tensors(step, batch)
            patches[step] = (seen * 255).round().clamp(0, 255).byte().numpy()
            masks[step] = labels.byte().numpy()


def _scored(plan: Plan, valid: Path, folder: Path) -> list[tuple[str, NDArray[np.uint8]]]:
    data = plan.settings.data
    found: list[tuple[str, NDArray[np.uint8]]] = []
    for pair in require_annotated(find_pairs(valid, data.mask_suffix)):
        assert pair.mask is not None
        image = read_image(pair.image, data.axes)
        truth = read_mask(pair.mask, plan.convention, image.info)
        path = folder / f"{len(found):04d}.npy"
        np.save(path, network_input(image, data, plan.settings.model.in_channels)[0])
        found.append((str(path), truth[0]))
    return found
