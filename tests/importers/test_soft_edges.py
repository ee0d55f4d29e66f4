"""Masks of one class with soft edges: asked about, where greys would become classes; classes and objects are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from napari_attnseg.data.importers.soft_edges import Edges, edges_of
from tests.importers.layouts import report, run_import, stored, write_png

IMAGE = np.random.default_rng(1).integers(0, 255, (128, 128)).astype(np.uint8)
Draw = Callable[[np.ndarray], np.ndarray]


def discs(seed: int, size: int = 64) -> np.ndarray:
    """Return a mask of three discs, 0 and 255."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[:size, :size]
    mask = np.zeros((size, size), np.uint8)
    for row, column in rng.integers(10, size - 12, (3, 2)):
        mask[(y - row) ** 2 + (x - column) ** 2 < 49] = 255
    return mask


def resized(mask: np.ndarray, side: int = 128) -> np.ndarray:
    """Resize as somebody does who does not think of masks."""
    return np.asarray(Image.fromarray(mask).resize((side, side), Image.Resampling.BILINEAR))


def blurred(mask: np.ndarray) -> np.ndarray:
    """Return what antialiasing and image programs leave."""
    return ndimage.uniform_filter(np.kron(mask, np.ones((2, 2), np.uint8)), 3)


def write(source: Path, draw: Draw) -> None:
    """Write four images with masks."""
    for number in range(4):
        write_png(source / "images" / f"{number}.png", IMAGE)
        write_png(source / "masks" / f"{number}.png", draw(discs(number)))


@pytest.mark.parametrize("draw", [resized, blurred, lambda mask: resized(mask // 255 * 200)])
def test_soft_edges_are_refused_as_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str], draw: Draw) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write(source, draw)
    assert run_import("folder", source, out) == 1
    told = capsys.readouterr().err
    threshold = int(draw(discs(0)).max()) // 2
    assert f"one class with soft edges, import again with --threshold {threshold}" in told
    assert "--mask-values classes" in told
    assert not out.exists()
    assert run_import("folder", source, out, "--threshold", str(threshold)) == 0
    assert np.array_equal(stored(out / "0_MASK.tiff"), np.where(draw(discs(0)) > threshold, 255, 0))
    assert run_import("folder", source, tmp_path / "classes", "--mask-values", "classes") == 0


def test_many_greys_are_no_numbered_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def smooth(mask: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(mask).resize((190, 190), Image.Resampling.BILINEAR).crop((0, 0, 128, 128)))

    write(tmp_path / "in", smooth)
    assert len(np.unique(smooth(discs(0)))) > 32
    assert run_import("folder", tmp_path / "in", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "would be read as numbered objects" in told
    assert "--threshold 127" in told


def test_what_was_imported_as_classes_goes_on_with_a_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    for number in range(2):
        write_png(source / f"{number}.png", IMAGE)
        write_png(source / f"{number}_mask.png", quarters(discs(0)))
    assert run_import("folder", source, out) == 0
    for number in range(2, 6):
        write_png(source / f"{number}.png", IMAGE)
        write_png(source / f"{number}_mask.png", resized(discs(number)))
    capsys.readouterr()
    assert run_import("folder", source, out) == 0
    assert "with --threshold 127 into another folder" in capsys.readouterr().out
    assert {row["Result"] for row in report(out)} == {"there already", "converted"}


def quarters(mask: np.ndarray) -> np.ndarray:
    """Return four classes without any order, the brightest a small one in front of most of the others' area."""
    values = np.zeros((128, 128), np.uint8)
    values[4:10, 4:10], values[20:26, 4:10] = 64, 191
    values[40:110, 20:100] = 255
    return values


def rim(mask: np.ndarray) -> np.ndarray:
    """Return cells with a membrane, two pixels wide, as a class of its own."""
    cells = np.kron(mask, np.ones((2, 2), np.uint8))
    return np.where((cells > 0) & ~ndimage.binary_erosion(cells > 0, iterations=2), 128, cells).astype(np.uint8)


def nested(mask: np.ndarray) -> np.ndarray:
    """Return five classes one in the other, as layers of a tissue."""
    inside = ndimage.distance_transform_edt(np.kron(mask, np.ones((2, 2), np.uint8)))
    return np.choose(np.clip(np.ceil(inside / 3), 0, 5).astype(int), [0, 50, 100, 150, 200, 250]).astype(np.uint8)


def scattered(mask: np.ndarray) -> np.ndarray:
    """Return one large class with thin vessels of five others in it."""
    values = np.full((128, 128), 250, np.uint8)
    values[:20] = 0
    for number in range(1, 6):
        values[30 + 15 * number : 31 + 15 * number, 10:120] = 40 * number
    return values


@pytest.mark.parametrize("draw", [quarters, rim, nested, scattered])
def test_classes_stay_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str], draw: Draw) -> None:
    write(tmp_path / "in", draw)
    assert run_import("folder", tmp_path / "in", tmp_path / "out") == 0
    assert "soft edges" not in capsys.readouterr().out
    assert len(np.unique(stored(tmp_path / "out" / "0_MASK.tiff"))) == len(np.unique(draw(discs(0))))


def test_a_doubtful_rim_is_hinted_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    square = np.zeros((128, 128), np.uint8)
    for grey, inner in ((64, 30), (191, 31), (255, 32)):
        square[inner:-inner, 20:-20] = grey
    write(tmp_path / "in", lambda mask: square)
    assert run_import("folder", tmp_path / "in", tmp_path / "out") == 0
    assert "if this is one class with soft edges" in capsys.readouterr().out


def test_where_greys_lie_is_counted() -> None:
    line = np.array([[0, 0, 64, 191, 255, 255, 0, 100, 0]], np.uint8)[None]
    assert edges_of(line) == Edges(2, 3, 2, frozenset({64, 100, 191, 255}))
    assert edges_of(line // 100) == Edges(4, 0, 0, frozenset({1, 2}))


def test_edges_of_16_bits_have_thousands_of_greys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rough = np.random.default_rng(3).random((256, 256))
    blob = (ndimage.gaussian_filter(rough, 16) > 0.5).astype(float)
    mask = np.clip(np.round(ndimage.gaussian_filter(blob, 1.2) * 67000 - 700), 0, 65535).astype(np.uint16)
    assert len(np.unique(mask)) > 1000
    for number in range(2):
        write_png(tmp_path / "in" / "images" / f"{number}.png", np.zeros((256, 256), np.uint8))
        write_png(tmp_path / "in" / "masks" / f"{number}.png", mask)
    assert run_import("folder", tmp_path / "in", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "import again with --threshold 32767" in told
    assert len(told) < 1000, "not all greys are named"
