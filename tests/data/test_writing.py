"""Writing: nothing is lost, and axes and pixel size are carried over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_attnseg.data.atomic import replacing, write_bytes, write_json, write_text
from napari_attnseg.data.tiff import read_image, read_info, write_image
from napari_attnseg.errors import SaveError

RNG = np.random.default_rng(0)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_are_written_and_replaced(tmp_path):
    path = tmp_path / "run é.json"
    write_json(path, {"name": "Zellkern ä", "path": tmp_path})
    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "Zellkern ä", "path": str(tmp_path)}
    write_text(path, "a\n")
    path.chmod(0o640)
    write_bytes(path, b"b")
    assert path.read_bytes() == b"b"
    assert files(tmp_path) == [path.name]
    assert os.name == "nt" or path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_interrupted_writing_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "mask.tif"
    path.write_bytes(b"old")
    with pytest.raises(error), replacing(path) as temporary:  # noqa: PT012
        assert temporary.suffix == ".tif"
        assert temporary.name.startswith(".")
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"new")
        raise error
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["mask.tif"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "store").mkdir()
    target, link = tmp_path / "store" / "a.tif", tmp_path / "a.tif"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_bytes(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_missing_folder_and_folder_in_the_way(tmp_path):
    with pytest.raises(SaveError, match=r"a\.txt could not be saved.*does not exist; nothing was written"):
        write_text(tmp_path / "none" / "a.txt", "a")
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(SaveError, match="in the way"):
        write_text(tmp_path / "b.txt", "a")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(SaveError, match="previous file is unchanged"):
            write_text(path, "new")
    finally:
        tmp_path.chmod(0o700)
    assert path.read_text() == "old"


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from napari_attnseg.data.tiff import write_image
from napari_attnseg.errors import SaveError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_image(Path(sys.argv[1]), np.random.default_rng(0).integers(0, 255, (300, 300)).astype("uint8"), "YX")
except SaveError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="limits the size of files, which Windows cannot")
@pytest.mark.parametrize("old", [b"old", None])
def test_a_full_disk_leaves_the_old_file(tmp_path, old):
    path = tmp_path / "mask.tif"
    if old:
        path.write_bytes(old)
    result = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True)
    assert "mask.tif could not be saved" in result.stdout
    assert ("the previous file is unchanged" if old else "nothing was written") in result.stdout
    assert files(tmp_path) == (["mask.tif"] if old else [])
    assert not old or path.read_bytes() == old


SOURCES = {
    "imagej": ("TZCYX", (2, 3, 2, 20, 30), {"imagej": True, "resolution": (4, 2),
               "metadata": {"axes": "TZCYX", "spacing": 3.0, "unit": "um", "finterval": 5.0}}),
    "imagej of two units": ("ZYX", (3, 20, 30), {"imagej": True, "resolution": (4, 2),
               "metadata": {"axes": "ZYX", "spacing": 3.0, "unit": "um", "yunit": "nm", "zunit": "nm"}}),
    "ome": ("ZCYX", (3, 2, 20, 30), {"ome": True, "metadata": {
            "axes": "ZCYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 3.0}}),
    "plain stack": ("ZYX", (5, 20, 30), {"resolution": (4000, 2000), "resolutionunit": 3}),
    "plain": ("YX", (20, 30), {"resolution": (300, 300), "resolutionunit": 2}),
    "rgb": ("YXS", (20, 30, 3), {"photometric": "rgb"}),
    "rgb of imagej": ("YXS", (20, 30, 3), {"imagej": True, "photometric": "rgb",
                      "resolution": (4, 2), "metadata": {"unit": "mm"}}),
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int32", "float32"])
@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif"])
def test_axes_and_pixel_size_are_carried_over(tmp_path, source, dtype, name):
    axes, shape, options = SOURCES[source]
    image = tmp_path / "cell.tif"
    tifffile.imwrite(image, RNG.integers(0, 200, shape).astype("uint8"), **{"photometric": "minisblack", **options})
    like = read_info(image)
    assert like.axes == axes
    array = RNG.integers(0, 2, like.plane_axes_shape).astype(dtype)
    write_image(tmp_path / name, array, like.plane_axes, like=like)
    result = read_image(tmp_path / name)
    info = result.info
    assert (info.axes, info.dtype, info.compression) == (like.plane_axes, dtype, "zlib")
    assert (info.pixel_size, info.z_spacing, info.unit) == (like.pixel_size, like.z_spacing, like.unit)
    assert info.spacing.frame_interval == like.spacing.frame_interval
    assert info.is_ome == (like.is_ome or name == "out.ome.tif")
    if not info.is_ome and not like.is_imagej:
        assert info.spacing.resolution == like.spacing.resolution
    np.testing.assert_array_equal(result.pixels.reshape(array.shape), array)


@pytest.mark.parametrize("axes", ["CYX", "ZCYX", "TZCYX", "CZYX", "YXS", "SYX"])
@pytest.mark.parametrize("compression", ["zlib", "lzw", "packbits", "zstd", None, "jpeg"])
def test_planes_with_channels(tmp_path, axes, compression):
    lengths = {"T": 2, "Z": 4, "C": 5, "Y": 20, "X": 30, "S": 3}
    array = RNG.random([lengths[axis] for axis in axes]).astype("float32")
    path = tmp_path / "cell_PROB.tiff"
    write_image(path, array, axes, compression=compression)
    result = read_image(path)
    assert result.info.axes == axes
    assert result.info.compression == ("zlib" if compression == "jpeg" else compression)
    np.testing.assert_array_equal(tifffile.imread(path), array)


def test_channel_names_are_kept(tmp_path):
    array = np.zeros((2, 20, 30), "float32")
    for name in ("a.tif", "a.ome.tif"):
        write_image(tmp_path / name, array, "CYX", channel_names=("background", "nucleus"))
        assert read_info(tmp_path / name).channel_names == ("background", "nucleus")


def test_axes_that_do_not_fit(tmp_path):
    with pytest.raises(SaveError, match=r"2 x 3 has no axes 'ZYX'"):
        write_image(tmp_path / "a.tif", np.zeros((2, 3), np.uint8), "ZYX")


def test_nothing_here_imports_torch():
    code = (
        "import sys, napari_attnseg.data.check, napari_attnseg.data.masks, napari_attnseg.data.split;"
        "assert not {'torch', 'skimage', 'scipy', 'zarr', 'qtpy', 'napari'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("compression", ["zlib", None])
def test_what_is_too_large_for_a_classic_tiff_becomes_a_bigtiff(tmp_path, monkeypatch, compression):
    monkeypatch.setattr("napari_attnseg.data.write._CLASSIC_MOST_BYTES", 5000)
    image = RNG.integers(0, 255, (90, 80), np.uint8)
    write_image(tmp_path / "a.tif", image, "YX", compression=compression)
    write_image(tmp_path / "small.tif", image[:50], "YX", compression=compression)
    write_image(tmp_path / "hyperstack.tif", image[None], "ZYX", compression=compression)
    for name, expected in {"a": True, "small": False, "hyperstack": False}.items():
        with tifffile.TiffFile(tmp_path / f"{name}.tif") as tif:
            assert tif.is_bigtiff == expected, name
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels[0, 0], image)


def test_four_gigabytes_are_written_as_bigtiff(tmp_path, monkeypatch):
    """Only what tifffile is told is looked at: writing them takes a minute."""
    told = []

    def imwrite(path, array, **options):
        told.append(options)
        Path(path).touch()

    monkeypatch.setattr(tifffile, "imwrite", imwrite)
    stack = np.broadcast_to(np.float32(0), (40, 6000, 6000))
    assert stack.nbytes > 2**32
    write_image(tmp_path / "a_PROB.tif", stack, "ZYX")
    assert told[0]["bigtiff"] is True
    assert "imagej" not in told[0]
