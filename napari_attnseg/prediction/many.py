"""Many images in memory, one after the other: the next are read, and the last ones finished, while one is computed.

Images that are smaller than a batch of tiles go through the network with the next ones of their size.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Generic, Self, TypeVar

from napari_attnseg.data.info import ImageInfo
from napari_attnseg.errors import DataError, Stopped
from napari_attnseg.prediction.from_card import channels_of
from napari_attnseg.prediction.predictor import Prediction, Predictor, Seen
from napari_attnseg.prediction.room import free_memory, memory_needed

_AHEAD = 4  # batches that are read ahead, among which those of one size are looked for
_BEHIND = 2  # batches that may wait to be finished
_MOST_BYTES = 2 << 30  # of all that is in memory

Item = TypeVar("Item")
Read = TypeVar("Read", bound=Seen)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Done(Generic[Item, Result]):
    """What became of one of many images: a result, or what is wrong with it."""

    item: Item
    result: Result | None
    error: DataError | MemoryError | None = None


def is_small(predictor: Predictor, info: ImageInfo, free: Callable[[], int] = free_memory) -> bool:
    """Whether there is room for several batches of such images, so that they can be read before their turn.

    Raises
    ------
    SettingsError
        See `memory.free_memory`.
    """
    at_once = max(predictor.planes_at_once((info.height, info.width)) // info.n_planes, 1)
    images = (_AHEAD + 1 + _BEHIND) * at_once
    needed = memory_needed(info, predictor.data, *channels_of(predictor.card, predictor.settings))
    return images * needed <= min(_MOST_BYTES, free() // 2)


def predict_many(
    predictor: Predictor,
    items: Iterable[Item],
    read: Callable[[Item], Read | None],
    finish: Callable[[Item, Read, Prediction, float], Result],
    alone: Callable[[Item], Result],
    on_progress: Callable[[Item, float], None] = lambda item, done: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Done[Item, Result]]:
    """Predict images and yield what became of each, those of one size before others that stand between them.

    Parameters
    ----------
    items
        What the images are known by.
    read
        Called ahead of time, in a thread: returns what the network sees, or None for what has to be done `alone`,
        such as what is not `is_small`.
    finish
        Called in another thread with the prediction, before small objects are dropped from it, and with the seconds
        that the network took for it.
    alone
        Called in this thread, while nothing else is going on but one image being read.
    on_progress
        Called with the image that is computed, and how many are done with their parts, such as 2.5.
    should_stop
        Asked between tiles.

    Raises
    ------
    Stopped
        `should_stop` returned True; what had gone through the network by then was finished and yielded.
    AttnSegError
        What one of the functions raised, but for `DataError` and `MemoryError`, which are yielded.
    """
    with _Ahead(items, read) as ahead, _Behind[Item, Result]() as behind:
        done = 0
        while group := ahead.take(predictor):
            names = [one.item for one in group]
            try:
                if should_stop():
                    raise Stopped
                seen = [one.reading.result() for one in group]
                on_progress(names[0], done)
                if seen[0] is None:
                    yield from behind.finished()
                    yield Done(names[0], alone(names[0]))
                else:
                    whole = [one for one in seen if one is not None]
                    began = time.perf_counter()
                    on_share = partial(_tell_share, on_progress, names, done)
                    found = predictor.predict_together(whole, on_share, should_stop)
                    seconds = (time.perf_counter() - began) / len(group)
                    for name, one, prediction in zip(names, whole, found, strict=True):
                        behind.submit(name, partial(finish, name, one, prediction, seconds))
                    yield from behind.finished(leave=_BEHIND * len(group))
            except (DataError, MemoryError) as error:
                yield from behind.finished()
                for name in names:
                    yield Done(name, None, error)
            except Stopped:
                yield from behind.finished()
                raise
            done += len(group)
        yield from behind.finished()


def _tell_share(on_progress: Callable[[Item, float], None], items: Sequence[Item], before: int, share: float) -> None:
    """Tell of the progress of images that are computed together as if it were one after the other."""
    done = share * len(items)
    on_progress(items[min(int(done), len(items) - 1)], before + done)


@dataclass(frozen=True, eq=False)
class _Coming(Generic[Item, Read]):
    """An image that is being read."""

    item: Item
    reading: Future[Read | None]

    @property
    def seen(self) -> Read | None:
        """What the network sees, if that is known after waiting for it."""
        return None if self.reading.exception() else self.reading.result()


class _Ahead(Generic[Item, Read]):
    """Images that are read in a thread before their turn."""

    def __init__(self, items: Iterable[Item], read: Callable[[Item], Read | None]) -> None:
        self._left, self._read = iter(items), read
        self._coming: list[_Coming[Item, Read]] = []
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def take(self, predictor: Predictor) -> list[_Coming[Item, Read]]:
        """Return the next image with those that go through the network with it; [] where there is none left."""
        self._fill(1)
        group, ahead = self._coming[:1], 1
        if group and (first := group[0].seen) is not None:
            at_once = predictor.planes_at_once(first.pixels.shape)
            if len(first.pixels) < at_once:
                ahead = _AHEAD * at_once // len(first.pixels)
                self._fill(ahead)
                group += _alike(first, self._coming[1:], at_once - len(first.pixels))
        self._coming = [one for one in self._coming if one not in group]
        self._fill(ahead)
        return group

    def _fill(self, count: int) -> None:
        while len(self._coming) < count:
            try:
                item = next(self._left)
            except StopIteration:
                return
            self._coming.append(_Coming(item, self._thread.submit(self._read, item)))


def _alike(first: Seen, others: Sequence[_Coming[Item, Read]], planes: int) -> list[_Coming[Item, Read]]:
    """Return those of the size of a first one, of so many planes together."""
    found = []
    for one in others:
        if (seen := one.seen) is not None and seen.pixels.shape[1:] == first.pixels.shape[1:]:
            planes -= len(seen.pixels)
            if planes < 0:
                break
            found.append(one)
    return found


class _Behind(Generic[Item, Result]):
    """Images that are finished in a thread."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def submit(self, item: Item, finish: Callable[[], Result]) -> None:
        """Have an image finished when those before it are."""
        self._waiting.append((item, self._thread.submit(finish)))

    def finished(self, leave: int = 0) -> Iterator[Done[Item, Result]]:
        """Wait until only so many are left, and yield what became of the others."""
        while len(self._waiting) > leave:
            item, finishing = self._waiting.popleft()
            try:
                done = Done(item, finishing.result())
            except (DataError, MemoryError) as error:
                done = Done(item, None, error)
            yield done
