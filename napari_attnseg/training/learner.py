"""The network while it learns: a step on a batch, the running average of the weights, the state for resuming."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any, cast
from warnings import catch_warnings, filterwarnings

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from napari_attnseg.errors import AttnSegError
from napari_attnseg.models.device import Compute
from napari_attnseg.models.unet import UNet
from napari_attnseg.prediction.fitting import free_memory, is_out_of_memory
from napari_attnseg.settings import TrainingSettings
from napari_attnseg.training.group import ALONE, Group
from napari_attnseg.training.losses import make_loss
from napari_attnseg.training.optimiser import make_optimiser
from napari_attnseg.training.shared_norm import share_batch_norm

_LARGEST_GRADIENT = 5.0


class Learner:
    """A network with its optimiser and the exponential moving average of its weights.

    `averaged` is what is scored and saved: it is smoother than the weights of any one step (Polyak and Juditsky 1992).

    Parameters
    ----------
    model
        Where the learning begins; it is moved to the device.
    settings
        The loss, the optimiser, the average.
    compute
        The device and its number type.
    class_weights
        float (classes with background,), how much a pixel of each class counts; None: all the same.
    group
        The processes that share each batch; all make the same step.
    """

    def __init__(
        self,
        model: UNet,
        settings: TrainingSettings,
        compute: Compute,
        class_weights: Tensor | None = None,
        group: Group = ALONE,
    ) -> None:
        self.settings = settings
        self.compute = compute
        self.model = compute.place(model)
        weights = None if class_weights is None else class_weights.to(compute.device)
        self.loss = make_loss(settings, weights)
        """The loss of what one process sees."""
        self.group = group
        self._shared_loss = make_loss(settings, weights, group.total) if group.is_shared else None
        self.optimiser = make_optimiser(self.model.parameters(), settings)
        self._new_scaler()
        self.chunks = 1
        """In how many parts a batch goes through the network; raised when the GPU's memory is too small."""
        self._average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema), use_buffers=True)
        self._network = _shared(self.model, group, compute) if group.is_shared else self.model

    @property
    def averaged(self) -> UNet:
        """The network to score and to save."""
        return cast(UNet, self._average.module if self._is_averaging else self.model)

    @property
    def patches(self) -> int:
        """How many patches of a batch this process learns from."""
        return self.settings.batch_size // self.group.size

    @property
    def _is_averaging(self) -> bool:
        """Whether there is an average; in a group there is, for it is scored by each process alone."""
        return self.settings.ema > 0 or self.group.is_shared

    def step(self, images: Tensor, labels: Tensor, valid: Tensor | None, rate: float) -> Tensor:
        """Learn from one batch on the device and return its loss, a scalar that is not yet synchronised.

        Parameters
        ----------
        images
            float (N, C, H, W).
        labels, valid
            int64 and bool (N, H, W).
        rate
            Learning rate of this step.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=images.device)
        parts = zip(
            images.chunk(self.chunks),
            labels.chunk(self.chunks),
            [None] * self.chunks if valid is None else valid.chunk(self.chunks),
            strict=False,
        )
        loss_of = self._shared_loss or self.loss
        left = len(images)
        for part_images, part_labels, part_valid in parts:
            left -= len(part_images)
            with self._summing_up(is_last=left == 0):
                with self.compute.autocast():
                    logits = self._network(part_images.contiguous(memory_format=torch.channels_last))
                loss = loss_of(logits, part_labels, part_valid) * (len(part_images) / len(images))
                self.scaler.scale(loss).backward()
            total += loss.detach()
        self._change_weights()
        if self._is_averaging:
            self._follow()
        return total

    def fits(self, images: Tensor, labels: Tensor, valid: Tensor | None) -> bool:
        """Whether the GPU's memory is enough for a batch in as many parts as now, tried on a copy of the network.

        In a group that is tried before the step and without the others: whoever fails in a step leaves them waiting.
        """
        if self.compute.device.type != "cuda":
            return True
        copy = deepcopy(self.averaged).train()
        try:
            with self.compute.autocast():
                logits = copy(images.chunk(self.chunks)[0].contiguous(memory_format=torch.channels_last))
            valid = None if valid is None else valid.chunk(self.chunks)[0]
            self.loss(logits, labels.chunk(self.chunks)[0], valid).backward()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True

    def split_further(self) -> bool:
        """Halve what goes through the network at once; False when it is a single patch already."""
        if self.chunks >= self.patches:
            return False
        self.chunks = min(self.chunks * 2, self.patches)
        self.optimiser.zero_grad(set_to_none=True)
        free_memory(self.compute)
        return True

    def settle(self, batches_of: Callable[[int], Iterable[Tensor]], size: int) -> None:
        """Measure the statistics of batch normalisation anew for the averaged weights.

        Parameters
        ----------
        batches_of
            Gives batches of images of a size in pixels, from their beginning each time that it is called. They go
            through the network in as many parts as in training.
        size
            The first one that is tried; where the memory does not allow it, images are smaller, then fewer at once.

        Raises
        ------
        MemoryError
            The memory is not enough for anything.
        """
        if any(isinstance(module, nn.BatchNorm2d) for module in self.averaged.modules()) and not any(
            self._measures(batches_of(side), parts) for side, parts in self._ways_to_settle(size)
        ):
            raise MemoryError
        self.averaged.eval()

    def _ways_to_settle(self, size: int) -> Iterator[tuple[int, int]]:
        """Yield sizes of images and in how many parts a batch of them is taken, what takes most memory first."""
        parts, most = self.chunks, self.settings.batch_size
        yield from ((size, parts), (size // 2, parts), (size // 4, parts))
        while parts < most:
            parts = min(2 * parts, most)
            yield size // 4, parts

    def _measures(self, batches: Iterable[Tensor], parts: int) -> bool:
        """Measure the statistics on these batches; return whether the memory was enough for that."""
        momenta = {one: one.momentum for one in self.averaged.modules() if isinstance(one, nn.BatchNorm2d)}
        try:
            with self.compute.autocast():
                update_bn((part for batch in batches for part in batch.chunk(parts)), self.averaged)
            return True
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        finally:
            for module, momentum in momenta.items():
                module.momentum = momentum  # which `update_bn` does only where it comes to its end
        free_memory(self.compute)
        return False

    def largest_weights(self) -> Tensor:
        """Return, for each parameter of the averaged network, the size of its largest value."""
        return torch.stack([weights.detach().abs().max().float() for weights in self.averaged.parameters()])

    def state(self) -> dict[str, Any]:
        """Return all that resuming needs, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "chunks": self.chunks,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        try:
            self.model.load_state_dict(state["model"])
            self._average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            if state["scaler"]:  # empty where the earlier device needed none; this one begins with a new one then
                self.scaler.load_state_dict(state["scaler"])
        except (KeyError, RuntimeError, ValueError) as error:
            if is_out_of_memory(error):
                raise
            raise AttnSegError(f"The saved training state does not fit the model of this run ({error}).") from error
        self.chunks = int(state["chunks"])

    def _summing_up(self, *, is_last: bool) -> AbstractContextManager[object]:
        """Return the context of a part of a batch: gradients are exchanged with the last one."""
        if isinstance(self._network, DistributedDataParallel) and not is_last:
            return self._network.no_sync()
        return nullcontext()

    def _change_weights(self) -> None:
        """Make a step of the optimiser; where memory runs out before that, the batch can be learnt again."""
        is_first = not self.optimiser.state
        try:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.model.parameters(), _LARGEST_GRADIENT)
            self.scaler.step(self.optimiser)
        except RuntimeError as error:
            if is_out_of_memory(error):
                self._new_scaler(self.scaler.state_dict())  # this one has noted that the gradients are unscaled
                if is_first:
                    self.optimiser.state.clear()  # of which only a part may have been made
            raise
        self.scaler.update()

    def _new_scaler(self, state: dict[str, Any] | None = None) -> None:
        """Begin with a new scaler of the loss, from a state if there is one."""
        self.scaler = torch.amp.GradScaler(self.compute.device.type, enabled=self.compute.needs_scaler)
        if state:
            self.scaler.load_state_dict(state)

    def _follow(self) -> None:
        """Move the average towards the weights, faster in the first steps, when they are still far from any good."""
        seen = int(self._average.n_averaged)
        decay = min(self.settings.ema, (1 + seen) / (10 + seen))
        self._average.multi_avg_fn = get_ema_multi_avg_fn(decay)
        try:
            self._average.update_parameters(self.model)
        except RuntimeError as error:  # it catches up after the next batch; this one is learnt, and must not be twice
            if not is_out_of_memory(error):
                raise


def _shared(module: nn.Module, group: Group, compute: Compute) -> DistributedDataParallel:
    """Return the network such that its gradients, and its batch normalisation, are those of all processes."""
    if group.uses_nccl and compute.device.type == "cuda":
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    else:
        share_batch_norm(module, group.total, group.size)
    with catch_warnings():
        filterwarnings("ignore", "`broadcast_buffers`", FutureWarning)  # older versions know no other name for it
        # the statistics of batch normalisation are the same on all already
        return DistributedDataParallel(module, broadcast_buffers=False)


def is_finite(values: Tensor) -> bool:
    """Whether there are numbers in all places; a training in which there are not has diverged."""
    return bool(torch.isfinite(values).all())
