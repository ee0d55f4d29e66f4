"""Steps of a training that fit into the memory: made smaller when it runs out, and tried out first by a group."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from napari_attnseg.data.patches import PatchBatch
from napari_attnseg.events import Event, Notice
from napari_attnseg.prediction.fitting import is_out_of_memory
from napari_attnseg.training.feed import Feed
from napari_attnseg.training.group import Group
from napari_attnseg.training.learner import Learner
from napari_attnseg.training.memory import need_less


class Steps:
    """Has the network learn from batches, from as much at once as there is memory for.

    Parameters
    ----------
    learner, feed
        What learns, and where the batches come from.
    group
        The processes that learn together.
    report
        Called with a notice when less is taken.
    """

    def __init__(self, learner: Learner, feed: Feed, group: Group, report: Callable[[Event], None]) -> None:
        self._learner = learner
        self._feed = feed
        self._group = group
        self._report = report
        self._fits = False

    def learn(self, step: int, batch: PatchBatch, rate: float) -> Tensor:
        """Learn from the batch of a step and return its loss, a scalar that is not yet synchronised.

        Raises
        ------
        AttnSegError
            A single one of the smallest patches does not fit.
        """
        if self._group.is_shared:
            self._find_what_fits(step, batch)
            return self._learner.step(*self._feed.tensors(step, batch), rate)
        while True:
            try:
                return self._learner.step(*self._feed.tensors(step, batch), rate)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            self._take_less()  # not within the block above, in which the error still holds the batch's memory

    def _find_what_fits(self, step: int, batch: PatchBatch) -> None:
        """Agree, before the first step, on what the memory of every process is enough for."""
        while not self._fits:
            tensors = self._feed.tensors(step, batch)
            self._fits = not self._group.any_says(not self._learner.fits(*tensors))
            del tensors
            if not self._fits:
                self._take_less()

    def _take_less(self) -> None:
        self._report(Notice(need_less(self._learner, self._feed)))
