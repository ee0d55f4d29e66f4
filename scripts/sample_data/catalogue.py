"""Catalogue: every file of the data set, and how it is drawn."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.random import Generator

from sample_data.brightfield import brightfield
from sample_data.fluorescence import fluorescence
from sample_data.organs import organs
from sample_data.sample import Sample
from sample_data.stack import stack
from sample_data.stained import stained

# Two of each modality: a blue one, and one of each sign of `focus`. Each lies between training images in size of the
# nuclei and in staining.
TEST = {"fluorescence01", "fluorescence05", "brightfield05", "brightfield06", "stained02", "stained03"}


def nuclei_samples() -> dict[str, Callable[[Generator], Sample]]:
    """How to draw each file of `nuclei/train/` and `nuclei/test/`: three modalities of several sizes and densities."""
    grey, blue, square = (1.0, 1.0, 1.0), (0.12, 0.3, 1.0), (256, 256)
    cells = (  # shape, number, radius, crowding, tint
        (square, 40, 9.0, 0.5, grey), (square, 26, 12.0, 0.5, grey), (square, 18, 15.0, 0.7, grey),
        (square, 70, 7.5, 0.6, grey), (square, 30, 10.0, 0.3, blue), (square, 22, 13.0, 0.6, blue),
        ((320, 256), 45, 10.0, 0.6, blue), ((200, 260), 24, 11.0, 0.5, grey), (square, 55, 8.0, 0.7, blue),
        (square, 12, 11.0, 0.4, grey),
    )  # fmt: skip
    living = (  # shape, number, radius, crowding, focus
        (square, 14, 12.0, 0.2, 1.6), (square, 20, 11.0, 0.3, -1.6), (square, 11, 14.0, 0.2, 1.9),
        (square, 16, 12.0, 0.3, -1.9), ((320, 256), 22, 12.0, 0.3, 1.7), ((200, 260), 14, 11.0, 0.2, -1.7),
        (square, 24, 10.0, 0.4, 1.6), (square, 12, 13.0, 0.3, -1.8),
    )  # fmt: skip
    tissues = (  # shape, radius, strength, blue
        (square, 8.0, 1.1, 0.0), (square, 9.5, 0.95, 0.08), (square, 7.5, 1.25, 0.04), (square, 10.0, 1.0, -0.05),
        ((256, 320), 8.5, 0.9, 0.1), ((200, 260), 8.0, 1.15, 0.0), (square, 7.0, 1.05, 0.06), (square, 9.0, 1.3, -0.03),
    )  # fmt: skip
    jobs: dict[str, Callable[[Generator], Sample]] = {}
    for name, draw, table in (
        ("fluorescence", fluorescence, cells), ("brightfield", brightfield, living), ("stained", stained, tissues)
    ):  # fmt: skip
        for number, row in enumerate(table, start=1):
            stem = f"{name}{number:02d}"
            jobs[f"nuclei/{'test' if stem in TEST else 'train'}/{stem}"] = partial(_draw, draw, row)
    return jobs


def _draw(draw: Callable[..., Sample], row: tuple[Any, ...], rng: Generator) -> Sample:
    """Call `draw` with the generator first, which `partial` cannot do."""
    return draw(rng, *row)


def all_samples() -> dict[str, Callable[[Generator], Sample]]:
    """How to draw every file, by its path without extension."""
    jobs = nuclei_samples()
    for subject in range(1, 6):
        for z in (4, 8, 11, 15, 18):
            height = 0.05 * z + 0.006 * subject
            jobs[f"organs/subject{subject:02d}_z{z:02d}"] = partial(organs, subject=subject, height=height)
    jobs["stack/nuclei3d"] = partial(stack, shape=(12, 128, 160), count=70)
    return jobs


def draw_sample(name: str) -> Sample:
    """The image and mask of one file of `all_samples()`.

    The seed is the name without the folders between the first one and the file: an image that moves between `train`
    and `test` stays the same.
    """
    path = PurePosixPath(name)
    seed = zlib.crc32(f"{path.parts[0]}/{path.name}".encode())
    return all_samples()[name](np.random.default_rng(seed))
