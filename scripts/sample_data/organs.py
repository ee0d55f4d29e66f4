"""Organs: a slice of a subject as an MRI scanner gives it."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from sample_data.abdomen import Slice, paint_body, paint_gut, paint_organs, paint_vessels
from sample_data.sample import Sample
from sample_data.subject import at_height, draw_subject
from sample_data.texture import Array, smooth_noise


def receive(rng: Generator, signal: Array, sigma: float) -> NDArray[np.uint16]:
    """What the scanner gives: surface coil shading, the ringing of a cut spectrum, Rician noise; at most 1200."""
    size = signal.shape[0]
    y, x = (np.mgrid[:size, :size] + 0.5) / size * 2.0 - 1.0
    shade = 0.72 + 0.38 * (x**2 + y**2) + 0.12 * smooth_noise(rng, signal.shape, size / 5)
    spectrum = np.fft.fftshift(np.fft.fft2(signal * shade))
    keep = np.abs(np.fft.fftshift(np.fft.fftfreq(size))) < 0.40
    kept = np.fft.ifft2(np.fft.ifftshift(spectrum * np.outer(keep, keep))).real
    noise = rng.normal(0.0, sigma, (2, *signal.shape))
    magnitude: Array = np.hypot(kept + noise[0], noise[1])
    return np.round(np.clip(magnitude, 0, 1200)).astype(np.uint16)


def organs(rng: Generator, subject: int, height: float, size: int = 160) -> Sample:
    """One transversal slice at `height` (0 foot, 1 head) of a subject, T2-like with the fat suppressed."""
    who = draw_subject(np.random.default_rng([subject, 2018]), size)
    y, x = (np.mgrid[:size, :size] + 0.5) / size * 2.0 - 1.0
    bend = 0.022 * at_height(who.bend, height)
    slice_ = Slice(y + bend[0], x + bend[1], height, np.zeros((size, size)), np.zeros((size, size), np.uint8))
    cavity = paint_body(slice_, who, rng)
    paint_gut(slice_, who, cavity, rng)
    paint_vessels(slice_, who)
    paint_organs(slice_, who, cavity, rng)
    return Sample(receive(rng, slice_.signal, 13.0), slice_.labels, {"photometric": "minisblack"})
