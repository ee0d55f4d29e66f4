"""Waiting for slow work while the window goes on living."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from qtpy.QtCore import QCoreApplication, QEventLoop, QThread, QTimer

T = TypeVar("T")
_POLL = 10  # milliseconds


def run_beside_window(work: Callable[[], T]) -> T:
    """Call `work` in a thread and return what it returns; events are handled meanwhile, so that nothing freezes.

    Without a running application, or outside its thread, `work` is simply called.
    """
    application = QCoreApplication.instance()
    if application is None or QThread.currentThread() is not application.thread():
        return work()
    with ThreadPoolExecutor(1, thread_name_prefix="attnseg-read") as pool:
        future = pool.submit(work)
        loop = QEventLoop()
        timer = QTimer()
        timer.timeout.connect(lambda: loop.quit() if future.done() else None)
        timer.start(_POLL)
        loop.exec_() if hasattr(loop, "exec_") else loop.exec()
        timer.stop()
        return future.result()
