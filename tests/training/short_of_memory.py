"""The program on a machine on which the second of two processes finds its GPU's memory too small for a whole batch."""

from __future__ import annotations

from typing import Any

from napari_attnseg.__main__ import program
from napari_attnseg.training.learner import Learner


def fits(learner: Learner, *tensors: Any) -> bool:
    """Stand in for a GPU, which tests do not have."""
    return learner.group.is_first or learner.chunks > 1


if __name__ == "__main__":
    Learner.fits = fits  # type: ignore[method-assign]
    program()
