"""What others ask of a running training: to stop, and to pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from napari_attnseg.training.pace import Pace

_SECONDS_OF_REST = 0.1


@dataclass(frozen=True)
class Requests:
    """Asked between any two batches, and while images are read and scored."""

    should_stop: Callable[[], bool]
    should_pause: Callable[[], bool]
    pace: Pace
    """Whose clock stands still during a pause."""
    on_pause: Callable[[bool], None]
    """Called with True when a pause begins, and with False when it is over."""

    def interrupted(self) -> bool:
        """Rest for as long as is asked for, then say whether to stop; a stop ends the rest."""
        if self.should_pause() and not self.should_stop():
            self.on_pause(True)
            with self.pace.paused():
                while self.should_pause() and not self.should_stop():
                    time.sleep(_SECONDS_OF_REST)
            self.on_pause(False)
        return self.should_stop()
