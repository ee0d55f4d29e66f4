"""Objects of predictions that were written as OME-Zarr: the same as of the TIFF files with the same pixels."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from napari_attnseg.cli import main
from napari_attnseg.data.convention import MaskConvention
from napari_attnseg.data.mask_rows import MaskRows
from napari_attnseg.data.ome_zarr import Layout, fill_levels, make_levels, open_levels
from napari_attnseg.data.pairs import find_pairs
from napari_attnseg.data.tiff import read_image, read_info, read_planes
from napari_attnseg.errors import ChangedError, DataError
from napari_attnseg.objects import reading, strips
from napari_attnseg.objects.one_image import objects_of_source
from napari_attnseg.objects.sources import Source
from napari_attnseg.settings import ObjectSettings
from tests.objects.drawn import ellipsoid, two_discs


def written(image: Path, kind: str, values: np.ndarray) -> Path:
    """Write the planes (stack axes..., y, x) of a prediction as OME-Zarr beside its image."""
    target = image.with_name(f"{image.stem}{kind}.ome.zarr")
    names = ("object",) if kind == "_PROB" else None
    layout = Layout(read_info(image), str(values.dtype), names)
    make_levels(target, layout)
    levels = open_levels(target, writable=True)
    levels[0][...] = np.expand_dims(values, layout.axes.index("C")) if names else values
    list(fill_levels(levels, layout, mean=names is not None))
    return target


def predicted(folder: Path, planes: int = 0) -> Path:
    """Return an image of 0.25 µm pixels with two discs that touch."""
    folder.mkdir()
    mask = two_discs(12, 20, 0.3)
    image = np.where(mask, 200, 20).astype(np.uint8)
    metadata: dict[str, object] = {"unit": "um", "axes": "YX"}
    if planes:
        image = np.repeat(image[None], planes, 0)
        metadata |= {"axes": "ZYX", "spacing": 0.7}
    tifffile.imwrite(folder / "cell.tif", image, imagej=True, resolution=(4, 4), metadata=metadata)
    return folder / "cell.tif"


def table(folder: Path, out: Path) -> list[dict[str, str]]:
    assert main(["objects", str(folder), "--out", str(out)]) == 0
    (path,) = out.glob("objects.csv")
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


def test_the_same_objects_as_of_tiff_files(tmp_path: Path) -> None:
    image, copy = (predicted(tmp_path / name) for name in ("zarr", "tiff"))
    discs = two_discs(12, 20, 0.3)
    labels, probability = discs.astype(np.uint8) * 255, np.where(discs, np.float32(0.9), np.float32(0.1))
    written(image, "_PRED", labels)
    written(image, "_PROB", probability)
    metadata = {"imagej": True, "resolution": (4, 4), "metadata": {"unit": "um"}}
    tifffile.imwrite(copy.with_name("cell_PRED.tif"), labels, **metadata)
    tifffile.imwrite(copy.with_name("cell_PROB.tif"), probability, **metadata)
    found, expected = (table(path.parent, tmp_path / f"out_{path.parent.name}") for path in (image, copy))
    assert len(found) == 2
    assert found == expected
    assert [pair.image.name for pair in find_pairs(image.parent).pairs] == ["cell.tif"]
    assert main(["objects", str(image.with_name("cell_PRED.ome.zarr")), "--out", str(tmp_path / "one")]) == 0


def test_a_stack_is_read_plane_by_plane_with_its_pixel_size(tmp_path: Path) -> None:
    image = predicted(tmp_path / "stack", planes=3)
    values = np.random.default_rng(0).integers(0, 2, (3, 100, 100)).astype(np.uint8)
    target = written(image, "_PRED", values)
    info, like = read_info(target), read_info(image)
    assert (info.stack_axes, info.stack_shape, info.channels) == ("Z", (3,), 1)
    assert (info.pixel_size, info.z_spacing, info.unit) == (like.pixel_size, like.z_spacing, like.unit)
    assert np.array_equal(read_image(target).pixels[:, 0], values)
    assert np.array_equal(read_planes(target, [2]).pixels[:, 0], values[2:])
    with pytest.raises(DataError, match="no plane 3"):
        read_planes(target, [3])
    (target / "zarr.json").write_text("{}")
    with pytest.raises(DataError, match="cannot be read as OME-Zarr"):
        read_info(target)


@pytest.mark.parametrize("times", [2, 3])
@pytest.mark.parametrize("large", [False, True])
def test_planes_are_in_the_order_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int, large: bool
) -> None:
    """OME-Zarr has T before Z, this image Z before T; one plane alone has two objects, by its probability."""
    monkeypatch.setattr(reading, "is_large", lambda info: large)
    image = tmp_path / "cell.tif"
    tifffile.imwrite(image, np.zeros((2, times, 40, 80), np.uint8), photometric="minisblack", metadata={"axes": "ZTYX"})
    disc = ellipsoid((40, 80), (20, 40), (12, 30))
    probability = np.broadcast_to(np.where(disc, np.float32(0.95), np.float32(0.02)), (times, 2, 40, 80)).copy()
    probability[1, 0, :, 38:43] *= 0.6
    labels = written(image, "_PRED", np.broadcast_to(disc, probability.shape).astype(np.uint8))
    source = Source(labels, image, written(image, "_PROB", probability))
    convention = MaskConvention("binary", {0: 0, 1: 1}, ("background", "object"))
    found = objects_of_source(source, convention, ObjectSettings(reach="planes"))
    counts = [len(np.unique(plane[plane > 0])) for plane in found.objects.labels]
    assert counts == [1, 2, *[1] * (2 * times - 2)]


@pytest.mark.parametrize("large", [False, True])
def test_damaged_chunks_cost_one_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    discs = two_discs(12, 20, 0.3)
    for name in ("cut", "gone", "whole"):
        image = predicted(tmp_path / name)
        written(image, "_PRED", discs.astype(np.uint8) * 255)
        written(image, "_PROB", np.where(discs, np.float32(0.9), np.float32(0.1)))
    (chunk,) = (path for path in (tmp_path / "cut/cell_PRED.ome.zarr/0/c").rglob("*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:30])
    (chunk,) = (path for path in (tmp_path / "gone/cell_PROB.ome.zarr/0/c").rglob("*") if path.is_file())
    chunk.unlink()
    if large:
        monkeypatch.setattr(strips, "MOST_AT_ONCE", 2000)
    assert main(["objects", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    output = capsys.readouterr()
    assert "2 of 3 images failed" in output.err
    assert "cell_PRED.ome.zarr cannot be read as OME-Zarr" in output.out
    assert "cell_PROB.ome.zarr lacks 1 of its 1 chunks" in output.out
    text = (tmp_path / "out/objects.csv").read_text("utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in text[1:]] == ["whole/cell"] * 2


def test_a_prediction_that_is_replaced_is_refused(tmp_path: Path) -> None:
    image = predicted(tmp_path / "data")
    discs = two_discs(12, 20, 0.3).astype(np.uint8) * 255
    target = written(image, "_PRED", discs)
    rows = MaskRows(target)
    assert np.array_equal(rows.part(0, slice(0, 50)), discs[:50])
    shutil.rmtree(target)
    written(image, "_PRED", discs[::-1].copy())
    with pytest.raises(ChangedError, match="was changed while it was being read"):
        rows.part(0, slice(50, 100))


def test_what_the_disk_has_no_room_for_is_refused_before_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = predicted(tmp_path / "huge")
    huge = Layout(replace(read_info(image), height=10**8, width=10**8), "uint8", None)
    target = image.with_name("cell_PRED.ome.zarr")
    make_levels(target, huge)
    assert main(["objects", str(target), "--out", str(tmp_path / "out")]) == 1
    assert "The numbers of the objects take 40000000.0 GB in" in capsys.readouterr().err
    source = Source(target, None)
    for kind, values in (("binary", {0: 0, 255: 1}), ("instances", {0: 0})):
        convention = MaskConvention(kind, values, ("background", "object"))
        with pytest.raises(DataError, match=r"The numbers of the objects take 40000000\.0 GB"):
            objects_of_source(source, convention, ObjectSettings())


def test_an_image_with_axes_that_we_do_not_write_is_one_sentence(tmp_path: Path) -> None:
    target = tmp_path / "other_PRED.ome.zarr"
    image = predicted(tmp_path / "data")
    make_levels(target, Layout(read_info(image), "uint8"))
    group = zarr.open_group(target, mode="r+")
    ome = group.attrs["ome"]
    ome["multiscales"][0]["axes"].reverse()  # type: ignore[index, call-overload, union-attr]
    group.attrs["ome"] = ome
    with pytest.raises(DataError, match="axes XY"):
        read_info(target)


@pytest.mark.parametrize(("unit", "name"), [("µm", "micrometer"), ("Å", "angstrom"), ("inch", "inch")])
def test_a_distance_of_planes_that_nobody_knows_is_not_made_up(tmp_path: Path, unit: str, name: str) -> None:
    image = tmp_path / "s.ome.tif"
    sizes = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(image, np.zeros((3, 20, 20), np.uint8), metadata={"axes": "ZYX", **sizes})
    target = written(image, "_PRED", np.zeros((3, 20, 20), np.uint8))
    axes = zarr.open_group(target, mode="r").attrs["ome"]["multiscales"][0]["axes"]  # type: ignore[index, call-overload]
    assert [axis.get("unit") for axis in axes] == [None, name, name]
    spacing = read_info(target).spacing
    assert (spacing.pixel_size, spacing.z_spacing, spacing.unit) == ((0.2, 0.1), None, unit)
