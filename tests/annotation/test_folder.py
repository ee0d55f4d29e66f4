"""A folder's images, their states, classes and the choices that are remembered."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import tifffile

from napari_attnseg.annotation.folder import mask_survey, state
from napari_attnseg.annotation.folder.entries import FolderChoices, ImageState
from napari_attnseg.annotation.folder.folder import open_folder
from napari_attnseg.data.classes import ClassEntry, Classes, read_classes
from napari_attnseg.errors import DataError, SaveError
from tests.conftest import MakeFolder


def states(folder: Path) -> dict[str, ImageState]:
    return {entry.name: entry.state for entry in open_folder(folder).entries()}


def test_states(make_folder: MakeFolder) -> None:
    root = make_folder(3)
    (root / "cell02_MASK.tif").unlink()
    folder = open_folder(root)
    folder.note_saved(root / "cell01.tif", root / "cell01_MASK.tif")
    entries = folder.entries(unsaved=frozenset([root / "cell00.tif"]))
    assert [entry.state for entry in entries] == [ImageState.UNSAVED, ImageState.EDITED, ImageState.NO_MASK]
    folder.save()
    assert states(root)["cell01.tif"] == ImageState.EDITED
    folder.note_trained()
    folder.save()
    assert states(root)["cell01.tif"] == ImageState.HAS_MASK


def test_sub_folders_are_listed_with_their_names(make_folder: MakeFolder, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    make_folder(1, "all/first")
    make_folder(1, "all/second")
    assert [entry.name for entry in open_folder(tmp_path / "all").entries()] == [
        "first/cell00.tif",
        "second/cell00.tif",
    ]


def test_choices_are_remembered(make_folder: MakeFolder) -> None:
    root = make_folder(2, planes=3)
    folder = open_folder(root)
    folder.set_choices(FolderChoices(axes="TYX", mask_values="binary"))
    folder.save()
    again = open_folder(root)
    assert again.choices == FolderChoices(axes="TYX", mask_values="binary")
    assert again.document(root / "cell00.tif").info.stack_axes == "T"


def test_axes_that_do_not_fit_one_image_are_left_out_for_it(make_folder: MakeFolder) -> None:
    root = make_folder(2)
    folder = open_folder(root)
    folder.set_choices(FolderChoices(axes="TYX"))
    assert folder.document(root / "cell00.tif").info.axes == "YX"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"choices": 3, "edited": [1]}', '{"choices": {"axes": 5}}'])
def test_a_damaged_state_is_as_none(make_folder: MakeFolder, content: str) -> None:
    root = make_folder(1)
    (root / ".attnseg").mkdir()
    (root / ".attnseg" / "folder.json").write_text(content)
    assert open_folder(root).choices == FolderChoices()


def test_all_masks_decide_together(make_folder: MakeFolder) -> None:
    root = make_folder(30)
    mask = tifffile.imread(root / "cell07_MASK.tif")
    for number in range(30):
        tifffile.imwrite(root / f"cell{number:02d}_MASK.tif", (mask > 0).astype(np.uint8))
    mixed = (mask > 0).astype(np.uint8)
    mixed[:4] = 2
    tifffile.imwrite(root / "cell13_MASK.tif", mixed)
    folder = open_folder(root)
    folder.survey()
    assert folder.convention.kind == "classes"
    assert folder.convention.n_classes == 3
    assert set(np.unique(folder.document(root / "cell13.tif").labels)) == {0, 1, 2}


def test_surveys_at_the_same_time_share_the_reading(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(3)
    folder = open_folder(root)
    for number in range(3):
        folder.note_saved(root / f"cell0{number}.tif", root / f"cell0{number}_MASK.tif")
    read, survey_mask = list[str](), mask_survey.survey_mask
    is_reading, may_read = Event(), Event()

    def slow(mask: Path) -> mask_survey.MaskValues:
        read.append(mask.name)
        if len(read) == 1:
            is_reading.set()
            assert may_read.wait(20)
        return survey_mask(mask)

    def second_begins() -> bool:
        may_read.set()
        return False

    monkeypatch.setattr(mask_survey, "survey_mask", slow)
    first, second = Thread(target=folder.survey), Thread(target=lambda: folder.survey(second_begins))
    first.start()
    assert is_reading.wait(20)
    second.start()
    first.join(20)
    second.join(20)
    assert sorted(read) == [f"cell0{number}_MASK.tif" for number in range(3)]


def test_a_saved_mask_is_read_again_alone(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(3)
    folder = open_folder(root)
    for number in range(2):
        folder.note_saved(root / f"cell0{number}.tif", root / f"cell0{number}_MASK.tif")
    read, survey_mask = list[str](), mask_survey.survey_mask
    monkeypatch.setattr(mask_survey, "survey_mask", lambda mask: read.append(mask.name) or survey_mask(mask))
    folder.survey_saved(root / "cell01.tif")
    assert read == ["cell01_MASK.tif"]


def test_values_that_contradict_each_other_are_said(make_folder: MakeFolder) -> None:
    root = make_folder(2)
    tifffile.imwrite(root / "cell00_MASK.tif", np.where(np.eye(48, 40) > 0, 3, 0).astype(np.uint8))
    tifffile.imwrite(root / "cell01_MASK.tif", np.where(np.eye(48, 40) > 0, 91, 0).astype(np.uint8))
    folder = open_folder(root)
    assert folder.problem is not None
    assert "cell00_MASK.tif" in folder.problem
    folder.set_choices(FolderChoices(mask_values="binary"))
    assert folder.problem is None


def test_classes_are_kept(make_folder: MakeFolder) -> None:
    root = make_folder(2)
    folder = open_folder(root)
    assert folder.classes.values == {0: 0, 255: 1}
    entries = (*folder.classes.entries, ClassEntry(2, "border", "#123456", 2))
    folder.set_classes(Classes(entries))
    folder.save_classes()
    assert read_classes(root / "classes.json").names[2] == "border"
    again = open_folder(root)
    assert again.classes.values == {0: 0, 255: 1, 2: 2}
    assert again.convention.kind == "classes"


def test_edited_classes_hold_before_they_are_written(make_folder: MakeFolder) -> None:
    root = make_folder(2)
    (root / "cell00_MASK.tif").unlink()
    folder = open_folder(root)
    folder.set_classes(Classes((*folder.classes.entries, ClassEntry(2, "border", "#123456", 2))))
    assert not (root / "classes.json").exists()
    assert folder.document(root / "cell00.tif").convention.n_classes == 3
    folder.survey()  # of the folder's opening; it decides anew
    assert folder.classes.names[2] == "border"
    assert folder.document(root / "cell00.tif").convention.n_classes == 3


def test_new_folders_begin_with_the_numbers_of_the_classes(make_folder: MakeFolder) -> None:
    root = make_folder(1)
    (root / "cell00_MASK.tif").unlink()
    folder = open_folder(root)
    assert folder.classes.values == {0: 0, 1: 1}
    document = folder.document(root / "cell00.tif")
    document.labels[2:5, 2:5] = 1
    document.touch()
    document.save()
    assert tifffile.imread(root / "cell00_MASK.tif").max() == 255


def test_of_two_threads_the_later_state_is_kept(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(2)
    folder = open_folder(root)
    write_json = state.write_json
    later: list[Thread] = []

    def slow(path: Path, values: object) -> None:
        if not later:  # another mask is saved just before the first one is noted
            folder.note_saved(root / "cell01.tif", root / "cell01_MASK.tif")
            later.append(Thread(target=folder.save))
            later[0].start()
            later[0].join(0.3)  # it either waits for us, or is done well before
        write_json(path, values)

    monkeypatch.setattr(state, "write_json", slow)
    folder.note_saved(root / "cell00.tif", root / "cell00_MASK.tif")
    folder.save()
    later[0].join(20)
    assert states(root) == {"cell00.tif": ImageState.EDITED, "cell01.tif": ImageState.EDITED}


@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_works_but_is_not_remembered(make_folder: MakeFolder) -> None:
    root = make_folder(1)
    root.chmod(0o500)
    try:
        folder = open_folder(root)
        folder.set_choices(FolderChoices(mask_values="binary"))
        with pytest.raises(SaveError):
            folder.save()
        assert folder.choices.mask_values == "binary"
    finally:
        root.chmod(0o700)


def test_nothing_there(tmp_path: Path) -> None:
    assert open_folder(tmp_path).entries() == []
    with pytest.raises(DataError, match="does not exist"):
        open_folder(tmp_path / "nowhere")
