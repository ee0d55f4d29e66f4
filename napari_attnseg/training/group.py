"""The processes that train one model together, as torchrun starts them; a process alone is a group of one.

The first one decides, writes and speaks; the others ask it. What they say to each other goes from CPU to CPU and may
take as long as a pause does; gradients go from GPU to GPU where there is one for each process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from napari_attnseg.errors import AttnSegError, SettingsError, Stopped
from napari_attnseg.models.device import Compute
from napari_attnseg.training.launch import Launch

_LONGEST_PAUSE = timedelta(days=30)
_TIME_TO_SPEAK = timedelta(seconds=20)
_SAID = "the first process has said how it ended"

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1
    local_size: int = 1
    """Processes on this machine."""
    uses_nccl: bool = False
    """Whether each process has a GPU of its own."""
    _words: Any = None
    _store: Any = None

    @classmethod
    def join(cls, place: Launch) -> Group:
        """Find the other processes; it returns when all are there."""
        if not place.is_shared:
            return cls()
        gpus = torch.cuda.device_count()
        if gpus:
            torch.cuda.set_device(place.local_rank % gpus)
        # NCCL is the faster one, but knows no CPU and refuses two processes on one GPU
        uses_nccl = gpus >= place.local_size and dist.is_nccl_available()
        backend = "cpu:gloo,cuda:nccl" if uses_nccl else "gloo"
        store, _, _ = next(rendezvous("env://"))
        dist.init_process_group(backend, store=PrefixStore("training", store), rank=place.rank, world_size=place.size)
        words = dist.new_group(backend="gloo", timeout=_LONGEST_PAUSE)
        return cls(place.rank, place.size, place.local_size, uses_nccl, words, store)

    @property
    def is_first(self) -> bool:
        """Whether this process decides, writes and speaks."""
        return self.rank == 0

    @property
    def is_shared(self) -> bool:
        """Whether there are others."""
        return self.size > 1

    @property
    def run_option(self) -> str:
        """What the run folder is given with on the command line; torchrun takes --run for an option of its own."""
        return "--run-folder" if self.is_shared else "--run"

    def first_says(self, ask: Callable[[], float]) -> float:
        """Return what the first process finds when it asks; a truth comes back as 0 or 1."""
        if not self.is_shared:
            return ask()
        said = torch.tensor(float(ask()) if self.is_first else 0.0, dtype=torch.float64)
        dist.broadcast(said, 0, group=self._words)
        return float(said)

    def any_says(self, value: bool) -> bool:
        """Return whether it is true for any process."""
        return any(self.gathered(value))

    def from_first(self, make: Callable[[], T]) -> T:
        """Return what the first process makes, on all.

        Raises
        ------
        AttnSegError, Stopped
            As `make` does on the first, on all.
        """
        if not self.is_shared:
            return make()
        parcel = [_attempt(make) if self.is_first else None]
        dist.broadcast_object_list(parcel, 0, group=self._words)
        return cast(T, _unpacked(parcel[0]))

    def each(self, make: Callable[[], T]) -> T:
        """Return what this process makes, once all have made theirs.

        Raises
        ------
        AttnSegError, Stopped
            As `make` does on any, on all.
        """
        if not self.is_shared:
            return make()
        own = _attempt(make)
        for failed in self.gathered(None if own[0] else own):
            if failed is not None:
                _unpacked(failed)
        return cast(T, own[1])

    def gathered(self, value: T) -> list[T]:
        """Return what each process has, in their order, on all."""
        if not self.is_shared:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value, group=self._words)
        return found

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over the processes, through which gradients flow."""
        return cast(Tensor, _Total.apply(values)) if self.is_shared else values  # type: ignore[no-untyped-call]

    def follow_first(self, module: nn.Module) -> None:
        """Give the weights and statistics of a network the values that they have on the first process."""
        if self.is_shared:
            with torch.no_grad():
                for values in module.state_dict().values():
                    dist.broadcast(values, 0)

    def has_spoken(self) -> bool:
        """Note on the first process that it has said how it ended; wait for that on the others, but not for long.

        Returns whether it has. torchrun ends all processes as soon as one has failed.
        """
        if self._store is None:
            return True
        with contextlib.suppress(Exception):  # where the store is gone, so is whoever started us
            if self.is_first:
                self._store.set(_SAID, "yes")
            else:
                self._store.wait([_SAID], _TIME_TO_SPEAK)
            return True
        return False

    def described(self, compute: Compute) -> Compute:
        """Return what each process computes on, with a description that says how many there are.

        Raises
        ------
        SettingsError
            Several processes cannot train on that device.
        """
        if not self.is_shared:
            return compute
        if compute.device.type == "mps":
            raise SettingsError(
                "Several processes train on CPUs or NVIDIA GPUs, not on an Apple GPU; give --device cpu."
            )
        return replace(compute, description=f"{self.size} processes, each on {compute.description}")

    def leave(self) -> None:
        """Take leave of the others."""
        if self.is_shared:
            dist.destroy_process_group()


class _Total(torch.autograd.Function):
    """The sum over the processes; what it is worth to each process's loss counts for all that went in."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _summed(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _summed(values: Tensor) -> Tensor:
    total = values.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


ALONE = Group()
"""One process that trains by itself."""


def is_lost_process(error: BaseException) -> bool:
    """Whether an error says that another process of the group is gone."""
    text = str(error).lower()
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and any(word in text for word in ("gloo", "nccl", "connection closed by peer"))
    )


def _attempt(make: Callable[[], T]) -> tuple[bool, T | Exception]:
    try:
        return True, make()
    except (AttnSegError, Stopped) as error:
        return False, error


def _unpacked(parcel: Any) -> Any:
    is_whole, value = parcel
    if not is_whole:
        raise value
    return value
