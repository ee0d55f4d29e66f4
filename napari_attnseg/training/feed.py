"""The batches of a training: cut ahead of time, put on the device, and made smaller where they do not fit."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from napari_attnseg.data.augment import Augmenter
from napari_attnseg.data.patches import LoadedImage, PatchBatch, PatchSampler
from napari_attnseg.errors import SettingsError
from napari_attnseg.models.device import Compute
from napari_attnseg.settings import TrainingSettings
from napari_attnseg.training.group import ALONE, Group

SMALLEST_PATCH = 32
_SETTLING_BATCHES = 4
_BATCHES_AHEAD = 2
_SHORTEST_EPOCH, _LONGEST_EPOCH = 20, 500

Tensors = tuple[Tensor, Tensor, Tensor | None]


class Feed:
    """Patches of the images that are trained on, augmented, on the device.

    Parameters
    ----------
    images
        What is trained on.
    settings
        Patch and batch size, augmentation, shares and seed.
    compute
        Where the batches go.
    flips
        Whether patches are mirrored and turned.
    focus
        Numbers of the images to concentrate on.
    group
        The processes that share each batch: this one cuts every so many-th patch of it.
    """

    def __init__(
        self,
        images: Sequence[LoadedImage],
        settings: TrainingSettings,
        compute: Compute,
        *,
        flips: bool,
        focus: Collection[int] = (),
        group: Group = ALONE,
    ) -> None:
        require_shares(settings, group)
        self._images = images
        self._settings = settings
        self._compute = compute
        self._flips = flips
        self.patch_size = settings.patch_size
        self.waited = 0.0
        """Seconds in which the next batch was waited for."""
        self._focus = focus
        self._group = group
        self._augmenter, self._sampler = self._cutters()

    @property
    def steps_per_epoch(self) -> int:
        """As many batches as the settings say, or as it takes to see about every pixel once."""
        if self._settings.steps_per_epoch:
            return self._settings.steps_per_epoch
        per_step = self._settings.batch_size * self._settings.patch_size**2
        return int(np.clip(round(self._sampler.pixels / per_step), _SHORTEST_EPOCH, _LONGEST_EPOCH))

    def batches(self, step: int, count: int, pool: ThreadPoolExecutor) -> Iterator[PatchBatch]:
        """Yield the batches of `count` steps from `step` on, cutting the next ones while the current one is learnt."""
        numbers = iter(range(step, step + count))
        ahead = deque(pool.submit(self._cut, number) for number in islice(numbers, _BATCHES_AHEAD))
        while ahead:
            began = time.perf_counter()
            batch = ahead.popleft().result()
            self.waited += time.perf_counter() - began
            ahead.extend(pool.submit(self._cut, number) for number in islice(numbers, 1))
            yield batch

    def tensors(self, step: int, batch: PatchBatch) -> Tensors:
        """Return images, labels and valid of a step, augmented, on the device."""
        if batch.labels.shape[-1] != self._augmenter.source_size:  # cut before the patches were made smaller
            batch = self._cut(step)
        torch.manual_seed((self._settings.seed << 32) + step)
        if self._group.rank:  # other patches, and so other random numbers
            torch.manual_seed(int(torch.randint(2**62, (self._group.rank,))[-1]))
        valid = None if batch.valid is None else torch.from_numpy(batch.valid).to(self._compute.device)
        labels = torch.from_numpy(batch.labels).to(self._compute.device).long()
        return self._augmenter(self._compute.images(torch.from_numpy(batch.images)), labels, valid)

    def halve_patches(self) -> bool:
        """Cut patches of half the side from now on; False where they would become too small to learn from."""
        if self.patch_size // 2 < SMALLEST_PATCH:
            return False
        self.use_patches(self.patch_size // 2)
        return True

    def use_patches(self, size: int) -> None:
        """Cut patches of this side from now on."""
        self.patch_size = size
        self._augmenter, self._sampler = self._cutters()

    def settling_batches(self, size: int) -> Iterator[Tensor]:
        """Yield images to measure batch normalisation's statistics on, patches of side `size`, not augmented.

        They are as many in a batch as in training, since fewer would differ less and the variance come out low (as it
        does where memory is enough for a part of a batch only), and from the same mixture of images, since that is what
        the weights rely on.
        """
        settings = self._settings
        sampler = self._sampler_of(size, foreground=0.0)
        for number in range(_SETTLING_BATCHES):
            images = sampler.batch(number, settings.batch_size, flips=self._flips).images
            yield self._compute.images(torch.from_numpy(images))

    def _cutters(self) -> tuple[Augmenter, PatchSampler]:
        settings = self._settings
        augmenter = Augmenter(
            settings.augmentation, self.patch_size, min_zoom=settings.min_zoom, max_zoom=settings.max_zoom
        )
        return augmenter, self._sampler_of(augmenter.source_size, settings.foreground)

    def _sampler_of(self, size: int, foreground: float) -> PatchSampler:
        settings = self._settings
        return PatchSampler(
            self._images,
            size=size,
            foreground=foreground,
            seed=settings.seed,
            focus=self._focus,
            focus_share=settings.focus_share,
        )

    def _cut(self, step: int) -> PatchBatch:
        part = slice(self._group.rank, None, self._group.size)
        return self._sampler.batch(step, self._settings.batch_size, flips=self._flips, part=part)


def require_shares(settings: TrainingSettings, group: Group) -> None:
    """Make sure that each process gets as many patches of a batch as the others.

    Raises
    ------
    SettingsError
        The batch cannot be shared out like that.
    """
    size = settings.batch_size
    if size % group.size:
        below, above = size // group.size * group.size, -(-size // group.size) * group.size
        choice = f"{below} or {above}" if below else f"{above}"
        raise SettingsError(
            f"A batch of {size} patches cannot be shared out evenly over {group.size} processes; give --batch-size "
            f"{choice}."
        )
