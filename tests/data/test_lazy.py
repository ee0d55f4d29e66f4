"""Lazily opened images: the same pixels as when read at once, and no more of the file read than is looked at."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_attnseg.data import lazy, lazy_pixels, regions
from napari_attnseg.data.lazy import LazyImage, layer_order, open_lazily, opened_pixels
from napari_attnseg.data.lazy_pixels import Pixels
from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.errors import DataError

pytest.importorskip("dask.array")

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 60000, (90, 110), dtype=np.uint16)
STACK = RNG.integers(0, 60000, (5, 70, 80), dtype=np.uint16)
CHANNELS = RNG.integers(0, 255, (3, 2, 70, 80), dtype=np.uint8)
COLOUR = RNG.integers(0, 255, (70, 90, 3), dtype=np.uint8)
PALETTE = RNG.integers(0, 65535, (3, 256), dtype=np.uint16)
TILED = {"tile": (32, 48), "compression": "zlib"}

FILES: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "contiguous": (GREY, {}),
    "contiguous, big-endian": (GREY, {"byteorder": ">"}),
    "tiles": (GREY, TILED),
    "tiles, big-endian": (GREY, {**TILED, "byteorder": ">"}),
    "tiles with a predictor": (GREY, {**TILED, "predictor": 2}),
    "strips": (GREY, {"rowsperstrip": 7, "compression": "lzw"}),
    "one strip": (GREY, {"rowsperstrip": 90, "compression": "zlib"}),
    "turned over": (GREY.astype(np.uint8), {**TILED, "photometric": "miniswhite"}),
    "one bit": (GREY > 30000, {"compression": "packbits"}),
    "float": (GREY.astype(np.float32), TILED),
    "palette": (GREY.astype(np.uint8), {**TILED, "photometric": "palette", "colormap": PALETTE}),
    "stack": (STACK, {"compression": "zlib", "metadata": {"axes": "ZYX"}}),
    "stack, contiguous": (STACK, {"imagej": True, "metadata": {"axes": "ZYX"}}),
    "channels": (CHANNELS, {**TILED, "metadata": {"axes": "ZCYX"}}),
    "channels before the stack": (CHANNELS, {**TILED, "metadata": {"axes": "CZYX"}}),
    "channels, contiguous": (CHANNELS, {"metadata": {"axes": "CZYX"}}),
    "ome": (CHANNELS, {"ome": True, "compression": "zlib", "metadata": {"axes": "TCYX"}}),
    "rgb": (COLOUR, {**TILED, "photometric": "rgb"}),
    "rgb, contiguous": (COLOUR, {"photometric": "rgb"}),
    "rgb, planes apart": (np.moveaxis(COLOUR, -1, 0), {**TILED, "photometric": "rgb", "planarconfig": "separate"}),
    "rgba": (np.concatenate([COLOUR, COLOUR[..., :1]], -1), {**TILED, "photometric": "rgb"}),
    "jpeg": (COLOUR, {"tile": (32, 48), "photometric": "rgb", "compression": "jpeg"}),
    "stack of rgb": (np.stack([COLOUR, COLOUR[::-1]]), {**TILED, "photometric": "rgb", "metadata": {"axes": "ZYXS"}}),
    "five samples": (RNG.integers(0, 255, (70, 90, 5), dtype=np.uint8), {**TILED, "photometric": "minisblack"}),
}


def write(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, pixels, **({"photometric": "minisblack"} | options))
    return path


class Reads:
    """Counts what is read from files by seeking: how many pieces, and how many bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pieces = self.bytes = 0
        read = tifffile.FileHandle.read

        def counted(handle: tifffile.FileHandle, size: int = -1) -> bytes:
            data: bytes = read(handle, size)
            self.pieces += 1
            self.bytes += len(data)
            return data

        monkeypatch.setattr(tifffile.FileHandle, "read", counted)


@pytest.mark.parametrize("name", FILES)
def test_levels_hold_what_reading_at_once_gives(tmp_path: Path, name: str) -> None:
    pixels, options = FILES[name]
    path = write(tmp_path / "image.tif", pixels, **options)
    whole = read_image(path)
    expected = layer_order(whole.pixels, whole.info)
    image = open_lazily(path)
    level = image.levels[0]
    assert level.shape == expected.shape
    assert len(image.axes) == level.ndim
    assert level.dtype == expected.dtype == np.asarray(level).dtype
    np.testing.assert_array_equal(np.asarray(level), expected)
    y = image.axes.index("Y")
    part = (*(0 for _ in range(y)), slice(13, 62, 3), slice(31, 79))
    np.testing.assert_array_equal(np.asarray(level[part]), expected[part])
    image.close()


def test_axes_given_by_the_user_are_followed(tmp_path: Path) -> None:
    path = write(tmp_path / "image.tif", CHANNELS[:, 0], **TILED)
    for axes in ("CYX", "ZYX", "TXY"):
        whole = read_image(path, axes)
        image = open_lazily(path, axes)
        np.testing.assert_array_equal(np.asarray(image.levels[0]), layer_order(whole.pixels, whole.info))
        image.close()


def test_rows_and_columns_across_pages_are_read_as_a_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "image.tif", STACK, compression="zlib")
    image = open_lazily(path, "YXZ")
    np.testing.assert_array_equal(image.levels[0], np.moveaxis(STACK, -1, 0))


def test_stored_pyramid_is_used(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.ome.tif"
    full = RNG.integers(0, 255, (2, 256, 320), dtype=np.uint8)
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(full, subifds=2, tile=(32, 32), compression="zlib", metadata={"axes": "ZYX"})
        for step in (2, 4):
            tif.write(full[:, ::step, ::step], subfiletype=1, tile=(32, 32), compression="zlib")
    image = open_lazily(path)
    assert [level.shape for level in image.levels] == [(2, 256, 320), (2, 128, 160), (2, 64, 80)]
    assert image.overview is None
    assert image.fill_overview()
    for level, step in zip(image.levels, (1, 2, 4), strict=True):
        np.testing.assert_array_equal(np.asarray(level), full[:, ::step, ::step])
    image.close()


def test_pyramid_in_series_of_its_own_is_used_and_other_images_are_not(tmp_path: Path) -> None:
    path = tmp_path / "series.tif"
    full = RNG.integers(0, 255, (300, 321), dtype=np.uint8)
    with tifffile.TiffWriter(path) as tif:
        for level in (full, full[::2, ::2], full[::4, ::4][:75, :80], full[:100, :300]):
            tif.write(level, tile=(32, 32), metadata=None)
    image = open_lazily(path)
    assert [level.shape for level in image.levels] == [(300, 321), (150, 161), (75, 80)]
    np.testing.assert_array_equal(np.asarray(image.levels[1]), full[::2, ::2])
    image.close()


def wide_image(path: Path, **options: Any) -> np.ndarray:
    pixels = RNG.integers(0, 255, (701, 4999), dtype=np.uint8)
    write(path, pixels, **options)
    return pixels


@pytest.mark.parametrize("options", [TILED, {"rowsperstrip": 11, "compression": "zlib"}, {}])
def test_overview_is_filled_in_steps(tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_pixels, "_CHUNK", 64)
    monkeypatch.setattr("napari_attnseg.data.pyramid._VALUES_AT_ONCE", 2**19)
    pixels = wide_image(tmp_path / "wide.tif", **options)
    image = open_lazily(tmp_path / "wide.tif")
    assert [level.shape for level in image.levels] == [(701, 4999), (351, 2500), (176, 1250), (88, 625)]
    assert not any(level.any() for level in image.levels[1:])
    seen: list[tuple[int, int]] = []
    assert image.fill_overview(lambda done, total: seen.append((done, total)))
    for level, step in zip(image.levels, (1, 2, 4, 8), strict=True):
        np.testing.assert_array_equal(np.asarray(level), pixels[::step, ::step])
    total = seen[0][1]
    assert total > 1
    assert seen == [(done, total) for done in range(1, total + 1)]
    image.close()


def test_overview_stops_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_pixels, "_CHUNK", 64)
    monkeypatch.setattr("napari_attnseg.data.pyramid._VALUES_AT_ONCE", 2**19)
    wide_image(tmp_path / "wide.tif", **TILED)
    image = open_lazily(tmp_path / "wide.tif")
    done: list[int] = []
    assert not image.fill_overview(lambda step, _: done.append(step), lambda: len(done) == 2)
    assert done == [1, 2]
    assert image.overview is not None
    assert not image.overview.is_complete
    assert image.levels[1][:20].any()
    assert not image.levels[1][-20:].any()
    image.close()


def test_overview_of_channels_and_of_colours(tmp_path: Path) -> None:
    stored = RNG.integers(0, 255, (2, 40, 4200), dtype=np.uint8)
    for pixels, options, step in (
        (stored, {**TILED, "metadata": {"axes": "CYX"}}, (slice(None), slice(None, None, 2), slice(None, None, 2))),
        (
            RNG.integers(0, 255, (40, 4200, 3), dtype=np.uint8),
            {**TILED, "photometric": "rgb"},
            (slice(None, None, 2), slice(None, None, 2)),
        ),
    ):
        path = write(tmp_path / "image.tif", pixels, **options)
        image = open_lazily(path)
        assert image.fill_overview()
        np.testing.assert_array_equal(image.levels[1], pixels[step])
        image.close()


def test_only_the_tiles_that_are_looked_at_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_pixels, "_CHUNK", 64)
    pixels = RNG.integers(0, 255, (640, 640), dtype=np.uint8)
    image = open_lazily(write(tmp_path / "image.tif", pixels, tile=(32, 32), compression="zlib"))
    reads = Reads(monkeypatch)
    np.testing.assert_array_equal(np.asarray(image.levels[0][70:120, 130:180]), pixels[70:120, 130:180])
    assert reads.pieces == 4
    image.close()


def test_a_change_of_plane_reads_that_plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = RNG.integers(0, 255, (200, 64, 64), dtype=np.uint8)
    path = write(tmp_path / "stack.tif", pixels, compression="zlib", metadata={"axes": "ZYX"})
    image = open_lazily(path)
    reads = Reads(monkeypatch)
    for plane in (0, 150):
        np.testing.assert_array_equal(np.asarray(image.levels[0][plane]), pixels[plane])
    assert reads.pieces == 2
    assert reads.bytes < path.stat().st_size / 80
    image.close()


def test_opening_reads_no_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "image.tif", RNG.integers(0, 255, (2000, 2000), dtype=np.uint8), compression="zlib")
    reads = Reads(monkeypatch)
    image = open_lazily(path)
    assert reads.bytes < 100_000
    image.close()


def test_threads_may_read_at_the_same_time(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 255, (640, 640), dtype=np.uint8)
    image = open_lazily(write(tmp_path / "image.tif", pixels, tile=(32, 32), compression="zlib"))
    barrier = threading.Barrier(4)

    def part(start: int) -> np.ndarray:
        barrier.wait()
        return image.read((slice(start, None, 4), slice(start, None)))

    with ThreadPoolExecutor(4) as pool:
        for start, found in enumerate(pool.map(part, range(4))):
            np.testing.assert_array_equal(found, pixels[start::4, start:])
    image.close()


def sampled(path: Path, pixels: np.ndarray, **options: Any) -> np.ndarray:
    image: LazyImage = open_lazily(write(path, pixels, **options))
    sample = image.sample()
    image.close()
    return sample


def test_sample_has_a_row_for_each_channel(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    channels = np.stack([np.full((5, 40, 50), value, np.uint8) for value in (3, 7)])
    found = sampled(path, channels, metadata={"axes": "CZYX"}, **TILED)
    assert found.shape == (2, 40 * 50)
    assert [set(row) for row in found.tolist()] == [{3}, {7}]
    assert sampled(path, GREY).shape == (1, GREY.size)
    assert sampled(path, COLOUR, photometric="rgb").shape == (1, COLOUR.size)
    assert sampled(path, np.zeros((3000, 3000), np.uint8), **TILED).shape == (1, 9 * 256 * 256)


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    for options in ({}, TILED):
        path = write(tmp_path / "image.tif", RNG.integers(0, 255, (400, 400), dtype=np.uint8), **options)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(DataError, match=r"image\.tif is cut short"):
            open_lazily(path)


CUT_MEANWHILE = """
import os, sys
from pathlib import Path
from napari_attnseg.data.lazy import opened_pixels
from napari_attnseg.errors import DataError
with opened_pixels(Path(sys.argv[1])) as (info, pixels):
    pixels[..., :10, :10]
    os.truncate(sys.argv[1], 100_000)
    try:
        pixels[..., 990:, 5:2000]
    except DataError as error:
        print(error)
"""


def test_a_file_that_becomes_shorter_while_it_is_read_is_one_sentence(tmp_path: Path) -> None:
    """In a process of its own: one that had mapped the file would be killed."""
    path = write(tmp_path / "a.tif", np.ones((1000, 2000), np.uint8))
    result = subprocess.run([sys.executable, "-c", CUT_MEANWHILE, path], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "a.tif is cut short: it became shorter while it was read" in result.stdout


@pytest.mark.parametrize("axes", ["YX", "TZYX", "ZCYX", "YXS", "SYX", "YXC", "TYXC"])
@pytest.mark.parametrize("most_skipped", [1, 500, 2**16])
def test_any_part_of_what_is_not_compressed(
    tmp_path: Path, axes: str, most_skipped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "_READ_WHOLE", most_skipped)
    lengths = {"T": 2, "Z": 3, "C": 5, "Y": 40, "X": 60, "S": 3}
    array = np.random.default_rng(0).integers(0, 60000, [lengths[axis] for axis in axes]).astype(np.uint16)
    colour = {"photometric": "rgb"} if "S" in axes else {"photometric": "minisblack"}
    if "S" in axes:
        colour["planarconfig"] = "separate" if axes == "SYX" else "contig"
    tifffile.imwrite(tmp_path / "a.tif", array, byteorder=">", metadata={"axes": axes}, **colour)
    whole = layer_order(read_image(tmp_path / "a.tif").pixels, read_info(tmp_path / "a.tif"))
    with opened_pixels(tmp_path / "a.tif") as (info, pixels):
        assert isinstance(pixels, Pixels)
        y = pixels.ndim - (3 if info.is_rgb else 2)
        for rows, columns in ((slice(0, 40), slice(0, 60)), (slice(7, 9), slice(50, 60)), (slice(3, 40), slice(0, 1))):
            key = (*[slice(None)] * y, rows, columns)
            assert np.array_equal(pixels[key], whole[key])
            assert pixels[key].dtype == np.uint16


def test_what_can_only_be_read_as_a_whole_has_to_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "strip.tif", GREY, rowsperstrip=90, compression="zlib")
    monkeypatch.setattr(lazy, "MOST_BYTES_AT_ONCE", 1000)
    free = 2 * GREY.nbytes
    monkeypatch.setattr(lazy, "free_memory", lambda: free)
    with opened_pixels(path) as (_, pixels):
        assert np.array_equal(pixels, GREY)
    free -= 1
    with (
        pytest.raises(DataError, match=r"strip\.tif is stored in such large pieces .* Save it in tiles"),
        opened_pixels(path),
    ):
        pass
    open_lazily(write(tmp_path / "tiles.tif", GREY, tile=(16, 16), compression="zlib")).close()


def test_damaged_pixels_are_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "image.tif", GREY, **TILED)
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[0].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 40] = b"\xff" * 40
    path.write_bytes(content)
    image = open_lazily(path)
    with pytest.raises(DataError, match=r"A part of image\.tif cannot be read or decoded"):
        np.asarray(image.levels[0])
    image.close()
