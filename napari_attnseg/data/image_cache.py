"""The images of a training: in memory as far as that is allowed, and read from their files part by part beyond that."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.lazy import open_lazily
from napari_attnseg.data.loading import load_image, read_seen
from napari_attnseg.data.memory import free_memory
from napari_attnseg.data.normalise import channel_range
from napari_attnseg.data.packed import PackedPlanes
from napari_attnseg.data.pairs import Pair
from napari_attnseg.data.patches import LoadedImage
from napari_attnseg.data.pixels_on_disk import OpenFiles, PixelsOnDisk
from napari_attnseg.settings import DataSettings

_SHARE_OF_FREE = 0.5


def memory_limit(gigabytes: float | None, sharers: int = 1) -> int:
    """Return how many bytes of images a process may keep.

    Parameters
    ----------
    gigabytes
        What is allowed to all processes of this machine together; None: half of the memory that is free now.
    sharers
        How many processes there are.

    Raises
    ------
    SettingsError
        See `memory.free_memory`.
    """
    allowed = free_memory() * _SHARE_OF_FREE if gigabytes is None else gigabytes * 1e9
    return int(allowed) // sharers


def load_images(
    pairs: Sequence[Pair],
    convention: MaskConvention,
    settings: DataSettings,
    channels: int,
    on_image: Callable[[int], None] = lambda count: None,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    limit: int | None = None,
) -> list[LoadedImage]:
    """Read annotated images; fewer than all if `should_stop` says so.

    Each takes 2 bytes a pixel and channel and 1 byte for its mask. From the one on that does not fit within `limit`
    bytes any more, pixels are left in their files and masks are packed.

    Raises
    ------
    DataError
        A file is unreadable, a mask does not fit its image, or an image has another number of channels.
    """
    loaded: list[LoadedImage] = []
    files, kept = OpenFiles(), 0
    for count, pair in enumerate(pairs, start=1):
        if should_stop():
            break
        image = load_image(pair, convention, settings, channels)
        size = image.pixels.nbytes + image.labels.nbytes
        if limit is not None and kept + size > limit and _is_read_in_parts(pair, settings):
            image = _left_on_disk(pair, image, settings, files)
        else:
            kept += size
        loaded.append(image)
        on_image(count)
    return loaded


def _is_read_in_parts(pair: Pair, settings: DataSettings) -> bool:
    """Whether the file stores its planes such that a part of one can be read."""
    image = open_lazily(pair.image, settings.axes)
    image.close()
    return image.is_read_in_parts


def _left_on_disk(pair: Pair, image: LoadedImage, settings: DataSettings, files: OpenFiles) -> LoadedImage:
    info, seen = read_seen(pair.image, settings)
    ranges = [channel_range(seen[:, channel], settings) for channel in range(seen.shape[1])]
    return LoadedImage(
        image.name,
        PixelsOnDisk(info, settings, ranges, files),
        PackedPlanes(image.labels),
        None if image.valid is None else PackedPlanes(image.valid),
    )
