"""What is asked of the warm prediction process, and what it answers."""

from __future__ import annotations

import contextlib
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_ARRAYS = ("probability", "attention", "uncertainty_map")
_MAPPED_FROM = 64 * 2**20  # bytes from which an array stays in its file and is mapped into memory


@dataclass(frozen=True)
class PredictRequest:
    """An image, a plane or a part of it to be predicted."""

    model: Path
    image: Path
    axes: str | None = None
    """The axes as the user knows them; None to take them from the model or the file."""
    channels: Literal["as-is", "grey"] = "as-is"
    plane: tuple[int, ...] | None = None
    """Indices along the stack axes; None for all planes."""
    region: tuple[int, int, int, int] | None = None
    """Top, left, bottom and right of the part to predict, in pixels, the last two excluded; None for all of it.

    The plane is read as a whole all the same, and scaled as a whole.
    """
    attention: bool = False
    uncertainty: bool = False
    """Whether to give the map; the image's own figure always comes."""
    urgent: bool = True
    """Whether it goes before those that wait, and in between the tiles of one that is not urgent."""

    def to_json(self, out: Path) -> dict[str, Any]:
        """Return the request as the process reads it, arrays to be written to the folder `out`."""
        paths = {"model": str(self.model.absolute()), "image": str(self.image.absolute()), "out": str(out)}
        return asdict(self) | paths


@dataclass(frozen=True)
class Described:
    """What the computer predicts and trains with."""

    number: int
    device: str
    """'GPU NVIDIA RTX 4090, 24 GB' or 'CPU, 2 threads, because no GPU was found'."""
    is_gpu: bool
    details: dict[str, Any] = field(default_factory=dict)
    """'memory' in bytes, 'threads', and 'patches_per_second' of 'patch_size' in a training of the default network."""


@dataclass(frozen=True)
class Predicting:
    """How far a request is: a share of 0 to 1."""

    number: int
    done: float
    seconds_left: float | None


@dataclass(frozen=True)
class Predicted:
    """The answer to a request; arrays can be read, not written.

    `probability` is float32 (plane, class, y, x) in [0, 1], one class for a binary model, else all with the background
    first; `attention` float16 (plane, gate, y, x), deepest gate first, or None, also for a model without gates;
    `uncertainty_map` float16 (plane, y, x) or None. Of one plane or a region they hold just that.
    """

    number: int
    request: PredictRequest
    probability: NDArray[np.float32]
    attention: NDArray[np.float16] | None
    uncertainty_map: NDArray[np.float16] | None
    uncertainty: float
    """How much of what was found is probably wrong, 0 to 1; see `prediction.uncertainty`."""
    seconds: float


@dataclass(frozen=True)
class PredictionFailed:
    """A request could not be answered."""

    number: int
    request: PredictRequest | None
    """None where the device was to be described."""
    sentence: str
    log: Path | None
    """What the process printed; it is removed with `WarmPredictor.close`."""


@dataclass(frozen=True)
class PredictionCancelled:
    """A request was cancelled; nothing more comes of it."""

    number: int
    request: PredictRequest


Reply = Described | Predicting | Predicted | PredictionFailed | PredictionCancelled


def reply_of(values: dict[str, Any], number: int, request: PredictRequest | None, log: Path) -> Reply:
    """Return what a line from the process says about a request; arrays are read and their files removed."""
    kind = values["kind"]
    if kind == "progress":
        return Predicting(number, values["done"], values["seconds_left"])
    if kind == "described":
        return Described(number, values["device"], values["is_gpu"], values["details"])
    if kind == "cancelled" and request is not None:
        return PredictionCancelled(number, request)
    if kind != "done" or request is None:
        return PredictionFailed(number, request, values["sentence"], log)
    try:
        probability, attention, unsure = (_taken(values[name]) for name in _ARRAYS)
    except (OSError, ValueError, MemoryError) as error:
        discard_arrays(values)
        sentence = f"What was predicted for {request.image.name} cannot be read ({error}); predict it again."
        return PredictionFailed(number, request, sentence, log)
    return Predicted(number, request, probability, attention, unsure, values["uncertainty"], values["seconds"])


def _taken(path: str | None) -> Any:
    """Return an array that the process wrote, read-only, and remove its file; None for no path.

    A large one is mapped into memory; on Windows its file stays until it is no longer used and its folder is removed.

    Raises
    ------
    OSError, ValueError
        It cannot be read.
    """
    if path is None:
        return None
    mapped = os.path.getsize(path) >= _MAPPED_FROM
    array = np.load(path, mmap_mode="r" if mapped else None)
    array.flags.writeable = False
    with contextlib.suppress(OSError):
        os.unlink(path)
    return array


def discard_arrays(reply: dict[str, Any]) -> None:
    """Remove the arrays of a reply that nobody wants."""
    for name in _ARRAYS:
        path = reply.get(name)
        if isinstance(path, str):
            with contextlib.suppress(OSError):
                os.unlink(path)
