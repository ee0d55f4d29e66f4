"""Every kind of TIFF that a microscope, a scanner or a program leaves behind."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

from napari_attnseg.data import tiff
from napari_attnseg.data.tiff import read_image, read_info, read_planes
from napari_attnseg.errors import DataError

RNG = np.random.default_rng(0)


def noise(*shape: int, dtype: str = "uint8", high: int = 200) -> np.ndarray:
    return RNG.integers(0, high, shape).astype(dtype)


def written(folder: Path, array: np.ndarray, name: str = "cell.tif", **options) -> Path:
    path = folder / name
    tifffile.imwrite(path, array, **options)
    return path


@pytest.mark.parametrize(
    "compression", [None, "lzw", "zlib", "zstd", "packbits", "adobe_deflate", "lzma", "webp", "jpeg2000"]
)
@pytest.mark.parametrize("tile", [None, (16, 32)])
def test_lossless_codecs(tmp_path, compression, tile):
    array = noise(40, 56, 3)
    options = {"compressionargs": {"lossless": True}} if compression == "webp" else {}
    if compression == "jpeg2000":
        options = {"compressionargs": {"reversible": True}}
    path = written(tmp_path, array, compression=compression, tile=tile, photometric="rgb", **options)
    image = read_image(path)
    assert image.info.axes == "YXS"
    assert image.info.is_rgb
    assert image.info.is_tiled == (tile is not None)
    np.testing.assert_array_equal(image.pixels[0], np.moveaxis(array, -1, 0))


def test_jpeg_with_ycbcr_becomes_rgb(tmp_path):
    array = np.full((64, 64, 3), (200, 40, 90), np.uint8)
    path = tmp_path / "scan.tif"
    PIL.Image.fromarray(array).save(path, compression="jpeg")
    image = read_image(path)
    assert image.info.is_rgb
    assert image.info.compression == "jpeg"
    assert np.abs(image.pixels[0].astype(int) - array.transpose(2, 0, 1)).max() < 6


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float16", "float32", "float64"]
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_number_types_stay(tmp_path, dtype, byteorder):
    array = noise(20, 30, high=2, dtype=dtype)
    image = read_image(written(tmp_path, array, byteorder=byteorder, photometric="minisblack"))
    assert image.info.dtype == dtype
    assert image.pixels.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(image.pixels[0, 0], array)


def test_12_bit_packed(tmp_path):
    values = noise(20, 30, dtype="uint16", high=4096)
    flat = values.reshape(-1, 2).astype(np.uint32)
    packed = np.stack([flat[:, 0] >> 4, (flat[:, 0] & 15) << 4 | flat[:, 1] >> 8, flat[:, 1] & 255], 1).astype(np.uint8)
    path = tmp_path / "camera.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(iter([packed.tobytes()]), shape=(20, 30), dtype="uint16", bitspersample=12, compression=None,
                  rowsperstrip=20, photometric="minisblack")  # fmt: skip
    image = read_image(path)
    assert image.info.bits == 12
    np.testing.assert_array_equal(image.pixels[0, 0], values)


def test_bigtiff_and_unusual_paths(tmp_path):
    folder = tmp_path / "Zellen äöü 細胞 (1)"
    folder.mkdir()
    array = noise(20, 30)
    image = read_image(written(folder, array, "mein Bild é.TIF", bigtiff=True))
    np.testing.assert_array_equal(image.pixels[0, 0], array)


@pytest.mark.parametrize(
    ("shape", "options", "axes", "planes", "channels"),
    [
        ((20, 30), {}, "YX", 1, 1),
        ((20, 30, 3), {"photometric": "rgb"}, "YXS", 1, 3),
        ((20, 30, 3), {"photometric": "minisblack"}, "YXS", 1, 3),
        ((3, 20, 30), {"photometric": "rgb", "planarconfig": "separate"}, "SYX", 1, 3),
        ((2, 20, 30), {"photometric": "minisblack"}, "CYX", 1, 2),
        ((4, 20, 30), {"photometric": "minisblack"}, "CYX", 1, 4),
        ((5, 20, 30), {"photometric": "minisblack"}, "ZYX", 5, 1),
        ((20, 30, 5), {"photometric": "minisblack", "planarconfig": "contig"}, "YXS", 1, 5),
        ((6, 2, 20, 30), {"photometric": "minisblack"}, "ZCYX", 6, 2),
        ((6, 7, 20, 30), {"photometric": "minisblack"}, "TZYX", 42, 1),
        ((2, 6, 3, 20, 30), {"photometric": "minisblack"}, "TZCYX", 12, 3),
        ((6, 20, 30, 3), {"photometric": "rgb"}, "ZYXS", 6, 3),
        ((5, 20, 30), {"metadata": None, "photometric": "minisblack"}, "ZYX", 5, 1),
        ((3, 20, 30), {"metadata": None, "photometric": "minisblack"}, "CYX", 1, 3),
        ((3, 20, 30), {"metadata": {"axes": "ZYX"}, "photometric": "minisblack"}, "ZYX", 3, 1),
        ((2, 3, 4, 20, 30), {"imagej": True, "metadata": {"axes": "TZCYX"}}, "TZCYX", 6, 4),
        ((7, 20, 30), {"imagej": True, "metadata": {"axes": "TYX"}}, "TYX", 7, 1),
        ((3, 20, 30), {"ome": True, "metadata": {"axes": "ZYX"}, "photometric": "minisblack"}, "ZYX", 3, 1),
        ((2, 5, 20, 30), {"ome": True, "metadata": {"axes": "CZYX"}, "photometric": "minisblack"}, "CZYX", 5, 2),
        ((1, 20, 30), {"photometric": "minisblack"}, "YX", 1, 1),
    ],
)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_axes(tmp_path, shape, options, axes, planes, channels, compression):
    array = noise(*shape)
    path = written(tmp_path, array, compression=compression, **options)
    image = read_image(path)
    info = image.info
    assert (info.axes, info.n_planes, info.channels) == (axes, planes, channels)
    assert image.pixels.shape == (planes, channels, 20, 30)
    assert read_info(path) == info
    stored = array.reshape(info.shape)
    order = [axes.index(axis) for axis in [*info.stack_axes, *(a for a in "CS" if a in axes), "Y", "X"]]
    np.testing.assert_array_equal(image.pixels, stored.transpose(order).reshape(image.pixels.shape))
    some = [planes - 1, 0]
    np.testing.assert_array_equal(read_planes(path, some).pixels, image.pixels[some])


def test_axes_override(tmp_path):
    path = written(tmp_path, noise(3, 20, 30), photometric="minisblack")
    assert read_image(path, "ZYX").pixels.shape == (3, 1, 20, 30)
    assert read_image(path, "YXC").pixels.shape == (1, 30, 3, 20)
    for wrong in ("YX", "TZYX", "ZZX", "ABC"):
        with pytest.raises(DataError, match=r"3 x 20 x 30"):
            read_info(path, wrong)


def test_alpha_is_dropped(tmp_path):
    array = noise(20, 30, 4)
    image = read_image(written(tmp_path, array, photometric="rgb", extrasamples=["unassalpha"]))
    assert image.info.has_alpha
    assert image.info.channels == 3
    np.testing.assert_array_equal(image.pixels[0], array[..., :3].transpose(2, 0, 1))


def test_palettes(tmp_path):
    indices = noise(20, 30, high=4)
    colours = np.zeros((3, 256), np.uint16)
    colours[:, 1], colours[:, 2], colours[:, 3] = (65535, 0, 0), (0, 65535, 0), (257, 514, 771)
    coloured = written(tmp_path, indices, photometric="palette", colormap=colours)
    image = read_image(coloured)
    assert image.info.is_rgb
    assert image.info.channels == 3
    assert image.info.palette == "colour"
    np.testing.assert_array_equal(image.pixels[0], (colours >> 8).astype(np.uint8)[:, indices])
    np.testing.assert_array_equal(read_image(coloured, as_stored=True).pixels[0, 0], indices)
    grey = np.tile(np.arange(256, dtype=np.uint16)[::-1] * 257, (3, 1))
    image = read_image(written(tmp_path, indices, "grey.tif", photometric="palette", colormap=grey))
    assert not image.info.is_rgb
    assert image.info.channels == 1
    np.testing.assert_array_equal(image.pixels[0, 0], 255 - indices)


def test_miniswhite_is_turned_over(tmp_path):
    array = noise(20, 30)
    image = read_image(written(tmp_path, array, photometric="miniswhite"))
    np.testing.assert_array_equal(image.pixels[0, 0], 255 - array)
    bits = noise(20, 30, high=2, dtype="bool")
    image = read_image(written(tmp_path, bits, photometric="miniswhite"))
    np.testing.assert_array_equal(image.pixels[0, 0], ~bits)


def test_pyramid_gives_full_resolution(tmp_path):
    array = noise(64, 96, 3)
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as tif:
        tif.write(array, subifds=2, tile=(32, 32), photometric="rgb", metadata={"axes": "YXS"})
        for step in (2, 4):
            tif.write(array[::step, ::step], subfiletype=1, tile=(32, 32), photometric="rgb")
    np.testing.assert_array_equal(read_image(path).pixels[0], array.transpose(2, 0, 1))


def test_of_several_series_the_largest_is_read(tmp_path):
    path = tmp_path / "slide.tif"
    large = noise(64, 96)
    with tifffile.TiffWriter(path) as tif:
        for array in (noise(8, 12), large, noise(16, 16)):
            tif.write(array)
    np.testing.assert_array_equal(read_image(path).pixels[0, 0], large)


def test_one_file_of_an_ome_data_set_stands_alone(tmp_path):
    path = written(tmp_path, noise(4, 20, 30), "a.ome.tif", metadata={"axes": "ZYX"})
    xml = tifffile.tiffcomment(path)
    tifffile.tiffcomment(path, xml.replace('SizeZ="4"', 'SizeZ="8"').encode())
    assert read_image(path).pixels.shape[-2:] == (20, 30)


@pytest.mark.parametrize(
    ("options", "size", "z", "unit"),
    [
        ({"imagej": True, "resolution": (4, 2), "metadata": {"axes": "ZYX", "spacing": 3.0, "unit": "micron"}},
         (0.5, 0.25), 3.0, "µm"),
        ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 65.0, "PhysicalSizeXUnit": "nm",
                                    "PhysicalSizeY": 70.0, "PhysicalSizeYUnit": "nm",
                                    "PhysicalSizeZ": 300.0, "PhysicalSizeZUnit": "nm"}},
         (70.0, 65.0), 300.0, "nm"),
        ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 65.0, "PhysicalSizeXUnit": "nm",
                                    "PhysicalSizeY": 0.07, "PhysicalSizeYUnit": "µm", "PhysicalSizeZ": 0.3}},
         (70.0, 65.0), 300.0, "nm"),
        ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 65.0, "PhysicalSizeXUnit": "nm",
                                    "PhysicalSizeY": 70.0, "PhysicalSizeYUnit": "nm",
                                    "PhysicalSizeZ": 300.0, "PhysicalSizeZUnit": "reference frame"}},
         (70.0, 65.0), None, "nm"),
        ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeZ": 2.0, "PhysicalSizeZUnit": "mm"}},
         None, 2.0, "mm"),
        ({"imagej": True, "resolution": (4, 2),
          "metadata": {"axes": "ZYX", "spacing": 3.0, "unit": "micron", "yunit": "nm", "zunit": "nm"}},
         (0.0005, 0.25), 0.003, "µm"),
        ({"imagej": True, "resolution": (4, 2),
          "metadata": {"axes": "ZYX", "spacing": 3.0, "unit": "micron", "zunit": "sec"}},
         (0.5, 0.25), None, "µm"),
        ({"resolution": (4000, 2000), "resolutionunit": 3, "metadata": {"axes": "ZYX"}},
         (1 / 2000, 1 / 4000), None, "cm"),
        ({"resolution": (300, 300), "resolutionunit": 2, "metadata": {"axes": "ZYX"}}, None, None, ""),
        ({"metadata": {"axes": "ZYX"}}, None, None, ""),
    ],
)  # fmt: skip
def test_pixel_size(tmp_path, options, size, z, unit):
    info = read_info(written(tmp_path, noise(5, 20, 30), photometric="minisblack", **options))
    assert info.pixel_size == pytest.approx(size)
    assert (info.z_spacing, info.unit) == (pytest.approx(z), unit)


@pytest.mark.parametrize(
    ("noted", "seconds"),
    [
        ({"TimeIncrement": 500.0, "TimeIncrementUnit": "ms"}, 0.5),
        ({"TimeIncrement": 2.0}, 2.0),
        ({"TimeIncrement": 5.0, "TimeIncrementUnit": "min"}, 300.0),
        ({"TimeIncrement": 5.0, "TimeIncrementUnit": "Gyr"}, None),
    ],
)
def test_time_between_frames(tmp_path, noted, seconds):
    metadata = {"axes": "TYX", **noted}
    path = written(tmp_path, noise(5, 20, 30), "a.ome.tif", metadata=metadata, photometric="minisblack")
    assert read_info(path).spacing.frame_interval == pytest.approx(seconds)


def test_channel_names(tmp_path):
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    path = written(tmp_path, noise(2, 20, 30), "a.ome.tif", metadata=metadata, photometric="minisblack")
    assert read_info(path).channel_names == ("DAPI", "GFP")


def test_cmyk_and_complex_are_told(tmp_path):
    with pytest.raises(DataError, match=r"print\.tif is stored in CMYK.*Convert it to RGB"):
        read_info(written(tmp_path, noise(20, 30, 4), "print.tif", photometric="separated"))
    with pytest.raises(DataError, match=r"wave\.tif holds complex numbers"):
        read_info(written(tmp_path, noise(20, 30, dtype="complex64"), "wave.tif"))


def test_missing_plane_is_told(tmp_path):
    with pytest.raises(DataError, match=r"planes 0 to 4; there is no plane 5"):
        read_planes(written(tmp_path, noise(5, 20, 30), photometric="minisblack"), [5])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"id,area\n1,20\n" * 9, "a text file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(80), "a PNG image"),
        (bytes(range(72)), "in no format we know"),
        (b"II*\0", "cut short"),
        (b"II*\0\x08\0\0\0", "x.tif"),
        (b"II*\0\x08\0\0\0\xff\xff" + bytes(200), "x.tif"),
    ],
)
def test_files_that_are_no_images(tmp_path, content, expected):
    path = tmp_path / "x.tif"
    path.write_bytes(content)
    for read in (read_info, read_image):
        with pytest.raises(DataError, match=expected):
            read(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_info(tmp_path / "x.tif")
    with pytest.raises(DataError, match="is a folder"):
        read_info(tmp_path)


@pytest.mark.parametrize("options", [
    {}, {"compression": "zlib"}, {"compression": "jpeg"}, {"compression": "packbits"}, {"metadata": None},
    {"imagej": True}, {"imagej": True, "compression": "lzw"}, {"tile": (16, 16)}, {"ome": True},
])  # fmt: skip
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("shape", [(64, 64), (8, 64, 64)])
def test_truncated_files(tmp_path, caplog, options, share, shape):
    path = written(tmp_path, noise(*shape), photometric="minisblack", **options)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with caplog.at_level(logging.DEBUG), pytest.raises(DataError, match=r"cell\.tif (is cut short|cannot be decoded)"):
        read_image(path)
    assert not caplog.records


def test_damaged_pixels(tmp_path):
    path = written(tmp_path, noise(64, 64), compression="zlib")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        start = tif.pages[0].dataoffsets[0]
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be decoded"):
        read_image(path)


@pytest.mark.parametrize("part", [None, [1]])
def test_an_image_that_is_rewritten_while_it_is_read_is_refused(tmp_path, monkeypatch, part):
    """Else its upper half may be of one image and its lower half of another one."""
    path = written(tmp_path, noise(3, 64, 48), imagej=True, metadata={"axes": "ZYX"})
    understood, times = tiff.describe, iter(range(1, 10))

    def describe(*args):
        with path.open("r+b") as file:
            file.seek(-10, 2)
            file.write(bytes(10))
        os.utime(path, ns=(0, next(times)))
        return understood(*args)

    monkeypatch.setattr(tiff, "describe", describe)
    with pytest.raises(DataError, match=r"cell\.tif was changed while it was being read; begin again") as refused:
        read_image(path) if part is None else read_planes(path, part)
    assert refused.value.__cause__ is None

    def describe_cut(*args):
        path.write_bytes(path.read_bytes()[:-900])
        return understood(*args)

    monkeypatch.setattr(tiff, "describe", describe_cut)
    with pytest.raises(DataError, match=r"cell\.tif was changed while") as refused:
        read_image(path)
    assert "cut short" in str(refused.value.__cause__)
    monkeypatch.setattr(tiff, "describe", understood)
    with pytest.raises(DataError, match="cut short"):
        read_image(path)


def test_a_mask_that_is_saved_anew_while_it_is_read_is_read_to_its_end(tmp_path, monkeypatch):
    """As when a training begins while masks are painted; we save them as new files."""
    before, after = noise(32, 32), noise(32, 32)
    path, understood, times = written(tmp_path, before), tiff.describe, iter(range(1, 10))

    def describe(*args):
        written(tmp_path, after, "new.tif").replace(path)
        os.utime(path, ns=(0, next(times)))
        return understood(*args)

    monkeypatch.setattr(tiff, "describe", describe)
    assert np.array_equal(read_image(path, as_stored=True).pixels[0, 0], before)
    with pytest.raises(DataError, match="was changed while"):
        read_image(path)
