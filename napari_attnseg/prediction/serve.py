"""The prediction process: it keeps models loaded and answers orders until nobody gives any more.

A request is one line of JSON on stdin:

- `{"do": "predict", ...}` with the fields of `inbox.PredictOrder`;
- `{"do": "cancel", "number"}`;
- `{"do": "describe", "number"}`.

A reply is one line of JSON on stdout. Each order gets exactly one of the last four:

- `{"kind": "progress", "number", "done", "seconds_left"}`;
- `{"kind": "idle"}` before the process ends because nothing was asked for long; orders without an answer are to be
  given to the next process;
- `{"kind": "done", "number", "probability", "attention", "uncertainty_map", "uncertainty", "seconds", "plane"}`, where
  the first three are paths of .npy files, or null for what was not asked for: probability float32 (plane, class, y, x)
  in [0, 1], from which a threshold makes exactly the mask that the command line writes; attention float16 (plane, gate,
  y, x), deepest gate first, null for a model without gates; uncertainty float16 (plane, y, x);
- `{"kind": "described", "number", "device", "is_gpu", "details"}`;
- `{"kind": "failed", "number", "sentence"}`;
- `{"kind": "cancelled", "number"}`.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict

from napari_attnseg.errors import AttnSegError
from napari_attnseg.models.heap import give_back_heap
from napari_attnseg.prediction.describe import describe_device
from napari_attnseg.prediction.inbox import DescribeOrder, Inbox, Order, PredictOrder, Replies
from napari_attnseg.prediction.loaded_models import LoadedModels
from napari_attnseg.prediction.one_order import predict_order
from napari_attnseg.prediction.plane_input import KnownRanges
from napari_attnseg.prediction.tiling import Stopped
from napari_attnseg.settings import DeviceName

PROGRESS_EVERY = 0.1

logger = logging.getLogger(__name__)


class Server:
    """Does the orders of an inbox, one after the other.

    Parameters
    ----------
    release_after
        Seconds without an order after which the models, and the GPU memory they hold, are given back.
    end_after
        Seconds without an order after which `run` returns.
    """

    def __init__(
        self, inbox: Inbox, replies: Replies, device: DeviceName, *, release_after: float, end_after: float
    ) -> None:
        self.inbox, self.replies, self.device = inbox, replies, device
        self.release_after, self.end_after = release_after, end_after
        self.models = LoadedModels(device)
        self.known = KnownRanges()

    def run(self) -> None:
        """Answer orders until none comes for long."""
        idle_since = time.monotonic()
        released = True
        while True:
            idle = time.monotonic() - idle_since
            if idle >= self.end_after:
                self.replies.send("idle")
                return
            if not released and idle >= self.release_after:
                self.models.release()
                give_back_heap()
                released = True
            until = self.end_after if released else min(self.release_after, self.end_after)
            order = self.inbox.take(max(until - idle, 0))
            if order is not None:
                self.do(order)
                idle_since, released = time.monotonic(), False

    def do(self, order: Order) -> None:
        """Do one order and answer it, whatever happens."""
        try:
            if isinstance(order, DescribeOrder):
                self.replies.send("described", number=order.number, **asdict(describe_device(self.device)))
            else:
                self._predict(order)
        except Stopped:
            self.replies.send("cancelled", number=order.number)
        except AttnSegError as error:
            self.replies.send("failed", number=order.number, sentence=str(error))
        except MemoryError:
            self._fail(order, "This computer's memory is not enough for it; close other programs, or predict a part.")
        except Exception as error:
            logger.exception("Order %s", order)
            self._fail(order, f"{type(error).__name__}: {str(error).rstrip('.') or 'no reason is given'}.")
        finally:
            self.inbox.done(order.number)

    def _fail(self, order: Order, reason: str) -> None:
        what = order.image.name if isinstance(order, PredictOrder) else "The device"
        verb = "predicted" if isinstance(order, PredictOrder) else "described"
        self.replies.send("failed", number=order.number, sentence=f"{what} could not be {verb}. {reason}")

    def _predict(self, order: PredictOrder) -> None:
        began = time.monotonic()
        on_progress = _Paced(order.number, self.replies)
        on_progress(0.0)

        def should_stop() -> bool:
            if not order.urgent:
                self._do_urgent()
            return self.inbox.is_cancelled(order.number)

        predictor = self.models.get(order.model).reading(axes=order.axes, channels=order.channels)
        answer = predict_order(order, predictor, self.known, on_progress, should_stop)
        seconds = time.monotonic() - began
        self.replies.send("done", number=order.number, **answer, seconds=seconds, plane=order.plane)

    def _do_urgent(self) -> None:
        """Do what has become urgent meanwhile, in the midst of an order that is not."""
        while (order := self.inbox.take_urgent()) is not None:
            self.do(order)


class _Paced:
    """Sends how far an order is, not too often."""

    def __init__(self, number: int, replies: Replies) -> None:
        self._number, self._replies = number, replies
        self._began = time.monotonic()
        self._sent = -PROGRESS_EVERY

    def __call__(self, done: float) -> None:
        now = time.monotonic()
        if now - self._sent < PROGRESS_EVERY:
            return
        self._sent = now
        elapsed = now - self._began
        left = elapsed / done - elapsed if done > 0 else None
        self._replies.send("progress", number=self._number, done=done, seconds_left=left)
