"""Work that must not hold up the window: it runs in a thread, and its result comes back to the window's thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Qt, Signal

from napari_attnseg.viewer.failures import failure_text

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Background(QObject):
    """A few threads; what they return is handed over in the window's thread, in the order in which it came.

    Work that may take minutes has threads of its own, so that saving and showing do not wait for it.

    Results of work that was asked for before `close` are dropped once it is closed.
    """

    _arrived = Signal(object)

    def __init__(self, threads: int = 3, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="attnseg")
        self._long_pool = ThreadPoolExecutor(threads, thread_name_prefix="attnseg-long")
        self._pending: set[Future[Any]] = set()
        self._closed = False
        # queued: what is done before its callback is attached is handed over later too, never inside `run`
        self._arrived.connect(self._hand_over, Qt.ConnectionType.QueuedConnection)

    def run(
        self,
        work: Callable[[], T],
        on_done: Callable[[T], None],
        on_error: Callable[[Exception], None],
        *,
        is_long: bool = False,
    ) -> Future[T]:
        """Call `work` in a thread, then `on_done` with its result or `on_error` with its exception in this one.

        What `is_long` asks now and then whether it shall stop, such as by `is_closed`; closing waits for it.
        """
        if self._closed:  # a timer of a window that is going away
            dropped: Future[T] = Future()
            dropped.cancel()
            return dropped
        future = (self._long_pool if is_long else self._pool).submit(work)
        self._pending.add(future)
        future.add_done_callback(lambda done: self._announce((done, on_done, on_error)))
        return future

    def do(self, work: Callable[[], object], *, quiet: bool = False, is_long: bool = False) -> None:
        """Do something whose result nobody waits for; if it fails the user is told, with `quiet` only the log."""

        def failed(error: Exception) -> None:
            _log.info("%s", error) if quiet else show_error(failure_text(error))

        self.run(work, lambda _: None, failed, is_long=is_long)

    def call_here(self, action: Callable[[], None]) -> None:
        """Call `action` in the window's thread; for use in other threads."""
        self._announce(action)

    def wait(self, timeout: float) -> bool:
        """Wait until all work is done, at most `timeout` seconds; return whether it is. Results are not handed over."""
        return not wait(set(self._pending), timeout).not_done

    def close(self, timeout: float = 10.0) -> None:
        """Take no more work, drop what has not begun, wait for the rest, hand over nothing more."""
        self._closed = True
        for pool in (self._pool, self._long_pool):
            pool.shutdown(wait=False, cancel_futures=True)
        wait(set(self._pending), timeout)

    @property
    def is_closed(self) -> bool:
        """Whether the window is going away."""
        return self._closed

    def _announce(self, message: Any) -> None:
        if not self._closed:
            try:
                self._arrived.emit(message)
            except RuntimeError:  # Qt has deleted this object already: the application is closing
                _log.debug("a result came after the window was closed")

    def _hand_over(self, message: Any) -> None:
        if self._closed:
            return
        if not isinstance(message, tuple):
            message()
            return
        future, on_done, on_error = message
        self._pending.discard(future)
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            on_done(future.result())
        elif isinstance(error, Exception):
            on_error(error)
        else:
            raise error
