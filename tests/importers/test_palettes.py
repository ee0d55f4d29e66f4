"""Masks with palettes: greys count as greys, numbers of colours only where all masks agree on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_attnseg.data.importers.palettes import Palette, are_greys
from napari_attnseg.errors import DataError
from tests.importers.layouts import chaos_volume, imported, report, run_import, stored, write_png, write_slice

IMAGE = np.random.default_rng(1).integers(0, 255, (20, 24)).astype(np.uint8)
LABELS = np.zeros((20, 24), np.uint8)
LABELS[3:9, 4:12] = 1
LABELS[12:, 12:] = 2
BLACK, WHITE, RED, GREEN, BLUE = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)


def write_palette(path: Path, numbers: np.ndarray, *colours: tuple[int, int, int]) -> None:
    """Write a PNG, BMP or TIFF of numbers with these colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        table = np.zeros((3, 256), np.uint16)
        table[:, : len(colours)] = 257 * np.array(colours, np.uint16).T
        tifffile.imwrite(path, numbers, photometric="palette", colormap=table)
        return
    image = Image.new("P", numbers.shape[::-1])
    image.putpalette([value for colour in colours for value in colour])
    image.putdata(numbers.ravel().tolist())
    image.save(path)


def folder(tmp_path: Path, **masks: tuple) -> tuple[Path, Path]:
    """Write images with masks of numbers and colours; return source and destination."""
    for name, (numbers, *colours) in masks.items():
        write_png(tmp_path / "in" / f"{name}.png", IMAGE)
        write_palette(tmp_path / "in" / f"{name}_mask.png", numbers, *colours)
    return tmp_path / "in", tmp_path / "out"


@pytest.mark.parametrize("extension", ["png", "bmp", "tif"])
def test_a_palette_that_begins_with_white_inverts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], extension: str
) -> None:
    inside = (LABELS == 1).astype(np.uint8)
    for name in ("a", "b"):
        write_png(tmp_path / "in" / f"{name}.png", IMAGE)
    write_palette(tmp_path / "in" / f"a_mask.{extension}", 1 - inside, WHITE, BLACK)
    write_palette(tmp_path / "in" / "b_mask.png", inside, BLACK, WHITE)
    out = tmp_path / "out"
    assert run_import("folder", tmp_path / "in", out) == 0
    for name in ("a", "b"):
        assert np.array_equal(stored(out / f"{name}_MASK.tiff"), inside * 255)
    assert "palettes of the masks hold greys" in capsys.readouterr().out
    assert "palettes of the masks hold greys" in report(out)[0]["Note"]


def test_one_palette_of_colours_gives_classes_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grey = (128, 128, 128)  # used alone in b, but one colour of many
    source, out = folder(
        tmp_path, a=(LABELS, BLACK, grey, RED), b=(LABELS % 2, BLACK, grey, RED), c=(LABELS * 0, BLACK)
    )
    assert run_import("folder", source, out) == 0
    for name, labels in (("a", LABELS), ("b", LABELS % 2), ("c", LABELS * 0)):
        assert np.array_equal(stored(out / f"{name}_MASK.tiff"), labels)
    assert "0, the background, is its colour (0, 0, 0)" in capsys.readouterr().out
    assert [bool(row["Note"]) for row in report(out)] == [True, False, False], "said once"


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ((LABELS, BLACK, GREEN, RED), "1 is (255, 0, 0) in the first and (0, 255, 0) in the second"),
        ((LABELS, RED, BLACK, GREEN), "0 is (0, 0, 0) in the first and (255, 0, 0) in the second"),
        ((LABELS // 2 * 3, BLACK, BLUE, BLUE, RED), "(255, 0, 0) is 1 in the first and 3 in the second"),
    ],
)
def test_palettes_that_differ_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], second: tuple, told: str
) -> None:
    source, out = folder(tmp_path, a=(LABELS, BLACK, RED, GREEN), b=second)
    assert run_import("folder", source, out) == 1
    error = capsys.readouterr().err
    assert f"a_mask.png and b_mask.png have different palettes: {told}" in error
    assert not out.exists()


def test_palettes_may_differ_where_only_foreground_counts(tmp_path: Path) -> None:
    source, out = folder(tmp_path, a=(LABELS, BLACK, RED, GREEN), b=(LABELS, BLACK, GREEN, RED))
    assert run_import("folder", source, out, "--mask-values", "binary") == 0
    assert np.array_equal(stored(out / "b_MASK.tiff"), np.where(LABELS, 255, 0))


def test_a_bitmap_that_would_be_misread_is_left_out(tmp_path: Path) -> None:
    write_palette(tmp_path / "in" / "a.bmp", LABELS % 2, BLACK, WHITE)
    Image.fromarray(LABELS % 2 * 255).convert("1").save(tmp_path / "in" / "b.bmp")
    assert run_import("folder", tmp_path / "in", tmp_path / "out") == 0
    assert [row["Result"] for row in report(tmp_path / "out")] == ["left out", "not annotated"]
    assert np.array_equal(stored(tmp_path / "out" / "b.tiff"), LABELS % 2 * 255)


def test_a_palette_that_hides_numbers_is_not_taken_for_greys() -> None:
    shown_white = Palette((BLACK, WHITE, WHITE), (0, 1, 2))
    assert not shown_white.is_grey
    assert not are_greys({Path("a"): shown_white, Path("b"): Palette((BLACK, WHITE, WHITE), (0, 2))})
    assert Palette((WHITE, BLACK), (0,)).is_grey, "all foreground"
    assert not Palette((WHITE, RED), (0,)).is_grey, "the background of a palette of colours"
    with pytest.raises(DataError, match="different palettes"):
        are_greys({Path("a"): Palette((WHITE, RED), (0, 1)), Path("b"): Palette((BLACK, RED), (0, 1))})


def test_a_series_of_chaos_is_read_by_one_palette(tmp_path: Path) -> None:
    image, labels = chaos_volume(2)
    labels[1][labels[1] > 1] = 0
    colours = (BLACK, (128, 128, 128), RED, GREEN, BLUE)  # the liver alone looks like a palette of greys
    for z in range(2):
        subject = tmp_path / "MR" / "1" / "T2SPIR"
        write_slice(subject / "DICOM_anon" / f"{z}.dcm", image[z], position=(0, 0, z))
        write_palette(subject / "Ground" / f"{z}.png", labels[z], *colours)
    assert run_import("chaos", tmp_path / "MR", tmp_path / "out") == 0
    assert np.array_equal(imported(tmp_path / "out")["chaos_01_stack"][1], labels)
