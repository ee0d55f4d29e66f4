"""How much correction predictions needed: Dice worked out by hand, and what is kept on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_attnseg.annotation.predictions.effort import PredictedMasks, corrections
from napari_attnseg.errors import SaveError

Array = np.ndarray[Any, Any]
BINARY = ("background", "nucleus")
THREE = ("background", "liver", "kidney; left", "spleen")


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_ATTNSEG_DATA", str(tmp_path / "user"))
    return tmp_path / "user"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "cells").mkdir()
    return tmp_path / "cells"


def line(text: str) -> Array:
    """Turn digits into class ids (1, x)."""
    return np.array([[int(sign) for sign in text]], np.uint8)


def test_dice_of_one_class(root: Path) -> None:
    shown = PredictedMasks(root)
    shown.keep("a.tif", line("1111000000"), "model 1", 10.0)
    found = shown.compare("a.tif", line("0011110000"), BINARY, 20.0)
    assert found is not None
    assert found.dice == pytest.approx(2 * 2 / (4 + 4))
    assert found.dice_per_class == {"nucleus": 0.5}
    assert (found.time, found.image, found.model, found.predicted) == (20.0, "a.tif", "model 1", 10.0)


def test_dice_is_the_mean_over_classes_that_occur(root: Path) -> None:
    shown = PredictedMasks(root)
    shown.keep("a.tif", line("1111220000"), "m", 1.0)
    found = shown.compare("a.tif", line("1111000000"), THREE, 2.0)
    assert found is not None
    assert found.dice_per_class == {"liver": 1.0, "kidney; left": 0.0}
    assert found.dice == 0.5


def test_nothing_found_and_nothing_painted_needed_no_correction(root: Path) -> None:
    shown = PredictedMasks(root)
    shown.keep("a.tif", line("0000"), "m", 1.0)
    found = shown.compare("a.tif", line("0000"), BINARY, 2.0)
    assert found is not None
    assert (found.dice, found.dice_per_class) == (1.0, {})


def test_numbered_objects_count_as_one_class(root: Path) -> None:
    shown = PredictedMasks(root)
    shown.keep("a.tif", line("1100110"), "m", 1.0)
    numbers = np.array([[7, 7, 0, 0, 900, 900, 0]], np.uint32)
    found = shown.compare("a.tif", numbers, BINARY, 2.0)
    assert found is not None
    assert found.dice == 1.0


def test_only_the_planes_that_were_predicted_count(root: Path) -> None:
    shown = PredictedMasks(root)
    now = np.zeros((2, 3, 1, 4), np.uint8)
    now[0, 1], now[1, 2] = line("1100"), line("1111")
    shown.keep("s.tif", line("1100")[None], "m", 1.0, planes=[(0, 1)])
    one = shown.compare("s.tif", now, BINARY, 2.0)
    shown.keep("s.tif", line("0011")[None], "m", 3.0, planes=[(1, 2)])
    both = shown.compare("s.tif", now, BINARY, 4.0)
    assert one is not None
    assert both is not None
    assert one.dice == 1.0
    assert both.dice == pytest.approx(2 * 4 / (4 + 6))
    assert both.predicted == one.predicted == 1.0
    shown.keep("s.tif", np.zeros_like(now), "m", 5.0)
    whole = shown.compare("s.tif", now, BINARY, 6.0)
    assert whole is not None
    assert whole.dice == 0.0


def test_several_planes_are_kept_at_once(root: Path) -> None:
    shown = PredictedMasks(root)
    now = np.stack([line("1100"), line("0000"), line("1111")])
    shown.keep("s.tif", now[[0, 2]], "m", 1.0, planes=[(0,), (2,)])
    (path,) = (root / ".attnseg" / "predicted").iterdir()
    before = path.stat().st_mtime_ns
    shown.keep("s.tif", now[[2]], "m", 2.0, planes=[(2,)])
    assert path.stat().st_mtime_ns == before, "it is kept already, with another plane"
    found = shown.compare("s.tif", now, BINARY, 3.0)
    shown.keep("s.tif", np.stack([line("1111"), line("0011")]), "m", 4.0, planes=[(1,), (0,)])
    later = shown.compare("s.tif", now, BINARY, 5.0)
    assert found is not None
    assert later is not None
    assert found.dice == 1.0
    assert later.dice == pytest.approx(2 * 4 / (10 + 6))


def test_another_model_takes_the_place_of_the_one_before(root: Path) -> None:
    shown = PredictedMasks(root)
    shown.keep("s.tif", line("1100")[None], "m 1", 1.0, planes=[(0,)])
    shown.keep("s.tif", line("1111")[None], "m 2", 2.0, planes=[(1,)])
    now = np.stack([line("0000"), line("1111")])
    found = shown.compare("s.tif", now, BINARY, 3.0)
    assert found is not None
    assert (found.model, found.predicted, found.dice) == ("m 2", 2.0, 1.0)


@pytest.mark.parametrize("shape", [(1, 5), (2, 4), (2, 1, 4)])
def test_a_mask_of_another_size_is_not_compared(shape: tuple[int, ...], root: Path) -> None:
    shown = PredictedMasks(root)
    shown.keep("a.tif", line("1100"), "m", 1.0)
    assert shown.compare("a.tif", np.zeros(shape, np.uint8), BINARY, 2.0) is None


def test_without_a_prediction_there_is_nothing_to_note(root: Path) -> None:
    assert PredictedMasks(root).note_saved("a.tif", line("11"), BINARY, 1.0) is None
    assert corrections(root) == []
    assert list(root.iterdir()) == []


def test_saving_again_replaces_the_entry_and_a_new_prediction_adds_one(root: Path) -> None:
    shown = PredictedMasks(root)
    shown.keep("sub/ä b.tif", line("1111"), "m 1", 1.0)
    shown.note_saved("sub/ä b.tif", line("0000"), BINARY, 2.0)
    shown.keep("other.tif", line("2200"), "m 1", 3.0)
    shown.note_saved("other.tif", line("2200"), THREE, 4.0)
    shown.note_saved("sub/ä b.tif", line("1100"), BINARY, 5.0)
    found = corrections(root)
    assert [(item.time, item.image) for item in found] == [(4.0, "other.tif"), (5.0, "sub/ä b.tif")]
    assert found[0].dice_per_class == {"kidney; left": 1.0}
    assert found[1].dice == pytest.approx(2 * 2 / (4 + 2), abs=1e-5)
    shown.keep("sub/ä b.tif", line("1100"), "m 2", 6.0)
    shown.note_saved("sub/ä b.tif", line("1100"), BINARY, 7.0)
    assert [item.model for item in corrections(root)] == ["m 1", "m 1", "m 2"]


def test_images_of_one_name_in_two_folders_are_apart(root: Path) -> None:
    shown = PredictedMasks(root)
    shown.keep("x/a.tif", line("11"), "m", 1.0)
    shown.keep("y/a.tif", line("00"), "m", 1.0)
    first, second = (shown.compare(f"{name}/a.tif", line("11"), BINARY, 2.0) for name in "xy")
    assert first is not None
    assert second is not None
    assert (first.dice, second.dice) == (1.0, 0.0)


def test_looking_again_writes_nothing(root: Path) -> None:
    shown = PredictedMasks(root)
    shown.keep("a.tif", line("11"), "m", 1.0)
    (path,) = (root / ".attnseg" / "predicted").iterdir()
    before = path.stat().st_mtime_ns
    shown.keep("a.tif", line("11"), "m", 2.0)
    assert path.stat().st_mtime_ns == before
    shown.keep("a.tif", line("01"), "m", 3.0)
    found = shown.compare("a.tif", line("01"), BINARY, 4.0)
    assert found is not None
    assert (found.dice, found.predicted) == (1.0, 1.0)


def test_damaged_files_are_as_none(root: Path) -> None:
    shown = PredictedMasks(root)
    shown.keep("a.tif", line("11"), "m", 1.0)
    shown.note_saved("a.tif", line("11"), BINARY, 2.0)
    table = root / ".attnseg" / "corrections.csv"
    whole = table.read_text(encoding="utf-8")
    table.write_text(whole + "x,b.tif,m,1,1,{}\n3,c.tif,m,1,nan,{}\n4,d.tif,m,1,1,[]\n5\n", encoding="utf-8")
    assert [item.image for item in corrections(root)] == ["a.tif"]
    table.write_bytes(b"\xff\x00")
    assert corrections(root) == []
    (path,) = (root / ".attnseg" / "predicted").iterdir()
    for content in (path.read_bytes()[:-30], b"", b"no archive"):
        path.write_bytes(content)
        assert shown.compare("a.tif", line("11"), BINARY, 2.0) is None
    shown.keep("a.tif", line("11"), "m", 9.0)
    assert shown.compare("a.tif", line("11"), BINARY, 10.0) is not None


def test_a_folder_that_cannot_be_written_to_has_them_with_the_user(root: Path, user_folder: Path) -> None:
    (root / ".attnseg").write_text("in the way")
    shown = PredictedMasks(root)
    shown.keep("a.tif", line("10"), "m", 1.0)
    assert shown.note_saved("a.tif", line("10"), BINARY, 2.0) is not None
    assert [item.image for item in corrections(root)] == ["a.tif"]
    assert len(list((user_folder / "folders").glob("cells-*/corrections.csv"))) == 1
    assert PredictedMasks(root.parent).compare("a.tif", line("10"), BINARY, 2.0) is None


def test_nowhere_to_write_is_one_sentence(root: Path, user_folder: Path) -> None:
    (root / ".attnseg").write_text("in the way")
    user_folder.write_text("in the way")
    with pytest.raises(SaveError, match="cannot be made"):
        PredictedMasks(root).keep("a.tif", line("10"), "m", 1.0)
