"""What the prediction process is asked to do: JSON lines from a stream, sorted by what is urgent.

A thread reads, so that a request to cancel is heard while a prediction is computed, and before PyTorch is loaded.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict

from napari_attnseg.errors import SettingsError
from napari_attnseg.settings import Axes, make


class PredictOrder(BaseModel):
    """One image, or one plane of it, to be predicted."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    number: int
    """Names the order in replies, and in a request to cancel it."""
    model: Path
    image: Path
    axes: Axes | None = None
    channels: Literal["as-is", "grey"] = "as-is"
    plane: tuple[int, ...] | None = None
    """Indices along the stack axes; None for all planes."""
    region: tuple[int, int, int, int] | None = None
    """Top, left, bottom and right of the part to predict, in pixels, the last two excluded; None for all of it.

    The plane is read as a whole all the same, and scaled as a whole.
    """
    attention: bool = False
    uncertainty: bool = False
    urgent: bool = False
    """Whether it is done before those that wait, and between two tiles of one that is not urgent."""
    out: Path
    """The folder to write arrays to."""


class DescribeOrder(BaseModel):
    """A question: which device, how fast."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    number: int = 0
    urgent: bool = True


Order = PredictOrder | DescribeOrder


class Replies:
    """JSON lines to whoever gives the orders; any thread may send."""

    def __init__(self, stream: BinaryIO, on_gone: Callable[[], None]) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._on_gone = on_gone

    def send(self, kind: str, **values: Any) -> None:
        """Write one line; `on_gone` is called where nobody reads any more."""
        line = json.dumps({"kind": kind, **values}).encode() + b"\n"
        try:
            with self._lock:
                self._stream.write(line)
                self._stream.flush()
        except (OSError, ValueError):
            self._on_gone()


class Inbox:
    """The orders that wait; `on_end` is called, in the reading thread, at the end of the stream."""

    def __init__(self, stream: BinaryIO, replies: Replies, on_end: Callable[[], None]) -> None:
        self._stream, self._replies, self._on_end = stream, replies, on_end
        self._changed = threading.Condition()
        self._waiting: list[Order] = []
        self._taken: set[int] = set()
        self._cancelled: set[int] = set()
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def __len__(self) -> int:
        """Return how many orders wait."""
        return len(self._waiting)

    def take(self, timeout: float) -> Order | None:
        """Return the next order, the first of the urgent ones if there are any; None if none comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting, timeout)
            return self._pop(self._waiting)

    def take_urgent(self) -> Order | None:
        """Return the first urgent order that waits, at once; None if there is none."""
        with self._changed:
            return self._pop([order for order in self._waiting if order.urgent])

    def done(self, number: int) -> None:
        """Forget an order that was taken and answered."""
        with self._changed:
            self._taken.discard(number)
            self._cancelled.discard(number)

    def is_cancelled(self, number: int) -> bool:
        """Whether an order that was taken is not wanted any more."""
        return number in self._cancelled

    def _pop(self, choice: list[Order]) -> Order | None:
        if not choice:
            return None
        order = next((order for order in choice if order.urgent), choice[0])
        self._waiting.remove(order)
        self._taken.add(order.number)
        return order

    def _read(self) -> None:
        for line in self._stream:
            if line.strip():
                self._sort_in(line)
        self._on_end()

    def _sort_in(self, line: bytes) -> None:
        values: Any = None
        try:
            values = json.loads(line)
            what = values.pop("do")
            if what == "cancel":
                self._cancel(int(values["number"]))
            elif what in ("predict", "describe"):
                order = make(PredictOrder, values) if what == "predict" else make(DescribeOrder, values)
                with self._changed:
                    self._waiting.append(order)
                    self._changed.notify()
            else:
                raise SettingsError(f"There is no request '{what}'.")
        except (SettingsError, ValueError, KeyError, TypeError, AttributeError) as error:
            sentence = str(error) if isinstance(error, SettingsError) else f"The request cannot be read ({error!r})."
            self._replies.send("failed", number=_number_in(values), sentence=sentence)

    def _cancel(self, number: int) -> None:
        with self._changed:
            waiting = [order for order in self._waiting if order.number == number]
            for order in waiting:
                self._waiting.remove(order)
            if number in self._taken:
                self._cancelled.add(number)
        if waiting:
            self._replies.send("cancelled", number=number)


def _number_in(values: Any) -> int | None:
    number = values.get("number") if isinstance(values, dict) else None
    return number if isinstance(number, int) else None
