"""What a stack's axes are and how large a pixel is: what lengths, areas and volumes are computed with."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from napari_attnseg.data.info import ImageInfo
from napari_attnseg.errors import DataError, SettingsError
from napari_attnseg.settings import ObjectSettings, Reach


@dataclass(frozen=True)
class Geometry:
    """The planes of a stack, and the size of a pixel."""

    stack_axes: str = ""
    """'', 'Z', 'T', 'TZ' or 'ZT'; planes are numbered in this order."""
    stack_shape: tuple[int, ...] = ()
    pixel_size: tuple[float, float] | None = None
    """Height and width of a pixel in `unit`; None if not known."""
    depth: float | None = None
    """Distance of two planes in `unit`; None if not known."""
    unit: str = ""

    @classmethod
    def of(cls, info: ImageInfo) -> Geometry:
        """Return what the file of an image, or of its mask, says."""
        known = info.pixel_size is not None and bool(info.unit)
        return cls(
            info.stack_axes,
            info.stack_shape,
            info.pixel_size,
            info.z_spacing,
            info.unit if known else "",
        )

    @property
    def n_planes(self) -> int:
        """Number of planes."""
        return math.prod(self.stack_shape)

    @property
    def times(self) -> int:
        """Number of frames."""
        return self._length("T")

    @property
    def is_calibrated(self) -> bool:
        """Whether the size of a pixel and its unit are known."""
        return self.pixel_size is not None and bool(self.unit)

    def place(self, plane: int) -> dict[str, int]:
        """Return the indices of a plane along Z and T; 0 along an axis that is not there."""
        found = {"Z": 0, "T": 0}
        for axis, length in zip(reversed(self.stack_axes), reversed(self.stack_shape), strict=True):
            plane, found[axis] = divmod(plane, length)
        return found

    def through(self, reach: Reach) -> tuple[bool, ...]:
        """Return for each stack axis whether an object can go on along it."""
        axes = {"planes": "", "z": "Z", "zt": "ZT"}[reach]
        return tuple(axis in axes for axis in self.stack_axes)

    def together(self, reach: Reach) -> list[list[int]]:
        """Return the planes of the stack, group by group, that one object can be on."""
        apart = [1 if on else length for on, length in zip(self.through(reach), self.stack_shape, strict=True)]
        group = np.broadcast_to(np.arange(math.prod(apart)).reshape(apart), self.stack_shape).ravel()
        return [np.flatnonzero(group == number).tolist() for number in range(math.prod(apart))]

    def makes_volumes(self, reach: Reach) -> bool:
        """Whether objects have a volume, not an area."""
        return reach != "planes" and self._length("Z") > 1

    def joins_times(self, reach: Reach) -> bool:
        """Whether an object can go on through time."""
        return reach == "zt" and self.times > 1

    def pixel_measure(self, volume: bool) -> float | None:
        """Return the area, or the volume, of a pixel in `unit`; None if it is not known."""
        if not self.is_calibrated or self.pixel_size is None or (volume and self.depth is None):
            return None
        area = self.pixel_size[0] * self.pixel_size[1]
        return area * (self.depth or 1.0) if volume else area

    def lengths(self, settings: ObjectSettings, name: str) -> tuple[float, float, float]:
        """Return depth, height and width of a pixel in the unit that the settings count in.

        In pixels, a pixel has the area 1, and a distance of planes that is not known is 1.

        Raises
        ------
        SettingsError
            The settings count in the image's unit, which is not known; `name` is the file's.
        """
        height, width = self.pixel_size or (1.0, 1.0)
        side = math.sqrt(height * width)
        depth = self.depth or side
        if settings.unit == "pixels":
            return depth / side, height / side, width / side
        if not self.is_calibrated:
            raise SettingsError(
                f"{name} does not say how large a pixel is, so that nothing can be counted in µm; give the lengths in "
                "pixels (--unit pixels), or write the pixel size into the file, for instance in Fiji."
            )
        if self._length("Z") > 1 and self.depth is None and settings.reach != "planes":
            raise SettingsError(
                f"{name} does not say how far its planes are from each other; give the lengths in pixels "
                "(--unit pixels), or take each plane by itself (--reach planes)."
            )
        return depth, height, width

    def require_like(self, other: Geometry, name: str, other_name: str) -> None:
        """Refuse two stacks of different planes.

        Raises
        ------
        DataError
            They differ; both are named.
        """
        if self.stack_shape != other.stack_shape:
            raise DataError(
                f"{name} has {_planes(self)} but {other_name} has {_planes(other)}; they do not belong together."
            )

    def _length(self, axis: str) -> int:
        return self.stack_shape[self.stack_axes.index(axis)] if axis in self.stack_axes else 1


def _planes(geometry: Geometry) -> str:
    sizes = [f"{length} along {axis}" for axis, length in zip(geometry.stack_axes, geometry.stack_shape, strict=True)]
    return " and ".join(sizes) + " planes" if sizes else "a single plane"
