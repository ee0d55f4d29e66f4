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
    """What became of one of many images."""

    item: Item
    """What the image is known by."""
    result: Result | None
    """None where there is an error."""
    error: DataError | MemoryError | None = None
    """What is wrong with it."""


def is_small(predictor: Predictor, info: ImageInfo, free: Callable[[], int] = free_memory) -> bool:
    """Whether there is room for several batches of such images, and so this one can be read before its turn.

    Raises
    ------
    SettingsError
        See `memory.free_memory`.
    """
    images = (_AHEAD + 1 + _BEHIND) * predictor.tiling.batch_size  # the most there are in memory, whatever their sizes
    needed = memory_needed(info, predictor.data, *channels_of(predictor.card, predictor.settings))
    return images * needed <= min(_MOST_BYTES, free() // 2)


def predict_many(
    predictor: Predictor,
    items: Iterable[Item],
    read: Callable[[Item], Read | None],
    finish: Callable[[Item, Read, Prediction, float], Result],
    alone: Callable[[Item], Result],
    on_progress: Callable[[Item, int, float], None] = lambda item, number, share: None,
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
        Called in this thread, for what `read` does not take, and for images of a batch that failed together.
    on_progress
        Called in this thread with the image that is computed, its number in the order of computing, from 0, and the
        share of it that is done, 0 to 1.
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
        while group := ahead.take(predictor, should_stop):
            names = [one.item for one in group]
            try:
                if should_stop():
                    raise Stopped
                seen = [one.reading.result() for one in group]
                on_progress(names[0], done, 0.0)
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
                if len(names) == 1:
                    yield Done(names[0], None, error)
                else:
                    for name in names:
                        yield _done_alone(name, alone)
            except Exception:
                yield from behind.finished()
                raise
            done += len(group)
        yield from behind.finished()


def _done_alone(item: Item, alone: Callable[[Item], Result]) -> Done[Item, Result]:
    try:
        return Done(item, alone(item))
    except (DataError, MemoryError) as error:
        return Done(item, None, error)


def _tell_share(
    on_progress: Callable[[Item, int, float], None], items: Sequence[Item], before: int, share: float
) -> None:
    """Tell of the progress of images that are computed together as if it were one after the other."""
    done = share * len(items)
    nth = min(int(done), len(items) - 1)
    on_progress(items[nth], before + nth, done - nth)


@dataclass(frozen=True, eq=False)
class _Coming(Generic[Item, Read]):
    """An image that is being read."""

    item: Item
    reading: Future[Read | None]

    @property
    def seen(self) -> Read | None:
        """What the network sees, which is waited for; None if it cannot be read, or has to be done alone."""
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

    def take(self, predictor: Predictor, should_stop: Callable[[], bool]) -> list[_Coming[Item, Read]]:
        """Return the next image with those that go through the network with it; [] where there is none left."""
        self._fill(1)
        group, ahead = self._coming[:1], 1
        if group and (first := group[0].seen) is not None:
            at_once = predictor.planes_at_once(first.pixels.shape)
            if len(first.pixels) < at_once:
                ahead = _AHEAD * at_once // len(first.pixels)
                self._fill(ahead)
                group += _alike(first, self._coming[1:], at_once - len(first.pixels), should_stop)
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


def _alike(
    first: Seen, others: Sequence[_Coming[Item, Read]], planes: int, should_stop: Callable[[], bool]
) -> list[_Coming[Item, Read]]:
    """Return those of the size of a first one, of at most so many planes together."""
    found: list[_Coming[Item, Read]] = []
    for one in others:
        if planes <= 0 or should_stop():
            break
        if (seen := one.seen) is not None and seen.pixels.shape[1:] == first.pixels.shape[1:]:
            planes -= len(seen.pixels)
            if planes >= 0:
                found.append(one)
    return found


class _Behind(Generic[Item, Result]):
    """Images that are finished in a thread."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(cancel_futures=kind is KeyboardInterrupt)  # who asks twice to stop does not wait for all

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
