"""Channels in any position, of stacks in depth and time: each plane is predicted as if it stood alone."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_attnseg.cli import main
from napari_attnseg.data.tiff import read_image, read_info
from napari_attnseg.engine import fit

SHORT = {
    **{"widths": (8, 16), "patch_size": 32, "batch_size": 4, "steps_per_epoch": 10, "epochs": 2, "device": "cpu"},
    # of the same values on each plane, so that a plane looks the same alone
    **{"normalisation": "minmax", "val_fraction": 0.0},
}
SIZE = {"T": 2, "Z": 3, "C": 2, "Y": 40, "X": 48}
LAYOUTS = ("CYX", "YXC", "ZCYX", "CZYX", "TZYX", "TCYX", "ZYXC", "TZCYX", "CTZYX", "ZYX", "YXCZ", "XYC", "TXYZ")


def scene(axes: str) -> np.ndarray:
    """Return discs at other places on each plane; the second channel is the first one turned over."""
    shape = [SIZE[axis] for axis in axes]
    array = np.zeros(shape, np.uint8)
    for index in np.ndindex(*shape):
        place = dict(zip(axes, index, strict=True))
        y, x = 14 + 5 * place.get("Z", 0), 16 + 10 * place.get("T", 0)
        inside = (place["Y"] - y) ** 2 + (place["X"] - x) ** 2 < 64
        array[index] = (210 if inside else 30) if place.get("C", 0) == 0 else (40 if inside else 160)
    return array


def write(path: Path, axes: str) -> Path:
    tifffile.imwrite(path, scene(axes), photometric="minisblack", metadata={"axes": axes})
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Return a model for one channel and one for two."""
    made = {}
    for channels, axes in ((1, "YX"), (2, "CYX")):
        folder = tmp_path_factory.mktemp(f"train{channels}")
        for number in range(2):
            write(folder / f"c{number}.tif", axes)
            tifffile.imwrite(folder / f"c{number}_MASK.tif", ((scene("YX") > 100) * 255).astype(np.uint8))
        made[channels] = fit(folder, folder / "run", **SHORT).folder.best
    return made


@pytest.mark.parametrize("axes", LAYOUTS)
def test_a_stack_is_predicted_as_its_planes(axes: str, models: dict[int, Path], tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", axes)
    stack = [axis for axis in axes if axis in "TZ"]
    places = list(np.ndindex(*(SIZE[axis] for axis in stack)))
    alone = [_plane(tmp_path / f"alone{number}.tif", axes, stack, place) for number, place in enumerate(places)]
    model = str(models[2 if "C" in axes else 1])
    inputs = [str(file) for file in (path, *alone)]
    out = tmp_path / "out"
    assert main(["predict", model, *inputs, "--out", str(out), "--probability", "--device", "cpu"]) == 0
    info, given, probability = (read_info(item) for item in (out / "a_PRED.tif", path, out / "a_PROB.tif"))
    assert info.axes == given.plane_axes == axes.replace("C", "")
    assert info.shape == given.plane_axes_shape
    assert (probability.stack_axes, probability.n_planes, probability.channels) == ("".join(stack), len(places), 1)
    found = read_image(out / "a_PROB.tif").pixels[:, 0]
    expected = np.stack([read_image(out / f"alone{number}_PROB.tif").pixels[0, 0] for number in range(len(places))])
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert all(np.abs(one - other).max() > 0.05 for one, other in pairwise(expected)), "planes can be told apart"
    assert np.array_equal(read_image(out / "a_PRED.tif").pixels[:, 0] > 0, expected > 0.5)


def _plane(path: Path, axes: str, stack: list[str], place: tuple[int, ...]) -> Path:
    """Write one plane of the scene, its channels first."""
    rest = [axis for axis in axes if axis not in stack]
    plane = scene(axes)[tuple(dict(zip(stack, place, strict=True)).get(axis, slice(None)) for axis in axes)]
    named = "CYX" if "C" in rest else "YX"
    array = plane.transpose([rest.index(axis) for axis in named])
    tifffile.imwrite(path, array, photometric="minisblack", metadata={"axes": named})
    return path


@pytest.mark.parametrize("axes", ["ZCYX", "CZYX", "ZYXC", "TCYX", "YXC"])
def test_objects_keep_the_planes(axes: str, models: dict[int, Path], tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", axes)
    command = ["objects", str(path), "--model", str(models[2]), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*command, "--reach", "planes", "--min-size", "20"]) == 0
    info = read_info(tmp_path / "out/a_OBJECTS.tif")
    assert info.axes == axes.replace("C", "")
    count = SIZE["Z"] if "Z" in axes else SIZE["T"] if "T" in axes else 1
    labels = tifffile.imread(tmp_path / "out/a_OBJECTS.tif").reshape((count, 40, 48))
    assert [list(np.unique(plane[plane > 0])) for plane in labels] == [[number + 1] for number in range(count)]
    titles = (tmp_path / "out/objects.csv").read_text(encoding="utf-8-sig").splitlines()[0].split(",")
    assert "Mean channel 1" in titles
    assert "Mean channel 2" in titles
