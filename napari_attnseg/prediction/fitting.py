"""Prediction within the memory that there is: fewer tiles at once, then smaller ones, where it runs out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from napari_attnseg.errors import DataError
from napari_attnseg.models.device import Compute
from napari_attnseg.models.unet import UNet
from napari_attnseg.prediction.tiling import FloatArray, PlaneResult, predict_planes
from napari_attnseg.settings.prediction import DEFAULT_BATCH_SIZE, DEFAULT_OVERLAP, DEFAULT_TILE_SIZE

SMALLEST_TILE = 128
# of the CPU, of MPS and CUDA, and of the libraries that CUDA computes with, whose errors have no kind of their own
_MESSAGES = ("can't allocate memory", "not enough memory", "out of memory", "status_alloc_failed")


@dataclass
class Tiling:
    """How planes are cut; what was too much for the device's memory once is not tried again."""

    tile_size: int = DEFAULT_TILE_SIZE
    overlap: int = DEFAULT_OVERLAP
    batch_size: int = DEFAULT_BATCH_SIZE

    def lower(self) -> bool:
        """Take half of the tiles at once, or, from one on, tiles of half the side; return whether that was possible."""
        if self.batch_size > 1:
            self.batch_size //= 2
        elif self.tile_size > SMALLEST_TILE:
            self.tile_size = max(self.tile_size // 2, SMALLEST_TILE)
            self.overlap = min(self.overlap, self.tile_size // 4)
        else:
            return False
        return True


def predict_within_memory(
    model: UNet,
    planes: FloatArray,
    compute: Compute,
    tiling: Tiling,
    *,
    attention: bool = False,
    turned: bool = False,
    on_tiles: Callable[[int, int], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[PlaneResult]:
    """Predict planes, from their beginning again with a lower `tiling` each time that memory runs out.

    Parameters
    ----------
    tiling
        Is lowered in place.

    See `tiling.predict_planes` for the others.

    Raises
    ------
    DataError
        The memory is not enough for one tile of 128 pixels.
    Stopped
        `should_stop` returned True.
    """
    while True:
        try:
            return predict_planes(
                model,
                planes,
                compute,
                tile_size=tiling.tile_size,
                overlap=tiling.overlap,
                batch_size=tiling.batch_size,
                attention=attention,
                turned=turned,
                on_tiles=on_tiles,
                should_stop=should_stop,
            )
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        # Here the exception is gone, and with it what its frames held of the device's memory.
        lower_or_refuse(tiling, compute)


def lower_or_refuse(tiling: Tiling, compute: Compute) -> None:
    """Lower a tiling after memory ran out, and give back what can be given back.

    Raises
    ------
    DataError
        It is as low as it can be.
    """
    if not tiling.lower():
        raise DataError(
            f"The {compute.owner}'s memory is not enough to predict even {SMALLEST_TILE} x {SMALLEST_TILE} pixels at "
            "once; close other programs that use it, or wait until a training has ended."
        )
    free_memory(compute)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, the computer itself included, had no memory left for a tensor."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _MESSAGES)


def free_memory(compute: Compute) -> None:
    """Give back to the device what PyTorch keeps for later."""
    if compute.device.type == "cuda":
        torch.cuda.empty_cache()
    elif compute.device.type == "mps":
        torch.mps.empty_cache()
