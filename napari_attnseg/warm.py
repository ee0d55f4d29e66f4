"""Predictions by a process that stays: the first one waits for PyTorch, all others are answered at once.

Neither PyTorch nor Qt is needed here. The process is started by the first request, ends by itself when it is idle for
ten minutes, and is started again by the next request; it also ends with us, however we end.
"""

from __future__ import annotations

import logging
import queue
import shutil
import tempfile
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from napari_attnseg.settings import DeviceName
from napari_attnseg.warm_child import WarmChild
from napari_attnseg.warm_messages import (
    Described,
    Predicted,
    Predicting,
    PredictionCancelled,
    PredictionFailed,
    PredictRequest,
    Reply,
    discard_arrays,
    reply_of,
)

__all__ = [
    "Described",
    "PredictRequest",
    "Predicted",
    "Predicting",
    "PredictionCancelled",
    "PredictionFailed",
    "Reply",
    "WarmPredictor",
]

logger = logging.getLogger(__name__)


class _Open:
    """A request without a final answer, and the process that it was given to."""

    def __init__(self, request: PredictRequest | None) -> None:
        self.request = request
        self.child: WarmChild | None = None


class WarmPredictor:
    """Gives requests to the prediction process and hands on its replies.

    Each request gets any number of `Predicting` and then exactly one other reply, unless this is closed before.

    Parameters
    ----------
    on_reply
        Called with each reply, from threads of this object and never from the caller's; never by two at once, and not
        any more once `close` has returned.
    scratch
        The folder in which to make a folder for arrays and the log; None for the system's.
    device
        Where to compute.
    options
        Further options of `napari-attnseg serve`.

    No method waits for the process, save for `close`.
    """

    def __init__(
        self,
        on_reply: Callable[[Reply], None],
        scratch: Path | None = None,
        *,
        device: DeviceName = "auto",
        options: tuple[str, ...] = (),
    ) -> None:
        self._on_reply, self._parent, self._device, self._options = on_reply, scratch, device, options
        self._scratch: Path | None = None
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._delivering = threading.Lock()
        self._open: dict[int, _Open] = {}
        self._child: WarmChild | None = None
        self._closed = False
        self._orders: queue.SimpleQueue[tuple[str, int] | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="prediction requests", daemon=True)
        self._readers: list[threading.Thread] = []
        self._writer.start()

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self.pid is not None

    @property
    def pid(self) -> int | None:
        """The number of the process; None while there is none."""
        child = self._child
        return child.pid if child is not None and child.is_running else None

    def describe(self) -> int:
        """Ask for the device and its speed; return the number that `Described` will bear."""
        return self._ask("describe", None)

    def predict(self, request: PredictRequest) -> int:
        """Ask for a prediction; return the number that its replies will bear."""
        return self._ask("predict", request)

    def cancel(self, number: int) -> None:
        """Take a request back; it is answered by `PredictionCancelled`, or not at all if it was answered already."""
        self._orders.put(("cancel", number))

    def close(self) -> None:
        """End the process, within a second, and remove its files; requests without an answer get none.

        Not to be called from `on_reply`.
        """
        with self._delivering:
            self._closed = True
        self._orders.put(None)
        self._writer.join(0.5)
        child = self._child
        if child is not None:
            if self._writer.is_alive():  # the process does not read
                child.kill()
            child.end()
        for thread in (self._writer, *self._readers):
            thread.join(0.5)
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _ask(self, what: str, request: PredictRequest | None) -> int:
        number = next(self._numbers)
        with self._lock:
            self._open[number] = _Open(request)
        self._orders.put((what, number))
        return number

    def _write(self) -> None:
        """Start the process when it is needed and write to it: the work of the writing thread."""
        while (order := self._orders.get()) is not None:
            if not self._closed:
                self._pass_on(*order)
        if self._child is not None:
            self._child.let_go()

    def _pass_on(self, what: str, number: int) -> None:
        if what == "cancel":
            self._take_back(number)
            return
        with self._lock:
            item = self._open.get(number)
        if item is None:  # cancelled meanwhile
            return
        try:
            child = self._child_for(item)
        except OSError as error:
            sentence = f"The prediction process could not be started: {error.strerror or error}."
            self._finish(PredictionFailed(number, item.request, sentence, None))
            return
        child.write({"do": what, "number": number, **(item.request.to_json(child.scratch) if item.request else {})})

    def _child_for(self, item: _Open) -> WarmChild:
        """Return a process that answers for a request from now on, be it by its end."""
        while True:
            child = self._running_child()
            with self._lock:
                if not child.is_over:
                    item.child = child
                    return child

    def _take_back(self, number: int) -> None:
        with self._lock:
            item = self._open.get(number)
            child = item.child if item else None
        if item is None or item.request is None:
            return
        self._finish(PredictionCancelled(number, item.request))
        if child is not None:
            child.write({"do": "cancel", "number": number})

    def _running_child(self) -> WarmChild:
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="napari-attnseg-", dir=self._parent))
        self._scratch.mkdir(exist_ok=True)  # systems tidy up what lies about for days
        if self._child is None or not self._child.is_running:
            child = self._child = WarmChild(self._scratch, self._device, self._options)
            reader = threading.Thread(target=self._read, args=(child,), name="prediction replies", daemon=True)
            self._readers = [*(thread for thread in self._readers if thread.is_alive()), reader]
            reader.start()
        return self._child

    def _read(self, child: WarmChild) -> None:
        """Hand on what a process replies, until it has ended: the work of a reading thread."""
        idle = False
        for reply in child.replies():
            idle = reply["kind"] == "idle"
            if not idle:
                self._hand_on(child, reply)
        child.forget()
        with self._lock:
            child.is_over = True
            left = {number: item.request for number, item in self._open.items() if item.child is child}
        cause = "" if idle or not left else child.cause()
        for number, request in left.items():
            if idle:  # it was asked in the moment in which it ended by itself
                self._orders.put(("describe" if request is None else "predict", number))
            else:
                self._finish(PredictionFailed(number, request, f"The prediction process {cause}.", child.log))

    def _hand_on(self, child: WarmChild, values: dict[str, Any]) -> None:
        number = int(values.get("number") or 0)
        with self._lock:
            item = self._open.get(number)
        if item is None:  # cancelled meanwhile
            discard_arrays(values)
            return
        reply = reply_of(values, number, item.request, child.log)
        self._deliver(reply) if isinstance(reply, Predicting) else self._finish(reply)

    def _finish(self, reply: Reply) -> None:
        """Deliver the last reply to a request, unless another thread did."""
        with self._lock:
            known = self._open.pop(reply.number, None)
        if known is not None:
            self._deliver(reply)

    def _deliver(self, reply: Reply) -> None:
        with self._delivering:
            over = isinstance(reply, Predicting) and reply.number not in self._open
            if self._closed or over:
                return
            try:
                self._on_reply(reply)
            except Exception:
                logger.exception("A reply of the prediction process could not be handled")
