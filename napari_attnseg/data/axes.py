"""Which axis of an array is what.

Axes are letters, as in tifffile: T time, Z depth, C channel, Y row, X column, S sample of a pixel (red, green, blue).
Metadata that names the axes (OME-XML, ImageJ, the writer's own) is believed. Without it the shape decides:

====================================================  ==========
shape                                                 read as
====================================================  ==========
two axes                                              YX
last axis 3 or 4, 8 or 16 bit, the other axes larger  ...YXS
three axes, first at most 4 and less than the others  CYX
three axes                                            ZYX
four axes, second at most 4                           ZCYX
four axes                                             TZYX
five axes                                             TZCYX
====================================================  ==========

An axis of length 1 that no rule needs is ignored. Axes that mean something else (angle, phase, lifetime, position) are
taken as Z or T, whichever is free: each of their planes is an image of its own.
"""

from __future__ import annotations

from math import prod

from napari_attnseg.errors import DataError

STACK_AXES = "TZ"
CHANNEL_AXES = "CS"
KNOWN_AXES = "TZCYXS"
MOST_UNNAMED_CHANNELS = 4


def understand_axes(shape: tuple[int, ...], codes: str, *, dtype: str, override: str | None, name: str) -> str:
    """Name the axes of an array.

    Parameters
    ----------
    shape
        Lengths of the axes, as stored.
    codes
        What tifffile calls them; Q, I and other letters than T, Z, C, Y, X, S are not known.
    dtype
        Name of the number type; only 8 and 16 bit unsigned arrays are taken for RGB by their shape.
    override
        The user's axes, or None.
    name
        The file's name, for the message.

    Returns
    -------
    str
        As many letters as `shape` has axes, each of T, Z, C, Y, X, S; an ignored axis of length 1 is '-'.

    Raises
    ------
    DataError
        The override does not fit the shape, or there are more axes than can be named.
    """
    if override is not None:
        return _overridden(shape, override.upper(), name)
    if not {"Y", "X"} <= set(codes) or len(codes) != len(shape):
        codes = "Q" * (len(shape) - 2) + "YX"
    unknown = [i for i, code in enumerate(codes) if code not in KNOWN_AXES]
    for i in [i for i in unknown if shape[i] == 1]:
        codes = codes[:i] + "-" + codes[i + 1 :]
        unknown.remove(i)
    if not unknown:
        return codes
    if set(codes) <= set("QYX-") and codes.endswith("QYX") and _looks_like_rgb(shape, dtype):
        # tifffile calls the last two axes YX; here the last is colour
        codes = codes[:-3] + "YXS"
        unknown = [i for i in unknown if i < len(codes) - 3]
    return _name_unknown(codes, shape, unknown, name)


def squeeze(shape: tuple[int, ...], axes: str) -> tuple[tuple[int, ...], str]:
    """Drop the axes marked '-', all of length 1."""
    kept = [(length, axis) for length, axis in zip(shape, axes, strict=True) if axis != "-"]
    return tuple(length for length, _ in kept), "".join(axis for _, axis in kept)


def stack_of(shape: tuple[int, ...], axes: str) -> tuple[str, tuple[int, ...]]:
    """Return the axes that are iterated plane by plane, in stored order, and their lengths."""
    found = [(axis, length) for axis, length in zip(axes, shape, strict=True) if axis in STACK_AXES]
    return "".join(axis for axis, _ in found), tuple(length for _, length in found)


def channels_of(shape: tuple[int, ...], axes: str) -> int:
    """Return how many channels a plane has: C times S, 1 without either."""
    return prod(length for axis, length in zip(axes, shape, strict=True) if axis in CHANNEL_AXES)


def _looks_like_rgb(shape: tuple[int, ...], dtype: str) -> bool:
    return len(shape) >= 3 and shape[-1] in (3, 4) and min(shape[-3:-1]) > shape[-1] and dtype in ("uint8", "uint16")


def _name_unknown(codes: str, shape: tuple[int, ...], unknown: list[int], name: str) -> str:
    letters = list(codes)
    free = [axis for axis in "TZ" if axis not in codes]
    named_plain = set(codes) <= set("QIYX-")
    if unknown and named_plain and _may_be_channels(shape, codes, unknown):
        letters[unknown[-1]] = "C"
        unknown = unknown[:-1]
    if len(unknown) > len(free):
        raise DataError(
            f"{name} has the shape {shape_text(shape)} with more axes than T, Z, C, Y, X and S can name; "
            "save it with fewer axes, or as one file for each position."
        )
    for i, axis in zip(unknown, free[len(free) - len(unknown) :], strict=True):
        letters[i] = axis
    return "".join(letters)


def _may_be_channels(shape: tuple[int, ...], codes: str, unknown: list[int]) -> bool:
    """Whether the last unnamed axis is one of channels: short, or one too many for T and Z."""
    plane = [shape[codes.index("Y")], shape[codes.index("X")]]
    length = shape[unknown[-1]]
    return len(unknown) > 2 or (length <= MOST_UNNAMED_CHANNELS and length < min(plane))


def _overridden(shape: tuple[int, ...], override: str, name: str) -> str:
    problem = None
    if len(override) != len(shape):
        problem = f"'{override}' has {len(override)} letters but the array has {len(shape)} axes"
    elif set(override) - set(KNOWN_AXES) or len(set(override)) != len(override) or not {"Y", "X"} <= set(override):
        problem = f"'{override}' must name each axis once, of T, Z, C, Y, X and S, with Y and X among them"
    if problem:
        raise DataError(
            f"The axes given for {name} do not fit its shape {shape_text(shape)}: {problem}. "
            "Give one letter for each axis, in the order of the shape, or leave the axes unset."
        )
    return override


def shape_text(shape: tuple[int, ...]) -> str:
    """Write a shape for a message, such as '31 x 256 x 256'."""
    return " x ".join(str(length) for length in shape) or "()"
