"""A check finds what is wrong, says it in a sentence, and never crashes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_attnseg.data.check import Report, check
from napari_attnseg.events import Progress
from napari_attnseg.settings import DataSettings
from tests.conftest import MakeFolder

RNG = np.random.default_rng(0)
MASK = np.zeros((20, 30), np.uint8)
MASK[3:9, 4:12] = 255


def image(*shape: int, dtype: str = "uint8") -> np.ndarray:
    return RNG.integers(0, 200, shape or (20, 30)).astype(dtype)


def put(folder: Path, **arrays: np.ndarray | None) -> Path:
    for name, array in arrays.items():
        if array is not None:
            photometric = "rgb" if array.ndim == 3 and array.shape[-1] == 3 else "minisblack"
            tifffile.imwrite(folder / f"{name}.tif", array, photometric=photometric)
    return folder


def codes(report: Report) -> dict[str, str]:
    return {finding.code: finding.severity for finding in report.findings}


def test_a_good_folder(tmp_path):
    put(tmp_path, a=image(), a_MASK=MASK, b=image(), b_MASK=MASK // 255, c=image())
    events = []
    report = check(tmp_path, on_event=events.append)
    assert report.ok
    assert codes(report) == {"mask-kind": "note", "no-mask": "note"}
    assert report.convention.kind == "binary"
    assert len(report.listing.pairs) == 3
    assert report.summary[0] == f"3 images in {tmp_path}, 2 with a mask."
    done = [event.done for event in events if isinstance(event, Progress)]
    assert done == sorted(done)
    assert done[-1] == 1


NAN, INF = image(dtype="float32"), image(dtype="float32")
NAN[2, 3], INF[:] = np.nan, np.inf


@pytest.mark.parametrize(
    ("arrays", "code", "severity", "message"),
    [
        ({"x_MASK": MASK}, "unpaired-mask", "warning", r"x_MASK\.tif is a mask without an image"),
        (
            {"x": image(), "x_MASK": MASK[:9]},
            "shape-mismatch",
            "error",
            r"x_MASK\.tif is 9 x 30 \(y, x\) but its image x\.tif",
        ),
        ({"x": image(), "x_MASK": MASK * 0}, "empty-mask", "note", r"x_MASK\.tif is empty"),
        ({"x": image(), "x_MASK": MASK * 0 + 255}, "full-mask", "warning", r"x_MASK\.tif has no background"),
        ({"x": image() * 0 + 7, "x_MASK": MASK}, "constant", "warning", r"x\.tif is blank: every pixel is 7"),
        ({"x": NAN, "x_MASK": MASK}, "non-finite", "warning", r"x\.tif has 0\.17 % pixels that are NaN"),
        ({"x": INF, "x_MASK": MASK}, "non-finite", "error", r"x\.tif has only pixels that are NaN"),
        (
            {"x": image(20, 30, 3), "x_MASK": MASK},
            "mixed-channels",
            "error",
            r"1 has 1 channel \(a\.tif\); 1 has 3 channels",
        ),
        ({"x": image(20, 30, 3)}, "mixed-channels", "warning", r"Set channels to 'grey'"),
        (
            {"x": image(dtype="uint16"), "x_MASK": MASK},
            "mixed-types",
            "note",
            r"1 has uint16 \(x\.tif\); 1 has uint8 \(a\.tif\)",
        ),
        (
            {"x": image(), "x_MASK": MASK // 85},
            "mask-values",
            "error",
            r"a_MASK\.tif holds only the value 255 and x_MASK",
        ),
        (
            {"x": image(), "x_MASK": MASK // 255 + np.eye(20, 30, dtype="uint8")},
            "mask-values",
            "error",
            "two kinds are mixed",
        ),
        ({"x": image(), "x_MASK": image(20, 30, 3)}, "mask-unreadable", "error", r"x_MASK\.tif is a colour image"),
        ({"x": image(dtype="complex64")}, "unreadable", "warning", r"x\.tif holds complex numbers"),
        ({"x": image(dtype="complex64"), "x_MASK": MASK}, "unreadable", "error", r"x\.tif holds complex numbers"),
        ({"x": image()}, "nothing-held-out", "note", r"a\.tif is the only image with a mask"),
    ],
)
def test_findings(tmp_path, arrays, code, severity, message):
    report = check(put(tmp_path, a=image(), a_MASK=MASK, **arrays))
    found = [finding for finding in report.findings if finding.code == code]
    assert len(found) == 1
    assert found[0].severity == severity
    assert report.ok == (severity != "error")
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(found[0].message)


def test_duplicates_in_folders(tmp_path):
    same = image()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        put(tmp_path / name, a=same, a_MASK=MASK)
    (finding,) = [finding for finding in check(tmp_path).findings if finding.code == "duplicate"]
    assert finding.message.startswith("two/a.tif has the same pixels as one/a.tif;")


def test_grey_setting_unites_rgb_and_grey(tmp_path):
    put(tmp_path, a=image(), a_MASK=MASK, b=image(20, 30, 3), b_MASK=MASK)
    assert check(tmp_path, DataSettings(channels="grey")).ok


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({}, "no-pairs"),
        ({"a": image()}, "no-pairs"),
        ({"a_MASK": MASK}, "no-pairs"),
        ({"a": image(), "a_MASK": MASK * 0, "b": image(), "b_MASK": MASK * 0}, "all-empty"),
    ],
)
def test_folders_that_cannot_be_trained_on(tmp_path, arrays, code):
    report = check(put(tmp_path, **arrays))
    assert not report.ok
    assert codes(report)[code] == "error"


def test_other_errors_of_a_folder(tmp_path):
    assert codes(check(tmp_path / "none")) == {"source": "error"}
    put(tmp_path, a=image(), a_MASK=MASK, b=image(), b_MASK=MASK)
    assert codes(check(tmp_path, DataSettings(group_pattern="plate")))["group-pattern"] == "error"
    assert codes(check(tmp_path, DataSettings(axes="ZYX")))["unreadable"] == "error"
    (tmp_path / "classes.json").write_text("{")
    assert codes(check(tmp_path))["mask-values"] == "error"
    tifffile.imwrite(tmp_path / "a_mask.tiff", MASK)
    assert codes(check(tmp_path))["ambiguous-name"] == "error"


def test_no_file_makes_it_crash(tmp_path):
    put(tmp_path, a=image(), a_MASK=MASK)
    whole = (tmp_path / "a.tif").read_bytes()
    for i in range(0, len(whole), 13):
        (tmp_path / f"cut{i}.tif").write_bytes(whole[:i])
    for i in range(120):
        spoilt = bytearray(whole)
        for _ in range(8):
            spoilt[int(RNG.integers(4, 400))] = int(RNG.integers(256))
        (tmp_path / f"spoilt{i}_MASK.tif" if i % 3 else tmp_path / f"spoilt{i + 1}.tif").write_bytes(spoilt)
    (tmp_path / "folder.tif").mkdir()
    report = check(tmp_path)
    assert report.listing is not None
    assert len([item for item in report.findings if item.code == "unreadable"]) > 30
    assert all(finding.message.endswith((".", ")")) and "\n" not in finding.message for finding in report.findings)


def test_it_can_be_stopped(tmp_path):
    put(tmp_path, a=image(), a_MASK=MASK)
    report = check(tmp_path, should_stop=lambda: True)
    assert report.stopped
    assert not report.ok


def test_masks_with_white_as_zero_are_told_once(tmp_path):
    put(tmp_path, a=image(), b=image())
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}_MASK.tif", MASK > 0, photometric="miniswhite")
    report = check(tmp_path)
    (finding,) = [finding for finding in report.findings if finding.severity == "warning"]
    assert finding.message.startswith("2 masks show 0 as white (MinIsWhite): a_MASK.tif, b_MASK.tif.")
    assert report.ok


def test_large_images_are_not_read_whole(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(2)
    monkeypatch.setattr("napari_attnseg.data.lazy.MOST_BYTES_AT_ONCE", 1000)
    monkeypatch.setattr("napari_attnseg.data.check.read_image", lambda *_: pytest.fail("read whole"))
    report = check(folder)
    assert report.ok
    assert [finding.path.name for finding in report.findings if finding.code == "large"] == ["cell00.tif", "cell01.tif"]
