"""Abdomen: what is painted into a transversal slice, from the skin to the labelled organs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sample_data.blobs import cover, spots
from sample_data.subject import Subject
from sample_data.texture import Array, smooth_noise

CLASSES = {"0": "background", "1": "liver", "2": "right kidney", "3": "left kidney", "4": "spleen"}
LIVER, RIGHT_KIDNEY, LEFT_KIDNEY, SPLEEN = 1, 2, 3, 4


@dataclass
class Slice:
    """A slice being painted: coordinates from the patient's right to left (x), front to back (y), and foot to head."""

    y: Array
    x: Array
    z: float
    signal: Array
    labels: NDArray[np.uint8]

    def paint(self, depth: Array, value: Array | float, label: int = 0, edge: float = 0.02) -> None:
        """Put a structure in front of what is there: `depth` is positive inside, `edge` is the width of its border."""
        amount = cover(depth, edge)
        self.signal[:] = self.signal * (1.0 - amount) + value * amount
        self.labels[depth > 0] = label

    def ellipsoid(
        self, centre: tuple[float, float, float], axes: tuple[float, float, float], angle: float = 0.0
    ) -> Array:
        """Depth in an ellipsoid at `centre` (x, y, z) with half `axes` (x, y, z), turned by `angle` in the slice."""
        x, y = self.x - centre[0], self.y - centre[1]
        u = (x * np.cos(angle) + y * np.sin(angle)) / axes[0]
        v = (y * np.cos(angle) - x * np.sin(angle)) / axes[1]
        rho: Array = np.sqrt(u**2 + v**2 + ((self.z - centre[2]) / axes[2]) ** 2)
        return (1.0 - rho) * min(axes[:2])


def mesentery(rng: Generator, shape: tuple[int, int]) -> Array:
    """Signal of the fat between the organs: dark, with strands and the cross-sections of small bright vessels."""
    strands = np.clip(1.4 - np.abs(smooth_noise(rng, shape, 2.6)) / 0.25, 0.0, 1.0)
    signal = 80.0 + 14.0 * smooth_noise(rng, shape, 4.0) + 75.0 * strands * (smooth_noise(rng, shape, 7.0) > 0.2)
    for window, depth in spots(rng, shape, 60, (0.7, 1.6)):
        signal[window] += rng.uniform(60.0, 330.0) * cover(depth)
    return signal


def paint_body(slice_: Slice, who: Subject, rng: Generator) -> Array:
    """Skin, fat, muscle wall, spine and back muscles. Returns the depth in the cavity that they leave."""
    shape = slice_.y.shape
    radius = (np.abs(slice_.x / who.width) ** 2.3 + np.abs(slice_.y / who.height) ** 2.3) ** (1 / 2.3)
    body = (1.0 - radius) * who.height
    marbled = 1.0 + 0.25 * smooth_noise(rng, shape, 1.6)
    slice_.paint(body, 115.0 * who.bright[0])
    slice_.paint(body - 0.015, 85.0 * who.bright[1] * (1.0 + 0.12 * smooth_noise(rng, shape, 2.5)))
    slice_.paint(body - who.fat, 150.0 * who.bright[2] * marbled)
    cavity = body - who.fat - 0.055
    slice_.paint(cavity, mesentery(rng, shape) * who.bright[1])
    back = 0.96 * who.height - who.fat
    for side in (-1.0, 1.0):
        for x, y, a, b in ((0.19, back - 0.15, 0.17, 0.13), (0.42, back - 0.20, 0.14, 0.08), (0.15, 0.25, 0.08, 0.10)):
            muscle = slice_.ellipsoid((side * x, y, 0.5), (a, b, 9.0), -side * 0.25)
            slice_.paint(muscle, 135.0 * who.bright[2] * marbled)
            cavity = np.minimum(cavity, -muscle - 0.015)
    bone = slice_.ellipsoid((0.0, 0.24, 0.5), (0.135, 0.12, 9.0))
    slice_.paint(bone, 175.0 * who.bright[3] * (1.0 + 0.15 * smooth_noise(rng, shape, 1.2)))
    slice_.paint(slice_.ellipsoid((0.0, 0.415, 0.5), (0.10, 0.075, 9.0)), 90.0)
    slice_.paint(slice_.ellipsoid((0.0, 0.40, 0.5), (0.055, 0.042, 9.0)), 900.0 * who.bright[4])
    slice_.paint(slice_.ellipsoid((0.0, 0.40, 0.5), (0.022, 0.018, 9.0)), 330.0)
    slice_.paint(slice_.ellipsoid((0.0, 0.52, 0.5), (0.018, 0.05, 9.0)), 70.0)
    return np.minimum(cavity, -bone - 0.01)


def paint_gut(slice_: Slice, who: Subject, cavity: Array, rng: Generator) -> None:
    """Stomach, bowel and pancreas: as bright as kidney, spleen or liver, but not labelled."""
    shape = slice_.y.shape
    folds = smooth_noise(rng, shape, 2.2)
    for x, y, z, radius, kind in who.bowel:
        loop = slice_.ellipsoid((x, y, z), (radius * 1.25, radius, 0.2), 6.0 * kind)
        loop = np.minimum(loop, cavity - 0.02)
        slice_.paint(loop, 270.0 * who.bright[5])
        content = 45.0 if kind < 0.2 else 300.0 + 680.0 * kind
        slice_.paint(loop - 0.02, content * (1.0 + 0.2 * folds), edge=0.03)
    pancreas = slice_.ellipsoid((0.12, -0.02, 0.55), (0.30, 0.06, 0.16), -0.25)
    slice_.paint(np.minimum(pancreas + 0.02 * folds, cavity), 290.0 * who.bright[6] * (1.0 + 0.1 * folds))
    stomach = slice_.ellipsoid((0.38, -0.24, 0.88), (0.30, 0.22, 0.38), 0.9)
    stomach = np.minimum(stomach, cavity - 0.02)
    slice_.paint(stomach, 330.0 * who.bright[5])
    content = 130.0 + 450.0 * np.clip(4.0 * who.bright[7] - 3.5, 0.0, 1.0)
    slice_.paint(stomach - 0.035, content * (1.0 + 0.35 * folds), edge=0.04)


def paint_organs(slice_: Slice, who: Subject, cavity: Array, rng: Generator) -> None:
    """The labelled organs, and the gall bladder in front of the liver."""
    shape, (shift, swell) = slice_.y.shape, (who.shift, who.swell)

    def organ(k: int, x: float, y: float, z: float, axes: tuple[float, float, float], angle: float = 0.0) -> Array:
        """An ellipsoid, moved and scaled as organ `k` of the subject is."""
        a, b, c = (length * float(swell[k]) for length in axes)
        dx, dy, dz = shift[k]
        return slice_.ellipsoid((x + dx, y + dy, z + dz), (a, b, c), angle)

    right = organ(0, -0.39, 0.17, 0.36, (0.135, 0.175, 0.36), -0.5)
    left = organ(1, 0.39, 0.17, 0.44, (0.130, 0.175, 0.36), 0.5)
    right_lobe = organ(2, -0.50, -0.05, 0.80, (0.44, 0.52, 0.66))
    lobes = np.maximum(right_lobe, organ(3, -0.05, -0.30, 0.92, (0.48, 0.24, 0.40)))
    liver = np.minimum.reduce([lobes, cavity - 0.02, -right - 0.012])
    spleen = np.minimum(organ(4, 0.62, 0.12, 0.78, (0.17, 0.32, 0.42), 0.35), cavity - 0.02)
    spleen = np.minimum.reduce([spleen, -left - 0.012, -liver - 0.02])
    mottle = smooth_noise(rng, shape, 1.3)
    tree = np.exp(-((smooth_noise(rng, shape, 3.2) / 0.16) ** 2)) * (smooth_noise(rng, shape, 3.5) > 0.1)
    tree = gaussian_filter(tree * (smooth_noise(rng, shape, 2.0) > -0.3), 0.5)
    slice_.paint(liver, 230.0 * who.bright[8] * (1.0 + 0.06 * mottle) + 260.0 * tree, LIVER)
    slice_.paint(spleen, 470.0 * who.bright[9] * (1.0 + 0.04 * mottle), SPLEEN)
    for kidney, label, side, k in ((right, RIGHT_KIDNEY, -1.0, 0), (left, LEFT_KIDNEY, 1.0, 1)):
        sinus = organ(k, side * 0.28, 0.15, 0.40, (0.10, 0.055, 0.16), side * 0.5)
        kidney = np.minimum.reduce([kidney, -sinus + 0.045])
        pyramids = 1.0 - 0.22 * cover(kidney - 0.05, 0.03) * (1.0 + 0.9 * smooth_noise(rng, shape, 2.0))
        slice_.paint(kidney, 640.0 * who.bright[10] * pyramids, label)
    bladder = organ(5, -0.27, -0.22, 0.50, (0.085, 0.12, 0.17), 0.4)
    slice_.paint(bladder, 960.0 * who.bright[11])


def paint_vessels(slice_: Slice, who: Subject) -> None:
    """Aorta (dark, as blood flows) and vena cava in front of the spine."""
    for x, y, radius, value in ((0.07, 0.075, 0.05, 75.0), (-0.10, 0.08, 0.055, 330.0)):
        dx, dy, _ = who.shift[6]
        vessel = slice_.ellipsoid((x + dx, y + dy, 0.5), (radius, radius, 9.0))
        slice_.paint(vessel, 240.0)
        slice_.paint(vessel - 0.012, value)
